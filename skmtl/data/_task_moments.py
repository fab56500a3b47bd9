"""Second-order moments of the rows of each task: all that a squared loss depends on."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, RegressorMixin

from skmtl import _kernels
from skmtl._memory import strips
from skmtl._threads import in_chunks
from skmtl._typing import Array, TaskColumn
from skmtl.data._known_tasks import encode_tasks, merge_tasks, warn_of_other_types
from skmtl.data._labels import LabeledFeatures, Labels, same_task_columns, without_task_column
from skmtl.data._layout import Moments, read_only
from skmtl.data._long import LongData
from skmtl.data._queries import moments_of_frame
from skmtl.data._rows import Rows, read_rows

_STRIP = 2**19  # numbers of the moments that are added up at a time
_EPS = np.finfo(np.float64).eps
_FEWER = 2  # times as many rows that rows with their moments are worth it
_ROOM = 2**27  # most numbers in the moments of the rows that are replaced


class TaskMoments:
    """Weights, means and products of the features and the target of each task.

    They determine the fit of every regressor, since the loss is squared: ``fit_moments`` of their
    sum is ``fit`` of all rows. The size is T (d + 1)^2 numbers, whatever the number of rows. Make
    them by `from_data`, `from_batches` or `from_frame`, and add them up with ``+`` or ``sum``:
    tasks are joined by label.

    Parameters
    ----------
    tasks : ndarray of shape (T,)
        Labels.
    counts : ndarray of shape (T,)
        Numbers of rows.
    weight : ndarray of shape (T,)
        Sums of the sample weights.
    origin : ndarray of shape (d + 1,)
        Features and, last, target of a row, so that offsets cost no digits.
    deviation : ndarray of shape (T, d + 1)
        Weighted means of the features and the target, minus ``origin``.
    scatter : ndarray of shape (T, d + 1, d + 1)
        Weighted sums of their products about these means.
    task_column : str, int, list of these or None
        Column of the labels in X, or several.
    feature_names : list of str or None
        Columns of X, the task column included, if they have names.

    References
    ----------
    T. Chan, G. Golub, R. LeVeque (1983). Algorithms for computing the sample variance: analysis and
    recommendations. The American Statistician 37. https://doi.org/10.1080/00031305.1983.10483115

    Examples
    --------
    >>> from skmtl import MeanRegularizedRegressor, TaskMoments
    >>> from skmtl.datasets import load_radon
    >>> X, y = load_radon(return_X_y=True, as_frame=True)
    >>> north = TaskMoments.from_data(X[:500], y[:500], task_column="county")
    >>> south = TaskMoments.from_data(X[500:], y[500:], task_column="county")
    >>> north + south
    TaskMoments of 919 rows in 85 tasks, 2 features
    >>> model = MeanRegularizedRegressor(task_column="county").fit_moments(north + south)
    >>> bool(abs(model.coef_ - model.fit(X, y).coef_).max() < 1e-9)
    True
    """

    def __init__(
        self,
        tasks: Array,
        counts: Array,
        weight: Array,
        origin: Array,
        deviation: Array,
        scatter: Array,
        *,
        task_column: TaskColumn = None,
        feature_names: list[str] | None = None,
    ) -> None:
        self.tasks, self.counts, self.weight = tasks, counts, weight
        self.origin, self.deviation, self.scatter = origin, deviation, scatter
        self.task_column, self.feature_names = task_column, feature_names

    @classmethod
    def from_data(
        cls,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        task_column: TaskColumn = None,
    ) -> Self:
        """Compute the moments of rows in memory.

        Parameters
        ----------
        X : dataframe or array-like of shape (n, d + 1), or (n, d) in the wide form
            Features and, in the long form, the column of task labels.
        y : array-like of shape (n,) or, in the wide form, (n, T)
            Target; NaN in the wide form is not observed.
        sample_weight : array-like of shape (n,), or (n, T) in the wide form, default=None
            Weight of each row, or of each target.
        task_column : str, int, list of these or None, default=None
            Name or position of the column of task labels in X, or those of several from the
            outermost to the innermost; None in the wide form.

        Returns
        -------
        TaskMoments
        """
        reader = _Reader(task_column)
        return moments_of_rows(reader, read_rows(reader, X, y, sample_weight, reset=True))

    @classmethod
    def from_batches(
        cls, batches: Iterable[tuple[Any, ...]], *, task_column: TaskColumn = None
    ) -> TaskMoments:
        """Compute the moments of batches of rows, one in memory at a time.

        Parameters
        ----------
        batches : iterable of (X, y) or (X, y, sample_weight)
            As of `from_data`, all with the same columns. A batch may bring new tasks.
        task_column : str, int, list of these or None, default=None
            As of `from_data`.

        Returns
        -------
        TaskMoments
        """
        total: Any = 0
        for batch in batches:
            total = total + cls.from_data(*batch, task_column=task_column)
        if not isinstance(total, TaskMoments):
            raise ValueError("There is no batch: pass pairs (X, y) or triples with weights.")
        return total

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        y: str,
        task_column: str | list[str],
        sample_weight: str | None = None,
    ) -> TaskMoments:
        """Compute the moments by the engine of a table that need not be in memory.

        Two passes: the means of the tasks, then sums of products about these.

        Parameters
        ----------
        frame : lazy frame or dataframe
            What narwhals reads: a polars LazyFrame (polars 1.25 or later), a DuckDB relation, an
            Ibis table, ...
        y : str
            Name of the column of the target.
        task_column : str or list of str
            Name of the column of the task labels, or names of several from the outermost to the
            innermost. All columns but these are features.
        sample_weight : str, default=None
            Name of a column of weights.

        Returns
        -------
        TaskMoments
        """
        return cls(**moments_of_frame(frame, y, task_column, sample_weight))

    @property
    def n_features(self) -> int:
        """Number d of features, without the task column."""
        return len(self.origin) - 1

    @property
    def mean(self) -> Array:
        """Weighted means of the features and, last, of the target, (T, d + 1)."""
        return self.origin + self.deviation

    def __len__(self) -> int:
        """Return the number of tasks."""
        return len(self.tasks)

    def __repr__(self) -> str:
        return (
            f"TaskMoments of {self.counts.sum()} rows in {len(self)} tasks, {self.n_features} "
            "features"
        )

    def __add__(self, other: TaskMoments) -> TaskMoments:
        """Return the moments of the rows of both."""
        if not isinstance(other, TaskMoments):
            return NotImplemented
        for name in ("n_features", "task_column", "feature_names"):
            mine, theirs = getattr(self, name), getattr(other, name)
            same = mine == theirs
            if name == "task_column":
                same = same_task_columns(mine, theirs, self.feature_names)
            if not same:
                raise ValueError(
                    f"Moments of different columns cannot be added: {name} is {mine!r} and "
                    f"{theirs!r}. Pass the same columns, in the same order, to both."
                )
        warn_of_other_types(other.tasks, self.tasks)
        total, place = self._with_tasks(other.tasks)
        shift = other.origin - self.origin
        for part in strips(len(other), self.scatter[0].size, _STRIP):
            mean = other.deviation[part] + shift
            moments = Moments(other.scatter[part], mean, other.weight[part])
            total._absorb(place[part], other.counts[part], moments)
        return total

    def __radd__(self, other: Any) -> TaskMoments:
        """Return itself for ``sum``, which begins with 0."""
        return self if other == 0 else NotImplemented

    def _about(self, origin):
        """Return the same moments with another origin."""
        return self._with(origin=origin, deviation=self.deviation + (self.origin - origin))

    def _with(self, **parts):
        """Return the same with other attributes."""
        other = copy.copy(self)
        other.__dict__.update(parts)
        return other

    def _with_tasks(self, others):
        """Return a copy with other tasks too, whose moments are zero, and their places in it."""
        tasks, mine, theirs = merge_tasks(self.tasks, others, self.task_column)
        parts = self.counts, self.weight, self.deviation, self.scatter
        if np.array_equal(mine, np.arange(len(tasks))):
            found = [part.copy() for part in parts]
        else:
            found = [np.zeros((len(tasks), *part.shape[1:]), part.dtype) for part in parts]
            for whole, part in zip(found, parts, strict=True):
                whole[mine] = part
        counts, weight, deviation, scatter = found
        moments = {"deviation": deviation, "scatter": scatter}
        return self._with(tasks=tasks, counts=counts, weight=weight, **moments), theirs

    def _absorb(self, place, counts, moments):
        """Add the moments of other rows of the tasks at some places, in place."""
        Moments(self.scatter, self.deviation, self.weight).add(place, moments)
        self.counts[place] += counts


def moments_of_rows(estimator, rows):
    """Return the ``TaskMoments`` of ``Rows`` that were read for an estimator."""
    if issparse(rows.X):
        raise TypeError(
            f"X is sparse, and the moments of {rows.X.shape[1]} features are dense. Use fit or, if "
            "there are few features, pass X.toarray(); behind transformers, set sparse_output of "
            "a OneHotEncoder to False, sparse_threshold of a ColumnTransformer to 0."
        )
    if rows.codes is None:
        origin = np.append(rows.X[0], np.nanmean(rows.y))
        found = [_of_column(rows, t, origin) for t in range(len(rows.tasks))]
        weight, deviation, scatter = map(np.concatenate, zip(*found, strict=True))
    else:
        origin = np.append(rows.X[0], rows.y[0])
        data = _long_data(rows, origin)
        scatter, deviation, weight = data.moments(np.arange(len(rows.tasks)))
    names = getattr(estimator, "feature_names_in_", None)
    return TaskMoments(
        rows.tasks,
        rows.counts,
        weight,
        origin,
        deviation,
        scatter,
        task_column=estimator.task_column,
        feature_names=None if names is None else list(names),
    )


def plus_rows(moments, rows, *, in_place=False):
    """Return moments with those of ``Rows`` of the long form, which have the same columns.

    Only the result is of size T (d + 1)^2. With ``in_place`` it is the moments given, unless there
    are new tasks.
    """
    total, place = moments, encode_tasks(rows.tasks, moments.tasks, moments.task_column)
    if not in_place or (place < 0).any():
        warn_of_other_types(rows.tasks, moments.tasks)
        total, place = moments._with_tasks(rows.tasks)
    data = _long_data(rows, moments.origin)
    parts = strips(len(place), moments.scatter[0].size, _STRIP)
    room = np.empty((parts[0].stop, *moments.scatter[0].shape))
    for part in parts:
        own = np.arange(part.start, part.stop)
        total._absorb(place[part], rows.counts[part], data.moments(own, room[: len(own)]))
    return total


def replace_tasks(moments, others):
    """Return moments with the tasks of others, which replace those with the same labels."""
    total, place = moments._with_tasks(others.tasks)
    for sums in (total.counts, total.weight, total.deviation, total.scatter):
        sums[place] = 0
    return total + others


def moments_of_tasks(moments, places):
    """Return the ``TaskMoments`` of the tasks at some places, in this order."""
    return moments._with(
        tasks=moments.tasks[places],
        counts=moments.counts[places],
        weight=moments.weight[places],
        deviation=moments.deviation[places],
        scatter=moments.scatter[places],
    )


def join_moments(parts):
    """Return the ``TaskMoments`` of parts with different tasks, in the order of the parts."""
    parts = [part._about(parts[0].origin) for part in parts]
    names = "tasks", "counts", "weight", "deviation", "scatter"
    found = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return parts[0]._with(**found)


def rows_of_moments(moments, *, centered):
    """Return weighted ``Rows`` with these moments, as few as have them: d + 2 for each task.

    With ``centered``, X and y are those minus ``origin``, else from zero.
    """
    T, D = moments.deviation.shape
    each = moments.weight / (D + 1)
    factor = gram_roots(moments.scatter) / np.sqrt(each)[:, None, None]
    middle = moments.deviation if centered else moments.mean
    Z = np.matmul(_contrasts(D), factor.swapaxes(1, 2)) + middle[:, None]
    Z = Z.reshape(T * (D + 1), D)
    codes = np.repeat(np.arange(T), D + 1)
    return Rows(
        np.ascontiguousarray(Z[:, :-1]),
        Z[:, -1].copy(),
        np.repeat(each, D + 1),
        codes,
        None,
        moments.tasks,
        moments.counts,
        moments.weight,
        origin=moments.origin if centered else None,
        names=without_task_column(moments.feature_names, moments.task_column),
    )


def condensed_rows(estimator, rows, *, centered):
    """Return ``Rows`` that are fewer and have the same moments, or the same where these are not.

    Rows of the wide form with the same targets observed and weights for all tasks are the same.
    """
    T, d = len(rows.tasks), rows.n_features
    alike = rows.wide and rows.observed is None and rows.weight.ndim == 1
    if issparse(rows.X) or alike or T * (d + 1) ** 2 > _ROOM:
        return rows
    if rows.counts.sum() <= _FEWER * T * (d + 2):
        return rows
    return rows_of_moments(moments_of_rows(estimator, rows), centered=centered)


def rows_of_parts(parts, *, centered):
    """Return X, y and weights with the moments of several ``TaskMoments``, and each row's part.

    X are ``LabeledFeatures``. With ``centered``, X and y are those minus a common origin.
    """
    total = sum(parts)
    found, tasks = [], []
    for part in parts:
        own = rows_of_moments(part._about(total.origin), centered=centered)
        found.append((own.X, own.y, own.weight))
        tasks.append(encode_tasks(part.tasks, total.tasks, total.task_column)[own.codes])
    X, y, weight = map(np.concatenate, zip(*found, strict=True))
    names = without_task_column(total.feature_names, total.task_column)
    X = LabeledFeatures(X, Labels(total.tasks, np.concatenate(tasks)), names)
    return X, y, weight, np.repeat(np.arange(len(parts)), [len(own[1]) for own in found])


class _Reader(RegressorMixin, BaseEstimator):
    """What messages about rows are said to come from."""

    fit_intercept = True

    def __init__(self, task_column):
        self.task_column = task_column

    def __repr__(self, N_CHAR_MAX=700):
        return "TaskMoments"


def _long_data(rows, origin):
    """Return features and, last, target minus their origin (d + 1,) as ``LongData``."""
    Z = np.empty((len(rows.X), len(origin)))
    Z[:, :-1], Z[:, -1] = rows.X, rows.y
    return LongData(Z, rows.y, rows.weight, rows.codes, len(rows.tasks), origin)


def _of_column(rows, t, origin):
    """Return the same of one task of the wide form."""
    own = slice(None) if rows.observed is None else rows.observed[:, t]
    weight = rows.weight if rows.weight.ndim == 1 else rows.weight[:, t]
    Z = np.column_stack([rows.X[own], rows.y[own, t]])
    codes = np.zeros(len(Z), dtype=np.intp)
    scatter, mean, total = LongData(Z, Z[:, -1], weight[own], codes, 1, origin).moments(codes[:1])
    return total, mean, scatter


def _contrasts(D):
    """Return an orthonormal basis (D + 1, D) of the vectors whose entries sum to zero."""
    H = np.where(np.arange(D + 1)[:, None] <= np.arange(D), 1.0, 0.0)
    H[np.arange(1, D + 1), np.arange(D)] = -np.arange(1, D + 1)
    return H / np.sqrt(np.arange(1, D + 1) * np.arange(2, D + 2))


def gram_roots(A):
    """Return F (T, D, D) with ``F F' = A`` for semidefinite A, up to rounding errors."""
    F, least = np.empty(A.shape), 8 * A.shape[1] * _EPS
    kernel = partial(_kernels.semidefinite_roots, read_only(A), least, F)
    in_chunks(kernel, len(A), A.size * A.shape[1])
    return F
