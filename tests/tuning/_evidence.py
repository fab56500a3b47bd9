"""Rows of random coefficients, and their likelihood from the whole covariance."""

import numpy as np
from scipy import optimize

from skmtl import (
    MeanRegularizedRegressor,
)
from tests._problems import Rows

AUTO = {"alpha": "auto", "alpha_intercept": "auto"}


def simulate(T=15, d=3, seed=0, low=2, high=12, tau=0.7, tau_level=1.5, sigma=1.0):
    """Rows of the random-coefficient model, features with means of their own in each task."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(T), rng.integers(low, high, T))
    X = rng.normal(size=(len(codes), d)) + 1 + rng.normal(size=(T, d))[codes]
    W, level = 1 + tau * rng.normal(size=(T, d)), tau_level * rng.normal(size=T)
    y = np.einsum("ij,ij->i", X - X.mean(axis=0), W[codes]) + level[codes]
    return Rows(X, y + sigma * rng.normal(size=len(y)), codes)


def fit(rows, sample_weight=None, **params):
    model = MeanRegularizedRegressor(task_column=0, **params)
    return model.fit(rows.long, rows.y, sample_weight)


def dense_likelihood(rows, alpha, alpha_intercept, weight=None, alpha_shared=0.0):
    """The restricted log-likelihood from the whole covariance; strengths in (0, inf] or, of
    levels, 0: then each task has a fixed effect. Weights count rows: what is left of the covariance
    of repeated rows, when it is rotated to their means and what is beside them."""
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
    F = np.hstack(fixed)
    S = F.T @ np.linalg.solve(V, F)
    residual = rows.y - F @ np.linalg.solve(S, F.T @ np.linalg.solve(V, rows.y))
    freedom = weight.sum() - F.shape[1]
    sigma2 = residual @ np.linalg.solve(V, residual) / freedom
    dets = np.linalg.slogdet(V)[1] + np.log(weight).sum() + np.linalg.slogdet(S)[1]
    return -0.5 * (freedom * (1 + np.log(2 * np.pi * sigma2)) + dets), sigma2


def dense_maximum(likelihood, start):
    result = optimize.minimize(
        lambda x: -likelihood(*np.exp(x)),
        np.log(start),
        method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-13, "maxiter": 4000},
    )
    return np.exp(result.x), -result.fun


def found(model):
    names = ("alpha_", "alpha_intercept_", "sigma2_", "tau2_", "tau2_intercept_")
    return np.array([getattr(model, name) for name in names])
