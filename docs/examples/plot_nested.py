"""
Stores in regions: a new store is predicted by its region
=========================================================

Sales depend on the price, differently in each store, and stores of the same region are alike.
With ``task_column=["region", "store"]`` a model has three levels: the slope of a store with few
rows is shrunk towards that of its region, and those of regions towards that of all stores. A new
store of a known region is predicted by the region.

The model is compared with models of one of the two columns: for known stores, for new stores of
known regions, and for stores of new regions.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmtl import MeanRegularizedRegressor
from skmtl.inspection import coef_table

REGIONS, KNOWN, STORES, TEST = 30, 12, 10, 60
rng = np.random.default_rng(1)

# %%
# The table. Slope and level have a deviation of the region and, half as large, one of the store.
# Twelve of 30 regions are in the fit, with nine of their ten stores and 3 to 8 rows of each.

stores = pd.MultiIndex.from_product(
    [[f"region {r}" for r in range(REGIONS)], [f"store {s}" for s in range(STORES)]],
    names=["region", "store"],
).to_frame(index=False)
region = np.arange(len(stores)) // STORES
spread = np.array([1.0, 2.0])
effects = [-2.0, 10.0] + spread * rng.normal(size=(REGIONS, 2))[region]
effects += 0.5 * spread * rng.normal(size=effects.shape)


def draw_sales(n):
    """Return X and y with n (stores,) rows of each store."""
    own = np.repeat(np.arange(len(stores)), n)
    X = stores.iloc[own].assign(price=rng.normal(size=len(own)))
    slope, level = effects[own].T
    return X, slope * X["price"] + level + 1.5 * rng.normal(size=len(own))


known = (stores["store"] != "store 0") & (region < KNOWN)
X, y = draw_sales(np.where(known, rng.integers(3, 9, size=len(stores)), 0))
X_new, y_new = draw_sales(np.full(len(stores), TEST))
print(X.assign(sales=y).sample(4, random_state=0).round(2).to_string(index=False))

# %%
# The model with both columns of labels, and models of one of them. Stores are numbered within their
# region: the model of stores alone needs one label for each store.

options = {"alpha": "auto", "handle_unknown": "shared"}
nested = MeanRegularizedRegressor(task_column=["region", "store"], **options).fit(X, y)


def one_label(X):
    """Return a copy with labels such as "region 1, store 2"."""
    return X.assign(store=X["region"] + ", " + X["store"]).drop(columns="region")


only_stores = MeanRegularizedRegressor(task_column="store", **options).fit(one_label(X), y)
only_regions = MeanRegularizedRegressor(task_column="region", **options)
only_regions.fit(X.drop(columns="store"), y)

# %%
# Mean squared errors; that of the noise is 2.25. The model of stores does not know the region of a
# new store. The model of regions has the same slope in all stores of a region.

predictions = {
    "regions and stores": nested.predict(X_new),
    "stores": only_stores.predict(one_label(X_new)),
    "regions": only_regions.predict(X_new.drop(columns="store")),
}
kind = np.where(region >= KNOWN, "new region", np.where(known, "known store", "new store"))
errors = pd.DataFrame({name: (y_new - p) ** 2 for name, p in predictions.items()})
print(errors.groupby(np.repeat(kind, TEST)).mean().round(2).to_string())

# %%
# ``return_std=True`` is the standard deviation of a prediction; ``tau2_`` and ``tau2_intercept_``
# are the estimated variances between regions, and between stores of a region.

std = nested.predict(X_new, return_std=True)[1]
print(pd.Series(std).groupby(np.repeat(kind, TEST)).mean().round(2).to_string())
print("\nStandard deviations between labels of a column: slope, level")
for column in ("region", "store"):
    slope, level = nested.tau2_[column][0] ** 0.5, nested.tau2_intercept_[column] ** 0.5
    print(f"{column:8s}{slope:6.2f}{level:6.2f}")

# %%
# Slopes from the table of coefficients, regions sorted by their slope: estimates of stores are
# around that of their region, and those of regions around that of all.

table = coef_table(nested)
slopes = table[table["feature"] == "price"]
of_regions = slopes[slopes["level"] == "region"].sort_values("estimate")
of_stores = slopes[slopes["level"] == "store"]
place = {region: k for k, region in enumerate(of_regions["region"])}
at = of_stores["region"].map(place)

plt.rc("font", size=12)
figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
ax.axhline(nested.shared_coef_[0], color="0.4", ls="--", lw=1, label="all")
ax.plot(of_regions["estimate"].to_numpy(), "_", ms=22, mew=4, color="tab:orange", label="region")
ax.plot(at, of_stores["estimate"], "o", ms=5, color="tab:blue", alpha=0.6, label="store")
ax.set(xticks=range(KNOWN), xticklabels=[name.split()[1] for name in place])
ax.set(title="Slopes of stores, regions and all", xlabel="region", ylabel="slope of the price")
ax.legend(frameon=False, loc="upper left")
figure.savefig("plot_nested.png", dpi=110)
