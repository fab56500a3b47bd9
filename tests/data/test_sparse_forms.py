"""Forms of a sparse X, what is estimated from it, searches, and X that is too large for blocks."""

import numpy as np
import pytest
from joblib import dump, load
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, cross_val_predict

from skmtl import (
    ADMMClassifier,
    ADMMRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    SharedL2Regressor,
    TaskMoments,
    alpha_max,
)
from skmtl.data import _sparse
from skmtl.inspection import effective_dof, pooling_factor, sharing_report
from skmtl.model_selection import RegularizationPathCV, TaskKFold
from skmtl.penalties import L1, L21, TraceNorm

REGRESSOR = MeanRegularizedRegressor(1.0, alpha_shared=0.2, task_column=0)
CLASSIFIER = MeanRegularizedClassifier(1.0, alpha_shared=0.2, task_column=0)
FORMATS = ("csr", "csc", "coo", "lil", "dok", "bsr")


@pytest.fixture(scope="module")
def rows():
    """Return a dense X with labels in front, a target and two classes."""
    rng = np.random.default_rng(0)
    X = sparse.random_array((200, 12), density=0.3, random_state=rng).toarray()
    X[:, 0] = rng.integers(0, 4, 200)
    y = X[:, 1:] @ rng.normal(size=11) * 3 + rng.normal(size=200) + 0.3 * X[:, 0]
    return X, y, (y > np.median(y)).astype(int)


@pytest.fixture
def large(monkeypatch):
    """Let X count as too large for blocks."""
    monkeypatch.setattr(_sparse.SparseLayout, "expensive_blocks", True)


def assert_same(model, X, dense, y, rtol=1e-7, **fit):
    """Fit a model to both, and compare coefficients and predictions."""
    own, other = clone(model).fit(X, y, **fit), clone(model).fit(dense, y, **fit)
    method = "predict_proba" if is_classifier(model) else "predict"
    for a, b in (
        (own.coef_, other.coef_),
        (getattr(own, method)(X), getattr(other, method)(dense)),
    ):
        np.testing.assert_allclose(a, b, rtol, rtol * np.abs(b).max())
    return own


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csr_matrix])
@pytest.mark.parametrize("form", FORMATS)
def test_formats(rows, form, kind):
    X, y, _ = rows
    assert_same(REGRESSOR, kind(X).asformat(form), X, y)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.int8, np.uint8, bool])
def test_types(rows, dtype):
    X = np.round(rows[0] * 3).astype(dtype)
    assert_same(REGRESSOR, sparse.csr_array(X), X.astype(float), rows[1])


@pytest.mark.parametrize("solver", ["direct", "cg"])
@pytest.mark.parametrize("task_column", [0, None])
def test_indices_duplicates_explicit_zeros(rows, task_column, solver):
    X = rows[0].copy()
    given = sparse.csr_array(X)
    given.data[::7] = 0.0
    X = given.toarray()
    given = sparse.csr_array(
        (
            np.repeat(given.data / 2, 2),
            np.repeat(given.indices, 2).astype(np.int64),
            2 * given.indptr.astype(np.int64),
        ),
        shape=X.shape,
    )
    before = [part.copy() for part in (given.data, given.indices, given.indptr)]
    for part in (given.data, given.indices, given.indptr):
        part.flags.writeable = False
    model = clone(REGRESSOR).set_params(task_column=task_column, solver=solver, tol=1e-10)
    assert_same(model, given, X, rows[1])
    for part, old in zip((given.data, given.indices, given.indptr), before, strict=True):
        np.testing.assert_array_equal(part, old)


def test_memory_mapped(rows, tmp_path):
    X, y, _ = rows
    dump(sparse.csr_array(X), tmp_path / "X")
    assert_same(REGRESSOR, load(tmp_path / "X", mmap_mode="r"), X, y)


@pytest.mark.parametrize("column", [0, 5, 11, -1, -12])
def test_the_labels_may_be_in_any_column(rows, column):
    X, y, _ = rows
    moved = np.insert(X[:, 1:], column % 12, -3 * X[:, 0], axis=1)
    model = clone(REGRESSOR).set_params(task_column=column)
    assert_same(model, sparse.csc_array(moved), moved, y)


@pytest.mark.parametrize("solver", ["direct", "cg"])
@pytest.mark.parametrize("everywhere", [True, False])
def test_offsets(rows, everywhere, solver):
    X, y = rows[0].copy(), rows[1]
    X[:, 3] += 1e8 if everywhere else 1e5 * (X[:, 0] == 1)
    model = clone(REGRESSOR).set_params(solver=solver, tol=1e-10, max_iter=10_000)
    assert_same(model, sparse.csr_array(X), X, y, rtol=1e-6)


@pytest.mark.parametrize(
    "parameters",
    [
        {"fit_intercept": False},
        {"alpha": 1e-3},
        {"alpha": np.inf},
        {"alpha_shared": 0.0},
        {"alpha_shared": np.inf},
        {"alpha_intercept": 0.0},
        {"alpha_intercept": np.inf},
        {"task_weight": "balanced"},
        {"task_weight": {0: 1.0, 1: 2.0, 2: 0.5, 3: 0.0}},
    ],
    ids=str,
)
@pytest.mark.parametrize("solver", ["direct", "cg"])
@pytest.mark.parametrize("model", [REGRESSOR, CLASSIFIER])
def test_parameters(rows, model, solver, parameters):
    X, y, classes = rows
    y = classes if is_classifier(model) else y
    model = clone(model).set_params(**{"solver": solver, "tol": 1e-10} | parameters)
    kept = X[:, 0] < 3 if "task_weight" in parameters else X[:, 0] < 4
    weight = np.random.default_rng(1).random(len(y)).round(1)
    assert_same(model, sparse.csr_array(X)[kept], X[kept], y[kept], sample_weight=weight[kept])


def test_least_squares(rows):
    """Of smallest norm: the last feature is there twice."""
    X, y, _ = rows
    X = np.column_stack([X, X[:, -1]])
    assert_same(SharedL2Regressor(0.0, task_column=0), sparse.csr_array(X), X, y)


@pytest.mark.parametrize("task_weight", ["uncertainty", "minimax"])
def test_named_weights(rows, task_weight):
    X, y, _ = rows
    model = clone(REGRESSOR).set_params(task_weight=task_weight)
    assert_same(model, sparse.csr_array(X), X, y, rtol=1e-6)


def test_minimax_without_blocks(rows, large):
    X, _, y = rows
    model = clone(CLASSIFIER).set_params(task_weight="minimax", tol=1e-9)
    assert_same(model, sparse.csr_array(X), X, y, rtol=1e-6)


@pytest.mark.parametrize("n", [200, 10])
def test_estimated_penalty_weights(rows, n):
    """Also with fewer rows than features, in the space of the rows."""
    order = np.argsort(np.arange(200) % 20, kind="stable")[:n]
    X, y, classes = (part[order] for part in rows)
    if n == 10:
        X[:, 0], y = np.arange(n) % 2, np.random.default_rng(2).normal(size=n)
    model = MeanRegularizedRegressor("auto", alpha_shared=1.0, task_column=0)
    own = assert_same(model, sparse.csr_array(X), X, y, rtol=1e-5)
    assert own.sigma2_ > 0
    if n > 10:
        model = MeanRegularizedClassifier("auto", alpha_shared=1.0, task_column=0)
        assert_same(model, sparse.csr_array(X), X, classes, rtol=1e-4)


@pytest.mark.parametrize("solver", ["direct", "cg"])
@pytest.mark.parametrize("model", [REGRESSOR, CLASSIFIER])
def test_adapt(rows, model, solver):
    X, y, classes = rows
    y = classes if is_classifier(model) else y
    new, model = X[:40].copy(), clone(model).set_params(solver=solver, tol=1e-10)
    new[:, 0] = 9
    own = model.fit(sparse.csr_array(X), y).adapt(sparse.csr_array(new), y[:40])
    other = model.fit(X, y).adapt(new, y[:40])
    np.testing.assert_allclose(own.coef_, other.coef_, 1e-7, 1e-8)
    np.testing.assert_array_equal(own.tasks_, [0, 1, 2, 3, 9])


@pytest.mark.parametrize("form", ["csr", "coo"])
@pytest.mark.parametrize(
    "search",
    [
        lambda model: RegularizationPathCV(model, alphas=[0.1, 1.0, 10.0], cv=3),
        lambda model: GridSearchCV(model, {"alpha": [0.1, 1.0]}, cv=TaskKFold(3, task_column=0)),
    ],
)
@pytest.mark.parametrize("model", [REGRESSOR, CLASSIFIER, ADMMRegressor("l21", task_column=0)])
def test_searches(rows, model, search, form):
    X, y, classes = rows
    y = classes if is_classifier(model) else y
    own = search(model).fit(sparse.csr_array(X).asformat(form), y)
    assert own.best_score_ == pytest.approx(search(model).fit(X, y).best_score_, rel=1e-6)


def test_inspection(rows):
    X, y, classes = rows
    given, folds = sparse.coo_array(X), TaskKFold(3, task_column=0)
    own, other = clone(REGRESSOR).fit(given, y), clone(REGRESSOR).fit(X, y)
    for function in (effective_dof, pooling_factor):
        np.testing.assert_allclose(function(own, given, y), function(other, X, y), 1e-7)
    reports = [sharing_report(given, y, REGRESSOR), sharing_report(X, y, REGRESSOR)]
    np.testing.assert_allclose(reports[0].gain, reports[1].gain, 1e-6)
    norm = ADMMClassifier("trace_norm", task_column=0)
    assert alpha_max(norm, given, classes) == pytest.approx(alpha_max(norm, X, classes), rel=1e-9)
    np.testing.assert_allclose(
        cross_val_predict(REGRESSOR, given, y, cv=folds),
        cross_val_predict(REGRESSOR, X, y, cv=folds),
    )


@pytest.mark.parametrize(
    ("classes", "wide"), [(0, False), (2, False), (3, False), (0, True), (2, True)]
)
@pytest.mark.parametrize("penalty", [L1(), L21(), TraceNorm()])
def test_proximal_gradients_end_where_admm_does(rows, classes, penalty, wide):
    X, y, two = rows
    if wide:
        X, y = X[:, 1:], np.column_stack([y, np.roll(y, 3)])
        two = (y > 0).astype(int)
    target = {0: y, 2: two, 3: np.digitize(rows[1], [-1.0, 1.0])}[classes]
    model = (ADMMClassifier if classes else ADMMRegressor)(
        penalty, 1.5, task_column=None if wide else 0, tol=1e-9
    )
    expected = clone(model).fit(X, target)
    for given in (X, sparse.csr_array(X)):
        own = clone(model).set_params(solver="proximal").fit(given, target)
        assert own.optimality_ <= 1e-9
        assert own.objective_ == pytest.approx(expected.objective_, rel=1e-9)
        np.testing.assert_allclose(own.coef_, expected.coef_, 1e-6, 1e-6)


def test_large_problems_form_no_blocks(large, monkeypatch):
    """Neither fits nor searches ask for moments or eigenvectors."""

    def refuse(*_):
        raise AssertionError("blocks")

    monkeypatch.setattr(_sparse.SparseLayout, "_check_memory", refuse)
    rng = np.random.default_rng(0)
    X = sparse.random_array((60, 400), density=0.05, random_state=rng, format="csr")
    tasks, y = np.arange(60) % 3, rng.normal(size=60)
    X = sparse.hstack([sparse.csr_array(tasks[:, None].astype(float)), X], format="csr")
    for model, target in (
        (REGRESSOR, y),
        (CLASSIFIER, y > 0),
        (CLASSIFIER, np.digitize(y, [-0.5, 0.5])),
        (SharedL2Regressor(task_column=0), y),
        (ADMMRegressor("l21", task_column=0), y),
        (RegularizationPathCV(REGRESSOR, alphas=[0.1, 1.0], cv=2), y),
    ):
        clone(model).fit(X, target).predict(X)


def test_too_large_for_what_needs_matrices(rows, monkeypatch):
    X, y, _ = rows
    X = sparse.csr_array(X)
    model = clone(REGRESSOR).fit(X, y)
    monkeypatch.setattr(_sparse, "memory_limit", lambda: 1000.0)
    message = "Matrices of 11 rows and columns are needed, .* TruncatedSVD"
    for given in ({"alpha": "auto"}, {"task_weight": "uncertainty"}):
        with pytest.raises(ValueError, match=message):
            clone(REGRESSOR).set_params(**given).fit(X, y)
    with pytest.raises(ValueError, match=message):
        effective_dof(model, X, y)


@pytest.mark.parametrize(
    ("value", "message"),
    [(0.5, "floats with a fraction"), (np.nan, "missing labels"), (np.inf, "missing labels")],
)
def test_labels_that_are_no_whole_numbers(rows, value, message):
    X, y, _ = rows
    model = clone(REGRESSOR).fit(sparse.csr_array(X), y)
    before, wrong = model.coef_, X.copy()
    wrong[7, 0] = value
    with pytest.raises(ValueError, match=message):
        model.fit(sparse.csr_array(wrong), y)
    assert model.coef_ is before


def test_wrong_input(rows):
    X, y, _ = rows
    given = sparse.csr_array(X)
    model = clone(REGRESSOR).fit(given, y)
    before, wrong = model.coef_, given.copy()
    for value in (np.nan, np.inf):
        wrong.data[3] = value
        with pytest.raises(ValueError, match="Input X contains"):
            model.fit(wrong, y)
    with pytest.raises(ValueError, match="Complex data"):
        model.fit(given * 1j, y)
    with pytest.raises(ValueError, match="is a name, and X is an array"):
        clone(REGRESSOR).set_params(task_column="shop").fit(given, y)
    with pytest.raises(ValueError, match="expecting 12 features"):
        model.predict(given[:, :5])
    with pytest.raises(TypeError, match="X is sparse, and the moments of 11 features are dense"):
        clone(model).partial_fit(given, y)
    with pytest.raises(TypeError, match="X is sparse"):
        TaskMoments.from_data(given, y, task_column=0)
    assert model.coef_ is before
