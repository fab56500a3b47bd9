"""Tasks of different kinds: solutions against cvxpy, single models and other layouts."""

import warnings

import cvxpy as cp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression, PoissonRegressor

from skmtl import (
    ADMMClassifier,
    ADMMRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
)
from skmtl.fitting import choose_solver
from skmtl.losses import LogisticLoss, PoissonLoss, SquaredLoss
from skmtl.penalties import (
    L1,
    L21,
    Decomposed,
    GraphCoupling,
    MeanCoupling,
    MeanRegularized,
    NetworkLasso,
    RobustMean,
    StructuredPenalty,
    TaskL2,
    TraceNorm,
)
from skmtl.solvers import ADMMSolver, ConjugateGradientSolver, ProximalSolver
from tests._mixed import ALL, COMBINATIONS, Table, solved

combinations = pytest.mark.parametrize("kinds", COMBINATIONS.values(), ids=COMBINATIONS)
PENALTIES = {
    "l21": L21(),
    "l1": L1(),
    "trace_norm": TraceNorm(),
    "task_l2": TaskL2(),
    "decomposed": Decomposed(L21(), L1(0.6)),
    "sum": L1(0.3) + TraceNorm(),
    "mean+l1": MeanRegularized(2.0) + L1(0.5),
}
CENTERS = {"free": 0.0, "penalized": 0.7, "fixed": np.inf}
# weight of the intercepts, and whether there are none
INTERCEPTS = {"free": (0.0, False), "1.5": (1.5, False), "common": (np.inf, False)}
INTERCEPTS["none"] = (np.inf, True)


class OtherSquaredLoss(SquaredLoss):
    """Another kind of task, so that a problem has two parts."""


class OtherLogisticLoss(LogisticLoss):
    """The same for two classes."""


def structured(table, penalty, alpha=3.0, alpha_intercept=0.0, **others):
    bound = penalty.bind(np.arange(table.counts.sum()))
    return StructuredPenalty(bound, alpha, alpha_intercept, **others)


def coupled(table, alpha_shared=0.0, alpha_intercept=0.0, fixed=False, alpha=0.8):
    R = table.counts.sum()
    return MeanCoupling(np.full(R, alpha), alpha_shared, alpha_intercept, fixed)


def graph_of(table, alpha_intercept=1.5):
    """Return a chain of the rows of the coefficients, with links of several weights."""
    R = table.counts.sum()
    A = np.diag(np.arange(1.0, R), 1)
    return GraphCoupling(A + A.T, np.arange(R), tuple(range(R)), 0.6, 0.3, alpha_intercept)


def cvxpy_objective(table, penalize):
    """Return the least objective, of ``penalize(W, b)``: an expression and constraints."""
    W, b = cp.Variable((table.counts.sum(), table.X.shape[1])), cp.Variable(table.counts.sum())
    penalty, constraints = penalize(W, b)
    problem = cp.Problem(cp.Minimize(table.cvxpy_loss(W, b) + penalty), constraints)
    with warnings.catch_warnings():  # "may be inaccurate": by less than we compare
        warnings.simplefilter("ignore")
        problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-10, tol_feas=1e-9)
    counts = [t for t, kind in enumerate(table.kinds) if kind == "poisson"]
    Y, constant = np.nan_to_num(table.Y[:, counts]), 0.0
    own = np.where(Y > 0, Y * np.log(np.where(Y > 0, Y, 1.0)), 0.0) - Y
    constant = table.weight @ own @ table.task_weight[counts]
    return problem.value + constant


def around_mean(b):
    return cp.sum_squares(b - cp.sum(b) / b.size)


def features(W):
    return cp.sum(cp.norm(W, 2, axis=0))


def decomposed(W, _):
    P, Q = cp.Variable(W.shape), cp.Variable(W.shape)
    return 3.0 * (features(P) + 0.6 * cp.sum(cp.abs(Q))), [W == P + Q]


NORMS = {
    "l21": lambda W, b: (3.0 * features(W), []),
    "l1": lambda W, b: (3.0 * cp.sum(cp.abs(W)), []),
    "trace_norm": lambda W, b: (3.0 * cp.normNuc(W), []),
    "task_l2": lambda W, b: (3.0 * cp.sum(cp.norm(W, 2, axis=1)), []),
    "decomposed": decomposed,
    "sum": lambda W, b: (3.0 * (0.3 * cp.sum(cp.abs(W)) + cp.normNuc(W)), []),
}


@pytest.mark.parametrize("alpha_intercept", [0.0, 1.5])
@pytest.mark.parametrize("name", NORMS)
def test_norms_as_cvxpy(name, alpha_intercept):
    table = Table(ALL)
    found = solved(table.problem(structured(table, PENALTIES[name], 3.0, alpha_intercept)))

    def penalize(W, b):
        value, constraints = NORMS[name](W, b)
        return value + alpha_intercept / 2 * around_mean(b), constraints

    assert_allclose(found.objective, cvxpy_objective(table, penalize), rtol=1e-6)


@pytest.mark.parametrize("intercepts", INTERCEPTS.values(), ids=INTERCEPTS)
@pytest.mark.parametrize("alpha_shared", CENTERS.values(), ids=CENTERS)
def test_mean_coupling_as_cvxpy(alpha_shared, intercepts):
    alpha_intercept, fixed = intercepts
    table = Table(ALL, center=not fixed)
    found = solved(table.problem(coupled(table, alpha_shared, alpha_intercept, fixed)))

    def penalize(W, b):
        w, constraints = cp.Variable((1, W.shape[1])), [b == 0] if fixed else []
        value = 0.4 * cp.sum_squares(W - np.ones((W.shape[0], 1)) @ w)
        if np.isinf(alpha_shared):
            constraints.append(w == 0)
        else:
            value += alpha_shared / 2 * cp.sum_squares(w)
        if np.isinf(alpha_intercept):
            constraints.append(b == cp.sum(b) / b.size)
        else:
            value += alpha_intercept / 2 * around_mean(b)
        return value, constraints

    assert_allclose(found.objective, cvxpy_objective(table, penalize), rtol=1e-6)


@pytest.mark.parametrize("solver", ["direct", "cg"])
def test_graph_as_cvxpy(solver):
    table = Table(ALL)
    found = solved(table.problem(graph_of(table)), solver)

    def penalize(W, b):
        value = 0.15 * cp.sum_squares(W)
        for s in range(W.shape[0] - 1):
            weight = s + 1.0
            value += 0.3 * weight * cp.sum_squares(W[s] - W[s + 1])
            value += 0.75 * weight * cp.square(b[s] - b[s + 1])
        return value, []

    assert_allclose(found.objective, cvxpy_objective(table, penalize), rtol=1e-6)


@combinations
@pytest.mark.parametrize("solver", ["direct", "cg"])
@pytest.mark.parametrize("intercepts", INTERCEPTS.values(), ids=INTERCEPTS)
@pytest.mark.parametrize("alpha_shared", CENTERS.values(), ids=CENTERS)
def test_quadratic_couplings_are_solved(kinds, alpha_shared, intercepts, solver):
    table = Table(kinds, center=not intercepts[1])
    penalty = coupled(table, alpha_shared, *intercepts)
    wide, long = (solved(table.problem(penalty, own), solver, 1e-10) for own in ("wide", "long"))
    assert_allclose(long.objective, wide.objective, rtol=1e-12)
    for name in ("W", "intercept"):
        a, b = getattr(wide.coefficients, name), getattr(long.coefficients, name)
        assert_allclose(b, a, rtol=0, atol=1e-9)


@combinations
@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
def test_structured_penalties_are_solved(kinds, penalty):
    table, found = Table(kinds), []
    for layout in ("wide", "long"):
        problem = table.problem(structured(table, penalty, 1.0, 1.5), layout)
        found.append(solved(problem, "admm"))
        if ProximalSolver.objection(problem) is None:
            found.append(solved(problem, "proximal"))
    for other in found[1:]:
        assert_allclose(other.objective, found[0].objective, rtol=1e-9)


def test_proximal_steps_need_a_bound():
    table = Table(ALL)
    objection = ProximalSolver.objection(table.problem(structured(table, L21())))
    assert "bounded curvature" in objection
    assert choose_solver(table.problem(structured(table, L21()))) is ADMMSolver


@pytest.mark.parametrize("d", [6, 150])
@pytest.mark.parametrize("layout", ["wide", "long"])
def test_sparse_is_dense(layout, d):
    table = Table(ALL, d=d)
    table.X[np.random.default_rng(3).random(table.X.shape) < 0.6] = 0.0
    table.X /= np.sqrt(d / 4)
    penalties, tol = [coupled(table, 1.0), graph_of(table), coupled(table)], 1e-8
    if d == 6:
        penalties.append(structured(table, L21(), 1.0))
        tol = 1e-10
    for penalty in penalties:
        dense, sparse = (
            solved(table.problem(penalty, layout, own), tol=tol) for own in (False, True)
        )
        assert_allclose(sparse.objective, dense.objective, rtol=1e-9)
        if d == 6 or penalty is not penalties[2]:  # else only a basis of the rows has one solution
            assert_allclose(sparse.coefficients.W, dense.coefficients.W, rtol=0, atol=1e-7)


def users(problem, found):
    """Return coefficients (R, d) and intercepts (R,) of the features as given."""
    W, b = found.coefficients.W[0], found.coefficients.intercept[0]
    return W, b - W @ problem.data.center


def check_as_model(table, losses, penalty, model):
    """Compare a problem in two parts with an estimator of one kind."""
    table.losses = lambda: losses
    problem = table.problem(penalty)
    assert len(problem.data.parts) == 2
    found = solved(problem, tol=1e-11)
    W, b = users(problem, found)
    model.set_params(tol=1e-11, task_weight=table.task_weight)
    Y = np.maximum(table.Y, 0.0) if table.kinds[0] == "logistic" else table.Y  # NaN stays
    model.fit(table.X, Y, table.weight)
    assert_allclose(W, model.coef_, rtol=0, atol=1e-7)
    assert_allclose(b, model.intercept_, rtol=0, atol=1e-7)
    assert_allclose(found.objective, model.objective_, rtol=1e-9)


@pytest.mark.parametrize("penalty", [L21(), TraceNorm(), Decomposed(L21(), L1(0.6))])
def test_two_kinds_of_squared_tasks_are_one(penalty):
    table, losses = Table(("squared",) * 3), [SquaredLoss(), OtherSquaredLoss(), SquaredLoss()]
    model = ADMMRegressor(penalty, alpha=2.0, alpha_intercept=1.5)
    check_as_model(table, losses, structured(table, penalty, 2.0, 1.5), model)
    model = MeanRegularizedRegressor(0.8, alpha_shared=0.7, alpha_intercept=1.5)
    check_as_model(table, losses, coupled(table, 0.7, 1.5), model)


@pytest.mark.parametrize("penalty", [L21(), TraceNorm(), Decomposed(L21(), L1(0.6))])
def test_two_kinds_of_class_tasks_are_one(penalty):
    table, losses = Table(("logistic",) * 3), [LogisticLoss(), OtherLogisticLoss(), LogisticLoss()]
    model = ADMMClassifier(penalty, alpha=2.0, alpha_intercept=1.5, task_column=None)
    check_as_model(table, losses, structured(table, penalty, 2.0, 1.5), model)
    model = MeanRegularizedClassifier(0.8, alpha_shared=0.7, alpha_intercept=1.5, task_column=None)
    check_as_model(table, losses, coupled(table, 0.7, 1.5), model)


def test_one_multinomial_task_is_logistic_regression():
    table = Table(("multinomial",), n=60, missing=0.0)
    problem = table.problem(coupled(table, np.inf, alpha=2.0))
    W, b = users(problem, solved(problem, tol=1e-11))
    model = LogisticRegression(C=0.5, tol=1e-12, max_iter=10**5, solver="newton-cg")
    model.fit(table.X, table.Y[:, 0], table.weight * table.task_weight[0])
    assert_allclose(W, model.coef_, rtol=0, atol=1e-7)
    assert_allclose(b - b.mean(), model.intercept_ - model.intercept_.mean(), rtol=0, atol=1e-7)
    centered = solved(problem).coefficients.intercept
    assert_allclose(centered.sum(), 0.0, atol=1e-10)


def test_one_task_of_counts_is_poisson_regression():
    table = Table(("poisson",), n=60, missing=0.0)
    problem = table.problem(coupled(table, np.inf, alpha=2.0))
    W, b = users(problem, solved(problem, tol=1e-11))
    weight = table.weight * table.task_weight[0]
    model = PoissonRegressor(alpha=2.0 / weight.sum(), tol=1e-12, solver="newton-cholesky")
    model.fit(table.X, table.Y[:, 0], weight)
    assert_allclose(W[0], model.coef_, rtol=0, atol=1e-7)
    assert_allclose(b[0], model.intercept_, rtol=0, atol=1e-7)


@pytest.mark.parametrize("solver", ["direct", "cg"])
def test_free_intercepts_of_classes_sum_to_zero(solver):
    table = Table(("multinomial", "squared", "multinomial"))
    for penalty in (coupled(table), graph_of(table, 0.0), coupled(table, 0.7)):
        found = solved(table.problem(penalty), solver).coefficients.intercept[0]
        for t in (0, 2):
            assert_allclose(found[table.places[t]].sum(), 0.0, atol=1e-12)


@pytest.mark.parametrize("solver", ["admm", "proximal"])
def test_free_intercepts_of_classes_sum_to_zero_with_norms(solver):
    table = Table(("multinomial", "squared", "multinomial"))
    found = solved(table.problem(structured(table, L21())), solver).coefficients.intercept[0]
    for t in (0, 2):
        assert_allclose(found[table.places[t]].sum(), 0.0, atol=1e-12)


def with_counts(level, scale=1.0, kinds=("poisson", "squared", "multinomial"), **options):
    """Return a table whose first task has counts of a level, and features of a scale."""
    table = Table(kinds, **{"n": 60, "d": 3, "missing": 0.1} | options)
    z = (table.X - table.X.mean(axis=0))[:, :3] @ [0.5, -0.3, 0.2]
    y = np.random.default_rng(5).poisson(level * np.exp(z))
    table.Y[:, 0] = np.where(np.isnan(table.Y[:, 0]), np.nan, y)
    table.X *= scale
    return table


@pytest.mark.parametrize("scale", [1.0, 1e3])
@pytest.mark.parametrize("level", [0.0, 1.0, 1e6])
@pytest.mark.parametrize("solver", ["direct", "cg"])
@pytest.mark.filterwarnings("error")
def test_counts_of_any_size(solver, level, scale):
    table = with_counts(level, scale)
    solved(table.problem(coupled(table)), solver)
    alone = with_counts(level, scale, ("poisson",))
    problem = alone.problem(coupled(alone))
    found = choose_solver(problem, solver)(problem, 1000, 1e-8).solve(problem.origin())
    assert found.converged  # from intercepts of zero
    if level:
        assert found.n_iter < 100
        other = solved(problem, solver)
        assert_allclose(found.coefficients.W, other.coefficients.W, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("level", [0.0, 100.0, 1e4])
@pytest.mark.filterwarnings("error")
def test_counts_of_any_size_by_admm(level):
    table = with_counts(level)
    solved(table.problem(structured(table, L21())))


@pytest.mark.parametrize("level", [1e4, 1e6])
@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
def test_newton_steps_take_over_where_counts_are_large(penalty, level):
    """A round of ADMM is short where the model changes, and there may be many."""
    table = with_counts(level)
    assert solved(table.problem(structured(table, penalty, 1.0))).n_iter < 1000


@pytest.mark.parametrize(
    "penalty", [RobustMean(), pytest.param(NetworkLasso(), marks=pytest.mark.slow)]
)
@pytest.mark.filterwarnings("error")
def test_errors_of_large_counts_are_none_of_small_tasks(penalty):
    """The prox of differences spreads an error of a gradient over all tasks."""
    table = with_counts(100.0, kinds=("poisson", "poisson", "squared", "logistic"), d=100)
    solved(table.problem(structured(table, penalty, 10.0)), max_iter=1000)


def test_offsets_of_features_change_nothing():
    table = Table(ALL)
    problem = table.problem(coupled(table, 0.7))
    W, b = users(problem, solved(problem, tol=1e-10))
    table.X += 1e5
    problem = table.problem(coupled(table, 0.7))
    moved, c = users(problem, solved(problem, tol=1e-10))
    assert_allclose(moved, W, rtol=0, atol=1e-8)
    assert_allclose(c + moved.sum(axis=1) * 1e5, b, rtol=0, atol=1e-6)


def test_small_tasks_are_as_accurate_as_tasks_of_large_counts():
    """Residuals of counts are no scale of the others: a loose one would be met too early."""
    table = with_counts(1e4, kinds=("poisson", "logistic"))
    problem = table.problem(structured(table, L21()))
    norms = problem.residual_norms(problem.evaluate(problem.start()).sums)
    assert norms[1] < 0.05 * norms[0]


def test_a_matrix_free_model_of_a_part(monkeypatch):
    from skmtl.solvers import _spectral

    table = Table(ALL)
    problem = table.problem(structured(table, PENALTIES["decomposed"]))
    expected = solved(problem)
    monkeypatch.setattr(_spectral, "memory_limit", lambda: 0)
    assert_allclose(solved(problem).objective, expected.objective, rtol=1e-9)


def test_warm_start_takes_no_step():
    table = Table(ALL)
    for penalty in (coupled(table, 0.7), structured(table, L21())):
        problem = table.problem(penalty)
        first = solved(problem)
        solver = choose_solver(problem)(problem, 100, 1e-8)
        again = solver.solve(first.coefficients, first.split)
        assert again.n_iter == 0
        assert again.converged


def test_all_alpha_zero_is_each_task_alone():
    table = Table(("squared", "poisson", "logistic"), n=80, missing=0.1)
    problem = table.problem(coupled(table, 0.0, 0.0, alpha=0.0))
    W, b = users(problem, solved(problem, tol=1e-10))
    for t, kind in enumerate(table.kinds):
        alone = Table((kind,), n=80)
        seen = ~np.isnan(table.Y[:, t])
        alone.X, alone.Y = table.X[seen], table.Y[seen, t : t + 1]
        alone.weight, alone.task_weight = table.weight[seen], np.ones(1)
        own = alone.problem(coupled(alone, 0.0, 0.0, alpha=0.0))
        W_t, b_t = users(own, solved(own, tol=1e-10))
        assert_allclose(W[t], W_t[0], rtol=0, atol=1e-7)
        assert_allclose(b[t], b_t[0], rtol=0, atol=1e-7)


def test_solvers_are_chosen_as_elsewhere():
    table = Table(ALL)
    assert choose_solver(table.problem(coupled(table))).__name__ == "DirectSolver"
    table = Table(ALL, d=3000)
    problem = table.problem(coupled(table, 1.0), "long", sparse=True)
    assert choose_solver(problem) is ConjugateGradientSolver
    assert isinstance(table.losses()[2], PoissonLoss)
