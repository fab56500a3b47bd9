"""Newton steps without a linear system: a preconditioner that the last steps correct."""

from typing import Any, NamedTuple

import numpy as np

from skmtl.penalties import Coefficients

_KEPT = 5  # steps: more of them save hardly any iteration
_NEAR = 1e-5  # share of the first decrement below which conjugate gradients take less work
_SLOW = 0.5  # share of the decrement two steps ago above which they do, too


class _Change(NamedTuple):
    """A step, the change of the loss gradient along it, and their product with the penalty's."""

    step: Coefficients
    G: np.ndarray
    R: np.ndarray
    curvature: float


class Secants:
    """Changes of the gradient along the last steps, a part of the inverse Hessian (L-BFGS) [1]_.

    Parameters
    ----------
    problem : Problem
        With a quadratic penalty.

    References
    ----------
    .. [1] J. Nocedal (1980). Updating quasi-Newton matrices with limited storage. Mathematics of
       Computation 35. https://doi.org/10.1090/S0025-5718-1980-0572855-7
    """

    def __init__(self, problem):
        self._problem = problem
        self._last: Any = None  # the last point and the gradient there
        self._changes: list[_Change] = []
        self._first = 0.0
        self.restart()

    def restart(self):
        """Compare steps with later ones only: the preconditioner changes."""
        self._decrements = [np.inf, np.inf]  # of the last steps

    def step(self, point, G, R, precondition):
        """Return a quasi-Newton step, or None where it is better to solve for a Newton step.

        G and R are the loss gradient at a point. ``precondition(point, G, R)`` returns a step of
        coefficients; it is linear, so that it may be given differences of its arguments.
        """
        moved = self._add(point, G, R)
        ahead = self._direction(point, G, R, precondition)
        decrement = -self._problem.slope(point, G, R, ahead)
        self._first = max(self._first, decrement)
        earlier, self._decrements = self._decrements[0], [self._decrements[1], decrement]
        if moved and _NEAR * self._first < decrement < _SLOW * earlier:
            return ahead
        return None

    def _add(self, point, G, R):
        """Add the step from the last point; return whether it has a positive curvature."""
        last, self._last = self._last, (point, G, R)
        if last is None:
            return True
        step, *sums = last[0].step_to(point), G - last[1], R - last[2]
        curvature = self._problem.slope(step, *sums, step)
        if not curvature > 0:
            return False
        self._changes = [*self._changes[1 - _KEPT :], _Change(step, *sums, curvature)]
        return True

    def _direction(self, point, G, R, precondition):
        slope, shares = self._problem.slope, []
        for change in reversed(self._changes):
            share = slope(point, G, R, change.step) / change.curvature
            point = point.plus(change.step.times(-share))
            G, R = G - share * change.G, R - share * change.R
            shares.append(share)
        ahead = precondition(point, G, R)
        for change, share in zip(self._changes, reversed(shares), strict=True):
            share += slope(change.step, change.G, change.R, ahead) / change.curvature
            ahead = ahead.plus(change.step.times(-share))
        return ahead
