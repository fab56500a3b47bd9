"""Rows with tasks as the user passed them, and folds of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import BaseCrossValidator, KFold, check_cv
from sklearn.utils import check_random_state

from skmtl._typing import Array, TaskColumn
from skmtl._warn import listed
from skmtl.data import (
    NamedTargets,
    class_numbers,
    factorize,
    split_task_column,
    take_rows,
)
from skmtl.linear_model import is_complete, observed_targets

_N_SPLITS = 5


class TaskKFold(BaseCrossValidator):
    """K-fold cross-validation that keeps every task in every training fold.

    In the long form, rows are sorted by task, and row i in this order is in test fold i mod
    ``n_splits``. Therefore

    - the sizes of the test folds differ by at most one, overall and within each task;
    - every training fold has at least ``min_train_rows`` rows of each task, as far as there are as
      many. Tasks with too few rows for that, such as those of a single row, stay in training:
      their rows are in no test fold. All other rows are in exactly one.

    In the wide form the same holds for the observed rows of each column of y, with two exceptions.
    The sizes of folds within a column are only about equal: columns are taken in the order of their
    numbers of observed rows, and each row is added to the fold with the fewest rows of the column.
    Where a column would have too few rows in training, single rows are moved there.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    task_column : str, int, list of these or None, default=None
        Name or position (negative counts from the end) of the column of X that holds the task
        labels, or those of several. None for the wide form: each column of y is a task, and NaN is
        not observed.
    shuffle : bool, default=False
        Assign tasks, and rows within tasks, to folds in random order. Otherwise the splits are a
        function of the data alone. Shuffle if the order of rows within a task may be periodic.
    random_state : int, RandomState instance or None, default=None
        Seed of the random order; an int gives the same splits on every call.
    stratify : bool, default=False
        Distribute the rows of each class (value of y) evenly over the folds within each task. Of
        tasks of different kinds those of strings, booleans or categories; numbers beside these
        are not classes.
    ordered : bool, default=False
        Whether the rows of each task are in the order of time. Test rows are then later than the
        training rows of their task: each task is cut into ``n_splits`` + 1 blocks of about equal
        size, and fold k tests block k + 1 of each task and trains on the blocks before it, as
        :class:`~sklearn.model_selection.TimeSeriesSplit` does for one task. Only for the long
        form.
    min_train_rows : int, default=1
        Smallest number of rows of a task in a training fold. With 0 all rows are tested, also
        those of tasks that are then absent from the training fold: predict them with
        ``handle_unknown="shared"``.

    See Also
    --------
    sklearn.model_selection.LeaveOneGroupOut : Estimate performance on new tasks.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.model_selection import TaskKFold
    >>> X = np.column_stack([[0, 0, 0, 1, 1, 2], np.ones(6)])
    >>> for train, test in TaskKFold(2, task_column=0).split(X):
    ...     print(train, test)
    [1 3 5] [0 2 4]
    [0 2 4 5] [1 3]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        task_column: TaskColumn = None,
        shuffle: bool = False,
        random_state: int | np.random.RandomState | None = None,
        stratify: bool = False,
        ordered: bool = False,
        min_train_rows: int = 1,
    ) -> None:
        least = {"n_splits": (n_splits, 2), "min_train_rows": (min_train_rows, 0)}
        for name, (value, low) in least.items():
            if isinstance(value, bool) or not isinstance(value, Integral) or value < low:
                raise ValueError(f"{name} must be an integer of at least {low}, got {value!r}.")
        flags = {"shuffle": shuffle, "stratify": stratify, "ordered": ordered}
        for name, value in flags.items():
            if not isinstance(value, bool | np.bool_):
                raise TypeError(f"{name} must be True or False, got {value!r}.")
        if random_state is not None and not shuffle:
            raise ValueError(
                f"random_state={random_state!r} has no effect without shuffling. Leave it out or "
                "set shuffle=True."
            )
        if ordered and (shuffle or stratify):
            raise ValueError(
                "ordered=True keeps the order of rows, so it excludes shuffle=True and "
                "stratify=True. Leave these out."
            )
        self.n_splits: int = n_splits
        self.task_column = task_column
        self.shuffle = shuffle
        self.random_state = random_state
        self.stratify = stratify
        self.ordered = ordered
        self.min_train_rows: int = min_train_rows

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object
            Ignored.

        Returns
        -------
        int
            ``n_splits``.
        """
        return self.n_splits

    def split(
        self, X: ArrayLike, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[Array, Array]]:
        """Generate the row numbers of each training and test fold, ascending.

        Parameters
        ----------
        X : dataframe or array-like of shape (n, d + 1), or (n, d) in the wide form
            Data; in the wide form it is ignored.
        y : array-like of shape (n,), or (n, T) in the wide form, default=None
            Target. Ignored in the long form without ``stratify``.
        groups : object
            Ignored.

        Yields
        ------
        train, test : ndarray of int

        Raises
        ------
        ValueError
            If a fold would have no rows to test.
        """
        if self.ordered:
            yield from self._in_time(self._codes(X))
            return
        if self.task_column is None:
            fold = self._wide_folds(self._targets(y, 2))
        else:
            fold = self._long_folds(self._codes(X), y)
        for k in range(self.n_splits):
            yield np.flatnonzero(fold != k), np.flatnonzero(fold == k)

    def _codes(self, X):
        """Return the index of each row's task, (n,)."""
        if self.task_column is None:
            raise ValueError(
                "ordered=True requires the long form: set task_column. In the wide form use "
                "TimeSeriesSplit."
            )
        labels = split_task_column(X, self.task_column)[0]
        self._check_rows(len(labels), len(labels))
        return factorize(labels, self.task_column)[1]

    def _targets(self, y, ndim):
        """Return the class numbers of y, as an array with so many axes."""
        shape = () if y is None else np.shape(y)
        column = shape[1:] == (1,) and ndim == 1
        if len(shape) != ndim and not column:
            got = "None" if y is None else f"shape {shape}"
            if ndim == 2:
                raise ValueError(
                    f"TaskKFold with task_column=None splits a y of shape (n, T), got {got}. Set "
                    "task_column to the column of X that holds the task labels."
                )
            raise ValueError(f"TaskKFold with stratify=True needs a y of shape (n,), got {got}.")
        numbers = class_numbers(y, wide=len(shape) == 2)
        return numbers[:, 0] if column else numbers

    def _check_rows(self, n, n_rows):
        """Raise if the n rows that may be tested, of ``n_rows``, are too few."""
        if n < self.n_splits:
            kept = n_rows - n
            why = (
                f" {kept} more rows stay in training, since their tasks have too few rows: "
                'min_train_rows=0 tests them too, with handle_unknown="shared" of the model.'
                if kept
                else ""
            )
            raise ValueError(
                f"Cannot split {n} rows into n_splits={self.n_splits} folds.{why} Pass more rows "
                "or ask for fewer folds."
            )

    def _long_folds(self, codes, y):
        """Return the number of the test fold of each row, (n,); -1 for none."""
        n, counts = len(codes), np.bincount(codes)
        largest = -(-counts // self.n_splits)  # rows of a task in one fold
        order, keys = np.arange(n), []
        if self.shuffle:
            random = check_random_state(self.random_state)
            order = random.permutation(n)
            keys.append(random.permutation(len(counts))[codes])
        else:
            keys.append(codes)
        if self.stratify:
            keys.insert(0, _class_codes(self._targets(y, 1)))
        tested = (counts - largest >= self.min_train_rows)[codes]
        order = order[tested[order]]
        self._check_rows(len(order), n)
        # numpy sorts integers of 16 bits by their digits, ten times as fast as longer ones
        keys = [key.astype(np.min_scalar_type(key.max()))[order] for key in keys]
        order = order[np.lexsort(keys)]
        fold = np.full(n, -1)
        fold[order] = np.arange(len(order)) % self.n_splits
        return fold

    def _wide_folds(self, y):
        """Return the number of the test fold of each row, (n,); -1 for none."""
        n, K, observed = len(y), self.n_splits, y == y  # not NaN
        self._check_rows(n, n)
        random = check_random_state(self.random_state) if self.shuffle else None
        order = np.arange(n) if random is None else random.permutation(n)
        groups = observed
        if self.stratify:
            classes = np.unique(y[observed])
            groups = np.concatenate([observed & (y == label) for label in classes], axis=1)
        fold = np.full(n, K)  # K: not yet in one
        sizes = np.zeros(K)
        few = observed.sum(axis=0) <= self.min_train_rows
        fold[observed[:, few].any(axis=1)] = -1
        for g in np.argsort(groups.sum(axis=0), kind="stable"):
            rows = order[groups[order, g]]
            placed = fold[rows]
            own = np.bincount(placed[(placed >= 0) & (placed < K)], minlength=K)
            for row in rows[placed == K]:
                k = np.lexsort([sizes, own])[0]
                fold[row] = k
                own[k] += 1
                sizes[k] += 1
        for row in order[fold[order] == K]:  # without observed targets
            fold[row] = sizes.argmin()
            sizes[fold[row]] += 1
        return self._keep_columns(fold, observed)

    def _keep_columns(self, fold, observed):
        """Move rows to training until each column has enough in every training fold."""
        for own in observed.T:
            while True:
                in_fold = np.bincount(fold[own & (fold >= 0)], minlength=self.n_splits)
                k = in_fold.argmax()
                need = min(self.min_train_rows, np.count_nonzero(own))
                if np.count_nonzero(own) - in_fold[k] >= need:
                    break
                fold[np.flatnonzero(own & (fold == k))[0]] = -1
        in_fold = np.bincount(fold[fold >= 0], minlength=self.n_splits)
        if not in_fold.all():
            raise ValueError(
                f"Test fold {in_fold.argmin()} of n_splits={self.n_splits} would be empty: the "
                f"columns have {listed(observed.sum(axis=0).tolist())} observed rows, of which at "
                f"least min_train_rows={self.min_train_rows} stay in training. Ask for fewer folds."
            )
        return fold

    def _in_time(self, codes):
        """Generate folds of which the test rows are later than the training rows of their task."""
        n, counts, K = len(codes), np.bincount(codes), self.n_splits
        order = np.argsort(codes, kind="stable")
        place = np.empty(n, dtype=np.intp)  # of a row within its task
        place[order] = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
        least = np.minimum(self.min_train_rows, counts)
        ends = [np.maximum(counts * k // (K + 1), least)[codes] for k in range(1, K + 1)]
        ends.append(counts[codes])
        for end, after in pairwise(ends):
            test = np.flatnonzero((place >= end) & (place < after))
            train = np.flatnonzero(place < end)
            if not len(test) or not len(train):
                which = "training" if len(test) else "test"
                raise ValueError(
                    f"ordered=True with n_splits={K} has a fold without {which} rows: the tasks "
                    f"have at most {counts.max()} rows. Ask for fewer folds."
                )
            yield train, test


def _class_codes(y):
    """Return the index of each row's class, in the order of appearance, (n,)."""
    _, first, codes = np.unique(y, return_index=True, return_inverse=True, equal_nan=False)
    return np.argsort(np.argsort(first))[codes]


class TaskRows(NamedTuple):
    """Rows with their tasks: y is (n,) or (n, T), ``weight`` (n,), (n, T) or None.

    ``codes`` (n,) are the indices of tasks in the long form, None in the wide form; ``classes``
    are those of all rows, or None. Of tasks of different kinds ``targets`` is y as it is given, and
    y has the numbers of its classes.
    """

    X: Any
    y: np.ndarray
    weight: np.ndarray | None
    tasks: list
    codes: np.ndarray | None
    classes: np.ndarray | None = None
    targets: Any = None

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
        y = self.y if self.targets is None else self.targets
        return take_rows(self.X, index), take_rows(y, index), weight

    def training(self, index):
        """Return X, y and weights at an index array, y with the names of its columns."""
        X, y, weight = self.take(index)
        if self.targets is None and y.ndim == 2:
            y = NamedTargets(y, self.tasks)
        return X, y, weight

    def present(self, index):
        """Return the part of an index array with positive weights."""
        if self.weight is None:
            return index
        weight = self.weight[index]
        return index[weight > 0 if weight.ndim == 1 else weight.any(axis=1)]


def make_splits(cv, X, y, task_column, *, groups=None, classifier=False, shuffle=None, weight=None):
    """Return the list of (train, test) index arrays that ``cv`` (by default 5) specifies.

    An int is the number of folds of `TaskKFold` or, in the wide form without NaN and weights of
    targets, as in scikit-learn; ``shuffle`` has the keyword arguments of shuffled folds. Rows and
    targets of ``weight`` (n,) or (n, T) zero do not count as observed.
    """
    place = np.arange(len(y))  # splits may be masks, or count from the end
    if cv is None or isinstance(cv, Integral):
        cv = _N_SPLITS if cv is None else cv
        missing = y.ndim == 2 and not is_complete(y, weight)
        if missing and weight is not None:
            y = np.where(observed_targets(y, weight), y, np.nan)
        if task_column is not None or missing:
            cv = TaskKFold(cv, task_column=task_column, **(shuffle or {}))
            if task_column is not None and weight is not None and not weight.all():
                return _splits_of_present(cv, X, y, weight > 0)
        elif shuffle:
            cv = KFold(cv, **shuffle)
    splits = check_cv(cv, y, classifier=classifier).split(X, y, groups)
    splits = [(place[train], place[test]) for train, test in splits]
    if not splits or not all(len(train) and len(test) for train, test in splits):
        raise ValueError(
            "cv yields no folds, or a fold without training or test rows. Pass at least one pair "
            "(train, test), each with some rows."
        )
    return splits


def _splits_of_present(cv, X, y, present):
    """Return the splits of some rows, a mask; all others are in training."""
    index, absent = np.flatnonzero(present), np.flatnonzero(~present)
    splits = cv.split(take_rows(X, index), y[index])
    return [(np.sort(np.append(index[train], absent)), index[test]) for train, test in splits]


def known_rows(train, test, *codes):
    """Return the test rows whose codes, of tasks or classes, all occur among training rows."""
    for own in codes:
        test = test[np.isin(own[test], own[train])]
    return test
