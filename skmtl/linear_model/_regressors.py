"""Multi-task linear regression."""

from __future__ import annotations

import numpy as np

from skmtl._typing import (
    CovarianceType,
    HandleUnknown,
    PenaltyFactor,
    PenaltyWeight,
    PenaltyWeights,
    Solver,
    TaskColumn,
    TaskWeight,
)
from skmtl.linear_model._centered import MeanRegularizedModel, PooledModel, SharedL2Model
from skmtl.linear_model._posterior import PosteriorRegressor
from skmtl.linear_model._regression import Regressor


class PooledRegressor(PooledModel, PosteriorRegressor, Regressor):
    """Ridge regression with the same coefficients for all tasks (hard sharing).

    Minimizes, over w, the centered intercepts c_t (the predictions at xbar) and their center c::

        1/2 sum_i a_t(i) s_i (y_i - w . (x_i - xbar) - c_t(i))^2
            + alpha/2 ||w||^2 + alpha_intercept/2 sum_t (c_t - c)^2

    with xbar the weighted mean of the features, s_i the sample and a_t the task weights. With
    ``alpha_intercept=inf`` it is scikit-learn's ``Ridge(alpha)`` on all rows; with a finite one,
    a random-intercept model; with 0, the fixed-effects ("within") estimator.

    Parameters
    ----------
    alpha : float, default=1.0
        Regularization strength, in [0, inf]. inf fits intercepts only.
    alpha_intercept : float, default=inf
        Penalty weight of differences between centered intercepts: 0 for none, inf for equal ones.
    penalty_factor : array-like of shape (n_features,) or dict, default=None
        Factors of the penalty on each feature, in [0, inf], not rescaled; dict: by name, 1 for
        others. 0: no penalty on the feature; inf: its coefficients are zero.
    task_column : str or int, default=None
        Column of X with the task labels, by name or position. None: each column of y is a task.
    fit_intercept : bool, default=True
        Whether to fit intercepts. If False, the features are not centered.
    task_weight : None, "balanced", "uncertainty", "minimax", dict or array-like, default=None
        Weight a_t of each task. "balanced": N / (T n_t), with n_t of the N rows in task t;
        "uncertainty": proportional to 1 / noise variance, estimated jointly; "minimax": minimizes
        the largest mean loss; None: 1; dict: by label; array: sorted by label.
    handle_unknown : {"error", "shared", "warn"}, default="error"
        Tasks not seen in fit: raise an error, predict by the shared model, or do that and warn.
    solver : {"auto", "direct", "cg"}, default="auto"
        "direct" eliminates the blocks of the tasks; "cg" uses conjugate gradients, without blocks.
        "auto": "direct" if they fit into memory.
    max_iter : int, default=1000
        Maximum number of Newton steps ("direct") or conjugate gradient iterations ("cg").
    tol : float, default=1e-8
        Relative KKT residual at which to stop.
    warm_start : bool, default=False
        Whether to start from the last fit of the same tasks and features; no effect on "direct".

    Attributes
    ----------
    tasks_ : ndarray of shape (n_tasks,)
        Task labels, sorted or in the order of their categories; in the wide form the columns of y.
    coef_ : ndarray of shape (n_tasks, n_features)
        Coefficients w in each row. The task column has none.
    intercept_ : ndarray of shape (n_tasks,)
        Prediction of each task at x = 0.
    shared_coef_ : ndarray of shape (n_features,)
        The coefficients w.
    shared_intercept_ : float
        Prediction of the shared model at x = 0.
    task_counts_, task_weight_ : ndarray of shape (n_tasks,)
        Number of rows and weight a_t of each task.
    sigma2_ : float
        Noise variance of weight 1: the residual sum of squares over N - df, with N the sum of the
        weights and df the effective degrees of freedom. nan where none are left; not with "cg".
    noise_variance_ : ndarray of shape (n_tasks,)
        Noise variance of each task, only with ``task_weight="uncertainty"``.
    task_loss_ : ndarray of shape (n_tasks,)
        Mean loss of each task, only with ``task_weight="minimax"``.
    minimax_gap_ : float
        Duality gap relative to the largest mean loss, only with ``task_weight="minimax"``.
    objective_, optimality_ : float
        Objective and relative KKT residual at the solution.
    n_iter_ : int
        Number of Newton steps or conjugate gradient iterations.
    history_ : list of dict
        Iterations, objective and optimality after each step.
    n_features_in_ : int
        Number of columns of X in fit, including the task column.
    feature_names_in_ : ndarray of str
        Names of the columns of X, if it had names.

    Examples
    --------
    >>> from skmtl import PooledRegressor
    >>> from skmtl.datasets import load_radon
    >>> X, y = load_radon(return_X_y=True)
    >>> PooledRegressor(task_column=0).fit(X, y).shared_coef_.round(3)
    array([-0.613,  0.746])
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        alpha_intercept: float = np.inf,
        penalty_factor: PenaltyFactor = None,
        task_column: TaskColumn = None,
        fit_intercept: bool = True,
        task_weight: TaskWeight = None,
        handle_unknown: HandleUnknown = "error",
        solver: Solver = "auto",
        max_iter: int = 1000,
        tol: float = 1e-8,
        warm_start: bool = False,
    ) -> None:
        self.alpha = alpha
        self.alpha_intercept = alpha_intercept
        self.penalty_factor = penalty_factor
        self.task_column = task_column
        self.fit_intercept = fit_intercept
        self.task_weight = task_weight
        self.handle_unknown = handle_unknown
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start


class SharedL2Regressor(SharedL2Model, PosteriorRegressor, Regressor):
    """Separate ridge regression for each task, with one alpha or one per task.

    Minimizes, over all w_t and b_t::

        1/2 sum_i a_t(i) s_i (y_i - w_t(i) . x_i - b_t(i))^2 + 1/2 sum_t alpha_t ||w_t||^2

    The baseline for multi-task models, without a loop over tasks.

    Parameters
    ----------
    alpha : float, array-like of shape (n_tasks,) or dict, default=1.0
        Regularization strength, in [0, inf], of all tasks or of each (dict: by label; array:
        sorted by label). 0 is least squares (of minimum norm), inf fits intercepts only.
    penalty_factor : array-like of shape (n_features,) or dict, default=None
        Factors of the penalty on each feature, in [0, inf], not rescaled; dict: by name, 1 for
        others. 0: no penalty on the feature; inf: its coefficients are zero.
    task_column : str or int, default=None
        Column of X with the task labels, by name or position. None: each column of y is a task.
    fit_intercept : bool, default=True
        Whether to fit intercepts. If False, the features are not centered.
    task_weight : None, "balanced", "uncertainty", "minimax", dict or array-like, default=None
        Weight a_t of each task. "balanced": N / (T n_t), with n_t of the N rows in task t;
        "uncertainty": proportional to 1 / noise variance, estimated jointly; "minimax": minimizes
        the largest mean loss; None: 1; dict: by label; array: sorted by label.
    handle_unknown : {"error"}, default="error"
        Tasks not seen in fit: raise an error (there is no shared model).
    solver : {"auto", "direct", "cg"}, default="auto"
        "direct" eliminates the blocks of the tasks; "cg" uses conjugate gradients, without blocks.
        "auto": "direct" if they fit into memory.
    max_iter : int, default=1000
        Maximum number of Newton steps ("direct") or conjugate gradient iterations ("cg").
    tol : float, default=1e-8
        Relative KKT residual at which to stop.
    warm_start : bool, default=False
        Whether to start from the last fit of the same tasks and features; no effect on "direct".

    Attributes
    ----------
    tasks_, coef_, intercept_, task_counts_, task_weight_, sigma2_, noise_variance_, task_loss_, \
minimax_gap_, objective_, optimality_, n_iter_, history_, n_features_in_, feature_names_in_
        As in `PooledRegressor`.

    Examples
    --------
    >>> from skmtl import SharedL2Regressor
    >>> from skmtl.datasets import load_radon
    >>> X, y = load_radon(return_X_y=True)
    >>> SharedL2Regressor(alpha=5.0, task_column=0).fit(X, y).coef_.shape
    (85, 2)
    """

    def __init__(
        self,
        alpha: PenaltyWeights = 1.0,
        *,
        penalty_factor: PenaltyFactor = None,
        task_column: TaskColumn = None,
        fit_intercept: bool = True,
        task_weight: TaskWeight = None,
        handle_unknown: HandleUnknown = "error",
        solver: Solver = "auto",
        max_iter: int = 1000,
        tol: float = 1e-8,
        warm_start: bool = False,
    ) -> None:
        self.alpha = alpha
        self.penalty_factor = penalty_factor
        self.task_column = task_column
        self.fit_intercept = fit_intercept
        self.task_weight = task_weight
        self.handle_unknown = handle_unknown
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start


class MeanRegularizedRegressor(MeanRegularizedModel, PosteriorRegressor, Regressor):
    """Ridge regression for each task, shrunk towards a common center that is fitted jointly.

    Minimizes, over all w_t, centered intercepts c_t (predictions at xbar) and their center (w, c)::

        1/2 sum_i a_t(i) s_i (y_i - w_t(i) . (x_i - xbar) - c_t(i))^2
            + 1/2 sum_t alpha_t ||w_t - w||^2 + alpha_shared/2 ||w||^2
            + alpha_intercept/2 sum_t (c_t - c)^2

    with xbar the weighted mean of the features, s_i the sample and a_t the task weights. Adding a
    constant to a feature changes no prediction. With alpha = noise variance / variance between
    tasks, this is the random-coefficient model of mixed-model software: tasks with fewer rows are
    shrunk more.

    Parameters
    ----------
    alpha : float, array-like of shape (n_tasks,), dict or "auto", default=1.0
        Regularization strength, in [0, inf], of all tasks or of each (dict: by label or, with
        several task columns, by column; array: sorted by label). 0 fits separate models, inf equal
        slopes. "auto" estimates the variances between tasks by maximum likelihood; standardize the
        features.
    alpha_shared : float, "auto" or None, default=None
        Penalty weight of the center. 0 gives the center of minimum norm if it is not identified.
        "auto" estimates it; None is "auto" where alpha is "auto", else 0. ``alpha="auto"`` with
        ``alpha_shared=0`` is restricted maximum likelihood (REML), as of lme4 and nlme.
    alpha_intercept : float, dict, "auto" or None, default=None
        Penalty weight of differences between centered intercepts, in [0, inf]; dict: by column, of
        several task columns. "auto" estimates it; None is "auto" where alpha is "auto", else 1.
    covariance_type : {"spherical", "diag", "full"} or None, default=None
        Covariance of the tasks' deviations with ``alpha="auto"``: one variance of all slopes, one
        for each feature (lme4's ``||``), or any covariance of the slopes and, with
        ``alpha_intercept="auto"``, the intercept (lme4's ``(1 + x | g)``). None: "diag" if there
        are more rows than features and X is not large and sparse, else "spherical". Each of several
        task columns has its own, which cannot be "full".
    covariance_prior : float, default=10.0
        Weight of the prior ``sum_j (log tau_j - mean)^2`` that is added to minus twice the
        log-likelihood, tau_j the standard deviations of the slopes ("full": the square roots of the
        eigenvalues of their covariance), of each task column. 0 is maximum likelihood.
    penalty_factor : array-like of shape (n_features,) or dict, default=None
        Factors of the penalty on each feature, in [0, inf], not rescaled; dict: by name, 1 for
        others. 0: no penalty on the feature; inf: its slope is common to all tasks.
    task_column : str, int or list, default=None
        Column of X with the task labels, by name or position. None: each column of y is a task.
        A list: columns of groups in groups, from the outermost to that of the tasks; deviations are
        those of a task or group from the group that it is in.
    fit_intercept : bool, default=True
        Whether to fit intercepts. If False, the features are not centered.
    task_weight : None, "balanced", "uncertainty", "minimax", dict or array-like, default=None
        Weight a_t of each task. "balanced": N / (T n_t), with n_t of the N rows in task t;
        "uncertainty": proportional to 1 / noise variance, estimated jointly; "minimax": minimizes
        the largest mean loss; None: 1; dict: by label; array: sorted by label.
    handle_unknown : {"error", "shared", "warn"}, default="error"
        Tasks not seen in fit: raise an error, predict by the shared model (with several task
        columns: by the innermost group that was in fit), or do that and warn.
    solver : {"auto", "direct", "cg"}, default="auto"
        "direct" eliminates the blocks of the tasks; "cg" uses conjugate gradients, without blocks.
        "auto": "direct" if they fit into memory.
    max_iter : int, default=1000
        Maximum number of Newton steps ("direct") or conjugate gradient iterations ("cg").
    tol : float, default=1e-8
        Relative KKT residual at which to stop.
    warm_start : bool, default=False
        Whether to start from the last fit of the same tasks and features; no effect on "direct".

    Attributes
    ----------
    coef_ : ndarray of shape (n_tasks, n_features)
        Coefficients w_t in the order of ``tasks_``. The task column has none.
    groups_ : list
        With several task columns, the labels of the groups of each outer column, from the outside
        in: lists of tuples. Labels in ``tasks_`` are tuples, too.
    group_coef_, group_intercept_ : list of ndarray
        Their coefficients and intercepts, of the shapes of ``coef_`` and ``intercept_``.
    shared_coef_ : ndarray of shape (n_features,)
        The center w.
    alpha_, alpha_shared_, alpha_intercept_ : float or dict
        The values used. ``alpha_`` has one per task if ``alpha`` has, and one per feature where
        variances per feature are estimated: with ``alpha="auto"``, by default. With several task
        columns dicts by column, of numbers or arrays, except for ``alpha_shared_``.
    sigma2_ : float
        Noise variance; that of the likelihood with "auto", else as in `PooledRegressor`.
    tau2_, tau2_shared_, tau2_intercept_ : float or dict
        With "auto", the variances of the coefficients between tasks (sigma2 / alpha, one per
        feature or column where ``alpha_`` has, divided by its ``penalty_factor``), of the center
        (sigma2 / alpha_shared) and of the centered intercepts (sigma2 / alpha_intercept). Weights
        count rows: weight 2 is the row twice. Without noise ``sigma2_`` is 0, other variances are
        nan, and alpha is 0 or, with an estimated center or a common slope, small; if the tasks are
        also equal, as with a constant y, alpha is inf. With several task columns data without noise
        are an error.
    covariance_ : ndarray of shape (n_features + 1, n_features + 1) or dict
        With "diag" and "full", that of the tasks' deviations: slopes and, last, centered intercept,
        whose variance is inf with ``alpha_intercept=0``. With several task columns a dict by
        column.
    restricted_log_likelihood_ : float
        With "auto", that of the estimates, without ``covariance_prior`` and with the constants of
        R's lme4 and nlme; inf without noise.
    tasks_, intercept_, shared_intercept_, task_counts_, task_weight_, noise_variance_, \
task_loss_, minimax_gap_, objective_, optimality_, n_iter_, history_, n_features_in_, \
feature_names_in_
        As in `PooledRegressor`.

    References
    ----------
    T. Evgeniou and M. Pontil (2004). Regularized multi-task learning. KDD.
    https://doi.org/10.1145/1014052.1014067

    H. D. Patterson and R. Thompson (1971). Recovery of inter-block information when block sizes
    are unequal. Biometrika 58. https://doi.org/10.1093/biomet/58.3.545

    Examples
    --------
    >>> from skmtl import MeanRegularizedRegressor
    >>> from skmtl.datasets import load_radon
    >>> X, y = load_radon(return_X_y=True)
    >>> model = MeanRegularizedRegressor(alpha=5.0, task_column=0).fit(X, y)
    >>> model.predict(X[:2]).round(3)
    array([0.327, 0.89 ])
    >>> model = MeanRegularizedRegressor(alpha="auto", task_column=0).fit(X, y)
    >>> model.alpha_.round(2), round(model.sigma2_, 3), model.tau2_.round(3)
    (array([3.97, 3.34]), 0.517, array([0.13 , 0.155]))
    """

    def __init__(
        self,
        alpha: PenaltyWeights = 1.0,
        *,
        alpha_shared: PenaltyWeight = None,
        alpha_intercept: PenaltyWeight = None,
        covariance_type: CovarianceType = None,
        covariance_prior: float = 10.0,
        penalty_factor: PenaltyFactor = None,
        task_column: TaskColumn = None,
        fit_intercept: bool = True,
        task_weight: TaskWeight = None,
        handle_unknown: HandleUnknown = "error",
        solver: Solver = "auto",
        max_iter: int = 1000,
        tol: float = 1e-8,
        warm_start: bool = False,
    ) -> None:
        self.alpha = alpha
        self.alpha_shared = alpha_shared
        self.alpha_intercept = alpha_intercept
        self.covariance_type = covariance_type
        self.covariance_prior = covariance_prior
        self.penalty_factor = penalty_factor
        self.task_column = task_column
        self.fit_intercept = fit_intercept
        self.task_weight = task_weight
        self.handle_unknown = handle_unknown
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
