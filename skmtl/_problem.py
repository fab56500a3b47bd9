"""Problem = TaskData + Loss + Penalty: objective, gradient and the certificate of optimality."""

from typing import NamedTuple

import numpy as np

from skmtl._tasks import LossSums
from skmtl.penalties import Coefficients


class Evaluation(NamedTuple):
    """Everything that one pass over the data tells about some coefficients."""

    objective: float
    optimality: float
    gradient: Coefficients
    sums: LossSums


class Problem:
    """Minimise ``sum_i weight_i loss(y_i, z_i) + penalty(coefficients)``.

    Parameters
    ----------
    data : TaskData
    loss : Loss
    penalty : Penalty
    """

    def __init__(self, data, loss, penalty):
        self.data, self.loss, self.penalty = data, loss, penalty
        self._null_squares = None

    def evaluate(self, coefficients):
        """Return the ``Evaluation`` at some coefficients; one pass over the data."""
        W, level = coefficients.W, coefficients.level
        sums = self.data.loss_sums(self.loss, W, level)
        if self._null_squares is None:
            at_null = not (level.any() or W.any())
            self._null_squares = sums.squares if at_null else self.data.null_squares(self.loss)
        penalty, free = self.penalty.gradient(coefficients), self.penalty.free()
        gradient = Coefficients(
            free.V * (sums.G + penalty.V),
            free.q * (sums.R + penalty.q),
            free.w * (sums.G.sum(axis=0) + penalty.w),
            free.c * float(sums.R.sum()),
        )
        return Evaluation(
            float(sums.value.sum()) + self.penalty.value(coefficients),
            self._optimality(gradient, sums),
            gradient,
            sums,
        )

    def _optimality(self, gradient, sums):
        """Return the relative KKT residual: the largest entry of the gradient in natural units.

        The unit of an entry is the square root of its own curvature (squared norm of the feature
        in the task, plus the strength of the penalty) times the norm of the loss gradients in
        that task (at prediction zero or here, whichever is larger). It follows every change of
        units of features and target; 1e-8 means that a coefficient is off by about 1e-8 of its
        own standard error times the root of the rows.
        """
        bound, squares = self.loss.curvature_bound, np.maximum(self._null_squares, sums.squares)
        overall = squares.sum()
        # A task fitted exactly by the null model has no unit of its own.
        residual = np.sqrt(np.maximum(squares, 1e-12 * overall / self.data.n_tasks))
        overall = np.sqrt(overall)
        curvature = bound * self.data.square_norms
        weight = bound * self.data.totals
        penalty = self.penalty.curvature()
        parts = [
            _largest(gradient.V, np.sqrt(curvature + penalty.V) * residual[:, None]),
            _largest(gradient.q, np.sqrt(weight + penalty.q) * residual),
            _largest(gradient.w, np.sqrt(curvature.sum(axis=0) + penalty.w) * overall),
            _largest(gradient.c, np.sqrt(weight.sum()) * overall),
        ]
        return float(np.max(parts))  # unlike Python's, NaN if any of them is


def _largest(entries, units):
    """Return the largest entry in its unit; what has no unit and is zero counts as zero."""
    entries = np.abs(entries)
    units = np.broadcast_to(units, entries.shape)
    ratio = np.divide(entries, units, out=np.where(entries == 0, 0.0, np.inf), where=units > 0)
    return ratio.max()
