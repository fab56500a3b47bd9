"""Coefficients of each task given its rows, and how the mode moves."""

from functools import partial
from typing import NamedTuple

import numpy as np

from skmtl import _evidence_kernels as kernels
from skmtl._threads import in_chunks

_EPS = np.finfo(np.float64).eps


class TaskPosterior(NamedTuple):
    """Coefficients of each task, given the rows.

    Attributes
    ----------
    S : ndarray of shape (T, D, D)
        Curvature of the loss in the center, the deviations of the task eliminated.
    J : ndarray of shape (T, D, D)
        Derivative of ``(w + v_t, c + q_t)`` in the center, without what is fixed.
    C : ndarray of shape (T, D, D)
        Covariance of the coefficients.
    rest : ndarray of shape (T, D, D) or None
        The coefficients are this times those without fixed effects of the task, plus these.
    root : ndarray of shape (D, p)
        A factor of the covariance of the center.
    """

    S: np.ndarray
    J: np.ndarray
    C: np.ndarray
    rest: np.ndarray | None
    root: np.ndarray

    @classmethod
    def of(cls, H, scale, F, flat, root):
        """Return the posterior of each task.

        Parameters
        ----------
        H : ndarray of shape (T, D, D)
            Curvature of the loss.
        scale : ndarray of shape (T,)
            Factors of the slopes, all entries but the last.
        F : ndarray of shape (D, D)
            The deviations have the covariance ``F F'``.
        flat : ndarray of shape (T, D)
            Mask of the fixed effects.
        root : ndarray of shape (D, p)
            A factor of the covariance of the center.
        """
        rest = None
        if flat.any():
            N, rest = _eliminated(H, flat)
            H = rest.swapaxes(1, 2) @ H @ rest
        S, J, C = np.empty((3, *H.shape))
        given = np.ascontiguousarray(H), scale, F, np.ascontiguousarray(root), S, J, C
        in_chunks(partial(kernels.posterior, *given), len(H), 8 * H.size * len(F))
        if rest is not None:
            C = N + rest @ C @ rest.swapaxes(1, 2)
        return cls(S, J, C, rest, root)

    def determinant_slopes(self):
        """Return the derivative G (D, D) of the log-determinants at fixed curvatures.

        They are ``log|V| + log|X' V^-1 X|``, and a change dL of the covariance of the deviations
        changes them by tr(G dL).
        """
        E = (self.S @ self.root).swapaxes(1, 2).reshape(-1, self.S.shape[1])
        return self.S.sum(axis=0) - E.T @ E

    def mode_slopes(self, moved, gradient):
        """Return derivatives of what moves with the mode.

        That is ``moved_t . (w + v_t, c + q_t)``, summed over the tasks, and twice the objective,
        where the gradients of the loss in each task are ``gradient`` (T, D) at the mode.

        Returns
        -------
        center : ndarray of shape (D,)
            That of the first in the gradient of the center.
        G : ndarray of shape (D, D)
            In the covariance of the deviations: a change dL has the effect tr(G dL).
        """
        if self.rest is not None:
            moved = np.einsum("tji,tj->ti", self.rest, moved)
        along = np.einsum("tji,tj->ti", self.J, moved)
        center = self.root @ (self.root.T @ along.sum(axis=0))
        G = gradient.T @ (self.S @ center - along - gradient)
        return center, 0.5 * (G + G.T)


def _eliminated(H, fixed):
    """Return the covariance of fixed effects, a mask (T, D), and what eliminates them.

    H (T, D, D) is the curvature, and both results have its shape.
    """
    both = fixed[:, :, None] & fixed[:, None, :]
    scale = np.sqrt(np.einsum("tjj->tj", H))
    scale = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    units = scale[:, :, None] * scale[:, None]
    cutoff = 64 * H.shape[1] * _EPS
    N = units * np.linalg.pinv(np.where(both, units * H, 0.0), rcond=cutoff, hermitian=True)
    return N, np.eye(H.shape[1]) - N @ H
