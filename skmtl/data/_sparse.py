"""Sparse X: products with its rows minus a center, which are never formed, and both layouts."""

from abc import abstractmethod
from copy import copy
from functools import cached_property, partial

import numpy as np
from scipy import sparse

from skmtl import _sparse_kernels as _kernels
from skmtl._linalg import gram_spectrum
from skmtl._memory import memory_limit
from skmtl._threads import in_chunks
from skmtl.data._layout import TaskData, read_only
from skmtl.data._long import SMALL, LongData
from skmtl.data._wide import WideData

_ROTATED = 256  # rows up to which eigenvectors of X X' take less time than products
_FACTORED = 1024  # features up to which factors of blocks take less time than products
_ALWAYS = 2**23  # numbers of blocks that always fit
_SYSTEMS = 6  # matrices of a center, and what factoring them takes
_FEW = 8  # rows that are compared before entries are counted
_COST = 10  # time of an entry of a sparse product, in multiplications of a dense one


def canonical(X):
    """Return a CSR array of the same numbers, float64, without duplicates; X is not written to."""
    kind = _index_type(X)
    indices, indptr = (part.astype(kind, copy=False) for part in (X.indices, X.indptr))
    X = sparse.csr_array((X.data, indices, indptr), shape=X.shape)
    last_row = np.full(X.shape[1], -1)
    if not X.has_canonical_format and _kernels.has_duplicates(*parts(X)[1:], last_row):
        X = X.copy()
        X.sum_duplicates()
    return X


def split_column(X, j):
    """Return the values of a column of a sparse matrix, (n,), and the matrix without it, in CSR."""
    given, X = X, X.tocsr()
    values = X.data.astype(np.float64, copy=False)
    indices = X.indices.astype(_index_type(X), copy=False)
    labels, indptr = np.zeros(X.shape[0]), np.empty(len(X.indptr), dtype=indices.dtype)
    # in place, but never in memory of the caller
    out = [
        np.empty_like(part) if X is given and part is own else part
        for part, own in ((values, X.data), (indices, X.indices))
    ]
    kept = _kernels.without_column(
        read_only(values), read_only(indices), read_only(X.indptr), j, *out, indptr, labels
    )
    shape = X.shape[0], X.shape[1] - 1
    return labels, sparse.csr_array((out[0][:kept], out[1][:kept], indptr), shape=shape)


def _index_type(X):
    """Return the smallest type of indices, which takes least memory and time."""
    return np.int32 if max(*X.shape, X.nnz) <= np.iinfo(np.int32).max else np.int64


def parts(X):
    """Return values, column indices and row starts of a CSR array, read-only.

    As unsigned integers, indices are not tested for counting from the end: a third of the time.
    """
    indices = (part.view(f"u{part.itemsize}") for part in (X.indices, X.indptr))
    return read_only(X.data), *map(read_only, indices)


def predictions(X, codes, W, intercept):
    """Compute ``x . w_t + intercept_t`` of the rows of a CSR array, (K, n).

    W is (K, T, d), intercept (K, T), and ``codes`` (n,) holds t.
    """
    z = np.empty((len(W), X.shape[0]))
    for W_k, own, z_k in zip(W, intercept, z, strict=True):
        W_k, own = np.ascontiguousarray(W_k), np.ascontiguousarray(own)
        predict = partial(_kernels.sparse_predict, *parts(X), codes, W_k, own, z_k)
        in_chunks(predict, X.shape[0], _COST * X.nnz)
    return z


def sparse_mean(X, weight):
    """Compute the weighted mean of the rows of a CSR array, (d,).

    Sums over columns without zeros are about the first row.
    """
    full = full_columns(X)
    if not full.any():
        return (X.T @ weight) / weight.sum()
    origin = np.where(full, X[[0]].toarray()[0], 0.0)

    def part(first, last):
        sums = np.empty(X.shape[1])
        _kernels.sparse_sums(*parts(X), weight, origin, sums, first, last)
        return sums

    return origin + sum(in_chunks(part, X.shape[0], _COST * X.nnz)) / weight.sum()


def full_columns(X):
    """Return which columns of a CSR array have an entry in every row, (d,)."""
    common = X.indices[: X.indptr[1]]
    for i in range(1, min(X.shape[0], _FEW)):
        common = np.intersect1d(common, X.indices[X.indptr[i] : X.indptr[i + 1]])
    if not common.size:
        return np.zeros(X.shape[1], dtype=bool)
    return np.bincount(X.indices, minlength=X.shape[1]) == X.shape[0]


class CenteredRows:
    """Rows of a CSR array minus a center.

    The center is subtracted from the values of columns that have an entry in every row, so that a
    large offset costs no digits. In all other columns it is a correction of products.

    Parameters
    ----------
    X : csr_array of shape (n, d)
    center : ndarray of shape (d,)
    """

    def __init__(self, X, center):
        full = full_columns(X) & (center != 0)
        if full.any():
            values = X.data - np.where(full, center, 0.0)[X.indices]
            X = sparse.csr_array((values, X.indices, X.indptr), shape=X.shape)
        self.csr, self.center = X, np.where(full, 0.0, center)
        self.shape, self.parts = X.shape, parts(X)

    @property
    def work(self):
        """Cost of a product, in multiplications."""
        return _COST * self.csr.nnz

    def dense(self, rows):
        """Return the rows of an index array, an ndarray (m, d)."""
        return self.csr[rows].toarray() - self.center

    def times(self, V, rows=None):
        """Return the products of a slice of rows, all for None, and vectors V (k, d): (m, k)."""
        return self._csr(rows) @ V.T - V @ self.center

    def adjoint(self, g, rows=None):
        """Return the sums of a slice of rows, all for None, times numbers g (m, k): (k, d)."""
        return (self._csr(rows).T @ g).T - np.outer(g.sum(axis=0), self.center)

    def _csr(self, rows):
        return self.csr if rows is None else self.csr[rows]

    def gram(self):
        """Return the products of all pairs of rows, (n, n)."""
        cross = self.csr @ self.center
        inner = (self.csr @ self.csr.T).toarray()
        return inner - cross - cross[:, None] + self.center @ self.center

    def largest(self):
        """Return the largest absolute value in each column, (d,)."""
        values, indices, _ = self.parts
        largest = np.where(full_columns(self.csr), 0.0, np.abs(self.center))
        np.maximum.at(largest, indices, np.abs(values - self.center[indices]))
        return largest

    def weighted_squares(self, weight):
        """Return ``sum_i weight_bi x_ij^2`` for each row of weights (B, n), shape (B, d)."""
        X, center = self.csr, self.center
        squares = sparse.csr_array((X.data**2, X.indices, X.indptr), shape=X.shape)
        sums = (squares.T @ weight.T).T - 2.0 * center * (X.T @ weight.T).T
        return np.maximum(sums + np.outer(weight.sum(axis=1), center**2), 0.0)

    def scaled(self, factor):
        """Return the rows times a factor (d,) of each column."""
        other, csr = copy(self), self.csr
        values = csr.data * factor[csr.indices]
        other.csr = sparse.csr_array((values, csr.indices, csr.indptr), shape=csr.shape)
        other.center, other.parts = self.center * factor, parts(other.csr)
        return other


class RowBasis:
    """An orthonormal basis of the space of n rows, (d, r), for products ``V @ basis``.

    Parameters
    ----------
    X : CenteredRows of shape (n, d)
    transposed : bool
        Whether it is the transpose, (r, d).

    Attributes
    ----------
    rows : ndarray of shape (n, r)
        ``X @ basis``.
    """

    __array_ufunc__ = None  # an ndarray on the left calls __rmatmul__

    def __init__(self, X):
        self._X, self._transposed = X, False
        values, vectors = gram_spectrum(X.gram())
        root = np.sqrt(values)
        self.rows, self._weights = vectors * root, vectors / root

    @property
    def T(self):
        """The transpose."""
        other = copy(self)
        other._transposed = not self._transposed
        return other

    def __rmatmul__(self, V):
        flat = V.reshape(-1, V.shape[-1])
        if self._transposed:
            result = self._X.adjoint(self._weights @ flat.T)
        else:
            result = self._X.times(flat).T @ self._weights
        return result.reshape(*V.shape[:-1], -1)


class SparseLayout(TaskData):
    """What both layouts of a sparse X have in common."""

    @property
    def expensive_blocks(self):
        """Whether products of X and vectors take less time and memory than blocks."""
        (n, d), T = self.X.shape, self.n_tasks
        if d <= SMALL or self.graded:  # products determine little of what only a penalty does
            return False
        if self.rotates:
            needed, few = 4 * n**2, n <= _ROTATED
        else:
            needed, few = (2 * T + 4) * d**2, d <= _FACTORED
        return not few or needed > max(_ALWAYS, 2 * self.X.csr.nnz + 4 * (T + 1) * d)

    def _columns(self, features):
        return CenteredRows(self.X.csr[:, features], self.X.center[features])

    @property
    def largest(self):
        """Largest absolute value of each centered feature, (d,)."""
        return self.X.largest()

    @cached_property
    def row_basis(self):
        """Orthonormal basis (d, r) of the row space of X where n < d, else None."""
        if self.n_rows >= self.n_features:
            return None
        self._check_memory()
        return RowBasis(self.X)

    def _check_memory(self, n_blocks=0):
        """Raise if these blocks, and the systems of a center, do not fit into memory."""
        size = self.n_dimensions
        needed, limit = 8 * (n_blocks + _SYSTEMS) * size**2, memory_limit()
        if needed > limit:
            raise ValueError(
                f"Matrices of {size} rows and columns are needed, about {needed / 2**30:.1f} GiB "
                f"of memory, more than the limit of {limit / 2**30:.1f} GiB. Of a sparse X, only "
                "fits with positive numbers for alpha need no such matrices. Use these, or reduce "
                "the features first, as by TruncatedSVD."
            )

    def _changed(self, B, shift, overwrite):
        if B.ndim == 2:
            raise TypeError(
                "A basis that mixes features would make a sparse X dense. Use one that scales "
                "them, reduce the features first, as by TruncatedSVD, or pass X.toarray()."
            )
        return {"X": self.X.scaled(B)}

    def _room(self, n_blocks, H):
        if not self.rotates:
            self._check_memory(n_blocks)
        return super()._room(n_blocks, H)

    @abstractmethod
    def _index(self, b):
        """Return the rows of X of block b, an index array, and their weights."""

    def _block(self, b):
        if not self.rotates:
            self._check_memory()
        rows, weight = self._index(b)
        return self.X.dense(rows), weight

    def _write_moments(self, blocks, result):
        rows, weights = zip(*map(self._index, blocks), strict=True)
        starts = np.concatenate([[0], np.cumsum([len(own) for own in rows])])
        rows, weight = np.concatenate(rows), np.concatenate(weights)
        work = len(rows) * (self.X.csr.nnz / self.n_rows) ** 2 + len(blocks) * self.n_features**2
        write = partial(
            _kernels.sparse_moments,
            *self.X.parts,
            rows,
            weight,
            starts,
            self.X.center,
            *result,
        )
        in_chunks(write, len(blocks), _COST * int(work))


class SparseLongData(SparseLayout, LongData):
    """Rows of a CSR array grouped by task."""

    has_kernel = True

    def _store(self, X, place, grouped):
        if not grouped:
            order = np.empty_like(place)
            order[place] = np.arange(len(place))
            X = X[order]
        self.X = CenteredRows(X, self.center)

    @cached_property
    def _squares(self):
        """``square_norms``, products of the rows, not centered, and the center, ``row_norms``."""
        T, d, n = self.n_tasks, self.n_features, self.n_rows
        squares = np.empty((T, d)), np.empty(n), np.empty(n)
        self._by_task(_kernels.sparse_squares, self.weight, *squares)
        return squares

    @property
    def square_norms(self):
        """Weighted sums of squares of the centered features per task, (T, d)."""
        return self._squares[0]

    @property
    def row_norms(self):
        """Squared norms of the centered rows, (n,)."""
        return self._squares[2]

    def _by_task(self, kernel, values, *out):
        """Call a kernel of rows with numbers, (n,), on chunks of the tasks."""
        X = self.X
        kernel = partial(kernel, *X.parts, values, self.indptr, X.center, *out)
        in_chunks(kernel, self.n_tasks, self.X.work + self.n_tasks * self.n_features)

    def predict(self, W, intercept):
        """Compute the predictions, (K, n)."""
        X, z = self.X, np.empty((len(W), self.n_rows))
        for W_k, own, z_k in zip(W, intercept - W @ X.center, z, strict=True):
            kernel = partial(_kernels.sparse_task_predict, *X.parts, W_k, own, self.indptr, z_k)
            in_chunks(kernel, self.n_tasks, X.work + W_k.size)
        return z

    def adjoint(self, g):
        """Compute the sums of ``g_i x_i`` and of ``g_i`` per task, of g (K, n)."""
        G = np.empty((len(g), self.n_tasks, self.n_features))
        R = np.empty(G.shape[:-1])
        for g_k, *sums in zip(g, G, R, strict=True):
            self._by_task(_kernels.sparse_adjoint, g_k, *sums)
        return G, R

    def kernel_product(self, g, share, shared):
        """Return the products of each row with ``share_t X_t'g_t + shared X'g``, (n,).

        X_t are the rows of its task, ``g`` is (n,), ``share`` (T,), ``shared`` a number.
        """
        X, (n, d), (_, cross, _) = self.X, self.X.shape, self._squares

        def part(first, last):
            own = np.empty(d)
            _kernels.sparse_adjoint_sum(*X.parts, g, X.center, own, first, last)
            return own

        common = shared * sum(in_chunks(part, n, 2 * X.work)) if shared else np.zeros(d)
        square, out = X.center @ X.center, np.empty(n)
        rows, center = (*X.parts, g, self.indptr, cross, square), X.center @ common
        product = partial(_kernels.sparse_kernel, *rows, share, common, center, out)
        in_chunks(lambda *chunk: product(common.copy(), *chunk), self.n_tasks, 2 * X.work)
        return out

    def _index(self, b):
        rows = np.arange(self.indptr[b], self.indptr[b + 1])
        return rows, self.weight[rows]

    @property
    def _in_row_space(self):
        rows, center = self.row_basis.rows, np.zeros(self.row_basis.rows.shape[1])
        other = LongData(rows, self.y, self.weight, self.codes, self.n_tasks, center)
        other.class_mask = self.class_mask
        return other


class SparseWideData(SparseLayout, WideData):
    """One CSR array for all tasks."""

    def _store(self, X):
        self.X = CenteredRows(X, self.center)

    def _predict(self, rows, W):
        return self.X.times(W, rows)

    def _adjoint(self, rows, g):
        return self.X.adjoint(g, rows)

    @property
    def _has_small_gram(self):
        return self.n_features**2 <= self.X.csr.nnz

    @cached_property
    def square_norms(self):
        """Weighted sums of squares of the centered features per task, (T, d)."""
        return self.scale[:, None] * self.X.weighted_squares(self._block_weight)[self.block]

    def _index(self, b):
        weight = self._block_weight[b]
        rows = np.flatnonzero(weight)
        return rows, weight[rows]

    @property
    def _in_row_space(self):
        rows, center = self.row_basis.rows, np.zeros(self.row_basis.rows.shape[1])
        return WideData(
            rows, self.y, self.weight, self.scale, self.observed, center, self.class_mask
        )
