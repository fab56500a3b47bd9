"""Block coordinate descent: L1 and L21 in all forms, with penalized and free intercepts."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Lasso, MultiTaskLasso

from skmtl import ADMMClassifier, ADMMRegressor, MixedOutcomeModel, _descent_kernels, alpha_max
from skmtl.penalties import L1, L21, Ridge
from skmtl.solvers import _descent, _proximal

norms = pytest.mark.parametrize("norm", [L1, L21], ids=["l1", "l21"])


def tall(rng, T, d, n, offset=0.0):
    """Return rows of the long form, n for each task, with features of several scales."""
    X = (rng.standard_normal((n * T, d)) + offset) * 10.0 ** rng.uniform(-1, 1, d)
    tasks = np.repeat(np.arange(T), n)
    W = rng.standard_normal((T, d)) * (rng.random(d) < 0.5)
    y = np.einsum("ij,ij->i", X / X.std(axis=0), W[tasks]) + rng.standard_normal(n * T)
    return np.column_stack([tasks, X]), y


def wide(rng, T, d, n):
    X = rng.standard_normal((n, d)) + 1.0
    W = rng.standard_normal((d, T)) * (rng.random((d, 1)) < 0.3)
    return X, X @ W + rng.standard_normal((n, T))


def assert_optimal(model, X, y, sample_weight=None, rtol=1e-8):
    """Compare with ADMM, which has nothing in common with it but the certificate."""
    params = model.get_params(deep=False)
    found = type(model)(**params).fit(X, y, sample_weight)
    params |= {"solver": "admm", "tol": 1e-10, "max_iter": 20_000}
    expected = type(model)(**params).fit(X, y, sample_weight)
    assert found.optimality_ <= model.tol
    assert "rho" not in found.history_[-1]
    assert_allclose(found.objective_, expected.objective_, rtol=rtol, atol=1e-9)


@pytest.mark.parametrize("share", [0.5, 0.02])
@norms
def test_wide_regression_is_that_of_scikit_learn(norm, share):
    X, Y = wide(np.random.default_rng(0), 5, 40, 60)
    model = ADMMRegressor(norm(), alpha_intercept=0.0, tol=1e-12)
    alpha = share * alpha_max(model, X, Y)
    model.set_params(alpha=alpha).fit(X, Y)
    theirs = Lasso if norm is L1 else MultiTaskLasso
    other = theirs(alpha / len(X), tol=1e-14, max_iter=100_000).fit(X, Y)
    assert_allclose(model.coef_, other.coef_, rtol=0, atol=1e-9)
    assert_allclose(model.intercept_, other.intercept_, rtol=0, atol=1e-9)
    assert_array_equal(model.coef_ == 0, other.coef_ == 0)


@pytest.mark.parametrize("alpha_intercept", [0.0, 0.7, np.inf, None])
@pytest.mark.parametrize("kind", [ADMMRegressor, ADMMClassifier], ids=["squared", "logit"])
@norms
def test_intercepts_of_every_kind(norm, kind, alpha_intercept):
    rng = np.random.default_rng(1)
    X, y = tall(rng, 4, 6, 20, offset=2.0)
    params = {"fit_intercept": False}
    if alpha_intercept is not None:
        params = {"alpha_intercept": alpha_intercept}
    y = y > np.median(y) if kind is ADMMClassifier else y + 10.0
    weight = rng.uniform(0.2, 3.0, len(X))
    model = kind(norm(), 0.8, task_column=0, task_weight="balanced", **params)
    assert_optimal(model, X, y, weight)


@pytest.mark.parametrize("alpha_intercept", [0.0, 2.0])
@norms
def test_tasks_with_missing_targets_and_weights(norm, alpha_intercept):
    """Blocks that some tasks share, of different weights."""
    rng = np.random.default_rng(2)
    X, Y = wide(rng, 6, 8, 30)
    Y[:5, :2] = Y[20:, 3] = np.nan
    model = ADMMRegressor(
        norm() + Ridge(0.3), 2.0, alpha_intercept=alpha_intercept, task_weight=[1, 2, 3, 1, 1, 2]
    )
    assert_optimal(model, X, Y)
    assert_optimal(model, X, np.nan_to_num(Y))


# Few rows, free features, small alpha: directions in which the loss is flat, features that a
# Newton step turns, and coefficients that it takes beyond zero one after the other.
@pytest.mark.filterwarnings("ignore:The 'admm' solver")  # its objective is good enough
@pytest.mark.parametrize("seed", range(12))
@norms
def test_more_features_than_rows(norm, seed):
    rng = np.random.default_rng(seed)
    X, y = tall(rng, 4, 20, 8)
    X[:, -1] = X[:, 1]
    factor = rng.choice([0.0, 0.5, 1.0, 2.0, np.inf], 20, p=[0.2, 0.2, 0.3, 0.2, 0.1])
    intercept = {"alpha_intercept": float(rng.choice([0.0, 1.0, np.inf]))}
    if seed % 3 == 0:
        intercept = {"fit_intercept": False}
    model = ADMMRegressor(norm(penalty_factor=factor), 10.0 ** -(seed % 4), task_column=0)
    assert_optimal(model.set_params(**intercept, max_iter=3000), X, y, rtol=1e-6)


def test_norms_of_one_task_are_absolute_values():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((15, 60)) + 1.0
    z = X @ (rng.standard_normal(60) * (rng.random(60) < 0.3)) + rng.standard_normal(15)
    y = z > np.median(z)
    l1, l21 = (ADMMClassifier(norm(), 0.001).fit(X, y) for norm in (L1, L21))
    assert_allclose(l21.objective_, l1.objective_, rtol=1e-9)
    assert_allclose(l21.predict_proba(X), l1.predict_proba(X), rtol=0, atol=1e-7)


@norms
def test_no_feature_at_alpha_max(norm):
    X, Y = wide(np.random.default_rng(4), 5, 30, 40)
    model = ADMMRegressor(norm(), alpha_intercept=0.0)
    largest = alpha_max(model, X, Y)
    assert not model.set_params(alpha=largest).fit(X, Y).coef_.any()
    assert model.set_params(alpha=0.99 * largest).fit(X, Y).coef_.any()


@pytest.mark.parametrize("kind", [ADMMRegressor, ADMMClassifier], ids=["squared", "logit"])
@norms
def test_working_sets_and_gradient_steps_solve_the_same(monkeypatch, norm, kind):
    X, y = tall(np.random.default_rng(5), 3, 40, 30)
    y = y > 0 if kind is ADMMClassifier else y
    model = kind(norm(), 3.0, task_column=0)
    expected = model.fit(X, y).coef_.copy()
    sizes, start = [], _descent.BlockDescent.__init__
    monkeypatch.setattr(_proximal, "_FIRST", 4)
    monkeypatch.setattr(
        _descent.BlockDescent,
        "__init__",
        lambda self, data, *given: sizes.append(data.n_features) or start(self, data, *given),
    )
    assert_allclose(model.fit(X, y).coef_, expected, rtol=0, atol=1e-7 * np.abs(expected).max())
    assert 0 < max(sizes) < 40
    monkeypatch.setattr(_proximal, "_has_room", lambda *given: False)
    sizes.clear()
    model.set_params(solver="proximal", max_iter=20_000).fit(X, y)
    assert not sizes
    assert_allclose(model.coef_, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@norms
def test_tasks_of_different_kinds(norm):
    rng = np.random.default_rng(6)
    X, Z = wide(rng, 3, 6, 80)
    Z /= Z.std(axis=0)
    y = np.empty(Z.shape, dtype=object)
    y[:, 0], y[:, 1] = Z[:, 0], np.where(Z[:, 1] > 0, "yes", "no")
    y[:, 2] = rng.poisson(np.exp(np.clip(Z[:, 2], -3, 3))).astype(float)
    model = MixedOutcomeModel(norm(), alpha=4.0, losses={0: "squared", 1: "logistic", 2: "poisson"})
    assert_optimal(model, X, y)


@pytest.mark.parametrize("seed", [41, 42, 58])
def test_factors_of_dependent_coefficients_do_not_grow(seed):
    X = np.random.default_rng(seed).standard_normal((20, 60))
    A, K = X.T @ X, np.zeros((60, 60))
    _descent_kernels._factor(A, 0.0, np.arange(60), K)
    K = np.tril(K)
    assert_allclose(K @ K.T, A, rtol=0, atol=1e-9 * A.max())


@pytest.mark.parametrize(("alpha", "n", "offset"), [(0.0, 60, 30.0), (1e-6, 8, 1e3)])
@pytest.mark.filterwarnings("ignore:The features separate")
@norms
def test_nearly_separated_classes_far_from_zero(norm, alpha, n, offset):
    """Models with small curvatures, which rounding keeps from being solved exactly."""
    rng = np.random.default_rng(7)
    Z = rng.standard_normal((2 * n, n - 2 if alpha else n))
    X = np.column_stack([np.repeat([0, 1], n), Z + offset])
    y = Z @ rng.standard_normal(Z.shape[1]) > 0
    model = ADMMClassifier(norm(), alpha, task_column=0, alpha_intercept=0.0, tol=1e-12)
    assert_optimal(model, X, y, rtol=1e-6)


@pytest.mark.parametrize("seed", [7, 11])
def test_unpenalized_directions_without_curvature_are_left(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((12, 40)) * 10.0 ** rng.uniform(-8, 8, 40)
    size = np.linalg.norm(X, axis=0)
    W, G = 1e9 * rng.standard_normal((1, 40)) / size, rng.standard_normal((1, 12)) @ X
    start, ones, border = W.copy(), np.ones(1), np.zeros((1, 40))
    penalty, stop = (np.zeros(40), 0.0), (ones, 1e-12, 100, np.empty(1))
    model = (X.T @ X)[None], np.zeros(1, dtype=int), ones, border
    _descent_kernels.minimize_entries(*model, W, G, *penalty, *stop, 0, 1)
    assert np.abs(W * size).max() < 1.01 * np.abs(start * size).max()
    assert np.abs(G / size).max() < 1e-3
