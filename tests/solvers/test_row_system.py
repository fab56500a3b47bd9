"""Ridges of tasks that share rows, fewer than features, against scikit-learn and closed forms."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import Ridge

from skmtl import MeanRegularizedRegressor, SharedL2Regressor
from skmtl.data._wide import WideData
from skmtl.losses import SquaredLoss
from skmtl.penalties import MeanCoupling
from skmtl.problem import Problem
from skmtl.solvers._row_system import RowSystem


def rows(n=12, d=30, n_tasks=4, offset=100.0):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(n, d)), rng.normal(size=(n, n_tasks))
    return X + 3.0, Y + offset * np.arange(n_tasks), rng.uniform(0.5, 2.0, n)


def problem(alpha, *, weight=None, task_weight=1.0, fixed_intercept=False, observed=None):
    X, Y, ones = *rows()[:2], np.ones(12)
    weight = ones if weight is None else weight
    center = np.zeros(30) if fixed_intercept else np.average(X, axis=0, weights=weight)
    data = WideData(X, Y, weight, np.broadcast_to(task_weight, 4), observed, center)
    intercept = np.inf if fixed_intercept else 0.0
    penalty = MeanCoupling(np.broadcast_to(alpha, 4), np.inf, intercept, fixed_intercept)
    return Problem(data, SquaredLoss(), penalty)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("alpha", [1e-6, 1.0, 1e4])
def test_wide_form_is_ridge(alpha, weighted, fit_intercept):
    X, Y, weight = rows()
    weight = weight if weighted else None
    model = SharedL2Regressor(alpha, fit_intercept=fit_intercept, tol=1e-10).fit(X, Y, weight)
    ridge = Ridge(alpha, fit_intercept=fit_intercept, solver="svd").fit(X, Y, weight)
    assert_allclose(model.coef_, ridge.coef_, rtol=0, atol=1e-9)
    assert_allclose(model.intercept_, ridge.intercept_, rtol=0, atol=1e-7)
    assert model.n_iter_ == 1


def test_applies():
    assert RowSystem.applies(problem(1.0))
    assert RowSystem.applies(problem(1.0, weight=np.linspace(1, 2, 12), task_weight=3.0))
    assert not RowSystem.applies(problem(0.0))
    assert not RowSystem.applies(problem(np.inf))
    assert not RowSystem.applies(problem(np.arange(1.0, 5.0)))
    assert not RowSystem.applies(problem(1.0, task_weight=np.arange(1.0, 5.0)))
    observed = np.ones((12, 4), dtype=bool)
    observed[0] = False
    assert not RowSystem.applies(problem(1.0, observed=observed))


@pytest.mark.parametrize("fixed_intercept", [True, False])
@pytest.mark.parametrize("task_weight", [1.0, 3.0])
def test_second_step_refines(task_weight, fixed_intercept):
    """From the solution it moves by rounding errors, and after an error it returns."""
    given = {"weight": np.linspace(1, 2, 12), "fixed_intercept": fixed_intercept}
    posed = problem(1.0, task_weight=task_weight, **given)
    system = RowSystem(posed)
    first = system.step(posed.start())
    assert posed.evaluate(first).optimality < 1e-11
    second = system.step(first)
    assert_allclose(second.V, first.V, rtol=0, atol=1e-11)
    assert posed.evaluate(second).optimality < 1e-11


@pytest.mark.parametrize("alpha_intercept", [0.0, 2.0])
def test_one_task_around_a_known_center(alpha_intercept):
    X, Y, weight = rows()
    rng = np.random.default_rng(1)
    known = np.column_stack([np.zeros(60), rng.normal(size=(60, 30))])
    model = MeanRegularizedRegressor(0.7, alpha_intercept=alpha_intercept, task_column=0)
    model.fit(known, known[:, 1:] @ np.arange(30.0) + rng.normal(size=60))
    found = model.adapt(np.column_stack([np.ones(12), X]), Y[:, 1], weight)
    center, b = model.shared_coef_, model.shared_intercept_
    if alpha_intercept == 0:
        rest = Ridge(0.7, solver="svd").fit(X, Y[:, 1] - X @ center - b, weight)
        own = np.append(rest.coef_, rest.intercept_)
    else:  # centered intercepts, penalized
        Z = np.column_stack([X - known[:, 1:].mean(axis=0), np.ones(12)])
        penalty = np.diag(np.append(np.full(30, 0.7), alpha_intercept))
        right = Z.T @ (weight * (Y[:, 1] - X @ center - b))
        own = np.linalg.solve(Z.T @ (weight[:, None] * Z) + penalty, right)
        own[-1] -= own[:-1] @ known[:, 1:].mean(axis=0)
    assert_allclose(found.coef_[1], center + own[:-1], rtol=0, atol=1e-9)
    assert_allclose(found.intercept_[1], b + own[-1], rtol=0, atol=1e-8)
