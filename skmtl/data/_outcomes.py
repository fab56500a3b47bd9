"""Targets of tasks of different kinds: what y holds, and what the losses take."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, NamedTuple

import narwhals.stable.v2 as nw
import numpy as np
from scipy.sparse import issparse

from skmtl._warn import did_you_mean, listed
from skmtl.data._arrays import NamedTargets, check_in_memory
from skmtl.data._frames import is_frame, rows_like
from skmtl.data._labels import column_names, is_missing, label_key, read_names
from skmtl.data._mixed import mixed_data
from skmtl.losses import LogisticLoss, MultinomialLoss, PoissonLoss, SquaredLoss

KINDS = ("squared", "logistic", "multinomial", "poisson")


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


class Outcome(NamedTuple):
    """What one task predicts.

    Attributes
    ----------
    kind : str
        One of ``KINDS``.
    classes : ndarray of shape (K,) or None
    loss : Loss
    mean : float
        Weighted mean of the target of a squared task, else 0.
    unit : float
        Number by which the target of a squared task is divided, else 1.
    """

    kind: str
    classes: Any
    loss: Any
    mean: float = 0.0
    unit: float = 1.0


@dataclass(frozen=True)
class Outcomes:
    """The `Outcome` of each task, and the rows of the coefficients, R, that it holds.

    ``template`` is the dataframe of the targets without its rows, or None.
    """

    of_tasks: tuple
    template: Any = None

    @property
    def sizes(self):
        """Rows of the coefficients of each task, (T,)."""
        return np.array([outcome.loss.n_outputs for outcome in self.of_tasks])

    @property
    def task(self):
        """Index of the task of each row of the coefficients, (R,)."""
        return np.repeat(np.arange(len(self.of_tasks)), self.sizes)

    @property
    def places(self):
        """Rows of the coefficients of each task, a list of arrays."""
        return np.split(np.arange(self.sizes.sum()), np.cumsum(self.sizes)[:-1])

    @property
    def units(self):
        """Units of the rows of the coefficients, (R,)."""
        return np.array([outcome.unit for outcome in self.of_tasks])[self.task]

    @property
    def offsets(self):
        """Means of squared targets in their units, (R,)."""
        return np.array([outcome.mean / outcome.unit for outcome in self.of_tasks])[self.task]

    def labels(self, tasks):
        """Return the labels of the rows of the coefficients, (R,).

        These are those of the tasks or, where a task holds several, tuples of task and class.
        """
        if (self.sizes == 1).all():
            return tasks
        labels = []
        for task, outcome in zip(tasks.tolist(), self.of_tasks, strict=True):
            own = [task]
            if outcome.loss.n_outputs > 1:
                own = [(task, label) for label in outcome.classes.tolist()]
            labels += own
        array = np.empty(len(labels), dtype=object)
        array[:] = labels
        return array

    def take(self, tasks):
        """Return the outcomes of some tasks, an index array."""
        return replace(self, of_tasks=tuple(self.of_tasks[t] for t in tasks))

    def in_units(self, units):
        """Return the outcomes with other units, (T,)."""
        pairs = zip(self.of_tasks, units.tolist(), strict=True)
        own = tuple(outcome._replace(unit=unit) for outcome, unit in pairs)
        return replace(self, of_tasks=own)

    def matches(self, other):
        """Return whether the tasks of other outcomes have the same kinds and classes."""
        return len(self.of_tasks) == len(other.of_tasks) and all(
            a.kind == b.kind and np.array_equal(a.classes, b.classes)
            for a, b in zip(self.of_tasks, other.of_tasks, strict=True)
        )

    def as_in(self, other):
        """Return the outcomes of another fit, with its units; raise if they are not the same."""
        if not self.matches(other):
            raise ValueError(
                "y has other tasks, or tasks of other kinds or classes, than in fit. Pass the X, y "
                "and sample_weight of fit."
            )
        return other

    def posed(self, rows, task_weight, offset, center):
        """Return the data and the loss of ``Rows``.

        ``offset`` is 0 or (R,), what is subtracted from targets in their units.
        """
        units = np.array([outcome.unit for outcome in self.of_tasks])
        shift = np.zeros(len(units))
        shift[self.task] = offset
        of_entry = slice(None) if rows.codes is None else rows.codes
        y = rows.y
        if (units != 1).any():
            y = y / units[of_entry]
        if shift.any():
            y = y - shift[of_entry]
        losses = [outcome.loss for outcome in self.of_tasks]
        data, loss, _ = mixed_data(rows._replace(y=y), losses, task_weight, center)
        return data, loss


class Targets:
    """The targets of ``fit`` as they are given, of tasks of different kinds.

    Parameters
    ----------
    y : dataframe, Series, array or list
        (n, T) in the wide form, (n,) in the long one.
    losses : "infer" or dict
        As of ``MixedOutcomeModel``.
    wide : bool

    Attributes
    ----------
    places : NamedTargets or ndarray
        The number of the row where something is observed, else NaN, of the shape of y: as y of a
        regressor it goes through all steps that read and select rows.
    """

    def __init__(self, y, losses, *, wide):
        if not (isinstance(losses, str) and losses == "infer") and not isinstance(losses, Mapping):
            raise ValueError(
                f"losses must be 'infer' or a dict from task to one of {list(KINDS)}, got "
                f"{losses!r}."
            )
        for task, kind in {} if isinstance(losses, str) else losses.items():
            if kind not in KINDS:
                raise ValueError(
                    f"losses[{task!r}] is {kind!r}, which is no loss."
                    f"{did_you_mean(kind, KINDS) if isinstance(kind, str) else ''} Losses are "
                    f"{list(KINDS)}."
                )
        self._losses = {} if isinstance(losses, str) else losses
        check_in_memory(y, "y")
        self.columns, names = columns_of(y, wide=wide)
        self._template = rows_like(y) if wide and is_frame(y) else None
        places = [
            np.where(own.missing, np.nan, np.arange(len(own.missing))) for own in self.columns
        ]
        self.places = NamedTargets(np.array(places).T, names) if wide else places[0]

    def encoded(self, rows):
        """Return ``Rows`` of ``places`` with the targets that losses take, and the outcomes."""
        tasks, y = rows.tasks, np.array(rows.y)
        kinds = {label_key(task): kind for task, kind in self._losses.items()}
        known = [label_key(task) for task in tasks.tolist()]
        strange = [task for task in self._losses if label_key(task) not in known]
        if strange:
            raise ValueError(
                f"losses names {listed(strange)}, and the tasks are {listed(tasks.tolist())}. "
                "Leave other names out."
            )
        outcomes = []
        for t, task in enumerate(tasks.tolist()):
            if rows.codes is not None:
                own = np.flatnonzero(rows.codes == t), ...
                weight = rows.weight[own[0]]
            else:
                own = np.flatnonzero(~np.isnan(rows.y[:, t])), t
                weight = rows.weight if rows.weight.ndim == 1 else rows.weight[:, t]
                weight = weight[own[0]]
            column = self.columns[0 if rows.codes is not None else t]
            index = rows.y[own].astype(np.intp)
            values = Values(column.entries[index], column.missing[index], column.category)
            y[own], outcome = _encoded(task, values, weight, kinds.get(known[t]))
            outcomes.append(outcome)
        return rows._replace(y=y, outcomes=Outcomes(tuple(outcomes), self._template))


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
        raise ValueError(
            f"y has {n_dims} dimension{'s' * (n_dims != 1)}, and without task_column it needs a "
            "column for each task: pass y as a dataframe or an array of shape (n_samples, "
            "n_tasks), of a single task by y.reshape(-1, 1). For a column of task labels in X, "
            "set task_column."
        )
    if not wide and len(columns) != 1:
        raise ValueError(
            f"y has shape {tuple(y.shape)}, and with task_column it needs one target for each row "
            "of X. Leave task_column out if each column of y is a task."
        )
    return columns, names


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
    entries = values.tolist()
    if set(map(type, entries)) <= {str, bool, int}:
        return Values(_objects(entries), np.zeros(len(entries), dtype=bool))
    entries = [v.item() if isinstance(v, np.generic) else v for v in entries]
    missing = np.array([is_missing(value) for value in entries], dtype=bool)
    return Values(_objects(entries), missing)


def _objects(values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _encoded(task, values, weight, kind):
    """Return the targets of a task that its loss takes, float64, and its `Outcome`.

    Without a ``kind`` it is inferred.
    """
    found = _type_of(task, values)
    if kind is None:
        kind = "squared" if found == "numbers" else "classes"
    if kind in ("squared", "poisson"):
        y = _numbers(task, values, found, kind)
        mean = float(np.average(y, weights=weight))
        if kind == "squared":
            return y, Outcome(kind, None, SquaredLoss(), mean)
        if mean == 0:
            raise ValueError(
                f"All counts of task {task!r} are 0, so that the logarithm of their mean is not "
                "finite. A count task needs a row above 0: leave the task out."
            )
        return y, Outcome(kind, None, PoissonLoss(mean))
    classes, codes = _classes(task, values, found)
    K = len(classes)
    if K < 2:
        raise ValueError(
            f"Task {task!r} has classes, and all of its targets are {classes.tolist()[0]!r}. A "
            "class task needs rows of at least two classes: leave the task out."
        )
    if kind == "classes":
        kind = "logistic" if K == 2 else "multinomial"
    if kind == "logistic" and K > 2:
        raise ValueError(
            f"losses[{task!r}] is 'logistic', and the task has {K} classes: "
            f"{listed(classes.tolist())}. Set it to 'multinomial'."
        )
    if kind == "logistic":
        return 2.0 * codes - 1.0, Outcome(kind, classes, LogisticLoss())
    return codes.astype(np.float64), Outcome(kind, classes, MultinomialLoss(K))


def _type_of(task, values):
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
    return next(iter(names))


def _numbers(task, values, found, kind):
    """Return the targets of a task with a number to predict, (n,)."""
    if found in ("strings", "categories"):
        raise ValueError(
            f"losses[{task!r}] is {kind!r}, and the task has {found}, such as "
            f"{values.entries.tolist()[0]!r}. Convert them to numbers, or leave the task out of "
            "losses: strings and categories are classes."
        )
    y = values.entries.astype(np.float64)
    if not np.isfinite(y).all():
        strange = y[~np.isfinite(y)][0]
        raise ValueError(f"Task {task!r} has the target {strange}, which must be finite.")
    if kind == "poisson" and y.min() < 0:
        raise ValueError(
            f"losses[{task!r}] is 'poisson', and the task has the negative target {y.min():g}. "
            "Counts are at least 0."
        )
    return y


def _classes(task, values, found):
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
    try:
        classes = sorted(set(entries))
    except TypeError:
        classes = sorted(set(entries), key=lambda label: (type(label).__name__, repr(label)))
    number = {label: k for k, label in enumerate(classes)}
    array = np.array(classes) if found == "booleans" else _objects(classes)
    if found == "categories" and all(type(label) is int for label in classes):
        array = np.array(classes)
    return array, np.array([number[entry] for entry in entries], dtype=np.intp)
