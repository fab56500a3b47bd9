"""Warnings about a fit."""

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skmtl._warn import warn
from skmtl.data import listed
from skmtl.solvers import SOLVERS, runs_away


def warn_of_convergence(model, fit):
    """Warn if the tolerance was not reached."""
    solution = fit.solution
    if solution.converged or solution.exhausted or solution.stopped:
        return
    name = next(name for name, kind in SOLVERS.items() if kind is fit.solver)
    warn(
        f"The {name!r} solver of {type(model).__name__} stopped after {solution.n_iter} "
        f"iterations at a relative KKT residual of {solution.optimality:.1e}, asked for "
        f"tol={model.tol:.1e}. What to try: {fit.solver.advice}.",
        ConvergenceWarning,
    )


def warn_of_separation(model, fit):
    """Warn of tasks whose coefficients were still growing, without a penalty that bounds them."""
    tasks = fit.rows.tasks
    separated = ~np.broadcast_to(fit.problem.penalty.coercive, len(tasks))
    separated &= runs_away(fit.solution, model.max_iter, model.tol)
    if separated.any():
        warn(
            f"The features separate classes of {_named(tasks[separated])}, and no penalty keeps "
            "their coefficients finite: they were stopped while growing, and their size is "
            f"arbitrary. Raise {model._coercive_parameter}."
        )


def warn_of_single_classes(model, fit):
    """Warn of tasks with one class, and of what their probabilities depend on."""
    rows, penalty = fit.rows, fit.problem.penalty
    single = rows.has_class.sum(axis=1) == 1
    if np.isinf(penalty.alpha_intercept):
        single &= np.ravel(penalty.free().V) > 0  # others have no coefficients of their own
    if not single.any():
        return
    if model.task_classes == "seen":
        fate = "with task_classes='seen' it is always predicted there"
    elif penalty.alpha_intercept == 0:
        fate = (
            "unpenalized intercepts set the probability of other classes to zero there. A model "
            f"with a center and alpha_intercept > 0, such as {model._alternative}, estimates it "
            "from the other tasks"
        )
    elif model._has_center and (penalty.alpha[single] > 0).all():
        fate = "probabilities there are shrunk towards those of the shared model"
    else:
        fate = "only the penalty keeps probabilities there from 0 and 1"
    warn(f"Only one class was seen in {_named(rows.tasks[single])}: {fate}.")


def _named(tasks):
    return f"{'task' if len(tasks) == 1 else 'tasks'} {listed(tasks.tolist())}"
