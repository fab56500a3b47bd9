"""Dataframes of transformed features, and moments that the engine of a table computes."""

from itertools import combinations_with_replacement

import narwhals.stable.v2 as nw
import numpy as np

from skmtl._warn import did_you_mean, listed
from skmtl.data._labels import encode_tasks, factorize, read_task_labels


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


def moments_of_frame(frame, y, task_column, sample_weight):
    """Return the arguments of ``TaskMoments`` from a table that narwhals reads, lazy or not."""
    lazy = nw.from_native(frame).lazy()
    schema = lazy.collect_schema()
    names = [name for name in schema.names() if name not in (y, sample_weight)]
    values = [*(name for name in names if name != task_column), y]
    _check_columns(schema, {"y": y, "task_column": task_column, "sample_weight": sample_weight})
    _check_numbers(schema, [*values, *([sample_weight] if sample_weight else [])])
    weight = nw.lit(1.0) if sample_weight is None else nw.col(sample_weight).cast(nw.Float64)
    numbers = [f"z{i}" for i in range(len(values))]
    columns = [
        nw.col(name).cast(nw.Float64).alias(z) for name, z in zip(values, numbers, strict=True)
    ]
    table = lazy.select(nw.col(task_column).alias("task"), weight.alias("weight"), *columns)
    _check_weights(table, sample_weight)
    table = table.filter(nw.col("weight") > 0)
    some = _collected(table.head(1))
    if not len(some):
        raise ValueError("The table has no rows of positive weight: there is nothing to add up.")
    origin = np.nan_to_num([some[z].to_numpy().astype(np.float64)[0] for z in numbers])
    table = table.with_columns(
        *(nw.col(z) - o for z, o in zip(numbers, origin.tolist(), strict=True))
    )

    sums = [f"s{i}" for i in range(len(values))]
    weighted = [(nw.col(z) * nw.col("weight")).alias(s) for z, s in zip(numbers, sums, strict=True)]
    first = (
        table.with_columns(*weighted)
        .group_by("task")
        .agg(
            nw.len().alias("rows"),
            nw.col("weight").sum(),
            *(nw.col(s).sum() for s in sums),
            *(nw.col(z).count() for z in numbers),
        )
    )
    found = _collected(first)
    labels = read_task_labels(found["task"].to_native())
    tasks, place = factorize(labels, task_column)
    counts, total = (found[name].to_numpy()[np.argsort(place)] for name in ("rows", "weight"))
    mean = np.column_stack([found[s].to_numpy() for s in sums])[np.argsort(place)] / total[:, None]
    complete = np.column_stack([found[z].to_numpy() for z in numbers])[np.argsort(place)]
    strange = ~np.isfinite(mean).all(axis=0) | (complete != counts[:, None]).any(axis=0)
    if strange.any():
        raise ValueError(
            f"The columns {listed(np.array(values, dtype=object)[strange].tolist())} hold missing "
            "or infinite values. Fill them in or leave the rows out."
        )

    means = first.select("task", *((nw.col(s) / nw.col("weight")).alias(s) for s in sums))
    pairs = list(combinations_with_replacement(range(len(values)), 2))
    deviations = [(nw.col(z) - nw.col(s)).alias(z) for z, s in zip(numbers, sums, strict=True)]
    products = [
        (nw.col(f"z{i}") * nw.col(f"z{j}") * nw.col("weight")).alias(f"p{i}_{j}") for i, j in pairs
    ]
    second = table.join(means, on="task").with_columns(*deviations).with_columns(*products)
    found = _collected(second.group_by("task").agg(*(nw.col(f"p{i}_{j}").sum() for i, j in pairs)))
    order = np.argsort(
        encode_tasks(read_task_labels(found["task"].to_native()), tasks, task_column)
    )
    scatter = np.empty((len(tasks), len(values), len(values)))
    for i, j in pairs:
        scatter[:, i, j] = scatter[:, j, i] = found[f"p{i}_{j}"].to_numpy()[order]
    return {
        "tasks": tasks,
        "counts": counts.astype(np.intp),
        "weight": total,
        "origin": origin,
        "deviation": mean,
        "scatter": scatter,
        "task_column": task_column,
        "feature_names": names,
    }


def _collected(lazy):
    """Return the result of a query as a dataframe; polars computes it in batches."""
    polars = lazy.implementation.is_polars()
    return lazy.collect(**({"engine": "streaming"} if polars else {}))


def _check_columns(schema, columns):
    for argument, name in columns.items():
        if name is not None and name not in schema.names():
            raise ValueError(
                f"{argument}={name!r} is not a column.{did_you_mean(name, schema.names())} There "
                f"are the columns {listed(schema.names())}."
            )


def _check_numbers(schema, names):
    text = [name for name in names if not (schema[name].is_numeric() or schema[name] == nw.Boolean)]
    if text:
        raise ValueError(
            f"The columns {listed(text)} are not numbers. All columns but those of the tasks, the "
            "target and the weights are features: leave out the others, or encode them."
        )


def _check_weights(table, sample_weight):
    if sample_weight is None:
        return
    bad = nw.col("weight").is_null() | ~(nw.col("weight") >= 0) | ~(nw.col("weight") < np.inf)
    if len(_collected(table.filter(bad).select("weight").head(1))):
        raise ValueError(
            f"The weights {sample_weight!r} must be at least 0, finite and not missing."
        )
