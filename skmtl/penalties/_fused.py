"""Fused penalty of tasks in an order."""

from __future__ import annotations

import re
from typing import Any, Self

import numpy as np

from skmtl import _kernels
from skmtl._typing import Array, Derivative
from skmtl._warn import warn
from skmtl.penalties._task_penalty import TaskPenalty, ratio, times


def _by_number(label):
    """Return a sort key in which numbers inside of a string count as numbers."""
    return [int(part) if part.isdecimal() else part for part in re.split("([0-9]+)", label)]


class TemporalFused(TaskPenalty):
    """``alpha sum_tj |W_(t+1)j - W_tj|``: coefficients that change at few times.

    Tasks are in the order of ``tasks_``: ordered categories (pandas, polars Enum) keep their order,
    columns of y (wide form) theirs, and other labels are sorted. Structure: ``change_points``, the
    labels of the tasks whose coefficients differ from those of the task before.

    Parameters
    ----------
    alpha : float, default=1.0
        Regularization strength, in [0, inf].

    References
    ----------
    R. Tibshirani, M. Saunders, S. Rosset, J. Zhu, K. Knight (2005). Sparsity and smoothness via
    the fused lasso. JRSS B 67. https://doi.org/10.1111/j.1467-9868.2005.00490.x

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import TemporalFused
    >>> TemporalFused(alpha=1.0).prox(np.array([[0.0], [1.0], [9.0], [8.0]]))
    array([[1.],
           [1.],
           [8.],
           [8.]])
    """

    prox_scaling = "feature"
    null_set = "pooled"

    def bind(self, tasks: Any) -> Self:
        """Return the penalty for tasks with these labels, checked.

        Warns if labels are sorted as strings where the numbers in them have another order.
        """
        labels = tasks.tolist()
        if all(isinstance(label, str) for label in labels) and labels == sorted(labels):
            by_number = sorted(labels, key=_by_number)
            if by_number != labels:
                at = next(i for i, label in enumerate(labels) if by_number[i] != label)
                warn(
                    f"{type(self).__name__} takes the tasks in the order of strings: "
                    f"{labels[at]!r} is before {by_number[at]!r}. Pad numbers with zeros, or make "
                    "the task column ordered: a Categorical with ordered=True (pandas), an Enum "
                    "(polars)."
                )
        return super().bind(tasks)

    def value(self, W: Array) -> float:
        """Return the penalty at W (T, d), a float."""
        return self.weight * float(np.abs(np.diff(W, axis=0)).sum())

    def prox(self, Z: Array, step: float | Array = 1.0) -> Array:
        """Return the W that minimizes ``1/2 ||W - Z||^2 + step value(W)``."""
        threshold = np.broadcast_to(times(self.alpha, step), (1, Z.shape[1]))[0]
        W = np.empty_like(Z)
        _kernels.total_variation(Z, np.ascontiguousarray(threshold), W)
        return W

    def prox_derivative(self, Z: Array, step: float | Array = 1.0) -> Derivative:
        """Return the product with a derivative of ``prox``, and its diagonal."""
        return self._derivative_at(self.prox(Z, step), Z, step)

    def _derivative_at(self, W, Z, step):
        jump = np.vstack([np.ones((1, W.shape[1]), dtype=int), np.diff(W, axis=0) != 0])
        segment = (np.cumsum(jump.T.ravel()) - 1).reshape(W.T.shape).T
        share = 1.0 / np.bincount(segment.ravel())

        def product(D):
            return (np.bincount(segment.ravel(), D.ravel()) * share)[segment]

        return product, share[segment]

    def dual_norm(self, G: Array) -> float:
        """Return the largest absolute cumulative sum of a column of G, over alpha."""
        return ratio(np.abs(np.cumsum(G, axis=0)[:-1]).max(initial=0.0), self.alpha)

    def structure(self, W: Array, tasks: Any) -> dict[str, Any]:
        """Return the ``change_points``."""
        return {"change_points": tasks[1:][(np.diff(W, axis=0) != 0).any(axis=1)]}
