"""Seconds of tuning alpha: searches, leave-one-out and restricted likelihood, in one run.

Run it on an idle machine: ``python -m benchmarks.tuning``. Without the School data
(``SKMTL_DATA``, see ``fetch_school``) synthetic data of the same size are used.
Searches start from raw X and y and include the final fit on all rows.
"""

import time
import warnings

import numpy as np
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV

from benchmarks.adapters._augment import augmented
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
    both = MeanRegularizedRegressor("auto", alpha_intercept="auto", task_column=0)
    two = 'alpha="auto", alpha_intercept="auto"'
    seconds = interleaved(
        {
            FIT: lambda: model.fit(X, y),
            ALONE: lambda: RegularizationPathCV(model, ALPHAS).fit(X, y),
            AUTO: lambda: auto.fit(X, y),
            two: lambda: both.fit(X, y),
        },
        9,
    )
    note = f"auto: alpha {auto.alpha_:.3g}; both: {both.alpha_:.3g} and {both.alpha_intercept_:.3g}"
    table("School, without folds", seconds, FIT, note)
    for what, name, most in (("leave-one-out of 50 alphas", ALONE, 15), (AUTO, AUTO, 20)):
        ratio = seconds[name] / seconds[FIT]
        goal(f"{what} in at most {most} single fits", ratio <= most, f"{ratio:.1f}")


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
    for bench in (bench_school, bench_alone, bench_logistic, bench_structured):
        bench(data)
    print(f"\n{time.perf_counter() - began:.0f} s in all")
