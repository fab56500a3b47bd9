"""Exact Newton steps by block elimination."""

import numpy as np
from scipy import linalg

from skmtl._linalg import SymmetricSolver, null_space_of
from skmtl.arrowhead._blocks import DualBlocks, Groups, PooledBlocks, PrimalBlocks, parallel
from skmtl.arrowhead._kept import KeptMoments
from skmtl.data import SMALL
from skmtl.penalties import Coefficients


class Elimination:
    """Eliminate the deviations of each task, solve for the center, substitute back.

    Solves for ``1/2 sum_i weight_i (x_i . w_t(i) + intercept_t(i))^2 + penalty``, the quadratic
    part of a Newton step. The center (w, c) solves a generalized least squares system with matrix

        S = sum_t [A_t, u_t]' (I + A_t A_t' / alpha_t)^-1 [A_t, u_t] + diag(alpha_shared, 0)

    Each term is ``alpha_t M_t^-1 A_t'A_t`` in d x d blocks (``_blocks.PrimalBlocks``) or
    ``alpha_t A_t' K_t^-1 A_t`` in n_t x n_t blocks (``DualBlocks``), whichever is smaller.

    Parameters
    ----------
    data : TaskData
        Features, and the curvatures as weights.
    penalty : MeanCoupling
    outside : bool
        Whether gradients may have parts outside of the space of a task's rows, as that of a
        coupling along a graph.

    Attributes
    ----------
    separate : bool
        Whether alpha is zero for all tasks: the center is then computed from the tasks.

    References
    ----------
    D. Bates, M. Maechler, B. Bolker, S. Walker (2015). Fitting linear mixed-effects models using
    lme4. Journal of Statistical Software 67. https://doi.org/10.18637/jss.v067.i01
    """

    def __init__(self, data, penalty, *, outside=False):
        self._penalty = penalty
        groups = Groups.of(data, penalty.alpha)
        self._parts = []
        for kind, chosen in block_kinds(data, groups).items():
            if chosen.any():
                part, tasks = groups.select(chosen)
                blocks = kind(data, part, penalty.alpha_intercept)
                blocks.outside = outside
                self._parts.append((blocks, tasks))
        self._delta = np.empty((data.n_tasks, data.n_features))
        self._total = np.empty(data.n_tasks)
        self._factor()

    def set_weights(self, data):
        """Store the same data with other weights and factor again."""
        for blocks, _ in self._parts:
            blocks.set_weights(data)
        self._factor()

    def _factor(self):
        """Factor the blocks of all tasks and the system of the center."""
        penalty, d = self._penalty, self._delta.shape[1]
        S = np.zeros((d + 1, d + 1))
        still = penalty.fixed_center and (penalty.fixed_intercept or penalty.alpha_intercept == 0)
        for blocks, tasks in self._parts:
            blocks.factor(reduce=not still)
            self._delta[tasks] = blocks.delta[blocks.groups.of_task]
            self._total[tasks] = blocks.total[blocks.groups.of_task]
            S += blocks.center_system()
        self._kappa = parallel(self._total, penalty.alpha_intercept)
        self._set_up_center(S)

    def _set_up_center(self, S):
        """Eliminate the common intercept from the system of the center, and factor the rest."""
        penalty = self._penalty
        ww, self._wc, self._cc = 0.5 * (S[:-1, :-1] + S[:-1, :-1].T), S[:-1, -1], S[-1, -1]
        # With alpha = 0 the center is computed from the tasks and does not change their solution.
        self.separate, self._response = not penalty.alpha.any(), None
        if penalty.fixed_intercept or not self._kappa.any():
            self._cc, self._wc = np.inf, np.zeros_like(self._wc)
        elif self.separate and self._cc <= 1e-10 * self._kappa.sum():
            # The common intercept is not identified either: center and intercept minimize the
            # squares of the deviations.
            self._response = np.zeros((len(self._kappa), len(self._wc)))
            for blocks, tasks in self._parts:
                self._response[tasks] = blocks.response(np.zeros_like(self._wc), 1.0)
            self._cc = float((self._response**2).sum()) or np.inf
            self._wc = self._response.sum(axis=0)
        if penalty.fixed_center or (self.separate and np.any(penalty.alpha_shared > 0)):
            self._center = None
            return
        if not self.separate or self._response is not None:
            ww = ww - np.outer(self._wc, self._wc / self._cc)
        ridge = penalty.alpha_shared * np.eye(len(ww))
        null_space = None if np.all(penalty.alpha_shared > 0) else lambda: self._null_space(ridge)
        self._center = SymmetricSolver(ww + ridge, null_space)

    def _null_space(self, ridge):
        """Return the exact null space of the center's system: directions that no row identifies."""
        support = sum(blocks.support() for blocks, _ in self._parts)
        support[:-1, :-1] += ridge
        if np.isinf(self._cc) or (self.separate and self._response is None):
            return null_space_of(support[:-1, :-1])
        return linalg.qr(null_space_of(support)[:-1], mode="economic")[0]

    @property
    def intercept_from_tasks(self):
        """Whether the common intercept is computed from the tasks."""
        return self._response is not None

    @property
    def by_rows(self):
        """Whether some blocks are computed from rows, not from Gram matrices."""
        return any(isinstance(blocks, DualBlocks) for blocks, _ in self._parts)

    def kept(self):
        """Return the ``KeptMoments``, and the group of each task, (T,)."""
        of_task, parts, first = np.empty(len(self._delta), dtype=np.intp), [], 0
        for blocks, tasks in self._parts:
            parts.append(blocks.kept())
            of_task[tasks] = first + blocks.groups.of_task
            first += len(blocks.groups.block)
        return KeptMoments.join(parts), of_task

    def step(self, coefficients, G, R):
        """Return the coefficients after a step, given the loss gradient at them, (T, d), (T,)."""
        penalty, (V, q, w, c) = self._penalty, coefficients
        # Eliminate the tasks' intercepts; `unpenalized` is q where its penalty is zero.
        unpenalized = q - R / self._total
        P = (self._kappa * unpenalized + R)[:, None] * self._delta - G
        dV = np.empty_like(V)
        for blocks, tasks in self._parts:
            dV[tasks] = blocks.solve(P[tasks], V[tasks])
        dw, dc = self._center_step(P, dV, V, w, unpenalized)
        if dc or dw.any():
            for blocks, tasks in self._parts:
                dV[tasks] -= blocks.response(dw, dc)
        drift = dc + (self._delta * (dw + dV)).sum(axis=1)
        q = np.zeros_like(q)
        if np.isfinite(penalty.alpha_intercept):
            q = (self._total / (self._total + penalty.alpha_intercept)) * (unpenalized - drift)
        return Coefficients(V + dV, q, w + dw, c + dc)

    def _center_step(self, P, x, V, w, unpenalized):
        """Return the step of the center, (d,) and a number; ``x = M^-1 (P - alpha V)``."""
        penalty = self._penalty
        right_w = -penalty.curvature.w * w
        right_c = self._kappa @ unpenalized
        for blocks, tasks in self._parts:
            right_c -= np.einsum("t,tj,tj", self._kappa[tasks], self._delta[tasks], x[tasks])
            right_w += blocks.right_hand_side(x[tasks], P[tasks], V[tasks])
        if self._response is not None:
            right_c = float((self._response * (x + V)).sum())
        if self._center is None:
            dw = np.zeros_like(w) if penalty.fixed_center else -w
            return dw, right_c / self._cc
        if self.separate and self._response is None:
            dc = right_c / self._cc
            return self._center.solve(right_w - self._wc * dc), dc
        dw = self._center.solve(right_w - self._wc * (right_c / self._cc))
        return dw, (right_c - self._wc @ dw) / self._cc


def block_kinds(data, groups):
    """Return which groups are solved as which kind of block, a dict of masks."""
    d, rows = data.n_dimensions, data.block_sizes[groups.block] + 1
    pooled = np.isinf(groups.alpha)
    # The dual requires alpha > 0, and small d x d blocks use compiled loops.
    dual = ~pooled & (groups.alpha > 0) & (2 * rows <= d) & (d > SMALL and not data.graded)
    return {PooledBlocks: pooled, DualBlocks: dual, PrimalBlocks: ~pooled & ~dual}
