"""Base of the regressor and the classifier on graphs."""

from dataclasses import replace

import numpy as np

from skmtl._linalg import null_space_of
from skmtl.data import check_alpha, factorize, merge_labels
from skmtl.linear_model._base import LinearMultiTaskModel
from skmtl.linear_model._shapes import to_users
from skmtl.penalties import GraphCoupling, MeanCoupling, read_graph
from skmtl.tuning import ADAPTED_BY_TASK


class GraphModel(LinearMultiTaskModel):
    """Base of models whose tasks, latent ones included, are coupled along a graph."""

    _has_center = False
    _coercive_parameter = "alpha_shared"
    _nodes = ()  # labels of the last graph

    def _penalty(self, tasks):
        alpha, shared, intercepts = (
            check_alpha(getattr(self, name), name)
            for name in ("alpha", "alpha_shared", "alpha_intercept")
        )
        held = not self.fit_intercept
        self._nodes = []
        if np.isinf(shared) or (
            self.task_graph is not None and np.isinf([alpha, intercepts]).any()
        ):
            raise ValueError(
                "alpha_shared must be finite, and with a task_graph alpha and alpha_intercept "
                f"too; got {shared}, {alpha} and {intercepts}. Use PooledRegressor or "
                "PooledClassifier for tasks with equal coefficients."
            )
        if self.task_graph is None:
            return _all_pairs(len(tasks), alpha, shared, np.inf if held else intercepts, held)
        weights, latent = read_graph(self.task_graph, tasks)
        self._nodes = tasks.tolist() + latent
        observed = np.arange(len(tasks))
        return GraphCoupling(weights, observed, alpha, shared, 0.0 if held else intercepts, held)

    def _keep_coefficients(self, solution, problem, offset):
        if isinstance(problem.penalty, GraphCoupling) and problem.penalty.alpha_shared == 0:
            solution = replace(solution, coefficients=_smallest(solution.coefficients, problem))
        super()._keep_coefficients(solution, problem, offset)
        if len(self._nodes) > len(self.tasks_) and self.task_column is not None:
            self._add_latent(solution.coefficients, problem, offset)

    def _add_latent(self, point, problem, offset):
        """Add the tasks without rows that the graph names."""
        nodes, W, intercept = problem.penalty.latent(point.W, point.intercept)
        labels = np.empty(len(nodes), dtype=object)
        labels[:] = [self._nodes[node] for node in nodes]
        added = {
            "coef_": to_users(W),
            "intercept_": to_users(intercept + offset - W @ problem.data.center),
            "task_counts_": np.zeros(len(labels), dtype=self.task_counts_.dtype),
        }
        for name, value in (("task_weight_", 0.0), *dict.fromkeys(ADAPTED_BY_TASK, np.nan).items()):
            if hasattr(self, name):
                added[name] = np.full(len(labels), value)
        if hasattr(self, "task_classes_"):
            added["task_classes_"] = np.ones((len(labels), self.task_classes_.shape[1]), dtype=bool)
        merged = merge_labels(self.tasks_, labels)
        self.tasks_, place = factorize(merged, self.task_column)
        for name, rows in added.items():
            setattr(self, name, np.concatenate([getattr(self, name), rows])[np.argsort(place)])


def _smallest(point, problem):
    """Remove from the coefficients the null space of loss and penalty.

    These are directions in which predictions are constant once intercepts absorb the change. Tasks
    with linked coefficients share one direction.
    """
    of_W, of_intercept = problem.penalty.components()
    W, q = point.W, point.q.copy()
    # if only intercepts are linked, each task has null directions of its own
    component, open_part = of_W, _open_alike
    if problem.penalty.alpha_link == 0 and problem.penalty.alpha_intercept > 0:
        component, open_part = of_intercept, _open_apart
    for label in np.unique(component):
        tasks = np.flatnonzero(component == label)
        moved, shift = open_part(W[..., tasks, :], problem, tasks)
        W[..., tasks, :] -= moved
        q[..., tasks] += shift
    return point._replace(V=W - point.w[:, None], q=q)


def _open_alike(W, problem, tasks):
    """Return the part of W in the null space common to all tasks, and the intercept shifts."""
    data, penalty = problem.data, problem.penalty
    block, place = np.unique(data.block[tasks], return_inverse=True)
    H, mean, total = data.moments(block)
    if penalty.fixed_intercept:
        middle = np.zeros_like(mean)
    elif penalty.alpha_intercept == 0:
        middle = mean  # each intercept absorbs its own shift
    else:
        middle = np.broadcast_to(total @ mean / total.sum(), mean.shape)
    own = mean - middle
    null = null_space_of(H.sum(axis=0) + (own.T * total) @ own)
    moved = (W.mean(axis=-2, keepdims=True) @ null) @ null.T
    return moved, (moved * middle[place]).sum(axis=-1)


def _open_apart(W, problem, tasks):
    """Return the part of W in the null space of each task, and the common intercept shift.

    In the null space of a task, the intercept has to compensate along ``reach`` only; the
    orthogonal directions change no prediction. The shift minimizes the norm of the remaining W.
    """
    block, place = np.unique(problem.data.block[tasks], return_inverse=True)
    H, mean, _ = problem.data.moments(block)
    null = [null_space_of(own) for own in H]
    reach = np.array([(m @ N) @ N.T for m, N in zip(mean, null, strict=True)])[place]
    moved = np.stack([(W[..., t, :] @ null[b]) @ null[b].T for t, b in enumerate(place)], axis=-2)
    square = (reach**2).sum(axis=-1)
    found = square > 1e-16 * (mean[place] ** 2).sum(axis=-1)
    size = np.where(found, square, 1.0)
    shares = (moved * reach).sum(axis=-1) / size
    shift = np.zeros((*W.shape[:-2], 1))
    if found.all():
        shift = shares.sum(axis=-1, keepdims=True) / (1.0 / size).sum()
    along = np.where(found, shift / size - shares, 0.0)
    return moved + along[..., None] * reach, shift


def _all_pairs(n_tasks, alpha, shared, alpha_intercept, held):
    """Return the coupling to a center that is equivalent to links 1 / T between all pairs.

    With ``W_t = mean + V_t`` the links are ``alpha/2 sum ||V_t||^2``; ``shared`` adds
    ``shared/2 sum ||V_t||^2 + T shared/2 ||mean||^2``. Minimized over the center, with penalty
    weights a on the tasks and b on the center, the weight of the mean is ``T a b / (T a + b)``.
    """
    center = 0.0
    if shared > 0:
        center = n_tasks * shared * (1.0 + shared / alpha) if alpha > 0 else np.inf
    deviation = np.full(n_tasks, alpha + shared)
    return MeanCoupling(deviation, center, alpha_intercept, fixed_intercept=held)
