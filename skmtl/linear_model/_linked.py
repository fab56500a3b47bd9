"""What the regressor and the classifier on graphs share."""

from dataclasses import replace

import numpy as np

from skmtl import _input
from skmtl._linalg import null_space_of
from skmtl.linear_model._base import LinearMultiTaskModel
from skmtl.penalties import GraphCoupling, MeanCoupling, read_graph


class GraphModel(LinearMultiTaskModel):
    """A model whose tasks are coupled along a graph, latent tasks among them."""

    _has_center = False
    _bounds = "alpha_shared"
    _nodes = ()  # labels of the last graph

    def _penalty(self, tasks):
        alpha, shared, levels = (
            _input.strength(getattr(self, name), name)
            for name in ("alpha", "alpha_shared", "alpha_intercept")
        )
        held = not self.fit_intercept
        self._nodes = []
        if np.isinf(shared) or (self.task_graph is not None and np.isinf([alpha, levels]).any()):
            raise ValueError(
                "alpha_shared must be finite, and with a task_graph alpha and alpha_intercept "
                f"too; got {shared}, {alpha} and {levels}. Use PooledRegressor or "
                "PooledClassifier for tasks with equal coefficients."
            )
        if self.task_graph is None:
            return _all_pairs(len(tasks), alpha, shared, np.inf if held else levels, held)
        weights, latent = read_graph(self.task_graph, tasks)
        self._nodes = tasks.tolist() + latent
        observed = np.arange(len(tasks))
        return GraphCoupling(weights, observed, alpha, shared, 0.0 if held else levels, held)

    def _keep_coefficients(self, solution, problem, offset):
        if isinstance(problem.penalty, GraphCoupling) and problem.penalty.alpha_shared == 0:
            solution = replace(solution, coefficients=_smallest(solution.coefficients, problem))
        super()._keep_coefficients(solution, problem, offset)
        if len(self._nodes) > len(self.tasks_) and self.task_column is not None:
            self._add_latent(solution.coefficients, problem, offset)

    def _add_latent(self, point, problem, offset):
        """Add the tasks without rows, as far as the graph names them."""
        nodes, W, level = problem.penalty.latent(point.W, point.level)
        labels = np.empty(len(nodes), dtype=object)
        labels[:] = [self._nodes[node] for node in nodes]
        added = {
            "coef_": self._public(W, problem),
            "intercept_": self._public(level + offset - W @ problem.data.center, problem),
            "task_counts_": np.zeros(len(labels), dtype=self.task_counts_.dtype),
        }
        if hasattr(self, "task_classes_"):
            added["task_classes_"] = np.ones((len(labels), self.task_classes_.shape[1]), dtype=bool)
        merged = _input.merge(self.tasks_, labels)
        self.tasks_, place = _input.factorize(merged, self.task_column)
        for name, rows in added.items():
            setattr(self, name, np.concatenate([getattr(self, name), rows])[np.argsort(place)])


def _smallest(point, problem):
    """Return the coefficients without what neither rows nor penalty tell.

    That moves all tasks of a component of the graph alike, and their levels with them.
    """
    data, penalty, W, q = problem.data, problem.penalty, point.W, point.q.copy()
    component = penalty.components()
    for label in np.unique(component):
        tasks = np.flatnonzero(component == label)
        H, mean, total = data.moments(np.unique(data.block[tasks]))
        middle = np.zeros(data.n_features) if penalty.fixed_level else total @ mean / total.sum()
        own = mean - middle
        null = null_space_of(H.sum(axis=0) + (own.T * total) @ own)
        if null.size:
            open_part = (W[..., tasks, :].mean(axis=-2, keepdims=True) @ null) @ null.T
            W[..., tasks, :] -= open_part
            q[..., tasks] += open_part @ middle
    return point._replace(V=W - np.expand_dims(point.w, -2), q=q)


def _all_pairs(n_tasks, alpha, shared, alpha_intercept, held):
    """Return the coupling to a centre that links of all pairs by 1 / T amount to.

    With ``W_t = mean + V_t`` they are ``alpha/2 sum ||V_t||^2``, to which ``shared`` adds itself
    and ``T shared/2 ||mean||^2``; a centre of strength b leaves ``T a b / (T a + b)`` of it.
    """
    center = 0.0
    if shared > 0:
        center = n_tasks * shared * (1.0 + shared / alpha) if alpha > 0 else np.inf
    tie = np.full(n_tasks, alpha + shared)
    return MeanCoupling(tie, center, alpha_intercept, fixed_level=held)
