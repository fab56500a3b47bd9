"""
Which structure do the tasks have? Four truths, six models
==========================================================

Tasks can be related in several ways: they use the same features, they form clusters, all but a few
have the same coefficients, or their coefficients lie in a common subspace. The penalties for these
structures are `L21`, `NetworkLasso`, `RobustMean` and `TraceNorm`. Here each structure is simulated
once, with 30 tasks of 30 rows and 20 features, and all models are fitted to all of them.

The alpha of best prediction is smaller than the one that recovers the structure: norms also shrink
the nonzero coefficients, so that cross-validation prefers a small alpha, with some noise. The
figure shows both: the best alpha, and the largest whose cross-validated error is at most a quarter
above the best.

On the data of `RobustMean`, `TraceNorm` is a good model, too: the coefficients of 26 equal tasks
and 4 outliers have rank 5.

The last part fits the School data, if ``fetch_school`` finds them on this machine.
The script prints errors on held-out rows and writes ``plot_structures.png``.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skmtl import ADMMRegressor, MeanRegularizedRegressor, SharedL2Regressor, alpha_max
from skmtl.datasets import fetch_school
from skmtl.model_selection import TaskKFold
from skmtl.penalties import L21, NetworkLasso, RobustMean, TraceNorm

T, D, ROWS = 30, 20, 30
OUTLIERS = [4, 11, 19, 26]

# %%
# The truths: coefficients (30, 20), of the same size on average. The noise has variance 1.


def draw_truths(rng):
    """Return the coefficients of each family."""
    families = {
        "shared features": rng.standard_normal((T, D)) * (np.arange(D) % 4 == 0),
        "clusters": np.repeat(rng.standard_normal((3, D)), T // 3, axis=0),
        "outlier tasks": np.tile(rng.standard_normal(D), (T, 1)),
        "low rank": rng.standard_normal((T, 2)) @ rng.standard_normal((2, D)),
    }
    families["outlier tasks"][OUTLIERS] = rng.standard_normal((len(OUTLIERS), D))
    return {name: 2 * W / np.sqrt((W**2).sum(axis=1).mean()) for name, W in families.items()}


def draw_rows(rng, W, n_rows):
    """Return X, its first column the task, and y."""
    task = np.repeat(np.arange(T), n_rows)
    X = rng.standard_normal((len(task), D))
    y = np.einsum("ij,ij->i", X, W[task]) + rng.standard_normal(len(task))
    return np.column_stack([task, X]), y


# %%
# The models. `NetworkLasso` has a graph: the tasks lie on a line, say along a river, each linked to
# the next. The boundaries of the clusters are estimated. (With links between all pairs of tasks, it
# would merge clusters at almost the same alpha as the tasks within a cluster.)


def structured(penalty):
    """Return a model with the penalty and a tolerance that is enough for predictions."""
    return ADMMRegressor(penalty, task_column=0, tol=1e-3)


models = {
    "separate": SharedL2Regressor(task_column=0),
    "shared mean": MeanRegularizedRegressor(task_column=0),
    "L21": structured(L21()),
    "NetworkLasso": structured(NetworkLasso(task_graph=[(t, t + 1) for t in range(T - 1)])),
    "RobustMean": structured(RobustMean()),
    "TraceNorm": structured(TraceNorm()),
}


def search(model, X, y):
    """Return a fitted cross-validated search over the penalty weights of a model."""
    if isinstance(model, ADMMRegressor):
        grid = {"alpha": alpha_max(model, X, y) * np.geomspace(0.6, 0.02, 7)}
    else:
        grid = {"alpha": np.geomspace(1, 1000, 7)}
    if isinstance(model, MeanRegularizedRegressor):
        grid["alpha_shared"] = [0.01, 1.0, 100.0]
    folds = TaskKFold(3, task_column=0, shuffle=True, random_state=0)
    scoring = "neg_mean_squared_error"
    return GridSearchCV(model, grid, cv=folds, scoring=scoring, n_jobs=2).fit(X, y)


def strong(searched, X, y):
    """Return the model of the largest alpha whose error is at most a quarter above the best."""
    error = -searched.cv_results_["mean_test_score"]
    alphas = np.asarray(searched.cv_results_["param_alpha"], dtype=float)
    strongest = alphas[error <= 1.25 * error.min()].max()
    return clone(searched.best_estimator_).set_params(alpha=strongest).fit(X, y)


def print_row(name, errors):
    """Print a row of a table, the best error with a star."""
    cells = (f"{error:.3f}{'*' if error == min(errors) else ' '}" for error in errors)
    print(f"{name:17s}" + "".join(f"{cell:>14s}" for cell in cells))


matching = ["L21", "NetworkLasso", "RobustMean", "TraceNorm"]
rng = np.random.default_rng(0)
truths = draw_truths(rng)
found = []
print("Mean squared error on 200 other rows of each task; the noise has 1\n")
print(f"{'truth':17s}" + "".join(f"{name:>14s}" for name in models))
for name, (truth, W) in zip(matching, truths.items(), strict=True):
    X, y = draw_rows(rng, W, ROWS)
    X_test, y_test = draw_rows(rng, W, 200)
    searches = {kind: search(model, X, y) for kind, model in models.items()}
    print_row(truth, [np.mean((s.predict(X_test) - y_test) ** 2) for s in searches.values()])
    chosen = searches[name]
    found.append((truth, W, name, chosen.best_estimator_, strong(chosen, X, y)))

# %%
# The estimated structures: on top the truth, below it the matching model with the best alpha and a
# larger one. Lines separate clusters, triangles mark selected features and outlier tasks.


def describe(structure):
    """Return a structure in words."""
    if "selected_features" in structure:
        return f"{structure.selected_features.sum()} of {D} features"
    if "task_clusters" in structure:
        return f"{structure.task_clusters.max() + 1} clusters"
    if "outlier_tasks" in structure:
        return f"{len(structure.outlier_tasks)} outlier tasks"
    return f"rank {structure.rank}"


def mark(axes, structure):
    """Mark a structure at the image of its coefficients."""
    if "selected_features" in structure:
        features = np.flatnonzero(structure.selected_features)
        axes.plot(features, np.full(len(features), -1.3), "kv", ms=4, clip_on=False)
    if "task_clusters" in structure:
        for t in np.flatnonzero(np.diff(structure.task_clusters)):
            axes.axhline(t + 0.5, color="black", lw=1)
    if "outlier_tasks" in structure:
        tasks = structure.outlier_tasks
        axes.plot(np.full(len(tasks), D + 0.3), tasks, "k<", ms=4, clip_on=False)


LIMIT = 1.5
figure, panels = plt.subplots(3, 4, figsize=(11.5, 11), layout="constrained", sharex=True)
print("\nStructures of the matching models, at the best alpha and at a larger one\n")
for column, (truth, W, name, best, stronger) in zip(panels.T, found, strict=True):
    words = [describe(model.structure_) for model in (best, stronger)]
    print(f"{truth:17s}{name:14s}{words[0]:>20s}{words[1]:>20s}")
    pictures = [
        (f"truth: {truth}", W),
        (f"{name}, best alpha\n{words[0]}", best.coef_),
        (f"{name}, larger alpha\n{words[1]}", stronger.coef_),
    ]
    for axes, (title, coef) in zip(column, pictures, strict=True):
        image = axes.imshow(coef, cmap="RdBu", vmin=-LIMIT, vmax=LIMIT, aspect="auto")
        axes.set_title(title, fontsize=10, pad=15)
        axes.set(xticks=[0, 5, 10, 15], yticks=[0, 10, 20])
        axes.autoscale(False)  # the marks are outside of the image
    mark(column[1], best.structure_)
    mark(column[2], stronger.structure_)
    column[-1].set_xlabel("feature")
for axes in panels[:, 0]:
    axes.set_ylabel("task")
figure.colorbar(image, ax=panels, label="coefficient", shrink=0.5, aspect=30, extend="both")

path = Path("plot_structures.png")
figure.savefig(path, dpi=110)
print(f"\nFigure written to {path}")

# %%
# School: 139 schools, 27 features of students. Norms depend on the units of the features, which are
# therefore standardized. `NetworkLasso` is left out, as there is no graph of the schools.

try:
    school = fetch_school(download_if_missing=False)
except OSError:
    print("\nThe School data are not on this machine: skmtl.datasets.fetch_school() gets them.")
else:
    train, test = school.splits[0]
    features = school.data[:, 1:]
    scaled = (features - features[train].mean(axis=0)) / features[train].std(axis=0)
    X, y = np.column_stack([school.data[:, 0], scaled]), school.target
    kinds = [kind for kind in models if kind != "NetworkLasso"]
    searches = {kind: search(models[kind], X[train], y[train]) for kind in kinds}
    print("\nSchool, the first of its splits: root mean squared error\n")
    print(" " * 17 + "".join(f"{kind:>14s}" for kind in kinds))
    errors = [np.mean((s.predict(X[test]) - y[test]) ** 2) ** 0.5 for s in searches.values()]
    print_row("School", errors)
    few, robust, low_rank = (
        searches[kind].best_estimator_.structure_ for kind in ("L21", "RobustMean", "TraceNorm")
    )
    print(
        f"\nL21 keeps {few.selected_features.sum()} of 27 features, TraceNorm rank "
        f"{low_rank.rank}; {len(robust.outlier_tasks)} of 139 schools are outliers to RobustMean."
    )
