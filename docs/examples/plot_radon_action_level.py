"""
Radon above the action level: a probability for every county
============================================================

The US EPA asks owners to act where radon exceeds 4 pCi/L. How likely is that for a house, given
its county and the floor it was measured on? Each of 85 counties is a task, half of them with five
houses or fewer, many with no house above the action level or none below. A separate logistic model
of such a county has probabilities near 0 or 1; one model for all has the same probability in every
county; the mean-regularized model shrinks each county towards a shared model.

The script prints cross-validated scores of the three and writes ``plot_radon_action_level.png``.
"""

import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss
from sklearn.model_selection import GridSearchCV, cross_val_predict

from skmtl import MeanRegularizedClassifier, PooledClassifier
from skmtl.datasets import load_radon
from skmtl.model_selection import TaskKFold

# Many counties have one class only in the training folds.
warnings.filterwarnings("ignore", "Only one class was seen", UserWarning)

frame, log_radon = load_radon(return_X_y=True, as_frame=True)
X, y = frame[["county", "floor"]], log_radon > np.log(4.0)
houses = X["county"].value_counts()
few = X["county"].map(houses) <= 5
print(f"{y.mean():.0%} of {len(y)} houses exceed 4 pCi/L\n")

# %%
# Separate models are the mean-regularized model with the slope of the center fixed at zero and
# unpenalized intercepts, which also predicts a county whose only house is in the test fold. The
# regularization strengths are chosen within each training fold, by log-loss.

common = {"task_column": "county", "handle_unknown": "shared"}
models = {
    "pooled": PooledClassifier(**common),
    "separate": MeanRegularizedClassifier(alpha_shared=np.inf, alpha_intercept=0.0, **common),
    "mean-regularized": MeanRegularizedClassifier(**common),
}
inner = TaskKFold(5, task_column="county", shuffle=True, random_state=0, min_train_rows=0)
outer = TaskKFold(5, task_column="county", shuffle=True, random_state=1, min_train_rows=0)
grids = {name: {"alpha": [0.1, 1.0, 10.0, 100.0]} for name in models}
grids["mean-regularized"]["alpha_intercept"] = [0.3, 1.0, 3.0, 10.0]
searches = {
    name: GridSearchCV(model, grids[name], cv=inner, scoring="neg_log_loss")
    for name, model in models.items()
}
probability = {
    name: cross_val_predict(search, X, y, cv=outer, method="predict_proba")[:, 1]
    for name, search in searches.items()
}

print(f"{'':18s}{'log-loss':>10s}{'in counties <= 5':>18s}{'Brier':>8s}{'calibration error':>19s}")
bins = {}
for name, p in probability.items():
    p = np.clip(p, 1e-6, 1 - 1e-6)  # a loss of at most 14 per row
    bins[name] = calibration_curve(y, p, n_bins=8, strategy="quantile")
    group = pd.qcut(p, 8, labels=False, duplicates="drop")
    table = pd.DataFrame({"y": y, "p": p, "bin": group}).groupby("bin").agg(["mean", "size"])
    gap = np.abs(table["y", "mean"] - table["p", "mean"])
    calibration = np.average(gap, weights=table["p", "size"])
    scores = log_loss(y, p), log_loss(y[few], p[few]), brier_score_loss(y, p), calibration
    print(f"{name:18s}{scores[0]:10.3f}{scores[1]:18.3f}{scores[2]:8.3f}{scores[3]:19.3f}")

# %%
# The pooled model is calibrated, too, but does not distinguish counties. Left, predicted
# probabilities and observed shares, in eighths of the houses. Right, the probability for a basement
# in every county: in separate models many are near 0 or 1; in the mean-regularized model small
# counties are near the state's probability, and large ones near the share of their houses.

colors = {"pooled": "0.55", "separate": "tab:orange", "mean-regularized": "tab:blue"}
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
left.plot([0, 1], [0, 1], color="0.85", lw=1)
for name, (happened, predicted) in bins.items():
    left.plot(predicted, happened, "o-", color=colors[name], ms=5, label=name)
left.set(xlabel="predicted probability", ylabel="share of houses above 4 pCi/L")
left.set_title("Calibration, on houses not used to fit")
left.legend(loc="upper left")

fitted = {name: search.fit(X, y).best_estimator_ for name, search in searches.items()}
counties = houses.index[::-1]
basements = pd.DataFrame({"county": counties, "floor": 0.0})
place = houses[counties].to_numpy() * np.random.default_rng(0).uniform(0.93, 1.07, len(counties))
for name in ("separate", "mean-regularized"):
    p = fitted[name].predict_proba(basements)[:, 1]
    right.scatter(place, p, s=22, color=colors[name], alpha=0.75, lw=0, label=name)
state = fitted["pooled"].predict_proba(basements.iloc[:1])[0, 1]
right.axhline(state, color=colors["pooled"], lw=1.5, label="pooled")
right.set(xscale="log", xlabel="houses of the county", ylabel="P(above 4 pCi/L) in a basement")
right.set_xticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
right.set_title("85 counties")
right.legend(loc="upper right")

path = Path("plot_radon_action_level.png")
figure.savefig(path, dpi=110)
print(f"\nFigure written to {path}")
