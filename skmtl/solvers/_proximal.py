"""Accelerated proximal gradient steps on a working set of features."""

import numpy as np

from skmtl._optimize import common_axes, floored
from skmtl.losses import SquaredLoss
from skmtl.penalties import Split
from skmtl.problem import Problem
from skmtl.solvers._base import Solver

_POWER = 30  # iterations for the largest eigenvalue, which they underestimate
_MARGIN = 1.1
_LOOK = 10  # steps between evaluations of the problem
_ROUND = 500  # steps in a round
_FIRST = 200  # features of the first working set
_GROWTH = 3  # largest size of a working set, relative to the features that are not zero
_SHARE = 0.1  # accuracy on the working set, relative to that of all features


class ProximalSolver(Solver):
    """Gradient steps on the loss, with momentum, each followed by the prox of the penalty.

    Uses only products of X and vectors, and norms whose prox treats features separately. Each round
    solves for a working set: the features that are not zero after a step from the last solution.
    The metric of the steps holds the curvatures of the features.

    Parameters
    ----------
    problem : Problem
    max_iter : int
    tol : float
        Relative KKT residual (``Problem.evaluate``) at which to stop.

    References
    ----------
    A. Beck, M. Teboulle (2009). A fast iterative shrinkage-thresholding algorithm for linear
    inverse problems. SIAM Journal on Imaging Sciences 2. https://doi.org/10.1137/080716542

    B. O'Donoghue, E. Candes (2015). Adaptive restart for accelerated gradient schemes. Foundations
    of Computational Mathematics 15. https://doi.org/10.1007/s10208-013-9150-3
    """

    needs_blocks = False
    advice = "raise max_iter or tol, use a larger alpha, or solver='admm'"

    def __init__(self, problem, max_iter, tol):
        super().__init__(problem, max_iter, tol)
        self._whole = self._steps = _Steps(problem)
        self._chosen = np.arange(problem.data.n_features)
        self._size = _FIRST

    @classmethod
    def objection(cls, problem):
        """Return why this solver does not support the problem, or None."""
        if problem.penalty.quadratic:
            return "it supports penalties with a prox only"
        if not problem.loss.bounded:
            return "it supports losses of bounded curvature only, not those of counts"
        if sum(map(len, problem.penalty.terms)) > 1:
            return "it supports a single norm, not sums of several"
        if problem.penalty.terms[0][0].prox_scaling not in ("entry", "feature"):
            return "it supports norms whose prox treats features separately"
        return None

    def advance(self, at, history):
        """Return coefficients and ``Split`` after a round on a working set."""
        W, intercept = at.coefficients.W, at.coefficients.intercept
        chosen = self._working_set(at)
        if not np.array_equal(chosen, self._chosen):
            data = self.problem.data.with_features(chosen)
            penalty = self.problem.penalty.with_features(chosen)
            self._steps = _Steps(Problem(data, self.problem.loss, penalty))
            self._chosen = chosen
        goal = max(0.5 * self.tol, _SHARE * at.evaluation.optimality)
        limit = min(_ROUND, self.max_iter - self.n_iter)
        A, count = self._steps.minimize(self._steps.joined(W[..., chosen], intercept), goal, limit)
        self.n_iter += count
        W = np.zeros_like(W)
        W[..., chosen], intercept = self._steps.parts(A)
        point = self.problem.penalty.coefficients(W, intercept)
        return self.problem.canonical(point), _split(W)

    def _working_set(self, at):
        """Return features, an index array: those that a step from an iterate leaves nonzero."""
        W, d = at.coefficients.W, at.coefficients.W.shape[-1]
        if d <= _FIRST:
            return np.arange(d)
        A = self._whole.joined(W, at.coefficients.intercept)
        gradient = self._whole.joined(at.evaluation.sums.G, at.evaluation.sums.R)
        ahead = self._whole.step(A, gradient, 1.0)
        root = np.sqrt(self._whole.metric[:, :d])
        change = np.square((ahead[..., :d] - W) * root).sum(axis=(0, 1))
        change[W.any(axis=(0, 1))] = np.inf
        candidates = np.flatnonzero(change)
        active = int(np.isinf(change).sum())
        self._size = max(self._size, _GROWTH * active)
        best = np.argsort(-change[candidates], kind="stable")[: self._size]
        return np.sort(candidates[best])

    def _improves(self, history, best):
        return history[-1]["optimality"] < best.optimality or (
            history[-1]["objective"] < best.objective
        )

    def _patience(self):
        return 5


class _Steps:
    """Proximal gradient steps for a problem, in augmented coefficients A (K, T, d + 1)."""

    def __init__(self, problem):
        self.problem, penalty, data = problem, problem.penalty, problem.data
        self._has_intercept = not penalty.fixed_intercept
        self._term = penalty.terms[0][0]
        # diag(p) - pp' is at most 1/2 the identity
        bound = problem.loss.curvature_bound * (1 if problem.loss.separable else 2)
        self._bound = np.broadcast_to(bound, data.n_tasks)[:, None]
        metric = self._bound * floored(data.square_norms)
        axes = common_axes([self._term.prox_scaling])
        if axes:
            metric = np.broadcast_to(metric.mean(axis=axes, keepdims=True), metric.shape)
        self.metric = self.joined(metric, (self._bound * floored(data.totals[:, None]))[:, 0])
        self._steps = self._term.steps(self.metric)
        self._L = None

    def joined(self, W, intercept):
        """Return W (..., T, d) with the intercepts behind it."""
        return np.concatenate([W, intercept[..., None]], axis=-1) if self._has_intercept else W

    def parts(self, A):
        """Return coefficients and intercepts."""
        if self._has_intercept:
            return np.ascontiguousarray(A[..., :-1]), A[..., -1]
        return A, np.zeros(A.shape[:-1])

    def step(self, A, gradient, L):
        """Return the prox of a gradient step from A of length 1 / L."""
        V = A - gradient / (L * self.metric)
        return self._term.augmented_prox(V, [step / L for step in self._steps], None)[0]

    def minimize(self, A, goal, limit):
        """Return A with a KKT residual of at most ``goal``, and the number of steps."""
        L = self._lipschitz()
        Y, momentum = A, 1.0
        for count in range(1, limit + 1):
            W, intercept = self.parts(Y)
            sums = self.problem.data.loss_sums(self.problem.loss, W, intercept)
            Z = self.step(Y, self.joined(sums.G, sums.R), L)
            if (count % _LOOK == 0 or count == 1) and self._residual(Z) <= goal:
                return Z, count
            change = Z - A
            if np.vdot((Y - Z) * self.metric, change) > 0:
                momentum = 1.0
            ahead = 0.5 + np.sqrt(0.25 + momentum**2)
            Y = Z + ((momentum - 1.0) / ahead) * change
            A, momentum = Z, ahead
        return A, limit

    def _residual(self, A):
        W, intercept = self.parts(A)
        point = self.problem.penalty.coefficients(W, intercept)
        return self.problem.evaluate(point, _split(W)).optimality

    def _lipschitz(self):
        """Return a bound of the curvature of the loss in the metric, by power iteration."""
        if self._L is None:
            data, loss, root = self.problem.data, SquaredLoss(), np.sqrt(self.metric)
            x = np.random.default_rng(0).normal(size=(1, *self.metric.shape))
            for _ in range(_POWER):
                x /= np.linalg.norm(x)
                W, intercept = self.parts(x / root)
                x = self.joined(*data.curvature_product(loss, None, W, intercept))
                x *= self._bound / root
            self._L = _MARGIN * np.linalg.norm(x)
        return self._L


def _split(W):
    """Return the ``Split`` of coefficients in one part with one term."""
    return Split([W], [[W]], [[None]])
