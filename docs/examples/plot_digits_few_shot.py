"""
Ten labeled images for each task: when sharing helps and when it hurts
======================================================================

Two sets of tasks on the handwritten digits of scikit-learn, each task with ten labeled images.

*Is it a 0? ... Is it a 9?* Ten tasks, of which one at most has the answer yes: what makes an image
a 0 makes it not a 9. A common model predicts the same for all ten questions, and shrinking towards
it hurts. With penalty weights chosen by cross-validation the models are nearly separate.

*Two scanners.* One reads the digits 0 to 4, the other, which shifts images by a pixel, 3 to 7. The
digits 3 and 4 are in both. Sharing helps: the probabilities are better than those of separate
models, at the same penalty weights.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from skmtl import MeanRegularizedClassifier, PooledClassifier, SharedL2Classifier
from skmtl.model_selection import RegularizationPathCV, TaskKFold

images, digit = load_digits(return_X_y=True)
images /= 16
DRAWS = 8  # of the labeled images


def with_task(task, rows):
    """Return X: the task, followed by the pixels."""
    return np.column_stack([np.broadcast_to(task, len(rows)), rows])


def draw_images(rng, per_class, is_class):
    """Return the rows of images for training, some of each class, and those for testing."""
    order = rng.permutation(len(digit))
    pool, test = order[:900], order[900:]
    train = [rng.choice(pool[own(digit[pool])], per_class, replace=False) for own in is_class]
    return np.concatenate(train), test


def summarize(title, scores):
    """Print and return the mean and the standard error over draws of each model."""
    print(title)
    found = {name: (np.mean(v), np.std(v, ddof=1) / np.sqrt(DRAWS)) for name, v in scores.items()}
    for name, (mean, error) in found.items():
        print(f"{name:34s}{mean:.3f} ± {error:.3f}")
    return found


# %%
# Is it a 0? ... Is it a 9? Each task has five images of its digit and five others. The score is the
# area under the ROC curve.

shared = MeanRegularizedClassifier(task_column=0)
models = {
    "one model for all": PooledClassifier(task_column=0),
    "separate": SharedL2Classifier(task_column=0),
    "shared, alpha=1": shared,
    "shared, cross-validated": RegularizationPathCV(
        shared,
        [0.1, 1.0, 10.0],
        param_grid={"alpha_shared": [1e-3, 1.0, 1e3]},
        cv=TaskKFold(5, task_column=0, shuffle=True, random_state=0),
        scoring="neg_log_loss",
    ),
}
questions = [lambda d, k=k, own=own: (d == k) == own for k in range(10) for own in (True, False)]
task, y = np.repeat(np.arange(10), 10), np.tile(np.repeat([1, 0], 5), 10)
aucs = {name: [] for name in models}
for seed in range(DRAWS):
    train, test = draw_images(np.random.default_rng(seed), 5, questions)
    for name, model in models.items():
        model.fit(with_task(task, images[train]), y)
        z = [model.decision_function(with_task(k, images[test])) for k in range(10)]
        own = [roc_auc_score(digit[test] == k, z[k]) for k in range(10)]
        aucs[name].append(np.mean(own))
hurts = summarize("Is it a 0? ... Is it a 9? Mean ROC AUC", aucs)

# %%
# Two scanners, with two images of each of their digits. ``task_classes="seen"`` predicts in each
# task only the classes that it has. The score is the log loss.

CLASSES = range(5), range(3, 8)
options = {"alpha": 0.1, "task_column": 0, "task_classes": "seen"}
models = {
    "one model for all": PooledClassifier(**options),
    "separate": SharedL2Classifier(**options),
    "shared": MeanRegularizedClassifier(alpha_shared=0.1, **options),
}


def scan(rows, scanner):
    """Return images as a scanner reads them: the second shifts them by a pixel."""
    return np.roll(images[rows].reshape(-1, 8, 8), scanner, axis=2).reshape(-1, 64)


both = [lambda d, k=k: d == k for classes in CLASSES for k in classes]
losses = {name: [] for name in models}
for seed in range(DRAWS):
    train, test = draw_images(np.random.default_rng(seed), 2, both)
    X = np.vstack([with_task(t, scan(train[10 * t : 10 * t + 10], t)) for t in (0, 1)])
    for name, model in models.items():
        model.fit(X, digit[train])
        own = []
        for t, classes in enumerate(CLASSES):
            rows = test[np.isin(digit[test], classes)]
            p = model.predict_proba(with_task(t, scan(rows, t)))
            own.append(-np.log(p[np.arange(len(rows)), digit[rows]]))
        losses[name].append(np.concatenate(own).mean())
helps = summarize("\nTwo scanners. Log loss", losses)

# %%
# Above, higher is better: the shared model is close to guessing (0.5) with alpha=1, and as good as
# separate models after cross-validation. Below, lower is better: the shared model is best. Bars are
# standard errors over draws of the labeled images.

plt.rc("font", size=12)
figure, axes = plt.subplots(2, 1, figsize=(6.4, 4.2), layout="constrained")
titles = "Is it a 0? ... Is it a 9? ROC AUC", "Two scanners: log loss"
for ax, found, title in zip(axes, (hurts, helps), titles, strict=True):
    mean, error = np.transpose(list(found.values()))
    ax.errorbar(mean, list(found), xerr=error, fmt="o", ms=7)
    ax.set(title=title, ylim=(len(found) - 0.5, -0.5))
    ax.grid(axis="y", color="0.9")
figure.savefig("plot_digits_few_shot.png", dpi=110)

# %%
# Coefficients of four digits at the last draw. Where a scanner has no images of a digit, it has the
# coefficients of the common model; 3 and 4 are shrunk towards it.

model = models["shared"]
rows = {"scanner A": model.coef_[0], "common": model.shared_coef_, "scanner B": model.coef_[1]}
figure, panels = plt.subplots(3, 4, figsize=(6.4, 5), layout="constrained")
for line, (name, coef) in zip(panels, rows.items(), strict=True):
    line[0].set_ylabel(name)
    for ax, k in zip(line, (1, 3, 4, 6), strict=True):
        ax.imshow(coef[k].reshape(8, 8), cmap="RdBu", vmin=-1, vmax=1)
        ax.set(xticks=[], yticks=[])
for ax, text in zip(panels[0], ("1 (A only)", "3 (both)", "4 (both)", "6 (B only)"), strict=True):
    ax.set_title(text, fontsize=12)
figure.savefig("plot_digits_few_shot_coef.png", dpi=110)
