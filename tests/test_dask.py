"""Fits to partitions of rows equal fits to the rows in memory, on two processes and without."""

import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import (
    ADMMClassifier,
    ADMMRegressor,
    GraphRegularizedRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    PooledClassifier,
    PooledRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
)
from skmtl.inspection import coef_table
from skmtl.model_selection import RegularizationPathCV

pd = pytest.importorskip("pandas")
dd = pytest.importorskip("dask.dataframe")
da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")
import dask  # noqa: E402

import skmtl.dask  # noqa: E402
from skmtl.dask import _data, _rows  # noqa: E402
from skmtl.dask._data import PartitionedData  # noqa: E402
from skmtl.dask._sums import merge  # noqa: E402
from skmtl.data import LongData, Moments  # noqa: E402

TASKS, FEATURES = 7, ["a", "b", "c"]
FAR = np.array([0.0, 1e8, -20.0])  # offsets of the features


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with (
        distributed.LocalCluster(**options) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def where(request):
    """Return keywords of ``fit``: of a cluster or of the default scheduler."""
    return {"client": request.getfixturevalue("client")} if request.param else {}


everywhere = pytest.mark.parametrize(
    "where", [False, True], ids=["threads", "cluster"], indirect=True
)


def make(n=600, seed=0):
    """Return a table with the columns a, shop, b, c, and y, two classes, three classes, weight."""
    rng = np.random.default_rng(seed)
    codes, X = rng.integers(0, TASKS, n), rng.standard_normal((n, 3))
    z = np.einsum("ij,ij->i", X, rng.standard_normal((TASKS, 3))[codes]) + 0.3 * codes - 1
    table = pd.DataFrame(X + FAR, columns=FEATURES)
    table.insert(1, "shop", [f"shop {k}" for k in codes])
    table["y"] = z + rng.standard_normal(n)
    table["bought"] = np.where(z + rng.logistic(size=n) > 0, "yes", "no")
    table["size"] = np.digitize(z + rng.standard_normal(n), [-1.5, 1.5])
    table["weight"] = rng.integers(0, 3, n) * 0.5
    return table


COLUMNS = ["a", "shop", "b", "c"]
TABLE = make()


def split(table, cuts=(100, 100, 250, 251, 500)):
    """Return a dask DataFrame with unknown divisions, an empty partition and one of one row."""
    edges = [0, *cuts, len(table)]
    parts = [table[first:last] for first, last in itertools.pairwise(edges)]
    with dask.config.set({"dataframe.convert-string": False}):  # labels keep their types
        return dd.from_delayed([dask.delayed(part) for part in parts], meta=table[:0])


def assert_same(model, X, y, weight=None, *, rtol, target="y", where=None, table=TABLE):
    """Assert that a fit on Dask equals the fit in memory; return both."""
    whole = clone(model).fit(table[COLUMNS], table[target], weight)
    model = skmtl.dask.fit(clone(model), X, y, None if weight is None else split(weight), **where)
    scale = np.abs(whole.coef_).max()
    assert_allclose(model.coef_, whole.coef_, rtol=0, atol=rtol * scale)
    predicted, exact = (m.predict(table[COLUMNS]) for m in (model, whole))
    if target == "y":
        assert_allclose(predicted, exact, rtol=0, atol=rtol * np.abs(exact).max() * 1e2)
        if hasattr(whole, "sigma2_"):
            std = [m.predict(table[COLUMNS], return_std=True)[1] for m in (model, whole)]
            assert_allclose(*std, rtol=1e-6)
    else:
        assert_array_equal(predicted, exact)
        assert_allclose(
            model.predict_proba(table[COLUMNS]), whole.predict_proba(table[COLUMNS]), atol=1e-7
        )
        if target == "bought" and hasattr(whole, "shared_coef_") and model.solver != "cg":
            assert_allclose(*(coef_table(m)["std_error"] for m in (model, whole)), rtol=1e-3)
    assert model.tasks_.tolist() == whole.tasks_.tolist()
    assert_array_equal(model.task_counts_, whole.task_counts_)
    assert_array_equal(model.feature_names_in_, whole.feature_names_in_)
    assert model.n_features_in_ == whole.n_features_in_
    return model, whole


REGRESSORS = {
    "pooled": PooledRegressor(2.0),
    "separate": SharedL2Regressor(1.5, fit_intercept=False),
    "mean": MeanRegularizedRegressor(2.0),
    "auto": MeanRegularizedRegressor("auto", alpha_intercept="auto"),
    "balanced": MeanRegularizedRegressor(2.0, task_weight="balanced"),
    "uncertainty": MeanRegularizedRegressor(2.0, task_weight="uncertainty"),
    "graph": GraphRegularizedRegressor(
        2.0, task_graph=[(f"shop {k}", f"shop {k + 1}") for k in range(TASKS - 1)]
    ),
    "norm": ADMMRegressor("l21", 3.0),
}
CLASSIFIERS = {
    "pooled": PooledClassifier(2.0),
    "separate": SharedL2Classifier(1.5, fit_intercept=False),
    "mean": MeanRegularizedClassifier(2.0),
    "cg": MeanRegularizedClassifier(2.0, solver="cg", tol=1e-10),
    "weights": MeanRegularizedClassifier(
        2.0,
        class_weight="balanced",
        task_weight={f"shop {k}": float(k) for k in range(TASKS)},  # of the first it is 0
        handle_unknown="shared",
    ),
    "norm": ADMMClassifier("l21", 3.0),
}


def on(models, cluster):
    """Parametrize by models, all of them with threads and some on the cluster."""
    cases = [(name, False) for name in models] + [(name, True) for name in cluster]
    ids = [f"{name}-{'cluster' if there else 'threads'}" for name, there in cases]
    return pytest.mark.parametrize(("name", "where"), cases, ids=ids, indirect=["where"])


@on(REGRESSORS, ["mean", "auto"])
def test_regressors_equal_fit_in_memory(name, where):
    model = clone(REGRESSORS[name]).set_params(task_column="shop")
    table = split(TABLE)
    tol = 1e-9 if name in ("pooled", "separate", "mean", "balanced", "graph") else 1e-6
    assert_same(model, table[COLUMNS], table["y"], TABLE["weight"], rtol=tol, where=where)


@on(CLASSIFIERS, ["mean", "weights", "norm"])
def test_classifiers_equal_fit_in_memory(name, where):
    model = clone(CLASSIFIERS[name]).set_params(task_column="shop")
    table = split(TABLE)
    model, whole = assert_same(
        model,
        table[COLUMNS],
        table["bought"],
        TABLE["weight"],
        rtol=1e-7,
        target="bought",
        where=where,
    )
    assert_allclose(model.objective_, whole.objective_, rtol=1e-9)
    pickle.loads(pickle.dumps(model))  # no futures


@everywhere
@pytest.mark.parametrize(
    "model",
    [MeanRegularizedClassifier(2.0), ADMMClassifier("trace_norm", 3.0)],
    ids=["mean", "norm"],
)
def test_three_classes(model, where):
    table = split(TABLE)
    model = clone(model).set_params(task_column="shop", class_weight="balanced")
    assert_same(model, table[COLUMNS], table["size"], rtol=1e-7, target="size", where=where)


@everywhere
@pytest.mark.parametrize("kind", [MeanRegularizedRegressor, MeanRegularizedClassifier])
@pytest.mark.parametrize(
    "factor",
    [[0.5, 2.0, 9.0], {"b": np.inf, "c": 0.0}, {"a": 3.0}],
    ids=["numbers", "limits", "names"],
)
def test_penalty_factor(kind, factor, where):
    table, target = split(TABLE), "y" if kind is MeanRegularizedRegressor else "bought"
    model = kind(2.0, alpha_shared=0.5, penalty_factor=factor, task_column="shop", tol=1e-10)
    options = {"rtol": 1e-6, "target": target, "where": where}
    assert_same(model, table[COLUMNS], table[target], **options)


@pytest.mark.slow
def test_evidence_and_minimax_of_classifiers():
    few = make(200)
    table = dd.from_pandas(few, npartitions=2)
    auto = {"alpha": "auto", "alpha_intercept": 2.0, "covariance_type": "spherical"}
    for weights in (auto, {"task_weight": "minimax"}):
        model = MeanRegularizedClassifier(**weights, task_column="shop", tol=1e-10)
        assert_same(
            model,
            table[COLUMNS],
            table["bought"],
            rtol=1e-6,
            target="bought",
            where={},
            table=few,
        )


def test_variances_of_classifiers_need_the_rows():
    table = dd.from_pandas(make(50), npartitions=2)
    model = MeanRegularizedClassifier("auto", covariance_type="diag", task_column="shop")
    with pytest.raises(TypeError, match="covariance_type='diag' of a classifier requires the rows"):
        skmtl.dask.fit(model, table[COLUMNS], table["bought"])


def test_many_partitions_are_summed_in_a_tree(client):
    table = dd.from_pandas(TABLE, npartitions=20)
    for target, model in (("y", REGRESSORS["mean"]), ("bought", CLASSIFIERS["mean"])):
        model = clone(model).set_params(task_column="shop")
        options = {"rtol": 1e-7, "target": target, "where": {"client": client}}
        assert_same(model, table[COLUMNS], table[target], **options)


@pytest.mark.parametrize("rows", [20, 70, 10**6])
def test_partitions_of_a_worker_are_joined(client, rows, monkeypatch):
    """No part has many more rows than it may have; 600 rows are in 20 partitions."""
    monkeypatch.setattr(_rows, "_JOINED", 3 * rows)
    sizes, prepare = [], PartitionedData.__init__

    def recording(self, *given):
        sizes.append(given[3])
        prepare(self, *given)

    monkeypatch.setattr(PartitionedData, "__init__", recording)
    ordered = TABLE.sort_values("shop", ignore_index=True)
    table = dd.from_pandas(ordered, npartitions=20)
    model = clone(CLASSIFIERS["mean"]).set_params(task_column="shop")
    options = {"rtol": 1e-9, "target": "bought", "where": {"client": client}, "table": ordered}
    assert_same(model, table[COLUMNS], table["bought"], **options)
    assert sum(sizes[0]) == len(TABLE)
    assert max(sizes[0]) <= max(rows, 30) + 30
    assert len(sizes[0]) <= {20: 20, 70: 12, 10**6: 6}[rows]


def test_moments_of_several_pieces_with_tasks_of_their_own(monkeypatch):
    monkeypatch.setattr(_data, "_CACHED", 3 * 5**2)
    rng = np.random.default_rng(0)
    X, weight, tasks = rng.standard_normal((400, 5)), rng.random(400), rng.integers(0, 30, 400)
    X += 1e4
    found = []
    for first in (0, 150, 170):
        parts, pieces = [], []
        for own in np.array_split(np.arange(first, {0: 150, 150: 170, 170: 400}[first]), 3):
            index, codes = np.unique(tasks[own], return_inverse=True)
            parts.append(LongData(X[own], own * 1.0, weight[own], codes, len(index), np.zeros(5)))
            pieces.append(_data.Piece(index, parts[-1].y, parts[-1].weight, None))
        found.append(_data._moments(parts, pieces, np.arange(4, 26)))
    index, sums = merge(found)
    assert_array_equal(index, np.arange(4, 26))
    room = Moments(np.empty((22, 5, 5)), np.empty((22, 5)), np.empty(22))
    sums.unpack(room)
    for t, H, mean, total in zip(index, *room, strict=True):
        own = tasks == t
        assert_allclose(H, weight[own].sum() * np.cov(X[own].T, aweights=weight[own], ddof=0))
        assert_allclose(mean, np.average(X[own], axis=0, weights=weight[own]))
        assert_allclose(total, weight[own].sum())


@pytest.mark.parametrize("target", ["y", "bought"])
def test_partitions_with_tasks_of_their_own(target):
    ordered = TABLE.sort_values("shop", ignore_index=True)
    cuts = ordered["shop"].drop_duplicates().index[1:].tolist()
    table = split(ordered, cuts)
    model = (REGRESSORS if target == "y" else CLASSIFIERS)["mean"]
    model = clone(model).set_params(task_column="shop")
    options = {"rtol": 1e-7, "target": target, "where": {}, "table": ordered}
    assert_same(model, table[COLUMNS], table[target], **options)


@everywhere
@pytest.mark.parametrize("target", ["y", "bought"])
def test_parts_of_parquet(target, where, tmp_path):
    """Dask joins the parts of few columns: those of y, if it were read apart from X."""
    pytest.importorskip("pyarrow")
    for k, part in enumerate(np.array_split(np.arange(len(TABLE)), 8)):
        TABLE.iloc[part].to_parquet(tmp_path / f"part-{k}.parquet")
    table = dd.read_parquet(tmp_path)
    model = (REGRESSORS if target == "y" else CLASSIFIERS)["mean"]
    model = clone(model).set_params(task_column="shop")
    options = {"rtol": 1e-7, "target": target, "where": where}
    assert_same(model, table[COLUMNS], table[target], **options)


@pytest.mark.parametrize("target", ["y", "bought"])
def test_ordered_categories_keep_their_order(target):
    order = [f"shop {k}" for k in (3, 1, 6, 5, 4, 2, 0)]
    own = TABLE.assign(shop=pd.Categorical(TABLE["shop"], order, ordered=True))
    model = (REGRESSORS if target == "y" else CLASSIFIERS)["mean"]
    model = clone(model).set_params(task_column=1)
    table = split(own)
    options = {"rtol": 1e-7, "target": target, "where": {}, "table": own}
    found, _ = assert_same(model, table[COLUMNS], table[target], **options)
    assert found.tasks_.tolist() == order
    plain = own.assign(shop=own["shop"].cat.as_unordered())
    table = dd.from_pandas(plain, npartitions=3)
    table["shop"] = table["shop"].cat.as_unknown()
    assert_same(model, table[COLUMNS], table[target], **(options | {"table": plain}))


@pytest.mark.parametrize("target", ["y", "size"])
def test_arrays_by_position(target):
    X = np.column_stack([TABLE[FEATURES] - FAR, TABLE["shop"].str[5:].astype(int)])
    y, weight = TABLE[target].to_numpy(), TABLE["weight"].to_numpy()
    model = clone((REGRESSORS if target == "y" else CLASSIFIERS)["mean"]).set_params(task_column=-1)
    whole = clone(model).fit(X, y, weight)
    lazy = da.from_array(X, chunks=(170, 2))  # several chunks of columns
    given = da.from_array(y, chunks=100), da.from_array(weight, chunks=250)
    skmtl.dask.fit(model, lazy, *given)
    assert_allclose(model.coef_, whole.coef_, atol=1e-9)
    assert not hasattr(model, "feature_names_in_")
    predicted = skmtl.dask.predict(model, lazy)
    assert predicted.chunks == (lazy.chunks[0],)
    assert predicted.dtype == whole.predict(X).dtype
    assert_allclose(predicted.compute(), whole.predict(X), atol=1e-9)


def test_wide_form_of_regressors():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((90, 3)), rng.standard_normal((90, 4))
    Y[rng.random(Y.shape) < 0.2] = np.nan
    whole = MeanRegularizedRegressor(2.0).fit(X, Y)
    lazy = da.from_array(X, chunks=(30, 3))
    model = skmtl.dask.fit(MeanRegularizedRegressor(2.0), lazy, da.from_array(Y, chunks=(45, 2)))
    assert_allclose(model.coef_, whole.coef_, atol=1e-9)
    assert_allclose(skmtl.dask.predict(model, lazy).compute(), whole.predict(X), atol=1e-9)


@everywhere
@pytest.mark.parametrize("target", ["y", "bought"])
def test_predict_is_lazy_and_equals_predict_in_memory(target, where):
    model = clone((REGRESSORS if target == "y" else CLASSIFIERS)["mean"])
    model.set_params(task_column="shop").fit(TABLE[COLUMNS], TABLE[target])
    predicted = skmtl.dask.predict(model, split(TABLE)[COLUMNS])
    assert isinstance(predicted, da.Array)
    found = where["client"].compute(predicted).result() if where else predicted.compute()
    exact = model.predict(TABLE[COLUMNS])
    assert found.dtype == exact.dtype
    if target == "bought":
        assert_array_equal(found, exact)
    else:  # b is 1e8
        assert_allclose(found, exact, atol=1e-6)


def slow_part(part):
    time.sleep(0.2)
    return part


def kill_one(client):
    """Kill a worker process; return its id."""
    victim = next(iter(client.run(os.getpid).values()))
    os.kill(victim, signal.SIGKILL)
    return victim


@pytest.mark.parametrize("target", ["y", "bought"])
def test_a_worker_killed_while_it_reads_changes_nothing(client, target, tmp_path):
    pytest.importorskip("pyarrow")
    for k, part in enumerate(np.array_split(np.arange(len(TABLE)), 10)):
        TABLE.iloc[part].to_parquet(tmp_path / f"part-{k}.parquet")
    table = dd.read_parquet(tmp_path).map_partitions(slow_part, meta=TABLE[:0])
    model = clone((REGRESSORS if target == "y" else CLASSIFIERS)["mean"])
    model.set_params(task_column="shop")
    whole = clone(model).fit(TABLE[COLUMNS], TABLE[target])
    killed = []

    def kill():
        time.sleep(0.6)
        killed.append((kill_one(client), time.monotonic()))

    killer = threading.Thread(target=kill)
    killer.start()
    skmtl.dask.fit(model, table[COLUMNS], table[target], client=client)
    finished = time.monotonic()
    killer.join()
    assert killed[0][1] < finished
    client.wait_for_workers(2, timeout=30)
    assert killed[0][0] not in client.run(os.getpid).values()
    assert_allclose(model.coef_, whole.coef_, rtol=1e-9)


def test_a_worker_killed_between_newton_steps_changes_nothing(client, monkeypatch):
    table = dd.from_pandas(TABLE, npartitions=6)
    model = clone(CLASSIFIERS["mean"]).set_params(task_column="shop")
    whole = clone(model).fit(TABLE[COLUMNS], TABLE["bought"])
    calls, loss_sums = [], PartitionedData.loss_sums

    def killing(self, *arguments):
        calls.append(kill_one(client) if len(calls) == 2 else None)
        return loss_sums(self, *arguments)

    monkeypatch.setattr(PartitionedData, "loss_sums", killing)
    skmtl.dask.fit(model, table[COLUMNS], table["bought"], client=client)
    assert len(calls) > 3
    client.wait_for_workers(2, timeout=30)
    assert calls[2] not in client.run(os.getpid).values()
    assert_allclose(model.coef_, whole.coef_, rtol=1e-9)
    assert_allclose(model.objective_, whole.objective_, rtol=1e-12)


def test_tasks_have_names(client):
    table = dd.from_pandas(TABLE, npartitions=3)
    with distributed.get_task_stream(client) as stream:
        for target, model in (("y", REGRESSORS["mean"]), ("bought", CLASSIFIERS["mean"])):
            model = clone(model).set_params(task_column="shop")
            skmtl.dask.fit(model, table[COLUMNS], table[target], client=client)
    names = {dask.utils.key_split(log["key"]) for log in stream.data}
    assert {"skmtl-moments", "skmtl-loss", "skmtl-sum", "skmtl-read"} <= names


def bad(**changes):
    """Return a table of which partition 2 (rows 100 to 249) is changed."""
    table = TABLE.astype({"shop": object, "bought": object})
    for name, value in changes.items():
        table[name] = table[name].astype(object) if isinstance(value, str) else table[name]
        table.loc[150 if name != "shop_all" else slice(100, 249), name] = value
    return table


MODELS = [REGRESSORS["mean"], CLASSIFIERS["mean"]]
both = pytest.mark.parametrize("model", MODELS, ids=["moments", "partitions"])


def given(model, table):
    """Return X and y of a model."""
    lazy = split(table)
    return lazy[COLUMNS], lazy["y" if model is MODELS[0] else "bought"]


@both
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"a": np.nan}, "Partition 2: .*NaN"),
        ({"shop": None}, "Partition 2: The task column 'shop' has missing labels"),
        ({"shop": 2.5}, "Partition 2: .*cannot be floats with a fraction"),
    ],
    ids=["features", "labels", "fraction"],
)
def test_bad_rows_name_the_partition_and_leave_the_model(model, changes, message):
    own = clone(model).set_params(task_column="shop")
    target = "y" if model is MODELS[0] else "bought"
    own.fit(TABLE[COLUMNS], TABLE[target])
    before = pickle.dumps(own)
    with pytest.raises(ValueError, match=message):
        skmtl.dask.fit(own, *given(model, bad(**changes)))
    assert pickle.dumps(own) == before


@both
def test_labels_of_different_types(model):
    table = TABLE.astype({"shop": object})
    table.loc[100:249, "shop"] = 7
    own = clone(model).set_params(task_column="shop")
    with pytest.raises(
        ValueError, match=r"Partition \d: the task column 'shop' of different types"
    ):
        skmtl.dask.fit(own, *given(model, table))
    assert not hasattr(own, "n_features_in_")


def test_classes_of_different_types():
    table = TABLE.astype({"bought": object})
    table.loc[100:249, "bought"] = 1
    model = clone(CLASSIFIERS["mean"]).set_params(task_column="shop")
    with pytest.raises(ValueError, match="Partition 2: y of different types"):
        skmtl.dask.fit(model, *given(MODELS[1], table))


@both
def test_different_columns(model):
    parts = [TABLE[:300], TABLE[300:].rename(columns={"b": "d"})]
    table = dd.from_delayed(
        [
            dask.delayed(part[COLUMNS if k == 0 else ["a", "shop", "d", "c"]])
            for k, part in enumerate(parts)
        ],
        meta=TABLE[COLUMNS][:0],
        verify_meta=False,
    )
    y = split(TABLE, [300])["y" if model is MODELS[0] else "bought"]
    own = clone(model).set_params(task_column="shop")
    with pytest.raises(ValueError, match=r"Partition 1: X has the columns .*'d', 'c' here"):
        skmtl.dask.fit(own, table, y)


@both
def test_arguments(model):
    X, y = given(model, TABLE)
    own = clone(model).set_params(task_column="shop")
    with pytest.raises(ValueError, match="task_column='shop' is not a column"):
        skmtl.dask.fit(own, X[FEATURES], y)
    with pytest.raises(TypeError, match="y is a Series"):
        skmtl.dask.fit(own, X, y.compute())
    with pytest.raises(TypeError, match="X is a DataFrame"):
        skmtl.dask.fit(own, X.compute(), y)
    with pytest.raises(ValueError, match="y is None"):
        skmtl.dask.fit(own, X, None)
    with pytest.raises(ValueError, match=r"Partition [01]: X has (100|0) rows here, and y"):
        skmtl.dask.fit(own, X, split(TABLE, [90, 100, 250, 251, 500])[y.name])
    with pytest.raises(ValueError, match=r"numbers of partitions differ: \{'X': 6, 'y': 1"):
        skmtl.dask.fit(own, X, split(TABLE, [])[y.name])
    with pytest.raises(ValueError, match="no rows of positive weight"):
        skmtl.dask.fit(own, X, y, split(TABLE)["weight"] * 0)
    with pytest.raises(ValueError, match="Partition 2: Negative values in sample_weight"):
        skmtl.dask.fit(own, X, y, split(bad(weight=-1.0))["weight"])
    with pytest.raises(ValueError, match="no rows of positive weight"):
        skmtl.dask.fit(own, *given(model, TABLE[:0]))
    assert not hasattr(own, "coef_")


def test_lengths_of_arrays():
    X, y = da.zeros((10, 3), chunks=5), da.zeros(9, chunks=5)
    with pytest.raises(ValueError, match="X has 10 rows, and y 9"):
        skmtl.dask.fit(MeanRegularizedRegressor(task_column=0), X, y)


def test_other_models():
    X, y = given(MODELS[0], TABLE)
    model = MeanRegularizedRegressor(task_column="shop")
    for other in (make_pipeline(StandardScaler(), model), RegularizationPathCV(model)):
        with pytest.raises(TypeError, match="Instead of a Pipeline, transform X by Dask first"):
            skmtl.dask.fit(other, X, y)
    one = split(TABLE)["bought"] == "yes"
    with pytest.raises(ValueError, match="y has 2 columns"):
        skmtl.dask.fit(MeanRegularizedClassifier(), X[FEATURES], dd.concat([one, one], axis=1))
    lazy, model = split(TABLE.assign(bought="no")), MeanRegularizedClassifier(task_column="shop")
    with pytest.raises(ValueError, match="at least 2 classes in the data"):
        skmtl.dask.fit(model, lazy[COLUMNS], lazy["bought"])


def test_warm_start():
    table = split(TABLE)
    model = MeanRegularizedClassifier(2.0, task_column="shop", warm_start=True)
    first = skmtl.dask.fit(model, table[COLUMNS], table["bought"]).n_iter_
    again = skmtl.dask.fit(model, table[COLUMNS], table["bought"]).n_iter_
    assert again < first


@pytest.mark.parametrize("model", MODELS, ids=["moments", "partitions"])
def test_callbacks_follow_the_fit(model):
    pytest.importorskip("sklearn.callback")
    from tests.test_callbacks import Follower

    follower = Follower()
    own = clone(model).set_params(task_column="shop").set_callbacks(follower)
    skmtl.dask.fit(own, *given(model, TABLE))
    assert follower.calls[0] == "setup"
    assert follower.calls[-1] == "teardown"
    assert len(follower.calls) > 4


def test_import_of_skmtl_does_not_import_dask():
    code = "import sys, skmtl; assert not {'dask', 'distributed'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_sparse_partitions_are_refused():
    X = np.column_stack([np.arange(40) % 4, np.ones(40)])
    X = da.from_array(X, chunks=(20, 2)).map_blocks(sparse.csr_array)
    y = da.from_array(np.arange(40.0), chunks=20)
    with pytest.raises(TypeError, match=r"Partition .: X is sparse"):
        skmtl.dask.fit(MeanRegularizedRegressor(task_column=0), X, y)
