"""Rows grouped by task, their scores and averages: all scores per task are computed here."""

import warnings
from decimal import Decimal
from numbers import Integral
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_consistent_length

from skmtl._metrics import LABELS, NUMBERS, SCORES, Metric, named_metric
from skmtl._warn import listed
from skmtl.data import check_columns, column_names, factorize, plain_target, read_task_labels

AVERAGES = ("macro", "micro", "weighted", "worst")


def default_metrics(rows):
    if rows.y_score is not None:
        return [*(LABELS if rows.y_pred is not None else ()), *SCORES]
    given = [y for y in (rows.y_true, rows.y_pred) if y is not None]
    fractions = any(y.dtype.kind == "f" and np.any(y != np.floor(y)) for y in given)
    return list(NUMBERS if fractions else LABELS)


def resolve_all(metrics, greater_is_better):
    """Return a dict from name to Metric."""
    if isinstance(metrics, str) or callable(metrics):
        metrics = [metrics]
    if not isinstance(metrics, dict):
        metrics = {_name(metric): metric for metric in metrics}
    directions = greater_is_better or {}
    if strange := sorted(set(directions) - set(metrics)):
        raise ValueError(f"greater_is_better names {strange}, but the metrics are {list(metrics)}.")
    return {name: resolve(m, name, directions.get(name)) for name, m in metrics.items()}


def resolve(metric, name="", greater_is_better=None):
    if isinstance(metric, str):
        found = named_metric(metric)
    elif callable(metric):
        names = (name, _function_name(metric))
        lower = any(n.endswith(("_error", "_loss", "_deviance")) for n in names)
        found = Metric(metric, not lower)
    else:
        raise TypeError(f"A metric must be a name or a function, got {metric!r}.")
    if greater_is_better is not None:
        found = found._replace(greater_is_better=bool(greater_is_better))
    return found


def _name(metric):
    """Return the name of a metric in tables: that of its values, which are not negated."""
    return metric.removeprefix("neg_") if isinstance(metric, str) else _function_name(metric)


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
    names = column_names(y_true)
    check_responses(names, y_pred=y_pred, y_score=y_score, sample_weight=sample_weight)
    y_true, first = plain_target(y_true), 0
    one_column = y_true.ndim == 2 and y_true.shape[1] == 1
    if one_column:
        y_true, first = y_true[:, 0], 0 if names is None else names[0]
    check_one_form(y_true, tasks)
    responses = [
        None if r is None else _read_response(r, y_true.shape, name)
        for r, name in ((y_pred, "y_pred"), (y_score, "y_score"))
    ]
    weight = read_weight(sample_weight, y_true, tasks)
    keep = np.ones(y_true.size, dtype=bool)
    if y_true.ndim == 2:
        n, n_tasks = y_true.shape
        found = np.arange(n_tasks) if names is None else names
        codes = np.repeat(np.arange(n_tasks), n)
        y_true = y_true.ravel(order="F")
        if weight is not None:
            weight = np.tile(weight, n_tasks) if weight.ndim == 1 else weight.ravel(order="F")
        keep = y_true == y_true  # not NaN
    elif tasks is None:
        found, codes = [first], np.zeros(len(y_true), dtype=np.intp)
        if one_column:
            keep = y_true == y_true
    else:
        found, codes = factorize(read_task_labels(tasks), "tasks")
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


def check_responses(names, **arrays):
    """Raise if dataframes have other columns than y_true, whose ``names`` are a list or None."""
    for name, array in arrays.items():
        check_columns(name, column_names(array), "y_true has", names)


def check_class_columns(y_score, rows, labels):
    """Raise if the columns of a dataframe of scores are the classes in another order."""
    names = column_names(y_score)
    classes = np.unique(rows.y_true).tolist() if labels is None else list(labels)
    if names is not None and set(names) == set(classes):
        check_columns("y_score", names, "the classes are", classes)


def check_one_form(y_true, tasks):
    """Raise if there are tasks for targets with a column for each task."""
    if y_true.ndim == 2 and tasks is not None:
        raise ValueError(
            f"y_true has shape {y_true.shape} and tasks is given: a 2-D y_true already has one "
            "task per column. Leave tasks out, or pass 1-D targets."
        )


def read_weight(sample_weight, y_true, tasks):
    """Return weights of the shape of y_true or (n,), float64, or None; check all lengths."""
    weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if weight is not None and weight.ndim == 2 and weight.shape[1] == 1:
        weight = weight[:, 0]
    if weight is not None and weight.ndim > 1 and weight.shape != y_true.shape:
        raise ValueError(
            f"sample_weight has shape {weight.shape}, which does not match y_true of shape "
            f"{y_true.shape}. Pass one weight per row or, in the wide form, per target."
        )
    check_consistent_length(y_true, weight, tasks)
    if weight is not None and not (weight >= 0).all():
        raise ValueError("sample_weight must be at least 0 and not NaN.")
    return weight


_ORDER = "The order of arguments is y_true, y_pred, tasks."


def check_whole(tasks):
    """Raise if task labels are fractions, as predictions in their place would be."""
    labels = plain_target([] if tasks is None else tasks)
    exact = np.asarray([] if tasks is None else tasks).dtype == object and any(
        isinstance(label, Decimal) for label in tasks
    )
    if labels.dtype.kind == "f" and not exact:
        strange = labels[np.isfinite(labels) & (labels % 1 != 0)]
        if len(strange):
            raise ValueError(
                f"tasks holds {float(strange[0])!r}: task labels cannot be fractions. {_ORDER}"
            )


def check_order(y_true, y_pred, tasks, metrics):
    """Raise if y_true, y_pred and tasks cannot be in this order; ``metrics`` are names."""
    if y_pred is None or np.ndim(y_true) != 1 or np.ndim(y_pred) != 1:
        return
    true, pred = (_are_strings(plain_target(values)) for values in (y_true, y_pred))
    of_labels = not set(metrics).isdisjoint(LABELS)
    if true is None or pred is None:
        return
    if (pred and not true) or (true and not pred and of_labels):
        kinds = ("strings" if strings else "numbers" for strings in (true, pred))
        raise ValueError("y_true holds {} and y_pred {}. ".format(*kinds) + _ORDER)
    if tasks is not None and of_labels:
        one, two, labels = (set(np.ravel(values).tolist()) for values in (y_true, y_pred, tasks))
        if min(len(one), len(two)) > 1 and one.isdisjoint(two) and labels <= one:
            raise ValueError(
                f"y_pred holds {listed(sorted(two, key=str))}, none of the labels of y_true, and "
                f"tasks only labels of y_true: {listed(sorted(labels, key=str))}. {_ORDER}"
            )


def _are_strings(values):
    """Return whether an array holds strings (True) or numbers (False); None for other things."""
    if values.dtype.kind in "US":
        return True
    if values.dtype == object:
        return True if all(isinstance(value, str) for value in values.tolist()) else None
    return False if values.dtype.kind in "biuf" else None


def _read_response(response, shape, name):
    """Return predictions or scores in the long form, of shape (N,) or (N, K)."""
    array = plain_target(response)
    if len(shape) == 2:
        if array.ndim == 3 and array.shape[:2] == shape[::-1] and isinstance(response, list):
            array = array.swapaxes(0, 1)
        good = array.shape[:2] == shape
    else:
        good = array.ndim in (1, 2) and len(array) == shape[0]
    if not good:
        raise ValueError(
            f"{name} has shape {np.shape(response)}, which does not match y_true of shape "
            f"{shape}. Pass one value, or one row of class probabilities, per target."
        )
    if len(shape) == 2:
        array = array.swapaxes(0, 1).reshape(-1, *array.shape[2:])
    widths = (1,) if name == "y_pred" else (1, 2)  # of two classes the second
    return array[:, -1] if array.ndim == 2 and array.shape[1] in widths else array


def on_rows(metric, rows, labels):
    """Return the metric as a function of an index of rows; labels may be None.

    Where it is undefined the function returns NaN, or raises ValueError.
    """
    response = rows.y_score if metric.reads_score else rows.y_pred
    if response is None:
        missing = "y_score" if metric.reads_score else "y_pred"
        raise ValueError(f"Pass {missing}: one of the metrics needs it.")
    if response.ndim == 2 and metric.suits and not metric.reads_score:
        raise ValueError(
            f"y_pred has {response.shape[1]} columns for each column of y_true, and this metric "
            "needs one. Pass probabilities as y_score."
        )
    if response.ndim == 2 and response.shape[1] == 2:  # probabilities, for a function
        response = response[:, 1]
    keywords = {}
    if metric.uses_labels:
        if labels is None:
            seen = [rows.y_true] if metric.reads_score else [rows.y_true, rows.y_pred]
            labels = np.unique(np.concatenate(seen))
        if metric.reads_score:
            labels, response = _with_all_classes(rows.y_true, response, np.asarray(labels))
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


def _with_all_classes(y_true, y_score, labels):
    """Return sorted labels with all classes of y_true, and scores with a column for each.

    Classes that are not among the labels have probability zero: a model did not know them.
    """
    if len(set(labels.tolist())) < len(labels) or (y_score.ndim == 1 and labels[-1] < labels[0]):
        raise ValueError(
            f"labels are {listed(labels.tolist())}: pass them once each, and two of them sorted."
        )
    width = 2 if y_score.ndim == 1 else y_score.shape[1]
    if width != max(len(labels), 2):
        raise ValueError(
            f"y_score has {width if y_score.ndim == 2 else 'one'} column{'s' * (y_score.ndim - 1)} "
            f"for {len(labels)} classes: {listed(labels.tolist())}. Pass the class of each column "
            "as labels."
        )
    order = np.argsort(labels)
    labels, y_score = labels[order], y_score if y_score.ndim == 1 else y_score[:, order]
    classes = np.union1d(labels, y_true)
    if len(classes) == len(labels) or len(labels) < 2:
        return labels, y_score
    if y_score.ndim == 1:
        y_score = np.column_stack([1.0 - y_score, y_score])
    if (y_score < 0).any():
        raise ValueError(
            f"y_true has classes {listed(np.setdiff1d(y_true, labels).tolist())}, which the model "
            f"was not fitted to or labels lack ({listed(labels.tolist())}), and the scores are no "
            f"probabilities: the least is {y_score.min():.3g}. Pass probabilities."
        )
    full = np.zeros((len(y_score), len(classes)))
    full[:, np.searchsorted(classes, labels)] = y_score
    return classes, full


def quietly(value, index):
    """Return ``value(index)``, or NaN, without warnings, where the metric is undefined."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return value(index)
    except ValueError:
        return np.nan


def check_min_rows(min_rows):
    if isinstance(min_rows, bool) or not isinstance(min_rows, Integral) or min_rows < 1:
        raise ValueError(f"min_rows must be an integer of at least 1, got {min_rows!r}.")


def left_out(rows, min_rows):
    """Return a mask of the tasks with fewer rows, (T,)."""
    return np.array([len(group) for group in rows.groups]) < min_rows


def score_tasks(metric, rows, labels, without=None):
    """Compute the metric of each task, shape (T,), and a dict of the four averages.

    ``without`` (T,) is a mask of tasks that are left out of the averages over tasks.
    """
    value = on_rows(metric, rows, labels)
    overall = value(slice(None))  # first, so that errors of an unusable metric are raised
    values = np.array([quietly(value, group) for group in rows.groups])
    sizes = [len(g) if rows.weight is None else rows.weight[g].sum() for g in rows.groups]
    return values, averages_of(values, sizes, metric, overall, without)


def averages_of(values, sizes, metric, overall, without=None):
    """Return the averages of the scores of tasks, (T,), a dict.

    ``sizes`` (T,) are the weights of the tasks, ``overall`` is the score of all rows, and
    ``without`` a mask of tasks that are left out. NaN does not count.
    """
    defined = ~np.isnan(values)
    if without is not None:
        defined &= ~without
    averages = dict.fromkeys(AVERAGES, np.nan) | {"micro": overall}
    if defined.any():
        own, weight = values[defined], np.asarray(sizes, dtype=np.float64)[defined]
        averages["macro"] = own.mean()
        averages["weighted"] = np.average(own, weights=weight)
        averages["worst"] = own.min() if metric.greater_is_better else own.max()
    return averages
