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
        rows, problem, offset = self._prepare(X, y, sample_weight)
        center = problem.data.center
        solution = self._solve(problem, self._start(problem, rows.tasks, offset))
        point = solution.coefficients
        self._wide, self._feature_mean = rows.y.ndim == 2, center
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
        X, labels = _input.read_X(self, X, reset=False)
        if self._wide:
            return X @ self.coef_.T + self.intercept_
        if labels is None:
            return X @ self.coef_[0] + self.intercept_[0]
        coef, intercept = self.coef_, self.intercept_
        codes = _input.encode(labels, self.tasks_, self.task_column)
        if codes.min() < 0:
            if self.handle_unknown == "error":
                raise ValueError(_input.unknown_tasks(labels, codes, self.tasks_))
            if self.handle_unknown == "warn":
                message = _input.unknown_tasks(labels, codes, self.tasks_)
                warnings.warn(f"{message} Now the shared model is used.", stacklevel=3)
            # Code -1 finds the centre behind the last task.
            coef = np.vstack([coef, self.shared_coef_])
            intercept = np.append(intercept, self.shared_intercept_)
        z = np.empty(len(X))
        for first in range(0, len(X), _STRIP):
            rows = slice(first, first + _STRIP)
            z[rows] = np.einsum("ij,ij->i", X[rows], coef[codes[rows]]) + intercept[codes[rows]]
        return z

    def _adapt(self, X, y, sample_weight):
        """Return a copy with the tasks of these rows fitted given the centre."""
        check_is_fitted(self)
        if self.task_column is None:
            raise ValueError(
                "adapt adds tasks by their labels, and this model was fitted without a "
                "task_column. Fit it in the long form, with task_column set."
            )
        self._check_parameters()
        center = self._feature_mean
        rows, problem, offset = self._prepare(X, y, sample_weight, center)
        problem = Problem(problem.data, problem.loss, problem.penalty.hold_center())
        level = self.shared_intercept_ + self.shared_coef_ @ center
        start = Coefficients.zeros(len(rows.tasks), len(center))
        solution = self._solve(problem, start._replace(w=self.shared_coef_, c=level - offset))

        adapted = copy.deepcopy(self)
        point = solution.coefficients
        known = ~np.isin(self.tasks_, rows.tasks)
        labels = np.concatenate([self.tasks_[known], rows.tasks])
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
        choices = {"error", "shared", "warn"}
        if self.handle_unknown not in choices:
            raise ValueError(
                f"handle_unknown must be one of {sorted(choices)}, got {self.handle_unknown!r}."
            )
        if self.handle_unknown != "error" and not self._has_center:
            raise ValueError(
                f"{type(self).__name__} has no shared model to predict unknown tasks with, got "
                f"handle_unknown={self.handle_unknown!r}. Use handle_unknown='error', or a model "
                "with a centre such as MeanRegularizedRegressor."
            )
        if self.solver != "auto" and self.solver not in SOLVERS:
            raise ValueError(
                f"solver must be 'auto' or one of {sorted(SOLVERS)}, got {self.solver!r}."
            )
        for name in ("fit_intercept", "warm_start"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise ValueError(f"{name} must be True or False, got {getattr(self, name)!r}.")
        whole = isinstance(self.max_iter, Integral) and not isinstance(self.max_iter, bool)
        if not whole or self.max_iter < 1:
            raise ValueError(f"max_iter must be an integer of at least 1, got {self.max_iter!r}.")
        if not isinstance(self.tol, Real) or not 0 < self.tol < 1:
            raise ValueError(f"tol must be a number between 0 and 1, got {self.tol!r}.")

    def _prepare(self, X, y, sample_weight, center=None):
        """Return the rows, the problem they pose and the offset taken off the target.

        ``center`` is given where a fitted model is extended: its features are centred, and its
        tasks balanced, as they were.
        """
        rows = _input.read_rows(self, X, y, sample_weight, reset=center is None)
        if center is None:
            self._mean_total = rows.totals.mean()
        task_weight = _input.task_weights(
            self.task_weight, rows.tasks, rows.totals, self._mean_total
        )
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

    def _start(self, problem, tasks, offset):
        """Return where the solver starts: at zero, or with warm_start at the last solution."""
        data = problem.data
        start = Coefficients.zeros(data.n_tasks, data.n_features)
        if not (self.warm_start and hasattr(self, "coef_")):
            return start
        if self.coef_.shape != start.V.shape or not np.array_equal(self.tasks_, tasks):
            return start
        w = self.shared_coef_ if self._has_center else start.w
        level = self.intercept_ + self.coef_ @ data.center - offset
        c = self.shared_intercept_ + w @ data.center - offset if self._has_center else 0.0
        return problem.penalty.project(Coefficients(self.coef_ - w, level - c, w, c))

    def _solve(self, problem, start):
        """Solve the problem with the solver asked for, or the first that takes it."""
        names = list(SOLVERS) if self.solver == "auto" else [self.solver]
        objections = {name: SOLVERS[name].objection(problem) for name in names}
        name = next((name for name in names if objections[name] is None), None)
        if name is None:
            reasons = "; ".join(f"solver={n!r}: {reason}" for n, reason in objections.items())
            raise ValueError(f"No solver can take this problem. {reasons}.")
        solution = SOLVERS[name](problem, self.max_iter, self.tol).solve(start)
        if not solution.converged:
            warnings.warn(
                f"The {name!r} solver of {type(self).__name__} stopped after {solution.n_iter} "
                f"iterations at a relative KKT residual of {solution.optimality:.1e}, asked for "
                f"tol={self.tol:.1e}. Increase max_iter, scale the features, or raise alpha or "
                "tol.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return solution

    def _keep(self, solution):
        self.n_iter_ = max(1, solution.n_iter)
        self.objective_, self.optimality_ = solution.objective, solution.optimality
        self.history_ = solution.history
