"""Scores of tasks of different kinds: each task by the metrics that suit it."""

import warnings
from decimal import Decimal
from numbers import Real
from typing import NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline

from skmtl._metrics import named_metric
from skmtl._scores import (
    ScoredRows,
    averages_of,
    check_one_form,
    check_responses,
    on_rows,
    read_weight,
)
from skmtl._warn import listed
from skmtl.data import (
    columns_of,
    entries_of_tasks,
    factorize,
    is_frame,
    is_missing,
    labels_of,
    numbers_of,
    plain_target,
    read_task_labels,
)

_OF_KIND = {"squared": "r2", "poisson": "d2_poisson"}
_NUMBERS = ("squared", "poisson")


class MixedRows(NamedTuple):
    """Observed rows of each task, of positive weight: a list of ``ScoredRows``.

    ``kinds`` are those of the losses, or "squared" and "classes" where only values are known;
    ``labels`` the classes of each task, or None.
    """

    tasks: list
    of_tasks: list
    kinds: list
    labels: list

    @property
    def groups(self):
        """Rows of each task, as of ``ScoredRows``."""
        return [own.groups[0] for own in self.of_tasks]


def fitted_kinds(estimator):
    """Return the fitted model of tasks of different kinds inside an estimator, or None."""
    model = getattr(estimator, "best_estimator_", estimator)
    model = model[-1] if isinstance(model, Pipeline) else model
    model = getattr(model, "best_estimator_", model)
    return model if isinstance(getattr(model, "losses_", None), dict) else None


def are_mixed(y_true, y_pred=None, y_score=None, tasks=None):
    """Return whether targets are numbers in some tasks and classes in others."""
    if isinstance(y_score, dict):
        return True
    y, own_types = _objects(y_true), _has_own_types(y_pred)
    own_types &= _has_own_types(y_true) or isinstance(y_true, list)
    own_types &= tasks is not None if y.ndim == 1 else y.ndim == 2 and y.shape[1] > 1
    if y.dtype == object:
        values = y.ravel().tolist()
        found = {_family(value) for value in values if not is_missing(value)}
        missing = y.ndim == 2 and any(map(is_missing, values))
        if None not in found and (len(found) > 1 or (missing and found == {"strings"})):
            return True
        own_types &= found == {"numbers"}
    return own_types and len(set(read_mixed(y_true, y_pred, None, tasks, None).kinds)) > 1


def _has_own_types(y):
    """Return whether each task of y may have a type of its own."""
    return is_frame(y) or getattr(getattr(y, "dtype", None), "kind", None) == "O"


def _family(value):
    families = {"booleans": bool | np.bool_, "numbers": Real | Decimal, "strings": str}
    return next((name for name, kind in families.items() if isinstance(value, kind)), None)


def _objects(y):
    """Return an array; numbers beside strings in a list stay numbers."""
    if not isinstance(y, list | tuple):
        return np.asarray(y)
    array = np.asarray(y)
    return np.array(y, dtype=object) if array.dtype.kind in "USO" else array


def read_mixed(y_true, y_pred, y_score, tasks, sample_weight, model=None):
    """Return ``MixedRows``.

    Kinds and classes are those of a fitted ``model``. Without one, a task has classes if it is in
    the dict ``y_score``, if its targets are strings or booleans, or if its targets are whole
    numbers and its predictions of type int.
    """
    y = _objects(y_true)
    _check_shapes(y, y_pred, tasks)
    weight = read_weight(sample_weight, y, tasks)
    columns, names = columns_of(y_true, wide=tasks is None)
    check_responses(names, y_pred=y_pred, y_score=y_score, sample_weight=sample_weight)
    predicted = None if y_pred is None else columns_of(y_pred, wide=np.ndim(y_pred) == 2)[0]
    if tasks is not None:
        labels, codes = factorize(read_task_labels(tasks), "tasks")
        labels = labels.tolist()
    else:
        labels, codes = list(range(len(columns))) if names is None else names, None
        labels = labels if model is None else model.tasks_.tolist()
    result = MixedRows([], [], [], [])
    for task, own in zip(labels, entries_of_tasks(len(y), len(labels), codes), strict=True):
        values = columns[own.column or 0].take(own.rows)
        seen = ~values.missing
        if weight is not None:
            seen &= own.of(weight) > 0
        if not seen.any():
            continue
        own, values, found = own.where(seen), values.take(seen), None
        if predicted is not None:
            found = plain_target(predicted[own.column or 0].entries[own.rows])
        kind, true, classes = _read_task(task, values, found, y_score, model)
        score = _score_of(task, y_score, own.rows, classes)
        of_rows = None if weight is None else own.of(weight)
        groups = [np.arange(len(true))]
        rows = ScoredRows(true, found, score, of_rows, own.rows, [task], groups)
        for part, value in zip(result, (task, rows, kind, classes), strict=True):
            part.append(value)
    if not result.tasks:
        raise ValueError("There are no rows to score: none is observed with a positive weight.")
    return result


def _check_shapes(y, y_pred, tasks):
    shape = y.shape if y_pred is None else np.shape(y_pred)
    if y.shape != shape and (*y.shape, 1)[:2] != (*shape, 1)[:2]:
        raise ValueError(
            f"y_pred has shape {shape}, which does not match y_true of shape {y.shape}. Pass one "
            "value per target."
        )
    check_one_form(y, tasks)
    if tasks is None and y.ndim != 2:
        raise ValueError(
            f"y_true has shape {y.shape} and holds numbers and classes, which one task cannot: "
            "pass tasks, the task of each row."
        )


def _read_task(task, values, predicted, y_score, model):
    """Return the kind, the targets (m,) and the classes, or None, of a task."""
    if model is not None:
        kind = model.losses_[task]
        if kind in _NUMBERS:
            return kind, numbers_of(task, values, kind), None
        classes = model.classes_[task]
        return kind, plain_target(labels_of(task, values, classes)), plain_target(classes)
    true = plain_target(values.entries)
    scored = isinstance(y_score, dict) and task in y_score
    if true.dtype.kind in "iuf" and not scored:
        labels = predicted is not None and predicted.dtype.kind in "iu"
        if not labels or (true % 1 != 0).any():
            return "squared", true, None
    return "classes", true, _classes(task, true, y_score)


def _classes(task, true, y_score):
    """Return the sorted classes of a task as an array that metrics take."""
    classes = np.unique(true)
    width = len(classes)
    if isinstance(y_score, dict) and task in y_score:
        width = np.shape(y_score[task])[1]
    if len(classes) != width:
        raise ValueError(
            f"y_score[{task!r}] has {width} columns, and y_true has {len(classes)} classes of the "
            f"task: {listed(classes.tolist())}. Pass rows with all of them."
        )
    return classes


def _score_of(task, y_score, index, classes):
    """Return the scores of some rows of a task, (m,) or (m, K); None if it has none."""
    if y_score is None or classes is None:
        return None
    if not isinstance(y_score, dict):
        raise ValueError(
            "Scores of tasks of different kinds are a dict of task to array of shape (n, "
            f"n_classes), as predict_proba returns it; got {type(y_score).__name__}."
        )
    if task not in y_score:
        return None
    score = np.asarray(y_score[task], dtype=np.float64)[index]
    return score[:, 1] if score.shape[1] == 2 else score


def own_metrics(rows):
    """Return the names of the metrics by which a table scores tasks of different kinds."""
    numbers = ["r2", "mean_squared_error", "d2_poisson"]
    numbers = numbers if not set(_NUMBERS).isdisjoint(rows.kinds) else []
    classes = [k for k, kind in enumerate(rows.kinds) if kind not in _NUMBERS]
    predicted = any(own.y_pred is not None for own in rows.of_tasks)
    scored = any(rows.of_tasks[k].y_score is not None for k in classes)
    names = [*numbers, *(["accuracy"] if classes else [])] if predicted else []
    return names + (["roc_auc", "log_loss"] if scored else [])


def score_mixed(metric, rows, without=None):
    """Return the metric of each task, (T,), nan where it does not suit, and the four averages.

    "micro" is defined for means over rows.
    """
    values, error = np.full(len(rows.tasks), np.nan), None
    for t, (own, kind, labels) in enumerate(
        zip(rows.of_tasks, rows.kinds, rows.labels, strict=True)
    ):
        used = metric
        if metric.suits == "own":
            used = named_metric(_OF_KIND.get(kind, "accuracy"))
        elif metric.suits and (metric.suits == "numbers") != (kind in _NUMBERS):
            continue
        if used.reads_score and own.y_score is None:
            error = ValueError("Pass y_score: one of the metrics needs it.")
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                values[t] = on_rows(used, own, labels)(slice(None))
        except (TypeError, ValueError) as found:  # a function that does not take such targets
            error = found
    seen = ~np.isnan(values)
    if error is not None and not seen.any():
        raise error
    sizes = [len(o.y_true) if o.weight is None else o.weight.sum() for o in rows.of_tasks]
    overall = np.nan
    if metric.row_losses is not None and seen.any():
        overall = np.average(values[seen], weights=np.array(sizes)[seen])
    return values, averages_of(values, sizes, metric, overall, without)
