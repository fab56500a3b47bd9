"""The contract of solvers, and every path through them."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skmtl import MeanRegularizedRegressor, PooledRegressor, SharedL2Regressor
from skmtl.arrowhead import _elimination
from skmtl.losses import SquaredLoss
from skmtl.penalties import L1, Coefficients, Penalty
from skmtl.problem import Problem
from skmtl.solvers import SOLVERS, _direct
from tests._dense import Dense, penalty_weights
from tests._problems import (
    all_models,
    assert_same_model,
    basic_classifiers,
    fit_long,
    make_problem,
    make_rows,
    models,
    partial_rows,
    solvers,
    weighted_rows,
)

MODELS = models(None)


def solve(model, rows, weight=None, **params):
    """Fit to where two solvers may differ in rounding only."""
    return fit_long(model, rows, weight, **{"tol": 1e-11} | params)


# Solvers ----------------------------------------------------------------------------------------


@all_models
def test_direct_is_cg(model, K):
    rows, weight, _ = weighted_rows(K)
    params = {"solver": "cg", "tol": 1e-13 if K is None else 1e-11, "max_iter": 100_000}
    direct = solve(model, rows, weight, solver="direct")
    if _leaves_tasks_free(model):
        with pytest.raises(ValueError, match=r"No solver can take this problem\. solver='cg': alp"):
            fit_long(model, rows, weight, **params)
        return
    cg = fit_long(model, rows, weight, **params)
    assert_same_model(cg, direct, rtol=1e-9 if K is None else 1e-8)
    assert cg.optimality_ <= params["tol"]


@basic_classifiers
@pytest.mark.parametrize(("sizes", "d"), [((90, 80, 70), 66), ((20, 120, 9), 80), ((5, 6, 7), 40)])
def test_direct_is_cg_with_many_features(model, K, sizes, d):
    """In large primal blocks, dual ones, and the space that few rows span."""
    rows = make_rows(K, sizes=sizes, d=d)
    direct = solve(model, rows, solver="direct")
    assert_same_model(solve(model, rows, solver="cg"), direct, rtol=1e-7)


@pytest.mark.parametrize("name", ["pooled", "separate", "mean", "mean-dict", "mean-one-intercept"])
def test_direct_is_cg_where_tasks_lack_classes(name):
    rows, weight = partial_rows()
    direct, cg = (
        solve(models(3)[name], rows, weight, task_classes="seen", solver=solver)
        for solver in ("direct", "cg")
    )
    assert_same_model(cg, direct, rtol=1e-8)


def _leaves_tasks_free(model):
    return bool((penalty_weights(model, 4)[0] == 0).any())


@pytest.mark.parametrize(
    ("model", "solver"),
    [
        pytest.param(model, solver, id=f"{name}-{solver}")
        for name, model in MODELS.items()
        for solver in ("direct", "cg")
        if solver == "direct" or not _leaves_tasks_free(model)
    ],
)
def test_warm_start_at_the_solution(model, solver):
    """It takes no step, or as few as a cold start where the solution is not unique."""
    rows, weight, _ = weighted_rows()
    fitted = fit_long(model, rows, weight, solver=solver, warm_start=True)
    coef, intercept, cold = fitted.coef_, fitted.intercept_, fitted.n_iter_
    fitted.fit(rows.long, rows.y, weight)
    center_is_free = hasattr(model, "alpha_shared") and not model.alpha_shared
    center_is_free |= isinstance(model, PooledRegressor) and model.alpha == 0
    if solver == "cg" and not center_is_free:
        assert len(fitted.history_) == 1
        assert fitted.n_iter_ == 1
    assert fitted.n_iter_ <= cold + 1
    assert_allclose(fitted.coef_, coef, rtol=0, atol=1e-7 * np.abs(coef).max())
    assert_allclose(fitted.intercept_, intercept, rtol=0, atol=1e-6)


@solvers
@pytest.mark.parametrize("d", [4, 40])
@pytest.mark.parametrize(
    "model", [PooledRegressor(0.0), MeanRegularizedRegressor(1.0), SharedL2Regressor(1.0)]
)
def test_warm_start_has_no_part_outside_of_the_row_space(model, d, solver):
    """From a fit on full rank to one without: the center is the one of smallest norm."""
    rows = make_rows(sizes=(9, 8, 7), d=d)
    warm = fit_long(model, rows, solver=solver, warm_start=True, tol=1e-9)
    rows.X[:, 1] = rows.X[:, 0]
    warm.fit(rows.long, rows.y)
    cold = clone(warm).set_params(warm_start=False).fit(rows.long, rows.y)
    assert_same_model(warm, cold, rtol=1e-6)


@basic_classifiers
@solvers
def test_warm_start_of_classifiers_ends_where_a_cold_one_does(model, K, solver):
    rows, weight, _ = weighted_rows(K)
    model = solve(model, rows, weight, solver=solver, warm_start=True)
    cold = clone(model).set_params(warm_start=False)
    iterations, coef = model.n_iter_, model.coef_
    model.fit(rows.long, rows.y, weight)
    assert model.n_iter_ <= 1
    assert_allclose(model.coef_, coef, rtol=0, atol=1e-9)
    weight = weight * (1 + 1e-4 * np.random.default_rng(0).normal(size=len(weight)))
    model.fit(rows.long, rows.y, weight)
    assert model.n_iter_ < iterations
    assert_same_model(model, cold.fit(rows.long, rows.y, weight), rtol=1e-8)
    for params in [{"alpha": 5.0}, {"alpha": np.inf}, {"alpha": 0.5}]:
        model.set_params(**params).fit(rows.long, rows.y, weight)
        cold.set_params(**params).fit(rows.long, rows.y, weight)
        assert_same_model(model, cold, rtol=1e-8)
    others = [rows.codes < 2, rows.codes > 1, rows.y < 2]  # other tasks, other classes
    for kept in others if K > 2 else others[:2]:
        model.fit(rows.long[kept], rows.y[kept], weight[kept])
        cold.fit(rows.long[kept], rows.y[kept], weight[kept])
        assert_same_model(model, cold, rtol=1e-8)
    model.fit(rows.long[:, :3], rows.y)  # other features
    assert_same_model(model, cold.fit(rows.long[:, :3], rows.y), rtol=1e-8)


@solvers
def test_warm_start_ends_where_a_cold_one_does(solver):
    rows = make_rows()
    model = fit_long(MeanRegularizedRegressor(1.0), rows, solver=solver, warm_start=True, tol=1e-12)
    for params in [
        {"alpha": 5.0},
        {"alpha": np.inf},
        {"alpha": 0.5, "alpha_shared": np.inf},
        {"alpha_intercept": np.inf},
        {"alpha_intercept": 0.0, "alpha_shared": 0.0},
    ]:
        model.set_params(**params).fit(rows.long, rows.y)
        cold = clone(model).set_params(warm_start=False).fit(rows.long, rows.y)
        assert_same_model(model, cold, rtol=1e-9)
    other = make_rows(sizes=(5, 6), d=2)  # other tasks and features: a cold start
    model.fit(other.long, other.y)
    cold = clone(model).set_params(warm_start=False).fit(other.long, other.y)
    assert_same_model(model, cold, rtol=1e-12)


def test_history_records_every_step():
    rows = make_rows()
    model = fit_long(MeanRegularizedRegressor(2.0), rows)
    assert set(model.history_[0]) == {"n_iter", "objective", "optimality"}
    assert [entry["n_iter"] for entry in model.history_] == [0, 1]
    null = model.history_[0]["objective"]
    assert_allclose(null, 0.5 * np.sum((rows.y - rows.y.mean()) ** 2), rtol=1e-12)
    assert model.history_[-1]["objective"] == model.objective_ < null
    assert model.history_[-1]["optimality"] == model.optimality_
    assert model.n_iter_ == 1


def test_converged_is_what_the_problem_certifies():
    problem = make_problem()
    start = Coefficients.zeros(4, 3)
    stopped = SOLVERS["cg"](problem, 3, 1e-12).solve(start)
    assert not stopped.converged
    assert stopped.n_iter == 3
    solution = SOLVERS["direct"](problem, 1000, 1e-12).solve(start)
    assert solution.converged
    assert solution.n_iter == 1
    for one in (stopped, solution):
        again = problem.evaluate(one.coefficients)
        assert (one.objective, one.optimality) == (again.objective, again.optimality)
        assert one.converged == (one.optimality <= 1e-12)


class OtherPenalty(Penalty):
    diagonal = take = coefficients = None
    terms = ((SimpleNamespace(penalty=L1(), prox_scaling="entry"),),)


@pytest.mark.parametrize("name", SOLVERS)
def test_objections(name):
    problem, objection = make_problem(), SOLVERS[name].objection
    quadratic, other = None, "it supports quadratic penalties only"
    if name in ("admm", "proximal"):
        quadratic, other = "it supports penalties with a prox only", None
    assert objection(problem) == quadratic
    assert objection(Problem(problem.data, SquaredLoss(), OtherPenalty())) == other


def test_too_little_memory_falls_back_to_cg(monkeypatch):
    rows = make_rows()
    expected = fit_long(MeanRegularizedRegressor(2.0), rows)
    monkeypatch.setattr(_direct, "_SMALL", 0)
    monkeypatch.setattr(_direct, "memory_limit", lambda: 100.0)
    model = fit_long(MeanRegularizedRegressor(2.0), rows, tol=1e-12)
    assert model.n_iter_ > 1
    assert_same_model(model, expected, rtol=1e-9)
    with pytest.raises(ValueError, match=r"solver='direct': its blocks would need about .* GiB"):
        fit_long(MeanRegularizedRegressor(2.0), rows, solver="direct")
    with pytest.raises(ValueError, match=r"solver='direct': its blocks.*; solver='cg': alpha=0"):
        fit_long(MeanRegularizedRegressor(0.0), rows)


def test_cg_that_stops_early_says_so_and_keeps_its_best():
    rows = make_rows(sizes=(40, 30), d=12)
    rows.X *= np.logspace(0, 2, 12)
    with pytest.warns(ConvergenceWarning):
        model = fit_long(MeanRegularizedRegressor(0.1), rows, solver="cg", max_iter=5, tol=1e-12)
    assert model.optimality_ == min(entry["optimality"] for entry in model.history_)


# Blocks of the direct solver --------------------------------------------------------------------

PATHS = {
    "small primal": ((9, 5, 14), 3, {"PrimalBlocks"}),
    "large primal": ((150, 90, 100), 66, {"PrimalBlocks"}),
    "odd and even": ((8, 9, 70), 7, {"PrimalBlocks"}),
    "dual": ((20, 7, 1, 30, 25), 70, {"DualBlocks"}),
    "dual and primal": ((20, 120, 1, 30), 80, {"DualBlocks", "PrimalBlocks"}),
    "rotated": ((5, 3, 1), 40, {"PrimalBlocks"}),
    "rotated dual": ((25, 28, 20), 100, {"DualBlocks"}),
}
MIXTURES = {
    "finite": lambda T: np.linspace(0.5, 3, T),
    "inf": lambda T: np.where(np.arange(T) == 1, np.inf, 2.0),
    "all inf": lambda T: np.full(T, np.inf),
    "tiny and huge": lambda T: np.geomspace(1e-2, 1e4, T),
}


@pytest.mark.parametrize(("sizes", "d", "kinds"), PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("mixture", MIXTURES)
@pytest.mark.parametrize(
    ("alpha_intercept", "alpha_shared"), [(0.0, 0.5), (1.0, np.inf), (np.inf, 0.5)]
)
def test_paths(sizes, d, kinds, mixture, alpha_intercept, alpha_shared, monkeypatch):
    used, original = set(), _elimination.block_kinds

    def spy(data, groups):
        chosen = original(data, groups)
        used.update(kind.__name__ for kind, mask in chosen.items() if mask.any())
        return chosen

    monkeypatch.setattr(_elimination, "block_kinds", spy)
    rows = make_rows(sizes=sizes, d=d)
    alpha = MIXTURES[mixture](len(sizes))
    model = MeanRegularizedRegressor(
        alpha,
        alpha_shared=alpha_shared,
        alpha_intercept=alpha_intercept,
        solver="direct",
        tol=1e-9,
    )
    fitted = fit_long(model, rows)
    if mixture in ("finite", "tiny and huge"):
        assert used == kinds
    assert ("PooledBlocks" in used) == np.isinf(alpha).any()
    dense = Dense(model, rows)
    theta = dense.theta(fitted)
    assert (np.abs(dense.gradient(theta)) <= 1e-12 * dense.rounding_unit(theta)).all()
    W, b, w, _ = dense.unpack(dense.solve())
    size = max(1.0, np.abs(W).max())  # the least squares of all unknowns is what loses digits
    assert_allclose(fitted.coef_, W, rtol=0, atol=1e-9 * size)
    assert_allclose(fitted.intercept_, b, rtol=0, atol=1e-8 * size)
    assert_allclose(fitted.shared_coef_, w, rtol=0, atol=1e-9 * size)


def test_alpha_of_zero_one_and_infinity_in_one_fit():
    rows = make_rows(sizes=(120, 10, 30, 100), d=70)
    alpha = np.array([0.0, 1.0, np.inf, 2.0])
    model = fit_long(MeanRegularizedRegressor(alpha, alpha_shared=0.3), rows, solver="direct")
    dense = Dense(model, rows)
    W, b, w, _ = dense.unpack(dense.solve())
    assert_allclose(model.coef_, W, rtol=0, atol=1e-10)
    assert_allclose(model.intercept_, b, rtol=0, atol=1e-9)
    assert_allclose(model.shared_coef_, w, rtol=0, atol=1e-10)


@pytest.mark.parametrize("estimator", [SharedL2Regressor, PooledRegressor])
@pytest.mark.parametrize("d", [30, 90])
def test_least_squares_of_minimum_norm(estimator, d):
    rows = make_rows(sizes=(9, 5, 6), d=d)
    model = fit_long(estimator(0.0), rows)
    for t in range(3):
        own = rows.codes == t if estimator is SharedL2Regressor else slice(None)
        Z, r = rows.X[own] - rows.X[own].mean(axis=0), rows.y[own] - rows.y[own].mean()
        assert_allclose(model.coef_[t], np.linalg.pinv(Z) @ r, rtol=0, atol=1e-11)
    # Interpolation: d exceeds the rows.
    assert_allclose(model.predict(rows.long), rows.y, rtol=0, atol=1e-10)


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize(
    ("alpha_shared", "alpha_intercept"), [(0.0, 1.0), (0.0, 0.0), (0.5, 1.0), (0.5, np.inf)]
)
def test_free_tasks_of_fewer_rows_than_features_interpolate(
    constant, alpha_shared, alpha_intercept
):
    """The tasks say nothing of the center: its system is zero up to rounding, of either sign."""
    model = MeanRegularizedRegressor(
        0.0, alpha_shared=alpha_shared, alpha_intercept=alpha_intercept
    )
    for seed in range(60):
        rows = make_rows(sizes=(1, 2, 2), d=5, seed=seed)
        if constant:
            rows.X[:, 0] = 1.7
        fitted = fit_long(model, rows)
        assert_allclose(fitted.predict(rows.long), rows.y, rtol=0, atol=1e-8)
        assert np.abs(fitted.coef_).max() < 1e6  # a solution of small norm, not any solution


@pytest.mark.parametrize("alpha_intercept", [2.0, np.inf])
def test_a_free_task_beside_coupled_ones_takes_one_step(alpha_intercept):
    """Where the center is open, looking for its null space must leave the blocks as they are."""
    rows = make_rows(sizes=(1, 4, 3), d=8)
    model = MeanRegularizedRegressor([1.0, 0.0, 1.0], alpha_intercept=alpha_intercept)
    fitted = fit_long(model, rows, solver="direct")
    assert fitted.n_iter_ == 1
    assert_allclose(fitted.predict(rows.long), rows.y, rtol=0, atol=1e-9)  # d exceeds the rows


@pytest.mark.parametrize("seed", range(20))
def test_fewer_rows_than_features_without_a_penalty(seed):
    """All rows, and those of each task, span less than all: ranks must be seen."""
    rng = np.random.default_rng(seed)
    tasks = np.repeat([0, 1, 2], (6, 4, 5))
    X, y = rng.normal(size=(15, 20)), rng.normal(size=15)
    rows = np.column_stack([tasks, X])
    model = SharedL2Regressor(0.0, task_column=0).fit(rows, y)
    for t in range(3):
        own = X[tasks == t] - X[tasks == t].mean(axis=0)
        least = np.linalg.pinv(own) @ (y[tasks == t] - y[tasks == t].mean())
        assert_allclose(model.coef_[t], least, rtol=0, atol=1e-11)
    assert MeanRegularizedRegressor(0.0, task_column=0).fit(rows, y).optimality_ <= 1e-8
