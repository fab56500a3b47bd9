"""What task data are, whatever their layout."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import NamedTuple

import numpy as np

from skmtl import _kernels
from skmtl._threads import in_chunks


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
    X = read_only(X)

    def part(first, last):
        sums = np.empty(X.shape[1])
        _kernels.column_sums(X, weight, sums, first, last)
        return sums

    return X[0] + sum(in_chunks(part, len(X), 4 * X.size)) / weight.sum()


def read_only(X):
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
