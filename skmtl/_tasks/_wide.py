"""One X for all tasks."""

from functools import cached_property

import numpy as np

from skmtl._tasks._base import LossSums, TaskData

_TILE = 2**19  # predictions of a tile: few enough for the cache, enough for BLAS


class WideData(TaskData):
    """One X for all tasks; tasks that observe the same rows share a block.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    Y : ndarray of shape (n, T), NaN where a label is not observed
    weight : ndarray of shape (n,), positive
    task_weight : ndarray of shape (T,), positive
    observed : bool ndarray of shape (n, T), or None where all labels are observed
    center : ndarray of shape (d,)
        What to subtract from the features.
    """

    def __init__(self, X, Y, weight, task_weight, observed, center):
        self.weight, self.scale, self.observed = weight, task_weight, observed
        self._weighted = (weight != 1).any()
        self._base = None
        if self.observed is None:
            self._patterns = np.ones((1, len(X)), dtype=bool)
            self.block = np.zeros(Y.shape[1], dtype=np.intp)
        else:
            packed, block = np.unique(
                np.packbits(self.observed, axis=0).T, axis=0, return_inverse=True
            )
            self._patterns = np.unpackbits(packed, axis=1, count=len(X)).astype(bool)
            self.block = block.ravel()
        self.center = center
        self.X = np.subtract(X, self.center, order="C")
        self.y = Y if self.observed is None else np.where(self.observed, Y, 0.0)

    def with_features(self, X):
        """Return the same data on other (centred) features."""
        other = object.__new__(WideData)
        other.__dict__.update(self.__dict__, X=X, _base=None)
        return other

    def _tiles(self):
        """Yield slices of rows and of tasks whose predictions stay in the processor's cache."""
        n_rows = min(len(self.X), _TILE // 32)
        n_tasks = _TILE // n_rows
        for task in range(0, self.n_tasks, n_tasks):
            for row in range(0, len(self.X), n_rows):
                yield slice(row, row + n_rows), slice(task, task + n_tasks)

    def _weigh(self, values, rows, tasks):
        """Return values (m, t) times row weights, zero where unobserved; ``scale`` comes later."""
        if self.observed is not None:
            values = values * self.observed[rows, tasks]
        return values * self.weight[rows, None] if self._weighted else values

    def _predict(self, W, level, rows, tasks):
        return self.X[rows] @ W[tasks].T + level[tasks]

    def loss_sums(self, loss, W, level):
        """Return the ``LossSums`` at coefficients W (T, d) and levels (T,)."""
        if loss.constant_curvature is None or self.observed is not None:
            return self._summed(loss, W, level)
        return self._expanded(loss, W, level)

    def _expanded(self, loss, W, level):
        """Return the ``LossSums`` of a quadratic loss by its expansion about the mean of y.

        With one Gram for all tasks the data are read once, however often they are evaluated.
        """
        if self._base is None:
            mean = self.weight @ self.y / self.weight.sum()
            weighted = self.X * self.weight[:, None]
            base = self._summed(loss, np.zeros_like(W), mean)
            self._base = mean, base, weighted.T @ self.X, weighted.sum(axis=0)
        mean, base, gram, sums = self._base
        scale, curvature, level = self.scale, loss.constant_curvature, level - mean
        # X'Z and 1'Z of what is predicted beyond the mean, and what it adds to the value
        XZ = level[:, None] * sums + (W @ gram if W.any() else 0.0)
        XZ *= scale[:, None]
        Z = scale * (W @ sums + level * self.weight.sum())
        first = np.einsum("tj,tj->t", base.G, W) + base.R * level
        second = np.einsum("tj,tj->t", XZ, W) + Z * level
        return LossSums(
            np.maximum(base.value + first + 0.5 * curvature * second, 0.0),
            np.maximum(base.squares + curvature * (2 * first + curvature * second), 0.0),
            base.G + curvature * XZ,
            base.R + curvature * Z,
        )

    def _summed(self, loss, W, level):
        """Return the ``LossSums``, summed over the data tile by tile."""
        sums = LossSums(*np.zeros((2, self.n_tasks)), np.zeros_like(W), np.zeros(self.n_tasks))
        moving = W.any()
        for rows, tasks in self._tiles():
            z = self._predict(W, level, rows, tasks) if moving else level[tasks]
            value, gradient = loss.evaluate(self.y[rows, tasks], z)
            weighted = self._weigh(gradient, rows, tasks)
            sums.value[tasks] += self._weigh(value, rows, tasks).sum(axis=0)
            sums.squares[tasks] += np.einsum("it,it->t", weighted, gradient)
            sums.R[tasks] += weighted.sum(axis=0)
            sums.G[tasks] += weighted.T @ self.X[rows]
        return self._scaled(sums)

    def null_squares(self, loss):
        """Return ``LossSums.squares`` where every prediction is zero."""
        squares = np.zeros(self.n_tasks)
        for rows, tasks in self._tiles():
            _, gradient = loss.evaluate(self.y[rows, tasks], 0.0)
            squares[tasks] += self._weigh(gradient**2, rows, tasks).sum(axis=0)
        return self.scale * squares

    def gram_product(self, W, level):
        """Return ``(X' Z, 1' Z)`` per task, Z the weighted predictions: (T, d) and (T,)."""
        G, R = np.zeros_like(W), np.zeros(self.n_tasks)
        for rows, tasks in self._tiles():
            weighted = self._weigh(self._predict(W, level, rows, tasks), rows, tasks)
            G[tasks] += weighted.T @ self.X[rows]
            R[tasks] += weighted.sum(axis=0)
        return self._scaled((G, R))

    def _scaled(self, sums):
        """Multiply sums per task by the task weights, in place; return them."""
        if (self.scale != 1).any():
            for part in sums:
                part *= self.scale if part.ndim == 1 else self.scale[:, None]
        return sums

    @cached_property
    def square_norms(self):
        """Weighted sums of squares of the centred features per task, (T, d)."""
        norms = (self._patterns * self.weight) @ self.X**2
        return self.scale[:, None] * norms[self.block]

    @cached_property
    def totals(self):
        """Weight of each task, (T,)."""
        return self.scale * (self._patterns @ self.weight)[self.block]

    @property
    def block_sizes(self):
        """Rows of each block, (B,)."""
        return self._patterns.sum(axis=1)

    def _block(self, b):
        rows = self._patterns[b]
        if rows.all():
            return self.X, self.weight
        return self.X[rows], self.weight[rows]
