"""Scores over strengths by fits that start from the one before."""

import time
import warnings

import numpy as np
from sklearn.base import clone, is_classifier

from skmtl import _input
from skmtl.model_selection._scoring import Scores


def warm_scores(estimator, candidates, splits, scorer, X, y, sample_weight, progress):
    """Return the ``Scores`` of all candidates, fitted from the strongest coupling to the weakest.

    Parameters
    ----------
    estimator : estimator with a parameter alpha
    candidates : list of dict
    splits : list of pairs of index arrays
    scorer : callable
    X : callable
        Takes an index array and returns these rows.
    y : ndarray of shape (n,) or (n, T)
    sample_weight : ndarray of shape (n,) or None
    progress : Progress
    """
    tasks, codes = _tasks(estimator, X(np.arange(len(y))), y)
    scores = Scores.empty(len(candidates), len(splits), len(tasks))
    order = sorted(
        range(len(candidates)), key=lambda c: (_others(candidates[c]), -candidates[c]["alpha"])
    )
    for number, (train, test) in enumerate(splits):
        X_train, X_test, last = X(train), X(test), None
        split = progress.part("split", len(candidates))
        weight = {} if sample_weight is None else {"sample_weight": sample_weight[train]}
        for c in order:
            if last != _others(candidates[c]):
                model, last = clone(estimator), _others(candidates[c])
                if "warm_start" in model.get_params():
                    model.set_params(warm_start=True)
            began = time.perf_counter()
            with split.part("fit").of(model.set_params(**candidates[c])):
                model.fit(X_train, y[train], **weight)
            fitted = time.perf_counter()
            scores.test[c, number] = scorer(model, X_test, y[test])
            scores.score_time[c, number] = time.perf_counter() - fitted
            scores.fit_time[c, number] = fitted - began
            own = None if codes is None else codes[test]
            scores.tasks[c, number] = _task_losses(model, X_test, y[test], own, len(tasks))
        split.end()
    return scores


def _others(candidate):
    """Return the parameters other than alpha, as something to sort by."""
    return [(name, repr(value)) for name, value in sorted(candidate.items()) if name != "alpha"]


def _tasks(estimator, X, y):
    """Return the tasks (T,) and, in the long form, the task of each row."""
    column = getattr(estimator, "task_column", None)
    if column is None:
        return np.arange(y.shape[1] if y.ndim == 2 else 1), None
    return _input.factorize(_input.split_task_column(X, column)[0], column)


def _task_losses(model, X, y, codes, n_tasks):
    """Return minus the mean loss of each task, (T,), NaN where it has no rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of unknown tasks, once more
        loss = _log_loss(model, X, y) if is_classifier(model) else (y - model.predict(X)) ** 2
    if codes is None:
        observed = np.maximum(1, np.count_nonzero(~np.isnan(loss), axis=0))
        return -np.atleast_1d(np.nansum(loss, axis=0) / observed)
    count = np.bincount(codes, minlength=n_tasks).astype(float)
    count[count == 0] = np.nan
    return -np.bincount(codes, loss, minlength=n_tasks) / count


def _log_loss(model, X, y):
    """Return minus the log of the probability of what was observed, of the shape of y."""
    if y.ndim == 2:  # in the wide form y is 0 or 1
        return np.logaddexp(0.0, (1 - 2 * y) * model.decision_function(X))
    place = np.searchsorted(model.classes_, y)
    return -model.predict_log_proba(X)[np.arange(len(y)), place]
