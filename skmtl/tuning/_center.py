"""The center of the tasks in the marginal likelihood: generalized least squares."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack

from skmtl import _likelihood_kernels as kernels

_EPS = np.finfo(np.float64).eps
# log alpha_shared, relative to the data's curvature
_SHARED = np.log(10) * np.linspace(-30, 8, 153)
_SUMMED = 1e-10  # share of a column that is rounding error
_TIE = 1e-8  # inf is chosen unless a finite alpha_shared is better by more
_NARROW = 1e-9  # accuracy of log alpha_shared


class Center:
    """Coefficients (w, c) with ``w ~ N(0, I / alpha_shared)``, flat if that is 0; c is flat.

    Parameters
    ----------
    gram : ndarray of shape (d + 1, d + 1)
        ``X' V^-1 X`` at some V: it has the same null space at all.
    penalty : MeanCoupling
    n_outputs : int
        Number K of predictions per row: the last K columns are intercepts.

    Attributes
    ----------
    columns : ndarray of int
        Those of (w, c) that are not fixed; with a flat prior, what depends on earlier ones is left
        out, as lme4 does.
    n_flat : int
        Number of coefficients under a flat prior.
    """

    def __init__(self, gram, penalty, n_outputs=1):
        d = self._n_slopes = len(gram) - n_outputs
        # Each column of several classes is the sum of the others, but for the rounding of T sums.
        share = 8 * len(gram) * _EPS if n_outputs == 1 else _SUMMED
        free = _independent(gram[d:, d:], share)
        own = d + np.array([] if penalty.fixed_intercept else free, dtype=np.intp)
        self._has_intercept, slopes = len(own) > 0, []
        if penalty.alpha_shared == 0:
            border = gram[own, :d]
            rest = gram[:d, :d] - border.T @ np.linalg.solve(gram[np.ix_(own, own)], border)
            slopes = _independent(rest, share)
        self.n_flat = len(own) + len(slopes)
        if 0 < penalty.alpha_shared < np.inf:
            slopes = range(d)
        self.columns = np.append(np.array(slopes, dtype=np.intp), own)

    def solve(self, marginal, alpha_shared):
        """Return the ``CenterSolution`` at a ``Marginal`` and an alpha_shared in [0, inf].

        It is that of the penalty or, if that is positive, another positive one. Raise ValueError if
        it is so small that the system is singular but for rounding errors.
        """
        columns, d, finite = self.columns, self._n_slopes, 0 < alpha_shared < np.inf
        if alpha_shared == np.inf:
            columns = columns[columns >= d]
        root, beta = np.zeros((len(marginal.gram), len(columns))), np.zeros(len(marginal.gram))
        if not len(columns):  # LAPACK would print that there is nothing to solve
            return CenterSolution(beta, root, 0.0)
        own = columns if len(columns) < len(beta) else slice(None)
        system = marginal.gram[own][:, own]
        if finite:
            slopes = np.flatnonzero(columns < d)
            system = system.copy()
            system[slopes, slopes] += alpha_shared
        # a fifth of the time of numpy's functions, where features are few
        factor, failed = lapack.dpotrf(system, lower=1)
        if failed:
            raise ValueError(
                f"Features are collinear, and alpha_shared={alpha_shared:.1e} is rounding error "
                "beside their squares. Set it to 0, 'auto' or a larger number."
            )
        inverse = lapack.dtrtri(factor, lower=1)[0]
        root[own] = inverse.T
        beta[own] = inverse.T @ (inverse @ marginal.right[own])
        log_det = 2 * np.log(factor.diagonal()).sum()
        if finite:
            log_det -= len(slopes) * np.log(alpha_shared)
        return CenterSolution(beta, root, log_det)

    def spectrum(self, marginal):
        """Return the ``CenterSpectrum`` at a ``Marginal``, and the flat (w, c) of minimum norm."""
        S, r, beta = marginal.gram[:-1, :-1], marginal.right[:-1], np.zeros(len(marginal.gram))
        border, c = marginal.gram[-1, :-1], marginal.gram[-1, -1]
        if self._has_intercept:
            S, r = S - border[:, None] * (border / c), r - border * (marginal.right[-1] / c)
        e, vectors = np.linalg.eigh(S)
        kept = e > 8 * len(e) * _EPS * e.max(initial=0.0)
        e, r = e[kept], (r @ vectors)[kept]
        beta[:-1] = vectors[:, kept] @ (r / e)
        if self._has_intercept:
            beta[-1] = (marginal.right[-1] - border @ beta[:-1]) / c
        log_det = np.log(c) if self._has_intercept else 0.0
        return CenterSpectrum(e, r**2 / e, len(kept), log_det), beta


class CenterSolution(NamedTuple):
    """Center (d + 1,), a factor (d + 1, p) of its covariance, and a log-determinant.

    ``log_det`` is ``log|X' V^-1 X + alpha_shared| - log|alpha_shared|`` in the columns used.
    """

    beta: np.ndarray
    root: np.ndarray
    log_det: float


class CenterSpectrum(NamedTuple):
    """The center's system, c eliminated, in eigenvectors.

    With ``squares`` those of the residuals at a flat center, minus twice the log-likelihood is, but
    for a constant, ``freedom log Q + sum_j log(1 + e_j / alpha_shared)`` where Q is
    ``squares + sum_j fit_j alpha_shared / (e_j + alpha_shared)``.

    Attributes
    ----------
    e, fit : ndarray of shape (r,)
        Nonzero eigenvalues, and what each eigenvector explains of the squares.
    size : int
        Number of all eigenvalues, d.
    log_det : float
        That of the system of c.
    """

    e: np.ndarray
    fit: np.ndarray
    size: int
    log_det: float

    def best_shared(self, squares, freedom, curvature):
        """Return the alpha_shared in (0, inf] with the largest likelihood.

        ``curvature`` is that of the data, for the range of the search.
        """
        e, fit = self.e, self.fit
        if not len(e):
            return np.inf
        grid = np.log(curvature) + _SHARED
        if len(e) < self.size:  # else the system of the center is singular
            grid = np.maximum(grid, np.log(1e3 * self.size * _EPS * e.max()))
        best, least = kernels.best_shared(e, fit, squares, freedom, grid)
        if freedom * np.log(squares + fit.sum()) <= least + _TIE:
            return np.inf
        x = grid[best]
        if 0 < best < len(grid) - 1:
            bracket = grid[best - 1], grid[best + 1]
            x = kernels.refine_shared(x, *bracket, _NARROW, e, fit, squares, freedom)
        return float(np.exp(x))

    def at(self, alpha_shared, squares):
        """Return the penalized squares Q and the log-determinant of the whole system."""
        if np.isinf(alpha_shared):
            return squares + self.fit.sum(), self.log_det
        share = alpha_shared / (self.e + alpha_shared)
        return squares + share @ self.fit, self.log_det - np.log(share).sum()


def _independent(gram, share):
    """Return the columns that are not combinations of those before, which leave a share at most."""
    kept, rest = [], gram.copy()
    threshold = share * np.diag(gram)  # features have units of their own
    for j in range(len(gram)):
        if rest[j, j] > threshold[j]:
            kept.append(j)
            rest = rest - np.outer(rest[j], rest[j] / rest[j, j])
    return kept
