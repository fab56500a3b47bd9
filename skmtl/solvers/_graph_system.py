"""Newton steps where tasks are coupled along a graph."""

import numpy as np

from skmtl.arrowhead import Elimination
from skmtl.penalties import Coefficients
from skmtl.solvers._joint import JointSystem


class GraphSystem(JointSystem):
    """Conjugate gradients, preconditioned with the tasks' blocks around a center.

    A star whose links are as strong as all those of a task together takes the place of the graph:
    its ``Elimination`` is exact where all pairs are linked, and takes out the blocks elsewhere.

    Parameters
    ----------
    problem : Problem
        With a `GraphCoupling`.
    """

    def set_up(self, derivative, rtol):
        """Take the curvature at these derivatives; solve to the relative residual ``rtol``."""
        self._derivative, self._rtol = derivative, rtol
        data, loss = self._problem.data, self._problem.loss
        curved = [data]
        if derivative is not None:
            curvature = loss.curvature(derivative)
            curved = [data.curved(h) for h in (curvature if loss.outputs else [curvature])]
        star = self._problem.penalty.star()
        self._eliminations = [Elimination(part, star) for part in curved]

    def _precondition(self, point, G, R):
        gradient, outputs = self._problem.gradient(point, G, R), self._problem.loss.outputs
        V, q = (gradient.V, gradient.q) if outputs else (gradient.V[None], gradient.q[None])
        origin = Coefficients.zeros(*V.shape[1:])
        steps = [e.step(origin, *own) for e, *own in zip(self._eliminations, V, q, strict=True)]
        if outputs:
            return self._balanced(Coefficients(*map(np.array, zip(*steps, strict=True))))
        return self._problem.penalty.project(Coefficients(*map(np.asarray, steps[0])))
