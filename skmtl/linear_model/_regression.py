"""The base of the regressors."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin, clone

from skmtl._callbacks import Progress, reporting_fit
from skmtl._typing import Array
from skmtl._warn import warn
from skmtl.data import (
    TaskMoments,
    moments_of_rows,
    read_rows,
    rows_of_moments,
    same_task_columns,
)
from skmtl.linear_model._base import LinearMultiTaskModel, set_columns
from skmtl.linear_model._observed import is_complete, observed_r2, scored_targets


class Regressor(RegressorMixin, LinearMultiTaskModel):
    """Base of the regressors: the squared loss and a numeric target."""

    _alternative = "MeanRegularizedRegressor"

    def predict(self, X: ArrayLike) -> Array:
        """Predict with the coefficients of each row's task.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            As in ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Predictions; one column per task in the wide form.
        """
        return self._raw_prediction(X)

    @reporting_fit
    def fit_moments(self, moments: TaskMoments) -> Self:
        """Fit the model to the moments of rows, as ``fit`` does to the rows.

        Parameters
        ----------
        moments : TaskMoments
            Their ``task_column`` is that of the model.

        Returns
        -------
        object
            The fitted estimator itself, with ``moments_``.
        """
        spec = self._spec()
        if not isinstance(moments, TaskMoments):
            raise TypeError(
                f"fit_moments takes TaskMoments, got {type(moments).__name__}: make them of rows "
                "by TaskMoments.from_data, from_batches or from_frame."
            )
        columns = moments.task_column, self.task_column
        if not same_task_columns(*columns, moments.feature_names):
            raise ValueError(
                f"The moments have task_column={moments.task_column!r} and the model "
                f"{self.task_column!r}. Set both to the same column."
            )
        rows = rows_of_moments(moments, centered=self.fit_intercept)
        self._fit_rows(spec, rows, Progress(self, None, None, None))
        self.moments_ = moments
        set_columns(self, moments.n_features, moments.feature_names)
        return self

    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Add a batch of rows and fit the model to all batches.

        The model is that of ``fit`` of all rows. Its state are ``moments_``, T (d + 1)^2 numbers.
        A batch may bring new tasks; one with an error changes nothing.

        Parameters
        ----------
        X, y, sample_weight : array-like
            As in ``fit``.

        Returns
        -------
        object
            The fitted estimator itself.

        Raises
        ------
        ValueError
            If the model was fitted by ``fit``, which keeps no moments. A model of one
            one-dimensional y, without tasks, begins anew with a warning.
        """
        before = getattr(self, "moments_", None)
        if before is None and hasattr(self, "tasks_"):
            self._check_replaceable()
        reader = clone(self) if before is None else self  # an error leaves the last fit as it was
        rows = read_rows(reader, X, y, sample_weight, reset=before is None)
        batch = moments_of_rows(reader, rows)
        return self.fit_moments(batch if before is None else before + batch)

    def _check_replaceable(self):
        """Raise or, without tasks, warn that a batch would replace a fit without moments."""
        fitted = f"This {type(self).__name__} was fitted by fit, which keeps no moments of its rows"
        if self.task_column is not None or len(self.tasks_) > 1:
            raise ValueError(
                f"{fitted}. Call partial_fit of a clone on all old rows once, then on each batch."
            )
        # scikit-learn's checks call partial_fit after fit
        warn(f"{fitted}: partial_fit begins anew. Use partial_fit from the first batch on.")

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return R^2 of the predictions.

        In the wide form it is the mean over tasks of R^2 over the observed targets; tasks with
        fewer than two of them are left out.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            As in ``fit``.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Target; NaN in the wide form is not observed.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            Weight of each row or, in the wide form, of each target.

        Returns
        -------
        float
            At most 1; NaN, with a warning, if no task has two observed targets.
        """
        y = scored_targets(self, y, sample_weight)
        weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        if is_complete(y, weight):
            return super().score(X, y, weight)
        return observed_r2(np.asarray(y, dtype=np.float64), self.predict(X), weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = self.task_column is None
        return tags
