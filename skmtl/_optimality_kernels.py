"""Kernels of the relative KKT residual, compiled by numba."""

import math

import numpy as np

from skmtl._kernels import SUMS, jit


@jit(fastmath=SUMS)
def center_gradient(G, V, weight, free, squares, bound, norm, sums, first, last):
    """Return the largest scaled entry of the gradient in deviations V (T, d) from a center.

    The gradient is ``g_tj = free_t (G_tj + weight_t V_tj)``, its scale is as in ``largest_ratios``.
    Add that of the center, the deviations eliminated, to ``sums`` (d,): ``G_tj`` minus ``g_tj``
    times the share of ``bound_t squares_tj`` in ``bound_t squares_tj + weight_t``, 1 of zeros.
    """
    largest = 0.0
    for t in range(first, last):
        for j in range(G.shape[1]):
            g = free[t] * (G[t, j] + weight[t] * V[t, j])
            curvature = bound[t] * squares[t, j] + weight[t]
            rest = weight[t] / curvature if curvature > 0.0 else 0.0
            sums[j] += G[t, j] - g * (1.0 - rest)
            unit = math.sqrt(curvature) * norm[t]
            if not abs(g) <= largest * unit and largest < np.inf:
                largest = abs(g) / max(unit, 1e-300)
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
