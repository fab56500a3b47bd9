"""Low-rank penalty."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg

from skmtl._typing import Array, Derivative
from skmtl.penalties._task_penalty import TaskPenalty, ratio, shrunk, times

_GRAM = 0.03  # least threshold, relative to the largest singular value, for the Gram matrix
_RANK = 1e-7  # singular values below this share of the largest count as zero


class TraceNorm(TaskPenalty):
    """``alpha sum_k sigma_k(W)``, singular values of W: tasks in a common subspace.

    Structure: ``rank``, ``subspace``, an orthonormal basis (rank, d) of the rows of W, and
    ``singular_values`` (rank,).

    Parameters
    ----------
    alpha : float, default=1.0
        Regularization strength, in [0, inf].

    References
    ----------
    A. Argyriou, T. Evgeniou, M. Pontil (2008). Convex multi-task feature learning. Machine
    Learning 73. https://doi.org/10.1007/s10994-007-5040-8

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import TraceNorm
    >>> TraceNorm(alpha=1.0).prox(np.diag([3.0, 0.5]))
    array([[2., 0.],
           [0., 0.]])
    """

    class_axis = "tasks"
    null_set = "zero"
    accuracy = 1e-14

    def value(self, W: Array) -> float:
        """Return the penalty at W (T, d), a float."""
        return self.weight * float(linalg.svdvals(W).sum())

    def prox(self, Z: Array, step: float | Array = 1.0) -> Array:
        """Return the W that minimizes ``1/2 ||W - Z||^2 + step value(W)``."""
        if len(Z) < Z.shape[1]:
            return np.ascontiguousarray(self.prox(Z.T, step).T)
        threshold = float(np.max(times(self.alpha, step)))
        values, V = np.linalg.eigh(Z.T @ Z)
        norm = np.sqrt(np.maximum(values, 0.0))
        if threshold < _GRAM * norm.max(initial=0.0):
            norm, V = np.linalg.svd(Z, full_matrices=False)[1:]
            V = V.T
        kept = norm > threshold
        V = V[:, kept]
        return (Z @ V * shrunk(norm[kept], threshold)) @ V.T

    def prox_derivative(self, Z: Array, step: float | Array = 1.0) -> Derivative:
        """Return the product with a derivative of ``prox``, and its blocks."""
        threshold = float(np.max(times(self.alpha, step)))
        U, s, Vt = np.linalg.svd(Z, full_matrices=False)
        V, f = Vt.T, np.maximum(s - threshold, 0.0)
        alone = _ratio(f, s, 0.0)
        even = _ratio(f[:, None] - f, s[:, None] - s, np.outer(f > 0, f > 0).astype(float))
        odd = _ratio(f[:, None] + f, s[:, None] + s, 0.0)
        same, turned = 0.5 * (even + odd), 0.5 * (even - odd)

        def product(D):
            UD, DV = U.T @ D, D @ V
            A = UD @ V
            inside = U @ (same * A + turned * A.T - alone * A - alone[:, None] * A)
            return (inside + DV * alone) @ Vt + U @ (alone[:, None] * UD)

        square = U**2
        rest = square @ alone
        along = square @ same + (1.0 - square.sum(axis=1))[:, None] * alone - rest[:, None]
        blocks = np.matmul(V * along[:, None, :], Vt)
        return product, blocks + rest[:, None, None] * np.eye(len(V))

    def dual_norm(self, G: Array) -> float:
        """Return the largest singular value of G, over alpha."""
        return ratio(linalg.svdvals(G).max(initial=0.0), self.alpha)

    def structure(self, W: Array, tasks: Any) -> dict[str, Any]:
        """Return ``rank``, ``subspace`` and ``singular_values``."""
        _, values, basis = np.linalg.svd(W, full_matrices=False)
        kept = values > _RANK * values.max(initial=0.0)
        return {
            "rank": int(kept.sum()),
            "subspace": basis[kept],
            "singular_values": values[kept],
        }


def _ratio(a, b, equal):
    """Return a / b, and ``equal`` where b is zero up to rounding."""
    small = np.abs(b) <= 1e-12 * np.abs(b).max(initial=0.0)
    return np.where(small, equal, a / np.where(small, 1.0, b))
