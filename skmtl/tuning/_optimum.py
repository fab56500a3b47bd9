"""Global minimum of a criterion over penalty weights, the limits inf included."""

from itertools import product

import numpy as np
from scipy import optimize

_SCAN = 0.5  # spacing of scans along an axis, in powers of ten
_REACH = 4.0  # powers of ten of the grid on either side of a typical value
_TIE = 1e-8  # inf is chosen unless a finite penalty weight is better by more
_CLOSE = 1e-2  # difference of local minima, found roughly, of which either may be the global one
_ROUGH, _FINE = 1e-3, 1e-6  # norms of the gradient


def minimize(criterion, typical, lower, upper, *, step, polish):
    """Return the logarithms (k,) that minimize the criterion, inf included.

    Criteria of few rows have several local minima, and plateaus towards inf. Each local minimum of
    a grid, on each face of infinite entries, is refined. From the best, each axis is scanned in
    turn, the other entries kept, until nothing better is found.

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

    Raises
    ------
    ValueError
        If the criterion is finite nowhere.
    """
    k, found = len(typical), []
    bounds = list(zip(typical, lower, upper, strict=True))
    axes = [_spaced(*own, step) for own in bounds]

    def descend(x):
        descent = _Descent(criterion, np.isfinite(x), lower, upper)
        found.append((*descent.to(_ROUGH if polish else 1e-5, x), descent))

    for face in product((False, True), repeat=k):
        grid = [axis if free else [np.inf] for axis, free in zip(axes, face, strict=True)]
        shape = [len(axis) for axis in grid]
        values = np.array([criterion(np.array(x)) for x in product(*grid)]).reshape(shape)
        for at in np.argwhere(_local_minima(values)):
            descend(np.array([axis[i] for axis, i in zip(grid, at, strict=True)]))
    if not found:
        raise ValueError(
            "The criterion of 'auto' is finite at no penalty weight. Scale the features and the "
            "target, or set the penalty weights to numbers."
        )
    if step > _SCAN:
        fine = [np.append(_spaced(*own, _SCAN), np.inf) for own in bounds]
        while (better := _scanned(criterion, fine, *min(found, key=_value)[:2])) is not None:
            descend(better)
    if polish:
        least = min(value for value, *_ in found)
        close = [one for one in found if one[0] < least + _CLOSE]
        found = [(*descent.polished(value, x), descent) for value, x, descent in close]
    return min(found, key=lambda one: one[0] + _TIE * np.isfinite(one[1]).sum())[1]


def _value(found):
    return found[0]


def _spaced(center, low, high, step):
    """Return logarithms about a center, spaced by a step in powers of ten, within bounds."""
    offsets = np.log(10.0) * np.arange(-_REACH, _REACH + step, step)
    return np.unique(np.clip(center + offsets, low, high))


def _scanned(criterion, axes, value, x):
    """Return the best point that differs from x in one entry and is better than it, or None."""
    points = []
    for j, axis in enumerate(axes):
        for entry in axis:
            other = x.copy()
            other[j] = entry
            points.append((criterion(other), other))
    least, best = min(points, key=_value)
    return best if least < value - _TIE else None


def _local_minima(values):
    """Return where no neighbor, diagonal ones included, is smaller, a mask."""
    padded = np.pad(values, 1, constant_values=np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3,) * values.ndim)
    least = windows.min(axis=tuple(range(-values.ndim, 0)))
    return np.isfinite(values) & (values <= least)


class _Descent:
    """Descents of the criterion on a face, whose other entries are inf.

    Parameters are those of `minimize`; ``free`` (k,) is the mask of the finite entries.
    """

    def __init__(self, criterion, free, lower, upper):
        self._criterion, self._free = criterion, free
        self._low, self._high = lower[free], upper[free]

    def to(self, gtol, start):
        """Return the value at the local minimum near a point, and its place, (k,)."""
        x = start[self._free]
        if len(x):
            # BFGS is pure numpy; L-BFGS-B uses the BLAS of scipy, whose threads compete with
            # numpy's.
            options = {"gtol": gtol}
            x = optimize.minimize(self._slope, x, jac=True, method="BFGS", options=options).x
        return self._at(x)

    def polished(self, value, start):
        """Return the same to the last digits, from a value nearby and its place."""
        x = start[self._free]
        if len(x) and ((self._low < x) & (x < self._high)).all():
            # The value is flat at the minimum: a root of the derivatives has more digits.
            root = self._at(optimize.root(lambda x: self._slope(x)[1], x, tol=1e-8).x)
            if root[0] <= value + _TIE:
                return root
        return self.to(_FINE, start)

    def _slope(self, x):
        value, gradient = self._criterion(self._whole(x), gradient=True)
        return value, gradient[self._free] * ((self._low < x) & (x < self._high))

    def _at(self, x):
        return self._criterion(self._whole(x)), self._whole(x)

    def _whole(self, x):
        full = np.full(len(self._free), np.inf)
        full[self._free] = np.clip(x, self._low, self._high)
        return full
