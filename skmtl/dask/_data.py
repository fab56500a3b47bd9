"""Data whose rows stay in partitions: the layout of classifiers on Dask."""

from functools import cached_property
from typing import NamedTuple

import dask
import dask.array as da
import numpy as np

from skmtl.dask._graph import by_worker, client, computed, constant, kept, task, tree
from skmtl.dask._sums import TaskSums, add, merge
from skmtl.data import LossSums, Moments, TaskData, encode_tasks

_GROUP = 2**21  # numbers of the moments that one task computes
_CACHED = 2**17  # of those, numbers that fit into the cache
_AT_ONCE = 4  # such groups at a time, which bounds the memory of the workers


class Piece(NamedTuple):
    """What the rows of partitions, ``LongData``, have in a fit, beside their features.

    ``tasks`` (m,): the numbers of its tasks; ``y`` and ``weight`` (n,); ``class_mask`` (K, m) or
    None.
    """

    tasks: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    class_mask: np.ndarray | None

    def of(self, rows):
        """Return the ``LongData`` of the fit, which shares the features."""
        return rows.with_targets(self.y, self.weight, self.class_mask)


class PartitionedData(TaskData):
    """Rows in partitions, of which tasks of Dask compute sums by task.

    Results by row (``LossSums.derivative``, ``y``) are dask arrays, which stay where the rows are.

    Parameters
    ----------
    rows : list of Delayed
        ``LongData`` of one or more partitions each; kept on the workers.
    pieces : list of Delayed
        A ``Piece`` for each of them, which is small: what shared X would be moved on its own.
    places : list of ndarray
        The tasks of each piece.
    sizes : list of int
        Rows of each piece.
    counts : ndarray of shape (T,)
        Rows of each task.
    center : ndarray of shape (d,)
    class_mask : ndarray of shape (K, T) or None
        That of the pieces.
    """

    row_basis = None  # rows are not in this process

    def __init__(self, rows, pieces, places, sizes, counts, center, class_mask):
        self.rows, self.pieces, self.places, self.sizes = rows, pieces, places, sizes
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
        found = computed(*[task("largest", _largest, own) for own in self.rows])
        return np.max(found, axis=0)

    def _by_task(self, name, function, arguments):
        """Return the sums over pieces of the ``TaskSums`` of a function, arrays (T, ...)."""
        leaves = [
            task(name, function, rows, piece, *own)
            for rows, piece, own in zip(self.rows, self.pieces, arguments, strict=True)
        ]
        (found,) = computed(self._sum(leaves))
        return found.of_all(self.n_tasks)

    def _sum(self, leaves):
        """Return the sum of ``TaskSums`` of the pieces, first over those of a worker."""
        bunches = [[leaves[number] for number in own] for own in by_worker(self.rows)]
        return tree("sum", add, [tree("sum", add, own) for own in bunches])

    def loss_sums(self, loss, W, intercept):
        """Compute the ``LossSums`` at coefficients W (K, T, d) and intercepts (K, T)."""
        point = constant("coefficients", (loss, W, intercept))
        parts = zip(self.rows, self.pieces, strict=True)
        found = [task("loss", _loss_sums, *part, point) for part in parts]
        sums = self._sum([task("loss-sums", _first, own) for own in found])
        slopes = [task("derivative", _second, own) for own in found]
        # A row keeps K numbers for the curvature, also without a cluster.
        sums, *slopes = dask.persist(sums, *slopes)
        value, squares, G, R = computed(sums)[0].of_all(self.n_tasks)
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
            task("curvature", _curved, *part)
            for part in zip(self.rows, self.pieces, curvatures, strict=True)
        ]
        return self._like(pieces=kept(pieces))

    def _changed(self, B, shift, overwrite):
        basis = constant("basis", (B, shift))
        return {"rows": kept([task("basis", _in_basis, own, basis) for own in self.rows])}

    def _block(self, b):
        parts = zip(self.rows, self.pieces, self.places, strict=True)
        owners = [(rows, piece) for rows, piece, place in parts if b in place]
        found = computed(*[task("block", _block, *part, b) for part in owners])
        X, weight = zip(*found, strict=True)
        return np.concatenate(X), np.concatenate(weight)

    def moments(self, blocks, room=None):
        """Compute the ``Moments`` of the blocks, an integer array; write H to ``room`` if given."""
        result, bunches = self._room(len(blocks), room), by_worker(self.rows)
        step = max(1, _GROUP // max(1, self.n_features**2))
        starts = range(0, len(blocks), step)
        at_once = len(starts) if client() is None else _AT_ONCE  # each time rows would be read
        for wave in range(0, len(starts), at_once):
            parts = [slice(first, first + step) for first in starts[wave : wave + at_once]]
            found = computed(*[self._moments(blocks[part], bunches) for part in parts])
            for part, (index, sums) in zip(parts, found, strict=True):
                place = np.searchsorted(index, blocks[part])
                if not np.array_equal(place, np.arange(len(index))):
                    sums = Moments(*[array[place] for array in sums])
                sums.unpack(Moments(*[whole[part] for whole in result]))
        return result

    def _moments(self, tasks, bunches):
        """Return the ``Delayed`` sums of the moments of some tasks, given the pieces by worker."""
        tasks, wanted = np.unique(tasks), np.zeros(self.n_tasks, dtype=bool)
        wanted[tasks] = True
        sums = []
        for bunch in bunches:
            own = [k for k in bunch if wanted[self.places[k]].any()]
            if own:
                parts = [self.rows[k] for k in own], [self.pieces[k] for k in own]
                sums.append(task("moments", _moments, *parts, tasks))
        return tree("sum", merge, sums)


def _first(found):
    return found[0]


def _second(found):
    return found[1]


def _targets(piece):
    return piece.y


def _square_norms(rows, piece):
    data = piece.of(rows)
    return TaskSums(piece.tasks, (data.totals, data.square_norms))


def _largest(rows):
    return rows.largest


def _loss_sums(rows, piece, point):
    """Return the ``TaskSums`` of a piece, and the derivative of each row."""
    loss, *point = point
    W, intercept = (np.ascontiguousarray(part[:, piece.tasks]) for part in point)
    value, squares, G, R, derivative = piece.of(rows).loss_sums(loss, W, intercept)
    return TaskSums(piece.tasks, (value, squares, G.swapaxes(0, 1), R.T)), derivative


def _curvature_product(rows, piece, derivative, point):
    loss, *point = point
    W, intercept = (np.ascontiguousarray(part[:, piece.tasks]) for part in point)
    G, R = piece.of(rows).curvature_product(loss, derivative, W, intercept)
    return TaskSums(piece.tasks, (G.swapaxes(0, 1), R.T))


def _curved(rows, piece, curvature):
    return piece._replace(weight=piece.of(rows).curved(curvature).weight)


def _in_basis(rows, basis):
    return rows.in_basis(*basis)


def _block(rows, piece, b):
    own = piece.tasks[rows.codes] == b
    return rows.X[own], piece.weight[own]


def _moments(rows, pieces, tasks):
    """Return the ``TaskSums`` with the packed ``Moments`` of some tasks, sorted, of all pieces."""
    local = np.array([encode_tasks(tasks, piece.tasks, None) for piece in pieces])
    here = (local >= 0).any(axis=0)
    tasks, local, d = tasks[here], local[:, here], rows[0].n_features
    shapes = (d * (d + 1) // 2,), (d,), ()
    total = Moments(*[np.zeros((len(tasks), *shape)) for shape in shapes])
    step = max(1, _CACHED // max(1, d**2))
    room = np.empty((step, d, d))
    for first in range(0, len(tasks), step):
        some = slice(first, first + step)
        part = Moments(*[array[some] for array in total])
        for own, piece, number in zip(rows, pieces, local[:, some], strict=True):
            place = np.flatnonzero(number >= 0)
            part.add(place, piece.of(own).moments(number[place], room[: len(place)]))
    return TaskSums(tasks, total)
