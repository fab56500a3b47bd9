"""Rows of tasks of different kinds."""

from functools import cached_property

import numpy as np

from skmtl._linalg import row_space
from skmtl.data._feature_space import FeatureSpace
from skmtl.data._layout import LossSums, TaskData
from skmtl.losses import MixedLoss, PoissonLoss


class PartsOfRows(FeatureSpace):
    """The features of rows that are in several parts."""

    parts: list

    @property
    def n_rows(self):
        """Number of rows of all parts."""
        return sum(part.n_rows for part in self.parts)

    @property
    def n_features(self):
        """Number of features d."""
        return self.parts[0].n_features

    @property
    def largest(self):
        """Largest absolute value of each centered feature, (d,)."""
        return np.max([part.largest for part in self.parts], axis=0)

    @cached_property
    def row_basis(self):
        """Orthonormal basis (d, r) of the row space of a dense X where n < d, else None."""
        if self.n_rows >= self.n_features or not isinstance(self.parts[0].X, np.ndarray):
            return None
        return row_space(np.concatenate([part.X for part in self.parts]))

    @property
    def rotates(self):
        """Whether ``row_basis`` is not None."""
        return super().rotates and isinstance(self.parts[0].X, np.ndarray)

    def _changed(self, B, shift, overwrite):
        return {"parts": [part.in_basis(B, shift, overwrite=overwrite) for part in self.parts]}

    @cached_property
    def _in_row_space(self):
        parts = [part.in_basis(self.row_basis) for part in self.parts]
        return self._like(parts=parts, row_basis=None)

    def with_features(self, features):
        """Return the same data with some of the features, an index array."""
        parts = [part.with_features(features) for part in self.parts]
        return self._like(parts=parts, center=self.center[features], row_basis=None)


class MixedData(PartsOfRows, TaskData):
    """Data of several parts, each with the tasks of one loss; see ``MixedLoss``.

    What others call tasks are the R rows of the coefficients: one for each task and prediction of
    its loss. Products are those of the parts, so that no row is stored twice. Derivatives and
    curvatures are lists with an entry for each part. The loss of a task with K predictions, and its
    squared derivatives, are spread evenly over its K rows of the coefficients.

    Parameters
    ----------
    parts : list of TaskData
        All with the same center.
    places : list of ndarray of shape (K, t)
        Rows of the coefficients of each part, K for each of its t tasks.
    """

    class_mask = None

    def __init__(self, parts, places):
        self.parts = [part.without_rotation() for part in parts]  # the whole may have one
        self.places, self.center = places, parts[0].center
        blocks = [len(part.block_sizes) for part in parts]
        self._first = np.cumsum([0, *blocks])
        firsts = self._first[:-1]
        self.block = self._gathered(
            [first + part.block for first, part in zip(firsts, parts, strict=True)]
        ).astype(np.intp)

    def _gathered(self, values):
        """Return what the parts have for each of their tasks, for each row of the coefficients."""
        shape = sum(place.size for place in self.places), *np.shape(values[0])[1:]
        out = np.empty(shape)
        for place, own in zip(self.places, values, strict=True):
            out[place] = own
        return out

    @property
    def y(self):
        """Targets of the parts, a list."""
        return [part.y for part in self.parts]

    @property
    def expensive_blocks(self):
        """Whether products of X and vectors take less time and memory than blocks."""
        return any(part.expensive_blocks for part in self.parts)

    @cached_property
    def block_sizes(self):
        """Rows of each block, (B,)."""
        return np.concatenate([part.block_sizes for part in self.parts])

    @cached_property
    def scale(self):
        """Weight that multiplies the moments of the block, (R,)."""
        return self._gathered([part.scale for part in self.parts])

    @cached_property
    def totals(self):
        """Weight of the task of each row of the coefficients, (R,)."""
        return self._gathered([part.totals for part in self.parts])

    @cached_property
    def square_norms(self):
        """Weighted sums of squares of the centered features, (R, d)."""
        return self._gathered([part.square_norms for part in self.parts])

    def loss_sums(self, loss, W, intercept):
        """Compute the ``LossSums`` of a `MixedLoss` at coefficients (1, R, d)."""
        found = [
            part.loss_sums(own, W[0, place], intercept[0, place])
            for part, own, place in zip(self.parts, loss.losses, self.places, strict=True)
        ]
        value, squares = (
            self._gathered([s[k] / len(p) for s, p in zip(found, self.places, strict=True)])
            for k in (0, 1)
        )
        G, R = (self._gathered_outputs([sums[k] for sums in found]) for k in (2, 3))
        derivative = None
        if loss.constant_curvature is None:
            derivative = [sums.derivative for sums in found]
        return LossSums(value, squares, G, R, derivative)

    def _gathered_outputs(self, values):
        """Return sums (K, t, ...) of the parts as those of all rows of the coefficients."""
        out = np.empty((1, self.n_tasks, *values[0].shape[2:]))
        for place, own in zip(self.places, values, strict=True):
            out[0, place] = own
        return out

    def curvature_product(self, loss, derivative, W, intercept):
        """Compute the Hessian of the loss times (W, intercept): (1, R, d) and (1, R).

        A loss without parts is that of all parts.
        """
        n_parts = len(self.parts)
        losses = loss.losses if isinstance(loss, MixedLoss) else [loss] * n_parts
        slopes = [None] * n_parts if derivative is None else derivative
        found = [
            part.curvature_product(own, slope, W[0, place], intercept[0, place])
            for part, own, slope, place in zip(self.parts, losses, slopes, self.places, strict=True)
        ]
        G, R = zip(*found, strict=True)
        return self._gathered_outputs(G), self._gathered_outputs(R)

    def curved(self, curvature):
        """Return data with weights times curvatures, a part for each prediction of these.

        ``curvature`` has an entry for each part, which is None where the weights stay.
        """
        parts, places = [], []
        for part, place, h in zip(self.parts, self.places, curvature, strict=True):
            parts.extend([part] if h is None else [part.curved(own) for own in h])
            places.extend(place[None, k] for k in range(len(place)))
        return self._like(**vars(MixedData(parts, places)))

    def _block(self, b):
        part, own = self._part_of(b)
        return part._block(own)

    def block_rows(self, b):
        """Return ``sqrt(weight) (x - mean)`` of block b, (m, d), its mean (d,) and its weight."""
        part, own = self._part_of(b)
        return part.block_rows(own)

    def _part_of(self, b):
        """Return the part of block b, and the block's number in it."""
        number = np.searchsorted(self._first, b, side="right") - 1
        return self.parts[number], b - self._first[number]

    def moments(self, blocks, room=None):
        """Compute the ``Moments`` of the blocks, an integer array; write H to ``room`` if given."""
        result = self._room(len(blocks), room)
        for part, first, end in zip(self.parts, self._first, self._first[1:], strict=False):
            own = np.flatnonzero((blocks >= first) & (blocks < end))
            if own.size:
                for whole, values in zip(result, part.moments(blocks[own] - first), strict=True):
                    whole[own] = values
        return result


def mixed_data(rows, losses, task_weight, center=None):
    """Return the data and the loss of tasks of different kinds.

    Parameters
    ----------
    rows : Rows
        ``y`` holds the targets that the losses take, float: 1 and -1 of logistic tasks, 0 to K - 1
        of multinomial ones. In the wide form, what is not ``observed`` may be anything.
    losses : list of Loss
        That of each task. Tasks with losses of the same class and K are one part.
    task_weight : ndarray of shape (T,)
    center : ndarray of shape (d,), optional
        Replaces the weighted mean of the features.

    Returns
    -------
    data : TaskData
        `MixedData`, or the layout of all rows if all tasks have one loss of one prediction.
    loss : Loss
        `MixedLoss`, or that one.
        Rows of the coefficients (R, d) are those of the tasks in order, classes side by side.
    """
    center = rows.center(task_weight) if center is None else center
    counts = np.array([loss.n_outputs for loss in losses])
    first = np.cumsum(counts) - counts
    kinds = {}
    for t, loss in enumerate(losses):
        kinds.setdefault((type(loss), loss.n_outputs), []).append(t)
    parts, joined, places = [], [], []
    for (kind, K), tasks in kinds.items():
        loss = losses[tasks[0]]
        if kind is PoissonLoss:
            loss = PoissonLoss(np.array([losses[t].curvature_bound for t in tasks]))
        joined.append(loss)
        tasks = np.array(tasks)
        places.append(first[tasks] + np.arange(K)[:, None])
        if len(kinds) == 1 and K == 1:
            return rows.task_data(task_weight, 0.0, center), loss
        parts.append(_part(rows, tasks, task_weight, center, loss))
    return MixedData(parts, places), MixedLoss(joined, places)


def _part(rows, tasks, task_weight, center, loss):
    """Return the data of some tasks, which have one loss."""
    rows = rows.take(tasks)
    if loss.n_outputs > 1:
        rows = rows.in_long_form()
        rows = rows._replace(y=rows.y.astype(np.intp))
    return rows.task_data(task_weight[tasks], 0.0, center)
