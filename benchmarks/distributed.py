"""Fits to Parquet larger than the memory of two workers: seconds and peak memory.

Run it on an idle machine: ``python -m benchmarks.distributed``. 20 million rows of 20 features in
100,000 tasks (squared loss), 5 million rows (logistic loss), 1 million of both before, for the
growth. Rows are in random order: every partition has rows of most tasks, the worst case. ``--rows
5000000 --classified 1000000`` makes it smaller. It needs 4 GB of disk for temporary files.

The yardstick is one process with all rows in memory: its seconds per row, measured on a sample,
plus those to read the rows by pyarrow.
"""

import argparse
import tempfile
import threading
import time
import warnings
from pathlib import Path

import dask.dataframe as dd
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from distributed import Client, LocalCluster

import skmtl.dask
from skmtl import MeanRegularizedClassifier, MeanRegularizedRegressor

TASKS, FEATURES, GROUP, SAMPLE = 100_000, 20, 250_000, 1_000_000
NAMES = [f"x{j}" for j in range(FEATURES)]
X_COLUMNS = ["task", *NAMES]
MODELS = {
    "squared": (MeanRegularizedRegressor(10.0, task_column="task"), "y"),
    "logistic": (MeanRegularizedClassifier(10.0, task_column="task", tol=1e-6), "label"),
}


def write(folder, rows):
    """Write files of one row group each, with the columns task, x0, ..., y, label."""
    rng = np.random.default_rng(0)
    slopes = 0.3 * rng.standard_normal((TASKS, FEATURES)) + 0.2
    for k, first in enumerate(range(0, rows, GROUP)):
        n = min(GROUP, rows - first)
        codes, X = rng.integers(0, TASKS, n), rng.standard_normal((n, FEATURES))
        z = np.einsum("ij,ij->i", X, slopes[codes])
        columns = {"task": codes, **dict(zip(NAMES, X.T, strict=True))}
        columns |= {"y": z + rng.standard_normal(n), "label": rng.logistic(size=n) < z}
        table = pa.table({name: np.ascontiguousarray(part) for name, part in columns.items()})
        pq.write_table(table, folder / f"part-{k:04d}.parquet", use_dictionary=["task"])


def files_of(folder, rows):
    """Return the paths of the first files that hold so many rows."""
    return sorted(folder.glob("*.parquet"))[: -(-rows // GROUP)]


def read(path, target):
    """Return X and y of a file."""
    table = pq.read_table(path, columns=[*X_COLUMNS, target]).to_pandas()
    return table[X_COLUMNS], table[target]


class Peak:
    """Largest resident memory of this process in bytes, beyond that at the start."""

    def __enter__(self):
        self._process, self._done = psutil.Process(), threading.Event()
        self.start = self.bytes = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self):
        while not self._done.wait(0.02):
            self.bytes = max(self.bytes, self._process.memory_info().rss)

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()


def peak_of_worker():
    """Return the largest resident memory that this process had, in bytes (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def on_dask(folder, rows, model, target):
    """Return seconds, bytes of the workers and of the client, and the fitted model."""
    options = {"n_workers": 2, "threads_per_worker": 1, "memory_limit": "2GB"}
    with LocalCluster(**options, dashboard_address=":0") as cluster, Client(cluster) as client:
        warm = dd.read_parquet(files_of(folder, 1)).partitions[0].head(20_000, compute=True)
        warm = dd.from_pandas(warm, npartitions=4)  # kernels are loaded
        skmtl.dask.fit(model, warm[X_COLUMNS], warm[target])
        table = dd.read_parquet(files_of(folder, rows))
        with Peak() as peak:
            start = time.perf_counter()
            skmtl.dask.fit(model, table[X_COLUMNS], table[target])
            seconds = time.perf_counter() - start
        return seconds, max(client.run(peak_of_worker).values()), peak.bytes, model


def in_memory(folder, model, target):
    """Return seconds for no row, per row and per row read; and the model of the sample."""
    start = time.perf_counter()
    parts = [read(path, target) for path in files_of(folder, SAMPLE)]
    reading = (time.perf_counter() - start) / SAMPLE
    X, y = (np.concatenate(part) for part in zip(*parts, strict=True))
    model = type(model)(**model.get_params() | {"task_column": 0})
    half, whole = (fastest(model, X[:n], y[:n]) for n in (SAMPLE // 2, SAMPLE))
    per_row = (whole - half) / (SAMPLE // 2)
    return whole - SAMPLE * per_row, per_row, reading, model


def fastest(model, X, y):
    """Return the seconds of the fastest of three fits, after one that loads the kernels."""
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        model.fit(X, y)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def measure(folder, loss, sizes):
    """Print the measurements of a loss."""
    model, target = MODELS[loss]
    fixed, per_row, reading, exact = in_memory(folder, model, target)
    print(
        f"\n{loss}: in memory {fixed:.2f} s + {1e6 * per_row:.2f} s per million rows; "
        f"reading {1e6 * reading:.2f} s per million rows"
    )
    print(f"{'rows':>13}   seconds   in memory + reading   ratio   GB of a worker   client   steps")
    for rows in sizes:
        seconds, worker, client, fitted = on_dask(folder, rows, model, target)
        yardstick = fixed + rows * (per_row + reading)
        print(
            f"{rows:13,d}{seconds:10.1f}{yardstick:22.1f}{seconds / yardstick:8.2f}"
            f"{worker / 1e9:17.2f}{client / 1e9:9.2f}{fitted.n_iter_:8d}",
            flush=True,
        )
        if rows == SAMPLE:
            error = np.abs(fitted.coef_ - exact.coef_).max()
            print(f"  coefficients differ by at most {error:.0e} from those in memory")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000_000, help="rows of the squared loss")
    parser.add_argument("--classified", type=int, default=5_000_000, help="rows of logistic loss")
    given = parser.parse_args()
    warnings.filterwarnings("ignore", "Only one class was seen")  # in tasks of few rows
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        start = time.perf_counter()
        write(folder, max(given.rows, given.classified, SAMPLE))
        print(f"written in {time.perf_counter() - start:.0f} s")
        measure(folder, "squared", sorted({SAMPLE, given.rows}))
        measure(folder, "logistic", sorted({SAMPLE, given.classified}))


if __name__ == "__main__":
    main()
