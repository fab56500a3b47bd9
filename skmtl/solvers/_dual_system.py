"""Newton steps in the space of the rows."""

import numpy as np

from skmtl._optimize import conjugate_gradients
from skmtl.penalties import MeanCoupling


class DualSystem:
    """Solve for one number per row, from which all coefficients follow.

    A Newton step of deviations V and intercepts, with a fixed center, minimizes the quadratic model
    of the objective. Let g be its gradient, D the penalty weights, s the weights of the rows times
    their curvatures and u the step of intercepts without penalty. Then ``gamma = sqrt(s) (X V +
    u)``, the weighted change of the predictions, gives ``V = -(g + X' sqrt(s) gamma) / D`` and, by
    the lemma of Woodbury, is the solution of ``(I + sqrt(s) K sqrt(s)) gamma = sqrt(s) (u - X g /
    D)``, where K is the kernel ``X X' / D``: the eigenvalues are at least 1. The sums of ``sqrt(s)
    gamma`` over the rows with an intercept u in common are minus its gradient; u is what remains
    of the equation.

    From zeros, ``sqrt(s) r`` is added to gamma, where r are the derivatives of the loss over their
    curvatures: as ``g = X' s r``, the right-hand side becomes ``sqrt(s) (u + r)``, which takes no
    product, V is ``-X' sqrt(s) gamma / D``, and the sums are zero.

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
        # The rows that share an intercept without penalty: of a task, or all.
        self._by_task = penalty.alpha_intercept == 0
        self._has_constraint = self._by_task or not penalty.fixed_intercept
        self._intercept = 0.0 if self._by_task else 1.0 / penalty.alpha_intercept

    @staticmethod
    def applies(problem):
        """Return whether only deviations are free, more than the rows, which predict one number."""
        penalty, data = problem.penalty, problem.data
        return (
            data.has_kernel
            and not data.graded
            and problem.loss.n_outputs == 1
            and isinstance(penalty, MeanCoupling)
            and penalty.fixed_center
            and (penalty.alpha > 0).all()
            and data.n_rows < data.n_tasks * data.n_features
        )

    def set_up(self, derivative):
        """Store the curvature at these derivatives, and prepare the preconditioner."""
        data, weight = self._problem.data, self._problem.data.weight
        if derivative is not None:
            weight = data.curved(self._problem.loss.curvature(derivative)[0]).weight
        self._derivative, self._root = derivative, np.sqrt(weight)
        kernel = data.row_norms * self._share[data.codes] + self._intercept
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
        data, root, share = self._problem.data, self._root, self._share[:, None]
        cold = not any(part.any() for part in point)
        if cold:
            derivative, start = self._derivative, None
            if derivative is None:
                derivative = self._problem.loss.evaluate(data.y, np.zeros((1, data.n_rows)))[1]
            right = data.weight * derivative[0] / root
        else:
            V, q, _, c = self._problem.gradient(point, G, R)
            start = self._constrained(q[0] if self._by_task else c[0])
            V *= share
            q *= self._intercept
            right = -root * data.predict(V, q)[0]

        self._u = np.zeros(data.n_tasks if self._by_task else 1)
        gamma, _ = conjugate_gradients(
            self._product, right, self._precondition, start=start, **options
        )
        G, R = data.adjoint((root * gamma)[None])
        G *= share
        R *= self._intercept
        if not cold:
            G += V
            R += q
        np.subtract(point.V, G, out=G)
        np.subtract(point.q, R, out=R)
        if self._by_task:
            R += self._u
        return point._replace(V=G, q=R, c=point.c if self._by_task else point.c + self._u)

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
        product = data.kernel_product(beta, self._share)
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
