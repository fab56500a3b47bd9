"""
A score and a diagnosis together: fewer diagnoses are needed
============================================================

A diagnosis is expensive and known for few patients. Scores of a questionnaire are cheap and depend
on the same features. ``MixedOutcomeModel`` fits both together: numbers with the squared loss,
classes with the logistic loss. The targets are the columns of a table, and missing values are left
out. What does the prediction of the diagnosis gain?

Patients are generated: four scores and the diagnosis depend on the same 4 of 40 features. The
penalty ``"l21"`` selects features for all tasks together, and the scores show which ones matter.
The gain is smaller where outcomes have less in common: try it on your data with and without the
scores.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from skmtl import MixedOutcomeModel
from skmtl.metrics import task_scores
from skmtl.model_selection import RegularizationPathCV

# With fewer rows than features the noise of a score may not be identified.
warnings.filterwarnings("ignore", "task_weight='uncertainty' finds no noise", UserWarning)

SCORES = ["pain", "sleep", "mobility", "mood"]
SEEDS, SIZES, FURTHER, TEST = 4, (20, 50, 100), 200, 2000

# %%
# The table of targets: scores, and a diagnosis that is True, False or missing.


def draw_patients(seed):
    """Return X and a frame of the targets, all of them known."""
    rng = np.random.default_rng(seed)
    W = rng.choice([-1.0, 1.0], size=(5, 4)) * rng.uniform(0.5, 1.5, size=(5, 4))
    X = rng.normal(size=(max(SIZES) + FURTHER + TEST, 40))
    Z = X[:, :4] @ W.T
    y = pd.DataFrame(Z[:, :4] + rng.normal(size=(len(X), 4)), columns=SCORES)
    y["ill"] = (Z[:, 4] + rng.logistic(size=len(X)) > 0).astype(object)
    return X, y


def with_diagnoses(y, n):
    """Return the targets with a diagnosis in the first n rows only."""
    return y.assign(ill=y["ill"].where(np.arange(len(y)) < n, None))


X, y = draw_patients(0)
train = with_diagnoses(y[:250], 50)
print(train.iloc[48:52].round(2).to_string())

# %%
# A fit, probabilities of the diagnosis, and how good the predictions of each target are for other
# patients. ``task_scores`` has metrics of numbers (R²) and of classes (ROC AUC, log loss).

model = MixedOutcomeModel("l21", alpha=60.0).fit(X[:250], train)
probability = model.predict_proba(X[-TEST:])
print(f"P(ill) of the first test patients: {probability['ill'][:3, 1].round(2)}")
scores = task_scores(y[-TEST:], model.predict(X[-TEST:]), y_score=probability)
print(scores.loc[[*SCORES, "ill"], ["r2", "roc_auc", "log_loss"]].round(2).to_string(na_rep=""))
print(f"{model.structure_.selected_features.sum()} of 40 features are used")

# %%
# Now with 20, 50 and 100 diagnoses, for four sets of patients each: the diagnosis alone, with
# scores of the same patients, and with those of 200 further patients without a diagnosis. Each
# search chooses alpha by the log loss of the diagnosis, in folds of the patients who have one. The
# log loss of a constant probability of 1/2 is 0.69.


def diagnosis_loss(model, X, y):
    """Return the log loss of the diagnosis."""
    return log_loss(y["ill"].astype(bool), model.predict_proba(X)["ill"][:, 1])


def loss_of(X, y, n, columns, further):
    """Return the log loss on test patients, after a fit to n + further patients."""
    train = with_diagnoses(y[columns].iloc[: n + further], n)
    folds = StratifiedKFold(3, shuffle=True, random_state=0).split(X[:n], y["ill"][:n].astype(bool))
    cv = [(np.r_[rows, n : n + further], held_out) for rows, held_out in folds]
    search = RegularizationPathCV(
        MixedOutcomeModel("l21", tol=1e-3),
        np.geomspace(5, 100, 5),
        cv=cv,
        scoring=lambda *given: -diagnosis_loss(*given),
    )
    return diagnosis_loss(search.fit(X[: n + further], train), X[-TEST:], y[-TEST:])


ways = {
    "diagnosis alone": (["ill"], 0),
    "with scores": ([*SCORES, "ill"], 0),
    f"and {FURTHER} more patients": ([*SCORES, "ill"], FURTHER),
}
patients = [draw_patients(seed) for seed in range(SEEDS)]
losses = {
    way: np.array([[loss_of(*drawn, n, *given) for n in SIZES] for drawn in patients])
    for way, given in ways.items()
}
print("Log loss of the diagnosis, test patients\n")
print(f"{'diagnoses':24s}" + "".join(f"{n:>16d}" for n in SIZES))
for way, own in losses.items():
    print(f"{way:24s}" + "".join(f"{loss:16.3f}" for loss in own.mean(axis=0)))
gains = losses["diagnosis alone"] - losses["with scores"]
error = gains.std(axis=0, ddof=1) / np.sqrt(SEEDS)
cells = [f"{m:.3f} ± {e:.3f}" for m, e in zip(gains.mean(axis=0), error, strict=True)]
print(f"{'gain from scores':24s}" + "".join(f"{cell:>16s}" for cell in cells))

# %%
# In this simulation, with scores about half as many diagnoses are needed for the same log loss.

plt.rc("font", size=12)
figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for (way, own), color in zip(losses.items(), ["0.5", "tab:blue", "tab:green"], strict=True):
    ax.plot(SIZES, own.mean(axis=0), "o-", color=color, label=way, lw=2)
ax.set(xlabel="patients with a diagnosis", ylabel="log loss of the diagnosis")
ax.set(title="Scores help to predict a diagnosis", xticks=SIZES)
ax.legend(frameon=False)
figure.savefig("plot_mixed_outcomes.png", dpi=110)
