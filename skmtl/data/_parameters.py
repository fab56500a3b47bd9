"""Read penalty weights and task weights, one for all tasks or one per task."""

from collections.abc import Mapping
from numbers import Real

import numpy as np

from skmtl._warn import did_you_mean, listed
from skmtl.data._labels import label_key

NAMED_WEIGHTS = ("balanced", "uncertainty", "minimax")


def read_per_task(value, name, tasks):
    """Return a penalty weight or task weight as an array (T,), in the order of ``tasks``.

    ``value`` is one number for all tasks, an array of shape (T,) or a dict from label to number,
    which may name more tasks (a fold of cross-validation can lack some).
    """
    if isinstance(value, dict):
        given = {label_key(task): number for task, number in value.items()}
        missing = [task for task in tasks.tolist() if label_key(task) not in given]
        if missing:
            raise ValueError(
                f"{name} is a dict without the tasks {listed(missing)}. Give every task a value "
                "(in the wide form, the names of the columns of y, or 0, 1, ... of an array)."
            )
        value = [given[label_key(task)] for task in tasks.tolist()]
    try:
        array = np.asarray(value)
    except ValueError:  # ragged
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "iuf":
        raise ValueError(
            f"{name} must be a number, an array of numbers or a dict from task label to number, "
            f"got {value!r}.{_hint(value)}"
        )
    if array.ndim > 0 and array.shape != (len(tasks),):
        raise ValueError(
            f"{name} has shape {array.shape}, but there are {len(tasks)} tasks "
            f"({listed(tasks.tolist())}). Pass one number, one per task in this order, or a dict "
            "from task label to number."
        )
    if not (array >= 0).all():
        raise ValueError(f"{name} must be at least 0 and not NaN, got {value!r}.")
    return np.full(len(tasks), array, dtype=np.float64)


def read_per_column(value, name, columns):
    """Return a penalty weight of each column of task labels, (L,).

    ``value`` is one number for all, or a dict whose keys are the columns.
    """
    if not isinstance(value, Mapping):
        if not isinstance(value, str | Real):
            raise ValueError(
                f"{name} must be a number for all columns of task labels or a dict with one for "
                f"each of {listed(columns[::-1])}, got {value!r}."
            )
        return np.full(len(columns), check_alpha(value, name))
    if auto := [column for column, own in value.items() if is_auto(own)]:
        raise ValueError(
            f"{name}[{auto[0]!r}] is 'auto'. Weights of columns are estimated together: set {name} "
            "to 'auto', or give each column a number."
        )
    if set(value) != set(columns):
        raise ValueError(
            f"{name} is a dict of {listed(value)}, and task_column has the columns "
            f"{listed(columns[::-1])}: give each of them a number."
        )
    return np.array([check_alpha(value[column], f"{name}[{column!r}]") for column in columns])


def read_penalty_factor(value, n_features, names):
    """Return the factors of the penalty on each feature, (d,), None if all are 1.

    ``value`` is None, an array of shape (d,) or a dict from name to number; ``names`` are those of
    the features, or None.
    """
    if value is None:
        return None
    given = value
    if isinstance(value, Mapping):
        if names is None:
            raise ValueError(
                "penalty_factor is a dict from feature name to number, and the features have no "
                "names. Pass X as a dataframe, or penalty_factor as an array with a number for "
                f"each of the {n_features} features."
            )
        if unknown := [name for name in value if name not in names]:
            alike = next((text for name in unknown if (text := did_you_mean(name, names))), "")
            raise ValueError(
                f"penalty_factor has {listed(unknown)}, and the features of X are {listed(names)}."
                f"{alike}"
            )
        given = [value.get(name, 1.0) for name in names]
    try:
        array = np.asarray(given)
    except ValueError:  # ragged
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "iuf" or array.ndim != 1:
        raise ValueError(
            "penalty_factor must be None, a 1-D array of numbers or a dict from feature name to "
            f"number, got {value!r}."
        )
    if len(array) != n_features:
        raise ValueError(
            f"penalty_factor has {len(array)} numbers, and X has {n_features} features"
            " (a task column is none)."
        )
    if not (array >= 0).all():
        raise ValueError(f"penalty_factor must be at least 0 and not NaN, got {value!r}.")
    return None if (array == 1).all() else array.astype(np.float64)


def check_alpha(value, name):
    """Return a penalty weight as a float in [0, inf]."""
    if isinstance(value, bool) or not isinstance(value, Real) or not value >= 0:
        raise ValueError(f"{name} must be a number in [0, inf], got {value!r}.{_hint(value)}")
    return float(value)


def is_auto(value):
    """Return whether a penalty weight is "auto"."""
    return isinstance(value, str) and value == "auto"


def _hint(value):
    """Return which parameters may be "auto", for messages about a string."""
    if not isinstance(value, str):
        return ""
    return (
        " 'auto' is for alpha, alpha_shared and alpha_intercept of MeanRegularizedRegressor and "
        "MeanRegularizedClassifier."
    )


def named_weights(task_weight):
    """Return "balanced", "uncertainty" or "minimax", or None if task weights are numbers."""
    if not isinstance(task_weight, str):
        return None
    if task_weight not in NAMED_WEIGHTS:
        names = ", ".join(map(repr, NAMED_WEIGHTS))
        raise ValueError(
            f"task_weight must be None, {names}, a dict or an array, got {task_weight!r}."
        )
    return task_weight


def read_task_weights(task_weight, tasks):
    """Return the task weights a_t, shape (T,), ones if they are not numbers."""
    if task_weight is None or isinstance(task_weight, str):
        return np.ones(len(tasks))
    weights = read_per_task(task_weight, "task_weight", tasks)
    if np.isinf(weights).any() or not weights.any():
        raise ValueError(f"task_weight must be finite and not all zero, got {task_weight!r}.")
    return weights
