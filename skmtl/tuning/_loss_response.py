"""Derivatives of the mean losses of the tasks in the weights of all tasks."""

import numpy as np

from skmtl.arrowhead import ArrowheadSystem
from skmtl.penalties import MeanCoupling
from skmtl.problem import Problem
from skmtl.solvers import DirectSolver, PrimalSystem
from skmtl.tuning._task_systems import TaskMatrix

MOST = 1000  # largest number of tasks for a dense response (T, T)
_PAIRS = 20  # pairs of steps and falls stored
_RTOL = 1e-6  # tolerance of conjugate gradients


def response_objection(problem):
    """Return why the response of the losses cannot be computed, or None."""
    T = problem.data.n_tasks
    if T <= MOST or _has_center(problem):
        return None
    return (
        "with a task_graph, several task columns, more than two classes or a non-smooth penalty, "
        "the derivatives of the losses in the task weights are one dense system, here of "
        f"{T} tasks, and the limit is {MOST}"
    )


def _has_center(problem):
    """Return whether only a center couples the tasks, that is, their response has low rank."""
    return problem.penalty.around_center and problem.loss.separable


class LossResponse:
    """Compute second derivatives of the minimal weighted loss plus penalty in the weight shares.

    With F the objective at shares lambda, its Hessian F'' in the coefficients and ``J_t`` the
    gradient of the mean loss of task t, a share moves the coefficients by ``-N F''^-1 J_s`` and the
    losses by ``-N J_t' F''^-1 J_s``. A non-smooth penalty has no F''; it is replaced by a ridge
    with the same gradient at each coefficient, corrected by BFGS updates (Broyden, Fletcher,
    Goldfarb and Shanno) with earlier steps.
    """

    def __init__(self):
        self._pairs = []

    def remember(self, step, fall):
        """Store a step of the shares and the fall of the losses by it, both (T,)."""
        self._pairs = [*self._pairs, (step, fall)][-_PAIRS:]

    def curvature(self, fit, share, tasks):
        """Return minus the derivative of the mean losses in the shares of some tasks, a mask.

        The result is a ``TaskMatrix``, of low rank plus a diagonal if a center couples the tasks.
        """
        problem, evaluation = fit.problem, fit.evaluation()
        # N times the gradients of the mean losses
        G, R = evaluation.sums.G / share[:, None], evaluation.sums.R / share
        penalty, total = problem.penalty, fit.rows.totals.sum()
        if penalty.quadratic and _has_center(problem) and not problem.data.expensive_blocks:
            B = _around_center(problem, evaluation, penalty, None, G[0], R[0])
            return B.take(tasks).times(1.0 / total)
        if penalty.quadratic:
            B = _by_steps(problem, evaluation, G, R, np.flatnonzero(tasks))
            return TaskMatrix.of(B).times(1.0 / total)
        W, gradient = fit.solution.coefficients.W, evaluation.sums.G
        ridge = MeanCoupling(
            _of_tasks(W, gradient), np.inf, penalty.alpha_intercept, penalty.fixed_intercept
        )
        if not problem.loss.separable:
            surrogate = Problem(problem.data, problem.loss, ridge)
            B = _by_steps(surrogate, evaluation, G, R, np.arange(len(share)))
        else:
            precision = _of_entries(W[0], gradient[0])
            B = _around_center(problem, evaluation, ridge, precision, G[0], R[0]).dense
        B = B / total
        for step, fall in self._pairs:
            B = _updated(B, step, fall)
        return TaskMatrix.of(B[np.ix_(tasks, tasks)])


def _around_center(problem, evaluation, penalty, precision, G, R):
    """Return ``u_s' F''^-1 u_t`` for the gradients u of all tasks, a ``TaskMatrix``."""
    data = problem.curved(evaluation.sums.derivative)
    if data.row_basis is not None and precision is None:
        data, G = data.rotated, G @ data.row_basis
    return TaskMatrix(*ArrowheadSystem.of(data, penalty, precision).products(G, R))


def _by_steps(problem, evaluation, G, R, tasks):
    """Return ``u_s' F''^-1 u_t`` for the gradients u of some tasks, by one Newton step each."""
    by_blocks = DirectSolver.objection(problem) is None and not problem.data.expensive_blocks
    if by_blocks:
        solver = DirectSolver(problem, 10**9, _RTOL)
        solver.rtol = _RTOL
        solver.setup(evaluation)
    else:
        system = PrimalSystem(problem)
        system.set_up(evaluation.sums.derivative)
    origin = problem.origin()
    B = np.empty((len(tasks), len(tasks)))
    for row, task in zip(B, tasks, strict=True):
        own = np.zeros_like(G), np.zeros_like(R)
        own[0][:, task], own[1][:, task] = G[:, task], R[:, task]
        if by_blocks:
            sums = evaluation.sums._replace(G=own[0], R=own[1])
            moved = solver.step(origin, evaluation._replace(sums=sums))
        else:
            moved = system.step(origin, *own, rtol=_RTOL)
        moved = problem.penalty.flatten(moved)
        falls = np.einsum("ktj,ktj->t", G, moved.W) + (R * moved.intercept).sum(axis=0)
        row[:] = -falls[tasks]
    return 0.5 * (B + B.T)


def _of_entries(W, gradient):
    """Return the ridge weight of each coefficient (T, d) with the gradient of the penalty."""
    push = np.maximum(-gradient * W, 0.0)
    alpha = np.divide(push, W**2, out=np.full_like(W, np.inf), where=W != 0)
    gone = np.isinf(alpha).all(axis=1)
    finite = np.where(np.isinf(alpha), 0.0, alpha)
    return np.where(np.isinf(alpha) & ~gone[:, None], 1e12 * (1.0 + finite.max(initial=0.0)), alpha)


def _of_tasks(W, gradient):
    """Return the ridge weight of each task (T,) with the gradient norm of the penalty."""

    def norms(part):
        return np.sqrt((part**2).sum(axis=(0, 2)))

    size = norms(W)
    return np.divide(norms(gradient), size, out=np.full_like(size, np.inf), where=size > 0)


def _updated(B, step, fall):
    """Return B after a BFGS update, such that ``B @ step`` is the fall."""
    Bs, curved = B @ step, float(step @ fall)
    own = float(step @ Bs)
    if not (curved > 1e-8 * np.linalg.norm(step) * np.linalg.norm(fall) and own > 0):
        return B
    return B - np.outer(Bs, Bs) / own + np.outer(fall, fall) / curved
