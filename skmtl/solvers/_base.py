"""The loop shared by all Newton-type solvers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from skmtl.penalties import Coefficients, Split

_MIN_STEP = 1e-10  # smallest share of a step in the line search
_FAR = 0.01  # optimality above which steps may be prolonged
# Relative growth of coefficients in the last step that indicates divergence.
_RUNAWAY = 1e-3
_EXTEND = 0.3  # remaining share of the slope above which a step is prolonged


@dataclass(frozen=True)
class Solution:
    """Where a solver stopped, and why.

    Attributes
    ----------
    coefficients : Coefficients
    objective, optimality : float
        As computed by the problem at these coefficients.
    n_iter : int
        Newton steps, or iterations of the inner solver where there is one.
    converged : bool
        Whether ``optimality`` is at most the tolerance.
    history : list of dict
        One entry per step: n_iter, objective, optimality.
    last_step : Coefficients or None
        The last step, if there was one.
    exhausted : bool
        Whether the solver stopped because the objective is zero up to rounding.
    split : Split or None
        Parts, copies and subgradients of the penalty, from solvers that split it.
    stopped : bool
        Whether a callback stopped the solver.
    """

    coefficients: Coefficients
    objective: float
    optimality: float
    n_iter: int
    converged: bool
    history: list[dict]
    last_step: Coefficients | None = None
    exhausted: bool = False
    split: Split | None = None
    stopped: bool = False


class NewtonSolver(ABC):
    """Iterate Newton steps until the relative KKT residual is at most ``tol``.

    For a quadratic problem the first step gives the solution and further ones are iterative
    refinement; otherwise a line search follows each step. A subclass sets up its linear system,
    once or for every curvature, and solves it in ``step``.

    Parameters
    ----------
    problem : Problem
    max_iter : int
    tol : float
        Relative KKT residual at which to stop.

    Attributes
    ----------
    advice : str
        What to try if the solver did not converge.
    rtol : float
        Relative residual of the next step's linear system, if solved iteratively.
    """

    advice = "scale the features, or raise alpha or tol"
    watch = None  # called before a step; returns a function called after it, True to stop

    def __init__(self, problem, max_iter, tol):
        self.problem, self.max_iter, self.tol = problem, max_iter, tol
        self.n_iter = 0
        self._quadratic = problem.loss.constant_curvature is not None

    @classmethod
    def objection(cls, problem):
        """Return why this solver does not support the problem, or None."""
        if not problem.penalty.quadratic:
            return "it supports quadratic penalties only"
        return None

    @classmethod
    def gains_from_start(cls, problem):
        """Return whether a good start saves work."""
        return problem.loss.constant_curvature is None

    @abstractmethod
    def setup(self, evaluation):
        """Prepare the linear system, with the curvature at an evaluation."""

    @abstractmethod
    def step(self, coefficients, evaluation):
        """Return the coefficients after a Newton step, and add its cost to ``n_iter``."""

    def solve(self, start, split=None):
        """Return the ``Solution`` reached from ``start``; quadratic penalties need no ``split``."""
        problem, best, history, stalled, before = self.problem, None, [], 0, None
        stopped = False
        coefficients, evaluation = start, problem.evaluate(start)
        check_finite(evaluation)
        while True:
            history.append(
                {
                    "n_iter": self.n_iter,
                    "objective": evaluation.objective,
                    "optimality": evaluation.optimality,
                }
            )
            if best is None or self._progress(evaluation, best[1]):
                stalled, best = 0, (coefficients, evaluation)
            else:
                stalled += 1
            converged = best[1].optimality <= self.tol
            exhausted = self._exhausted(evaluation)
            if converged or exhausted or stopped or stalled == 2 or self.n_iter >= self.max_iter:
                break
            done = self.watch() if self.watch else None
            self.rtol = self._forcing(history)
            if before is None or not self._quadratic:
                self.setup(evaluation)
            target, before = self.step(coefficients, evaluation), coefficients
            target = problem.penalty.canonicalize(target, problem.data.present)
            if self._quadratic:
                coefficients, evaluation = target, problem.evaluate(target)
            else:
                coefficients, evaluation = self._search(coefficients, evaluation, target)
            stopped = done is not None and done(coefficients, evaluation)
        last_step = None if before is None else coefficients.plus(before.times(-1.0))
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
            stopped=stopped,
        )

    def _progress(self, evaluation, best):
        """Return whether an evaluation improves on the best one.

        The residuals that scale the gradient may shrink as fast as the gradient: then the objective
        decides. For a quadratic problem small decreases after the first step are rounding;
        otherwise they may come from small tasks whose share in the objective is small.
        """
        least = 0.5 if self._quadratic else 1e-12
        return (
            evaluation.optimality < best.optimality
            or evaluation.objective < (1 - least) * best.objective
        )

    def _exhausted(self, evaluation):
        """Return whether the objective is zero up to rounding."""
        nothing = 1e-14 * self.problem.data.totals.sum()
        return not self._quadratic and evaluation.objective <= nothing

    def _forcing(self, history):
        """Return the relative residual to which to solve the next step."""
        optimality = history[-1]["optimality"]
        if self._quadratic:
            return min(0.1, 0.1 * self.tol / optimality)
        # Eisenstat and Walker (1996), choice 2: the squared reduction of the last step; after a
        # step without reduction, a tenth of the last tolerance.
        shrunk = 0.1
        if len(history) > 1:
            ratio = optimality / history[-2]["optimality"]
            shrunk = ratio**2 if ratio < 1 else 0.1 * self.rtol
        return min(0.1, max(shrunk, 1e-2 * self.tol / optimality))

    def _search(self, start, evaluation, target):
        """Return the next point on the line from start to target, and its evaluation."""
        whole = target.plus(start.times(-1.0))
        slope = evaluation.gradient.dot(whole)
        rounding = 1e-13 * abs(evaluation.objective)
        share, point = 1.0, target
        while share > _MIN_STEP:
            result = self.problem.evaluate(point)
            enough = evaluation.objective + 1e-4 * share * slope + rounding
            if result.objective <= enough:
                break
            share *= 0.5
            point = start.plus(whole.times(share))
        else:
            return start, evaluation
        left = result.gradient.dot(whole) / slope if share == 1 and slope < 0 else 0.0
        if left > _EXTEND and result.optimality > _FAR:
            # The loss flattens along the step: extrapolate to where a linear slope would vanish.
            # Not near the solution, where converged coefficients would overshoot.
            farther = start.plus(whole.times(min(1 / (1 - left), 2.0)))
            beyond = self.problem.evaluate(farther)
            if beyond.objective < result.objective:
                return farther, beyond
        return point, result


def check_finite(evaluation):
    """Raise ValueError if the objective at the start is not finite."""
    if not np.isfinite(evaluation.objective):
        raise ValueError(
            f"The objective is {evaluation.objective} before the first step: values of y, X "
            "or the weights are too large for their squares. Scale them."
        )


def runs_away(solution, max_iter, tol):
    """Return in which tasks the coefficients were still growing when a solver stopped, (T,)."""
    n_tasks = solution.coefficients.V.shape[1]
    if solution.last_step is None or solution.n_iter >= max_iter:
        return np.zeros(n_tasks, dtype=bool)
    if solution.exhausted:
        return np.ones(n_tasks, dtype=bool)
    # Newton's method converges quadratically: near a finite solution the last step is small.
    return _growth(solution) > max(_RUNAWAY, 3 * np.sqrt(tol))


def _growth(solution):
    """Return the norm of each task's last step relative to its coefficients, (T,)."""
    W, step = (
        np.square(part.W).sum(axis=(0, 2)) for part in (solution.coefficients, solution.last_step)
    )
    return np.sqrt(np.divide(step, W, out=np.zeros_like(W), where=W > 0))
