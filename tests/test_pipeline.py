import pickle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from skmtl import MeanRegularizedRegressor
from skmtl.datasets import make_multitask_regression
from skmtl.inspection import CoefficientShrinkageDisplay
from skmtl.metrics import make_task_scorer
from skmtl.model_selection import RegularizationPathCV, TaskKFold
from skmtl.pipeline import make_task_pipeline


@pytest.fixture
def data():
    """Features, labels, target and predictions by hand: scale, project, put the label in front."""
    X, y = make_multitask_regression(n_tasks=4, n_samples=10, n_features=3, random_state=0)
    labels = np.array(["north", "south", "east", "west"])[X[:, 0].astype(int)]
    features = X[:, 1:] * [1.0, 10.0, 100.0]
    Z = make_pipeline(StandardScaler(), PCA(2)).fit_transform(features)
    long = np.column_stack([labels.astype(object), Z])
    expected = MeanRegularizedRegressor(task_column=0).fit(long, y).predict(long)
    return features, labels, y, expected


def frame_of(features, labels, position, kind):
    columns = {f"x{j}": features[:, j] for j in range(features.shape[1])}
    items = list(columns.items())
    items.insert(position, ("place", labels))
    return kind(dict(items))


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize(
    ("position", "column"), [(0, "place"), (1, "place"), (3, -1), (1, 1), (1, -3)]
)
def test_transformers_see_only_the_features_of_a_dataframe(data, kind, position, column):
    features, labels, y, expected = data
    X = frame_of(features, labels, position, kind)
    model = make_task_pipeline(
        StandardScaler(), PCA(2), MeanRegularizedRegressor(task_column=column)
    )
    assert type(model) is Pipeline
    np.testing.assert_allclose(model.fit(X, y).predict(X), expected)


@pytest.mark.parametrize("position", [0, 1, 3])
@pytest.mark.parametrize("numbers", [False, True])
def test_transformers_see_only_the_features_of_an_array(data, position, numbers):
    features, labels, y, expected = data
    if numbers:
        labels = np.unique(labels, return_inverse=True)[1] * 7 - 3
    X = np.insert(features.astype(object), position, labels, axis=1)
    X = X.astype(float) if numbers else X
    for column in (position, position - 4):
        model = make_task_pipeline(
            StandardScaler(), PCA(2), MeanRegularizedRegressor(task_column=column)
        )
        np.testing.assert_allclose(model.fit(X, y).predict(X), expected)


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_set_output(data, output):
    features, labels, y, expected = data
    X = frame_of(features, labels, 1, pd.DataFrame)
    model = make_task_pipeline(
        StandardScaler(), PCA(2), MeanRegularizedRegressor(task_column="place")
    ).set_output(transform=output)
    np.testing.assert_allclose(model.fit(X, y).predict(X), expected)
    assert list(model[:-1].transform(X).columns) == ["place", "pca0", "pca1"]
    assert list(model[:-1].get_feature_names_out()) == ["place", "pca0", "pca1"]


def test_grid_search_over_nested_parameters(data):
    features, labels, y, _ = data
    X = frame_of(features, labels, 0, pd.DataFrame)
    model = make_task_pipeline(
        StandardScaler(), PCA(), MeanRegularizedRegressor(task_column="place")
    )
    grid = {
        "columntransformer__remainder__pca__n_components": [1, 3],
        "meanregularizedregressor__alpha": [0.1, 10.0],
    }
    search = GridSearchCV(
        model,
        grid,
        cv=TaskKFold(task_column="place"),
        scoring=make_task_scorer("r2", task_column="place"),
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(X).shape == y.shape


def test_one_hot_features_come_out_dense(data):
    _, labels, y, _ = data
    many = np.arange(len(y)) % 10  # ten categories: sparse enough for a sparse result
    X = pd.DataFrame({"place": labels, "kind": many})
    model = make_task_pipeline(OneHotEncoder(), MeanRegularizedRegressor(task_column="place"))
    assert model.fit(X, y)[:-1].transform(X).shape == (len(y), 11)


def test_without_transformers(data):
    features, labels, y, _ = data
    X = frame_of(features, labels, 2, pd.DataFrame)
    model = MeanRegularizedRegressor(task_column="place")
    expected = model.fit(X, y).predict(X)
    np.testing.assert_allclose(make_task_pipeline(model).fit(X, y).predict(X), expected)


def test_pickle_clone_and_the_estimator_given(data):
    features, labels, y, expected = data
    X = frame_of(features, labels, 0, pd.DataFrame)
    estimator = MeanRegularizedRegressor(task_column="place")
    model = make_task_pipeline(StandardScaler(), PCA(2), estimator).fit(X, y)
    assert estimator.task_column == "place"
    assert not hasattr(estimator, "coef_")
    copies = (pickle.loads(pickle.dumps(model)), clone(model).fit(X, y))
    for copy in copies:
        np.testing.assert_allclose(copy.predict(X), expected)


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        ((), TypeError, "needs a multi-task estimator"),
        ((StandardScaler(), Ridge()), TypeError, "parameter task_column, got Ridge"),
        ((StandardScaler(), KFold()), TypeError, "parameter task_column, got KFold"),
        (
            (GridSearchCV(MeanRegularizedRegressor(task_column=0), {"alpha": [1.0]}),),
            TypeError,
            "around the pipeline",
        ),
        (
            (StandardScaler(), MeanRegularizedRegressor()),
            ValueError,
            "has task_column=None: set it to the name or position",
        ),
    ],
)
def test_wrong_use(steps, error, message):
    with pytest.raises(error, match=message):
        make_task_pipeline(*steps)


def test_text_goes_by_its_own_column():
    vectorizer = TfidfVectorizer()
    with pytest.raises(TypeError, match=r"TfidfVectorizer reads one column.*TruncatedSVD\(100\)"):
        make_task_pipeline(vectorizer, MeanRegularizedRegressor(task_column="shop"))
    frame = pd.DataFrame(
        {"shop": list("aabb") * 5, "text": ["good", "bad", "bad item", "item"] * 5}
    )
    text = make_pipeline(vectorizer, TruncatedSVD(2))
    columns = ColumnTransformer([("task", "passthrough", ["shop"]), ("text", text, "text")])
    model = make_pipeline(columns, MeanRegularizedRegressor(task_column=0))
    assert np.isfinite(model.fit(frame, np.arange(20.0)).predict(frame)).all()


# Names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("column", ["place", 1, -3])
def test_names_of_features_reach_the_model(data, kind, column):
    features, labels, y, expected = data
    X = frame_of(features, labels, 1, kind)
    model = make_task_pipeline(
        StandardScaler(), PCA(2), MeanRegularizedRegressor(task_column=column)
    ).fit(X, y)
    assert model[-1].feature_names_in_.tolist() == ["place", "pca0", "pca1"]
    assert model[:-1].get_feature_names_out().tolist() == ["place", "pca0", "pca1"]
    assert isinstance(model[:-1].transform(X), kind)
    part = X[5:] if kind is pl.DataFrame else X.iloc[5:]  # another index
    np.testing.assert_allclose(model.predict(part), expected[5:])
    cv = TaskKFold(3, task_column=0)
    search = RegularizationPathCV(MeanRegularizedRegressor(task_column=column), alphas=[1.0], cv=cv)
    path = make_task_pipeline(StandardScaler(), search).fit(X, y)
    assert path[-1].feature_names_in_.tolist() == ["place", "x0", "x1", "x2"]


def test_displays_name_the_features(data):
    features, labels, y, _ = data
    X = frame_of(features, labels, 0, pd.DataFrame)
    model = make_task_pipeline(StandardScaler(), MeanRegularizedRegressor(task_column="place"))
    model.fit(X, y)
    display = CoefficientShrinkageDisplay.from_estimator(model, X, y, features="x1")
    assert display.ax_.get_ylabel() == "coefficient of x1"
    plt.close("all")
    with pytest.raises(ValueError, match=r"Did you mean 'x1'\?"):
        CoefficientShrinkageDisplay.from_estimator(model, X, y, features="scaled__x1")


@pytest.mark.parametrize("index", [None, "shuffled", "equal"])
def test_rows_stay_in_order_whatever_the_index(data, index):
    features, labels, y, expected = data
    X = frame_of(features, labels, 0, pd.DataFrame)
    if index is not None:
        order = np.random.default_rng(0).permutation(len(X))
        X.index = order if index == "shuffled" else np.zeros(len(X), dtype=int)
    model = make_task_pipeline(
        StandardScaler(), PCA(2), MeanRegularizedRegressor(task_column="place")
    )
    np.testing.assert_allclose(model.fit(X, y).predict(X), expected)


def test_labels_keep_their_type(data):
    features, labels, y, _ = data
    X = frame_of(features, pd.Categorical(labels, ["west", "north", "south", "east"]), 0, dict)
    X = pd.DataFrame(X)
    model = make_task_pipeline(StandardScaler(), MeanRegularizedRegressor(task_column="place"))
    assert model.fit(X, y)[:-1].transform(X)["place"].dtype == X["place"].dtype


@pytest.mark.parametrize(
    "transformer",
    [FunctionTransformer(np.abs), FunctionTransformer(lambda Z: np.column_stack([Z, Z]))],
    ids=["one to one", "more"],
)
@pytest.mark.parametrize("fitted_on", ["frame", "array"])
def test_features_without_names(data, transformer, fitted_on):
    """A transformer that does not name its output, or X that has no names."""
    features, labels, y, _ = data
    X = frame_of(features, labels, 0, pd.DataFrame)
    X = X if fitted_on == "frame" else X.to_numpy()
    model = make_task_pipeline(transformer, MeanRegularizedRegressor(task_column=0)).fit(X, y)
    if fitted_on == "array":
        assert not hasattr(model[-1], "feature_names_in_")
    else:  # a frame keeps the type of the labels
        assert model[-1].feature_names_in_.tolist()[1:3] == ["x1", "x2"]
        order = sorted(set(labels), reverse=True)
        X.isetitem(0, pd.Categorical(labels, order, ordered=True))
        assert model.fit(X, y)[-1].tasks_.tolist() == order
    assert model.predict(X).shape == y.shape


def test_labels_only(data):
    _, labels, y, _ = data
    X = pd.DataFrame({"place": labels})
    expected = MeanRegularizedRegressor(task_column="place").fit(X, y).predict(X)
    for form, column in ((X, "place"), (pl.from_pandas(X), "place"), (X.to_numpy(), 0)):
        model = make_task_pipeline(StandardScaler(), MeanRegularizedRegressor(task_column=column))
        np.testing.assert_allclose(model.fit(form, y).predict(form), expected)


def test_a_name_that_is_not_found(data):
    features, labels, y, _ = data
    X = frame_of(features, labels, 0, pd.DataFrame)
    model = make_task_pipeline(StandardScaler(), MeanRegularizedRegressor(task_column="Place"))
    with pytest.raises(ValueError, match=r"Did you mean 'place'\?"):
        model.fit(X, y)
    for array in (X.to_numpy(), X.to_numpy().tolist()):
        with pytest.raises(ValueError, match=r"is a name, and X is an array"):
            model.fit(array, y)
