"""Effective degrees of freedom and pooling factors of tasks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import helmert

from skmtl._typing import Array, Estimator
from skmtl.arrowhead import (
    ArrowheadSystem,
    NestedSystem,
    coupled_share,
    coupling_weights,
    degrees_objection,
    degrees_of_freedom,
    graph_degrees,
)
from skmtl.data import Moments
from skmtl.inspection._models import fitted_model
from skmtl.linear_model import fitted_problem
from skmtl.penalties import Coefficients, GraphCoupling, MeanCoupling
from skmtl.problem import class_curvature


def effective_dof(
    estimator: Estimator, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> Array:
    """Return the effective degrees of freedom of each task in a fitted model.

    For a regressor, the trace of the diagonal block of the hat matrix of the task::

        df_t = sum_i d yhat_i / d y_i     over the rows i of task t

    The sum over tasks is that of the whole model. Each lies between about (d + 1) / T, as in a
    pooled model, and d + 1, as in separate least squares. For a classifier the loss is replaced
    by its quadratic approximation at the solution: ``tr(H_t [(H + P)^-1]_tt)`` with the Hessians
    H of the loss and P of the penalty.

    Parameters
    ----------
    estimator : estimator
        Fitted Pooled, SharedL2, MeanRegularized or GraphRegularized model; or a Pipeline that ends
        in one, or a search over either.
    X, y, sample_weight : array-like
        The data of ``fit``.

    Returns
    -------
    ndarray of shape (n_tasks,)
        In the order of ``tasks_``; 0 for latent tasks of a graph.

    References
    ----------
    T. Hastie, R. Tibshirani, J. Friedman (2009). The Elements of Statistical Learning, section
    7.6. https://doi.org/10.1007/978-0-387-84858-7

    Examples
    --------
    >>> from skmtl import MeanRegularizedRegressor
    >>> from skmtl.datasets import make_multitask_regression
    >>> from skmtl.inspection import effective_dof
    >>> X, y = make_multitask_regression(3, 40, 5, random_state=0)
    >>> model = MeanRegularizedRegressor(20.0, task_column=0).fit(X, y)
    >>> effective_dof(model, X, y).round(2)
    array([4.92, 4.62, 4.71])
    """
    model, posed, place = _posed(estimator, X, y, sample_weight)
    problem = posed.problem
    penalty, K = problem.penalty, problem.loss.n_outputs
    reason = degrees_objection(problem.data, penalty, K)
    if reason is not None:
        raise ValueError(f"{reason[0].upper()}{reason[1:]}. Use fewer features or tasks.")
    result = np.zeros(len(model.tasks_))
    if K == 1:
        result[place] = degrees_of_freedom(_curved(model, posed), penalty)
    else:
        H, d = _class_curvature(model, posed, problem.data.rotated)
        if isinstance(penalty, GraphCoupling):
            kept, intercept = _penalized(d, penalty), np.arange(d + 1) == d
            kept, intercept = np.tile(kept, K), np.tile(intercept, K)
            df = graph_degrees(H[:, kept][:, :, kept], intercept[kept], penalty)
        else:
            H = _in_contrasts(H, K)
            df = _class_system(H, d, penalty, posed.basis).degrees()
        result[place] = df
    return result


def pooling_factor(
    estimator: Estimator, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> Array:
    """Return the weight of the shared model in the coefficients of each task, from 0 to 1.

    Given the center (or the neighbors in a graph), the coefficients of a task are a mean of its
    own least squares estimate and of the center, with the matrix weights ``M^-1 H`` and
    ``M^-1 D``: H is the Hessian of its loss, D that of the penalty on its deviation from the
    center, and M = H + D. The factor is the mean weight of the center over the coefficients and
    the centered intercept (the prediction at the mean of the features)::

        lambda_t = tr(M_t^-1 D_t) / (d + 1)

    With several task columns, the center is the group that the task is in; `coef_table` has the
    factors of the groups too.

    It is 0 for separate models (SharedL2 at any alpha, which shrinks towards zero) and 1 for a
    pooled one. It is also the mean over coefficients of the variance given the data and the
    center, divided by the variance between tasks: the pooling factor of Gelman and Pardoe. For a
    mean of n_t rows with noise variance s^2 and variance v between tasks it is
    (s^2 / n_t) / (s^2 / n_t + v).

    Parameters
    ----------
    estimator : estimator
        As in `effective_dof`.
    X, y, sample_weight : array-like
        The data of ``fit``.

    Returns
    -------
    ndarray of shape (n_tasks,)
        In the order of ``tasks_``, from 0 to 1; 1 for latent tasks of a graph.

    References
    ----------
    A. Gelman and I. Pardoe (2006). Bayesian measures of explained variance and pooling in
    multilevel models. Technometrics 48, 241-251. https://doi.org/10.1198/004017005000000517

    Examples
    --------
    >>> from skmtl import MeanRegularizedRegressor
    >>> from skmtl.datasets import load_radon
    >>> from skmtl.inspection import pooling_factor
    >>> X, y = load_radon(return_X_y=True)
    >>> model = MeanRegularizedRegressor(5.0, task_column=0).fit(X, y)
    >>> factor = pooling_factor(model, X, y)
    >>> factor[[model.task_counts_.argmax(), model.task_counts_.argmin()]].round(2)
    array([0.42, 0.83])
    """
    model, posed, place = _posed(estimator, X, y, sample_weight)
    problem = posed.problem
    result = np.ones(len(model.tasks_))
    penalty, T, d = problem.penalty, problem.data.n_tasks, problem.data.n_features
    data = problem.data.rotated
    r = data.n_features
    precision, alpha_intercept = coupling_weights(penalty, T, r)
    if problem.loss.n_outputs == 1:
        parts = np.inf, alpha_intercept, penalty.fixed_intercept
        moments = _curved(model, posed).rotated.task_moments
        weight = ArrowheadSystem(moments, precision, *parts).pooling()
    else:
        H, _ = _class_curvature(model, posed, data)
        weight = _class_system(H, r, penalty, posed.basis).pooling()[:, :-1]
    weight = weight.reshape(T, -1, r + 1).mean(axis=1)  # over classes
    counted, share = _penalized(r, penalty), coupled_share(penalty, T, r)
    total = (share * weight)[:, counted].sum(axis=1)
    if r < d:  # orthogonal to the rows, the center alone counts
        total += (d - r) * share[:, 0] * (precision[:, 0] > 0)
    result[place] = np.clip(total / (counted.sum() + d - r), 0.0, 1.0)
    return result


def _posed(estimator, X, y, sample_weight):
    """Return the model, its ``Posed`` and the positions of the tasks in ``tasks_``."""
    model, X = fitted_model(estimator, X)
    posed, place = fitted_problem(model, X, y, sample_weight)
    if posed.rows.outcomes is not None:
        raise TypeError(
            "There are no degrees of freedom of tasks of different kinds, which "
            f"{type(model).__name__} has. Pass a model of regressions, or of classes."
        )
    if not isinstance(posed.problem.penalty, MeanCoupling | GraphCoupling):
        raise TypeError(
            f"{type(model).__name__} has a non-smooth penalty, and no degrees of freedom in closed "
            "form. Pass a Pooled, SharedL2, MeanRegularized or GraphRegularized model."
        )
    if isinstance(posed.problem.penalty, GraphCoupling) and not posed.problem.penalty.isotropic:
        raise ValueError(
            "With a task_graph there are no degrees of freedom of slopes that penalty_factor=inf "
            "makes common to all tasks. Use a large number instead."
        )
    return model, posed, place


def _derivative(model, posed):
    """Return the derivatives of the loss in the predictions at the solution, (K, n)."""
    own, problem = model.task_counts_ > 0, posed.problem  # others are latent
    data = problem.data
    W, intercept = model.coef_[own], model.intercept_[own] + model.coef_[own] @ data.center
    if problem.loss.n_outputs == 1:
        W, intercept = W[None], intercept[None]
    else:
        W, intercept = np.ascontiguousarray(W.swapaxes(0, 1)), np.ascontiguousarray(intercept.T)
    first = W[:, 0]  # in fixed coordinates of a basis, that of all tasks
    point = Coefficients(W - first[:, None], intercept, first, np.zeros(len(W)))
    W = W if posed.basis is None else posed.from_users(point).W
    return data.loss_sums(problem.loss, W, intercept).derivative


def _curved(model, posed):
    """Return the data, with rows weighted by the curvature of the loss at the solution."""
    problem = posed.problem
    if problem.loss.constant_curvature is not None:
        return problem.data
    return problem.curved(_derivative(model, posed))


def _class_curvature(model, posed, data):
    """Return the Hessian of the loss of K classes, (T, K (d + 1), K (d + 1)), and d.

    Its coordinates are the coefficients and the centered intercept of each class. ``data`` are
    those of the problem, or the same rotated.
    """
    problem = posed.problem
    probabilities = problem.loss.probabilities(problem.data.y, _derivative(model, posed))
    return class_curvature(data, probabilities, intercept=True), data.n_features


def _in_contrasts(H, K):
    """Return the Hessian in orthonormal contrasts of the classes, which have all the curvature."""
    T, size, B = len(H), H.shape[1] // K, helmert(K)
    found = np.einsum("ak,tkilj,bl->taibj", B, H.reshape(T, K, size, K, size), B, optimize=True)
    return found.reshape(T, (K - 1) * size, (K - 1) * size)


def _class_system(H, d, penalty, basis):
    """Return the ``ArrowheadSystem`` of the coefficients and intercepts of K classes."""
    n_tasks, K = len(H), H.shape[1] // (d + 1)
    fixed = np.zeros(d, dtype=bool) if basis is None else basis.fixed
    small = fixed
    if penalty.nesting is not None and penalty.alpha.ndim == 2:
        small = fixed | np.isinf(penalty.alpha).any(axis=0)
    # Fixed features of usual size: the null space of classes would lose small ones.
    scale = np.where(small, 1.0 / basis.lengths, 1.0) if small.any() else np.ones(d)
    if small.any():
        each = np.tile(np.append(scale, 1.0), K)
        H = each[:, None] * H * each
    shared = np.broadcast_to(penalty.alpha_shared, d) * scale**2
    shared = np.tile(np.append(shared, np.inf if penalty.fixed_intercept else 0.0), K)

    def precision_of(coupling, T):
        precision, alpha_intercept = coupling_weights(coupling, T, d)
        precision = np.where(fixed, np.inf, precision * scale**2)
        own = np.column_stack([precision, np.broadcast_to(alpha_intercept, T)])
        return np.tile(own, K)

    def moments(tasks):
        own = H[tasks]
        return Moments(own, np.zeros(own.shape[:2]), np.zeros(len(own)))

    precision = precision_of(penalty, n_tasks)
    if penalty.nesting is None:
        return ArrowheadSystem(moments, precision, shared, np.inf, True)
    levels = np.full(len(penalty.alpha_intercept), np.inf)
    whole = replace(penalty, alpha_shared=shared, alpha_intercept=levels, fixed_intercept=True)
    of_groups = [precision_of(own, len(own.alpha)) for own in penalty.levels_of_groups]
    return NestedSystem(moments, precision, whole, of_groups)


def _penalized(d, penalty):
    """Return which of the coefficients and the centered intercept the model has, (d + 1,)."""
    return np.append(np.ones(d, bool), not penalty.fixed_intercept)
