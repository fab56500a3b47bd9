"""Moments and partitions of rows with several task columns: equal to fits of all rows."""

import itertools
import pickle

import numpy as np
import pytest

from skmtl import MeanRegularizedClassifier, MeanRegularizedRegressor, TaskMoments

pd = pytest.importorskip("pandas")

COLUMNS = ["region", "store"]
WEIGHTS = {"region": 1.0, "store": 4.0}


def rows(seed=0):
    """Return a frame of rows in any order, and the parts that bring new regions and stores."""
    rng = np.random.default_rng(seed)
    labels = [(f"r{r}", s) for r in range(6) for s in range(1 + r % 4) for _ in range(9)]
    frame = pd.DataFrame(labels, columns=COLUMNS).sample(frac=1.0, random_state=seed)
    frame = frame.reset_index(drop=True)
    frame["a"], frame["b"] = rng.normal(size=(2, len(frame))) + 2.0
    effect = rng.normal(size=6)[frame["region"].str[1].astype(int)]
    frame["y"] = effect * frame["a"] + frame["b"] + rng.normal(size=len(frame))
    late = frame["region"].isin(["r1", "r4"])
    inner = frame["store"] >= 1
    parts = [frame[late & inner], frame[~late & inner], frame[~inner]]
    return frame, [part.reset_index(drop=True) for part in parts]


def split(frame):
    return frame.drop(columns="y"), frame["y"]


def model(alpha=WEIGHTS):
    given = {} if alpha == "auto" else {"alpha_intercept": {"region": 0.5, "store": 2.0}}
    return MeanRegularizedRegressor(alpha=alpha, task_column=COLUMNS, **given)


def assert_same(found, expected, tol=1e-9):
    assert found.tasks_.tolist() == expected.tasks_.tolist()
    assert found.groups_ == expected.groups_
    for name in ("coef_", "intercept_", "shared_coef_"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=tol)
    for name in ("group_coef_", "group_intercept_"):
        np.testing.assert_allclose(getattr(found, name)[0], getattr(expected, name)[0], atol=tol)


@pytest.mark.parametrize("alpha", [WEIGHTS, "auto"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_parts_with_new_regions_and_stores_add_up(alpha, order):
    frame, parts = rows()
    expected, tol = model(alpha).fit(*split(frame)), 1e-9 if alpha is WEIGHTS else 1e-6
    parts = [split(parts[k]) for k in order]
    total = sum(TaskMoments.from_data(*part, task_column=COLUMNS) for part in parts)
    assert_same(model(alpha).fit_moments(pickle.loads(pickle.dumps(total))), expected, tol)
    batches = TaskMoments.from_batches(parts, task_column=COLUMNS)
    assert_same(model(alpha).fit_moments(batches), expected, tol)
    if alpha == "auto":  # of the first part it cannot be estimated
        return
    found = model(alpha)
    for part in parts:
        found.partial_fit(*part)
    assert_same(found, expected)
    np.testing.assert_allclose(
        found.predict(split(frame)[0]), expected.predict(split(frame)[0]), atol=10 * tol
    )


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_parts_with_ordered_categories_keep_the_members_of_a_region_together(order):
    frame, parts = rows()
    kind = pd.CategoricalDtype(["r5", "r0", "r3", "r1", "r4", "r2"], ordered=True)
    parts = [split(parts[k].astype({"region": kind})) for k in order]
    total = sum(TaskMoments.from_data(*part, task_column=COLUMNS) for part in parts)
    regions = [label[0] for label in total.tasks]
    assert sum(a != b for a, b in itertools.pairwise(regions)) == 5
    expected = model().fit(*split(frame)).predict(split(frame)[0])
    np.testing.assert_allclose(
        model().fit_moments(total).predict(split(frame)[0]), expected, atol=1e-9
    )


@pytest.mark.filterwarnings("ignore:New task labels are .* of different types:UserWarning")
def test_labels_of_several_types_keep_the_members_of_a_region_together():
    frame, parts = rows()
    for part in (frame, *parts):
        part["store"] = [s if s % 2 else f"s{s}" for s in part["store"]]
    total = sum(TaskMoments.from_data(*split(part), task_column=COLUMNS) for part in parts)
    expected = model().fit(*split(frame)).predict(split(frame)[0])
    np.testing.assert_allclose(
        model().fit_moments(total).predict(split(frame)[0]), expected, atol=1e-9
    )


@pytest.mark.parametrize("kind", ["pandas", "polars", "duckdb"])
@pytest.mark.parametrize("weighted", [False, True])
def test_engines_group_by_several_columns(kind, weighted):
    frame, _ = rows()
    frame["w"] = np.random.default_rng(1).uniform(0.5, 2.0, len(frame))
    weight = frame["w"] if weighted else None
    table = frame if weighted else frame.drop(columns="w")
    if kind == "polars":
        table = pytest.importorskip("polars").from_pandas(table).lazy()
    elif kind == "duckdb":
        table = pytest.importorskip("duckdb").from_df(table)
    options = {"sample_weight": "w"} if weighted else {}
    moments = TaskMoments.from_frame(table, y="y", task_column=COLUMNS, **options)
    X, y = split(frame.drop(columns="w"))
    expected = TaskMoments.from_data(X, y, weight, task_column=COLUMNS)
    assert moments.tasks.tolist() == expected.tasks.tolist()
    np.testing.assert_array_equal(moments.counts, expected.counts)
    np.testing.assert_allclose(moments.scatter, expected.scatter, atol=1e-10)
    assert_same(model().fit_moments(moments + expected), model().fit_moments(expected + expected))
    assert_same(model().fit_moments(moments), model().fit(X, y, weight))


def test_engines_name_wrong_columns():
    frame, _ = rows()
    with pytest.raises(ValueError, match="task_column='stor' is not a column"):
        TaskMoments.from_frame(frame, y="y", task_column=["region", "stor"])
    with pytest.raises(ValueError, match=r"\['store', 'store'\] has the same column twice"):
        TaskMoments.from_frame(frame, y="y", task_column=["store", "store"])
    with pytest.raises(ValueError, match="task column 'region' has missing labels"):
        TaskMoments.from_frame(
            frame.assign(region=frame["region"].where(frame.index > 3)),
            y="y",
            task_column=COLUMNS,
        )


def test_moments_of_other_columns_are_not_added():
    frame, _ = rows()
    both = TaskMoments.from_data(*split(frame), task_column=COLUMNS)
    X = frame[["store", "region", "a", "b"]]
    other = TaskMoments.from_data(X, frame["y"], task_column=COLUMNS[::-1])
    with pytest.raises(ValueError, match="task_column is"):
        both + other


@pytest.mark.parametrize("n_partitions", [1, 4])
@pytest.mark.parametrize("ordered", [False, True])
def test_partitions_on_dask_equal_memory(n_partitions, ordered):
    dd = pytest.importorskip("dask.dataframe")
    import skmtl.dask

    frame, parts = rows()
    frame = pd.concat(parts, ignore_index=True)  # partitions bring new regions and stores
    if ordered:
        kind = pd.CategoricalDtype(["r5", "r0", "r3", "r1", "r4", "r2"], ordered=True)
        frame = frame.astype({"region": kind})
    X, y = split(frame)
    XD, yD = (dd.from_pandas(part, npartitions=n_partitions) for part in (X, y))
    for alpha, tol in ((WEIGHTS, 1e-9), ("auto", 1e-6)):
        found, expected = skmtl.dask.fit(model(alpha), XD, yD), model(alpha).fit(X, y)
        assert_same(found, expected, tol)
        predicted = skmtl.dask.predict(found, XD).compute()
        np.testing.assert_allclose(predicted, expected.predict(X), atol=10 * tol)
    classifier = MeanRegularizedClassifier(alpha=WEIGHTS, task_column=COLUMNS, tol=1e-12)
    label = y > y.median()
    found = skmtl.dask.fit(classifier, XD, dd.from_pandas(label, npartitions=n_partitions))
    expected = MeanRegularizedClassifier(alpha=WEIGHTS, task_column=COLUMNS, tol=1e-12)
    assert_same(found, expected.fit(X, label))


def test_partitions_with_labels_of_different_types_are_refused():
    dd = pytest.importorskip("dask.dataframe")
    import dask

    import skmtl.dask

    frame, _ = rows()
    frame = frame[:100].astype({"store": object})
    frame.loc[50:, "store"] = "s1"
    # Of one thread, which adds up the moments of neighboring partitions.
    with dask.config.set({"dataframe.convert-string": False, "num_workers": 1}):
        X, y = (dd.from_pandas(part, npartitions=2) for part in split(frame))
        with pytest.raises(ValueError, match=r"Partition 1: the task column .* different types"):
            skmtl.dask.fit(model(), X, y)
