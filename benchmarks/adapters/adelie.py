"""adelie: group lasso by block coordinate descent, in C++."""

import logging

import adelie
import numpy as np

from benchmarks.adapters._base import Solver

adelie.logger.logger.setLevel(logging.CRITICAL)  # it prints if it is interrupted

NO_METHODS = "its group lasso is measured as part of ptlasso"
METHODS = ()
STEPS = 5  # of a path from alpha_max: its screening is designed for paths


def group_lasso(problem, tol):
    """Solve L21, with the ridge of the problem if it has one; each feature is a group."""
    X, Y = problem.X, problem.Y
    ridge = problem.alpha_ridge
    total = problem.alpha + ridge
    centered = X - X.mean(axis=0), Y - Y.mean(axis=0)
    largest = np.linalg.norm(centered[0].T @ centered[1], axis=1).max()
    state = adelie.grpnet(
        X=np.asfortranarray(X),
        glm=adelie.glm.multigaussian(np.ascontiguousarray(Y)),
        lmda_path=np.geomspace(max(largest, total), total, STEPS) / Y.size,
        alpha=problem.alpha / total,
        penalty=np.ones(X.shape[1]),
        tol=tol,
        early_exit=False,
        progress_bar=False,
    )
    if state.betas.shape[0] < STEPS:
        raise RuntimeError("stopped before the end of the path")
    W = state.betas[-1].toarray().reshape(X.shape[1], Y.shape[1]).T
    return W, np.asarray(state.intercepts)[-1]


SOLVERS = (
    Solver(
        "adelie",
        "grpnet, multigaussian",
        ("l21", "l21 + ridge"),
        (1e-3, 1e-5, 1e-7, 1e-9, 1e-11, 1e-13),
        group_lasso,
    ),
)
