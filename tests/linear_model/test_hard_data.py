"""Hard data: few rows, constant columns, separable classes, numbers of very different sizes."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmtl import (
    ADMMClassifier,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    PooledClassifier,
    PooledRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
)
from tests._dense import Dense
from tests._problems import (
    CLASSIFIERS,
    draw_classes,
    fit_long,
    logistic_oracle,
    make_rows,
    messages_of,
    n_classes,
    solvers,
)

every_classifier = pytest.mark.parametrize("estimator", CLASSIFIERS)
one_class = pytest.mark.filterwarnings("ignore:Only one class was seen in task:UserWarning")

# Targets ----------------------------------------------------------------------------------------

EXTREME = {
    "one row": make_rows(sizes=(1, 1, 20, 1)),
    "n < d": make_rows(sizes=(3, 2, 4, 1), d=25),
    "single task": make_rows(sizes=(20,)),
    "single row": make_rows(sizes=(1,)),
    "large and small": make_rows(sizes=(2, 500, 3, 1), d=5),
}
EXTREME["constant column"] = make_rows()
EXTREME["constant column"].X[:, 1] = 7.1
EXTREME["constant in a task"] = make_rows(d=5)
EXTREME["constant in a task"].X[:, 3] = EXTREME["constant in a task"].codes / 3
EXTREME["duplicated column"] = make_rows()
EXTREME["duplicated column"].X[:, 1] = EXTREME["duplicated column"].X[:, 0]
EXTREME["constant target"] = make_rows()
EXTREME["constant target"].y[:] = 3.3
EXTREME["scaled columns"] = make_rows(d=5)
EXTREME["scaled columns"].X *= [1e-8, 1e-4, 1, 1e4, 1e8]


@pytest.mark.parametrize("rows", EXTREME.values(), ids=EXTREME)
@pytest.mark.parametrize(
    "model",
    [
        PooledRegressor(2.0, alpha_intercept=2.0),
        SharedL2Regressor(2.0),
        MeanRegularizedRegressor(2.0, alpha_shared=0.5),
        MeanRegularizedRegressor(2.0),
    ],
    ids=repr,
)
def test_extreme_rows(model, rows):
    fitted = fit_long(model, rows)
    dense = Dense(model, rows)
    theta = dense.theta(fitted)
    assert (np.abs(dense.gradient(theta)) <= 1e-11 * dense.rounding_unit(theta)).all()
    # As good as least squares on all unknowns at once, and of a norm no larger.
    best = dense.solve()
    assert dense.value(theta) <= dense.value(best) * (1 + 1e-10) + 1e-20
    if rows is not EXTREME["scaled columns"]:  # of which lstsq drops the smallest
        norms = np.linalg.norm(fitted.coef_), np.linalg.norm(dense.unpack(best)[0])
        assert norms[0] <= norms[1] * (1 + 1e-6) + 1e-9
    assert fitted.optimality_ <= fitted.tol


# Few rows ---------------------------------------------------------------------------------------


@one_class
@solvers
@n_classes
def test_tasks_with_one_row(K, solver):
    X, y = draw_classes((1,) * 40, n_classes=K)
    pooled = PooledClassifier(0.5, task_column=0, solver=solver).fit(X, y)
    p = logistic_oracle(0.5).fit(X[:, 1:], y).predict_proba(X[:, 1:])
    assert_allclose(pooled.predict_proba(X), p, rtol=1e-6)
    model = MeanRegularizedClassifier(1e6, alpha_shared=0.5, alpha_intercept=1e6, task_column=0)
    assert_allclose(model.set_params(solver=solver).fit(X, y).predict_proba(X), p, rtol=1e-3)
    model.set_params(alpha=1.0, alpha_intercept=1.0).fit(X, y)
    assert (np.abs(model.predict_proba(X) - p) > 1e-2).any()
    assert model.optimality_ <= model.tol
    assert_array_equal(model.task_counts_, 1)


# Separable classes ------------------------------------------------------------------------------


@n_classes
@pytest.mark.parametrize("quasi", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_separable_tasks_are_named(seed, quasi, K):
    X, y = draw_classes((60, 40, 70), d=1, n_classes=K, seed=seed)
    own = X[:, 0] == 1
    cuts = [0.0, 1.0][: K - 1]
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


@pytest.mark.parametrize("seed", range(3))
def test_separable_tasks_are_named_where_admm_stops_after_a_short_step(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(60, 4))
    y = np.column_stack([X[:, 0] > 0, X[:, 1] + rng.logistic(size=60) > 0]).astype(int)
    for penalty in ("l21", "l1", "robust_mean"):
        messages = messages_of(ADMMClassifier(penalty, 0.0, alpha_intercept=0.0), X, y)
        assert sum("separate classes of task 0, and no" in text for text in messages) == 1


@n_classes
def test_separable_in_all_tasks_at_once(K):
    X, y = draw_classes((20, 30), d=2, n_classes=K)
    y = np.searchsorted([0.0, 1.0][: K - 1], X[:, 1] + 0.1 * X[:, 2])
    for model in [PooledClassifier(0.0), MeanRegularizedClassifier(0.0, alpha_intercept=0.0)]:
        messages = messages_of(model.set_params(task_column=0), X, y)
        assert len(messages) == 1, messages
        assert "The features separate classes of tasks 0, 1, and no penalty" in messages[0]
        assert np.isfinite(model.coef_).all()
        assert model.score(X, y) == 1


@n_classes
def test_maximum_likelihood_of_overlapping_classes_does_not_warn(K):
    for seed in range(25):
        X, y = draw_classes((80, 120), d=2, n_classes=K, seed=seed)
        model = SharedL2Classifier(0.0, task_column=0)
        assert messages_of(model, X, y) == [], seed
        if seed < 3:
            rows = X[:, 0] == 0
            best = logistic_oracle(1e-12).fit(X[rows, 1:], y[rows]).predict_proba(X[rows, 1:])
            assert_allclose(model.predict_proba(X[rows]), best, rtol=1e-5)


# Numbers of very different sizes ----------------------------------------------------------------


@solvers
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
    expected = logistic_oracle(alpha).fit(X[:, 1:], y).predict_proba(X[:, 1:])
    assert_allclose(pooled.predict_proba(X), expected, rtol=1e-6, atol=1e-9)
    model = SharedL2Classifier(alpha, task_column=0, solver=solver).fit(X, y)
    for t in range(2):
        rows = X[:, 0] == t
        expected = logistic_oracle(alpha).fit(X[rows, 1:], y[rows]).predict_proba(X[rows, 1:])
        assert_allclose(model.predict_proba(X[rows]), expected, rtol=1e-6, atol=1e-9)
        assert_allclose(model.predict_proba(X[rows])[:, 1].sum(), y[rows].sum(), rtol=1e-6)


@every_classifier
@n_classes
def test_offsets_change_nothing(estimator, K):
    X, y = draw_classes(n_classes=K)
    X[:, 1:] = np.round(X[:, 1:] * 64) / 64  # exact beside 1e8
    model = estimator(0.5, task_column=0)
    expected = model.fit(X, y).predict_proba(X)
    shifted = X + [0, 1e8, -3e7]
    assert_allclose(model.fit(shifted, y).predict_proba(shifted), expected, rtol=1e-6)
    assert model.optimality_ <= model.tol


@every_classifier
@solvers
def test_scales_of_features(estimator, solver):
    """Without a penalty, units are a matter of taste; with one, all stays finite and solved."""
    X, y = draw_classes((60, 80), d=4)
    scaled = X * [1, 1e-8, 1e-3, 1e4, 1e8]
    model = estimator(1.0, task_column=0, solver=solver)
    assert np.isfinite(model.fit(scaled, y).predict_proba(scaled)).all()
    assert model.optimality_ <= model.tol
    if solver == "direct":
        free = estimator(0.0, task_column=0)
        expected = free.fit(X, y).predict_proba(X)
        assert_allclose(free.fit(scaled, y).predict_proba(scaled), expected, rtol=1e-6)


@every_classifier
@solvers
@n_classes
def test_constant_and_duplicated_columns(estimator, solver, K):
    X, y = draw_classes(n_classes=K)
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
@solvers
@n_classes
def test_rows_far_out(estimator, solver, K):
    # The rows fill the units of the certificate: to agree with scikit-learn it takes more than tol.
    params = {"max_iter": 20_000, "tol": 1e-10 if estimator is PooledClassifier else 1e-8}
    X, y = draw_classes(n_classes=K)
    X[3, 1:] = [1e6, -2e6]
    X[7, 2] = -5e5
    for alpha in (1e-3, 1.0, 1e3):
        model = estimator(alpha, task_column=0, solver=solver, **params)
        assert messages_of(model, X, y) == [], alpha
        assert model.optimality_ <= model.tol
        assert np.isfinite(model.predict_log_proba(X)).all()
    if estimator is PooledClassifier:
        p = logistic_oracle(1e3).fit(X[:, 1:], y).predict_proba(X[:, 1:])
        assert_allclose(model.predict_proba(X), p, rtol=1e-5, atol=1e-8)


@every_classifier
@solvers
@pytest.mark.parametrize("K", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_twelve_decades_of_alpha(estimator, solver, K):
    X, y = draw_classes((60, 5, 30), d=4, n_classes=K, seed=3)
    y[np.flatnonzero(X[:, 0] == 1)[:2]] = [0, 1]  # not one class
    last = 0.0
    for alpha in 10.0 ** np.arange(-6, 7):
        model = estimator(alpha, task_column=0, solver=solver)
        assert messages_of(model, X, y) == [], alpha
        assert model.optimality_ <= model.tol
        assert model.objective_ >= last * (1 - 1e-12)  # F grows with alpha
        last = model.objective_
        if estimator is PooledClassifier and 1e-4 <= alpha <= 1e4:
            p = logistic_oracle(alpha).fit(X[:, 1:], y).predict_proba(X[:, 1:])
            assert_allclose(model.predict_proba(X), p, rtol=1e-5, atol=1e-8)


# Warm starts ------------------------------------------------------------------------------------


def test_a_warm_start_at_the_solution_does_not_warn():
    X, y = draw_classes()
    model = MeanRegularizedClassifier(0.0, task_column=0, warm_start=True)
    assert messages_of(model, X, y) == []
    assert messages_of(model, X, y) == []
    assert len(model.history_) == 1


@solvers
def test_a_warm_start_that_is_worse_than_none_is_not_taken(solver):
    X, y = draw_classes(d=2)
    y = (X[:, 1] > 0).astype(int)
    model = PooledClassifier(1e-8, task_column=0, solver=solver, warm_start=True).fit(X, y)
    model.set_params(alpha=1.0).fit(X, 1 - y)
    cold = PooledClassifier(1.0, task_column=0, solver=solver).fit(X, 1 - y)
    assert_allclose(model.coef_, cold.coef_, rtol=1e-9)
    assert model.n_iter_ == cold.n_iter_
