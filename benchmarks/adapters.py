"""What a user would run instead, one function per way, and the floor under all of them."""

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge


def ridge_loop(X, y, groups, alpha):
    """Fit a scikit-learn Ridge per task."""
    return [Ridge(alpha).fit(X[rows], y[rows]) for rows in groups]


def augmented(X, tasks, n_tasks, alpha, alpha_shared):
    """Return the sparse features ``[sqrt(alpha / alpha_shared) x, x (x) e_t]``."""
    n, d = X.shape
    columns = (tasks[:, None] * d + np.arange(d)).ravel()
    own = sparse.csr_array((X.ravel(), columns, np.arange(0, n * d + 1, d)), shape=(n, n_tasks * d))
    return sparse.hstack([sparse.csr_array(np.sqrt(alpha / alpha_shared) * X), own], format="csr")


def ridge_augmented(X, tasks, y, n_tasks, alpha, alpha_shared):
    """Fit a Ridge on augmented features: the mean-regularised model without intercepts, (T, d)."""
    Z = augmented(X, tasks, n_tasks, alpha, alpha_shared)
    model = Ridge(alpha, fit_intercept=False, solver="sparse_cg", tol=1e-8).fit(Z, y)
    d = X.shape[1]
    shared = np.sqrt(alpha / alpha_shared) * model.coef_[:d]
    return shared + model.coef_[d:].reshape(n_tasks, d)


def logistic_loop(X, y, groups, alpha, tol=1e-4):
    """Fit a scikit-learn LogisticRegression per task of two classes or more."""
    return [
        LogisticRegression(C=1 / alpha, tol=tol, max_iter=10_000).fit(X[rows], y[rows])
        for rows in groups
        if (y[rows] != y[rows[0]]).any()
    ]


def logistic_augmented(X, tasks, y, n_tasks, alpha, alpha_shared):
    """Fit a LogisticRegression on augmented features, without intercepts, (T, d)."""
    Z = augmented(X, tasks, n_tasks, alpha, alpha_shared)
    model = LogisticRegression(C=1 / alpha, fit_intercept=False, max_iter=10_000).fit(Z, y)
    d, coef = X.shape[1], model.coef_[0]
    return np.sqrt(alpha / alpha_shared) * coef[:d] + coef[d:].reshape(n_tasks, d)


def blas_floor(X, starts, alpha):
    """Compute the Gram of every task by BLAS and factor all of them: no fit can do with less."""
    d = X.shape[1]
    grams = np.empty((len(starts) - 1, d, d))
    for t in range(len(grams)):
        rows = X[starts[t] : starts[t + 1]]
        np.matmul(rows.T, rows, out=grams[t])
    return np.linalg.cholesky(grams + alpha * np.eye(d))
