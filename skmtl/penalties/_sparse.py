"""Penalties that set coefficients, features or tasks to zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from skmtl._typing import Array, Derivative
from skmtl.penalties._task_penalty import TaskPenalty, ratio, shrunk, times


class _SumOfNorms(TaskPenalty):
    """``alpha`` times the sum of the Euclidean norms of all columns (axis 0) or rows (1)."""

    null_set = "zero"
    _axis: int

    def _norms(self, W):
        return np.linalg.norm(W, axis=self._axis, keepdims=True)

    def value(self, W: Array) -> float:
        return self.weight * float(self._norms(W).sum())

    def prox(self, Z: Array, step: float | Array = 1.0) -> Array:
        return Z * shrunk(self._norms(Z), times(self.alpha, step))

    def prox_derivative(self, Z: Array, step: float | Array = 1.0) -> Derivative:
        # share I + turn along along' in each column or row
        norm, axis = self._norms(Z), self._axis
        share = shrunk(norm, times(self.alpha, step))
        along = np.divide(Z, norm, out=np.zeros_like(Z), where=norm > 0)
        turn = np.where(share > 0, 1.0 - share, 0.0)

        def product(D):
            return share * D + turn * along * (along * D).sum(axis, keepdims=True)

        if axis == 0:
            return product, share + turn * along**2
        blocks = share[:, :, None] * np.eye(Z.shape[1])
        return product, blocks + (turn * along)[:, :, None] * along[:, None, :]

    def dual_norm(self, G: Array) -> float:
        return ratio(self._norms(G).max(initial=0.0), self.alpha)

    def structure(self, W: Array, tasks: Any) -> dict[str, Any]:
        return {"selected_features": W.any(axis=0)}


class L1(_SumOfNorms):
    """``alpha sum_tj |W_tj|``: few coefficients, selected for each task separately.

    Structure: ``selected_features``, a mask (d,) of the features that any task uses.

    Parameters
    ----------
    alpha : float, default=1.0
        Regularization strength, in [0, inf].

    References
    ----------
    R. Tibshirani (1996). Regression shrinkage and selection via the lasso. JRSS B 58.
    https://doi.org/10.1111/j.2517-6161.1996.tb02080.x

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import L1
    >>> L1(alpha=1.0).prox(np.array([[3.0, -0.5]]))
    array([[2., 0.]])
    """

    prox_scaling = "entry"

    def _norms(self, W):
        return np.abs(W)

    def prox(self, Z: Array, step: float | Array = 1.0) -> Array:
        """Return the W that minimizes ``1/2 ||W - Z||^2 + step value(W)``."""
        threshold = times(self.alpha, step)
        return Z - np.clip(Z, -threshold, threshold)

    def prox_derivative(self, Z: Array, step: float | Array = 1.0) -> Derivative:
        """Return the product with a derivative of ``prox``, and its diagonal."""
        active = (np.abs(Z) > times(self.alpha, step)).astype(float)
        return lambda D: active * D, active


class L21(_SumOfNorms):
    """``alpha sum_j ||(W_1j, ..., W_Tj)||``: few features, the same for all tasks.

    Structure: ``selected_features``, a mask (d,).

    Parameters
    ----------
    alpha : float, default=1.0
        Regularization strength, in [0, inf].

    References
    ----------
    G. Obozinski, B. Taskar, M. Jordan (2010). Joint covariate selection and joint subspace
    selection for multiple classification problems. Statistics and Computing 20.
    https://doi.org/10.1007/s11222-008-9111-x

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import L21
    >>> L21(alpha=1.0).prox(np.array([[3.0, 0.5], [4.0, 0.5]]))
    array([[2.4, 0. ],
           [3.2, 0. ]])
    """

    prox_scaling = "feature"
    class_axis = "tasks"
    _axis = 0


class TaskL2(_SumOfNorms):
    """``alpha sum_t ||W_t||``: sets whole tasks to zero.

    Alone it sets tasks without predictive features to zero; as a part of `Decomposed` it finds the
    tasks that differ from the rest. Structure: ``active_tasks``, the labels of the nonzero tasks.

    Parameters
    ----------
    alpha : float, default=1.0
        Regularization strength, in [0, inf].

    References
    ----------
    J. Chen, J. Zhou, J. Ye (2011). Integrating low-rank and group-sparse structures for robust
    multi-task learning. KDD. https://doi.org/10.1145/2020408.2020423

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.penalties import TaskL2
    >>> TaskL2(alpha=1.0).prox(np.array([[3.0, 4.0], [0.5, 0.5]]))
    array([[2.4, 3.2],
           [0. , 0. ]])
    """

    prox_scaling = "task"
    _axis = 1

    def structure(self, W: Array, tasks: Any) -> dict[str, Any]:
        """Return the ``active_tasks``."""
        return {"active_tasks": tasks[W.any(axis=1)]}
