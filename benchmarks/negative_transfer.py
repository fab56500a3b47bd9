"""How often ``sharing_report`` flags tasks that lose by sharing, and tasks that do not.

Run it: ``python -m benchmarks.negative_transfer [n_seeds] [first_seed]``. A hundred seeds take
several minutes.

Tasks are drawn from the random-coefficient model (``make_multitask_regression``, relatedness
0.8, noise 1): an exchangeable family. In other runs two tasks are outliers: their coefficients are
moved by a vector of length ``shift`` in a random direction; the coefficients of the family are at a
distance of 0.45 from their center. alpha is that of the model, sigma^2 / tau^2, a multiple of it,
or chosen by cross-validation on every training fold. Printed are

- gain: mean gain of the ordinary tasks and of the outliers, in units of the noise variance;
- plain: share of the ordinary tasks, and of the outliers, with p <= 0.05;
- flags: share of the ordinary tasks that are flagged (after Holm's correction), of the families
  with any such flag, and of the outliers.

Then the standard errors: for tasks of fixed coefficients at growing distances from their center,
the standard deviation of the gain over data sets, divided by the root mean square of ``gain_std``.

Last the School data, if ``fetch_school`` finds them: schools flagged at two values of alpha, before
and after the marks of the three largest schools are reflected about their means.
"""

import sys
import time

import numpy as np
from sklearn.model_selection import GridSearchCV

from skmtl import MeanRegularizedRegressor, SharedL2Regressor
from skmtl.datasets import fetch_school, make_multitask_regression
from skmtl.inspection import sharing_report
from skmtl.model_selection import TaskKFold

T, D, OUTLIERS, LEVEL = 10, 5, 2, 0.05
TRUE_ALPHA = D / (1 - 0.8)
SETTINGS = [  # rows of a task, alpha in units of the true one, shift of the outliers
    (20, 1, 0),
    (20, 4, 0),
    (60, 1, 0),
    (60, 4, 0),
    (20, 4, 1.5),
    (20, 4, 3),
    (60, 4, 1.5),
    (60, 4, 3),
    (60, "tuned", 3),
    (200, 4, 1.5),
]


def family(n_samples, shift, seed):
    """Return X, y of T tasks, the last of which are outliers where shift is not 0."""
    rng = np.random.default_rng(seed)
    X, y = make_multitask_regression(T, n_samples, D, relatedness=0.8, random_state=seed)
    for t in range(T - OUTLIERS, T) if shift else ():
        direction = rng.standard_normal(D)
        rows = X[:, 0] == t
        y[rows] += X[rows, 1:] @ (shift * direction / np.linalg.norm(direction))
    return X, y


def model(strength):
    if strength == "tuned":
        grid = {"alpha": TRUE_ALPHA * np.logspace(-2, 2, 5)}
        folds = TaskKFold(3, task_column=0)
        base = MeanRegularizedRegressor(task_column=0)
        return GridSearchCV(base, grid, cv=folds, scoring="neg_mean_squared_error")
    return MeanRegularizedRegressor(strength * TRUE_ALPHA, task_column=0)


def rates(n_samples, strength, shift, seeds):
    """Print a line of the table."""
    reports = [
        sharing_report(*family(n_samples, shift, seed), model(strength), level=LEVEL)
        for seed in seeds
    ]
    gain, p, flag = (
        np.array([report[name] for report in reports])
        for name in ("gain", "p_value", "negative_transfer")
    )
    outliers = slice(T - OUTLIERS if shift else T, None)
    own = slice(None, outliers.start)
    parts = [gain[:, own].mean(), (p[:, own] <= LEVEL).mean(), flag[:, own].mean()]
    far = [np.nan] * 3
    if shift:
        far = [gain[:, outliers].mean(), (p[:, outliers] <= LEVEL).mean(), flag[:, outliers].mean()]
    print(
        f"{n_samples:>5}{strength!s:>7}{shift:>6}"
        f"{parts[0]:>8.3f}{far[0]:>7.2f}{parts[1]:>9.3f}{far[1]:>6.2f}"
        f"{parts[2]:>10.3f}{flag[:, own].any(axis=1).mean():>6.2f}{far[2]:>6.2f}",
        flush=True,
    )


def spread(n_samples, strength, seeds):
    """Print the bias of the standard errors, and false flags before Holm's correction."""
    rng = np.random.default_rng(1)
    W = rng.standard_normal((T, D))
    W *= np.linspace(0.1, 1.2, T)[:, None] / np.linalg.norm(W, axis=1)[:, None]
    W += rng.standard_normal(D) / np.sqrt(D)
    separate = SharedL2Regressor(1.0, task_column=0)
    reports = []
    for seed in seeds:
        rng, codes = np.random.default_rng(seed), np.repeat(np.arange(T), n_samples)
        X = rng.standard_normal((len(codes), D))
        y = np.einsum("ij,ij->i", X, W[codes]) + rng.standard_normal(len(codes))
        X = np.column_stack([codes, X])
        reports.append(sharing_report(X, y, model(strength), separate=separate, pooled=separate))
    gain, error, p = (
        np.array([report[name] for report in reports]) for name in ("gain", "gain_std", "p_value")
    )
    ratio = gain.std(axis=0) / np.sqrt((error**2).mean(axis=0))
    harmless = gain.mean(axis=0) >= 0
    print(
        f"{n_samples:>5}{strength!s:>7}   ratio {ratio.min():.2f} to {ratio.max():.2f}; of "
        f"{harmless.sum()} tasks with gain >= 0, p <= {LEVEL} at most in "
        f"{(p[:, harmless] <= LEVEL).mean(axis=0).max():.3f}",
        flush=True,
    )


def schools():
    """Print the number of flagged schools, with true marks and with three schools reflected."""
    try:
        X, y = fetch_school(return_X_y=True)
    except OSError as error:
        print(error)
        return
    code, rows = np.unique(X[:, 0], return_inverse=True, return_counts=True)[1:]
    turned, mean = np.argsort(rows)[-3:], np.bincount(code, y) / rows
    upside_down = np.where(np.isin(code, turned), 2.0 * mean[code] - y, y)
    for target, name in ((y, "true"), (upside_down, "three reflected")):
        for alpha in (60.0, 500.0):
            start = time.perf_counter()
            report = sharing_report(X, target, MeanRegularizedRegressor(alpha, task_column=0))
            flagged = np.flatnonzero(np.asarray(report["negative_transfer"]))
            print(
                f"{name:>16}{alpha:>7.0f}   {len(flagged)} of {len(rows)} flagged, of the three "
                f"{np.isin(turned, flagged).sum()}; {time.perf_counter() - start:.1f} s",
                flush=True,
            )


def main(n_seeds, first_seed):
    start, seeds = time.perf_counter(), range(first_seed, first_seed + n_seeds)
    print(f"{n_seeds} families of {T} tasks, {OUTLIERS} of them outliers where shifted")
    print(f"{'':18}{'gain':>11}{'plain':>18}{'flags':>17}")
    print(f"{'rows':>5}{'alpha':>7}{'shift':>6}{'own':>8}{'out':>7}{'own':>9}{'out':>6}", end="")
    print(f"{'own':>10}{'any':>6}{'out':>6}")
    for setting in SETTINGS:
        rates(*setting, seeds)
    print("\nstandard errors")
    for n_samples, strength in ((20, 1.5), (20, 6), (60, 1.2), (60, 4)):
        spread(n_samples, strength, seeds)
    print("\nSchool")
    schools()
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    main(*arguments, *[100, 0][len(arguments) :])
