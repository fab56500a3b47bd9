"""``alpha="auto"`` at the limits, and as a parameter of an estimator."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold

from skmtl import (
    GraphRegularizedRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
)
from skmtl.penalties import MeanCoupling
from skmtl.tuning._center import Center
from skmtl.tuning._compressed import Marginal
from tests._problems import Rows
from tests.tuning._evidence import (
    AUTO,
    ONE_VARIANCE,
    dense_likelihood,
    dense_maximum,
    fit,
    found,
    simulate,
    simulate_classes,
)

# Limits -----------------------------------------------------------------------------------------


def assert_limit_is_best(rows, *alphas):
    """Check that no finite alpha in the place of one that is inf has a larger likelihood."""
    best = dense_likelihood(rows, *alphas)[0]
    grids = [np.logspace(-2, 6, 25) if np.isinf(a) else [a] for a in alphas]
    assert best > max(dense_likelihood(rows, a, b)[0] for a in grids[0] for b in grids[1])


def test_no_differences_between_tasks():
    """Residuals of tasks that balance: their means and slopes all agree."""
    rng = np.random.default_rng(0)
    Z, e = rng.normal(size=(8, 2)), rng.normal(size=8)
    X, y = np.tile(Z, (6, 1)), np.tile(Z @ [1.0, 2.0] + e, 6)
    rows = Rows(X, y, np.repeat(np.arange(6), 8))
    model = fit(rows, **AUTO)
    assert model.alpha_ == model.alpha_intercept_ == np.inf
    assert model.tau2_ == model.tau2_intercept_ == 0
    assert_array_equal(model.coef_, np.tile(model.coef_[0], (6, 1)))
    value, sigma2 = dense_likelihood(rows, np.inf, np.inf)
    assert_allclose(model.restricted_log_likelihood_, value, rtol=1e-12)
    assert_allclose(model.sigma2_, sigma2, rtol=1e-12)
    assert_limit_is_best(rows, np.inf, np.inf)


@pytest.mark.parametrize(
    ("seed", "same"), [(3, {"tau": 0.0}), (0, {"tau_intercept": 0.0})], ids=["slopes", "intercepts"]
)
def test_one_kind_of_difference(seed, same):
    """Seeds at which the estimate of a variance of zero is zero, as it is for about half."""
    rows = simulate(T=20, seed=seed, **same)
    model = fit(rows, **AUTO)
    alphas = [model.alpha_, model.alpha_intercept_]
    zero, other = (0, 1) if "tau" in same else (1, 0)
    assert alphas[zero] == np.inf

    def likelihood(alpha):
        both = [np.inf, np.inf]
        both[other] = alpha
        return dense_likelihood(rows, *both)[0]

    best, value = dense_maximum(likelihood, [1.0])
    assert_allclose(alphas[other], best[0], rtol=1e-6)
    assert_allclose(model.restricted_log_likelihood_, value, rtol=1e-12)
    assert_limit_is_best(rows, *alphas)


def test_no_noise_at_all():
    rows = simulate(sigma=0.0, low=6)
    model = fit(rows, alpha="auto", alpha_intercept=0.0)
    assert model.alpha_ == model.sigma2_ == 0
    assert model.restricted_log_likelihood_ == np.inf
    assert_allclose(model.predict(rows.long), rows.y, rtol=1e-9)
    separate = fit(rows, alpha=0.0, alpha_intercept=0.0)
    assert_allclose(model.coef_, separate.coef_, rtol=1e-10)
    assert np.isnan(model.tau2_)
    model = MeanRegularizedRegressor("auto", alpha_shared=0.0, alpha_intercept=0.0, task_column=0)
    model.fit(rows.long, rows.y)
    assert_array_equal(model.alpha_, np.zeros(3))
    assert model.tau2_.shape == (3,)
    assert np.isnan(np.diag(model.covariance_)[:-1]).all()


@pytest.mark.parametrize("alpha_shared", [0.0, "auto"])
def test_no_noise_and_a_common_slope(alpha_shared):
    rows = simulate(sigma=0.0, low=6)
    W = np.random.default_rng(1).normal(size=(15, 3))
    W[:, 0] = 2.0
    y = np.einsum("ij,ij->i", rows.X, W[rows.codes]) + W[rows.codes, 1]
    exact = Rows(rows.X, y, rows.codes)
    params = {"penalty_factor": [np.inf, 1.0, 1.0], "alpha_shared": alpha_shared} | AUTO
    model = fit(exact, **params)
    assert model.sigma2_ == 0
    assert model.tau2_.shape == model.alpha_.shape == (3,)
    assert np.isnan(model.tau2_).all()
    assert np.isnan(np.diag(model.covariance_)[:-1]).all()
    assert_allclose(model.coef_[:, 0], 2.0, rtol=1e-6)
    assert_allclose(model.predict(exact.long), exact.y, rtol=1e-6, atol=1e-6)


def test_what_the_data_cannot_tell():
    rows = simulate()
    with pytest.raises(ValueError, match=r"alpha='auto' estimates how tasks differ.*one task"):
        MeanRegularizedRegressor("auto").fit(rows.X, rows.y)
    with pytest.raises(ValueError, match="each of the 59 tasks has one row"):
        fit(Rows(rows.X[:59], rows.y[:59], np.arange(59)), **AUTO)
    with pytest.raises(ValueError, match="fit_intercept=False: there are no intercepts"):
        fit(rows, alpha_intercept="auto", fit_intercept=False)
    with pytest.raises(ValueError, match="leaves nothing to estimate variances from"):
        fit(Rows(rows.X[:4], rows.y[:4], np.array([0, 0, 1, 1])), **AUTO)
    for model in (SharedL2Regressor, SharedL2Classifier, GraphRegularizedRegressor):
        with pytest.raises(ValueError, match="'auto' is for alpha, alpha_shared and alpha_inter"):
            model("auto", task_column=0).fit(rows.long, rows.y > 0)


def test_one_task_with_a_penalty_on_the_center():
    rows = simulate(T=1, low=40, high=41)
    params = ONE_VARIANCE | {"alpha_shared": np.inf}
    model = MeanRegularizedRegressor("auto", **params)
    model.fit(rows.X, rows.y)
    best, _ = dense_maximum(lambda a: dense_likelihood(rows, a, 1.0, None, np.inf)[0], [1.0])
    assert_allclose(model.alpha_, best[0], rtol=1e-6)


# As an estimator --------------------------------------------------------------------------------


def test_attributes_of_a_refit():
    rows = simulate()
    model = fit(rows, **AUTO)
    model.set_params(alpha=2.0).fit(rows.long, rows.y)
    assert model.alpha_ == 2.0
    assert hasattr(model, "tau2_intercept_")
    assert not hasattr(model, "tau2_")
    model.set_params(alpha_intercept=3.0).fit(rows.long, rows.y)
    assert (model.alpha_, model.alpha_intercept_) == (2.0, 3.0)
    stale = ("tau2_", "tau2_intercept_", "restricted_log_likelihood_")
    assert not any(hasattr(model, name) for name in stale)


def test_clone_pickle_and_search():
    rows = simulate()
    model = MeanRegularizedRegressor("auto", task_column=0, handle_unknown="shared")
    model.fit(rows.long, rows.y)
    assert (
        repr(clone(model)) == "MeanRegularizedRegressor(alpha='auto', handle_unknown='shared', "
        "task_column=0)"
    )
    assert_array_equal(
        pickle.loads(pickle.dumps(model)).predict(rows.long), model.predict(rows.long)
    )
    search = GridSearchCV(
        model, {"alpha_intercept": [0.1, "auto", 10.0]}, cv=KFold(3, shuffle=True, random_state=0)
    )
    search.fit(rows.long, rows.y)
    best = search.best_estimator_
    again = clone(model).set_params(**search.best_params_).fit(rows.long, rows.y)
    assert_array_equal(best.alpha_, again.alpha_)


@pytest.mark.parametrize("solver", ["direct", "cg"])
def test_solvers_and_warm_starts(solver):
    rows = simulate()
    model, other = fit(rows, **AUTO), fit(rows, solver=solver, warm_start=True, **AUTO)
    assert_array_equal(found(other), found(model))
    assert_allclose(other.fit(rows.long, rows.y).coef_, model.coef_, atol=1e-6)


def test_new_tasks():
    rows, new = simulate(), simulate(T=3, seed=8)
    model = fit(rows, handle_unknown="shared", **AUTO)
    X = np.column_stack([new.codes + 100, new.X])
    numbers = {"alpha": model.alpha_, "alpha_intercept": model.alpha_intercept_}
    same = fit(rows, handle_unknown="shared", **numbers)
    assert_array_equal(model.predict(X), same.predict(X))
    adapted = model.adapt(X, new.y)
    assert_array_equal(adapted.coef_, same.adapt(X, new.y).coef_)
    assert_array_equal(found(adapted), found(model))
    with pytest.raises(ValueError, match="alpha became 'auto' after fit"):
        same.set_params(alpha="auto").adapt(X, new.y)


@pytest.mark.parametrize("task_weight", ["uncertainty", "minimax"])
def test_weights_that_follow_the_fit(task_weight):
    """With either, the alphas found are those of a fit with fixed weights."""
    rows = simulate(T=6, low=10, high=20)
    model = fit(rows, task_weight=task_weight, **AUTO)
    weights = model.task_weight_ if task_weight == "uncertainty" else None
    fixed = fit(rows, task_weight=weights, **AUTO)
    assert_allclose(found(model), found(fixed), rtol=1e-8)
    numbers = {"alpha": model.alpha_, "alpha_intercept": model.alpha_intercept_}
    same = fit(rows, task_weight=task_weight, **numbers)
    assert_allclose(model.coef_, same.coef_, atol=1e-5)


@pytest.mark.parametrize("params", [AUTO, {"alpha": "auto", "alpha_intercept": 0.0}], ids=str)
def test_two_rows_per_task_do_not_tell_slopes_from_noise(params):
    rng = np.random.default_rng(0)
    codes, x = np.repeat(np.arange(100), 2), np.tile([0.0, 1.0], 100)
    y = rng.normal(size=100)[codes] + x * rng.normal(size=100)[codes] + rng.normal(size=200)
    with pytest.raises(ValueError, match=r"variances of the noise, of coefficients.*told apart"):
        fit(Rows(x[:, None], y, codes), **params)
    fit(Rows(x[:, None], y, codes), alpha="auto", alpha_intercept=1.0)  # a known ratio to the noise


def test_weights_that_count_less_than_a_row_per_task():
    rows = simulate()
    with pytest.raises(ValueError, match="weights far below 1, which count rows"):
        fit(rows, np.full(len(rows.y), 0.1), **AUTO)


def test_a_feature_that_is_constant_within_tasks_is_an_intercept():
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(40), 6)
    y = rng.normal(size=40)[codes] + rng.normal(size=240)
    binary = (np.arange(40) % 2.0)[codes, None]
    with pytest.raises(ValueError, match="of coefficients, of intercepts between tasks cannot"):
        fit(Rows(binary, y, codes), **AUTO)
    fit(Rows(rng.normal(size=40)[codes, None], y, codes), **AUTO)  # of several sizes


@pytest.mark.parametrize(
    ("kind", "make"),
    [(MeanRegularizedRegressor, simulate), (MeanRegularizedClassifier, simulate_classes)],
)
def test_features_of_very_different_units_are_warned_of(kind, make):
    rows = make(T=12, d=2)
    model = kind("auto", alpha_shared=0.1, task_column=0).fit(rows.long, rows.y)  # as drawn
    with pytest.warns(
        UserWarning, match=r"differ by a factor of [\d.e+]+\. Scale them, as with make_"
    ):
        model.fit(rows.long * [1, 100, 1], rows.y)
    clone(model).set_params(alpha=1.0).fit(rows.long * [1, 100, 1], rows.y)


@pytest.mark.parametrize("seed", range(5))
def test_rounding_of_sums_leaves_no_intercept_of_all_classes(seed):
    """Adding to all classes changes no probability: three have two intercepts."""
    p = np.random.default_rng(seed).dirichlet(np.ones(3), size=20_000)
    gram = np.zeros((6, 6))
    for row in p:
        gram[3:, 3:] += np.diag(row) - np.outer(row, row)
    assert Center(gram, MeanCoupling(np.ones(2), 1.0, 1.0), 3).n_flat == 2


def test_a_penalty_of_the_center_below_rounding_errors():
    gram = np.array([[3.0, 3.0, 0.0], [3.0, 3.0, 0.0], [0.0, 0.0, 1.0]])
    center = Center(gram, MeanCoupling(np.ones(2), 1e-20, 1.0))
    marginal = Marginal(None, None, gram, np.ones(3), 0.0)
    with pytest.raises(ValueError, match=r"Features are collinear, and alpha_shared=1.0e-20 is"):
        center.solve(marginal, 1e-20)


def test_small_weights_leave_no_degrees_of_freedom():
    rows = simulate()
    weight = np.full(len(rows.y), 1e-3)
    for alpha_intercept in (0.0, "auto"):
        with pytest.raises(ValueError, match="leaves nothing to estimate variances from"):
            fit(rows, weight, alpha="auto", alpha_intercept=alpha_intercept)


def test_a_covariance_of_sparse_features_has_a_message():
    rows = simulate()
    model = MeanRegularizedRegressor("auto", covariance_type="full", task_column=0)
    with pytest.raises(TypeError, match="covariance_type='full' requires a dense X"):
        model.fit(sparse.csr_array(rows.long), rows.y)
