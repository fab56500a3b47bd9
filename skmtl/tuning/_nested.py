"""Variances of tasks within groups, by restricted maximum likelihood."""

import numpy as np

from skmtl._threads import one_blas_thread
from skmtl.penalties import sums_of_members
from skmtl.tuning._covariance import DiagonalCovariance
from skmtl.tuning._identified import check_confounded, check_freedom, which
from skmtl.tuning._optimum import minimize_from
from skmtl.tuning._random_coefficients import VARIANCES, Estimate
from skmtl.tuning._restricted import RestrictedLikelihood
from skmtl.tuning._weight_range import log_median

_LEAST, _MOST = 1e-10, 1e6  # multiples of the curvature of the data at which the search ends
_FAR = np.log(100.0)  # of other starts of the search from typical penalty weights
_OWN = {"alpha": "of coefficients", "alpha_intercept": "of intercepts"}


def nested_estimate(spec, names, problem):
    """Return the ``Estimate`` of the penalty weights that are "auto", one for each column.

    Parameters
    ----------
    spec : Spec
    names : tuple of str
    problem : Problem
        With a `NestedCoupling`.
    """
    if spec.classifier or spec.covariance_type not in (None, "spherical"):
        raise ValueError(
            f"{which(names)} with several task columns estimates one variance for each column, "
            "in a regressor. Set the penalty weights to numbers, covariance_type to None, or "
            "task_column to one column."
        )
    data, nesting, own = problem.data.rotated, problem.penalty.nesting, []
    likelihood = RestrictedLikelihood(
        data, problem.loss, problem.penalty, estimates_center="alpha_shared" in names
    )
    known, labels, masks, sizes = _known(names, problem.penalty, data.n_features), [], [], []
    curvature = data.square_norms.sum(axis=1) / max(1, data.n_features), data.totals
    for level, column in enumerate(nesting.columns):
        for number, name in enumerate(_OWN):
            mask = np.zeros((len(nesting.levels), data.n_features + 1))
            mask[level, slice(None, -1) if number == 0 else -1] = 1.0
            if name in names and curvature[number].any():
                own.append((name, level))
                labels.append(f"{_OWN[name]} between labels of {column!r}")
                masks.append(mask.ravel())
                sizes.append(curvature[number])
        if level < len(nesting.parents):
            parent = nesting.parents[level]
            curvature = [sums_of_members(part, parent) for part in curvature]
    check_freedom(names, likelihood.freedom, problem)
    parts = dict(zip(labels, masks, strict=True))
    check_confounded(names, known, parts, likelihood.rows.products())
    if likelihood.is_exact(np.diag(np.sqrt(known))):
        raise ValueError(
            f"{which(names)}: the shared model fits all rows exactly (a constant y, say), and "
            "variances cannot be estimated. Set the penalty weights to numbers."
        )
    masks = np.reshape(masks, (len(masks), len(known)))  # of none, too
    criterion = DiagonalCovariance(likelihood, masks.T, known)
    typical = np.array([log_median(size) for size in sizes])
    lower, upper = typical + np.log(_LEAST), np.log([_MOST * size.sum() for size in sizes])
    levels = np.array([level for _, level in own])
    starts = [typical, *(typical + _FAR * (levels == k) for k in range(len(nesting.levels)))]
    with one_blas_thread():
        x = minimize_from(criterion, starts, lower, upper, np.arange(len(own))[:, None])
    if (x <= lower + 1e-6).any():
        raise ValueError(
            f"{which(names)}: the likelihood grows without bound where the rows have no noise. Set "
            "the penalty weights to numbers, or use more rows."
        )
    return _estimate(names, own, nesting, likelihood, criterion.factor(x), x)


def _known(names, penalty, d):
    """Return the variances that are known, (L (d + 1),), zeros for the others.

    The rows are scaled by the alpha of the tasks.
    """
    known = np.zeros((len(penalty.nesting.levels), d + 1))
    for name, weights, columns in (
        ("alpha", penalty.level_alpha, slice(None, -1)),
        ("alpha_intercept", penalty.alpha_intercept, slice(-1, None)),
    ):
        if name not in names:
            if (weights == 0).any():
                raise ValueError(
                    f"{which(names)} with several task columns requires a positive {name}, got 0. "
                    f"Set {name} to a positive number, inf or 'auto'."
                )
            known[:, columns] = 1.0 / weights[:, None]
    if "alpha" not in names:
        known[0, :-1] = 1.0
    return known.ravel()


def _estimate(names, own, nesting, likelihood, F, x):
    """Return the ``Estimate``, given which weight of which level each logarithm in x is."""
    value, sigma2 = likelihood.evaluate(F)
    found = {"sigma2_": float(sigma2), "restricted_log_likelihood_": float(-value / 2)}
    weights = {
        name: np.full(len(nesting.levels), np.inf) for name in names if name != "alpha_shared"
    }
    for (name, level), log_weight in zip(own, x, strict=True):
        weights[name][level] = np.exp(log_weight)
    for name, each in weights.items():
        found[VARIANCES[name]] = nesting.by_column(sigma2 / each)
    if "alpha_shared" in names:
        weights["alpha_shared"] = float(likelihood.alpha_shared(F))
        found[VARIANCES["alpha_shared"]] = float(sigma2 / weights["alpha_shared"])
    return Estimate(weights, found)
