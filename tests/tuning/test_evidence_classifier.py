"""``alpha="auto"`` of classifiers: Laplace evidence against a dense Hessian."""

import pickle
from copy import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from skmtl import MeanRegularizedClassifier
from skmtl.losses import MultinomialLoss
from skmtl.problem import Problem
from skmtl.tuning._covariance import DiagonalCovariance
from skmtl.tuning._laplace import EvidenceOfParameters, LaplaceEvidence
from tests._dense import Dense
from tests._problems import Rows
from tests.tuning._evidence import (
    AUTO,
    assert_derivative,
    dense_evidence,
    fit_classes,
    posed,
    simulate_classes,
    solver,
)


@pytest.mark.parametrize("alpha_shared", [0.0, 0.3])
@pytest.mark.parametrize(
    "auto", [{"alpha"}, {"alpha_intercept"}, {"alpha", "alpha_intercept"}], ids=sorted
)
@pytest.mark.parametrize("weighted", [False, True])
def test_evidence_of_a_classifier(alpha_shared, auto, weighted):
    rows = simulate_classes()
    weight = np.random.default_rng(1).uniform(0.5, 2, len(rows.y)) if weighted else None
    params = {"alpha_shared": alpha_shared, "tol": 1e-11}
    model = fit_classes(rows, weight, **params, **dict.fromkeys(auto, "auto"))
    assert_allclose(model.log_evidence_, dense_evidence(model, rows, weight), rtol=0, atol=1e-8)

    # Nothing near is better, and the derivative is next to nothing beside the curvature.
    best = {"alpha": model.alpha_, "alpha_intercept": model.alpha_intercept_}

    def evidence(name, factor):
        near = fit_classes(rows, weight, **params, **best | {name: best[name] * factor})
        return dense_evidence(near, rows, weight)

    for name in auto:
        up, down = evidence(name, np.exp(0.02)), evidence(name, np.exp(-0.02))
        curvature = (up - 2 * model.log_evidence_ + down) / 0.02**2
        assert curvature < 0
        assert abs((up - down) / 0.04 / curvature) < 1e-3  # distance to the maximum, in log alpha
    for name, tau2 in (("alpha", "tau2_"), ("alpha_intercept", "tau2_intercept_")):
        assert hasattr(model, tau2) == (name in auto)
        if name in auto:
            assert_allclose(getattr(model, tau2) * best[name], 1, rtol=1e-12)


@pytest.mark.slow
def test_variance_of_a_large_sample():
    """300 rows in each of 150 tasks estimate variances almost as observed coefficients would.

    The standard error of a variance of m normal numbers is sqrt(2 / m) of it; the variance of
    each number given its rows, 1 / (300 * 0.2) at most, adds to the variance of all.
    """
    rows = simulate_classes(T=150, n=300, tau=0.7, tau_intercept=0.7)
    model = fit_classes(rows, **AUTO)
    for tau2, m in ((model.tau2_, 300), (model.tau2_intercept_, 150)):
        error = np.sqrt(2 / m) * (0.49 + 1 / 60)
        assert abs(tau2 - 0.49) < 2.5 * error


def test_classes_that_do_not_differ_by_task():
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(20, 2))
    y = (Z[:, 0] + rng.logistic(size=20) > 0).astype(int)
    rows = Rows(np.tile(Z, (6, 1)), np.tile(y, 6), np.repeat(np.arange(6), 20))
    model = fit_classes(rows, **AUTO)
    assert model.alpha_ == model.alpha_intercept_ == np.inf
    assert_allclose(model.log_evidence_, dense_evidence(model, rows), atol=1e-8)
    pooled = fit_classes(rows, alpha=np.inf, alpha_intercept=np.inf)
    assert_allclose(model.coef_, pooled.coef_, rtol=1e-10)


def test_wide_classes():
    rng = np.random.default_rng(0)
    X, W = rng.normal(size=(40, 3)), rng.normal(size=(3, 5))
    Y = (X @ W + rng.logistic(size=(40, 5)) > 0).astype(int)
    wide = MeanRegularizedClassifier("auto", covariance_type="spherical").fit(X, Y)
    rows = Rows(np.tile(X, (5, 1)), Y.T.ravel(), np.repeat(np.arange(5), 40))
    long = fit_classes(rows, **AUTO, alpha_shared="auto")
    assert_allclose([wide.alpha_, wide.log_evidence_], [long.alpha_, long.log_evidence_], rtol=1e-5)


def test_classifier_as_an_estimator():
    rows = simulate_classes(n=60)
    model = fit_classes(rows, **AUTO)
    numbers = {"alpha": model.alpha_, "alpha_intercept": model.alpha_intercept_}
    same = fit_classes(rows, **numbers)
    assert_array_equal(model.coef_, same.coef_)
    assert_allclose(
        pickle.loads(pickle.dumps(model)).predict_proba(rows.long), same.predict_proba(rows.long)
    )
    new = simulate_classes(T=3, seed=8)
    X = np.column_stack([new.codes + 100, new.X])
    assert_array_equal(model.adapt(X, new.y).coef_, same.adapt(X, new.y).coef_)
    model.set_params(**numbers).fit(rows.long, rows.y)
    assert not any(hasattr(model, n) for n in ("tau2_", "tau2_intercept_", "log_evidence_"))
    folds = list(StratifiedKFold(2).split(rows.long, 2 * rows.codes + rows.y))
    search = GridSearchCV(clone(model), {"alpha": [1.0, "auto"]}, cv=folds)
    search.fit(rows.long, rows.y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("kind", "size"),
    [("long", (240, 2)), ("long", (20, 30)), ("wide", (40, 3)), ("wide", (12, 20))],
)
def test_derivatives_of_the_evidence(kind, size, weighted):
    """Against differences: rows, more features than rows, missing targets, task weights."""
    rng, (n, d) = np.random.default_rng(0), size
    model = MeanRegularizedClassifier("auto", tol=1e-12)
    X, W = rng.normal(size=(n, d)), rng.normal(size=(d, 5))
    Y = (X @ W + rng.logistic(size=(n, 5)) > 0).astype(float)
    Y[rng.random(Y.shape) < 0.2 * weighted] = np.nan
    weight = rng.uniform(0.5, 2, n) if weighted else None
    model.set_params(task_weight=[1.0, 2.0, 0.5, 1.0, 1.0] if weighted else None)
    if kind == "long":
        X, Y = np.column_stack([np.arange(n) % 5, X]), (np.nan_to_num(Y[:, 0]) > 0).astype(int)
        model.set_params(task_column=0)
    problem = posed(model, X, Y, weight)

    D = problem.data.rotated.n_features + 1
    M = np.column_stack([np.arange(D) < D - 1, np.arange(D) == D - 1]).astype(float)
    evidence = LaplaceEvidence(problem, solver(1e-12), problem.origin())
    diagonal = DiagonalCovariance(evidence, M, np.zeros(D))
    assert_derivative(EvidenceOfParameters(diagonal, shared=True), np.log([2.0, 0.7, 0.2]))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("d", "params"),
    [(2, {}), (2, {"alpha_intercept": 0.0}), (2, {"alpha_shared": 0.0}), (30, {})],
    ids=str,
)
@pytest.mark.parametrize("K", [2, 3])
def test_derivatives_with_flat_parts(K, d, params, weighted):
    """As above, for two and three classes: intercepts and center without penalty too."""
    rows, rng = three_classes(T=4, n=5 if d == 30 else 12), np.random.default_rng(0)
    X = np.column_stack([rows.codes, rng.normal(size=(len(rows.y), d - 2)), rows.X])
    weight = rng.uniform(0.5, 2, len(rows.y)) if weighted else None
    model = MeanRegularizedClassifier("auto", **params, task_column=0, tol=1e-12)
    problem = posed(model, X, np.minimum(rows.y, K - 1), weight)
    D, shared = problem.data.rotated.n_features + 1, "alpha_shared" not in params
    M = np.column_stack([np.arange(D) < D - 1, np.arange(D) == D - 1]).astype(float)
    M = M[:, : 1 if "alpha_intercept" in params else 2]
    evidence = LaplaceEvidence(problem, solver(1e-12), problem.origin())
    criterion = EvidenceOfParameters(DiagonalCovariance(evidence, M, np.zeros(D)), shared=shared)
    assert_derivative(criterion, np.linspace(0.3, -0.8, M.shape[1] + shared))


def test_derivative_beside_slopes_that_are_numbers():
    rows, alpha = simulate_classes(T=5), [0.0, 2.0, np.inf, 0.5, 1.0]
    model = MeanRegularizedClassifier(alpha, alpha_intercept="auto", task_column=0, tol=1e-12)
    problem = posed(model, rows.long, rows.y)
    evidence = LaplaceEvidence(problem, solver(1e-12), problem.origin())
    M, known = np.array([[0.0], [0.0], [1.0]]), np.array([1.0, 1.0, 0.0])
    criterion = EvidenceOfParameters(DiagonalCovariance(evidence, M, known), shared=True)
    assert_derivative(criterion, np.array([0.4, -1.0]))


@pytest.mark.slow
def test_many_tasks_begin_in_a_sample():
    rows = simulate_classes(T=600, n=30)
    model = fit_classes(rows, **AUTO, alpha_shared="auto")
    best = {f: getattr(model, f"{f}_") for f in ("alpha", "alpha_intercept", "alpha_shared")}
    for name in best:
        for factor in (np.exp(0.05), np.exp(-0.05)):
            near = fit_classes(rows, **best | {name: best[name] * factor})
            assert log_evidence(near, rows) < model.log_evidence_


def log_evidence(model, rows):
    """Return the log evidence at the penalty weights of a fitted model."""
    alphas = model.alpha_, model.alpha_intercept_, model.alpha_shared_
    model = clone(model).set_params(alpha="auto")
    problem = posed(model, rows.long, rows.y)
    evidence = LaplaceEvidence(problem, solver(1e-10), problem.origin())
    return -0.5 * evidence_of(evidence, *alphas)


def evidence_of(evidence, alpha, alpha_intercept, alpha_shared):
    """Return minus twice the log evidence of penalty weights; two features, and alpha "auto"."""
    evidence.shared = alpha_shared
    own = 0.0 if alpha_intercept == 0 else 1 / alpha_intercept
    return evidence.evaluate(np.diag(np.sqrt([1 / alpha, 1 / alpha, own])))[0]


def three_classes(T=8, n=30, seed=0):
    rng = np.random.default_rng(seed)
    codes, X = np.repeat(np.arange(T), n), rng.normal(size=(T * n, 2))
    W, b = rng.normal(size=(T, 3, 2)) + [[0, 1], [1, 0], [0, 0]], 0.7 * rng.normal(size=(T, 3))
    z = np.einsum("ikj,ij->ik", W[codes], X) + b[codes]
    return Rows(X, (z + rng.gumbel(size=z.shape)).argmax(axis=1), codes)


def dense_evidence_of_classes(model, rows, weight=None):
    """The same integral where K classes share one direction that no row identifies, c_K = 0."""
    names = "alpha", "alpha_shared", "alpha_intercept"
    dense = Dense(
        copy(model).set_params(**{name: getattr(model, f"{name}_") for name in names}), rows, weight
    )
    H, P = dense.hessian(dense.theta(model)), np.tile(np.diag(dense.P), 3)
    values = np.linalg.eigvalsh(H)
    assert values[0] < 1e-9 < values[1]
    log_det = np.log(values[1:]).sum() - np.log(3)
    n_flat = np.count_nonzero(P == 0) - 1
    return 0.5 * (np.log(P[P > 0]).sum() - log_det + n_flat * np.log(2 * np.pi)) - model.objective_


@pytest.mark.parametrize("alpha_shared", [0.3, np.inf])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("auto", [{"alpha"}, {"alpha", "alpha_intercept"}], ids=sorted)
def test_evidence_of_three_classes(auto, weighted, alpha_shared):
    rows = three_classes()
    weight = np.random.default_rng(1).uniform(0.5, 2, len(rows.y)) if weighted else None
    params = {"alpha_shared": alpha_shared, "tol": 1e-11}
    model = fit_classes(rows, weight, **params, **dict.fromkeys(auto, "auto"))
    assert_allclose(model.log_evidence_, dense_evidence_of_classes(model, rows, weight), atol=1e-7)
    best = {"alpha": model.alpha_, "alpha_intercept": model.alpha_intercept_}
    for name in auto:
        for factor in (np.exp(0.1), np.exp(-0.1)):
            near = fit_classes(rows, weight, **params, **best | {name: best[name] * factor})
            assert dense_evidence_of_classes(near, rows, weight) < model.log_evidence_


@pytest.mark.parametrize(
    "params", [{}, {"alpha_intercept": 0.0}, {"task_classes": "seen"}], ids=str
)
def test_two_classes_as_softmax(params):
    """Two classes with penalties alpha on each are logistic with alpha / 2, but for a constant."""
    rows = simulate_classes(T=6, n=40)
    constants = []
    for alpha in (0.5, 5.0):
        given = {"alpha_intercept": alpha, "alpha_shared": 0.2} | params
        model = MeanRegularizedClassifier("auto", **given, task_column=0)
        problem = posed(model, rows.long, rows.y)
        data = problem.data
        data = data.with_targets((data.y > 0).astype(np.intp), data.weight, None)
        softmax = Problem(data, MultinomialLoss(2), problem.penalty)
        own, values = given["alpha_intercept"], []
        for kind, half in ((problem, 0.5), (softmax, 1.0)):
            evidence = LaplaceEvidence(kind, solver(1e-11), kind.origin())
            values.append(evidence_of(evidence, half * alpha, half * own, half * 0.2))
        constants.append(values[1] - values[0])
    assert constants[1] == pytest.approx(constants[0], abs=1e-6)


def test_three_classes_as_an_estimator():
    rows = three_classes()
    model = fit_classes(rows, **AUTO)
    assert 0.2 < model.tau2_ < 4
    numbers = {"alpha": model.alpha_, "alpha_intercept": model.alpha_intercept_}
    assert_array_equal(model.coef_, fit_classes(rows, **numbers).coef_)
    few = three_classes(T=3, n=8)
    few = Rows(np.hstack([few.X, np.random.default_rng(0).normal(size=(24, 30))]), few.y, few.codes)
    assert fit_classes(few, **AUTO, alpha_shared=1.0).alpha_ > 0
    with pytest.raises(ValueError, match="requires one positive alpha"):
        fit_classes(rows, alpha=np.arange(1.0, 9.0), alpha_intercept="auto")
    with pytest.raises(ValueError, match="requires one positive alpha"):
        fit_classes(rows, alpha=0.0, alpha_intercept="auto")
