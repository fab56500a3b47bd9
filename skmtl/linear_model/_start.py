"""Warm starts: the coefficients of the last fit as those of another problem."""

import numpy as np

from skmtl.linear_model._shapes import from_users, to_users
from skmtl.penalties import Coefficients


def warm_start(model, posed, solver):
    """Return the coefficients at which a solver starts, and their ``Split`` or None.

    These are those of the last fit of the model where they are of the same tasks, features and
    classes and better than zeros.
    """
    problem, zeros = posed.problem, posed.problem.origin()
    if not (hasattr(model, "coef_") and solver.gains_from_start(problem)):
        return zeros, None
    last = _last_solution(model, posed, zeros)
    if last is None:
        return zeros, None
    split = model._split
    if split and not split.fits(problem.penalty.terms):
        split = None
    if problem.evaluate(last, split).objective < problem.evaluate(zeros).objective:
        return last, split
    return zeros, None


def _last_solution(model, posed, zeros):
    """Return the last solution as ``Coefficients``, or None."""
    rows, (data, penalty) = posed.rows, (posed.problem.data, posed.problem.penalty)
    own = model.task_counts_ > 0  # others are latent
    coef, intercept, K = model.coef_[own], model.intercept_[own], posed.problem.loss.n_outputs
    same = coef.shape == to_users(zeros.V).shape and np.array_equal(model.tasks_[own], rows.tasks)
    if not same or not np.array_equal(model._reference.classes, rows.classes):
        return None
    w, c = zeros.w, zeros.c
    if model._has_center and penalty.alpha_shared > 0:
        # A center without penalty would keep what is not identified.
        w = model.shared_coef_.reshape(K, -1)
    if model._has_center:
        shared = model.shared_intercept_ + model.shared_coef_ @ data.center
        c = np.reshape(shared - posed.offset, K)
    W = from_users(coef, K)
    intercept = from_users(intercept + coef @ data.center - posed.offset, K)
    return penalty.project(Coefficients(W - w[:, None], intercept - c[:, None], w, c))
