"""Models with any penalty of `skmtl.penalties`."""

from skmtl._typing import ClassWeight, HandleUnknown, Solver, TaskClasses, TaskColumn, TaskWeight
from skmtl.linear_model._classification import MultiTaskClassifier
from skmtl.linear_model._regressors import Regressor
from skmtl.linear_model._structured_model import StructuredModel
from skmtl.penalties import TaskPenalty


class ADMMRegressor(StructuredModel, Regressor):
    """Linear regressions of many tasks, coupled by a penalty of your choice.

    Minimizes, over all w_t and levels c_t, and over their center c::

        1/2 sum_i a_t(i) s_i (y_i - w_t(i) . (x_i - xbar) - c_t(i))^2
            + alpha penalty(W) + alpha_intercept/2 sum_t (c_t - c)^2

    with xbar the weighted mean of the features, s_i the sample and a_t the task weights. Norms
    set features, tasks, differences or singular values exactly to zero; ``structure_`` tells
    which.

    Parameters
    ----------
    penalty : str or TaskPenalty, default="l21"
        Penalty on W: an object of ``skmtl.penalties``, a sum or `Decomposed` of such, or the name
        of one with strength 1: "l1", "l21", "task_l2", "trace_norm", "robust_mean",
        "network_lasso", "temporal_fused", "ridge", "mean_regularized" or "graph".
    alpha : float, default=1.0
        Strength that multiplies the penalty, in [0, inf]. From ``skmtl.alpha_max`` on, a norm
        leaves nothing.
    alpha_intercept : float, default=1.0
        Strength that draws the tasks' levels together: 0 leaves them free, inf makes them one.
    task_column : str or int, default=None
        Column of X that holds the task labels (long form): its name, or its position. None: one
        task per column of y (wide form), or a single task.
    fit_intercept : bool, default=True
        Whether to fit levels. Without, the features are not centered.
    task_weight : None, "balanced", "minimax", dict or array-like, default=None
        Weight a_t of each task's loss: 1; N / (T n_t); such that the largest mean loss of a task
        is as small as it can be; or as given, an array (n_tasks,) or a dict from label to number.
    handle_unknown : {"error"}, default="error"
        A task that fit did not see is refused: there is no shared model.
    solver : {"auto", "admm"}, default="auto"
        ADMM either way: the other solvers are for models with a coupling of their own.
    max_iter : int, default=10000
        Limit of iterations of ADMM and of the Newton steps that finish where it is slow.
    tol : float, default=1e-8
        Relative KKT residual at which a solution is accepted; 1e-4 is enough to predict.
    warm_start : bool, default=False
        Whether to start from the last solution, where it has the same tasks and features.

    Attributes
    ----------
    coef_ : ndarray of shape (n_tasks, n_features)
        Coefficients w_t in the order of ``tasks_``. The task column has none.
    structure_ : Bunch, or list of Bunch
        What the penalty has found, as its class says: ``selected_features``, ``rank``,
        ``subspace``, ``outlier_tasks``, ``task_clusters``, ... Of a `Decomposed` penalty one for
        each part.
    parts_ : list of ndarray
        Of a `Decomposed` penalty, its parts; they sum to ``coef_``.
    history_ : list of dict
        After each round: iterations, objective, optimality, ``primal_residual``,
        ``dual_residual`` (relative) and ``rho``.
    tasks_, intercept_, task_counts_, objective_, optimality_, n_iter_, n_features_in_, \
feature_names_in_
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
        solver: Solver = "auto",
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
    """Logistic regressions of many tasks, coupled by a penalty of your choice.

    Minimizes, over all w_t and levels c_t, and over their center c::

        sum_i a_t(i) s_i log(1 + exp(-y_i (w_t(i) . (x_i - xbar) + c_t(i))))
            + alpha penalty(W) + alpha_intercept/2 sum_t (c_t - c)^2

    with y_i = +-1, xbar the weighted mean of the features, s_i the sample (times class) and a_t
    the task weights. More than two classes have a w_t and c_t each, in a softmax; they count as
    further tasks where a penalty selects features or a subspace (`L21`, `TraceNorm`), and as
    further features of their task elsewhere.

    Parameters
    ----------
    penalty : str or TaskPenalty, default="l21"
        Penalty on W: an object of ``skmtl.penalties``, a sum or `Decomposed` of such, or the name
        of one with strength 1: "l1", "l21", "task_l2", "trace_norm", "robust_mean",
        "network_lasso", "temporal_fused", "ridge", "mean_regularized" or "graph".
    alpha : float, default=1.0
        Strength that multiplies the penalty, in [0, inf]. From ``skmtl.alpha_max`` on, a norm
        leaves nothing.
    alpha_intercept : float, default=1.0
        Strength that draws the tasks' levels together: 0 leaves them free, inf makes them one.
    task_column : str or int, default=None
        Column of X that holds the task labels (long form): its name, or its position. None: one
        task per column of an indicator y (wide form), or a single task.
    fit_intercept : bool, default=True
        Whether to fit levels. Without, the features are not centered.
    task_classes : {"union", "seen"}, default="union"
        Which classes a task can have: all that any task has, or only those it has in fit.
    class_weight : None, "balanced" or dict, default=None
        Weight of each class, on top of all other weights: 1, N / (K n_k) over the rows of all
        tasks, or as given by a dict from class to a positive number.
    task_weight : None, "balanced", "minimax", dict or array-like, default=None
        Weight a_t of each task's loss: 1; N / (T n_t); such that the largest mean loss of a task
        is as small as it can be; or as given, an array (n_tasks,) or a dict from label to number.
    handle_unknown : {"error"}, default="error"
        A task that fit did not see is refused: there is no shared model.
    solver : {"auto", "admm"}, default="auto"
        ADMM either way: the other solvers are for models with a coupling of their own.
    max_iter : int, default=10000
        Limit of iterations of ADMM and of the Newton steps that finish where it is slow.
    tol : float, default=1e-8
        Relative KKT residual at which a solution is accepted; 1e-4 is enough to predict.
    warm_start : bool, default=False
        Whether to start from the last solution, where it has the same tasks and features.

    Attributes
    ----------
    coef_ : ndarray of shape (n_tasks, n_features) or (n_tasks, n_classes, n_features)
        Coefficients w_t in the order of ``tasks_``. The task column has none.
    structure_, parts_, history_
        As in `ADMMRegressor`.
    classes_, task_classes_, tasks_, intercept_, task_counts_, objective_, optimality_, n_iter_, \
n_features_in_, feature_names_in_
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
        solver: Solver = "auto",
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
