"""Newton steps where a row has several predictions."""

import numpy as np
from scipy.sparse.csgraph import connected_components

from skmtl.arrowhead import Elimination
from skmtl.penalties import Coefficients
from skmtl.problem import balanced
from skmtl.solvers._secants import Secants

_ROUNDING = 1e-29  # share of the largest squared residual that is rounding error
_DIVERGED = 1e8  # growth of the squared residual after its minimum
_FIRST_RTOL = 0.1  # of the first Newton step after others
_WORTH_SECANTS = 2**20  # multiplications of a product with X: a millisecond, as an evaluation takes


class JointSystem:
    """Steps for all classes, preconditioned by one elimination per class.

    The curvature diag(p) - pp' of the softmax couples the classes of a row. Its diagonal gives K
    independent systems, each an ``Elimination``, that precondition the whole one. Adding the same
    to all classes changes no probability: steps sum to zero over the classes, which keeps
    conjugate gradients out of the null space of the loss. Where classes are rows of the
    coefficients (``MixedLoss``), coupled to other tasks, there is one elimination, and only what
    has no penalty sums to zero.

    Far from the solution, where a Newton step is not worth solving for, the preconditioner and the
    changes of the gradient along the last steps give the next one (``Secants``).

    Parameters
    ----------
    problem : Problem
        Of a loss that is not ``separable``.
    """

    _MAX_ITER = 500

    def __init__(self, problem):
        self._problem = problem
        self._eliminations = self._centering = None  # one per class, of this or an earlier step
        self._n_iter = 0  # of the last step
        self._secants = None  # or corrections of the preconditioner, in place of Newton steps
        self._age, self._n_factored = 0, 0  # steps since the blocks were factored, and how often
        self._largest = 0.0  # of the squared preconditioned residuals
        self._present, self._components = problem.data.present, None
        if self._present is not None:
            of_nodes = problem.penalty.of_nodes(self._present[..., None], self._present)[1]
            self._present = of_nodes > 0
            linked = self._present.astype(float) @ self._present.T
            self._components = connected_components(linked, directed=False)[1]

    def set_up(self, derivative, rtol):
        """Store the curvature at these derivatives, and the relative residual ``rtol`` of steps."""
        self._derivative, self._rtol = derivative, rtol
        data = self._problem.data
        if self._eliminations is None and _is_large(self._problem):
            self._secants = Secants(self._problem)
        # Factoring the blocks costs about d / 8 iterations: while a step takes fewer, keep the
        # preconditioner of an older curvature, but for that of the start, which is far off.
        cost, self._age = data.n_features / 8, self._age + 1
        early = self._secants and self._n_factored == 1 and self._age > max(4, cost / 2)
        if self._eliminations is not None and not early and self._n_iter <= 1 + cost:
            return
        self._age, self._n_factored = 0, self._n_factored + 1
        if self._secants:
            self._secants.restart()
        curvature = self._problem.loss.curvature(data.y, derivative)
        repeats = 1
        if len(curvature) > 1 and np.allclose(curvature, curvature[0], rtol=1e-12, atol=0):
            curvature, repeats = curvature[:1], len(curvature)
        curved, penalty = [data.curved(h) for h in curvature], self._problem.penalty
        distinct = [Elimination(part, penalty) for part in curved]
        if distinct[0].separate and not (penalty.around_center and penalty.fixed_center):
            # Centers that are computed from the tasks come last: their null space would add up in
            # conjugate gradients.
            self._centering = distinct * repeats
            distinct = [Elimination(part, penalty, vanishing=0.0) for part in curved]
        self._eliminations = distinct * repeats

    def step(self, point, G, R):
        """Return the coefficients after a step, given the loss gradient at them."""
        ahead = None
        if self._secants and self._centering is None:
            ahead = self._secants.step(point, G, R, self._precondition)
        if ahead is not None:
            return point.plus(ahead)
        if self._secants:  # whose reductions say nothing of the accuracy of a Newton step
            self._secants, self._rtol = None, max(self._rtol, _FIRST_RTOL)
        return self._solve(point, G, R)

    def _solve(self, point, G, R):
        """Return the coefficients after a Newton step, by conjugate gradients."""
        problem = self._problem
        gradient = problem.gradient(point, G, R)
        ahead = self._precondition(point, G, R)
        direction, size = ahead, -gradient.dot(ahead)
        # Below the rounding errors of the first step's gradient, directions are arbitrary and grow.
        self._largest = max(self._largest, size)
        goal = max(self._rtol**2 * size, _ROUNDING * self._largest)
        best, smallest, self._n_iter = (point, G, R), size, 0
        while size > goal and self._n_iter < self._MAX_ITER:
            self._n_iter += 1
            flat = problem.penalty.flatten(direction)
            product = problem.data.curvature_product(
                problem.loss, self._derivative, flat.W, flat.intercept
            )
            curvature = direction.dot(problem.gradient(direction, *product))
            if not curvature > 0:  # rounding, in the null space
                break
            length = size / curvature
            point = point.plus(direction.times(length))
            G, R = G + length * product[0], R + length * product[1]
            ahead = self._precondition(point, G, R)
            last, size = size, -problem.gradient(point, G, R).dot(ahead)
            if size < smallest:
                best, smallest = (point, G, R), size
            elif size > _DIVERGED * smallest:
                point, G, R = best
                break
            direction = ahead.plus(direction.times(size / last))
        if self._centering is not None:
            point = point.plus(self._apart(self._centering, point, G, R))
        return point

    def _precondition(self, point, G, R):
        return self._apart(self._eliminations, point, G, R)

    def _apart(self, eliminations, point, G, R):
        """Return the steps of the eliminations, one class at a time."""
        steps = [
            elimination.step(point.of_output(k), G[k], R[k])
            for k, elimination in enumerate(eliminations)
        ]
        return self._balanced(point.step_to(Coefficients.stack(steps)))

    def _balanced(self, step):
        """Return the step minus its mean over the classes of a task, or of the center."""
        if len(step.V) == 1:
            return balanced(step, self._problem.loss, self._problem.penalty)
        if self._present is None:
            return Coefficients(*(part - part.mean(axis=0) for part in step))
        V, q, w, c = (part.copy() for part in step)
        share = self._present / self._present.sum(axis=0)
        V -= self._present[..., None] * np.einsum("kt,ktj->tj", share, V)
        q -= self._present * (share * q).sum(axis=0)
        for component in range(self._components.max() + 1):
            classes = self._components == component
            w[classes] -= w[classes].mean(axis=0)
            c[classes] -= c[classes].mean()
        return Coefficients(V, q, w, c)


def _is_large(problem):
    """Return whether a product with X takes longer than the steps around it."""
    data = problem.data
    return problem.loss.n_outputs * data.block_sizes.sum() * data.n_features > _WORTH_SECANTS
