"""What penalties along a graph of the tasks have in common."""

import copy
from abc import abstractmethod
from typing import Any, Self

import numpy as np

from skmtl._typing import Array
from skmtl.penalties._graph import read_graph
from skmtl.penalties._task_penalty import TaskPenalty


class GraphPenalty(TaskPenalty):
    """A penalty on the differences of tasks that a graph links.

    Labels are known only when the penalty is bound to tasks: then the graph is read, and
    ``_take_up`` sets up what the penalty needs of its weights. One that has not been bound takes
    the tasks to be called 0 to T - 1.

    Parameters
    ----------
    task_graph : None, array of shape (T, T) or list of tuples, default=None
        Weights A: those of all pairs, 1 / T; an adjacency in the order of the sorted labels; or
        edges (label, label) or (label, label, weight). Edges to tasks that have no rows are left
        out.
    """

    _weights: Array | None = None  # (T, T), where the labels of the tasks are known

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
        """Return the bound penalty of some of the tasks, an index array."""
        if (
            self._weights is None or self.task_graph is None
        ):  # all pairs: it depends on their number
            return self.bind(tasks)
        return self._on(self._weights[np.ix_(tasks, tasks)])

    @abstractmethod
    def _take_up(self, weights):
        """Set up what the penalty needs of the weights (T, T)."""

    def _on(self, weights):
        bound = copy.copy(self)
        bound._weights = weights
        bound._take_up(weights)
        return bound

    def _bound_to(self, n_tasks):
        return self if self._weights is not None else self.bind(np.arange(n_tasks))
