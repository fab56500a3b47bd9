"""The same problem posed in another way has the same solution."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skmtl import (
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    PooledClassifier,
    PooledRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
)
from tests import _problems
from tests._problems import (
    TASK_WEIGHT,
    Rows,
    all_models,
    assert_same_model,
    basic_classifiers,
    basic_models,
    families,
    kinds,
    make_indicator,
    make_rows,
    make_wide,
    melt,
    models,
    n_classes,
    respond,
    solvers,
    weighted_rows,
)


def fit_long(model, rows, sample_weight=None, **params):
    """Fit to where two fits may differ in rounding only."""
    return _problems.fit_long(model, rows, sample_weight, **{"tol": 1e-11} | params)


def accuracy(K, squared, classes):
    """Return how far two fits may be apart: a quadratic problem is solved in one step."""
    return squared if K is None else classes


# Weights ----------------------------------------------------------------------------------------


@all_models
def test_weights_are_repeated_rows(model, K):
    rows = make_rows(K)
    times = np.random.default_rng(4).integers(1, 4, len(rows.y))
    X, y = np.repeat(rows.long, times, axis=0), rows.y.repeat(times)
    balanced = {"task_weight": "balanced"} | ({} if K is None else {"class_weight": "balanced"})
    for params in ({}, balanced, {"task_weight": TASK_WEIGHT}):
        weighted = fit_long(model, rows, times, **params)
        repeated = clone(weighted).fit(X, y)
        assert_same_model(weighted, repeated, rtol=accuracy(K, 1e-11, 1e-8))
        assert_allclose(weighted.objective_, repeated.objective_, rtol=1e-12)


@all_models
def test_task_and_class_weights_multiply_sample_weights(model, K):
    rows, sample_weight, weight = weighted_rows(K)
    params = {"task_weight": TASK_WEIGHT}
    if K is not None:
        class_weight = {0: 2.0, 1: 0.3, 2: 1.1}
        params["class_weight"] = {k: class_weight[k] for k in range(K)}
        weight = weight * np.array([class_weight[k] for k in rows.y.tolist()])
    by_name = fit_long(model, rows, sample_weight, **params)
    assert_same_model(by_name, fit_long(model, rows, weight), rtol=accuracy(K, 1e-11, 1e-8))


@basic_classifiers
def test_balanced_classes_have_equal_weight(model, K):
    rows, weight, _ = weighted_rows(K)
    by_class = weight.sum() / (K * np.bincount(rows.y, weight))
    balanced = fit_long(model, rows, weight, class_weight="balanced")
    named = fit_long(model, rows, weight, class_weight=dict(enumerate(by_class.tolist())))
    assert_same_model(balanced, named, rtol=1e-8)
    assert_same_model(balanced, fit_long(model, rows, weight * by_class[rows.y]), rtol=1e-8)


ABSENCES = [(None, None), (2, None), (2, "balanced")]


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["pooled", "separate", "mean"])
@pytest.mark.parametrize("by", ["rows", "sample weight of a task", "task_weight"])
@pytest.mark.parametrize(("K", "class_weight"), ABSENCES)
def test_weight_zero_is_absence(kind, by, K, class_weight):
    """Also of classes that occur only there, which leaves two."""
    rows, sample_weight, _ = weighted_rows(K)
    absent = np.arange(len(rows.y)) % 5 == 0 if by == "rows" else rows.codes == 2
    zeroed, params = np.where(absent, 0, sample_weight), {}
    names = ["tasks_", "task_counts_"]
    if K is not None:
        rows.y[np.flatnonzero(absent)[::2]] = 7
        params["class_weight"], names = class_weight, [*names, "classes_", "task_classes_"]
    if by == "task_weight":
        zeroed, params["task_weight"] = sample_weight, {0: 1, 1: 1, 2: 0, 3: 1}
    model = list(_problems.basic(K).values())[kind]
    model = fit_long(model, rows, zeroed, **params)
    kept = ~absent
    without = clone(model).set_params(task_weight=None)
    without.fit(rows.long[kept], rows.y[kept], sample_weight[kept])
    assert_same_model(model, without, rtol=accuracy(K, 1e-12, 1e-9))
    for name in names:
        assert_array_equal(getattr(model, name), getattr(without, name))
    if K is not None:
        assert_array_equal(model.classes_, [0, 1])
    if by != "rows":
        with pytest.raises(ValueError, match=r"got task 2.*not seen in fit"):
            model.predict(rows.long[absent])


def test_alpha_per_task_skips_tasks_of_weight_zero():
    rows, _, _ = weighted_rows()
    alpha = np.array([1.0, 2.0, 30.0, 4.0])
    model = MeanRegularizedRegressor(alpha, task_column=0, task_weight=[1, 0, 1, 1])
    model.fit(rows.long, rows.y)
    kept = rows.codes != 1
    without = MeanRegularizedRegressor(alpha[[0, 2, 3]], task_column=0)
    assert_same_model(model, without.fit(rows.long[kept], rows.y[kept]), rtol=1e-12)


# Names and order --------------------------------------------------------------------------------


@basic_models
@solvers
def test_order_of_rows_does_not_matter(model, K, solver):
    rows, weight, _ = weighted_rows(K)
    order = np.random.default_rng(5).permutation(len(rows.y))
    model = fit_long(model, rows, weight, solver=solver)
    other = clone(model).fit(rows.long[order], rows.y[order], weight[order])
    direct = K is None and solver == "direct"
    assert_same_model(model, other, rtol=1e-12 if direct else 1e-8)
    if K is None:
        p, moved = model.predict(rows.long), other.predict(rows.long[order])
        assert_allclose(moved, p[order], rtol=1e-10 if direct else 1e-7)
    else:
        p, moved = model.predict_proba(rows.long), other.predict_proba(rows.long[order])
        assert_allclose(moved, p[order], rtol=0, atol=1e-9)


@basic_models
@pytest.mark.parametrize(
    "names",
    [
        ["d", "a", "c", "b"],
        [40, -7, 3, 10**12],
        pd.Categorical(["x", "z", "y", "w"]),
        [("b", 1), ("a", 2), ("a", 1), ("c", 0)],
    ],
    ids=["str", "int", "category", "tuple"],
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
    assert_same_model(plain, named, rtol=accuracy(K, 1e-12, 1e-9), order=order)
    if K is None:
        assert_allclose(named.predict(frame), plain.predict(rows.long), rtol=1e-10)
    else:
        assert_array_equal(named.task_classes_, plain.task_classes_[order])
        assert_allclose(named.predict_proba(frame), plain.predict_proba(rows.long), rtol=1e-8)


@pytest.mark.parametrize("model", _problems.basic(2).values(), ids=_problems.basic(2))
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


# Features and targets ---------------------------------------------------------------------------


@basic_models
@pytest.mark.parametrize("constant", [1.0, 1e8])
def test_constant_added_to_a_feature_changes_no_prediction(model, K, constant):
    rows, weight, _ = weighted_rows(K)
    rows.X[:] = np.round(rows.X * 2**16) / 2**16  # the sum with 1e8 is then exact
    model = fit_long(model, rows, weight)
    shifted = rows.long.copy()
    shifted[:, 2] += constant
    other = clone(model).fit(shifted, rows.y, weight)
    # The mean of the features, where intercepts are penalized, has a rounding error itself.
    atol = accuracy(K, 1e-11, 1e-9) + 1e-16 * constant
    assert_allclose(other.coef_, model.coef_, rtol=0, atol=atol)
    eps = 1e-15 * constant * np.abs(model.coef_).max()  # of the intercept, at x = 0
    atol = accuracy(K, 1e-10, 1e-9) + 10 * eps
    assert_allclose(respond(other, shifted), respond(model, rows.long), rtol=0, atol=atol)


UNITS = [(None, factor, "auto") for factor in (1e-8, 1e-3, 1e8)]
UNITS += [(K, *case) for K in (2, 3) for case in ((1e-8, "cg"), (1e8, "direct"))]


@pytest.mark.parametrize(
    ("K", "factor", "solver", "name"),
    [(*case, name) for case in UNITS for name in models(case[0])],
)
def test_units_of_all_features(name, K, factor, solver):
    """Scaling X by s and the penalty weights by s^2 divides the coefficients by s."""
    rows, weight, _ = weighted_rows(K)
    model = models(K)[name]
    before = fit_long(model, rows, weight)
    z, alpha = respond(before, rows.long), model.alpha
    if isinstance(alpha, dict):
        alpha = {t: factor**2 * a for t, a in alpha.items()}
    else:
        alpha = factor**2 * np.asarray(alpha)
    scaled = {"alpha": alpha if np.ndim(alpha) or isinstance(alpha, dict) else float(alpha)}
    if hasattr(model, "alpha_shared"):
        scaled["alpha_shared"] = factor**2 * (model.alpha_shared or 0.0)
    rows.X *= factor
    after = fit_long(model, rows, weight, solver=solver, **scaled)
    atol = accuracy(K, 1e-11, 1e-8)
    assert_allclose(factor * after.coef_, before.coef_, rtol=0, atol=atol)
    assert_allclose(after.objective_, before.objective_, rtol=1e-12)
    if K is None:
        assert_allclose(after.predict(rows.long), z, rtol=1e-9)
        assert after.optimality_ < 1e-12
    else:
        assert_allclose(after.decision_function(rows.long), z, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    "model",
    [
        PooledRegressor(0.0),
        PooledRegressor(0.0, alpha_intercept=0.0),
        SharedL2Regressor(0.0),
        MeanRegularizedRegressor(0.0),
        MeanRegularizedRegressor(0.0, alpha_intercept=0.0),
        MeanRegularizedRegressor(np.inf),
    ],
    ids=repr,
)
@pytest.mark.parametrize("d", [4, 70], ids=["small", "large"])
def test_units_of_each_feature_do_not_matter_to_least_squares(model, d):
    rows = make_rows(sizes=(2 * d, 3 * d, 2 * d + 1), d=d)
    before = fit_long(model, rows)
    prediction = before.predict(rows.long)
    scale = 10.0 ** np.linspace(-8, 8, d)
    rows.X *= scale
    after = fit_long(model, rows)
    largest = np.abs(before.coef_).max()
    assert_allclose(after.coef_ * scale, before.coef_, rtol=0, atol=1e-9 * largest)
    if hasattr(after, "shared_coef_"):
        center = after.shared_coef_ * scale
        assert_allclose(center, before.shared_coef_, rtol=0, atol=1e-9 * largest)
    assert_allclose(after.predict(rows.long), prediction, rtol=0, atol=1e-9 * largest)


@n_classes
def test_units_of_each_feature_do_not_matter_without_a_penalty(K):
    rows, weight, _ = weighted_rows(K)
    for model in (PooledClassifier(0.0), SharedL2Classifier(0.0)):
        before = fit_long(model, rows, weight)
        scale = np.array([1e-8, 1.0, 1e8])
        after = fit_long(model, Rows(rows.X * scale, rows.y, rows.codes), weight)
        assert_allclose(after.coef_ * scale, before.coef_, rtol=0, atol=1e-8)
        assert_allclose(after.objective_, before.objective_, rtol=1e-12)


@pytest.mark.parametrize("model", _problems.basic(None).values(), ids=_problems.basic(None))
@pytest.mark.parametrize("factor", [-1.0, 1e-9, 1e9])
def test_units_of_the_target(model, factor):
    rows = make_rows()
    before = fit_long(model, rows)
    rows.y *= factor
    after = fit_long(model, rows)
    for name in ("coef_", "intercept_"):
        expected = factor * getattr(before, name)
        atol = 1e-12 * np.abs(expected).max()
        assert_allclose(getattr(after, name), expected, rtol=0, atol=atol)
    assert_allclose(after.objective_, factor**2 * before.objective_, rtol=1e-11)


# Limits -----------------------------------------------------------------------------------------


@families
@pytest.mark.parametrize("alpha_intercept", [0.0, 2.0, np.inf])
@pytest.mark.parametrize("alpha_shared", [0.0, 0.7])
def test_alpha_infinity_is_the_pooled_model(K, alpha_intercept, alpha_shared):
    rows, weight, _ = weighted_rows(K)
    pooled, _, mean = kinds(K)
    params = {"alpha_intercept": alpha_intercept}
    expected = fit_long(pooled(alpha_shared, **params), rows, weight)
    found = fit_long(mean(np.inf, alpha_shared=alpha_shared, **params), rows, weight)
    assert_same_model(found, expected, rtol=1e-12)


@families
def test_alpha_zero_is_separate_models(K):
    rows, weight, _ = weighted_rows(K)
    _, separate, mean = kinds(K)
    separate = fit_long(separate(0.0), rows, weight)
    rtol = accuracy(K, 1e-10, 1e-8)
    for alpha_shared in (0.0, 0.5, np.inf):
        found = mean(0.0, alpha_shared=alpha_shared, alpha_intercept=0.0)
        found = fit_long(found, rows, weight)
        assert_same_model(found, separate, rtol=rtol, center=False)
        center = 0 if alpha_shared else separate.coef_.mean(axis=0)
        assert_allclose(found.shared_coef_, center, rtol=0, atol=1e-8)


@pytest.mark.parametrize("sizes", [(9, 5, 14, 7), (9, 2, 14, 1)], ids=["full", "n_t < d"])
@pytest.mark.parametrize("estimator", [SharedL2Regressor, MeanRegularizedRegressor])
def test_alpha_zero_is_the_limit(estimator, sizes):
    rows = make_rows(sizes=sizes)
    exact = _problems.fit_long(estimator(0.0), rows)
    errors = []
    for alpha in (1e-5, 1e-7):
        near = _problems.fit_long(estimator(alpha), rows)
        errors.append(np.abs(near.predict(rows.long) - exact.predict(rows.long)).max())
        assert_same_model(near, exact, rtol=2e3 * alpha)
    assert errors[1] < 0.1 * errors[0] or errors[1] < 1e-11


LIMITS = [
    (0, {}, "alpha"),
    (0, {}, "alpha_intercept"),
    (1, {}, "alpha"),
    (2, {}, "alpha"),
    (2, {"alpha_intercept": 0.0}, "alpha"),
    (2, {}, "alpha_shared"),
    (2, {}, "alpha_intercept"),
]


@families
@pytest.mark.parametrize(("kind", "params", "name"), LIMITS)
@pytest.mark.parametrize("limit", [0.0, np.inf])
def test_penalty_weights_approach_their_limits(kind, params, name, limit, K):
    model, rows = kinds(K)[kind](**params), make_rows(K)
    exact = fit_long(model, rows, **{name: limit})
    steps, size, decrease = ((1e6, 1e8), 1e4, 0.1) if K is None else ((1e4, 1e6), 2e2, 0.02)
    differences = []
    for step in steps:
        near = fit_long(model, rows, **{name: step if limit else 1 / step})
        differences.append(respond(near, rows.long) - respond(exact, rows.long))
        for part in ("coef_", "intercept_"):
            assert_allclose(getattr(near, part), getattr(exact, part), rtol=0, atol=size / step)
    first, second = np.abs(differences).reshape(2, -1).max(axis=1)
    assert first > 0  # the exact limit is not just a large number
    assert second < decrease * first


@n_classes
@solvers
@pytest.mark.parametrize("warm_start", [False, True], ids=["cold", "warm"])
@pytest.mark.filterwarnings("ignore:Only one class was seen in task 0")
def test_free_intercepts_of_tasks_that_lack_classes_are_the_limit(K, solver, warm_start):
    """Where a task lacks a class, its intercept says nothing about that of the center."""
    rows = make_rows(K)
    rows = rows.take((rows.codes != 0) | (rows.y == 1) | (rows.y == 2))
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


# Forms, copies, threads -------------------------------------------------------------------------

FORMS = [(None, missing) for missing in (0.0, 0.3)] + [(2, 0.0)]


@pytest.mark.parametrize(
    ("K", "missing", "name"), [(*form, name) for form in FORMS for name in models(form[0])]
)
@pytest.mark.parametrize("weights", [None, "array", "balanced"])
def test_wide_form_is_the_long_form(name, K, missing, weights):
    X, Y = make_wide(n=25, missing=missing) if K is None else make_indicator()
    params, sample_weight = {"tol": 1e-11}, None
    if weights:
        sample_weight = np.random.default_rng(3).uniform(0.1, 2, len(X))
        params["task_weight"] = "balanced"
        if weights == "array":
            params["task_weight"] = np.array([2.0, 0.5, 1.0, 3.0])
        if K is not None:
            params["class_weight"] = {0: 0.4, 1: 2} if weights == "array" else "balanced"
    wide = clone(models(K)[name]).set_params(**params).fit(X, Y, sample_weight)
    rows, weight = melt(X, Y, sample_weight)
    long = fit_long(models(K)[name], rows, weight, **params)
    assert_same_model(long, wide, rtol=accuracy(K, 1e-11, 1e-8))
    assert_allclose(long.objective_, wide.objective_, rtol=accuracy(K, 1e-11, 1e-12))
    assert_array_equal(wide.tasks_, long.tasks_)
    assert_array_equal(wide.task_counts_, long.task_counts_)
    if K is None:
        every = [long.predict(np.column_stack([np.full(25, t), X])) for t in range(4)]
        assert_allclose(wide.predict(X), np.transpose(every), rtol=1e-10)
        return
    assert_array_equal(wide.task_classes_, long.task_classes_)
    proba = long.predict_proba(rows.long)[:, 1].reshape(Y.shape)
    assert_allclose(wide.predict_proba(X), proba, rtol=0, atol=1e-9)
    assert_array_equal(wide.predict(X), long.predict(rows.long).reshape(Y.shape))


@basic_models
def test_copies_are_reproducible(model, K):
    rows, weight, _ = weighted_rows(K)
    fitted = fit_long(model, rows, weight)
    response, coef = respond(fitted, rows.long), fitted.coef_.copy()
    for copied in (pickle.loads(pickle.dumps(fitted)), fitted.fit(rows.long, rows.y, weight)):
        assert_array_equal(copied.coef_, coef)
        assert_array_equal(respond(copied, rows.long), response)
    assert not hasattr(clone(fitted), "coef_")
    assert repr(clone(fitted)) == repr(fitted)


def _fit_seed(seed):
    rows = make_rows(sizes=(300, 200, 400) * 5, d=7, seed=seed)
    return fit_long(MeanRegularizedRegressor(3.0), rows).coef_


@pytest.mark.parametrize(
    "backend", ["8 threads", pytest.param("loky", marks=pytest.mark.slow), "threading"]
)
def test_fits_at_the_same_time_do_not_disturb_each_other(backend):
    expected = [_fit_seed(seed) for seed in range(8)]
    if backend == "8 threads":
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(_fit_seed, list(range(8)) * 4))
    else:
        jobs = (joblib.delayed(_fit_seed)(seed) for seed in range(8))
        found = joblib.Parallel(n_jobs=2, backend=backend)(jobs)
    for seed, coef in enumerate(found):
        assert_allclose(coef, expected[seed % 8], rtol=1e-13, atol=1e-13)
