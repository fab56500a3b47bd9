"""Ridge coupling of tasks to groups, of groups to outer groups, and of these to a center."""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from skmtl.penalties._base import Coefficients, share_of_data
from skmtl.penalties._mean import MeanCoupling


class Nesting:
    """Groups of tasks within groups.

    Nodes are the T tasks, then the groups of each outer column, from the inside out. The members of
    a group are consecutive.

    Parameters
    ----------
    parents : list of ndarray of int
        The group of each task, (T,); the outer group of each group; and so on. They ascend.
    columns : list, optional
        Names of the columns of labels, from the inside out, by default their numbers.

    Attributes
    ----------
    levels : list of slice
        The nodes of each level: the tasks, and the groups.
    """

    def __init__(self, parents, columns=None):
        self.parents = list(parents)
        self.columns = list(range(len(self.parents), -1, -1)) if columns is None else columns
        ends = np.cumsum([0, *map(len, self.parents), self.parents[-1][-1] + 1])
        self.levels = [slice(int(a), int(b)) for a, b in pairwise(ends)]

    @classmethod
    def of_labels(cls, tasks, columns=None):
        """Return the nesting of tasks with tuples as labels, and the labels of each level's groups.

        The labels are those of the columns from the outside in, sorted.
        """
        parents, labels, members = [], [], tasks.tolist()
        while len(members[0]) > 1:
            groups = {}
            parents.append(np.array([groups.setdefault(own[:-1], len(groups)) for own in members]))
            members = list(groups)
            labels.append(members)
        return cls(parents, columns), labels

    @property
    def sizes(self):
        """Number of nodes of each level, a list."""
        return [level.stop - level.start for level in self.levels]

    @property
    def n_nodes(self):
        """Number of all nodes."""
        return self.levels[-1].stop

    @property
    def outer(self):
        """The nesting of the groups, None if they are in no group."""
        return Nesting(self.parents[1:], self.columns[1:]) if len(self.parents) > 1 else None

    def by_column(self, values):
        """Return a dict of values (L, ...), of the levels, by column from the outside in.

        Values are numbers or arrays.
        """
        values = list(values) if np.ndim(values[0]) else np.ravel(values).tolist()
        return dict(zip(self.columns[::-1], values[::-1], strict=True))

    def spread(self, nodes):
        """Return the sum along the way from each task to the center, (..., T) of (..., N)."""
        total = nodes[..., self.levels[-1]]
        for level, parent in zip(self.levels[-2::-1], self.parents[::-1], strict=True):
            total = nodes[..., level] + total[..., parent]
        return total

    def gather(self, tasks):
        """Return the sums over the tasks of each node, (..., N) of (..., T)."""
        parts = [tasks]
        for parent in self.parents:
            parts.append(sums_of_members(parts[-1], parent))
        return np.concatenate(parts, axis=-1)

    def eliminate(self, values, share):
        """Subtract from values (K, N, ...) a share (N, ...) of those of all nodes inside.

        Inner nodes come first, their values being reduced already. Return the share (K, ...) to be
        subtracted from the values of the center.
        """
        inside = 0.0
        for level, parent in zip(self.levels, [*self.parents, None], strict=True):
            own = values[:, level]
            own -= inside
            inside = inside + share[level] * own
            if parent is not None:
                inside = sums_of_members(inside, parent, axis=1)
        return inside.sum(axis=1)

    def take(self, tasks):
        """Return the nesting of some of the tasks, an ascending index array, and their nodes."""
        own, parents, nodes = np.asarray(tasks), [], [np.asarray(tasks)]
        for level, parent in zip(self.levels[1:], self.parents, strict=True):
            own, codes = np.unique(parent[own], return_inverse=True)
            parents.append(codes)
            nodes.append(level.start + own)
        return Nesting(parents, self.columns), np.concatenate(nodes)


def sums_of_members(values, parent, axis=-1):
    """Return the sums of values over the members of each group along an axis.

    Parameters
    ----------
    values : ndarray
        Of members, which are consecutive in each group.
    parent : ndarray of int
        The group of each member, ascending.
    axis : int, default=-1
        Axis of the members.

    Returns
    -------
    ndarray
        With groups in place of members.
    """
    return np.add.reduceat(values, np.flatnonzero(np.diff(parent, prepend=-1)), axis=axis)


@dataclass(frozen=True)
class NestedCoupling(MeanCoupling):
    """``1/2 sum_n alpha_n ||V_n||^2 + ...``, V_n the deviation of a node from its group.

    A task has the coefficients ``w + V_t + V_g + ...`` of the center and all nodes on the way.
    Weights are those of ``MeanCoupling``, of each node. A weight of zero is the limit of a
    vanishing one: weights around it are infinite beside it. Of several zeros the outermost vanishes
    first: groups are as near to the solutions of their members as these allow.

    Parameters
    ----------
    alpha : ndarray of shape (N,) or (N, d)
        Penalty weight of the deviations of each node, or of each coefficient of these, positive.
        The finite ones of a task are equal, as in the ``Axes`` of an estimate. Features of infinite
        ones are small there, unless all are infinite.
    alpha_shared : float or ndarray of shape (d,)
        As of ``MeanCoupling``.
    alpha_intercept : ndarray of shape (L,)
        Penalty weight of the deviations of the centered intercepts of each level, tasks first.
    fixed_intercept : bool
        As of ``MeanCoupling``.
    alpha_common : float, optional
        As of ``MeanCoupling``.
    nesting : Nesting
        The groups.
    """

    nesting: Any = None

    around_center = False

    @property
    def n_levels(self):
        """Number of levels of nodes L, tasks included."""
        return len(self.nesting.levels)

    @classmethod
    def of(cls, alpha, alpha_shared, alpha_intercept, fixed_intercept, nesting):
        """Return the coupling with penalty weights of the levels, from the inside out.

        ``alpha`` is (L,) or (L, d), ``alpha_intercept`` (L,).
        """
        alpha = np.repeat(_limits(alpha), nesting.sizes, axis=0)
        intercept = _limits(alpha_intercept)
        return cls(alpha, alpha_shared, intercept, fixed_intercept, nesting=nesting)

    @property
    def level_alpha(self):
        """Penalty weight of the deviations of each level of nodes, (L,) or (L, d), a copy."""
        return self.alpha[[level.start for level in self.nesting.levels]]

    @cached_property
    def inner(self):
        """The coupling of the tasks to their groups."""
        alpha, intercept = self.alpha[self.nesting.levels[0]], float(self.alpha_intercept[0])
        return MeanCoupling(alpha, self.alpha_shared, intercept, self.fixed_intercept)

    @cached_property
    def outer(self):
        """The coupling of the groups to outer groups, or to the center."""
        nesting, intercept = self.nesting.outer, self.alpha_intercept[1:]
        shared = self.alpha_shared, float(intercept[0]), self.fixed_intercept, self.alpha_common
        alpha = self.alpha[self.nesting.levels[0].stop :]
        if nesting is None:
            return MeanCoupling(alpha, *shared)
        return replace(self, alpha=alpha, alpha_intercept=intercept, nesting=nesting)

    def within(self, n_columns):
        """Return the coupling of tasks in one group of the outer columns, which is their center."""
        nesting, n_levels = self.nesting, len(self.nesting.sizes) - n_columns
        if n_levels == 1:
            # coefficients without deviations are small in the coordinates of the data
            return replace(self.inner, alpha=self.inner.block_alpha)
        inside = Nesting(nesting.parents[: n_levels - 1], nesting.columns[:n_levels])
        weights = self.alpha[: inside.n_nodes], self.alpha_intercept[:n_levels]
        return replace(self, alpha=weights[0], alpha_intercept=weights[1], nesting=inside)

    @property
    def levels_of_groups(self):
        """The couplings of the groups of each outer column, from the inside out, a list."""
        outer = self.outer
        return [outer.inner, *(outer.levels_of_groups if outer.nesting is not None else [])]

    @property
    def coercive(self):
        """Whether all deviations of a task and the center are penalized, (T,)."""
        free = self.nesting.spread((self.alpha == 0).reshape(len(self.alpha), -1).any(axis=1) + 0)
        return (free == 0) & np.all(self.alpha_shared > 0)

    def diagonal(self):
        """Return the penalty weight of each part, inf where it is fixed."""
        return super().diagonal()._replace(q=np.repeat(self.alpha_intercept, self.nesting.sizes))

    def with_weights(self, alpha=None, alpha_intercept=None, alpha_shared=None):
        """Return the coupling with other penalty weights, as of ``of``, if not None."""
        if alpha is None:
            alpha = self.level_alpha
        intercept = self.alpha_intercept if alpha_intercept is None else alpha_intercept
        shared = self.alpha_shared if alpha_shared is None else alpha_shared
        return NestedCoupling.of(alpha, shared, intercept, self.fixed_intercept, self.nesting)

    def of_nesting(self, nesting):
        """Return the coupling of other tasks and groups in these columns."""
        alpha = np.repeat(self.level_alpha, nesting.sizes, axis=0)
        return replace(self, alpha=alpha, nesting=nesting)

    def flatten(self, coefficients):
        """Return the same with deviations of the tasks from the center only."""
        V, q, w, c = coefficients
        V = self.nesting.spread(V.swapaxes(1, 2)).swapaxes(1, 2)
        return Coefficients(V, self.nesting.spread(q), w, c)

    def of_groups(self, coefficients):
        """Return the ``Coefficients`` of the groups of each outer column, from the outside in."""
        V, q, w, c = coefficients
        first = self.nesting.levels[0].stop
        groups = Coefficients(V[:, first:], q[:, first:], w, c)
        found = [self.outer.flatten(groups)]
        return found if self.outer.nesting is None else self.outer.of_groups(groups) + found

    def of_nodes(self, G, R):
        """Return sums of arrays (K, T, d) and (K, T) over the tasks of each node."""
        return self.nesting.gather(G.swapaxes(1, 2)).swapaxes(1, 2), self.nesting.gather(R)

    def canonicalize(self, coefficients, present=None):
        """Return the same model, intercepts outside of free ones being means of these."""
        q, c, weight = coefficients.q.copy(), coefficients.c, self.alpha_intercept
        levels, parents = self.nesting.levels, self.nesting.parents
        for level in np.flatnonzero(weight == 0):
            own, to, group = q[:, levels[level]], level, np.arange(self.nesting.sizes[level])
            while to < len(parents):
                group, to = parents[to][group], to + 1
                if np.isfinite(weight[to]):
                    mean = sums_of_members(own, group) / np.bincount(group)
                    q[:, levels[to]] += mean
                    own -= mean[:, group]
                    break
            else:
                if not self.fixed_intercept:
                    mean = own.mean(axis=1)
                    own -= mean[:, None]
                    c = c + mean
        return coefficients._replace(q=q, c=c)

    def residual(self, coefficients, gradient, curvature):
        """Return the gradient after elimination of the deviations inside; see the base class."""
        found, weights, free = [], self.curvature, self.free
        parts = gradient.V[:, :], gradient.q  # of a lazy gradient, the array
        for own, weight, moves, unit in zip(parts, weights, free, curvature(), strict=False):
            share = moves * share_of_data(weight, unit)
            own = own.copy()
            found.append((own, self.nesting.eliminate(own, share)))
            # entries without curvature are not identified: any value is optimal
            own *= unit > 0
        (V, of_w), (q, of_c) = found
        w, c = gradient.w - free.w * of_w, gradient.c - free.c * of_c
        return Coefficients(free.V * V, free.q * q, w, c)

    def take(self, tasks):
        """Return the penalty for some of the tasks, an index array, and of their groups."""
        nesting, nodes = self.nesting.take(tasks)
        return replace(self, alpha=self.alpha[nodes], nesting=nesting)


def _limits(weights):
    """Return weights (L, ...) where what is positive outside of a zero is infinite."""
    weights = np.array(weights, dtype=float)
    outside = np.maximum.accumulate(weights == 0)
    return np.where(outside & (weights > 0), np.inf, weights)
