"""Non-smooth penalties: seconds to a relative objective gap of 1e-6, in one run.

Run it on an idle machine: ``python -m benchmarks.structured``. Without the School data
(``SKMTL_DATA``, see ``fetch_school``) synthetic data of the same size are used.

Every method is timed at the loosest of its settings (a tolerance, or a number of steps) within the
gap. Objectives are computed by ``objective.py``, not by the solvers. The reference is our fit at a
tolerance of 1e-10; lower objectives are reported. All fits start from raw X and y.
"""

import time
from itertools import islice

import numpy as np
from sklearn.linear_model import MultiTaskLasso

from benchmarks.objective import structured, structured_logistic, wide_l21
from benchmarks.problems import school, synthetic, wide_sparse
from benchmarks.timing import interleaved, table
from benchmarks.yardsticks import proximal_gradient
from skmtl import (
    ADMMClassifier,
    ADMMRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    alpha_max,
)
from skmtl.penalties import PENALTIES

try:
    from skglm import MultiTaskLasso as SkglmLasso
except ImportError as error:
    SkglmLasso, WHY_NOT = None, error

GAP = 1e-6
TIGHT = 1e-10
TOLS = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8]
STEPS = [int(steps) for steps in np.geomspace(10, 10_000, 25)]
PATIENCE = 12.0  # seconds after which no tighter setting is tried
BUDGET = 1.5  # seconds for the repeats of a candidate
OURS, PROXIMAL = "ADMMRegressor", "proximal gradient"


def loosest(fit, settings, objective, reference):
    """Return the first setting within the gap, its relative gap and its seconds, or None."""
    began = time.perf_counter()
    for setting in settings:
        start = time.perf_counter()
        found = fit(setting)
        seconds = time.perf_counter() - start
        gap = objective(*found) / reference - 1
        if gap < -1e-9:
            print(f"  (setting {setting:g} is below our reference by {-gap:.1e})")
        if gap <= GAP:
            return setting, gap, seconds
        if time.perf_counter() - began > PATIENCE:
            break
    print(f"  (stopped at setting {setting:g} with a gap of {gap:.1e})")
    return None


def time_to_gap(title, ways, objective, ours=OURS, yardsticks=None):
    """Print and return the seconds of each method to the gap.

    ``ways`` maps names to (fit, settings), where fit returns coefficients and intercepts at a
    setting; ``yardsticks`` maps names to callables that are timed without settings.
    """
    reference = objective(*ways[ours][0](TIGHT))
    candidates, repeats, details = dict(yardsticks or {}), {}, []
    for name, run in candidates.items():
        run()
        start = time.perf_counter()
        run()
        repeats[name] = often(time.perf_counter() - start)
    for name, (fit, settings) in ways.items():
        reached = loosest(fit, settings, objective, reference)
        if reached is None:
            details.append(f"{name}: gap not reached")
            continue
        setting, gap, seconds = reached
        kind = "steps" if setting >= 1 else "tol"
        details.append(f"{name}: {kind} {setting:g}, gap {gap:.0e}")
        candidates[name] = lambda fit=fit, setting=setting: fit(setting)
        repeats[name] = often(seconds)
    times = interleaved(candidates, repeats)
    table(title, times, ours if ours in times else next(iter(times)), "; ".join(details))
    return times


def often(seconds):
    """Return the odd number of repeats of a candidate that takes so many seconds."""
    return 2 * int(min(max(BUDGET / seconds, 1), 21) / 2) + 1


def goal(what, met, got):
    """Print whether a goal was met."""
    print(f"  goal {'MET' if met else 'MISSED'}: {what} (got {got})")


def standardized():
    """Return the School data with features of unit variance: norms depend on the units."""
    problem = school()
    X = problem.X - problem.X.mean(axis=0)
    tasks = np.unique(problem.tasks, return_inverse=True)[1]
    return problem._replace(X=X / X.std(axis=0), tasks=tasks)


def our_fit(model, X, y):
    """Return a fit of our model as a function of its tolerance."""

    def fit(tol):
        model.set_params(tol=tol).fit(X, y)
        return model.coef_, model.intercept_

    return fit


def proximal_fit(problem, norm, alpha):
    """Return a proximal gradient fit as a function of the number of steps."""

    def fit(steps):
        points = proximal_gradient(problem.X, problem.tasks, problem.y, PENALTIES[norm](), alpha)
        return next(islice(points, steps - 1, None))

    return fit


def bench_school():
    """Time four norms, at a tenth and a hundredth of alpha_max."""
    problem = standardized()
    X, tasks, y, long = problem.X, problem.tasks, problem.y, problem.long
    mean = MeanRegularizedRegressor(100.0, task_column=0)
    yardstick = "MeanRegularizedRegressor (another model)"
    size = f"n={len(y):,} d={X.shape[1]} T={tasks.max() + 1}"
    for norm in ("l21", "trace_norm", "l1", "robust_mean"):
        model = ADMMRegressor(norm, task_column=0)
        largest = alpha_max(model, long, y)
        for share in (0.1, 0.01):
            alpha = share * largest
            ways = {
                OURS: (our_fit(model.set_params(alpha=alpha), long, y), TOLS),
                PROXIMAL: (proximal_fit(problem, norm, alpha), STEPS),
            }
            seconds = time_to_gap(
                f"{problem.name}, {norm} at {share:.0%} of alpha_max: {size}",
                ways,
                lambda W, b: structured(X, tasks, y, W, b, norm, alpha),  # noqa: B023
                yardsticks={yardstick: lambda: mean.fit(long, y)},
            )
            ratio = seconds.get(OURS, np.inf) / seconds[yardstick]
            if norm == "l21":
                goal("L21 at most 10 x the mean-regularized fit", ratio <= 10, f"{ratio:.1f} x")
            else:
                print(f"  ours over the mean-regularized fit: {ratio:.1f}")


def bench_school_as_it_is():
    """Time L21 on unscaled features, with variances from 0.005 to 230."""
    problem = school()
    tasks = np.unique(problem.tasks, return_inverse=True)[1]
    X, y, long = problem.X, problem.y, problem.long
    model = ADMMRegressor("l21", task_column=0)
    alpha = 0.1 * alpha_max(model, long, y)
    problem = problem._replace(tasks=tasks)
    ways = {
        OURS: (our_fit(model.set_params(alpha=alpha), long, y), TOLS),
        PROXIMAL: (proximal_fit(problem, "l21", alpha), STEPS),
    }
    time_to_gap(
        f"{problem.name}, l21 at 10% of alpha_max, features as they are",
        ways,
        lambda W, b: structured(X, tasks, y, W, b, "l21", alpha),
    )


def bench_gaps():
    """Print gap and seconds along the tolerances and numbers of steps."""
    problem = standardized()
    X, tasks, y, long = problem.X, problem.tasks, problem.y, problem.long
    model = ADMMRegressor("l21", task_column=0)
    alpha = 0.1 * alpha_max(model, long, y)
    ours = our_fit(model.set_params(alpha=alpha), long, y)
    reference = structured(X, tasks, y, *ours(TIGHT), "l21", alpha)
    proximal = proximal_fit(problem, "l21", alpha)
    settings = [(OURS, ours, tol) for tol in (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8)]
    settings += [(PROXIMAL, proximal, steps) for steps in (10, 30, 100, 300, 1000)]
    candidates = {
        (name, setting): lambda fit=fit, setting=setting: fit(setting)
        for name, fit, setting in settings
    }
    seconds = interleaved(candidates, 5)
    print(f"\n{problem.name}, l21 at 10% of alpha_max: relative gap against time")
    for name, fit, setting in settings:
        gap = structured(X, tasks, y, *fit(setting), "l21", alpha) / reference - 1
        kind = "steps" if setting >= 1 else "tol"
        time_ms = 1e3 * seconds[name, setting]
        print(f"  {name:20s}{kind:>6s} {setting:<8g}{time_ms:10.1f} ms{gap:12.1e}")


def bench_logistic():
    """Time L21 with the logistic loss: is a student above the median?"""
    problem = standardized()
    X, tasks, long = problem.X, problem.tasks, problem.long
    y = problem.y > np.median(problem.y)
    ours, mean = "ADMMClassifier", MeanRegularizedClassifier(10.0, task_column=0)
    model = ADMMClassifier("l21", task_column=0)
    largest = alpha_max(model, long, y)
    for share in (0.1, 0.01):
        alpha = share * largest
        time_to_gap(
            f"{problem.name}, y above its median, l21 at {share:.0%} of alpha_max",
            {ours: (our_fit(model.set_params(alpha=alpha), long, y), TOLS)},
            lambda W, b: structured_logistic(X, tasks, y, W, b, "l21", alpha),  # noqa: B023
            ours,
            {"MeanRegularizedClassifier (another model)": lambda: mean.fit(long, y)},
        )


def lasso_fit(lasso, alpha, X, Y):
    """Return a fit of a MultiTaskLasso of another package as a function of its tolerance."""

    def fit(tol):
        model = lasso(alpha / len(X), tol=tol, max_iter=100_000).fit(X, Y)
        return model.coef_, model.intercept_

    return fit


def bench_wide():
    """Time L21 on one X, and the coordinate descent of other libraries."""
    theirs = "scikit-learn's MultiTaskLasso"
    lassos = {theirs: MultiTaskLasso}
    if SkglmLasso is None:
        print(f"\nskglm is left out: {WHY_NOT}")
    else:
        lassos["skglm's MultiTaskLasso"] = SkglmLasso
        SkglmLasso(0.1).fit(*wide_sparse(50, 20, 5))  # compiles
    for shape, most in (((1000, 200, 100), 1), ((5000, 500, 20), 1), ((500, 2000, 50), 2)):
        X, Y = wide_sparse(*shape)
        model = ADMMRegressor("l21", alpha_intercept=0.0)
        largest = alpha_max(model, X, Y)
        for share in (0.05, 0.1):
            alpha = share * largest
            ways = {OURS: (our_fit(model.set_params(alpha=alpha), X, Y), TOLS)}
            ways |= {name: (lasso_fit(L, alpha, X, Y), TOLS) for name, L in lassos.items()}
            seconds = time_to_gap(
                f"wide form, l21 at {share:.0%} of alpha_max: (n, d, T) = {shape}",
                ways,
                lambda W, b: wide_l21(X, Y, W, b, alpha),  # noqa: B023
            )
            selected = model.structure_.selected_features.sum()
            print(f"  {selected} features selected, {shape[1] // 10} matter")
            ratio = seconds.get(OURS, np.inf) / seconds.get(theirs, np.inf)
            goal(f"at most {most} x scikit-learn", ratio <= most, f"{ratio:.2f} x")


def bench_growth():
    """Time per task and per feature for growing numbers of them, at tol=1e-4."""
    print("\ngrowth, l21 at 10% of alpha_max, tol=1e-4")
    sizes = [("task", 30 * T, 10, T) for T in (30, 300, 3_000)]
    sizes += [("feature", 5_000, d, 50) for d in (10, 40, 160)]
    for unit, n, d, n_tasks in sizes:
        problem = synthetic(n, d, n_tasks)
        long, y = problem.long, problem.y
        model = ADMMRegressor("l21", task_column=0, tol=1e-4)
        model.set_params(alpha=0.1 * alpha_max(model, long, y))
        time_ms = 1e3 * interleaved({"": lambda: model.fit(long, y)}, 5)[""]  # noqa: B023
        each = time_ms / (n_tasks if unit == "task" else d)
        print(
            f"  {problem.name:36s}{time_ms:10.1f} ms{1e3 * each:10.1f} us/{unit:8s}"
            f"{model.n_iter_:6d} iterations"
        )


if __name__ == "__main__":
    start = time.perf_counter()
    bench_school()
    bench_school_as_it_is()
    bench_gaps()
    bench_logistic()
    bench_wide()
    bench_growth()
    print(f"\n{time.perf_counter() - start:.0f} s in all")
