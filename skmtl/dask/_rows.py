"""Rows of a classifier that stay in their partitions."""

from functools import reduce
from typing import NamedTuple

import numpy as np

from skmtl.dask._data import PartitionedData, Piece
from skmtl.dask._graph import (
    by_worker,
    computed,
    constant,
    kept,
    release_unused,
    task,
    threads,
)
from skmtl.dask._partitions import check_kinds, in_order, read_partition
from skmtl.data import (
    LongData,
    check_classes,
    encode_tasks,
    merge_tasks,
    read_class_weights,
    weighted_mean,
    without_task_column,
)

_JOINED = 2**24  # numbers of partitions that are joined: few of these fill the memory of a worker


class Summary(NamedTuple):
    """What a fit has to know in advance of the rows of a partition.

    ``counts`` (T,) are rows of its tasks, ``weights`` (T, K) the weights of its tasks and classes,
    ``mean`` (d,) is the weighted mean of the features.
    """

    tasks: np.ndarray
    classes: np.ndarray
    counts: np.ndarray
    weights: np.ndarray
    mean: np.ndarray


class PartitionedRows(NamedTuple):
    """Rows of the long form with the interface of ``Rows``; X, y and weights stay in partitions.

    Attributes
    ----------
    parts : list of Delayed
        Joined partitions: ``LongData`` of their own tasks. Targets are indices of ``labels``,
        weights are sample weights.
    places : list of ndarray
        For each part the numbers of its tasks, -1 for those that were left out.
    part_counts : list of ndarray
        For each part the numbers of rows of its tasks.
    center : ndarray of shape (d,)
        What is subtracted from the features of the parts.
    labels : ndarray of shape (L,)
        Classes in the parts.
    by_label : ndarray of shape (T, L)
        Sample weight of the rows of each task and label.
    tasks, counts, totals, classes, class_weight, has_class, task_weight, names, outcomes
        As of ``Rows``.
    """

    parts: list
    places: list
    part_counts: list
    center: np.ndarray
    labels: np.ndarray
    by_label: np.ndarray
    tasks: np.ndarray
    counts: np.ndarray
    totals: np.ndarray
    classes: np.ndarray | None = None
    class_weight: np.ndarray | None = None
    has_class: np.ndarray | None = None
    task_weight: np.ndarray | None = None
    names: list | None = None
    outcomes: None = None

    @property
    def wide(self):
        """Whether y has a column for each task: never."""
        return False

    @property
    def n_features(self):
        """Number of features d."""
        return len(self.center)

    @property
    def work(self):
        """Multiplications in this process: those that factor the blocks of the tasks."""
        return len(self.tasks) * self.n_features**3

    def take(self, tasks):
        """Return the rows of these tasks, an index array."""
        number = np.full(len(self.tasks) + 1, -1)  # the last for tasks that were left out before
        number[tasks] = np.arange(len(tasks))
        return self._replace(
            places=[number[place] for place in self.places],
            by_label=self.by_label[tasks],
            tasks=self.tasks[tasks],
            counts=self.counts[tasks],
            totals=self.totals[tasks],
        )

    def encode_targets(self, name, class_weight, classes=None, weights=None):
        """Return the rows with weights of classes; targets are encoded by ``task_data``."""
        seen = (self.by_label > 0).any(axis=0)
        by_class = self.by_label[:, seen]
        classes = check_classes(self.labels[seen], name)
        weights = read_class_weights(class_weight, classes, by_class.sum(axis=0))
        return self._replace(
            totals=by_class @ weights,
            classes=classes,
            class_weight=weights,
            has_class=by_class > 0,
        )

    def task_data(self, task_weight, offset, center=None, class_mask=None):
        """Return ``PartitionedData`` with ``X - center``, by default the weighted mean."""
        codes = np.searchsorted(self.classes, self.labels)
        weights = constant("weights", (codes, self.class_weight, task_weight, class_mask))
        parts, places, sizes = self._present()
        found = zip(parts, places, strict=True)
        pieces = kept([task("weights", _weighted, *own, weights) for own in found])
        if center is None:
            center = self.center
            weighted = (task_weight != 1).any() or (self.class_weight != 1).any()
            if weighted or parts is not self.parts:
                means = [task("mean", _mean, *own) for own in zip(parts, pieces, strict=True)]
                center = center + _overall(computed(*means))
        if (shift := center - self.center).any():
            parts = kept([task("center", _shifted, part, shift) for part in parts])
        return PartitionedData(parts, pieces, places, sizes, self.counts, center, class_mask)

    def _present(self):
        """Return the parts with tasks that were not left out, their places and numbers of rows."""
        if all((place >= 0).all() for place in self.places):
            return self.parts, self.places, [int(counts.sum()) for counts in self.part_counts]
        parts, places, sizes = [], [], []
        for part, place, counts in zip(self.parts, self.places, self.part_counts, strict=True):
            own = place >= 0
            if own.any():
                parts.append(task("tasks", _of_tasks, part, own))
                places.append(place[own])
                sizes.append(int(counts[own].sum()))
        return kept(parts), places, sizes


def read_rows_of(partitions, reader, names, order=None):
    """Return the ``PartitionedRows`` of a classifier; one pass.

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
    read = kept(
        [
            task("read", _read, number, shared, names, partition)
            for number, partition in enumerate(partitions)
        ]
    )
    found = computed(*[task("summary", _summary, part) for part in read])
    numbers = [number for number, summary in enumerate(found) if summary is not None]
    if not numbers:
        raise ValueError("X has no rows of positive weight in any partition.")
    found, column = [found[number] for number in numbers], reader.task_column
    for number, summary in zip(numbers[1:], found[1:], strict=True):
        check_kinds(number, summary.tasks, found[0].tasks, f"the task column {column!r}")
        check_kinds(number, summary.classes, found[0].classes, "y")
        if summary.mean.shape != found[0].mean.shape:
            raise ValueError(
                f"Partition {number}: X has {len(summary.mean)} features here, and "
                f"{len(found[0].mean)} in partition {numbers[0]}."
            )
    tasks = reduce(lambda a, b: merge_tasks(a, b, column)[0], [s.tasks for s in found])
    tasks = tasks if order is None else tasks[in_order(tasks, order)]
    labels = np.unique(np.concatenate([summary.classes for summary in found]))
    places = [encode_tasks(summary.tasks, tasks, column) for summary in found]
    counts, by_label = np.zeros(len(tasks), dtype=np.intp), np.zeros((len(tasks), len(labels)))
    for summary, place in zip(found, places, strict=True):
        counts[place] += summary.counts
        by_label[np.ix_(place, np.searchsorted(labels, summary.classes))] += summary.weights
    center = np.zeros(len(found[0].mean))
    if reader.fit_intercept:
        center = _overall([(summary.mean, summary.weights.sum()) for summary in found])
    parts, places, part_counts = _joined(
        [read[number] for number in numbers], places, [s.counts for s in found], center, labels
    )
    return PartitionedRows(
        kept(parts),
        places,
        part_counts,
        center,
        labels,
        by_label,
        tasks,
        counts,
        by_label.sum(axis=1),
        names=without_task_column(names, column),
    )


def _joined(read, places, counts, center, labels):
    """Join the partitions of a worker, whose sums over tasks in common would be added.

    Returns parts of ``LongData``, their tasks, and the numbers of rows of these.
    """
    rows = np.array([own.sum() for own in counts])
    size = min(_JOINED // max(1, len(center)), -(-rows.sum() // threads()))
    found = []
    for worker in by_worker(read):
        n_parts = min(len(worker), -(-rows[worker].sum() // size))
        for bunch in np.array_split(worker, n_parts):
            own = [places[k] for k in bunch]
            part = task("center", _centered, [read[k] for k in bunch], own, center, labels)
            tasks, place = np.unique(np.concatenate(own), return_inverse=True)
            weights = np.concatenate([counts[k] for k in bunch])
            found.append((part, tasks, np.bincount(place, weights).astype(np.intp)))
    return zip(*found, strict=True)


def _read(*partition):
    found = read_partition(*partition)
    return None if found is None else found[0]


def _summary(rows):
    """Return the ``Summary`` of the ``Rows`` of a partition, None if there are none."""
    if rows is None:
        return None
    classes, codes = np.unique(rows.y, return_inverse=True)
    shape = len(rows.tasks), len(classes)
    weights = np.bincount(rows.codes * shape[1] + codes, rows.weight, shape[0] * shape[1])
    mean = weighted_mean(rows.X, rows.weight)
    return Summary(rows.tasks, classes, rows.counts, weights.reshape(shape), mean)


def _centered(parts, places, center, labels):
    """Return the rows of some partitions as ``LongData``, given the numbers of their tasks."""
    release_unused()
    index = np.unique(np.concatenate(places))
    codes = [
        np.searchsorted(index, own)[part.codes] for own, part in zip(places, parts, strict=True)
    ]
    X, y, weight = ([getattr(part, name) for part in parts] for name in ("X", "y", "weight"))
    y, weight, codes = (np.concatenate(own) for own in (y, weight, codes))
    return LongData(X, np.searchsorted(labels, y), weight, codes, len(index), center)


def _of_tasks(part, own):
    """Return the rows of some tasks, a mask."""
    rows = own[part.codes]
    codes, nothing = (np.cumsum(own) - 1)[part.codes[rows]], np.zeros(part.n_features)
    return LongData(part.X[rows], part.y[rows], part.weight[rows], codes, int(own.sum()), nothing)


def _weighted(part, place, weights):
    """Return the ``Piece`` of a part in a fit."""
    codes, class_weight, task_weight, class_mask = weights
    y = codes[part.y]
    weight = part.weight * class_weight[y] * task_weight[place][part.codes]
    target = 2.0 * y - 1.0 if len(class_weight) == 2 else y
    return Piece(place, target, weight, None if class_mask is None else class_mask[:, place])


def _mean(part, piece):
    """Return the weighted mean of the features, and the weight."""
    return weighted_mean(part.X, piece.weight), piece.weight.sum()


def _overall(found):
    """Return the mean (d,) of several means and their weights."""
    means, weights = zip(*found, strict=True)
    return means[0] + np.average(np.array(means) - means[0], axis=0, weights=weights)


def _shifted(part, shift):
    """Return a part whose features have ``shift`` subtracted."""
    return LongData(part.X, part.y, part.weight, part.codes, part.n_tasks, shift)
