"""TaskData: the rows of all tasks, and every product with X.

Two layouts with one interface: ``LongData`` keeps rows grouped by task, ``WideData`` one X that
all tasks share. Both hold X minus ``center``, the overall weighted mean of the features (zeros
without an intercept), in C order and float64; predictions are ``x . w_t + level_t`` with this
centred x. Tasks that have the same rows share a *block*, the unit of which moments are taken.
"""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import NamedTuple

import numpy as np

from skmtl import _kernels
from skmtl._threads import in_chunks

# Up to here our kernel beats a BLAS call per task; see benchmarks/linear.py.
SMALL = 64
_STRIP = 64  # rows whose columns are summed in registers
_TILE = 2**19  # predictions of a tile: few enough for the cache, enough for BLAS


class LossSums(NamedTuple):
    """Sums of a loss over the rows of each task, all weighted.

    ``value`` (T,): the loss; ``squares`` (T,): its squared pointwise gradients; ``G`` (T, d) and
    ``R`` (T,): its gradient in the task's coefficients and level.
    """

    value: np.ndarray
    squares: np.ndarray
    G: np.ndarray
    R: np.ndarray


class Moments(NamedTuple):
    """Weighted second-order moments of B blocks.

    ``H`` (B, d, d): Gram about the block's own mean; ``mean`` (B, d); ``total`` (B,): weight.
    """

    H: np.ndarray
    mean: np.ndarray
    total: np.ndarray


def weighted_mean(X, weight):
    """Return the weighted mean of the rows of X, shape (d,).

    It is taken about the first row: a constant column has its constant for mean, to the last
    digit, and an offset of 1e8 costs no digits.
    """
    X = _read_only(X)

    def part(first, last):
        sums = np.empty(X.shape[1])
        _kernels.column_sums(X, weight, sums, first, last)
        return sums

    return X[0] + sum(in_chunks(part, len(X), 4 * X.size)) / weight.sum()


def _read_only(X):
    """Return a view that cannot be written to: one type, one compiled kernel, for all arrays."""
    X = X.view()
    X.flags.writeable = False
    return X


class TaskData(ABC):
    """Rows of T tasks with targets and weights; see the module for the layouts.

    Attributes
    ----------
    X : ndarray of shape (n, d), centred
    y : ndarray, targets in the data's own layout
    center : ndarray of shape (d,)
    block : ndarray of shape (T,)
        Block of each task.
    scale : ndarray of shape (T,)
        Weight that multiplies the block's moments (the task weight in the wide form).
    """

    X: np.ndarray

    @property
    def n_features(self):
        """Number of features d."""
        return self.X.shape[1]

    @property
    def n_tasks(self):
        """Number of tasks T."""
        return len(self.block)

    @abstractmethod
    def loss_sums(self, loss, W, level):
        """Return the ``LossSums`` at coefficients W (T, d) and levels (T,)."""

    @abstractmethod
    def null_squares(self, loss):
        """Return ``LossSums.squares`` where every prediction is zero."""

    @abstractmethod
    def gram_product(self, W, level):
        """Return ``(X' Z, 1' Z)`` per task, Z the weighted predictions: (T, d) and (T,)."""

    @cached_property
    @abstractmethod
    def square_norms(self):
        """Weighted sums of squares of the centred features per task, (T, d)."""

    @cached_property
    @abstractmethod
    def totals(self):
        """Weight of each task, (T,)."""

    @property
    @abstractmethod
    def block_sizes(self):
        """Rows of each block, (B,)."""

    @abstractmethod
    def _block(self, b):
        """Return the rows and weights of block b."""

    @abstractmethod
    def with_features(self, X):
        """Return the same data on other (centred) features."""

    def block_rows(self, b):
        """Return ``sqrt(weight) (x - mean)`` of block b, (m, d), its mean (d,) and its weight."""
        X, weight = self._block(b)
        mean = weighted_mean(X, weight)
        return np.sqrt(weight)[:, None] * (X - mean), mean, weight.sum()

    def moments(self, blocks):
        """Return the ``Moments`` of the blocks, an integer array."""
        d = self.n_features
        result = Moments(
            np.empty((len(blocks), d, d)), np.empty((len(blocks), d)), np.empty(len(blocks))
        )
        for i, b in enumerate(blocks):
            rows, result.mean[i], result.total[i] = self.block_rows(b)
            np.matmul(rows.T, rows, out=result.H[i])
        return result


class LongData(TaskData):
    """Rows grouped by task; each task is a block of its own.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,)
    weight : ndarray of shape (n,), positive
        Sample weight times task weight.
    codes : ndarray of shape (n,)
        Task of each row, 0 to n_tasks - 1, none empty.
    n_tasks : int
    center : ndarray of shape (d,)
        What to subtract from the features.
    """

    def __init__(self, X, y, weight, codes, n_tasks, center):
        self.center = center
        order, self.indptr = _kernels.group_rows(codes, n_tasks)
        if (codes[1:] >= codes[:-1]).all():
            self.X = np.subtract(X, self.center, order="C")
            self.y, self.weight, self.codes = y, weight, codes
        else:
            if X.strides[-1] > X.strides[0]:  # columns lie together: gathering rows would crawl
                X = np.ascontiguousarray(X)
            X = _read_only(X)
            self.X = np.empty(X.shape)
            in_chunks(
                lambda first, last: _kernels.gather_centered(
                    X, order, self.center, self.X, first, last
                ),
                len(order),
                10 * X.size,  # bound by memory: as slow as ten multiplications an entry
            )
            self.y, self.weight, self.codes = y[order], weight[order], codes[order]
        self.block = np.arange(n_tasks)
        self.scale = np.ones(n_tasks)

    def with_features(self, X):
        """Return the same data on other (centred) features."""
        other = object.__new__(LongData)
        other.__dict__.update(self.__dict__, X=X)
        return other

    def _predict(self, W, level):
        z = np.empty(len(self.X))
        in_chunks(
            lambda first, last: _kernels.predict_rows(self.X, self.codes, W, level, z, first, last),
            len(z),
            4 * self.X.size,
        )
        return z

    def _adjoint(self, g):
        G = np.empty((self.n_tasks, self.n_features))
        R = np.empty(self.n_tasks)
        in_chunks(
            lambda first, last: _kernels.adjoint_rows(self.X, g, self.indptr, G, R, first, last),
            self.n_tasks,
            4 * self.X.size,
        )
        return G, R

    def _task_sums(self, values):
        return np.add.reduceat(values, self.indptr[:-1])

    def loss_sums(self, loss, W, level):
        """Return the ``LossSums`` at coefficients W (T, d) and levels (T,)."""
        z = self._predict(W, level) if W.any() else level[self.codes]
        value, gradient = loss.evaluate(self.y, z)
        weighted = self.weight * gradient
        return LossSums(
            self._task_sums(self.weight * value),
            self._task_sums(weighted * gradient),
            *self._adjoint(weighted),
        )

    def null_squares(self, loss):
        """Return ``LossSums.squares`` where every prediction is zero."""
        return self._task_sums(self.weight * loss.evaluate(self.y, np.zeros_like(self.y))[1] ** 2)

    def gram_product(self, W, level):
        """Return ``(X' Z, 1' Z)`` per task, Z the weighted predictions: (T, d) and (T,)."""
        return self._adjoint(self.weight * self._predict(W, level))

    @cached_property
    def square_norms(self):
        """Weighted sums of squares of the centred features per task, (T, d)."""
        norms = np.empty((self.n_tasks, self.n_features))
        in_chunks(
            lambda first, last: _kernels.square_norms(
                self.X, self.weight, self.indptr, norms, first, last
            ),
            self.n_tasks,
            4 * self.X.size,
        )
        return norms

    @cached_property
    def totals(self):
        """Weight of each task, (T,)."""
        return self._task_sums(self.weight)

    @property
    def block_sizes(self):
        """Rows of each block, (B,)."""
        return np.diff(self.indptr)

    def _block(self, b):
        rows = slice(self.indptr[b], self.indptr[b + 1])
        return self.X[rows], self.weight[rows]

    def moments(self, blocks):
        """Return the ``Moments`` of the blocks, an integer array."""
        d = self.n_features
        if d > SMALL:
            return super().moments(blocks)
        result = Moments(
            np.empty((len(blocks), d, d)), np.empty((len(blocks), d)), np.empty(len(blocks))
        )
        start, stop = self.indptr[blocks], self.indptr[blocks + 1]

        def write(first, last):
            columns = np.zeros((d + 1, _STRIP))
            _kernels.task_moments(self.X, self.weight, start, stop, *result, columns, first, last)

        in_chunks(write, len(blocks), int((stop - start).sum()) * d * d)
        return result


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
        other.__dict__.update(self.__dict__, X=X)
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
