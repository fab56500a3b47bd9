"""The same problem told in another way has the same solution."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skmtl import MeanRegularizedRegressor, PooledRegressor, SharedL2Regressor
from tests._problems import (
    MODELS,
    TASK_WEIGHT,
    assert_same_model,
    fit_long,
    make_rows,
    make_wide,
    melt,
    weighted_rows,
)

all_models = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
BASIC = {
    "pooled": PooledRegressor(2.0, alpha_intercept=4.0),
    "separate": SharedL2Regressor(2.0),
    "mean": MeanRegularizedRegressor(2.0, alpha_shared=0.5),
}
basic_models = pytest.mark.parametrize("model", BASIC.values(), ids=BASIC)


@all_models
@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("weights", [None, "array", "balanced"])
def test_wide_form_is_the_long_form(model, missing, weights):
    X, Y = make_wide(n=25, missing=missing)
    sample_weight = None
    if weights:
        sample_weight = np.random.default_rng(3).uniform(0.1, 2, len(X))
    task_weight = np.array([2.0, 0.5, 1.0, 3.0]) if weights == "array" else weights
    wide = clone(model).set_params(task_weight=task_weight).fit(X, Y, sample_weight)
    long, y, weight = melt(X, Y, sample_weight)
    model = clone(model).set_params(task_column=0, task_weight=task_weight)
    model.fit(long, y, weight)
    assert_same_model(model, wide, rtol=1e-11)
    assert_allclose(model.objective_, wide.objective_, rtol=1e-11)
    assert_array_equal(wide.tasks_, model.tasks_)
    assert_array_equal(wide.task_counts_, model.task_counts_)
    every = [model.predict(np.column_stack([np.full(25, t), X])) for t in range(4)]
    assert_allclose(wide.predict(X), np.transpose(every), rtol=1e-10)


@all_models
def test_weights_are_repeated_rows(model):
    rows, _, _ = weighted_rows()
    times = np.random.default_rng(4).integers(1, 4, len(rows.y))
    for task_weight in (None, "balanced", TASK_WEIGHT):
        weighted = fit_long(model, rows, times, task_weight=task_weight)
        repeated = clone(weighted).fit(np.repeat(rows.long, times, axis=0), rows.y.repeat(times))
        assert_same_model(weighted, repeated, rtol=1e-11)


@all_models
def test_task_weight_multiplies_sample_weights(model):
    rows, sample_weight, weight = weighted_rows()
    by_task = fit_long(model, rows, sample_weight, task_weight=TASK_WEIGHT)
    assert_same_model(by_task, fit_long(model, rows, weight), rtol=1e-11)


@basic_models
@pytest.mark.parametrize("by", ["rows", "sample weight of a task", "task_weight"])
def test_weight_zero_is_absence(model, by):
    rows, sample_weight, _ = weighted_rows()
    absent = np.zeros(len(rows.y), dtype=bool)
    absent[::5] = True
    if by != "rows":
        absent = rows.codes == 2
    zeroed, params = np.where(absent, 0, sample_weight), {}
    if by == "task_weight":
        zeroed, params = sample_weight, {"task_weight": {0: 1, 1: 1, 2: 0, 3: 1}}
    model = fit_long(model, rows, zeroed, **params)
    kept = ~absent
    without = clone(model).set_params(task_weight=None)
    without.fit(rows.long[kept], rows.y[kept], sample_weight[kept])
    assert_same_model(model, without, rtol=1e-12)
    assert_array_equal(model.tasks_, without.tasks_)
    assert_array_equal(model.task_counts_, without.task_counts_)
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


@basic_models
def test_order_of_rows_does_not_matter(model):
    rows, weight, _ = weighted_rows()
    order = np.random.default_rng(5).permutation(len(rows.y))
    model = fit_long(model, rows, weight)
    other = clone(model).fit(rows.long[order], rows.y[order], weight[order])
    assert_same_model(model, other, rtol=1e-12)
    assert_allclose(model.predict(rows.long)[order], other.predict(rows.long[order]), rtol=1e-10)


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
def test_labels_are_names(model, names):
    rows, weight, _ = weighted_rows()
    plain = fit_long(model, rows, weight)
    frame = pd.DataFrame(rows.X, columns=list("abc"))
    labels = [names[t] for t in rows.codes]
    if isinstance(names, pd.Categorical):
        labels = names.take(rows.codes)
    frame.insert(1, "task", labels)
    named = clone(model).set_params(task_column="task").fit(frame, rows.y, weight)
    assert list(named.tasks_) == sorted(names)
    order = [list(names).index(label) for label in named.tasks_]
    assert_same_model(plain, named, rtol=1e-12, order=order)
    assert_allclose(named.predict(frame), plain.predict(rows.long), rtol=1e-10)


@pytest.mark.parametrize("sizes", [(9, 5, 14, 7), (9, 2, 14, 1)], ids=["full", "n_t < d"])
@pytest.mark.parametrize("estimator", [SharedL2Regressor, MeanRegularizedRegressor])
def test_alpha_zero_is_the_limit(estimator, sizes):
    rows = make_rows(sizes=sizes)
    exact = fit_long(estimator(0.0), rows)
    errors = []
    for alpha in (1e-5, 1e-7):
        near = fit_long(estimator(alpha), rows)
        errors.append(np.abs(near.predict(rows.long) - exact.predict(rows.long)).max())
        assert_same_model(near, exact, rtol=2e3 * alpha)
    assert errors[1] < 0.1 * errors[0] or errors[1] < 1e-11


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (PooledRegressor(), "alpha"),
        (SharedL2Regressor(), "alpha"),
        (MeanRegularizedRegressor(), "alpha"),
        (MeanRegularizedRegressor(), "alpha_shared"),
        (MeanRegularizedRegressor(), "alpha_intercept"),
        (PooledRegressor(), "alpha_intercept"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
@pytest.mark.parametrize("limit", [0.0, np.inf])
def test_strengths_approach_their_limits(model, name, limit):
    rows = make_rows()
    exact = fit_long(model, rows, **{name: limit})
    differences = []
    for step in (1e6, 1e8):
        near = fit_long(model, rows, **{name: step if limit else 1 / step})
        differences.append(near.predict(rows.long) - exact.predict(rows.long))
        for part in ("coef_", "intercept_"):
            assert_allclose(getattr(near, part), getattr(exact, part), rtol=0, atol=1e4 / step)
    first, second = np.abs(differences).max(axis=1)
    assert first > 0  # the exact limit is not just a large number
    assert second < 0.1 * first


def test_alpha_zero_and_infinity_are_separate_and_pooled_models():
    rows, weight, _ = weighted_rows()
    free = {"alpha_intercept": 0.0}
    separate = fit_long(MeanRegularizedRegressor(0.0, **free), rows, weight)
    assert_same_model(separate, fit_long(SharedL2Regressor(0.0), rows, weight), center=False)
    pooled = fit_long(MeanRegularizedRegressor(np.inf, alpha_intercept=2.0), rows, weight)
    expected = fit_long(PooledRegressor(0.0, alpha_intercept=2.0), rows, weight)
    assert_same_model(pooled, expected, rtol=1e-12)


@basic_models
@pytest.mark.parametrize("constant", [1.0, 1e8])
def test_constant_added_to_a_feature_changes_no_prediction(model, constant):
    rows, weight, _ = weighted_rows()
    rows.X[:] = np.round(rows.X * 2**16) / 2**16  # the sum with 1e8 is then exact
    model = fit_long(model, rows, weight)
    shifted = rows.long.copy()
    shifted[:, 2] += constant
    other = clone(model).fit(shifted, rows.y, weight)
    # The mean of the features, where levels are drawn together, has a rounding error itself.
    assert_allclose(other.coef_, model.coef_, rtol=0, atol=1e-11 + 1e-16 * constant)
    eps = 1e-15 * constant * np.abs(model.coef_).max()  # of the intercept, at x = 0
    prediction = model.predict(rows.long)
    assert_allclose(other.predict(shifted), prediction, rtol=0, atol=1e-10 + 10 * eps)


@all_models
@pytest.mark.parametrize("factor", [1e-8, 1e-3, 1e8])
def test_units_of_all_features(model, factor):
    """Scaling X by s and the strengths by s^2 divides the coefficients by s."""
    rows, weight, _ = weighted_rows()
    before = fit_long(model, rows, weight)
    prediction = before.predict(rows.long)
    alpha = model.alpha
    if isinstance(alpha, dict):
        alpha = {t: factor**2 * a for t, a in alpha.items()}
    else:
        alpha = factor**2 * np.asarray(alpha)
    scaled = {"alpha": alpha if np.ndim(alpha) or isinstance(alpha, dict) else float(alpha)}
    if hasattr(model, "alpha_shared"):
        scaled["alpha_shared"] = factor**2 * model.alpha_shared
    rows.X *= factor
    after = fit_long(model, rows, weight, **scaled)
    assert_allclose(factor * after.coef_, before.coef_, rtol=0, atol=1e-11)
    assert_allclose(after.predict(rows.long), prediction, rtol=1e-9)
    assert after.optimality_ < 1e-12


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


@basic_models
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


@basic_models
def test_fit_predict_copies_are_reproducible(model):
    rows, weight, _ = weighted_rows()
    fitted = fit_long(model, rows, weight)
    prediction = fitted.predict(rows.long)
    coef = fitted.coef_.copy()
    for copied in (pickle.loads(pickle.dumps(fitted)), fitted.fit(rows.long, rows.y, weight)):
        assert_array_equal(copied.coef_, coef)
        assert_array_equal(copied.predict(rows.long), prediction)
    assert not hasattr(clone(fitted), "coef_")
    assert repr(clone(fitted)) == repr(fitted)


def _fit_seed(seed):
    rows = make_rows(sizes=(300, 200, 400) * 5, d=7, seed=seed)
    return fit_long(MeanRegularizedRegressor(3.0), rows).coef_


@pytest.mark.parametrize("backend", ["8 threads", "loky", "threading"])
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
