"""Variances of each feature of groups in groups, against dense likelihoods of the rows."""

from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from skmtl import MeanRegularizedClassifier, MeanRegularizedRegressor
from skmtl.data import LongData
from skmtl.inspection import effective_dof
from skmtl.losses import SquaredLoss
from skmtl.penalties import NestedCoupling, Nesting
from skmtl.tuning._covariance import DiagonalCovariance
from skmtl.tuning._laplace import EvidenceOfParameters, LaplaceEvidence
from skmtl.tuning._restricted import RestrictedLikelihood
from tests._dense import Objective
from tests.tuning._evidence import posed, solver
from tests.tuning._nested import (
    THREE,
    THREE_CLASSES,
    TWO,
    TWO_CLASSES,
    DenseEvidence,
    dense,
    draw,
    draw_classes,
)


def spread(log_tau):
    """Return ``sum_j (log tau_j - mean)^2`` of finite ones, of each level, summed."""
    each = [own[np.isfinite(own)] for own in log_tau]
    return sum(((own - own.mean()) ** 2).sum() for own in each if len(own))


def table_of(X, labels):
    return np.column_stack([labels, X])


def columns_of(labels):
    return list(range(labels.shape[1]))


def standard_deviations(model, scale=1.0):
    """Return tau / scale of slopes and intercepts, (L, d + 1), from the outside in."""
    return [np.sqrt(np.diag(own)) / scale for own in model.covariance_.values()]


@pytest.mark.parametrize("parents", [TWO, THREE])
@pytest.mark.parametrize("shared", [0.0, 0.7])
def test_likelihood_and_its_derivatives_are_those_of_all_rows(parents, shared):
    X, y, labels = draw(parents, seed=1)
    L, d = labels.shape[1], X.shape[1]
    nesting = Nesting(parents)
    data = LongData(X, y, np.ones(len(y)), labels[:, -1], len(parents[0]), X.mean(axis=0))
    penalty = NestedCoupling.of(np.ones(L), shared, np.ones(L), False, nesting)
    likelihood = RestrictedLikelihood(data, SquaredLoss(), penalty)
    size = L * (d + 1)
    slopes = [level * (d + 1) + np.arange(d) for level in range(L)]
    criterion = DiagonalCovariance(likelihood, np.eye(size), np.zeros(size), 10.0, slopes)

    def reference(x):
        each = [np.diag(own) for own in np.exp(-x).reshape(L, d + 1)[::-1]]
        prior = spread(-0.5 * x.reshape(L, d + 1)[:, :-1])
        return dense(X, y, labels, each, shared)[0] + 10.0 * prior

    x = np.random.default_rng(0).uniform(-1, 3, size=size)
    x[1] = np.inf
    value, slope = criterion(x, gradient=True)
    assert_allclose(value, reference(x), rtol=1e-8)
    for j in np.flatnonzero(np.isfinite(x)):
        step = 1e-4 * np.eye(size)[j]
        difference = (reference(x + step) - reference(x - step)) / 2e-4
        assert_allclose(slope[j], difference, rtol=1e-6, atol=1e-6)
    assert [limit.tolist() for limit in criterion.limits] == [
        *(own.tolist() for own in slopes),
        *([level * (d + 1) + d] for level in range(L)),
    ]


@pytest.mark.parametrize("prior", [0.0, 10.0])
@pytest.mark.parametrize("parents", [TWO, THREE])
@pytest.mark.parametrize("shared", [0.0, "auto"])
def test_auto_is_the_optimum_of_the_dense_likelihood(parents, prior, shared):
    X, y, labels = draw(parents, seed=4, rows=(6, 12))
    L, d = labels.shape[1], X.shape[1]
    model = MeanRegularizedRegressor(
        "auto", alpha_shared=shared, covariance_prior=prior, task_column=columns_of(labels)
    ).fit(table_of(X, labels), y)

    def value(x):
        each = np.exp(-x[: L * (d + 1)]).reshape(L, d + 1)
        own = np.exp(x[-1]) if shared == "auto" else shared
        found = dense(X, y, labels, [np.diag(one) for one in each], own)[0]
        slopes = x[: L * (d + 1)].reshape(L, d + 1)[:, :-1]
        return found + prior * spread(-0.5 * slopes)

    size = L * (d + 1) + (shared == "auto")
    bounds, starts = [(-6, 14)] * size, [np.zeros(size), np.full(size, 3.0)]
    with np.errstate(divide="ignore"):
        weights = [-2 * np.log(own) for own in standard_deviations(model, np.sqrt(model.sigma2_))]
        weights = np.concatenate(weights)
    ours = np.append(weights, np.log(model.alpha_shared_)) if shared == "auto" else weights
    starts.append(np.clip(ours, -6, 14))
    least = min(minimize(value, x, method="L-BFGS-B", bounds=bounds).fun for x in starts)
    assert least - 2e-3 < value(ours) < least + 1e-5  # the reference ends at finite weights
    each = np.exp(-weights).reshape(L, d + 1)
    expected = dense(X, y, labels, [np.diag(one) for one in each], model.alpha_shared_)
    assert_allclose([-2 * model.restricted_log_likelihood_, model.sigma2_], expected, rtol=1e-8)
    for own, column in zip(each, columns_of(labels), strict=True):
        assert_allclose(model.tau2_[column], model.sigma2_ * own[:-1], rtol=1e-10)
        assert_allclose(1.0 / model.alpha_[column], own[:-1], rtol=1e-10)
        assert_allclose(model.tau2_intercept_[column], model.sigma2_ * own[-1], rtol=1e-10)
        assert_allclose(1.0 / model.alpha_intercept_[column], own[-1], rtol=1e-10)


def indicators(given, X, labels, factor=1.0):
    """Return columns of the center and of all nodes, and their penalty weights.

    ``given`` are alpha, alpha_intercept and alpha_shared.
    """
    alpha, alpha_intercept, alpha_shared = given
    factor = np.append(np.broadcast_to(factor, X.shape[1]), 1.0)
    of_center = np.where(np.isinf(factor), 1.0, factor)[:-1]
    X1 = np.column_stack([X - X.mean(axis=0), np.ones(len(X))])
    parts, weights = [X1], [*(alpha_shared * of_center), 0.0]
    for column, codes in enumerate(labels.T):
        own = np.append(alpha[column], alpha_intercept[column])
        own = np.where(np.isinf(own), np.inf, own * np.where(np.isinf(factor), 1.0, factor))
        for node in np.unique(codes):
            parts.append((X1 * (codes == node)[:, None])[:, np.isfinite(own)])
            weights.extend(own[np.isfinite(own)])
    return np.hstack(parts), np.array(weights)


@pytest.mark.parametrize("shared", [0.0, "auto"])
@pytest.mark.parametrize(("parents", "seed"), [(TWO, 0), (TWO, 1), (THREE, 2), (THREE, 3)])
def test_fits_and_standard_deviations_are_those_of_least_squares(parents, seed, shared):
    X, y, labels = draw(parents, seed, d=3, rows=(5, 12))
    D, columns = table_of(X, labels), columns_of(labels)
    model = MeanRegularizedRegressor(
        "auto", alpha_shared=shared, covariance_prior=0.1, task_column=columns
    ).fit(D, y)
    given = model.alpha_, model.alpha_intercept_, model.alpha_shared_
    Z, weights = indicators(given, X, labels)
    C = np.linalg.inv(Z.T @ Z + np.diag(weights))
    predictions, std = model.predict(D, return_std=True)
    assert_allclose(predictions, Z @ C @ Z.T @ y, rtol=1e-8, atol=1e-8)
    variance = np.einsum("ij,jk,ik->i", Z, C, Z)
    assert_allclose(std, np.sqrt(model.sigma2_ * (1 + variance)), rtol=1e-7)
    assert_allclose(effective_dof(model, D, y).sum(), np.trace(C @ Z.T @ Z), rtol=1e-8)
    # A store that was not in fit: the covariance of its region, and that of its deviations.
    new = D[:4].copy()
    new[:, len(columns) - 1] = 99
    model.set_params(handle_unknown="shared")
    n_tasks = len(np.unique(labels[:, -1]))
    inner = np.append(model.alpha_[columns[-1]], model.alpha_intercept_[columns[-1]])
    n_inner = n_tasks * np.isfinite(inner).sum()
    rows = Z[:4].copy()
    rows[:, -n_inner:] = 0.0 if n_inner else rows[:, -n_inner:]
    X1 = np.column_stack([X - X.mean(axis=0), np.ones(len(X))])[:4]
    between = X1**2 @ (1.0 / inner)
    variance = np.einsum("ij,jk,ik->i", rows, C, rows) + between
    found, std = model.predict(new, return_std=True)
    assert_allclose(found, rows @ C @ Z.T @ y, rtol=1e-8, atol=1e-8)
    assert_allclose(std, np.sqrt(model.sigma2_ * (1 + variance)), rtol=1e-7)


@pytest.mark.parametrize(
    ("name", "form"), [("alpha", "spherical"), ("alpha", "diag"), ("alpha_intercept", None)]
)
@pytest.mark.parametrize("parents", [TWO, THREE])
def test_factors_of_the_penalty(parents, form, name):
    X, y, labels = draw(parents, 0, d=3, rows=(5, 12))
    D, columns, factor = table_of(X, labels), columns_of(labels), np.array([1.0, np.inf, 4.0])
    given = {name: "auto", "alpha_shared": "auto", "task_column": columns}
    given["covariance_type"] = form
    model = MeanRegularizedRegressor(**given, penalty_factor=factor).fit(D, y)
    alpha = dict.fromkeys(columns, np.array([1.0, np.inf, 1.0]))
    if name == "alpha":
        alpha = model.alpha_
        for column in columns:
            assert (model.tau2_[column][1], alpha[column][1]) == (0.0, np.inf)
            own = model.sigma2_ / (alpha[column] * [1.0, 1.0, 4.0])
            assert_allclose(model.tau2_[column], own, rtol=1e-10)
            assert_allclose(np.diag(model.covariance_[column])[:-1], own, rtol=1e-10)
    else:
        assert model.alpha_ == dict.fromkeys(columns, 1.0)
    others = model.alpha_intercept_, model.alpha_shared_
    Z, weights = indicators((alpha, *others), X, labels, factor)
    theta = np.linalg.solve(Z.T @ Z + np.diag(weights), Z.T @ y)
    assert_allclose(model.predict(D), Z @ theta, rtol=1e-8, atol=1e-8)
    C = np.linalg.inv(Z.T @ Z + np.diag(weights))
    std = np.sqrt(model.sigma2_ * (1 + np.einsum("ij,jk,ik->i", Z, C, Z)))
    assert_allclose(model.predict(D, return_std=True)[1], std, rtol=1e-7)
    assert np.ptp(model.coef_[:, 1]) == 0
    # Factors are units of the features.
    scale = np.array([1.0, 1.0, 0.5])
    given["penalty_factor"] = np.array([1.0, np.inf, 1.0])
    scaled = MeanRegularizedRegressor(**given).fit(table_of(X * scale, labels), y)
    assert_allclose(scaled.predict(table_of(X * scale, labels)), model.predict(D), rtol=1e-6)
    assert_allclose(scaled.coef_ * scale, model.coef_, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("parents", [TWO, THREE])
def test_units_of_features_have_no_effect_without_prior(parents):
    X, y, labels = draw(parents, 5, d=3, rows=(6, 12))
    scale, columns = np.array([1e-3, 1.0, 40.0]), columns_of(labels)
    model = MeanRegularizedRegressor(
        "auto", alpha_shared=0, covariance_prior=0, task_column=columns, tol=1e-10
    ).fit(table_of(X, labels), y)
    found = model.predict(table_of(X, labels), return_std=True)
    likelihood, tau2 = model.restricted_log_likelihood_, model.tau2_
    model.fit(table_of(X * scale, labels), y)
    for own, other in zip(
        found, model.predict(table_of(X * scale, labels), return_std=True), strict=True
    ):
        assert_allclose(other, own, rtol=1e-6, atol=1e-6)
    for column in columns:
        assert_allclose(model.tau2_[column] * scale**2, tau2[column], rtol=1e-4)
    ours = model.restricted_log_likelihood_ + np.log(scale).sum()  # X is not scaled in it
    assert_allclose(ours, likelihood, rtol=1e-8)


def test_a_large_prior_leaves_one_variance_of_each_column():
    X, y, labels = draw(TWO, 4, d=3, rows=(6, 12))
    given = {"alpha": "auto", "task_column": [0, 1]}
    model = MeanRegularizedRegressor(**given, covariance_prior=1e9).fit(table_of(X, labels), y)
    other = MeanRegularizedRegressor(**given, covariance_type="spherical")
    other.fit(table_of(X, labels), y)
    for column in (0, 1):
        expected = np.full(3, other.alpha_[column])
        assert_allclose(model.alpha_[column], expected, rtol=1e-5)
    assert_allclose(model.predict(table_of(X, labels)), other.predict(table_of(X, labels)), 1e-6)


def test_one_variance_of_a_column_is_estimated_where_more_leave_no_noise():
    X, y, labels = draw(TWO, 0, d=4, rows=(2, 4), deviations=(0.5, 1))
    given = {"alpha": "auto", "alpha_shared": 0, "task_column": [0, 1]}
    model = MeanRegularizedRegressor(**given, covariance_prior=0)
    with pytest.warns(UserWarning, match="covariance_type='diag': tasks have so few rows for 4"):
        model.fit(table_of(X, labels), y)
    other = MeanRegularizedRegressor(**given, covariance_type="spherical")
    other.fit(table_of(X, labels), y)
    for column in (0, 1):
        assert_allclose(model.tau2_[column], np.full(4, other.tau2_[column]))
        own = [*model.tau2_[column], other.tau2_intercept_[column]]
        assert_allclose(model.covariance_[column], np.diag(own))
    assert_allclose(model.predict(table_of(X, labels)), other.predict(table_of(X, labels)))


def test_a_constant_column_without_deviations_is_the_model_without_it():
    X, y, labels = draw((np.zeros(6, dtype=int),), seed=0)
    d, n = X.shape[1], np.ones(len(y))
    data = LongData(X, y, n, labels[:, 1], 6, X.mean(axis=0))
    both = NestedCoupling.of(np.ones(2), 0.0, np.ones(2), False, Nesting([np.zeros(6, dtype=int)]))
    criteria = []
    for penalty, size in ((both, 2 * (d + 1)), (both.inner, d + 1)):
        likelihood = RestrictedLikelihood(data, SquaredLoss(), penalty)
        slopes = [np.arange(d)]
        criteria.append(DiagonalCovariance(likelihood, np.eye(size), np.zeros(size), 2.0, slopes))
    x = np.array([0.3, 1.0, -0.5])
    value, slope = criteria[0](np.append(x, np.full(d + 1, np.inf)), gradient=True)
    expected = criteria[1](x, gradient=True)
    assert_allclose(value, expected[0], rtol=1e-10)
    assert_allclose(slope, [*expected[1], 0, 0, 0], rtol=1e-8)


def criterion_of(X, y, labels, shared):
    """Return the evidence in logarithms of all weights, from the inside out, and alpha_shared."""
    L, d = labels.shape[1], X.shape[1]
    model = MeanRegularizedClassifier(1.0, alpha_shared=shared, task_column=columns_of(labels))
    problem = posed(model, table_of(X, labels), y)
    evidence, size = LaplaceEvidence(problem, solver(1e-12), problem.origin()), L * (d + 1)
    slopes = [level * (d + 1) + np.arange(d) for level in range(L)]
    own = DiagonalCovariance(evidence, np.eye(size), np.zeros(size), 10.0, slopes)
    return EvidenceOfParameters(own, shared=shared > 0)


def evidence_of(dense, x, shared, prior):
    """Return the same of the dense reference."""
    L, d = len(dense.sizes), dense.d
    own, alpha_shared = (x[:-1], np.exp(x[-1])) if shared else (x, 0.0)
    own = own.reshape(L, d + 1)
    return dense(np.exp(-own[::-1]), alpha_shared) + prior * spread(-0.5 * own[:, :-1])


@pytest.mark.parametrize("parents", [TWO_CLASSES, THREE_CLASSES])
@pytest.mark.parametrize("K", [2, 3])
@pytest.mark.parametrize("shared", [0.0, 0.7])
def test_evidence_and_its_derivatives_are_those_of_all_rows(parents, K, shared):
    X, y, labels = draw_classes(parents, K, seed=1)
    criterion, dense = criterion_of(X, y, labels, shared), DenseEvidence(X, y, labels, K)
    size = labels.shape[1] * (X.shape[1] + 1)
    x = np.random.default_rng(0).uniform(-1, 2, size=size)
    x[[0, 4]] = np.inf  # in stores, and in regions
    x = np.append(x, np.log(shared)) if shared else x
    reference = partial(evidence_of, dense, shared=shared, prior=10.0)
    value, slope = criterion(x, gradient=True)
    assert_allclose(value, reference(x), rtol=1e-8)
    for j in np.flatnonzero(np.isfinite(x)):
        step = 1e-4 * np.eye(len(x))[j]
        difference = (reference(x + step) - reference(x - step)) / 2e-4
        assert_allclose(slope[j], difference, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("parents", "K"), [(TWO_CLASSES, 2), (TWO_CLASSES, 3), (THREE_CLASSES, 2)])
@pytest.mark.parametrize("shared", [0.5, "auto"])
def test_auto_is_the_optimum_of_the_evidence(parents, K, shared):
    X, y, labels = draw_classes(parents, K, seed=4, rows=(15, 30), deviations=(0.7, 1.5))
    D, columns = table_of(X, labels), columns_of(labels)
    model = MeanRegularizedClassifier(
        "auto", alpha_shared=shared, task_column=columns, tol=1e-9
    ).fit(D, y)
    criterion, dense = criterion_of(X, y, labels, 1.0), DenseEvidence(X, y, labels, K)
    weights = [np.append(model.alpha_[c], model.alpha_intercept_[c]) for c in columns[::-1]]
    with np.errstate(divide="ignore"):
        ours = np.log(np.append(np.concatenate(weights), model.alpha_shared_))
    assert_allclose(-2 * model.log_evidence_, evidence_of(dense, ours, True, 0.0), rtol=1e-8)
    free = np.append(np.ones(len(ours) - 1, dtype=bool), shared == "auto")

    def value(x):
        whole = ours.copy()
        whole[free] = x
        own, slope = criterion(whole, gradient=True)
        return own, slope[free]

    given = {"jac": True, "method": "L-BFGS-B", "bounds": [(-6, 14)] * free.sum()}
    starts = np.zeros(free.sum()), np.full(free.sum(), 3.0), np.clip(ours[free], -6, 14)
    least = min(minimize(value, start, **given).fun for start in starts)
    assert least - 1e-2 < criterion(ours) < least + 1e-3
    for column in columns:
        assert_allclose(model.tau2_[column], 1.0 / model.alpha_[column])
        own = [*model.tau2_[column], model.tau2_intercept_[column]]
        assert_allclose(np.diag(model.covariance_[column]), own)


@pytest.mark.filterwarnings("ignore:Only one class", "ignore:alpha='auto' prefers")
@pytest.mark.parametrize("unit", [1e-10, 1e-2, 1e3])
@pytest.mark.parametrize("prior", [0.0, 10.0])
def test_order_of_features_of_different_units_has_no_effect(unit, prior):
    X, y, labels = draw_classes(TWO_CLASSES, 2, seed=4, rows=(15, 30), deviations=(0.7, 1.5))
    X = np.column_stack([unit * X[:, 0], X[:, 1:]])
    model = MeanRegularizedClassifier(
        "auto", covariance_prior=prior, task_column=columns_of(labels), tol=1e-9
    )
    found = []
    for D in (table_of(X, labels), table_of(X[:, ::-1], labels)):
        found.append((model.fit(D, y).log_evidence_, model.predict_proba(D)))
    assert_allclose(found[0][0], found[1][0], atol=1e-6)
    assert_allclose(found[0][1], found[1][1], atol=1e-6)


@pytest.mark.filterwarnings("ignore:alpha.*without bound", "ignore:Only one class")
def test_evidence_of_weights_that_are_far_too_large_ends_with_a_fit():
    X, y, labels = draw_classes(TWO_CLASSES, 2, seed=4, rows=(15, 30), deviations=(0.7, 1.5))
    model = MeanRegularizedClassifier("auto", task_column=columns_of(labels))
    model.fit(table_of(X, labels), y, sample_weight=np.full(len(y), 1e20))
    assert np.isfinite(model.log_evidence_)


@pytest.mark.filterwarnings("ignore:Only one class")
@pytest.mark.parametrize("K", [2, 3])
def test_degrees_of_freedom_of_classes(K):
    X, y, labels = draw_classes(TWO_CLASSES, K, seed=1, rows=(15, 30), d=3)
    D, columns = table_of(X, labels), columns_of(labels)
    model = MeanRegularizedClassifier(
        "auto", alpha_shared=0.5, covariance_prior=0, task_column=columns, tol=1e-12
    ).fit(D, y)
    alpha = np.array([model.alpha_[column] for column in columns])
    assert (np.isinf(alpha).any(axis=0) & ~np.isinf(alpha).all(axis=0)).any()
    Z, weights = indicators((model.alpha_, model.alpha_intercept_, 0.5), X, labels)
    objective = Objective(Z, np.diag(weights), y, np.ones(len(y)), K)
    theta = objective.solve()
    H, P = objective.hessian(theta), np.kron(np.eye(len(theta)), objective.P)
    expected = np.trace(np.linalg.pinv(H, rcond=1e-12) @ (H - P))
    assert_allclose(effective_dof(model, D, y).sum(), expected, rtol=1e-6)
