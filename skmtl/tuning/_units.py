"""Units of squared tasks beside tasks of other kinds: the standard deviation of their noise."""

import numpy as np

from skmtl._warn import listed, warn
from skmtl.losses import SquaredLoss
from skmtl.penalties import MeanCoupling
from skmtl.tuning._restricted import RestrictedLikelihood

_MOST = 5_000  # rows or features: the eigenvalues of as many take a minute
_EXACT = 1e-10  # share of the variance of a target below which a noise variance is none


def in_units_of_noise(spec, rows):
    """Return rows with squared tasks in units of their noise, and the noise variances (T,).

    The variance of a task is that of ridge regression of this task alone: ``y = x . w + c + e``
    with w ~ N(0, tau2 I) and e ~ N(0, sigma2), where tau2 and sigma2 maximize the restricted
    likelihood. Other tasks have NaN. A task where that leaves fewer than one degree of freedom, or
    no noise, gets the variance of its target (or 1); one warning names these tasks.
    """
    variance, names = np.full(len(rows.tasks), np.nan), []
    for t, (task, outcome) in enumerate(
        zip(rows.tasks.tolist(), rows.outcomes.of_tasks, strict=True)
    ):
        if outcome.kind != "squared":
            continue
        own = _alone(rows, t)
        spread = float(np.average((own.y - outcome.mean) ** 2, weights=own.weight))
        variance[t] = _noise_variance(spec, own, outcome.mean) if spread > 0 else 0.0
        if not variance[t] > _EXACT * spread:
            variance[t] = spread or 1.0
            names.append(task)
    if names:
        warn(
            f"task_weight='uncertainty' finds no noise in task{'s' * (len(names) > 1)} "
            f"{listed(names)}: a linear model of one task alone leaves its rows fewer than one "
            "degree of freedom, or fits them exactly. The unit of these targets is their standard "
            "deviation instead. Give weights by task_weight, a dict."
        )
    units = np.where(np.isnan(variance), 1.0, np.sqrt(variance))
    return rows._replace(outcomes=rows.outcomes.in_units(units)), variance


def _alone(rows, t):
    """Return the rows of one task in the long form."""
    if rows.codes is not None:
        own = rows.codes == t
        y, weight = rows.y[own], rows.weight[own]
    else:
        own = ~np.isnan(rows.y[:, t])
        weight = rows.weight if rows.weight.ndim == 1 else rows.weight[:, t]
        y, weight = rows.y[own, t], weight[own]
    X = rows.X[own]
    return rows._replace(
        X=X,
        y=y,
        weight=weight,
        codes=np.zeros(len(y), dtype=np.intp),
        observed=None,
        tasks=rows.tasks[[t]],
        counts=np.array([len(y)]),
        totals=np.array([weight.sum()]),
        outcomes=None,
    )


def _noise_variance(spec, rows, mean):
    """Return the noise variance of the rows of one task, 0 where no noise can be estimated."""
    intercept = spec.fit_intercept
    if rows.totals[0] - intercept < 1:
        return 0.0
    center = None if intercept else np.zeros(rows.n_features)
    offset = mean if intercept else 0.0
    data = rows.task_data(np.ones(1), offset, center)
    if not data.square_norms.any():
        return float(rows.weight @ (rows.y - offset) ** 2 / (rows.totals[0] - intercept))
    # Of one task, the coefficients are those of the center: one spectrum has all values of tau2.
    penalty = MeanCoupling(np.full(1, np.inf), 1.0, np.inf, not intercept)
    if min(rows.X.shape) > _MOST:
        raise ValueError(
            "task_weight='uncertainty' estimates the noise of squared tasks by the eigenvalues of "
            f"matrices of rows or features, up to {_MOST}, and X has the shape {rows.X.shape}. Set "
            "task_weight to None, and divide the targets by about their noise."
        )
    data = data.rotated
    likelihood = RestrictedLikelihood(data, SquaredLoss(), penalty, estimates_center=True)
    F = np.zeros((data.n_features + 1, 1))
    return likelihood.evaluate(F)[1] if likelihood.residual_freedom(F) >= 1 else 0.0
