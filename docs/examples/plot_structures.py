"""
Which penalty for which structure? Four simulated cases
=======================================================

Tasks can be related in different ways. Each way has a penalty that finds it:

- *the same features*: every task uses the same five of 15 features, each with its own coefficients.
  ``L21`` sets the coefficients of a feature to zero in all tasks at once;
- *clusters*: three groups of eight tasks, with the same coefficients in all tasks of a group. The
  tasks lie on a line, such as stations along a river. ``NetworkLasso`` makes the coefficients of
  neighbors equal, except where a new group begins;
- *outlier tasks*: all tasks have the same coefficients, but three have their own. ``RobustMean``
  estimates the common coefficients and finds the three;
- *low rank*: coefficients are mixtures of two patterns, in other proportions in each task.
  ``TraceNorm`` finds the patterns.

Here each case is simulated with 24 tasks of 30 rows. The matching penalty predicts best of the
four; a wrong one is often little better than a separate model for each task.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone

from skmtl import ADMMRegressor, MeanRegularizedRegressor, SharedL2Regressor, alpha_max
from skmtl.model_selection import RegularizationPathCV
from skmtl.penalties import L21, NetworkLasso, RobustMean, TraceNorm

T, D, ROWS = 24, 15, 30

# %%
# The true coefficients of the four cases, all of the same size, (tasks, features).

rng = np.random.default_rng(0)
one_for_all = np.tile(rng.standard_normal(D), (T, 1))
one_for_all[[4, 11, 19]] = rng.standard_normal((3, D))
truths = {
    "same features": rng.standard_normal((T, D)) * (np.arange(D) % 3 == 0),
    "clusters": np.repeat(rng.standard_normal((3, D)), T // 3, axis=0),
    "outlier tasks": one_for_all,
    "low rank": rng.standard_normal((T, 2)) @ rng.standard_normal((2, D)),
}
truths = {name: 2 * W / np.sqrt((W**2).sum(axis=1).mean()) for name, W in truths.items()}


def draw_rows(W, n_rows):
    """Return X, its first column the task, and y with noise of variance 1."""
    task = np.repeat(np.arange(T), n_rows)
    X = rng.standard_normal((len(task), D))
    y = (X * W[task]).sum(axis=1) + rng.standard_normal(len(task))
    return np.column_stack([task, X]), y


# %%
# The penalties, in the order of the cases, and a search over their alpha by three folds. A graph of
# the tasks, here a line, is known only in the case of clusters.

penalties = [
    L21(),
    NetworkLasso(task_graph=[(t, t + 1) for t in range(T - 1)]),
    RobustMean(),
    TraceNorm(),
]


def search_alpha(penalty, X, y):
    """Return a fitted search; ``tol`` is small enough for predictions."""
    model = ADMMRegressor(penalty, task_column=0, tol=1e-3)
    alphas = alpha_max(model, X, y) * np.geomspace(0.4, 0.05, 6)
    scoring = "neg_mean_squared_error"
    return RegularizationPathCV(model, alphas, cv=3, scoring=scoring).fit(X, y)


# %%
# Errors on new rows. Two baselines need no knowledge of the structure: "separate" is a ridge model
# for each task, "auto" the mean-regularized model with ``alpha="auto"``. It estimates for each
# feature how much its coefficients differ between tasks, and is good at the same features, too.

separate = RegularizationPathCV(SharedL2Regressor(task_column=0))
auto = MeanRegularizedRegressor("auto", task_column=0)
table, searches = {}, {}
for case, penalty in zip(truths, penalties, strict=True):
    X, y = draw_rows(truths[case], ROWS)
    X_test, y_test = draw_rows(truths[case], 200)
    tried = [p for p in penalties if p is penalty or not isinstance(p, NetworkLasso)]
    fits = {type(p).__name__: search_alpha(p, X, y) for p in tried}
    searches[case] = fits[type(penalty).__name__], X, y
    fits |= {"separate": separate.fit(X, y), "auto": auto.fit(X, y)}
    table[case] = {name: np.mean((fit.predict(X_test) - y_test) ** 2) for name, fit in fits.items()}
columns = ["separate", "auto", *(type(p).__name__ for p in penalties)]
print("Mean squared error on 200 new rows of each task; the noise has 1\n")
print(pd.DataFrame(table).T[columns].to_string(float_format="%.2f", na_rep=""))

# %%
# The estimated structures. The alpha that predicts best is too small to show them: norms also
# shrink the coefficients that are not zero, which a smaller alpha avoids. A larger alpha is better
# for reading the structure: here the largest whose cross-validated error is at most a third above
# the best. ``structure_`` of the model has what was found. The numbers depend on the draw and on
# the grid: with others there are more features, clusters or outliers, or fewer.


def stronger(search, X, y):
    """Return the model of the largest alpha whose error is at most a third above the best."""
    error = -search.cv_results_["mean_test_score"]
    alpha = search.alphas_[error <= 1.33 * error.min()].max()
    return clone(search.estimator).set_params(alpha=alpha).fit(X, y)


def describe(structure):
    """Return a structure in words."""
    if "selected_features" in structure:
        return f"{structure.selected_features.sum()} features"
    if "task_clusters" in structure:
        return f"{structure.task_clusters.max() + 1} clusters"
    if "outlier_tasks" in structure:
        return f"{len(structure.outlier_tasks)} outliers"
    return f"rank {structure.rank}"


found = {case: stronger(*searched) for case, searched in searches.items()}
true = ["5 features", "3 clusters", "3 outliers", "rank 2"]
print(f"{'':15s}{'true':>12s}{'best alpha':>14s}{'larger alpha':>14s}")
for case, words in zip(truths, true, strict=True):
    models = searches[case][0].best_estimator_, found[case]
    both = (describe(model.structure_) for model in models)
    print(f"{case:15s}{words:>12s}" + "".join(f"{text:>14s}" for text in both))

# %%
# Above the true coefficients, below those of the larger alpha: a row for each task, a column for
# each feature; red is negative, blue positive, white zero.

plt.rc("font", size=12)
figure, panels = plt.subplots(2, 4, figsize=(6.4, 4.2), layout="constrained")
for column, (case, W) in zip(panels.T, truths.items(), strict=True):
    for ax, coef in zip(column, [W, found[case].coef_], strict=True):
        ax.imshow(coef, cmap="RdBu", vmin=-1.5, vmax=1.5, aspect="auto")
        ax.set(xticks=[], yticks=[])
    column[0].set_title(case, fontsize=12)
    column[1].set_title(describe(found[case].structure_), fontsize=12)
panels[0, 0].set_ylabel("true")
panels[1, 0].set_ylabel("estimated")
figure.savefig("plot_structures.png", dpi=110)
