"""Tasks that lack classes: a single one, classes of their own, classes that are ruled out."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score

from skmtl import MeanRegularizedClassifier, PooledClassifier, SharedL2Classifier
from tests._problems import (
    CLASSIFIERS,
    draw_classes,
    logistic_oracle,
    make_rows,
    messages_of,
    n_classes,
    solvers,
)

every_classifier = pytest.mark.parametrize("estimator", CLASSIFIERS)
one_class = pytest.mark.filterwarnings("ignore:Only one class was seen in task:UserWarning")


# One class --------------------------------------------------------------------------------------


@solvers
@n_classes
def test_a_task_with_one_class_stays_near_the_center(K, solver):
    X, y = draw_classes((40, 8, 60, 30), n_classes=K)
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
    assert (p[:, 0] > center[:, 0]).all()  # shrunk away from the center, to the class that was seen
    assert np.abs(p - center).max() < 0.45
    assert_array_equal(model.task_classes_.sum(axis=1), [K, 1, K, K])
    closer = MeanRegularizedClassifier(2000.0, alpha_intercept=2000.0, task_column=0)
    messages_of(closer.set_params(handle_unknown="shared"), X, y)
    assert np.abs(closer.predict_proba(own) - closer.predict_proba(new)).max() < 0.01


@solvers
@n_classes
@pytest.mark.parametrize("size", [1, 8])
@pytest.mark.parametrize("seed", range(3))
def test_free_intercepts_of_one_class_are_named_and_finite(seed, size, K, solver):
    X, y = draw_classes((40, size, 120), n_classes=K, seed=seed)
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
        p = logistic_oracle(1.0).fit(X[rows, 1:], y[rows]).predict_proba(X[rows, 1:])
        assert_allclose(model.predict_proba(X[rows]), p, rtol=1e-6)


@every_classifier
def test_all_tasks_with_one_class_are_named(estimator):
    X, y = draw_classes((30, 5, 1, 4, 30))
    X[:, 0] = np.array([10, 20, 30, 40, 50])[X[:, 0].astype(int)]
    for task, label in [(20, 0), (30, 1), (40, 1)]:
        y[X[:, 0] == task] = label
    messages = messages_of(estimator(task_column=0), X, y)
    if estimator is PooledClassifier:  # alpha_intercept=inf: tasks have nothing of their own
        assert messages == []
        messages = messages_of(estimator(alpha_intercept=1.0, task_column=0), X, y)
    assert len(messages) == 1, messages
    assert "Only one class was seen in tasks 20, 30, 40: " in messages[0]


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


@solvers
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
        expected = logistic_oracle(0.7).fit(X[rows, 1:], y[rows]).predict_proba(X[rows, 1:])
        assert_allclose(p[rows][:, columns], expected, rtol=1e-5, atol=1e-9)
        assert_array_equal(np.unique(model.predict(X[rows])), classes)
        shown = model.decision_function(X[rows])
        gap = shown[:, columns].min(axis=1, keepdims=True) - shown[:, ~columns]
        assert_allclose(gap, 36.0)


@solvers
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


@solvers
@n_classes
@every_classifier
def test_seen_with_a_task_of_one_class(estimator, K, solver):
    """Its only class is certain, and its rows say nothing of the others."""
    X, y = draw_classes((40, 10, 50), n_classes=K)
    own = X[:, 0] == 1
    y[own] = 1
    X[own, 1:] -= X[own, 1:].mean(axis=0) - X[~own, 1:].mean(axis=0)  # the same mean without it
    params = {"task_classes": "seen", "task_column": 0, "solver": solver}
    model = estimator(1.0, **params)
    messages = messages_of(model, X, y)
    if estimator is not PooledClassifier:
        assert len(messages) == 1, messages
        assert "in task 1: with task_classes='seen' " in messages[0]
    assert_array_equal(model.predict_proba(X[own]), np.eye(K)[[1] * own.sum()])
    assert_array_equal(model.predict(X[own]), 1)
    without = estimator(1.0, **params).fit(X[~own], y[~own])
    assert_allclose(model.predict_proba(X[~own]), without.predict_proba(X[~own]), rtol=1e-6)


@one_class
@pytest.mark.parametrize("estimator", [SharedL2Classifier, MeanRegularizedClassifier])
def test_seen_in_the_wide_form(estimator):
    X, y = draw_classes((60,))
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


# Classes that are ruled out: not seen there, by choice or by free intercepts --------------------

SEEN = {
    "seen": MeanRegularizedClassifier(2.0, task_column=0, task_classes="seen"),
    "free intercepts": MeanRegularizedClassifier(2.0, task_column=0, alpha_intercept=0.0),
    "separate": SharedL2Classifier(2.0, task_column=0),
}
every_way = pytest.mark.parametrize("model", SEEN.values(), ids=SEEN)


def rows_without(K):
    """Rows of which those of task 0 lack the last class."""
    rows = make_rows(K)
    y = np.where((rows.codes == 0) & (rows.y == K - 1), 0, rows.y)
    return rows.long, y, rows.codes == 0


@one_class
@every_way
@n_classes
def test_far_from_the_rows_of_fit_too(model, K):
    X, y, lacking = rows_without(K)
    model.fit(X, y)
    far = X[lacking] * [1, 1e4, -1e4, 1e4]
    probability = model.predict_proba(far)[:, K - 1]
    assert probability.max() <= (0 if model.task_classes == "seen" else 3e-16)
    score = model.decision_function(far)
    if K == 2:
        assert_array_equal(score, -36.0)
    else:
        assert_allclose(score[:, :2].min(axis=1) - score[:, 2], 36.0)
    assert (model.predict(far) < K - 1).all()
    assert (model.predict_proba(X[~lacking])[:, K - 1] > 1e-10).all()


@one_class
@every_way
@pytest.mark.parametrize("K", [3, 4])
def test_the_others_are_fitted_as_though_it_did_not_exist(model, K):
    X, y, lacking = rows_without(K)
    # Two classes left have w and -w, a penalty each: that of one log-odds 2 w at half the alpha.
    alone = logistic_oracle(1.0 if K == 3 else 2.0)
    alone.fit(X[lacking, 1:], y[lacking])
    own = SharedL2Classifier(2.0, task_column=0, task_classes=model.task_classes).fit(X, y)
    found = own.predict_proba(X[lacking])[:, : K - 1]
    assert_allclose(found, alone.predict_proba(X[lacking, 1:]), rtol=1e-6)


@one_class
@every_way
def test_scorers_and_calibration_get_finite_numbers(model):
    X, y, _ = rows_without(2)
    for scoring in ("roc_auc", "neg_log_loss", "average_precision"):
        assert np.isfinite(cross_val_score(model, X, y, scoring=scoring, error_score="raise")).all()
    for method in ("sigmoid", "isotonic"):
        calibrated = CalibratedClassifierCV(model, method=method, cv=3).fit(X, y)
        p = calibrated.predict_proba(X)
        assert np.isfinite(p).all()
        assert_allclose(p.sum(axis=1), 1)
