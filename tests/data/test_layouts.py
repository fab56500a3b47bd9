"""One set of rows in every container, dtype and memory layout: the same, right answers."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmtl import MeanRegularizedRegressor, PooledRegressor, SharedL2Regressor
from tests._problems import (
    REGRESSORS,
    assert_same_model,
    fit_long,
    make_rows,
    make_wide,
)
from tests.dense import Dense

ROWS = make_rows()
ROWS.X[:] = np.round(ROWS.X * 256) / 256  # exact as float32 and as text
ROWS.y[:] = np.round(ROWS.y * 256) / 256
X, Y = ROWS.long, ROWS.y
every_estimator = pytest.mark.parametrize("estimator", REGRESSORS)
NAMES = ["task", "a", "b", "c"]


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def memory_mapped(array, folder):
    np.save(folder / "array.npy", array)
    return np.load(folder / "array.npy", mmap_mode="r")


def nullable(array):
    types = {"task": "Int8", "a": "Float64", "b": "Float32", "c": "Float64"}
    return pd.DataFrame(array, columns=NAMES).astype(types)


def categorical(array):
    return pd.DataFrame(array, columns=NAMES).astype({"task": int}).astype({"task": "category"})


ARRAYS = {
    "float32": lambda array: array.astype(np.float32),
    "fortran": np.asfortranarray,
    "strided": lambda array: np.repeat(np.repeat(array, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda array: array[::-1].copy()[::-1],
    "read-only": read_only,
    "objects": lambda array: array.astype(object),
    "lists": lambda array: array.tolist(),
    "tuples": lambda array: tuple(map(tuple, array)),
    "big-endian": lambda array: array.astype(">f8"),
    "pandas": lambda array: pd.DataFrame(array, columns=NAMES),
    "pandas-nullable": nullable,
    "pandas-category": categorical,
    "pandas-without-names": pd.DataFrame,
    "polars": lambda array: pl.DataFrame(dict(zip(NAMES, array.T, strict=True))),
    "polars-int": lambda array: pl.DataFrame(dict(zip(NAMES, array.T, strict=True))).cast(
        {"task": pl.Int16, "a": pl.Float32}
    ),
}


@every_estimator
@pytest.mark.parametrize("convert", ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("column", [0, -4])
def test_containers_of_the_long_form(estimator, convert, column):
    expected = fit_long(estimator(), ROWS)
    data = convert(X)
    model = estimator(task_column=column).fit(data, Y)
    assert_same_model(model, expected, rtol=1e-13)
    assert_array_equal(model.tasks_, [0, 1, 2, 3])
    assert model.tasks_.dtype.kind == "i"
    assert model.n_features_in_ == 4
    assert_allclose(model.predict(data), expected.predict(X), rtol=1e-13)


@pytest.mark.parametrize("column", [0, 1, 2, 3, -1, -2])
def test_the_task_column_may_be_anywhere(column):
    data = np.insert(ROWS.X, column % 4, ROWS.codes, axis=1)
    model = MeanRegularizedRegressor(task_column=column).fit(data, Y)
    assert_same_model(model, fit_long(MeanRegularizedRegressor(), ROWS), rtol=1e-13)


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_dataframes_by_name(library):
    table = library({"b": ROWS.X[:, 0], "task": [f"T{t}" for t in ROWS.codes], "a": ROWS.X[:, 1]})
    model = PooledRegressor(task_column="task").fit(table, Y)
    assert_array_equal(model.tasks_, ["T0", "T1", "T2", "T3"])
    assert_array_equal(model.feature_names_in_, ["b", "task", "a"])
    expected = PooledRegressor(task_column=0).fit(X[:, :3], Y)
    assert_same_model(model, expected, rtol=1e-13)


TARGETS = {
    "list": list,
    "float32": lambda y: y.astype(np.float32),
    "column": lambda y: y[:, None],
    "strided": lambda y: np.repeat(y, 2)[::2],
    "read-only": read_only,
    "objects": lambda y: y.astype(object),
    "series": pd.Series,
    "nullable": lambda y: pd.Series(y, dtype="Float64"),
    "polars": pl.Series,
}


@pytest.mark.parametrize("convert", TARGETS.values(), ids=TARGETS)
@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_containers_of_the_target(convert):
    model = MeanRegularizedRegressor(task_column=0).fit(X, convert(Y))
    assert_same_model(model, fit_long(MeanRegularizedRegressor(), ROWS), rtol=1e-13)
    weight = np.arange(1.0, len(Y) + 1)
    expected = fit_long(MeanRegularizedRegressor(), ROWS, weight)
    if convert is not TARGETS["column"]:
        model.fit(X, Y, convert(weight))
        assert_same_model(model, expected, rtol=1e-13)
    assert_same_model(model.fit(X, Y, 3), fit_long(model, ROWS, np.full(len(Y), 3.0)), rtol=1e-13)


WIDE = {
    "float32": lambda array: array.astype(np.float32),
    "fortran": np.asfortranarray,
    "strided": lambda array: np.repeat(array, 2, axis=0)[::2],
    "read-only": read_only,
    "lists": lambda array: array.tolist(),
    "pandas": lambda array: pd.DataFrame(array, columns=[f"f{j}" for j in range(array.shape[1])]),
    "pandas-nullable": lambda array: pd.DataFrame(
        array, columns=[f"f{j}" for j in range(array.shape[1])]
    ).convert_dtypes(),
    "polars": lambda array: pl.DataFrame(array),
    "polars-null": lambda array: pl.DataFrame(array).fill_nan(None),
}


@every_estimator
@pytest.mark.parametrize("convert", WIDE.values(), ids=WIDE)
def test_containers_of_the_wide_form(estimator, convert):
    features, targets = (np.round(part * 256) / 256 for part in make_wide())
    assert np.isnan(targets).any()
    model = estimator(task_weight=[1, 2, 3, 4]).fit(convert(features), convert(targets))
    expected = estimator(task_weight=[1, 2, 3, 4]).fit(features, targets)
    assert_same_model(model, expected, rtol=1e-13)
    assert_allclose(model.predict(convert(features)), expected.predict(features), rtol=1e-12)


LABELS = {
    "int8": np.array([-5, -1, 0, 127], dtype=np.int8),
    "uint8": np.array([0, 3, 200, 255], dtype=np.uint8),
    "uint64": np.array([1, 2, 2**64 - 2, 2**64 - 1], dtype=np.uint64),
    "uint64-near": np.array([7, 8, 9, 12], dtype=np.uint64) + np.uint64(2**63),
    "int64": np.array([-(2**62), -1, 2**62, 2**62 + 1]),
    "python-int": np.array([-1, 5, 10**25, 10**25 + 1], dtype=object),
    "str": np.array(["", "1", "a", "é"]),
    "bytes": np.array([b"a", b"b", b"c", b"d"]),
    "tuple": [("a", 1), ("a", 2), ("b", 0), ("b", 1)],
    "date": [datetime.date(2020, 1, day) for day in (1, 2, 3, 4)],
    "datetime64[D]": np.array(["2020-01-01", "2020-01-02", "2021-01-01", "2022-01-01"], "M8[D]"),
    "datetime64[ns]": np.array(["2020", "2021", "2022", "2023"], "M8[ns]"),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("container", ["frame", "objects"])
def test_labels_of_every_type(labels, container):
    table = pd.DataFrame(ROWS.X, columns=NAMES[1:])
    column = [labels[t] for t in ROWS.codes]
    table.insert(0, "task", labels[ROWS.codes] if isinstance(labels, np.ndarray) else column)
    if container == "objects":
        table = table.to_numpy(dtype=object)
    model = MeanRegularizedRegressor(task_column=0).fit(table, Y)
    assert_same_model(model, fit_long(MeanRegularizedRegressor(), ROWS), rtol=1e-13)
    if "datetime" in str(getattr(labels, "dtype", "")):  # whatever the class, never a number
        assert not isinstance(model.tasks_[0], int | np.integer)
        assert list(map(pd.Timestamp, model.tasks_)) == list(map(pd.Timestamp, labels))
    else:
        assert list(model.tasks_) == list(labels)
    assert_allclose(model.predict(table), fit_long(model, ROWS).predict(X), rtol=1e-12)


def test_labels_of_several_types_at_once():
    names = [1, "1", (1,), 2.0]
    column = np.empty(len(Y), dtype=object)
    column[:] = [names[t] for t in ROWS.codes]
    table = np.column_stack([np.zeros((len(Y), 1), object), ROWS.X.astype(object)])
    table[:, 0] = column
    model = MeanRegularizedRegressor(task_column=0).fit(table, Y)
    order = [names.index(label) for label in model.tasks_]
    expected = fit_long(MeanRegularizedRegressor(), ROWS)
    assert_same_model(expected, model, rtol=1e-13, order=order)
    assert_allclose(model.predict(table), expected.predict(X), rtol=1e-12)


@pytest.mark.parametrize("dtype", [bool, float, np.float32, np.uint64, np.int8, object])
def test_numbers_are_the_same_label_whatever_their_type(dtype):
    two = ROWS.codes < 2
    table = pd.DataFrame({"task": ROWS.codes[two], "a": ROWS.X[two, 0]})
    model = SharedL2Regressor(task_column="task").fit(table, Y[two])
    other = table.astype({"task": dtype})
    assert_allclose(model.predict(other), model.predict(table), rtol=1e-14)
    assert_array_equal(model.fit(other, Y[two]).tasks_, [0, 1])


@every_estimator
def test_inputs_are_never_written_to(estimator, tmp_path):
    features, targets = make_wide(missing=0.3)
    weight, task_weight = np.ones(len(features)), np.array([1.0, 2.0, 3.0, 4.0])
    weight[3] = 0
    task = memory_mapped(ROWS.long, tmp_path)
    for data in [
        (features, targets, weight),
        (np.asfortranarray(features), np.asfortranarray(targets), weight),
        (X[np.argsort(X[:, 0])], Y, np.ones(len(Y))),
        (task, Y, np.arange(len(Y), dtype=float)),
    ]:
        before = [part.tobytes() for part in (*data, task_weight)]
        column = None if data[1].ndim == 2 else 0
        model = estimator(task_column=column, task_weight=task_weight)
        model.fit(*data).predict(data[0])
        assert [part.tobytes() for part in (*data, task_weight)] == before


EXTREME = {
    "one row": make_rows(sizes=(1, 1, 20, 1)),
    "n < d": make_rows(sizes=(3, 2, 4, 1), d=25),
    "single task": make_rows(sizes=(20,)),
    "single row": make_rows(sizes=(1,)),
    "large and small": make_rows(sizes=(2, 500, 3, 1), d=5),
}
EXTREME["constant column"] = make_rows()
EXTREME["constant column"].X[:, 1] = 7.1
EXTREME["constant in a task"] = make_rows(d=5)
EXTREME["constant in a task"].X[:, 3] = EXTREME["constant in a task"].codes / 3
EXTREME["duplicated column"] = make_rows()
EXTREME["duplicated column"].X[:, 1] = EXTREME["duplicated column"].X[:, 0]
EXTREME["constant target"] = make_rows()
EXTREME["constant target"].y[:] = 3.3
EXTREME["scaled columns"] = make_rows(d=5)
EXTREME["scaled columns"].X *= [1e-8, 1e-4, 1, 1e4, 1e8]


@pytest.mark.parametrize("rows", EXTREME.values(), ids=EXTREME)
@pytest.mark.parametrize(
    "model",
    [
        PooledRegressor(2.0, alpha_intercept=2.0),
        SharedL2Regressor(2.0),
        MeanRegularizedRegressor(2.0, alpha_shared=0.5),
        MeanRegularizedRegressor(2.0),
    ],
    ids=repr,
)
def test_extreme_rows(model, rows):
    fitted = fit_long(model, rows)
    dense = Dense(model, rows)
    theta = dense.theta(fitted)
    assert (np.abs(dense.gradient(theta)) <= 1e-11 * dense.rounding_unit(theta)).all()
    # As good as least squares on all unknowns at once, and of a norm no larger.
    best = dense.solve()
    assert dense.value(theta) <= dense.value(best) * (1 + 1e-10) + 1e-20
    if rows is not EXTREME["scaled columns"]:  # of which lstsq drops the smallest
        norms = np.linalg.norm(fitted.coef_), np.linalg.norm(dense.unpack(best)[0])
        assert norms[0] <= norms[1] * (1 + 1e-6) + 1e-9
    assert fitted.optimality_ <= fitted.tol


@pytest.mark.parametrize("unit", ["s", "ms", "ns", "D"])
def test_dates_are_the_same_label_in_every_unit(unit):
    dates = np.array(["2020-01-01", "2020-02-01", "2021-01-01"], dtype="datetime64[D]")[
        ROWS.codes % 3
    ]
    features = pd.DataFrame(ROWS.X).add_prefix("x")
    alpha = {pd.Timestamp("2020-01-01"): 1.0, pd.Timestamp("2020-02-01"): 2.0}
    alpha[pd.Timestamp("2021-01-01")] = 3.0
    model = MeanRegularizedRegressor(alpha, task_column="task")
    model.fit(features.assign(task=dates.astype("datetime64[us]")), ROWS.y)
    expected = model.predict(features.assign(task=dates.astype("datetime64[us]")))
    if unit != "D":  # pandas has no days
        frame = features.assign(task=dates.astype(f"datetime64[{unit}]"))
        assert_allclose(model.predict(frame), expected, rtol=1e-13)
    polars_frame = pl.DataFrame({**features.to_dict("list"), "task": pl.Series(dates)})
    assert_allclose(
        MeanRegularizedRegressor(alpha, task_column="task")
        .fit(polars_frame, ROWS.y)
        .predict(polars_frame),
        expected,
        rtol=1e-13,
    )
    later = features[:2].assign(task=np.array(["2020-01-01T00:00:00.7"] * 2, "datetime64[ms]"))
    with pytest.raises(ValueError, match="not seen in fit"):
        model.predict(later)
    finer = features[:2].assign(task=np.array(["2020-01-01T00:00:00.000000007"] * 2, "M8[ns]"))
    with pytest.raises(ValueError, match="finer than a microsecond"):
        model.predict(finer)
