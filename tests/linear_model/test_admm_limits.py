"""Where penalties leave nothing, or all: ``alpha_max``, limits and equal models."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import ElasticNet, Lasso, MultiTaskLasso

from skmtl import (
    ADMMClassifier,
    ADMMRegressor,
    GraphRegularizedClassifier,
    GraphRegularizedRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    PooledRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
    alpha_max,
)
from skmtl.penalties import (
    L1,
    L21,
    Decomposed,
    Graph,
    MeanRegularized,
    Ridge,
    RobustMean,
    TaskL2,
    TemporalFused,
    TraceNorm,
)
from tests._problems import (
    TASK_WEIGHT,
    fit_long,
    make_indicator,
    make_rows,
    make_wide,
    slow_unless,
    weighted_rows,
)

cvxpy = pytest.importorskip("cvxpy")
GRAPH = [(0, 1, 2.0), (1, 2), (2, 3, 0.5), (0, 3)]
NORMS = {
    "l1": L1(),
    "l21": L21(0.5),
    "task_l2": TaskL2(),
    "trace_norm": TraceNorm(2.0),
    "robust_mean": RobustMean(),
    "temporal_fused": TemporalFused(0.7),
    "l21+ridge": L21(1.0) + Ridge(2.0),
    "dirty": Decomposed(L21(2.0), L1(1.0)),
}
INTERCEPTS = {"penalized": 1.0, "free": 0.0, "equal": np.inf}


def is_null(penalty, W):
    """Whether a norm leaves nothing of W: exactly."""
    if isinstance(penalty, RobustMean | TemporalFused):
        return bool((W[0] == W).all())
    return not W.any()


def problem(kind, form):
    """An estimator of weighted tasks, and what it is fitted to."""
    classifies = kind is ADMMClassifier
    if form == "wide":
        X, Y = make_indicator() if classifies else make_wide()
        weight = np.random.default_rng(2).uniform(0.2, 3.0, len(X))
        return kind(task_weight=list(TASK_WEIGHT.values())), (X, Y, weight)
    rows, weight, _ = weighted_rows(2 if classifies else None)
    return kind(task_column=0, task_weight=TASK_WEIGHT), (rows.long, rows.y, weight)


kinds = pytest.mark.parametrize("kind", [ADMMRegressor, ADMMClassifier], ids=["squared", "logit"])
forms = pytest.mark.parametrize("form", ["long", "wide"])


@kinds
@forms
@pytest.mark.parametrize("alpha_intercept", slow_unless(INTERCEPTS, ["penalized", "free"]))
@pytest.mark.parametrize("penalty", NORMS.values(), ids=NORMS)
def test_alpha_max_is_where_nothing_begins(penalty, alpha_intercept, form, kind):
    model, data = problem(kind, form)
    model.set_params(penalty=penalty, alpha_intercept=alpha_intercept)
    largest = alpha_max(model, *data)
    assert 0 < largest < np.inf
    for factor in (1.0 + 1e-6, 2.0):
        model.set_params(alpha=factor * largest).fit(*data)
        assert is_null(penalty, model.coef_), (factor, np.abs(model.coef_).max())
    model.set_params(alpha=0.98 * largest).fit(*data)
    assert not is_null(penalty, model.coef_)


# Equal models -----------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.05, 0.5])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_l21_is_the_multi_task_lasso(fit_intercept, share):
    X, Y = make_wide(n=25, d=6, missing=0.0)
    model = ADMMRegressor("l21", fit_intercept=fit_intercept, alpha_intercept=0.0, tol=1e-10)
    model.set_params(alpha=share * alpha_max(model, X, Y)).fit(X, Y)
    oracle = MultiTaskLasso(model.alpha / 25, fit_intercept=fit_intercept, tol=1e-13)
    oracle.set_params(max_iter=100_000).fit(X, Y)
    assert_allclose(model.coef_, oracle.coef_, rtol=0, atol=1e-7)
    assert_allclose(model.intercept_, oracle.intercept_, rtol=0, atol=1e-7)
    assert_array_equal(model.structure_.selected_features, oracle.coef_.any(axis=0))


@pytest.mark.parametrize("ridge", [0.0, 0.7])
def test_l1_is_a_loop_over_the_lasso(ridge):
    rows = make_rows(sizes=(30, 8, 20), d=5)
    penalty = L1(3.0) + Ridge(ridge) if ridge else L1(3.0)
    model = fit_long(ADMMRegressor(penalty, alpha_intercept=0.0, tol=1e-10), rows)
    for t in range(3):
        own = rows.codes == t
        n = own.sum()
        oracle = ElasticNet((3.0 + ridge) / n, l1_ratio=3.0 / (3.0 + ridge)) if ridge else Lasso()
        oracle.set_params(tol=1e-13, max_iter=100_000)
        if not ridge:
            oracle.set_params(alpha=3.0 / n)
        oracle.fit(rows.X[own], rows.y[own])
        assert_allclose(model.coef_[t], oracle.coef_, rtol=0, atol=1e-7)
        assert_allclose(model.intercept_[t], oracle.intercept_, rtol=0, atol=1e-7)
        assert_array_equal(model.coef_[t] == 0, oracle.coef_ == 0)


QUADRATIC = {
    "ridge": (Ridge(2.0), SharedL2Regressor(2.0), SharedL2Classifier(2.0), 0.0),
    "mean_regularized": (
        MeanRegularized(2.0, alpha_shared=0.5),
        MeanRegularizedRegressor(2.0, alpha_shared=0.5, alpha_intercept=3.0),
        MeanRegularizedClassifier(2.0, alpha_shared=0.5, alpha_intercept=3.0),
        3.0,
    ),
    "graph": (
        Graph(2.0, GRAPH, alpha_shared=0.5),
        GraphRegularizedRegressor(2.0, task_graph=GRAPH, alpha_shared=0.5, alpha_intercept=0.0),
        GraphRegularizedClassifier(2.0, task_graph=GRAPH, alpha_shared=0.5, alpha_intercept=0.0),
        0.0,
    ),
}


@kinds
@pytest.mark.parametrize("case", QUADRATIC.values(), ids=QUADRATIC)
def test_quadratic_penalties_are_the_other_models(case, kind):
    penalty, regressor, classifier, alpha_intercept = case
    model, data = problem(kind, "long")
    model.set_params(penalty=penalty, alpha_intercept=alpha_intercept, tol=1e-10).fit(*data)
    other = clone(regressor if kind is ADMMRegressor else classifier)
    other.set_params(task_column=0, task_weight=TASK_WEIGHT, tol=1e-10).fit(*data)
    assert_allclose(model.objective_, other.objective_, rtol=1e-10)
    assert_allclose(model.coef_, other.coef_, rtol=0, atol=1e-7)
    assert_allclose(model.intercept_, other.intercept_, rtol=0, atol=1e-7)


@pytest.mark.parametrize("alpha_intercept", INTERCEPTS.values(), ids=INTERCEPTS)
def test_robust_mean_goes_from_separate_to_pooled_models(alpha_intercept):
    model, data = problem(ADMMRegressor, "long")
    model.set_params(penalty=RobustMean(), alpha_intercept=alpha_intercept)
    pooled = PooledRegressor(
        0.0, alpha_intercept=alpha_intercept, task_column=0, task_weight=TASK_WEIGHT
    )
    pooled.fit(*data)
    model.set_params(alpha=2.0 * alpha_max(model, *data)).fit(*data)
    assert (model.coef_ == model.coef_[0]).all()
    assert_allclose(model.coef_[0], pooled.shared_coef_, rtol=0, atol=1e-7)
    assert_allclose(model.intercept_, pooled.intercept_, rtol=0, atol=1e-6)
    if alpha_intercept == 0.0:
        separate = SharedL2Regressor(0.0, task_column=0).fit(*data)
        model.set_params(alpha=1e-6).fit(*data)
        assert_allclose(model.coef_, separate.coef_, rtol=0, atol=1e-4)


@pytest.mark.parametrize("penalty", ["robust_mean", "mean_regularized", "l21", "trace_norm"])
def test_alpha_of_zero_separates(penalty):
    model, data = problem(ADMMRegressor, "long")
    model.set_params(penalty=penalty, alpha=0.0, alpha_intercept=0.0).fit(*data)
    separate = SharedL2Regressor(0.0, task_column=0).fit(*data)
    assert_allclose(model.coef_, separate.coef_, rtol=0, atol=1e-6)


# Changes of the data that change nothing --------------------------------------------------------


@pytest.mark.parametrize("penalty", NORMS.values(), ids=NORMS)
def test_order_copies_and_units(penalty):
    rows = make_rows()
    rng = np.random.default_rng(0)
    model = ADMMRegressor(penalty, alpha=3.0, task_column=0, tol=1e-10).fit(rows.long, rows.y)
    W, b = model.coef_, model.intercept_
    size = {"rtol": 0, "atol": 1e-6 * np.abs(W).max()}
    order, columns = rng.permutation(len(rows.y)), rng.permutation(3)
    other = clone(model).fit(rows.long[order], rows.y[order])
    assert_allclose(other.coef_, W, **size)
    other = clone(model).fit(np.column_stack([rows.codes, rows.X[:, columns]]), rows.y)
    assert_allclose(other.coef_, W[:, columns], **size)
    tasks = np.arange(4)[::-1] if isinstance(penalty, TemporalFused) else rng.permutation(4)
    other = clone(model).fit(np.column_stack([np.argsort(tasks)[rows.codes], rows.X]), rows.y)
    assert_allclose(other.coef_, W[tasks], **size)
    twice = clone(model).fit(np.vstack([rows.long] * 2), np.tile(rows.y, 2))
    other = clone(model).fit(rows.long, rows.y, np.full(len(rows.y), 2.0))
    assert_allclose(other.coef_, twice.coef_, **size)
    if "Ridge" not in repr(penalty):  # norms have the unit of the target
        other = clone(model).set_params(alpha=3e4).fit(rows.long, 1e4 * rows.y)
        assert_allclose(other.coef_, 1e4 * W, rtol=0, atol=1e4 * size["atol"])
        assert_allclose(other.intercept_, 1e4 * b, rtol=0, atol=1e-6 * 1e4 * np.abs(b).max())


SHAPES = ["constant", "duplicated", "task-constant", "one-row", "many-features"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("penalty", ["l1", "l21", "task_l2", "trace_norm", "temporal_fused"])
def test_degenerate_data(penalty, shape):
    """Accepted without a warning; coefficients without data stay at zero."""
    d = 12 if shape == "many-features" else 3
    rows = make_rows(sizes=(9, 1, 14, 7) if shape == "one-row" else (9, 5, 14, 7), d=d)
    if shape == "constant":
        rows.X[:, 1] = 3.0
    elif shape == "duplicated":
        rows.X[:, 1] = rows.X[:, 0]
    elif shape == "task-constant":
        rows.X[rows.codes == 1, 0] = 2.0
    model = ADMMRegressor(penalty, alpha=2.0, task_column=0).fit(rows.long, rows.y)
    assert 0 <= model.optimality_ <= 1e-8
    if shape == "constant" and penalty != "temporal_fused":
        without = clone(model).fit(np.delete(rows.long, 2, axis=1), rows.y)
        assert_allclose(np.delete(model.coef_, 1, axis=1), without.coef_, rtol=0, atol=1e-7)
        assert_allclose(model.coef_[:, 1], 0.0, rtol=0, atol=1e-9)
        assert_allclose(model.objective_, without.objective_, rtol=1e-9)


def test_a_feature_that_a_task_does_not_have():
    """Without intercepts its coefficient there is the penalty's alone, and has a certificate."""
    rows = make_rows()
    rows.X[rows.codes == 1, 0] = 0.0
    y = np.arange(len(rows.y)) % 2
    model = ADMMClassifier(
        MeanRegularized(1.0, 0.1) + L1(0.1), 0.01, task_column=0, fit_intercept=False
    )
    model.fit(rows.long, y)
    assert model.optimality_ <= 1e-8
    W, w, loss = cvxpy.Variable(model.coef_.shape), cvxpy.Variable(rows.X.shape[1]), 0.0
    for t in range(len(model.coef_)):
        own = rows.codes == t
        loss += cvxpy.sum(cvxpy.logistic(cvxpy.multiply(1.0 - 2 * y[own], rows.X[own] @ W[t])))
        loss += 0.005 * cvxpy.sum_squares(W[t] - w)
    loss += 0.0005 * cvxpy.sum_squares(w) + 0.001 * cvxpy.sum(cvxpy.abs(W))
    best = cvxpy.Problem(cvxpy.Minimize(loss)).solve(solver="CLARABEL")
    assert_allclose(model.objective_, best, rtol=1e-6)
