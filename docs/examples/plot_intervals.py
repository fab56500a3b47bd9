"""
Prediction intervals for tasks of three rows and for new tasks
==============================================================

``predict(X, return_std=True)`` returns a standard deviation of each prediction. It has two parts:
the noise of an observation, and the uncertainty about the coefficients of its task, which is large
in a task of three rows and larger in a task that was not in the fit. Here, tasks are drawn with
known coefficients, and we count how many new observations are in the interval of their prediction.
Intervals of the noise alone are too short. Then, ``coef_table`` and a display show intervals of the
coefficients of counties in the radon data.
"""

import matplotlib.pyplot as plt
import numpy as np

from skmtl import MeanRegularizedRegressor
from skmtl.datasets import load_radon
from skmtl.inspection import CoefficientShrinkageDisplay, coef_table

TASKS, FEATURES, REPEATS = 60, 4, 20
SPREAD = np.array([0.3, 0.6, 1.0, 0.0])  # of the coefficients between tasks
SIZES = [3, 6, 12, 24]  # rows of a task in the fit
rng = np.random.default_rng(0)

# %%
# Tasks 0 to 59 are in the fit, 15 of each size; tasks 60 to 119 are new.


def draw(W, task):
    """Return X, its first column the task, and y."""
    X = rng.standard_normal((len(task), FEATURES))
    y = (X * W[task]).sum(axis=1) + 1.5 * rng.standard_normal(len(task))
    return np.column_stack([task, X]), y


rows = np.repeat(SIZES, TASKS // len(SIZES))
inside = np.empty((2, REPEATS, 2 * TASKS))  # with both parts, with the noise alone
for repeat in range(REPEATS):
    W = 1.0 + SPREAD * rng.standard_normal((2 * TASKS, FEATURES))
    model = MeanRegularizedRegressor("auto", task_column=0, handle_unknown="shared")
    model.fit(*draw(W, np.repeat(np.arange(TASKS), rows)))
    X, y = draw(W, np.repeat(np.arange(2 * TASKS), 200))
    predicted, std = model.predict(X, return_std=True)
    for kind, width in enumerate((std, model.sigma2_**0.5)):
        covered = np.abs(y - predicted) <= 1.96 * width
        inside[kind, repeat] = covered.reshape(2 * TASKS, 200).mean(axis=1)

# %%
# The share of new observations in their intervals.

names = [f"{size} rows" for size in SIZES] + ["new tasks"]
groups = [*(np.flatnonzero(rows == size) for size in SIZES), np.arange(TASKS, 2 * TASKS)]
both, noise_only = ([own[:, group].mean() for group in groups] for own in inside)
print(f"{'':12s}{'interval':>10s}{'noise only':>12s}")
for name, *shares in zip(names, both, noise_only, strict=True):
    print(f"{name:12s}{shares[0]:10.3f}{shares[1]:12.3f}")

plt.rc("font", size=12)
figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
ax.axhline(0.95, color="0.6", lw=1, ls="--")
ax.plot(names, both, "o-", color="tab:blue")
ax.plot(names, noise_only, "o-", color="tab:orange")
ax.text(2, 0.955, "noise and coefficients", color="tab:blue", ha="center")
ax.text(2, 0.905, "noise alone", color="tab:orange", ha="center")
ax.set(title="New observations in intervals of 95%", ylabel="share in the interval")
ax.set(xlabel="rows of their task in the fit", ylim=(0.85, 0.97))
figure.savefig("plot_intervals.png", dpi=110)

# %%
# Radon: the table has the estimates of the state (``task`` is None), then those of each county.
# The interval is short in the county with the most houses, and long in one with a single house.

X, y = load_radon(return_X_y=True, as_frame=True)
X = X[["county", "floor"]]
houses = X["county"].value_counts()
model = MeanRegularizedRegressor("auto", task_column="county").fit(X, y)
table = coef_table(model)
shown = table["task"].isna() | table["task"].isin([houses.idxmax(), houses.idxmin()])
print(f"houses: {houses.idxmax()} {houses.max()}, {houses.idxmin()} {houses.min()}\n")
print(table[shown].round(2).to_string(index=False))

# %%
# The level of each county, shrunk towards that of the state, with intervals.

display = CoefficientShrinkageDisplay.from_estimator(model, X, y, interval=0.95)
display.ax_.set(title="Counties, by their houses", ylabel="level of log radon")
display.ax_.set_xlabel("houses of the county")
display.figure_.savefig("plot_intervals_counties.png", dpi=110)
