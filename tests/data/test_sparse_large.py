"""Sparse X whose blocks would be large, and columns that are full in one task, against dense X."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone, is_classifier

from skmtl import (
    ADMMClassifier,
    ADMMRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    PooledRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
)
from skmtl.data import _sparse
from skmtl.inspection import effective_dof
from skmtl.penalties import L1, L21
from skmtl.solvers import _proximal

REGRESSOR = MeanRegularizedRegressor(1.0, alpha_shared=0.2, task_column=0)
CLASSIFIER = MeanRegularizedClassifier(1.0, alpha_shared=0.2, task_column=0)


@pytest.fixture(scope="module")
def rows():
    """Return a dense X with labels in front, a target and two classes."""
    rng = np.random.default_rng(0)
    X = sparse.random_array((200, 12), density=0.3, random_state=rng).toarray()
    X[:, 0] = rng.integers(0, 4, 200)
    y = X[:, 1:] @ rng.normal(size=11) * 3 + rng.normal(size=200) + 0.3 * X[:, 0]
    return X, y, (y > np.median(y)).astype(int)


def assert_same(model, X, dense, y, rtol=1e-7, **fit):
    """Fit a model to both, and compare coefficients and predictions."""
    own, other = clone(model).fit(X, y, **fit), clone(model).fit(dense, y, **fit)
    method = "predict_proba" if is_classifier(model) else "predict"
    for a, b in (
        (own.coef_, other.coef_),
        (getattr(own, method)(X), getattr(other, method)(dense)),
    ):
        np.testing.assert_allclose(a, b, rtol, rtol * np.abs(b).max())
    return own


@pytest.mark.parametrize("solver", ["direct", "cg"])
@pytest.mark.parametrize("everywhere", [True, False])
def test_offsets(rows, everywhere, solver):
    X, y = rows[0].copy(), rows[1]
    X[:, 3] += 1e8 if everywhere else 1e5 * (X[:, 0] == 1)
    model = clone(REGRESSOR).set_params(solver=solver, tol=1e-10, max_iter=10_000)
    assert_same(model, sparse.csr_array(X), X, y, rtol=1e-6)


def test_minimax_without_blocks(rows, monkeypatch):
    monkeypatch.setattr(_sparse.SparseLayout, "expensive_blocks", True)
    X, _, y = rows
    model = clone(CLASSIFIER).set_params(task_weight="minimax", tol=1e-9)
    assert_same(model, sparse.csr_array(X), X, y, rtol=1e-6)


def test_too_large_for_what_needs_matrices(rows, monkeypatch):
    X, y, _ = rows
    X = sparse.csr_array(X)
    model = clone(REGRESSOR).fit(X, y)
    monkeypatch.setattr(_sparse, "memory_limit", lambda: 1000.0)
    message = "Matrices of 11 rows and columns are needed, .* TruncatedSVD"
    for given in ({"alpha": "auto"}, {"task_weight": "uncertainty"}):
        with pytest.raises(ValueError, match=message):
            clone(REGRESSOR).set_params(**given).fit(X, y)
    with pytest.raises(ValueError, match=message):
        effective_dof(model, X, y)


@pytest.mark.parametrize(
    "model",
    [
        MeanRegularizedRegressor(1.0),
        MeanRegularizedRegressor(1.0, alpha_shared=0.5),
        MeanRegularizedClassifier(0.1),
        SharedL2Regressor(1.0),
        SharedL2Classifier(0.1),
        PooledRegressor(0.0),
    ],
    ids=str,
)
def test_units(model, monkeypatch):
    """Without blocks and warnings: features are in units from 1e-3 to 1e3."""
    monkeypatch.setattr(_sparse.SparseLayout, "expensive_blocks", True)
    rng = np.random.default_rng(0)
    X = sparse.random_array((600, 80), density=0.1, random_state=rng).toarray()
    X *= 10.0 ** rng.uniform(-3, 3, 80)
    tasks = rng.integers(0, 4, 600)
    y = (X / X.std(axis=0)) @ rng.normal(size=80) * 0.1 + rng.normal(size=600) + 0.3 * tasks
    X, y = np.column_stack([tasks, X]), (y > 0).astype(int) if is_classifier(model) else y
    own = clone(model).set_params(task_column=0, tol=1e-10).fit(sparse.csr_array(X), y)
    other = clone(model).set_params(task_column=0, tol=1e-10).fit(X, y)
    assert own.objective_ == pytest.approx(other.objective_, rel=1e-9)
    np.testing.assert_allclose(
        own.coef_ * X[:, 1:].std(axis=0), other.coef_ * X[:, 1:].std(axis=0), 1e-5, 1e-6
    )


@pytest.mark.parametrize("penalty", [L21(), L1()])
@pytest.mark.parametrize("classes", [0, 2, 3])
def test_working_sets(penalty, classes, monkeypatch):
    """They grow from five features to those of the solution."""
    monkeypatch.setattr(_proximal, "_FIRST", 5)
    rng = np.random.default_rng(0)
    X = sparse.random_array((400, 300), density=0.1, random_state=rng).toarray()
    tasks = rng.integers(0, 4, 400)
    y = X @ (rng.normal(size=300) * (rng.random(300) < 0.1)) * 3 + 0.5 * rng.normal(size=400)
    if classes:
        y = np.digitize(y, np.quantile(y, np.linspace(0, 1, classes + 1)[1:-1]))
    X = np.column_stack([tasks, X])
    model = (ADMMClassifier if classes else ADMMRegressor)(penalty, 1.0, task_column=0)
    other = clone(model).fit(X, y)
    own = model.set_params(solver="proximal").fit(sparse.csr_array(X), y)
    assert 5 < own.structure_.selected_features.sum() < 300
    assert own.objective_ == pytest.approx(other.objective_, rel=1e-8)
    np.testing.assert_allclose(own.coef_, other.coef_, 1e-4, 1e-5)
