"""``adapt``: tasks fitted given the center."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmtl import MeanRegularizedRegressor
from tests._problems import MODELS, fit_long, make_rows, weighted_rows

MODELS = {name: model for name, model in MODELS.items() if name.startswith("mean")}


@pytest.mark.parametrize("task_weight", [None, "balanced", {0: 2, 1: 0.5, 2: 1, 3: 3}], ids=str)
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_own_rows_give_the_same_task_again(model, task_weight):
    rows, weight, _ = weighted_rows()
    alpha = model.alpha
    if isinstance(alpha, list):
        alpha = dict(enumerate(alpha))  # adapt sees some of the tasks only
    model = fit_long(model, rows, weight, alpha=alpha, task_weight=task_weight)
    for tasks in ([1], [0, 3], [0, 1, 2, 3]):
        own = np.isin(rows.codes, tasks)
        adapted = model.adapt(rows.long[own], rows.y[own], weight[own])
        assert_allclose(adapted.coef_, model.coef_, rtol=0, atol=1e-11)
        assert_allclose(adapted.intercept_, model.intercept_, rtol=0, atol=1e-11)
        assert_array_equal(adapted.task_counts_, model.task_counts_)


@pytest.mark.parametrize("solver", ["direct", "cg"])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_fewer_rows_than_features_leave_the_center_where_it_is(n, solver):
    """Also where the center lies outside of what the new rows span."""
    rows, new = make_rows(sizes=(30, 20), d=6), make_rows(sizes=(n,), d=6, seed=1)
    model = fit_long(MeanRegularizedRegressor(2.0, alpha_intercept=np.inf), rows)
    adapted = model.set_params(solver=solver).adapt(np.column_stack([np.full(n, 9), new.X]), new.y)
    mean = rows.X.mean(axis=0)
    w, c = model.shared_coef_, model.shared_intercept_ + model.shared_coef_ @ mean
    Z = new.X - mean
    v = Z.T @ np.linalg.solve(Z @ Z.T + 2.0 * np.eye(n), new.y - Z @ w - c)
    assert_allclose(adapted.coef_[-1], w + v, rtol=0, atol=1e-7 if solver == "cg" else 1e-12)
    assert_array_equal(adapted.shared_coef_, model.shared_coef_)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("alpha_intercept", [0.0, 1.5, np.inf])
def test_a_new_task_is_ridge_to_the_center(fit_intercept, alpha_intercept):
    rows, new = make_rows(), make_rows(sizes=(6,), seed=1)
    weight = np.random.default_rng(0).uniform(0.5, 2, 6)
    model = fit_long(
        MeanRegularizedRegressor({0: 1, 1: 2, 2: 3, 3: 4, 9: 2.5}),
        rows,
        alpha_intercept=alpha_intercept,
        fit_intercept=fit_intercept,
    )
    coef, intercept = model.coef_.copy(), model.intercept_.copy()
    adapted = model.adapt(np.column_stack([np.full(6, 9), new.X]), new.y, weight)

    mean = rows.X.mean(axis=0) if fit_intercept else np.zeros(3)
    w, c = model.shared_coef_, model.shared_intercept_ + model.shared_coef_ @ mean
    Z, residual = new.X - mean, new.y - (new.X - mean) @ w - c
    strength = np.full(3, 2.5)
    if fit_intercept and np.isfinite(alpha_intercept):
        Z, strength = np.column_stack([Z, np.ones(6)]), np.append(strength, alpha_intercept)
    step = np.linalg.solve(Z.T * weight @ Z + np.diag(strength), Z.T @ (weight * residual))
    level = c + (step[3] if len(step) == 4 else 0)
    assert_allclose(adapted.coef_[-1], w + step[:3], rtol=0, atol=1e-12)
    assert_allclose(adapted.intercept_[-1], level - adapted.coef_[-1] @ mean, rtol=0, atol=1e-12)
    assert_array_equal(adapted.tasks_, [0, 1, 2, 3, 9])
    assert_array_equal(adapted.task_counts_, [9, 5, 14, 7, 6])
    assert adapted.optimality_ < 1e-12
    # The others, the center and the estimator itself stay as they were.
    assert_array_equal(adapted.coef_[:-1], coef)
    assert_array_equal(adapted.intercept_[:-1], intercept)
    assert_array_equal(adapted.shared_coef_, model.shared_coef_)
    assert adapted.shared_intercept_ == model.shared_intercept_
    assert_array_equal(model.coef_, coef)
    assert_array_equal(model.tasks_, [0, 1, 2, 3])
    assert adapted is not model
    x = new.X[:1]
    expected = x @ adapted.coef_[-1] + adapted.intercept_[-1]
    assert_allclose(adapted.predict(np.column_stack([[9], x])), expected, rtol=1e-12)


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


def test_adapt_step_by_step_is_adapt_at_once():
    rows, new = make_rows(), make_rows(sizes=(4, 3), seed=1)
    model = fit_long(MeanRegularizedRegressor(2.0), rows)
    X = np.column_stack([new.codes + 10, new.X])
    at_once = model.adapt(X, new.y)
    first = new.codes == 1
    steps = model.adapt(X[first], new.y[first]).adapt(X[~first], new.y[~first])
    assert_array_equal(steps.tasks_, at_once.tasks_)
    assert_allclose(steps.coef_, at_once.coef_, rtol=1e-13)
    assert_allclose(steps.intercept_, at_once.intercept_, rtol=1e-13)


def test_what_adapt_refuses():
    rows = make_rows()
    model = fit_long(MeanRegularizedRegressor({0: 1, 1: 1, 2: 1, 3: 1}), rows)
    new = rows.long + [9, 0, 0, 0]
    with pytest.raises(ValueError, match="alpha is a dict without the tasks 9, 10, 11, 12"):
        model.adapt(new, rows.y)
    with pytest.raises(ValueError, match=r"X has 3 features.* expecting 4"):
        model.adapt(new[:, :3], rows.y)
    wide = MeanRegularizedRegressor().fit(rows.X, np.column_stack([rows.y, rows.y]))
    with pytest.raises(ValueError, match="fitted without a task_column"):
        wide.adapt(rows.X, rows.y)


def test_arrays_say_nothing_about_other_tasks():
    rows = make_rows(sizes=(6, 7, 8))
    model = fit_long(MeanRegularizedRegressor([1.0, 1.0, 1e6]), rows)
    with pytest.raises(ValueError, match=r"alpha is an array .* To adapt, set it to a number or"):
        model.adapt(rows.long, rows.y)


@pytest.mark.parametrize("params", [{"fit_intercept": False}, {"task_column": -1}])
def test_parameters_changed_after_fit(params):
    rows = make_rows(sizes=(6, 7, 8))
    model = fit_long(MeanRegularizedRegressor(), rows).set_params(**params)
    with pytest.raises(ValueError, match=rf"{next(iter(params))} was .* Fit again"):
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
