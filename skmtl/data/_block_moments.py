"""Second-order moments of tasks on parts of the rows, and of unions of parts."""

from typing import NamedTuple

import numpy as np

from skmtl.data._long import LongData
from skmtl.losses import SquaredLoss


class BlockMoments(NamedTuple):
    """What a squared loss knows of B blocks of rows, each with the targets of m tasks.

    In the long form every task is a block of its own, (B, m) = (T, 1); in the wide form one block
    has them all, (1, T). Leading axes, before B, are parts of the rows.

    Attributes
    ----------
    H : ndarray of shape (..., B, d, d), Gram of the features about the block's own mean
    mean : ndarray of shape (..., B, d), that mean
    total : ndarray of shape (..., B), weight; 0 where a part has no rows of a block
    xy : ndarray of shape (..., B, m, d), products of features and target about their means
    ymean : ndarray of shape (..., B, m)
    """

    H: np.ndarray
    mean: np.ndarray
    total: np.ndarray
    xy: np.ndarray
    ymean: np.ndarray

    def of(self, parts):
        """Return the moments of the union of some parts, an index array.

        References
        ----------
        T. Chan, G. Golub, R. LeVeque (1983). Algorithms for computing the sample variance:
        analysis and recommendations. The American Statistician 37.
        """
        H, mean, total, xy, ymean = (array[parts] for array in self)
        weight = total.sum(axis=0)
        share = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
        middle = (share[..., None] * mean).sum(axis=0)
        ymiddle = (share[..., None] * ymean).sum(axis=0)
        far, yfar = mean - middle, ymean - ymiddle
        weighted = total[..., None] * far
        return BlockMoments(
            H.sum(axis=0) + np.einsum("pbj,pbk->bjk", weighted, far),
            middle,
            weight,
            xy.sum(axis=0) + np.einsum("pbj,pbm->bmj", weighted, yfar),
            ymiddle,
        )

    def scaled(self, factor):
        """Return the moments with the weights of each block times a factor (B,)."""
        return self._replace(
            H=self.H * factor[:, None, None],
            total=self.total * factor,
            xy=self.xy * factor[:, None, None],
        )

    def take(self, blocks):
        """Return the moments of some of the blocks, an index array."""
        return BlockMoments(*(array[blocks] for array in self))


def long_moments(X, y, weight, codes, n_tasks, part, n_parts):
    """Return the ``BlockMoments`` of all tasks on each part; ``part`` (n,) says whose a row is."""
    d = X.shape[1]
    cell, place = np.unique(part * n_tasks + codes, return_inverse=True)
    total = np.bincount(place, weight)
    ymean = np.bincount(place, weight * y) / total
    data = LongData(X, y, weight, place, len(cell), np.zeros(d))
    sums = data.loss_sums(SquaredLoss(), np.zeros((1, len(cell), d)), ymean[None])
    H, mean, _ = data.moments(np.arange(len(cell)))
    result = BlockMoments(
        np.zeros((n_parts * n_tasks, d, d)),
        np.zeros((n_parts * n_tasks, d)),
        np.zeros(n_parts * n_tasks),
        np.zeros((n_parts * n_tasks, 1, d)),
        np.zeros((n_parts * n_tasks, 1)),
    )
    # about the means of the targets, so that it does not matter where features are counted from
    found = H, mean, total, -sums.G[0][:, None], ymean[:, None]
    for whole, own in zip(result, found, strict=True):
        whole[cell] = own
    return BlockMoments(*(a.reshape(n_parts, n_tasks, *a.shape[1:]) for a in result))


def wide_moments(X, Y, weight, part, n_parts):
    """Return the ``BlockMoments`` of one X with a target (n, T) on each part."""
    found = []
    for number in range(n_parts):
        rows = part == number
        own = weight[rows]
        total = own.sum()
        mean, ymean = own @ X[rows] / total, own @ Y[rows] / total
        root = np.sqrt(own)[:, None]
        A, B = root * (X[rows] - mean), root * (Y[rows] - ymean)
        found.append((A.T @ A, mean, total, B.T @ A, ymean))
    return BlockMoments(*(np.array(arrays)[:, None] for arrays in zip(*found, strict=True)))
