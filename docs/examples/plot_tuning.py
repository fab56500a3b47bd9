"""
Choosing alpha without a search, and finding the tasks that lose by sharing
===========================================================================

``alpha`` is the regularization strength: at 0 each task has a model of its own, at infinity all
have the same slopes. This example chooses it in three ways, with about the same errors on new rows:

- ``alpha="auto"`` estimates it in the fit, without folds;
- :class:`~skmtl.model_selection.RegularizationPathCV` with leave-one-out, which needs no refits;
- the same with five folds.

Then two tasks are replaced by outliers, which have nothing in common with the others. The sharing
report compares each task with a model of its own, and flags the two.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone

from skmtl import MeanRegularizedRegressor, PooledRegressor, SharedL2Regressor
from skmtl.inspection import RegularizationPathDisplay, SharingReportDisplay, sharing_report
from skmtl.model_selection import RegularizationPathCV

T, D, ROWS = 30, 8, 40
rng = np.random.default_rng(0)
plt.rc("font", size=12)

# %%
# Thirty tasks of 40 rows. Their coefficients differ from common ones with a standard deviation of
# 0.4. Some tasks have little noise, others much: its standard deviation is 0.5 to 3.

W = rng.standard_normal(D) + 0.4 * rng.standard_normal((T, D))
noise = np.geomspace(0.5, 3.0, T)[rng.permutation(T)]


def draw(W, rows):
    """Return X, its first column the task, and y."""
    task = np.repeat(np.arange(T), rows)
    X = rng.standard_normal((len(task), D))
    y = (X * W[task]).sum(axis=1) + noise[task] * rng.standard_normal(len(task))
    return np.column_stack([task, X]), y


def excess(model, W):
    """Return the mean squared error on new rows, minus that of the noise."""
    X, y = draw(W, 1000)
    return np.mean((model.predict(X) - y) ** 2) - np.mean(noise**2)


X, y = draw(W, ROWS)

# %%
# The three ways, and two baselines with an alpha of their own. ``covariance_type="spherical"`` has
# one alpha for all features, as the searches do. ``task_weight="uncertainty"`` also estimates the
# noise of each task and gives noisy tasks less weight.

mean = MeanRegularizedRegressor(task_column=0)
auto = MeanRegularizedRegressor("auto", covariance_type="spherical", task_column=0)
weighted = clone(auto).set_params(task_weight="uncertainty")
models = {
    "one model for all": RegularizationPathCV(PooledRegressor(task_column=0), cv=5),
    "a model for each": RegularizationPathCV(SharedL2Regressor(task_column=0), cv=5),
    "shared, five folds": RegularizationPathCV(mean, cv=5),
    "shared, leave-one-out": RegularizationPathCV(mean),
    "shared, auto": auto,
    "auto, weights by noise": weighted,
}
print(f"{'':24s}{'alpha':>8s}{'excess error':>14s}")
for name, model in models.items():
    model.fit(X, y)
    alpha = getattr(model, "best_params_", {"alpha": getattr(model, "alpha_", None)})["alpha"]
    print(f"{name:24s}{alpha:8.2f}{excess(model, W):14.3f}")

# %%
# The score by alpha in five folds. It is flat around its maximum: the exact alpha matters little.

folds = models["shared, five folds"]
display = RegularizationPathDisplay.from_estimator(folds)
display.ax_.axvline(auto.alpha_, color="tab:green", label=f"auto: {auto.alpha_:.3g}")
display.ax_.legend(frameon=False, loc="lower left")
display.ax_.set_title("Sharing some is better than none or all")
display.figure_.savefig("plot_tuning.png", dpi=110)

# %%
# Two outlier tasks. The report compares with separate models in cross-validation; a flag is a
# significant loss. Weights by noise make it worse here: the misfit of an outlier looks like noise,
# so that its weight decreases. Remove such tasks, or fit them alone.

outliers = [7, 19]
W[outliers] = 2.0 * rng.standard_normal((2, D))
X_mixed, y_mixed = draw(W, ROWS)
report = sharing_report(X_mixed, y_mixed, clone(mean).set_params(**folds.best_params_))
flagged = np.flatnonzero(np.asarray(report["negative_transfer"]))
print(f"tasks {outliers} are outliers; sharing hurts tasks {flagged.tolist()}")
for name, model in (("auto", auto), ("auto, weights by noise", weighted)):
    refit = clone(model).fit(X_mixed, y_mixed)
    print(f"{name:24s}excess error {excess(refit, W):.3f}")

# %%
# The gain of each task, with one standard error.

display = SharingReportDisplay.from_report(report)
display.ax_.set_title("Two tasks lose by sharing")
display.figure_.savefig("plot_tuning_report.png", dpi=110)
