"""Multi-task logistic regression."""

from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from skmtl._typing import (
    ClassWeight,
    HandleUnknown,
    PerTask,
    Solver,
    TaskClasses,
    TaskColumn,
    TaskWeight,
)
from skmtl.linear_model._adapt import adapted
from skmtl.linear_model._centered import MeanRegularizedModel, PooledModel, SharedL2Model
from skmtl.linear_model._classification import MultiTaskClassifier


class PooledClassifier(PooledModel, MultiTaskClassifier):
    """One logistic regression for all tasks: hard sharing.

    Minimizes, over w, the levels c_t and their center c::

        sum_i a_t(i) s_i log(1 + exp(-y_i (w . (x_i - xbar) + c_t(i))))
            + alpha/2 ||w||^2 + alpha_intercept/2 sum_t (c_t - c)^2

    with y_i = +-1, xbar the weighted mean of the features, s_i the sample (times class) and a_t
    the task weights. More than two classes have a w, c_t and c each, in a softmax. With
    ``alpha_intercept=inf`` it is scikit-learn's ``LogisticRegression(C=1/alpha)`` on all rows;
    with a finite one, a logistic model with random intercepts.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty on w, in [0, inf].
    alpha_intercept : float, default=inf
        Strength that draws the tasks' levels together: 0 leaves them free, inf makes them one.
    task_column : str or int, default=None
        Column of X that holds the task labels (long form): its name, or its position. None: one
        task per column of an indicator y (wide form), or a single task.
    fit_intercept : bool, default=True
        Whether to fit levels. Without, the features are not centered.
    task_classes : {"union", "seen"}, default="union"
        Which classes a task can have: all that any task has, or only those it has in fit. With
        "seen", tasks of different questions (digits beside letters) share what they can.
    class_weight : None, "balanced" or dict, default=None
        Weight of each class, on top of all other weights: 1, N / (K n_k) over the rows of all
        tasks, or as given by a dict from class to a positive number.
    task_weight : None, "balanced", "minimax", dict or array-like, default=None
        Weight a_t of each task's loss: 1; N / (T n_t); such that the largest mean loss of a task
        is as small as it can be; or as given, an array (n_tasks,) or a dict from label to number.
    handle_unknown : {"error", "shared", "warn"}, default="error"
        What predict does with a task that fit did not see: refuse it, use the shared model, or
        use it and warn.
    solver : {"auto", "direct", "cg", "admm"}, default="auto"
        How Newton steps are solved: "direct" eliminates block by block, with more than two
        classes as preconditioner of conjugate gradients; "cg" needs no more memory than the data
        and the coefficients. "auto" takes "direct" where its blocks fit into memory.
        "admm" is the solver of `ADMMClassifier`, for comparison.
    max_iter : int, default=1000
        Limit of Newton steps ("direct") or of conjugate gradient iterations ("cg").
    tol : float, default=1e-8
        Relative KKT residual at which a solution is accepted.
    warm_start : bool, default=False
        Whether to start from the last solution, where it has the same tasks, features and
        classes.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,) or (n_tasks, 2)
        Sorted classes of all tasks; in the wide form [0, 1] for each.
    task_classes_ : ndarray of shape (n_tasks, n_classes), bool
        Whether a task had rows of a class in fit.
    tasks_ : ndarray of shape (n_tasks,)
        Sorted task labels.
    coef_ : ndarray of shape (n_tasks, n_features) or (n_tasks, n_classes, n_features)
        Coefficients of the log-odds of the second class, or of each of more than two; here equal
        for all tasks. The task column has none.
    intercept_ : ndarray of shape (n_tasks,) or (n_tasks, n_classes)
        The same at x = 0.
    shared_coef_ : ndarray of shape (n_features,) or (n_classes, n_features)
        The coefficients w.
    shared_intercept_ : float or ndarray of shape (n_classes,)
        Log-odds of the shared model at x = 0.
    task_counts_ : ndarray of shape (n_tasks,)
        Rows of each task.
    task_weight_ : ndarray of shape (n_tasks,)
        Weight a_t of each task.
    task_loss_ : ndarray of shape (n_tasks,)
        Only with ``task_weight="minimax"``: mean loss of each task.
    minimax_gap_ : float
        Only with ``task_weight="minimax"``: share of the largest of these by which the duality gap
        is open.
    objective_ : float
        The objective above at the solution.
    optimality_ : float
        Relative KKT residual at the solution, at most ``tol`` unless a warning says otherwise.
    n_iter_ : int
        Newton steps, or conjugate gradient iterations, taken.
    history_ : list of dict
        Iterations, objective and optimality after each Newton step.
    n_features_in_ : int
        Columns of X in fit, the task column counted.
    feature_names_in_ : ndarray of str
        Names of the columns of X, where it had names.

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
    """A logistic regression per task, each with its own strength: no sharing but of alpha.

    Minimizes, over all w_t and b_t::

        sum_i a_t(i) s_i log(1 + exp(-y_i (w_t(i) . x_i + b_t(i)))) + 1/2 sum_t alpha_t ||w_t||^2

    with y_i = +-1; more than two classes have a w_t and b_t each, in a softmax. The baseline that
    multi-task models have to beat, without a loop over tasks.

    Parameters
    ----------
    alpha : float, array-like of shape (n_tasks,) or dict, default=1.0
        Strength of the penalty, in [0, inf], for all tasks or for each: an array in the order of
        the sorted labels, or a dict from label to number. 0 is maximum likelihood, which
        separable classes leave without a solution (a warning says so); inf keeps only the level.
    task_column : str or int, default=None
        Column of X that holds the task labels (long form): its name, or its position. None: one
        task per column of an indicator y (wide form), or a single task.
    fit_intercept : bool, default=True
        Whether each task has an intercept, which is free: a task with one class gets a large one,
        and a warning.
    task_classes : {"union", "seen"}, default="union"
        Which classes a task can have: all that any task has, or only those it has in fit. With
        "seen", tasks of different questions (digits beside letters) share what they can.
    class_weight : None, "balanced" or dict, default=None
        Weight of each class, on top of all other weights: 1, N / (K n_k) over the rows of all
        tasks, or as given by a dict from class to a positive number.
    task_weight : None, "balanced", "minimax", dict or array-like, default=None
        Weight a_t of each task's loss: 1; N / (T n_t); such that the largest mean loss of a task
        is as small as it can be; or as given, an array (n_tasks,) or a dict from label to number.
    handle_unknown : {"error"}, default="error"
        A task that fit did not see is refused: there is no shared model.
    solver : {"auto", "direct", "cg", "admm"}, default="auto"
        How Newton steps are solved: "direct" eliminates block by block, with more than two
        classes as preconditioner of conjugate gradients; "cg" needs no more memory than the data
        and the coefficients. "auto" takes "direct" where its blocks fit into memory.
        "admm" is the solver of `ADMMClassifier`, for comparison.
    max_iter : int, default=1000
        Limit of Newton steps ("direct") or of conjugate gradient iterations ("cg").
    tol : float, default=1e-8
        Relative KKT residual at which a solution is accepted.
    warm_start : bool, default=False
        Whether to start from the last solution, where it has the same tasks, features and
        classes.

    Attributes
    ----------
    classes_, task_classes_, tasks_, coef_, intercept_, task_counts_, objective_, optimality_, \
n_iter_, history_, n_features_in_, feature_names_in_
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
        alpha: PerTask = 1.0,
        *,
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
    """A logistic regression per task, each drawn to a common center that is learned with them.

    Minimizes, over all w_t and levels c_t and over their center (w, c)::

        sum_i a_t(i) s_i log(1 + exp(-y_i (w_t(i) . (x_i - xbar) + c_t(i))))
            + 1/2 sum_t alpha_t ||w_t - w||^2 + alpha_shared/2 ||w||^2
            + alpha_intercept/2 sum_t (c_t - c)^2

    with y_i = +-1, xbar the weighted mean of the features, s_i the sample (times class) and a_t
    the task weights. More than two classes have a w_t, w, c_t and c each, in a softmax: classes
    that a task lacks come from the center.

    Parameters
    ----------
    alpha : float, array-like of shape (n_tasks,), dict or "auto", default=1.0
        Strength that draws the tasks to the center, in [0, inf], for all tasks or for each: an
        array in the order of the sorted labels, or a dict from label to number. 0 gives separate
        models, inf pooled slopes. "auto", for two classes, takes the one number of the largest
        evidence, by the Laplace approximation. That finds differences between tasks with few rows
        smaller than they are.
    alpha_shared : float, default=1e-3
        Strength of the penalty on the center; more than 0 keeps it finite where classes are
        separable.
    alpha_intercept : float or "auto", default=1.0
        Strength that draws the tasks' levels together: 0 leaves them free, inf makes them one. A
        level is the log-odds at xbar, so that adding a constant to a feature changes nothing.
        "auto" as for ``alpha``.
    task_column : str or int, default=None
        Column of X that holds the task labels (long form): its name, or its position. None: one
        task per column of an indicator y (wide form), or a single task.
    fit_intercept : bool, default=True
        Whether to fit levels. Without, the features are not centered.
    task_classes : {"union", "seen"}, default="union"
        Which classes a task can have: all that any task has, or only those it has in fit. With
        "seen", tasks of different questions (digits beside letters) share what they can.
    class_weight : None, "balanced" or dict, default=None
        Weight of each class, on top of all other weights: 1, N / (K n_k) over the rows of all
        tasks, or as given by a dict from class to a positive number.
    task_weight : None, "balanced", "minimax", dict or array-like, default=None
        Weight a_t of each task's loss: 1; N / (T n_t); such that the largest mean loss of a task
        is as small as it can be; or as given, an array (n_tasks,) or a dict from label to number.
    handle_unknown : {"error", "shared", "warn"}, default="error"
        What predict does with a task that fit did not see: refuse it, use the shared model, or
        use it and warn.
    solver : {"auto", "direct", "cg", "admm"}, default="auto"
        How Newton steps are solved: "direct" eliminates block by block, with more than two
        classes as preconditioner of conjugate gradients; "cg" needs no more memory than the data
        and the coefficients. "auto" takes "direct" where its blocks fit into memory.
        "admm" is the solver of `ADMMClassifier`, for comparison.
    max_iter : int, default=1000
        Limit of Newton steps ("direct") or of conjugate gradient iterations ("cg").
    tol : float, default=1e-8
        Relative KKT residual at which a solution is accepted.
    warm_start : bool, default=False
        Whether to start from the last solution, where it has the same tasks, features and
        classes.

    Attributes
    ----------
    coef_ : ndarray of shape (n_tasks, n_features) or (n_tasks, n_classes, n_features)
        Coefficients w_t in the order of ``tasks_``. The task column has none.
    shared_coef_ : ndarray of shape (n_features,) or (n_classes, n_features)
        The center w.
    alpha_, alpha_intercept_ : float
        The strengths used; ``alpha_`` by task where ``alpha`` is.
    tau2_, tau2_intercept_ : float
        With "auto", the variances between tasks, 1 / alpha and 1 / alpha_intercept. inf, with a
        warning, where the evidence has no maximum: the strength is then the least tried.
    log_evidence_ : float
        With "auto", its maximum.
    classes_, task_classes_, tasks_, intercept_, shared_intercept_, task_counts_, objective_, \
optimality_, n_iter_, history_, n_features_in_, feature_names_in_
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

    def __init__(
        self,
        alpha: PerTask = 1.0,
        *,
        alpha_shared: float = 1e-3,
        alpha_intercept: float | Literal["auto"] = 1.0,
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

    def adapt(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit tasks from new rows given the center, and leave all others as they are.

        A task that is new is added; one that is known is fitted anew, from these rows alone. The
        center does not move: this is what the model predicts for a task that arrives after
        training.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            Features and the column of task labels, as in ``fit``. ``alpha`` and ``task_weight``,
            where they differ by task, must be dicts that name the tasks.
        y : array-like of shape (n_samples,)
            Classes, of those that fit saw. Their weights are those of fit.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row.

        Returns
        -------
        MeanRegularizedClassifier
            A new fitted estimator; ``objective_``, ``optimality_``, ``n_iter_`` and ``history_``
            are those of the problem of the new rows.
        """
        return adapted(self, X, y, sample_weight)
