"""RegularizationPathCV finds what GridSearchCV finds, of the models that it solves at once."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import __version__ as sklearn_version
from sklearn.base import clone
from sklearn.metrics import make_scorer, mean_absolute_error
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    RepeatedKFold,
    ShuffleSplit,
)
from sklearn.utils.fixes import parse_version

from skmtl import ADMMRegressor, MeanRegularizedRegressor, PooledRegressor, SharedL2Regressor
from skmtl.data import read_rows
from skmtl.metrics import make_task_scorer
from skmtl.model_selection import RegularizationPathCV, TaskKFold
from skmtl.model_selection._ridge_search import RidgeSearch
from tests._problems import REGRESSORS, TASK_WEIGHT, make_rows, make_wide
from tests.model_selection._searches import RTOL, assert_same_search, grid_search

ALPHAS = [0.01, 0.5, 8.0, 1e3, np.inf]
FOLDS = TaskKFold(3, task_column=0)
ROWS = make_rows()
N = len(ROWS.y)
WEIGHT = np.random.default_rng(1).uniform(0.2, 3.0, N)


def compare(model, X, y, cv, *, alphas=ALPHAS, param_grid=None, scoring=None, fit=None, given=None):
    """Search both ways; ``given`` is what GridSearchCV gets as cv in place of the same."""
    model, fit = clone(model), fit or {}
    ours = RegularizationPathCV(model, alphas, param_grid=param_grid, cv=cv, scoring=scoring)
    ours.fit(X, y, **fit)
    given = cv if given is None else given
    theirs = grid_search(model, alphas, X, y, given, param_grid, scoring, **fit)
    assert_same_search(ours, theirs, X)
    if not np.isnan(y).any():
        assert_allclose(ours.score(X, y), theirs.score(X, y), rtol=RTOL)
    assert_array_equal(ours.alphas_, alphas)
    return ours


def largest_error(y, predicted):
    return np.abs(y - predicted).max()


SCORINGS = {
    "default": None,
    "r2": "r2",
    "squares": "neg_mean_squared_error",
    "absolute": "neg_mean_absolute_error",
    "made": make_scorer(mean_absolute_error, greater_is_better=False),
    "own": make_scorer(largest_error, greater_is_better=False),
    "macro": make_task_scorer("r2", task_column=0, average="macro"),
    "worst": make_task_scorer("mean_squared_error", task_column=0, average="worst"),
    "callable": lambda model, X, y: -np.abs(model.predict(X) - y).sum(),
}


LONG = {
    "pooled": PooledRegressor(),
    "pooled-within": PooledRegressor(alpha_intercept=0.0),
    "pooled-random-intercepts": PooledRegressor(alpha_intercept=3.0),
    "pooled-no-intercept": PooledRegressor(fit_intercept=False),
    "separate": SharedL2Regressor(),
    "separate-no-intercept": SharedL2Regressor(fit_intercept=False),
    "mean": MeanRegularizedRegressor(),
    "mean-free-intercepts": MeanRegularizedRegressor(alpha_intercept=0.0),
    "mean-one-intercept": MeanRegularizedRegressor(alpha_intercept=np.inf),
    "mean-shared": MeanRegularizedRegressor(alpha_shared=0.7, alpha_intercept=5.0),
    "mean-no-center": MeanRegularizedRegressor(alpha_shared=np.inf),
    "mean-no-intercept": MeanRegularizedRegressor(fit_intercept=False, alpha_shared=0.2),
}
WEIGHTS = {
    "none": (None, None),
    "rows": (WEIGHT, None),
    "balanced": (None, "balanced"),
    "dict": (None, {**TASK_WEIGHT, "absent": 3.0}),
    "rows-array": (WEIGHT, [2.0, 0.5, 1.0, 3.0]),
    "rows-balanced": (WEIGHT, "balanced"),
}


def long_model(name, **params):
    return clone(LONG[name]).set_params(task_column=0, **params)


@pytest.mark.parametrize("weights", ["none", "rows-balanced"])
@pytest.mark.parametrize("name", LONG)
def test_long_form(name, weights, fits):
    sample_weight, task_weight = WEIGHTS[weights]
    model = long_model(name, task_weight=task_weight)
    compare(model, ROWS.long, ROWS.y, FOLDS, fit={"sample_weight": sample_weight})
    # one is the refit; the others are GridSearchCV's
    assert len(fits) == 1 + FOLDS.n_splits * len(ALPHAS) + 1


@pytest.mark.parametrize("weights", WEIGHTS)
def test_weights(weights):
    sample_weight, task_weight = WEIGHTS[weights]
    fit, squares = {"sample_weight": sample_weight}, "neg_mean_squared_error"
    model = long_model("mean", task_weight=task_weight)
    weighted = compare(model, ROWS.long, ROWS.y, FOLDS, fit=fit, scoring=squares)
    plain = clone(weighted).set_params(estimator=long_model("mean")).fit(ROWS.long, ROWS.y)
    scores = [search.cv_results_["mean_test_score"] for search in (weighted, plain)]
    assert np.allclose(*scores, rtol=1e-4) == (weights == "none")


@pytest.mark.parametrize("name", ["default", "squares", "made", "macro"])
@pytest.mark.parametrize("form", ["long", "wide", "one by one"])
def test_weights_in_scores(name, form):
    """The fast scores, scorers of all kinds, and those of models fitted one by one."""
    model, scoring = long_model("mean", alpha_shared=0.1), SCORINGS[name]
    X, y, cv = ROWS.long, ROWS.y, FOLDS
    if form == "wide":
        X, y = make_wide(missing=0.0)
        model, cv = model.set_params(task_column=None), KFold(3)
        scoring = make_task_scorer("r2") if name == "macro" else scoring
    alphas = [0.0, 2.0] if form == "one by one" else ALPHAS
    compare(
        model, X, y, cv, alphas=alphas, scoring=scoring, fit={"sample_weight": WEIGHT[: len(y)]}
    )


@pytest.mark.skipif(parse_version(sklearn_version) < parse_version("1.7"), reason="GridSearchCV")
def test_weights_as_in_grid_search():
    """Without metadata routing; a scorer that takes no weights counts all rows alike."""
    data = ROWS.long, ROWS.y, WEIGHT
    for scoring in ("neg_mean_squared_error", "neg_max_error"):
        ours = RegularizationPathCV(long_model("mean"), ALPHAS, cv=FOLDS, scoring=scoring)
        theirs = GridSearchCV(long_model("mean"), {"alpha": ALPHAS}, cv=FOLDS, scoring=scoring)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            ours.fit(*data)
        said = {"takes no sample_weight" in str(warning.message) for warning in caught}
        assert said == ({True} if scoring == "neg_max_error" else set())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs.fit(*data[:2], sample_weight=WEIGHT)
        assert_same_search(ours, theirs, ROWS.long)


WIDE = {
    "pooled": PooledRegressor(),
    "pooled-within": PooledRegressor(alpha_intercept=0.0),
    "pooled-random-intercepts": PooledRegressor(alpha_intercept=3.0),
    "separate": SharedL2Regressor(),
    "mean": MeanRegularizedRegressor(),
    "mean-shared": MeanRegularizedRegressor(alpha_shared=0.7, alpha_intercept=np.inf),
    "mean-no-intercept": MeanRegularizedRegressor(fit_intercept=False),
}


@pytest.mark.parametrize("name", WIDE)
def test_wide_form(name, fits):
    X, Y = make_wide(missing=0.0)
    fit = {"sample_weight": np.random.default_rng(3).uniform(0.2, 3.0, len(X))}
    compare(WIDE[name], X, Y, KFold(3, shuffle=True, random_state=0), fit=fit)
    assert len(fits) == 1 + 3 * len(ALPHAS) + 1


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_wide_form_fitted_one_by_one(missing):
    """Missing targets (a score for observed ones only) and task weights have no fast route."""
    X, Y = make_wide(missing=missing)
    model = MeanRegularizedRegressor(task_weight=[1.0, 2.0, 0.5, 3.0])
    scoring = make_task_scorer("mean_squared_error")
    ours = compare(model, X, Y, KFold(3), scoring=scoring)
    train, test = next(KFold(3).split(X))
    model.set_params(alpha=ALPHAS[2]).fit(X[train], Y[train])
    expected = -np.nanmean((model.predict(X[test]) - Y[test]) ** 2, axis=0)
    assert_allclose(ours.task_scores_[2, 0], expected, rtol=RTOL)


@pytest.mark.parametrize("model", [e() for e in REGRESSORS], ids=repr)
@pytest.mark.parametrize("form", ["alone", "column of Y", "label"])
def test_single_task(model, form):
    rows, model = make_rows(sizes=(12,)), clone(model)
    if isinstance(model, MeanRegularizedRegressor):
        model.set_params(alpha_shared=0.7)  # a free center would be the task itself
    if form == "alone":
        compare(model, rows.X, rows.y, 3)
    elif form == "column of Y":
        compare(model, rows.X, rows.y[:, None], 3)
    else:
        compare(model.set_params(task_column=0), rows.long, rows.y, 3, given=FOLDS)


GRIDS = {
    "intercepts": ("mean", {"alpha_intercept": [0.0, 2.0, 50.0, np.inf]}),
    "center": ("mean", {"alpha_shared": [0.0, 1.0, 30.0, np.inf]}),
    "both": ("mean", {"alpha_shared": [0.5, np.inf], "alpha_intercept": [10.0, 0.0]}),
    "pooled": ("pooled", {"alpha_intercept": [np.inf, 0.0, 7.0]}),
}


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("name", GRIDS)
def test_penalty_weights(name, wide, fits):
    name, grid = GRIDS[name]
    if wide:
        ours = compare(WIDE[name], *make_wide(missing=0.0), 3, param_grid=grid)
    else:
        ours = compare(long_model(name), ROWS.long, ROWS.y, FOLDS, param_grid=grid)
    assert len(ours.cv_results_["params"]) == len(ALPHAS) * np.prod([*map(len, grid.values())])
    assert len(fits) == 1 + 3 * len(ours.cv_results_["params"]) + 1


@pytest.mark.parametrize("name", SCORINGS)
def test_scoring(name, fits):
    compare(long_model("mean"), ROWS.long, ROWS.y, FOLDS, scoring=SCORINGS[name])
    assert len(fits) == 1 + FOLDS.n_splits * len(ALPHAS) + 1


def test_constant_target():
    """R^2 has a convention there."""
    X, Y = make_wide(missing=0.0)
    Y[:5, 1] = Y[0, 1]
    compare(MeanRegularizedRegressor(), X, Y, [(np.arange(5, len(Y)), np.arange(5))])


@pytest.mark.filterwarnings("ignore:.*well-defined:sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("model", [MeanRegularizedRegressor(), ADMMRegressor("l21")], ids=repr)
def test_a_fold_of_one_row(model):
    """It has no R^2: nothing is to choose from. The last search stays as it was."""
    pairs = [(np.arange(1, N), np.arange(1)), (np.arange(9, N), np.arange(9))]
    model = clone(model).set_params(task_column=0)
    search = RegularizationPathCV(model, ALPHAS, cv=2).fit(ROWS.long, ROWS.y)
    last = dict(vars(search))
    search.set_params(cv=pairs)
    with pytest.raises(ValueError, match=r"'r2' is NaN on 1 of 2 splits \(0\).*Use fewer folds"):
        search.fit(ROWS.long, ROWS.y)
    assert vars(search) == last | {"cv": pairs}


SPLITTERS = {
    "tasks": FOLDS,
    "shuffled-tasks": TaskKFold(3, task_column=0, shuffle=True, random_state=5),
    "folds": KFold(3, shuffle=True, random_state=0),
    "repeated": RepeatedKFold(n_splits=3, n_repeats=2, random_state=0),
    "shuffled": ShuffleSplit(5, test_size=0.3, random_state=0),
    "one": ShuffleSplit(1, test_size=0.3, random_state=0),
    "overlap": [(np.arange(N), np.arange(N)), (np.arange(5, N), np.arange(12))],
    "negative": [(np.arange(N - 6), np.arange(-6, 0))],
    "masks": [(np.arange(N) % 3 != k, np.arange(N) % 3 == k) for k in range(3)],
    "unordered": [(np.random.default_rng(2).permutation(N)[:25], np.arange(N)[::-1])],
    "lists": [(list(range(8, N)), list(range(8)))],
    "bootstrap": [(np.random.default_rng(s).integers(0, N, N), np.arange(N)) for s in range(3)],
}


@pytest.mark.parametrize("name", SPLITTERS)
def test_splitters(name, fits):
    cv = SPLITTERS[name]
    ours = compare(long_model("mean"), ROWS.long, ROWS.y, cv, fit={"sample_weight": WEIGHT})
    if name != "bootstrap":  # whose rows repeat
        assert len(fits) == 1 + ours.n_splits_ * len(ALPHAS) + 1


def test_integer_cv_and_generator():
    """A number means folds that keep every task; splits that are gone once read are kept."""
    model = MeanRegularizedRegressor(task_column=0)
    compare(model, ROWS.long, ROWS.y, 3, given=TaskKFold(3, task_column=0))
    pairs = list(KFold(3, shuffle=True, random_state=0).split(ROWS.long))
    compare(model, ROWS.long, ROWS.y, iter(pairs), given=pairs)


def test_groups():
    model = long_model("pooled-random-intercepts")
    compare(model, ROWS.long, ROWS.y, GroupKFold(3), fit={"groups": np.arange(N) // 6})
    with pytest.raises(ValueError, match="groups"):
        RegularizationPathCV(model, ALPHAS, cv=GroupKFold(3)).fit(ROWS.long, ROWS.y)


@pytest.mark.parametrize("cv", [LeaveOneGroupOut(), KFold(4)], ids=repr)
def test_tasks_absent_from_training(cv):
    """Tasks of the test rows, and tasks of no test row; the shared model predicts the former."""
    order = np.argsort(ROWS.codes, kind="stable")
    X, y = ROWS.long[order], ROWS.y[order]
    fit = {"groups": X[:, 0]} if isinstance(cv, LeaveOneGroupOut) else {}
    model = MeanRegularizedRegressor(task_column=0, handle_unknown="shared", alpha_shared=0.1)
    ours = compare(model, X, y, cv, fit=fit)
    assert np.isfinite(ours.cv_results_["mean_test_score"]).all()
    model = MeanRegularizedRegressor(task_column=0)
    with pytest.raises(ValueError, match=r"predict got task.*not seen in fit.*TaskKFold"):
        RegularizationPathCV(model, ALPHAS, cv=cv).fit(X, y, **fit)


@pytest.mark.parametrize("task_weight", [None, "balanced", TASK_WEIGHT])
def test_tasks_that_neither_train_nor_test(task_weight, fits):
    """They are no part of the problem: neither of its center nor of the mean weight of a task."""
    kept = np.flatnonzero(ROWS.codes != 1)
    pairs = [(np.delete(kept, np.s_[k::3]), kept[k::3]) for k in range(3)]
    for name in ("mean", "mean-no-intercept", "separate", "pooled-random-intercepts"):
        model = long_model(name, task_weight=task_weight)
        fits.clear()
        ours = compare(model, ROWS.long, ROWS.y, pairs)
        assert len(fits) == 3 * len(ALPHAS) + 2
        assert np.isnan(ours.task_scores_[:, :, 1]).all()
        assert np.isfinite(ours.task_scores_[:, :, [0, 2, 3]]).all()


def test_zero_weights():
    """Rows and tasks of no weight are no part of a fit, but of its scores."""
    weight = np.where(np.arange(N) % 5 == 0, 0.0, WEIGHT)
    model = MeanRegularizedRegressor(task_column=0)
    compare(model, ROWS.long, ROWS.y, FOLDS, fit={"sample_weight": weight})
    model = MeanRegularizedRegressor(
        task_column=0, task_weight={**TASK_WEIGHT, 2: 0.0}, handle_unknown="shared"
    )
    compare(model, ROWS.long, ROWS.y, FOLDS)


@pytest.mark.parametrize("alphas", [[0.0, 1.0, np.inf], [0.0], [np.inf], [3.0], [5.0, 0.2, 5.0]])
@pytest.mark.parametrize("name", ["pooled-random-intercepts", "separate", "mean"])
def test_unusual_alphas(name, alphas):
    """Zero, infinity, a single one, an order of their own with one twice."""
    model = long_model(name)
    if len(alphas) == 1:
        ours = RegularizationPathCV(model, alphas, cv=FOLDS).fit(ROWS.long, ROWS.y)
        theirs = grid_search(model, alphas, ROWS.long, ROWS.y, FOLDS)
        for key in ("split0_test_score", "split2_test_score", "std_test_score"):
            assert_allclose(ours.cv_results_[key], theirs.cv_results_[key], rtol=RTOL)
    else:
        compare(model, ROWS.long, ROWS.y, FOLDS, alphas=alphas)


@pytest.mark.parametrize("name", ["separate", "mean-shared"])
def test_fewer_rows_than_features(name, fits):
    for sizes, d in (((4, 5, 3), 20), ((9, 8, 10), 12)):
        rows = make_rows(sizes=sizes, d=d)
        fits.clear()
        compare(long_model(name), rows.long, rows.y, FOLDS)
        assert len(fits) == 1 + FOLDS.n_splits * len(ALPHAS) + 1  # ours is one


@pytest.mark.parametrize("seed", range(12))
def test_fewer_rows_than_features_whatever_the_rows(seed):
    """Parts of the rows span less than all: the null space must be found."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.repeat([0, 1, 2], (6, 4, 5)), rng.normal(size=(15, 21))])
    y = X[:, 1:4].sum(axis=1) + rng.normal(size=15)
    cv = KFold(4, shuffle=True, random_state=seed)
    for name in ("pooled", "mean-shared"):
        compare(long_model(name), X, y, cv, alphas=[1.0, 100.0])
    X[:, 1] *= 1e6  # a basis of the rows would lose the others
    model = long_model("mean-shared")
    rows = read_rows(model, X, y, None, reset=True)
    assert RidgeSearch.of(model, [{"alpha": 1.0}], rows) is None


def test_many_rows_away_from_zero():
    """Means far from zero, scales far from one: the moments must be of deviations."""
    rows = make_rows(sizes=(60, 30, 45, 80), d=4, seed=3)
    X = np.column_stack([rows.codes, 1e4 + rows.X * [1.0, 10.0, 1.0, 0.1]])
    compare(long_model("mean"), X, 1e4 + rows.y, FOLDS, alphas=[0.1, 1.0, 30.0])
