"""Newton steps in the space of the rows."""

import numpy as np

from skmtl._optimize import conjugate_gradients
from skmtl.penalties import Coefficients, MeanCoupling


class DualSystem:
    """Solve for one number per row, from which all coefficients follow.

    Minimizes a squared loss and a penalty of deviations alone, with a fixed center. With the
    weighted residuals beta these are ``V_t = sum_i beta_i x_i / alpha_t`` and ``q_t = sum_i beta_i
    / alpha_intercept`` over the rows of task t; the beta of an intercept without penalty sum to
    zero. With ``gamma = beta / sqrt(s)``, s the weights, this is ``(I + sqrt(s) K sqrt(s)) gamma =
    sqrt(s) y``, K the kernel of the rows of each task: its eigenvalues are at least 1.

    Parameters
    ----------
    problem : Problem

    References
    ----------
    T. Evgeniou, C. Micchelli, M. Pontil (2005). Learning multiple tasks with kernel methods.
    JMLR 6.
    """

    def __init__(self, problem):
        self._problem, penalty = problem, problem.penalty
        self._share = 1.0 / penalty.alpha
        self._gamma = None
        # The rows that share an intercept without penalty: of a task, or all.
        self._by_task = penalty.alpha_intercept == 0
        self._has_constraint = self._by_task or not penalty.fixed_intercept
        self._intercept = 0.0 if self._by_task else 1.0 / penalty.alpha_intercept

    @staticmethod
    def applies(problem):
        """Return whether the loss is squared, and only deviations are free, more than the rows."""
        penalty, data = problem.penalty, problem.data
        return (
            data.has_kernel
            and isinstance(penalty, MeanCoupling)
            and problem.loss.constant_curvature is not None
            and penalty.fixed_center
            and (penalty.alpha > 0).all()
            and data.n_rows < data.n_tasks * data.n_features
        )

    def set_up(self, derivative):
        """Prepare the preconditioner; ``derivative`` is None, as of a squared loss."""
        data = self._problem.data
        self._root = np.sqrt(data.weight)
        kernel = data.row_norms * self._share[data.codes] + self._intercept
        self._diagonal = 1.0 + data.weight * kernel
        self._direction = self._root / self._diagonal  # of the constraint, preconditioned
        self._lengths = self._sums(data.weight)
        self._scaled_lengths = self._sums(self._root * self._direction)

    def step(self, point, gradient, **options):
        """Return the coefficients after a Newton step; ``options`` of conjugate gradients.

        Of the point only the fixed parts matter; later steps go on where the last one ended.
        """
        data, target, start = self._problem.data, self._problem.data.y, self._gamma
        w, c = point.w, point.c * self._problem.penalty.fixed_intercept
        if w.any() or c.any():
            W, intercept = np.repeat(w[:, None], data.n_tasks, 1), np.full((1, data.n_tasks), c)
            target = target - data.predict(W, intercept)[0]
        right = self._root * target
        residual = self._projected(right)
        if start is not None:
            residual = residual - self._product(start)

        gamma, _ = conjugate_gradients(
            self._product,
            residual,
            self._precondition,
            **options,
        )
        self._gamma = gamma = gamma if start is None else start + gamma
        return self._coefficients(gamma, right, w, c)

    def _coefficients(self, gamma, right, w, c):
        G, R = self._problem.data.adjoint((self._root * gamma)[None])
        G *= self._share[:, None]
        q = self._intercept * R
        if self._has_constraint:
            rest = self._sums(self._root * (right - self._full_product(gamma))) / self._lengths
            q, c = (q + rest, c) if self._by_task else (q, c + rest)
        return Coefficients(G, q, w, c)

    def _sums(self, values):
        """Return sums over the rows with an intercept in common: (T,), or a number."""
        data = self._problem.data
        return np.add.reduceat(values, data.indptr[:-1]) if self._by_task else values.sum()

    def _each(self, values):
        return values[self._problem.data.codes] if self._by_task else values

    def _full_product(self, gamma):
        data, beta = self._problem.data, self._root * gamma
        product = data.kernel_product(beta, self._share)
        if self._intercept:
            sums = np.add.reduceat(beta, data.indptr[:-1])
            product += self._intercept * sums[data.codes]
        return gamma + self._root * product

    def _product(self, gamma):
        return self._projected(self._full_product(gamma))

    def _projected(self, values):
        """Return values orthogonal to the constraints."""
        if not self._has_constraint:
            return values
        return values - self._root * self._each(self._sums(self._root * values) / self._lengths)

    def _precondition(self, residual):
        values = residual / self._diagonal
        if not self._has_constraint:
            return values
        share = self._sums(self._root * values) / self._scaled_lengths
        return values - self._direction * self._each(share)
