"""The linear system of each task, factored once and solved often.

After elimination of its intercept, the deviation v of task t minimizes

    1/2 v' M v - p' v,   M = A'A + alpha I,   A = [sqrt(weight) (x - mean); sqrt(kappa) delta']

Here delta is the mean of the task's features, kappa = n alpha_intercept / (n + alpha_intercept) the
weight of the penalty on its intercept after the elimination, and h = kappa delta couples v to the
common intercept. Tasks with equal rows and equal alpha form one group and share a factor.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from skmtl import _kernels
from skmtl._linalg import SUSPICIOUS, SymmetricSolver, bordered, row_spectrum
from skmtl._memory import strips
from skmtl._threads import in_chunks
from skmtl.arrowhead._group_moments import GroupMoments
from skmtl.arrowhead._kept import KeptMoments, packed_grams
from skmtl.data import SMALL

_SIDES = ("left", "right")
_CHUNK = 2**20  # numbers in a chunk of blocks that are summed but not kept
_CACHED = 2**15  # numbers in the blocks that are factored and summed at a time
# Stands for a vanishing alpha in the system of the center, not in the blocks: in sums, what it
# multiplies is lost beside what it does not, and kept by itself.
VANISHING = 2.0**-150
_IDENTIFIED = 1e-10  # share of its weight that a mean keeps where it identifies the intercept


class Groups(NamedTuple):
    """Groups of tasks that share a factor; all arrays but the last have an entry per group.

    Attributes
    ----------
    block : the block of the data
    scale : factor of the block's moments
    alpha : penalty weight of the deviations
    gain : alpha times the number of tasks, the group's weight in the system of the center
    size : number of tasks
    of_task : ndarray of shape (T,), the group of each task
    """

    block: np.ndarray
    scale: np.ndarray
    alpha: np.ndarray
    gain: np.ndarray
    size: np.ndarray
    of_task: np.ndarray

    @classmethod
    def of(cls, data, alpha, vanishing=VANISHING):
        """Group the tasks of some data by block, task weight and alpha (T,).

        If all alpha are 0, ``vanishing`` is the weight in the system of the center.
        """
        block, scale = data.block, data.scale
        of_task, count = np.arange(data.n_tasks), np.ones(data.n_tasks)
        if len(data.block_sizes) < data.n_tasks:
            keys = np.column_stack([block, scale, alpha])
            if (keys == keys[0]).all():
                keys, of_task = keys[:1], np.zeros(data.n_tasks, dtype=np.intp)
                count = np.array([data.n_tasks])
            else:
                keys, *found = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
                of_task, count = found
            block, scale, alpha = keys.T
        weight = alpha if alpha.any() else np.full_like(alpha, vanishing)
        block = block.astype(np.intp, copy=False)
        return cls(block, scale, alpha, weight * count, count, of_task.ravel())

    def members(self):
        """Return the tasks of each group, a list of index arrays."""
        order = np.argsort(self.of_task, kind="stable")
        return np.split(order, np.bincount(self.of_task, minlength=len(self.block)).cumsum()[:-1])

    def select(self, chosen):
        """Return some of the groups (a mask), and the tasks that belong to them."""
        number = np.cumsum(chosen) - 1
        tasks = np.flatnonzero(chosen[self.of_task])
        parts = (part[chosen] for part in self[:-1])
        return Groups(*parts, number[self.of_task[tasks]]), tasks


class Blocks(ABC):
    """Systems of some groups of tasks.

    Attributes
    ----------
    delta : ndarray of shape (B, d)
        Means of the features.
    total : ndarray of shape (B,)
        Weight of one task of each group.
    kappa : ndarray of shape (B,)
        Weight of each group's mean.
    parent, n_parents : ndarray of int of shape (B,), int
        Which center the tasks deviate from, and the number R of centers.
    of_intercept, identifies : ndarray of shape (B, d), ndarray of bool of shape (B,)
        Where alpha is 0 for all tasks, ``M^-1 h``, and whether the deviations leave a task
        something that identifies the common intercept; else None.
    """

    of_intercept = identifies = None

    def __init__(self, data, groups, alpha_intercept, parent, n_parents):
        self.groups, self.alpha_intercept = groups, alpha_intercept
        self.parent, self.n_parents = parent, n_parents
        self.set_weights(data)

    @abstractmethod
    def set_weights(self, data):
        """Store the data with their weights; called again when the weights change."""

    def _set_means(self, delta, total):
        """Store the means and the weights of the groups, and the weights of the means."""
        self.delta, self.total = delta, total
        self.kappa = parallel(total, self.alpha_intercept)

    @property
    def h(self):
        """Coupling of the deviations to the common intercept, (B, d)."""
        return self.kappa[:, None] * self.delta

    @abstractmethod
    def factor(self, *, reduce):
        """Factor the blocks; with ``reduce``, also sum the system of the center."""

    def center_system(self):
        """Return the contributions S (R, d + 1, d + 1) to the systems of the centers (w, c).

        Sums over groups of ``gain M^-1 [A'A, h]`` in the upper d rows and of
        ``count (kappa - h' M^-1 h)`` in the corner; the rest of the last row is zero.
        """
        return self._S

    @abstractmethod
    def support(self):
        """Return the sums of ``[A, u]'[A, u]`` over the groups with gain > 0, of the shape of S.

        Up to rounding, S has the same null spaces. Other groups add to the corner the Schur
        complement of the common intercept.
        """

    def right_hand_side(self, x, P, V):
        """Return the right-hand sides of the centers, (R, d), at ``x = M^-1 (P - alpha V)``."""
        weight = (self.groups.gain / self.groups.size)[self.groups.of_task]
        if self.n_parents == 1:
            return (weight @ (x + V))[None]
        return self.of_parents(weight[:, None] * (x + V), self.parent[self.groups.of_task])

    def _sums(self, size, parts, groups=slice(None)):
        """Return the sums of ``size parts`` over the groups of each center, (R, ...)."""
        if self.n_parents == 1:
            return np.tensordot(size, parts, 1)[None]
        size = size.reshape(-1, *np.ones(parts.ndim - 1, int))
        return self.of_parents(size * parts, self.parent[groups])

    def of_parents(self, parts, parent):
        """Return the sums of parts over those of each center."""
        sums = np.zeros((self.n_parents, *parts.shape[1:]))
        np.add.at(sums, parent, parts)
        return sums

    @abstractmethod
    def solve(self, P, V):
        """Return ``M^-1 (p - alpha v)`` for the rows p of P and v of V, one per task."""

    @abstractmethod
    def response(self, w, c):
        """Return ``M^-1 (A'A w + h c)`` for each task: minus the deviations' step for (w, c).

        The steps of the centers are w (R, d) and c (R,).
        """

    @abstractmethod
    def kept(self):
        """Return the ``KeptMoments`` of the groups."""


def parallel(a, b):
    """Return the harmonic sum ``ab / (a + b)``, 0 of zeros, b in [0, inf]."""
    if np.isinf(b):
        return a
    both = np.asarray(a + b)
    return a * np.divide(b, both, out=np.zeros(both.shape), where=both > 0)


class PrimalBlocks(Blocks):
    """Blocks as d x d matrices, for tasks with at least about as many rows as features."""

    _room = _U = None  # tens of megabytes, reused in every Newton step

    def set_weights(self, data):
        """Store the data with their weights; called again when the weights change."""
        groups, first = self.groups, np.ones(len(self.groups.block), dtype=bool)
        self._of_groups = data if isinstance(data, GroupMoments) else None
        first[1:] = groups.block[1:] != groups.block[:-1]  # equal ones are neighbors
        H, delta, total = data.moments(groups.block[first], self._room)
        self._room = H
        if not first.all() or (groups.scale != 1).any():
            place = np.cumsum(first) - 1
            H = groups.scale[:, None, None] * H[place]
            delta, total = delta[place], groups.scale * total[place]
        self._H = H
        self._set_means(delta, total)

    def factor(self, *, reduce):
        """Factor the blocks; with ``reduce``, also sum the system of the center."""
        groups, h, kappa, H = self.groups, self.h, self.kappa, self._H
        n_blocks, d, _ = H.shape
        work, free = n_blocks * d**3, not groups.alpha.any()
        compiled = d <= SMALL and not (free and self._of_groups)
        failed, self._S = np.ones(n_blocks, dtype=bool), np.zeros((self.n_parents, d + 1, d + 1))
        if compiled:
            self._U = np.empty_like(H) if self._U is None else self._U
            given = H, h, kappa, groups.gain, groups.size, self._U, failed, self.parent
            strip = max(1, _CACHED // max(1, d**2))

            def part(first, last):
                B, S = np.zeros((d, -(-(d + 1) // 8) * 8)), np.zeros_like(self._S)
                for top in range(first, last, strip):  # what is factored is summed from the cache
                    own = top, min(top + strip, last)
                    blocks = H, self.delta, h, groups.alpha, SUSPICIOUS, self._U, failed
                    _kernels.factor_blocks(*blocks, *own)
                    if reduce:
                        _kernels.sum_blocks(*given, B, S, *own)
                return S

            self._S += sum(in_chunks(part, n_blocks, work if reduce else work // 3))
        else:
            for b in range(n_blocks):
                H[b] += np.outer(h[b], self.delta[b])
        self._solvers = {b: self._solver(b) for b in np.flatnonzero(failed)}
        if not reduce:
            return
        for b, solver in self._solvers.items():
            x, S = solver.solve(np.column_stack([H[b], h[b]])), self._S[self.parent[b]]
            S[:-1] += groups.gain[b] * x
            S[-1, -1] += groups.size[b] * (kappa[b] - h[b] @ x[:, -1])
        if free:
            self._sum_projections()

    def _solver(self, b):
        """Return the ``SymmetricSolver`` of a block."""
        M, alpha, eye = self._H[b], self.groups.alpha[b], np.eye(self._H.shape[1])
        if alpha > 0 or not self._of_groups:
            return SymmetricSolver(M + alpha * eye)
        null, left, _ = self._of_groups.null_space(self.groups.block[b], self.alpha_intercept)
        seen = np.diag(left) > 0
        return SymmetricSolver(np.where(np.outer(seen, seen), M, 0.0), lambda: null)

    def _sum_projections(self):
        """Replace the sums where alpha is zero by what has no rounding errors."""
        groups, h, kappa = self.groups, self.h, self.kappa
        # M^-1 A'A is the projection on the row space
        gain = np.bincount(self.parent, groups.gain, self.n_parents)
        self._S[:, :-1, :-1] = gain[:, None, None] * np.eye(h.shape[1])
        for b, solver in self._solvers.items():
            self._S[self.parent[b], :-1, :-1] -= groups.gain[b] * (solver.null @ solver.null.T)
        # deviations that make up for any common intercept leave their squares only
        self.of_intercept = self._solve(h, np.arange(len(h)))
        left = kappa - np.einsum("bj,bj->b", h, self.of_intercept)
        self.identifies = left > _IDENTIFIED * kappa
        corner = groups.size * np.where(self.identifies, left, 0.0)
        corner += groups.gain * np.square(self.of_intercept).sum(axis=1)
        self._S[:, -1, -1] = np.bincount(self.parent, corner, self.n_parents)

    def support(self):
        """Return the sums of ``[A, u]'[A, u]``; see the base class."""
        coupled = self.groups.gain > 0
        count, h, kappa = self.groups.size * coupled, self.h, self.kappa.copy()
        free = np.flatnonzero(~coupled)
        if free.size:
            kappa[free] -= np.einsum("bj,bj->b", h[free], self._solve(h[free], free))
        H, kappa = self._sums(count, self._H), self.groups.size * np.maximum(kappa, 0.0)
        return bordered(H, self._sums(count, h), np.bincount(self.parent, kappa, self.n_parents))

    def solve(self, P, V):
        """Return ``M^-1 (p - alpha v)`` for each task."""
        of_task = self.groups.of_task
        return self._solve(P - self.groups.alpha[of_task, None] * V, of_task)

    def response(self, w, c):
        """Return ``M^-1 (A'A w + h c)`` for each task."""
        n_blocks, d, _ = self._H.shape
        if self.n_parents == 1:
            product = (self._H.reshape(n_blocks * d, d) @ w[0]).reshape(n_blocks, d)
        else:
            product = np.einsum("bjk,bk->bj", self._H, w[self.parent])
        product += c[self.parent, None] * self.h
        return self._solve(product, np.arange(n_blocks))[self.groups.of_task]

    def kept(self):
        """Return the ``KeptMoments`` of the groups."""
        packed = packed_grams(self._H, self.h, self.delta)
        return KeptMoments.of_grams(packed, self.groups, self.delta, self.total)

    def _solve(self, P, group):
        """Return ``M^-1 p`` for each row p of P, of the group given."""
        result = P.copy()
        if len(self._solvers) < len(self._H):
            in_chunks(
                lambda first, last: _kernels.solve_blocks(self._U, group, result, first, last),
                len(P),
                4 * P.size * P.shape[1],
            )
        if self._solvers:
            order = np.argsort(group, kind="stable")
            start, stop = (np.searchsorted(group, list(self._solvers), s, order) for s in _SIDES)
            for solver, first, last in zip(self._solvers.values(), start, stop, strict=True):
                rows = order[first:last]
                result[rows] = solver.solve(P[rows].T).T
        return result


class DualBlocks(Blocks):
    """Blocks as m x m matrices ``AA' = U diag(l) U'``, for tasks with fewer rows than features.

    With ``C = U'A`` the block is ``A'A = C'C``, and ``M^-1 C' = C' diag(1 / (l + alpha))``:
    deviations stay in the row space for any alpha. The rows A are not stored but read from the
    data again.

    Attributes
    ----------
    outside : bool
        Whether the p that are solved for may have parts outside of the row space. Else these are
        rounding errors, which a small alpha would make large.
    """

    outside = False

    def set_weights(self, data):
        """Store the data with their weights; called again when the weights change."""
        self.data, groups = data, self.groups
        delta, total = np.empty((len(groups.block), data.n_features)), np.empty(len(groups.block))
        for g, b in enumerate(groups.block):
            _, delta[g], total[g] = data.block_rows(b)
        self._set_means(delta, groups.scale * total)

    def _rows(self, g):
        """Return ``[A, u]`` of a group, u the column of the common intercept."""
        rows, _, _ = self.data.block_rows(self.groups.block[g])
        root = np.sqrt(self.kappa[g])
        A = np.zeros((len(rows) + 1, rows.shape[1] + 1))
        A[:-1, :-1] = np.sqrt(self.groups.scale[g]) * rows
        A[-1, :-1], A[-1, -1] = root * self.delta[g], root
        return A

    def _spectra(self):
        """Yield ``C`` (r, d), ``U'u`` (r,), the eigenvalues (r,) and alpha of each group."""
        for g, (values, U) in enumerate(self._eigen):
            C = U.T @ self._rows(g)
            yield C[:, :-1], C[:, -1], values, self.groups.alpha[g]

    def factor(self, *, reduce):
        """Factor the blocks; with ``reduce``, also sum the system of the center."""
        groups, d = self.groups, self.data.n_features
        self._eigen = [row_spectrum(self._rows(g)[:, :-1]) for g in range(len(groups.block))]
        self._S = np.zeros((self.n_parents, d + 1, d + 1))
        if not reduce:
            return
        self._S[:, -1, -1] = np.bincount(self.parent, groups.size * self.kappa, self.n_parents)
        waiting, end = [], np.append(np.diff(self.parent) > 0, True)
        for g, (C, u, values, alpha) in enumerate(self._spectra()):
            root = np.sqrt(groups.gain[g] / (values + alpha))
            waiting.append(root[:, None] * np.column_stack([C, u]))
            # kappa - h' M^-1 h = kappa - u'u + alpha u' (l + alpha)^-1 u, the last term below
            self._S[self.parent[g], -1, -1] -= groups.size[g] * (u @ u)
            if sum(map(len, waiting)) > 2048 or end[g]:
                rows = np.vstack(waiting)  # many tasks per product
                self._S[self.parent[g]] += rows.T @ rows
                waiting = []

    def support(self):
        """Return the sums of ``[A, u]'[A, u]``; see the base class."""
        S = np.zeros_like(self._S)
        for g, count in enumerate(self.groups.size):
            A = self._rows(g)
            S[self.parent[g]] += count * (A.T @ A)
        return S

    def solve(self, P, V):
        """Return ``M^-1 (p - alpha v)`` for each task, which is ``M^-1 (p + A'A v) - v``."""
        result = np.empty_like(P)
        for (C, _, values, alpha), tasks in zip(
            self._spectra(), self.groups.members(), strict=True
        ):
            share = (C @ P[tasks].T) / values[:, None]
            inside = share + C @ V[tasks].T
            result[tasks] = (C.T @ (inside / (values + alpha)[:, None])).T - V[tasks]
            if self.outside:
                result[tasks] += (P[tasks] - share.T @ C) / alpha
        return result

    def response(self, w, c):
        """Return ``M^-1 (A'A w + h c)`` for each task."""
        response = [
            C.T @ ((C @ w[own] + u * c[own]) / (values + alpha))
            for own, (C, u, values, alpha) in zip(self.parent, self._spectra(), strict=True)
        ]
        return np.array(response)[self.groups.of_task]

    def kept(self):
        """Return the ``KeptMoments`` of the groups."""
        return KeptMoments.of_rows(self.data, self.groups)


class PooledBlocks(Blocks):
    """Blocks of tasks with infinite alpha, without deviations: only their sum is stored."""

    def set_weights(self, data):
        """Store the data with their weights; called again when the weights change."""
        self.data = data

    def factor(self, *, reduce):
        """Sum the system of the center."""
        groups, d = self.groups, self.data.n_features
        self._S = np.zeros((self.n_parents, d + 1, d + 1))
        delta, total = np.empty((len(groups.block), d)), np.empty(len(groups.block))
        for part in strips(len(groups.block), d**2, _CHUNK):
            H, delta[part], total[part] = self.data.moments(groups.block[part])
            size = groups.size[part] * groups.scale[part]
            self._S[:, :-1, :-1] += self._sums(size, H, part)
        self._set_means(delta, groups.scale * total)
        self._within = self._S[:, :-1, :-1].copy()
        h = groups.size[:, None] * self.h
        if self.n_parents == 1:
            self._S[0, :-1, :-1] += h.T @ self.delta
        else:
            for b, parent in enumerate(self.parent):
                self._S[parent, :-1, :-1] += np.outer(h[b], self.delta[b])
        self._S[:, :-1, -1] = self.of_parents(h, self.parent)
        self._S[:, -1, -1] = np.bincount(self.parent, groups.size * self.kappa, self.n_parents)

    def support(self):
        """Return the sums of ``[A, u]'[A, u]``; see the base class."""
        return bordered(self._S[:, :-1, :-1], self._S[:, :-1, -1], self._S[:, -1, -1])

    def right_hand_side(self, x, P, V):
        """Return the right-hand sides of the centers, (R, d)."""
        return self.of_parents(P, self.parent[self.groups.of_task])

    def solve(self, P, V):
        """Return zeros: these tasks have no deviations."""
        return np.zeros_like(P)

    def response(self, w, c):
        """Return zeros: these tasks have no deviations."""
        return np.zeros((len(self.groups.of_task), w.shape[1]))

    def kept(self):
        """Return the ``KeptMoments`` of the groups."""
        centers, first = np.unique(self.parent, return_index=True)
        H = self._within[centers] / self.groups.size[first, None, None]
        packed = packed_grams(H, *np.zeros((2, *H.shape[:2])))
        return KeptMoments.of_grams(packed, self.groups, self.delta, self.total, first)
