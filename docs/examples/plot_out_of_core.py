"""
More rows than memory: a Dask table, one part at a time
=======================================================

A table of purchases in 1,000 shops, with the name of the shop in a column, is written to Parquet in
twenty parts. ``skmtl.dask.fit`` fits a model of each shop to the Dask table, which is read one part
at a time: a regressor needs nothing but sums for each shop, the :class:`~skmtl.TaskMoments`. A fit
to all rows in memory has the same coefficients and takes many times the memory.

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

N_SHOPS, N_FEATURES, N_PARTS, ROWS = 1_000, 10, 20, 25_000

# %%
# The table, one part at a time. In practice it is there already.

rng = np.random.default_rng(0)
temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
features = [f"x{j}" for j in range(N_FEATURES)]
names = np.array([f"shop {k}" for k in range(N_SHOPS)])
slopes = 1.0 + 0.3 * rng.standard_normal((N_SHOPS, N_FEATURES))
for part in range(N_PARTS):
    shop = rng.integers(0, N_SHOPS, ROWS)
    X = rng.standard_normal((ROWS, N_FEATURES))
    spent = np.einsum("ij,ij->i", X, slopes[shop]) + rng.standard_normal(ROWS)
    table = pd.DataFrame(X, columns=features).assign(shop=names[shop], spent=spent)
    table.to_parquet(folder / f"part-{part:02d}.parquet")
del X, table

# %%
# The fit. X and y come from one Dask table. Nothing is read before ``skmtl.dask.fit``, which
# returns an ordinary model. ``num_workers=1`` reads one part at a time, which takes the least
# memory; by default there is a thread for each core.

model = MeanRegularizedRegressor("auto", task_column="shop")


def fit_on_dask(files=folder):
    """Return the model, fitted to one part at a time."""
    table = dd.read_parquet(files)
    with dask.config.set(num_workers=1):
        return skmtl.dask.fit(clone(model), table.drop(columns="spent"), table["spent"])


def fit_in_memory():
    """Return the model, fitted to all rows."""
    table = pd.read_parquet(folder)
    return clone(model).fit(table.drop(columns="spent"), table["spent"])


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


fit_on_dask(folder / "part-00.parquet")  # loads compiled code, which takes memory, too
on_dask, *curve_of_dask = recorded(fit_on_dask)
in_memory, *curve_in_memory = recorded(fit_in_memory)
print(f"{len(on_dask.tasks_)} tasks, such as {on_dask.tasks_[0]!r}")
print(f"largest difference of a coefficient: {abs(on_dask.coef_ - in_memory.coef_).max():.1e}")

# %%
# The memory of the fit through Dask does not depend on the number of parts. That of the fit in
# memory is a few times the size of the table.

plt.rc("font", size=12)
figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
curves = {"all rows in memory": curve_in_memory, "through Dask": curve_of_dask}
for label, (seconds, memory) in curves.items():
    ax.plot(seconds, memory, label=label, lw=2)
    print(f"{label}: {max(memory):.0f} MB")
size = N_PARTS * ROWS * (N_FEATURES + 1) * 8 / 1e6
print(f"size of the numbers: {size:.0f} MB")
ax.axhline(size, color="gray", ls=":", label="size of the numbers")
ax.set(xlabel="seconds", ylabel="memory of the fit (MB)", title="Part by part: little memory")
ax.set_ylim(0, 1.4 * max(curve_in_memory[1]))
ax.legend(frameon=False, loc="upper left")
figure.savefig("plot_out_of_core.png", dpi=110)

# %%
# Predictions of a Dask table are lazy, too: this computes their mean, one part at a time. Rows in
# memory are predicted by ``model.predict``.

predicted = skmtl.dask.predict(on_dask, dd.read_parquet(folder).drop(columns="spent"))
print(f"mean of all predictions: {predicted.mean().compute():.3f}")
row = pd.DataFrame({**dict.fromkeys(features, 1.0), "shop": ["shop 7"]})
print(f"shop 7, all features 1: {on_dask.predict(row)[0]:.2f}")
temporary.cleanup()
