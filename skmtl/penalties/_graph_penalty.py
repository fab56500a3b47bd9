"""Base class of penalties along a task graph."""

import copy
from abc import abstractmethod
from typing import Any, Self

import numpy as np

from skmtl._typing import Array
from skmtl.penalties._graph import read_graph
from skmtl.penalties._task_penalty import TaskPenalty


class GraphPenalty(TaskPenalty):
    """A penalty on the differences of tasks that a graph links.

    ``bind`` reads the graph for the given labels, and ``_take_up`` precomputes what the penalty
    needs of its weights. Before ``bind``, the labels are assumed to be 0 to T - 1.

    Parameters
    ----------
    task_graph : None, array of shape (T, T) or list of tuples, default=None
        Weights A. None: 1 / T for all pairs; an array: adjacency in the order of the sorted labels;
        tuples: edges (label, label) or (label, label, weight). Edges to tasks without rows are
        dropped.
    """

    _weights: Array | None = None  # (T, T), once bound

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
        if (
            self._weights is None or self.task_graph is None
        ):  # the weights of all pairs, 1 / T, depend on T
            return self.bind(tasks)
        return self._on(self._weights[np.ix_(tasks, tasks)])

    @abstractmethod
    def _take_up(self, weights):
        """Precompute what the penalty needs of the weights (T, T)."""

    def _on(self, weights):
        bound = copy.copy(self)
        bound._weights = weights
        bound._take_up(weights)
        return bound

    def _bound_to(self, n_tasks):
        return self if self._weights is not None else self.bind(np.arange(n_tasks))
