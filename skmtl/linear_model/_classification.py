"""What the classifiers share: classes, probabilities, and warnings about them."""

import warnings

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.base import ClassifierMixin

from skmtl import _input
from skmtl.linear_model._base import LinearMultiTaskModel
from skmtl.losses import LogisticLoss, MultinomialLoss

_NEVER = 36.0  # log-odds of a probability of 2e-16, that of classes which free levels rule out
_RESTLESS = 0.03  # change of log-odds by the last step, far above that of a solution that is finite


class MultiTaskClassifier(ClassifierMixin, LinearMultiTaskModel):
    """Base of the classifiers: one log-odds for two classes, a softmax for more."""

    _with_center = "MeanRegularizedClassifier"
    _by_task = ("coef_", "intercept_", "task_counts_", "task_classes_")
    _settled = ("task_column", "fit_intercept", "task_classes")

    def predict(self, X):
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

    def predict_proba(self, X):
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
        z = self._raw_prediction(X)
        if self._wide:
            return expit(z)
        return softmax(z, axis=1) if z.ndim == 2 else np.column_stack([expit(-z), expit(z)])

    def predict_log_proba(self, X):
        """Return the logarithm of ``predict_proba``, exact also where that is next to zero.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            As in ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples, n_tasks)
            Log-probabilities in the order of ``classes_``; in the wide form that of 1.
        """
        z = self._raw_prediction(X)
        if self._wide:
            return log_expit(z)
        if z.ndim == 2:
            return log_softmax(z, axis=1)
        return np.column_stack([log_expit(-z), log_expit(z)])

    def decision_function(self, X):
        """Return x . w + b with each row's own task.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            As in ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_tasks)
            With two classes the log-odds of the second, one column per task in the wide form;
            with more, one column per class, -inf where ``task_classes="seen"`` rules it out.
        """
        return self._raw_prediction(X)

    def _loss(self, rows):
        n_classes = len(rows.classes)
        return LogisticLoss() if n_classes == 2 else MultinomialLoss(n_classes)

    def _read_target(self, y, X, *, wide):
        return _input.read_class_labels(self, y, X, wide=wide)

    def _target_offset(self, y):
        return 0.0

    def _encode(self, rows, *, reset):
        known = None if reset else self.classes_
        classes, codes = _input.encode_classes(rows.y.ravel(), known)
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
        class_weight = _input.class_weights(self.class_weight, classes, totals)
        return rows.of_classes(classes, codes, class_weight)

    def _barred(self, rows, penalty):
        if self.task_classes == "seen" or penalty.alpha_intercept == 0:
            return _barred(rows.seen)
        return None

    def _level(self, point, problem):
        level, barred = point.level, problem.data.barred
        if self.task_classes == "seen" or barred is None:
            return level
        # Free levels of classes that a task lacks have their optimum at infinity: far enough
        # below the others that no row that was fitted sees the difference.
        reach = np.abs(point.W) @ np.abs(problem.data.X).max(axis=0)
        if level.ndim == 1:
            return np.where(np.isinf(barred), np.sign(barred) * (_NEVER + reach), level)
        lowest = (level - barred).min(axis=0) - (reach + barred).max(axis=0)
        return np.where(barred < 0, lowest - _NEVER - reach, level)

    def _prediction_intercept(self):
        if self.task_classes == "union":
            return self.intercept_
        barred = _barred(self.task_classes_)
        return self.intercept_ if barred is None else self.intercept_ + barred.T

    def _keep_target(self, rows):
        self.classes_, self.task_classes_ = rows.classes, rows.seen
        self._class_weight = rows.class_weight
        if rows.codes is None:
            self.classes_ = np.tile(rows.classes, (len(rows.tasks), 1))

    def _same_target(self, rows):
        return np.array_equal(self.classes_[0] if self._wide else self.classes_, rows.classes)

    def _check_parameters(self):
        super()._check_parameters()
        if self.task_classes not in ("union", "seen"):
            raise ValueError(f"task_classes must be 'union' or 'seen', got {self.task_classes!r}.")

    def _solve(self, name, problem, rows, start):
        """Solve the problem; warn of tasks whose probabilities their rows leave open."""
        single = rows.seen.sum(axis=1) == 1
        self._warn_of_single_classes(rows, single, problem.penalty)
        solution = super()._solve(name, problem, rows, start)
        if solution.last_step is None or solution.n_iter >= self.max_iter:
            return solution
        moving = solution.exhausted | (_moves(problem.data, solution.last_step) > _RESTLESS)
        moving &= _unpenalised(problem.penalty)
        if moving.any():
            warnings.warn(
                f"The features separate classes of {_named(rows.tasks[moving])}, and nothing "
                "penalises coefficients that grow without bound: they were stopped on the way, "
                "and their size means nothing. Raise alpha or alpha_shared.",
                stacklevel=3,
            )
        return solution

    def _warn_of_single_classes(self, rows, single, penalty):
        if not single.any() or (
            np.isinf(penalty.alpha).all() and np.isinf(penalty.alpha_intercept)
        ):
            return  # tasks have nothing of their own
        if self.task_classes == "seen":
            fate = "with task_classes='seen' it is always predicted there"
        elif penalty.alpha_intercept > 0 and self._has_center:
            fate = "probabilities there rest on the shared model, to which the penalty draws them"
        elif penalty.alpha_intercept > 0:
            fate = "only the penalty keeps probabilities there from 0 and 1"
        else:
            fate = (
                "free intercepts leave other classes no chance there (1e-16 of it is kept). A "
                "model with a centre and alpha_intercept > 0, such as MeanRegularizedClassifier, "
                "learns it from the other tasks"
            )
        warnings.warn(
            f"Only one class was seen in {_named(rows.tasks[single])}: {fate}.", stacklevel=4
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = self.task_column is None
        return tags


def _barred(seen):
    """Return what ``task_classes="seen"`` adds to levels, (K, T) or (T,), or None if nothing."""
    if seen.all():
        return None
    if seen.shape[1] > 2:
        return np.where(seen.T, 0.0, -np.inf)
    return np.where(seen[:, 0], 0.0, np.inf) + np.where(seen[:, 1], 0.0, -np.inf)


def _unpenalised(penalty):
    """Return whether nothing bounds the coefficients of a task, (T,)."""
    return (penalty.alpha == 0) | (penalty.alpha_shared == 0)


def _moves(data, step):
    """Return about how much a step changes the log-odds of each task, (T,)."""
    spread = np.sqrt(data.square_norms / data.totals[:, None])
    change = np.maximum((np.abs(step.W) * spread).max(axis=-1), np.abs(step.level))
    return change if change.ndim == 1 else change.max(axis=0)


def _named(tasks):
    return f"{'task' if len(tasks) == 1 else 'tasks'} {_input.listed(tasks.tolist())}"
