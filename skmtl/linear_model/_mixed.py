"""Tasks of different kinds in one model: numbers, classes and counts."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch

from skmtl._typing import Array, HandleUnknown, Losses, MixedSolver, TaskColumn, TaskWeight
from skmtl.data import (
    check_columns,
    column_names,
    entries_of_tasks,
    frame_like,
    labels_of,
    numbers_of,
    row_predictions,
)
from skmtl.linear_model._admm import StructuredModel
from skmtl.linear_model._base import LinearMultiTaskModel
from skmtl.linear_model._responses import (
    columns_in_order,
    mean_score,
    own_score,
    probabilities,
    response,
    row_losses,
)
from skmtl.linear_model._separation import warn_of_separation
from skmtl.penalties import StructuredPenalty, TaskPenalty


class MixedOutcomeModel(StructuredModel):
    """Tasks of different kinds under one penalty: regression, classification and counts.

    Minimizes, over all rows w_r of W and centered intercepts c_r (raw predictions at xbar)::

        sum_t a_t sum_i s_i loss_t(y_i, z_i) + alpha penalty(W)
            + alpha_intercept/2 sum_r (c_r - c)^2,    z_i = w_r . (x_i - xbar) + c_r

    with xbar the weighted mean of the features, s_i the sample and a_t the task weights. The loss
    of a task is one of

    - "squared": ``1/2 (y - z)^2`` of a number;
    - "logistic": ``log(1 + exp(-y z))`` of two classes, y = +-1;
    - "multinomial": minus the logarithm of a softmax of K classes, whose task holds K rows of W;
    - "poisson": ``exp(z) - y z`` of a count, up to a constant; the prediction is exp(z).

    The penalty sees the rows of W as tasks, whatever their kinds: with "l21" all outcomes use the
    same features.

    Parameters
    ----------
    penalty : str or TaskPenalty, default="l21"
        Penalty on W: an object of ``skmtl.penalties``, a sum or `Decomposed` of these, or the name
        of one with alpha 1: "l1", "l21", "task_l2", "trace_norm", "robust_mean",
        "network_lasso", "temporal_fused", "ridge", "mean_regularized" or "graph". Graphs and
        sequences have the rows of W as nodes, labeled by task or, where a task holds several,
        (task, class). The center of "mean_regularized" is not penalized:
        ``MeanRegularized(1.0, alpha_shared=0.1)`` shrinks it to zero, too.
    alpha : float, default=1.0
        Regularization strength, in [0, inf], by which the penalty is multiplied, with its
        ``alpha_shared`` if it has one.
    alpha_intercept : float, default=0.0
        Penalty weight of differences between centered intercepts: 0 for none, inf for equal ones.
    losses : "infer" or dict, default="infer"
        Dict: loss by task; others are inferred. "infer": numbers, whole ones too, are "squared";
        strings, booleans and categories are classes, of which two make a task "logistic" and more
        "multinomial". Classes that are numbers, and counts, have to be named.
    task_column : str or int, default=None
        Column of X with the task labels, by name or position. None: each column of y is a task.
    fit_intercept : bool, default=True
        Whether to fit intercepts. If False, the features are not centered.
    task_weight : "uncertainty", "balanced", None, dict or array-like, default="uncertainty"
        "uncertainty": the unit of a squared task is the standard deviation of its noise, so that
        the units of y do not matter; all a_t are 1. Its variance is estimated by restricted maximum
        likelihood of a ridge regression of the task alone, of up to 5000 rows or features; where
        that leaves less than one degree of freedom it is the variance of y, with a warning. Else y
        has the units given, and the a_t are 1 (None), N / (T n_t) with n_t of the N targets in task
        t ("balanced"), by label (dict) or in the order of ``tasks_`` (array).
    handle_unknown : {"error"}, default="error"
        What to do with tasks that were not in fit: raise an error, as their kinds are unknown.
    solver : {"auto", "direct", "cg", "admm", "proximal"}, default="auto"
        "direct" and "cg" take quadratic penalties: ridges, `MeanRegularized`, `Graph`; "admm" any;
        "proximal" L1 and L21, and without counts other norms that treat features separately.
        "auto": "proximal" for L1 and L21, else the first that can.
    max_iter : int, default=10000
        Maximum number of iterations.
    tol : float, default=1e-8
        Relative KKT residual at which to stop. 1e-4 suffices for prediction.
    warm_start : bool, default=False
        Whether to start from the last fit of the same tasks, features and classes.

    Attributes
    ----------
    tasks_ : ndarray of shape (n_tasks,)
        Task labels, sorted or in the order of their categories; in the wide form the columns of y.
    losses_ : dict
        Loss of each task.
    classes_ : dict
        Classes (K,) of each task that has classes, sorted.
    coef_ : ndarray of shape (n_rows, n_features)
        Rows of W, in the units of y, of the log-odds or of the logarithm of the mean count.
    coef_tasks_ : ndarray of shape (n_rows,)
        The task of each row of ``coef_`` and ``intercept_``.
    intercept_ : ndarray of shape (n_rows,)
        Raw predictions at x = 0.
    noise_variance_ : ndarray of shape (n_tasks,)
        Noise variance of squared tasks, nan of others; only with ``task_weight="uncertainty"``.
    structure_ : Bunch, or list of Bunch
        Structure found by the penalty, as described in its class, of the rows of W in the units of
        the fit. One for each part of a `Decomposed` penalty.
    parts_ : list of ndarray
        Parts of ``coef_``, which is their sum, only with a `Decomposed` penalty.
    task_counts_, task_weight_, objective_, optimality_, n_iter_, history_, n_features_in_, \
feature_names_in_
        As in `PooledRegressor`.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MixedOutcomeModel
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 6))
    >>> z = X[:, 0] - X[:, 1]
    >>> y = np.empty((200, 3), dtype=object)
    >>> y[:, 0] = 10 * z + rng.normal(size=200)
    >>> y[:, 1] = np.where(z + rng.logistic(size=200) > 0, "ill", "healthy")
    >>> y[:, 2] = rng.poisson(np.exp(z))
    >>> model = MixedOutcomeModel("l21", alpha=60.0, losses={2: "poisson"}).fit(X, y)
    >>> model.losses_
    {0: 'squared', 1: 'logistic', 2: 'poisson'}
    >>> model.structure_.selected_features
    array([ True,  True, False, False, False, False])
    >>> model.predict_proba(X)[1].shape
    (200, 2)
    """

    _alternative = "MeanRegularizedRegressor or MeanRegularizedClassifier for tasks of one kind"
    _solvers = ("direct", "cg", "admm", "proximal")

    def __init__(
        self,
        penalty: str | TaskPenalty = "l21",
        alpha: float = 1.0,
        *,
        alpha_intercept: float = 0.0,
        losses: Losses = "infer",
        task_column: TaskColumn = None,
        fit_intercept: bool = True,
        task_weight: TaskWeight = "uncertainty",
        handle_unknown: HandleUnknown = "error",
        solver: MixedSolver = "auto",
        max_iter: int = 10_000,
        tol: float = 1e-8,
        warm_start: bool = False,
    ) -> None:
        self.penalty = penalty
        self.alpha = alpha
        self.alpha_intercept = alpha_intercept
        self.losses = losses
        self.task_column = task_column
        self.fit_intercept = fit_intercept
        self.task_weight = task_weight
        self.handle_unknown = handle_unknown
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start

    def _penalty(self, tasks):
        penalty = super()._penalty(tasks)
        coupled = self.solver in ("auto", "direct", "cg")
        return (coupled and penalty.coupling(tasks)) or penalty

    def _spec(self):
        spec = super()._spec()
        if spec.weighting == "minimax":
            raise ValueError(
                "task_weight='minimax' compares losses, and those of tasks of different kinds have "
                "no common unit. Use 'uncertainty', 'balanced', None, a dict or an array."
            )
        return spec

    def _warn(self, fit):
        super()._warn(fit)
        outcomes, limits = fit.rows.outcomes, {"max_iter": self.max_iter, "tol": self.tol}
        kinds = np.array([outcome.kind for outcome in outcomes.of_tasks])
        if self.alpha > 0 and (kinds == "squared").any():
            return  # differences from squared tasks, whose coefficients are finite, are penalized
        classes = np.isin(kinds, ("logistic", "multinomial"))
        row_tasks = np.where(classes[outcomes.task], outcomes.task, -1)
        warn_of_separation(fit, fit.rows.tasks, row_tasks, self._coercive_parameter, **limits)

    def _set_task_attributes(self, fit):
        super()._set_task_attributes(fit)
        self._outcomes = outcomes = fit.rows.outcomes
        self.coef_ = outcomes.units[:, None] * self.coef_
        self.intercept_ = outcomes.units * self.intercept_
        tasks = self.tasks_.tolist()
        pairs = list(zip(tasks, outcomes.of_tasks, strict=True))
        self.coef_tasks_ = self.tasks_[outcomes.task]
        self.losses_ = {task: outcome.kind for task, outcome in pairs}
        self.classes_ = {t: outcome.classes for t, outcome in pairs if outcome.classes is not None}

    def _fitted_in(self, rows):
        """Return the coefficients and intercepts of the last fit in the units of some rows.

        None if their tasks, kinds or classes are others.
        """
        same = np.array_equal(self.tasks_, rows.tasks) and self._outcomes.matches(rows.outcomes)
        units = rows.outcomes.units
        return (self.coef_ / units[:, None], self.intercept_ / units) if same else None

    def _set_solution_attributes(self, fit):
        if isinstance(fit.problem.penalty, StructuredPenalty):
            super()._set_solution_attributes(fit)
            if hasattr(self, "parts_"):
                units = fit.rows.outcomes.units[:, None]
                self.parts_ = [units * part for part in self.parts_]
            return
        LinearMultiTaskModel._set_solution_attributes(self, fit)
        self.__dict__.pop("parts_", None)
        self.structure_ = Bunch()

    def predict(self, X: ArrayLike) -> Any:
        """Predict numbers, the most probable classes and mean counts.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            As in ``fit``.

        Returns
        -------
        dataframe or ndarray of shape (n_samples, n_tasks), or ndarray of shape (n_samples,)
            In the wide form a column for each task: a dataframe if y of ``fit`` was one, with
            classes of the types of its columns, else an array, of objects if there are classes. In
            the long form the prediction of each row's task.
        """
        n_rows, found = self._by_task(X)
        columns = [(own, response(outcome, z)) for own, outcome, z in found]
        numbers = all(values.dtype == np.float64 for _, values in columns)
        kind = np.float64 if numbers else object
        if self._wide and self._outcomes.template is not None:
            return frame_like(self._outcomes.template, [values for _, values in columns], X)
        joined = np.empty((n_rows, len(columns)) if self._wide else n_rows, dtype=kind)
        for own, values in columns:
            joined[own.place] = values if numbers else values.tolist()  # objects of Python
        return joined

    def predict_proba(self, X: ArrayLike) -> dict[Hashable, Array]:
        """Return the probability of each class of the tasks that have classes.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            As in ``fit``.

        Returns
        -------
        dict of ndarray of shape (n_samples, n_classes)
            By task, in the order of its ``classes_``. In the long form rows of other tasks are nan.
        """
        n_rows, found = self._by_task(X)
        result = {}
        for task, (own, outcome, z) in zip(self.tasks_.tolist(), found, strict=True):
            if outcome.classes is not None:
                result[task] = np.full((n_rows, len(outcome.classes)), np.nan)
                result[task][own.rows] = probabilities(outcome, z)
        return result

    def decision_function(self, X: ArrayLike) -> Array:
        """Return raw predictions: numbers, log-odds and logarithms of mean counts.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            As in ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_rows), (n_samples,) or (n_samples, max_classes)
            In the wide form a column for each row of ``coef_``. In the long form that of each row's
            task: several columns if a task holds several, of which others leave the last ones nan.
        """
        return self._raw_prediction(X)

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the mean over tasks of R^2, the accuracy or, of counts, D^2.

        D^2 is the share of the Poisson deviance from the mean that is explained. Each is over the
        observed targets of the task; tasks without a score are left out: without observed targets,
        or numbers and counts with one only.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            As in ``fit``.
        y : dataframe or array-like of shape (n_samples,) or (n_samples, n_tasks)
            As in ``fit``.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            Weight of each row or, in the wide form, of each target.

        Returns
        -------
        float
            At most 1; nan, with a warning, if no task has a score.
        """
        return mean_score(outcome_scores(self, X, y, sample_weight))

    def _by_task(self, X):
        """Return the number of rows and, for each task, its `Entries`, `Outcome` and scores.

        The scores are (m,), or (m, K) of several classes.
        """
        X, codes = self._prediction_rows(X)
        z, found = self._linear_prediction(X, codes), []
        pairs = zip(self._outcomes.of_tasks, self._outcomes.places, strict=True)
        entries = entries_of_tasks(len(z), len(self.tasks_), codes)
        for own, (outcome, place) in zip(entries, pairs, strict=True):
            if codes is None:
                scores = z[:, place]
            else:
                scores = (z if z.ndim == 2 else z[:, None])[own.rows, : len(place)]
            found.append((own, outcome, scores if len(place) > 1 else scores[:, 0]))
        return len(z), found

    def _observed(self, X, y):
        """Return the number of rows and, for each task, what `_by_task` has where it is observed.

        Each has its targets beside, numbers or labels (m,).
        """
        n_rows, found = self._by_task(X)
        columns = columns_in_order(y, self.tasks_, wide=self._wide)
        if len(columns[0].entries) != n_rows:
            raise ValueError(
                f"X has {n_rows} rows and y {len(columns[0].entries)}. Pass one target per row"
                f"{' and task' * self._wide}."
            )
        seen = []
        for task, (own, outcome, z) in zip(self.tasks_.tolist(), found, strict=True):
            values = columns[own.column or 0].take(own.rows)
            here = ~values.missing
            values = values.take(here)
            if outcome.classes is None:
                y = numbers_of(task, values, outcome.kind)
            else:
                y = labels_of(task, values, outcome.classes)
            seen.append((own.where(here), outcome, z[here], y))
        return n_rows, seen

    def _linear_prediction(self, X, codes):
        outcomes = self._outcomes
        if codes is None or (outcomes.sizes == 1).all():
            return super()._linear_prediction(X, codes)
        shape = len(outcomes.sizes), outcomes.sizes.max()
        coef, intercept = np.zeros((*shape, X.shape[1])), np.full(shape, np.nan)
        for t, place in enumerate(outcomes.places):
            coef[t, : len(place)] = self.coef_[place]
            intercept[t, : len(place)] = self.intercept_[place]
        return row_predictions(X, codes, coef, intercept)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        if self.task_column is None:
            tags.target_tags.multi_output = tags.target_tags.two_d_labels = True
            tags.target_tags.single_output = False
        return tags


def outcome_scores(model, X, y, sample_weight):
    """Return the score of each task of a fitted model, (T,), whose mean is its ``score``."""
    n_rows, seen = model._observed(X, y)
    check_columns("sample_weight", column_names(sample_weight), "fit had", model.tasks_.tolist())
    weight = np.ones(n_rows) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    shapes = [(n_rows,), (n_rows, len(seen))][: 1 + model._wide]
    if weight.shape not in shapes:
        raise ValueError(
            f"X has {n_rows} rows and sample_weight the shape {weight.shape}. Pass one weight per "
            f"row{' or per target' * model._wide}."
        )
    scores = []
    for own, outcome, z, y in seen:
        own_weight = own.of(weight)
        kept = own_weight > 0
        scores.append(own_score(outcome, y[kept], z[kept], own_weight[kept]))
    return np.array(scores)


def outcome_losses(model, X, y):
    """Return the loss of each target, of the shape of y, nan where nothing is observed.

    It is the squared error, minus the log-probability of the class or the Poisson deviance.
    """
    n_rows, seen = model._observed(X, y)
    result = np.full((n_rows, len(seen)) if model._wide else n_rows, np.nan)
    for own, outcome, z, y in seen:
        result[own.place] = row_losses(outcome, y, z)
    return result


def outcome_mean_losses(model, X, y, sample_weight):
    """Return the mean of ``outcome_losses`` of each task, (T,), nan without targets."""
    n_rows, seen = model._observed(X, y)
    weight, means = np.ones(n_rows) if sample_weight is None else sample_weight, []
    for own, outcome, z, y in seen:
        of_rows = own.of(weight)
        losses = row_losses(outcome, y, z)
        means.append(np.average(losses, weights=of_rows) if of_rows.any() else np.nan)
    return np.array(means)
