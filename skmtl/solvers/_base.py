"""The loop that all Newton-type solvers share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from skmtl.penalties import Coefficients, Split

_MIN_STEP = 1e-10  # share of a step below which it leads nowhere
_FAR = 0.01  # optimality above which steps may be prolonged
# Growth of coefficients by a last step, far above that of a solution that is finite.
_RUNAWAY = 1e-3
_EXTEND = 0.3  # share of the slope left behind a step that makes it worth a longer one


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
    split : Split or None
        How the penalty sees the coefficients, where it has been split from the loss.
    stopped : bool
        Whether the solver stopped because it was asked to.
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
    rtol : float
        Relative residual to which the next step is solved, where it is not exact.
    """

    advice = "scale the features, or raise alpha or tol"
    watch = None  # called before a step, returns what is called after it and may ask to stop

    def __init__(self, problem, max_iter, tol):
        self.problem, self.max_iter, self.tol = problem, max_iter, tol
        self.n_iter = 0
        self._quadratic = problem.loss.constant_curvature is not None

    @classmethod
    def objection(cls, problem):
        """Return why this solver cannot take the problem, or None."""
        if not problem.penalty.quadratic:
            return "it takes the couplings of the other models only"
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
            target = problem.penalty.settle(target, problem.data.present)
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
        """Return whether an evaluation is a reason to go on.

        The unit of the gradient, the residuals, may shrink as fast as it does: then the objective
        tells. What is left to a quadratic problem after its first step is rounding; elsewhere small
        tasks may be on their way while large ones fill the objective.
        """
        least = 0.5 if self._quadratic else 1e-12
        return (
            evaluation.optimality < best.optimality
            or evaluation.objective < (1 - least) * best.objective
        )

    def _exhausted(self, evaluation):
        """Return whether the objective, which is at least zero, is next to it."""
        nothing = 1e-14 * self.problem.data.totals.sum()
        return not self._quadratic and evaluation.objective <= nothing

    def _forcing(self, history):
        """Return how exactly the next step is worth solving for, as a relative residual."""
        optimality = history[-1]["optimality"]
        if self._quadratic:
            return min(0.1, 0.1 * self.tol / optimality)
        # Eisenstat and Walker (1996), choice 2: as much better as the last step was; after a step
        # that was none, better than that one.
        shrunk = 0.1
        if len(history) > 1:
            ratio = optimality / history[-2]["optimality"]
            shrunk = ratio**2 if ratio < 1 else 0.1 * self.rtol
        return min(0.1, max(shrunk, 1e-2 * self.tol / optimality))

    def _search(self, start, evaluation, target):
        """Return the point, and its evaluation, to go to on the line from start to target."""
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
            # Losses flatten on the way: go on to where the slope would vanish if it fell evenly.
            # Near the solution, what has converged would overshoot for what has not.
            farther = start.plus(whole.times(min(1 / (1 - left), 2.0)))
            beyond = self.problem.evaluate(farther)
            if beyond.objective < result.objective:
                return farther, beyond
        return point, result


def check_finite(evaluation):
    """Refuse a start without an objective."""
    if not np.isfinite(evaluation.objective):
        raise ValueError(
            f"The objective is {evaluation.objective} before the first step: values of y, X "
            "or the weights are too large for their squares. Scale them."
        )


def runs_away(solution, max_iter, tol):
    """Return in which tasks the coefficients were still growing when a solver stopped, (T,)."""
    n_tasks = solution.coefficients.W.shape[-2]
    if solution.last_step is None or solution.n_iter >= max_iter:
        return np.zeros(n_tasks, dtype=bool)
    if solution.exhausted:
        return np.ones(n_tasks, dtype=bool)
    # The last step of a Newton method squares the residual of the one before.
    return _growth(solution) > max(_RUNAWAY, 3 * np.sqrt(tol))


def _growth(solution):
    """Return by what share the last step made the coefficients of each task larger, (T,)."""
    W, step = (
        np.square(part.W).sum(axis=-1) for part in (solution.coefficients, solution.last_step)
    )
    if W.ndim == 2:
        W, step = W.sum(axis=0), step.sum(axis=0)
    return np.sqrt(np.divide(step, W, out=np.zeros_like(W), where=W > 0))
