"""Models whose tasks are coupled along a graph, latent tasks among them."""

from functools import partial

import numpy as np

from skmtl.data import check_alpha, factorize, merge_labels
from skmtl.linear_model._base import LinearMultiTaskModel
from skmtl.linear_model._shapes import to_users
from skmtl.penalties import GraphCoupling, MeanCoupling, read_graph
from skmtl.tuning import ADAPTED_BY_TASK


class GraphModel(LinearMultiTaskModel):
    """Base of the regressor and the classifier on graphs."""

    _has_center = False
    _coercive_parameter = "alpha_shared"

    def _penalty(self):
        names = "alpha", "alpha_shared", "alpha_intercept", "task_graph", "fit_intercept"
        return partial(graph_coupling, **{name: getattr(self, name) for name in names})

    def _set_task_attributes(self, fit):
        super()._set_task_attributes(fit)
        labels = getattr(fit.problem.penalty, "latent_labels", ())
        if labels and self.task_column is not None:
            self._add_latent(labels, fit)

    def _add_latent(self, labels, fit):
        """Add the tasks without rows that the graph names."""
        point, data = fit.solution.coefficients, fit.problem.data
        W, intercept = fit.problem.penalty.latent(point.W, point.intercept)
        added = {
            "coef_": to_users(W),
            "intercept_": to_users(intercept + fit.posed.offset - W @ data.center),
            "task_counts_": np.zeros(len(labels), dtype=self.task_counts_.dtype),
        }
        for name, value in (("task_weight_", 0.0), *dict.fromkeys(ADAPTED_BY_TASK, np.nan).items()):
            if hasattr(self, name):
                added[name] = np.full(len(labels), value)
        if hasattr(self, "task_classes_"):
            added["task_classes_"] = np.ones((len(labels), self.task_classes_.shape[1]), dtype=bool)
        latent = np.empty(len(labels), dtype=object)
        latent[:] = labels
        self.tasks_, place = factorize(merge_labels(fit.rows.tasks, latent), self.task_column)
        for name, rows in added.items():
            setattr(self, name, np.concatenate([getattr(self, name), rows])[np.argsort(place)])


def graph_coupling(tasks, *, alpha, alpha_shared, alpha_intercept, task_graph, fit_intercept):
    """Return the penalty along a graph of tasks with these labels."""
    alpha, shared = check_alpha(alpha, "alpha"), check_alpha(alpha_shared, "alpha_shared")
    alpha_intercept = check_alpha(alpha_intercept, "alpha_intercept")
    if np.isinf(shared) or (task_graph is not None and np.isinf([alpha, alpha_intercept]).any()):
        raise ValueError(
            "alpha_shared must be finite, and with a task_graph alpha and alpha_intercept "
            f"too; got {shared}, {alpha} and {alpha_intercept}. Use PooledRegressor or "
            "PooledClassifier for tasks with equal coefficients."
        )
    fixed = not fit_intercept
    if task_graph is None:
        return _all_pairs(len(tasks), alpha, shared, np.inf if fixed else alpha_intercept, fixed)
    weights, latent = read_graph(task_graph, tasks)
    return GraphCoupling(
        weights,
        np.arange(len(tasks)),
        tuple(tasks.tolist() + latent),
        alpha,
        shared,
        0.0 if fixed else alpha_intercept,
        fixed,
    )


def _all_pairs(n_tasks, alpha, shared, alpha_intercept, fixed):
    """Return the coupling to a center that is equal to links of all pairs of weight 1 / T.

    With ``W_t = mean + V_t`` they are ``alpha/2 sum ||V_t||^2``, to which ``shared`` adds itself
    and ``T shared/2 ||mean||^2``; minimized over a center of weight b, ``T a b / (T a + b)``
    remains.
    """
    center = 0.0
    if shared > 0:
        center = n_tasks * shared * (1.0 + shared / alpha) if alpha > 0 else np.inf
    weight = np.full(n_tasks, alpha + shared)
    return MeanCoupling(weight, center, alpha_intercept, fixed_intercept=fixed)
