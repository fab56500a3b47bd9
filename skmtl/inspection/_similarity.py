"""Similarity of the coefficients of tasks, and pairwise gains."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skmtl._jobs import run
from skmtl._table import square_table
from skmtl._typing import Estimator, Metric, Table, TaskColumn
from skmtl.data import covariance_products, is_auto, read_X
from skmtl.inspection._folds import Folds
from skmtl.inspection._models import final_step, fitted_model, row_labels
from skmtl.model_selection import of_kinds

METRICS = ("correlation", "cosine", "distance")


def task_similarity(
    estimator: Estimator,
    metric: str = "correlation",
    *,
    X: ArrayLike | None = None,
    centered: bool = False,
) -> Table:
    """Return the similarity of the coefficients of each pair of tasks.

    Parameters
    ----------
    estimator : estimator
        Fitted multi-task model, a Pipeline that ends in one, or a search over either.
    metric : {"correlation", "cosine", "distance"}, default="correlation"
        For coefficients w_s and w_t (concatenated over classes): Pearson's correlation over
        features; w_s . w_t / (||w_s|| ||w_t||); or ||w_s - w_t||. The first two are NaN where a
        vector is zero (or, for "correlation", constant).
    X : dataframe or array-like, default=None
        Data as in ``fit``. If given, predictions are compared: the inner product of w_s and w_t is
        the covariance of x . w_s and x . w_t over these rows. "cosine" and "correlation" are both
        the correlation of predictions, and "distance" is the standard deviation of their
        difference, in the units of y. The result is independent of the units of features.
    centered : bool, default=False
        Compare deviations from the shared coefficients, or from the mean in a model without a
        center. Use it where strong shrinkage makes all coefficients similar.

    Returns
    -------
    DataFrame or ndarray of shape (n_tasks, n_tasks)
        Symmetric, in the order of ``tasks_``; a DataFrame where pandas is installed. Of tasks of
        different kinds in the order of the rows of ``coef_``, labeled by task or, where a task has
        several, by (task, class); they have neither "distance" nor ``centered``.

    Examples
    --------
    >>> from skmtl import MeanRegularizedRegressor
    >>> from skmtl.datasets import make_multitask_regression
    >>> from skmtl.inspection import task_similarity
    >>> X, y = make_multitask_regression(3, 40, 5, random_state=0)
    >>> model = MeanRegularizedRegressor(task_column=0).fit(X, y)
    >>> float(task_similarity(model, "cosine", X=X).loc[0, 1].round(2))
    0.99
    """
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {list(METRICS)}, got {metric!r}.")
    model, X = fitted_model(estimator, X)
    if not model.coef_.size:
        raise ValueError(
            "task_similarity compares coefficients, and the model has none: X had only the task "
            "column. Compare intercept_ of the model."
        )
    if hasattr(model, "coef_tasks_") and (centered or metric == "distance"):
        raise ValueError(
            f"{type(model).__name__} has tasks of different kinds, whose coefficients have no "
            "common unit: there are no distances and no mean of them. Use metric='correlation' or "
            "'cosine', with centered=False."
        )
    coef = inner = np.asarray(model.coef_)  # (T, d) or (T, K, d)
    if centered:
        coef = inner = coef - getattr(model, "shared_coef_", coef.mean(axis=0))
    if X is not None:
        features, _ = read_X(model, X, reset=False)
        inner = covariance_products(features, coef)
    elif metric == "correlation":
        coef = inner = coef - coef.mean(axis=tuple(range(1, coef.ndim)), keepdims=True)
    W, inner = (part.reshape(len(part), -1) for part in (coef, inner))
    return square_table(row_labels(model), _compare(W, inner, metric))


def _compare(W, inner, metric):
    """Return cosines or distances in the inner product ``W inner'``."""
    if metric == "distance":
        difference = W[:, None] - W[None]
        moved = inner[:, None] - inner[None]
        return np.sqrt(np.maximum(np.einsum("stj,stj->st", difference, moved), 0.0))
    products = W @ inner.T
    norms = np.sqrt(np.maximum(np.diag(products), 0.0))
    norms = np.where(norms > 1e-14 * norms.max(initial=0.0), norms, np.nan)
    result = np.clip(products / np.outer(norms, norms), -1.0, 1.0)
    np.fill_diagonal(result, np.where(np.isnan(norms), np.nan, 1.0))
    return result


def task_affinity(
    X: ArrayLike,
    y: ArrayLike,
    estimator: Estimator,
    *,
    cv: Any = None,
    scoring: Metric | None = None,
    sample_weight: ArrayLike | None = None,
    task_column: TaskColumn = None,
    random_state: int | None = 0,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Table:
    """Return the gain of each task from joint training with each single other task.

    Entry (t, s) is the score of task t with the estimator fitted to tasks t and s, minus the score
    with the estimator fitted to t alone, on the same folds; positive is better. The matrix is not
    symmetric: a small task may gain from a large one, but not conversely. The cost is
    T (T - 1) / 2 + T fits per fold: 3570 + 85 for the 85 counties of the radon data.

    Parameters
    ----------
    X : dataframe or array-like of shape (n, d + 1), or (n, d) in the wide form
        Features and, in the long form, the column of task labels.
    y : array-like of shape (n,), or (n, T) in the wide form
        Target; NaN in the wide form is not observed.
    estimator : estimator
        As in `sharing_report`. An alpha that differs by task must be a dict.
    cv : int, splitter or iterable of (train, test), default=None
        Folds, as in `sharing_report`.
    scoring : str or callable, default=None
        A metric as in `sharing_report`; the result has its units.
    sample_weight : array-like of shape (n,) or (n, T), default=None
        Weight of each row or, in the wide form, of each target, in fits and scores.
    task_column : str, int or list of these, default=None
        Column of the tasks in X, or several. None: that of the estimator.
    random_state : int or None, default=0
        Seed of the random order of rows.
    n_jobs : int, default=None
        Number of processes for the fits, as in scikit-learn.
    verbose : int, default=0
        Whether to print progress: 1 at increasing intervals, 2 after every fit.

    Returns
    -------
    DataFrame or ndarray of shape (n_tasks, n_tasks)
        Gains of the row task from the column task; zeros on the diagonal; NaN for tasks without a
        scored fold. A DataFrame where pandas is installed.

    References
    ----------
    C. Fifty, E. Amid, Z. Zhao, T. Yu, R. Anil, C. Finn (2021). Efficiently identifying task
    groupings for multi-task learning. NeurIPS. https://arxiv.org/abs/2109.04617

    T. Standley, A. Zamir, D. Chen, L. Guibas, J. Malik, S. Savarese (2020). Which tasks should be
    learned together in multi-task learning? ICML. https://arxiv.org/abs/1905.07553

    Examples
    --------
    >>> from skmtl import MeanRegularizedRegressor
    >>> from skmtl.datasets import make_multitask_regression
    >>> from skmtl.inspection import task_affinity
    >>> X, y = make_multitask_regression(3, 20, 5, random_state=0)
    >>> affinity = task_affinity(X, y, MeanRegularizedRegressor(20.0, task_column=0))
    >>> affinity.shape
    (3, 3)
    """
    final = final_step(estimator)  # raises if it is none
    auto = [name for name, value in estimator.get_params().items() if is_auto(value)]
    auto = [name for name in auto if name.rpartition("__")[2].startswith("alpha")]
    if auto:
        raise ValueError(
            "task_affinity fits single tasks, which have no differences to estimate, and "
            f"{auto[0]} is 'auto'. Set it to a number, as that of a fit of all tasks."
        )
    if of_kinds(final):
        raise TypeError(
            f"{type(final).__name__} has tasks of different kinds, which task_affinity does not "
            "fit in pairs. Use sharing_report, which compares all of them with separate models."
        )
    folds = Folds.read(X, y, estimator, cv, scoring, sample_weight, task_column, random_state)
    T, sign = len(folds.rows.tasks), 1.0 if folds.metric.greater_is_better else -1.0

    pairs = list(combinations(range(T), 2))
    sets = [*((t,) for t in range(T)), *pairs]
    scores = run(_scores_together, [(folds, estimator, tasks) for tasks in sets], n_jobs, verbose)
    alone, gain = np.concatenate(scores[:T]), np.zeros((T, T))
    for (s, t), score in zip(pairs, scores[T:], strict=True):
        gain[s, t], gain[t, s] = sign * (score - alone[[s, t]])
    gain[np.isnan(alone), np.isnan(alone)] = np.nan
    return square_table(folds.rows.tasks, gain)


def _scores_together(folds, estimator, tasks):
    """Return the score of each of some tasks with the estimator fitted to these."""
    own = folds.of_tasks(tasks)
    if not own.splits:
        return np.full(len(tasks), np.nan)
    layers = own.layers({"model": estimator})
    return np.mean([own.scores(index, response["model"]) for index, response in layers], 0)
