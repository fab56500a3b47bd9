"""Solutions against others: scikit-learn, cvxpy, and the objective itself, dense and at once."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, Ridge

from skmtl import (
    MeanRegularizedRegressor,
    PooledRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
)
from tests._dense import Dense, assert_optimal
from tests._problems import (
    ARRAY,
    DICT,
    TASK_WEIGHT,
    all_classifiers,
    all_models,
    families,
    fit_long,
    kinds,
    logistic_oracle,
    make_indicator,
    make_rows,
    make_wide,
    melt,
    models,
    n_classes,
    partial_rows,
    solvers,
    task_weights,
    weighted_rows,
)

CLASS_WEIGHT = {0: 2.0, 1: 0.6, 2: 1.3}


def oracle_of(K, alpha, **params):
    """Return the estimator of scikit-learn for one task, exact to rounding."""
    if K is not None:
        return logistic_oracle(alpha, **params)
    return Ridge(alpha, solver="svd", **params) if alpha else LinearRegression(**params)


def assert_same_as(oracle, coef, intercept, atol):
    """Compare a task with an oracle, which leaves intercepts of classes open to a constant."""
    expected = np.ravel(oracle.intercept_)
    found = np.reshape(intercept, expected.shape)
    if len(found) > 1:
        assert_allclose(found.mean(), 0, atol=1e-10)
        expected = expected - expected.mean()
    assert_allclose(coef.reshape(oracle.coef_.shape), oracle.coef_, rtol=0, atol=atol)
    assert_allclose(found, expected, rtol=0, atol=atol)


# Loops and columns of scikit-learn's models -----------------------------------------------------

SHAPES = {
    None: [((30, 4), 0.01), ((30, 4), 1.0), ((30, 4), 300.0)]
    + [((6, 20), 0.01), ((6, 20), 1.0), ((6, 20), 300.0)]
    + [((80, 70), 0.01), ((80, 70), 1.0), ((80, 70), 300.0)],
}
SHAPES[2] = SHAPES[3] = [
    *[((60, 4), 0.01), ((60, 4), 100.0), ((8, 20), 0.01), ((8, 20), 100.0), ((90, 70), 1.0)]
]


@pytest.mark.parametrize("fit_intercept", [True, False], ids=["intercept", "none"])
@pytest.mark.parametrize(
    ("K", "shape", "alpha"),
    [(K, *case) for K, cases in SHAPES.items() for case in cases],
    ids=str,
)
def test_one_task_is_a_model_of_scikit_learn(shape, alpha, fit_intercept, K):
    rows = make_rows(K, sizes=shape[:1], d=shape[1])
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(rows.y))
    pooled, separate, mean = kinds(K)
    oracle = oracle_of(K, alpha, fit_intercept=fit_intercept).fit(rows.X, rows.y, weight)
    # The harmonic sum: 1 / (1 / (1.5 alpha) + 1 / (3 alpha)) = alpha.
    params = {"alpha_shared": 3.0 * alpha, "alpha_intercept": np.inf}
    for model in (pooled(alpha), separate(alpha), mean(1.5 * alpha, **params)):
        model.set_params(fit_intercept=fit_intercept, tol=1e-11).fit(rows.X, rows.y, weight)
        if K is None:
            atol = 1e-11 * np.abs(oracle.coef_).max()
            assert_allclose(model.coef_, [oracle.coef_], rtol=0, atol=atol)
            assert_allclose(model.intercept_, [oracle.intercept_], rtol=0, atol=1e-10)
            assert_allclose(model.predict(rows.X), oracle.predict(rows.X), rtol=0, atol=1e-10)
            continue
        assert_same_as(oracle, model.coef_[0], model.intercept_[0], atol=1e-9)
        probability = oracle.predict_proba(rows.X)
        assert_allclose(model.predict_proba(rows.X), probability, rtol=0, atol=1e-9)
        assert_array_equal(model.predict(rows.X), oracle.predict(rows.X))


@families
@pytest.mark.parametrize("alpha", [0.0, 0.1, 10.0])
def test_separate_models_are_a_loop_over_those_of_scikit_learn(alpha, K):
    if K is None:
        rows, alphas = make_rows(sizes=(12, 3, 30, 2, 8), d=6), np.full(5, alpha)
        weight = np.random.default_rng(0).uniform(0.5, 2.0, len(rows.y))
    else:
        rows, weight, _ = weighted_rows(K)
        alphas = alpha * np.array([1.0, 2.0, 0.5, 3.0])
    model = fit_long(kinds(K)[1](alphas), rows, weight, tol=1e-11)
    for t, alpha in enumerate(alphas):
        own = rows.codes == t
        oracle = oracle_of(K, alpha).fit(rows.X[own], rows.y[own], weight[own])
        atol = 1e-11 if K is None else 1e-8
        assert_same_as(oracle, model.coef_[t], model.intercept_[t], atol=atol)


@solvers
def test_two_classes_of_three_are_binary_tasks(solver):
    """A softmax of two classes puts alpha on the halves of the log-odds: alpha/2 on the whole."""
    pairs, alpha = np.array([(0, 1), (1, 2), (0, 2)]), 1.5
    rows = make_rows(2, sizes=(40, 30, 50))
    y = pairs[rows.codes, rows.y]
    model = SharedL2Classifier(alpha, task_column=0, task_classes="seen", solver=solver, tol=1e-11)
    model.fit(rows.long, y)
    for t, (a, b) in enumerate(pairs):
        own = rows.codes == t
        oracle = oracle_of(2, alpha / 2).fit(rows.X[own], y[own])
        difference = model.coef_[t, b] - model.coef_[t, a]
        intercept = model.intercept_[t, b] - model.intercept_[t, a]
        assert_same_as(oracle, difference, intercept, atol=1e-9)
        assert_allclose(model.coef_[t, [3 - a - b]], 0, atol=1e-12)
        expected = oracle.predict_proba(rows.X[own])
        proba = model.predict_proba(rows.long[own])
        assert_allclose(proba[:, [a, b]], expected, rtol=0, atol=1e-9)
        assert_array_equal(proba[:, 3 - a - b], 0)


@families
@pytest.mark.parametrize("per_task", [1.0, (0.3, 1.0, 4.0, 20.0)], ids=["one", "per task"])
@pytest.mark.parametrize(
    ("alpha", "alpha_shared"), [(0.05, 0.01), (0.1, 3.0), (1.0, 1e-3), (1.0, 0.01), (20.0, 0.5)]
)
def test_mean_regularized_is_a_model_of_scikit_learn_on_augmented_features(
    alpha, alpha_shared, per_task, K
):
    rows, weight, _ = weighted_rows(K)
    if K is None:
        rows = make_rows(sizes=(9, 2, 25, 6), d=5)
        weight = np.random.default_rng(1).uniform(0.2, 3.0, len(rows.y))
    (n, d), T = rows.X.shape, 4
    ratio = np.broadcast_to(per_task, T)
    model = kinds(K)[2](alpha * ratio, alpha_shared=alpha_shared, fit_intercept=False, tol=1e-12)
    model = fit_long(model, rows, weight)
    own = np.einsum("it,ij->itj", (np.eye(T) / np.sqrt(ratio))[rows.codes], rows.X)
    common = np.sqrt(alpha / alpha_shared)
    augmented = np.hstack([common * rows.X, own.reshape(n, -1)])
    oracle = oracle_of(K, alpha, fit_intercept=False).fit(augmented, rows.y, weight)
    coef = np.atleast_2d(oracle.coef_)
    w = common * coef[:, :d]
    V = np.moveaxis(coef[:, d:].reshape(-1, T, d), 0, 1) / np.sqrt(ratio)[:, None, None]
    # The oracle's own rounding: its columns differ by a factor of ``common``.
    atol = 1e-10 if K is None else 1e-7 if alpha_shared == 1e-3 else 1e-9
    assert_allclose(model.shared_coef_.reshape(w.shape), w, rtol=0, atol=atol)
    assert_allclose(model.coef_.reshape(V.shape), w + V, rtol=0, atol=atol)
    assert_array_equal(model.intercept_, 0)


# Random intercepts ------------------------------------------------------------------------------


def test_pooled_with_free_intercepts_is_the_within_estimator():
    rows = make_rows(sizes=(9, 2, 25, 6), d=3)
    model = fit_long(PooledRegressor(0.0, alpha_intercept=0.0), rows)
    E = np.eye(4)[rows.codes]

    def within(Z):
        return Z - E @ ((E.T @ Z) / E.sum(axis=0).reshape((-1,) + (1,) * (Z.ndim - 1)))

    slope = np.linalg.lstsq(within(rows.X), within(rows.y), rcond=None)[0]
    assert_allclose(model.coef_, np.tile(slope, (4, 1)), rtol=0, atol=1e-12)
    means = (E.T @ (rows.y - rows.X @ slope)) / E.sum(axis=0)
    assert_allclose(model.intercept_, means, rtol=0, atol=1e-12)


def test_pooled_with_penalized_intercepts_is_generalized_least_squares():
    """Random intercepts: cov(y) = I + 11'/alpha_intercept within a task."""
    ratio = 2.5
    rows = make_rows(sizes=(9, 2, 25, 6), d=3)
    model = fit_long(PooledRegressor(0.0, alpha_intercept=ratio), rows)
    E = np.eye(4)[rows.codes]
    precision = np.linalg.inv(np.eye(len(rows.y)) + E @ E.T / ratio)
    design = np.column_stack([np.ones(len(rows.y)), rows.X])
    beta = np.linalg.solve(design.T @ precision @ design, design.T @ precision @ rows.y)
    assert_allclose(model.shared_coef_, beta[1:], rtol=0, atol=1e-12)
    assert_allclose(model.shared_intercept_, beta[0], rtol=0, atol=1e-12)
    blup = E.T @ precision @ (rows.y - design @ beta) / ratio
    assert_allclose(model.intercept_ - model.shared_intercept_, blup, rtol=0, atol=1e-12)


# Convex optimization ----------------------------------------------------------------------------

# cvxpy's warning about itself: the comparison shows how accurate it is
inaccurate = pytest.mark.filterwarnings("ignore:Solution may be inaccurate:UserWarning")


def convex_optimum(model, rows, weight):
    """Return the least value of the documented objective that cvxpy finds, and its W and b."""
    cp = pytest.importorskip("cvxpy")
    dense = Dense(model, rows, weight)  # for its sizes, the mean and the classes
    k, T, d = dense.k, dense.T, dense.d
    W, b = [cp.Variable((k, d)) for _ in range(T)], cp.Variable((T, k))
    w, c = cp.Variable((k, d)), cp.Variable(k)
    F, constraints = 0, []

    def penalize(alpha, difference):
        nonlocal F
        if np.isinf(alpha):
            constraints.append(difference == 0)
        else:
            F += 0.5 * alpha * cp.sum_squares(difference)

    alpha, alpha_shared, alpha_intercept = dense.alphas
    penalize(alpha_shared, w)
    for t in range(T):
        penalize(alpha[t], W[t] - w)
        if model.fit_intercept:
            penalize(alpha_intercept, b[t] + W[t] @ dense.mean - c)
        else:
            constraints.append(b[t] == 0)
        own = rows.codes == t
        s, y, n = weight[own], dense.y[own], own.sum()
        z = rows.X[own] @ W[t].T + np.ones((n, 1)) @ cp.reshape(b[t], (1, k), order="C")
        if dense.K is None:
            F += 0.5 * cp.sum_squares(cp.multiply(np.sqrt(s), y - z[:, 0]))
        elif dense.K == 2:
            F += s @ cp.logistic(cp.multiply(1 - 2 * y, z[:, 0]))
        else:
            present = np.unique(y) if model.task_classes == "seen" else np.arange(k)
            F += s @ cp.log_sum_exp(z[:, present], axis=1)
            F -= cp.sum(cp.multiply(s[:, None] * np.eye(k)[y], z))
    accuracy = 1e-11 if dense.K is None else 1e-9
    tight = dict.fromkeys(["tol_gap_abs", "tol_gap_rel", "tol_feas"], accuracy)
    value = cp.Problem(cp.Minimize(F), constraints).solve(solver="CLARABEL", **tight)
    return value, np.array([part.value for part in W]), b.value


@inaccurate
@all_models
def test_cvxpy_finds_no_better(model, K):
    sizes = (9, 5, 14, 7) if K is None else (16, 9, 22, 12)
    rows, sample_weight, weight = weighted_rows(K, sizes=sizes)
    params = {"task_weight": TASK_WEIGHT}
    if K is not None:
        params["class_weight"] = {k: CLASS_WEIGHT[k] for k in range(K)}
        weight = weight * np.array([CLASS_WEIGHT[k] for k in rows.y.tolist()])
    fitted = fit_long(model, rows, sample_weight, **params)
    assert_optimal(fitted, rows, weight)
    least, W, b = convex_optimum(fitted, rows, weight)
    assert_allclose(fitted.objective_, least, rtol=1e-7)
    if K is None:
        assert_allclose(fitted.coef_, W[:, 0], atol=1e-5)
        assert_allclose(fitted.intercept_, b[:, 0], atol=1e-5)
    else:
        assert fitted.objective_ <= least * (1 + 1e-8)


WIDE = [(None, name) for name in models(None)]
WIDE += [(2, name) for name in ("pooled-random-intercepts", "separate", "mean-array", "mean")]


@pytest.mark.parametrize(("K", "name"), WIDE)
def test_cvxpy_finds_no_better_in_the_wide_form(K, name):
    X, Y = make_wide() if K is None else make_indicator(n=18)
    sample_weight = np.random.default_rng(2).uniform(0.2, 3.0, len(X))
    model = clone(models(K)[name]).set_params(task_weight=list(TASK_WEIGHT.values()))
    rows, weight = melt(X, Y, sample_weight)
    weight = weight * task_weights(rows.codes)
    if K is not None:
        model.set_params(class_weight={0: 2.0, 1: 0.6})
        weight = weight * np.where(rows.y == 1, 0.6, 2.0)
    model.fit(X, Y, sample_weight)
    assert_optimal(model, rows, weight)
    least, W, b = convex_optimum(model, rows, weight)
    assert_allclose(model.objective_, least, rtol=1e-7)
    if K is None:
        assert_allclose(model.coef_, W[:, 0], atol=1e-5)
        assert_allclose(model.intercept_, b[:, 0], atol=1e-5)


@inaccurate
@pytest.mark.parametrize("name", ["pooled", "pooled-within", "separate", "mean", "mean-dict"])
@solvers
def test_cvxpy_finds_no_better_where_tasks_lack_classes(name, solver):
    rows, weight = partial_rows()
    params, model = {"task_classes": "seen", "solver": solver}, models(3)[name]
    fitted = fit_long(model, rows, weight, **params)
    assert_optimal(fitted, rows, weight)
    least, _, _ = convex_optimum(fitted, rows, weight)
    assert_allclose(fitted.objective_, least, rtol=1e-7)
    union = fit_long(model, rows, weight).objective_
    if fitted.get_params().get("alpha_intercept", 0.0) > 0:
        assert least < 0.999 * union
    elif name == "pooled-within":  # free intercepts alone rule a class out
        assert_allclose(union, least, rtol=1e-7)


# The dense problem ------------------------------------------------------------------------------


@pytest.mark.parametrize("model", models(None).values(), ids=models(None))
@pytest.mark.parametrize("seed", [0, 1])
def test_solution_is_that_of_the_dense_problem(model, seed):
    rows, sample_weight, weight = weighted_rows(seed=seed)
    fitted = fit_long(model, rows, sample_weight, task_weight=TASK_WEIGHT)
    dense = assert_optimal(fitted, rows, weight)
    W, b, w, b_shared = dense.unpack(dense.solve())
    assert_allclose(fitted.coef_, W, atol=1e-12 * np.abs(W).max(), rtol=0)
    assert_allclose(fitted.intercept_, b, atol=1e-12 * np.abs(b).max(), rtol=0)
    if hasattr(fitted, "shared_coef_"):
        assert_allclose(fitted.shared_coef_, w, atol=1e-12 * np.abs(W).max(), rtol=0)
        if dense.alphas[2] > 0:  # free intercepts leave their center open
            assert_allclose(fitted.shared_intercept_, b_shared, atol=1e-12 * np.abs(b).max())
        else:
            centered = fitted.intercept_ + W @ dense.mean
            center = fitted.shared_intercept_ + w @ dense.mean
            assert_allclose(center, centered.mean(), rtol=1e-12)
    assert 0 <= fitted.optimality_ <= 1e-12


@all_classifiers
@solvers
def test_gradient_is_as_small_as_certified(model, K, solver):
    rows, sample_weight, weight = weighted_rows(K, seed=3)
    params = {"task_weight": TASK_WEIGHT, "solver": solver}
    assert_optimal(fit_long(model, rows, sample_weight, **params), rows, weight)


BALANCES = [(K, balance) for K in (2, 3) for balance in ("class_weight", "task_weight", "both")]


@pytest.mark.parametrize(("K", "balance"), [(None, "task_weight"), *BALANCES])
def test_balanced_weights_are_those_of_their_formula(K, balance):
    rows, s, _ = weighted_rows(K)
    params, weight, E = {}, s, np.eye(4)[rows.codes]
    if balance != "task_weight":  # N / (K n_k)
        params["class_weight"] = "balanced"
        weight = weight * (s.sum() / (K * np.bincount(rows.y, s)))[rows.y]
    if balance != "class_weight":  # N / (T n_t)
        params["task_weight"] = "balanced"
        weight = weight * (weight.sum() / (4 * weight @ E))[rows.codes]
    for name in ("mean", "pooled-random-intercepts"):
        assert_optimal(fit_long(models(K)[name], rows, s, **params), rows, weight)


@families
def test_the_dense_objective_differentiates_its_value(K):
    """By differences of fourth order, along random directions."""
    rows, sample_weight, weight = weighted_rows(K)
    model = fit_long(kinds(K)[2](DICT, alpha_shared=0.7), rows, sample_weight)
    dense, rng, h = Dense(model, rows, weight), np.random.default_rng(0), 1e-3
    theta = dense.theta(model)
    theta = theta + rng.normal(size=theta.shape)
    for _ in range(4):
        step = rng.normal(size=theta.shape)

        def slope(function, step=step):
            points = ((theta + x * step, theta - x * step) for x in (h, 2 * h))
            near, far = (function(right) - function(left) for right, left in points)
            return (8 * near - far) / (12 * h)

        assert_allclose(slope(dense.value), np.vdot(dense.gradient(theta), step), rtol=1e-9)
        product = (dense.hessian(theta) @ step.ravel()).reshape(theta.shape)
        size = np.abs(product).max()
        assert_allclose(slope(dense.gradient), product, rtol=0, atol=1e-9 * size)


@n_classes
@pytest.mark.parametrize("name", ["separate-array", "mean-array"])
@pytest.mark.parametrize(
    ("sizes", "d"),
    [
        ((150, 90, 100, 20), 66),
        ((20, 7, 30, 25), 70),
        ((20, 120, 9, 30), 80),
        ((5, 3, 7, 9), 40),
        ((25, 28, 20, 9), 100),
    ],
    ids=["large primal", "dual", "dual and primal", "rotated", "rotated dual"],
)
def test_more_features(K, name, sizes, d):
    rows, sample_weight, weight = weighted_rows(K, sizes=sizes, d=d)
    for solver in ("direct", "cg") if name == "mean-array" else ("direct",):
        params = {"task_weight": TASK_WEIGHT, "solver": solver}
        assert_optimal(fit_long(models(K)[name], rows, sample_weight, **params), rows, weight)


@solvers
@pytest.mark.parametrize("d", [3, 100])
def test_free_intercepts_of_a_class_that_a_task_lacks(d, solver):
    """No optimum is reached, but a certified point: all other intercepts are at theirs."""
    rows, weight, _ = weighted_rows(3, sizes=(25, 28, 20, 9), d=d)
    kept = (rows.y != 1) | (rows.codes != 3)
    rows, weight = rows.take(kept), weight[kept]
    model = fit_long(SharedL2Classifier(ARRAY), rows, weight, solver=solver)
    assert_optimal(model, rows, weight)
    seen = clone(model).set_params(task_classes="seen").fit(rows.long, rows.y, weight)
    assert_allclose(model.objective_, seen.objective_, rtol=1e-7)
    assert_allclose(model.coef_[:, [0, 2]], seen.coef_[:, [0, 2]], rtol=0, atol=1e-5)
    assert model.predict_proba(rows.long[rows.codes == 3])[:, 1].max() < 1e-5


# The wide form ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "d", "missing"),
    [(30, 4, 0.3), (30, 80, 0.3), (100, 80, 0.7)],
    ids=["primal", "rotated", "dual"],
)
@pytest.mark.parametrize("patterns", ["distinct", "shared", "complete"])
@pytest.mark.parametrize("weights", [None, "balanced"])
def test_wide_form_agrees_with_the_dense_problem(n, d, missing, patterns, weights):
    X, Y = make_wide(n, d, T=5, missing=0.0 if patterns == "complete" else missing)
    if patterns == "shared":  # two tasks with the same rows
        Y[:, 1] = np.where(np.isnan(Y[:, 3]), np.nan, X[:, 0] - 2)
    model = MeanRegularizedRegressor(2.0, alpha_shared=0.5, task_weight=weights).fit(X, Y)
    rows, _ = melt(X, Y)
    counts = np.bincount(rows.codes)
    a = len(rows.y) / (5 * counts) if weights else np.ones(5)
    dense = Dense(model, rows, a[rows.codes])
    W, b, _, _ = dense.unpack(dense.solve())
    assert_allclose(model.coef_, W, rtol=0, atol=1e-11)
    assert_allclose(model.intercept_, b, rtol=0, atol=1e-11)


@pytest.mark.parametrize("missing", [0.0, 0.01])
def test_large_wide_form_is_a_loop_over_ridge(missing):
    """Many tiles of rows and of tasks."""
    X, Y = make_wide(n=5000, d=3, T=70, missing=missing)
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(X))
    model = SharedL2Regressor(7.0).fit(X, Y, weight)
    for t in range(70):
        own = ~np.isnan(Y[:, t])
        ridge = Ridge(7.0, solver="svd").fit(X[own], Y[own, t], weight[own])
        assert_allclose(model.coef_[t], ridge.coef_, rtol=0, atol=1e-11)
        assert_allclose(model.intercept_[t], ridge.intercept_, rtol=0, atol=1e-11)
    assert model.optimality_ < 1e-12
