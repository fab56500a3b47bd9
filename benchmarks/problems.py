"""Problems of the benchmarks."""

from typing import NamedTuple

import numpy as np

from skmtl.datasets import fetch_school


class LongProblem(NamedTuple):
    """Features (n, d), integer task labels (n,) and targets (n,)."""

    name: str
    X: np.ndarray
    tasks: np.ndarray
    y: np.ndarray

    @property
    def long(self):
        """X with the labels as first column."""
        return np.column_stack([self.tasks, self.X])

    def grouped(self):
        """Return the same problem with rows sorted by task."""
        order = np.argsort(self.tasks, kind="stable")
        return LongProblem(self.name, self.X[order], self.tasks[order], self.y[order])

    def groups(self):
        """Return the rows of each task, a list of index arrays."""
        order = np.argsort(self.tasks, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(self.tasks[order])) + 1)


def synthetic(n, d, n_tasks, seed=0):
    """Return Gaussian features, rows shuffled, and tasks that share most of their coefficients."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    tasks = rng.permutation(np.arange(n) % n_tasks)
    W = rng.standard_normal(d) + 0.3 * rng.standard_normal((n_tasks, d))
    y = np.einsum("ij,ij->i", X, W[tasks]) + rng.standard_normal(n)
    return LongProblem(f"synthetic n={n:,} d={d} T={n_tasks:,}", X, tasks, y)


def multinomial(n, d, n_tasks, n_classes, seed=0):
    """Return Gaussian features and classes drawn from one softmax model per task."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    tasks = rng.permutation(np.arange(n) % n_tasks)
    W = 0.5 * rng.standard_normal((n_classes, d))
    W = W + 0.15 * rng.standard_normal((n_tasks, n_classes, d))
    z = np.empty((n, n_classes))
    for t in range(n_tasks):
        z[tasks == t] = X[tasks == t] @ W[t].T
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    return LongProblem(f"softmax n={n:,} d={d} T={n_tasks} K={n_classes}", X, tasks, y)


def school():
    """Return the School data, rows shuffled, or synthetic data if the files are missing."""
    try:
        bunch = fetch_school(download_if_missing=False)
    except OSError:
        return synthetic(15_362, 27, 139)._replace(name="synthetic data of the size of School")
    order = np.random.default_rng(0).permutation(len(bunch.target))
    X = np.ascontiguousarray(bunch.data[order, 1:], dtype=float)
    tasks = bunch.data[order, 0].astype(int)
    return LongProblem("School", X, tasks, np.asarray(bunch.target, dtype=float)[order])


def wide(n, d, n_tasks, seed=0):
    """Return features (n, d) and targets (n, T) of the wide form."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    Y = X @ rng.standard_normal((d, n_tasks))
    Y += rng.standard_normal(Y.shape)
    return X, Y


def wide_sparse(n, d, n_tasks, seed=0):
    """Return X and Y of the wide form, where a tenth of the features matter in all tasks."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    Y = X[:, : d // 10] @ rng.standard_normal((d // 10, n_tasks))
    Y += rng.standard_normal(Y.shape)
    return X, Y
