"""Bad input is refused with a message that says what was wrong and what to do."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import PooledRegressor
from tests._problems import (
    CLASSIFIERS,
    REGRESSORS,
    kinds,
    make_rows,
    make_wide,
)

SIZES = (20, 12, 25, 15)
ROWS = {K: make_rows(K, SIZES) for K in (None, 2, 3)}
X, Y, CODES = ROWS[None].long, ROWS[None].y, ROWS[None].codes
N = len(X)
CLASSES = ROWS[2].y
INDICATOR = np.column_stack([CLASSES, np.roll(CLASSES, 1), 1 - CLASSES])
TARGET = {None: Y, 2: CLASSES}
every_regressor = pytest.mark.parametrize("estimator", REGRESSORS)
every_classifier = pytest.mark.parametrize("estimator", CLASSIFIERS)
every_estimator = pytest.mark.parametrize(
    ("K", "estimator"),
    [(None, kind) for kind in REGRESSORS] + [(2, kind) for kind in CLASSIFIERS],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
two_families = pytest.mark.parametrize("K", [None, 2], ids=["squared", "logistic"])


def frame(labels=None):
    table = pd.DataFrame(X[:, 1:], columns=["a", "b", "c"])
    table["task"] = [f"T{t}" for t in CODES] if labels is None else labels
    return table


def objects(label):
    """X as objects, one of the labels replaced."""
    array = X.astype(object)
    array[3, 0] = label
    return array


def with_entry(array, value, index=(2, 1)):
    array = np.array(array, dtype=object if value is None else float)
    array[index] = value
    return array


# Parameters -------------------------------------------------------------------------------------

PARAMETERS = [
    ({"alpha": -1.0}, ValueError, r"alpha must be .*got -1\.0"),
    ({"alpha": np.nan}, ValueError, r"alpha must be .*got nan"),
    ({"fit_intercept": 1}, ValueError, r"fit_intercept must be True or False, got 1"),
    ({"task_weight": "equal"}, ValueError, r"task_weight must be None, 'balanced'.*got 'equal'"),
    ({"task_weight": [1, 2]}, ValueError, r"task_weight has shape \(2,\), but there are 4 tasks"),
    ({"task_weight": {0: 1, 2: 1}}, ValueError, r"task_weight is a dict without the tasks 1, 3"),
    ({"task_weight": [1, 1, -1, 1]}, ValueError, r"task_weight must be at least 0"),
    ({"task_weight": [0, 0, 0, 0]}, ValueError, r"task_weight must be finite and not all zero"),
    ({"task_weight": [1, 1, np.inf, 1]}, ValueError, r"task_weight must be finite"),
    ({"handle_unknown": "ignore"}, ValueError, r"handle_unknown must be one of .*got 'ignore'"),
    ({"solver": "lbfgs"}, ValueError, r"solver must be 'auto' or one of .*got 'lbfgs'"),
    ({"solver": None}, ValueError, r"solver must be .*got None"),
    ({"max_iter": 0}, ValueError, r"max_iter must be an integer of at least 1, got 0"),
    ({"max_iter": 2.5}, ValueError, r"max_iter must be an integer of at least 1, got 2\.5"),
    ({"tol": 0.0}, ValueError, r"tol must be a number between 0 and 1, got 0\.0"),
    ({"tol": 2.0}, ValueError, r"tol must be a number between 0 and 1, got 2\.0"),
    ({"tol": "1e-4"}, ValueError, r"tol must be a number between 0 and 1, got '1e-4'"),
    ({"task_column": "task"}, ValueError, r"task_column='task' is a name, and X is an array"),
    ({"task_column": 4}, ValueError, r"task_column=4 is out of range: X has 4 columns"),
    ({"task_column": -5}, ValueError, r"task_column=-5 is out of range: X has 4 columns"),
    ({"task_column": 0.0}, TypeError, r"task_column must be a column name or an integer.*got 0\.0"),
    ({"task_column": True}, TypeError, r"task_column must be a column name or an integer"),
    ({"task_column": [0.5]}, TypeError, r"task_column must be a column name or an integer"),
]
OF_CLASSIFIERS = [
    ({"task_classes": "all"}, ValueError, r"task_classes must be 'union' or 'seen', got 'all'"),
    ({"task_classes": ["seen"]}, ValueError, r"task_classes must be .*got \['seen'\]"),
    ({"class_weight": {0: 0.0, 1: 1.0}}, ValueError, r"class_weight must be positive.*\{0: 0\.0"),
    ({"class_weight": {0: -1, 1: 1}}, ValueError, r"class_weight must be positive and finite"),
    ({"class_weight": {1: np.inf}}, ValueError, r"class_weight must be positive and finite"),
    ({"class_weight": "equal"}, ValueError, r"class_weight must be None.*a dict.*'equal'"),
    ({"class_weight": {0: 1.0, 7: 2.0}}, ValueError, "names 7, which are not classes of y: 0, 1"),
    ({"class_weight": [1.0, 2.0]}, ValueError, r"class_weight must be None, 'balanced' or a dict"),
    ({"class_weight": {0: "a"}}, ValueError, r"class_weight must be None, 'balanced' or a dict"),
]


@every_estimator
@pytest.mark.parametrize(("params", "error", "message"), PARAMETERS, ids=lambda p: str(p)[:40])
def test_parameters(K, estimator, params, error, message):
    with pytest.raises(error, match=message):
        estimator(**{"task_column": 0, **params}).fit(X, TARGET[K])


@every_classifier
@pytest.mark.parametrize(("params", "error", "message"), OF_CLASSIFIERS, ids=lambda p: str(p)[:40])
def test_parameters_of_classifiers(estimator, params, error, message):
    with pytest.raises(error, match=message):
        estimator(**{"task_column": 0, **params}).fit(X, CLASSES)


@two_families
@pytest.mark.parametrize("kind", [1, 2], ids=["separate", "mean"])
@pytest.mark.parametrize(
    ("alpha", "message"),
    [
        ([1.0, 2.0], r"alpha has shape \(2,\), but there are 4 tasks \(0, 1, 2, 3\)"),
        ([[1.0], [2.0], [3.0], [4.0]], r"alpha has shape \(4, 1\), but there are 4 tasks"),
        ({0: 1.0, 3: 2.0}, r"alpha is a dict without the tasks 1, 2\. Give every task a value"),
        ([1.0, 2.0, -3.0, 1.0], r"alpha must be at least 0 and not NaN, got \[1\.0, 2\.0, -3\.0"),
        ({0: 1, 1: np.nan, 2: 1, 3: 1}, r"alpha must be at least 0 and not NaN"),
        ("strong", r"alpha must be .*got 'strong'"),
        (None, r"alpha must be .*got None"),
    ],
    ids=str,
)
def test_alpha_per_task(K, kind, alpha, message):
    with pytest.raises((ValueError, TypeError), match=message):
        kinds(K)[kind](alpha, task_column=0).fit(X, TARGET[K])


@two_families
@pytest.mark.parametrize(
    ("kind", "name"),
    [(0, "alpha"), (0, "alpha_intercept"), (2, "alpha_shared"), (2, "alpha_intercept")],
)
@pytest.mark.parametrize("value", [-1.0, np.nan, "big", None, [1.0, 2.0]])
def test_penalty_weights(K, kind, name, value):
    if value is None and kind == 2:  # the default beside a number
        model = kinds(K)[kind](task_column=0, **{name: None}).fit(X, TARGET[K])
        assert model.alpha_shared_ == (0 if K is None else 1e-3)
        assert model.alpha_intercept_ == 1
        return
    with pytest.raises(ValueError, match=rf"{name} must be a number in \[0, inf\], got"):
        kinds(K)[kind](task_column=0, **{name: value}).fit(X, TARGET[K])


@two_families
@pytest.mark.parametrize("handle_unknown", ["shared", "warn"])
def test_a_model_without_a_center_refuses_to_share(K, handle_unknown):
    _, separate, mean = kinds(K)
    message = rf"{separate.__name__} has no shared model .*got handle_unknown='{handle_unknown}'"
    with pytest.raises(ValueError, match=message) as error:
        separate(task_column=0, handle_unknown=handle_unknown).fit(X, TARGET[K])
    assert mean.__name__ in str(error.value)
    fitted, new = separate(task_column=0).fit(X, TARGET[K]), np.full((1, 4), 9.0)
    with pytest.raises(ValueError, match=r"predict got task 9, not seen") as error:
        fitted.predict(new)
    assert mean.__name__ in str(error.value)
    fitted.set_params(handle_unknown=handle_unknown)
    with pytest.raises(ValueError, match=f"{separate.__name__} has no shared model"):
        fitted.predict(new)


# Features and labels of tasks -------------------------------------------------------------------

FRACTION = r"task labels cannot be floats with a fraction.*scaler, PCA.*make_task_pipeline"
MISSING = r"The task column .* has missing labels .*\. Every row needs a task"


@every_estimator
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (X + 0.25, FRACTION),
        (objects(0.25), FRACTION),
        (objects(np.float32(0.25)), FRACTION),
        (objects(None), MISSING),
        (objects(np.nan), MISSING),
        (objects(pd.NA), MISSING),
        (with_entry(X, np.nan, (3, 0)), MISSING),
        (with_entry(X, np.nan), "Input X contains NaN"),
        (with_entry(X, np.inf), "Input X contains infinity"),
        (X[:, :0], r"Found array with 0 feature\(s\)"),
        (X[:0], r"Found array with 0 sample\(s\)"),
        (X[0], r"Expected 2D array, got 1D array|1-dimensional|shape \(4,\)"),
    ],
    ids=lambda value: None if isinstance(value, str) else "",
)
def test_bad_rows_in_the_long_form(K, estimator, bad, message):
    with pytest.raises((ValueError, TypeError), match=message):
        estimator(task_column=0).fit(bad, TARGET[K][: len(bad)])
    fitted = estimator(task_column=0).fit(X, TARGET[K])
    if np.ndim(bad) == 2 and bad.shape[1] == 4:
        with pytest.raises(ValueError, match=message):
            fitted.predict(bad)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("unknown", [False, True])
def test_features_that_are_not_finite_are_refused_whatever_the_coefficients(value, unknown):
    model = PooledRegressor(1.0, task_column=0, handle_unknown="shared").fit(X, np.ones(N))
    assert not model.coef_.any()
    bad = with_entry(X, value)
    bad[5, 0] = 99 if unknown else bad[5, 0]
    for table in (bad, np.asfortranarray(bad), bad.tolist()):
        with pytest.raises(ValueError, match="Input X contains"):
            model.predict(table)


@pytest.mark.parametrize("kind", ["pandas", "polars", "objects", "categories"])
@two_families
def test_features_that_are_text_are_named(K, kind):
    table = frame().assign(day=np.where(CODES % 2, "Tue", "7.5"))
    table = {
        "pandas": lambda: table,
        "polars": lambda: pl.from_pandas(table),
        "objects": lambda: table.to_numpy(dtype=object),
        "categories": lambda: table.astype({"day": "category"}),
    }[kind]()
    column, name = (3, "4") if kind == "objects" else ("task", "'day'")
    message = (
        rf"^Column {name} of X has text, such as 'Tue', and features are numbers\. Encode it .*"
        rf"pipeline\(ColumnTransformer\(.*OneHotEncoder\(\), \[{name.replace('4', '3')}\]"
    )
    mean = kinds(K)[2]
    with pytest.raises(ValueError, match=message):
        mean(task_column=column).fit(table, TARGET[K])
    numbers = frame().assign(day=1.0 * CODES)
    model = mean(task_column=column)
    model.fit(numbers.to_numpy(dtype=object) if kind == "objects" else numbers, TARGET[K])
    with pytest.raises(ValueError, match=message):
        model.predict(table)
    if kind != "objects":
        table = table.drop(columns="task") if hasattr(table, "iloc") else table.drop("task")
        with pytest.raises(ValueError, match=message):
            mean().fit(table, INDICATOR)


@pytest.mark.parametrize("kind", ["pandas", "polars", "nulls", "objects", "floats"])
@two_families
def test_features_that_are_missing_are_named(K, kind):
    bad = frame(CODES).copy()  # old pandas writes into its array
    bad.loc[3, ["a", "c"]] = np.nan

    def given(table):
        if kind in ("polars", "nulls"):
            return pl.from_pandas(table, nan_to_null=kind == "nulls")
        arrays = {"objects": object, "floats": float}
        return table.to_numpy(dtype=arrays[kind]) if kind in arrays else table

    array = kind in ("objects", "floats")
    column, names = (3, "0, 2") if array else ("task", "'a', 'c'")
    message = rf"^Input X contains NaN or missing values in the columns {names}\. .*SimpleImputer"
    mean = kinds(K)[2]
    with pytest.raises(ValueError, match=message) as refused:
        mean(task_column=column).fit(given(bad), TARGET[K])
    assert "HistGradientBoosting" not in str(refused.value)
    model = mean(task_column=column).fit(given(frame(CODES)), TARGET[K])
    with pytest.raises(ValueError, match=message):
        model.predict(given(bad))
    with pytest.raises(ValueError, match=message):
        mean().fit(given(bad[["a", "b", "c"]]), INDICATOR)


@pytest.mark.parametrize("label", [None, np.nan, pd.NA, pd.NaT])
@pytest.mark.parametrize("dtype", [None, object, "category"])
def test_missing_labels_in_pandas(label, dtype):
    labels = [f"T{t}" for t in CODES]
    labels[3] = label
    table = frame(pd.Series(labels, dtype=dtype))
    with pytest.raises(ValueError, match=r"The task column 'task' has missing labels"):
        PooledRegressor(task_column="task").fit(table, Y)


@pytest.mark.parametrize("labels", [["a", None, "b"], [1, None, 2], [1.0, np.nan, 2.0]], ids=str)
def test_missing_labels_in_polars(labels):
    table = pl.DataFrame({"a": [1.0, 2.0, 3.0], "task": labels})
    with pytest.raises(ValueError, match=r"The task column 'task' has missing labels"):
        PooledRegressor(task_column="task").fit(table, [1.0, 2.0, 3.0])


def test_task_column_that_is_not_there():
    message = r"task_column='school' is not a column of X\. X has the columns 'a', 'b', 'c', 'task'"
    with pytest.raises(ValueError, match=message):
        PooledRegressor(task_column="school").fit(frame(), Y)
    with pytest.raises(ValueError, match=r"task_column=4 is out of range: X has 4 columns"):
        PooledRegressor(task_column=4).fit(frame(), Y)


@pytest.mark.parametrize("transformer", [StandardScaler(), PCA(4)], ids=repr)
def test_transformers_that_swallow_the_task_column(transformer):
    with pytest.raises(ValueError, match=FRACTION):
        make_pipeline(transformer, PooledRegressor(task_column=0)).fit(X, Y)


@every_estimator
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (with_entry(np.ones(N), -1.0, 4), "Negative values in sample_weight"),
        (with_entry(np.ones(N), np.nan, 4), "Input sample_weight contains NaN"),
        (with_entry(np.ones(N), np.inf, 4), "Input sample_weight contains infinity"),
        (np.ones(N - 1), r"sample_weight\.shape == \(71,\), expected \(72,\)"),
        (np.ones((N, 2)), r"sample_weight\.shape == \(72, 2\), expected \(72,\)"),
        (np.zeros(N), "All sample weights are zero"),
        (-1.0, "Negative values in sample_weight"),
        (np.nan, "sample_weight"),
        (0, "All sample weights are zero"),
    ],
    ids=["negative", "nan", "inf", "short", "2d", "zero", "scalar-neg", "scalar-nan", "scalar-0"],
)
def test_bad_sample_weights(K, estimator, weight, message):
    with pytest.raises(ValueError, match=message):
        estimator(task_column=0).fit(X, TARGET[K], weight)


# Targets ----------------------------------------------------------------------------------------


@every_regressor
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed, but the target y is None"),
        (with_entry(Y, np.nan, 2), r"Input y contains NaN .*in 1 row of task .* Drop these rows"),
        (with_entry(Y, np.inf, 2), "Input y contains infinity"),
        (Y[:-1], "inconsistent numbers of samples"),
        (np.column_stack([Y, Y]), r"y should be a 1d array, got an array of shape \(72, 2\)"),
        (np.array(["a"] * N), "could not convert string to float"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_targets_in_the_long_form(estimator, y, message):
    with pytest.raises(ValueError, match=message):
        estimator(task_column=0).fit(X, y)


@every_estimator
@pytest.mark.parametrize("kind", [pd.Series, pl.Series, np.array])
def test_missing_targets_of_a_single_task(K, estimator, kind):
    y = [None, *TARGET[K][1:-1].tolist(), np.nan if kind is pd.Series else None]
    message = (
        r"^Input y contains NaN or None: it is missing in 2 rows\. Drop these rows, of X and y"
    )
    with pytest.raises(ValueError, match=message):
        estimator().fit(X, kind(y))


@every_regressor
def test_bad_targets_in_the_wide_form(estimator):
    features, targets = make_wide(missing=0.0)
    for empty, message in [([2], r"column 2: these"), ([0, 3], r"column 0, 3: these")]:
        bad = targets.copy()
        bad[:, empty] = np.nan
        with pytest.raises(ValueError, match=rf"y has no observed label .*{message}"):
            estimator().fit(features, bad)
    with pytest.raises(ValueError, match="Input y contains infinity"):
        estimator().fit(features, with_entry(targets, np.inf))
    weight = np.arange(len(targets))  # the only label that is left has none
    bad = with_entry(targets, np.nan, (slice(1, None), 1))
    with pytest.raises(ValueError, match=r"y has no observed label .*column 1"):
        estimator().fit(features, bad, weight)
    with pytest.raises(ValueError, match=r"task_weight is 0 .*drop these columns"):
        estimator(task_weight=[0, 1, 1, 1]).fit(features, targets)


LONG_FORM = r"The long form allows any classes and any rows .*task labels named by task_column"


@every_classifier
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (INDICATOR + 1, rf"indicator of 0 and 1, .*got values such as 2\.0\. {LONG_FORM}"),
        (INDICATOR - 0.5, rf"indicator of 0 and 1, .*such as -0\.5, 0\.5\. {LONG_FORM}"),
        (np.array([["a", "b"]] * N), rf"indicator of numbers 0 and 1.*{LONG_FORM}"),
        (np.array([["0", "1"]] * N), rf"indicator of numbers 0 and 1.*{LONG_FORM}"),
        (np.zeros((N, 2)), r"needs samples of at least 2 classes .*only one class: 0"),
        (with_entry(CLASSES, np.nan, 3), "Input y contains NaN"),
        (Y, "Unknown label type: continuous"),
        (CLASSES.reshape(N, 1, 1), "y"),
        (None, "requires y to be passed, but the target y is None"),
    ],
    ids=range(9),
)
def test_bad_classes_without_a_task_column(estimator, y, message):
    with pytest.raises(ValueError, match=message):
        estimator().fit(X[:, 1:], y)


@every_classifier
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed, but the target y is None"),
        (with_entry(CLASSES, np.nan, 3), "Input y contains NaN"),
        (with_entry(CLASSES, None, 3), r"missing in 1 row of task .* Drop these rows"),
        (np.array([None, "a", "b", "a"] * (N // 4), dtype=object), "y contains NaN|None|missing"),
        (pd.Series(["a", None] * (N // 2)), "contains NaN|missing"),
        (pl.Series(["a", None] * (N // 2)), "y contains NaN|None|missing"),
        (Y, "Unknown label type: continuous"),
        (INDICATOR, r"y should be a 1d array, got an array of shape \(72, 3\)"),
        (np.array(["yes"] * N), r"at least 2 classes in the data, .*only one class: 'yes'"),
        (np.full(N, 3), r"at least 2 classes in the data, .*only one class: 3"),
    ],
    ids=range(10),
)
def test_bad_classes_in_the_long_form(estimator, y, message):
    with pytest.raises(ValueError, match=message):
        estimator(task_column=0).fit(X, y)


@every_classifier
def test_one_class_is_left(estimator):
    message = r"needs samples of at least 2 classes .*only one class: 1"
    with pytest.raises(ValueError, match=message):
        estimator(task_column=0).fit(X, CLASSES, CLASSES)
    alone = np.where(CODES == 2, CLASSES, 1)  # task 2 alone has two classes
    with pytest.raises(ValueError, match=message):
        estimator(task_column=0, task_weight=[1, 1, 0, 1]).fit(X, alone)
    with pytest.raises(ValueError, match=message):
        estimator().fit(X[:, 1:], np.ones_like(INDICATOR))


class Distributed:
    """What Dask's frames and arrays have: rows that are computed when asked for."""

    shape = (N, 2)
    compute = None


@every_estimator
def test_rows_that_are_not_in_memory(K, estimator):
    table = pl.from_pandas(frame())
    model = estimator(task_column="task").fit(table, TARGET[K])
    before = model.coef_
    for rows, y, message in (
        (table.lazy(), TARGET[K], r"X is a LazyFrame.*Pass X\.collect\(\)"),
        (Distributed(), TARGET[K], r"X is a Distributed.*Pass X\.compute\(\)"),
        (table, pl.DataFrame({"y": TARGET[K]}).lazy(), r"y is a LazyFrame.*y\.collect"),
    ):
        with pytest.raises(TypeError, match=message):
            model.fit(rows, y)
    with pytest.raises(TypeError, match="X is a LazyFrame"):
        model.predict(table.lazy())
    assert model.coef_ is before


@every_estimator
def test_labels_are_no_argument_of_fit(K, estimator):
    with pytest.raises(ValueError, match=r"'T\d'.*column of X, which task_column names"):
        estimator().fit(X[:, 1:], TARGET[K], frame()["task"])


@every_estimator
@pytest.mark.parametrize("name", ["alpha", "alpha_intercept"])
def test_auto_with_a_slip(K, estimator, name):
    if name in estimator().get_params():
        with pytest.raises(ValueError, match=r"got 'autos'\. 'auto' is for alpha, alpha_shared"):
            estimator(task_column=0, **{name: "autos"}).fit(X, TARGET[K])
