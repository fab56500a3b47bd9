"""The objective of the mean-regularised models, computed apart from every solver."""

import numpy as np


def mean_regularized(X, tasks, y, W, alpha, alpha_shared):
    """Return the objective without intercepts at W (T, d), its best centre put in.

    Given W, the best centre is the mean of the w_t, shrunk: ``alpha sum_t w_t / (T alpha +
    alpha_shared)``.
    """
    residual = y - np.einsum("ij,ij->i", X, W[tasks])
    center = alpha * W.sum(axis=0) / (len(W) * alpha + alpha_shared)
    return 0.5 * (
        residual @ residual + alpha * np.sum((W - center) ** 2) + alpha_shared * center @ center
    )
