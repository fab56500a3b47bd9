"""The user's estimator and the models it is compared with."""

from collections.abc import Mapping

import numpy as np
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skmtl._metrics import log_losses
from skmtl.data import task_columns, without_task_column
from skmtl.linear_model import (
    PooledClassifier,
    PooledRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
    mean_of_defined,
    outcome_mean_losses,
)
from skmtl.model_selection import (
    RegularizationPathCV,
    TaskRows,
    known_rows,
    make_splits,
    of_kinds,
)

ALPHAS = 15  # size of the grid of alpha
INNER = 3  # inner folds
_SHUFFLE = {"shuffle": True, "random_state": 0}  # in the wide form
_ALIKE = {
    *("task_column", "fit_intercept", "task_weight", "task_classes", "class_weight"),
    "penalty_factor",
}


def unwrapped(estimator):
    """Return the estimator, or the Pipeline, inside of searches such as GridSearchCV."""
    while hasattr(estimator, "estimator"):
        estimator = estimator.estimator
    return estimator


def final_step(estimator):
    """Return the multi-task estimator inside searches and a Pipeline."""
    inner = unwrapped(estimator)
    inner = unwrapped(inner[-1]) if isinstance(inner, Pipeline) else inner
    if not hasattr(inner, "get_params") or "task_column" not in inner.get_params():
        raise TypeError(
            "estimator must be a multi-task estimator with a parameter task_column, a Pipeline "
            f"that ends in one, or a search over either; got {type(inner).__name__}."
        )
    return inner


def fitted_model(estimator, X=None):
    """Return the fitted multi-task model, and X after the transformers that precede it."""
    inner = getattr(estimator, "best_estimator_", estimator)
    if isinstance(inner, Pipeline):
        X = inner[:-1].transform(X) if len(inner) > 1 and X is not None else X
        inner = getattr(inner[-1], "best_estimator_", inner[-1])
    check_is_fitted(inner)
    if not hasattr(inner, "coef_") or not hasattr(inner, "tasks_"):
        raise TypeError(
            "estimator must be a fitted multi-task model with coef_ and tasks_, a Pipeline that "
            f"ends in one, or a search over either; got {type(inner).__name__}."
        )
    return inner, X


def feature_names(estimator, model):
    """Return the names of the features of a fitted model, without the task column: a list of str.

    Sparse features have those that the transformers of a Pipeline give. Without names they are
    "x0", "x1", ..., in the order of ``coef_``.
    """
    default = [f"x{j}" for j in range(model.coef_.shape[-1])]
    names = getattr(model, "feature_names_in_", None)
    inner = getattr(estimator, "best_estimator_", estimator)
    if names is None and isinstance(inner, Pipeline) and len(inner) > 1:
        try:
            names = inner[:-1].get_feature_names_out()
        except (AttributeError, ValueError):  # a transformer names nothing
            return default
    if names is None:
        return default
    return without_task_column(list(names), model.task_column)


def row_labels(model):
    """Return the labels of the rows of the coefficients, a list.

    These are the tasks or, of a class in a task with several rows, a tuple of task and class.
    """
    if not hasattr(model, "coef_tasks_"):
        return model.tasks_.tolist()
    tasks = model.coef_tasks_.tolist()
    labels = []
    for task in model.tasks_.tolist():
        own = tasks.count(task) > 1
        labels += [(task, label) for label in model.classes_[task].tolist()] if own else [task]
    return labels


def find_task_column(estimator, given, cv=None):
    """Return the task column in the user's X, None in the wide form."""
    final = final_step(estimator)
    if given is not None or final.task_column is None:
        return given
    inner = unwrapped(estimator)
    if not isinstance(inner, Pipeline):
        return final.task_column
    if getattr(cv, "task_column", None) is not None:
        return cv.task_column
    first = inner[0]
    if hasattr(first, "task_column"):  # as made by make_task_pipeline
        return first.task_column
    if isinstance(first, ColumnTransformer):
        name, transformer, columns = first.transformers[0]
        n_columns = len(task_columns(final.task_column))
        if (name, transformer) == ("task", "passthrough") and len(columns) == n_columns:
            return columns[0] if n_columns == 1 else list(columns)
    raise ValueError(
        f"The {type(final).__name__} has task_column={final.task_column!r} after the transformers "
        "of a Pipeline; the corresponding column of X is unknown. Pass task_column=."
    )


def fit(estimator, X, y, weight):
    """Return a fitted clone; sample weights are passed to the last step of a Pipeline."""
    if weight is None:
        return clone(estimator).fit(X, y)
    inner = unwrapped(estimator)
    name = f"{inner.steps[-1][0]}__" if isinstance(inner, Pipeline) else ""
    return clone(estimator).fit(X, y, **{f"{name}sample_weight": weight})


class _KnownTaskFolds:
    """Folds without test rows of tasks or classes that are absent from the training rows."""

    def __init__(self, task_column, classifier):
        self.task_column, self.classifier = task_column, classifier

    def split(self, X, y=None, groups=None):
        """Generate the row numbers of each training and test fold."""
        codes = TaskRows.read(X, np.asarray(y), None, self.task_column).codes
        codes, shuffle = ([codes], None) if codes is not None else ([], _SHUFFLE)
        if self.classifier and np.ndim(y) == 1:
            codes.append(np.unique(y, return_inverse=True)[1])
        for train, test in make_splits(INNER, X, y, self.task_column, shuffle=shuffle):
            test = known_rows(train, test, *codes)
            if len(test):
                yield train, test


def tuned(kind, estimator):
    """Return a "pooled" or "separate" model to compare with, with alpha chosen by inner CV.

    It has the parameters and the Pipeline, if any, of the estimator.
    """
    final = final_step(estimator)
    if of_kinds(final):
        return _in_pipeline(estimator, SeparateOutcomes(final))
    classifier, given = is_classifier(final), final.get_params()
    models = {
        "pooled": (PooledRegressor, PooledClassifier),
        "separate": (SharedL2Regressor, SharedL2Classifier),
    }
    model = models[kind][classifier]()
    alike = given.keys() & model.get_params().keys() & _ALIKE
    model.set_params(**{name: given[name] for name in alike})
    if "alpha_shared" in given:  # inf makes slopes common there, and in these models zero
        model.set_params(penalty_factor=_without_inf(given.get("penalty_factor")))
    scorer = _minus_log_loss if classifier else "neg_mean_squared_error"  # no fits needed
    folds = _KnownTaskFolds(model.task_column, classifier)
    return _in_pipeline(estimator, RegularizationPathCV(model, ALPHAS, cv=folds, scoring=scorer))


def separate_outcomes(model, alpha):
    """Return a clone of a model of tasks of different kinds whose tasks have nothing in common."""
    alone = {"penalty": "ridge", "alpha_intercept": 0.0, "solver": "auto", "warm_start": False}
    return clone(model).set_params(**alone, alpha=alpha)


class SeparateOutcomes(BaseEstimator):
    """Ridge models of the tasks of a model of tasks of different kinds, each with its own alpha.

    That of each task has the least mean loss of the task in inner folds, the loss by which models
    are compared.
    """

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y, sample_weight=None):
        """Choose the alphas and fit ``best_estimator_``."""
        model = separate_outcomes(self.estimator, 1.0)
        given = {} if sample_weight is None else {"sample_weight": sample_weight}
        folds = _KnownTaskFolds(model.task_column, False)
        search = RegularizationPathCV(model, ALPHAS, cv=folds, scoring=_OwnLosses())
        self.best_estimator_ = best = search.fit(X, y, **given).best_estimator_
        scores = np.ma.masked_invalid(search.task_scores_).mean(axis=1).filled(-np.inf)
        tasks, alphas = best.tasks_.tolist(), search.alphas_[scores.argmax(axis=0)]
        self.alphas_ = dict(zip(tasks, alphas.tolist(), strict=True))
        of_rows = np.array([self.alphas_[task] for task in best.coef_tasks_.tolist()])
        for alpha in set(alphas.tolist()) - {best.alpha}:
            other, own = clone(best).set_params(alpha=alpha).fit(X, y, **given), of_rows == alpha
            best.coef_[own], best.intercept_[own] = other.coef_[own], other.intercept_[own]
        return self


class _OwnLosses:
    """Scorer by the loss of each task."""

    def of_tasks(self, model, X, y, sample_weight):
        """Return minus the mean loss of each task, (T,)."""
        return -outcome_mean_losses(model, X, y, sample_weight)

    def __call__(self, model, X, y, sample_weight=None):
        return mean_of_defined(self.of_tasks(model, X, y, sample_weight))


def _in_pipeline(estimator, search):
    """Return a search, as the last step of the Pipeline of an estimator if it has one."""
    inner = unwrapped(estimator)
    if isinstance(inner, Pipeline):
        return clone(inner).set_params(**{inner.steps[-1][0]: search})
    return search


def _without_inf(factor):
    """Return penalty factors with 1 in place of inf."""
    if factor is None:
        return None
    if isinstance(factor, Mapping):
        return {name: 1.0 if value == np.inf else value for name, value in factor.items()}
    return np.where(np.isinf(factor), 1.0, factor)


def _minus_log_loss(model, X, y):
    """Score all rows together; y is an indicator in the wide form."""
    p = model.predict_proba(X)
    if np.ndim(y) == 2:
        observed = ~np.isnan(y)
        return -log_losses(y[observed], p[observed], [0, 1]).mean()
    return -log_losses(y, p, model.classes_).mean()
