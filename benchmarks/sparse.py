"""Sparse X: seconds, ratios and memory, in one run.

Run it on an idle machine: ``python -m benchmarks.sparse``. Text-like data: 20,000 rows in 20 tasks,
50,000 features with frequencies as of words, 100 entries a row, weighted and scaled as tf-idf. Our
fits stop at the first tolerance of a grid at which the relative gap of the objective is that of the
loop of scikit-learn or less.
"""

import tracemalloc

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import normalize

from benchmarks.timing import interleaved, table
from skmtl import (
    ADMMClassifier,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
    alpha_max,
)

ROWS, FEATURES, ENTRIES, TASKS = 20_000, 50_000, 100, 20
TOLERANCES = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)
GOAL = 1e-4  # relative gap of the norm
LOOP, SEPARATE, MEAN = "loop over tasks", "SharedL2", "MeanRegularized"


def make(seed=0):
    """Return X (CSR), tasks (n,), scores (n,) and classes (n,)."""
    rng = np.random.default_rng(seed)
    frequency = 1.0 / np.arange(1, FEATURES + 1) ** 0.8
    words = rng.choice(FEATURES, size=(ROWS, ENTRIES), p=frequency / frequency.sum())
    counts = sparse.coo_array(
        (np.ones(words.size), (np.repeat(np.arange(ROWS), ENTRIES), words.ravel())),
        shape=(ROWS, FEATURES),
    ).tocsr()
    counts.sum_duplicates()
    documents = np.bincount(counts.indices, minlength=FEATURES)
    counts.data *= (1.0 + np.log(ROWS / (1.0 + documents)))[counts.indices]
    X = normalize(counts)
    tasks = rng.integers(0, TASKS, ROWS)
    w, V = 3.0 * rng.standard_normal(FEATURES), 2.0 * rng.standard_normal((TASKS, FEATURES))
    scores = X @ w
    for t in range(TASKS):
        scores[tasks == t] += X[tasks == t] @ V[t]
    return X, tasks, scores, (scores + rng.logistic(size=ROWS) > 0).astype(int)


def objective(X, y, tasks, models, loss):
    """Return the sum of the losses of models, one a task, and of their penalties for alpha = 1."""
    value = 0.0
    for t, model in enumerate(models):
        w, own = model.coef_.ravel(), tasks == t
        value += loss(y[own], X[own] @ w + model.intercept_).sum() + 0.5 * w @ w
    return value


def squared(y, z):
    return 0.5 * (y - z) ** 2


def logistic(y, z):
    return np.logaddexp(0.0, (1 - 2 * y) * z)


def with_gap(model, long, y, gap):
    """Return the model with the largest tolerance at which its relative gap is at most ``gap``."""
    best = model.set_params(tol=1e-9, max_iter=20_000).fit(long, y).objective_
    for tol in TOLERANCES:
        if model.set_params(tol=tol).fit(long, y).objective_ <= (1 + gap) * best:
            break
    print(f"{type(model).__name__}: tol={tol:.0e}, {model.n_iter_} iterations")
    return model


def peak(model, long, y):
    """Print the memory that a fit takes, against the bound that the documentation gives."""
    tracemalloc.start()
    model.fit(long, y)
    numbers = tracemalloc.get_traced_memory()[1] / 8
    tracemalloc.stop()
    bound = 2 * long.nnz + 4 * (TASKS + 1) * FEATURES
    print(f"{type(model).__name__}: {numbers / 1e6:.1f} million numbers, bound {bound / 1e6:.1f}")


def compare(title, X, tasks, y, one, loss, models):
    """Time models against the loop of one scikit-learn model, at its gap."""
    long = sparse.hstack([tasks[:, None].astype(float), X], format="csr")

    def loop():
        return [one().fit(X[tasks == t], y[tasks == t]) for t in range(TASKS)]

    separate = models[0]
    best = separate.set_params(tol=1e-10, max_iter=20_000).fit(long, y).objective_
    gap = objective(X, y, tasks, loop(), loss) / best - 1
    print(f"\n{title}: relative gap of the {LOOP} {gap:.1e}")
    fitted = {type(model).__name__: with_gap(model, long, y, gap) for model in models}

    w, n_iter = np.ones(FEATURES), separate.n_iter_

    def floor():
        for _ in range(n_iter):
            X.T @ (X @ w)

    candidates = {LOOP: loop, f"bound: {n_iter} pairs of products": floor}
    candidates |= {name: lambda model=model: model.fit(long, y) for name, model in fitted.items()}
    table(title, interleaved(candidates, 5), LOOP)
    for model in models:
        peak(model, long, y)
    return long, models[1]


def main():
    X, tasks, scores, classes = make()
    penalties = {"alpha": 1.0, "alpha_shared": 1.0, "task_column": 0}
    ridges = [SharedL2Regressor(task_column=0), MeanRegularizedRegressor(**penalties)]
    compare(
        "squared loss, Ridge(solver='sparse_cg')",
        X,
        tasks,
        scores,
        lambda: Ridge(alpha=1.0, solver="sparse_cg"),
        squared,
        ridges,
    )
    classifiers = [SharedL2Classifier(task_column=0), MeanRegularizedClassifier(**penalties)]
    long, mean = compare(
        "logistic loss, LogisticRegression",
        X,
        tasks,
        classes,
        LogisticRegression,
        logistic,
        classifiers,
    )
    top = alpha_max(ADMMClassifier("l21", task_column=0), long, classes)
    candidates = {MEAN: lambda: mean.fit(long, classes)}
    for share in (0.3, 0.1):
        model = ADMMClassifier("l21", share * top, task_column=0)
        with_gap(model, long, classes, GOAL)
        used = int(model.structure_.selected_features.sum())
        name = f"l21, {share} alpha_max, {used} features"
        candidates[name] = lambda model=model: model.fit(long, classes)
    table(f"norms, relative gap {GOAL:.0e}", interleaved(candidates, 3), MEAN)
    print("\nmemory with the default alpha_shared, where the bound does not hold")
    peak(MeanRegularizedRegressor(task_column=0, tol=1e-3), long, scores)
    peak(MeanRegularizedClassifier(task_column=0, tol=1e-3), long, classes)


if __name__ == "__main__":
    main()
