"""Grids of alpha, given or computed from the data."""

from collections.abc import Mapping
from numbers import Integral

import numpy as np

from skmtl._threads import blas_threads_for
from skmtl.linear_model import alpha_max_of, spec_of
from skmtl.tuning import pose_outcomes

_BELOW_MAX = 1e-3
_CURVATURES = 1e-4, 1e3  # smallest and largest alpha over the mean curvature


def alpha_grid(alphas, model, rows):
    """Return the values of alpha, (n_alphas,): as given, or a grid of that size.

    The grid is for fits of the model, whose own alpha does not matter, to ``Rows``.
    """
    whole = isinstance(alphas, Integral) and not isinstance(alphas, bool)
    if not whole:
        mixed = isinstance(alphas, list | tuple) and any(isinstance(own, Mapping) for own in alphas)
        numbers = [own for own in alphas if not isinstance(own, Mapping)] if mixed else alphas
        try:
            values = np.asarray(numbers, dtype=np.float64)
        except (TypeError, ValueError):  # "auto", or a dict
            values = np.array([np.nan])
        if values.ndim != 1 or not (mixed or len(values)) or not (values >= 0).all():
            raise ValueError(
                "alphas must be the size of the grid, a list of numbers and dicts, or a 1-D array "
                f"of at least one number in [0, inf], got {alphas!r}."
            )
        if mixed:
            values = np.empty(len(alphas), dtype=object)
            values[:] = alphas  # each dict is read with the tasks of the model
        return values
    if alphas < 1:
        raise ValueError(f"alphas must be at least 1, got {alphas!r}.")
    posed = pose_outcomes(spec_of(model), rows)
    problem = posed.problem
    if not problem.penalty.quadratic:
        try:
            with blas_threads_for(rows.work):
                top = alpha_max_of(model, problem)
        except ValueError:  # it requires exactly one norm
            top = 0.0
        if top > _rounding(problem, rows):  # else y or X are constant
            return _between(_BELOW_MAX * top, top, alphas)
    # the mean over tasks and features of the bound on the diagonal of the Hessian
    squares = problem.data.square_norms
    if posed.basis is not None and posed.basis.regular.any():
        squares = squares[:, posed.basis.regular]
    bound = np.asarray(problem.loss.curvature_bound)[..., None]  # of each row, or of all
    curvature = (bound * squares).sum() / max(1, squares.size)
    return (float(curvature) if curvature > 0 else 1.0) * _between(*_CURVATURES, alphas)


def _rounding(problem, rows):
    """Return the size of the rounding errors of a gradient from centering X and y."""
    largest = problem.data.largest
    centered = largest.max(initial=0.0)
    x = (largest + np.abs(problem.data.center)).max(initial=0.0)
    y, residual = 1.0, 1.0  # of classes
    if rows.y.dtype.kind == "f" and problem.loss.constant_curvature is not None:
        y, residual = np.nanmax(np.abs(rows.y)), np.abs(problem.data.y).max()
    return 4 * np.finfo(np.float64).eps * rows.weight.sum() * (x * residual + centered * y)


def _between(low, high, n):
    """Return n geometrically spaced numbers; for n = 1 the geometric mean."""
    return np.geomspace(low, high, n) if n > 1 else np.array([np.sqrt(low * high)])
