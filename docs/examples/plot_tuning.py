"""
Tuning and inspection: the regularization strength, and which tasks gain
========================================================================

Thirty tasks of 40 rows; their coefficients vary around a center, and the standard deviation of
their noise from 0.5 to 3. The regularization strength is chosen by the evidence, which needs no
folds, by leave-one-out and by five folds. Noisy tasks can get lower weights, from noise variances
estimated in the fit. Then two tasks are replaced by outliers: the sharing report flags them as
tasks that lose by sharing. Weights by noise do not help here: they treat the lack of fit as noise.

The script prints alpha and errors on new rows and writes ``plot_tuning.png``.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone

from skmtl import MeanRegularizedRegressor, PooledRegressor, SharedL2Regressor
from skmtl.inspection import (
    CoefficientShrinkageDisplay,
    RegularizationPathDisplay,
    SharingReportDisplay,
    sharing_report,
)
from skmtl.model_selection import RegularizationPathCV

T, D, ROWS = 30, 8, 40
OTHERS = [7, 19]

# %%
# The tasks: coefficients around a center, standard deviations of the noise from 0.5 to 3.

rng = np.random.default_rng(0)
W = rng.standard_normal(D) + 0.4 * rng.standard_normal((T, D))
noise = np.geomspace(0.5, 3.0, T)[rng.permutation(T)]


def excess(model, W):
    """Return the mean squared error minus the noise variance, on new rows."""
    X, y = draw(W, 1000)
    return np.mean((model.predict(X) - y) ** 2) - np.mean(noise**2)


def draw(W, rows):
    """Return X, its first column the task, and y."""
    task = np.repeat(np.arange(T), rows)
    X = rng.standard_normal((len(task), D))
    y = np.einsum("ij,ij->i", X, W[task]) + noise[task] * rng.standard_normal(len(task))
    return np.column_stack([task, X]), y


X, y = draw(W, ROWS)

# %%
# Three ways to choose alpha, and their errors on new rows.

mean = MeanRegularizedRegressor(task_column=0)
pooled = RegularizationPathCV(PooledRegressor(task_column=0), cv=5).fit(X, y)
separate = RegularizationPathCV(SharedL2Regressor(task_column=0), cv=5).fit(X, y)
folds = RegularizationPathCV(mean, cv=5).fit(X, y)
alone = RegularizationPathCV(mean).fit(X, y)
# one variance of all coefficients, as the searches choose one alpha
auto = MeanRegularizedRegressor("auto", covariance_type="spherical", task_column=0)
weighted = clone(auto).set_params(task_weight="uncertainty").fit(X, y)
auto.fit(X, y)

print(f"{'':28}{'alpha':>8}{'excess error':>14}")
for name, model, alpha in (
    ("one model for all", pooled, pooled.best_params_["alpha"]),
    ("a model for each", separate, separate.best_params_["alpha"]),
    ("shared, five folds", folds, folds.best_params_["alpha"]),
    ("shared, leave-one-out", alone, alone.best_params_["alpha"]),
    ("shared, evidence", auto, auto.alpha_),
    ("... weighted by noise", weighted, weighted.alpha_),
):
    print(f"{name:28}{alpha:8.2f}{excess(model, W):14.3f}")

# %%
# Two outlier tasks, with the alpha chosen above.

W[OTHERS] = 2.0 * rng.standard_normal((len(OTHERS), D))
X_mixed, y_mixed = draw(W, ROWS)
family = clone(mean).set_params(**folds.best_params_)
report = sharing_report(X_mixed, y_mixed, family)
flagged = np.flatnonzero(np.asarray(report["negative_transfer"]))
print(f"\ntasks {OTHERS} are outliers; sharing hurts tasks {flagged.tolist()}")
for name, model in (("evidence", auto), ("... weighted by noise", weighted)):
    refit = clone(model).fit(X_mixed, y_mixed)
    print(f"  shared, {name:22}excess error {excess(refit, W):.3f}")

# %%
# The score along alpha, the shrinkage of the coefficients, the estimated noise, and the sharing
# report with the two outliers.

figure, axes = plt.subplots(2, 2, figsize=(11, 8.5), layout="constrained")
RegularizationPathDisplay.from_estimator(folds, ax=axes[0, 0])
axes[0, 0].axvline(auto.alpha_, color="tab:green", label=f"evidence: {auto.alpha_:.3g}")
axes[0, 0].legend(frameon=False, loc="lower left")
axes[0, 0].set_title("Score along alpha")

CoefficientShrinkageDisplay.from_estimator(auto, X, y, features=(0, 1), ax=axes[0, 1])
axes[0, 1].set_title("Shrinkage of two coefficients")

axes[1, 0].plot(noise, np.sqrt(weighted.noise_variance_), "o")
axes[1, 0].axline((1, 1), (2, 2), color="gray", linewidth=1)
axes[1, 0].set(xlabel="noise of the task", ylabel="estimate", title='task_weight="uncertainty"')

SharingReportDisplay.from_report(report, ax=axes[1, 1])
axes[1, 1].set_title("Sharing report, with two outliers")

path = Path("plot_tuning.png")
figure.savefig(path, dpi=110)
print(f"\nFigure written to {path}")
