"""What a penalty is, and the coefficients it acts on."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Coefficients(NamedTuple):
    """Coefficients of T tasks as a center and the tasks' deviations from it.

    Task t predicts ``x . (w + V_t) + c + q_t`` at the centered features x. A strong coupling makes
    the deviations small; kept apart from the center they keep all their digits. Where a row has K
    predictions, every part has a leading axis of K.

    Attributes
    ----------
    V : ndarray of shape (T, d)
        Deviations of the coefficients.
    q : ndarray of shape (T,)
        Deviations of the levels.
    w : ndarray of shape (d,)
        Center of the coefficients.
    c : float
        Center of the levels.
    """

    V: np.ndarray
    q: np.ndarray
    w: np.ndarray
    c: float

    @classmethod
    def zeros(cls, n_tasks, n_features, outputs=()):
        """Return the origin; ``outputs`` is (K,) where a row has K predictions."""
        shapes = (n_tasks, n_features), (n_tasks,), (n_features,), ()
        return cls(*(np.zeros((*outputs, *shape)) for shape in shapes))

    @property
    def W(self):
        """Coefficients of the tasks, (T, d)."""
        return np.expand_dims(self.w, -2) + self.V

    @property
    def intercept(self):
        """Levels of the tasks, (T,): predictions at the mean of the features."""
        return np.expand_dims(self.c, -1) + self.q

    def plus(self, step):
        """Return the sum, part by part."""
        return Coefficients(*(a + b for a, b in zip(self, step, strict=True)))

    def times(self, factor):
        """Return the product with a number, part by part."""
        return Coefficients(*(factor * part for part in self))

    def dot(self, other):
        """Return the inner product, a float."""
        return sum(float(np.vdot(a, b)) for a, b in zip(self, other, strict=True))


class Term(NamedTuple):
    """A term of a penalty on coefficients W (..., T, d) and levels (..., T).

    ``prox(W, intercept, step, intercept_step)`` returns both after a step; ``prox_scaling`` is
    what the step of W may differ by, as in `TaskPenalty`. ``derivative``, of the same arguments,
    returns a linear function of (W, intercept), and its blocks for W as in `TaskPenalty` and
    diagonal for intercepts (T,); or None.
    """

    prox: Callable
    derivative: Callable
    prox_scaling: str


class Split(NamedTuple):
    """How a penalty sees some coefficients W: as the sum of parts, penalized by terms.

    ``parts`` is a list of arrays of the shape of W that sum to it. ``copies`` and ``duals`` have a
    list for every part, with an array for every term: the part as the term sees it (equal but for
    rounding; exactly sparse, fused or of low rank), and a subgradient of the term there.
    """

    parts: list
    copies: list
    duals: list

    def fits(self, terms):
        """Return whether there is a place for each of these terms."""
        return [len(part) for part in self.copies] == [len(part) for part in terms]


class Penalty(ABC):
    """A convex function of the ``Coefficients``: what a ``Problem`` asks of it.

    Attributes
    ----------
    quadratic : bool
        Whether gradients are linear.
    fixed_level : bool
        Whether the common level stays where it is.
    bounded : bool or ndarray of shape (T,)
        Whether the penalty keeps the coefficients of a task finite, whatever the rows are.
    """

    quadratic = False
    fixed_intercept: bool
    coercive: bool | np.ndarray = True

    @abstractmethod
    def value(self, coefficients, split=None):
        """Return the penalty, a float; ``split`` where it has parts (`Split`)."""

    @abstractmethod
    def gradient(self, coefficients):
        """Return the gradient in each part, as ``Coefficients``."""

    @abstractmethod
    def curvature(self):
        """Return the second derivative in each part, broadcast to its shape."""

    @abstractmethod
    def free(self):
        """Return 1.0 where a part may move and 0.0 where it is held, broadcast to its shape."""

    @abstractmethod
    def take(self, tasks):
        """Return the penalty of some of the tasks, an index array."""

    def project(self, coefficients):
        """Return the coefficients with zeros in the parts that are held at zero."""
        parts = zip(self.free(), coefficients, strict=True)
        return Coefficients(*(free * part for free, part in parts))

    def settle(self, coefficients, present=None):
        """Return the same model with what the penalty leaves open settled."""
        return coefficients

    def residual(self, coefficients, gradient, units, split=None):
        """Return what the conditions of optimality leave, as ``Coefficients`` of gradients.

        That is the gradient where all is smooth; of the center, what is left of it when the tasks
        follow. ``units`` are the roots of the curvature of each part.
        """
        free = self.free()
        return gradient._replace(
            w=gradient.w - free.w * gradient.V.sum(axis=-2),
            c=gradient.c - free.c * gradient.q.sum(axis=-1),
        )

    @property
    @abstractmethod
    def terms(self):
        """What the penalty is a sum of, a list of ``Term`` for each part of the coefficients."""

    @abstractmethod
    def coefficients(self, W, intercept):
        """Return ``Coefficients`` of W (..., T, d) and levels (..., T)."""
