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
    """A problem: ``splits()`` yields (`Fold`, y_test), and may raise ``data.AbsentError``.

    ``words`` say what is predicted, with ``{T}`` for the number of tasks.
    """

    name: str
    quick: bool
    classify: bool
    splits: Callable
    words: str


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
    found = []

    def add(name, words, splits, *args, quick=False, classify=False):
        options = {"classify": True} if classify else {}
        found.append(Entry(name, quick, classify, partial(splits, *args, **options), words))

    def simulated(name, words, *args, classify=False):
        add(f"simulated: {name}", words, drawn_splits, *args, classify=classify)

    def parkinsons(target):
        return partial(data.parkinsons, target)

    total, motor = parkinsons("total_UPDRS"), parkinsons("motor_UPDRS")
    add("School", "exam scores, {T} schools", school_splits)
    add("Parkinsons, total", "Parkinson's score, {T} patients", long_splits, total)
    add("Parkinsons, motor", "motor score, {T} patients", long_splits, motor)
    add("Exam", "exam scores, {T} schools", long_splits, data.exam)
    add("radon", "radon in houses, {T} counties", long_splits, data.radon, quick=True)
    simulated("few rows", "{T} related tasks, few rows", "related", 50, 10, 10)
    simulated("many rows", "{T} related tasks, many rows", "related", 20, 200, 10)
    simulated("shared support", "{T} tasks, same few features", "support", 20, 30, 50)
    simulated("low rank", "{T} tasks, two latent factors", "low rank", 30, 25, 20)
    simulated("independent tasks", "{T} unrelated tasks", "independent", 20, 30, 10)
    simulated("outlier tasks", "{T} tasks, three are outliers", "outliers", 20, 20, 10)
    add(
        "Contraception",
        "contraception, {T} districts",
        long_splits,
        data.contraception,
        quick=True,
        classify=True,
    )
    simulated("classes, few rows", "{T} tasks, two classes", "related", 30, 20, 8, classify=True)
    add("atp1d", "{T} flight prices", wide_splits, "atp1d", 6)
    add("jura", "{T} metals in soil", wide_splits, "jura", 3, quick=True)
    add("wq", "{T} species in rivers", wide_splits, "wq", 14)
    add("emotions", "{T} moods of music", wide_splits, "emotions", 6, quick=True, classify=True)
    add("yeast", "{T} functions of genes", wide_splits, "yeast", 14, classify=True)
    return found


def words():
    """Return what is predicted, by the name of the problem."""
    return {entry.name: entry.words for entry in entries()}
