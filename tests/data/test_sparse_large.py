"""Sparse X whose blocks would be large, and columns that are full in one task, against dense X."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone, is_classifier

from skmtl import MeanRegularizedClassifier, MeanRegularizedRegressor
from skmtl.data import _sparse
from skmtl.inspection import effective_dof

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
