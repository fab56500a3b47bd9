"""Display of the shrinkage of task estimates towards the center."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.base import clone, is_classifier

from skmtl._typing import Axes, Estimator
from skmtl._warn import did_you_mean, listed
from skmtl.data import read_rows
from skmtl.inspection._coef_table import normal_quantile, standard_errors
from skmtl.inspection._models import feature_names, fitted_model, row_labels, separate_outcomes
from skmtl.inspection._plotting import (
    BLUE,
    GRAY,
    NAMED,
    ORANGE,
    Display,
    shortened,
    thinned,
)
from skmtl.linear_model import SharedL2Classifier, SharedL2Regressor, coefficient_variances

INTERCEPT = "intercept"


class CoefficientShrinkageDisplay(Display):
    """Separate ("own") estimate, shared estimate and center of each task.

    For one coefficient, tasks are ordered by ascending number of rows; the distance between own
    and shared estimates usually decreases from left to right. For two coefficients, lines in
    their plane connect own and shared estimates.

    Parameters
    ----------
    tasks : sequence of T labels
        Labels of the tasks.
    counts : ndarray of shape (T,)
        Number of rows of each task.
    own, shared : ndarray of shape (T, 1) or (T, 2)
        Estimates of one or two coefficients by separate models and by the shared model. NaN is
        not drawn.
    center : ndarray of shape (1,) or (2,)
        The center, towards which tasks are shrunk.
    names : sequence of 1 or 2 str
        Names of the coefficients.
    reach : ndarray of shape (T, 1) or (T, 2), default=None
        Half the lengths of intervals of the shared estimates, drawn as thin lines.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    order_ : ndarray of shape (T,)
        Indices of the tasks as drawn.

    Examples
    --------
    >>> from skmtl import MeanRegularizedRegressor
    >>> from skmtl.datasets import make_multitask_regression
    >>> from skmtl.inspection import CoefficientShrinkageDisplay
    >>> X, y = make_multitask_regression(5, 30, 3, random_state=0)
    >>> model = MeanRegularizedRegressor(9.0, task_column=0).fit(X, y)
    >>> CoefficientShrinkageDisplay.from_estimator(model, X, y)  # doctest: +SKIP
    """

    def __init__(
        self,
        tasks: Any,
        counts: ArrayLike,
        own: ArrayLike,
        shared: ArrayLike,
        center: ArrayLike,
        names: Sequence[str],
        reach: ArrayLike | None = None,
    ) -> None:
        self.tasks, self.counts = list(tasks), np.asarray(counts)
        self.own, self.shared = np.asarray(own, float), np.asarray(shared, float)
        self.center, self.names = np.asarray(center, float), list(names)
        self.reach = None if reach is None else np.asarray(reach, float)
        if self.own.shape != self.shared.shape or self.own.shape[1] not in (1, 2):
            raise ValueError(
                "own and shared must have the same shape, (n_tasks, 1) or (n_tasks, 2); got "
                f"{self.own.shape} and {self.shared.shape}."
            )

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        X: ArrayLike,
        y: ArrayLike,
        *,
        features: Any = INTERCEPT,
        sample_weight: ArrayLike | None = None,
        separate: Estimator | None = None,
        interval: float | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Fit separate models to the same data and draw both.

        The own estimate of a coefficient is NaN in tasks where its feature is constant.

        Parameters
        ----------
        estimator : estimator
            Fitted shared model, a regressor or a classifier of two classes; a Pipeline that ends
            in one, or a search over either.
        X, y : array-like
            The data of ``fit``.
        features : str, int or sequence of two of them, default="intercept"
            Names as of `coef_table`, or positions among the coefficients (the task column has
            none), of one or two features; "intercept" is the centered intercept, the prediction at
            the mean of the features.
        sample_weight : array-like of shape (n,), default=None
            Sample weights of ``fit``.
        separate : estimator, default=None
            Separate models. None: ``SharedL2Regressor(1e-6)``, close to least squares, or
            ``SharedL2Classifier(1e-2)``; of tasks of different kinds the same model with the
            penalty "ridge" and an alpha of 1e-2.
        interval : float, default=None
            Probability of intervals of the shared estimates, as of `coef_table`. None: no
            intervals, which ADMM models do not have. Infinite ones are not drawn.
        ax : matplotlib Axes, default=None
            None makes a new figure.

        Returns
        -------
        CoefficientShrinkageDisplay
            With the drawn ``figure_`` and ``ax_``.
        """
        model, X = fitted_model(estimator, X)
        if np.ndim(model.coef_) != 2:
            raise ValueError(
                f"{type(model).__name__} has coefficients for {np.shape(model.coef_)[1]} classes, "
                "but the display requires one per task. Pass a regressor or a classifier "
                "of two classes."
            )
        quantile = None if interval is None else normal_quantile(interval)
        if separate is None:
            separate = _separate(model)
        elif hasattr(model, "coef_tasks_") and "losses" not in separate.get_params():
            raise TypeError(
                f"The tasks of {type(model).__name__} are of different kinds, which "
                f"{type(separate).__name__} does not fit. Pass a MixedOutcomeModel as separate, or "
                "None."
            )
        separate = clone(separate).fit(X, y, sample_weight=sample_weight)
        rows = read_rows(model, X, y, sample_weight, reset=False)
        middle = rows.weight @ rows.X / rows.weight.sum()
        wanted = [features] if isinstance(features, str | int | np.integer) else list(features)
        known = feature_names(estimator, model)
        places = [_place(model, known, name) for name in wanted]
        columns, names = [place for place, _ in places], [label for _, label in places]
        task = _task_of_rows(model)
        found = np.flatnonzero(model.task_counts_[task] > 0)  # others are latent
        shared, own = _estimates(model, middle)[found], _estimates(separate, middle)
        center = shared.mean(axis=0)
        if hasattr(model, "shared_coef_"):
            intercept = model.shared_intercept_ + model.shared_coef_ @ middle
            center = np.append(model.shared_coef_, intercept)
        own[:, :-1][_constant(rows)[task[found]]] = np.nan
        estimates = own[:, columns], shared[:, columns], center[columns]
        reach = None
        if quantile is not None:
            variances, _ = coefficient_variances(model, middle)
            reach = quantile * standard_errors(model, variances[found][:, columns])
        labels = row_labels(model)
        labels = [labels[r] for r in found], model.task_counts_[task[found]]
        return cls(*labels, *estimates, names, reach).plot(ax)

    def _size(self):
        if len(self.names) == 2:
            return 5.6, 5.0
        return np.clip(2.5 + 0.28 * len(self.tasks), 5.0, 9.0), 4.2

    def _draw(self, ax):
        self.order_ = np.argsort(self.counts, kind="stable")
        (self._plane if len(self.names) == 2 else self._line)(ax)

    def _line(self, ax):
        order, n = self.order_, len(self.order_)
        at, own, shared = np.arange(n), self.own[order, 0], self.shared[order, 0]
        ax.axhline(self.center[0], color=ORANGE, ls="--", lw=1, label="center")
        ax.vlines(at, own, shared, color=GRAY, lw=0.8, zorder=1)
        if self.reach is not None:
            reach = _finite(self.reach[order, 0])
            ax.vlines(at, shared - reach, shared + reach, color=BLUE, lw=0.8, label="interval")
        self._points(ax, (at, own), (at, shared), 5 if n <= NAMED else 3)
        ax.set_ylabel(self.names[0])
        if n <= NAMED:
            labels = shortened([self.tasks[t] for t in order])
            names = [f"{label} ({m})" for label, m in zip(labels, self.counts[order], strict=True)]
            turned = {"rotation": 90} if n > 6 else {}
            ax.set_xticks(at, names, fontsize=8, **turned)
            ax.set_xlabel("task (rows)")
        else:
            ticks = thinned(n, 9)
            ax.set_xticks(ticks, [str(m) for m in self.counts[order[ticks]]])
            ax.set_xlabel(f"rows of the task ({n} tasks, smallest first)")
        ax.set_xlim(-0.8, n - 0.2)

    def _plane(self, ax):
        few = len(self.order_) <= 15
        ax.plot(*np.stack([self.own.T, self.shared.T], axis=1), color=GRAY, lw=0.8, zorder=1)
        if self.reach is not None:
            (x, y), (along, up) = self.shared.T, _finite(self.reach).T
            ax.hlines(y, x - along, x + along, color=BLUE, lw=0.8, label="interval")
            ax.vlines(x, y - up, y + up, color=BLUE, lw=0.8)
        self._points(ax, self.own.T, self.shared.T, 5 if few else 3.5)
        ax.plot(*self.center, "X", ms=9, color=ORANGE, label="center")
        if few:
            for own, label in zip(self.own, shortened(self.tasks), strict=True):
                ax.annotate(label, own, (4, 4), textcoords="offset points", fontsize=8)
        ax.set_xlabel(self.names[0])
        ax.set_ylabel(self.names[1])

    def _points(self, ax, own, shared, size):
        ax.plot(*own, "o", ms=size, mfc="white", mec=GRAY, label="own estimate")
        ax.plot(*shared, "o", ms=size, color=BLUE, label="shared estimate")


def _separate(model):
    """Return unfitted separate models, close to the estimates of each task alone."""
    if hasattr(model, "coef_tasks_"):
        return separate_outcomes(model, 1e-2)
    separate = SharedL2Classifier(1e-2) if is_classifier(model) else SharedL2Regressor(1e-6)
    alike = {"task_column": model.task_column, "fit_intercept": model.fit_intercept}
    return separate.set_params(**alike)


def _task_of_rows(model):
    """Return the index of the task of each row of the coefficients."""
    place = {task: t for t, task in enumerate(model.tasks_.tolist())}
    return np.array([place[task] for task in getattr(model, "coef_tasks_", model.tasks_).tolist()])


def _finite(reach):
    return np.where(np.isfinite(reach), reach, np.nan)


def _estimates(model, middle):
    """Return the coefficients, then the centered intercept, of each task, (T, d + 1)."""
    return np.column_stack([model.coef_, model.intercept_ + model.coef_ @ middle])


def _constant(rows):
    """Return a mask of the features that are constant within a task, (T, d)."""
    result = np.empty((len(rows.tasks), rows.X.shape[1]), dtype=bool)
    for t in range(len(rows.tasks)):
        own = slice(None) if rows.observed is None else rows.observed[:, t]
        own = own if rows.codes is None else rows.codes == t
        spread = rows.X[own].max(axis=0) - rows.X[own].min(axis=0)
        result[t] = (spread.toarray().ravel() if issparse(spread) else spread) == 0
    return result


def _place(model, names, feature):
    """Return the column of a feature in `_estimates`, and its axis label.

    ``names`` (d,) are those of the features.
    """
    d = model.coef_.shape[1]
    if isinstance(feature, str):
        if feature in names:
            return names.index(feature), f"coefficient of {feature}"
        if feature == INTERCEPT:
            return d, "intercept at the mean of the features"
        raise ValueError(
            f"{feature!r} is not a feature of the model, whose features are {listed(names)}."
            f"{did_you_mean(feature, names)} Pass a name, a position below {d}, or "
            f"{INTERCEPT!r}."
        )
    if not 0 <= feature < d:
        raise ValueError(f"There is no feature {feature}: the model has {d}, numbered from 0.")
    return int(feature), f"coefficient of {names[feature]}"
