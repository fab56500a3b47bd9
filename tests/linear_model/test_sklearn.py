"""Inside scikit-learn's tools, with no metadata routing, on real data."""

import pickle
import tomllib
from email.message import Message
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV, _SigmoidCalibration
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import StackingClassifier, StackingRegressor, VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import (
    log_loss,
    make_scorer,
    mean_squared_error,
    roc_auc_score,
)
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skmtl import (
    MeanRegularizedRegressor,
    PooledClassifier,
    SharedL2Regressor,
)
from skmtl.datasets import load_radon
from skmtl.metrics import make_task_scorer, task_scores
from skmtl.model_selection import RegularizationPathCV, TaskKFold
from skmtl.penalties import L21
from skmtl.pipeline import make_task_pipeline
from tests._problems import kinds

ALPHAS = [0.1, 1.0, 5.0, 100.0]
# Some counties have no house above the threshold.
pytestmark = pytest.mark.filterwarnings("ignore:Only one class was seen in task:UserWarning")


class Data(NamedTuple):
    """Rows of tasks with at least five each, in random order; K classes or None."""

    X: object
    y: np.ndarray
    column: object
    K: int | None

    def take(self, rows):
        X = self.X.iloc[rows] if hasattr(self.X, "iloc") else self.X[rows]
        return X, self.y[rows]

    @property
    def tasks(self):
        by_name = isinstance(self.column, str)
        return np.asarray(self.X[self.column] if by_name else self.X[:, self.column])

    def folds(self, n_splits):
        return TaskKFold(n_splits, task_column=self.column)

    def model(self, alpha=5.0, kind=2):
        params = {} if kind == 1 else {"handle_unknown": "shared"}
        return kinds(self.K)[kind](alpha, task_column=self.column, **params)

    @property
    def method(self):
        return "predict" if self.K is None else "predict_proba"


def radon(as_frame, K=None):
    """Radon; classes are houses above and below 4 pCi/L."""
    X, y = load_radon(return_X_y=True, as_frame=as_frame)
    labels = X["county"] if as_frame else X[:, 0]
    _, codes, counts = np.unique(np.asarray(labels, str), return_inverse=True, return_counts=True)
    rows = np.random.default_rng(0).permutation(np.flatnonzero(counts[codes] >= 5))
    X = X.iloc[rows].reset_index(drop=True) if as_frame else X[rows]
    y = np.asarray(y)[rows]
    return Data(X, y if K is None else y > np.log(4), "county" if as_frame else 0, K)


def digits(n=240):
    """Digits as strings, written by three made-up persons with habits of their own."""
    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(1)
    rows = rng.permutation(len(y))[:n]
    task = rng.integers(0, 3, n)
    X = X[rows][:, 18:38] * (1 + 0.3 * task[:, None])
    return Data(np.column_stack([task, X]), np.array([f"d{k % 3}" for k in y[rows]]), 0, 3)


def exam_scores(school):
    rows = np.random.default_rng(0).permutation(len(school.y))[:4000]
    return Data(school.X[rows, :-1].astype(float), school.y[rows], 0, None)


MADE = {
    "radon": lambda: radon(True),
    "radon arrays": lambda: radon(False),
    "high radon": lambda: radon(True, 2),
    "high radon arrays": lambda: radon(False, 2),
    "digits": digits,
}


@pytest.fixture(scope="module", params=["school", *MADE])
def data(request):
    if request.param == "school":
        return exam_scores(request.getfixturevalue("school"))
    return MADE[request.param]()


TARGETS = ["school", "radon", "radon arrays"]
CLASSES = ["high radon", "high radon arrays", "digits"]
regression = pytest.mark.parametrize("data", TARGETS, indirect=True)
classification = pytest.mark.parametrize("data", CLASSES, indirect=True)


@pytest.fixture(scope="module")
def binary():
    return radon(True, 2)


# Folds and searches -----------------------------------------------------------------------------


def test_cross_val_predict_is_a_loop(data):
    cv, model = data.folds(3 if data.K else 4), data.model()
    methods = ("predict", "predict_proba", "decision_function") if data.K else ("predict",)
    for method in methods:
        found = cross_val_predict(model, data.X, data.y, cv=cv, method=method)
        expected = np.empty_like(found)
        for train, test in cv.split(data.X):
            fitted = clone(model).fit(*data.take(train))
            expected[test] = getattr(fitted, method)(data.take(test)[0])
        assert len(np.unique(found)) > 1
        if data.K and method == "predict":
            assert_array_equal(found, expected)
            share = np.unique(data.y, return_counts=True)[1].max() / len(data.y)
            assert np.mean(found == data.y) > share
        else:
            assert_allclose(found, expected, rtol=1e-12)


def mean_over_tasks(metric, y, p, tasks):
    """Return the mean over tasks; where a metric needs two classes, over those that have them."""
    scores = []
    for task in sorted(set(tasks.tolist())):
        own = tasks == task
        if metric is not roc_auc_score or len(set(y[own])) == 2:
            scores.append(metric(y[own], p[own]))
    return np.mean(scores)


def negative_squares(y, p):
    return -np.mean((y - p) ** 2)


def negative_log_loss(y, p):
    return np.mean(np.where(y, np.log(p), np.log1p(-p)))


METRICS = {
    "neg_mean_squared_error": negative_squares,
    "roc_auc": roc_auc_score,
    "log_loss": negative_log_loss,
    "neg_log_loss": negative_log_loss,
}
OFTEN = ["neg_mean_squared_error", "macro neg_mean_squared_error"]
SEARCHES = [(scoring, "radon") for scoring in OFTEN]
SEARCHES += [(scoring, "high radon") for scoring in ("roc_auc", "macro log_loss")]
slow = pytest.mark.slow
SEARCHES += [
    pytest.param(scoring, name, marks=slow)
    for scoring in OFTEN
    for name in ("school", "radon arrays")
]
SEARCHES += [
    pytest.param(scoring, "high radon", marks=slow) for scoring in ("neg_log_loss", "macro roc_auc")
]


@pytest.mark.parametrize(("scoring", "name"), SEARCHES)
def test_grid_search_finds_what_a_loop_finds(scoring, name, request):
    data = exam_scores(request.getfixturevalue("school")) if name == "school" else MADE[name]()
    kind, _, metric = scoring.rpartition(" ")
    scorer, cv = scoring, data.folds(4)
    if kind == "macro":
        scorer = make_task_scorer(metric, task_column=data.column, average="macro")
    search = GridSearchCV(
        data.model(), {"alpha": ALPHAS}, scoring=scorer, cv=cv, error_score="raise"
    ).fit(data.X, data.y)
    scores = []
    for alpha in ALPHAS:
        folds = []
        for train, test in cv.split(data.X):
            model = data.model(alpha).fit(*data.take(train))
            X, y = data.take(test)
            p = model.predict_proba(X)[:, 1] if data.K else model.predict(X)
            if kind == "macro":
                folds.append(mean_over_tasks(METRICS[metric], y, p, data.tasks[test]))
            else:
                folds.append(METRICS[metric](y, p))
        scores.append(np.mean(folds))
    assert_allclose(search.cv_results_["mean_test_score"], scores, rtol=1e-10)
    assert search.best_params_["alpha"] == ALPHAS[int(np.argmax(scores))]
    assert np.ptp(scores) > (1e-3 if data.K else 0)


def test_more_classes_in_a_search():
    data = digits()
    cv = data.folds(3)
    for scoring, metric in [
        ("neg_log_loss", lambda y, p: -log_loss(y, p)),
        ("roc_auc_ovr", lambda y, p: roc_auc_score(y, p, multi_class="ovr")),
    ]:
        search = GridSearchCV(data.model(), {"alpha": [1.0, 100.0]}, scoring=scoring, cv=cv)
        search.fit(data.X, data.y)
        for alpha, found in zip([1.0, 100.0], search.cv_results_["mean_test_score"], strict=True):
            expected = []
            for train, test in cv.split(data.X):
                model = data.model(alpha).fit(*data.take(train))
                X, y = data.take(test)
                expected.append(metric(y, model.predict_proba(X)))
            assert_allclose(found, np.mean(expected), rtol=1e-10)


def test_pooled_in_a_search_is_logistic_regression(binary):
    """Without its tasks the model is scikit-learn's own, and so is every score."""
    X, y, column, _ = binary
    cv = binary.folds(4)
    plain = LogisticRegression(C=0.5, tol=1e-12, max_iter=10000)
    features = X.drop(columns=column).to_numpy(float)
    for scoring in ["roc_auc", "neg_log_loss", "average_precision", "accuracy"]:
        model = PooledClassifier(2.0, task_column=column)
        found = cross_val_score(model, X, y, cv=cv, scoring=scoring)
        expected = cross_val_score(plain, features, y, cv=list(cv.split(X)), scoring=scoring)
        assert_allclose(found, expected, rtol=1e-7)


@pytest.mark.parametrize("estimator", [MeanRegularizedRegressor, SharedL2Regressor])
def test_rows_sorted_by_task_in_plain_folds_do_not_fail_silently(estimator):
    X, y = load_radon(return_X_y=True)
    order = np.argsort(X[:, 0].astype(str), kind="stable")
    with pytest.raises(ValueError, match=r"predict got tasks '.*not seen in fit.*TaskKFold"):
        cross_val_score(estimator(task_column=0), X[order], y[order], cv=5, error_score="raise")


# Pipelines --------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["default", "pandas", "polars"])
def test_column_transformer(data, output):
    """A scaler behind a passthrough, its shorthand and scaling by hand are the same."""
    X, y, _, K = data
    scaler = ColumnTransformer(
        [("task", "passthrough", [0]), ("scale", StandardScaler(), [*range(1, X.shape[1])])],
    ).set_output(transform=output)
    first = data._replace(column=0)
    pipeline, cv = make_pipeline(scaler, first.model()), data.folds(3 if K else 4)
    found = cross_val_predict(pipeline, X, y, cv=cv, method=data.method)
    shorthand = make_task_pipeline(StandardScaler(), data.model())
    expected = cross_val_predict(shorthand, X, y, cv=cv, method=data.method)
    close = {"rtol": 1e-8, "atol": 1e-12} if K else {"rtol": 1e-10}
    assert_allclose(found, expected, **close)
    features = np.asarray(X)[:, 1:].astype(float)
    spread = np.where(np.ptp(features, axis=0) > 0, features.std(axis=0), 1.0)
    Z = (features - features.mean(axis=0)) / spread
    by_hand = np.column_stack([data.tasks.astype(object), Z])
    found = getattr(pipeline.fit(X, y), data.method)(X)
    expected = getattr(first.model().fit(by_hand, y), data.method)(by_hand)
    close = {"rtol": 1e-6, "atol": 1e-9} if K else {"rtol": 1e-8}
    assert_allclose(found, expected, **close)
    if K:
        assert_array_equal(pipeline.classes_, np.unique(y))


@pytest.mark.parametrize("transformer", [StandardScaler(), PCA(2)], ids=repr)
def test_a_swallowed_task_column_is_noticed(transformer):
    X, y = load_radon(return_X_y=True)
    X[:, 0] = np.unique(X[:, 0].astype(str), return_inverse=True)[1]
    mean = MeanRegularizedRegressor(5.0, task_column=0, handle_unknown="shared")
    model = make_pipeline(transformer, mean)
    with pytest.raises(ValueError, match=r"labels cannot be floats with a fraction.*scaler, PCA"):
        cross_val_score(model, X.astype(float), y, error_score="raise")
    harmless = make_pipeline(FunctionTransformer(), mean)
    assert np.isfinite(cross_val_score(harmless, X.astype(float), y, error_score="raise")).all()


def test_parameters_through_a_pipeline(binary):
    X, y, _, _ = binary
    pipeline = make_task_pipeline(StandardScaler(), binary.model())
    assert isinstance(pipeline, Pipeline)
    search = GridSearchCV(
        pipeline,
        {
            "meanregularizedclassifier__alpha": [1.0, 30.0],
            "columntransformer__remainder__standardscaler__with_mean": [True, False],
        },
        cv=binary.folds(3),
        scoring="neg_log_loss",
        error_score="raise",
    ).fit(X, y)
    scores = search.cv_results_["mean_test_score"].reshape(2, 2)
    # Intercepts are those at the mean of the features: centering changes nothing, alpha does.
    assert_allclose(np.ptp(scores, axis=0).min(), 0, atol=1e-8)
    assert np.ptp(scores) > 1e-4
    assert_array_equal(search.classes_, [False, True])


# Meta-estimators --------------------------------------------------------------------------------


@regression
def test_transformed_target(data):
    X, y = data.X, data.y - data.y.min() + 1
    model = TransformedTargetRegressor(data.model(), func=np.log, inverse_func=np.exp)
    expected = np.exp(data.model().fit(X, np.log(y)).predict(X))
    assert_allclose(model.fit(X, y).predict(X), expected, rtol=1e-10)


def test_stacking_reads_held_out_predictions(data):
    X, y, _, K = data
    members = {"mean": data.model(), "pooled": data.model(1.0, kind=0)}
    if K is None:
        y, cv, top = y - y.min() + 1, KFold(3), LinearRegression()
        stack = StackingRegressor(list(members.items()), top, cv=cv)
    else:
        cv, top = data.folds(3), LogisticRegression(tol=1e-10, max_iter=10000)
        stack = StackingClassifier(list(members.items()), top, cv=cv, stack_method=data.method)

    def columns(p):
        return p[:, 1:] if K == 2 else p

    found = getattr(stack.fit(X, y), data.method)(X)
    held_out = [
        columns(cross_val_predict(m, X, y, cv=cv, method=data.method)) for m in members.values()
    ]
    top = clone(top).fit(np.column_stack(held_out), y)
    again = [columns(getattr(clone(m).fit(X, y), data.method)(X)) for m in members.values()]
    expected = getattr(top, data.method)(np.column_stack(again))
    assert_allclose(found, expected, **({"rtol": 1e-6, "atol": 1e-9} if K else {"rtol": 1e-8}))
    if K is None:
        assert mean_squared_error(y, found) < np.var(y)


@classification
def test_soft_vote_is_the_mean(data):
    X, y, column, _ = data
    members = [("mean", data.model()), ("pooled", PooledClassifier(task_column=column))]
    vote = VotingClassifier(members, voting="soft", weights=[2, 1]).fit(X, y)
    p = [clone(member).fit(X, y).predict_proba(X) for _, member in members]
    assert_allclose(vote.predict_proba(X), (2 * p[0] + p[1]) / 3, rtol=1e-10)
    assert_array_equal(vote.predict(X), np.unique(y)[np.argmax(2 * p[0] + p[1], axis=1)])


def test_calibration_is_a_sigmoid_of_held_out_log_odds(binary):
    X, y, _, _ = binary
    cv = binary.folds(3)
    model = CalibratedClassifierCV(binary.model(), cv=cv, ensemble=False).fit(X, y)
    z = cross_val_predict(binary.model(), X, y, cv=cv, method="decision_function")
    sigmoid = _SigmoidCalibration().fit(z, y)
    fitted = binary.model().fit(X, y)
    expected = sigmoid.predict(fitted.decision_function(X))
    assert_allclose(model.predict_proba(X)[:, 1], expected, rtol=1e-8)


def test_calibration_of_more_classes():
    data = digits()
    model = CalibratedClassifierCV(data.model(), cv=data.folds(3)).fit(data.X, data.y)
    p = model.predict_proba(data.X)
    assert_allclose(p.sum(axis=1), 1)
    assert np.mean(model.predict(data.X) == data.y) > 0.8


# Scores -----------------------------------------------------------------------------------------


def test_task_scores_of_probabilities(binary):
    X, y, column, _ = binary
    model = binary.model().fit(X, y)
    p, tasks = model.predict_proba(X), X[column].to_numpy()
    table = task_scores(y, model.predict(X), tasks, y_score=p, metrics=["roc_auc", "log_loss"])
    loss = -np.where(y, np.log(p[:, 1]), np.log(p[:, 0]))
    for task in model.tasks_[:10]:
        own = tasks == task
        assert_allclose(table.loc[task, "log_loss"], loss[own].mean(), rtol=1e-10)
        if len(set(y[own])) == 2:
            assert_allclose(table.loc[task, "roc_auc"], roc_auc_score(y[own], p[own, 1]))
        else:
            assert np.isnan(table.loc[task, "roc_auc"])
    assert_allclose(table.loc["micro", "log_loss"], loss.mean(), rtol=1e-10)
    brier = make_task_scorer(
        lambda y, p: np.mean((y - p) ** 2),
        task_column=column,
        greater_is_better=False,
        response_method="predict_proba",
    )
    found = brier(model, X, y)
    squares = (y - p[:, 1]) ** 2
    expected = -np.mean([squares[tasks == t].mean() for t in model.tasks_])
    assert_allclose(found, expected, rtol=1e-10)


def test_task_scorer_of_more_classes():
    data = digits()
    model = data.model().fit(data.X[::2], data.y[::2])
    X, y = data.X[1::2], data.y[1::2]
    p = model.predict_proba(X)
    own = [X[:, 0] == t for t in range(3)]
    for name, metric in [
        ("log_loss", lambda y, p: -log_loss(y, p, labels=model.classes_)),
        ("roc_auc", lambda y, p: roc_auc_score(y, p, multi_class="ovr", labels=model.classes_)),
    ]:
        scorer = make_task_scorer(name, task_column=0)
        expected = np.mean([metric(y[rows], p[rows]) for rows in own])
        assert_allclose(scorer(model, X, y), expected, rtol=1e-12)
    plain = make_scorer(log_loss, response_method="predict_proba", greater_is_better=False)
    micro = make_task_scorer("log_loss", task_column=0, average="micro")
    assert_allclose(micro(model, X, y), plain(model, X, y), rtol=1e-12)


# Estimators as objects --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["pooled", "separate", "mean"])
def test_pickle_clone_set_params_and_repr(kind, data):
    X, y, column, K = data
    estimator = kinds(K)[kind]
    weight = "class_weight" if K else "task_weight"
    model = estimator(3.0, task_column=column, **{weight: "balanced"})
    params = sorted([f"task_column={column!r}", f"{weight}='balanced'"])
    shown = f"{estimator.__name__}(alpha=3.0, {', '.join(params)})"
    assert repr(model).replace(" ", "").replace("\n", "") == shown.replace(" ", "")
    fitted = clone(model).fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))
    before = getattr(fitted, data.method)(X)
    assert_array_equal(getattr(again, data.method)(X), before)
    assert_array_equal(again.predict(X), fitted.predict(X))
    assert again.get_params() == model.get_params()
    fitted.set_params(alpha=50.0)
    assert_array_equal(getattr(fitted, data.method)(X), before)  # until the next fit
    changed = getattr(fitted.fit(X, y), data.method)(X)
    assert np.abs(changed - before).max() > 1e-3
    refit = clone(model).set_params(alpha=50.0).fit(X, y)
    assert_array_equal(getattr(refit, data.method)(X), changed)
    with pytest.raises(ValueError, match="Invalid parameter 'beta'"):
        model.set_params(beta=1)


def test_the_html_representation_links_to_the_documentation(monkeypatch):
    """To the address in pyproject.toml, which the metadata of an installed package repeats."""
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    urls = pyproject["project"]["urls"]
    models = {
        "skmtl.MeanRegularizedRegressor": MeanRegularizedRegressor(),
        "skmtl.penalties.L21": L21(),
        "skmtl.model_selection.RegularizationPathCV": RegularizationPathCV(
            MeanRegularizedRegressor()
        ),
    }
    metadata = Message()
    monkeypatch.setattr("importlib.metadata.metadata", lambda name: metadata)
    for model in models.values():
        assert not model._get_doc_link()  # without an address
    for label, url in urls.items():
        metadata["Project-URL"] = f"{label}, {url}"
    for page, model in models.items():
        link = f"{urls['Documentation']}/generated/{page}.html"
        assert f'href="{link}"' in model._repr_html_()
