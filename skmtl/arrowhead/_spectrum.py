"""Eigenvectors of the tasks about their own means: one factorization for all penalty weights."""

from typing import NamedTuple

import numpy as np

from skmtl._linalg import stacked_eigh
from skmtl._threads import in_chunks

_EPS = np.finfo(np.float64).eps


class Whitened(NamedTuple):
    """Rows of a ``Spectrum`` at C pairs of variance ratios theta and phi.

    Attributes
    ----------
    omega, ridge : ndarray of shape (B, C, r)
        ``1 / (1 + theta l)`` and ``theta / (1 + theta l)`` of each thin row.
    share : ndarray of shape (B, C)
        Inverse variance of the mean row given the thin rows.
    E : ndarray of shape (B, C, d + 1)
        Features and constant of the mean row given the thin rows.
    """

    omega: np.ndarray
    ridge: np.ndarray
    share: np.ndarray
    E: np.ndarray


class Spectrum:
    """Rows of B groups of tasks in eigenvectors, with random coefficients integrated out.

    The weighted rows of a task have the covariance ``V = I + theta F F' + phi 1 1'`` in units of
    the noise, theta = 1 / alpha and phi = 1 / alpha_intercept. About their own mean they are
    ``P diag(sqrt(l)) U'``; rotated by P' they are thin rows ``sqrt(l_j) u_j``, at most d, with the
    variance ``1 + theta l_j`` each, and beside them there is the mean row ``sqrt(n) (delta, 1)``.
    Given the thin rows it has the features ``E = sqrt(n) (sum_j g_j omega_j u_j + perp, 1)`` and
    the variance ``1 / share = 1 + n (sum_j g_j^2 ridge_j + theta ||perp||^2 + phi)``. This is exact
    for ratios of 0 and inf.

    Parameters
    ----------
    l : ndarray of shape (B, r)
        Eigenvalues; those of rounding errors are set to zero.
    U : ndarray of shape (B, r, d)
        Eigenvectors.
    delta : ndarray of shape (B, d)
        Means of the features.
    n : ndarray of shape (B,)
        Weights.
    count : ndarray of shape (B,)
        Number of tasks in each group.

    Attributes
    ----------
    g : ndarray of shape (B, r)
        ``u_j . delta``.
    perp, perp_square : ndarray of shape (B, d) and (B,)
        Part of delta that is orthogonal to the thin rows, and its squared norm.
    rows, thin : ndarray of shape (J,) and (J, d)
        Positions of the nonzero eigenvalues among all B r, or of all if few are zero, and their
        eigenvectors.
    """

    def __init__(self, l, U, delta, n, count):  # noqa: E741
        kept = l > 8 * U.shape[-1] * _EPS * l.max(axis=1, keepdims=True, initial=0.0)
        self.l, self.U = np.where(kept, l, 0.0), np.where(kept[..., None], U, 0.0)
        self.delta, self.n, self.count = delta, n, count
        self.rows = np.flatnonzero(kept if 2 * kept.sum() < kept.size else np.ones_like(kept))
        self.thin = np.ascontiguousarray(self.U.reshape(l.size, U.shape[-1])[self.rows])
        self.g = np.matmul(self.U, delta[..., None])[..., 0]
        perp = delta - np.matmul(self.g[:, None], self.U)[:, 0]
        square, size = (perp**2).sum(axis=1), (delta**2).sum(axis=1)
        none = square <= (64 * delta.shape[1] * _EPS) ** 2 * size
        self.perp, self.perp_square = (
            np.where(none[:, None], 0.0, perp),
            np.where(none, 0.0, square),
        )

    @classmethod
    def of_moments(cls, H, mean, total, count):
        """Return the spectrum of Gram matrices (B, d, d) about the means (B, d)."""
        values, vectors = stacked_eigh(H)
        return cls(values, vectors.swapaxes(1, 2), mean, total, count)

    def whitened(self, theta, phi):
        """Return ``Whitened`` at theta (B, C) or (1, C) and phi, a number or (C,), in [0, inf]."""
        l, each, square = self.l[:, None], theta[..., None], self.perp_square[:, None]  # noqa: E741
        if np.isfinite(theta).all():
            omega = each * l  # in place from here: fresh memory takes longer than the numbers
            omega += 1.0
            np.reciprocal(omega, out=omega)
            ridge, variance = each * omega, theta * square
        else:  # where there is nothing, nothing is multiplied by inf
            with np.errstate(divide="ignore", invalid="ignore"):
                omega = np.where(l > 0, 1.0 / (1.0 + each * l), 1.0)
                ridge = np.where(l > 0, 1.0 / (1.0 / each + l), 0.0)
                variance = np.where(square > 0, theta * square, 0.0)
        variance = variance + np.matmul(ridge, self.g[..., None] ** 2)[..., 0] + phi
        E, root = np.empty((*variance.shape, self.U.shape[-1] + 1)), np.sqrt(self.n)[:, None]
        np.matmul(omega * (root * self.g)[:, None], self.U, out=E[..., :-1])
        if self.perp.any():
            E[..., :-1] += (root * self.perp)[:, None]
        E[..., -1] = root
        return Whitened(omega, ridge, 1.0 / (1.0 + self.n[:, None] * variance), E)

    def gram(self, white):
        """Return ``X' V^-1 X`` at each pair, (C, d + 1, d + 1)."""
        n_pairs, d = white.E.shape[1], self.U.shape[2]
        means = np.sqrt(self.count[:, None] * white.share)[..., None] * white.E
        gram = np.matmul(means.transpose(1, 2, 0), means.swapaxes(0, 1))
        weights = (self.count * self.l.T).T[..., None]
        weights = np.multiply(weights, white.omega.swapaxes(1, 2), order="C").reshape(-1, n_pairs)
        weights = weights[self.rows] if len(self.rows) < len(weights) else weights
        columns = np.ascontiguousarray(self.thin.T)

        def fill(first, last):  # a row of all the matrices at a time
            for i in range(first, last):
                entries = ((columns[i] * columns[i:]) @ weights).T
                gram[:, i, i:-1] += entries
                gram[:, i + 1 : -1, i] += entries[:, 1:]

        in_chunks(fill, d, weights.size * d**2)
        return gram
