"""Groups of tasks, their members eliminated, as tasks."""

from functools import cached_property

import numpy as np
from scipy import linalg

from skmtl._linalg import null_space_of, outer
from skmtl.data import Moments

_ROUNDING = 1e-14  # share of a coordinate that is rounding error


class GroupMoments:
    """Systems of groups, their members eliminated, as moments of tasks.

    Parameters
    ----------
    S : ndarray of shape (R, d + 1, d + 1)
        Curvature in the coefficients and intercept, the upper d rows and the corner.
    support : callable, optional
        Returns matrices with the same null spaces, where rounding errors in S hide these.
    scale : float or ndarray of shape (d,), default=1.0
        Of the coefficients, which the features are multiplied by.
    """

    graded = False

    def __init__(self, S, support=None, scale=1.0):
        self._support, self._units = support, np.append(np.broadcast_to(scale, S.shape[1] - 1), 1.0)
        self.n_tasks, self.n_features = len(S), S.shape[1] - 1
        self.n_dimensions = self.n_features
        self.block, self.scale = np.arange(self.n_tasks), np.ones(self.n_tasks)
        self.block_sizes = np.full(self.n_tasks, np.iinfo(np.intp).max // 4)
        # what is left of the weights where free slopes leave nothing may be below zero by rounding
        S = self._units[:, None] * S * self._units
        border, self.totals = S[:, :-1, -1], np.maximum(S[:, -1, -1], 0.0)
        total = self.totals[:, None]
        self._mean = np.divide(border, total, out=np.zeros(border.shape), where=total > 0)
        H = 0.5 * (S[:, :-1, :-1] + S[:, :-1, :-1].swapaxes(1, 2))
        self._H = H - outer(self.totals, self._mean, self._mean)

    @cached_property
    def _supports(self):
        return self._units[:, None] * self._support() * self._units

    def null_space(self, group, alpha_intercept):
        """Return an orthonormal basis of the coefficients of a group that no row identifies.

        Also the projection (d, d) on what is left in units ``scale`` of the features, and these.
        """
        S = self._supports[group]
        null = slopes_not_identified(S, free_intercept=alpha_intercept == 0)
        squares = np.diag(S)[:-1]
        scale = np.sqrt(np.where(squares > 0, squares, 1.0))
        directions = linalg.qr(scale[:, None] * null, mode="economic")[0]
        left = np.eye(len(scale)) - directions @ directions.T
        rest = (squares > 0) & (np.diag(left) > _ROUNDING)
        return null, np.where(np.outer(rest, rest), left, 0.0), scale

    def support(self, parent, n_parents, alpha_intercept):
        """Return matrices with the null spaces of the systems of the centers, (n_parents, ...)."""
        own = self._supports
        if alpha_intercept == 0:
            own = np.zeros_like(own)
            for group, S in enumerate(own):
                _, left, scale = self.null_space(group, alpha_intercept)
                S[:-1, :-1] = scale * left * scale[:, None]
        S = np.zeros((n_parents, *own.shape[1:]))
        np.add.at(S, parent, own)
        return S

    def task_moments(self, groups):
        """Return the ``Moments`` of some of the groups."""
        return self.moments(groups)

    def moments(self, blocks, room=None):
        """Return the ``Moments`` of some of the groups."""
        return Moments(self._H[blocks].copy(), self._mean[blocks], self.totals[blocks])


def slopes_not_identified(S, *, free_intercept):
    """Return an orthonormal basis of the coefficients that a system (d + 1, d + 1) leaves open.

    With a free intercept, together with any intercept.
    """
    if free_intercept and S[-1, -1] > 0:
        return linalg.qr(null_space_of(S)[:-1], mode="economic")[0]
    return null_space_of(S[:-1, :-1])
