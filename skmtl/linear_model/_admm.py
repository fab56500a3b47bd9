"""Models with any penalty of `skmtl.penalties`."""

from __future__ import annotations

from sklearn.utils import Bunch

from skmtl._typing import (
    ADMMSolver,
    ClassWeight,
    HandleUnknown,
    TaskClasses,
    TaskColumn,
    TaskWeight,
)
from skmtl._warn import did_you_mean
from skmtl.data import check_alpha
from skmtl.fitting import labels_of
from skmtl.linear_model._base import LinearMultiTaskModel
from skmtl.linear_model._classification import MultiTaskClassifier
from skmtl.linear_model._coefficients import to_users
from skmtl.linear_model._regression import Regressor
from skmtl.penalties import PENALTIES, Decomposed, StructuredPenalty, TaskPenalty


class StructuredModel(LinearMultiTaskModel):
    """Base of the models whose penalty is a parameter, an object or the name of a class."""

    _has_center = False
    _solvers: tuple[str, ...] = ("admm", "proximal")
    _coercive_parameter = "alpha, or add a penalty such as Ridge(1e-3)"

    def _penalty(self, tasks):
        penalty = self.penalty
        if isinstance(penalty, str):
            if penalty not in PENALTIES:
                raise ValueError(
                    f"penalty must be one of {sorted(PENALTIES)} or an object such as "
                    f"L21(1.0), got {penalty!r}.{did_you_mean(penalty, PENALTIES)}"
                )
            penalty = PENALTIES[penalty]()
        if not isinstance(penalty, TaskPenalty):
            raise ValueError(
                f"penalty must be one of {sorted(PENALTIES)} or an object of skmtl.penalties, got "
                f"{penalty!r}."
            )
        penalty, alpha = penalty.bind(tasks), check_alpha(self.alpha, "alpha")
        return StructuredPenalty(penalty, alpha, *self._intercept_penalty(self.alpha_intercept))

    def _set_solution_attributes(self, fit):
        super()._set_solution_attributes(fit)
        solution, penalty = fit.solution, fit.problem.penalty
        split = solution.split or penalty.split(solution.coefficients.W)
        found = [Bunch(**part) for part in penalty.structure(split, labels_of(fit.rows))]
        self.__dict__.pop("parts_", None)
        if isinstance(penalty.penalty, Decomposed):
            self.structure_, self.parts_ = found, [to_users(part) for part in split.parts]
        else:
            self.structure_ = found[0]


class ADMMRegressor(StructuredModel, Regressor):
    """Linear regression for each task, with a joint penalty of choice on the coefficients.

    Minimizes, over all w_t, centered intercepts c_t (predictions at xbar) and their center c::

        1/2 sum_i a_t(i) s_i (y_i - w_t(i) . (x_i - xbar) - c_t(i))^2
            + alpha penalty(W) + alpha_intercept/2 sum_t (c_t - c)^2

    with xbar the weighted mean of the features, s_i the sample and a_t the task weights. Norms
    set features, tasks, differences or singular values exactly to zero; ``structure_`` lists them.

    Parameters
    ----------
    penalty : str or TaskPenalty, default="l21"
        Penalty on W: an object of ``skmtl.penalties``, a sum or `Decomposed` of these, or the name
        of one with alpha 1: "l1", "l21", "task_l2", "trace_norm", "robust_mean",
        "network_lasso", "temporal_fused", "ridge", "mean_regularized" or "graph".
    alpha : float, default=1.0
        Regularization strength, in [0, inf], by which the penalty is multiplied. From
        ``skmtl.alpha_max`` on, everything that a norm penalizes is zero.
    alpha_intercept : float, default=1.0
        Penalty weight of differences between centered intercepts: 0 for none, inf for equal ones.
    task_column : str or int, default=None
        Column of X with the task labels, by name or position. None: each column of y is a task.
    fit_intercept : bool, default=True
        Whether to fit intercepts. If False, the features are not centered.
    task_weight : None, "balanced", "minimax", dict or array-like, default=None
        Weight a_t of each task. "balanced": N / (T n_t), with n_t of the N rows in task t;
        "minimax": minimizes the largest mean loss; None: 1; dict: by label; array: sorted by label.
    handle_unknown : {"error"}, default="error"
        Tasks not seen in fit: raise an error (there is no shared model).
    solver : {"auto", "admm", "proximal"}, default="auto"
        "admm" supports every penalty; "proximal" one norm that treats features separately, by
        coordinate descent (L1, L21) or proximal gradient steps. "auto": "proximal" for L1 and L21,
        and where X is sparse with many features; else "admm".
    max_iter : int, default=10000
        Maximum number of iterations: of "admm" also of Newton steps, which take over if it is slow;
        of "proximal" sweeps of coordinate descent, or gradient steps.
    tol : float, default=1e-8
        Relative KKT residual at which to stop. 1e-4 suffices for prediction.
    warm_start : bool, default=False
        Whether to start from the last fit of the same tasks and features.

    Attributes
    ----------
    coef_ : ndarray of shape (n_tasks, n_features)
        Coefficients w_t in the order of ``tasks_``. The task column has none.
    structure_ : Bunch, or list of Bunch
        Structure found by the penalty, as described in its class: ``selected_features``, ``rank``,
        ``subspace``, ``outlier_tasks``, ``task_clusters``, ... One for each part of a `Decomposed`
        penalty.
    parts_ : list of ndarray
        Parts of ``coef_``, which is their sum, only with a `Decomposed` penalty.
    history_ : list of dict
        After each round: iterations, objective, optimality and, of ADMM iterations,
        ``primal_residual``, ``dual_residual`` (relative) and ``rho``.
    tasks_, intercept_, task_counts_, task_weight_, task_loss_, minimax_gap_, objective_, \
optimality_, n_iter_, n_features_in_, feature_names_in_
        As in `PooledRegressor`.

    References
    ----------
    S. Boyd, N. Parikh, E. Chu, B. Peleato, J. Eckstein (2011). Distributed optimization and
    statistical learning via the alternating direction method of multipliers. Foundations and
    Trends in Machine Learning 3. https://doi.org/10.1561/2200000016

    Examples
    --------
    >>> from skmtl import ADMMRegressor
    >>> from skmtl.datasets import make_multitask_regression
    >>> X, y = make_multitask_regression(n_tasks=5, n_features=4, random_state=0)
    >>> model = ADMMRegressor("robust_mean", alpha=80.0, task_column=0).fit(X, y)
    >>> model.structure_.outlier_tasks
    array([], dtype=int64)
    """

    def __init__(
        self,
        penalty: str | TaskPenalty = "l21",
        alpha: float = 1.0,
        *,
        alpha_intercept: float = 1.0,
        task_column: TaskColumn = None,
        fit_intercept: bool = True,
        task_weight: TaskWeight = None,
        handle_unknown: HandleUnknown = "error",
        solver: ADMMSolver = "auto",
        max_iter: int = 10_000,
        tol: float = 1e-8,
        warm_start: bool = False,
    ) -> None:
        self.penalty = penalty
        self.alpha = alpha
        self.alpha_intercept = alpha_intercept
        self.task_column = task_column
        self.fit_intercept = fit_intercept
        self.task_weight = task_weight
        self.handle_unknown = handle_unknown
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start


class ADMMClassifier(StructuredModel, MultiTaskClassifier):
    """Logistic regression for each task, with a joint penalty of choice on the coefficients.

    Minimizes, over all w_t, centered intercepts c_t (log-odds at xbar) and their center c::

        sum_i a_t(i) s_i log(1 + exp(-y_i (w_t(i) . (x_i - xbar) + c_t(i))))
            + alpha penalty(W) + alpha_intercept/2 sum_t (c_t - c)^2

    with y_i = +-1, xbar the weighted mean of the features, s_i the sample (times class) and a_t
    the task weights. More than two classes have a w_t and c_t each, in a softmax. Penalties that
    select features or a subspace (`L21`, `TraceNorm`) treat them as further tasks, all others as
    further features of their task.

    Parameters
    ----------
    penalty : str or TaskPenalty, default="l21"
        Penalty on W: an object of ``skmtl.penalties``, a sum or `Decomposed` of these, or the name
        of one with alpha 1: "l1", "l21", "task_l2", "trace_norm", "robust_mean",
        "network_lasso", "temporal_fused", "ridge", "mean_regularized" or "graph".
    alpha : float, default=1.0
        Regularization strength, in [0, inf], by which the penalty is multiplied. From
        ``skmtl.alpha_max`` on, everything that a norm penalizes is zero.
    alpha_intercept : float, default=1.0
        Penalty weight of differences between centered intercepts: 0 for none, inf for equal ones.
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
    handle_unknown : {"error"}, default="error"
        Tasks not seen in fit: raise an error (there is no shared model).
    solver : {"auto", "admm", "proximal"}, default="auto"
        "admm" supports every penalty; "proximal" one norm that treats features separately, by
        coordinate descent (L1, L21) or proximal gradient steps. "auto": "proximal" for L1 and L21,
        and where X is sparse with many features; else "admm".
    max_iter : int, default=10000
        Maximum number of iterations: of "admm" also of Newton steps, which take over if it is slow;
        of "proximal" sweeps of coordinate descent, or gradient steps.
    tol : float, default=1e-8
        Relative KKT residual at which to stop. 1e-4 suffices for prediction.
    warm_start : bool, default=False
        Whether to start from the last fit of the same tasks, features and classes.

    Attributes
    ----------
    coef_ : ndarray of shape (n_tasks, n_features) or (n_tasks, n_classes, n_features)
        Coefficients w_t in the order of ``tasks_``. The task column has none.
    structure_, parts_, history_
        As in `ADMMRegressor`.
    classes_, task_classes_, tasks_, intercept_, task_counts_, task_weight_, task_loss_, \
minimax_gap_, objective_, optimality_, n_iter_, n_features_in_, feature_names_in_
        As in `PooledClassifier`.

    References
    ----------
    S. Boyd, N. Parikh, E. Chu, B. Peleato, J. Eckstein (2011). Distributed optimization and
    statistical learning via the alternating direction method of multipliers. Foundations and
    Trends in Machine Learning 3. https://doi.org/10.1561/2200000016

    Examples
    --------
    >>> from skmtl import ADMMClassifier
    >>> from skmtl.datasets import make_multitask_classification
    >>> X, y = make_multitask_classification(n_tasks=3, random_state=0)
    >>> model = ADMMClassifier("l21", alpha=8.0, task_column=0).fit(X, y)
    >>> int(model.structure_.selected_features.sum())
    6
    """

    def __init__(
        self,
        penalty: str | TaskPenalty = "l21",
        alpha: float = 1.0,
        *,
        alpha_intercept: float = 1.0,
        task_column: TaskColumn = None,
        fit_intercept: bool = True,
        task_classes: TaskClasses = "union",
        class_weight: ClassWeight = None,
        task_weight: TaskWeight = None,
        handle_unknown: HandleUnknown = "error",
        solver: ADMMSolver = "auto",
        max_iter: int = 10_000,
        tol: float = 1e-8,
        warm_start: bool = False,
    ) -> None:
        self.penalty = penalty
        self.alpha = alpha
        self.alpha_intercept = alpha_intercept
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
