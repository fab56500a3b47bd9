"""Minimization of a criterion over penalty weights, the limits inf included."""

from itertools import product

import numpy as np
from scipy import optimize

# Offsets of a coarse grid, in powers of ten about a typical value: the criteria may have several
# local minima.
_GRIDS = {1: (-4, -3, -2, -1, 0, 1, 2, 3, 4), 2: (-3.0, -1.5, 0.0, 1.5, 3.0)}
_TIE = 1e-8  # inf is chosen unless a finite penalty weight is better by more
_CLOSE = 1e-3  # difference of values below which minima are refined


def minimize(criterion, typical, lower, upper, *, polish):
    """Return the logarithms (k,) that minimize the criterion, inf included.

    Parameters
    ----------
    criterion : callable
        ``criterion(x, gradient=False)`` is the value at x (k,), whose entries may be inf; with
        ``gradient`` it is the value and its derivatives, where those of inf entries are unused.
    typical, lower, upper : ndarray of shape (k,)
        Center of the grid, and bounds of the finite entries.
    polish : bool
        Whether derivatives are exact enough to refine the minimum by their root.
    """
    axes = [
        [*np.clip(t + np.log(10.0) * np.array(_GRIDS[len(typical)]), a, b), np.inf]
        for t, a, b in zip(typical, lower, upper, strict=True)
    ]
    faces = {}  # the best point for each set of infinite entries
    for point in product(*axes):
        value = criterion(np.array(point))
        face = tuple(np.isfinite(point))
        if face not in faces or value < faces[face][0]:
            faces[face] = value, np.array(point)
    gtol = 1e-3 if polish else 1e-5
    found = []
    for face, (value, point) in faces.items():
        if any(face):
            value, point = _Face(criterion, point, face, lower, upper).descend(gtol)
        found.append((value, point, face))
    least, best = min(value for value, _, _ in found), []
    for value, point, face in found:
        if polish and any(face) and value < least + _CLOSE:
            value, point = _Face(criterion, point, face, lower, upper).polish()
        best.append((value + _TIE * np.count_nonzero(face), point))
    return min(best, key=lambda entry: entry[0])[1]


class _Face:
    """Restrict the criterion to the finite entries of a point, the others fixed at inf."""

    def __init__(self, criterion, point, face, lower, upper):
        self._criterion, self._point, self._free = criterion, point, np.array(face)
        self._lower, self._upper = lower[self._free], upper[self._free]

    def _whole(self, x):
        full = self._point.copy()
        full[self._free] = np.clip(x, self._lower, self._upper)
        return full

    def _inside(self, x):
        return (self._lower < x) & (x < self._upper)

    def _value_and_gradient(self, x):
        value, gradient = self._criterion(self._whole(x), gradient=True)
        return value, gradient[self._free] * self._inside(x)

    def _at(self, x):
        return self._criterion(self._whole(x)), self._whole(x)

    def descend(self, gtol):
        """Return the minimum and the minimizer."""
        # BFGS is pure numpy; L-BFGS-B uses the BLAS of scipy, whose threads compete with numpy's.
        x = optimize.minimize(
            self._value_and_gradient,
            self._point[self._free],
            jac=True,
            method="BFGS",
            options={"gtol": gtol},
        ).x
        return self._at(x)

    def polish(self):
        """Return the same from a nearby point, with the minimizer to full precision.

        The value is flat at the minimum: a root of the derivatives has more digits.
        """
        x = self._point[self._free]
        if self._inside(x).all():
            root = optimize.root(lambda x: self._value_and_gradient(x)[1], x, tol=1e-11)
            if np.abs(root.x - x).max() < 1e-2:
                x = root.x
        return self._at(x)
