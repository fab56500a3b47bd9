"""Line searches, conjugate gradients, the method of multipliers, and metrics of coefficients."""

import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg.blas import daxpy

_TRIALS = 40
_ENOUGH = 0.5  # tolerance of the slope, relative to the first one
_MIN_SHARE = 1e-10  # smallest share of a step in backtracking
_AXES = {"entry": (), "feature": (0,), "task": (1,), "matrix": (0, 1)}
_FLOOR = 1e-6  # least curvature of a task in a feature, relative to the mean of the tasks


def backtrack(evaluate, value, slope):
    """Return the first share 1, 1/2, ... of a step with sufficient decrease (Armijo), or 0.

    Parameters
    ----------
    evaluate : callable
        The value of a function at a share of the step.
    value, slope : float
        Value and slope at the start.
    """
    share = 1.0
    while evaluate(share) > value + 1e-4 * share * slope + 1e-13 * abs(value):
        share *= 0.5
        if share < _MIN_SHARE:
            return 0.0
    return share


def stationary_share(slope_at, slope):
    """Return the share of a step at which the slope of a convex function is about zero.

    Parameters
    ----------
    slope_at : callable
        The slope at a share of the step, continuous and not decreasing.
    slope : float
        The slope at the start, negative.

    Returns
    -------
    float
        At most 1, the last at which the slope was evaluated; 0 without descent, or where the slope
        jumps because of rounding.
    """
    if not slope < 0:
        return 0.0
    low, low_slope, high, high_slope, share = 0.0, slope, None, None, 1.0
    for _ in range(_TRIALS):
        ahead = slope_at(share)
        if abs(ahead) <= -_ENOUGH * slope or (ahead < 0 and share == 1.0):
            return share
        if ahead < 0:
            low, low_slope = share, ahead
        else:
            high, high_slope = share, ahead
        # The slope changes abruptly: both ends of the bracket have to move.
        secant = low_slope / (low_slope - high_slope)
        share = low + (high - low) * min(max(secant, 0.1), 0.9)
    return 0.0


def conjugate_gradients(
    product,
    right,
    precondition=None,
    *,
    start=None,
    rtol=0.0,
    atol=0.0,
    norm=np.linalg.norm,
    maxiter=None,
    callback=None,
):
    """Return x with ``product(x) = right``, and whether that failed.

    Other than scipy's ``cg``, for arrays of any shape, in little memory.

    Parameters
    ----------
    product : callable
        The product of a positive definite matrix and an array of the shape of ``right``.
    right : ndarray
        Overwritten by residuals.
    precondition : callable, optional
        Like ``product``, of a matrix similar to the inverse; returns a new array. It may move
        residuals, in place, into the subspace in which the system is to be solved.
    start : ndarray, optional
        The first x, by default zeros.
    rtol, atol : float
        Norm of the residual at which to stop, relative to that of ``right`` and absolute.
    norm : callable, optional
        That of a residual in one dimension.
    maxiter : int, optional
        By default ten times the number of unknowns.
    callback : callable, optional
        Called after each iteration.
    """
    precondition = precondition or np.copy
    maxiter = 10 * right.size if maxiter is None else maxiter
    shape, x, r, p, last = right.shape, np.zeros(right.size), right.ravel(), None, None
    goal = max(rtol * norm(r), atol)
    if start is not None:
        x += start.ravel()
        r -= product(start).ravel()
    for _ in range(maxiter):
        z = precondition(r.reshape(shape)).ravel()
        size = norm(r)
        if size <= goal or not np.isfinite(size):
            break
        square = r @ z
        p, z = z if p is None else daxpy(p, z, a=square / last), None
        q = product(p.reshape(shape)).ravel()
        share, last = square / (p @ q), square
        x, r, q = daxpy(p, x, a=share), daxpy(q, r, a=-share), None
        if callback is not None:
            callback()
    return x.reshape(shape), not norm(r) <= goal


class Lagrangian(NamedTuple):
    """An augmented Lagrangian at a point x, its copies eliminated.

    Attributes
    ----------
    gradient : ndarray of the shape of x
    primal : float
        Relative distance of x and the copies.
    dual : float
        Relative norm of the gradient.
    change : float
        Change of the multipliers by the next update, relative as ``dual``.
    copies, multipliers : object
        The copies at x, and the multipliers after the next update.
    """

    gradient: np.ndarray
    primal: float
    dual: float
    change: float
    copies: Any
    multipliers: Any


class MethodOfMultipliers(ABC):
    """Semismooth Newton steps on augmented Lagrangians, with updates of the multipliers.

    Attributes
    ----------
    rho : float
        Penalty parameter, multiplied by ``factor`` up to about ``max_rho`` while the primal
        residual decreases slowly.
    accuracy : float
        Relative residuals at which to stop.
    noise : float
        Relative gradient below which a Newton step is rounding.
    """

    rho: float
    factor: float
    max_rho: float
    accuracy: float
    noise: float

    @abstractmethod
    def evaluate(self, x):
        """Return the ``Lagrangian`` at x."""

    @abstractmethod
    def newton(self, x, at):
        """Return the Newton step from x, where the `Lagrangian` is ``at``, or None."""

    @abstractmethod
    def update(self, at):
        """Store copies and multipliers of a ``Lagrangian``."""

    def minimize(self, x, max_iter):
        """Return the last x, and the number of Newton steps and updates."""
        at, last = self.evaluate(x), np.inf
        for count in range(1, max_iter + 1):
            if at.dual <= max(min(0.1 * at.change, 1e-2), 0.1 * self.accuracy, self.noise):
                self.update(at)
                if max(at.primal, at.dual) <= self.accuracy:
                    break
                if at.primal > max(0.2 * last, at.dual) and self.rho < self.max_rho:
                    self.rho *= self.factor
                last, at = at.primal, self.evaluate(x)
                continue
            step, ahead = self.newton(x, at), None
            if step is None:
                return x, count - 1

            def slope_at(share, x=x, step=step):
                nonlocal ahead
                ahead = self.evaluate(x + share * step)
                return float(np.vdot(ahead.gradient, step))

            share = stationary_share(slope_at, float(np.vdot(at.gradient, step)))
            if share == 0.0:
                break
            x, at = x + share * step, ahead
        return x, count


def geometric_mean(metric, prox_scaling):
    """Return the geometric mean of a metric (T, d) over the axes that ``prox_scaling`` excludes."""
    axes = _AXES[prox_scaling]
    if not axes:
        return metric
    count = max(1, math.prod(metric.shape[axis] for axis in axes))  # of no features it is 1
    return np.exp(np.log(metric).sum(axis=axes, keepdims=True) / count)


def common_axes(kinds):
    """Return the axes to average a metric over so that all of these ``prox_scaling`` allow it."""
    kinds = set(kinds) - {"entry"}
    return _AXES["matrix" if len(kinds) > 1 else kinds.pop() if kinds else "entry"]


def floored(curvature):
    """Return curvatures (T, d) without zeros: at least a small share of the tasks' mean."""
    return np.maximum(curvature, _FLOOR * task_mean(curvature))


def task_mean(curvature):
    """Return the mean over tasks of curvatures (T, d), or that of all features where it is zero."""
    mean = curvature.mean(axis=0)
    return np.where(mean > 0, mean, mean.sum() / max(1, mean.size) or 1.0)
