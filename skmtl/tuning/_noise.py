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


def noise_weighted_fit(posed, fit, noise=None):
    """Alternate between the coefficients and the noise variance of each task.

    Given weights ``a_t = s2 / sigma_t^2`` the model is fitted; given the model, with n_t the weight
    of the rows of a task and df_t its effective degrees of freedom,

        sigma_t^2 = (SSE_t + nu pooled) / (n_t - df_t + nu),   nu = 1.

    In the random-coefficient model the expectation of SSE_t is ``(n_t - df_t) sigma_t^2``: the
    fixed point is that of restricted maximum likelihood, but for the prior of nu degrees of
    freedom, which matters where a task is fitted exactly. ``pooled`` is the geometric mean of the
    sigma_t^2, each with the weight ``n_t - df_t``: an arithmetic mean would follow the noisiest
    tasks, a harmonic one could fall to zero with a single task without noise. ``s2`` makes
    ``sum_t n_t a_t`` the sum of the n_t, so that alpha keeps its meaning. The fixed point is found
    by `AndersonAcceleration` of the logarithms.

    Parameters
    ----------
    posed : Posed
        The problem with task weights 1.
    fit : callable
        Returns the ``Fit`` for given ``task_weight`` (T,); without ``noise`` also from ``last``.
    noise : Noise, optional
        Quantities common to the tasks, of an earlier fit; else estimated.

    Returns
    -------
    Fit
        With ``noise_variance_`` among its attributes.

    References
    ----------
    A. Kendall, Y. Gal, R. Cipolla (2018). Multi-task learning using uncertainty to weigh losses.
    CVPR. https://doi.org/10.1109/CVPR.2018.00781

    D. Harville (1977). Maximum likelihood approaches to variance component estimation and to
    related problems. Journal of the American Statistical Association 72.
    https://doi.org/10.1080/01621459.1977.10480998
    """
    _refuse(posed.problem)
    weight = np.ones(posed.problem.data.n_tasks)
    logs, acceleration, more = np.zeros(len(weight)), AndersonAcceleration(), {}
    for n_fits in range(1, _MAX_FITS + 1):
        result = fit(task_weight=weight, **more)
        variance, estimate = _estimate(result, noise)
        if estimate is None:
            break
        change = np.abs(np.log(variance) - logs).max()
        if (n_fits > 1 and change <= _TOL) or result.solution.stopped:
            break
        # The first fit has equal weights, which are no estimates: it starts the iteration.
        logs = np.log(variance) if n_fits == 1 else acceleration.next(logs, np.log(variance))
        unit = noise.unit if noise else _unit(np.exp(logs), result.rows.totals)
        weight = unit / np.exp(logs)
        more = {} if noise else {"last": result}
    else:
        warn(
            f"The noise variances of task_weight='uncertainty' still change by {change:.1e} "
            f"(relative) after {_MAX_FITS} fits, asked for {_TOL:.0e}. Raise alpha, so that fewer "
            "rows are fitted exactly, or pass weights as numbers: task_weight_ of this fit is a "
            "start.",
            ConvergenceWarning,
        )
    found = {**result.found, "noise_variance_": variance}
    return result._replace(found=found, noise=noise or estimate)


def _estimate(fit, noise):
    """Return the variances (T,) and the ``Noise``, None where no noise can be estimated."""
    problem, n = fit.problem, fit.rows.totals
    to_squares = 2.0 / fit.rows.task_weight
    squares = to_squares * fit.evaluation().sums.value
    left = np.maximum(n - degrees_of_freedom(problem.data, problem.penalty), 0.0)
    if noise is not None:
        return _shrunk(squares, left, noise.pooled), noise
    null = to_squares * fit.null_losses()
    if left.sum() <= _NOTHING * n.sum() or squares.sum() <= _NOTHING**2 * null.sum():
        warn(
            f"task_weight='uncertainty' finds no noise: the squared errors sum to "
            f"{squares.sum():.1e} and the fit leaves {left.sum():.1e} degrees of freedom. All "
            "tasks weigh 1. Raise alpha; sample_weight should count rows, and not be far below 1."
        )
        return np.zeros(len(n)), None
    pooled = _pooled_variance(squares, left)
    variance = _shrunk(squares, left, pooled)
    return variance, Noise(_unit(variance, n), pooled)


def _shrunk(squares, left, pooled):
    """Return variances shrunk towards the pooled one, (T,)."""
    return (squares + _PRIOR * pooled) / (left + _PRIOR)


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
