"""Multi-task linear regression."""

from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin

from skmtl._typing import Array, HandleUnknown, PerTask, Solver, TaskColumn, TaskWeight
from skmtl.linear_model._adapt import adapted
from skmtl.linear_model._base import LinearMultiTaskModel
from skmtl.linear_model._centered import MeanRegularizedModel, PooledModel, SharedL2Model


class Regressor(RegressorMixin, LinearMultiTaskModel):
    """What the regressors share: the squared loss and a numeric target."""

    _alternative = "MeanRegularizedRegressor"

    def predict(self, X: ArrayLike) -> Array:
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

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = self.task_column is None
        return tags


class PooledRegressor(PooledModel, Regressor):
    """One ridge regression for all tasks: hard sharing.

    Minimizes, over w, the levels c_t and their center c::

        1/2 sum_i a_t(i) s_i (y_i - w . (x_i - xbar) - c_t(i))^2
            + alpha/2 ||w||^2 + alpha_intercept/2 sum_t (c_t - c)^2

    with xbar the weighted mean of the features, s_i the sample and a_t the task weights. With
    ``alpha_intercept=inf`` it is scikit-learn's ``Ridge(alpha)`` on all rows; with a finite one,
    a random-intercept model; with 0, the fixed-effects ("within") estimator.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty on w, in [0, inf].
    alpha_intercept : float, default=inf
        Strength that draws the tasks' levels together: 0 leaves them free, inf makes them one.
    task_column : str or int, default=None
        Column of X that holds the task labels (long form): its name, or its position. None: one
        task per column of y (wide form), or a single task.
    fit_intercept : bool, default=True
        Whether to fit levels. Without, the features are not centered.
    task_weight : None, "balanced", "uncertainty", "minimax", dict or array-like, default=None
        Weight a_t of each task's loss: 1; N / (T n_t); in proportion to 1 / noise variance, which
        is estimated with the model; such that the largest mean loss of a task is as small as it
        can be; or as given, an array (n_tasks,) or a dict from label to number.
    handle_unknown : {"error", "shared", "warn"}, default="error"
        What predict does with a task that fit did not see: refuse it, use the shared model, or
        use it and warn.
    solver : {"auto", "direct", "cg", "admm"}, default="auto"
        "direct" eliminates block by block, exactly; "cg" needs no more memory than the data and
        the coefficients. "auto" takes "direct" where its blocks fit into memory.
        "admm" is the solver of `ADMMRegressor`, for comparison.
    max_iter : int, default=1000
        Limit of steps ("direct") or of conjugate gradient iterations ("cg").
    tol : float, default=1e-8
        Relative KKT residual at which a solution is accepted.
    warm_start : bool, default=False
        Whether "cg" starts from the last solution, where it has the same tasks and features. The
        steps of "direct" are exact from anywhere.

    Attributes
    ----------
    tasks_ : ndarray of shape (n_tasks,)
        Sorted task labels.
    coef_ : ndarray of shape (n_tasks, n_features)
        Coefficients, here with equal rows. The task column has none.
    intercept_ : ndarray of shape (n_tasks,)
        Prediction of each task at x = 0.
    shared_coef_ : ndarray of shape (n_features,)
        The coefficients w.
    shared_intercept_ : float
        Prediction of the shared model at x = 0.
    task_counts_ : ndarray of shape (n_tasks,)
        Rows of each task.
    task_weight_ : ndarray of shape (n_tasks,)
        Weight a_t of each task.
    noise_variance_ : ndarray of shape (n_tasks,)
        Only with ``task_weight="uncertainty"``: noise variance of each task.
    task_loss_ : ndarray of shape (n_tasks,)
        Only with ``task_weight="minimax"``: mean loss of each task.
    minimax_gap_ : float
        Only with ``task_weight="minimax"``: share of the largest of these by which the duality gap
        is open.
    objective_ : float
        The objective above at the solution.
    optimality_ : float
        Relative KKT residual at the solution.
    n_iter_ : int
        Steps or iterations taken.
    history_ : list of dict
        Iterations, objective and optimality after each step.
    n_features_in_ : int
        Columns of X in fit, the task column counted.
    feature_names_in_ : ndarray of str
        Names of the columns of X, where it had names.

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
        self.task_column = task_column
        self.fit_intercept = fit_intercept
        self.task_weight = task_weight
        self.handle_unknown = handle_unknown
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start


class SharedL2Regressor(SharedL2Model, Regressor):
    """A ridge regression per task, each with its own strength: no sharing but of alpha.

    Minimizes, over all w_t and b_t::

        1/2 sum_i a_t(i) s_i (y_i - w_t(i) . x_i - b_t(i))^2 + 1/2 sum_t alpha_t ||w_t||^2

    The baseline that multi-task models have to beat, without a loop over tasks.

    Parameters
    ----------
    alpha : float, array-like of shape (n_tasks,) or dict, default=1.0
        Strength of the penalty, in [0, inf], for all tasks or for each: an array in the order of
        the sorted labels, or a dict from label to number. 0 is least squares, of minimum norm
        where the rows leave it open; inf keeps only the level.
    task_column : str or int, default=None
        Column of X that holds the task labels (long form): its name, or its position. None: one
        task per column of y (wide form), or a single task.
    fit_intercept : bool, default=True
        Whether each task has an intercept, which is free.
    task_weight : None, "balanced", "uncertainty", "minimax", dict or array-like, default=None
        Weight a_t of each task's loss: 1; N / (T n_t); in proportion to 1 / noise variance, which
        is estimated with the model; such that the largest mean loss of a task is as small as it
        can be; or as given, an array (n_tasks,) or a dict from label to number.
    handle_unknown : {"error"}, default="error"
        A task that fit did not see is refused: there is no shared model.
    solver : {"auto", "direct", "cg", "admm"}, default="auto"
        "direct" eliminates block by block, exactly; "cg" needs no more memory than the data and
        the coefficients. "auto" takes "direct" where its blocks fit into memory.
        "admm" is the solver of `ADMMRegressor`, for comparison.
    max_iter : int, default=1000
        Limit of steps ("direct") or of conjugate gradient iterations ("cg").
    tol : float, default=1e-8
        Relative KKT residual at which a solution is accepted.
    warm_start : bool, default=False
        Whether "cg" starts from the last solution, where it has the same tasks and features. The
        steps of "direct" are exact from anywhere.

    Attributes
    ----------
    tasks_, coef_, intercept_, task_counts_, objective_, optimality_, n_iter_, history_, \
n_features_in_, feature_names_in_
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
        alpha: PerTask = 1.0,
        *,
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
        self.task_column = task_column
        self.fit_intercept = fit_intercept
        self.task_weight = task_weight
        self.handle_unknown = handle_unknown
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start


class MeanRegularizedRegressor(MeanRegularizedModel, Regressor):
    """A ridge regression per task, each drawn to a common center that is learned with them.

    Minimizes, over all w_t and levels c_t and over their center (w, c)::

        1/2 sum_i a_t(i) s_i (y_i - w_t(i) . (x_i - xbar) - c_t(i))^2
            + 1/2 sum_t alpha_t ||w_t - w||^2 + alpha_shared/2 ||w||^2
            + alpha_intercept/2 sum_t (c_t - c)^2

    with xbar the weighted mean of the features, s_i the sample and a_t the task weights. It is
    the random-coefficient model of mixed-model software with alpha = noise variance / variance
    between tasks: small tasks borrow much, large ones little.

    Parameters
    ----------
    alpha : float, array-like of shape (n_tasks,), dict or "auto", default=1.0
        Strength that draws the tasks to the center, in [0, inf], for all tasks or for each: an
        array in the order of the sorted labels, or a dict from label to number. 0 gives separate
        models, inf pooled slopes. "auto" takes the one number of the largest restricted
        likelihood: nothing to tune. Features should then be of similar scales.
    alpha_shared : float, default=0.0
        Strength of the penalty on the center. With 0 the center is the one of minimum norm where
        the data leave it open.
    alpha_intercept : float or "auto", default=1.0
        Strength that draws the tasks' levels together: 0 leaves them free, inf makes them one. A
        level is the prediction at xbar, so that adding a constant to a feature changes nothing.
        "auto" as for ``alpha``.
    task_column : str or int, default=None
        Column of X that holds the task labels (long form): its name, or its position. None: one
        task per column of y (wide form), or a single task.
    fit_intercept : bool, default=True
        Whether to fit levels. Without, the features are not centered, and a column of ones is a
        feature like any other.
    task_weight : None, "balanced", "uncertainty", "minimax", dict or array-like, default=None
        Weight a_t of each task's loss: 1; N / (T n_t); in proportion to 1 / noise variance, which
        is estimated with the model; such that the largest mean loss of a task is as small as it
        can be; or as given, an array (n_tasks,) or a dict from label to number.
    handle_unknown : {"error", "shared", "warn"}, default="error"
        What predict does with a task that fit did not see: refuse it, use the shared model, or
        use it and warn.
    solver : {"auto", "direct", "cg", "admm"}, default="auto"
        "direct" eliminates block by block, exactly; "cg" needs no more memory than the data and
        the coefficients. "auto" takes "direct" where its blocks fit into memory.
        "admm" is the solver of `ADMMRegressor`, for comparison.
    max_iter : int, default=1000
        Limit of steps ("direct") or of conjugate gradient iterations ("cg").
    tol : float, default=1e-8
        Relative KKT residual at which a solution is accepted.
    warm_start : bool, default=False
        Whether "cg" starts from the last solution, where it has the same tasks and features. The
        steps of "direct" are exact from anywhere.

    Attributes
    ----------
    coef_ : ndarray of shape (n_tasks, n_features)
        Coefficients w_t in the order of ``tasks_``. The task column has none.
    shared_coef_ : ndarray of shape (n_features,)
        The center w.
    alpha_, alpha_intercept_ : float
        The strengths used; ``alpha_`` by task where ``alpha`` is.
    sigma2_, tau2_, tau2_intercept_ : float
        With "auto", the variances of the noise of a row, of the coefficients between tasks
        (sigma2 / alpha) and of the levels (sigma2 / alpha_intercept). Weights count rows: weight 2
        is the row twice. Data without noise have strength 0, ``sigma2_`` 0 and a variance of nan;
        where all tasks are also alike, as with a constant y, the strength is inf.
    restricted_log_likelihood_ : float
        With "auto", its maximum, with the constants of R's lme4 and nlme; without noise inf.
    tasks_, intercept_, shared_intercept_, task_counts_, objective_, optimality_, n_iter_, \
history_, n_features_in_, feature_names_in_
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
    >>> round(model.alpha_, 3), round(model.sigma2_, 3), round(model.tau2_, 3)
    (4.791, 0.479, 0.1)
    """

    def __init__(
        self,
        alpha: PerTask = 1.0,
        *,
        alpha_shared: float = 0.0,
        alpha_intercept: float | Literal["auto"] = 1.0,
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
        self.task_column = task_column
        self.fit_intercept = fit_intercept
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
            Target.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row.

        Returns
        -------
        MeanRegularizedRegressor
            A new fitted estimator; ``objective_``, ``optimality_``, ``n_iter_`` and ``history_``
            are those of the problem of the new rows.
        """
        return adapted(self, X, y, sample_weight)
