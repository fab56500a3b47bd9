"""One ``fit`` for all linear models."""

import copy
import warnings
from abc import ABC, abstractmethod
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from skmtl import _input
from skmtl._problem import Problem
from skmtl.penalties import Coefficients
from skmtl.solvers import SOLVERS

_STRIP = 2**16  # rows predicted at a time


class LinearMultiTaskModel(BaseEstimator, ABC):
    """Base of the linear models: reads the data, solves the problem, keeps the attributes.

    A model is two hooks: ``_loss`` and ``_penalty``.
    """

    _has_center = True

    @abstractmethod
    def _loss(self):
        """Return the loss of the model."""

    @abstractmethod
    def _penalty(self, tasks):
        """Return the penalty of the model on the tasks with these labels."""

    @abstractmethod
    def _read_target(self, y, X, *, wide):
        """Return the target as numbers."""

    @abstractmethod
    def _target_offset(self, y):
        """Return what to subtract from the target before fitting; the levels take it up."""

    def fit(self, X, y, sample_weight=None):
        """Fit the model.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            Features and, in the long form, the column of task labels.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Target; two-dimensional in the wide form, where NaN marks what was not observed.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; rows of weight zero count as absent.

        Returns
        -------
        object
            The fitted estimator itself.
        """
        self._check_parameters()
        rows = _input.read_rows(self, X, y, sample_weight, reset=True)
        mean_total = rows.totals.mean()
        rows, problem, offset = self._prepare(rows, mean_total)
        center, name = problem.data.center, self._choose_solver(problem)
        start = Coefficients.zeros(len(rows.tasks), len(center))
        if self.warm_start and SOLVERS[name].gains_from_start:
            start = self._last_solution(problem, rows.tasks, offset, default=start)
        solution = self._solve(name, problem, start)
        point = solution.coefficients
        self._wide, self._feature_mean, self._mean_total = rows.y.ndim == 2, center, mean_total
        self._fitted_with = {name: getattr(self, name) for name in ("task_column", "fit_intercept")}
        self.tasks_, self.task_counts_ = rows.tasks, rows.counts
        self.coef_ = point.W
        self.intercept_ = point.level + offset - point.W @ center
        if self._has_center:
            self.shared_coef_ = point.w
            self.shared_intercept_ = float(point.c + offset - point.w @ center)
        self._keep(solution)
        return self

    def predict(self, X):
        """Predict with each row's own task.

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

    def _raw_prediction(self, X):
        check_is_fitted(self)
        self._check_parameters()
        self._check_unchanged()
        X, labels = _input.read_X(self, X, reset=False)
        if self._wide:
            return X @ self.coef_.T + self.intercept_
        if labels is None:
            return X @ self.coef_[0] + self.intercept_[0]
        coef, intercept = self.coef_, self.intercept_
        codes = _input.encode(labels, self.tasks_, self.task_column)
        if codes.min() < 0:
            if self.handle_unknown != "shared":
                message = _input.unknown_tasks(labels, codes, self.tasks_, self._remedies())
            if self.handle_unknown == "error":
                raise ValueError(message)
            if self.handle_unknown == "warn":
                warnings.warn(f"{message} Now the shared model is used.", stacklevel=3)
            # Code -1 finds the centre behind the last task.
            coef = np.vstack([coef, self.shared_coef_])
            intercept = np.append(intercept, self.shared_intercept_)
        z = np.empty(len(X))
        for first in range(0, len(X), _STRIP):
            rows = slice(first, first + _STRIP)
            z[rows] = np.einsum("ij,ij->i", X[rows], coef[codes[rows]]) + intercept[codes[rows]]
        return z

    def _remedies(self):
        """Return what a user can do about tasks that fit did not see."""
        remedies = []
        if self._has_center:
            remedies.append("handle_unknown='shared' to predict them by the shared model")
        if hasattr(self, "adapt"):
            remedies.append("adapt() to add them")
        return remedies or ["a model with a shared part, such as MeanRegularizedRegressor"]

    def _adapt(self, X, y, sample_weight):
        """Return a copy with the tasks of these rows fitted given the centre."""
        check_is_fitted(self)
        if self.task_column is None:
            raise ValueError(
                "adapt adds tasks by their labels, and this model was fitted without a "
                "task_column. Fit it in the long form, with task_column set."
            )
        self._check_parameters()
        self._check_unchanged()
        for name in ("alpha", "task_weight"):
            if np.ndim(getattr(self, name)) > 0:
                raise ValueError(
                    f"{name} is an array in the order of the tasks of fit, which says nothing "
                    "about others. To adapt, set it to a number or to a dict with every label."
                )
        center = self._feature_mean
        rows = _input.read_rows(self, X, y, sample_weight, reset=False)
        rows, problem, offset = self._prepare(rows, self._mean_total, center)
        problem = Problem(problem.data, problem.loss, problem.penalty.hold_center())
        level = self.shared_intercept_ + self.shared_coef_ @ center
        start = Coefficients.zeros(len(rows.tasks), len(center))
        start = start._replace(w=self.shared_coef_, c=level - offset)
        solution = self._solve(self._choose_solver(problem), problem, start)

        adapted = copy.deepcopy(self)
        point = solution.coefficients
        known = _input.encode(self.tasks_, rows.tasks, self.task_column) < 0
        labels = _input.merge(self.tasks_[known], rows.tasks)
        adapted.tasks_, place = _input.factorize(labels, self.task_column)
        order = np.argsort(place)
        for name, new in [
            ("coef_", point.W),
            ("intercept_", point.level + offset - point.W @ center),
            ("task_counts_", rows.counts),
        ]:
            setattr(adapted, name, np.concatenate([getattr(self, name)[known], new])[order])
        adapted._keep(solution)
        return adapted

    def _check_parameters(self):
        """Refuse parameters that no data could make right."""
        choices = ["error", "shared", "warn"]
        if self.handle_unknown not in choices:
            raise ValueError(
                f"handle_unknown must be one of {choices}, got {self.handle_unknown!r}."
            )
        if self.handle_unknown != "error" and not self._has_center:
            raise ValueError(
                f"{type(self).__name__} has no shared model to predict unknown tasks with, got "
                f"handle_unknown={self.handle_unknown!r}. Use handle_unknown='error', or a model "
                "with a centre such as MeanRegularizedRegressor."
            )
        if self.solver not in ["auto", *SOLVERS]:
            raise ValueError(
                f"solver must be 'auto' or one of {list(SOLVERS)}, got {self.solver!r}."
            )
        for name in ("fit_intercept", "warm_start"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise ValueError(f"{name} must be True or False, got {getattr(self, name)!r}.")
        whole = isinstance(self.max_iter, Integral) and not isinstance(self.max_iter, bool)
        if not whole or self.max_iter < 1:
            raise ValueError(f"max_iter must be an integer of at least 1, got {self.max_iter!r}.")
        if not isinstance(self.tol, Real) or not 0 < self.tol < 1:
            raise ValueError(f"tol must be a number between 0 and 1, got {self.tol!r}.")

    def _check_unchanged(self):
        """Refuse a model whose parameters no longer say what it was fitted with."""
        for name, fitted in self._fitted_with.items():
            if getattr(self, name) != fitted:
                raise ValueError(
                    f"{name} was {fitted!r} in fit and is {getattr(self, name)!r} now. Fit again."
                )

    def _prepare(self, rows, mean_total, center=None):
        """Return the rows, the problem they pose and the offset taken off the target.

        ``mean_total`` is what "balanced" tasks weigh, ``center`` what is taken off the features,
        by default their mean.
        """
        task_weight = _input.task_weights(self.task_weight, rows.tasks, rows.totals, mean_total)
        penalty = self._penalty(rows.tasks)
        if not task_weight.all():
            present = np.flatnonzero(task_weight)
            rows, task_weight = rows.take(present), task_weight[present]
            penalty = penalty.take(present)
        offset = self._target_offset(rows.y) if self.fit_intercept else 0.0
        if not self.fit_intercept:
            center = np.zeros(rows.X.shape[1])
        data = rows.task_data(task_weight, offset, center)
        return rows, Problem(data, self._loss(), penalty), offset

    def _last_solution(self, problem, tasks, offset, default):
        """Return the last solution, where it is one of the same tasks and features."""
        data, penalty = problem.data, problem.penalty
        if not hasattr(self, "coef_") or self.coef_.shape != default.V.shape:
            return default
        if not np.array_equal(self.tasks_, tasks):
            return default
        w, c = default.w, 0.0
        if self._has_center and penalty.alpha_shared > 0:
            w = self.shared_coef_  # without a penalty it must not bring what the data leave open
        if self._has_center:
            c = self.shared_intercept_ + self.shared_coef_ @ data.center - offset
        level = self.intercept_ + self.coef_ @ data.center - offset
        return penalty.project(Coefficients(self.coef_ - w, level - c, w, c))

    def _choose_solver(self, problem):
        """Return the name of the solver asked for, or of the first that takes the problem."""
        reasons = []
        for name in SOLVERS if self.solver == "auto" else [self.solver]:
            reason = SOLVERS[name].objection(problem)
            if reason is None:
                return name
            reasons.append(f"solver={name!r}: {reason}")
        raise ValueError(f"No solver can take this problem. {'; '.join(reasons)}.")

    def _solve(self, name, problem, start):
        """Solve the problem; warn where the tolerance was not reached."""
        solver = SOLVERS[name](problem, self.max_iter, self.tol)
        solution = solver.solve(start)
        if not solution.converged:
            warnings.warn(
                f"The {name!r} solver of {type(self).__name__} stopped after {solution.n_iter} "
                f"iterations at a relative KKT residual of {solution.optimality:.1e}, asked for "
                f"tol={self.tol:.1e}. What to try: {solver.advice}.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return solution

    def _keep(self, solution):
        self.n_iter_ = max(1, solution.n_iter)
        self.objective_, self.optimality_ = solution.objective, solution.optimality
        self.history_ = solution.history
