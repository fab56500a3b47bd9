"""Variances of the logistic model with random coefficients, by its Laplace evidence."""

import numpy as np

from skmtl._threads import one_blas_thread
from skmtl._warn import warn
from skmtl.fitting import choose_solver
from skmtl.tuning._identified import which
from skmtl.tuning._laplace import EvidenceOfWeights, LaplaceEvidence
from skmtl.tuning._optimum import COARSE, GRIDS, minimize, minimize_from
from skmtl.tuning._random_coefficients import SAMPLE, VARIANCES, Estimate
from skmtl.tuning._weight_range import WeightRange

_FEW = 1000  # rows that may leave several maxima
_LEAST = 1e-6  # multiple of the curvature of the loss at which the search ends
_CAUSES = {
    "alpha": "features separate the classes of each task in another way",
    "alpha_intercept": "most tasks have one class only, and not the same one",
    "alpha_shared": "one model of all tasks separates the classes",
}


def by_evidence(spec, names, problem):
    """Return the ``Estimate`` of the maximum of the Laplace evidence."""
    alpha = problem.penalty.alpha
    if problem.loss.n_outputs > 1 and (alpha[0] == 0 or (alpha != alpha[0]).any()):
        raise ValueError(
            f"{which(names)} with more than two classes requires one positive alpha for all tasks. "
            "Set alpha to a positive number or 'auto'."
        )

    def solve(problem, start):
        return choose_solver(problem, spec.solver)(problem, spec.max_iter, spec.tol).solve(start)

    evidence = LaplaceEvidence(problem, solve, problem.origin())
    reason = evidence.objection(spec.max_iter, spec.tol)
    if reason is not None:
        raise ValueError(f"{which(names)} has no evidence to go by: {reason}.")
    known = {name: getattr(problem.penalty, name) for name in VARIANCES}
    known |= dict.fromkeys(names, np.inf)
    span = WeightRange.of(names, problem.data, curvature=0.25, least=_LEAST)
    criterion = EvidenceOfWeights(evidence, span.names, known)
    with one_blas_thread():
        if evidence.has_samples and problem.data.n_tasks >= 2 * SAMPLE:
            x = minimize(criterion.sample(SAMPLE), *span.bounds, **COARSE, polish=False)
            start = np.where(np.isfinite(x), x, span.typical)
            x = minimize_from(criterion, [start], *span.bounds[1:], np.arange(len(x))[:, None])
        else:
            few = problem.loss.n_outputs == 1 and problem.data.totals.sum() < _FEW
            grid = GRIDS[len(span.names)] if few else COARSE
            x = minimize(criterion, *span.bounds, **grid, polish=False)
    best = known | span.weights(x)
    found = {"log_evidence_": float(-0.5 * criterion(x))}
    for name in names:
        found[VARIANCES[name]] = float(1.0 / best[name])
    for name in span.at_least(x):
        found[VARIANCES[name]] = np.inf
        warn(
            f"{name}='auto': the evidence grows without bound with the variance, as "
            f"it does where {_CAUSES[name]}. {name}_={best[name]:.1e}, the lower bound of the "
            f"search, is no estimate. Set {name} to a number, by cross-validation."
        )
    return Estimate({name: best[name] for name in names}, found)
