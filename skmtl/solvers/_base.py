"""The loop that all Newton-type solvers share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from skmtl.penalties import Coefficients, MeanCoupling


@dataclass(frozen=True)
class Solution:
    """Where a solver stopped, and why.

    Attributes
    ----------
    coefficients : Coefficients
    objective, optimality : float
        The problem's own figures at these coefficients.
    n_iter : int
        Newton steps, or iterations of the inner solver where there is one.
    converged : bool
        Whether ``optimality`` is at most the tolerance.
    history : list of dict
        One entry per evaluation: n_iter, objective, optimality.
    """

    coefficients: Coefficients
    objective: float
    optimality: float
    n_iter: int
    converged: bool
    history: list[dict]


class NewtonSolver(ABC):
    """Newton steps until the problem certifies the solution.

    For a quadratic problem the first step is the solution and any further one is iterative
    refinement. A subclass sets up its linear system once and solves it in ``step``.

    Parameters
    ----------
    problem : Problem
    max_iter : int
    tol : float
        Relative KKT residual at which to stop.

    Attributes
    ----------
    gains_from_start : bool
        Whether a good start saves work.
    advice : str
        What to try where the solver did not converge.
    """

    gains_from_start = False
    advice = "scale the features, or raise alpha or tol"

    def __init__(self, problem, max_iter, tol):
        self.problem, self.max_iter, self.tol = problem, max_iter, tol
        self.n_iter = 0

    @classmethod
    def objection(cls, problem):
        """Return why this solver cannot take the problem, or None."""
        if not isinstance(problem.penalty, MeanCoupling):
            return "it takes quadratic couplings only"
        if problem.loss.constant_curvature is None:
            return "it takes the squared loss only"
        return None

    @abstractmethod
    def setup(self):
        """Prepare the linear system."""

    @abstractmethod
    def step(self, coefficients, evaluation):
        """Return the coefficients after a Newton step, and add its cost to ``n_iter``."""

    def solve(self, start):
        """Return the ``Solution`` reached from ``start``."""
        best, history, stalled = None, [], 0
        coefficients, evaluation = start, self.problem.evaluate(start)
        if not np.isfinite(evaluation.objective):
            raise ValueError(
                f"The objective is {evaluation.objective} before the first step: values of y, X "
                "or the weights are too large for their squares. Scale them."
            )
        while True:
            history.append(
                {
                    "n_iter": self.n_iter,
                    "objective": evaluation.objective,
                    "optimality": evaluation.optimality,
                }
            )
            # Residuals may shrink as fast as the gradient that is measured by them.
            if (
                best is None
                or evaluation.optimality < best[1].optimality
                or evaluation.objective < 0.5 * best[1].objective
            ):
                stalled = 0
                best = coefficients, evaluation
            else:
                stalled += 1
            converged = best[1].optimality <= self.tol
            if converged or stalled == 2 or self.n_iter >= self.max_iter:
                break
            if self.n_iter == 0:
                self.setup()
            coefficients = self.step(coefficients, evaluation)
            evaluation = self.problem.evaluate(coefficients)
        coefficients, evaluation = best
        return Solution(
            coefficients,
            evaluation.objective,
            evaluation.optimality,
            self.n_iter,
            converged,
            history,
        )
