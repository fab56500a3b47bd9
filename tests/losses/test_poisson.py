"""The Poisson loss in many digits, by differences, and far from any solution."""

import warnings
from decimal import Decimal, getcontext

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import mean_poisson_deviance

from skmtl.losses import PoissonLoss

LOSS = PoissonLoss()
Y = [0.0, 1e-3, 0.3, 0.5, 1.0, 2.0, 7.0, 350.0, 1e6]
Z = [-700.0, -40.0, -1.0, -1e-9, 0.0, 1e-12, 0.3, 5.0, 13.8, 40.0, 290.0]


def exact(y, z):
    """Half the deviance, its derivative and curvature in 400 digits."""
    getcontext().prec = 400
    y, mean = Decimal(y), Decimal(z).exp()
    constant = y * y.ln() - y if y > 0 else Decimal(0)
    return mean - y * Decimal(z) + constant, mean - y, mean


@pytest.mark.parametrize("y", Y)
@pytest.mark.parametrize("z", Z)
def test_values_in_many_digits(y, z):
    value, derivative = LOSS.evaluate(np.array([y]), np.array([[z]]))
    curvature = LOSS.curvature(np.array([y]), derivative)
    product = LOSS.curvature_product(np.array([y]), derivative, np.array([[3.0]]))
    exact_value, slope, second = exact(y, z)
    mean = float(second)
    # z is known to a relative 1e-16 only
    unit = 4e-16 * (mean + y) * (1.0 + abs(z))
    assert_allclose(value[0], float(exact_value), rtol=4e-16, atol=2 * unit)
    assert_allclose(derivative[0, 0], float(slope), rtol=4e-16, atol=4e-16 * max(mean, y))
    assert_allclose(curvature[0, 0], mean, rtol=1e-15, atol=4e-16 * y)
    assert_allclose(product, 3.0 * curvature, rtol=1e-15)


def test_no_cancellation_where_counts_are_zero_or_one():
    z = np.array([[-36.0, -1e-14, 0.0, 1e-14, 1e-9]])
    assert_allclose(LOSS.evaluate(np.zeros(5), z)[1], np.exp(z), rtol=1e-15)
    assert_allclose(LOSS.evaluate(np.ones(5), z)[1], np.expm1(z), rtol=1e-15)


@pytest.mark.parametrize("y", [1e3, 1e6, 1e8, 1e10])
@pytest.mark.parametrize("error", [-0.5, 0.01, 1.0, 3.0])
def test_large_counts_keep_their_digits_near_the_mean(y, error):
    """A line search compares values: those of z within a standard deviation of log y."""
    z = np.array([[np.log(y) + error / np.sqrt(y)]])
    value, _ = LOSS.evaluate(np.array([y]), z)
    # the logarithm of y is known to half a unit in its last place
    unit = np.sqrt(y) * abs(error) * np.spacing(np.log(y))
    assert_allclose(value[0], float(exact(y, z[0, 0])[0]), rtol=1e-15, atol=unit)


def test_tiny_targets_do_not_overflow():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value, derivative = LOSS.evaluate(np.array([1e-300, 1e-300]), np.array([[200.0, -690.0]]))
    assert_allclose(value, [np.exp(200.0), 0.0], rtol=1e-15, atol=1e-299)
    assert np.isfinite(derivative).all()


def test_is_half_the_deviance():
    rng = np.random.default_rng(0)
    y, z = rng.poisson(3.0, 50).astype(float), rng.normal(size=(1, 50))
    value, _ = LOSS.evaluate(y, z)
    assert_allclose(2 * value.mean(), mean_poisson_deviance(y, np.exp(z[0])), rtol=1e-14)
    assert_allclose(LOSS.evaluate(y[y > 0], np.log(y[y > 0])[None])[0], 0.0, atol=1e-14)


def test_is_convex_and_finite_far_above_any_solution():
    z = np.array([[299.0, 300.0, 301.0, 1e3, 1e5, 1e9]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value, derivative = LOSS.evaluate(np.full(6, 5.0), z)
    assert np.isfinite(value).all()
    assert (np.diff(value) > 0).all()
    assert (np.diff(derivative) >= 0).all()
    slope = (value[3:] - value[2:-1]) / np.diff(z[0])[2:]
    assert_allclose(slope, np.exp(300.0), rtol=1e-12)


def test_targets_of_any_shape():
    rng = np.random.default_rng(1)
    y, z = rng.poisson(2.0, (7, 3)).astype(float), rng.normal(size=(1, 7, 3))
    value, derivative = LOSS.evaluate(y, z)
    each, slopes = LOSS.evaluate(y.ravel(), z.reshape(1, -1))
    assert_array_equal(value.ravel(), each)
    assert_array_equal(derivative.ravel(), slopes.ravel())


def test_rates_are_units_and_starts():
    loss = PoissonLoss(np.array([0.0, 1.0, 20.0]))
    assert_array_equal(loss.curvature_bound, [1.0, 1.0, 20.0])
    assert_allclose(loss.start, np.log([1.0, 1.0, 20.0]))
    assert not loss.bounded
    assert loss.separable
