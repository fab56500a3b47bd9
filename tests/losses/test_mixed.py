"""A mixed loss is its parts."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from skmtl.losses import LogisticLoss, MixedLoss, MultinomialLoss, PoissonLoss, SquaredLoss

PLACES = [np.array([[0, 5]]), np.array([[1], [2], [3]]), np.array([[4]])]


def test_attributes_of_parts():
    loss = MixedLoss([SquaredLoss(), MultinomialLoss(3), PoissonLoss(np.array([7.0]))], PLACES)
    assert loss.n_outputs == 1
    assert loss.constant_curvature is None
    assert not loss.separable
    assert not loss.bounded
    assert_array_equal(loss.curvature_bound, [1.0, 0.25, 0.25, 0.25, 7.0, 1.0])
    assert_allclose(loss.start, [0, 0, 0, 0, np.log(7.0), 0])
    assert_array_equal(loss.joint, [PLACES[1]])
    squared = MixedLoss([SquaredLoss(), SquaredLoss()], [PLACES[0], np.array([[1, 2, 3, 4]])])
    assert squared.constant_curvature == 1.0
    assert squared.separable
    assert squared.bounded


def test_values_and_derivatives_are_those_of_the_parts():
    rng = np.random.default_rng(0)
    losses = [LogisticLoss(), MultinomialLoss(3), PoissonLoss()]
    y = [rng.choice([-1.0, 1.0], 9), rng.integers(0, 3, 8), rng.poisson(2.0, 7).astype(float)]
    z = [rng.normal(size=(loss.n_outputs, len(own))) for loss, own in zip(losses, y, strict=True)]
    mixed = MixedLoss(losses, PLACES)
    values, derivatives = mixed.evaluate(y, z)
    (curvatures,) = mixed.curvature(y, derivatives)
    products = mixed.curvature_product(y, derivatives, z)
    for k, loss in enumerate(losses):
        value, derivative = loss.evaluate(y[k], z[k])
        assert_array_equal(values[k], value)
        assert_array_equal(derivatives[k], derivative)
        assert_array_equal(curvatures[k], loss.curvature(y[k], derivative))
        assert_array_equal(products[k], loss.curvature_product(y[k], derivative, z[k]))
    squared = MixedLoss([SquaredLoss()], [np.array([[0]])])
    assert squared.curvature([y[0]], [None]) == [[None]]
