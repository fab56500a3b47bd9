"""Convert features, targets and sample weights to arrays."""

from decimal import Decimal
from numbers import Integral, Real

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.validation import validate_data

from skmtl._kernels import predict_rows
from skmtl._threads import in_chunks
from skmtl.data._labels import (
    is_float_array,
    is_missing,
    split_task_column,
    without_task_column,
)
from skmtl.data._layout import read_only, weighted_mean
from skmtl.data._named_columns import naming_columns
from skmtl.data._sparse import CenteredRows, canonical, predictions, sparse_mean

_STRIP = 2**17  # numbers in the rows predicted at a time: about half of the cache of a core


def read_X(estimator, X, *, reset, finite=True):
    """Return the features (n, d), float64, and the task labels (n,) or None.

    Sets or checks ``n_features_in_`` and ``feature_names_in_``, which include the task column.
    Unless ``finite``, dense features of the long form are left to ``check_finite``.
    """
    return read_X_and_mean(estimator, X, reset=reset, finite=finite)[:2]


def read_X_and_mean(estimator, X, *, reset, finite=True):
    """Return the same and the mean of the features (d,), None where it was not needed."""
    check_in_memory(X, "X")
    column = estimator.task_column
    if column is None:
        if is_float_array(X, 2) and _sum_is_finite(X):
            _check_columns(estimator, X, reset=reset)
            return X, None, None
        with naming_columns(estimator, X):
            X = validate_data(estimator, X, accept_sparse="csr", dtype=np.float64, reset=reset)
        return canonical(X) if issparse(X) else X, None, None
    if not hasattr(X, "shape"):
        X = check_array(X, dtype=None, ensure_all_finite=False)
    _check_columns(estimator, X, reset=reset)
    labels, features = split_task_column(X, column)
    if features.shape[1] == 0:
        features = _no_features(estimator, len(labels))
    if is_float_array(X, 2):
        if not finite:
            return features, labels, None
        mean = weighted_mean(X, np.ones(len(X)))  # infinite or NaN if an entry is
        if np.isfinite(mean).all():
            return features, labels, np.array(without_task_column(mean.tolist(), column))
    with naming_columns(estimator, features):
        features = check_array(
            features,
            accept_sparse="csr",
            dtype=np.float64,
            ensure_all_finite=finite or issparse(features),
            ensure_min_features=0,  # a model of intercepts
            estimator=estimator,
            input_name="X",
        )
    return canonical(features) if issparse(features) else features, labels, None


def check_finite(estimator, X):
    """Raise if features that ``read_X`` returned are not finite."""
    options = {"accept_sparse": True, "ensure_min_features": 0, "input_name": "X"}
    with naming_columns(estimator, X):
        check_array(X, estimator=estimator, **options)


def _check_columns(estimator, X, *, reset):
    """Set or check ``n_features_in_`` and ``feature_names_in_``."""
    without_names = is_float_array(X, 2) and not hasattr(estimator, "feature_names_in_")
    if without_names and (reset or X.shape[1] == getattr(estimator, "n_features_in_", None)):
        estimator.n_features_in_ = X.shape[1]  # scikit-learn takes longer than some fits
    else:
        validate_data(estimator, X, reset=reset, skip_check_array=True)


def row_predictions(X, codes, coef, intercept):
    """Compute x . w + b of rows X (n, d) with each row's own task, (n,) or (n, K).

    ``coef`` is (T, d) or (T, K, d), ``intercept`` (T,) or (T, K), and ``codes`` (n,) holds the
    tasks, -1 for the last.
    """
    if issparse(X):
        T, d = len(coef), X.shape[1]
        by_class = coef.reshape(T, -1, d).swapaxes(0, 1), intercept.reshape(T, -1).T
        z = predictions(X, np.where(codes < 0, T - 1, codes), *by_class)
        return z.T.reshape(len(codes), *intercept.shape[1:])
    outputs = [()] if coef.ndim == 2 else [(slice(None), k) for k in range(coef.shape[1])]
    z, strip = np.empty((len(outputs), len(X))), max(1, _STRIP // max(1, X.shape[1]))
    for own, out in zip(outputs, z, strict=True):
        W, b = (read_only(np.ascontiguousarray(part[own])) for part in (coef, intercept))

        def predict(first, last):
            for top in range(first, last, strip):
                rows = slice(top, min(top + strip, last))
                part = read_only(np.ascontiguousarray(X[rows])), read_only(codes[rows])
                predict_rows(*part, W, b, out[rows], 0, len(part[0]))  # noqa: B023

        in_chunks(predict, len(X), 4 * X.size)
    return z[0] if coef.ndim == 2 else z.T


def covariance_products(X, W):
    """Return the products of W (..., d) and the covariance of the columns of X, (n, d)."""
    if not issparse(X):
        return W @ np.atleast_2d(np.cov(X, rowvar=False, bias=True))
    n, d = X.shape
    X = CenteredRows(X, sparse_mean(X, np.ones(n)))
    return X.adjoint(X.times(W.reshape(-1, d)) / n).reshape(W.shape)


def _no_features(estimator, n):
    """Return features (n, 0); raise if there would be no intercepts either."""
    if not estimator.fit_intercept:
        raise ValueError(
            f"X has only the task column {estimator.task_column!r}, and fit_intercept=False: "
            "there is nothing to fit. Set fit_intercept=True for a model of intercepts, or add "
            "features to X."
        )
    return np.empty((n, 0))


def check_in_memory(data, name):
    """Raise if these are rows that are yet to be computed: lazy frames, or those of Dask."""
    for method in ("collect", "compute"):
        if hasattr(data, method):
            raise TypeError(
                f"{name} is a {type(data).__name__}, whose rows are not in memory. Pass "
                f"{name}.{method}()."
            )


def _sum_is_finite(X):
    def part(first, last):
        with np.errstate(over="ignore", invalid="ignore"):
            return np.einsum(X[first:last], range(X.ndim), [])  # half the time of a pairwise sum

    return np.isfinite(sum(in_chunks(part, len(X), 4 * X.size)))


def read_numbers(estimator, y, *, wide):
    """Return the target y, float64, (n,) or, in the wide form, (n, T) with NaN = not observed."""
    if not wide and y.ndim == 2:
        y = one_target(y)
    if is_float_array(y, 1, 2) and _sum_is_finite(y):
        return y
    return check_array(
        y,
        dtype=np.float64,
        ensure_2d=False,
        ensure_all_finite="allow-nan" if y.ndim == 2 else True,
        input_name="y",
        estimator=estimator,
    )


def one_target(y):
    """Return the target of the long form as (n,); of (n, 1) with a warning, as scikit-learn."""
    if y.ndim == 2 and y.shape[1] > 1:
        raise ValueError(
            f"y should be a 1d array, got an array of shape {y.shape} instead: with a task_column, "
            "a row has one target. For a column of y for each task, set task_column to None and "
            "pass features only."
        )
    return column_or_1d(y, warn=True)


def plain_target(y):
    """Return a target as an array in which numbers are not Python objects.

    Missing values (None, NaN, NA) among numbers become NaN.
    """
    y = np.asarray(y)
    if y.dtype != object:
        return y
    values, numbers = y.ravel().tolist(), Real | Decimal | np.bool_
    if not isinstance(next((v for v in values if not is_missing(v)), None), numbers):
        return y
    missing = [is_missing(value) for value in values]
    found = [value for value, lacks in zip(values, missing, strict=True) if not lacks]
    if not all(isinstance(value, numbers) for value in found):
        return y
    if any(missing):
        found = [np.nan if lacks else float(v) for v, lacks in zip(values, missing, strict=True)]
    elif not all(isinstance(v, Integral | np.bool_) for v in found):
        found = [float(value) for value in found]
    array = np.array(found)
    return y if array.dtype == object else array.reshape(y.shape)


def read_sample_weight(sample_weight, X, y):
    """Return the sample weights, float64, nonnegative and not all zero.

    Their shape is (n,) or, if y is (n, T), also (n, T).
    """
    n = X.shape[0]
    if sample_weight is None:
        return np.ones(n)
    if isinstance(sample_weight, Real):
        sample_weight = np.full(n, float(sample_weight))
    try:
        weight = check_array(
            sample_weight, dtype=np.float64, ensure_2d=False, input_name="sample_weight"
        )
    except ValueError as error:
        if "could not convert" not in str(error):
            raise
        raise ValueError(
            f"sample_weight must be numbers ({error}). Task labels are no argument of fit: they "
            "are a column of X, which task_column names."
        ) from None
    if weight.shape not in ((n,), y.shape):
        per_task = f", or {y.shape}, one per target" if y.ndim == 2 else ""
        raise ValueError(
            f"sample_weight.shape == {weight.shape}, expected {(n,)}: one weight per row of X"
            f"{per_task}."
        )
    if weight.min() < 0:
        raise ValueError("Negative values in sample_weight: weights must be at least 0.")
    if not weight.any():
        raise ValueError("All sample weights are zero: there is nothing to fit.")
    return weight


class NamedTargets:
    """Targets (n, T) with the names of their columns, which are the tasks, as of a dataframe."""

    def __init__(self, values, columns):
        self.values, self.columns = values, columns
        self.shape, self.ndim, self.dtype = values.shape, values.ndim, values.dtype

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return (np.array if copy else np.asarray)(self.values, dtype=dtype)

    def __getitem__(self, rows):
        return NamedTargets(self.values[rows], self.columns)


def take_rows(X, rows):
    """Return the rows with these indices of a dataframe, an array or a sparse matrix."""
    if issparse(X):
        X = X.tocsr()
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]
