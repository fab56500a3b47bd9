"""Bad input is refused with a message that says what was wrong and what to do."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MeanRegularizedRegressor, PooledRegressor, SharedL2Regressor
from tests._problems import REGRESSORS, make_rows, make_wide

ROWS = make_rows()
X, Y = ROWS.long, ROWS.y
WIDE = make_wide(missing=0.0)
every_estimator = pytest.mark.parametrize("estimator", REGRESSORS)


def frame(labels=None):
    table = pd.DataFrame(ROWS.X, columns=["a", "b", "c"])
    table["task"] = [f"T{t}" for t in ROWS.codes] if labels is None else labels
    return table


def objects(label):
    """X as objects, one of the labels replaced."""
    array = X.astype(object)
    array[3, 0] = label
    return array


def with_entry(array, value, index=(2, 1)):
    array = np.array(array, dtype=float)
    array[index] = value
    return array


# Parameters -------------------------------------------------------------------------------------

PARAMETERS = [
    ({"alpha": -1.0}, ValueError, r"alpha must be .*got -1\.0"),
    ({"alpha": np.nan}, ValueError, r"alpha must be .*got nan"),
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
    ({"tol": "1e-4"}, ValueError, r"tol must be a number between 0 and 1, got '1e-4'"),
    ({"task_column": "task"}, ValueError, r"task_column='task' is a name, and X is an array"),
    ({"task_column": 4}, ValueError, r"task_column=4 is out of range: X has 4 columns"),
    ({"task_column": -5}, ValueError, r"task_column=-5 is out of range: X has 4 columns"),
    ({"task_column": 0.0}, TypeError, r"task_column must be a column name or an integer.*got 0\.0"),
    ({"task_column": True}, TypeError, r"task_column must be a column name or an integer"),
    ({"task_column": [0]}, TypeError, r"task_column must be a column name or an integer"),
]


@every_estimator
@pytest.mark.parametrize(("params", "error", "message"), PARAMETERS, ids=lambda p: str(p)[:40])
def test_parameters_for_all(estimator, params, error, message):
    with pytest.raises(error, match=message):
        estimator(**{"task_column": 0, **params}).fit(X, Y)


@pytest.mark.parametrize("estimator", [SharedL2Regressor, MeanRegularizedRegressor])
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
def test_alpha_per_task(estimator, alpha, message):
    with pytest.raises((ValueError, TypeError), match=message):
        estimator(alpha, task_column=0).fit(X, Y)


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (PooledRegressor, "alpha"),
        (PooledRegressor, "alpha_intercept"),
        (MeanRegularizedRegressor, "alpha_shared"),
        (MeanRegularizedRegressor, "alpha_intercept"),
    ],
)
@pytest.mark.parametrize("value", [-1.0, np.nan, "big", None, [1.0, 2.0]])
def test_strengths(estimator, name, value):
    with pytest.raises(ValueError, match=rf"{name} must be a number in \[0, inf\], got"):
        estimator(task_column=0, **{name: value}).fit(X, Y)


@pytest.mark.parametrize("handle_unknown", ["shared", "warn"])
def test_a_model_without_a_center_refuses_to_share(handle_unknown):
    message = rf"SharedL2Regressor has no shared model .*got handle_unknown='{handle_unknown}'"
    with pytest.raises(ValueError, match=message):
        SharedL2Regressor(task_column=0, handle_unknown=handle_unknown).fit(X, Y)
    fitted = SharedL2Regressor(task_column=0).fit(X, Y).set_params(handle_unknown=handle_unknown)
    with pytest.raises(ValueError, match="SharedL2Regressor has no shared model"):
        fitted.predict(np.full((1, 4), 99.0))


# Data -------------------------------------------------------------------------------------------

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
        (X[:, :1], r"Found array with 0 feature\(s\)"),
        (X[:0], r"Found array with 0 sample\(s\)"),
        (X[0], r"Expected 2D array, got 1D array|1-dimensional|shape \(4,\)"),
    ],
    ids=lambda value: None if isinstance(value, str) else "",
)
def test_bad_rows_in_the_long_form(estimator, bad, message):
    with pytest.raises((ValueError, TypeError), match=message):
        estimator(task_column=0).fit(bad, Y[: len(bad)])
    fitted = estimator(task_column=0).fit(X, Y)
    if np.ndim(bad) == 2 and bad.shape[1] == 4:
        with pytest.raises(ValueError, match=message):
            fitted.predict(bad)


@pytest.mark.parametrize("label", [None, np.nan, pd.NA, pd.NaT])
@pytest.mark.parametrize("dtype", [None, object, "category"])
def test_missing_labels_in_pandas(label, dtype):
    labels = [f"T{t}" for t in ROWS.codes]
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
    ("y", "message"),
    [
        (None, "requires y to be passed, but the target y is None"),
        (with_entry(Y, np.nan, 2), "Input y contains NaN"),
        (with_entry(Y, np.inf, 2), "Input y contains infinity"),
        (Y[:-1], "inconsistent numbers of samples"),
        (np.column_stack([Y, Y]), r"y should be a 1d array, got an array of shape \(35, 2\)"),
        (np.array(["a"] * len(Y)), "could not convert string to float"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_targets_in_the_long_form(estimator, y, message):
    with pytest.raises(ValueError, match=message):
        estimator(task_column=0).fit(X, y)


@every_estimator
def test_bad_targets_in_the_wide_form(estimator):
    features, targets = WIDE
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


@every_estimator
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (with_entry(np.ones(35), -1.0, 4), "Negative values in sample_weight"),
        (with_entry(np.ones(35), np.nan, 4), "Input sample_weight contains NaN"),
        (with_entry(np.ones(35), np.inf, 4), "Input sample_weight contains infinity"),
        (np.ones(34), r"sample_weight\.shape == \(34,\), expected \(35,\)"),
        (np.ones((35, 2)), r"sample_weight\.shape == \(35, 2\), expected \(35,\)"),
        (np.zeros(35), "All sample weights are zero"),
        (-1.0, "Negative values in sample_weight"),
        (np.nan, "sample_weight"),
        (0, "All sample weights are zero"),
    ],
    ids=["negative", "nan", "inf", "short", "2d", "zero", "scalar-neg", "scalar-nan", "scalar-0"],
)
def test_bad_sample_weights(estimator, weight, message):
    with pytest.raises(ValueError, match=message):
        estimator(task_column=0).fit(X, Y, weight)


# Predict ----------------------------------------------------------------------------------------


def test_unknown_tasks():
    known = frame()
    new = known.assign(task=["C7", "T1", "B5", "T0", "C7"] + ["T2"] * 30)
    model = MeanRegularizedRegressor(task_column="task").fit(known, Y)
    message = (
        r"predict got tasks 'B5', 'C7', not seen in fit \(4 tasks: 'T0', 'T1', 'T2', 'T3'\)\. "
        r"Use handle_unknown='shared'.*adapt\(\).*TaskKFold"
    )
    with pytest.raises(ValueError, match=message):
        model.predict(new)
    with pytest.raises(ValueError, match=r"predict got task 'B5', not seen"):
        model.predict(new[1:4])
    expected = model.predict(known.assign(task=new.task.where(new.task.isin(known.task), "T0")))
    unseen = [0, 2, 4]
    expected[unseen] = ROWS.X[unseen] @ model.shared_coef_ + model.shared_intercept_
    np.testing.assert_allclose(
        clone(model).set_params(handle_unknown="shared").fit(known, Y).predict(new),
        expected,
        rtol=1e-12,
    )
    model.set_params(handle_unknown="warn")
    with pytest.warns(UserWarning, match=r"'B5', 'C7', not seen in fit.*shared model is used"):
        warned = model.predict(new)
    np.testing.assert_allclose(warned, expected, rtol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(known)


def test_long_lists_of_labels_are_cut():
    model = PooledRegressor(task_column=0).fit(np.repeat(X, 3, axis=0), np.repeat(Y, 3))
    many = X.copy()
    many[:, 0] = np.arange(100, 135)
    with pytest.raises(ValueError, match=r"100, 101, 102, 103, 104, \.\.\. \(30 more\), not seen"):
        model.predict(many)


@every_estimator
def test_predict_checks_its_columns(estimator):
    with pytest.raises(NotFittedError, match=f"This {estimator.__name__} instance is not fitted"):
        estimator(task_column=0).predict(X)
    model = estimator(task_column=0).fit(X, Y)
    with pytest.raises(ValueError, match=r"X has 3 features.*is expecting 4 features"):
        model.predict(X[:, :3])
    model = estimator(task_column="task").fit(frame(), Y)
    with pytest.raises(ValueError, match=r"feature names should match.*\n.*unseen at fit time"):
        model.predict(frame().rename(columns={"b": "z"}))
    with pytest.raises(ValueError, match="must be in the same order"):
        model.predict(frame()[["task", "b", "a", "c"]])


@every_estimator
def test_convergence_warning(estimator):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 12)) * np.logspace(0, 3, 12)
    long = np.column_stack([np.arange(60) % 3, features])
    model = estimator(task_column=0, solver="cg", max_iter=2, tol=1e-10)
    message = (
        rf"The 'cg' solver of {estimator.__name__} stopped after 2 iterations at a relative KKT "
        r"residual of \d\.\de-\d+, asked for tol=1\.0e-10\. "
        r"What to try: use solver='direct'.* increase max_iter"
    )
    with pytest.warns(ConvergenceWarning, match=message):
        model.fit(long, features.sum(axis=1))
    assert model.n_iter_ == 2
    assert model.optimality_ > model.tol
