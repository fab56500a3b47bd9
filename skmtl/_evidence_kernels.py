"""Kernels of the Laplace evidence of classifiers, compiled by numba."""

import math

import numpy as np

from skmtl._kernels import SUMS, jit


@jit(fastmath=SUMS)
def posterior(H, scale, F, W, S, J, C, first, last):
    """Write ``J = I - V H``, ``S = H J`` and ``C = V + J W W'J'`` of each task, (T, D, D) each.

    V is the covariance of the deviations, a priori ``F F'``, given the curvature H (T, D, D) of the
    loss, and W (D, p) a factor of the covariance of the center. The random slopes, all rows of F
    but the last, of task t are multiplied by ``scale[t]``.
    """
    D, m = F.shape[0], W.shape[1]
    own, X, K = np.empty((D, D)), np.empty((D, D)), np.empty((D, D))
    V, E = np.empty((D, D)), np.empty((D, m))
    for t in range(first, last):
        for j in range(D):
            for k in range(D):
                own[j, k] = F[j, k] * (scale[t] if j < D - 1 else 1.0)
        _multiply(H[t], own, X)
        for j in range(D):  # I + F'HF, its Cholesky factor C, and then C^-1 F'
            for k in range(D):
                K[j, k] = 1.0 if j == k else 0.0
        _add_cross_product(own, X, K)
        for j in range(D):
            for k in range(D):
                X[j, k] = own[k, j]
        for i in range(D):
            root = 1.0 / math.sqrt(K[i, i])
            for k in range(i, D):
                K[i, k] *= root
            for k in range(D):
                X[i, k] *= root
            for j in range(i + 1, D):
                x = K[i, j]
                if x != 0.0:
                    for k in range(j, D):
                        K[j, k] -= x * K[i, k]
                    for k in range(D):
                        X[j, k] -= x * X[i, k]
        V[:] = 0.0
        _add_cross_product(X, X, V)
        _multiply(V, H[t], J[t])
        for j in range(D):
            for k in range(D):
                J[t, j, k] = (1.0 if j == k else 0.0) - J[t, j, k]
        _multiply(H[t], J[t], S[t])
        _multiply(J[t], W, E)
        for j in range(D):
            for k in range(D):
                s = V[j, k]
                for n in range(m):
                    s += E[j, n] * E[k, n]
                C[t, j, k] = s


@jit(fastmath=SUMS)
def _multiply(A, B, out):
    """Write ``A B`` to ``out``."""
    for j in range(A.shape[0]):
        for k in range(B.shape[1]):
            out[j, k] = 0.0
        for n in range(A.shape[1]):
            x = A[j, n]
            for k in range(B.shape[1]):
                out[j, k] += x * B[n, k]


@jit(fastmath=SUMS)
def _add_cross_product(A, B, out):
    """Add ``A'B`` to ``out``."""
    for n in range(A.shape[0]):
        for j in range(A.shape[1]):
            x = A[n, j]
            if x != 0.0:
                for k in range(B.shape[1]):
                    out[j, k] += x * B[n, k]


@jit(fastmath=SUMS)
def class_variances(X, codes, C, p, out, first, last):
    """Write ``diag(V) - 2 V p`` to out (n, K), V (K, K) the covariance of a row's predictions.

    The coefficients of task t, slopes of all classes and then intercepts, have the covariance
    ``C[t]``; p (n, K) are probabilities.
    """
    d, K = X.shape[1], p.shape[1]
    D = K * (d + 1)
    z, product = np.empty(D), np.empty(D)
    for i in range(first, last):
        t = codes[i]
        for k in range(K):
            for j in range(d):
                z[k * d + j] = p[i, k] * X[i, j]
            z[K * d + k] = p[i, k]
        for j in range(D):
            s = 0.0
            for n in range(D):
                s += C[t, j, n] * z[n]
            product[j] = s
        for k in range(K):
            c = K * d + k
            own, mean = C[t, c, c], product[c]
            for j in range(d):
                s = 2.0 * C[t, k * d + j, c]
                for n in range(d):
                    s += C[t, k * d + j, k * d + n] * X[i, n]
                own += s * X[i, j]
                mean += product[k * d + j] * X[i, j]
            out[i, k] = own - 2.0 * mean
