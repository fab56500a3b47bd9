"""Scores over strengths where the loss is squared and the coupling a ridge to a centre."""

import time
from itertools import groupby
from typing import NamedTuple

import numpy as np
from sklearn.base import clone

from skmtl import _input
from skmtl.linear_model import MeanRegularizedRegressor, PooledRegressor, SharedL2Regressor
from skmtl.model_selection._leave_one_out import NothingLeftError, left_out
from skmtl.model_selection._moments import long_moments, wide_moments
from skmtl.model_selection._scoring import Scores, many_scores, take
from skmtl.model_selection._spectral_path import CenterSystems, SpectralPath

_CHUNK = 2**23  # numbers in the coefficients, or predictions, of candidates that go together
_ROOM = 2**27  # numbers in the moments of all parts, at most


class _Strengths(NamedTuple):
    """Those of one candidate; alpha is that of all tasks."""

    alpha: float
    alpha_shared: float
    alpha_intercept: float


class RidgeSearch:
    """The fits of all candidates on parts of the rows, which are read once.

    Parameters
    ----------
    estimator : estimator
    rows : Rows
    strengths : list of _Strengths, one for each candidate
    """

    def __init__(self, estimator, rows, strengths):
        self._rows, self._strengths, self._wide = rows, strengths, rows.codes is None
        self._fixed_level = not estimator.fit_intercept
        self._task_weight, self._model = estimator.task_weight, estimator
        # Features are counted from their means, targets from one number for all tasks, as models
        # do: levels are drawn together.
        self._origin = rows.X.mean(axis=0) if estimator.fit_intercept else np.zeros(rows.X.shape[1])
        self._offset = rows.y.mean() if estimator.fit_intercept else 0.0
        self._X, self._y = rows.X - self._origin, rows.y - self._offset

    @classmethod
    def of(cls, estimator, candidates, X, y, sample_weight):
        """Return the search, or None where the fits are not of this kind."""
        kinds = PooledRegressor, SharedL2Regressor, MeanRegularizedRegressor
        if not isinstance(estimator, kinds) or _input.adaptive(estimator.task_weight):
            return None
        if sample_weight is not None and not np.all(sample_weight):
            return None
        model = clone(estimator)
        model._check_parameters()
        rows = _input.read_rows(model, X, y, sample_weight, reset=True)
        n_tasks, d = len(rows.tasks), rows.X.shape[1]
        uneven = rows.codes is None and (rows.observed is not None or model.task_weight is not None)
        if uneven or len(rows.X) < d or n_tasks * d**2 * 8 > _ROOM:
            return None
        strengths = []
        for candidate in candidates:
            model.set_params(**candidate)
            if isinstance(model.alpha, str) or isinstance(
                getattr(model, "alpha_intercept", None), str
            ):
                return None
            penalty = model._penalty(rows.tasks)
            alpha = penalty.alpha[0]
            if alpha == 0 or (penalty.alpha != alpha).any():
                return None
            strengths.append(
                _Strengths(float(alpha), penalty.alpha_shared, penalty.alpha_intercept)
            )
        if not _input.task_weights(model.task_weight, rows.tasks).all():
            return None
        return cls(clone(estimator), rows, strengths)

    def covers(self, splits):
        """Return whether each split trains on rows once, and on rows of every task it tests."""
        if any(np.bincount(train).max() > 1 for train, _ in splits):
            return False
        codes, n_tasks = self._rows.codes, len(self._rows.tasks)
        return self._wide or all(
            (np.bincount(codes[train], minlength=n_tasks)[codes[test]] > 0).all()
            for train, test in splits
        )

    def scores(self, splits, scorer, X, y, weight, progress):
        """Return the ``Scores`` of all candidates on the splits, pairs of index arrays.

        X, a function of an index array, y and ``weight``, (n,) or None, are what scorers get.
        """
        n_candidates = len(self._strengths)
        scores = Scores.empty(n_candidates, len(splits), len(self._rows.tasks))
        for number, (moments, (_, test)) in enumerate(
            zip(self._training(splits), splits, strict=True)
        ):
            part = progress.part("split")
            given = None if isinstance(scorer, str) else X(test), y[test], take(weight, test)
            began = time.perf_counter()
            room = self._X.shape[1] * len(self._rows.tasks) + self._y[test].size
            for candidates, path, systems in self._paths(*self._weighted(moments), room):
                fits = path.solve(systems)
                fitted = time.perf_counter()
                predicted, squares = self._predict(path.center, *fits, test)
                scores.test[candidates, number] = many_scores(scorer, *given, predicted)
                scores.tasks[candidates, number] = -squares.T
                scored = time.perf_counter()
                scores.fit_time[candidates, number] = (fitted - began) / len(candidates)
                scores.score_time[candidates, number] = (scored - fitted) / len(candidates)
                began = scored
            part.end()
        return scores

    def left_out(self):
        """Return the predictions of every row by the fits without it, and mean squared errors.

        These are (n, C) or (n, T, C), and (T, C). None where nothing is left to predict a row with.
        """
        rows, n = self._rows, len(self._rows.X)
        whole = self._moments(np.zeros(n, dtype=np.intp), 1).of([0])
        moments, center = self._weighted(whole)
        weight = rows.weight
        if self._wide:
            places = [slice(None)]
        else:
            factor = self._factor(np.bincount(rows.codes, rows.weight))
            weight = weight * factor[rows.codes]
            order = np.argsort(rows.codes, kind="stable")
            places = np.split(order, np.bincount(rows.codes).cumsum()[:-1])
        y = self._y.reshape(n, -1)
        data = [(self._X[own] - center, y[own], weight[own]) for own in places]
        found = np.empty((*y.shape, len(self._strengths)))
        squares = np.empty((len(rows.tasks), len(self._strengths)))
        room = len(self._rows.tasks) * (self._X.shape[1] + 1) ** 2
        for candidates, path, systems in self._paths(moments, center, room):
            part = np.empty((*y.shape, len(candidates)))
            try:
                residuals = left_out(path, systems, data, moments.total)
            except NothingLeftError:
                return None
            for b, residual in enumerate(residuals):
                part[places[b]] = y[places[b], :, None] - residual
                tasks = slice(None) if self._wide else slice(b, b + 1)
                own = rows.weight[places[b]]
                squares[tasks, candidates] = np.average(residual**2, axis=0, weights=own)
            found[..., candidates] = part
        found += self._offset
        return (found if self._wide else found[:, 0]), squares

    def _moments(self, part, n_parts):
        rows = self._rows
        if self._wide:
            return wide_moments(self._X, self._y, rows.weight, part, n_parts)
        return long_moments(
            self._X, self._y, rows.weight, rows.codes, len(rows.tasks), part, n_parts
        )

    def _training(self, splits):
        """Yield the moments of each split's training rows.

        Rows that train together in all splits are one part: the moments of k folds are those of
        their parts, and the data are read once. Where there are too many parts, each split is
        read by itself.
        """
        n, (B, d) = len(self._rows.X), (len(self._rows.tasks), self._X.shape[1])
        member = np.zeros((n, len(splits)), dtype=bool)
        for number, (train, _) in enumerate(splits):
            member[train, number] = True
        bits = np.packbits(member, axis=1)
        _, first, part = np.unique(
            bits.view(f"V{bits.shape[1]}")[:, 0], return_index=True, return_inverse=True
        )
        patterns = member[first]
        if len(patterns) <= len(splits) + 1 and len(patterns) * B * d**2 <= _ROOM:
            moments = self._moments(part.ravel(), len(patterns))
            for number in range(len(splits)):
                yield moments.of(np.flatnonzero(patterns[:, number]))
            return
        for number in range(len(splits)):
            yield self._moments(np.where(member[:, number], 0, 1), 2).of([0])

    def _factor(self, totals):
        """Return the task weights a_t of tasks with these sums of sample weights, (T,)."""
        if _input.balanced(self._task_weight):
            present = totals > 0
            mean = totals[present].mean()
            return np.divide(mean, totals, out=np.zeros_like(totals), where=present)
        return _input.task_weights(self._task_weight, self._rows.tasks)

    def _weighted(self, moments):
        """Return the moments with task weights, and where levels are measured."""
        if not self._wide:
            moments = moments.scaled(self._factor(moments.total))
        self._trained = moments.total > 0
        moments = moments.take(self._trained)
        center = np.zeros(self._X.shape[1])
        if not self._fixed_level:
            center = moments.total @ moments.mean / moments.total.sum()
        return moments, center

    def _paths(self, moments, center, room):
        """Yield candidates that go together, an index array, with their path and systems.

        ``room`` is how many numbers a candidate takes.
        """
        strengths = self._strengths
        order = sorted(range(len(strengths)), key=lambda c: strengths[c].alpha_intercept)
        step = max(1, _CHUNK // room)
        for strength, members in groupby(order, lambda c: strengths[c].alpha_intercept):
            path, group = SpectralPath(moments, center, strength, self._fixed_level), list(members)
            for first in range(0, len(group), step):
                own = group[first : first + step]
                alpha, shared = np.array([strengths[c][:2] for c in own]).T
                yield np.array(own), path, CenterSystems(path, alpha, shared)

    def _predict(self, center, W, level, test):
        """Return the predictions of some rows, (n, A) or (n, T, A), and mean squared errors (T, A).

        W is (B, d, m, A), of the tasks that have rows to train on.
        """
        X, y, A = self._X[test] - center, self._y[test], W.shape[-1]
        weight = self._rows.weight[test]
        squares = np.full((len(self._rows.tasks), A), np.nan)
        if self._wide:
            predicted = (X @ W[0].reshape(X.shape[1], -1)).reshape(*y.shape, A)
            predicted += level[0]
            squares[:] = np.average(np.square(predicted - y[..., None]), axis=0, weights=weight)
            return predicted + self._offset, squares
        codes = self._rows.codes[test]
        order = np.argsort(codes, kind="stable")
        known, first = np.unique(codes[order], return_index=True)
        block = np.cumsum(self._trained) - 1
        predicted, errors = np.empty((2, len(y), A))
        for t, own in zip(known, np.split(order, first[1:]), strict=True):
            predicted[own] = X[own] @ W[block[t], :, 0] + level[block[t], 0]
        np.square(predicted - y[:, None], out=errors)
        errors *= weight[:, None]
        totals = np.add.reduceat(weight[order], first)
        squares[known] = np.add.reduceat(errors[order], first, axis=0) / totals[:, None]
        return predicted + self._offset, squares
