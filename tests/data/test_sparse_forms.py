"""Every form of a sparse X, positions of labels, weights, limits of parameters and bad input."""

import tracemalloc

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

from skmtl import (
    ADMMClassifier,
    ADMMRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
    TaskMoments,
)
from skmtl.data import split_task_column
from skmtl.penalties import L1, L21, Ridge
from tests.data.test_sparse import T, assert_equal_fits, assert_equal_predictions, long, make

X, TASKS, Y = make("tall")
Z = long(X, TASKS)
DENSE = Z.toarray()
LABELS = {k: make("tall", classes=k)[2] for k in (2, 3)}
WIDE, _, Y_WIDE = make("tall", wide=True)
COMMON = {"alpha": 0.7, "alpha_shared": 0.3, "alpha_intercept": 0.5, "tol": 1e-10}
REGRESSOR = MeanRegularizedRegressor(**COMMON, task_column=0)
CLASSIFIER = MeanRegularizedClassifier(**COMMON, task_column=0)


def target(classes):
    return LABELS[classes] if classes else Y


def model_for(classes, **parameters):
    return clone(CLASSIFIER if classes else REGRESSOR).set_params(**parameters)


def check(model, S, D, y, rtol=1e-7, **fit):
    a, b = clone(model).fit(S, y, **fit), clone(model).fit(D, y, **fit)
    assert_equal_fits(a, b, rtol)
    return a, b


def repeated(order, matrix):
    """Return Z with three entries, which sum to it, for each of its own, and the rows sorted."""
    rows, values = np.repeat(np.arange(Z.shape[0]), np.diff(Z.indptr)), Z.data
    coo = np.tile(rows, 3), np.tile(Z.indices, 3)
    values = np.concatenate([2 * values, -values, 0 * values])
    place = np.random.default_rng(0).permutation(len(values))
    if order == "coo":
        return matrix((values[place], (coo[0][place], coo[1][place])), shape=Z.shape)
    major, minor = coo if order == "csr" else coo[::-1]
    place = place[np.argsort(major[place], kind="stable")]
    starts = np.concatenate([[0], np.cumsum(np.bincount(major))])
    return matrix((values[place], minor[place], starts), shape=Z.shape)


@pytest.mark.parametrize("kind", ["array", "matrix"])
@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
def test_forms(form, kind):
    convert = getattr(sparse, f"{form}_{kind}")
    S = convert(Z)
    assert_equal_predictions(*check(REGRESSOR, S, DENSE, Y), Z)
    assert clone(REGRESSOR).fit(S, Y).score(S, Y) == pytest.approx(
        clone(REGRESSOR).fit(DENSE, Y).score(DENSE, Y), abs=1e-9
    )
    wide = clone(REGRESSOR).set_params(task_column=None)
    check(wide, convert(WIDE), WIDE.toarray(), Y_WIDE)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int64, np.float32, np.longdouble])
def test_types_of_numbers(dtype):
    S = Z.copy()
    S.data = np.round(np.abs(S.data)).astype(dtype)
    check(REGRESSOR, S, S.toarray().astype(float), Y)


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_indices_of_64_bits(form):
    S = Z.asformat(form, copy=True)
    S.indices, S.indptr = S.indices.astype(np.int64), S.indptr.astype(np.int64)
    assert_equal_predictions(*check(CLASSIFIER, S, DENSE, LABELS[2]), S)


@pytest.mark.parametrize("column", [0, None])
@pytest.mark.parametrize("kind", ["array", "matrix"])
@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_repeated_unsorted_and_explicit_zeros_stay_as_they_are(form, kind, column):
    S = repeated(form, getattr(sparse, f"{form}_{kind}"))
    names = ("data", "row", "col") if form == "coo" else ("data", "indices", "indptr")
    flags = () if form == "coo" else ("has_sorted_indices", "has_canonical_format")
    before = [getattr(S, name).copy() for name in names], [getattr(S, name) for name in flags]
    y = Y if column == 0 else np.column_stack([Y, np.abs(Y)])
    check(clone(REGRESSOR).set_params(task_column=column), S, DENSE, y)
    for name, expected in zip(names, before[0], strict=True):
        np.testing.assert_array_equal(getattr(S, name), expected)
    assert [getattr(S, name) for name in flags] == before[1]


@pytest.mark.parametrize("column", [0, None])
@pytest.mark.parametrize("form", ["csr", "csc"])
def test_memory_maps(form, column, tmp_path):
    S = Z.asformat(form)
    parts = []
    for name in ("data", "indices", "indptr"):
        np.save(tmp_path / f"{name}.npy", getattr(S, name))
        parts.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    S = getattr(sparse, f"{form}_array")(tuple(parts), shape=Z.shape)
    y = Y if column == 0 else np.column_stack([Y, np.abs(Y)])
    model = clone(REGRESSOR).set_params(task_column=column)
    assert_equal_predictions(*check(model, S, DENSE, y), Z)


@pytest.mark.parametrize("offset", [0, -2])  # an implicit zero is label 0; labels below 0
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("position", [0, 3, 9, -1, -4])
def test_position_of_the_labels(position, grouped, offset):
    order = np.argsort(TASKS, kind="stable") if grouped else np.arange(len(TASKS))
    S = long(X[order], TASKS[order] + offset, position % 10)
    model = clone(REGRESSOR).set_params(task_column=position)
    a, _ = check(model, S.tocoo(), S.toarray(), Y[order])
    assert a.tasks_.tolist() == [offset + t for t in range(T)]


@pytest.mark.parametrize("classes", [0, 2, 3])
@pytest.mark.parametrize("task_weight", [None, "balanced", "minimax", "uncertainty", [1, 2, 0, 3]])
def test_weights(task_weight, classes):
    if classes and task_weight == "uncertainty":
        pytest.skip("of regressors only")
    weight = np.random.default_rng(5).uniform(-0.4, 1.0, len(Y)).clip(0.0)
    rtol = 1e-4 if task_weight == "minimax" else 1e-6  # weights have a tolerance of their own
    model = model_for(classes, task_weight=task_weight)
    check(model, Z, DENSE, target(classes), rtol, sample_weight=weight)


def test_class_weight():
    check(clone(CLASSIFIER).set_params(class_weight="balanced"), Z, DENSE, LABELS[3])


@pytest.mark.parametrize("classes", [0, 2, 3])
@pytest.mark.parametrize("alpha_intercept", [0.0, 1.0, np.inf])
@pytest.mark.parametrize("alpha", [0.5, np.inf])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_limits(fit_intercept, alpha, alpha_intercept, classes):
    model = model_for(
        classes, fit_intercept=fit_intercept, alpha=alpha, alpha_intercept=alpha_intercept
    )
    check(model, Z, DENSE, target(classes))


@pytest.mark.parametrize("alpha_intercept", [0.0, 1.0, np.inf])
def test_without_penalty(alpha_intercept):
    model = model_for(0, alpha=0.0, alpha_shared=0.0, alpha_intercept=alpha_intercept)
    a, b = clone(model).fit(Z, Y), clone(model).fit(DENSE, Y)
    assert a.objective_ == pytest.approx(b.objective_, rel=1e-9)  # coefficients are not unique


@pytest.mark.parametrize("classes", [0, 2])
@pytest.mark.parametrize("solver", ["auto", "cg"])
def test_a_full_column_with_a_large_offset(solver, classes):
    D = DENSE.copy()
    D[:, 7] = 1e8 + np.random.default_rng(0).normal(size=len(D))
    model, y = model_for(classes, tol=1e-8), target(classes)
    a = clone(model).set_params(solver=solver, max_iter=10_000).fit(sparse.csr_array(D), y)
    b = clone(model).fit(D - 1e8 * (np.arange(D.shape[1]) == 7), y)
    np.testing.assert_allclose(a.coef_, b.coef_, 1e-6, 1e-6 * np.abs(b.coef_).max())


@pytest.mark.parametrize("classes", [0, 2])
def test_wide_with_weights_of_targets(classes):
    rng = np.random.default_rng(1)
    weight = rng.uniform(-0.3, 1.0, Y_WIDE.shape).clip(0.0)
    y = make("tall", wide=True, classes=classes)[2].astype(float)
    y[rng.random(y.shape) < 0.2] = np.nan
    model = model_for(classes, task_column=None)
    assert_equal_predictions(
        *check(model, WIDE.tocoo(), WIDE.toarray(), y, sample_weight=weight), WIDE
    )


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_unknown_tasks(classes):
    model, D = model_for(classes, handle_unknown="shared"), DENSE.copy()
    D[:3, 0] = 9
    a, b = clone(model).fit(Z, target(classes)), clone(model).fit(DENSE, target(classes))
    assert_equal_predictions(a, b, sparse.coo_array(D))
    with pytest.raises(ValueError, match="predict got task 9"):
        a.set_params(handle_unknown="error").predict(sparse.coo_array(D))


def test_adapt():
    own = TASKS == 1
    new = DENSE[own] + 6 * (np.arange(DENSE.shape[1]) == 0)
    a, b = clone(REGRESSOR).fit(Z, Y), clone(REGRESSOR).fit(DENSE, Y)
    assert_equal_fits(a.adapt(sparse.coo_array(new), Y[own]), b.adapt(new, Y[own]))


@pytest.mark.parametrize("classes", [0, 2])
def test_warm_start(classes):
    model, y = model_for(classes, warm_start=True), target(classes)
    model.fit(Z, y).set_params(alpha=2.0).fit(Z.tocoo(), y)
    assert_equal_fits(model, model_for(classes, alpha=2.0).fit(DENSE, y))


@pytest.mark.parametrize("classes", [0, 2])
@pytest.mark.parametrize("shape", ["tall", "broad"])
def test_auto(shape, classes):
    features, tasks, y = make(shape, classes=classes)
    S = long(features, tasks)
    model = model_for(classes, alpha="auto", alpha_intercept="auto")
    a, b = check(model, S, S.toarray(), y, 1e-5)
    np.testing.assert_allclose(a.alpha_, b.alpha_, 1e-5)


@pytest.mark.parametrize("options", [{}, {"fit_intercept": False}, {"task_weight": "balanced"}])
@pytest.mark.parametrize("classes", [0, 2, 3])
@pytest.mark.parametrize(
    "penalty", [L21(), L1(), L21() + Ridge(0.3)], ids=lambda p: type(p).__name__
)
def test_proximal_gradients_reach_the_objective_of_admm(penalty, classes, options):
    model = (ADMMClassifier if classes else ADMMRegressor)(
        penalty, 2.0, alpha_intercept=0.5, task_column=0, tol=1e-9, max_iter=100_000, **options
    )
    expected = clone(model).set_params(solver="admm").fit(DENSE, target(classes)).objective_
    for data in (Z, DENSE):
        found = clone(model).set_params(solver="proximal").fit(data, target(classes))
        assert found.objective_ == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_proximal_gradients_wide(fit_intercept):
    y = np.where(np.random.default_rng(1).random(Y_WIDE.shape) < 0.3, np.nan, Y_WIDE)
    model = ADMMRegressor(L21(), 2.0, tol=1e-9, max_iter=100_000, fit_intercept=fit_intercept)
    expected = clone(model).set_params(solver="admm").fit(WIDE.toarray(), y).objective_
    found = model.set_params(solver="proximal").fit(WIDE, y)
    assert found.objective_ == pytest.approx(expected, rel=1e-7)


def with_entry(column, value):
    D = DENSE.copy()
    D[3, column] = value
    return sparse.csr_array(D)


BAD = {
    "fraction": (with_entry(0, 0.5), "cannot be floats with a fraction"),
    "nan_label": (with_entry(0, np.nan), "missing labels"),
    "infinite_label": (with_entry(0, np.inf), "missing labels"),
    "nan": (with_entry(2, np.nan), "contains NaN"),
    "infinite": (with_entry(2, np.inf), "contains infinity"),
    "complex": (Z.astype(complex), "Complex data"),
    "no_rows": (Z[:0], "0 sample"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_leaves_the_last_fit(kind):
    S, message = BAD[kind]
    model = clone(REGRESSOR).fit(Z, Y)
    before = dict(vars(model))
    with pytest.raises(ValueError, match=message):
        model.fit(S, Y[: S.shape[0]])
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())
    if S.shape[0]:
        with pytest.raises(ValueError, match=message):
            model.predict(S)


def test_errors():
    model = clone(REGRESSOR)
    with pytest.raises(ValueError, match="array without column names"):
        clone(model).set_params(task_column="domain").fit(Z, Y)
    with pytest.raises(ValueError, match="out of range: X has 10 columns"):
        clone(model).set_params(task_column=10).fit(Z, Y)
    with pytest.raises(TypeError, match="Sparse data was passed for y"):
        clone(model).fit(Z, sparse.csr_array(Y[:, None]))
    with pytest.raises(ValueError, match="expecting 10 features"):
        clone(model).fit(Z, Y).predict(Z[:, :5])
    with pytest.raises(ValueError, match="there is nothing to fit"):
        clone(model).set_params(fit_intercept=False).fit(Z[:, [0]], Y)
    with pytest.raises(TypeError, match=r"X is sparse.*Use fit"):
        clone(model).partial_fit(Z, Y)
    with pytest.raises(TypeError, match=r"X is sparse.*Use fit"):
        TaskMoments.from_data(Z, Y, task_column=0)


def test_labels_only_and_tasks_of_one_row():
    a, b = clone(REGRESSOR).fit(Z[:, [0]], Y), clone(REGRESSOR).fit(DENSE[:, [0]], Y)
    np.testing.assert_allclose(a.intercept_, b.intercept_, 1e-9)
    S = long(X, np.arange(len(Y)))
    check(REGRESSOR, S, S.toarray(), Y)
    check(SharedL2Regressor(fit_intercept=False, task_column=0), S, S.toarray(), Y)


def test_labels_that_float64_cannot_hold():
    labels = np.where(np.arange(40) % 2, 2**53, 2**53 + 1)
    X = sparse.csr_array(np.column_stack([labels, np.arange(80).reshape(40, 2)]))
    with pytest.raises(ValueError, match="9007199254740992"):
        MeanRegularizedRegressor(task_column=0).fit(X, np.arange(40.0))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_a_column_is_split_off_in_one_copy(dtype):
    X = sparse.random_array((2000, 500), density=0.1, random_state=np.random.default_rng(0)).tocsr()
    X.data = np.ceil(9 * X.data)
    X = X.astype(dtype)
    copies = X.nnz * (8 + X.indices.itemsize) + 8 * X.shape[0]
    split_task_column(X, 0)  # compiled
    tracemalloc.start()
    split_task_column(X, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * copies + 1e5


@pytest.mark.parametrize(
    "model",
    [
        SharedL2Regressor(task_column=0),
        MeanRegularizedRegressor(alpha_shared=1.0, task_column=0),
        SharedL2Classifier(task_column=0),
        MeanRegularizedClassifier(alpha_shared=1.0, task_column=0),
    ],
    ids=lambda model: type(model).__name__,
)
def test_memory_of_a_fit(model):
    """At most that of 2 nnz + 4 (T + 1) d numbers beyond X, and some of rows and features."""
    rng = np.random.default_rng(0)
    n, d, T = 10_000, 20_000, 20
    features = sparse.random_array((n, d), density=0.005, random_state=rng)
    Z = sparse.hstack([np.arange(n)[:, None] % T, features], format="csr")
    y = rng.standard_normal(n)
    y = y if "Regressor" in type(model).__name__ else y > 0
    model.fit(Z, y)  # compiled
    tracemalloc.start()
    clone(model).fit(Z, y)
    numbers = tracemalloc.get_traced_memory()[1] / 8
    tracemalloc.stop()
    assert numbers < 2 * Z.nnz + 4 * (T + 1) * d
