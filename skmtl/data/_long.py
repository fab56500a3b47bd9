"""Rows grouped by task."""

from functools import cached_property, partial

import numpy as np

from skmtl import _kernels
from skmtl._threads import in_chunks
from skmtl.data._layout import FLAT, LossSums, TaskData, read_only, row_major
from skmtl.losses import SquaredLoss

# Largest d for which our kernel is faster than one BLAS call per task; see benchmarks/linear.py.
SMALL = 64
_PRODUCT = 1024  # mean size of a task's X above which K predictions use one BLAS product per task
_STRIP = 2**12  # numbers in the rows summed per column in registers: they stay in the fast cache
_CACHED = 2**13  # numbers per pointwise computation that fit into the cache


class LongData(TaskData):
    """Rows grouped by task; each task is one block.

    Parameters
    ----------
    X : ndarray of shape (n, d), or list of ndarray with these rows
    y : ndarray of shape (n,)
    weight : ndarray of shape (n,), positive
        Sample weight times task weight.
    codes : ndarray of shape (n,)
        Task of each row, 0 to n_tasks - 1, none empty.
    n_tasks : int
    center : ndarray of shape (d,)
        Subtracted from the features.
    class_mask : ndarray of shape (K, T) or None
        As of ``class_mask_of``.
    """

    def __init__(self, X, y, weight, codes, n_tasks, center, class_mask=None):
        self.center, self.class_mask = center, class_mask
        self.block, self.scale = np.arange(n_tasks), np.ones(n_tasks)
        place, self.indptr = _kernels.group_rows(codes, n_tasks)
        grouped = (codes[1:] >= codes[:-1]).all()
        self._store(X, place, grouped)
        self.y, self.weight, self.codes = y, weight, codes
        if not grouped:
            self.y, self.codes = np.empty_like(y), np.repeat(self.block, self.block_sizes)
            self.y[place] = y
            if (weight != weight[0]).any():
                self.weight = np.empty_like(weight)
                self.weight[place] = weight

    def _store(self, X, place, grouped):
        """Store X minus the center, each row at its place."""
        parts = X if isinstance(X, list) else [X]
        by_column = parts[0].strides[-1] > parts[0].strides[0]  # indexing rows would be slow
        if grouped and by_column and len(parts) == 1:
            self.X = np.subtract(parts[0], self.center, order="C")
            return
        self.X, first = np.empty((len(place), len(self.center))), 0
        for part in parts:
            own = place[first : first + len(part)]
            scatter = partial(_kernels.scatter_centered, *row_major(part), own, self.center, self.X)
            # memory-bound: each entry costs as much as ten multiplications
            in_chunks(scatter, len(part), 10 * part.size)
            first += len(part)

    @cached_property
    def block_sizes(self):
        """Rows of each block, (B,)."""
        return np.diff(self.indptr)

    @cached_property
    def totals(self):
        """Weight of each task, (T,)."""
        return self.task_sums(self.weight)

    @cached_property
    def square_norms(self):
        """Weighted sums of squares of the centered features per task, (T, d)."""
        norms = np.empty((self.n_tasks, self.n_features))
        self._in_chunks(_kernels.square_norms, self.weight, self.indptr, norms)
        return norms

    def curved(self, curvature):
        """Return the same data with weights times curvatures (n,)."""
        return self._like(weight=self.weight * np.maximum(curvature, FLAT))

    def take(self, tasks):
        """Return the rows of some tasks, an index array, with ``center`` zero."""
        rows = np.concatenate([np.arange(*self.indptr[t : t + 2]) for t in tasks])
        codes = np.repeat(np.arange(len(tasks)), np.diff(self.indptr)[tasks])
        mask = None if self.class_mask is None else self.class_mask[:, tasks]
        parts = self.X[rows], self.y[rows], self.weight[rows], codes
        return LongData(*parts, len(tasks), np.zeros(self.n_features), mask)

    def with_targets(self, y, weight, class_mask):
        """Return the same features with other targets, weights and class mask."""
        return self._like(y=y, weight=weight, class_mask=class_mask)

    def _in_chunks(self, kernel, *arrays):
        """Call a kernel of X on chunks of the tasks."""
        in_chunks(partial(kernel, self.X, *arrays), self.n_tasks, 4 * self.X.size)

    @property
    def _in_products(self):
        """Whether tasks are large enough for one BLAS call each."""
        return self.X.size > _PRODUCT * self.n_tasks

    def _slices(self):
        edges = self.indptr.tolist()
        return enumerate(map(slice, edges[:-1], edges[1:]))

    def task_sums(self, values):
        """Return sums over the rows of each task, (..., T)."""
        return np.add.reduceat(values, self.indptr[:-1], axis=-1)

    def predict(self, W, intercept):
        """Compute the predictions, (K, n)."""
        z = np.empty((len(W), self.n_rows))
        if len(z) > 1 and self._in_products:
            for t, rows in self._slices():
                z[:, rows] = W[:, t] @ self.X[rows].T
                z[:, rows] += intercept[:, t, None]
            return z
        for parts in zip(W, intercept, z, strict=True):
            given = map(read_only, (self.X, self.codes, *parts[:2]))
            predict = partial(_kernels.predict_rows, *given, parts[2])
            in_chunks(predict, self.n_rows, 4 * self.X.size)
        return z

    def adjoint(self, g):
        """Compute the sums of ``g_i x_i`` and of ``g_i`` per task, of g (K, n)."""
        G = np.empty((len(g), self.n_tasks, self.n_features))
        R = np.empty(G.shape[:-1])
        if len(g) > 1 and self._in_products:
            for t, rows in self._slices():
                G[:, t] = g[:, rows] @ self.X[rows]
            return G, self.task_sums(g)
        for g_k, *sums in zip(g, G, R, strict=True):
            self._in_chunks(_kernels.adjoint_rows, g_k, self.indptr, *sums)
        return G, R

    def weighted_adjoint(self, values):
        """Compute the weighted sums of ``values_i x_i`` and of ``values_i``, of values (K, n)."""
        return self.adjoint(self.weight * values)

    def loss_sums(self, loss, W, intercept):
        """Compute the ``LossSums`` at coefficients W (K, T, d) and intercepts (K, T)."""
        if type(loss) is SquaredLoss and isinstance(self.X, np.ndarray):
            shape, W = W.shape, np.ascontiguousarray(W[0] if W.strides[1] else W[0, :1])
            squares, G, R = (np.empty(s) for s in (self.n_tasks, shape, intercept.shape))
            norms = np.empty((0 if "square_norms" in vars(self) else len(squares), self.n_features))
            at = W, np.ascontiguousarray(intercept[0])
            given = self.y, self.weight, self.indptr, *at, G[0], R[0], squares, norms
            self._in_chunks(_kernels.squared_loss_sums, *given)
            if len(norms):
                self.square_norms = norms  # the cached property
            return LossSums(0.5 * squares, squares, G, R, None)
        if self.class_mask is not None:
            intercept = intercept + self.class_mask
        z = self.predict(W, intercept) if W.any() else np.take(intercept, self.codes, axis=-1)
        del W  # as large as the sums; a caller that has no name for it needs no memory for it
        sums, weighted = np.empty((2, self.n_rows)), np.empty(z.shape)
        value, squares = sums
        derivative = None if loss.constant_curvature is not None else np.empty(z.shape)
        strip = max(1, _CACHED * self.n_rows // z.size)

        def write(first, last):
            for top in range(first, last, strip):
                rows = slice(top, min(top + strip, last))
                loss_value, gradient = loss.evaluate(self.y[rows], z[:, rows])
                np.multiply(self.weight[rows], loss_value, out=value[rows])
                np.multiply(self.weight[rows], gradient, out=weighted[:, rows])
                np.einsum("ki,ki->i", weighted[:, rows], gradient, out=squares[rows])
                if derivative is not None:
                    derivative[:, rows] = gradient

        in_chunks(write, self.n_rows, 40 * z.size)
        return LossSums(*self.task_sums(sums), *self.adjoint(weighted), derivative)

    def curvature_product(self, loss, derivative, W, intercept):
        """Compute the Hessian of the loss times (W, intercept): (K, T, d) and (K, T)."""
        z = self.predict(W, intercept)
        del W  # as in loss_sums
        return self.adjoint(self.weight * loss.curvature_product(self.y, derivative, z))

    def _block(self, b):
        rows = slice(self.indptr[b], self.indptr[b + 1])
        return self.X[rows], self.weight[rows]

    def rows_of_blocks(self, blocks):
        """Return ``block_rows`` of some blocks: all rows, means (B, d) and weights (B,)."""
        if len(blocks) < self.n_tasks:
            return super().rows_of_blocks(blocks)
        total, mean = self.totals, np.empty((self.n_tasks, self.n_features))
        self._in_chunks(_kernels.adjoint_rows, self.weight, self.indptr, mean, np.empty(len(total)))
        mean /= total[:, None]
        rows = self.X - np.repeat(mean, self.block_sizes, axis=0)
        if (self.weight != 1).any():
            rows *= np.sqrt(self.weight)[:, None]
        return rows, mean, total.copy()

    def _write_moments(self, blocks, result):
        d = self.n_features
        if d > SMALL:
            super()._write_moments(blocks, result)
            return
        start, stop = self.indptr[blocks], self.indptr[blocks + 1]

        def write(first, last):
            columns = np.zeros((d + 1, _STRIP // (d + 1) // 8 * 8))
            _kernels.task_moments(self.X, self.weight, start, stop, *result, columns, first, last)

        in_chunks(write, len(blocks), int((stop - start).sum()) * d * d)
