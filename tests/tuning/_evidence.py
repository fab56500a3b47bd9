"""Rows of random coefficients and of classes, and their evidence from dense matrices."""

from copy import copy

import numpy as np
from numpy.testing import assert_allclose
from scipy import optimize

from skmtl import MeanRegularizedClassifier, MeanRegularizedRegressor
from skmtl.data import read_rows
from skmtl.fitting import choose_solver, pose
from tests._dense import Dense
from tests._problems import Rows

AUTO = {"alpha": "auto", "alpha_intercept": "auto"}
ONE_VARIANCE = {"alpha_shared": 0.0, "alpha_intercept": 1.0, "covariance_type": "spherical"}


def simulate(T=15, d=3, seed=0, low=2, high=12, tau=0.7, tau_intercept=1.5, sigma=1.0):
    """Rows of the random-coefficient model, features with means of their own in each task."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(T), rng.integers(low, high, T))
    X = rng.normal(size=(len(codes), d)) + 1 + rng.normal(size=(T, d))[codes]
    W, b = 1 + tau * rng.normal(size=(T, d)), tau_intercept * rng.normal(size=T)
    y = np.einsum("ij,ij->i", X - X.mean(axis=0), W[codes]) + b[codes]
    return Rows(X, y + sigma * rng.normal(size=len(y)), codes)


def fit(rows, sample_weight=None, **params):
    model = MeanRegularizedRegressor(task_column=0, **ONE_VARIANCE | params)
    return model.fit(rows.long, rows.y, sample_weight)


def restricted_likelihood(y, V, F, n_rows=None, log_weights=0.0):
    """Return the restricted log-likelihood of y ~ (F beta, sigma^2 V), and sigma^2 at its maximum.

    With weights, ``n_rows`` is their sum and ``log_weights`` the sum of their logarithms.
    """
    S = F.T @ np.linalg.solve(V, F)
    residual = y - F @ np.linalg.solve(S, F.T @ np.linalg.solve(V, y))
    freedom = (len(y) if n_rows is None else n_rows) - F.shape[1]
    sigma2 = residual @ np.linalg.solve(V, residual) / freedom
    dets = np.linalg.slogdet(V)[1] + log_weights + np.linalg.slogdet(S)[1]
    return -0.5 * (freedom * (1 + np.log(2 * np.pi * sigma2)) + dets), sigma2


def dense_likelihood(rows, alpha, alpha_intercept, weight=None, alpha_shared=0.0):
    """Return the restricted log-likelihood from the whole covariance, and sigma^2.

    Alphas are in (0, inf]; at alpha_intercept = 0 each task has a fixed effect. Weights count rows:
    what is left of the covariance of repeated rows, when it is rotated to their means and what is
    beside them.
    """
    n = len(rows.y)
    weight = np.ones(n) if weight is None else weight
    Z = rows.X - np.average(rows.X, axis=0, weights=weight)
    same = rows.codes[:, None] == rows.codes
    V = np.diag(1 / weight) + same * (Z @ Z.T) / alpha
    fixed = [np.ones((n, 1))]
    if alpha_intercept == 0:
        fixed = [np.eye(rows.codes.max() + 1)[rows.codes]]
    else:
        V += same / alpha_intercept
    if alpha_shared == 0:
        fixed.append(Z)
    elif alpha_shared < np.inf:
        V += Z @ Z.T / alpha_shared
    return restricted_likelihood(rows.y, V, np.hstack(fixed), weight.sum(), np.log(weight).sum())


def dense_maximum(likelihood, start):
    result = optimize.minimize(
        lambda x: -likelihood(*np.exp(x)),
        np.log(start),
        method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-12, "maxiter": 4000},
    )
    return np.exp(result.x), -result.fun


def found(model):
    names = ("alpha_", "alpha_intercept_", "sigma2_", "tau2_", "tau2_intercept_")
    return np.array([getattr(model, name) for name in names])


def simulate_classes(T=12, d=2, seed=0, n=25, tau=1.0, tau_intercept=0.8):
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(T), n)
    X = rng.normal(size=(T * n, d))
    W, b = 0.5 + tau * rng.normal(size=(T, d)), tau_intercept * rng.normal(size=T)
    z = np.einsum("ij,ij->i", X, W[codes]) + b[codes]
    return Rows(X, (z + rng.logistic(size=T * n) > 0).astype(int), codes)


def fit_classes(rows, sample_weight=None, **params):
    given = {"alpha_shared": 1e-3, "alpha_intercept": 1.0, "covariance_type": "spherical"} | params
    model = MeanRegularizedClassifier(task_column=0, **given)
    return model.fit(rows.long, rows.y, sample_weight)


def posed(model, X, y, weight=None):
    """Return the problem of a model that is not fitted."""
    return pose(model._spec(), read_rows(model, X, y, weight, reset=True)).problem


def solver(tol):
    return lambda problem, start: choose_solver(problem)(problem, 1000, tol).solve(start)


def assert_derivative(criterion, x, step=1e-4):
    """The derivatives of a criterion are its central differences."""
    found = criterion(x, gradient=True)[1]
    steps = step * np.eye(len(x))
    differences = [(criterion(x + h) - criterion(x - h)) / (2 * step) for h in steps]
    assert_allclose(found, differences, rtol=1e-6, atol=1e-6)


def dense_evidence(model, rows, weight=None):
    """Return the log evidence at the mode that a fitted model has found, from the whole Hessian."""
    names = "alpha", "alpha_shared", "alpha_intercept"
    alphas = {name: getattr(model, f"{name}_") for name in names}
    dense = Dense(copy(model).set_params(**alphas), rows, weight)
    H, P = dense.hessian(dense.theta(model)), np.diag(dense.P)
    n_flat = np.count_nonzero(P == 0)
    return (
        -model.objective_
        + 0.5 * np.log(P[P > 0]).sum()
        - 0.5 * np.linalg.slogdet(H)[1]
        + 0.5 * n_flat * np.log(2 * np.pi)
    )
