"""Softmax loss of more than two classes."""

import numpy as np

from skmtl.losses._base import Loss


class MultinomialLoss(Loss):
    """``log sum_k exp(z_k) - z_y``: minus the log of the softmax probability of class y.

    z is (K, n), one row per class, and y (n,) holds integers from 0 to K - 1. A class with
    z = -inf has probability zero. The derivative is p - e_y, whose entry y is computed as minus the
    sum of the others, without cancellation; the second derivative is diag(p) - pp'.

    Parameters
    ----------
    n_classes : int
        Number of classes K.
    """

    curvature_bound = 0.25  # of the diagonal
    separable = False

    def __init__(self, n_classes):
        self.n_outputs = n_classes

    def evaluate(self, y, z):
        """Return the loss (n,) and its first derivative in z (K, n), two new arrays."""
        own = y, np.arange(len(y))
        top = z.max(axis=0)
        derivative = np.exp(z - top)
        right = derivative[own]
        derivative[own] = 0.0
        wrong = derivative.sum(axis=0)
        derivative /= wrong + right
        derivative[own] = -wrong / (wrong + right)
        return (top - z[own]) + np.log1p(wrong + (right - 1.0)), derivative

    def curvature(self, y, derivative):
        """Return the diagonal of the second derivative, (K, n)."""
        p = np.abs(derivative)
        return p * (1.0 - p)

    def curvature_product(self, y, derivative, z):
        """Return the second derivative times z, both (K, n)."""
        p = self.probabilities(y, derivative)
        return p * (z - (p * z).sum(axis=0))

    def probabilities(self, y, derivative):
        """Return the probability of each class, (K, n)."""
        return derivative + (y == np.arange(self.n_outputs)[:, None])
