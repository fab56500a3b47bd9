"""``alpha_shared="auto"``: the marginal likelihood with a random center, against dense matrices."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize

from skmtl import MeanRegularizedRegressor, TaskMoments
from tests._problems import Rows
from tests.tuning._evidence import (
    dense_evidence,
    dense_likelihood,
    dense_maximum,
    fit,
    fit_classes,
    simulate,
    simulate_classes,
)

FEW_ROWS = {"T": 25, "d": 20, "seed": 1}
MORE_FEATURES = {"T": 4, "d": 30, "low": 5, "high": 9, "seed": 2}


@pytest.mark.parametrize(
    ("drawn", "weighted"),
    [({}, False), ({}, True), (FEW_ROWS, False)],
    ids=["", "weighted", "few rows"],
)
@pytest.mark.parametrize(
    "given",
    [{}, {"alpha_intercept": 0.0}, {"alpha_intercept": np.inf}, {"alpha_intercept": 0.5}],
    ids=str,
)
def test_maximum_of_all(drawn, weighted, given):
    rows = simulate(**drawn)
    weight = np.random.default_rng(1).uniform(0.3, 3, len(rows.y)) if weighted else None
    params = {"alpha": "auto", "alpha_shared": None, "alpha_intercept": "auto"} | given
    model = fit(rows, weight, **params)

    def likelihood(alpha, alpha_shared, *alpha_intercept):
        (intercept,) = alpha_intercept or given.values()
        return dense_likelihood(rows, alpha, intercept, weight, alpha_shared)

    start = np.ones(2 if given else 3)
    best, value = dense_maximum(lambda *x: likelihood(*x)[0], start)
    alphas = [model.alpha_, model.alpha_shared_, *([] if given else [model.alpha_intercept_])]
    assert_allclose(alphas, best, rtol=1e-5)
    assert_allclose(model.restricted_log_likelihood_, value, rtol=1e-10)
    here, sigma2 = likelihood(*alphas)
    assert_allclose(model.restricted_log_likelihood_, here, rtol=1e-10)
    assert_allclose(model.sigma2_, sigma2, rtol=1e-9)
    assert_allclose(model.tau2_shared_, sigma2 / model.alpha_shared_, rtol=1e-9)


@pytest.mark.parametrize("drawn", [{}, MORE_FEATURES], ids=["", "more features"])
@pytest.mark.parametrize("alpha", [0.3, 50.0, np.inf])
def test_center_alone(drawn, alpha):
    rows = simulate(**drawn)
    model = fit(rows, alpha=alpha, alpha_intercept=2.0, alpha_shared="auto")
    grid = np.geomspace(1e-4, 1e5, 400)
    values = [dense_likelihood(rows, alpha, 2.0, None, a)[0] for a in grid]
    assert model.restricted_log_likelihood_ >= max(values) - 1e-9
    here = dense_likelihood(rows, alpha, 2.0, None, model.alpha_shared_)[0]
    assert_allclose(model.restricted_log_likelihood_, here, rtol=1e-9)
    assert not hasattr(model, "tau2_")


def test_a_center_of_zero():
    rows = simulate(T=40, d=2, tau=1.0)
    rows = Rows(rows.X, rows.y - (rows.X - rows.X.mean(axis=0)).sum(axis=1), rows.codes)
    model = fit(rows, alpha="auto", alpha_shared="auto")
    assert model.alpha_shared_ == np.inf
    assert model.tau2_shared_ == 0
    assert not model.shared_coef_.any()
    assert model.alpha_ == pytest.approx(fit(rows, alpha="auto", alpha_shared=np.inf).alpha_)


def test_one_task_is_the_evidence_of_ridge():
    """MacKay's evidence with the noise variance profiled out, a flat intercept."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 50))
    y = X @ rng.normal(size=50) * 0.3 + rng.normal(size=30)
    model = MeanRegularizedRegressor(np.inf, alpha_shared="auto").fit(X, y)
    Z = X - X.mean(axis=0)

    def minus_twice(x):
        V = np.eye(30) + Z @ Z.T / np.exp(x)
        one = np.linalg.solve(V, np.ones(30))
        r = y - one @ y / one.sum()
        freedom = 29 * np.log(r @ np.linalg.solve(V, r))
        return freedom + np.linalg.slogdet(V)[1] + np.log(one.sum())

    best = optimize.minimize_scalar(minus_twice, bracket=(0, 3, 8), tol=1e-10).x
    assert_allclose(np.log(model.alpha_shared_), best, atol=1e-5)


def test_more_features_than_rows_are_predicted():
    """A flat center fits all rows exactly; an estimated one predicts new ones."""
    rows = simulate(T=5, d=80, low=8, high=12, tau=0.1, seed=3)
    message = "fit the rows exactly.* Set alpha_shared to 'auto'"
    with pytest.raises(ValueError, match=message):  # and no warning
        fit(rows, alpha="auto", alpha_shared=0.0)
    model = fit(rows, alpha="auto", alpha_shared=None)
    new = np.random.default_rng(0).normal(size=(200, 80)) + 1
    truth = (new - rows.X.mean(axis=0)).sum(axis=1)
    predicted = new @ model.shared_coef_ + model.shared_intercept_
    assert np.square(predicted - truth).mean() < 0.65 * truth.var()


def test_moments_and_adapt():
    rows = simulate()
    model = MeanRegularizedRegressor("auto", task_column=0).fit(rows.long, rows.y)
    moments = TaskMoments.from_data(rows.long, rows.y, task_column=0)
    other = MeanRegularizedRegressor("auto", task_column=0).fit_moments(moments)
    assert_allclose(other.alpha_shared_, model.alpha_shared_, rtol=1e-6)
    assert_allclose(other.coef_, model.coef_, rtol=1e-6)
    adapted = model.adapt(rows.long[rows.codes == 0], rows.y[rows.codes == 0])
    assert adapted.alpha_shared_ == model.alpha_shared_
    assert_allclose(adapted.coef_, model.coef_, rtol=1e-6)


def test_defaults():
    rows = simulate()
    assert fit(rows, alpha=2.0, alpha_shared=None).alpha_shared_ == 0
    assert not hasattr(fit(rows, alpha="auto", alpha_shared=0.0), "tau2_shared_")
    with pytest.raises(ValueError, match=r"'auto' is for alpha, alpha_shared and alpha_intercept"):
        MeanRegularizedRegressor(alpha_shared="best", task_column=0).fit(rows.long, rows.y)


def test_classifier():
    rows = simulate_classes(T=8)
    model = fit_classes(rows, alpha="auto", alpha_shared="auto", tol=1e-10)
    assert_allclose(model.log_evidence_, dense_evidence(model, rows), rtol=1e-9)
    assert model.tau2_shared_ == 1 / model.alpha_shared_
    for name in ("alpha", "alpha_shared"):
        for factor in (0.8, 1.25):
            given = {"alpha": model.alpha_, "alpha_shared": model.alpha_shared_, "tol": 1e-10}
            moved = fit_classes(rows, **given | {name: factor * given[name]})
            assert dense_evidence(moved, rows) < model.log_evidence_


@pytest.mark.parametrize("sigma", [1e-2, 1e-5, 1e-8, 1e-10])
@pytest.mark.parametrize("alpha", ["auto", np.inf])
def test_little_noise(sigma, alpha):
    """The estimates are those of a flat center, and the variance of the center is that of w."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(300, 3))
    rows = Rows(X, X @ [1.0, 2, 3] + sigma * rng.normal(size=300), np.repeat(np.arange(10), 30))
    model = fit(rows, alpha=alpha, alpha_shared="auto")
    assert_allclose(model.tau2_shared_, 14 / 3, rtol=1e-2)
    assert_allclose(model.sigma2_, sigma**2, rtol=0.1)
    assert model.alpha_ > 100
    assert_allclose(model.coef_, np.tile([1, 2, 3], (10, 1)), atol=sigma)


def test_many_rows_of_little_noise():
    rng = np.random.default_rng(0)
    codes, X = np.repeat(np.arange(20), 2000), rng.normal(size=(40_000, 2))
    W = np.array([1, 2]) + 1e-5 * rng.normal(size=(20, 2))
    rows = Rows(X, np.einsum("ij,ij->i", X, W[codes]) + 1e-3 * rng.normal(size=40_000), codes)
    flat, model = (fit(rows, alpha="auto", alpha_shared=a) for a in (0.0, None))
    assert_allclose(model.alpha_, flat.alpha_, rtol=1e-4)
    assert_allclose(model.tau2_shared_, 2.5, rtol=1e-3)


def test_no_noise():
    rows = simulate(low=6)
    rows = Rows(rows.X, rows.X @ [1.0, 2, 3], rows.codes)
    with pytest.warns(UserWarning, match="fits all rows exactly"):
        model = fit(rows, alpha="auto", alpha_shared=None)
    assert model.alpha_ == np.inf
    assert model.restricted_log_likelihood_ == np.inf
    assert_allclose(model.coef_, np.tile([1, 2, 3], (15, 1)), rtol=1e-9)


@pytest.mark.parametrize("given", [{}, {"alpha_intercept": 0.0}, {"fit_intercept": False}], ids=str)
def test_separate_models_have_no_center(given):
    with pytest.raises(ValueError, match="with alpha=0 they have nothing in common"):
        fit(simulate(), alpha=0.0, alpha_shared="auto", **given)


def test_the_center_of_fit_stays():
    rows = simulate()
    model, own = fit(rows, alpha="auto", alpha_shared=None), rows.codes == 0
    found = model.alpha_shared_
    adapted = model.set_params(alpha=2.0).adapt(rows.long[own], rows.y[own])
    assert adapted.alpha_shared_ == found
