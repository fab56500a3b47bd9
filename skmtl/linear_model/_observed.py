"""Scores of predictions in the wide form, over the targets that were observed."""

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import r2_score

from skmtl._warn import warn
from skmtl.data import check_columns, column_names, plain_target


def scored_targets(estimator, y, sample_weight=None):
    """Return the targets y as an array; raise if columns are not the tasks of the fit.

    The estimator may be a Pipeline or a search. Without names of columns, in y or in fit, these
    count by position.
    """
    model = getattr(estimator, "best_estimator_", estimator)
    model = model[-1] if hasattr(model, "steps") else model
    tasks = getattr(getattr(model, "best_estimator_", model), "tasks_", np.arange(0)).tolist()
    check_columns("y", column_names(y), "fit had", tasks)
    check_columns("sample_weight", column_names(sample_weight), "fit had", tasks)
    return plain_target(y)


def observed_targets(y, weight, predicted=None):
    """Return a mask of the targets (n, T) that are observed with a positive weight.

    Raises ValueError if weights are not (n,) or (n, T), or predictions not (n, T).
    """
    if predicted is not None and np.shape(predicted) != y.shape:
        raise ValueError(
            f"y has shape {y.shape}, and the predictions {np.shape(predicted)}. Pass the rows of "
            "X, and a column for each task of fit."
        )
    if weight is not None and weight.shape not in ((len(y),), y.shape):
        raise ValueError(
            f"sample_weight has shape {weight.shape}, expected {(len(y),)} or {y.shape}: one "
            "weight per row or per target."
        )
    observed = ~np.isnan(y)
    if weight is not None:
        observed &= (weight[:, None] if weight.ndim == 1 else weight) > 0
    return observed


def is_complete(y, weight):
    """Return whether y is 1-D, or has one row weight for all of its columns and no NaN."""
    if np.ndim(y) != 2:
        return True
    return np.ndim(weight) != 2 and (y.dtype.kind not in "f" or not np.isnan(y.sum()))


def mean_of_defined(scores):
    """Return the mean of the scores of tasks that are not NaN, a float; NaN if all are."""
    scores = np.asarray(scores, dtype=np.float64)
    defined = scores[~np.isnan(scores)]
    return float(defined.mean()) if len(defined) else np.nan


def observed_r2(y, z, weight):
    """Return the mean over columns of R^2, each over its observed rows, if these are several.

    y and the predictions z are (n, T), ``weight`` is (n,), (n, T) or None.
    """
    scores = []
    for t, own in enumerate(observed_targets(y, weight, z).T):
        if np.count_nonzero(own) > 1:
            of_rows = weight[own] if np.ndim(weight) == 1 else None
            of_rows = weight[own, t] if np.ndim(weight) == 2 else of_rows
            scores.append(r2_score(y[own, t], z[own, t], sample_weight=of_rows))
    if not scores:
        warn("R^2 is NaN: no column of y has two observed targets.", UndefinedMetricWarning)
    return mean_of_defined(scores)


def observed_accuracy(y, z, weight):
    """Return the share of rows whose observed labels are all predicted.

    y and the predictions z are (n, T), ``weight`` is (n,), (n, T) - of which the mean over a row's
    observed labels counts - or None. Rows without observed labels are left out.
    """
    observed = observed_targets(y, weight, z)
    share = observed.any(axis=1).astype(np.float64)
    if np.ndim(weight) == 2:
        share = (weight * observed).sum(axis=1) / np.maximum(observed.sum(axis=1), 1)
    elif weight is not None:
        share *= weight
    if not share.any():
        warn("The accuracy is NaN: no label is observed.", UndefinedMetricWarning)
        return np.nan
    return float(np.average(((y == z) | ~observed).all(axis=1), weights=share))
