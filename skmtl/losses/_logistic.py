"""Logistic loss of two classes."""

import numpy as np

from skmtl.losses._base import Loss


class LogisticLoss(Loss):
    """``log(1 + exp(-y z))``, y = +-1: minus the log of the probability of y, z its log-odds.

    With p the probability of the other class, the derivative is -y p, accurate for any small p,
    and the second derivative is p (1 - p).
    """

    curvature_bound = 0.25

    def evaluate(self, y, z):
        """Return the loss and its first derivative in z, two new arrays."""
        margin = y * z[0]
        small = np.exp(-np.abs(margin))
        value = np.log1p(small)
        value -= np.minimum(margin, 0.0)
        derivative = np.exp(-np.maximum(margin, 0.0))
        derivative /= 1.0 + small
        derivative *= -y
        return value, derivative[None]

    def curvature(self, y, derivative):
        """Return the second derivative in z."""
        other = np.abs(derivative)
        return other * (1.0 - other)

    def curvature_slope(self, y, derivative):
        """Return the third derivative in z."""
        other = np.abs(derivative)
        return np.sign(derivative) * other * (1.0 - other) * (1.0 - 2.0 * other)

    def curvature_product(self, y, derivative, z):
        """Return the second derivative times z."""
        return self.curvature(y, derivative) * z
