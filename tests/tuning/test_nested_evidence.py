"""Variances of groups in groups of classifiers, against dense Laplace approximations."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

from skmtl import MeanRegularizedClassifier
from skmtl.pipeline import make_task_pipeline
from skmtl.tuning._covariance import DiagonalCovariance
from skmtl.tuning._laplace import EvidenceOfParameters, LaplaceEvidence
from tests.tuning._evidence import posed, solver
from tests.tuning._nested import THREE_CLASSES as THREE
from tests.tuning._nested import TWO_CLASSES as TWO
from tests.tuning._nested import DenseEvidence
from tests.tuning._nested import draw_classes as draw


def variances_of(x, L, d):
    """Return the variances (L, d + 1), from the outside in, and alpha_shared.

    x are logarithms of alpha and of alpha_intercept, both from the inside out, and of alpha_shared.
    """
    slopes, intercepts = np.exp(-np.reshape(x[: 2 * L], (2, L)))[:, ::-1]
    return np.column_stack([*[slopes] * d, intercepts]), float(np.exp(x[-1]))


def evidence_of(X, y, labels, alpha_shared, weight=None):
    """Return the ``LaplaceEvidence`` of exact modes."""
    columns = list(range(labels.shape[1]))
    model = MeanRegularizedClassifier(
        1.0, alpha_shared=alpha_shared, task_column=columns, tol=1e-12
    )
    problem = posed(model, np.column_stack([labels, X]), y, weight)
    return LaplaceEvidence(problem, solver(1e-12), problem.origin())


def criterion_of(X, y, labels, alpha_shared, weight=None, *, shared=True):
    """Return the evidence in logarithms of alpha, alpha_intercept and, if ``shared``, of it."""
    L, d = labels.shape[1], X.shape[1]
    evidence = evidence_of(X, y, labels, alpha_shared, weight)
    M = np.zeros((L, d + 1, 2, L))
    for level in range(L):
        M[level, :-1, 0, level] = M[level, -1, 1, level] = 1.0
    M = M.reshape(L * (d + 1), 2 * L)
    diagonal = DiagonalCovariance(evidence, M, np.zeros(L * (d + 1)))
    return EvidenceOfParameters(diagonal, shared=shared and alpha_shared > 0)


@pytest.mark.parametrize("parents", [TWO, THREE])
@pytest.mark.parametrize("K", [2, 3])
@pytest.mark.parametrize("shared", [0.0, 0.7])
@pytest.mark.parametrize("fixed", [None, "slopes of stores", "regions"])
def test_evidence_and_its_derivatives_are_those_of_all_rows(parents, K, shared, fixed):
    X, y, labels = draw(parents, K, seed=1)
    rng, L, d = np.random.default_rng(0), labels.shape[1], X.shape[1]
    weight = rng.uniform(0.5, 2, len(y))
    criterion = criterion_of(X, y, labels, shared, weight)
    dense, x = DenseEvidence(X, y, labels, K, weight), rng.uniform(-1, 1, size=2 * L)
    if fixed is not None:
        x[[0] if fixed == "slopes of stores" else [1, L + 1]] = np.inf
    if shared:
        x = np.append(x, np.log(shared))

    def reference(x):
        return dense(*variances_of(x if shared else np.append(x, -np.inf), L, d))

    value, slope = criterion(x, gradient=True)
    assert_allclose(value, reference(x), rtol=1e-8)
    for j in np.flatnonzero(np.isfinite(x)):
        step = 1e-4 * np.eye(len(x))[j]
        difference = (reference(x + step) - reference(x - step)) / 2e-4
        assert_allclose(slope[j], difference, rtol=1e-5, atol=1e-6)


FIXED = {"none": [], "some of stores": [0], "all of stores": [0, 1], "some of regions": [3]}


@pytest.mark.parametrize("parents", [TWO, THREE])
@pytest.mark.parametrize("K", [2, 3])
@pytest.mark.parametrize("shared", [0.0, 0.7])
@pytest.mark.parametrize("fixed", FIXED)
def test_evidence_with_a_variance_for_each_feature(parents, K, shared, fixed):
    X, y, labels = draw(parents, K, seed=1)
    L, d = labels.shape[1], X.shape[1]
    D, evidence = L * (d + 1), evidence_of(X, y, labels, shared)
    dense, x = DenseEvidence(X, y, labels, K), np.random.default_rng(2).uniform(-1, 1, size=D)
    x[FIXED[fixed]] = np.inf

    def reference(x):
        return dense(np.exp(-x).reshape(L, d + 1)[::-1], shared)

    value, slope = DiagonalCovariance(evidence, np.eye(D), np.zeros(D))(x, gradient=True)
    assert_allclose(value, reference(x), rtol=1e-8)
    for j in np.flatnonzero(np.isfinite(x)):
        step = 1e-4 * np.eye(D)[j]
        difference = (reference(x + step) - reference(x - step)) / 2e-4
        assert_allclose(slope[j], difference, rtol=1e-5, atol=1e-6)


KNOWN = [
    {},
    {"alpha_shared": 0.5},
    {"alpha": [2.0, 0.5, 1.0], "alpha_shared": 0.0},
    {"alpha_intercept": [2.0, np.inf, 1.0], "alpha_shared": 0.3},
]


@pytest.mark.filterwarnings("ignore:Only one class")
@pytest.mark.parametrize(
    ("parents", "K"),
    [(TWO, 2), (THREE, 2), pytest.param(TWO, 3, marks=pytest.mark.slow)],
    ids=["two columns", "three columns", "three classes"],
)
@pytest.mark.parametrize("known", KNOWN, ids=lambda known: ",".join(known) or "none known")
def test_auto_is_the_optimum_of_the_dense_evidence(parents, K, known):
    X, y, labels = draw(parents, K, seed=4, d=1, rows=(15, 30), deviations=(0.7, 1.5))
    L = labels.shape[1]
    known = {name: own[:L] if np.ndim(own) else own for name, own in known.items()}
    given = dict.fromkeys(("alpha", "alpha_intercept", "alpha_shared"), "auto")
    for name, own in known.items():  # given from the inside out
        given[name] = dict(enumerate(own[::-1])) if np.ndim(own) else own
    model = MeanRegularizedClassifier(
        **given, covariance_type="spherical", task_column=list(range(L)), tol=1e-9
    )
    model.fit(np.column_stack([labels, X]), y)
    dense = DenseEvidence(X, y, labels, K)
    sizes = {"alpha": L, "alpha_intercept": L, "alpha_shared": 1}
    free = np.repeat([name not in known for name in sizes], list(sizes.values()))
    with np.errstate(divide="ignore"):
        x = np.log(np.concatenate([np.ravel(known.get(n, [1.0] * k)) for n, k in sizes.items()]))

    def value(own):
        x[free] = own
        return dense(*variances_of(x, L, X.shape[1]))

    bounds = [(-6, 14)] * free.sum()
    starts = np.zeros(free.sum()), np.full(free.sum(), 3.0)
    found = [minimize(value, start, method="L-BFGS-B", bounds=bounds) for start in starts]
    ours = -2 * model.log_evidence_
    least = min(one.fun for one in found)
    assert least - 1e-2 < ours < least + 1e-5  # the reference ends at large finite weights
    weights = [list(own.values())[::-1] for own in (model.alpha_, model.alpha_intercept_)]
    with np.errstate(divide="ignore"):
        found = np.log(np.concatenate([*weights, [model.alpha_shared_]]))
    assert_allclose(ours, dense(*variances_of(found, L, X.shape[1])), rtol=1e-8)
    for name in sizes:
        variances = name.replace("alpha", "tau2") + "_"
        assert hasattr(model, variances) == (name not in known)
        if name not in known:
            own, found = getattr(model, f"{name}_"), getattr(model, variances)
            expected = 1 / own if name == "alpha_shared" else {c: 1 / w for c, w in own.items()}
            assert found == pytest.approx(expected)


@pytest.mark.parametrize("K", [2, 3])
def test_a_constant_column_without_deviations_is_the_model_without_it(K):
    X, y, labels = draw((np.zeros(6, dtype=int),), K, seed=0, rows=(15, 30))
    both = criterion_of(X, y, labels, 0.7)
    alone = criterion_of(X, y, labels[:, 1:], 0.7)
    value, slope = both(np.array([0.3, np.inf, -0.4, np.inf, 0.1]), gradient=True)
    expected = alone(np.array([0.3, -0.4, 0.1]), gradient=True)
    assert_allclose(value, expected[0], rtol=1e-10)
    assert_allclose(slope, [expected[1][0], 0, expected[1][1], 0, expected[1][2]], atol=1e-7)


@pytest.mark.parametrize("K", [2, 3])
def test_derivatives_of_more_features_than_rows(K):
    X, y, labels = draw(TWO, K, seed=0, d=30, rows=(1, 4))
    criterion = criterion_of(X, y, labels, 0.7)
    x = np.array([1.0, 2.0, 0.3, 0.5, -0.2])
    slope = criterion(x, gradient=True)[1]
    steps = 1e-4 * np.eye(5)
    differences = [(criterion(x + step) - criterion(x - step)) / 2e-4 for step in steps]
    assert_allclose(slope, differences, rtol=1e-6, atol=1e-6)


def test_auto_as_an_estimator():
    X, y, labels = draw(TWO, 2, seed=3, rows=(20, 40), deviations=(0.7,))
    table = pd.DataFrame(X, columns=["a", "b"]).assign(region=labels[:, 0], store=labels[:, 1])
    spherical = {"covariance_type": "spherical", "task_column": ["region", "store"]}
    model = MeanRegularizedClassifier("auto", **spherical)
    pipe = make_task_pipeline(StandardScaler(), model).fit(table, y)
    auto = pipe[-1]
    numbers = {name: getattr(auto, f"{name}_") for name in ("alpha", "alpha_intercept")}
    assert [*numbers["alpha"]] == [*auto.tau2_] == ["region", "store"]
    given = clone(pipe[-1]).set_params(**numbers, alpha_shared=auto.alpha_shared_)
    same = make_task_pipeline(StandardScaler(), given).fit(table, y)
    assert_array_equal(pipe.predict_proba(table), same.predict_proba(table))
    assert not any(hasattr(same[-1], name) for name in ("tau2_", "log_evidence_"))
    assert not hasattr(auto, "restricted_log_likelihood_")
    by_number = MeanRegularizedClassifier("auto", task_column=[2, 3], tol=1e-9)
    sparse = clone(by_number).fit(csr_array(table.to_numpy()), y)
    assert_allclose(
        sparse.predict_proba(csr_array(table.to_numpy())),
        by_number.fit(table.to_numpy(), y).predict_proba(table.to_numpy()),
        rtol=1e-6,
    )


@pytest.mark.parametrize("separated", ["region", "all"])
def test_separable_data_are_a_warning(separated):
    X, _, labels = draw(TWO, 2, seed=0, rows=(30, 40))
    X = X - X.mean(axis=0)
    angle = 2.0 * labels[:, 0] if separated == "region" else np.zeros(len(X))
    y, D = X[:, 0] * np.cos(angle) + X[:, 1] * np.sin(angle) > 0, np.column_stack([labels, X])
    spherical = {"covariance_type": "spherical", "task_column": [0, 1]}
    model = MeanRegularizedClassifier("auto", alpha_intercept=np.inf, **spherical)
    name = "alpha" if separated == "region" else "alpha_shared"
    with pytest.warns(UserWarning, match=f"^{name}='auto': the evidence grows without bound"):
        model.fit(D, y)
    assert (model.tau2_[0] if separated == "region" else model.tau2_shared_) == np.inf
    if separated == "all":
        with pytest.raises(ValueError, match="one model of all tasks separates the classes"):
            model.set_params(alpha_shared=0).fit(D, y)
        assert model.alpha_shared_ > 0


@pytest.mark.parametrize(
    ("region", "store", "rows", "message"),
    [
        (np.arange(12), np.arange(12), 6, "each of the 12 labels of 0 has one of 1"),
        (np.arange(24) // 6, np.arange(24), 1, "one row.*leave the column 1 out of task_column"),
        (np.zeros(6), np.arange(6), 8, "how the labels of 0 differ, and there is one"),
    ],
    ids=["one store per region", "one row per store", "one region"],
)
def test_variances_that_cannot_be_told_apart_are_an_error(region, store, rows, message):
    rng = np.random.default_rng(0)
    labels = np.column_stack([region, store]).repeat(rows, axis=0)
    D = np.column_stack([labels, rng.normal(size=(len(labels), 2))])
    model = MeanRegularizedClassifier("auto", task_column=[0, 1])
    with pytest.raises(ValueError, match=message):
        model.fit(D, rng.random(len(D)) > 0.5)
    assert not hasattr(model, "alpha_")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Only one class")
@pytest.mark.parametrize("size", [(600, 40, 20), (60, 5, 200)])
def test_nothing_near_the_estimates_of_many_rows_is_better(size):
    n_stores, n_regions, rows = size
    parent = np.sort(np.random.default_rng(0).integers(n_regions, size=n_stores))
    parent = np.unique(parent, return_inverse=True)[1]
    X, y, labels = draw((parent,), 2, seed=0, rows=(rows, rows + 1), deviations=(0.5,))
    D = np.column_stack([labels, X])
    model = MeanRegularizedClassifier("auto", task_column=[0, 1], covariance_type="spherical")
    model.fit(D, y)
    criterion = criterion_of(X, y, labels, 1.0)
    weights = [list(own.values())[::-1] for own in (model.alpha_, model.alpha_intercept_)]
    x = np.log(np.concatenate([*weights, [model.alpha_shared_]]))
    value, slope = criterion(x, gradient=True)
    assert_allclose(-2 * model.log_evidence_, value, rtol=1e-8)
    finite = np.flatnonzero(np.isfinite(x))
    assert (np.abs(slope) / np.sqrt(1 + criterion.curvatures(x)))[finite].max() < 3e-3
    for j in finite:
        for step in (-0.1, 0.1):
            assert criterion(x + step * np.eye(5)[j]) > value


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Only one class")
def test_search_finds_the_global_optimum():
    missed = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        parent = np.repeat(np.arange(rng.integers(2, 8)), rng.integers(2, 5))
        parents = (parent,) if seed % 3 else (parent, np.arange(parent[-1] + 1) // 2)
        X, y, labels = draw(parents, 2, seed, d=1, rows=(3, 15), deviations=(0.0, 0.5, 1.5))
        L = labels.shape[1]
        model = MeanRegularizedClassifier(
            "auto", alpha_shared=0.1, covariance_type="spherical", task_column=list(range(L))
        )
        model.fit(np.column_stack([labels, X]), y)
        value = partial(criterion_of(X, y, labels, 0.1, shared=False), gradient=True)
        starts = np.zeros(2 * L), np.full(2 * L, 3.0), *rng.uniform(-2, 6, size=(4, 2 * L))
        given = {"jac": True, "method": "L-BFGS-B", "bounds": [(-7, 14)] * (2 * L)}
        least = min(minimize(value, start, **given).fun for start in starts)
        if -2 * model.log_evidence_ > least + 1e-4:
            missed.append(seed)
    assert not missed
