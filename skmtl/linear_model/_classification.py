"""Base of the classifiers: classes, probabilities, and warnings about them."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.base import ClassifierMixin

from skmtl._typing import Array
from skmtl._warn import warn
from skmtl.data import encode_classes, listed, read_class_labels, read_class_weights
from skmtl.linear_model._base import LinearMultiTaskModel
from skmtl.linear_model._shapes import to_users
from skmtl.losses import LogisticLoss, MultinomialLoss
from skmtl.solvers import runs_away

_RULED_OUT = 36.0  # log-odds of the probability of excluded classes, 2e-16


class MultiTaskClassifier(ClassifierMixin, LinearMultiTaskModel):
    """Base of the classifiers: one log-odds for two classes, a softmax for more."""

    _alternative = "MeanRegularizedClassifier"
    _coercive_parameter = "alpha"  # the parameter that makes the objective coercive, for messages
    _by_task = (*LinearMultiTaskModel._by_task, "task_classes_")
    _frozen = ("task_column", "fit_intercept", "task_classes")

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
        return self._log_odds(X)

    def _loss(self, rows):
        n_classes = len(rows.classes)
        return LogisticLoss() if n_classes == 2 else MultinomialLoss(n_classes)

    def _read_target(self, y, X, *, wide):
        return read_class_labels(self, y, X, wide=wide)

    def _target_offset(self, y):
        return 0.0

    def _encode(self, rows, *, reset):
        known = None if reset else self.classes_
        classes, codes = encode_classes(rows.y.ravel(), known)
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes in the data, but the "
                f"data contain only one class: {classes.tolist()[0]!r}."
            )
        codes = codes.reshape(rows.y.shape)
        if not reset:
            return rows.of_classes(classes, codes, self._class_weight)
        weight = rows.weight if codes.ndim == 1 else rows.weight[:, None]
        totals = np.bincount(codes.ravel(), np.broadcast_to(weight, codes.shape).ravel())
        class_weight = read_class_weights(self.class_weight, classes, totals)
        return rows.of_classes(classes, codes, class_weight)

    def _rules_out(self, penalty):
        """Return whether classes that are absent from a task are excluded there."""
        return self.task_classes == "seen" or penalty.alpha_intercept == 0

    def _class_mask(self, rows, penalty):
        return class_mask_of(rows.has_class) if self._rules_out(penalty) else None

    def _keep_coefficients(self, solution, problem, offset):
        super()._keep_coefficients(solution, problem, offset)
        self._ruled_out = self._rules_out(problem.penalty)

    def _predicted_intercept(self, point, problem):
        intercept, class_mask = point.intercept, problem.data.class_mask
        if self.task_classes == "seen" or class_mask is None:
            return intercept
        # Free levels of classes that a task lacks have their optimum at infinity: far enough
        # below the others that no row that was fitted sees the difference.
        reach = np.abs(point.W) @ problem.data.largest
        if len(intercept) == 1:
            return np.where(
                np.isinf(class_mask), np.sign(class_mask) * (_RULED_OUT + reach), intercept
            )
        lowest = (intercept - class_mask).min(axis=0) - (reach + class_mask).max(axis=0)
        return np.where(class_mask < 0, lowest - _RULED_OUT - reach, intercept)

    def _prediction_intercept(self):
        class_mask = class_mask_of(self.task_classes_) if self._ruled_out else None
        return self.intercept_ if class_mask is None else self.intercept_ + to_users(class_mask)

    def _probability_scores(self, X):
        """Return the scores of probabilities; only ``"seen"`` allows probability zero."""
        return self._raw_prediction(X) if self.task_classes == "seen" else self._log_odds(X)

    def _log_odds(self, X):
        """Return ``_raw_prediction``, finite also for excluded classes."""
        z = self._raw_prediction(X)
        if self._wide or z.ndim == 1:
            return np.where(np.isinf(z), np.sign(z) * _RULED_OUT, z)
        lowest = np.where(np.isinf(z), np.inf, z).min(axis=1, keepdims=True)
        return np.where(np.isinf(z), lowest - _RULED_OUT, z)

    def _keep_target(self, rows):
        self.classes_, self.task_classes_ = rows.classes, rows.has_class
        self._class_weight = rows.class_weight
        if rows.codes is None:
            self.classes_ = np.tile(rows.classes, (len(rows.tasks), 1))

    def _same_target(self, rows):
        return np.array_equal(self.classes_[0] if self._wide else self.classes_, rows.classes)

    def _check_parameters(self):
        super()._check_parameters()
        if self.task_classes not in ("union", "seen"):
            raise ValueError(f"task_classes must be 'union' or 'seen', got {self.task_classes!r}.")

    def _warn(self, solution, problem, rows):
        penalty = problem.penalty
        self._warn_of_single_classes(rows, penalty)
        separated = ~np.broadcast_to(penalty.coercive, len(rows.tasks))
        separated &= runs_away(solution, self.max_iter, self.tol)
        if separated.any():
            warn(
                f"The features separate classes of {_named(rows.tasks[separated])}, and no penalty "
                "keeps their coefficients finite: they were stopped while growing, and their size "
                f"is arbitrary. Raise {self._coercive_parameter}."
            )

    def _warn_of_single_classes(self, rows, penalty):
        single = rows.has_class.sum(axis=1) == 1
        if np.isinf(penalty.alpha_intercept):
            single &= np.ravel(penalty.free().V) > 0  # the others have no coefficients of their own
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
            fate = "the penalty shrinks probabilities there towards those of the shared model"
        else:
            fate = "only the penalty keeps probabilities there from 0 and 1"
        warn(f"Only one class was seen in {_named(rows.tasks[single])}: {fate}.")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = self.task_column is None
        return tags


def class_mask_of(has_class):
    """Return the class mask, added to centered intercepts, of the classes of each task (T, K).

    That is -inf for each of more than two classes, (K, T), and -inf or inf for the second or the
    first of two, (1, T); None where there is nothing to rule out.
    """
    if has_class.all():
        return None
    if has_class.shape[1] > 2:
        return np.where(has_class.T, 0.0, -np.inf)
    return np.where(has_class[None, :, 0], 0.0, np.inf) + np.where(
        has_class[None, :, 1], 0.0, -np.inf
    )


def _named(tasks):
    return f"{'task' if len(tasks) == 1 else 'tasks'} {listed(tasks.tolist())}"
