"""Table of coefficients with standard errors, intervals and pooling factors."""

from __future__ import annotations

from itertools import zip_longest
from numbers import Real
from typing import Any

import numpy as np
from scipy.special import ndtri
from sklearn.base import is_classifier

from skmtl._table import table
from skmtl._typing import Estimator
from skmtl.data import task_columns
from skmtl.inspection._models import feature_names, fitted_model
from skmtl.linear_model import (
    coefficient_variances,
    coefficient_weights,
    group_variances,
    group_weights,
)

_NAMES = {"level", "feature", "estimate", "std_error", "lower", "upper", "pooling"}


def coef_table(model: Estimator, *, interval: float = 0.95) -> Any:
    """Return the coefficients with standard errors, intervals and pooling factors.

    Given the penalty weights, the objective is minus the logarithm of a posterior density, up to a
    factor: penalties are normal priors, flat where a weight is 0. Standard errors are its standard
    deviations, and contain the uncertainty about the center. For classifiers it is approximated
    by a normal distribution with the curvature at the solution. That penalty weights are estimated,
    where they are, is not taken into account.

    Parameters
    ----------
    model : estimator
        Fitted Pooled, SharedL2, MeanRegularized or GraphRegularized model, a regressor or a
        classifier of two classes; a Pipeline that ends in one, or a search over either.
    interval : float, default=0.95
        Probability of the intervals, between 0 and 1; they are those of a normal distribution.

    Returns
    -------
    DataFrame, or dict of ndarray without pandas
        A row for each coefficient and intercept, first of the center (task None), then of the
        groups of each outer task column, then of each task. Columns:

        - ``level``, only with ``groups_``: "center", or the task column of the row.
        - ``task``: label of the task. Several task columns have one column of labels each, of their
          names ("task_0" for position 0, "task_level" for a name of this table); in the row of a
          group those further in are None. Latent tasks with other labels leave all in ``task``.
        - ``feature``: name of the feature ("x0", "x1", ... if they have none), or "intercept", that
          at x = 0 as ``intercept_``.
        - ``estimate``, ``std_error``: the coefficient, and its standard error, which is inf where
          neither rows nor a penalty identify it, and NaN where ``sigma2_`` is.
        - ``lower``, ``upper``: ends of the interval.
        - ``pooling``: weight of the center, or of the neighbors in a graph, in the coefficient,
          from 0 to 1, and NaN for the center. `pooling_factor` is the mean over a task. That of an
          intercept is the one of the centered intercept. With several task columns it is the
          weight of the group that the task, or the group, is in.

    Raises
    ------
    ValueError
        If the model has no standard errors: more than two classes, tasks of different kinds, a
        penalty that is not quadratic, or fits by the solver "cg".

    Examples
    --------
    >>> from skmtl import MeanRegularizedRegressor
    >>> from skmtl.datasets import load_radon
    >>> from skmtl.inspection import coef_table
    >>> X, y = load_radon(return_X_y=True, as_frame=True)
    >>> model = MeanRegularizedRegressor("auto", task_column="county").fit(X, y)
    >>> table = coef_table(model)
    >>> print(table[table["task"] == "ANOKA"].round(2).to_string(index=False))
     task     feature  estimate  std_error  lower  upper  pooling
    ANOKA       floor     -0.80       0.28  -1.35  -0.26     0.58
    ANOKA log_uranium      0.67       0.14   0.40   0.95     0.12
    ANOKA   intercept      1.50       0.06   1.38   1.63     1.00
    """
    quantile = normal_quantile(interval)
    fitted, _ = fitted_model(model)
    names, shown = feature_names(model, fitted), fitted.coef_.shape[-1] + fitted.fit_intercept
    parts = _levels(fitted)
    labels, *numbers = zip(*parts, strict=True)
    columns = {}
    for name, own in _label_columns(fitted, labels).items():
        label = np.empty(len(own), dtype=object)
        label[:] = own
        columns[name] = np.repeat(label, shown)
    estimate, own, weight = (np.concatenate(part)[:, :shown].ravel() for part in numbers)
    error = standard_errors(fitted, own)
    reach = quantile * error
    features = np.array([*names, "intercept"][:shown], dtype=object)
    columns |= {
        "feature": np.tile(features, len(label)),
        "estimate": estimate,
        "std_error": error,
        "lower": estimate - reach,
        "upper": estimate + reach,
        "pooling": weight,
    }
    return table(columns)


def _label_columns(model, labels):
    """Return the level and the labels of the center, the groups and the tasks, lists by column.

    ``labels`` are lists of those of each level.
    """
    given, tasks = task_columns(model.task_column), [task for own in labels for task in own]
    parts = [() if task is None else task for task in tasks]
    tuples = all(isinstance(part, tuple) and len(part) <= len(given) for part in parts)
    if len(given) < 2 or not tuples:
        return {"task": tasks}
    columns = {}
    if hasattr(model, "groups_"):
        levels = zip(["center", *given], labels, strict=True)
        columns["level"] = [name for name, own in levels for _ in own]
    for name, own in zip(given, zip_longest(*parts), strict=True):
        plain = isinstance(name, str) and name not in _NAMES
        columns[name if plain else f"task_{name}"] = own
    return columns


def _levels(model):
    """Return labels, estimates, variances and weights of the center, the groups and the tasks."""
    own, center = coefficient_variances(model)
    parts = []
    if center is not None:
        shared = np.append(model.shared_coef_, model.shared_intercept_)[None]
        parts.append(([None], shared, center[None], np.full(shared.shape, np.nan)))
    if hasattr(model, "groups_"):
        estimates = map(
            np.column_stack, zip(model.group_coef_, model.group_intercept_, strict=True)
        )
        given = model.groups_, estimates, group_variances(model), group_weights(model)
        parts += zip(*given, strict=True)
    estimate = np.column_stack([model.coef_, model.intercept_])
    return [*parts, (model.tasks_.tolist(), estimate, own, coefficient_weights(model))]


def standard_errors(model, variances):
    """Return the square roots of variances in units of the noise, times its standard deviation."""
    sigma2 = 1.0 if is_classifier(model) else model.sigma2_
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(variances), np.inf, np.sqrt(sigma2 * variances))


def normal_quantile(interval):
    """Return half the length of an interval in standard errors, given its probability."""
    if not isinstance(interval, Real) or not 0 < interval < 1:
        raise ValueError(f"interval must be a number between 0 and 1, got {interval!r}.")
    return ndtri(0.5 + 0.5 * interval)
