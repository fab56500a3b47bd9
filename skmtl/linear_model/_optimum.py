"""The strengths that minimise a criterion, among them the limits inf."""

from itertools import product

import numpy as np
from scipy import optimize

# Offsets of a coarse grid, in powers of ten about a typical value: criteria in a ratio of
# variances may have several minima.
_GRIDS = {1: (-4, -3, -2, -1, 0, 1, 2, 3, 4), 2: (-3.0, -1.5, 0.0, 1.5, 3.0)}
_TIE = 1e-8  # a limit is taken where no finite strength is better than this


def minimise(criterion, typical, lower, upper, *, polish):
    """Return the logarithms (k,) at which the criterion is least; inf is one that is tried.

    Parameters
    ----------
    criterion : callable
        ``criterion(x, gradient=False)`` is the value at x (k,), of which entries may be inf; with
        ``gradient`` it is the value and its derivatives, those of entries that are inf unused.
    typical, lower, upper : ndarray of shape (k,)
        Centre of the grid, and bounds of what is finite.
    polish : bool
        Whether derivatives are exact, so that their root is worth finding to the last digits.
    """
    axes = [
        [*np.clip(t + np.log(10.0) * np.array(_GRIDS[len(typical)]), a, b), np.inf]
        for t, a, b in zip(typical, lower, upper, strict=True)
    ]
    faces = {}  # the best point for each choice of what is infinite
    for point in product(*axes):
        value = criterion(np.array(point))
        face = tuple(np.isfinite(point))
        if face not in faces or value < faces[face][0]:
            faces[face] = value, np.array(point)
    found = []
    for face, (value, point) in faces.items():
        free = np.array(face)
        if free.any():
            value, point = _refine(criterion, point, free, lower, upper, polish)
        found.append((value - _TIE * np.count_nonzero(~free), value, point))
    return min(found, key=lambda entry: entry[0])[2]


def _refine(criterion, point, free, lower, upper, polish):
    """Return the minimum and where it is, of what is finite."""

    def whole(x):
        full = point.copy()
        full[free] = np.clip(x, lower[free], upper[free])
        return full

    def value_and_gradient(x):
        value, gradient = criterion(whole(x), gradient=True)
        inside = (lower[free] < x) & (x < upper[free])
        return value, gradient[free] * inside

    # In pure numpy, unlike L-BFGS-B: the threads of scipy's own BLAS wait for those of numpy's.
    gtol = 1e-3 if polish else 1e-5
    x = optimize.minimize(
        value_and_gradient, point[free], jac=True, method="BFGS", options={"gtol": gtol}
    ).x
    if polish and ((lower[free] < x) & (x < upper[free])).all():
        # The value is flat where it is least: its derivatives know the place to more digits.
        root = optimize.root(lambda x: value_and_gradient(x)[1], x, tol=1e-11)
        if np.abs(root.x - x).max() < 1e-2:
            x = root.x
    return criterion(whole(x)), whole(x)
