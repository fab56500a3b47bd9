"""Callbacks of a fit: they follow every step of its solver and may stop it."""

import copy
import warnings

from skmtl.fitting import Fit
from skmtl.solvers import Solution


def watcher(model, progress):
    """Return the ``watch`` of ``skmtl.fitting.solve`` that reports a fit, or None.

    ``progress`` is the ``Progress`` of the fit.
    """
    if not progress.watched:
        return None

    def watch(posed, solver):
        def step():
            part = progress.part("iteration")

            def end(coefficients, evaluation, split=None):
                figures = evaluation.objective, evaluation.optimality, solver.n_iter
                solution = Solution(coefficients, *figures, True, [], split=split)
                fit = Fit(posed, type(solver), solution, posed.found)
                return part.end(lambda: _attributes(model, fit))

            return end

        solver.watch = step

    return watch


def _attributes(model, fit):
    """Return the attributes that the model would have after this fit, a dict."""
    other = copy.copy(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other._set_attributes(fit)
    return vars(other)
