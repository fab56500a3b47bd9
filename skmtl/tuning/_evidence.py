"""Variances of the logistic model with random coefficients, by its Laplace evidence."""

import numpy as np

from skmtl._threads import one_blas_thread
from skmtl._warn import warn
from skmtl.fitting import choose_solver
from skmtl.tuning._covariance import DiagonalCovariance, FullCovariance
from skmtl.tuning._identified import which
from skmtl.tuning._laplace import EvidenceOfParameters, LaplaceEvidence
from skmtl.tuning._optimum import COARSE, GRIDS, NEARLY, ROUGH, Descent, minimize, minimize_from
from skmtl.tuning._random_coefficients import SAMPLE, VARIANCES, Estimate, RandomCoefficients
from skmtl.tuning._weight_range import WeightRange

_FEW = 1000  # rows that may leave several maxima
_FORMS = {"diag": DiagonalCovariance, "full": FullCovariance}
CAUSES = {
    "alpha": "features separate the classes of each task in another way",
    "alpha_intercept": "most tasks have one class only, and not the same one",
    "alpha_shared": "one model of all tasks separates the classes",
}


def evidence_of(spec, problem):
    """Return the ``LaplaceEvidence`` of a problem, whose modes are found as fits of a ``Spec``."""

    def solve(problem, start):
        solver = choose_solver(problem, spec.solver)(problem, spec.max_iter, spec.tol)
        return solver.solve(start)

    return LaplaceEvidence(problem, solve, problem.origin())


def check_evidence(evidence, spec, names):
    """Raise where an evidence is improper at any penalty weight."""
    reason = evidence.objection(spec.max_iter, spec.tol)
    if reason is not None:
        raise ValueError(f"{which(names)} has no evidence to go by: {reason}.")


class RandomLogOdds(RandomCoefficients):
    """Maximize the Laplace evidence over the penalty weights that are "auto".

    Parameters are those of ``RandomCoefficients``.
    """

    _least = 1e-6  # multiple of the curvature of the loss at which the search ends

    def __init__(self, spec, names, posed):
        alpha, loss = posed.problem.penalty.alpha, posed.problem.loss
        if loss.n_outputs > 1 and (alpha[0] == 0 or (alpha != alpha[0]).any()):
            raise ValueError(
                f"{which(names)} with more than two classes requires one positive alpha for all "
                "tasks. Set alpha to a positive number or 'auto'."
            )

        self._evidence = evidence_of(spec, posed.problem)
        super().__init__(spec, names, posed)
        check_evidence(self._evidence, spec, names)

    @property
    def _sampled(self):
        """Whether the search begins in a sample of the tasks."""
        return self._evidence.has_samples and self._evidence.n_tasks >= 2 * SAMPLE

    @property
    def _has_slopes(self):
        return self._evidence.has_slopes

    def estimate(self):
        """Return the ``Estimate``."""
        data = self._problem.data if self._common is not None else self._problem.data.rotated
        known = self._known_variances(data)
        span = WeightRange.of(self._names, self._problem.data, curvature=0.25, least=self._least)
        parts = [self._part(name, len(known)) for name in span.names if name in self._own]
        M = np.reshape(parts, (-1, len(known))).T
        criterion = self._with_center(DiagonalCovariance(self._evidence, M, known), span.names)
        one_variance = self._form == "spherical" or "alpha" not in span.names
        with one_blas_thread():
            x = self._one_variance(criterion, span, final=one_variance)
            if not (one_variance or span.at_least(x)):
                start = dict(zip(span.names, x, strict=True))
                return self._of_form(start, self._evidence, 1.0)
            if not one_variance:
                x = self._one_variance(criterion, span, final=True)
            estimate = self._of_best(criterion, x, span)
            if self._common is not None:
                common = self._of_covariance(self._evidence, criterion.factor(x))
                estimate = common._replace(found=estimate.found | common.found)
            return self._by_feature(estimate)

    def _with_center(self, criterion, names):
        return EvidenceOfParameters(criterion, shared="alpha_shared" in names)

    def _one_variance(self, criterion, span, *, final):
        few = self._problem.loss.n_outputs == 1 and self._problem.data.totals.sum() < _FEW
        if not self._sampled and (few or final):
            grid = GRIDS[len(span.names)] if few else COARSE
            return minimize(criterion, *span.bounds, **grid, polish=False)
        start = span.typical.copy()
        if "alpha" in span.names:  # centers and deviations of about the same size
            start[np.array(span.names) == "alpha_shared"] = start[span.names.index("alpha")]
        sample = criterion.sample(SAMPLE) if self._sampled else criterion
        every = np.ones(len(start), dtype=bool)
        value, x = Descent(sample, every, *span.bounds[1:]).to(ROUGH, start)
        limits = np.flatnonzero([name in self._own for name in span.names])[:, None]
        if "alpha_shared" in span.names:
            end = np.append(x[:-1], np.inf)
            if sample(end) <= value + NEARLY:  # else that limit is far
                limits = [*limits, np.array([len(end) - 1])]
                x = x if final else end
        return minimize_from(criterion, [x], *span.bounds[1:], limits) if final else x

    def _check_form(self, likelihood, known, with_data):
        pass  # there is no variance of noise to confound others with

    def _minimum(self, criterion, starts, bounds, limits, start):
        """Minimize over alpha_shared too; write it to ``start``, for a search that follows."""
        lower, upper = bounds
        whole, shared = self._with_center(criterion, self._names), "alpha_shared" in self._names
        if shared:
            curvature = {"curvature": 0.25, "least": self._least}
            span = WeightRange.of(("alpha_shared",), self._problem.data, **curvature)
            first = start["alpha_shared"]
            if np.isinf(first) or not self._sampled:  # else that limit is far
                limits = [*limits, np.array([len(lower)])]
            first = first if np.isfinite(first) else span.typical[0]
            starts = [np.append(x, first) for x in starts]
            lower, upper = map(np.append, bounds, span.bounds[1:])
        x = minimize_from(whole, starts, lower, upper, limits)
        if (x <= lower + 1e-6).any() and isinstance(criterion, _FORMS[self._form]):
            warn(
                f"covariance_type={self._form!r}: the evidence grows without bound with a variance "
                f"in covariance_ or tau2_shared_, as it does where {CAUSES['alpha']}. The largest "
                "is the upper bound of the search, and no estimate. Set covariance_type to "
                "'spherical', or alpha to a number, by cross-validation."
            )
        whole.factor(x)  # sets alpha_shared
        if shared:
            start["alpha_shared"], x = x[-1], x[:-1]
        return x

    def _start_of_full(self, criterion, starts, bounds, limits, start):
        return self._minimum(criterion, starts, bounds, limits, start)

    def _criteria(self, value, sigma2):
        return {"log_evidence_": float(-value / 2)}

    def _of_best(self, criterion, x, span):
        """Return the ``Estimate`` of one variance of all slopes."""
        best = dict.fromkeys(self._names, np.inf) | span.weights(x)
        found = self._criteria(criterion(x), 1.0)
        for name in self._names:
            found[VARIANCES[name]] = float(1.0 / best[name])
        for name in span.at_least(x):
            found[VARIANCES[name]] = np.inf
            warn(
                f"{name}='auto': the evidence grows without bound with the variance, as "
                f"it does where {CAUSES[name]}. {name}_={best[name]:.1e}, the lower bound of the "
                f"search, is no estimate. Set {name} to a number, by cross-validation."
            )
        return Estimate(best, found)
