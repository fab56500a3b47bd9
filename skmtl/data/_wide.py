"""One X for all tasks."""

from functools import cached_property

import numpy as np

from skmtl.data._layout import FLAT, LossSums, Moments, TaskData
from skmtl.losses import SquaredLoss

_TILE = 2**19  # predictions per tile: fits into the cache, large enough for BLAS
_FAR = 0.98  # share of the squares of y in its mean above which the rest is summed by itself


class WideData(TaskData):
    """One X for all tasks; tasks that observe the same rows share a block.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    Y : ndarray of shape (n, T), NaN = not observed
    weight : ndarray of shape (n,), or (n, T) if row weights differ between tasks; positive
    task_weight : ndarray of shape (T,), positive
    observed : bool ndarray of shape (n, T), or None if all labels are observed
    center : ndarray of shape (d,)
        Subtracted from the features.
    class_mask : ndarray of shape (1, T) or None
        As of ``class_mask_of``.
    """

    _base = None  # cache of _expanded
    _gram = None  # that of X about zero, (d, d), once it is needed
    _spent = 0.0  # products of X and other columns in evaluations, in columns

    def __init__(self, X, Y, weight, task_weight, observed, center, class_mask=None):
        self.weight, self.scale, self.observed = weight, task_weight, observed
        self._plain = weight.ndim == 1 and (weight == 1).all()
        if weight.ndim == 2:
            self._block_weight, self.block = weight.T, np.arange(Y.shape[1])
        elif observed is None:
            self._block_weight, self.block = weight[None], np.zeros(Y.shape[1], dtype=np.intp)
        else:
            packed, block = np.unique(np.packbits(observed, axis=0).T, axis=0, return_inverse=True)
            self._block_weight = weight * np.unpackbits(packed, axis=1, count=X.shape[0])
            self.block = block.ravel()
        self.center, self.class_mask = center, class_mask
        self._store(X)
        self.y = Y if self.observed is None else np.where(self.observed, Y, 0.0)

    def _store(self, X):
        """Store X minus the center."""
        self.X = np.subtract(X, self.center, order="C")

    def _predict(self, rows, W):
        """Compute ``x . w`` of a slice of rows for each of t tasks, (m, t)."""
        used = np.flatnonzero(W.any(axis=0))
        if 2 * len(used) < len(W.T):
            return self.X[rows, used] @ W[:, used].T
        return self.X[rows] @ W.T

    def _adjoint(self, rows, g):
        """Compute the sums of ``g_i x_i`` over a slice of rows, of g (m, t): (t, d)."""
        return g.T @ self.X[rows]

    @property
    def _has_small_gram(self):
        """Whether the Gram of X is smaller than X."""
        return self.n_rows >= self.n_features

    @cached_property
    def block_sizes(self):
        """Rows of each block, (B,)."""
        return np.count_nonzero(self._block_weight, axis=1)

    @cached_property
    def totals(self):
        """Weight of each task, (T,)."""
        return self.scale * self._block_weight.sum(axis=1)[self.block]

    @cached_property
    def square_norms(self):
        """Weighted sums of squares of the centered features per task, (T, d)."""
        norms = self._block_weight @ self.X**2
        return self.scale[:, None] * norms[self.block]

    @cached_property
    def _only(self):
        """The ``Moments`` of the only block."""
        return super().moments(np.zeros(1, dtype=np.intp))

    def with_features(self, features):
        """Return the same data with some of the features, an index array."""
        other = super().with_features(features)
        if "_only" in vars(self):
            H, mean, total = self._only
            other._only = Moments(H[:, features[:, None], features], mean[:, features], total)
        return other

    def curved(self, curvature):
        """Return the same data with weights times curvatures (n, T)."""
        weight = self._weigh(np.maximum(curvature, FLAT), slice(None), slice(None))
        block = np.arange(self.n_tasks)
        return self._like(weight=weight, block=block, _block_weight=weight.T, _plain=False)

    def _tiles(self, W, intercept):
        """Yield slices of rows and of tasks and their predictions (1, m, t), by tiles."""
        n_rows = min(self.n_rows, _TILE // 32)
        n_tasks = _TILE // n_rows
        moving = W.any()
        for task in range(0, self.n_tasks, n_tasks):
            tasks = slice(task, task + n_tasks)
            for row in range(0, self.n_rows, n_rows):
                rows = slice(row, row + n_rows)
                z = np.broadcast_to(intercept[tasks], self.y[rows, tasks].shape)
                yield rows, tasks, (z + self._predict(rows, W[tasks]) if moving else z)[None]

    def _weigh(self, values, rows, tasks):
        """Return values (m, t) times row weights, zero where unobserved, without ``scale``."""
        if self.observed is not None:
            values = values * self.observed[rows, tasks]
        if self._plain:
            return values
        return values * self.weight[(rows, None) if self.weight.ndim == 1 else (rows, tasks)]

    def loss_sums(self, loss, W, intercept):
        """Compute the ``LossSums`` at coefficients W (K, T, d) and intercepts (K, T)."""
        if self.class_mask is not None:
            intercept = intercept + self.class_mask
        (W,), (intercept,) = W, intercept
        uneven = self.observed is not None or self.weight.ndim == 2
        squared = type(loss) is SquaredLoss and not uneven and self._has_small_gram
        if not squared or (W.any() and not _gram_pays(self, W)):
            sums = self._summed(loss, W, intercept)
        else:
            sums = self._expanded(W, intercept)
        return sums._replace(G=sums.G[None], R=sums.R[None])

    def _expanded(self, W, intercept):
        """Compute the ``LossSums`` of the squared loss by its expansion about the mean of y.

        All tasks share one Gram matrix, so X is read only once for all evaluations.
        """
        if self._base is None:
            weight = self.weight  # BLAS, which a compiled loop does not reach
            (sums,) = self._adjoint(slice(None), weight[:, None])
            mean = weight @ self.y / weight.sum()
            self._base = mean, _about_means(self, mean, sums), sums
        mean, base, sums = self._base
        intercept = intercept - mean
        # X'Z and 1'Z of the predictions Z minus the mean, then the terms of first and second order
        if self._gram is None and W.any():
            (self._gram,) = self._only.gram(intercept=False)
        XZ = W @ self._gram if W.any() else np.zeros_like(W)
        XZ += intercept[:, None] * sums
        Z = W @ sums + intercept * self.weight.sum()
        _multiply(self.scale, XZ, Z)
        first = np.einsum("tj,tj->t", base.G, W) + base.R * intercept
        second = np.einsum("tj,tj->t", XZ, W) + Z * intercept
        value = np.maximum(base.value + first + 0.5 * second, 0.0)
        XZ += base.G
        return LossSums(value, 2.0 * value, XZ, base.R + Z, None)

    def _summed(self, loss, W, intercept):
        """Compute the ``LossSums``, summed over the data tile by tile."""
        derivative = None if loss.constant_curvature is not None else np.empty((1, *self.y.shape))
        value, squares, R = np.zeros((3, self.n_tasks))
        sums = LossSums(value, squares, np.zeros_like(W), R, derivative)
        for rows, tasks, z in self._tiles(W, intercept):
            value, (gradient,) = loss.evaluate(self.y[rows, tasks], z)
            if derivative is not None:
                derivative[0, rows, tasks] = gradient
            weighted = self._weigh(gradient, rows, tasks)
            sums.value[tasks] += self._weigh(value, rows, tasks).sum(axis=0)
            sums.squares[tasks] += np.einsum("it,it->t", weighted, gradient)
            sums.R[tasks] += weighted.sum(axis=0)
            sums.G[tasks] += self._adjoint(rows, weighted)
        _multiply(self.scale, *sums[:-1])
        return sums

    def curvature_product(self, loss, derivative, W, intercept):
        """Compute the Hessian of the loss times (W, intercept): (K, T, d) and (K, T)."""
        (W,), (intercept,) = W, intercept
        G, R = np.zeros_like(W), np.zeros(self.n_tasks)
        for rows, tasks, z in self._tiles(W, intercept):
            slope = None if derivative is None else derivative[:, rows, tasks]
            (product,) = loss.curvature_product(self.y[rows, tasks], slope, z)
            weighted = self._weigh(product, rows, tasks)
            G[tasks] += self._adjoint(rows, weighted)
            R[tasks] += weighted.sum(axis=0)
        _multiply(self.scale, G, R)
        return G[None], R[None]

    def weighted_adjoint(self, values):
        """Compute weighted sums of ``values_i x_i`` and of ``values_i``, of values (1, n, T)."""
        weighted = self._weigh(values[0], slice(None), slice(None))
        G, R = self._adjoint(slice(None), weighted), weighted.sum(axis=0)
        _multiply(self.scale, G, R)
        return G[None], R[None]

    def moments(self, blocks, room=None):
        """Compute the ``Moments`` of the blocks, an integer array; write H to ``room`` if given."""
        if len(self._block_weight) > 1:
            return super().moments(blocks, room)
        result = self._room(len(blocks), room)
        for own, part in zip(result, self._only, strict=True):
            own[:] = part
        return result

    def _block(self, b):
        weight = self._block_weight[b]
        rows = weight > 0
        if rows.all():
            return self.X, weight
        return self.X[rows], weight[rows]


def _multiply(scale, *sums):
    """Multiply sums of tasks by their weights (T,), in place."""
    if (scale != 1).any():
        for part in sums:
            part *= scale if part.ndim == 1 else scale[:, None]


def _gram_pays(data, W):
    """Return whether the Gram of X is known, or evaluations at nonzero W have cost as much.

    These cost products of X with T columns, of all features and of those that are not zero.
    """
    if "_only" in vars(data):
        return True
    data._spent += len(W) * (1.0 + W.any(axis=0).mean())
    return data._spent > data.n_features / 2


def _about_means(data, mean, sums):
    """Compute the ``LossSums`` of the squared loss where predictions are the means of y (T,).

    No copy of y without the means is made. ``sums`` (d,) are those of the weighted features.
    """
    y, every = data.y, slice(None)
    weighted = data._weigh(y, every, every)
    squares, share = np.einsum("it,it->t", weighted, y), data.weight.sum() * mean**2
    G = np.outer(mean, sums) - data._adjoint(every, weighted)
    del weighted  # perhaps as large as y
    found = LossSums(0.5 * (squares - share), squares - share, G, np.zeros(len(mean)), None)
    _multiply(data.scale, *found[:-1])
    far = np.flatnonzero(share > _FAR * squares)
    if far.size:  # else what is subtracted costs no more than two digits
        part = data._like(y=y[:, far], scale=data.scale[far], block=data.block[far])
        exact = part._summed(SquaredLoss(), np.zeros((len(far), len(sums))), mean[far])
        for of_all, correct in zip(found[:-1], exact[:-1], strict=True):
            of_all[far] = correct
    return found
