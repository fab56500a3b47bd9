"""Coefficients of tasks in groups given the rows, from the center inwards."""

import numpy as np
from scipy.linalg import block_diag

from skmtl.penalties import sums_of_members


class NestedPosterior:
    """What a ``TaskPosterior`` is for tasks in groups.

    With L the covariance of the deviations of a level, a node's coefficients move by ``I - L S``
    times a change of those that it deviates from. Derivatives in the covariances of all levels are
    one block-diagonal matrix, that of the tasks first.

    Parameters
    ----------
    grams : list of ndarray of shape (B, D, D)
        S of the nodes of each level, tasks first: the curvature of the loss in what a node deviates
        from, its own and inner deviations eliminated.
    covariances : list of ndarray of shape (D, D)
        L of each level.
    parents : list of ndarray of int
        The group of each node of all levels but the last.
    root : ndarray of shape (D, p)
        A factor of the covariance of the center.
    """

    def __init__(self, grams, covariances, parents, root):
        self._grams, self._covariances, self._parents = grams, covariances, parents
        self._root, outer = root, (root @ root.T)[None]
        self._outer = [outer]  # covariances of what the nodes of each level deviate from
        for level in range(len(parents), 0, -1):
            outer = self._covariance(level, outer)[parents[level - 1]]
            self._outer.insert(0, outer)

    def _covariance(self, level, outer):
        """Return the covariances of the coefficients of a level, given those of the next."""
        L = self._covariances[level]
        kept = np.eye(len(L)) - L @ self._grams[level]
        return kept @ L + kept @ outer @ kept.swapaxes(1, 2)

    @property
    def C(self):
        """Covariances of the coefficients of the tasks, (T, D, D)."""
        return self._covariance(0, self._outer[0])

    def determinant_slopes(self, *, diagonal=False):
        """Return the derivative of the log-determinants at fixed curvatures.

        They are those of the deviations and of the center. With ``diagonal``, only the diagonal is
        computed.
        """
        found = []
        for S, outer in zip(self._grams, self._outer, strict=True):
            SC = S @ outer
            if diagonal:
                own = np.einsum("gjj->j", S) - np.einsum("gjk,gjk->j", SC, S)
                found.append(np.diag(own))
            else:
                found.append((S - SC @ S).sum(axis=0))
        return block_diag(*found)

    def responses(self, right, center):
        """Return the derivatives of the loss in each node's coefficients, a list of (B, D).

        ``right`` (B, D) of each level are derivatives at zero, what is inside eliminated, with the
        other sign, and ``center`` (D,) are the coefficients of the center.
        """
        found, outer = [], center[None]
        for level in range(len(right) - 1, -1, -1):
            own = right[level] - np.einsum("gjk,gk->gj", self._grams[level], outer)
            found.insert(0, own)
            if level:
                outer = (outer + own @ self._covariances[level])[self._parents[level - 1]]
        return found

    def mode_slopes(self, moved, gradient):
        """Return derivatives of what moves with the mode; see ``TaskPosterior.mode_slopes``."""
        right, gradients = [], [gradient]
        for level, (S, L) in enumerate(zip(self._grams, self._covariances, strict=True)):
            right.append(moved - np.einsum("gjk,gk->gj", S, moved @ L))
            if level < len(self._parents):
                parent = self._parents[level]
                moved = sums_of_members(right[-1], parent, axis=0)
                gradients.append(sums_of_members(gradients[-1], parent, axis=0))
        center, blocks = self._root @ (self._root.T @ right[-1].sum(axis=0)), []
        for gradient, response in zip(gradients, self.responses(right, center), strict=True):
            G = -gradient.T @ (gradient + response)
            blocks.append(0.5 * (G + G.T))
        return center, block_diag(*blocks)
