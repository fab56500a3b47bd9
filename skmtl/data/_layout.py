"""Interface of both data layouts, ``LongData`` and ``WideData``."""

from abc import abstractmethod
from functools import cached_property, partial
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from skmtl import _kernels
from skmtl._linalg import bordered, outer
from skmtl._memory import strips
from skmtl._threads import in_chunks
from skmtl.data._feature_space import FeatureSpace

# Lower bound of curvatures, so that no row drops out where its loss is flat.
FLAT = 1e-16
_STRIP = 2**20  # numbers of rows that are copied where X is stored by columns


class LossSums(NamedTuple):
    """Weighted sums of a loss over the rows of each task, and its pointwise derivatives.

    ``value`` (T,): the loss; ``squares`` (T,): its squared pointwise derivatives; ``G``
    (K, T, d) and ``R`` (K, T): its gradient in the coefficients and intercepts; ``derivative``: its
    pointwise derivatives, without weights, or None where the loss has a constant curvature.
    """

    value: np.ndarray
    squares: np.ndarray
    G: np.ndarray
    R: np.ndarray
    derivative: np.ndarray | None


class Moments(NamedTuple):
    """Weighted second-order moments of B blocks.

    ``H`` (B, d, d): Gram matrix about the block's mean; ``mean`` (B, d); ``total`` (B,): weight.
    Packed to be sent, ``H`` (B, d (d + 1) / 2) has the upper triangles.
    """

    H: np.ndarray
    mean: np.ndarray
    total: np.ndarray

    def gram(self, *, intercept):
        """Return the Gram matrix about zero, with a column of ones if ``intercept``, (B, D, D)."""
        about_zero = self.H + outer(self.total, self.mean, self.mean)
        if not intercept:
            return about_zero
        return bordered(about_zero, self.total[:, None] * self.mean, self.total)

    def unpack(self, room):
        """Write packed moments to ``room``, where H is (B, d, d)."""
        n_blocks, d = self.mean.shape
        place = np.empty((d, d), dtype=np.intp)
        j, k = np.triu_indices(d)
        place[j, k] = place[k, j] = np.arange(len(j))
        whole = room.H.reshape(n_blocks, d * d)  # a view
        self.H.take(place.ravel(), axis=1, out=whole, mode="clip")  # other modes copy
        room.mean[:], room.total[:] = self.mean, self.total

    def add(self, place, other):
        """Add the moments of other rows to the blocks at ``place``, distinct, in place [1]_.

        Both may be packed, or only those here.

        References
        ----------
        .. [1] T. Chan, G. Golub, R. LeVeque (1983). Algorithms for computing the sample variance:
           analysis and recommendations. The American Statistician 37.
           https://doi.org/10.1080/00031305.1983.10483115
        """
        H, more = (m.H.reshape(len(m.H), prod(m.H.shape[1:])) for m in (self, other))  # views
        other = map(read_only, (more, other.mean, other.total))
        kernel = partial(_kernels.add_moments, H, self.mean, self.total, place, *other)
        in_chunks(kernel, len(place), 10 * more.size)


def weighted_mean(X, weight):
    """Compute the weighted mean of the rows of X, shape (d,).

    Sums are about the first row: the mean of a constant column is exact, and an offset of 1e8
    costs no digits.
    """
    origin = np.ascontiguousarray(X[0])

    def part(first, last):
        sums = np.zeros(len(origin))
        for own in strips(last, len(origin), _STRIP, first=first):
            rows = row_major(X[own])
            _kernels.column_sums(*rows, origin, weight[own], sums, 0, own.stop - own.start)
        return sums

    return X[0] + sum(in_chunks(part, len(X), 4 * X.size)) / weight.sum()


def row_major(X):
    """Return X (n, d) as a read-only vector of its memory, and the distance of rows there.

    Of a copy where the entries of a row are not neighbors.
    """
    n, d = X.shape
    step, size = X.strides[0] // X.itemsize, X.itemsize
    if X.strides != (step * size, size) or step < d or d == 0:
        X, step = np.ascontiguousarray(X), d
    return as_strided(X, ((n - 1) * step + d,), (size,), writeable=False), step


def read_only(X):
    """Return a read-only view: one type, so one compiled kernel, for all arrays."""
    X = X.view()
    X.flags.writeable = False
    return X


class TaskData(FeatureSpace):
    """Rows of T tasks with targets and weights; see ``skmtl.data`` for the layouts.

    Predictions, coefficients and gradients have a leading axis of K, the predictions per row of
    the loss: coefficients are (K, T, d), intercepts (K, T) and predictions (K, n).

    Attributes
    ----------
    X : ndarray of shape (n, d) or CenteredRows, the features minus ``center``
    y : ndarray, targets in the data's own layout
    center : ndarray of shape (d,)
    block : ndarray of shape (T,)
        Block of each task.
    block_sizes : ndarray of shape (B,)
        Rows of each block.
    scale : ndarray of shape (T,)
        Weight that multiplies the block's moments (the task weight in the wide form).
    totals : ndarray of shape (T,)
        Weight of each task.
    square_norms : ndarray of shape (T, d)
        Weighted sums of squares of the centered features per task.
    class_mask : ndarray of shape (K, T) or None
        Added to the intercepts: -inf or inf where it excludes a class, else 0.
    expensive_blocks : bool
        Whether products of X and vectors take less time and memory than blocks.
    has_kernel : bool
        Whether there are products with the kernel of the rows (``kernel_product``).
    """

    block: np.ndarray
    class_mask: np.ndarray | None
    expensive_blocks = False
    has_kernel = False

    @cached_property
    def n_tasks(self):
        """Number of tasks T."""
        return len(self.block)

    @property
    def present(self):
        """Mask (K, T) of the intercepts that affect the loss, or None if all do."""
        return None if self.class_mask is None else np.isfinite(self.class_mask)

    @abstractmethod
    def loss_sums(self, loss, W, intercept):
        """Compute the ``LossSums`` at coefficients W (K, T, d) and intercepts (K, T)."""

    @abstractmethod
    def curvature_product(self, loss, derivative, W, intercept):
        """Compute the Hessian of the loss times (W, intercept): (K, T, d) and (K, T).

        ``derivative`` is that of the ``LossSums`` at the same point.
        """

    @abstractmethod
    def curved(self, curvature):
        """Return the same data with weights times curvatures, of the shape of the predictions."""

    @abstractmethod
    def _block(self, b):
        """Return the rows and weights of block b."""

    def block_rows(self, b):
        """Return ``sqrt(weight) (x - mean)`` of block b, (m, d), its mean (d,) and its weight."""
        X, weight = self._block(b)
        mean = weighted_mean(X, weight)
        rows = X - mean
        if (weight != 1).any():
            rows *= np.sqrt(weight)[:, None]
        return rows, mean, weight.sum()

    def rows_of_blocks(self, blocks):
        """Return ``block_rows`` of some blocks: all rows, means (B, d) and weights (B,)."""
        rows, mean, total = zip(*map(self.block_rows, blocks), strict=True)
        rows = rows[0] if len(rows) == 1 else np.concatenate(rows)
        return rows, np.array(mean), np.array(total)

    def moments(self, blocks, room=None):
        """Compute the ``Moments`` of the blocks, an integer array; write H to ``room`` if given."""
        result = self._room(len(blocks), room)
        self._write_moments(blocks, result)
        return result

    def _write_moments(self, blocks, result):
        for i, b in enumerate(blocks):
            rows, result.mean[i], result.total[i] = self.block_rows(b)
            np.matmul(rows.T, rows, out=result.H[i])

    def task_moments(self, tasks):
        """Compute the ``Moments`` of a slice of the tasks, task weights included."""
        H, mean, total = self.moments(self.block[tasks])
        scale = self.scale[tasks]
        return Moments(H * scale[:, None, None], mean, total * scale)

    def _room(self, n_blocks, H):
        """Allocate ``Moments``, with H as given if not None."""
        d = self.n_features
        H = np.empty((n_blocks, d, d)) if H is None else H
        return Moments(H, np.empty((n_blocks, d)), np.empty(n_blocks))
