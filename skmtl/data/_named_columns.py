"""Errors about features that are text or missing, with the names of their columns."""

from contextlib import contextmanager

import narwhals.stable.v2 as nw
import numpy as np
from scipy.sparse import issparse

from skmtl._warn import listed
from skmtl.data._labels import is_missing, task_columns, without_task_column

_REASONS = ("could not convert string", "contains NaN", "NAType")


@contextmanager
def naming_columns(estimator, X):
    """Name the columns in errors about features X (n, d), without a task column, that are raised.

    Errors with another reason than text or missing values stay as they are.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        of_values = any(reason in str(error) for reason in _REASONS)
        if of_values and (message := _message(estimator, X)):
            raise ValueError(message) from None  # scikit-learn recommends its own models
        raise


def _message(estimator, X):
    """Return the message about text or missing values, "" if there are none."""
    wide, missing = estimator.task_column is None, []
    pipeline = "make_pipeline" if wide else "make_task_pipeline"
    for j, values in enumerate(_columns(X)):
        entries = values.tolist() if values.dtype.kind in "OU" else []
        if text := [value for value in entries if isinstance(value, str) and not _is_number(value)]:
            name = _names(estimator, X)[j]
            inside = name if isinstance(name, str) else j  # a pipeline removes the task column
            tasks = " If it has the tasks, name it in task_column." if wide else ""
            return (
                f"Column {name!r} of X has text, such as {text[0]!r}, and features are numbers. "
                f"Encode it before the model: {pipeline}(ColumnTransformer([('encoder', "
                f"OneHotEncoder(), [{inside!r}])], remainder='passthrough'), model).{tasks}"
            )
        if any(np.ndim(value) == 0 and is_missing(value) for value in entries) or (
            values.dtype.kind == "f" and np.isnan(values).any()
        ):
            missing.append(j)
    if not missing:
        return ""
    names = _names(estimator, X)
    return (
        "Input X contains NaN or missing values in "
        f"{'the columns' if len(missing) > 1 else 'column'} {listed(names[j] for j in missing)}. "
        f"Drop these rows, or impute before the model: {pipeline}(SimpleImputer(), model)."
    )


def _columns(X):
    """Return the columns of a dataframe or an array (n, d) as arrays (n,), or stored entries."""
    if issparse(X):
        X = X.tocsc()
        return np.split(X.data, X.indptr[1:-1])
    if nw.dependencies.is_into_dataframe(X):
        return [column.to_numpy() for column in nw.from_native(X, eager_only=True).iter_columns()]
    array = X if hasattr(X, "shape") else np.array(X, dtype=object)
    return np.asarray(array).T if array.ndim == 2 else []


def _names(estimator, X):
    """Return the names of the columns of features, or their positions among all columns of X."""
    column = estimator.task_column
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        return without_task_column(names.tolist(), column)
    n_labels = len(task_columns(column))
    positions = list(range(n_labels + np.shape(X)[1]))
    by_name = any(isinstance(own, str) for own in task_columns(column))
    return positions[n_labels:] if by_name else without_task_column(positions, column)


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
