"""Rows as the user passed them, for fits and scores of any estimator."""

from typing import Any, NamedTuple

import numpy as np

from skmtl.data import factorize, split_task_column, take_rows


class TaskRows(NamedTuple):
    """Rows with their tasks.

    ``codes`` (n,) are the indices of tasks in the long form, None in the wide form. ``y`` is (n,)
    or (n, T), ``weight`` (n,) or None; ``classes`` are those of all rows, or None.
    """

    X: Any
    y: np.ndarray
    weight: np.ndarray | None
    tasks: list
    codes: np.ndarray | None
    classes: np.ndarray | None = None

    @classmethod
    def read(cls, X, y, weight, task_column, names=None):
        """Return the rows; ``names`` are the tasks of the wide form, by default numbers."""
        if task_column is None:
            return cls(X, y, weight, list(range(y[0].size) if names is None else names), None)
        tasks, codes = factorize(split_task_column(X, task_column)[0], task_column)
        return cls(X, y, weight, tasks.tolist(), codes)

    def take(self, index):
        """Return X, y and weights at an index array."""
        weight = None if self.weight is None else self.weight[index]
        return take_rows(self.X, index), self.y[index], weight

    def present(self, index):
        """Return the part of an index array with positive weights."""
        return index if self.weight is None else index[self.weight[index] > 0]
