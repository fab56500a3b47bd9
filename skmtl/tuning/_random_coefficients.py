"""Variances of the random-coefficient model of a regression, by restricted maximum likelihood."""

from typing import Any, NamedTuple

import numpy as np

from skmtl._threads import one_blas_thread
from skmtl._warn import warn
from skmtl.tuning._covariance import Axes, DiagonalCovariance, FullCovariance
from skmtl.tuning._identified import (
    check_confounded,
    check_form,
    check_freedom,
    which,
)
from skmtl.tuning._optimum import COARSE, GRIDS, Descent, minimize, minimize_from
from skmtl.tuning._restricted import RestrictedLikelihood
from skmtl.tuning._weight_range import WeightRange, log_median

VARIANCES = {
    "alpha": "tau2_",
    "alpha_intercept": "tau2_intercept_",
    "alpha_shared": "tau2_shared_",
}
PARTS = {"alpha": "of coefficients", "alpha_intercept": "of intercepts between tasks"}
_MANY = 100  # blocks of tasks that leave one maximum
_MOST = 14.0  # log of the multiple of the curvature above which tasks do not differ
SAMPLE = 250  # blocks of tasks in which the search begins where there are twice as many
_CHEAP = 2**14  # numbers in the Gram matrices of a sample, at least
START = 0.5  # norm of the gradient of a sample at the start of the search: little beside its error
_NO_NOISE = 1e-6  # share of sigma2 of one variance
_GROWS = 1e-3  # decrease per factor e of a penalty weight of a criterion without lower bound


class Estimate(NamedTuple):
    """Estimated penalty weights.

    Attributes
    ----------
    weights : dict
        alpha, alpha_intercept and alpha_shared of the penalty.
    found : dict
        Attributes of the estimator.
    axes : Axes or None
        Of the features, in which deviations have independent and equal variances.
    """

    weights: dict
    found: dict
    axes: Any = None


class RandomCoefficients:
    """Maximize a likelihood over the penalty weights that are "auto": the restricted one.

    Parameters
    ----------
    spec : Spec
    names : tuple of str
        Of the penalty weights to estimate.
    posed : Posed
        In whose fixed coordinates slopes have no variance between tasks.
    """

    _least = 1e-10  # multiple of the curvature of the loss below which there is no noise

    def __init__(self, spec, names, posed):
        problem, basis = posed.problem, posed.basis
        self._common = basis.fixed if basis is not None and basis.fixed.any() else None
        self._units = np.ones(problem.data.n_features) if basis is None else basis.B
        self._names, self._problem, self._prior = names, problem, spec.covariance_prior
        n_rows = problem.data.n_rows if posed.rows.wide else posed.rows.counts.sum()
        many = n_rows > problem.data.n_features and not problem.data.expensive_blocks
        self._form = spec.covariance_type or self._default_form(many and "alpha" in names)
        rows = getattr(posed.rows, "X", None)  # none on Dask
        check_form(self._form, rows, n_rows, problem.data.n_features)
        given = posed.rows.names
        numbers = [f"feature {j}" for j in range(problem.data.n_features)]
        self._features = numbers if given is None else [repr(name) for name in given]
        self._own = tuple([name for name in names if name != "alpha_shared"])

    def _default_form(self, many):
        """Return the ``covariance_type`` of None; ``many``: enough rows for one per feature."""
        return "diag" if many else "spherical"

    def estimate(self):
        """Return the ``Estimate``."""
        data = self._problem.data if self._common is not None else self._problem.data.rotated
        likelihood, known = self._likelihood(data), self._known_variances(data)
        parts = {PARTS[name]: self._part(name, len(known)) for name in self._own}
        check_freedom(self._names, likelihood.freedom, self._problem)
        check_confounded(self._own, known, parts, likelihood.rows.products())
        if likelihood.is_exact(np.diag(np.sqrt(known))):
            return self._by_feature(self._exact(data))
        span = WeightRange.of(self._own, data, curvature=1.0, least=self._least)
        parts = [self._part(name, len(known)) for name in span.names]
        M = np.reshape(parts, (-1, len(known))).T
        criterion = DiagonalCovariance(likelihood, M, known)
        one_variance = self._form == "spherical" or "alpha" not in span.names
        # Products are small: several BLAS threads would wait for each other.
        with one_blas_thread():
            x = self._one_variance(criterion, span, final=one_variance)
            if not (one_variance or span.at_least(x)):
                noise = likelihood.evaluate(criterion.factor(x))[1]
                same = likelihood if data is self._problem.data else None
                estimate = self._of_form(dict(zip(span.names, x, strict=True)), same, noise)
                if estimate is not None:
                    return estimate
                x = self._one_variance(criterion, span, final=True)
        if self._common is None:
            weights = dict.fromkeys(self._own, np.inf) | span.weights(x)
            estimate = self._of_weights(criterion, x, weights)
        else:
            estimate = self._of_covariance(likelihood, criterion.factor(x))
        return self._by_feature(self._without_noise(estimate, criterion, x, span))

    def _part(self, name, size):
        """Return which of the variances (d + 1,) a penalty weight determines, a mask."""
        part = (np.arange(size) < size - 1) == (name == "alpha")
        if self._common is not None:
            part[:-1] &= ~self._common
        return part

    def _one_variance(self, criterion, span, *, final):
        """Return the logarithms of the weights where all slopes have one variance.

        The likelihood of many tasks has one maximum, and a sample of them its approximate place,
        which is enough unless the result is ``final``.
        """
        n_blocks = criterion.likelihood.n_blocks
        grid = COARSE if n_blocks >= _MANY else GRIDS[len(span.names)]
        if not span.names or n_blocks < 2 * SAMPLE:
            return minimize(criterion, *span.bounds, **grid, polish=final)
        typical, *bounds = span.bounds
        x = _of_sample(criterion, typical, *bounds)
        return minimize_from(criterion, [x], *bounds, np.arange(len(x))[:, None]) if final else x

    def _likelihood(self, data):
        problem, estimates_center = self._problem, "alpha_shared" in self._names
        options = {"estimates_center": estimates_center, "null": problem.null_sums()}
        return RestrictedLikelihood(data, problem.loss, problem.penalty, **options)

    def _known_variances(self, data):
        """Return the variances of (v_t, q_t) that are known, (d + 1,), in units of the noise.

        Those to be estimated are zero. Where alpha is a number the rows are scaled by it.
        """
        slopes, intercept = np.full(data.n_features, float("alpha" not in self._names)), 0.0
        if self._common is not None:
            slopes[self._common] = 0.0
        if "alpha_intercept" not in self._names and self._problem.penalty.alpha_intercept > 0:
            intercept = 1.0 / self._problem.penalty.alpha_intercept
        return np.append(slopes, intercept)

    def _exact(self, data):
        """Return the limits where the shared model fits all rows."""
        joined = f" At {' and '.join(f'{name}_=inf' for name in self._own)}, tasks do not differ."
        warn(
            f"{which(self._names)} finds neither noise nor differences between tasks: the shared "
            "model fits all rows exactly (a constant y, say), and variances cannot be estimated."
            f"{joined if self._own else ''}"
        )
        unknown = {VARIANCES[name]: np.nan for name in self._names}
        found = {"sigma2_": 0.0, **unknown, "restricted_log_likelihood_": np.inf}
        weights = dict.fromkeys(self._own, np.inf)
        if "alpha_shared" in self._names:
            weights["alpha_shared"] = 0.0
        alone = self._common is None or "alpha" in self._names
        F = np.diag(np.sqrt(self._known_variances(data)))
        axes = None if alone else self._axes(F, weights.get("alpha_shared", 1.0))
        return Estimate(weights, found, axes)

    def _of_weights(self, criterion, x, weights):
        """Return the ``Estimate`` of one variance of all slopes."""
        F = criterion.factor(x)
        likelihood = criterion.likelihood
        value, sigma2 = likelihood.evaluate(F)
        weights["alpha_shared"] = float(likelihood.alpha_shared(F))
        found = self._criteria(value, sigma2)
        for name in self._names:
            found[VARIANCES[name]] = float(sigma2 / weights[name])
        return Estimate({name: weights[name] for name in self._names}, found)

    def _without_noise(self, estimate, criterion, x, span):
        """Return the limit without noise, where weights are at the lower end of their range."""
        weights, found, at_least = estimate.weights, estimate.found, span.at_least(x)
        near = np.array([name in at_least for name in span.names])
        if near.any() and criterion(x + near) > criterion(x) + _GROWS:
            found["restricted_log_likelihood_"] = np.inf
        shared = weights["alpha_shared"] if "alpha_shared" in self._names else np.inf
        has_center = np.isfinite(shared).all()
        for name in at_least:  # in the limit only the ratio of variances is identified
            found["sigma2_"] = 0.0
            found[VARIANCES[name]] *= np.nan  # a number, or one per feature
            if "covariance_" in found:
                found["covariance_"] *= np.nan
            if has_center:  # both are small
                found["tau2_shared_"] = np.nan
            elif self._common is None:  # else deviations without penalty would not be common
                weights[name] = 0.0
        return estimate

    def _by_feature(self, estimate):
        """Return the estimate with attributes of the shape that the form of the covariance has."""
        weights, found, d = estimate.weights, estimate.found, len(self._units)
        if self._form != "spherical" and "alpha" in self._names and "covariance_" not in found:
            found["alpha_"] = np.full(d, weights["alpha"])
            found["tau2_"] = found["tau2_"] * self._units**2
            known = found.get("sigma2_", 1.0) * self._known_variances(self._problem.data)[-1]
            covariance = np.diag(np.append(found["tau2_"], found.get("tau2_intercept_", known)))
            found["covariance_"] = self._with_flat_intercept(covariance)
        return estimate

    def _of_form(self, start, likelihood, noise):
        """Return the ``Estimate`` of a covariance, or None, with a warning, if it leaves no noise.

        ``start`` are logarithms of the weights of one variance, ``noise`` is sigma2 there.
        """
        data = self._problem.data
        likelihood, known = likelihood or self._likelihood(data), self._known_variances(data)
        size = np.vstack([data.square_norms.T, data.totals])  # (d + 1, T)
        own = [self._part(name, len(known)) for name in start if name in self._own]
        with_data = np.flatnonzero(size.any(axis=1) & np.any(own, axis=0))
        is_slope = with_data < data.n_features
        if not self._prior and is_slope.sum() > 1:  # that of one is checked
            self._check_form(likelihood, known, with_data)
        typical = np.array([log_median(own) for own in size[with_data]])
        x = np.where(is_slope, start["alpha"], start.get("alpha_intercept", np.inf))
        x = np.where(np.isfinite(x), x, typical)
        starts = [x] if likelihood.n_blocks >= _MANY else [x, typical]
        M = np.eye(len(known))[:, with_data]
        criterion = DiagonalCovariance(likelihood, M, known, self._prior)
        bounds = typical + np.log(self._least), typical + np.log(data.n_tasks) + _MOST
        each = [np.array([j]) for j in range(len(x))]
        together = [np.flatnonzero(is_slope), *each[np.count_nonzero(is_slope) :]]
        limits = together if self._prior else each
        if self._form == "full":
            x = self._start_of_full(criterion, starts, bounds, limits, start)
            x = np.where(np.isfinite(x), x, typical)
            criterion = FullCovariance(likelihood, with_data, typical, known, self._prior)
            starts = [criterion.parameters(x)]
            bounds = criterion.bounds(np.log(self._least))
            limits = [] if self._prior else criterion.diagonal
        F = criterion.factor(self._minimum(criterion, starts, bounds, limits, start))
        if likelihood.evaluate(F)[1] > _NO_NOISE * noise:
            return self._of_covariance(likelihood, F)
        warn(
            f"covariance_type={self._form!r}: tasks have so few rows for {data.n_features} "
            "features that the likelihood is largest without any noise. One variance of all "
            "coefficients is estimated instead. Use more rows or fewer features, or set "
            f"covariance_type to {('diag' if self._form == 'full' else 'spherical')!r}."
        )
        return None

    def _start_of_full(self, criterion, starts, bounds, limits, start):
        """Return about the minimum with a variance for each feature; see ``_minimum``."""
        if criterion.likelihood.n_blocks < 2 * SAMPLE:
            return self._minimum(criterion, starts, bounds, limits, start)
        return _of_sample(criterion, starts[0], *bounds)

    def _check_form(self, likelihood, known, with_data):
        """Raise where variances of ``with_data``, one each, are not identified."""
        labels = [f"of coefficients of {name}" for name in self._features]
        labels.append(PARTS["alpha_intercept"])
        parts = {labels[j]: np.eye(len(known))[j] for j in with_data}
        check_confounded(self._own, known, parts, likelihood.rows.products())

    def _minimum(self, criterion, starts, bounds, limits, start):
        """Return the parameters of the covariance that minimize a criterion; see ``_of_form``."""
        return minimize_from(criterion, starts, *bounds, limits)

    def _criteria(self, value, sigma2):
        """Return the attributes of the estimator for the noise and the likelihood, a dict."""
        return {"sigma2_": float(sigma2), "restricted_log_likelihood_": float(-value / 2)}

    def _of_covariance(self, likelihood, F):
        """Return the ``Estimate`` of a covariance ``F F'``, in its ``Axes``."""
        value, sigma2 = likelihood.evaluate(F)
        alpha_shared = likelihood.alpha_shared(F)
        axes = self._axes(F, alpha_shared)
        covariance = sigma2 * F @ F.T
        tau2, units = np.diag(covariance).copy(), np.append(self._units, 1.0)
        shared = alpha_shared if np.isinf(alpha_shared) else alpha_shared * axes.squares
        weights = {"alpha": 1.0, "alpha_shared": shared}
        with np.errstate(divide="ignore"):
            found = self._criteria(value, sigma2) | {
                "covariance_": self._with_flat_intercept(covariance * np.outer(units, units)),
                "tau2_": tau2[:-1] * units[:-1] ** 2,
                "alpha_": sigma2 / tau2[:-1],
                "alpha_shared_": float(alpha_shared),
            }
            if "alpha_intercept" in self._names:
                found["alpha_intercept_"] = float(sigma2 / tau2[-1])
                weights["alpha_intercept"] = float(1.0 / np.float64(axes.intercept))
            for name in set(self._names) - {"alpha"}:
                found[VARIANCES[name]] = float(sigma2 / found[f"{name}_"])
        if "alpha" not in self._names:
            del weights["alpha"], found["alpha_"], found["tau2_"], found["covariance_"]
        return Estimate(weights, found, axes)

    def _axes(self, F, alpha_shared):
        """Return the ``Axes`` of a covariance, in which alpha is what it was or, estimated, 1."""
        axes = Axes.of(F, self._problem.data.square_norms.sum(axis=0), alpha_shared)
        alpha = self._problem.penalty.alpha
        alpha = alpha[np.isfinite(alpha)].min(initial=1.0)
        if "alpha" in self._names or alpha == 1.0:
            return axes
        scale = np.where(axes.fixed, alpha, 1.0)  # their columns are small beside alpha
        return axes._replace(B=axes.B * np.sqrt(scale), squares=axes.squares * scale)

    def _with_flat_intercept(self, covariance):
        """Return the covariance with the variance inf of intercepts without penalty."""
        if self._problem.penalty.alpha_intercept == 0:
            covariance[-1, -1] = np.inf
        return covariance


def _of_sample(criterion, start, lower, upper):
    """Return about where the criterion is least, near a start (k,), by a sample of many blocks."""
    free, rows = np.ones(len(start), dtype=bool), criterion.likelihood.rows
    n_blocks = max(SAMPLE, _CHEAP // rows.R.shape[1] ** 2)
    if rows.n_blocks >= 2 * n_blocks:
        criterion = criterion.sample(n_blocks)
    return Descent(criterion, free, lower, upper).to(START, start)[1]
