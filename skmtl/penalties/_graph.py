"""Task graphs: weights, latent nodes, Laplacian, and the base class of penalties along them."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import Any, Self

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from skmtl._typing import Array, TaskGraph
from skmtl._warn import listed
from skmtl.data import label_key
from skmtl.penalties._task_penalty import TaskPenalty


def read_graph(task_graph, tasks):
    """Return the symmetric weights (N, N) of a graph and the labels of its N - T latent nodes.

    Parameters
    ----------
    task_graph : None, array, sparse array or dataframe of shape (T, T), or list of tuples
        None links all pairs, with weights 1 / T. An array is a symmetric adjacency in the order of
        the tasks. Tuples are edges (label, label) or (label, label, weight); weights of repeated
        edges add up.
    tasks : ndarray of shape (T,)
        Labels: nodes 0 to T - 1. Other labels in edges are latent nodes.

    Returns
    -------
    weights : ndarray of shape (N, N)
        Symmetric, zero on the diagonal.
    latent : list
        Labels of the nodes T to N - 1.
    """
    n_tasks = len(tasks)
    if task_graph is None:
        return np.full((n_tasks, n_tasks), 1.0 / n_tasks) - np.eye(n_tasks) / n_tasks, []
    edges = isinstance(task_graph, list | tuple)
    if edges and (not task_graph or any(isinstance(edge, tuple) for edge in task_graph)):
        return _of_edges(task_graph, tasks)
    if sparse.issparse(task_graph):
        task_graph = task_graph.toarray()
    if hasattr(task_graph, "reindex"):  # dataframes are aligned by label
        task_graph = _aligned(task_graph, tasks)
    try:
        weights = np.array(task_graph, dtype=np.float64)
    except (TypeError, ValueError):
        weights = np.empty(0)
    if weights.shape != (n_tasks, n_tasks):
        raise ValueError(
            f"task_graph must be None, a list of edges (label, label) or (label, label, weight), "
            f"or an adjacency of shape {(n_tasks, n_tasks)}, in the order of tasks_; got "
            f" {_brief(task_graph)}. Edges are tuples, and may name tasks that a fold "
            "of cross-validation lacks."
        )
    np.fill_diagonal(weights, 0.0)
    if not (
        np.isfinite(weights).all() and (weights >= 0).all() and np.allclose(weights, weights.T)
    ):
        raise ValueError(
            "task_graph must be symmetric, with finite weights of at least 0. "
            "Symmetrize a directed graph first: (A + A.T) / 2."
        )
    return 0.5 * (weights + weights.T), []


def _aligned(frame, tasks):
    """Return a dataframe with rows and columns in the order of the tasks."""
    places = []
    for labels in (frame.index, frame.columns):
        number = {label_key(label): i for i, label in enumerate(labels.tolist())}
        missing = [task for task in tasks.tolist() if label_key(task) not in number]
        if missing:
            raise ValueError(
                f"task_graph is a dataframe without the tasks {listed(missing)}. Its rows and "
                "columns need the labels of all tasks."
            )
        places.append([number[label_key(task)] for task in tasks.tolist()])
    return frame.iloc[places[0], places[1]]


def _of_edges(edges, tasks):
    labels = tasks.tolist()
    number = {label_key(label): i for i, label in enumerate(labels)}
    n_tasks, ends, weights = len(labels), [], []
    for edge in edges:
        weight = edge[2] if isinstance(edge, tuple) and len(edge) == 3 else 1.0
        good = isinstance(edge, tuple) and len(edge) in (2, 3) and edge[0] != edge[1]
        try:
            good = good and 0 <= float(weight) < np.inf
            labels += [label for label in edge[:2] if label_key(label) not in number]
            ends.append([number.setdefault(label_key(label), len(number)) for label in edge[:2]])
        except (TypeError, ValueError):
            good = False
        if not good:
            raise ValueError(
                "An edge of task_graph must be a tuple (label, label) or (label, label, weight) of "
                f"two different tasks, with a weight in [0, inf); got {edge!r}."
            )
        weights.append(float(weight))
    graph = np.zeros((len(number), len(number)))
    first, second = np.array(ends, dtype=np.intp).reshape(-1, 2).T
    np.add.at(graph, (first, second), weights)
    np.add.at(graph, (second, first), weights)
    component = connected_components(graph > 0, directed=False)[1]
    ghosts = [label for i, label in enumerate(labels) if component[i] not in component[:n_tasks]]
    if ghosts:
        raise ValueError(
            f"task_graph names {ghosts[:5]!r}, which no edge connects to a task with rows. The "
            f"tasks are {tasks.tolist()[:5]!r}...: labels must be of the same type."
        )
    return graph, labels[n_tasks:]


def laplacian(weights):
    """Return the matrix L (N, N) of ``sum_(s<t) weights_st (v_s - v_t)^2 = v' L v``."""
    return np.diag(weights.sum(axis=1)) - weights


def _brief(task_graph):
    shape = np.shape(task_graph) if not isinstance(task_graph, str | dict | set) else ()
    return f"shape {shape}" if shape else repr(task_graph)


class GraphPenalty(TaskPenalty):
    """A penalty on the differences of tasks that a graph links.

    ``bind`` reads the graph for the given labels, and ``_use`` precomputes what the penalty needs
    of its weights. Before ``bind``, the labels are assumed to be 0 to T - 1.

    Parameters
    ----------
    alpha : float, default=1.0
        Regularization strength, in [0, inf].
    task_graph : None, array of shape (T, T) or list of tuples, default=None
        Weights A. None: 1 / T for all pairs; an array: adjacency in the order of ``tasks_``;
        tuples: edges (label, label) or (label, label, weight). Edges to tasks without rows are
        dropped.
    """

    _weights: Array | None = None  # (T, T), once bound

    def __init__(self, alpha: float = 1.0, task_graph: TaskGraph = None) -> None:
        self.alpha = alpha
        self.task_graph = task_graph

    def bind(self, tasks: Any) -> Self:
        """Return the penalty for tasks with these labels, checked."""
        super().bind(tasks)
        weights, latent = read_graph(self.task_graph, tasks)
        weights = weights[: len(tasks), : len(tasks)]
        if latent and not weights.any():
            raise ValueError(
                f"No edge of the task_graph of {type(self).__name__} joins two tasks that have "
                f"rows; latent tasks such as {latent[0]!r} are for GraphRegularizedRegressor and "
                "-Classifier."
            )
        return self._on(weights)

    def take(self, tasks: Any) -> Self:
        """Return the bound penalty for some of the tasks, an index array."""
        if self._weights is None or self.task_graph is None:  # 1 / T, which depends on T
            return self.bind(tasks)
        return self._on(self._weights[np.ix_(tasks, tasks)])

    @abstractmethod
    def _use(self, weights):
        """Precompute what the penalty needs of the weights (T, T)."""

    def _on(self, weights):
        bound = copy.copy(self)
        bound._weights = weights
        bound._use(weights)
        return bound

    @property
    def weights(self) -> Array | None:
        """Weights of the links of the tasks, (T, T); None before ``bind``."""
        return self._weights

    def _bound_to(self, n_tasks):
        return self if self._weights is not None else self.bind(np.arange(n_tasks))
