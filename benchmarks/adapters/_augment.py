"""Augmented features for single-task models: shared columns, and columns per task."""

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin


def own_columns(X, tasks, n_tasks):
    """Return ``x (x) e_t``, sparse: each row's features in the columns of its task."""
    n, d = X.shape
    # 32-bit indices: some solvers do not support longer ones.
    columns = (tasks[:, None] * d + np.arange(d)).ravel().astype(np.int32)
    starts = np.arange(0, n * d + 1, d, dtype=np.int32)
    return sparse.csr_matrix((X.ravel(), columns, starts), shape=(n, n_tasks * d))


def augmented(X, tasks, n_tasks, alpha, alpha_shared):
    """Return the sparse features ``[sqrt(alpha / alpha_shared) x, x (x) e_t]``."""
    shared = sparse.csr_matrix(np.sqrt(alpha / alpha_shared) * X)
    return sparse.hstack([shared, own_columns(X, tasks, n_tasks)], format="csr")


def split_coef(coef, d, alpha, alpha_shared):
    """Return W (T, d) from the coefficients of `augmented` features."""
    return np.sqrt(alpha / alpha_shared) * coef[:d] + coef[d:].reshape(-1, d)


def one_hot(X, tasks, n_tasks):
    """Return the features and an indicator of each task, dense."""
    return np.column_stack([X, np.eye(n_tasks)[tasks]])


class Augment(TransformerMixin, BaseEstimator):
    """``[x / sqrt(ratio), x (x) e_t, e_t]`` of the long form with the task first.

    A ridge with penalty weight alpha on them penalizes the deviations of the coefficients and the
    intercepts from their centers by alpha, and the center by ratio x alpha.
    """

    def __init__(self, n_tasks, ratio=0.1):
        self.n_tasks = n_tasks
        self.ratio = ratio

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        tasks, X = X[:, 0].astype(int), np.ascontiguousarray(X[:, 1:])
        features = augmented(X, tasks, self.n_tasks, 1.0, self.ratio)
        levels = own_columns(np.ones((len(X), 1)), tasks, self.n_tasks)
        return sparse.hstack([features, levels], format="csr")
