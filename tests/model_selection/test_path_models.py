"""RegularizationPathCV of all models, its scores of tasks, its rule and its grids."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_classifier
from sklearn.metrics import get_scorer, log_loss, mean_squared_error
from sklearn.model_selection import GridSearchCV, KFold

from skmtl import (
    ADMMClassifier,
    ADMMRegressor,
    GraphRegularizedClassifier,
    GraphRegularizedRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    PooledClassifier,
    SharedL2Classifier,
    alpha_max,
)
from skmtl.model_selection import RegularizationPathCV, TaskKFold
from skmtl.penalties import L1, L21
from skmtl.penalties import Ridge as RidgePenalty
from tests._problems import make_indicator, make_rows, make_wide
from tests.model_selection._searches import grid_search

FOLDS = TaskKFold(3, task_column=0)
ALPHAS = [0.1, 3.0, 60.0]
MEAN = MeanRegularizedRegressor(task_column=0)
ROWS = make_rows(sizes=(12, 9, 14, 11))
BINARY = make_rows(2, sizes=(24, 16, 30, 18))
THREE = make_rows(3, sizes=(24, 18, 30, 21))
CHAIN = [(0, 1), (1, 2, 2.0), (2, 3)]
SHARED = {"alpha_shared": 0.1}
SUM = L21(1.0) + RidgePenalty(0.2)
LOSS = "neg_log_loss"
MODELS = {
    "graph": (GraphRegularizedRegressor(task_graph=CHAIN), {}, None),
    "graph-intercepts": (GraphRegularizedRegressor(), {"alpha_intercept": [0.0, 5.0]}, None),
    "l21": (ADMMRegressor("l21"), {}, None),
    "trace-norm": (ADMMRegressor("trace_norm", alpha_intercept=0.0), {}, "r2"),
    "l1": (ADMMRegressor(L1()), {"penalty__alpha": [0.3, 4.0]}, None),
    "uncertainty": (MeanRegularizedRegressor(task_weight="uncertainty"), {}, None),
    "auto-intercept": (MeanRegularizedRegressor(alpha_intercept="auto", **SHARED), {}, None),
    "zero": (MeanRegularizedRegressor(), {"alpha_shared": [0.0, 3.0]}, "neg_max_error"),
    "binary": (MeanRegularizedClassifier(), {}, LOSS),
    "binary-accuracy": (MeanRegularizedClassifier(**SHARED), {}, None),
    "binary-shared": (MeanRegularizedClassifier(), {"alpha_shared": [0.1, 9.0]}, LOSS),
    "pooled": (PooledClassifier(alpha_intercept=2.0), {}, LOSS),
    "separate": (SharedL2Classifier(), {}, "roc_auc"),
    "classes": (MeanRegularizedClassifier(**SHARED), {}, LOSS),
    "graph-classes": (GraphRegularizedClassifier(task_graph=CHAIN, alpha_shared=0.1), {}, LOSS),
    "l21-classes": (ADMMClassifier(SUM, tol=1e-6), {}, LOSS),
}
WEIGHTED = ("graph", "l1", "binary", "classes")


def data(name):
    rows = THREE if "classes" in name else BINARY if is_classifier(MODELS[name][0]) else ROWS
    y = np.array(["a", "b", "c"])[rows.y] if rows is not ROWS else rows.y
    return rows.long, y, rows.codes


@pytest.mark.parametrize("name", MODELS)
def test_choice_and_scores_are_those_of_grid_search(name):
    model, grid, scoring = MODELS[name]
    model = clone(model).set_params(task_column=0)
    alphas = [0.0, *ALPHAS] if name == "zero" else ALPHAS
    X, y, _ = data(name)
    weight = np.linspace(0.5, 2.0, len(y)) if name in WEIGHTED else None
    ours = RegularizationPathCV(model, alphas, param_grid=grid, cv=FOLDS, scoring=scoring)
    ours.fit(X, y, sample_weight=weight)
    theirs = grid_search(model, alphas, X, y, FOLDS, grid, scoring, sample_weight=weight)
    a, b = ours.cv_results_, theirs.cv_results_
    assert set(a) == set(b)
    assert a["params"] == b["params"]
    assert ours.best_params_ == theirs.best_params_
    for key in ("mean_test_score", "std_test_score", "split0_test_score", "split2_test_score"):
        assert_allclose(a[key], b[key], rtol=1e-4, atol=1e-6, err_msg=key)
    assert np.ptp(a["mean_test_score"]) > 1e-3
    assert_allclose(ours.score(X, y), theirs.score(X, y), rtol=1e-4)
    assert_array_equal(ours.predict(X)[:5].shape, theirs.predict(X)[:5].shape)
    assert ours.best_estimator_.warm_start is False


def test_penalties_of_candidates_are_their_own():
    """The grid sets a parameter of the penalty; the estimator passed in keeps its own."""
    model = ADMMRegressor(L1(2.5), task_column=0)
    search = RegularizationPathCV(
        model, [1.0, 10.0], param_grid={"penalty__alpha": [0.5, 4.0]}, cv=FOLDS
    ).fit(ROWS.long, ROWS.y)
    assert model.penalty.alpha == 2.5
    assert search.best_estimator_.penalty.alpha == search.best_params_["penalty__alpha"]
    # only the product counts
    scores = search.cv_results_["mean_test_score"]
    search.set_params(alphas=[0.5, 4.0, 5.0, 40.0], param_grid=None, refit=False)
    search.set_params(estimator=ADMMRegressor(L1(), task_column=0)).fit(ROWS.long, ROWS.y)
    assert_allclose(scores, search.cv_results_["mean_test_score"], rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["graph", "binary", "classes", "mean"])
def test_scores_of_tasks(name, weighted):
    """Means with the weights of the rows, as scores are."""
    if name == "mean":
        model, X, y, codes = clone(MEAN), ROWS.long, ROWS.y, ROWS.codes
    else:
        model, X, y, codes = clone(MODELS[name][0]).set_params(task_column=0), *data(name)
    weight = np.linspace(0.2, 3.0, len(y)) if weighted else np.ones(len(y))
    given = weight if weighted else None
    search = RegularizationPathCV(model, ALPHAS, cv=FOLDS).fit(X, y, sample_weight=given)
    assert search.task_scores_.shape == (len(ALPHAS), 3, 4)
    for number, (train, test) in enumerate(FOLDS.split(X)):
        model.set_params(alpha=ALPHAS[1]).fit(X[train], y[train], weight[train])
        for t in range(4):
            own = test[codes[test] == t]
            if is_classifier(model):
                labels, p = model.classes_, model.predict_proba(X[own])
                score = -log_loss(y[own], p, labels=labels, sample_weight=weight[own])
            else:
                predicted = model.predict(X[own])
                score = -mean_squared_error(y[own], predicted, sample_weight=weight[own])
            assert_allclose(search.task_scores_[1, number, t], score, rtol=1e-5)


def test_wide_indicator():
    X, Y = make_indicator()
    model, cv = MeanRegularizedClassifier(), KFold(3)
    ours = RegularizationPathCV(model, ALPHAS, cv=3).fit(X, Y)
    theirs = GridSearchCV(model, {"alpha": ALPHAS}, cv=cv).fit(X, Y)
    for key in ("mean_test_score", "std_test_score", "rank_test_score"):
        assert_allclose(ours.cv_results_[key], theirs.cv_results_[key], rtol=1e-6)
    train, test = next(cv.split(X))
    model.set_params(alpha=ALPHAS[2]).fit(X[train], Y[train])
    p = model.predict_proba(X[test])
    score = [-log_loss(Y[test, t], p[:, t], labels=[0, 1]) for t in range(4)]
    assert_allclose(ours.task_scores_[2, 0], score, rtol=1e-5)
    assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("name", ["mean", "binary"])
def test_one_standard_error(name):
    """The largest alpha, wherever it is, within the standard error of the mean over 5 folds."""
    model, (X, y), grid = MEAN, (ROWS.long, ROWS.y), {"alpha_intercept": [2.0, 0.0]}
    alphas = np.geomspace(0.1, 1e3, 300 if name == "mean" else 8)
    if name == "binary":
        model, grid, (X, y, _) = MeanRegularizedClassifier(task_column=0), {}, data("binary")
    alphas = np.random.default_rng(0).permutation(alphas)
    plain = RegularizationPathCV(model, alphas, param_grid=grid, cv=5).fit(X, y)
    params = plain.cv_results_["params"]
    folds = np.stack([plain.cv_results_[f"split{k}_test_score"] for k in range(5)])
    mean, best = folds.mean(axis=0), folds.mean(axis=0).argmax()
    error = folds[:, best].std(ddof=1) / np.sqrt(5)
    same = [
        c for c in range(len(mean)) if params[c] == {**params[best], "alpha": params[c]["alpha"]}
    ]
    chosen = [
        max((c for c in same if mean[c] >= mean[best] - e), key=lambda c: params[c]["alpha"])
        for e in (error, error * np.sqrt(0.8))  # the latter as of n, not of n - 1
    ]
    ours = clone(plain).set_params(one_standard_error=True).fit(X, y)
    assert plain.best_index_ == best != chosen[0]
    assert (chosen[0] == chosen[1]) == (name == "binary")
    assert ours.best_index_ == chosen[0]
    near = [
        one["alpha"] for one, score in zip(params, mean, strict=True) if score >= mean[best] - error
    ]
    assert (max(near) > ours.best_params_["alpha"]) == (
        name == "mean"
    )  # with another alpha_intercept
    assert ours.best_params_ == params[chosen[0]]
    assert_allclose(ours.best_score_, mean[chosen[0]], rtol=1e-12)
    assert ours.best_estimator_.alpha == ours.best_params_["alpha"]


@pytest.mark.parametrize("layout", ["long", "weighted", "wide", "binary"])
def test_alphas_from_the_curvature(layout):
    """From 1e-4 to 1e3 times the mean over tasks and features of their sums of squares."""
    weight, bound = None, 0.25 if layout == "binary" else 1.0
    model = (MeanRegularizedClassifier if layout == "binary" else MeanRegularizedRegressor)()
    if layout == "wide":
        X, y = make_wide(missing=0.0)
        squares = ((X - X.mean(axis=0)) ** 2).sum(axis=0)
    else:
        rows = BINARY if layout == "binary" else ROWS
        X, y, model = rows.long, rows.y, model.set_params(task_column=0)
        if layout == "weighted":
            weight = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
        own = np.ones(len(y)) if weight is None else weight
        Z = rows.X - np.average(rows.X, axis=0, weights=own)
        squares = np.stack([own[rows.codes == t] @ Z[rows.codes == t] ** 2 for t in range(4)])
    search = RegularizationPathCV(model, 5, cv=2, refit=False).fit(X, y, sample_weight=weight)
    expected = np.geomspace(1e-4, 1e3, 5) * bound * squares.mean()
    assert_allclose(search.alphas_, expected, rtol=1e-10)
    assert_array_equal(search.cv_results_["param_alpha"].data, search.alphas_)
    assert len(RegularizationPathCV(model, cv=2, refit=False).fit(X, y).alphas_) == 50


def test_alphas_from_alpha_max():
    """Of a norm; where there is none, from the curvature."""

    def alphas(model):
        search = RegularizationPathCV(model, 4, cv=FOLDS, refit=False)
        return search.fit(ROWS.long, ROWS.y).alphas_

    for penalty in ("l21", "robust_mean", SUM):
        model = ADMMRegressor(penalty, task_column=0)
        top = alpha_max(model, ROWS.long, ROWS.y)
        assert_allclose(alphas(model), top * np.array([1e-3, 1e-2, 1e-1, 1.0]), rtol=1e-10)
    assert_allclose(alphas(ADMMRegressor("ridge", task_column=0)), alphas(MEAN), rtol=1e-12)


def test_a_value_twice():
    X, y, _ = data("binary")
    model = MeanRegularizedClassifier(task_column=0, **SHARED)
    once, twice = (
        RegularizationPathCV(model, alphas, cv=FOLDS, refit=False).fit(X, y).cv_results_
        for alphas in ([0.2, 5.0], [5.0, 0.2, 5.0])
    )
    expected = once["mean_test_score"][[1, 0, 1]]
    assert_allclose(twice["mean_test_score"], expected, rtol=1e-4)


@pytest.mark.parametrize("scoring", ["r2", "neg_mean_squared_error"])
def test_targets_that_were_not_observed(scoring):
    """Scores are means over tasks of those of their observed rows."""
    X, Y = make_wide(n=40, missing=0.3)
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(X))
    model, cv = MeanRegularizedRegressor(), KFold(3)
    search = RegularizationPathCV(model, ALPHAS, cv=cv, scoring=scoring).fit(X, Y, weight)
    metric = get_scorer(scoring)._score_func
    for number, (train, test) in enumerate(cv.split(X)):
        for alpha, found in zip(
            ALPHAS, search.cv_results_[f"split{number}_test_score"], strict=True
        ):
            fitted = clone(model).set_params(alpha=alpha).fit(X[train], Y[train], weight[train])
            predicted, scores = fitted.predict(X[test]), []
            for t in range(Y.shape[1]):
                own = ~np.isnan(Y[test, t])
                given = Y[test][own, t], predicted[own, t]
                scores.append(metric(*given, sample_weight=weight[test][own]))
            sign = 1 if scoring == "r2" else -1
            assert_allclose(found, sign * np.mean(scores), rtol=1e-8)


def test_one_alpha_from_the_data_is_in_the_middle():
    three, one = (
        RegularizationPathCV(MEAN, n, cv=FOLDS, refit=False).fit(ROWS.long, ROWS.y).alphas_
        for n in (3, 1)
    )
    assert_allclose(one, three[1:2], rtol=1e-12)


def test_intercept_weights_given_and_estimated():
    """A weight that is estimated in some of the fits is estimated in each of them anew."""
    grid = {"alpha_intercept": [1.0, "auto"]}
    model = MeanRegularizedRegressor(task_column=0)
    ours = RegularizationPathCV(model, ALPHAS, param_grid=grid, cv=FOLDS).fit(ROWS.long, ROWS.y)
    theirs = grid_search(model, ALPHAS, ROWS.long, ROWS.y, FOLDS, grid)
    for key in ("mean_test_score", "std_test_score"):
        assert_allclose(ours.cv_results_[key], theirs.cv_results_[key], rtol=1e-6)
