"""Variances of tasks within groups, by restricted maximum likelihood or Laplace evidence."""

import numpy as np

from skmtl._threads import one_blas_thread
from skmtl.penalties import sums_of_members
from skmtl.tuning._covariance import DiagonalCovariance
from skmtl.tuning._identified import check_confounded, check_freedom, which
from skmtl.tuning._nested_evidence import NestedEvidence
from skmtl.tuning._optimum import minimize_from
from skmtl.tuning._random_coefficients import VARIANCES, Estimate
from skmtl.tuning._restricted import RestrictedLikelihood
from skmtl.tuning._weight_range import log_median

_LEAST = 1e-6  # second derivative in log alpha, at most, beyond which there is only the limit inf
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
    if spec.covariance_type not in (None, "spherical"):
        raise ValueError(
            f"{which(names)} with several task columns estimates one variance for each column. Set "
            "the penalty weights to numbers, covariance_type to None, or task_column to one column."
        )
    data, nesting, own = problem.data.rotated, problem.penalty.nesting, []
    known, labels, masks, sizes = _known(names, problem.penalty, data.n_features), [], [], []
    unit = problem.penalty.with_weights(alpha=np.ones(len(nesting.levels)))
    kind = NestedEvidence if spec.classifier else NestedLikelihood
    kind = kind(spec, names, problem.with_penalty(unit))
    squares = data.square_norms.sum(axis=1) / max(1, data.n_features)
    curvature = [kind.curvature * part for part in (squares, data.totals)]
    of_center = curvature[0].sum(keepdims=True)
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
    kind.check(known, dict(zip(labels, masks, strict=True)))
    masks = np.reshape(masks, (len(masks), len(known)))  # of none, too
    if kind.searches_center and "alpha_shared" in names and of_center.any():
        own.append(("alpha_shared", -1))
        labels.append("of the center")
        sizes.append(of_center)
    criterion = kind.criterion(masks.T, known, own)
    typical = np.array([log_median(size) for size in sizes])
    lower = typical + np.log(kind.least)
    upper = 0.5 * np.log([(size**2).sum() / _LEAST for size in sizes])
    levels = np.array([level for _, level in own])
    start = kind.start(typical, own)
    starts = [start, *(start + _FAR * (levels == k) for k in range(len(nesting.levels)))]
    with one_blas_thread():
        x = kind.minimum(criterion, starts, lower, upper, np.arange(len(own))[:, None])
    for place in np.flatnonzero(x <= lower + 1e-6):
        kind.at_least(own[place][0], labels[place], np.exp(x[place]))
    return _estimate(names, own, nesting, kind, criterion.factor(x), x, x <= lower + 1e-6)


class NestedLikelihood:
    """The restricted likelihood, as what estimates of variances maximize.

    Parameters
    ----------
    spec : Spec
    names : tuple of str
    problem : Problem
        All alpha are 1.

    Attributes
    ----------
    least : float
        Multiple of the curvature of the data at which the search ends.
    curvature : float
        Bound of the second derivative of the loss.
    searches_center : bool
        Whether alpha_shared is a parameter of the search.
    """

    least, curvature, searches_center = 1e-10, 1.0, False

    def __init__(self, spec, names, problem):
        self._names, self._problem = names, problem
        self.likelihood = RestrictedLikelihood(
            problem.data.rotated,
            problem.loss,
            problem.penalty,
            estimates_center="alpha_shared" in names,
        )

    def check(self, known, parts):
        """Raise where variances are not identified; see ``check_confounded``."""
        likelihood = self.likelihood
        check_freedom(self._names, likelihood.freedom, self._problem)
        check_confounded(self._names, known, parts, likelihood.rows.products())
        if likelihood.is_exact(np.diag(np.sqrt(known))):
            raise ValueError(
                f"{which(self._names)}: the shared model fits all rows exactly (a constant y, "
                "say), and variances cannot be estimated. Set the penalty weights to numbers."
            )

    def criterion(self, masks, known, own):
        """Return the criterion in the logarithms of the weights ``own``."""
        return DiagonalCovariance(self.likelihood, masks, known)

    def start(self, typical, own):
        """Return where the search starts, given typical weights: there."""
        return typical

    def minimum(self, criterion, starts, lower, upper, limits):
        """Return the minimum; see ``minimize_from``."""
        return minimize_from(criterion, starts, lower, upper, limits)

    def at_least(self, name, label, weight):
        """Raise where a weight, of a variance with a label, is at the end of the search."""
        raise ValueError(
            f"{which(self._names)}: the likelihood grows without bound where the rows have no "
            "noise. Set the penalty weights to numbers, or use more rows."
        )

    def criteria(self, value, sigma2):
        """Return the attributes of the estimator for the noise and the likelihood, a dict."""
        return {"sigma2_": float(sigma2), "restricted_log_likelihood_": float(-value / 2)}


def _known(names, penalty, d):
    """Return the variances that are known, (L (d + 1),), zeros for the others."""
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
    return known.ravel()


def _estimate(names, own, nesting, kind, F, x, at_least):
    """Return the ``Estimate``, given which weight of which level each logarithm in x is."""
    value, sigma2 = kind.likelihood.evaluate(F)
    found, weights, variances = kind.criteria(value, sigma2), {}, {}
    for name in names:
        if name == "alpha_shared":
            weights[name] = float(kind.likelihood.alpha_shared(F))
            found[VARIANCES[name]] = float(sigma2 / weights[name])
        else:
            weights[name] = np.full(len(nesting.levels), np.inf)
            variances[name] = np.zeros(len(nesting.levels))
    for (name, level), log_weight, unbounded in zip(own, x, at_least, strict=True):
        if name != "alpha_shared":
            weights[name][level] = np.exp(log_weight)
            variances[name][level] = np.inf if unbounded else sigma2 * np.exp(-log_weight)
        elif unbounded:
            found[VARIANCES[name]] = np.inf
    for name, each in variances.items():
        found[VARIANCES[name]] = nesting.by_column(each)
    return Estimate(weights, found)
