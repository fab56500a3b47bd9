"""Evidence of the logistic model with random coefficients, by the Laplace approximation."""

from dataclasses import replace
from functools import partial

import numpy as np

from skmtl import _likelihood_kernels as kernels
from skmtl._threads import in_chunks
from skmtl.arrowhead import ArrowheadSystem, Elimination
from skmtl.data import LongData
from skmtl.penalties import Coefficients
from skmtl.problem import Problem
from skmtl.solvers import runs_away
from skmtl.tuning._center import Center
from skmtl.tuning._compressed import CompressedRows

_ORDER = ("alpha", "alpha_intercept", "alpha_shared")
_STEP = 1e-3  # of central differences, in log alpha


class LaplaceEvidence:
    """Compute minus twice the log evidence of penalty weights, integrated over the coefficients.

    The deviations v_t ~ N(0, I / alpha_t), q_t ~ N(0, 1 / alpha_intercept) and the center
    w ~ N(0, I / alpha_shared), flat if that is 0, and a flat c are integrated out about their
    mode. With f the objective at the mode, ``H`` its Hessian and ``P`` that of the penalty,
    in all coordinates that are not flat, of which there are p::

        log evidence = -f + 1/2 log|P| - 1/2 log|H| + p/2 log(2 pi)

    The determinants are ``log|H| - log|P| = log|V| + log|X' V^-1 X|`` of the linear model whose
    weights are the curvatures at the mode (``CompressedRows``). Unpenalized intercepts of tasks
    with one class diverge at any penalty weight: they are left out.

    Parameters
    ----------
    problem : Problem
        Of the logistic loss and a ``MeanCoupling``.
    solve : callable
        ``solve(problem, start)`` returns the ``Solution``.
    start : Coefficients

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

    @property
    def has_slopes(self):
        """Whether ``evaluate`` can return derivatives."""
        X = getattr(self._problem.data, "X", None)  # none on Dask
        return isinstance(X, np.ndarray) and self._problem.loss.n_outputs == 1

    @property
    def has_samples(self):
        """Whether ``sample`` is defined."""
        return self.has_slopes and isinstance(self._problem.data, LongData)

    @property
    def alpha(self):
        """That of the problem, (T,)."""
        return self._problem.penalty.alpha

    def sample(self, n_tasks):
        """Return the evidence of some tasks of the long form, evenly spaced."""
        problem = self._problem
        tasks = np.linspace(0, problem.data.n_tasks - 1, n_tasks).astype(np.intp)
        part = Problem(problem.data.take(tasks), problem.loss, problem.penalty.take(tasks))
        return LaplaceEvidence(part, self._solve, part.origin())

    def evaluate(self, alpha, alpha_intercept, alpha_shared, *, slopes=False):
        """Return minus twice the log evidence; ``alpha`` is a number or (T,).

        With ``slopes`` also its derivatives in the logarithms of the finite ones, a dict.
        """
        data, loss = self._problem.data, self._problem.loss
        alpha = np.broadcast_to(np.asarray(alpha, dtype=float), data.n_tasks)
        weights = {"alpha": alpha, "alpha_intercept": alpha_intercept, "alpha_shared": alpha_shared}
        penalty = replace(self._problem.penalty, **weights)
        problem = Problem(data, loss, penalty)
        solution = self._solve(problem, penalty.project(self._start))
        self._start = solution.coefficients
        derivative = problem.evaluate(solution.coefficients).sums.derivative
        K, theta, data = loss.n_outputs, 1.0, data.rotated
        if K == 1:
            data = data.curved(loss.curvature(derivative)[0])
            rows = CompressedRows(data, penalty)  # scaled by alpha
        else:
            theta = 1.0 / alpha[0]
            rows = CompressedRows.of_classes(data, loss.probabilities(data.y, derivative), penalty)
        phi = 0.0 if alpha_intercept == 0 else 1.0 / alpha_intercept
        variances = np.repeat([theta, phi], [K * data.n_features, K])
        marginal = rows.at(np.diag(np.sqrt(variances)))
        center = Center(marginal.gram, penalty, K)
        shared = center.solve(marginal, alpha_shared)
        self._last = rows, marginal, shared.root, penalty
        n_flat = rows.n_flat + center.n_flat
        value = 2 * solution.objective + marginal.log_det + shared.log_det
        value -= n_flat * np.log(2 * np.pi)
        if K == 1 and alpha_intercept == 0 and data.class_mask is not None:
            value -= np.log(data.totals[np.isinf(data.class_mask[0])] / (2 * np.pi)).sum()
        if not slopes:
            return value
        given = rows.slopes(marginal, np.zeros_like(marginal.a), shared.root, 0.0, diagonal=True)
        fixed = self._slopes_given_curvature(penalty, np.diag(given), shared.root)
        return value, self._slopes(problem, data, derivative, fixed)

    def information(self):
        """Return expected second derivatives in the logarithms at the last point, (3, 3).

        Of a linear model with the curvatures as weights; zeros for more than two classes.
        """
        rows, marginal, root, penalty = self._last
        found, d = np.zeros((3, 3)), self._problem.data.rotated.n_features
        if self._problem.loss.n_outputs > 1:
            return found
        P = rows.information(marginal)
        ratios = np.array([penalty.alpha[0], penalty.alpha_intercept])
        ratios = np.divide(1.0, ratios, out=np.zeros(2), where=ratios > 0)
        blocks = [[P[:d, :d].sum(), P[:d, d].sum()], [P[d, :d].sum(), P[d, d]]]
        found[:2, :2] = np.outer(ratios, ratios) * blocks
        if 0 < penalty.alpha_shared < np.inf:
            share = np.eye(d) - penalty.alpha_shared * (root @ root.T)[:d, :d]
            found[2, 2] = (share**2).sum()
        return found

    def _slopes_given_curvature(self, penalty, G, root):
        """Return the derivatives of the log-determinants in the logarithms of penalty weights."""
        d, shared = len(G) - 1, penalty.alpha_shared
        of_center = shared * (root[:d] ** 2).sum() - d if 0 < shared < np.inf else 0.0
        by_alpha = -G[:d].sum() / penalty.alpha[0] if penalty.alpha[0] > 0 else 0.0
        intercept = penalty.alpha_intercept
        by_intercept = -G[-1] / intercept if intercept > 0 else 0.0
        return {"alpha": by_alpha, "alpha_intercept": by_intercept, "alpha_shared": of_center}

    def _slopes(self, problem, curved, derivative, fixed):
        """Return the derivatives of the evidence, given those at a fixed curvature.

        The curvatures c_i move with the mode: the determinant changes by ``weight_i l_i dc_i``,
        where l_i is the variance of the prediction of row i.
        """
        penalty, data = problem.penalty, problem.data.rotated
        V, q, w, _ = self._start.of_output(0)
        if problem.data.row_basis is not None:
            V, w = V @ problem.data.row_basis, w @ problem.data.row_basis
        C = ArrowheadSystem.of(curved, penalty).covariances(np.arange(data.n_tasks)).finite
        moved = _variances(data, C) * problem.loss.curvature_slope(derivative)
        (G,), (R,) = data.weighted_adjoint(moved)
        zeros = Coefficients.zeros(data.n_tasks, data.n_features).of_output(0)
        dV, dq, dw, _ = Elimination(curved, penalty).step(zeros, -G, -R)
        weight = penalty.curvature  # zero where a part is fixed
        own = {
            "alpha": weight.V.ravel() @ np.einsum("tj,tj->t", V - dV, V),
            "alpha_intercept": weight.q * (q - dq) @ q,
            "alpha_shared": weight.w * (w - dw) @ w,
        }
        return {name: own[name] + fixed[name] for name in own}


def _variances(data, C):
    """Return the variances of the predictions, in the shape of y; C (T, d + 1, d + 1)."""
    if not isinstance(data, LongData):
        Z = np.column_stack([data.X, np.ones(data.n_rows)])
        return np.column_stack([np.einsum("ij,ij->i", Z @ one, Z) for one in C])
    variances = np.empty(data.n_rows)
    kernel = partial(kernels.prediction_variances, data.X, data.codes, C, variances)
    in_chunks(kernel, data.n_rows, data.X.size * data.n_features)
    return variances


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
        self._last = None  # x, the value and the derivatives there

    def sample(self, n_tasks):
        """Return the criterion of some of the tasks."""
        evidence = self._evidence.sample(n_tasks)
        return EvidenceOfWeights(evidence, self._names, self._known | {"alpha": evidence.alpha})

    def __call__(self, x, gradient=False):
        """Return the value at x, with ``gradient`` also the derivatives, zero for inf.

        Where they are not known, they are central differences.
        """
        if self._last is not None and np.array_equal(x, self._last[0]):
            return self._last[1:] if gradient else self._last[1]
        with np.errstate(over="ignore"):
            weights = self._known | dict(zip(self._names, np.exp(x), strict=True))
        if not gradient:
            return self._evidence.evaluate(**weights)
        if self._evidence.has_slopes:
            value, slopes = self._evidence.evaluate(**weights, slopes=True)
            slopes = np.array([slopes[name] for name in self._names]) * np.isfinite(x)
            self._last = x.copy(), value, slopes
            return value, slopes
        slope = np.zeros(len(x))
        for j in np.flatnonzero(np.isfinite(x)):
            step = _STEP * np.eye(len(x))[j]
            slope[j] = (self(x + step) - self(x - step)) / (2 * _STEP)
        return self(x), slope

    def curvatures(self, x):
        """Return the second derivatives in each parameter, about, (k,)."""
        return np.diag(self.metric(x))

    def metric(self, x):
        """Return about the second derivatives at x, those of a linear model; zeros if unknown."""
        self._last = None
        self(x, gradient=self._evidence.has_slopes)
        metric = self._evidence.information()
        places = [_ORDER.index(name) for name in self._names]
        return metric[np.ix_(places, places)]
