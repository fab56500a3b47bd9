"""The parts below the solvers, each against numpy: problem, penalty, linear algebra, kernels."""

import gc
import os
import subprocess
import sys
import weakref

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmtl import _kernels
from skmtl._linalg import SymmetricSolver, null_space_of, row_space
from skmtl.data import LongData
from skmtl.losses import SquaredLoss
from skmtl.penalties import Coefficients, MeanCoupling
from skmtl.problem import Problem
from tests._problems import make_problem, weighted_rows

# Problem and penalty ----------------------------------------------------------------------------


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
    free = problem.penalty.free()
    point = problem.penalty.project(
        Coefficients(
            rng.normal(size=(1, 4, 3)),
            rng.normal(size=(1, 4)),
            rng.normal(size=(1, 3)),
            np.array([0.7]),
        )
    )
    gradient = problem.evaluate(point).gradient
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


# Linear algebra ---------------------------------------------------------------------------------


def gram(n, d, scale=1.0, seed=0):
    A = np.random.default_rng(seed).normal(size=(n, d)) * scale
    return A.T @ A


@pytest.mark.parametrize("d", [1, 5, 40])
@pytest.mark.parametrize("span", [0, 4, 8])
def test_symmetric_solver_in_any_units(d, span):
    scale = np.logspace(-span, span, d) if d > 1 else np.array([10.0**span])
    x = np.random.default_rng(1).normal(size=(d, 3)) / scale[:, None]
    A = gram(3 * d, d, scale)
    found = SymmetricSolver(A).solve(A @ x)
    assert_allclose(found * scale[:, None], x * scale[:, None], rtol=0, atol=1e-11)
    assert_allclose(SymmetricSolver(A).solve(A @ x[:, 0]), found[:, 0], rtol=1e-9)


@pytest.mark.parametrize("rank", [1, 3, 9])
@pytest.mark.parametrize("zeros", [0, 2])
def test_symmetric_solver_finds_the_smallest_norm(rank, zeros):
    A = np.zeros((10 + zeros, 10 + zeros))
    A[:10, :10] = gram(rank, 10)
    b = A @ np.random.default_rng(1).normal(size=len(A))
    expected = np.linalg.pinv(A, rcond=1e-12) @ b
    assert_allclose(SymmetricSolver(A).solve(b), expected, rtol=0, atol=1e-11)
    supported = SymmetricSolver(A, lambda: null_space_of(3 * A))
    assert_allclose(supported.solve(b), expected, rtol=0, atol=1e-11)


def test_symmetric_solver_of_deficient_rank_and_bad_units():
    scale = np.logspace(-4, 4, 8)
    A = gram(5, 8, scale)
    b = A @ (np.random.default_rng(1).normal(size=8) / scale)
    x = SymmetricSolver(A).solve(b)
    assert_allclose(A @ x / scale, b / scale, rtol=0, atol=1e-8)  # solves, in every unit
    assert_array_equal(SymmetricSolver(np.zeros((3, 3))).solve(np.zeros(3)), np.zeros(3))


@pytest.mark.parametrize("rank", [1, 4])
def test_row_space(rank):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6, rank)) @ rng.normal(size=(rank, 20))
    basis = row_space(X)
    assert basis.shape == (20, rank)
    assert_allclose(basis.T @ basis, np.eye(rank), atol=1e-13)
    assert_allclose(X @ basis @ basis.T, X, atol=1e-12)
    assert row_space(np.zeros((3, 5))).shape == (5, 1)


# Kernels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 5, 8])
def test_kernels(d):
    rng = np.random.default_rng(d)
    sizes = np.array([1, 64, 65, 3, 130])
    n, T, indptr = sizes.sum(), len(sizes), np.concatenate([[0], sizes.cumsum()])
    X, s, g = rng.normal(size=(n, d)) + 5, rng.uniform(0.5, 2, n), rng.normal(size=n)
    codes = np.repeat(np.arange(T), sizes)
    H, mean, total = np.empty((T, d, d)), np.empty((T, d)), np.empty(T)
    _kernels.task_moments(
        X, s, indptr[:-1], indptr[1:], H, mean, total, np.zeros((d + 1, 64)), 0, T
    )
    G, R, norms = np.empty((T, d)), np.empty(T), np.empty((T, d))
    _kernels.adjoint_rows(X, g, indptr, G, R, 0, T)
    _kernels.square_norms(X, s, indptr, norms, 0, T)
    for t in range(T):
        own = codes == t
        center = np.average(X[own], axis=0, weights=s[own])
        assert_allclose(mean[t], center, rtol=1e-13)
        assert_allclose(total[t], s[own].sum(), rtol=1e-13)
        Z = X[own] - center
        assert_allclose(H[t], Z.T * s[own] @ Z, rtol=0, atol=1e-11)
        assert_allclose(G[t], g[own] @ X[own], rtol=0, atol=1e-11)
        assert_allclose(R[t], g[own].sum(), rtol=0, atol=1e-12)
        assert_allclose(norms[t], s[own] @ X[own] ** 2, rtol=1e-13)
    W, level, z = rng.normal(size=(T, d)), rng.normal(size=T), np.empty(n)
    _kernels.predict_rows(X, codes, W, level, z, 0, n)
    assert_allclose(z, (X * W[codes]).sum(axis=1) + level[codes], rtol=0, atol=1e-12)
    mixed = rng.permutation(codes)
    place, starts = _kernels.group_rows(mixed, T)
    assert_array_equal(np.argsort(place), np.argsort(mixed, kind="stable"))
    assert_array_equal(starts, indptr)


def test_kernels_without_compilation():
    """The same tests, the kernels run as Python: an index out of bounds would raise here."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    result = subprocess.run(
        [*command, "-k", "test_kernels and not compilation"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:]
    assert " passed" in result.stdout
