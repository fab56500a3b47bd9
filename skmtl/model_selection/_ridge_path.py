"""Squared loss and a ridge coupling to a center: fits for many penalty weights at once."""

from contextlib import nullcontext
from functools import cached_property

import numpy as np
from scipy import linalg

from skmtl._linalg import bordered, cholesky_of, null_space_of
from skmtl._threads import one_blas_thread
from skmtl.arrowhead import Spectrum

_LEAST = 1e-10  # smallest share of its own prediction that a row leaves to others
_SMALL = 2**26  # multiplications of a block that are not worth a second thread
_STRIP = 2**22  # numbers at a time


class NotIdentifiedError(Exception):
    """A task, or a coefficient, has no row but the one that is left out."""


class RidgePath:
    """Fits to one set of rows, each task factored once.

    Parameters
    ----------
    moments : BlockMoments, without leading axes
        B blocks with the targets of m tasks each.
    center : ndarray of shape (d,)
        Where the intercepts are measured.
    fixed_intercept : bool
        Whether there are no intercepts; then ``center`` is zero.
    """

    def __init__(self, moments, center, fixed_intercept):
        H, mean, total, xy, self.ymean = moments
        self.fixed_intercept, self.mean, self.total = fixed_intercept, mean - center, total
        self._within, (B, m, _) = H.sum(axis=0), xy.shape
        self.spectrum = Spectrum.of_moments(H, self.mean, total, np.full(B, m))
        self.p = np.matmul(xy, self.spectrum.U.swapaxes(1, 2))  # (B, m, r)

    def at(self, alpha, alpha_shared, alpha_intercept):
        """Return the ``RidgeFits`` at C penalty weights, three arrays (C,); alpha is positive."""
        return RidgeFits(self, alpha, alpha_shared, alpha_intercept)

    def null_space(self, alpha_intercept):
        """Return the directions of w that no row identifies, (d, k)."""
        if alpha_intercept == 0 and not self.fixed_intercept:
            return null_space_of(self._within)
        H = self._within + (self.total * self.mean.T) @ self.mean
        if self.fixed_intercept:
            return null_space_of(H)
        null = null_space_of(bordered(H, self.total @ self.mean, self.total.sum()))[:-1]
        return linalg.qr(null, mode="economic")[0] if null.shape[1] else null


class RidgeFits:
    """The fits of a ``RidgePath`` at C penalty weights.

    What is left of the rows when the tasks are integrated out (``Whitened``) is one system of the
    center (w, c) for each.
    """

    def __init__(self, path, alpha, alpha_shared, alpha_intercept):
        with np.errstate(divide="ignore"):
            self._theta, phi = 1.0 / alpha[None], 1.0 / alpha_intercept
        self._path, spectrum = path, path.spectrum
        self._white = spectrum.whitened(self._theta, phi)
        S = spectrum.gram(self._white)
        d = S.shape[-1] - 1
        for own in (alpha_intercept == 0, alpha_intercept > 0):
            null = path.null_space(alpha_intercept[own][0]) if own.any() else np.empty((d, 0))
            if null.shape[1]:  # any curvature there: w has no part in these directions
                size = np.einsum("cjj->c", S[own])
                S[own, :d, :d] += size[:, None, None] * (null @ null.T)
        free = np.ones((len(alpha), d + 1), dtype=bool)
        free[:, :d], free[:, d] = np.isfinite(alpha_shared)[:, None], S[:, d, d] > 0
        free[:, d] &= not path.fixed_intercept
        S[:, range(d), range(d)] += np.where(free[:, 0], alpha_shared, 0.0)[:, None]
        S = np.where(free[:, None] & free[..., None], S, np.eye(d + 1))
        scale = np.sqrt(np.maximum(np.einsum("cjj->cj", S), np.finfo(np.float64).tiny))
        factor = _factors(S / (scale[:, :, None] * scale[:, None]))
        # Roots R (C, d + 1, d + 1) of the inverse systems, R'R
        self._root = np.linalg.solve(factor, np.eye(d + 1)[None]) / scale[:, None] * free[:, None]

    @cached_property
    def _columns(self):
        """Return the columns of the roots that belong to w, (d, C (d + 1))."""
        columns = np.ascontiguousarray(self._root[:, :, :-1].transpose(2, 0, 1))
        return columns.reshape(len(columns), self._root[:, 0].size)

    def solve(self):
        """Return the coefficients (B, m, C, d) and intercepts (B, m, C)."""
        path, (omega, ridge, share, E) = self._path, self._white
        spectrum, root_n = path.spectrum, np.sqrt(path.total)[:, None, None]
        weights = (ridge * spectrum.g[:, None]).swapaxes(1, 2)
        y = root_n * (path.ymean[..., None] - np.matmul(path.p, weights))  # of the mean rows
        right = np.einsum("bc,bcj->cj", share * y.sum(axis=1), E)
        thin = np.multiply(omega.swapaxes(0, 1), path.p.sum(axis=1), order="C")
        n_thin, d = spectrum.l.size, right.shape[1] - 1
        right[:, :-1] += thin.reshape(len(right), n_thin) @ spectrum.U.reshape(n_thin, d)
        beta = np.matmul(self._root, right[..., None])
        beta = np.matmul(self._root.swapaxes(1, 2), beta)[..., 0]
        w = beta[:, :-1]
        y = share[:, None] * (y - np.matmul(E.swapaxes(0, 1), beta[..., None])[..., 0].T[:, None])
        inside = np.matmul(w, spectrum.U.swapaxes(1, 2))  # (B, C, r)
        inside *= -spectrum.l[:, None]
        inside = inside[:, None] + path.p[:, :, None]
        inside += (root_n * y)[..., None] * spectrum.g[:, None, None]
        inside *= ridge[:, None]
        n_blocks, m, C, r = inside.shape
        W = np.matmul(inside.reshape(n_blocks, m * C, r), spectrum.U)
        W = W.reshape(n_blocks, m, C, d)
        W += w
        if spectrum.perp.any():
            W += (self._theta * root_n * y)[..., None] * spectrum.perp[:, None, None]
        if path.fixed_intercept:
            return W, np.zeros_like(y)
        level = path.ymean[..., None] - y / root_n  # predictions at the tasks' means
        return W, level - np.matmul(W, path.mean[:, None, :, None])[..., 0]

    def left_out(self, X, Y, weight, places, out):
        """Write the residuals of all rows in the fits without them to ``out``, (n, m, C).

        The fit is linear in y, and row i has the share h_i of its own prediction: without it the
        residual is ``r_i / (1 - h_i)``. In the wide form a row is left out with all its targets,
        which the center couples to each other. The center of the features stays what it is.

        Raises ``NotIdentifiedError`` where nothing is left to predict a row with.

        Parameters
        ----------
        X, Y, weight : ndarray of shape (n, d), (n, m) and (n,)
            Features, minus ``center``, targets and weights.
        places : list of index arrays
            The rows of each block.
        out : ndarray of shape (n, m, C)

        References
        ----------
        D. Allen (1974). The relationship between variable selection and data augmentation and a
        method for prediction. Technometrics 16. https://doi.org/10.1080/00401706.1974.10489157
        """
        W, intercept = self.solve()
        m, d = Y.shape[1], X.shape[1]

        def block(b):
            own = places[b]
            fitted = X[own] @ W[b].reshape(m * W.shape[2], d).T
            residual = Y[own, :, None] - fitted.reshape(len(fitted), m, -1) - intercept[b]
            alone, shared = self._leverages(b, X[own] - self._path.mean[b])
            rest = 1.0 - weight[own, None] * alone
            shared *= weight[own, None]
            all_rest = rest - m * shared
            if min(rest.min(), all_rest.min()) < _LEAST:
                raise NotIdentifiedError
            if m == 1:
                out[own] = residual / all_rest[:, None]
                return
            coupled = shared / (rest * all_rest)
            out[own] = residual / rest[:, None] + (coupled * residual.sum(axis=1))[:, None]

        # Threads of ours gain nothing here: many small products, and the interpreter between them.
        small = W[0].size * (d + 1) * len(X) < _SMALL * len(places) * m
        with one_blas_thread() if small else nullcontext():
            for b in range(len(places)):
                block(b)

    def _leverages(self, b, X):
        """Return the leverages of rows of block b minus their mean, unweighted, two (n, C).

        These are the variance of the prediction given the center, and the squared norm of a linear
        map of the row, ``R F'z``, F the derivative of the task's coefficients in the center.
        """
        omega, ridge, share, E = (part[b] for part in self._white)
        kept, spectrum = self._path.spectrum.l[b] > 0, self._path.spectrum
        omega, ridge, U = omega[:, kept], ridge[:, kept], spectrum.U[b, kept]
        n, A, along = self._path.total[b], X @ U.T, ridge * spectrum.g[b, kept]
        at_mean = 1.0 - n * (A @ along.T)
        alone = A**2 @ ridge.T + (1.0 - share * at_mean**2) / n
        to_center = np.empty((A.shape[1] + 1, *E.shape))
        flat = to_center.reshape(len(to_center), E.size)
        np.matmul(U, self._columns, out=flat[:-1])
        to_center[:-1] *= omega.T[..., None]
        to_center[-1] = np.matmul(self._root, E[..., None])[..., 0]
        to_center[-1] *= (share / np.sqrt(n))[:, None]
        to_center[:-1] -= (n * along.T)[..., None] * to_center[-1]
        rows, shared = np.column_stack([A, np.ones(len(A))]), np.empty_like(alone)
        step = max(1, _STRIP // to_center[0].size)
        for first in range(0, len(rows), step):
            strip = slice(first, first + step)
            moved = (rows[strip] @ flat).reshape(-1, *E.shape)
            np.einsum("ick,ick->ic", moved, moved, out=shared[strip])
        return alone, shared


def _factors(A):
    """Return the Cholesky factors of a stack of systems of unit diagonal, (C, d, d)."""
    try:
        return np.linalg.cholesky(A)
    except np.linalg.LinAlgError:  # at the edge of double precision
        return np.stack([cholesky_of(system) for system in A])
