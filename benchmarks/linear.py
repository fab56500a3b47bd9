"""Multi-task linear regression: seconds, ratios and memory, in one run.

Run it on an idle machine: ``python -m benchmarks.linear``. Without the School data
(``SKMTL_DATA``, see ``fetch_school``) synthetic data of the same size are used.
"""

import tempfile

import numpy as np
from sklearn.linear_model import Ridge

from benchmarks.adapters.scikit_learn import ridge_augmented, ridge_loop
from benchmarks.objective import mean_regularized
from benchmarks.problems import school, synthetic, wide
from benchmarks.timing import in_new_process, interleaved, table
from benchmarks.yardsticks import blas_floor
from skmtl import MeanRegularizedRegressor, PooledRegressor, SharedL2Regressor

OURS = "MeanRegularizedRegressor"


def bench_school():
    """Time a fit of a small, real problem."""
    problem, alpha, alpha_shared = school(), 100.0, 1.0
    X, tasks, y = problem.X, np.unique(problem.tasks, return_inverse=True)[1], problem.y
    n_tasks, long, groups = tasks.max() + 1, problem.long, problem.groups()
    grouped = problem.grouped()
    starts = np.append(0, np.cumsum([len(rows) for rows in groups]))
    model = MeanRegularizedRegressor(alpha, task_column=0)
    separate = SharedL2Regressor(alpha, task_column=0)
    plain = MeanRegularizedRegressor(
        alpha, alpha_shared=alpha_shared, task_column=0, fit_intercept=False
    )
    slow = {"Ridge loop over tasks": 7, "Ridge on augmented features (sparse)": 3}
    candidates = {
        OURS: lambda: model.fit(long, problem.y),
        "SharedL2Regressor": lambda: separate.fit(long, problem.y),
        "bound: Grams by BLAS, batched Cholesky": lambda: blas_floor(grouped.X, starts, alpha),
        "Ridge loop over tasks": lambda: ridge_loop(X, y, groups, alpha),
        "Ridge on augmented features (sparse)": lambda: ridge_augmented(
            X, tasks, y, n_tasks, alpha, alpha_shared
        ),
    }
    seconds = interleaved(candidates, dict.fromkeys(candidates, 51) | slow)
    W = ridge_augmented(X, tasks, y, n_tasks, alpha, alpha_shared)
    theirs = mean_regularized(X, tasks, y, W, alpha, alpha_shared)
    ours = mean_regularized(X, tasks, y, plain.fit(long, y).coef_, alpha, alpha_shared)
    table(
        f"{problem.name}: n={len(y):,} d={X.shape[1]} T={n_tasks}",
        seconds,
        OURS,
        f"objective of the augmented Ridge over ours: 1 + {theirs / ours - 1:.1e}",
    )


def bench_large():
    """Time fits of a million rows, shuffled and grouped."""
    problem = synthetic(1_000_000, 30, 10_000)
    grouped, groups = problem.grouped(), problem.groups()
    long, long_grouped = problem.long, grouped.long
    model, pooled = MeanRegularizedRegressor(task_column=0), PooledRegressor(task_column=0)
    candidates = {
        OURS: lambda: model.fit(long, problem.y),
        "the same, rows grouped by task": lambda: model.fit(long_grouped, grouped.y),
        "PooledRegressor": lambda: pooled.fit(long, problem.y),
        "one pooled Ridge": lambda: Ridge().fit(problem.X, problem.y),
        "Ridge loop over tasks": lambda: ridge_loop(problem.X, problem.y, groups, 1.0),
    }
    repeats = dict.fromkeys(candidates, 9) | {"Ridge loop over tasks": 2}
    table(problem.name, interleaved(candidates, repeats), OURS)
    peak = in_new_process(PEAK)
    print(f"  peak memory beyond the input, over the bytes of X: {peak:.2f}")


PEAK = """
import json, psutil
import numpy as np
from skmtl import MeanRegularizedRegressor
rng = np.random.default_rng(0)
model = MeanRegularizedRegressor(task_column=0)
small = np.column_stack([np.arange(500) % 5, rng.standard_normal((500, 30))])
model.fit(small, small[:, 1])
X = np.empty((1_000_000, 31))
for start in range(0, len(X), 10_000):
    X[start:start + 10_000] = rng.standard_normal((10_000, 31))
    X[start:start + 10_000, 0] = rng.permutation(10_000)
y = X[:, 1].copy()
open("/proc/self/clear_refs", "w").write("5")  # the high-water mark starts here
before = psutil.Process().memory_info().rss
model.fit(X, y)
status = open("/proc/self/status").read()
peak = 1024 * int(status.split("VmHWM:")[1].split()[0])
print(json.dumps((peak - before) / X.nbytes))
"""


def bench_growth():
    """Time per row and per task for growing numbers of them."""
    model = MeanRegularizedRegressor(task_column=0)
    problem = synthetic(1_000_000, 10, 100_000)
    long, few = problem.long, problem.groups()[:2000]
    seconds = interleaved(
        {
            OURS: lambda: model.fit(long, problem.y),
            "Ridge loop over tasks (2,000 of them, times 50)": lambda: ridge_loop(
                problem.X, problem.y, few, 1.0
            ),
        },
        5,
    )
    seconds["Ridge loop over tasks (2,000 of them, times 50)"] *= 50
    table(problem.name, seconds, OURS)
    print("\ngrowth in n (d=10, T=1,000)              growth in T (d=10, 10 rows per task)")
    sizes = [(n, 1_000) for n in (10_000, 30_000, 100_000, 300_000, 1_000_000)]
    tasks = [(10 * T, T) for T in (100, 1_000, 10_000, 100_000)]
    lines = []
    for unit, cases in (("row", sizes), ("task", tasks)):
        for n, n_tasks in cases:
            problem = synthetic(n, 10, n_tasks)
            long = problem.long
            time = interleaved({"": lambda: model.fit(long, problem.y)}, 7)[""]  # noqa: B023
            size = n if unit == "row" else n_tasks
            lines.append((unit, f"{size:>10,} {unit}s: {1e9 * time / size:9.1f} ns/{unit}"))
    rows = [text for unit, text in lines if unit == "row"]
    counts = [text for unit, text in lines if unit == "task"] + [""]
    for left, right in zip(rows, counts, strict=True):
        print(f"  {left:40s} {right}")


def bench_wide():
    """Time a fit of many tasks on one X."""
    X, Y = wide(2_000, 200, 10_000)
    model = MeanRegularizedRegressor()
    table(
        "wide form: n=2,000 d=200 T=10,000",
        interleaved({OURS: lambda: model.fit(X, Y), "Ridge, 2-D y": lambda: Ridge().fit(X, Y)}, 9),
        OURS,
    )


def nested_rows(n, d, n_regions, n_stores):
    """Return rows of shuffled stores with the labels of regions and stores in front, and y."""
    rng = np.random.default_rng(0)
    store, X = rng.integers(n_stores, size=n), rng.standard_normal((n, d))
    region = store * n_regions // n_stores
    W = 1 + 0.5 * rng.standard_normal((n_regions, d + 1))[region]
    W += 0.3 * rng.standard_normal((n_stores, d + 1))[store]
    y = (X * W[:, :-1]).sum(axis=1) + W[:, -1] + rng.standard_normal(n)
    return np.column_stack([region, store, X]), y


def bench_nested():
    """Time fits of stores in regions, beside those of stores alone, and per node."""
    X, y = nested_rows(1_000_000, 10, 100, 10_000)
    alone = np.ascontiguousarray(X[:, 1:])
    nested = MeanRegularizedRegressor(task_column=[0, 1])
    auto = MeanRegularizedRegressor("auto", task_column=[0, 1])
    plain = MeanRegularizedRegressor(task_column=0)
    names = "regions and stores", "stores alone", 'regions and stores, alpha="auto"'
    candidates = {
        names[0]: lambda: nested.fit(X, y),
        names[1]: lambda: plain.fit(alone, y),
        names[2]: lambda: auto.fit(X, y),
    }
    seconds = interleaved(candidates, dict.fromkeys(names, 15) | {names[2]: 3})
    together, one, estimated = (seconds[name] for name in names)
    table(
        "n=1,000,000 d=10, 10,000 stores in 100 regions",
        seconds,
        names[0],
        f"over stores alone {together / one:.2f} (goal 1.5), "
        f'"auto" over a fit {estimated / together:.1f} (goal 25)',
    )
    print("\ngrowth in nodes (d=5, 10 rows per store, 9 stores per region)")
    for n_nodes in (1_000, 10_000, 100_000):
        X, y = nested_rows(9 * n_nodes, 5, n_nodes // 10, 9 * n_nodes // 10)
        time = interleaved({"": lambda: nested.fit(X, y)}, 7)[""]  # noqa: B023
        print(f"  {n_nodes:>10,} nodes: {1e6 * time / n_nodes:9.2f} us/node")


FIRST_USE = """
import json, time
import numpy as np
import sklearn.linear_model
start = time.perf_counter()
from skmtl import MeanRegularizedRegressor
rng = np.random.default_rng(0)
X = np.column_stack([np.arange(500) % 5, rng.standard_normal((500, 5))])
y = rng.standard_normal(500)
MeanRegularizedRegressor(task_column=0).fit(X, y)
print(json.dumps(time.perf_counter() - start))
"""


def bench_first_use():
    """Time import and first fit in a new process."""
    print("\nimport skmtl and first fit in a new process, beyond `import sklearn.linear_model`")
    cold, warm = [], []
    for _ in range(5):
        with tempfile.TemporaryDirectory() as cache:
            cold.append(in_new_process(FIRST_USE, NUMBA_CACHE_DIR=cache))
            warm.append(in_new_process(FIRST_USE, NUMBA_CACHE_DIR=cache))
    print(f"  warm numba cache {np.median(warm):.2f} s, cold {np.median(cold):.2f} s")


if __name__ == "__main__":
    bench_first_use()
    bench_school()
    bench_large()
    bench_growth()
    bench_wide()
    bench_nested()
