"""Exact Newton steps by block elimination."""

import os
from pathlib import Path

import numpy as np
from scipy import linalg

from skmtl._linalg import SymmetricSolver, null_space_of, row_space
from skmtl._tasks import SMALL
from skmtl.penalties import Coefficients
from skmtl.solvers._base import NewtonSolver
from skmtl.solvers._blocks import DualBlocks, Groups, PooledBlocks, PrimalBlocks, parallel


class DirectSolver(NewtonSolver):
    """Eliminate the deviations of each task, solve for the centre, substitute back.

    The tasks leave for the centre (w, c) the system of generalised least squares

        S = sum_t [A_t, u_t]' (I + A_t A_t' / alpha_t)^-1 [A_t, u_t] + diag(alpha_shared, 0)

    of which each term is ``alpha_t M_t^-1 A_t'A_t`` in d x d blocks (``_blocks.PrimalBlocks``) or
    ``alpha_t A_t' K_t^-1 A_t`` in n_t x n_t blocks (``DualBlocks``), whichever is smaller. With
    fewer rows than features in all, everything happens in the space the rows span.

    References
    ----------
    D. Bates, M. Maechler, B. Bolker, S. Walker (2015). Fitting linear mixed-effects models using
    lme4. Journal of Statistical Software 67. https://doi.org/10.18637/jss.v067.i01
    """

    @classmethod
    def objection(cls, problem):
        """Return why this solver cannot take the problem, or None."""
        reason = super().objection(problem)
        if reason is not None:
            return reason
        needed, limit = _memory(problem), _memory_limit()
        if needed > limit:
            return (
                f"its blocks would need about {needed / 2**30:.1f} GiB of memory, more than the "
                f"{limit / 2**30:.1f} GiB that it may take"
            )
        return None

    def setup(self):
        """Factor the blocks of all tasks and the system of the centre."""
        data, penalty = self.problem.data, self.problem.penalty
        self._basis = None
        if len(data.X) < data.n_features:
            self._basis = row_space(data.X)
            data = data.with_features(data.X @ self._basis)
        groups = Groups.of(data, penalty.alpha)
        self._delta = np.empty((data.n_tasks, data.n_features))
        self._total = np.empty(data.n_tasks)
        self._parts = []
        S = np.zeros((data.n_features + 1, data.n_features + 1))
        still = penalty.fixed_center and (penalty.fixed_level or penalty.alpha_intercept == 0)
        for kind, chosen in _kinds(data, groups).items():
            if not chosen.any():
                continue
            part, tasks = groups.select(chosen)
            blocks = kind(data, part, penalty.alpha_intercept)
            blocks.factor(reduce=not still)
            self._delta[tasks] = blocks.delta[part.of_task]
            self._total[tasks] = blocks.total[part.of_task]
            self._parts.append((blocks, tasks))
            S += blocks.center_system()
        self._kappa = parallel(self._total, penalty.alpha_intercept)
        self._set_up_center(S)

    def _set_up_center(self, S):
        """Eliminate the common level from the system of the centre, and factor the rest."""
        penalty = self.problem.penalty
        ww, self._wc, self._cc = 0.5 * (S[:-1, :-1] + S[:-1, :-1].T), S[:-1, -1], S[-1, -1]
        # Where no task is tied to the centre, the centre follows them and they do not follow it.
        self._follows, self._yield = not penalty.alpha.any(), None
        if penalty.fixed_level or not self._kappa.any():
            self._cc, self._wc = np.inf, np.zeros_like(self._wc)
        elif self._follows and self._cc <= 1e-10 * self._kappa.sum():
            # Nor do the data tell its level: all tasks can follow that too. Both are the least
            # squares of the deviations.
            self._yield = np.zeros((len(self._kappa), len(self._wc)))
            for blocks, tasks in self._parts:
                self._yield[tasks] = blocks.response(np.zeros_like(self._wc), 1.0)
            self._cc = float((self._yield**2).sum()) or np.inf
            self._wc = self._yield.sum(axis=0)
        if penalty.fixed_center or (self._follows and penalty.alpha_shared > 0):
            self._center = None
            return
        if not self._follows or self._yield is not None:
            ww = ww - np.outer(self._wc, self._wc / self._cc)
        if penalty.alpha_shared > 0:
            self._center = SymmetricSolver(ww + penalty.alpha_shared * np.eye(len(ww)))
        else:
            self._center = SymmetricSolver(ww, self._null_space)

    def _null_space(self):
        """Return the null space that the centre's system has in theory: where no row tells."""
        support = sum(blocks.support() for blocks, _ in self._parts)
        if np.isinf(self._cc) or (self._follows and self._yield is None):
            return null_space_of(support[:-1, :-1])
        return linalg.qr(null_space_of(support)[:-1], mode="economic")[0]

    def step(self, coefficients, evaluation):
        """Return the coefficients after a Newton step."""
        self.n_iter += 1
        penalty = self.problem.penalty
        G, R, (V, q, w, c) = evaluation.sums.G, evaluation.sums.R, coefficients
        if self._basis is not None:
            G, V, w = G @ self._basis, V @ self._basis, w @ self._basis
        # The tasks' levels, eliminated: the data alone would move each deviation q to `wish`.
        wish = q - R / self._total
        P = (self._kappa * wish + R)[:, None] * self._delta - G
        dV = np.empty_like(V)
        for blocks, tasks in self._parts:
            dV[tasks] = blocks.solve(P[tasks], V[tasks])
        dw, dc = self._center_step(P, dV, V, w, wish)
        if dc or dw.any():
            for blocks, tasks in self._parts:
                dV[tasks] -= blocks.response(dw, dc)
        drift = dc + (self._delta * (dw + dV)).sum(axis=1)
        q = np.zeros_like(q)
        if np.isfinite(penalty.alpha_intercept):
            q = (self._total / (self._total + penalty.alpha_intercept)) * (wish - drift)
        V, w = V + dV, w + dw
        if self._basis is not None:
            V, w = V @ self._basis.T, w @ self._basis.T
        return penalty.settle(Coefficients(V, q, w, c + dc))

    def _center_step(self, P, x, V, w, wish):
        """Return the step of the centre, (d,) and a number; ``x = M^-1 (P - alpha V)``."""
        penalty = self.problem.penalty
        right_w = -penalty.curvature().w * w
        right_c = self._kappa @ wish
        for blocks, tasks in self._parts:
            right_c -= np.einsum("t,tj,tj", self._kappa[tasks], self._delta[tasks], x[tasks])
            right_w += blocks.right_hand_side(x[tasks], P[tasks], V[tasks])
        if self._yield is not None:
            right_c = float((self._yield * (x + V)).sum())
        if self._center is None:
            dw = np.zeros_like(w) if penalty.fixed_center else -w
            return dw, right_c / self._cc
        if self._follows and self._yield is None:
            dc = right_c / self._cc
            return self._center.solve(right_w - self._wc * dc), dc
        dw = self._center.solve(right_w - self._wc * (right_c / self._cc))
        return dw, (right_c - self._wc @ dw) / self._cc


def _kinds(data, groups):
    """Return which groups are solved as which kind of block, a dict of masks."""
    d, rows = min(len(data.X), data.n_features), data.block_sizes[groups.block] + 1
    pooled = np.isinf(groups.alpha)
    # alpha = 0 has no dual, and small d x d blocks go through compiled loops.
    dual = ~pooled & (groups.alpha > 0) & (d > SMALL) & (2 * rows <= d)
    return {PooledBlocks: pooled, DualBlocks: dual, PrimalBlocks: ~pooled & ~dual}


def _memory(problem):
    """Return about how many bytes the blocks and the system of the centre take."""
    data = problem.data
    d = min(len(data.X), data.n_features)
    groups = Groups.of(data, problem.penalty.alpha)
    kinds = _kinds(data, groups)
    dual = data.block_sizes[groups.block[kinds[DualBlocks]]] + 1.0
    return 16 * kinds[PrimalBlocks].sum() * d**2 + 8 * (dual @ dual) + 48 * d**2


def _memory_limit():
    """Return half the memory of the machine or container in bytes, 4 GiB where it is unknown."""
    limits = []
    try:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (AttributeError, ValueError, OSError):  # another system, or a container without limit
        pass
    return min(limits, default=2.0**33) / 2
