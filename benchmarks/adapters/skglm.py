"""skglm: sparse models by working sets, compiled in every process."""

import numpy as np
from scipy import sparse
from skglm import GroupLasso, Lasso, MultiTaskLasso
from skglm.datafits import Logistic
from skglm.penalties import L2
from skglm.solvers import LBFGS
from sklearn.model_selection import GridSearchCV

from benchmarks.adapters._augment import augmented, one_hot, own_columns, split_coef
from benchmarks.adapters._base import N_NORM_ALPHAS, Method, Solver

LIBRARY = "skglm"
MOST_ENTRIES = 2e7  # limit for dense augmented features


def lasso(problem, tol):
    alpha = problem.alpha / len(problem.X)
    model = MultiTaskLasso(alpha, tol=tol, max_iter=1000).fit(problem.X, problem.Y)
    return model.coef_, model.intercept_


def lassos(problem, tol):
    alpha = problem.alpha / len(problem.X)
    models = [Lasso(alpha, tol=tol, max_iter=1000).fit(problem.X, y) for y in problem.Y.T]
    return np.array([m.coef_ for m in models]), np.array([m.intercept_ for m in models])


def logistic(problem, tol):
    """Solve a ridge on augmented features by L-BFGS, without intercepts."""
    strengths, d = (problem.alpha, problem.alpha_shared), problem.X.shape[1]
    Z = sparse.csc_matrix(augmented(problem.X, problem.tasks, problem.n_tasks, *strengths))
    y = np.where(problem.y, 1.0, -1.0)
    solver = LBFGS(max_iter=10_000, tol=tol)
    coef = solver.solve(Z, y, Logistic(), L2(problem.alpha / len(y)))[0]
    return (split_coef(coef, d, *strengths),)


TOLS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8, 1e-10)
SOLVERS = (
    Solver(LIBRARY, "MultiTaskLasso", ("l21",), TOLS, lasso),
    Solver(LIBRARY, "Lasso, loop", ("l1",), TOLS, lassos),
    Solver(LIBRARY, "Logistic + L2, augmented, L-BFGS", ("mean logistic",), TOLS, logistic),
)
WHY_NOT = {
    "mean ridge": "its L-BFGS takes no sparse features with a squared loss",
    "l21 + ridge": "has no such penalty of many targets",
    "separate ridge": "its L-BFGS fits no intercepts",
    "wide ridge": "has no ridge of many targets",
    "separate logistic": "its L-BFGS fits no intercepts",
}


def grid(largest):
    return largest * np.geomspace(1, 1e-3, N_NORM_ALPHAS)


def wide_lasso(fold):
    """Search over alpha on the inner folds."""
    centered = fold.y - fold.y.mean(axis=0)
    largest = np.linalg.norm(fold.X.T @ centered, axis=1).max() / len(fold.X)
    search = GridSearchCV(
        MultiTaskLasso(), {"alpha": grid(largest)}, cv=fold.folds, scoring="neg_mean_squared_error"
    )
    return search.fit(fold.X, fold.y).predict(fold.X_test)


def group_lasso(fold):
    """Fit L21 in the long form: one group per feature, unpenalized intercepts."""
    T, d = fold.n_tasks, fold.X.shape[1]

    def features(X, tasks):
        own = own_columns(X, tasks, T).toarray()
        return np.asfortranarray(one_hot(own, tasks, T))

    groups = [[t * d + j for t in range(T)] for j in range(d)]
    groups += [[T * d + t] for t in range(T)]
    Z, centered = features(fold.X, fold.tasks), fold.y - fold.y.mean()
    slopes = np.abs(Z.T @ centered)
    largest = max(np.linalg.norm(slopes[group]) for group in groups[:d]) / len(Z)
    weights = np.append(np.ones(d), np.zeros(T))
    search = GridSearchCV(
        GroupLasso(groups, weights=weights),
        {"alpha": grid(largest)},
        cv=fold.folds,
        scoring="neg_mean_squared_error",
    )
    return search.fit(Z, fold.y).predict(features(fold.X_test, fold.tasks_test))


def too_large(fold):
    columns = fold.n_tasks * (fold.X.shape[1] + 1)
    if len(fold.X) * columns > MOST_ENTRIES:
        return f"dense features of {len(fold.X):,} x {columns:,}"
    return None


METHODS = (
    Method(LIBRARY, "MultiTaskLasso, GridSearchCV", ("wide",), ("regression",), wide_lasso),
    Method(
        LIBRARY,
        "GroupLasso, augmented, GridSearchCV",
        ("long",),
        ("regression",),
        group_lasso,
        too_large,
    ),
)


def warm_up():
    """Compile the timed functions."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 4)), rng.standard_normal(40)
    MultiTaskLasso(0.1).fit(X, rng.standard_normal((40, 3)))
    GroupLasso([[0, 1], [2, 3]], 0.1).fit(np.asfortranarray(X), y)
    LBFGS(tol=1e-3).solve(sparse.csc_matrix(X), np.sign(y), Logistic(), L2(0.1))
