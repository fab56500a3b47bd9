"""Seconds of tuning alpha: searches, leave-one-out and estimated variances, in one run.

Run it on an idle machine: ``python -m benchmarks.tuning``. Without the School data
(``SKMTL_DATA``, see ``fetch_school``) synthetic data of the same size are used.
Searches start from raw X and y and include the final fit on all rows.
"""

import time
import warnings
from functools import partial

import mixedlm_rs
import numpy as np
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV
from statsmodels.regression.mixed_linear_model import MixedLM

from benchmarks.adapters._augment import augmented
from benchmarks.linear import nested_rows
from benchmarks.problems import school
from benchmarks.timing import interleaved, table
from skmtl import (
    ADMMRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    alpha_max,
)
from skmtl.model_selection import RegularizationPathCV, TaskKFold

ALPHAS = np.geomspace(1, 1e4, 50)
MIXED = (20_000, 1_000, 1), (100_000, 20_000, 1), (500_264, 125_066, 1), (1_000_000, 100_000, 3)
PEER = "mixedlm-rs"
FOLDS = TaskKFold(5, task_column=0)
SEARCH, ALONE, AUTO, FIT = "RegularizationPathCV", "leave-one-out", 'alpha="auto"', "a single fit"


def goal(what, met, got):
    print(f"  goal {'met' if met else 'MISSED'}: {what} (got {got})")


def agreement(ours, theirs):
    """Return the largest difference of the scores, and whether the choice is the same."""
    columns = [name for name in theirs.cv_results_ if name.endswith("test_score")]
    columns.remove("rank_test_score")
    worst = max(np.abs(ours.cv_results_[c] - theirs.cv_results_[c]).max() for c in columns)
    same = ours.best_params_ == theirs.best_params_
    return f"scores differ by at most {worst:.0e}, {'the same' if same else 'ANOTHER'} choice"


def augmented_search(problem):
    """Search with a Ridge on augmented features, without intercepts; alpha_shared is fixed."""
    alphas, codes = ALPHAS[::10], np.unique(problem.tasks, return_inverse=True)[1]
    cv = list(FOLDS.split(problem.long))
    for alpha in alphas:  # the features depend on alpha / alpha_shared
        Z = augmented(problem.X, codes, len(problem.groups()), alpha, 1.0)
        model = Ridge(alpha, fit_intercept=False, solver="sparse_cg", tol=1e-6)
        GridSearchCV(model, {"alpha": [alpha]}, cv=cv).fit(Z, problem.y)
    return len(alphas)


def bench_school(problem):
    X, y = problem.long, problem.y
    model = MeanRegularizedRegressor(task_column=0)
    ours = RegularizationPathCV(model, ALPHAS, cv=FOLDS)
    theirs = GridSearchCV(model, {"alpha": ALPHAS}, cv=FOLDS)
    groups = problem.groups()
    seconds = interleaved(
        {
            SEARCH: lambda: ours.fit(X, y),
            "GridSearchCV of the same estimator": lambda: theirs.fit(X, y),
            "RidgeCV loop over tasks, 5 folds": lambda: [
                RidgeCV(ALPHAS, cv=5).fit(problem.X[rows], y[rows]) for rows in groups
            ],
            "RidgeCV loop over tasks, leave-one-out": lambda: [
                RidgeCV(ALPHAS).fit(problem.X[rows], y[rows]) for rows in groups
            ],
        },
        {
            SEARCH: 7,
            "GridSearchCV of the same estimator": 3,
            "RidgeCV loop over tasks, 5 folds": 1,
            "RidgeCV loop over tasks, leave-one-out": 3,
        },
    )
    start = time.perf_counter()
    done = augmented_search(problem)
    share = (time.perf_counter() - start) / done * len(ALPHAS)
    seconds[f"GridSearchCV of the augmented Ridge ({done} of 50 timed)"] = share
    table("School, 50 alphas x 5 folds", seconds, SEARCH, agreement(ours, theirs))
    ratio = seconds["GridSearchCV of the same estimator"] / seconds[SEARCH]
    goal("20 x faster than GridSearchCV", ratio >= 20, f"{ratio:.1f} x")


def bench_alone(problem):
    X, y = problem.long, problem.y
    model = MeanRegularizedRegressor(100, task_column=0)
    auto = MeanRegularizedRegressor("auto", task_column=0)
    one = MeanRegularizedRegressor("auto", covariance_type="spherical", task_column=0)
    seconds = interleaved(
        {
            FIT: lambda: model.fit(X, y),
            ALONE: lambda: RegularizationPathCV(model, ALPHAS).fit(X, y),
            AUTO: lambda: auto.fit(X, y),
            f"{AUTO}, one variance": lambda: one.fit(X, y),
        },
        9,
    )
    table("School, without folds", seconds, FIT, f"alpha {one.alpha_:.3g}, or by feature")
    ratio = seconds[ALONE] / seconds[FIT]
    goal("leave-one-out of 50 alphas in at most 15 single fits", ratio <= 15, f"{ratio:.1f}")


def random_slopes(n, n_tasks, d):
    """Return X with task labels, y, and y above its median: tasks of about n / n_tasks rows."""
    rng = np.random.default_rng(0)
    codes = np.sort(np.append(np.arange(n_tasks), rng.integers(0, n_tasks, n - n_tasks)))
    X, W = rng.normal(size=(n, d)), 1 + 0.5 * rng.normal(size=(n_tasks, d))
    y = np.einsum("ij,ij->i", X, W[codes]) + rng.normal(size=n_tasks)[codes]
    y += rng.normal(size=n)
    return np.column_stack([codes, X]), y, (y > np.median(y)).astype(int)


def bench_mixed_models(_):
    """REML of correlated intercepts and slopes, by mixedlm-rs and statsmodels."""
    for n, n_tasks, d in MIXED:
        X, y, _ = random_slopes(n, n_tasks, d)
        codes, Z = X[:, 0].astype(int), np.column_stack([np.ones(n), X[:, 1:]])
        reml = {"alpha_shared": 0.0, "covariance_prior": 0.0, "task_column": 0}
        models = {
            kind: MeanRegularizedRegressor("auto", covariance_type=kind, **reml)
            for kind in ("full", "diag", "spherical")
        }
        results = {}

        def peer(y=y, Z=Z, codes=codes, results=results):
            results[PEER] = mixedlm_rs.MixedLM(y, Z, codes, exog_re=Z).fit(reml=True).llf

        runs = {kind: partial(model.fit, X, y) for kind, model in models.items()} | {PEER: peer}
        if n <= 20_000:
            runs["statsmodels MixedLM"] = MixedLM(y, Z, codes, exog_re=Z).fit
        seconds = interleaved(runs, 1 if n == 1_000_000 else 3)
        gap = models["full"].restricted_log_likelihood_ - results[PEER]
        title = f"(1 + x | g): {n:,} rows, {n_tasks:,} tasks, {d} features"
        table(title, seconds, "full", f"log-likelihood of full minus that of {PEER}: {gap:.0e}")
        for kind in models:
            ratio = seconds[kind] / seconds[PEER]
            goal(f"{kind}: as fast as {PEER}", ratio <= 1, f"{ratio:.2f} of its time")
        if "statsmodels MixedLM" in seconds:
            ratio = seconds["statsmodels MixedLM"] / seconds["full"]
            goal("20 x faster than statsmodels", ratio >= 20, f"{ratio:.0f} x")


def bench_variances(_):
    X, y, _ = random_slopes(1_000_000, 10_000, 30)
    model = MeanRegularizedRegressor(4.0, task_column=0)
    autos = {
        kind: MeanRegularizedRegressor("auto", covariance_type=kind, task_column=0)
        for kind in ("spherical", "diag", "full")
    }
    runs = {FIT: lambda: model.fit(X, y)}
    seconds = interleaved(runs | {k: partial(m.fit, X, y) for k, m in autos.items()}, 1)
    table("auto: 1,000,000 rows, 10,000 tasks, 30 features", seconds, FIT)
    for kind, most in (("spherical", 8), ("diag", 20), ("full", 40)):
        ratio = seconds[kind] / seconds[FIT]
        goal(f"{kind} in at most {most} single fits", ratio <= most, f"{ratio:.1f}")
    X, _, y = random_slopes(100_000, 5_000, 5)
    model, auto = (MeanRegularizedClassifier(a, task_column=0) for a in (4.0, "auto"))
    seconds = interleaved({FIT: lambda: model.fit(X, y), AUTO: lambda: auto.fit(X, y)}, 1)
    table("classes: 100,000 rows, 5,000 tasks, 5 features", seconds, FIT)
    ratio = seconds[AUTO] / seconds[FIT]
    goal("classifier's auto in at most 10 single fits", ratio <= 10, f"{ratio:.1f}")


def bench_logistic(problem):
    X, y = problem.long, (problem.y > np.median(problem.y)).astype(int)
    alphas = np.geomspace(0.1, 1e3, 30)
    model = MeanRegularizedClassifier(task_column=0)
    ours = RegularizationPathCV(model, alphas, cv=FOLDS)
    theirs = GridSearchCV(model, {"alpha": alphas}, cv=FOLDS)
    name = "GridSearchCV of the same estimator"
    runs = {SEARCH: lambda: ours.fit(X, y), name: lambda: theirs.fit(X, y)}
    seconds = interleaved(runs, 3)
    title = "School, y above its median, 30 alphas x 5 folds"
    table(title, seconds, SEARCH, agreement(ours, theirs))
    ratio = seconds[name] / seconds[SEARCH]
    goal("3 x faster than GridSearchCV", ratio >= 3, f"{ratio:.1f} x")


def bench_nested(problem):
    """A search over the weights of two columns; ``problem`` is not used."""
    X, y = nested_rows(200_000, 8, 40, 2_000)
    model = MeanRegularizedRegressor(task_column=[0, 1])
    grid = np.geomspace(0.1, 1e3, 5)
    alphas = [{0: outer, 1: inner} for outer in grid for inner in grid]
    folds = TaskKFold(5, task_column=[0, 1])
    ours = RegularizationPathCV(model, alphas, cv=folds)
    theirs = GridSearchCV(model, {"alpha": alphas}, cv=folds)
    name = "GridSearchCV of the same estimator"
    runs = {SEARCH: lambda: ours.fit(X, y), name: lambda: theirs.fit(X, y)}
    title = "200,000 rows of 2,000 stores in 40 regions, 8 features, 25 pairs of weights x 5 folds"
    seconds = interleaved(runs, 3)
    table(title, seconds, SEARCH, agreement(ours, theirs))


def bench_structured(problem):
    X, y = problem.long, problem.y
    model = ADMMRegressor("l21", task_column=0, tol=1e-4)
    alphas = alpha_max(model, X, y) * np.geomspace(1, 1e-2, 10)
    ours = RegularizationPathCV(model, alphas, cv=FOLDS)
    theirs = GridSearchCV(model, {"alpha": alphas}, cv=FOLDS)
    name = "GridSearchCV of the same estimator"
    seconds = interleaved({SEARCH: lambda: ours.fit(X, y), name: lambda: theirs.fit(X, y)}, 1)
    table("School, l21, 10 alphas x 5 folds", seconds, SEARCH, agreement(ours, theirs))


if __name__ == "__main__":
    began = time.perf_counter()
    warnings.simplefilter("ignore")
    data = school()
    benches = bench_school, bench_alone, bench_mixed_models, bench_variances, bench_logistic
    benches += bench_nested, bench_structured
    for bench in benches:
        bench(data)
    print(f"\n{time.perf_counter() - began:.0f} s in all")
