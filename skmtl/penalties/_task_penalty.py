"""What penalties that users choose have in common."""

from abc import ABC, abstractmethod
from numbers import Real
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator

from skmtl._typing import Array, Derivative

_DUAL_STEPS = 200  # of Dinkelbach's iteration, which needs ten or so


class TaskPenalty(BaseEstimator, ABC):
    """A convex function of the coefficients of all tasks, a matrix W of shape (T, d).

    Penalties are estimators for ``clone``, ``repr`` and ``GridSearchCV`` (``penalty__alpha``), and
    add up: ``L1(0.1) + TraceNorm(1.0)`` penalizes the same W by both.

    Attributes
    ----------
    steps : {"entry", "feature", "task", "matrix"}
        What the steps of ``prox`` may differ by.
    stacks : {"tasks", "features"}
        What the coefficients of more than two classes are more of.
    trivial : {"zero", "pooled", None}
        Where a norm is zero: at W = 0, or wherever all tasks are equal. None: neither.
    accuracy : float
        Relative accuracy of ``prox``: what is smaller, no certificate can ask for.
    is_norm : bool
        Whether it is a norm, at least of differences.
    bounds : bool
        Whether it keeps all coefficients finite, though it is no norm.
    """

    prox_scaling = "matrix"
    class_axis: str | None = "features"
    null_set: Literal["zero", "pooled"] | None = None
    accuracy = 1e-15
    is_norm = True
    coercive = False

    @property
    def weight(self) -> float:
        """The strength in ``value``; one of inf holds at zero what it is the strength of."""
        return self.alpha if np.isfinite(self.alpha) else 0.0

    @abstractmethod
    def value(self, W: Array) -> float:
        """Return the penalty at W.

        Parameters
        ----------
        W : ndarray of shape (T, d)
            Coefficients, not to be changed.

        Returns
        -------
        float
            The penalty, with its own strength; one of inf counts as 0.
        """

    @abstractmethod
    def prox(self, Z: Array, step: float | Array = 1.0) -> Array:
        """Return the W that minimizes ``1/2 ||W - Z||^2 + step value(W)``.

        Parameters
        ----------
        Z : ndarray of shape (T, d)
            Where to start from, not to be changed.
        step : float or ndarray, default=1.0
            In [0, inf]; inf gives the nearest W without a penalty. An array, where ``prox_scaling``
            lets it differ by entry (T, d), feature (1, d) or task (T, 1), divides the squares of
            its entries; for a "matrix" it has one entry.

        Returns
        -------
        ndarray of shape (T, d)
            A new array, with exact zeros and exactly equal rows where theory has them.
        """

    def prox_derivative(self, Z: Array, step: float | Array = 1.0) -> Derivative:
        """Return a derivative of ``prox`` at Z, or None where there is none to be had cheaply.

        Parameters
        ----------
        Z : ndarray of shape (T, d)
            Where it is taken.
        step : float or ndarray, default=1.0
            As in ``prox``.

        Returns
        -------
        tuple or None
            A function of directions D (T, d), linear, symmetric and with eigenvalues in [0, 1];
            and its blocks: what rows of W owe to their own rows of Z, (T, d, d), or (T, d) where
            these are diagonal; a part of them will do.
        """
        return None

    def bind(self, tasks: Any) -> Self:
        """Return the penalty for tasks with these labels, checked.

        Parameters
        ----------
        tasks : ndarray of shape (T,)
            Sorted labels.

        Returns
        -------
        TaskPenalty
            Itself, or a copy that knows what it needs of the labels.
        """
        for name in self._strengths:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Real) or not float(value) >= 0:
                raise ValueError(
                    f"{name} of {type(self).__name__} must be a number in [0, inf], got {value!r}."
                )
        return self

    _strengths: tuple[str, ...] = ("alpha",)

    def take(self, tasks: Any) -> Self:
        """Return the bound penalty of some of the tasks.

        Parameters
        ----------
        tasks : ndarray of int
            Their places among the labels it is bound to.

        Returns
        -------
        TaskPenalty
            Bound to these alone.
        """
        return self

    def dual_norm(self, G: Array) -> float:
        """Return the smallest number of which, times the penalty, G is a subgradient where it is 0.

        The dual of a norm is the largest ``<G, W> / value(W)``, found by Dinkelbach's iteration,
        which never overshoots.

        Parameters
        ----------
        G : ndarray of shape (T, d)
            A gradient. It sums to zero over what the penalty leaves free.

        Returns
        -------
        float
            The number, in [0, inf].

        References
        ----------
        W. Dinkelbach (1967). On nonlinear fractional programming. Management Science 13.
        https://doi.org/10.1287/mnsc.13.7.492
        """
        size = float(np.linalg.norm(G))
        if not self.value(G - self.prox(G, np.inf)):
            return 0.0 if not size else np.inf
        G, level = G / (size or 1.0), 0.0
        for _ in range(_DUAL_STEPS):
            W = self.prox(G, level)
            W = W - self.prox(W, np.inf)
            value = self.value(W)
            if value <= 1e-13 or float(np.vdot(G, W)) / value <= level * (1 + 1e-14):
                break
            level = float(np.vdot(G, W)) / value
        return size * level

    def structure(self, W: Array, tasks: Any) -> dict[str, Any]:
        """Return what the penalty has found in W.

        Parameters
        ----------
        W : ndarray of shape (T, d)
            Coefficients as this penalty sees them: exactly sparse, fused or of low rank.
        tasks : ndarray of shape (T,)
            Labels of the tasks.

        Returns
        -------
        dict of str to object
            What ``structure_`` of an estimator has of it.
        """
        return {}

    def __add__(self, other):
        from skmtl.penalties._composite import Sum

        if not isinstance(other, TaskPenalty):
            return NotImplemented
        return Sum(self, other)


def ratio(size, alpha):
    """Return a dual norm of strength 1 for strength alpha: inf where there is no penalty."""
    return float(size) / alpha if alpha > 0 else np.inf


def times(alpha, step):
    """Return ``alpha step``, where a penalty that is not there stays away at a step of inf."""
    return alpha * step if alpha > 0 else np.zeros_like(step, dtype=float)


def shrunk(norm, threshold):
    """Return ``max(0, 1 - threshold / norm)``, 0 where the norm is."""
    share = np.divide(threshold, norm, out=np.full(np.shape(norm), np.inf), where=norm > 0)
    return np.maximum(1.0 - share, 0.0)


def clipping(norm, radius):
    """Return ``min(1, radius / norm)``, 1 where the norm is 0: what brings rows into a ball."""
    return np.minimum(1.0, np.divide(radius, norm, out=np.ones_like(norm), where=norm > 0))
