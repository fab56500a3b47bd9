"""Newton steps where a row has several predictions."""

from dataclasses import replace

import numpy as np
from scipy.sparse.csgraph import connected_components

from skmtl.arrowhead import Elimination
from skmtl.penalties import Coefficients


class JointSystem:
    """Eliminate the tasks class by class, and tie the classes by conjugate gradients.

    The softmax couples the classes of a row by its curvature diag(p) - pp'. Its diagonal leaves
    K independent systems, each an ``Elimination``; they precondition the whole one. Adding the
    same to all classes changes no probability: steps sum to zero over the classes, which also
    keeps conjugate gradients out of directions that only the penalty sees.

    Parameters
    ----------
    problem : Problem
        Of a loss with K predictions per row.
    """

    _MAX_ITER = 500

    def __init__(self, problem):
        self._problem = problem
        self._eliminations = self._centering = None  # one per class, of a curvature some steps old
        self._n_iter = 0  # of the last step
        self._present, self._components = problem.data.present, None
        if self._present is not None:
            linked = self._present.astype(float) @ self._present.T
            self._components = connected_components(linked, directed=False)[1]

    def set_up(self, derivative, rtol):
        """Take the curvature at these derivatives; solve to the relative residual ``rtol``."""
        self._derivative, self._rtol = derivative, rtol
        data = self._problem.data
        # To factor the blocks anew costs about as much as d / 8 iterations: as long as they are
        # fewer, systems of an older curvature precondition well enough.
        if self._eliminations is not None and self._n_iter <= 1 + data.n_features / 8:
            return
        curvature = self._problem.loss.curvature(derivative)
        if np.allclose(curvature, curvature[0], rtol=1e-12, atol=0):
            curvature = curvature[:1]
        curved, penalty = [data.curved(h) for h in curvature], self._problem.penalty
        distinct = [Elimination(part, penalty) for part in curved]
        repeats = len(derivative) // len(distinct)
        if distinct[0].follows and not penalty.fixed_center:
            # Where the center follows the tasks it is found last: what the data do not see would
            # pile up in conjugate gradients.
            self._centering = distinct * repeats
            fixed_intercept = penalty.fixed_intercept or any(
                part.intercept_follows for part in distinct
            )
            held = replace(penalty, alpha_shared=np.inf, fixed_intercept=fixed_intercept)
            distinct = [Elimination(part, held) for part in curved]
        self._eliminations = distinct * repeats

    def step(self, point, G, R):
        """Return the coefficients after a step, given the loss gradient at them."""
        problem = self._problem
        gradient = problem.gradient(point, G, R)
        ahead = self._precondition(point, G, R)
        direction, size = ahead, -gradient.dot(ahead)
        goal = self._rtol**2 * size
        self._n_iter = 0
        while size > goal and self._n_iter < self._MAX_ITER:
            self._n_iter += 1
            product = problem.data.curvature_product(
                problem.loss, self._derivative, direction.W, direction.intercept
            )
            curvature = direction.dot(problem.gradient(direction, *product))
            if not curvature > 0:  # rounding, in a direction that the data do not see
                break
            length = size / curvature
            point = point.plus(direction.times(length))
            G, R = G + length * product[0], R + length * product[1]
            ahead = self._precondition(point, G, R)
            last, size = size, -problem.gradient(point, G, R).dot(ahead)
            direction = ahead.plus(direction.times(size / last))
        if self._centering is not None:
            point = point.plus(self._apart(self._centering, point, G, R))
        return point

    def _precondition(self, point, G, R):
        return self._apart(self._eliminations, point, G, R)

    def _apart(self, eliminations, point, G, R):
        """Return the step that every class would take by itself."""
        steps = [
            elimination.step(Coefficients(*parts), G_k, R_k)
            for elimination, G_k, R_k, *parts in zip(eliminations, G, R, *point, strict=True)
        ]
        moved = Coefficients(*map(np.array, zip(*steps, strict=True)))
        return self._balanced(moved.plus(point.times(-1.0)))

    def _balanced(self, step):
        """Return the step without what it adds to all classes of a task, or of the center."""
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
