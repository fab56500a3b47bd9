"""Strengths that the data tell: what ``alpha="auto"`` does in a fit."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from skmtl import _input
from skmtl.linear_model._couplings import AUTO, is_auto
from skmtl.linear_model._evidence import RestrictedLikelihood
from skmtl.linear_model._laplace import LaplaceEvidence, central_differences
from skmtl.linear_model._optimum import minimise
from skmtl.penalties import Coefficients
from skmtl.solvers import SOLVERS

_NAMES = ("alpha", "alpha_intercept")
_FOUND = ("sigma2_", "tau2_", "tau2_intercept_", "restricted_log_likelihood_", "log_evidence_")
# Strengths looked at, as multiples of the data's own curvature; beyond, the limits hold.
_LEAST, _MOST = 1e-10, 1e6
_LEAST_LOGISTIC = 1e-6


class Strengths(NamedTuple):
    """What was found: two strengths, as numbers or arrays of the penalty, and attributes."""

    alpha: np.ndarray
    alpha_intercept: float
    attributes: dict


class AutomaticStrengths:
    """A model around a centre whose strengths may be "auto": those of the largest evidence.

    They are found between the data and the fit: a Problem goes in, and the same with another
    penalty comes out. The fit goes on as if the numbers had been passed.
    """

    _strengths = None  # of the last fit
    _rows = None  # while it is under way, those whose strengths these are

    def _automatic(self):
        """Return the names of the strengths that the data are to tell."""
        return [name for name in _NAMES if is_auto(getattr(self, name))]

    def _check_parameters(self):
        super()._check_parameters()
        if is_auto(self.alpha_intercept) and not self.fit_intercept:
            raise ValueError(
                f"alpha_intercept={AUTO!r} with fit_intercept=False: there are no levels whose "
                "variance could be estimated. Set alpha_intercept to a number, or fit_intercept "
                "to True."
            )

    def _prepare(self, rows, *, fitted=False, **options):
        read, names = rows, self._automatic()
        rows, problem, offset = super()._prepare(rows, fitted=fitted, **options)
        if fitted:
            self._check_found(names)
        elif not names:
            self._strengths = None
        else:
            self._tell(names, read, rows, problem)
        if names:
            found = {name: getattr(self._strengths, name) for name in names}
            if "alpha" in found:
                found["alpha"] = np.full(len(rows.tasks), found["alpha"])
            problem = problem.with_penalty(replace(problem.penalty, **found))
        return rows, problem, offset

    def _tell(self, names, read, rows, problem):
        """Find the strengths of the rows that were read, of which ``rows`` count."""
        if _input.adaptive(self.task_weight) == "minimax":
            # These weights are no noise levels, and they are found for one penalty: that of
            # weights 1, found once.
            if self._rows is read:
                return
            problem = super()._prepare(read, task_weight=np.ones(len(read.tasks)))[1]
        self._check_told(names, rows, problem.penalty)
        self._strengths, self._rows = self._find_strengths(names, problem), read

    def _check_found(self, names):
        """Refuse strengths that became "auto" after fit."""
        known = {} if self._strengths is None else self._strengths.attributes
        if any(_variance_name(name) not in known for name in names):
            raise ValueError(f"{' and '.join(names)} became {AUTO!r} after fit. Fit again.")

    def _check_told(self, names, rows, penalty):
        """Refuse data that say nothing about differences between tasks."""
        which = " and ".join(f"{name}={AUTO!r}" for name in names)
        advice = f"Set {' and '.join(names)} to a number"
        T = len(rows.tasks)
        if T == 1 and ("alpha_intercept" in names or penalty.alpha_shared == 0):
            raise ValueError(
                f"{which} estimates how tasks differ, and there is one task: nothing tells. "
                f"{advice}, or set task_column to the column of task labels."
            )
        if rows.counts.max() == 1:
            raise ValueError(
                f"{which} estimates how tasks differ, and each of the {T} tasks has one row: "
                f"differences between tasks cannot be told from noise. {advice}."
            )

    def _search(self, names, criterion, data, penalty, *, least, polish):
        """Return alpha and alpha_intercept, of which the criterion of both is least."""
        squares, totals = data.square_norms.sum(axis=1) * self._curvature, data.totals
        size = {"alpha": squares / data.n_features, "alpha_intercept": totals * self._curvature}
        most = {"alpha": squares.sum(), "alpha_intercept": totals.sum() * self._curvature}
        tiny = np.finfo(np.float64).tiny
        typical = np.log([max(np.median(size[name]), tiny) for name in names])
        upper = np.log([max(_MOST * most[name], tiny) for name in names])
        typical = np.minimum(typical, upper)
        lower = typical + np.log(least)

        def strengths(x):
            given = {"alpha": penalty.alpha, "alpha_intercept": penalty.alpha_intercept}
            with np.errstate(over="ignore"):
                return given | dict(zip(names, np.exp(x), strict=True))

        def on_logarithms(x, gradient=False):
            return criterion(**strengths(x), gradient=gradient)

        x = minimise(on_logarithms, typical, lower, upper, polish=polish)
        return strengths(x), x <= lower + 1e-6

    def _keep(self, solution, problem):
        super()._keep(solution, problem)
        self._rows = None
        for name in _FOUND:
            self.__dict__.pop(name, None)
        alpha = problem.penalty.alpha
        if isinstance(self.alpha, dict):  # of which adapt knows some tasks only
            alpha = _input.per_task(self.alpha, "alpha", self.tasks_)
        elif np.ndim(self.alpha) == 0:
            alpha = float(alpha[0])
        self.alpha_ = alpha
        self.alpha_intercept_ = float(problem.penalty.alpha_intercept)
        if self._strengths is not None:
            for name, value in self._strengths.attributes.items():
                setattr(self, name, value)


class RestrictedStrengths(AutomaticStrengths):
    """Strengths of a regressor, by restricted maximum likelihood."""

    _curvature = 1.0

    def _find_strengths(self, names, problem):
        likelihood = RestrictedLikelihood(problem)
        groups = likelihood.model.groups

        def ratios(alpha, alpha_intercept):
            with np.errstate(divide="ignore"):
                alpha = groups.alpha if np.ndim(alpha) else np.float64(alpha)
                return 1.0 / alpha, 1.0 / np.float64(alpha_intercept)

        def criterion(alpha, alpha_intercept, gradient):
            theta, phi = ratios(alpha, alpha_intercept)
            result = likelihood.evaluate(theta, phi, gradient=gradient)
            if not gradient:
                return result[0]
            by = dict(zip(_NAMES, result[2], strict=True))
            slope = {"alpha": theta, "alpha_intercept": phi}
            return result[0], np.array([-slope[name] * by[name] for name in names])

        data = likelihood.model.data
        freedom = likelihood.degrees_of_freedom(
            0.0 if "alpha" in names else ratios(problem.penalty.alpha, 1.0)[0],
            0.0 if "alpha_intercept" in names else ratios(1.0, problem.penalty.alpha_intercept)[1],
        )
        if freedom < 1:
            raise ValueError(
                f"{' and '.join(f'{n}={AUTO!r}' for n in names)}: what is not penalised fits the "
                "rows exactly, which leaves nothing to estimate variances from. Set alpha_shared "
                "to a positive number, or take more rows."
            )
        best, at_least = self._search(
            names, criterion, data, problem.penalty, least=_LEAST, polish=True
        )
        value, sigma2 = likelihood.evaluate(*ratios(**best))[:2]
        found = {"sigma2_": float(sigma2), "restricted_log_likelihood_": float(-value / 2)}
        for name, none in zip(names, at_least, strict=True):
            found[_variance_name(name)] = float(sigma2 / best[name])
            if none:  # no noise at all: the limit, in which only the ratio is known
                best[name], found["sigma2_"], found[_variance_name(name)] = 0.0, 0.0, np.nan
        return Strengths(best["alpha"], best["alpha_intercept"], found)


class LaplaceStrengths(AutomaticStrengths):
    """Strengths of a classifier, by the Laplace approximation of the evidence."""

    _curvature = 0.25

    def _find_strengths(self, names, problem):
        if problem.loss.outputs:
            raise ValueError(
                f"{' and '.join(f'{n}={AUTO!r}' for n in names)} takes two classes, and the data "
                f"have {problem.loss.outputs[0]}. Set it to a number, by cross-validation."
            )
        data, T = problem.data, problem.data.n_tasks

        def solve(problem, start):
            solver = SOLVERS[self._choose_solver(problem)]
            return solver(problem, self.max_iter, self.tol).solve(start)

        evidence = LaplaceEvidence(problem, solve, Coefficients.zeros(T, data.n_features))

        def value(alpha, alpha_intercept):
            alpha = np.broadcast_to(alpha, (T,)).astype(np.float64)
            return evidence.evaluate(alpha, float(alpha_intercept))

        def criterion(alpha, alpha_intercept, gradient):
            given = {"alpha": alpha, "alpha_intercept": alpha_intercept}
            if not gradient:
                return value(**given)

            def moved(x):
                return value(**given | dict(zip(names, np.exp(x), strict=True)))

            x = np.log([given[name] for name in names])
            return value(**given), central_differences(moved, x)

        best, _ = self._search(
            names, criterion, data, problem.penalty, least=_LEAST_LOGISTIC, polish=False
        )
        found = {"log_evidence_": -0.5 * value(**best)}
        for name in names:
            found[_variance_name(name)] = float(1.0 / best[name])
        return Strengths(best["alpha"], best["alpha_intercept"], found)


def _variance_name(strength):
    """Return the attribute that holds the variance which belongs to a strength."""
    return {"alpha": "tau2_", "alpha_intercept": "tau2_intercept_"}[strength]
