"""Penalties that users choose, as couplings that a Newton step eliminates."""

import numpy as np

from skmtl.penalties._graph_coupling import GraphCoupling
from skmtl.penalties._mean import MeanCoupling
from skmtl.penalties._quadratic import Graph, MeanRegularized, Ridge


def coupling_of(structured, tasks):
    """Return the coupling that is equal to a `StructuredPenalty`, or None if there is none.

    Ridges, and one `MeanRegularized` or `Graph` beside them, have one. ``tasks`` are the labels.
    """
    terms = structured.written[0] if len(structured.written) == 1 else []
    others = [term for term in terms if not isinstance(term, Ridge)]
    if (
        not terms
        or len(others) > 1
        or not all(isinstance(t, MeanRegularized | Graph) for t in others)
    ):
        return None

    def times(weight):
        return structured.alpha * weight if weight > 0 and structured.alpha > 0 else 0.0

    ridge = times(sum(term.alpha for term in terms if isinstance(term, Ridge)))
    intercept, fixed = structured.alpha_intercept, structured.fixed_intercept
    if not others:
        return MeanCoupling(np.full(len(tasks), ridge), np.inf, intercept, fixed)
    alpha, shared = times(others[0].alpha), times(others[0].alpha_shared)
    if isinstance(others[0], MeanRegularized):
        return _to_center(len(tasks), alpha, shared, ridge, intercept, fixed)
    if others[0].task_graph is None:  # all pairs of weight 1 / T: deviations from the mean
        return _to_center(len(tasks), alpha, 0.0, ridge + shared, intercept, fixed)
    if np.isinf([alpha, shared, ridge]).any() or not (intercept == 0 or fixed):
        return None  # a graph's intercepts are coupled along its links
    own, labels = np.arange(len(tasks)), tuple(tasks.tolist())
    return GraphCoupling(others[0].weights, own, labels, alpha, shared + ridge, 0.0, fixed)


def _to_center(n_tasks, alpha, shared, ridge, alpha_intercept, fixed):
    """Return the coupling of a center and a ridge on all coefficients.

    With ``W_t = mean + V_t`` the deviations have the weight ``alpha + ridge``, and the mean of T
    tasks T times ``g = ridge + a s / (T a + s)``, as has one center of weight T a g / (a - g).
    """
    if ridge > 0:
        if np.isinf(ridge):
            alpha = shared = np.inf
        elif np.isinf(alpha):
            shared += n_tasks * ridge
        else:
            a, T = alpha + ridge, n_tasks
            gap = T * alpha * (alpha / (T * alpha + shared)) if alpha > 0 else 0.0  # a - g
            shared = T * a * (a - gap) / gap if gap > 0 else np.inf
            alpha = a
    return MeanCoupling(np.full(n_tasks, alpha), shared, alpha_intercept, fixed)
