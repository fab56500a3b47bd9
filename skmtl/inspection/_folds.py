"""Out-of-fold predictions of several models on the same folds, and their scores by task."""

from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.base import is_classifier

from skmtl._jobs import run
from skmtl._metrics import Metric
from skmtl._scores import on_rows, quietly, read_rows, resolve, respond, score_tasks
from skmtl._warn import recorded
from skmtl.data import check_columns, class_numbers, column_names, plain_target, take_rows
from skmtl.inspection._models import final_step, find_task_column, fit, fitted_model
from skmtl.linear_model import outcome_losses
from skmtl.model_selection import (
    TaskRows,
    as_given,
    known_rows,
    make_splits,
    of_kinds,
)

GROUPS = 50  # groups of rows of a task in the jackknife


_OWN_LOSS = Metric(np.average, False, row_losses=lambda y, losses, _: losses)


class TaskScore(NamedTuple):
    """Score of a task.

    ``values`` (m,), with ``weight`` (m,) or None, are the losses of the rows if the metric is a
    mean over rows, else the pseudo-values of a jackknife. ``rows`` (m,) are the rows of X that the
    losses are of; None for pseudo-values.
    """

    n_rows: int
    score: float
    values: np.ndarray
    weight: np.ndarray | None
    rows: np.ndarray | None = None


class Folds(NamedTuple):
    """Rows, a list of (train, test) and a metric. A layer of folds tests each row at most once."""

    rows: TaskRows
    splits: list
    metric: Any

    @classmethod
    def read(cls, X, y, estimator, cv, scoring, sample_weight, task_column, random_state):
        """Validate arguments as of `sharing_report`."""
        final = final_step(estimator)
        classifier = is_classifier(final)
        task_column = find_task_column(estimator, task_column, cv)
        kinds = of_kinds(final)
        rows = _read_rows(X, y, task_column, sample_weight, kinds)
        metric = _OWN_LOSS if kinds else resolve(metric_name(scoring, classifier))
        if kinds and scoring is not None:
            raise ValueError(
                f"The tasks of {type(final).__name__} are of different kinds, which are compared "
                f"by the own loss of each, and scoring is {scoring!r}. Leave scoring at None, or "
                "use task_scores for other metrics."
            )
        if classifier or metric.uses_labels:
            observed = slice(None) if task_column is not None else ~np.isnan(rows.y)
            rows = rows._replace(classes=np.unique(rows.y[observed]))
        shuffle = {"shuffle": True, "random_state": random_state}
        splits = make_splits(cv, rows.X, rows.y, task_column, shuffle=shuffle, weight=rows.weight)
        return cls(rows, splits, metric)

    @property
    def wide(self):
        """Whether tasks have the rows of X in common."""
        return self.rows.codes is None

    def of_tasks(self, tasks):
        """Return the rows of some tasks, and the folds with training and test rows among them."""
        rows, names = self.rows, [self.rows.tasks[t] for t in tasks]
        if rows.codes is None:
            weight = rows.weight
            if np.ndim(weight) == 2:
                weight = weight[:, tasks]
            own = rows._replace(y=rows.y[:, tasks], tasks=names, weight=weight)
            return self._replace(rows=own)
        index = np.flatnonzero(np.isin(rows.codes, tasks))
        X, y, weight = rows.take(index)
        codes = np.searchsorted(tasks, rows.codes[index])
        number = np.full(len(rows.y), -1)
        number[index] = np.arange(len(index))
        splits = []
        for train, test in self.splits:
            train, test = number[train], number[test]
            train = train[train >= 0]
            test = known_rows(train, test[test >= 0], codes)
            if len(test):
                splits.append((train, test))
        return self._replace(rows=TaskRows(X, y, weight, names, codes, rows.classes), splits=splits)

    def layers(self, models, quiet=(), n_jobs=None, verbose=0):
        """Return the predictions of models (a dict) as a list of (index, responses) by layer.

        ``index`` (m,) are the tested rows, without those whose task is absent from the training
        fold; ``responses`` is a dict of arrays (m, ...). Warnings of the models named in ``quiet``
        are suppressed.
        """
        rows, layers, folds = self.rows, {}, []
        times = np.zeros(len(rows.y), dtype=np.intp)
        for train, test in self.splits:
            layer = int(times[test].max())
            times[test] = layer + 1
            parts, train = layers.setdefault(layer, []), rows.present(train)
            if rows.codes is not None:
                test = known_rows(train, test, rows.codes)
            if len(test):
                folds.append((parts, train, test))
        jobs = [
            (model, train, test, name in quiet)
            for _, train, test in folds
            for name, model in models.items()
        ]
        responses = iter(run(self._predict, jobs, n_jobs, verbose))
        for parts, _, test in folds:
            parts.append((test, *islice(responses, len(models))))
        if not all(layers.values()):
            raise ValueError(
                "No test row belongs to a task of its training fold, so no score can be computed. "
                "Use TaskKFold, which keeps every task in every training fold."
            )
        result = []
        for parts in layers.values():
            index, *responses = map(np.concatenate, zip(*parts, strict=True))
            order = np.argsort(index)
            responses = [response[order] for response in responses]
            result.append((index[order], dict(zip(models, responses, strict=True))))
        return result

    def _predict(self, model, train, test, quiet):
        """Return predictions, or probabilities with a column for every class of the data."""
        given = model, *self._training(train)
        model = recorded(fit, *given)[0] if quiet else fit(*given)
        X, y, _ = self.rows.take(test)
        classes = self.rows.classes
        if self.rows.targets is not None:
            return _own_losses(*fitted_model(model, X), y)
        name, values = respond(model, X, self.metric.response_method)
        values = np.asarray(values)
        if self.rows.codes is None:
            alone = name == "predict_proba" and len(self.rows.tasks) == 1  # a column per class
            return values[:, 1:] if alone else values.reshape(len(values), -1)
        if name != "predict_proba" or values.ndim != 2:
            return values
        full = np.zeros((len(values), len(classes)))
        full[:, np.searchsorted(classes, model.classes_)] = values
        return full

    def _training(self, train):
        """Return X, y and weights of a training fold; y of a single classifier is 1-D."""
        X, y, weight = self.rows.take(train)
        if self.rows.classes is None or y.ndim == 1 or y.shape[1] > 1:
            return self.rows.training(train)
        own = ~np.isnan(y[:, 0])
        weight = None if weight is None else weight.reshape(len(y))[own]
        return take_rows(X, np.flatnonzero(own)), y[own, 0].astype(np.intp), weight

    def _scored(self, index, response):
        """Return ``ScoredRows``, with places in y, and their losses if the metric is a mean."""
        rows = self.rows
        codes, weight = (None if a is None else a[index] for a in (rows.codes, rows.weight))
        given = (None, response) if self.metric.reads_score else (response, None)
        found = read_rows(rows.y[index], *given, codes, weight)
        task, place = np.divmod(found.places, len(index))
        found = found._replace(places=task * len(rows.y) + index[place])
        if self.metric.row_losses is None:
            return found, None
        response = found.y_score if self.metric.reads_score else found.y_pred
        return found, self.metric.row_losses(found.y_true, response, rows.classes)

    def scores(self, index, response):
        """Return the scores (T,) of one layer; NaN where no row of a task was tested."""
        found, losses = self._scored(index, response)
        result = np.full(len(self.rows.tasks), np.nan)
        if losses is None:
            result[found.tasks] = score_tasks(self.metric, found, self.rows.classes)[0]
        else:
            result[found.tasks] = [_average(losses, found.weight, own) for own in found.groups]
        return result

    def task_scores(self, layers):
        """Return the ``TaskScore`` of each task, given a list of (index, response).

        Losses of a row are averaged over the layers that tested it, jackknife pseudo-values over
        all.
        """
        rows, n, n_tasks = self.rows, len(self.rows.y), len(self.rows.tasks)
        scored = [self._scored(*layer) for layer in layers]
        places = np.concatenate([found.places for found, _ in scored])
        places, number = np.unique(places, return_inverse=True)
        task = places // n if rows.codes is None else rows.codes[places]
        counts = np.bincount(task, minlength=n_tasks)
        if self.metric.row_losses is None:
            pseudo = [[] for _ in range(n_tasks)]
            for found, _ in scored:
                value = on_rows(self.metric, found, rows.classes)
                value(slice(None))  # so that errors of an unusable metric are raised
                for t, own in zip(found.tasks, found.groups, strict=True):
                    pseudo[t].append(_jackknife(value, own))
            return [TaskScore(m, *_mean(own), None) for m, own in zip(counts, pseudo, strict=True)]
        losses = np.bincount(number, np.concatenate([own for _, own in scored]))
        losses /= np.bincount(number)
        weight = None if rows.weight is None else rows.weight[places % n]
        if np.ndim(weight) == 2:
            weight = weight[np.arange(len(task)), task]
        result = []
        for own in np.split(np.argsort(task, kind="stable"), counts.cumsum()[:-1]):
            weights = None if weight is None else weight[own]
            score = _average(losses, weight, own) if len(own) else np.nan
            result.append(TaskScore(len(own), score, losses[own], weights, places[own] % n))
        return result


def metric_name(scoring, classifier):
    """Return the metric, a name or a callable; None: squared error, or log loss of a classifier."""
    if scoring is None:
        return "log_loss" if classifier else "mean_squared_error"
    return scoring.removeprefix("neg_") if isinstance(scoring, str) else scoring


def _own_losses(model, X, y):
    """Return the loss of each target of the own kind of its task, nan where not observed."""
    if not of_kinds(model):
        raise TypeError(
            f"A {type(model).__name__} cannot be compared with a model of tasks of different "
            "kinds. Pass a MixedOutcomeModel as pooled or separate, or None."
        )
    return outcome_losses(model, X, y)


def _read_rows(X, y, task_column, sample_weight, kinds=False):
    """Return validated ``TaskRows``; y is (n,) with a task column, else (n, T).

    With ``kinds``, tasks are of different kinds.
    """
    names, targets = column_names(y), as_given(y) if kinds else None
    check_columns("sample_weight", column_names(sample_weight), "y has", names)
    X = X if hasattr(X, "iloc") or hasattr(X, "columns") or issparse(X) else np.asarray(X)
    y = class_numbers(y, wide=task_column is None) if kinds else plain_target(y)
    if task_column is not None and y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2 and y.dtype.kind in "biu":
        y = y.astype(np.float64)
    weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if X.shape[0] != len(y) or (weight is not None and weight.shape not in ((len(y),), y.shape)):
        raise ValueError(
            f"X has {X.shape[0]} rows, y {len(y)} and sample_weight "
            f"{'none' if weight is None else weight.shape}. Pass one of each for every row, or "
            "one weight for every target of the wide form."
        )
    if weight is not None and weight.ndim == 2:
        y = np.where(weight > 0, y, np.nan)
    if task_column is None and y.ndim != 2:
        raise ValueError(
            f"task_column is None and y has shape {y.shape}: that is one task. Set task_column of "
            "the estimator, or pass y with a column for every task."
        )
    if task_column is not None and y.ndim != 1:
        raise ValueError(
            f"task_column={task_column!r} is set and y has shape {y.shape}: in the long form y has "
            "one value for each row. Pass y of shape (n,)."
        )
    return TaskRows.read(X, y, weight, task_column, names)._replace(targets=targets)


def _average(losses, weight, own):
    return float(np.average(losses[own], weights=None if weight is None else weight[own]))


def _jackknife(value, own):
    """Return the score of some rows and the pseudo-values of a delete-a-group jackknife."""
    score, m = quietly(value, own), min(GROUPS, len(own))
    without = [quietly(value, np.delete(own, np.s_[g::m])) if m > 1 else np.nan for g in range(m)]
    return score, m * score - (m - 1) * np.array(without)


def _mean(layers):
    """Return the mean score and pseudo-values over layers, of which some may have fewer values."""
    if not layers:
        return np.nan, np.empty(0)
    length = min(len(values) for _, values in layers)
    values = np.mean([values[:length] for _, values in layers], axis=0)
    return float(np.mean([score for score, _ in layers])), values
