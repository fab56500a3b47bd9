"""What callbacks are told of a fit: every step of its solver, and the model as of then."""

import copy
import warnings
from contextlib import contextmanager

from skmtl._callbacks import Progress
from skmtl.solvers import Solution


@contextmanager
def reporting(model, X, y, sample_weight):
    """Tell the callbacks of a model that its fit begins and ends, and of what is in between."""
    progress = Progress(model, X, y, sample_weight)
    model._progress = progress if progress.watched else None
    try:
        yield
    finally:
        del model._progress
    progress.end(lambda: vars(model))


def watch(model, solver, fit):
    """Let callbacks follow a solver, and stop it.

    Parameters
    ----------
    model : estimator
    solver : solver
    fit : callable
        Makes a ``Fit`` of a ``Solution``.
    """

    def step():
        part = model._progress.part("iteration")

        def end(coefficients, evaluation, split=None):
            figures = evaluation.objective, evaluation.optimality, solver.n_iter
            solution = Solution(coefficients, *figures, True, [], split=split)
            return part.end(lambda: _fitted(model, fit(solution)))

        return end

    solver.watch = step


def _fitted(model, fit):
    """Return the attributes of the model, had it been fitted so far, a dict."""
    other = copy.copy(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other._keep_fit(fit, {})
    return vars(other)
