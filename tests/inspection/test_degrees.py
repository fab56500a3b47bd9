"""Degrees of freedom against derivatives of predictions, pooling against moves of the center."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

from skmtl import (
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
from skmtl.inspection import effective_dof, pooling_factor
from skmtl.pipeline import make_task_pipeline
from tests._problems import make_rows, make_wide, models

CHAIN = [(0, 1, 2.0), (1, 2), (2, 3, 0.5)]
GRAPHS = {
    "chain": GraphRegularizedRegressor(3.0, task_graph=CHAIN, alpha_shared=0.2),
    "all-pairs": GraphRegularizedRegressor(3.0, alpha_shared=0.2),
    "no-intercept": GraphRegularizedRegressor(3.0, task_graph=CHAIN, fit_intercept=False),
}
NAMES = ("pooled", "pooled-random-intercepts", "separate-array", "mean-array", "mean-mixed")
NAMES += ("mean-one-intercept", "mean-no-intercept")
REGRESSORS = {name: models(None)[name] for name in NAMES} | GRAPHS


def derivatives(model, X, y, weight=None):
    """What each prediction moves by when its own target moves by one: fits are linear in y."""
    given = {} if weight is None else {"sample_weight": weight}
    base, result = clone(model).fit(X, y, **given).predict(X), np.empty(len(y))
    for i in range(len(y)):
        moved = y.copy()
        moved[i] += 1.0
        result[i] = (clone(model).fit(X, moved, **given).predict(X) - base)[i]
    return result


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("model", REGRESSORS.values(), ids=REGRESSORS)
def test_degrees_are_derivatives_of_predictions(model, weighted):
    rows = make_rows()
    weight = np.random.default_rng(1).uniform(0.2, 3.0, len(rows.y)) if weighted else None
    model = clone(model).set_params(task_column=0)
    expected = np.bincount(rows.codes, derivatives(model, rows.long, rows.y, weight))
    df = effective_dof(model.fit(rows.long, rows.y, weight), rows.long, rows.y, weight)
    assert_allclose(df, expected, atol=1e-8)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_degrees_of_the_wide_form(missing):
    X, Y = make_wide(missing=missing)
    model = MeanRegularizedRegressor(2.0, task_weight=[1.0, 2.0, 0.5, 1.0])
    observed = ~np.isnan(Y)
    base, expected = clone(model).fit(X, Y).predict(X), np.zeros(4)
    for i, t in zip(*np.nonzero(observed), strict=True):
        moved = Y.copy()
        moved[i, t] += 1.0
        expected[t] += (clone(model).fit(X, moved).predict(X) - base)[i, t]
    assert_allclose(effective_dof(model.fit(X, Y), X, Y), expected, atol=1e-8)


def test_degrees_follow_a_pipeline_and_weights_of_zero():
    rows = make_rows()
    pipe = make_task_pipeline(StandardScaler(), MeanRegularizedRegressor(2.0, task_column=0))
    pipe.fit(rows.long, rows.y)
    expected = np.bincount(rows.codes, derivatives(pipe, rows.long, rows.y))
    assert_allclose(effective_dof(pipe, rows.long, rows.y), expected, atol=1e-8)
    model = MeanRegularizedRegressor(2.0, task_column=0)
    weight = np.ones(len(rows.y))
    weight[::3] = 0.0
    kept = weight > 0
    absent = model.fit(rows.long, rows.y, weight)
    found = [f(absent, rows.long, rows.y, weight) for f in (effective_dof, pooling_factor)]
    part = clone(model).fit(rows.long[kept], rows.y[kept])
    for f, value in zip((effective_dof, pooling_factor), found, strict=True):
        assert_allclose(value, f(part, rows.long[kept], rows.y[kept]), rtol=1e-12)


CLASSIFIERS = {
    "mean": MeanRegularizedClassifier(2.0, alpha_shared=0.5),
    "mean-array": MeanRegularizedClassifier([0.5, 2.0, 8.0], alpha_shared=0.5, task_column=0),
    "mean-free-center": MeanRegularizedClassifier(2.0, alpha_shared=0.0, alpha_intercept=0.0),
    "separate": SharedL2Classifier(1.5),
    "pooled": PooledClassifier(0.7, alpha_intercept=2.0),
    "pooled-slopes": MeanRegularizedClassifier([1.0, np.inf, 3.0], alpha_shared=0.5),
    "no-intercept": MeanRegularizedClassifier(2.0, alpha_shared=0.5, fit_intercept=False),
    "graph": GraphRegularizedClassifier(2.0, task_graph=CHAIN[:2], alpha_shared=0.4),
    "graph-no-intercept": GraphRegularizedClassifier(
        2.0, task_graph=CHAIN[:2], alpha_shared=0.4, fit_intercept=False
    ),
}


OFTEN = [("mean", 2), ("mean", 3), ("mean-array", 2), ("pooled", 2), ("pooled-slopes", 2)]
OFTEN += [("graph", 2)]
CASES = {(name, K): (model, K) for name, model in CLASSIFIERS.items() for K in (2, 3)}


@pytest.mark.parametrize(
    ("model", "n_classes"),
    [
        pytest.param(*case, id=f"{key[0]}-{key[1]}", marks=() if key in OFTEN else pytest.mark.slow)
        for key, case in CASES.items()
    ],
)
def test_degrees_of_classifiers_are_derivatives_of_probabilities(model, n_classes):
    """Every row has every class by some weight, so that its target can move."""
    rows, K = make_rows(sizes=(5, 7, 4), d=2), n_classes
    n, random = len(rows.y), np.random.default_rng(2)
    target = random.dirichlet(np.ones(K), n)
    X, y = np.repeat(rows.long, K, axis=0), np.tile(np.arange(K), n)
    model = clone(model).set_params(task_column=0, tol=1e-12, max_iter=1000)

    def probabilities(target):
        return clone(model).fit(X, y, target.ravel()).predict_proba(rows.long)

    expected, step = np.zeros(3), 1e-4 * target.min()
    for i in range(n):
        for k in range(K):
            move = np.zeros_like(target)
            move[i] = step * (np.arange(K) == k) - step / K
            difference = probabilities(target + move) - probabilities(target - move)
            expected[rows.codes[i]] += difference[i, k] / (2 * step)
    model.fit(X, y, target.ravel())
    assert_allclose(effective_dof(model, X, y, target.ravel()), expected, rtol=1e-5)


def moves_of_the_center(model, X, y):
    """Mean share of a move of the center that the tasks follow, refitted given it: (T,)."""
    d, middle = model.coef_.shape[1], model._reference.center
    base, shares = model.adapt(X, y), []
    for j in range(d + 1):
        moved = copy.deepcopy(model)
        if j < d:  # about the mean of the features, the centered intercept stays
            moved.shared_coef_ = model.shared_coef_ + (np.arange(d) == j)
            moved.shared_intercept_ = model.shared_intercept_ - middle[j]
        else:
            moved.shared_intercept_ = model.shared_intercept_ + 1.0
        moved = moved.adapt(X, y)
        W = moved.coef_ - base.coef_
        intercept = moved.intercept_ - base.intercept_ + W @ middle
        shares.append(np.column_stack([W, intercept])[:, j])
    return np.mean(shares, axis=0)


@pytest.mark.parametrize("params", [{}, {"alpha": [0.3, 40.0, 2.0, 7.0]}, {"alpha_intercept": 9.0}])
def test_pooling_is_the_share_of_a_move_of_the_center(params):
    rows = make_rows()
    model = MeanRegularizedRegressor(3.0, task_column=0).set_params(**params)
    model.fit(rows.long, rows.y)
    adapting = copy.deepcopy(model)  # adapt takes no array in the order of the tasks of fit
    if np.ndim(model.alpha):
        adapting.alpha = dict(enumerate(model.alpha))
    expected = moves_of_the_center(adapting, rows.long, rows.y)
    assert_allclose(pooling_factor(model, rows.long, rows.y), expected, atol=1e-9)


def test_pooling_of_means_is_that_of_gelman_and_pardoe():
    counts, noise, between = np.array([2, 5, 20]), 1.7, 0.4
    task = np.repeat([0, 1, 2], counts)
    X = np.column_stack([task, np.ones(len(task))])
    y = np.random.default_rng(0).normal(size=len(task))
    model = MeanRegularizedRegressor(noise / between, task_column=0, fit_intercept=False)
    expected = (noise / counts) / (noise / counts + between)
    assert_allclose(pooling_factor(model.fit(X, y), X, y), expected, rtol=1e-12)


@pytest.mark.parametrize("alpha_shared", [0.0, 0.6])
def test_pooling_along_a_graph(alpha_shared):
    rows, d = make_rows(), 3
    model = GraphRegularizedRegressor(
        3.0, task_graph=CHAIN, alpha_shared=alpha_shared, alpha_intercept=2.0, task_column=0
    ).fit(rows.long, rows.y)
    Z = np.column_stack([rows.X - rows.X.mean(axis=0), np.ones(len(rows.y))])
    for t, degree in enumerate([2.0, 3.0, 1.5, 0.5]):  # sums of the weights of edges
        links = np.append(np.full(d, 3.0 * degree), 2.0 * degree)
        to_zero = np.append(np.full(d, alpha_shared), 0.0)
        own = Z[rows.codes == t]
        M = own.T @ own + np.diag(links + to_zero)
        expected = np.trace(np.linalg.solve(M, np.diag(links))) / (d + 1)
        assert_allclose(pooling_factor(model, rows.long, rows.y)[t], expected, rtol=1e-9)


def test_pooling_of_three_classes_by_the_dense_curvature():
    rows = make_rows(sizes=(15, 27, 14), d=2)
    y = np.random.default_rng(2).integers(0, 3, len(rows.y))
    model = MeanRegularizedClassifier(2.0, alpha_intercept=0.5, task_column=0)
    p = model.fit(rows.long, y).predict_proba(rows.long)
    Z = np.column_stack([rows.X - rows.X.mean(axis=0), np.ones(len(y))])
    D = np.diag(np.tile([2.0, 2.0, 0.5], 3))
    for t in range(3):
        H = sum(
            np.kron(np.diag(p[i]) - np.outer(p[i], p[i]), np.outer(Z[i], Z[i]))
            for i in np.flatnonzero(rows.codes == t)
        )
        expected = np.trace(np.linalg.solve(H + D, D)) / 9
        assert_allclose(pooling_factor(model, rows.long, y)[t], expected, rtol=1e-8)


def test_limits():
    rows = make_rows()
    X, y = rows.long, rows.y
    separate = SharedL2Regressor(1.5, task_column=0).fit(X, y)
    assert_allclose(pooling_factor(separate, X, y), 0.0, atol=1e-12)
    pooled = PooledRegressor(0.0, task_column=0).fit(X, y)
    assert_allclose(pooling_factor(pooled, X, y), 1.0)
    assert effective_dof(pooled, X, y).sum() == pytest.approx(4)
    own = SharedL2Regressor(0.0, task_column=0).fit(X, y)
    assert_allclose(effective_dof(own, X, y), 4.0)


def test_latent_tasks_spend_nothing_and_take_all():
    rows = make_rows()
    task = np.array(["a", "b", "c", "d"], dtype=object)[rows.codes]
    X = np.column_stack([task, rows.X.astype(object)])
    graph = [("root", name) for name in "abcd"]
    model = GraphRegularizedRegressor(2.0, task_graph=graph, task_column=0).fit(X, rows.y)
    root = model.tasks_.tolist().index("root")
    df, factor = effective_dof(model, X, rows.y), pooling_factor(model, X, rows.y)
    assert (df[root], factor[root]) == (0.0, 1.0)
    expected = np.bincount(rows.codes, derivatives(model, X, rows.y))
    assert_allclose(np.delete(df, root), expected, atol=1e-8)


def test_errors():
    rows = make_rows()
    X, y = rows.long, rows.y
    model = ADMMRegressor("l21", task_column=0).fit(X, y)
    with pytest.raises(TypeError, match="non-smooth"):
        effective_dof(model, X, y)
    few = X[:, 0] < 3
    model = MeanRegularizedRegressor(task_column=0).fit(X[few], y[few])
    with pytest.raises(ValueError, match="tasks that the model was not fitted to"):
        pooling_factor(model, X, y)
    rng = np.random.default_rng(0)
    Z, y = np.column_stack([np.arange(120) % 40, rng.normal(size=(120, 50))]), rng.normal(size=120)
    edges = [(t, t + 1) for t in range(39)]
    model = GraphRegularizedRegressor(task_graph=edges, alpha_shared=1.0, task_column=0).fit(Z, y)
    with pytest.raises(ValueError, match="2040 unknowns, and the limit is 2000"):
        effective_dof(model, Z, y)
    assert np.isfinite(pooling_factor(model, Z, y)).all()
