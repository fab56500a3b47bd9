"""Scores of candidates by warm-started fits."""

import time
from collections.abc import Mapping
from functools import reduce
from itertools import groupby
from numbers import Real

import numpy as np
from sklearn.base import clone

from skmtl._jobs import run
from skmtl._threads import blas_threads_for
from skmtl.data import condensed_rows, read_rows
from skmtl.fitting import refit, solve
from skmtl.linear_model import PredictionRows, is_complete, set_fit, spec_of
from skmtl.model_selection._scoring import (
    Scores,
    of_kinds,
    score_model,
    score_outcomes,
    weights_for,
)
from skmtl.penalties import Coefficients
from skmtl.tuning import ADAPTIVE, pose_outcomes

_TOL = 1e-6  # smallest tolerance of fits on training folds
_KNOTS = 5  # solutions used to extrapolate a start


def warm_scores(estimator, candidates, splits, scorer, rows, progress, n_jobs, verbose):
    """Return the ``Scores`` of all candidates (dicts), fitted in the order of descending alpha.

    ``splits`` are pairs of index arrays into ``rows``, a ``TaskRows``; ``scorer`` is as of
    `scorer_of`, ``progress`` a ``Progress``, ``n_jobs`` and ``verbose`` as of joblib.
    """
    order = sorted(
        range(len(candidates)), key=lambda c: (_others(candidates[c]), -_size(candidates[c]))
    )
    ordered = [candidates[c] for c in order]
    jobs = [(estimator, ordered, *split, scorer, rows, progress) for split in splits]
    found = run(_scores_of_split, jobs, n_jobs, verbose)
    scores = Scores(*(np.stack(parts, axis=1) for parts in zip(*found, strict=True)))
    return Scores(*(part[np.argsort(order)] for part in scores))


def _scores_of_split(estimator, candidates, train, test, scorer, rows, progress):
    """Return the ``Scores`` of the candidates, in their order, without the axis of splits."""
    X, y, weight = rows.take(test)
    X = PredictionRows(X)
    codes, n_tasks = None if rows.codes is None else rows.codes[test], len(rows.tasks)
    by_task = not is_complete(rows.y, rows.weight)  # in all splits alike
    split, scores = progress.part("split", len(candidates)), []
    began = time.perf_counter()
    for model in _fitted(estimator, candidates, *rows.training(train), split):
        fitted = time.perf_counter()
        if rows.targets is not None:
            score, means = score_outcomes(model, X.X, y, weight, scorer, rows.tasks)
        else:
            score, losses = score_model(model, X, y, weight, scorer, by_task)
            means = _task_means(losses, weight, codes, n_tasks)
        scored = time.perf_counter()
        scores.append((score, means, fitted - began, scored - fitted))
        began = scored
    split.end()
    return Scores(*map(np.array, zip(*scores, strict=True)))


def _fitted(estimator, candidates, X, y, sample_weight, progress):
    """Yield the model fitted with each candidate; it is one object that is refitted."""
    for _, group in groupby(candidates, _others):
        group = list(group)
        model = clone(estimator).set_params(warm_start=True, **group[0])
        alone = of_kinds(model) or _alpha_is_all(spec_of(model))
        path = _Path(model, X, y, sample_weight) if alone else None
        for candidate in group:
            model.alpha = candidate["alpha"]  # the others are equal, and set_params takes long
            if path is None:
                with progress.fit_of(model, "fit"):
                    model.fit(X, y, **weights_for(sample_weight))
            else:
                part = progress.part("fit")
                path.fit()
                part.end()
            yield model


def _alpha_is_all(spec):
    """Return whether nothing but alpha changes the problem: no weight is estimated from it."""
    return not spec.auto and spec.weighting not in ADAPTIVE


class _Path:
    """Fits of a model to the same rows, read once, at its current alpha.

    A squared loss depends on their moments only: regressors are fitted to fewer rows with these.
    With a quadratic penalty the solution is a smooth function of log alpha: starts are
    extrapolated from the last solutions, and one Newton step is often enough.
    """

    def __init__(self, model, X, y, sample_weight):
        self._model, self._fit, self._knots = model, None, {}
        rows = read_rows(model, X, y, sample_weight, reset=True)
        if rows.outcomes is None and not spec_of(model).classifier:
            rows = condensed_rows(model, rows, centered=model.fit_intercept)
        self._rows = rows

    def fit(self):
        """Fit the model with its current alpha."""
        model, last = self._model, self._fit
        with blas_threads_for(self._rows.work):
            spec = spec_of(model)
            if last is None or len(last.rows.tasks) < len(self._rows.tasks):
                self._fit = solve(spec, pose_outcomes(spec, self._rows))
            else:
                self._fit = refit(spec, last, self._start(), max(model.tol, _TOL))
        set_fit(model, self._fit)
        if self._fit.problem.penalty.quadratic and self._is_knot():
            at = np.log(model.alpha)
            self._knots.pop(at, None)
            self._knots[at] = self._fit.solution.coefficients
            if len(self._knots) > _KNOTS:
                del self._knots[next(iter(self._knots))]  # the first

    def _is_knot(self):
        alpha = self._model.alpha
        return not isinstance(alpha, Mapping) and 0 < alpha < np.inf

    def _start(self):
        """Return coefficients extrapolated by a polynomial in log alpha, or the last ones."""
        if not self._knots or not self._is_knot():
            return self._fit.solution.coefficients
        x, at = np.log(self._model.alpha), np.array(list(self._knots))
        weights = [np.prod((x - at[at != a]) / (a - at[at != a])) for a in at]
        parts = self._knots.values()
        return reduce(
            Coefficients.plus, [part.times(w) for part, w in zip(parts, weights, strict=True)]
        )


def _size(candidate):
    """Return alpha, or the largest of a dict; inf if it has no numbers, which its fit refuses."""
    alpha = candidate["alpha"]
    values = alpha.values() if isinstance(alpha, Mapping) else [alpha]
    return max((own for own in values if isinstance(own, Real)), default=np.inf)


def _others(candidate):
    """Return the parameters other than alpha, as a sort key."""
    return [(name, repr(value)) for name, value in sorted(candidate.items()) if name != "alpha"]


def _task_means(losses, weight, codes, n_tasks):
    """Return minus the mean loss of each task, (T,), NaN where it has no rows."""
    weight = np.ones(len(losses)) if weight is None else weight
    if losses.ndim > weight.ndim:
        weight = weight[:, None]
    codes = np.arange(n_tasks) if codes is None else codes
    seen = ~np.isnan(losses)
    codes, weight = (np.broadcast_to(part, losses.shape)[seen] for part in (codes, weight))
    total = np.bincount(codes, weight, minlength=n_tasks)
    sums = np.bincount(codes, weight * losses[seen], minlength=n_tasks)
    return -np.divide(sums, total, out=np.full(n_tasks, np.nan), where=total > 0)
