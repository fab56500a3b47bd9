"""Kernels of the likelihood of random coefficients with any covariance, compiled by numba.

Each block has r rows R (r, D) of features and, for each of its tasks, targets z (r,). With
``F F'`` the covariance of the random coefficients, the rows have the covariance
``K = I + R F F' R' = C C'``.
"""

import math

import numpy as np

from skmtl._kernels import SUMS, jit


@jit()
def compress(
    H, mean, total, blocks, least, square, covariance, tasks, R, rows, z, targets, W, first, last
):
    """Write rows and targets of blocks, and the coefficients W (T, d) of the targets in the rows.

    H (m, d, d) are Gram matrices about the means (m, d), of weight ``total`` (m,), of the blocks
    ``blocks`` (m,); ``covariance`` (T, d + 1) those of features and target, and last the mean
    target, of the tasks ``tasks[b]`` to ``tasks[b + 1]`` of block b. The rows are a Cholesky factor
    of H, pivoted by size and zero where a pivot is at most ``least``, relative to a unit diagonal;
    ``square`` (d,) are mean squares of the features. If the constant of the last row of a block is
    not zero, that is the mean row.
    """
    d = H.shape[1]
    M, scale, order, c = np.empty((d, d)), np.empty(d), np.empty(d, dtype=np.int64), np.empty(d)
    for m in range(first, last):
        b = blocks[m]
        top, size = rows[b], rows[b + 1] - rows[b]
        has_mean = size > 0 and R[top + size - 1, d] != 0.0
        most = size - 1 if has_mean else size
        for j in range(d):
            # what is constant within the block but for rounding has no row
            noise = least * total[m] * (square[j] + mean[m, j] ** 2)
            scale[j] = math.sqrt(H[m, j, j]) if H[m, j, j] > noise else 0.0
        for j in range(d):
            for k in range(d):
                positive = scale[j] > 0.0 and scale[k] > 0.0
                M[j, k] = H[m, j, k] / scale[j] / scale[k] if positive else 0.0
        rank = 0
        while rank < most:
            p = 0
            for j in range(d):
                if M[j, j] > M[p, p]:
                    p = j
            if M[p, p] <= least:
                break
            root = math.sqrt(M[p, p])
            for j in range(d):
                R[top + rank, j] = M[p, j] / root
            for i in range(d):
                for j in range(d):
                    M[i, j] -= R[top + rank, i] * R[top + rank, j]
            for j in range(d):
                M[p, j] = M[j, p] = 0.0
            order[rank] = p
            rank += 1
        for i in range(rank):
            for j in range(d):
                R[top + i, j] *= scale[j]
        for t in range(tasks[b], tasks[b + 1]):
            start = targets[b] + (t - tasks[b]) * size
            for j in range(d):
                c[j] = covariance[t, j]
            for i in range(rank):
                z[start + i] = c[order[i]] / R[top + i, order[i]]
                for j in range(d):
                    c[j] -= R[top + i, j] * z[start + i]
            for i in range(rank - 1, -1, -1):
                s = z[start + i]
                for k in range(i + 1, rank):
                    s -= R[top + i, order[k]] * W[t, order[k]]
                W[t, order[i]] = s / R[top + i, order[i]]
            if has_mean:
                z[start + most] = math.sqrt(total[m]) * covariance[t, d]
        if has_mean:
            root = math.sqrt(total[m])
            for j in range(d):
                R[top + most, j] = root * mean[m, j]
            R[top + most, d] = root


@jit(fastmath=SUMS)
def whiten(R, rows, z, targets, tasks, scale, F, diagonal, A, a, S, right, first, last):
    """Write ``A = C^-1 R`` and ``a = C^-1 z``; return the sum of ``log|K|`` over the tasks.

    The random slopes of block b, all columns of R but the last, are multiplied by ``scale[b]``. Add
    ``A'A`` (upper triangle) and ``A'a`` of all tasks to S (D, D) and ``right`` (D,).
    """
    D, m, log_det = R.shape[1], F.shape[1], 0.0
    most = 0
    for b in range(first, last):
        most = max(most, rows[b + 1] - rows[b])
    Z, C, total = np.empty((most, m)), np.empty((most, most)), np.empty(most)
    for b in range(first, last):
        top, r = rows[b], rows[b + 1] - rows[b]
        for i in range(r):
            for k in range(m):
                Z[i, k] = 0.0
            for j in range(D):
                x = R[top + i, j] * (scale[b] if j < D - 1 else 1.0)
                if diagonal:
                    Z[i, j] = x * F[j, j]
                elif x != 0.0:
                    for k in range(m):
                        Z[i, k] += x * F[j, k]
        own = 0.0
        for i in range(r):
            for j in range(i + 1):
                s = 1.0 if i == j else 0.0
                for k in range(m):
                    s += Z[i, k] * Z[j, k]
                for k in range(j):
                    s -= C[i, k] * C[j, k]
                C[i, j] = math.sqrt(s) if i == j else s / C[j, j]
            own += 2.0 * math.log(C[i, i])
            for k in range(D):
                A[top + i, k] = R[top + i, k]
            for j in range(i):
                x = C[i, j]
                for k in range(D):
                    A[top + i, k] -= x * A[top + j, k]
            for k in range(D):
                A[top + i, k] /= C[i, i]
            total[i] = 0.0
        count = tasks[b + 1] - tasks[b]
        for start in range(targets[b], targets[b + 1], max(r, 1)):
            for i in range(r):
                s = z[start + i]
                for j in range(i):
                    s -= C[i, j] * a[start + j]
                a[start + i] = s / C[i, i]
                total[i] += a[start + i]
        log_det += count * own
        for i in range(r):
            for j in range(D):
                x = A[top + i, j]
                right[j] += x * total[i]
                x *= count
                for k in range(j, D):
                    S[j, k] += x * A[top + i, k]
    return log_det


@jit(fastmath=SUMS)
def residual_squares(A, rows, a, targets, beta, e, first, last):
    """Write ``e = a - A beta`` of each task; return the sum of their squares."""
    D, squares = A.shape[1], 0.0
    for b in range(first, last):
        top, r = rows[b], rows[b + 1] - rows[b]
        for i in range(r):
            s = 0.0
            for j in range(D):
                s += A[top + i, j] * beta[j]
            for start in range(targets[b], targets[b + 1], r):
                e[start + i] = a[start + i] - s
                squares += e[start + i] ** 2
    return squares


@jit(fastmath=SUMS)
def covariance_slopes(A, rows, e, targets, tasks, W, precision, diagonal, G, first, last):
    """Subtract ``A'A W W'A'A + precision A'e e'A`` of all tasks from G (upper triangle).

    With ``diagonal`` only from the diagonal of G.
    """
    D, m = A.shape[1], W.shape[1]
    P, E, h = np.empty(m), np.empty((D, m)), np.empty(D)
    for b in range(first, last):
        top, r = rows[b], rows[b + 1] - rows[b]
        E[:] = 0.0
        for i in range(top, top + r):
            P[:] = 0.0
            for j in range(D):
                x = A[i, j]
                for k in range(m):
                    P[k] += x * W[j, k]
            for j in range(D):
                x = A[i, j]
                for k in range(m):
                    E[j, k] += x * P[k]
        count = tasks[b + 1] - tasks[b]
        for start in range(targets[b], targets[b + 1], max(r, 1)):
            h[:] = 0.0
            for i in range(r):
                x = e[start + i]
                for j in range(D):
                    h[j] += x * A[top + i, j]
            for j in range(D):
                for k in range(j, j + 1 if diagonal else D):
                    G[j, k] -= precision * h[j] * h[k]
        for j in range(D):
            for k in range(j, j + 1 if diagonal else D):
                s = 0.0
                for n in range(m):
                    s += E[j, n] * E[k, n]
                G[j, k] -= count * s


@jit(fastmath=SUMS)
def gram_squares(R, rows, tasks, scale, norms, squares, first, last):
    """Add the diagonal of ``R'R`` of all tasks to ``norms`` (D,), and its squares to (D, D).

    Of the latter, the upper triangle. Columns but the last are multiplied by ``scale``.
    """
    D = R.shape[1]
    for b in range(first, last):
        count = tasks[b + 1] - tasks[b]
        for j in range(D):
            for k in range(j, D):
                s = 0.0
                for i in range(rows[b], rows[b + 1]):
                    s += R[i, j] * R[i, k]
                s *= (scale[b] if j < D - 1 else 1.0) * (scale[b] if k < D - 1 else 1.0)
                squares[j, k] += count * s * s
                if j == k:
                    norms[j] += count * s


@jit()
def best_shared(e, fit, squares, freedom, grid):
    """Return where in ``grid`` the criterion of ``CenterSpectrum`` is least, and that value."""
    least, best = np.inf, 0
    for i in range(grid.shape[0]):
        alpha = math.exp(grid[i])
        rest, log_det = squares, 0.0
        product = 1.0
        for j in range(e.shape[0]):
            share = alpha / (e[j] + alpha)
            rest += share * fit[j]
            if product * share < 1e-200:
                log_det -= math.log(product)
                product = 1.0
            product *= share
        value = freedom * math.log(rest) + log_det - math.log(product)
        if value < least:
            least, best = value, i
    return best, least


@jit()
def refine_shared(x, low, high, narrow, e, fit, squares, freedom):
    """Return the stationary point of that criterion in a bracket, in log alpha_shared.

    By Newton's method, and bisection where that leaves the bracket.
    """
    last = np.inf
    while abs(x - last) > narrow and high - low > narrow:
        alpha = math.exp(x)
        rest, gain, bend, log_slope, log_bend = squares, 0.0, 0.0, 0.0, 0.0
        for j in range(e.shape[0]):
            share = alpha / (e[j] + alpha)
            change = share * (1.0 - share)  # derivative of share in x
            rest += share * fit[j]
            gain += change * fit[j]
            bend += change * (1.0 - 2.0 * share) * fit[j]
            log_slope += 1.0 - share
            log_bend += change
        slope = freedom * gain / rest - log_slope
        bend = freedom * (bend / rest - (gain / rest) ** 2) + log_bend
        if slope < 0.0:
            low = x
        else:
            high = x
        last = x
        x = x - slope / bend if bend > 0.0 else low
        if not low < x < high:
            x = 0.5 * (low + high)
    return x
