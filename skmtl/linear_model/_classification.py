"""Base of the classifiers: classes, probabilities, and warnings about them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.base import ClassifierMixin

from skmtl._typing import Array
from skmtl._warn import warn
from skmtl.data import class_mask_of
from skmtl.fitting import excludes_classes
from skmtl.linear_model._base import LinearMultiTaskModel
from skmtl.linear_model._coefficients import to_users
from skmtl.linear_model._observed import is_complete, observed_accuracy, scored_targets
from skmtl.linear_model._separation import named, warn_of_separation

_EXCLUDED = 36.0  # log-odds of a probability of 2e-16, that of excluded classes


class MultiTaskClassifier(ClassifierMixin, LinearMultiTaskModel):
    """Base of the classifiers: one log-odds for two classes, a softmax for more."""

    _alternative = "MeanRegularizedClassifier"
    _coercive_parameter = "alpha"  # the parameter that makes the objective coercive, for messages

    def predict(self, X: ArrayLike) -> Array:
        """Predict the most probable class, with each row's own task.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            As in ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Classes; in the wide form an indicator of 0 and 1, one column per task.
        """
        z = self._raw_prediction(X)
        if self._wide:
            return (z > 0).astype(np.intp)
        return self.classes_[z.argmax(axis=1) if z.ndim == 2 else (z > 0).astype(np.intp)]

    def predict_proba(self, X: ArrayLike) -> Array:
        """Return the probability of each class, with each row's own task.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            As in ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples, n_tasks)
            Probabilities in the order of ``classes_``; in the wide form that of 1 in each task.
        """
        z = self._probability_scores(X)
        if self._wide:
            return expit(z)
        return softmax(z, axis=1) if z.ndim == 2 else np.column_stack([expit(-z), expit(z)])

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """Return the logarithm of ``predict_proba``, accurate also near zero.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            As in ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples, n_tasks)
            Log-probabilities in the order of ``classes_``; in the wide form that of 1.
        """
        z = self._probability_scores(X)
        if self._wide:
            return log_expit(z)
        if z.ndim == 2:
            return log_softmax(z, axis=1)
        return np.column_stack([log_expit(-z), log_expit(z)])

    def decision_function(self, X: ArrayLike) -> Array:
        """Return x . w + b with each row's own task.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            As in ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_tasks)
            With two classes the log-odds of the second, one column per task in the wide form;
            with more, one column per class. Excluded classes are 36 below the others, a
            probability of 2e-16.
        """
        z = self._raw_prediction(X)
        if self._wide or z.ndim == 1:
            return np.where(np.isinf(z), np.sign(z) * _EXCLUDED, z)
        lowest = np.where(np.isinf(z), np.inf, z).min(axis=1, keepdims=True)
        return np.where(np.isinf(z), lowest - _EXCLUDED, z)

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy of the predictions.

        In the wide form it is the share of rows whose observed labels are all predicted; rows
        without observed labels are left out.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            As in ``fit``.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Classes; in the wide form 0, 1 or NaN (not observed).
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            Weight of each row or, in the wide form, of each label: rows then have the mean weight
            of their observed labels.

        Returns
        -------
        float
            Between 0 and 1; NaN, with a warning, if no label is observed.
        """
        y = scored_targets(self, y, sample_weight)
        weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        if is_complete(y, weight):
            return super().score(X, y, weight)
        return observed_accuracy(np.asarray(y, dtype=np.float64), self.predict(X), weight)

    def _set_task_attributes(self, fit):
        super()._set_task_attributes(fit)
        rows, penalty = fit.rows, fit.problem.penalty
        self.classes_, self.task_classes_ = rows.classes, rows.has_class
        if rows.wide:
            self.classes_ = np.tile(rows.classes, (len(rows.tasks), 1))
        self._excludes = excludes_classes(self.task_classes, penalty)

    def _finite_intercept(self, fit):
        data = fit.problem.data
        point = fit.problem.penalty.flatten(fit.solution.coefficients)
        intercept, mask = point.intercept, data.class_mask
        if self.task_classes == "seen" or mask is None:
            return intercept
        # Unpenalized intercepts of classes that a task does not have are optimal at infinity: they
        # are set so far below the others that no row of fit is affected.
        reach = np.abs(point.W) @ data.largest
        if len(intercept) == 1:
            return np.where(np.isinf(mask), np.sign(mask) * (_EXCLUDED + reach), intercept)
        lowest = (intercept - mask).min(axis=0) - (reach + mask).max(axis=0)
        return np.where(mask < 0, lowest - _EXCLUDED - reach, intercept)

    def _prediction_intercept(self):
        mask = class_mask_of(self.task_classes_) if self._excludes else None
        return self.intercept_ if mask is None else self.intercept_ + to_users(mask)

    def _probability_scores(self, X):
        """Return the arguments of the softmax, which are infinite only with ``"seen"``."""
        seen = self.task_classes == "seen"
        return self._raw_prediction(X) if seen else self.decision_function(X)

    def _warn(self, fit):
        super()._warn(fit)
        self._warn_of_single_classes(fit)
        tasks = fit.rows.tasks
        row_tasks, limits = np.arange(len(tasks)), {"max_iter": self.max_iter, "tol": self.tol}
        warn_of_separation(fit, tasks, row_tasks, self._coercive_parameter, **limits)

    def _warn_of_single_classes(self, fit):
        """Warn of tasks with one class, and of what their probabilities depend on."""
        rows, penalty = fit.rows, fit.problem.penalty.inner
        single = rows.has_class.sum(axis=1) == 1
        if np.isinf(penalty.alpha_intercept):
            # others have no coefficients of their own
            single &= np.atleast_2d(penalty.free.V).any(axis=1)
        if not single.any():
            return
        if self.task_classes == "seen":
            fate = "with task_classes='seen' it is always predicted there"
        elif penalty.alpha_intercept == 0:
            fate = (
                "unpenalized intercepts set the probability of other classes to zero there. A "
                f"model with a center and alpha_intercept > 0, such as {self._alternative}, "
                "estimates it from the other tasks"
            )
        elif self._has_center and (penalty.alpha[single] > 0).all():
            fate = "probabilities there are shrunk towards those of the shared model"
        else:
            fate = "only the penalty keeps probabilities there from 0 and 1"
        warn(f"Only one class was seen in {named(rows.tasks[single])}: {fate}.")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = self.task_column is None
        return tags
