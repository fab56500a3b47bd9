"""
Digits from ten labeled images per task: when sharing helps and when it hurts
=============================================================================

Two families of tasks on scikit-learn's handwritten digits, each with ten labeled images per task.

*One against the rest*: ten tasks, "is it a 0?" to "is it a 9?". They exclude each other, so that
their coefficients have no useful center, and shrinking towards it hurts: negative transfer.
Cross-validation chooses nearly separate models.

*Two scanners*: one reads the digits 0 to 4, the other, which shifts its images by a pixel, 3 to 7,
two labeled images of each. With ``task_classes="seen"`` every task has its own classes only, and
the two common classes are shrunk towards the center. The accuracy is that of separate models, with
better probabilities.

The script prints test scores over 20 draws of the labeled images and writes
``plot_digits_few_shot.png``.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV

from skmtl import MeanRegularizedClassifier, PooledClassifier, SharedL2Classifier
from skmtl.model_selection import TaskKFold

images, digit = load_digits(return_X_y=True)
images /= 16
DRAWS = 20


def long(task, rows):
    """Return X: the task, followed by the pixels."""
    return np.column_stack([np.broadcast_to(task, len(rows)), rows])


def print_table(title, columns, scores):
    """Print means over the draws and their standard errors."""
    print(f"\n{title}\n{'':42s}" + "".join(f"{column:>18s}" for column in columns))
    for name, values in scores.items():
        mean, error = np.mean(values, axis=0), np.std(values, axis=0) / np.sqrt(len(values))
        cells = (f"{m:.3f} +- {e:.3f}" for m, e in zip(mean, error, strict=True))
        print(f"{name:42s}" + "".join(f"{cell:>18s}" for cell in cells))


# %%
# One against the rest: five images of the digit and five of others.


def draw_one_against_rest(rng):
    """Return X and y of ten tasks of ten images, and the images to test on."""
    order = rng.permutation(len(digit))
    pool, test = order[:900], order[900:]
    halves = [
        rng.choice(pool[(digit[pool] == k) == own], 5, replace=False)
        for k in range(10)
        for own in (True, False)
    ]
    X = long(np.repeat(np.arange(10), 10), images[np.concatenate(halves)])
    return X, np.tile(np.repeat([1, 0], 5), 10), test


shared = MeanRegularizedClassifier(task_column=0)
models = {
    "pooled": PooledClassifier(task_column=0),
    "separate": SharedL2Classifier(task_column=0),
    "mean-regularized, default alpha": shared,
    "mean-regularized, cross-validated": GridSearchCV(
        shared,
        {"alpha": [0.1, 1.0, 10.0], "alpha_shared": [1e-3, 1.0, 1e3]},
        cv=TaskKFold(5, task_column=0, shuffle=True, random_state=0),
        scoring="neg_log_loss",
    ),
}
scores = {name: [] for name in models}
for seed in range(DRAWS):
    X, y, test = draw_one_against_rest(np.random.default_rng(seed))
    for name, model in models.items():
        model.fit(X, y)
        score = [
            roc_auc_score(digit[test] == k, model.decision_function(long(k, images[test])))
            for k in range(10)
        ]
        scores[name].append([np.mean(score)])
print_table("One against the rest", ["mean ROC AUC"], scores)

# %%
# Two scanners with classes of their own.

CLASSES = range(5), range(3, 8)


def scan(rows, task):
    """Return the images of a scanner: the second shifts them by a pixel."""
    return np.roll(images[rows].reshape(-1, 8, 8), task, axis=2).reshape(-1, 64)


def draw_scanners(rng):
    """Return X and y of two tasks of ten images, and for each the images to test on."""
    order = rng.permutation(len(digit))
    pool, test = order[:900], order[900:]
    parts, labels = [], []
    for task, classes in enumerate(CLASSES):
        rows = np.concatenate(
            [rng.choice(pool[digit[pool] == k], 2, replace=False) for k in classes]
        )
        parts.append(long(task, scan(rows, task)))
        labels.append(digit[rows])
    tests = [test[np.isin(digit[test], classes)] for classes in CLASSES]
    return np.vstack(parts), np.concatenate(labels), tests


models = {
    f"{name}, {which}": model.set_params(task_classes=which)
    for which in ("union", "seen")
    for name, model in {
        "pooled": PooledClassifier(0.1, task_column=0),
        "separate": SharedL2Classifier(0.1, task_column=0),
        "mean-regularized": MeanRegularizedClassifier(0.1, alpha_shared=0.1, task_column=0),
    }.items()
}
scores = {name: [] for name in models}
for seed in range(DRAWS):
    X, y, tests = draw_scanners(np.random.default_rng(seed))
    for name, model in models.items():
        model.fit(X, y)
        own, right = [], []
        for task, rows in enumerate(tests):
            p = model.predict_proba(long(task, scan(rows, task)))
            own.append(p[np.arange(len(rows)), np.searchsorted(model.classes_, digit[rows])])
            right.append(model.classes_[p.argmax(axis=1)] == digit[rows])
        scores[name].append([np.concatenate(right).mean(), -np.log(np.concatenate(own)).mean()])
print_table("Two scanners, alpha = 0.1", ["accuracy", "log-loss"], scores)

# %%
# The coefficients of every class at the last draw. Classes not observed in a task have the
# coefficients of the center; the two common classes are shrunk towards it.

model = models["mean-regularized, seen"]
rows = {"scanner A": model.coef_[0], "center": model.shared_coef_, "scanner B": model.coef_[1]}
limit = np.abs(model.coef_).max()
figure, panels = plt.subplots(3, 8, figsize=(12, 5), layout="constrained")
for k, axes in enumerate(panels[0]):
    axes.set_title(f"class {k}")
for line, (name, coef) in zip(panels, rows.items(), strict=True):
    for k, axes in enumerate(line):
        axes.imshow(coef[k].reshape(8, 8), cmap="RdBu", vmin=-limit, vmax=limit)
        axes.set(xticks=[], yticks=[])
        seen = name == "center" or k in CLASSES[name == "scanner B"]
        for side in axes.spines.values():
            side.set(color="black" if seen else "0.85", lw=1.5)
    line[0].set_ylabel(name)
figure.suptitle("Coefficients of each class; gray frames: classes not observed in the task")

path = Path("plot_digits_few_shot.png")
figure.savefig(path, dpi=110)
print(f"\nFigure written to {path}")
