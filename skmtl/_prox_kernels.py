"""Kernels of the prox of penalties."""

import math

import numpy as np

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


@jit(fastmath=SUMS)
def fusion_sums(W, Z, U, first, second, radius, rho, clipped, norm, gradient):
    """Compute the gradient ``W - Z + D'U`` (T, d), of clipped multipliers of differences DW.

    Those of the edge from ``first_e`` to ``second_e`` are ``U_e + rho (DW)_e``, clipped to a
    radius (E,). ``norm`` (E,) becomes their norms before. Return the square of their change, and
    that of the gradient.
    """
    (E, d), change, square = U.shape, 0.0, 0.0
    for t in range(W.shape[0]):
        for j in range(d):
            gradient[t, j] = W[t, j] - Z[t, j]
    for e in range(E):
        a, b, size = first[e], second[e], 0.0
        for j in range(d):
            own = U[e, j] + rho * (W[a, j] - W[b, j])
            clipped[e, j] = own
            size += own * own
        norm[e] = math.sqrt(size)
        share = radius[e] / norm[e] if norm[e] > radius[e] else 1.0
        for j in range(d):
            own = share * clipped[e, j]
            clipped[e, j] = own
            gradient[a, j] += own
            gradient[b, j] -= own
            change += (own - U[e, j]) * (own - U[e, j])
    for t in range(W.shape[0]):
        for j in range(d):
            square += gradient[t, j] * gradient[t, j]
    return change, square


@jit(fastmath=SUMS)
def _fusion_product(P, first, second, share, along, Q):
    """Compute ``Q = P + D' diag(share) (I - along along') D P``; return ``<P, Q>``."""
    (E, d), product = along.shape, 0.0
    for t in range(P.shape[0]):
        for j in range(d):
            Q[t, j] = P[t, j]
            product += P[t, j] * P[t, j]
    for e in range(E):
        a, b, inner, square = first[e], second[e], 0.0, 0.0
        for j in range(d):
            own = P[a, j] - P[b, j]
            inner += along[e, j] * own
        for j in range(d):
            own = P[a, j] - P[b, j]
            moved = share[e] * (own - along[e, j] * inner)
            square += own * moved
            Q[a, j] += moved
            Q[b, j] -= moved
        product += square
    return product


@jit(fastmath=SUMS)
def fusion_step(gradient, first, second, share, along, scale, rtol, limit):
    """Return minus the solution of the system of ``fusion_sums``' derivative and its gradient.

    By conjugate gradients, preconditioned by ``scale`` (T,), to a relative residual.
    """
    T, d = gradient.shape
    X, P, Q, R = np.zeros((T, d)), np.zeros((T, d)), np.empty((T, d)), -gradient
    last = 1.0
    goal = rtol * np.sqrt(np.sum(R * R))
    for count in range(limit):
        size, square = 0.0, 0.0
        for t in range(T):
            for j in range(d):
                size += R[t, j] * R[t, j]
                square += R[t, j] * R[t, j] / scale[t]
        size = math.sqrt(size)
        if size <= goal or not math.isfinite(size):
            break
        turn = square / last if count else 0.0
        for t in range(T):
            for j in range(d):
                P[t, j] = R[t, j] / scale[t] + turn * P[t, j]
        length = square / _fusion_product(P, first, second, share, along, Q)
        for t in range(T):
            for j in range(d):
                X[t, j] += length * P[t, j]
                R[t, j] -= length * Q[t, j]
        last = square
    return X


@jit()
def total_variation(Z, threshold, W):
    """Write, for each column j, the w that minimizes ``1/2 ||w - z||^2 + threshold_j sum |dw|``."""
    n = Z.shape[0]
    for j in range(Z.shape[1]):
        total, sums, widest = 0.0, 0.0, 0.0
        for i in range(n):
            total += Z[i, j] - Z[0, j]
        mean = Z[0, j] + total / n
        for i in range(n - 1):
            sums += Z[i, j] - mean
            widest = max(widest, abs(sums))
        if widest <= threshold[j]:  # also where that is infinite
            for i in range(n):
                W[i, j] = mean
        else:
            _denoise(Z, j, threshold[j], W)


@jit()
def _denoise(Z, j, bound, W):
    """Write one column of ``total_variation``.

    The direct algorithm of L. Condat (2013), A direct algorithm for 1-D total variation denoising,
    IEEE Signal Processing Letters 20: a segment grows while some value keeps the dual variable
    within +-bound; ``low`` and ``high`` bracket that value.
    """
    n = Z.shape[0]
    start, k, below, above = 0, 0, 0, 0  # last positions where the value could go down or up
    low, high, dual_low, dual_high = Z[0, j] - bound, Z[0, j] + bound, bound, -bound
    while True:
        last, value, down = -1, 0.0, False  # a finished segment
        if k < n - 1:
            ahead = Z[k + 1, j]
            if ahead + dual_low < low - bound:
                last, value, down = below, low, True
            elif ahead + dual_high > high + bound:
                last, value = above, high
            else:
                k += 1
                dual_low += ahead - low
                dual_high += ahead - high
                if dual_low >= bound:
                    low += (dual_low - bound) / (k - start + 1)
                    dual_low, below = bound, k
                if dual_high <= -bound:
                    high += (dual_high + bound) / (k - start + 1)
                    dual_high, above = -bound, k
                continue
        elif dual_low < 0:
            last, value, down = below, low, True
        elif dual_high > 0:
            last, value = above, high
        else:
            last, value = n - 1, low + dual_low / (n - start)
        for i in range(start, last + 1):
            W[i, j] = value
        if last == n - 1:
            break
        start = last + 1
        if k == n - 1:
            # the other bound of the remaining rows is unchanged
            if down:
                low, dual_low = Z[start, j], bound
                dual_high = Z[start, j] + bound - high
                below = start
            else:
                high, dual_high = Z[start, j], -bound
                dual_low = Z[start, j] - bound - low
                above = start
        else:
            low = Z[start, j] if down else Z[start, j] - 2 * bound
            high = Z[start, j] + 2 * bound if down else Z[start, j]
            dual_low, dual_high, below, above = bound, -bound, start, start
        k = start
