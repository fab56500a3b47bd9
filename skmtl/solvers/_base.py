"""The loop that all Newton-type solvers share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from skmtl.penalties import Coefficients, MeanCoupling

_SHORTEST = 1e-10  # share of a step below which it leads nowhere
_LEFT = 0.2  # share of the slope left behind a step that makes it worth a longer one


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
        One entry per step: n_iter, objective, optimality.
    last_step : Coefficients or None
        What the last step added, where there was one.
    exhausted : bool
        Whether the solver stopped because the objective, which is at least zero, is next to it.
    """

    coefficients: Coefficients
    objective: float
    optimality: float
    n_iter: int
    converged: bool
    history: list[dict]
    last_step: Coefficients | None
    exhausted: bool


class NewtonSolver(ABC):
    """Newton steps until the problem certifies the solution.

    For a quadratic problem the first step is the solution and any further one is iterative
    refinement; for another, a step is shortened until the objective decreases. A subclass sets up
    its linear system, once or for every curvature, and solves it in ``step``.

    Parameters
    ----------
    problem : Problem
    max_iter : int
    tol : float
        Relative KKT residual at which to stop.

    Attributes
    ----------
    advice : str
        What to try where the solver did not converge.
    """

    advice = "scale the features, or raise alpha or tol"

    def __init__(self, problem, max_iter, tol):
        self.problem, self.max_iter, self.tol = problem, max_iter, tol
        self.n_iter = 0
        self._last_optimality = 0.0  # none

    @classmethod
    def objection(cls, problem):
        """Return why this solver cannot take the problem, or None."""
        if not isinstance(problem.penalty, MeanCoupling):
            return "it takes quadratic couplings only"
        return None

    @classmethod
    def gains_from_start(cls, problem):
        """Return whether a good start saves work."""
        return problem.loss.constant_curvature is None

    @abstractmethod
    def setup(self, evaluation):
        """Prepare the linear system, of the curvature at an evaluation."""

    @abstractmethod
    def step(self, coefficients, evaluation):
        """Return the coefficients after a Newton step, and add its cost to ``n_iter``."""

    def solve(self, start):
        """Return the ``Solution`` reached from ``start``."""
        best, history, stalled, last_step = None, [], 0, None
        quadratic = self.problem.loss.constant_curvature is not None
        # Small tasks may be on their way while large ones fill the objective.
        least = 0.5 if quadratic else 1e-12
        nothing = 1e-14 * self.problem.data.totals.sum()
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
            # The unit of the gradient, the residuals, may shrink as fast as it does.
            if (
                best is None
                or evaluation.optimality < best[1].optimality
                or evaluation.objective < (1 - least) * best[1].objective
            ):
                stalled = 0
                best = coefficients, evaluation
            else:
                stalled += 1
            converged = best[1].optimality <= self.tol
            exhausted = not quadratic and evaluation.objective <= nothing
            if converged or exhausted or stalled == 2 or self.n_iter >= self.max_iter:
                break
            if last_step is None or not quadratic:
                self.setup(evaluation)
            target, before = self.step(coefficients, evaluation), coefficients
            target = self.problem.penalty.settle(target, self.problem.data.present)
            if quadratic:
                coefficients, evaluation = target, self.problem.evaluate(target)
            else:
                coefficients, evaluation = self._search(coefficients, evaluation, target)
            last_step = coefficients.plus(before.times(-1.0))
        coefficients, evaluation = best
        return Solution(
            coefficients,
            evaluation.objective,
            evaluation.optimality,
            self.n_iter,
            converged,
            history,
            last_step,
            exhausted,
        )

    def _search(self, start, evaluation, target):
        """Return the point, and its evaluation, to go to on the line from start to target."""
        whole = target.plus(start.times(-1.0))
        slope = evaluation.gradient.dot(whole)
        rounding = 1e-13 * abs(evaluation.objective)
        share, point = 1.0, target
        while share > _SHORTEST:
            result = self.problem.evaluate(point)
            enough = evaluation.objective + 1e-4 * share * slope + rounding
            if result.objective <= enough:
                break
            share *= 0.5
            point = start.plus(whole.times(share))
        else:
            return start, evaluation
        left = result.gradient.dot(whole) / slope if share == 1 and slope < 0 else 0.0
        if left > _LEFT:
            # Losses flatten on the way: go on to where the slope would vanish if it fell evenly.
            farther = start.plus(whole.times(min(1 / (1 - left), 2.0)))
            beyond = self.problem.evaluate(farther)
            if beyond.objective < result.objective:
                return farther, beyond
        return point, result

    def forcing(self, evaluation):
        """Return how exactly a step is worth solving for, as a relative residual."""
        if self.problem.loss.constant_curvature is not None:
            return min(0.1, 0.1 * self.tol / evaluation.optimality)
        # Eisenstat and Walker (1996), choice 2: as much better as the last step was.
        optimality, last = evaluation.optimality, self._last_optimality
        self._last_optimality = optimality
        shrunk = (optimality / last) ** 2 if last else 0.1
        return min(0.1, max(shrunk, 1e-3 * self.tol / optimality))
