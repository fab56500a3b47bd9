"""Moments of the tasks by the engine of a table that need not be in memory."""

from itertools import combinations_with_replacement

import narwhals.stable.v2 as nw
import numpy as np

from skmtl._warn import did_you_mean, listed
from skmtl.data._known_tasks import encode_tasks
from skmtl.data._labels import factorize, read_task_labels, task_columns


def moments_of_frame(frame, y, task_column, sample_weight):
    """Return the arguments of ``TaskMoments`` from a table that narwhals reads, lazy or not.

    Two passes: the means of each task, then sums of products about these.
    """
    lazy = nw.from_native(frame).lazy()
    names = lazy.collect_schema().names()
    columns = task_columns(task_column)
    _check_columns(names, {"y": [y], "task_column": columns, "sample_weight": [sample_weight]})
    names = [name for name in names if name not in (y, sample_weight)]
    values = [*(name for name in names if name not in columns), y]
    table = _numbers(lazy, values, columns, sample_weight)
    some = _collected(table.head(1))
    if not len(some):
        raise ValueError("The table has no rows of positive weight: there is nothing to add up.")
    z = [f"z{i}" for i in range(len(values))]
    origin = np.nan_to_num([float(some[name].to_numpy()[0]) for name in z])
    moved = zip(z, origin.tolist(), strict=True)
    table = table.with_columns(*(nw.col(name) - first for name, first in moved))

    keys = [f"task{k}" for k in range(len(columns))]
    sums = _sums(table, keys, z)
    found = _collected(sums)
    tasks, place = factorize(_labels(found, columns), task_column)
    order = np.argsort(place)
    counts, total = (found[name].to_numpy()[order] for name in ("rows", "weight"))
    means = _stacked(found, [f"s_{name}" for name in z])[order] / total[:, None]
    complete = _stacked(found, z)[order] == counts[:, None]
    strange = ~(np.isfinite(means) & complete).all(axis=0)
    if strange.any():
        raise ValueError(
            f"The columns {listed(np.array(values, dtype=object)[strange].tolist())} hold missing "
            "or infinite values. Fill them in or leave the rows out."
        )
    found = _collected(_products(table, sums, keys, z))
    own = encode_tasks(_labels(found, columns), tasks, task_column)
    scatter = np.empty((len(tasks), len(z), len(z)))
    for i, j in combinations_with_replacement(range(len(z)), 2):
        scatter[own, i, j] = scatter[own, j, i] = found[f"p{i}_{j}"].to_numpy()
    return {
        "tasks": tasks,
        "counts": counts.astype(np.intp),
        "weight": total,
        "origin": origin,
        "deviation": means,
        "scatter": scatter,
        "task_column": task_column,
        "feature_names": names,
    }


def _check_columns(names, columns):
    for argument, given in columns.items():
        for name in given:
            if name is not None and name not in names:
                raise ValueError(
                    f"{argument}={name!r} is not a column.{did_you_mean(name, names)} There are "
                    f"the columns {listed(names)}."
                )
    given = columns["task_column"]
    if len(set(given)) < len(given):
        raise ValueError(
            f"task_column={given!r} has the same column twice. Name each column of labels once, "
            "from the outermost to the innermost."
        )


def _labels(found, columns):
    """Return the labels of the columns task0, task1, ... of a table."""
    own = [nw.col(f"task{k}").alias(name) for k, name in enumerate(columns)]
    return read_task_labels(found.select(*own).to_native())


def _numbers(lazy, values, columns, sample_weight):
    """Return the columns task0, ..., weight and z0, ... (the values) of rows of positive weight."""
    schema = lazy.collect_schema()
    weights = [] if sample_weight is None else [sample_weight]
    other = [
        name
        for name in (*values, *weights)
        if not (schema[name].is_numeric() or schema[name] == nw.Boolean)
    ]
    if other:
        raise ValueError(
            f"The columns {listed(other)} are not numbers. All columns but those of the tasks, the "
            "target and the weights are features: leave out the others, or encode them."
        )
    weight = nw.lit(1.0) if sample_weight is None else nw.col(sample_weight).cast(nw.Float64)
    table = lazy.select(
        *(nw.col(name).alias(f"task{k}") for k, name in enumerate(columns)),
        weight.alias("weight"),
        *(nw.col(name).cast(nw.Float64).alias(f"z{i}") for i, name in enumerate(values)),
    )
    if sample_weight is None:
        return table
    bad = nw.col("weight").is_null() | ~(nw.col("weight") >= 0) | ~(nw.col("weight") < np.inf)
    if len(_collected(table.filter(bad).head(1))):
        raise ValueError(
            f"The weights {sample_weight!r} must be at least 0, finite and not missing."
        )
    return table.filter(nw.col("weight") > 0)


def _sums(table, keys, z):
    """Return rows, weight, weighted sums s_z and numbers of values z of each task."""
    weighted = [(nw.col(name) * nw.col("weight")).alias(f"s_{name}") for name in z]
    return (
        table.with_columns(*weighted)
        .group_by(*keys)
        .agg(
            nw.len().alias("rows"),
            nw.col("weight").sum(),
            *(nw.col(f"s_{name}").sum() for name in z),
            *(nw.col(name).count() for name in z),
        )
    )


def _products(table, sums, keys, z):
    """Return the weighted sums of products p0_0, p0_1, ... about the means of each task."""
    means = [(nw.col(f"s_{name}") / nw.col("weight")).alias(f"s_{name}") for name in z]
    centered = [nw.col(name) - nw.col(f"s_{name}") for name in z]
    pairs = list(combinations_with_replacement(range(len(z)), 2))
    products = [
        (nw.col(z[i]) * nw.col(z[j]) * nw.col("weight")).alias(f"p{i}_{j}") for i, j in pairs
    ]
    return (
        table.join(sums.select(*keys, *means), on=keys)
        .with_columns(*centered)
        .with_columns(*products)
        .group_by(*keys)
        .agg(*(nw.col(f"p{i}_{j}").sum() for i, j in pairs))
    )


def _collected(lazy):
    """Return the result of a query as a dataframe; polars computes it in batches."""
    return lazy.collect(**({"engine": "streaming"} if lazy.implementation.is_polars() else {}))


def _stacked(frame, names):
    return np.column_stack([frame[name].to_numpy() for name in names])
