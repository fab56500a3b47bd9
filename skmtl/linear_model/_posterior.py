"""Standard deviations of predictions of models with a quadratic coupling."""

from __future__ import annotations

from functools import cached_property
from typing import Literal, overload

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.utils.validation import check_is_fitted

from skmtl._typing import Array
from skmtl._warn import warn
from skmtl.linear_model._base import LinearMultiTaskModel

_NONE_LEFT = 1e-8  # share of the rows below which no degrees of freedom are left
_CHUNK = 2**22  # numbers of sparse rows that are dense at a time


class PosteriorRegressor(LinearMultiTaskModel):
    """What regressors with a quadratic coupling add: the noise variance, and how sure they are."""

    @cached_property
    def sigma2_(self) -> float:
        """Noise variance of weight 1, in units of the square of y.

        The residual sum of squares over N - df: N is the sum of the weights, df the effective
        degrees of freedom. nan if none are left. With "auto", the estimate of the likelihood.
        """
        posterior = posterior_of(self)
        squares, total = self._squares
        left = total - posterior.degrees()
        return float(squares / left) if left > _NONE_LEFT * total else np.nan

    @overload
    def predict(self, X: ArrayLike, return_std: Literal[False] = False) -> Array: ...
    @overload
    def predict(self, X: ArrayLike, return_std: Literal[True]) -> tuple[Array, Array]: ...

    def predict(self, X: ArrayLike, return_std: bool = False) -> Array | tuple[Array, Array]:
        """Predict with the coefficients of each row's task.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            As in ``fit``.
        return_std : bool, default=False
            Whether to return standard deviations too.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Predictions; one column per task in the wide form.
        std : ndarray, same shape
            With ``return_std``. Standard deviation of a new observation of weight 1, given the
            penalty weights: that of the noise and of the coefficients. For a task that was not in
            fit it includes the differences between tasks. inf where neither the rows of fit nor a
            penalty determine the prediction.
        """
        X, codes = self._prediction_rows(X)
        y = self._linear_prediction(X, codes)
        return (y, self._std(X, codes)) if return_std else y

    def _std(self, X, codes):
        posterior = posterior_of(self)
        if np.isnan(self.sigma2_):
            raise ValueError(
                "The fit leaves no degrees of freedom for the noise, so that sigma2_ is nan and "
                "predictions have no standard deviation. Raise alpha, use fewer features, or set "
                "alpha='auto'."
            )
        noise, noise_unseen = self._noise()
        if self._wide:
            return _std(noise, self.sigma2_, in_strips(self, X, posterior.variances_of_all))
        codes = np.zeros(X.shape[0], dtype=np.intp) if codes is None else codes
        variance, n_tasks = np.empty(len(codes)), len(self.tasks_)
        seen = (codes >= 0) & (codes < n_tasks)
        variance[seen] = in_strips(self, X[seen], posterior.variances, codes[seen])
        if not seen.all():
            groups = np.where(codes[~seen] < 0, -1, codes[~seen] - n_tasks)
            variance[~seen] = in_strips(self, X[~seen], posterior.unseen_variances, groups)
            if np.isinf(variance[~seen]).any():
                warn(
                    "Standard deviations are inf for tasks that were not in fit: with a penalty "
                    "weight of 0 (alpha or alpha_intercept) the others say nothing about them."
                )
        return _std(np.where(seen, noise[codes * seen], noise_unseen), self.sigma2_, variance)

    def _noise(self):
        """Return the noise variances of the tasks, (T,), and of a task that was not in fit."""
        if not hasattr(self, "noise_variance_") or self._reference.noise is None:
            return np.full(len(self.tasks_), self.sigma2_), self.sigma2_
        own, pooled = self.noise_variance_, self._reference.noise.pooled
        return np.where(np.isnan(own), pooled, own), pooled

    def _set_attributes(self, fit):
        super()._set_attributes(fit)
        point = fit.solution.coefficients
        loss = fit.solution.objective - fit.problem.penalty.value(point)
        self._squares = 2.0 * max(loss, 0.0), float(fit.problem.data.totals.sum())


def _std(noise, sigma2, variance):
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(variance), np.inf, np.sqrt(noise + sigma2 * variance))


def posterior_of(model):
    """Return the ``Posterior`` of a fitted model; raise ValueError if it has none."""
    check_is_fitted(model)
    posterior = model._posterior
    reason = posterior if isinstance(posterior, str) else posterior.objection()
    if reason is not None:
        raise _NoPosteriorError(
            f"This {type(model).__name__} has no standard deviations: {reason}."
        )
    return posterior


class _NoPosteriorError(ValueError, AttributeError):
    """Raised for ``sigma2_`` too, which is then no attribute."""


def in_strips(model, X, function, *of_rows):
    """Return ``function(Z, *of_rows)`` of rows X in the coordinates Z of a model's fit.

    These are dense: those of sparse rows are computed by strips.
    """
    n, step = X.shape[0], max(1, X.shape[0])
    if issparse(X):
        step = max(1, _CHUNK // max(1, X.shape[1]))
    strips = [slice(first, first + step) for first in range(0, max(n, 1), step)]
    parts = [function(posed_features(model, X[s]), *(own[s] for own in of_rows)) for s in strips]
    return np.concatenate(parts)


def posed_features(model, X):
    """Return features (n, d) in the coordinates in which the fit of a model was posed."""
    reference = model._reference
    return _in_basis(reference, (X.toarray() if issparse(X) else X) - reference.center)


def _in_basis(reference, Z):
    if reference.basis is None:
        return Z
    B = reference.basis.B
    return Z * B if B.ndim == 1 else Z @ B


def coefficient_variances(model, at=None):
    """Return the variances of the coefficients and of the predictions at features ``at`` (d,).

    By default these are 0, so that the prediction is the intercept. Of all tasks (T, d + 1), and
    of the center (d + 1,) or None, in units of the noise. Raise ValueError if there are none.
    """
    posterior, (Z, constant) = posterior_of(model), _forms(model, at)
    own = posterior.variances_of_all(Z, constant).T
    return own, posterior.center_variances(Z, constant) if model._has_center else None


def group_variances(model):
    """Return the variances of the groups of each outer column, a list of (G, d + 1)."""
    return posterior_of(model).group_variances(*_forms(model))


def coefficient_weights(model):
    """Return the weights of other tasks in the coefficients and intercepts of a fitted model.

    Shape (T, d + 1); see ``skmtl.inspection.pooling_factor``.
    """
    return np.clip(posterior_of(model).pooling(*_bases(model)), 0.0, 1.0)


def group_weights(model):
    """Return the pooling weights of the groups of each outer column, a list of (G, d + 1)."""
    return [np.clip(own, 0.0, 1.0) for own in posterior_of(model).group_pooling(*_bases(model))]


def _bases(model):
    """Return the coefficients in the coordinates of the fit, and these in the former."""
    basis, eye = model._reference.basis, np.eye(model.coef_.shape[-1])
    inverse = eye if basis is None else basis.coordinates(eye).T
    return _forms(model)[0][:-1], inverse


def _forms(model, at=None):
    """Return the coefficients and the prediction at some features as forms of a ``Posterior``."""
    d = model.coef_.shape[-1]
    slopes = _in_basis(model._reference, np.eye(d))
    at = np.zeros(d) if at is None else at
    return np.vstack([slopes, posed_features(model, at[None])]), np.append(np.zeros(d), 1.0)
