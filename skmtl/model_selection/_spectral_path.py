"""Squared loss and a ridge coupling to a center: one factorization for all strengths alpha."""

from functools import cached_property

import numpy as np
from scipy import linalg

from skmtl._linalg import bordered, cholesky_of, null_space_of, outer, stacked_eigh
from skmtl._threads import in_chunks


class SpectralPath:
    """The solutions for many alpha, of one set of rows and one ``alpha_intercept``.

    With ``G_t`` the Gram of task t after its level is eliminated, ``G_t = Q diag(e) Q'`` once, and
    ``(G_t + alpha I)^-1`` is a division for every alpha. What is left for each is the system of
    the center,

        S = sum_t alpha (G_t + alpha I)^-1 G_t + alpha_shared I,

    bordered by the common level.

    Parameters
    ----------
    moments : TaskMoments, without leading axes
    center : ndarray of shape (d,)
        Where the levels are measured.
    alpha_intercept : float
    fixed_level : bool
        Whether there are no levels; then ``center`` is zero.
    """

    def __init__(self, moments, center, alpha_intercept, fixed_intercept):
        self._ymean, self.fixed_intercept, self.center = moments.ymean, fixed_intercept, center
        H, mean, total, xy, ymean = moments
        self.delta = mean - center
        # share of a task's mean that the common level holds on to
        self.hold = np.ones_like(total)
        if np.isfinite(alpha_intercept):
            self.hold = alpha_intercept / (total + alpha_intercept)
        self.kappa = kappa = self.hold * total
        h = kappa[:, None] * self.delta
        G = H + outer(kappa, self.delta, self.delta)
        self.e, self.Q = stacked_eigh(G)
        self._p = np.matmul(xy + h[:, None] * ymean[:, :, None], self.Q)  # (B, m, d)
        self.g = np.matmul(h[:, None], self.Q)[:, 0]
        self._pull = (kappa[:, None] * ymean).sum()
        self._columns = np.ascontiguousarray(self.Q.swapaxes(0, 1)).reshape(H.shape[-1], -1)
        self.basis = self._seen(G.sum(axis=0), h.sum(axis=0), kappa.sum())
        self.columns = self._columns if self.basis is None else self.basis.T @ self._columns

    @property
    def n_targets(self):
        """Targets of each block, m."""
        return self._p.shape[1]

    def _seen(self, G, h, kappa):
        """Return an orthonormal basis of what the rows tell of the center, (d, r), None for all."""
        if self.fixed_intercept or not kappa:
            null = null_space_of(G)
        else:
            null = null_space_of(bordered(G, h, kappa))[:-1]
        if not null.shape[1]:
            return None
        return linalg.qr(null)[0][:, null.shape[1] :]

    def solve(self, systems):
        """Return the coefficients (B, d, m, C) and levels (B, m, C) of ``CenterSystems``."""
        B, m, d = self._p.shape
        p, total = self._p.swapaxes(1, 2)[..., None], self._p.sum(axis=1)[..., None]
        right_w = self.columns @ (systems.share * total).reshape(B * d, -1)  # (r, C)
        right_c = self._pull - (self.g.ravel() @ (systems.inverse * total).reshape(B * d, -1))
        w, c = systems.solve(right_w, right_c)
        inside = (self.columns.T @ w).reshape(B, d, -1)
        w = w if self.basis is None else self.basis @ w
        pulled = inside * self.e[..., None] + self.g[..., None] * c
        away = (p - pulled[:, :, None]) * systems.inverse[:, :, None]
        W = w[:, None] + np.matmul(self.Q, away.reshape(B, d, -1)).reshape(away.shape)
        if self.fixed_intercept:
            return W, np.zeros((B, m, W.shape[-1]))
        beyond = self._ymean[..., None] - c
        beyond -= np.matmul(self.delta[:, None], W.reshape(B, d, -1)).reshape(beyond.shape)
        return W, c + (1 - self.hold)[:, None, None] * beyond


class CenterSystems:
    """The systems of the center (w, c) at C strengths, factored; w in what the rows tell of it.

    Parameters
    ----------
    path : SpectralPath
    alpha, alpha_shared : ndarray of shape (C,)
        alpha is positive; both may be inf.

    Attributes
    ----------
    inverse, share : ndarray of shape (B, d, C)
        ``1 / (e + alpha)`` and ``alpha / (e + alpha)``.
    cc : ndarray of shape (C,)
        Corner of the systems; inf where there is no common level.
    """

    def __init__(self, path, alpha, alpha_shared):
        e, g = path.e[..., None], path.g[..., None]
        self.inverse, self.share = 1.0 / (e + alpha), 1.0 / (1.0 + e / alpha)
        n, m, (r, C) = path.e.size, path.n_targets, (len(path.columns), len(alpha))
        self._basis = path.basis
        self._wc = m * (path.columns @ (self.share * g).reshape(n, C))
        self.cc = m * (path.kappa.sum() - (g**2 * self.inverse).sum(axis=(0, 1)))
        if path.fixed_intercept or not path.kappa.any():
            self.cc, self._wc = np.full(C, np.inf), np.zeros_like(self._wc)
        self._held = np.isinf(alpha_shared)
        weights, ww = m * (self.share * e).reshape(n, C), np.empty((C, r, r))

        def fill(first, last):  # a row of all the systems at a time
            for i in range(first, last):
                entries = ((path.columns[i] * path.columns[i:]) @ weights).T
                ww[:, i, i:] = ww[:, i:, i] = entries

        in_chunks(fill, r, C * n * r**2)
        ww -= np.einsum("ic,jc->cij", self._wc / self.cc, self._wc)
        ww[:, range(r), range(r)] += np.where(self._held, 0.0, alpha_shared)[:, None]
        self._scale = np.sqrt(np.maximum(np.einsum("cii->ci", ww), np.finfo(np.float64).tiny))
        self._factor = _factors(ww / (self._scale[:, :, None] * self._scale[:, None]))

    @cached_property
    def _roots(self):
        """Roots R (C, r, r) of the inverse on w, ``R'R``, given that c follows."""
        roots = np.linalg.solve(self._factor, np.eye(self._factor.shape[-1])[None])
        roots /= self._scale[:, None]
        roots[self._held] = 0.0
        return roots

    def solve(self, right_w, right_c):
        """Return w (r, C) and c (C,) for right-hand sides of these shapes."""
        rest = right_w - self._wc * (right_c / self.cc)
        moved = np.matmul(self._roots, rest.T[..., None])
        w = np.matmul(self._roots.swapaxes(1, 2), moved)[..., 0].T
        return w, (right_c - (self._wc * w).sum(axis=0)) / self.cc

    def told(self, Q):
        """Return what reaches the whitened center by deviations along Q (d, k), and by its level.

        These are (C, r, k) and (C, r, 1).
        """
        Q = Q if self._basis is None else self._basis.T @ Q
        return self._roots @ Q, np.matmul(self._roots, (self._wc / self.cc).T[..., None])


def _factors(A):
    """Return the Cholesky factors of a stack of systems of unit diagonal, (C, r, r)."""
    try:
        return np.linalg.cholesky(A)
    except np.linalg.LinAlgError:  # at the edge of double precision
        return np.stack([cholesky_of(system) for system in A])
