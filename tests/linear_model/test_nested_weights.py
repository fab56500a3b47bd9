"""Penalty weights of each feature in several task columns, against dense fits."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from skmtl import MeanRegularizedClassifier, MeanRegularizedRegressor
from skmtl.data import Basis, read_rows
from skmtl.fitting import pose, solve
from skmtl.linear_model import spec_of
from skmtl.tuning._covariance import Axes
from tests._dense import Objective
from tests.linear_model.test_nested import indicators

COLUMNS = ["country", "region", "store"]
INF = np.inf
# Of each level, from the outside in, and feature.
WEIGHTS = {
    "finite": [[1.0, 30.0, 0.2], [4.0, 0.5, 9.0], [2.0, 0.1, 50.0]],
    "uneven": [[1e-6, 3e6, 0.2], [4e4, 5e-5, 9.0], [2.0, 0.1, 5e3]],
    "fixed": [[1.0, INF, INF], [INF, 0.5, INF], [2.0, INF, 50.0]],
    "fixed in tasks": [[INF, 3.0, 2.0], [3.0, 0.5, INF], [INF, INF, INF]],
    "fixed in all": [[1.0, INF, 2.0], [0.3, INF, 9.0], [5.0, INF, 7.0]],
}


def table(n_columns, n_rows=60, d=3, seed=0):
    rng, columns = np.random.default_rng(seed), COLUMNS[-n_columns:]
    frame = pd.DataFrame({column: rng.integers(0, 3, n_rows) for column in columns})
    frame[[f"x{j}" for j in range(d)]] = rng.normal(size=(n_rows, d)) + 1.0
    y = rng.normal(size=n_rows) + frame["x0"] * frame[columns[0]] - frame["x1"]
    return frame, y.to_numpy(), rng.uniform(0.5, 2.0, size=n_rows), columns


def fit(model, frame, y, weight, alpha, shared):
    """Return the ``Fit`` with weights alpha (L, d), from the inside out."""
    spec = spec_of(model)
    posed = pose(spec, read_rows(model, frame, y, weight, reset=True))
    with np.errstate(divide="ignore"):
        F = np.diag(np.append(1.0 / np.sqrt(alpha[0]), 1.0))
    axes = Axes.of(F, posed.problem.data.square_norms.sum(axis=0), shared)
    basis = Basis(axes.B, np.isinf(alpha).all(axis=0))
    posed = posed.in_basis(basis)
    weights = {"alpha": np.where(np.isinf(alpha), INF, alpha * axes.squares)}
    weights["alpha_shared"] = shared if shared in (0, INF) else shared * axes.squares
    posed = posed.with_penalty(posed.problem.penalty.with_weights(**weights))
    return solve(spec, posed)


@pytest.mark.parametrize("solver", ["direct", "cg"])
@pytest.mark.parametrize("shared", [0.0, 0.7, INF])
@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("n_columns", [2, 3])
def test_squared_loss(n_columns, kind, shared, solver):
    frame, y, weight, columns = table(n_columns)
    alpha = np.array(WEIGHTS[kind])[-n_columns:]
    intercepts = dict(zip(columns, [0.7, 2.0, 0.3][-n_columns:], strict=True))
    model = MeanRegularizedRegressor(
        alpha_intercept=intercepts,
        task_column=columns,
        solver=solver,
        tol=1e-12 if solver == "direct" else 1e-11,
    )
    found = fit(model, frame, y, weight, alpha[::-1], shared)
    weights = dict(zip(columns, alpha, strict=True))
    Z, penalty = indicators(frame, columns, weights, intercepts, shared, weight)
    theta = np.linalg.solve((Z.T * weight) @ Z + np.diag(penalty), Z.T @ (weight * y))
    flat = found.problem.penalty.flatten(found.coefficients)
    X = frame.filter(regex="^x").to_numpy() - found.problem.data.center
    codes = frame.groupby(columns).ngroup().to_numpy()
    z = (X * flat.W[0, codes]).sum(axis=1) + flat.intercept[0, codes] + found.posed.offset
    rtol = 1e-8 if solver == "direct" else 1e-6
    assert_allclose(z, Z @ theta, rtol=rtol, atol=rtol)
    objective = 0.5 * weight @ (y - Z @ theta) ** 2 + 0.5 * penalty @ theta**2
    assert_allclose(found.solution.objective, objective, rtol=1e-9)
    assert found.evaluation().optimality < 1e-9


@pytest.mark.parametrize("solver", ["direct", "cg"])
@pytest.mark.parametrize("K", [2, 3])
@pytest.mark.parametrize("kind", WEIGHTS)
def test_classes(kind, K, solver):
    frame, y, weight, columns = table(3)
    y = np.digitize(y, np.quantile(y, np.arange(1, K) / K))
    alpha, intercepts = np.array(WEIGHTS[kind]), dict(zip(columns, [0.7, 2.0, 0.3], strict=True))
    model = MeanRegularizedClassifier(
        alpha_intercept=intercepts,
        task_column=columns,
        solver=solver,
        tol=1e-10,
    )
    found = fit(model, frame, y, weight, alpha[::-1], 0.7)
    weights = dict(zip(columns, alpha, strict=True))
    Z, penalty = indicators(frame, columns, weights, intercepts, 0.7, weight)
    dense = Objective(Z, np.diag(penalty), y, weight, K)
    assert_allclose(found.solution.objective, dense.value(dense.solve()), rtol=1e-9)
    assert found.evaluation().optimality < 1e-8
