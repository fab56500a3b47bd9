"""Scores of candidates by warm-started fits."""

import time

import numpy as np
from sklearn.base import clone

from skmtl._threads import blas_threads_for
from skmtl.data import adaptive_weights, factorize, read_rows, split_task_column
from skmtl.fitting import pose, refit, solve
from skmtl.linear_model import LinearMultiTaskModel, set_fit, spec_of
from skmtl.model_selection._scoring import Scores, score_model, take

_TOL = 1e-6  # smallest tolerance of fits on training folds
_KNOTS = 3  # solutions used to extrapolate a start


def warm_scores(estimator, candidates, splits, scorer, X, y, sample_weight, progress):
    """Return the ``Scores`` of all candidates, fitted in the order of descending alpha.

    Parameters
    ----------
    estimator : estimator with a parameter alpha
    candidates : list of dict
    splits : list of pairs of index arrays
    scorer : callable or str, as of `scorer_of`
    X : callable
        Maps an index array to the rows of X.
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
        X_test, own = X(test), None if codes is None else codes[test]
        split = progress.part("split", len(candidates))
        weight, tested = take(sample_weight, train), take(sample_weight, test)
        began = time.perf_counter()
        ordered = [candidates[c] for c in order]
        models = _fitted(estimator, ordered, X(train), y[train], weight, split)
        for c, model in zip(order, models, strict=True):
            fitted = time.perf_counter()
            scores.test[c, number], losses = score_model(model, X_test, y[test], tested, scorer)
            scores.tasks[c, number] = _task_means(losses, tested, own, len(tasks))
            scores.fit_time[c, number] = fitted - began
            began = time.perf_counter()
            scores.score_time[c, number] = began - fitted
        split.end()
    return scores


def _fitted(estimator, candidates, X, y, sample_weight, progress):
    """Yield the model fitted with each candidate; it is one object that is refitted."""
    last = path = None
    for candidate in candidates:
        if last != _others(candidate):
            model, last = clone(estimator), _others(candidate)
            path = _Path(model, X, y, sample_weight) if _Path.takes(model) else None
            if "warm_start" in model.get_params():
                model.set_params(warm_start=True)
        model.set_params(**candidate)
        if path is None:
            weight = {} if sample_weight is None else {"sample_weight": sample_weight}
            with progress.fit_of(model, "fit"):
                model.fit(X, y, **weight)
        else:
            part = progress.part("fit")
            path.fit()
            part.end()
        yield model


class _Path:
    """Fits of a model to the same rows, read once, at its current alpha.

    With a quadratic penalty the solution is a smooth function of log alpha: starts are
    extrapolated from the last solutions, and one Newton step is often enough.
    """

    def __init__(self, model, X, y, sample_weight):
        spec_of(model)  # checks the parameters
        self._model, self._fit, self._knots = model, None, []
        self._rows = read_rows(model, X, y, sample_weight, reset=True)

    @staticmethod
    def takes(model):
        """Return whether the preprocessed data of the model are independent of alpha."""
        return (
            isinstance(model, LinearMultiTaskModel)
            and not adaptive_weights(model.task_weight)
            and "alpha_intercept" not in spec_of(model).auto
        )

    def fit(self):
        """Fit the model with its current alpha."""
        model, last = self._model, self._fit
        with blas_threads_for(self._rows.work):
            spec = spec_of(model)
            if last is None or len(last.rows.tasks) < len(self._rows.tasks):
                self._fit = solve(spec, pose(spec, self._rows))
            else:
                self._fit = refit(spec, last, self._start(), max(model.tol, _TOL))
        set_fit(model, self._fit)
        if self._fit.problem.penalty.quadratic and 0 < model.alpha < np.inf:
            at = np.log(model.alpha)
            others = [knot for knot in self._knots if knot[0] != at]
            self._knots = [*others[1 - _KNOTS :], (at, self._fit.solution.coefficients)]

    def _start(self):
        """Return coefficients extrapolated by a polynomial in log alpha, or the last ones."""
        if not self._knots or not 0 < self._model.alpha < np.inf:
            return self._fit.solution.coefficients
        x, parts = np.log(self._model.alpha), []
        for i, (at, part) in enumerate(self._knots):
            others = np.array([knot for j, (knot, _) in enumerate(self._knots) if j != i])
            parts.append(part.times(np.prod((x - others) / (at - others))))
        start = parts[0]
        for part in parts[1:]:
            start = start.plus(part)
        return start


def _others(candidate):
    """Return the parameters other than alpha, as a sort key."""
    return [(name, repr(value)) for name, value in sorted(candidate.items()) if name != "alpha"]


def _tasks(estimator, X, y):
    """Return the tasks (T,) and, in the long form, the task of each row."""
    column = estimator.task_column
    if column is None:
        return np.arange(y.shape[1] if y.ndim == 2 else 1), None
    return factorize(split_task_column(X, column)[0], column)


def _task_means(losses, weight, codes, n_tasks):
    """Return minus the mean loss of each task, (T,), NaN where it has no rows."""
    weight = np.ones(len(losses)) if weight is None else weight
    if codes is None:
        seen = ~np.isnan(losses)
        total = np.atleast_1d(weight @ seen)
        sums = np.atleast_1d(weight @ np.where(seen, losses, 0.0))
    else:
        total = np.bincount(codes, weight, minlength=n_tasks)
        sums = np.bincount(codes, weight * losses, minlength=n_tasks)
    return -np.divide(sums, total, out=np.full(n_tasks, np.nan), where=total > 0)
