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
    H, mean, total, blocks, least, square, covariance, tasks, places, R, z, W, first, last
):
    """Write rows and targets of blocks, and the coefficients W (T, d) of the targets in the rows.

    H (m, d, d) are Gram matrices about the means (m, d), of weight ``total`` (m,), of the blocks
    ``blocks`` (m,); ``covariance`` (T, d + 1) those of features and target, and last the mean
    target, of the tasks ``tasks[b]`` to ``tasks[b + 1]`` of block b. The rows are a Cholesky factor
    of H, pivoted by size and zero where a pivot is at most ``least``, relative to a unit diagonal;
    ``square`` (d,) are mean squares of the features. If the constant of the last row of a block is
    not zero, that is the mean row. ``places`` are the first row, the end, the first target, the
    lane and the largest number of rows of each block; R (rows, d + 1, lanes), z (targets, lanes).
    """
    d, (rows, ends, targets, lanes, sizes) = H.shape[1], places
    M, C = np.empty((d, d)), np.empty((d, d))
    scale, order, c, x = np.empty(d), np.empty(d, dtype=np.int64), np.empty(d), np.empty(d + 1)
    for m in range(first, last):
        b = blocks[m]
        top, size, lane = rows[b], ends[b] - rows[b], lanes[b]
        last_row = top + size - 1
        has_mean = size > 0 and R[last_row, d, lane] != 0.0
        most = sizes[b] - 1 if has_mean else sizes[b]
        for j in range(d):
            # what is constant within the block but for rounding has no row
            noise = least * total[m] * (square[j] + mean[m, j] ** 2)
            scale[j] = math.sqrt(H[m, j, j]) if H[m, j, j] > noise else 0.0
        for j in range(d):
            for k in range(d):
                positive = scale[j] > 0.0 and scale[k] > 0.0
                M[j, k] = H[m, j, k] / scale[j] / scale[k] if positive else 0.0
        rank = _pivoted_factor(M, most, least, C, order)
        for i in range(rank):
            for j in range(d):
                C[i, j] *= scale[j]
                R[top + i, j, lane] = C[i, j]
        for t in range(tasks[b], tasks[b + 1]):
            start = targets[b] + (t - tasks[b]) * size
            for j in range(d):
                c[j] = covariance[t, j]
            for i in range(rank):
                x[i] = c[order[i]] / C[i, order[i]]
                z[start + i, lane] = x[i]
                for j in range(d):
                    c[j] -= C[i, j] * x[i]
            for i in range(rank - 1, -1, -1):
                for k in range(i + 1, rank):
                    x[i] -= C[i, order[k]] * W[t, order[k]]
                W[t, order[i]] = x[i] / C[i, order[i]]
            if has_mean:
                z[start + size - 1, lane] = math.sqrt(total[m]) * covariance[t, d]
        if has_mean:
            root = math.sqrt(total[m])
            for j in range(d):
                R[last_row, j, lane] = root * mean[m, j]
            R[last_row, d, lane] = root


@jit(inline="always")
def _pivoted_factor(M, most, least, C, order):
    """Write a Cholesky factor of M to rows of C, and its pivots to ``order``; return the rank."""
    d, rank = M.shape[0], 0
    while rank < most:
        p = 0
        for j in range(d):
            if M[j, j] > M[p, p]:
                p = j
        if M[p, p] <= least:
            break
        root = math.sqrt(M[p, p])
        for j in range(d):
            C[rank, j] = M[p, j] / root
        for i in range(d):
            for j in range(d):
                M[i, j] -= C[rank, i] * C[rank, j]
        for j in range(d):
            M[p, j] = M[j, p] = 0.0
        order[rank] = p
        rank += 1
    return rank


@jit(fastmath=SUMS)
def whiten(R, rows, z, targets, tasks, scale, F, diagonal, orthogonal, A, a, S, right, first, last):
    """Write ``A = C^-1 R`` and ``a = C^-1 z``; return the sum of ``log|K|`` over the tasks.

    The random slopes of block b, all columns of R but the last, are multiplied by ``scale[b]``. Add
    ``A'A`` and ``A'a`` of all tasks to S (D, D) and ``right`` (D,), zeros before. With
    ``orthogonal``, rows of ``R F`` but the last of each block are orthogonal.
    """
    D, log_det, most = R.shape[1], 0.0, 0
    for b in range(first, last):
        most = max(most, rows[b + 1] - rows[b])
    Z, K, total = np.zeros((F.shape[1] + 3, most)), np.empty((most, most)), np.empty(most)
    for b in range(first, last):
        top, r, count = rows[b], rows[b + 1] - rows[b], tasks[b + 1] - tasks[b]
        _random_parts(R, top, r, scale[b], F, diagonal, Z)
        _add_gram(Z, F.shape[1], r, orthogonal, K)
        for i in range(r):
            total[i] = 0.0
            for k in range(D):
                A[top + i, k] = R[top + i, k]
        log_det += count * _eliminate(K, r, A, top)
        for start in range(targets[b], targets[b + 1], max(r, 1)):
            for i in range(r):
                a[start + i] = z[start + i]
            for i in range(r):
                a[start + i] /= K[i, i]
                x = a[start + i]
                total[i] += x
                for j in range(i + 1, r):
                    a[start + j] -= x * K[i, j]
        for i in range(r):
            for j in range(D):
                right[j] += A[top + i, j] * total[i]
        _add_squares(A, top, r, count, S)
    _mirror(S)
    return log_det


@jit(inline="always")
def _mirror(S):
    """Copy the upper triangle of S (D, D) to the lower one."""
    for j in range(S.shape[0]):
        for k in range(j):
            S[j, k] = S[k, j]


@jit(fastmath=SUMS)
def _random_parts(R, top, r, scale, F, diagonal, Z):
    """Write ``F'R'`` of r rows to Z (m, r)."""
    D, m = R.shape[1], F.shape[1]
    for i in range(r):
        if not diagonal:
            for k in range(m):
                Z[k, i] = 0.0
        for j in range(D):
            x = R[top + i, j] * (scale if j < D - 1 else 1.0)
            if diagonal:
                Z[j, i] = x * F[j, j]
            elif x != 0.0:
                for k in range(m):
                    Z[k, i] += x * F[j, k]


@jit(fastmath=SUMS)
def _add_gram(Z, m, r, orthogonal, K):
    """Write ``I + Z'Z`` (upper triangle) to K; Z has up to three rows of zeros behind m.

    With ``orthogonal``, that is zero but in the diagonal and the last column.
    """
    for i in range(r):
        for k in range(i, r):
            K[i, k] = 0.0
        K[i, i] = 1.0
        if orthogonal:
            for n in range(m):
                K[i, i] += Z[n, i] * Z[n, i]
                if i < r - 1:
                    K[i, r - 1] += Z[n, i] * Z[n, r - 1]
            continue
        for n in range(0, m, 4):  # four at a time: sums stay in registers
            x0, x1, x2, x3 = Z[n, i], Z[n + 1, i], Z[n + 2, i], Z[n + 3, i]
            for k in range(i, r):
                K[i, k] += x0 * Z[n, k] + x1 * Z[n + 1, k] + x2 * Z[n + 2, k] + x3 * Z[n + 3, k]


@jit(fastmath=SUMS)
def _eliminate(K, r, A, top):
    """Replace K by its Cholesky factor C' and rows of A by ``C^-1 A``; return ``log|K|``."""
    D, log_det, product = A.shape[1], 0.0, 1.0
    for i in range(0, r, 2):  # two pivots at a time
        for p in range(i, min(i + 2, r)):
            product *= K[p, p]
            if product > 1e150:  # logarithms take long
                log_det += math.log(product)
                product = 1.0
            root = 1.0 / math.sqrt(K[p, p])
            for k in range(p, r):
                K[p, k] *= root
            for k in range(D):
                A[top + p, k] *= root
            if p == i and p + 1 < r:
                x = K[p, p + 1]
                for k in range(p + 1, r):
                    K[p + 1, k] -= x * K[p, k]
                for k in range(D):
                    A[top + p + 1, k] -= x * A[top + p, k]
        for j in range(i + 2, r):
            x, y = K[i, j], K[i + 1, j]
            if x == 0.0 and y == 0.0:
                continue
            for k in range(j, r):
                K[j, k] -= x * K[i, k] + y * K[i + 1, k]
            for k in range(D):
                A[top + j, k] -= x * A[top + i, k] + y * A[top + i + 1, k]
    return log_det + math.log(product)


@jit(fastmath=SUMS)
def _add_squares(A, top, r, count, S):
    """Add ``count A'A`` of r rows to S, the upper triangle."""
    D, whole = A.shape[1], r - r % 4
    for i in range(top, top + whole, 4):
        for j in range(D):
            x0, x1, x2, x3 = A[i, j], A[i + 1, j], A[i + 2, j], A[i + 3, j]
            x0, x1, x2, x3 = count * x0, count * x1, count * x2, count * x3
            for k in range(j, D):
                S[j, k] += x0 * A[i, k] + x1 * A[i + 1, k] + x2 * A[i + 2, k] + x3 * A[i + 3, k]
    for i in range(top + whole, top + r):
        for j in range(D):
            x0 = count * A[i, j]
            for k in range(j, D):
                S[j, k] += x0 * A[i, k]


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
    """Subtract ``S_t W W'S_t + precision A'e e'A`` of all tasks from G (D, D), with ``S_t = A'A``.

    From zeros, and with ``diagonal`` only from the diagonal.
    """
    D, m = A.shape[1], W.shape[1]
    S, E, h = np.empty((D, D)), np.empty((D, m)), np.empty(D)
    for b in range(first, last):
        top, r, count = rows[b], rows[b + 1] - rows[b], tasks[b + 1] - tasks[b]
        for start in range(targets[b], targets[b + 1], max(r, 1)):
            h[:] = 0.0
            for i in range(r):
                x = e[start + i]
                for j in range(D):
                    h[j] += x * A[top + i, j]
            for j in range(D):
                for k in range(j, j + 1 if diagonal else D):
                    G[j, k] -= precision * h[j] * h[k]
        S[:] = 0.0
        _add_squares(A, top, r, 1.0, S)
        for j in range(D):
            for k in range(j):
                S[j, k] = S[k, j]
            for k in range(m):
                E[j, k] = 0.0
            for n in range(0, D - D % 4, 4):
                x0, x1, x2, x3 = S[j, n], S[j, n + 1], S[j, n + 2], S[j, n + 3]
                for k in range(m):
                    E[j, k] += x0 * W[n, k] + x1 * W[n + 1, k] + x2 * W[n + 2, k] + x3 * W[n + 3, k]
            for n in range(D - D % 4, D):
                x0 = S[j, n]
                for k in range(m):
                    E[j, k] += x0 * W[n, k]
        for j in range(D):
            for k in range(j, j + 1 if diagonal else D):
                s = 0.0
                for n in range(m):
                    s += E[j, n] * E[k, n]
                G[j, k] -= count * s
    _mirror(G)


@jit(fastmath=SUMS)
def gram_squares(R, rows, tasks, scale, norms, squares, first, last):
    """Add the diagonal of ``R'R`` of all tasks to ``norms`` (D,), and its squares to (D, D).

    Both are zeros before. Columns but the last are multiplied by ``scale``.
    """
    D = R.shape[1]
    G = np.empty((D, D))
    for b in range(first, last):
        G[:] = 0.0
        _add_squares(R, rows[b], rows[b + 1] - rows[b], 1.0, G)
        count, square = tasks[b + 1] - tasks[b], scale[b] ** 2
        for j in range(D):
            for k in range(j, D):
                if j < D - 1:
                    G[j, k] *= square if k < D - 1 else scale[b]
                squares[j, k] += count * G[j, k] ** 2
            norms[j] += count * G[j, j]
    _mirror(squares)


@jit(fastmath=SUMS)
def task_grams(A, rows, a, targets, of_place, out, first, last):
    """Write ``[A, a]'[A, a]`` of the task of each block, the place in ``out`` (T, D + 1, D + 1)."""
    D = A.shape[1]
    for b in range(first, last):
        top, r, G = rows[b], rows[b + 1] - rows[b], out[of_place[b]]
        G[:] = 0.0
        _add_squares(A, top, r, 1.0, G)
        for i in range(r):
            target = a[targets[b] + i]
            for j in range(D):
                G[j, D] += A[top + i, j] * target
            G[D, D] += target * target
        for j in range(D + 1):
            for k in range(j):
                G[j, k] = G[k, j]


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


@jit(fastmath=SUMS)
def prediction_variances(X, codes, C, out, first, last):
    """Write ``z'C_t z`` of rows ``z = (x, 1)`` of tasks t, C (T, d + 1, d + 1) symmetric."""
    d = X.shape[1]
    for i in range(first, last):
        t = codes[i]
        variance = C[t, d, d]
        for j in range(d):
            s = C[t, d, j]
            for k in range(j):
                s += C[t, j, k] * X[i, k]
            variance += (2.0 * s + C[t, j, j] * X[i, j]) * X[i, j]
        out[i] = variance
