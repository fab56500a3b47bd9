"""Seconds of a fit to the sums of a database or a lazy frame, in one run.

Run it on an idle machine: ``python -m benchmarks.moments``. One million rows in 100,000 tasks,
three features. The tables are in memory; reading them from disk comes on top for all candidates.
"""

import duckdb
import numpy as np
import polars as pl

from benchmarks.timing import interleaved, table
from skmtl import MeanRegularizedRegressor, TaskMoments

ROWS, TASKS, FEATURES = 1_000_000, 100_000, 3
FIT, SUMS = "fit of rows in memory", "from_data, fit_moments"


def make():
    """Return a polars DataFrame with the columns task, x0, x1, x2 and y."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, TASKS, ROWS)
    X = rng.standard_normal((ROWS, FEATURES))
    slopes = 1.0 + 0.5 * rng.standard_normal((TASKS, FEATURES))
    y = np.einsum("ij,ij->i", X, slopes[codes]) + rng.standard_normal(ROWS)
    return pl.DataFrame({"task": codes, **{f"x{j}": X[:, j] for j in range(FEATURES)}, "y": y})


def main():
    frame = make()
    X, y, database = frame.drop("y"), frame["y"], duckdb.connect()
    database.register("given", frame.to_arrow())
    database.execute("create table rows as select * from given")
    model = MeanRegularizedRegressor(2.0, task_column="task")
    columns = {"y": "y", "task_column": "task"}

    def from_frame(given):
        return model.fit_moments(TaskMoments.from_frame(given, **columns))

    exact = model.fit(X, y).coef_
    for given in (frame.lazy(), database.table("rows")):
        error = np.abs(from_frame(given).coef_ - exact).max()
        print(f"{type(given).__name__}: coefficients differ by at most {error:.0e}")
    half, moments = ROWS // 2, TaskMoments.from_data(X, y, task_column="task")

    def in_batches():
        batches = ((X[part], y[part]) for part in (slice(half), slice(half, None)))
        model.fit_moments(TaskMoments.from_batches(batches, task_column="task"))

    candidates = {
        FIT: lambda: model.fit(X, y),
        SUMS: lambda: model.fit_moments(TaskMoments.from_data(X, y, task_column="task")),
        "DuckDB: from_frame, fit_moments": lambda: from_frame(database.table("rows")),
        "polars lazy: from_frame, fit_moments": lambda: from_frame(frame.lazy()),
        "two batches: from_batches, fit_moments": in_batches,
        "fit_moments alone": lambda: model.fit_moments(moments),
    }
    seconds = interleaved(candidates, 5)
    table(f"{ROWS:,} rows, {TASKS:,} tasks, {FEATURES} features", seconds, FIT)


if __name__ == "__main__":
    main()
