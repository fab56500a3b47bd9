"""Coefficients against independent solutions: scikit-learn, dense least squares, cvxpy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, Ridge

from skmtl import MeanRegularizedRegressor, PooledRegressor, SharedL2Regressor
from tests._problems import (
    MODELS,
    TASK_WEIGHT,
    Dense,
    Rows,
    fit_long,
    make_rows,
    make_wide,
    melt,
    strengths,
    weighted_rows,
)

all_models = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


@all_models
@pytest.mark.parametrize("seed", [0, 1])
def test_solution_objective_and_gradient_are_those_of_the_dense_problem(model, seed):
    rows, sample_weight, weight = weighted_rows(seed)
    fitted = fit_long(model, rows, sample_weight, task_weight=TASK_WEIGHT)
    dense = Dense(model, rows, weight)
    W, b, w, b_shared = dense.unpack(dense.solve())
    assert_allclose(fitted.coef_, W, atol=1e-12 * np.abs(W).max(), rtol=0)
    assert_allclose(fitted.intercept_, b, atol=1e-12 * np.abs(b).max(), rtol=0)
    if hasattr(fitted, "shared_coef_"):
        assert_allclose(fitted.shared_coef_, w, atol=1e-12 * np.abs(W).max(), rtol=0)
        if strengths(model, 4)[2] > 0:  # free levels leave their center open
            assert_allclose(fitted.shared_intercept_, b_shared, atol=1e-12 * np.abs(b).max())
        else:
            levels = fitted.intercept_ + W @ dense.mean
            center = fitted.shared_intercept_ + w @ dense.mean
            assert_allclose(center, levels.mean(), rtol=1e-12)
    theta = dense.theta(fitted)
    assert_allclose(fitted.objective_, dense.objective(theta), rtol=1e-12)
    assert (np.abs(dense.gradient(theta)) <= 1e-12 * dense.gradient_unit(theta)).all()
    assert 0 <= fitted.optimality_ <= 1e-12


@all_models
@pytest.mark.parametrize("form", ["long", "wide"])
def test_cvxpy_finds_no_better(model, form):
    cp = pytest.importorskip("cvxpy")
    task_weight = np.array(list(TASK_WEIGHT.values()))
    if form == "long":
        rows, sample_weight, weight = weighted_rows()
        fitted = fit_long(model, rows, sample_weight, task_weight=TASK_WEIGHT)
    else:
        X, Y = make_wide()
        sample_weight = np.random.default_rng(2).uniform(0.2, 3.0, len(X))
        fitted = clone(model).set_params(task_weight=task_weight).fit(X, Y, sample_weight)
        long, y, weight = melt(X, Y, sample_weight)
        rows = Rows(long[:, 1:], y, long[:, 0].astype(int))
        weight = weight * task_weight[rows.codes]
    d, T = rows.X.shape[1], 4
    alpha, alpha_shared, alpha_intercept = strengths(model, T)
    W, b, w, c = cp.Variable((T, d)), cp.Variable(T), cp.Variable(d), cp.Variable()
    mean = np.average(rows.X, axis=0, weights=weight)
    error = rows.y - cp.sum(cp.multiply(rows.X, W[rows.codes]), axis=1) - b[rows.codes]
    F, constraints = cp.sum_squares(cp.multiply(np.sqrt(weight), error)), []

    def draw(strength, difference):
        nonlocal F
        if np.isinf(strength):
            constraints.append(difference == 0)
        else:
            F += strength * cp.sum_squares(difference)

    draw(alpha_shared, w)
    for t in range(T):
        draw(alpha[t], W[t] - w)
        if model.fit_intercept:
            draw(alpha_intercept, b[t] + W[t] @ mean - c)
        else:
            constraints.append(b[t] == 0)
    cp.Problem(cp.Minimize(0.5 * F), constraints).solve(
        solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11
    )
    assert_allclose(fitted.objective_, 0.5 * F.value, rtol=1e-7)
    assert_allclose(fitted.coef_, W.value, atol=1e-5)
    assert_allclose(fitted.intercept_, b.value, atol=1e-5)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("alpha", [0.01, 1.0, 300.0])
@pytest.mark.parametrize("shape", [(30, 4), (6, 20), (80, 70)], ids=str)
def test_one_task_is_ridge(shape, alpha, fit_intercept):
    rows = make_rows(sizes=shape[:1], d=shape[1])
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(rows.y))
    shared = 2.5
    models = [
        (PooledRegressor(alpha, fit_intercept=fit_intercept), alpha),
        (SharedL2Regressor(alpha, fit_intercept=fit_intercept), alpha),
        (
            MeanRegularizedRegressor(alpha, alpha_shared=shared, fit_intercept=fit_intercept),
            alpha * shared / (alpha + shared),
        ),
    ]
    for model, strength in models:
        ridge = Ridge(strength, fit_intercept=fit_intercept, solver="svd")
        ridge.fit(rows.X, rows.y, weight)
        model.fit(rows.X, rows.y, weight)
        assert_allclose(model.coef_, [ridge.coef_], atol=1e-11 * np.abs(ridge.coef_).max())
        assert_allclose(model.intercept_, [ridge.intercept_], rtol=0, atol=1e-10)
        assert_allclose(model.predict(rows.X), ridge.predict(rows.X), rtol=0, atol=1e-10)


@pytest.mark.parametrize("alpha", [0.0, 0.1, 10.0])
def test_separate_models_are_a_loop_over_ridge(alpha):
    rows = make_rows(sizes=(12, 3, 30, 2, 8), d=6)
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(rows.y))
    model = fit_long(SharedL2Regressor(alpha), rows, weight)
    for t in range(5):
        own = rows.codes == t
        ridge = Ridge(alpha, solver="svd") if alpha else LinearRegression()
        ridge.fit(rows.X[own], rows.y[own], weight[own])
        assert_allclose(model.coef_[t], ridge.coef_, rtol=0, atol=1e-11)
        assert_allclose(model.intercept_[t], ridge.intercept_, rtol=0, atol=1e-11)


@pytest.mark.parametrize("alpha", [0.05, 1.0, 20.0])
@pytest.mark.parametrize("alpha_shared", [0.01, 3.0])
def test_mean_regularized_is_ridge_on_augmented_features(alpha, alpha_shared):
    rows = make_rows(sizes=(9, 2, 25, 6), d=5)
    n, T = len(rows.y), 4
    model = fit_long(
        MeanRegularizedRegressor(alpha, alpha_shared=alpha_shared, fit_intercept=False), rows
    )
    own = np.einsum("it,ij->itj", np.eye(T)[rows.codes], rows.X).reshape(n, -1)
    augmented = np.hstack([np.sqrt(alpha / alpha_shared) * rows.X, own])
    ridge = Ridge(alpha, fit_intercept=False, solver="svd").fit(augmented, rows.y)
    w = np.sqrt(alpha / alpha_shared) * ridge.coef_[:5]
    assert_allclose(model.shared_coef_, w, rtol=0, atol=1e-10)
    assert_allclose(model.coef_, w + ridge.coef_[5:].reshape(T, 5), rtol=0, atol=1e-10)
    assert_allclose(model.intercept_, 0)


def test_pooled_with_free_levels_is_the_within_estimator():
    rows = make_rows(sizes=(9, 2, 25, 6), d=3)
    model = fit_long(PooledRegressor(0.0, alpha_intercept=0.0), rows)
    E = np.eye(4)[rows.codes]

    def within(Z):
        return Z - E @ ((E.T @ Z) / E.sum(axis=0).reshape((-1,) + (1,) * (Z.ndim - 1)))

    slope = np.linalg.lstsq(within(rows.X), within(rows.y), rcond=None)[0]
    assert_allclose(model.coef_, np.tile(slope, (4, 1)), rtol=0, atol=1e-12)
    means = (E.T @ (rows.y - rows.X @ slope)) / E.sum(axis=0)
    assert_allclose(model.intercept_, means, rtol=0, atol=1e-12)


def test_pooled_with_drawn_levels_is_generalized_least_squares():
    """Random intercepts: cov(y) = I + 11'/alpha_intercept within a task."""
    ratio = 2.5
    rows = make_rows(sizes=(9, 2, 25, 6), d=3)
    model = fit_long(PooledRegressor(0.0, alpha_intercept=ratio), rows)
    E = np.eye(4)[rows.codes]
    precision = np.linalg.inv(np.eye(len(rows.y)) + E @ E.T / ratio)
    design = np.column_stack([np.ones(len(rows.y)), rows.X])
    beta = np.linalg.solve(design.T @ precision @ design, design.T @ precision @ rows.y)
    assert_allclose(model.shared_coef_, beta[1:], rtol=0, atol=1e-12)
    assert_allclose(model.shared_intercept_, beta[0], rtol=0, atol=1e-12)
    blup = E.T @ precision @ (rows.y - design @ beta) / ratio
    assert_allclose(model.intercept_ - model.shared_intercept_, blup, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("n", "d", "missing"),
    [(30, 4, 0.3), (30, 80, 0.3), (100, 80, 0.7)],
    ids=["primal", "rotated", "dual"],
)
@pytest.mark.parametrize("patterns", ["distinct", "shared", "complete"])
@pytest.mark.parametrize("weights", [None, "balanced"])
def test_wide_form_agrees_with_the_dense_problem(n, d, missing, patterns, weights):
    X, Y = make_wide(n, d, T=5, missing=0.0 if patterns == "complete" else missing)
    if patterns == "shared":  # two tasks with the same rows
        Y[:, 1] = np.where(np.isnan(Y[:, 3]), np.nan, X[:, 0] - 2)
    model = MeanRegularizedRegressor(2.0, alpha_shared=0.5, task_weight=weights).fit(X, Y)
    long, y, _ = melt(X, Y)
    rows = Rows(long[:, 1:], y, long[:, 0].astype(int))
    counts = np.bincount(rows.codes)
    a = len(y) / (5 * counts) if weights else np.ones(5)
    dense = Dense(model, rows, a[rows.codes])
    W, b, _, _ = dense.unpack(dense.solve())
    assert_allclose(model.coef_, W, rtol=0, atol=1e-11)
    assert_allclose(model.intercept_, b, rtol=0, atol=1e-11)


@pytest.mark.parametrize("missing", [0.0, 0.01])
def test_large_wide_form_is_a_loop_over_ridge(missing):
    """Many tiles of rows and of tasks."""
    X, Y = make_wide(n=5000, d=3, T=70, missing=missing)
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(X))
    model = SharedL2Regressor(7.0).fit(X, Y, weight)
    for t in range(70):
        own = ~np.isnan(Y[:, t])
        ridge = Ridge(7.0, solver="svd").fit(X[own], Y[own, t], weight[own])
        assert_allclose(model.coef_[t], ridge.coef_, rtol=0, atol=1e-11)
        assert_allclose(model.intercept_[t], ridge.intercept_, rtol=0, atol=1e-11)
    assert model.optimality_ < 1e-12
