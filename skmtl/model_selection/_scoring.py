"""Scores of precomputed predictions."""

import inspect
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, RegressorMixin, is_classifier
from sklearn.metrics import check_scoring, r2_score
from sklearn.utils import get_tags

from skmtl._warn import recorded, warn
from skmtl.data import take_rows
from skmtl.linear_model import (
    MixedOutcomeModel,
    is_complete,
    mean_of_defined,
    observed_accuracy,
    observed_r2,
    observed_targets,
    outcome_scores,
)
from skmtl.metrics import _TaskScorer


class Scores(NamedTuple):
    """Scores and times of C candidates on S splits.

    Attributes
    ----------
    test : ndarray of shape (C, S)
    tasks : ndarray of shape (C, S, T)
        Minus the mean loss of each task on its test rows; NaN where it has none.
    fit_time, score_time : ndarray of shape (C, S), seconds
    """

    test: np.ndarray
    tasks: np.ndarray
    fit_time: np.ndarray
    score_time: np.ndarray

    @classmethod
    def empty(cls, n_candidates, n_splits, n_tasks):
        """Return arrays of NaN."""
        shape = n_candidates, n_splits
        return cls(*(np.full((*shape, *rest), np.nan) for rest in ((), (n_tasks,), (), ())))


class Predicted(RegressorMixin, BaseEstimator):
    """Regressor that returns precomputed predictions, (n,) or (n, T), for scorers."""

    def __init__(self, values):
        self.values = values

    def __sklearn_is_fitted__(self):
        return True

    def __getattr__(self, name):
        raise AttributeError(
            f"The scoring asks for {name}, but leave-one-out has predictions only. Pass a "
            "scorer of scikit-learn or skmtl.metrics, or set cv."
        )

    def predict(self, X):
        """Return the values; X is ignored."""
        return self.values


class _OneTask(BaseEstimator):
    """Some rows of one task of a fitted model in the wide form, for scorers of a 1-D target.

    ``respond`` returns the predictions of all rows and tasks by the name of a method of the model.
    """

    def __init__(self, model, respond, place):
        self.model, self.respond, self.place = model, respond, place
        self.classes_ = np.array([0, 1])

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        own = get_tags(self.model)
        tags.estimator_type, tags.classifier_tags = own.estimator_type, own.classifier_tags
        return tags

    def predict(self, X):
        """Return the predictions of the task, (n,)."""
        return self.respond("predict")[self.place]

    def decision_function(self, X):
        """Return the log-odds of the task, (n,)."""
        return self.respond("decision_function")[self.place]

    def predict_proba(self, X):
        """Return the probabilities of 0 and 1, (n, 2)."""
        p = self.respond("predict_proba")[self.place]
        return np.column_stack([1.0 - p, p])


def call_scorer(scorer, model, X, y, weight, by_task=None):
    """Return the score of a fitted model.

    A scorer of scikit-learn, which takes no NaN and no weights of targets, is averaged over the
    tasks, each scored on its observed rows, with ``by_task``: by default where it has to be.
    """
    by_task = not is_complete(y, weight) if by_task is None else by_task
    if not by_task or not hasattr(scorer, "_score_func"):
        return scorer(model, X, y, **_weights(scorer, weight))
    scores, respond = [], cache(lambda method: getattr(model, method)(X))
    for t, own in enumerate(observed_targets(y, weight).T):
        if own.any():
            part = weight if np.ndim(weight) < 2 else weight[:, t]
            part = _weights(scorer, take(part, own))
            given = _OneTask(model, respond, (own, t)), take_rows(X, np.flatnonzero(own)), y[own, t]
            try:
                scores.append(recorded(partial(scorer, **part), *given)[0])
            except ValueError:  # undefined, as where all rows are of one class
                scores.append(np.nan)
    return mean_of_defined(scores)


def of_kinds(estimator):
    """Return whether the tasks of an estimator are of different kinds."""
    return isinstance(estimator, MixedOutcomeModel)


def as_given(y):
    """Return targets whose rows can be taken; numbers beside classes in a list stay numbers."""
    return np.array(y, dtype=object) if isinstance(y, list | tuple) else y


def score_outcomes(model, X, y, weight, scorer, tasks):
    """Return the score of a fitted model of tasks of different kinds, and those of tasks (T,).

    A scorer may have a method ``of_tasks``, whose mean over tasks is the score.
    """
    of_tasks = getattr(scorer, "of_tasks", outcome_scores)
    found = dict(zip(model.tasks_.tolist(), of_tasks(model, X, y, weight), strict=True))
    scores = np.array([found.get(task, np.nan) for task in tasks])
    if isinstance(scorer, str) or hasattr(scorer, "of_tasks"):
        return mean_of_defined(scores), scores
    return scorer(model, X, y, **_weights(scorer, weight)), scores


def scorer_of(estimator, scoring, leave_one_out=False):
    """Return a scorer, or the name of a score that is computed here from predictions."""
    if of_kinds(estimator):
        if scoring is None or callable(scoring):
            return "score" if scoring is None else scoring
        raise ValueError(
            f"The tasks are of different kinds, and scoring={scoring!r} is for one kind. Leave "
            "scoring at None, the mean of R^2, accuracies and D^2, or pass a scorer of "
            "make_task_scorer."
        )
    named = ["accuracy"] if is_classifier(estimator) else list(_AT_ONCE)
    if scoring is None:  # as ``score`` of scikit-learn's estimators, but R2 of a row is undefined
        scoring = named[-1] if leave_one_out else named[0]
    if isinstance(scoring, str) and scoring in named:
        return scoring
    if not isinstance(scoring, str) and not callable(scoring):
        raise ValueError(
            f"scoring must be the name of one score or a callable, got {scoring!r}. For several "
            "scores use GridSearchCV."
        )
    return check_scoring(estimator, scoring=scoring)


def reads_predictions(scorer):
    """Return whether a scorer is known to use only the predictions of an estimator."""
    return isinstance(scorer, str | _TaskScorer) or hasattr(scorer, "_score_func")


def score_model(model, X, y, weight, scorer, by_task):
    """Return the score of a fitted model, and its losses in the shape of y.

    Losses are squared errors, or minus the log-probability of the observed class. X are
    ``PredictionRows``; ``weight`` (n,) or None and ``scorer`` are as in `many_scores`.
    """
    if is_classifier(model):
        z = model.decision_function(X)
        right, losses = _classified(model, z, y)
        if isinstance(scorer, str):
            if y.ndim == 2:
                return observed_accuracy(y, z > 0, weight), losses
            return np.average(right, weights=weight), losses
    else:
        z = model.predict(X)
        losses = (y - z) ** 2
        if isinstance(scorer, str) or (reads_predictions(scorer) and not by_task):
            return many_scores(scorer, X.X, y, weight, z[..., None])[0], losses
    return call_scorer(scorer, model, X.X, y, weight, by_task), losses


def weights_for(weight):
    """Return the sample weights as keyword arguments, empty if there are none."""
    return {} if weight is None else {"sample_weight": weight}


def _weights(scorer, weight):
    """Return the sample weights as keyword arguments of a scorer that has to accept them."""
    score = getattr(scorer, "_score_func", scorer)  # scikit-learn's scorers accept any keyword
    parameters = inspect.signature(score).parameters.values()
    takes = any(p.name == "sample_weight" or p.kind is p.VAR_KEYWORD for p in parameters)
    if weight is not None and not takes:
        warn(f"The scoring {scorer!r} takes no sample_weight: all rows have equal weight in it.")
        return {}
    return weights_for(weight)


def _classified(model, z, y):
    """Return whether each row is classified correctly, and the losses, given decisions z."""
    if y.ndim == 2:  # wide form: y is 0, 1 or NaN
        with np.errstate(invalid="ignore"):
            return None, np.logaddexp(0.0, (1 - 2 * y) * z)
    classes = model.classes_
    place = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    known = classes[place] == y  # a class may be absent from the training rows
    if z.ndim == 1:
        found, losses = (z > 0).astype(np.intp), np.logaddexp(0.0, (1 - 2 * place) * z)
    else:
        found, losses = z.argmax(axis=1), logsumexp(z, axis=1) - z[np.arange(len(y)), place]
    return (found == place) & known, np.where(known, losses, np.inf)


def take(weight, index):
    """Return the weights (n,) at an index array, or None if there are none."""
    return None if weight is None else weight[index]


def many_scores(scorer, X, y, weight, predictions):
    """Return the scores (A,) of A predictions (n, A) or (n, T, A) of the same rows.

    ``scorer`` is as of `scorer_of`, y (n,) or (n, T), and ``weight`` (n,) or None.
    """
    if isinstance(scorer, str):
        return _AT_ONCE[scorer](y, weight, predictions)
    given, columns = _weights(scorer, weight), np.moveaxis(predictions, -1, 0)
    return np.array([scorer(Predicted(column), X, y, **given) for column in columns])


def _mean_squares(y, weight, predictions):
    """Return the mean squared error of each output, (A,) or (T, A), over observed targets."""
    squares = np.square(y[..., None] - predictions)
    if is_complete(y, weight):
        return np.average(squares, axis=0, weights=weight)
    observed = observed_targets(y, weight)
    share = np.ones(len(y)) if weight is None else weight
    share = np.where(observed, share[:, None] if share.ndim == 1 else share, 0.0)
    sums = np.einsum("it,ita->ta", share, np.where(observed[..., None], squares, 0.0))
    total = share.sum(axis=0)[:, None]
    return np.divide(sums, total, out=np.full(sums.shape, np.nan), where=total > 0)


def _r2(y, weight, predictions):
    if not is_complete(y, weight):
        columns = range(predictions.shape[-1])
        return np.array([observed_r2(y, predictions[..., a], weight) for a in columns])
    mean = np.average(y, axis=0, weights=weight)
    variance = _mean_squares(y, weight, np.broadcast_to(mean, y.shape)[..., None])[..., 0]
    if len(y) < 2 or not np.all(variance > 0):  # as defined by scikit-learn
        columns = range(predictions.shape[-1])
        return np.array([r2_score(y, predictions[..., a], sample_weight=weight) for a in columns])
    r2 = 1.0 - _mean_squares(y, weight, predictions) / variance[..., None]
    return r2 if r2.ndim == 1 else r2.mean(axis=0)


def _neg_mean_squared_error(y, weight, predictions):
    mean = _mean_squares(y, weight, predictions)
    return -(mean if mean.ndim == 1 else np.nanmean(mean, axis=0))


_AT_ONCE = {"r2": _r2, "neg_mean_squared_error": _neg_mean_squared_error}
