"""Block coordinate descent with Newton steps, for norms of features or of entries."""

from functools import partial

import numpy as np

from skmtl import _descent_kernels
from skmtl._linalg import bordered, outer
from skmtl._threads import in_chunks

_SWEEPS = 5  # between Newton steps while features enter or leave
_COST = 0.2  # of a Newton step, in sweeps for each feature
_SHRINK = 0.3  # of a Newton step without descent
_FACTORS = 1e8, 1.0, 1.0, 1.0  # of squares that replace norms
_DAMPING = 1e-10  # of the matrix that remains, whose eigenvalues are at most 1
_TRIALS = 3  # shares of a step
_LEAST = 1e-12  # curvature, relative to the diagonal; less is rounding


class BlockDescent:
    """Minimize a quadratic model of the loss plus ``sum_j threshold_j ||W_j||``, or L1, and ridge.

    The moments of the tasks are computed once, so that no step reads the data. The intercepts are
    eliminated; their center c remains where they are penalized. For norms of features, sweeps over
    features are followed by Newton steps in those that are not zero, where the norm is smooth: its
    curvature ``threshold/x (I - ee')`` couples the tasks by one dimension e a feature, eliminated
    last. For L1, tasks depend on each other only by c.

    Parameters
    ----------
    data : TaskData
        With weights times the curvatures of the loss.
    shrinkage : Shrinkage
    alpha_intercept : float or None
        Penalty weight of the deviations of the intercepts; None: there are no intercepts.

    References
    ----------
    M. Massias, A. Gramfort, J. Salmon (2018). Celer: a fast solver for the lasso with dual
    extrapolation. ICML.

    Z. Qin, K. Scheinberg, D. Goldfarb (2013). Efficient block-coordinate descent algorithms for the
    group lasso. Mathematical Programming Computation 5.
    https://doi.org/10.1007/s12532-013-0051-x
    """

    def __init__(self, data, shrinkage, alpha_intercept):
        self._shrinkage, self._block, self._scale = shrinkage, data.block, data.scale
        H, mean, total = data.moments(np.arange(len(data.block_sizes)))
        self._totals = self._scale * total[self._block]
        self._has_intercept = alpha_intercept is not None
        kept = np.ones(len(self._block))  # share of the squared mean in the curvature
        if self._has_intercept:
            kept = _share_of_center(alpha_intercept, self._totals)
        self._shares = kept * self._has_intercept
        if np.ptp(kept):  # tasks of one block differ
            H, mean, total = H[self._block], mean[self._block], total[self._block]
            self._block = np.arange(len(kept))
        else:
            kept = np.broadcast_to(kept[:1], len(H))
        if kept.any():
            H = H + outer(kept * total, mean, mean)
        self._common = len(H) == 1 and np.ptp(self._scale) == 0
        if self._common:
            H, self._scale = H * self._scale[0], np.ones(len(self._block))
        self._H, self._means = H, mean[self._block]
        self._border = (self._shares * self._totals)[:, None] * self._means
        self._of_center = float(self._shares @ self._totals)
        diagonal = np.einsum("bjj->bj", H)
        self._roots = np.sqrt(self._scale[:, None] * diagonal[self._block])

    def minimize(self, W, intercept, G, R, unit, goal, limit):
        """Return W (T, d), intercepts (T,) and the number of sweeps.

        Parameters
        ----------
        W, intercept, G, R : ndarray of shape (T, d) or (T,)
            The start, and the gradient of the loss there.
        unit : ndarray of shape (T,)
            Inverse of the norm of the residuals of each task.
        goal : float
            Largest change, in these units, at which to stop.
        limit : int
            Most sweeps.
        """
        start, share, c = W, self._shares, intercept.mean()
        free = self._has_intercept * (1.0 - share) / self._totals
        shift = share * (c - intercept) - free * R  # of the intercepts by their elimination
        self._W = np.array(W, order="C")
        self._G = G + (shift * self._totals)[:, None] * self._means
        self._c, self._slope = c, float(share @ (R + self._totals * (c - intercept)))
        self._unit, self._goal = unit, goal
        count = self._by_features(limit) if self._shrinkage.joint else self._by_tasks(limit)
        moved = np.einsum("tj,tj->t", self._means, self._W - start)
        ahead = intercept - free * (R + self._totals * moved) + share * (self._c - intercept)
        return self._W, ahead, count

    def _by_features(self, limit):
        """Minimize with norms of features."""
        threshold, ridge = self._shrinkage.threshold, self._shrinkage.ridge
        last = 0.0
        for count in range(1, limit + 1):
            before = self._W.copy() if self._of_center else None
            change, switched = _descent_kernels.sweep_norms(
                self._H, self._block, self._scale, self._W, self._G, threshold, ridge, self._unit
            )
            if self._of_center:
                self._slope += float(np.vdot(self._border, self._W - before))
                change = max(change, self._move_center(-self._slope / self._of_center))
            if change <= self._goal:
                break
            if switched == 0 or count % _SWEEPS == 0:
                self._newton_step(_sweeps_left(last, change, self._goal))
            last = change
        return count

    def _move_center(self, step):
        """Move the center, and return the change in the units of the sweeps."""
        self._c += step
        self._slope += self._of_center * step
        self._G += step * self._border
        return abs(step) * np.sqrt(self._of_center) * self._unit.min()

    def _newton_step(self, sweeps):
        """Take a Newton step in the features that are not zero, as far as it descends.

        Where that is not far, the norms of features that it would turn are replaced by squares:
        first by ones that take them to zero, then by those that touch the norms and are larger.
        There is none where the ``sweeps`` that are left without it cost less.
        """
        sizes = (np.abs(self._W) * self._roots * self._unit[:, None]).max(axis=0)
        active = np.flatnonzero(sizes > self._goal)
        if sweeps < _COST * len(active):
            return
        W, threshold = self._W[:, active], self._shrinkage.threshold[active]
        weight = threshold / np.linalg.norm(W, axis=0)
        smooth = self._G[:, active] + self._shrinkage.ridge * W
        along = W * (weight / np.where(threshold > 0, threshold, 1.0))
        held = threshold == 0
        for factor in (1.0, *_FACTORS):
            weight_now = weight * np.where(held, factor, 1.0)
            found = self._newton(active, along * ~held, smooth + weight_now * W, weight_now)
            if found is None or self._moved(active, W, smooth, *found):
                return
            held |= ((W + found[0]) * W).sum(axis=0) <= 0

    def _moved(self, active, W, smooth, step, center):
        """Go the largest share of a step that descends, and return whether there is one."""
        threshold, border = self._shrinkage.threshold[active], self._border[:, active]
        norms = np.linalg.norm(W, axis=0)
        product = self._product(active, step) + center * self._border
        turn = float(np.vdot(border, step)) + self._of_center * center
        slope = float(np.vdot(smooth, step)) + self._slope * center
        bend = float(np.vdot(product[:, active] + self._shrinkage.ridge * step, step))
        least = _LEAST * float(np.square(self._roots[:, active] * step).sum())
        bend = max(bend + center * turn, least)

        def change(share):
            ahead = np.linalg.norm(W + share * step, axis=0)
            return share * slope + 0.5 * share**2 * bend + threshold @ (ahead - norms)

        shares = _SHRINK ** np.arange(_TRIALS)
        share = next((share for share in shares if change(share) < 0), None)
        if share is None:
            return False
        self._W[:, active] += share * step
        self._G += share * product
        self._c += share * center
        self._slope += share * turn
        return True

    def _newton(self, active, along, gradient, weight):
        """Return the Newton step in some features, (T, a), and in the center, or None.

        The step x, u and z solve ``M_t x_t - along_t u + border_t z = -gradient_t``,
        ``u / weight - sum_t along_t x_t = 0`` and ``sum_t border_t x_t + of_center z = -slope``,
        with M_t the curvature of a task plus ``weight``, the threshold over the norm. In the units
        of the second, the matrix that remains for u and z has eigenvalues in (0, 1]. It needs all
        entries of the inverses of M; inaccurate ones give a worse step, which the descent shows.
        """
        border = self._border[:, active]
        units = np.sqrt(np.where(along.any(axis=0), weight, 1.0))
        try:
            inverse = np.linalg.inv(self._curvature(active, weight))
            by_gradient, by_border = _products(inverse, gradient), _products(inverse, border)
            if len(inverse) == 1:
                C = inverse[0] * (along.T @ along)
            else:
                C = np.einsum("tjk,tj,tk->jk", inverse, along, along)
            C = np.eye(len(active)) - units[:, None] * C * units
            right = -units * (along * by_gradient).sum(axis=0)
            if self._of_center:
                unit = 1.0 / np.sqrt(self._of_center)
                cross = unit * units * (along * by_border).sum(axis=0)
                C = bordered(C, cross, 1.0 - unit**2 * float(np.vdot(border, by_border)))
                own = unit * (float(np.vdot(border, by_gradient)) - self._slope)
                right, units = np.append(right, own), np.append(units, unit)
            C[np.diag_indices(len(C))] += _DAMPING
            u = units * np.linalg.solve(C, right)
        except np.linalg.LinAlgError:
            return None
        center = float(u[-1]) if self._of_center else 0.0
        pull = along * u[: len(active)] - center * border
        return _products(inverse, pull) - by_gradient, center

    def _curvature(self, active, weight):
        """Return the curvature in some features plus ``weight`` and the ridge, (T or 1, a, a)."""
        own = np.zeros(1, dtype=int) if self._common else self._block
        M = self._H[own[:, None, None], active[:, None], active]
        M *= self._scale[: len(M), None, None]
        diagonal = np.einsum("tjj->tj", M)
        diagonal *= 1.0 + _LEAST
        diagonal += weight + self._shrinkage.ridge
        return M

    def _product(self, active, step):
        """Return the curvature of the loss times a step in some features, (T, d)."""
        H = self._H[:, active]
        if self._common:
            return step @ H[0]
        return self._scale[:, None] * np.matmul(step[:, None], H[self._block])[:, 0]

    def _by_tasks(self, limit):
        """Minimize with norms of entries: tasks for a center, which takes Newton steps."""
        count, low, high, least = 0, -np.inf, np.inf, self._of_center
        slopes = np.empty(len(self._W))
        while True:
            before = self._W.copy()
            count += self._minimize_tasks(limit - count, slopes)
            if not self._of_center or count >= limit:
                return count
            self._slope += float(np.vdot(self._border, self._W - before))
            low, high = (self._c, high) if self._slope < 0 else (low, self._c)
            # where the tasks' coefficients follow the center, it has no curvature of its own
            least *= _SHRINK
            bend = max(self._of_center - slopes.sum(), least)
            ahead = self._c - self._slope / bend
            if not low <= ahead <= high:
                ahead = 0.5 * (low + high)
            if not self._move_center(ahead - self._c) > self._goal:
                return count

    def _minimize_tasks(self, limit, slopes):
        """Minimize with norms of entries for a center; return the largest number of sweeps."""
        changed = self._W, self._G
        penalty = self._shrinkage.threshold, self._shrinkage.ridge
        kernel = partial(
            _descent_kernels.minimize_entries,
            *(self._H, self._block, self._scale, self._border),
            *changed,
            *penalty,
            *(self._unit, self._goal, limit, slopes),
        )
        return max(in_chunks(kernel, len(slopes), 10 * self._W.size * self._W.shape[1]))


def _sweeps_left(last, change, goal):
    """Return after how many sweeps the change is at the goal if it shrinks as in the last."""
    return np.log(goal / change) / np.log(change / last) if 0 < change < last else np.inf


def _share_of_center(alpha_intercept, totals):
    """Return the share of the center in the best intercept of each task, (T,)."""
    if np.isinf(alpha_intercept):
        return np.ones(len(totals))
    return alpha_intercept / (alpha_intercept + totals)


def _products(inverse, rows):
    """Return the products of rows (T, a) with matrices of their own, or with one."""
    if len(inverse) == 1:
        return rows @ inverse[0]
    return np.matmul(rows[:, None], inverse)[:, 0]
