"""Restricted likelihood of the random-coefficient model."""

import math
from copy import copy
from typing import Any, NamedTuple

import numpy as np

from skmtl.tuning._center import Center, CenterSolution
from skmtl.tuning._nested_rows import rows_around

_FLOOR = 1e-30  # least share of the squares of y in sigma2
_ROUNDING = 1e-26  # share of the squares of y that is rounding error
_TINY = np.finfo(np.float64).tiny


class _Point(NamedTuple):
    """A covariance, as bytes, and what is known of the likelihood there.

    ``value`` and what follows is None before it is needed.
    """

    key: bytes
    marginal: Any
    value: float | None = None
    sigma2: float | None = None
    alpha_shared: float | None = None
    solution: CenterSolution | None = None
    e: Any = None


class RestrictedLikelihood:
    """Compute minus twice the restricted log-likelihood (REML), the noise variance profiled out.

    The model is ``y_i = x_i . (w + v_t) + c + q_t + e_i`` at centered features, with
    (v_t, q_t) ~ N(0, sigma2 F F'), e_i ~ N(0, sigma2), and w ~ N(0, sigma2 / alpha_shared I), or
    flat if that is 0; c is flat. If alpha_shared is to be estimated, it is the best for F. Weights
    count rows: N is their sum, and weight 2 repeats a row. Where tasks are in groups, F is
    block-diagonal, with a block for the deviations of each level, tasks first. With ``sigma2 V``
    the covariance of y and p the rank of the design X of the flat coefficients::

        -2 l_R = (N - p) (1 + log(2 pi sigma2)) + log|V| + log|X' V^-1 X|,
        sigma2 = (y - X beta)' V^-1 (y - X beta) / (N - p)

    where sigma2 is twice the minimum of the objective over N - p. The constant is that of lme4 and
    nlme: columns of X are not scaled, and those that depend on earlier ones are left out.

    Parameters
    ----------
    data : TaskData
    loss : SquaredLoss
    penalty : MeanCoupling or NestedCoupling
    estimates_center : bool
        Whether alpha_shared is to be estimated.
    null : LossSums, optional
        Of coefficients of zero, where they are known.

    References
    ----------
    H. D. Patterson and R. Thompson (1971). Recovery of inter-block information when block sizes
    are unequal. Biometrika 58. https://doi.org/10.1093/biomet/58.3.545
    """

    def __init__(self, data, loss, penalty, *, estimates_center=False, null=None):
        self._estimates_center, self._alpha_shared = estimates_center, penalty.alpha_shared
        self.rows, self._last = rows_around(penalty)(data, penalty, loss, null), None
        if self.rows.null <= 1e4 * _TINY and data.y.any():
            raise ValueError(
                f"The squares of y sum to {self.rows.null:.1e}, and such numbers have few "
                "digits: values of y or the weights are too small for their squares. Scale them."
            )
        size = penalty.n_levels * (data.n_features + 1)
        self._center = Center(self._marginal(np.zeros((size, size))).gram, penalty)
        squares = data.square_norms
        self._curvature = squares.sum() / max(1, squares.shape[1]) or 1.0

    @property
    def freedom(self):
        """Degrees of freedom N - p."""
        return self.rows.total - self._center.n_flat - self.rows.n_flat

    @property
    def n_blocks(self):
        """Number of blocks of tasks."""
        return self.rows.n_blocks

    @property
    def n_tasks(self):
        """Number of tasks."""
        return self.rows.data.n_tasks

    def sample(self, n_blocks):
        """Return the likelihood of some of the blocks of tasks."""
        other = copy(self)
        other.rows, other._last = self.rows.sample(n_blocks), None
        return other

    def _marginal(self, F):
        """Return the ``Marginal`` at a covariance; all that is known of the last one is kept."""
        key = F.tobytes()
        if self._last is None or key != self._last.key:
            self._last = _Point(key, self.rows.at(F))
        return self._last.marginal

    def is_exact(self, F):
        """Return whether sigma2 is zero up to rounding errors, though degrees of freedom are left.

        If the center is to be estimated, without a penalty on it.
        """
        freedom = self.freedom
        if self._estimates_center:
            spectrum, squares = self._spectrum(self._marginal(F))
            freedom = freedom - len(spectrum.e)
        else:
            squares = self.freedom * self.evaluate(F)[1]
        return freedom >= 1 and squares <= _ROUNDING * self.rows.null + 2 * _TINY

    def evaluate(self, F, *, slopes=None):
        """Return -2 l_R and sigma2 at the covariance ``F F'``, F (d + 1, m).

        With ``slopes`` "all" or "diagonal" also the matrix G (d + 1, d + 1), or its diagonal only:
        a change dL of ``F F'`` changes -2 l_R by tr(G dL).
        """
        marginal = self._marginal(F)
        if self._last.value is None or (slopes and self._last.solution is None):
            self._last = self._evaluated(self._last, with_solution=bool(slopes))
        point = self._last
        if not slopes:
            return point.value, point.sigma2
        root, options = point.solution.root, {"diagonal": slopes == "diagonal"}
        G = self.rows.slopes(marginal, point.e, root, 1.0 / point.sigma2, **options)
        return point.value, point.sigma2, G

    def _evaluated(self, point, *, with_solution):
        """Return a ``_Point`` with the value there and, if that is needed, the center."""
        marginal, alpha_shared, solution, e = point.marginal, self._alpha_shared, None, None
        if self._estimates_center:
            spectrum, flat = self._spectrum(marginal)
            alpha_shared = spectrum.best_shared(flat, self.freedom, self._curvature)
            squares, log_det = spectrum.at(alpha_shared, flat)
        if with_solution or not self._estimates_center:
            solution = self._center.solve(marginal, alpha_shared)
            e, rest = self.rows.residuals(marginal, solution.beta)
        if not self._estimates_center:
            log_det, w = solution.log_det, solution.beta[:-1]
            squares = rest + (alpha_shared * (w @ w) if math.isfinite(alpha_shared) else 0.0)
        sigma2 = self._positive(squares) / self.freedom
        value = self.freedom * (1 + math.log(2 * math.pi * sigma2)) + marginal.log_det + log_det
        return _Point(point.key, marginal, value, sigma2, alpha_shared, solution, e)

    def residual_freedom(self, F):
        """Return the degrees of freedom that the coefficients leave, of an estimated center."""
        e, shared = self._spectrum(self._marginal(F))[0].e, self.alpha_shared(F)
        return self.freedom - float((e / (e + shared)).sum())

    def information(self, F):
        """Return expected second derivatives of -2 l_R in the diagonal of the covariance.

        With a known center, shape (d + 1, d + 1).
        """
        return self.rows.information(self._marginal(F))

    def mean_gram(self, F):
        """Return the mean of ``X_t' V_t^-1 X_t`` over the tasks, (d + 1, d + 1)."""
        return self._marginal(F).gram / self.n_tasks

    def alpha_shared(self, F):
        """Return that of the problem, or the estimate at a covariance."""
        self.evaluate(F)
        return self._last.alpha_shared

    def _spectrum(self, marginal):
        """Return the ``CenterSpectrum`` and the squares of the residuals with a flat center."""
        spectrum, beta = self._center.spectrum(marginal)
        return spectrum, self._positive(self.rows.residuals(marginal, beta)[1])

    def _positive(self, squares):
        return max(squares, _FLOOR * self.rows.null + _TINY)
