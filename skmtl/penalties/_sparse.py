"""Penalties that set coefficients, features or tasks to zero."""

from typing import Any

import numpy as np

from skmtl._typing import Array, Derivative
from skmtl.penalties._task_penalty import TaskPenalty, ratio, shrunk, times


class L1(TaskPenalty):
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
    null_set = "zero"

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def value(self, W: Array) -> float:
        """Return the penalty at W (T, d), a float."""
        return self.weight * float(np.abs(W).sum())

    def prox(self, Z: Array, step: float | Array = 1.0) -> Array:
        """Return the W that minimizes ``1/2 ||W - Z||^2 + step value(W)``."""
        threshold = times(self.alpha, step)
        return Z - np.clip(Z, -threshold, threshold)

    def prox_derivative(self, Z: Array, step: float | Array = 1.0) -> Derivative:
        """Return the product with a derivative of ``prox``, and its diagonal."""
        active = (np.abs(Z) > times(self.alpha, step)).astype(float)
        return lambda D: active * D, active

    def dual_norm(self, G: Array) -> float:
        """Return the largest entry of G, over alpha."""
        return ratio(np.abs(G).max(), self.alpha)

    def structure(self, W: Array, tasks: Any) -> dict[str, Any]:
        """Return the ``selected_features``."""
        return {"selected_features": W.any(axis=0)}


class L21(TaskPenalty):
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
    null_set = "zero"

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def value(self, W: Array) -> float:
        """Return the penalty at W (T, d), a float."""
        return self.weight * float(np.linalg.norm(W, axis=0).sum())

    def prox(self, Z: Array, step: float | Array = 1.0) -> Array:
        """Return the W that minimizes ``1/2 ||W - Z||^2 + step value(W)``."""
        return Z * shrunk(np.linalg.norm(Z, axis=0, keepdims=True), times(self.alpha, step))

    def prox_derivative(self, Z: Array, step: float | Array = 1.0) -> Derivative:
        """Return the product with a derivative of ``prox``, and its diagonal."""
        share, along, turn = _shrinking(Z, times(self.alpha, step), 0)
        return lambda D: share * D + turn * along * (along * D).sum(0), share + turn * along**2

    def dual_norm(self, G: Array) -> float:
        """Return the largest norm of a column of G, over alpha."""
        return ratio(np.linalg.norm(G, axis=0).max(), self.alpha)

    def structure(self, W: Array, tasks: Any) -> dict[str, Any]:
        """Return the ``selected_features``."""
        return {"selected_features": W.any(axis=0)}


class TaskL2(TaskPenalty):
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
    null_set = "zero"

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def value(self, W: Array) -> float:
        """Return the penalty at W (T, d), a float."""
        return self.weight * float(np.linalg.norm(W, axis=1).sum())

    def prox(self, Z: Array, step: float | Array = 1.0) -> Array:
        """Return the W that minimizes ``1/2 ||W - Z||^2 + step value(W)``."""
        return Z * shrunk(np.linalg.norm(Z, axis=1, keepdims=True), times(self.alpha, step))

    def prox_derivative(self, Z: Array, step: float | Array = 1.0) -> Derivative:
        """Return the product with a derivative of ``prox``, and its blocks."""
        share, along, turn = _shrinking(Z, times(self.alpha, step), 1)

        def product(D):
            return share * D + turn * along * (along * D).sum(axis=1, keepdims=True)

        blocks = share[:, :, None] * np.eye(Z.shape[1])
        return product, blocks + (turn * along)[:, :, None] * along[:, None, :]

    def dual_norm(self, G: Array) -> float:
        """Return the largest norm of a row of G, over alpha."""
        return ratio(np.linalg.norm(G, axis=1).max(), self.alpha)

    def structure(self, W: Array, tasks: Any) -> dict[str, Any]:
        """Return the ``active_tasks``."""
        return {"active_tasks": tasks[W.any(axis=1)]}


def _shrinking(Z, threshold, axis):
    """Return share, u and turn of ``share I + turn u u'``, the derivative of the prox of a norm."""
    norm = np.linalg.norm(Z, axis=axis, keepdims=True)
    share = shrunk(norm, threshold)
    along = np.divide(Z, norm, out=np.zeros_like(Z), where=norm > 0)
    return share, along, np.where(share > 0, 1.0 - share, 0.0)
