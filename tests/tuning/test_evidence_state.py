"""``alpha="auto"`` belongs to a fit: nothing else estimates, and a failed fit keeps nothing."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal, assert_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import (
    check_sample_weight_equivalence_on_dense_data as check_sample_weights,
)

from skmtl import MeanRegularizedClassifier, MeanRegularizedRegressor
from tests._problems import Rows
from tests.linear_model.test_estimator_checks import LongMean
from tests.tuning._evidence import AUTO, fit, fit_classes, found, simulate, simulate_classes


def state(model):
    attributes = vars(model) | vars(model)["_reference"]._asdict()
    unlike = "history_", "_reference", "noise"
    return {name: np.copy(value) for name, value in attributes.items() if name not in unlike}


def new_rows(T):
    """Rows of tasks that fit did not see, and that differ by far more."""
    rows = simulate(T=T, seed=9, low=10, high=20, tau=4.0, tau_intercept=6.0)
    return np.column_stack([rows.codes + 100, rows.X]), rows.y


@pytest.mark.parametrize("T", [1, 4])
@pytest.mark.parametrize("task_weight", [None, "balanced", "uncertainty"])
def test_adapt_does_not_estimate(task_weight, T):
    rows = simulate(low=8, high=20)
    model = fit(rows, task_weight=task_weight, **AUTO)
    before = state(model)
    X, y = new_rows(T)
    adapted = model.adapt(X, y)
    assert_equal(state(model), before)
    assert_array_equal(found(adapted), found(model))
    # the new tasks are those of the numbers
    numbers = {"alpha": model.alpha_, "alpha_intercept": model.alpha_intercept_}
    same = fit(rows, task_weight=task_weight, **AUTO).set_params(**numbers).adapt(X, y)
    assert_array_equal(adapted.coef_[-T:], same.coef_[-T:])


@pytest.mark.parametrize("task_weight", [None, "uncertainty", "minimax"])
def test_a_fit_that_fails_leaves_no_trace(task_weight):
    """Of other rows, after the search: a warning of the solver that is an error."""
    rows, other = simulate(low=8, high=20), simulate(seed=4, tau=3.0, low=8, high=20)
    model = fit(rows, task_weight=task_weight, solver="cg", **AUTO)
    X, y = new_rows(2)
    model.set_params(max_iter=1)
    before = state(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        with pytest.raises(ConvergenceWarning):
            model.fit(other.long, other.y)
    assert_equal(state(model), before)
    if task_weight != "minimax":
        model.set_params(max_iter=1000)
        fresh = fit(rows, task_weight=task_weight, solver="cg", **AUTO)
        assert_array_equal(model.adapt(X, y).coef_, fresh.adapt(X, y).coef_)


@pytest.mark.parametrize("task_weight", [None, "uncertainty", "minimax"])
def test_a_first_fit_that_fails_leaves_no_rows(task_weight):
    rows = simulate(low=8, high=20)
    model = MeanRegularizedRegressor(
        task_column=0, task_weight=task_weight, solver="cg", max_iter=1, **AUTO
    )
    before = set(vars(model))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        with pytest.raises(ConvergenceWarning):
            model.fit(rows.long, rows.y)
    assert set(vars(model)) - before <= {"n_features_in_"}


# Data without information -------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e160, 1e-160])
def test_targets_without_squares(scale):
    rows = simulate()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=r"too (large|small) for their squares\. Scale them"):
            fit(Rows(rows.X, scale * rows.y, rows.codes), **AUTO)


@pytest.mark.parametrize("kind", [MeanRegularizedRegressor, MeanRegularizedClassifier])
@pytest.mark.parametrize(("scale", "weight"), [(1e160, 1.0), (1e100, 1.0), (1.0, 1e200)])
@pytest.mark.parametrize("columns", [0, [0, 1]])
def test_features_without_squares(columns, scale, weight, kind):
    rows = simulate()
    features = np.column_stack([scale * rows.X[:, 0], rows.X[:, 1:]])
    labels = [rows.codes % 3, rows.codes] if columns != 0 else [rows.codes]
    X, weights = np.column_stack([*labels, features]), np.full(len(rows.y), weight)
    with pytest.raises(ValueError, match="not finite: values of X or the weights are too large"):
        kind("auto", task_column=columns).fit(X, rows.y > 0, sample_weight=weights)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_features_that_say_nothing(value):
    """No slopes can differ: the intercepts are those of a model without features."""
    rows = simulate()
    constant = Rows(np.full_like(rows.X, value), rows.y, rows.codes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fit(constant, **AUTO)
        alone = fit(constant, alpha=np.inf, alpha_intercept="auto")
        classes = simulate_classes()
        constant = Rows(np.full_like(classes.X, value), classes.y, classes.codes)
        classifier = fit_classes(constant, **AUTO)
        pooled = fit_classes(constant, alpha=np.inf, alpha_intercept="auto")
    assert (model.alpha_, model.tau2_) == (np.inf, 0.0)
    assert model.alpha_intercept_ == pytest.approx(alone.alpha_intercept_, rel=1e-10)
    assert (classifier.alpha_, classifier.tau2_) == (np.inf, 0.0)
    assert classifier.alpha_intercept_ == pytest.approx(pooled.alpha_intercept_, rel=1e-10)


@pytest.mark.parametrize("kind", ["zero", "constant", "line"])
def test_a_target_without_noise_and_differences(kind):
    rows = simulate()
    y = {"zero": 0 * rows.y, "constant": 0 * rows.y + 3.1, "line": rows.X @ [1.0, -2.0, 0.5] + 3}
    with pytest.warns(UserWarning, match="neither noise nor differences between tasks"):
        model = fit(Rows(rows.X, y[kind], rows.codes), **AUTO)
    assert (model.alpha_, model.alpha_intercept_, model.sigma2_) == (np.inf, np.inf, 0.0)
    assert np.isnan([model.tau2_, model.tau2_intercept_]).all()
    np.testing.assert_allclose(model.predict(rows.long), y[kind], rtol=1e-9, atol=1e-12)


# Classes that have no evidence ------------------------------------------------------------------


def test_the_search_ends_where_values_have_rounding_errors():
    """Separated classes: the least value is at the bound, and depends on the fit before."""
    rows = simulate_classes(d=3, n=20)
    y = (rows.X[:, 0] > 0).astype(int)
    with pytest.warns(UserWarning, match="evidence grows without bound"):
        model = MeanRegularizedClassifier("auto", task_column=0).fit(rows.long, y)
    assert np.isinf([*model.alpha_, model.alpha_intercept_]).all()
    assert model.tau2_shared_ == np.inf


def test_classes_that_one_model_separates():
    rows = simulate_classes()
    separable = Rows(rows.X, (rows.X[:, 0] > 0).astype(int), rows.codes)
    with pytest.raises(ValueError, match="one model of all tasks separates the classes, and with"):
        fit_classes(separable, alpha_shared=0.0, **AUTO)
    assert np.isfinite(fit_classes(separable, alpha_shared=0.01, **AUTO).log_evidence_)
    ties = Rows(np.sign(rows.X), separable.y * (rows.X[:, 1] > 0), rows.codes)
    with pytest.raises(ValueError, match="one model of all tasks separates the classes, and with"):
        fit_classes(ties, alpha_shared=0.0, **AUTO)


@pytest.mark.filterwarnings("ignore:Only one class")
def test_a_variance_of_intercepts_without_bound():
    """The class is that of the task: no difference of intercepts would be too large."""
    rows = simulate_classes()
    by_task = Rows(rows.X, (rows.codes > 5).astype(int), rows.codes)
    with pytest.warns(UserWarning, match="is no estimate. Set alpha_intercept to a number"):
        model = fit_classes(by_task, **AUTO)
    assert model.tau2_intercept_ == np.inf
    with pytest.raises(ValueError, match=r"every task has one class only, and alpha_intercept=0"):
        fit_classes(by_task, alpha="auto", alpha_intercept=0.0)


def test_tasks_of_one_class_with_free_intercepts_have_no_part():
    """Their intercepts are at infinity: the evidence is that of the other tasks."""
    rows = simulate_classes()
    y = np.where(rows.codes == 0, 1, rows.y)
    params = {"alpha": "auto", "alpha_intercept": 0.0, "fit_intercept": True, "tol": 1e-11}
    with pytest.warns(UserWarning, match="Only one class"):
        model = fit_classes(Rows(rows.X, y, rows.codes), **params)
    kept = rows.codes > 0
    # the penalty on intercepts is zero: the mean of the features does not matter
    without = fit_classes(Rows(rows.X[kept], y[kept], rows.codes[kept]), **params)
    assert model.alpha_ == pytest.approx(without.alpha_, rel=1e-5)
    assert model.log_evidence_ == pytest.approx(without.log_evidence_, abs=1e-6)


# As scikit-learn counts rows --------------------------------------------------------------------


@pytest.mark.parametrize("alphas", [AUTO, {"alpha": "auto"}], ids=["both", "alpha"])
def test_sample_weights_are_equivalent_to_repetition(alphas):
    check_sample_weights("LongMean", LongMean(alpha_shared=0.1, **alphas))
