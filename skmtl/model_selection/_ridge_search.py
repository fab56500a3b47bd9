"""Scores of candidates with a squared loss and a quadratic penalty around a center."""

import time

import numpy as np
from scipy import sparse
from scipy.sparse import issparse
from sklearn.base import clone

from skmtl._linalg import row_space
from skmtl._threads import blas_threads_for, in_chunks
from skmtl.data import (
    long_moments,
    read_penalty_factor,
    read_task_weights,
    wide_moments,
)
from skmtl.linear_model import spec_of
from skmtl.model_selection._ridge_path import NotIdentifiedError, RidgePath
from skmtl.model_selection._scoring import Scores, many_scores, take
from skmtl.tuning import ADAPTIVE

_CHUNK = 2**23  # numbers in the coefficients, or predictions, of a chunk of candidates
_SCALES = 1e4  # largest ratio of the ranges of columns for the use of a row space
_ROOM = 2**27  # most numbers in the moments of all parts


class RidgeSearch:
    """Fit and score all candidates on subsets of the rows, which are read once.

    Parameters
    ----------
    spec : Spec
        Of any of the candidates.
    rows : Rows
    weights : ndarray of shape (3, n_candidates)
        alpha, alpha_shared and alpha_intercept of each.
    """

    def __init__(self, spec, rows, weights):
        self._rows, self._weights, self._wide = rows, weights, rows.codes is None
        self._fixed_intercept, self._spec = not spec.fit_intercept, spec
        # As in the models, features are centered, and targets are shifted by one number for all
        # tasks: the penalty depends on the differences of centered intercepts.
        origin = rows.X.mean(axis=0) if spec.fit_intercept else 0.0
        self._offset = rows.y.mean() if spec.fit_intercept else 0.0
        self._X, self._y = rows.X - origin, rows.y - self._offset
        if len(self._X) < self._X.shape[1]:  # coefficients lie in the row space
            if spec.fit_intercept:  # rounding errors of a large mean
                self._X -= self._X.mean(axis=0)
            with blas_threads_for(rows.work):
                self._X = self._X @ row_space(self._X)

    @classmethod
    def of(cls, estimator, candidates, rows):
        """Return the search, or None if it does not support the fits of the candidates."""
        model, weights = clone(estimator), []
        if issparse(rows.X):
            return None
        spec, n_tasks, d = spec_of(model), len(rows.tasks), min(rows.X.shape)
        wide, by_target = rows.codes is None, rows.observed is not None or rows.weight.ndim == 2
        uneven = wide and (by_target or spec.task_weight is not None)
        if uneven or n_tasks * d**2 * 8 > _ROOM:
            return None
        if spec.classifier or spec.weighting in ADAPTIVE:
            return None
        for candidate in candidates:
            for name, value in candidate.items():  # set_params is slow
                setattr(model, name, value)
            spec = spec_of(model)
            penalty = spec.penalty(rows.tasks)
            if spec.auto or not penalty.around_center:
                return None
            alpha = penalty.alpha[0]
            if alpha == 0 or (penalty.alpha != alpha).any():
                return None
            weights.append((alpha, penalty.alpha_shared, penalty.alpha_intercept))
        if not read_task_weights(spec.task_weight, rows.tasks).all():
            return None
        factor = read_penalty_factor(spec.penalty_factor, rows.n_features, rows.names)
        if factor is not None:
            if (factor == 0).any() or (spec.common and np.isinf(factor).any()):
                return None  # the limits have very large or small columns, see ``factor_basis``
            rows = rows._replace(X=rows.X / np.sqrt(factor))
        if d < rows.X.shape[1] and _scales_differ(rows.X):
            return None
        return cls(spec, rows, np.array(weights).T)

    @property
    def work(self):
        """Number of multiplications for the Gram matrices of all rows."""
        return self._rows.work

    def covers(self, splits):
        """Return whether each split trains on distinct rows, with rows of every task it tests."""
        if any(np.bincount(train).max() > 1 for train, _ in splits):
            return False
        codes, n_tasks = self._rows.codes, len(self._rows.tasks)
        return self._wide or all(
            (np.bincount(codes[train], minlength=n_tasks)[codes[test]] > 0).all()
            for train, test in splits
        )

    def scores(self, splits, scorer, X, y, weight, progress):
        """Return the ``Scores`` of all candidates on the splits, pairs of index arrays.

        X, a function of an index array, y and ``weight``, (n,) or None, are passed to scorers.
        """
        scores, training = self._empty(len(splits)), self._training(splits)

        def score(number):
            test = splits[number][1]
            given = None if isinstance(scorer, str) else X(test), y[test], take(weight, test)
            began = time.perf_counter()
            moments, center, trained = self._weighted(training(number))
            room = self._X.shape[1] * len(self._rows.tasks) + self._y[test].size
            for candidates, fits in self._fits(moments, center, room):
                solution = fits.solve()
                fitted = time.perf_counter()
                predicted, squares = self._predict(center, trained, *solution, test)
                scores.test[candidates, number] = many_scores(scorer, *given, predicted)
                scores.tasks[candidates, number] = -squares.T
                scored = time.perf_counter()
                scores.fit_time[candidates, number] = (fitted - began) / len(candidates)
                scores.score_time[candidates, number] = (scored - fitted) / len(candidates)
                began = scored

        if progress.watched or not isinstance(scorer, str):  # user code may not be thread-safe
            for number in range(len(splits)):
                part = progress.part("split")
                score(number)
                part.end()
            return scores
        n_tasks, d = len(self._rows.tasks), self._X.shape[1]
        work = len(splits) * n_tasks * d**2 * (10 * d + self._weights.shape[1])
        in_chunks(lambda first, last: [score(i) for i in range(first, last)], len(splits), work)
        return scores

    def _empty(self, n_splits):
        return Scores.empty(self._weights.shape[1], n_splits, len(self._rows.tasks))

    def leave_one_out(self, scorer, X, y, weight):
        """Return the ``Scores`` of one split and the std of the squared errors of rows, (C,).

        None where a prediction is not identified without its row. X, y and ``weight`` are as in
        `scores`.
        """
        began, rows = time.perf_counter(), self._rows
        residuals = self._left_out()
        if residuals is None:
            return None
        scores, squares = self._empty(1), np.square(residuals)
        if self._wide:
            means, errors = np.average(squares, axis=0, weights=weight), squares.mean(axis=1)
        else:
            n, totals, errors = len(y), np.bincount(rows.codes, rows.weight), squares
            shares = rows.weight / totals[rows.codes]
            means = sparse.csc_array((shares, rows.codes, np.arange(n + 1))) @ squares
        scores.tasks[:, 0] = -means.T
        mean = np.average(errors, axis=0, weights=weight)
        if scorer == "neg_mean_squared_error":
            scores.test[:, 0] = -mean
        else:
            scores.test[:, 0] = many_scores(scorer, X, y, weight, y[..., None] - residuals)
        scores.fit_time[:] = (time.perf_counter() - began) / self._weights.shape[1]
        scores.score_time[:] = 0.0
        errors -= mean
        return scores, np.sqrt(np.average(np.square(errors, out=errors), axis=0, weights=weight))

    def _left_out(self):
        """Return the leave-one-out residuals of all rows, (n, C) or (n, T, C)."""
        rows, n = self._rows, len(self._rows.X)
        whole = self._moments(np.zeros(n, dtype=np.intp), 1).of([0])
        moments, center, _ = self._weighted(whole)
        weight = rows.weight
        if self._wide:
            places = [slice(None)]
        else:
            factor = self._factor(np.bincount(rows.codes, rows.weight))
            weight = weight * factor[rows.codes]
            order = np.argsort(rows.codes, kind="stable")
            places = np.split(order, np.bincount(rows.codes).cumsum()[:-1])
        data = self._X - center, self._y.reshape(n, -1), weight
        found = np.empty((*data[1].shape, self._weights.shape[1]))
        room = len(rows.tasks) * (self._X.shape[1] + 1) ** 2
        for candidates, fits in self._fits(moments, center, room):
            whole = len(candidates) == found.shape[-1]
            part = found if whole else np.empty((*data[1].shape, len(candidates)))
            try:
                fits.left_out(*data, places, part)
            except NotIdentifiedError:
                return None
            if not whole:
                found[..., candidates] = part
        return found if self._wide else found[:, 0]

    def _moments(self, part, n_parts):
        rows = self._rows
        if self._wide:
            return wide_moments(self._X, self._y, rows.weight, part, n_parts)
        return long_moments(
            self._X, self._y, rows.weight, rows.codes, len(rows.tasks), part, n_parts
        )

    def _training(self, splits):
        """Return a function from the number of a split to the moments of its training rows.

        Rows that are in the same training sets form one part; the moments of a training set are
        sums over parts, computed in one pass. With too many parts, each split has its own pass.
        """
        n, (B, d) = len(self._rows.X), (len(self._rows.tasks), self._X.shape[1])
        member = np.zeros((n, len(splits)), dtype=bool)
        for number, (train, _) in enumerate(splits):
            member[train, number] = True
        bits = np.packbits(member, axis=1)
        if bits.shape[1] > 1:
            bits = bits.view(f"V{bits.shape[1]}")
        _, first, part = np.unique(bits[:, 0], return_index=True, return_inverse=True)
        patterns = member[first]
        if len(patterns) > len(splits) + 1 or len(patterns) * B * d**2 > _ROOM:
            return lambda number: self._moments(np.where(member[:, number], 0, 1), 2).of([0])
        moments = self._moments(part.ravel(), len(patterns))
        return lambda number: moments.of(np.flatnonzero(patterns[:, number]))

    def _factor(self, totals):
        """Return the task weights a_t, (T,), given the sums of sample weights of the tasks."""
        if self._spec.weighting == "balanced":
            present = totals > 0
            mean = totals[present].mean()
            return np.divide(mean, totals, out=np.zeros_like(totals), where=present)
        return read_task_weights(self._spec.task_weight, self._rows.tasks)

    def _weighted(self, moments):
        """Return the weighted moments, the mean of the features and a mask of trained tasks."""
        if not self._wide:
            moments = moments.scaled(self._factor(moments.total))
        trained = moments.total > 0  # the other tasks have no rows
        moments = moments.take(trained)
        center = np.zeros(self._X.shape[1])
        if not self._fixed_intercept:
            center = moments.total @ moments.mean / moments.total.sum()
        return moments, center, trained

    def _fits(self, moments, center, room):
        """Yield the indices of a chunk of candidates, and their ``RidgeFits``.

        ``room`` is how many numbers one candidate requires.
        """
        path = RidgePath(moments, center, self._fixed_intercept)
        step = max(1, _CHUNK // room)
        for first in range(0, self._weights.shape[1], step):
            own = np.arange(first, min(first + step, self._weights.shape[1]))
            yield own, path.at(*self._weights[:, own])

    def _predict(self, center, trained, W, intercept, test):
        """Return the predictions of some rows, (n, A) or (n, T, A), and mean squared errors (T, A).

        W is (B, m, A, d), for the tasks with training rows.
        """
        A, squares = W.shape[2], np.full((len(self._rows.tasks), W.shape[2]), np.nan)
        if self._wide:
            X, y, weight = self._X[test] - center, self._y[test], self._rows.weight[test]
            predicted = (X @ W[0].reshape(-1, X.shape[1]).T).reshape(*y.shape, A)
            predicted += intercept[0]
            squares[:] = np.average(np.square(predicted - y[..., None]), axis=0, weights=weight)
            return predicted + self._offset, squares
        order = np.argsort(self._rows.codes[test], kind="stable")
        rows = test[order]
        X, y, weight = self._X[rows] - center, self._y[rows], self._rows.weight[rows]
        known, first = np.unique(self._rows.codes[rows], return_index=True)
        block, edges = (np.cumsum(trained) - 1)[known], [*first.tolist(), len(rows)]
        errors, predicted = np.empty((2, len(rows), A))
        for b, top, end in zip(block.tolist(), edges[:-1], edges[1:], strict=True):
            np.matmul(X[top:end], W[b, 0].T, out=errors[top:end])
            errors[top:end] += intercept[b, 0]
        predicted[order] = errors
        errors -= y[:, None]
        np.square(errors, out=errors)
        errors *= weight[:, None]
        totals = np.add.reduceat(weight, first)
        squares[known] = np.add.reduceat(errors, first, axis=0) / totals[:, None]
        predicted += self._offset
        return predicted, squares


def _scales_differ(X):
    """Return whether a basis of the row space would lose small columns to rounding."""
    spread = np.abs(X - X[0]).max(axis=0)
    spread = spread[spread > 0]
    return spread.size > 0 and spread.max() > _SCALES * spread.min()
