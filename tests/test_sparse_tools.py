"""Searches and inspection of a sparse X against the same numbers in a dense array."""

import tracemalloc
from contextlib import contextmanager

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_predict

from skmtl import (
    ADMMClassifier,
    ADMMRegressor,
    GraphRegularizedRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    PooledRegressor,
    SharedL2Regressor,
    alpha_max,
)
from skmtl.inspection import (
    CoefficientShrinkageDisplay,
    RegularizationPathDisplay,
    effective_dof,
    pooling_factor,
    sharing_report,
    task_affinity,
    task_similarity,
)
from skmtl.model_selection import RegularizationPathCV, TaskKFold
from skmtl.penalties import L21
from tests.data.test_sparse import long, make

COMMON = {"alpha": 0.7, "alpha_shared": 0.3, "alpha_intercept": 0.5, "tol": 1e-10}
FOLDS = TaskKFold(3, task_column=0)
ALPHAS = [0.1, 1.0, 10.0]


def case(classes=0, shape="tall"):
    """Return a model, X in COO and as an array, and y."""
    X, tasks, y = make(shape, classes=classes)
    model = MeanRegularizedClassifier if classes else MeanRegularizedRegressor
    Z = long(X, tasks)
    return model(**COMMON, task_column=0), Z.tocoo(), Z.toarray(), y


def wide_case():
    X, _, y = make("tall", wide=True)
    return MeanRegularizedRegressor(**COMMON), X.tocoo(), X.toarray(), y


def numbers(table):
    return table.select_dtypes("number").to_numpy(float)


SEARCHES = {
    "path": lambda model, X, y: RegularizationPathCV(model, ALPHAS, cv=FOLDS).fit(X, y),
    "grid": lambda model, X, y: GridSearchCV(model, {"alpha": ALPHAS}, cv=FOLDS).fit(X, y),
}


@pytest.mark.parametrize("classes", [0, 2])
@pytest.mark.parametrize("search", SEARCHES)
def test_searches(search, classes):
    model, X, D, y = case(classes)
    a, b = SEARCHES[search](model, X.tocsr(), y), SEARCHES[search](model, D, y)
    name = "mean_test_score"
    np.testing.assert_allclose(a.cv_results_[name], b.cv_results_[name], 1e-7)
    np.testing.assert_array_equal(a.predict(X), a.best_estimator_.predict(X))
    assert a.best_params_ == b.best_params_


def test_path_of_coo_and_without_leave_one_out():
    model, X, D, y = case()
    options = {"scoring": "neg_mean_squared_error"}
    a, b = (RegularizationPathCV(model, ALPHAS, cv=cv, **options) for cv in (None, 5))
    a.fit(X, y)
    b.fit(D, y)
    assert a.n_splits_ == b.n_splits_ == 5
    np.testing.assert_allclose(
        a.cv_results_["mean_test_score"], b.cv_results_["mean_test_score"], 1e-7
    )
    RegularizationPathDisplay.from_estimator(a)
    plt.close("all")


@pytest.mark.parametrize("classes", [0, 2])
def test_predictions_of_folds(classes):
    model, X, D, y = case(classes)
    method = "predict_proba" if classes else "predict"
    a, b = (cross_val_predict(model, data, y, cv=FOLDS, method=method) for data in (X, D))
    np.testing.assert_allclose(a, b, 1e-6, 1e-7)


FUNCTIONS = {
    "effective_dof": lambda model, X, y: effective_dof(clone(model).fit(X, y), X, y),
    "pooling_factor": lambda model, X, y: pooling_factor(clone(model).fit(X, y), X, y),
    "affinity": lambda model, X, y: task_affinity(X, y, model, cv=2),
    "cosine": lambda model, X, y: task_similarity(clone(model).fit(X, y), "cosine", X=X),
    "distance": lambda model, X, y: task_similarity(clone(model).fit(X, y), "distance", X=X),
}


@pytest.mark.parametrize("data", ["regressor", "broad", "classifier", "classes", "wide"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_inspection(name, data):
    cases = {"regressor": case, "broad": lambda: case(0, "broad"), "classifier": lambda: case(2)}
    cases |= {"classes": lambda: case(3), "wide": wide_case}
    model, X, D, y = cases[data]()
    a, b = (np.asarray(FUNCTIONS[name](model, part, y)) for part in (X, D))
    np.testing.assert_allclose(a, b, 1e-6, 1e-6 * np.nanmax(np.abs(b)))


def test_report():
    model, X, D, y = case()
    a, b = (sharing_report(part, y, model, cv=2) for part in (X, D))
    np.testing.assert_allclose(numbers(a), numbers(b), 1e-6, 1e-9)


def test_shrinkage_display():
    model, X, D, y = case()
    drawn = []
    for part in (X, D):
        model.fit(part, y)
        for features in ("intercept", 4):
            ax = CoefficientShrinkageDisplay.from_estimator(model, part, y, features=features).ax_
            drawn.append([line.get_xydata() for line in ax.get_lines()])
    plt.close("all")
    for a, b in zip(drawn[:2], drawn[2:], strict=True):
        for line, expected in zip(a, b, strict=True):
            np.testing.assert_allclose(line, expected, 1e-5, 1e-5)


@pytest.mark.parametrize("classes", [0, 2])
def test_alpha_max(classes):
    _, X, D, y = case(classes)
    model = (ADMMClassifier if classes else ADMMRegressor)(L21(), 1.0, task_column=0)
    assert alpha_max(model, X, y) == pytest.approx(alpha_max(model, D, y), rel=1e-7)


@pytest.mark.parametrize(("classes", "alpha"), [(0, 0.0), (0, 0.7), (3, 0.7)])
def test_pooling_of_more_features_than_rows(alpha, classes):
    """Columns of zeros add factors of 1, where the penalty pulls, to those of the others."""
    model, _, D, y = case(classes)
    model.set_params(alpha=alpha, alpha_intercept=0.5, alpha_shared=1.0, tol=1e-8)
    d, n = D.shape[1] - 1, len(D)
    few = pooling_factor(clone(model).fit(D, y), D, y)
    broad = np.column_stack([D, np.zeros((n, n))])
    many = pooling_factor(clone(model).fit(broad, y), broad, y)
    expected = few * (d + 1) + n * (alpha > 0)
    np.testing.assert_allclose(many * (d + n + 1), expected, 1e-6)


@contextmanager
def at_most(limit):
    """Fail if a block allocates more bytes at a time."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit


@pytest.fixture(scope="module")
def text():
    rng = np.random.default_rng(0)
    n, d, k = 300, 20_000, 20
    parts = rng.random(n * k) + 0.1, rng.integers(0, d, n * k), np.arange(0, n * k + 1, k)
    X = sparse.csr_array(parts, shape=(n, d))
    y = X @ rng.normal(size=d) + rng.normal(size=n)
    return long(X, rng.integers(0, 5, n)), y


MODELS = {
    "mean": MeanRegularizedRegressor(1.0, alpha_shared=0.5, task_column=0),
    "free_center": MeanRegularizedRegressor(1.0, task_column=0),
    "minimax": MeanRegularizedRegressor(1.0, task_weight="minimax", task_column=0),
    "auto": MeanRegularizedRegressor("auto", alpha_shared=0.5, alpha_intercept=1.0, task_column=0),
    "classifier": MeanRegularizedClassifier(1.0, alpha_shared=0.5, task_column=0),
    "pooled": PooledRegressor(1.0, task_column=0),
    "pooled_free": PooledRegressor(0.0, task_column=0),
    "separate": SharedL2Regressor(1.0, task_column=0),
    "separate_free": SharedL2Regressor(0.0, task_column=0),
    "graph": GraphRegularizedRegressor(1.0, alpha_shared=0.5, task_column=0),
    "l21": ADMMRegressor(L21(), 40.0, task_column=0, tol=1e-4),
}


@pytest.mark.filterwarnings("ignore:alpha='auto' estimates one variance")
@pytest.mark.parametrize("kind", MODELS)
def test_no_matrix_of_all_pairs_of_features(kind, text):
    X, y = text
    model = clone(MODELS[kind])
    y = y > 0 if kind == "classifier" else y
    with at_most(200e6):  # such a matrix takes 3.2e9 bytes
        model.fit(X, y)
        if kind == "mean":
            pooling_factor(model, X, y)
            effective_dof(model, X, y)
            task_similarity(model, X=X)
            RegularizationPathCV(model, [0.5, 2.0], cv=2).fit(X, y)
            model.set_params(warm_start=True, alpha=2.0).fit(X, y)
            model.adapt(X.tocsr()[:5], y[:5])
