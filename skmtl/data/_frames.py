"""Dataframes of transformed features."""

import narwhals.stable.v2 as nw


def is_frame(X):
    """Return whether X is a dataframe with its rows in memory, of any library."""
    return nw.dependencies.is_into_dataframe(X)


def with_features(X, task_column, features, names):
    """Return a dataframe of the library of X: its column of labels, as it is, and named features.

    Parameters
    ----------
    X : dataframe
    task_column : str
    features : ndarray of shape (n, d)
    names : list of str, (d,)
    """
    frame = nw.from_native(X, eager_only=True)
    labels = nw.maybe_reset_index(frame.select(task_column))
    if not names:
        return labels.to_native()
    named = nw.from_numpy(features, names, backend=frame.implementation)
    return nw.concat([labels, named], how="horizontal").to_native()
