"""Sparse X against the same numbers in a dense array."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone, is_classifier

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
from skmtl.penalties import (
    L1,
    L21,
    Decomposed,
    Graph,
    NetworkLasso,
    Ridge,
    RobustMean,
    TemporalFused,
    TraceNorm,
)

T = 4
SHAPES = {"tall": (80, 9), "high": (200, 80), "broad": (30, 50)}
QUADRATIC = {
    "pooled": (PooledRegressor, PooledClassifier, {"alpha": 0.7}),
    "separate": (SharedL2Regressor, SharedL2Classifier, {"alpha": 0.7}),
    "mean": (
        MeanRegularizedRegressor,
        MeanRegularizedClassifier,
        {"alpha": 0.7, "alpha_shared": 0.3, "alpha_intercept": 0.5},
    ),
    "mean_by_task": (
        MeanRegularizedRegressor,
        MeanRegularizedClassifier,
        {"alpha": [0.7, 0.2, np.inf, 3.0], "alpha_shared": 0.1, "alpha_intercept": 0.0},
    ),
    "graph": (
        GraphRegularizedRegressor,
        GraphRegularizedClassifier,
        {"alpha": 0.7, "alpha_shared": 0.3},
    ),
}
PENALTIES = {
    "l21": L21(),
    "l1": L1(),
    "trace_norm": TraceNorm(),
    "network_lasso": NetworkLasso() + Ridge(0.1),
    "temporal_fused": TemporalFused() + Ridge(0.1),
    "robust_mean": RobustMean() + Ridge(0.1),
    "sparse_group": L21() + L1(0.3),
    "dirty": Decomposed(L21(2.0), L1()),
    "graph": Graph(alpha_shared=0.1),
}


def make(shape, *, classes=0, wide=False, seed=0):
    """Return a CSR array with empty rows and columns, a full column, tasks without entries."""
    rng = np.random.default_rng(seed)
    n, d = SHAPES[shape]
    X = sparse.random_array((n, d), density=0.3, random_state=rng, format="lil")
    tasks = np.concatenate([np.arange(T), rng.integers(0, T, n - T)])
    X[[3, 7]], X[:, [2]] = 0.0, 0.0
    if not wide:
        X[tasks == T - 1] = 0.0
    X[:, [4]] = rng.normal(3.0, 1.0, (n, 1))
    X = X.tocsr()
    z = (X @ rng.normal(size=(d, T)))[np.arange(n), tasks] + rng.normal(size=n) + 0.3 * tasks
    if wide:
        z = X @ rng.normal(size=(d, T)) + rng.normal(size=(n, T))
    if classes:  # in every task
        z += 3.0 * rng.normal(size=z.shape)
        y = np.empty(z.shape, dtype=int)
        for own in [tasks == t for t in range(T)] if not wide else [slice(None)]:
            edges = np.quantile(z[own], np.linspace(0, 1, classes + 1)[1:-1], axis=0)
            y[own] = sum((z[own] > edge).astype(int) for edge in edges)
        return X, tasks, y
    return X, tasks, z


def long(X, tasks, position=0):
    parts = [X[:, :position], sparse.csr_array(tasks[:, None].astype(float)), X[:, position:]]
    return sparse.hstack(parts, format="csr")


def assert_equal_fits(a, b, rtol=1e-7):
    for name in ("coef_", "intercept_", "objective_", "shared_coef_", "shared_intercept_"):
        if hasattr(b, name):
            expected = np.asarray(getattr(b, name))
            scale = np.abs(np.asarray(b.coef_)).max() if "coef" in name else np.abs(expected).max()
            np.testing.assert_allclose(getattr(a, name), expected, rtol, rtol * scale, err_msg=name)


def assert_equal_predictions(a, b, X):
    methods = ("decision_function", "predict_proba") if is_classifier(a) else ("predict",)
    for method in methods:
        expected = np.asarray(getattr(b, method)(X.toarray()))
        scale = np.abs(expected).max()
        np.testing.assert_allclose(getattr(a, method)(X), expected, 1e-7, 1e-7 * scale)


@pytest.mark.parametrize("solver", ["auto", "cg"])
@pytest.mark.parametrize("classes", [0, 2, 3])
@pytest.mark.parametrize("kind", QUADRATIC)
@pytest.mark.parametrize("shape", SHAPES)
def test_quadratic_long(shape, kind, classes, solver):
    X, tasks, y = make(shape, classes=classes)
    regressor, classifier, parameters = QUADRATIC[kind]
    model = (classifier if classes else regressor)(**parameters, task_column=0, tol=1e-10)
    Z = long(X, tasks)
    dense = clone(model).fit(Z.toarray(), y)
    model.set_params(solver=solver, max_iter=100_000).fit(Z, y)
    assert_equal_fits(model, dense)
    assert_equal_predictions(model, dense, Z)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("solver", ["auto", "cg"])
@pytest.mark.parametrize("classes", [0, 2])
@pytest.mark.parametrize("kind", QUADRATIC)
@pytest.mark.parametrize("shape", SHAPES)
def test_quadratic_wide(shape, kind, classes, solver, missing):
    X, _, y = make(shape, classes=classes, wide=True)
    if missing:
        y = np.where(np.random.default_rng(1).random(y.shape) < 0.3, np.nan, y)
    regressor, classifier, parameters = QUADRATIC[kind]
    model = (classifier if classes else regressor)(**parameters, tol=1e-10)
    dense = clone(model).fit(X.toarray(), y)
    model.set_params(solver=solver, max_iter=100_000).fit(X, y)
    assert_equal_fits(model, dense)
    assert_equal_predictions(model, dense, X)


@pytest.mark.parametrize(
    ("shape", "classes"), [("tall", 0), ("tall", 2), ("tall", 3), ("broad", 0), ("broad", 2)]
)
@pytest.mark.parametrize("penalty", PENALTIES)
def test_norms(shape, penalty, classes):
    X, tasks, y = make(shape, classes=classes)
    model = (ADMMClassifier if classes else ADMMRegressor)(
        PENALTIES[penalty], 2.0, alpha_intercept=0.5, task_column=0, tol=1e-10, max_iter=100_000
    )
    Z = long(X, tasks)
    dense = clone(model).fit(Z.toarray(), y)
    model.fit(Z, y)
    assert_equal_fits(model, dense)
    assert_equal_predictions(model, dense, Z)
