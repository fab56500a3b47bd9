"""``adapt`` of a classifier: tasks fitted given the center."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logsumexp, softmax
from sklearn.linear_model import LogisticRegression

from skmtl import MeanRegularizedClassifier
from tests._classification import CLASSIFIERS, make_rows, partial_rows, weighted_rows
from tests._problems import TASK_WEIGHT, fit_long

MODELS = {name: model for name, model in CLASSIFIERS.items() if name.startswith("mean")}
n_classes = pytest.mark.parametrize("K", [2, 3], ids=["binary", "multinomial"])
solvers = pytest.mark.parametrize("solver", ["direct", "cg"])
FIXED = ("shared_coef_", "shared_intercept_", "classes_")


def new_rows(model, K, n, label=9, seed=1, d=3):
    """Rows of a task that the model has not seen: (features behind the label, features, y)."""
    new = make_rows(K, sizes=(n,), d=d, seed=seed)
    return np.column_stack([np.full(n, label), new.X]), new.X, new.y


def solve(Z, y, weight, w, c, alpha, alpha_intercept, present=None):
    """Damped Newton for one task given its center w (K, d), c (K,), K = 1 for two classes.

    Returns coefficients and levels at features Z about the mean; of the classes that are present.
    """
    (n, d), free = Z.shape, np.isfinite(alpha_intercept)
    present = np.arange(len(c)) if present is None else np.asarray(present)
    A = np.column_stack([Z, np.ones(n)])[:, : d + free]
    P = np.append(np.full(d, alpha), alpha_intercept)[: d + free]
    k, base = len(present), Z @ w[present].T + c[present]
    target = y[:, None] == (present if k > 1 else 1)

    def value(theta):
        z = base + A @ theta.T
        top = np.logaddexp(0, z[:, 0]) if k == 1 else logsumexp(z, axis=1)
        return weight @ (top - (target * z).sum(axis=1)) + 0.5 * np.sum(P * theta**2)

    theta = np.zeros((k, len(P)))
    for _ in range(100):
        z = base + A @ theta.T
        p = expit(z) if k == 1 else softmax(z, axis=1)
        gradient = (weight[:, None] * (p - target)).T @ A + P * theta
        H = p[:, :, None] * (np.eye(k) - p[:, None])
        J = np.einsum("kl,ia->ikla", np.eye(k), A).reshape(n, k, -1)
        hessian = np.einsum("ikx,ikl,ily->xy", J, weight[:, None, None] * H, J, optimize=True)
        hessian += np.diag(np.tile(P, k))
        if k > 1:  # what adds the same to all classes stays as it is
            hessian += np.kron(np.ones((k, k)), np.eye(len(P)))
        step = np.linalg.solve(hessian, -gradient.ravel()).reshape(theta.shape)
        share = 1.0
        while value(theta + share * step) > value(theta) + 1e-12 and share > 1e-6:
            share /= 2
        theta = theta + share * step
        if np.abs(step).max() < 1e-10:  # squared by the next
            break
    found = np.zeros((k, d + 1))
    found[:, : d + free] = theta
    return w[present] + found[:, :d], c[present] + found[:, d]


def center_of(model, rows, weight, K):
    """Return the mean of the features, and the center's coefficients and level there."""
    mean = np.average(rows.X, axis=0, weights=weight) * model.fit_intercept
    w = model.shared_coef_.reshape(-1 if K > 2 else 1, rows.X.shape[1])
    return mean, w, np.reshape(model.shared_intercept_, len(w)) + w @ mean


@pytest.mark.parametrize("task_weight", [None, "balanced", TASK_WEIGHT], ids=["1", "bal", "dict"])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@n_classes
def test_own_rows_give_the_same_task_again(model, K, task_weight):
    rows, weight, _ = weighted_rows(K)
    alpha = model.alpha
    if isinstance(alpha, list):
        alpha = dict(enumerate(alpha))  # adapt sees some of the tasks only
    params = {"alpha": alpha, "task_weight": task_weight, "class_weight": "balanced"}
    model = fit_long(model, rows, weight, tol=1e-11, **params)
    for tasks in ([1], [0, 3]):
        own = np.isin(rows.codes, tasks)
        adapted = model.adapt(rows.long[own], rows.y[own], weight[own])
        assert_allclose(adapted.coef_, model.coef_, rtol=0, atol=1e-8)
        assert_allclose(adapted.intercept_, model.intercept_, rtol=0, atol=1e-8)
        for name in ("task_counts_", "task_classes_", "tasks_", *FIXED):
            assert_array_equal(getattr(adapted, name), getattr(model, name))


@n_classes
@solvers
@pytest.mark.parametrize("fit_intercept", [True, False], ids=["intercept", "none"])
@pytest.mark.parametrize("alpha_intercept", [0.0, 1.5, np.inf])
def test_a_new_task_is_logistic_regression_to_the_center(K, solver, fit_intercept, alpha_intercept):
    rows, weight, _ = weighted_rows(K)
    model = fit_long(
        MeanRegularizedClassifier({0: 1, 1: 2, 2: 3, 3: 4, 9: 2.5}, tol=1e-11, solver=solver),
        rows,
        weight,
        alpha_intercept=alpha_intercept,
        fit_intercept=fit_intercept,
        class_weight={k: 1.0 + k for k in range(K)},
        task_weight={0: 1, 1: 1, 2: 1, 3: 1, 9: 1.7},
    )
    coef, intercept = model.coef_.copy(), model.intercept_.copy()
    X, features, y = new_rows(model, K, 20)
    s = np.random.default_rng(0).uniform(0.5, 2, 20)
    adapted = model.adapt(X, y, s)
    mean, w, c = center_of(model, rows, weight * (1.0 + rows.y), K)
    drawn = alpha_intercept if fit_intercept else np.inf
    W, level = solve(features - mean, y, 1.7 * s * (1.0 + y), w, c, 2.5, drawn)
    assert_allclose(adapted.coef_[-1].reshape(W.shape), W, rtol=0, atol=1e-8)
    expected = level - W @ mean
    found = adapted.intercept_[-1].reshape(len(level))
    if alpha_intercept == 0 and K > 2:  # free levels leave a constant open
        expected, found = expected - expected.mean(), found - found.mean()
    assert_allclose(found, expected, rtol=0, atol=1e-8)
    z = features @ W.T + (level - W @ mean)
    proba = softmax(z, axis=1) if K > 2 else np.column_stack([expit(-z), expit(z)])
    assert_allclose(adapted.predict_proba(X), proba, rtol=0, atol=1e-8)
    assert adapted.optimality_ <= 1e-11
    assert_array_equal(adapted.tasks_, [0, 1, 2, 3, 9])
    assert_array_equal(adapted.task_counts_, [*model.task_counts_, 20])
    assert_array_equal(adapted.task_classes_[-1], np.isin(range(K), y))
    # The others, the center and the estimator itself stay as they were.
    assert_array_equal(adapted.coef_[:-1], coef)
    assert_array_equal(adapted.intercept_[:-1], intercept)
    for name in FIXED:
        assert_array_equal(getattr(adapted, name), getattr(model, name))
    assert_array_equal(model.coef_, coef)
    assert_array_equal(model.tasks_, [0, 1, 2, 3])
    assert_array_equal(model.predict_proba(rows.long), adapted.predict_proba(rows.long))


def test_around_a_center_at_zero_it_is_logistic_regression():
    rows, _, _ = weighted_rows()
    model = fit_long(
        MeanRegularizedClassifier(2.0, alpha_shared=np.inf, alpha_intercept=0.0, tol=1e-11), rows
    )
    X, features, y = new_rows(model, 2, 40)
    adapted = model.adapt(X, y)
    oracle = LogisticRegression(C=0.5, solver="newton-cholesky", tol=1e-13).fit(features, y)
    assert_allclose(adapted.coef_[-1], oracle.coef_[0], rtol=0, atol=1e-9)
    assert_allclose(adapted.intercept_[-1], oracle.intercept_[0], rtol=0, atol=1e-9)


@n_classes
@solvers
@pytest.mark.parametrize(("n", "d"), [(2, 6), (5, 6), (9, 30)])
@pytest.mark.parametrize("alpha_intercept", [1.0, np.inf])
def test_fewer_rows_than_features(K, solver, n, d, alpha_intercept):
    """Also where the center lies outside of what the new rows span."""
    rows = make_rows(K, sizes=(60, 40), d=d)
    model = MeanRegularizedClassifier(2.0, alpha_intercept=alpha_intercept, tol=1e-11)
    model = fit_long(model, rows, solver=solver)
    X, features, y = new_rows(model, K, max(n, K), d=d)
    adapted = model.adapt(X, y)
    mean, w, c = center_of(model, rows, None, K)
    W, level = solve(features - mean, y, np.ones(len(y)), w, c, 2.0, alpha_intercept)
    assert_allclose(adapted.coef_[-1].reshape(W.shape), W, rtol=0, atol=1e-8)
    expected = level - W @ mean
    assert_allclose(adapted.intercept_[-1].reshape(len(level)), expected, rtol=0, atol=1e-8)
    assert_array_equal(adapted.shared_coef_, model.shared_coef_)


@solvers
@pytest.mark.parametrize("alpha_intercept", [0.5, np.inf])
def test_a_new_task_with_some_of_the_classes(solver, alpha_intercept):
    """With task_classes="seen" they are all it has, else the center tells of the other."""
    rows, weight = partial_rows()
    model = MeanRegularizedClassifier(1.5, alpha_intercept=alpha_intercept, tol=1e-11)
    X, features, y = new_rows(model, 3, 30)
    y = np.where(y == 1, 2, y)
    for task_classes, present in (("seen", [0, 2]), ("union", [0, 1, 2])):
        fitted = fit_long(model, rows, weight, solver=solver, task_classes=task_classes)
        adapted = fitted.adapt(X, y)
        mean, w, c = center_of(fitted, rows, weight, 3)
        W, level = solve(features - mean, y, np.ones(30), w, c, 1.5, alpha_intercept, present)
        proba = adapted.predict_proba(X)
        expected = softmax(features @ W.T + level - W @ mean, axis=1)
        assert_allclose(proba[:, present], expected, rtol=0, atol=1e-8)
        assert_array_equal(proba[:, 1] == 0, task_classes == "seen")
        # A softmax keeps the sum over its classes at that of the center.
        assert_allclose(adapted.coef_[-1][present], W, rtol=0, atol=1e-8)
        assert_array_equal(adapted.task_classes_[-1], [True, False, True])
        assert_array_equal(adapted.task_classes_[:-1], fitted.task_classes_)
        assert_array_equal(adapted.predict_proba(rows.long), fitted.predict_proba(rows.long))


@n_classes
@pytest.mark.parametrize("alpha_intercept", [0.0, 1.0])
@pytest.mark.parametrize("task_classes", ["union", "seen"])
def test_a_new_task_of_one_class_warns(K, alpha_intercept, task_classes):
    rows = make_rows(K)
    params = {"alpha_intercept": alpha_intercept, "task_classes": task_classes, "tol": 1e-10}
    model = fit_long(MeanRegularizedClassifier(2.0, **params), rows)
    X, features, _ = new_rows(model, K, 12)
    with pytest.warns(UserWarning, match="Only one class was seen in task 9") as caught:
        adapted = model.adapt(X, np.ones(12, dtype=int))
    assert len(caught) == 1
    assert np.isfinite(adapted.coef_).all()
    assert np.isfinite(adapted.intercept_).all()
    proba = adapted.predict_proba(X)
    if task_classes == "seen":
        assert_array_equal(proba, np.eye(K)[np.ones(12, dtype=int)])
    elif alpha_intercept == 0:
        assert (proba[:, 1] > 0.999).all()
    else:
        mean, w, c = center_of(model, rows, None, K)
        W, level = solve(features - mean, np.ones(12), np.ones(12), w, c, 2.0, 1.0)
        assert_allclose(adapted.coef_[-1].reshape(W.shape), W, rtol=0, atol=1e-7)
        found = adapted.intercept_[-1].reshape(len(level))
        assert_allclose(found, level - W @ mean, rtol=0, atol=1e-7)


def test_no_warning_where_a_task_has_nothing_of_its_own():
    rows = make_rows()
    model = fit_long(MeanRegularizedClassifier(np.inf, alpha_intercept=np.inf), rows)
    X, features, _ = new_rows(model, 2, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adapted = model.adapt(X, np.zeros(4, dtype=int))
    assert_allclose(adapted.coef_[-1], model.shared_coef_, rtol=1e-14)
    z = features @ model.shared_coef_ + model.shared_intercept_
    assert_allclose(adapted.decision_function(X), z, rtol=1e-12)


@n_classes
def test_adapt_step_by_step_is_adapt_at_once(K):
    rows, new = make_rows(K), make_rows(K, sizes=(12, 9), seed=1)
    model = fit_long(MeanRegularizedClassifier(2.0, tol=1e-11), rows)
    X = np.column_stack([new.codes + 10, new.X])
    at_once = model.adapt(X, new.y)
    first = new.codes == 1
    steps = model.adapt(X[first], new.y[first]).adapt(X[~first], new.y[~first])
    assert_array_equal(steps.tasks_, at_once.tasks_)
    assert_allclose(steps.coef_, at_once.coef_, rtol=0, atol=1e-9)
    assert_allclose(steps.intercept_, at_once.intercept_, rtol=0, atol=1e-9)
    assert_array_equal(steps.task_classes_, at_once.task_classes_)


def test_class_labels_are_those_of_fit():
    rows, names = make_rows(3), np.array(["z", "a", "m"])
    plain = fit_long(MeanRegularizedClassifier(2.0, tol=1e-11), rows)
    named = MeanRegularizedClassifier(2.0, tol=1e-11, task_column=0)
    named.fit(rows.long, names[rows.y])
    X, _, y = new_rows(plain, 3, 15)
    y = np.where(y == 0, 1, y)  # of which the new rows lack the first
    expected = plain.adapt(X, y).predict_proba(X)[:, [1, 2, 0]]
    adapted = named.adapt(X, names[y])
    assert_array_equal(adapted.classes_, ["a", "m", "z"])
    assert_allclose(adapted.predict_proba(X), expected, rtol=0, atol=1e-9)
    assert_array_equal(adapted.task_classes_[-1], [True, True, False])


def test_what_adapt_refuses():
    rows = make_rows()
    model = fit_long(MeanRegularizedClassifier(), rows)
    new = rows.long + [9, 0, 0, 0]
    with pytest.raises(ValueError, match=r"classes not seen in fit: 2 \(fitted classes: 0, 1\)"):
        model.adapt(new, rows.y + 1)
    with pytest.raises(ValueError, match=r"task_classes was 'union' .* Fit again"):
        fit_long(MeanRegularizedClassifier(), rows).set_params(task_classes="seen").adapt(
            new, rows.y
        )
    wide = MeanRegularizedClassifier().fit(rows.X, np.column_stack([rows.y, 1 - rows.y]))
    with pytest.raises(ValueError, match="fitted without a task_column"):
        wide.adapt(rows.X, rows.y)
