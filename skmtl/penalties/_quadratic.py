"""Squared penalties: they shrink coefficients and differences, but not exactly to zero."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from skmtl._typing import Array, Derivative, TaskGraph
from skmtl.penalties._center import mean_prox, weighted_center
from skmtl.penalties._graph import GraphPenalty, laplacian
from skmtl.penalties._task_penalty import TaskPenalty, times


class Ridge(TaskPenalty):
    """``alpha/2 ||W||^2``.

    Parameters
    ----------
    alpha : float, default=1.0
        Regularization strength, in [0, inf].
    """

    is_norm = False
    is_ridge = True
    prox_scaling = "entry"

    @property
    def coercive(self) -> bool:  # type: ignore[override]
        """Whether it keeps all coefficients finite."""
        return self.alpha > 0

    def value(self, W: Array) -> float:
        """Return the penalty at W (T, d), a float."""
        return 0.5 * self.weight * float(np.vdot(W, W))

    def prox(self, Z: Array, step: float | Array = 1.0) -> Array:
        """Return the W that minimizes ``1/2 ||W - Z||^2 + step value(W)``."""
        return Z / (1.0 + times(self.alpha, step))

    def prox_derivative(self, Z: Array, step: float | Array = 1.0) -> Derivative:
        """Return the product with the derivative of ``prox``, and its diagonal."""
        return lambda D: self.prox(D, step), self.prox(np.ones_like(Z), step)


class MeanRegularized(TaskPenalty):
    """``min_w alpha/2 sum_t ||W_t - w||^2 + alpha_shared/2 ||w||^2``: shrunk to a center.

    Parameters
    ----------
    alpha : float, default=1.0
        Regularization strength of the tasks' deviations from the center, in [0, inf].
    alpha_shared : float, default=0.0
        Regularization strength of the center, in [0, inf].

    References
    ----------
    T. Evgeniou and M. Pontil (2004). Regularized multi-task learning. KDD.
    https://doi.org/10.1145/1014052.1014067
    """

    is_norm = False
    prox_scaling = "entry"
    _penalty_weights = ("alpha", "alpha_shared")

    def __init__(self, alpha: float = 1.0, alpha_shared: float = 0.0) -> None:
        self.alpha = alpha
        self.alpha_shared = alpha_shared

    @property
    def coercive(self) -> bool:  # type: ignore[override]
        """Whether it keeps all coefficients finite."""
        return self.alpha > 0 and self.alpha_shared > 0

    def value(self, W: Array) -> float:
        """Return the penalty at W (T, d), a float."""
        weight = np.full((len(W), 1), self.alpha)
        center = weighted_center(W, weight, self.alpha_shared)
        own = W - center
        shared = self.alpha_shared if np.isfinite(self.alpha_shared) else 0.0
        return 0.5 * float(self.weight * np.vdot(own, own) + shared * center @ center)

    def prox(self, Z: Array, step: float | Array = 1.0) -> Array:
        """Return the W that minimizes ``1/2 ||W - Z||^2 + step value(W)``."""
        alpha = np.broadcast_to(times(self.alpha, step), Z.shape)
        return mean_prox(Z, alpha, step, self.alpha_shared)

    def prox_derivative(self, Z: Array, step: float | Array = 1.0) -> Derivative:
        """Return the product with the derivative of ``prox``, and a part of its diagonal."""
        diagonal = 1.0 / (1.0 + np.broadcast_to(times(self.alpha, step), Z.shape))
        return lambda D: self.prox(D, step), diagonal


class Graph(GraphPenalty):
    """``alpha/2 sum_(s<t) A_st ||W_s - W_t||^2 + alpha_shared/2 ||W||^2``.

    Parameters
    ----------
    alpha : float, default=1.0
        Regularization strength of differences along the graph, in [0, inf).
    task_graph : None, array of shape (T, T) or list of tuples, default=None
        Weights A: None for all pairs, an adjacency, or edges; see `GraphPenalty`.
    alpha_shared : float, default=0.0
        Regularization strength of all coefficients, in [0, inf).
    """

    is_norm = False
    prox_scaling = "feature"
    _penalty_weights = ("alpha", "alpha_shared")

    def __init__(
        self, alpha: float = 1.0, task_graph: TaskGraph = None, alpha_shared: float = 0.0
    ) -> None:
        self.alpha = alpha
        self.task_graph = task_graph
        self.alpha_shared = alpha_shared

    def bind(self, tasks: Any) -> Self:
        """Return the penalty for tasks with these labels, checked."""
        bound = super().bind(tasks)
        if np.isinf([self.alpha, self.alpha_shared]).any():
            raise ValueError(
                "alpha and alpha_shared of Graph must be finite. For equal tasks use "
                "MeanRegularized(alpha=np.inf)."
            )
        return bound

    def _use(self, weights):
        self._eigen = np.linalg.eigh(laplacian(weights))

    @property
    def coercive(self) -> bool:  # type: ignore[override]
        """Whether it keeps all coefficients finite."""
        return self.alpha_shared > 0

    def _spectrum(self, n_tasks):
        """Return the eigenvalues (T, 1) and eigenvectors (T, T) of the quadratic form."""
        values, U = self._bound_to(n_tasks)._eigen
        values = np.maximum(values, 0.0)
        values[values < 1e-14 * len(values) * values[-1]] = 0.0
        return (self.alpha * values + self.alpha_shared)[:, None], U

    def value(self, W: Array) -> float:
        """Return the penalty at W (T, d), a float."""
        values, U = self._spectrum(len(W))
        return 0.5 * float((values * (U.T @ W) ** 2).sum())

    def prox(self, Z: Array, step: float | Array = 1.0) -> Array:
        """Return the W that minimizes ``1/2 ||W - Z||^2 + step value(W)``."""
        values, U = self._spectrum(len(Z))
        damping = np.where(values > 0, values, 0.0) * np.where(values > 0, step, 0.0)
        return U @ ((U.T @ Z) / (1.0 + damping))

    def prox_derivative(self, Z: Array, step: float | Array = 1.0) -> Derivative:
        """Return the product with the derivative of ``prox``, and a part of its diagonal."""
        values, U = self._spectrum(len(Z))
        diagonal = (U**2 @ values) * step
        return lambda D: self.prox(D, step), np.broadcast_to(1.0 / (1.0 + diagonal), Z.shape)
