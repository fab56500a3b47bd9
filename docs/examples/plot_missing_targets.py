"""
Eight targets with missing values: the rare ones gain from the others
=====================================================================

Soil samples have a spectrum of 20 bands, which is cheap, and up to eight readings from the
laboratory. The expensive readings exist for few samples, and almost no sample has all eight.
A model that needs complete rows cannot be fitted. A model for each reading uses the rows of that
reading only. Here, one fit uses all rows: the readings are the columns of ``Y``, and NaN means
not measured. Readings of few samples gain most.

The readings depend on three hidden properties of the soil, so that their coefficients have rank 3.
The penalty ``"trace_norm"`` estimates such common directions. Samples are generated.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV

from skmtl import ADMMRegressor, alpha_max
from skmtl.metrics import task_scores

# %%
# The table: a row for each sample, 20 bands and eight readings with missing values.

READINGS = ["pH", "clay", "carbon", "nitrogen", "calcium", "iron", "zinc", "cadmium"]
MEASURED = [0.9, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.08]  # share of the samples
rng = np.random.default_rng(0)
properties = rng.standard_normal((20, 3)) / np.sqrt(20)  # from bands to hidden properties
mixture = rng.standard_normal((3, 8))  # from properties to readings


def measure(n):
    """Return the spectra of n samples and all readings."""
    bands = rng.standard_normal((n, 20)) + rng.standard_normal((n, 1))
    readings = bands @ properties @ mixture + rng.standard_normal((n, 8))
    return pd.DataFrame(bands).add_prefix("band"), pd.DataFrame(readings, columns=READINGS)


X, Y = measure(300)
X_new, Y_new = measure(2000)
Y = Y.where(rng.random(Y.shape) < MEASURED)
print(Y.head(4).round(2).to_string())
print(f"\n{Y.notna().all(axis=1).sum()} of {len(Y)} samples have all readings")

# %%
# All readings at once. A trace norm, like all penalties of coefficients, needs targets in similar
# units: they are divided by their standard deviations, which pandas computes without the NaN.
# ``GridSearchCV`` chooses alpha. It needs no ``scoring``: the score of the model is the mean R² of
# the readings, each on the rows where it was measured.

scale = Y.std()
model = ADMMRegressor("trace_norm", tol=1e-4)
grid = {"alpha": alpha_max(model, X, Y / scale) * np.geomspace(0.5, 0.01, 8)}
search = GridSearchCV(model, grid, cv=5).fit(X, Y / scale)
together = search.predict(X_new) * scale.to_numpy()
print(f"alpha {search.best_params_['alpha']:.2f}, rank {search.best_estimator_.structure_.rank}")

# %%
# A ridge regression for each reading, on the rows where it was measured.

alone = pd.DataFrame(index=X_new.index, columns=READINGS, dtype=float)
for reading in READINGS:
    measured = Y[reading].notna()
    ridge = RidgeCV(np.geomspace(0.1, 1000, 30)).fit(X[measured], Y.loc[measured, reading])
    alone[reading] = ridge.predict(X_new)

# %%
# R² on new samples. ``task_scores`` has a row for each reading and averages of them.

r2 = pd.DataFrame(
    {
        name: task_scores(Y_new, predicted, metrics="r2")["r2"]
        for name, predicted in {"alone": alone, "together": together}.items()
    }
)
r2["gain"] = r2["together"] - r2["alone"]
table = r2.loc[[*READINGS, "macro"]]
table.insert(0, "measured", Y.notna().sum())
print(table.round(2).to_string())

# %%
# The fewer samples have a reading, the larger the gain.

plt.rc("font", size=12)
figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
r2, at = r2.loc[READINGS[::-1]], np.arange(8)
ax.hlines(at, r2["alone"], r2["together"], color="0.7", lw=3)
ax.plot(r2["alone"], at, "o", ms=8, color="tab:orange", label="one model for each")
ax.plot(r2["together"], at, "o", ms=8, color="tab:blue", label="all together")
ax.set_yticks(at, [f"{reading} ({Y[reading].count()})" for reading in r2.index])
ax.set(xlabel="R² on new samples", ylabel="reading (samples)", title="Rare readings gain most")
ax.legend(loc=(0.02, 0.62), frameon=False)
figure.savefig("plot_missing_targets.png", dpi=110)
