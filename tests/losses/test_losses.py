"""Losses of single rows: derivatives by differences, values in many digits."""

from decimal import Decimal, getcontext

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmtl.data import LongData
from skmtl.losses import LogisticLoss, MultinomialLoss, SquaredLoss

LOSSES = {
    "squared": (SquaredLoss(), lambda rng, n: rng.normal(size=n)),
    "logistic": (LogisticLoss(), lambda rng, n: rng.choice([-1.0, 1.0], n)),
    "multinomial": (MultinomialLoss(4), lambda rng, n: rng.integers(0, 4, n)),
}


@pytest.mark.parametrize(("loss", "targets"), LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("scale", [0.0, 1.0, 8.0])
def test_derivatives_of_losses(loss, targets, scale):
    rng, n, h = np.random.default_rng(0), 60, 1e-3
    y, z = targets(rng, n), scale * rng.normal(size=(loss.n_outputs, n))
    K = loss.n_outputs
    if K > 1:  # half of the rows lack a class
        z[(y[::2] + 1) % 4, np.arange(0, n, 2)] = -np.inf
    value, derivative = loss.evaluate(y, z)
    assert value.shape == (n,)
    assert derivative.shape == z.shape

    def slope(function, step):
        near, far = (function(z + x * step) - function(z - x * step) for x in (h, 2 * h))
        return (8 * near - far) / (12 * h)

    step = rng.normal(size=z.shape)
    along = (derivative * step).sum(axis=0)
    assert_allclose(along, slope(lambda z: loss.evaluate(y, z)[0], step), rtol=0, atol=1e-9)
    product = loss.curvature_product(y, derivative, step)
    change = slope(lambda z: loss.evaluate(y, z)[1], step)
    assert_allclose(product, change, rtol=0, atol=1e-9)
    curvature = loss.curvature(y, derivative)
    assert curvature.max() <= loss.curvature_bound * (1 + 1e-15)
    for k in range(K):
        unit = np.eye(K)[:, [k]] * np.ones(n)
        diagonal = (unit * loss.curvature_product(y, derivative, unit)).sum(axis=0)
        assert_allclose(curvature[k], diagonal, rtol=0, atol=1e-15)


EXTREMES = [-np.inf, -800.0, -700.0, -40.0, -36.5, -1.0, -1e-9, 0.0, 3.0, 37.0, 700.0, 800.0]


def exact_softmax(z, own):
    """The multinomial loss and derivative at z of one row, in 360 digits."""
    getcontext().prec = 360
    e = [Decimal(x).exp() for x in z]
    total, others = sum(e), sum(x for k, x in enumerate(e) if k != own)
    derivative = [x / total for x in e]
    derivative[own] = -others / total
    return float(total.ln() - Decimal(z[own])), [float(x) for x in derivative]


def test_logistic_loss_keeps_its_digits():
    y, z = np.repeat([-1.0, 1.0], len(EXTREMES) - 1), np.tile(EXTREMES[1:], 2)
    value, (derivative,) = LogisticLoss().evaluate(y, z[None])
    for i, margin in enumerate((y * z).tolist()):
        expected, slope = exact_softmax([margin, 0.0], 0)
        assert_allclose(value[i], expected, rtol=1e-14, atol=5e-324)
        assert_allclose(derivative[i], y[i] * slope[0], rtol=1e-14, atol=5e-324)
    value, derivative = LogisticLoss().evaluate(
        np.array([1.0, -1.0]), np.array([[np.inf, -np.inf]])
    )
    assert_array_equal(value, 0)
    assert_array_equal(derivative, 0)  # a task of one class, without the other


def test_multinomial_loss_keeps_its_digits():
    a, b, own = np.meshgrid(EXTREMES, EXTREMES, [0, 2])
    z, y = np.array([a.ravel(), b.ravel(), np.full(a.size, 1.5)]), own.ravel()
    kept = np.isfinite(z[y, np.arange(len(y))])
    z, y = z[:, kept], y[kept]
    loss = MultinomialLoss(3)
    value, derivative = loss.evaluate(y, z)
    curved = loss.curvature(y, derivative), loss.curvature_product(y, derivative, np.ones_like(z))
    assert all(np.isfinite(part).all() for part in (value, derivative, *curved))
    assert_array_equal(derivative[np.isinf(z)], 0)
    for i in range(len(y)):
        expected, slope = exact_softmax(z[:, i].tolist(), y[i])
        assert_allclose(value[i], expected, rtol=1e-12, atol=1e-300)
        assert_allclose(derivative[:, i], slope, rtol=1e-12, atol=1e-300)


def test_another_loss_of_curvature_one():
    """Rows of a task are summed in one pass for the squared loss only."""

    class Tilted(SquaredLoss):
        def evaluate(self, y, z):
            value, derivative = super().evaluate(y, z)
            return value + 3 * z[0], derivative + 3

    rng = np.random.default_rng(0)
    X, y, codes, W = rng.normal(size=(9, 2)), rng.normal(size=9), np.arange(9) % 3, np.eye(3, 2)
    sums = LongData(X, y, np.ones(9), codes, 3, np.zeros(2)).loss_sums(
        Tilted(), W[None], np.zeros((1, 3))
    )
    derivative = (X * W[codes]).sum(axis=1) - y + 3
    assert_allclose(sums.R[0], np.bincount(codes, derivative))
