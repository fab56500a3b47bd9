"""Penalty weights estimated from the data: what ``alpha="auto"`` does in a fit."""

import numpy as np

from skmtl._threads import one_blas_thread
from skmtl._warn import warn
from skmtl.fitting import choose_solver, with_estimates
from skmtl.solvers import check_finite
from skmtl.tuning._laplace import LaplaceEvidence, central_differences
from skmtl.tuning._optimum import minimize
from skmtl.tuning._restricted import RestrictedLikelihood

_NAMES = ("alpha", "alpha_intercept")
_VARIANCES = {
    "alpha": "tau2_",
    "alpha_intercept": "tau2_intercept_",
    "alpha_shared": "tau2_shared_",
}
# Range of the search, as multiples of the curvature of the loss; beyond, the limits are equal.
_LEAST, _LEAST_LOGISTIC, _MOST = 1e-10, 1e-6, 1e6
_STEPS = {1: 0.5, 2: 1.5, 3: 2.0}  # of the grid, in powers of ten, by the number of weights
_UNITS = 30.0  # ratio of standard deviations of features at which to warn
_CONFOUNDED = 1e-9  # smallest eigenvalue of correlations of the parts of a covariance
_GROWS = 1e-3  # decrease per factor e of a penalty weight of a criterion without lower bound


def with_penalty_weights(spec, posed, last=None):
    """Return a problem with estimates in place of the penalty weights that are "auto".

    Parameters
    ----------
    spec : Spec
    posed : Posed
    last : Fit, optional
        Earlier fit of the same rows with other task weights.
    """
    names = spec.auto
    if last is not None and spec.weighting == "minimax":
        # Minimax weights are no noise variances, and they belong to one penalty: that of the
        # first fit, whose task weights are 1.
        return with_estimates(posed, names, last.posed.estimated, last.posed.found)
    if posed.basis is not None and not posed.basis.regular.all():
        raise ValueError(
            f"{_which(names)} is estimated with factors between 0 and inf, and penalty_factor has "
            f"0 or inf. Set {' and '.join(names)} to a number."
        )
    _check_identified(names, posed.rows, posed.problem.penalty)
    _check_scale(posed.problem)
    if "alpha" in names and posed.basis is None:  # with factors, units are the user's choice
        _warn_of_units(posed.problem.data)
    estimate = _by_evidence if spec.classifier else _by_restricted_likelihood
    weights, found = estimate(spec, names, posed.problem)
    return with_estimates(posed, names, weights, found)


def _which(names):
    return " and ".join(f"{name}='auto'" for name in names)


def _check_identified(names, rows, penalty):
    """Raise where differences between tasks are not identified."""
    own = [name for name in names if name != "alpha_shared"]
    if "alpha_shared" in names and "alpha" not in names and not penalty.alpha.any():
        raise ValueError(
            "alpha_shared='auto' estimates the variance of the center of the tasks, and with "
            "alpha=0 they have nothing in common. Set alpha to a positive number or 'auto'."
        )
    if not own:
        return
    T, advice = len(rows.tasks), f"Set {' and '.join(own)} to a number"
    free_center = penalty.alpha_shared == 0 or "alpha_shared" in names
    if T == 1 and ("alpha_intercept" in names or free_center):
        raise ValueError(
            f"{_which(own)} estimates how tasks differ, and there is one task. {advice}, or set "
            "task_column to the column of task labels."
        )
    if rows.counts.max() == 1:
        raise ValueError(
            f"{_which(own)} estimates how tasks differ, and each of the {T} tasks has one row: "
            f"differences between tasks cannot be distinguished from noise. {advice}."
        )


def _check_confounded(names, products):
    """Raise where a combination of variances does not change the likelihood.

    ``products`` are those of the parts of the covariance: noise, coefficients and intercepts.
    """
    kept = np.array([True, *(name in names for name in _NAMES)]) & (np.diag(products) > 0)
    products = products[np.ix_(kept, kept)]
    if not np.isfinite(products).all():  # alpha = 0 leaves noise only
        return
    scale = np.sqrt(np.diag(products))
    values, vectors = np.linalg.eigh(products / np.outer(scale, scale))
    if values[0] > _CONFOUNDED:
        return
    variances = np.array(["of the noise", "of coefficients", "of intercepts between tasks"])[kept]
    raise ValueError(
        f"{_which(names)}: the variances {', '.join(variances[np.abs(vectors[:, 0]) > 1e-3])} "
        "cannot be told apart. The rows of every task have the same covariance for many values of "
        "them, as with two rows per task and a feature of two values, or with a feature that is "
        f"constant within tasks. Set {' or '.join(names)} to a number, or leave the feature out."
    )


def _check_scale(problem):
    """Raise where squares overflow, before a search that would only see inf and nan."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        check_finite(problem.evaluate(problem.origin()))
        if not np.isfinite(problem.data.square_norms).all():
            raise ValueError(
                "The squares of X are not finite: its values are too large. Scale them."
            )


def _search(names, criterion, data, penalty, *, curvature, least, polish):
    """Minimize a criterion over the penalty weights.

    Parameters
    ----------
    names : tuple of str
    criterion : callable
        ``criterion(names, weights, gradient=False)`` returns its value at a dict of alpha,
        alpha_intercept and alpha_shared, with ``gradient`` also the derivatives in the logarithms
        of ``names``.
    data : TaskData
    penalty : MeanCoupling
    curvature : float
        Bound of the second derivative of the loss.
    least : float
        Smallest weight, as a multiple of the curvature of the data.
    polish : bool
        As of ``minimize``.

    Returns
    -------
    weights : dict of alpha, alpha_intercept and alpha_shared
    at_least : list of str
        Names of those at the lower end of the search.
    """
    squares = data.square_norms.sum(axis=1) * curvature / max(1, data.n_features)
    size = {"alpha": squares, "alpha_intercept": data.totals * curvature}
    size["alpha_shared"] = squares.sum(keepdims=True)
    known = {name: getattr(penalty, name) for name in size}
    # If all features are zero, there are no slopes that could differ.
    known |= {name: np.inf for name in names if not size[name].any()}
    names = [name for name in names if size[name].any()]
    if not names:
        return known, []
    typical = np.log([np.median(size[name][size[name] > 0]) for name in names])
    upper = np.log([_MOST * size[name].sum() for name in names])
    upper += np.log([data.n_features if name != "alpha_intercept" else 1 for name in names])
    lower = typical + np.log(least)

    def weights(x):
        with np.errstate(over="ignore"):
            return known | dict(zip(names, np.exp(x), strict=True))

    def on_logarithms(x, gradient=False):
        return criterion(names, weights(x), gradient=gradient)

    # Products are small: several BLAS threads would wait for each other.
    with one_blas_thread():
        step = _STEPS[len(names)]
        x = minimize(on_logarithms, typical, lower, upper, step=step, polish=polish)
    return weights(x), [n for n, none in zip(names, x <= lower + 1e-6, strict=True) if none]


def _warn_of_units(data):
    """Warn where features have so different units that one variance fits none of them."""
    scale = np.sqrt(data.square_norms.sum(axis=0))
    scale = scale[scale > 0]
    if scale.size and scale.max() > _UNITS * scale.min():
        warn(
            "alpha='auto' estimates one variance for the coefficients of all features, and their "
            f"standard deviations differ by a factor of {scale.max() / scale.min():.0f}. Scale "
            "them, as with make_task_pipeline(StandardScaler(), model)."
        )


def _by_restricted_likelihood(spec, names, problem):
    """Return the maximizers of the restricted likelihood, a dict, and attributes."""
    _warn_of_free_center(names, problem)
    likelihood = RestrictedLikelihood(problem, estimates_center="alpha_shared" in names)
    others = tuple([name for name in names if name != "alpha_shared"])
    given = {"alpha": problem.penalty.alpha, "alpha_intercept": problem.penalty.alpha_intercept}
    pooled = given | dict.fromkeys(others, np.inf)
    _check_confounded(others, likelihood.model.covariance_products(*likelihood.ratios(pooled)))
    _check_freedom(names, likelihood.degrees_of_freedom(*likelihood.ratios(pooled)))
    if likelihood.exact(*likelihood.ratios(pooled)):
        joined = f" {' and '.join(others)} is set to inf, at which tasks do not differ."
        warn(
            f"{_which(names)} finds neither noise nor differences between tasks: the shared model "
            "fits all rows exactly (a constant y, say), and variances cannot be estimated."
            f"{joined if others else ''}"
        )
        unknown = {_VARIANCES[name]: np.nan for name in names}
        pooled["alpha_shared"] = 0.0
        return pooled, {"sigma2_": 0.0, **unknown, "restricted_log_likelihood_": np.inf}

    def criterion(names, weights, gradient):
        theta, phi = likelihood.ratios(weights)
        result = likelihood.evaluate(theta, phi, gradient=gradient)
        if not gradient:
            return result[0]
        by = dict(zip(_NAMES, result[2], strict=True))
        slope = {"alpha": theta, "alpha_intercept": phi}
        return result[0], np.array([-slope[name] * by[name] for name in names])

    options = {"curvature": 1.0, "least": _LEAST, "polish": True}
    best, at_least = _search(others, criterion, likelihood.model.data, problem.penalty, **options)
    value, sigma2 = likelihood.evaluate(*likelihood.ratios(best))[:2]
    best["alpha_shared"] = likelihood.alpha_shared(*likelihood.ratios(best))
    found = {"sigma2_": float(sigma2), "restricted_log_likelihood_": float(-value / 2)}
    for name in names:
        found[_VARIANCES[name]] = float(sigma2 / best[name])
    near = {name: np.e * best[name] for name in at_least}
    if near and likelihood.evaluate(*likelihood.ratios(best | near))[0] > value + _GROWS:
        found["restricted_log_likelihood_"] = np.inf
    has_center = "alpha_shared" in names and best["alpha_shared"] < np.inf
    for name in at_least:  # no noise: in the limit only the ratio of variances is identified
        found["sigma2_"], found[_VARIANCES[name]] = 0.0, np.nan
        if has_center:  # both are small
            found["tau2_shared_"] = np.nan
        else:
            best[name] = 0.0
    return best, found


def _warn_of_free_center(names, problem):
    """Warn where the center fits all rows for any penalty weights."""
    n, d = problem.data.n_rows, problem.data.n_features
    if problem.penalty.alpha_shared == 0 and n <= d:
        warn(
            f"{_which(names)} estimates how tasks differ, and alpha_shared=0 leaves the center "
            f"unpenalized: {d} features fit {n} rows exactly. Set alpha_shared='auto', which "
            "estimates it too, or a number."
        )


def _check_freedom(names, left):
    """Raise where no degrees of freedom are left beside the coefficients without penalty."""
    if left < 1:
        advice = "Use more rows"
        if "alpha_shared" not in names:
            advice = "Set alpha_shared to 'auto' or a positive number, use more rows"
        raise ValueError(
            f"{_which(names)}: unpenalized coefficients fit the rows exactly, which leaves nothing "
            f"to estimate variances from (weights count rows, and {left:.3g} degrees of freedom "
            f"remain). {advice}, or weights that are not far below 1."
        )


_CAUSES = {
    "alpha": "features separate the classes of each task in another way",
    "alpha_intercept": "most tasks have one class only, and not the same one",
    "alpha_shared": "one model of all tasks separates the classes",
}


def _by_evidence(spec, names, problem):
    """Return the maximizers of the Laplace evidence, a dict, and attributes."""
    if problem.loss.n_outputs > 1:
        raise ValueError(
            f"{_which(names)} requires two classes, and the data have {problem.loss.n_outputs}. "
            "Set it to a number, by cross-validation."
        )

    def solve(problem, start):
        return choose_solver(problem, spec.solver)(problem, spec.max_iter, spec.tol).solve(start)

    evidence = LaplaceEvidence(problem, solve, problem.origin())
    reason = evidence.objection(spec.max_iter, spec.tol)
    if reason is not None:
        raise ValueError(f"{_which(names)} has no evidence to go by: {reason}.")
    T = problem.data.n_tasks

    def value(alpha, alpha_intercept, alpha_shared):
        alpha = np.broadcast_to(alpha, (T,)).astype(np.float64)
        return evidence.evaluate(alpha, float(alpha_intercept), float(alpha_shared))

    def criterion(names, weights, gradient):
        if not gradient:
            return value(**weights)

        def moved(x):
            return value(**weights | dict(zip(names, np.exp(x), strict=True)))

        x = np.log([weights[name] for name in names])
        return value(**weights), central_differences(moved, x)

    options = {"curvature": 0.25, "least": _LEAST_LOGISTIC, "polish": False}
    best, at_least = _search(names, criterion, problem.data, problem.penalty, **options)
    found = {"log_evidence_": float(-0.5 * value(**best))}
    for name in names:
        found[_VARIANCES[name]] = float(1.0 / best[name])
    for name in at_least:
        found[_VARIANCES[name]] = np.inf
        warn(
            f"{name}='auto': the evidence grows without bound with the variance, as "
            f"it does where {_CAUSES[name]}. {name}_={best[name]:.1e}, the lower bound of the "
            f"search, is no estimate. Set {name} to a number, by cross-validation."
        )
    return best, found
