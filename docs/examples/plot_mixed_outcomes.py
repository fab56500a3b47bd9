"""
Scores help a diagnosis: tasks of different kinds
=================================================

A class is known of few rows: what does it gain from numbers that depend on the same features? The
class task is fitted alone, together with the numbers of the same rows, and with those of 200
further rows, in which the class is missing. First in a generated family, where five tasks use the
same 4 of 40 features. Then on the Parkinsons data (Tsanas and Little 2010), if the folder
``SKMTL_DATA`` has them: is the total score above its median, with the motor and the total score as
the other tasks. Rows are drawn at random, so that patients are in both training and test rows.

The script prints the log-loss on other rows, with standard errors of the differences from the class
alone, and writes ``plot_mixed_outcomes.png``. It takes a minute.
"""

import os
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from skmtl import MixedOutcomeModel
from skmtl.penalties import L21, MeanRegularized

# With fewer rows than features the noise of a number may not be identified.
warnings.filterwarnings("ignore", "task_weight='uncertainty' finds no noise", UserWarning)

SEEDS, SIZES, FURTHER, TEST = 6, (20, 50, 100), 200, 2000
WAYS = ["class alone", "and numbers of its rows", f"and of {FURTHER} further rows"]


def class_score(model, X, y):
    """Return minus the log-loss of the class task."""
    return -log_loss(y["class"].astype(bool), model.predict_proba(X)["class"][:, 1])


def losses_of(X, y, n, penalty, alphas):
    """Return the log-losses of the three ways, on the last rows, and of the training share.

    The class is known in the first n rows. alpha is chosen by its log-loss in five folds of these.
    """
    test, known = slice(-TEST, None), y["class"].iloc[:n].astype(bool)
    folds = list(StratifiedKFold(5, shuffle=True, random_state=0).split(X[:n], known))
    found = []
    for columns, further in ((["class"], 0), (list(y), 0), (list(y), FURTHER)):
        train = y[columns].iloc[: n + further].copy()
        train.loc[train.index[n:], "class"] = None
        splits = [(np.r_[rows, n : n + further], held_out) for rows, held_out in folds]
        model = MixedOutcomeModel(penalty, tol=1e-3)
        search = GridSearchCV(model, {"alpha": alphas}, cv=splits, scoring=class_score)
        search.fit(X[: n + further], train)
        found.append(-class_score(search, X[test], y.iloc[test]))
    share = np.full(TEST, known.mean())
    return [*found, log_loss(y["class"].iloc[test].astype(bool), share)]


def compare(title, draw, penalty, alphas):
    """Print and return the mean losses (sizes, ways), and standard errors of the differences."""
    losses = np.array(
        [[losses_of(*draw(seed), n, penalty, alphas) for seed in range(SEEDS)] for n in SIZES]
    )
    errors = (losses - losses[..., :1]).std(axis=1, ddof=1) / np.sqrt(SEEDS)
    means = losses.mean(axis=1)
    print(
        f"{title}\n{'rows':>6s}" + "".join(f"{way:>28s}" for way in [*WAYS, "share of the class"])
    )
    for n, row, error in zip(SIZES, means, errors, strict=True):
        gains = [f"{value:.3f} +- {e:.3f}" for value, e in zip(row[1:3], error[1:3], strict=True)]
        print(
            f"{n:6d}"
            + "".join(f"{text:>28s}" for text in [f"{row[0]:.3f}", *gains, f"{row[3]:.3f}"])
        )
    return means


# %%
# The generated family: four numbers with noise 1, and a class. L21 selects features for all tasks.


def family(seed):
    """Return X and a frame of the tasks, the class last."""
    rng = np.random.default_rng(seed)
    W = rng.choice([-1.0, 1.0], size=(5, 4)) * rng.uniform(0.5, 1.5, size=(5, 4))
    X = rng.normal(size=(max(SIZES) + FURTHER + TEST, 40))
    Z = X[:, :4] @ W.T
    y = pd.DataFrame(Z[:, :4] + rng.normal(size=(len(X), 4)), columns=list("abcd"))
    y["class"] = (Z[:, 4] + rng.logistic(size=len(X)) > 0).astype(object)
    return X, y


results = {"generated": compare("generated", family, L21(), np.geomspace(3, 100, 6))}

# %%
# Parkinsons: age, sex, time and 16 measures of the voice. All outcomes measure one thing, so that
# their coefficients are shrunk towards a center.

source = Path(os.environ.get("SKMTL_DATA", ".")) / "parkinsons" / "parkinsons_updrs.data"
if source.is_file():
    table = pd.read_csv(source)
    scores = table[["motor_UPDRS", "total_UPDRS"]]
    features = table.drop(columns=["subject#", *scores]).to_numpy()
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    above = scores["total_UPDRS"] > scores["total_UPDRS"].median()
    outcomes = scores.assign(**{"class": above.astype(object)})

    def shuffled(seed):
        """Return rows of all patients in random order."""
        order = np.random.default_rng(seed).permutation(len(features))
        return features[order], outcomes.iloc[order].reset_index(drop=True)

    penalty, alphas = MeanRegularized(1.0, alpha_shared=0.3), np.geomspace(3, 3000, 6)
    results["Parkinsons"] = compare("\nParkinsons", shuffled, penalty, alphas)
else:
    print(f"\nThe Parkinsons data are left out: {source} does not exist.")

# %%
# In the family the gain is largest where the class is known of few rows. On the Parkinsons data all
# gains are small, and with 20 rows the share of the class is the best prediction: linear models of
# the voice explain little of the score.

figure, axes = plt.subplots(1, len(results), figsize=(5.5 * len(results), 4), layout="constrained")
for axis, (title, means) in zip(np.atleast_1d(axes), results.items(), strict=True):
    for way, values, color in zip(WAYS, means.T[:3], ["0.5", "tab:blue", "tab:green"], strict=True):
        axis.plot(SIZES, values, "o-", color=color, label=way)
    axis.plot(SIZES, means[:, 3], ":", color="0.3", label="share of the class")
    axis.set(title=title, xlabel="rows with a class", ylabel="log-loss of the class, other rows")
    axis.set_xticks(SIZES)
np.atleast_1d(axes)[-1].legend(frameon=False)

path = Path("plot_mixed_outcomes.png")
figure.savefig(path, dpi=110)
print(f"\nFigure written to {path}")
