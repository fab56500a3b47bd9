"""Task weights that minimize the largest mean loss of a task."""

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skmtl._threads import one_blas_thread
from skmtl._warn import warn
from skmtl.tuning._loss_response import LossResponse, response_objection
from skmtl.tuning._simplex import maximize_on_simplex

_TOL = 1e-6  # relative duality gap
_MAX_FITS = 100
_NOTHING = 1e-16  # share of the largest null loss, below which losses are rounding errors
_FLOOR = 1e-9  # smallest share of all weight, times T: positive, so no task is dropped
_ENOUGH, _ROUNDING = 1e-4, 1e-12  # constants of Armijo's rule


def minimax_fit(spec, rows, fit):
    """Return the ``Fit`` of least largest mean loss of a task.

    With N the weight of all rows and ``lbar_t`` the mean loss of task t, the problem

        min over models of  N max_t lbar_t + penalty

    equals the maximum over shares lambda (T,), nonnegative and of sum 1, of

        g(lambda) = min over models of  sum_t lambda_t N lbar_t + penalty,

    a fit with task weights ``a_t = lambda_t N / n_t``. g is concave and its gradient is
    ``N lbar_t`` at that fit. It is maximized by Newton's method on the simplex (sequential
    quadratic programming) with the second derivatives of `LossResponse`. The difference
    ``N max_t lbar_t - sum_t lambda_t N lbar_t`` is the duality gap. Intercepts are centered at the
    feature mean of unit task weights, so that the penalty is the same at all lambda.

    References
    ----------
    N. Mehta, D. Lee, A. Gray (2012). Minimax multi-task learning and a generalized
    loss-compositional paradigm for MTL. NIPS 25.
    """
    state = _State(fit, len(rows.tasks))
    reason = response_objection(state.fit.problem)
    if reason is not None:
        raise ValueError(
            f"task_weight='minimax' cannot be used here: {reason}. Use task_weight='balanced', or "
            "a Pooled, SharedL2 or MeanRegularized model (a classifier: of two classes), which "
            "supports any number of tasks."
        )
    best, tol = state, max(_TOL, spec.tol)
    response = LossResponse()
    n_fits = 1
    while best.gap > tol and n_fits < _MAX_FITS and not state.fit.solution.stopped:
        floor = _FLOOR / len(state.share)
        moving = (state.share > 2 * floor) | (state.losses > state.share @ state.losses)
        curvature = response.curvature(state.fit, state.share, moving)
        target = state.share.copy()
        with one_blas_thread():
            target[moving] = maximize_on_simplex(
                state.losses[moving], curvature, state.share[moving], floor
            )
        new, n_fits = _search(state, target, n_fits)
        if new is None:
            break
        response.remember(new.share - state.share, state.losses - new.losses)
        state = new
        if state.gap < best.gap:
            best = state
    if best.gap > tol and not state.fit.solution.stopped:
        warn(
            f"task_weight='minimax' stopped after {n_fits} fits at a relative duality gap of "
            f"{best.gap:.1e}, asked for {tol:.0e}: the largest loss of a task may exceed its "
            "minimum by that share. Lower tol, so that fits are more exact, raise alpha, or scale "
            "the features.",
            ConvergenceWarning,
        )
    found = {**best.fit.found, "task_loss_": best.losses, "minimax_gap_": best.gap}
    return best.fit._replace(found=found)


class _State:
    """Fit at given shares of the weight, by default those of weights 1.

    Attributes
    ----------
    share : ndarray of shape (T,), lambda
    losses : ndarray of shape (T,), the mean losses
    gap : float, the duality gap relative to the largest loss, 0 if all losses are rounding errors
    value : float, g
    """

    def __init__(self, fit, n_tasks, share=None, last=None):
        weight, center = np.ones(n_tasks), None
        if last is not None:
            totals, center = last.fit.rows.totals, last.fit.problem.data.center
            weight = share * totals.sum() / totals
        start = None if last is None else last.fit
        self._again, self.share = fit, share
        self.fit = fit = fit(task_weight=weight, center=center, last=start)
        self.value = fit.solution.objective
        if share is None:
            self.share = fit.rows.totals / fit.rows.totals.sum()
        weight = fit.rows.task_weight * fit.rows.totals
        self.losses = fit.evaluation().sums.value / weight
        self._null = (fit.null_losses() / weight).max() if last is None else last._null
        nothing = self.losses.max() <= _NOTHING * self._null
        self.gap = 0.0 if nothing else relative_gap(self.losses, self.share)

    def at(self, share):
        """Return the state at other shares."""
        return _State(self._again, len(share), share, self)

    @property
    def total(self):
        """The weight of all rows, N."""
        return self.fit.rows.totals.sum()


def relative_gap(losses, share):
    """Return ``1 - sum_t share_t losses_t / max_t losses_t``, 0 if all losses are 0."""
    worst = losses.max()
    return float((worst - share @ losses) / worst) if worst > 0 else 0.0


def _search(state, target, n_fits):
    """Return the state after a step towards the target, or None, and the number of fits."""
    whole, length = target - state.share, 1.0
    slope = state.total * float(state.losses @ whole)
    while n_fits < _MAX_FITS and length > 1e-8:
        share = state.share + length * whole
        new, n_fits = state.at(share / share.sum()), n_fits + 1
        needed = _ENOUGH * length * slope - _ROUNDING * abs(state.value)
        if new.value >= state.value + needed or new.gap < 0.5 * state.gap:
            return new, n_fits
        # To the zero of the slope, interpolated linearly.
        there = state.total * float(new.losses @ whole)
        shorter = slope / (slope - there) if there < 0 else 0.5
        length *= min(max(shorter, 0.05), 0.7)
    return None, n_fits
