"""The alternating direction method of multipliers."""

import numpy as np

from skmtl._optimize import common_axes, floored
from skmtl.penalties import Split
from skmtl.solvers._around_center import around_center
from skmtl.solvers._base import Solver
from skmtl.solvers._copies import Copies
from skmtl.solvers._multipliers import Multipliers
from skmtl.solvers._spectral import quadratic_model

_ROUND = 100  # iterations in a round, after which the problem is evaluated
_PATIENCE = 20  # rounds without progress
_SLOW = 500  # remaining iterations above which Newton steps are faster
_NEWTON = 50  # Newton steps in a round; twice as many after a round without an update
_FIRST = 1e-2  # accuracy of the first round where the model is not the loss
_SHARE = 1e-4  # accuracy over optimality, while the rounds make progress
_DESCENT = 1e-6  # relative decrease of the objective that counts as progress
_ROUNDING = 1e-15  # smallest accuracy
_BRIEF = 20  # iterations of a round that costs little: a more accurate one pays
_SOLVED = 0.1  # residual of a model, over optimality before, that needs no more accuracy
_EXHAUSTED = 1e-12  # residuals, and accuracy, below which a lack of progress is rounding


class ADMMSolver(Solver):
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
    search. Where ``around_center`` solves the problem there are no iterations on copies.

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

    def __init__(self, problem, max_iter, tol):
        super().__init__(problem, max_iter, tol)
        self._copies, self._by_newton, self._most = None, False, _NEWTON
        self._has_intercept = not problem.penalty.fixed_intercept

    @classmethod
    def objection(cls, problem):
        """Return why this solver does not support the problem, or None."""
        return "it supports penalties with a prox only" if problem.penalty.quadratic else None

    def advance(self, at, history):
        """Return coefficients and ``Split`` after a round of iterations."""
        if len(history) == 1:
            self._copies = self._accuracy = None
            self._slow = self._tried = self._failed = 0
            self._solved = True
            found, count = around_center(self.problem, at, self.max_iter)
            self.n_iter += count
            if found is not None:
                return found
        elif _halves(history) or (self._solved and self._descends(history)):
            self._slow = 0
        else:
            self._slow += 1
        self._set_model(at)
        self._accuracy = self._next_accuracy(at.evaluation)
        self._round()
        target = self._point()
        self._solved = self._quadratic or self.n_iter - history[-1]["n_iter"] > _BRIEF
        if not self._solved:
            left = self._remaining(at.evaluation.sums, *target)
            self._solved = left <= _SOLVED * at.evaluation.optimality
        return target

    def _remaining(self, sums, point, split):
        """Return the relative KKT residual of the model at a point."""
        G = self._model.product(self._joined(point.W, point.intercept)) - self._linear
        R = np.zeros(point.intercept.shape)
        if self._has_intercept:
            G, R = np.ascontiguousarray(G[..., :-1]), G[..., -1]
        return self.problem.optimality(point, sums._replace(G=G, R=R), split)

    def _entry(self, evaluation):
        """Return the history's entry, with the residuals of the copies."""
        return super()._entry(evaluation) | (self._copies.report() if self._copies else {})

    def _improves(self, history, best):
        return history[-1]["optimality"] < best.optimality or self._descends(history)

    def _descends(self, history):
        """Return whether the objective of a model's loss decreased by a share."""
        last, now = (entry["objective"] for entry in history[-2:])
        return not self._quadratic and now < last * (1.0 - _DESCENT)

    def _patience(self):
        copies = self._copies
        if copies is None or max(copies.primal, copies.dual, self._accuracy) >= _EXHAUSTED:
            return _PATIENCE
        return 3

    def _set_model(self, at):
        """Set the quadratic model of the loss at an iterate, for the copies too.

        Of a quadratic loss only its linear part is new, free of rounding errors of the model.
        """
        if self._copies is None or not self._quadratic:
            self._model, self._metric = self._model_at(at.evaluation)
        A = self._joined(at.coefficients.W, at.coefficients.intercept)
        gradient = self._joined(at.evaluation.sums.G, at.evaluation.sums.R)
        self._linear = self._model.product(A) - gradient
        if self._copies is None:
            self._copies = copies = Copies(
                self.problem.penalty.terms, A, gradient, self._has_intercept
            )
            for j, part in enumerate(at.split.copies if at.split else []):
                for i, Z in enumerate(part):
                    copies.Z[j][i] = self._joined(Z, copies.Z[j][i][..., -1])
                    dual = at.split.duals[j][i]
                    if dual is not None:  # as of solvers that need none
                        copies.U[j][i] = self._joined(dual, copies.U[j][i][..., -1])
        self._copies.set_model(self._metric, self._linear)

    def _round(self):
        """Iterate until the residuals are at most the accuracy, at most one round.

        Newton steps follow if ADMM is slow or predicted to be, and in later rounds while they reach
        the accuracy.
        """
        copies, model, linear, accuracy = self._copies, self._model, self._linear, self._accuracy
        limit = self.max_iter - self.n_iter
        if not self._by_newton:
            self.n_iter += copies.iterate(model, linear, accuracy, min(limit, _ROUND))
            limit = self.max_iter - self.n_iter
        slow = self._by_newton or copies.lacking(accuracy) + self._spent() > _SLOW
        self._by_newton = False
        if slow and limit > 0:
            newton = Multipliers(copies, model, linear)
            before = copies.primal, copies.dual
            self.n_iter += newton.run(accuracy, min(limit, self._most))
            lost = before == (copies.primal, copies.dual)
            self._most = 2 * self._most if lost else _NEWTON
            self._by_newton = copies.lacking(accuracy) == 0
            self._failed = 0 if self._by_newton else self._failed + 1
            self._tried = self.n_iter

    def _spent(self):
        """Return the iterations on all models of a loss since Newton steps were last tried.

        A round is short where its model changes; many of them are slow too. After steps that did
        not reach the accuracy, more iterations come first.
        """
        return 0 if self._quadratic else (self.n_iter - self._tried) / (1 + self._failed)

    def _model_at(self, evaluation):
        """Return the quadratic model of the loss, without its linear part, and the metric."""
        problem, derivative = self.problem, evaluation.sums.derivative
        data = problem.curved(derivative)
        metric = self._joined(floored(data.square_norms), floored(data.totals[:, None])[:, 0])
        d = data.n_features
        axes = common_axes(term.prox_scaling for part in problem.penalty.terms for term in part)
        if axes and d:
            metric[:, :d] = metric[:, :d].mean(axis=axes, keepdims=True)
        return quadratic_model(problem, derivative, metric), metric

    def _next_accuracy(self, evaluation):
        """Return the relative residual at which to evaluate the problem again."""
        last = self._accuracy
        if last is None:
            return self.tol if self._quadratic else _FIRST
        if self._copies.lacking(last):
            return last
        if self._quadratic or last <= self.tol:
            return max(
                _ROUNDING, last * min(max(0.5 * self.tol / evaluation.optimality, 1e-2), 0.5)
            )
        # Match the convergence of Newton's method; less accurate where that is far or slow.
        far = evaluation.optimality if np.isfinite(evaluation.optimality) else 1.0
        enough = _SHARE * far * 0.1**self._slow
        return min(last, max(0.1 * last, enough))

    def _joined(self, W, intercept):
        return np.concatenate([W, intercept[..., None]], axis=-1) if self._has_intercept else W

    def _point(self):
        """Return the coefficients, computed from the copies, and their ``Split``."""
        copies, penalty, has_intercept = self._copies, self.problem.penalty, self._has_intercept
        own = [[Z[..., :-1] if has_intercept else Z for Z in part] for part in copies.Z]
        duals = [[U[..., :-1] if has_intercept else U for U in part] for part in copies.U]
        parts = [part[0] for part in own]
        W = sum(parts[1:], parts[0])
        intercept = copies.Z[0][0][..., -1] if has_intercept else np.zeros(W.shape[:-1])
        point = penalty.coefficients(np.ascontiguousarray(W), intercept)
        return self.problem.canonical(point), Split(parts, own, duals)


def _halves(history):
    """Return whether the last step halved the optimality."""
    last, now = (entry["optimality"] for entry in history[-2:])
    return now <= 0.5 * last
