"""Network lasso: fusion of neighbors in a task graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from skmtl import _prox_kernels
from skmtl._linalg import SymmetricSolver
from skmtl._optimize import Lagrangian, MethodOfMultipliers
from skmtl._typing import Array, Derivative
from skmtl.penalties._graph import GraphPenalty
from skmtl.penalties._task_penalty import clipping, times

_MAX_ITER = 500
_DENSE = 600  # largest linear system to factor


class NetworkLasso(GraphPenalty):
    """``alpha sum_(s<t) A_st ||W_s - W_t||``, not squared: clusters of tasks with equal models.

    Structure: ``task_clusters`` (T,), the number of each task's cluster, and ``cluster_coef``
    (n_clusters, d).

    Parameters
    ----------
    alpha : float, default=1.0
        Regularization strength, in [0, inf].
    task_graph : None, array of shape (T, T) or list of tuples, default=None
        Weights A: None for all pairs, an adjacency, or edges; see `GraphPenalty`.

    References
    ----------
    D. Hallac, J. Leskovec, S. Boyd (2015). Network lasso: clustering and optimization in large
    graphs. KDD. https://doi.org/10.1145/2783258.2783313

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import NetworkLasso
    >>> chain = [(0, 1), (1, 2), (2, 3)]
    >>> W = NetworkLasso(alpha=1.0, task_graph=chain).prox(np.array([[0.0], [1.0], [9.0], [8.0]]))
    >>> W.round(6)
    array([[1.],
           [1.],
           [8.],
           [8.]])
    """

    null_set = "pooled"
    accuracy = 3e-12

    def _use(self, weights):
        self._edges = _Edges(weights)
        if connected_components(weights > 0, directed=False)[0] > 1:
            self.null_set = None

    def _edges_of(self, W):
        return self._bound_to(len(W))._edges

    def value(self, W: Array) -> float:
        """Return the penalty at W (T, d), a float."""
        edges = self._edges_of(W)
        return self.weight * float(edges.weights @ np.linalg.norm(edges.D @ W, axis=1))

    def prox(self, Z: Array, step: float | Array = 1.0) -> Array:
        """Return the W that minimizes ``1/2 ||W - Z||^2 + step value(W)``."""
        return self._prox_from(None, Z, step)[0]

    def _prox_from(self, state, Z, step):
        """Return ``prox(Z, step)``, and edge multipliers and rho to start the next from.

        By the method of multipliers on ``E = D W``, with semismooth Newton steps: the multiplier
        of an edge has at most the norm ``strength weight``. Fused tasks are averaged.

        References
        ----------
        Y. Yuan, D. Sun, K.-C. Toh (2018). An efficient semismooth Newton based algorithm for
        convex clustering. ICML. https://proceedings.mlr.press/v80/yuan18a.html
        """
        edges, strength = self._edges_of(Z), float(np.max(times(self.alpha, step)))
        if strength == 0 or not len(edges.weights):
            return Z.copy(), state
        if np.isinf(strength):
            everywhere = np.ones(len(edges.weights), dtype=bool)
            return _averaged(Z, edges.clusters(everywhere)), state
        shift = Z.mean(axis=0)
        fusion = _Fusion(edges, np.ascontiguousarray(Z - shift, dtype=float), strength, state)
        W, _ = fusion.minimize(fusion.start, _MAX_ITER)
        state = fusion.U / strength, fusion.rho
        return _averaged(W + shift, edges.clusters(fusion.fused)), state

    def prox_derivative(self, Z: Array, step: float | Array = 1.0) -> Derivative:
        """Return the product with a derivative of ``prox`` and about its diagonal, or None."""
        return self._derivative_at(self.prox(Z, step), Z, step)

    def _derivative_at(self, W, Z, step):
        return self._edges_of(W).derivative(W, float(np.max(times(self.alpha, step))))

    def structure(self, W: Array, tasks: Any) -> dict[str, Any]:
        """Return ``task_clusters`` and ``cluster_coef``."""
        edges = self._edges_of(W)
        cluster = edges.clusters((W[edges.ends[0]] == W[edges.ends[1]]).all(axis=1))
        first = np.unique(cluster, return_index=True)[1]
        return {"task_clusters": cluster, "cluster_coef": W[first]}


class _Edges:
    """The edges of a graph: ends, weights, and the matrix D (E, T) of their differences."""

    def __init__(self, weights):
        self.n_tasks = len(weights)
        self.ends = np.nonzero(np.triu(weights))
        self.weights, n_edges = weights[self.ends], len(self.ends[0])
        signs = np.repeat([1.0, -1.0], n_edges)
        place = np.tile(np.arange(n_edges), 2), np.concatenate(self.ends)
        self.D = sparse.csr_array((signs, place), shape=(n_edges, self.n_tasks))
        self.degree = np.bincount(place[1], minlength=self.n_tasks)

    def clusters(self, fused):
        """Return the number of each task's cluster where some edges (a mask) are fused."""
        first, second = self.ends
        shape = self.n_tasks, self.n_tasks
        links = sparse.csr_array((fused[fused], (first[fused], second[fused])), shape=shape)
        return connected_components(links, directed=False)[1]

    def derivative(self, W, strength):
        """Return the product with the derivative of ``prox`` where it returns W, and a diagonal.

        The diagonal (T, d) is approximate, for preconditioning.

        Tasks of a cluster move together, and edges between clusters couple these: a linear system
        of the size of ``cluster_coef``. None where that is large.
        """
        d = W.shape[1]
        first, second = self.ends
        fused = (W[first] == W[second]).all(axis=1)
        cluster = self.clusters(fused)
        n_clusters = cluster.max() + 1
        if n_clusters * d > _DENSE:
            return None
        size = np.bincount(cluster).astype(float)
        A = np.zeros((n_clusters, d, n_clusters, d))
        A[np.arange(n_clusters), :, np.arange(n_clusters)] = size[:, None, None] * np.eye(d)
        between = np.flatnonzero(cluster[first] != cluster[second])
        apart = W[first[between]] - W[second[between]]
        norm = np.linalg.norm(apart, axis=1)
        u, weight = apart / norm[:, None], strength * self.weights[between] / norm
        blocks = weight[:, None, None] * (np.eye(d) - u[:, :, None] * u[:, None, :])
        a, b = cluster[first[between]], cluster[second[between]]
        for left, right, sign in ((a, a, 1), (b, b, 1), (a, b, -1), (b, a, -1)):
            np.add.at(A.swapaxes(1, 2), (left, right), sign * blocks)
        system = SymmetricSolver(A.reshape(n_clusters * d, -1))
        member = sparse.csr_array((np.ones(len(W)), (cluster, np.arange(len(W)))))

        def product(D):
            moved = system.solve((member @ D).ravel())
            return moved.reshape(n_clusters, d)[cluster]

        stiff = np.einsum("ajaj->aj", A)
        return product, (1.0 / stiff)[cluster]


class _Fusion(MethodOfMultipliers):
    """Minimize ``1/2 ||W - Z||^2 + strength sum_e weight_e ||(D W)_e||``.

    Parameters
    ----------
    edges : _Edges
    Z : ndarray of shape (T, d)
    strength : float
    state : tuple or None
        Multipliers (E, d) over ``strength``, and rho, where the last prox stopped.
    """

    factor, max_rho = 3.0, 1e3

    def __init__(self, edges, Z, strength, state):
        self._edges, self._Z, self._size = edges, Z, np.linalg.norm(Z) or 1.0
        self._radius, self.fused = strength * edges.weights, None
        self.start, self.U, self.rho = Z, np.zeros((len(self._radius), Z.shape[1])), 1.0
        if state is not None and state[0].shape == self.U.shape:
            self.U, self.rho = strength * state[0], state[1]
            self.start = Z - edges.D.T @ self.U

    @property
    def accuracy(self):
        """Relative residuals at which to stop: errors of differences are multiplied by rho."""
        return max(1e-13, 1e-15 * self.rho)

    noise = accuracy

    def evaluate(self, W):
        """Return the ``Lagrangian`` at W; for copies, norms of multipliers before clipping."""
        U, norm, gradient = np.empty_like(self.U), np.empty_like(self._radius), np.empty_like(W)
        given = W, self._Z, self.U, *self._edges.ends, self._radius, self.rho, U, norm, gradient
        squares = _prox_kernels.fusion_sums(*given)
        change, rest = (np.sqrt(square) / self._size for square in squares)
        self.fused = norm <= self._radius
        return Lagrangian(gradient, change / self.rho, rest, change, norm, U)

    def update(self, at):
        """Store the multipliers."""
        self.U = at.multipliers

    def newton(self, W, at):
        """Return the Newton step, to the relative residual of ``at``."""
        edges, norm, radius = self._edges, at.copies, self._radius
        share = self.rho * clipping(norm, radius)
        along = np.where((norm > radius)[:, None], at.multipliers / radius[:, None], 0.0)
        scale, rtol = 1.0 + self.rho * edges.degree, min(0.1, at.dual)
        given = at.gradient, *edges.ends, share, along, scale, rtol, _MAX_ITER
        return _prox_kernels.fusion_step(*given)


def _averaged(W, cluster):
    """Return W with each row replaced by the mean of its cluster."""
    if cluster.max() + 1 == len(W):
        return W
    size = np.bincount(cluster)
    sums = np.zeros((len(size), W.shape[1]))
    np.add.at(sums, cluster, W)
    return (sums / size[:, None])[cluster]
