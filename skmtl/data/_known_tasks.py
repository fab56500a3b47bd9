"""Find task labels among the tasks of a fit, and join the tasks of two."""

from datetime import date, timedelta
from decimal import Decimal
from numbers import Real

import numpy as np

from skmtl._warn import listed, warn
from skmtl.data._labels import factorize, label_key, task_columns


def encode_tasks(labels, tasks, task_column):
    """Return each label's index into the distinct ``tasks``, -1 where it is unknown."""
    found, codes = factorize(labels, task_column)
    return _places(found, tasks)[codes]


def _places(labels, tasks):
    """Return the indices of distinct labels in distinct tasks, -1 where they are not in them.

    Labels are equal as in Python, never after a conversion to the dtype of the others.
    """
    if tasks.dtype != object and (labels.dtype == tasks.dtype or _are_times(labels, tasks)):
        order = None if (tasks[1:] > tasks[:-1]).all() else np.argsort(tasks)
        place = np.minimum(np.searchsorted(tasks, labels, sorter=order), len(tasks) - 1)
        place = place if order is None else order[place]
        return np.where(tasks[place] == labels, place, -1)
    index = {label_key(task): t for t, task in enumerate(tasks.tolist())}
    return np.array([index.get(label_key(label), -1) for label in labels.tolist()], dtype=np.intp)


def _are_times(first, second):
    return first.dtype.kind == second.dtype.kind and first.dtype.kind in "mM"


def merge_tasks(first, second, task_column):
    """Return the union of two arrays of distinct labels, and the indices of both in it.

    It is sorted if both are; else it is the first and what is new in the second, of several columns
    with the members of each group together.
    """
    new = second[_places(second, first) < 0]
    if first.dtype == second.dtype or _are_times(first, second):
        tasks = np.concatenate([first, new])
    else:
        tasks = np.concatenate([first.astype(object), new.astype(object)])
    tasks, place = factorize(tasks, task_column)
    if not all((np.diff(factorize(a, task_column)[1]) > 0).all() for a in (first, second)):
        tasks = tasks[place]
        if len(task_columns(task_column)) > 1:
            tasks = _grouped(tasks)
    return tasks, _places(first, tasks), _places(second, tasks)


def _grouped(tasks):
    """Return labels that are tuples with the members of each group together, else in order."""
    number, labels = {}, tasks.tolist()
    keys = [
        [number.setdefault(label[:k], len(number)) for k in range(1, len(label))]
        for label in labels
    ]
    return tasks[sorted(range(len(labels)), key=keys.__getitem__)]


def unknown_tasks_message(unknown, tasks, remedies):
    """Return the message about distinct labels in predict that were not in fit."""
    unknown, mismatch = unknown.tolist(), other_types(unknown, tasks)
    return (
        f"predict got {'task' if len(unknown) == 1 else 'tasks'} {listed(unknown)}, not seen in "
        f"fit ({len(tasks)} {'task' if len(tasks) == 1 else 'tasks'}: {listed(tasks.tolist())}). "
        f"{mismatch}{' Else use' if mismatch else 'Use'} {' or '.join(remedies)}; in "
        "cross-validation, use TaskKFold, which keeps every task in every training fold."
    )


def other_types(new, tasks):
    """Return the message if distinct labels have another type than that of all tasks, else ""."""
    found = _first_of_types(new)
    if found.keys() <= _first_of_types(tasks[:1]).keys():  # most often: do not read all tasks
        return ""
    known = _first_of_types(tasks)
    if len(known) > 1 or found.keys() <= known.keys():  # several types are intended
        return ""
    strange = next(kind for kind in found if kind not in known)
    here, there = (
        f"{kind}, such as {label!r}" for kind, label in ((strange, found[strange]), *known.items())
    )
    return (
        f"New task labels are {here}, those of known tasks {there}, and labels of different types "
        "are never equal. Convert them to one type; pandas.read_csv reads '001' as 1, unless its "
        "dtype is str."
    )


def warn_of_other_types(labels, tasks):
    """Warn if distinct labels, which will be tasks too, have another type than all tasks."""
    if message := other_types(labels, tasks):
        warn(message)


def _first_of_types(labels):
    """Return the first label of each type, a dict from the name of the type."""
    labels = (labels if labels.dtype == object else labels[:1]).tolist()[::-1]
    first = {type(label): label for label in labels}  # much faster than names of all labels
    if tuple in first:
        first = {
            tuple(map(type, label)) if isinstance(label, tuple) else type(label): label
            for label in labels
        }
    return {_type_of(label): label for label in first.values()}


def _type_of(label):
    """Return the name of the type of a label, the same for labels that can be equal."""
    if isinstance(label, tuple):
        return f"({', '.join(map(_type_of, label))})"
    kinds = {
        "strings": str,
        "numbers": Real | Decimal,
        "dates or times": date | np.datetime64,
        "time spans": timedelta | np.timedelta64,
    }
    name = next((name for name, kind in kinds.items() if isinstance(label, kind)), None)
    return name or f"of type {type(label).__name__}"
