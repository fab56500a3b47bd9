"""Base class of the penalties that users choose."""

from __future__ import annotations

from abc import ABC, abstractmethod
from numbers import Real
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator

from skmtl._doc_link import DocLinkMixin
from skmtl._typing import Array, Derivative

_MAX_ITER, _ACCURACY = 5_000, 1e-15  # of the prox of a sum
_DUAL_STEPS = 200  # of Dinkelbach's iteration; about ten suffice


class Shrinkage(NamedTuple):
    """Norms that coordinate descent supports, with a ridge.

    ``threshold`` (d,), in [0, inf], multiplies the norm of each feature if ``joint``, else the
    absolute values of its entries; ``ridge`` is finite.
    """

    threshold: Any
    ridge: float
    joint: bool

    def excess(self, G):
        """Return by how much a gradient G (T, d) exceeds each threshold, (d,), relative to it.

        0 where it does not: there a feature that is zero is optimal.
        """
        size = np.linalg.norm(G, axis=0) if self.joint else np.abs(G).max(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(size > self.threshold, size / self.threshold, 0.0)

    def times(self, alpha):
        """Return the same times a number, or None where the ridge is infinite."""
        ridge = times(alpha, self.ridge)
        if not np.isfinite(ridge):
            return None
        return Shrinkage(weighted(alpha, self.threshold), float(ridge), self.joint)


class TaskPenalty(DocLinkMixin, BaseEstimator, ABC):
    """A convex function of the coefficients of all tasks, a matrix W of shape (T, d).

    Penalties are estimators for ``clone``, ``repr`` and ``GridSearchCV`` (``penalty__alpha``), and
    add up: ``L1(0.1) + TraceNorm(1.0)`` penalizes the same W by both.

    Parameters
    ----------
    alpha : float, default=1.0
        Regularization strength, in [0, inf].

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
    is_ridge : bool
        Whether it is ``alpha/2 ||W||^2``, which a sum merges into its other terms.
    coercive : bool
        Whether it keeps all coefficients finite; for penalties that are no norms.
    """

    prox_scaling = "matrix"
    class_axis: str | None = "features"
    null_set: Literal["zero", "pooled"] | None = None
    accuracy = 1e-15
    is_norm = True
    is_ridge = False
    coercive = False

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

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

    def _prox_from(self, state, Z, step):
        """Return the prox, and a state from which the prox at a point near to Z starts."""
        return self.prox(Z, step), None

    def _derivative_at(self, W, Z, step):
        """Return ``prox_derivative(Z, step)``, given that ``prox(Z, step)`` is W."""
        return self.prox_derivative(Z, step)

    def _shrinkage(self, n_features) -> Shrinkage | None:
        """Return the `Shrinkage` to which the bound penalty is equal, or None."""
        return None

    def _distance_weight(self) -> float | None:
        """Return the alpha of ``alpha min_w sum_t ||W_t - w||`` if the penalty is that, or None."""
        return None

    def bind(self, tasks: Any) -> Self:
        """Return the penalty for tasks with these labels, checked.

        Parameters
        ----------
        tasks : ndarray of shape (T,)
            Labels in the order of ``tasks_``.

        Returns
        -------
        TaskPenalty
            Itself, or a copy that stores what it needs of the labels.
        """
        for name in self._penalty_weights:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Real) or not float(value) >= 0:
                raise ValueError(
                    f"{name} of {type(self).__name__} must be a number in [0, inf], got {value!r}."
                )
        return self

    def _of_features(self, n_features, names):
        """Return the penalty bound to features with these names, a list or None."""
        return self

    def _with_features(self, features):
        """Return the bound penalty for some of the features, an index array."""
        return self

    _penalty_weights: tuple[str, ...] = ("alpha",)

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
            The number a, in [0, inf].

        References
        ----------
        W. Dinkelbach (1967). On nonlinear fractional programming. Management Science 13.
        https://doi.org/10.1287/mnsc.13.7.492
        """
        size = float(np.linalg.norm(G))
        if not self.value(G - self.prox(G, np.inf)):
            return 0.0 if not size else np.inf
        G, level, state = G / (size or 1.0), 0.0, None
        for _ in range(_DUAL_STEPS):
            W, state = self._prox_from(state, G, level)
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
        if not isinstance(other, TaskPenalty):
            return NotImplemented
        return Sum(self, other)


class _Composite(TaskPenalty):
    """Two penalties, either of which may itself be composite of the same kind."""

    def __init__(self, first: TaskPenalty, second: TaskPenalty) -> None:
        self.first = first
        self.second = second

    def bind(self, tasks: Any) -> Self:
        """Return the penalty for tasks with these labels, checked."""
        for name in ("first", "second"):
            part = getattr(self, name)
            if not self._admits(part):
                raise TypeError(
                    f"{name} of {type(self).__name__} must be a penalty on W, such as L21(1.0), "
                    f"got {part!r}."
                )
        return type(self)(self.first.bind(tasks), self.second.bind(tasks))

    def take(self, tasks: Any) -> Self:
        """Return the bound penalty for some of the tasks, an index array."""
        return type(self)(self.first.take(tasks), self.second.take(tasks))

    def _of_features(self, n_features, names):
        parts = self.first, self.second
        return type(self)(*[part._of_features(n_features, names) for part in parts])

    def _with_features(self, features):
        return type(self)(*[part._with_features(features) for part in (self.first, self.second)])

    def _admits(self, part):
        return isinstance(part, TaskPenalty)


class Sum(_Composite):
    """``first + second``: the same W, penalized by both.

    This is the result of ``+`` on two penalties; in a sum of three, ``first`` is a sum. A fit keeps
    a copy of W for each term, exactly sparse, fused or of low rank, and all equal up to ``tol``:
    ``coef_`` is that of the first, and ``structure_`` has the structure of each.

    Parameters
    ----------
    first, second : TaskPenalty
        The terms; neither may be `Decomposed`.

    References
    ----------
    N. Parikh and S. Boyd (2014). Proximal algorithms. Foundations and Trends in Optimization 1
    (consensus, for the prox). https://doi.org/10.1561/2400000003

    Examples
    --------
    >>> from skmtl.penalties import L1, TraceNorm
    >>> L1(0.1) + TraceNorm(2.0)
    Sum(first=L1(alpha=0.1), second=TraceNorm(alpha=2.0))
    """

    @property
    def null_set(self) -> Literal["zero", "pooled"] | None:  # type: ignore[override]
        """Null set of the sum: the intersection of both."""
        kinds = {self.first.null_set, self.second.null_set}
        return "zero" if "zero" in kinds else "pooled" if "pooled" in kinds else None

    @property
    def class_axis(self) -> str | None:  # type: ignore[override]
        """Axis along which classes are stacked; None where the terms differ."""
        return self.first.class_axis if self.first.class_axis == self.second.class_axis else None

    def value(self, W: Array) -> float:
        """Return the penalty at W (T, d), a float."""
        return self.first.value(W) + self.second.value(W)

    def prox(self, Z: Array, step: float | Array = 1.0) -> Array:
        """Return the W that minimizes ``1/2 ||W - Z||^2 + step value(W)``."""
        terms, size = with_ridges_inside(members(self, Sum)), np.abs(Z).max()
        if len(terms) == 1:
            return terms[0].prox(Z, step)
        copies, U = np.array([Z] * len(terms)), np.zeros((len(terms), *Z.shape))
        states = [None] * len(terms)
        for _ in range(_MAX_ITER):
            W, last = (Z + (copies - U).sum(axis=0)) / (1 + len(terms)), copies
            found = [t._prox_from(s, W + u, step) for t, s, u in zip(terms, states, U, strict=True)]
            copies, states = np.array([c for c, _ in found]), [state for _, state in found]
            U = U + W - copies
            if max(np.abs(copies - W).max(), np.abs(copies - last).max()) <= _ACCURACY * size:
                break
        return copies[0]

    def _admits(self, part):
        return super()._admits(part) and not isinstance(part, Decomposed)


class Decomposed(_Composite):
    """``first(P) + second(Q)`` of coefficients W = P + Q.

    ``Decomposed(L21(1.0), L1(0.5))`` is the dirty model (features shared by all, and own ones),
    ``Decomposed(TraceNorm(1.0), TaskL2(1.0))`` robust multi-task learning (a common subspace, and
    outlier tasks), ``Decomposed(L21(1.0), TaskL2(1.0))`` robust multi-task feature learning. A
    part may be a sum, or decomposed further. After a fit, ``parts_`` of the estimator are P and Q,
    and ``structure_`` is a list with the structure of each.

    Parameters
    ----------
    first, second : TaskPenalty
        Penalties of P and of Q.

    References
    ----------
    A. Jalali, P. Ravikumar, S. Sanghavi, C. Ruan (2010). A dirty model for multi-task learning.
    NIPS 23.

    P. Gong, J. Ye, C. Zhang (2012). Robust multi-task feature learning. KDD.
    https://doi.org/10.1145/2339530.2339672
    """

    def value(self, parts: Array) -> float:
        """Return the penalty at parts (n_parts, T, d), a float."""
        return sum(p.value(P) for p, P in zip(members(self, Decomposed), parts, strict=True))

    def prox(self, parts: Array, step: float | Array = 1.0) -> Array:
        """Return the prox of each part, (n_parts, T, d)."""
        own = zip(members(self, Decomposed), parts, strict=True)
        return np.array([p.prox(Z, step) for p, Z in own])

    def __add__(self, other):
        raise TypeError(
            "A decomposed penalty has no sum: it penalizes parts, not W. Add the other penalty to "
            "one of its parts, Decomposed(L21(1.0) + Ridge(0.1), L1(0.5))."
        )


def members(penalty, kind):
    """Return the members of a composite of this kind, a flat list."""
    if not isinstance(penalty, kind):
        return [penalty]
    return members(penalty.first, kind) + members(penalty.second, kind)


class Ridged:
    """``term(W) + alpha/2 ||W||^2`` as one term, which saves a solver a copy of W.

    With ``c = 1 / (1 + alpha step)``, ``prox(Z, step) = term.prox(c Z, c step)``. The attribute
    ``prox_scaling``, as all others, is that of the term.

    Parameters
    ----------
    term : TaskPenalty
    alpha : float, in [0, inf]
    """

    def __init__(self, term, alpha):
        self._term, self._alpha = term, alpha

    def __getattr__(self, name):
        if name.startswith("_"):  # ``copy`` looks names up before ``_term`` is set
            raise AttributeError(name)
        return getattr(self._term, name)

    def _shrinkage(self, n_features):
        inner = self._term._shrinkage(n_features)
        return inner and inner._replace(ridge=inner.ridge + self._alpha)

    def _distance_weight(self):
        return None

    def value(self, W):
        """Return the penalty at W (T, d), a float."""
        alpha = self._alpha if np.isfinite(self._alpha) else 0.0  # as ``weight``
        return self._term.value(W) + 0.5 * alpha * float(np.vdot(W, W))

    def prox(self, Z, step=1.0):
        """Return the W that minimizes ``1/2 ||W - Z||^2 + step value(W)``."""
        return self._prox_from(None, Z, step)[0]

    def _prox_from(self, state, Z, step):
        share, left = self._shared(step)
        return self._term._prox_from(state, share * Z, left)

    def prox_derivative(self, Z, step=1.0):
        """Return the product with a derivative of ``prox`` and its blocks, or None."""
        return self._derivative_at(self.prox(Z, step), Z, step)

    def _derivative_at(self, W, Z, step):
        share, left = self._shared(step)
        inner = self._term._derivative_at(W, share * Z, left)
        if inner is None:
            return None
        product, blocks = inner
        columns = share if blocks.ndim == 2 else np.atleast_2d(share)[:, None, :]
        return lambda D: product(share * D), blocks * columns

    def _shared(self, step):
        """Return c, and the step ``c step`` of the term."""
        damping = times(self._alpha, step)
        share = 1.0 / (1.0 + damping)
        # limit of ``c step``; an infinite ridge gives W = 0, whatever the step of the term
        last = 1.0 / self._alpha if np.isfinite(self._alpha) else 1.0
        with np.errstate(invalid="ignore"):
            return share, np.where(np.isinf(damping), last, share * step)


def with_ridges_inside(terms):
    """Return the terms of a sum with all ridges merged into the first other term."""
    others = [term for term in terms if not term.is_ridge]
    ridges = [term for term in terms if term.is_ridge]
    alpha = sum(ridge.alpha for ridge in ridges)
    if not others:
        return [type(ridges[0])(alpha)]
    return [Ridged(others[0], alpha), *others[1:]] if alpha > 0 else others


def weighted(alpha, factor):
    """Return ``alpha factor``, both in [0, inf]: 0 where the factor is 0, else inf where it is."""
    with np.errstate(invalid="ignore"):
        product = alpha * factor
    return np.where(factor == 0, 0.0, np.where(np.isinf(factor), np.inf, product))


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
