"""What the regressor and the classifier on graphs share."""

from dataclasses import replace

import numpy as np

from skmtl._linalg import null_space_of
from skmtl.data import check_alpha, factorize, merge_labels
from skmtl.linear_model._base import LinearMultiTaskModel
from skmtl.penalties import GraphCoupling, MeanCoupling, read_graph
from skmtl.tuning import ADAPTED_BY_TASK


class GraphModel(LinearMultiTaskModel):
    """A model whose tasks are coupled along a graph, latent tasks among them."""

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
        """Add the tasks without rows, as far as the graph names them."""
        nodes, W, intercept = problem.penalty.latent(point.W, point.intercept)
        labels = np.empty(len(nodes), dtype=object)
        labels[:] = [self._nodes[node] for node in nodes]
        added = {
            "coef_": self._public(W, problem),
            "intercept_": self._public(intercept + offset - W @ problem.data.center, problem),
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
    """Return the coefficients without what neither rows nor penalty tell, nor levels make up for.

    That moves all tasks alike whose coefficients are linked, and their levels with them.
    """
    of_W, of_intercept = problem.penalty.components()
    W, q = point.W, point.q.copy()
    # where levels alone are linked, each task has open directions of its own
    component, open_part = of_W, _open_alike
    if problem.penalty.alpha_link == 0 and problem.penalty.alpha_intercept > 0:
        component, open_part = of_intercept, _open_apart
    for label in np.unique(component):
        tasks = np.flatnonzero(component == label)
        moved, shift = open_part(W[..., tasks, :], problem, tasks)
        W[..., tasks, :] -= moved
        q[..., tasks] += shift
    return point._replace(V=W - np.expand_dims(point.w, -2), q=q)


def _open_alike(W, problem, tasks):
    """Return what is open of W where all tasks move alike, and the shifts of their levels."""
    data, penalty = problem.data, problem.penalty
    block, place = np.unique(data.block[tasks], return_inverse=True)
    H, mean, total = data.moments(block)
    if penalty.fixed_intercept:
        middle = np.zeros_like(mean)
    elif penalty.alpha_intercept == 0:
        middle = mean  # each level follows by itself
    else:
        middle = np.broadcast_to(total @ mean / total.sum(), mean.shape)
    own = mean - middle
    null = null_space_of(H.sum(axis=0) + (own.T * total) @ own)
    moved = (W.mean(axis=-2, keepdims=True) @ null) @ null.T
    return moved, (moved * middle[place]).sum(axis=-1)


def _open_apart(W, problem, tasks):
    """Return what is open of W where each task moves by itself, and the one shift of all levels.

    Within a task's open directions, the level follows one, ``reach``, and the others change no
    prediction. What the first amount to is the shift at which the rest of W is smallest.
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
    """Return the coupling to a center that links of all pairs by 1 / T amount to.

    With ``W_t = mean + V_t`` they are ``alpha/2 sum ||V_t||^2``, to which ``shared`` adds itself
    and ``T shared/2 ||mean||^2``; a center of strength b leaves ``T a b / (T a + b)`` of it.
    """
    center = 0.0
    if shared > 0:
        center = n_tasks * shared * (1.0 + shared / alpha) if alpha > 0 else np.inf
    tie = np.full(n_tasks, alpha + shared)
    return MeanCoupling(tie, center, alpha_intercept, fixed_intercept=held)
