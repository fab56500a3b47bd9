"""The alternating direction method of multipliers."""

import numpy as np

from skmtl._optimize import common_axes, floored
from skmtl.penalties import Split
from skmtl.solvers._base import Solution, check_finite
from skmtl.solvers._copies import Copies
from skmtl.solvers._multipliers import Multipliers
from skmtl.solvers._spectral import quadratic_model

_ROUND = 100  # iterations in a round, after which the problem is evaluated
_PATIENCE = 20  # rounds without progress
_SLOW = 500  # remaining iterations above which Newton steps are faster
_NEWTON = 50  # Newton steps in a round
_FIRST = 1e-2  # accuracy of the first round where the model is not the loss
_SHARE = 1e-4  # accuracy over optimality, while the rounds make progress
_DESCENT = 1e-6  # relative decrease of the objective that counts as progress
_ROUNDING = 1e-15  # smallest accuracy
_EXHAUSTED = 1e-12  # residuals below which a lack of progress is rounding


class ADMMSolver:
    """Split the penalty from the loss: a linear system per task, then one prox per term.

    Minimizes a quadratic model m of the loss plus the terms g_ij of the penalty, each on its own
    copy Z_ij of the part P_j of the coefficients, with subgradients U_ij::

        P <- argmin m(sum_j P_j) + sum_ij <U_ij, P_j> + rho/2 ||P_j - Z_ij||^2_M
        Z_ij <- argmin g_ij(Z_ij) - <U_ij, Z_ij> + rho/2 ||P_j - Z_ij||^2_M
        U_ij <- U_ij + rho M (P_j - Z_ij)

    with P over-relaxed. The metric M holds the curvatures of the data, as far as the terms allow,
    so that units of features and sizes of tasks do not matter. rho balances the relative
    residuals, by factors that tend to 1 fast enough for convergence. A quadratic loss is its own
    model; for another, the model is updated in every round, as in Newton's method, with a line
    search.

    Parameters
    ----------
    problem : Problem
    max_iter : int
    tol : float
        Relative KKT residual (``Problem.evaluate``) at which to stop.

    References
    ----------
    S. Boyd, N. Parikh, E. Chu, B. Peleato, J. Eckstein (2011). Distributed optimization and
    statistical learning via the alternating direction method of multipliers. Foundations and
    Trends in Machine Learning 3. https://doi.org/10.1561/2200000016

    B. He, H. Yang, S. Wang (2000). Alternating direction method with self-adaptive penalty
    parameters. JOTA 106. https://doi.org/10.1023/A:1004603514434
    """

    advice = "scale the features, raise max_iter or tol, or use a larger alpha"

    watch = None  # see NewtonSolver

    def __init__(self, problem, max_iter, tol):
        self.problem, self.max_iter, self.tol = problem, max_iter, tol
        self.n_iter, self._by_newton = 0, False
        self._quadratic = problem.loss.constant_curvature is not None
        self._has_intercept = not problem.penalty.fixed_intercept

    @classmethod
    def objection(cls, problem):
        """Return why this solver does not support the problem, or None."""
        return "it supports penalties with a prox only" if problem.penalty.quadratic else None

    @classmethod
    def gains_from_start(cls, problem):
        """Return True: a good start saves iterations."""
        return True

    def solve(self, start, split=None):
        """Return the ``Solution`` reached from ``start`` and, if given, its ``Split``."""
        problem, best, history, stalled, slow = self.problem, None, [], 0, 0
        point, evaluation = start, problem.evaluate(start, split)
        check_finite(evaluation)
        copies, model, accuracy, before, stopped = None, None, None, None, False
        while True:
            entry = {"objective": evaluation.objective, "optimality": evaluation.optimality}
            residuals = copies.report() if copies else {}
            descends = history and not self._quadratic and _descends(history[-1], entry)
            slow = 0 if not history or descends or _halves(history[-1], entry) else slow + 1
            history.append({"n_iter": self.n_iter} | entry | residuals)
            better = best is None or evaluation.optimality < best[1].optimality or descends
            best = (point, evaluation, split) if better else best
            stalled = 0 if better or descends else stalled + 1
            converged = best[1].optimality <= self.tol
            rounding = copies is not None and max(copies.primal, copies.dual) < _EXHAUSTED
            patience = 3 if rounding else _PATIENCE
            if converged or stopped or stalled >= patience or self.n_iter >= self.max_iter:
                break
            done = self.watch() if self.watch else None
            if model is None or not self._quadratic:
                model, metric = self._model(evaluation)
                A, gradient = self._augmented(point), self._joined(*evaluation.sums[2:4])
                linear = model.product(A) - gradient
                copies = copies or self._copies(A, gradient, split)
                copies.set_model(metric, linear)
            accuracy = self._accuracy(evaluation, copies, accuracy, slow)
            self._round(copies, model, linear, accuracy)
            target, before = self._point(copies), point
            if self._quadratic:
                point, split = target
                evaluation = problem.evaluate(point, split)
            else:
                point, split, evaluation = self._search((point, split, evaluation), target)
            stopped = done is not None and done(point, evaluation, split)
        last_step = None if before is None else point.plus(before.times(-1.0))
        point, evaluation, split = self._simplest(*best)
        figures = evaluation.objective, evaluation.optimality, self.n_iter
        converged = evaluation.optimality <= self.tol
        return Solution(
            point, *figures, converged, history, last_step, split=split, stopped=stopped
        )

    def _simplest(self, point, evaluation, split):
        """Return the solution with all norm-penalized parts zero if that is optimal too."""
        penalty = self.problem.penalty
        bare = None if split is None else penalty.bare(split)
        if bare is None:
            return point, evaluation, split
        simple = penalty.coefficients(sum(bare.parts[1:], bare.parts[0]), point.intercept)
        other = self.problem.evaluate(simple, bare)
        worse = other.objective > evaluation.objective + self.tol * abs(evaluation.objective)
        if other.optimality <= max(self.tol, evaluation.optimality) and not worse:
            return simple, other, bare
        return point, evaluation, split

    def _copies(self, A, gradient, split):
        """Return the initial ``Copies``."""
        copies = Copies(self.problem.penalty.terms, A, gradient, self._has_intercept)
        if split:
            for j, part in enumerate(split.copies):
                for i, Z in enumerate(part):
                    copies.Z[j][i] = self._joined(Z, copies.Z[j][i][..., -1])
                    copies.U[j][i] = self._joined(split.duals[j][i], copies.U[j][i][..., -1])
        return copies

    def _round(self, copies, model, linear, accuracy):
        """Iterate until the residuals are at most ``accuracy``, at most one round.

        Newton steps follow if ADMM is predicted to be slow, and in later rounds while they reach
        the accuracy.
        """
        limit = self.max_iter - self.n_iter
        if not self._by_newton:
            self.n_iter += copies.iterate(model, linear, accuracy, min(limit, _ROUND))
            limit = self.max_iter - self.n_iter
        slow = self._by_newton or copies.lacking(accuracy) > _SLOW
        self._by_newton = False
        if slow and limit > 0:
            newton = Multipliers(copies, model, linear)
            self.n_iter += newton.run(accuracy, min(limit, _NEWTON))
            self._by_newton = copies.lacking(accuracy) == 0

    def _model(self, evaluation):
        """Return the quadratic model of the loss, without its linear part, and the metric."""
        problem, derivative = self.problem, evaluation.sums.derivative
        data = problem.data
        if derivative is not None:
            data = data.curved(problem.loss.curvature(derivative).mean(axis=0))
        metric = self._joined(floored(data.square_norms), floored(data.totals[:, None])[:, 0])
        d = data.n_features
        axes = common_axes(term.prox_scaling for part in problem.penalty.terms for term in part)
        if axes:
            metric[:, :d] = metric[:, :d].mean(axis=axes, keepdims=True)
        return quadratic_model(problem, derivative, data, metric), metric

    def _accuracy(self, evaluation, copies, last, slow):
        """Return the relative residual at which to evaluate the problem again."""
        if last is None:
            return self.tol if self._quadratic else _FIRST
        if copies.lacking(last):
            return last
        if self._quadratic or last <= self.tol:
            return max(
                _ROUNDING, last * min(max(0.5 * self.tol / evaluation.optimality, 1e-2), 0.5)
            )
        # Match the convergence of Newton's method; less accurate where that is far or slow.
        far = evaluation.optimality if np.isfinite(evaluation.optimality) else 1.0
        enough = _SHARE * far * 0.1**slow
        return min(last, max(0.1 * last, enough))

    def _joined(self, W, intercept):
        return np.concatenate([W, intercept[..., None]], axis=-1) if self._has_intercept else W

    def _augmented(self, point):
        return self._joined(point.W, point.intercept)

    def _point(self, copies):
        """Return the coefficients, computed from the copies, and their ``Split``."""
        penalty, has_intercept = self.problem.penalty, self._has_intercept
        own = [[Z[..., :-1] if has_intercept else Z for Z in part] for part in copies.Z]
        duals = [[U[..., :-1] if has_intercept else U for U in part] for part in copies.U]
        parts = [part[0] for part in own]
        W = sum(parts[1:], parts[0])
        intercept = copies.Z[0][0][..., -1] if has_intercept else np.zeros(W.shape[:-1])
        point = penalty.coefficients(np.ascontiguousarray(W), intercept)
        return point, Split(parts, own, duals)

    def _search(self, start, target):
        """Return point, split and evaluation on the line from start to target.

        Backtracks by halves until the Armijo condition holds; returns the start if it never does.
        """
        (point, split, evaluation), (end, end_split) = start, target
        problem, penalty = self.problem, self.problem.penalty
        old = split.parts if split else [point.W] + [0.0 * point.W] * (len(end_split.parts) - 1)
        step = end.plus(point.times(-1.0))
        slope = float(
            np.vdot(evaluation.sums.G, step.W) + np.vdot(evaluation.sums.R, step.intercept)
        )
        slope += penalty.value(end, end_split) - penalty.value(point, split)
        rounding = 1e-13 * abs(evaluation.objective)
        share, ahead, parts = 1.0, end, end_split
        while True:
            result = problem.evaluate(ahead, parts)
            if result.objective <= evaluation.objective + 1e-4 * share * slope + rounding:
                return ahead, parts, result
            share *= 0.5
            if share < 1e-10:
                return point, split, evaluation
            mixed = [(1 - share) * a + share * b for a, b in zip(old, end_split.parts, strict=True)]
            copies = [[P] * len(part) for P, part in zip(mixed, end_split.copies, strict=True)]
            parts = end_split._replace(parts=mixed, copies=copies)
            ahead = point.plus(step.times(share))


def _descends(last, entry):
    """Return whether the objective of a history's entry is less than the last one's by a share."""
    return entry["objective"] < last["objective"] * (1.0 - _DESCENT)


def _halves(last, entry):
    """Return whether the optimality of a history's entry is at most half of the last one's."""
    return entry["optimality"] <= 0.5 * last["optimality"]
