"""Scores of a task and the pseudo-values of which they are means."""

import numpy as np

from skmtl._scores import read_rows, resolve, score_tasks

GROUPS = 50  # groups of rows of a task in the jackknife


def read_scoring(scoring, classifier):
    """Return the metric and its name; None: squared error, or log loss for a classifier."""
    if scoring is None:
        scoring = "log_loss" if classifier else "mean_squared_error"
    if isinstance(scoring, str):
        scoring = scoring.removeprefix("neg_")
    return resolve(scoring), scoring


class TaskScorer:
    """Score the rows of a task from responses in the order of y.

    Parameters
    ----------
    rows : TaskRows
    metric : as returned by `read_scoring`
    name : str or callable
    labels : ndarray, default=None
        Classes of all tasks; None: those of the rows.
    """

    def __init__(self, rows, metric, name, labels=None):
        self._rows, self._metric, self._name = rows, metric, name
        self._labels = None
        if metric.uses_labels:
            self._labels = np.unique(rows.y) if labels is None else labels

    def score(self, responses, tested, t):
        """Return the score of task t in a layer, a float; NaN if none of its rows was tested."""
        index = self.judged(tested, t)
        if not len(index):
            return np.nan
        y, response, weight = self._take(responses, index, t)
        losses = row_losses(self._name, y, response, self._labels)
        if losses is not None:
            return float(np.average(losses, weights=weight))
        return self._score(y, response, weight)

    def values(self, responses, tested, t):
        """Return the score of task t in a layer, a float, and its pseudo-values.

        Pseudo-values are the losses of the rows if the metric is a weighted mean over rows, else
        those of the jackknife.

        Parameters
        ----------
        responses : ndarray of shape (n, ...)
        tested : bool ndarray of shape (n,)
        t : int

        Returns
        -------
        score : float
        pseudo : ndarray of shape (m,)
        weight : ndarray of shape (m,) or None
        rows : ndarray of shape (m,), numbers of the rows; None for the jackknife
        """
        index = self.judged(tested, t)
        if not len(index):
            return np.nan, np.empty(0), None, index
        y, response, weight = self._take(responses, index, t)
        losses = row_losses(self._name, y, response, self._labels)
        if losses is not None:
            return float(np.average(losses, weights=weight)), losses, weight, index
        score = self._score(y, response, weight)
        return score, self._jackknife(score, y, response, weight), None, None

    def judged(self, tested, t):
        """Return the indices of the tested rows of task t."""
        rows = self._rows
        if rows.codes is not None:
            tested = tested & (rows.codes == t)
        elif rows.y.dtype.kind == "f":
            tested = tested & ~np.isnan(rows.y[:, t])
        if rows.weight is not None:
            tested = tested & (rows.weight > 0)
        return np.flatnonzero(tested)

    def _take(self, responses, index, t):
        rows, response = self._rows, responses[index]
        weight = None if rows.weight is None else rows.weight[index]
        if rows.codes is None:
            return rows.y[index, t], response[:, t], weight
        if response.ndim == 2 and response.shape[1] == 2:
            response = response[:, 1]
        y = rows.y[index]
        if response.dtype == object:  # class labels
            response = response.astype(y.dtype)
        return y, response, weight

    def _score(self, y, response, weight):
        """Return the metric, computed as in `task_scores`."""
        given = (None, response) if self._metric.reads_score else (response, None)
        rows = read_rows(y, *given, None, weight)
        return float(score_tasks(self._metric, rows, self._labels)[0][0])

    def _jackknife(self, score, y, response, weight):
        """Return the pseudo-values of a delete-a-group jackknife, NaN where undefined."""
        m = min(GROUPS, len(y))
        group = np.arange(len(y)) % m
        pseudo = np.empty(m)
        for g in range(m):
            kept = group != g
            own = None if weight is None else weight[kept]
            without = self._score(y[kept], response[kept], own) if kept.any() else np.nan
            pseudo[g] = m * score - (m - 1) * without
        return pseudo


def row_losses(name, y, response, labels):
    """Return the loss of each row, or None if the metric is not a mean over rows."""
    if name == "mean_squared_error":
        return (y - response) ** 2
    if name == "mean_absolute_error":
        return np.abs(y - response)
    if name == "accuracy":
        return (y == response).astype(np.float64)
    if name == "log_loss":
        if response.ndim == 1:
            second = y == labels[1]
            own = np.where(second, response, 1.0 - response)
        else:
            response = response / response.sum(axis=1, keepdims=True)
            own = response[np.arange(len(y)), np.searchsorted(labels, y)]
        return -np.log(np.clip(own, np.finfo(np.float64).eps, 1.0))
    return None
