"""Splitters for data in the long form."""

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import check_random_state

from skmtl._typing import Array, TaskColumn
from skmtl.data import factorize, split_task_column


class TaskKFold(BaseCrossValidator):
    """K-fold cross-validation that keeps every task in every training fold.

    The rows are laid out task after task, and row number i of this line belongs to test fold
    i mod ``n_splits``. So

    - each row is in exactly one test fold, and the folds' sizes differ by one at most;
    - so do the numbers of rows that a task has in the folds;
    - a task with two rows or more is in every training fold. A task with a single row is absent
      from the fold that tests it, whatever the splitter: let the model predict such rows with
      ``handle_unknown="shared"``.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    task_column : str or int
        Name or position (negative counts from the end) of the column of X that holds the task
        labels. The wide form has every task in every row: use
        :class:`~sklearn.model_selection.KFold` there.
    shuffle : bool, default=False
        Deal the rows of each task, and the tasks, to the folds in random order. Without it the
        splits are a function of X alone. Shuffle where the order of a task's rows has a period
        that ``n_splits`` could meet.
    random_state : int, RandomState instance or None, default=None
        Source of the random order; an int gives the same splits on every call.

    See Also
    --------
    sklearn.model_selection.LeaveOneGroupOut : For performance on tasks never seen before.

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
            The number of folds, as given.
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
        """Return the number of the fold that tests each row, shape (n,)."""
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
