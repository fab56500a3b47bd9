"""
More rows than memory: Parquet through Dask
===========================================

A table of purchases in 2,000 shops is written to Parquet in twenty parts. Each shop is a task. The
model is fitted once to all rows in memory and once through Dask, which reads one part at a time:
a regressor needs nothing but sums for each shop, the :class:`~skmtl.TaskMoments`. The curves show
the memory of this process during both fits. The coefficients are the same.

Here, Dask runs in this process. ``skmtl.dask.fit(..., client=client)`` sends the same work to the
workers of a cluster. See :doc:`/dask`.
"""

import sys
import tempfile
import threading
import time
from pathlib import Path

import dask
import dask.dataframe as dd
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone

import skmtl.dask
from skmtl import MeanRegularizedRegressor

N_SHOPS, N_FEATURES, N_PARTS, ROWS = 2_000, 10, 20, 50_000

# %%
# The table, one part at a time. In practice it is there already.

rng = np.random.default_rng(0)
folder = Path(tempfile.mkdtemp())
features = [f"x{j}" for j in range(N_FEATURES)]
slopes = 1.0 + 0.3 * rng.standard_normal((N_SHOPS, N_FEATURES))
for part in range(N_PARTS):
    shop = rng.integers(0, N_SHOPS, ROWS)
    X = rng.standard_normal((ROWS, N_FEATURES))
    spent = np.einsum("ij,ij->i", X, slopes[shop]) + rng.standard_normal(ROWS)
    table = pd.DataFrame(X, columns=features).assign(shop=shop, spent=spent)
    table.to_parquet(folder / f"part-{part:02d}.parquet")
del X, table

# %%
# A thread records the memory of this process while a function runs.


def resident():
    """Return the memory of this process in MB (Linux; elsewhere NaN)."""
    status = Path("/proc/self/status")
    if sys.platform != "linux":
        return np.nan
    return next(int(s.split()[1]) / 1e3 for s in status.read_text().splitlines() if "VmRSS" in s)


def recorded(function):
    """Return the result of a function, and seconds and MB beyond the start, two lists."""
    start, before, done = time.perf_counter(), resident(), threading.Event()
    seconds, memory = [], []

    def watch():
        while not done.wait(0.01):
            seconds.append(time.perf_counter() - start)
            memory.append(resident() - before)

    thread = threading.Thread(target=watch)
    thread.start()
    result = function()
    done.set()
    thread.join()
    return result, seconds, memory


# %%
# Two fits of the same model. ``num_workers=1`` reads one part at a time, which takes the least
# memory; by default there is a thread for each core.

model = MeanRegularizedRegressor(3.0, task_column="shop")


def on_dask():
    """Fit to the parts."""
    table = dd.read_parquet(folder)
    with dask.config.set(num_workers=1):
        return skmtl.dask.fit(clone(model), table.drop(columns="spent"), table["spent"])


def in_memory():
    """Fit to all rows in memory."""
    table = pd.read_parquet(folder)
    return clone(model).fit(table.drop(columns="spent"), table["spent"])


for _ in range(2):  # loads compiled code, which takes memory too
    small = pd.read_parquet(folder / "part-00.parquet")
    model.partial_fit(small.drop(columns="spent"), small["spent"])
del small

lazy, *curve_of_dask = recorded(on_dask)
whole, *curve_in_memory = recorded(in_memory)
print(f"largest difference of a coefficient: {abs(lazy.coef_ - whole.coef_).max():.1e}")

# %%
# The memory of the fit through Dask does not depend on the number of parts. That of the fit in
# memory is a few times the size of the table.

figure, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
curves = {"all rows in memory": curve_in_memory, "through Dask": curve_of_dask}
for label, (seconds, memory) in curves.items():
    ax.plot(seconds, memory, label=label)
    print(f"{label}: {max(memory):.0f} MB")
size = N_PARTS * ROWS * (N_FEATURES + 2) * 8 / 1e6
ax.axhline(size, color="gray", linestyle=":", label="size of the table")
ax.set(xlabel="seconds", ylabel="memory beyond the start (MB)")
ax.set_ylim(bottom=0)
ax.legend()
figure.savefig("plot_out_of_core.png", dpi=110)

# %%
# Predictions are lazy too: this computes their mean and maximum, one part at a time.

predicted = skmtl.dask.predict(lazy, dd.read_parquet(folder).drop(columns="spent"))
mean, largest = dask.compute(predicted.mean(), predicted.max())
print(f"predictions: mean {mean:.3f}, maximum {largest:.1f}")
