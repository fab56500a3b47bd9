"""Fit a model to partitions of rows, and predict partitions."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, TypeVar
from uuid import uuid4

import dask
import dask.array as da
import numpy as np
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.utils.validation import check_is_fitted

from skmtl.dask._graph import sends_coefficients
from skmtl.dask._moments import moments_of_partitions
from skmtl.dask._partitions import category_order, check_on_dask, partitions_of, rows_of
from skmtl.dask._rows import read_rows_of
from skmtl.data import column_names
from skmtl.linear_model import LinearMultiTaskModel, fit_rows

Model = TypeVar("Model", bound=LinearMultiTaskModel)


def fit(model: Model, X: Any, y: Any, sample_weight: Any = None, client: Any = None) -> Model:
    """Fit a model to rows in partitions, as ``model.fit`` to rows in memory.

    Regressors read each partition once, and T (d + 1)^2 numbers are summed for T tasks and d
    features. Classifiers leave the rows where they are: each step of the solver sends the
    coefficients out and sums T d^2 numbers.

    Parameters
    ----------
    model : estimator
        Any model of skmtl. It is fitted in place; an error leaves the last fit as it was.
    X : dask DataFrame or dask Array of shape (n_samples, n_features)
        Features and the column of task labels. Partitions may be empty, lengths unknown, and a
        task may have rows in any of them.
    y : dask Series or dask Array of shape (n_samples,)
        Target, in the same partitions as X. For regressors also a DataFrame or an Array of shape
        (n_samples, n_tasks) with a column for each task.
    sample_weight : dask Series or dask Array of shape (n_samples,), default=None
        Weight of each row.
    client : distributed.Client, default=None
        Cluster that computes. Its workers keep the rows of a classifier in memory. By default it
        is the current client or, without one, Dask's default scheduler, which reads the rows of a
        classifier again in each step.

    Returns
    -------
    estimator
        The model itself, without references to Dask.

    Examples
    --------
    >>> import dask.dataframe as dd
    >>> import skmtl.dask
    >>> from skmtl import MeanRegularizedRegressor
    >>> from skmtl.datasets import load_radon
    >>> frame = dd.from_pandas(load_radon(as_frame=True).frame, npartitions=4)
    >>> X, y = frame.drop(columns="log_radon"), frame["log_radon"]
    >>> model = skmtl.dask.fit(MeanRegularizedRegressor(task_column="county"), X, y)
    >>> skmtl.dask.predict(model, X).compute()[:2].round(2)
    array([0.52, 0.82])
    """
    _check_model(model)
    partitions, names = partitions_of(X, y, sample_weight), column_names(X)
    current = nullcontext() if client is None else client.as_current()
    order = category_order(X, model.task_column)
    with current, sends_coefficients():
        if not is_classifier(model):
            return model.fit_moments(moments_of_partitions(partitions, clone(model), names, order))
        if model.task_column is None and y.ndim == 2 and y.shape[1] != 1:
            raise ValueError(
                f"y has {y.shape[1]} columns. On Dask, classifiers take the long form: one row "
                "for each label, with a column of task labels in X that task_column names."
            )
        return fit_rows(model, read_rows_of(partitions, clone(model), names, order), names)


def predict(model: Any, X: Any) -> Any:
    """Return the predictions of a fitted model for rows in partitions, not yet computed.

    Parameters
    ----------
    model : estimator
        Fitted, by `fit` or in memory.
    X : dask DataFrame or dask Array of shape (n_samples, n_features)
        As in `fit`.

    Returns
    -------
    dask Array of shape (n_samples,) or (n_samples, n_tasks)
        In the partitions of X, with unknown lengths for a DataFrame.
    """
    _check_model(model)
    check_is_fitted(model)
    parts = rows_of(check_on_dask(X, "X"), "X", X)
    sizes = X.chunks[0] if isinstance(X, da.Array) else [np.nan] * len(parts)
    wide = model.task_column is None and len(model.tasks_) > 1
    dtype: np.dtype[Any] = np.dtype(np.float64)
    if is_classifier(model):
        dtype = np.dtype(np.intp) if wide else model.classes_.dtype
    rest, name = (len(model.tasks_),) if wide else (), f"skmtl-predict-{uuid4().hex}"
    held = dask.delayed(model, traverse=False, name=f"skmtl-model-{uuid4().hex}")
    predicted = [
        dask.delayed(_predict)(held, part, rest, dtype, dask_key_name=f"{name}-{k}")
        for k, part in enumerate(parts)
    ]
    return da.concatenate(
        [
            da.from_delayed(part, (size, *rest), dtype)
            for part, size in zip(predicted, sizes, strict=True)
        ],
        allow_unknown_chunksizes=True,
    )


def _predict(model, X, rest, dtype):
    return model.predict(X) if len(X) else np.empty((0, *rest), dtype)


def _check_model(model):
    if isinstance(model, LinearMultiTaskModel):
        if not (is_classifier(model) or is_regressor(model)):
            raise TypeError(
                f"{type(model).__name__} takes rows in memory, not those of Dask: call its fit "
                "with computed X and y, or fit a regressor and a classifier."
            )
        return
    raise TypeError(
        f"model must be a model of skmtl, such as MeanRegularizedRegressor, got "
        f"{type(model).__name__}. Instead of a Pipeline, transform X by Dask first. For a search, "
        "compute the TaskMoments of each fold and use RegularizationPathCV.fit_moments, or set "
        "alpha='auto'."
    )
