"""Squared penalties: nothing is exactly zero or equal."""

import copy

import numpy as np

from skmtl.penalties._graph import laplacian, links
from skmtl.penalties._task_penalty import TaskPenalty, times


class Ridge(TaskPenalty):
    """``alpha/2 ||W||^2``.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength, in [0, inf].
    """

    is_norm = False
    steps = "entry"

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    @property
    def bounds(self):
        """Whether it keeps all coefficients finite."""
        return self.alpha > 0

    def value(self, W):
        """Return the penalty at W (T, d), a float."""
        return 0.5 * self.weight * float(np.vdot(W, W))

    def prox(self, Z, step=1.0):
        """Return the W that minimises ``1/2 ||W - Z||^2 + step value(W)``."""
        return Z / (1.0 + times(self.alpha, step))

    def prox_derivative(self, Z, step=1.0):
        """Return the product with the derivative of ``prox``, and its diagonal."""
        return lambda D: self.prox(D, step), self.prox(np.ones_like(Z), step)


class MeanRegularized(TaskPenalty):
    """``min_w alpha/2 sum_t ||W_t - w||^2 + alpha_shared/2 ||w||^2``: tasks around a centre.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength that draws the tasks to the centre, in [0, inf].
    alpha_shared : float, default=0.0
        Strength of the penalty on the centre, in [0, inf].

    References
    ----------
    T. Evgeniou and M. Pontil (2004). Regularized multi-task learning. KDD.
    https://doi.org/10.1145/1014052.1014067
    """

    is_norm = False
    steps = "entry"
    _strengths = ("alpha", "alpha_shared")

    def __init__(self, alpha=1.0, alpha_shared=0.0):
        self.alpha = alpha
        self.alpha_shared = alpha_shared

    @property
    def bounds(self):
        """Whether it keeps all coefficients finite."""
        return self.alpha > 0 and self.alpha_shared > 0

    def value(self, W):
        """Return the penalty at W (T, d), a float."""
        weight = np.full((len(W), 1), self.alpha)
        center = weighted_center(W, weight, self.alpha_shared)
        own = W - center
        shared = self.alpha_shared if np.isfinite(self.alpha_shared) else 0.0
        return 0.5 * float(self.weight * np.vdot(own, own) + shared * center @ center)

    def prox(self, Z, step=1.0):
        """Return the W that minimises ``1/2 ||W - Z||^2 + step value(W)``."""
        alpha = np.broadcast_to(times(self.alpha, step), Z.shape)
        return mean_prox(Z, alpha, step, self.alpha_shared)

    def prox_derivative(self, Z, step=1.0):
        """Return the product with the derivative of ``prox``, and a part of its diagonal."""
        diagonal = 1.0 / (1.0 + np.broadcast_to(times(self.alpha, step), Z.shape))
        return lambda D: self.prox(D, step), diagonal


class Graph(TaskPenalty):
    """``alpha/2 sum_(s<t) A_st ||W_s - W_t||^2 + alpha_shared/2 ||W||^2``: like neighbours.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength along the graph, in [0, inf).
    task_graph : None, array of shape (T, T) or list of tuples, default=None
        As in `NetworkLasso`.
    alpha_shared : float, default=0.0
        Strength of the penalty on all coefficients, in [0, inf).
    """

    is_norm = False
    steps = "feature"
    _strengths = ("alpha", "alpha_shared")
    _eigen = None

    def __init__(self, alpha=1.0, task_graph=None, alpha_shared=0.0):
        self.alpha = alpha
        self.task_graph = task_graph
        self.alpha_shared = alpha_shared

    def bind(self, tasks):
        """Return the penalty for tasks with these labels, checked."""
        super().bind(tasks)
        if np.isinf([self.alpha, self.alpha_shared]).any():
            raise ValueError(
                "alpha and alpha_shared of Graph must be finite. For equal tasks use "
                "MeanRegularized(alpha=np.inf)."
            )
        return self._on(links(self.task_graph, tasks, "Graph"))

    def take(self, tasks):
        """Return the bound penalty of some of the tasks, an index array."""
        if self.task_graph is None:
            return self.bind(tasks)
        return self._on(self._weights[np.ix_(tasks, tasks)])

    def _on(self, weights):
        bound = copy.copy(self)
        bound._weights, bound._eigen = weights, np.linalg.eigh(laplacian(weights))
        return bound

    @property
    def bounds(self):
        """Whether it keeps all coefficients finite."""
        return self.alpha_shared > 0

    def _spectrum(self, n_tasks):
        """Return the eigenvalues (T, 1) and eigenvectors (T, T) of the quadratic form."""
        bound = self if self._eigen is not None else self.bind(np.arange(n_tasks))
        values, U = bound._eigen
        values = np.maximum(values, 0.0)
        values[values < 1e-14 * len(values) * values[-1]] = 0.0
        return (self.alpha * values + self.alpha_shared)[:, None], U

    def value(self, W):
        """Return the penalty at W (T, d), a float."""
        values, U = self._spectrum(len(W))
        return 0.5 * float((values * (U.T @ W) ** 2).sum())

    def prox(self, Z, step=1.0):
        """Return the W that minimises ``1/2 ||W - Z||^2 + step value(W)``."""
        values, U = self._spectrum(len(Z))
        damping = np.where(values > 0, values, 0.0) * np.where(values > 0, step, 0.0)
        return U @ ((U.T @ Z) / (1.0 + damping))

    def prox_derivative(self, Z, step=1.0):
        """Return the product with the derivative of ``prox``, and a part of its diagonal."""
        values, U = self._spectrum(len(Z))
        diagonal = (U**2 @ values) * step
        return lambda D: self.prox(D, step), np.broadcast_to(1.0 / (1.0 + diagonal), Z.shape)


def weighted_center(W, weight, alpha_shared):
    """Return the w that minimises ``sum weight ||W_t - w||^2 + alpha_shared ||w||^2``, (d,).

    Weights (T, d) or (T, 1) may all be zero or infinite: then all count alike.
    """
    weight = np.broadcast_to(weight, W.shape[-2:] if weight.shape[1] > 1 else (W.shape[-2], 1))
    infinite = np.isinf(weight).any(axis=-2, keepdims=True)
    weight = np.where(infinite, np.isinf(weight), weight)
    weight = np.where(weight.any(axis=-2, keepdims=True), weight, 1.0)
    if np.isinf(alpha_shared):
        return np.zeros(W.shape[:-2] + W.shape[-1:])
    hold = np.where(infinite[..., 0, :], 0.0, alpha_shared)
    return (weight * W).sum(axis=-2) / (weight.sum(axis=-2) + hold)


def mean_prox(Z, alpha, step, alpha_shared):
    """Return the prox of a ridge coupling to a centre, of Z (..., T, d).

    That is the W that minimises, with the best centre w::

        sum_t (alpha_t/2 ||W_t - w||^2 + 1/2 ||W_t - Z_t||^2) / step_t + alpha_shared/2 ||w||^2

    ``alpha`` contains the step; it and ``step`` broadcast to (T, d).
    """
    with np.errstate(invalid="ignore"):
        share = np.where(np.isinf(alpha), 1.0, alpha / (1.0 + alpha))
    weight = share / np.where((step > 0) & np.isfinite(step), step, 1.0)
    center = np.expand_dims(weighted_center(Z, weight, alpha_shared), -2)
    return np.where(share == 1.0, center, Z + share * (center - Z))


def level_prox(level, step, alpha):
    """Return the prox of a ridge coupling of levels (..., T) to a free centre; steps (T,)."""
    if alpha == 0 or not level.size:
        return level
    step = step[:, None]
    return mean_prox(level[..., None], alpha * step, step, 0.0)[..., 0]
