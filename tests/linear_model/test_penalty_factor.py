"""``penalty_factor``: against rescaled features, and dense problems with the limits 0 and inf."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, MultiTaskLasso, Ridge
from sklearn.model_selection import GridSearchCV

from skmtl import (
    ADMMRegressor,
    GraphRegularizedClassifier,
    GraphRegularizedRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    PooledClassifier,
    PooledRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
    TaskMoments,
    alpha_max,
)
from skmtl.inspection import effective_dof, pooling_factor
from skmtl.inspection._models import tuned
from skmtl.model_selection import RegularizationPathCV, TaskKFold
from skmtl.penalties import L1, L21
from skmtl.penalties import Ridge as RidgePenalty
from tests.tuning._evidence import dense_maximum, restricted_likelihood

T, N, D = 5, 30, 4
NAMES = list("abcd")
FINITE = np.array([0.5, 3.0, 1.0, 20.0])
LIMITS = [
    [0.0, 1.0, 2.0, 1.0],
    [np.inf, 1.0, np.inf, 0.5],
    [0.0, np.inf, 1.0, 3.0],
    [0.0, 0.0, 1.0, np.inf],
]
limits = pytest.mark.parametrize("factor", LIMITS, ids=str)


def rows(seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    Z, codes = rng.normal(size=(T * N, D)) + 0.5, np.repeat(np.arange(T), N)
    W = rng.normal(size=D) + 0.5 * rng.normal(size=(T, D))
    y = np.einsum("ij,ij->i", Z, W[codes]) + rng.normal(size=T)[codes] + rng.normal(size=T * N)
    return Z * scale, y, codes


def long_form(*args, **kwargs):
    X, y, codes = rows(*args, **kwargs)
    return np.column_stack([codes, X]), y


def labels(y):
    return (y > np.median(y)).astype(int)


def frame(X):
    return pd.DataFrame(X, columns=["task", *NAMES]).astype({"task": int})


def dense(X, y, codes, factor, alpha, shared, alpha_intercept=1.0):
    """Solve for W (T, d) and w by least squares, without penalties or unknowns in the limits."""
    factor, X, offset = np.asarray(factor, float), X - X.mean(axis=0), y.mean()
    own, D = np.isfinite(factor), X.shape[1]
    k, blocks, weights = own.sum(), [], []
    for t in range(T):
        block = np.zeros((N, D + 1 + T * (k + 1)))
        first = D + 1 + t * (k + 1)
        block[:, :D], block[:, D] = X[codes == t], 1.0
        block[:, first : first + k], block[:, first + k] = X[codes == t][:, own], 1.0
        blocks.append(block)
        weights.append(np.append(alpha * factor[own], alpha_intercept))
    weights = [shared * np.where(own, factor, 1.0), [0.0], *weights]
    penalty = np.diag(np.sqrt(np.concatenate(weights)))
    A, right = np.vstack([*blocks, penalty]), np.append(y - offset, np.zeros(len(penalty)))
    size = np.where((A != 0).any(axis=0), np.linalg.norm(A, axis=0), 1.0)
    found = np.linalg.lstsq(A / size, right, rcond=1e-12)[0] / size
    W, deviations = np.tile(found[:D], (T, 1)), found[D + 1 :].reshape(T, k + 1)
    W[:, own] += deviations[:, :k]
    w, free = found[:D].copy(), factor == 0
    # not identified: the limit of a vanishing penalty
    w[free] = alpha * W[:, free].sum(axis=0) / (alpha * T + shared)
    return W, w


# Rescaled features ------------------------------------------------------------------------------


def test_pooled_is_ridge_of_rescaled_features():
    X, y, codes = rows()
    model = PooledRegressor(5.0, penalty_factor=FINITE, task_column=0)
    model.fit(np.column_stack([codes, X]), y)
    ridge = Ridge(5.0).fit(X / np.sqrt(FINITE), y)
    assert_allclose(model.coef_[0], ridge.coef_ / np.sqrt(FINITE), rtol=1e-9)
    assert_allclose(model.intercept_[0], ridge.intercept_, rtol=1e-9)


def test_separate_is_ridge_of_rescaled_features():
    X, y, codes = rows()
    model = SharedL2Regressor(5.0, penalty_factor=FINITE, task_column=0)
    model.fit(np.column_stack([codes, X]), y)
    for t in range(T):
        ridge = Ridge(5.0).fit((X / np.sqrt(FINITE))[codes == t], y[codes == t])
        assert_allclose(model.coef_[t], ridge.coef_ / np.sqrt(FINITE), rtol=1e-9)


def test_classifier_is_logistic_regression_of_rescaled_features():
    X, y, codes = rows()
    y = labels(y)
    model = PooledClassifier(5.0, penalty_factor=FINITE, task_column=0, tol=1e-10)
    model.fit(np.column_stack([codes, X]), y)
    other = LogisticRegression(C=0.2, tol=1e-10, solver="newton-cholesky")
    other.fit(X / np.sqrt(FINITE), y)
    assert_allclose(model.coef_[0], other.coef_[0] / np.sqrt(FINITE), rtol=1e-6)


@pytest.mark.parametrize("alpha_shared", [0.0, 2.0])
def test_mean_regularized_is_that_of_rescaled_features(alpha_shared):
    X, y = long_form()
    model = MeanRegularizedRegressor(3.0, alpha_shared=alpha_shared, task_column=0)
    plain = clone(model).fit(X / np.append(1.0, np.sqrt(FINITE)), y)
    model.set_params(penalty_factor=FINITE).fit(X, y)
    assert_allclose(model.coef_, plain.coef_ / np.sqrt(FINITE), rtol=1e-9)
    assert_allclose(model.shared_coef_, plain.shared_coef_ / np.sqrt(FINITE), rtol=1e-9)
    assert_allclose(model.objective_, plain.objective_, rtol=1e-12)


def test_equal_factors_are_a_multiple_of_alpha():
    X, y = long_form()
    model = MeanRegularizedRegressor(3.0, alpha_shared=0.5, task_column=0)
    other = clone(model).set_params(alpha=21.0, alpha_shared=3.5).fit(X, y)
    model.set_params(penalty_factor=np.full(D, 7)).fit(X, y)
    assert_allclose(model.coef_, other.coef_, rtol=1e-10)
    graph = GraphRegularizedRegressor(3.0, alpha_shared=0.5, task_column=0)
    other = clone(graph).set_params(alpha=21.0, alpha_shared=3.5).fit(X, y)
    graph.set_params(penalty_factor=[7.0] * D).fit(X, y)
    assert_allclose(graph.coef_, other.coef_, rtol=1e-10)


def test_factors_of_one_change_no_bit():
    X, y = long_form()
    model = MeanRegularizedRegressor(3.0, task_column=0)
    plain = clone(model).fit(X, y)
    assert_array_equal(model.set_params(penalty_factor=[1] * D).fit(X, y).coef_, plain.coef_)


# Limits -----------------------------------------------------------------------------------------


@limits
@pytest.mark.parametrize("alpha", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("shared", [0.0, 3.0])
@pytest.mark.parametrize("scale", [1.0, 10.0 ** np.array([-4, 3, 0, 2])], ids=["", "units"])
def test_limits(factor, alpha, shared, scale):
    X, y, codes = rows(scale=scale)
    model = MeanRegularizedRegressor(alpha, alpha_shared=shared, penalty_factor=factor)
    model.set_params(task_column=0).fit(np.column_stack([codes, X]), y)
    W, w = dense(X, y, codes, factor, alpha, shared)
    assert_allclose(model.coef_ * scale, W * scale, rtol=1e-8, atol=1e-8)
    assert_allclose(model.shared_coef_ * scale, w * scale, rtol=1e-5, atol=1e-5)
    assert model.optimality_ < 1e-8
    common = np.isinf(factor)
    assert_array_equal(model.coef_[:, common], np.tile(model.shared_coef_[common], (T, 1)))


@limits
@pytest.mark.parametrize("solver", ["direct", "cg"])
@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_array])
def test_limits_by_solver_and_layout(factor, solver, layout):
    X, y, codes = rows()
    model = MeanRegularizedRegressor(2.0, alpha_shared=1.0, penalty_factor=factor, solver=solver)
    model.set_params(task_column=0, tol=1e-10).fit(layout(np.column_stack([codes, X])), y)
    assert_allclose(model.coef_, dense(X, y, codes, factor, 2.0, 1.0)[0], rtol=1e-6, atol=1e-6)


@limits
def test_wide_form(factor):
    X, y, codes = rows()
    Y = np.full((len(X), T), np.nan)
    Y[np.arange(len(X)), codes] = y
    model = MeanRegularizedRegressor(2.0, alpha_shared=1.0, penalty_factor=factor).fit(X, Y)
    other = clone(model).set_params(task_column=0).fit(np.column_stack([codes, X]), y)
    assert_allclose(model.coef_, other.coef_, rtol=1e-8, atol=1e-8)


def test_fewer_rows_than_features():
    rng = np.random.default_rng(0)
    X, codes, d = rng.normal(size=(20, 30)), np.repeat(np.arange(T), 4), 30
    y = rng.normal(size=20)
    factor = np.ones(d)
    factor[:2], factor[2:5], factor[5] = np.inf, 0.3, 0.0
    long = np.column_stack([codes, X])
    model = MeanRegularizedRegressor(1.0, alpha_shared=0.5, task_column=0, penalty_factor=factor)
    model.fit(long, y)
    # the same penalty with large and small numbers, for the deviations alone
    near = np.where(factor == 0, 1e-9, np.where(np.isinf(factor), 1.0, factor))
    Z = X - X.mean(axis=0)
    own = 1.0 / np.sqrt(near * np.where(np.isinf(factor), 1e9, 1.0))
    A = np.column_stack(
        [Z / np.sqrt(near), *[(codes == t)[:, None] * Z * own for t in range(T)]]
        + [np.ones(20)]
        + [(codes == t).astype(float) for t in range(T)]
    )
    P = np.sqrt(np.concatenate([np.full(d, 0.5), np.ones(T * d), [0.0], np.ones(T)]))
    left = np.append(y - y.mean(), np.zeros(len(P)))
    found = np.linalg.lstsq(np.vstack([A, np.diag(P)]), left, rcond=1e-14)[0]
    fitted = A @ found + y.mean()
    assert_allclose(model.predict(long), fitted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [SharedL2Regressor, MeanRegularizedRegressor, PooledRegressor])
def test_sparse_rows_fewer_than_features(kind):
    """Limits are those of small and large numbers; rows of a task are fewer than features, too."""
    rng = np.random.default_rng(0)
    Z = sparse.random_array((80, 200), density=0.05, random_state=rng).toarray()
    codes = np.arange(80) % 4
    Z[:, :3] = rng.normal(size=(80, 3))
    y, factor = rng.normal(size=80) + Z[:, 0], np.ones(200)
    factor[0], factor[1:3] = 0.0, np.inf
    X = sparse.csr_array(np.column_stack([codes, Z]))
    model = kind(2.0, task_column=0, penalty_factor=factor)
    near = np.where(factor == 0, 1e-8, np.where(factor > 1, 1e8, 1.0))
    if kind is MeanRegularizedRegressor:
        model.set_params(alpha_shared=1.0)
        factor[1] = near[1] = 1.0  # a large number penalizes the center, too
        factor[2] = near[2] = 1.0
    other = clone(model).set_params(penalty_factor=near).fit(X.toarray(), y)
    for layout in (X, X.toarray()):
        for solver in ("auto", "direct"):
            own = clone(model).set_params(solver=solver).fit(layout, y)
            assert_allclose(own.coef_, other.coef_, atol=1e-6)


def test_unpenalized_features_of_tasks_with_too_few_rows():
    """What no row identifies does not deviate from the center."""
    X, y, codes = rows()
    kept = np.concatenate([np.flatnonzero(codes < T - 1), np.flatnonzero(codes == T - 1)[:2]])
    X, y, codes = X[kept], y[kept], codes[kept]
    long = np.column_stack([codes, X])
    model = MeanRegularizedRegressor(1.0, task_column=0, penalty_factor=[0.0, 0, 0, 1.0])
    model.fit(long, y)
    assert_allclose(model.predict(long[-2:]), y[-2:], atol=1e-6)
    small = ((X[-2:] - X.mean(axis=0)) ** 2).sum(axis=0)  # the limit is that of equal units
    near = clone(model).set_params(penalty_factor=[*(1e-7 * small[:3]), 1.0]).fit(long, y)
    assert_allclose(model.coef_, near.coef_, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("factor", [np.inf, 0.0])
def test_features_that_are_not_identified_beside_limits(factor):
    """Rounding errors in the null space of the center would be multiplied by large numbers."""
    X, y, codes = rows()
    X = np.column_stack([X, X[:, 2], X[:, 1] + X[:, 2], np.ones(len(X))])
    model = MeanRegularizedRegressor(2.0, task_column=0, penalty_factor=[factor, *[1.0] * 6])
    model.fit(np.column_stack([codes, X]), y)
    W, w = dense(X, y, codes, model.penalty_factor, 2.0, 0.0)
    Z = X - X.mean(axis=0)
    assert_allclose(Z @ model.coef_.T, Z @ W.T, atol=1e-8)
    if factor > 0:
        assert_allclose(Z @ model.shared_coef_, Z @ w, atol=1e-8)
    null = np.array([[0, 0, 1, 0, -1, 0, 0], [0, 1, 1, 0, 0, -1, 0], [0, 0, 0, 0, 0, 0, 1]])
    assert_allclose(null @ model.shared_coef_, 0.0, atol=1e-9)  # the center of smallest norm
    assert_allclose(null @ model.coef_.T, 0.0, atol=1e-9)


@pytest.mark.parametrize("kind", ["pooled", "separate"])
def test_infinite_factors_without_a_center_are_zeros(kind):
    X, y = long_form()
    factor = [np.inf, 1.0, 2.0, np.inf]
    for regressor in (True, False):
        if kind == "pooled":
            model = PooledRegressor(2.0) if regressor else PooledClassifier(2.0)
        else:
            model = SharedL2Regressor(2.0) if regressor else SharedL2Classifier(2.0)
        target = y if regressor else labels(y)
        model.set_params(task_column=0)
        part = clone(model).set_params(penalty_factor=[1.0, 2.0]).fit(X[:, [0, 2, 3]], target)
        model.set_params(penalty_factor=factor).fit(X, target)
        assert_array_equal(model.coef_[:, [0, 3]], 0.0)
        assert_allclose(model.coef_[:, 1:3], part.coef_, rtol=1e-6)


@pytest.mark.parametrize("kind", [PooledRegressor, SharedL2Regressor])
def test_unpenalized_without_a_center(kind):
    X, y, codes = rows()
    factor = np.array([0.0, 1.0, 0.0, 4.0])
    model = kind(50.0, task_column=0, penalty_factor=factor).fit(np.column_stack([codes, X]), y)
    own = slice(None) if kind is PooledRegressor else codes == 1
    Z, target = X[own] - X[own].mean(axis=0), y[own] - y[own].mean()
    A = np.vstack([Z, np.diag(np.sqrt(50.0 * factor))])
    found = np.linalg.lstsq(A, np.append(target, np.zeros(D)), rcond=None)[0]
    assert_allclose(model.coef_[1], found, rtol=1e-7)


@limits
@pytest.mark.parametrize("K", [2, 3])
def test_classifier_limits(factor, K):
    """Numbers that are large and small, of coefficients that nothing else penalizes."""
    X, y = long_form()
    y = np.digitize(y, np.quantile(y, np.arange(1, K) / K))
    model = MeanRegularizedClassifier(2.0, alpha_shared=0.0, task_column=0, tol=1e-10)
    near = np.clip(factor, 1e-7, 1e7)
    other = clone(model).set_params(penalty_factor=near).fit(X, y)
    model.set_params(penalty_factor=factor).fit(X, y)
    found, expected = model.coef_, other.coef_
    if K > 2:  # what is the same in all classes is not identified
        found, expected = (W - W.mean(axis=1, keepdims=True) for W in (found, expected))
    assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert_allclose(model.predict_proba(X), other.predict_proba(X), atol=1e-5)
    for function in (effective_dof, pooling_factor):
        assert_allclose(function(model, X, y), function(other, X, y), rtol=1e-5)


@limits
def test_wide_classifier(factor):
    X, y, codes = rows()
    Y = np.full((len(X), T), np.nan)
    Y[np.arange(len(X)), codes] = labels(y)
    model = MeanRegularizedClassifier(2.0, alpha_shared=1.0, penalty_factor=factor, tol=1e-10)
    other = clone(model).set_params(task_column=0).fit(np.column_stack([codes, X]), labels(y))
    assert_allclose(model.fit(X, Y).coef_, other.coef_, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("shared", [0.0, 2.0])
def test_all_pairs_of_tasks(shared):
    """Links are infinite, and the ridge on every task is not."""
    X, y, codes = rows()
    factor = np.array([np.inf, 1.0, 2.0, 0.5])
    model = GraphRegularizedRegressor(3.0, alpha_shared=shared, task_column=0)
    model.set_params(penalty_factor=factor, alpha_intercept=0.0).fit(np.column_stack([codes, X]), y)
    Z = X - X.mean(axis=0)
    A = np.zeros((len(X), 1 + T * D))  # the common slope, slopes and intercepts
    for t in range(T):
        A[codes == t, 0] = Z[codes == t, 0]
        A[codes == t, 1 + t * D : t * D + D] = Z[codes == t][:, 1:]
        A[codes == t, t * D + D] = 1.0
    P = [np.eye(1 + T * D)[0] * np.sqrt(T * shared)]
    for j in range(1, D):
        for t in range(T):
            mean = np.zeros(1 + T * D)
            mean[j::D] = 1.0 / T
            own = np.eye(1 + T * D)[j + t * D]
            P += [np.sqrt(3.0 * factor[j]) * (own - mean), np.sqrt(shared * factor[j]) * own]
    left = np.append(y, np.zeros(len(P)))
    found = np.linalg.lstsq(np.vstack([A, *P]), left, rcond=None)[0]
    assert_allclose(model.coef_[:, 0], found[0], rtol=1e-8)
    assert_allclose(model.coef_[:, 1:], found[1:].reshape(T, D)[:, :-1], rtol=1e-7)


def on_graph(X, y, codes, factor, alpha, shared, links, n_nodes):
    """Solve for the coefficients of all nodes; where a factor is inf there is one for all."""
    Z, common = X - X.mean(axis=0), np.isinf(factor)
    column = np.arange(n_nodes * D).reshape(n_nodes, D)  # of the coefficients of nodes
    column[:, common] = column[0, common]
    A, P = np.zeros((len(X), n_nodes * (D + 1))), []
    for row, z, t in zip(A, Z, codes, strict=True):
        row[column[t]], row[n_nodes * D + t] = z, 1.0
    unit = np.eye(A.shape[1])
    for s, t, weight in links:
        for j in np.flatnonzero(~common):
            difference = unit[column[s, j]] - unit[column[t, j]]
            P.append(np.sqrt(alpha * weight * factor[j]) * difference)
        P.append(np.sqrt(weight) * (unit[n_nodes * D + s] - unit[n_nodes * D + t]))
    for t in range(n_nodes):
        P += [
            np.sqrt(shared * (1 if common[j] else factor[j])) * unit[column[t, j]] for j in range(D)
        ]
    left = np.append(y - y.mean(), np.zeros(len(P)))
    found = np.linalg.lstsq(np.vstack([A, *P]), left, rcond=None)[0]
    return found[column]


@pytest.mark.parametrize("factor", [[np.inf, 1.0, 2.0, 0.5], [np.inf, 0.0, np.inf, 1.0]], ids=str)
@pytest.mark.parametrize("shared", [0.0, 2.0])
@pytest.mark.parametrize("solver", ["direct", "cg"])
@pytest.mark.parametrize("shape", ["chain", "star"])
def test_graphs(factor, shared, solver, shape):
    X, y, codes = rows()
    center = T  # a latent task
    links = [
        (t, t + 1 if shape == "chain" else center, 1.0 + t) for t in range(T - (shape == "chain"))
    ]
    model = GraphRegularizedRegressor(3.0, task_graph=links, alpha_shared=shared, task_column=0)
    model.set_params(penalty_factor=factor, solver=solver, tol=1e-10)
    model.fit(np.column_stack([codes, X]), y)
    n_nodes = T + (shape == "star")
    expected = on_graph(X, y, codes, np.array(factor), 3.0, shared, links, n_nodes)
    assert_allclose(model.coef_[:T], expected[:T], rtol=1e-6, atol=1e-7)
    common = np.isinf(factor)
    assert_array_equal(model.coef_[:, common], np.tile(model.coef_[0, common], (n_nodes, 1)))
    assert_allclose(model.coef_[:, [0, 3]], expected[:, [0, 3]], rtol=1e-6, atol=1e-7)
    with pytest.raises(ValueError, match="no degrees of freedom"):
        effective_dof(model, np.column_stack([codes, X]), y)


def test_classifier_on_a_graph():
    X, y = long_form()
    y = np.digitize(y, np.quantile(y, [0.3, 0.7]))
    links = [(t, t + 1) for t in range(T - 1)]
    model = GraphRegularizedClassifier(3.0, task_graph=links, alpha_shared=0.0, task_column=0)
    model.set_params(tol=1e-9)
    near = clone(model).set_params(penalty_factor=[1e6, 1.0, 1.0, 2.0]).fit(X, y)
    model.set_params(penalty_factor=[np.inf, 1.0, 1.0, 2.0]).fit(X, y)
    # of the common slopes, only differences between classes are identified
    found, expected = (m.coef_ - m.coef_.mean(axis=1, keepdims=True) for m in (model, near))
    assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_graphs_of_several_components():
    X, y = long_form()
    model = GraphRegularizedRegressor(3.0, task_graph=[(0, 1), (2, 3), (3, 4)], task_column=0)
    with pytest.raises(ValueError, match="several components"):
        model.set_params(penalty_factor=[np.inf, 1.0, 1.0, 1.0]).fit(X, y)


# Norms ------------------------------------------------------------------------------------------


def test_lasso_of_rescaled_features():
    X, y, codes = rows()
    model = ADMMRegressor(L1(penalty_factor=FINITE), alpha=6.0, alpha_intercept=0.0, task_column=0)
    model.set_params(tol=1e-10).fit(np.column_stack([codes, X]), y)
    for t in range(T):
        lasso = Lasso(6.0 / N, tol=1e-12).fit((X / FINITE)[codes == t], y[codes == t])
        assert_allclose(model.coef_[t], lasso.coef_ / FINITE, atol=1e-7)


def test_multi_task_lasso_of_rescaled_features():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(40, D)), rng.normal(size=(40, 3))
    model = ADMMRegressor(L21(penalty_factor=FINITE), alpha=4.0, alpha_intercept=0.0, tol=1e-10)
    lasso = MultiTaskLasso(4.0 / 40, tol=1e-12).fit(X / FINITE, Y)
    assert_allclose(model.fit(X, Y).coef_, lasso.coef_ / FINITE, atol=1e-7)
    assert not model.coef_[:, 3].any()
    assert model.coef_[:, 0].any()


@pytest.mark.parametrize("penalty", [L1, L21])
@pytest.mark.parametrize("solver", ["admm", "proximal"])
def test_limits_of_norms(penalty, solver):
    """An unpenalized feature is projected out; an infinite factor removes its feature."""
    X, y, codes = rows()
    factor = [0.0, 1.0, np.inf, 2.0]
    model = ADMMRegressor(penalty(penalty_factor=factor), 8.0, alpha_intercept=0.0, task_column=0)
    model.set_params(solver=solver, tol=1e-10).fit(np.column_stack([codes, X]), y)
    assert_array_equal(model.coef_[:, 2], 0.0)
    Z, left = [], []
    for t in range(T):
        own = LinearRegression().fit(X[codes == t][:, :1], np.column_stack([X, y])[codes == t])
        rest = np.column_stack([X, y])[codes == t] - own.predict(X[codes == t][:, :1])
        Z.append(rest[:, [1, 3]])
        left.append(rest[:, -1])
    Z, left = np.vstack(Z), np.concatenate(left)
    other = ADMMRegressor(penalty(), 8.0, alpha_intercept=0.0, task_column=0, tol=1e-10)
    other.fit(np.column_stack([codes, Z / [1.0, 2.0]]), left)
    assert_allclose(model.coef_[:, [1, 3]], other.coef_ / [1.0, 2.0], atol=1e-7)


def test_norms_in_sums_with_names_and_classes():
    X, y = long_form()
    names = frame(X)
    penalty = L1(0.5, penalty_factor={"c": np.inf, "a": 0.0}) + RidgePenalty(1.0)
    model = ADMMRegressor(penalty, task_column="task").fit(names, y)
    assert_array_equal(model.coef_[:, 2], 0.0)
    by_number = L1(0.5, penalty_factor=[0.0, 1, np.inf, 1]) + RidgePenalty(1.0)
    other = ADMMRegressor(by_number, task_column=0).fit(X, y)
    assert_array_equal(model.coef_, other.coef_)
    with pytest.raises(ValueError, match="features have no names"):
        model.set_params(task_column=0).fit(X, y)


def test_working_sets_of_the_proximal_solver():
    rng = np.random.default_rng(0)
    X = sparse.random_array((60, 400), density=0.1, random_state=rng).tocsr()
    Y = rng.normal(size=(60, 2))
    factor = rng.uniform(0.5, 2.0, 400)
    model = ADMMRegressor(L21(penalty_factor=factor), alpha=1.0, solver="proximal", tol=1e-9)
    other = ADMMRegressor(L21(), alpha=1.0, solver="proximal", tol=1e-9)
    found = other.fit(X @ sparse.diags_array(1.0 / factor).tocsr(), Y).coef_ / factor
    assert_allclose(model.fit(X, Y).coef_, found, atol=1e-6)


@pytest.mark.parametrize("penalty", [L1, L21])
def test_alpha_max(penalty):
    X, y = long_form()
    for factor in (FINITE, [0.0, 1.0, 3.0, np.inf]):
        model = ADMMRegressor(penalty(penalty_factor=factor), task_column=0)
        top = alpha_max(model, X, y)
        chosen = np.asarray(factor) > 0
        assert not model.set_params(alpha=1.001 * top).fit(X, y).coef_[:, chosen].any()
        assert model.set_params(alpha=0.99 * top).fit(X, y).coef_[:, chosen].any()


# Searches, moments, adapt -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "cv"), [(FINITE, 3), (FINITE, None), ([0.0, 1.0, np.inf, 2.0], 3)], ids=str
)
def test_search_is_a_loop_over_fits(factor, cv):
    X, y = long_form()
    X, y = X[::3], y[::3]
    model = MeanRegularizedRegressor(alpha_shared=0.3, task_column=0, penalty_factor=factor)
    splits = None
    if cv is not None:
        order = np.random.default_rng(0).permutation(len(y))
        splits = [(np.setdiff1d(order, part), part) for part in np.array_split(order, 3)]
    alphas = [0.1, 1.0, 30.0]
    search = RegularizationPathCV(model, alphas, cv=splits, scoring="neg_mean_squared_error")
    search.fit(X, y)
    assert search.n_splits_ == (len(y) if cv is None else 3)
    if cv is None:
        splits = [(np.delete(np.arange(len(y)), i), [i]) for i in range(len(y))]
    for alpha, found in zip(alphas, search.cv_results_["mean_test_score"], strict=True):
        scores = []
        for train, test in splits:
            own = clone(model).set_params(alpha=alpha).fit(X[train], y[train])
            scores.append(-np.mean((own.predict(X[test]) - y[test]) ** 2))
        # leave-one-out keeps the mean of the features
        assert_allclose(found, np.mean(scores), rtol=1e-5 if cv else 1e-2)


def test_leave_one_out_is_that_of_rescaled_features():
    X, y = long_form()
    model = MeanRegularizedRegressor(alpha_shared=0.3, task_column=0)
    plain = RegularizationPathCV(model, 5, cv=None).fit(X / np.append(1.0, np.sqrt(FINITE)), y)
    model.set_params(penalty_factor=FINITE)
    search = RegularizationPathCV(model, 5, cv=None).fit(X, y)
    assert search.n_splits_ == len(y)
    assert_allclose(search.alphas_, plain.alphas_)
    assert_allclose(search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])
    assert_allclose(
        search.best_estimator_.coef_, plain.best_estimator_.coef_ / np.sqrt(FINITE), rtol=1e-8
    )


def test_grid_search_over_factors():
    X, y = long_form()
    grid = {"penalty_factor": [None, {"a": 0.0}, {"a": np.inf, "d": 9.0}], "alpha": [1.0, 9.0]}
    model = MeanRegularizedRegressor(task_column="task")
    folds = TaskKFold(3, task_column="task", shuffle=True, random_state=0)
    search = GridSearchCV(model, grid, cv=folds).fit(frame(X), y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    best = clone(model).set_params(**search.best_params_).fit(frame(X), y)
    assert_array_equal(search.best_estimator_.coef_, best.coef_)


def test_search_with_names():
    X, y = long_form()
    model = MeanRegularizedRegressor(task_column="task", penalty_factor={"b": 3.0, "c": 0.2})
    search = RegularizationPathCV(model, 4, cv=3).fit(frame(X), y)
    other = MeanRegularizedRegressor(task_column=0, penalty_factor=[1.0, 3.0, 0.2, 1.0])
    other = RegularizationPathCV(other, 4, cv=3).fit(X, y)
    assert_allclose(search.cv_results_["mean_test_score"], other.cv_results_["mean_test_score"])


@pytest.mark.parametrize("factor", [{"a": 2.0, "d": 0.3}, {"a": 0.0, "c": np.inf}], ids=str)
def test_moments(factor):
    X, y = long_form()
    data = frame(X)
    model = MeanRegularizedRegressor(2.0, alpha_shared=1.0, task_column="task")
    model.set_params(penalty_factor=factor)
    whole = clone(model).fit(data, y)
    moments = TaskMoments.from_data(data, y, task_column="task")
    assert_allclose(clone(model).fit_moments(moments).coef_, whole.coef_, rtol=1e-7, atol=1e-8)
    batches = clone(model)
    for part in np.array_split(np.random.default_rng(0).permutation(len(y)), 3):
        batches.partial_fit(data.iloc[part], y[part])
    assert_allclose(batches.coef_, whole.coef_, rtol=1e-7, atol=1e-8)
    folds = [np.arange(len(y)) % 3 == k for k in range(3)]
    parts = [TaskMoments.from_data(data[own], y[own], task_column="task") for own in folds]
    splits = [(np.flatnonzero(~own), np.flatnonzero(own)) for own in folds]
    search = RegularizationPathCV(model, [0.1, 10.0], cv=splits, scoring="r2").fit(data, y)
    other = RegularizationPathCV(model, [0.1, 10.0], scoring="r2").fit_moments(parts)
    scores = (part.cv_results_["mean_test_score"] for part in (search, other))
    assert_allclose(*scores, rtol=1e-6)


@limits
def test_adapt(factor):
    X, y, codes = rows()
    model = MeanRegularizedRegressor(2.0, alpha_shared=1.0, penalty_factor=factor, task_column=0)
    model.fit(np.column_stack([codes, X]), y)
    Z, target, _ = rows(seed=4)
    Z, target = Z[:12], target[:12]
    adapted = model.adapt(np.column_stack([np.full(12, 9), Z]), target)
    centered, free = Z - X.mean(axis=0), np.isfinite(factor)
    c = model.shared_intercept_ + model.shared_coef_ @ X.mean(axis=0)
    A = np.column_stack([centered[:, free], np.ones(12)])
    P = np.diag(np.sqrt(np.append(2.0 * np.asarray(factor)[free], 1.0)))
    left = np.append(target - c - centered @ model.shared_coef_, np.zeros(len(P)))
    found = np.linalg.lstsq(np.vstack([A, P]), left, rcond=None)[0]
    expected = model.shared_coef_.copy()
    expected[free] += found[:-1]
    assert_allclose(adapted.coef_[T], expected, rtol=1e-7, atol=1e-8)
    assert_array_equal(adapted.coef_[:T], model.coef_)


@pytest.mark.parametrize("task_weight", ["uncertainty", "minimax", "balanced"])
def test_task_weights(task_weight):
    X, y = long_form()
    model = MeanRegularizedRegressor(2.0, alpha_shared=1.0, task_column=0, task_weight=task_weight)
    plain = clone(model).fit(X / np.append(1.0, np.sqrt(FINITE)), y)
    own = clone(model).set_params(penalty_factor=FINITE).fit(X, y)
    assert_allclose(own.coef_, plain.coef_ / np.sqrt(FINITE), rtol=1e-5)
    model.set_params(penalty_factor=[0.0, 1.0, np.inf, 1.0]).fit(X, y)
    near = clone(model).set_params(penalty_factor=[1e-7, 1.0, 1e7, 1.0], alpha_shared=0.0)
    near.fit(X, y)
    model.set_params(alpha_shared=0.0).fit(X, y)
    assert_allclose(model.coef_, near.coef_, rtol=1e-3, atol=1e-3)


def test_warm_start():
    X, y = long_form()
    y = labels(y)
    params = {"alpha_shared": 0.5, "task_column": 0, "penalty_factor": [0.0, 1.0, np.inf, 3.0]}
    model = MeanRegularizedClassifier(2.0, warm_start=True, **params).fit(X, y)
    steps = model.n_iter_
    again = model.fit(X, y)
    assert again.n_iter_ < steps
    cold = MeanRegularizedClassifier(2.0, **params).fit(X, y)
    assert_allclose(again.coef_, cold.coef_, rtol=1e-5, atol=1e-7)


def test_separate_models_without_a_feature_in_a_search():
    X, y = long_form()
    model = SharedL2Regressor(task_column=0)
    part = RegularizationPathCV(model, 5, cv=None).fit(X[:, [0, 1, 3, 4]], y)
    model.set_params(penalty_factor=[1.0, np.inf, 1.0, 1.0])
    search = RegularizationPathCV(model, part.alphas_, cv=None).fit(X, y)
    assert search.n_splits_ == len(y)
    assert_allclose(search.cv_results_["mean_test_score"], part.cv_results_["mean_test_score"])


def test_grid_of_alpha_is_that_of_penalized_features():
    X, y = long_form()
    model = MeanRegularizedRegressor(task_column=0, alpha_shared=1.0)
    part = RegularizationPathCV(model, 4, cv=3).fit(X[:, [0, 2, 3]], y)
    model.set_params(penalty_factor=[0.0, 1.0, 1.0, np.inf])
    assert_allclose(RegularizationPathCV(model, 4, cv=3).fit(X, y).alphas_, part.alphas_)


def test_models_that_a_report_compares_with():
    """Their infinite factors would be those of the slopes, not of deviations."""
    for given, expected in (([np.inf, 2.0], [1.0, 2.0]), ({"a": np.inf}, {"a": 1.0})):
        model = MeanRegularizedRegressor(penalty_factor=given, task_column=0)
        found = tuned("pooled", model).estimator.penalty_factor
        assert np.array_equal(found, expected) or found == expected
    given = SharedL2Regressor(penalty_factor=[np.inf, 2.0], task_column=0)
    assert tuned("separate", given).estimator.penalty_factor == [np.inf, 2.0]


@pytest.mark.parametrize("model", [MeanRegularizedRegressor(), MeanRegularizedClassifier()])
@pytest.mark.parametrize("name", ["alpha", "alpha_shared", "alpha_intercept"])
def test_auto_refuses_zeros(model, name):
    X, y = long_form()
    y = y if isinstance(model, MeanRegularizedRegressor) else y > y.mean()
    given = {name: "auto", "task_column": 0, "penalty_factor": [0, 1, 1, 1]}
    with pytest.raises(ValueError, match="positive factors, and penalty_factor has 0"):
        clone(model).set_params(**given).fit(X, y)


@pytest.mark.parametrize("alpha_shared", [0.0, "auto"])
def test_random_slopes_of_some_features(alpha_shared):
    """Variances between tasks of the others, against the dense likelihood."""
    rng = np.random.default_rng(0)
    codes, X = np.repeat(np.arange(20), 8), rng.normal(size=(160, 3)) * [1.0, 2.0, 0.5]
    W, b = 1 + rng.normal(size=(20, 3)) * [1.0, 0.0, 0.7], rng.normal(size=20)
    y = np.einsum("ij,ij->i", X, W[codes]) + b[codes] + rng.normal(size=160)
    model = MeanRegularizedRegressor(
        "auto",
        alpha_shared=alpha_shared,
        covariance_prior=0.0,
        penalty_factor=[1.0, np.inf, 1.0],
        task_column=0,
    ).fit(np.column_stack([codes, X]), y)
    Z, same = X - X.mean(axis=0), codes[:, None] == codes

    def likelihood(*variances):
        one, two, intercept, *shared = variances
        V = np.eye(160) + same * (one * np.outer(Z[:, 0], Z[:, 0]) + intercept)
        V += same * two * np.outer(Z[:, 2], Z[:, 2])
        fixed = np.ones((160, 1))
        if shared:
            return restricted_likelihood(y, V + shared[0] * Z @ Z.T, fixed)
        return restricted_likelihood(y, V, np.hstack([fixed, Z]))

    start = np.ones(3 if alpha_shared == 0 else 4)
    best, value = dense_maximum(lambda *x: likelihood(*x)[0], start)
    assert_allclose(model.restricted_log_likelihood_, value, rtol=1e-10)
    found = [*model.tau2_[[0, 2]], model.tau2_intercept_]
    assert_allclose(np.array(found) / model.sigma2_, best[:3], rtol=1e-4)
    assert model.tau2_[1] == 0
    assert np.ptp(model.coef_[:, 1]) == 0


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("auto", ["alpha_intercept", "alpha_shared", "both"])
def test_other_weights_with_a_common_slope(auto, scale):
    """Of tasks with known penalty weights of the deviations, against the dense likelihood."""
    rng = np.random.default_rng(0)
    codes, X = np.repeat(np.arange(20), 8), scale * rng.normal(size=(160, 3)) * [1.0, 2.0, 0.5]
    W, b = (1 + rng.normal(size=(20, 3)) * [1.0, 0.0, 0.7]) / scale, rng.normal(size=20)
    y = np.einsum("ij,ij->i", X, W[codes]) + b[codes] + rng.normal(size=160)
    factor, alpha = np.array([1.0, np.inf, 3.0]), scale**2 * np.linspace(0.5, 2, 20)
    names = ["alpha_intercept", "alpha_shared"] if auto == "both" else [auto]
    known = {"alpha_intercept": 0.8, "alpha_shared": 0.3 * scale**2}
    model = MeanRegularizedRegressor(
        alpha, task_column=0, penalty_factor=factor, **known | dict.fromkeys(names, "auto")
    ).fit(np.column_stack([codes, X]), y)
    Z, same = X - X.mean(axis=0), codes[:, None] == codes
    own, shared = Z / np.sqrt(factor), Z / np.sqrt(np.where(np.isinf(factor), 1.0, factor))

    def covariance(weights):
        V = np.eye(160) + same * (own @ own.T / alpha[codes] + 1 / weights["alpha_intercept"])
        return V + shared @ shared.T / weights["alpha_shared"]

    def likelihood(*variances):
        estimates = {name: known[name] / v for name, v in zip(names, variances, strict=True)}
        return restricted_likelihood(y, covariance(known | estimates), np.ones((160, 1)))[0]

    best, value = dense_maximum(likelihood, np.ones(len(names)))
    assert_allclose(model.restricted_log_likelihood_, value, rtol=1e-10)
    found = {name: getattr(model, f"{name}_") for name in names}
    assert_allclose([known[name] / found[name] for name in names], best, rtol=1e-4)
    assert np.ptp(model.coef_[:, 1]) == 0
    again = MeanRegularizedRegressor(alpha, task_column=0, penalty_factor=factor, **known | found)
    again.fit(np.column_stack([codes, X]), y)
    for part in ("coef_", "intercept_", "shared_coef_"):
        assert_allclose(getattr(model, part), getattr(again, part), rtol=1e-7, atol=1e-9)


def test_auto_is_that_of_rescaled_features():
    X, y = long_form()
    plain = MeanRegularizedRegressor("auto", task_column=0)
    plain.fit(X / np.append(1.0, np.sqrt(FINITE)), y)
    model = MeanRegularizedRegressor("auto", task_column=0, penalty_factor=FINITE).fit(X, y)
    assert_allclose(model.alpha_, plain.alpha_, rtol=1e-6)
    assert_allclose(model.coef_, plain.coef_ / np.sqrt(FINITE), rtol=1e-5)


# Parameters -------------------------------------------------------------------------------------


def test_names():
    X, y = long_form()
    by_name = MeanRegularizedRegressor(2.0, task_column="task", penalty_factor={"d": 5.0, "a": 0.0})
    by_number = MeanRegularizedRegressor(2.0, task_column=0, penalty_factor=[0.0, 1.0, 1.0, 5.0])
    data = frame(X)[["b", "a", "task", "d", "c"]]
    found = by_name.fit(data, y).coef_[:, [1, 0, 3, 2]]
    assert_allclose(found, by_number.fit(X, y).coef_, rtol=1e-10)
    again = pickle.loads(pickle.dumps(by_name))
    assert_array_equal(again.predict(data), by_name.predict(data))
    new = data.assign(task=data["task"].replace(0, 77))
    assert_array_equal(again.adapt(new, y).coef_, by_name.adapt(new, y).coef_)
    assert clone(by_name).penalty_factor == {"d": 5.0, "a": 0.0}


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        ([1.0, 2.0], "has 2 numbers, and X has 4 features"),
        ([1.0, -1.0, 1.0, 1.0], "at least 0"),
        ([1.0, np.nan, 1.0, 1.0], "not NaN"),
        ({"a": 2.0}, "features have no names"),
        ("auto", "got 'auto'"),
        (3.0, "got 3.0"),
        ([[1.0] * D], "1-D array"),
        ([1.0, "b", 1.0, 1.0], "1-D array of numbers"),
    ],
)
def test_messages(factor, message):
    X, y = long_form()
    model = MeanRegularizedRegressor(2.0, task_column=0).fit(X, y)
    before = model.coef_.copy()
    with pytest.raises(ValueError, match=message):
        model.set_params(penalty_factor=factor).fit(X, y)
    assert_array_equal(model.coef_, before)
    with pytest.raises(ValueError, match=message):
        ADMMRegressor(L1(penalty_factor=factor), task_column=0).fit(X, y)


def test_unknown_names():
    X, y = long_form()
    model = MeanRegularizedRegressor(2.0, task_column="task", penalty_factor={"z": 1.0, "a": 2.0})
    with pytest.raises(ValueError, match=r"'z'.*features of X are 'a', 'b', 'c', 'd'\.$"):
        model.fit(frame(X), y)
    renamed = frame(X).rename(columns={"a": "hours"})
    for factor in ({"hour": 0.0}, {3: 1.0, "hour": 0.0}):
        with pytest.raises(ValueError, match=r"'hour', .* X are 'hours', .*Did you mean 'hours'\?"):
            model.set_params(penalty_factor=factor).fit(renamed, y)


def test_infinite_multiples_of_zero():
    X, y = long_form()
    model = MeanRegularizedRegressor(0.0, task_column=0, penalty_factor=[np.inf, 1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="alpha is 0"):
        model.fit(X, y)


def test_unpenalized_features_that_separate_classes():
    X, y = long_form()
    y = (X[:, 1] > X[:, 1].mean()).astype(int)
    model = MeanRegularizedClassifier(1.0, task_column=0, penalty_factor=[0.0, 1.0, 1.0, 1.0])
    with pytest.warns(UserWarning, match="Raise penalty_factor where it is 0"):
        model.fit(X, y)
    assert model.score(X, y) > 0.99
