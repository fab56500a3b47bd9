"""Strengths and weights, one for all tasks or one for each."""

from numbers import Real

import numpy as np

from skmtl._input._text import listed


def per_task(value, name, tasks):
    """Return a strength or weight as an array of shape (T,), in the order of ``tasks``.

    ``value`` is one number for all tasks, an array of shape (T,) or a dict from label to number,
    which may name tasks that are not there (a fold of cross-validation lacks some).
    """
    if isinstance(value, dict):
        missing = [task for task in tasks.tolist() if task not in value]
        if missing:
            raise ValueError(
                f"{name} is a dict without the tasks {listed(missing)}. Give every task a value "
                "(the columns of a 2-D y are the tasks 0, 1, ...)."
            )
        value = [value[task] for task in tasks.tolist()]
    try:
        array = np.asarray(value)
    except ValueError:  # ragged
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "iuf":
        raise ValueError(
            f"{name} must be a number, an array of numbers or a dict from task label to number, "
            f"got {value!r}."
        )
    array = array.astype(np.float64)
    if array.ndim == 0:
        array = np.full(len(tasks), float(array))
    elif array.shape != (len(tasks),):
        raise ValueError(
            f"{name} has shape {array.shape}, but there are {len(tasks)} tasks "
            f"({listed(tasks.tolist())}). Pass one number, one per task in this order, or a dict "
            "from task label to number."
        )
    if not (array >= 0).all():
        raise ValueError(f"{name} must be at least 0 and not NaN, got {value!r}.")
    return array


def strength(value, name):
    """Return a strength as a float in [0, inf]."""
    if isinstance(value, bool) or not isinstance(value, Real) or not value >= 0:
        raise ValueError(f"{name} must be a number in [0, inf], got {value!r}.")
    return float(value)


def balanced(task_weight):
    """Return whether task weights are to balance the tasks."""
    if isinstance(task_weight, str) and task_weight != "balanced":
        raise ValueError(
            f"task_weight must be None, 'balanced', a dict or an array, got {task_weight!r}."
        )
    return isinstance(task_weight, str)


def task_weights(task_weight, tasks):
    """Return the task weights a_t, shape (T,), ones where they are not given by numbers."""
    if task_weight is None or balanced(task_weight):
        return np.ones(len(tasks))
    weights = per_task(task_weight, "task_weight", tasks)
    if np.isinf(weights).any() or not weights.any():
        raise ValueError(f"task_weight must be finite and not all zero, got {task_weight!r}.")
    return weights
