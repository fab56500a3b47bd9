"""Compiled loops over rows grouped by task and over many small systems.

Conventions. Rows of task t are ``indptr[t]:indptr[t + 1]``; every kernel works on the tasks
``first:last`` and writes only their entries, so that threads can share the work. Kernels are plain
loops over arrays, without BLAS, ``np.linalg`` or closures: each compiles in a tenth of a second.
They call only kernels of this file (numba's cache misses edits elsewhere). Sums over rows alternate
between two accumulators: with few features, each sum waits for the last one to be stored.
"""

import math

import numba
import numpy as np

_OPTIONS = {"nogil": True, "error_model": "numpy"}
# For sums of products only: they may be reordered, but NaN must not be ruled out.
SUMS = {"reassoc", "contract"}


def jit(**options):
    """Apply ``numba.njit``, with a cache where the folder is writable."""

    def decorate(function):
        try:
            return numba.njit(cache=True, **_OPTIONS, **options)(function)
        except RuntimeError:  # no writable place for the cache
            return numba.njit(**_OPTIONS, **options)(function)

    return decorate


def thread_count():
    """Return the number of threads: ``NUMBA_NUM_THREADS``, which joblib also sets."""
    return numba.config.NUMBA_NUM_THREADS


def group_rows(codes, n_groups):
    """Return each row's position when grouped by code, in order, and where each group starts."""
    indptr = np.concatenate([[0], np.bincount(codes, minlength=n_groups).cumsum()])
    place = np.empty(len(codes), np.intp)
    _place_rows(codes, indptr.copy(), place)
    return place, indptr


@jit()
def _place_rows(codes, free, place):
    """Write each row's position: the next free one of its group."""
    for i in range(codes.shape[0]):
        place[i] = free[codes[i]]
        free[codes[i]] += 1


@jit(fastmath=SUMS)
def column_sums(x, width, origin, weight, out, first, last):
    """Add the weighted sums of ``X[i] - origin`` over the rows ``first:last`` to ``out`` (d,).

    Row i of X is at ``x[width * i]``: neighbors are read as vectors.
    """
    d = out.shape[0]
    for i in range(first, last, 2):
        k = min(i + 1, last - 1)  # of an odd last row itself, with weight zero
        row, other = x[width * i : width * i + d], x[width * k : width * k + d]
        u, v = weight[i], (k - i) * weight[k]
        for j in range(d):
            out[j] += u * (row[j] - origin[j]) + v * (other[j] - origin[j])


@jit()
def scatter_centered(x, width, place, center, out, first, last):
    """Write ``X[i] - center`` to ``out[place[i]]``, for the rows ``first:last`` of X.

    As ``column_sums``. Sequential reads with scattered writes take half the time of the reverse.
    """
    d = out.shape[1]
    for i in range(first, last):
        row, target = x[width * i : width * i + d], out[place[i]]
        for j in range(d):
            target[j] = row[j] - center[j]


@jit(fastmath=SUMS)
def task_moments(X, s, start, stop, H, mean, total, columns, first, last):
    """Write the two-pass moments of the rows ``start[t]:stop[t]``: mean, weight, centered Gram.

    The mean is computed relative to the first row, so that constant features center to exact
    zeros. The Gram is summed in registers, two by two entries at a time, over strips of centered
    rows in the workspace ``columns`` (d + 1, strip), whose last row is not used.
    """
    d, strip = X.shape[1], columns.shape[1]
    for t in range(first, last):
        low, high, weight = start[t], stop[t], 0.0
        for j in range(d):
            mean[t, j] = 0.0
            for k in range(d):
                H[t, j, k] = 0.0
        for i in range(low, high):
            weight += s[i]
            own = mean[t] if i % 2 else H[t, 0]
            for j in range(d):
                own[j] += s[i] * (X[i, j] - X[low, j])
        total[t] = weight
        for j in range(d):
            mean[t, j] = X[low, j] + (mean[t, j] + H[t, 0, j]) / weight
            H[t, 0, j] = 0.0
        for top in range(low, high, strip):
            m = min(strip, high - top)
            for r in range(m):
                root = math.sqrt(s[top + r])
                for j in range(d):
                    columns[j, r] = root * (X[top + r, j] - mean[t, j])
            for j in range(0, d, 2):
                for k in range(j, d, 2):
                    h00, h01, h10, h11 = 0.0, 0.0, 0.0, 0.0
                    for r in range(m):
                        h00 += columns[j, r] * columns[k, r]
                        h01 += columns[j, r] * columns[k + 1, r]
                        h10 += columns[j + 1, r] * columns[k, r]
                        h11 += columns[j + 1, r] * columns[k + 1, r]
                    H[t, j, k] += h00
                    if j + 1 < d:
                        H[t, j + 1, k] += h10
                    if k + 1 < d:
                        H[t, j, k + 1] += h01
                        H[t, j + 1, k + 1] += h11
        for j in range(d):
            for k in range(j):
                H[t, j, k] = H[t, k, j]


@jit()
def semidefinite_roots(A, least, F, first, last):
    """Write F with ``F F' = A`` for semidefinite A (T, d, d), by Cholesky with pivoting.

    Relative to a unit diagonal, what is left out is at most ``least``: pivots by size leave nothing
    larger, unlike the order of the columns.
    """
    d = A.shape[1]
    R, scale = np.empty((d, d)), np.empty(d)
    for t in range(first, last):
        for j in range(d):
            scale[j] = math.sqrt(max(A[t, j, j], 0.0))
        for j in range(d):
            for k in range(d):
                positive = scale[j] > 0.0 and scale[k] > 0.0
                R[j, k] = A[t, j, k] / scale[j] / scale[k] if positive else 0.0
                F[t, j, k] = 0.0
        for k in range(d):
            p = 0
            for j in range(d):
                if R[j, j] > R[p, p]:
                    p = j
            if R[p, p] <= least:
                break
            root = math.sqrt(R[p, p])
            for j in range(d):
                F[t, j, k] = R[j, p] / root
            for i in range(d):
                for j in range(d):
                    R[i, j] -= F[t, i, k] * F[t, j, k]
            for j in range(d):
                R[p, j] = R[j, p] = 0.0
        for j in range(d):
            for k in range(d):
                F[t, j, k] *= scale[j]


@jit()
def add_moments(H, mean, total, place, more, middle, weight, first, last):
    """Add the moments of other rows, ``more``, ``middle`` and ``weight``, to those at ``place``.

    The Gram matrices are about the means, as those of ``task_moments``. A row of H, and
    then also of ``more``, may have the upper triangle only.
    """
    d = mean.shape[1]
    packed, same = H.shape[1] < d * d, H.shape[1] == more.shape[1]
    far = np.empty(d)
    for b in range(first, last):
        t = place[b]
        share, c = weight[b] / (total[t] + weight[b]), 0
        for j in range(d):
            far[j] = middle[b, j] - mean[t, j]
        for j in range(d):
            factor, low = total[t] * share * far[j], j if packed else 0
            m = c if same else j * d + low
            row, own, rest = H[t, c : c + d - low], more[b, m : m + d - low], far[low:]
            for k in range(d - low):
                row[k] += own[k] + factor * rest[k]
            c += d - low
        for j in range(d):
            mean[t, j] += share * far[j]
        total[t] += weight[b]


@jit()
def pack_grams(H, left, right, packed, first, last):
    """Write the upper triangles of ``H_b - left_b right_b'``."""
    d = H.shape[1]
    for b in range(first, last):
        c = 0
        for j in range(d):
            factor, row, rest = left[b, j], H[b, j, j:], right[b, j:]
            out = packed[b, c : c + d - j]
            for k in range(d - j):
                out[k] = row[k] - factor * rest[k]
            c += d - j


@jit(fastmath=SUMS)
def predict_rows(X, codes, W, intercept, out, first, last):
    """Write ``x . w_t + intercept_t``, t the code of each row, for the rows ``first:last``."""
    for i in range(first, last):
        t = codes[i]
        z = 0.0
        for j in range(X.shape[1]):
            z += X[i, j] * W[t, j]
        out[i] = z + intercept[t]


@jit(fastmath=SUMS)
def adjoint_rows(X, g, indptr, G, total, first, last):
    """Write ``G_t = sum_i g_i x_i`` and ``total_t = sum_i g_i`` over the rows of each task."""
    d = X.shape[1]
    sums = np.zeros((2, d))
    for t in range(first, last):
        intercept = 0.0
        for i in range(indptr[t], indptr[t + 1]):
            intercept += g[i]
            own = sums[i % 2]
            for j in range(d):
                own[j] += g[i] * X[i, j]
        for j in range(d):
            G[t, j] = sums[0, j] + sums[1, j]
            sums[0, j] = sums[1, j] = 0.0
        total[t] = intercept


@jit(fastmath=SUMS)
def squared_loss_sums(X, y, s, indptr, W, intercept, G, total, squares, norms, first, last):
    """Write ``G_t = sum_i s_i r_i x_i``, and the sums of ``s_i r_i`` and ``s_i r_i^2``, per task.

    Residuals are ``r_i = x_i . w_t + intercept_t - y_i``. W may be a row that all tasks have; to
    ``norms`` (T, d), if it is not (0, d), what ``square_norms`` writes is written.
    """
    d, asked = X.shape[1], norms.shape[0] > 0
    for t in range(first, last):
        for j in range(d):
            G[t, j] = 0.0
            if asked:
                norms[t, j] = 0.0
        of_intercept, of_squares, end = 0.0, 0.0, indptr[t + 1]
        w = W[t if W.shape[0] > 1 else 0]
        for i in range(indptr[t], end, 2):
            k = min(i + 1, end - 1)  # of an odd last row itself, with weight zero
            r, q, v = intercept[t] - y[i], intercept[t] - y[k], (k - i) * s[k]
            for j in range(d):
                r += X[i, j] * w[j]
            for j in range(d):
                q += X[k, j] * w[j]
            if asked:
                for j in range(d):
                    norms[t, j] += s[i] * X[i, j] * X[i, j] + v * X[k, j] * X[k, j]
            u, v = s[i] * r, v * q
            of_intercept += u + v
            of_squares += u * r + v * q
            for j in range(d):
                G[t, j] += u * X[i, j] + v * X[k, j]
        total[t], squares[t] = of_intercept, of_squares


@jit(fastmath=SUMS)
def square_norms(X, s, indptr, out, first, last):
    """Write ``sum_i s_i x_ij^2`` over the rows of each task."""
    d = X.shape[1]
    sums = np.zeros((2, d))
    for t in range(first, last):
        for i in range(indptr[t], indptr[t + 1]):
            own = sums[i % 2]
            for j in range(d):
                own[j] += s[i] * X[i, j] * X[i, j]
        for j in range(d):
            out[t, j] = sums[0, j] + sums[1, j]
            sums[0, j] = sums[1, j] = 0.0


@jit(fastmath=SUMS)
def factor_blocks(H, delta, h, alpha, suspicious, U, failed, first, last):
    """Complete the blocks, ``H_b += h_b delta_b'``, and factor ``H_b + alpha_b I = U_b' U_b``.

    Blocks with a pivot below ``suspicious`` times its diagonal entry, a ratio independent of the
    scale of the columns, are flagged in ``failed``.
    """
    d = H.shape[1]
    for b in range(first, last):
        for i in range(d):
            for j in range(d):
                H[b, i, j] += h[b, i] * delta[b, j]
                U[b, i, j] = H[b, i, j]
            U[b, i, i] += alpha[b]
        failed[b] = False
        for k in range(d):
            diagonal = U[b, k, k]
            odd = k % 4  # four rows at a time: a quarter of the memory traffic
            for i in range(odd):
                f0 = U[b, i, k]
                for j in range(k, d):
                    U[b, k, j] -= f0 * U[b, i, j]
            for i in range(odd, k, 4):
                f0, f1, f2, f3 = U[b, i, k], U[b, i + 1, k], U[b, i + 2, k], U[b, i + 3, k]
                for j in range(k, d):
                    U[b, k, j] -= (f0 * U[b, i, j] + f1 * U[b, i + 1, j]) + (
                        f2 * U[b, i + 2, j] + f3 * U[b, i + 3, j]
                    )
            if not U[b, k, k] > suspicious * diagonal:
                failed[b] = True
                break
            inverse = 1.0 / math.sqrt(U[b, k, k])
            for j in range(k, d):
                U[b, k, j] *= inverse


@jit(fastmath=SUMS)
def sum_blocks(H, h, kappa, gain, count, U, failed, parent, B, S, first, last):
    """Sum the factored blocks' contributions to the systems of their centers.

    Adds ``gain_b M_b^-1 [H_b, h_b]``, ``M_b = U_b' U_b``, to the upper d rows of that of center
    ``parent_b`` in S (R, d + 1, d + 1), and ``count_b (kappa_b - h_b . M_b^-1 h_b)`` to its corner.
    B (d, m) is workspace, zero after its first d + 1 columns, with m padded for vector
    instructions.
    """
    d, m = B.shape
    for b in range(first, last):
        if failed[b]:
            continue
        for i in range(d):
            for j in range(d):
                B[i, j] = H[b, i, j]
            B[i, d] = h[b, i]
        for i in range(d):
            odd = i % 4
            for k in range(odd):
                f0 = U[b, k, i]
                for j in range(m):
                    B[i, j] -= f0 * B[k, j]
            for k in range(odd, i, 4):
                f0, f1, f2, f3 = U[b, k, i], U[b, k + 1, i], U[b, k + 2, i], U[b, k + 3, i]
                for j in range(m):
                    B[i, j] -= (f0 * B[k, j] + f1 * B[k + 1, j]) + (
                        f2 * B[k + 2, j] + f3 * B[k + 3, j]
                    )
            inverse = 1.0 / U[b, i, i]
            for j in range(m):
                B[i, j] *= inverse
        for i in range(d - 1, -1, -1):
            odd = i + 1 + (d - 1 - i) % 4
            for k in range(i + 1, odd):
                f0 = U[b, i, k]
                for j in range(m):
                    B[i, j] -= f0 * B[k, j]
            for k in range(odd, d, 4):
                f0, f1, f2, f3 = U[b, i, k], U[b, i, k + 1], U[b, i, k + 2], U[b, i, k + 3]
                for j in range(m):
                    B[i, j] -= (f0 * B[k, j] + f1 * B[k + 1, j]) + (
                        f2 * B[k + 2, j] + f3 * B[k + 3, j]
                    )
            inverse = 1.0 / U[b, i, i]
            for j in range(m):
                B[i, j] *= inverse
        corner, p = kappa[b], parent[b]
        for i in range(d):
            corner -= h[b, i] * B[i, d]
            for j in range(d + 1):
                S[p, i, j] += gain[b] * B[i, j]
        S[p, d, d] += count[b] * corner


@jit(fastmath=SUMS)
def solve_blocks(U, block, P, first, last):
    """Overwrite each row ``P_t`` by the solution of ``U_b' U_b v = P_t``, b the task's block."""
    d, v = P.shape[1], np.empty(P.shape[1])
    for t in range(first, last):
        b = block[t]
        for j in range(d):
            v[j] = P[t, j]
        for k in range(0, d - 1, 2):  # two rows of U at a time: loops are short
            x = v[k] / U[b, k, k]
            y = (v[k + 1] - x * U[b, k, k + 1]) / U[b, k + 1, k + 1]
            v[k], v[k + 1] = x, y
            for j in range(k + 2, d):
                v[j] -= x * U[b, k, j] + y * U[b, k + 1, j]
        if d % 2:
            v[d - 1] = v[d - 1] / U[b, d - 1, d - 1] / U[b, d - 1, d - 1]
        for k in range(d - d % 2 - 2, -1, -2):
            x, y = v[k], v[k + 1]
            for j in range(k + 2, d):
                x -= U[b, k, j] * v[j]
                y -= U[b, k + 1, j] * v[j]
            y /= U[b, k + 1, k + 1]
            v[k], v[k + 1] = (x - U[b, k, k + 1] * y) / U[b, k, k], y
        for j in range(d):
            P[t, j] = v[j]


@jit()
def solve_arrowheads(v, w, data, penalty, rest, coupled, first, last):
    """Solve a system of deviations v and their center w for each feature of ``first:last``.

    Its equations are ``data_t (v_t + w) + penalty_t v_t = right_t`` for each task, and their sum
    with that of the center, of which ``rest`` (d,) is the Schur complement; if not ``coupled``,
    ``(data_t + penalty_t) v_t = right_t`` and ``rest w = right``. The solution replaces the
    right-hand sides in v (T, d) and w (d,); ``data`` is (T, d) or, for all features, (T, 1).
    """
    size, one = last - first, data.shape[1] == 1
    center, own = w[first:last], np.empty(size)
    for back in range(1 + coupled):  # eliminate the deviations, then insert the center
        for t in range(v.shape[0]):
            row = v[t, first:last]
            if one:
                own[:] = data[t, 0]
            else:
                own[:] = data[t, first:last]
            if back:
                for j in range(size):
                    row[j] -= center[j] * own[j] / (own[j] + penalty[t])
                continue
            for j in range(size):
                row[j] = row[j] / (own[j] + penalty[t])
            if coupled:
                for j in range(size):
                    center[j] -= own[j] * row[j]
        if not back:
            center /= rest[first:last]
