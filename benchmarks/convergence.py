"""Convergence of ADMM on hundreds of seeded, ill-conditioned problems.

``python -m benchmarks.convergence [first] [last]`` fits all penalties and losses to tasks of 1 to
10,000 rows, with features in units of 1e-3 to 1e3 and alpha over 8 decades. It prints fits that did
not reach a tolerance of 1e-8, or took long, with the cause:

- rounding: a perturbation of the coefficients by 1e-14 of their norm, or by the accuracy of the
  prox, at least doubles the certificate. With features in such different units the penalty allows
  no more digits.
- separable: the classes are separable and no penalty is coercive; the estimator warns.
- units: the fit converges with features scaled to unit variance, as documented for such penalties.
- separated: the classes are separable, and only a tiny alpha keeps the coefficients finite.
- unexplained, time: a failure of the solver.
"""

import signal
import sys
import time
import warnings
from collections import Counter

import numpy as np
from sklearn.base import clone, is_classifier

from skmtl import ADMMClassifier, ADMMRegressor, alpha_max
from skmtl.penalties import (
    L1,
    L21,
    Decomposed,
    MeanRegularized,
    NetworkLasso,
    Ridge,
    RobustMean,
    TaskL2,
    TemporalFused,
    TraceNorm,
)
from skmtl.solvers import SOLVERS

TOL = 1e-8
LIMIT = 30  # seconds for a problem
LONG = 5.0
NOISE = 1e-14


def penalties(n_tasks):
    chain = [(t, t + 1) for t in range(n_tasks - 1)]
    return [
        L1(),
        L21(),
        TaskL2(),
        TraceNorm(),
        RobustMean(),
        NetworkLasso(),
        TemporalFused(),
        L1(0.5) + TraceNorm(),
        RobustMean() + Ridge(0.01),
        L1(0.3) + TemporalFused(),
        Decomposed(L21(), L1(0.6)),
        Decomposed(TraceNorm(), TaskL2()),
        MeanRegularized(1.0, 0.1) + L1(0.1),
        NetworkLasso(1.0, chain),
    ]


def problem(seed):
    """Return an estimator, X, y, sample_weight and a line that describes them."""
    rng = np.random.default_rng(seed)
    n_tasks, d = int(rng.integers(2, 13)), int(rng.integers(1, 13))
    sizes = np.ceil(10 ** rng.uniform(0, rng.choice([1.5, 2.5, 4]), n_tasks)).astype(int)
    n, task = sizes.sum(), np.repeat(np.arange(n_tasks), sizes)
    X = rng.standard_normal((n, d))
    if rng.random() < 0.3:
        X = X @ rng.standard_normal((d, d))
    if rng.random() < 0.3:
        X[:, 0] = X[:, 0] > 1
    if rng.random() < 0.2 and d > 1:
        X[:, 1] = X[:, 0]
    if rng.random() < 0.2:
        X = X + rng.standard_normal((n_tasks, d))[task] * 3
    W = rng.standard_normal(d) + 0.5 * rng.standard_normal((n_tasks, d))
    z = np.einsum("ij,ij->i", X, W[task]) + rng.standard_normal(n_tasks)[task]
    loss = rng.choice(["squared", "squared", "logistic", "softmax"])
    X *= 10 ** rng.uniform(-3, 3, d)
    share = 10 ** rng.uniform(-7, 1)
    if loss == "squared":
        y = z + rng.standard_normal(n) * 10 ** rng.uniform(-2, 1)
    elif loss == "logistic":
        y = (z + rng.logistic(size=n) > 0).astype(int)
        y[0] = 1 - y[0] if len(np.unique(y)) < 2 else y[0]
    else:
        y = np.digitize(z + rng.logistic(size=n), [-1, 1])
        y[:3] = [0, 1, 2] if n >= 3 else y[:3]
    choices = penalties(n_tasks)
    penalty = choices[int(rng.integers(len(choices)))]
    estimator = (ADMMRegressor if loss == "squared" else ADMMClassifier)(
        penalty,
        task_column=0,
        alpha_intercept=float(rng.choice([0, 1, 1, 100, np.inf])),
        tol=TOL,
    )
    weight = rng.uniform(0.1, 3, n) if rng.random() < 0.3 else None
    estimator.fit_intercept = bool(rng.random() < 0.85)
    data = np.column_stack([task, X]), y, weight
    estimator.set_params(alpha=share * strength(estimator, *data))
    what = f"{loss}, {penalty!r}, alpha {share:.0e} of alpha_max, T {n_tasks}, d {d}"
    return estimator, *data, what + f", {sizes.min()} to {sizes.max()} rows"


def strength(estimator, X, y, weight):
    """Return alpha_max; where it is undefined, that of L1; where it is infinite, 1."""
    try:
        largest = alpha_max(estimator, X, y, weight)
    except ValueError:  # undefined for a sum of norms
        largest = alpha_max(clone(estimator).set_params(penalty=L1()), X, y, weight)
    return largest if np.isfinite(largest) else 1.0


class Watched(SOLVERS["admm"]):
    """ADMM solver that stores its last problem and solution."""

    last = None

    def solve(self, start, split=None):
        solution = super().solve(start, split)
        type(self).last = self.problem, solution
        return solution


def noisy():
    """Return the median certificate of the last solution after perturbation."""
    at, solution = Watched.last
    if solution.split is None:  # no iteration was completed
        return 0.0
    rng, found = np.random.default_rng(0), []
    terms = [term.penalty for part in at.penalty.terms for term in part]
    noise = max(NOISE, *(term.accuracy for term in terms))
    for _ in range(9):
        parts = [
            P + noise * np.linalg.norm(P) * rng.choice([-1, 1], P.shape)
            for P in solution.split.parts
        ]
        seen = [[P] * len(own) for P, own in zip(parts, solution.split.copies, strict=True)]
        level = solution.coefficients.intercept
        moved = at.penalty.coefficients(sum(parts[1:], parts[0]), level)
        found.append(at.evaluate(moved, solution.split._replace(parts=parts, copies=seen)))
    return np.median([evaluation.optimality for evaluation in found])


def verdict(seed):
    """Return the outcome of a problem, its seconds and a description."""
    estimator, X, y, weight, what = problem(seed)
    kind, seconds, what = attempt(estimator, X, y, weight, what)
    if kind not in ("unexplained", "time"):
        return kind, seconds, what
    Z, share = X.copy(), estimator.alpha / strength(estimator, X, y, weight)
    spread = X[:, 1:].std(axis=0)
    Z[:, 1:] /= np.where(spread > 0, spread, 1.0)
    scaled = clone(estimator).set_params(alpha=share * strength(estimator, Z, y, weight))
    again, needed, found = attempt(scaled, Z, y, weight, what)
    what = f"{what}; scaled: {again}, {needed:.1f} s"
    if again == "converged":
        return "units", seconds, what
    if again == "unexplained" and is_classifier(scaled) and (scaled.predict(Z) == y).all():
        return "separated", seconds, f"{what}, {found.split(':')[0]}"
    return kind, seconds, what


def attempt(estimator, X, y, weight, what):
    """Return the outcome of a fit, its seconds and a description."""
    start = time.perf_counter()
    signal.alarm(LIMIT)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            estimator.fit(X, y, sample_weight=weight)
    except TimeoutError:
        return "time", LIMIT, what
    finally:
        signal.alarm(0)
    seconds = time.perf_counter() - start
    if estimator.optimality_ <= TOL:
        return "converged", seconds, what
    if any("features separate" in str(warning.message) for warning in said):
        return "separable", seconds, what
    moved = noisy()
    kind = "rounding" if moved >= 2 * estimator.optimality_ else "unexplained"
    return kind, seconds, f"{estimator.optimality_:.0e}, with noise {moved:.0e}: {what}"


def too_long(*_):
    raise TimeoutError


def main(first=0, last=300):
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, too_long)
    SOLVERS["admm"] = Watched
    count, seconds = Counter(), []
    for seed in range(first, last):
        kind, needed, what = verdict(seed)
        count[kind] += 1
        seconds.append(needed)
        if kind != "converged" or needed > LONG:
            print(f"{seed:4} {kind:11} {needed:5.1f} s  {' '.join(what.split())}", flush=True)
    spread = np.percentile(seconds, [50, 90, 99])
    print(f"{dict(count)} of {last - first}; seconds, 50/90/99 %: {spread.round(2)}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
