"""References for timings: a lower bound by BLAS, and proximal gradient descent."""

import numpy as np


def blas_floor(X, starts, alpha):
    """Compute the Gram of every task by BLAS and factor all of them, a lower bound of any fit."""
    d = X.shape[1]
    grams = np.empty((len(starts) - 1, d, d))
    for t in range(len(grams)):
        rows = X[starts[t] : starts[t + 1]]
        np.matmul(rows.T, rows, out=grams[t])
    return np.linalg.cholesky(grams + alpha * np.eye(d))


def task_moments(Z, tasks, y):
    """Return ``Z_t' Z_t`` (T, d, d) and ``Z_t' y_t`` (T, d) of each task."""
    order = np.argsort(tasks, kind="stable")
    Z, y = Z[order], y[order]
    ends = np.cumsum(np.bincount(tasks))
    blocks = list(zip(np.append(0, ends[:-1]), ends, strict=True))
    grams = np.stack([Z[start:end].T @ Z[start:end] for start, end in blocks])
    return grams, np.stack([Z[start:end].T @ y[start:end] for start, end in blocks])


def proximal_gradient(X, tasks, y, penalty, alpha, alpha_intercept=1.0):
    """Yield W (T, d) and the intercepts (T,) after each accelerated proximal gradient step.

    Works on the Grams of the tasks, computed once, with backtracking, and restarts if the momentum
    points uphill. The prox is that of a penalty of skmtl: only the method differs.
    """
    mean = X.mean(axis=0)
    grams, linear = task_moments(np.column_stack([X - mean, np.ones(len(X))]), tasks, y)

    def hessian(A):
        HA = np.matmul(grams, A[:, :, None])[:, :, 0]
        HA[:, -1] += alpha_intercept * (A[:, -1] - A[:, -1].mean())
        return HA

    A = V = HA = HV = np.zeros_like(linear)
    momentum, L = 1.0, np.trace(grams, axis1=1, axis2=2).mean() / grams.shape[1]
    while True:
        while True:
            new = V - (HV - linear) / L
            new[:, :-1] = penalty.prox(np.ascontiguousarray(new[:, :-1]), alpha / L)
            step = new - V
            curved = hessian(step)
            if np.vdot(step, curved) <= L * np.vdot(step, step):
                break
            L *= 1.5
        yield new[:, :-1], new[:, -1] - new[:, :-1] @ mean
        new_H = HV + curved
        last = 1.0 if np.vdot(step, new - A) < 0 else momentum
        momentum = 0.5 * (1 + np.sqrt(1 + 4 * last**2))
        share = (last - 1) / momentum
        V, HV = new + share * (new - A), new_H + share * (new_H - HA)
        A, HA = new, new_H
