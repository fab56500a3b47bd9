"""Sums by task of results of partitions, each of which has some of the tasks."""

from typing import NamedTuple

import numpy as np

from skmtl.data import Moments


class TaskSums(NamedTuple):
    """Arrays with an entry for each of some tasks.

    ``tasks`` (m,) has the numbers of the tasks, ``arrays`` have the shape (m, ...).
    """

    tasks: np.ndarray
    arrays: tuple

    def of_all(self, n_tasks):
        """Return arrays (T, ...), zero for other tasks."""
        return [_placed(array, self.tasks, n_tasks) for array in self.arrays]


def add(parts):
    """Return the ``TaskSums`` of several, by task."""
    index = _union(parts)
    total = [np.zeros((len(index), *array.shape[1:])) for array in parts[0].arrays]
    for part in parts:
        place = np.searchsorted(index, part.tasks)
        for whole, array in zip(total, part.arrays, strict=True):
            whole[place] += array
    return TaskSums(index, tuple(total))


def merge(parts):
    """Return the ``TaskSums`` with the ``Moments`` of all rows, given those of parts."""
    if len(parts) == 1:
        return parts[0]
    index = _union(parts)
    first, *rest = parts
    if np.array_equal(first.tasks, index):
        total = Moments(*[array.copy() for array in first.arrays])
    else:
        total = Moments(*[np.zeros((len(index), *array.shape[1:])) for array in first.arrays])
        rest = parts
    for part in rest:
        total.add(np.searchsorted(index, part.tasks), part.arrays)
    return TaskSums(index, total)


def _union(parts):
    first = parts[0].tasks
    if all(np.array_equal(part.tasks, first) for part in parts) and (np.diff(first) > 0).all():
        return first
    return np.unique(np.concatenate([part.tasks for part in parts]))


def _placed(array, index, n_tasks):
    whole = np.zeros((n_tasks, *array.shape[1:]))
    whole[index] = array
    return whole
