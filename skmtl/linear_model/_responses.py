"""What tasks of different kinds predict, and the scores of these predictions."""

import numpy as np
from scipy.special import expit, softmax, xlogy
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import d2_tweedie_score, r2_score

from skmtl._warn import listed, warn
from skmtl.data import check_columns, columns_of
from skmtl.linear_model._observed import mean_of_defined

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
        return (y - z) ** 2
    if outcome.kind == "poisson":
        z = np.clip(z, _LEAST, _MOST)
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
    check_columns("y", names, "fit had", tasks.tolist())
    return columns


def mean_score(scores):
    """Return the mean of the scores of tasks that have one; nan, with a warning, if none has."""
    if np.isnan(scores).all():
        warn("The score is nan: no task has enough observed targets.", UndefinedMetricWarning)
    return mean_of_defined(scores)


def own_score(outcome, y, z, weight=None):
    """Return R^2, the accuracy or D^2 of the observed targets of a task, nan of too few."""
    predicted = response(outcome, z)
    if outcome.classes is not None:
        equal = [a == b for a, b in zip(y.tolist(), predicted.tolist(), strict=True)]
        return np.average(equal, weights=weight) if equal else np.nan
    if len(y) < 2:
        return np.nan
    if outcome.kind == "squared":
        return r2_score(y, predicted, sample_weight=weight)
    if not y.any():
        return np.nan  # no deviance from the mean
    return d2_tweedie_score(y, predicted, sample_weight=weight, power=1)
