"""Read the rows of a fit, drop those of weight zero, and convert them to TaskData."""

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.base import ClassifierMixin
from sklearn.utils import check_consistent_length

from skmtl._warn import listed
from skmtl.data._arrays import check_in_memory, read_numbers, read_sample_weight, read_X_and_mean
from skmtl.data._classes import encode_targets, read_labels
from skmtl.data._labels import column_names, factorize, feature_names, is_missing, read_names
from skmtl.data._layout import weighted_mean
from skmtl.data._long import LongData
from skmtl.data._outcomes import Targets
from skmtl.data._sparse import SparseLongData, SparseWideData, sparse_mean
from skmtl.data._target_columns import check_columns
from skmtl.data._wide import WideData


class Rows(NamedTuple):
    """Input of fit: rows of positive weight, and their tasks.

    ``codes`` is None in the wide form, where ``y`` is (n, T); ``observed`` (n, T) is None if
    nothing is missing. ``weight`` is (n,), or (n, T) if row weights differ between the tasks of
    the wide form; it is zero there where nothing is observed.
    """

    X: Any  # ndarray or csr_array
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
    origin: np.ndarray | None = None  # (d + 1,), subtracted from the features and the target
    names: list | None = None  # of the features
    outcomes: Any = None  # ``Outcomes`` of tasks of different kinds
    known_mean: tuple = (None, None)  # some X, of equal weights, and its mean
    sums: np.ndarray | None = None  # (T,), of complete targets of the wide form

    @property
    def wide(self):
        """Whether y has a column for each task."""
        return self.codes is None

    @property
    def n_features(self):
        """Number of features d."""
        return self.X.shape[1]

    @property
    def work(self):
        """Multiplications of the Gram matrices and, in the wide form, of X W'."""
        n, d = self.X.shape
        return self.X.size * (min(n, d) + (len(self.tasks) if self.codes is None else 0))

    @property
    def mean_target(self):
        """Mean of the targets, a float, over those that are observed."""
        mean = self.y.mean() if self.sums is None else self.sums.sum() / self.y.size
        mean = float(np.nanmean(self.y) if np.isnan(mean) else mean)
        return mean if self.origin is None else mean + self.origin[-1]

    def take(self, tasks):
        """Return the rows of these tasks, an index array; in the wide form their columns."""
        own = {
            "tasks": self.tasks[tasks],
            "counts": self.counts[tasks],
            "totals": self.totals[tasks],
            "outcomes": None if self.outcomes is None else self.outcomes.take(tasks),
        }
        if self.codes is None:
            observed = None if self.observed is None else self.observed[:, tasks]
            observed = None if observed is None or observed.all() else observed
            weight = self.weight if self.weight.ndim == 1 else self.weight[:, tasks]
            return self._replace(y=self.y[:, tasks], weight=weight, observed=observed, **own)
        code = np.full(len(self.tasks), -1)
        code[tasks] = np.arange(len(tasks))
        codes = code[self.codes]
        kept = codes >= 0
        rows = {"X": self.X[kept], "y": self.y[kept], "weight": self.weight[kept]}
        return self._replace(codes=codes[kept], **rows, **own)

    def in_long_form(self):
        """Return the rows with those of each task apart."""
        if self.codes is not None:
            return self
        seen = np.ones(self.y.shape, dtype=bool) if self.observed is None else self.observed
        codes, row = np.nonzero(seen.T)
        weight = self.weight[row] if self.weight.ndim == 1 else self.weight[row, codes]
        own = {"X": self.X[row], "y": self.y[row, codes], "weight": weight}
        return self._replace(codes=codes, observed=None, **own)

    def encode_targets(self, name, class_weight, classes=None, weights=None):
        """Return the rows of a classifier with the targets and weights that losses take."""
        return encode_targets(self, name, class_weight, classes, weights)

    def center(self, task_weight):
        """Return the weighted mean of the features over all tasks, (d,)."""
        weight = self.weight
        if self.codes is not None and (task_weight != 1).any():
            weight = weight * task_weight[self.codes]
        elif self.codes is None and weight.ndim == 2:
            weight = weight @ task_weight
        elif self.observed is not None:
            weight = weight * (self.observed @ task_weight)
        X, mean = self.known_mean
        if X is self.X and (weight == weight[0]).all():
            return mean
        return (sparse_mean if issparse(self.X) else weighted_mean)(self.X, weight)

    def task_data(self, task_weight, offset, center=None, class_mask=None):
        """Return TaskData with ``y - offset`` and ``X - center``, by default the weighted mean."""
        weight, origin = self.weight, np.zeros(self.X.shape[1] + 1)
        if self.origin is not None:
            origin = self.origin
            offset, center = offset - origin[-1], None if center is None else center - origin[:-1]
        if self.codes is not None and (task_weight != 1).any():
            weight = weight * task_weight[self.codes]
        if center is None:
            center = self.center(task_weight)
        y = self.y - offset if offset else self.y
        if self.codes is not None:
            layout = SparseLongData if issparse(self.X) else LongData
            data = layout(self.X, y, weight, self.codes, len(self.tasks), center, class_mask)
            data.center = center + origin[:-1]
            return data
        layout = SparseWideData if issparse(self.X) else WideData
        return layout(self.X, y, weight, task_weight, self.observed, center, class_mask)


def read_rows(estimator, X, y, sample_weight, *, reset):
    """Read the arguments of ``fit``; drop rows of weight zero."""
    given = X
    X, labels, mean = read_X_and_mean(estimator, X, reset=reset)
    features = feature_names(given, estimator.task_column)
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target "
            "y is None."
        )
    check_in_memory(y, "y")
    losses, targets = getattr(estimator, "losses", None), None
    if losses is not None:
        targets = Targets(y, losses, wide=labels is None)
        y = targets.places
    rows = _read_rows(estimator, X, labels, y, sample_weight)
    rows = rows._replace(names=features, known_mean=(None if mean is None else X, mean))
    return rows if targets is None else targets.encoded(rows)


def _read_rows(estimator, X, labels, y, sample_weight):
    """Return the ``Rows`` of features, task labels or None, and targets."""
    read = read_labels if isinstance(estimator, ClassifierMixin) else read_numbers
    names = column_names(y)
    check_columns("sample_weight", column_names(sample_weight), "y has", names)
    if getattr(getattr(y, "dtype", None), "time_zone", None) is not None:  # polars
        y = np.array(y.to_list(), dtype=object)
    y = y if hasattr(y, "ndim") else np.asarray(y)
    if (labels is not None or y.ndim == 1) and not issparse(y):  # which is refused below
        _refuse_gaps(np.asarray(y), labels, estimator.task_column)
    y = read(estimator, y, wide=labels is None)
    check_consistent_length(X, y)
    weight = read_sample_weight(sample_weight, X, y)
    if not weight.all():
        present = weight > 0
        if weight.ndim == 2:  # targets of weight zero count as not observed
            y, present = np.where(present, y, np.nan), present.any(axis=1)
        X, y, weight = X[present], y[present], weight[present]
        labels = None if labels is None else labels[present]
    if y.ndim == 2:
        return _read_wide(X, y, weight, read_names(names, y.shape[1]))
    if labels is None:
        tasks, codes = read_names(names, 1), np.zeros(len(y), dtype=np.intp)
    else:
        tasks, codes = factorize(labels, estimator.task_column)
    if issparse(X) and (codes[1:] < codes[:-1]).any():  # here, the ungrouped copy is freed
        order = np.argsort(codes, kind="stable")
        X, y, weight, codes = X[order], y[order], weight[order], codes[order]
    counts = np.bincount(codes)
    totals = counts.astype(float) if sample_weight is None else np.bincount(codes, weight)
    return Rows(X, y, weight, codes, None, tasks, counts, totals)


def _refuse_gaps(y, labels, task_column):
    """Raise if targets of the long form, or of a single task, are missing, with their tasks."""
    if y.dtype == object:
        missing = np.array([is_missing(value) for value in y.ravel().tolist()], dtype=bool)
    elif y.dtype.kind == "f" and np.isnan(y.sum()):
        missing = np.isnan(y).ravel()
    else:
        return
    n, of_tasks = int(missing.sum()), ""
    if not n or (labels is not None and len(missing) != len(labels)):
        return
    if labels is not None:
        tasks = factorize(labels[missing], task_column)[0].tolist()
        of_tasks = f" of {'the tasks' if len(tasks) > 1 else 'task'} {listed(tasks)}"
    raise ValueError(
        f"Input y contains NaN or None: it is missing in {n} row{'s' * (n > 1)}{of_tasks}. Drop "
        "these rows, of X and y."
    )


def _read_wide(X, y, weight, tasks):
    n, n_tasks = y.shape
    sums = y.sum(axis=0)
    if not np.isnan(sums).any():
        counts, totals = np.full(n_tasks, n), np.broadcast_to(weight.sum(axis=0), n_tasks).copy()
        return Rows(X, y, weight, None, None, tasks, counts, totals, sums=sums)
    observed = ~np.isnan(y)
    counts = observed.sum(axis=0)
    if not counts.all():
        raise ValueError(
            "y has no observed label (of positive weight) in column "
            f"{listed(tasks[counts == 0].tolist())}: these tasks cannot be fitted. Drop "
            "the columns."
        )
    if weight.ndim == 2:
        weight = weight * observed
        return Rows(X, y, weight, None, observed, tasks, counts, weight.sum(axis=0))
    return Rows(X, y, weight, None, observed, tasks, counts, weight @ observed)
