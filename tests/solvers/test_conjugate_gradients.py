"""Newton steps by conjugate gradients, in the space of the coefficients and in that of the rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse

from skmtl._optimize import conjugate_gradients
from skmtl.data import LongData
from skmtl.data._sparse import SparseLongData, canonical
from skmtl.losses import LogisticLoss, SquaredLoss
from skmtl.penalties import Coefficients, MeanCoupling
from skmtl.problem import Problem
from skmtl.solvers import ConjugateGradientSolver, DirectSolver
from skmtl.solvers._dual_system import DualSystem


@pytest.mark.parametrize("start", [None, np.full((3, 4), 0.5)])
@pytest.mark.parametrize("preconditioned", [True, False])
def test_conjugate_gradients(start, preconditioned):
    rng = np.random.default_rng(0)
    root = rng.normal(size=(12, 12))
    A, right = root @ root.T + np.diag(10.0 ** rng.uniform(-2, 4, 12)), rng.normal(size=(3, 4))
    expected, iterations = np.linalg.solve(A, right.ravel()).reshape(3, 4), []

    def product(x):
        return (A @ x.ravel()).reshape(3, 4)

    x, failed = conjugate_gradients(
        product,
        right.copy(),
        (lambda r: r / A.diagonal().reshape(3, 4)) if preconditioned else None,
        start=start,
        rtol=1e-12,
        callback=lambda: iterations.append(1),
    )
    assert not failed
    assert 5 < len(iterations) <= (40 if preconditioned else 120)
    assert_allclose(x, expected, rtol=1e-7)
    assert conjugate_gradients(product, right.copy(), rtol=1e-12, maxiter=2)[1]
    assert_allclose(conjugate_gradients(product, right.copy(), atol=1e9)[0], 0)


@pytest.mark.parametrize("loss", [SquaredLoss(), LogisticLoss()], ids=["squared", "logistic"])
@pytest.mark.parametrize("alpha_intercept", [0.0, 0.5, np.inf])
@pytest.mark.parametrize("fixed_intercept", [True, False])
@pytest.mark.parametrize("moved", [True, False])
@pytest.mark.parametrize("alpha_shared", [np.inf, 3.0])
def test_space_of_the_rows(loss, alpha_intercept, fixed_intercept, moved, alpha_shared):
    """Weighted rows, small tasks and alphas from 0.1 to inf, around any center."""
    rng = np.random.default_rng(0)
    codes = np.array([0] * 9 + [1] * 12 + [2] * 2 + [3] * 8)
    n, d, T = len(codes), 40, 4
    X = sparse.random_array((n, d), density=0.3, random_state=rng).tocsr() + sparse.csr_array(
        (np.ones(n), (np.arange(n), np.full(n, 7))), shape=(n, d)
    )
    y = X @ rng.normal(size=d) + rng.normal(size=n)
    if isinstance(loss, LogisticLoss):
        y = np.where(np.arange(n) % 2, 1.0, -1.0)
    weight, center = rng.uniform(0.1, 3, n), X.toarray().mean(axis=0)
    last = 0.5 if isinstance(loss, LogisticLoss) and alpha_shared < np.inf else np.inf
    penalty = MeanCoupling(
        np.array([0.1, 2.0, 1.0, last]),
        alpha_shared,
        alpha_intercept,
        fixed_intercept,
    )
    problem = Problem(
        SparseLongData(canonical(X.tocsr()), y, weight, codes, T, center), loss, penalty
    )
    dense = Problem(LongData(X.toarray(), y, weight, codes, T, center), loss, penalty)
    start = problem.origin()
    if moved:
        start = Coefficients(start.V, start.q, rng.normal(size=(1, d)), np.array([0.3]))
    assert DualSystem.applies(problem)
    solution = ConjugateGradientSolver(problem, 10_000, 1e-11).solve(start)
    expected = DirectSolver(dense, 100, 1e-11).solve(start)
    assert solution.converged
    assert solution.objective == pytest.approx(expected.objective, rel=1e-12)
    for part, other in zip(solution.coefficients, expected.coefficients, strict=True):
        assert_allclose(part, other, rtol=1e-7, atol=1e-9)
