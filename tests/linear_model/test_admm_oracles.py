"""Models with penalties of one's choice against cvxpy, scikit-learn and the formulas themselves."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit

from skmtl import (
    ADMMClassifier,
    ADMMRegressor,
)
from skmtl.penalties import (
    L1,
    L21,
    Decomposed,
    Graph,
    MeanRegularized,
    NetworkLasso,
    Ridge,
    RobustMean,
    Sum,
    TaskL2,
    TemporalFused,
    TraceNorm,
)
from tests._problems import (
    TASK_WEIGHT,
    make_indicator,
    make_wide,
    melt,
    task_weights,
    weighted_rows,
)

GRAPH = [(0, 1, 2.0), (1, 2), (2, 3, 0.5), (0, 3)]
SINGLE = {
    "l1": L1(2.0),
    "l21": L21(4.0),
    "task_l2": TaskL2(4.0),
    "trace_norm": TraceNorm(4.0),
    "robust_mean": RobustMean(5.0),
    "network_lasso": NetworkLasso(4.0, GRAPH),
    "network_lasso-all-pairs": NetworkLasso(8.0),
    "network_lasso-two-components": NetworkLasso(4.0, [(0, 3), (1, 2)]),
    "temporal_fused": TemporalFused(4.0),
    "ridge": Ridge(3.0),
    "mean_regularized": MeanRegularized(4.0, alpha_shared=0.5),
    "graph": Graph(3.0, GRAPH, alpha_shared=0.2),
}
MADE = {
    "sparse-low-rank": L1(1.0) + TraceNorm(2.0),
    "three": L1(0.5) + L21(1.0) + TaskL2(1.5),
    "elastic": L21(2.0) + Ridge(1.0),
    "sparse-fused": L1(1.0) + TemporalFused(2.0),
    "sparse-robust": L1(1.0) + RobustMean(3.0),
    "dirty": Decomposed(L21(4.0), L1(3.0)),
    "robust-mtl": Decomposed(TraceNorm(4.0), TaskL2(5.0)),
    "decomposed-sum": Decomposed(L21(2.0) + Ridge(1.0), TaskL2(4.0)),
    "three-parts": Decomposed(Decomposed(L21(4.0), L1(3.0)), TaskL2(5.0)),
}
TIGHT = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-8)


def adjacency(penalty, T):
    """The weights of the graph of a penalty."""
    if penalty.task_graph is None:
        return (1.0 - np.eye(T)) / T
    A = np.zeros((T, T))
    for s, t, *weight in penalty.task_graph:
        A[[s, t], [t, s]] += weight[0] if weight else 1.0
    return A


def formula(cp, penalty, W):
    """The documented penalty as a convex expression, with what is not in W minimized too."""
    T, d = W.shape
    if isinstance(penalty, Sum):
        return formula(cp, penalty.first, W) + formula(cp, penalty.second, W)
    if isinstance(penalty, L1):
        size = cp.sum(cp.abs(W))
    elif isinstance(penalty, L21):
        size = cp.sum(cp.norm(W, 2, axis=0))
    elif isinstance(penalty, TaskL2):
        size = cp.sum(cp.norm(W, 2, axis=1))
    elif isinstance(penalty, TraceNorm):
        size = cp.normNuc(W)
    elif isinstance(penalty, TemporalFused):
        size = cp.sum(cp.abs(W[1:] - W[:-1])) if T > 1 else 0.0
    elif isinstance(penalty, RobustMean):
        w = cp.Variable((1, d))
        size = cp.sum(cp.norm(W - np.ones((T, 1)) @ w, 2, axis=1))
    elif isinstance(penalty, Ridge):
        size = 0.5 * cp.sum_squares(W)
    elif isinstance(penalty, MeanRegularized):
        w = cp.Variable((1, d))
        own = 0.5 * penalty.alpha * cp.sum_squares(W - np.ones((T, 1)) @ w)
        return own + 0.5 * penalty.alpha_shared * cp.sum_squares(w)
    else:
        A = adjacency(penalty, T)
        pairs = [(A[s, t], W[s] - W[t]) for s in range(T) for t in range(s) if A[s, t]]
        if isinstance(penalty, NetworkLasso):
            size = sum((a * cp.norm(D) for a, D in pairs), 0.0)
        else:
            size = 0.5 * sum((a * cp.sum_squares(D) for a, D in pairs), 0.0)
            return penalty.alpha * size + 0.5 * penalty.alpha_shared * cp.sum_squares(W)
    return penalty.alpha * size


def flat(penalty):
    """The penalties of the parts."""
    if not isinstance(penalty, Decomposed):
        return [penalty]
    return flat(penalty.first) + flat(penalty.second)


def best_objective(model, rows, weight):
    """The least value of the documented objective, by cvxpy."""
    cp = pytest.importorskip("cvxpy")
    T, d = rows.codes.max() + 1, rows.X.shape[1]
    mean = np.average(rows.X, axis=0, weights=weight) * model.fit_intercept
    parts = [cp.Variable((T, d)) for _ in flat(model.penalty)]
    W, c, center = sum(parts[1:], parts[0]), cp.Variable(T), cp.Variable()
    z = cp.sum(cp.multiply(rows.X - mean, W[rows.codes]), axis=1)
    constraints, F = [], 0.0
    if model.fit_intercept:
        z = z + c[rows.codes]
        if np.isinf(model.alpha_intercept):
            constraints.append(c == center)
        else:
            F += 0.5 * model.alpha_intercept * cp.sum_squares(c - center)
    if isinstance(model, ADMMClassifier):
        F += weight @ cp.logistic(cp.multiply(1.0 - 2.0 * rows.y, z))
    else:
        F += 0.5 * cp.sum_squares(cp.multiply(np.sqrt(weight), rows.y - z))
    F += model.alpha * sum(
        formula(cp, p, P) for p, P in zip(flat(model.penalty), parts, strict=True)
    )
    cp.Problem(cp.Minimize(F), constraints).solve(solver="CLARABEL", **TIGHT)
    return float(F.value)


def value(penalty, W):
    """The documented penalty at W."""
    cp = pytest.importorskip("cvxpy")
    variable = cp.Variable(W.shape)
    F = formula(cp, penalty, variable)
    if isinstance(penalty, Sum):
        return value(penalty.first, W) + value(penalty.second, W)
    if isinstance(penalty, RobustMean | MeanRegularized):
        return cp.Problem(cp.Minimize(formula(cp, penalty, cp.Constant(W)))).solve(
            solver="CLARABEL", **TIGHT
        )
    variable.value = W
    return float(F.value)


def loss_and_gradient(model, rows, weight):
    """The loss of a fitted model and its gradient in W."""
    z = np.einsum("ij,ij->i", rows.X, model.coef_[rows.codes]) + model.intercept_[rows.codes]
    if isinstance(model, ADMMClassifier):
        loss, slope = np.logaddexp(0.0, (1.0 - 2.0 * rows.y) * z), expit(z) - rows.y
    else:
        loss, slope = 0.5 * (rows.y - z) ** 2, z - rows.y
    mean = np.average(rows.X, axis=0, weights=weight) * model.fit_intercept
    E = np.eye(len(model.coef_))[rows.codes]
    centered = model.intercept_ + model.coef_ @ mean
    return weight @ loss, E.T @ ((weight * slope)[:, None] * (rows.X - mean)), centered


def fit(kind, penalty, form, **params):
    """Fit with all weights; return the model, the long form of the rows and their weights."""
    classifies = kind is ADMMClassifier
    if form == "wide":
        X, Y = make_indicator() if classifies else make_wide()
        sample_weight = np.random.default_rng(2).uniform(0.2, 3.0, len(X))
        rows, weight = melt(X, Y, sample_weight)
        model = kind(penalty, task_weight=list(TASK_WEIGHT.values()), **params)
        return model.fit(X, Y, sample_weight), rows, weight * task_weights(rows.codes)
    rows, sample_weight, weight = weighted_rows(2 if classifies else None)
    model = kind(penalty, task_column=0, task_weight=TASK_WEIGHT, **params)
    return model.fit(rows.long, rows.y, sample_weight), rows, weight


# cvxpy's warning about itself: the comparison shows how accurate it is
inaccurate = pytest.mark.filterwarnings("ignore:Solution may be inaccurate:UserWarning")
kinds = pytest.mark.parametrize("kind", [ADMMRegressor, ADMMClassifier], ids=["squared", "logit"])
SETTINGS = {
    "penalized": ("long", {"alpha_intercept": 1.0}),
    "free-wide": ("wide", {"alpha_intercept": 0.0, "alpha": 0.7}),
    "equal": ("long", {"alpha_intercept": np.inf, "alpha": 1.5}),
    "none": ("wide", {"fit_intercept": False}),
}


def check(model, rows, weight):
    """Compare the objective with cvxpy's, and with the formulas."""
    loss, G, centered = loss_and_gradient(model, rows, weight)
    expected = loss
    if not model.fit_intercept:
        assert_array_equal(model.intercept_, 0.0)
    elif np.isinf(model.alpha_intercept):
        assert_allclose(centered, centered[0], rtol=0, atol=1e-12 * (1 + np.abs(rows.y).max()))
    else:
        expected += 0.5 * model.alpha_intercept * ((centered - centered.mean()) ** 2).sum()
    parts = getattr(model, "parts_", [model.coef_])
    penalties = flat(model.penalty)
    assert len(parts) == len(penalties)
    assert_allclose(sum(parts), model.coef_, rtol=0, atol=1e-14 * np.abs(parts).max())
    expected += model.alpha * sum(value(p, P) for p, P in zip(penalties, parts, strict=True))
    assert_allclose(model.objective_, expected, rtol=1e-8)
    best = best_objective(model, rows, weight)
    assert -1e-7 * abs(best) <= model.objective_ - best <= 1e-6 * abs(best)
    assert 0 <= model.optimality_ <= model.tol
    return G


# Every penalty once in the long form, every setting with some penalties; all in CI.
FEW = ("l1", "robust_mean", "temporal_fused", "mean_regularized")
CASES = [
    pytest.param(
        *(penalty, setting),
        id=f"{name}-{form}",
        marks=() if form == "penalized" or name in FEW else pytest.mark.slow,
    )
    for name, penalty in SINGLE.items()
    for form, setting in SETTINGS.items()
]


@inaccurate
@kinds
@pytest.mark.parametrize(("penalty", "setting"), CASES)
def test_cvxpy_finds_no_better(penalty, setting, kind):
    form, params = setting
    alpha = params.get("alpha", 1.0) * (1.0 if kind is ADMMRegressor else 0.3)
    model, rows, weight = fit(kind, penalty, form, **params | {"alpha": alpha})
    G = check(model, rows, weight)
    step = 1.0 / np.average((rows.X - rows.X.mean(axis=0)) ** 2) / weight.sum()
    bound = penalty.bind(model.tasks_)
    ahead = bound.prox(model.coef_ - step * G, model.alpha * step)
    size = np.abs(model.coef_).max() + step * np.abs(G).max()
    assert_allclose(ahead, model.coef_, rtol=0, atol=1e-7 * size)
    assert {"n_iter", "objective", "optimality"} <= set(model.history_[0])
    keys = {"n_iter", "objective", "optimality"}
    around_center = isinstance(penalty, RobustMean) and kind is ADMMRegressor
    if not (isinstance(penalty, L1 | L21) or around_center):  # solved without copies
        keys |= {"primal_residual", "dual_residual", "rho"}
    assert all(set(entry) == keys for entry in model.history_[1:])
    assert min(e["optimality"] for e in model.history_) == model.optimality_


@inaccurate
@kinds
@pytest.mark.parametrize(
    "setting", ["penalized", pytest.param("free-wide", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("penalty", MADE.values(), ids=MADE)
def test_cvxpy_finds_no_better_combination(penalty, setting, kind):
    form, params = SETTINGS[setting]
    scale = 1.0 if kind is ADMMRegressor else 0.3
    model, rows, weight = fit(kind, penalty, form, **params | {"alpha": scale})
    check(model, rows, weight)
