"""
Radon in 85 counties: a line for each, also where houses are few
================================================================

Radon was measured in 919 houses of Minnesota, in the basement (floor 0) or on the first floor
(floor 1). Two of the 85 counties have more than a hundred houses, half of them have five or fewer.
One line for all counties ignores their differences. A line fitted to each county alone follows the
noise where there are few houses. Partial pooling fits all lines together and shrinks each towards
that of the state: the fewer houses a county has, the more.

The script prints the errors of the three in cross-validation and draws the lines.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import cross_val_predict

from skmtl import MeanRegularizedRegressor, PooledRegressor
from skmtl.datasets import load_radon
from skmtl.inspection import CoefficientShrinkageDisplay
from skmtl.metrics import task_scores
from skmtl.model_selection import RegularizationPathCV, TaskKFold

frame, y = load_radon(return_X_y=True, as_frame=True)  # y: logarithm of the radon level
X = frame[["county", "floor"]]
houses = X["county"].value_counts()
print(f"{len(houses)} counties with {houses.min()} to {houses.max()} houses")
print(f"median {houses.median():.0f} houses\n")
print(X.assign(log_radon=y).sample(4, random_state=0).to_string(index=False))

# %%
# Three models. ``alpha="auto"`` estimates from the houses how much the counties differ. The lines
# of each county alone are a ridge regression of each, whose penalty is chosen by leave-one-out. It
# is written as a mean-regularized model with a common slope of zero and free intercepts, which
# predicts new counties, as ``SharedL2Regressor`` does not.

common = {"task_column": "county", "handle_unknown": "shared"}
separate = MeanRegularizedRegressor(alpha_shared=np.inf, alpha_intercept=0.0, **common)
models = {
    "one line for all": PooledRegressor(**common),
    "a line for each": RegularizationPathCV(separate),
    "partial pooling": MeanRegularizedRegressor("auto", **common),
}

# %%
# Cross-validation in five folds; the houses of each county are spread over them. A county with one
# house is not in the training rows when its house is predicted: then ``handle_unknown="shared"``
# uses the model of the state. The errors are those of all houses, their mean over counties, and
# those of the houses in counties with up to five.

folds = TaskKFold(5, task_column="county", shuffle=True, random_state=1, min_train_rows=0)
few = X["county"].map(houses) <= 5
print("Root mean squared error of log radon\n")
print(f"{'':18s}{'all houses':>12s}{'mean of counties':>18s}{'up to 5 houses':>16s}")
for name, model in models.items():
    predicted = cross_val_predict(model, X, y, cv=folds)
    scores = task_scores(y, predicted, X["county"], metrics="mean_squared_error")
    overall, of_counties = scores.loc[["micro", "macro"], "mean_squared_error"] ** 0.5
    in_few = np.mean((y - predicted)[few] ** 2) ** 0.5
    print(f"{name:18s}{overall:12.3f}{of_counties:18.3f}{in_few:16.3f}")

# %%
# The lines of three counties with 116, 13 and 4 houses. With many houses partial pooling is close
# to the line of the county, with few it is close to that of the state.

fitted = {name: model.fit(X, y) for name, model in models.items()}
colors = ["0.6", "tab:orange", "tab:blue"]
floors = np.array([0.0, 1.0])
plt.rc("font", size=12)
figure, axes = plt.subplots(1, 3, figsize=(6.4, 4.2), layout="constrained", sharey=True)
for ax, county in zip(axes, ["ST LOUIS", "MCLEOD", "AITKIN"], strict=True):
    own = X["county"] == county
    ax.plot(X["floor"][own], y[own], "o", color="0.8", ms=4)
    rows = X[:2].assign(county=county, floor=floors)
    for (name, model), color in zip(fitted.items(), colors, strict=True):
        ax.plot(floors, model.predict(rows), color=color, lw=2.5, label=name)
    ax.set_title(f"{county.title()}: {own.sum()} houses", fontsize=11)
    ax.set_xticks(floors, ["basement", "1st floor"], fontsize=10)
    ax.set_xlim(-0.4, 1.4)
axes[0].set_ylabel("log radon")
lines, labels = axes[0].get_legend_handles_labels()
figure.legend(lines, labels, loc="outside upper center", ncols=3, frameon=False)
figure.savefig("plot_radon.png", dpi=110)

# %%
# All counties: own estimates of the level at the mean of the floors and of their difference,
# shrunk towards those of the state. Counties without a house on one of the floors have no own
# estimate of the difference.

display = CoefficientShrinkageDisplay.from_estimator(
    fitted["partial pooling"], X, y, features=["intercept", "floor"]
)
display.ax_.set(xlabel="level at the mean of the floors", ylabel="first floor - basement")
display.ax_.set_title("85 counties, shrunk towards the state")
display.figure_.savefig("plot_radon_counties.png", dpi=110)
