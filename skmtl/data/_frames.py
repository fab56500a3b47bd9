"""Dataframes of transformed features."""

import narwhals.stable.v2 as nw
import numpy as np


def is_frame(X):
    """Return whether X is a dataframe with its rows in memory, of any library."""
    return nw.dependencies.is_into_dataframe(X)


def only_column(X):
    """Return the column of a dataframe or an array that has one: Series, list or array (n,)."""
    if not is_frame(X):
        return X[:, 0]
    column = nw.from_native(X)[:, 0]
    # Entries of Arrow are no Python objects.
    return column.to_list() if column.implementation.is_pyarrow() else column.to_native()


def is_text(series):
    """Return whether a Series has a type for strings or categories; objects may be of any type."""
    kind = getattr(series.to_native(), "dtype", None)
    return isinstance(series.dtype, nw.String | nw.Categorical) and kind != np.dtype(object)


def distinct_text(series):
    """Return the distinct values of a Series of text (K,) and each row's index into them (n,).

    By the hash tables of its library: Python objects of all rows would take most of the time.
    """
    if series.implementation.is_pandas():
        codes = series.to_native().factorize()[0]
    else:
        found = series.unique().to_list()
        codes = series.replace_strict(found, list(range(len(found))), return_dtype=nw.Int64)
        codes = codes.to_numpy()
    row = np.zeros(codes.max(initial=-1) + 1, dtype=np.intp)
    row[codes] = np.arange(len(codes))
    return series[row.tolist()].to_numpy(), codes


def columns_of_fit(X, names):
    """Return X with the named columns only, in this order, if it is a dataframe that has them."""
    frame = nw.from_native(X) if is_frame(X) else None
    if frame is None or not set(names) <= set(frame.columns):
        return X
    return frame.select(names).to_native()


def rows_like(frame):
    """Return a dataframe without its rows."""
    return nw.from_native(frame, eager_only=True).head(0).to_native()


def frame_like(template, columns, X):
    """Return a dataframe of the library of a template, with the index of X where it has one.

    Parameters
    ----------
    template : dataframe
    columns : list of ndarray of shape (n,)
        One for each column of the template. What is not float64 gets the type of that column.
    X : dataframe or array
    """
    frame, parts = nw.from_native(template), []
    for j, (name, values) in enumerate(zip(frame.columns, columns, strict=True)):
        own = nw.new_series(str(name), values.tolist(), backend=frame.implementation).to_native()
        if values.dtype != np.float64:
            kind = frame[:, j].to_native()
            kind = kind.type if frame.implementation.is_pyarrow() else kind.dtype
            own = own.astype(kind) if hasattr(own, "astype") else own.cast(kind)
        parts.append(nw.from_native(own, series_only=True).alias(str(name)).to_frame())
    whole = nw.concat(parts, how="horizontal").to_native()
    if hasattr(whole, "set_axis"):
        whole = whole.set_axis(template.columns, axis=1)
        if hasattr(X, "index") and hasattr(X, "iloc"):
            whole = whole.set_axis(X.index)
    return whole


def with_features(X, columns, features, names):
    """Return a dataframe of columns of X, as they are, and features.

    Parameters
    ----------
    X : dataframe or ndarray
    columns : list of int
    features : dataframe or ndarray of shape (n, d)
        At least one of X and the features is a dataframe. The result is of the library of the
        features or, if these are an array, of X.
    names : list of str, (L + d,)
        Different names of all columns.
    """
    library = nw.from_native(features if is_frame(features) else X).implementation
    n_labels = len(columns)
    labels = _columns(X, columns, names[:n_labels], library)
    if len(names) == n_labels:
        return labels
    if not is_frame(features):
        features = nw.from_numpy(features, names[n_labels:], backend=library).to_native()
    if hasattr(labels, "set_axis"):  # pandas, which aligns rows by their index
        features = features.set_axis(labels.index)
    parts = [nw.from_native(labels), nw.from_native(features)]
    return nw.concat(parts, how="horizontal").to_native()


def _columns(X, columns, names, library):
    """Return columns of X as a dataframe of a library."""
    if not is_frame(X):
        given = zip(names, columns, strict=True)
        own = [nw.new_series(name, X[:, j].tolist(), backend=library) for name, j in given]
        return nw.concat([part.to_frame() for part in own], how="horizontal").to_native()
    frame = nw.from_native(X)[:, columns]
    if frame.implementation is library:
        return frame.to_native()
    return frame.to_pandas() if library.is_pandas() else frame.to_polars()
