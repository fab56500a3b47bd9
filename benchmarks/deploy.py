"""Seconds of predict and of adapt, and size of a saved model.

Run it on an idle machine: ``python -m benchmarks.deploy``. The model has 10,000 tasks, with labels
of text, and 20 features. "numpy" is the product alone, where the task of each row is known.
"""

import pickle

import duckdb
import numpy as np
import pandas as pd

from benchmarks.timing import interleaved, table
from skmtl import MeanRegularizedRegressor

TASKS, FEATURES, ROWS = 10_000, 20, 100_000


def make():
    """Return X, a frame with labels of text, and y; the first rows have one of each task."""
    rng = np.random.default_rng(0)
    code = np.append(np.arange(TASKS), rng.integers(0, TASKS, ROWS - TASKS))
    X = pd.DataFrame(rng.standard_normal((ROWS, FEATURES))).add_prefix("x")
    slopes = 1.0 + 0.5 * rng.standard_normal((TASKS, FEATURES))
    y = np.einsum("ij,ij->i", X.to_numpy(), slopes[code]) + rng.standard_normal(ROWS)
    X.insert(0, "shop", np.array([f"shop {k:05d}" for k in range(TASKS)])[code])
    return X, y


def query(model):
    """Return the SQL of predictions of a table ``given``, from a table ``coefficients``."""
    terms = " + ".join(f"c.{name} * given.{name}" for name in model.feature_names_in_[1:])
    return f"SELECT c.intercept + {terms} AS y FROM given JOIN coefficients c USING (shop)"


def main():
    X, y = make()
    model = MeanRegularizedRegressor(2.0, task_column="shop").fit(X, y)
    code = np.searchsorted(model.tasks_, X["shop"].to_numpy())
    values = X.drop(columns="shop").to_numpy()

    def product(some):
        return np.einsum("ij,ij->i", values[some], model.coef_[code[some]])

    database = duckdb.connect()
    coefficients = pd.DataFrame(model.coef_, columns=model.feature_names_in_[1:])
    coefficients = coefficients.assign(shop=model.tasks_, intercept=model.intercept_)
    database.register("given_frame", X)
    database.register("coefficients_frame", coefficients)
    for name in ("given", "coefficients"):
        database.execute(f"CREATE TABLE {name} AS SELECT * FROM {name}_frame")
    sql = query(model)

    for some, title in ((slice(1), "one row"), (slice(None), f"{ROWS:,} rows")):
        given = X[some]
        candidates = {
            "predict": lambda given=given: model.predict(given),
            "predict, return_std": lambda given=given: model.predict(given, return_std=True),
            "numpy": lambda some=some: product(some),
        }
        if len(given) > 1:
            candidates["DuckDB, a table in memory"] = lambda: database.sql(sql).fetchnumpy()
        table(
            f"{title}, {TASKS:,} tasks, {FEATURES} features", interleaved(candidates, 15), "predict"
        )

    new = X[:3].assign(shop="a new shop")
    seconds = interleaved({"adapt": lambda: model.adapt(new, y[:3])}, 15)
    table(f"a new task of three rows, {TASKS:,} tasks", seconds, "adapt")

    saved = pickle.dumps(model)
    table(
        "saved model", interleaved({"pickle.loads": lambda: pickle.loads(saved)}, 5), "pickle.loads"
    )
    print(f"  {len(saved) / 1e6:.1f} MB, {model.coef_.nbytes / 1e6:.1f} MB of them coefficients")
    alone = model.set_params(solver="cg").fit(X, y)
    print(f'  solver="cg", without standard deviations: {len(pickle.dumps(alone)) / 1e6:.1f} MB')


if __name__ == "__main__":
    main()
