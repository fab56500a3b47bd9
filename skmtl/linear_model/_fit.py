"""A solution with its problem."""

from typing import NamedTuple

from skmtl.penalties import Coefficients
from skmtl.problem import Problem
from skmtl.solvers import NewtonSolver, Solution


class Fit(NamedTuple):
    """Store the solution of a problem, with the rows and their task weights."""

    rows: NamedTuple
    problem: Problem
    offset: float
    solver: NewtonSolver
    solution: Solution
    penalty_weights: tuple | None = None  # estimated for "auto"

    def moved_to(self, center):
        """Return the coefficients of the same predictions for features centered at ``center``."""
        V, q, w, c = self.solution.coefficients
        shift = center - self.problem.data.center
        if not shift.any():
            return self.solution.coefficients
        moved = Coefficients(V, q + V @ shift, w, c + w @ shift)
        return self.problem.penalty.project(moved)

    def evaluation(self):
        """Return the ``Evaluation`` of the solution by the problem, not by the solver."""
        return self.problem.evaluate(self.solution.coefficients, self.solution.split)

    def null_losses(self):
        """Return the weighted loss of each task (T,) at zero coefficients."""
        zeros = self.solution.coefficients.times(0.0)
        return self.problem.data.loss_sums(self.problem.loss, zeros.V, zeros.q).value
