"""The objective of the mean-regularised models, computed apart from every solver."""

import numpy as np


def mean_regularized(X, tasks, y, W, alpha, alpha_shared):
    """Return the objective of regression without intercepts at W (T, d)."""
    residual = y - np.einsum("ij,ij->i", X, W[tasks])
    return 0.5 * residual @ residual + coupling(W, alpha, alpha_shared)


def mean_regularized_logistic(X, tasks, y, W, alpha, alpha_shared):
    """Return the objective of classification of a bool y without intercepts at W (T, d)."""
    margin = np.where(y, 1.0, -1.0) * np.einsum("ij,ij->i", X, W[tasks])
    return np.logaddexp(0, -margin).sum() + coupling(W, alpha, alpha_shared)


def coupling(W, alpha, alpha_shared):
    """Return the penalty at W, its best centre put in.

    That is the mean of the w_t, shrunk: ``alpha sum_t w_t / (T alpha + alpha_shared)``.
    """
    center = alpha * W.sum(axis=0) / (len(W) * alpha + alpha_shared)
    return 0.5 * (alpha * np.sum((W - center) ** 2) + alpha_shared * center @ center)


def robust_mean(W):
    """Return the sum of the distances of the rows of W to the point where it is least.

    By Weiszfeld's iteration, from the row that is best: it never ascends.
    """
    point = min(W, key=lambda row: np.linalg.norm(W - row, axis=1).sum())
    best = np.linalg.norm(W - point, axis=1).sum()
    point = np.median(W, axis=0)
    for _ in range(1000):
        distance = np.maximum(np.linalg.norm(W - point, axis=1), 1e-12)
        best = min(best, np.linalg.norm(W - point, axis=1).sum())
        point = (W / distance[:, None]).sum(axis=0) / (1 / distance).sum()
    return best


NORMS = {
    "l1": lambda W: np.abs(W).sum(),
    "l21": lambda W: np.sqrt((W**2).sum(axis=0)).sum(),
    "trace_norm": lambda W: np.linalg.norm(W, "nuc"),
    "robust_mean": robust_mean,
}


def structured(X, tasks, y, W, b, norm, alpha, alpha_intercept=1.0):
    """Return the objective of regression with intercepts b (T,) and a norm of `NORMS`."""
    residual = y - np.einsum("ij,ij->i", X, W[tasks]) - b[tasks]
    return 0.5 * residual @ residual + structure(X, W, b, norm, alpha, alpha_intercept)


def structured_logistic(X, tasks, y, W, b, norm, alpha, alpha_intercept=1.0):
    """Return the objective of classification of a bool y, as `structured`."""
    margin = np.where(y, 1.0, -1.0) * (np.einsum("ij,ij->i", X, W[tasks]) + b[tasks])
    return np.logaddexp(0, -margin).sum() + structure(X, W, b, norm, alpha, alpha_intercept)


def structure(X, W, b, norm, alpha, alpha_intercept):
    """Return the penalty of W, and of the levels: the predictions at the mean of the features."""
    level = b + W @ X.mean(axis=0)
    return alpha * NORMS[norm](W) + 0.5 * alpha_intercept * np.sum((level - level.mean()) ** 2)


def wide_l21(X, Y, W, b, alpha):
    """Return the objective of regression in the wide form with free intercepts and L21."""
    return 0.5 * np.sum((Y - X @ W.T - b) ** 2) + alpha * NORMS["l21"](W)
