"""Kernels of the relative KKT residual, compiled by numba."""

import math

import numpy as np

from skmtl._kernels import SUMS, jit


@jit()
def _larger(largest, entry, unit):
    """Return the larger of a ratio and ``|entry| / unit``, with 0 / 0 = 0; NaN stays."""
    if not abs(entry) <= largest * unit and largest < np.inf:
        return abs(entry) / max(unit, 1e-300)
    return largest


@jit(fastmath=SUMS)
def around_center(
    G, R, V, q, weight, free, of_q, free_q, squares, totals, bound, norm, center, first, last
):
    """Return the largest scaled entry of the gradient in deviations V (T, d) and q (T,).

    The gradient is ``g_tj = free_t (G_tj + weight_t V_tj)``, its scale is as in ``largest_ratios``;
    that in q follows from R (T,) and the numbers ``of_q`` and ``free_q``. V may be a row that all
    tasks have. With the deviations eliminated, add the gradient and the curvature of the center to
    ``center`` (2, d + 1): ``G_tj`` minus ``g_tj`` times the share of ``bound_t squares_tj`` in
    ``bound_t squares_tj + weight_t``, 1 of zeros, and what is left of ``bound_t squares_tj``.
    """
    d, largest, gradient, left = G.shape[1], 0.0, center[0], center[1]
    for t in range(first, last):
        alpha, scale, own, of_t = weight[t], bound[t], free[t], V[t if V.shape[0] > 1 else 0]
        limit, larger = largest * norm[t], 0.0
        for j in range(d):
            g, data = own * (G[t, j] + alpha * of_t[j]), scale * squares[t, j]
            curvature = data + alpha
            rest = alpha / curvature if curvature > 0.0 else 0.0
            gradient[j] += G[t, j] - g * (1.0 - rest)
            left[j] += data * (own * rest + (1.0 - own))
            larger += 0.0 if abs(g) <= limit * math.sqrt(curvature) else 1.0
        if larger > 0.0:  # seldom
            for j in range(d):
                g, curvature = own * (G[t, j] + alpha * of_t[j]), scale * squares[t, j] + alpha
                largest = _larger(largest, g, math.sqrt(curvature) * norm[t])
        g, data = free_q * (R[t] + of_q * q[t]), scale * totals[t]
        curvature = data + of_q
        rest = of_q / curvature if curvature > 0.0 else 0.0
        gradient[d] += R[t] - g * (1.0 - rest)
        left[d] += data * (free_q * rest + (1.0 - free_q))
        largest = _larger(largest, g, math.sqrt(curvature) * norm[t])
    return largest


@jit()
def of_center(largest, center, w, weight, free, norm):
    """Return the larger of a ratio and that of the gradient in the center, (w, c).

    ``center`` is that of ``around_center``, ``weight`` (d,) the penalty weights of w, and ``free``
    whether w and c are free. What has no curvature is not identified: any value is optimal.
    """
    d = w.shape[0]
    for j in range(d + 1):
        g, curvature = center[0, j], center[1, j]
        if j < d:
            g += weight[j] * w[j]
            curvature += weight[j]
        if free[0 if j < d else 1] > 0.0 and curvature > 0.0:
            largest = _larger(largest, g, math.sqrt(curvature) * norm)
    return largest


@jit()
def largest_ratios(V, squares, bound, weight, norm, out, first, last):
    """Write the largest ``|V_tj| / (sqrt(bound_t squares_tj + weight_t) norm_t)`` of each task.

    With 0 / 0 = 0, and not finite if any of them is not.
    """
    unit = np.empty(V.shape[1])
    for t in range(first, last):
        row, own, largest = V[t], squares[t], 0.0
        for j in range(V.shape[1]):
            unit[j] = np.sqrt(bound[t] * own[j] + weight[t]) * norm[t]
        for j in range(V.shape[1]):
            if not abs(row[j]) <= largest * unit[j]:  # seldom: others cost no division
                largest = abs(row[j]) / max(unit[j], 1e-300)
                if not largest < np.inf:
                    break
        out[t] = largest
