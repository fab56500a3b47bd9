"""X that holds nothing but the task column: a model of intercepts, lme4's ``1 + (1 | g)``."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import skmtl
from skmtl import ADMMRegressor, MeanRegularizedClassifier, MeanRegularizedRegressor, alpha_max
from skmtl.inspection import effective_dof, sharing_report, task_affinity, task_similarity
from skmtl.model_selection import RegularizationPathCV, TaskKFold
from skmtl.penalties import L1, L21, PENALTIES, Decomposed, TraceNorm

NAMES = ["Pooled", "SharedL2", "MeanRegularized", "GraphRegularized", "ADMM"]
TARGETS = ["numbers", "two classes", "three classes"]
ADMM = [*sorted(PENALTIES), L1(0.1) + TraceNorm(1.0), Decomposed(L21(1.0), L1(0.5))]
targets = pytest.mark.parametrize("target", TARGETS)


def make_rows(target="numbers", sizes=(12, 10, 15, 11, 13)):
    """Return labels only, the same with a feature that is zero, and y."""
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(len(sizes)), sizes)
    y = rng.standard_normal(len(sizes))[task] + rng.standard_normal(len(task))
    if target != "numbers":
        y = np.digitize(y, [0.0] if target == "two classes" else [-0.5, 0.5])
        for t in range(len(sizes)):  # every task has every class
            start, few = np.flatnonzero(task == t)[0], y.max() + 1
            y[start : start + 3 * few] = np.tile(np.arange(few), 3)
    X = pd.DataFrame({"g": np.array(list("abcdefghij"))[task]})
    return X, X.assign(zero=0.0), y


def estimator(name, target, **params):
    kind = getattr(skmtl, name + ("Regressor" if target == "numbers" else "Classifier"))
    return kind(task_column="g", **params)


def assert_equals_a_feature_of_zeros(model, target="numbers"):
    X, zero, y = make_rows(target)
    own, other = clone(model).fit(X, y), clone(model).fit(zero, y)
    assert own.coef_.shape == (*other.coef_.shape[:-1], 0)
    assert_allclose(own.intercept_, other.intercept_, atol=1e-7)
    assert_allclose(own.objective_, other.objective_, rtol=1e-8)
    assert other.optimality_ <= other.tol
    assert own.n_features_in_ == 1
    for method in ("predict", "predict_proba", "decision_function"):
        if hasattr(own, method) and not (method == "predict" and target != "numbers"):
            found = getattr(own, method)(X)
            assert_allclose(found, getattr(other, method)(zero), atol=1e-7)
    assert np.isfinite(own.score(X, y))


@targets
@pytest.mark.parametrize("name", NAMES)
def test_estimators(name, target):
    assert_equals_a_feature_of_zeros(estimator(name, target), target)


@targets
@pytest.mark.parametrize("alpha_intercept", [0.0, 2.5, np.inf])
@pytest.mark.parametrize("name", ["Pooled", "MeanRegularized", "GraphRegularized", "ADMM"])
def test_weights_of_intercepts(name, alpha_intercept, target):
    assert_equals_a_feature_of_zeros(
        estimator(name, target, alpha_intercept=alpha_intercept), target
    )


@targets
@pytest.mark.parametrize("penalty", ADMM, ids=str)
def test_penalties(penalty, target):
    assert_equals_a_feature_of_zeros(estimator("ADMM", target, penalty=penalty), target)


@targets
@pytest.mark.parametrize(
    "params",
    [
        {"alpha": 0.0},
        {"alpha": np.inf},
        {"alpha": dict(zip("abcde", range(1, 6), strict=True))},
        {"solver": "direct"},
        {"solver": "cg"},
        {"alpha_shared": 0.0},
        {"task_weight": "balanced"},
        {"task_weight": "minimax"},
    ],
    ids=str,
)
def test_parameters(params, target):
    assert_equals_a_feature_of_zeros(estimator("MeanRegularized", target, **params), target)


@pytest.mark.parametrize("params", [{"alpha": "auto"}, {"alpha_intercept": "auto"}], ids=str)
@pytest.mark.parametrize("target", TARGETS[:2])
def test_estimated_weights(params, target):
    params = {"alpha_intercept": "auto"} | params
    X, zero, y = make_rows(target)
    own = estimator("MeanRegularized", target, **params).fit(X, y)
    other = clone(own).fit(zero, y)
    assert_allclose(own.alpha_intercept_, other.alpha_intercept_, rtol=1e-6)
    assert_allclose(own.intercept_, other.intercept_, atol=1e-7)


def test_uncertainty_weights():
    assert_equals_a_feature_of_zeros(
        estimator("MeanRegularized", "numbers", task_weight="uncertainty")
    )


def test_shrunken_means_in_closed_form():
    X, _, y = make_rows()
    mean, n = (y[X["g"] == "b"].mean(), (X["g"] == "b").sum())
    model = MeanRegularizedRegressor(alpha_intercept=3.0, task_column="g").fit(X, y)
    shrunk = (n * mean + 3.0 * model.shared_intercept_) / (n + 3.0)
    assert_allclose(model.intercept_[1], shrunk)
    free = MeanRegularizedRegressor(alpha_intercept=0.0, task_column="g").fit(X, y)
    assert_allclose(free.intercept_[1], mean)


@pytest.mark.parametrize("alpha", ["auto", 1.0])
def test_random_intercepts_of_equal_tasks_in_closed_form(alpha):
    """With m rows in every task, REML is the analysis of variance."""
    X, _, y = make_rows(sizes=[6] * 9)
    table = y.reshape(9, 6)
    within = table.var(axis=1, ddof=1).mean()
    between = table.mean(axis=1).var(ddof=1) - within / 6
    model = MeanRegularizedRegressor(alpha, alpha_intercept="auto", task_column="g").fit(X, y)
    assert_allclose(model.alpha_intercept_, within / between, rtol=1e-6)


def test_containers():
    X, _, y = make_rows()
    expected = MeanRegularizedRegressor(task_column="g").fit(X, y).predict(X)
    polars = pl.DataFrame({"g": X["g"].to_list()})
    codes = X["g"].map(ord).to_numpy()[:, None]
    for other, column in [
        (polars, "g"),
        (polars.to_arrow(), "g"),
        (X.to_numpy(dtype=object), 0),
        (X.to_numpy(dtype=object), -1),
        (codes, 0),
        (codes.astype(np.float32), 0),
        (codes.tolist(), 0),
        (X, 0),
    ]:
        model = MeanRegularizedRegressor(task_column=column).fit(other, y)
        assert_allclose(model.predict(other), expected)


@targets
def test_adapt_unknown_tasks_and_copies(target):
    X, zero, y = make_rows(target)
    model = estimator("MeanRegularized", target, handle_unknown="shared", warm_start=True)
    other = clone(model).fit(zero, y)
    model.fit(X, y).fit(X, y)  # the second from the first
    new = X["g"].replace({"a": "new"})
    found = model.adapt(X.assign(g=new), y)
    assert "new" in found.tasks_
    assert_allclose(found.intercept_, other.adapt(zero.assign(g=new), y).intercept_, atol=1e-7)
    assert_allclose(model.predict(X.assign(g=new)), other.predict(zero.assign(g=new)))
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


@targets
def test_folds_reports_and_degrees_of_freedom(target):
    X, zero, y = make_rows(target)
    model = estimator("MeanRegularized", target, alpha_intercept=2.0)
    grid = {"alpha_intercept": [0.1, 10.0]}
    found = [
        (
            GridSearchCV(model, grid, cv=TaskKFold(3, task_column="g"))
            .fit(Z, y)
            .cv_results_["mean_test_score"],
            sharing_report(Z, y, model, cv=3)["gain"],
            effective_dof(clone(model).fit(Z, y), Z, y),
            *([task_affinity(Z, y, model, cv=3)] if target == "numbers" else []),
        )
        for Z in (X, zero)
    ]
    for own, other in zip(*found, strict=True):
        assert_allclose(own, other, rtol=1e-6)


@targets
@pytest.mark.parametrize("alphas", [3, [1.0]], ids=["grid", "given"])
@pytest.mark.parametrize("cv", [None, 3])
@pytest.mark.parametrize("name", ["Pooled", "MeanRegularized", "GraphRegularized"])
def test_searches(name, cv, alphas, target):
    X, zero, y = make_rows(target)
    model, grid = estimator(name, target), {"alpha_intercept": [0.1, 10.0]}
    own, other = (
        RegularizationPathCV(model, alphas=alphas, param_grid=grid, cv=cv).fit(Z, y)
        for Z in (X, zero)
    )
    assert own.best_params_["alpha_intercept"] == other.best_params_["alpha_intercept"]
    assert_allclose(own.best_score_, other.best_score_)


@pytest.mark.parametrize("penalty", sorted(PENALTIES))
def test_searches_over_penalties(penalty):
    X, zero, y = make_rows()
    search = RegularizationPathCV(ADMMRegressor(penalty, task_column="g"), alphas=[0.1, 1.0])
    assert_allclose(search.fit(X, y).predict(X), search.fit(zero, y).predict(zero))


def test_alpha_max_is_zero():
    X, _, y = make_rows()
    assert alpha_max(ADMMRegressor("l21", task_column="g"), X, y) == 0.0


def test_there_is_nothing_to_compare():
    X, _, y = make_rows()
    with pytest.raises(ValueError, match="compares coefficients, and the model has none"):
        task_similarity(MeanRegularizedRegressor(task_column="g").fit(X, y))


@pytest.mark.parametrize("column", ["g", 0])
@pytest.mark.parametrize("kind", [MeanRegularizedRegressor, MeanRegularizedClassifier])
def test_without_intercepts_there_is_nothing_to_fit(kind, column):
    X, _, y = make_rows("two classes")
    model = kind(task_column=column).fit(X, y)
    before = model.intercept_
    model.set_params(fit_intercept=False)
    with pytest.raises(ValueError, match=r"only the task column .* fit_intercept=False") as error:
        model.fit(X if column == "g" else X.to_numpy(), y)
    assert "Set fit_intercept=True" in str(error.value)
    assert model.intercept_ is before


def test_features_that_are_all_constant_in_a_softmax():
    """The residual of a coefficient without data was divided by zero."""
    _, zero, y = make_rows("three classes")
    for penalty in ("ridge", "graph", "mean_regularized"):
        model = estimator("ADMM", "three classes", penalty=penalty).fit(zero, y)
        assert model.optimality_ <= model.tol
