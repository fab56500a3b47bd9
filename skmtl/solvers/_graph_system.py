"""Newton steps where tasks are coupled along a graph."""

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
        data, curved = self._problem.data, [self._problem.data]
        if derivative is not None:
            curved = [data.curved(h) for h in self._problem.loss.curvature(data.y, derivative)]
        star = self._problem.penalty.star()
        self._eliminations = [Elimination(part, star, outside=True) for part in curved]

    @property
    def elimination(self):
        """That of the first prediction of a row."""
        return self._eliminations[0]

    def _precondition(self, point, G, R):
        V, q, _, _ = self._problem.gradient(point, G, R)
        origin = Coefficients.zeros(*V.shape[1:]).of_output(0)
        steps = [e.step(origin, *own) for e, *own in zip(self._eliminations, V, q, strict=True)]
        ahead = Coefficients.stack(steps)
        if len(V) == 1:
            ahead = self._problem.penalty.project(ahead)
        return ahead if self._problem.loss.separable else self._balanced(ahead)
