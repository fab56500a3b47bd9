"""The estimators with a penalty of choice inside scikit-learn's tools."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.preprocessing import StandardScaler

from skmtl import (
    ADMMClassifier,
    ADMMRegressor,
    GraphRegularizedRegressor,
    alpha_max,
)
from skmtl.model_selection import TaskKFold
from skmtl.penalties import (
    L1,
    L21,
    PENALTIES,
    Decomposed,
    MeanRegularized,
    NetworkLasso,
    Ridge,
    RobustMean,
    Sum,
    TaskL2,
    TraceNorm,
)
from skmtl.pipeline import make_task_pipeline
from tests._problems import assert_same_model, kinds, make_rows

EDGES = [(0, 1), (1, 2, 0.5), (2, 3)]

# Estimators with a penalty to choose ------------------------------------------------------------

ROWS, KROWS = make_rows(sizes=(12, 9, 15, 10), d=4), make_rows(3)
DIRTY = Decomposed(L21(2.0), L1(1.0))


def frame(rows, names=("a", "b", "c", "d")):
    table = pd.DataFrame(rows.X, columns=names[: rows.X.shape[1]])
    return table.assign(task=[f"T{t}" for t in rows.codes])


@pytest.mark.parametrize("penalty", ["l21", DIRTY, L1(0.1) + TraceNorm(2.0)], ids=repr)
def test_clone_repr_pickle_and_parameters(penalty):
    model = ADMMRegressor(penalty, 0.5, task_column=0)
    kept = repr(penalty)
    fitted = clone(model).fit(ROWS.long, ROWS.y)
    again = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(again.predict(ROWS.long), fitted.predict(ROWS.long))
    assert "ADMMRegressor(" in repr(fitted)
    if not isinstance(penalty, str):
        copy = clone(fitted)
        assert copy.penalty is not penalty
        assert repr(copy.penalty) == repr(penalty) == kept
        copy.set_params(penalty__first__alpha=7.0)
        assert copy.penalty.first.alpha == 7.0
        assert copy.get_params()["penalty__first__alpha"] == 7.0
        assert repr(penalty) == kept


@pytest.mark.parametrize("penalty", [NetworkLasso(1.0, EDGES), RobustMean(3.0), DIRTY], ids=repr)
def test_fit_leaves_the_penalty_of_the_user_alone(penalty):
    state = pickle.dumps(penalty)
    ADMMRegressor(penalty, 2.0, task_column=0).fit(ROWS.long, ROWS.y)
    ADMMClassifier(penalty, 2.0, task_column=0).fit(KROWS.long, KROWS.y)
    assert pickle.dumps(penalty) == state


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("estimator", [ADMMRegressor, ADMMClassifier])
def test_names_are_penalties_of_weight_one(name, estimator):
    rows = ROWS if estimator is ADMMRegressor else make_rows(2)
    named = estimator(name, 2.0, task_column=0, alpha_intercept=2.0).fit(rows.long, rows.y)
    given = estimator(PENALTIES[name](), 2.0, task_column=0, alpha_intercept=2.0)
    assert_same_model(named, given.fit(rows.long, rows.y), rtol=1e-12)
    # The alpha of the estimator multiplies that of the penalty.
    strong = PENALTIES[name](2.0)
    once = estimator(strong, 1.0, task_column=0, alpha_intercept=2.0).fit(rows.long, rows.y)
    assert_same_model(once, named, rtol=1e-5)


@pytest.mark.parametrize("K", [None, 2, 3])
def test_quadratic_penalties_are_the_other_estimators(K):
    rows = ROWS if K is None else make_rows(K)
    kind, other = ADMMRegressor if K is None else ADMMClassifier, kinds(K)[2]
    found = kind(MeanRegularized(3.0, 0.4), 0.5, task_column=0).fit(rows.long, rows.y)
    expected = other(1.5, alpha_shared=0.2, task_column=0).fit(rows.long, rows.y)
    assert_same_model(found, expected, rtol=1e-6, center=False)
    assert_allclose(found.objective_, expected.objective_, rtol=1e-9)


def test_grid_search_is_a_loop():
    X, cv = frame(ROWS), TaskKFold(3, task_column="task")
    grids = [
        {"penalty": [L21(1.0), TraceNorm(1.0)], "penalty__alpha": [0.1, 5.0]},
        {"penalty": ["ridge", DIRTY], "alpha": [0.1, 30.0]},
        {"penalty": [DIRTY], "penalty__first__alpha": [0.1, 5.0]},
    ]
    base = ADMMRegressor(task_column="task")
    search = GridSearchCV(base, grids, cv=cv, error_score="raise", refit=False).fit(X, ROWS.y)
    scores = search.cv_results_["mean_test_score"]
    for params, score in zip(search.cv_results_["params"], scores, strict=True):
        model = clone(base).set_params(**clone(params, safe=False))
        if "penalty" in params:
            model.set_params(penalty=clone(params["penalty"], safe=False))
            model.set_params(**{k: v for k, v in params.items() if k != "penalty"})
        folds = [
            model.fit(X.iloc[a], ROWS.y[a]).score(X.iloc[b], ROWS.y[b]) for a, b in cv.split(X)
        ]
        assert_allclose(score, np.mean(folds), rtol=1e-8)
    assert np.ptp(scores) > 0.01
    assert (DIRTY.first.alpha, DIRTY.second.alpha) == (2.0, 1.0)


@pytest.mark.parametrize("K", [None, 3])
def test_pipeline_and_cross_val_predict(K):
    rows, kind = (ROWS, ADMMRegressor) if K is None else (KROWS, ADMMClassifier)
    X, cv = frame(rows), TaskKFold(3, task_column="task")
    pipeline = make_task_pipeline(StandardScaler(), kind(DIRTY, 0.5, task_column="task"))
    method = "predict" if K is None else "predict_proba"
    found = cross_val_predict(pipeline, X, rows.y, cv=cv, method=method)
    for train, test in cv.split(X):
        Z = X.copy()
        features = X.columns[:-1]
        scaler = StandardScaler().fit(X.loc[train, features])
        Z[features] = scaler.transform(X[features])
        model = kind(DIRTY, 0.5, task_column="task").fit(Z.iloc[train], rows.y[train])
        assert_allclose(found[test], getattr(model, method)(Z.iloc[test]), atol=1e-6)


@pytest.mark.parametrize("K", [None, 2, 3])
@pytest.mark.parametrize("penalty", ["l21", "robust_mean", DIRTY, L1(0.3) + Ridge(0.2)], ids=repr)
def test_warm_start(K, penalty):
    rows = ROWS if K is None else make_rows(K)
    kind = ADMMRegressor if K is None else ADMMClassifier
    cold = kind(penalty, 1.0, task_column=0).fit(rows.long, rows.y)
    warm = kind(penalty, 1.02, task_column=0, warm_start=True).fit(rows.long, rows.y)
    warm.set_params(alpha=1.0).fit(rows.long, rows.y)
    assert_same_model(warm, cold, rtol=1e-6)
    assert warm.n_iter_ <= 1.5 * cold.n_iter_ + 5
    again = warm.set_params(warm_start=True).fit(rows.long, rows.y).n_iter_
    assert again <= cold.n_iter_
    # Another penalty, and other data.
    warm.set_params(penalty="trace_norm").fit(rows.long, rows.y)
    expected = kind("trace_norm", 1.0, task_column=0).fit(rows.long, rows.y)
    assert_same_model(warm, expected, rtol=1e-5)
    assert not hasattr(warm, "parts_")
    half = slice(None, None, 2) if K is None else slice(20, None)
    warm.fit(rows.long[half], rows.y[half])
    expected.fit(rows.long[half], rows.y[half])
    assert_same_model(warm, expected, rtol=1e-5)


def test_graphs_in_searches_with_edges_between_labels():
    rows = make_rows(sizes=(12, 9, 15, 12))
    X = np.column_stack([rows.codes.astype(float), rows.X])
    edges, cv = [*EDGES, (0, "root")], TaskKFold(3, task_column=0)
    graph = GraphRegularizedRegressor(1.5, task_graph=edges, task_column=0)
    found = cross_val_predict(clone(graph), X, rows.y, cv=cv)
    for train, test in cv.split(X):
        fold = clone(graph).fit(X[train], rows.y[train])
        assert_allclose(found[test], fold.predict(X[test]), rtol=1e-10)
    grid = {"alpha": [1e-3, 1.0, 1e3], "task_graph": [edges, None]}
    search = GridSearchCV(graph, grid, cv=cv, error_score="raise").fit(X, rows.y)
    assert np.ptp(search.cv_results_["mean_test_score"]) > 0.01


# Structure --------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [lambda t: 7 - t, lambda t: f"T{t}"], ids=["ints", "strings"])
@pytest.mark.parametrize("K", [None, 3])
def test_structure_names_tasks_in_their_own_type(label, K):
    rows = ROWS if K is None else make_rows(K)
    kind = ADMMRegressor if K is None else ADMMClassifier
    X = frame(rows).assign(task=[label(t) for t in rows.codes.tolist()])
    model = kind("robust_mean", task_column="task")
    model.set_params(alpha=0.5 * alpha_max(model, X, rows.y)).fit(X, rows.y)
    W = model.coef_.reshape(4, -1)
    differ = np.array([(W[t] != W).any(axis=1).sum() > 2 for t in range(4)])
    outliers = model.structure_.outlier_tasks.tolist()
    assert set(outliers) >= set(model.tasks_[differ].tolist()) or not outliers
    assert set(outliers) <= {label(t) for t in range(4)}
    model.set_params(penalty=TaskL2(), alpha=1.0)
    model.set_params(alpha=0.9 * alpha_max(model, X, rows.y)).fit(X, rows.y)
    W = model.coef_.reshape(4, -1)
    assert_array_equal(model.structure_.active_tasks, model.tasks_[W.any(axis=1)])
    assert 0 < len(model.structure_.active_tasks) < 4
    model.set_params(alpha=1.001 * alpha_max(model, X, rows.y)).fit(X, rows.y)
    assert not model.coef_.any()
    assert len(model.structure_.active_tasks) == 0


@pytest.mark.parametrize("K", [None, 2, 3])
def test_parts_and_structure_of_decomposed(K):
    rows = ROWS if K is None else make_rows(K)
    model = (ADMMRegressor if K is None else ADMMClassifier)(DIRTY, 1.0, task_column=0)
    model.fit(rows.long, rows.y)
    assert len(model.parts_) == len(model.structure_) == 2
    assert_allclose(sum(model.parts_), model.coef_, rtol=0, atol=1e-12)
    for part, found in zip(model.parts_, model.structure_, strict=True):
        assert part.shape == model.coef_.shape
        used = part.reshape(-1, part.shape[-1]).any(axis=0)
        mask = np.reshape(found.selected_features, (-1, part.shape[-1])).any(axis=0)
        assert_array_equal(mask, used)


# Input ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("K", [None, 3])
def test_kinds_of_input_are_one(K):
    rows, kind = (ROWS, ADMMRegressor) if K is None else (KROWS, ADMMClassifier)
    expected = kind("l21", 2.0, task_column=0).fit(rows.long, rows.y)
    table = frame(rows)
    frozen = rows.long.copy()
    frozen.flags.writeable = False
    y = rows.y.copy()
    y.flags.writeable = False
    for X, column in [
        (table, "task"),
        (pl.from_pandas(table), "task"),
        (np.asfortranarray(rows.long), 0),
        (frozen, 0),
        (np.repeat(rows.long, 2, axis=1)[:, ::2], 0),
    ]:
        model = kind("l21", 2.0, task_column=column).fit(X, y)
        assert_same_model(model, expected, rtol=1e-7)
        assert_allclose(model.predict(X), expected.predict(rows.long), rtol=1e-6)
    single = kind("l21", 2.0, task_column=0).fit(rows.long.astype(np.float32), y)
    assert_same_model(single, expected, rtol=1e-4)
    assert_array_equal(frozen, rows.long)


# Errors and warnings ----------------------------------------------------------------------------


@pytest.mark.parametrize("max_iter", [1, 2, 7])
@pytest.mark.parametrize("estimator", [ADMMRegressor, ADMMClassifier])
def test_too_few_iterations(estimator, max_iter):
    rows = ROWS if estimator is ADMMRegressor else KROWS
    model = estimator("trace_norm", 2.0, task_column=0, max_iter=max_iter)
    message = rf"The 'admm' solver of {estimator.__name__} stopped after {max_iter} iter.*max_iter"
    with pytest.warns(ConvergenceWarning, match=message):
        model.fit(rows.long, rows.y)
    assert model.n_iter_ == max_iter
    assert np.isfinite(model.coef_).all()
    assert model.optimality_ > model.tol


@pytest.mark.parametrize("estimator", [ADMMRegressor, ADMMClassifier])
def test_tolerance_is_kept_and_saves_work(estimator):
    rows = ROWS if estimator is ADMMRegressor else KROWS
    runs = []
    for tol in (1e-2, 1e-5, 1e-10):
        model = estimator("trace_norm", 3.0, task_column=0, tol=tol).fit(rows.long, rows.y)
        assert model.optimality_ <= tol
        runs.append((model.n_iter_, model.objective_))
    assert runs[0][0] < runs[2][0]
    assert runs[0][0] <= runs[1][0] <= runs[2][0]
    assert runs[2][1] <= runs[1][1] * (1 + 1e-8)


PENALTY = r"penalty must be one of \['graph', 'l1', .*got "
WRONG = [
    ({"penalty": "l3"}, ValueError, PENALTY + r"'l3'\.$"),
    ({"penalty": "l12"}, ValueError, PENALTY + r"'l12'\. Did you mean .*'l21'\?"),
    ({"penalty": None}, ValueError, PENALTY + "None"),
    ({"penalty": L21}, ValueError, PENALTY),
    ({"penalty": 1.0}, ValueError, PENALTY + r"1\.0"),
    ({"penalty": L21(-1.0)}, ValueError, r"alpha of L21 must be a number in \[0, inf\], got -1\.0"),
    ({"penalty": L1("a")}, ValueError, r"alpha of L1 must be a number.*got 'a'"),
    ({"penalty": L1(1.0) + L21(np.nan)}, ValueError, r"alpha of L21 must be .*got nan"),
    ({"penalty": Sum(L1(), "l21")}, TypeError, r"second of Sum must be a penalty on W.*got 'l21'"),
    ({"penalty": Decomposed("l1", L1())}, TypeError, r"first of Decomposed must be a penalty"),
    ({"penalty": L1() + DIRTY}, TypeError, r"second of Sum must be a penalty"),
    ({"penalty": NetworkLasso(1.0, [(0, 0)])}, ValueError, r"two different tasks.*got \(0, 0\)"),
    ({"penalty": NetworkLasso(1.0, np.ones((2, 2)))}, ValueError, r"adjacency of shape \(4, 4\)"),
    ({"alpha": -1.0}, ValueError, r"alpha must be a number in \[0, inf\], got -1\.0"),
    ({"alpha": [1.0] * 4}, ValueError, r"alpha must be a number"),
    ({"alpha_intercept": np.nan}, ValueError, r"alpha_intercept must be .*got nan"),
    ({"handle_unknown": "shared"}, ValueError, r"has no shared model.*handle_unknown='shared'"),
    ({"solver": "direct"}, ValueError, r"solver must be .* \['admm', 'proximal'\], got 'direct'"),
    ({"max_iter": 0}, ValueError, r"max_iter must be an integer of at least 1"),
]


@pytest.mark.parametrize(("params", "error", "message"), WRONG, ids=lambda p: str(p)[:40])
@pytest.mark.parametrize("estimator", [ADMMRegressor, ADMMClassifier])
def test_errors(estimator, params, error, message):
    rows = ROWS if estimator is ADMMRegressor else KROWS
    with pytest.raises(error, match=message):
        estimator(**{"task_column": 0, **params}).fit(rows.long, rows.y)


@pytest.mark.parametrize("estimator", [ADMMRegressor, ADMMClassifier])
def test_predict_before_fit_and_unknown_tasks(estimator):
    rows = ROWS if estimator is ADMMRegressor else KROWS
    model = estimator(alpha=2.0, task_column=0)
    with pytest.raises(NotFittedError):
        model.predict(rows.long)
    model.fit(rows.long, rows.y)
    with pytest.raises(ValueError, match=r"predict got task 9, not seen in fit.*MeanRegularized"):
        model.predict(np.column_stack([np.full(len(rows.X), 9), rows.X]))
