"""
Reviews of several domains: fewer labels with a shared model
============================================================

Classify reviews of books, cars, films and more as positive or negative, with few labels in each
domain. Some words mean the same in all domains ("excellent"), the meaning of others depends on the
domain ("cheap" food is good, "cheap" shoes are not), and some occur in one domain only. One model
of all reviews learns the first kind of words. One model for each domain learns all three, but from
few labels. Partial pooling has coefficients common to all domains, and deviations of each domain
from them.

``make_task_pipeline`` gives the text to ``TfidfVectorizer``, and the domain as the label of the
task to the model. Features stay sparse. The reviews are generated, so that the accuracy of the best
possible classifier is known.
"""

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
SIZES, DRAWS = [10, 20, 50, 100, 200], 2
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


X, y, _ = write_reviews(np.random.default_rng(3), 2)
print(
    X.assign(text=X["text"].str[:60], positive=y).sample(4, random_state=0).to_string(index=False)
)

# %%
# Three models, each with a search over its penalty weights by three folds of the training reviews.


def search(model, **grid):
    """Return a pipeline with a search over the penalty weights of a model."""
    model.set_params(task_column="domain")
    cv = TaskKFold(3, task_column="domain", stratify=True)
    path = RegularizationPathCV(model, [0.1, 1.0], param_grid=grid, cv=cv, scoring="accuracy")
    return make_task_pipeline(TfidfVectorizer(sublinear_tf=True), path)


models = {
    "one model for all": search(PooledClassifier()),
    "one for each domain": search(SharedL2Classifier()),
    "partial pooling": search(MeanRegularizedClassifier(), alpha_shared=[0.1, 0.3, 1.0]),
}

# %%
# Accuracy on other reviews, with 10 to 200 labels in each domain. The best possible classifier
# knows the frequency of each word in positive and negative reviews of a domain.

X_test, y_test, numbers = write_reviews(np.random.default_rng(1), TESTED)
scores = {name: np.empty((DRAWS, len(SIZES))) for name in models}
for draw in range(DRAWS):
    for k, n in enumerate(SIZES):
        X, y, _ = write_reviews(np.random.default_rng([2, draw, n]), n)
        for name, model in models.items():
            scores[name][draw, k] = model.fit(X, y).score(X_test, y_test)
with np.errstate(divide="ignore", invalid="ignore"):  # words that do not occur in a domain
    evidence = np.log(frequencies[1] / frequencies[0])
domain = np.repeat(np.arange(T), TESTED)
best = np.mean((evidence[domain[:, None], numbers].sum(axis=1) > 0) == y_test)

table = {name: own.mean(axis=0) for name, own in scores.items()}
print(pd.DataFrame(table, index=SIZES).T.round(3).to_string())
print(f"best possible: {best:.3f}")

# %%
# With 10 or 20 labels in each domain partial pooling is as good as one model of all reviews. From
# 50 on it is better than both.

plt.rc("font", size=12)
figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for (name, means), color in zip(table.items(), ["0.5", "tab:orange", "tab:blue"], strict=True):
    ax.plot(SIZES, means, "o-", color=color, label=name, lw=2)
ax.axhline(best, color="0.5", ls=":", label="best possible")
ax.set(xscale="log", xlabel="labels in each domain", ylabel="accuracy on other reviews")
ax.set_title("Partial pooling needs fewer labels")
ax.set_xticks(SIZES, SIZES)
ax.minorticks_off()
ax.legend(frameon=False, loc=(0.02, 0.55))
figure.savefig("plot_text_domains.png", dpi=110)

# %%
# Coefficients of the last model: blue words are positive, red ones negative, and the sign is the
# true one. Words with one meaning have it in all domains. Words whose meaning depends on the domain
# have a common coefficient near zero. A word that occurs in books only is near zero elsewhere.

shown = ["excellent", "perfect", "awful", "refund", "cheap", "hot", "unpredictable", "books_good0"]
fit = models["partial pooling"][-1].best_estimator_
names = models["partial pooling"][:-1].get_feature_names_out()[1:].tolist()
columns = [names.index(word) for word in shown]
coefficients = np.vstack([fit.shared_coef_, fit.coef_])[:, columns].T
columns = [words.index(word) for word in shown]
signs = (np.sign(effects) * (shares > 0))[:, columns].T

figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
ax.imshow(coefficients, cmap="RdBu", vmin=-4, vmax=4, aspect="auto")
for (i, j), sign in np.ndenumerate(signs):
    ax.text(j + 1, i, {-1: "−", 0: "", 1: "+"}[sign], ha="center", va="center")
ax.axvline(0.5, color="black", lw=1)
ax.set_xticks(range(T + 1), ["common", *DOMAINS], rotation=45, ha="right")
ax.set_yticks(range(len(shown)), shown)
ax.set_title("Coefficients and true signs")
figure.savefig("plot_text_domains_words.png", dpi=110)
