"""statsmodels: mixed models by restricted likelihood, and Bayesian ones for classification."""

import numpy as np
from scipy import sparse
from statsmodels.genmod.bayes_mixed_glm import BinomialBayesMixedGLM
from statsmodels.regression.mixed_linear_model import MixedLM, MixedLMParams

from benchmarks.adapters._base import Method, Solver

LIBRARY = "statsmodels"
MOST_SLOPES = 4


def centered(problem):
    X = problem.X
    return np.column_stack([np.ones(len(X)), X - X.mean(axis=0)])


def several_slopes(problem):
    """Return the reason if there are several slopes: ours has one variance for all."""
    if problem.X.shape[1] > 1:
        return "MixedLM does not support one variance for the slopes of several features"
    return None


def restricted(problem, tol):
    """Fit independent random intercepts and slopes; return variances over the noise variance."""
    Z = centered(problem)
    k = Z.shape[1]
    free = MixedLMParams.from_components(fe_params=np.ones(k), cov_re=np.eye(k))
    model = MixedLM(problem.y, Z, groups=problem.tasks, exog_re=Z)
    found = model.fit(reml=True, method="bfgs", gtol=tol, free=free)
    variances = np.diag(np.asarray(found.cov_re)) / found.scale
    return (tuple(np.maximum(variances, 0.0)),)


SOLVERS = (
    Solver(
        LIBRARY,
        "MixedLM, BFGS",
        ("mixed model",),
        (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8),
        restricted,
        several_slopes,
    ),
)


def varying(fold):
    """Return the features that vary within tasks."""
    X, tasks = fold.X, fold.tasks
    means = np.zeros((fold.n_tasks, X.shape[1]))
    np.add.at(means, tasks, X)
    means /= np.maximum(np.bincount(tasks, minlength=fold.n_tasks), 1)[:, None]
    return np.flatnonzero(((X - means[tasks]) ** 2).sum(axis=0) > 1e-9)


def mixed(fold):
    """Fit by REML, with random intercepts and slopes of the features that vary within tasks.

    Their covariance is full for at most 4 features, otherwise diagonal.
    """
    columns = varying(fold)

    def design(X):
        return np.column_stack([np.ones(len(X)), X])

    def random(X):
        return np.column_stack([np.ones(len(X)), X[:, columns]])

    model = MixedLM(fold.y, design(fold.X), groups=fold.tasks, exog_re=random(fold.X))
    free, k = None, len(columns) + 1
    if len(columns) > MOST_SLOPES:
        fixed = np.ones(fold.X.shape[1] + 1)
        free = MixedLMParams.from_components(fe_params=fixed, cov_re=np.eye(k))
    found = model.fit(reml=True, free=free)
    effects = np.zeros((fold.n_tasks, len(columns) + 1))
    for task, effect in found.random_effects.items():
        effects[int(task)] = np.asarray(effect)
    own = np.einsum("ij,ij->i", random(fold.X_test), effects[fold.tasks_test])
    return design(fold.X_test) @ np.asarray(found.fe_params) + own


def bayesian(fold):
    """Fit by variational Bayes, with random intercepts and slopes as above, one variance each."""
    columns, T = varying(fold), fold.n_tasks

    def design(X, tasks):
        rows = np.arange(len(X))
        parts = [np.ones(len(X)), *(X[:, j] for j in columns)]
        return sparse.hstack(
            [sparse.csr_matrix((part, (rows, tasks)), shape=(len(X), T)) for part in parts]
        ).tocsr()

    ident = np.repeat(np.arange(len(columns) + 1), T)
    fixed = np.column_stack([np.ones(len(fold.X)), fold.X])
    model = BinomialBayesMixedGLM(fold.y, fixed, design(fold.X, fold.tasks), ident)
    found = model.fit_vb(rng=np.random.default_rng(0))
    z = np.column_stack([np.ones(len(fold.X_test)), fold.X_test]) @ found.fe_mean
    z = z + design(fold.X_test, fold.tasks_test) @ found.vc_mean
    return 1 / (1 + np.exp(-z))


METHODS = (
    Method(LIBRARY, "MixedLM, REML", ("long",), ("regression",), mixed),
    Method(LIBRARY, "BinomialBayesMixedGLM", ("long",), ("classification",), bayesian),
)
