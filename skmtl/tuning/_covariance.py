"""Forms of the covariance of the tasks' deviations, and the likelihood in their parameters."""

import numpy as np


class DiagonalCovariance:
    """Minus twice the restricted log-likelihood in logarithms x (k,) of penalty weights.

    The variance of entry j of (v_t, q_t) is ``known_j + sum_k M_jk exp(-x_k)`` in units of the
    noise: the slopes have one parameter together, or one each.

    Parameters
    ----------
    likelihood : RestrictedLikelihood
    M : ndarray of shape (d + 1, k)
        Zeros and ones.
    known : ndarray of shape (d + 1,)
    prior : float
        Weight of the prior ``sum_j (log tau_j - mean)^2`` of the standard deviations tau_j of the
        first d parameters. Entries of x that are inf have none.
    """

    def __init__(self, likelihood, M, known, prior=0.0):
        self._likelihood, self._M, self._known, self._prior = likelihood, M, known, prior
        self._n_slopes = len(known) - 1 if prior else 0

    def factor(self, x):
        """Return the factor F (d + 1, d + 1) of the covariance, diagonal."""
        with np.errstate(over="ignore"):
            return np.diag(np.sqrt(self._known + self._M @ np.exp(-x)))

    def __call__(self, x, gradient=False):
        """Return the value at x, with ``gradient`` also the derivatives (k,)."""
        spread = self._spread(x)
        value = self._prior * (spread @ spread)
        if not gradient:
            return self._likelihood.evaluate(self.factor(x))[0] + value
        own, _, G = self._likelihood.evaluate(self.factor(x), slopes="diagonal")
        slope = -np.exp(-x) * (np.diag(G) @ self._M)
        slope[: self._n_slopes] -= self._prior * spread
        return own + value, slope

    def metric(self, x):
        """Return about the second derivatives at x: expected ones, for a known center."""
        change = self._M * np.exp(-x)
        metric = change.T @ self._likelihood.information(self.factor(x)) @ change
        own = np.arange(self._n_slopes)
        metric[own, own] += 0.5 * self._prior
        return metric

    def _spread(self, x):
        """Return ``log tau_j - mean`` of the slopes."""
        log_tau = -0.5 * x[: self._n_slopes]
        finite = np.isfinite(log_tau)
        mean = log_tau[finite].mean() if finite.any() else 0.0
        return np.where(finite, log_tau - mean, 0.0)


class FullCovariance:
    """The same in a log-Cholesky factor: logarithms of its diagonal, and what is below it.

    Parameters
    ----------
    likelihood : RestrictedLikelihood
    unit : ndarray of shape (m,)
        Typical standard deviations of the first m entries of (v_t, q_t), by which rows of the
        factor are divided.
    known : ndarray of shape (d + 1 - m,)
        Variances of the others, which are independent.
    prior : float
        Weight of the prior ``sum_j (log tau_j - mean)^2``, with tau_j^2 the eigenvalues of the
        covariance of the slopes.
    """

    def __init__(self, likelihood, unit, known, prior=0.0):
        self._likelihood, self._unit, self._known, self._prior = likelihood, unit, known, prior
        self._lower = np.tril_indices(len(unit))
        self._on_diagonal = self._lower[0] == self._lower[1]
        self._n_slopes = len(unit) + len(known) - 1

    def parameters(self, variance):
        """Return x of a diagonal covariance (m,), positive."""
        return np.where(self._on_diagonal, np.log(np.sqrt(variance) / self._unit)[self._lower[0]], 0)

    def factor(self, x):
        """Return the factor F (d + 1, d + 1) of the covariance, lower triangular."""
        m, F = len(self._unit), np.diag(np.sqrt(np.append(self._unit * 0, self._known)))
        F[self._lower] = np.where(self._on_diagonal, np.exp(x), x)
        F[:m] *= self._unit[:, None]
        return F

    def __call__(self, x, gradient=False):
        """Return the value at x, with ``gradient`` also the derivatives."""
        F = self.factor(x)
        value, by_covariance = self._log_spread(F)
        if not gradient:
            return self._likelihood.evaluate(F)[0] + value
        own, _, G = self._likelihood.evaluate(F, slopes="all")
        d = self._n_slopes
        G[:d, :d] += by_covariance
        m = len(self._unit)
        slope = (2 * self._unit[:, None] * (G @ F)[:m, :m])[self._lower]
        return own + value, np.where(self._on_diagonal, np.exp(x), 1.0) * slope

    def metric(self, x):
        """Return about the second derivatives at x, a diagonal matrix."""
        F, m = self.factor(x), len(self._unit)
        mean = self._likelihood.mean_gram(F)
        inner = np.diag(F.T @ mean @ F)[:m]
        own = (self._unit**2 * np.diag(mean)[:m])[self._lower[0]] * inner[self._lower[1]]
        own = 2 * own * np.where(self._on_diagonal, 2 * np.exp(2 * x), 1.0)
        return np.diag(self._likelihood.rows.data.n_tasks * own)

    def _log_spread(self, F):
        """Return the prior and its derivative in the covariance of the slopes (d, d)."""
        d = self._n_slopes
        if not self._prior:
            return 0.0, 0.0
        values, vectors = np.linalg.eigh(F[:d] @ F[:d].T)
        log_tau = 0.5 * np.log(np.maximum(values, np.finfo(float).tiny))
        spread = log_tau - log_tau.mean()
        inner = self._prior * spread / values
        return self._prior * (spread @ spread), (vectors * inner) @ vectors.T
