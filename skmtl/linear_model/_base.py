"""Fit, predict and adapt: what all linear models share."""

import copy
from abc import ABC, abstractmethod
from functools import partial
from numbers import Integral, Real
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from skmtl._callbacks import CallbackSupportMixin, reporting_fit
from skmtl._threads import blas_threads_for
from skmtl._warn import warn
from skmtl.data import (
    encode_tasks,
    factorize,
    is_balanced,
    merge_labels,
    read_rows,
    read_task_weights,
    read_X,
    unknown_tasks_message,
)
from skmtl.linear_model._fit import Fit
from skmtl.linear_model._progress import reporting, watch
from skmtl.linear_model._shapes import from_users, to_users
from skmtl.penalties import Coefficients
from skmtl.problem import Problem
from skmtl.solvers import SOLVERS
from skmtl.tuning import ADAPTED, fit_adaptive, fit_held

_STRIP = 2**16  # rows predicted at a time


class LinearMultiTaskModel(CallbackSupportMixin, BaseEstimator, ABC):
    """Base of the linear models: read the data, solve the problem, store the attributes.

    A model defines two hooks, ``_loss`` and ``_penalty``.
    """

    _has_center = True
    _alternative: str  # a model of the same kind with a center, for messages
    _by_task: tuple[str, ...] = ("coef_", "intercept_", "task_counts_", "task_weight_")
    _progress = None  # progress reported to callbacks, while fit runs
    _split = None  # copies of the last solution in the penalty terms, for a warm start
    _penalty_weights = None  # estimated for "auto" in the last fit
    # parameters that cannot change after fit
    _frozen: tuple[str, ...] = ("task_column", "fit_intercept")

    @abstractmethod
    def _loss(self, rows):
        """Return the loss of the model."""

    @abstractmethod
    def _penalty(self, tasks):
        """Return the penalty of the model on the tasks with these labels."""

    @abstractmethod
    def _read_target(self, y, X, *, wide):
        """Return the validated target."""

    def _encode(self, rows, *, reset):
        """Return the rows with the target encoded for the loss, and their weights."""
        return rows

    @abstractmethod
    def _target_offset(self, y):
        """Return the offset subtracted from the target before fitting; intercepts absorb it."""

    @reporting_fit
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            Features and, in the long form, the column of task labels.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Target; two-dimensional in the wide form, where a regressor accepts NaN for missing
            values, and a classifier requires a complete indicator of 0 and 1.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; rows of weight zero count as absent.

        Returns
        -------
        object
            The fitted estimator itself.
        """
        self._check_parameters()
        rows = read_rows(self, X, y, sample_weight, reset=True)
        with reporting(self, X, y, sample_weight), blas_threads_for(rows.work):
            self._keep_fit(*fit_adaptive(self, rows))
        return self

    def _keep_fit(self, fit, found):
        """Store a ``Fit`` and the attributes found with it; warn if it is not well determined."""
        rows, problem, offset, solution = fit.rows, fit.problem, fit.offset, fit.solution
        self._warn_of_convergence(fit.solver, solution)
        self._warn(
            solution, problem, rows
        )  # before storing: raised as an error, it keeps the last fit
        self._split = solution.split if self.warm_start else None
        self._penalty_weights = fit.penalty_weights
        center = problem.data.center
        self._wide, self._feature_mean = rows.y.ndim == 2, center
        self._mean_total = rows.totals.mean()
        self._fitted_with = {name: getattr(self, name) for name in self._frozen}
        self._keep_target(rows)
        self.tasks_, self.task_counts_ = rows.tasks, rows.counts
        self._keep_weights(rows, found)
        self._keep_coefficients(solution, problem, offset)
        if self._has_center:
            point = solution.coefficients
            shared = point.c + offset - point.w @ center
            several = len(shared) > 1
            self.shared_coef_ = point.w if several else point.w[0]
            self.shared_intercept_ = shared if several else shared[0]
        self._keep(solution, problem)

    def _fit_once(self, rows, task_weight=None, center=None, last=None):
        """Return the ``Fit`` of the rows, without storing or warning.

        ``task_weight`` (T,) and ``center`` (d,) replace the model's own; ``last`` is a fit of the
        same rows to start from.
        """
        rows, problem, offset = self._prepare(rows, task_weight=task_weight, center=center)
        problem, penalty_weights = self._estimate_penalty_weights(rows, problem, last)
        name = self._choose_solver(problem)
        start, split = self._start(name, problem, rows, offset, last)
        solver = SOLVERS[name](problem, self.max_iter, self.tol)
        fit = partial(Fit, rows, problem, offset, solver, penalty_weights=penalty_weights)
        if self._progress is not None:
            watch(self, solver, fit)
        return fit(solver.solve(start, split))

    def _fit_again(self, last, start, tol):
        """Return the ``Fit`` of the rows of the last one with the current penalty weights.

        It starts from the coefficients ``start``; ``tol`` replaces the model's own.
        """
        problem = last.problem.with_penalty(self._penalty(last.rows.tasks))
        name, split = self._choose_solver(problem), last.solution.split
        if split and not split.fits(problem.penalty.terms):
            split = None
        solver = SOLVERS[name](problem, self.max_iter, tol)
        solution = solver.solve(problem.penalty.project(start), split)
        return last._replace(problem=problem, solver=solver, solution=solution)

    def _start(self, name, problem, rows, offset, last):
        """Return the coefficients to start from, and their split or None."""
        data, split = problem.data, None
        start = Coefficients.zeros(len(rows.tasks), len(data.center), problem.loss.n_outputs)
        if last is not None:
            return last.moved_to(data.center), last.solution.split
        if self.warm_start and SOLVERS[name].gains_from_start(problem):
            last = self._last_solution(problem, rows, offset, default=start)
            known = self._split if last is not start else None
            if known and not known.fits(problem.penalty.terms):
                known = None
            if problem.evaluate(last, known).objective < problem.evaluate(start).objective:
                start, split = last, known
        return start, split

    def _keep_weights(self, rows, found):
        """Store the task weights, and the attributes found with them, a dict."""
        for name in ADAPTED:
            self.__dict__.pop(name, None)
        self.task_weight_ = rows.task_weight
        for name, value in found.items():
            setattr(self, name, value)

    def _keep_coefficients(self, solution, problem, offset):
        """Keep the coefficients of the tasks and their intercepts, in the units of the data."""
        W = solution.coefficients.W
        intercept = self._predicted_intercept(solution.coefficients, problem)
        self.coef_ = to_users(W)
        self.intercept_ = to_users(intercept + offset - W @ problem.data.center)

    def _keep_target(self, rows):
        """Store attributes of the target, such as the classes."""

    def _raw_prediction(self, X):
        """Return x . w + b with each row's own task: (n,), (n, K) or, in the wide form, (n, T)."""
        check_is_fitted(self)
        self._check_parameters()
        self._check_unchanged()
        X, labels = read_X(self, X, reset=False)
        coef, intercept = self.coef_, self._prediction_intercept()
        if self._wide:
            return X @ coef.T + intercept
        if labels is None:
            return X @ coef[0].T + intercept[0]
        codes = encode_tasks(labels, self.tasks_, self.task_column)
        if codes.min() < 0:
            if self.handle_unknown != "shared":
                message = unknown_tasks_message(labels, codes, self.tasks_, self._remedies())
            if self.handle_unknown == "error":
                raise ValueError(message)
            if self.handle_unknown == "warn":
                warn(f"{message} Now the shared model is used.")
            # Code -1 indexes the center, appended after the last task.
            coef = np.concatenate([coef, self.shared_coef_[None]])
            intercept = np.concatenate([intercept, np.asarray(self.shared_intercept_)[None]])
        z = np.empty((len(X), *intercept.shape[1:]))
        strip = max(1, _STRIP // intercept[0].size)
        for first in range(0, len(X), strip):
            rows = slice(first, first + strip)
            z[rows] = np.einsum("ij,i...j->i...", X[rows], coef[codes[rows]])
            z[rows] += intercept[codes[rows]]
        return z

    def _prediction_intercept(self):
        """Return the intercepts used in predictions."""
        return self.intercept_

    def _remedies(self):
        """Return the remedies for tasks that are not in fit, for messages."""
        remedies = []
        if self._has_center:
            remedies.append("handle_unknown='shared' to predict them by the shared model")
        if hasattr(self, "adapt"):
            remedies.append("adapt() to add them")
        return remedies or [f"a model with a shared part, such as {self._alternative}"]

    def _adapt(self, X, y, sample_weight):
        """Return a copy with the tasks of these rows fitted at the fixed center."""
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
                    f"{name} is an array in the order of the tasks of fit and has no entries for "
                    "others. To adapt, set it to a number or to a dict with every label."
                )
        rows = read_rows(self, X, y, sample_weight, reset=False)
        with blas_threads_for(rows.work):
            fit, found = fit_held(self, rows)
        rows, problem, offset, solution = fit.rows, fit.problem, fit.offset, fit.solution
        self._warn_of_convergence(fit.solver, solution)
        self._warn(solution, problem, rows)
        adapted = copy.deepcopy(self)
        adapted._keep_target(rows)
        adapted.task_counts_ = rows.counts
        adapted._keep_weights(rows, found)
        adapted._keep_coefficients(solution, problem, offset)
        kept = encode_tasks(self.tasks_, rows.tasks, self.task_column) < 0
        labels = merge_labels(self.tasks_[kept], rows.tasks)
        adapted.tasks_, place = factorize(labels, self.task_column)
        order = np.argsort(place)
        for name in (*self._by_task, *found):
            both = np.concatenate([getattr(self, name)[kept], getattr(adapted, name)])
            setattr(adapted, name, both[order])
        adapted._keep(solution, problem)
        return adapted

    def _fit_held(self, rows, task_weight=None):
        """Return the ``Fit`` of the rows with the center fixed at that of the last fit."""
        rows, problem, offset = self._prepare(rows, task_weight=task_weight, fitted=True)
        problem = problem.with_penalty(problem.penalty.hold_center())
        center = self._feature_mean
        intercept = self.shared_intercept_ + self.shared_coef_ @ center
        K = problem.loss.n_outputs
        start = Coefficients.zeros(len(rows.tasks), len(center), K)
        w, c = self.shared_coef_.reshape(K, -1), np.reshape(intercept - offset, K)
        start = start._replace(w=w, c=c)
        # Copies of the coefficients know nothing of a center that is held.
        name = "direct" if self.solver == "admm" else self._choose_solver(problem)
        solver = SOLVERS[name](problem, self.max_iter, self.tol)
        return Fit(rows, problem, offset, solver, solver.solve(start))

    def _check_parameters(self):
        """Raise on parameters that are invalid for any data."""
        choices = ["error", "shared", "warn"]
        if self.handle_unknown not in choices:
            raise ValueError(
                f"handle_unknown must be one of {choices}, got {self.handle_unknown!r}."
            )
        if self.handle_unknown != "error" and not self._has_center:
            raise ValueError(
                f"{type(self).__name__} has no shared model to predict unknown tasks with, got "
                f"handle_unknown={self.handle_unknown!r}. Use handle_unknown='error', or a model "
                f"with a center such as {self._alternative}."
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
        """Raise if parameters have changed that must stay as they were in fit."""
        for name, fitted in self._fitted_with.items():
            if getattr(self, name) != fitted:
                raise ValueError(
                    f"{name} was {fitted!r} in fit and is {getattr(self, name)!r} now. Fit again."
                )

    def _prepare(self, rows, *, task_weight=None, center=None, fitted=False):
        """Return the rows, their problem and the offset subtracted from the target.

        ``task_weight`` and ``center`` replace the model's weights and the weighted feature mean.
        ``fitted`` reuses that mean, and all else estimated from the data, from the last fit.
        """
        given = task_weight is not None
        task_weight = read_task_weights(task_weight if given else self.task_weight, rows.tasks)
        penalty = self._penalty(rows.tasks)
        if not task_weight.all():
            present = np.flatnonzero(task_weight)
            rows, task_weight = rows.take(present), task_weight[present]
            penalty = penalty.take(present)
        rows = self._encode(rows, reset=not fitted)
        if not given and is_balanced(self.task_weight):  # N / (T n_t)
            task_weight = (self._mean_total if fitted else rows.totals.mean()) / rows.totals
        offset = self._target_offset(rows.y) if self.fit_intercept else 0.0
        rows = rows._replace(task_weight=task_weight)
        center = self._feature_mean if fitted else center
        if not self.fit_intercept:
            center = np.zeros(rows.X.shape[1])
        data = rows.task_data(task_weight, offset, center, self._class_mask(rows, penalty))
        return rows, Problem(data, self._loss(rows), penalty), offset

    def _estimate_penalty_weights(self, rows, problem, last):
        """Return the problem with estimated penalty weights, and these, or None without "auto".

        ``last`` is a fit of the same rows, or None. They are stored in the ``Fit`` only.
        """
        return problem, None

    def _class_mask(self, rows, penalty):
        """Return the class mask, added to the centered intercepts of the tasks, or None."""
        return

    def _predicted_intercept(self, point, problem):
        """Return the centered intercepts used in predictions, of the solution."""
        return point.intercept

    def _last_solution(self, problem, rows, offset, default):
        """Return the last solution if it has the same tasks, features and classes."""
        data, penalty = problem.data, problem.penalty
        if not hasattr(self, "coef_") or not self._same_target(rows):
            return default
        K = problem.loss.n_outputs
        own = self.task_counts_ > 0  # others are latent
        coef, intercept = self.coef_[own], self.intercept_[own]
        if coef.shape != to_users(default.V).shape or not np.array_equal(
            self.tasks_[own], rows.tasks
        ):
            return default
        w, c = default.w, default.c
        if self._has_center and penalty.alpha_shared > 0:
            w = self.shared_coef_.reshape(
                K, -1
            )  # without a penalty it must not bring what the data leave open
        if self._has_center:
            c = self.shared_intercept_ + self.shared_coef_ @ data.center - offset
            c = np.reshape(c, K)
        intercept = intercept + coef @ data.center - offset
        W, intercept = from_users(coef, K), from_users(intercept, K)
        V, q = W - w[:, None], intercept - c[:, None]
        return penalty.project(Coefficients(V, q, w, c))

    def _same_target(self, rows):
        """Return whether the target has the classes of the last fit."""
        return True

    def _choose_solver(self, problem):
        """Return the solver requested, or with "auto" the first that supports the problem."""
        reasons = []
        for name in SOLVERS if self.solver == "auto" else [self.solver]:
            reason = SOLVERS[name].objection(problem)
            if reason is None:
                return name
            reasons.append(f"solver={name!r}: {reason}")
        raise ValueError(f"No solver can take this problem. {'; '.join(reasons)}.")

    def _warn(self, solution, problem, rows):
        """Warn where the solution is not well determined by the rows."""

    def _warn_of_convergence(self, solver, solution):
        """Warn if the tolerance was not reached."""
        if not (solution.converged or solution.exhausted or solution.stopped):
            name = next(name for name, kind in SOLVERS.items() if isinstance(solver, kind))
            warn(
                f"The {name!r} solver of {type(self).__name__} stopped after {solution.n_iter} "
                f"iterations at a relative KKT residual of {solution.optimality:.1e}, asked for "
                f"tol={self.tol:.1e}. What to try: {solver.advice}.",
                ConvergenceWarning,
            )

    def _keep(self, solution, problem):
        self.n_iter_ = max(1, solution.n_iter)
        self.objective_, self.optimality_ = solution.objective, solution.optimality
        self.history_ = solution.history
