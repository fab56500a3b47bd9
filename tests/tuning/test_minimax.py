"""Task weights of the largest loss."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone

from skmtl import (
    ADMMClassifier,
    ADMMRegressor,
    GraphRegularizedClassifier,
    GraphRegularizedRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    PooledClassifier,
    PooledRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
)
from skmtl.tuning import _loss_response
from skmtl.tuning._minimax import relative_gap
from skmtl.tuning._simplex import maximize_on_simplex
from skmtl.tuning._task_systems import TaskMatrix
from tests._problems import make_rows, make_wide, melt, noisy

cvxpy = pytest.importorskip("cvxpy")
CHAIN = [(0, 1, 2.0), (1, 2), (2, 3, 0.5)]


def stack(model, rows, weight):
    """Losses by task and penalty in cvxpy, as the documentation has them."""
    T, d = rows.codes.max() + 1, rows.X.shape[1]
    W, q = cvxpy.Variable((T, d)), cvxpy.Variable(T)
    w, c = cvxpy.Variable(d), cvxpy.Variable()
    Z = rows.X - np.average(rows.X, axis=0, weights=weight)
    losses = []
    for t in range(T):
        own = rows.codes == t
        z = Z[own] @ W[t] + q[t]
        if hasattr(model, "predict_proba"):
            loss = cvxpy.logistic(-cvxpy.multiply(2.0 * rows.y[own] - 1, z))
        else:
            loss = 0.5 * cvxpy.square(rows.y[own] - z)
        losses.append(weight[own] @ loss / weight[own].sum())
    square, equal = cvxpy.sum_squares, []
    intercepts = (
        0.5 * model.alpha_intercept * square(q - c) if hasattr(model, "alpha_intercept") else 0
    )
    if "Pooled" in type(model).__name__:
        penalty, equal = 0.5 * model.alpha * square(w), [W[t] == w for t in range(T)]
    elif "SharedL2" in type(model).__name__:
        penalty = 0.5 * model.alpha * square(W)
    elif "Mean" in type(model).__name__:
        penalty = 0.5 * model.alpha * sum(square(W[t] - w) for t in range(T))
        penalty += 0.5 * (model.alpha_shared or 0.0) * square(w)
    elif "Graph" in type(model).__name__:
        links = [(s, t, *(a or [1.0])) for s, t, *a in CHAIN]
        penalty = 0.5 * model.alpha * sum(a * square(W[s] - W[t]) for s, t, a in links)
        penalty += 0.5 * model.alpha_shared * square(W)
        intercepts = sum(a * cvxpy.square(q[s] - q[t]) for s, t, a in links)
        intercepts *= 0.5 * model.alpha_intercept
    else:
        penalty = model.alpha * cvxpy.sum(cvxpy.norm(W, 2, axis=0))
    return losses, penalty + intercepts, equal


QUIET = {
    "pooled": PooledRegressor(2.0, alpha_intercept=1.0),
    "separate": SharedL2Regressor(3.0),
    "mean": MeanRegularizedRegressor(1.5, alpha_shared=0.5, alpha_intercept=1.0),
    "graph": GraphRegularizedRegressor(1.5, task_graph=CHAIN, alpha_shared=0.1),
    "l21": ADMMRegressor("l21", 3.0),
    "mean-cg": MeanRegularizedRegressor(1.5, alpha_shared=0.5, alpha_intercept=1.0, solver="cg"),
    "pooled-logistic": PooledClassifier(0.5, alpha_intercept=1.0),
    "separate-logistic": SharedL2Classifier(0.5),
    "mean-logistic": MeanRegularizedClassifier(0.5, alpha_shared=0.1, alpha_intercept=1.0),
    "graph-logistic": GraphRegularizedClassifier(0.5, task_graph=CHAIN, alpha_shared=0.1),
    "l21-logistic": ADMMClassifier("l21", 0.3),
}


@pytest.mark.parametrize("name", QUIET)
def test_minimax_is_the_minimum_of_the_largest_loss(name):
    model = clone(QUIET[name]).set_params(task_column=0, task_weight="minimax")
    rows = make_rows(sizes=(20, 12, 25, 15))
    weight = np.random.default_rng(2).uniform(0.5, 2.0, len(rows.y))
    if hasattr(model, "predict_proba"):
        noise = (
            np.random.default_rng(3).normal(size=len(rows.y)) * np.array([6, 3, 1, 2])[rows.codes]
        )
        rows.y = (rows.y - np.median(rows.y) + noise > 0).astype(float)
    else:
        noise = np.random.default_rng(3).normal(size=len(rows.y))
        rows.y = rows.y + noise * np.array([3, 0.5, 1, 2])[rows.codes]
    model.fit(rows.long, rows.y, weight)
    losses, penalty, equal = stack(model, rows, weight)
    N, n = weight.sum(), np.bincount(rows.codes, weight)
    objective = N * cvxpy.maximum(*losses) + penalty
    minimum = cvxpy.Problem(cvxpy.Minimize(objective), equal).solve(
        solver="CLARABEL", tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9
    )
    # what the fitted model amounts to: the sum the dual has, with the largest loss instead
    found = (
        N * model.task_loss_.max()
        + model.objective_
        - N * (model.task_weight_ * n / N @ model.task_loss_)
    )
    assert_allclose(found, minimum, rtol=1e-6)
    assert model.objective_ <= minimum * (1 + 1e-7)  # weak duality
    assert model.minimax_gap_ <= 1e-6
    share = model.task_weight_ * n / N
    assert_allclose(share.sum(), 1.0, rtol=1e-12)
    assert_allclose(relative_gap(model.task_loss_, share), model.minimax_gap_, atol=1e-12)
    worst = model.task_loss_.max()
    assert_allclose(model.task_loss_[share > 0.01], worst, rtol=1e-4)
    assert (share[model.task_loss_ < worst * (1 - 1e-3)] <= 1e-3).all()
    # losses, computed anew from the predictions
    if name.endswith("logistic"):
        loss = np.logaddexp(0, -(2 * rows.y - 1) * model.decision_function(rows.long))
    else:
        loss = 0.5 * (rows.y - model.predict(rows.long)) ** 2
    assert_allclose(np.bincount(rows.codes, weight * loss) / n, model.task_loss_, rtol=1e-9)


def test_tasks_with_smaller_losses_get_no_weight():
    rows, y = noisy()
    y[rows.codes == 1] = y[rows.codes == 1].mean()  # fitted well by any intercept
    model = SharedL2Regressor(0.1, task_column=0, task_weight="minimax").fit(rows.long, y)
    assert model.task_weight_[1] < 1e-6
    assert model.task_loss_[1] < 0.9 * model.task_loss_.max()


def test_the_gap_certifies_weights():
    rows, y = noisy()
    N, n = len(y), np.bincount(rows.codes)
    # without an intercept the penalty is the same at all weights
    params = {"task_column": 0, "fit_intercept": False}
    best = MeanRegularizedRegressor(1.5, task_weight="minimax", **params).fit(rows.long, y)
    gaps, bounds = [], []
    for seed in range(5):
        share = best.task_weight_ * n / N
        share = 0.8 * share + 0.2 * np.random.default_rng(seed).dirichlet(np.ones(4))
        model = MeanRegularizedRegressor(1.5, task_weight=share * N / n, **params)
        model.fit(rows.long, y)
        losses = 0.5 * np.bincount(rows.codes, (y - model.predict(rows.long)) ** 2) / n
        gaps.append(relative_gap(losses, share))
        bounds.append(model.objective_)
    assert min(gaps) > 100 * max(best.minimax_gap_, 1e-6)
    assert max(bounds) < best.objective_  # every set of weights is a lower bound
    plain = MeanRegularizedRegressor(1.5, **params).fit(rows.long, y)
    losses = 0.5 * np.bincount(rows.codes, (y - plain.predict(rows.long)) ** 2) / n
    assert best.task_loss_.max() < (1 - 1e-4) * losses.max()


def test_minimax_in_the_wide_form_and_of_three_classes():
    X, Y = make_wide(n=40)
    wide = MeanRegularizedRegressor(1.5, task_weight="minimax").fit(X, Y)
    rows, _ = melt(X, Y)
    long = MeanRegularizedRegressor(1.5, task_weight="minimax", task_column=0)
    long.fit(rows.long, rows.y)
    assert_allclose(wide.task_loss_.max(), long.task_loss_.max(), rtol=1e-6)
    assert max(wide.minimax_gap_, long.minimax_gap_) <= 1e-6
    assert wide.coef_.shape == (4, 3)
    rows, y = noisy()
    classes = np.digitize(y, np.quantile(y, [0.3, 0.7]))
    for model in (MeanRegularizedClassifier(0.5), ADMMClassifier("l21", 1.0)):
        model.set_params(task_column=0, task_weight="minimax", class_weight="balanced")
        model.fit(rows.long, classes)
        assert model.minimax_gap_ <= 1e-6
        weight = (len(y) / (3 * np.bincount(classes)))[classes]
        loss = -weight * model.predict_log_proba(rows.long)[np.arange(len(y)), classes]
        losses = np.bincount(rows.codes, loss) / np.bincount(rows.codes, weight)
        assert_allclose(model.task_loss_, losses, rtol=1e-9)


def test_a_quadratic_on_the_simplex():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        T = int(rng.integers(2, 12))
        root = rng.normal(size=(T, int(rng.integers(1, T + 1))))
        B, g, origin = root @ root.T, rng.normal(size=T), rng.dirichlet(np.ones(T))
        x = maximize_on_simplex(g, TaskMatrix.of(B), origin, 0.0)
        slope = g - B @ (x - origin)
        assert_allclose(x.sum(), 1.0, rtol=1e-12)
        assert (x >= 0).all()
        # no direction within the simplex leads up
        assert slope.max() - x @ slope <= 1e-10 * (1 + np.abs(slope).max())


@pytest.mark.parametrize("own", [0.0, 1e-3, 1.0])
def test_low_rank_and_dense_quadratics_have_the_same_maximum(own):
    rng = np.random.default_rng(0)
    root, g, origin = rng.normal(size=(60, 4)), rng.normal(size=60), rng.dirichlet(np.ones(60))
    own = own * rng.uniform(0.5, 2.0, 60)
    B = np.diag(own) + root @ root.T
    x = maximize_on_simplex(g, TaskMatrix(own, root), origin, 0.0)
    slope = g - B @ (x - origin)
    assert slope.max() - x @ slope <= 1e-10
    assert_allclose(x, maximize_on_simplex(g, TaskMatrix.of(B), origin, 0.0), rtol=0, atol=1e-8)


@pytest.mark.parametrize("form", ["dense", "low rank"])
def test_solves_of_task_systems(form):
    rng = np.random.default_rng(0)
    own, root = rng.uniform(0.0, 1.0, 30), rng.normal(size=(30, 4))
    B = np.diag(own) + root @ root.T
    given = TaskMatrix.of(B) if form == "dense" else TaskMatrix(own, root)
    kept, diagonal, b = np.arange(30) % 4 > 0, np.geomspace(1e-6, 1e6, 22), rng.normal(size=22)
    part = 3.0 * B[np.ix_(kept, kept)]
    taken = given.take(kept).times(3.0)
    assert_allclose(taken @ b, part @ b, rtol=1e-12)
    expected = np.linalg.solve(part + np.diag(diagonal), b)
    assert_allclose(taken.solver(diagonal)(b), expected, rtol=1e-9)


def test_rows_that_are_fitted_exactly_are_no_competition():
    rows = make_rows(sizes=(6, 6, 6, 6, 6), d=50)
    model = MeanRegularizedRegressor(task_column=0, task_weight="minimax")
    model.fit(rows.long, rows.y)  # a warning would be an error
    assert model.task_loss_.max() < 1e-20 * rows.y.var()
    assert model.minimax_gap_ == 0.0
    assert_allclose(model.task_weight_, 1.0, rtol=1e-12)


def test_dense_systems_of_too_many_tasks_are_refused(monkeypatch):
    monkeypatch.setattr(_loss_response, "MOST", 3)
    rows, y = noisy()
    params = {"task_column": 0, "task_weight": "minimax"}
    for model, target in (
        (GraphRegularizedRegressor(task_graph=CHAIN), y),
        (ADMMRegressor(), y),
        (MeanRegularizedClassifier(), np.digitize(y, np.quantile(y, [0.3, 0.7]))),
    ):
        with pytest.raises(ValueError, match=r"here of 4 tasks, .*limit is 3\. Use"):
            model.set_params(**params).fit(rows.long, target)
    many = make_rows(sizes=20 * (12,))
    model = MeanRegularizedRegressor(**params).fit(many.long, many.y)
    assert model.minimax_gap_ <= 1e-6
