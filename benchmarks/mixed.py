"""Tasks of different kinds: log-loss of a class beside a lasso of it alone, and seconds of a fit.

Run it: ``python -m benchmarks.mixed [n_seeds]``. Twenty seeds take some minutes.

Log-loss: five tasks on 100 rows of 40 features, four numbers with noise 1 and a class; each task
uses 4 features, all the same ones, or each its own at random. The lasso is ``LogisticRegressionCV``
with an l1 penalty. Ours chooses alpha, in the last line the penalty, too, by the log-loss of the
class in the same five folds. Printed are means over seeds, on 5000 new rows, and standard errors of
the differences from the lasso.

Seconds: ten tasks of three kinds beside cvxpy and a loop of scikit-learn's models, with the
relative differences of their objectives, computed here, from ours.
"""

import sys
import time
import warnings

import numpy as np
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, PoissonRegressor, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, KFold

from benchmarks.structured import goal
from benchmarks.timing import interleaved, table
from skmtl import MixedOutcomeModel, alpha_max
from skmtl.penalties import L1, L21, Decomposed

try:
    import cvxpy
except ImportError as error:
    cvxpy, WHY_NOT = None, error

N, D, USED, N_TASKS, TEST = 100, 40, 4, 5, 5000
FOLDS = KFold(5)
FIRST_SEED = 100
PENALTIES = {"L21": "l21", "L1": "l1", "L21 and L1 decomposed": Decomposed(L21(), L1(0.7))}
OURS = "MixedOutcomeModel"
SHARES = np.geomspace(1.0, 0.01, 10)  # of alpha_max


def family(seed, *, shared):
    """Return X (n, 40) and y (n, 5), the class in column 0."""
    rng = np.random.default_rng(seed)
    W = np.zeros((N_TASKS, D))
    for row in W:
        used = np.arange(USED) if shared else rng.permutation(D)[:USED]
        row[used] = rng.choice([-1.0, 1.0], USED) * rng.uniform(0.5, 1.5, USED)
    X = rng.standard_normal((N + TEST, D))
    y = (X @ W.T).astype(object)
    y[:, 1:] += rng.standard_normal((len(X), N_TASKS - 1))
    y[:, 0] = y[:, 0] + rng.logistic(size=len(X)) > 0
    return X, y


def class_score(model, X, y):
    """Return minus the log-loss of the class."""
    return -log_loss(y[:, 0].astype(bool), model.predict_proba(X)[0][:, 1])


def losses(seed, *, shared):
    """Return the log-losses of the lasso, of each penalty, and of the best one in the folds."""
    X, y = family(seed, shared=shared)
    train, test = slice(N), slice(N, None)
    known = y[:, 0].astype(bool)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the name of the penalty, in new versions
        lasso = LogisticRegressionCV(
            Cs=20, cv=FOLDS, penalty="l1", solver="saga", scoring="neg_log_loss", tol=1e-3
        ).fit(X[train], known[train])
    grid = {"alpha": SHARES * alpha_max(MixedOutcomeModel(), X[train], y[train])}
    chosen, found = [], [log_loss(known[test], lasso.predict_proba(X[test])[:, 1])]
    for penalty in PENALTIES.values():
        model = MixedOutcomeModel(penalty, tol=1e-3)
        search = GridSearchCV(model, grid, cv=FOLDS, scoring=class_score)
        chosen.append(search.fit(X[train], y[train]).best_score_)
        found.append(-class_score(search, X[test], y[test]))
    return [*found, found[1 + np.argmax(chosen)]]


def bench_accuracy(n_seeds):
    """Print the log-losses of related and unrelated tasks."""
    names = ["LogisticRegressionCV, l1", *PENALTIES, "best of these in the folds"]
    print(f"log-loss of the class, {N} rows, {D} features, {n_seeds} seeds")
    for shared, most in ((True, -0.02), (False, 0.005)):
        seeds = range(FIRST_SEED, FIRST_SEED + n_seeds)
        found = np.array([losses(seed, shared=shared) for seed in seeds])
        change = found - found[:, :1]
        mean, by = found.mean(axis=0), change.mean(axis=0)
        error = change.std(axis=0, ddof=1) / np.sqrt(n_seeds)
        print("shared features" if shared else "features of its own for each task")
        for k, name in enumerate(names):
            print(f"  {name:28s}{mean[k]:8.4f}{by[k]:+9.4f} +- {error[k]:.4f}", flush=True)
        goal(f"change of the log-loss at most {most}", by[-1] <= most, f"{by[-1]:+.4f}")


def outcomes(n, d):
    """Return X, y of four numbers, four classes and two counts, and their losses."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    Z = X[:, : d // 4] @ rng.standard_normal((d // 4, 10)) / np.sqrt(d // 4)
    y = (Z + rng.standard_normal(Z.shape)).astype(object)
    y[:, 4:8] = Z[:, 4:8] + rng.logistic(size=(n, 4)) > 0
    y[:, 8:] = rng.poisson(np.exp(0.5 * Z[:, 8:])).astype(object)
    return X, y, {8: "poisson", 9: "poisson"}


def objective(X, y, W, b, penalty):
    """Return the losses, without constants, plus a penalty of W."""
    Z, y = X @ W.T + b, y.astype(float)
    total = 0.5 * np.sum((y[:, :4] - Z[:, :4]) ** 2)
    total += np.logaddexp(0.0, (1.0 - 2.0 * y[:, 4:8]) * Z[:, 4:8]).sum()
    return total + np.sum(np.exp(Z[:, 8:]) - y[:, 8:] * Z[:, 8:]) + penalty(W)


def with_cvxpy(X, y, penalty):
    """Return W and b of cvxpy, which solves the same problem."""
    W, b, y = cvxpy.Variable((10, X.shape[1])), cvxpy.Variable((1, 10)), y.astype(float)
    Z = X @ W.T + np.ones((len(X), 1)) @ b
    total = 0.5 * cvxpy.sum_squares(y[:, :4] - Z[:, :4])
    total += cvxpy.sum(cvxpy.logistic(cvxpy.multiply(1.0 - 2.0 * y[:, 4:8], Z[:, 4:8])))
    total += cvxpy.sum(cvxpy.exp(Z[:, 8:]) - cvxpy.multiply(y[:, 8:], Z[:, 8:]))
    cvxpy.Problem(cvxpy.Minimize(total + penalty(W))).solve(solver="CLARABEL")
    return W.value, b.value[0]


def with_loop(X, y, alpha):
    """Return W and b of scikit-learn's ridge models, one for each task."""
    models = [Ridge(alpha)] * 4
    models += [LogisticRegression(C=1.0 / alpha, solver="newton-cholesky", tol=1e-8)] * 4
    models += [PoissonRegressor(alpha=alpha / len(X), solver="newton-cholesky", tol=1e-8)] * 2
    types = [float] * 4 + [bool] * 4 + [float] * 2
    rows = []
    for t, (model, kind) in enumerate(zip(models, types, strict=True)):
        model.fit(X, y[:, t].astype(kind))
        rows.append(np.append(model.coef_, model.intercept_))
    return np.array(rows)[:, :-1], np.array(rows)[:, -1]


def time_penalty(name, alpha, X, y, kinds):
    """Time a penalty, L21 or the ridge that a loop can fit, and compare the objectives."""
    given = MixedOutcomeModel(name, alpha, losses=kinds, task_weight=None, tol=1e-6)
    estimated = MixedOutcomeModel(name, alpha, losses=kinds, tol=1e-6)

    def penalty(W):
        return (
            alpha * np.linalg.norm(W, axis=0).sum() if name == "l21" else alpha / 2 * np.sum(W**2)
        )

    def of_cvxpy(W):
        norm = cvxpy.mixed_norm(W.T, 2, 1) if name == "l21" else cvxpy.sum_squares(W) / 2
        return alpha * norm

    def ours():
        given.fit(X, y)
        return given.coef_, given.intercept_

    others = {}
    if name == "ridge":
        others["a loop of scikit-learn's models"] = lambda: with_loop(X, y, alpha)
    if cvxpy is not None:
        others["cvxpy, CLARABEL"] = lambda: with_cvxpy(X, y, of_cvxpy)
    reference = objective(X, y, *ours(), penalty)
    gaps = {way: objective(X, y, *fit(), penalty) / reference - 1 for way, fit in others.items()}
    ways = {OURS: ours, "... and noise variances": lambda: estimated.fit(X, y), **others}
    seconds = interleaved(ways, {way: 3 if "cvxpy" in way else 9 for way in ways})
    note = "; ".join(f"{way}: {gap:.0e}" for way, gap in gaps.items())
    title = f"{name}, four numbers, four classes, two counts: n={len(X)} d={X.shape[1]}"
    table(title, seconds, OURS, f"objective over ours, -1: {note}")


def bench_seconds():
    """Time L21 and ridges at a tenth of the alpha_max of L21, beside others."""
    if cvxpy is None:
        print(f"\ncvxpy is left out: {WHY_NOT}")
    for n, d in ((200, 10), (2000, 40)):
        X, y, kinds = outcomes(n, d)
        model = MixedOutcomeModel(losses=kinds, task_weight=None)
        alpha = 0.1 * alpha_max(model, X, y)
        for name in ("l21", "ridge"):
            time_penalty(name, alpha, X, y, kinds)


if __name__ == "__main__":
    start = time.perf_counter()
    bench_seconds()
    print()
    bench_accuracy(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
    print(f"\n{time.perf_counter() - start:.0f} s in all")
