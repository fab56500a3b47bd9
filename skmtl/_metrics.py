"""Metrics by name."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn import metrics as skm

from skmtl._warn import did_you_mean


class Metric(NamedTuple):
    """A metric; ``row_losses(y, response, labels)`` if it is the mean of these over rows.

    It ``suits`` "numbers" or "classes", is the "own" one of each task, or, a function, has "".
    """

    function: Callable
    greater_is_better: bool
    reads_score: bool = False
    uses_labels: bool = False
    response_method: str | tuple = "predict"
    row_losses: Callable | None = None
    suits: str = ""


OWN = "score"  # R^2, D^2 of counts or the accuracy


def _if_target_varies(metric):
    """Return NaN where the variance of y_true, the denominator of the metric, is zero.

    scikit-learn returns 0 or 1 there, which would distort averages over tasks.
    """

    def score(y_true, y_pred, **kwargs):
        constant = (y_true == y_true[0]).all()
        return np.nan if constant else metric(y_true, y_pred, **kwargs)

    return score


def _d2_poisson(y_true, y_pred, **kwargs):
    """Return the explained share of the Poisson deviance; NaN where y_true are no counts."""
    if (y_true < 0).any() or (y_pred <= 0).any():
        return np.nan
    return skm.d2_tweedie_score(y_true, y_pred, power=1, **kwargs)


def _correlation(y_true, y_pred, sample_weight=None):
    if any(np.ptp(values) <= 2e-13 * np.abs(values).max() for values in (y_true, y_pred)):
        return np.nan  # constant up to rounding
    C = np.cov(y_true, y_pred, aweights=sample_weight, ddof=0)
    return C[0, 1] / np.sqrt(C[0, 0] * C[1, 1])


def _per_class(metric, zero_division=np.nan):
    """Score the second of two classes, or average over more than two that occur.

    NaN where the second class neither occurs in y_true nor is predicted; for the recall, where it
    does not occur in y_true.
    """

    def score(y_true, y_pred, *, labels, **kwargs):
        labels = np.asarray(labels[1:] if len(labels) == 2 else labels)
        labels = labels[np.isin(labels, y_true) | np.isin(labels, y_pred)]
        if not len(labels):
            return np.nan
        keywords = {"labels": labels, "average": "macro", "zero_division": zero_division} | kwargs
        return metric(y_true, y_pred, **keywords)

    return score


def _are_probabilities(y_score):
    return (y_score >= 0).all() and np.allclose(y_score.sum(axis=1), 1.0)


def _of_own_classes(metric):
    """Restrict a metric of scores to the classes that occur in y_true; NaN if there is but one.

    Probabilities are those given that the class is one of these. ``metric`` takes y_true in
    {False, True} and scores (n,), or labels, scores (n, K) and ``labels`` (K,).
    """

    def score(y_true, y_score, *, labels, **kwargs):
        own = np.unique(y_true)
        if len(own) < 2:
            return np.nan
        if y_score.ndim == 1:
            return metric(y_true == own[1], y_score, **kwargs)
        if len(own) < len(labels):
            normalized = _are_probabilities(y_score)
            y_score = y_score[:, np.searchsorted(labels, own)]
            if normalized:
                total = y_score.sum(axis=1, keepdims=True)
                even = np.full(y_score.shape, 1.0 / len(own))
                y_score = np.divide(y_score, total, out=even, where=total > 0)
        if len(own) == 2:
            z = y_score[:, 1] if _are_probabilities(y_score) else y_score[:, 1] - y_score[:, 0]
            return metric(y_true == own[1], z, **kwargs)
        return metric(y_true, y_score, labels=own, **kwargs)

    return score


def _roc_auc(y_true, y_score, **kwargs):
    if y_score.ndim == 1:
        kwargs.pop("multi_class", None)
    else:
        kwargs = {"multi_class": "ovr"} | kwargs
    return skm.roc_auc_score(y_true, y_score, **kwargs)


def _average_precision(y_true, y_score, labels=None, **kwargs):
    return skm.average_precision_score(y_true, y_score, **kwargs)  # all labels are in y_true


def log_losses(y_true, y_score, labels):
    """Return minus the log-probability of the observed class in each row."""
    if y_score.ndim == 1:
        own = np.where(y_true == labels[1], y_score, 1.0 - y_score)
    else:
        y_score = y_score / y_score.sum(axis=1, keepdims=True)
        own = y_score[np.arange(len(y_true)), np.searchsorted(labels, y_true)]
    return -np.log(np.clip(own, np.finfo(np.float64).eps, 1.0))


def _brier_losses(y_true, y_score, labels):
    """Return the squared distance of probabilities to the indicator of the observed class.

    For two classes, given the probability of the second, it is half of that, as in scikit-learn.
    """
    if y_score.ndim == 1:
        return ((y_true == labels[1]) - y_score) ** 2
    return (((y_true[:, None] == labels) - y_score) ** 2).sum(axis=1)


def _brier(y_true, y_score, *, labels, sample_weight=None):
    return np.average(_brier_losses(y_true, y_score, labels), weights=sample_weight)


_PROBABILITIES_OR_DECISIONS = ("predict_proba", "decision_function")
NUMBERS = {
    "r2": Metric(_if_target_varies(skm.r2_score), True),
    "explained_variance": Metric(_if_target_varies(skm.explained_variance_score), True),
    "mean_squared_error": Metric(
        skm.mean_squared_error, False, row_losses=lambda y, z, _: (y - z) ** 2
    ),
    "mean_absolute_error": Metric(
        skm.mean_absolute_error, False, row_losses=lambda y, z, _: np.abs(y - z)
    ),
    "correlation": Metric(_correlation, True),
}
LABELS = {
    "accuracy": Metric(
        skm.accuracy_score, True, row_losses=lambda y, z, _: (y == z).astype(np.float64)
    ),
    "precision": Metric(_per_class(skm.precision_score, 0.0), True, uses_labels=True),
    "recall": Metric(_per_class(skm.recall_score), True, uses_labels=True),
}
SCORES = {
    "roc_auc": Metric(_of_own_classes(_roc_auc), True, True, True, _PROBABILITIES_OR_DECISIONS),
    "log_loss": Metric(skm.log_loss, False, True, True, "predict_proba", log_losses),
}
_MORE = {  # more than scikit-learn's scorers: of classes by any name, and of those of a task
    "f1": Metric(_per_class(skm.f1_score), True, uses_labels=True),
    "jaccard": Metric(_per_class(skm.jaccard_score, "warn"), True, uses_labels=True),
    "average_precision": Metric(
        _of_own_classes(_average_precision), True, True, True, _PROBABILITIES_OR_DECISIONS
    ),
    "brier_score": Metric(_brier, False, True, True, "predict_proba", _brier_losses),
}
_COUNTS = {"d2_poisson": Metric(_if_target_varies(_d2_poisson), True)}
_NAMED = NUMBERS | LABELS | SCORES | _COUNTS | _MORE | {"brier": _MORE["brier_score"]}


def named_metric(name):
    """Return the ``Metric`` of a name, ours or of a scorer of scikit-learn; either with "neg_"."""
    if name == OWN:
        return Metric(_own, True, suits="own")
    found, name = _found(name), name.removeprefix("neg_")
    numbers = name in NUMBERS or name.startswith("d2_") or name == "max_error"
    numbers |= name.endswith(("_error", "_deviance"))
    return found._replace(suits="numbers" if numbers and not found.reads_score else "classes")


def _own(y_true, y_pred, **kwargs):
    raise ValueError(
        f"{OWN!r} is the own metric of each of several tasks of different kinds. Use 'r2' or "
        "'accuracy' where all tasks are of one kind."
    )


def _found(name):
    known = skm.get_scorer_names()
    if name in known:
        name = name.removeprefix("neg_")
    if name in _NAMED:
        return _NAMED[name]
    found = [full for full in (name, f"neg_{name}") if full in known]
    if not found:
        names = [*_NAMED, *(full.removeprefix("neg_") for full in known)]
        raise ValueError(
            f"{name!r} is not a metric name.{did_you_mean(name.removeprefix('neg_'), names)} The "
            f"names are {list(_NAMED)} and those of scikit-learn's get_scorer_names(). Pass any "
            "other metric as a function, for instance from sklearn.metrics."
        )
    scorer = vars(skm.get_scorer(found[0]))
    function, kwargs = scorer["_score_func"], dict(scorer["_kwargs"])
    methods = scorer["_response_method"]
    reads_score = methods != "predict"
    if function is skm.roc_auc_score:
        function = _of_own_classes(partial(_roc_auc, **kwargs))
    elif reads_score:
        function = _of_all_classes(function, kwargs)
    else:
        if function in (skm.f1_score, skm.precision_score, skm.recall_score):
            kwargs["zero_division"] = 0.0  # as scikit-learn, without its warning
        function = partial(function, **kwargs)
    if name.startswith("d2_"):
        function = _if_target_varies(function)
    return Metric(function, scorer["_sign"] > 0, reads_score, reads_score, methods)


def _of_all_classes(metric, keywords):
    """Pass the labels to a metric of scores, or y_true as 0 and 1 if there are two of them."""
    takes_labels = "labels" in inspect.signature(metric).parameters

    def score(y_true, y_score, *, labels, **kwargs):
        if y_score.ndim == 1:
            return metric((y_true == labels[-1]).astype(np.intp), y_score, **keywords, **kwargs)
        own = {"labels": labels} if takes_labels else {}
        return metric(y_true, y_score, **own, **keywords, **kwargs)

    return score
