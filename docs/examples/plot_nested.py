"""
Stores in regions: groups in groups
===================================

Sales of stores depend on the price, in each store in another way. Stores of a region are alike:
the slope of a store with few rows is shrunk towards that of its region, and those of regions
towards that of all. A model with both columns of labels is compared with models of one of them,
for known stores, for a new store of a known region and for stores of a new region.

The script prints the errors and writes ``plot_nested.png``.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmtl import MeanRegularizedRegressor, SharedL2Regressor

REGIONS, KNOWN, STORES, TEST = 30, 12, 10, 60  # store 0 of each region is new, too
rng = np.random.default_rng(1)

# %%
# Slope and level have a deviation of the region and, smaller, one of the store.

store = np.arange(REGIONS * STORES)
region = store // STORES
spread = np.array([1.0, 2.0])
W = np.array([-2.0, 10.0]) + spread * rng.normal(size=(REGIONS, 2))[region]
W += 0.5 * spread * rng.normal(size=(len(store), 2))


def draw(n):
    """Return X and y with n (stores,) rows of each store."""
    own = np.repeat(store, n)
    price = rng.normal(size=len(own))
    X = pd.DataFrame({"region": region[own], "store": own % STORES, "price": price})
    return X, W[own, 0] * price + W[own, 1] + 1.5 * rng.normal(size=len(own))


known = (store % STORES > 0) & (region < KNOWN)
X, y = draw(np.where(known, rng.integers(3, 9, size=len(store)), 0))
X_new, y_new = draw(np.full(len(store), TEST))


def alone(X):
    """Return the same with one label for each store and none of the region."""
    labels = X["region"].astype(str) + "/" + X["store"].astype(str)
    return X.assign(store=labels).drop(columns="region")


options = {"alpha": "auto", "handle_unknown": "shared"}
nested = MeanRegularizedRegressor(task_column=["region", "store"], **options).fit(X, y)
stores = MeanRegularizedRegressor(task_column="store", **options).fit(alone(X), y)
regions = MeanRegularizedRegressor(task_column="region", **options)
regions.fit(X.drop(columns="store"), y)

# %%
# Mean squared errors, that of the noise included (2.25). The model of stores alone knows nothing
# of a new one, the model of regions alone has the same slope in all stores of a region.

predictions = {
    "regions and stores": nested.predict(X_new),
    "stores alone": stores.predict(alone(X_new)),
    "regions alone": regions.predict(X_new.drop(columns="store")),
}
kinds = {
    "known store": np.repeat(known, TEST),
    "new store": np.repeat(~known & (region < KNOWN), TEST),
    "new region": np.repeat(region >= KNOWN, TEST),
}
print(f"{'':20s}" + "".join(f"{kind:>13s}" for kind in kinds))
for name, predicted in predictions.items():
    errors = [((y_new - predicted)[rows] ** 2).mean() for rows in kinds.values()]
    print(f"{name:20s}" + "".join(f"{error:13.2f}" for error in errors))

deviations = nested.predict(X_new, return_std=True)[1]
print("\nMean standard deviation of a prediction")
for kind, rows in kinds.items():
    print(f"{kind:20s}{deviations[rows].mean():13.2f}")
print("\nStandard deviations between labels of a column, slope and level")
for column in ("region", "store"):
    slope, level = nested.tau2_[column][0] ** 0.5, nested.tau2_intercept_[column] ** 0.5
    print(f"{column:20s}{slope:13.2f}{level:13.2f}")

# %%
# Slopes of the stores, fitted alone, and shrunk towards those of their regions; slopes of all rows
# of the regions, and shrunk towards the center.

separate = SharedL2Regressor(1e-3, task_column="store").fit(alone(X), y)
all_rows = SharedL2Regressor(1e-3, task_column="region").fit(X.drop(columns="store"), y)
by_label = dict(zip(separate.tasks_, separate.coef_[:, 0], strict=True))
raw = np.array([by_label[f"{r}/{s}"] for r, s in nested.tasks_])
group = np.array([r for r, _ in nested.tasks_])
own, of_groups = nested.coef_[:, 0], nested.group_coef_[0][:, 0]
places = {r: k for k, (r,) in enumerate(nested.groups_[0])}
center = nested.shared_coef_[0]

figure, axes = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained", width_ratios=[3, 1])
at = np.array([places[r] for r in group]) + 0.09 * (np.array([s for _, s in nested.tasks_]) - 5)
axes[0].vlines(at, raw, own, color="0.7", lw=0.8)
axes[0].plot(at, raw, "o", ms=3, mfc="none", color="tab:blue", label="store alone")
axes[0].plot(at, own, "o", ms=3, color="tab:blue", label="store, shrunk")
for k, slope in enumerate(of_groups):
    label = "region" if k == 0 else None
    axes[0].hlines(slope, k - 0.45, k + 0.45, color="tab:orange", label=label)
axes[0].axhline(center, color="0.4", lw=1, ls="--", label="center")
axes[0].set_xticks(range(len(of_groups)))
axes[0].set_ylim(*np.quantile(raw, [0.02, 0.98]) + [-1, 1])
axes[0].set(title="Stores towards their region", xlabel="region", ylabel="slope of the price")
axes[0].legend(ncols=4, fontsize="small")
for raw_slope, slope in zip(all_rows.coef_[:, 0], of_groups, strict=True):
    axes[1].plot([0, 1], [raw_slope, slope], "o-", ms=4, color="tab:orange", lw=0.8)
axes[1].axhline(center, color="0.4", lw=1, ls="--")
axes[1].set_xticks([0, 1], ["region alone", "shrunk"])
axes[1].set(title="Regions towards the center", xlim=(-0.3, 1.3))

path = Path("plot_nested.png")
figure.savefig(path, dpi=110)
print(f"\nFigure written to {path}")
