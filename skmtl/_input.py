"""What users pass, read into arrays: every message about input lives here.

Two layouts of data enter (see ``docs/data.md``): the long form, where one column of X holds each
row's task label, and the wide form, where y has one column per task on a shared X.
"""

from numbers import Integral, Real

import narwhals.stable.v2 as nw
import numpy as np
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils.validation import validate_data

_SWALLOWED = (
    "The task column {column!r} holds {value!r}: task labels cannot be floats with a fraction. "
    "It looks as though a scaler, PCA or another transformer has changed the task column. Keep "
    "it out of the transformation: make_task_pipeline(StandardScaler(), estimator) does, and so "
    "does a ColumnTransformer that passes the column through."
)


def split_task_column(X, task_column):
    """Split X into its task labels, shape (n,), and the remaining columns.

    Parameters
    ----------
    X : dataframe or array-like of shape (n, d + 1)
        pandas, polars (anything narwhals reads) or an array.
    task_column : str or int
        Name of a column, or its position (negative counts from the end).

    Returns
    -------
    labels : ndarray of shape (n,)
    features : X without the column, of the same kind; a view of an array where it can be.
    """
    if isinstance(task_column, bool) or not isinstance(task_column, Integral | str):
        raise TypeError(
            f"task_column must be a column name or an integer position, got {task_column!r} "
            f"({type(task_column).__name__})."
        )
    if nw.dependencies.is_into_dataframe(X):
        frame = nw.from_native(X, eager_only=True)
        if isinstance(task_column, str):
            if task_column not in frame.columns:
                raise ValueError(
                    f"task_column={task_column!r} is not a column of X. "
                    f"X has the columns {_listed(frame.columns)}."
                )
            j = frame.columns.index(task_column)
        else:
            j = _position(task_column, len(frame.columns))
        labels = frame[:, j]
        if labels.is_null().any():
            raise ValueError(_missing(task_column))
        others = [k for k in range(len(frame.columns)) if k != j]
        return labels.to_numpy(), frame[:, others].to_native()
    X = check_array(X, dtype=None, ensure_all_finite=False, ensure_min_samples=0)
    if isinstance(task_column, str):
        raise ValueError(
            f"task_column={task_column!r} is a name, and X is an array without column names. "
            "Pass a dataframe, or the integer position of the task column."
        )
    j = _position(task_column, X.shape[1])
    labels = np.ascontiguousarray(X[:, j])
    if j == 0:
        return labels, X[:, 1:]
    if j == X.shape[1] - 1:
        return labels, X[:, :j]
    return labels, np.delete(X, j, axis=1)


def _position(task_column, n_columns):
    if not -n_columns <= task_column < n_columns:
        raise ValueError(
            f"task_column={task_column} is out of range: X has {n_columns} columns, the task "
            "column counted."
        )
    return task_column % n_columns


def _missing(task_column):
    return (
        f"The task column {task_column!r} has missing labels (None, NaN or infinite). Every row "
        "needs a task: drop these rows, or give them a label of their own."
    )


def factorize(labels, task_column):
    """Return the sorted distinct labels and each row's index into them.

    Whole numbers come out as integers whatever their type was; other labels stay objects.
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
        if np.isnat(labels).any():
            raise ValueError(_missing(task_column))
        return np.unique(labels, return_inverse=True)
    return _factorize_objects(labels, task_column)


def _factorize_objects(labels, task_column):
    """Do the work of ``factorize`` for labels that are Python objects."""
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
    rank = np.empty(len(seen), dtype=np.intp)
    rank[order] = np.arange(len(seen))
    return tasks[order], rank[codes]


def _is_missing(label):
    """Return whether a label is None, NaN, NaT or pandas' NA, which equal nothing."""
    if label is None:
        return True
    try:
        return bool(label != label)
    except TypeError:  # pandas.NA does not say
        return True


def _integers(labels):
    """Return whole numbers of any type as an integer array, of objects if they are too large."""
    labels = [int(label) for label in labels]
    for dtype in (np.int64, np.uint64):
        if np.iinfo(dtype).min <= min(labels) and max(labels) <= np.iinfo(dtype).max:
            return np.array(labels, dtype=dtype)
    return np.array(labels, dtype=object)


def _whole_numbers(labels, task_column):
    """Return numeric labels as integers; refuse fractions and missing values."""
    if labels.dtype.kind in "iub":
        return labels if labels.dtype == np.uint64 else labels.astype(np.int64)
    if not np.isfinite(labels).all():
        raise ValueError(_missing(task_column))
    if max(labels.max(), -labels.min()) >= 2.0**63:
        raise ValueError(
            f"The task column {task_column!r} holds {float(labels.max())!r}, too large a "
            "float to tell labels apart. Use integers or strings."
        )
    values = labels.astype(np.int64)
    wrong = values != labels
    if wrong.any():
        raise ValueError(
            _SWALLOWED.format(column=task_column, value=float(labels[np.argmax(wrong)]))
        )
    return values


def encode(labels, tasks, task_column):
    """Return each label's index into the sorted ``tasks``, -1 where it is unknown."""
    values = labels
    if labels.dtype.kind in "iufb" and tasks.dtype.kind in "iu":
        values = _whole_numbers(labels, task_column)
    elif labels.dtype.kind == tasks.dtype.kind == "M":
        values = labels.astype(tasks.dtype)
    if values.dtype == tasks.dtype != object:
        codes = np.minimum(np.searchsorted(tasks, values), len(tasks) - 1)
        return np.where(tasks[codes] == values, codes, -1)
    index = {task: t for t, task in enumerate(tasks.tolist())}
    found, codes = factorize(labels, task_column)
    known = np.array([index.get(label, -1) for label in found.tolist()], dtype=np.intp)
    return known[codes]


def unknown_tasks(labels, codes, tasks):
    """Return the message about labels that predict got and fit did not see."""
    unknown = factorize(labels[codes < 0], None)[0]
    noun = "task" if len(unknown) == 1 else "tasks"
    return (
        f"predict got {noun} {_listed(unknown.tolist())}, not seen in fit "
        f"({len(tasks)} tasks: {_listed(tasks.tolist())}). "
        "Use handle_unknown='shared' to predict them by the shared model where there is one, "
        "adapt() to add them, or, in cross-validation, TaskKFold, which keeps every task of two "
        "rows or more in every training fold (tasks of one row need handle_unknown='shared')."
    )


def _listed(items, most=5):
    names = ", ".join(repr(item) for item in items[:most])
    return names + (f", ... ({len(items) - most} more)" if len(items) > most else "")


def read_X(estimator, X, *, reset):
    """Return the features (n, d), float64, and the task labels (n,) or None.

    Sets or checks ``n_features_in_`` and ``feature_names_in_``, which count the task column.
    """
    column = estimator.task_column
    if column is None:
        return validate_data(estimator, X, dtype=np.float64, reset=reset), None
    if not hasattr(X, "shape"):
        X = check_array(X, dtype=None, ensure_all_finite=False)
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    labels, features = split_task_column(X, column)
    # A sum over all of X is several times as fast as one over a part of its columns.
    with np.errstate(over="ignore", invalid="ignore"):
        finite = getattr(X, "dtype", None) == np.float64 and np.isfinite(X.sum())
    features = check_array(
        features,
        dtype=np.float64,
        ensure_all_finite=not finite,
        estimator=estimator,
        input_name="X",
    )
    return features, labels


def read_target(estimator, y, X, *, wide):
    """Return y as float64, (n,) or, in the wide form, (n, T) with NaN for the unobserved."""
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target "
            "y is None."
        )
    if not hasattr(y, "ndim"):  # lists, polars
        y = np.asarray(y)
    if not wide and y.ndim == 2:
        y = column_or_1d(y, warn=True)
    many = y.ndim == 2
    y = check_array(
        y,
        dtype=np.float64,
        ensure_2d=False,
        ensure_all_finite="allow-nan" if many else True,
        input_name="y",
        estimator=estimator,
    )
    check_consistent_length(X, y)
    return y


def check_observed(counts):
    """Refuse tasks of the wide form that have no label, given the labels of each task."""
    empty = np.flatnonzero(counts == 0).tolist()
    if empty:
        raise ValueError(
            f"y has no observed label (of positive weight) in column {_listed(empty)}: these "
            "tasks cannot be fitted. Drop the columns."
        )


def read_sample_weight(sample_weight, X):
    """Return the sample weights, shape (n,), float64, not negative and not all zero."""
    n = X.shape[0]
    if sample_weight is None:
        return np.ones(n)
    if isinstance(sample_weight, Real):
        sample_weight = np.full(n, float(sample_weight))
    weight = check_array(
        sample_weight, dtype=np.float64, ensure_2d=False, input_name="sample_weight"
    )
    if weight.shape != (n,):
        raise ValueError(
            f"sample_weight.shape == {weight.shape}, expected {(n,)}: one weight per row of X."
        )
    if weight.min() < 0:
        raise ValueError("Negative values in sample_weight: weights must be at least 0.")
    if not weight.any():
        raise ValueError("All sample weights are zero: there is nothing to fit.")
    return weight


def per_task(value, name, tasks):
    """Return a strength or weight as an array of shape (T,), in the order of ``tasks``.

    ``value`` is one number for all tasks, an array of shape (T,) or a dict from label to number,
    which may name tasks that are not there (a fold of cross-validation lacks some).
    """
    if isinstance(value, dict):
        missing = [task for task in tasks.tolist() if task not in value]
        if missing:
            raise ValueError(
                f"{name} is a dict without the tasks {_listed(missing)}. Give every task a value."
            )
        value = [value[task] for task in tasks.tolist()]
    try:
        if isinstance(value, bool):
            raise TypeError
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must be a number, an array of numbers or a dict from task label to number, "
            f"got {value!r}."
        ) from None
    if array.ndim == 0:
        array = np.full(len(tasks), float(array))
    elif array.shape != (len(tasks),):
        raise ValueError(
            f"{name} has shape {array.shape}, but there are {len(tasks)} tasks "
            f"({_listed(tasks.tolist())}). Pass one number, one per task in this order, or a dict "
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


def task_weights(task_weight, tasks, totals, mean_total):
    """Return the task weights a_t, shape (T,), given the weight of each task's rows.

    "balanced" is ``mean_total`` over them: N / (T n_t) if that is N / T.
    """
    if task_weight is None:
        return np.ones(len(tasks))
    if isinstance(task_weight, str):
        if task_weight != "balanced":
            raise ValueError(
                f"task_weight must be None, 'balanced', a dict or an array, got {task_weight!r}."
            )
        return mean_total / totals
    weights = per_task(task_weight, "task_weight", tasks)
    if np.isinf(weights).any() or not weights.any():
        raise ValueError(f"task_weight must be finite and not all zero, got {task_weight!r}.")
    return weights
