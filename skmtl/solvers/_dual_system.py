"""Newton steps in the space of the rows."""

import numpy as np

from skmtl._optimize import conjugate_gradients
from skmtl.penalties import Coefficients


class DualSystem:
    """Solve for one number per row, from which all coefficients follow.

    A Newton step minimizes the quadratic model of the objective. Let X have the rows' features of
    the deviations and of the center, D be the penalty weights of these, v the coefficients and g
    the gradient of the loss in them, s the weights of the rows times their curvatures, and u the
    step of intercepts without penalty. Then ``gamma = sqrt(s) (X dv + u)``, the weighted change of
    the predictions by the step dv, gives the solution ``v + dv = -(g + X' sqrt(s) gamma) / D``
    and, by the lemma of Woodbury, solves ``(I + sqrt(s) K sqrt(s)) gamma = sqrt(s) (u - X (g / D +
    v))``, where K is the kernel ``X D^-1 X'``: the eigenvalues are at least 1. The sums of
    ``sqrt(s) gamma`` over the rows with an intercept u in common are minus its gradient; u is what
    remains of the equation.

    From zeros, ``sqrt(s) r`` is added to gamma, where r are the derivatives of the loss over their
    curvatures: as ``g = X' s r``, the right-hand side becomes ``sqrt(s) (u + r)``, which takes no
    product, the solution is ``-X' sqrt(s) gamma / D``, and the sums are zero.

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
        self._shared = 1.0 / penalty.alpha_shared  # 0 where the center is fixed
        # The rows that share an intercept without penalty: of a task, or all.
        self._by_task = penalty.alpha_intercept == 0
        self._has_constraint = self._by_task or not penalty.fixed_intercept
        self._intercept = 0.0 if self._by_task else 1.0 / penalty.alpha_intercept

    @staticmethod
    def applies(problem):
        """Return whether rows, which predict one number, are fewer than penalized coefficients."""
        penalty, data = problem.penalty, problem.data
        return (
            data.has_kernel
            and not data.graded
            and problem.loss.n_outputs == 1
            and penalty.around_center
            and penalty.isotropic
            and (penalty.alpha > 0).all()
            and penalty.alpha_shared > 0
            # Else weights of the features precondition better. Squared loss takes one step, which
            # is cheaper here in any case.
            and (problem.loss.constant_curvature or penalty.alpha_shared >= penalty.alpha.max())
            and data.n_rows < np.isfinite(penalty.alpha).sum() * data.n_features
        )

    def set_up(self, derivative):
        """Store the curvature at these derivatives, and prepare the preconditioner."""
        data, weight = self._problem.data, self._problem.curved(derivative).weight
        self._derivative, self._root = derivative, np.sqrt(weight)
        kernel = data.row_norms * (self._share + self._shared)[data.codes] + self._intercept
        self._diagonal = 1.0 + weight * kernel
        self._direction = self._root / self._diagonal  # of the constraint, preconditioned
        self._lengths = self._sums(weight)
        self._scaled_lengths = self._sums(self._root * self._direction)

    def accuracy(self, rtol, evaluation):
        """Return norm and size of the residual at which a step reduces the optimality by ``rtol``.

        Of a residual r remains the gradient ``X' sqrt(s) r``. An entry is at most the norm of the
        task's r times the square root of the curvature, and optimality is relative to that of the
        task's residuals.
        """
        data, norms = self._problem.data, self._problem.residual_norms(evaluation.sums)

        def norm(residual):
            return (np.sqrt(data.task_sums(residual**2)) / norms).max()

        return {"atol": rtol * evaluation.optimality, "norm": norm}

    def step(self, point, G, R, **options):
        """Return the coefficients after a step, given the loss gradient at them.

        ``options`` are those of conjugate gradients.
        """
        data, root = self._problem.data, self._root
        start, cold = None, not any(part.any() for part in point)
        if not cold:
            right, start = self._equation(point, G, R)
        elif self._derivative is not None:
            right = data.weight * self._derivative[0] / root
        else:
            zeros = np.zeros((1, data.n_rows))
            right = data.weight * self._problem.loss.evaluate(data.y, zeros)[1][0] / root

        self._u = np.zeros(data.n_tasks if self._by_task else 1)
        gamma, _ = conjugate_gradients(
            self._product, right, self._precondition, start=start, **options
        )
        V, q = data.adjoint((root * gamma)[None])
        if not cold:
            V += G
            q += R
        w = -self._shared * V.sum(axis=1) if self._shared else point.w
        V *= -self._share[:, None]
        fixed = self._share == 0
        V[:, fixed] = point.V[:, fixed]
        if self._by_task:
            return Coefficients(V, point.q + self._u, w, point.c)
        q = -self._intercept * q if self._intercept else point.q
        return Coefficients(V, q, w, point.c + self._u)

    def _equation(self, point, G, R):
        """Return the right-hand side of a step, and the gamma to start from."""
        V, q, w, c = self._problem.gradient(point, G, R)
        start = self._constrained(q[0] if self._by_task else c[0])
        V *= self._share[:, None]
        q *= self._intercept
        if self._shared:
            V += self._shared * w[:, None]
        return -self._root * self._problem.data.predict(V, q)[0], start

    def _constrained(self, gradient):
        """Return gamma with the sums that the gradient of the free intercepts determines."""
        if not self._has_constraint:
            return None
        return -self._root * self._each(gradient / self._lengths)

    def _sums(self, values):
        """Return sums over the rows with an intercept in common: (T,), or a number."""
        return self._problem.data.task_sums(values) if self._by_task else values.sum()

    def _each(self, values):
        return values[self._problem.data.codes] if self._by_task else values

    def _product(self, gamma):
        data, beta = self._problem.data, self._root * gamma
        product = data.kernel_product(beta, self._share, self._shared)
        if self._intercept:
            product += self._intercept * data.task_sums(beta)[data.codes]
        product *= self._root
        product += gamma
        return product

    def _precondition(self, residual):
        """Return the residual divided by the diagonal, with the sums of the constraint zero.

        Before, u takes up what it can of the residual, in place: a large rest that changes nothing
        would cost digits.
        """
        if not self._has_constraint:
            return residual / self._diagonal
        u = self._sums(self._root * residual) / self._lengths
        self._u -= u
        residual -= self._root * self._each(u)
        values = residual / self._diagonal
        share = self._sums(self._root * values) / self._scaled_lengths
        values -= self._direction * self._each(share)
        return values
