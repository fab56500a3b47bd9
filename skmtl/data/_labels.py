"""Split off, factorize and encode task labels."""

import math
from numbers import Integral, Real

import narwhals.stable.v2 as nw
import numpy as np
from sklearn.utils import check_array

from skmtl._warn import did_you_mean, listed

_SELECTORS = (
    "A feature selector or an ensemble that leaves out features, around the estimator, loses or "
    "moves the column: use make_task_pipeline(selector, estimator)."
)
_SWALLOWED = (
    "The task column {column!r} holds {value!r}: task labels cannot be floats with a fraction. "
    "A scaler, PCA or another transformer has probably changed the task column. Exclude it from "
    "the transformation: use make_task_pipeline(StandardScaler(), estimator), or a "
    "ColumnTransformer that passes the column through. " + _SELECTORS
)


def split_task_column(X, task_column):
    """Return the task labels (n,) and the features: X without the column, of the type of X.

    X is a dataframe that narwhals reads or an array, of which features are a view where possible;
    ``task_column`` a name or a position (negative counts from the end).
    """
    if isinstance(task_column, bool) or not isinstance(task_column, Integral | str):
        raise TypeError(
            f"task_column must be a column name or an integer position, got {task_column!r} "
            f"({type(task_column).__name__})."
        )
    if nw.dependencies.is_into_dataframe(X):
        frame = nw.from_native(X, eager_only=True)
        j = _position(task_column, len(frame.columns), frame.columns)
        labels = frame[:, j]
        if labels.is_null().any():
            raise ValueError(_missing(task_column))
        others = [k for k in range(len(frame.columns)) if k != j]
        return labels.to_numpy(), frame[:, others].to_native()
    X = check_array(X, dtype=None, ensure_all_finite=False, ensure_min_samples=0)
    j = _position(task_column, X.shape[1])
    labels = np.ascontiguousarray(X[:, j])
    if j == 0:
        return labels, X[:, 1:]
    if j == X.shape[1] - 1:
        return labels, X[:, :j]
    return labels, np.delete(X, j, axis=1)


def _position(task_column, n_columns, names=None):
    """Return the position of the task column; only dataframes have ``names``."""
    if not isinstance(task_column, str):
        if -n_columns <= task_column < n_columns:
            return task_column % n_columns
        raise ValueError(
            f"task_column={task_column} is out of range: X has {n_columns} columns, including the "
            f"task column. {_SELECTORS}"
        )
    if names is None:
        raise ValueError(
            f"task_column={task_column!r} is a name, and X is an array without column names. "
            "Pass a dataframe, or the integer position of the task column. In a Pipeline, "
            'transformers keep the names after set_output(transform="pandas"); selectors, bagging '
            "and boosting around the estimator pass arrays on."
        )
    if task_column not in names:
        raise ValueError(
            f"task_column={task_column!r} is not a column of X."
            f"{did_you_mean(task_column, names)} X has the columns {listed(names)}."
        )
    return names.index(task_column)


def _missing(task_column):
    return (
        f"The task column {task_column!r} has missing labels (None, NaN or infinite). Every row "
        "needs a task: drop these rows, or label them as a separate task."
    )


def factorize(labels, task_column):
    """Return the sorted distinct labels and each row's index into them.

    Whole numbers of any type become integers; other labels stay objects.
    """
    if labels.dtype.kind in "iufb":
        values = _whole_numbers(labels, task_column)
        low, high = values.min(), values.max()
        if int(high) - int(low) <= 4 * values.size + 1000:
            table = np.zeros(int(high) - int(low) + 1, dtype=bool)
            offset = values - low
            table[offset] = True
            tasks = np.flatnonzero(table).astype(values.dtype) + low
            return tasks, (np.cumsum(table) - 1)[offset]
        return np.unique(values, return_inverse=True)
    if labels.dtype.kind in "mM":
        return np.unique(_instants(labels, task_column), return_inverse=True)
    return _factorize_objects(labels, task_column)


def _factorize_objects(labels, task_column):
    """Factorize labels that are Python objects."""
    seen = {}
    try:
        codes = np.fromiter(
            (seen.setdefault(label, len(seen)) for label in labels.tolist()), np.intp, labels.size
        )
    except TypeError as error:
        raise TypeError(
            f"The task column {task_column!r} holds labels that cannot be hashed ({error}). Use "
            "numbers, strings or tuples."
        ) from None
    for label in seen:
        if _is_missing(label):
            raise ValueError(_missing(task_column))
        if isinstance(label, Real) and label % 1 != 0:
            raise ValueError(_SWALLOWED.format(column=task_column, value=label))
    tasks = np.empty(len(seen), dtype=object)
    tasks[:] = list(seen)
    if all(isinstance(label, Real) for label in seen):
        tasks = _integers(seen)
    try:
        order = sorted(range(len(seen)), key=tasks.__getitem__)
    except TypeError:  # labels of several types have no common order
        order = sorted(range(len(seen)), key=lambda i: (type(tasks[i]).__name__, repr(tasks[i])))
    return tasks[order], np.argsort(order)[codes]


def _instants(labels, task_column):
    """Convert dates or time spans to microseconds, the resolution of Python's own types."""
    if np.isnat(labels).any():
        raise ValueError(_missing(task_column))
    instants = labels.astype(f"{labels.dtype.kind}8[us]")
    if (instants != labels).any():
        raise ValueError(
            f"The task column {task_column!r} holds times finer than a microsecond. Use integers "
            "or strings as labels."
        )
    return instants


def _is_missing(label):
    """Return whether a label is None, NaN, NaT, pandas' NA or infinite."""
    if label is None or (isinstance(label, Real) and abs(label) == math.inf):
        return True
    try:
        return bool(label != label)
    except TypeError:  # pandas.NA has no truth value
        return True


def _integers(labels):
    """Convert whole numbers of any type to an integer array, of objects if too large."""
    labels = [int(label) for label in labels]
    for dtype in (np.int64, np.uint64):
        if np.iinfo(dtype).min <= min(labels) and max(labels) <= np.iinfo(dtype).max:
            return np.array(labels, dtype=dtype)
    return np.array(labels, dtype=object)


def _whole_numbers(labels, task_column):
    """Convert numeric labels to integers; raise on fractions and missing values."""
    if labels.dtype.kind in "iub":
        return labels if labels.dtype == np.uint64 else labels.astype(np.int64)
    if not np.isfinite(labels).all():
        raise ValueError(_missing(task_column))
    if max(labels.max(), -labels.min()) >= 2.0**63:
        raise ValueError(
            f"The task column {task_column!r} holds {float(labels.max())!r}, a float too large to "
            "distinguish labels. Use integers or strings."
        )
    values = labels.astype(np.int64)
    wrong = values != labels
    if wrong.any():
        raise ValueError(
            _SWALLOWED.format(column=task_column, value=float(labels[np.argmax(wrong)]))
        )
    return values


def encode_tasks(labels, tasks, task_column):
    """Return each label's index into the sorted ``tasks``, -1 where it is unknown."""
    found, codes = factorize(labels, task_column)
    if found.dtype == tasks.dtype != object:
        place = np.minimum(np.searchsorted(tasks, found), len(tasks) - 1)
        return np.where(tasks[place] == found, place, -1)[codes]
    index = {task: t for t, task in enumerate(tasks.tolist())}
    return np.array([index.get(label, -1) for label in found.tolist()], dtype=np.intp)[codes]


def merge_tasks(first, second, task_column):
    """Return the sorted union of two arrays of distinct labels, and the order that sorts them."""
    if first.dtype == second.dtype:
        merged = np.concatenate([first, second])
    else:
        merged = np.empty(len(first) + len(second), dtype=object)
        merged[:] = first.tolist() + second.tolist()
    tasks, place = factorize(merged, task_column)
    return tasks, np.argsort(place)


def unknown_tasks_message(labels, codes, tasks, remedies):
    """Return the message about labels in predict that were not in fit."""
    unknown = factorize(labels[codes < 0], None)[0].tolist()
    return (
        f"predict got {'task' if len(unknown) == 1 else 'tasks'} {listed(unknown)}, not seen in "
        f"fit ({len(tasks)} {'task' if len(tasks) == 1 else 'tasks'}: {listed(tasks.tolist())}). "
        f"Use {' or '.join(remedies)}; in cross-validation, use TaskKFold, which keeps every task "
        "in every training fold."
    )
