"""Smallest penalty weight at which the minimizer of a norm is zero."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from skmtl._threads import blas_threads_for
from skmtl._typing import Estimator
from skmtl.data import read_rows
from skmtl.fitting import choose_solver
from skmtl.linear_model._admm import StructuredModel
from skmtl.penalties import MeanCoupling
from skmtl.tuning import pose_outcomes

_TOL = 1e-12
_MAX_ITER = 10_000
_GOOD = 1e-6  # largest optimality that rounding errors explain


def alpha_max(
    estimator: Estimator, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> float:
    """Return the smallest ``alpha`` at which the penalized part of the coefficients is zero.

    That part is all coefficients (`L1`, `L21`, `TaskL2`, `TraceNorm`), or all differences between
    tasks (`RobustMean`, `NetworkLasso`, `TemporalFused`); it is zero for larger ``alpha`` too. A
    grid for a search goes from it downwards:
    ``alpha_max(model, X, y) * np.geomspace(1, 1e-3, 20)``.

    Parameters
    ----------
    estimator : ADMMRegressor, ADMMClassifier or MixedOutcomeModel
        Its ``alpha`` is ignored. Ridge terms added to a norm of all coefficients do not matter.
    X : dataframe or array-like of shape (n_samples, n_features)
        As in ``fit``.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        As in ``fit``.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row.

    Returns
    -------
    float
        Dual norm of the gradient of the loss, at the fit whose penalized part is zero.

    Raises
    ------
    TypeError
        If the estimator has no penalty to choose.
    ValueError
        If the penalty is not a norm, or is a norm of differences plus a ridge.

    Examples
    --------
    >>> from skmtl import ADMMRegressor, alpha_max
    >>> from skmtl.datasets import load_radon
    >>> X, y = load_radon(return_X_y=True)
    >>> model = ADMMRegressor("l21", task_column=0)
    >>> round(alpha_max(model, X, y), 3)
    16.868
    """
    if not isinstance(estimator, StructuredModel):
        raise TypeError(
            "alpha_max takes an ADMMRegressor, ADMMClassifier or MixedOutcomeModel, got "
            f"{type(estimator).__name__}. Of a pipeline, pass the last step and the features as it "
            "gets them."
        )
    model = clone(estimator).set_params(alpha=1.0)
    spec = model._spec()
    rows = read_rows(model, X, y, sample_weight, reset=True)
    with blas_threads_for(rows.work):
        return alpha_max_of(model, pose_outcomes(spec, rows).problem)


def alpha_max_of(model, problem):
    """Return `alpha_max`, given the problem that the model poses."""
    null_problem = problem.with_penalty(_without(problem.penalty, problem.data.n_tasks))
    solution = choose_solver(null_problem)(null_problem, _MAX_ITER, _TOL).solve(
        null_problem.start()
    )
    G = null_problem.evaluate(solution.coefficients).sums.G
    result = problem.penalty.dual_norm(-G)
    if solution.exhausted or solution.optimality > _GOOD or np.isinf(result):
        raise ValueError(
            f"There is no alpha_max of {model.penalty!r} on these data: an alpha is 0, or the "
            "fit without what it penalizes has no finite solution (separable classes)."
        )
    return result


def _without(penalty, n_tasks):
    """Return a penalty that makes what a norm penalizes zero."""
    kinds = [norm.null_set for norm in penalty.norms()]
    if None in kinds:
        return penalty.hard()
    shared, pooled = 0.0 if "pooled" in kinds else np.inf, np.full(n_tasks, np.inf)
    return MeanCoupling(pooled, shared, penalty.alpha_intercept, penalty.fixed_intercept)
