"""Read the rows of a fit, drop those of weight zero, and convert them to TaskData."""

from typing import NamedTuple

import numpy as np
from sklearn.base import is_classifier

from skmtl.data._arrays import check_observed, read_sample_weight, read_target, read_X
from skmtl.data._classes import encode_classes, read_class_labels, read_class_weights
from skmtl.data._labels import factorize
from skmtl.data._layout import weighted_mean
from skmtl.data._long import LongData
from skmtl.data._wide import WideData


class Rows(NamedTuple):
    """Input of fit: rows of positive weight, and their tasks.

    ``codes`` is None in the wide form, where ``y`` is (n, T); ``observed`` (n, T) is None if
    nothing is missing. ``weight`` is (n,), or (n, T) if row weights differ between the tasks of
    the wide form.
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    codes: np.ndarray | None
    observed: np.ndarray | None
    tasks: np.ndarray
    counts: np.ndarray  # rows of each task
    totals: np.ndarray  # their total weights
    classes: np.ndarray | None = None  # (K,), of a classifier
    class_weight: np.ndarray | None = None  # (K,), included in the weights
    has_class: np.ndarray | None = None  # (T, K), whether a task has rows of a class
    task_weight: np.ndarray | None = None  # (T,), not included in the weights

    @property
    def work(self):
        """Multiplications of the Gram matrices and, in the wide form, of X W'."""
        n, d = self.X.shape
        return n * d * (min(n, d) + (len(self.tasks) if self.codes is None else 0))

    def take(self, tasks):
        """Return the rows of these tasks, an index array."""
        if self.codes is None:
            raise ValueError(
                "task_weight is 0 for some tasks. In the wide form every column of y is "
                "predicted: drop these columns from y instead."
            )
        code = np.full(len(self.tasks), -1)
        code[tasks] = np.arange(len(tasks))
        kept = code[self.codes] >= 0
        return self._replace(
            X=self.X[kept],
            y=self.y[kept],
            weight=self.weight[kept],
            codes=code[self.codes[kept]],
            tasks=self.tasks[tasks],
            counts=self.counts[tasks],
            totals=self.totals[tasks],
        )

    def of_classes(self, classes, codes, class_weight):
        """Return the rows with the targets of the loss, given the class index of each label.

        Targets are -1 and 1 for two classes, and class indices for more.
        """
        y = 2.0 * codes - 1.0 if len(classes) == 2 else codes
        weight, totals, by_class = self.weight, self.totals, class_weight[codes]
        if self.codes is None:
            has_class = np.column_stack([(codes == k).any(axis=0) for k in range(len(classes))])
        else:
            has_class = np.zeros((len(self.tasks), len(classes)), dtype=bool)
            has_class[self.codes, codes] = True
        if (class_weight != 1).any():
            weight = (weight if self.codes is not None else weight[:, None]) * by_class
            totals = weight.sum(axis=0) if self.codes is None else np.bincount(self.codes, weight)
        return self._replace(
            y=y,
            weight=weight,
            totals=totals,
            classes=classes,
            class_weight=class_weight,
            has_class=has_class,
        )

    def task_data(self, task_weight, offset, center=None, class_mask=None):
        """Return TaskData with ``y - offset`` and ``X - center``, by default the weighted mean."""
        weight = self.weight
        if self.codes is not None and (task_weight != 1).any():
            weight = weight * task_weight[self.codes]
        if center is None:
            has_class = 1.0 if self.observed is None else self.observed @ task_weight
            over_tasks = weight @ task_weight if weight.ndim == 2 else weight * has_class
            center = weighted_mean(self.X, over_tasks)
        y = self.y - offset if offset else self.y
        if self.codes is not None:
            return LongData(self.X, y, weight, self.codes, len(self.tasks), center, class_mask)
        return WideData(self.X, y, weight, task_weight, self.observed, center, class_mask)


def read_rows(estimator, X, y, sample_weight, *, reset):
    """Read the arguments of ``fit``; drop rows of weight zero."""
    X, labels = read_X(estimator, X, reset=reset)
    read = read_class_labels if is_classifier(estimator) else read_target
    y = read(estimator, y, X, wide=labels is None)
    weight = read_sample_weight(sample_weight, X)
    if not weight.all():
        present = weight > 0
        X, y, weight = X[present], y[present], weight[present]
        labels = None if labels is None else labels[present]
    if y.ndim == 2:
        return _read_wide(X, y, weight)
    if labels is None:
        tasks, codes = np.zeros(1, dtype=np.intp), np.zeros(len(y), dtype=np.intp)
    else:
        tasks, codes = factorize(labels, estimator.task_column)
    counts = np.bincount(codes)
    return Rows(X, y, weight, codes, None, tasks, counts, np.bincount(codes, weight))


def _read_wide(X, y, weight):
    n, n_tasks = y.shape
    tasks = np.arange(n_tasks)
    if not np.isnan(y.sum()):
        counts, totals = np.full(n_tasks, n), np.full(n_tasks, weight.sum())
        return Rows(X, y, weight, None, None, tasks, counts, totals)
    observed = ~np.isnan(y)
    counts = observed.sum(axis=0)
    check_observed(counts)
    return Rows(X, y, weight, None, observed, tasks, counts, weight @ observed)


def encode_targets(rows, name, class_weight, classes=None, weights=None):
    """Return rows of a classifier with the targets that losses take.

    Parameters
    ----------
    rows : Rows
    name : str
        Class of the estimator, for messages.
    class_weight : None, "balanced" or dict
        As of the estimators.
    classes, weights : ndarray of shape (K,), optional
        Classes and class weights of an earlier fit, which replace those of the rows.
    """
    classes, codes = encode_classes(rows.y.ravel(), classes)
    if len(classes) < 2:
        raise ValueError(
            f"{name} needs samples of at least 2 classes in the data, but the data contain only "
            f"one class: {classes.tolist()[0]!r}."
        )
    codes = codes.reshape(rows.y.shape)
    if weights is None:
        weight = rows.weight if codes.ndim == 1 else rows.weight[:, None]
        totals = np.bincount(codes.ravel(), np.broadcast_to(weight, codes.shape).ravel())
        weights = read_class_weights(class_weight, classes, totals)
    return rows.of_classes(classes, codes, weights)
