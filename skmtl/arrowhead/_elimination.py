"""Exact Newton steps by block elimination."""

import numpy as np
from scipy import linalg

from skmtl._linalg import SymmetricSolver, null_space_of
from skmtl.arrowhead._blocks import DualBlocks, Groups, PooledBlocks, PrimalBlocks, parallel
from skmtl.arrowhead._group_moments import GroupMoments
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
        if penalty.nesting is not None:
            squares, totals = data.square_norms, data.totals
            penalty = penalty.without_zeros(squares[squares > 0].min(initial=1.0), totals.min())
        self._coupling, self._penalty, self._outer = penalty, penalty.inner, None
        groups, nesting = Groups.of(data, self._penalty.alpha), penalty.nesting
        self._parent = np.zeros(data.n_tasks, np.intp) if nesting is None else nesting.parents[0]
        self._n_parents = 1 if nesting is None else nesting.sizes[1]
        self._parts = []
        for kind, chosen in block_kinds(data, groups).items():
            if chosen.any():
                part, tasks = groups.select(chosen)
                parent = self._parent[tasks] if nesting is not None else np.zeros_like(part.block)
                blocks = kind(data, part, self._penalty.alpha_intercept, parent, self._n_parents)
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
        S = np.zeros((self._n_parents, d + 1, d + 1))
        nested = self._coupling.nesting is not None
        still = penalty.fixed_center and (penalty.fixed_intercept or penalty.alpha_intercept == 0)
        for blocks, tasks in self._parts:
            blocks.factor(reduce=nested or not still)
            self._delta[tasks] = blocks.delta[blocks.groups.of_task]
            self._total[tasks] = blocks.total[blocks.groups.of_task]
            S += blocks.center_system()
        self._kappa = parallel(self._total, penalty.alpha_intercept)
        self.separate, self._response = not penalty.alpha.any(), None
        if not nested:
            self._set_up_center(S[0])
        elif self._outer is None:
            self._outer = Elimination(GroupMoments(S), self._coupling.outer)
        else:
            self._outer.set_weights(GroupMoments(S))

    def _set_up_center(self, S):
        """Eliminate the common intercept from the system of the center, and factor the rest."""
        penalty = self._penalty
        ww, self._wc, self._cc = 0.5 * (S[:-1, :-1] + S[:-1, :-1].T), S[:-1, -1], S[-1, -1]
        # With alpha = 0 the center is computed from the tasks and does not change their solution.
        if penalty.fixed_intercept or not self._kappa.any():
            self._cc, self._wc = np.inf, np.zeros_like(self._wc)
        elif self.separate and self._cc <= 1e-10 * self._kappa.sum():
            # The common intercept is not identified either: center and intercept minimize the
            # squares of the deviations.
            self._response = np.zeros((len(self._kappa), len(self._wc)))
            for blocks, tasks in self._parts:
                self._response[tasks] = blocks.response(np.zeros((1, len(ww))), np.ones(1))
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
        penalty, (V, q, w, c), T = self._penalty, coefficients, len(R)
        V, q, groups = V[:T], q[:T], Coefficients(V[T:], q[T:], w, c)
        # Eliminate the tasks' intercepts; `unpenalized` is q where its penalty is zero.
        unpenalized = q - np.divide(R, self._total, out=np.zeros(T), where=self._total > 0)
        P = (self._kappa * unpenalized + R)[:, None] * self._delta - G
        dV = np.empty_like(V)
        for blocks, tasks in self._parts:
            dV[tasks] = blocks.solve(P[tasks], V[tasks])
        dw, dc, groups = self._center_step(P, dV, V, groups, unpenalized)
        if dc.any() or dw.any():
            for blocks, tasks in self._parts:
                dV[tasks] -= blocks.response(dw, dc)
        own = dw if self._outer is None else dw[self._parent]
        drift = dc[self._parent] + (self._delta * (own + dV)).sum(axis=1)
        q = np.zeros_like(q)
        if np.isfinite(penalty.alpha_intercept):
            share = self._total + penalty.alpha_intercept
            share = np.divide(self._total, share, out=np.zeros(T), where=share > 0)
            q = share * (unpenalized - drift)
        V = V + dV
        if self._outer is not None:
            V, q = np.concatenate([V, groups.V]), np.concatenate([q, groups.q])
        return Coefficients(V, q, groups.w, groups.c)

    def _center_step(self, P, x, V, groups, unpenalized):
        """Return the steps of the centers, (R, d) and (R,), and their coefficients.

        ``x = M^-1 (P - alpha V)``.
        """
        right_c = self._sums(self._kappa, unpenalized)
        right_w = np.zeros((self._n_parents, P.shape[1]))
        if self._outer is None:
            right_w -= self._penalty.curvature.w * groups.w
        for blocks, tasks in self._parts:
            at_mean = np.einsum("tj,tj->t", self._delta[tasks], x[tasks])
            right_c -= self._sums(self._kappa[tasks], at_mean, tasks)
            right_w += blocks.right_hand_side(x[tasks], P[tasks], V[tasks])
        if self._outer is not None:
            moved = self._outer.step(groups, -right_w, -right_c)
            dw, dc = self._outer.change(groups, moved)
            return dw, dc, moved
        if self._response is not None:
            right_c = (self._response * (x + V)).sum(keepdims=True)[0]
        dw, dc = self._step_of_center(right_w[0], right_c[0], groups.w)
        return dw[None], np.array([dc]), groups._replace(w=groups.w + dw, c=groups.c + dc)

    def _sums(self, weight, values, tasks=slice(None)):
        """Return the sums of ``weight values`` over the tasks of each center, (R,)."""
        if self._n_parents == 1:
            return np.array([weight @ values])
        return np.bincount(self._parent[tasks], weight * values, self._n_parents)

    def _step_of_center(self, right_w, right_c, w):
        """Return the step of the center, (d,) and a number."""
        if self._center is None:
            dw = np.zeros_like(w) if self._penalty.fixed_center else -w
            return dw, right_c / self._cc
        if self.separate and self._response is None:
            dc = right_c / self._cc
            return self._center.solve(right_w - self._wc * dc), dc
        dw = self._center.solve(right_w - self._wc * (right_c / self._cc))
        return dw, (right_c - self._wc @ dw) / self._cc

    def change(self, before, after):
        """Return the change of the coefficients (T, d) and intercepts (T,) of the tasks."""
        step = Coefficients(*(part[None] for part in before.step_to(after)))
        step = self._coupling.flatten(step)
        return step.W[0], step.intercept[0]


def block_kinds(data, groups):
    """Return which groups are solved as which kind of block, a dict of masks."""
    d, rows = data.n_dimensions, data.block_sizes[groups.block] + 1
    pooled = np.isinf(groups.alpha)
    # The dual requires alpha > 0, and small d x d blocks use compiled loops.
    dual = ~pooled & (groups.alpha > 0) & (2 * rows <= d) & (d > SMALL and not data.graded)
    return {PooledBlocks: pooled, DualBlocks: dual, PrimalBlocks: ~pooled & ~dual}
