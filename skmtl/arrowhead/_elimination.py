"""Exact Newton steps by block elimination."""

import numpy as np

from skmtl._linalg import SymmetricSolver
from skmtl.arrowhead._blocks import (
    VANISHING,
    DualBlocks,
    Groups,
    PooledBlocks,
    PrimalBlocks,
    parallel,
)
from skmtl.arrowhead._group_moments import GroupMoments, slopes_not_identified
from skmtl.arrowhead._kept import KeptMoments
from skmtl.data import FIXED_SCALE, SMALL
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
        Where alpha of tasks in groups is one for each coefficient, see ``NestedCoupling``.
    outside : bool
        Whether gradients may have parts outside of the space of a task's rows, as that of a
        coupling along a graph.
    vanishing : float
        Weight of the deviations in the system of the center where alpha is zero for all tasks. If
        it is 0, too, what is computed from these deviations does not move.

    Attributes
    ----------
    separate : bool
        Whether alpha is zero for all tasks, or all groups of a column: what is outside is then
        computed from their deviations.

    References
    ----------
    D. Bates, M. Maechler, B. Bolker, S. Walker (2015). Fitting linear mixed-effects models using
    lme4. Journal of Statistical Software 67. https://doi.org/10.18637/jss.v067.i01
    """

    def __init__(self, data, penalty, *, outside=False, vanishing=VANISHING):
        self._coupling, self._penalty = penalty, penalty.inner
        self._outer, self._scale = None, 1.0
        self._data, self._vanishing, self._free = data, vanishing, not self._penalty.alpha.any()
        groups, nesting = Groups.of(data, self._penalty.block_alpha, vanishing), penalty.nesting
        self._parent = np.zeros(data.n_tasks, np.intp) if nesting is None else nesting.parents[0]
        self._n_parents = 1 if nesting is None else nesting.sizes[1]
        self._parts = []
        for kind, chosen in block_kinds(data, groups).items():
            if chosen.any():
                part, tasks = groups, slice(None)
                if not chosen.all():
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
        self._data = data
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
        self._identifying, self.separate = self._kappa.copy(), self._free
        for blocks, tasks in self._parts:
            if blocks.identifies is not None:
                self._identifying[tasks] *= blocks.identifies[blocks.groups.of_task]
        if not nested:
            self._set_up_center(S[0])
            return
        if self._outer is None:
            outer = self._coupling.outer
            if outer.alpha.ndim == 2:
                self._scale = _scale_of(outer.alpha[0], np.einsum("rjj->j", S)[:-1])
                outer = outer.scaled(self._scale)
            groups = GroupMoments(S, self._support, self._scale)
            vanishing = self._vanishing * (VANISHING if self._free else 1.0)
            self._outer = Elimination(groups, outer, vanishing=vanishing)
        else:
            self._outer.set_weights(GroupMoments(S, self._support, self._scale))
        self.separate |= self._outer.separate

    def _set_up_center(self, S):
        """Eliminate the common intercept from the system of the center, and factor the rest."""
        penalty, d = self._penalty, len(S) - 1
        self._wc, self._cc = S[:-1, -1], S[-1, -1]
        if penalty.fixed_intercept or not self._kappa.any() or self._cc <= 0:
            self._cc, self._wc = np.inf, np.zeros(d)
        if penalty.fixed_center:
            self._center = None
            return
        ww = 0.5 * (S[:-1, :-1] + S[:-1, :-1].T)
        ww -= np.outer(self._wc, self._wc / self._cc)
        ww.flat[:: d + 1] += penalty.alpha_shared
        null_space = None if np.all(penalty.alpha_shared > 0) else self._null_space
        self._center = SymmetricSolver(ww, null_space)

    def _null_space(self):
        """Return the exact null space of the center's system: directions that no row identifies."""
        support = self._support()[0]
        support[:-1, :-1].flat[:: len(support)] += self._penalty.alpha_shared
        return slopes_not_identified(support, free_intercept=np.isfinite(self._cc))

    def _support(self):
        """Return matrices with the null spaces of the systems of the centers, but for rounding."""
        if self._free and self._vanishing == 0:
            return sum(blocks.center_system() for blocks, _ in self._parts)
        if isinstance(self._data, GroupMoments):
            intercept = self._penalty.alpha_intercept
            return self._data.support(self._parent, self._n_parents, intercept)
        return sum(blocks.support() for blocks, _ in self._parts)

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
        if penalty.alpha.ndim == 2:
            V *= penalty.free.V
        if self._outer is not None:
            V, q = np.concatenate([V, groups.V]), np.concatenate([q, groups.q])
        return Coefficients(V, q, groups.w, groups.c)

    def _center_step(self, P, x, V, groups, unpenalized):
        """Return the steps of the centers, (R, d) and (R,), and their coefficients.

        ``x = M^-1 (P - alpha V)``.
        """
        right_c = self._sums(self._identifying, unpenalized)
        right_w = np.zeros((self._n_parents, P.shape[1]))
        if self._outer is None:
            right_w -= self._penalty.curvature.w * groups.w
        for blocks, tasks in self._parts:
            at_mean = np.einsum("tj,tj->t", self._delta[tasks], x[tasks])
            right_c -= self._sums(self._identifying[tasks], at_mean, tasks)
            right_w += blocks.right_hand_side(x[tasks], P[tasks], V[tasks])
            if blocks.of_intercept is not None:
                own = blocks.of_intercept[blocks.groups.of_task]
                own = self._vanishing * np.einsum("tj,tj->t", own, x[tasks] + V[tasks])
                right_c += self._sums(np.ones(len(own)), own, tasks)
        if self._outer is not None:
            scale = self._scale
            groups = groups._replace(V=groups.V / scale, w=groups.w / scale)
            moved = self._outer.step(groups, -right_w * scale, -right_c)
            dw, dc = self._outer.change(groups, moved)
            return dw * scale, dc, moved._replace(V=moved.V * scale, w=moved.w * scale)
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
            return np.zeros_like(w), right_c / self._cc
        dw = self._center.solve(right_w - self._wc * (right_c / self._cc))
        return dw, (right_c - self._wc @ dw) / self._cc

    def change(self, before, after):
        """Return the change of the coefficients (T, d) and intercepts (T,) of the tasks."""
        step = Coefficients(*(part[None] for part in before.step_to(after)))
        step = self._coupling.flatten(step)
        return step.W[0], step.intercept[0]


def _scale_of(alpha, curvature):
    """Return the scale (d,) of coefficients whose alpha is then 1, small where alpha is inf.

    ``curvature`` (d,) is that of the data.
    """
    fixed = np.isinf(alpha)
    if fixed.all():
        return np.ones(len(alpha))
    small = FIXED_SCALE / np.sqrt(np.where(curvature > 0, curvature, 1.0))
    return np.where(fixed, small, 1.0 / np.sqrt(np.where(fixed, 1.0, alpha)))


def block_kinds(data, groups):
    """Return which groups are solved as which kind of block, a dict of masks."""
    d, rows = data.n_dimensions, data.block_sizes[groups.block] + 1
    pooled = np.isinf(groups.alpha)
    # The dual requires alpha > 0, and small d x d blocks use compiled loops.
    dual = ~pooled & (groups.alpha > 0) & (2 * rows <= d) & (d > SMALL and not data.graded)
    return {PooledBlocks: pooled, DualBlocks: dual, PrimalBlocks: ~pooled & ~dual}
