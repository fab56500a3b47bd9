"""Forms of the covariance of the tasks' deviations, and the likelihood in their parameters."""

from typing import NamedTuple

import numpy as np

from skmtl.data import FIXED_SCALE

_ROUNDING = 1e-8  # relative standard deviation that is zero but for rounding
_LEAST_TAU = 1e-100  # standard deviation whose square does not underflow


class DiagonalCovariance:
    """Minus twice a log-likelihood in logarithms x (k,) of penalty weights.

    The variance of entry j of (v_t, q_t) is ``known_j + sum_k M_jk exp(-x_k)`` in units of the
    noise: the slopes have one parameter together, or one each. Where tasks are in groups, entries
    are those of all levels, tasks first: L (d + 1) take the place of d + 1.

    Parameters
    ----------
    likelihood : RestrictedLikelihood or LaplaceEvidence
    M : ndarray of shape (d + 1, k)
        Zeros and ones.
    known : ndarray of shape (d + 1,)
    prior : float
        Weight of the prior ``sum_j (log tau_j - mean)^2`` of the standard deviations tau_j of some
        slopes. Entries of x that are inf have none.
    slopes : list of ndarray of int, optional
        Parameters of the slopes that have one mean, by default those of all slopes.
    """

    def __init__(self, likelihood, M, known, prior=0.0, slopes=None):
        self.likelihood, self._M, self._known, self._prior = likelihood, M, known, prior
        self._slopes = [np.flatnonzero(M[-1] == 0)] if slopes is None else slopes

    def sample(self, n_blocks):
        """Return the criterion of some of the blocks of tasks."""
        likelihood = self.likelihood.sample(n_blocks)
        return DiagonalCovariance(likelihood, self._M, self._known, self._prior, self._slopes)

    @property
    def limits(self):
        """Parameters that go to inf together, as the prior has the slopes, each an array."""
        together = [own for own in self._slopes if self._prior and len(own)]
        rest = np.setdiff1d(np.arange(self._M.shape[1]), np.concatenate([[], *together]))
        return [*together, *rest.astype(int)[:, None]]

    def factor(self, x):
        """Return the factor F (d + 1, d + 1) of the covariance, diagonal."""
        with np.errstate(over="ignore"):
            return np.diag(np.sqrt(self._known + self._M @ np.exp(-x)))

    def __call__(self, x, gradient=False):
        """Return the value at x, with ``gradient`` also the derivatives (k,)."""
        spread = self._spread(x)
        value = self._prior * (spread @ spread)
        if not gradient:
            return self.likelihood.evaluate(self.factor(x))[0] + value
        own, _, G = self.likelihood.evaluate(self.factor(x), slopes="diagonal")
        slope = -np.exp(-x) * (G.diagonal() @ self._M)
        slope -= self._prior * spread
        return own + value, slope

    def curvatures(self, x):
        """Return the second derivatives of the likelihood in each parameter, about, (k,)."""
        return np.diag(self._information(x))

    def _information(self, x):
        change = self._M * np.exp(-x)
        return change.T @ self.likelihood.information(self.factor(x)) @ change

    def metric(self, x):
        """Return about the second derivatives at x: expected ones, for a known center."""
        metric = self._information(x)
        own = np.concatenate([[], *self._slopes]).astype(int)
        metric[own, own] += 0.5 * self._prior
        return metric

    def _spread(self, x):
        """Return ``log tau_j - mean`` of the slopes, 0 of other parameters, (k,)."""
        spread = np.zeros(len(x))
        for own in self._slopes if self._prior else []:
            own = own[np.isfinite(x[own])]
            if len(own):
                spread[own] = 0.5 * (x[own].mean() - x[own])
        return spread


class FullCovariance:
    """The same in a Cholesky factor: minus logarithms of its diagonal, and what is below it.

    Parameters
    ----------
    likelihood : RestrictedLikelihood or LaplaceEvidence
    entries : ndarray of int of shape (m,)
        Those of (v_t, q_t) that are correlated.
    typical : ndarray of shape (m,)
        Logarithms of typical penalty weights, the units of the factor.
    known : ndarray of shape (d + 1,)
        Variances of the other entries, which are independent.
    prior : float
        Weight of the prior ``sum_j (log tau_j - mean)^2``, with tau_j^2 the eigenvalues of the
        covariance of the slopes.
    """

    def __init__(self, likelihood, entries, typical, known, prior=0.0):
        self.likelihood, self._known, self._prior = likelihood, known, prior
        self._row, column = np.tril_indices(len(entries))
        self._unit, self._base = np.exp(-0.5 * typical)[self._row], np.diag(np.sqrt(known))
        self._place = entries[self._row], entries[column]
        self._on_diagonal = self._row == column
        self._slopes = entries[entries < len(known) - 1]

    @property
    def diagonal(self):
        """Places of the parameters of the factor's diagonal, each an array."""
        return np.flatnonzero(self._on_diagonal)[:, None]

    def bounds(self, least):
        """Return bounds of the parameters beyond which line searches would overflow.

        ``least`` is the logarithm of the least penalty weight, relative to the typical ones.
        """
        lower = np.where(self._on_diagonal, 0.5 * least, -np.exp(-0.5 * least))
        return lower, np.where(self._on_diagonal, np.inf, -lower)

    def parameters(self, x):
        """Return the parameters of independent entries, given logarithms of their weights (m,)."""
        return np.where(self._on_diagonal, 0.5 * x[self._row] + np.log(self._unit), 0.0)

    def factor(self, x):
        """Return the factor F (d + 1, d + 1) of the covariance, lower triangular."""
        F, x = self._base.copy(), x.copy()
        x[self._on_diagonal] = np.exp(-x[self._on_diagonal])
        F[self._place] = self._unit * x
        return F

    def __call__(self, x, gradient=False):
        """Return the value at x, with ``gradient`` also the derivatives."""
        F = self.factor(x)
        prior, by_covariance = self._log_spread(F)
        if not gradient:
            return self.likelihood.evaluate(F)[0] + prior
        own, _, G = self.likelihood.evaluate(F, slopes="all")
        if self._prior:
            G[np.ix_(self._slopes, self._slopes)] += by_covariance
        return own + prior, self._change(F) * 2 * (G @ F)[self._place]

    def curvatures(self, x):
        """Return the second derivatives of the likelihood in each parameter, about."""
        return np.diag(self.metric(x))

    def metric(self, x):
        """Return about the second derivatives at x, a diagonal matrix."""
        F = self.factor(x)
        mean = self.likelihood.mean_gram(F)
        row, column = self._place
        inner = (F.T @ mean @ F).diagonal()[column]
        own = mean.diagonal()[row] * inner * self._change(F) ** 2
        return np.diag(2 * (1 + self._on_diagonal) * self.likelihood.n_tasks * own)

    def _change(self, F):
        """Return the derivatives of the entries of F in the parameters."""
        return np.where(self._on_diagonal, -F[self._place], self._unit)

    def _log_spread(self, F):
        """Return the prior, and its derivative in the covariance of the slopes."""
        if not self._prior or not len(self._slopes):
            return 0.0, 0.0
        vectors, tau, _ = np.linalg.svd(F[self._slopes], full_matrices=False)
        tau = np.maximum(tau, _LEAST_TAU)
        spread = np.log(tau) - np.log(tau).mean()
        inner = self._prior * spread / tau**2
        return self._prior * (spread @ spread), (vectors * inner) @ vectors.T


class Axes(NamedTuple):
    """Coordinates of the features in which deviations have independent and equal variances.

    Attributes
    ----------
    B : ndarray of shape (d,) or (d, d)
        The coordinates are ``(x - center + shift) @ B``. A vector scales the features.
    shift : ndarray of shape (d,) or None
        Makes deviations of intercepts independent of those of slopes.
    fixed : bool ndarray of shape (d,)
        Coordinates in which tasks do not deviate; their columns of B are small.
    squares : ndarray of shape (d,)
        Squared norms of the columns of B, which are orthogonal if the center is penalized.
    intercept : float
        Variance of the deviations of intercepts, in units of the noise.
    """

    B: np.ndarray
    shift: np.ndarray | None
    fixed: np.ndarray
    squares: np.ndarray
    intercept: float

    @classmethod
    def of(cls, F, curvature, alpha_shared):
        """Return the axes of a covariance ``F F'``, F (d + 1, d + 1).

        ``curvature`` (d,) are the sums of squares of the features. They are the units if the center
        has no penalty, whose own units are those of the coefficients.
        """
        slopes, intercept, shift = F[:-1], F[-1], None
        if not np.count_nonzero(F - np.diag(np.diag(F))):
            U, s, rest = np.ones(len(slopes)), np.diag(slopes).copy(), intercept[-1] ** 2
            directions = curvature
            fixed = s == 0
        else:
            own = alpha_shared == 0 or np.isinf(alpha_shared)
            units = np.sqrt(np.where((curvature > 0) & own, curvature, 1.0))
            U, s, right = np.linalg.svd(units[:, None] * slopes, full_matrices=False)
            U /= units[:, None]
            directions = curvature @ U**2
            fixed = s * np.sqrt(directions) <= _ROUNDING * (s * np.sqrt(directions)).max()
            along = np.where(fixed, 0.0, right @ intercept)
            shift = units**2 * (U @ (along / np.where(fixed, 1.0, s)))
            rest = intercept @ intercept - along @ along
            rest = rest if rest > _ROUNDING * (intercept @ intercept) else 0.0
        s = np.where(fixed, FIXED_SCALE / np.sqrt(np.where(directions > 0, directions, 1.0)), s)
        B = U * s
        return cls(B, shift, fixed, (np.atleast_2d(B) ** 2).sum(axis=0), float(rest))


def level_axes(F, n_levels, curvature, alpha_shared):
    """Return the ``Axes`` of tasks in groups, and the weights of their coupling in these.

    Parameters
    ----------
    F : ndarray of shape (L (d + 1), L (d + 1))
        Factor of the covariances of all levels, that of the tasks first, diagonal.
    n_levels, curvature, alpha_shared
        L, and what ``Axes.of`` takes.

    Returns
    -------
    axes : Axes
        Of the tasks. Fixed are coordinates in which no level deviates.
    weights : dict
        alpha (L, d), alpha_intercept (L,) and alpha_shared.
    """
    scale = F.diagonal().reshape(n_levels, -1)
    axes = Axes.of(np.diag(scale[0]), curvature, alpha_shared)
    with np.errstate(divide="ignore"):
        alpha = axes.squares / scale[:, :-1] ** 2
        alpha[0] = np.where(axes.fixed, np.inf, 1.0)
        weights = {
            "alpha": alpha,
            "alpha_intercept": 1.0 / scale[:, -1] ** 2,
            "alpha_shared": alpha_shared,
        }
    if alpha_shared not in (0, np.inf):
        weights["alpha_shared"] = alpha_shared * axes.squares
    return axes._replace(fixed=np.isinf(alpha).all(axis=0)), weights
