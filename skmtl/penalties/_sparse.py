"""Penalties that set coefficients, features or tasks to zero."""

from __future__ import annotations

from copy import copy
from typing import Any, Literal

import numpy as np

from skmtl._typing import Array, Derivative, PenaltyFactor
from skmtl.data import read_penalty_factor
from skmtl.penalties._task_penalty import Shrinkage, TaskPenalty, ratio, shrunk, times, weighted


class _SumOfNorms(TaskPenalty):
    """``alpha`` times the sum of the Euclidean norms of all columns (axis 0) or rows (1)."""

    null_set: Literal["zero", "pooled"] | None = "zero"
    _axis: int

    def _norms(self, W):
        return np.linalg.norm(W, axis=self._axis, keepdims=True)

    def _threshold(self, W, step):
        """Return ``alpha step``, which the norms lose."""
        return times(self.alpha, step)

    def value(self, W: Array) -> float:
        return self.weight * float(self._norms(W).sum())

    def prox(self, Z: Array, step: float | Array = 1.0) -> Array:
        return Z * shrunk(self._norms(Z), self._threshold(Z, step))

    def prox_derivative(self, Z: Array, step: float | Array = 1.0) -> Derivative:
        # share I + turn along along' in each column or row
        norm, axis = self._norms(Z), self._axis
        share = shrunk(norm, self._threshold(Z, step))
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


class _WeightedNorms(_SumOfNorms):
    """Norms of features or entries, each times the factor of its feature."""

    _factor = None  # (d,), of the features that the penalty is bound to; None if all are 1

    def __init__(self, alpha: float = 1.0, penalty_factor: PenaltyFactor = None) -> None:
        self.alpha = alpha
        self.penalty_factor = penalty_factor

    @property
    def null_set(self) -> Literal["zero", "pooled"] | None:  # type: ignore[override]
        """Where the norm is zero: at W = 0, or None if features have the factor 0."""
        factor = self._factor
        return None if factor is not None and (factor == 0).any() else "zero"

    def _of_features(self, n_features, names):
        if self.penalty_factor is None:
            return self
        other = copy(self)
        other._factor = read_penalty_factor(self.penalty_factor, n_features, names)
        other.penalty_factor = None if other._factor is None else other._factor
        return other

    def _with_features(self, features):
        if self._factor is None:
            return self
        other = copy(self)
        other._factor = self._factor[features]
        return other

    def _factors(self, W):
        """Return the factor of each column of W, whose K classes may be side by side, or None."""
        factor = self._factor
        if factor is None:  # not bound, or none
            factor = read_penalty_factor(self.penalty_factor, W.shape[1], None)
        return None if factor is None else np.tile(factor, W.shape[1] // len(factor))

    def value(self, W: Array) -> float:
        """Return the penalty at W (T, d), a float."""
        factor = self._factors(W)
        if factor is None:
            return super().value(W)
        factor = np.where(np.isinf(factor), 0.0, factor)  # W is zero there
        return self.weight * float((factor * self._norms(W)).sum())

    def dual_norm(self, G: Array) -> float:
        """Return the smallest a such that G is a subgradient of ``a value`` at zero."""
        factor = self._factors(G)
        if factor is None:
            return super().dual_norm(G)
        kept = factor > 0  # G is zero elsewhere
        return ratio((self._norms(G)[:, kept] / factor[kept]).max(initial=0.0), self.alpha)

    def _threshold(self, W, step):
        threshold, factor = times(self.alpha, step), self._factors(W)
        return threshold if factor is None else weighted(threshold, factor)

    def _shrinkage(self, n_features):
        factor = np.ones(n_features) if self._factor is None else self._factor
        return Shrinkage(weighted(self.alpha, factor), 0.0, self.prox_scaling == "feature")


class L1(_WeightedNorms):
    """``alpha sum_tj |W_tj|``: few coefficients, selected for each task separately.

    Structure: ``selected_features``, a mask (d,) of the features that any task uses.

    Parameters
    ----------
    alpha : float, default=1.0
        Regularization strength, in [0, inf].
    penalty_factor : array-like of shape (n_features,) or dict, default=None
        Factors of the penalty on each feature, in [0, inf], not rescaled; dict: by name, 1 for
        others. 0: no penalty on the feature; inf: its coefficients are zero.

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
        threshold = self._threshold(Z, step)
        return Z - np.clip(Z, -threshold, threshold)

    def prox_derivative(self, Z: Array, step: float | Array = 1.0) -> Derivative:
        """Return the product with a derivative of ``prox``, and its diagonal."""
        active = (np.abs(Z) > self._threshold(Z, step)).astype(float)
        return lambda D: active * D, active


class L21(_WeightedNorms):
    """``alpha sum_j ||(W_1j, ..., W_Tj)||``: few features, the same for all tasks.

    Structure: ``selected_features``, a mask (d,).

    Parameters
    ----------
    alpha : float, default=1.0
        Regularization strength, in [0, inf].
    penalty_factor : array-like of shape (n_features,) or dict, default=None
        Factors of the penalty on each feature, in [0, inf], not rescaled; dict: by name, 1 for
        others. 0: no penalty on the feature; inf: its coefficients are zero.

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
