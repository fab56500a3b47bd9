"""Scores per task: a table for reading and a scorer for model selection."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import UNUSED

from skmtl._scores import AVERAGES, default_metrics, read_rows, resolve, resolve_all, score_tasks
from skmtl._table import task_table
from skmtl._typing import Metric, Table, TaskColumn
from skmtl.data import split_task_column

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
) -> Table:
    """Score each task, and all of them together in four ways.

    The last rows of the table are "macro", the mean over tasks; "micro", the score of all rows
    taken together; "weighted", the mean over tasks weighted by their numbers of rows (by their
    sums of sample weights, where given); and "worst", the task that does worst.

    A metric that is undefined on a task - R^2 on a single row or a constant target, the AUC on
    one class - is NaN there, without a warning, and left out of the averages.

    Parameters
    ----------
    y_true : array-like of shape (n,) or (n, T)
        Targets; in the wide form (2-D) one column per task, NaN = not observed.
    y_pred : array-like of the shape of y_true, or None
        Predictions. None if every metric reads ``y_score``. A callable metric receives what is
        passed here: hand in probabilities if that is what it reads.
    tasks : array-like of shape (n,), default=None
        Task label of each row. None: the tasks are the columns of y_true, and a 1-D y_true is
        one task.
    y_score : array-like of shape (n,), (n, K), (n, T) or (n, T, K), default=None
        Probabilities for "roc_auc" and "log_loss", as from ``predict_proba``: of the second
        class, or of every class. In the wide form also a list of T arrays of shape (n, K).
    metrics : str, callable, list of these, or dict of name -> either, default=None
        Names are "r2", "explained_variance", "mean_squared_error", "mean_absolute_error" and
        "correlation" (Pearson's) for numbers; "accuracy", "precision" and "recall" (of the
        second class if there are two, else scikit-learn's macro average) for labels; "roc_auc"
        (one class against the rest if there are more than two) and "log_loss" for ``y_score``.
        Callables have the signature of scikit-learn's metric functions.
        None: those for labels and, if it is given, ``y_score``; or those for numbers, if y_true
        or y_pred holds a number with a fraction and there is no ``y_score``.
    sample_weight : array-like of shape (n,), default=None
        Weight of each row of y_true. Rows of weight zero count as absent.
    labels : array-like of shape (K,), default=None
        All class labels, sorted. None: those that occur in y_true and y_pred.
    greater_is_better : dict of name -> bool, default=None
        Which end of a metric is "worst", where the name does not tell. By default lower is
        better where the name of the metric or its function ends in "_error", "_loss" or
        "_deviance", as in scikit-learn.

    Returns
    -------
    DataFrame or dict of ndarray
        A pandas DataFrame where pandas is installed: one row per task, sorted, then the four
        overall; the column "n_rows" and one column per metric. Otherwise a dict of these
        columns with the index under "task".

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
    rows = read_rows(y_true, y_pred, y_score, tasks, sample_weight)
    table = resolve_all(default_metrics(rows) if metrics is None else metrics, greater_is_better)
    counts = [len(group) for group in rows.groups]
    columns = {"n_rows": np.array(counts + [sum(counts)] * len(AVERAGES))}
    for name, metric in table.items():
        per_task, averages = score_tasks(metric, rows, labels)
        columns[name] = np.append(per_task, [averages[key] for key in AVERAGES])
    return task_table([*rows.tasks, *AVERAGES], columns)


def make_task_scorer(
    metric: Metric,
    *,
    task_column: TaskColumn = None,
    average: str = "macro",
    greater_is_better: bool | None = None,
    response_method: str | Sequence[str] | None = None,
    **kwargs: Any,
) -> Callable[..., float]:
    """Make a scorer that averages a metric over tasks, for ``scoring=`` in scikit-learn.

    It reads the tasks from the X it is given, so it works around an estimator and around a
    Pipeline that ends in one, with no metadata routing. Tasks absent from a test fold, and tasks
    on which the metric is undefined, are left out of the average.

    Parameters
    ----------
    metric : str or callable
        A name as in :func:`task_scores`, also as "neg_mean_squared_error" and the like, or a
        function ``metric(y_true, y_pred, **kwargs)``.
    task_column : str or int, default=None
        Column of the task labels in the X that the scorer is given (before any transformer of
        a Pipeline). None for the wide form: the tasks are the columns of y.
    average : {"macro", "micro", "weighted", "worst"}, default="macro"
        See :func:`task_scores`.
    greater_is_better : bool, default=None
        Whether greater values of the metric are better; the scorer flips the sign if not.
        None: lower is better where the name ends in "_error", "_loss" or "_deviance".
    response_method : str or list of str, default=None
        Method of the estimator (the first that it has) whose output is scored: as in
        :func:`~sklearn.metrics.make_scorer`, probabilities of two classes come down to those of
        the second. None: "predict", but "predict_proba" for "log_loss" and "predict_proba"
        or "decision_function" for "roc_auc".
    **kwargs : dict
        Passed on to the metric.

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
    if isinstance(metric, str):
        metric = metric.removeprefix("neg_")
    resolve(metric)  # so that a wrong metric fails here, not in the middle of a search
    return _TaskScorer(
        metric, task_column, average, greater_is_better, response_method, kwargs or None
    )


class _TaskScorer(BaseEstimator):
    """What ``make_task_scorer`` returns; a BaseEstimator for clone, repr and metadata routing."""

    __metadata_request__score: ClassVar[dict] = {"estimator": UNUSED}  # no metadata

    def __init__(
        self,
        metric,
        task_column=None,
        average="macro",
        greater_is_better=None,
        response_method=None,
        kwargs=None,
    ):
        self.metric = metric
        self.task_column = task_column
        self.average = average
        self.greater_is_better = greater_is_better
        self.response_method = response_method
        self.kwargs = kwargs

    def score(self, estimator, X, y, sample_weight=None):
        """Return the average over tasks, with the sign that makes greater better."""
        metric = resolve(self.metric, greater_is_better=self.greater_is_better)
        metric = metric._replace(function=partial(metric.function, **(self.kwargs or {})))
        tasks = None
        if self.task_column is not None:
            tasks = split_task_column(X, self.task_column)[0]
        else:
            _refuse_hidden_tasks(estimator)
        response = _respond(estimator, X, self.response_method or metric.response_method)
        y_pred, y_score = (None, response) if metric.reads_score else (response, None)
        rows = read_rows(y, y_pred, y_score, tasks, sample_weight)
        averages = score_tasks(metric, rows, _classes(estimator))[1]
        return averages[self.average] if metric.greater_is_better else -averages[self.average]

    __call__ = score


def _refuse_hidden_tasks(estimator):
    """Refuse to score data in the long form as though they were one task."""
    final = getattr(estimator, "best_estimator_", estimator)  # of a search
    final = final[-1] if isinstance(final, Pipeline) else final
    if getattr(final, "task_column", None) is not None:
        raise ValueError(
            f"This {type(final).__name__} reads its tasks from a column of X, but the scorer has "
            "task_column=None and would score all rows as one task. Pass task_column= to "
            "make_task_scorer, too."
        )


def _classes(estimator):
    """Return the classes the estimator knows, all tasks together, or None."""
    classes = getattr(estimator, "classes_", None)
    if isinstance(classes, list) or np.ndim(classes) == 2:  # several outputs: an array for each
        return np.unique(np.concatenate(classes))
    return classes


def _respond(estimator, X, response_method):
    """Return the output of the first of these methods that the estimator has."""
    names = [response_method] if isinstance(response_method, str) else response_method
    for name in names:
        if hasattr(estimator, name):
            return getattr(estimator, name)(X)
    raise AttributeError(
        f"{type(estimator).__name__} has no method {' or '.join(names)}, which this metric needs. "
        "Choose another metric or set response_method."
    )
