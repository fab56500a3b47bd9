"""Moments of the tasks, summed over partitions."""

from functools import reduce

import dask
import numpy as np

from skmtl.dask._graph import (
    computed,
    constant,
    inlined,
    release_unused,
    task,
    threads,
    tree,
)
from skmtl.dask._partitions import check_kinds, in_order, read_partition
from skmtl.data import (
    encode_tasks,
    join_moments,
    merge_tasks,
    moments_of_rows,
    moments_of_tasks,
    plus_rows,
)

_STRIP = 2**21  # numbers that are sent at a time


def moments_of_partitions(partitions, reader, names, order=None):
    """Return the ``TaskMoments`` of all rows; one pass.

    Each thread adds up the moments of neighboring partitions, one partition at a time: T (d + 1)^2
    numbers are many if every partition has rows of every task. The sums of the threads are added
    and sent by strips of the tasks.

    Parameters
    ----------
    partitions : list of Delayed
        As of ``partitions_of``.
    reader : estimator
    names : list of str or None
        Columns of X.
    order : list, optional
        As of ``category_order``; by default tasks are sorted.
    """
    shared = constant("model", reader)
    numbered = list(enumerate(partitions))
    length = -(-len(partitions) // threads())
    chains = [
        _chain(numbered[first : first + length], shared, names)
        for first in range(0, len(partitions), length)
    ]
    chains = dask.persist(*chains)
    found = [own for own in computed(*[task("tasks", _tasks, c) for c in chains]) if own]
    if not found:
        raise ValueError("X has no rows of positive weight in any partition.")
    column, size = reader.task_column, found[0][1]
    tasks = reduce(lambda a, b: merge_tasks(a, b, column)[0], [own for own, _ in found])
    step, strips = max(1, _STRIP // size), []
    for first in range(0, len(tasks), step):
        own = constant("strip", tasks[first : first + step])
        strips.append(tree("sum", _sum, [task("strip", _strip, c, own, column) for c in chains]))
    total = join_moments(computed(*strips))
    if order is not None:
        tasks = tasks[in_order(tasks, order)]
    places = encode_tasks(tasks, total.tasks, column)
    same = np.array_equal(places, np.arange(len(tasks)))
    return total if same else moments_of_tasks(total, places)


def _chain(partitions, reader, names):
    """Return the ``Delayed`` list of the ``TaskMoments`` of neighboring partitions."""
    reads = [inlined(part) for _, part in partitions]
    total = []
    if all(reads):  # one task, which adds to its own sums in place
        numbered = [(number, read) for (number, _), read in zip(partitions, reads, strict=True)]
        return task("moments", _read_and_add, constant("partitions", numbered), reader, names)
    for number, part in partitions:
        total = task("moments", _add_partition, total, number, reader, names, part)
    return total


def _read_and_add(partitions, reader, names):
    """Return the moments of partitions that are read here, one after another."""
    parts = []
    for number, read in partitions:
        parts = _add_partition(parts, number, reader, names, read(), in_place=True)
        release_unused()
    return parts


def _add_partition(parts, number, *partition, in_place=False):
    """Return moments with those of the rows of a partition; both are lists of ``TaskMoments``.

    Parts are summed when they are of similar size, so that each is copied a few times only where
    partitions have different tasks.
    """
    read = read_partition(number, *partition)
    if read is None:
        return parts
    rows, reader = read
    if parts:
        check_kinds(number, rows.tasks, parts[0].tasks, f"the task column {reader.task_column!r}")
    if parts and not rows.wide and len(parts[-1]) < 2 * len(rows.tasks):
        parts = [*parts[:-1], plus_rows(parts[-1], rows, in_place=in_place)]
    else:
        parts = [*parts, moments_of_rows(reader, rows)]
    while len(parts) > 1 and len(parts[-2]) < 2 * len(parts[-1]):
        parts = [*parts[:-2], parts[-2] + parts[-1]]
    return parts


def _tasks(parts):
    """Return the tasks of some moments and the numbers for each task, None if there are none."""
    if not parts:
        return None
    column = parts[0].task_column
    tasks = reduce(lambda a, b: merge_tasks(a, b, column)[0], [part.tasks for part in parts])
    return tasks, parts[0].scatter[0].size


def _strip(parts, tasks, column):
    """Return the moments of some tasks, None if there are none."""
    found = []
    for part in parts:
        places = encode_tasks(tasks, part.tasks, column)
        if (places >= 0).any():
            found.append(moments_of_tasks(part, places[places >= 0]))
    return _sum(found)


def _sum(parts):
    parts = [part for part in parts if part is not None]
    return sum(parts[1:], parts[0]) if parts else None
