"""Models whose tasks are coupled along a graph."""

from skmtl._typing import (
    ClassWeight,
    HandleUnknown,
    Solver,
    TaskClasses,
    TaskColumn,
    TaskGraph,
    TaskWeight,
)
from skmtl.linear_model._classification import MultiTaskClassifier
from skmtl.linear_model._graph_model import GraphModel
from skmtl.linear_model._regressors import Regressor


class GraphRegularizedRegressor(GraphModel, Regressor):
    """A ridge regression per task, each drawn to its neighbors in a graph.

    Minimizes, over all w_t and levels c_t::

        1/2 sum_i a_t(i) s_i (y_i - w_t(i) . (x_i - xbar) - c_t(i))^2
            + alpha/2 sum_(s<t) A_st ||w_s - w_t||^2 + alpha_shared/2 sum_t ||w_t||^2
            + alpha_intercept/2 sum_(s<t) A_st (c_s - c_t)^2

    with xbar the weighted mean of the features, s_i the sample and a_t the task weights: regions
    and their neighbors, months in a row, products in a hierarchy.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength along the graph, in [0, inf); inf only without a ``task_graph``.
    task_graph : None, array of shape (n_tasks, n_tasks) or list of tuples, default=None
        Weights A of the links. None links all pairs by 1 / n_tasks: the mean-regularized model. An
        array (dense or sparse) is a symmetric adjacency in the order of the sorted labels. Tuples
        are edges (label, label) or (label, label, weight), in the labels' own type; labels without
        rows are latent tasks, such as the parents in a tree.
    alpha_shared : float, default=0.0
        Strength of the penalty on all coefficients, in [0, inf).
    alpha_intercept : float, default=1.0
        Strength that draws the levels of linked tasks together: 0 leaves them free; inf, only
        without a ``task_graph``, makes them one.
    task_column : str or int, default=None
        Column of X that holds the task labels (long form): its name, or its position. None: one
        task per column of y (wide form), or a single task.
    fit_intercept : bool, default=True
        Whether to fit levels. Without, the features are not centered.
    task_weight : None, "balanced", "uncertainty", "minimax", dict or array-like, default=None
        Weight a_t of each task's loss: 1; N / (T n_t); in proportion to 1 / noise variance, which
        is estimated with the model; such that the largest mean loss of a task is as small as it
        can be; or as given, an array (n_tasks,) or a dict from label to number.
    handle_unknown : {"error"}, default="error"
        A task that fit did not see is refused: there is no shared model.
    solver : {"auto", "direct", "cg", "admm"}, default="auto"
        "direct" solves with the blocks of the tasks, conjugate gradients adding the links; "cg"
        needs no more memory than the data and the coefficients. "auto" takes "direct" where its
        blocks fit into memory.
    max_iter : int, default=1000
        Limit of Newton steps ("direct") or of iterations (others).
    tol : float, default=1e-8
        Relative KKT residual at which a solution is accepted.
    warm_start : bool, default=False
        Whether to start from the last solution, where it has the same tasks and features.

    Attributes
    ----------
    tasks_ : ndarray of shape (n_tasks,)
        Sorted task labels, in the long form those of latent tasks among them: they can be
        predicted. Their ``task_counts_`` are 0.
    coef_ : ndarray of shape (n_tasks, n_features)
        Coefficients w_t in the order of ``tasks_``. The task column has none.
    intercept_, task_counts_, objective_, optimality_, n_iter_, history_, n_features_in_, \
feature_names_in_
        As in `PooledRegressor`.

    References
    ----------
    T. Evgeniou, C. Micchelli, M. Pontil (2005). Learning multiple tasks with kernel methods. JMLR
    6, 615-637. https://www.jmlr.org/papers/v6/evgeniou05a.html

    Examples
    --------
    >>> from skmtl import GraphRegularizedRegressor
    >>> from skmtl.datasets import make_multitask_regression
    >>> X, y = make_multitask_regression(n_tasks=4, random_state=0)
    >>> tree = [(0, "north"), (1, "north"), (2, "south"), (3, "south"), ("north", "south")]
    >>> model = GraphRegularizedRegressor(5.0, task_graph=tree, task_column=0).fit(X, y)
    >>> model.tasks_
    array([0, 1, 2, 3, 'north', 'south'], dtype=object)
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        task_graph: TaskGraph = None,
        alpha_shared: float = 0.0,
        alpha_intercept: float = 1.0,
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
        self.task_graph = task_graph
        self.alpha_shared = alpha_shared
        self.alpha_intercept = alpha_intercept
        self.task_column = task_column
        self.fit_intercept = fit_intercept
        self.task_weight = task_weight
        self.handle_unknown = handle_unknown
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start


class GraphRegularizedClassifier(GraphModel, MultiTaskClassifier):
    """A logistic regression per task, each drawn to its neighbors in a graph.

    Minimizes, over all w_t and levels c_t::

        sum_i a_t(i) s_i log(1 + exp(-y_i (w_t(i) . (x_i - xbar) + c_t(i))))
            + alpha/2 sum_(s<t) A_st ||w_s - w_t||^2 + alpha_shared/2 sum_t ||w_t||^2
            + alpha_intercept/2 sum_(s<t) A_st (c_s - c_t)^2

    with y_i = +-1, xbar the weighted mean of the features, s_i the sample (times class) and a_t
    the task weights. More than two classes have a w_t and c_t each, in a softmax.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength along the graph, in [0, inf); inf only without a ``task_graph``.
    task_graph : None, array of shape (n_tasks, n_tasks) or list of tuples, default=None
        Weights A of the links. None links all pairs by 1 / n_tasks: the mean-regularized model. An
        array (dense or sparse) is a symmetric adjacency in the order of the sorted labels. Tuples
        are edges (label, label) or (label, label, weight), in the labels' own type; labels without
        rows are latent tasks, such as the parents in a tree.
    alpha_shared : float, default=1e-3
        Strength of the penalty on all coefficients, in [0, inf); more than 0 keeps them
        finite where classes are separable.
    alpha_intercept : float, default=1.0
        Strength that draws the levels of linked tasks together: 0 leaves them free; inf, only
        without a ``task_graph``, makes them one.
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
    solver : {"auto", "direct", "cg", "admm"}, default="auto"
        "direct" solves with the blocks of the tasks, conjugate gradients adding the links; "cg"
        needs no more memory than the data and the coefficients. "auto" takes "direct" where its
        blocks fit into memory.
    max_iter : int, default=1000
        Limit of Newton steps ("direct") or of iterations (others).
    tol : float, default=1e-8
        Relative KKT residual at which a solution is accepted.
    warm_start : bool, default=False
        Whether to start from the last solution, where it has the same tasks and features.

    Attributes
    ----------
    tasks_
        As in `GraphRegularizedRegressor`.
    coef_ : ndarray of shape (N, n_features) or (N, n_classes, n_features)
        Coefficients of the nodes in the order of ``tasks_``.
    classes_, task_classes_, intercept_, task_counts_, objective_, optimality_, n_iter_, \
history_, n_features_in_, feature_names_in_
        As in `PooledClassifier`.

    References
    ----------
    T. Evgeniou, C. Micchelli, M. Pontil (2005). Learning multiple tasks with kernel methods. JMLR
    6, 615-637. https://www.jmlr.org/papers/v6/evgeniou05a.html

    Examples
    --------
    >>> from skmtl import GraphRegularizedClassifier
    >>> from skmtl.datasets import make_multitask_classification
    >>> X, y = make_multitask_classification(n_tasks=3, random_state=0)
    >>> chain = [(0, 1), (1, 2)]
    >>> model = GraphRegularizedClassifier(5.0, task_graph=chain, task_column=0).fit(X, y)
    >>> model.predict_proba(X[:2]).shape
    (2, 2)
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        task_graph: TaskGraph = None,
        alpha_shared: float = 1e-3,
        alpha_intercept: float = 1.0,
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
        self.task_graph = task_graph
        self.alpha_shared = alpha_shared
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
