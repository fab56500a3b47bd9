"""Variances of groups in groups, against dense likelihoods of the rows."""

import itertools

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from skmtl import MeanRegularizedRegressor
from skmtl.data import LongData
from skmtl.losses import SquaredLoss
from skmtl.penalties import NestedCoupling, Nesting
from skmtl.tuning._restricted import RestrictedLikelihood
from tests.tuning._nested import THREE, TWO, dense, draw


def covariances(alpha, intercept, d):
    """Return the covariances of levels with these penalty weights, in the same order."""
    weights = zip(alpha, intercept, strict=True)
    return [np.diag([*np.full(d, 1.0 / a), 1.0 / q]) for a, q in weights]


def optimum(X, y, labels, known):
    """Return the least -2 l, and penalty weights by name, of several descents.

    ``known`` has the numbers of weights that are not estimated.
    """
    L = labels.shape[1]
    sizes = {"alpha": L, "alpha_intercept": L, "alpha_shared": 1}
    names = [name for name in sizes if name not in known]

    def weights(x):
        parts = np.split(np.exp(x), np.cumsum([sizes[name] for name in names])[:-1])
        return dict(zip(names, parts, strict=True)) | known

    def value(x):
        own = weights(x)
        shared = float(np.ravel(own["alpha_shared"])[0])
        each = covariances(own["alpha"], own["alpha_intercept"], X.shape[1])
        return dense(X, y, labels, each, shared)[0]

    k = sum(sizes[name] for name in names)
    rng = np.random.default_rng(0)
    starts = [np.full(k, 1.0), np.full(k, 4.0), *rng.uniform(-2, 6, size=(2, k))]
    bounds = [(-12, 18)] * k
    found = [minimize(value, start, method="L-BFGS-B", bounds=bounds) for start in starts]
    best = min(found, key=lambda one: one.fun)
    return best.fun, weights(best.x)


@pytest.mark.parametrize("parents", [TWO, THREE])
@pytest.mark.parametrize("shared", [0.0, 0.7])
@pytest.mark.parametrize("kind", ["diagonal", "no deviations of stores", "full"])
def test_likelihood_and_its_derivatives_are_those_of_all_rows(parents, shared, kind):
    X, y, labels = draw(parents, seed=1, rows=(1, 9))
    nesting = Nesting(list(parents))
    L, D = len(nesting.sizes), X.shape[1] + 1
    rng, F = np.random.default_rng(0), np.zeros((L * D, L * D))
    blocks = [slice(level * D, (level + 1) * D) for level in range(L)]
    for level, own in enumerate(blocks):
        F[own, own] = np.tril(rng.normal(size=(D, D)))
        if kind != "full":
            F[own, own] = np.diag(F.diagonal()[own])
        if kind == "no deviations of stores" and level == 0:
            F[own, own] = 0.0
    mean = X.mean(axis=0)
    data = LongData(X, y, np.ones(len(y)), labels[:, -1], nesting.sizes[0], mean, None)
    penalty = NestedCoupling.of(np.ones(L), shared, np.ones(L), False, nesting)
    likelihood = RestrictedLikelihood(data, SquaredLoss(), penalty)

    def reference(F):
        return dense(X, y, labels, [F[own, own] @ F[own, own].T for own in blocks[::-1]], shared)

    value, sigma2, G = likelihood.evaluate(F, slopes="all")
    assert_allclose([value, sigma2], reference(F), rtol=1e-8)
    for own in blocks:
        for i, j in itertools.combinations_with_replacement(range(D), 2):
            step = np.zeros_like(F)
            step[own, own][j, i] = 1e-5
            difference = (reference(F + step)[0] - reference(F - step)[0]) / 2e-5
            assert_allclose(2 * (G @ F)[own, own][j, i], difference, rtol=1e-5, atol=1e-5)


def test_likelihood_of_many_features():
    X, y, labels = draw(TWO, seed=1, d=70)  # beyond the width of packs of tasks
    nesting = Nesting(list(TWO))
    variances = np.random.default_rng(0).uniform(0, 0.1, size=(2, 71))
    data = LongData(X, y, np.ones(len(y)), labels[:, -1], 17, X.mean(axis=0), None)
    penalty = NestedCoupling.of(np.ones(2), 0.7, np.ones(2), False, nesting)
    likelihood = RestrictedLikelihood(data, SquaredLoss(), penalty)
    found = likelihood.evaluate(np.diag(np.sqrt(variances.ravel())))
    assert_allclose(found, dense(X, y, labels, map(np.diag, variances[::-1]), 0.7), rtol=1e-8)


KNOWN = [
    {"alpha_shared": 0.0},
    {"alpha_shared": 0.5},
    {},
    {"alpha": [2.0, 0.5, 1.0], "alpha_shared": 0.0},
    {"alpha_intercept": [2.0, 0.5, 1.0], "alpha_shared": 0.0},
    {"alpha": [2.0, 0.5, 1.0], "alpha_intercept": [2.0, 0.5, 1.0]},
]


@pytest.mark.parametrize("parents", [TWO, THREE])
@pytest.mark.parametrize("known", KNOWN, ids=lambda known: ",".join(known) or "none known")
def test_auto_is_the_optimum_of_the_dense_likelihood(parents, known):
    X, y, labels = draw(parents, seed=4, d=1)
    L = labels.shape[1]
    known = {name: own[:L] if np.ndim(own) else own for name, own in known.items()}
    given = dict.fromkeys(("alpha", "alpha_intercept", "alpha_shared"), "auto")
    for name, own in known.items():
        given[name] = dict(enumerate(own)) if np.ndim(own) else own
    model = MeanRegularizedRegressor(
        **given, covariance_type="spherical", task_column=list(range(L))
    )
    model.fit(np.column_stack([labels, X]), y)
    least, _ = optimum(X, y, labels, known)
    value = -2 * model.restricted_log_likelihood_
    assert least - 1e-3 < value < least + 1e-5  # the reference ends at large finite weights
    own = [list(weights.values()) for weights in (model.alpha_, model.alpha_intercept_)]
    found, sigma2 = dense(X, y, labels, covariances(*own, 1), model.alpha_shared_)
    assert_allclose([value, model.sigma2_], [found, sigma2], rtol=1e-8)
    for name, own in (("tau2_", model.alpha_), ("tau2_intercept_", model.alpha_intercept_)):
        if hasattr(model, name):
            expected = {column: model.sigma2_ / weight for column, weight in own.items()}
            assert getattr(model, name) == pytest.approx(expected)


@pytest.mark.slow
def test_search_finds_the_global_optimum():
    missed = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        parent = np.repeat(np.arange(rng.integers(2, 8)), rng.integers(2, 5))
        parents = (parent,) if seed % 3 else (parent, np.arange(parent[-1] + 1) // 2)
        X, y, labels = draw(parents, seed, d=1, rows=(1, 9), deviations=(0.0, 0.3, 1.0))
        try:
            model = MeanRegularizedRegressor(
                "auto",
                alpha_shared=0,
                covariance_type="spherical",
                task_column=list(range(labels.shape[1])),
            )
            model.fit(np.column_stack([labels, X]), y)
        except ValueError:
            continue
        least, _ = optimum(X, y, labels, {"alpha_shared": 0.0})
        if -2 * model.restricted_log_likelihood_ > least + 1e-3:
            missed.append(seed)
    assert not missed


def test_intercepts_of_regions_and_stores_are_those_of_statsmodels():
    mixed = pytest.importorskip("statsmodels.regression.mixed_linear_model").MixedLM
    X, y, labels = draw((np.repeat(np.arange(12), 4),), seed=0, d=1, deviations=(0.7,))
    table = pd.DataFrame({"region": labels[:, 0], "store": labels[:, 1], "x": X[:, 0], "y": y})
    theirs = mixed.from_formula(
        "y ~ x", table, groups="region", re_formula="1", vc_formula={"store": "0 + C(store)"}
    ).fit(method="lbfgs")
    ours = MeanRegularizedRegressor(
        np.inf, alpha_intercept="auto", alpha_shared=0, task_column=["region", "store"]
    ).fit(table[["region", "store", "x"]], y)
    assert_allclose(ours.restricted_log_likelihood_, theirs.llf, rtol=1e-8)
    variances = [ours.tau2_intercept_["region"], ours.tau2_intercept_["store"], ours.sigma2_]
    assert_allclose(variances, [theirs.cov_re.iloc[0, 0], *theirs.vcomp, theirs.scale], rtol=2e-3)
    center = [ours.shared_intercept_, *ours.shared_coef_]
    assert_allclose(center, theirs.fe_params, rtol=1e-3)
    regions = [float(theirs.random_effects[region].iloc[0]) for region in range(12)]
    found = ours.group_intercept_[0] - ours.shared_intercept_
    assert_allclose(found, regions, rtol=5e-3, atol=5e-3)


def test_standard_deviations_are_those_of_the_dense_posterior():
    X, y, labels = draw(THREE, seed=2, d=1)
    D = np.column_stack([labels, X])
    spherical = {"covariance_type": "spherical", "task_column": [0, 1, 2]}
    model = MeanRegularizedRegressor("auto", alpha_shared=0, **spherical).fit(D, y)
    X1 = np.column_stack([X - X.mean(axis=0), np.ones(len(X))])
    parts, weights = [X1], [0.0, 0.0]
    for column, codes in enumerate(labels.T):
        own = model.alpha_[column], model.alpha_intercept_[column]
        if np.isfinite(own).all():
            for node in np.unique(codes):
                parts.append(X1 * (codes == node)[:, None])
                weights.extend(own)
        else:
            for j in np.flatnonzero(np.isfinite(own)):
                for node in np.unique(codes):
                    parts.append(X1[:, [j]] * (codes == node)[:, None])
                    weights.append(own[j])
    Z = np.hstack(parts)
    C = np.linalg.inv(Z.T @ Z + np.diag(weights))
    assert_allclose(model.predict(D), Z @ C @ Z.T @ y, rtol=1e-8)
    expected = np.sqrt(model.sigma2_ * (1 + np.einsum("ij,jk,ik->i", Z, C, Z)))
    assert_allclose(model.predict(D, return_std=True)[1], expected, rtol=1e-7)


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
    with pytest.raises(ValueError, match=message):
        MeanRegularizedRegressor("auto", task_column=[0, 1]).fit(D, rng.normal(size=len(D)))


def test_correlations_and_variances_beside_free_intercepts_are_not_estimated():
    X, y, labels = draw(TWO, seed=0)
    D = np.column_stack([labels, X])
    with pytest.raises(ValueError, match="covariance_type to 'diag'"):
        MeanRegularizedRegressor("auto", covariance_type="full", task_column=[0, 1]).fit(D, y)
    with pytest.raises(ValueError, match="positive alpha_intercept"):
        MeanRegularizedRegressor("auto", alpha_intercept=0, task_column=[0, 1]).fit(D, y)
