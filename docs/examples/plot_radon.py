"""
Radon in 85 counties: shrinkage towards a shared line
=====================================================

Radon was measured in 919 houses of Minnesota, in the basement (floor 0) or on the first floor
(floor 1). Each county is a task with an intercept and a slope. Some counties have a hundred houses,
half of them have five or fewer. One line for all counties ignores their differences; a separate
line per county overfits two houses; the mean-regularized model shrinks each county towards a shared
line, the more so the fewer houses it has.

The script prints cross-validated errors of the three and writes ``plot_radon.png``.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV, cross_val_predict

from skmtl import MeanRegularizedRegressor, PooledRegressor
from skmtl.datasets import load_radon
from skmtl.metrics import task_scores
from skmtl.model_selection import TaskKFold

frame, y = load_radon(return_X_y=True, as_frame=True)
X = frame[["county", "floor"]]
houses = X["county"].value_counts()

# %%
# Three models. Separate models are the mean-regularized model with the slope of the center fixed at
# zero and unpenalized intercepts. This is ``SharedL2Regressor``, except for a county whose only
# house is in the test fold: it is predicted by the mean of the centered intercepts. The
# regularization strengths are chosen within each training fold.

common = {"task_column": "county", "handle_unknown": "shared"}
models = {
    "pooled": PooledRegressor(**common),
    "separate": MeanRegularizedRegressor(alpha_shared=np.inf, alpha_intercept=0.0, **common),
    "mean-regularized": MeanRegularizedRegressor(**common),
}
inner = TaskKFold(5, task_column="county", shuffle=True, random_state=0, min_train_rows=0)
outer = TaskKFold(5, task_column="county", shuffle=True, random_state=1, min_train_rows=0)
grids = {name: {"alpha": [0.1, 1.0, 10.0, 100.0, 1000.0]} for name in models}
grids["mean-regularized"]["alpha_intercept"] = [1.0, 5.0, 20.0]
searches = {
    name: GridSearchCV(model, grids[name], cv=inner, scoring="neg_mean_squared_error")
    for name, model in models.items()
}

few = X["county"].map(houses) <= 5
print("Root mean squared error of log radon, 5-fold cross-validation\n")
print(f"{'':18s}{'all houses':>12s}{'mean of counties':>18s}{'counties with <= 5 houses':>27s}")
for name, search in searches.items():
    predicted = cross_val_predict(search, X, y, cv=outer)
    scores = task_scores(y, predicted, X["county"], metrics="mean_squared_error")
    in_few = task_scores(y[few], predicted[few], X["county"][few], metrics="mean_squared_error")
    errors = [scores.loc["micro"], scores.loc["macro"], in_few.loc["micro"]]
    overall, county, small = (error["mean_squared_error"] ** 0.5 for error in errors)
    print(f"{name:18s}{overall:12.3f}{county:18.3f}{small:27.3f}")

# %%
# Left, every county as a point: its intercept (the basement) and its slope, in separate models and
# in the mean-regularized model. Intercepts are shrunk towards the state's, most of all in small
# counties. Cross-validation chooses equal slopes: counties differ by their soil, not by their
# basements. Right, six counties.

fitted = {name: search.fit(X, y).best_estimator_ for name, search in searches.items()}
separate, shrunk = fitted["separate"], fitted["mean-regularized"]
colors = {"pooled": "0.6", "separate": "tab:orange", "mean-regularized": "tab:blue"}

figure = plt.figure(figsize=(12, 5.5), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=[1, 1.25])
axes = left.subplots()
for t in range(len(shrunk.tasks_)):
    axes.annotate(
        "",
        (shrunk.intercept_[t], shrunk.coef_[t, 0]),
        (separate.intercept_[t], separate.coef_[t, 0]),
        arrowprops={"arrowstyle": "-", "color": "0.8", "lw": 0.8},
    )
for name, model in [("separate", separate), ("mean-regularized", shrunk)]:
    axes.scatter(
        model.intercept_,
        model.coef_[:, 0],
        s=4 * model.task_counts_**0.75 + 4,
        color=colors[name],
        alpha=0.75,
        lw=0,
        label=name,
    )
axes.plot(shrunk.shared_intercept_, shrunk.shared_coef_[0], "k*", ms=13, label="state")
axes.set(xlabel="intercept: basement (log pCi/L)", ylabel="slope: first floor - basement")
axes.set_title("85 counties; area grows with the number of houses")
axes.legend(loc="upper left")

panels = right.subplots(2, 3, sharex=True, sharey=True)
chosen = [houses.index[i] for i in (0, 4, 12)] + list(houses.index[houses == 4][:3])
floors = np.array([0.0, 1.0])
for axes, county in zip(panels.ravel(), chosen, strict=True):
    inside = X["county"] == county
    jitter = np.random.default_rng(0).uniform(-0.06, 0.06, inside.sum())
    axes.plot(X["floor"][inside] + jitter, y[inside], ".", color="0.4", ms=4, alpha=0.6)
    for name, model in fitted.items():
        t = list(model.tasks_).index(county)
        line = model.intercept_[t] + model.coef_[t, 0] * floors
        axes.plot(floors, line, color=colors[name], lw=2, label=name)
    axes.set_title(f"{county.title()} ({inside.sum()})", fontsize=10)
    axes.set_xticks(floors, ["basement", "first floor"])
    axes.set_xlim(-0.3, 1.3)
for axes in panels[:, 0]:
    axes.set_ylabel("log radon")
panels[0, 0].legend(fontsize=8)

path = Path("plot_radon.png")
figure.savefig(path, dpi=110)
print(f"\nFigure written to {path}")
