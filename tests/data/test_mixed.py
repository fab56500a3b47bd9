"""Data of tasks of different kinds: products by differences, layouts, moments."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmtl.data import MixedData
from skmtl.penalties import MeanCoupling
from tests._mixed import ALL, COMBINATIONS, Table

LAYOUTS = [("wide", False), ("long", False), ("wide", True), ("long", True)]
layouts = pytest.mark.parametrize(("layout", "sparse"), LAYOUTS)


def posed(table, layout="wide", sparse=False):
    R = table.counts.sum()
    return table.problem(MeanCoupling(np.ones(R), 0.0, 0.0), layout, sparse)


def point(table, seed=1):
    rng, R = np.random.default_rng(seed), table.counts.sum()
    return 0.4 * rng.normal(size=(1, R, table.X.shape[1])), 0.4 * rng.normal(size=(1, R))


@pytest.mark.parametrize("kinds", COMBINATIONS.values(), ids=COMBINATIONS)
@layouts
def test_gradient_and_hessian_by_differences(kinds, layout, sparse):
    table = Table(kinds)
    problem, h = posed(table, layout, sparse), 1e-4
    data, loss = problem.data, problem.loss
    (W, b), (D, e) = point(table), point(table, 2)

    def sums(share):
        return data.loss_sums(loss, W + share * D, b + share * e)

    at = sums(0.0)
    slope = (sums(h).value.sum() - sums(-h).value.sum()) / (2 * h)
    assert_allclose(np.vdot(at.G, D) + np.vdot(at.R, e), slope, rtol=1e-6)
    product = data.curvature_product(loss, at.derivative, D, e)
    ahead, behind = sums(h), sums(-h)
    assert_allclose(product[0], (ahead.G - behind.G) / (2 * h), rtol=1e-5, atol=1e-5)
    assert_allclose(product[1], (ahead.R - behind.R) / (2 * h), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kinds", COMBINATIONS.values(), ids=COMBINATIONS)
def test_layouts_have_the_same_sums(kinds):
    table = Table(kinds)
    (W, b), found = point(table), []
    for layout, sparse in LAYOUTS:
        problem = posed(table, layout, sparse)
        data, sums = problem.data, problem.data.loss_sums(problem.loss, W, b)
        found.append((*sums[:4], data.totals, data.square_norms, data.center))
    for others in found[1:]:
        for first, other in zip(found[0], others, strict=True):
            assert_allclose(other, first, rtol=1e-12, atol=1e-12)


@layouts
def test_rows_of_the_coefficients_belong_to_tasks_in_order(layout, sparse):
    table = Table(ALL)
    data = posed(table, layout, sparse).data
    assert isinstance(data, MixedData)
    assert [own.tolist() for own in table.places] == [[0], [1], [2], [3, 4, 5], [6], [7]]
    seen = ~np.isnan(table.Y)
    totals = table.task_weight * (table.weight @ seen)
    assert_allclose(data.totals, np.repeat(totals, table.counts), rtol=1e-13)
    assert data.n_tasks == 8
    assert_array_equal(data.scale[[3, 4]], data.scale[[4, 5]])


@layouts
def test_moments_of_curved_data(layout, sparse):
    """The diagonal of the curvature in each row of the coefficients, from dense products."""
    table = Table(ALL)
    problem = posed(table, layout, sparse)
    W, b = point(table)
    curved = problem.curved(problem.data.loss_sums(problem.loss, W, b).derivative)
    H, mean, total = curved.task_moments(slice(None))
    gram = H + total[:, None, None] * mean[:, :, None] * mean[:, None, :]
    X = table.X - table.mean
    z = X @ W[0].T + b[0]
    parts = zip(table.kinds, table.places, table.Y.T, table.task_weight, strict=True)
    for kind, place, y, scale in parts:
        p = np.exp(z[:, place]) / np.exp(z[:, place]).sum(axis=1, keepdims=True)
        s = 1 / (1 + np.exp(-z[:, place]))
        curvature = {
            "squared": np.ones_like(s),
            "logistic": s * (1 - s),
            "poisson": np.exp(z[:, place]),
            "multinomial": p * (1 - p),
        }[kind]
        weight = scale * (table.weight * ~np.isnan(y))[:, None] * curvature
        expected = np.einsum("ik,ij,il->kjl", weight, X, X)
        assert_allclose(gram[place], expected, rtol=1e-10, atol=1e-10)
        assert_allclose(curved.totals[place], weight.sum(axis=0), rtol=1e-10)
        assert_allclose(curved.square_norms[place], (weight.T @ X**2), rtol=1e-9)


@pytest.mark.parametrize("layout", ["wide", "long"])
def test_other_features(layout):
    table = Table(ALL, n=12, d=90)
    problem = posed(table, layout)
    (W, b), data, loss = point(table), problem.data, problem.loss
    chosen = np.array([3, 0, 70])
    some = np.zeros_like(W)
    some[..., chosen] = W[..., chosen]
    expected = data.loss_sums(loss, some, b)
    sums = data.with_features(chosen).loss_sums(loss, np.ascontiguousarray(W[..., chosen]), b)
    assert_allclose(sums.value, expected.value, rtol=1e-12)
    assert_allclose(sums.G, expected.G[..., chosen], rtol=1e-10, atol=1e-10)
    scaled = data.in_basis(np.full(90, 2.0)).loss_sums(loss, 0.5 * W, b)
    assert_allclose(scaled.G, 2.0 * data.loss_sums(loss, W, b).G, rtol=1e-10, atol=1e-10)
    rotated, basis = data.rotated, data.row_basis
    assert data.rotates
    assert not rotated.rotates
    inside = np.ascontiguousarray(W @ basis)
    assert_allclose(
        rotated.loss_sums(loss, inside, b).value, data.loss_sums(loss, W, b).value, rtol=1e-9
    )
    assert data.without_rotation().row_basis is None


def test_one_kind_with_one_prediction_is_not_mixed():
    for kind in ("squared", "logistic", "poisson"):
        assert not isinstance(posed(Table((kind,) * 2)).data, MixedData)
    assert isinstance(posed(Table(("multinomial",))).data, MixedData)
