"""Scores per task: a table, and a scorer for model selection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import UNUSED

from skmtl._mixed_scores import (
    are_mixed,
    fitted_kinds,
    own_metrics,
    read_mixed,
    score_mixed,
)
from skmtl._scores import (
    AVERAGES,
    check_class_columns,
    check_min_rows,
    check_order,
    check_whole,
    default_metrics,
    left_out,
    read_rows,
    resolve,
    resolve_all,
    respond,
    score_tasks,
)
from skmtl._table import task_table
from skmtl._typing import Metric, Table, TaskColumn
from skmtl._warn import warn
from skmtl.data import split_task_column
from skmtl.linear_model import scored_targets

__all__ = ["make_task_scorer", "task_scores"]


def task_scores(
    y_true: ArrayLike,
    y_pred: ArrayLike | None,
    tasks: ArrayLike | None = None,
    *,
    y_score: ArrayLike | Sequence[Any] | None = None,
    metrics: Metric | Sequence[Metric] | Mapping[str, Metric] | None = None,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    greater_is_better: Mapping[str, bool] | None = None,
    min_rows: int = 1,
) -> Table:
    """Compute metrics of each task and four averages over tasks.

    The last rows of the table are "macro", the mean over tasks; "micro", the score of all rows
    pooled; "weighted", the mean over tasks weighted by their numbers of rows (or sums of sample
    weights, if given); and "worst", the worst score of a task.

    A metric that is undefined on a task (R^2 on a single row or a constant target, the AUC on
    one class) is NaN there, without a warning, and left out of the averages. R^2 of two or three
    rows is defined but can be any negative number: see ``min_rows``.

    Tasks may be of different kinds: numbers in some, classes in others, as from
    `MixedOutcomeModel`. A task has classes if it is in the dict ``y_score``, if its targets are
    strings or booleans, or if its targets and predictions are integers and those of other tasks
    not. Classes that are floats need ``y_score``, or the scorer of `make_task_scorer`, which knows
    the model. Named metrics of numbers are NaN for classes, and the reverse; "micro" is NaN unless
    the metric is a mean over rows.

    Parameters
    ----------
    y_true : array-like of shape (n,) or (n, T)
        Targets; in the wide form (2-D) one column per task, NaN = not observed. A single column
        is like (n,).
    y_pred : array-like of the shape of y_true, or None
        Predictions. None if all metrics use ``y_score``. Callable metrics receive y_pred
        unchanged: pass probabilities if they need these. Dataframes have the columns of y_true,
        in its order; columns without names count by position.
    tasks : array-like of shape (n,) or (n, L), default=None
        Task label of each row, also a tuple or the columns of several labels. None: the tasks are
        the columns of y_true; a 1-D y_true is one task.
    y_score : array-like of shape (n,), (n, K), (n, T) or (n, T, K), default=None
        Probabilities for "roc_auc" and "log_loss", as from ``predict_proba``: of the second
        class, or of all classes. In the wide form also a list of T arrays of shape (n, K). Of tasks
        of different kinds a dict from task to (n, K), with the sorted classes of its targets.
    metrics : str, callable, list of these, or dict of name -> either, default=None
        Names are "r2", "explained_variance", "mean_squared_error", "mean_absolute_error" and
        "correlation" (Pearson's) for numbers; "accuracy", "precision" and "recall" (of the
        second class if there are two, else scikit-learn's macro average) for labels; "roc_auc"
        (one class against the rest if there are more than two) and "log_loss" for ``y_score``;
        and those of :func:`sklearn.metrics.get_scorer_names`, such as "balanced_accuracy", "f1",
        "average_precision" and "brier_score". "roc_auc" and "average_precision" of a task are of
        the classes that it has. Callables have the signature of scikit-learn's metric functions.
        None: the metrics for labels and, if given, for ``y_score``; or those for numbers, if
        y_true or y_pred has fractional values and there is no ``y_score``. Tasks of different
        kinds: "r2", "mean_squared_error", "d2_poisson" (of counts, the share of the Poisson
        deviance that is explained; NaN with negative targets or predictions that are not
        positive) and "accuracy", and "roc_auc" and "log_loss" if scores are given.
    sample_weight : array-like of shape (n,) or (n, T), default=None
        Weight of each row or, in the wide form, of each target. Those of weight zero count as
        absent.
    labels : array-like of shape (K,), default=None
        Class labels, sorted: those of the columns of ``y_score``. None: those that occur in
        y_true and y_pred. Other classes in y_true have probability zero.
    greater_is_better : dict of name -> bool, default=None
        Direction of each metric, which defines "worst". By default lower is better if the name
        of the metric or its function ends in "_error", "_loss" or "_deviance", as in
        scikit-learn.
    min_rows : int, default=1
        Tasks with fewer rows are left out of the averages over tasks ("macro", "weighted" and
        "worst"), with a warning that counts them.

    Returns
    -------
    DataFrame or dict of ndarray
        A DataFrame if pandas is installed: one row per task, sorted, then the four averages;
        the column "n_rows" and one column per metric. Otherwise a dict of these columns, with
        the index under "task".

    Examples
    --------
    >>> from skmtl.metrics import task_scores
    >>> task_scores([1, 2, 3, 5], [1, 2, 4, 5], ["a", "a", "b", "b"],
    ...             metrics=["mean_squared_error", "r2"])
              n_rows  mean_squared_error        r2
    task
    a              2                0.00  1.000000
    b              2                0.50  0.500000
    macro          4                0.25  0.750000
    micro          4                0.25  0.885714
    weighted       4                0.25  0.750000
    worst          4                0.50  0.500000
    """
    check_whole(tasks)
    check_min_rows(min_rows)
    mixed = are_mixed(y_true, y_pred, y_score, tasks)
    read = read_mixed if mixed else read_rows
    rows = read(y_true, y_pred, y_score, tasks, sample_weight)
    few = left_out(rows, min_rows)
    if few.any():
        warn(
            f"{np.count_nonzero(few)} of {len(few)} tasks have fewer than min_rows={min_rows} rows "
            "and are left out of the averages over tasks."
        )
    if metrics is None:
        metrics = (own_metrics if mixed else default_metrics)(rows)
    table = resolve_all(metrics, greater_is_better)
    if not mixed:
        check_order(y_true, y_pred, tasks, table)
        if np.shape(y_true)[1:] in ((), (1,)):
            check_class_columns(y_score, rows, labels)
    elif labels is not None:
        raise ValueError("Tasks of different kinds have their own classes. Leave labels out.")
    counts = [len(group) for group in rows.groups]
    columns = {"n_rows": np.array(counts + [sum(counts)] * len(AVERAGES))}
    for name, metric in table.items():
        if mixed:
            per_task, averages = score_mixed(metric, rows, few)
        else:
            per_task, averages = score_tasks(metric, rows, labels, few)
        columns[name] = np.append(per_task, [averages[key] for key in AVERAGES])
    return task_table([*rows.tasks, *AVERAGES], columns)


def make_task_scorer(
    metric: Metric,
    *,
    task_column: TaskColumn = None,
    average: str = "macro",
    greater_is_better: bool | None = None,
    response_method: str | Sequence[str] | None = None,
    min_rows: int = 1,
    **kwargs: Any,
) -> Callable[..., float]:
    """Make a scorer that averages a metric over tasks, for ``scoring=`` in scikit-learn.

    The tasks are read from X, so the scorer works with an estimator and with a Pipeline that
    ends in one, without metadata routing. Tasks absent from a test fold, and tasks on which the
    metric is undefined, are left out of the average.

    Parameters
    ----------
    metric : str or callable
        A name as in :func:`task_scores`, also as "neg_mean_squared_error" and the like, or a
        function ``metric(y_true, y_pred, **kwargs)``. "score", of a `MixedOutcomeModel`, is the
        own metric of each task: R^2, D^2 of counts or the accuracy.
    task_column : str, int or list of these, default=None
        Column of the task labels in the X passed to the scorer (before any transformer of a
        Pipeline), or several. None for the wide form: the tasks are the columns of y.
    average : {"macro", "micro", "weighted", "worst"}, default="macro"
        See :func:`task_scores`.
    greater_is_better : bool, default=None
        Whether greater values of the metric are better; if not, the scorer flips the sign.
        None: lower is better if the name ends in "_error", "_loss" or "_deviance".
    response_method : str or list of str, default=None
        Method of the estimator (the first that exists) whose output is scored: as in
        :func:`~sklearn.metrics.make_scorer`, for two classes only the probabilities of the
        second are used. None: "predict", but "predict_proba" for "log_loss" and
        "predict_proba" or "decision_function" for "roc_auc".
    min_rows : int, default=1
        Tasks with fewer test rows are left out of the average (not of "micro").
    **kwargs : dict
        Passed to the metric.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y, sample_weight=None)``; greater is better. With metadata
        routing, ``scorer.set_score_request(sample_weight=True)`` asks for weights.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> from skmtl import MeanRegularizedRegressor
    >>> from skmtl.datasets import make_multitask_regression
    >>> from skmtl.metrics import make_task_scorer
    >>> from skmtl.model_selection import TaskKFold
    >>> X, y = make_multitask_regression(random_state=0)
    >>> cv = TaskKFold(3, task_column=0)
    >>> scoring = make_task_scorer("neg_mean_squared_error", task_column=0, average="worst")
    >>> model = MeanRegularizedRegressor(alpha=10, task_column=0)
    >>> cross_val_score(model, X, y, cv=cv, scoring=scoring).round(1)
    array([-2. , -3.1, -2.3])
    """
    if average not in AVERAGES:
        raise ValueError(f"average must be one of {AVERAGES}, got {average!r}.")
    resolve(metric)  # so that what is wrong fails here, not during a search
    check_min_rows(min_rows)
    if isinstance(metric, str):
        metric = metric.removeprefix("neg_")
    return _TaskScorer(
        metric, task_column, average, greater_is_better, response_method, kwargs or None, min_rows
    )


_ADVICE = "Choose another metric or set response_method."


class _TaskScorer(BaseEstimator):
    """Result of ``make_task_scorer``; a BaseEstimator for clone, repr and metadata routing."""

    __metadata_request__score: ClassVar[dict] = {"estimator": UNUSED}  # no metadata

    def __init__(
        self,
        metric,
        task_column=None,
        average="macro",
        greater_is_better=None,
        response_method=None,
        kwargs=None,
        min_rows=1,
    ):
        self.metric = metric
        self.task_column = task_column
        self.average = average
        self.greater_is_better = greater_is_better
        self.response_method = response_method
        self.kwargs = kwargs
        self.min_rows = min_rows

    def score(self, estimator, X, y, sample_weight=None):
        """Compute the average over tasks, with the sign such that greater is better."""
        model = fitted_kinds(estimator)
        metric = self._resolved(model)
        tasks = None
        if self.task_column is not None:
            tasks = split_task_column(X, self.task_column)[0]
        else:
            _refuse_hidden_tasks(estimator)
        methods = self.response_method or metric.response_method
        name, response = respond(estimator, X, methods, _ADVICE)
        metric = metric._replace(reads_score=metric.reads_score or name != "predict")
        y_pred, y_score = (None, response) if metric.reads_score else (response, None)
        if tasks is None:
            scored_targets(estimator, y)  # raises if columns are not the tasks
        given = y, y_pred, y_score, tasks, sample_weight
        rows = read_rows(*given) if model is None else read_mixed(*given, model)
        few = None if self.average == "micro" else left_out(rows, self.min_rows)
        if model is None:
            averages = score_tasks(metric, rows, _classes(estimator), few)[1]
        else:
            averages = score_mixed(metric, rows, few)[1]
        return averages[self.average] if metric.greater_is_better else -averages[self.average]

    def _resolved(self, model):
        """Return the ``Metric``; ``model`` is that of tasks of different kinds, or None."""
        metric = resolve(self.metric, greater_is_better=self.greater_is_better)
        if model is not None and self.average == "micro" and metric.row_losses is None:
            raise ValueError(
                "average='micro' pools the rows of tasks of different kinds, and this metric is "
                "not a mean over rows. Use 'macro' or 'weighted'."
            )
        return metric._replace(function=partial(metric.function, **(self.kwargs or {})))

    __call__ = score


def _refuse_hidden_tasks(estimator):
    """Raise if data in the long form would be scored as one task."""
    final = getattr(estimator, "best_estimator_", estimator)  # a search
    final = final[-1] if isinstance(final, Pipeline) else final
    if getattr(final, "task_column", None) is not None:
        raise ValueError(
            f"This {type(final).__name__} reads its tasks from a column of X, but the scorer has "
            "task_column=None and would score all rows as one task. Pass task_column= to "
            "make_task_scorer as well."
        )


def _classes(estimator):
    """Return the union of the classes of all tasks, or None."""
    classes = getattr(estimator, "classes_", None)
    if isinstance(classes, list) or np.ndim(classes) == 2:  # several outputs: one array each
        return np.unique(np.concatenate(classes))
    return classes
