"""Penalty weights of each column and feature, against regressions on indicators."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmtl.data import LongData
from skmtl.losses import LogisticLoss, MultinomialLoss, SquaredLoss
from skmtl.penalties import NestedCoupling, Nesting
from skmtl.problem import Problem
from skmtl.solvers import SOLVERS

# Of each store its region, and of each region its country
TWO = (np.repeat(np.arange(5), (3, 2, 4, 3, 5)),)
THREE = (np.repeat(np.arange(8), (2, 2, 1, 3, 2, 2, 3, 2)), np.array([0, 0, 1, 1, 2, 2, 3, 3]))
LOSSES = {1: SquaredLoss(), 2: LogisticLoss(), 3: MultinomialLoss(3)}
FIXED = {
    "none": [],
    "some": [(0, 1), (1, 2)],
    "stores": [(0, 0), (0, 1), (0, 2)],
    "everywhere": [(0, 1), (1, 1), (2, 1)],
}


def newton(Z, penalty, loss, y):
    """Return the linear predictions (n, K) of a penalized regression."""
    K, m = loss.n_outputs, Z.shape[1]
    P, b, eye = np.kron(np.eye(K), np.diag(penalty)), np.zeros((K, m)), np.eye(K)
    for _ in range(1 if loss.constant_curvature else 9):
        z = b @ Z.T
        derivative = loss.evaluate(y, z)[1].reshape(K, -1)
        g = (derivative @ Z + b * penalty).ravel()
        H = P.copy()
        for k in range(K):
            direction = np.repeat(eye[k][:, None], len(Z), axis=1)
            if K == 1:
                curvature = np.broadcast_to(loss.curvature(derivative), derivative.shape)
            else:
                p = loss.probabilities(y, derivative)
                curvature = p * (direction - p[k])
            for other in range(K):
                block = (curvature[other][:, None] * Z).T @ Z
                H[other * m : (other + 1) * m, k * m : (k + 1) * m] += block
        b = b - np.linalg.lstsq(H, g, rcond=1e-12)[0].reshape(b.shape)
    return (b @ Z.T).T


@pytest.mark.parametrize("parents", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("fixed", FIXED)
@pytest.mark.parametrize("shared", [0.0, 0.7])
@pytest.mark.parametrize("solver", ["direct", "cg"])
@pytest.mark.parametrize("n_classes", LOSSES)
def test_fit_is_that_of_indicators(parents, fixed, shared, solver, n_classes):
    rng, loss, nesting = np.random.default_rng(0), LOSSES[n_classes], Nesting(list(parents))
    d, L, n = 3, len(nesting.sizes), rng.integers(4, 9, size=len(parents[0]))
    levels = [np.repeat(np.arange(len(n)), n)]
    for parent in parents:
        levels.append(parent[levels[-1]])
    X, y = rng.normal(size=(n.sum(), d)), rng.normal(size=n.sum()) + 1
    if n_classes == 2:
        y = np.where(y > 1, 1.0, -1.0)
    elif n_classes == 3:
        y = rng.integers(3, size=len(y))
    alpha, intercept = rng.uniform(0.3, 3, size=(L, d)), rng.uniform(0.3, 3, size=L)
    alpha[0] = 1.0
    for level, j in FIXED[fixed]:
        if level < L:
            alpha[level, j] = np.inf
    # coordinates in which some tasks do not deviate are small, as of ``Axes``
    B = np.where(np.isinf(alpha[0]) & np.isfinite(alpha[0]).any(), 1e-8, 1.0)
    weights = np.where(np.isinf(alpha), alpha, alpha * B**2)
    weights[0] = alpha[0]
    center = X.mean(axis=0)
    data = LongData(X * B, y, np.ones(len(y)), levels[0], len(n), center * B, None)
    center_weight = shared * B**2 if shared else 0.0
    penalty = NestedCoupling.of(weights, center_weight, intercept, False, nesting)
    problem = Problem(data, loss, penalty)
    found = SOLVERS[solver](problem, 2000, 1e-11).solve(problem.origin()).coefficients
    Xc, one = X - center, np.ones((len(X), 1))
    parts, penalties = [Xc, one], [np.full(d, shared), np.zeros(1)]
    for level, codes in enumerate(levels):
        for node in range(nesting.sizes[level]):
            own, free = (codes == node)[:, None], np.isfinite(alpha[level])
            parts += [Xc[:, free] * own, one * own]
            penalties += [alpha[level, free], intercept[[level]]]
    expected = newton(np.hstack(parts), np.concatenate(penalties), loss, y)
    flat = penalty.flatten(found)
    z = np.einsum("nj,knj->nk", Xc * B, flat.W[:, levels[0]]) + flat.intercept[:, levels[0]].T
    assert_allclose(z - z.mean(axis=1, keepdims=True) * (len(z.T) > 1), expected, atol=1e-7)
    if n_classes == 1:
        assert_allclose(z, expected, atol=1e-9)
    for level, j in FIXED[fixed]:
        if level < L:
            assert not found.V[:, nesting.levels[level], j].any()
