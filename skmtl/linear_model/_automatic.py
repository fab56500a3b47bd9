"""Penalty weights estimated from the data: ``alpha="auto"``."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from skmtl._threads import one_blas_thread
from skmtl._warn import warn
from skmtl.data import adaptive_weights, read_per_task
from skmtl.linear_model._couplings import AUTO, is_auto
from skmtl.penalties import Coefficients
from skmtl.solvers import SOLVERS, check_finite
from skmtl.tuning import (
    LaplaceEvidence,
    RestrictedLikelihood,
    central_differences,
    minimize,
)

_NAMES = ("alpha", "alpha_intercept")
_FOUND = ("sigma2_", "tau2_", "tau2_intercept_", "restricted_log_likelihood_", "log_evidence_")
# Range of the search, as multiples of the curvature of the data; beyond it only inf is tried.
_LEAST, _MOST = 1e-10, 1e6
_LEAST_LOGISTIC = 1e-6
_GROWS = 1e-3  # least fall of an unbounded criterion per factor e of a penalty weight


class PenaltyWeights(NamedTuple):
    """Store both penalty weights, numbers or arrays (T,), and the attributes found with them."""

    alpha: np.ndarray
    alpha_intercept: float
    attributes: dict


class AutomaticStrengths:
    """Base of models around a center whose penalty weights may be "auto": maximum evidence.

    They are estimated before the fit: a Problem is replaced by one with another penalty, and the
    fit is that of the estimated numbers.
    """

    def _automatic(self):
        """Return the names of the penalty weights to estimate."""
        return [name for name in _NAMES if is_auto(getattr(self, name))]

    def _check_parameters(self):
        super()._check_parameters()
        if is_auto(self.alpha_intercept) and not self.fit_intercept:
            raise ValueError(
                f"alpha_intercept={AUTO!r} with fit_intercept=False: there are no intercepts "
                "whose variance could be estimated. Set alpha_intercept to a number, or "
                "fit_intercept to True."
            )

    def _prepare(self, rows, *, fitted=False, **options):
        rows, problem, offset = super()._prepare(rows, fitted=fitted, **options)
        names = self._automatic()
        if fitted and names:
            self._check_found(names)
            problem = _with_penalty_weights(problem, names, self._penalty_weights)
        return rows, problem, offset

    def _estimate_penalty_weights(self, rows, problem, last):
        names = self._automatic()
        if not names:
            return problem, None
        if last is not None and adaptive_weights(self.task_weight) == "minimax":
            # Minimax weights are not inverse noise variances, and are computed for one penalty:
            # that of the first fit, whose task weights are 1.
            weights = last.penalty_weights
        else:
            self._check_identified(names, rows, problem.penalty)
            _check_scale(problem)
            weights = self._maximize(names, problem)
        return _with_penalty_weights(problem, names, weights), weights

    def _check_found(self, names):
        """Raise on penalty weights that became "auto" after fit."""
        known = {} if self._penalty_weights is None else self._penalty_weights.attributes
        if any(_variance_name(name) not in known for name in names):
            raise ValueError(f"{' and '.join(names)} became {AUTO!r} after fit. Fit again.")

    def _check_identified(self, names, rows, penalty):
        """Raise if differences between tasks are not identified."""
        which = " and ".join(f"{name}={AUTO!r}" for name in names)
        advice = f"Set {' and '.join(names)} to a number"
        T = len(rows.tasks)
        if T == 1 and ("alpha_intercept" in names or penalty.alpha_shared == 0):
            raise ValueError(
                f"{which} estimates how tasks differ, and there is only one task. "
                f"{advice}, or set task_column to the column of task labels."
            )
        if rows.counts.max() == 1:
            raise ValueError(
                f"{which} estimates how tasks differ, and each of the {T} tasks has one row: "
                f"differences between tasks cannot be separated from noise. {advice}."
            )

    def _search(self, names, criterion, data, penalty, *, least, polish):
        """Return the minimizing penalty weights, and which of them are at the lower bound.

        The former are a dict of alpha and alpha_intercept, the latter a list of names.
        """
        squares = data.square_norms.sum(axis=1) * self._curvature / data.n_features
        size = {"alpha": squares, "alpha_intercept": data.totals * self._curvature}
        known = {"alpha": penalty.alpha, "alpha_intercept": penalty.alpha_intercept}
        # With all features zero the slopes are zero: alpha is inf.
        known |= {name: np.inf for name in names if not size[name].any()}
        names = [name for name in names if size[name].any()]
        if not names:
            return known, []
        typical = np.log([np.median(size[name][size[name] > 0]) for name in names])
        upper = np.log([_MOST * size[name].sum() for name in names])
        if "alpha" in names:
            upper[0] += np.log(data.n_features)
        lower = typical + np.log(least)

        def weights(x):
            with np.errstate(over="ignore"):
                return known | dict(zip(names, np.exp(x), strict=True))

        def on_logarithms(x, gradient=False):
            return criterion(names, weights(x), gradient=gradient)

        # Products are small: BLAS threads would cost more than they gain.
        with one_blas_thread():
            x = minimize(on_logarithms, typical, lower, upper, polish=polish)
        return weights(x), [n for n, none in zip(names, x <= lower + 1e-6, strict=True) if none]

    def _keep(self, solution, problem):
        super()._keep(solution, problem)
        for name in _FOUND:
            self.__dict__.pop(name, None)
        alpha = problem.penalty.alpha
        if isinstance(self.alpha, dict):  # in adapt, the penalty has only some of the tasks
            alpha = read_per_task(self.alpha, "alpha", self.tasks_)
        elif np.ndim(self.alpha) == 0:
            alpha = float(alpha[0])
        self.alpha_ = alpha
        self.alpha_intercept_ = float(problem.penalty.alpha_intercept)
        if self._penalty_weights is not None:
            for name, value in self._penalty_weights.attributes.items():
                setattr(self, name, value)


class RestrictedStrengths(AutomaticStrengths):
    """Estimate the penalty weights of a regressor by restricted maximum likelihood."""

    _curvature = 1.0

    def _maximize(self, names, problem):
        """Return the ``PenaltyWeights`` that maximize the restricted likelihood."""
        _warn_of_free_center(names, problem)
        likelihood = RestrictedLikelihood(problem)
        self._check_freedom(names, likelihood, problem.penalty)
        pooled = {
            "alpha": problem.penalty.alpha,
            "alpha_intercept": problem.penalty.alpha_intercept,
        }
        pooled |= dict.fromkeys(names, np.inf)
        if likelihood.exact(*likelihood.ratios(pooled)):
            which = " and ".join(f"{name}={AUTO!r}" for name in names)
            warn(
                f"{which} finds neither noise nor differences between tasks: the shared model fits "
                "all rows exactly (a constant y, say), and variances cannot be estimated. "
                f"{' and '.join(names)} is set to inf, at which tasks do not differ."
            )
            unknown = {_variance_name(name): np.nan for name in names}
            nothing = {"sigma2_": 0.0, **unknown, "restricted_log_likelihood_": np.inf}
            return PenaltyWeights(pooled["alpha"], pooled["alpha_intercept"], nothing)

        def criterion(names, weights, gradient):
            theta, phi = likelihood.ratios(weights)
            result = likelihood.evaluate(theta, phi, gradient=gradient)
            if not gradient:
                return result[0]
            by = dict(zip(_NAMES, result[2], strict=True))
            slope = {"alpha": theta, "alpha_intercept": phi}
            return result[0], np.array([-slope[name] * by[name] for name in names])

        best, at_least = self._search(
            names, criterion, likelihood.model.data, problem.penalty, least=_LEAST, polish=True
        )
        value, sigma2 = likelihood.evaluate(*likelihood.ratios(best))[:2]
        found = {"sigma2_": float(sigma2), "restricted_log_likelihood_": float(-value / 2)}
        for name in names:
            found[_variance_name(name)] = float(sigma2 / best[name])
        near = {name: np.e * best[name] for name in at_least}
        if near and likelihood.evaluate(*likelihood.ratios(best | near))[0] > value + _GROWS:
            found["restricted_log_likelihood_"] = np.inf
        for (
            name
        ) in at_least:  # without noise only the ratio of variances is identified, in the limit
            best[name], found["sigma2_"], found[_variance_name(name)] = 0.0, 0.0, np.nan
        return PenaltyWeights(best["alpha"], best["alpha_intercept"], found)

    def _check_freedom(self, names, likelihood, penalty):
        """Raise if no degrees of freedom remain after the unpenalized coefficients."""
        given = {"alpha": penalty.alpha, "alpha_intercept": penalty.alpha_intercept}
        left = likelihood.degrees_of_freedom(
            *likelihood.ratios(given | dict.fromkeys(names, np.inf))
        )
        if left < 1:
            raise ValueError(
                f"{' and '.join(f'{n}={AUTO!r}' for n in names)}: unpenalized coefficients fit "
                "the rows exactly, which leaves nothing to estimate variances from (weights count "
                f"rows, and {left:.3g} degrees of freedom remain). Set alpha_shared to a positive "
                "number, use more rows, or weights that are not far below 1."
            )


class LaplaceStrengths(AutomaticStrengths):
    """Estimate the penalty weights of a classifier by the Laplace approximation."""

    _curvature = 0.25

    def _maximize(self, names, problem):
        """Return the ``PenaltyWeights`` that maximize the evidence."""
        which = " and ".join(f"{name}={AUTO!r}" for name in names)
        if problem.loss.n_outputs > 1:
            raise ValueError(
                f"{which} takes two classes, and the data have {problem.loss.n_outputs}. Set it "
                "to a number, by cross-validation."
            )
        data, T = problem.data, problem.data.n_tasks

        def solve(problem, start):
            solver = SOLVERS[self._choose_solver(problem)]
            return solver(problem, self.max_iter, self.tol).solve(start)

        evidence = LaplaceEvidence(problem, solve, Coefficients.zeros(T, data.n_features))
        reason = evidence.objection(self.max_iter, self.tol)
        if reason is not None:
            raise ValueError(f"{which}: the evidence is improper: {reason}.")

        def value(alpha, alpha_intercept):
            alpha = np.broadcast_to(alpha, (T,)).astype(np.float64)
            return evidence.evaluate(alpha, float(alpha_intercept))

        def criterion(names, given, gradient):
            if not gradient:
                return value(**given)

            def moved(x):
                return value(**given | dict(zip(names, np.exp(x), strict=True)))

            x = np.log([given[name] for name in names])
            return value(**given), central_differences(moved, x)

        best, at_least = self._search(
            names, criterion, data, problem.penalty, least=_LEAST_LOGISTIC, polish=False
        )
        found = {"log_evidence_": float(-0.5 * value(**best))}
        for name in names:
            found[_variance_name(name)] = float(1.0 / best[name])
        for name in at_least:
            found[_variance_name(name)] = np.inf
            warn(
                f"{name}={AUTO!r}: the evidence grows without bound with the variance between "
                f"tasks, as it does where {_CAUSES[name]}. {name}_={best[name]:.1e}, the lower "
                f"bound of the search, is no estimate. Set {name} to a number, by cross-validation."
            )
        return PenaltyWeights(best["alpha"], best["alpha_intercept"], found)


_CAUSES = {
    "alpha": "features separate the classes of each task, differently in each",
    "alpha_intercept": "most tasks have one class only, and not the same one",
}


def _warn_of_free_center(names, problem):
    """Warn if the unpenalized center fits all rows at any alpha."""
    n, d = problem.data.X.shape
    if problem.penalty.alpha_shared == 0 and n <= d:
        warn(
            f"{' and '.join(f'{name}={AUTO!r}' for name in names)} estimates how tasks differ, "
            f"and alpha_shared=0 leaves the center unpenalized: {d} features fit {n} rows exactly. "
            "Set alpha_shared, or search for it with RegularizationPathCV(..., "
            "strengths={'alpha_shared': ...})."
        )


def _check_scale(problem):
    """Raise if squares overflow, before a search on inf and nan."""
    data = problem.data
    zeros = Coefficients.zeros(data.n_tasks, data.n_features, problem.loss.n_outputs)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        check_finite(problem.evaluate(zeros))
        if not np.isfinite(data.square_norms).all():
            raise ValueError(
                "The squares of X are not finite: its values are too large. Scale them."
            )


def _with_penalty_weights(problem, names, weights):
    """Return the problem with "auto" replaced by the estimated penalty weights."""
    found = {name: getattr(weights, name) for name in names}
    if "alpha" in found:
        found["alpha"] = np.full(problem.data.n_tasks, found["alpha"])
    return problem.with_penalty(replace(problem.penalty, **found))


def _variance_name(name):
    """Return the attribute of the variance that a penalty weight corresponds to."""
    return {"alpha": "tau2_", "alpha_intercept": "tau2_intercept_"}[name]
