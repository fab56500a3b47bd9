"""Out-of-fold predictions of several models on the same folds."""

import warnings
from numbers import Integral
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import KFold

from skmtl.data import factorize, split_task_column, take_rows
from skmtl.inspection._models import fit
from skmtl.model_selection import TaskKFold


class TaskRows(NamedTuple):
    """Rows as passed by the user, with tasks; ``codes`` is None in the wide form."""

    X: object
    y: np.ndarray
    weight: np.ndarray | None
    tasks: list
    codes: np.ndarray | None

    @classmethod
    def read(cls, X, y, task_column, sample_weight):
        """Return validated rows; y is (n,) with a task column, else (n, T)."""
        names = getattr(y, "columns", None)
        X = X if hasattr(X, "iloc") or hasattr(X, "columns") else np.asarray(X)
        y = np.asarray(y)
        weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        if len(X) != len(y) or (weight is not None and weight.shape != (len(y),)):
            raise ValueError(
                f"X has {len(X)} rows, y {len(y)} and sample_weight "
                f"{'none' if weight is None else weight.shape}. Pass one of each for every row."
            )
        if task_column is None:
            if y.ndim != 2:
                raise ValueError(
                    f"task_column is None and y has shape {y.shape}: that is one task. Set "
                    "task_column of the estimator, or pass y with a column for every task."
                )
            return cls(X, y, weight, list(range(y.shape[1]) if names is None else names), None)
        if y.ndim != 1:
            raise ValueError(
                f"task_column={task_column!r} is set and y has shape {y.shape}: in the long form "
                "y has one value for each row. Pass y of shape (n,)."
            )
        labels, _ = split_task_column(X, task_column)
        tasks, codes = factorize(labels, task_column)
        return cls(X, y, weight, tasks.tolist(), codes)

    def part(self, rows):
        """Return X, y and the weights at an index array, without rows of weight zero."""
        if self.weight is None:
            return take_rows(self.X, rows), self.y[rows], None
        rows = rows[self.weight[rows] > 0]
        return take_rows(self.X, rows), self.y[rows], self.weight[rows]


def make_splits(cv, rows, task_column, random_state):
    """Return a list of (train, test) for ``cv``: None (5 folds), an int or a splitter."""
    if cv is None or isinstance(cv, Integral):
        cv, shuffled = 5 if cv is None else cv, {"shuffle": True, "random_state": random_state}
        if task_column is None:
            cv = KFold(cv, **shuffled)
        else:
            cv = TaskKFold(cv, task_column=task_column, **shuffled)
    splits = list(cv.split(rows.X, rows.y) if hasattr(cv, "split") else cv)
    if not splits:
        raise ValueError(f"cv={cv!r} yields no folds. Pass at least one pair (train, test).")
    place = np.arange(len(rows.y))  # splits may be masks, or count from the end
    return [(place[train], place[test]) for train, test in splits]


def in_layers(splits, n):
    """Return the layer of each split, such that a layer tests each row at most once."""
    times, layers = np.zeros(n, dtype=np.intp), []
    for _, test in splits:
        layers.append(int(times[test].max(initial=0)))
        times[test] = layers[-1] + 1
    return layers


def predictions(models, rows, splits, response, quiet=()):
    """Return the out-of-fold predictions of each model.

    Test rows of tasks that are absent from the training fold are omitted for all models.

    Parameters
    ----------
    models : dict of name -> estimator
    rows : TaskRows
    splits : list of (train, test)
    response : str or tuple of str
        Names of methods, of which the first that a fitted model has is called.
    quiet : sequence of str
        Models whose warnings are suppressed.

    Returns
    -------
    responses : dict of name -> list over layers of (n, ...) arrays
    tested : list over layers of bool arrays (n,)
    """
    layers = in_layers(splits, len(rows.y))
    n_layers = max(layers) + 1
    tested = [np.zeros(len(rows.y), dtype=bool) for _ in range(n_layers)]
    responses = {name: [None] * n_layers for name in models}
    classes = np.unique(rows.y) if rows.codes is not None else None
    for (train, test), layer in zip(splits, layers, strict=True):
        if rows.codes is not None:
            known = train if rows.weight is None else train[rows.weight[train] > 0]
            test = test[np.isin(rows.codes[test], rows.codes[known])]
        if not len(test):
            continue
        tested[layer][test] = True
        for name, model in models.items():
            with warnings.catch_warnings():
                if name in quiet:
                    warnings.simplefilter("ignore")
                fitted = fit(model, *rows.part(train))
            values = _respond(fitted, take_rows(rows.X, test), response, classes)
            if responses[name][layer] is None:
                responses[name][layer] = np.full(
                    (len(rows.y), *values.shape[1:]), np.nan, _kind(values)
                )
            responses[name][layer][test] = values
    if not all(mask.any() for mask in tested):
        raise ValueError(
            "No test row belongs to a task of its training fold, so no score can be computed. "
            "Use TaskKFold, which keeps every task of two rows or more in every training fold."
        )
    return responses, tested


def _kind(values):
    """Return a dtype that holds the values and NaN."""
    return np.float64 if values.dtype.kind in "iufb" else object


def _respond(fitted, X, response, classes):
    """Return predictions, or probabilities with a column for every class of the data."""
    names = [response] if isinstance(response, str) else response
    for name in names:
        if hasattr(fitted, name):
            break
    else:
        raise AttributeError(
            f"{type(fitted).__name__} has no method {' or '.join(names)}, which scoring needs. "
            "Choose another metric."
        )
    values = np.asarray(getattr(fitted, name)(X))
    if name != "predict_proba" or values.ndim != 2 or classes is None:
        return values
    known = np.searchsorted(classes, fitted.classes_)
    if len(known) == len(classes):
        return values
    full = np.zeros((len(values), len(classes)))  # classes absent from the fold have probability 0
    full[:, known] = values
    return full
