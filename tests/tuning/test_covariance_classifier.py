"""``covariance_type`` of classifiers: dense Laplace evidence, gradients, invariance."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from skmtl import MeanRegularizedClassifier
from skmtl.tuning._covariance import DiagonalCovariance, FullCovariance
from skmtl.tuning._laplace import EvidenceOfParameters, LaplaceEvidence
from tests._dense import row_losses
from tests._problems import Rows, make_wide, melt
from tests.tuning._evidence import assert_derivative, posed, solver

KINDS = pytest.mark.parametrize("kind", ["diag", "full"])
CLASSES = pytest.mark.parametrize("K", [2, pytest.param(3, marks=pytest.mark.slow)])


def differing(K=2, T=14, n=25, seed=1):
    """Rows in which features differ in how much tasks differ in them."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(T), n)
    X = rng.normal(size=(T * n, 3)) + 0.3 * rng.normal(size=(T, 3))[codes]
    W = rng.normal(size=(K, 1, 3)) + rng.normal(size=(K, T, 3)) * [1.6, 0.8, 1.1]
    z = np.einsum("ij,kij->ki", X, W[:, codes]) + rng.normal(size=(K, T))[:, codes]
    return Rows(X, (z + rng.gumbel(size=z.shape)).argmax(axis=0), codes)


def fit(rows, sample_weight=None, **params):
    model = MeanRegularizedClassifier(task_column=0, **{"alpha": "auto", "tol": 1e-10} | params)
    return model.fit(rows.long, rows.y, sample_weight)


def evidence_of(rows, K, C, alpha_shared, weight=None):
    """Return the log evidence at a covariance C (4, 4) and the mode, by Newton's method.

    Deviations are C^(1/2) times standard normal numbers. With three classes, a column of the design
    is in all classes, and what adds to all of them has no curvature but that of the penalty.
    """
    n, T = len(rows.y), rows.codes.max() + 1
    weight = np.ones(n) if weight is None else weight
    D = np.column_stack([rows.X - np.average(rows.X, axis=0, weights=weight), np.ones(n)])
    values, vectors = np.linalg.eigh(C)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    own = np.eye(T)[rows.codes][:, :, None] * (D @ root)[:, None]
    A = np.column_stack([D, own.reshape(n, -1)])
    P = np.r_[np.full(3, alpha_shared), 0.0, np.ones(4 * T)]
    k = 1 if K == 2 else K
    theta = np.zeros((k, len(P)))
    for _ in range(100):
        value, slope, curvature = row_losses(theta @ A.T, rows.y, K)
        gradient = ((weight * slope) @ A + theta * P).ravel()
        H = np.einsum("abi,ip,iq->apbq", weight * curvature, A, A, optimize=True)
        H = H.reshape(gradient.size, -1) + np.diag(np.tile(P, k))
        step = np.linalg.lstsq(H, gradient, rcond=1e-11)[0]
        theta = theta - step.reshape(theta.shape)
        if np.abs(step).max() < 1e-11:
            break
    values = np.linalg.eigvalsh(H)
    log_det = np.log(values[k > 1 :]).sum() - (np.log(k) if k > 1 else 0.0)
    objective = weight @ value + 0.5 * (theta**2 @ P).sum()
    log_prior = k * np.log(P[P > 0]).sum()
    n_flat = 1 if k == 1 else k - 1
    return -objective + 0.5 * (log_prior - log_det + n_flat * np.log(2 * np.pi))


@pytest.mark.parametrize(("alpha_shared", "prior"), [("auto", 0.0), ("auto", 10.0), (0.7, 2.0)])
@CLASSES
@KINDS
def test_maximum_of_the_dense_evidence(kind, K, alpha_shared, prior):
    rows = differing(K)
    weight = None if prior else np.random.default_rng(1).uniform(0.5, 2, len(rows.y))
    params = {"covariance_type": kind, "covariance_prior": prior, "alpha_shared": alpha_shared}
    model = fit(rows, weight, **params)
    C, lower = model.covariance_, np.diag_indices(4) if kind == "diag" else np.tril_indices(4)
    value = evidence_of(rows, K, C, model.alpha_shared_, weight)
    assert_allclose(model.log_evidence_, value, atol=1e-6)
    assert_allclose(model.tau2_, C.diagonal()[:3], rtol=1e-12)
    assert_allclose(model.alpha_ * model.tau2_, 1.0, rtol=1e-12)
    assert_allclose(model.alpha_shared_ * getattr(model, "tau2_shared_", 1 / 0.7), 1.0)

    def criterion(x):
        F = np.zeros((4, 4))
        F[lower] = x[:-1]
        C = F @ F.T
        tau = np.sqrt(np.linalg.eigvalsh(C[:3, :3]) if kind == "full" else np.diag(C)[:3])
        spread = np.log(tau) - np.log(tau).mean()
        return prior * (spread**2).sum() - 2 * evidence_of(rows, K, C, np.exp(x[-1]), weight)

    x = np.append(np.linalg.cholesky(C)[lower], np.log(model.alpha_shared_))
    rng, least = np.random.default_rng(2), criterion(x)
    free = np.arange(len(x)) < len(x) - (alpha_shared != "auto")
    for _ in range(4):
        direction = free * rng.normal(size=len(x))
        up, down = criterion(x + 2e-3 * direction), criterion(x - 2e-3 * direction)
        assert min(up, down) > least
        assert abs(up - down) / (up + down - 2 * least) < 0.04  # distance below 2 % of a step


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("K", [2, 3])
@KINDS
def test_derivatives_and_differences(kind, K, weighted):
    rows = differing(K, T=6)
    weight = np.random.default_rng(1).uniform(0.5, 2, len(rows.y)) if weighted else None
    model = MeanRegularizedClassifier("auto", task_column=0)
    problem = posed(model, rows.long, rows.y, weight)
    likelihood = LaplaceEvidence(problem, solver(1e-12), problem.origin())
    if kind == "diag":
        criterion = DiagonalCovariance(likelihood, np.eye(4), np.zeros(4), 3.0)
    else:
        every, units = np.arange(4), np.array([0.5, 0.0, -0.3, 1.0])
        criterion = FullCovariance(likelihood, every, units, np.zeros(4), 3.0)
    criterion = EvidenceOfParameters(criterion, shared=True)
    x = 0.7 * np.random.default_rng(3).normal(size=5 if kind == "diag" else 11)
    assert criterion(x, gradient=True)[0] == pytest.approx(criterion(x), rel=1e-12)
    assert_derivative(criterion, x)


@CLASSES
def test_full_is_invariant_to_linear_changes_of_the_features(K):
    rows, change = differing(K), np.array([[2.0, 1.0, 0.0], [0.0, 0.5, -1.0], [1.0, 0.0, 3.0]])
    moved = Rows(rows.X @ change + [5.0, -3.0, 1.0], rows.y, rows.codes)
    params = {"covariance_type": "full", "covariance_prior": 0.0, "alpha_shared": 0.0}
    model, other = fit(rows, **params), fit(moved, **params)
    of_center = (K - 1) * np.log(np.linalg.det(change))  # a flat density has units
    assert_allclose(other.log_evidence_ + of_center, model.log_evidence_)
    expected = model.predict_proba(rows.long)
    assert_allclose(other.predict_proba(moved.long), expected, atol=1e-5)


@CLASSES
def test_diag_is_invariant_to_units(K):
    rows, units = differing(K), np.array([100.0, 0.01, 3.0])
    scaled = Rows(rows.X * units, rows.y, rows.codes)
    params = {"covariance_type": "diag", "covariance_prior": 0.0, "alpha_shared": 0.0}
    model, other = fit(rows, **params), fit(scaled, **params)
    expected = model.predict_proba(rows.long)
    assert_allclose(other.predict_proba(scaled.long), expected, atol=1e-5)


@KINDS
def test_adapt_and_the_same_numbers(kind):
    rows = differing()
    model, own = fit(rows, covariance_type=kind), rows.codes < 2
    adapted = model.adapt(rows.long[own], rows.y[own])
    assert_allclose(adapted.coef_, model.coef_, rtol=1e-6)
    assert_allclose(adapted.covariance_, model.covariance_)
    assert_array_equal(adapted.alpha_, model.alpha_)


@KINDS
def test_wide_form(kind):
    X, Y = make_wide(40, 2, T=5, missing=0.3)
    Y = np.where(np.isnan(Y), np.nan, np.nanmean(Y, axis=0) < Y)
    weight = np.random.default_rng(2).uniform(0.5, 2, len(X))
    params = {"covariance_type": kind, "tol": 1e-10}
    wide = MeanRegularizedClassifier("auto", **params).fit(X, Y, weight)
    long, weight = melt(X, Y, weight)
    other = fit(Rows(long.X, long.y.astype(int), long.codes), weight, **params)
    assert_allclose(wide.log_evidence_, other.log_evidence_, rtol=1e-8)
    assert_allclose(wide.coef_, other.coef_, atol=1e-4)


@CLASSES
def test_a_variance_of_zero_is_zero(K):
    """The slope of a feature is the same in all tasks, and exactly so in the fit."""
    rng, rows = np.random.default_rng(2), differing(K, T=30, seed=0)
    z = np.einsum("ij,ij->i", rows.X, [1.0, 0, 1] * rng.normal(size=(30, 3))[rows.codes] * 1.5)
    z = np.stack([z + rows.X[:, 1], *(0 * z for _ in range(K - 1))])
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=0)
    params = {"covariance_type": "diag", "covariance_prior": 0.0}
    model = fit(Rows(rows.X, y, rows.codes), **params)
    assert model.tau2_[1] == 0
    assert (model.tau2_[[0, 2]] > 0).all()
    assert np.ptp(model.coef_[..., 1], axis=0).max() == 0
    value = evidence_of(Rows(rows.X, y, rows.codes), K, model.covariance_, model.alpha_shared_)
    assert_allclose(model.log_evidence_, value, atol=1e-6)


def test_variances_of_tasks_with_equal_slopes_are_all_zero():
    """With the prior too, which is constant where all variances go to zero together."""
    rng, codes = np.random.default_rng(2), np.repeat(np.arange(30), 40)
    X, b = rng.normal(size=(1200, 4)), rng.normal(size=30)
    y = (X.sum(axis=1) + b[codes] + rng.logistic(size=1200) > 0).astype(int)
    model, one = (fit(Rows(X, y, codes), covariance_type=kind) for kind in (None, "spherical"))
    assert one.alpha_ == np.inf
    assert_array_equal(model.alpha_, np.inf)
    assert np.ptp(model.coef_, axis=0).max() == 0


@CLASSES
@pytest.mark.parametrize("kind", ["spherical", "diag", "full"])
def test_a_common_slope(kind, K):
    """A feature with an infinite penalty factor has no variance between tasks."""
    rows = differing(K)
    model = fit(rows, covariance_type=kind, penalty_factor=[1.0, np.inf, 2.0])
    assert model.tau2_[1] == 0
    assert not model.covariance_[1].any()
    assert np.ptp(model.coef_[..., 1], axis=0).max() < 1e-14
    scaled = Rows(rows.X / np.sqrt([1.0, 1.0, 2.0]), rows.y, rows.codes)  # the same prior of all
    C = model.covariance_ * np.outer(*2 * [np.sqrt([1.0, 1.0, 2.0, 1.0])])
    value = evidence_of(scaled, K, C, model.alpha_shared_)
    assert_allclose(model.log_evidence_, value, atol=1e-6)
    if kind == "spherical":
        assert_allclose(model.tau2_[2], model.tau2_[0] / 2)


@CLASSES
def test_a_common_slope_beside_an_alpha_that_is_a_number(K):
    rows = differing(K)
    model = fit(rows, alpha=0.5, alpha_intercept="auto", penalty_factor=[1.0, np.inf, 1.0])
    C = np.diag([2.0, 0.0, 2.0, model.tau2_intercept_])
    value = evidence_of(rows, K, C, model.alpha_shared_)
    assert_allclose(model.log_evidence_, value, atol=1e-6)
    assert np.ptp(model.coef_[..., 1], axis=0).max() < 1e-14


@CLASSES
def test_sparse_features(K):
    rows = differing(K)
    rows = Rows(rows.X * (np.random.default_rng(0).random(rows.X.shape) < 0.4), rows.y, rows.codes)
    dense = fit(rows)
    model = MeanRegularizedClassifier("auto", task_column=0, tol=1e-10)
    model.fit(sparse.csr_array(rows.long), rows.y)
    assert_allclose(model.covariance_, dense.covariance_, rtol=1e-6, atol=1e-9)
    assert_allclose(model.log_evidence_, dense.log_evidence_, rtol=1e-9)
    with pytest.raises(TypeError, match="covariance_type='full' requires a dense X"):
        model.set_params(covariance_type="full").fit(sparse.csr_array(rows.long), rows.y)


def test_a_variance_without_bound():
    """A feature that separates the classes of each task, half of them the other way round."""
    rng, codes = np.random.default_rng(0), np.repeat(np.arange(8), 25)
    X = rng.normal(size=(200, 4))
    rows = Rows(X, (X[:, 0] * (-1.0) ** codes > 0).astype(int), codes)
    with pytest.warns(UserWarning, match="covariance_type='diag': the evidence grows without"):
        model = fit(rows, covariance_type="diag", covariance_prior=0.0, tol=1e-8)
    assert model.tau2_[0] > 1e4
    assert model.score(rows.long, rows.y) == 1.0
