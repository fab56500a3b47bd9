"""What goes into classifiers and comes out: classes, shapes and dtypes, and what is refused."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import log_softmax
from sklearn.exceptions import DataConversionWarning

from skmtl import MeanRegularizedClassifier, PooledClassifier, SharedL2Classifier
from tests._problems import assert_same_model, make_rows

CLASSIFIERS = (PooledClassifier, SharedL2Classifier, MeanRegularizedClassifier)
every_classifier = pytest.mark.parametrize("estimator", CLASSIFIERS)
METHODS = ("predict_proba", "predict_log_proba", "decision_function")

ROWS = make_rows(sizes=(20, 12, 25, 15))
ROWS.X[:] = np.round(ROWS.X * 256) / 256  # exact as float32
X = ROWS.long
N = len(X)
PLACE = np.array(
    [np.mean(ROWS.y[ROWS.codes == t] < v) for t, v in zip(ROWS.codes, ROWS.y, strict=True)]
)
CODES = {K: (PLACE * K).astype(int) for K in (2, 3)}  # classes of equal sizes in every task
rng = np.random.default_rng(0)
for codes in CODES.values():  # that no plane separates
    swapped = rng.permutation(N)[: N // 3]
    codes[swapped] = rng.permutation(codes[swapped])
INDICATOR = np.column_stack([CODES[2], np.roll(CODES[2], 1), 1 - CODES[2]])


def frame(labels=None):
    table = pd.DataFrame(ROWS.X, columns=["a", "b", "c"])
    table["task"] = [f"T{t}" for t in ROWS.codes] if labels is None else labels
    return table


def with_entry(array, value, index):
    array = np.array(array, dtype=object if value is None else float)
    array[index] = value
    return array


# Shapes and dtypes ------------------------------------------------------------------------------


@every_classifier
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("column", [None, 0], ids=["one task", "long"])
def test_shapes(estimator, n_classes, column):
    names = np.array(["x", "yy", "z"])
    y = names[CODES[n_classes]]
    data = ROWS.X if column is None else X
    model = estimator(task_column=column).fit(data, y)
    T = 1 if column is None else 4
    assert_array_equal(model.classes_, names[:n_classes])
    assert model.predict(data).shape == (N,)
    assert model.predict(data).dtype == model.classes_.dtype
    K = () if n_classes == 2 else (n_classes,)
    assert model.predict_proba(data).shape == (N, n_classes)
    assert model.predict_log_proba(data).shape == (N, n_classes)
    assert model.decision_function(data).shape == (N, *K)
    assert model.coef_.shape == (T, *K, 3)
    assert model.intercept_.shape == (T, *K)
    assert model.task_classes_.shape == (T, n_classes)
    assert model.task_classes_.dtype == bool
    if hasattr(model, "shared_coef_"):
        assert model.shared_coef_.shape == (*K, 3)
        assert np.shape(model.shared_intercept_) == K
    for method in METHODS:
        assert getattr(model, method)(data[:1]).shape[1:] == getattr(model, method)(data).shape[1:]
        assert getattr(model, method)(data).dtype == np.float64


@every_classifier
def test_shapes_of_the_wide_form(estimator):
    model = estimator().fit(ROWS.X, INDICATOR)
    assert model.predict(ROWS.X).shape == (N, 3)
    assert model.predict(ROWS.X).dtype.kind == "i"
    assert set(np.unique(model.predict(ROWS.X))) == {0, 1}
    for method in METHODS:
        assert getattr(model, method)(ROWS.X).shape == (N, 3)
    assert model.coef_.shape == (3, 3)
    assert model.intercept_.shape == (3,)
    assert_array_equal(model.task_counts_, [N, N, N])
    assert_array_equal(model.task_classes_, np.ones((3, 2), bool))
    assert_array_equal(np.array(model.classes_), [[0, 1]] * 3)


@every_classifier
def test_wide_is_the_long_form_of_the_same_data(estimator):
    wide = estimator().fit(ROWS.X, INDICATOR)
    task = np.repeat(np.arange(3), N)
    data = np.column_stack([task, np.tile(ROWS.X, (3, 1))])
    long = estimator(task_column=0).fit(data, INDICATOR.T.ravel())
    assert_same_model(wide, long, rtol=1e-7)
    p = long.predict_proba(data)[:, 1].reshape(3, N).T
    assert_allclose(wide.predict_proba(ROWS.X), p, rtol=1e-7)


# Probabilities ----------------------------------------------------------------------------------


def softmax_by_hand(model, codes):
    """Probabilities (n, K) of the coefficients of each row's task."""
    z = np.einsum("nd,n...d->n...", ROWS.X, model.coef_[codes]) + model.intercept_[codes]
    if z.ndim == 1:
        z = np.column_stack([np.zeros(N), z])
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True), z


@every_classifier
@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities(estimator, n_classes):
    model = estimator(task_column=0).fit(X, CODES[n_classes])
    p, z = softmax_by_hand(model, ROWS.codes)
    assert_allclose(model.predict_proba(X), p, rtol=1e-12)
    assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=0, atol=5e-16)
    assert_allclose(model.predict_log_proba(X), np.log(p), rtol=1e-11)
    found = model.decision_function(X)
    assert_allclose(found, z[:, 1] if n_classes == 2 else z, rtol=1e-10, atol=1e-12)
    assert_array_equal(model.predict(X), p.argmax(axis=1))
    assert_array_equal(model.score(X, CODES[n_classes]), np.mean(p.argmax(1) == CODES[n_classes]))


@every_classifier
@pytest.mark.parametrize("n_classes", [2, 3])
def test_log_probabilities_where_probabilities_underflow(estimator, n_classes):
    model = estimator(task_column=0).fit(X, CODES[n_classes])
    far = X.copy()
    far[:, 1:] *= 1e6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        p, log_p, z = (getattr(model, m)(far) for m in ("predict_proba", *METHODS[1:]))
    assert (p == 0).any()
    assert np.isfinite(log_p).all()
    assert log_p.min() < -1e4
    z = np.column_stack([np.zeros(N), z]) if n_classes == 2 else z
    assert_allclose(log_p, log_softmax(z, axis=1), rtol=1e-12, atol=1e-300)
    assert_array_equal(model.predict(far), z.argmax(axis=1))


def test_log_probabilities_of_the_wide_form():
    model = MeanRegularizedClassifier().fit(ROWS.X, INDICATOR)
    assert_allclose(model.predict_log_proba(ROWS.X), np.log(model.predict_proba(ROWS.X)), rtol=1e-9)
    assert_array_equal(model.predict(ROWS.X), model.predict_proba(ROWS.X) > 0.5)
    log_p = model.predict_log_proba(1e6 * ROWS.X)
    assert np.isfinite(log_p).all()
    assert log_p.min() < -1e4


# Labels -----------------------------------------------------------------------------------------

NAMES = ["no", "yes", "perhaps"]
LABELS = {
    "str": lambda c: np.array(NAMES)[c],
    "object": lambda c: np.array(NAMES, dtype=object)[c],
    "int8": lambda c: (c - 1).astype(np.int8),
    "uint64": lambda c: c.astype(np.uint64) + np.uint64(2**63),
    "whole floats": lambda c: c.astype(np.float32) * 2,
    "list of str": lambda c: [NAMES[k] for k in c],
    "list of int": lambda c: c.tolist(),
    "series": lambda c: pd.Series(c, index=np.arange(N)[::-1]),
    "series of str": lambda c: pd.Series([NAMES[k] for k in c]),
    "category": lambda c: pd.Series(pd.Categorical([NAMES[k] for k in c], NAMES[::-1])),
    "categorical": lambda c: pd.Categorical([NAMES[k] for k in c], NAMES),
    "nullable": lambda c: pd.Series(c, dtype="Int64"),
    "polars": lambda c: pl.Series(c),
    "polars str": lambda c: pl.Series([NAMES[k] for k in c]),
    "strided": lambda c: np.repeat(c, 2)[::2],
}


@pytest.mark.parametrize("convert", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_labels_of_every_type(convert, n_classes):
    y = convert(CODES[n_classes])
    model = MeanRegularizedClassifier(task_column=0).fit(X, y)
    names = list(dict.fromkeys(list(y)))
    assert_array_equal(model.classes_, sorted(names))
    order = [list(y).index(name) for name in model.classes_.tolist()]  # rows with each class
    reference = MeanRegularizedClassifier(task_column=0).fit(X, CODES[n_classes])
    p = reference.predict_proba(X)[:, CODES[n_classes][order]]
    assert_allclose(model.predict_proba(X), p, rtol=1e-6, atol=1e-9)
    assert list(model.predict(X)) == [model.classes_[k] for k in p.argmax(axis=1)]
    assert model.score(X, y) == np.mean(p.argmax(axis=1) == np.searchsorted(model.classes_, y))


@pytest.mark.parametrize("y", [CODES[2] == 1, pd.Series(CODES[2] == 1), (CODES[2] == 1).tolist()])
def test_labels_of_bool(y):
    model = PooledClassifier(task_column=0).fit(X, y)
    assert model.classes_.dtype == bool
    assert model.predict(X).dtype == bool
    assert_same_model(model, PooledClassifier(task_column=0).fit(X, CODES[2]), rtol=1e-13)


@pytest.mark.parametrize("convert", [np.asarray, pd.DataFrame, list, lambda y: y.astype(float),
                                     lambda y: y == 1, pl.DataFrame])  # fmt: skip
def test_indicators_of_every_type(convert):
    reference = MeanRegularizedClassifier().fit(ROWS.X, INDICATOR)
    assert_same_model(MeanRegularizedClassifier().fit(ROWS.X, convert(INDICATOR)), reference, 1e-13)


@every_classifier
@pytest.mark.parametrize("column", [None, 0])
def test_a_column_vector_is_one_task_with_a_warning(estimator, column):
    data = ROWS.X if column is None else X
    expected = estimator(task_column=column).fit(data, CODES[3])
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed when a 1d array"):
        model = estimator(task_column=column).fit(data, CODES[3][:, None])
    assert_same_model(model, expected, rtol=1e-14)
    assert model.predict(data).shape == (N,)


# Unknown tasks and unseen classes ---------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("estimator", [PooledClassifier, MeanRegularizedClassifier])
def test_unknown_tasks(estimator, n_classes):
    y = np.array(NAMES)[CODES[n_classes]]
    new = frame(["C7", "T1", "B5", "T0", "C7"] + ["T2"] * (N - 5))
    model = estimator(task_column="task").fit(frame(), y)
    message = r"predict got tasks 'B5', 'C7', not seen in fit \(4 tasks: .*handle_unknown='shared'"
    for method in ("predict", *METHODS):
        with pytest.raises(ValueError, match=message):
            getattr(model, method)(new)
    z = ROWS.X @ model.shared_coef_.T + model.shared_intercept_
    z = np.column_stack([np.zeros(N), z]) if n_classes == 2 else z
    known = new.assign(task=new.task.where(new.task.isin(["T0", "T1", "T2"]), "T3"))
    expected = model.predict_log_proba(known)
    unseen = [0, 2, 4]
    expected[unseen] = log_softmax(z, axis=1)[unseen]
    model.set_params(handle_unknown="shared")
    assert_allclose(model.predict_log_proba(new), expected, rtol=1e-10)
    assert_allclose(model.predict_proba(new), np.exp(expected), rtol=1e-10)
    assert list(model.predict(new)) == [model.classes_[k] for k in expected.argmax(axis=1)]
    model.set_params(handle_unknown="warn")
    for method in ("predict", *METHODS):
        with pytest.warns(UserWarning, match=r"'B5', 'C7', not seen .*shared model is used"):
            getattr(model, method)(new)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_unknown_tasks_may_have_every_class_though_tasks_lack_some(n_classes):
    y = CODES[n_classes].copy()
    y[(ROWS.codes == 0) & (y == 1)] = 0
    params = {"task_column": 0, "task_classes": "seen", "handle_unknown": "shared"}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Only one class was seen in task 0: with task_classes")
        model = MeanRegularizedClassifier(**params).fit(X, y)
    p = model.predict_proba(X)
    assert_array_equal(p[ROWS.codes == 0, 1], 0)
    assert (p[ROWS.codes != 0] > 0).all()
    new = X.copy()
    new[:, 0] = 9
    z = ROWS.X @ model.shared_coef_.T + model.shared_intercept_
    z = np.column_stack([np.zeros(N), z]) if n_classes == 2 else z
    assert_allclose(model.predict_log_proba(new), log_softmax(z, axis=1), rtol=1e-10)


@pytest.mark.parametrize("handle_unknown", ["shared", "warn"])
def test_a_model_without_a_center_refuses_to_share(handle_unknown):
    message = rf"SharedL2Classifier has no shared model .*got handle_unknown='{handle_unknown}'"
    with pytest.raises(ValueError, match=message) as error:
        SharedL2Classifier(task_column=0, handle_unknown=handle_unknown).fit(X, CODES[2])
    assert "MeanRegularizedClassifier" in str(error.value)
    new = X.copy()
    new[0, 0] = 9
    model = SharedL2Classifier(task_column=0).fit(X, CODES[2])
    with pytest.raises(ValueError, match=r"predict got task 9, not seen") as error:
        model.predict_proba(new)
    assert "MeanRegularizedClassifier" in str(error.value)


def test_classes_that_fit_did_not_see():
    y = np.array(["no", "yes"])[CODES[2]]
    model = MeanRegularizedClassifier(task_column=0).fit(X, y)
    new, other = X[:4].copy(), ["no", "yes", "perhaps", "never"]
    new[:, 0] = 7
    message = r"y holds classes not seen in fit: 'never', 'perhaps' \(fitted classes: 'no', 'yes'\)"
    with pytest.raises(ValueError, match=message):
        model.adapt(new, other)
    assert_array_equal(model.adapt(new, ["no", "yes", "no", "no"]).classes_, ["no", "yes"])
    assert model.score(X[:3], ["perhaps"] * 3) == 0


# What is refused --------------------------------------------------------------------------------

ALONE = np.where(ROWS.codes == 2, CODES[2], 1)  # task 2 alone has two classes
LONG_FORM = r"The long form allows any classes and any rows .*task labels named by task_column"
PARAMETERS = [
    ({"solver": "lbfgs"}, ValueError, r"solver must be 'auto' or one of .*got 'lbfgs'"),
    ({"handle_unknown": "ignore"}, ValueError, r"handle_unknown must be one of .*got 'ignore'"),
    ({"task_classes": "all"}, ValueError, r"task_classes must be 'union' or 'seen', got 'all'"),
    ({"task_classes": ["seen"]}, ValueError, r"task_classes must be .*got \['seen'\]"),
    ({"tol": 2.0}, ValueError, r"tol must be a number between 0 and 1, got 2\.0"),
    ({"alpha": -1.0}, ValueError, r"alpha must be .*got -1\.0"),
    ({"fit_intercept": 1}, ValueError, r"fit_intercept must be True or False, got 1"),
    ({"task_column": "task"}, ValueError, r"task_column='task' is a name, and X is an array"),
    ({"task_weight": "equal"}, ValueError, r"task_weight must be None, 'balanced'.*got 'equal'"),
    ({"class_weight": {0: 0.0, 1: 1.0}}, ValueError, r"class_weight must be positive.*\{0: 0\.0"),
    ({"class_weight": {0: -1, 1: 1}}, ValueError, r"class_weight must be positive and finite"),
    ({"class_weight": {1: np.inf}}, ValueError, r"class_weight must be positive and finite"),
    ({"class_weight": "equal"}, ValueError, r"class_weight must be None.*a dict.*'equal'"),
    ({"class_weight": {0: 1.0, 7: 2.0}}, ValueError, r"\[1\], are not in class_weight"),
    ({"class_weight": [1.0, 2.0]}, ValueError, r"class_weight must be None, 'balanced' or a dict"),
    ({"class_weight": {0: "a"}}, ValueError, r"class_weight must be None, 'balanced' or a dict"),
]  # fmt: skip


@every_classifier
@pytest.mark.parametrize(("params", "error", "message"), PARAMETERS, ids=lambda p: str(p)[:40])
def test_parameters(estimator, params, error, message):
    with pytest.raises(error, match=message):
        estimator(**{"task_column": 0, **params}).fit(X, CODES[2])


@every_classifier
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (with_entry(INDICATOR, np.nan, (3, 1)), rf"y has 1 missing labels \(NaN\).*{LONG_FORM}"),
        (INDICATOR + 1, rf"indicator of 0 and 1, .*got values such as 2\.0\. {LONG_FORM}"),
        (INDICATOR - 0.5, rf"indicator of 0 and 1, .*such as -0\.5, 0\.5\. {LONG_FORM}"),
        (np.array([["a", "b"]] * N), rf"indicator of numbers 0 and 1.*{LONG_FORM}"),
        (np.array([["0", "1"]] * N), rf"indicator of numbers 0 and 1.*{LONG_FORM}"),
        (with_entry(INDICATOR, None, (3, 1)), rf"y has 1 missing labels.*{LONG_FORM}"),
        (np.zeros((N, 2)), r"needs samples of at least 2 classes .*only one class: 0"),
        (with_entry(CODES[2], np.nan, 3), "Input y contains NaN"),
        (ROWS.y, "Unknown label type: continuous"),
        (CODES[2].reshape(N, 1, 1), "y"),
        (None, "requires y to be passed, but the target y is None"),
    ],
    ids=range(11),
)
def test_targets_without_a_task_column(estimator, y, message):
    with pytest.raises(ValueError, match=message):
        estimator().fit(ROWS.X, y)


@every_classifier
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed, but the target y is None"),
        (with_entry(CODES[2], np.nan, 3), "Input y contains NaN"),
        (with_entry(CODES[2], None, 3), "y contains NaN|y contains None|missing"),
        (np.array([None, "a", "b", "a"] * (N // 4), dtype=object), "y contains NaN|None|missing"),
        (pd.Series(["a", None] * (N // 2)), "contains NaN|missing"),
        (pl.Series(["a", None] * (N // 2)), "y contains NaN|None|missing"),
        (ROWS.y, "Unknown label type: continuous"),
        (INDICATOR, r"y should be a 1d array, got an array of shape \(72, 3\)"),
        (np.array(["yes"] * N), r"at least 2 classes in the data, .*only one class: 'yes'"),
        (np.full(N, 3), r"at least 2 classes in the data, .*only one class: 3"),
    ],
    ids=range(10),
)
def test_targets_in_the_long_form(estimator, y, message):
    with pytest.raises(ValueError, match=message):
        estimator(task_column=0).fit(X, y)


@every_classifier
def test_one_class_is_left(estimator):
    message = r"needs samples of at least 2 classes .*only one class: 1"
    with pytest.raises(ValueError, match=message):
        estimator(task_column=0).fit(X, CODES[2], CODES[2])
    with pytest.raises(ValueError, match=message):
        estimator(task_column=0, task_weight=[1, 1, 0, 1]).fit(X, ALONE)
    with pytest.raises(ValueError, match=message):
        estimator().fit(ROWS.X, np.ones_like(INDICATOR))


@every_classifier
def test_sample_weights(estimator):
    for weight, message in [
        (with_entry(np.ones(N), -1.0, 4), "Negative values in sample_weight"),
        (with_entry(np.ones(N), np.nan, 4), "Input sample_weight contains NaN"),
        (np.ones(N - 1), r"sample_weight\.shape == \(71,\), expected \(72,\)"),
        (np.zeros(N), "All sample weights are zero"),
    ]:
        with pytest.raises(ValueError, match=message):
            estimator(task_column=0).fit(X, CODES[2], weight)


@every_classifier
def test_parameters_that_cannot_change_after_fit(estimator):
    model = estimator(task_column=0).fit(X, CODES[3])
    model.set_params(task_classes="seen")
    with pytest.raises(ValueError, match=r"task_classes was 'union' in fit and is 'seen' now"):
        model.predict_proba(X)
    model.set_params(task_classes="union", task_column=1)
    with pytest.raises(ValueError, match=r"task_column was 0 in fit and is 1 now\. Fit again"):
        model.predict(X)
    assert model.set_params(task_column=0).predict(X).shape == (N,)
