"""Poisson loss of counts."""

import numpy as np

from skmtl.losses._base import Loss

_MOST = 300.0  # raw prediction above which the loss is linear: squares of exp(z) do not overflow


class PoissonLoss(Loss):
    """``exp(z) - y z + (y log y - y)``, y >= 0: half the deviance, z the log of the mean count.

    Up to a constant it is minus the log of the probability of count y, and it is 0 at z = log y.
    y need not be an integer. The second derivative is exp(z), which has no bound: above z = 300 the
    loss continues as a straight line, so that no step of a line search overflows. No solution is
    there.

    Parameters
    ----------
    rate : float or ndarray of shape (T,), default=1.0
        Mean count of each task. Its log is the intercept to start from, and it is the curvature of
        a model without features, in which gradients are measured. A rate of zero counts as 1.
    """

    bounded = False

    def __init__(self, rate=1.0):
        rate = np.asarray(rate, dtype=float)
        self.curvature_bound = np.where(rate > 0, rate, 1.0)[()]
        self.start = np.log(self.curvature_bound)

    def evaluate(self, y, z):
        """Return the loss and its first derivative in z, two new arrays."""
        near = np.minimum(z, _MOST)
        mean = np.exp(near)
        # the first is exact where y is 0, the second where it is 1 and z near 0
        derivative = np.where(y < 0.5, mean - y, np.expm1(near) - (y - 1.0))
        rest = near[0] - np.log(np.where(y > 0, y, 1.0))
        # near z = log y the terms cancel: those of large counts would leave few digits
        close = (y > 0) & (np.abs(rest) < 1.0)
        own = np.where(close, rest, 0.0)
        value = np.where(close, y * (np.expm1(own) - own), derivative[0] - y * rest)
        value = np.maximum(value, 0.0) + derivative[0] * (z - near)[0]
        return value, derivative

    def curvature(self, y, derivative):
        """Return the second derivative in z, with an error of about 1e-16 times y."""
        return np.maximum(derivative + y, 0.0)

    def curvature_slope(self, y, derivative):
        """Return the third derivative in z, which is the second."""
        return self.curvature(y, derivative)

    def curvature_product(self, y, derivative, z):
        """Return the second derivative times z."""
        return self.curvature(y, derivative) * z
