"""Squared losses with RobustMean are solved by Newton steps in the center, without copies."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning

from skmtl import ADMMRegressor
from skmtl.solvers import _admm, _around_center

N_TASKS, N_FEATURES = 8, 4


@pytest.fixture
def rows():
    """X with a task column, y and weights; some tasks have few rows, or no values of a feature."""
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(N_TASKS), [2, 3, 9, 12, 15, 20, 25, 30])
    X = rng.normal(size=(len(task), N_FEATURES)) * [1.0, 3.0, 0.3, 1.0]
    X[task == 5, 0] = 0.0
    outlying = rng.normal(size=(N_TASKS, N_FEATURES)) * (np.arange(N_TASKS) % 3 == 0)[:, None]
    y = ((1.0 + 2.0 * outlying)[task] * X).sum(axis=1) + task + rng.normal(size=len(task))
    return np.column_stack([task, X]), y, rng.uniform(0.5, 2.0, size=len(task))


def model(**given):
    return ADMMRegressor("robust_mean", task_column=0, tol=1e-9, **given)


@pytest.mark.parametrize("alpha", [1e-2, 1.0, 30.0, 1e4])
@pytest.mark.parametrize(
    "intercepts",
    [
        {"alpha_intercept": 0.0},
        {"alpha_intercept": 2.0},
        {"alpha_intercept": np.inf},
        {"fit_intercept": False},
    ],
    ids=["free", "coupled", "equal", "none"],
)
def test_copies_give_the_same(monkeypatch, rows, alpha, intercepts):
    X, y, weight = rows
    found = model(alpha=alpha, **intercepts).fit(X, y, sample_weight=weight)
    assert found.n_iter_ <= 30
    monkeypatch.setattr(_admm, "around_center", lambda *_: (None, 0))
    expected = model(alpha=alpha, max_iter=20_000, **intercepts).fit(X, y, sample_weight=weight)
    assert expected.n_iter_ > found.n_iter_
    assert max(found.optimality_, expected.optimality_) <= 1e-9
    assert_allclose(found.objective_, expected.objective_, rtol=1e-9)
    assert_allclose(found.predict(X), expected.predict(X), rtol=1e-6, atol=1e-6)


def test_tasks_of_the_center_are_equal_to_it(rows):
    X, y, _ = rows
    found = model(alpha=30.0).fit(X, y)
    usual = np.setdiff1d(found.tasks_, found.structure_["outlier_tasks"]).astype(int)
    assert 1 < len(usual) < N_TASKS
    assert (found.coef_[usual] == found.structure_["center"]).all()


def test_copies_where_the_steps_do_not_converge(monkeypatch, rows):
    X, y, _ = rows
    expected = model(alpha=30.0).fit(X, y).objective_
    monkeypatch.setattr(_around_center, "_STEPS", 1)
    found = model(alpha=30.0).fit(X, y)
    assert found.optimality_ <= 1e-9
    assert_allclose(found.objective_, expected, rtol=1e-9)


def test_a_feature_without_values_and_a_copy(rows):
    X, y, _ = rows
    expected = model(alpha=3.0).fit(X, y)
    more = np.column_stack([X, np.zeros(len(X)), X[:, 1]])
    found = model(alpha=3.0).fit(more, y)
    assert found.optimality_ <= 1e-9
    assert found.objective_ <= expected.objective_ * (1 + 1e-10)


@pytest.mark.parametrize("max_iter", [1, 2, 3])
def test_too_few_steps(rows, max_iter):
    X, y, _ = rows
    found = model(alpha=1.0, max_iter=max_iter)
    with pytest.warns(ConvergenceWarning, match=f"stopped after {max_iter} iter"):
        found.fit(X, y)
    assert found.n_iter_ == max_iter
    assert found.optimality_ > 1e-9
    start, *_, end = found.history_
    assert end["objective"] < start["objective"]


@pytest.mark.parametrize("alpha", [1e-12, 1e-18, 1e-24])
def test_hardly_any_penalty(rows, alpha):
    """Tasks with fewer rows than features, or no values of one: each is fitted alone."""
    X, y, _ = rows
    found = model(alpha=alpha, alpha_intercept=0.0).fit(X, y)  # without warnings of overflow
    rest = y - found.predict(X)
    for task in found.tasks_:
        own = X[:, 0] == task
        Z = np.column_stack([X[own, 1:], np.ones(own.sum())])
        expected = y[own] - Z @ np.linalg.lstsq(Z, y[own], rcond=None)[0]
        assert_allclose(rest[own], expected, rtol=0, atol=1e-8)
