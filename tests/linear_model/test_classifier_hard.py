"""Classifiers on hard data: one class, one row, separable, imbalanced, badly scaled, disjoint."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from skmtl import MeanRegularizedClassifier, PooledClassifier, SharedL2Classifier

CLASSIFIERS = (PooledClassifier, SharedL2Classifier, MeanRegularizedClassifier)
every_classifier = pytest.mark.parametrize("estimator", CLASSIFIERS)
every_solver = pytest.mark.parametrize("solver", ["direct", "cg"])
one_class = pytest.mark.filterwarnings("ignore:Only one class was seen in task:UserWarning")


def draw(sizes=(40, 25, 60), d=2, n_classes=2, strength=1.0, seed=0):
    """Rows of tasks whose classes overlap: labels in front, and their class."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    X = rng.normal(size=(len(codes), d))
    W = strength * (
        rng.normal(size=(n_classes, d)) + 0.5 * rng.normal(size=(len(sizes), n_classes, d))
    )
    z = np.einsum("nd,nkd->nk", X, W[codes]) + rng.gumbel(size=(len(codes), n_classes))
    return np.column_stack([codes, X]), z.argmax(axis=1)


def plain(alpha, **params):
    params = {"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 10000} | params
    return LogisticRegression(C=1 / alpha, **params)


def messages_of(model, *data):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(*data)
    return [str(warning.message) for warning in caught]


# One class, one row -----------------------------------------------------------------------------


@every_solver
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_task_with_one_class_stays_near_the_center(n_classes, solver):
    X, y = draw((40, 8, 60, 30), n_classes=n_classes)
    y[X[:, 0] == 1] = 0
    model = MeanRegularizedClassifier(20.0, task_column=0, solver=solver)
    message = r"Only one class was seen in task 1: .*towards those of the shared model"
    with pytest.warns(UserWarning, match=message):
        model.fit(X, y)
    own = X[X[:, 0] == 1]
    p = model.predict_proba(own)
    assert (p > 1e-3).all()
    new = own.copy()
    new[:, 0] = 9
    center = model.set_params(handle_unknown="shared").predict_proba(new)
    assert (p[:, 0] > center[:, 0]).all()  # drawn to the class that was seen
    assert np.abs(p - center).max() < 0.45
    assert_array_equal(model.task_classes_.sum(axis=1), [n_classes, 1, n_classes, n_classes])
    closer = MeanRegularizedClassifier(2000.0, alpha_intercept=2000.0, task_column=0)
    messages_of(closer.set_params(handle_unknown="shared"), X, y)
    assert np.abs(closer.predict_proba(own) - closer.predict_proba(new)).max() < 0.01


@every_solver
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("size", [1, 8])
@pytest.mark.parametrize("seed", range(3))
def test_free_intercepts_of_one_class_are_named_and_finite(seed, size, n_classes, solver):
    X, y = draw((40, size, 120), n_classes=n_classes, seed=seed)
    y[X[:, 0] == 1] = 1
    model = SharedL2Classifier(task_column=0, solver=solver)
    messages = messages_of(model, X, y)
    assert len(messages) == 1, messages  # the only thing that is wrong
    assert "Only one class was seen in task 1: unpenalized intercepts set" in messages[0]
    assert "MeanRegularizedClassifier" in messages[0]
    assert model.optimality_ <= model.tol
    assert np.isfinite(model.coef_).all()
    assert np.abs(model.intercept_).max() < 100
    own = X[:, 0] == 1
    assert_allclose(model.predict_proba(X[own])[:, 1], 1, atol=1e-3)
    for t in (0, 2):
        rows = X[:, 0] == t
        p = plain(1.0).fit(X[rows, 1:], y[rows]).predict_proba(X[rows, 1:])
        assert_allclose(model.predict_proba(X[rows]), p, rtol=1e-6)


@every_classifier
def test_all_tasks_with_one_class_are_named(estimator):
    X, y = draw((30, 5, 1, 4, 30))
    X[:, 0] = np.array([10, 20, 30, 40, 50])[X[:, 0].astype(int)]
    for task, label in [(20, 0), (30, 1), (40, 1)]:
        y[X[:, 0] == task] = label
    messages = messages_of(estimator(task_column=0), X, y)
    if estimator is PooledClassifier:  # alpha_intercept=inf: tasks have nothing of their own
        assert messages == []
        messages = messages_of(estimator(alpha_intercept=1.0, task_column=0), X, y)
    assert len(messages) == 1, messages
    assert "Only one class was seen in tasks 20, 30, 40: " in messages[0]


@one_class
@every_solver
@pytest.mark.parametrize("n_classes", [2, 3])
def test_tasks_with_one_row(n_classes, solver):
    X, y = draw((1,) * 40, n_classes=n_classes)
    pooled = PooledClassifier(0.5, task_column=0, solver=solver).fit(X, y)
    p = plain(0.5).fit(X[:, 1:], y).predict_proba(X[:, 1:])
    assert_allclose(pooled.predict_proba(X), p, rtol=1e-6)
    model = MeanRegularizedClassifier(1e6, alpha_shared=0.5, alpha_intercept=1e6, task_column=0)
    assert_allclose(model.set_params(solver=solver).fit(X, y).predict_proba(X), p, rtol=1e-3)
    model.set_params(alpha=1.0, alpha_intercept=1.0).fit(X, y)
    assert (np.abs(model.predict_proba(X) - p) > 1e-2).any()
    assert model.optimality_ <= model.tol
    assert_array_equal(model.task_counts_, 1)


# Separable --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("quasi", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_separable_tasks_are_named(seed, quasi, n_classes):
    X, y = draw((60, 40, 70), d=1, n_classes=n_classes, seed=seed)
    own = X[:, 0] == 1
    cuts = [0.0, 1.0][: n_classes - 1]
    y[own] = np.searchsorted(cuts, X[own, 1])
    if quasi:  # classes share a point of the border
        at = np.flatnonzero(own)[:2]
        X[at, 1], y[at] = cuts[0], [0, 1]
    messages = messages_of(SharedL2Classifier(0.0, task_column=0), X, y)
    assert len(messages) == 1, messages
    assert "The features separate classes of task 1, and no penalty keeps" in messages[0]
    model = SharedL2Classifier(0.0, task_column=0)
    messages_of(model, X, y)
    assert np.isfinite(model.coef_).all()
    assert np.isfinite(model.intercept_).all()
    assert np.mean(model.predict(X[own]) == y[own]) >= 1 - (1 / own.sum() if quasi else 0)
    assert messages_of(SharedL2Classifier(1e-3, task_column=0), X, y) == []
    assert messages_of(MeanRegularizedClassifier(task_column=0), X, y) == []


@pytest.mark.parametrize("n_classes", [2, 3])
def test_separable_in_all_tasks_at_once(n_classes):
    X, y = draw((20, 30), d=2, n_classes=n_classes)
    y = np.searchsorted([0.0, 1.0][: n_classes - 1], X[:, 1] + 0.1 * X[:, 2])
    for model in [PooledClassifier(0.0), MeanRegularizedClassifier(0.0, alpha_intercept=0.0)]:
        messages = messages_of(model.set_params(task_column=0), X, y)
        assert len(messages) == 1, messages
        assert "The features separate classes of tasks 0, 1, and no penalty" in messages[0]
        assert np.isfinite(model.coef_).all()
        assert model.score(X, y) == 1


@pytest.mark.parametrize("n_classes", [2, 3])
def test_maximum_likelihood_of_overlapping_classes_does_not_warn(n_classes):
    for seed in range(25):
        X, y = draw((80, 120), d=2, n_classes=n_classes, seed=seed)
        model = SharedL2Classifier(0.0, task_column=0)
        assert messages_of(model, X, y) == [], seed
        if seed < 3:
            rows = X[:, 0] == 0
            best = plain(1e-12).fit(X[rows, 1:], y[rows]).predict_proba(X[rows, 1:])
            assert_allclose(model.predict_proba(X[rows]), best, rtol=1e-5)


# Numbers of very different sizes ----------------------------------------------------------------


@every_solver
@pytest.mark.parametrize("alpha", [1e-3, 1.0])
def test_one_in_a_thousand(alpha, solver):
    rng = np.random.default_rng(0)
    X = np.column_stack([np.arange(6000) % 2, rng.normal(size=(6000, 3))])
    y = np.zeros(6000, dtype=int)
    rare = rng.permutation(6000)[:6]
    y[rare] = 1
    X[rare, 1] += 1.5
    X[rare[:2], 0], X[rare[2:], 0] = 0, 1
    pooled = PooledClassifier(alpha, task_column=0, solver=solver).fit(X, y)
    expected = plain(alpha).fit(X[:, 1:], y).predict_proba(X[:, 1:])
    assert_allclose(pooled.predict_proba(X), expected, rtol=1e-6, atol=1e-9)
    model = SharedL2Classifier(alpha, task_column=0, solver=solver).fit(X, y)
    for t in range(2):
        rows = X[:, 0] == t
        expected = plain(alpha).fit(X[rows, 1:], y[rows]).predict_proba(X[rows, 1:])
        assert_allclose(model.predict_proba(X[rows]), expected, rtol=1e-6, atol=1e-9)
        assert_allclose(model.predict_proba(X[rows])[:, 1].sum(), y[rows].sum(), rtol=1e-6)


@every_classifier
@pytest.mark.parametrize("n_classes", [2, 3])
def test_offsets_change_nothing(estimator, n_classes):
    X, y = draw(n_classes=n_classes)
    X[:, 1:] = np.round(X[:, 1:] * 64) / 64  # exact beside 1e8
    model = estimator(0.5, task_column=0)
    expected = model.fit(X, y).predict_proba(X)
    shifted = X + [0, 1e8, -3e7]
    assert_allclose(model.fit(shifted, y).predict_proba(shifted), expected, rtol=1e-6)
    assert model.optimality_ <= model.tol


@every_classifier
@every_solver
def test_scales_of_features(estimator, solver):
    """Without a penalty, units are a matter of taste; with one, all stays finite and solved."""
    X, y = draw((60, 80), d=4)
    scaled = X * [1, 1e-8, 1e-3, 1e4, 1e8]
    model = estimator(1.0, task_column=0, solver=solver)
    assert np.isfinite(model.fit(scaled, y).predict_proba(scaled)).all()
    assert model.optimality_ <= model.tol
    if solver == "direct":
        free = estimator(0.0, task_column=0)
        expected = free.fit(X, y).predict_proba(X)
        assert_allclose(free.fit(scaled, y).predict_proba(scaled), expected, rtol=1e-6)


@every_classifier
@every_solver
@pytest.mark.parametrize("n_classes", [2, 3])
def test_constant_and_duplicated_columns(estimator, solver, n_classes):
    X, y = draw(n_classes=n_classes)
    model = estimator(1.0, task_column=0, solver=solver)
    expected = model.fit(X, y).predict_proba(X)
    constant = np.column_stack([X, np.full(len(X), 7.1)])
    assert_allclose(model.fit(constant, y).predict_proba(constant), expected, rtol=1e-6)
    assert_allclose(model.coef_[..., -1], 0, atol=1e-12)
    # Two copies share the work: as one column of sqrt(2) times the size.
    twice = np.column_stack([X, X[:, 1]])
    found = model.fit(twice, y).predict_proba(twice)
    assert_allclose(model.coef_[..., 0], model.coef_[..., -1], atol=1e-7)
    larger = X * [1, np.sqrt(2), 1]
    assert_allclose(found, model.fit(larger, y).predict_proba(larger), rtol=1e-6)


@every_classifier
@every_solver
@pytest.mark.parametrize("n_classes", [2, 3])
def test_rows_far_out(estimator, solver, n_classes):
    # The rows fill the units of the certificate: to agree with scikit-learn it takes more than tol.
    params = {"max_iter": 20_000, "tol": 1e-10 if estimator is PooledClassifier else 1e-8}
    X, y = draw(n_classes=n_classes)
    X[3, 1:] = [1e6, -2e6]
    X[7, 2] = -5e5
    for alpha in (1e-3, 1.0, 1e3):
        model = estimator(alpha, task_column=0, solver=solver, **params)
        assert messages_of(model, X, y) == [], alpha
        assert model.optimality_ <= model.tol
        assert np.isfinite(model.predict_log_proba(X)).all()
    if estimator is PooledClassifier:
        p = plain(1e3).fit(X[:, 1:], y).predict_proba(X[:, 1:])
        assert_allclose(model.predict_proba(X), p, rtol=1e-5, atol=1e-8)


@every_classifier
@every_solver
@pytest.mark.parametrize("n_classes", [2, 4])
def test_twelve_decades_of_alpha(estimator, solver, n_classes):
    X, y = draw((60, 5, 30), d=4, n_classes=n_classes, seed=3)
    y[np.flatnonzero(X[:, 0] == 1)[:2]] = [0, 1]  # not one class
    last = 0.0
    for alpha in 10.0 ** np.arange(-6, 7):
        model = estimator(alpha, task_column=0, solver=solver)
        assert messages_of(model, X, y) == [], alpha
        assert model.optimality_ <= model.tol
        assert model.objective_ >= last * (1 - 1e-12)  # F grows with alpha
        last = model.objective_
        if estimator is PooledClassifier and 1e-4 <= alpha <= 1e4:
            p = plain(alpha).fit(X[:, 1:], y).predict_proba(X[:, 1:])
            assert_allclose(model.predict_proba(X), p, rtol=1e-5, atol=1e-8)


# Tasks with classes of their own ----------------------------------------------------------------


def two_halves(low, high):
    """Digits: those of ``low`` in task 0, those of ``high`` in task 1."""
    X, y = load_digits(return_X_y=True)
    X = X[:500, 10:50:2] / 16
    y = y[:500]
    rows = [np.flatnonzero(np.isin(y, part))[s::2] for s, part in enumerate([low, high])]
    task = np.repeat([0, 1], [len(part) for part in rows])
    rows = np.concatenate(rows)
    return np.column_stack([task, X[rows]]), y[rows]


@every_solver
@pytest.mark.parametrize("sets", [((0, 1, 2), (5, 6, 7)), ((0, 1, 2), (1, 2, 3, 4))], ids=str)
@pytest.mark.parametrize(
    "model",
    [
        SharedL2Classifier(0.7),
        MeanRegularizedClassifier(0.7, alpha_shared=np.inf, alpha_intercept=0),
    ],
    ids=["SharedL2", "no center"],
)
def test_separate_models_of_the_classes_seen(model, sets, solver):
    X, y = two_halves(*sets)
    model.set_params(task_column=0, task_classes="seen", solver=solver)
    p, log_p = model.fit(X, y).predict_proba(X), model.predict_log_proba(X)
    assert_array_equal(model.classes_, np.union1d(*sets))
    assert_allclose(p.sum(axis=1), 1, atol=1e-14)
    for t, classes in enumerate(sets):
        rows, columns = X[:, 0] == t, np.isin(model.classes_, classes)
        assert_array_equal(model.task_classes_[t], columns)
        assert_array_equal(p[rows][:, ~columns], 0)
        assert_array_equal(log_p[rows][:, ~columns], -np.inf)
        expected = plain(0.7).fit(X[rows, 1:], y[rows]).predict_proba(X[rows, 1:])
        assert_allclose(p[rows][:, columns], expected, rtol=1e-5, atol=1e-9)
        assert_array_equal(np.unique(model.predict(X[rows])), classes)
        shown = model.decision_function(X[rows])
        gap = shown[:, columns].min(axis=1, keepdims=True) - shown[:, ~columns]
        assert_allclose(gap, 36.0)


@every_solver
def test_union_gives_unseen_classes_a_probability_and_seen_does_not(solver):
    X, y = two_halves((0, 1, 2), (1, 2, 3))
    seen = MeanRegularizedClassifier(task_column=0, task_classes="seen", solver=solver).fit(X, y)
    union = MeanRegularizedClassifier(task_column=0, solver=solver).fit(X, y)
    first = X[:, 0] == 0
    assert (union.predict_proba(X[first])[:, 3] > 0).all()
    assert_array_equal(seen.predict_proba(X[first])[:, 3], 0)
    assert_array_equal(seen.predict_proba(X[~first])[:, 0], 0)
    assert seen.score(X, y) > 0.95
    assert seen.objective_ < union.objective_  # it rules classes out for nothing
    new = X.copy()
    new[:, 0] = 5
    assert (seen.set_params(handle_unknown="shared").predict_proba(new) > 0).all()


@every_solver
@pytest.mark.parametrize("n_classes", [2, 3])
@every_classifier
def test_seen_with_a_task_of_one_class(estimator, n_classes, solver):
    """Its only class is certain, and its rows say nothing of the others."""
    X, y = draw((40, 10, 50), n_classes=n_classes)
    own = X[:, 0] == 1
    y[own] = 1
    X[own, 1:] -= X[own, 1:].mean(axis=0) - X[~own, 1:].mean(axis=0)  # the same mean without it
    params = {"task_classes": "seen", "task_column": 0, "solver": solver}
    model = estimator(1.0, **params)
    messages = messages_of(model, X, y)
    if estimator is not PooledClassifier:
        assert len(messages) == 1, messages
        assert "in task 1: with task_classes='seen' " in messages[0]
    assert_array_equal(model.predict_proba(X[own]), np.eye(n_classes)[[1] * own.sum()])
    assert_array_equal(model.predict(X[own]), 1)
    without = estimator(1.0, **params).fit(X[~own], y[~own])
    assert_allclose(model.predict_proba(X[~own]), without.predict_proba(X[~own]), rtol=1e-6)


@one_class
@pytest.mark.parametrize("estimator", [SharedL2Classifier, MeanRegularizedClassifier])
def test_seen_in_the_wide_form(estimator):
    X, y = draw((60,))
    X = X[:, 1:]
    Y = np.column_stack([y, np.ones_like(y), 1 - np.roll(y, 1), np.zeros_like(y)])
    model = estimator(2.0, task_classes="seen").fit(X, Y)
    p = model.predict_proba(X)
    assert_array_equal(p[:, [1, 3]], np.tile([1.0, 0.0], (60, 1)))
    assert_array_equal(model.predict(X)[:, [1, 3]], Y[:, [1, 3]])
    assert_array_equal(model.task_classes_, [[1, 1], [0, 1], [1, 1], [1, 0]])
    without = estimator(2.0).fit(X, Y[:, [0, 2]])
    assert_allclose(p[:, [0, 2]], without.predict_proba(X), rtol=1e-6)
    z = X @ model.coef_[0] + model.intercept_[0]
    assert_allclose(p[:, 0], expit(z), rtol=1e-12)


def test_a_warm_start_at_the_solution_does_not_warn():
    X, y = draw()
    model = MeanRegularizedClassifier(0.0, task_column=0, warm_start=True)
    assert messages_of(model, X, y) == []
    assert messages_of(model, X, y) == []
    assert len(model.history_) == 1


@every_solver
def test_a_warm_start_that_is_worse_than_none_is_not_taken(solver):
    X, y = draw(d=2)
    y = (X[:, 1] > 0).astype(int)
    model = PooledClassifier(1e-8, task_column=0, solver=solver, warm_start=True).fit(X, y)
    model.set_params(alpha=1.0).fit(X, 1 - y)
    cold = PooledClassifier(1.0, task_column=0, solver=solver).fit(X, 1 - y)
    assert_allclose(model.coef_, cold.coef_, rtol=1e-9)
    assert model.n_iter_ == cold.n_iter_
