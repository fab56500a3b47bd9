"""Interface of a penalty, and the coefficients it acts on."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from skmtl._memory import strips

_ZERO = bytes(8)  # a float that cannot be written to


class Coefficients(NamedTuple):
    """Coefficients of T tasks as a center and the tasks' deviations from it.

    Task t predicts ``x . (w + V_t) + c + q_t`` at the centered features x. A strong coupling makes
    the deviations small; kept apart from the center they keep all their digits. A row has K
    predictions: one, or one per class.

    Attributes
    ----------
    V : ndarray of shape (K, T, d)
        Deviations of the coefficients.
    q : ndarray of shape (K, T)
        Deviations of the intercepts.
    w : ndarray of shape (K, d)
        Center of the coefficients.
    c : ndarray of shape (K,)
        Center of the intercepts.
    """

    V: np.ndarray
    q: np.ndarray
    w: np.ndarray
    c: np.ndarray

    @classmethod
    def zeros(cls, n_tasks, n_features, n_outputs=1):
        """Return the origin; V, the largest part, takes no memory and cannot be written to."""
        shapes = (n_tasks,), (n_features,), ()
        V = np.ndarray((n_outputs, n_tasks, n_features), buffer=_ZERO, strides=(0, 0, 0))
        return cls(V, *(np.zeros((n_outputs, *shape)) for shape in shapes))

    @classmethod
    def stack(cls, outputs):
        """Return the coefficients of K predictions, given those of each, as `of_output` has."""
        return cls(*map(np.array, zip(*outputs, strict=True)))

    def of_output(self, k):
        """Return the parts of prediction k: (T, d), (T,), (d,) and a float."""
        return Coefficients(*(part[k] for part in self))

    @property
    def W(self):
        """Coefficients of the tasks, (K, T, d)."""
        return self.of_tasks(slice(None))

    def of_tasks(self, tasks):
        """Return the coefficients of a slice of the tasks, (K, m, d)."""
        V = self.V[:, tasks]
        return self.w[:, None] + V if self.w.any() else V

    @property
    def intercept(self):
        """Centered intercepts of the tasks, (K, T): predictions at the mean of the features."""
        return self.c[:, None] + self.q

    def plus(self, step):
        """Return the sum, part by part."""
        return Coefficients(*(a + b for a, b in zip(self, step, strict=True)))

    def step_to(self, point):
        """Return the point minus these, part by part."""
        return Coefficients(*(b - a for a, b in zip(self, point, strict=True)))

    def times(self, factor):
        """Return the product with a number, part by part."""
        return Coefficients(*(factor * part for part in self))

    def toward(self, point, share):
        """Return the coefficients at a share of the way to a point; beyond it if more than 1."""
        step = self.step_to(point)
        for part, start in zip(step, self, strict=True):
            part *= share
            part += start
        return step

    def dot(self, other):
        """Return the inner product, a float."""
        return sum(float(np.vdot(a, b)) for a, b in zip(self, other, strict=True))


class Split(NamedTuple):
    """Coefficients W as a sum of parts, each penalized by a list of terms.

    ``parts`` is a list of arrays of the shape of W that sum to W. ``copies`` and ``duals`` have a
    list for every part, with an array for every term: the output of its prox (equal to the part but
    for rounding; exactly sparse, fused or of low rank), and a subgradient of the term there.
    """

    parts: list
    copies: list
    duals: list

    def with_parts(self, parts):
        """Return the split with other parts, and copies equal to these."""
        copies = [[P] * len(part) for P, part in zip(parts, self.copies, strict=True)]
        return self._replace(parts=parts, copies=copies)

    def between(self, parts, share):
        """Return the split at a share of the way from some parts to its own."""
        pairs = zip(parts, self.parts, strict=True)
        return self.with_parts([(1 - share) * a + share * b for a, b in pairs])

    def fits(self, terms):
        """Return whether there is a copy for each of these terms."""
        return list(map(len, self.copies)) == list(map(len, terms))


class Penalty(ABC):
    """A convex function of the ``Coefficients``, as a ``Problem`` requires it.

    Attributes
    ----------
    quadratic : bool
        Whether the gradient is linear.
    isotropic : bool
        Whether a quadratic penalty is the same in every orthonormal basis of the features.
    around_center : bool
        Whether it is a ridge on deviations of the tasks from one center.
    nesting : Nesting or None
        The groups of the tasks, whose deviations are in ``Coefficients`` behind those of the tasks.
    terms : list of list of Term
        Those of each part, of a penalty that solvers split; of others none.
    fixed_intercept : bool
        Whether the common intercept c is fixed.
    coercive : bool or ndarray of shape (T,)
        Whether the penalty alone keeps the coefficients of a task finite, for any data.
    """

    quadratic = False
    isotropic = True
    around_center = False
    nesting: Any = None
    terms: Any = ()
    fixed_intercept: bool
    coercive: bool | np.ndarray = True

    @abstractmethod
    def diagonal(self):
        """Return the second derivative in each part, inf where it is fixed.

        For V a number, (T, 1) or (T, d), for q a number or (T,), for w a number or, finite, (d,),
        for c a number.
        """

    def in_basis(self, basis):
        """Return the penalty in a ``Basis``, where in fixed coordinates it differs from others."""
        return self

    def of_features(self, n_features, names):
        """Return the penalty of d features with these names, a list or None."""
        return self

    @property
    def inner(self):
        """The coupling of the tasks to what they deviate from; see ``NestedCoupling.inner``."""
        return self

    def flatten(self, coefficients):
        """Return the same with deviations of the tasks from the center only."""
        return coefficients

    def of_nodes(self, G, R):
        """Return sums of arrays (K, T, d) and (K, T) over the tasks that a deviation is part of."""
        return G, R

    @abstractmethod
    def take(self, tasks):
        """Return the penalty for some of the tasks, an index array."""

    def value(self, coefficients, split=None):
        """Return the penalty, a float; ``split`` is the `Split` of a penalty with parts."""
        return 0.5 * self.product(coefficients, coefficients)

    def product(self, a, b):
        """Return the inner product of the gradient at ``a`` and ``b``, a float."""
        return self.gradient(a).dot(b)

    def gradient(self, coefficients):
        """Return the gradient of the smooth part, as ``Coefficients``."""
        parts = zip(self.curvature, coefficients, strict=True)
        return Coefficients(*(weight * part for weight, part in parts))

    @cached_property
    def curvature(self):
        """The ``diagonal``, 0 for inf: fixed parts are not penalized."""
        return Coefficients(*(np.where(np.isinf(w), 0.0, w) for w in self.diagonal()))

    @cached_property
    def free(self):
        """1.0 for free and 0.0 for fixed parts, broadcastable to their shapes."""
        free = Coefficients(*(np.isfinite(weight).astype(float) for weight in self.diagonal()))
        return free._replace(w=free.w.min())  # none or all

    def project(self, coefficients):
        """Return the coefficients with zeros in the fixed parts."""
        parts = zip(self.free, coefficients, strict=True)
        return Coefficients(*(free * part for free, part in parts))

    def norms(self):
        """Return the norms that it has, a list; raise ValueError where there are none."""
        raise ValueError("alpha_max requires one norm in the penalty, and this one is quadratic.")

    def canonicalize(self, coefficients, present=None):
        """Return the same model with parts that are not identified in canonical form."""
        return coefficients

    def residual(self, coefficients, gradient, curvature):
        """Return the residual of the optimality conditions, as ``Coefficients`` of gradients.

        For a smooth penalty this is the gradient; for the center, after elimination of the
        deviations: if their penalty is large, they follow the center. ``curvature`` is a function
        that returns the curvature of the objective in V and q, (T, d) and (T,), or of a slice of
        the tasks.
        """
        free, w, c = self.free, gradient.w, gradient.c
        if np.any(free.w):
            for part in strips(*gradient.V.shape[1:]):
                own, weight = gradient.V[:, part], self.curvature.V
                weight = weight[part] if weight.ndim else weight
                own = own * share_of_data(weight, curvature(part)[0])
                w = w - free.w * own.sum(axis=-2)
        if np.any(free.c):
            of_q = curvature(slice(0, None), slopes=False)[1]
            own = gradient.q * share_of_data(self.curvature.q, of_q)
            c = c - free.c * own.sum(axis=-1)
        return gradient._replace(w=w, c=c)

    def residuals(self, coefficients, gradient, curvature, split=None):
        """Return residuals as ``residual``, a list: coefficients are optimal if one of them is 0.

        ``split`` holds the copies and subgradients of a penalty with several terms or parts.
        """
        return [self.residual(coefficients, gradient, curvature)]


def share_of_data(penalty, curvature):
    """Return the share of a curvature, which includes that of the penalty, that the data have."""
    share = np.divide(penalty, curvature, out=np.zeros(np.shape(curvature)), where=curvature > 0)
    return 1.0 - share
