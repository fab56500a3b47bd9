"""Problems of the accuracy benchmark: real data in folds, and simulated data."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.model_selection import KFold

from benchmarks import data
from benchmarks.adapters._base import Fold, keep_tasks
from skmtl.model_selection import TaskKFold

SPLITS = 5


@dataclass(frozen=True)
class Entry:
    """A problem: ``splits()`` yields (`Fold`, y_test), and may raise ``data.AbsentError``."""

    name: str
    quick: bool
    classify: bool
    splits: Callable


def scaled(train, test):
    """Scale both to training columns of mean 0 and variance 1; constant columns are 0."""
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread = np.where(spread > 1e-12 * (1 + np.abs(mean)), spread, np.inf)
    return (train - mean) / spread, (test - mean) / spread


def long_fold(classify, X, tasks, y, train, test):
    """Return a `Fold` of the long form, and its test targets."""
    train, test = keep_tasks(tasks, train, test)
    X_train, X_test = scaled(X[train], X[test])
    n_tasks = int(tasks.max()) + 1
    found = Fold(classify, X_train, tasks[train], y[train], X_test, tasks[test], n_tasks)
    return found, y[test]


def long_splits(read, *, classify=False):
    """Yield five random folds within tasks; tasks with a single row stay in the training rows."""
    X, tasks, y = read()
    folds = TaskKFold(SPLITS, task_column=0, shuffle=True, random_state=0)
    for train, test in folds.split(np.column_stack([tasks, X])):
        yield long_fold(classify, X, tasks, y, train, test)


def school_splits():
    """Yield the first five of the ten standard splits of School."""
    X, tasks, y = data.school()
    for k in range(1, SPLITS + 1):
        yield long_fold(False, X, tasks, y, *data.school_split(k))


def wide_splits(name, n_targets, *, classify=False, first=False):
    """Yield five random folds; targets of regression have variance 1 on the training rows."""
    X, Y = data.multi_output(name, n_targets, first=first)
    for train, test in KFold(SPLITS, shuffle=True, random_state=0).split(X):
        X_train, X_test = scaled(X[train], X[test])
        if classify:
            Y_train, Y_test = Y[train].astype(int), Y[test].astype(int)
        else:
            Y_train, Y_test = scaled(Y[train], Y[test])
        yield Fold(classify, X_train, None, Y_train, X_test, None, n_targets), Y_test


def coefficients(structure, rng, T, d):
    """Return W (T, d) with x . w of variance about 1."""
    W = rng.standard_normal((T, d)) / np.sqrt(d)
    center = rng.standard_normal(d) / np.sqrt(d)
    if structure == "related":
        return center + 0.5 * W
    if structure == "outliers":
        related = center + 0.3 * W
        related[-3:] = 2 * W[-3:]
        return related
    if structure == "support":
        W[:, d // 10 :] = 0
        return W * np.sqrt(10)
    if structure == "low rank":
        return rng.standard_normal((T, 2)) @ rng.standard_normal((2, d)) / np.sqrt(2 * d)
    return W  # independent


def drawn_splits(structure, T, n, d, *, classify=False):
    """Yield five draws with n training rows and 100 test rows per task."""
    for seed in range(SPLITS):
        rng = np.random.default_rng(seed)
        W, b = coefficients(structure, rng, T, d), 0.5 * rng.standard_normal(T)
        tasks = np.repeat(np.arange(T), n + 100)
        X = rng.standard_normal((len(tasks), d))
        z = np.einsum("ij,ij->i", X, W[tasks]) + b[tasks]
        y = z + rng.standard_normal(len(z))
        if classify:
            y = (3 * z + rng.logistic(size=len(z)) > 0).astype(int)
        test = np.arange(len(tasks)) % (n + 100) >= n
        yield long_fold(classify, X, tasks, y, np.flatnonzero(~test), np.flatnonzero(test))


def entries():
    """Return all problems, in the order of the tables."""

    def parkinsons(target):
        return partial(long_splits, partial(data.parkinsons, target))

    def drawn(name, *args, classify=False):
        splits = partial(drawn_splits, *args, classify=classify)
        return Entry(f"drawn: {name}", False, classify, splits)

    return [
        Entry("School", False, False, school_splits),
        Entry("Parkinsons, total", False, False, parkinsons("total_UPDRS")),
        Entry("Parkinsons, motor", False, False, parkinsons("motor_UPDRS")),
        Entry("Exam", False, False, partial(long_splits, data.exam)),
        Entry("radon", True, False, partial(long_splits, data.radon)),
        drawn("few rows", "related", 50, 10, 10),
        drawn("many rows", "related", 20, 200, 10),
        drawn("shared support", "support", 20, 30, 50),
        drawn("low rank", "low rank", 30, 25, 20),
        drawn("independent tasks", "independent", 20, 30, 10),
        drawn("outlier tasks", "outliers", 20, 20, 10),
        Entry("Contraception", True, True, partial(long_splits, data.contraception, classify=True)),
        drawn("classes, few rows", "related", 30, 20, 8, classify=True),
        Entry("atp1d", False, False, partial(wide_splits, "atp1d", 6)),
        Entry("jura", True, False, partial(wide_splits, "jura", 3)),
        Entry("wq", False, False, partial(wide_splits, "wq", 14)),
        Entry("emotions", True, True, partial(wide_splits, "emotions", 6, classify=True)),
        Entry("yeast", False, True, partial(wide_splits, "yeast", 14, classify=True)),
    ]
