"""The objectives of all models, computed independent of the solvers."""

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
    """Return the penalty at W, minimized over the center.

    The minimum is at the shrunken mean ``alpha sum_t w_t / (T alpha + alpha_shared)``.
    """
    center = alpha * W.sum(axis=0) / (len(W) * alpha + alpha_shared)
    return 0.5 * (alpha * np.sum((W - center) ** 2) + alpha_shared * center @ center)


def robust_mean(W):
    """Return the sum of the distances of the rows of W to their geometric median.

    Computed by Weiszfeld's iteration, which never increases the sum.
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
    """Return the penalty of W and of the centered intercepts."""
    level = b + W @ X.mean(axis=0)
    return alpha * NORMS[norm](W) + 0.5 * alpha_intercept * np.sum((level - level.mean()) ** 2)


def wide_l21(X, Y, W, b, alpha):
    """Return the objective of regression in the wide form with unpenalized intercepts and L21."""
    return 0.5 * np.sum((Y - X @ W.T - b) ** 2) + alpha * NORMS["l21"](W)


def wide_l1(X, Y, W, b, alpha):
    """Return the objective of L1 in the wide form, intercepts unpenalized: a lasso per target."""
    return 0.5 * np.sum((Y - X @ W.T - b) ** 2) + alpha * NORMS["l1"](W)


def separate(X, tasks, y, W, b, alpha):
    """Return the objective of separate regressions with unpenalized intercepts."""
    residual = y - np.einsum("ij,ij->i", X, W[tasks]) - b[tasks]
    return 0.5 * residual @ residual + 0.5 * alpha * np.sum(W**2)


def separate_logistic(X, tasks, y, W, b, alpha):
    """Return the objective of separate classifications of a bool y."""
    margin = np.where(y, 1.0, -1.0) * (np.einsum("ij,ij->i", X, W[tasks]) + b[tasks])
    return np.logaddexp(0, -margin).sum() + 0.5 * alpha * np.sum(W**2)


def wide_ridge(X, Y, W, b, alpha):
    """Return the objective of ridge regression in the wide form, intercepts unpenalized."""
    return 0.5 * np.sum((Y - X @ W.T - b) ** 2) + 0.5 * alpha * np.sum(W**2)


def wide_l21_ridge(X, Y, W, b, alpha, alpha_ridge):
    """Return the objective of L21 and ridge in the wide form, intercepts unpenalized."""
    return wide_l21(X, Y, W, b, alpha) + 0.5 * alpha_ridge * np.sum(W**2)


def restricted(X, tasks, y, ratios):
    """Return minus twice the restricted log-likelihood of random coefficients.

    Random intercepts and slopes of the centered features. ``ratios`` are the variance of the
    intercepts and that of every slope, over the noise variance; the latter is profiled out.
    """
    n, d = X.shape
    Z = np.column_stack([np.ones(n), X - X.mean(axis=0)])
    root = np.sqrt(np.append(ratios[0], np.full(d, ratios[1])))
    log_det, information, score, square = 0.0, 0.0, 0.0, 0.0
    for t in np.unique(tasks):
        Zt, yt = Z[tasks == t], y[tasks == t]
        L = np.linalg.cholesky(np.eye(d + 1) + root[:, None] * (Zt.T @ Zt) * root)
        log_det += 2 * np.log(np.diag(L)).sum()
        both = np.column_stack([Zt, yt])
        inner = np.linalg.solve(L, root[:, None] * (Zt.T @ both))
        moments = both.T @ both - inner.T @ inner  # both' V^-1 both
        information += moments[:-1, :-1]
        score += moments[:-1, -1]
        square += moments[-1, -1]
    rest = square - score @ np.linalg.solve(information, score)
    free = n - d - 1
    log_det += np.linalg.slogdet(information)[1]
    return free * (np.log(2 * np.pi * rest / free) + 1) + log_det
