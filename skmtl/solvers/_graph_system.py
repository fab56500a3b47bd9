"""Newton steps where tasks are coupled along a graph."""

import numpy as np

from skmtl.arrowhead import Elimination
from skmtl.penalties import Coefficients
from skmtl.solvers._joint import JointSystem


class GraphSystem(JointSystem):
    """Solve by conjugate gradients, preconditioned with the tasks' blocks around a center.

    The preconditioner is the ``Elimination`` for a star that replaces the graph, each link of
    which has the summed weight of a task's links: exact for a complete graph, else block-diagonal.

    Parameters
    ----------
    problem : Problem
        With a `GraphCoupling`.
    """

    def set_up(self, derivative, rtol):
        """Store the curvature at these derivatives, and the relative residual ``rtol`` of steps."""
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
