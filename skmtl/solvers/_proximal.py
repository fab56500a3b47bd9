"""Proximal steps on a working set of features."""

import numpy as np

from skmtl._optimize import common_axes, floored
from skmtl.losses import SquaredLoss
from skmtl.penalties import Split
from skmtl.problem import Problem
from skmtl.solvers._base import Solver
from skmtl.solvers._descent import BlockDescent

_POWER = 30  # iterations for the largest eigenvalue, which they underestimate
_MARGIN = 1.1
_LOOK = 10  # steps between evaluations of the problem
_ROUND = 500  # steps or sweeps in a round
_FIRST = 200  # features of the first working set
_GROWTH = 3  # largest size of a working set, relative to the features that are not zero
_ROOM = 2**22  # numbers in the moments of a working set
_COARSE, _FINE = 0.1, 1e-2  # accuracy of gradient steps and of descent, relative to the last


class ProximalSolver(Solver):
    """Solve for a working set of features, by block coordinate descent or by gradient steps.

    Each round solves for the features that are not zero, or would not be after a step. Block
    coordinate descent (`BlockDescent`) minimizes a quadratic model of the loss, which is the loss
    or, as in Newton's method, its expansion; it supports L21 and L1 where the moments of the
    working set are not larger than the data. Otherwise gradient steps on the loss, with momentum,
    are each followed by the prox of the penalty; they use only products of X and vectors.

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
        self._whole = self._steps = None
        self._chosen = self._data = self._descent = None
        self._shrinkage, self._size = _shrinkage_of(problem), _FIRST

    @classmethod
    def objection(cls, problem):
        """Return why this solver does not support the problem, or None."""
        if problem.penalty.quadratic:
            return "it supports penalties with a prox only"
        if sum(map(len, problem.penalty.terms)) > 1:
            return "it supports a single norm, not sums of several"
        if problem.penalty.terms[0][0].prox_scaling not in ("entry", "feature"):
            return "it supports norms whose prox treats features separately"
        if not problem.loss.bounded and not _descends(problem):
            return "it supports losses of bounded curvature only, not those of counts"
        return None

    @classmethod
    def is_preferred(cls, problem):
        """Return whether "auto" is to try it first."""
        return super().is_preferred(problem) or (
            cls.objection(problem) is None and _descends(problem)
        )

    def advance(self, at, history):
        """Return coefficients and ``Split`` after a round on a working set."""
        W, intercept = at.coefficients.W, at.coefficients.intercept
        chosen = self._working_set(at)
        if self._chosen is None or not np.array_equal(chosen, self._chosen):
            whole = len(chosen) == W.shape[-1]
            self._data = self.problem.data if whole else self.problem.data.with_features(chosen)
            self._chosen, self._steps, self._descent = chosen, None, None
        descends = self._shrinkage is not None and _has_room(self.problem.data, len(chosen))
        goal = 0.5 * self.tol
        if len(chosen) < W.shape[-1] or (descends and not self._quadratic):
            goal = max(goal, (_FINE if descends else _COARSE) * at.evaluation.optimality)
        own = W[..., chosen], intercept
        if descends:
            ahead, intercept = self._descend(at, *own, goal)
        else:
            ahead, intercept = self._step(*own, goal)
        W = np.zeros_like(W)
        W[..., chosen] = ahead
        point = self.problem.penalty.coefficients(W, intercept)
        return self.problem.canonical(point), _split(W)

    def _descend(self, at, W, intercept, goal):
        """Return coefficients and intercepts that minimize a quadratic model of the loss."""
        problem, sums = self.problem, at.evaluation.sums
        if self._descent is None or not self._quadratic:
            penalty = problem.penalty
            own = self._shrinkage._replace(threshold=self._shrinkage.threshold[self._chosen])
            weight = None if penalty.fixed_intercept else penalty.alpha_intercept
            curved = problem.curved(sums.derivative, self._data)
            self._descent = BlockDescent(curved, own, weight)
        unit, limit = 1.0 / problem.residual_norms(sums), min(_ROUND, self.max_iter - self.n_iter)
        gradient = sums.G[0][:, self._chosen], sums.R[0]
        W, intercept, count = self._descent.minimize(
            W[0], intercept[0], *gradient, unit, 0.1 * goal, limit
        )
        self.n_iter += count
        return W, intercept[None]

    def _step(self, W, intercept, goal):
        """Return coefficients and intercepts after gradient steps."""
        if self._steps is None:
            penalty = self.problem.penalty.with_features(self._chosen)
            self._steps = _Steps(Problem(self._data, self.problem.loss, penalty))
        limit = min(_ROUND, self.max_iter - self.n_iter)
        A, count = self._steps.minimize(self._steps.joined(W, intercept), goal, limit)
        self.n_iter += count
        return self._steps.parts(A)

    def _working_set(self, at):
        """Return features, an index array: those that a step from an iterate leaves nonzero."""
        W, d = at.coefficients.W, at.coefficients.W.shape[-1]
        if d <= _FIRST:
            return np.arange(d)
        active = W.any(axis=(0, 1))
        if self._shrinkage is None:
            change = self._changes(at)
        else:
            change = self._shrinkage.excess(at.evaluation.sums.G[0])
        change[active] = np.inf
        candidates = np.flatnonzero(change)
        if self._chosen is not None and np.isin(candidates, self._chosen).all():
            return self._chosen
        self._size = max(self._size, _GROWTH * np.count_nonzero(active))
        if (
            self._shrinkage is not None
            and not self._shrinkage.joint
            and _has_room(self.problem.data, len(candidates))
        ):
            return candidates  # tasks have working sets of their own
        best = np.argsort(-change[candidates], kind="stable")[: self._size]
        return np.sort(candidates[best])

    def _changes(self, at):
        """Return the change of each feature by a step from an iterate, (d,), in the metric."""
        W, d = at.coefficients.W, at.coefficients.W.shape[-1]
        if self._whole is None:
            self._whole = _Steps(self.problem)
        A = self._whole.joined(W, at.coefficients.intercept)
        gradient = self._whole.joined(at.evaluation.sums.G, at.evaluation.sums.R)
        ahead = self._whole.step(A, gradient, 1.0)
        root = np.sqrt(self._whole.metric[:, :d])
        return np.square((ahead[..., :d] - W) * root).sum(axis=(0, 1))

    def _improves(self, history, best):
        return history[-1]["optimality"] < best.optimality or (
            history[-1]["objective"] < best.objective
        )

    def _patience(self):
        return 5


def _shrinkage_of(problem):
    """Return the ``Shrinkage`` to which the penalty is equal, or None."""
    term, data = problem.penalty.terms[0][0], problem.data
    one = problem.loss.separable and problem.loss.n_outputs == 1
    found = term.shrinkage(data.n_features) if one else None
    # norms of a single entry are absolute values
    return found and found._replace(joint=found.joint and data.n_tasks > 1)


def _descends(problem):
    """Return whether block coordinate descent can solve a problem."""
    active = min(problem.data.n_features, _FIRST)
    return _shrinkage_of(problem) is not None and _has_room(problem.data, active)


def _has_room(data, n_features):
    """Return whether moments of some features are not much larger than the data."""
    return n_features**2 * len(data.block_sizes) <= max(_ROOM, data.n_rows * data.n_features)


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
