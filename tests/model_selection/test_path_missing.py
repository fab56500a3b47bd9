"""Searches over what was observed: NaN and weights of targets, few rows, constant data."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.metrics import mean_absolute_error, roc_auc_score

from skmtl import (
    ADMMClassifier,
    ADMMRegressor,
    GraphRegularizedRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    SharedL2Regressor,
)
from skmtl.datasets import load_radon
from skmtl.metrics import make_task_scorer
from skmtl.model_selection import RegularizationPathCV, TaskKFold

ALPHAS = [0.1, 1.0, 10.0]


def data(classes=False):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    Y = X @ rng.normal(size=(3, 3)) + rng.normal(size=(60, 3))
    Y = (Y > 0).astype(float) if classes else Y
    Y[rng.random(Y.shape) < 0.3] = np.nan
    return X, Y, rng.uniform(0.2, 2.0, Y.shape)


def refits(model, score, X, Y, weight, cv):
    """The mean over folds of the mean over tasks of a score, for each alpha."""
    found = []
    for alpha in ALPHAS:
        folds = []
        for train, test in cv.split(X, Y):
            w = None if weight is None else weight[train]
            fitted = clone(model).set_params(alpha=alpha).fit(X[train], Y[train], w)
            tasks = []
            for t in range(Y.shape[1]):
                own = test[~np.isnan(Y[test, t])]
                w = None if weight is None else weight[own, t]
                tasks.append(score(fitted, X[own], Y[own, t], t, w))
            folds.append(np.mean(tasks))
        found.append(np.mean(folds))
    return found


def minus_mae(model, X, y, t, w):
    return -mean_absolute_error(y, model.predict(X)[:, t], sample_weight=w)


def auc(model, X, y, t, w):
    return roc_auc_score(y, model.predict_proba(X)[:, t], sample_weight=w)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("model", "scoring", "score"),
    [
        (MeanRegularizedRegressor(), "neg_mean_absolute_error", minus_mae),
        (ADMMRegressor("l21"), "neg_mean_absolute_error", minus_mae),
        (MeanRegularizedClassifier(), "roc_auc", auc),
        (ADMMClassifier("l21"), "roc_auc", auc),
    ],
    ids=str,
)
def test_scorers_of_scikit_learn_are_averaged_over_tasks(model, scoring, score, weighted):
    X, Y, weight = data(classes=score is auc)
    weight = weight if weighted else None
    cv = TaskKFold(4)
    search = RegularizationPathCV(model, ALPHAS, cv=cv, scoring=scoring).fit(X, Y, weight)
    expected = refits(model, score, X, Y, weight, cv)
    assert_allclose(search.cv_results_["mean_test_score"], expected, rtol=1e-4)
    best, given = search.best_estimator_, []
    for t in range(3):
        own = ~np.isnan(Y[:, t])
        w = None if weight is None else weight[own, t]
        given.append(score(best, X[own], Y[own, t], t, w))
    assert_allclose(search.score(X, Y, weight), np.mean(given))


@pytest.mark.parametrize("scoring", [None, "r2", "neg_mean_squared_error"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame])
def test_scores_over_observed_targets(scoring, weighted, kind):
    X, Y, weight = data()
    weight = weight if weighted else None
    search = RegularizationPathCV(MeanRegularizedRegressor(), ALPHAS, cv=4, scoring=scoring)
    search.fit(X, kind(Y), weight)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert np.isfinite(search.task_scores_).all()
    expected = []
    for train, test in TaskKFold(4).split(X, Y):
        w = None if weight is None else weight[train]
        own = None if weight is None else weight[test]
        model = MeanRegularizedRegressor(1.0).fit(X[train], Y[train], w)
        if scoring != "neg_mean_squared_error":
            expected.append(model.score(X[test], Y[test], own))
            continue
        squares = np.ma.masked_invalid((Y[test] - model.predict(X[test])) ** 2)
        expected.append(-np.ma.average(squares, axis=0, weights=own).mean())
    assert_allclose(search.cv_results_["mean_test_score"][1], np.mean(expected))
    assert np.isfinite(search.score(X, kind(Y), weight))


def test_accuracy_of_classifiers():
    X, Y, weight = data(classes=True)
    for given in (None, weight):
        search = RegularizationPathCV(MeanRegularizedClassifier(), ALPHAS, cv=4).fit(X, Y, given)
        expected = []
        for train, test in TaskKFold(4).split(X, Y):
            own = (None, None) if given is None else (given[train], given[test])
            model = MeanRegularizedClassifier(1.0).fit(X[train], Y[train], own[0])
            expected.append(model.score(X[test], Y[test], own[1]))
        assert_allclose(search.cv_results_["mean_test_score"][1], np.mean(expected))


def test_targets_of_weight_zero_are_missing():
    X, Y, weight = data()
    full = np.where(np.isnan(Y), 1e3, Y)
    for cv in (None, 4):
        search = RegularizationPathCV(MeanRegularizedRegressor(), ALPHAS, cv=cv)
        one = search.fit(X, Y, weight).cv_results_["mean_test_score"]
        two = search.fit(X, full, np.where(np.isnan(Y), 0.0, weight)).cv_results_
        assert_allclose(one, two["mean_test_score"])


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("n_observed", [1, 2, 10])
@pytest.mark.parametrize(
    "model", [MeanRegularizedRegressor(), ADMMRegressor("trace_norm"), GraphRegularizedRegressor()]
)
def test_few_observed_rows_of_a_column(model, n_observed, first):
    X, Y, _ = data()
    Y = np.nan_to_num(Y)
    if first:
        Y[n_observed:, 1] = np.nan
    else:
        Y[:-n_observed, 1] = np.nan
    search = RegularizationPathCV(model, ALPHAS, cv=5).fit(X, Y)
    assert np.isfinite(search.best_score_)


def test_rows_of_weight_zero_do_not_keep_a_task_in_training():
    """Task 2 has two rows of positive weight, which were in the same fold."""
    rng = np.random.default_rng(0)
    t = np.array([0] * 8 + [1] * 7 + [2] * 6)
    X = np.column_stack([t, rng.normal(size=(21, 2))])
    y, weight = rng.normal(size=21), np.ones(21)
    weight[[16, 17, 18, 19]] = 0.0
    search = RegularizationPathCV(SharedL2Regressor(task_column=0), ALPHAS, cv=5)
    assert np.isfinite(search.fit(X, y, weight).best_score_)
    search.set_params(estimator=ADMMRegressor("l21", task_column=0))
    assert np.isfinite(search.fit(X, y, weight).best_score_)


@pytest.mark.parametrize(
    "model", [ADMMRegressor("l21"), MeanRegularizedRegressor(), SharedL2Regressor()], ids=repr
)
def test_defaults_on_radon(model):
    """It has three counties of one row."""
    X, y = load_radon(return_X_y=True, as_frame=True)
    model = clone(model).set_params(task_column="county")
    search = RegularizationPathCV(model, 5, cv=5).fit(X, y)
    assert np.isfinite(search.best_score_)


PENALTIES = ["l1", "l21", "task_l2", "trace_norm", "robust_mean", "network_lasso", "temporal_fused"]


@pytest.mark.parametrize("value", [0.0, 3.0, 0.1, -1e8])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_constant_target(penalty, value):
    X = np.c_[np.repeat([0, 1], 20), np.random.default_rng(0).normal(size=(40, 3))]
    search = RegularizationPathCV(ADMMRegressor(penalty, task_column=0), 5)
    search.fit(X, np.full(40, value))
    assert_allclose(search.predict(X), value, rtol=1e-8, atol=1e-12)
    wide = RegularizationPathCV(ADMMRegressor(penalty), 5).fit(X[:, 1:], np.full((40, 2), value))
    assert_allclose(wide.predict(X[:, 1:]), value, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("kind", [ADMMRegressor, ADMMClassifier])
def test_constant_features(kind, penalty, value):
    X = np.full((40, 3), value)
    X[:, 0] = np.repeat([0, 1], 20)
    y = (np.arange(40) % 3 == 0) + 0
    search = RegularizationPathCV(kind(penalty, task_column=0), 5).fit(X, y)
    assert_allclose(search.best_estimator_.coef_, 0.0, atol=1e-6 / max(value, 1.0))


def test_a_search_without_scores_says_why():
    X, Y, _ = data()
    scoring = make_task_scorer("r2", task_column=0)
    X = np.column_stack([np.arange(60) % 20, X])
    search = RegularizationPathCV(ADMMRegressor("l21", task_column=0), ALPHAS, scoring=scoring)
    message = r"every candidate is NaN, .*NaN on 3 of 3 splits \(0, 1, 2\).*defined on the test"
    with pytest.raises(ValueError, match=message):
        search.set_params(cv=3).fit(X, np.nan_to_num(Y[:, 0]))
    assert not hasattr(search, "alphas_")
    search.set_params(cv=None, scoring=lambda model, X, y: np.nan)
    search.set_params(estimator=SharedL2Regressor(task_column=0))
    with pytest.raises(ValueError, match="NaN on the leave-one-out predictions"):
        search.fit(X, np.nan_to_num(Y[:, 0]))
