"""The same classification told in another way has the same solution."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skmtl import MeanRegularizedClassifier, PooledClassifier, SharedL2Classifier
from tests._classification import (
    BASIC,
    CLASSIFIERS,
    make_indicator,
    make_rows,
    melt,
    partial_rows,
    weighted_rows,
)
from tests._problems import TASK_WEIGHT, Rows, assert_same_model
from tests._problems import fit_long as fit_at

all_models = pytest.mark.parametrize("model", CLASSIFIERS.values(), ids=CLASSIFIERS)
basic_models = pytest.mark.parametrize("model", BASIC.values(), ids=BASIC)
n_classes = pytest.mark.parametrize("K", [2, 3], ids=["binary", "multinomial"])
solvers = pytest.mark.parametrize("solver", ["direct", "cg"])
TOL = 1e-11  # so that two fits may differ in rounding only


def fit_long(model, rows, sample_weight=None, **params):
    return fit_at(model, rows, sample_weight, **{"tol": TOL} | params)


# Weights ----------------------------------------------------------------------------------------


@all_models
@n_classes
def test_weights_are_repeated_rows(model, K):
    rows = make_rows(K)
    times = np.random.default_rng(4).integers(1, 4, len(rows.y))
    X, y = np.repeat(rows.long, times, axis=0), rows.y.repeat(times)
    for params in ({}, {"task_weight": "balanced", "class_weight": "balanced"}):
        weighted = fit_long(model, rows, times, **params)
        repeated = clone(weighted).fit(X, y)
        assert_same_model(weighted, repeated, rtol=1e-8)
        assert_allclose(weighted.objective_, repeated.objective_, rtol=1e-12)


@all_models
@n_classes
def test_task_and_class_weights_multiply_sample_weights(model, K):
    rows, sample_weight, weight = weighted_rows(K)
    class_weight = {0: 2.0, 1: 0.3, 2: 1.1, 3: 9.0}
    class_weight = {k: class_weight[k] for k in range(K)}
    by_class = np.array([class_weight[k] for k in rows.y.tolist()])
    params = {"task_weight": TASK_WEIGHT, "class_weight": class_weight}
    by_name = fit_long(model, rows, sample_weight, **params)
    assert_same_model(by_name, fit_long(model, rows, weight * by_class), rtol=1e-8)


@basic_models
@n_classes
def test_balanced_classes_have_equal_weight(model, K):
    rows, weight, _ = weighted_rows(K)
    by_class = weight.sum() / (K * np.bincount(rows.y, weight))
    balanced = fit_long(model, rows, weight, class_weight="balanced")
    named = fit_long(model, rows, weight, class_weight=dict(enumerate(by_class.tolist())))
    assert_same_model(balanced, named, rtol=1e-8)
    assert_same_model(balanced, fit_long(model, rows, weight * by_class[rows.y]), rtol=1e-8)


@basic_models
@pytest.mark.parametrize("by", ["rows", "sample weight of a task", "task_weight"])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_weight_zero_is_absence(model, by, class_weight):
    """Also of classes that occur only there, which leaves two."""
    rows, sample_weight, _ = weighted_rows(2)
    y = rows.y.copy()
    absent = np.arange(len(y)) % 5 == 0 if by == "rows" else rows.codes == 2
    y[np.flatnonzero(absent)[::2]] = 7
    zeroed, params = np.where(absent, 0, sample_weight), {"class_weight": class_weight}
    if by == "task_weight":
        zeroed, params["task_weight"] = sample_weight, {0: 1, 1: 1, 2: 0, 3: 1}
    model = fit_long(model, Rows(rows.X, y, rows.codes), zeroed, **params)
    kept = ~absent
    without = clone(model).set_params(task_weight=None)
    without.fit(rows.long[kept], y[kept], sample_weight[kept])
    assert_same_model(model, without, rtol=1e-9)
    for name in ("classes_", "tasks_", "task_counts_", "task_classes_"):
        assert_array_equal(getattr(model, name), getattr(without, name))
    assert_array_equal(model.classes_, [0, 1])
    if by != "rows":
        with pytest.raises(ValueError, match=r"got task 2.*not seen in fit"):
            model.predict(rows.long[absent])


# Names and order --------------------------------------------------------------------------------


@basic_models
@n_classes
@solvers
def test_order_of_rows_does_not_matter(model, K, solver):
    rows, weight, _ = weighted_rows(K)
    order = np.random.default_rng(5).permutation(len(rows.y))
    model = fit_long(model, rows, weight, solver=solver)
    other = clone(model).fit(rows.long[order], rows.y[order], weight[order])
    assert_same_model(model, other, rtol=1e-8)
    probability = model.predict_proba(rows.long)[order]
    assert_allclose(other.predict_proba(rows.long[order]), probability, rtol=0, atol=1e-9)


@basic_models
@n_classes
@pytest.mark.parametrize(
    "names",
    [["d", "a", "c", "b"], [40, -7, 3, 10**12], pd.Categorical(["x", "z", "y", "w"])],
    ids=["str", "int", "category"],
)
def test_task_labels_are_names(model, names, K):
    rows, weight, _ = weighted_rows(K)
    plain = fit_long(model, rows, weight)
    frame = pd.DataFrame(rows.X, columns=list("abc"))
    labels = [names[t] for t in rows.codes]
    if isinstance(names, pd.Categorical):
        labels = names.take(rows.codes)
    frame.insert(1, "task", labels)
    named = clone(plain).set_params(task_column="task").fit(frame, rows.y, weight)
    assert list(named.tasks_) == sorted(names)
    order = [list(names).index(label) for label in named.tasks_]
    assert_same_model(plain, named, rtol=1e-9, order=order)
    assert_array_equal(named.task_classes_, plain.task_classes_[order])
    assert_allclose(named.predict_proba(frame), plain.predict_proba(rows.long), rtol=1e-8)


@basic_models
@pytest.mark.parametrize(
    "names",
    [
        [False, True],
        [True, False],
        [7, -3],
        ["no", "yes"],
        ["yes", "no"],
        ["z", "a", "m"],
        [5, 10**12, -5],
        ["b", "c", "a"],
    ],
    ids=str,
)
def test_class_labels_are_names(model, names):
    """Two classes of another order swap the sign, more of them their place."""
    K = len(names)
    rows, weight, _ = weighted_rows(K)
    class_weight = {k: 1.0 + k for k in range(K)}
    plain = fit_long(model, rows, weight, class_weight=class_weight)
    y = np.array(names)[rows.y]
    named = {names[k]: 1.0 + k for k in range(K)}
    named = clone(plain).set_params(class_weight=named).fit(rows.long, y, weight)
    order = np.argsort(names)
    assert_array_equal(named.classes_, np.array(names)[order])
    assert named.classes_.dtype == np.array(names).dtype
    assert_array_equal(named.task_classes_, plain.task_classes_[:, order])
    for part in ("coef_", "intercept_"):
        expected = getattr(plain, part)
        expected = expected[:, order] if K > 2 else expected * (order[1] - order[0])
        assert_allclose(getattr(named, part), expected, rtol=0, atol=1e-8)
    proba = plain.predict_proba(rows.long)[:, order]
    assert_allclose(named.predict_proba(rows.long), proba, rtol=0, atol=1e-9)
    assert_array_equal(named.predict(rows.long), np.array(names)[plain.predict(rows.long)])


# Features ---------------------------------------------------------------------------------------


@basic_models
@n_classes
@pytest.mark.parametrize("constant", [1.0, 1e8])
def test_constant_added_to_a_feature_changes_no_prediction(model, K, constant):
    rows, weight, _ = weighted_rows(K)
    rows.X[:] = np.round(rows.X * 2**16) / 2**16  # the sum with 1e8 is then exact
    model = fit_long(model, rows, weight)
    shifted = rows.long.copy()
    shifted[:, 2] += constant
    other = clone(model).fit(shifted, rows.y, weight)
    # The mean of the features, where levels are drawn together, has a rounding error itself.
    assert_allclose(other.coef_, model.coef_, rtol=0, atol=1e-9 + 1e-16 * constant)
    eps = 1e-15 * constant * np.abs(model.coef_).max()  # of the intercept, at x = 0
    z = model.decision_function(rows.long)
    assert_allclose(other.decision_function(shifted), z, rtol=0, atol=1e-9 + 10 * eps)


@all_models
@n_classes
@pytest.mark.parametrize(("factor", "solver"), [(1e-8, "cg"), (1e8, "direct")])
def test_units_of_all_features(model, K, factor, solver):
    """Scaling X by s and the strengths by s^2 divides the coefficients by s."""
    rows, weight, _ = weighted_rows(K)
    before = fit_long(model, rows, weight)
    z, alpha = before.decision_function(rows.long), model.alpha
    if isinstance(alpha, dict):
        alpha = {t: factor**2 * a for t, a in alpha.items()}
    else:
        alpha = factor**2 * np.asarray(alpha)
    scaled = {"alpha": alpha if np.ndim(alpha) or isinstance(alpha, dict) else float(alpha)}
    if hasattr(model, "alpha_shared"):
        scaled["alpha_shared"] = factor**2 * model.alpha_shared
    rows.X *= factor
    after = fit_long(model, rows, weight, solver=solver, **scaled)
    assert_allclose(factor * after.coef_, before.coef_, rtol=0, atol=1e-8)
    assert_allclose(after.decision_function(rows.long), z, rtol=0, atol=1e-8)
    assert_allclose(after.objective_, before.objective_, rtol=1e-12)


@n_classes
def test_units_of_each_feature_do_not_matter_without_a_penalty(K):
    rows, weight, _ = weighted_rows(K)
    for model in (PooledClassifier(0.0), SharedL2Classifier(0.0)):
        before = fit_long(model, rows, weight)
        scale = np.array([1e-8, 1.0, 1e8])
        after = fit_long(model, Rows(rows.X * scale, rows.y, rows.codes), weight)
        assert_allclose(after.coef_ * scale, before.coef_, rtol=0, atol=1e-8)
        assert_allclose(after.objective_, before.objective_, rtol=1e-12)


# Limits -----------------------------------------------------------------------------------------


@n_classes
@pytest.mark.parametrize("alpha_intercept", [0.0, 2.0, np.inf])
def test_alpha_infinity_is_the_pooled_model(K, alpha_intercept):
    rows, weight, _ = weighted_rows(K)
    params = {"alpha_intercept": alpha_intercept}
    mean = MeanRegularizedClassifier(np.inf, alpha_shared=0.7, **params)
    pooled = fit_long(PooledClassifier(0.7, **params), rows, weight)
    assert_same_model(fit_long(mean, rows, weight), pooled, rtol=1e-12)


@n_classes
def test_alpha_zero_is_separate_models(K):
    rows, weight, _ = weighted_rows(K)
    separate = fit_long(SharedL2Classifier(0.0), rows, weight)
    for alpha_shared in (0.0, 0.5, np.inf):
        mean = MeanRegularizedClassifier(0.0, alpha_shared=alpha_shared, alpha_intercept=0.0)
        mean = fit_long(mean, rows, weight)
        assert_same_model(mean, separate, rtol=1e-8, center=False)
        center = 0 if alpha_shared else separate.coef_.mean(axis=0)
        assert_allclose(mean.shared_coef_, center, rtol=0, atol=1e-8)


@n_classes
@pytest.mark.parametrize(
    ("model", "name"),
    [
        (PooledClassifier(), "alpha"),
        (PooledClassifier(), "alpha_intercept"),
        (SharedL2Classifier(), "alpha"),
        (MeanRegularizedClassifier(), "alpha"),
        (MeanRegularizedClassifier(alpha_intercept=0.0), "alpha"),
        (MeanRegularizedClassifier(), "alpha_shared"),
        (MeanRegularizedClassifier(), "alpha_intercept"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value)[:30],
)
@pytest.mark.parametrize("limit", [0.0, np.inf])
def test_strengths_approach_their_limits(model, name, limit, K):
    rows = make_rows(K)
    exact = fit_long(model, rows, **{name: limit})
    differences = []
    for step in (1e4, 1e6):
        near = fit_long(model, rows, **{name: step if limit else 1 / step})
        differences.append(near.decision_function(rows.long) - exact.decision_function(rows.long))
        for part in ("coef_", "intercept_"):
            assert_allclose(getattr(near, part), getattr(exact, part), rtol=0, atol=2e2 / step)
    first, second = np.abs(differences).reshape(2, -1).max(axis=1)
    assert first > 0  # the exact limit is not just a large number
    assert second < 0.02 * first


@n_classes
@solvers
@pytest.mark.parametrize("warm_start", [False, True], ids=["cold", "warm"])
@pytest.mark.filterwarnings("ignore:Only one class was seen in task 0")
def test_free_levels_of_tasks_that_lack_classes_are_the_limit(K, solver, warm_start):
    """Where a task is barred from a class, its level says nothing about that of the center."""
    rows = make_rows(K)
    kept = (rows.codes != 0) | (rows.y == 1) | (rows.y == 2)
    rows = Rows(rows.X[kept], rows.y[kept], rows.codes[kept])
    model = MeanRegularizedClassifier(
        2.0, task_classes="seen", solver=solver, handle_unknown="shared", warm_start=warm_start
    )
    near = fit_long(model, rows, alpha_intercept=1e-6)
    exact = fit_long(model, rows, alpha_intercept=0.0)
    if warm_start:
        exact.set_params(alpha=0.5).fit(rows.long, rows.y)
        exact.set_params(alpha=2.0).fit(rows.long, rows.y)
    assert_allclose(exact.predict_proba(rows.long), near.predict_proba(rows.long), atol=1e-5)
    new = rows.long + [9, 0, 0, 0]
    assert_allclose(exact.predict_proba(new), near.predict_proba(new), rtol=0, atol=1e-5)
    assert_allclose(exact.shared_intercept_, near.shared_intercept_, rtol=0, atol=1e-5)


# Forms, solvers, starts -------------------------------------------------------------------------


@all_models
@pytest.mark.parametrize("weights", [None, "array", "balanced"])
def test_wide_form_is_the_long_form(model, weights):
    X, Y = make_indicator()
    params, sample_weight = {"tol": TOL}, None
    if weights:
        sample_weight = np.random.default_rng(3).uniform(0.1, 2, len(X))
        params |= {"task_weight": "balanced", "class_weight": "balanced"}
    if weights == "array":
        params |= {"task_weight": np.array([2.0, 0.5, 1.0, 3.0]), "class_weight": {0: 0.4, 1: 2}}
    wide = clone(model).set_params(**params).fit(X, Y, sample_weight)
    rows, weight = melt(X, Y, sample_weight)
    model = fit_long(model, rows, weight, **params)
    assert_same_model(model, wide, rtol=1e-8)
    assert_allclose(model.objective_, wide.objective_, rtol=1e-12)
    assert_array_equal(wide.tasks_, model.tasks_)
    assert_array_equal(wide.task_counts_, model.task_counts_)
    assert_array_equal(wide.task_classes_, model.task_classes_)
    proba = model.predict_proba(rows.long)[:, 1].reshape(4, -1).T
    assert_allclose(wide.predict_proba(X), proba, rtol=0, atol=1e-9)
    assert_array_equal(wide.predict(X), model.predict(rows.long).reshape(4, -1).T)


@all_models
@n_classes
def test_direct_is_cg(model, K):
    rows, weight, _ = weighted_rows(K)
    direct = fit_long(model, rows, weight, solver="direct")
    assert_same_model(fit_long(model, rows, weight, solver="cg"), direct, rtol=1e-8)


@basic_models
@n_classes
@pytest.mark.parametrize(("sizes", "d"), [((90, 80, 70), 66), ((20, 120, 9), 80), ((5, 6, 7), 40)])
def test_direct_is_cg_with_many_features(model, K, sizes, d):
    """In large primal blocks, dual ones, and the space that few rows span."""
    rows = make_rows(K, sizes=sizes, d=d)
    direct = fit_long(model, rows, solver="direct")
    assert_same_model(fit_long(model, rows, solver="cg"), direct, rtol=1e-7)


@pytest.mark.parametrize("name", ["pooled", "separate", "mean", "mean-dict", "mean-one-level"])
def test_direct_is_cg_where_tasks_lack_classes(name):
    rows, weight = partial_rows()
    direct, cg = (
        fit_long(CLASSIFIERS[name], rows, weight, task_classes="seen", solver=solver)
        for solver in ("direct", "cg")
    )
    assert_same_model(cg, direct, rtol=1e-8)


@basic_models
@n_classes
@solvers
def test_warm_start_ends_where_a_cold_one_does(model, K, solver):
    rows, weight, _ = weighted_rows(K)
    model = fit_long(model, rows, weight, solver=solver, warm_start=True)
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


@basic_models
@n_classes
def test_copies_are_reproducible(model, K):
    rows, weight, _ = weighted_rows(K)
    fitted = fit_long(model, rows, weight)
    proba, coef = fitted.predict_proba(rows.long), fitted.coef_.copy()
    for copied in (pickle.loads(pickle.dumps(fitted)), fitted.fit(rows.long, rows.y, weight)):
        assert_array_equal(copied.coef_, coef)
        assert_array_equal(copied.predict_proba(rows.long), proba)
    assert not hasattr(clone(fitted), "coef_")
    assert repr(clone(fitted)) == repr(fitted)
