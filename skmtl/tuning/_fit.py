"""The fit of a model, with task weights and penalty weights that are estimated on the way."""

from functools import partial

import numpy as np

from skmtl.fitting import pose, solve
from skmtl.penalties import Coefficients
from skmtl.tuning._minimax import minimax_fit
from skmtl.tuning._noise import noise_weighted_fit
from skmtl.tuning._penalty_weights import with_penalty_weights
from skmtl.tuning._units import in_units_of_noise

ADAPTIVE = ("uncertainty", "minimax")  # task weights that depend on the fit
ADAPTED_BY_TASK = ("noise_variance_", "task_loss_")  # attributes, beside task_weight_
ADAPTED = (*ADAPTED_BY_TASK, "minimax_gap_")
VARIANCES = (
    *("sigma2_", "tau2_", "tau2_intercept_", "tau2_shared_"),
    "covariance_",
    *("restricted_log_likelihood_", "log_evidence_"),
)


def fit(spec, rows, *, start=None, watch=None):
    """Return the ``Fit`` of a spec on some rows.

    Parameters
    ----------
    spec : Spec
    rows : Rows
    start, watch : callable, optional
        As of ``skmtl.fitting.solve``.
    """
    if rows.outcomes is not None:
        return solve(spec, pose_outcomes(spec, rows), start=start, watch=watch)
    once = partial(_fit_once, spec, rows, start, watch)
    if spec.weighting == "minimax":
        return minimax_fit(spec, rows, once)
    if spec.weighting == "uncertainty":
        return noise_weighted_fit(pose(spec, rows, task_weight=np.ones(len(rows.tasks))), once)
    return once()


def pose_outcomes(spec, rows):
    """Return the ``Posed`` problem of rows of tasks of different kinds.

    Noise variances of squared tasks are estimated here, once, where they are asked for; other rows
    are posed as they are.
    """
    if rows.outcomes is None or spec.weighting != "uncertainty":
        return pose(spec, rows)
    rows, variance = in_units_of_noise(spec, rows)
    return pose(spec, rows)._replace(found={"noise_variance_": variance})


def _fit_once(spec, rows, start, watch, *, task_weight=None, center=None, last=None):
    """Return the ``Fit`` with given task weights, by default those of the spec.

    ``last`` is a fit of the same rows, at whose solution the solver starts.
    """
    if last is not None and spec.weighting == "minimax":
        # Minimax weights are no noise variances, and they belong to one penalty: that of the
        # first fit, whose task weights are 1.
        posed = pose(spec, rows, reference=last.reference, task_weight=task_weight)
        posed = posed._replace(found=last.posed.found)
    else:
        posed = pose(spec, rows, task_weight=task_weight, center=center)
        if spec.auto:
            posed = with_penalty_weights(spec, posed)
    if last is not None:
        at = last.moved_to(posed), last.solution.split
        start = lambda *_: at  # noqa: E731
    return solve(spec, posed, start=start, watch=watch)


def fit_given_center(spec, rows, reference, shared, n_known=0):
    """Return the ``Fit`` of tasks around the center of an earlier fit, which stays fixed.

    Parameters
    ----------
    spec : Spec
    rows : Rows
    reference : Reference
        Of the earlier fit.
    shared : tuple of ndarray, (K, d) and (K,)
        Its center, or a group that all tasks are in: coefficients and centered intercept.
    n_known : int
        Number of columns of labels, from the outside in, whose groups are this group.
    """
    if spec.weighting == "minimax":
        raise ValueError(
            "task_weight='minimax' compares the tasks of one fit and is not defined for others. "
            "To adapt, set task_weight to None (weight 1) or to a dict with every label."
        )
    once = partial(_fit_given_center, spec, rows, reference, shared, n_known)
    if spec.weighting != "uncertainty":
        return once()
    if reference.noise is None:
        raise ValueError(
            "task_weight is 'uncertainty' now, but noise variances were not estimated in fit. "
            "Fit again."
        )
    ones = np.ones(len(rows.tasks))
    posed = pose(spec, rows, reference=reference, task_weight=ones)
    return noise_weighted_fit(posed, once, reference.noise)


def _fit_given_center(spec, rows, reference, shared, n_known, *, task_weight=None):
    posed = pose(spec, rows, reference=reference, task_weight=task_weight)
    penalty = posed.problem.penalty
    if n_known:
        penalty = penalty.within(n_known)
    posed = posed.with_penalty(penalty.fix_center())
    zeros, (w, c) = posed.problem.origin(), shared
    start = posed.from_users(Coefficients(zeros.V, zeros.q, w, c - posed.offset))
    return solve(spec, posed, start=lambda *_: (start, None))
