"""Named metrics, rows grouped by task, and averages: all scores per task are computed here."""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sklearn import metrics as skm
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_consistent_length

from skmtl.data import factorize

AVERAGES = ("macro", "micro", "weighted", "worst")


class _Metric(NamedTuple):
    """A metric; ``row_losses(y, response, labels)`` if it is the mean of these over rows."""

    function: Callable
    greater_is_better: bool
    reads_score: bool = False
    uses_labels: bool = False
    response_method: str | tuple = "predict"
    row_losses: Callable | None = None


def _if_target_varies(metric):
    """Return NaN where the variance of y_true, the denominator of the metric, is zero.

    scikit-learn returns 0 or 1 there, which would distort averages over tasks.
    """

    def score(y_true, y_pred, **kwargs):
        constant = (y_true == y_true[0]).all()
        return np.nan if constant else metric(y_true, y_pred, **kwargs)

    return score


def _correlation(y_true, y_pred, sample_weight=None):
    if any(np.ptp(values) <= 2e-13 * np.abs(values).max() for values in (y_true, y_pred)):
        return np.nan  # constant up to rounding
    C = np.cov(y_true, y_pred, aweights=sample_weight, ddof=0)
    return C[0, 1] / np.sqrt(C[0, 0] * C[1, 1])


def _per_class(metric):
    """Score the second of two classes, or average over more than two."""

    def score(y_true, y_pred, *, labels, **kwargs):
        labels = labels[1:] if len(labels) == 2 else labels
        keywords = {"labels": labels, "average": "macro", "zero_division": np.nan} | kwargs
        return metric(y_true, y_pred, **keywords)

    return score


def _roc_auc(y_true, y_score, *, labels, **kwargs):
    if y_score.ndim == 2:
        kwargs = {"multi_class": "ovr", "labels": labels} | kwargs
    return skm.roc_auc_score(y_true, y_score, **kwargs)


def log_losses(y_true, y_score, labels):
    """Return minus the log-probability of the observed class in each row."""
    if y_score.ndim == 1:
        own = np.where(y_true == labels[1], y_score, 1.0 - y_score)
    else:
        y_score = y_score / y_score.sum(axis=1, keepdims=True)
        own = y_score[np.arange(len(y_true)), np.searchsorted(labels, y_true)]
    return -np.log(np.clip(own, np.finfo(np.float64).eps, 1.0))


_NUMBERS = {
    "r2": _Metric(_if_target_varies(skm.r2_score), True),
    "explained_variance": _Metric(_if_target_varies(skm.explained_variance_score), True),
    "mean_squared_error": _Metric(
        skm.mean_squared_error, False, row_losses=lambda y, z, _: (y - z) ** 2
    ),
    "mean_absolute_error": _Metric(
        skm.mean_absolute_error, False, row_losses=lambda y, z, _: np.abs(y - z)
    ),
    "correlation": _Metric(_correlation, True),
}
_LABELS = {
    "accuracy": _Metric(
        skm.accuracy_score, True, row_losses=lambda y, z, _: (y == z).astype(np.float64)
    ),
    "precision": _Metric(_per_class(skm.precision_score), True, uses_labels=True),
    "recall": _Metric(_per_class(skm.recall_score), True, uses_labels=True),
}
_SCORES = {
    "roc_auc": _Metric(_roc_auc, True, True, True, ("predict_proba", "decision_function")),
    "log_loss": _Metric(skm.log_loss, False, True, True, "predict_proba", log_losses),
}
_NAMED = _NUMBERS | _LABELS | _SCORES


def default_metrics(rows):
    if rows.y_score is not None:
        return [*(_LABELS if rows.y_pred is not None else ()), *_SCORES]
    given = [y for y in (rows.y_true, rows.y_pred) if y is not None]
    fractions = any(y.dtype.kind == "f" and np.any(y != np.floor(y)) for y in given)
    return list(_NUMBERS if fractions else _LABELS)


def resolve_all(metrics, greater_is_better):
    """Return a dict from name to _Metric."""
    if isinstance(metrics, str) or callable(metrics):
        metrics = [metrics]
    if not isinstance(metrics, dict):
        metrics = {m if isinstance(m, str) else _function_name(m): m for m in metrics}
    directions = greater_is_better or {}
    if strange := sorted(set(directions) - set(metrics)):
        raise ValueError(f"greater_is_better names {strange}, but the metrics are {list(metrics)}.")
    return {name: resolve(m, name, directions.get(name)) for name, m in metrics.items()}


def resolve(metric, name="", greater_is_better=None):
    if isinstance(metric, str):
        if metric not in _NAMED:
            raise ValueError(
                f"{metric!r} is not a metric name; the names are {list(_NAMED)}. Pass any other "
                "metric as a function, for instance from sklearn.metrics."
            )
        found = _NAMED[metric]
    elif callable(metric):
        names = (name, _function_name(metric))
        lower = any(n.endswith(("_error", "_loss", "_deviance")) for n in names)
        found = _Metric(metric, not lower)
    else:
        raise TypeError(f"A metric must be a name or a function, got {metric!r}.")
    if greater_is_better is not None:
        found = found._replace(greater_is_better=bool(greater_is_better))
    return found


def _function_name(metric):
    metric = getattr(metric, "func", metric)  # functools.partial
    return getattr(metric, "__name__", type(metric).__name__)


def respond(estimator, X, methods, advice="Choose another metric."):
    """Return the name of the first of these methods that the estimator has, and its output."""
    methods = [methods] if isinstance(methods, str) else methods
    for name in methods:
        if hasattr(estimator, name):
            return name, getattr(estimator, name)(X)
    raise AttributeError(
        f"{type(estimator).__name__} has no method {' or '.join(methods)}, which this metric "
        f"needs. {advice}"
    )


class ScoredRows(NamedTuple):
    """Observed rows of positive weight, in the long form; ``groups`` has row indices per task.

    ``places`` are the positions of the rows in the input; in the wide form, of n rows, row i of
    task t is at t n + i.
    """

    y_true: np.ndarray
    y_pred: np.ndarray | None
    y_score: np.ndarray | None
    weight: np.ndarray | None
    places: np.ndarray
    tasks: list
    groups: list


def read_rows(y_true, y_pred, y_score, tasks, sample_weight):
    names = getattr(y_true, "columns", None)
    y_true = np.asarray(y_true)
    if y_true.ndim == 2 and tasks is not None:
        raise ValueError(
            f"y_true has shape {y_true.shape} and tasks is given: a 2-D y_true already has one "
            "task per column. Leave tasks out, or pass 1-D targets."
        )
    responses = [
        None if r is None else _read_response(r, y_true.shape, name)
        for r, name in ((y_pred, "y_pred"), (y_score, "y_score"))
    ]
    weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    check_consistent_length(y_true, weight, tasks)
    if weight is not None and not (weight >= 0).all():
        raise ValueError("sample_weight must be at least 0 and not NaN.")
    keep = np.ones(y_true.size, dtype=bool)
    if y_true.ndim == 2:
        n, n_tasks = y_true.shape
        found = np.arange(n_tasks) if names is None else names
        codes = np.repeat(np.arange(n_tasks), n)
        y_true = y_true.ravel(order="F")
        weight = None if weight is None else np.tile(weight, n_tasks)
        keep = y_true == y_true  # not NaN
    elif tasks is None:
        found, codes = [0], np.zeros(len(y_true), dtype=np.intp)
    else:
        found, codes = factorize(np.asarray(tasks), "tasks")
    if weight is not None:
        keep &= weight > 0
    if not keep.any():
        raise ValueError("There are no rows to score: none is observed with a positive weight.")
    arrays = [None if a is None else a[keep] for a in (y_true, *responses, weight)]
    codes = codes[keep]
    order = np.argsort(codes, kind="stable")
    present, starts = np.unique(codes[order], return_index=True)
    groups = np.split(order, starts[1:])
    return ScoredRows(*arrays, np.flatnonzero(keep), np.take(found, present).tolist(), groups)


def _read_response(response, shape, name):
    """Return predictions or scores in the long form, of shape (N,) or (N, K)."""
    array = np.asarray(response)
    if len(shape) == 2:
        if array.ndim == 3 and array.shape[:2] == shape[::-1] and isinstance(response, list):
            array = array.swapaxes(0, 1)
        good = array.shape[:2] == shape
        array = array.swapaxes(0, 1).reshape(-1, *array.shape[2:])
    else:
        good = array.ndim in (1, 2) and len(array) == shape[0]
    if not good:
        raise ValueError(
            f"{name} has shape {np.shape(response)}, which does not match y_true of shape "
            f"{shape}. Pass one value, or one row of class probabilities, per target."
        )
    return array[:, 1] if array.ndim == 2 and array.shape[1] == 2 else array


def on_rows(metric, rows, labels):
    """Return the metric as a function of an index of rows; labels may be None.

    Where it is undefined the function returns NaN, or raises ValueError.
    """
    response = rows.y_score if metric.reads_score else rows.y_pred
    if response is None:
        missing = "y_score" if metric.reads_score else "y_pred"
        raise ValueError(f"Pass {missing}: one of the metrics needs it.")
    keywords = {}
    if metric.uses_labels:
        if labels is None:
            seen = [rows.y_true] if metric.reads_score else [rows.y_true, rows.y_pred]
            labels = np.unique(np.concatenate(seen))
        keywords["labels"] = labels

    def value(index):
        if rows.weight is not None:
            keywords["sample_weight"] = rows.weight[index]
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("error", UndefinedMetricWarning)
                return float(metric.function(rows.y_true[index], response[index], **keywords))
        except UndefinedMetricWarning:
            return np.nan

    return value


def quietly(value, index):
    """Return ``value(index)``, or NaN, without warnings, where the metric is undefined."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return value(index)
    except ValueError:
        return np.nan


def score_tasks(metric, rows, labels):
    """Compute the metric of each task, shape (T,), and a dict of the four averages."""
    value = on_rows(metric, rows, labels)
    overall = value(slice(None))  # first, so that errors of an unusable metric are raised
    values = np.array([quietly(value, group) for group in rows.groups])
    defined = ~np.isnan(values)
    if not defined.any():
        return values, dict.fromkeys(AVERAGES, np.nan) | {"micro": overall}
    sizes = [len(g) if rows.weight is None else rows.weight[g].sum() for g in rows.groups]
    return values, {
        "macro": values[defined].mean(),
        "micro": overall,
        "weighted": np.average(values[defined], weights=np.array(sizes)[defined]),
        "worst": np.nanmin(values) if metric.greater_is_better else np.nanmax(values),
    }
