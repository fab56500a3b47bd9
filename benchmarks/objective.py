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
