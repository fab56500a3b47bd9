"""Positive semidefinite matrices of the tasks, and linear systems with a diagonal added."""

from functools import cached_property

import numpy as np

from skmtl._linalg import cholesky_of, cholesky_solve


class TaskMatrix:
    """Matrix ``B = diag(own) + root root'`` of T tasks.

    Parameters
    ----------
    own : ndarray of shape (T,)
    root : ndarray of shape (T, k)
    """

    def __init__(self, own, root):
        self._own, self._root = own, root

    @classmethod
    def of(cls, B):
        """Return a dense matrix (T, T), semidefinite up to rounding, in this form."""
        values, vectors = np.linalg.eigh(B)
        return cls(np.zeros(len(B)), vectors * np.sqrt(np.maximum(values, 0.0)))

    @cached_property
    def dense(self):
        """The matrix as an array (T, T)."""
        return np.diag(self._own) + self._root @ self._root.T

    def __matmul__(self, x):
        return self._own * x + self._root @ (self._root.T @ x)

    def take(self, tasks):
        """Return the matrix of some tasks, a mask."""
        return TaskMatrix(self._own[tasks], self._root[tasks])

    def times(self, factor):
        """Return the product with a positive number."""
        return TaskMatrix(factor * self._own, np.sqrt(factor) * self._root)

    def solver(self, diagonal):
        """Return a function that solves ``(B + diag(diagonal)) x = b``, the diagonal above 0."""
        T, k = self._root.shape
        solve = self._by_woodbury(diagonal) if k < T // 2 else self._by_cholesky(diagonal)

        def refined(b):
            x = solve(b)
            return x + solve(b - self @ x - diagonal * x)

        return refined

    def _by_woodbury(self, diagonal):
        scale = 1.0 / np.sqrt(self._own + diagonal)
        tall = self._root * scale[:, None]
        # (1 + tall'tall)^-1 by QR, which does not square the condition
        Q = np.linalg.qr(np.vstack([tall, np.eye(tall.shape[1])]))[0][: len(tall)]
        return lambda b: scale * (scale * b - Q @ (Q.T @ (scale * b)))

    def _by_cholesky(self, diagonal):
        # Scaled to a unit diagonal, which spans many magnitudes late in an interior point method.
        scale = 1.0 / np.sqrt(np.diag(self.dense) + diagonal)
        A = self.dense * scale * scale[:, None]
        np.fill_diagonal(A, 1.0)
        factor = cholesky_of(A)
        return lambda b: scale * cholesky_solve(factor, scale * b)
