"""Comparison of shared, separate and pooled models by task."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skmtl._table import task_table
from skmtl._typing import Estimator, Metric, Table, TaskColumn
from skmtl.inspection._folds import Folds
from skmtl.inspection._models import tuned
from skmtl.inspection._significance import MIN_ROWS, holm, joint_p_value, mean_difference


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
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Table:
    """Compare a shared model with pooled and separate ones, task by task.

    The three models are fitted to the same training folds and predict the same test rows. A task
    is flagged (negative transfer) if its shared score is significantly worse than its separate
    one, by a one-sided paired test over its rows with Holm's correction for all tasks. The
    probability to flag any task that does not lose by sharing is about ``level`` at most. Where
    every task loses a little, none may be flagged: a joint test over tasks (Stouffer's, of the
    p-values of the tasks) detects that.

    The variance of a gain is that of the mean of paired differences over the rows of all test
    folds, which has more degrees of freedom than a variance over folds. Rows with common training
    folds are not independent: ``docs/inspection.md`` has measured rates of flags and errors of
    the standard errors. The test is corrected for the skewness of the differences (Hall 1992).

    Parameters
    ----------
    X : dataframe or array-like of shape (n, d + 1), or (n, d) in the wide form
        Features and, in the long form, the column of task labels.
    y : array-like of shape (n,), or (n, T) in the wide form
        Target; NaN in the wide form is not observed.
    estimator : estimator
        The shared model: a multi-task estimator, a Pipeline that ends in one, or a search over
        either. A search is repeated on every training fold.
    cv : int, splitter or iterable of (train, test), default=None
        Folds. An int, or None for 5, means shuffled `TaskKFold`, or ``KFold`` in the wide form.
        With repeated folds, the differences of a row are averaged.
    scoring : str or callable, default=None
        A metric of `skmtl.metrics.task_scores`, by name or as a function. None:
        "mean_squared_error", or "log_loss" for a classifier. For metrics that are not a mean over
        rows, standard errors are from a jackknife. Tasks of different kinds, of a
        `MixedOutcomeModel`, are compared by their own losses and take None only: squared error,
        log loss and, of counts, the Poisson deviance.
    sample_weight : array-like of shape (n,) or (n, T), default=None
        Weight of each row or, in the wide form, of each target, in fits and scores. Those of
        weight zero count as absent.
    pooled, separate : estimator, default=None
        The models to compare with. None: `PooledRegressor` and `SharedL2Regressor`, or the
        classifiers, with the parameters they have in common with ``estimator``, inside its
        Pipeline. Their alpha, one for all tasks, is chosen on each training fold by
        `RegularizationPathCV` from 15 values with three inner folds. With several task columns,
        whether a column helps shows in a comparison with the model without it, which has an alpha
        and an alpha_intercept of inf there: ``{"region": inf, "store": 2.0}`` is that of the stores
        alone. Of tasks of different kinds the separate model is a `MixedOutcomeModel` with the
        penalty "ridge" and an alpha for each task, chosen by its own loss; they cannot be pooled,
        and the columns of "pooled" are NaN.
    task_column : str, int or list of these, default=None
        Column of the tasks in X, or several. None: that of the estimator. Required only for a
        Pipeline that was not made by `make_task_pipeline`.
    level : float, default=0.05
        Significance level: probability of any false flag.
    random_state : int or None, default=0
        Seed of the random order of rows.
    n_jobs : int, default=None
        Number of processes for the fits, as in scikit-learn.
    verbose : int, default=0
        Whether to print progress: 1 at increasing intervals, 2 after every fit.

    Returns
    -------
    DataFrame or dict of ndarray
        A DataFrame with a row per task where pandas is installed, else a dict of arrays with the
        tasks under "task". Scores are in the units of the metric; gains are differences of
        scores, signed such that positive is better:

        - "n_rows": number of scored rows, without rows whose task is absent from the training fold.
        - "pooled", "separate", "shared": scores of out-of-fold predictions.
        - "gain", "gain_std": gain of shared over separate and its standard error.
        - "gain_over_pooled", "gain_over_pooled_std": the same over pooled.
        - "p_value": of the hypothesis that sharing does not hurt.
        - "negative_transfer": whether that hypothesis is rejected.
        - "joint_p_value": of the hypothesis that sharing does not hurt the tasks taken together,
          the same number in each row.

        Tasks with fewer than five scored rows have NaN standard errors and p-values and no flag.

    References
    ----------
    Y. Bengio and Y. Grandvalet (2004). No unbiased estimator of the variance of k-fold
    cross-validation. Journal of Machine Learning Research 5, 1089-1105.
    https://www.jmlr.org/papers/v5/grandvalet04a.html

    S. Stouffer, E. Suchman, L. DeVinney, S. Star, R. Williams (1949). The American soldier, vol. 1:
    Adjustment during army life, page 45. Princeton University Press.

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
    folds = Folds.read(X, y, estimator, cv, scoring, sample_weight, task_column, random_state)
    models = {"pooled": pooled, "separate": separate, "shared": estimator}
    alone = folds.rows.targets is not None and pooled is None  # kinds cannot be pooled
    if alone:
        del models["pooled"]
    ours = [kind for kind, model in models.items() if model is None]
    models |= {kind: tuned(kind, estimator) for kind in ours}
    layers = folds.layers(models, ours, n_jobs, verbose)
    scores = [
        folds.task_scores([(index, responses[kind]) for index, responses in layers])
        for kind in models
    ]
    if alone:
        scores.insert(0, [_without_score(own) for own in scores[0]])
    sign = 1.0 if folds.metric.greater_is_better else -1.0
    _, apart, together = scores
    table = [_row(sign, *own) for own in zip(*scores, strict=True)]
    columns = {name: np.array([row[name] for row in table]) for name in table[0]}
    columns["negative_transfer"] = holm(columns["p_value"], level)
    gains = [sign * (b.values - a.values) for a, b in zip(apart, together, strict=True)]
    joint = joint_p_value(columns["p_value"], gains, [own.rows for own in together], folds.wide)
    columns["joint_p_value"] = np.full(len(table), joint)
    return task_table(folds.rows.tasks, columns)


def _without_score(own):
    """Return a ``TaskScore`` of NaN."""
    return own._replace(score=np.nan, values=np.full(len(own.values), np.nan))


def _row(sign, pooled, separate, shared):
    """Return the row of a task in the report, without its flag, given each ``TaskScore``."""
    gains = []
    for other in (separate, pooled):
        gain = mean_difference(sign * (shared.values - other.values), shared.weight)
        if shared.n_rows < MIN_ROWS:  # with repeated folds, pseudo-values may outnumber rows
            gain = gain._replace(error=np.nan, p_value=np.nan)
        # the difference of scores, also for metrics that are not a mean over rows
        gains.append(gain._replace(mean=sign * (shared.score - other.score)))
    gain, over_pooled = gains
    return {
        "n_rows": shared.n_rows,
        "pooled": pooled.score,
        "separate": separate.score,
        "shared": shared.score,
        "gain": gain.mean,
        "gain_std": gain.error,
        "gain_over_pooled": over_pooled.mean,
        "gain_over_pooled_std": over_pooled.error,
        "p_value": gain.p_value,
    }
