"""Moments of the tasks that a fitted model keeps, in as few numbers as they need."""

from functools import partial
from typing import NamedTuple

import numpy as np

from skmtl import _kernels
from skmtl._linalg import row_space
from skmtl._threads import in_chunks
from skmtl.data import Moments

_NOTHING = 1e-8  # share of the length of a row outside of the row space that is rounding error


class KeptMoments(NamedTuple):
    """Second-order moments of E groups of tasks about their means.

    A group has an upper triangle of its Gram matrix or, where these are fewer numbers, weighted
    rows with this Gram matrix. Groups of a pooled model have neither, but for one with their sum.

    Attributes
    ----------
    packed : ndarray of shape (P, d (d + 1) / 2)
    place : ndarray of int of shape (E,)
        Row of ``packed`` of each group, -1 where it has none.
    rows : ndarray of shape (R, d)
    edges : ndarray of int of shape (E + 1,)
        Rows of a group are ``rows[edges[e]:edges[e + 1]]``.
    mean : ndarray of shape (E, d)
    total : ndarray of shape (E,)
        Weight of one task of each group.
    size : ndarray of shape (E,)
        Number of tasks of each group that determine the center.
    alpha : ndarray of shape (E,)
        Penalty weight of the deviations.
    """

    packed: np.ndarray
    place: np.ndarray
    rows: np.ndarray
    edges: np.ndarray
    mean: np.ndarray
    total: np.ndarray
    size: np.ndarray
    alpha: np.ndarray

    @classmethod
    def join(cls, parts):
        """Return the moments of all groups of several parts."""
        if len(parts) == 1:
            return parts[0]
        packed, place, rows, edges, *rest = zip(*parts, strict=True)
        counts = np.concatenate([np.diff(own) for own in edges])
        before = np.cumsum([0, *map(len, packed[:-1])])
        place = [np.where(own < 0, -1, own + n) for own, n in zip(place, before, strict=True)]
        return cls(
            np.concatenate(packed),
            np.concatenate(place),
            np.concatenate(rows),
            np.append(0, np.cumsum(counts)),
            *map(np.concatenate, rest),
        )

    @classmethod
    def of_grams(cls, packed, groups, mean, total, given=slice(None)):
        """Return those of ``Groups``, given packed Gram matrices of all, or of some of them."""
        n_groups, place = len(groups.block), np.full(len(groups.block), -1)
        place[given] = np.arange(len(packed))
        rows, edges = np.empty((0, mean.shape[1])), np.zeros(n_groups + 1, dtype=np.intp)
        size = groups.size.astype(float)
        return cls(packed, place, rows, edges, mean, total, size, groups.alpha)

    @classmethod
    def of_rows(cls, data, groups):
        """Return those of ``Groups``, by rows."""
        rows, mean, total = data.rows_of_blocks(groups.block)
        sizes, scale = data.block_sizes[groups.block], groups.scale
        if (scale != 1).any():
            rows *= np.repeat(np.sqrt(scale), sizes)[:, None]
        return cls(
            np.empty((0, data.n_features * (data.n_features + 1) // 2)),
            np.full(len(total), -1),
            rows,
            np.append(0, np.cumsum(sizes)),
            mean,
            scale * total,
            groups.size.astype(float),
            groups.alpha,
        )

    @property
    def n_features(self):
        """Number of features d."""
        return self.mean.shape[1]

    def row_basis(self):
        """Return an orthonormal basis of the space of all rows and means, None where it is all."""
        if len(self.packed) or len(self.rows) + len(self.mean) >= self.n_features:
            return None
        return row_space(np.vstack([self.rows, self.mean]))

    def moments(self, entries, basis=None):
        """Return the ``Moments`` of some groups, in the coordinates of a ``row_basis``, if any.

        These have one more: the length of the part of a row outside of the space, here zero.
        """
        place, mean, d = self.place[entries], self.mean[entries], self.n_features
        H = np.zeros((len(place), d, d))
        known = np.flatnonzero(place >= 0)
        if known.size:
            rest = mean[known], self.total[entries][known]
            room = Moments(np.empty((len(known), d, d)), *map(np.empty_like, rest))
            Moments(self.packed[place[known]], *rest).unpack(room)
            H[known] = room.H
        if basis is not None:
            mean = inside(mean, basis)
            H = np.zeros((len(place), mean.shape[1], mean.shape[1]))
        first, last = self.edges[:-1][entries], self.edges[1:][entries]
        for e in np.flatnonzero(last > first):
            rows = self.rows[first[e] : last[e]]
            rows = rows if basis is None else inside(rows, basis)
            H[e] += rows.T @ rows
        return Moments(H, mean, self.total[entries])


class KeptGroups(NamedTuple):
    """Groups of the entries of ``KeptMoments``, and groups of these, from the inside out.

    What ``adapt`` adds to a group, or to the center, that was known has no weight in it.

    Attributes
    ----------
    parents : list of ndarray of int
        Group of each entry, (E,); the outer group of each group; and so on.
    size : list of ndarray of shape (R,)
        Weight of each group in the system of what it deviates from, 1 or 0.
    place : list of ndarray of int of shape (G,)
        Where the groups of the model are among these.
    """

    parents: list
    size: list
    place: list

    @classmethod
    def of(cls, nesting, of_task, n_entries):
        """Return those of a fit, given the ``Nesting`` and the entry of each task."""
        parent = np.empty(n_entries, dtype=np.intp)
        parent[of_task] = nesting.parents[0]
        sizes = nesting.sizes[1:]
        each = [np.arange(size) for size in sizes]
        return cls([parent, *nesting.parents[1:]], list(map(np.ones, sizes)), each)

    def with_adapted(self, nesting, former, entries, tasks):
        """Return the same with added tasks and their groups, and the weights of added entries.

        Parameters
        ----------
        nesting : Nesting
            Of all tasks.
        former : list of ndarray of int of shape (G,)
            What number each of its groups had, by level; -1 where it is new.
        entries, tasks : ndarray of int
            Added entries, from 0, and the tasks that they belong to.
        """
        first = np.unique(entries, return_index=True)[1]
        place, added, parents, weights = [], [tasks[first]], [], []
        for own, before, size in zip(former, self.place, self.size, strict=True):
            new = np.flatnonzero(own < 0)
            place.append(before[own])
            place[-1][new] = len(size) + np.arange(len(new))
            added.append(new)
        for level, parent in enumerate(nesting.parents):
            outer = parent[added[level]]
            parents.append(np.append(self.parents[level], place[level][outer]))
            weights.append(former[level][outer] < 0)
        weights.append(np.zeros(len(added[-1])))
        size = [np.append(own, new) for own, new in zip(self.size, weights[1:], strict=True)]
        return KeptGroups(parents, size, place), weights[0]

    def weights(self, size):
        """Return the weights (E,) of entries in the center, given those in their groups."""
        total = self.size[-1]
        for parent, own in zip(self.parents[:0:-1], self.size[-2::-1], strict=True):
            total = own * total[parent]
        return size * total[self.parents[0]]


def inside(rows, basis):
    """Return rows (n, d) in the coordinates of a ``row_basis`` (d, r), and outside: (n, r + 1)."""
    found = rows @ basis
    rest = np.linalg.norm(rows - found @ basis.T, axis=1)
    rest[rest <= _NOTHING * np.linalg.norm(rows, axis=1)] = 0.0
    return np.column_stack([found, rest])


def packed_grams(H, left, right):
    """Return the upper triangles of matrices ``H - left right'``, (B, d (d + 1) / 2)."""
    n_blocks, d, _ = H.shape
    packed = np.empty((n_blocks, d * (d + 1) // 2))
    kernel = partial(_kernels.pack_grams, H, left, right, packed)
    in_chunks(kernel, n_blocks, 10 * H.size)
    return packed
