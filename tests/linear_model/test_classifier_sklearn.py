"""Classifiers inside scikit-learn's tools, with no metadata routing, on real data."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV, _SigmoidCalibration
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, log_loss, make_scorer, roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MeanRegularizedClassifier, PooledClassifier, SharedL2Classifier
from skmtl.datasets import load_radon
from skmtl.metrics import make_task_scorer, task_scores
from skmtl.model_selection import TaskKFold
from skmtl.pipeline import make_task_pipeline

CLASSIFIERS = (PooledClassifier, SharedL2Classifier, MeanRegularizedClassifier)
ALPHAS = [0.1, 1.0, 5.0, 100.0]
# Some counties have no house above the threshold.
pytestmark = pytest.mark.filterwarnings("ignore:Only one class was seen in task:UserWarning")


def radon(as_frame):
    """Houses above 4 pCi/L in counties with at least five of them, in random order."""
    X, y = load_radon(return_X_y=True, as_frame=as_frame)
    y = np.asarray(y) > np.log(4)
    labels = np.asarray(X["county"] if as_frame else X[:, 0], str)
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rows = np.random.default_rng(0).permutation(np.flatnonzero(counts[codes] >= 5))
    return (X.iloc[rows].reset_index(drop=True) if as_frame else X[rows]), y[rows]


def digits(n=240):
    """Digits as strings, written by three made-up persons with habits of their own."""
    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(1)
    rows = rng.permutation(len(y))[:n]
    task = rng.integers(0, 3, n)
    X = X[rows][:, 18:38] * (1 + 0.3 * task[:, None])
    return np.column_stack([task, X]), np.array([f"d{k % 3}" for k in y[rows]])


@pytest.fixture(scope="module", params=["radon", "radon arrays", "digits"])
def data(request):
    """X, y and the task column."""
    if request.param == "digits":
        return *digits(), 0
    frame = request.param == "radon"
    return *radon(frame), "county" if frame else 0


@pytest.fixture(scope="module")
def binary():
    return *radon(True), "county"


def mean_model(column, alpha=5.0, **params):
    return MeanRegularizedClassifier(alpha, task_column=column, handle_unknown="shared", **params)


def take(X, rows):
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def labels_of(X, column):
    return np.asarray(X[column] if isinstance(column, str) else X[:, column])


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_cross_val_predict_is_a_loop(data, method):
    X, y, column = data
    cv = TaskKFold(3, task_column=column)
    model = mean_model(column)
    found = cross_val_predict(model, X, y, cv=cv, method=method)
    expected = np.empty_like(found)
    for train, test in cv.split(X):
        fitted = clone(model).fit(take(X, train), y[train])
        expected[test] = getattr(fitted, method)(take(X, test))
    if method == "predict":
        assert_array_equal(found, expected)
        assert np.mean(found == y) > np.unique(y, return_counts=True)[1].max() / len(y)
    else:
        assert_allclose(found, expected, rtol=1e-12)
    assert len(np.unique(found)) > 1


def by_task(metric, y, p, tasks):
    """The mean over tasks that have both classes."""
    scores = []
    for task in sorted(set(tasks.tolist())):
        own = tasks == task
        if len(set(y[own])) == 2:
            scores.append(metric(y[own], p[own]))
    return np.mean(scores)


@pytest.mark.parametrize("scoring", ["roc_auc", "neg_log_loss", "macro roc_auc", "macro log_loss"])
def test_grid_search_finds_what_a_loop_finds(binary, scoring):
    X, y, column = binary
    cv = TaskKFold(4, task_column=column)
    scorer = scoring
    if scoring.startswith("macro"):
        scorer = make_task_scorer(scoring.split()[1], task_column=column, average="macro")
    search = GridSearchCV(
        mean_model(column), {"alpha": ALPHAS}, scoring=scorer, cv=cv, error_score="raise"
    ).fit(X, y)
    scores = []
    for alpha in ALPHAS:
        folds = []
        for train, test in cv.split(X):
            model = mean_model(column, alpha).fit(take(X, train), y[train])
            p = model.predict_proba(take(X, test))[:, 1]
            tasks = labels_of(X, column)[test]
            loss = -np.where(y[test], np.log(p), np.log1p(-p))
            if scoring == "roc_auc":
                folds.append(roc_auc_score(y[test], p))
            elif scoring == "neg_log_loss":
                folds.append(-loss.mean())
            elif scoring == "macro roc_auc":
                folds.append(by_task(roc_auc_score, y[test], p, tasks))
            else:
                folds.append(-np.mean([loss[tasks == t].mean() for t in set(tasks.tolist())]))
        scores.append(np.mean(folds))
    assert_allclose(search.cv_results_["mean_test_score"], scores, rtol=1e-10)
    assert search.best_params_["alpha"] == ALPHAS[int(np.argmax(scores))]
    assert np.ptp(scores) > 1e-3


def test_more_classes_in_a_search():
    X, y = digits()
    cv = TaskKFold(3, task_column=0)
    for scoring, metric in [
        ("neg_log_loss", lambda y, p: -log_loss(y, p)),
        ("roc_auc_ovr", lambda y, p: roc_auc_score(y, p, multi_class="ovr")),
    ]:
        search = GridSearchCV(mean_model(0), {"alpha": [1.0, 100.0]}, scoring=scoring, cv=cv)
        search.fit(X, y)
        for alpha, found in zip([1.0, 100.0], search.cv_results_["mean_test_score"], strict=True):
            expected = []
            for train, test in cv.split(X):
                model = mean_model(0, alpha).fit(X[train], y[train])
                expected.append(metric(y[test], model.predict_proba(X[test])))
            assert_allclose(found, np.mean(expected), rtol=1e-10)


def test_pooled_in_a_search_is_logistic_regression(binary):
    """Without its tasks the model is scikit-learn's own, and so is every score."""
    X, y, column = binary
    cv = TaskKFold(4, task_column=column)
    plain = LogisticRegression(C=0.5, tol=1e-12, max_iter=10000)
    features = X.drop(columns=column).to_numpy(float)
    for scoring in ["roc_auc", "neg_log_loss", "average_precision", "accuracy"]:
        model = PooledClassifier(2.0, task_column=column)
        found = cross_val_score(model, X, y, cv=cv, scoring=scoring)
        expected = cross_val_score(plain, features, y, cv=list(cv.split(X)), scoring=scoring)
        assert_allclose(found, expected, rtol=1e-7)


@pytest.mark.parametrize("output", ["default", "pandas", "polars"])
def test_column_transformer(data, output):
    """A scaler behind a passthrough, its shorthand and scaling by hand are the same."""
    X, y, column = data
    scaler = ColumnTransformer(
        [("task", "passthrough", [0]), ("scale", StandardScaler(), [*range(1, X.shape[1])])],
    ).set_output(transform=output)
    pipeline = make_pipeline(scaler, mean_model(0))
    cv = TaskKFold(3, task_column=column)
    found = cross_val_predict(pipeline, X, y, cv=cv, method="predict_proba")
    shorthand = make_task_pipeline(StandardScaler(), mean_model(column))
    expected = cross_val_predict(shorthand, X, y, cv=cv, method="predict_proba")
    assert_allclose(found, expected, rtol=1e-8, atol=1e-12)
    features = np.asarray(X)[:, 1:].astype(float)
    spread = np.where(np.ptp(features, axis=0) > 0, features.std(axis=0), 1.0)
    Z = (features - features.mean(axis=0)) / spread
    by_hand = np.column_stack([labels_of(X, column).astype(object), Z])
    model = mean_model(0).fit(by_hand, y)
    assert_allclose(
        pipeline.fit(X, y).predict_proba(X), model.predict_proba(by_hand), rtol=1e-6, atol=1e-9
    )
    assert_array_equal(pipeline.classes_, np.unique(y))


def test_calibration_is_a_sigmoid_of_held_out_log_odds(binary):
    X, y, column = binary
    cv = TaskKFold(3, task_column=column)
    model = CalibratedClassifierCV(mean_model(column), cv=cv, ensemble=False).fit(X, y)
    z = cross_val_predict(mean_model(column), X, y, cv=cv, method="decision_function")
    sigmoid = _SigmoidCalibration().fit(z, y)
    fitted = mean_model(column).fit(X, y)
    expected = sigmoid.predict(fitted.decision_function(X))
    assert_allclose(model.predict_proba(X)[:, 1], expected, rtol=1e-8)


def test_calibration_of_more_classes():
    X, y = digits()
    model = CalibratedClassifierCV(mean_model(0), cv=TaskKFold(3, task_column=0)).fit(X, y)
    p = model.predict_proba(X)
    assert_allclose(p.sum(axis=1), 1)
    assert np.mean(model.predict(X) == y) > 0.8


def test_soft_vote_is_the_mean(data):
    X, y, column = data
    members = [
        ("mean", mean_model(column)),
        ("pooled", PooledClassifier(task_column=column)),
    ]
    vote = VotingClassifier(members, voting="soft", weights=[2, 1]).fit(X, y)
    p = [clone(member).fit(X, y).predict_proba(X) for _, member in members]
    assert_allclose(vote.predict_proba(X), (2 * p[0] + p[1]) / 3, rtol=1e-10)
    assert_array_equal(vote.predict(X), np.unique(y)[np.argmax(2 * p[0] + p[1], axis=1)])


def test_stacking_reads_held_out_probabilities(data):
    X, y, column = data
    members = {
        "mean": mean_model(column),
        "pooled": PooledClassifier(task_column=column),
    }
    cv = TaskKFold(3, task_column=column)
    top = LogisticRegression(tol=1e-10, max_iter=10000)
    stack = StackingClassifier(list(members.items()), top, cv=cv, stack_method="predict_proba")
    found = stack.fit(X, y).predict_proba(X)
    first = 1 if len(np.unique(y)) == 2 else 0
    held_out = [
        cross_val_predict(m, X, y, cv=cv, method="predict_proba")[:, first:]
        for m in members.values()
    ]
    top = clone(top).fit(np.column_stack(held_out), y)
    level = [clone(m).fit(X, y).predict_proba(X)[:, first:] for m in members.values()]
    assert_allclose(found, top.predict_proba(np.column_stack(level)), rtol=1e-6, atol=1e-9)


# The wide form ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wide():
    """Is it a 3, is it round, is it dark: three questions about the same digits."""
    X, y = load_digits(return_X_y=True)
    rows = np.random.default_rng(2).permutation(len(y))[:300]
    X, y = X[rows][:, 10:30] / 16, y[rows]
    dark = X.sum(axis=1)
    return X, np.column_stack([y == 3, np.isin(y, [0, 6, 8, 9]), dark > np.median(dark)]).astype(
        int
    )


@pytest.mark.parametrize("scoring", ["roc_auc", "average_precision", "accuracy", "f1_macro"])
def test_multilabel_scorers_are_those_of_separate_models(wide, scoring):
    X, Y = wide
    separate = MultiOutputClassifier(LogisticRegression(C=0.5, tol=1e-11, max_iter=10000))
    found = cross_val_score(SharedL2Classifier(2.0), X, Y, cv=KFold(3), scoring=scoring)
    if scoring in ("roc_auc", "average_precision"):  # of scikit-learn's list of arrays
        metric = {"roc_auc": roc_auc_score, "average_precision": average_precision_score}[scoring]
        expected = []
        for train, test in KFold(3).split(X):
            p = separate.fit(X[train], Y[train]).predict_proba(X[test])
            expected.append(metric(Y[test], np.column_stack([part[:, 1] for part in p])))
    else:
        expected = cross_val_score(separate, X, Y, cv=KFold(3), scoring=scoring)
    assert_allclose(found, expected, rtol=1e-9)
    assert np.isfinite(cross_val_score(mean_model(None), X, Y, cv=3, scoring=scoring)).all()


def test_wide_predictions_in_cross_validation(wide):
    X, Y = wide
    model = mean_model(None)
    p = cross_val_predict(model, X, Y, cv=KFold(3), method="predict_proba")
    assert p.shape == Y.shape
    z = cross_val_predict(model, X, Y, cv=KFold(3), method="decision_function")
    assert_allclose(p, 1 / (1 + np.exp(-z)), rtol=1e-12)
    assert_array_equal(cross_val_predict(model, X, Y, cv=KFold(3)), z > 0)
    for average, expected in [
        ("macro", np.mean([roc_auc_score(Y[:, t], p[:, t]) for t in range(3)])),
        ("worst", np.min([roc_auc_score(Y[:, t], p[:, t]) for t in range(3)])),
    ]:
        table = task_scores(Y, None, y_score=p, metrics="roc_auc")
        assert_allclose(table.loc[average, "roc_auc"], expected, rtol=1e-12)
    scorer = make_task_scorer("log_loss", average="macro")
    found = cross_val_score(model, X, Y, cv=KFold(3), scoring=scorer)
    expected = []
    for train, test in KFold(3).split(X):
        q = clone(model).fit(X[train], Y[train]).predict_proba(X[test])
        expected.append(np.mean(np.where(Y[test] == 1, np.log(q), np.log(1 - q))))
    assert_allclose(found, expected, rtol=1e-10)


def test_wide_classes_follow_multi_output_classifiers(wide):
    X, Y = wide
    reference = MultiOutputClassifier(LogisticRegression(max_iter=1000)).fit(X, Y)
    for estimator in CLASSIFIERS:
        model = estimator().fit(X, Y)
        assert_array_equal(model.classes_, reference.classes_)
        for method in ("predict_proba", "decision_function"):
            assert cross_val_predict(model, X, Y, method=method).shape == Y.shape
        assert model.score(X, Y) == np.mean((model.predict(X) == Y).all(axis=1))
        assert model.predict(X).dtype.kind == "i"


# Scores -----------------------------------------------------------------------------------------


def test_task_scores_of_probabilities(binary):
    X, y, column = binary
    model = mean_model(column).fit(X, y)
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
    X, y = digits()
    model = mean_model(0).fit(X[::2], y[::2])
    X, y = X[1::2], y[1::2]
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


@pytest.mark.parametrize("estimator", CLASSIFIERS)
def test_pickle_clone_set_params_and_repr(estimator, data):
    X, y, column = data
    model = estimator(3.0, task_column=column, class_weight="balanced")
    shown = f"{estimator.__name__}(alpha=3.0, class_weight='balanced', task_column={column!r})"
    assert repr(model).replace(" ", "").replace("\n", "") == shown.replace(" ", "")
    fitted = clone(model).fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert_array_equal(again.predict(X), fitted.predict(X))
    assert again.get_params() == model.get_params()
    before = fitted.predict_proba(X)
    fitted.set_params(alpha=50.0)
    assert_array_equal(fitted.predict_proba(X), before)  # until the next fit
    changed = fitted.fit(X, y).predict_proba(X)
    assert np.abs(changed - before).max() > 1e-3
    assert_array_equal(clone(model).set_params(alpha=50.0).fit(X, y).predict_proba(X), changed)
    with pytest.raises(ValueError, match="Invalid parameter 'beta'"):
        model.set_params(beta=1)


def test_parameters_through_a_pipeline(binary):
    X, y, column = binary
    pipeline = make_task_pipeline(StandardScaler(), mean_model(column))
    assert isinstance(pipeline, Pipeline)
    search = GridSearchCV(
        pipeline,
        {
            "meanregularizedclassifier__alpha": [1.0, 30.0],
            "columntransformer__remainder__standardscaler__with_mean": [True, False],
        },
        cv=TaskKFold(3, task_column=column),
        scoring="neg_log_loss",
        error_score="raise",
    ).fit(X, y)
    scores = search.cv_results_["mean_test_score"].reshape(2, 2)
    # Levels are those at the mean of the features: centering changes nothing, alpha does.
    assert_allclose(np.ptp(scores, axis=0).min(), 0, atol=1e-8)
    assert np.ptp(scores) > 1e-4
    assert_array_equal(search.classes_, [False, True])
