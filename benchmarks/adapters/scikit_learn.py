"""Solvers of scikit-learn: loops, augmented features, kernels and its multi-task models."""

import numpy as np
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    Lasso,
    LogisticRegression,
    MultiTaskElasticNet,
    MultiTaskLasso,
    Ridge,
)

from benchmarks.adapters._augment import augmented, split_coef
from benchmarks.adapters._base import Solver
from benchmarks.adapters._scikit_learn_methods import METHODS

__all__ = ["METHODS", "SOLVERS"]

TOLS = (1e-2, 1e-4, 1e-6, 1e-8, 1e-10)
EXACT = (1e-8,)
MOST_ROWS = 10_000  # limit for an n x n kernel
MOST_COLUMNS = 5_000  # limit for a dense system


def ridge_loop(X, y, groups, alpha):
    """Fit a scikit-learn Ridge per task."""
    return [Ridge(alpha).fit(X[rows], y[rows]) for rows in groups]


def ridge_augmented(X, tasks, y, n_tasks, alpha, alpha_shared, solver="sparse_cg", tol=1e-8):
    """Fit a Ridge on augmented features: the mean-regularized model without intercepts, (T, d)."""
    Z = augmented(X, tasks, n_tasks, alpha, alpha_shared)
    model = Ridge(alpha, fit_intercept=False, solver=solver, tol=tol, max_iter=100_000).fit(Z, y)
    return split_coef(model.coef_, X.shape[1], alpha, alpha_shared)


def logistic_loop(X, y, groups, alpha, tol=1e-4, solver="lbfgs"):
    """Fit a scikit-learn LogisticRegression per task of two classes or more."""
    return [
        LogisticRegression(C=1 / alpha, tol=tol, solver=solver, max_iter=10_000).fit(
            X[rows], y[rows]
        )
        for rows in groups
        if (y[rows] != y[rows[0]]).any()
    ]


def logistic_augmented(X, tasks, y, n_tasks, alpha, alpha_shared, solver="lbfgs", tol=1e-4):
    """Fit a LogisticRegression on augmented features, without intercepts, (T, d)."""
    Z = augmented(X, tasks, n_tasks, alpha, alpha_shared)
    model = LogisticRegression(
        C=1 / alpha, fit_intercept=False, solver=solver, tol=tol, max_iter=10_000
    ).fit(Z, y)
    return split_coef(model.coef_[0], X.shape[1], alpha, alpha_shared)


def multitask_kernel(problem):
    """Return the mean-regularized kernel x . x' (1 / alpha_shared + [t = t'] / alpha)."""
    same = problem.tasks[:, None] == problem.tasks
    kernel = problem.X @ problem.X.T
    kernel *= 1 / problem.alpha_shared + same / problem.alpha
    return kernel


def primal(problem, dual):
    """Return W (T, d) from the dual coefficients of `multitask_kernel`."""
    weighted = dual[:, None] * problem.X
    own = np.zeros((problem.n_tasks, problem.X.shape[1]))
    np.add.at(own, problem.tasks, weighted)
    return weighted.sum(axis=0) / problem.alpha_shared + own / problem.alpha


def too_many_rows(problem):
    n = len(problem.X)
    if n > MOST_ROWS:
        return f"a kernel of {n:,} x {n:,} takes {8e-9 * n * n:.1f} GB"
    return None


def too_many_columns(problem):
    columns = (problem.n_tasks + 1) * problem.X.shape[1]
    if columns > MOST_COLUMNS:
        return f"a dense system of {columns:,} columns takes {8e-9 * columns**2:.1f} GB"
    return None


def augmented_ridge(solver):
    def solve(problem, tol):
        given = problem.X, problem.tasks, problem.y, problem.n_tasks
        strengths = problem.alpha, problem.alpha_shared
        return (ridge_augmented(*given, *strengths, solver, tol),)

    return solve


def augmented_logistic(solver):
    def solve(problem, tol):
        given = problem.X, problem.tasks, problem.y, problem.n_tasks
        strengths = problem.alpha, problem.alpha_shared
        return (logistic_augmented(*given, *strengths, solver, tol),)

    return solve


def kernel_ridge(problem, tol):
    model = KernelRidge(alpha=1.0, kernel="precomputed")
    return (primal(problem, model.fit(multitask_kernel(problem), problem.y).dual_coef_),)


def separate_ridges(problem, tol):
    models = ridge_loop(problem.X, problem.y, problem.groups, problem.alpha)
    return np.array([m.coef_ for m in models]), np.array([m.intercept_ for m in models])


def separate_logistics(solver):
    def solve(problem, tol):
        models = logistic_loop(problem.X, problem.y, problem.groups, problem.alpha, tol, solver)
        coef = np.array([model.coef_[0] for model in models])
        return coef, np.array([model.intercept_[0] for model in models])

    return solve


def wide_ridge(problem, tol):
    model = Ridge(problem.alpha).fit(problem.X, problem.Y)
    return model.coef_, model.intercept_


def lasso(problem, tol):
    alpha = problem.alpha / len(problem.X)
    kind = Lasso if problem.kind == "l1" else MultiTaskLasso
    model = kind(alpha, tol=tol, max_iter=100_000).fit(problem.X, problem.Y)
    return model.coef_, model.intercept_


def elastic_net(problem, tol):
    total = problem.alpha + problem.alpha_ridge
    model = MultiTaskElasticNet(
        total / len(problem.X), l1_ratio=problem.alpha / total, tol=tol, max_iter=100_000
    ).fit(problem.X, problem.Y)
    return model.coef_, model.intercept_


LIBRARY = "scikit-learn"
MEAN, LOGISTIC = ("mean ridge",), ("mean logistic",)
SOLVERS = (
    *(
        Solver(LIBRARY, f"Ridge, augmented, {name}", MEAN, TOLS, augmented_ridge(name))
        for name in ("sparse_cg", "lsqr", "sag")
    ),
    Solver(
        LIBRARY,
        "Ridge, augmented, cholesky",
        MEAN,
        EXACT,
        augmented_ridge("cholesky"),
        too_many_columns,
    ),
    Solver(LIBRARY, "KernelRidge, multi-task kernel", MEAN, EXACT, kernel_ridge, too_many_rows),
    Solver(LIBRARY, "Ridge, loop over tasks", ("separate ridge",), EXACT, separate_ridges),
    Solver(LIBRARY, "Ridge, 2-D y", ("wide ridge",), EXACT, wide_ridge),
    Solver(LIBRARY, "MultiTaskLasso", ("l21",), TOLS, lasso),
    Solver(LIBRARY, "Lasso, 2-D y", ("l1",), TOLS, lasso),
    Solver(LIBRARY, "MultiTaskElasticNet", ("l21 + ridge",), TOLS, elastic_net),
    *(
        Solver(
            LIBRARY,
            f"LogisticRegression, augmented, {name}",
            LOGISTIC,
            TOLS,
            augmented_logistic(name),
        )
        for name in ("lbfgs", "liblinear", "saga")
    ),
    Solver(
        LIBRARY,
        "LogisticRegression, augmented, newton-cholesky",
        LOGISTIC,
        TOLS,
        augmented_logistic("newton-cholesky"),
        too_many_columns,
    ),
    *(
        Solver(
            LIBRARY,
            f"LogisticRegression, loop over tasks, {name}",
            ("separate logistic",),
            TOLS,
            separate_logistics(name),
        )
        for name in ("lbfgs", "newton-cholesky")
    ),
)
