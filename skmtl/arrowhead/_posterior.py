"""The objective read as a posterior: variances of coefficients and predictions."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from skmtl._likelihood_kernels import prediction_variances
from skmtl._linalg import SymmetricSolver, bordered
from skmtl._memory import strips
from skmtl._threads import in_chunks
from skmtl.arrowhead._blocks import Groups
from skmtl.arrowhead._degrees import (
    MOST,
    coupled_share,
    coupling_weights,
    graph_degrees,
    graph_system,
)
from skmtl.arrowhead._elimination import Elimination
from skmtl.arrowhead._kept import KeptGroups, KeptMoments, inside
from skmtl.arrowhead._system import ArrowheadSystem, Covariance, NestedSystem
from skmtl.data import SMALL
from skmtl.penalties import GraphCoupling

_ZERO = 1e-7  # share of the absolute terms of a sum below which it is rounding error
_CHUNK = 2**20  # numbers of the rows, or of the covariances, in memory at a time
_VANISHING = 1e-8  # multiple of the curvature of the data that stands for a vanishing penalty


@dataclass(frozen=True)
class Posterior(ABC):
    """Posterior of the coefficients of a model with a squared loss and a quadratic coupling.

    The objective over sigma2 is minus the logarithm of its density: row i has noise of the variance
    sigma2 / weight_i, and parts of the penalty are normal priors, flat where a weight is 0. Given
    the penalty weights it is normal. All variances are in units of sigma2, of coefficients and
    centered intercepts in the coordinates of the features in which the fit was posed; they are inf
    where neither rows nor a penalty identify a quantity. For other losses, the curvature at the
    solution takes the place of the weights (Laplace's approximation).

    Linear forms of coefficients and intercept are rows Z (n, d), with the multiple of the intercept
    behind them: 1 for predictions.

    Parameters
    ----------
    moments : KeptMoments
    penalty : MeanCoupling or GraphCoupling
        Of all tasks of the fit.
    factor : ndarray of shape (d,)
        Of the penalty in each coordinate: 1, 0, or inf where tasks do not deviate from the center.
    of_task : ndarray of int of shape (T,)
        Group of the moments of each task; with a graph its node.
    """

    moments: KeptMoments
    penalty: Any
    factor: np.ndarray
    of_task: np.ndarray

    @classmethod
    def of(cls, data, penalty, factor, elimination=None):
        """Return the posterior of ``TaskData``, weighted by curvatures.

        Given also the ``Elimination`` that solved it; it may be None.
        """
        if elimination is None and not data.rotates:
            elimination = Elimination(data, penalty.star())
        if data.rotates:
            groups = Groups.of(data, penalty.star().block_alpha)
            moments, of_task = KeptMoments.of_rows(data, groups), groups.of_task
        else:
            moments, of_task = elimination.kept()
        if not isinstance(penalty, GraphCoupling):
            groups = None
            if penalty.nesting is not None:
                groups = KeptGroups.of(penalty.nesting, of_task, len(moments.total))
            return CenterPosterior(moments, penalty, factor, of_task, groups)
        latent = np.setdiff1d(np.arange(len(penalty.labels)), penalty.observed)
        nodes = np.concatenate([penalty.observed, latent])
        return GraphPosterior(moments, penalty, factor, nodes, of_task)

    def __getstate__(self):
        return {name: vars(self)[name] for name in self.__dataclass_fields__}

    def __deepcopy__(self, memo):
        return self  # immutable

    def take(self, order):
        """Return the posterior with the tasks in another order, an index array."""
        return replace(self, of_task=self.of_task[order])

    @abstractmethod
    def objection(self):
        """Return why variances cannot be computed, or None."""

    @abstractmethod
    def degrees(self):
        """Return the effective degrees of freedom of the fit."""

    @abstractmethod
    def pooling(self, B, inverse):
        """Return the weight of the other tasks in each coefficient and intercept, (T, k + 1).

        In the coordinates ``B`` (k, d) of those of the fit, of which ``inverse`` (d, k) is the
        inverse. See ``skmtl.inspection.pooling_factor``.
        """

    @abstractmethod
    def _covariances(self, groups):
        """Return the ``Covariance`` of some groups, an index array."""

    def variances(self, Z, tasks):
        """Return the variances of predictions of tasks, indices (n,): (n,)."""
        groups = self.of_task[tasks]
        order = np.argsort(groups, kind="stable")
        found, first = np.unique(groups[order], return_index=True)
        edges, variance = np.append(first, len(order)), np.empty(len(Z))
        for start, covariances in self._in_chunks(found):
            bounds = edges[start : start + len(covariances.finite) + 1]
            codes = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
            for strip in strips(len(codes), Z.shape[1], _CHUNK):
                rows = order[bounds[0] :][strip]
                variance[rows] = _predictions(self._inside(Z[rows]), codes[strip], *covariances)
        return variance

    def variances_of_all(self, Z, constant=1.0):
        """Return the variances of linear forms for all tasks, (n, T)."""
        groups, of_task = np.unique(self.of_task, return_inverse=True)
        Z, found = self._rows(Z, constant), np.empty((len(groups), len(Z)))
        for start, covariances in self._in_chunks(groups):
            for g, part in enumerate(zip(*covariances, strict=True), start):
                found[g] = _forms(Z, *part)
        return found[of_task].T

    @cached_property
    def _basis(self):
        """Basis of the row space where n < d, else None."""
        alike = (self.factor == 1).all() and self.penalty.isotropic
        return self.moments.row_basis() if alike else None

    @cached_property
    def _factor(self):
        return self.factor if self._basis is None else np.ones(self._basis.shape[1] + 1)

    def _rows(self, Z, constant=1.0):
        """Return linear forms in the coordinates of the system, the intercept's last."""
        return np.column_stack([self._inside(Z), np.broadcast_to(constant, len(Z))])

    def _inside(self, Z):
        return Z if self._basis is None else inside(Z, self._basis)

    def _in_chunks(self, groups):
        """Yield the place of the first of some groups, and their ``Covariance``."""
        return self._chunks_of(groups, self._covariances)

    def _chunks_of(self, groups, covariances):
        step = max(1, _CHUNK // (len(self._factor) + 1) ** 2)
        for start in range(0, len(groups), step):
            yield start, covariances(groups[start : start + step])


@dataclass(frozen=True)
class CenterPosterior(Posterior):
    """Posterior around a center, a ``MeanCoupling``.

    Parameters
    ----------
    groups : KeptGroups or None
        Those of the tasks in the groups of a ``NestedCoupling``.
    """

    groups: Any = None

    def objection(self):
        """Return None: variances can be computed."""

    def with_adapted(self, others, kept, order, nesting=None, former=None):
        """Return the posterior with tasks added that deviate from the center or a group of this.

        Parameters
        ----------
        others : list of Posterior
            Those of the added tasks, given what they deviate from.
        kept : ndarray of bool
            Which tasks of this one are not replaced.
        order : ndarray of int
            Puts these, and then the added ones, in order.
        nesting, former
            With groups, as of ``KeptGroups.with_adapted``.
        """
        added = KeptMoments.join([other.moments for other in others])
        starts = np.cumsum([0, *(len(other.moments.total) for other in others)])
        entries = np.concatenate(
            [start + other.of_task for start, other in zip(starts, others, strict=False)]
        )
        of_task = np.concatenate([self.of_task[kept], len(self.moments.total) + entries])[order]
        size, groups, penalty = np.zeros_like(added.size), None, self.penalty
        if nesting is not None:
            tasks = np.argsort(order)[np.count_nonzero(kept) :]
            groups, weight = self.groups.with_adapted(nesting, former, entries, tasks)
            size, penalty = weight * added.size, penalty.of_nesting(nesting)
        moments = KeptMoments.join([self.moments, added._replace(size=size)])
        parts = {"moments": moments, "penalty": penalty, "of_task": of_task, "groups": groups}
        return replace(self, **parts)

    def degrees(self):
        """Return the effective degrees of freedom of the fit."""
        size = self.moments.size
        size = size if self.groups is None else self.groups.weights(size)
        degrees = float(self._system.degrees() @ size)
        self._system.forget()
        return degrees

    def center_variances(self, Z, constant=1.0):
        """Return the variances of linear forms of the center, (n,)."""
        covariance = (part[0] for part in self._system.center_covariance())
        return _forms(self._rows(Z, constant), *covariance)

    def group_variances(self, Z, constant=1.0):
        """Return the variances of linear forms for the groups of each outer column, (G, n).

        A list from the outside in.
        """
        Z, found, system = self._rows(Z, constant), [], self._system
        for place in self._places:
            system = system.outer
            own = np.empty((len(place), len(Z)))
            for start, covariances in self._chunks_of(place, system.covariances):
                for g, part in enumerate(zip(*covariances, strict=True), start):
                    own[g] = _forms(Z, *part)
            found.insert(0, own)
        return found

    @property
    def _places(self):
        """Where the groups of the outer columns are in their systems, from the inside out."""
        return [] if self.groups is None else self.groups.place

    def unseen_variances(self, Z, groups):
        """Return the variances of predictions of tasks drawn at random, (n,).

        ``groups`` (n,) is -1, or the group that a task is in, those of the outermost column first.
        """
        between, variance = np.zeros(len(Z)), np.empty(len(Z))
        system, penalty = self._system, self.penalty
        for place in self._places:
            between = between + self._prior_variances(Z, penalty.inner)
            system, penalty = system.outer, penalty.outer
            first = len(penalty.alpha) - len(penalty.inner.alpha)  # groups outside of these
            own = (groups >= first) & (groups < len(penalty.alpha))
            for group in np.unique(groups[own]):
                rows = np.flatnonzero(groups == group)
                covariances = system.covariances(place[[group - first]])
                covariance = (part[0] for part in covariances)
                variance[rows] = between[rows] + _forms(self._rows(Z[rows]), *covariance)
        between, rest = between + self._prior_variances(Z, penalty.inner), groups < 0
        variance[rest] = between[rest] + self.center_variances(Z[rest])
        return variance

    def _prior_variances(self, Z, penalty):
        """Return the variances of predictions between tasks, (n,), around a known center.

        Where alpha differs, it is the mean over the tasks of the fit.
        """
        squares, fixed = np.square(self._rows(Z)[:, :-1]), penalty.fixed_intercept
        with np.errstate(divide="ignore"):
            slope = np.mean(1.0 / penalty.precision, axis=0)
            intercept = 0.0 if fixed else 1.0 / np.float64(penalty.alpha_intercept)
        variance = np.full(len(Z), intercept)
        known = np.isfinite(slope)
        free = (slope > 0) & np.where(known, self._factor == 0, np.isfinite(self._factor))
        variance += np.where(squares[:, free].any(axis=1), np.inf, 0.0)
        variance += squares @ ((self._factor == 1) * np.where(known, slope, 0.0))
        return variance

    def conditional(self, tasks):
        """Return the ``Covariance`` of the tasks given the center, an index array."""
        return self._system.covariances(self.of_task[tasks], of_center=False)

    def pooling(self, B, inverse):
        """Return the weight of the center in each coefficient and intercept, (T, k + 1)."""
        entries = np.arange(len(self.moments.mean))
        return self._pooling(self._system, entries, B, inverse)[self.of_task]

    def group_pooling(self, B, inverse):
        """Return the weights of what the groups of each outer column deviate from, (G, k + 1).

        A list from the outside in. Where the factor of the penalty is 0 they are those of a
        vanishing one: rows leave nothing to the groups then but what penalties compare.
        """
        found, system = [], self._system
        free = self._factor == 0
        if free.any():
            alpha = self.moments.alpha[np.isfinite(self.moments.alpha)].max(initial=0.0)
            small = _VANISHING * system.mean_curvature() / (alpha if alpha > 0 else 1.0)
            system = self._system_at(np.where(free, small, 0.0))
        for place in self._places:
            system = system.outer
            found.insert(0, self._pooling(system, place, B, inverse))
        return found

    def _pooling(self, system, entries, B, inverse):
        """Return ``pooling`` of some entries of a system, (E, k + 1)."""
        if self._basis is not None:
            B = inside(B, self._basis)
            inverse = B.T
        outermost = not isinstance(system, NestedSystem)
        share = 0.0 if outermost and self.penalty.fixed_center else 1.0
        found = np.empty((len(entries), len(B) + 1))
        for part in strips(len(entries), self.moments.mean.shape[1] ** 2, _CHUNK):
            slopes, found[part, -1] = system.pooling_matrices(entries[part])
            found[part, :-1] = share * np.einsum("jk,tkl,lj->tj", B, slopes, inverse, optimize=True)
        return found

    @property
    def _alpha_intercept(self):
        return np.float64(np.inf if self.penalty.fixed_intercept else self.penalty.alpha_intercept)

    @cached_property
    def _system(self):
        return self._system_at(np.zeros(len(self._factor)))

    def _system_at(self, free):
        """Return the system with multiples (d,) of alpha where the factor of the penalty is 0."""
        moments, penalty, basis, factor = self.moments, self.penalty, self._basis, self._factor

        def given(entries):
            return moments.moments(entries, basis)

        def precision_of(alpha):
            infinite = np.isinf(alpha) | np.isinf(factor)
            multiple = np.where(factor == 0, free, 1.0)
            return np.where(infinite, np.inf, multiple * np.where(infinite, 0.0, alpha))

        alpha = moments.alpha[:, None]
        if penalty.inner.alpha.ndim == 2:  # the same for all tasks
            alpha = np.where(np.isinf(penalty.alpha[0]), np.inf, alpha)
        precision, shared = precision_of(alpha), penalty.alpha_shared
        if (factor == 0).any() and np.all(np.isfinite(shared)):
            shared = np.where(factor == 0, 0.0, shared)
        if penalty.nesting is None:
            parts = shared, self._alpha_intercept, penalty.fixed_intercept, moments.size
            system = ArrowheadSystem(given, precision, *parts)
        else:
            groups, sizes = self.groups, [moments.size, *self.groups.size]
            of_groups = [precision_of(own.precision[:1]) for own in penalty.levels_of_groups]
            parts = replace(penalty, alpha_shared=shared), of_groups, groups.parents, sizes
            system = NestedSystem(given, precision, *parts)
        system.forget()
        return system

    def _covariances(self, groups):
        return self._system.covariances(groups)


@dataclass(frozen=True)
class GraphPosterior(Posterior):
    """Posterior along a graph, a ``GraphCoupling``; nodes without rows are tasks too.

    Parameters
    ----------
    group : ndarray of int of shape (T',)
        Group of the moments of each task with rows.
    """

    group: np.ndarray

    def objection(self):
        """Return why variances cannot be computed, or None."""
        if not self.penalty.isotropic:
            return (
                "with a task_graph there are none where penalty_factor=inf makes slopes common to "
                "all tasks. Use a large number instead"
            )
        size = len(self.penalty.weights) * (self.moments.n_features + 1)
        if size <= MOST:
            return None
        return (
            f"with a task_graph they require one dense system, here of {size} unknowns, and the "
            f"limit is {MOST}"
        )

    def degrees(self):
        """Return the effective degrees of freedom of the fit."""
        gram, intercept = self._grams()
        return float(graph_degrees(gram, intercept, self.penalty).sum())

    def pooling(self, B, inverse):
        """Return the weight of the neighbors in each coefficient and intercept, (T, k + 1)."""
        if self._basis is not None:
            B = inside(B, self._basis)
            inverse = B.T
        penalty, T, d = self.penalty, len(self.group), len(self._factor)
        precision, alpha_intercept = coupling_weights(penalty, T, d)
        system = ArrowheadSystem(
            lambda tasks: self.moments.moments(self.group[tasks], self._basis),
            *(precision, np.inf, alpha_intercept, penalty.fixed_intercept),
        )
        slopes, intercept = system.pooling_matrices(np.arange(T))
        share = coupled_share(penalty, T, 1)[:, :1]
        found = np.ones((len(penalty.weights), len(B) + 1))
        slopes = share * np.einsum("jk,tkl,lj->tj", B, slopes, inverse, optimize=True)
        found[penalty.observed] = np.column_stack([slopes, intercept])
        return found[self.of_task]

    def _grams(self):
        """Return the Gram matrices of tasks with rows, and which columns are intercepts."""
        found = self.moments.moments(self.group, self._basis)
        d, has_intercept = found.mean.shape[1], not self.penalty.fixed_intercept
        return found.gram(intercept=has_intercept), np.arange(d + has_intercept) == d

    @cached_property
    def _of_nodes(self):
        """The ``Covariance`` of all nodes of the graph."""
        gram, intercept = self._grams()
        n_nodes, size = len(self.penalty.weights), len(intercept)
        whole = replace(self.penalty, observed=np.arange(n_nodes))
        H = np.zeros((n_nodes, size, size))
        H[self.penalty.observed] = gram
        solver = SymmetricSolver(graph_system(H, intercept, whole))
        each, shape = np.arange(n_nodes), (n_nodes, size, n_nodes, size)
        inverse = solver.solve(np.eye(n_nodes * size)).reshape(shape)[each, :, each]
        null, curvature = solver.null.reshape(n_nodes, size, -1), np.einsum("tjj->j", gram)
        if self.penalty.fixed_intercept:
            inverse = bordered(inverse, 0.0, 0.0)
            null = np.concatenate([null, np.zeros((n_nodes, 1, null.shape[2]))], axis=1)
            curvature = np.append(curvature, 0.0)
        return Covariance(inverse, null).without_rounding(curvature)

    def _covariances(self, groups):
        return Covariance(*(part[groups] for part in self._of_nodes))


def _forms(Z, finite, infinite):
    """Return ``z'Cz`` of each row, inf where it is not orthogonal to the infinite directions."""
    variance = np.maximum(np.einsum("ij,ij->i", Z @ finite, Z), 0.0)
    if infinite.any():
        open_ = np.abs(Z @ infinite) > _ZERO * (np.abs(Z) @ np.abs(infinite))
        variance[open_.any(axis=1)] = np.inf
    return variance


def _predictions(Z, codes, finite, infinite):
    """Return the same of rows ``(z, 1)``, whose covariances have the index ``codes``, sorted."""
    variance, known = np.empty(len(Z)), np.zeros(len(finite), dtype=bool)
    if Z.shape[1] <= SMALL:  # above, BLAS is faster
        kernel = partial(prediction_variances, Z, codes, np.ascontiguousarray(finite), variance)
        in_chunks(kernel, len(Z), Z.size * Z.shape[1])
        np.maximum(variance, 0.0, out=variance)
        known = ~infinite.any(axis=(1, 2))
    groups, first = np.unique(codes, return_index=True)
    for g, rows in zip(groups, np.split(np.arange(len(Z)), first[1:]), strict=True):
        if not known[g]:
            own = np.column_stack([Z[rows], np.ones(len(rows))])
            variance[rows] = _forms(own, finite[g], infinite[g])
    return variance
