"""Task weights proportional to 1 / noise variance, estimated together with the model."""

from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skmtl._warn import warn
from skmtl.arrowhead import degrees_objection, degrees_of_freedom
from skmtl.tuning._fixed_point import AndersonAcceleration

_PRIOR = 1.0  # degrees of freedom of the prior, the pooled variance, in each task
_TOL = 1e-6  # change of the log noise variances at convergence
_MAX_FITS = 100
_NOTHING = 1e-8  # share of the rows, or of the squares of y, below which a fit is exact


def _refuse(problem):
    """Raise if noise variances are not defined or cannot be computed."""
    reason, advice = (
        degrees_objection(problem.data, problem.penalty),
        "task_weight='minimax' or 'balanced'",
    )
    if problem.loss.constant_curvature is None:
        reason = "noise variances are defined for regression, and this is a classifier"
    elif not problem.penalty.quadratic:
        advice += (
            ", or one of PooledRegressor, SharedL2Regressor, MeanRegularizedRegressor and "
            "GraphRegularizedRegressor"
        )
    else:
        advice += ", or task_graph=None"
    if reason is not None:
        raise ValueError(f"task_weight='uncertainty' cannot be used here: {reason}. Use {advice}.")


class Noise(NamedTuple):
    """Store the noise variance of weight 1, and the pooled noise variance."""

    unit: float
    pooled: float


class NoiseWeights:
    """Alternate between fits and estimates of the noise variance of each task.

    Given weights ``a_t = s2 / sigma_t^2`` the model is fitted; given the model, with n_t the weight
    of the task's rows and df_t its degrees of freedom,

        sigma_t^2 = (SSE_t + nu pooled) / (n_t - df_t + nu),   nu = 1.

    In the random-coefficient model the expectation of SSE_t is ``(n_t - df_t) sigma_t^2``: the
    fixed point is that of restricted maximum likelihood, up to the prior of nu degrees of freedom,
    which dominates if a task is fitted exactly. ``pooled`` is the geometric mean of the sigma_t^2
    with weights ``n_t - df_t``: an arithmetic mean is dominated by the noisiest tasks, a harmonic
    one is zero if one task has no noise. ``s2`` makes ``sum_t n_t a_t`` the sum of the n_t, so
    that the scale of alpha stays the same. The fixed point is found by `AndersonAcceleration` of
    the logarithms.

    Parameters
    ----------
    model : estimator
    fit : callable
        Returns the ``Fit`` of rows, with ``task_weight`` (T,) if given.
    noise : Noise, optional
        Variances common to the tasks, if known; else estimated.

    References
    ----------
    A. Kendall, Y. Gal, R. Cipolla (2018). Multi-task learning using uncertainty to weigh losses.
    CVPR. https://doi.org/10.1109/CVPR.2018.00781

    D. Harville (1977). Maximum likelihood approaches to variance component estimation and to
    related problems. Journal of the American Statistical Association 72.
    https://doi.org/10.1080/01621459.1977.10480998
    """

    def __init__(self, model, fit, noise=None):
        self._model, self._fit, self._noise = model, fit, noise

    def solve(self, rows):
        """Return the ``Fit`` at the fixed point of the variances, and the attributes."""
        model, ones = self._model, np.ones(len(rows.tasks))
        problem = model._prepare(rows, task_weight=ones, fitted=self._noise is not None)[1]
        _refuse(problem)
        logs, weight, acceleration, more = np.zeros(len(ones)), ones, AndersonAcceleration(), {}
        for n_fits in range(1, _MAX_FITS + 1):
            fit = self._fit(rows, task_weight=weight, **more)
            variance, noise = self._estimate(fit)
            if noise is None:
                return fit, {"noise_variance_": variance}
            change = np.abs(np.log(variance) - logs).max()
            if (n_fits > 1 and change <= _TOL) or fit.solution.stopped:
                break
            # The equal weights of the first fit are no iterate: acceleration starts after it.
            logs = np.log(variance) if n_fits == 1 else acceleration.next(logs, np.log(variance))
            weight = self._weights(np.exp(logs), fit.rows.totals)
            more = {"last": fit} if self._noise is None else {}
        else:
            warn(
                f"The noise variances of task_weight='uncertainty' still change by "
                f"{change:.1e} (relative) after {_MAX_FITS} fits, asked for "
                f"{_TOL:.0e}. Raise alpha, so that fewer rows are fitted exactly, or pass weights "
                "as numbers: task_weight_ of this fit is a start.",
                ConvergenceWarning,
            )
        return fit, {"noise_variance_": variance} | ({} if self._noise else {"_noise": noise})

    def _weights(self, variance, n):
        """Return the weights (T,) of variances, relative to the unit of fit if known."""
        unit = _unit(variance, n) if self._noise is None else self._noise.unit
        return unit / variance

    def _estimate(self, fit):
        """Return the variances (T,) and the ``Noise``, None if the fit is exact."""
        problem, n = fit.problem, fit.rows.totals
        to_squares = 2.0 / fit.rows.task_weight
        squares = to_squares * fit.evaluation().sums.value
        left = np.maximum(n - degrees_of_freedom(problem.data, problem.penalty), 0.0)
        if self._noise is not None:
            return self._shrunk(squares, left, self._noise.pooled), self._noise
        null = to_squares * fit.null_losses()
        if left.sum() <= _NOTHING * n.sum() or squares.sum() <= _NOTHING**2 * null.sum():
            self._warn_of_exact_fit(squares, left)
            return np.zeros(len(n)), None
        variance = self._shrunk(squares, left, _pooled_variance(squares, left))
        return variance, Noise(_unit(variance, n), _pooled_variance(squares, left))

    @staticmethod
    def _shrunk(squares, left, pooled):
        return (squares + _PRIOR * pooled) / (left + _PRIOR)

    def _warn_of_exact_fit(self, squares, left):
        warn(
            f"task_weight='uncertainty' finds no noise: the squared errors sum to "
            f"{squares.sum():.1e} and the fit leaves {left.sum():.1e} degrees of freedom. All "
            "tasks weigh 1. Raise alpha; sample_weight should count rows, and not be far below 1."
        )


def _unit(variance, n):
    """Return the variance of weight 1, at which the weights of the n rows sum to that of n."""
    return n.sum() / (n / variance).sum()


def _pooled_variance(squares, left):
    """Return the geometric mean of the shrunk variances, weighted by their degrees of freedom.

    Newton's method for ``u = mean log((SSE + nu e^u) / (left + nu))``: the difference of the two
    sides is concave and increasing, so that iterates converge from below after the first step.
    """
    share = left / left.sum()
    u = np.log(squares.sum() / left.sum())
    for _ in range(200):
        prior = _PRIOR * np.exp(u)
        gap = u - share @ np.log((squares + prior) / (left + _PRIOR))
        step = gap / (share @ (squares / (squares + prior)))
        u -= step
        if abs(step) <= 1e-14 * max(1.0, abs(u)):
            break
    return float(np.exp(u))
