"""Multi-task logistic regression."""

from __future__ import annotations

import numpy as np

from skmtl._typing import (
    ClassWeight,
    CovarianceType,
    HandleUnknown,
    PenaltyFactor,
    PenaltyWeight,
    PenaltyWeights,
    Solver,
    TaskClasses,
    TaskColumn,
    TaskWeight,
)
from skmtl.linear_model._centered import MeanRegularizedModel, PooledModel, SharedL2Model
from skmtl.linear_model._classification import MultiTaskClassifier


class PooledClassifier(PooledModel, MultiTaskClassifier):
    """Logistic regression with the same coefficients for all tasks (hard sharing).

    Minimizes, over w, the centered intercepts c_t (the log-odds at xbar) and their center c::

        sum_i a_t(i) s_i log(1 + exp(-y_i (w . (x_i - xbar) + c_t(i))))
            + alpha/2 ||w||^2 + alpha_intercept/2 sum_t (c_t - c)^2

    with y_i = +-1, xbar the weighted mean of the features, s_i the sample (times class) and a_t
    the task weights. More than two classes have a w, c_t and c each, in a softmax. With
    ``alpha_intercept=inf`` it is scikit-learn's ``LogisticRegression(C=1/alpha)`` on all rows;
    with a finite one, a logistic model with random intercepts.

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
    task_classes : {"union", "seen"}, default="union"
        Classes that a task can have: those of all tasks, or only those of its own rows in fit.
    class_weight : None, "balanced" or dict, default=None
        Weight of each class: 1 (None), N / (K n_k) over all tasks ("balanced"), or by class (dict).
    task_weight : None, "balanced", "minimax", dict or array-like, default=None
        Weight a_t of each task. "balanced": N / (T n_t), with n_t of the N rows in task t;
        "minimax": minimizes the largest mean loss; None: 1; dict: by label; array: sorted by label.
    handle_unknown : {"error", "shared", "warn"}, default="error"
        Tasks not seen in fit: raise an error, predict by the shared model, or do that and warn.
    solver : {"auto", "direct", "cg"}, default="auto"
        "direct" eliminates the blocks of the tasks (for K > 2 classes as a preconditioner);
        "cg" uses conjugate gradients, without blocks. "auto": "direct" if they fit into memory.
    max_iter : int, default=1000
        Maximum number of Newton steps ("direct") or conjugate gradient iterations ("cg").
    tol : float, default=1e-8
        Relative KKT residual at which to stop.
    warm_start : bool, default=False
        Whether to start from the last fit of the same tasks, features and classes.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,) or (n_tasks, 2)
        Sorted classes of all tasks; in the wide form [0, 1] for each.
    task_classes_ : ndarray of shape (n_tasks, n_classes), bool
        Whether the task had rows of the class in fit.
    tasks_ : ndarray of shape (n_tasks,)
        Task labels, sorted or in the order of their categories; in the wide form the columns of y.
    coef_ : ndarray of shape (n_tasks, n_features) or (n_tasks, n_classes, n_features)
        Coefficients of the log-odds of the second class, or of each of more than two; equal for
        all tasks. The task column has none.
    intercept_ : ndarray of shape (n_tasks,) or (n_tasks, n_classes)
        Log-odds of each task at x = 0.
    shared_coef_ : ndarray of shape (n_features,) or (n_classes, n_features)
        The coefficients w.
    shared_intercept_ : float or ndarray of shape (n_classes,)
        Log-odds of the shared model at x = 0.
    task_counts_, task_weight_ : ndarray of shape (n_tasks,)
        Number of rows and weight a_t of each task.
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
    >>> from skmtl import PooledClassifier
    >>> from skmtl.datasets import load_radon
    >>> X, y = load_radon(return_X_y=True)
    >>> PooledClassifier(task_column=0).fit(X, y > 1.4).shared_coef_.round(3)
    array([-1.192,  1.803])
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        alpha_intercept: float = np.inf,
        penalty_factor: PenaltyFactor = None,
        task_column: TaskColumn = None,
        fit_intercept: bool = True,
        task_classes: TaskClasses = "union",
        class_weight: ClassWeight = None,
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
        self.task_classes = task_classes
        self.class_weight = class_weight
        self.task_weight = task_weight
        self.handle_unknown = handle_unknown
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start


class SharedL2Classifier(SharedL2Model, MultiTaskClassifier):
    """Separate logistic regression for each task, with one alpha or one per task.

    Minimizes, over all w_t and b_t::

        sum_i a_t(i) s_i log(1 + exp(-y_i (w_t(i) . x_i + b_t(i)))) + 1/2 sum_t alpha_t ||w_t||^2

    with y_i = +-1; more than two classes have a w_t and b_t each, in a softmax. The baseline for
    multi-task models, without a loop over tasks.

    Parameters
    ----------
    alpha : float, array-like of shape (n_tasks,) or dict, default=1.0
        Regularization strength, in [0, inf], of all tasks or of each (dict: by label; array:
        sorted by label). 0 is maximum likelihood, without a solution (and with a warning) if the
        classes are separable; inf fits intercepts only.
    penalty_factor : array-like of shape (n_features,) or dict, default=None
        Factors of the penalty on each feature, in [0, inf], not rescaled; dict: by name, 1 for
        others. 0: no penalty on the feature; inf: its coefficients are zero.
    task_column : str or int, default=None
        Column of X with the task labels, by name or position. None: each column of y is a task.
    fit_intercept : bool, default=True
        Whether to fit intercepts. If False, the features are not centered. Intercepts are
        unpenalized: that of a task with one class is large, with a warning.
    task_classes : {"union", "seen"}, default="union"
        Classes that a task can have: those of all tasks, or only those of its own rows in fit.
    class_weight : None, "balanced" or dict, default=None
        Weight of each class: 1 (None), N / (K n_k) over all tasks ("balanced"), or by class (dict).
    task_weight : None, "balanced", "minimax", dict or array-like, default=None
        Weight a_t of each task. "balanced": N / (T n_t), with n_t of the N rows in task t;
        "minimax": minimizes the largest mean loss; None: 1; dict: by label; array: sorted by label.
    handle_unknown : {"error"}, default="error"
        Tasks not seen in fit: raise an error (there is no shared model).
    solver : {"auto", "direct", "cg"}, default="auto"
        "direct" eliminates the blocks of the tasks (for K > 2 classes as a preconditioner);
        "cg" uses conjugate gradients, without blocks. "auto": "direct" if they fit into memory.
    max_iter : int, default=1000
        Maximum number of Newton steps ("direct") or conjugate gradient iterations ("cg").
    tol : float, default=1e-8
        Relative KKT residual at which to stop.
    warm_start : bool, default=False
        Whether to start from the last fit of the same tasks, features and classes.

    Attributes
    ----------
    classes_, task_classes_, tasks_, coef_, intercept_, task_counts_, task_weight_, task_loss_, \
minimax_gap_, objective_, optimality_, n_iter_, history_, n_features_in_, feature_names_in_
        As in `PooledClassifier`.

    Examples
    --------
    >>> from skmtl import SharedL2Classifier
    >>> from skmtl.datasets import make_multitask_classification
    >>> X, y = make_multitask_classification(n_tasks=3, random_state=0)
    >>> SharedL2Classifier(alpha=5.0, task_column=0).fit(X, y).predict_proba(X[:2]).shape
    (2, 2)
    """

    def __init__(
        self,
        alpha: PenaltyWeights = 1.0,
        *,
        penalty_factor: PenaltyFactor = None,
        task_column: TaskColumn = None,
        fit_intercept: bool = True,
        task_classes: TaskClasses = "union",
        class_weight: ClassWeight = None,
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
        self.task_classes = task_classes
        self.class_weight = class_weight
        self.task_weight = task_weight
        self.handle_unknown = handle_unknown
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start


class MeanRegularizedClassifier(MeanRegularizedModel, MultiTaskClassifier):
    """Logistic regression for each task, shrunk towards a common center that is fitted jointly.

    Minimizes, over all w_t, centered intercepts c_t (log-odds at xbar) and their center (w, c)::

        sum_i a_t(i) s_i log(1 + exp(-y_i (w_t(i) . (x_i - xbar) + c_t(i))))
            + 1/2 sum_t alpha_t ||w_t - w||^2 + alpha_shared/2 ||w||^2
            + alpha_intercept/2 sum_t (c_t - c)^2

    with y_i = +-1, xbar the weighted mean of the features, s_i the sample (times class) and a_t
    the task weights. More than two classes have a w_t, w, c_t and c each, in a softmax; for classes
    without rows in a task, they are those of the center. Adding a constant to a feature changes no
    prediction.

    Parameters
    ----------
    alpha : float, array-like of shape (n_tasks,), dict or "auto", default=1.0
        Regularization strength, in [0, inf], of all tasks or of each (dict: by label or, with
        several task columns, by column; array: sorted by label). 0 fits separate models, inf equal
        slopes. "auto" estimates the variances between tasks by the Laplace approximation of the
        evidence, which underestimates them with few rows; standardize the features.
    alpha_shared : float, "auto" or None, default=None
        Penalty weight of the center. If positive, the center is finite for separable classes too.
        "auto" as for alpha; None is "auto" where alpha is "auto", else 1e-3.
    alpha_intercept : float, dict, "auto" or None, default=None
        Penalty weight of differences between centered intercepts, in [0, inf]; dict: by column, of
        several task columns. "auto" as for alpha; None is "auto" where alpha is "auto", else 1.
    covariance_type : {"spherical", "diag", "full"} or None, default=None
        Covariance of the tasks' deviations with ``alpha="auto"``, as in `MeanRegularizedRegressor`,
        and the same for each of more than two classes. Rows on Dask have "spherical" only.
    covariance_prior : float, default=10.0
        Weight of the prior ``sum_j (log tau_j - mean)^2`` that is added to minus twice the log
        evidence, as in `MeanRegularizedRegressor`. 0: none.
    penalty_factor : array-like of shape (n_features,) or dict, default=None
        Factors of the penalty on each feature, in [0, inf], not rescaled; dict: by name, 1 for
        others. 0: no penalty on the feature; inf: its slope is common to all tasks.
    task_column : str, int or list, default=None
        Column of X with the task labels, by name or position. None: each column of y is a task.
        A list: columns of groups in groups, from the outermost to that of the tasks; deviations are
        those of a task or group from the group that it is in.
    fit_intercept : bool, default=True
        Whether to fit intercepts. If False, the features are not centered.
    task_classes : {"union", "seen"}, default="union"
        Classes that a task can have: those of all tasks, or only those of its own rows in fit.
    class_weight : None, "balanced" or dict, default=None
        Weight of each class: 1 (None), N / (K n_k) over all tasks ("balanced"), or by class (dict).
    task_weight : None, "balanced", "minimax", dict or array-like, default=None
        Weight a_t of each task. "balanced": N / (T n_t), with n_t of the N rows in task t;
        "minimax": minimizes the largest mean loss; None: 1; dict: by label; array: sorted by label.
    handle_unknown : {"error", "shared", "warn"}, default="error"
        Tasks not seen in fit: raise an error, predict by the shared model (with several task
        columns: by the innermost group that was in fit), or do that and warn.
    solver : {"auto", "direct", "cg"}, default="auto"
        "direct" eliminates the blocks of the tasks (for K > 2 classes as a preconditioner);
        "cg" uses conjugate gradients, without blocks. "auto": "direct" if they fit into memory.
    max_iter : int, default=1000
        Maximum number of Newton steps ("direct") or conjugate gradient iterations ("cg").
    tol : float, default=1e-8
        Relative KKT residual at which to stop.
    warm_start : bool, default=False
        Whether to start from the last fit of the same tasks, features and classes.

    Attributes
    ----------
    coef_ : ndarray of shape (n_tasks, n_features) or (n_tasks, n_classes, n_features)
        Coefficients w_t in the order of ``tasks_``. The task column has none.
    groups_ : list
        With several task columns, the labels of the groups of each outer column, from the outside
        in: lists of tuples. Labels in ``tasks_`` are tuples, too.
    group_coef_, group_intercept_ : list of ndarray
        Their coefficients and intercepts, of the shapes of ``coef_`` and ``intercept_``.
    shared_coef_ : ndarray of shape (n_features,) or (n_classes, n_features)
        The center w.
    alpha_, alpha_shared_, alpha_intercept_ : float or dict
        The values used. ``alpha_`` has one per task if ``alpha`` has, and one per feature where
        variances per feature are estimated: with ``alpha="auto"``, by default. With several task
        columns dicts by column, of numbers or arrays, except for ``alpha_shared_``.
    tau2_, tau2_shared_, tau2_intercept_ : float or dict
        With "auto", the variances between tasks, 1 / alpha (one per feature or column where
        ``alpha_`` has, divided by its ``penalty_factor``) and 1 / alpha_intercept, and of the
        center, 1 / alpha_shared. If the evidence has no maximum, with a warning, ``alpha_`` is the
        smallest value tried, and the variance inf or, for one per feature, its inverse.
    covariance_ : ndarray of shape (n_features + 1, n_features + 1) or dict
        With "diag" and "full", that of the tasks' deviations: slopes and, last, centered intercept,
        whose variance is inf with ``alpha_intercept=0``. With several task columns a dict by
        column.
    log_evidence_ : float
        With "auto", that of the estimates, without ``covariance_prior``.
    classes_, task_classes_, tasks_, intercept_, shared_intercept_, task_counts_, task_weight_, \
task_loss_, minimax_gap_, objective_, optimality_, n_iter_, history_, n_features_in_, \
feature_names_in_
        As in `PooledClassifier`.

    References
    ----------
    T. Evgeniou and M. Pontil (2004). Regularized multi-task learning. KDD.
    https://doi.org/10.1145/1014052.1014067

    N. E. Breslow and D. G. Clayton (1993). Approximate inference in generalized linear mixed
    models. JASA 88. https://doi.org/10.1080/01621459.1993.10594284

    Examples
    --------
    >>> from skmtl import MeanRegularizedClassifier
    >>> from skmtl.datasets import make_multitask_classification
    >>> X, y = make_multitask_classification(n_tasks=3, random_state=0)
    >>> model = MeanRegularizedClassifier(alpha=5.0, task_column=0).fit(X, y)
    >>> model.predict_proba(X[:2]).round(3)
    array([[0.995, 0.005],
           [0.959, 0.041]])
    """

    _coercive_parameter = "alpha or alpha_shared"
    _free_center = 1e-3

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
        task_classes: TaskClasses = "union",
        class_weight: ClassWeight = None,
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
        self.task_classes = task_classes
        self.class_weight = class_weight
        self.task_weight = task_weight
        self.handle_unknown = handle_unknown
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
