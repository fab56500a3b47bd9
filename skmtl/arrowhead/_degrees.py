"""Effective degrees of freedom of each task, in models with a ridge coupling.

For the weighted smoother ``yhat = A (A'ΩA + P)^- A'Ω y`` of a quadratic problem, df_t is the sum
of the derivatives of the predictions of task t in their own targets.
"""

import numpy as np

from skmtl._linalg import SymmetricSolver
from skmtl.arrowhead._system import ArrowheadSystem
from skmtl.penalties import Coefficients, GraphCoupling

_MOST = 2000  # unknowns of a graph that are solved in one dense system


def degrees_objection(data, penalty, n_outputs=1):
    """Return why the degrees of freedom under a penalty cannot be computed, or None."""
    if not penalty.quadratic:
        return "non-smooth penalties have no degrees of freedom in closed form"
    if isinstance(penalty, GraphCoupling) and not penalty.isotropic:
        return "with a task_graph, penalty_factor=inf has no degrees of freedom in closed form"
    size = data.n_tasks * n_outputs * (data.n_dimensions + 1)
    if isinstance(penalty, GraphCoupling) and size > _MOST:
        return (
            f"with a task_graph the degrees of freedom require one dense system, here of {size} "
            f"unknowns, and the limit is {_MOST}"
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
    units = Coefficients(np.eye(T)[None], np.eye(T), np.zeros((1, T)), np.zeros(T))
    (K,), k, _, _ = penalty.gradient(units)  # the quadratic forms, (T, T)
    each, (system, right) = np.arange(T), np.zeros((2, T, size, T, size))
    for j in range(size):
        system[:, j, :, j] = k if intercept[j] else K
    system[each, :, each] += H
    right[each, :, each] = H
    solver = SymmetricSolver(system.reshape(T * size, T * size))
    solved = solver.solve(right.reshape(T * size, T * size)).reshape(T, size, T, size)
    return np.einsum("tjtj->t", solved)
