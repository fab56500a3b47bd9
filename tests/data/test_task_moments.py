"""Moments of tasks: batches, tables of other engines, and fits and searches without rows."""

import pickle
import warnings

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skmtl import (
    ADMMRegressor,
    GraphRegularizedRegressor,
    MeanRegularizedRegressor,
    PooledRegressor,
    SharedL2Regressor,
    TaskMoments,
)
from skmtl.data import plus_rows, read_rows, rows_of_moments
from skmtl.model_selection import RegularizationPathCV
from skmtl.pipeline import make_task_pipeline

CHAIN = [(t, t + 1) for t in range(8)]
MODELS = {
    "pooled": PooledRegressor(2.0),
    "separate": SharedL2Regressor(0.5),
    "least squares": SharedL2Regressor(0.0),
    "mean": MeanRegularizedRegressor(3.0),
    "mean 0": MeanRegularizedRegressor(0.0),
    "mean inf": MeanRegularizedRegressor(np.inf),
    "free intercepts": MeanRegularizedRegressor(3.0, alpha_intercept=0.0),
    "no intercepts": MeanRegularizedRegressor(3.0, fit_intercept=False),
    "auto": MeanRegularizedRegressor("auto", alpha_intercept="auto"),
    "balanced": MeanRegularizedRegressor(3.0, task_weight="balanced"),
    "uncertainty": MeanRegularizedRegressor(3.0, task_weight="uncertainty"),
    "minimax": MeanRegularizedRegressor(3.0, task_weight="minimax"),
    "graph": GraphRegularizedRegressor(2.0, task_graph=CHAIN),
    "l21": ADMMRegressor("l21", 20.0),
    "trace norm": ADMMRegressor("trace_norm", 20.0),
    "robust": ADMMRegressor("robust_mean", 20.0),
}
every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


def make(n=400, T=9, d=3, offset=0.0, seed=0):
    """Rows whose tasks come one after the other, and weights."""
    rng = np.random.default_rng(seed)
    codes = np.sort(rng.integers(0, T, n))
    X = rng.normal(size=(n, d)) + rng.normal(size=(T, d))[codes]
    y = X @ rng.normal(size=d) + rng.normal(size=n) + rng.normal(size=T)[codes]
    return np.c_[codes, X + offset], y + offset, rng.uniform(0.5, 2.0, n)


@every_model
@pytest.mark.parametrize("offset", [0.0, 1e8])
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_give_the_fit_of_all_rows(model, offset, weighted):
    if offset and not model.fit_intercept:
        pytest.skip("without intercepts, an offset is no shift")
    X, y, weight = make(offset=offset)
    weight = weight if weighted else None
    model = clone(model).set_params(task_column=0)
    whole, parts = clone(model).fit(X, y, weight), clone(model)
    for rows in np.array_split(np.arange(len(y)), 6):  # each brings new tasks
        parts.partial_fit(X[rows], y[rows], None if weight is None else weight[rows])
    close = 5e-9 if isinstance(model, ADMMRegressor) else 1e-9  # ADMM stops at a tol of 1e-8
    scale = np.abs(whole.coef_).max()
    assert_allclose(parts.coef_, whole.coef_, rtol=0, atol=close * scale)
    assert_allclose(parts.objective_, whole.objective_, rtol=1e-9)
    rounding = 4 * np.finfo(float).eps * offset * scale * X.shape[1]  # of x . w at the offset
    near = close * np.ptp(y) + rounding
    assert_allclose(parts.predict(X), whole.predict(X), rtol=0, atol=near)
    assert_array_equal(parts.task_counts_, whole.task_counts_)
    assert parts.n_features_in_ == whole.n_features_in_ == 4
    assert parts.optimality_ < 1e-7
    if model.alpha == "auto":
        found = ("alpha_", "alpha_intercept_", "sigma2_", "restricted_log_likelihood_")
        parts, whole = (np.hstack([getattr(m, n) for n in found]) for m in (parts, whole))
        assert_allclose(parts, whole, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:covariance_type='diag'. tasks have so few rows")
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", ["pooled", "separate", "least squares", "mean", "mean 0", "auto"])
def test_fewer_rows_than_features(name, seed):
    X, y, _ = make(20, 5, 12, seed=seed)
    model = clone(MODELS[name]).set_params(task_column=0)
    try:
        whole = clone(model).fit(X, y)
    except ValueError as error:  # nothing to estimate variances from
        with pytest.raises(ValueError, match=str(error)[:20]):
            model.partial_fit(X, y)
        return
    # the likelihood of few rows is so flat that its maximum has few digits
    close = 1e-5 if name == "auto" else 1e-8
    assert_allclose(model.partial_fit(X, y).predict(X), whole.predict(X), atol=close)


@pytest.mark.parametrize("missing", [False, True])
def test_wide_form(missing):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(50, 2)), pd.DataFrame(rng.normal(size=(50, 3)), columns=list("zab"))
    Y.iloc[::3, 1] = np.nan if missing else 0.0
    for name in ("mean", "separate", "auto", "l21"):
        whole, parts = clone(MODELS[name]).fit(X, Y), clone(MODELS[name])
        parts.partial_fit(X[:30], Y[:30]).partial_fit(X[30:], Y[30:])
        assert parts.tasks_.tolist() == list("zab")
        assert_allclose(parts.predict(X), whole.predict(X), atol=1e-8)


def test_moments_are_those_of_the_rows():
    X, y, weight = make()
    moments = TaskMoments.from_data(X, y, weight, task_column=0)
    for t in moments.tasks:
        own = X[:, 0] == t
        Z = np.c_[X[own, 1:], y[own]]
        assert_allclose(moments.mean[t], np.average(Z, axis=0, weights=weight[own]))
        C = np.cov(Z, rowvar=False, aweights=weight[own], ddof=0) * weight[own].sum()
        assert_allclose(moments.scatter[t], C)
    assert len(moments) == 9
    assert moments.counts.sum() == 400
    assert repr(moments) == "TaskMoments of 400 rows in 9 tasks, 3 features"
    again = pickle.loads(pickle.dumps(moments))
    assert_array_equal(again.scatter, moments.scatter)


def test_sums_in_any_order():
    X, y, weight = make(offset=1e8)
    parts = [TaskMoments.from_data(X[k::5], y[k::5], weight[k::5], task_column=0) for k in range(5)]
    whole = TaskMoments.from_data(X, y, weight, task_column=0)
    batches = ((X[k::5], y[k::5], weight[k::5]) for k in range(5))
    for total in (
        sum(parts),
        sum(parts[::-1]),
        parts[0] + (parts[1] + parts[2]) + (parts[3] + parts[4]),
        TaskMoments.from_batches(batches, task_column=0),
    ):
        assert_array_equal(total.tasks, whole.tasks)
        assert_allclose(total.weight, whole.weight)
        assert_allclose(total.mean, whole.mean, rtol=1e-15)
        assert_allclose(total.scatter, whole.scatter, rtol=1e-9, atol=1e-8)


def table(offset=0.0):
    X, y, weight = make(offset=offset)
    labels = np.array([f"t{t}" for t in range(9)])[X[:, 0].astype(int)]
    features = {f"x{j}": X[:, j] for j in (1, 2)}
    return pl.DataFrame({"x0": X[:, 3], "task": labels, **features, "w": weight, "y": y})


FRAMES = {
    "polars lazy": pl.DataFrame.lazy,
    "polars": lambda frame: frame,
    "pandas": pl.DataFrame.to_pandas,
    "arrow": pl.DataFrame.to_arrow,
    "duckdb": lambda frame: duckdb.from_arrow(frame.to_arrow()),
}


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_tables_of_other_engines(kind, weighted, offset):
    frame = table(offset)
    weight = frame["w"].to_numpy() if weighted else None
    frame = frame if weighted else frame.drop("w")
    given = FRAMES[kind](frame)
    moments = TaskMoments.from_frame(
        given, y="y", task_column="task", sample_weight="w" if weighted else None
    )
    X = frame.drop("y", "w", strict=False).to_pandas()
    whole = TaskMoments.from_data(X, frame["y"].to_numpy(), weight, task_column="task")
    assert moments.feature_names == whole.feature_names == ["x0", "task", "x1", "x2"]
    assert_array_equal(moments.tasks, whole.tasks)
    assert_array_equal(moments.counts, whole.counts)
    for name in ("weight", "mean"):
        assert_allclose(getattr(moments, name), getattr(whole, name), rtol=1e-13)
    assert_allclose(moments.scatter, whole.scatter, rtol=1e-9, atol=1e-9)
    model = MeanRegularizedRegressor(3.0, task_column="task")
    expected = clone(model).fit(X, frame["y"].to_numpy(), weight)
    model.fit_moments(moments)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-8)
    assert_array_equal(model.feature_names_in_, expected.feature_names_in_)
    assert_allclose(model.predict(X), expected.predict(X), rtol=1e-9)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tables_of_ibis(tmp_path):
    table().write_parquet(tmp_path / "rows.parquet")
    rows = pytest.importorskip("ibis").duckdb.connect().read_parquet(tmp_path / "rows.parquet")
    named = {"y": "y", "task_column": "task", "sample_weight": "w"}
    moments = TaskMoments.from_frame(rows, **named)
    expected = TaskMoments.from_frame(table(), **named)
    assert_array_equal(moments.tasks, expected.tasks)
    assert_allclose(moments.mean, expected.mean, rtol=1e-13)
    assert_allclose(moments.scatter, expected.scatter, rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match="columns 'task' are not numbers"):
        TaskMoments.from_frame(rows, y="y", task_column="x0")


def test_labels_of_tables():
    dates = pd.date_range("2024-01-01", periods=3)
    frame = pl.DataFrame({"task": list(dates) * 10, "x": np.arange(30.0), "y": np.arange(30.0) % 7})
    for given in (frame.lazy(), duckdb.from_arrow(frame.to_arrow())):
        assert TaskMoments.from_frame(given, y="y", task_column="task").tasks.tolist() == [
            date.to_pydatetime() for date in dates
        ]
    levels = pl.Enum(["high", "low", "none"])
    ordered = frame.with_columns(task=pl.Series(["low", "high", "low"] * 10, dtype=levels)).lazy()
    moments = TaskMoments.from_frame(ordered, y="y", task_column="task")
    assert moments.tasks.tolist() == ["high", "low"]
    assert moments.counts.tolist() == [10, 20]


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (lambda f: f, {"y": "Y"}, "y='Y' is not a column. Did you mean 'y'"),
        (lambda f: f, {"sample_weight": "v"}, "sample_weight='v' is not a column"),
        (lambda f: f.with_columns(text=pl.lit("a")), {}, "columns 'text' are not numbers"),
        (lambda f: f.with_columns(x1=pl.lit(None, pl.Float64)), {}, "columns 'x1' hold missing"),
        (lambda f: f.with_columns(y=pl.lit(np.nan)), {}, "columns 'y' hold missing or infinite"),
        (lambda f: f.with_columns(x2=pl.lit(np.inf)), {}, "columns 'x2' hold missing or infinite"),
        (
            lambda f: f.with_columns(w=-pl.col("w")),
            {"sample_weight": "w"},
            "weights 'w' must be at",
        ),
        (lambda f: f.with_columns(w=0.0), {"sample_weight": "w"}, "no rows of positive weight"),
        (
            lambda f: f.with_columns(task=pl.when(pl.col("y") > 0).then(pl.col("task"))),
            {},
            "missing labels",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["polars lazy", "duckdb"])
def test_bad_tables(kind, change, arguments, message):
    frame = FRAMES[kind](change(table()))
    with pytest.raises(ValueError, match=message):
        TaskMoments.from_frame(frame, **{"y": "y", "task_column": "task", **arguments})


def test_bad_batches_change_nothing():
    X, y, _ = make()
    model = MeanRegularizedRegressor(task_column=0)
    with pytest.raises(ValueError, match="NaN"):
        model.partial_fit(X, np.where(y > 0, y, np.nan))
    with pytest.raises(NotFittedError):
        model.predict(X)
    model.partial_fit(X, y)
    before = pickle.dumps(model)
    wrong = [
        (X[:, :-1], y, "X has 3 features, but MeanRegularizedRegressor is expecting 4"),
        (np.where(X[5, 2] == X, np.nan, X), y, "NaN"),
        (X, y[:-1], "inconsistent"),
        (X + 0.5, y, "fraction"),
    ]
    for A, b, message in wrong:
        with pytest.raises(ValueError, match=message):
            model.partial_fit(A, b)
    assert pickle.dumps(model) == before


def test_a_fit_that_fails_keeps_the_moments():
    X, y, _ = make()
    model = MeanRegularizedRegressor(task_column=0).partial_fit(X, y)
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(X, np.where(y > 0, y, np.nan))
    with pytest.raises(ValueError, match="there is one task"):
        model.set_params(alpha="auto").fit(X[:20] * [0, 1, 1, 1], y[:20])
    assert pickle.dumps(model.set_params(alpha=1.0)) == before
    assert model.partial_fit(X, y).task_counts_.sum() == 800


def test_wrong_moments():
    X, y, _ = make()
    moments = TaskMoments.from_data(X, y, task_column=0)
    model = MeanRegularizedRegressor(task_column=0)
    with pytest.raises(TypeError, match="fit_moments takes TaskMoments, got ndarray"):
        model.fit_moments(X)
    with pytest.raises(ValueError, match="task_column=0 and the model -1"):
        MeanRegularizedRegressor(task_column=-1).fit_moments(moments)
    fewer = TaskMoments.from_data(X[:, :-1], y, task_column=0)
    with pytest.raises(
        ValueError, match="different columns cannot be added: n_features is 3 and 2"
    ):
        moments + fewer
    with pytest.raises(ValueError, match="There is no batch"):
        TaskMoments.from_batches([], task_column=0)
    with pytest.raises(TypeError):
        moments + 1


@pytest.mark.parametrize("how", ["fit", "search", "adapt", "wide"])
def test_a_batch_does_not_replace_a_model_of_fit(how):
    X, y, _ = make()
    model, batch = MeanRegularizedRegressor(task_column=0), (X, y)
    if how == "wide":
        model, batch = MeanRegularizedRegressor(), (X[:, 1:], np.column_stack([y, -y]))
    model.fit(*batch)
    if how == "search":
        model = RegularizationPathCV(model, [0.1, 1.0], cv=3).fit(X, y).best_estimator_
    if how == "adapt":
        model = model.adapt(X[:5] + [99, 0, 0, 0], y[:5])
    before = pickle.dumps(model)
    for last in (batch, (batch[0], y)):
        with pytest.raises(ValueError, match="was fitted by fit, which keeps no moments"):
            model.partial_fit(*last)
    assert pickle.dumps(model) == before
    twice = clone(model).partial_fit(*batch).partial_fit(*batch)
    assert twice.task_counts_.sum() == 2 * batch[1].size


@pytest.mark.parametrize("adapted", [[9], [0, 3, 9], list(range(9))])
@pytest.mark.parametrize("columns", [1, 2])
def test_batches_after_adapt_contain_its_rows(columns, adapted):
    # a task of the batches before is replaced, as adapt replaces its coefficients
    X, y, weight = make(T=10)
    X, y = np.column_stack([X[:, 0] // 4, X]), y + X[:, 1]
    column = [0, 1] if columns == 2 else 1
    model = MeanRegularizedRegressor(task_column=column)
    old, again = X[:, 1] != 9, np.isin(X[:, 1], adapted)
    model.partial_fit(X[old], y[old], weight[old])
    before = pickle.dumps(model)
    after = model.adapt(X[again], 2 * y[again], weight[again])
    assert pickle.dumps(model) == before
    assert_array_equal(after.moments_.tasks, after.tasks_)
    assert_array_equal(after.moments_.counts, after.task_counts_)
    after.partial_fit(X[:50], y[:50], weight[:50])
    rows = [old & ~again, again, np.arange(len(y)) < 50]
    target = np.concatenate([y[rows[0]], 2 * y[rows[1]], y[rows[2]]])
    X, weight = (np.concatenate([own[part] for part in rows]) for own in (X, weight))
    whole = clone(model).fit(X, target, weight)
    assert_array_equal(after.tasks_, whole.tasks_)
    assert_allclose(after.coef_, whole.coef_, atol=1e-8)
    assert_array_equal(after.task_counts_, whole.task_counts_)


def test_without_tasks_a_batch_after_fit_begins_anew():
    # scikit-learn's check_fit_score_takes_y calls partial_fit after fit
    X, y, _ = make()
    model = MeanRegularizedRegressor().fit(X, y)
    with pytest.warns(UserWarning, match="partial_fit begins anew"):
        model.partial_fit(X[:200], y[:200])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.partial_fit(X[200:], y[200:])
    assert model.task_counts_.tolist() == [400]
    assert not hasattr(model.fit(X, y), "moments_")


@pytest.mark.parametrize("scoring", [None, "neg_mean_squared_error"])
@pytest.mark.parametrize("name", ["pooled", "separate", "mean", "graph", "balanced", "l21"])
def test_searches_over_folds(name, scoring):
    X, y, weight = make(offset=10.0)
    fold = np.random.default_rng(0).integers(0, 4, len(y))
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(4)]
    model = clone(MODELS[name]).set_params(task_column=0)
    search = RegularizationPathCV(model, alphas=5, cv=splits, scoring=scoring).fit(X, y, weight)
    parts = [
        TaskMoments.from_data(X[own], y[own], weight[own], task_column=0)
        for own in (fold == k for k in range(4))
    ]
    found = RegularizationPathCV(model, alphas=5, scoring=scoring).fit_moments(parts)
    assert_allclose(found.alphas_, search.alphas_, rtol=1e-9)
    for key in ("mean_test_score", "std_test_score"):
        assert_allclose(found.cv_results_[key], search.cv_results_[key], rtol=1e-6)
    assert_allclose(found.task_scores_, search.task_scores_, rtol=1e-5)
    assert found.best_index_ == search.best_index_
    assert_allclose(found.predict(X), search.predict(X), rtol=1e-6)
    assert found.best_estimator_.moments_.counts.sum() == len(y)


def test_searches_over_folds_of_the_wide_form():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(60, 2)), rng.normal(size=(60, 3))
    fold = np.arange(60) % 3
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(3)]
    options = {"alphas": [0.1, 1.0, 10.0], "scoring": "neg_mean_squared_error"}
    search = RegularizationPathCV(MeanRegularizedRegressor(), cv=splits, **options).fit(X, Y)
    found = RegularizationPathCV(MeanRegularizedRegressor(), **options)
    found.fit_moments([TaskMoments.from_data(X[fold == k], Y[fold == k]) for k in range(3)])
    for key in ("mean_test_score", "std_test_score"):
        assert_allclose(found.cv_results_[key], search.cv_results_[key])
    assert_allclose(found.predict(X), search.predict(X))


def test_wrong_searches():
    X, y, _ = make()
    moments = TaskMoments.from_data(X, y, task_column=0)
    model = MeanRegularizedRegressor(task_column=0)
    with pytest.raises(ValueError, match="two folds or more, got 1"):
        RegularizationPathCV(model).fit_moments([moments])
    with pytest.raises(ValueError, match="scores of moments are 'r2' and"):
        RegularizationPathCV(model, scoring="max_error").fit_moments([moments, moments])


def test_rows_added_to_moments():
    """In place too, unless there are new tasks."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(0, 5, 90), rng.standard_normal((90, 3)) + 1e6])
    y, weight = rng.standard_normal(90), rng.uniform(0.5, 2.0, 90)
    reader = MeanRegularizedRegressor(task_column=0)
    rows = read_rows(reader, X[40:], y[40:], weight[40:], reset=True)
    for first in (X[:40], np.where(X[:40] == 4.0, 3.0, X[:40])):
        whole = TaskMoments.from_data(np.vstack([first, X[40:]]), y, weight, task_column=0)
        half = TaskMoments.from_data(first, y[:40], weight[:40], task_column=0)
        before, new = half.scatter.copy(), len(half) < len(whole)
        found = plus_rows(half, rows)
        assert_array_equal(half.scatter, before)
        for total in (found, plus_rows(half, rows, in_place=True)):
            assert_array_equal(total.counts, whole.counts)
            assert_allclose(total.weight, whole.weight, rtol=1e-12)
            assert_allclose(total.mean, whole.mean, rtol=1e-12)
            assert_allclose(total.scatter, whole.scatter, rtol=1e-9, atol=1e-9)
            assert (total is half) == (total is not found and not new)


def test_tasks_with_fewer_rows_than_features_lose_no_digits():
    rng = np.random.default_rng(0)
    scale = np.array([*np.ones(15), 1e-6, 1e6, 1e3, 0.0])
    X = np.column_stack([np.repeat(np.arange(500), 12), rng.standard_normal((6000, 19)) * scale])
    moments = TaskMoments.from_data(X, rng.standard_normal(6000), task_column=0)
    rows = rows_of_moments(moments, centered=True)
    again = TaskMoments.from_data(
        np.column_stack([rows.codes, rows.X]), rows.y, rows.weight, task_column=0
    )
    unit = np.sqrt(np.einsum("tjj->tj", moments.scatter))
    error = np.abs(again.scatter - moments.scatter)
    assert (error <= 1e-12 * unit[:, :, None] * unit[:, None]).all()


@pytest.mark.parametrize("columns", ["shop", ["city", "shop"]], ids=str)
@pytest.mark.parametrize("by_position", [False, True])
def test_moments_behind_the_transformers_of_a_pipeline(columns, by_position):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"size": rng.standard_normal(60), "city": np.arange(60) // 30})
    X = X.assign(shop=np.arange(60) // 12, hour=rng.standard_normal(60))
    y = X["size"] * X["shop"] + rng.standard_normal(60)
    given = columns
    if columns == "shop":
        X = X.drop(columns="city")
    if by_position:
        given = 1 if columns == "shop" else [1, 2]
    model = make_task_pipeline(StandardScaler(), MeanRegularizedRegressor(task_column=given))
    expected = model.fit(X, y).predict(X)
    Z = model[:-1].transform(X)
    moments = TaskMoments.from_data(Z[:40], y[:40], task_column=columns)
    rest = TaskMoments.from_data(Z[40:], y[40:], task_column=model[-1].task_column)
    last = clone(model[-1]).fit_moments(moments + rest)
    np.testing.assert_allclose(last.predict(Z), expected, atol=1e-9)
    batches = clone(model[-1]).fit_moments(moments).partial_fit(Z[40:], y[40:])
    np.testing.assert_allclose(batches.predict(Z), expected, atol=1e-9)
    for other in ("hour", 2):
        with pytest.raises(ValueError, match=rf"The moments have .* and the model {other!r}"):
            clone(last).set_params(task_column=other).fit_moments(moments)


def test_sparse_features_of_transformers_have_no_moments():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"shop": np.arange(60) // 12, "day": np.arange(60) % 30})
    y, model = rng.standard_normal(60), MeanRegularizedRegressor(task_column="shop")
    encoder = make_task_pipeline(OneHotEncoder(), model).fit(X, y)[:-1]
    with pytest.raises(TypeError, match=r"X is sparse.*sparse_output of a OneHotEncoder to False"):
        TaskMoments.from_data(encoder.transform(X), y, task_column=0)
    columns = ColumnTransformer([("day", OneHotEncoder(), ["day"])])
    for dense in (OneHotEncoder(sparse_output=False), columns.set_params(sparse_threshold=0)):
        Z = make_task_pipeline(dense, model).fit(X, y)[:-1].transform(X)
        assert TaskMoments.from_data(Z, y, task_column=0).n_features == 30
