"""Targets of tasks of different kinds: what y holds, and what the losses take."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from skmtl._warn import did_you_mean, listed
from skmtl.data._arrays import NamedTargets, check_in_memory
from skmtl.data._entries import entries_of_tasks
from skmtl.data._frames import is_frame, rows_like
from skmtl.data._labels import label_key
from skmtl.data._mixed import mixed_data
from skmtl.data._target_columns import (
    classes_of,
    columns_of,
    numbers_of,
    refuse_strings_of_numbers,
    type_of,
)
from skmtl.losses import LogisticLoss, MultinomialLoss, PoissonLoss, SquaredLoss

KINDS = ("squared", "logistic", "multinomial", "poisson")


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
        return mixed_data(rows._replace(y=y), losses, task_weight, center)


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
                    f"{did_you_mean(kind, KINDS)} Losses are {list(KINDS)}."
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
        for t, own in enumerate(entries_of_tasks(len(y), len(tasks), rows.codes)):
            own = own.where(~np.isnan(own.of(rows.y)))
            values = self.columns[own.column or 0].take(own.of(rows.y).astype(np.intp))
            task, weight = tasks.tolist()[t], own.of(rows.weight)
            y[own.place], outcome = _encoded(task, values, weight, kinds.get(known[t]))
            outcomes.append(outcome)
        return rows._replace(y=y, outcomes=Outcomes(tuple(outcomes), self._template))


def _encoded(task, values, weight, kind):
    """Return the targets of a task that its loss takes, float64, and its `Outcome`.

    Without a ``kind`` it is inferred.
    """
    found = type_of(task, values)
    if kind is None:
        kind = "squared" if found == "numbers" else "classes"
        if found == "strings":
            refuse_strings_of_numbers(task, values)
    if kind in ("squared", "poisson"):
        y = numbers_of(task, values, kind)
        mean = float(np.average(y, weights=weight))
        if kind == "squared":
            return y, Outcome(kind, None, SquaredLoss(), mean)
        if mean == 0:
            raise ValueError(
                f"All counts of task {task!r} are 0, so that the logarithm of their mean is not "
                "finite. A count task needs a row above 0: leave the task out."
            )
        return y, Outcome(kind, None, PoissonLoss(mean))
    classes, codes = classes_of(task, values, found)
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
