"""Warning of classes that the features separate, whose coefficients have no finite optimum."""

import numpy as np

from skmtl._warn import listed, warn
from skmtl.solvers import runs_away

_FLAT = 1e-5  # share of the largest curvature that indicates separated classes
_NOTHING = 1e-5  # mean loss at which all rows of a task are in their classes


def warn_of_separation(fit, tasks, row_tasks, parameter, *, max_iter, tol):
    """Warn of tasks whose classes are separable where no penalty keeps coefficients finite.

    Parameters
    ----------
    fit : Fit
    tasks : ndarray of shape (T,)
        Labels.
    row_tasks : ndarray of shape (R,)
        Index of the task of each row of the coefficients, -1 of a task without classes.
    parameter : str
        What to raise, for the message.
    max_iter, tol
        Parameters of the fit.
    """
    separated = _separated_by_any(fit, max_iter, tol)
    unpenalized = _separated_by_unpenalized(fit)
    if unpenalized.any():
        separated, parameter = separated | unpenalized, "penalty_factor where it is 0"
    found = np.unique(row_tasks[separated & (row_tasks >= 0)])
    if found.size:
        warn(
            f"The features separate classes of {named(tasks[found])}, and no penalty "
            "keeps their coefficients finite: they were stopped while growing, and their size "
            f"is arbitrary. Raise {parameter}."
        )


def _separated_by_any(fit, max_iter, tol):
    """Return in which tasks without a coercive penalty the classes are separated, (R,)."""
    problem = fit.problem
    free = problem.data.square_norms.any(axis=1)  # constant features do not separate
    free &= ~np.broadcast_to(problem.penalty.coercive, len(free))
    if not free.any():
        return free
    # A solver may stop between long steps; without loss each row is in its class.
    exact = fit.evaluation().sums.value <= _NOTHING * problem.data.totals
    limits = max_iter, tol, problem.loss.joint
    return free & (exact | runs_away(fit.solution, problem.penalty, *limits))


def _separated_by_unpenalized(fit):
    """Return in which tasks features whose penalty factor is 0 separate the classes, (T,).

    The curvature of their coefficients then vanishes, until the rest of a penalty stops them.
    """
    basis, problem = fit.posed.basis, fit.problem
    if basis is None or not basis.free.any():
        return np.zeros(problem.data.n_tasks, dtype=bool)
    curved = problem.curved(fit.evaluation().sums.derivative)
    left = curved.square_norms[:, basis.free]
    squares = problem.loss.curvature_bound * problem.data.square_norms[:, basis.free]
    return (left < _FLAT * squares).any(axis=1)


def named(tasks):
    """Return labels with the word "task" or "tasks" before them."""
    return f"{'task' if len(tasks) == 1 else 'tasks'} {listed(tasks.tolist())}"
