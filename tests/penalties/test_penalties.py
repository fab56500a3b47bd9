"""Penalties by themselves: one inequality proves every prox, formulas and cvxpy the rest."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmtl.penalties import (
    L1,
    L21,
    PENALTIES,
    Decomposed,
    Graph,
    MeanRegularized,
    NetworkLasso,
    Ridge,
    RobustMean,
    StructuredPenalty,
    TaskL2,
    TemporalFused,
    TraceNorm,
)
from skmtl.penalties._task_penalty import Ridged
from tests._problems import slow_unless

MORE = {
    "mean_regularized-shared": MeanRegularized(0.7, alpha_shared=0.4),
    "graph-shared": Graph(0.5, alpha_shared=0.3),
    "l1+l21": L1(0.4) + L21(0.7),
    "l1+temporal_fused": L1(0.3) + TemporalFused(0.6),
    "l1+trace_norm": L1(0.4) + TraceNorm(0.6),
    "l21+ridge": L21(0.7) + Ridge(0.3),
    "ridge+robust_mean+ridge": Ridge(0.2) + RobustMean(0.5) + Ridge(0.1),
}
ALL = {name: kind() for name, kind in PENALTIES.items()} | MORE
SINGLE = {name: p for name, p in ALL.items() if "+" not in name}
PROJECTED = {
    "l1": lambda Z: 0 * Z,
    "l21": lambda Z: 0 * Z,
    "task_l2": lambda Z: 0 * Z,
    "trace_norm": lambda Z: 0 * Z,
    "ridge": lambda Z: 0 * Z,
    "l1+l21": lambda Z: 0 * Z,
    "l21+ridge": lambda Z: 0 * Z,
    "robust_mean": lambda Z: 0 * Z + Z.mean(axis=0),
    "network_lasso": lambda Z: 0 * Z + Z.mean(axis=0),
    "temporal_fused": lambda Z: 0 * Z + Z.mean(axis=0),
    "mean_regularized": lambda Z: 0 * Z + Z.mean(axis=0),
    "graph": lambda Z: 0 * Z + Z.mean(axis=0),
}
SHAPES = [(5, 3), (3, 6), (2, 3), (1, 4), (4, 1), (1, 1)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
TIGHT = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-8)


def penalties(table):
    return pytest.mark.parametrize("penalty", table.values(), ids=table)


def matrices(shape, scale=1.0):
    """Random ones, with equal rows, zero columns, and of whole numbers."""
    rng = np.random.default_rng(shape)
    Z = scale * rng.normal(size=(4, *shape))
    Z[1, -1], Z[2, :, 0] = Z[1, 0], 0.0
    Z[3] = scale * np.round(2 * Z[3] / scale)
    return Z


def assert_prox(penalty, Z, step, U):
    """Check <z - u, v - u> / step <= value(v) - value(u) for v near and far."""
    rng = np.random.default_rng(0)
    scale, value = np.abs(Z).max() + 1.0, penalty.value(U)
    near = [U + h * scale * rng.normal(size=Z.shape) for h in (1e-6, 1e-4, 1e-2, 1.0, 30.0)]
    for v in (*near, Z, 0 * Z, 0.5 * U, 2 * U, 0 * Z + U.mean(axis=0), U.round(1), Z - U):
        left = float(((Z - U) / step * (v - U)).sum())
        size = float((np.abs(Z / step) * (np.abs(v) + np.abs(U) + np.abs(Z))).sum())
        right = penalty.value(v) - value
        accuracy = 1e-13 if isinstance(penalty, NetworkLasso) else 1e-14  # one iterates
        rounding = 1e-12 * (penalty.value(v) + value) + accuracy * size + 1e-30
        assert left <= right + rounding, (left - right, v)


@pytest.mark.parametrize("step", [1e-6, 0.5, 2.0, 50.0])
@shapes
@penalties(ALL)
def test_prox_satisfies_its_inequality(penalty, shape, step):
    bound = penalty.bind(np.arange(shape[0]))
    for Z in matrices(shape):
        kept = Z.copy()
        U = bound.prox(Z, step)
        assert_array_equal(Z, kept)
        assert U.shape == Z.shape
        assert not np.shares_memory(U, Z)
        assert_prox(bound, Z, step, U)


@pytest.mark.parametrize("spread", [0.5, 3.0])
@shapes
@penalties({name: p for name, p in ALL.items() if p.prox_scaling != "matrix"})
def test_prox_with_many_steps_satisfies_its_inequality(penalty, shape, spread):
    T, d = shape
    kinds = {"entry": [(T, d), (1, d), (T, 1), (1, 1)], "feature": [(1, d)], "task": [(T, 1)]}
    bound = penalty.bind(np.arange(T))
    for i, Z in enumerate(matrices(shape)):
        for size in kinds[penalty.prox_scaling]:
            step = np.exp(spread * np.random.default_rng(i).normal(size=size))
            assert_prox(bound, Z, step, bound.prox(Z, step))


@shapes
@penalties({name: ALL[name] for name in PROJECTED})
def test_a_step_of_inf_projects(penalty, shape):
    name = next(n for n, p in ALL.items() if p is penalty)
    for Z in matrices(shape):
        U = penalty.bind(np.arange(shape[0])).prox(Z, np.inf)
        assert_allclose(U, PROJECTED[name](Z), rtol=0, atol=1e-14 * np.abs(Z).max())
        if penalty.is_norm:
            assert (U[0] == U).all()
            assert penalty.null_set == "pooled" or not U.any()


@shapes
@penalties(ALL)
def test_a_step_of_zero_changes_nothing(penalty, shape):
    for Z in matrices(shape):
        U = penalty.bind(np.arange(shape[0])).prox(Z, 0.0)
        assert_allclose(U, Z, rtol=0, atol=1e-14 * np.abs(Z).max())


@pytest.mark.parametrize("alpha_shared", [0.0, 0.4, np.inf])
def test_mean_regularized_has_its_limits(alpha_shared):
    """At alpha=inf the tasks are equal; at alpha_shared=inf the center is zero."""
    W = np.array([[1.0, 2.0], [3.0, -2.0]])
    assert MeanRegularized(2.0, alpha_shared=np.inf).value(W) == 18.0
    same = W[[0, 0]]
    shared = 0.0 if np.isinf(alpha_shared) else 0.5 * alpha_shared * 5.0
    if np.isfinite(alpha_shared):
        assert_allclose(MeanRegularized(np.inf, alpha_shared).value(same), shared)
    U = MeanRegularized(np.inf, alpha_shared).prox(W, 1.0)
    center = W.mean(axis=0) * (2.0 / (2.0 + alpha_shared))
    assert_allclose(U, [center, center], rtol=0, atol=1e-14)


# Values -----------------------------------------------------------------------------------------


def center_of(cp, W):
    """The least sum of distances to a point."""
    w = cp.Variable(W.shape[1])
    F = sum(cp.norm(row - w) for row in W)
    return cp.Problem(cp.Minimize(F)).solve(solver="CLARABEL", **dict.fromkeys(TIGHT, 1e-9))


def chain(T):
    return [(t, t + 1, 1.0 + t) for t in range(T - 1)]


@shapes
def test_values_are_their_formulas(shape):
    T = shape[0]
    tasks = np.arange(T)
    A = (1 - np.eye(T)) / T
    for W in matrices(shape):
        D = np.linalg.norm(W[:, None] - W[None], axis=2)
        squares, own = (W**2).sum(), ((W - W.mean(axis=0)) ** 2).sum()
        mean = (
            0.5 * 2.0 * own + 0.5 * T * (2.0 * 0.6 / (2.0 * T + 0.6)) * (W.mean(axis=0) ** 2).sum()
        )
        expected = [
            (L1(2.0), 2.0 * np.abs(W).sum()),
            (L21(2.0), 2.0 * sum(np.sqrt((w**2).sum()) for w in W.T)),
            (TaskL2(2.0), 2.0 * sum(np.sqrt((w**2).sum()) for w in W)),
            (TraceNorm(2.0), 2.0 * np.linalg.norm(W, "nuc")),
            (TemporalFused(2.0), 2.0 * sum(np.abs(W[t + 1] - W[t]).sum() for t in range(T - 1))),
            (NetworkLasso(2.0), (A * D).sum()),
            (NetworkLasso(2.0, chain(T)), 2.0 * sum(w * D[s, t] for s, t, w in chain(T))),
            (Ridge(2.0), squares),
            (Graph(2.0, alpha_shared=0.6), 0.5 * (A * D**2).sum() + 0.3 * squares),
            (MeanRegularized(2.0), own),
            (MeanRegularized(2.0, alpha_shared=0.6), mean),
            (L1(2.0) + Ridge(2.0), 2.0 * np.abs(W).sum() + squares),
        ]
        for penalty, number in expected:
            if T == 1 and isinstance(penalty, NetworkLasso) and penalty.task_graph is not None:
                continue  # no edges
            found = penalty.bind(tasks).value(W)
            assert isinstance(found, float)
            assert_allclose(found, number, rtol=1e-12, atol=1e-13, err_msg=repr(penalty))
        assert_allclose(Decomposed(L1(1.0), Ridge(2.0)).value([W, W]), np.abs(W).sum() + squares)


@pytest.mark.parametrize("shape", [(5, 3), (3, 6), (2, 3), (4, 1), (8, 2)], ids=str)
def test_robust_mean_is_the_distance_to_the_geometric_median(shape):
    cp = pytest.importorskip("cvxpy")
    for W in matrices(shape):
        W = W * np.exp(2 * np.random.default_rng(0).normal(size=(len(W), 1)))
        penalty = RobustMean(2.0)
        expected = 2.0 * center_of(cp, W)
        assert_allclose(penalty.value(W), expected, rtol=1e-7, atol=1e-7)
        center = penalty.structure(W, np.arange(len(W)))["center"]
        assert_allclose(
            2.0 * np.linalg.norm(W - center, axis=1).sum(), expected, rtol=1e-9, atol=1e-9
        )


GRAPHS = {
    "all-pairs": None,
    "chain": [(0, 1), (1, 2, 2.0), (2, 3), (3, 4, 0.3)],
    "two-components": [(0, 1), (2, 3, 1.5), (3, 4)],
    "isolated": [(0, 1), (1, 2), (0, 2, 3.0)],
}


def weights_of(graph, T):
    A = np.zeros((T, T)) if graph else np.triu(np.full((T, T), 1.0 / T), 1)
    for s, t, *w in graph or []:
        A[s, t] += w[0] if w else 1.0
    return A


@pytest.mark.parametrize("step", [0.1, 0.6, 3.0])
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_network_lasso_prox_is_that_of_cvxpy(graph, step):
    cp = pytest.importorskip("cvxpy")
    A = weights_of(graph, 5)
    for Z in matrices((5, 2))[:2]:
        W = cp.Variable(Z.shape)
        F = 0.5 * cp.sum_squares(W - Z)
        F += step * sum(A[s, t] * cp.norm(W[s] - W[t]) for s, t in np.argwhere(A))
        cp.Problem(cp.Minimize(F)).solve(solver="CLARABEL", **TIGHT)
        bound = NetworkLasso(1.0, graph).bind(np.arange(5))
        U = bound.prox(Z, step)
        found = 0.5 * ((U - Z) ** 2).sum() + step * bound.value(U)
        assert abs(found - F.value) <= 1e-8 * (Z**2).sum()
        near = np.linalg.norm(U[:, None] - U[None], axis=2) < 1e-7
        assert_array_equal((U[:, None] == U[None]).all(axis=2), near)  # fused exactly or apart


def test_temporal_fused_prox_where_a_segment_can_go_either_way():
    """Steps of whole numbers: a value is next to both bounds at once."""
    prox = TemporalFused(1.0).prox
    assert_allclose(prox(np.array([[-2.0], [1.0]]), 1.0), [[-1.0], [0.0]], rtol=0, atol=1e-14)
    rng = np.random.default_rng(0)
    for _ in range(200):
        Z, step = np.round(3 * rng.normal(size=(8, 4))), 0.5 * rng.integers(1, 7)
        assert_prox(TemporalFused(1.0), Z, step, prox(Z, step))


@pytest.mark.parametrize("step", [0.1, 0.6, 3.0])
def test_temporal_fused_prox_is_that_of_cvxpy(step):
    cp = pytest.importorskip("cvxpy")
    for Z in matrices((7, 3)):
        W = cp.Variable(Z.shape)
        F = 0.5 * cp.sum_squares(W - Z) + step * cp.sum(cp.abs(W[1:] - W[:-1]))
        cp.Problem(cp.Minimize(F)).solve(solver="CLARABEL", **TIGHT)
        U = TemporalFused(1.0).prox(Z, step)
        found = 0.5 * ((U - Z) ** 2).sum() + step * np.abs(U[1:] - U[:-1]).sum()
        assert abs(found - F.value) <= 1e-8 * (Z**2).sum()


# Derivatives ------------------------------------------------------------------------------------


RIDGED = {f"{name}, ridged": Ridged(SINGLE[name], 0.6) for name in ("l1", "l21", "task_l2")}
RIDGED["robust_mean, ridged"] = Ridged(RobustMean(0.5), 0.4)


@shapes
@penalties(SINGLE | RIDGED)
def test_prox_derivative_is_a_finite_difference(penalty, shape):
    T, d = shape
    bound = penalty if isinstance(penalty, Ridged) else penalty.bind(np.arange(T))
    rng = np.random.default_rng(1)
    Z, size = 2 * rng.normal(size=shape), {"entry": shape, "feature": (1, d), "task": (T, 1)}
    step = rng.uniform(0.3, 0.8, size.get(penalty.prox_scaling, (1, 1)))
    derivative = bound.prox_derivative(Z, step)
    if derivative is None:
        assert isinstance(penalty, NetworkLasso)
        return
    product, blocks = derivative
    J = np.empty((T * d, T * d))
    for i in range(T * d):
        D = np.zeros(shape)
        D.flat[i] = 1.0
        h = 1e-5
        J[:, i] = ((bound.prox(Z + h * D, step) - bound.prox(Z - h * D, step)) / (2 * h)).ravel()
        assert_allclose(product(D).ravel(), J[:, i], rtol=0, atol=2e-8)
    own = np.einsum("titj->tij", J.reshape(T, d, T, d))
    exact = isinstance(penalty, L1 | L21 | TaskL2 | TemporalFused | Ridge)
    if exact or penalty in (RIDGED["l1, ridged"], RIDGED["l21, ridged"]):
        if blocks.ndim == 2:
            assert_allclose(blocks, np.einsum("tii->ti", own), rtol=0, atol=2e-8)
        else:
            assert_allclose(blocks, own, rtol=0, atol=2e-8)
    else:
        assert blocks.shape in [(T, d), (T, d, d)]
        assert np.isfinite(blocks).all()


def test_robust_mean_of_tasks_with_steps_of_any_size():
    """The subgradients of differences from a center sum to zero."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        T, d = rng.integers(2, 8), rng.integers(1, 20)
        Z = rng.normal(size=(T, d)) + rng.normal(size=d)
        step = 10.0 ** rng.uniform(-3, 3, (T, 1))
        alpha = 10.0 ** rng.uniform(-3, 3)
        U = (Z - RobustMean(alpha).prox(Z, step)) / step
        assert_allclose(U.sum(axis=0), 0.0, atol=1e-9 * alpha + 1e-14 * np.abs(Z / step).max())
        assert (np.linalg.norm(U, axis=1) <= alpha * (1 + 1e-9) + 1e-14 / step.min()).all()


def test_ridges_have_no_terms_of_their_own_beside_others():
    """They are in the prox of the first other term; by themselves they are one."""
    tasks = np.arange(3)
    several = Ridge(0.2) + L21() + Ridge(0.3) + L1()
    for penalty, count in ((several, 2), (Ridge() + Ridge(2.0), 1), (L1() + Ridge(0.0), 1)):
        bound = StructuredPenalty(penalty.bind(tasks), 1.5, 1.0)
        assert len(bound.terms[0]) == count
        W = np.random.default_rng(0).normal(size=(3, 4))
        point = bound.coefficients(W[None], np.zeros((1, 3)))
        assert_allclose(bound.value(point), 1.5 * penalty.value(W), rtol=1e-14)
    both = L1(np.inf) + Ridge(np.inf)
    assert not both.prox(np.ones((2, 3))).any()
    assert_allclose((L1(0.0) + Ridge(2.0)).prox(np.ones((2, 3)), 0.5), 0.5, rtol=1e-15)
    copy.deepcopy(Ridged(L21(), 1.0))


# Dual norms -------------------------------------------------------------------------------------


DUALS = {
    "l1": L1(2.0),
    "l21": L21(2.0),
    "task_l2": TaskL2(2.0),
    "trace_norm": TraceNorm(2.0),
    "robust_mean": RobustMean(2.0),
    "network_lasso": NetworkLasso(2.0),
    "network_lasso-chain": NetworkLasso(2.0, [(0, 1), (1, 2, 2.0), (2, 3)]),
    "network_lasso-two-components": NetworkLasso(2.0, [(0, 1), (2, 3, 2.0)]),
    "temporal_fused": TemporalFused(2.0),
    "l1+l21": L1(0.5) + L21(1.0),
    "l1+temporal_fused": L1(0.5) + TemporalFused(1.0),
}


def expression(cp, penalty, W):
    """The norm as a convex expression."""
    if isinstance(penalty, L1):
        size = cp.sum(cp.abs(W))
    elif isinstance(penalty, L21 | TaskL2):
        size = cp.sum(cp.norm(W, 2, axis=int(isinstance(penalty, TaskL2))))
    elif isinstance(penalty, TraceNorm):
        size = cp.normNuc(W)
    elif isinstance(penalty, TemporalFused):
        size = cp.sum(cp.abs(W[1:] - W[:-1]))
    elif isinstance(penalty, RobustMean):
        size = cp.sum(
            cp.norm(
                W - np.ones((len(range(W.shape[0])), 1)) @ cp.Variable((1, W.shape[1])), 2, axis=1
            )
        )
    elif isinstance(penalty, NetworkLasso):
        A = weights_of(penalty.task_graph, W.shape[0])
        size = sum(A[s, t] * cp.norm(W[s] - W[t]) for s, t in np.argwhere(A))
    else:
        return expression(cp, penalty.first, W) + expression(cp, penalty.second, W)
    return penalty.alpha * size


@pytest.mark.parametrize("penalty", slow_unless(DUALS, [*DUALS][:-2]))
def test_dual_norm_is_the_largest_product(penalty):
    cp = pytest.importorskip("cvxpy")
    bound = penalty.bind(np.arange(4))
    for G in matrices((4, 3))[:2]:
        G = G - bound.prox(G, np.inf)
        W = cp.Variable(G.shape)
        problem = cp.Problem(
            cp.Maximize(cp.sum(cp.multiply(G, W))), [expression(cp, penalty, W) <= 1]
        )
        if bound.null_set != "zero":  # what is free is left out
            problem = cp.Problem(problem.objective, [*problem.constraints, cp.sum(W, axis=0) == 0])
        expected = problem.solve(solver="CLARABEL", **TIGHT)
        assert_allclose(bound.dual_norm(G), expected, rtol=1e-7)
        assert_allclose(bound.dual_norm(3.0 * G), 3.0 * expected, rtol=1e-7)
        assert_allclose(bound.dual_norm(0.0 * G), 0.0, atol=0)
