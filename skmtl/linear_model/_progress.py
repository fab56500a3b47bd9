"""Report each iteration of a solver, and the model at it, to callbacks."""

import copy
import warnings
from contextlib import contextmanager

from skmtl._callbacks import Progress
from skmtl.solvers import Solution


@contextmanager
def reporting(model, X, y, sample_weight):
    """Report the start, the parts and the end of a fit to the callbacks of a model."""
    progress = Progress(model, X, y, sample_weight)
    model._progress = progress if progress.watched else None
    try:
        yield
    finally:
        del model._progress
    progress.end(lambda: vars(model))


def watch(model, solver, fit):
    """Report the iterations of a solver to callbacks, which can stop it.

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
    """Return the attributes, a dict, of the model with this fit."""
    other = copy.copy(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other._keep_fit(fit, {})
    return vars(other)
