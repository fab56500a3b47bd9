"""Scores of predictions in the wide form, over the targets that were observed."""

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from skmtl._warn import listed, warn
from skmtl.data import plain_target


def scored_targets(model, y):
    """Return the targets y as an array; raise if its columns are the tasks in another order."""
    names = list(getattr(y, "columns", ()))
    if len(names) < 2:
        return plain_target(y)
    check_is_fitted(model)
    tasks = model.tasks_.tolist()
    if names != tasks and len(names) == len(tasks) and all(name in tasks for name in names):
        raise ValueError(
            f"y has the columns {listed(names)}, in another order than in fit: {listed(tasks)}. "
            "Predictions are in the order of fit."
        )
    return plain_target(y)


def observed_targets(y, weight):
    """Return a mask of the targets (n, T) that are observed with a positive weight."""
    observed = ~np.isnan(y)
    if weight is not None:
        observed &= (weight[:, None] if weight.ndim == 1 else weight) > 0
    return observed


def is_complete(y, weight):
    """Return whether y is 1-D, or has one row weight for all of its columns and no NaN."""
    if np.ndim(y) != 2:
        return True
    return np.ndim(weight) != 2 and (y.dtype.kind not in "f" or not np.isnan(y.sum()))


def observed_r2(y, z, weight):
    """Return the mean over columns of R^2, each over its observed rows, if these are several.

    y and the predictions z are (n, T), ``weight`` is (n,), (n, T) or None.
    """
    scores = []
    for t, own in enumerate(observed_targets(y, weight).T):
        if np.count_nonzero(own) > 1:
            of_rows = weight[own] if np.ndim(weight) == 1 else None
            of_rows = weight[own, t] if np.ndim(weight) == 2 else of_rows
            scores.append(r2_score(y[own, t], z[own, t], sample_weight=of_rows))
    if not scores:
        warn("R^2 is NaN: no column of y has two observed targets.", UndefinedMetricWarning)
        return np.nan
    return float(np.mean(scores))


def observed_accuracy(y, z, weight):
    """Return the share of rows whose observed labels are all predicted.

    y and the predictions z are (n, T), ``weight`` is (n,), (n, T) - of which the mean over a row's
    observed labels counts - or None. Rows without observed labels are left out.
    """
    observed = observed_targets(y, weight)
    share = observed.any(axis=1).astype(np.float64)
    if np.ndim(weight) == 2:
        share = (weight * observed).sum(axis=1) / np.maximum(observed.sum(axis=1), 1)
    elif weight is not None:
        share *= weight
    if not share.any():
        warn("The accuracy is NaN: no label is observed.", UndefinedMetricWarning)
        return np.nan
    return float(np.average(((y == z) | ~observed).all(axis=1), weights=share))
