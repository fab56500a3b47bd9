"""Inside scikit-learn's tools, with no metadata routing, on real data."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import StackingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skmtl import MeanRegularizedRegressor, PooledRegressor, SharedL2Regressor
from skmtl.datasets import load_radon
from skmtl.metrics import make_task_scorer
from skmtl.model_selection import TaskKFold
from skmtl.pipeline import make_task_pipeline
from tests._data import data_folder
from tests.linear_model.test_references import School

ALPHAS = [0.1, 1.0, 5.0, 100.0]


@pytest.fixture(scope="module", params=["radon", "radon arrays", "school"])
def data(request):
    """X, y and the task column; every task with at least five rows, in random order."""
    rng = np.random.default_rng(0)
    if request.param == "school":
        data_folder("school")
        school = School()
        X, y, column = school.X[:, :-1].astype(float), school.y, 0
        rows = rng.permutation(len(y))[:4000]
    else:
        frame = request.param == "radon"
        X, y = load_radon(return_X_y=True, as_frame=frame)
        column, labels = ("county", X["county"]) if frame else (0, X[:, 0])
        _, codes, counts = np.unique(
            np.asarray(labels, str), return_inverse=True, return_counts=True
        )
        rows = rng.permutation(np.flatnonzero(counts[codes] >= 5))
        if frame:
            return X.iloc[rows].reset_index(drop=True), y.to_numpy()[rows], column
    return X[rows], y[rows], column


def mean_model(column, **params):
    return MeanRegularizedRegressor(5.0, task_column=column, handle_unknown="shared", **params)


def take(X, rows):
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def labels_of(X, column):
    return np.asarray(X[column] if isinstance(column, str) else X[:, column])


def test_cross_val_predict_is_a_loop(data):
    X, y, column = data
    cv = TaskKFold(4, task_column=column)
    model = mean_model(column)
    found = cross_val_predict(model, X, y, cv=cv)
    expected = np.empty(len(y))
    for train, test in cv.split(X):
        expected[test] = clone(model).fit(take(X, train), y[train]).predict(take(X, test))
    assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("scoring", ["neg_mean_squared_error", "macro"])
def test_grid_search_finds_what_a_loop_finds(data, scoring):
    X, y, column = data
    if scoring == "macro":
        scoring = make_task_scorer("neg_mean_squared_error", task_column=column, average="macro")
    cv = TaskKFold(4, task_column=column)
    search = GridSearchCV(
        mean_model(column), {"alpha": ALPHAS}, scoring=scoring, cv=cv, error_score="raise"
    ).fit(X, y)
    scores = []
    for alpha in ALPHAS:
        folds = []
        for train, test in cv.split(X):
            model = mean_model(column).set_params(alpha=alpha).fit(take(X, train), y[train])
            squares = (y[test] - model.predict(take(X, test))) ** 2
            tasks = labels_of(X, column)[test]
            if isinstance(scoring, str):
                folds.append(squares.mean())
            else:
                folds.append(np.mean([squares[tasks == t].mean() for t in set(tasks.tolist())]))
        scores.append(-np.mean(folds))
    assert_allclose(search.cv_results_["mean_test_score"], scores, rtol=1e-10)
    assert search.best_params_["alpha"] == ALPHAS[int(np.argmax(scores))]
    assert np.ptp(scores) > 0


@pytest.mark.parametrize("output", ["default", "pandas", "polars"])
def test_column_transformer(data, output):
    """A scaler behind a passthrough, its shorthand and scaling by hand are the same."""
    X, y, column = data
    scaler = ColumnTransformer(
        [("task", "passthrough", [0]), ("scale", StandardScaler(), [*range(1, X.shape[1])])],
    ).set_output(transform=output)
    pipeline = make_pipeline(scaler, mean_model(0))
    found = cross_val_predict(pipeline, X, y, cv=TaskKFold(4, task_column=column))
    shorthand = make_task_pipeline(StandardScaler(), mean_model(column))
    expected = cross_val_predict(shorthand, X, y, cv=TaskKFold(4, task_column=column))
    assert_allclose(found, expected, rtol=1e-10)
    features = np.asarray(X)[:, 1:].astype(float)
    spread = np.where(np.ptp(features, axis=0) > 0, features.std(axis=0), 1.0)
    Z = (features - features.mean(axis=0)) / spread
    by_hand = np.column_stack([labels_of(X, column).astype(object), Z])
    model = mean_model(0).fit(by_hand, y)
    assert_allclose(pipeline.fit(X, y).predict(X), model.predict(by_hand), rtol=1e-8)


def test_transformed_target_and_stacking(data):
    X, y, column = data
    y = y - y.min() + 1
    model = TransformedTargetRegressor(mean_model(column), func=np.log, inverse_func=np.exp)
    expected = np.exp(mean_model(column).fit(X, np.log(y)).predict(X))
    assert_allclose(model.fit(X, y).predict(X), expected, rtol=1e-10)

    members = {
        "mean": mean_model(column),
        "pooled": PooledRegressor(task_column=column, handle_unknown="shared"),
    }
    stack = StackingRegressor(list(members.items()), LinearRegression(), cv=KFold(3))
    stack.fit(X, y)
    held_out = [cross_val_predict(m, X, y, cv=KFold(3)) for m in members.values()]
    top = LinearRegression().fit(np.column_stack(held_out), y)
    level = np.column_stack([clone(m).fit(X, y).predict(X) for m in members.values()])
    assert_allclose(stack.predict(X), top.predict(level), rtol=1e-8)
    assert mean_squared_error(y, stack.predict(X)) < np.var(y)


@pytest.mark.parametrize("transformer", [StandardScaler(), PCA(2)], ids=repr)
def test_a_swallowed_task_column_is_noticed(transformer):
    X, y = load_radon(return_X_y=True)
    X[:, 0] = np.unique(X[:, 0].astype(str), return_inverse=True)[1]
    model = make_pipeline(transformer, mean_model(0))
    with pytest.raises(ValueError, match=r"labels cannot be floats with a fraction.*scaler, PCA"):
        cross_val_score(model, X.astype(float), y, error_score="raise")
    harmless = make_pipeline(FunctionTransformer(), mean_model(0))
    assert np.isfinite(cross_val_score(harmless, X.astype(float), y, error_score="raise")).all()


@pytest.mark.parametrize("estimator", [MeanRegularizedRegressor, SharedL2Regressor])
def test_rows_sorted_by_task_in_plain_folds_do_not_fail_silently(estimator):
    X, y = load_radon(return_X_y=True)
    order = np.argsort(X[:, 0].astype(str), kind="stable")
    with pytest.raises(ValueError, match=r"predict got tasks '.*not seen in fit.*TaskKFold"):
        cross_val_score(estimator(task_column=0), X[order], y[order], cv=5, error_score="raise")
