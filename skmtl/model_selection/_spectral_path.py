"""Squared loss and a ridge coupling to a centre: one factorisation for all strengths alpha."""

from functools import cached_property

import numpy as np
from scipy import linalg

from skmtl._linalg import SymmetricSolver, null_space_of
from skmtl._threads import in_chunks


class SpectralPath:
    """The solutions for many alpha, of one set of rows and one ``alpha_intercept``.

    With ``G_t`` the Gram of task t after its level is eliminated, ``G_t = Q diag(e) Q'`` once, and
    ``(G_t + alpha I)^-1`` is a division for every alpha. What is left for each is the system of
    the centre,

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

    def __init__(self, moments, center, alpha_intercept, fixed_level):
        self._ymean, self.fixed_level, self.center = moments.ymean, fixed_level, center
        H, mean, total, xy, ymean = moments
        self.delta = mean - center
        # share of a task's mean that the common level holds on to
        self.hold = np.ones_like(total)
        if np.isfinite(alpha_intercept):
            self.hold = alpha_intercept / (total + alpha_intercept)
        self.kappa = kappa = self.hold * total
        h = kappa[:, None] * self.delta
        G = H + h[:, :, None] * self.delta[:, None, :]
        pieces = in_chunks(lambda f, t: [np.linalg.eigh(G[f:t])], len(G), 20 * G.size * len(G[0]))
        e, self.Q = (np.concatenate(part) for part in zip(*[p[0] for p in pieces], strict=True))
        self.e = np.maximum(e, 0.0)
        self._p = np.matmul(xy + h[:, None] * ymean[:, :, None], self.Q)  # (B, m, d)
        self.g = np.matmul(h[:, None], self.Q)[:, 0]
        self._pull = (kappa[:, None] * ymean).sum()
        self._support = G.sum(axis=0), h.sum(axis=0), kappa.sum()
        self.columns = np.ascontiguousarray(self.Q.swapaxes(0, 1)).reshape(H.shape[-1], -1)

    @property
    def n_targets(self):
        """Targets of each block, m."""
        return self._p.shape[1]

    @cached_property
    def null_space(self):
        """What no row tells of the centre, an orthonormal basis (d, k)."""
        G, h, kappa = self._support
        if self.fixed_level or not kappa:
            return null_space_of(G)
        null = null_space_of(np.block([[G, h[:, None]], [h, kappa]]))
        return linalg.qr(null[:-1], mode="economic")[0]

    def solve(self, systems):
        """Return the coefficients (B, d, m, C) and levels (B, m, C) of ``CenterSystems``."""
        B, m, d = self._p.shape
        p, total = self._p.swapaxes(1, 2)[..., None], self._p.sum(axis=1)[..., None]
        right_w = self.columns @ (systems.share * total).reshape(B * d, -1)
        right_c = self._pull - (self.g.ravel() @ (systems.inverse * total).reshape(B * d, -1))
        w, c = systems.solve(right_w, right_c)
        inside = (self.columns.T @ w).reshape(B, d, -1)
        pulled = inside * self.e[..., None] + self.g[..., None] * c
        away = (p - pulled[:, :, None]) * systems.inverse[:, :, None]
        W = w[:, None] + np.matmul(self.Q, away.reshape(B, d, -1)).reshape(away.shape)
        if self.fixed_level:
            return W, np.zeros((B, m, W.shape[-1]))
        beyond = self._ymean[..., None] - c
        beyond -= np.matmul(self.delta[:, None], W.reshape(B, d, -1)).reshape(beyond.shape)
        return W, c + (1 - self.hold)[:, None, None] * beyond


class CenterSystems:
    """The systems of the centre (w, c) at C strengths, factored.

    Parameters
    ----------
    path : SpectralPath
    alpha, alpha_shared : ndarray of shape (C,)
        alpha is positive; both may be inf.

    Attributes
    ----------
    inverse, share : ndarray of shape (B, d, C)
        ``1 / (e + alpha)`` and ``alpha / (e + alpha)``.
    wc : ndarray of shape (d, C) and cc : ndarray of shape (C,)
        Border and corner of the systems; cc is inf where there is no common level.
    """

    def __init__(self, path, alpha, alpha_shared):
        e, g = path.e[..., None], path.g[..., None]
        self.inverse, self.share = 1.0 / (e + alpha), 1.0 / (1.0 + e / alpha)
        n = path.e.size
        m, C = path.n_targets, len(alpha)
        self.wc = m * (path.columns @ (self.share * g).reshape(n, C))
        self.cc = m * (path.kappa.sum() - (g**2 * self.inverse).sum(axis=(0, 1)))
        if path.fixed_level or not path.kappa.any():
            self.cc, self.wc = np.full(C, np.inf), np.zeros_like(self.wc)
        roots = np.ascontiguousarray(np.sqrt(m * self.share * e).reshape(n, C).T)
        self._centers = [None] * C  # of systems whose w is held at zero
        for i in np.flatnonzero(np.isfinite(alpha_shared)):
            columns = path.columns * roots[i]
            S = columns @ columns.T - np.outer(self.wc[:, i], self.wc[:, i] / self.cc[i])
            null_space = None if alpha_shared[i] > 0 else (lambda: path.null_space)
            S[np.diag_indices_from(S)] += alpha_shared[i]
            self._centers[i] = SymmetricSolver(S, null_space)

    def solve(self, right_w, right_c):
        """Return w (d, C) and c (C,) for right-hand sides of these shapes."""
        w, rest = np.zeros_like(right_w), right_w - self.wc * (right_c / self.cc)
        for i, center in enumerate(self._centers):
            if center is not None:
                w[:, i] = center.solve(rest[:, i])
        return w, (right_c - (self.wc * w).sum(axis=0)) / self.cc

    @cached_property
    def roots(self):
        """Roots R (C, d, d) of the inverse on w, ``R'R``, given that c follows."""
        d = len(self.wc)
        held = np.zeros((d, d))
        return np.stack([held if c is None else c.inverse_root() for c in self._centers])
