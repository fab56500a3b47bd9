"""
Text of several domains: sparse features and few labels in each
===============================================================

Reviews of books, cars, films and more, with a few labels in each domain. Some words mean the same
in all domains ("excellent"), the meaning of others depends on the domain ("unpredictable", of films
and of cars), and some occur in one domain only. One model of all reviews learns the words of the
first kind; one model per domain learns all three, from few labels each. The mean-regularized model
is in between: a center, and deviations of the domains from it.

The reviews are generated, so that the accuracy of the best possible classifier is known.
``make_task_pipeline`` gives the text to ``TfidfVectorizer`` and the domains, as task labels, to the
model. The features stay sparse. Cross-validation over the training reviews chooses the penalty
weights of all models.

The script prints test accuracies and writes ``plot_text_domains.png``.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer

from skmtl import MeanRegularizedClassifier, PooledClassifier, SharedL2Classifier
from skmtl.model_selection import RegularizationPathCV, TaskKFold
from skmtl.pipeline import make_task_pipeline

DOMAINS = ["books", "cars", "films", "food", "games", "hotels", "phones", "shoes"]
GOOD = """amazing beautiful best enjoyed excellent fantastic favorite flawless glad great happy
impressed love perfect pleased recommend satisfied superb thanks wonderful"""
BAD = """annoying avoid awful bad boring broken cheated dirty disappointing failed hate horrible
poor refund regret terrible ugly useless waste worst"""
MIXED = """big busy cheap cold dark easy fast heavy hot light long loud old quiet sharp short simple
slow small soft strange sweet tight unpredictable"""
SIZES, DRAWS = [10, 20, 50, 100, 200], 3
LENGTH, TESTED = 30, 500  # words of a review, test reviews of a domain

# %%
# The share of each word in the text of each domain, and its effect: half the logarithm of the ratio
# of its frequencies in positive and negative reviews, up to a constant.

T = len(DOMAINS)
rng = np.random.default_rng(0)
words, shares, effects = [], [], []


def add(new, share, effect=0.0, domain=slice(None), zipf=False):
    """Add words with a share of the text of all domains, or of one."""
    weight = 1 / np.arange(1, len(new) + 1) if zipf else np.ones(len(new))
    own = np.zeros((T, len(new)))
    own[domain] = share * weight / weight.sum()
    words.extend(new)
    shares.append(own)
    effects.append(np.broadcast_to(effect, own.shape))


add(GOOD.split(), 0.05, 0.5)
add(BAD.split(), 0.05, -0.5)
add(MIXED.split(), 0.05, rng.choice([-1.0, 1.0], size=(T, len(MIXED.split()))))
add([f"word{j}" for j in range(1500)], 0.5, zipf=True)
for t, name in enumerate(DOMAINS):
    add([f"{name}{j}" for j in range(200)], 0.32, domain=t, zipf=True)
    add([f"{name}_good{j}" for j in range(20)], 0.015, 1.0, domain=t)
    add([f"{name}_bad{j}" for j in range(20)], 0.015, -1.0, domain=t)
shares, effects = np.hstack(shares), np.hstack(effects)
frequencies = np.stack([shares * np.exp(sign * effects) for sign in (-1, 1)])  # class, domain, word
frequencies /= frequencies.sum(axis=2, keepdims=True)


def write_reviews(rng, n):
    """Return n reviews of each domain, their classes, and the numbers of their words."""
    numbers = [
        rng.choice(len(words), size=(n // 2, LENGTH), p=frequencies[k, t])
        for t in range(T)
        for k in range(2)
    ]
    numbers = np.concatenate(numbers)
    text = [" ".join(review) for review in np.array(words, dtype=object)[numbers]]
    X = pd.DataFrame({"domain": np.repeat(DOMAINS, n), "text": text})
    return X, np.tile(np.repeat([0, 1], n // 2), T), numbers


# %%
# The best possible classifier, then the models at several numbers of labels.

X_test, y_test, numbers = write_reviews(np.random.default_rng(1), TESTED)
with np.errstate(divide="ignore", invalid="ignore"):  # words that do not occur in a domain
    evidence = np.log(frequencies[1] / frequencies[0])
domain = np.repeat(np.arange(T), TESTED)
best = np.mean((evidence[domain[:, None], numbers].sum(axis=1) > 0) == y_test)


def search(model, **grid):
    """Return a pipeline with a search over the penalty weights of a model."""
    model.set_params(task_column="domain")
    cv = TaskKFold(3, task_column="domain", stratify=True)
    path = RegularizationPathCV(model, [0.1, 1.0], param_grid=grid, cv=cv, scoring="accuracy")
    return make_task_pipeline(TfidfVectorizer(sublinear_tf=True), path)


models = {
    "one model per domain": search(SharedL2Classifier()),
    "one model of all domains": search(PooledClassifier()),
    "mean-regularized": search(MeanRegularizedClassifier(), alpha_shared=[0.1, 0.3, 1.0]),
}
scores = {name: np.empty((DRAWS, len(SIZES))) for name in models}
for draw in range(DRAWS):
    for k, n in enumerate(SIZES):
        X, y, _ = write_reviews(np.random.default_rng([2, draw, n]), n)
        for name, model in models.items():
            scores[name][draw, k] = model.fit(X, y).score(X_test, y_test)

print(f"{'labels in each domain':26s}" + "".join(f"{n:>16d}" for n in SIZES))
for name, own in scores.items():
    mean, error = own.mean(axis=0), own.std(axis=0, ddof=1) / np.sqrt(DRAWS)
    cells = (f"{m:.3f} +- {e:.3f}" for m, e in zip(mean, error, strict=True))
    print(f"{name:26s}" + "".join(f"{cell:>16s}" for cell in cells))
print(f"best possible: {best:.3f}")

# %%
# Left: with up to 20 labels in each domain, sharing is about as good as pooling all reviews. From
# 50 on it is better than both. Right: coefficients of the last model, fitted to 200 labels in
# each domain. Words of one meaning have its sign in the center and in the domains; words of
# different meanings have a center near zero.

shown = ["excellent", "perfect", "wonderful", "awful", "refund", "waste"]
shown += ["cheap", "easy", "hot", "long", "small", "unpredictable", "books_good0", "books_bad0"]
names = model[:-1].get_feature_names_out()[1:].tolist()
fit, columns = model[-1].best_estimator_, [names.index(word) for word in shown]
coefficients = np.vstack([fit.shared_coef_, fit.coef_])[:, columns].T
columns = [words.index(word) for word in shown]
signs = (np.sign(effects) * (shares > 0))[:, columns].T

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
for name, own in scores.items():
    error = own.std(axis=0, ddof=1) / np.sqrt(DRAWS)
    left.errorbar(SIZES, own.mean(axis=0), error, marker="o", label=name, capsize=3)
left.axhline(best, color="0.5", ls="--", label="best possible")
left.set(xscale="log", xlabel="labels in each domain", ylabel="test accuracy")
left.set_xticks(SIZES, SIZES)
left.minorticks_off()
left.legend(loc="lower right")
limit = np.abs(coefficients).max()
image = right.imshow(coefficients, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
for (i, j), sign in np.ndenumerate(signs):
    right.text(j + 1, i, {-1: "−", 0: "", 1: "+"}[sign], ha="center", va="center")
right.axvline(0.5, color="black", lw=1)
right.set_xticks(range(T + 1), ["center", *DOMAINS], rotation=45, ha="right")
right.set_yticks(range(len(shown)), shown)
right.set_title("mean-regularized model; signs of the true effects")
figure.colorbar(image, ax=right, label="coefficient")

path = Path("plot_text_domains.png")
figure.savefig(path, dpi=110)
print(f"\nFigure written to {path}")
