"""Positive semidefinite matrices of the tasks, and linear systems with a diagonal added."""

import numpy as np
from scipy import linalg


def diagonal_and_root(own, root):
    """Return ``diag(own) + root root'``, own (T,) and root (T, k), in the faster form."""
    return LowRank(own, root) if root.shape[1] < len(own) // 2 else Full(dense(own, root))


def dense(own, root):
    """Return ``diag(own) + root root'`` as an array (T, T)."""
    matrix = root @ root.T
    matrix[np.diag_indices_from(matrix)] += own
    return matrix


class Full:
    """Dense matrix B (T, T): Cholesky factorization, T^3 / 3 multiplications."""

    def __init__(self, B):
        self._B = B

    def __matmul__(self, x):
        return self._B @ x

    def take(self, tasks):
        """Return the matrix of some tasks, a mask."""
        return Full(self._B[np.ix_(tasks, tasks)])

    def times(self, factor):
        """Return the product with a positive number."""
        return Full(factor * self._B)

    def solver(self, diagonal):
        """Return a function that solves ``(B + diag(diagonal)) x = b``, the diagonal above 0."""
        # Scaled to a unit diagonal, which spans many magnitudes late in an interior point method.
        scale = 1.0 / np.sqrt(np.diag(self._B) + diagonal)
        A = self._B * scale
        A *= scale[:, None]
        factor = _factor(A)

        def solve(b):
            return scale * linalg.cho_solve(factor, scale * b, check_finite=False)

        return _refined(solve, self, diagonal)


class LowRank:
    """Matrix ``diag(own) + root root'``: Woodbury's identity, T k^2 multiplications."""

    def __init__(self, own, root):
        self._own, self._root = own, root

    def __matmul__(self, x):
        return self._own * x + self._root @ (self._root.T @ x)

    def take(self, tasks):
        """Return the matrix of some tasks, a mask."""
        return diagonal_and_root(self._own[tasks], self._root[tasks])

    def times(self, factor):
        """Return the product with a positive number."""
        return LowRank(factor * self._own, np.sqrt(factor) * self._root)

    def solver(self, diagonal):
        """Return a function that solves ``(B + diag(diagonal)) x = b``, the diagonal above 0."""
        D = self._own + diagonal
        tall = self._root / np.sqrt(D)[:, None]
        # (1 + tall'tall)^-1 by QR, which does not square the condition
        stacked = np.vstack([tall, np.eye(tall.shape[1])])
        Q = np.linalg.qr(stacked)[0][: len(tall)]

        def solve(b):
            b = b / np.sqrt(D)
            return (b - Q @ (Q.T @ b)) / np.sqrt(D)

        return _refined(solve, self, diagonal)


def _factor(A):
    """Return the Cholesky factor of a matrix of unit diagonal, for ``cho_solve``.

    The diagonal is raised by the rounding error, or by more if errors of B make it indefinite.
    """
    shift = len(A) * np.finfo(np.float64).eps
    while True:
        A[np.diag_indices_from(A)] = 1.0 + shift
        try:
            return linalg.cho_factor(A, lower=True, check_finite=False)
        except linalg.LinAlgError:
            shift *= 10


def _refined(solve, matrix, diagonal):
    """Return the function with one step of iterative refinement."""

    def refined(b):
        x = solve(b)
        return x + solve(b - matrix @ x - diagonal * x)

    return refined
