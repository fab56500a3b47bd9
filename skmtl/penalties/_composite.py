"""Sums and decompositions of penalties."""

from typing import Any, Literal, Self

import numpy as np

from skmtl._typing import Array
from skmtl.penalties._ridged import with_ridges_inside
from skmtl.penalties._task_penalty import TaskPenalty

_MAX_ITER, _ACCURACY = 5_000, 1e-15  # of the prox of a sum


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
        copies, U = [Z] * len(terms), [np.zeros_like(Z)] * len(terms)
        for _ in range(_MAX_ITER):
            pull = sum(c - u for c, u in zip(copies, U, strict=True))
            W = (Z + pull) / (1 + len(terms))
            last, copies = copies, [t.prox(W + u, step) for t, u in zip(terms, U, strict=True)]
            U = [u + W - c for c, u in zip(copies, U, strict=True)]
            gap = max(np.abs(c - W).max() for c in copies)
            change = max(np.abs(c - o).max() for c, o in zip(copies, last, strict=True))
            if max(gap, change) <= _ACCURACY * size:
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
