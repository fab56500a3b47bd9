"""Global minimum of a criterion over penalty weights, the limits inf included."""

from itertools import product

import numpy as np
from scipy import optimize

_REACH = 4.0  # powers of ten of the grid on either side of a typical value
_TIE = 1e-8  # inf is chosen unless a finite penalty weight is better by more


def minimize(criterion, typical, lower, upper, *, step, polish):
    """Return the logarithms (k,) that minimize the criterion, inf included.

    Each local minimum of a grid, on each face of infinite entries, is refined: criteria of few rows
    have several, and plateaus towards inf.

    Parameters
    ----------
    criterion : callable
        ``criterion(x, gradient=False)`` is the value at x (k,), whose entries may be inf; with
        ``gradient`` it is the value and its derivatives, where those of inf entries are unused.
    typical, lower, upper : ndarray of shape (k,)
        Center of the grid, and bounds of the finite entries.
    step : float
        Spacing of the grid, in powers of ten.
    polish : bool
        Whether derivatives are exact enough to refine the minimum by their root.
    """
    k, best = len(typical), (np.inf, None)
    offsets = np.log(10.0) * np.arange(-_REACH, _REACH + step, step)
    bounds = zip(typical, lower, upper, strict=True)
    axes = [np.unique(np.clip(center + offsets, low, high)) for center, low, high in bounds]
    for face in product((False, True), repeat=k):
        free = np.array(face)
        grid = [axis if f else [np.inf] for axis, f in zip(axes, face, strict=True)]
        shape = [len(axis) for axis in grid]
        values = np.array([criterion(np.array(x)) for x in product(*grid)]).reshape(shape)
        for at in np.argwhere(_local_minima(values)):
            x = np.array([axis[i] for axis, i in zip(grid, at, strict=True)])
            if free.any():
                x = _refined(criterion, x, free, lower, upper, polish)
            value = criterion(x) + _TIE * np.count_nonzero(free)
            if value < best[0]:
                best = value, x
    return best[1]


def _local_minima(values):
    """Return where no neighbor along an axis is smaller, a mask."""
    least = np.isfinite(values)
    for axis in range(values.ndim):
        padded = np.moveaxis(values, axis, 0)
        mask = np.moveaxis(least, axis, 0)
        mask[1:] &= padded[1:] <= padded[:-1]
        mask[:-1] &= padded[:-1] <= padded[1:]
    return least


def _refined(criterion, start, free, lower, upper, polish):
    """Return the local minimum near a point, infinite entries fixed."""
    low, high = lower[free], upper[free]

    def whole(x):
        full = start.copy()
        full[free] = np.clip(x, low, high)
        return full

    def evaluate(x):
        value, gradient = criterion(whole(x), gradient=True)
        return value, gradient[free] * ((low < x) & (x < high))

    # BFGS is pure numpy; L-BFGS-B uses the BLAS of scipy, whose threads compete with numpy's.
    options = {"gtol": 1e-6 if polish else 1e-5}
    x = optimize.minimize(evaluate, start[free], jac=True, method="BFGS", options=options).x
    if polish and ((low < x) & (x < high)).all():
        # The value is flat at the minimum: a root of the derivatives has more digits.
        root = optimize.root(lambda x: evaluate(x)[1], x, tol=1e-11).x
        x = root if np.abs(root - x).max() < 1e-2 else x
    return whole(x)
