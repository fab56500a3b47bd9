"""Order of the tasks: categories and columns of y keep theirs, other labels are sorted."""

from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV

from skmtl import (
    ADMMRegressor,
    GraphRegularizedRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    MixedOutcomeModel,
)
from skmtl.inspection import sharing_report, task_affinity, task_similarity
from skmtl.metrics import make_task_scorer, task_scores
from skmtl.model_selection import RegularizationPathCV, TaskKFold

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun"]
CODES = np.repeat(np.arange(6), 15)
x = np.random.default_rng(0).standard_normal(90)
y = np.where(CODES < 3, 1.0, -1.0) * x
FRAMES = {
    "pandas": pd.DataFrame({"t": pd.Categorical.from_codes(CODES, MONTHS, ordered=True), "x": x}),
    "unused": pd.DataFrame(
        {"t": pd.Categorical.from_codes(CODES + 1, ["Dec", *MONTHS, "Jul"], ordered=True), "x": x}
    ),
    "polars": pl.DataFrame(
        {"t": pl.Series([MONTHS[c] for c in CODES], dtype=pl.Enum(MONTHS)), "x": x}
    ),
}
every_frame = pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)


@every_frame
def test_ordered_categories_keep_their_order(frame):
    model = ADMMRegressor("temporal_fused", 3.0, task_column="t").fit(frame, y)
    assert model.tasks_.tolist() == MONTHS
    assert model.structure_.change_points.tolist() == ["Apr"]
    by_number = ADMMRegressor("temporal_fused", 3.0, task_column=0).fit(np.c_[CODES, x], y)
    assert_array_equal(model.coef_, by_number.coef_)
    assert_array_equal(model.predict(frame), by_number.predict(np.c_[CODES, x]))


@every_frame
def test_what_goes_by_the_order_of_tasks(frame):
    weights = np.diag(np.ones(5), 1) + np.diag(np.ones(5), -1)  # a chain of months
    number = np.c_[CODES, x]
    for params in ({"task_graph": weights, "alpha": 5.0}, {"task_weight": np.arange(1.0, 7.0)}):
        model = GraphRegularizedRegressor(alpha_shared=0.1, task_column="t", **params)
        expected = model.set_params(task_column=0).fit(number, y).coef_
        assert_allclose(model.set_params(task_column="t").fit(frame, y).coef_, expected)
    alphas = np.arange(1.0, 7.0)
    model = MeanRegularizedRegressor(alphas, task_column="t").fit(frame, y)
    named = MeanRegularizedRegressor(dict(zip(MONTHS, alphas, strict=True)), task_column="t")
    assert_array_equal(model.coef_, named.fit(frame, y).coef_)
    table = sharing_report(frame, y, MeanRegularizedRegressor(2.0, task_column="t"))
    assert table.index.tolist() == MONTHS
    search = RegularizationPathCV(MeanRegularizedRegressor(task_column="t"), [1.0, 2.0], cv=3)
    assert search.fit(frame, y).best_estimator_.tasks_.tolist() == MONTHS
    for split, expected in zip(
        TaskKFold(3, task_column="t").split(frame),
        TaskKFold(3, task_column=0).split(number),
        strict=True,
    ):
        assert_array_equal(split[1], expected[1])
    labels = frame["t"]
    assert task_scores(y, model.predict(frame), labels).index.tolist()[:6] == MONTHS


@every_frame
def test_a_new_category_is_adapted_to(frame):
    old = (CODES != 2) & (CODES != 5)
    part = frame[old] if isinstance(frame, pd.DataFrame) else frame.filter(old)
    new = frame[~old] if isinstance(frame, pd.DataFrame) else frame.filter(~old)
    model = MeanRegularizedRegressor(task_column="t").fit(part, y[old])
    assert model.tasks_.tolist() == ["Jan", "Feb", "Apr", "May"]
    adapted = model.adapt(new, y[~old])
    assert adapted.tasks_.tolist() == ["Jan", "Feb", "Apr", "May", "Mar", "Jun"]
    assert_allclose(adapted.predict(part), model.predict(part))


NAMES = ["z", "a", "m"]
RNG = np.random.default_rng(1)
A = RNG.standard_normal((60, 3))
B = A @ RNG.standard_normal((3, 3)) + RNG.standard_normal((60, 3))
WEIGHT = {"z": 1.0, "a": 2.0, "m": 3.0}


def targets(kind, values=B):
    return kind(dict(zip(NAMES, values.T, strict=True)))


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_columns_of_y_are_the_tasks(kind):
    frame = targets(kind)
    model = MeanRegularizedRegressor(WEIGHT, task_weight=WEIGHT).fit(A, frame)
    assert model.tasks_.tolist() == NAMES
    array = MeanRegularizedRegressor([1.0, 2.0, 3.0], task_weight=[1.0, 2.0, 3.0]).fit(A, B)
    assert_allclose(model.coef_, array.coef_, rtol=1e-12)
    assert model.score(A, frame) == pytest.approx(array.score(A, B), rel=1e-12)
    assert sharing_report(A, frame, model).index.tolist() == NAMES
    assert task_affinity(A, frame, model).columns.tolist() == NAMES
    assert task_similarity(model).columns.tolist() == NAMES
    graph = GraphRegularizedRegressor(task_graph=[("z", "a"), ("a", "m")]).fit(A, frame)
    assert graph.tasks_.tolist() == NAMES
    numbered = GraphRegularizedRegressor(task_graph=[(0, 1), (1, 2)]).fit(A, B)
    assert_allclose(graph.coef_, numbered.coef_, rtol=1e-12)
    indicator = targets(kind, (B > 0).astype(int))
    assert MeanRegularizedClassifier(WEIGHT).fit(A, indicator).tasks_.tolist() == NAMES
    single = MeanRegularizedRegressor({"only": 2.0}).fit(A, kind({"only": B[:, 0]}))
    assert single.tasks_.tolist() == ["only"]


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("missing", [False, True])
def test_columns_of_y_in_searches(kind, missing):
    values = B.copy()
    values[::3, 0] = np.nan if missing else 0.0
    frame = targets(kind, values)
    models = [
        MeanRegularizedRegressor(task_weight=WEIGHT),
        ADMMRegressor("l21", task_weight=WEIGHT),
    ]
    for model, cv in ((models[0], None), (models[0], 3), (models[1], 3)):
        search = RegularizationPathCV(model, [0.1, 1.0], cv=cv).fit(A, frame)
        assert search.best_estimator_.tasks_.tolist() == NAMES
        grid = GridSearchCV(model, {"alpha": [0.1, 1.0]}, cv=TaskKFold(3)).fit(A, frame)
        assert grid.best_estimator_.tasks_.tolist() == NAMES
        if cv and missing:  # folds of TaskKFold in both
            assert_allclose(
                search.cv_results_["mean_test_score"], grid.cv_results_["mean_test_score"]
            )


def test_columns_that_are_wrong():
    model = MeanRegularizedRegressor().fit(A, targets(pd.DataFrame))
    with pytest.raises(ValueError, match="columns 'a', 'm', 'z', and fit had 'z', 'a', 'm'"):
        model.score(A, targets(pd.DataFrame)[["a", "m", "z"]])
    search = RegularizationPathCV(MeanRegularizedRegressor(), [1.0]).fit(A, targets(pd.DataFrame))
    for scorer in (search.score, partial(make_task_scorer("r2"), search)):
        for other in (targets(pd.DataFrame)[["a", "m", "z"]], pd.DataFrame(B, columns=list("xyz"))):
            with pytest.raises(ValueError, match=r"y has the columns .* and fit had 'z', 'a', 'm'"):
                scorer(A, other)
    with pytest.raises(ValueError, match="dict without the tasks 'a', 'm'"):
        MeanRegularizedRegressor({"z": 1.0}).fit(A, targets(pd.DataFrame))
    with pytest.raises(ValueError, match=r"no observed label .* in column 'm'"):
        model.fit(A, targets(pd.DataFrame).assign(m=np.nan))
    assert model.tasks_.tolist() == NAMES


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_columns_of_weights_are_those_of_y(kind):
    Y, swapped = targets(kind), targets(kind, np.abs(B))[["a", "z", "m"]]
    weight = swapped[NAMES]
    mixed = MixedOutcomeModel("ridge", 0.1)
    for model in (MeanRegularizedRegressor(0.1), mixed, RegularizationPathCV(mixed, [0.1], cv=2)):
        model.fit(A, Y, sample_weight=weight)
        expected = model.score(A, Y, sample_weight=np.abs(B))
        assert model.score(A, Y, sample_weight=weight) == pytest.approx(expected)
        with pytest.raises(ValueError, match="sample_weight has the columns 'a', 'z', 'm', and"):
            model.score(A, Y, sample_weight=swapped)
        with pytest.raises(ValueError, match="sample_weight has the columns 'a', 'z', 'm', and y"):
            model.fit(A, Y, sample_weight=swapped)
    with pytest.raises(ValueError, match="sample_weight has the columns 'a', 'z', 'm', and y"):
        sharing_report(A, Y, MeanRegularizedRegressor(), sample_weight=swapped)


def test_zoned_classes_are_refused():
    days = pd.date_range("2024-01-01", periods=2, tz="Europe/Berlin")
    times = pl.Series(days.tz_localize(None)).dt.replace_time_zone("Europe/Berlin")
    for labels in (times, times.to_pandas()):
        with pytest.raises(ValueError, match="Unknown label type: y holds"):
            MeanRegularizedClassifier().fit(A[:2], labels)


def test_columns_of_arrow():
    table = targets(pl.DataFrame).to_arrow()
    model = MeanRegularizedRegressor(WEIGHT).fit(A, table)
    assert model.tasks_.tolist() == NAMES
    assert task_scores(table, model.predict(A)).index.tolist()[:3] == NAMES


WORDS = np.array(["é", "zoo", "a", "ab", "b", "Z"])[np.roll(CODES, 40)]
TEXTS = {
    "objects": pd.Series(WORDS, dtype=object),
    "str": pd.Series(WORDS),
    "string": pd.Series(WORDS, dtype="string"),
    "arrow": pd.Series(WORDS, dtype=pd.ArrowDtype(pa.string())),
    "category": pd.Series(pd.Categorical(WORDS, ["b", "a", "none", "zoo", "é", "Z", "ab"])),
    "polars": pl.Series(WORDS),
    "polars_category": pl.Series(WORDS, dtype=pl.Categorical),
    "pyarrow": pa.chunked_array([WORDS[:50], WORDS[50:]]),
    "pyarrow_dictionary": pa.chunked_array([pa.array(WORDS).dictionary_encode()]),
}


@pytest.mark.parametrize("labels", TEXTS.values(), ids=TEXTS)
def test_text_is_sorted_in_every_library(labels):
    tasks, codes = np.unique(WORDS, return_inverse=True)
    expected = MeanRegularizedRegressor(task_column=0).fit(np.column_stack([codes, x]), y)
    if isinstance(labels, pd.Series):
        X = pd.DataFrame({"t": labels, "x": x})
    elif isinstance(labels, pl.Series):
        X = pl.DataFrame({"t": labels, "x": x})
    else:
        X = pa.table({"t": labels, "x": x})
    model = MeanRegularizedRegressor(task_column="t").fit(X, y)
    assert model.tasks_.tolist() == tasks.tolist()
    assert_array_equal(model.coef_, expected.coef_)
    assert_array_equal(model.predict(X), expected.predict(np.column_stack([codes, x])))
    some = X[:3] if isinstance(X, pd.DataFrame) else X.slice(0, 3)  # labels that not all have
    assert_array_equal(model.predict(some), model.predict(X)[:3])
