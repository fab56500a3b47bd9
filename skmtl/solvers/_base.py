"""The loop of all solvers, and its Newton steps for quadratic penalties."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from skmtl._memory import strips
from skmtl._optimize import backtrack
from skmtl.penalties import Coefficients, Split
from skmtl.problem import Evaluation

_FAR = 0.01  # optimality above which steps may be prolonged
# Relative growth of coefficients in the last step that indicates divergence.
_RUNAWAY = 1e-3
_CLOSE = 10.0  # norms over sqrt(tol), relative to the objective, above which zeros are not optimal
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
    last_step : tuple of Coefficients, or None
        Those after and before the last step, if there was one.
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
    last_step: tuple[Coefficients, Coefficients] | None = None
    exhausted: bool = False
    split: Split | None = None
    stopped: bool = False


class Iterate(NamedTuple):
    """Where a solver is; ``split`` is None for penalties that are not split."""

    coefficients: Coefficients
    evaluation: Evaluation
    split: Split | None = None

    def without_sums(self):
        """Return the same without the sums of the loss."""
        return self._replace(evaluation=self.evaluation._replace(sums=None))


class Solver(ABC):
    """Iterate until the relative KKT residual (``Problem.evaluate``) is at most ``tol``.

    A subclass computes, by ``advance``, the solution of a quadratic model. That is the next iterate
    for a quadratic loss; otherwise a line search follows.

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
    needs_blocks : bool
        Whether it forms matrices for each task, which sparse X with many features avoid.
    watch : callable or None
        Called before a step; returns a function called after it, which returns True to stop.
    elimination : Elimination or None
        That of the last step, where one solves or preconditions it.
    """

    advice: str
    needs_blocks = True
    watch = None
    elimination = None

    def __init__(self, problem, max_iter, tol):
        self.problem, self.max_iter, self.tol = problem, max_iter, tol
        self.n_iter = 0
        self._quadratic = problem.loss.constant_curvature is not None

    @classmethod
    @abstractmethod
    def objection(cls, problem):
        """Return why this solver does not support the problem, or None."""

    @classmethod
    def is_preferred(cls, problem):
        """Return whether "auto" is to try it before others."""
        return problem.data.expensive_blocks and not cls.needs_blocks

    @classmethod
    def gains_from_start(cls, problem):
        """Return whether a good start saves work."""
        return True

    @abstractmethod
    def advance(self, at, history):
        """Return coefficients and ``Split`` after a step from an iterate; count in ``n_iter``.

        ``history`` has the entries of all iterates, this one's last.
        """

    @abstractmethod
    def _improves(self, history, best):
        """Return whether the last entry of a history improves on the best ``Evaluation``."""

    def solve(self, start, split=None):
        """Return the ``Solution`` reached from ``start`` and, if given, its ``Split``."""
        at, history, best, stalled = self._evaluated(start, split), [], None, 0
        last_step, stopped = None, False
        check_finite(at.evaluation.objective)
        while True:
            history.append(self._entry(at.evaluation))
            if best is None or self._improves(history, best.evaluation):
                # without the sums of the loss, which take as much memory as the coefficients
                best, stalled = at.without_sums(), 0
            else:
                stalled += 1
            exhausted = self._exhausted(at.evaluation)
            finished = best.evaluation.optimality <= self.tol or exhausted or stopped
            if finished or stalled >= self._patience() or self.n_iter >= self.max_iter:
                break
            done = self.watch() if self.watch else None
            last_step = target = before = None  # each as large as the coefficients
            target, before = self.advance(at, history), at.coefficients
            if self._quadratic:
                at = None  # its sums are not needed while those at the target are computed
                at = self._evaluated(*target)
            else:
                slope = self._slope(at, *target)
                at = at.without_sums()
                at = self._search(at, slope, *target)
            last_step = at.coefficients, before
            stopped = done is not None and done(*at)
        coefficients, evaluation, split = self._simplest(best)
        return Solution(
            coefficients,
            evaluation.objective,
            evaluation.optimality,
            self.n_iter,
            evaluation.optimality <= self.tol,
            history,
            last_step,
            exhausted,
            split,
            stopped,
        )

    def _evaluated(self, coefficients, split=None):
        return Iterate(coefficients, self.problem.evaluate(coefficients, split), split)

    def _entry(self, evaluation):
        """Return the history's entry of an iterate."""
        return {
            "n_iter": self.n_iter,
            "objective": evaluation.objective,
            "optimality": evaluation.optimality,
        }

    def _exhausted(self, evaluation):
        """Return whether the objective is zero up to rounding."""
        return False

    def _patience(self):
        """Return the number of steps without progress after which to stop."""
        return 2

    def _simplest(self, best):
        """Return the solution with all norm-penalized parts zero if that is optimal too."""
        penalty, split = self.problem.penalty, best.split
        bare = None if split is None else penalty.bare(split)
        if bare is None:
            return best
        W = sum(bare.parts[1:], bare.parts[0])
        point, evaluation = penalty.coefficients(W, best.coefficients.intercept), best.evaluation
        norms = penalty.value(best.coefficients, split) - penalty.value(point, bare)
        if norms > _CLOSE * np.sqrt(self.tol) * abs(evaluation.objective):
            return best  # the loss has more than that to lose, in the square
        simple = self._evaluated(point, bare)
        other = simple.evaluation
        worse = other.objective > evaluation.objective + self.tol * abs(evaluation.objective)
        good = other.optimality <= max(self.tol, evaluation.optimality) and not worse
        return simple if good else best

    def _search(self, at, slope, point, split):
        """Return the next iterate on the line to a point, by backtracking; ``at`` if none.

        ``slope`` is that of the objective at ``at``, whose sums are not needed.
        """
        start, found = at.coefficients, None
        parts = split and (at.split or self.problem.penalty.split(start.W)).parts

        def objective(share):
            nonlocal found
            ahead, own = point, split
            if share < 1:
                ahead = start.toward(point, share)
                own = split and split.between(parts, share)
            found = None  # its sums are not needed while others are computed
            found = self._evaluated(ahead, own)
            return found.evaluation.objective

        share = backtrack(objective, at.evaluation.objective, slope)
        if share == 0:
            return self._evaluated(start, at.split)
        return self._extended(at, slope, found) if share == 1 else found

    def _slope(self, at, point, split):
        """Return the slope of the loss along the step to a point, plus the change of the penalty.

        The penalty is convex: its slope is at most that.
        """
        sums, penalty = at.evaluation.sums, self.problem.penalty
        step = at.coefficients.step_to(point)
        slope = float(np.vdot(sums.G, step.W) + np.vdot(sums.R, step.intercept))
        return slope + penalty.value(point, split) - penalty.value(at.coefficients, at.split)

    def _extended(self, at, slope, found):
        """Return the iterate to continue with after a whole step to ``found``."""
        return found


class NewtonSolver(Solver):
    """Newton steps for quadratic penalties.

    For a quadratic loss the first step gives the solution and further ones are iterative
    refinement. A subclass sets up its linear system, once or for every curvature, in ``setup``, and
    solves it in ``step``, to the relative residual ``rtol`` if iteratively. Parameters and
    attributes are those of ``Solver``.
    """

    advice = "scale the features, or raise alpha or tol"

    @classmethod
    def objection(cls, problem):
        """Return why this solver does not support the problem, or None."""
        if not problem.penalty.quadratic:
            return "it supports quadratic penalties only"
        return None

    @abstractmethod
    def setup(self, evaluation):
        """Prepare the linear system, with the curvature at an evaluation."""

    @abstractmethod
    def step(self, coefficients, evaluation):
        """Return the coefficients after a Newton step, and add its cost to ``n_iter``."""

    def advance(self, at, history):
        """Return the coefficients after a Newton step, in canonical form, and no split."""
        self.rtol = self._forcing(history)
        if len(history) == 1 or not self._quadratic:
            self.setup(at.evaluation)
        target = self.step(at.coefficients, at.evaluation)
        return self.problem.canonical(target), None

    def _improves(self, history, best):
        """Return whether the last iterate improves on the best one.

        The residuals that scale the gradient may shrink as fast as the gradient: then the objective
        decides. For a quadratic problem small decreases after the first step are rounding;
        otherwise they may come from small tasks whose share in the objective is small.
        """
        least, last = 0.5 if self._quadratic else 1e-12, history[-1]
        return (
            last["optimality"] < best.optimality or last["objective"] < (1 - least) * best.objective
        )

    def _exhausted(self, evaluation):
        """Return whether the objective is zero up to rounding."""
        if self._quadratic:
            return False
        return evaluation.objective <= 1e-14 * self.problem.data.totals.sum()

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
        return min(0.1, max(shrunk, 0.1 * self.tol / optimality))

    def _slope(self, at, point, split):
        """Return the slope of the objective at an iterate, along the step to a point."""
        return self._slope_along(at, at.coefficients, point)

    def _slope_along(self, at, start, point):
        """Return the slope of the objective at an iterate, along a step; no arrays are formed."""
        sums = at.evaluation.sums
        return self.problem.slope(at.coefficients, sums.G, sums.R, point, start)

    def _extended(self, at, slope, found):
        """Return ``found``, or a point beyond it where the loss flattens along the step.

        Extrapolates to where a linear slope would vanish; not near the solution, where converged
        coefficients would overshoot.
        """
        if found.evaluation.optimality <= _FAR or not slope < 0:
            return found
        start, point = at.coefficients, found.coefficients
        left = self._slope_along(found, start, point) / slope
        if left > _EXTEND:
            beyond = self._evaluated(start.toward(point, min(1 / (1 - left), 2.0)))
            if beyond.evaluation.objective < found.evaluation.objective:
                return beyond
        return found


def check_finite(objective):
    """Raise ValueError if the objective at the start is not finite."""
    if not np.isfinite(objective):
        raise ValueError(
            f"The objective is {objective} before the first step: values of y, X "
            "or the weights are too large for their squares. Scale them."
        )


def runs_away(solution, penalty, max_iter, tol, joint=()):
    """Return in which tasks the coefficients were still growing when a solver stopped, (T,).

    ``joint`` are the rows of the coefficients of the classes of tasks, as those of a ``Loss``.
    """
    at = penalty.flatten(solution.coefficients)
    n_tasks = at.V.shape[1]
    if solution.last_step is None or solution.n_iter >= max_iter:
        return np.zeros(n_tasks, dtype=bool)
    if solution.exhausted:
        return np.ones(n_tasks, dtype=bool)
    # Newton's method converges quadratically: near a finite solution the last step is small.
    after, before = map(penalty.flatten, solution.last_step)
    return _growth(at, after, before, joint) > max(_RUNAWAY, 3 * np.sqrt(tol))


def _growth(at, after, before, joint):
    """Return the norm of each task's last step relative to its coefficients, (T,)."""
    n_tasks, d = at.V.shape[1:]
    step, size = np.empty((2, n_tasks))
    for own in strips(n_tasks, d):
        W, end, start = (part.of_tasks(own) for part in (at, after, before))
        step[own], size[own] = (np.square(part).sum(axis=(0, 2)) for part in (end - start, W))
    for place in joint:
        step[place], size[place] = step[place].sum(axis=0), size[place].sum(axis=0)
    return np.sqrt(np.divide(step, size, out=np.zeros(n_tasks), where=size > 0))
