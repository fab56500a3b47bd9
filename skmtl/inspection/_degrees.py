"""Effective degrees of freedom and pooling factors of tasks."""

import numpy as np
from numpy.typing import ArrayLike

from skmtl._linalg import SymmetricSolver
from skmtl._typing import Array, Estimator
from skmtl.arrowhead import MOST_UNKNOWNS, degrees_of_freedom, graph_degrees
from skmtl.inspection._fitted import fitted_model, transformed
from skmtl.linear_model import fitted_problem
from skmtl.penalties import Coefficients, GraphCoupling, MeanCoupling


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
    model, problem, place = _posed(estimator, X, y, sample_weight)
    _check_size(problem)
    result = np.zeros(len(model.tasks_))
    if problem.loss.n_outputs > 1:
        H = _blocks(model, problem)
        kind = _along_graph if isinstance(problem.penalty, GraphCoupling) else _around_center
        result[place] = kind(H, problem)
    else:
        result[place] = degrees_of_freedom(_curved(model, problem), problem.penalty)
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
    model, problem, place = _posed(estimator, X, y, sample_weight)
    result = np.ones(len(model.tasks_))
    H = _blocks(model, problem)
    ties, shares = _ties(problem, H.shape[-1])
    taken = np.empty(len(H))
    for t, own in enumerate(H):
        free = np.isfinite(ties[t])
        weight = np.ones(len(own))  # of the center, one per coordinate
        if free.any():
            part = own[np.ix_(free, free)]
            weight[free] = 1.0 - np.diag(_own_weight(part, ties[t, free], part))
        taken[t] = (shares[t] * weight).sum() / _counted(problem, len(own))
    result[place] = np.clip(taken, 0.0, 1.0)
    return result


def _posed(estimator, X, y, sample_weight):
    """Return the model, its problem and the positions of the tasks in ``tasks_``."""
    model, before = fitted_model(estimator)
    X = transformed(before, X)
    problem, place = fitted_problem(model, X, y, sample_weight)
    if not isinstance(problem.penalty, MeanCoupling | GraphCoupling):
        raise TypeError(
            f"{type(model).__name__} has a non-smooth penalty, and no degrees of freedom in closed "
            "form. Pass a Pooled, SharedL2, MeanRegularized or GraphRegularized model."
        )
    return model, problem, place


def _check_size(problem):
    """Raise an error if the dense system of a graph exceeds the limit."""
    size = problem.data.n_tasks * problem.loss.n_outputs * (problem.data.n_features + 1)
    if isinstance(problem.penalty, GraphCoupling) and size > MOST_UNKNOWNS:
        raise ValueError(
            f"With a task_graph this requires one dense system, here of {size} unknowns; the limit "
            f"is {MOST_UNKNOWNS}. Use fewer features or tasks, or task_graph=None."
        )


def _point(model, problem):
    """Return the coefficients and centered intercepts, (K, T, d) and (K, T)."""
    kept = np.flatnonzero(model.task_counts_ > 0)  # others are latent
    W, b = model.coef_[kept], model.intercept_[kept]
    intercept = b + W @ problem.data.center
    if problem.loss.n_outputs > 1:
        return np.ascontiguousarray(W.swapaxes(0, 1)), np.ascontiguousarray(intercept.T)
    return W[None], intercept[None]


def _curved(model, problem):
    """Return the data, with rows weighted by the curvature of the loss at the solution."""
    if problem.loss.constant_curvature is not None:
        return problem.data
    sums = problem.data.loss_sums(problem.loss, *_point(model, problem))
    return problem.data.curved(problem.loss.curvature(sums.derivative)[0])


def _blocks(model, problem):
    """Return the Hessian of the loss in the coefficients and centered intercept of each task.

    Its shape is (T, d + 1, d + 1), or (T, K (d + 1), K (d + 1)) with K classes, ordered by class.
    """
    data, K = problem.data, problem.loss.n_outputs
    T, m = data.n_tasks, data.n_features + 1
    if K == 1:
        data = _curved(model, problem)
        return data.moments(data.block).gram(intercept=True) * data.scale[:, None, None]
    sums = data.loss_sums(problem.loss, *_point(model, problem))
    p = problem.loss.probabilities(data.y, sums.derivative)
    result, first = np.zeros((T, K, m, K, m)), 0
    for t, size in enumerate(data.block_sizes):
        rows = slice(first, first + size)
        Z = np.column_stack([data.X[rows], np.ones(size)])
        own = (p[:, rows, None] * Z).transpose(1, 0, 2)  # (n_t, K, m)
        weighted = np.broadcast_to(data.weight, p.shape[1:])[rows]
        for k in range(K):
            result[t, k, :, k] = (Z.T * (weighted * p[k, rows])) @ Z
        result[t] -= np.einsum("i,ika,ilb->kalb", weighted, own, own, optimize=True)
        first += size
    return result.reshape(T, K * m, K * m)


def _ties(problem, size):
    """Return the penalty weights of the coordinates, and the part that couples tasks, (T, size).

    The part is a fraction: 0 where the penalty shrinks towards zero, 1 where towards other tasks.
    """
    penalty, T, d = problem.penalty, problem.data.n_tasks, problem.data.n_features
    ties, shares = np.empty((T, d + 1)), np.ones((T, d + 1))
    if isinstance(penalty, GraphCoupling):
        curvature, center = (
            penalty.curvature(),
            Coefficients.zeros(T, 1)._replace(w=np.ones((1, 1))),
        )
        strength, ones = curvature.V[:, 0], penalty.gradient(center).V[0, :, 0]
        ties[:, :-1], ties[:, -1] = curvature.V, curvature.q
        share = np.divide(strength - ones, strength, out=np.zeros(T), where=strength > 0)
        shares[:, :-1] = share[:, None]
    else:
        ties[:, :-1], ties[:, -1] = penalty.alpha[:, None], penalty.alpha_intercept
        shares[:, :-1] = float(not penalty.fixed_center)
    if penalty.fixed_intercept:
        ties[:, -1], shares[:, -1] = np.inf, 0.0
    return np.tile(ties, size // (d + 1)), np.tile(shares, size // (d + 1))


def _counted(problem, size):
    """Return the number of coordinates of a task, with centered intercepts if the model has any."""
    d = problem.data.n_features
    return size // (d + 1) * (d + (not problem.penalty.fixed_intercept))


def _own_weight(H, ties, sides):
    """Return ``(H + D)^- sides`` for right-hand sides in the range of H."""
    return SymmetricSolver(H + np.diag(ties)).solve(sides)


def _around_center(H, problem):
    """Return df_t by elimination of the deviations.

    The derivative of the coefficients in the center is ``R_t = I - M_t^- H_t``. The system of the
    center is ``S = sum H_t R_t + alpha_shared``, and
    ``df_t = tr(M_t^- H_t) + tr(S^- R_t' H_t R_t)``.
    """
    ties, _ = _ties(problem, H.shape[-1])
    penalty, d = problem.penalty, problem.data.n_features
    shared = np.append(np.full(d, penalty.alpha_shared), np.inf if penalty.fixed_intercept else 0.0)
    shared = np.tile(shared, H.shape[-1] // (d + 1))
    center = np.isfinite(shared) & (ties > 0).any(axis=0)  # coordinates that couple tasks
    S, df, following = np.diag(shared[center]), np.zeros(len(H)), []
    for t, own in enumerate(H):
        free, R = np.isfinite(ties[t]), np.eye(len(own))
        if free.any():
            weight = _own_weight(own[np.ix_(free, free)], ties[t, free], own[free])
            df[t] = np.trace(weight[:, free])
            R[free] -= weight
        R = R[:, center]
        following.append(R.T @ own @ R)
        S = S + (own @ R)[center]
    if center.any():
        solver = SymmetricSolver(0.5 * (S + S.T))
        df += [np.trace(solver.solve(own)) for own in following]
    return df


def _along_graph(H, problem):
    """Return df_t by one dense system of all tasks."""
    d = problem.data.n_features
    intercept = np.tile(np.arange(d + 1) == d, H.shape[-1] // (d + 1))
    kept = np.flatnonzero(~intercept | (not problem.penalty.fixed_intercept))
    return graph_degrees(H[:, kept][:, :, kept], intercept[kept], problem.penalty)
