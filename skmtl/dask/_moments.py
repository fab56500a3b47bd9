"""Moments of the tasks, summed over partitions."""

import dask
from dask.system import CPU_COUNT

from skmtl.dask._graph import client, constant, task, tree
from skmtl.dask._partitions import check_kinds, in_order, read_partition
from skmtl.data import TaskMoments, moments_of_rows


def moments_of_partitions(partitions, reader, names, order=None):
    """Return the ``TaskMoments`` of all rows; one pass.

    Each thread adds up the moments of neighboring partitions, one partition at a time: T (d + 1)^2
    numbers are many if every partition has rows of every task.

    Parameters
    ----------
    partitions : list of Delayed
        As of ``partitions_of``.
    reader : estimator
    names : list of str or None
        Columns of X.
    order : list, optional
        Labels in the order that tasks have, by default sorted.
    """
    reader, chains = constant("model", reader), []
    length = -(-len(partitions) // _threads())
    for first in range(0, len(partitions), length):
        total = []
        for number, part in enumerate(partitions[first : first + length], first):
            total = task("moments", _add_partition, total, number, reader, names, part)
        chains.append(total)
    (total,) = dask.compute(tree("sum", _joined, chains))
    if not total:
        raise ValueError("X has no rows of positive weight in any partition.")
    found = _sum(total)
    if order is None:
        return found
    place = in_order(found.tasks, order)
    parts = found.tasks, found.counts, found.weight, found.deviation, found.scatter
    tasks, counts, weight, deviation, scatter = (part[place] for part in parts)
    names = {"task_column": found.task_column, "feature_names": found.feature_names}
    return TaskMoments(tasks, counts, weight, found.origin, deviation, scatter, **names)


def _threads():
    """Return the number of threads of the scheduler."""
    found = client()
    if found is None:
        return dask.config.get("num_workers", None) or CPU_COUNT
    return max(1, sum(found.nthreads().values()))


def _add_partition(parts, number, *partition):
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
    parts = [*parts, moments_of_rows(reader, rows)]
    while len(parts) > 1 and len(parts[-2]) < 2 * len(parts[-1]):
        parts = [*parts[:-2], parts[-2] + parts[-1]]
    return parts


def _joined(chains):
    """Return the moments of several lists, a list of one or none."""
    parts = sorted((part for chain in chains for part in chain), key=len)
    return [_sum(parts)] if parts else []


def _sum(parts):
    return sum(parts[1:], parts[0])
