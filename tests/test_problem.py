"""The objective and its parts, against finite differences and formulas."""

import gc
import weakref

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmtl import MeanRegularizedRegressor
from skmtl.data import LongData
from skmtl.data._wide import WideData
from skmtl.losses import SquaredLoss
from skmtl.penalties import Coefficients, MeanCoupling
from skmtl.problem import Problem, largest_ratio
from tests._problems import make_problem, weighted_rows


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"alpha": (1.0, np.inf, 2.0, 0.0)},
        {"alpha_shared": np.inf},
        {"alpha_intercept": 0.0},
        {"alpha_intercept": np.inf, "fixed_intercept": True},
    ],
    ids=str,
)
def test_gradient_by_finite_differences(params):
    problem, rng = make_problem(**params), np.random.default_rng(0)
    free = problem.penalty.free
    point = problem.penalty.project(
        Coefficients(
            rng.normal(size=(1, 4, 3)),
            rng.normal(size=(1, 4)),
            rng.normal(size=(1, 3)),
            np.array([0.7]),
        )
    )
    sums = problem.evaluate(point).sums
    gradient = problem.gradient(point, sums.G, sums.R)
    for _ in range(8):
        shapes = (1, 4, 3), (1, 4), (1, 3), 1
        parts = (rng.normal(size=shape) for shape in shapes)
        step = Coefficients(*(f * p for f, p in zip(free, parts, strict=True)))

        def along(h, step=step):
            moved = Coefficients(*(a + h * b for a, b in zip(point, step, strict=True)))
            return problem.evaluate(moved).objective

        slope = sum(float(np.sum(g * s)) for g, s in zip(gradient, step, strict=True))
        assert_allclose((along(0.5) - along(-0.5)), slope, rtol=1e-10)  # exact for a quadratic


def test_coefficients():
    V, q, w = np.arange(6.0).reshape(1, 2, 3), np.array([[1.0, -1.0]]), np.array([[10.0, 20, 30]])
    point = Coefficients(V, q, w, np.array([5.0]))
    assert_array_equal(point.W, [[[10, 21, 32], [13, 24, 35]]])
    assert_array_equal(point.intercept, [[6, 4]])
    assert_array_equal(Coefficients.stack([point.of_output(0)]).W, point.W)
    assert_array_equal(point.plus(point).W, 2 * point.W)
    penalty = MeanCoupling(np.array([2.0, 3.0]), 0.5, 4.0)
    expected = 0.5 * (2 * 5 + 3 * 50) + 0.25 * 1400 + 2 * 2
    assert_allclose(penalty.value(point), expected)
    second = Coefficients(V[:, 1:], q[:, 1:], w, np.array([5.0]))
    assert_allclose(penalty.take([1]).value(second), 75 + 350 + 2)


@pytest.mark.parametrize("factor", [1e-6, 1e5])
def test_optimality_knows_no_units(factor):
    """The same relative error in other units of features and target has the same residual."""
    rows, _, weight = weighted_rows()
    residuals = []
    for s in (1.0, factor):
        X, y, units = rows.X * [s, 1, 1 / s], rows.y / s, np.array([s, 1, 1 / s])
        data = LongData(X, y, weight, rows.codes, 4, X.mean(axis=0))
        problem = Problem(data, SquaredLoss(), MeanCoupling(np.zeros(4), 0.0, 2.0))
        V, q, w, c = np.random.default_rng(0).normal(size=(4, 1, 4, 3))
        V, q, w, c = V / units / s, q[..., 0] / s, w[:, 0] / units / s, c[:, 0, 0] / s
        residuals.append(problem.evaluate(Coefficients(V, q, w, c)).optimality)
    assert residuals[0] > 0.01
    assert_allclose(*residuals, rtol=1e-9)


@pytest.mark.parametrize("solver", ["direct", "cg"])
@pytest.mark.parametrize("alpha", [1e12, 1e16, 1e20])
def test_a_large_penalty_of_deviations_does_not_hide_the_center(alpha, solver):
    """The gradient of deviations is small beside their curvature, that of the center is not."""
    rng = np.random.default_rng(0)
    codes, X = np.repeat(np.arange(5), 20), rng.normal(size=(100, 3))
    y = X.sum(axis=1) + rng.normal(size=100)
    model = MeanRegularizedRegressor(
        alpha, alpha_intercept=np.inf, solver=solver, tol=1e-10, task_column=0
    )
    model.fit(np.column_stack([codes, X]), y)
    Z = X - X.mean(axis=0)
    assert_allclose(model.shared_coef_, np.linalg.lstsq(Z, y, rcond=None)[0], rtol=1e-8)


def test_data_do_not_refer_to_themselves():
    """X is freed with the fit, not when the garbage collector runs."""
    data = make_problem().data
    assert data.rotated is data
    reference, was_enabled = weakref.ref(data), gc.isenabled()
    gc.disable()
    try:
        del data
        assert reference() is None
    finally:
        if was_enabled:
            gc.enable()


@pytest.mark.parametrize("weighted", [False, True])
def test_sums_of_the_wide_form(weighted):
    """By residuals, in long doubles, also of tasks whose means are large or all there is."""
    rng = np.random.default_rng(0)
    X, Y, W = rng.normal(size=(40, 5)), rng.normal(size=(40, 6)), rng.normal(size=(6, 5))
    Y += [0.0, 3.0, 30.0, 1e6, -1e6, 0.0]
    Y[:, 2], Y[:, 5] = 7.3, 0.0
    weight = rng.uniform(0.5, 2, 40) if weighted else np.ones(40)
    scale, center = rng.uniform(0.5, 2, 6) if weighted else np.ones(6), X.mean(axis=0)
    data = WideData(X, Y, weight, scale, None, center)
    for slopes, level in ((0.0 * W, 0.0), (0.0 * W, Y.mean(axis=0)), (W, Y[3])):
        b = np.broadcast_to(level, 6)
        sums = data.loss_sums(SquaredLoss(), slopes[None], b[None])
        Z = (X - center).astype(np.longdouble)
        residual = Z @ slopes.T + b - Y
        weighted_residual = weight[:, None] * scale * residual
        squares = (weighted_residual * residual).sum(axis=0).astype(float)
        size = np.sqrt(squares) + 1e-9 * np.abs(b)
        assert_allclose(sums.squares, squares, rtol=1e-9, atol=1e-10)
        assert_allclose(sums.value, squares / 2, rtol=1e-9, atol=1e-10)
        G = (weighted_residual.T @ Z).astype(float)
        assert (np.abs(sums.G[0] - G) <= 1e-10 * size[:, None] + 1e-12).all()
        R = weighted_residual.sum(axis=0).astype(float)
        assert (np.abs(sums.R[0] - R) <= 1e-10 * size + 1e-8).all()


def test_largest_ratio():
    """Zeros over zeros are zeros; what is infinite or NaN stays, whatever follows."""
    entries, unit = np.array([[3.0, -4.0, 0.0], [1.0, 2.0, 0.0]]), np.array([2.0, 1.0, 0.0])
    assert largest_ratio(entries, unit) == 4.0
    assert largest_ratio(entries[:, :0], unit[:0]) == 0.0
    for value in (np.nan, np.inf, -np.inf):
        bad = np.where(entries == 3.0, value, entries)
        assert not np.isfinite(largest_ratio(bad, unit))
    assert largest_ratio(entries + 1.0, unit) == np.inf  # 1 / 0
