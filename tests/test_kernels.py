"""Compiled loops against numpy, and without compilation."""

import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmtl import _kernels, _optimality_kernels
from skmtl.data._layout import row_vector


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
    W, b, z = rng.normal(size=(T, d)), rng.normal(size=T), np.empty(n)
    _kernels.predict_rows(X, codes, W, b, z, 0, n)
    assert_allclose(z, (X * W[codes]).sum(axis=1) + b[codes], rtol=0, atol=1e-12)
    y, norms, squares = rng.normal(size=n), np.empty((T, d)), np.empty(T)
    _kernels.squared_loss_sums(X, y, s, indptr, W, b, G, R, squares, norms, 0, T)
    r = z - y
    for t in range(T):
        own = codes == t
        assert_allclose(G[t], (s * r)[own] @ X[own], rtol=0, atol=1e-10)
        assert_allclose([R[t], squares[t]], [s[own] @ r[own], s[own] @ r[own] ** 2], rtol=1e-11)
        assert_allclose(norms[t], s[own] @ X[own] ** 2, rtol=1e-13)
    mixed = rng.permutation(codes)
    place, starts = _kernels.group_rows(mixed, T)
    assert_array_equal(np.argsort(place), np.argsort(mixed, kind="stable"))
    assert_array_equal(starts, indptr)


def test_largest_ratios():
    """Zeros over zeros are zeros; what is infinite or NaN stays, whatever follows."""
    rng = np.random.default_rng(0)
    V, squares = rng.normal(size=(4, 40)), rng.uniform(size=(4, 40))
    weight, norm, largest = rng.uniform(size=4), rng.uniform(size=4), np.empty(4)
    V[1:, 4:], squares[1:], weight[1:] = 0.0, 0.0, 0.0
    V[1], V[2, 0], V[3, 0] = 0.0, np.nan, np.inf
    bound = np.full(4, 2.0)
    _optimality_kernels.largest_ratios(V, squares, bound, weight, norm, largest, 0, 4)
    expected = np.abs(V[0]) / (np.sqrt(2.0 * squares[0] + weight[0]) * norm[0])
    assert_allclose(largest, [expected.max(), 0.0, np.nan, np.inf], rtol=1e-14)


def test_center_gradient():
    """By arrays: the gradient after elimination, and its largest entry in units of the tasks."""
    rng = np.random.default_rng(0)
    G, V, squares = rng.normal(size=(3, 4, 5))
    squares, weight, norm = squares**2, np.array([0.5, 3.0, 0.0, 0.0]), rng.uniform(1, 2, 4)
    free = np.array([1.0, 1.0, 0.0, 1.0])
    G[3, 0] = squares[3, 0] = 0.0  # no data and no penalty
    curvature = 2.0 * squares + weight[:, None]
    gradient = free[:, None] * (G + weight[:, None] * V)
    with np.errstate(invalid="ignore"):
        share = np.where(curvature > 0, 2.0 * squares / curvature, 1.0)
        ratio = np.abs(gradient) / (np.sqrt(curvature) * norm[:, None])
    sums = np.zeros(5)
    given = G, V, weight, free, squares, np.full(4, 2.0)
    assert_allclose(
        _optimality_kernels.center_gradient(*given, norm, sums, 0, 4), np.nanmax(ratio), rtol=1e-14
    )
    assert_allclose(sums, (G - gradient * share).sum(axis=0), rtol=0, atol=1e-13)
    for value in (np.nan, np.inf):
        G[1, 2] = value
        with np.errstate(invalid="ignore"):  # without compilation
            assert not np.isfinite(
                _optimality_kernels.center_gradient(*given, norm, np.zeros(5), 0, 4)
            )


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


def test_rows_follow_in_a_vector():
    A = np.random.default_rng(0).normal(size=(6, 5))
    views = A, A[:, 1:], A[:, :3], A[::2], A[::-1], A.T, A[:, ::2], A[:1, 2:], A[:, 2:3], A[:, :0]
    for X in (*views, A[:0], np.asfortranarray(A), np.broadcast_to(A[0], (4, 5))):
        rows, step = row_vector(X)
        assert not rows.flags.writeable
        for i, row in enumerate(X):
            assert_array_equal(rows[i * step : i * step + X.shape[1]], row)
    assert np.shares_memory(row_vector(A[:, 1:])[0], A)
