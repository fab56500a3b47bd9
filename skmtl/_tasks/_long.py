"""Rows grouped by task."""

from functools import cached_property

import numpy as np

from skmtl import _kernels
from skmtl._tasks._base import LossSums, Moments, TaskData, read_only
from skmtl._threads import in_chunks

# Up to here our kernel beats a BLAS call per task; see benchmarks/linear.py.
SMALL = 64
_STRIP = 64  # rows whose columns are summed in registers
_CACHED = 2**14  # rows whose losses stay in the processor's cache


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
        place, self.indptr = _kernels.group_rows(codes, n_tasks)
        grouped = (codes[1:] >= codes[:-1]).all()
        by_column = X.strides[-1] > X.strides[0]  # columns lie together: taking rows would crawl
        if grouped and by_column:
            self.X = np.subtract(X, center, order="C")
        else:
            X = read_only(np.ascontiguousarray(X) if by_column else X)
            self.X = np.empty(X.shape)
            in_chunks(
                lambda first, last: _kernels.scatter_centered(
                    X, place, center, self.X, first, last
                ),
                len(place),
                10 * X.size,  # bound by memory: as slow as ten multiplications an entry
            )
        self.y, self.weight, self.codes = y, weight, codes
        if not grouped:
            self.y, self.codes = np.empty_like(y), np.empty_like(codes)
            self.y[place], self.codes[place] = y, codes
            if (weight != weight[0]).any():
                self.weight = np.empty_like(weight)
                self.weight[place] = weight
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
        value, squares, weighted = np.empty((3, len(z)))

        def write(first, last):
            for top in range(first, last, _CACHED):
                rows = slice(top, min(top + _CACHED, last))
                loss_value, gradient = loss.evaluate(self.y[rows], z[rows])
                np.multiply(self.weight[rows], loss_value, out=value[rows])
                np.multiply(self.weight[rows], gradient, out=weighted[rows])
                np.multiply(weighted[rows], gradient, out=squares[rows])

        in_chunks(write, len(z), 40 * len(z))
        return LossSums(self._task_sums(value), self._task_sums(squares), *self._adjoint(weighted))

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
