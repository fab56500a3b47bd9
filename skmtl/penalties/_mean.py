"""Ridge coupling of the tasks to a common center."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from skmtl.penalties._base import Coefficients, Penalty


@dataclass(frozen=True)
class MeanCoupling(Penalty):
    """``1/2 sum_t alpha_t ||V_t||^2 + alpha_shared/2 ||w||^2 + alpha_intercept/2 sum_t q_t^2``.

    Every penalty weight may be 0 (the limit of a vanishing penalty) or inf (that part is fixed,
    initially at zero). ``alpha = inf`` is the pooled model; ``alpha_shared = inf`` with
    ``alpha_intercept = 0`` separate models.

    Parameters
    ----------
    alpha : ndarray of shape (T,) or (T, d)
        Penalty weight of the deviations of each task, in [0, inf], or of each coefficient, in
        (0, inf].
    alpha_shared : float or ndarray of shape (d,)
        Penalty weight of the center of the coefficients. An array has one for each coordinate of
        the features, all finite.
    alpha_intercept : float
        Penalty weight of the deviations of the centered intercepts.
    fixed_intercept : bool
        Whether the common intercept c is fixed.
    alpha_common : float, optional
        Penalty weight of the center where the tasks do not deviate from it, by default
        ``alpha_shared``.

    References
    ----------
    T. Evgeniou and M. Pontil (2004). Regularized multi-task learning. KDD.
    https://doi.org/10.1145/1014052.1014067
    """

    alpha: np.ndarray
    alpha_shared: float | np.ndarray
    alpha_intercept: float
    fixed_intercept: bool = False
    alpha_common: float | None = None

    quadratic = True
    around_center = True
    n_levels = 1  # of nodes, tasks included

    @cached_property
    def fixed_center(self):
        """Whether the center w of the coefficients is fixed."""
        return np.ndim(self.alpha_shared) == 0 and np.isinf(self.alpha_shared)

    @property
    def isotropic(self):
        """Whether all coefficients of a task, and of the center, have one penalty weight."""
        return np.ndim(self.alpha_shared) == 0 and self.alpha.ndim == 1

    @property
    def precision(self):
        """Penalty weight of each coefficient of the tasks, (T, 1) or (T, d)."""
        return self.alpha.reshape(len(self.alpha), -1)

    @property
    def block_alpha(self):
        """Penalty weight of each task where it is finite, if it is the same there, (T,)."""
        return self.precision.min(axis=1)

    @property
    def coercive(self):
        """Whether both the deviations of each task and the center are penalized, (T,)."""
        return (self.precision > 0).all(axis=1) & np.all(self.alpha_shared > 0)

    def diagonal(self):
        """Return the penalty weight of each part, inf where it is fixed."""
        intercept = np.inf if self.fixed_intercept else 0.0
        return Coefficients(self.precision, self.alpha_intercept, self.alpha_shared, intercept)

    def product(self, a, b):
        """Return the inner product of the gradient at ``a`` and ``b``, a float."""
        weight = self.curvature
        if weight.V.shape[1] == 1:
            own = np.einsum("ktj,ktj->t", a.V, b.V) @ weight.V[:, 0]
        else:
            own = np.einsum("ktj,ktj,tj->", a.V, b.V, weight.V)
        return float(own + np.vdot(a.q, weight.q * b.q) + np.vdot(a.w, weight.w * b.w))

    def canonicalize(self, coefficients, present=None):
        """Return the same model with c in canonical form where it is not identified.

        With ``alpha_intercept = 0`` c is the limit of a vanishing penalty: the mean of the task
        intercepts that are ``present``, a mask of the shape of q or None for all.
        """
        if self.alpha_intercept > 0 or self.fixed_intercept:
            return coefficients
        q, c = coefficients.q, coefficients.c
        if present is None:
            shift = q.mean(axis=1)
        else:
            q = q if len(q) == 1 else _nearest(q, present)
            shift = (present * q).sum(axis=1) / np.maximum(1, present.sum(axis=1))
        q = q - shift[:, None]
        return coefficients._replace(q=q if present is None else present * q, c=c + shift)

    def in_basis(self, basis):
        """Return the penalty in a ``Basis``, in whose fixed coordinates a center has the factor 1.

        A weight of the center that is 0, inf or an array stays what it is.
        """
        fixed, shared = basis.fixed, self.alpha_shared
        if not fixed.any() or np.ndim(shared):
            return self
        if (self.alpha == 0).any() or (np.isinf(shared) and self.alpha_common is not None):
            raise ValueError(
                "penalty_factor=inf makes slopes common to all tasks by an infinite multiple of "
                "alpha, and alpha is 0. Set it to a positive number."
            )
        if shared in (0, np.inf):
            return self
        common = shared if self.alpha_common is None else self.alpha_common
        weights = np.where(fixed, common * basis.lengths**2, shared)
        return self if (weights == shared).all() else replace(self, alpha_shared=weights)

    def fix_center(self):
        """Return the penalty with the center (w, c) fixed."""
        return replace(self, alpha_shared=np.inf, fixed_intercept=True, alpha_common=None)

    def with_weights(self, alpha=None, **others):
        """Return the coupling with other penalty weights; alpha is a number or (T,)."""
        if alpha is not None:
            others["alpha"] = np.full(len(self.alpha), alpha)
        return replace(self, **others)

    def scaled(self, scale):
        """Return the coupling of coefficients that are divided by a scale (d,)."""
        shared = self.alpha_shared
        if np.ndim(shared) or shared not in (0, np.inf):
            shared = shared * scale**2
        return replace(self, alpha=self.precision * scale**2, alpha_shared=shared)

    def star(self):
        """Return the coupling of the tasks; see ``GraphCoupling.star``."""
        return self.inner

    def take(self, tasks):
        """Return the penalty for some of the tasks, an index array."""
        return replace(self, alpha=self.alpha[tasks])


def _nearest(q, present):
    """Return q (K, T) with each column shifted to minimize the variance within rows.

    A shift of a column changes no softmax. Only ``present`` entries count: this is least squares in
    the two-way layout of the analysis of variance.
    """
    share = present / present.sum(axis=0)
    centered = present * (q - (share * q).sum(axis=0))
    system = np.diag(present.sum(axis=1)) - share @ present.T.astype(float)
    mean = np.linalg.lstsq(system, centered.sum(axis=1), rcond=1e-10)[0]
    return q + (share * (mean[:, None] - q)).sum(axis=0)
