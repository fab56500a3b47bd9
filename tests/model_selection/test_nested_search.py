"""Folds, scores, searches and pipelines with several task columns."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.preprocessing import StandardScaler

from skmtl import (
    GraphRegularizedRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    TaskMoments,
)
from skmtl.fitting import solve
from skmtl.inspection import coef_table, sharing_report
from skmtl.metrics import make_task_scorer, task_scores
from skmtl.model_selection import RegularizationPathCV, TaskKFold, _warm_search
from skmtl.pipeline import make_task_pipeline
from tests.model_selection._searches import assert_same_search, grid_search

pd = pytest.importorskip("pandas")

COLUMNS = ["region", "store"]
ALPHAS = [
    1.0,
    {"region": 1.0, "store": 10.0},
    {"region": np.inf, "store": 3.0},
    {"region": 3.0, "store": np.inf},
]


def rows(seed=0):
    """Return a frame of features with labels between them, and a target; stores repeat."""
    rng = np.random.default_rng(seed)
    labels = [(f"r{r}", s) for r in range(4) for s in range(1 + r % 3) for _ in range(12)]
    frame = pd.DataFrame(labels, columns=COLUMNS).sample(frac=1.0, random_state=seed)
    frame = frame.reset_index(drop=True)
    frame["a"], frame["b"] = rng.normal(size=(2, len(frame))) * [[1.0], [5.0]] + 2.0
    effect = rng.normal(size=4)[frame["region"].str[1].astype(int)]
    y = effect * frame["a"] + 0.2 * frame["b"] + rng.normal(size=len(frame))
    return frame[["a", "store", "b", "region"]], y


def joint(X):
    """Return X with one column of labels in the place of two; these sort alike."""
    labels = X["region"] + "-" + X["store"].astype(str)
    return X.drop(columns=COLUMNS).assign(label=labels)


def model(alpha=2.0, **parameters):
    return MeanRegularizedRegressor(alpha=alpha, task_column=COLUMNS, **parameters)


@pytest.mark.parametrize("shuffle", [False, True])
def test_folds_are_those_of_the_innermost_tasks(shuffle):
    X, y = rows()
    given = {"shuffle": True, "random_state": 3} if shuffle else {}
    both = TaskKFold(3, task_column=COLUMNS, **given).split(X, y)
    one = TaskKFold(3, task_column="label", **given).split(joint(X), y)
    for found, expected in zip(both, one, strict=True):
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


def test_scores_take_labels_of_several_columns():
    X, y = rows()
    predicted = model().fit(X, y).predict(X)
    expected = task_scores(y, predicted, joint(X)["label"])
    labels = list(zip(X["region"], X["store"], strict=True))
    polars = pytest.importorskip("polars").from_pandas(X[COLUMNS])
    for tasks in (labels, X[COLUMNS].to_numpy(), X[COLUMNS], polars):
        found = task_scores(y, predicted, tasks)
        n_tasks = len(set(labels))
        assert found.index.tolist()[:n_tasks] == sorted(set(labels))
        np.testing.assert_allclose(found.to_numpy(), expected.to_numpy())


@pytest.mark.parametrize("average", ["macro", "worst"])
def test_scorers_and_searches_of_scikit_learn(average):
    X, y = rows()
    scorer = make_task_scorer("neg_mean_squared_error", task_column=COLUMNS, average=average)
    folds = list(TaskKFold(3, task_column=COLUMNS).split(X, y))
    found = cross_validate(model(), X, y, cv=folds, scoring=scorer)["test_score"]
    for score, (train, test) in zip(found, folds, strict=True):
        fitted = clone(model()).fit(X.iloc[train], y.iloc[train])
        errors = pd.Series((y - fitted.predict(X)) ** 2)[test]
        means = -errors.groupby(joint(X)["label"][test]).mean()
        assert score == pytest.approx(means.min() if average == "worst" else means.mean())
    search = GridSearchCV(model(), {"alpha": ALPHAS}, cv=folds, scoring=scorer).fit(X, y)
    best = clone(model()).set_params(**search.best_params_).fit(X, y)
    np.testing.assert_array_equal(search.predict(X), best.predict(X))


def test_path_over_weights_of_columns_is_that_of_single_fits():
    X, y = rows()
    cv = TaskKFold(3, task_column=COLUMNS)
    grid = {"alpha_intercept": [1.0, {"region": 1.0, "store": 4.0}]}
    options = {"cv": cv, "scoring": "neg_mean_squared_error"}
    search = RegularizationPathCV(model(), ALPHAS, param_grid=grid, **options).fit(X, y)
    expected = GridSearchCV(model(tol=1e-10), {"alpha": ALPHAS, **grid}, **options).fit(X, y)
    assert search.cv_results_["params"] == expected.cv_results_["params"]
    scores = [own.cv_results_["mean_test_score"] for own in (search, expected)]
    np.testing.assert_allclose(*scores, rtol=1e-8)
    assert search.best_params_ == expected.best_params_
    assert search.task_scores_.shape == (8, 3, 7)
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))


def many_rows(columns, seed=1):
    """Return thirty rows for each store, so that moments are fewer numbers, and weights."""
    rng = np.random.default_rng(seed)
    labels = [(c, f"r{r}", s) for c in range(2) for r in range(1 + c) for s in range(3 + r)]
    frame = pd.DataFrame(labels * 30, columns=["country", *COLUMNS])
    code = frame.groupby(["country", *COLUMNS]).ngroup().to_numpy()
    frame = frame[columns]
    frame["a"], frame["b"] = rng.normal(size=(2, len(frame))) * [[1.0], [40.0]] + [[0.0], [900.0]]
    slope = rng.normal(size=code.max() + 1)[code]
    y = (
        100.0
        + slope * frame["a"] * (1 + 0.02 * (frame["b"] - 900))
        + code
        + rng.normal(size=len(frame))
    )
    return frame, y, rng.uniform(0.5, 2.0, len(frame))


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"task_weight": "balanced"},
        {"fit_intercept": False},
        {"penalty_factor": {"a": np.inf, "b": 0.3}},
        {"task_column": ["country", *COLUMNS]},
        {"task_column": "store"},  # an alpha for each of its labels
    ],
    ids=str,
)
def test_path_of_many_rows_fits_their_moments(parameters, monkeypatch):
    columns = parameters.get("task_column", COLUMNS)
    X, y, weight = many_rows([columns] if isinstance(columns, str) else columns)
    alphas = [dict.fromkeys(columns, 3.0), {c: 1e5 * k for k, c in enumerate(columns, 1)}]
    if columns == "store":
        alphas = [dict.fromkeys(range(4), 2.0), {0: 0.1, 1: 1e5, 2: 0.0, 3: np.inf}]
    cv, sizes = TaskKFold(3, task_column=columns), []
    model = MeanRegularizedRegressor(**{"task_column": columns} | parameters)
    expected = grid_search(model, alphas, X, y, cv, sample_weight=weight)

    def sized(spec, posed, **options):
        sizes.append(posed.problem.data.n_rows)
        return solve(spec, posed, **options)

    monkeypatch.setattr(_warm_search, "solve", sized)
    search = RegularizationPathCV(model, alphas, cv=cv).fit(X, y, weight)
    assert sizes == [4 * len(expected.best_estimator_.tasks_)] * 3  # d + 2 rows for each
    assert_same_search(search, expected, X, rtol=1e-9)


@pytest.mark.parametrize("scoring", [None, "neg_mean_squared_error", "neg_median_absolute_error"])
@pytest.mark.parametrize("kind", [GraphRegularizedRegressor, MeanRegularizedRegressor])
def test_path_of_moments_of_columns_with_missing_targets(kind, scoring):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(90, 2)) + 3.0, rng.normal(size=(90, 4)) + np.arange(4)
    Y[rng.random(Y.shape) < 0.2] = np.nan
    cv = TaskKFold(3)
    search = RegularizationPathCV(kind(), [0.1, 10.0, 1e3], cv=cv, scoring=scoring).fit(X, Y)
    assert search.best_estimator_.predict(X).shape == Y.shape
    for number, (train, test) in enumerate(cv.split(X, Y)):
        for c, alpha in enumerate(search.alphas_):
            fitted = kind(alpha=alpha).fit(X[train], Y[train])
            errors = np.nanmean((Y[test] - fitted.predict(X[test])) ** 2, axis=0)
            np.testing.assert_allclose(search.task_scores_[c, number], -errors, rtol=1e-9)


def test_grid_of_the_data_is_that_of_the_innermost_tasks():
    X, y = rows()
    both = RegularizationPathCV(model(), 5, cv=3).fit(X, y)
    one = MeanRegularizedRegressor(task_column="label")
    one = RegularizationPathCV(one, 5, cv=3).fit(joint(X), y)
    np.testing.assert_allclose(both.alphas_, one.alphas_)
    assert both.best_estimator_.alpha_ == dict.fromkeys(COLUMNS, both.best_params_["alpha"])
    # With alpha inf of the regions, the model is that of one column.
    alphas = [{"region": np.inf, "store": alpha} for alpha in one.alphas_]
    given = {"alpha_intercept": {"region": np.inf, "store": 1.0}}
    flat = RegularizationPathCV(model(**given), alphas, cv=3).fit(X, y)
    scores = [own.cv_results_["mean_test_score"] for own in (flat, one)]
    np.testing.assert_allclose(*scores, rtol=1e-6)


def test_path_of_moments_is_that_of_rows():
    X, y = rows()
    splits = list(TaskKFold(3, task_column=COLUMNS).split(X, y))
    parts = [
        TaskMoments.from_data(X.iloc[test], y.iloc[test], task_column=COLUMNS) for _, test in splits
    ]
    found = RegularizationPathCV(model(), ALPHAS).fit_moments(parts)
    expected = RegularizationPathCV(model(), ALPHAS, cv=splits).fit(X, y)
    scores = [own.cv_results_["mean_test_score"] for own in (found, expected)]
    np.testing.assert_allclose(*scores, rtol=1e-7)
    assert found.best_params_ == expected.best_params_
    np.testing.assert_allclose(found.predict(X), expected.predict(X), atol=1e-8)


def test_moments_of_a_tuple_of_columns_are_those_of_a_list():
    X, y = rows()
    parts = [
        TaskMoments.from_data(X[::2], y[::2], task_column=COLUMNS),
        TaskMoments.from_data(X[1::2], y[1::2], task_column=tuple(COLUMNS)),
    ]
    found, expected = model().fit_moments(parts[0] + parts[1]), model().fit(X, y)
    np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-9)
    found = model().set_params(task_column=tuple(COLUMNS)).fit_moments(sum(parts))
    np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-9)


def test_weights_of_columns_that_are_wrong():
    X, y = rows()
    with pytest.raises(ValueError, match="task_column has the columns 'region', 'store'"):
        RegularizationPathCV(model(), [{"region": 1.0}], cv=3).fit(X, y)
    with pytest.raises(
        ValueError, match=r"alpha\['store'\] must be a number in \[0, inf\], got -1"
    ):
        RegularizationPathCV(model(), [{"region": 1.0, "store": -1.0}], cv=3).fit(X, y)
    wrong = [{"region": 1.0, "store": "auto"}, {"region": 1.0, "store": 2.0}]
    for regressor, target in ((True, y), (False, y > np.median(y))):
        kind = MeanRegularizedRegressor if regressor else MeanRegularizedClassifier
        with pytest.raises(ValueError, match=r"alpha\['store'\] is 'auto'"):
            RegularizationPathCV(kind(task_column=COLUMNS), wrong, cv=3).fit(X, target)
        with pytest.raises(ValueError, match="a list of numbers and dicts"):
            RegularizationPathCV(kind(task_column=COLUMNS), ["auto", *wrong], cv=3).fit(X, target)
        with pytest.raises(ValueError, match="is a dict of"):
            RegularizationPathCV(kind(task_column=COLUMNS), [{}], cv=3).fit(X, target)
    with pytest.raises(ValueError, match="alphas has dicts, which have no order"):
        RegularizationPathCV(model(), ALPHAS, cv=3, one_standard_error=True).fit(X, y)


def scaled(X):
    """Return X with standardized features."""
    return X.assign(**{name: (X[name] - X[name].mean()) / X[name].std(ddof=0) for name in "ab"})


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("output", ["default", "pandas", "polars"])
def test_pipeline_scales_features_only(library, output):
    pl = pytest.importorskip("polars")
    X, y = rows()
    expected = model(ALPHAS[1]).fit(scaled(X), y)
    given = X if library == "pandas" else pl.from_pandas(X)
    pipeline = make_task_pipeline(StandardScaler(), model(ALPHAS[1]))
    pipeline = clone(pipeline).set_output(transform=output).fit(given, y.to_numpy())
    np.testing.assert_allclose(pipeline.predict(given), expected.predict(scaled(X)), atol=1e-9)
    assert pipeline[-1].feature_names_in_.tolist() == [*COLUMNS, "a", "b"]
    assert pipeline[:-1].get_feature_names_out().tolist() == [*COLUMNS, "a", "b"]
    assert pipeline[-1].tasks_.tolist() == expected.tasks_.tolist()
    again = pickle.loads(pickle.dumps(pipeline))
    np.testing.assert_array_equal(again.predict(given), pipeline.predict(given))
    found, table = coef_table(pipeline), coef_table(expected)
    pd.testing.assert_frame_equal(found, table, check_exact=False)


def test_pipeline_of_an_array_has_its_labels_first():
    X, y = rows()
    expected = model(ALPHAS[1]).fit(scaled(X), y).predict(scaled(X))
    last = MeanRegularizedRegressor(alpha={0: 1.0, 1: 10.0}, task_column=[-1, 1])
    numbers = X.assign(region=X["region"].str[1].astype(float)).to_numpy(dtype=float)
    for given in (numbers, X.to_numpy(dtype=object)):
        pipeline = make_task_pipeline(StandardScaler(), last).fit(given, y)
        np.testing.assert_allclose(pipeline.predict(given), expected, atol=1e-9)
        assert pipeline[:-1].get_feature_names_out().tolist() == ["x3", "x1", "x0", "x2"]


def test_pipeline_of_text_stays_sparse():
    X, y = rows()
    rng = np.random.default_rng(0)
    text = X[COLUMNS].assign(text=rng.choice(["a cat", "the dog", "the dog sat"], len(X)))
    label = y > y.median()
    last = MeanRegularizedClassifier(alpha=ALPHAS[1], task_column=COLUMNS)
    pipeline = make_task_pipeline(TfidfVectorizer(), last).fit(text, label)
    words = TfidfVectorizer().fit(text["text"])
    names = words.get_feature_names_out().tolist()
    dense = pd.DataFrame(words.transform(text["text"]).toarray(), columns=names)
    dense = pd.concat([text[COLUMNS], dense], axis=1)
    expected = clone(last).fit(dense, label)
    found = pipeline.predict_proba(text)
    np.testing.assert_allclose(found, expected.predict_proba(dense), atol=1e-6)
    assert pipeline[:-1].get_feature_names_out().tolist() == [*COLUMNS, *names]
    pd.testing.assert_frame_equal(coef_table(pipeline), coef_table(expected), rtol=1e-4)


def test_searches_in_and_around_pipelines():
    X, y = rows()
    cv = TaskKFold(3, task_column=COLUMNS)
    inner = RegularizationPathCV(model(), ALPHAS, cv=cv)
    inside = make_task_pipeline(StandardScaler(), inner).fit(X, y)
    alone = clone(inner).fit(scaled(X), y)
    scores = [own.cv_results_["mean_test_score"] for own in (inside[-1], alone)]
    np.testing.assert_allclose(*scores, rtol=1e-7)
    pipeline = make_task_pipeline(StandardScaler(), model())
    around = GridSearchCV(pipeline, {"meanregularizedregressor__alpha": ALPHAS}, cv=cv).fit(X, y)
    best = around.best_params_["meanregularizedregressor__alpha"]
    expected = model(best).fit(scaled(X), y).predict(scaled(X))
    np.testing.assert_allclose(around.predict(X), expected, atol=1e-9)


def test_report_compares_levels():
    X, y = rows()
    folds = list(TaskKFold(3, task_column=COLUMNS).split(X, y))
    stores = model(ALPHAS[2], alpha_intercept={"region": np.inf, "store": 1.0})
    regions = model(ALPHAS[3], alpha_intercept={"region": 1.0, "store": np.inf})
    report = sharing_report(X, y, model(), cv=folds, separate=stores, pooled=regions)
    flat = MeanRegularizedRegressor(3.0, task_column="label")
    outer = MeanRegularizedRegressor(3.0, task_column="region")
    of_stores, of_regions = np.empty(len(y)), np.empty(len(y))
    for train, test in folds:
        own = joint(X)
        of_stores[test] = flat.fit(own.iloc[train], y[train]).predict(own.iloc[test])
        own = X.drop(columns="store")
        of_regions[test] = outer.fit(own.iloc[train], y[train]).predict(own.iloc[test])
    for name, predicted in (("separate", of_stores), ("pooled", of_regions)):
        expected = ((y - predicted) ** 2).groupby(joint(X)["label"]).mean()
        np.testing.assert_allclose(report[name], expected, rtol=1e-6)


@pytest.mark.parametrize("task_weight", ["balanced", "uncertainty", "minimax"])
def test_task_weights_of_regions_of_one_store_are_those_of_one_column(task_weight):
    X, y = rows()
    X, y = X[X["store"] == 0], y[X["store"] == 0]
    weights = {"region": 3.0, "store": 6.0}  # of deviations that add up to the variance 1 / 2
    both = model(weights, alpha_intercept=weights, task_weight=task_weight).fit(X, y)
    one = MeanRegularizedRegressor(
        2.0, alpha_intercept=2.0, task_column="region", task_weight=task_weight
    )
    one.fit(X.drop(columns="store"), y)
    np.testing.assert_allclose(both.task_weight_, one.task_weight_, rtol=1e-7)
    np.testing.assert_allclose(both.coef_, one.coef_, atol=1e-8)
