"""Grids of alpha, given or computed from the data."""

from numbers import Integral

import numpy as np
from sklearn.base import clone

from skmtl.data import read_rows
from skmtl.fitting import pose
from skmtl.linear_model import ADMMClassifier, ADMMRegressor, alpha_max, spec_of

_BELOW_MAX = 1e-3
_CURVATURES = 1e-4, 1e3  # smallest and largest alpha over the mean curvature


def alpha_grid(alphas, estimator, X, y, sample_weight):
    """Return the values of alpha, (n_alphas,): as given, or a grid of that size."""
    whole = isinstance(alphas, Integral) and not isinstance(alphas, bool)
    if not whole:
        try:
            values = np.asarray(alphas, dtype=np.float64)
        except (TypeError, ValueError):  # "auto", or a dict
            values = np.empty(0)
        if values.ndim != 1 or not len(values) or not (values >= 0).all():
            raise ValueError(
                "alphas must be the size of the grid, or a 1-D array of at least one number in "
                f"[0, inf], got {alphas!r}."
            )
        return values
    if alphas < 1:
        raise ValueError(f"alphas must be at least 1, got {alphas!r}.")
    if isinstance(estimator, ADMMRegressor | ADMMClassifier):
        try:
            top = alpha_max(estimator, X, y, sample_weight)
        except ValueError:  # alpha_max requires exactly one norm
            pass
        else:
            return _between(_BELOW_MAX * top, top, alphas)
    low, high = _CURVATURES
    return _curvature(estimator, X, y, sample_weight) * _between(low, high, alphas)


def _between(low, high, n):
    """Return n geometrically spaced numbers; for n = 1 the geometric mean."""
    return np.geomspace(low, high, n) if n > 1 else np.array([np.sqrt(low * high)])


def _curvature(estimator, X, y, sample_weight):
    """Return the mean over tasks and features of the bound on the diagonal of the Hessian."""
    model = clone(estimator)
    rows = read_rows(model, X, y, sample_weight, reset=True)
    problem = pose(spec_of(model), rows).problem
    mean = problem.loss.curvature_bound * problem.data.square_norms.mean()
    return float(mean) if mean > 0 else 1.0
