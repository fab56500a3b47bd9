"""The alternating direction method of multipliers."""

from functools import cached_property

import numpy as np

from skmtl._linalg import null_space_of
from skmtl.penalties import AXES, Split, floored, geometric_mean
from skmtl.solvers._base import Solution, check_finite
from skmtl.solvers._memory import memory_limit
from skmtl.solvers._multipliers import Multipliers
from skmtl.solvers._spectral import MatrixFreeModel, SpectralModel, spectral_memory

_RELAXATION = 1.6
_CHECK = 5  # iterations between looks at the residuals
_ROUND = 100  # iterations after which the problem is asked, whatever the residuals
_PATIENCE = 20  # rounds without progress
_SLOW = 500  # iterations that would be slower than Newton steps
_NEWTON = 50  # Newton steps in a round
_LEAST = 1e-4  # size of the subgradients, as a share of the model's linear part
_FIRST = 1e-2  # accuracy of the first round where the model is not the loss
_SHARE = 1e-4  # accuracy over optimality, as long as the rounds get on
_ROUNDING = 1e-15  # accuracy beyond which nothing is to be had
_STEEP = 3.0  # ratio of the residuals from which rho follows them


class ADMMSolver:
    """Split the penalty from the loss: a linear system per task, then one prox per term.

    Minimises a quadratic model m of the loss plus the terms g_ij of the penalty, each on its own
    copy Z_ij of the part P_j of the coefficients, with subgradients U_ij::

        P <- argmin m(sum_j P_j) + sum_ij <U_ij, P_j> + rho/2 ||P_j - Z_ij||^2_M
        Z_ij <- argmin g_ij(Z_ij) - <U_ij, Z_ij> + rho/2 ||P_j - Z_ij||^2_M
        U_ij <- U_ij + rho M (P_j - Z_ij)

    with P over-relaxed, and a metric M made of the curvatures of the data as far as the terms
    allow, which takes out units of features and sizes of tasks. rho balances the relative
    residuals, by factors that tend to 1 fast enough for convergence. The model is the loss where
    that is quadratic; elsewhere it is made anew at every round, as in Newton's method, and a line
    search guards the step.

    Parameters
    ----------
    problem : Problem
    max_iter : int
    tol : float
        Relative KKT residual at which to stop, as the problem computes it.

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
        self.problem, self.max_iter, self.tol = problem, max_iter, tol
        self.n_iter, self._by_newton = 0, False
        self._quadratic = problem.loss.constant_curvature is not None
        self._has_level = not problem.penalty.fixed_level

    @classmethod
    def objection(cls, problem):
        """Return why this solver cannot take the problem, or None."""
        penalty = problem.penalty
        if penalty.quadratic and (penalty.star().alpha == 0).any():
            return "alpha=0 leaves coefficients open that only solver='direct' can settle"
        return None

    @classmethod
    def gains_from_start(cls, problem):
        """Return True: every iteration does."""
        return True

    def solve(self, start, split=None):
        """Return the ``Solution`` reached from ``start``, and its ``Split`` where it has one."""
        problem, best, history, stalled = self.problem, None, [], 0
        point, evaluation = start, problem.evaluate(start, split)
        check_finite(evaluation)
        copies, model, accuracy = None, None, None
        while True:
            entry = {"objective": evaluation.objective, "optimality": evaluation.optimality}
            residuals = copies.report() if copies else {}
            history.append({"n_iter": self.n_iter} | entry | residuals)
            if best is None or evaluation.optimality < best[1].optimality:
                stalled, best = 0, (point, evaluation, split)
            else:
                stalled += 1
            converged = best[1].optimality <= self.tol
            patience = _PATIENCE if accuracy is None or accuracy > 1e2 * _ROUNDING else 3
            if converged or stalled >= patience or self.n_iter >= self.max_iter:
                break
            if model is None or not self._quadratic:
                model, metric = self._model(evaluation)
                A, gradient = self._augmented(point), self._joined(*evaluation.sums[2:4])
                linear = model.product(A) - gradient
                copies = copies or self._copies(A, gradient, split)
                copies.take(metric, linear)
            accuracy = self._accuracy(evaluation, copies, accuracy, stalled)
            self._round(copies, model, linear, accuracy)
            target = self._point(copies)
            if self._quadratic:
                point, split = target
                evaluation = problem.evaluate(point, split)
            else:
                point, split, evaluation = self._search((point, split, evaluation), target)
        point, evaluation, split = self._simplest(*best)
        figures = evaluation.objective, evaluation.optimality, self.n_iter
        return Solution(point, *figures, evaluation.optimality <= self.tol, history, split=split)

    def _simplest(self, point, evaluation, split):
        """Return the solution, or the one with nothing that norms penalise, if it is one too."""
        penalty = self.problem.penalty
        bare = None if penalty.quadratic or split is None else penalty.bare(split)
        if bare is None:
            return point, evaluation, split
        simple = penalty.coefficients(sum(bare.parts[1:], bare.parts[0]), point.level)
        other = self.problem.evaluate(simple, bare)
        if other.optimality <= max(self.tol, evaluation.optimality):
            return simple, other, bare
        return point, evaluation, split

    def _copies(self, A, gradient, split):
        """Return the ``Copies`` to start with."""
        copies = Copies(self.problem.penalty.terms, A, gradient, self._has_level)
        if split:
            for j, part in enumerate(split.seen):
                for i, Z in enumerate(part):
                    copies.Z[j][i] = self._joined(Z, copies.Z[j][i][..., -1])
                    copies.U[j][i] = self._joined(split.duals[j][i], copies.U[j][i][..., -1])
        return copies

    def _round(self, copies, model, linear, accuracy):
        """Iterate until the residuals are at most ``accuracy``, or for some time.

        Newton steps take over where ADMM promises to be slow, and go on as long as they get there.
        """
        limit = self.max_iter - self.n_iter
        if not self._by_newton:
            self.n_iter += copies.iterate(model, linear, accuracy, min(limit, _ROUND))
            limit = self.max_iter - self.n_iter
        slow = self._by_newton or copies.lacking(accuracy) > _SLOW
        self._by_newton = False
        if slow and limit > 0 and copies.smooth:
            newton = Multipliers(copies, model, linear)
            self.n_iter += newton.run(accuracy, min(limit, _NEWTON))
            self._by_newton = copies.lacking(accuracy) == 0

    def _model(self, evaluation):
        """Return the quadratic model of the loss, without its linear part, and the metric."""
        problem, derivative = self.problem, evaluation.sums.derivative
        data, outputs = problem.data, problem.loss.outputs
        if derivative is not None:
            curvature = problem.loss.curvature(derivative)
            data = data.curved(curvature.mean(axis=0) if outputs else curvature)
        metric = self._joined(floored(data.square_norms), floored(data.totals[:, None])[:, 0])
        d = data.n_features
        steps = [term.steps for part in problem.penalty.terms for term in part]
        axes = AXES[_common(steps)]
        if axes:
            metric[:, :d] = metric[:, :d].mean(axis=axes, keepdims=True)
        if outputs or spectral_memory(data, metric.shape[1]) > memory_limit():
            return MatrixFreeModel(problem, derivative, metric), metric
        return SpectralModel(data, metric), metric

    def _accuracy(self, evaluation, copies, last, stalled):
        """Return how far to go before the problem is asked again, as a relative residual."""
        if last is None:
            return self.tol if self._quadratic else _FIRST
        if copies.lacking(last):
            return last
        if self._quadratic or last <= self.tol:
            return max(
                _ROUNDING, last * min(max(0.5 * self.tol / evaluation.optimality, 1e-2), 0.5)
            )
        # About as fast as Newton's method converges, and no faster where it is far or slow.
        enough = _SHARE * evaluation.optimality * 0.1**stalled
        return min(last, max(0.1 * last, enough))

    def _joined(self, W, level):
        return np.concatenate([W, level[..., None]], axis=-1) if self._has_level else W

    def _augmented(self, point):
        return self._joined(point.W, point.level)

    def _point(self, copies):
        """Return the coefficients that the penalty's own copies are, and their ``Split``."""
        penalty, has_level = self.problem.penalty, self._has_level
        seen = [[Z[..., :-1] if has_level else Z for Z in part] for part in copies.Z]
        duals = [[U[..., :-1] if has_level else U for U in part] for part in copies.U]
        parts = [part[0] for part in seen]
        W = sum(parts[1:], parts[0])
        level = copies.Z[0][0][..., -1] if has_level else np.zeros(W.shape[:-1])
        point = penalty.coefficients(np.ascontiguousarray(W), level)
        if self._unseen is not None:
            # What moves all tasks and no prediction, nothing holds: the smallest centre.
            point = point._replace(w=point.w - (point.w @ self._unseen) @ self._unseen.T)
        return point, Split(parts, seen, duals)

    @cached_property
    def _unseen(self):
        """Orthonormal basis of what the data leave open of a centre without penalty, or None."""
        penalty, X = self.problem.penalty, self.problem.data.X
        if not penalty.free().w or penalty.curvature().w > 0:
            return None
        null = null_space_of(X.T @ X)
        return null if null.size else None

    def _search(self, start, target):
        """Return point, split and evaluation on the line from start to target.

        That is the first of a halving series that descends as the slope promises, else the start.
        """
        (point, split, evaluation), (end, end_split) = start, target
        problem, penalty = self.problem, self.problem.penalty
        old = split.parts if split else [point.W] + [0.0 * point.W] * (len(end_split.parts) - 1)
        step = end.plus(point.times(-1.0))
        slope = float(np.vdot(evaluation.sums.G, step.W) + np.vdot(evaluation.sums.R, step.level))
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
            seen = [[P] * len(part) for P, part in zip(mixed, end_split.seen, strict=True)]
            parts = end_split._replace(parts=mixed, seen=seen)
            ahead = point.plus(step.times(share))


class Copies:
    """The copies Z of the coefficients and their subgradients U, a list for each part.

    Parameters
    ----------
    terms : list of list of Term
        Those of a `Penalty`.
    A : ndarray of shape (..., T, d + 1)
        Where to start.
    gradient : ndarray of the shape of A
        That of the loss at the start, which the subgradients take up.
    has_level : bool
        Whether the last column is the level.
    """

    def __init__(self, terms, A, gradient, has_level):
        self._terms, self._has_level, self.rho = terms, has_level, 1.0
        zero = np.zeros_like(A)
        self.Z = [[A if i == 0 else zero for _ in part] for i, part in enumerate(terms)]
        self.U = [[gradient / -len(part) for _ in part] for part in terms]
        if has_level:  # which is the first term's
            for i, part in enumerate(self.U):
                for j, U in enumerate(part):
                    U[..., -1] = 0.0 if i or j else -gradient[..., -1]
        self.steep_rho = None
        self._rate = 1.0
        self._changes, self.primal, self.dual = 0, np.inf, np.inf
        shares = np.array([1.0 / len(part) for part in terms])
        self._effective, self._shares = 1.0 / shares.sum(), shares / shares.sum()

    def take(self, metric, linear):
        """Take up another metric, and the linear part of the model."""
        self.metric, self._root = metric, np.sqrt(metric)
        self._least_pull = _LEAST * self.norm([linear], -1)
        own = metric[:, :-1] if self._has_level else metric
        self._steps = [
            [1.0 / geometric_mean(own, term.steps) for term in part] for part in self._terms
        ]
        self._level_step = 1.0 / metric[:, -1]

    def report(self):
        """Return the last residuals and rho, a dict."""
        named = {"primal_residual": self.primal, "dual_residual": self.dual, "rho": self.rho}
        return {name: float(value) for name, value in named.items()}

    def iterate(self, model, linear, accuracy, limit):
        """Iterate until both relative residuals are at most ``accuracy``; return how often."""
        M, P = self.metric, [part[0] for part in self.Z]
        total, next_change = sum(P[1:], P[0]), 10
        for iteration in range(1, limit + 1):
            look = iteration % _CHECK == 0 or iteration in (1, limit)
            B = [
                sum((Z - U / (self.rho * M) for Z, U in zip(Zs, Us, strict=True)), 0.0) / len(Zs)
                for Zs, Us in zip(self.Z, self.U, strict=True)
            ]
            center, rho = sum(B[1:], B[0]), self._effective * self.rho
            goal = 0.01 * max(accuracy, min(self.primal, self.dual, 1.0))
            total = model.solve(linear + (rho * M) * center, rho, total, goal)
            P = [b + share * (total - center) for b, share in zip(B, self._shares, strict=True)]
            last = [list(part) for part in self.Z] if look else None
            self._update(P)
            if not look:
                continue
            self._look(P, last)
            now = max(self.primal, self.dual)
            if iteration <= max(limit // 2, 1):
                half = now
            if now <= accuracy:
                break
            if iteration >= next_change:
                next_change = 10 + int(1.3 * iteration)
                self._balance()
        self._rate = (now / half) ** (2.0 / limit) if iteration == limit else 0.0
        return iteration

    def lacking(self, accuracy):
        """Return about how many more iterations the last ones promise, for this accuracy."""
        now = max(self.primal, self.dual)
        if now <= accuracy:
            return 0.0
        return np.log(now / accuracy) / max(-np.log(max(self._rate, 1e-3)), 1e-9)

    def _update(self, P):
        for j, part in enumerate(self.Z):
            for i, Z in enumerate(part):
                relaxed = _RELAXATION * P[j] + (1 - _RELAXATION) * Z
                self.Z[j][i], self.U[j][i] = self.prox(j, i, relaxed, self.U[j][i])

    def prox(self, part, number, P, U):
        """Return the copy of term ``number`` of a part nearest to P, and its subgradient."""
        M = self.rho * self.metric
        V = P + U / M
        Z = self._joined(self._terms[part][number].prox(*self._arguments(part, number, V)))
        return Z, M * (V - Z)

    @property
    def smooth(self):
        """Whether all terms have derivatives of their prox."""
        return all(
            term.derivative(*self._arguments(j, i, self.Z[j][i])) is not None
            for j, part in enumerate(self._terms)
            for i, term in enumerate(part)
        )

    def derivative(self, part, number, P, U):
        """Return the derivative of ``prox`` in P, a function, and its blocks; see `Term`."""
        V = P + U / (self.rho * self.metric)
        function, *blocks = self._terms[part][number].derivative(*self._arguments(part, number, V))

        def product(D):
            if not self._has_level:
                return function(D, D[..., :0, 0])[0]
            return self._joined(function(D[..., :-1], D[..., -1]))

        return product, blocks

    def _arguments(self, part, number, V):
        step = self._steps[part][number] / self.rho
        if not self._has_level:
            return V, V[..., :0, 0], step, self._level_step[:0]
        return V[..., :-1], V[..., -1], step, self._level_step / self.rho

    def _joined(self, pair):
        W, level = pair
        return np.concatenate([W, level[..., None]], axis=-1) if self._has_level else W

    def pull(self, U):
        """Return the size of subgradients; what they have to balance at least counts a little."""
        return max(self.norm((u for part in U for u in part), -1), self._least_pull) or 1.0

    def norm(self, arrays, sign):
        """Return the norm of some arrays, in M where ``sign`` is 1 and in its inverse where -1."""
        root = self._root if sign > 0 else 1.0 / self._root
        return np.sqrt(sum(np.square(A * root).sum() for A in arrays))

    def _look(self, P, last):
        """Compute the relative residuals, in the norms of M and of its inverse."""
        Z, old = ([Z for part in Zs for Z in part] for Zs in (self.Z, last))
        own = [p for p, part in zip(P, self.Z, strict=True) for _ in part]
        gap = self.norm((p - z for p, z in zip(own, Z, strict=True)), 1)
        size = max(self.norm(own, 1), self.norm(Z, 1))
        change = self.rho * self.norm((z - o for z, o in zip(Z, old, strict=True)), 1)
        self.primal = gap / size if size else float(gap > 0)
        self.dual = change / self.pull(self.U)

    def _balance(self):
        """Change rho by the ratio of the residuals, ever less."""
        ratio = np.sqrt(max(self.primal, 1e-16) / max(self.dual, 1e-16))
        self._changes += 1
        most = 1.0 + 1e4 / self._changes**2
        if not 1 / _STEEP < ratio**2 < _STEEP:
            self.rho *= min(max(ratio, 1 / most), most)


def _common(kinds):
    """Return what a metric may differ by where each of several terms allows its own."""
    kinds = set(kinds) - {"entry"}
    if len(kinds) > 1:
        return "matrix"
    return kinds.pop() if kinds else "entry"
