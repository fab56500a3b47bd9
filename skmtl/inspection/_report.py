"""What sharing does to each task."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import is_classifier

from skmtl._table import task_table
from skmtl._typing import Estimator, Metric, Table, TaskColumn
from skmtl.inspection._folds import TaskRows, make_splits, predictions
from skmtl.inspection._models import final_step, find_task_column, tuned
from skmtl.inspection._scoring import TaskScorer, read_scoring
from skmtl.inspection._significance import MIN_ROWS, holm, mean_difference


def sharing_report(
    X: ArrayLike,
    y: ArrayLike,
    estimator: Estimator,
    *,
    cv: Any = None,
    scoring: Metric | None = None,
    sample_weight: ArrayLike | None = None,
    pooled: Estimator | None = None,
    separate: Estimator | None = None,
    task_column: TaskColumn = None,
    level: float = 0.05,
    random_state: int | None = 0,
) -> Table:
    """Compare a shared model with pooled and separate ones, task by task.

    The three models are fitted to the same training folds and predict the same test rows. A task
    is flagged where sharing does worse on it than a model of its own by more than chance: where a
    one-sided paired test on its rows says so after Holm's correction for all tasks, so that the
    chance to flag any task that does not lose by sharing is about ``level`` at most.

    The variance of a gain is that of the mean of paired differences over the rows of all test
    folds, which makes more of few rows than a variance over folds. Rows that share training folds
    are not quite independent; ``docs/inspection.md`` has the measured rates of flags, and how far
    the standard errors are off. The skewness of the differences is taken out of the test (Hall).

    Parameters
    ----------
    X : dataframe or array-like of shape (n, d + 1), or (n, d) in the wide form
        Features and, in the long form, the column of task labels.
    y : array-like of shape (n,), or (n, T) in the wide form
        Target; NaN in the wide form is not observed.
    estimator : estimator
        The shared model: a multi-task estimator, a Pipeline that ends in one, or a search over
        either. A search is run anew on every training fold.
    cv : int, splitter or iterable of (train, test), default=None
        Folds; a number of them, None for 5, is dealt by `TaskKFold`, in the wide form by
        ``KFold``, in random order. Where folds are dealt more than once, the differences of a row
        are averaged.
    scoring : str or callable, default=None
        A metric of `skmtl.metrics.task_scores`, by name or as a function. None:
        "mean_squared_error", or "log_loss" of a classifier. The spread of metrics that are no
        mean over rows is that of a jackknife.
    sample_weight : array-like of shape (n,), default=None
        Weight of each row, in fits and scores. Rows of weight zero count as absent.
    pooled, separate : estimator, default=None
        The models to compare with. None: a pooled model and a separate one (`PooledRegressor` and
        `SharedL2Regressor`, or the classifiers) with the parameters of ``estimator`` that they
        have, inside of its Pipeline. Their alpha, one for all tasks, is chosen on each training
        fold by `RegularizationPathCV` in three inner folds, of 15 strengths.
    task_column : str or int, default=None
        Column of the tasks in X. None: the estimator's. To be set only where that stands in a
        Pipeline that `make_task_pipeline` did not make.
    level : float, default=0.05
        Chance of any false flag.
    random_state : int or None, default=0
        Source of the random order of rows.

    Returns
    -------
    DataFrame or dict of ndarray
        A DataFrame with a row per task where pandas is installed, else a dict of arrays with the
        tasks under "task". Scores are in the units of the metric, and gains are differences of
        scores with the sign that makes positive good:

        - "n_rows": rows that were judged. Those of a task that a training fold lacks are not.
        - "pooled", "separate", "shared": scores of the predictions of rows that were not fitted.
        - "gain", "gain_std": gain of sharing over separate, its standard error.
        - "gain_over_pooled", "gain_over_pooled_std": the same over pooled.
        - "p_value": of the hypothesis that sharing does not hurt.
        - "negative_transfer": whether that is rejected.

        Tasks of less than five judged rows have NaN for errors and p, and are not flagged.

    References
    ----------
    Y. Bengio and Y. Grandvalet (2004). No unbiased estimator of the variance of k-fold
    cross-validation. Journal of Machine Learning Research 5, 1089-1105.
    https://www.jmlr.org/papers/v5/grandvalet04a.html

    P. Hall (1992). On the removal of skewness by transformation. Journal of the Royal Statistical
    Society B 54, 221-228. https://doi.org/10.1111/j.2517-6161.1992.tb01876.x

    Examples
    --------
    >>> from skmtl import MeanRegularizedRegressor
    >>> from skmtl.datasets import make_multitask_regression
    >>> from skmtl.inspection import sharing_report
    >>> X, y = make_multitask_regression(6, 80, 5, n_outlier_tasks=1, random_state=0)
    >>> report = sharing_report(X, y, MeanRegularizedRegressor(60.0, task_column=0))
    >>> report["negative_transfer"].tolist()
    [False, False, False, False, False, True]
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be a number between 0 and 1, got {level!r}.")
    final = final_step(estimator)
    task_column = find_task_column(estimator, task_column, cv)
    rows = TaskRows.read(X, y, task_column, sample_weight)
    metric, name = read_scoring(scoring, is_classifier(final))
    splits = make_splits(cv, rows, task_column, random_state)
    models = {"pooled": pooled, "separate": separate, "shared": estimator}
    ours = [kind for kind, model in models.items() if model is None]
    models |= {kind: tuned(kind, estimator) for kind in ours}
    responses, tested = predictions(models, rows, splits, metric.response_method, quiet=ours)
    scorer = TaskScorer(rows, metric, name)
    sign = 1.0 if metric.greater_is_better else -1.0
    table = [_judge(scorer, responses, tested, t, sign) for t in range(len(rows.tasks))]
    columns = {name: np.array([row[name] for row in table]) for name in table[0]}
    columns["negative_transfer"] = holm(columns["p_value"], level)
    return task_table(rows.tasks, columns)


def _judge(scorer, responses, tested, t, sign):
    """Return the row of a task in the report, without its flag."""
    scores, losses, weight = {}, {}, None
    for name, layers in responses.items():
        values = [scorer.values(*layer, t) for layer in zip(layers, tested, strict=True)]
        scores[name], losses[name], weight = _over_layers(values)
    row = {"n_rows": len(np.unique(np.concatenate([scorer.judged(own, t) for own in tested])))}
    row |= scores
    gains = {}
    for kind in ("separate", "pooled"):
        gain = mean_difference(sign * (losses["shared"] - losses[kind]), weight)
        # that of the scores themselves, also where they are no mean over rows
        gains[kind] = gain._replace(mean=sign * (scores["shared"] - scores[kind]))
    if row["n_rows"] < MIN_ROWS:  # pseudo-values may be more than rows, in repeats
        gains = {kind: gain._replace(error=np.nan, p_value=np.nan) for kind, gain in gains.items()}
    row["gain"], row["gain_std"], p_value = gains["separate"]
    row["gain_over_pooled"], row["gain_over_pooled_std"], _ = gains["pooled"]
    row["p_value"] = p_value
    return row


def _over_layers(values):
    """Return the score, pseudo-values and weights of a task, averaged over layers.

    Losses of a row are averaged over the layers that tested it; pseudo-values of the jackknife
    over all layers.
    """
    if values[0][3] is None:
        length = min(len(pseudo) for _, pseudo, _, _ in values)
        pseudo = np.mean([pseudo[:length] for _, pseudo, _, _ in values], axis=0)
        return float(np.mean([score for score, _, _, _ in values])), pseudo, None
    index = np.concatenate([rows for _, _, _, rows in values])
    if not len(index):
        return np.nan, np.empty(0), None
    losses = np.concatenate([pseudo for _, pseudo, _, _ in values])
    found, place = np.unique(index, return_inverse=True)
    mean = np.bincount(place, losses) / np.bincount(place)
    weight = None
    if values[0][2] is not None:
        weight = np.empty(len(found))
        weight[place] = np.concatenate([own for _, _, own, _ in values])
    return float(np.average(mean, weights=weight)), mean, weight
