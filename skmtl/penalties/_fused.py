"""Fused penalty of tasks in an order."""

from __future__ import annotations

import re
from typing import Any, Self

import numpy as np

from skmtl import _prox_kernels
from skmtl._typing import Array, Derivative
from skmtl._warn import warn
from skmtl.penalties._task_penalty import TaskPenalty, ratio, times

_NUMBER = r"((?<!\w)-\d+|\d+)"


class TemporalFused(TaskPenalty):
    """``alpha sum_tj |W_(t+1)j - W_tj|``: coefficients that change at few times.

    Tasks are in the order of ``tasks_``: numbers, dates and strings are sorted, categories that are
    ordered (an ordered pandas Categorical, a polars Enum) keep their order, and columns of a 2-D y
    keep theirs. A warning says where strings such as "2024-10" and "2024-2" are not in the order of
    the numbers in them. Structure: ``change_points``, the labels of the tasks whose coefficients
    differ from those of the task before.

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
        """Return the penalty for tasks with these labels, checked."""
        _warn_of_strings(tasks.tolist())
        return super().bind(tasks)

    def value(self, W: Array) -> float:
        """Return the penalty at W (T, d), a float."""
        return self.weight * float(np.abs(np.diff(W, axis=0)).sum())

    def prox(self, Z: Array, step: float | Array = 1.0) -> Array:
        """Return the W that minimizes ``1/2 ||W - Z||^2 + step value(W)``."""
        threshold = np.broadcast_to(times(self.alpha, step), (1, Z.shape[1]))[0]
        W = np.empty_like(Z)
        _prox_kernels.total_variation(Z, np.ascontiguousarray(threshold), W)
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


def _warn_of_strings(tasks):
    """Warn if labels are sorted as strings, and the numbers in them have another order."""
    if not all(isinstance(task, str) for task in tasks) or tasks != sorted(tasks):
        return
    keys = [
        [int(part) if i % 2 else part for i, part in enumerate(re.split(_NUMBER, task))]
        for task in tasks
    ]
    for first, second, key, following in zip(tasks, tasks[1:], keys, keys[1:], strict=False):
        if key > following:
            warn(
                f"TemporalFused takes the tasks in the order of strings, {first!r} before "
                f"{second!r}. If they are in the order of their numbers, use numbers or dates as "
                "labels, numbers of equal length ('02'), or an ordered Categorical (a polars "
                "Enum); reorder the columns of a 2-D y."
            )
            return
