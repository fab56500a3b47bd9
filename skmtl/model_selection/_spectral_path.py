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
        self._moments, self._fixed_level, self.center = moments, fixed_level, center
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
        self._pull = kappa[:, None] * ymean
        self._support = G.sum(axis=0), h.sum(axis=0), kappa.sum()
        self._columns = np.ascontiguousarray(self.Q.swapaxes(0, 1)).reshape(H.shape[-1], -1)

    def fit(self, system):
        """Return the coefficients and levels only; see ``solve``."""
        return self.solve(system)[:2]

    @cached_property
    def null_space(self):
        """What no row tells of the centre, an orthonormal basis (d, k)."""
        G, h, kappa = self._support
        if self._fixed_level or not kappa:
            return null_space_of(G)
        null = null_space_of(np.block([[G, h[:, None]], [h, kappa]]))
        return linalg.qr(null[:-1], mode="economic")[0]

    def system(self, alpha, alpha_shared):
        """Return the ``CenterSystem`` at some strengths, alpha positive or inf."""
        return CenterSystem(self, alpha, alpha_shared)

    def solve(self, system):
        """Return the coefficients W (B, m, d) and levels (B, m), and the centre (d,), a number."""
        m = self._p.shape[1]
        # M^-1 p and alpha M^-1 p, in eigenvectors
        own = system.inverse[:, None] * self._p
        kept = system.share[:, None] * self._p
        right_w = self._columns @ kept.sum(axis=1).ravel()
        right_c = self._pull.sum() - (self.g[:, None] * own).sum()
        w, c = system.solve(right_w, right_c)
        inside = w @ self.Q  # (B, d)
        along = (inside * self.e + self.g * c) * system.inverse
        W = w + np.matmul(own - along[:, None], self.Q.swapaxes(1, 2))
        ymean = self._moments.ymean
        level = (
            np.zeros((len(W), m))
            if self._fixed_level
            else c
            + (1 - self.hold)[:, None] * (ymean - c - np.matmul(W, self.delta[:, :, None])[..., 0])
        )
        return W, level, w, c


class CenterSystem:
    """The system of the centre (w, c) at one alpha, factored.

    Attributes
    ----------
    inverse, share : ndarray of shape (B, d)
        ``1 / (e + alpha)`` and ``alpha / (e + alpha)``.
    """

    def __init__(self, path, alpha, alpha_shared):
        e, m = path.e, path._p.shape[1]
        pooled = np.isinf(alpha)
        self.inverse = np.zeros_like(e) if pooled else 1.0 / (e + alpha)
        self.share = np.ones_like(e) if pooled else alpha * self.inverse
        self._held = np.isinf(alpha_shared)
        columns = path._columns * np.sqrt(self.share * e).ravel()
        ww = m * (columns @ columns.T)
        self._wc = m * (path._columns @ (self.share * path.g).ravel())
        self._cc = m * (path.kappa.sum() - (path.g**2 * self.inverse).sum())
        if path._fixed_level or not path.kappa.any():
            self._cc, self._wc = np.inf, np.zeros_like(self._wc)
        self._center = None
        if self._held:
            return
        ww -= np.outer(self._wc, self._wc / self._cc)
        if alpha_shared > 0:
            self._center = SymmetricSolver(ww + alpha_shared * np.eye(len(ww)))
        else:
            self._center = SymmetricSolver(ww, lambda: path.null_space)

    def solve(self, right_w, right_c):
        """Return w and c for right-hand sides (d, ...) and (...)."""
        if self._held:
            return np.zeros_like(right_w), right_c / self._cc
        wc = self._wc if np.ndim(right_c) == 0 else self._wc[:, None]
        w = self._center.solve(right_w - wc * (right_c / self._cc))
        return w, (right_c - self._wc @ w) / self._cc

    def form(self, to_w, to_c):
        """Return ``[to_w, to_c]' S^-1 [to_w, to_c]``; to_w (B, d, k), to_c (B, k)."""
        root = to_c / np.sqrt(self._cc)
        form = root[:, :, None] * root[:, None, :]
        if not self._held:
            B, d, k = to_w.shape
            rest = to_w - (self._wc / self._cc)[:, None] * to_c[:, None]
            flat = rest.swapaxes(0, 1).reshape(d, B * k)
            solved = self._center.solve(flat).reshape(d, B, k).swapaxes(0, 1)
            form += np.matmul(rest.swapaxes(1, 2), solved)
        return form
