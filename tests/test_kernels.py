"""Compiled loops against numpy, and without compilation."""

import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmtl import _kernels, _optimality_kernels, _prox_kernels
from skmtl.data._layout import row_major


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


@pytest.mark.parametrize("n_rows", [4, 1])
def test_around_center(n_rows):
    """By arrays: the gradient after elimination, and its largest entry in units of the tasks."""
    rng = np.random.default_rng(0)
    G, squares = rng.normal(size=(2, 4, 6))  # the intercepts last
    V, squares, norm = rng.normal(size=(n_rows, 6)), squares**2, rng.uniform(1, 2, 4)
    weight, free = np.array([0.5, 3.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0, 1.0])
    G[3, 0] = squares[3, 0] = 0.0  # no data and no penalty
    weights = np.column_stack([*[weight] * 5, np.full(4, 0.7)])
    curvature = 2.0 * squares + weights
    gradient = np.column_stack([*[free] * 5, np.ones(4)]) * (G + weights * V)
    with np.errstate(invalid="ignore"):
        share = np.where(curvature > 0, 2.0 * squares / curvature, 1.0)
        ratio = np.abs(gradient) / (np.sqrt(curvature) * norm[:, None])
    slopes, R = np.ascontiguousarray(G[:, :-1]), G[:, -1].copy()
    of_V, q = np.ascontiguousarray(V[:, :-1]), np.broadcast_to(V[:, -1], 4).copy()
    units = np.ascontiguousarray(squares[:, :-1]), squares[:, -1].copy(), np.full(4, 2.0), norm

    def largest(center):
        given = slopes, R, of_V, q, weight, free, 0.7, 1.0
        return _optimality_kernels.around_center(*given, *units, center, 0, 4)

    center = np.zeros((2, 6))
    assert_allclose(largest(center), np.nanmax(ratio), rtol=1e-14)
    assert_allclose(center[0], (G - gradient * share).sum(axis=0), rtol=0, atol=1e-13)
    is_free = np.column_stack([*[free] * 5, np.ones(4)])
    left = 2.0 * squares * (1.0 - is_free * share)
    assert_allclose(center[1], left.sum(axis=0), rtol=1e-12)
    for array, place in ((slopes, (1, 2)), (R, 3)):
        for value in (np.nan, np.inf, 0.0):
            array[place] = value
            with np.errstate(invalid="ignore"):  # without compilation
                assert np.isfinite(largest(np.zeros((2, 6)))) == (value == 0.0)


def test_of_center():
    center, ones = np.array([[1.0, -6.0, 5.0, 2.0], [3.0, 8.0, 0.0, 4.0]]), np.ones(2)
    w, weight = np.array([0.5, 1.0, 9.0]), np.array([1.0, 1.0, 0.0])
    of_w = max((1.0 + 0.5) / np.sqrt(4.0), (6.0 - 1.0) / np.sqrt(9.0))  # no curvature in the third
    largest = _optimality_kernels.of_center
    assert_allclose(largest(0.0, center, w, weight, ones, 2.0), of_w / 2.0, rtol=1e-15)
    assert_allclose(largest(0.0, center, w, weight, [0.0, 1.0] * ones, 2.0), 0.5, rtol=1e-15)
    assert largest(0.7, center, w, weight, 0.0 * ones, 2.0) == 0.7
    assert np.isnan(largest(np.nan, center, w, weight, ones, 2.0))
    center[0, 3] = np.nan
    assert np.isnan(largest(0.1, center, w, weight, ones, 2.0))


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
        rows, step = row_major(X)
        assert not rows.flags.writeable
        for i, row in enumerate(X):
            assert_array_equal(rows[i * step : i * step + X.shape[1]], row)
    assert np.shares_memory(row_major(A[:, 1:])[0], A)


def test_huber_kernels():
    """By arrays, with tasks inside and outside of their radius, and at the center."""
    rng = np.random.default_rng(0)
    Z, c, radius = rng.normal(size=(6, 3)), rng.normal(size=3), rng.uniform(0, 3, 6)
    Z[2], radius[3], radius[4], weight = c, 0.0, 1e3, rng.uniform(0.5, 2, 6)
    norm, gradient, H = np.empty(6), np.empty(3), np.empty((3, 3))
    value, size = _prox_kernels.huber_sums(Z, c, radius, weight, norm, gradient)
    total = _prox_kernels.huber_curvature(Z, c, radius, weight, norm, H)
    distance = np.linalg.norm(Z - c, axis=1)
    slope = np.minimum(distance, radius)
    share = weight * np.divide(slope, distance, out=np.ones(6), where=distance > 0)
    along = (Z - c) / np.where(distance > radius, distance, np.inf)[:, None]
    assert_allclose(norm, distance, rtol=1e-14)
    expected = [weight @ (slope * (distance - slope / 2)), weight @ slope, share.sum()]
    assert_allclose([value, size, total], expected, rtol=1e-13)
    assert_allclose(gradient, -share @ (Z - c), rtol=1e-12)
    assert_allclose(H, share.sum() * np.eye(3) - along.T * share @ along, rtol=0, atol=1e-10)
