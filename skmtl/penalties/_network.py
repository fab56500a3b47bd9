"""Tasks that fuse with their neighbours in a graph."""

import copy

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from skmtl.penalties._graph import laplacian, read_graph
from skmtl.penalties._task_penalty import TaskPenalty, shrunk, times

_MAX_ITER = 20_000
_ACCURACY = 1e-13  # relative primal and dual residuals of prox
_ADAPT = 20  # iterations between changes of rho


class NetworkLasso(TaskPenalty):
    """``alpha sum_(s<t) A_st ||W_s - W_t||``, not squared: clusters of tasks with equal models.

    Structure: ``task_clusters`` (T,), the number of each task's cluster, and ``cluster_coef``
    (n_clusters, d). Edges to tasks that have no rows are left out.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength, in [0, inf].
    task_graph : None, array of shape (T, T) or list of tuples, default=None
        Weights A: those of all pairs, 1 / T; an adjacency in the order of the sorted labels; or
        edges (label, label) or (label, label, weight).

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

    trivial = "pooled"
    _edges = None  # of the graph, where the labels of the tasks are known

    def __init__(self, alpha=1.0, task_graph=None):
        self.alpha = alpha
        self.task_graph = task_graph

    def bind(self, tasks):
        """Return the penalty for tasks with these labels, checked."""
        super().bind(tasks)
        return self._on(read_graph(self.task_graph, tasks)[0][: len(tasks), : len(tasks)])

    def take(self, tasks):
        """Return the bound penalty of some of the tasks, an index array."""
        return self._on(self._edges.adjacency[np.ix_(tasks, tasks)])

    def _on(self, weights):
        bound = copy.copy(self)
        bound._edges = _Edges(weights)
        if connected_components(weights > 0, directed=False)[0] > 1:
            bound.trivial = None
        return bound

    def _of(self, W):
        return self if self._edges is not None else self.bind(np.arange(len(W)))

    def value(self, W):
        """Return the penalty at W (T, d), a float."""
        edges = self._of(W)._edges
        return self.alpha * float(edges.weights @ np.linalg.norm(edges.D @ W, axis=1))

    def prox(self, Z, step=1.0):
        """Return the W that minimises ``1/2 ||W - Z||^2 + step value(W)``."""
        return self._of(Z)._edges.prox(Z, float(np.max(times(self.alpha, step))))

    def structure(self, W, tasks):
        """Return ``task_clusters`` and ``cluster_coef``."""
        edges = self._of(W)._edges
        cluster = edges.clusters((W[edges.ends[0]] == W[edges.ends[1]]).all(axis=1))
        first = np.unique(cluster, return_index=True)[1]
        return {"task_clusters": cluster, "cluster_coef": W[first]}


class _Edges:
    """The edges of a graph, and the last solution on them: where the next one starts."""

    def __init__(self, weights):
        self.adjacency, self.n_tasks = weights, len(weights)
        self.ends = np.nonzero(np.triu(weights))
        self.weights, n_edges = weights[self.ends], len(self.ends[0])
        signs = np.repeat([1.0, -1.0], n_edges)
        place = np.tile(np.arange(n_edges), 2), np.concatenate(self.ends)
        self.D = sparse.csr_array((signs, place), shape=(n_edges, self.n_tasks))
        self._Dt = self.D.T.tocsr()
        self._values, self._U = np.linalg.eigh(laplacian((weights > 0).astype(float)))
        self._last = None

    def clusters(self, fused):
        """Return the number of each task's cluster where some edges (a mask) are fused."""
        first, second = self.ends
        shape = self.n_tasks, self.n_tasks
        links = sparse.csr_array((fused[fused], (first[fused], second[fused])), shape=shape)
        return connected_components(links, directed=False)[1]

    def prox(self, Z, strength):
        """Return the W that minimises ``1/2 ||W - Z||^2 + strength sum_e weight_e ||(D W)_e||``.

        By ADMM on the edges, E = D W; what is fused there is averaged in the end.
        """
        if strength == 0 or not len(self.weights):
            return Z.copy()
        if np.isinf(strength):
            return _averaged(Z, self.clusters(np.ones(len(self.weights), dtype=bool)))
        radius = strength * self.weights[:, None]
        rho, E, U = 1.0, np.zeros((len(radius), Z.shape[1])), np.zeros((len(radius), Z.shape[1]))
        if self._last is not None and self._last[1].shape == E.shape:
            rho, E, U = self._last  # U: the dual, within radius
            norm = np.linalg.norm(U, axis=1, keepdims=True)
            U = U * np.minimum(1.0, np.divide(radius, norm, out=np.ones_like(norm), where=norm > 0))
        ratio = 1.0
        for iteration in range(1, _MAX_ITER + 1):
            right = Z + self._Dt @ (rho * E - U)
            W = self._U @ ((self._U.T @ right) / (1.0 + rho * self._values)[:, None])
            DW, last = self.D @ W, E
            V = 1.6 * DW - 0.6 * E + U / rho
            E = V * shrunk(np.linalg.norm(V, axis=1, keepdims=True), radius / rho)
            U = rho * (V - E)
            if iteration % 5 and iteration > 3:
                continue
            size = max(np.linalg.norm(DW), np.linalg.norm(E), 1e-3 * np.linalg.norm(Z - Z.mean(0)))
            primal = np.linalg.norm(DW - E) / (size or 1.0)
            dual = rho * np.linalg.norm(self._Dt @ (E - last))
            dual /= np.linalg.norm(self._Dt @ U) or 1.0
            if max(primal, dual) <= _ACCURACY:
                break
            if iteration % _ADAPT == 0 and iteration <= 50 * _ADAPT:
                ratio = np.sqrt(max(primal, 1e-16) / max(dual, 1e-16))
                if not 0.3 < ratio < 3:
                    rho *= min(max(ratio, 0.1), 10.0)
        self._last = rho, E, U
        return _averaged(W, self.clusters(~E.any(axis=1)))


def _averaged(W, cluster):
    """Return W with the mean of its cluster in each row."""
    if cluster.max() + 1 == len(W):
        return W
    size = np.bincount(cluster)
    sums = np.zeros((len(size), W.shape[1]))
    np.add.at(sums, cluster, W)
    return (sums / size[:, None])[cluster]
