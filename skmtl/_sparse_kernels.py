"""Compiled loops over the entries of CSR matrices; conventions as in `_kernels`."""

import numpy as np

from skmtl._kernels import jit


@jit()
def has_duplicates(indices, indptr, last_row):
    """Return whether a column stands twice in a row; ``last_row`` (d,) is -1 everywhere."""
    for i in range(indptr.shape[0] - 1):
        for k in range(indptr[i], indptr[i + 1]):
            if last_row[indices[k]] == i:
                return True
            last_row[indices[k]] = i
    return False


@jit()
def without_column(
    values, indices, indptr, column, out_values, out_indices, out_indptr, column_values
):
    """Write a CSR matrix without a column, and its values to ``column_values``, (n,), zeros.

    The first may be written in place. Return the number of entries that are left.
    """
    kept = 0
    out_indptr[0] = 0
    for i in range(column_values.shape[0]):
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            if j == column:
                column_values[i] += values[k]
                continue
            out_values[kept] = values[k]
            out_indices[kept] = j - (j > column)
            kept += 1
        out_indptr[i + 1] = kept
    return kept


@jit()
def sparse_sums(values, indices, indptr, weight, origin, out, first, last):
    """Write the weighted sums of ``x_ij - origin_j`` over the entries of each column, (d,)."""
    for j in range(out.shape[0]):
        out[j] = 0.0
    for i in range(first, last):
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            out[j] += weight[i] * (values[k] - origin[j])


@jit()
def sparse_predict(values, indices, indptr, codes, W, intercept, out, first, last):
    """Write ``x . w_t + intercept_t`` for the rows ``first:last`` of a CSR matrix.

    Sums are not reordered: vector instructions for scattered entries are slow.
    """
    for i in range(first, last):
        w, z = W[codes[i]], 0.0
        for k in range(indptr[i], indptr[i + 1]):
            z += values[k] * w[indices[k]]
        out[i] = z + intercept[codes[i]]


@jit()
def sparse_task_predict(values, indices, indptr, W, intercept, starts, out, first, last):
    """Write ``x . w_t + intercept_t`` for the rows of each task, ``starts[t]:starts[t + 1]``."""
    w = np.empty(W.shape[1])
    for t in range(first, last):
        w[:] = W[t]  # in order: entries alone would fetch it into the cache piece by piece
        for i in range(starts[t], starts[t + 1]):
            z = 0.0
            for k in range(indptr[i], indptr[i + 1]):
                z += values[k] * w[indices[k]]
            out[i] = z + intercept[t]


@jit()
def sparse_adjoint(values, indices, indptr, g, starts, center, G, total, first, last):
    """Write ``G_t = sum_i g_i (x_i - center)`` and ``total_t = sum_i g_i`` over each task's rows.

    Those of task t are ``starts[t]:starts[t + 1]``.
    """
    for t in range(first, last):
        own, intercept = G[t], 0.0
        for i in range(starts[t], starts[t + 1]):
            intercept += g[i]
        total[t] = intercept
        for j in range(G.shape[1]):
            own[j] = -intercept * center[j]
        for i in range(starts[t], starts[t + 1]):
            for k in range(indptr[i], indptr[i + 1]):
                own[indices[k]] += g[i] * values[k]


@jit()
def sparse_adjoint_sum(values, indices, indptr, g, center, out, first, last):
    """Write ``sum_i g_i (x_i - center)`` over the rows ``first:last``, (d,)."""
    total = 0.0
    for i in range(first, last):
        total += g[i]
    for j in range(out.shape[0]):
        out[j] = -total * center[j]
    for i in range(first, last):
        for k in range(indptr[i], indptr[i + 1]):
            out[indices[k]] += g[i] * values[k]


@jit()
def sparse_kernel(
    values, indices, indptr, g, starts, cross, square, share, shared, offset, out, work, first, last
):
    """Write the products of each row i and ``shared + share_t sum_k g_k (x_k - c)``, (d,).

    The sum is over the rows k of its task t. ``cross`` (n,) are the products of rows and c,
    ``square`` that of c, ``offset`` that of c and ``shared``, and ``work`` (d,) equals ``shared``.
    """
    for t in range(first, last):
        low, high = starts[t], starts[t + 1]
        weight, product = 0.0, 0.0
        for i in range(low, high):
            own = share[t] * g[i]
            weight += own
            product += own * cross[i]
            for k in range(indptr[i], indptr[i + 1]):
                work[indices[k]] += own * values[k]
        for i in range(low, high):
            z = 0.0
            for k in range(indptr[i], indptr[i + 1]):
                z += values[k] * work[indices[k]]
            out[i] = z - offset - weight * cross[i] - product + weight * square
        if indptr[high] - indptr[low] < work.shape[0]:
            for k in range(indptr[low], indptr[high]):
                work[indices[k]] = shared[indices[k]]
        else:
            work[:] = shared


@jit()
def sparse_squares(values, indices, indptr, s, starts, center, out, cross, norms, first, last):
    """Write ``sum_i s_i (x_ij - center_j)^2`` over the rows of each task, as above.

    And each row's product with the center, and squared distance to it.
    """
    square = 0.0
    for j in range(center.shape[0]):
        square += center[j] ** 2
    for t in range(first, last):
        total = 0.0
        for i in range(starts[t], starts[t + 1]):
            total += s[i]
        for j in range(out.shape[1]):
            out[t, j] = total * center[j] ** 2
        for i in range(starts[t], starts[t + 1]):
            product, norm = 0.0, 0.0
            for k in range(indptr[i], indptr[i + 1]):
                j = indices[k]
                x, c = values[k], center[j]
                out[t, j] += s[i] * x * (x - 2.0 * c)
                product += x * c
                norm += x**2
            cross[i], norms[i] = product, max(norm - 2.0 * product + square, 0.0)
        for j in range(out.shape[1]):
            out[t, j] = max(out[t, j], 0.0)


@jit()
def sparse_moments(values, indices, indptr, rows, s, starts, center, H, mean, total, first, last):
    """Write the moments of blocks of rows: mean minus ``center``, weight, centered Gram.

    Columns without zeros in a block are summed about their mean. For others, whose products with
    the zeros are left out, the product of the means is subtracted.
    """
    d = H.shape[1]
    origin, count = np.empty(d), np.empty(d, np.int64)
    for b in range(first, last):
        low, high = starts[b], starts[b + 1]
        total[b], count[:], mean[b], H[b] = 0.0, 0, 0.0, 0.0
        for p in range(low, high):
            total[b] += s[p]
            for k in range(indptr[rows[p]], indptr[rows[p] + 1]):
                j = indices[k]
                if p == low:
                    origin[j] = values[k]
                count[j] += 1
                if count[j] == p - low + 1:  # no zero so far: relative to the first row
                    mean[b, j] += s[p] * (values[k] - origin[j])
        for j in range(d):
            mean[b, j] /= total[b]
            if count[j] == high - low:
                mean[b, j] += origin[j]
                origin[j] = mean[b, j]
            else:
                origin[j], mean[b, j] = 0.0, 0.0
        for p in range(low, high):
            for k in range(indptr[rows[p]], indptr[rows[p] + 1]):
                j, x = indices[k], values[k] - origin[indices[k]]
                if count[j] < high - low:
                    mean[b, j] += s[p] * x / total[b]
                for m in range(indptr[rows[p]], indptr[rows[p] + 1]):
                    H[b, j, indices[m]] += s[p] * x * (values[m] - origin[indices[m]])
        for j in range(d):
            for k in range(d):
                H[b, j, k] -= total[b] * (mean[b, j] - origin[j]) * (mean[b, k] - origin[k])
            H[b, j, j] = max(H[b, j, j], 0.0)
        for j in range(d):
            mean[b, j] -= center[j]
