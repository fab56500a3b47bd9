"""Similarities of tasks and what they gain from each other, against numpy and explicit refits."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

from skmtl import MeanRegularizedClassifier, MeanRegularizedRegressor, PooledRegressor
from skmtl.datasets import make_multitask_classification, make_multitask_regression
from skmtl.inspection import task_affinity, task_similarity
from skmtl.pipeline import make_task_pipeline
from tests.inspection.test_report import dealt, out_of_fold

MODEL = MeanRegularizedRegressor(20.0, task_column=0)


@pytest.fixture(scope="module")
def data():
    return make_multitask_regression(4, 20, 3, imbalance=0.5, random_state=0)


def test_similarity_is_that_of_numpy(data):
    X, y = data
    model = clone(MODEL).fit(X, y)
    W, Z = model.coef_, X[:, 1:]
    np.testing.assert_allclose(task_similarity(model), np.corrcoef(W), rtol=1e-10)
    cosine = W @ W.T / np.outer(*2 * [np.linalg.norm(W, axis=1)])
    np.testing.assert_allclose(task_similarity(model, "cosine"), cosine, rtol=1e-10)
    distance = np.linalg.norm(W[:, None] - W, axis=2)
    np.testing.assert_allclose(task_similarity(model, "distance"), distance, atol=1e-12)
    own = task_similarity(model, "correlation", centered=True)
    np.testing.assert_allclose(own, np.corrcoef(W - model.shared_coef_), rtol=1e-9)
    predicted = Z @ W.T
    np.testing.assert_allclose(
        task_similarity(model, X=X), np.corrcoef(predicted, rowvar=False), rtol=1e-10
    )
    spread = [[np.std(a - b) for b in predicted.T] for a in predicted.T]
    np.testing.assert_allclose(task_similarity(model, "distance", X=X), spread, atol=1e-7)
    with pytest.raises(ValueError, match="metric must be one of"):
        task_similarity(model, "angle")
    with pytest.raises(TypeError, match="multi-task model"):
        task_similarity(LinearRegression().fit(X, y))


def test_similarity_of_what_does_not_vary_is_undefined(data):
    X, y = data
    model = PooledRegressor(task_column=0).fit(X, y)
    assert np.isnan(task_similarity(model, "cosine", centered=True)).all(axis=None)


def test_affinity_is_that_of_pairs(data):
    X, y = data
    affinity = task_affinity(X, y, MODEL)
    task, splits = X[:, 0], dealt(X)

    def score(t, tasks):
        squares = []
        for train, test in splits:
            train, test = train[np.isin(task[train], tasks)], test[task[test] == t]
            fitted = clone(MODEL).fit(X[train], y[train])
            squares.append((y[test] - fitted.predict(X[test])) ** 2)
        return np.concatenate(squares).mean()

    for t in range(4):
        for s in range(4):
            expected = score(t, [t]) - score(t, [s, t]) if s != t else 0.0
            np.testing.assert_allclose(affinity.loc[t, s], expected, atol=1e-10)
    assert affinity.shape == (4, 4)


def test_affinity_of_the_wide_form():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3))
    Y = X @ rng.normal(size=(3, 3)) + rng.normal(size=(30, 3))
    model = MeanRegularizedRegressor(5.0)
    affinity = np.asarray(task_affinity(X, Y, model))
    splits = list(KFold(5, shuffle=True, random_state=0).split(X))
    alone, both = (
        ((Y[:, own] - out_of_fold(model, X, Y[:, own], splits)) ** 2).mean(axis=0)
        for own in ([0], [0, 2])
    )
    np.testing.assert_allclose(affinity[0, 2], alone[0] - both[0], atol=1e-12)


def test_similarity_in_a_pipeline_with_frames(data):
    X, y = data
    frame = pd.DataFrame(X, columns=["shop", "a", "b", "c"])
    frame["shop"] = [f"t{k:.0f}" for k in X[:, 0]]
    model = MeanRegularizedRegressor(20.0, task_column="shop")
    pipe = make_task_pipeline(StandardScaler(), model).fit(frame, y)
    similarity = task_similarity(pipe, X=frame)
    assert similarity.index.tolist() == similarity.columns.tolist() == ["t0", "t1", "t2", "t3"]
    Z = (X[:, 1:] - X[:, 1:].mean(axis=0)) / X[:, 1:].std(axis=0)
    expected = np.corrcoef(Z @ pipe[-1].coef_.T, rowvar=False)
    np.testing.assert_allclose(similarity, expected, rtol=1e-9)


def test_similarity_of_three_classes():
    X, y = make_multitask_classification(3, 60, 3, n_classes=3, random_state=0)
    model = MeanRegularizedClassifier(5.0, task_column=0).fit(X, y)
    expected = np.corrcoef(model.coef_.reshape(3, -1))
    np.testing.assert_allclose(task_similarity(model), expected, rtol=1e-9)


def test_affinity_of_single_tasks_has_no_variance_to_estimate(data):
    X, y = data[:2]
    for model in (
        MeanRegularizedRegressor("auto", task_column=0),
        make_task_pipeline(StandardScaler(), MeanRegularizedRegressor("auto", task_column=0)),
    ):
        with pytest.raises(
            ValueError, match=r"fits single tasks.*alpha is 'auto'\. Set it to a nu"
        ):
            task_affinity(X, y, model)


def test_affinity_of_classifiers_and_of_scores_that_shall_be_large():
    X, y = make_multitask_classification(3, 40, 3, class_sep=1.0, random_state=0)
    model = MeanRegularizedClassifier(5.0, task_column=0)
    for scoring in (None, "accuracy"):
        affinity = task_affinity(X, y, model, scoring=scoring)
        score = {}
        for tasks in ((0,), (0, 2)):
            p = []
            for train, test in dealt(X):
                train, test = train[np.isin(X[train, 0], tasks)], test[X[test, 0] == 0]
                fitted = clone(model).fit(X[train], y[train])
                p.append(np.column_stack([y[test], fitted.predict_proba(X[test])]))
            p = np.vstack(p)
            right = (p[:, 0] == p[:, 1:].argmax(axis=1)).mean()
            score[tasks] = right if scoring else -log_loss(p[:, 0], p[:, 1:])
        np.testing.assert_allclose(affinity.loc[0, 2], score[0, 2] - score[0,], atol=1e-10)


@pytest.mark.filterwarnings("ignore:A column-vector y:sklearn.exceptions.DataConversionWarning")
def test_affinity_of_wide_classifiers():
    """Of a single column the probabilities have one column per class."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    Y = (X @ rng.normal(size=(3, 3)) + rng.logistic(size=(60, 3)) > 0).astype(int)
    model = MeanRegularizedClassifier(5.0)
    affinity = np.asarray(task_affinity(X, Y, model))
    splits = list(KFold(5, shuffle=True, random_state=0).split(X))
    alone = out_of_fold(model, X, Y[:, :1], splits, method="predict_proba")
    both = out_of_fold(model, X, Y[:, [0, 2]], splits, method="predict_proba")
    expected = log_loss(Y[:, 0], alone) - log_loss(Y[:, 0], both[:, 0])
    np.testing.assert_allclose(affinity[0, 2], expected, atol=1e-10)


def test_affinity_of_tasks_without_one_of_three_classes():
    X, y = make_multitask_classification(3, 60, 3, n_classes=3, random_state=0)
    two = X[:, 0] != 1
    y = np.where(two & (y == 1), 0, y)
    model = MeanRegularizedClassifier(5.0, task_column=0)
    affinity = task_affinity(X, y, model)
    losses = []
    for tasks in ([0], [0, 2]):
        pairs = []
        for train, test in dealt(X):
            train, test = train[np.isin(X[train, 0], tasks)], test[X[test, 0] == 0]
            p = clone(model).fit(X[train], y[train]).predict_proba(X[test])
            pairs.append(np.column_stack([y[test], p]))
        losses.append(log_loss(*np.hsplit(np.vstack(pairs), [1])))
    np.testing.assert_allclose(affinity.loc[0, 2], losses[0] - losses[1], atol=1e-10)


def test_affinity_of_what_is_no_estimator_is_refused():
    X, y = np.ones((4, 2)), np.ones(4)
    with pytest.raises(TypeError, match="estimator must be a multi-task estimator"):
        task_affinity(MeanRegularizedRegressor(task_column=0), X, y)
