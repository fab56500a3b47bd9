"""Fits posed in a basis of the features, against the same problem in the users' features."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from skmtl import (
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    PooledClassifier,
    SharedL2Regressor,
)
from skmtl.data import Basis, read_rows
from skmtl.fitting import pose, solve
from skmtl.inspection import effective_dof, pooling_factor
from skmtl.linear_model import set_fit, spec_of
from skmtl.penalties import Coefficients, MeanCoupling

T, D = 4, 5
bases = pytest.mark.parametrize("kind", ["vector", "matrix"])
solvers = pytest.mark.parametrize("solver", ["direct", "cg"])


def basis_of(kind, d=D, seed=3):
    rng = np.random.default_rng(seed)
    if kind == "vector":
        return 10.0 ** rng.uniform(-1, 1, d)
    return rng.normal(size=(d, d)) + 2 * np.eye(d)


def matrix(B):
    return np.diag(B) if B.ndim == 1 else B


def long_rows(n=15, d=D, seed=0):
    rng = np.random.default_rng(seed)
    X, codes = rng.normal(size=(T * n, d)) + 1.0, np.repeat(np.arange(T), n)
    y = np.einsum("ij,ij->i", X, rng.normal(size=(T, d))[codes]) + rng.normal(size=T * n)
    return np.column_stack([codes, X]), y


def fit_in(model, X, y, B, alpha_shared, fixed=None):
    """Fit a model in a basis, with alpha = 1 there and a vector alpha_shared."""
    rows, spec = read_rows(model, X, y, None, reset=True), spec_of(model)
    posed = pose(spec, rows).in_basis(Basis(B, fixed))
    penalty = posed.problem.penalty
    coupling = MeanCoupling(np.ones(len(rows.tasks)), alpha_shared, penalty.alpha_intercept)
    fit = solve(spec, posed.with_penalty(coupling))
    assert fit.solution.optimality < 1e-9
    set_fit(model, fit)
    return model


def dense(X, Y, codes, B, alpha_shared, alpha_intercept, fixed=None):
    """Solve for W, b, w by augmented least squares; ``codes`` None has a column of Y for each task.

    Unknowns are the center and the deviations in the basis; fixed coordinates have no deviations.
    """
    center, offset = X.mean(axis=0), np.nanmean(Y)
    Z, d = (X - center) @ matrix(B), X.shape[1]
    free = np.ones(d, bool) if fixed is None else ~fixed
    n_tasks, k = T if codes is not None else Y.shape[1], free.sum()
    rows, right = [], []
    for t in range(n_tasks):
        own = codes == t if codes is not None else np.ones(len(X), bool)
        block = np.zeros((own.sum(), d + 1 + n_tasks * (k + 1)))
        block[:, :d], block[:, d] = Z[own], 1.0
        first = d + 1 + t * (k + 1)
        block[:, first : first + k], block[:, first + k] = Z[own][:, free], 1.0
        rows.append(block)
        right.append((Y[own] if codes is not None else Y[:, t]) - offset)
    weights = [np.broadcast_to(alpha_shared, d), [0.0]]
    weights += [np.append(np.ones(k), alpha_intercept)] * n_tasks
    penalty = np.diag(np.sqrt(np.concatenate(weights)))
    right.append(np.zeros(len(penalty)))
    found = np.linalg.lstsq(np.vstack([*rows, penalty]), np.concatenate(right), rcond=None)[0]
    W, w = np.tile(found[:d], (n_tasks, 1)), found[:d] @ matrix(B).T
    own = found[d + 1 :].reshape(n_tasks, k + 1)
    W[:, free] += own[:, :k]
    W = W @ matrix(B).T
    return W, offset + found[d] + own[:, k] - W @ center, w


def check(model, expected, rtol=1e-7):
    for found, right in zip(
        (model.coef_, model.intercept_, model.shared_coef_), expected, strict=True
    ):
        assert_allclose(found, right, rtol=rtol, atol=rtol * np.abs(right).max())


SHARED = np.array([0.3, 2.0, 0.01, 7.0, 1.0])


@bases
@solvers
def test_long_form(kind, solver):
    X, y = long_rows()
    B = basis_of(kind)
    model = MeanRegularizedRegressor(1.0, task_column=0, solver=solver, tol=1e-10)
    fit_in(model, X, y, B, SHARED)
    check(model, dense(X[:, 1:], y, X[:, 0], B, SHARED, 1.0))


@bases
@solvers
def test_wide_form(kind, solver):
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(30, D)), rng.normal(size=(30, T))
    B = basis_of(kind)
    model = MeanRegularizedRegressor(1.0, solver=solver, tol=1e-10)
    fit_in(model, X, Y, B, SHARED)
    check(model, dense(X, Y, None, B, SHARED, 1.0))


@bases
@solvers
@pytest.mark.parametrize("n", [2, 25], ids=["fewer-rows", "dual-blocks"])
def test_fewer_rows_than_features(kind, solver, n):
    d = {2: 12, 25: 80}[n]  # all rows, or those of a task
    X, y = long_rows(n, d)
    B, shared = basis_of(kind, d), np.random.default_rng(5).uniform(0.1, 3.0, d)
    model = MeanRegularizedRegressor(1.0, task_column=0, solver=solver, tol=1e-10)
    fit_in(model, X, y, B, shared)
    check(model, dense(X[:, 1:], y, X[:, 0], B, shared, 1.0), rtol=1e-6)


@bases
def test_uniform_weight_still_rotates(kind):
    X, y = long_rows(2, 12)
    B = basis_of(kind, 12)
    model = MeanRegularizedRegressor(1.0, task_column=0, tol=1e-10)
    fit_in(model, X, y, B, 0.7)
    check(model, dense(X[:, 1:], y, X[:, 0], B, 0.7, 1.0))


def test_some_weights_of_the_center_may_be_zero():
    X, y = long_rows()
    B, shared = basis_of("matrix"), np.array([0.0, 2.0, 0.0, 7.0, 1.0])
    for solver in ("direct", "cg"):
        model = MeanRegularizedRegressor(1.0, task_column=0, solver=solver, tol=1e-10)
        fit_in(model, X, y, B, shared)
        check(model, dense(X[:, 1:], y, X[:, 0], B, shared, 1.0))


@solvers
@pytest.mark.parametrize("n", [15, 2])
def test_sparse(solver, n):
    d = D if n == 15 else 12
    X, y = long_rows(n, d)
    X[:, 1:] *= np.random.default_rng(2).random((len(X), d)) < 0.4
    B, shared = basis_of("vector", d), np.linspace(0.2, 2.0, d)
    model = MeanRegularizedRegressor(1.0, task_column=0, solver=solver, tol=1e-10)
    fit_in(model, sparse.csr_array(X), y, B, shared)
    check(model, dense(X[:, 1:], y, X[:, 0], B, shared, 1.0), rtol=1e-6)


def test_sparse_wide_form():
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(30, D)) * (rng.random((30, D)) < 0.5), rng.normal(size=(30, T))
    X[:, 2] += 3.0  # an entry in every row
    B = basis_of("vector")
    model = MeanRegularizedRegressor(1.0, tol=1e-10)
    fit_in(model, sparse.csr_array(X), Y, B, SHARED)
    check(model, dense(X, Y, None, B, SHARED, 1.0))


def test_a_sparse_X_is_not_mixed():
    X, y = long_rows()
    model = MeanRegularizedRegressor(1.0, task_column=0)
    with pytest.raises(TypeError, match="make a sparse X dense"):
        fit_in(model, sparse.csr_array(X), y, basis_of("matrix"), 1.0)


@bases
@solvers
@pytest.mark.parametrize("n", [15, 2])
def test_fixed_coordinates(kind, solver, n):
    """Deviations there are exactly zero, the rest is the limit of an infinite penalty."""
    d = D if n == 15 else 12
    X, y = long_rows(n, d)
    B, fixed, shared = basis_of(kind, d), np.arange(d) % 3 == 1, np.linspace(0.2, 2.0, d)
    small = np.where(fixed, 1e-10, 1.0)
    model = MeanRegularizedRegressor(1.0, task_column=0, solver=solver, tol=1e-10)
    fit_in(model, X, y, B * small, shared * small**2, fixed)
    check(model, dense(X[:, 1:], y, X[:, 0], B, shared, 1.0, fixed), rtol=1e-6)
    deviations = (model.coef_ - model.shared_coef_) @ np.linalg.inv(matrix(B)).T
    assert_allclose(deviations[:, fixed], 0.0, atol=1e-13)
    if kind == "vector":
        assert_array_equal(model.coef_[:, fixed], np.tile(model.shared_coef_[fixed], (T, 1)))


@bases
@pytest.mark.parametrize("K", [2, 3])
def test_classifiers(kind, K):
    """The fit in a basis is that of the transformed features."""
    X, y = long_rows(40)
    y = np.digitize(y, np.quantile(y, np.arange(1, K) / K))
    B = basis_of(kind)
    params = {"alpha": 1.0, "alpha_shared": 0.5, "task_column": 0, "tol": 1e-10}
    plain = MeanRegularizedClassifier(**params)
    Z = np.column_stack([X[:, 0], X[:, 1:] @ matrix(B)])
    plain.fit(Z, y)
    for shared in (0.5, np.full(D, 0.5)):
        model = fit_in(MeanRegularizedClassifier(**params), X, y, B, shared)
        assert_allclose(model.coef_, plain.coef_ @ matrix(B).T, rtol=1e-6, atol=1e-8)
        assert_allclose(model.shared_coef_, plain.shared_coef_ @ matrix(B).T, rtol=1e-6, atol=1e-8)
        assert_allclose(model.predict_proba(X), plain.predict_proba(Z), rtol=1e-6, atol=1e-9)
        for function in (effective_dof, pooling_factor):
            expected = function(plain, Z, y)
            assert_allclose(function(model, X, y), expected, rtol=1e-6)


@bases
def test_adapt(kind):
    X, y = long_rows()
    B = basis_of(kind)
    model = MeanRegularizedRegressor(1.0, task_column=0, tol=1e-10)
    fit_in(model, X, y, B, SHARED)
    new, target = long_rows(7, seed=8)
    new, target = new[:7], target[:7]
    new[:, 0] = 9
    adapted = model.adapt(new, target)
    assert_array_equal(adapted.coef_[:T], model.coef_)
    Z = (new[:, 1:] - X[:, 1:].mean(axis=0)) @ matrix(B)
    c = model.shared_intercept_ + model.shared_coef_ @ X[:, 1:].mean(axis=0)
    left = target - c - (new[:, 1:] - X[:, 1:].mean(axis=0)) @ model.shared_coef_
    A = np.vstack([np.column_stack([Z, np.ones(7)]), np.eye(D + 1)])
    found = np.linalg.lstsq(A, np.append(left, np.zeros(D + 1)), rcond=None)[0]
    assert_allclose(adapted.coef_[T], model.shared_coef_ + matrix(B) @ found[:D], rtol=1e-7)


@bases
def test_degrees_do_not_depend_on_the_basis(kind):
    X, y = long_rows()
    B = basis_of(kind)
    model = MeanRegularizedRegressor(1.0, task_column=0, alpha_shared=0.5)
    plain = MeanRegularizedRegressor(1.0, task_column=0, alpha_shared=0.5)
    fit_in(model, X, y, B, 0.5)
    Z = np.column_stack([X[:, 0], X[:, 1:] @ matrix(B)])
    plain.fit(Z, y)
    for function in (effective_dof, pooling_factor):
        assert_allclose(function(model, X, y), function(plain, Z, y), rtol=1e-9)


@pytest.mark.parametrize("second", ["vector", "matrix"])
@bases
def test_a_basis_of_a_basis(kind, second):
    X, y = long_rows()
    one, two = basis_of(kind), basis_of(second, seed=7)
    model = MeanRegularizedRegressor(1.0, task_column=0, alpha_shared=0.5, tol=1e-10)
    rows, spec = read_rows(model, X, y, None, reset=True), spec_of(model)
    both = solve(spec, pose(spec, rows).in_basis(Basis(one)).in_basis(Basis(two)))
    once = solve(spec, pose(spec, rows).in_basis(Basis(matrix(one) @ matrix(two))))
    assert_allclose(both.coefficients.W, once.coefficients.W, rtol=1e-8)
    assert_allclose(both.moved_to(once.posed).V, once.solution.coefficients.V, rtol=1e-6)


def test_there_and_back():
    rng = np.random.default_rng(0)
    point = Coefficients(*(rng.normal(size=shape) for shape in ((2, T, D), (2, T), (2, D), (2,))))
    scale = np.array([1e-12, 1.0, 1e6, 1.0, 1e-3])
    for B in (scale, basis_of("matrix") * scale):
        again = Basis(B).to_users(Basis(B).from_users(point))
        for part, expected in zip(again, point, strict=True):
            assert_allclose(part, expected, rtol=1e-9)


def test_fixed_coordinates_of_a_basis_of_a_basis():
    first = Basis(np.array([1.0, 1e-8, 1.0]), [False, True, False])
    mixed = np.array([[1.0, 0, 2.0], [0, 1.0, 0], [1.0, 0, -1.0]])
    assert_array_equal(first.then(Basis(mixed)).fixed, [False, True, False])
    more = first.then(Basis(np.ones(3), [True, False, False]))
    assert_array_equal(more.fixed, [True, True, False])


def test_messages():
    with pytest.raises(ValueError, match=r"\(d,\) or \(d, d\).*got \(2, 3\)"):
        Basis(np.ones((2, 3)))


@pytest.mark.parametrize("layout", ["long", "wide", "sparse"])
def test_data_stay_what_they_are_unless_overwritten(layout):
    X, y = long_rows()
    model = SharedL2Regressor(1.0, task_column=None if layout == "wide" else 0)
    if layout == "wide":
        X, y = X[:, 1:], np.column_stack([y, y**2])
    rows = read_rows(model, sparse.csr_array(X) if layout == "sparse" else X, y, None, reset=True)
    data = pose(spec_of(model), rows).problem.data
    before = data.square_norms.copy()
    B = basis_of("vector")
    assert_allclose(data.in_basis(B).square_norms, before * B**2)
    assert_array_equal(data.square_norms, before)
    assert_allclose(data.in_basis(B, overwrite=True).square_norms, before * B**2)


def test_no_basis_for_a_pooled_classifier_changes_nothing():
    X, y = long_rows()
    y = (y > np.median(y)).astype(int)
    model = PooledClassifier(1.0, task_column=0).fit(X, y)
    rows, spec = read_rows(model, X, y, None, reset=True), spec_of(model)
    fit = solve(spec, pose(spec, rows))
    assert fit.coefficients is fit.solution.coefficients
