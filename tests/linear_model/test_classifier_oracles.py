"""Classifiers against independent solutions: scikit-learn, cvxpy, and the objective itself."""

from decimal import Decimal, getcontext

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from skmtl import MeanRegularizedClassifier, PooledClassifier, SharedL2Classifier
from skmtl.losses import LogisticLoss, MultinomialLoss, SquaredLoss
from tests._classification import (
    ARRAY,
    CLASSIFIERS,
    DICT,
    Reference,
    assert_optimal,
    make_indicator,
    make_rows,
    melt,
    partial_rows,
    strengths,
    weighted_rows,
)
from tests._problems import TASK_WEIGHT, Rows, fit_long

all_models = pytest.mark.parametrize("model", CLASSIFIERS.values(), ids=CLASSIFIERS)
n_classes = pytest.mark.parametrize("K", [2, 3], ids=["binary", "multinomial"])
CLASS_WEIGHT = {0: 2.0, 1: 0.6, 2: 1.3}


def logistic(alpha, **params):
    """The oracle, exact to rounding."""
    C = 1 / alpha if alpha else np.inf
    return LogisticRegression(C=C, solver="newton-cholesky", tol=1e-13, max_iter=1000, **params)


def assert_same_as(oracle, coef, intercept, atol=1e-9):
    """Compare a task with a fitted LogisticRegression, which leaves levels open to a constant."""
    found = np.reshape(intercept, oracle.intercept_.shape)
    if len(found) > 1:
        assert_allclose(found.mean(), 0, atol=1e-10)
    expected = oracle.intercept_ - oracle.intercept_.mean() * (len(found) > 1)
    assert_allclose(coef.reshape(oracle.coef_.shape), oracle.coef_, rtol=0, atol=atol)
    assert_allclose(found, expected, rtol=0, atol=atol)


# Loops and columns of LogisticRegression --------------------------------------------------------


@n_classes
@pytest.mark.parametrize("fit_intercept", [True, False], ids=["intercept", "none"])
@pytest.mark.parametrize(
    ("shape", "alpha"),
    [((60, 4), 0.01), ((60, 4), 100.0), ((8, 20), 0.01), ((8, 20), 100.0), ((90, 70), 1.0)],
    ids=str,
)
def test_one_task_is_logistic_regression(shape, alpha, fit_intercept, K):
    rows = make_rows(K, sizes=shape[:1], d=shape[1])
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(rows.y))
    oracle = logistic(alpha, fit_intercept=fit_intercept).fit(rows.X, rows.y, weight)
    drawn = {"alpha_shared": 3.0 * alpha, "alpha_intercept": np.inf}
    models = PooledClassifier(alpha), SharedL2Classifier(alpha)
    # Two springs in a row: 1.5 and 3 alpha make alpha.
    for model in (*models, MeanRegularizedClassifier(1.5 * alpha, **drawn)):
        model.set_params(fit_intercept=fit_intercept, tol=1e-11)
        model.fit(rows.X, rows.y, weight)
        assert_same_as(oracle, model.coef_[0], model.intercept_[0])
        probability = oracle.predict_proba(rows.X)
        assert_allclose(model.predict_proba(rows.X), probability, rtol=0, atol=1e-9)
        assert_array_equal(model.predict(rows.X), oracle.predict(rows.X))


@n_classes
@pytest.mark.parametrize("alpha", [0.0, 0.1, 10.0])
def test_separate_models_are_a_loop_over_logistic_regression(alpha, K):
    rows, weight, _ = weighted_rows(K)
    strength = alpha * np.array([1.0, 2.0, 0.5, 3.0])
    model = fit_long(SharedL2Classifier(strength), rows, weight, tol=1e-11)
    for t in range(4):
        own = rows.codes == t
        oracle = logistic(strength[t]).fit(rows.X[own], rows.y[own], weight[own])
        assert_same_as(oracle, model.coef_[t], model.intercept_[t], atol=1e-8)


@pytest.mark.parametrize("solver", ["direct", "cg"])
def test_two_classes_of_three_are_binary_tasks(solver):
    """A softmax of two classes puts alpha on the halves of the log-odds: alpha/2 on the whole."""
    pairs, alpha = np.array([(0, 1), (1, 2), (0, 2)]), 1.5
    rows = make_rows(sizes=(40, 30, 50))
    y = pairs[rows.codes, rows.y]
    model = SharedL2Classifier(alpha, task_column=0, task_classes="seen", solver=solver, tol=1e-11)
    model.fit(rows.long, y)
    for t, (a, b) in enumerate(pairs):
        own = rows.codes == t
        oracle = logistic(alpha / 2).fit(rows.X[own], y[own])
        difference = model.coef_[t, b] - model.coef_[t, a]
        assert_same_as(oracle, difference, model.intercept_[t, b] - model.intercept_[t, a])
        assert_allclose(model.coef_[t, [3 - a - b]], 0, atol=1e-12)
        expected = oracle.predict_proba(rows.X[own])
        proba = model.predict_proba(rows.long[own])
        assert_allclose(proba[:, [a, b]], expected, rtol=0, atol=1e-9)
        assert_array_equal(proba[:, 3 - a - b], 0)


@n_classes
@pytest.mark.parametrize("per_task", [1.0, (0.3, 1.0, 4.0, 20.0)], ids=["one", "per task"])
@pytest.mark.parametrize(("alpha", "alpha_shared"), [(0.1, 3.0), (1.0, 1e-3), (20.0, 0.5)])
def test_mean_regularized_is_logistic_regression_on_augmented_features(
    alpha, alpha_shared, per_task, K
):
    rows, weight, _ = weighted_rows(K)
    n, T, d = len(rows.y), 4, 3
    ratio = np.broadcast_to(per_task, T)
    model = MeanRegularizedClassifier(
        alpha * ratio, alpha_shared=alpha_shared, fit_intercept=False, tol=1e-12
    )
    model = fit_long(model, rows, weight)
    own = np.einsum("it,ij->itj", (np.eye(T) / np.sqrt(ratio))[rows.codes], rows.X)
    common = np.sqrt(alpha / alpha_shared)
    augmented = np.hstack([common * rows.X, own.reshape(n, -1)])
    coef = logistic(alpha, fit_intercept=False).fit(augmented, rows.y, weight).coef_
    w = common * coef[:, :d]
    V = np.moveaxis(coef[:, d:].reshape(-1, T, d), 0, 1) / np.sqrt(ratio)[:, None, None]
    # the oracle's own rounding: its columns differ by a factor of ``common``
    atol = 1e-7 if alpha_shared == 1e-3 else 1e-9
    assert_allclose(model.shared_coef_.reshape(w.shape), w, rtol=0, atol=atol)
    assert_allclose(model.coef_.reshape(V.shape), w + V, rtol=0, atol=atol)
    assert_array_equal(model.intercept_, 0)


# Convex optimization ----------------------------------------------------------------------------


def convex_optimum(model, rows, weight):
    """Return the least value of the documented objective that cvxpy finds."""
    cp = pytest.importorskip("cvxpy")
    reference = Reference(model, rows, weight)  # for its sizes, the mean and the classes
    T, K, d = reference.T, reference.K, reference.d
    W, b = [cp.Variable((K, d)) for _ in range(T)], cp.Variable((T, K))
    w, c = cp.Variable((K, d)), cp.Variable(K)
    F, constraints = 0, []

    def draw(strength, difference):
        nonlocal F
        if np.isinf(strength):
            constraints.append(difference == 0)
        else:
            F += 0.5 * strength * cp.sum_squares(difference)

    alpha, alpha_shared, alpha_intercept = strengths(model, T)
    draw(alpha_shared, w)
    for t in range(T):
        draw(alpha[t], W[t] - w)
        if model.fit_intercept:
            draw(alpha_intercept, b[t] + W[t] @ reference.mean - c)
        else:
            constraints.append(b[t] == 0)
        own = rows.codes == t
        s, y, n = weight[own], reference.y[own], own.sum()
        z = rows.X[own] @ W[t].T + np.ones((n, 1)) @ cp.reshape(b[t], (1, K), order="C")
        if K == 1:
            F += s @ cp.logistic(cp.multiply(1 - 2 * y, z[:, 0]))
            continue
        present = np.unique(y) if model.task_classes == "seen" else np.arange(K)
        F += s @ cp.log_sum_exp(z[:, present], axis=1)
        F -= cp.sum(cp.multiply(s[:, None] * np.eye(K)[y], z))
    tight = dict.fromkeys(["tol_gap_abs", "tol_gap_rel", "tol_feas"], 1e-9)
    problem = cp.Problem(cp.Minimize(F), constraints)
    return problem.solve(solver="CLARABEL", **tight)


@all_models
@n_classes
def test_cvxpy_finds_no_better(model, K):
    rows, sample_weight, weight = weighted_rows(K, sizes=(16, 9, 22, 12))
    class_weight = {k: CLASS_WEIGHT[k] for k in range(K)}
    fitted = fit_long(
        model, rows, sample_weight, task_weight=TASK_WEIGHT, class_weight=class_weight
    )
    weight = weight * np.array([CLASS_WEIGHT[k] for k in rows.y.tolist()])
    assert_optimal(fitted, rows, weight)
    least = convex_optimum(fitted, rows, weight)
    assert_allclose(fitted.objective_, least, rtol=1e-7)
    assert fitted.objective_ <= least * (1 + 1e-8)


@pytest.mark.parametrize("name", ["pooled-random-intercepts", "separate", "mean-array", "mean"])
def test_cvxpy_finds_no_better_in_the_wide_form(name):
    X, Y = make_indicator(n=18)
    sample_weight = np.random.default_rng(2).uniform(0.2, 3.0, len(X))
    a, class_weight = np.array(list(TASK_WEIGHT.values())), {0: 2.0, 1: 0.6}
    model = clone(CLASSIFIERS[name]).set_params(task_weight=a, class_weight=class_weight)
    model.fit(X, Y, sample_weight)
    rows, weight = melt(X, Y, sample_weight)
    weight = weight * a[rows.codes] * np.where(rows.y == 1, 0.6, 2.0)
    assert_optimal(model, rows, weight)
    assert_allclose(model.objective_, convex_optimum(model, rows, weight), rtol=1e-7)


@pytest.mark.parametrize("name", ["pooled", "pooled-free-levels", "separate", "mean", "mean-dict"])
@pytest.mark.parametrize("solver", ["direct", "cg"])
def test_cvxpy_finds_no_better_where_tasks_lack_classes(name, solver):
    rows, weight = partial_rows()
    params = {"task_classes": "seen", "solver": solver}
    model = fit_long(CLASSIFIERS[name], rows, weight, **params)
    assert_optimal(model, rows, weight)
    least = convex_optimum(model, rows, weight)
    assert_allclose(model.objective_, least, rtol=1e-7)
    union = fit_long(CLASSIFIERS[name], rows, weight).objective_
    if model.get_params().get("alpha_intercept", 0.0) > 0:
        assert least < 0.999 * union
    elif name == "pooled-free-levels":  # levels alone make a class as good as barred
        assert_allclose(union, least, rtol=1e-7)


# Optimality -------------------------------------------------------------------------------------


@all_models
@n_classes
@pytest.mark.parametrize("solver", ["direct", "cg"])
def test_gradient_is_as_small_as_certified(model, K, solver):
    rows, sample_weight, weight = weighted_rows(K, seed=3)
    params = {"task_weight": TASK_WEIGHT, "solver": solver}
    assert_optimal(fit_long(model, rows, sample_weight, **params), rows, weight)


@n_classes
@pytest.mark.parametrize("balance", ["class_weight", "task_weight", "both"])
def test_balanced_weights_are_those_of_their_formula(K, balance):
    rows, s, _ = weighted_rows(K)
    params, weight, E = {}, s, np.eye(4)[rows.codes]
    if balance != "task_weight":  # N / (K n_k)
        params["class_weight"] = "balanced"
        weight = weight * (s.sum() / (K * np.bincount(rows.y, s)))[rows.y]
    if balance != "class_weight":  # N / (T n_t)
        params["task_weight"] = "balanced"
        weight = weight * (weight.sum() / (4 * weight @ E))[rows.codes]
    for model in (CLASSIFIERS["mean"], CLASSIFIERS["pooled-random-intercepts"]):
        assert_optimal(fit_long(model, rows, s, **params), rows, weight)


@n_classes
def test_the_reference_differentiates_its_value(K):
    """By differences of fourth order, along random directions."""
    rows, sample_weight, weight = weighted_rows(K)
    model = fit_long(MeanRegularizedClassifier(DICT, alpha_shared=0.7), rows, sample_weight)
    reference, rng, h = Reference(model, rows, weight), np.random.default_rng(0), 1e-3
    W, level, w, c = (part + rng.normal(size=part.shape) for part in reference.parts(model))
    for _ in range(4):
        dV, dq, dw, dc = (rng.normal(size=part.shape) for part in (W, level, w, c))
        step = dw + dV, dc + dq, dw, dc

        def along(x, step=step):
            point = (a + x * b for a, b in zip((W, level, w, c), step, strict=True))
            return reference.value(*point)

        slope = 8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))
        parts = zip(reference.gradient(W, level, w, c), (dV, dq, dw, dc), strict=True)
        assert_allclose(slope / (12 * h), sum(np.sum(g * s) for g, s in parts), rtol=1e-9)


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
        assert_optimal(fit_long(CLASSIFIERS[name], rows, sample_weight, **params), rows, weight)


@pytest.mark.parametrize("solver", ["direct", "cg"])
@pytest.mark.parametrize("d", [3, 100])
def test_free_levels_of_a_class_that_a_task_lacks(d, solver):
    """No optimum is reached, but a point that is certified: all other levels are at theirs."""
    rows, weight, _ = weighted_rows(3, sizes=(25, 28, 20, 9), d=d)
    kept = (rows.y != 1) | (rows.codes != 3)
    rows, weight = Rows(rows.X[kept], rows.y[kept], rows.codes[kept]), weight[kept]
    model = fit_long(SharedL2Classifier(ARRAY), rows, weight, solver=solver)
    assert_optimal(model, rows, weight)
    seen = clone(model).set_params(task_classes="seen").fit(rows.long, rows.y, weight)
    assert_allclose(model.objective_, seen.objective_, rtol=1e-7)
    assert_allclose(model.coef_[:, [0, 2]], seen.coef_[:, [0, 2]], rtol=0, atol=1e-5)
    assert model.predict_proba(rows.long[rows.codes == 3])[:, 1].max() < 1e-5


# Losses -----------------------------------------------------------------------------------------

LOSSES = {
    "squared": (SquaredLoss(), lambda rng, n: rng.normal(size=n)),
    "logistic": (LogisticLoss(), lambda rng, n: rng.choice([-1.0, 1.0], n)),
    "multinomial": (MultinomialLoss(4), lambda rng, n: rng.integers(0, 4, n)),
}


@pytest.mark.parametrize(("loss", "targets"), LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("scale", [0.0, 1.0, 8.0])
def test_derivatives_of_losses(loss, targets, scale):
    rng, n, h = np.random.default_rng(0), 60, 1e-3
    y, z = targets(rng, n), scale * rng.normal(size=(loss.n_outputs, n))
    K = loss.n_outputs
    if K > 1:  # half of the rows are barred from a class
        z[(y[::2] + 1) % 4, np.arange(0, n, 2)] = -np.inf
    value, derivative = loss.evaluate(y, z)
    assert value.shape == (n,)
    assert derivative.shape == z.shape

    def slope(function, step):
        near, far = (function(z + x * step) - function(z - x * step) for x in (h, 2 * h))
        return (8 * near - far) / (12 * h)

    step = rng.normal(size=z.shape)
    along = (derivative * step).sum(axis=0)
    assert_allclose(along, slope(lambda z: loss.evaluate(y, z)[0], step), rtol=0, atol=1e-9)
    product = loss.curvature_product(y, derivative, step)
    change = slope(lambda z: loss.evaluate(y, z)[1], step)
    assert_allclose(product, change, rtol=0, atol=1e-9)
    curvature = loss.curvature(derivative)
    assert curvature.max() <= loss.curvature_bound * (1 + 1e-15)
    for k in range(K):
        unit = np.eye(K)[:, [k]] * np.ones(n)
        diagonal = (unit * loss.curvature_product(y, derivative, unit)).sum(axis=0)
        assert_allclose(curvature[k], diagonal, rtol=0, atol=1e-15)


EXTREMES = [-np.inf, -800.0, -700.0, -40.0, -36.5, -1.0, -1e-9, 0.0, 3.0, 37.0, 700.0, 800.0]


def exact_softmax(z, own):
    """The multinomial loss and derivative at z of one row, in 360 digits."""
    getcontext().prec = 360
    e = [Decimal(x).exp() for x in z]
    total, others = sum(e), sum(x for k, x in enumerate(e) if k != own)
    derivative = [x / total for x in e]
    derivative[own] = -others / total
    return float(total.ln() - Decimal(z[own])), [float(x) for x in derivative]


def test_logistic_loss_keeps_its_digits():
    y, z = np.repeat([-1.0, 1.0], len(EXTREMES) - 1), np.tile(EXTREMES[1:], 2)
    value, (derivative,) = LogisticLoss().evaluate(y, z[None])
    for i, margin in enumerate((y * z).tolist()):
        expected, slope = exact_softmax([margin, 0.0], 0)
        assert_allclose(value[i], expected, rtol=1e-14, atol=5e-324)
        assert_allclose(derivative[i], y[i] * slope[0], rtol=1e-14, atol=5e-324)
    value, derivative = LogisticLoss().evaluate(
        np.array([1.0, -1.0]), np.array([[np.inf, -np.inf]])
    )
    assert_array_equal(value, 0)
    assert_array_equal(derivative, 0)  # a task of one class, barred from the other


def test_multinomial_loss_keeps_its_digits():
    a, b, own = np.meshgrid(EXTREMES, EXTREMES, [0, 2])
    z, y = np.array([a.ravel(), b.ravel(), np.full(a.size, 1.5)]), own.ravel()
    kept = np.isfinite(z[y, np.arange(len(y))])
    z, y = z[:, kept], y[kept]
    loss = MultinomialLoss(3)
    value, derivative = loss.evaluate(y, z)
    curved = loss.curvature(derivative), loss.curvature_product(y, derivative, np.ones_like(z))
    assert all(np.isfinite(part).all() for part in (value, derivative, *curved))
    assert_array_equal(derivative[np.isinf(z)], 0)
    for i in range(len(y)):
        expected, slope = exact_softmax(z[:, i].tolist(), y[i])
        assert_allclose(value[i], expected, rtol=1e-12, atol=1e-300)
        assert_allclose(derivative[:, i], slope, rtol=1e-12, atol=1e-300)
