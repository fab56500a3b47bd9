"""Nearly singular systems against numpy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmtl._linalg import SymmetricSolver, null_space_of, row_space


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


def test_systems_of_no_unknowns():
    assert SymmetricSolver(np.empty((0, 0))).solve(np.empty(0)).shape == (0,)
    assert SymmetricSolver(np.empty((0, 0))).solve(np.empty((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("rank", [1, 4])
def test_row_space(rank):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6, rank)) @ rng.normal(size=(rank, 20))
    basis = row_space(X)
    assert basis.shape == (20, rank)
    assert_allclose(basis.T @ basis, np.eye(rank), atol=1e-13)
    assert_allclose(X @ basis @ basis.T, X, atol=1e-12)
    assert row_space(np.zeros((3, 5))).shape == (5, 1)


def test_null_space_of_graded_columns():
    """Small columns that are identified have no part in the null space of others."""
    A = np.random.default_rng(0).normal(size=(20, 5))
    A = np.column_stack([A, A[:, 1] + A[:, 2], A[:, 3]]) * 10.0 ** np.array([-10, 0, 1, 0, 9, 0, 0])
    null = null_space_of(A.T @ A)
    assert null.shape == (7, 2)
    assert_allclose(null.T @ null, np.eye(2), atol=1e-14)
    assert_allclose(A @ null, 0.0, atol=1e-13)
    assert not null[[0, 4]].any()
