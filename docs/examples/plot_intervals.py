"""
Intervals: how sure a model is of its predictions and coefficients
==================================================================

Predictions have a standard deviation, from the noise and from what the rows leave open about the
coefficients: much in a task of three rows, more in a task without any. First, tasks are drawn
with known coefficients, and it is counted how many new observations are in the interval of their
prediction, which should be 95 %. Intervals of the noise alone are too short. Then, the intervals of
the radon levels and slopes of counties.

The script prints the coverage and writes ``plot_intervals.png``.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skmtl import MeanRegularizedRegressor
from skmtl.datasets import load_radon
from skmtl.inspection import coef_table

TASKS, FEATURES, REPEATS = 60, 4, 10
SPREAD = np.array([0.3, 0.6, 1.0, 0.0])  # of the coefficients between tasks
rng = np.random.default_rng(0)

# %%
# Coverage of new observations in tasks of different sizes, and in tasks that were not in fit.


def draw(W, task):
    """Return X, its first column the task, and y."""
    X = rng.standard_normal((len(task), FEATURES))
    y = np.einsum("ij,ij->i", X, W[task]) + 1.5 * rng.standard_normal(len(task))
    return np.column_stack([task, X]), y


sizes = [3, 6, 12, 24]
rows = np.repeat(sizes, TASKS // len(sizes))
inside, only_noise = [], []
for _ in range(REPEATS):
    W = 1.0 + SPREAD * rng.standard_normal((2 * TASKS, FEATURES))  # the last half is not in fit
    model = MeanRegularizedRegressor("auto", task_column=0, handle_unknown="shared")
    model.fit(*draw(W, np.repeat(np.arange(TASKS), rows)))
    X, y = draw(W, np.repeat(np.arange(2 * TASKS), 200))
    predicted, std = model.predict(X, return_std=True)
    error = np.abs(y - predicted).reshape(2 * TASKS, -1)
    inside.append((error <= 1.96 * std.reshape(error.shape)).mean(axis=1))
    only_noise.append((error <= 1.96 * model.sigma2_**0.5).mean(axis=1))

names = [f"{size} rows" for size in sizes] + ["new tasks"]
group = np.append(np.repeat(np.arange(len(sizes)), TASKS // len(sizes)), np.full(TASKS, len(sizes)))
shares = {
    label: [np.mean(found, axis=0)[group == g].mean() for g in range(len(names))]
    for label, found in [("interval", inside), ("noise only", only_noise)]
}
print("Share of new observations in intervals of 95 %\n")
print(f"{'':12s}{'interval':>10s}{'noise only':>12s}")
for name, of_both, of_noise in zip(names, *shares.values(), strict=True):
    print(f"{name:12s}{of_both:10.3f}{of_noise:12.3f}")

# %%
# Radon: the level in the basement and the slope to the first floor, by county. Intervals are
# shorter in counties with many houses.

frame, y = load_radon(return_X_y=True, as_frame=True)
model = MeanRegularizedRegressor("auto", task_column="county").fit(frame[["county", "floor"]], y)
table = coef_table(model).set_index("feature")
order = np.argsort(model.task_counts_, kind="stable")

figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
at = np.arange(len(names))
axes[0].axhline(0.95, color="0.6", lw=1, ls="--")
axes[0].plot(at, shares["interval"], "o-", color="tab:blue", label="noise and coefficients")
axes[0].plot(at, shares["noise only"], "o-", color="tab:orange", label="noise only")
axes[0].set_xticks(at, names)
axes[0].set(title="Coverage of new observations", ylabel="share within the interval")
axes[0].legend()
titles = {"intercept": "Level in the basement", "floor": "First floor - basement"}
for ax, (name, title) in zip(axes[1:], titles.items(), strict=True):
    center, *_ = table[table["task"].isna()].loc[[name], "estimate"]
    own = table[table["task"].notna()].loc[name].iloc[order]
    ax.axhline(center, color="tab:orange", lw=1, ls="--", label="state")
    ax.vlines(np.arange(len(own)), own["lower"], own["upper"], color="tab:blue", lw=0.8)
    ax.plot(own["estimate"].to_numpy(), "o", ms=3, color="tab:blue", label="county")
    ticks = np.linspace(0, len(own) - 1, 6).astype(int)
    ax.set_xticks(ticks, model.task_counts_[order[ticks]])
    ax.set(title=title, xlabel="houses in the county", ylabel="log radon")
    ax.legend()

path = Path("plot_intervals.png")
figure.savefig(path, dpi=110)
print(f"\nFigure written to {path}")
