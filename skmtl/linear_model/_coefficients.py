"""Coefficients in the shapes of users and back, and warm starts from those of the last fit."""

import numpy as np

from skmtl.penalties import Coefficients


def to_users(part):
    """Return (K, T, ...) as (T, K, ...), or as (T, ...) where K is 1."""
    return part[0] if len(part) == 1 else np.ascontiguousarray(part.swapaxes(0, 1))


def from_users(part, n_outputs):
    """Return (T, ...), or (T, K, ...) for K > 1 outputs, as (K, T, ...)."""
    return part[None] if n_outputs == 1 else np.ascontiguousarray(part.swapaxes(0, 1))


def users_coefficients(fit, W, intercept):
    """Return W and the intercepts at x = 0 in the shapes of users.

    Given W of the users' features and centered intercepts.
    """
    return to_users(W), to_users(intercept + fit.posed.offset - W @ fit.problem.data.center)


def warm_start(model, posed, solver):
    """Return the coefficients at which a solver starts, and their ``Split`` or None.

    These are those of the last fit of the model where they are of the same tasks, features and
    classes and better than ``Problem.start()``.
    """
    problem, zeros = posed.problem, posed.problem.start()
    if not (hasattr(model, "coef_") and solver.gains_from_start(problem)):
        return zeros, None
    fitted, K = model._fitted_in(posed.rows), problem.loss.n_outputs
    if fitted is None or fitted[0].shape != to_users(zeros.V).shape:
        return zeros, None
    coef, intercept = fitted
    data, penalty, split = problem.data, problem.penalty, model._split
    _, _, w, c = problem.origin()
    if model._has_center:
        shared = model.shared_intercept_ + model.shared_coef_ @ data.center
        c = np.reshape(shared - posed.offset, K)
        if np.all(penalty.alpha_shared > 0):  # else the center would keep what is not identified
            w = np.atleast_2d(model.shared_coef_)
    W = from_users(coef, K)
    intercept = from_users(intercept + coef @ data.center - posed.offset, K)
    last = Coefficients(W - w[:, None], intercept - c[:, None], w, c)
    last = penalty.project(posed.from_users(last))
    if split and not split.fits(penalty.terms):
        split = None
    if problem.evaluate(last, split).objective < problem.evaluate(zeros).objective:
        return last, split
    return zeros, None
