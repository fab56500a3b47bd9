"""Selection of penalty weights by cross-validation."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.model_selection import ParameterGrid
from sklearn.utils import get_tags

from skmtl._callbacks import CallbackSupportMixin, Progress, reporting_fit
from skmtl._doc_link import DocLinkMixin
from skmtl._threads import blas_threads_for
from skmtl._typing import Estimator
from skmtl._version import VersionedStateMixin
from skmtl.data import (
    TaskMoments,
    class_numbers,
    column_names,
    plain_target,
    read_rows,
    rows_of_parts,
    take_rows,
)
from skmtl.linear_model import LinearMultiTaskModel, spec_of
from skmtl.model_selection._best import BestEstimatorMixin
from skmtl.model_selection._grid import alpha_grid
from skmtl.model_selection._results import best_index, results_table
from skmtl.model_selection._ridge_search import RidgeSearch
from skmtl.model_selection._scoring import (
    as_given,
    of_kinds,
    reads_predictions,
    scorer_of,
    weights_for,
)
from skmtl.model_selection._split import TaskRows, make_splits
from skmtl.model_selection._warm_search import warm_scores


class RegularizationPathCV(
    VersionedStateMixin,
    DocLinkMixin,
    BestEstimatorMixin,
    CallbackSupportMixin,
    MetaEstimatorMixin,
    BaseEstimator,
):
    """Choose alpha and other penalty weights by cross-validation.

    The choice is that of ``GridSearchCV``; computations common to the fits are done once.
    `PooledRegressor`, `SharedL2Regressor`, `MeanRegularizedRegressor` and, without a graph,
    `GraphRegularizedRegressor` add up moments to form training sets and use one factorization for
    all alphas; leave-one-out, in closed form, costs about as much. Other models are fitted from
    the largest alpha to the smallest, warm-started; other regressors, where tasks have many rows
    of a dense X, to their moments.

    Parameters
    ----------
    estimator : estimator
        Any estimator of ``skmtl.linear_model``. In a ``Pipeline``, make the search the last step.
    alphas : int or array-like of shape (n_alphas,), default=50
        Values of alpha (regularization strength), or the size of a grid computed from the data:
        from ``alpha_max`` down to 1e-3 of it for a penalty with one norm; otherwise from 1e-4 to
        1e3 times the mean curvature of the loss per task and feature. Where the estimator takes a
        dict, such as with a number for each of several task columns, a list may contain dicts:
        ``[{"region": 1.0, "store": 10.0}, ...]``. A computed grid has one alpha for all columns.
    param_grid : dict of str to array-like, default=None
        Grids of other penalty weights, such as ``{"alpha_intercept": [1, 10, 100]}`` or
        ``{"penalty__alpha": ...}``: parameters whose name, after any ``__``, begins with "alpha".
    cv : None, int, splitter or iterable, default=None
        None: leave-one-out where a closed form exists, else 5 folds. There is none for models
        other than those above, several task columns, a sparse X, an alpha of 0, penalty factors of
        0 or inf, adaptive task weights, a wide form with NaN or task weights, and a task or
        coefficient that is not identified without one of the rows.
        An int is the number of folds, of `TaskKFold` if the estimator has a ``task_column`` or
        y has NaN.
        Otherwise a scikit-learn splitter or pairs of index arrays.
    scoring : str, callable or None, default=None
        As in scikit-learn. None: the ``score`` of the estimator; for regressors with ``cv=None``
        minus the mean squared error. Tasks of different kinds take None or a callable, such as of
        `make_task_scorer`. With NaN in y or weights of targets, a scorer of scikit-learn
        is averaged over the tasks, each scored on its observed rows.
    one_standard_error : bool, default=False
        Whether to choose, instead of the best alpha, the largest one whose mean score is within
        one standard error of the best, with the other parameters of the best candidate.
    refit : bool, default=True
        Whether to refit the estimator with ``best_params_`` on all rows.
    n_jobs : int, default=None
        Number of processes for the splits, as in scikit-learn. Ignored where moments are added up
        and all splits are one computation in threads.
    verbose : int, default=0
        Whether to print progress: 1 at increasing intervals, 2 after every split; ignored as
        ``n_jobs`` is. Callbacks of scikit-learn report every fit.

    Attributes
    ----------
    best_params_ : dict
        Chosen parameters.
    best_score_ : float
        Mean score of ``best_params_``.
    best_index_ : int
        Index of ``best_params_`` in ``cv_results_``.
    best_estimator_ : estimator
        Fitted to all rows; present if ``refit``.
    cv_results_ : dict of ndarray
        Keys as in ``GridSearchCV``. Leave-one-out has no columns of splits; its
        ``std_test_score`` is the standard deviation of the squared errors of the rows.
    task_scores_ : ndarray of shape (n_candidates, n_splits, n_tasks)
        Minus the mean squared error or, of classifiers, minus the log loss of each task on the
        test rows of each split, also with another ``scoring``; NaN where a task has no test rows.
        Of tasks of different kinds R^2, the accuracy or, of counts, D^2. Leave-one-out counts as
        one split.
    alphas_ : ndarray of shape (n_alphas,)
        Values of alpha.
    n_splits_ : int
        Number of splits; with leave-one-out the number of rows.
    scorer_ : callable or str
        The scorer, or the name of a score that is computed without one.
    refit_time_ : float
        Seconds of the refit; present if ``refit``.

    See Also
    --------
    sklearn.model_selection.GridSearchCV : Any parameter of any estimator, one fit at a time.

    Notes
    -----
    Leave-one-out keeps two quantities of all rows: the mean of the features, at which the centered
    intercepts are defined, and the weights of ``task_weight="balanced"``. Refits without a row
    would move them by about 1/n, and thus the scores where ``alpha_intercept`` is positive and
    slopes differ between tasks, or tasks are balanced. Otherwise it equals refits to rounding.

    References
    ----------
    T. Hastie, R. Tibshirani, J. Friedman (2009). The elements of statistical learning, section
    7.10 (one standard error). Springer.

    Examples
    --------
    >>> from skmtl import MeanRegularizedRegressor
    >>> from skmtl.datasets import load_radon
    >>> from skmtl.model_selection import RegularizationPathCV
    >>> X, y = load_radon(return_X_y=True)
    >>> search = RegularizationPathCV(MeanRegularizedRegressor(task_column=0))
    >>> search = search.fit(X, y)
    >>> round(float(search.best_params_["alpha"]), 1), round(search.best_score_, 4)
    (204.4, -0.5731)
    """

    def __init__(
        self,
        estimator: Estimator,
        alphas: int | ArrayLike = 50,
        *,
        param_grid: Mapping[str, ArrayLike] | None = None,
        cv: Any = None,
        scoring: Any = None,
        one_standard_error: bool = False,
        refit: bool = True,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.alphas = alphas
        self.param_grid = param_grid
        self.cv = cv
        self.scoring = scoring
        self.one_standard_error = one_standard_error
        self.refit = refit
        self.n_jobs = n_jobs
        self.verbose = verbose

    @reporting_fit
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Score all candidates and choose one.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            As the estimator takes it.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Target; NaN in the wide form is not observed.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            Weight of each row, or of each target, in the fits and, as in ``GridSearchCV`` since
            scikit-learn 1.7, in the scores.
        groups : array-like of shape (n_samples,), default=None
            Passed to the splitter.

        Returns
        -------
        object
            The search itself.

        Raises
        ------
        ValueError
            If the mean score of every candidate is NaN.
        """
        self._check_parameters()
        progress = Progress(self, X, y, sample_weight)

        def refit(best):
            best.fit(X, y, **weights_for(sample_weight))

        return self._search(self.estimator, X, y, sample_weight, groups, self.cv, refit, progress)

    @reporting_fit
    def fit_moments(self, folds: Sequence[TaskMoments]) -> Self:
        """Search by cross-validation over the moments of folds, without their rows.

        The scores and the choice are those of ``fit`` of all rows with these folds. ``cv`` does
        not apply.

        Parameters
        ----------
        folds : sequence of TaskMoments
            Those of the rows of each fold, at least two. Each is tested once, by fits to the
            others.

        Returns
        -------
        object
            The search itself.

        Raises
        ------
        TypeError
            If the estimator is no regressor with ``fit_moments``.
        ValueError
            If ``scoring`` is not None, "r2" or "neg_mean_squared_error": others need rows.
        """
        self._check_parameters()
        if not hasattr(self.estimator, "fit_moments"):
            raise TypeError(
                f"{type(self.estimator).__name__} has no moments: these are sums of squares, which "
                "determine the fit of a regressor only. Use fit, which takes the rows, or a "
                "regressor such as MeanRegularizedRegressor."
            )
        if self.scoring not in (None, "r2", "neg_mean_squared_error"):
            raise ValueError(
                "The scores of moments are 'r2' and 'neg_mean_squared_error', got "
                f"scoring={self.scoring!r}. Other scores need the rows: use fit."
            )
        if len(folds) < 2:
            raise ValueError(
                f"fit_moments needs the moments of two folds or more, got {len(folds)}."
            )
        total: Any = sum(folds)
        estimator = self.estimator
        if total.task_column is None:  # the labels are beside the features
            estimator = clone(estimator).set_params(task_column=0)
        X, y, weight, fold = rows_of_parts(folds, centered=estimator.fit_intercept)
        splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(len(folds))]

        def refit(best):
            best.fit_moments(total)

        progress = Progress(self, None, None, None)
        return self._search(estimator, X, y, weight, None, splits, refit, progress)

    def _search(self, estimator, X, y, sample_weight, groups, cv, refit, progress):
        """Search over candidates; ``refit`` fits the best one to all rows."""
        names, targets = column_names(y), as_given(y) if of_kinds(estimator) else None
        alphas, candidates, ridge, y = self._read(estimator, X, y, sample_weight)
        X = X if hasattr(X, "shape") else np.asarray(X)
        weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        scorer = scorer_of(estimator, self.scoring, leave_one_out=cv is None)
        found = None
        if cv is None and ridge is not None:
            found = self._leave_one_out(ridge, scorer, X, y, weight, progress)
        if found is None:
            column, classifier = estimator.task_column, is_classifier(estimator)
            splits = make_splits(
                cv, X, y, column, groups=groups, classifier=classifier, weight=weight
            )
            rows = X, y, weight, names, targets
            found = self._cross_validate(
                estimator, ridge, candidates, scorer, *rows, splits, progress
            )
            found = found, len(splits), None
        scores, n_splits, spread = found
        table = results_table(candidates, scores, spread)
        best = best_index(table, n_splits, self.one_standard_error, scorer)
        result = {
            "alphas_": alphas,
            "scorer_": scorer,
            "n_splits_": n_splits,
            "task_scores_": scores.tasks,
            "cv_results_": table,
            "best_index_": best,
            "best_params_": candidates[best],
            "best_score_": float(table["mean_test_score"][best]),
        }
        if self.refit:
            result |= self._refit(candidates[best], refit, progress)
        for name, value in result.items():  # at the end: an error leaves the last search as it was
            setattr(self, name, value)
        progress.end(lambda: vars(self))
        return self

    def _refit(self, params, refit, progress):
        """Return the attributes of the best estimator, which is fitted to all rows."""
        began = time.perf_counter()
        best = clone(self.estimator).set_params(**clone(params, safe=False))
        with progress.fit_of(best, "refit"):
            refit(best)
        found = {"best_estimator_": best, "refit_time_": time.perf_counter() - began}
        names = [n for n in ("n_features_in_", "feature_names_in_") if hasattr(best, n)]
        return found | {name: getattr(best, name) for name in names}

    def _read(self, estimator, X, y, sample_weight):
        """Return the alphas, the candidates, a ``RidgeSearch`` or None, and y as an array."""
        model = clone(estimator).set_params(alpha=1.0)
        spec_of(model)  # checks the parameters
        rows = read_rows(model, X, y, sample_weight, reset=True)
        y = plain_target(y) if rows.outcomes is None else class_numbers(y, wide=rows.wide)
        if y.ndim > rows.y.ndim:  # a column
            y = y.ravel()
        if y.ndim == 2 and (rows.observed is not None or y.dtype.kind not in "iuf"):
            y = y.astype(np.float64)
        alphas = alpha_grid(self.alphas, model, rows)
        candidates = list(ParameterGrid({"alpha": alphas, **(self.param_grid or {})}))
        ridge = None if rows.outcomes is not None else RidgeSearch.of(model, candidates, rows)
        return alphas, candidates, ridge, y

    def _leave_one_out(self, ridge, scorer, X, y, weight, progress):
        """Return the ``Scores`` of one split, n and the std of the squared errors of rows, (C,).

        None where a task or coefficient is not identified without one of the rows.
        """
        if weight is not None and not weight.all():  # rows of weight zero count as absent
            present = np.flatnonzero(weight)
            X, y, weight = take_rows(X, present), y[present], weight[present]
        part = progress.part("leave-one-out")
        with blas_threads_for(ridge.work):
            found = ridge.leave_one_out(scorer, X, y, weight)
        part.end()
        return None if found is None else (found[0], len(y), found[1])

    def _cross_validate(
        self, estimator, ridge, candidates, scorer, X, y, weight, names, targets, splits, progress
    ):
        """Return the ``Scores`` on the splits."""
        part = progress.part("search", len(splits))
        complete = weight is None or weight.all()  # all rows are in the search
        if ridge and complete and ridge.covers(splits) and reads_predictions(scorer):
            with blas_threads_for(ridge.work):
                scores = ridge.scores(splits, scorer, partial(take_rows, X), y, weight, part)
        else:
            given = TaskRows.read(X, y, weight, estimator.task_column, names)
            given = given._replace(targets=targets)
            options = part, self.n_jobs, self.verbose
            scores = warm_scores(estimator, candidates, splits, scorer, given, *options)
        part.end()
        return scores

    def _check_parameters(self):
        """Validate the parameters that do not depend on data."""
        if not isinstance(self.estimator, LinearMultiTaskModel):
            own, advice = self.estimator, ""
            if hasattr(own, "steps"):
                advice = "Make the search the last step of the pipeline: "
            raise TypeError(
                f"{advice}RegularizationPathCV takes an estimator of skmtl.linear_model, got "
                f"{own if isinstance(own, type) else type(own).__name__}."
            )
        if self.param_grid is not None and not isinstance(self.param_grid, Mapping):
            raise TypeError(
                f"param_grid must be a dict from name to values, got {self.param_grid!r}."
            )
        named = [
            name
            for name in sorted(self.estimator.get_params())
            if name.rpartition("__")[2].startswith("alpha")
        ]
        for name in self.param_grid or {}:
            if name == "alpha":
                raise ValueError("param_grid has 'alpha'. Pass its values as alphas.")
            if name not in named:
                raise ValueError(
                    f"param_grid has {name!r}, but the penalty weights of "
                    f"{type(self.estimator).__name__} are {named}. For other parameters use "
                    "GridSearchCV."
                )
        given = self.alphas if isinstance(self.alphas, list | tuple) else ()
        if self.one_standard_error and any(isinstance(own, Mapping) for own in given):
            raise ValueError(
                "one_standard_error chooses the largest alpha, and alphas has dicts, which have no "
                "order. Pass numbers, or leave one_standard_error at False."
            )
        if self.one_standard_error and self.cv is None and self.scoring is not None:
            raise ValueError(
                "one_standard_error needs a score for each row or fold: with leave-one-out leave "
                "scoring at None, or set cv."
            )

    def __sklearn_tags__(self):
        tags, own = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.estimator_type, tags.input_tags = own.estimator_type, own.input_tags
        tags.classifier_tags, tags.regressor_tags = own.classifier_tags, own.regressor_tags
        tags.target_tags = own.target_tags
        return tags
