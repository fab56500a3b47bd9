"""Penalty weights estimated from the data: what ``alpha="auto"`` does in a fit."""

import numpy as np

from skmtl._threads import one_blas_thread
from skmtl._warn import warn
from skmtl.fitting import choose_solver, with_estimates
from skmtl.solvers import check_finite
from skmtl.tuning._covariance import DiagonalCovariance
from skmtl.tuning._laplace import EvidenceOfWeights, LaplaceEvidence
from skmtl.tuning._optimum import minimize
from skmtl.tuning._restricted import RestrictedLikelihood

_NAMES = ("alpha", "alpha_intercept")
_PARTS = {"alpha": "of coefficients", "alpha_intercept": "of intercepts between tasks"}
_VARIANCES = {
    "alpha": "tau2_",
    "alpha_intercept": "tau2_intercept_",
    "alpha_shared": "tau2_shared_",
}
# Range of the search, as multiples of the curvature of the loss; beyond, the limits are equal.
_LEAST, _LEAST_LOGISTIC, _MOST = 1e-10, 1e-6, 1e6
_MANY = 300  # tasks that leave one maximum
_COARSE = {"reach": 2.0, "step": 2.0}  # grid of the search then, in powers of ten
# Grids by the number of weights.
_GRIDS = {k: {"reach": 4.0, "step": step} for k, step in enumerate((0.5, 0.5, 1.5, 2.0))}
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
    _check_identified(names, posed.rows, posed.problem.penalty)
    _check_scale(posed.problem)
    if "alpha" in names:
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


def _check_confounded(names, known, products):
    """Raise where a combination of variances does not change the likelihood.

    Parameters
    ----------
    names : tuple of str
        Penalty weights to estimate.
    known : ndarray of shape (d + 1,)
        Variances of slopes and intercepts that are known.
    products : ndarray of shape (d + 2, d + 2)
        Inner products of the parts of the covariance: noise, slopes and intercepts.
    """
    own = [np.append(False, _of_part(name, len(known))) for name in names]
    mix = np.array([np.append(1.0, known), *own])
    products = mix @ products @ mix.T
    parts = ["of the noise", *(_PARTS[name] for name in names)]
    scale = np.sqrt(np.diag(products))
    kept = scale > 0
    scale, products = scale[kept], products[np.ix_(kept, kept)]
    values, vectors = np.linalg.eigh(products / np.outer(scale, scale))
    if values[0] > _CONFOUNDED:
        return
    variances = np.array(parts)[kept][np.abs(vectors[:, 0]) > 1e-3]
    raise ValueError(
        f"{_which(names)}: the variances {', '.join(variances)} "
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


def _search_range(names, data, curvature, least):
    """Return which weights are to be searched, and center and bounds of their logarithms.

    Parameters
    ----------
    names : tuple of str
    data : TaskData
    curvature : float
        Bound of the second derivative of the loss.
    least : float
        Smallest weight, as a multiple of the curvature of the data.

    Returns
    -------
    names : list of str
        Those of parts that the data have: if all features are zero, no slopes could differ.
    typical, lower, upper : ndarray
    """
    squares = data.square_norms.sum(axis=1) * curvature / max(1, data.n_features)
    size = {"alpha": squares, "alpha_intercept": data.totals * curvature}
    size["alpha_shared"] = squares.sum(keepdims=True)
    names = [name for name in names if size[name].any()]
    typical = np.log([np.median(size[name][size[name] > 0]) for name in names])
    upper = np.log([_MOST * size[name].sum() for name in names])
    upper += np.log([data.n_features if name != "alpha_intercept" else 1 for name in names])
    return names, typical, typical + np.log(least), upper


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
    data, penalty = problem.data.rotated, problem.penalty
    estimates_center = "alpha_shared" in names
    likelihood = RestrictedLikelihood(
        data, problem.loss, penalty, estimates_center=estimates_center
    )
    others = tuple([name for name in names if name != "alpha_shared"])
    known = _known_variances(others, penalty, data.n_features)
    _check_confounded(others, known, likelihood.rows.products())
    _check_freedom(names, likelihood.freedom)
    given = {name: getattr(penalty, name) for name in _NAMES}
    best = given | dict.fromkeys(others, np.inf)
    if likelihood.is_exact(np.diag(np.sqrt(known))):
        joined = f" {' and '.join(others)} is set to inf, at which tasks do not differ."
        warn(
            f"{_which(names)} finds neither noise nor differences between tasks: the shared model "
            "fits all rows exactly (a constant y, say), and variances cannot be estimated."
            f"{joined if others else ''}"
        )
        unknown = {_VARIANCES[name]: np.nan for name in names}
        best["alpha_shared"] = 0.0
        return best, {"sigma2_": 0.0, **unknown, "restricted_log_likelihood_": np.inf}
    searched, *bounds = _search_range(others, data, 1.0, _LEAST)
    M = [_of_part(name, len(known)) for name in searched]
    criterion = DiagonalCovariance(likelihood, np.reshape(M, (-1, len(known))).T, known)
    grid = _COARSE if data.n_tasks >= _MANY else _GRIDS[len(searched)]
    # Products are small: several BLAS threads would wait for each other.
    with one_blas_thread():
        x = minimize(criterion, *bounds, **grid, polish=True)
    best |= _weights(searched, x)
    F = criterion.factor(x)
    value, sigma2 = likelihood.evaluate(F)
    at_least = _at_least(searched, x, bounds[1])
    best["alpha_shared"] = likelihood.alpha_shared(F)
    found = {"sigma2_": float(sigma2), "restricted_log_likelihood_": float(-value / 2)}
    for name in names:
        found[_VARIANCES[name]] = float(sigma2 / best[name])
    near = np.array([name in at_least for name in searched])
    if near.any() and criterion(x + near) > value + _GROWS:
        found["restricted_log_likelihood_"] = np.inf
    has_center = "alpha_shared" in names and best["alpha_shared"] < np.inf
    for name in at_least:  # no noise: in the limit only the ratio of variances is identified
        found["sigma2_"], found[_VARIANCES[name]] = 0.0, np.nan
        if has_center:  # both are small
            found["tau2_shared_"] = np.nan
        else:
            best[name] = 0.0
    return best, found


def _known_variances(names, penalty, n_features):
    """Return the variances of (v_t, q_t) that are not to be estimated, (d + 1,), in units of noise.

    Where alpha is a number the rows are scaled by it.
    """
    slope, intercept = float("alpha" not in names), 0.0
    if "alpha_intercept" not in names and penalty.alpha_intercept > 0:
        intercept = 1.0 / penalty.alpha_intercept
    return np.append(np.full(n_features, slope), intercept)


def _of_part(name, size):
    """Return which of the variances (d + 1,) a penalty weight determines, ones and zeros."""
    return (np.arange(size) < size - 1) == (name == "alpha")


def _weights(names, x):
    with np.errstate(over="ignore"):
        return dict(zip(names, np.exp(x), strict=True))


def _at_least(names, x, lower):
    """Return the names of the weights at the lower end of the search."""
    return [name for name, none in zip(names, x <= lower + 1e-6, strict=True) if none]


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
    known = {name: getattr(problem.penalty, name) for name in _VARIANCES}
    searched, *bounds = _search_range(names, problem.data, 0.25, _LEAST_LOGISTIC)
    known |= dict.fromkeys(names, np.inf)
    criterion = EvidenceOfWeights(evidence, searched, known)
    with one_blas_thread():
        x = minimize(criterion, *bounds, **_GRIDS[len(searched)], polish=False)
    best, at_least = known | _weights(searched, x), _at_least(searched, x, bounds[1])
    found = {"log_evidence_": float(-0.5 * criterion(x))}
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
