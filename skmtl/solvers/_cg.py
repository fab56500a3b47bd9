"""Matrix-free Newton steps by conjugate gradients."""

import numpy as np

from skmtl.solvers._base import NewtonSolver
from skmtl.solvers._dual_system import DualSystem
from skmtl.solvers._primal_system import PrimalSystem


class ConjugateGradientSolver(NewtonSolver):
    """Compute Newton steps by products of X and vectors.

    The unknowns are all coefficients (``PrimalSystem``), or one number per row (``DualSystem``)
    where these are fewer and the center is fixed or penalized too. Memory is a few
    times that of the coefficients, (T + 1)(d + 1) numbers.
    """

    needs_blocks = False
    advice = (
        "use solver='direct' if memory allows, increase max_iter, scale the features, or penalize "
        "the center too (alpha_shared)"
    )

    def __init__(self, problem, max_iter, tol):
        super().__init__(problem, max_iter, tol)
        self._system = (DualSystem if DualSystem.applies(problem) else PrimalSystem)(problem)

    @classmethod
    def objection(cls, problem):
        """Return why this solver does not support the problem, or None."""
        reason = super().objection(problem)
        if reason is not None:
            return reason
        penalty = problem.penalty
        alpha = penalty.star().alpha if penalty.nesting is None else penalty.alpha
        if (alpha == 0).any():
            return "alpha=0 leaves coefficients unidentified, which requires solver='direct'"
        return None

    @classmethod
    def gains_from_start(cls, problem):
        """Return whether a good start saves work; it has no center where that is not penalized."""
        free = not np.all(problem.penalty.diagonal().w > 0)
        return not free or problem.loss.constant_curvature is None

    def setup(self, evaluation):
        """Store the curvature."""
        self._system.set_up(evaluation.sums.derivative)

    def step(self, coefficients, evaluation):
        """Return the coefficients after a Newton step."""
        before = self.n_iter

        def count():
            self.n_iter += 1

        target = self._system.step(
            coefficients,
            evaluation.sums.G,
            evaluation.sums.R,
            **self._system.accuracy(self.rtol, evaluation),
            maxiter=self.max_iter - before,
            callback=count,
        )
        self.n_iter = max(self.n_iter, before + 1)
        return target
