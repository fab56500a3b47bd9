"""Interface of the adapters: solvers for the speed benchmark, methods for the accuracy benchmark.

An adapter is a module of this folder that imports its library at the top. It has

- ``SOLVERS``: tuple of `Solver`, or an empty one and ``NO_SOLVERS``, the reason;
- ``METHODS``: tuple of `Method`, or an empty one and ``NO_METHODS``;
- optionally ``WHY_NOT``: reasons for unsupported kinds, by kind;
- optionally ``warm_up()``, if the library compiles on first use.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.model_selection import KFold

from skmtl.model_selection import TaskKFold

RIDGE_ALPHAS = np.geomspace(1e-3, 1e5, 17)  # for sums of squares and features of variance 1
N_NORM_ALPHAS = 12  # for norms, from alpha_max to a thousandth of it
INNER_FOLDS = 5


def keep_tasks(tasks, train, test):
    """Move the rows of tasks without training rows from the test to the training rows."""
    unseen = ~np.isin(tasks[test], tasks[train])
    return np.sort(np.append(train, test[unseen])), test[~unseen]


def no_objection(problem):
    """Support every problem."""
    return


@dataclass(frozen=True)
class Solver:
    """A solver of problems of some kinds.

    ``solve(problem, setting)`` returns the arguments of the problem's ``objective``; ``settings``
    are tolerances from loose to tight; ``objection(problem)`` is the reason if it does not support
    the problem, else None.
    """

    library: str
    name: str
    kinds: tuple[str, ...]
    settings: tuple[float, ...]
    solve: Callable
    objection: Callable = no_objection


@dataclass(frozen=True)
class Method:
    """A method of prediction, tuning included.

    ``predict(fold)`` returns predictions of the test rows: values, or probabilities of class 1;
    ``forms`` are "long" or "wide", ``targets`` "regression" or "classification".
    """

    library: str
    name: str
    forms: tuple[str, ...]
    targets: tuple[str, ...]
    predict: Callable
    objection: Callable = no_objection


@dataclass(frozen=True)
class Fold:
    """Training data and the test features, without the test targets.

    Features have mean 0 and variance 1 on the training rows. Tasks are 0, ..., T - 1, and None in
    the wide form.
    """

    classify: bool
    X: np.ndarray
    tasks: np.ndarray | None
    y: np.ndarray
    X_test: np.ndarray
    tasks_test: np.ndarray | None
    n_tasks: int

    @property
    def form(self):
        return "wide" if self.tasks is None else "long"

    @property
    def target(self):
        return "classification" if self.classify else "regression"

    @cached_property
    def long(self):
        """Training features with the labels as first column; in the wide form without labels."""
        return self.X if self.tasks is None else np.column_stack([self.tasks, self.X])

    @cached_property
    def long_test(self):
        """The same for the test rows."""
        if self.tasks is None:
            return self.X_test
        return np.column_stack([self.tasks_test, self.X_test])

    @cached_property
    def folds(self):
        """The inner folds, a list of (train, test), the same for all methods."""
        if self.tasks is None:
            folds = KFold(INNER_FOLDS, shuffle=True, random_state=0)
        else:
            folds = TaskKFold(INNER_FOLDS, task_column=0, shuffle=True, random_state=0)
        pairs = list(folds.split(self.long))
        return pairs if self.tasks is None else [keep_tasks(self.tasks, *pair) for pair in pairs]

    @property
    def smallest(self):
        """Rows of the smallest task."""
        return len(self.X) if self.tasks is None else np.bincount(self.tasks).min()

    def rows_by_task(self):
        """Yield (task, its training rows, its test rows) of the tasks with test rows."""
        for t in np.unique(self.tasks_test):
            yield t, np.flatnonzero(self.tasks == t), np.flatnonzero(self.tasks_test == t)
