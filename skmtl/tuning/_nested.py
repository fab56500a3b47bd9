"""Variances of tasks within groups, by restricted maximum likelihood or Laplace evidence."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from skmtl._threads import one_blas_thread
from skmtl.penalties import sums_of_members
from skmtl.tuning._covariance import DiagonalCovariance, level_axes
from skmtl.tuning._identified import check_confounded, check_freedom, which
from skmtl.tuning._nested_evidence import NestedEvidence
from skmtl.tuning._optimum import ROUGH, minimize_from
from skmtl.tuning._random_coefficients import (
    NO_NOISE,
    VARIANCES,
    Estimate,
    form_of,
    listed_features,
    warn_of_no_noise,
)
from skmtl.tuning._restricted import RestrictedLikelihood
from skmtl.tuning._weight_range import log_median

_LEAST = 1e-6  # second derivative in log alpha, at most, beyond which there is only the limit inf
_FAR = np.log(100.0)  # of other starts of the search from typical penalty weights
_FEW = 100  # tasks that may leave several maxima
_OWN = {"alpha": "of coefficients", "alpha_intercept": "of intercepts"}


class NestedVariances:
    """What ``RandomCoefficients`` are for tasks in groups: variances of each level.

    Parameters
    ----------
    spec : Spec
    names : tuple of str
    posed : Posed
        With a `NestedCoupling`.
    """

    def __init__(self, spec, names, posed):
        if spec.covariance_type == "full":
            raise ValueError(
                f"{which(names)} with several task columns estimates variances of independent "
                "coefficients. Set covariance_type to 'diag' or 'spherical', the penalty weights "
                "to numbers, or task_column to one column."
            )
        problem, basis = posed.problem, posed.basis
        d = problem.data.n_features
        self._names, self._problem, self._prior = names, problem, spec.covariance_prior
        self._nesting, self._features = problem.penalty.nesting, listed_features(posed)
        self._common = np.zeros(d, dtype=bool) if basis is None else basis.fixed
        self._units = np.ones(d) if basis is None else basis.B
        unit = problem.penalty.with_weights(alpha=np.ones(len(self._nesting.levels)))
        kind = NestedEvidence if spec.classifier else NestedLikelihood
        self._of_data = partial(kind, spec, names, problem.with_penalty(unit))
        self._form = form_of(spec, names, posed, has_slopes=kind.has_slopes(problem.data))

    def estimate(self):
        """Return the ``Estimate``."""
        data = self._problem.data.rotated
        kind, known = self._of_data(data), self._known(data.n_features)
        one = self._parameters(kind, data)
        kind.check(known, one.parts)
        search = _Search(kind, one, known)
        starts = [one.start, *one.far_from(one.start)]
        by_feature = self._form == "diag" and any(name == "alpha" for name, _ in one.own)
        x = search.minimum(starts, final=not by_feature)
        if by_feature:
            if not search.at_least(x).any():
                noise = kind.likelihood.evaluate(search.criterion.factor(x))[1]
                other = kind if data is self._problem.data else self._of_data(self._problem.data)
                estimate = self._by_feature(other, dict(zip(one.own, x, strict=True)), noise)
                if estimate is not None:
                    return estimate
            x = search.minimum(starts)
        search.check(x)
        if self._common.any():
            return self._of_covariance(kind, search.criterion.factor(x))
        estimate = self._of_weights(search, x)
        return self._of_features(estimate) if self._form == "diag" else estimate

    def _by_feature(self, kind, start, noise):
        """Return the ``Estimate`` of variances of each feature, or None if they leave no noise.

        ``start`` has logarithms of the weights of one variance of each level, ``noise`` is sigma2
        there.
        """
        data = self._problem.data
        known = self._known(data.n_features)
        each = self._parameters(kind, data, by_feature=True)
        if not self._prior:
            kind.check(known, each.parts)
        search = _Search(kind, each, known, self._prior)
        x = np.array([start[own] for own in each.own])
        x = np.where(np.isfinite(x), x, each.start)
        x = search.minimum([x] if data.n_tasks >= _FEW else [x, each.start, *each.far_from(x)])
        F = search.criterion.factor(x)
        least = kind.likelihood.evaluate(F)[1] <= NO_NOISE * noise
        if least or (kind.has_noise and search.at_least(x).any()):
            warn_of_no_noise(self._form, data.n_features)
            return None
        search.check(x)
        return self._of_covariance(kind, F)

    def _known(self, d):
        """Return the variances that are known, (L (d + 1),), zeros for the others."""
        penalty = self._problem.penalty
        known = np.zeros((len(self._nesting.levels), d + 1))
        for name, weights, columns in (
            ("alpha", penalty.level_alpha, slice(None, -1)),
            ("alpha_intercept", penalty.alpha_intercept, slice(-1, None)),
        ):
            if name not in self._names:
                if (weights == 0).any():
                    raise ValueError(
                        f"{which(self._names)} with several task columns requires a positive "
                        f"{name}, got 0. Set {name} to a positive number, inf or 'auto'."
                    )
                known[:, columns] = 1.0 / weights[:, None]
        if self._common.any():
            known[:, :-1][:, self._common] = 0.0
        return known.ravel()

    def _parameters(self, kind, data, *, by_feature=False):
        """Return the ``_Parameters``, one for each level and name, or for each feature."""
        d, nesting, found = data.n_features, self._nesting, _Parameters([], [], [], [], kind)
        curvature = kind.curvature * np.column_stack([data.square_norms, data.totals])
        of_center = curvature[:, :d].sum(keepdims=True)[0] / max(1, d)
        slopes = np.flatnonzero(~self._common) if self._common.any() else np.arange(d)
        parts = {"alpha": slopes[:, None] if by_feature else [slopes], "alpha_intercept": [[d]]}
        for level, column in enumerate(nesting.columns):
            for name in [name for name in _OWN if name in self._names]:
                for own in parts[name]:
                    mask = np.zeros((len(nesting.levels), d + 1))
                    mask[level, own] = 1.0
                    size = curvature[:, own].sum(axis=1) / max(1, len(own))
                    one = f" of {self._features[own[0]]}" if by_feature and own[0] < d else ""
                    label = f"{_OWN[name]}{one} between labels of {column!r}"
                    found.add((name, level), label, mask.ravel(), size)
            if level < len(nesting.parents):
                curvature = sums_of_members(curvature, nesting.parents[level], axis=0)
        if kind.searches_center and "alpha_shared" in self._names:
            found.add(("alpha_shared", -1), "of the center", None, of_center)
        return found

    def _of_weights(self, search, x):
        """Return the ``Estimate`` of one variance of each level."""
        kind, nesting, F = search.kind, self._nesting, search.criterion.factor(x)
        value, sigma2 = kind.likelihood.evaluate(F)
        found, weights, variances = kind.criteria(value, sigma2), {}, {}
        for name in self._names:
            if name == "alpha_shared":
                weights[name] = float(kind.likelihood.alpha_shared(F))
                found[VARIANCES[name]] = float(sigma2 / weights[name])
            else:
                weights[name] = np.full(len(nesting.levels), np.inf)
                variances[name] = np.zeros(len(nesting.levels))
        own = search.parameters.own
        for (name, level), log_weight, unbounded in zip(own, x, search.at_least(x), strict=True):
            if name != "alpha_shared":
                weights[name][level] = np.exp(log_weight)
                variances[name][level] = np.inf if unbounded else sigma2 * np.exp(-log_weight)
            elif unbounded:
                found[VARIANCES[name]] = np.inf
        for name, each in variances.items():
            found[VARIANCES[name]] = nesting.by_column(each)
        return Estimate(weights, found)

    def _of_features(self, estimate):
        """Return the estimate of one variance with attributes that have one for each feature."""
        weights, found, nesting = estimate.weights, estimate.found, self._nesting
        if "alpha" in self._names:
            sigma2, d = found.get("sigma2_", 1.0), len(self._units)
            slopes = np.array([found["tau2_"][column] for column in nesting.columns])
            intercepts = sigma2 * self._known(0)
            if "alpha_intercept" in self._names:
                each = found["tau2_intercept_"]
                intercepts = np.array([each[column] for column in nesting.columns])
            alpha = np.broadcast_to(weights["alpha"][:, None], (len(slopes), d)).copy()
            found |= self._attributes(slopes[:, None] * self._units**2, intercepts, alpha)
        return estimate

    def _of_covariance(self, kind, F):
        """Return the ``Estimate`` of covariances ``F F'``, in their ``Axes``."""
        value, sigma2 = kind.likelihood.evaluate(F)
        shared, found = float(kind.likelihood.alpha_shared(F)), kind.criteria(value, sigma2)
        squares, nesting = self._problem.data.square_norms.sum(axis=0), self._nesting
        axes, weights = level_axes(F, len(nesting.levels), squares, shared)
        tau2 = sigma2 * F.diagonal().reshape(len(nesting.levels), -1) ** 2
        with np.errstate(divide="ignore"):
            alpha = sigma2 / tau2[:, :-1]
        if "alpha" in self._names:
            found |= self._attributes(tau2[:, :-1] * self._units**2, tau2[:, -1], alpha)
        if "alpha_intercept" in self._names:
            found["tau2_intercept_"] = nesting.by_column(tau2[:, -1])
        else:
            del weights["alpha_intercept"]
        found["alpha_shared_"] = shared
        if "alpha_shared" in self._names:
            found["tau2_shared_"] = float(sigma2 / shared)
        return Estimate(weights, found, axes)

    def _attributes(self, tau2, intercepts, alpha):
        """Return those of variances (L, d) and (L,), and of weights alpha (L, d), by column."""
        by_column = self._nesting.by_column
        covariance = [np.diag(own) for own in np.column_stack([tau2, intercepts])]
        each = {"covariance_": covariance, "tau2_": tau2, "alpha_": alpha}
        return {name: by_column(own) for name, own in each.items()}


class _Parameters(NamedTuple):
    """Logarithms of penalty weights to search.

    Attributes
    ----------
    own : list of tuple
        Name and level of each; alpha_shared, if any, is the last and of level -1.
    labels : list of str
        What messages call their variances.
    masks : list of ndarray of shape (L (d + 1),)
        Which variances of the deviations each determines.
    sizes : list of ndarray
        Curvature of the data in what it penalizes, of each node.
    kind : NestedLikelihood or NestedEvidence
    """

    own: list
    labels: list
    masks: list
    sizes: list
    kind: Any

    def add(self, own, label, mask, size):
        """Add one, if there are data; None is the mask of alpha_shared."""
        if size.any():
            self.own.append(own)
            self.labels.append(label)
            self.sizes.append(size)
            if mask is not None:
                self.masks.append(mask)

    @property
    def parts(self):
        """The masks by label."""
        return dict(zip(self.labels, self.masks, strict=False))

    @property
    def levels(self):
        """Level of each, (k,)."""
        return np.array([level for _, level in self.own], dtype=int)

    def far_from(self, x):
        """Return places that are far from x, one for each level of nodes, a list."""
        return [
            x + _FAR * (self.levels == level) for level in range(self.levels.max(initial=-1) + 1)
        ]

    @property
    def slopes(self):
        """Places of the slopes of each level, a list of index arrays."""
        of_slopes = np.array([name == "alpha" for name, _ in self.own], dtype=bool)
        return [np.flatnonzero(of_slopes & (self.levels == k)) for k in np.unique(self.levels)]

    @property
    def typical(self):
        """Typical weights, (k,)."""
        return np.array([log_median(size) for size in self.sizes])

    @property
    def start(self):
        """Where the search starts, (k,)."""
        return self.kind.start(self.typical, self.sizes, self.own)


class _Search:
    """Search of the best ``_Parameters``, given the variances that are known."""

    def __init__(self, kind, parameters, known, prior=0.0):
        self.kind, self.parameters = kind, parameters
        masks = np.reshape(parameters.masks, (-1, len(known))).T  # of none, too
        own = DiagonalCovariance(kind.likelihood, masks, known, prior, parameters.slopes)
        self.criterion = kind.criterion(own, ("alpha_shared", -1) in parameters.own)
        self._limits = own.limits
        if len(parameters.own) > len(parameters.masks):
            self._limits = [*own.limits, np.array([len(parameters.masks)])]
        self._lower = parameters.typical + np.log(kind.least)
        self._upper = 0.5 * np.log([(size**2).sum() / _LEAST for size in parameters.sizes])

    def minimum(self, starts, *, final=True):
        """Return the minimum, searched from some places; about that where it is not ``final``."""
        bounds = self._lower, self._upper
        # Products are small: several BLAS threads would wait for each other.
        with one_blas_thread():
            return self.kind.minimum(self.criterion, starts, *bounds, self._limits, final=final)

    def at_least(self, x):
        """Return which weights are at the lower end, a mask."""
        return x <= self._lower + 1e-6

    def check(self, x):
        """Raise or warn where weights are at the lower end."""
        for place in np.flatnonzero(self.at_least(x)):
            name, label = self.parameters.own[place][0], self.parameters.labels[place]
            self.kind.unbounded(name, label, np.exp(x[place]))


class NestedLikelihood:
    """The restricted likelihood, with what the search of its maximum needs.

    Parameters
    ----------
    spec : Spec
    names : tuple of str
    problem : Problem
        All alpha are 1.
    data : TaskData
        Those of the problem, or the same in other coordinates.

    Attributes
    ----------
    least : float
        Multiple of the curvature of the data at which the search ends.
    curvature : float
        Bound of the second derivative of the loss.
    searches_center : bool
        Whether alpha_shared is a parameter of the search.
    has_noise : bool
        Whether there is a variance of noise, without which variances have no bound.
    """

    least, curvature, searches_center, has_noise = 1e-10, 1.0, False, True

    def __init__(self, spec, names, problem, data):
        self._names, self._problem = names, problem
        self.likelihood = RestrictedLikelihood(
            data,
            problem.loss,
            problem.penalty,
            estimates_center="alpha_shared" in names,
            null=problem.null_sums(),
        )

    @staticmethod
    def has_slopes(data):
        """Return whether there are derivatives."""
        return True

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

    def criterion(self, criterion, searches_shared):
        """Return the criterion of a ``DiagonalCovariance`` and, if it is searched, alpha_shared."""
        return criterion

    def start(self, typical, sizes, own):
        """Return where the search starts, given typical weights: there."""
        return typical

    def minimum(self, criterion, starts, lower, upper, limits, *, final):
        """Return the minimum; see ``minimize_from``. If it is not ``final``, about that."""
        gtol = None if final else ROUGH
        return minimize_from(criterion, starts, lower, upper, limits, gtol=gtol)

    def unbounded(self, name, label, weight):
        """Raise where a weight, of a variance with a label, is at the end of the search."""
        raise ValueError(
            f"{which(self._names)}: the likelihood grows without bound where the rows have no "
            "noise. Set the penalty weights to numbers, or use more rows."
        )

    def criteria(self, value, sigma2):
        """Return the attributes of the estimator for the noise and the likelihood, a dict."""
        return {"sigma2_": float(sigma2), "restricted_log_likelihood_": float(-value / 2)}
