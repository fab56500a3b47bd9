"""Effective degrees of freedom of each task, in models with a ridge coupling.

For the weighted smoother ``yhat = A (A'ΩA + P)^- A'Ω y`` of a quadratic problem, df_t is the sum
of the derivatives of the predictions of task t in their own targets.
"""

import numpy as np

from skmtl._linalg import SymmetricSolver
from skmtl.arrowhead._system import ArrowheadSystem
from skmtl.penalties import Coefficients, GraphCoupling, MeanCoupling

MOST = 2000  # unknowns of a graph that are solved in one dense system


def degrees_objection(data, penalty, n_outputs=1):
    """Return why the degrees of freedom under a penalty cannot be computed, or None."""
    if not penalty.quadratic:
        return "non-smooth penalties have no degrees of freedom in closed form"
    if isinstance(penalty, GraphCoupling) and not penalty.isotropic:
        return "with a task_graph, penalty_factor=inf has no degrees of freedom in closed form"
    size = data.n_tasks * n_outputs * (data.n_dimensions + 1)
    if isinstance(penalty, GraphCoupling) and size > MOST:
        return (
            f"with a task_graph the degrees of freedom require one dense system, here of {size} "
            f"unknowns, and the limit is {MOST}"
        )
    return None


def degrees_of_freedom(data, penalty):
    """Return df_t (T,) of a squared loss with a ``MeanCoupling`` or ``GraphCoupling``."""
    data = data.rotated
    if not isinstance(penalty, GraphCoupling):
        return ArrowheadSystem.of(data, penalty).degrees()
    d = data.n_features
    size = d if penalty.fixed_intercept else d + 1
    gram = data.task_moments(slice(None)).gram(intercept=size > d)
    return graph_degrees(gram, np.arange(size) == d, penalty)


def graph_degrees(H, intercept, penalty):
    """Return the traces of the diagonal blocks of ``(H + P)^- H``, (T,).

    Parameters
    ----------
    H : ndarray of shape (T, m, m)
        Curvature of the loss in the coefficients and centered intercepts of each task.
    intercept : bool ndarray of shape (m,)
        Which of them are intercepts.
    penalty : GraphCoupling
    """
    T, size = len(H), len(intercept)
    each, right = np.arange(T), np.zeros((T, size, T, size))
    right[each, :, each] = H
    solver = SymmetricSolver(graph_system(H, intercept, penalty))
    solved = solver.solve(right.reshape(T * size, T * size)).reshape(T, size, T, size)
    return np.einsum("tjtj->t", solved)


def graph_system(H, intercept, penalty):
    """Return ``H + P``, (T m, T m), of parameters as of ``graph_degrees``."""
    T, size = len(H), len(intercept)
    units = Coefficients(np.eye(T)[None], np.eye(T), np.zeros((1, T)), np.zeros(T))
    (K,), k, _, _ = penalty.gradient(units)  # the quadratic forms, (T, T)
    each, system = np.arange(T), np.zeros((T, size, T, size))
    for j in range(size):
        system[:, j, :, j] = k if intercept[j] else K
    system[each, :, each] += H
    return system.reshape(T * size, T * size)


def coupling_weights(penalty, n_tasks, d):
    """Return the penalty weights on the coefficients (T, d) and on the centered intercept."""
    alpha, alpha_intercept = penalty.curvature[:2]
    if isinstance(penalty, MeanCoupling):
        alpha, alpha_intercept = penalty.inner.precision, penalty.inner.alpha_intercept
    if penalty.fixed_intercept:
        alpha_intercept = np.inf
    return np.broadcast_to(alpha, (n_tasks, d)), alpha_intercept


def coupled_share(penalty, n_tasks, d):
    """Return the part of the penalty that shrinks towards other tasks, not zero, (T, d + 1)."""
    share = np.ones((n_tasks, d + 1))
    if isinstance(penalty, MeanCoupling):
        share[:, :-1] = float(not (penalty.around_center and penalty.fixed_center))
    else:
        weight, center = penalty.curvature.V, Coefficients.zeros(n_tasks, 1)
        ridge = penalty.gradient(center._replace(w=np.ones((1, 1)))).V[0]
        none = np.zeros_like(weight)
        share[:, :-1] = np.divide(weight - ridge, weight, out=none, where=weight > 0)
    return share
