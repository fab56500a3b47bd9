"""Solvers and methods of skmtl."""

import numpy as np

from benchmarks.adapters._base import N_NORM_ALPHAS, RIDGE_ALPHAS, Method, Solver
from skmtl import (
    ADMMClassifier,
    ADMMRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    PooledClassifier,
    PooledRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
)
from skmtl.model_selection import RegularizationPathCV
from skmtl.penalties import L1, L21, Ridge

EXACT = (1e-8,)
TOLS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
CLASS_ALPHAS = RIDGE_ALPHAS[::2]  # as in the searches of scikit-learn
LEVELS = {"alpha_intercept": [1.0, 10.0, 100.0]}


def mean_solver(model):
    """Return the solver of the mean-regularized models without intercepts."""

    def solve(problem, tol):
        fitted = model(
            problem.alpha,
            alpha_shared=problem.alpha_shared,
            fit_intercept=False,
            task_column=0,
            tol=tol,
        ).fit(problem.long, problem.y)
        return (fitted.coef_,)

    return solve


def separate_solver(model):
    """Return the solver of separate models with unpenalized intercepts."""

    def solve(problem, tol):
        fitted = model(problem.alpha, task_column=0, tol=tol).fit(problem.long, problem.y)
        return fitted.coef_, fitted.intercept_

    return solve


def wide_ridge(problem, tol):
    """Solve a ridge of each column of Y."""
    model = SharedL2Regressor(problem.alpha, tol=tol).fit(problem.X, problem.Y)
    return model.coef_, model.intercept_


def norms(problem, tol):
    """Solve L21, with the ridge of the problem if it has one, or L1."""
    penalty = (L1 if problem.kind == "l1" else L21)(problem.alpha)
    if problem.alpha_ridge:
        penalty = penalty + Ridge(problem.alpha_ridge)
    model = ADMMRegressor(penalty, 1.0, alpha_intercept=0.0, tol=tol).fit(problem.X, problem.Y)
    return model.coef_, model.intercept_


def evidence(problem, tol):
    """Return the variances by restricted maximum likelihood, over the noise variance."""
    model = MeanRegularizedRegressor(
        "auto", alpha_shared=0, alpha_intercept="auto", task_column=0, tol=tol
    )
    model.fit(problem.long, problem.y)
    return ((1 / model.alpha_intercept_, 1 / model.alpha_),)


SOLVERS = (
    Solver(
        "skmtl",
        "MeanRegularizedRegressor",
        ("mean ridge",),
        EXACT,
        mean_solver(MeanRegularizedRegressor),
    ),
    Solver(
        "skmtl", "SharedL2Regressor", ("separate ridge",), EXACT, separate_solver(SharedL2Regressor)
    ),
    Solver("skmtl", "SharedL2Regressor", ("wide ridge",), EXACT, wide_ridge),
    Solver("skmtl", "ADMMRegressor", ("l21", "l21 + ridge", "l1"), TOLS, norms),
    Solver(
        "skmtl",
        "MeanRegularizedClassifier",
        ("mean logistic",),
        TOLS[1::2],
        mean_solver(MeanRegularizedClassifier),
    ),
    Solver(
        "skmtl",
        "SharedL2Classifier",
        ("separate logistic",),
        TOLS[1::2],
        separate_solver(SharedL2Classifier),
    ),
    Solver("skmtl", 'MeanRegularizedRegressor, "auto"', ("mixed model",), EXACT, evidence),
)


def probabilities(model, X, y):
    """Return the probabilities of class 1 in the shape of the target."""
    found = model.predict_proba(X)
    if isinstance(found, list):  # the wide form: one array per task
        found = np.column_stack([each[:, -1] for each in found])
    return found if y.ndim == 2 else found[:, 1]


def minus_log_loss(model, X, y):
    """Return minus the mean log loss, in either form."""
    p = np.clip(probabilities(model, X, y), 1e-6, 1 - 1e-6)
    return np.where(y == 1, np.log(p), np.log1p(-p)).mean()


def predictions(model, fold):
    """Fit and predict; probabilities of class 1 for classifiers."""
    model.fit(fold.long, fold.y)
    if fold.classify:
        return probabilities(model, fold.long_test, fold.y)
    return model.predict(fold.long_test)


def automatic(fold):
    """Estimate alpha by restricted likelihood, or by its Laplace approximation."""
    kind = MeanRegularizedClassifier if fold.classify else MeanRegularizedRegressor
    column = None if fold.form == "wide" else 0
    return predictions(kind("auto", alpha_intercept="auto", task_column=column), fold)


def searched(
    regressor, classifier, *, alphas=RIDGE_ALPHAS, param_grid=None, penalty=None, tol=None
):
    """Return a method: `RegularizationPathCV` on the inner folds.

    Ridges with squared loss use leave-one-out instead, the default, if every task has two rows.
    With more features than rows, ``alpha_shared`` is searched, too.
    """

    def predict(fold):
        kind = classifier if fold.classify else regressor
        model = kind(task_column=None if fold.form == "wide" else 0)
        if penalty is not None:
            model.set_params(penalty=penalty)
        if tol is not None:
            model.set_params(tol=tol)
        alone = not fold.classify and penalty is None and fold.smallest > 1
        scoring, grid, others = None, alphas, dict(param_grid or {})
        if hasattr(model, "alpha_shared") and len(fold.X) < fold.X.shape[1]:
            others["alpha_shared"] = RIDGE_ALPHAS[::4]
        if fold.classify:
            grid = CLASS_ALPHAS if alphas is RIDGE_ALPHAS else alphas
            scoring = "neg_log_loss" if fold.form == "long" else minus_log_loss
        search = RegularizationPathCV(
            model,
            grid,
            param_grid=others,
            cv=None if alone else fold.folds,
            scoring=scoring,
        )
        return predictions(search, fold)

    return predict


def norm(name):
    """Return a method: a norm of `skmtl.penalties`, at a tolerance for predictions."""
    return searched(ADMMRegressor, ADMMClassifier, alphas=N_NORM_ALPHAS, penalty=name, tol=1e-4)


BOTH, TARGETS = ("long", "wide"), ("regression", "classification")

METHODS = (
    Method("skmtl", 'MeanRegularized, "auto"', BOTH, TARGETS, automatic),
    Method(
        "skmtl",
        "MeanRegularized, path",
        BOTH,
        TARGETS,
        searched(MeanRegularizedRegressor, MeanRegularizedClassifier, param_grid=LEVELS),
    ),
    Method(
        "skmtl",
        "SharedL2, path",
        BOTH,
        TARGETS,
        searched(SharedL2Regressor, SharedL2Classifier),
    ),
    Method(
        "skmtl",
        "Pooled, intercept per task, path",
        ("long",),
        TARGETS,
        searched(PooledRegressor, PooledClassifier, param_grid=LEVELS),
    ),
    Method("skmtl", "ADMM L21, path", BOTH, TARGETS, norm("l21")),
    Method("skmtl", "ADMM TraceNorm, path", BOTH, TARGETS, norm("trace_norm")),
    Method("skmtl", "ADMM RobustMean, path", ("long",), TARGETS, norm("robust_mean")),
)
