"""Scores of predictions that are known already."""

from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import check_scoring, r2_score


class Scores(NamedTuple):
    """What a search has found, for C candidates and S splits.

    Attributes
    ----------
    test : ndarray of shape (C, S)
    tasks : ndarray of shape (C, S, T)
        Mean loss of each task on the test rows, negative; NaN where it has none.
    fit_time, score_time : ndarray of shape (C, S), seconds
    """

    test: np.ndarray
    tasks: np.ndarray
    fit_time: np.ndarray
    score_time: np.ndarray

    @classmethod
    def empty(cls, n_candidates, n_splits, n_tasks):
        """Return room for scores."""
        shape = n_candidates, n_splits
        return cls(*(np.full((*shape, *rest), np.nan) for rest in ((), (n_tasks,), (), ())))


class Predicted(RegressorMixin, BaseEstimator):
    """A regressor that has predicted already, for scorers.

    Parameters
    ----------
    values : ndarray of shape (n,) or (n, T)
    """

    def __init__(self, values):
        self.values = values

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X):
        """Return the values, whatever X is."""
        return self.values


def scorer_of(estimator, scoring):
    """Return a scorer, or the name of one that ``many_scores`` computes at once."""
    if scoring is None and isinstance(estimator, RegressorMixin):
        return "r2"
    if isinstance(scoring, str) and scoring in _AT_ONCE:
        return scoring
    return check_scoring(estimator, scoring=scoring)


def many_scores(scorer, X, y, predictions):
    """Return the scores of many predictions of the same rows, (A,).

    Parameters
    ----------
    scorer : callable or str, as of `scorer_of`
    X : the rows, in the form the estimator takes
    y : ndarray of shape (n,) or (n, T)
    predictions : ndarray of shape (n, A) or (n, T, A)
    """
    if isinstance(scorer, str):
        return _AT_ONCE[scorer](y.astype(np.float64, copy=False), predictions)
    return np.array(
        [scorer(Predicted(predictions[..., a]), X, y) for a in range(predictions.shape[-1])]
    )


def _mean_squares(y, predictions):
    """Return the mean squared error of each output, (A,) or (T, A)."""
    return np.square(y[..., None] - predictions).mean(axis=0)


def _r2(y, predictions):
    variance = y.var(axis=0)
    if len(y) < 2 or not np.all(variance > 0):  # scikit-learn has rules for that
        columns = range(predictions.shape[-1])
        return np.array([r2_score(y, predictions[..., a]) for a in columns])
    r2 = 1.0 - _mean_squares(y, predictions) / variance[..., None]
    return r2 if r2.ndim == 1 else r2.mean(axis=0)


def _neg_mean_squared_error(y, predictions):
    mean = _mean_squares(y, predictions)
    return -(mean if mean.ndim == 1 else mean.mean(axis=0))


_AT_ONCE = {"r2": _r2, "neg_mean_squared_error": _neg_mean_squared_error}
