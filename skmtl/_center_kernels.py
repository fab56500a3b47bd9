"""Kernels of the center of rows under Huber's function of their distances."""

import math

from skmtl._kernels import SUMS, jit


@jit(fastmath=SUMS)
def huber_sums(Z, center, radius, weight, norm, gradient):
    """Return ``sum_t weight_t h_t(||Z_t - c||)``, and the sum of ``weight_t h_t'``.

    ``norm`` (T,) becomes the distances, ``gradient`` (d,) the gradient in the center c.
    """
    T, d = Z.shape
    value, size = 0.0, 0.0
    for j in range(d):
        gradient[j] = 0.0
    for t in range(T):
        square = 0.0
        for j in range(d):
            own = Z[t, j] - center[j]
            square += own * own
        norm[t] = math.sqrt(square)
        pull = min(norm[t], radius[t])
        value += weight[t] * pull * (norm[t] - 0.5 * pull)
        size += weight[t] * pull
        share = weight[t] * (radius[t] / norm[t] if norm[t] > radius[t] else 1.0)
        for j in range(d):
            gradient[j] -= share * (Z[t, j] - center[j])
    return value, size


@jit(fastmath=SUMS)
def huber_curvature(Z, center, radius, weight, norm, H):
    """Compute the second derivative H (d, d) of ``huber_sums`` in the center.

    Return the curvature of the squares that touch the functions at these distances.
    """
    T, d = Z.shape
    total = 0.0
    for j in range(d):
        for k in range(d):
            H[j, k] = 0.0
    for t in range(T):
        outside = norm[t] > radius[t]
        share = weight[t] * (radius[t] / norm[t] if outside else 1.0)
        total += share
        if not outside:
            continue
        factor = share / (norm[t] * norm[t])
        for j in range(d):
            own = factor * (Z[t, j] - center[j])
            for k in range(d):
                H[j, k] -= own * (Z[t, k] - center[k])
    for j in range(d):
        H[j, j] += total * (1.0 + 1e-12)
    return total
