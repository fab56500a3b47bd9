import datetime as dt
import pickle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy.sparse import hstack, issparse
from sklearn import config_context
from sklearn.base import clone, is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import (
    CountVectorizer,
    HashingVectorizer,
    TfidfTransformer,
    TfidfVectorizer,
)
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)

from skmtl import (
    ADMMRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    SharedL2Classifier,
)
from skmtl.data import factorize, split_task_column
from skmtl.datasets import make_multitask_regression
from skmtl.inspection import CoefficientShrinkageDisplay, sharing_report
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
    start = X.index
    model = make_task_pipeline(
        StandardScaler(), PCA(2), MeanRegularizedRegressor(task_column="place")
    )
    np.testing.assert_allclose(model.fit(X, y).predict(X), expected)
    assert model[:-1].transform(X).index.equals(start)


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
        named = model[-1].n_features_in_ == 4  # np.abs of a dataframe is one
        names = ["x0", "x1", "x2"] if named else ["x1", "x2", "x3"]
        assert model[-1].feature_names_in_.tolist()[1:4] == names
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


def test_names_that_a_dataframe_cannot_have(data):
    features, labels, y, _ = data
    order = ["west", "north", "south", "east"]
    X = pd.DataFrame(frame_of(features, pd.Categorical(labels, order, ordered=True), 0, dict))
    bare = MeanRegularizedRegressor(task_column="place")
    expected = bare.fit(X, y).predict(X)
    rename = FunctionTransformer(lambda Z: Z.rename(columns={"x1": "place"}))
    model = make_task_pipeline(rename, bare).fit(X, y)
    np.testing.assert_allclose(model.predict(X), expected)
    assert model[-1].tasks_.tolist() == order
    X.columns = range(4)
    model = make_task_pipeline(FunctionTransformer(), bare.set_params(task_column=0)).fit(X, y)
    np.testing.assert_allclose(model.predict(X), expected)
    assert model[-1].tasks_.tolist() == order


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("column", ["place", 1])
def test_columns_are_those_of_fit(data, kind, column):
    features, labels, y, expected = data
    X = frame_of(features, labels, 1, kind)
    model = make_task_pipeline(
        StandardScaler(), PCA(2), MeanRegularizedRegressor(task_column=column)
    )
    model.fit(X, y)
    more = kind({"y": y, **{name: X[name] for name in ("x2", "x0", "place", "x1")}})
    np.testing.assert_allclose(model.predict(more), expected)
    with pytest.raises(ValueError, match="yet now missing:\n- x1"):
        model.predict(X[["x0", "place", "x2"]])


def test_output_of_the_transformers_decides_the_dataframe(data):
    features, labels, y, expected = data
    X = frame_of(features, labels, 1, pl.DataFrame)
    model = make_task_pipeline(
        StandardScaler(), PCA(2), MeanRegularizedRegressor(task_column="place")
    )
    with config_context(transform_output="pandas"):
        Z = model.fit(X, y)[:-1].transform(X)
        assert isinstance(Z, pd.DataFrame)
        np.testing.assert_allclose(model.predict(X), expected)
    array = make_task_pipeline(
        StandardScaler(), PCA(2), MeanRegularizedRegressor(task_column=1)
    ).set_output(transform="polars")
    Z = array.fit(X.to_numpy(), y)[:-1].transform(X.to_numpy())
    assert isinstance(Z, pl.DataFrame)
    assert Z.columns == ["x1", "pca0", "pca1"]
    np.testing.assert_allclose(array.predict(X.to_numpy()), expected)


def test_metadata_goes_to_the_transformers(data):
    features, labels, y, _ = data
    X, weight = frame_of(features, labels, 0, pd.DataFrame), np.arange(len(y)) % 3
    with config_context(enable_metadata_routing=True):
        model = make_task_pipeline(
            StandardScaler().set_fit_request(sample_weight=True),
            MeanRegularizedRegressor(task_column="place").set_fit_request(sample_weight=True),
        )
        model.fit(X, y, sample_weight=weight)
    scaler = StandardScaler().fit(features, sample_weight=weight)
    np.testing.assert_allclose(model[0].remainder_[0].mean_, scaler.mean_)
    long = X.assign(**dict(zip(("x0", "x1", "x2"), scaler.transform(features).T, strict=True)))
    bare = MeanRegularizedRegressor(task_column="place").fit(long, y, weight)
    np.testing.assert_allclose(model.predict(X), bare.predict(long))


def test_a_fit_that_fails_is_no_fit(data):
    features, labels, y, _ = data
    X = frame_of(features, labels, 0, pd.DataFrame).assign(x1="text")
    model = make_task_pipeline(StandardScaler(), MeanRegularizedRegressor(task_column="place"))
    with pytest.raises(ValueError, match="could not convert"):
        model.fit(X, y)
    with pytest.raises(NotFittedError):
        model[0].transform(X)
    with pytest.raises(TypeError, match=r"is a LazyFrame.*Pass X\.collect\(\)"):
        model.fit(pl.from_pandas(X).lazy(), y)


def test_transformers_that_lose_the_task_column(data):
    features, labels, y, _ = data
    X = frame_of(features, labels, 0, pd.DataFrame)
    model = MeanRegularizedRegressor(task_column="place")
    arrays = make_pipeline(ColumnTransformer([("scaler", StandardScaler(), ["x0"])]), model)
    message = r"is a name, and X is an array without column names\. .* make_task_pipeline\("
    with pytest.raises(ValueError, match=message):
        arrays.fit(X, y)
    message = (
        r"is not a column of X\. X has the columns 'scaler__x0'\. .*drops columns that it does not "
        r"name.* make_task_pipeline\(.*remainder='passthrough'"
    )
    with pytest.raises(ValueError, match=message):
        arrays.set_output(transform="pandas").fit(X, y)


# Sparse features --------------------------------------------------------------------------------

TEXT = ["good film", "bad film", "good old book", "a bad book", "fine", "poor plot"] * 4
DOMAINS = {
    "strings": ["film", "film", "book", "book", "toy", "toy"] * 4,
    "integers": [7, 7, -3, -3, 10**17, 10**17 + 1] * 4,
    "dates": [dt.date(2024, 1, day) for day in (3, 3, 1, 1, 2, 2)] * 4,
    "categories": pd.Categorical(list("aabbcc") * 4, list("cab"), ordered=True),
}


def domains(kind, container):
    """Return X with the columns domain and text, and the distinct labels in their order."""
    labels = DOMAINS[kind]
    order = list("cab") if kind == "categories" else sorted(set(labels))
    if container == "array":
        return np.array([list(labels), TEXT], dtype=object).T, sorted(order)
    if container == "polars":
        column = pl.Series(list(labels), dtype=pl.Enum(order) if kind == "categories" else None)
        return pl.DataFrame({"domain": column, "text": TEXT}), order
    return pd.DataFrame({"text": TEXT, "domain": labels}), order


@pytest.mark.parametrize("container", ["pandas", "polars", "array"])
@pytest.mark.parametrize("kind", DOMAINS)
def test_text_stays_sparse(kind, container):
    X, order = domains(kind, container)
    column = 0 if container == "array" else "domain"
    model = make_task_pipeline(TfidfVectorizer(), MeanRegularizedClassifier(task_column=column))
    out = model[:-1].fit_transform(X)
    labels, features = split_task_column(out, 0)
    expected = TfidfVectorizer().fit_transform(TEXT)
    assert features.format == "csr"
    assert abs(features - expected).max() < 1e-14
    tasks, codes = factorize(labels, "domain")
    assert tasks.tolist() == order
    assert [order[code] for code in codes] == list(DOMAINS[kind])
    again = model[:-1].transform(X)
    assert abs(split_task_column(again, 0)[1] - expected).max() < 1e-14
    names = model[:-1].get_feature_names_out()
    assert names[0] == ("x0" if container == "array" else "domain")
    assert names[1:].tolist() == sorted(set(" ".join(TEXT).split()) - {"a"})


TOKENS = [text.split() for text in TEXT]
READERS = {
    "words": (TfidfVectorizer(), TEXT),
    "hashes": (make_pipeline(HashingVectorizer(n_features=64), TfidfTransformer()), TEXT),
    "union": (
        FeatureUnion([("w", CountVectorizer()), ("c", CountVectorizer(analyzer="char"))]),
        TEXT,
    ),
    "tokens": (FeatureHasher(32, input_type="string"), TOKENS),
    "dicts": (DictVectorizer(), [dict.fromkeys(words, 1) for words in TOKENS]),
}


@pytest.mark.filterwarnings("ignore:This Pipeline instance is not fitted:FutureWarning")
@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize("name", READERS)
def test_transformers_that_read_one_column(name, kind):
    transformer, column = READERS[name]
    if name == "dicts" and kind is not pd.DataFrame:
        pytest.skip("a column of structs has the keys of all rows")
    X = kind({"domain": DOMAINS["strings"], "column": column})
    model = make_task_pipeline(transformer, MeanRegularizedClassifier(task_column="domain"))
    expected = clone(transformer).fit_transform(column)
    for out in (model[:-1].fit_transform(X), model[:-1].transform(X)):
        labels, features = split_task_column(out, 0)
        tasks, codes = factorize(labels, 0)
        assert tasks[codes].tolist() == DOMAINS["strings"]
        assert abs(features - expected).max() < 1e-14


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_transformers_of_tables_stay_sparse(kind):
    X = kind(
        {"domain": DOMAINS["strings"], "text": TEXT, "n": list(range(24)), "m": list("ab") * 12}
    )
    columns = ColumnTransformer(
        [
            ("text", TfidfVectorizer(), "text"),
            ("kind", OneHotEncoder(), ["m"]),
            ("n", StandardScaler(), ["n"]),
        ],
        sparse_threshold=1.0,
    )
    model = make_task_pipeline(columns, MeanRegularizedClassifier(task_column="domain"))
    _, features = split_task_column(model[:-1].fit_transform(X), 0)
    expected = clone(columns).fit_transform(X)
    assert features.format == "csr"
    assert abs(features - expected).max() < 1e-14
    names = model[:-1].get_feature_names_out().tolist()
    assert (names[0], names[-1]) == ("domain", "n__n")


def test_text_made_dense_has_names():
    X, _ = domains("categories", "pandas")
    text = make_pipeline(TfidfVectorizer(), TruncatedSVD(2, random_state=0))
    model = make_task_pipeline(text, MeanRegularizedRegressor(task_column="domain"))
    Z = model.fit(X, np.arange(24.0))[:-1].transform(X)
    assert Z.columns.tolist() == ["domain", "truncatedsvd0", "truncatedsvd1"]
    assert Z["domain"].dtype == X["domain"].dtype
    np.testing.assert_allclose(Z.iloc[:, 1:], clone(text).fit_transform(TEXT))


def test_text_in_several_columns():
    X = pd.DataFrame({"domain": DOMAINS["strings"], "title": TEXT, "text": TEXT})
    model = make_task_pipeline(TfidfVectorizer(), MeanRegularizedRegressor(task_column="domain"))
    with pytest.raises(
        ValueError, match=r"TfidfVectorizer reads one column.*X has 'title', 'text'.*ColumnTransf"
    ):
        model.fit(X, np.arange(24.0))
    with pytest.raises(ValueError, match="X has none"):
        model.fit(X[["domain"]], np.arange(24.0))
    model = make_task_pipeline(TfidfVectorizer(), MeanRegularizedRegressor(task_column=0))
    with pytest.raises(ValueError, match="X has 2 columns"):
        model.fit(X.to_numpy(), np.arange(24.0))


# Sparse features in the models ------------------------------------------------------------------


@pytest.fixture
def reviews():
    """Text of three domains, its features in a dense dataframe, classes and numbers."""
    rng = np.random.default_rng(0)
    text = [" ".join(rng.choice([f"w{j:02}" for j in range(60)], 12)) for _ in range(150)]
    X = pd.DataFrame({"domain": rng.choice(["film", "book", "toy"], 150), "text": text})
    Z = TfidfVectorizer().fit_transform(text).toarray()
    dense = pd.DataFrame(Z, columns=[f"w{j:02}" for j in range(60)])
    dense.insert(0, "domain", X["domain"])
    score = Z @ rng.normal(size=60) + rng.normal(size=150)
    return X, dense, (score > np.median(score)).astype(int), score


MODELS = {
    "classifier": MeanRegularizedClassifier(0.3, task_column="domain"),
    "separate": SharedL2Classifier(0.3, task_column="domain"),
    "regressor": MeanRegularizedRegressor(0.3, task_column="domain"),
    "auto": MeanRegularizedRegressor("auto", task_column="domain"),
    "l21": ADMMRegressor("l21", 0.5, task_column="domain"),
}


@pytest.mark.parametrize("container", [pd.DataFrame, pl.from_pandas])
@pytest.mark.parametrize("name", MODELS)
def test_models_of_text_are_those_of_dense_features(reviews, name, container):
    X, dense, classes, numbers = reviews
    bare = MODELS[name]
    y, method = (classes, "predict_proba") if is_classifier(bare) else (numbers, "predict")
    expected = clone(bare).fit(dense, y)
    X = container(X)
    model = make_task_pipeline(TfidfVectorizer(), bare).fit(X, y)
    assert model[-1].tasks_.tolist() == ["book", "film", "toy"]
    np.testing.assert_allclose(model[-1].coef_, expected.coef_, rtol=1e-7, atol=1e-9)
    close = {"rtol": 1e-7, "atol": 1e-9}
    found = getattr(model, method)(X)
    np.testing.assert_allclose(found, getattr(expected, method)(dense), **close)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(getattr(copy, method)(X), found)


@pytest.mark.parametrize("name", ["classifier", "regressor"])
def test_searches_over_text(reviews, name):
    X, dense, classes, numbers = reviews
    bare, cv = MODELS[name], TaskKFold(3, task_column="domain")
    y = classes if is_classifier(bare) else numbers
    scoring = "neg_log_loss" if is_classifier(bare) else "neg_mean_squared_error"
    path = RegularizationPathCV(bare, [0.1, 1.0, 3.0], cv=cv, scoring=scoring)
    search = make_task_pipeline(TfidfVectorizer(), path).fit(X, y)
    expected = clone(path).fit(dense, y)
    scores = [s.cv_results_["mean_test_score"] for s in (search[-1], expected)]
    np.testing.assert_allclose(*scores, rtol=1e-7)
    prefix = "columntransformer__remainder__tfidfvectorizer__"
    grid = GridSearchCV(
        make_task_pipeline(TfidfVectorizer(), bare),
        {f"{prefix}min_df": [1, 20], f"{type(bare).__name__.lower()}__alpha": [0.1, 1.0]},
        cv=cv,
        scoring=make_task_scorer("accuracy" if is_classifier(bare) else "r2", task_column="domain"),
        error_score="raise",
    ).fit(X, y)
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()
    assert np.shape(grid.predict(X)) == np.shape(y)


def test_inspection_of_text(reviews):
    X, dense, y, _ = reviews
    bare = MODELS["classifier"]
    model = make_task_pipeline(TfidfVectorizer(), bare).fit(X, y)
    words = CountVectorizer().fit(X["text"])
    counts = pd.DataFrame(words.transform(X["text"]).toarray(), columns=dense.columns[1:])
    counts.insert(0, "domain", X["domain"])
    found = sharing_report(X, y, make_task_pipeline(clone(words), bare), cv=3)
    pd.testing.assert_frame_equal(found, sharing_report(counts, y, bare, cv=3), rtol=1e-6)
    draw = CoefficientShrinkageDisplay.from_estimator
    text = draw(model, X, y, features=["w07", "intercept"])
    same = draw(clone(bare).fit(dense, y), dense, y, features=["w07", "intercept"])
    assert text.names == same.names
    np.testing.assert_allclose(text.own, same.own, rtol=1e-6)
    np.testing.assert_allclose(text.shared, same.shared, rtol=1e-6)
    np.testing.assert_allclose(text.center, same.center, rtol=1e-6)
    plt.close("all")


@pytest.mark.parametrize("threshold", [0.3, 1.0])
def test_labels_in_a_sparse_output_of_scikit_learn(reviews, threshold):
    X, dense, y, _ = reviews
    encoder, steps = OrdinalEncoder(), [("text", TfidfVectorizer(), "text")]
    columns = ColumnTransformer([("task", encoder, ["domain"]), *steps], sparse_threshold=threshold)
    model = Pipeline([("columns", columns), ("model", clone(MODELS["classifier"]))])
    model.set_params(model__task_column=0).fit(X, y)
    assert issparse(model[:-1].transform(X))
    assert model[-1].tasks_.tolist() == [0, 1, 2]  # 0 is implicit
    expected = clone(MODELS["classifier"]).fit(dense, y)
    np.testing.assert_allclose(model.predict_proba(X), expected.predict_proba(dense), rtol=1e-7)
    scaled = make_pipeline(encoder, StandardScaler())
    with pytest.raises(ValueError, match="labels cannot be floats with a fraction"):
        model.set_params(columns__task=scaled).fit(X, y)


def test_sparse_features_in(reviews):
    """Labels and features in one sparse matrix."""
    X, _, y, _ = reviews
    labels = OrdinalEncoder().fit_transform(X[["domain"]]) - 1
    S = hstack([TfidfVectorizer().fit_transform(X["text"]), labels]).tocsr()
    bare = MeanRegularizedClassifier(0.3, task_column=-1)
    model = make_task_pipeline(MaxAbsScaler(), bare).fit(S, y)
    dense = make_task_pipeline(MaxAbsScaler(), bare).fit(S.toarray(), y)
    assert model[-1].tasks_.tolist() == [-1, 0, 1]
    close = {"rtol": 1e-7}
    np.testing.assert_allclose(model.predict_proba(S), dense.predict_proba(S.toarray()), **close)
    reduced = make_task_pipeline(TruncatedSVD(4, random_state=0), bare).fit(S, y)
    assert isinstance(reduced[:-1].transform(S), np.ndarray)
    assert reduced.predict(S).shape == y.shape
