"""Read the rows of partitions."""

import dask
import dask.array as da
import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone

from skmtl._warn import listed
from skmtl.dask._graph import task
from skmtl.data import column_names, factorize, read_rows, task_columns

_SAME_TABLE = (
    "Take X, y and sample_weight from the same table, so that partitions have the same rows."
)


def partitions_of(X, y, sample_weight):
    """Return the rows of each partition, a list of ``Delayed`` of (X, y) or (X, y, weight)."""
    given = {"X": X, "y": y, "sample_weight": sample_weight}
    given = {name: data for name, data in given.items() if data is not None}
    for name in ("X", "y"):
        if name not in given:
            raise ValueError(f"{name} is None. Pass a dask DataFrame, Series or Array.")
    for name, data in given.items():
        check_on_dask(data, name)
    if X.ndim != 2:
        raise ValueError(f"X has {X.ndim} dimension, expected 2: rows and columns.")
    counts = {name: data.npartitions for name, data in given.items()}
    arrays = [isinstance(data, da.Array) for data in given.values()]
    if any(arrays):
        parts = {name: rows_of(data, name, X) for name, data in given.items()}
        counts = {name: len(own) for name, own in parts.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"The numbers of partitions differ: {counts}. {_SAME_TABLE}")
    if not any(arrays):  # read together: Dask may join partitions of few columns
        return _side_by_side(*given.values())
    return [task("rows", _together, *own) for own in zip(*parts.values(), strict=True)]


def check_on_dask(data, name):
    """Return data in partitions; raise if they are something else."""
    if hasattr(data, "to_delayed") and dask.is_dask_collection(data):
        return data
    raise TypeError(
        f"{name} is a {type(data).__name__}. Pass a dask DataFrame, Series or Array with the "
        "partitions of X, or use the model itself if all rows are in memory."
    )


def _side_by_side(*frames):
    import dask.dataframe as dd
    import pandas as pd

    options = {"meta": pd.Series([], dtype=object), "enforce_metadata": False}
    joined = dd.map_partitions(
        _together, *frames, align_dataframes=False, token="skmtl-rows", **options
    )
    return joined.to_delayed()


def _together(*parts):
    return parts


def rows_of(data, name, X):
    """Return the partitions of some data along the rows, those of X, a list of ``Delayed``."""
    if not isinstance(data, da.Array):
        return data.to_delayed(optimize_graph=False)
    if data.ndim == 2:
        data = data.rechunk({1: -1})
    lengths = getattr(X, "chunks", ((np.nan,),))[0]
    if not np.isnan(lengths).any() and not np.isnan(data.chunks[0]).any():
        if data.shape[0] != X.shape[0]:
            raise ValueError(f"X has {X.shape[0]} rows, and {name} {data.shape[0]}.")
        data = data.rechunk({0: lengths})
    return data.to_delayed().ravel().tolist()


def category_order(X, task_column):
    """Return the categories of the task columns, a list for each, None where they have no order.

    None if none of them has.
    """
    names = column_names(X)
    if names is None:
        return None
    found = [_categories(X, names, column) for column in task_columns(task_column)]
    return found if any(own is not None for own in found) else None


def _categories(X, names, name):
    if not isinstance(name, str):
        name = names[name] if -len(names) <= name < len(names) else None
    if name not in names or not getattr(X.dtypes[name], "ordered", False) or not X[name].cat.known:
        return None
    return X.dtypes[name].categories.tolist()


def in_order(tasks, categories):
    """Return the places (T,) of tasks in the order of categories.

    These are a list for each column, or None where labels are sorted.
    """
    labels = tasks.tolist() if len(categories) > 1 else [(label,) for label in tasks.tolist()]
    numbers = []
    for own, found in zip(categories, zip(*labels, strict=True), strict=True):
        if own is None:
            own = factorize(np.array(found, dtype=object), None)[0].tolist()
        numbers.append({label: number for number, label in enumerate(own)})
    keys = [[number[own] for number, own in zip(numbers, label, strict=True)] for label in labels]
    return np.array(sorted(range(len(labels)), key=keys.__getitem__), dtype=np.intp)


def read_partition(number, reader, names, partition):
    """Return the ``Rows`` of a partition, and the reader that read them; None if there are none.

    Parameters
    ----------
    number : int
        Of the partition, for messages.
    reader : estimator
    names : list of str or None
        Columns of X.
    partition : tuple
        X, y and, if given, weights: dataframes, Series or ndarrays.
    """
    X, y, weight = partition if len(partition) == 3 else (*partition, None)
    try:
        if names is not None and column_names(X) != names:
            raise ValueError(
                f"X has the columns {listed(column_names(X))} here, expected {listed(names)}."
            )
        if issparse(X):
            raise TypeError(
                "X is sparse. Partitions are dense: use fit with all rows in memory, or "
                "X.map_blocks(lambda block: block.toarray()) if there are few features."
            )
        for name, data in (("y", y), ("sample_weight", weight)):
            if data is not None and len(data) != len(X):
                raise ValueError(f"X has {len(X)} rows here, and {name} {len(data)}. {_SAME_TABLE}")
        if len(X) == 0 or (weight is not None and not np.asarray(weight).any()):
            return None
        reader = clone(reader)
        return read_rows(reader, X, y, weight, reset=True), reader
    except (TypeError, ValueError) as error:
        raise type(error)(f"Partition {number}: {error}") from error


def check_kinds(number, found, known, what):
    """Raise if labels have no type in common with those of other partitions.

    Parameters
    ----------
    number : int
        Of the partition, for the message.
    found, known : ndarray
        Its labels, and those of others.
    what : str
        What they are, for the message.
    """
    if found.dtype == known.dtype != object:
        return
    for mine, theirs in zip(_columns(found), _columns(known), strict=False):
        types, others = ({type(label) for label in labels} for labels in (mine, theirs))
        if types & others or (_are_numbers(types) and _are_numbers(others)):
            continue
        raise ValueError(
            f"Partition {number}: {what} of different types: here such as {mine[0]!r} "
            f"({type(mine[0]).__name__}), in other partitions such as {theirs[0]!r} "
            f"({type(theirs[0]).__name__}). Convert the column to one type."
        )


def _columns(labels):
    """Return a list of the labels, or of those of each column of tuples."""
    labels = labels.tolist()
    return list(zip(*labels, strict=False)) if isinstance(labels[0], tuple) else [labels]


def _are_numbers(types):
    return types <= {int, float}
