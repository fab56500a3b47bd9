"""Rows with tasks as the user passed them, and folds of them."""

from collections.abc import Iterator
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import BaseCrossValidator, KFold, check_cv
from sklearn.utils import check_random_state

from skmtl._typing import Array, TaskColumn
from skmtl.data import factorize, split_task_column, take_rows

_N_SPLITS = 5


class TaskKFold(BaseCrossValidator):
    """K-fold cross-validation that keeps every task in every training fold.

    Rows are sorted by task; row i in this order is in test fold i mod ``n_splits``. Therefore

    - each row is in exactly one test fold;
    - the sizes of the folds differ by at most one, overall and within each task;
    - a task with at least two rows is in every training fold. A task with a single row is absent
      from the training fold when it is tested: use ``handle_unknown="shared"`` to predict it.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    task_column : str or int
        Name or position (negative counts from the end) of the column of X that holds the task
        labels. For the wide form use :class:`~sklearn.model_selection.KFold`.
    shuffle : bool, default=False
        Assign tasks, and rows within tasks, to folds in random order. Otherwise the splits are a
        function of X alone. Shuffle if the order of rows within a task may be periodic.
    random_state : int, RandomState instance or None, default=None
        Seed of the random order; an int gives the same splits on every call.

    See Also
    --------
    sklearn.model_selection.LeaveOneGroupOut : Estimate performance on new tasks.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.model_selection import TaskKFold
    >>> X = np.column_stack([[0, 0, 0, 1, 1], np.ones(5)])
    >>> for train, test in TaskKFold(2, task_column=0).split(X):
    ...     print(train, test)
    [1 3] [0 2 4]
    [0 2 4] [1 3]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        task_column: TaskColumn,
        shuffle: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        if isinstance(n_splits, bool) or not isinstance(n_splits, Integral) or n_splits < 2:
            raise ValueError(f"n_splits must be an integer of at least 2, got {n_splits!r}.")
        if not isinstance(shuffle, bool | np.bool_):
            raise TypeError(f"shuffle must be True or False, got {shuffle!r}.")
        if random_state is not None and not shuffle:
            raise ValueError(
                f"random_state={random_state!r} has no effect without shuffling. Leave it out or "
                "set shuffle=True."
            )
        self.n_splits: int = n_splits
        self.task_column = task_column
        self.shuffle = shuffle
        self.random_state = random_state

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
        X : dataframe or array-like of shape (n, d + 1)
            Data in the long form.
        y, groups : object
            Ignored.

        Yields
        ------
        train, test : ndarray of int
        """
        fold = self._folds(X)
        for k in range(self.n_splits):
            yield np.flatnonzero(fold != k), np.flatnonzero(fold == k)

    def _folds(self, X):
        """Return the number of the test fold of each row, shape (n,)."""
        labels, _ = split_task_column(X, self.task_column)
        n = len(labels)
        if n < self.n_splits:
            raise ValueError(
                f"Cannot split {n} rows into n_splits={self.n_splits} folds. Pass more rows or "
                "ask for fewer folds."
            )
        tasks, codes = factorize(labels, self.task_column)
        order = np.arange(n)
        if self.shuffle:
            random = check_random_state(self.random_state)
            order = random.permutation(n)
            codes = random.permutation(len(tasks))[codes]
        order = order[np.argsort(codes[order], kind="stable")]
        fold = np.empty(n, dtype=np.intp)
        fold[order] = np.arange(n) % self.n_splits
        return fold


class TaskRows(NamedTuple):
    """Rows with their tasks: y is (n,) or (n, T), ``weight`` (n,) or None.

    ``codes`` (n,) are the indices of tasks in the long form, None in the wide form; ``classes``
    are those of all rows, or None.
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


def make_splits(cv, X, y, task_column, *, groups=None, classifier=False, shuffle=None):
    """Return the list of (train, test) index arrays that ``cv`` (by default 5) specifies.

    An int is the number of folds of `TaskKFold` or, in the wide form, as in scikit-learn;
    ``shuffle`` has the keyword arguments of shuffled folds.
    """
    if cv is None or isinstance(cv, Integral):
        cv = _N_SPLITS if cv is None else cv
        if task_column is not None:
            cv = TaskKFold(cv, task_column=task_column, **(shuffle or {}))
        elif shuffle:
            cv = KFold(cv, **shuffle)
    place = np.arange(len(y))  # splits may be masks, or count from the end
    splits = check_cv(cv, y, classifier=classifier).split(X, y, groups)
    splits = [(place[train], place[test]) for train, test in splits]
    if not splits or not all(len(train) and len(test) for train, test in splits):
        raise ValueError(
            "cv yields no folds, or a fold without training or test rows. Pass at least one pair "
            "(train, test), each with some rows."
        )
    return splits


def known_rows(train, test, *codes):
    """Return the test rows whose codes, of tasks or classes, all occur among training rows."""
    for own in codes:
        test = test[np.isin(own[test], own[train])]
    return test
