"""Base class of the penalties that users choose."""

from abc import ABC, abstractmethod
from numbers import Real
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator

from skmtl._typing import Array, Derivative

_DUAL_STEPS = 200  # of Dinkelbach's iteration; about ten suffice


class TaskPenalty(BaseEstimator, ABC):
    """A convex function of the coefficients of all tasks, a matrix W of shape (T, d).

    Penalties are estimators for ``clone``, ``repr`` and ``GridSearchCV`` (``penalty__alpha``), and
    add up: ``L1(0.1) + TraceNorm(1.0)`` penalizes the same W by both.

    Attributes
    ----------
    prox_scaling : {"entry", "feature", "task", "matrix"}
        What the steps of ``prox`` may differ by.
    class_axis : {"tasks", "features"}
        Axis of W along which the coefficients of more than two classes are stacked.
    null_set : {"zero", "pooled", None}
        Where a norm is zero: at W = 0, or wherever all tasks are equal. None: neither.
    accuracy : float
        Relative accuracy of ``prox``; the certificate ignores smaller residuals.
    is_norm : bool
        Whether it is a norm, or a seminorm of differences.
    coercive : bool
        Whether it keeps all coefficients finite; for penalties that are no norms.
    """

    prox_scaling = "matrix"
    class_axis: str | None = "features"
    null_set: Literal["zero", "pooled"] | None = None
    accuracy = 1e-15
    is_norm = True
    coercive = False

    @property
    def weight(self) -> float:
        """``alpha`` as used in ``value``: inf counts as 0, as W is then in the null set."""
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
            The penalty, including ``alpha``; infinite weights count as 0.
        """

    @abstractmethod
    def prox(self, Z: Array, step: float | Array = 1.0) -> Array:
        """Return the W that minimizes ``1/2 ||W - Z||^2 + step value(W)``.

        Parameters
        ----------
        Z : ndarray of shape (T, d)
            Point at which it is evaluated, not to be changed.
        step : float or ndarray, default=1.0
            In [0, inf]; inf gives the nearest W with zero penalty. An array, which ``prox_scaling``
            allows to differ by entry (T, d), feature (1, d) or task (T, 1), divides the squares
            entrywise; for "matrix" it has one entry.

        Returns
        -------
        ndarray of shape (T, d)
            A new array, with exact zeros and exactly equal rows where the minimizer has them.
        """

    def prox_derivative(self, Z: Array, step: float | Array = 1.0) -> Derivative:
        """Return a derivative of ``prox`` at Z, or None if it has no cheap formula.

        Parameters
        ----------
        Z : ndarray of shape (T, d)
            Point at which it is taken.
        step : float or ndarray, default=1.0
            As in ``prox``.

        Returns
        -------
        tuple or None
            A linear function of directions D (T, d), symmetric with eigenvalues in [0, 1]; and its
            diagonal blocks, the derivatives of rows of W in the same rows of Z, (T, d, d), or
            (T, d) where these are diagonal. Blocks may be approximate: they only precondition.
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
            Itself, or a copy that stores what it needs of the labels.
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
        """Return the bound penalty for some of the tasks.

        Parameters
        ----------
        tasks : ndarray of int
            Their indices among the labels it is bound to.

        Returns
        -------
        TaskPenalty
            Bound to these tasks only.
        """
        return self

    def dual_norm(self, G: Array) -> float:
        """Return the smallest a such that G is a subgradient of ``a value`` on the null set.

        This is the largest ``<G, W> / value(W)``, found by Dinkelbach's iteration, which never
        overshoots.

        Parameters
        ----------
        G : ndarray of shape (T, d)
            A gradient, orthogonal to the null set.

        Returns
        -------
        float
            a, in [0, inf].

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
        """Return the structure of W: selected features, clusters, rank and the like.

        Parameters
        ----------
        W : ndarray of shape (T, d)
            Coefficients as returned by ``prox``: exactly sparse, fused or of low rank.
        tasks : ndarray of shape (T,)
            Labels of the tasks.

        Returns
        -------
        dict of str to object
            Its entries in ``structure_`` of an estimator.
        """
        return {}

    def __add__(self, other):
        from skmtl.penalties._composite import Sum

        if not isinstance(other, TaskPenalty):
            return NotImplemented
        return Sum(self, other)


def ratio(size, alpha):
    """Return ``size / alpha``, the dual norm for alpha; inf where alpha is 0."""
    return float(size) / alpha if alpha > 0 else np.inf


def times(alpha, step):
    """Return ``alpha step``; 0 where alpha is 0, even at a step of inf."""
    return alpha * step if alpha > 0 else np.zeros_like(step, dtype=float)


def shrunk(norm, threshold):
    """Return ``max(0, 1 - threshold / norm)``, 0 where the norm is 0."""
    share = np.divide(threshold, norm, out=np.full(np.shape(norm), np.inf), where=norm > 0)
    return np.maximum(1.0 - share, 0.0)


def clipping(norm, radius):
    """Return ``min(1, radius / norm)``, 1 where the norm is 0: factors that clip rows to a ball."""
    return np.minimum(1.0, np.divide(radius, norm, out=np.ones_like(norm), where=norm > 0))
