"""Split off, factorize and encode task labels."""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from numbers import Integral, Real

import narwhals.stable.v2 as nw
import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_array

from skmtl._warn import did_you_mean, listed
from skmtl.data._frames import distinct_text, is_text
from skmtl.data._sparse import split_column

_SELECTORS = (
    "A feature selector or an ensemble that leaves out features, around the estimator, loses or "
    "moves the column: use make_task_pipeline(selector, estimator)."
)
_DROPPED = (
    " A ColumnTransformer drops columns that it does not name: use make_task_pipeline(transformer, "
    "estimator), or set its remainder='passthrough' and verbose_feature_names_out=False."
)
_SWALLOWED = (
    "The task column {column!r} holds {value!r}: task labels cannot be floats with a fraction. "
    "A scaler, PCA or another transformer has probably changed the task column. Exclude it from "
    "the transformation: use make_task_pipeline(StandardScaler(), estimator), or a "
    "ColumnTransformer that passes the column through. " + _SELECTORS
)


@dataclass(frozen=True)
class Labels:
    """Labels of n rows as indices into distinct ones.

    Parameters
    ----------
    distinct : ndarray of shape (K,), of which rows may have some only
    codes : ndarray of shape (n,), indices into ``distinct``
    read : bool
        Whether the distinct labels are already what ``factorize`` makes of them.
    ordered : bool
        Whether ``distinct`` is the order of the tasks; else they are sorted.
    """

    distinct: np.ndarray
    codes: np.ndarray
    read: bool = False
    ordered: bool = True

    def __getitem__(self, rows):
        return replace(self, codes=self.codes[rows])

    def __len__(self):
        return len(self.codes)


class LabeledFeatures:
    """Features (n, d) with the task labels beside them, as X of an estimator.

    ``names`` are those of the features, by default those of the columns of a dataframe, or None.
    The labels are those of ``n_columns`` columns.
    """

    def __init__(self, features, labels, names=None, n_columns=1):
        self.features, self.labels, self._n_columns = features, labels, n_columns
        self.names = column_names(features) if names is None else names
        self.shape, self.ndim = (features.shape[0], features.shape[1] + n_columns), 2

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        parts = self.features[rows], self.labels[rows], self.names, self._n_columns
        return LabeledFeatures(*parts)


def split_task_column(X, task_column):
    """Return the task labels of n rows and the features: X without the column, of the type of X.

    Labels are an ndarray (n,) or ``Labels``. X is a dataframe that narwhals reads or an array, of
    which features are a view where possible; ``task_column`` a name or a position (negative counts
    from the end). Of several columns, a list, the labels are tuples, sorted by column.
    """
    columns = task_columns(task_column)
    if isinstance(X, LabeledFeatures):
        return X.labels, X.features
    if not isinstance(X, np.ndarray) and nw.dependencies.is_into_dataframe(X):
        frame = nw.from_native(X, eager_only=True)
        places = _positions(columns, len(frame.columns), frame.columns)
        others = [k for k in range(len(frame.columns)) if k not in places]
        labels = [_of_series(frame[:, j], own) for j, own in zip(places, columns, strict=True)]
        return _joined(labels, columns), frame[:, others].to_native()
    if not is_float_array(X, 2):
        X = check_array(
            X,
            accept_sparse=["csr", "csc", "coo"],
            dtype=None,
            ensure_all_finite=False,
            ensure_min_samples=0,
        )
    places = _positions(columns, X.shape[1])
    if issparse(X):
        labels = dict.fromkeys(places)
        for j in sorted(places, reverse=True):
            labels[j], X = split_column(X, j)
        for own, column in zip(labels.values(), columns, strict=True):
            large = own[np.isfinite(own) & (np.abs(own) >= 2.0**53)]
            if large.size:
                raise ValueError(_too_large(column, float(large[0])))
        return _joined(list(labels.values()), columns), X
    labels = _joined([np.ascontiguousarray(X[:, j]) for j in places], columns)
    first, last = min(places), max(places) + 1
    if last - first == len(places) and (first == 0 or last == X.shape[1]):
        return labels, X[:, last:] if first == 0 else X[:, :first]
    return labels, np.delete(X, places, axis=1)


def is_float_array(values, *ndim):
    """Return whether values are a plain array of float64 of some dimensions, and not empty.

    All that is left to check then is that they are finite: other checks take longer than some fits.
    """
    plain = type(values) is np.ndarray and values.dtype == np.float64
    return plain and values.ndim in ndim and values.size > 0


def task_columns(task_column):
    """Return the names or positions of the columns of task labels, a list; none of None."""
    if task_column is None:
        return []
    columns = list(task_column) if isinstance(task_column, list | tuple) else [task_column]
    for column in columns:
        if isinstance(column, bool) or not isinstance(column, Integral | str):
            raise TypeError(
                "task_column must be a column name or an integer position, or a list of these from "
                f"the outermost to the innermost, got {task_column!r} ({type(column).__name__})."
            )
    if not columns:
        raise ValueError(
            f"task_column={task_column!r} is empty: name at least one column of task labels, or "
            "set it to None where each column of y is a task."
        )
    return [column if isinstance(column, str) else int(column) for column in columns]


def _joined(labels, columns):
    """Return the labels of several columns as ``Labels`` of tuples, sorted by column."""
    if len(columns) == 1:
        return labels[0]
    codes, distinct = np.zeros(len(labels[0]), dtype=np.intp), [()]
    for own, column in zip(labels, columns, strict=True):
        if not len(own):
            return np.empty(0, dtype=object)
        tasks, place = factorize(own, column)
        pairs, codes = distinct_integers(codes * len(tasks) + place)
        tasks, outer, inner = tasks.tolist(), pairs // len(tasks), pairs % len(tasks)
        distinct = [
            (*distinct[k], _plain(tasks[j]))
            for k, j in zip(outer.tolist(), inner.tolist(), strict=True)
        ]
    return Labels(_objects(distinct), codes, read=True)


def _positions(columns, n_columns, names=None):
    """Return the positions of the task columns, a list; only dataframes have ``names``."""
    places = [_position(column, n_columns, names) for column in columns]
    if len(set(places)) < len(places):
        raise ValueError(
            f"task_column={columns!r} has the same column of X twice. Name each column of labels "
            "once, from the outermost to the innermost."
        )
    return places


def _position(task_column, n_columns, names=None):
    """Return the position of the task column; only dataframes have ``names``."""
    if not isinstance(task_column, str):
        if -n_columns <= task_column < n_columns:
            return int(task_column) % n_columns
        raise ValueError(
            f"task_column={task_column} is out of range: X has {n_columns} columns, including the "
            f"task column. {_SELECTORS}"
        )
    if names is None:
        raise ValueError(
            f"task_column={task_column!r} is a name, and X is an array without column names. "
            "Behind transformers, use make_task_pipeline(transformer, estimator); they keep names "
            'also after set_output(transform="pandas"). Else pass a dataframe, or the integer '
            "position of the task column. Selectors, bagging and boosting around the estimator "
            "pass arrays on."
        )
    if task_column not in names:
        alike = did_you_mean(task_column, names)
        raise ValueError(
            f"task_column={task_column!r} is not a column of X.{alike} X has the columns "
            f"{listed(names)}.{'' if alike else _DROPPED}"
        )
    return names.index(task_column)


def read_task_labels(tasks):
    """Return labels that are given apart from X, as of ``split_task_column``."""
    if isinstance(tasks, Labels):
        return tasks
    if nw.dependencies.is_into_series(tasks):
        return _of_series(nw.from_native(tasks, series_only=True), "tasks")
    if getattr(tasks, "ordered", False):  # a pandas Categorical or its index
        if (tasks.codes < 0).any():
            raise ValueError(_missing("tasks"))
        return Labels(_objects(tasks.categories.tolist()), tasks.codes)
    if nw.dependencies.is_into_dataframe(tasks):
        frame = nw.from_native(tasks, eager_only=True)
        return _joined([_of_series(frame[name], name) for name in frame.columns], frame.columns)
    if isinstance(tasks, list | tuple) and len(tasks) and isinstance(tasks[0], tuple):
        return _objects(tasks)
    tasks = np.asarray(tasks)
    if tasks.ndim != 2:
        return tasks
    return _joined(list(map(np.ascontiguousarray, tasks.T)), list(range(tasks.shape[1])))


def column_names(y):
    """Return the names of the columns of a dataframe, a list, or None."""
    names = getattr(y, "column_names", getattr(y, "columns", None))  # the first of pyarrow
    return None if names is None else list(names)


def feature_names(X, task_column):
    """Return the names of the features of X, without the task column, a list or None."""
    if isinstance(X, LabeledFeatures):
        return X.names
    return without_task_column(column_names(X), task_column)


def without_task_column(names, task_column):
    """Return the names of columns, a list or None, without that of the task column."""
    if names is None or task_column is None:
        return names
    places = _positions(task_columns(task_column), len(names), names)
    return [name for place, name in enumerate(names) if place not in places]


def same_task_columns(first, second, names):
    """Return whether two task columns are the same one, as a name and its position in ``names``.

    Names are those of all columns, a list, or None: then they have to be given alike.
    """
    found = [task_columns(first), task_columns(second)]
    if names is not None:
        place = {name: number for number, name in enumerate(names)}
        place |= {number - len(names): number for number in range(len(names))}
        found = [[place.get(column, column) for column in columns] for columns in found]
    return found[0] == found[1]


def read_names(names, n_tasks):
    """Return the names of the columns of targets as labels (T,), or 0 to T - 1 if None."""
    if names is None:
        return np.arange(n_tasks)
    names = [_plain(name) for name in names]
    if repeated := [name for name, times in Counter(names).items() if times > 1]:
        raise ValueError(
            f"y has several columns named {listed(repeated)}: columns are tasks, and need "
            "different names. Rename them, or pass y as an array."
        )
    return _integers(names) if all(type(name) is int for name in names) else _objects(names)


def _of_series(series, task_column):
    """Return the labels of a Series: categories that are ordered, and time zones, are kept."""
    if series.is_null().any():
        raise ValueError(_missing(task_column))
    if is_text(series):
        return Labels(*distinct_text(series), ordered=False)
    values = series.to_numpy()
    if isinstance(series.dtype, nw.Enum):
        categories = series.cat.get_categories().to_list()
        number = {label: k for k, label in enumerate(categories)}
        codes = np.fromiter((number[label] for label in series.to_list()), np.intp, values.size)
        return Labels(_objects(categories), codes)
    if getattr(series.dtype, "time_zone", None) is None:
        return values
    _, first, codes = np.unique(
        _instants(values, task_column), return_index=True, return_inverse=True
    )
    distinct = series[first.tolist()].to_list()
    if len(set(distinct)) < len(distinct):
        raise ValueError(
            f"The task column {task_column!r} holds different times with the same local time, "
            "when clocks were set back. Convert them to UTC."
        )
    return Labels(_objects(distinct), codes)


def _objects(labels):
    """Return a list of labels, which may be tuples, as an array (K,) of objects."""
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array


def _missing(task_column):
    return (
        f"The task column {task_column!r} has missing labels (None, NaN or infinite). Every row "
        "needs a task: drop these rows, or label them as a separate task."
    )


def _too_large(task_column, label):
    return (
        f"The task column {task_column!r} holds {label!r}, a float too large to distinguish "
        "labels. Use integers or strings."
    )


def factorize(labels, task_column):
    """Return the distinct labels and each row's index into them.

    They are sorted, or in the order of ``Labels``. Whole numbers of any type become integers;
    other labels stay objects, dates and times without a time zone datetime64.
    """
    if isinstance(labels, Labels):
        used = np.bincount(labels.codes, minlength=len(labels.distinct)) > 0
        if labels.read:
            return labels.distinct[used], (np.cumsum(used) - 1)[labels.codes]
        tasks, place = factorize(labels.distinct[used], task_column)
        number = np.cumsum(used) - 1
        if labels.ordered:
            return tasks[place], number[labels.codes]
        return tasks, place[number][labels.codes]
    if labels.dtype.kind in "iufb":
        return distinct_integers(_whole_numbers(labels, task_column))
    if labels.dtype.kind in "mM":
        return np.unique(_instants(labels, task_column), return_inverse=True)
    return _factorize_objects(labels, task_column)


def distinct_integers(values):
    """Return the distinct integers, sorted, and each value's index into them."""
    low, high = values.min(), values.max()
    if int(high) - int(low) > 4 * values.size + 1000:
        return np.unique(values, return_inverse=True)
    table = np.zeros(int(high) - int(low) + 1, dtype=bool)
    offset = values - low
    table[offset] = True
    distinct = np.flatnonzero(table).astype(values.dtype) + low
    if len(distinct) == len(table):
        return distinct, offset.astype(np.intp, copy=False)
    return distinct, (np.cumsum(table) - 1)[offset]


def _factorize_objects(labels, task_column):
    """Factorize labels that are Python objects."""
    seen = defaultdict()
    seen.default_factory = seen.__len__  # a new label gets the next number
    try:
        codes = np.fromiter(map(seen.__getitem__, labels.tolist()), np.intp, labels.size)
    except TypeError as error:
        raise TypeError(
            f"The task column {task_column!r} holds labels that cannot be hashed ({error}). Use "
            "numbers, strings or tuples."
        ) from None
    if any(issubclass(kind, np.generic) for kind in set(map(type, seen))):
        plain = {}
        place = [plain.setdefault(_plain(label), len(plain)) for label in seen]
        seen, codes = plain, np.array(place)[codes]
    kinds = set(map(type, seen))
    for label in seen if kinds != {str} else ():
        if is_missing(label) or (isinstance(label, Real) and abs(label) == math.inf):
            raise ValueError(_missing(task_column))
        if isinstance(label, Real) and label % 1 != 0:
            raise ValueError(_SWALLOWED.format(column=task_column, value=label))
    known = list(seen)
    tasks = _integers(known) if all(issubclass(kind, Real) for kind in kinds) else _objects(known)
    try:
        order = sorted(range(len(known)), key=tasks.tolist().__getitem__)
    except TypeError:  # labels of several types have no common order
        order = sorted(range(len(seen)), key=lambda i: (type(tasks[i]).__name__, repr(tasks[i])))
    return tasks[order], np.argsort(order)[codes]


def label_key(label):
    """Return the key that a label is looked up by: equal for numpy and Python, days and times."""
    if type(label) is str:  # the most frequent type
        return label
    label = _plain(label)
    return datetime.combine(label, time()) if type(label) is date else label


def _plain(label):
    """Return a label that may be a scalar of numpy as one of Python."""
    if isinstance(label, np.datetime64 | np.timedelta64):
        plain = label.astype(_resolution(label.dtype))
        return label if plain != label and not np.isnat(label) else plain.item()
    return label.item() if isinstance(label, np.generic) else label


def _resolution(dtype):
    """Return the dtype of the same dates, times or time spans that Python's own types have."""
    days = dtype.kind == "M" and np.datetime_data(dtype)[0] in ("Y", "M", "W", "D")
    return f"{dtype.kind}8[{'D' if days else 'us'}]"


def _instants(labels, task_column):
    """Convert dates to days, times and time spans to microseconds, as Python's own types."""
    if np.isnat(labels).any():
        raise ValueError(_missing(task_column))
    instants = labels.astype(_resolution(labels.dtype))
    if (instants != labels).any():
        raise ValueError(
            f"The task column {task_column!r} holds times finer than a microsecond. Use integers "
            "or strings as labels."
        )
    return instants


def is_missing(value):
    """Return whether a value is None, NaN, NaT or pandas' NA."""
    if value is None:
        return True
    try:
        return bool(value != value)
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
    labels = labels.astype(np.result_type(labels, np.float64), copy=False)
    if max(labels.max(), -labels.min()) >= 2.0**63:
        largest = float(labels[np.abs(labels).argmax()])
        raise ValueError(_too_large(task_column, largest))
    values = labels.astype(np.int64)
    wrong = values != labels
    if wrong.any():
        raise ValueError(
            _SWALLOWED.format(column=task_column, value=float(labels[np.argmax(wrong)]))
        )
    return values
