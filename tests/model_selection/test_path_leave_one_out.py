"""RegularizationPathCV with cv=None: scores of every row by the fit without it."""

from copy import copy

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import KFold, LeaveOneOut, cross_val_predict

from skmtl import (
    GraphRegularizedRegressor,
    MeanRegularizedRegressor,
    PooledRegressor,
    SharedL2Regressor,
)
from skmtl.datasets import load_radon
from skmtl.metrics import make_task_scorer
from skmtl.model_selection import RegularizationPathCV, TaskKFold
from tests._dense import Dense
from tests._problems import TASK_WEIGHT, make_rows, make_wide, melt, task_weights
from tests.model_selection._searches import RTOL, assert_same_search, grid_search

ALPHAS = [0.05, 3.0, np.inf]
ROWS = make_rows(sizes=(5, 4, 6, 4))
N = len(ROWS.y)
WEIGHT = np.random.default_rng(1).uniform(0.2, 3.0, N)

EXACT = {
    "pooled": PooledRegressor(),
    "pooled-within": PooledRegressor(alpha_intercept=0.0),
    "pooled-random-intercepts": PooledRegressor(alpha_intercept=3.0),
    "pooled-no-intercept": PooledRegressor(fit_intercept=False),
    "separate": SharedL2Regressor(),
    "separate-no-intercept": SharedL2Regressor(fit_intercept=False),
    "mean-free-intercepts": MeanRegularizedRegressor(alpha_intercept=0.0),
    "mean-no-intercept": MeanRegularizedRegressor(fit_intercept=False),
}
PENALIZED_INTERCEPTS = {
    "mean-one-intercept": MeanRegularizedRegressor(alpha_intercept=np.inf, alpha_shared=0.5),
    "mean": MeanRegularizedRegressor(),
    "mean-shared": MeanRegularizedRegressor(alpha_shared=0.7, alpha_intercept=5.0),
    "mean-no-center": MeanRegularizedRegressor(alpha_shared=np.inf, alpha_intercept=0.3),
}


def left_out(search):
    """Return mean score, spread, and scores of tasks, as a search has them."""
    table = search.cv_results_
    return table["mean_test_score"], table["std_test_score"], search.task_scores_


def expected(predictions, y, codes=None, weight=None):
    """Return the same of predictions (C, n) or (C, n, T)."""
    squares = (np.asarray(predictions) - y) ** 2
    rows = squares if y.ndim == 1 else squares.mean(axis=2)
    weight = np.ones(len(y)) if weight is None else weight
    mean = rows @ weight / weight.sum()
    spread = np.sqrt((rows - mean[:, None]) ** 2 @ weight / weight.sum())
    if y.ndim == 2:
        tasks = squares.swapaxes(1, 2) @ weight / weight.sum()
    else:
        own = (codes[:, None] == np.unique(codes)) * weight[:, None]
        tasks = squares @ (own / own.sum(axis=0))
    return -mean, spread, -tasks[:, None]


def assert_same_scores(found, wanted, rtol=RTOL):
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape
        assert_allclose(a, b, rtol=rtol)


def refits(model, alphas, X, y, weight=None):
    """Return the prediction of every row by a fit without it, (C, n) or (C, n, T)."""
    found = np.empty((len(alphas), *y.shape))
    model = clone(model)
    for alpha, row in zip(alphas, found, strict=True):
        model.set_params(alpha=alpha)
        for i in range(len(y)):
            rest = np.delete(np.arange(len(y)), i)
            own = None if weight is None else weight[rest]
            row[i] = model.fit(X[rest], y[rest], own).predict(X[[i]])[0]
    return found


def dense(model, alphas, rows, weight=None, groups=None):
    """Return the same by the objective written out, its intercepts at the mean of all rows.

    Rows of the same group are left out together.
    """
    groups = np.arange(len(rows.y)) if groups is None else groups
    found = np.empty((len(alphas), len(rows.y)))
    for alpha, row in zip(alphas, found, strict=True):
        problem = Dense(clone(model).set_params(alpha=alpha), rows, weight)
        for group in np.unique(groups):
            own, rest = groups == group, copy(problem)
            rest.A, rest.y, rest.weight = problem.A[~own], rows.y[~own], problem.weight[~own]
            row[own] = problem.A[own] @ rest.solve()[0]
    return found


@pytest.mark.parametrize("name", [*EXACT, "pooled weighted", "separate weighted"])
def test_exact_refits(name, fits):
    name, _, weighted = name.partition(" ")
    model, weight = clone(EXACT[name]).set_params(task_column=0), None
    if weighted:
        model.set_params(task_weight=TASK_WEIGHT)
        weight = WEIGHT
    search = RegularizationPathCV(model, ALPHAS).fit(ROWS.long, ROWS.y, sample_weight=weight)
    assert len(fits) == 1
    predictions = refits(model, ALPHAS, ROWS.long, ROWS.y, weight)
    assert_same_scores(left_out(search), expected(predictions, ROWS.y, ROWS.codes, weight))
    assert search.n_splits_ == N
    assert np.ptp(search.cv_results_["mean_test_score"]) > 0.01


@pytest.mark.parametrize("weights", [None, "both"])
@pytest.mark.parametrize("name", PENALIZED_INTERCEPTS)
def test_intercepts_at_the_mean_of_all_rows(name, weights):
    model = clone(PENALIZED_INTERCEPTS[name]).set_params(task_column=0)
    weight = total = None
    if weights == "both":
        model.set_params(task_weight=TASK_WEIGHT)
        weight = WEIGHT
        total = WEIGHT * task_weights(ROWS.codes)
    search = RegularizationPathCV(model, ALPHAS).fit(ROWS.long, ROWS.y, sample_weight=weight)
    predictions = dense(model, ALPHAS, ROWS, total)
    assert_same_scores(left_out(search), expected(predictions, ROWS.y, ROWS.codes, weight))


def test_balanced_tasks_keep_their_weights():
    """N / (T n_t) is of all rows, whichever is left out."""
    counts = np.bincount(ROWS.codes)
    balanced = dict(enumerate(N / (4 * counts)))
    for name in ("pooled-random-intercepts", "mean-no-intercept"):
        model = clone(EXACT[name]).set_params(task_column=0, task_weight="balanced")
        search = RegularizationPathCV(model, ALPHAS).fit(ROWS.long, ROWS.y)
        predictions = refits(model.set_params(task_weight=balanced), ALPHAS, ROWS.long, ROWS.y)
        assert_same_scores(left_out(search), expected(predictions, ROWS.y, ROWS.codes))


@pytest.mark.parametrize("alpha_intercept", [1.0, np.inf])
def test_how_far_refits_are_when_they_move_the_mean(alpha_intercept):
    """By about 1 / n, and not at all where slopes are pooled; the docstring says so."""
    text = " ".join(RegularizationPathCV.__doc__.split())
    assert "Refits without a row would move them by about 1/n" in text
    model = MeanRegularizedRegressor(task_column=0, alpha_intercept=alpha_intercept)
    for factor in (1, 2):
        rows = make_rows(sizes=factor * np.array([4, 3, 6, 5]))
        alphas = [2.0, np.inf]
        search = RegularizationPathCV(model, alphas).fit(rows.long, rows.y)
        moved = expected(refits(model, alphas, rows.long, rows.y), rows.y, rows.codes)
        gap = np.abs(left_out(search)[0] / moved[0] - 1)
        assert 1e-5 < gap[0] < 5 / len(rows.y)
        assert gap[1] < RTOL


WIDE = {
    "pooled": PooledRegressor(),
    "pooled-within": PooledRegressor(alpha_intercept=0.0),
    "pooled-random-intercepts": PooledRegressor(alpha_intercept=3.0),
    "separate": SharedL2Regressor(),
    "mean": MeanRegularizedRegressor(),  # a single X: the center can only be shifted
    "mean-shared": MeanRegularizedRegressor(alpha_shared=0.7, alpha_intercept=4.0),
    "mean-no-intercept": MeanRegularizedRegressor(fit_intercept=False, alpha_shared=0.1),
}


@pytest.mark.parametrize("name", [*WIDE, "mean weighted", "pooled-within weighted"])
def test_wide_form(name):
    """A row is left out with all its targets."""
    name, _, weighted = name.partition(" ")
    X, Y = make_wide(n=16, missing=0.0)
    model = WIDE[name]
    weight = np.random.default_rng(5).uniform(0.2, 3.0, len(X)) if weighted else None
    search = RegularizationPathCV(model, ALPHAS).fit(X, Y, sample_weight=weight)
    rows, long_weight = melt(X, Y, weight)
    predictions = dense(model, ALPHAS, rows, long_weight, np.repeat(np.arange(len(X)), 4))
    wanted = expected(predictions.reshape(len(ALPHAS), *Y.shape), Y, weight=weight)
    assert_same_scores(left_out(search), wanted)
    if name not in PENALIZED_INTERCEPTS:
        predictions = refits(model, ALPHAS, X, Y, weight)
        assert_same_scores(left_out(search), expected(predictions, Y, weight=weight))


@pytest.mark.parametrize("model", [PooledRegressor(), SharedL2Regressor()], ids=repr)
def test_single_task(model):
    rows = make_rows(sizes=(20,))
    predictions = refits(model, ALPHAS, rows.X, rows.y)
    wanted = expected(predictions, rows.y, rows.codes)
    assert_same_scores(left_out(RegularizationPathCV(model, ALPHAS).fit(rows.X, rows.y)), wanted)
    column = RegularizationPathCV(model, ALPHAS).fit(rows.X, rows.y[:, None])
    assert_same_scores(left_out(column), wanted)


def test_penalty_weights():
    """Every combination, in the order of GridSearchCV."""
    model = MeanRegularizedRegressor(task_column=0)
    grid = {"alpha_intercept": [0.0, 3.0, np.inf], "alpha_shared": [0.0, 20.0, np.inf]}
    search = RegularizationPathCV(model, ALPHAS, param_grid=grid).fit(ROWS.long, ROWS.y)
    params = search.cv_results_["params"]
    theirs = grid_search(model, ALPHAS, ROWS.long, ROWS.y, TaskKFold(2, task_column=0), grid)
    assert params == theirs.cv_results_["params"]
    for number in range(0, len(params), 5):
        one = {name: value for name, value in params[number].items() if name != "alpha"}
        alpha = [params[number]["alpha"]]
        predictions = dense(clone(model).set_params(**one), alpha, ROWS)
        score = expected(predictions, ROWS.y, ROWS.codes)[0][0]
        assert_allclose(search.cv_results_["mean_test_score"][number], score, rtol=RTOL)
    best = np.argmax(search.cv_results_["mean_test_score"])
    assert search.best_index_ == best
    assert search.best_params_ == params[best]
    assert search.best_estimator_.get_params() == {**model.get_params(), **params[best]}


def macro_r2(y, predicted):
    return np.mean([r2_score(y[ROWS.codes == t], predicted[ROWS.codes == t]) for t in range(4)])


SCORINGS = {
    "r2": ("r2", r2_score),
    "absolute": ("neg_mean_absolute_error", lambda y, p: -mean_absolute_error(y, p)),
    "macro": (make_task_scorer("r2", task_column=0), macro_r2),
}


@pytest.mark.parametrize("name", SCORINGS)
def test_scoring(name):
    """All rows are scored at once."""
    scoring, metric = SCORINGS[name]
    model = SharedL2Regressor(task_column=0)
    search = RegularizationPathCV(model, ALPHAS, scoring=scoring).fit(ROWS.long, ROWS.y)
    for number, alpha in enumerate(ALPHAS):
        model.set_params(alpha=alpha)
        predicted = cross_val_predict(model, ROWS.long, ROWS.y, cv=LeaveOneOut())
        found = search.cv_results_["mean_test_score"][number]
        assert_allclose(found, metric(ROWS.y, predicted), rtol=RTOL)
    with pytest.raises(ValueError, match=r"one_standard_error needs a score for each row"):
        search.set_params(one_standard_error=True).fit(ROWS.long, ROWS.y)


def test_table():
    model = MeanRegularizedRegressor(task_column=0)
    table = RegularizationPathCV(model, ALPHAS).fit(ROWS.long, ROWS.y).cv_results_
    theirs = grid_search(model, ALPHAS, ROWS.long, ROWS.y, TaskKFold(2, task_column=0)).cv_results_
    assert set(table) == {name for name in theirs if not name.startswith("split")}
    order = np.argsort(-table["mean_test_score"])
    assert [table["rank_test_score"][c] for c in order] == [1, 2, 3]


@pytest.mark.parametrize("handle_unknown", ["shared", "error"])
def test_a_task_with_a_single_row(handle_unknown):
    """Without it there is only the center to predict it with."""
    rows = make_rows(sizes=(9, 1, 14, 7))
    model = MeanRegularizedRegressor(
        task_column=0, handle_unknown="shared", alpha_shared=0.4, alpha_intercept=2.0
    )
    model.set_params(handle_unknown=handle_unknown)
    search = RegularizationPathCV(model, ALPHAS).fit(rows.long, rows.y)
    predictions = dense(model, ALPHAS, rows)
    assert_same_scores(left_out(search), expected(predictions, rows.y, rows.codes))


@pytest.mark.parametrize(
    "model", [SharedL2Regressor(), MeanRegularizedRegressor(alpha_intercept=0.0)], ids=repr
)
def test_rows_without_others_to_predict_them(model):
    rows = make_rows(sizes=(9, 1, 14, 7))
    model = clone(model).set_params(task_column=0)
    search = RegularizationPathCV(model, ALPHAS).fit(rows.long, rows.y)
    assert search.n_splits_ == 5
    assert np.isnan(search.task_scores_[:, :, 1]).all()  # a single row stays in training


def test_a_feature_of_one_row():
    """A free center knows of it from that row; one that is shrunk to zero does without."""
    X, y = ROWS.long.copy(), ROWS.y
    X[:, 3] = 0.0
    X[4, 3] = 1.0
    model = MeanRegularizedRegressor(task_column=0, fit_intercept=False)
    assert RegularizationPathCV(model, ALPHAS).fit(X, y).n_splits_ == 5
    model.set_params(alpha_shared=0.3)
    search = RegularizationPathCV(model, ALPHAS).fit(X, y)
    predictions = refits(model, ALPHAS, X, y)
    assert_same_scores(left_out(search), expected(predictions, y, ROWS.codes))


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("kind", ["separate", "center", "no intercept"])
def test_more_features_than_rows(kind, wide, fits):
    model = {
        "separate": SharedL2Regressor(),
        "center": MeanRegularizedRegressor(alpha_shared=0.4, alpha_intercept=0.0),
        "no intercept": MeanRegularizedRegressor(alpha_shared=0.4, fit_intercept=False),
    }[kind]
    rows = make_rows(sizes=(6, 4, 5), d=21)
    X, y, codes = rows.long, rows.y, rows.codes
    if wide:
        rng = np.random.default_rng(0)
        X, y, codes = rng.normal(size=(8, 12)), rng.normal(size=(8, 3)), None
    model = clone(model).set_params(task_column=None if wide else 0)
    search = RegularizationPathCV(model, ALPHAS).fit(X, y)
    assert len(fits) == 1
    assert search.n_splits_ == len(X)
    assert_same_scores(left_out(search), expected(refits(model, ALPHAS, X, y), y, codes))


@pytest.mark.parametrize("case", ["zero", "missing", "uneven"])
def test_five_folds_where_leaving_out_has_no_formula(case):
    """alpha = 0, missing targets, task weights in the wide form."""
    alphas, scoring, X, y = ALPHAS, "neg_mean_squared_error", ROWS.long, ROWS.y
    model = MeanRegularizedRegressor(task_column=0, alpha_shared=0.1)
    if case == "zero":
        alphas = [0.0, *ALPHAS]
    else:
        X, y = make_wide(missing=0.2 if case == "missing" else 0.0)
        model = clone(model).set_params(task_column=None)
        if case == "missing":
            scoring = make_task_scorer("mean_squared_error")
        else:
            model.set_params(task_weight=[1.0, 2.0, 0.5, 3.0])
    ours = RegularizationPathCV(model, alphas).fit(X, y)
    if case == "missing":  # of what was observed
        ours.set_params(scoring=scoring).fit(X, y)
    cv = KFold(5) if case == "uneven" else TaskKFold(5, task_column=model.task_column)
    theirs = grid_search(model, alphas, X, y, cv, scoring=scoring)
    assert ours.n_splits_ == 5
    assert_same_search(ours, theirs, X)


def test_rows_of_weight_zero_are_absent():
    weight = np.where(np.arange(N) % 6 == 0, 0.0, WEIGHT)
    there = weight > 0
    model = MeanRegularizedRegressor(task_column=0)
    ours = RegularizationPathCV(model, ALPHAS).fit(ROWS.long, ROWS.y, weight)
    other = RegularizationPathCV(model, ALPHAS)
    other.fit(ROWS.long[there], ROWS.y[there], weight[there])
    assert ours.n_splits_ == there.sum()
    assert_same_scores(left_out(ours), left_out(other))


def test_five_folds_of_other_models():
    edges = [(t, t + 1) for t in range(ROWS.codes.max())]
    model = GraphRegularizedRegressor(task_graph=edges, task_column=0)
    ours = RegularizationPathCV(model, ALPHAS[:2]).fit(ROWS.long, ROWS.y)
    cv = TaskKFold(5, task_column=0)
    squares = "neg_mean_squared_error"
    theirs = grid_search(model, ALPHAS[:2], ROWS.long, ROWS.y, cv, scoring=squares)
    assert ours.n_splits_ == 5
    assert_same_search(ours, theirs, ROWS.long, rtol=1e-6)


def test_all_pairs_are_a_center():
    searches = [
        RegularizationPathCV(model, ALPHAS).fit(ROWS.long, ROWS.y)
        for model in (
            GraphRegularizedRegressor(task_column=0),
            MeanRegularizedRegressor(task_column=0),
        )
    ]
    assert searches[0].n_splits_ == N
    assert_same_scores(*map(left_out, searches))


def test_one_standard_error():
    """Of the mean of n squared errors, as in Elements of statistical learning 7.10."""
    alphas = np.geomspace(0.1, 1e4, 11)
    model = SharedL2Regressor(task_column=0)
    squares = (refits(model, alphas, ROWS.long, ROWS.y) - ROWS.y) ** 2
    mean = squares.mean(axis=1)
    best = mean.argmin()
    error = squares[best].std() / np.sqrt(N)
    near = np.flatnonzero(mean <= mean[best] + error)
    search = RegularizationPathCV(model, alphas, one_standard_error=True).fit(ROWS.long, ROWS.y)
    assert search.best_index_ == near.max() > best
    assert search.best_params_ == {"alpha": alphas[near.max()]}
    assert search.best_estimator_.alpha == alphas[near.max()]
    assert_allclose(search.best_score_, -mean[near.max()], rtol=RTOL)


@pytest.mark.parametrize("cv", [None, 4])
@pytest.mark.parametrize("kind", ["pandas", "polars", "lists", "objects"])
def test_layouts_of_X(kind, cv):
    """The same numbers as of an array, whatever X and y are and scorers get."""
    labels = np.array(["a", "b", "c", "d"])[ROWS.codes]
    X = pd.DataFrame(ROWS.X, columns=["u", "v", "w"]).assign(school=labels)
    y, column = pd.Series(ROWS.y), "school"
    if kind == "polars":
        X = pl.DataFrame({name: X[name].to_list() for name in X})
    elif kind != "pandas":
        X, y, column = X.to_numpy(dtype=object), ROWS.y, -1
        X, y = (X.tolist(), y.tolist()) if kind == "lists" else (X, y)
    found = []
    for rows, target, task in ((X, y, column), (ROWS.long, ROWS.y, 0)):
        scoring = make_task_scorer("mean_squared_error", task_column=task)
        model = MeanRegularizedRegressor(task_column=task, alpha_intercept=0.0)
        search = RegularizationPathCV(model, ALPHAS, cv=cv, scoring=scoring).fit(rows, target)
        found.append((search.cv_results_["mean_test_score"], search.predict(rows)))
    for ours, plain in zip(*found, strict=True):
        assert_allclose(ours, plain, rtol=RTOL)


def test_radon():
    """Real data, with tasks of one row, against refits of some rows."""
    X, y = load_radon(return_X_y=True)
    X = np.column_stack([X, np.ones(len(X))])
    model = MeanRegularizedRegressor(task_column=0, fit_intercept=False, handle_unknown="shared")
    alphas = [1.0, 19.6, 300.0]
    search = RegularizationPathCV(model, alphas, scoring=make_recorder()).fit(X, y)
    predicted = np.transpose(search.scorer_.seen)
    for i in range(0, len(y), 60):
        rest = np.delete(np.arange(len(y)), i)
        for number, alpha in enumerate(alphas):
            one = clone(model).set_params(alpha=alpha).fit(X[rest], y[rest]).predict(X[[i]])
            assert_allclose(predicted[i, number], one[0], rtol=0, atol=1e-8 * np.ptp(y))


def make_recorder():
    """Return a scorer that keeps what it is shown."""

    def scorer(model, X, y):
        scorer.seen.append(model.predict(X))
        return -np.mean((y - scorer.seen[-1]) ** 2)

    scorer.seen = []
    return scorer
