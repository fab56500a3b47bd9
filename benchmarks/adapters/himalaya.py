"""himalaya: ridge and kernel ridge regression of many targets."""

import numpy as np
from himalaya.kernel_ridge import KernelRidge, KernelRidgeCV, MultipleKernelRidgeCV
from himalaya.ridge import Ridge, RidgeCV

from benchmarks.adapters._base import INNER_FOLDS, RIDGE_ALPHAS, Method, Solver
from benchmarks.adapters.scikit_learn import multitask_kernel, primal, too_many_rows

LIBRARY = "himalaya"
MOST_ROWS = 3_000  # of three n x n kernels, decomposed repeatedly


def kernel_ridge(problem, tol):
    model = KernelRidge(alpha=1.0, kernel="precomputed", warn=False)
    model.fit(multitask_kernel(problem), problem.y)
    return (primal(problem, np.asarray(model.dual_coef_)),)


def wide_ridge(problem, tol):
    # Intercepts are unpenalized, as in scikit-learn.
    model = Ridge(problem.alpha, fit_intercept=True).fit(problem.X, problem.Y)
    return np.asarray(model.coef_).T, np.asarray(model.intercept_)


SOLVERS = (
    Solver(
        LIBRARY,
        "KernelRidge, multi-task kernel",
        ("mean ridge",),
        (1e-8,),
        kernel_ridge,
        too_many_rows,
    ),
    Solver(LIBRARY, "Ridge, 2-D y", ("wide ridge",), (1e-8,), wide_ridge),
)
WHY_NOT = {"separate ridge": "takes one X for all targets; a loop of it is that of scikit-learn"}


def wide_search(kind):
    """Return a method: the CV model of many targets, one alpha for each."""

    def predict(fold):
        model = kind(alphas=RIDGE_ALPHAS, fit_intercept=True, cv=INNER_FOLDS)
        return np.asarray(model.fit(fold.X, fold.y).predict(fold.X_test))

    return predict


def kernels(X, tasks, X_other, tasks_other):
    """Return the linear kernel, the same within tasks only, and that of the intercepts."""
    shared = X @ X_other.T
    same = (tasks[:, None] == tasks_other).astype(float)
    return np.stack([shared, shared * same, same])


def banded(fold):
    """Fit a banded ridge by random search over kernel weights and alpha."""
    model = MultipleKernelRidgeCV(
        kernels="precomputed",
        solver="random_search",
        solver_params={"n_iter": 10, "alphas": RIDGE_ALPHAS[::2], "progress_bar": False},
        fit_intercept=True,
        cv=fold.folds,
        random_state=0,
    )
    model.fit(kernels(fold.X, fold.tasks, fold.X, fold.tasks), fold.y)
    K = kernels(fold.X_test, fold.tasks_test, fold.X, fold.tasks)
    return np.asarray(model.predict(K)).ravel()


def many_rows(fold):
    n = len(fold.X)
    if n > MOST_ROWS:
        return f"three kernels of {n:,} x {n:,} are decomposed in every fold and step"
    return None


REGRESSION = ("regression",)
METHODS = (
    Method(LIBRARY, "RidgeCV, each target", ("wide",), REGRESSION, wide_search(RidgeCV)),
    Method(
        LIBRARY, "KernelRidgeCV, each target", ("wide",), REGRESSION, wide_search(KernelRidgeCV)
    ),
    Method(LIBRARY, "MultipleKernelRidgeCV", ("long",), REGRESSION, banded, many_rows),
)
