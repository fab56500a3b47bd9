"""Models whose tasks are coupled along a graph."""

from __future__ import annotations

import numpy as np

from skmtl._typing import (
    ClassWeight,
    HandleUnknown,
    PenaltyFactor,
    Solver,
    TaskClasses,
    TaskColumn,
    TaskGraph,
    TaskWeight,
)
from skmtl.data import check_alpha, factorize, merge_tasks
from skmtl.linear_model._base import LinearMultiTaskModel
from skmtl.linear_model._classification import MultiTaskClassifier
from skmtl.linear_model._coefficients import users_coefficients
from skmtl.linear_model._posterior import PosteriorRegressor
from skmtl.linear_model._regression import Regressor
from skmtl.penalties import GraphCoupling, MeanCoupling, read_graph
from skmtl.tuning import ADAPTED_BY_TASK


class GraphModel(LinearMultiTaskModel):
    """Base of the models on graphs, whose tasks without rows are latent."""

    _has_center, _common = False, True
    _coercive_parameter = "alpha_shared"

    def _penalty(self, tasks):
        names = "alpha", "alpha_shared", "alpha_intercept"
        alpha, shared, intercept = (check_alpha(getattr(self, name), name) for name in names)
        graph, fixed = self.task_graph, not self.fit_intercept
        if np.isinf(shared) or (graph is not None and np.isinf([alpha, intercept]).any()):
            raise ValueError(
                "alpha_shared must be finite, and with a task_graph alpha and alpha_intercept "
                f"too; got {shared}, {alpha} and {intercept}. Use PooledRegressor or "
                "PooledClassifier for tasks with equal coefficients."
            )
        if graph is None:
            return _all_pairs(len(tasks), alpha, shared, np.inf if fixed else intercept, fixed)
        weights, latent = read_graph(graph, tasks)
        labels, intercept = tuple(tasks.tolist() + latent), 0.0 if fixed else intercept
        own = np.arange(len(tasks))
        return GraphCoupling(weights, own, labels, alpha, shared, intercept, fixed)

    def _set_task_attributes(self, fit):
        super()._set_task_attributes(fit)
        labels = getattr(fit.problem.penalty, "latent_labels", ())
        if labels and self.task_column is not None:
            self._add_latent(labels, fit)
        elif not isinstance(self._posterior, str):
            self._posterior = self._posterior.take(np.arange(len(self.tasks_)))

    def _add_latent(self, labels, fit):
        """Add the tasks without rows that the graph names."""
        point = fit.coefficients
        latent = fit.problem.penalty.latent(point.W, point.intercept)
        coef, intercept = users_coefficients(fit, *latent)
        added = {"coef_": coef, "intercept_": intercept, "task_counts_": 0, "task_weight_": 0.0}
        added |= dict.fromkeys(ADAPTED_BY_TASK, np.nan) | {"task_classes_": True}
        names = np.empty(len(labels), dtype=object)
        names[:] = labels
        names, codes = factorize(names, self.task_column)
        self.tasks_, own, added_at = merge_tasks(fit.rows.tasks, names, self.task_column)
        order = np.argsort(np.concatenate([own, added_at[codes]]))
        if not isinstance(self._posterior, str):
            self._posterior = self._posterior.take(order)
        for name, value in added.items():
            if hasattr(self, name):
                own = getattr(self, name)
                value = np.broadcast_to(value, (len(labels), *own.shape[1:]))
                setattr(self, name, np.concatenate([own, value], dtype=own.dtype)[order])


def _all_pairs(n_tasks, alpha, shared, alpha_intercept, fixed):
    """Return the coupling to a center that is equal to links of all pairs of weight 1 / T.

    With ``W_t = mean + V_t`` they are ``alpha/2 sum ||V_t||^2``, to which ``shared`` adds itself
    and ``T shared/2 ||mean||^2``; minimized over a center of weight b, ``T a b / (T a + b)``
    remains.
    """
    center = 0.0
    if shared > 0:
        center = n_tasks * shared * (1.0 + shared / alpha) if alpha > 0 else np.inf
    weight, common = np.full(n_tasks, alpha + shared), n_tasks * shared  # if alpha is inf
    return MeanCoupling(weight, center, alpha_intercept, fixed, common)


class GraphRegularizedRegressor(GraphModel, PosteriorRegressor, Regressor):
    """Ridge regression for each task, shrunk towards its neighbors in a graph.

    Minimizes, over all w_t and centered intercepts c_t (predictions at xbar)::

        1/2 sum_i a_t(i) s_i (y_i - w_t(i) . (x_i - xbar) - c_t(i))^2
            + alpha/2 sum_(s<t) A_st ||w_s - w_t||^2 + alpha_shared/2 sum_t ||w_t||^2
            + alpha_intercept/2 sum_(s<t) A_st (c_s - c_t)^2

    with xbar the weighted mean of the features, s_i the sample and a_t the task weights.
    Examples of graphs: neighboring regions, consecutive months, a hierarchy of products.

    Parameters
    ----------
    alpha : float, default=1.0
        Regularization strength, in [0, inf); inf only without a ``task_graph``.
    task_graph : None, array of shape (n_tasks, n_tasks) or list of tuples, default=None
        Edge weights A. None connects all pairs with weight 1 / n_tasks: the mean-regularized model.
        An array (dense or sparse) is a symmetric adjacency matrix in the order of the sorted
        labels. Tuples are edges (label, label) or (label, label, weight), with labels of the same
        type as in the data; labels without rows are latent tasks, such as the parents in a tree.
    alpha_shared : float, default=0.0
        Penalty weight of all coefficients, in [0, inf). If 0, coefficients that rows and graph do
        not identify are one of the solutions, all of the same objective.
    alpha_intercept : float, default=1.0
        Penalty weight of differences between centered intercepts; inf only without a task_graph.
    penalty_factor : array-like of shape (n_features,) or dict, default=None
        Factors of the penalty on each feature, in [0, inf], not rescaled; dict: by name, 1 for
        others. 0: no penalty on the feature; inf: its slope is common to all tasks.
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
        "direct" eliminates the blocks of the tasks (here as a preconditioner);
        "cg" uses conjugate gradients, without blocks. "auto": "direct" if they fit into memory.
    max_iter : int, default=1000
        Maximum number of Newton steps ("direct") or conjugate gradient iterations ("cg").
    tol : float, default=1e-8
        Relative KKT residual at which to stop.
    warm_start : bool, default=False
        Whether to start from the last fit of the same tasks and features; no effect on "direct".

    Attributes
    ----------
    tasks_ : ndarray of shape (n_tasks,)
        Task labels, sorted or in the order of their categories; in the wide form the columns of y,
        in the long form with latent tasks, which can be predicted; their ``task_counts_`` are 0.
    coef_ : ndarray of shape (n_tasks, n_features)
        Coefficients w_t in the order of ``tasks_``. The task column has none.
    intercept_, task_counts_, task_weight_, sigma2_, noise_variance_, task_loss_, minimax_gap_, \
objective_, optimality_, n_iter_, history_, n_features_in_, feature_names_in_
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
        self.task_graph = task_graph
        self.alpha_shared = alpha_shared
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


class GraphRegularizedClassifier(GraphModel, MultiTaskClassifier):
    """Logistic regression for each task, shrunk towards its neighbors in a graph.

    Minimizes, over all w_t and centered intercepts c_t (log-odds at xbar)::

        sum_i a_t(i) s_i log(1 + exp(-y_i (w_t(i) . (x_i - xbar) + c_t(i))))
            + alpha/2 sum_(s<t) A_st ||w_s - w_t||^2 + alpha_shared/2 sum_t ||w_t||^2
            + alpha_intercept/2 sum_(s<t) A_st (c_s - c_t)^2

    with y_i = +-1, xbar the weighted mean of the features, s_i the sample (times class) and a_t
    the task weights. More than two classes have a w_t and c_t each, in a softmax.

    Parameters
    ----------
    alpha : float, default=1.0
        Regularization strength, in [0, inf); inf only without a ``task_graph``.
    task_graph : None, array of shape (n_tasks, n_tasks) or list of tuples, default=None
        Edge weights A. None connects all pairs with weight 1 / n_tasks: the mean-regularized model.
        An array (dense or sparse) is a symmetric adjacency matrix in the order of the sorted
        labels. Tuples are edges (label, label) or (label, label, weight), with labels of the same
        type as in the data; labels without rows are latent tasks, such as the parents in a tree.
    alpha_shared : float, default=1e-3
        Penalty weight of all coefficients, in [0, inf). If positive, they are finite for separable
        classes too.
    alpha_intercept : float, default=1.0
        Penalty weight of differences between centered intercepts; inf only without a task_graph.
    penalty_factor : array-like of shape (n_features,) or dict, default=None
        Factors of the penalty on each feature, in [0, inf], not rescaled; dict: by name, 1 for
        others. 0: no penalty on the feature; inf: its slope is common to all tasks.
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
    solver : {"auto", "direct", "cg"}, default="auto"
        "direct" eliminates the blocks of the tasks (here as a preconditioner);
        "cg" uses conjugate gradients, without blocks. "auto": "direct" if they fit into memory.
    max_iter : int, default=1000
        Maximum number of Newton steps ("direct") or conjugate gradient iterations ("cg").
    tol : float, default=1e-8
        Relative KKT residual at which to stop.
    warm_start : bool, default=False
        Whether to start from the last fit of the same tasks, features and classes.

    Attributes
    ----------
    tasks_
        As in `GraphRegularizedRegressor`.
    coef_ : ndarray of shape (n_tasks, n_features) or (n_tasks, n_classes, n_features)
        Coefficients w_t in the order of ``tasks_``. The task column has none.
    classes_, task_classes_, intercept_, task_counts_, task_weight_, task_loss_, minimax_gap_, \
objective_, optimality_, n_iter_, history_, n_features_in_, feature_names_in_
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
        self.task_graph = task_graph
        self.alpha_shared = alpha_shared
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
