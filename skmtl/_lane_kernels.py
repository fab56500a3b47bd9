"""Kernels of ``_likelihood_kernels.py`` for many tasks with features of their own.

A block is some tasks, each in a lane: the last axis of all arrays. The innermost loops run over
lanes, and so they vectorize where tasks are too small to do so by themselves. Tasks with fewer rows
than others of the block have rows of zeros, which change nothing.
"""

import math

import numpy as np

from skmtl._kernels import SUMS, jit


@jit(fastmath=SUMS)
def whiten(R, rows, z, targets, tasks, scale, F, diagonal, orthogonal, A, a, S, right, first, last):
    """As the kernel of that name; R (rows, D, lanes), z (rows, lanes) and scale (blocks, lanes)."""
    D, lanes, log_det, most = R.shape[1], R.shape[2], 0.0, 0
    for b in range(first, last):
        most = max(most, rows[b + 1] - rows[b])
    m = F.shape[1] + F.shape[1] % 2
    Z, K = np.zeros((m, most, lanes)), np.empty((most, most, lanes))
    product = np.ones(lanes)
    for b in range(first, last):
        top, end = rows[b], rows[b + 1]
        r = end - top
        _random_parts(R[top:end], scale[b], F, diagonal, Z)
        _add_gram(Z, r, orthogonal, K)
        for i in range(r):
            for k in range(D):
                for t in range(lanes):
                    A[top + i, k, t] = R[top + i, k, t]
            for t in range(lanes):
                a[top + i, t] = z[top + i, t]
        for i in range(r):
            if not orthogonal or i == r - 1:
                _eliminate(K, i, r, A[top:end], a[top:end])
            log_det += _times(product, K[i, i])
            for t in range(lanes):
                K[i, i, t] = 1.0 / math.sqrt(K[i, i, t])
            for k in range(i + 1, r):
                for t in range(lanes):
                    K[i, k, t] *= K[i, i, t]
            for k in range(D):
                for t in range(lanes):
                    A[top + i, k, t] *= K[i, i, t]
            for t in range(lanes):
                a[top + i, t] *= K[i, i, t]
            for j in range(D):
                s = 0.0
                for t in range(lanes):
                    s += A[top + i, j, t] * a[top + i, t]
                right[j] += s
                for k in range(j, D):
                    s = 0.0
                    for t in range(lanes):
                        s += A[top + i, j, t] * A[top + i, k, t]
                    S[j, k] += s
    _mirror(S)
    for t in range(lanes):
        log_det += math.log(product[t])
    return log_det


@jit(inline="always")
def _mirror(S):
    """Copy the upper triangle of S (D, D) to the lower one."""
    for j in range(S.shape[0]):
        for k in range(j):
            S[j, k] = S[k, j]


@jit(inline="always")
def _random_parts(R, scale, F, diagonal, Z):
    """Write ``F'R'`` of the rows of a block to Z (m, r, lanes)."""
    D, lanes = R.shape[1], R.shape[2]
    for i in range(R.shape[0]):
        for k in range(F.shape[1]):
            for t in range(lanes):
                Z[k, i, t] = F[D - 1, k] * R[i, D - 1, t]
            for j in range(k if diagonal else 0, min(k + 1, D - 1) if diagonal else D - 1):
                x = F[j, k]
                if x != 0.0:
                    for t in range(lanes):
                        Z[k, i, t] += x * scale[t] * R[i, j, t]


@jit(inline="always")
def _add_gram(Z, r, orthogonal, K):
    """Write ``I + Z'Z`` (upper triangle) to K; if ``orthogonal``, the diagonal and last column."""
    m, lanes = Z.shape[0], Z.shape[2]  # even
    for i in range(r):
        for k in range(i, r):
            for t in range(lanes):
                K[i, k, t] = 1.0 if i == k else 0.0
            if orthogonal and i < k < r - 1:
                continue
            for n in range(0, m, 2):
                for t in range(lanes):
                    K[i, k, t] += Z[n, i, t] * Z[n, k, t] + Z[n + 1, i, t] * Z[n + 1, k, t]


@jit(inline="always")
def _eliminate(K, i, r, A, a):
    """Eliminate the rows above from row i of K, A and a."""
    D, lanes = A.shape[1], A.shape[2]
    for p in range(0, i, 2):  # two at a time: fewer loads and stores
        q, both = min(p + 1, i - 1), 1.0 if p + 1 < i else 0.0
        for k in range(i, r):
            for t in range(lanes):
                K[i, k, t] -= K[p, i, t] * K[p, k, t] + both * K[q, i, t] * K[q, k, t]
        for k in range(D):
            for t in range(lanes):
                A[i, k, t] -= K[p, i, t] * A[p, k, t] + both * K[q, i, t] * A[q, k, t]
        for t in range(lanes):
            a[i, t] -= K[p, i, t] * a[p, t] + both * K[q, i, t] * a[q, t]


@jit(inline="always")
def _times(product, x):
    """Multiply ``product`` by x, or replace it by 1 where large; return the logarithm of that."""
    log, largest = 0.0, 0.0
    for t in range(len(x)):
        product[t] *= x[t]
        largest = max(largest, product[t])
    if largest > 1e150:  # logarithms take long
        for t in range(len(x)):
            log += math.log(product[t])
            product[t] = 1.0
    return log


@jit(fastmath=SUMS)
def residual_squares(A, rows, a, targets, beta, e, first, last):
    """As the kernel of that name; A (rows, D, lanes), a and e (rows, lanes)."""
    squares = 0.0
    for i in range(rows[first], rows[last]):
        for t in range(a.shape[1]):
            e[i, t] = a[i, t]
        for j in range(A.shape[1]):
            x = beta[j]
            for t in range(a.shape[1]):
                e[i, t] -= A[i, j, t] * x
        for t in range(a.shape[1]):
            squares += e[i, t] * e[i, t]
    return squares


@jit(fastmath=SUMS)
def covariance_slopes(A, rows, e, targets, tasks, W, precision, diagonal, G, first, last):
    """As the kernel of that name; A (rows, D, lanes) and e (rows, lanes)."""
    D, lanes, m = A.shape[1], A.shape[2], W.shape[1]
    S, E, h = np.empty((D, D, lanes)), np.empty((m, D, lanes)), np.empty((D, lanes))
    for b in range(first, last):
        _grams(A[rows[b] : rows[b + 1]], S)
        for j in range(D):
            for k in range(j):
                for t in range(lanes):
                    S[j, k, t] = S[k, j, t]
            for t in range(lanes):
                h[j, t] = 0.0
            for i in range(rows[b], rows[b + 1]):
                for t in range(lanes):
                    h[j, t] += e[i, t] * A[i, j, t]
            for n in range(m):
                for t in range(lanes):
                    E[n, j, t] = 0.0
                for k in range(D):
                    if W[k, n] != 0.0:
                        for t in range(lanes):
                            E[n, j, t] += W[k, n] * S[j, k, t]
        for j in range(D):
            for k in range(j, j + 1 if diagonal else D):
                s = 0.0
                for t in range(lanes):
                    s += h[j, t] * h[k, t]
                G[j, k] -= precision * s
                for n in range(m):
                    s = 0.0
                    for t in range(lanes):
                        s += E[n, j, t] * E[n, k, t]
                    G[j, k] -= s
    _mirror(G)


@jit(inline="always")
def _grams(A, S):
    """Write ``A'A`` of each task to S (D, D, lanes), the upper triangle."""
    D, lanes = A.shape[1], A.shape[2]
    for j in range(D):
        for k in range(j, D):
            for t in range(lanes):
                S[j, k, t] = 0.0
            for i in range(A.shape[0]):
                for t in range(lanes):
                    S[j, k, t] += A[i, j, t] * A[i, k, t]


@jit(fastmath=SUMS)
def gram_squares(R, rows, tasks, scale, norms, squares, first, last):
    """As the kernel of that name; R (rows, D, lanes) and scale (blocks, lanes)."""
    D, lanes = R.shape[1], R.shape[2]
    G = np.empty((D, D, lanes))
    for b in range(first, last):
        _grams(R[rows[b] : rows[b + 1]], G)
        for j in range(D):
            for k in range(j, D):
                s, trace = 0.0, 0.0
                for t in range(lanes):
                    x = scale[b, t] if j < D - 1 else 1.0
                    y = scale[b, t] if k < D - 1 else 1.0
                    g = x * y * G[j, k, t]
                    s += g * g
                    trace += g
                squares[j, k] += s
                if j == k:
                    norms[j] += trace
    _mirror(squares)


@jit(fastmath=SUMS)
def task_grams(A, rows, a, targets, of_place, out, first, last):
    """As the kernel of that name; A (rows, D, lanes), a (rows, lanes), places (blocks, lanes)."""
    D, lanes = A.shape[1], A.shape[2]
    G = np.empty((D + 1, D + 1, lanes))
    for b in range(first, last):
        top, end = rows[b], rows[b + 1]
        _grams(A[top:end], G)
        G[:, D] = 0.0
        for i in range(top, end):
            for j in range(D):
                for t in range(lanes):
                    G[j, D, t] += A[i, j, t] * a[i, t]
            for t in range(lanes):
                G[D, D, t] += a[i, t] * a[i, t]
        for t in range(lanes):
            task = of_place[b, t]
            if task >= 0:
                for j in range(D + 1):
                    for k in range(j, D + 1):
                        out[task, j, k] = out[task, k, j] = G[j, k, t]
