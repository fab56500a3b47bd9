"""``adapt``: tasks fitted given the center."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

from skmtl import MeanRegularizedClassifier, MeanRegularizedRegressor
from tests._dense import Objective
from tests._problems import (
    TASK_WEIGHT,
    families,
    fit_long,
    kinds,
    make_rows,
    models,
    n_classes,
    parametrize_models,
    partial_rows,
    respond,
    solvers,
    weighted_rows,
)

FIXED = ("shared_coef_", "shared_intercept_")
mean_models = parametrize_models(
    lambda K: {name: model for name, model in models(K).items() if name.startswith("mean")}
)


def mean_regularized(K, *args, **params):
    return kinds(K)[2](*args, tol=1e-11, **params)


def new_rows(K, n, label=9, seed=1, d=3):
    """Rows of a task that no model has seen: (features behind the label, features, y)."""
    new = make_rows(K, sizes=(n,), d=d, seed=seed)
    return np.column_stack([np.full(n, label), new.X]), new.X, new.y


def assert_others_stay(adapted, model, coef, intercept):
    """Check that the other tasks, the center and the estimator itself are as they were."""
    T = len(coef)
    assert adapted is not model
    assert_array_equal(adapted.coef_[:T], coef)
    assert_array_equal(adapted.intercept_[:T], intercept)
    for name in FIXED:
        assert_array_equal(getattr(adapted, name), getattr(model, name))
    if hasattr(model, "classes_"):
        assert_array_equal(adapted.classes_, model.classes_)
    assert_array_equal(model.coef_, coef)
    assert_array_equal(model.tasks_, np.arange(T))


class NewTask:
    """The task that minimizes the documented objective given the center of a fitted model."""

    def __init__(self, model, rows, weight, K, alpha, alpha_intercept):
        d = rows.X.shape[1]
        self.K, self.k, self.alphas = K, K if K and K > 2 else 1, (alpha, alpha_intercept)
        self.mean = np.average(rows.X, axis=0, weights=weight) * model.fit_intercept
        self.w = model.shared_coef_.reshape(self.k, d)
        self.c = np.reshape(model.shared_intercept_, self.k) + self.w @ self.mean

    def fit(self, X, y, weight=None, present=None):
        """Return W (k, d) and b (k,); ``present`` are the only classes it may have."""
        n, d = X.shape
        Z, (alpha, alpha_intercept) = X - self.mean, self.alphas
        free = int(np.isfinite(alpha_intercept))
        A = np.column_stack([Z, np.ones(n)])[:, : d + free]
        P = np.diag(np.append(np.full(d, alpha), alpha_intercept)[: d + free])
        offset = self.w @ Z.T + self.c[:, None]
        if present is not None:
            offset[np.setdiff1d(np.arange(self.k), present)] = -np.inf
        weight = np.ones(n) if weight is None else weight
        theta = Objective(A, P, y, weight, self.K, offset).solve()
        W = self.w + theta[:, :d]
        intercept = self.c + (theta[:, d] if free else 0.0)
        return W, intercept - W @ self.mean


def assert_task(adapted, W, b, atol):
    assert_allclose(adapted.coef_[-1].reshape(W.shape), W, rtol=0, atol=atol)
    assert_allclose(adapted.intercept_[-1].reshape(b.shape), b, rtol=0, atol=atol)


# The solution -----------------------------------------------------------------------------------


@pytest.mark.parametrize("task_weight", [None, "balanced", TASK_WEIGHT], ids=["1", "bal", "dict"])
@mean_models
def test_own_rows_give_the_same_task_again(model, K, task_weight):
    rows, weight, _ = weighted_rows(K)
    alpha = model.alpha
    if isinstance(alpha, list):
        alpha = dict(enumerate(alpha))  # adapt sees some of the tasks only
    params, names = {"alpha": alpha, "task_weight": task_weight, "tol": 1e-11}, ["task_counts_"]
    if K is not None:
        params["class_weight"], names = "balanced", [*names, "task_classes_", "classes_"]
    model = fit_long(model, rows, weight, **params)
    for tasks in ([1], [0, 3], [0, 1, 2, 3]):
        own = np.isin(rows.codes, tasks)
        adapted = model.adapt(rows.long[own], rows.y[own], weight[own])
        atol = 1e-11 if K is None else 1e-8
        assert_allclose(adapted.coef_, model.coef_, rtol=0, atol=atol)
        assert_allclose(adapted.intercept_, model.intercept_, rtol=0, atol=atol)
        for name in (*names, "tasks_", *FIXED):
            assert_array_equal(getattr(adapted, name), getattr(model, name))


@families
@solvers
@pytest.mark.parametrize("fit_intercept", [True, False], ids=["intercept", "none"])
@pytest.mark.parametrize("alpha_intercept", [0.0, 1.5, np.inf])
def test_a_new_task_is_fitted_given_the_center(K, solver, fit_intercept, alpha_intercept):
    rows, weight, _ = weighted_rows(K)
    model = mean_regularized(K, {0: 1, 1: 2, 2: 3, 3: 4, 9: 2.5}, solver=solver)
    params = {"alpha_intercept": alpha_intercept, "fit_intercept": fit_intercept}
    params["task_weight"] = {0: 1, 1: 1, 2: 1, 3: 1, 9: 1.7}
    n, by_class = 6 if K is None else 20, np.ones(3)
    if K is not None:
        by_class = np.array([1.0, 2.0, 3.0])
        params["class_weight"] = dict(enumerate(by_class[:K].tolist()))
    model = fit_long(model, rows, weight, **params)
    coef, intercept = model.coef_.copy(), model.intercept_.copy()
    X, features, y = new_rows(K, n)
    s = np.random.default_rng(0).uniform(0.5, 2, n)
    adapted = model.adapt(X, y, s)

    total, own = weight, 1.7 * s
    if K is not None:
        total, own = weight * by_class[rows.y], own * by_class[y]
    given = alpha_intercept if fit_intercept else np.inf
    W, b = NewTask(model, rows, total, K, 2.5, given).fit(features, y, own)
    direct = K is None and solver == "direct"
    atol = 1e-12 if direct else 1e-8
    assert_allclose(adapted.coef_[-1].reshape(W.shape), W, rtol=0, atol=atol)
    found, expected = adapted.intercept_[-1].reshape(b.shape), b
    if alpha_intercept == 0 and len(b) > 1:  # free intercepts of classes leave a constant open
        expected, found = b - b.mean(), found - found.mean()
    assert_allclose(found, expected, rtol=0, atol=atol)
    z = features @ W.T + b
    if K is None:
        assert_allclose(adapted.predict(X), z[:, 0], rtol=1e-11 if direct else 1e-7)
    else:
        proba = softmax(z, axis=1) if K > 2 else np.column_stack([expit(-z), expit(z)])
        assert_allclose(adapted.predict_proba(X), proba, rtol=0, atol=1e-8)
        assert_array_equal(adapted.task_classes_[-1], np.isin(range(K), y))
    assert adapted.optimality_ <= (1e-12 if direct else 1e-11)
    assert_array_equal(adapted.tasks_, [0, 1, 2, 3, 9])
    assert_array_equal(adapted.task_counts_, [*np.bincount(rows.codes), n])
    assert_others_stay(adapted, model, coef, intercept)
    assert_array_equal(respond(model, rows.long), respond(adapted, rows.long))


def test_around_a_center_at_zero_it_is_logistic_regression():
    rows = make_rows(2)
    model = mean_regularized(2, 2.0, alpha_shared=np.inf, alpha_intercept=0.0)
    X, features, y = new_rows(2, 40)
    adapted = fit_long(model, rows).adapt(X, y)
    oracle = LogisticRegression(C=0.5, solver="newton-cholesky", tol=1e-13).fit(features, y)
    assert_allclose(adapted.coef_[-1], oracle.coef_[0], rtol=0, atol=1e-9)
    assert_allclose(adapted.intercept_[-1], oracle.intercept_[0], rtol=0, atol=1e-9)


@families
@solvers
@pytest.mark.parametrize(("n", "d"), [(1, 6), (2, 6), (5, 6), (9, 30)])
@pytest.mark.parametrize("alpha_intercept", [1.0, np.inf])
def test_fewer_rows_than_features(K, solver, n, d, alpha_intercept):
    """Also where the center lies outside of what the new rows span."""
    n = max(n, K or 1)
    rows = make_rows(K, sizes=(30, 20) if K is None else (60, 40), d=d)
    model = fit_long(mean_regularized(K, 2.0, alpha_intercept=alpha_intercept), rows)
    X, features, y = new_rows(K, n, d=d)
    adapted = model.set_params(solver=solver).adapt(X, y)
    W, b = NewTask(model, rows, None, K, 2.0, alpha_intercept).fit(features, y)
    assert_task(adapted, W, b, atol=1e-11 if K is None and solver == "direct" else 1e-8)
    assert_array_equal(adapted.shared_coef_, model.shared_coef_)


@families
def test_adapt_step_by_step_is_adapt_at_once(K):
    rows, new = make_rows(K), make_rows(K, sizes=(4, 3) if K is None else (12, 9), seed=1)
    model = fit_long(mean_regularized(K, 2.0), rows)
    X = np.column_stack([new.codes + 10, new.X])
    at_once = model.adapt(X, new.y)
    first = new.codes == 1
    steps = model.adapt(X[first], new.y[first]).adapt(X[~first], new.y[~first])
    assert_array_equal(steps.tasks_, at_once.tasks_)
    close = {"rtol": 1e-13} if K is None else {"rtol": 0, "atol": 1e-9}
    assert_allclose(steps.coef_, at_once.coef_, **close)
    assert_allclose(steps.intercept_, at_once.intercept_, **close)
    if K is not None:
        assert_array_equal(steps.task_classes_, at_once.task_classes_)


# Labels and classes -----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:New task labels are .* of different types:UserWarning")
@pytest.mark.parametrize(
    ("names", "new"),
    [(["d", "a", "c", "e"], ["b", "z"]), ([5, 1, 3, 9], [2, -4]), ([5, 1, 3, 9], ["x", "y"])],
    ids=["str", "int", "int and str"],
)
def test_labels_stay_sorted(names, new):
    rows = make_rows()
    X = np.column_stack([np.zeros((len(rows.y), 1), object), rows.X.astype(object)])
    X[:, 0] = [names[t] for t in rows.codes]
    model = MeanRegularizedRegressor(task_column=0).fit(X, rows.y)
    more = X[:10].copy()
    more[:, 0] = [*new, names[0], *[new[0]] * 7]
    adapted = model.adapt(more, rows.y[:10])
    assert set(adapted.tasks_) == {*names, *new}
    for label in names[1:]:
        before, after = list(model.tasks_).index(label), list(adapted.tasks_).index(label)
        assert_array_equal(adapted.coef_[after], model.coef_[before])
    refit = list(adapted.tasks_).index(names[0])
    assert np.abs(adapted.coef_[refit] - model.coef_[list(model.tasks_).index(names[0])]).max() > 0
    assert_array_equal(
        adapted.tasks_,
        MeanRegularizedRegressor(task_column=0)
        .fit(np.vstack([X, more]), np.concatenate([rows.y, rows.y[:10]]))
        .tasks_,
    )


@pytest.mark.filterwarnings("ignore:New task labels are .* of different types:UserWarning")
@pytest.mark.parametrize(("known", "new"), [("int64", "uint64"), ("int64", object)])
def test_new_tasks_with_labels_of_another_type(known, new):
    rows = make_rows(sizes=(6, 7))
    features = pd.DataFrame(rows.X).add_prefix("x")
    first = features.assign(task=np.array([3, 4], dtype=known)[rows.codes])
    label = 2**63 + 5 if new == "uint64" else "late"
    model = MeanRegularizedRegressor(task_column="task").fit(first, rows.y)
    second = features[:3].assign(task=np.full(3, label, dtype=new))
    adapted = model.adapt(second, rows.y[:3])
    assert list(adapted.tasks_) == [3, 4, label]
    assert_allclose(adapted.predict(first), model.predict(first), rtol=1e-13)


def test_class_labels_are_those_of_fit():
    rows, names = make_rows(3), np.array(["z", "a", "m"])
    plain = fit_long(mean_regularized(3, 2.0), rows)
    named = mean_regularized(3, 2.0, task_column=0).fit(rows.long, names[rows.y])
    X, _, y = new_rows(3, 15)
    y = np.where(y == 0, 1, y)  # of which the new rows lack the first
    expected = plain.adapt(X, y).predict_proba(X)[:, [1, 2, 0]]
    adapted = named.adapt(X, names[y])
    assert_array_equal(adapted.classes_, ["a", "m", "z"])
    assert_allclose(adapted.predict_proba(X), expected, rtol=0, atol=1e-9)
    assert_array_equal(adapted.task_classes_[-1], [True, True, False])


@solvers
@pytest.mark.parametrize("alpha_intercept", [0.5, np.inf])
def test_a_new_task_with_some_of_the_classes(solver, alpha_intercept):
    """With task_classes="seen" it has no others, else the center says more about them."""
    rows, weight = partial_rows()
    model = mean_regularized(3, 1.5, alpha_intercept=alpha_intercept)
    X, features, y = new_rows(3, 30)
    y = np.where(y == 1, 2, y)
    for task_classes, present in (("seen", [0, 2]), ("union", [0, 1, 2])):
        fitted = fit_long(model, rows, weight, solver=solver, task_classes=task_classes)
        adapted = fitted.adapt(X, y)
        task = NewTask(fitted, rows, weight, 3, 1.5, alpha_intercept)
        W, b = task.fit(features, y, present=present)
        proba = adapted.predict_proba(X)
        expected = softmax((features @ W.T + b)[:, present], axis=1)
        assert_allclose(proba[:, present], expected, rtol=0, atol=1e-8)
        assert_array_equal(proba[:, 1] == 0, task_classes == "seen")
        # A softmax keeps the sum over its classes at that of the center.
        assert_allclose(adapted.coef_[-1][present], W[present], rtol=0, atol=1e-8)
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
    X, features, _ = new_rows(K, 12)
    y = np.ones(12, dtype=int)
    with pytest.warns(UserWarning, match="Only one class was seen in task 9") as caught:
        adapted = model.adapt(X, y)
    assert len(caught) == 1
    assert np.isfinite(adapted.coef_).all()
    assert np.isfinite(adapted.intercept_).all()
    proba = adapted.predict_proba(X)
    if task_classes == "seen":
        assert_array_equal(proba, np.eye(K)[y])
    elif alpha_intercept == 0:
        assert (proba[:, 1] > 0.999).all()
    else:
        W, b = NewTask(model, rows, None, K, 2.0, 1.0).fit(features, y)
        assert_task(adapted, W, b, atol=1e-7)


def test_no_warning_where_a_task_has_nothing_of_its_own():
    rows = make_rows(2)
    model = fit_long(MeanRegularizedClassifier(np.inf, alpha_intercept=np.inf), rows)
    X, features, _ = new_rows(2, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adapted = model.adapt(X, np.zeros(4, dtype=int))
    assert_allclose(adapted.coef_[-1], model.shared_coef_, rtol=1e-14)
    z = features @ model.shared_coef_ + model.shared_intercept_
    assert_allclose(adapted.decision_function(X), z, rtol=1e-12)


# What is refused --------------------------------------------------------------------------------


@families
def test_what_adapt_refuses(K):
    rows, kind = make_rows(K), kinds(K)[2]
    model = fit_long(kind({0: 1, 1: 1, 2: 1, 3: 1}), rows)
    new = rows.long + [9, 0, 0, 0]
    with pytest.raises(ValueError, match="alpha is a dict without the tasks 9, 10, 11, 12"):
        model.adapt(new, rows.y)
    with pytest.raises(ValueError, match=r"X has 3 features.* expecting 4"):
        model.adapt(new[:, :3], rows.y)
    if K != 3:
        wide = kind().fit(rows.X, np.column_stack([rows.y, 1 - rows.y]))
        with pytest.raises(ValueError, match="fitted without a task_column"):
            wide.adapt(rows.X, rows.y)
    if K == 2:
        model = fit_long(kind(), rows)
        message = r"classes not seen in fit: 2 \(fitted classes: 0, 1\)"
        with pytest.raises(ValueError, match=message):
            model.adapt(new, rows.y + 1)


def test_arrays_say_nothing_about_other_tasks():
    rows = make_rows(sizes=(6, 7, 8))
    model = fit_long(MeanRegularizedRegressor([1.0, 1.0, 1e6]), rows)
    with pytest.raises(ValueError, match=r"alpha is an array .* To adapt, set it to a number or"):
        model.adapt(rows.long, rows.y)


@pytest.mark.parametrize(
    ("K", "params", "before"),
    [
        (None, {"fit_intercept": False}, "True"),
        (None, {"task_column": -1}, "0"),
        (2, {"task_classes": "seen"}, "'union'"),
    ],
)
def test_parameters_changed_after_fit(K, params, before):
    rows = make_rows(K, sizes=(6, 7, 8))
    model = fit_long(kinds(K)[2](), rows).set_params(**params)
    with pytest.raises(ValueError, match=rf"{next(iter(params))} was {before} .* Fit again"):
        model.adapt(rows.long, rows.y)
    with pytest.raises(ValueError, match="Fit again"):
        model.predict(rows.long)


def test_a_fit_that_fails_leaves_adapt_as_it_was():
    rows, few = make_rows(sizes=(6, 7, 8)), make_rows(sizes=(3, 2))
    model = fit_long(MeanRegularizedRegressor(task_weight="balanced"), rows)
    before = model.adapt(few.long, few.y).coef_
    with pytest.raises(ValueError, match="alpha must be"):
        model.set_params(alpha="x").fit(rows.long[:9], rows.y[:9])
    assert_allclose(model.set_params(alpha=1.0).adapt(few.long, few.y).coef_, before, rtol=0)


@pytest.mark.parametrize("way", ["fit", "partial_fit"])
def test_labels_of_another_type_are_one_warning(way):
    X = np.array([["a", 1.0], ["a", 2.0], ["b", 1.0], ["b", 3.0]], dtype=object)
    model = getattr(MeanRegularizedRegressor(1.0, task_column=0), way)(X, [1.0, 2.0, 3.0, 4.0])
    with pytest.warns(UserWarning, match="New task labels are numbers") as record:
        model.adapt(np.array([[7, 1.0]], dtype=object), [2.0])
    assert len(record) == 1
