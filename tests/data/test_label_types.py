"""Labels of tasks and classes come out as they went in, or are refused by name."""

import datetime
import itertools
import pickle
import re
import warnings
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import LabelEncoder, StandardScaler

from skmtl import (
    ADMMRegressor,
    GraphRegularizedRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
)
from skmtl.inspection import effective_dof, sharing_report, task_similarity
from skmtl.metrics import make_task_scorer, task_scores
from skmtl.model_selection import RegularizationPathCV, TaskKFold
from skmtl.penalties import TemporalFused
from skmtl.pipeline import make_task_pipeline

BERLIN = ZoneInfo("Europe/Berlin")
DAYS = [datetime.date(2024, 3, day) for day in (29, 30, 31)] + [datetime.date(2024, 4, 1)]
TIMES = [datetime.datetime(2024, 3, day, 5, 30) for day in (29, 30, 31)]
TIMES += [datetime.datetime(2024, 4, 1)]
SPANS = [datetime.timedelta(days=day, microseconds=1) for day in (1, 2, 3, 20)]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def _zoned(unit):
    return (
        pd.Series(TIMES)
        .dt.tz_localize("Europe/Berlin")
        .astype(f"datetime64[{unit}, Europe/Berlin]")
    )


def _arrow(values, kind):
    return pd.Series(values, dtype=pd.ArrowDtype(kind))


# Four labels in their order, as a Series or as an array; the last is new in adapt.
PANDAS = {
    "str": pd.Series(["a", "apple", "b", "é"]),
    "str_object": pd.Series(["a", "apple", "b", "é"], dtype=object),
    "string": pd.Series(["a", "apple", "b", "é"], dtype="string"),
    "string_arrow": _arrow(["a", "apple", "b", "é"], pa.string()),
    "bytes": pd.Series([b"a", b"apple", b"b", b"c"]),
    "bytes_arrow": _arrow([b"a", b"apple", b"b", b"c"], pa.binary()),
    **{kind: pd.Series([1, 2, 5, 100], dtype=kind) for kind in INTEGERS},
    **{kind.title(): pd.Series([1, 2, 5, 100], dtype=kind.title()) for kind in ("int8", "int64")},
    "int_arrow": _arrow([1, 2, 5, 100], pa.int16()),
    "uint64_large": pd.Series([1, 2**53, 2**53 + 1, 2**64 - 1], dtype="uint64"),
    "int_large": pd.Series([-(2**70), 0, 2**70, 2**70 + 1], dtype=object),
    "int_object": pd.Series([-3, 0, 1, 2], dtype=object),
    **{
        kind: pd.Series([1, 2, 1000, 2048], dtype=kind)
        for kind in ("float16", "float32", "float64")
    },
    "decimal": pd.Series([Decimal("0.10"), Decimal("0.5"), Decimal(3), Decimal(4)]),
    "decimal_arrow": _arrow(
        [Decimal("0.10"), Decimal("0.5"), Decimal(3), Decimal(4)], pa.decimal128(5, 2)
    ),
    "date": pd.Series(DAYS),
    "date_arrow": _arrow(DAYS, pa.date32()),
    **{
        f"datetime_{unit}": pd.Series(TIMES).astype(f"datetime64[{unit}]")
        for unit in ("s", "ms", "us", "ns")
    },
    **{f"zoned_{unit}": _zoned(unit) for unit in ("s", "ms", "us", "ns")},
    "zoned_object": _zoned("us").astype(object),
    "zoned_arrow": _zoned("us").astype(pd.ArrowDtype(pa.timestamp("us", "Europe/Berlin"))),
    "clocks_set_back": pd.Series(
        pd.date_range("2024-10-27 00:30", periods=4, freq="h", tz="Europe/Berlin")
    ),
    "timedelta": pd.Series(SPANS),
    "timedelta_arrow": _arrow(SPANS, pa.duration("us")),
    "period": pd.Series(pd.period_range("2023-11", periods=4, freq="M")),
    "interval": pd.Series(pd.interval_range(0, 4)),
    "time": pd.Series([datetime.time(hour) for hour in (1, 2, 3, 4)]),
    "tuple": pd.Series([("a", 1), ("a", 2), ("b", 1), ("c", 0)]),
    "category": pd.Series(["a", "b", "c", "d"], dtype="category"),
    "ordered": pd.Series(pd.Categorical.from_codes([0, 1, 2, 4], list("zbyxa"), ordered=True)),
    "ordered_int": pd.Series(
        pd.Categorical.from_codes([0, 1, 2, 4], [3, 1, 9, 4, 2], ordered=True)
    ),
    "ordered_cut": pd.Series(pd.cut([1, 3, 5, 7], [0, 2, 4, 6, 8, 10])),
    "ordered_date": pd.Series(
        pd.Categorical.from_codes([3, 2, 1, 0], TIMES, ordered=True).reorder_categories(TIMES[::-1])
    ),
    "ordered_date_ns": pd.Series(
        pd.Categorical(pd.DatetimeIndex(TIMES).as_unit("ns"), ordered=True)
    ),
}
POLARS = {
    "str": pl.Series(["a", "apple", "b", "é"]),
    "bytes": pl.Series([b"a", b"apple", b"b", b"c"]),
    **{
        f"Int{bits}": pl.Series([1, 2, 5, 100], dtype=getattr(pl, f"Int{bits}"))
        for bits in (8, 16, 32, 64)
    },
    **{
        f"UInt{bits}": pl.Series([1, 2, 5, 100], dtype=getattr(pl, f"UInt{bits}"))
        for bits in (8, 16, 32, 64)
    },
    **{
        f"Float{bits}": pl.Series([1, 2, 5, 100], dtype=getattr(pl, f"Float{bits}"))
        for bits in (32, 64)
    },
    "decimal": pl.Series([Decimal("0.10"), Decimal("0.50"), Decimal(3), Decimal(4)]),
    "date": pl.Series(DAYS),
    **{
        f"datetime_{unit}": pl.Series(TIMES, dtype=pl.Datetime(unit)) for unit in ("ms", "us", "ns")
    },
    **{
        f"zoned_{unit}": pl.Series(TIMES, dtype=pl.Datetime(unit)).dt.replace_time_zone(
            "Europe/Berlin"
        )
        for unit in ("ms", "us", "ns")
    },
    "duration": pl.Series(SPANS),
    "time": pl.Series([datetime.time(hour) for hour in (1, 2, 3, 4)]),
    "categorical": pl.Series(["a", "b", "c", "d"], dtype=pl.Categorical),
    "enum": pl.Series(["z", "b", "y", "a"], dtype=pl.Enum(list("zbyxa"))),
    "object": pl.Series([("a", 1), ("a", 2), ("b", 1), ("c", 0)], dtype=pl.Object),
}
NUMPY = {
    **{
        f"{name}_object": series.astype(object)
        for name, series in PANDAS.items()
        if "arrow" not in name
    },
    "numpy_scalars": [np.int8(1), np.int64(2), np.uint8(5), np.float32(100)],
    "numpy_days": list(np.array(DAYS, dtype="datetime64[D]")),
    "numpy_times": list(np.array(TIMES, dtype="datetime64[ns]")),
    "numpy_spans": list(np.array(SPANS, dtype="timedelta64[us]")),
    "mixed": [Decimal("3.5"), 1, "a", ("b", 2)],
    "zoned_python": [time.replace(tzinfo=BERLIN) for time in TIMES],
}
CASES = [
    pytest.param(kind, series, id=f"{kind}-{name}")
    for kind, table in (("pandas", PANDAS), ("polars", POLARS), ("numpy", NUMPY))
    for name, series in table.items()
    if not (kind == "numpy" and name.startswith("ordered"))
]

RNG = np.random.default_rng(0)
CODES = RNG.permutation(np.repeat([0, 1, 2], 12))
FEATURES = RNG.standard_normal((36, 2))
TARGET = FEATURES @ [1.0, -1.0] + CODES + 0.3 * RNG.standard_normal(36)
NUMBERS = np.c_[CODES, FEATURES]


def make(kind, series, codes=CODES, features=FEATURES):
    """Return X, its position of the task column and the four labels as users get them from X."""
    if kind == "numpy":
        X = np.empty((len(codes), 3), dtype=object)
        X[:, 1:] = features
        labels = list(series)
        for row, code in zip(X, codes, strict=True):
            row[0] = labels[code]
        return X, 0, labels
    if kind == "pandas":
        X = pd.DataFrame(
            {
                "task": series.take(codes).to_numpy()
                if False
                else series.iloc[codes].reset_index(drop=True)
            }
        )
        return X.assign(a=features[:, 0], b=features[:, 1]), "task", series.tolist()
    taken = series.to_list() if series.dtype == pl.Object else None
    column = (
        series.gather(codes)
        if taken is None
        else pl.Series([taken[c] for c in codes], dtype=pl.Object)
    )
    return (
        pl.DataFrame({"task": column, "a": features[:, 0], "b": features[:, 1]}),
        "task",
        series.to_list(),
    )


def equal(found, labels):
    """Whether labels are equal one by one, as in Python."""
    found = found.tolist() if hasattr(found, "tolist") else list(found)
    return len(found) == len(labels) and all(
        np.datetime64(a) == b if isinstance(b, np.datetime64) else a == b
        for a, b in zip(found, labels, strict=True)
    )


@pytest.mark.parametrize(("kind", "series"), CASES)
def test_labels_come_back_as_they_went_in(kind, series):
    X, column, labels = make(kind, series)
    alpha = dict(zip(labels, [0.5, 3.0, 1.0, 2.0], strict=True))
    weight = dict(zip(labels, [1.0, 2.0, 0.5, 1.0], strict=True))
    model = MeanRegularizedRegressor(alpha, task_weight=weight, task_column=column)
    model.fit(X, TARGET)
    expected = MeanRegularizedRegressor(
        dict(enumerate(alpha.values())), task_weight=dict(enumerate(weight.values())), task_column=0
    ).fit(NUMBERS, TARGET)
    assert equal(model.tasks_, labels[:3])
    assert_allclose(model.coef_, expected.coef_, rtol=1e-12)
    assert_allclose(model.predict(X), expected.predict(NUMBERS), rtol=1e-12)
    again = pickle.loads(pickle.dumps(model))
    assert equal(again.tasks_, labels[:3])
    assert_array_equal(again.predict(X), model.predict(X))

    codes = np.array([3, 3, 3, 1, 1])
    new, _, _ = make(kind, series, codes, FEATURES[:5])
    with pytest.raises(ValueError, match="not seen in fit") as error:
        model.predict(new)
    assert repr(model.adapt(new, TARGET[:5]).tasks_.tolist()[-1]) in str(error.value)
    adapted, target = (
        model.adapt(new, TARGET[:5]),
        expected.adapt(np.c_[codes, FEATURES[:5]], TARGET[:5]),
    )
    assert equal(adapted.tasks_, labels)
    assert_allclose(adapted.coef_, target.coef_, rtol=1e-12)
    missing = dict(list(alpha.items())[1:])
    with pytest.raises(ValueError, match="dict without the tasks") as error:
        MeanRegularizedRegressor(missing, task_column=column).fit(X, TARGET)
    assert repr(model.tasks_.tolist()[0]) in str(error.value)


@pytest.mark.parametrize(("kind", "series"), CASES)
def test_labels_in_folds_searches_scores_and_graphs(kind, series):
    X, column, labels = make(kind, series)
    folds = TaskKFold(3, task_column=column)
    for split, expected in zip(
        folds.split(X), TaskKFold(3, task_column=0).split(NUMBERS), strict=True
    ):
        assert_array_equal(split[1], expected[1])
    alpha = dict(zip(labels[:3], [0.5, 3.0, 1.0], strict=True))
    weighted = MeanRegularizedRegressor(task_weight=alpha, task_column=column)
    search = RegularizationPathCV(weighted, [0.1, 1.0, 10.0], cv=folds).fit(X, TARGET)
    assert equal(search.best_estimator_.tasks_, labels[:3])
    scorer = make_task_scorer("r2", task_column=column)
    assert np.isfinite(scorer(search, X, TARGET))
    tasks = X[:, 0] if kind == "numpy" else X["task"]
    table = task_scores(TARGET, search.predict(X), tasks, metrics="r2")
    assert equal(table.index[:3], labels[:3])
    edges = [(labels[0], labels[1]), (labels[1], labels[2], 2.0), (labels[2], labels[3])]
    graph = GraphRegularizedRegressor(task_graph=edges, task_column=column).fit(X, TARGET)
    numbers = [(0, 1), (1, 2, 2.0), (2, 3)]
    expected = GraphRegularizedRegressor(task_graph=numbers, task_column=0).fit(NUMBERS, TARGET)
    assert equal(graph.tasks_, labels)
    assert_allclose(graph.coef_, expected.coef_, rtol=1e-10)


MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun"]


def _months(library):
    names = [MONTHS[code] for code in np.repeat(np.arange(6), 15)]
    if library == "polars":
        return pl.DataFrame({"t": pl.Series(names, dtype=pl.Enum([*MONTHS, "Jul"]))})
    return pd.DataFrame({"t": pd.Categorical(names, [*MONTHS, "Jul"], ordered=True)})


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("pipeline", [False, True])
def test_order_of_categories_is_that_of_tasks(library, pipeline):
    x = np.random.default_rng(0).standard_normal(90)
    y = np.where(np.arange(90) < 45, 1.0, -1.0) * x
    X = _months(library)
    X = X.with_columns(x=x) if library == "polars" else X.assign(x=x)
    model = ADMMRegressor(TemporalFused(), alpha=3.0, task_column="t")
    if pipeline:
        model = make_task_pipeline(StandardScaler(), model).fit(X, y)[-1]
    else:
        model = model.fit(X, y)
    assert list(model.tasks_) == MONTHS
    assert list(model.structure_.change_points) == ["Apr"]
    adjacency = np.diag(np.ones(5), 1)
    graph = GraphRegularizedRegressor(
        task_graph=adjacency + adjacency.T, alpha=3.0, task_column="t"
    ).fit(X, y)
    chain = list(itertools.pairwise(MONTHS))
    expected = GraphRegularizedRegressor(task_graph=chain, alpha=3.0, task_column="t").fit(X, y)
    assert_allclose(graph.coef_, expected.coef_, rtol=1e-12)
    plain = X["t"].to_list() if library == "polars" else X["t"].astype(object)
    assert_array_equal(graph.predict(pd.DataFrame({"t": plain, "x": x})), graph.predict(X))


def test_adapt_adds_tasks_behind_those_in_the_order_of_categories():
    X = _months("pandas").assign(x=np.arange(90.0))
    model = MeanRegularizedRegressor(task_column="t").fit(X[:75], np.arange(75.0))
    adapted = model.adapt(X[60:], np.arange(30.0))
    assert list(adapted.tasks_) == MONTHS
    assert_array_equal(adapted.coef_[:4], model.coef_[:4])
    assert_array_equal(adapted.task_counts_, [15] * 6)


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        (["2024-10", "2024-2", "2024-3"], "'2024-10' before '2024-2'"),
        (["week 1", "week 10", "week 9"], "'week 10' before 'week 9'"),
        (["-1", "-10", "5"], "'-1' before '-10'"),
        (["2024-02", "2024-03", "2024-10"], None),
        (["a", "b", "c"], None),
        (["a10", "b2", "c1"], None),
        ([2, 10, 30], None),
        ([("a", 2), ("a", 10), ("b", 1)], None),
    ],
)
def test_strings_in_another_order_than_their_numbers(labels, named):
    X, column, _ = make("numpy", labels)
    model = ADMMRegressor(TemporalFused(), task_column=column)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, TARGET)
    texts = [str(w.message) for w in caught]
    assert len(texts) == (named is not None), texts
    assert named is None or (named in texts[0] and "ordered Categorical" in texts[0])
    codes = pd.Categorical.from_codes(CODES, labels, ordered=True)
    if named:
        codes = codes.reorder_categories(labels[::-1])
    ordered = pd.DataFrame(FEATURES, columns=["a", "b"]).assign(task=codes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.set_params(task_column="task").fit(ordered, TARGET)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_task_column_may_be_an_integer_of_numpy(library):
    X, _, _ = make(library, PANDAS["str"] if library == "pandas" else POLARS["str"])
    expected = MeanRegularizedRegressor(task_column=0).fit(X, TARGET).predict(X)
    for column in (np.int64(0), np.int8(-3), np.uint16(0)):
        model = MeanRegularizedRegressor(task_column=column).fit(X, TARGET)
        assert_array_equal(model.predict(X), expected)
        assert len(list(TaskKFold(3, task_column=column).split(X))) == 3
        make_task_scorer("r2", task_column=column)(model, X, TARGET)
        make_task_pipeline(StandardScaler(), model).fit(X, TARGET)
        sharing_report(X, TARGET, model, cv=2)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "series"), CASES)
def test_labels_in_reports(kind, series):
    X, column, labels = make(kind, series)
    model = MeanRegularizedRegressor(
        dict(zip(labels[:3], [0.5, 3.0, 1.0], strict=True)), task_column=column
    )
    assert equal(sharing_report(X, TARGET, model, cv=3).index, labels[:3])


def _classes(*values, dtype=object):
    array = np.empty(len(values), dtype=dtype)
    array[:] = values
    return array


# Three classes and one that fit does not see: a conversion to the dtype of the others changes it
CLASSES = {
    "str": (np.array(["a", "b", "c"]), "apple"),
    "str_object": (_classes("a", "b", "c"), "apple"),
    "str_for_int": (np.array([0, 1, 2]), "1"),
    "int_for_str": (np.array(["0", "1", "2"]), 1),
    "bytes": (np.array([b"a", b"b", b"c"]), b"apple"),
    "bool": (np.array([False, True, True]), "maybe"),
    "bool_and_number": (np.array([False, True, True]), 2),
    "int_and_fraction": (np.array([0, 1, 2]), 1.5),
    **{kind: (np.array([0, 1, 2], dtype=kind), 256) for kind in ("int8", "uint8")},
    **{kind: (np.array([0, 1, 2], dtype=kind), 2**16 + 1) for kind in ("int16", "uint16")},
    **{kind: (np.array([0, 1, 2], dtype=kind), 2**32 + 1) for kind in ("int32", "uint32")},
    "int64": (np.array([0, 1, 2**53]), 2**53 + 1),
    "uint64": (np.array([0, 1, 2], dtype="uint64"), 2**63),
    "float16": (np.array([0, 1, 2048], dtype="float16"), 2049),
    "float32": (np.array([0, 1, 2**24], dtype="float32"), 2**24 + 1),
    "decimal": (_classes(Decimal(0), Decimal(1), Decimal(2)), Decimal(3)),
    "date": (_classes(*DAYS[:3]), DAYS[3]),
    "datetime64": (np.array(TIMES[:3], dtype="datetime64[us]"), TIMES[3]),
    "tuple": (_classes(("a", 1), ("b", 2), ("c", 3)), ("d", 4)),
    "category": (pd.Series(["a", "b", "c"], dtype="category"), "apple"),
    "Int8": (pd.Series([0, 1, 2], dtype="Int8"), 256),
    "boolean": (pd.Series([False, True, True], dtype="boolean"), "maybe"),
    "string": (pd.Series(["a", "b", "c"], dtype="string"), "apple"),
    "string_arrow": (_arrow(["a", "b", "c"], pa.string()), "apple"),
    "int_arrow": (_arrow([0, 1, 2], pa.int8()), 256),
    "bool_arrow": (_arrow([False, True, True], pa.bool_()), "maybe"),
    "period": (pd.Series(pd.period_range("2023-11", periods=3, freq="M")), "2023-11"),
    "zoned": (_zoned("us")[:3], TIMES[0]),
    "polars_str": (pl.Series(["a", "b", "c"]), "apple"),
    "polars_int": (pl.Series([0, 1, 2], dtype=pl.Int8), 256),
    "polars_bool": (pl.Series([False, True, True]), "maybe"),
    "polars_enum": (pl.Series(["a", "b", "c"], dtype=pl.Enum(["c", "b", "a"])), "apple"),
}
REFUSED = (bytes, tuple, datetime.date, pd.Period)
KINDS_OF_CLASSES = [pytest.param(*pair, id=name) for name, pair in CLASSES.items()]


def _rows(classes, codes):
    """Return the classes at an index array, of the same type."""
    if hasattr(classes, "iloc"):
        return classes.iloc[codes].reset_index(drop=True)
    return classes.gather(codes) if hasattr(classes, "gather") else classes[codes]


@pytest.mark.parametrize(("classes", "unseen"), KINDS_OF_CLASSES)
def test_classes_come_back_as_they_went_in(classes, unseen):
    y, X = _rows(classes, RNG.permutation(CODES)), np.c_[np.arange(36) % 2, FEATURES]
    model = MeanRegularizedClassifier(task_column=0)
    if isinstance(classes[0], REFUSED):
        with pytest.raises(
            (TypeError, ValueError, FutureWarning), match=r"labels represented as bytes|y holds"
        ):
            model.fit(X, y)
        return
    model.fit(X, y)
    distinct = sorted(set(classes.tolist() if hasattr(classes, "tolist") else classes.to_list()))
    assert equal(model.classes_, distinct)
    assert set(model.predict(X).tolist()) <= set(distinct)
    assert model.score(X, y) == np.mean([a == b for a, b in zip(model.predict(X), y, strict=True)])
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict(X), model.predict(X))
    weights = dict(zip(distinct, [1.0, 2.0, 3.0], strict=False))
    MeanRegularizedClassifier(task_column=0, class_weight=weights).fit(X, y)
    table = task_scores(y, model.predict(X), X[:, 0], metrics="accuracy")
    assert table["accuracy"]["micro"] == model.score(X, y)
    alone = RegularizationPathCV(MeanRegularizedClassifier(task_column=0), [0.1, 1.0], cv=3)
    assert equal(alone.fit(X, y).classes_, distinct)

    new = np.c_[np.full(6, 7), FEATURES[:6]]
    adapted = model.adapt(new, _rows(y, np.arange(6)))
    assert equal(adapted.classes_, distinct)
    wrong = np.empty(6, dtype=object)
    wrong[:] = [unseen] * 6
    before = pickle.dumps(model)
    candidates = [wrong, wrong.tolist()] if not isinstance(unseen, tuple) else [wrong]
    for target in candidates:
        with pytest.raises((ValueError, TypeError)) as error:
            model.adapt(new, target)
        name = repr(float(unseen) if isinstance(unseen, Decimal) else unseen)
        assert name in str(error.value) or "continuous" in str(error.value)
    assert pickle.dumps(model) == before


NAMES = ["zinc", "oak", "ash"]
TARGETS = np.column_stack([TARGET, FEATURES[:, 0], TARGET**2])


def _targets(library, Y=TARGETS, names=NAMES):
    return pd.DataFrame(Y, columns=names) if library == "pandas" else pl.DataFrame(Y, schema=names)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_columns_of_targets_name_tasks(library):
    Y, alpha, weight = _targets(library), dict(zip(NAMES, [1, 5, 2], strict=True)), {}
    weight = dict(zip(NAMES, [1.0, 2.0, 0.5], strict=True))
    model = MeanRegularizedRegressor(alpha, task_weight=weight).fit(FEATURES, Y)
    numbers = MeanRegularizedRegressor([1, 5, 2], task_weight=[1.0, 2.0, 0.5])
    numbers.fit(FEATURES, TARGETS)
    assert model.tasks_.tolist() == NAMES
    assert numbers.tasks_.tolist() == [0, 1, 2]
    assert_allclose(model.predict(FEATURES), numbers.predict(FEATURES), rtol=1e-12)
    assert_allclose(model.score(FEATURES, Y), numbers.score(FEATURES, TARGETS), rtol=1e-12)
    assert_array_equal(effective_dof(model, FEATURES, Y), effective_dof(model, FEATURES, TARGETS))
    assert task_similarity(model).index.tolist() == NAMES
    assert pickle.loads(pickle.dumps(model)).tasks_.tolist() == NAMES
    with pytest.raises(ValueError, match="dict without the tasks 'ash'"):
        MeanRegularizedRegressor({"zinc": 1.0, "oak": 1.0}).fit(FEATURES, Y)
    edges = [("zinc", "ash"), ("ash", "oak", 2.0)]
    graph = GraphRegularizedRegressor(task_graph=edges).fit(FEATURES, Y)
    expected = GraphRegularizedRegressor(task_graph=[(0, 2), (2, 1, 2.0)]).fit(FEATURES, TARGETS)
    assert_allclose(graph.coef_, expected.coef_, rtol=1e-12)
    fused = ADMMRegressor(TemporalFused(), alpha=0.1).fit(FEATURES, Y)
    assert set(fused.structure_.change_points) <= set(NAMES)


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_names_of_targets_in_searches_and_reports(library, missing, n_jobs):
    array = np.where(np.arange(36)[:, None] % 5 == [1, 2, 7], np.nan, TARGETS)
    Y = _targets(library, array if missing else TARGETS)
    weight = dict(zip(NAMES, [1.0, 2.0, 0.5], strict=True))
    for cv in (None, 3) if not missing else (3,):
        search = RegularizationPathCV(
            MeanRegularizedRegressor(task_weight=weight), [0.1, 1.0], cv=cv, n_jobs=n_jobs
        ).fit(FEATURES, Y)
        assert search.best_estimator_.tasks_.tolist() == NAMES
    graph = GraphRegularizedRegressor(task_graph=[("zinc", "oak"), ("oak", "ash")])
    paths = RegularizationPathCV(graph, [0.1, 1.0], cv=3, n_jobs=n_jobs).fit(FEATURES, Y)
    assert paths.best_estimator_.tasks_.tolist() == NAMES
    folds = TaskKFold(3)
    grid = GridSearchCV(search.estimator, {"alpha": [0.1, 1.0]}, cv=folds).fit(FEATURES, Y)
    assert grid.best_estimator_.tasks_.tolist() == NAMES
    report = sharing_report(FEATURES, Y, search.estimator, cv=3, n_jobs=n_jobs)
    assert report.index.tolist() == NAMES
    if not missing:
        table = task_scores(Y, search.predict(FEATURES), metrics="r2")
        assert table.index[:3].tolist() == NAMES


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("one", [False, True])
def test_names_of_indicators(library, one):
    Y = (np.median(TARGETS, axis=0) < TARGETS).astype(int)[:, : 1 if one else 3]
    frame = _targets(library, Y, NAMES[: Y.shape[1]])
    weight = dict(zip(NAMES, [1.0, 2.0, 0.5], strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, of a column
        model = MeanRegularizedClassifier(task_weight=weight).fit(FEATURES, frame)
    assert model.tasks_.tolist() == NAMES[: Y.shape[1]]


@pytest.mark.parametrize(
    "names",
    [[3, 1, 2], [0.5, 0.25, 2.0], [("a", 1), ("a", 2), ("b", 1)], TIMES[:3], [None, 1, "a"]],
)
def test_names_of_targets_of_any_type(names):
    Y = pd.DataFrame(TARGETS, columns=pd.Index(names, tupleize_cols=False, dtype=object))
    alpha = dict(zip(names, [1, 5, 2], strict=True))
    model = MeanRegularizedRegressor(alpha).fit(FEATURES, Y)
    assert equal(model.tasks_, names)
    expected = MeanRegularizedRegressor([1, 5, 2]).fit(FEATURES, TARGETS)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-12)
    assert_array_equal(effective_dof(model, FEATURES, Y).shape, (3,))


def test_columns_of_equal_names_are_refused():
    Y = pd.DataFrame(TARGETS, columns=["a", "b", "a"])
    with pytest.raises(ValueError, match="'a'"):
        MeanRegularizedRegressor().fit(FEATURES, Y)


@pytest.mark.parametrize("library", ["pandas", "polars", "numpy"])
def test_booleans_are_labels(library):
    labels = [False, True]
    series = {"pandas": pd.Series(labels), "polars": pl.Series(labels), "numpy": labels}[library]
    X, column, _ = make(library, series, CODES % 2)
    model = MeanRegularizedRegressor({True: 1.0, False: 5.0}, task_column=column).fit(X, TARGET)
    expected = MeanRegularizedRegressor({1: 1.0, 0: 5.0}, task_column=0)
    expected.fit(np.c_[CODES % 2, FEATURES], TARGET)
    assert equal(model.tasks_, labels)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-12)


@pytest.mark.parametrize("strange", ["1", 256, "maybe", DAYS[0], (1,), b"1", True])
def test_labels_of_another_type_are_not_converted(strange):
    labels = pd.Series([2, 3, 4], dtype="int8")
    X, column, _ = make("pandas", labels)
    model = MeanRegularizedRegressor(task_column=column).fit(X, TARGET)
    other, _, _ = make("numpy", [strange] * 3)
    name = re.escape(repr(1 if strange is True else strange))
    with pytest.raises(ValueError, match=f"predict got task {name}, not seen in fit"):
        model.predict(pd.DataFrame(other, columns=X.columns).astype({"a": float, "b": float}))


OTHER_TYPES = {
    "integers": (
        ["001", "002", "003"],
        [1, 2, 3],
        "numbers, such as 1, .* strings, such as '001'",
    ),
    "strings": ([1, 2, 3], ["1", "2", "3"], "strings, such as '1', .* numbers, such as 1"),
    "times": (TIMES[:3], ["a", "b", "c"], "strings, such as 'a', .* dates or times, such as"),
    "mixed": ([1, 2, 3], [1, 2, "3"], "strings, such as '3', .* numbers, such as 1"),
    "intervals": ([1, 2, 3], list(pd.interval_range(0, 3)), "of type Interval, such as"),
}


@pytest.mark.parametrize(("fitted", "new", "message"), OTHER_TYPES.values(), ids=OTHER_TYPES)
def test_unknown_labels_of_another_type_are_told(fitted, new, message):
    message += ".*labels of different types are never equal"
    X, column, _ = make("pandas", pd.Series(fitted))
    model = MeanRegularizedRegressor(task_column=column, handle_unknown="shared").fit(X, TARGET)
    other, _, _ = make("pandas", pd.Series(new, dtype=object))
    with pytest.warns(UserWarning, match=message):
        model.predict(other)
    for handle, context in (("error", pytest.raises(ValueError, match=message)), ("warn", None)):
        model.set_params(handle_unknown=handle)
        with context or pytest.warns(UserWarning, match=message):
            model.predict(other)
    with pytest.warns(UserWarning, match=message):
        adapted = model.adapt(other, TARGET)
    assert len(adapted.tasks_) == 3 + len(set(new) - set(fitted))
    batches = MeanRegularizedRegressor(task_column=column).partial_fit(X, TARGET)
    with pytest.warns(UserWarning, match=message):
        batches.partial_fit(other, TARGET)
    batches.partial_fit(X, TARGET)  # labels of either type are known: no warning


def test_unknown_labels_of_a_known_type_are_not_told():
    X, column, _ = make("pandas", pd.Series(["a", "b", "c"]))
    model = MeanRegularizedRegressor(task_column=column, handle_unknown="shared").fit(X, TARGET)
    other, _, _ = make("pandas", pd.Series(["d", "e", "f"]))
    model.predict(other)
    model.adapt(other, TARGET)
    nested = [X.assign(group=name) for name in (1, "1")]
    model.set_params(task_column=["group", column]).fit(nested[0], TARGET)
    with pytest.warns(UserWarning, match=r"\(strings, strings\), .*\(numbers, strings\), such as"):
        model.predict(nested[1])


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT, np.datetime64("NaT"), np.inf])
def test_missing_labels_are_refused(missing):
    X, column, _ = make("numpy", ["a", "b", missing])
    with pytest.raises(ValueError, match="missing labels"):
        MeanRegularizedRegressor(task_column=column).fit(X, TARGET)


@pytest.mark.parametrize("kind", ["ordered", "zoned_us", "clocks_set_back"])
def test_missing_labels_of_series_are_refused(kind):
    X, column, _ = make("pandas", PANDAS[kind])
    X.loc[3, "task"] = None
    with pytest.raises(ValueError, match="missing labels"):
        MeanRegularizedRegressor(task_column=column).fit(X, TARGET)


def test_instants_are_equal_in_every_zone_and_library():
    X, column, _ = make("pandas", PANDAS["zoned_us"])
    model = MeanRegularizedRegressor(task_column=column).fit(X, TARGET)
    expected = model.predict(X)
    assert_array_equal(model.predict(X.assign(task=X["task"].dt.tz_convert("UTC"))), expected)
    assert_array_equal(model.predict(make("polars", POLARS["zoned_ms"])[0]), expected)
    assert_array_equal(model.predict(X.assign(task=X["task"].astype(object))), expected)
    with pytest.raises(ValueError, match="not seen in fit"):
        model.predict(X.assign(task=X["task"].dt.tz_localize(None)))


def test_times_that_python_cannot_tell_apart_are_refused():
    times = pl.from_pandas(PANDAS["clocks_set_back"])[[0, 2, 3]]
    X, column, _ = make("polars", times)
    with pytest.raises(ValueError, match=r"same local time.*UTC"):
        MeanRegularizedRegressor(task_column=column).fit(X, TARGET)
    X, column, _ = make("pandas", PANDAS["zoned_ns"] + pd.Timedelta(1, "ns"))
    with pytest.raises(ValueError, match="finer than a microsecond"):
        MeanRegularizedRegressor(task_column=column).fit(X, TARGET)


def test_adjacency_in_a_dataframe_is_aligned_by_label():
    X, column, labels = make("pandas", PANDAS["tuple"])
    A = np.array([[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [3.0, 2.0, 0.0]])
    index = pd.Index(labels[:3], tupleize_cols=False)
    frame = pd.DataFrame(A, index, index).iloc[::-1, [1, 2, 0]]
    graphs = [
        GraphRegularizedRegressor(task_graph=graph, task_column=column) for graph in (A, frame)
    ]
    assert_array_equal(*[graph.fit(X, TARGET).coef_ for graph in graphs])
    graphs[1].set_params(task_graph=frame.iloc[:2])
    with pytest.raises(ValueError, match="dataframe without the tasks"):
        graphs[1].fit(X, TARGET)


@pytest.mark.parametrize("kind", [*INTEGERS, "bool"])
def test_classes_of_any_integer_type(kind):
    """Those at both ends of the type, too, beside the LabelEncoder of scikit-learn."""
    rng = np.random.default_rng(0)
    dtype = np.dtype(kind)
    ends = [0, 1] if kind == "bool" else [np.iinfo(dtype).min, np.iinfo(dtype).max, 3]
    y = np.array(ends, dtype=object)[rng.integers(len(ends), size=60)].astype(dtype)
    X = np.column_stack([np.arange(60) % 2, rng.normal(size=(60, 2))])
    model = MeanRegularizedClassifier(task_column=0).fit(X, y)
    assert_array_equal(model.classes_, LabelEncoder().fit(y).classes_)
    assert model.classes_.dtype == dtype
    assert model.predict(X).dtype == dtype
    named = MeanRegularizedClassifier(task_column=0).fit(X, y.astype(str))
    order = np.argsort(model.classes_.astype(str))
    assert_allclose(model.predict_proba(X)[:, order], named.predict_proba(X), rtol=0, atol=1e-6)
    for task in (0, 1):
        seen = np.isin(model.classes_, y[X[:, 0] == task])
        assert_array_equal(model.task_classes_[task], seen)
