"""The inverse of the system of tasks around a center, as far as traces and products need it."""

import numpy as np

from skmtl._linalg import SUSPICIOUS, SymmetricSolver, bordered, null_space_of, outer

_CHUNK = 2**21  # numbers in a chunk of blocks


class Arrowhead:
    """The Hessian of a weighted half squared error plus a ``MeanCoupling``, after elimination.

    The elimination and its names are those of ``skmtl.arrowhead``.

    Parameters
    ----------
    data : TaskData
    penalty : MeanCoupling
        What is not alpha is taken from here.
    alpha : ndarray of shape (T,) or (T, d)
        Strengths on the deviations of the tasks, or of each of their coefficients; inf for all of
        a task or for none.
    """

    def __init__(self, data, penalty, alpha):
        self._data, self._penalty, self._alpha = data, penalty, alpha
        d = data.n_features
        S, support = np.zeros((2, d + 1, d + 1))
        self._own, kappas = np.empty((2, data.n_tasks))
        for tasks, block in self._blocks():
            self._own[tasks], kappas[tasks] = block.own, block.kappa
            S += block.center_system().sum(axis=0)
            support += block.support()
        self._moves = moves = self._center_moves(S, kappas)
        self._solver = None
        if moves.any():
            part = np.ix_(moves, moves)
            shared = 0.0 if penalty.fixed_center else penalty.alpha_shared
            ridge = np.append(np.full(d, shared), 0.0)
            null = None if shared > 0 else (lambda: null_space_of(support[part]))
            self._solver = SymmetricSolver((0.5 * (S + S.T) + np.diag(ridge))[part], null)

    def _center_moves(self, S, kappas):
        """Return which parts of (w, c) may move and have tasks tied to them, (d + 1,)."""
        penalty = self._penalty
        moves = np.full(len(S), bool(not penalty.fixed_center and self._alpha.any()))
        moves[-1] = not penalty.fixed_intercept and kappas.any()
        if not moves[0] and S[-1, -1] <= 1e-10 * kappas.sum():
            moves[-1] = False  # the tasks' own coefficients make up for any level
        return moves

    def _blocks(self):
        """Yield slices of tasks and their ``_Block``."""
        data = self._data
        step = max(1, _CHUNK // (data.n_features + 1) ** 2)
        for first in range(0, data.n_tasks, step):
            tasks = slice(first, first + step)
            yield tasks, _Block(data, self._penalty, self._alpha, tasks)

    def degrees(self):
        """Return the effective degrees of freedom of each task, (T,).

        Given the center (w, c) a task spends ``tr((H + kappa rho mm') M^-1) + n / (n + a)``, where
        m is the mean of its features, a is alpha_intercept and ``rho = a / (n + a)``. What it adds
        to the center's freedom is ``tr(S^-1 (K'HK + kappa rho rr'))``, with K (d, d + 1) how its
        coefficients follow the center and ``r = K'm + (0, 1)`` how the prediction at m does.
        """
        degrees, moves = self._own.copy(), self._moves
        if self._solver is None:
            return degrees
        size = moves.sum()
        for tasks, block in self._blocks():
            following = block.following()[:, moves][:, :, moves]
            sides = following.transpose(1, 0, 2).reshape(size, -1)
            solved = self._solver.solve(sides).reshape(size, -1, size)
            degrees[tasks] += np.einsum("jtj->t", solved)
        return degrees

    def products(self, G, R):
        """Return ``u_s' inverse u_t``, u_t the gradient (G_t, R_t) in task t alone.

        As own (T,) and root (T, k), k at most d + 1: they are ``diag(own) + root root'``.
        """
        own, follow = np.empty(len(R)), np.empty((len(R), len(self._moves)))
        for tasks, block in self._blocks():
            own[tasks], follow[tasks] = block.answer(G[tasks], R[tasks])
        if self._solver is None:
            return own, np.zeros((len(R), 1))
        return own, follow[:, self._moves] @ self._solver.inverse_root().T


class _Block:
    """Systems of some tasks, stacked: what the level leaves of them, and their answers to it."""

    def __init__(self, data, penalty, alpha, tasks):
        scale = data.scale[tasks]
        H, self.m, n = data.moments(data.block[tasks])
        H, n, a = H * scale[:, None, None], n * scale, penalty.alpha_intercept
        self.H, alpha = H, alpha[tasks]
        self.alpha = np.broadcast_to(alpha if alpha.ndim == 2 else alpha[:, None], self.m.shape)
        self.pooled, self.D = np.isinf(self.alpha).all(axis=1), _finite(self.alpha)
        self.given = 0.0 if np.isinf(a) else 1.0 / (n + a)
        rho = np.ones_like(n) if np.isinf(a) else a / (n + a)
        self.kappa, self.intercept = rho * n, rho**2 * n
        self.rho, self.A = rho, H + outer(self.kappa, self.m, self.m)
        solved = self.solve(np.concatenate([H, self.m[..., None]], axis=2))
        self.of_H, self.of_m = solved[..., :-1], solved[..., -1]  # M^-1 H, M^-1 m
        self.reach = 1.0 - self.kappa * np.einsum("tj,tj->t", self.m, self.of_m)
        mean = self.intercept * np.einsum("tj,tj->t", self.m, self.of_m)
        self.own = (
            np.einsum("tjj->t", self.of_H) + mean + (1.0 - rho) * (not penalty.fixed_intercept)
        )

    def solve(self, sides):
        """Return ``M^-1 sides``, stacked; zeros for tasks that cannot leave the center."""
        solved, inside = np.zeros_like(sides), ~self.pooled
        if inside.any():
            ridge = self.D[inside, :, None] * np.eye(self.H.shape[1])
            solved[inside] = _solved(self.A[inside] + ridge, sides[inside])
        return solved

    def center_system(self):
        """Return what each task adds to the system of the center, stacked (d + 1, d + 1)."""
        pooled = self.pooled
        ww = self.D[:, :, None] * (self.of_H + outer(self.kappa, self.of_m, self.m))
        ww[pooled] = self.A[pooled]
        wc = self.kappa[:, None] * np.where(pooled[:, None], self.m, self.D * self.of_m)
        return bordered(ww, wc, self.kappa * self.reach)

    def support(self):
        """Return the sum of what has the null space of the systems, but for rounding."""
        tied = (self.alpha > 0).all(axis=1)
        h = self.kappa[:, None] * self.m
        corner = np.where(tied, self.kappa, np.maximum(self.kappa * self.reach, 0.0))
        parts = bordered(self.A[tied], h[tied], corner[tied]).sum(axis=0)
        parts[-1, -1] += corner[~tied].sum()
        return parts

    def following(self):
        """Return ``K'HK + kappa rho rr'`` of each task, stacked (d + 1, d + 1)."""
        d = self.H.shape[1]
        K = np.empty((*self.H.shape[:2], d + 1))
        K[..., -1] = -self.kappa[:, None] * self.of_m
        K[..., :-1] = self.solve(self.D[:, :, None] * np.eye(d))
        K[self.pooled, :, :-1] = np.eye(d)
        r = np.einsum("tjk,tj->tk", K, self.m)
        r[:, -1] = self.reach
        return np.swapaxes(K, 1, 2) @ self.H @ K + outer(self.intercept, r, r)

    def answer(self, G, R):
        """Return ``u'C u`` of each task, C the inverse of its system given the center, and K'u.

        u is the gradient (G, R) of a function of its coefficients and level.
        """
        g = G - (R * (1.0 - self.rho))[:, None] * self.m
        x = self.solve(g[..., None])[..., 0]
        own = np.einsum("tj,tj->t", g, x) + self.given * R**2
        w = np.where(self.pooled[:, None], g, self.D * x)
        c = R * self.rho - self.kappa * np.einsum("tj,tj->t", self.m, x)
        return own, np.column_stack([w, c])


def _finite(strength):
    return np.where(np.isinf(strength), 0.0, strength)


def _solved(M, sides):
    """Return ``M^-1 sides``, stacked; where a matrix lacks full rank, the smallest solution."""
    scale = np.sqrt(np.einsum("tjj->tj", M))
    if (scale > 0).all():
        scaled = M / (scale[:, :, None] * scale[:, None, :])
        try:
            pivots = np.einsum("tjj->tj", np.linalg.cholesky(scaled)) ** 2
        except np.linalg.LinAlgError:
            pivots = np.zeros(1)
        if pivots.min() > SUSPICIOUS:
            return np.linalg.solve(scaled, sides / scale[..., None]) / scale[..., None]
    return np.stack([SymmetricSolver(m).solve(s) for m, s in zip(M, sides, strict=True)])
