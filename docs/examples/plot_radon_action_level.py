"""
Radon above the action level: probabilities from few houses
===========================================================

The US EPA asks owners to act where radon exceeds 4 pCi/L. How likely is that for a house, given
its county and the floor it was measured on? Half of the 85 counties have five houses or fewer, and
many have no house above the action level or none below. A logistic regression of such a county
alone predicts probabilities near 0 or 1. One model for all counties predicts the same probability
everywhere. Partial pooling shrinks each county towards a common model.

The script prints cross-validated scores of the three and draws their calibration: of the houses
with a predicted probability of 70%, do 70% exceed the level?
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import brier_score_loss, log_loss
from sklearn.model_selection import cross_val_predict

from skmtl import MeanRegularizedClassifier, PooledClassifier
from skmtl.datasets import load_radon
from skmtl.model_selection import RegularizationPathCV, TaskKFold

# Many counties have one class only.
warnings.filterwarnings("ignore", "Only one class was seen", UserWarning)

frame, log_radon = load_radon(return_X_y=True, as_frame=True)
X, y = frame[["county", "floor"]], log_radon > np.log(4.0)
houses = X["county"].value_counts()
one_class = y.groupby(X["county"]).nunique() == 1
print(f"{y.mean():.0%} of {len(y)} houses exceed 4 pCi/L")
print(f"{one_class.sum()} of {len(houses)} counties have houses only above or only below")

# %%
# Three models. ``alpha="auto"`` estimates from the houses how much the counties differ. A model for
# each county alone is the same without shrinkage towards a common model: its slope is fixed at
# zero, and intercepts are free. Cross-validation chooses its penalty of the slopes.

common = {"task_column": "county", "handle_unknown": "shared"}
separate = MeanRegularizedClassifier(alpha_shared=np.inf, alpha_intercept=0.0, **common)
inner = TaskKFold(5, task_column="county", shuffle=True, random_state=0, min_train_rows=0)
models = {
    "one model for all": PooledClassifier(**common),
    "a model for each": RegularizationPathCV(separate, [0.1, 1.0, 10.0, 100.0], cv=inner),
    "partial pooling": MeanRegularizedClassifier("auto", **common),
}

# %%
# Probabilities of houses that were not used in the fit. The log loss of a model alone is large
# because some of its probabilities are near 0 or 1, and wrong.

outer = TaskKFold(5, task_column="county", shuffle=True, random_state=1, min_train_rows=0)
few = X["county"].map(houses) <= 5
probability = {
    name: cross_val_predict(model, X, y, cv=outer, method="predict_proba")[:, 1]
    for name, model in models.items()
}
print(f"{'':20s}{'log loss':>10s}{'up to 5 houses':>16s}{'Brier score':>13s}")
for name, p in probability.items():
    p = np.clip(p, 1e-6, 1 - 1e-6)  # a loss of at most 14 per house
    scores = log_loss(y, p), log_loss(y[few], p[few]), brier_score_loss(y, p)
    print(f"{name:20s}{scores[0]:10.3f}{scores[1]:16.3f}{scores[2]:13.3f}")

# %%
# Calibration: the share of houses above the level, by the predicted probability in fifths. The
# number below a point is that of its houses; vertical lines are intervals of 95% (Wilson). Models
# of a county alone are overconfident.

plt.rc("font", size=12)
figure, axes = plt.subplots(1, 2, figsize=(6.4, 4.2), layout="constrained", sharey=True)
for ax, name in zip(axes, ["a model for each", "partial pooling"], strict=True):
    p = probability[name]
    fifths = pd.cut(p, np.linspace(0, 1, 6), include_lowest=True)
    bins = pd.DataFrame({"p": p, "y": y.to_numpy()}).groupby(fifths, observed=True)
    mean, n = bins.mean(), bins.size()
    ends = [
        binomtest(int(k), int(m)).proportion_ci(method="wilson")
        for k, m in zip(bins.sum()["y"], n, strict=True)
    ]
    ax.axline((0, 0), (1, 1), color="0.7", lw=1)
    ax.vlines(mean["p"], *np.transpose(ends))
    ax.plot(mean["p"], mean["y"], "o", ms=7)
    for x, count in zip(mean["p"], n, strict=True):
        ax.text(x, -0.1, count, ha="center")
    ax.set(title=name, xlabel="predicted probability", xlim=(-0.08, 1.08), ylim=(-0.15, 1.08))
axes[0].set_ylabel("share above 4 pCi/L")
figure.savefig("plot_radon_action_level.png", dpi=110)

# %%
# The probability in a basement of each county. In models of a county alone it is near 0 or 1 for
# many counties with few houses. With partial pooling these are close to the state.

counties = houses.index
basements = pd.DataFrame({"county": counties, "floor": 0.0})
figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for name, color in [("a model for each", "tab:orange"), ("partial pooling", "tab:blue")]:
    p = models[name].fit(X, y).predict_proba(basements)[:, 1]
    ax.plot(houses, p, "o", ms=5, alpha=0.7, color=color, label=name)
ax.set(xscale="log", xlabel="houses of the county", ylabel="P(above 4 pCi/L), basement")
ax.set_xticks([1, 3, 10, 30, 100], [1, 3, 10, 30, 100])
ax.legend(loc="upper right")
figure.savefig("plot_radon_action_level_counties.png", dpi=110)
