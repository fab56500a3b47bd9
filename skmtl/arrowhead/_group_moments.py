"""Groups of tasks, their members eliminated, as tasks."""

import numpy as np

from skmtl._linalg import outer
from skmtl.data import Moments


class GroupMoments:
    """Systems of groups, their members eliminated, as moments of tasks.

    Parameters
    ----------
    S : ndarray of shape (R, d + 1, d + 1)
        Curvature in the coefficients and intercept, the upper d rows and the corner.
    """

    graded = False

    def __init__(self, S):
        self.n_tasks, self.n_features = len(S), S.shape[1] - 1
        self.n_dimensions = self.n_features
        self.block, self.scale = np.arange(self.n_tasks), np.ones(self.n_tasks)
        self.block_sizes = np.full(self.n_tasks, np.iinfo(np.intp).max // 4)
        # what is left of the weights where free slopes leave nothing may be below zero by rounding
        border, self.totals = S[:, :-1, -1], np.maximum(S[:, -1, -1], 0.0)
        total = self.totals[:, None]
        self._mean = np.divide(border, total, out=np.zeros(border.shape), where=total > 0)
        H = 0.5 * (S[:, :-1, :-1] + S[:, :-1, :-1].swapaxes(1, 2))
        self._H = H - outer(self.totals, self._mean, self._mean)

    @property
    def square_norms(self):
        """Curvatures in the coefficients, (R, d)."""
        return np.einsum("tjj->tj", self._H)

    def task_moments(self, groups):
        """Return the ``Moments`` of some of the groups."""
        return self.moments(groups)

    def moments(self, blocks, room=None):
        """Return the ``Moments`` of some of the groups."""
        return Moments(self._H[blocks].copy(), self._mean[blocks], self.totals[blocks])
