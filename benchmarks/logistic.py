"""Multi-task logistic regression: seconds and ratios, in one run.

Run it on an idle machine: ``python -m benchmarks.logistic``. Without the School data
(``SKMTL_DATA``, see ``fetch_school``) synthetic data of the same size are used.
"""

import tempfile

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.adapters.scikit_learn import logistic_augmented, logistic_loop
from benchmarks.objective import mean_regularized_logistic
from benchmarks.problems import multinomial, school, synthetic
from benchmarks.timing import in_new_process, interleaved, table
from skmtl import MeanRegularizedClassifier, PooledClassifier, SharedL2Classifier

OURS = "MeanRegularizedClassifier"
LOOP = "LogisticRegression loop over tasks"


def blas_floor(X, w, n_iter):
    """Compute one product, its adjoint and one Gram by BLAS for every Newton step."""
    for _ in range(n_iter):
        np.matmul(X @ w, X)
        np.matmul(X.T, X)


def bench_school():
    """Time a fit of a small, real problem: is a student above the median?"""
    problem, alpha, alpha_shared = school(), 10.0, 1.0
    X, tasks = problem.X, np.unique(problem.tasks, return_inverse=True)[1]
    y, long, groups = problem.y > np.median(problem.y), problem.long, problem.groups()
    n_tasks = tasks.max() + 1
    model = MeanRegularizedClassifier(alpha, task_column=0)
    plain = MeanRegularizedClassifier(
        alpha, alpha_shared=alpha_shared, task_column=0, fit_intercept=False
    )
    separate = SharedL2Classifier(alpha, task_column=0)
    augmented = "LogisticRegression on augmented features (sparse)"
    model.fit(long, y)
    candidates = {
        OURS: lambda: model.fit(long, y),
        "SharedL2Classifier": lambda: separate.fit(long, y),
        "the same without intercepts": lambda: plain.fit(long, y),
        f"bound: BLAS, {model.n_iter_} Newton steps": lambda: blas_floor(
            X, model.shared_coef_, model.n_iter_
        ),
        LOOP: lambda: logistic_loop(X, y, groups, alpha),
        augmented: lambda: logistic_augmented(X, tasks, y, n_tasks, alpha, alpha_shared),
    }
    seconds = interleaved(candidates, dict.fromkeys(candidates, 21) | {LOOP: 5, augmented: 3})
    W = logistic_augmented(X, tasks, y, n_tasks, alpha, alpha_shared)
    theirs = mean_regularized_logistic(X, tasks, y, W, alpha, alpha_shared)
    ours = mean_regularized_logistic(X, tasks, y, plain.fit(long, y).coef_, alpha, alpha_shared)
    table(
        f"{problem.name}, y above its median: n={len(y):,} d={X.shape[1]} T={n_tasks}",
        seconds,
        OURS,
        f"objective of the augmented LogisticRegression over ours: 1 + {theirs / ours - 1:.1e}",
    )


def bench_large():
    """Time fits of a million shuffled rows."""
    problem = synthetic(1_000_000, 30, 10_000)
    X, y, long, some = problem.X, problem.y > 0, problem.long, problem.groups()[:1000]
    model, pooled = MeanRegularizedClassifier(task_column=0), PooledClassifier(task_column=0)
    loop = f"{LOOP} (1,000 of them, times 10)"
    newton = LogisticRegression(solver="newton-cholesky")
    candidates = {
        OURS: lambda: model.fit(long, y),
        "PooledClassifier": lambda: pooled.fit(long, y),
        "one pooled LogisticRegression, newton-cholesky": lambda: newton.fit(X, y),
        "the same, lbfgs": lambda: LogisticRegression().fit(X, y),
        loop: lambda: logistic_loop(X, y, some, 1.0),
    }
    seconds = interleaved(candidates, dict.fromkeys(candidates, 5) | {loop: 2})
    seconds[loop] *= 10
    note = f"Newton steps: {model.n_iter_}, newton-cholesky: {newton.n_iter_[0]}"
    table(problem.name, seconds, OURS, note)


def bench_multinomial():
    """Time fits of ten classes."""
    problem = multinomial(20_000, 64, 20, 10)
    X, y, long, groups = problem.X, problem.y, problem.long, problem.groups()
    model, separate = MeanRegularizedClassifier(task_column=0), SharedL2Classifier(task_column=0)
    candidates = {
        OURS: lambda: model.fit(long, y),
        "SharedL2Classifier": lambda: separate.fit(long, y),
        LOOP: lambda: logistic_loop(X, y, groups, 1.0),
        "the same to our accuracy, tol=1e-8": lambda: logistic_loop(X, y, groups, 1.0, tol=1e-8),
        "one pooled LogisticRegression": lambda: LogisticRegression(max_iter=1000).fit(X, y),
    }
    table(problem.name, interleaved(candidates, 5), OURS)


FIRST_USE = """
import json, time
import numpy as np
import sklearn.linear_model
start = time.perf_counter()
from skmtl import MeanRegularizedClassifier
rng = np.random.default_rng(0)
X = np.column_stack([np.arange(500) % 5, rng.standard_normal((500, 5))])
y = rng.integers({classes}, size=500)
MeanRegularizedClassifier(task_column=0).fit(X, y)
print(json.dumps(time.perf_counter() - start))
"""


def bench_first_use():
    """Time import and first fit in a new process."""
    print("import skmtl and first fit in a new process, beyond `import sklearn.linear_model`")
    for classes in (2, 3):
        cold, warm = [], []
        for _ in range(5):
            with tempfile.TemporaryDirectory() as cache:
                code = FIRST_USE.format(classes=classes)
                cold.append(in_new_process(code, NUMBA_CACHE_DIR=cache))
                warm.append(in_new_process(code, NUMBA_CACHE_DIR=cache))
        print(
            f"  {classes} classes: warm numba cache {np.median(warm):.2f} s, "
            f"cold {np.median(cold):.2f} s"
        )


if __name__ == "__main__":
    bench_first_use()
    bench_school()
    bench_large()
    bench_multinomial()
