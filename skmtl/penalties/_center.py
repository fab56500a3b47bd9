"""Ridge coupling of rows to their center: the optimal center, and the prox."""

import numpy as np


def weighted_center(W, weight, alpha_shared):
    """Return the w that minimizes ``sum weight ||W_t - w||^2 + alpha_shared ||w||^2``, (d,).

    Weights (T, d) or (T, 1) may be zero or infinite; if all are, they count as equal.
    """
    weight = np.broadcast_to(weight, W.shape[-2:] if weight.shape[1] != 1 else (W.shape[-2], 1))
    infinite = np.isinf(weight).any(axis=-2, keepdims=True)
    weight = np.where(infinite, np.isinf(weight), weight)
    weight = np.where(weight.any(axis=-2, keepdims=True), weight, 1.0)
    if np.isinf(alpha_shared):
        return np.zeros(W.shape[:-2] + W.shape[-1:])
    hold = np.where(infinite[..., 0, :], 0.0, alpha_shared)
    return (weight * W).sum(axis=-2) / (weight.sum(axis=-2) + hold)


def mean_prox(Z, alpha, step, alpha_shared):
    """Return the prox of a ridge coupling to a center, at Z (..., T, d).

    It is the W that minimizes, jointly with the center w::

        sum_t (alpha_t/2 ||W_t - w||^2 + 1/2 ||W_t - Z_t||^2) / step_t + alpha_shared/2 ||w||^2

    ``alpha`` is already multiplied by the step; both broadcast to (T, d).
    """
    with np.errstate(invalid="ignore"):
        share = np.where(np.isinf(alpha), 1.0, alpha / (1.0 + alpha))
    weight = share / np.where((step > 0) & np.isfinite(step), step, 1.0)
    center = np.expand_dims(weighted_center(Z, weight, alpha_shared), -2)
    return np.where(share == 1.0, center, Z + share * (center - Z))
