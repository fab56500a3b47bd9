"""Network lasso: fusion of neighbors in a task graph."""

from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import LinearOperator, cg

from skmtl._linalg import SymmetricSolver
from skmtl._optimize import stationary_share
from skmtl._typing import Array, Derivative, TaskGraph
from skmtl.penalties._graph_penalty import GraphPenalty
from skmtl.penalties._task_penalty import clipping, times

_MAX_ITER = 500
_ACCURACY = 1e-13  # relative residuals of prox
_RHO, _STEEPEST = 1.0, 1e3  # first penalty parameter, and the largest, of the method of multipliers
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

    def __init__(self, alpha: float = 1.0, task_graph: TaskGraph = None) -> None:
        self.alpha = alpha
        self.task_graph = task_graph

    def _take_up(self, weights):
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
        return self._edges_of(Z).prox(Z, float(np.max(times(self.alpha, step))))

    def prox_derivative(self, Z: Array, step: float | Array = 1.0) -> Derivative:
        """Return the product with a derivative of ``prox``, and a part of its diagonal, or None."""
        strength = float(np.max(times(self.alpha, step)))
        return self._edges_of(Z).derivative(self.prox(Z, step), strength)

    def structure(self, W: Array, tasks: Any) -> dict[str, Any]:
        """Return ``task_clusters`` and ``cluster_coef``."""
        edges = self._edges_of(W)
        cluster = edges.clusters((W[edges.ends[0]] == W[edges.ends[1]]).all(axis=1))
        first = np.unique(cluster, return_index=True)[1]
        return {"task_clusters": cluster, "cluster_coef": W[first]}


class _Edges:
    """The edges of a graph, and the last dual solution on them as a warm start."""

    def __init__(self, weights):
        self.n_tasks = len(weights)
        self.ends = np.nonzero(np.triu(weights))
        self.weights, n_edges = weights[self.ends], len(self.ends[0])
        signs = np.repeat([1.0, -1.0], n_edges)
        place = np.tile(np.arange(n_edges), 2), np.concatenate(self.ends)
        self.D = sparse.csr_array((signs, place), shape=(n_edges, self.n_tasks))
        self._Dt = self.D.T.tocsr()
        self._degree = 1.0 + np.bincount(place[1], minlength=self.n_tasks)[:, None]
        self._last = None

    def clusters(self, fused):
        """Return the number of each task's cluster where some edges (a mask) are fused."""
        first, second = self.ends
        shape = self.n_tasks, self.n_tasks
        links = sparse.csr_array((fused[fused], (first[fused], second[fused])), shape=shape)
        return connected_components(links, directed=False)[1]

    def prox(self, Z, strength):
        """Return the W that minimizes ``1/2 ||W - Z||^2 + strength sum_e weight_e ||(D W)_e||``.

        By the method of multipliers on ``E = D W``, with semismooth Newton steps: the dual variable
        U of an edge has at most the norm ``strength weight``. Fused tasks are averaged.

        References
        ----------
        Y. Yuan, D. Sun, K.-C. Toh (2018). An efficient semismooth Newton based algorithm for
        convex clustering. ICML. https://proceedings.mlr.press/v80/yuan18a.html
        """
        if strength == 0 or not len(self.weights):
            return Z.copy()
        if np.isinf(strength):
            return _averaged(Z, self.clusters(np.ones(len(self.weights), dtype=bool)))
        radius, shift = strength * self.weights[:, None], Z.mean(axis=0)
        Z = Z - shift
        W, U, rho = Z, np.zeros((len(radius), Z.shape[1])), _RHO
        if self._last is not None and self._last[0].shape == U.shape:
            U, rho = _clipped(self._last[0], radius)[0], self._last[1]
            W = Z - self._Dt @ U
        size, last_gap = np.linalg.norm(Z) or 1.0, np.inf
        for _ in range(_MAX_ITER):
            pull, norm = _clipped(U + rho * (self.D @ W), radius)
            gradient = W - Z + self._Dt @ pull
            rest, gap = np.linalg.norm(gradient), np.linalg.norm(pull - U) / rho
            # rounding errors of differences are multiplied by rho
            accuracy = max(_ACCURACY, 1e-15 * rho) * size
            if rest <= max(accuracy, 0.1 * gap):
                U = pull
                if gap <= accuracy:
                    break
                rho *= 3.0 if gap > 0.2 * last_gap and rho < _STEEPEST else 1.0
                last_gap = gap
                continue
            step = self._newton(gradient, pull, norm, radius, rho, min(0.1, rest / size))
            slope, DW, moved = float(np.vdot(gradient, step)), U + rho * (self.D @ W), self.D @ step

            def slope_at(t, W=W, DW=DW, step=step, moved=moved, rho=rho):
                ahead = _clipped(DW + t * rho * moved, radius)[0]
                return float(np.vdot(W + t * step - Z, step) + np.vdot(ahead, moved))

            length = stationary_share(slope_at, slope)
            if length == 0.0:
                break
            W = W + length * step
        self._last = U, rho
        return _averaged(W + shift, self.clusters((norm <= radius)[:, 0]))

    def _newton(self, gradient, pull, norm, radius, rho, rtol):
        """Return the semismooth Newton step; ``pull`` is the clipped dual, ``norm`` that before."""
        share = rho * clipping(norm, radius)
        along = np.where(norm > radius, pull / radius, 0.0)

        def product(x):
            D = x.reshape(gradient.shape)
            moved = self.D @ D
            moved = share * (moved - along * (along * moved).sum(axis=1, keepdims=True))
            return (D + self._Dt @ moved).ravel()

        size = gradient.size
        scale = (1.0 + rho * (self._degree - 1.0)) * np.ones_like(gradient)
        step, _ = cg(
            LinearOperator((size, size), product, dtype=np.float64),
            -gradient.ravel(),
            rtol=rtol,
            maxiter=_MAX_ITER,
            M=LinearOperator((size, size), lambda r: r / scale.ravel(), dtype=np.float64),
        )
        return step.reshape(gradient.shape)

    def derivative(self, W, strength):
        """Return the product with the derivative of ``prox`` where it returns W, and its diagonal.

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


def _clipped(V, radius):
    """Return the rows of V clipped to the norm ``radius``, and their norms before."""
    norm = np.linalg.norm(V, axis=1, keepdims=True)
    return V * clipping(norm, radius), norm


def _averaged(W, cluster):
    """Return W with each row replaced by the mean of its cluster."""
    if cluster.max() + 1 == len(W):
        return W
    size = np.bincount(cluster)
    sums = np.zeros((len(size), W.shape[1]))
    np.add.at(sums, cluster, W)
    return (sums / size[:, None])[cluster]
