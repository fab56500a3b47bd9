"""What tasks of different kinds predict, and the scores of these predictions."""

import numpy as np
from scipy.special import expit, softmax, xlogy
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import d2_tweedie_score, r2_score

from skmtl._warn import listed, warn
from skmtl.data import columns_of

_LEAST, _MOST = -700.0, 700.0  # logarithms of counts that are neither 0 nor inf


def response(outcome, z):
    """Return the predictions (m,) of a task at its scores: numbers, classes or mean counts."""
    if outcome.kind == "squared":
        return z
    if outcome.kind == "poisson":
        return np.exp(np.clip(z, _LEAST, _MOST))
    return outcome.classes[z.argmax(axis=1) if z.ndim == 2 else (z > 0).astype(np.intp)]


def probabilities(outcome, z):
    """Return the probabilities (m, K) of the classes of a task."""
    return softmax(z, axis=1) if z.ndim == 2 else np.column_stack([expit(-z), expit(z)])


def row_losses(outcome, y, z):
    """Return squared errors, minus log-probabilities or Poisson deviances (m,) at scores z."""
    if outcome.kind == "squared":
        return (y.astype(np.float64) - z) ** 2
    if outcome.kind == "poisson":
        y, z = y.astype(np.float64), np.clip(z, _LEAST, _MOST)
        return 2.0 * (xlogy(y, y) - y * z - y + np.exp(z))
    number = {label: k for k, label in enumerate(outcome.classes.tolist())}
    codes = np.array([number.get(label, -1) for label in y.tolist()], dtype=np.intp)
    own = np.where(codes < 0, 0.0, probabilities(outcome, z)[np.arange(len(codes)), codes])
    return -np.log(np.clip(own, np.finfo(np.float64).eps, 1.0))  # as the metric "log_loss"


def columns_in_order(y, tasks, *, wide):
    """Return the ``Values`` of each column of y; raise if its columns are not the tasks."""
    columns, names = columns_of(y, wide=wide)
    if not wide:
        return columns
    if len(columns) != len(tasks):
        raise ValueError(
            f"y has {len(columns)} columns, and fit had {len(tasks)} tasks: {listed(tasks)}."
        )
    own = tasks.tolist()
    if names is not None and list(names) != own and own != list(range(len(own))):
        raise ValueError(
            f"y has the columns {listed(names)}, and fit had {listed(own)}. Pass them in this "
            "order, in which predictions are, or pass y as an array."
        )
    return columns


def own_scores(found, columns, n_rows, sample_weight):
    """Return the score of each task, (T,): R^2, the accuracy or D^2; nan of too few targets.

    Parameters
    ----------
    found : list of tuple
        For each task its rows, an index array or a slice, its `Outcome` and its scores there.
    columns : list of Values
        Targets: a column for each task in the wide form, else one.
    n_rows : int
    sample_weight : array-like of shape (n,) or (n, T), or None
    """
    weight = np.ones(n_rows) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    shape = n_rows, len(found)
    wide = isinstance(found[0][0], slice)
    if len(columns[0].entries) != n_rows or weight.shape not in [(n_rows,), *([shape] * wide)]:
        raise ValueError(
            f"X has {n_rows} rows, y {len(columns[0].entries)} and sample_weight the shape "
            f"{weight.shape}. Pass one target and weight per row{' and task' * wide}."
        )
    scores = []
    for t, (rows, outcome, z) in enumerate(found):
        values = columns[t if wide else 0]
        own = (weight if weight.ndim == 1 else weight[:, t])[rows]
        kept = ~values.missing[rows] & (own > 0)
        scores.append(
            _score(outcome, values.entries[rows][kept], response(outcome, z)[kept], own[kept])
        )
    return np.array(scores)


def mean_score(scores):
    """Return the mean of the scores of tasks that have one; nan, with a warning, if none has."""
    if np.isnan(scores).all():
        warn("The score is nan: no task has enough observed targets.", UndefinedMetricWarning)
        return np.nan
    return float(np.nanmean(scores))


def _score(outcome, y, predicted, weight):
    """Return R^2, the accuracy or D^2 of the observed targets of a task, nan of too few."""
    if outcome.classes is not None:
        equal = [a == b for a, b in zip(y.tolist(), predicted.tolist(), strict=True)]
        return np.average(equal, weights=weight) if equal else np.nan
    if len(y) < 2:
        return np.nan
    y = y.astype(np.float64)
    if outcome.kind == "squared":
        return r2_score(y, predicted, sample_weight=weight)
    if not y.any():
        return np.nan  # no deviance from the mean
    return d2_tweedie_score(y, predicted, sample_weight=weight, power=1)
