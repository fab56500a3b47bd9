"""Global minimum of a criterion over penalty weights, the limits inf included."""

from itertools import product

import numpy as np

_SCAN = 0.5  # spacing of scans along an axis, in powers of ten
_TIE = 1e-8  # inf is chosen unless a finite penalty weight is better by more
_BETTER = 1e-6  # decrease of the criterion for which a point is another minimum: above rounding
_CLOSE = 1e-2  # difference of local minima, found roughly, of which either may be the global one
# Grids by the number of parameters: reach and spacing, in powers of ten.
COARSE = {"reach": 2.0, "step": 2.0}
GRIDS = {k: {"reach": 4.0, "step": step} for k, step in enumerate((0.5, 0.5, 1.5, 8 / 3))}
_NEAR = 10.0  # second derivative in a parameter below which its limit inf is tried
NEARLY = 2.0  # of the criterion above the minimum, at most, of a limit that is tried
ROUGH, _FINE = 1e-2, (1e-4, 1e-7)  # norms of the gradient; the latter where steps fail
_DESCENTS, _STEPS = 500, 10  # steps at most, to find a minimum and to refine it
_DECREASE, _SHORTEST = 1e-4, 1e-9  # of a line search: share of the linear one, and of the step
_STEP = 0.1  # of the range of a parameter, at most
_ROUNDING = 1e-15  # relative decrease of the criterion that is none
_LONGER = 3.0  # times a step is added to the next, if the criterion is concave along it
_NARROW = 1e-14  # square of the norm of the gradient there


def minimize(criterion, typical, lower, upper, *, reach, step, polish):
    """Return the logarithms (k,) that minimize the criterion, inf included.

    Criteria of few rows have several local minima, and plateaus towards inf. Each local minimum of
    a grid with an entry inf in each axis is refined. Then, if the grid was coarse, each axis is
    scanned from the best, the other entries kept, until that lowers the minimum no more: a value
    may depend on the point before it, by rounding errors.

    Parameters
    ----------
    criterion : callable
        ``criterion(x, gradient=False)`` is the value at x (k,), whose entries may be inf; with
        ``gradient`` it is the value and its derivatives, where those of inf entries are unused.
        ``criterion.metric(x)`` is about its second derivative there, (k, k).
    typical, lower, upper : ndarray of shape (k,)
        Center of the grid, and bounds of the finite entries.
    reach, step : float
        Extent of the grid on either side, and its spacing, in powers of ten.
    polish : bool
        Whether derivatives are exact enough to refine the minimum by their root.

    Raises
    ------
    ValueError
        If the criterion is finite nowhere.
    """
    found, bounds = [], list(zip(typical, lower, upper, strict=True))

    def descend(x):
        descent = Descent(criterion, np.isfinite(x), lower, upper)
        found.append((*descent.to(ROUGH if polish else 1e-5, x), descent))

    axes = [np.append(_spaced(*own, reach, step), np.inf) for own in bounds]
    values = np.array([criterion(np.array(x)) for x in product(*axes)])
    for at in np.argwhere(_local_minima(values.reshape([len(axis) for axis in axes]))):
        descend(np.array([axis[i] for axis, i in zip(axes, at, strict=True)]))
    if not found:
        raise ValueError(
            "The criterion of 'auto' is finite at no penalty weight. Scale the features and the "
            "target, or set the penalty weights to numbers."
        )
    if _SCAN < step < reach:
        fine = [np.append(_spaced(*own, reach, _SCAN), np.inf) for own in bounds]
        last = np.inf
        while (best := min(found, key=_value))[0] < last - _BETTER:
            last = best[0]
            if (better := _scanned(criterion, fine, *best[:2])) is not None:
                descend(better)
    if polish:
        least = min(value for value, *_ in found)
        close = [one for one in found if one[0] <= least + _CLOSE]
        found = [(*descent.polished(value, x), descent) for value, x, descent in close]
    return min(found, key=lambda one: one[0] + _TIE * np.isfinite(one[1]).sum())[1]


def minimize_from(criterion, starts, lower, upper, limits, *, gtol=None):
    """Return the minimum of a criterion of more parameters, by descents from some points.

    Parameters
    ----------
    criterion, lower, upper
        As of ``minimize``; ``criterion.curvatures(x)`` are about its second derivatives, (k,).
    starts : list of ndarray of shape (k,)
    limits : list of ndarray of int
        Parameters that go to inf together, as is tried from the best minimum.
    gtol : float, optional
        Norm of the gradient at the minimum, by default as small as exact derivatives can make it.
    """

    def descend(start):
        descent = Descent(criterion, np.isfinite(start), lower, upper)
        if gtol is not None:
            return descent.to(gtol, start)
        return descent.polished(*descent.to(ROUGH, start))

    found = [descend(start) for start in starts]
    value, x = min(found, key=_value)
    curvatures = criterion.curvatures(x)
    for limit in limits:
        end = x.copy()
        end[limit] = np.inf
        if curvatures[limit].sum() < _NEAR and criterion(end) <= value + NEARLY:
            other = descend(end)
            if other[0] <= value + _TIE:
                value, x = other
    return x


def _value(found):
    return found[0]


def _spaced(center, low, high, reach, step):
    """Return logarithms about a center, spaced by a step in powers of ten, within bounds."""
    offsets = np.log(10.0) * np.arange(-reach, reach + step / 2, step)
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
    return best if least < value - _BETTER else None


def _local_minima(values):
    """Return where no neighbor, diagonal ones included, is smaller, a mask."""
    padded = np.pad(values, 1, constant_values=np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3,) * values.ndim)
    least = windows.min(axis=tuple(range(-values.ndim, 0)))
    return np.isfinite(values) & (values <= least)


class Descent:
    """Descents of the criterion on a face, whose other entries are inf.

    Parameters are those of `minimize`; ``free`` (k,) is the mask of the finite entries.
    """

    def __init__(self, criterion, free, lower, upper):
        self._criterion, self._free, self._ends = criterion, free, np.full(len(free), np.inf)
        self._low, self._high = lower[free], upper[free]
        self._longest = _STEP * (self._high - self._low)
        self._last = None  # place, slope and inverse second derivative where a descent ended

    def to(self, gtol, start):
        """Return the value at the local minimum near a point, and its place, (k,).

        Steps are those of BFGS, which begins with the metric of the criterion. ``gtol`` bounds the
        norm of the gradient where the second derivative, as known by then, is 1.
        """
        x = start[self._free]
        if not len(x):
            return self._criterion(start), start
        value, slope = self._slope(x)
        return self._descended(gtol, value, x, slope, self._inverse_metric(start))

    def _descended(self, gtol, value, x, slope, inverse):
        """Descend from a place with this value, slope and inverse second derivative."""
        for _ in range(_DESCENTS):
            if slope @ inverse @ slope <= gtol**2:
                break
            found = self._searched(x, value, slope, -inverse @ slope)
            if found is None:
                break
            before, last, (ahead, value, ahead_slope) = value, slope, found
            step, x, slope = ahead - x, ahead, ahead_slope
            if step @ (slope - last) > 0:
                inverse = _updated(inverse, step, slope - last)
            else:  # concave: longer steps in this direction
                size = step @ np.linalg.solve(inverse, step)
                inverse = inverse + _LONGER / size * np.outer(step, step) if size > 0 else inverse
            if before - value <= _ROUNDING * abs(value):
                break
        self._last = x, slope, inverse
        return value, self._whole(x)

    def _searched(self, x, value, slope, step):
        """Return the next place, its value and slope, or None, by backtracking along a step."""
        share = 1.0 / max(1.0, (np.abs(step) / self._longest).max())
        gain = slope @ step
        while share > _SHORTEST:
            ahead = x + share * step
            at, its_slope = self._slope(ahead)
            if at <= value + _DECREASE * share * gain:
                return ahead, at, its_slope
            bend = at - value - share * gain
            shorter = -0.5 * share**2 * gain / bend if 0 < bend < np.inf else 0.0
            share = min(max(shorter, 0.1 * share), 0.5 * share)
        return None

    def polished(self, value, start):
        """Return the same to the last digits, from the value and the place where a descent ended.

        The value is flat at the minimum: where the derivatives vanish has more digits. Steps are
        those of BFGS, without a line search.
        """
        if not self._free.any():
            return value, start
        for gtol in _FINE:
            at, x, size = self._unsearched(*self._last)
            if size <= _NARROW and at <= value + _TIE:
                return at, self._whole(x)
            value, start = self._descended(gtol, value, *self._last)
        return value, start

    def _unsearched(self, x, slope, inverse):
        """Return the value and place after steps without line search, and the decrease ahead."""
        size = slope @ inverse @ slope
        for k in range(_STEPS):
            step = -inverse @ slope
            x, last = x + step, slope
            at, slope = self._slope(x)
            inverse = _updated(inverse, step, slope - last)
            size, before = slope @ inverse @ slope, size
            # one step may not have found where the metric is far from the second derivative
            if k and (size <= _NARROW or size > before):
                break
        return at, x, size

    def _inverse_metric(self, start):
        """Return about the inverse of the second derivatives."""
        metric = self._criterion.metric(start)[self._free][:, self._free]
        # where the criterion is flat, steps are of the order of 1
        return np.linalg.inv(metric + np.eye(len(metric)))

    def _slope(self, x):
        value, gradient = self._criterion(self._whole(x), gradient=True)
        return value, gradient[self._free] * ((self._low < x) & (x < self._high))

    def _whole(self, x):
        full = self._ends.copy()
        full[self._free] = np.minimum(np.maximum(x, self._low), self._high)
        return full


def _updated(inverse, step, change):
    """Return an inverse second derivative after a BFGS update by the change of the gradient."""
    curvature = step @ change
    if curvature <= 0:
        return inverse
    along, step = inverse @ change, step / curvature
    mixed = along[:, None] * step
    return inverse - mixed - mixed.T + (curvature + change @ along) * step[:, None] * step
