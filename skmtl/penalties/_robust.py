"""Fusion of tasks with a common center, except for outliers."""

from __future__ import annotations

from typing import Any

import numpy as np

from skmtl import _prox_kernels
from skmtl._optimize import stationary_share
from skmtl._typing import Array, Derivative
from skmtl.penalties._task_penalty import TaskPenalty, clipping, ratio, shrunk, times

_NEWTON_STEPS = 200
_ROUNDING = 1e-15  # of the gradient, relative to the sum of its terms' norms


class RobustMean(TaskPenalty):
    """``alpha min_w sum_t ||W_t - w||``, not squared: tasks equal the center or are outliers.

    Structure: ``center`` (d,) and ``outlier_tasks``, the labels of the tasks that differ from it.

    Parameters
    ----------
    alpha : float, default=1.0
        Regularization strength, in [0, inf].

    References
    ----------
    D. Hallac, J. Leskovec, S. Boyd (2015). Network lasso: clustering and optimization in large
    graphs. KDD. https://doi.org/10.1145/2783258.2783313 (here on a star)

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import RobustMean
    >>> RobustMean(alpha=1.0).prox(np.array([[0.0], [0.0], [0.5], [9.0]]))
    array([[0.5],
           [0.5],
           [0.5],
           [8. ]])
    """

    prox_scaling = "task"
    null_set = "pooled"

    def value(self, W: Array) -> float:
        """Return the penalty at W (T, d), a float."""
        if self.weight == 0:
            return 0.0
        return self.weight * float(np.linalg.norm(W - self.center(W), axis=1).sum())

    def center(self, W: Array) -> Array:
        """Return the geometric median of the rows of W, (d,)."""
        scale = np.linalg.norm(W - np.median(W, axis=0), axis=1).max()
        center, shape = np.median(W, axis=0), (len(W), 1)
        for share in (1e-2, 1e-5, 1e-8, 1e-11, 1e-14):
            center = _huber_center(W, np.full(shape, share * scale), np.ones(shape), center)
        # The median is often one of the points; then return that exactly.
        distance = np.linalg.norm(W - center, axis=1)
        nearest = W[distance.argmin()]
        better = np.linalg.norm(W - nearest, axis=1).sum() <= distance.sum()
        return nearest.copy() if better else center

    def prox(self, Z: Array, step: float | Array = 1.0) -> Array:
        """Return the W that minimizes ``1/2 ||W - Z||^2 + step value(W)``."""
        return self._prox_from(None, Z, step)[0]

    def _prox_from(self, state, Z, step):
        """Return ``prox(Z, step)``, and the center to start the next from."""
        radius, center, _ = self._centered(Z, step, state)
        if not radius.any():
            return Z.copy(), center
        own = Z - center
        norm = np.linalg.norm(own, axis=1, keepdims=True)
        return center + own * shrunk(norm, radius), center

    def _centered(self, Z, step, start):
        """Return the radius (T, 1) within which tasks equal the center, the center, the weights."""
        step = np.broadcast_to(step, (len(Z), 1)).astype(float)
        radius = times(self.alpha, step)
        usual = np.isfinite(step).all() and step.all()
        weight = step.mean() / step if usual else np.ones_like(step)
        start = Z.mean(axis=0) if start is None else start
        return radius, _huber_center(Z, radius, weight, start), weight

    def prox_derivative(self, Z: Array, step: float | Array = 1.0) -> Derivative:
        """Return the product with a derivative of ``prox``, and its blocks."""
        return self._derivative_at(self.prox(Z, step), Z, step)

    def _derivative_at(self, W, Z, step):
        nearest = np.linalg.norm(Z - W, axis=1).argmin()
        radius, center, weight = self._centered(Z, step, W[nearest])
        own = Z - center
        norm = np.linalg.norm(own, axis=1, keepdims=True)
        # The derivative of clipping `own` to its ball is share (I - along along').
        share = clipping(norm, radius)
        along = np.where(norm > radius, own / np.where(norm > 0, norm, 1.0), 0.0)

        def clipped(D):
            return share * (D - along * (along * D).sum(axis=1, keepdims=True))

        pull = (weight * share).sum() * np.eye(Z.shape[1]) - (weight * share * along).T @ along
        pull = np.linalg.pinv(pull, hermitian=True)

        def product(D):
            moved = clipped(D)
            return D - clipped(D - pull @ (weight * moved).sum(axis=0))

        blocks = (1.0 - share)[:, :, None] * np.eye(Z.shape[1])
        return product, blocks + (share * along)[:, :, None] * along[:, None, :]

    def _distance_weight(self):
        return self.alpha

    def dual_norm(self, G: Array) -> float:
        """Return the largest norm of a row of G, over alpha."""
        return ratio(np.linalg.norm(G, axis=1).max(), self.alpha)

    def structure(self, W: Array, tasks: Any) -> dict[str, Any]:
        """Return ``center`` and ``outlier_tasks``."""
        center = self.center(W)
        return {"center": center, "outlier_tasks": tasks[(center != W).any(axis=1)]}


def _huber_center(Z, radius, weight, center):
    """Return the c that minimizes ``sum_t weight_t h_t(||Z_t - c||)``.

    ``h_t(r)`` is ``r^2 / 2`` up to ``radius_t`` (T, 1) and ``radius_t (r - radius_t / 2)`` beyond.
    Uses Newton steps with a line search if they descend, else reweighted least squares, which
    always does. Beside a task of large weight whose radius is small, whole Newton steps jump over
    its ball and back.
    """
    Z, radius, weight = np.ascontiguousarray(Z), radius[:, 0], weight[:, 0]

    def evaluate(c):
        norm, gradient = np.empty(len(Z)), np.empty(len(c))
        value, size = _prox_kernels.huber_sums(Z, c, radius, weight, norm, gradient)
        return value, gradient, size, norm

    def stationary(step):
        """Return how much of a step to take, by the slope along it; 0 where that is rounding."""
        if float(gradient @ step) <= 1e-14 * value:
            return 0.0
        return stationary_share(
            lambda share: -float(evaluate(center - share * step)[1] @ step),
            -float(gradient @ step),
        )

    at, hessian = evaluate(center), np.empty((len(center), len(center)))
    for _ in range(_NEWTON_STEPS):
        value, gradient, size, norm = at
        if not np.abs(gradient).max(initial=0.0) > _ROUNDING * size:
            break
        total = _prox_kernels.huber_curvature(Z, center, radius, weight, norm, hessian)
        newton = np.linalg.solve(hessian, gradient)
        for step in newton, None, gradient / total:
            step = stationary(newton) * newton if step is None else step
            ahead = evaluate(center - step)
            # Values determine half the digits; near the solution, compare gradients.
            flat = np.abs(ahead[1]).max() < np.abs(gradient).max()
            if ahead[0] < value * (1 - 1e-14) or (flat and ahead[0] <= value * (1 + 1e-14)):
                break
        else:
            break
        center, at = center - step, ahead
    return center
