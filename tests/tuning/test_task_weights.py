"""Task weights that follow the noise of the tasks, and what both kinds of weights share."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold

from skmtl import (
    ADMMRegressor,
    GraphRegularizedRegressor,
    MeanRegularizedRegressor,
    PooledClassifier,
    PooledRegressor,
    SharedL2Regressor,
)
from skmtl.arrowhead import degrees_of_freedom
from skmtl.tuning import _minimax, _noise
from skmtl.tuning._fixed_point import AndersonAcceleration
from tests._problems import (
    TASK_WEIGHT,
    make_rows,
    make_wide,
    melt,
    noisy,
    problem_of,
    weighted_rows,
)

cvxpy = pytest.importorskip("cvxpy")
CHAIN = [(0, 1, 2.0), (1, 2), (2, 3, 0.5)]


def simulate(sigma, n=120, d=3, seed=0, tau=1.0):
    """Random coefficients around a center; noise of known size in each task."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(sigma)), n)
    X = rng.normal(size=(len(codes), d))
    W = rng.normal(size=d) + tau * rng.normal(size=(len(sigma), d))
    intercept = 3 + tau * rng.normal(size=len(sigma))
    noise = np.asarray(sigma)[codes] * rng.normal(size=len(codes))
    y = np.einsum("ij,ij->i", X, W[codes]) + intercept[codes] + noise
    return np.column_stack([codes, X]), y


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("model", [SharedL2Regressor(1e-3), MeanRegularizedRegressor(1.0)], ids=str)
def test_known_noise_is_recovered_within_standard_errors(model, seed):
    sigma = np.geomspace(0.5, 2.0, 30)
    X, y = simulate(sigma, seed=seed)
    model = clone(model).set_params(task_column=0, task_weight="uncertainty").fit(X, y)
    z = np.log(model.noise_variance_ / sigma**2) / np.sqrt(2 / (120 - 4))
    assert np.abs(z).max() < 4
    low, high = stats.chi2.ppf([0.001, 0.999], 30)
    assert low < (z**2).sum() < high


UNCERTAIN = {
    "pooled": PooledRegressor(2.0, alpha_intercept=1.0),
    "separate": SharedL2Regressor([0.3, 40.0, 2.0, 7.0]),
    "mean": MeanRegularizedRegressor(1.5),
    "mean-no-intercept": MeanRegularizedRegressor(1.5, fit_intercept=False),
    "graph": GraphRegularizedRegressor(1.5, task_graph=CHAIN, alpha_shared=0.1),
}


def test_acceleration_finds_what_the_plain_iteration_finds(monkeypatch):
    rows = make_rows(sizes=30 * (8,), d=10)
    model = MeanRegularizedRegressor(1.0, task_column=0, task_weight="uncertainty")
    monkeypatch.setattr(_noise, "_TOL", 1e-9)
    fast = clone(model).fit(rows.long, rows.y)
    weight, variance, n_fits, change = np.ones(30), np.ones(30), 0, np.inf
    while change > 1e-10:
        plain = clone(model).set_params(task_weight=weight).fit(rows.long, rows.y)
        squares = np.bincount(rows.codes, (rows.y - plain.predict(rows.long)) ** 2)
        problem = problem_of(plain, rows.long, rows.y)
        left, before = 8 - degrees_of_freedom(problem.data, problem.penalty), variance
        pooled = np.exp(left @ np.log(before) / left.sum())
        variance = (squares + pooled) / (left + 1)
        weight = 30 / (1 / variance).sum() / variance
        n_fits, change = n_fits + 1, np.abs(np.log(variance / before)).max()
    assert_allclose(fast.noise_variance_, variance, rtol=1e-7)
    monkeypatch.setattr(_noise, "_MAX_FITS", n_fits // 2)  # where that would warn
    clone(model).fit(rows.long, rows.y)


@pytest.mark.parametrize("start", [np.linspace(-8.0, 9.0, 40), np.linspace(0.1, 9.0, 5)], ids=len)
def test_acceleration_survives_a_map_that_it_cannot_follow(start):
    # the plain iteration converges from anywhere; without either safeguard one start is lost
    x, acceleration = start, AndersonAcceleration()
    for _ in range(200):
        x = acceleration.next(x, 0.98 * x - 0.5 * x * np.exp(-np.abs(x)))
    assert_allclose(x, 0.0, atol=1e-8)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("model", UNCERTAIN.values(), ids=UNCERTAIN)
def test_weights_are_the_fixed_point_of_their_definition(model, weighted):
    rows, weight, _ = weighted_rows()
    weight = 3 * weight if weighted else np.ones(len(rows.y))
    model = clone(model).set_params(task_column=0, task_weight="uncertainty", tol=1e-12)
    model.fit(rows.long, rows.y, weight)
    a, n = model.task_weight_, np.bincount(rows.codes, weight)
    again = clone(model).set_params(task_weight=a).fit(rows.long, rows.y, weight)
    assert_allclose(again.coef_, model.coef_, rtol=1e-9)
    squares = np.bincount(rows.codes, weight * (rows.y - again.predict(rows.long)) ** 2)
    problem = problem_of(again, rows.long, rows.y, weight)
    left = n - degrees_of_freedom(problem.data, problem.penalty)
    # the variances solve their equation with the geometric mean of themselves as the prior
    variance = model.noise_variance_
    pooled = np.exp(left @ np.log(variance) / left.sum())
    assert_allclose(variance, (squares + pooled) / (left + 1), rtol=1e-5)
    assert_allclose(a, n.sum() / (n / variance).sum() / variance, rtol=1e-5)
    assert_allclose(n @ a, n.sum(), rtol=1e-12)
    assert a.max() > 1.1 * a.min()


def test_units_of_the_target_leave_weights_alone():
    rows = make_rows()
    model = MeanRegularizedRegressor(1.5, task_column=0, task_weight="uncertainty")
    one, other = (clone(model).fit(rows.long, c * rows.y) for c in (1.0, 1e-3))
    assert_allclose(other.task_weight_, one.task_weight_, rtol=1e-9)
    assert_allclose(other.noise_variance_, 1e-6 * one.noise_variance_, rtol=1e-9)
    assert_allclose(other.coef_, 1e-3 * one.coef_, rtol=1e-8, atol=1e-14)


def test_weights_count_as_repetitions_and_forms_agree():
    rows = make_rows()
    weight = np.random.default_rng(0).integers(1, 4, len(rows.y))
    repeated = np.repeat(np.arange(len(rows.y)), weight)
    model = MeanRegularizedRegressor(1.5, task_column=0, task_weight="uncertainty")
    one = clone(model).fit(rows.long, rows.y, weight)
    other = clone(model).fit(rows.long[repeated], rows.y[repeated])
    assert_allclose(one.task_weight_, other.task_weight_, rtol=1e-9)
    X, Y = make_wide(n=40)
    wide = clone(model).set_params(task_column=None).fit(X, Y)
    rows, _ = melt(X, Y)
    long = clone(model).fit(rows.long, rows.y)
    assert_allclose(wide.task_weight_, long.task_weight_, rtol=1e-8)
    assert_allclose(wide.coef_, long.coef_, rtol=1e-8)


def test_a_task_without_noise_does_not_take_all_weight():
    sigma = np.array([0.0, 1.0, 1.0, 2.0])
    X, y = simulate(sigma, n=60)
    model = MeanRegularizedRegressor(1e-3, alpha_intercept=0.0, task_column=0)
    model.set_params(task_weight="uncertainty").fit(X, y)
    assert 0 < model.noise_variance_[0] < 0.05
    for t in (1, 2, 3):  # about those of least squares
        own = X[:, 0] == t
        squares = np.linalg.lstsq(np.insert(X[own, 1:], 0, 1.0, axis=1), y[own], rcond=None)[1][0]
        assert_allclose(model.noise_variance_[t], squares / (60 - 4), rtol=0.1)
    # a task with one row has no noise of its own: it has about the pooled variance
    X, y = simulate([1.0, 1.0, 1.0], n=60)
    kept = np.r_[0, 60:180]
    model = SharedL2Regressor(0.0, task_column=0, task_weight="uncertainty").fit(X[kept], y[kept])
    pooled = np.sqrt(np.prod(model.noise_variance_[1:]))
    assert_allclose(model.noise_variance_[0], pooled, rtol=1e-6)


def test_nothing_is_left_to_noise():
    rows = make_rows()
    model = SharedL2Regressor(1.0, task_column=0, task_weight="uncertainty")
    with pytest.warns(UserWarning, match="finds no noise.*All tasks weigh 1"):
        model.fit(rows.long, np.full(len(rows.y), 3.0))
    assert_array_equal(model.task_weight_, 1.0)
    assert_array_equal(model.noise_variance_, 0.0)


def test_one_task_weighs_one():
    rows = make_rows(sizes=(20,))
    for kind in ("uncertainty", "minimax"):
        model = MeanRegularizedRegressor(2.0, task_weight=kind).fit(rows.X, rows.y)
        plain = MeanRegularizedRegressor(2.0).fit(rows.X, rows.y)
        assert_allclose(model.task_weight_, [1.0], rtol=1e-12)
        assert_allclose(model.coef_, plain.coef_, rtol=1e-9)


def test_tasks_with_equal_rows_weigh_the_same():
    rows = make_rows(sizes=(20,))
    Y = np.column_stack([rows.y] * 3)
    for kind in ("uncertainty", "minimax"):
        model = MeanRegularizedRegressor(2.0, task_weight=kind).fit(rows.X, Y)
        assert_allclose(model.task_weight_, 1.0, rtol=1e-9)


@pytest.mark.parametrize(
    ("module", "kind", "match"),
    [
        (_noise, "uncertainty", "noise variances .* still change by .* after 2 fits"),
        (_minimax, "minimax", "stopped after 2 fits at a relative duality gap of .*Lower tol"),
    ],
)
def test_a_limit_of_fits_is_a_warning(monkeypatch, module, kind, match):
    rows, y = noisy()
    monkeypatch.setattr(module, "_MAX_FITS", 2)
    model = MeanRegularizedRegressor(1.5, task_column=0, task_weight=kind)
    with pytest.warns(ConvergenceWarning, match=match):
        model.fit(rows.long, y)
    assert np.isfinite(model.coef_).all()


def test_what_is_refused():
    rows, y = noisy()
    names = r"None, 'balanced', 'uncertainty', 'minimax', a dict or an array, got 'noise'"
    with pytest.raises(ValueError, match=names):
        PooledRegressor(task_column=0, task_weight="noise").fit(rows.long, y)
    with pytest.raises(ValueError, match=r"'uncertainty'.*this is a classifier.*'minimax'"):
        PooledClassifier(task_column=0, task_weight="uncertainty").fit(rows.long, y > y.mean())
    with pytest.raises(ValueError, match=r"non-smooth.*MeanRegularizedRegressor"):
        ADMMRegressor(task_column=0, task_weight="uncertainty").fit(rows.long, y)
    X = np.column_stack([rows.codes, np.random.default_rng(0).normal(size=(len(y), 600))])
    model = GraphRegularizedRegressor(task_graph=CHAIN, task_column=0, task_weight="uncertainty")
    X = np.vstack([X] * 9)
    with pytest.raises(ValueError, match=r"dense system, here of 2404 .* limit is 2000"):
        model.fit(X, np.tile(y, 9))


def test_adapt_estimates_the_noise_of_new_tasks():
    sigma = np.array([0.5, 1.0, 2.0, 1.0, 0.7, 3.0])
    X, y = simulate(sigma, n=80)
    known = X[:, 0] < 4
    model = MeanRegularizedRegressor(2.0, task_column=0, task_weight="uncertainty")
    model.fit(X[known], y[known])
    adapted = model.adapt(X[~known], y[~known])
    unit = model.task_weight_[0] * model.noise_variance_[0]
    assert_allclose(adapted.noise_variance_[4:], sigma[4:] ** 2, rtol=0.5)
    assert_allclose(adapted.task_weight_[4:], unit / adapted.noise_variance_[4:], rtol=1e-5)
    assert_array_equal(adapted.task_weight_[:4], model.task_weight_)
    assert_array_equal(adapted.noise_variance_[:4], model.noise_variance_)
    assert adapted.tasks_.shape == adapted.task_weight_.shape == (6,)
    # the new task is the fit to the fixed center with that weight
    w = clone(model).set_params(task_weight=dict(enumerate(adapted.task_weight_)))
    w = w.fit(X[known], y[known]).adapt(X[~known], y[~known])
    assert_allclose(w.coef_, adapted.coef_, rtol=1e-5)
    with pytest.raises(ValueError, match="task_weight to None"):
        model.set_params(task_weight="minimax").adapt(X[~known], y[~known])
    plain = MeanRegularizedRegressor(task_column=0).fit(X, y)
    plain.set_params(task_weight="uncertainty")
    with pytest.raises(ValueError, match="Fit again"):
        plain.adapt(X, y)


def test_weights_of_numbers_are_kept_too():
    rows, y = noisy()
    n = np.bincount(rows.codes)
    for weight, expected in (
        (None, np.ones(4)),
        ("balanced", len(y) / (4 * n)),
        (TASK_WEIGHT, list(TASK_WEIGHT.values())),
    ):
        model = PooledRegressor(task_column=0, task_weight=weight).fit(rows.long, y)
        assert_allclose(model.task_weight_, expected, rtol=1e-14)
        assert not hasattr(model, "noise_variance_")
    model.set_params(task_weight="minimax").fit(rows.long, y)
    assert not hasattr(model.set_params(task_weight=None).fit(rows.long, y), "minimax_gap_")
    latent = GraphRegularizedRegressor(task_graph=[(t, 9) for t in range(4)], task_column=0)
    latent.set_params(task_weight="uncertainty").fit(rows.long, y)
    assert_array_equal(latent.tasks_, [0, 1, 2, 3, 9])
    assert latent.task_weight_[-1] == 0
    assert np.isnan(latent.noise_variance_[-1])
    assert np.isfinite(latent.noise_variance_[:-1]).all()


def test_they_are_parameters_like_any_other():
    rows, y = noisy((30, 30, 30, 30))
    weights = [None, "balanced", "uncertainty", "minimax"]
    model = MeanRegularizedRegressor(1.5, task_column=0, task_weight="minimax")
    assert "task_weight='minimax'" in repr(clone(model))
    cv = KFold(3, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search = GridSearchCV(model, {"task_weight": weights}, cv=cv, error_score="raise")
        search.fit(rows.long, y)
    assert np.unique(search.cv_results_["mean_test_score"]).size >= 3
