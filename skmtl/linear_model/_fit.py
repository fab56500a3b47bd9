"""One solution, with what it is a solution of."""

from typing import NamedTuple

from skmtl.penalties import Coefficients
from skmtl.problem import Problem
from skmtl.solvers import NewtonSolver, Solution


class Fit(NamedTuple):
    """One solution of the rows with given task weights, which are those of ``rows``."""

    rows: NamedTuple
    problem: Problem
    offset: float
    solver: NewtonSolver
    solution: Solution
    strengths: tuple | None = None  # those that the data told

    def moved_to(self, center):
        """Return the coefficients of the same predictions where the features are centered there."""
        V, q, w, c = self.solution.coefficients
        shift = center - self.problem.data.center
        if not shift.any():
            return self.solution.coefficients
        moved = Coefficients(V, q + V @ shift, w, c + w @ shift)
        return self.problem.penalty.project(moved)

    def evaluation(self):
        """Return the ``Evaluation`` of the solution, by the problem and not by the solver."""
        return self.problem.evaluate(self.solution.coefficients, self.solution.split)

    def null_losses(self):
        """Return the weighted loss of each task (T,) where all coefficients are zero."""
        zeros = self.solution.coefficients.times(0.0)
        return self.problem.data.loss_sums(self.problem.loss, zeros.V, zeros.q).value
