"""One set of rows in every container, dtype and memory layout: the same, right answers."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import DataConversionWarning

from skmtl import (
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    PooledClassifier,
    PooledRegressor,
    SharedL2Regressor,
)
from tests._problems import (
    assert_same_model,
    families,
    fit_long,
    kinds,
    make_indicator,
    make_rows,
    make_wide,
    n_classes,
    respond,
)


def coarse(array):
    """Round to what is exact as float32 and as text."""
    return np.round(array * 256) / 256


FAMILY_ROWS = {K: make_rows(K) for K in (None, 2, 3)}
for rows in FAMILY_ROWS.values():
    rows.X[:] = coarse(rows.X)
ROWS = FAMILY_ROWS[None]
ROWS.y[:] = coarse(ROWS.y)
X, Y = ROWS.long, ROWS.y
every_kind = pytest.mark.parametrize("kind", [0, 1, 2], ids=["pooled", "separate", "mean"])
NAMES = ["task", "a", "b", "c"]
CLASS_NAMES = ["no", "yes", "perhaps"]


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


@every_kind
@pytest.mark.parametrize(("K", "column"), [(None, 0), (None, -4), (2, 0), (3, 0)])
@pytest.mark.parametrize("convert", ARRAYS.values(), ids=ARRAYS)
def test_containers_of_the_long_form(K, kind, convert, column):
    rows, estimator = FAMILY_ROWS[K], kinds(K)[kind]
    expected = fit_long(estimator(), rows)
    data, rtol = convert(rows.long), 1e-13 if K is None else 1e-12
    model = estimator(task_column=column).fit(data, rows.y)
    assert_same_model(model, expected, rtol=rtol)
    assert_array_equal(model.tasks_, [0, 1, 2, 3])
    assert model.tasks_.dtype.kind == "i"
    assert model.n_features_in_ == 4
    method = "predict" if K is None else "predict_proba"
    found = getattr(model, method)(data)
    assert_allclose(found, getattr(expected, method)(rows.long), rtol=rtol)
    assert found.dtype == np.float64


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


@every_kind
@pytest.mark.parametrize("convert", WIDE.values(), ids=WIDE)
def test_containers_of_the_wide_form(kind, convert):
    features, targets = map(coarse, make_wide())
    assert np.isnan(targets).any()
    model = kinds(None)[kind](task_weight=[1, 2, 3, 4])
    expected = model.fit(features, targets).predict(features)
    other = kinds(None)[kind](task_weight=[1, 2, 3, 4]).fit(convert(features), convert(targets))
    assert_same_model(other, model, rtol=1e-13)
    assert_allclose(other.predict(convert(features)), expected, rtol=1e-12)


INDICATORS = {
    "array": np.asarray,
    "floats": lambda y: y.astype(float),
    "fortran": lambda y: read_only(np.asfortranarray(y.astype(float))),
    "bool": lambda y: y == 1,
    "list": list,
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
}


@every_kind
@pytest.mark.parametrize("convert", INDICATORS.values(), ids=INDICATORS)
def test_containers_of_an_indicator(kind, convert):
    features, targets = make_indicator()
    features, estimator = coarse(features), kinds(2)[kind]
    expected = estimator().fit(features.copy(), targets.copy())
    assert_same_model(estimator().fit(features, convert(targets)), expected, rtol=1e-13)
    other = np.asfortranarray(features.astype("f4"))
    assert_same_model(estimator().fit(other, convert(targets)), expected, rtol=1e-12)


@every_kind
@pytest.mark.parametrize(("K", "column"), [(None, 0), (3, None), (3, 0)])
def test_a_column_vector_is_one_task_with_a_warning(K, kind, column):
    rows, estimator = FAMILY_ROWS[K], kinds(K)[kind]
    data = rows.X if column is None else rows.long
    expected = estimator(task_column=column).fit(data, rows.y)
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed when a 1d array"):
        model = estimator(task_column=column).fit(data, rows.y[:, None])
    assert_same_model(model, expected, rtol=1e-14)
    assert model.predict(data).shape == (len(rows.y),)


# Labels of tasks and classes --------------------------------------------------------------------

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
def test_task_labels_of_every_type(labels, container):
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


def test_task_labels_of_several_types_at_once():
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


CLASS_LABELS = {
    "str": lambda c: np.array(CLASS_NAMES)[c],
    "object": lambda c: np.array(CLASS_NAMES, dtype=object)[c],
    "int8": lambda c: (c - 1).astype(np.int8),
    "uint64": lambda c: c.astype(np.uint64) + np.uint64(2**63),
    "whole floats": lambda c: c.astype(np.float32) * 2,
    "list of str": lambda c: [CLASS_NAMES[k] for k in c],
    "list of int": lambda c: c.tolist(),
    "series": lambda c: pd.Series(c, index=np.arange(len(c))[::-1]),
    "series of str": lambda c: pd.Series([CLASS_NAMES[k] for k in c]),
    "category": lambda c: pd.Series(pd.Categorical([CLASS_NAMES[k] for k in c], CLASS_NAMES[::-1])),
    "categorical": lambda c: pd.Categorical([CLASS_NAMES[k] for k in c], CLASS_NAMES),
    "nullable": lambda c: pd.Series(c, dtype="Int64"),
    "polars": pl.Series,
    "polars str": lambda c: pl.Series([CLASS_NAMES[k] for k in c]),
    "strided": lambda c: np.repeat(c, 2)[::2],
}


@pytest.mark.parametrize("convert", CLASS_LABELS.values(), ids=CLASS_LABELS)
@n_classes
def test_class_labels_of_every_type(convert, K):
    rows = FAMILY_ROWS[K]
    y = convert(rows.y)
    model = MeanRegularizedClassifier(task_column=0).fit(rows.long, y)
    names = list(dict.fromkeys(list(y)))
    assert_array_equal(model.classes_, sorted(names))
    order = [list(y).index(name) for name in model.classes_.tolist()]  # rows with each class
    reference = MeanRegularizedClassifier(task_column=0).fit(rows.long, rows.y)
    p = reference.predict_proba(rows.long)[:, rows.y[order]]
    assert_allclose(model.predict_proba(rows.long), p, rtol=1e-6, atol=1e-9)
    assert list(model.predict(rows.long)) == [model.classes_[k] for k in p.argmax(axis=1)]
    right = p.argmax(axis=1) == np.searchsorted(model.classes_, y)
    assert model.score(rows.long, y) == np.mean(right)


@pytest.mark.parametrize("convert", [np.asarray, pd.Series, list])
def test_class_labels_of_bool(convert):
    rows = FAMILY_ROWS[2]
    model = PooledClassifier(task_column=0).fit(rows.long, convert(rows.y == 1))
    assert model.classes_.dtype == bool
    assert model.predict(rows.long).dtype == bool
    expected = PooledClassifier(task_column=0).fit(rows.long, rows.y)
    assert_same_model(model, expected, rtol=1e-13)


# What is left as it was -------------------------------------------------------------------------


@every_kind
@families
def test_inputs_are_never_written_to(K, kind, tmp_path):
    rows, task_weight = FAMILY_ROWS[K], np.array([1.0, 2.0, 3.0, 4.0])
    long, y, weight = rows.long, rows.y, np.linspace(0.0, 2.0, len(rows.y))
    order = np.argsort(rows.codes, kind="stable")
    cases = [
        (0, (read_only(long), read_only(y), read_only(weight))),
        (0, (np.asfortranarray(long), y, weight)),
        (0, (long[order], y[order], np.ones(len(y)))),
        (0, (memory_mapped(long, tmp_path), y, weight)),
    ]
    if K != 3:
        features, targets = make_wide(missing=0.3) if K is None else make_indicator()
        ones = np.ones(len(features))
        ones[3] = 0
        cases += [
            (None, (features, targets, ones)),
            (None, (np.asfortranarray(features), np.asfortranarray(targets), ones)),
            (None, (read_only(features), read_only(targets), ones)),
        ]
    for column, data in cases:
        before = [np.array(part).tobytes() for part in (*data, task_weight)]
        model = kinds(K)[kind](task_column=column, task_weight=task_weight)
        respond(model.fit(*data), data[0])
        assert [np.array(part).tobytes() for part in (*data, task_weight)] == before
        expected = kinds(K)[kind](task_column=column, task_weight=task_weight)
        expected.fit(*(np.array(part, order="C") for part in data))
        assert_same_model(model, expected, rtol=1e-12)
