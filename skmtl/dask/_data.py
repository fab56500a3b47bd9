"""Data whose rows stay in partitions: the layout of classifiers on Dask."""

from functools import cached_property
from typing import NamedTuple

import dask
import dask.array as da
import numpy as np

from skmtl.dask._graph import constant, task, tree
from skmtl.dask._sums import TaskSums, add, merge
from skmtl.data import LongData, LossSums, Moments, TaskData

_GROUP = 2**21  # numbers of the moments that are summed at a time


class Piece(NamedTuple):
    """Rows of a partition: the numbers of its tasks (m,) and ``LongData`` of these."""

    index: np.ndarray
    data: LongData


class PartitionedData(TaskData):
    """Rows in partitions, of which tasks of Dask compute sums by task.

    Results by row (``LossSums.derivative``, ``y``) are dask arrays, which stay where the rows are.

    Parameters
    ----------
    pieces : list of Delayed
        A ``Piece`` for each partition with rows.
    places : list of ndarray
        The index of each piece.
    sizes : list of int
        Rows of each piece.
    counts : ndarray of shape (T,)
        Rows of each task.
    center : ndarray of shape (d,)
    class_mask : ndarray of shape (K, T) or None
        That of the pieces.
    """

    row_basis = None  # rows are not in this process

    def __init__(self, pieces, places, sizes, counts, center, class_mask):
        self.pieces, self.places, self.sizes, self.counts = pieces, places, sizes, counts
        self.center, self.class_mask = center, class_mask
        self.block, self.scale = np.arange(len(counts)), np.ones(len(counts))
        # Of more than d rows are only moments needed, and moments are what partitions return.
        self.block_sizes = np.maximum(counts, len(center) + 1)

    @property
    def n_rows(self):
        """Number of rows n."""
        return sum(self.sizes)

    @property
    def n_features(self):
        """Number of features d."""
        return len(self.center)

    @cached_property
    def y(self):
        """Targets, a dask array of shape (n,)."""
        parts = [task("targets", _targets, piece) for piece in self.pieces]
        return da.concatenate(
            [
                da.from_delayed(part, (size,), np.float64)
                for part, size in zip(parts, self.sizes, strict=True)
            ]
        )

    @cached_property
    def _squares(self):
        return self._by_task("squares", _square_norms, [()] * len(self.pieces))

    @property
    def totals(self):
        """Weight of each task, (T,)."""
        return self._squares[0]

    @property
    def square_norms(self):
        """Weighted sums of squares of the centered features per task, (T, d)."""
        return self._squares[1]

    @property
    def largest(self):
        """Largest absolute value of each centered feature, (d,)."""
        found = dask.compute(*[task("largest", _largest, piece) for piece in self.pieces])
        return np.max(found, axis=0)

    def _by_task(self, name, function, arguments):
        """Return the sums over pieces of the ``TaskSums`` of a function, arrays (T, ...)."""
        leaves = [
            task(name, function, piece, *own)
            for piece, own in zip(self.pieces, arguments, strict=True)
        ]
        (found,) = dask.compute(tree("sum", add, leaves))
        return found.of_all(self.n_tasks)

    def loss_sums(self, loss, W, intercept):
        """Compute the ``LossSums`` at coefficients W (K, T, d) and intercepts (K, T)."""
        point = constant("coefficients", (loss, W, intercept))
        found = [task("loss", _loss_sums, piece, point) for piece in self.pieces]
        sums = tree("sum", add, [task("loss-sums", _first, own) for own in found])
        slopes = [task("derivative", _second, own) for own in found]
        # A row keeps K numbers for the curvature, also without a cluster.
        sums, *slopes = dask.persist(sums, *slopes)
        value, squares, G, R = sums.compute().of_all(self.n_tasks)
        derivative = da.concatenate(
            [
                da.from_delayed(slope, (len(W), size), np.float64)
                for slope, size in zip(slopes, self.sizes, strict=True)
            ],
            axis=1,
        )
        G = np.ascontiguousarray(G.swapaxes(0, 1))
        return LossSums(value, squares, G, np.ascontiguousarray(R.T), derivative)

    def curvature_product(self, loss, derivative, W, intercept):
        """Compute the Hessian of the loss times (W, intercept): (K, T, d) and (K, T)."""
        point = constant("direction", (loss, W, intercept))
        slopes = derivative.to_delayed().ravel().tolist()
        arguments = [(slope, point) for slope in slopes]
        G, R = self._by_task("curvature-product", _curvature_product, arguments)
        return np.ascontiguousarray(G.swapaxes(0, 1)), np.ascontiguousarray(R.T)

    def curved(self, curvature):
        """Return the same data with weights times curvatures, a dask array (n,)."""
        curvatures = curvature.to_delayed().ravel().tolist()
        pieces = [
            task("curvature", _curved, piece, own)
            for piece, own in zip(self.pieces, curvatures, strict=True)
        ]
        return self._like(pieces=pieces)

    def _block(self, b):
        owners = [p for p, place in zip(self.pieces, self.places, strict=True) if b in place]
        found = dask.compute(*[task("block", _rows, piece, b) for piece in owners])
        X, weight = zip(*found, strict=True)
        return np.concatenate(X), np.concatenate(weight)

    def moments(self, blocks, room=None):
        """Compute the ``Moments`` of the blocks, an integer array; write H to ``room`` if given."""
        result = self._room(len(blocks), room)
        step, leaves = max(1, _GROUP // max(1, self.n_features**2)), []
        wanted = np.zeros(self.n_tasks, dtype=bool)
        groups = [blocks[first : first + step] for first in range(0, len(blocks), step)]
        for group in groups:
            wanted[:] = False
            wanted[group] = True
            own = [
                task("moments", _moments, piece, np.flatnonzero(wanted[place]))
                for piece, place in zip(self.pieces, self.places, strict=True)
                if wanted[place].any()
            ]
            leaves.append(tree("sum", merge, own))
        for k, (group, found) in enumerate(zip(groups, dask.compute(*leaves), strict=True)):
            place = np.searchsorted(found.index, group)
            for whole, part in zip(result, found.arrays, strict=True):
                whole[k * step : k * step + len(group)] = part[place]
        return result


def _first(found):
    return found[0]


def _second(found):
    return found[1]


def _targets(piece):
    return piece.data.y


def _square_norms(piece):
    return TaskSums(piece.index, (piece.data.totals, piece.data.square_norms))


def _largest(piece):
    return piece.data.largest


def _loss_sums(piece, point):
    """Return the ``TaskSums`` of a piece, and the derivative of each row."""
    loss, W, intercept = point
    W, intercept = (np.ascontiguousarray(part[:, piece.index]) for part in (W, intercept))
    value, squares, G, R, derivative = piece.data.loss_sums(loss, W, intercept)
    return TaskSums(piece.index, (value, squares, G.swapaxes(0, 1), R.T)), derivative


def _curvature_product(piece, derivative, point):
    loss, W, intercept = point
    W, intercept = (np.ascontiguousarray(part[:, piece.index]) for part in (W, intercept))
    G, R = piece.data.curvature_product(loss, derivative, W, intercept)
    return TaskSums(piece.index, (G.swapaxes(0, 1), R.T))


def _curved(piece, curvature):
    return Piece(piece.index, piece.data.curved(curvature))


def _rows(piece, b):
    (local,) = np.flatnonzero(piece.index == b)
    own = piece.data.codes == local
    return piece.data.X[own], piece.data.weight[own]


def _moments(piece, local):
    index = piece.index[local]
    order = np.argsort(index)
    return TaskSums(index[order], Moments(*piece.data.moments(local[order])))
