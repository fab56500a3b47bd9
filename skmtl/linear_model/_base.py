"""The base of all linear models: fit, and predictions with each row's own task."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from skmtl._callbacks import CallbackSupportMixin, Progress, reporting_fit
from skmtl._doc_link import DocLinkMixin
from skmtl._threads import blas_threads_for
from skmtl._version import VersionedStateMixin
from skmtl._warn import warn
from skmtl.data import (
    check_alpha,
    check_finite,
    encode_tasks,
    factorize,
    is_auto,
    named_weights,
    other_types,
    read_rows,
    read_X,
    row_predictions,
    task_columns,
    unknown_tasks_message,
)
from skmtl.fitting import Spec, pose
from skmtl.linear_model._coefficients import users_coefficients, warm_start
from skmtl.linear_model._parameters import check_parameters, check_unchanged, frozen_parameters
from skmtl.linear_model._watch import watcher
from skmtl.solvers import SOLVERS
from skmtl.tuning import ADAPTED, ADAPTIVE, VARIANCES, fit


class LinearMultiTaskModel(
    VersionedStateMixin, DocLinkMixin, CallbackSupportMixin, BaseEstimator, ABC
):
    """Base of the linear models.

    ``_spec`` makes the specification of a fit out of the parameters, and ``_set_attributes`` keeps
    a fit; all that is between is in `skmtl.tuning` and `skmtl.fitting`. A model has to define
    ``_penalty``.

    Attributes
    ----------
    _has_center : bool
        Whether there is a shared model.
    _alternative : str
        A model of the same kind that has one, for messages.
    _common : bool
        Whether tasks have a common slope where ``penalty_factor`` is inf; else it is zero.
    _solvers : tuple of str
        What ``solver`` may be, beside "auto".
    _split : Split or None
        The last solution as the penalty splits it, for a warm start.
    """

    _has_center = True
    _common = False
    _alternative: str
    _solvers: tuple[str, ...] = ("direct", "cg")
    _split = None

    @abstractmethod
    def _penalty(self, tasks):
        """Return the ``Penalty`` of tasks with these labels (T,); weights that are "auto" are 1."""

    def _penalty_weights(self):
        """Return the penalty weights that may be "auto", a dict."""
        return {}

    def _intercept_penalty(self, alpha_intercept):
        """Return the penalty weight of the intercepts, and whether they are fixed at zero."""
        fixed = not self.fit_intercept
        return np.inf if fixed else check_alpha(alpha_intercept, "alpha_intercept"), fixed

    def _spec(self):
        """Return the ``Spec`` of a fit with the parameters of now, which are checked."""
        check_parameters(self)
        weights = self._penalty_weights()
        return Spec(
            type(self).__name__,
            isinstance(self, ClassifierMixin),
            copy.copy(self)._penalty,  # attributes may be set again while the spec is used
            auto=tuple([name for name, weight in weights.items() if is_auto(weight)]),
            covariance_type=getattr(self, "covariance_type", "spherical"),
            covariance_prior=getattr(self, "covariance_prior", 0.0),
            fit_intercept=self.fit_intercept,
            task_weight=self.task_weight,
            weighting=named_weights(self.task_weight),
            class_weight=getattr(self, "class_weight", None),
            task_classes=getattr(self, "task_classes", "union"),
            penalty_factor=getattr(self, "penalty_factor", None),
            common=self._common,
            solver=self.solver,
            max_iter=self.max_iter,
            tol=self.tol,
        )

    @reporting_fit
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            Features and, in the long form, the column of task labels.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Target; two-dimensional in the wide form, where NaN is not observed, and classes are
            0 and 1.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            Weight of each row or, in the wide form, of each target. Rows and targets of weight
            zero count as absent.

        Returns
        -------
        object
            The fitted estimator itself.
        """
        spec = self._spec()
        rows = read_rows(self, X, y, sample_weight, reset=True)
        return self._fit_rows(spec, rows, Progress(self, X, y, sample_weight))

    def _fit_rows(self, spec, rows, progress):
        """Fit the model to ``Rows``."""
        start = partial(warm_start, self) if self.warm_start else None
        with blas_threads_for(rows.work):
            self._set_attributes(fit(spec, rows, start=start, watch=watcher(self, progress)))
        progress.end(lambda: vars(self))
        return self

    def _set_attributes(self, fit):
        """Keep a ``Fit`` as attributes, after warnings about it."""
        self._warn(fit)  # as an error, it leaves the last fit as it was
        rows, solution = fit.rows, fit.solution
        self._split = solution.split if self.warm_start else None
        # rows with the moments of the wide form are long
        self._wide = rows.wide or (self.task_column is None and len(rows.tasks) > 1)
        self._reference = fit.reference
        self._fitted_with = frozen_parameters(self)
        for name in (*VARIANCES, "moments_"):
            self.__dict__.pop(name, None)
        self.tasks_, self._posterior = rows.tasks, fit.posterior()
        self._set_task_attributes(fit)
        if self._has_center:
            _, _, w, c = fit.coefficients
            b = c + fit.posed.offset - w @ fit.problem.data.center
            self.shared_coef_, self.shared_intercept_ = (w, b) if len(w) > 1 else (w[0], b[0])
        self._set_solution_attributes(fit)

    def _set_task_attributes(self, fit):
        """Set the attributes with an entry for each task of the fit."""
        for name in ADAPTED:
            self.__dict__.pop(name, None)
        for name, value in fit.found.items():
            setattr(self, name, value)
        self.task_counts_, self.task_weight_ = fit.rows.counts, fit.rows.task_weight
        W = fit.problem.penalty.flatten(fit.coefficients).W
        intercept = self._finite_intercept(fit)
        self.coef_, self.intercept_ = users_coefficients(fit, W, intercept)

    def _fitted_in(self, rows):
        """Return the coefficients and intercepts of the last fit, those of latent tasks left out.

        None if some rows have other tasks or classes.
        """
        own = self.task_counts_ > 0
        same = np.array_equal(self.tasks_[own], rows.tasks)
        if not same or not np.array_equal(self._reference.classes, rows.classes):
            return None
        return self.coef_[own], self.intercept_[own]

    def _finite_intercept(self, fit):
        """Return the centered intercepts that predictions are made with, (K, T)."""
        return fit.problem.penalty.flatten(fit.solution.coefficients).intercept

    def _set_solution_attributes(self, fit):
        """Set the attributes that describe the solution as a whole."""
        solution = fit.solution
        self.n_iter_, self.history_ = max(1, solution.n_iter), solution.history
        self.objective_, self.optimality_ = solution.objective, solution.optimality

    def _warn(self, fit):
        """Warn if the tolerance was not reached."""
        solution = fit.solution
        if solution.converged or solution.exhausted or solution.stopped:
            return
        name = next(name for name, kind in SOLVERS.items() if kind is fit.solver)
        warn(
            f"The {name!r} solver of {type(self).__name__} stopped after {solution.n_iter} "
            f"iterations at a relative KKT residual of {solution.optimality:.1e}, asked for "
            f"tol={self.tol:.1e}. What to try: {fit.solver.advice}.",
            ConvergenceWarning,
        )

    def _raw_prediction(self, X):
        """Return x . w + b with each row's own task: (n,), (n, K) or, in the wide form, (n, T)."""
        return self._linear_prediction(*self._prediction_rows(X))

    def _prediction_rows(self, X):
        """Return the features of rows and, in the long form, the codes of their tasks.

        Those of tasks that were not in fit are -1.
        """
        if isinstance(X, PredictionRows):
            return X.read_by(self)
        check_is_fitted(self)
        check_parameters(self)
        check_unchanged(self)
        # Their finiteness shows in the predictions: one pass over the rows less.
        X, labels = read_X(self, X, reset=False, finite=False)
        if labels is None:
            return X, None
        codes = encode_tasks(labels, self.tasks_, self.task_column)
        if codes.min() < 0:
            check_finite(self, X)
            unknown = factorize(labels[codes < 0], self.task_column)[0]
            if self.handle_unknown == "shared":
                message = other_types(unknown, self.tasks_)
            else:
                message = unknown_tasks_message(unknown, self.tasks_, self._remedies())
            if self.handle_unknown == "error":
                raise ValueError(message)
            codes, model = self._fall_back(labels, codes)
            if message:
                warn(f"{message} Now {model} is used.")
        return X, codes

    def _fall_back(self, labels, codes):
        """Return codes with those of models for unknown tasks, and the name of these models."""
        return codes, "the shared model"

    def _linear_prediction(self, X, codes):
        """Return x . w + b with the task of each row, -1 for the shared model."""
        coef, intercept = self.coef_, self._prediction_intercept()
        if self._wide:
            return X @ coef.T + intercept
        if codes is None:
            return X @ coef[0].T + intercept[0]
        if codes.min() < 0 or codes.max() >= len(coef):
            # Behind the tasks are the models of groups and, as code -1, the shared model.
            groups = getattr(self, "group_coef_", []), getattr(self, "group_intercept_", [])
            coef = np.concatenate([coef, *groups[0], self.shared_coef_[None]])
            shared = np.asarray(self.shared_intercept_)[None]
            intercept = np.concatenate([intercept, *groups[1], shared])
        z = row_predictions(X, codes, coef, intercept)
        if not np.isfinite(z).all():
            check_finite(self, X)
        return z

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _prediction_intercept(self):
        """Return the intercepts at x = 0 that predictions are made with."""
        return self.intercept_

    def _remedies(self):
        """Return what a user can do about tasks that were not in fit."""
        remedies = []
        if self._has_center:
            models = "their groups or the shared" if hasattr(self, "groups_") else "the shared"
            remedies.append(f"handle_unknown='shared' to predict them by {models} model")
        if hasattr(self, "adapt"):
            remedies.append("adapt() to add them")
        return remedies or [f"a model with a shared part, such as {self._alternative}"]


# What searches and inspection need of an estimator beside its public methods.


class PredictionRows:
    """Rows X that several models predict; they are read anew only for other tasks."""

    def __init__(self, X):
        self.X, self._tasks, self._read = X, None, None

    def read_by(self, model):
        """Return the features, and the codes of the tasks in a model, or None."""
        if self._tasks is not model.tasks_:
            self._read, self._tasks = model._prediction_rows(self.X), model.tasks_
        return self._read


def spec_of(estimator):
    """Return the ``Spec`` of a fit of an estimator, whose parameters are checked."""
    return estimator._spec()


def set_fit(estimator, fit):
    """Set the fitted attributes of an estimator, as its ``fit`` does."""
    estimator._set_attributes(fit)


@reporting_fit
def fit_rows(estimator, rows, feature_names):
    """Fit an estimator to ``Rows`` that other modules read; names are those of X or None."""
    estimator._fit_rows(estimator._spec(), rows, Progress(estimator, None, None, None))
    set_columns(estimator, rows.n_features, feature_names)
    return estimator


def set_columns(estimator, n_features, names):
    """Set the number of columns of X, and their names, a list or None."""
    estimator.n_features_in_ = n_features + len(task_columns(estimator.task_column))
    if names is None:
        estimator.__dict__.pop("feature_names_in_", None)
    else:
        estimator.feature_names_in_ = np.array(names, dtype=object)


def fitted_problem(model, X, y, sample_weight=None):
    """Return the ``Posed`` of a model's fit, and where its tasks are in ``tasks_``, (T,).

    X, y and sample_weight are those of ``fit``.
    """
    rows = read_rows(model, X, y, sample_weight, reset=False)
    wide = model.task_column is None
    if wide and len(rows.tasks) == len(model.tasks_):
        rows = rows._replace(tasks=model.tasks_)  # columns of y, which may be an array now
    spec = model._spec()
    weight = model.task_weight_ if spec.weighting in ADAPTIVE else None
    posed = pose(spec, rows, reference=model._reference, task_weight=weight)
    own, tasks = posed.rows.tasks, model.tasks_
    if wide:
        place = np.arange(len(own)) if len(own) == len(tasks) else np.array([-1])
    else:
        place = encode_tasks(own, tasks, model.task_column)
    if (place < 0).any():
        raise ValueError(
            "X has tasks that the model was not fitted to. Pass the X, y and sample_weight of fit."
        )
    return posed, place
