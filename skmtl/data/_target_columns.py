"""Targets of one column of y: numbers, classes and what is missing."""

from decimal import Decimal
from numbers import Integral, Real
from typing import NamedTuple

import narwhals.stable.v2 as nw
import numpy as np
from scipy.sparse import issparse

from skmtl._warn import listed
from skmtl.data._arrays import NamedTargets
from skmtl.data._labels import column_names, is_missing, read_names


class Values(NamedTuple):
    """Targets of one column of y.

    Attributes
    ----------
    entries : ndarray of shape (n,)
        Numbers, float64 or int, or objects of Python.
    missing : ndarray of shape (n,)
        Whether an entry is None, NaN, NaT or NA.
    category : bool
        Whether they are of a type whose values are classes.
    """

    entries: np.ndarray
    missing: np.ndarray
    category: bool = False

    def take(self, rows):
        """Return the targets of some rows, an index array."""
        return self._replace(entries=self.entries[rows], missing=self.missing[rows])


def columns_of(y, *, wide):
    """Return the `Values` of each column of y, a list, and the names of the columns or None."""
    if issparse(y):
        raise TypeError("y is sparse, and has to be dense. Pass y.toarray().")
    names = column_names(y) if wide else None
    if names is not None:
        read_names(names, len(names))  # raises if they are not different
    if isinstance(y, NamedTargets):
        y = y.values
    if nw.dependencies.is_into_dataframe(y):
        frame = nw.from_native(y, eager_only=True)
        columns = [_of_series(frame[:, j]) for j in range(frame.shape[1])]
        y = frame
    elif nw.dependencies.is_into_series(y):
        y = nw.from_native(y, series_only=True)
        columns = [_of_series(y)]
    else:
        if not isinstance(y, np.ndarray):
            y = np.array(y, dtype=object)  # else numbers beside strings would become strings
        columns = [_of_array(own) for own in (y.T if y.ndim == 2 else [y])]
    n_dims = len(y.shape)
    if wide and n_dims != 2:
        remedy = "to_frame()" if isinstance(y, nw.Series) else "reshape(-1, 1)"
        raise ValueError(
            f"y has {n_dims} dimension{'s' * (n_dims != 1)}, and without task_column it needs a "
            "column for each task: pass y as a dataframe or an array of shape (n_samples, "
            f"n_tasks), of a single task by y.{remedy}. For a column of task labels in X, "
            "set task_column."
        )
    if not wide and len(columns) != 1:
        raise ValueError(
            f"y has shape {tuple(y.shape)}, and with task_column it needs one target for each row "
            "of X. Leave task_column out if each column of y is a task."
        )
    return columns, names


def check_columns(name, names, owner, expected):
    """Raise if the names of columns are not the expected ones, in their order.

    Columns without names (None, or 0 to T - 1), in either, count by position, as does a single one.
    """
    if names is None or expected is None or names == expected:
        return
    numbers, alone = list(range(len(expected))), 1 in (len(names), len(expected))
    by_position = alone or numbers in (names, expected)
    if set(names) == set(expected) or not by_position:
        raise ValueError(
            f"{name} has the columns {listed(names)}, and {owner} {listed(expected)}. Pass them in "
            f"this order, or pass {name} as an array."
        )


def _of_series(series):
    """Return the `Values` of a Series of narwhals."""
    kind, missing = series.dtype, series.is_null().to_numpy().astype(bool)
    if kind.is_numeric() and not missing.any():
        return _of_array(series.to_numpy())
    values = _of_array(_objects(series.to_list()))
    category = isinstance(kind, nw.Categorical | nw.Enum)
    return values._replace(missing=values.missing | missing, category=category)


def _of_array(values):
    """Return the `Values` of an array (n,)."""
    if values.dtype.kind == "f":
        return Values(values.astype(np.float64), np.isnan(values))
    if values.dtype.kind in "iu":
        return Values(values, np.zeros(len(values), dtype=bool))
    if values.dtype.kind in "bU" or set(map(type, values.tolist())) <= {str, bool, int}:
        return Values(values.astype(object), np.zeros(len(values), dtype=bool))
    entries = [v.item() if isinstance(v, np.generic) else v for v in values.tolist()]
    missing = np.array([is_missing(value) for value in entries], dtype=bool)
    return Values(_objects(entries), missing)


def _objects(values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def class_numbers(y, *, wide):
    """Return the number of the class of each target, (n,) or (n, T) float64, NaN where missing.

    Numbers beside classes are not classes, and have the number 0; numbers alone are their own.
    """
    columns, _ = columns_of(y, wide=wide)
    with_class = [~(_are_numbers(values) | values.missing) for values in columns]
    numbers_alone = not any(own.any() for own in with_class)
    labels = [v.entries[own].tolist() for v, own in zip(columns, with_class, strict=True)]
    number = {label: k for k, label in enumerate(in_order(set().union(*labels)), start=1)}
    result = np.zeros((len(columns[0].entries), len(columns)))
    for column, values, own, of in zip(result.T, columns, with_class, labels, strict=True):
        if numbers_alone:
            column[~values.missing] = values.entries[~values.missing].astype(np.float64)
        column[own] = np.fromiter(map(number.__getitem__, of), float, len(of))
        column[values.missing] = np.nan
    return result if wide else result[:, 0]


def _are_numbers(values):
    """Return which entries are numbers to predict, (n,)."""
    entries = values.entries
    if values.category or entries.dtype != object:
        return np.full(len(entries), not values.category)
    kinds = list(map(type, entries.tolist()))
    number = {k: issubclass(k, Real | Decimal) and not issubclass(k, bool) for k in set(kinds)}
    if len(set(number.values())) == 1:
        return np.full(len(kinds), *set(number.values()))
    return np.fromiter(map(number.__getitem__, kinds), bool, len(kinds))


def in_order(labels):
    """Return labels as a sorted list; those of several types by the names of these first."""
    try:
        return sorted(labels)
    except TypeError:
        return sorted(labels, key=lambda label: (type(label).__name__, repr(label)))


def type_of(task, values):
    """Return whether entries are "numbers", "booleans", "strings" or "categories"."""
    entries = values.entries
    if values.category:
        return "categories"
    if entries.dtype != object:
        return "numbers"
    # bool is a Real too, so that it comes first
    types = {"booleans": bool, "numbers": Real | Decimal, "strings": str}
    names = {}
    for own, value in {type(value): value for value in entries.tolist()[::-1]}.items():
        name = next((name for name, kind in types.items() if issubclass(own, kind)), None)
        if name is None:
            raise ValueError(
                f"Task {task!r} has the target {value!r} ({own.__name__}). Targets are numbers, or "
                "classes: strings, booleans or categories. Convert the others, for example to "
                "strings."
            )
        names[name] = value
    if len(names) > 1:
        pairs = " and ".join(f"{name} ({value!r})" for name, value in sorted(names.items()))
        raise ValueError(
            f"Task {task!r} mixes {pairs}. The targets of a task are all numbers, or all classes "
            "of one type: convert them."
        )
    return next(iter(names), "numbers")


def numbers_of(task, values, kind):
    """Return the targets of a task with a number to predict, (n,) float64, none of them missing."""
    found = type_of(task, values)
    if found in ("strings", "categories"):
        raise ValueError(
            f"Task {task!r} is {kind!r}, and y has {found}, such as "
            f"{values.entries.tolist()[0]!r}. Convert them to numbers, or fit classes: leave the "
            "task out of losses."
        )
    y = values.entries.astype(np.float64)
    if not np.isfinite(y).all():
        strange = y[~np.isfinite(y)][0]
        raise ValueError(f"Task {task!r} has the target {strange}, which must be finite.")
    if kind == "poisson" and (y < 0).any():
        raise ValueError(
            f"Task {task!r} is 'poisson', and y has the negative target {y.min():g}. Counts are at "
            "least 0."
        )
    return y


def refuse_strings_of_numbers(task, values):
    """Raise if all strings are numbers and some have a fraction: they are hardly classes."""
    labels = list(dict.fromkeys(values.entries.tolist()))
    try:
        strange = [label for label in labels if float(label) % 1 != 0]
    except ValueError:
        return
    if strange:
        raise ValueError(
            f"The {len(labels)} classes of task {task!r} are strings of numbers, such as "
            f"{strange[0]!r}. In an array of strings numbers become strings: pass a dataframe, or "
            f"an array of dtype=object. If they are classes, name a loss in losses[{task!r}]."
        )


def labels_of(task, values, classes):
    """Return the targets of a task with these classes, (n,), none of them missing."""
    given = values.entries[:1].tolist()
    if given and isinstance(given[0], str) != isinstance(classes.tolist()[0], str):
        raise ValueError(
            f"Task {task!r} has the classes {listed(classes.tolist())}, and y has targets such as "
            f"{given[0]!r} ({type(given[0]).__name__}). Pass labels as in fit."
        )
    return values.entries


def classes_of(task, values, found):
    """Return the sorted classes of a task, (K,), and the index of each target."""
    if found == "numbers":
        numbers = values.entries.astype(np.float64)
        if (numbers % 1 != 0).any():  # also of inf and of nan
            strange = numbers[numbers % 1 != 0][0]
            raise ValueError(
                f"Task {task!r} has classes by its losses, and the target {strange:g}. Classes "
                "that are numbers are whole: use 'squared' or 'poisson', or convert them."
            )
        kept = all(isinstance(value, Integral) for value in values.entries[:1].tolist())
        return np.unique(numbers.astype(np.int64) if kept else numbers, return_inverse=True)
    entries = values.entries.tolist()
    classes = in_order(set(entries))
    number = {label: k for k, label in enumerate(classes)}
    array = np.array(classes) if found == "booleans" else _objects(classes)
    if found == "categories" and all(type(label) is int for label in classes):
        array = np.array(classes)
    return array, np.array([number[entry] for entry in entries], dtype=np.intp)
