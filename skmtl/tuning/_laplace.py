"""Evidence of the logistic model with random coefficients, by the Laplace approximation."""

from dataclasses import replace

import numpy as np

from skmtl.problem import Problem
from skmtl.solvers import runs_away
from skmtl.tuning._center import Center
from skmtl.tuning._compressed import CompressedRows

_STEP = 1e-3  # of central differences, in log alpha


class LaplaceEvidence:
    """Compute minus twice the log evidence of penalty weights, integrated over the coefficients.

    The deviations v_t ~ N(0, I / alpha_t), q_t ~ N(0, 1 / alpha_intercept) and the center
    w ~ N(0, I / alpha_shared), flat if that is 0, and a flat c are integrated out about their
    mode. With f the objective at the mode, ``H`` its Hessian and ``P`` that of the penalty,
    in all coordinates that are not flat, of which there are p::

        log evidence = -f + 1/2 log|P| - 1/2 log|H| + p/2 log(2 pi)

    The determinants are ``log|H| - log|P| = log|V| + log|X' V^-1 X|`` of the linear model whose
    weights are the curvatures at the mode (``CompressedRows``).

    Parameters
    ----------
    problem : Problem
        Of the logistic loss and a ``MeanCoupling``.
    solve : callable
        ``solve(problem, start)`` returns the ``Solution``.
    start : Coefficients

    Unpenalized intercepts of tasks with one class diverge at any penalty weight: they are left out
    of the evidence.

    References
    ----------
    N. E. Breslow and D. G. Clayton (1993). Approximate inference in generalized linear mixed
    models. Journal of the American Statistical Association 88.
    https://doi.org/10.1080/01621459.1993.10594284
    """

    def __init__(self, problem, solve, start):
        self._problem, self._solve, self._start = problem, solve, start

    def objection(self, max_iter, tol):
        """Return why the evidence is improper at any penalty weight, or None.

        With a flat center there is no mode if one model of all tasks separates the classes.
        """
        data, penalty = self._problem.data, self._problem.penalty
        free_intercepts = penalty.alpha_intercept == 0 and not penalty.fixed_intercept
        if free_intercepts and data.class_mask is not None and np.isinf(data.class_mask).all():
            return (
                "every task has one class only, and alpha_intercept=0 leaves intercepts "
                "unpenalized. Set alpha_intercept to a positive number"
            )
        if penalty.alpha_shared > 0:
            return None
        pooled = replace(
            penalty,
            alpha=np.full(data.n_tasks, np.inf),
            alpha_intercept=0.0 if free_intercepts else np.inf,
        )
        problem = Problem(data, self._problem.loss, pooled)
        solution = self._solve(problem, pooled.project(self._start))
        slope = problem.evaluate(solution.coefficients).sums.derivative
        # The derivative is below 1/2 in size if a row is classified correctly.
        if (np.abs(slope) < 0.5).all() or runs_away(solution, max_iter, tol).any():
            return (
                "one model of all tasks separates the classes, and with alpha_shared=0 nothing "
                "keeps it finite. Set alpha_shared to a positive number, such as 1e-3"
            )
        return None

    def evaluate(self, alpha, alpha_intercept, alpha_shared):
        """Return minus twice the log evidence; ``alpha`` is a number or (T,)."""
        data, loss = self._problem.data, self._problem.loss
        alpha = np.broadcast_to(np.asarray(alpha, dtype=float), data.n_tasks)
        weights = {"alpha": alpha, "alpha_intercept": alpha_intercept, "alpha_shared": alpha_shared}
        penalty = replace(self._problem.penalty, **weights)
        problem = Problem(data, loss, penalty)
        solution = self._solve(problem, penalty.project(self._start))
        self._start = solution.coefficients
        derivative = problem.evaluate(solution.coefficients).sums.derivative
        K, theta = loss.n_outputs, 1.0
        if K == 1:
            data = data.curved(loss.curvature(derivative)[0]).rotated
            rows = CompressedRows(data, penalty)  # scaled by alpha
        else:
            data, theta = data.rotated, 1.0 / alpha[0]
            rows = CompressedRows.of_classes(data, loss.probabilities(data.y, derivative), penalty)
        phi = 0.0 if alpha_intercept == 0 else 1.0 / alpha_intercept
        variances = np.repeat([theta, phi], [K * data.n_features, K])
        marginal = rows.at(np.diag(np.sqrt(variances)))
        center = Center(marginal.gram, penalty, K)
        log_det = marginal.log_det + center.solve(marginal, alpha_shared).log_det
        n_flat = rows.n_flat + center.n_flat
        value = 2 * solution.objective + log_det - n_flat * np.log(2 * np.pi)
        if K == 1 and alpha_intercept == 0 and data.class_mask is not None:
            value -= np.log(data.totals[np.isinf(data.class_mask[0])] / (2 * np.pi)).sum()
        return value


class EvidenceOfWeights:
    """Minus twice the log evidence in logarithms x (k,) of penalty weights.

    Parameters
    ----------
    evidence : LaplaceEvidence
    names : list of str
        Of the penalty weights.
    known : dict
        All penalty weights; entries of ``names`` are replaced.
    """

    def __init__(self, evidence, names, known):
        self._evidence, self._names, self._known = evidence, names, known

    def __call__(self, x, gradient=False):
        """Return the value at x, with ``gradient`` also central differences, zero for inf."""
        if not gradient:
            with np.errstate(over="ignore"):
                return self._evidence.evaluate(
                    **self._known | dict(zip(self._names, np.exp(x), strict=True))
                )
        slope = np.zeros(len(x))
        for j in np.flatnonzero(np.isfinite(x)):
            step = _STEP * np.eye(len(x))[j]
            slope[j] = (self(x + step) - self(x - step)) / (2 * _STEP)
        return self(x), slope

    def metric(self, x):
        """Return zeros: second derivatives are not known."""
        return np.zeros((len(x), len(x)))
