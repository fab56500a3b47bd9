"""Effective degrees of freedom: what each task spends of its rows, in models with ridge couplings.

For the weighted smoother ``yhat = A (A'ΩA + P)^- A'Ω y`` of a quadratic problem, df_t is the sum
of the derivatives of the predictions of task t in their own targets.
"""

import numpy as np

from skmtl._linalg import SymmetricSolver
from skmtl.arrowhead._inverse import Arrowhead
from skmtl.penalties import Coefficients, GraphCoupling

MOST_UNKNOWNS = 2000  # unknowns of a graph that are solved in one dense system


def degrees_objection(data, penalty):
    """Return why the degrees of freedom under a penalty are not to be had, or None."""
    if not penalty.quadratic:
        return "penalties with kinks have no degrees of freedom in closed form"
    size = data.n_tasks * (min(data.n_rows, data.n_features) + 1)
    if isinstance(penalty, GraphCoupling) and size > MOST_UNKNOWNS:
        return (
            f"along a task_graph the degrees of freedom take one dense system, here of {size} "
            f"unknowns, and the limit is {MOST_UNKNOWNS}"
        )
    return None


def degrees_of_freedom(data, penalty):
    """Return df_t (T,) of a squared loss with a ``MeanCoupling`` or ``GraphCoupling``."""
    data = data.rotated
    if isinstance(penalty, GraphCoupling):
        return _along_graph(data, penalty)
    return Arrowhead(data, penalty, penalty.alpha).degrees()


def _along_graph(data, penalty):
    """Return df_t by one dense system of the coefficients, and levels, of all tasks."""
    d = data.n_features
    size = d if penalty.fixed_intercept else d + 1
    gram = data.moments(data.block).gram(intercept=size > d) * data.scale[:, None, None]
    return graph_degrees(gram, np.arange(size) == d, penalty)


def graph_degrees(H, intercept, penalty):
    """Return the traces of the diagonal blocks of ``(H + P)^- H``, (T,).

    Parameters
    ----------
    H : ndarray of shape (T, m, m)
        Curvature of the loss in the coefficients and levels of each task.
    level : bool ndarray of shape (m,)
        Which of them are levels.
    penalty : GraphCoupling
    """
    T, size = len(H), len(intercept)
    units = Coefficients(np.eye(T)[None], np.eye(T), np.zeros((1, T)), np.zeros(T))
    (K,), k, _, _ = penalty.gradient(units)  # the quadratic forms, (T, T)
    system = np.zeros((T, size, T, size))
    for j in range(size):
        system[:, j, :, j] = k if intercept[j] else K
    right = np.zeros((T, size, T, size))
    each = np.arange(T)
    system[each, :, each] += H
    right[each, :, each] = H
    solver = SymmetricSolver(system.reshape(T * size, T * size))
    solved = solver.solve(right.reshape(T * size, T * size)).reshape(T, size, T, size)
    return np.einsum("tjtj->t", solved)
