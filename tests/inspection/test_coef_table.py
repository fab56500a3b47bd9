"""Standard errors against the dense posterior and lme4, pooling factors against dense ones."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.preprocessing import StandardScaler

from skmtl import (
    ADMMRegressor,
    GraphRegularizedClassifier,
    GraphRegularizedRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    PooledClassifier,
    PooledRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
)
from skmtl.inspection import coef_table, pooling_factor
from skmtl.linear_model._posterior import _forms, posterior_of
from skmtl.pipeline import make_task_pipeline
from tests._data import MixedModel
from tests.linear_model._bayes import DensePosterior
from tests.linear_model.test_posterior import INF, D, T, dense, simulate

KINDS = {
    "pooled": (PooledRegressor, PooledClassifier, (INF, 0.7, 2.0), {"alpha_intercept": 2.0}),
    "separate": (SharedL2Regressor, SharedL2Classifier, (0.7, INF, 0.0), {}),
    "mean": (
        *(MeanRegularizedRegressor, MeanRegularizedClassifier),
        *((0.7, 0.4, 1.0), {"alpha_shared": 0.4, "alpha_intercept": 1.0}),
    ),
}


def block(table, name, task):
    return np.array(table[name])[[t is None if task is None else t == task for t in table["task"]]]


@pytest.mark.parametrize("name", KINDS)
def test_dense_standard_errors(name):
    kind, _, parameters, given = KINDS[name]
    X, codes, y, weight = simulate()
    model = kind(0.7, task_column=0, **given).fit(np.column_stack([codes, X]), y, weight)
    posterior = dense(parameters, X, codes, weight)
    expected = np.sqrt(model.sigma2_ * posterior.coefficient_variances())
    table = coef_table(model, interval=0.8)
    assert list(table["feature"][:4]) == ["x0", "x1", "x2", "intercept"]
    for t in range(T):
        assert_allclose(block(table, "std_error", t), expected[t + 1], rtol=1e-6)
        estimate = np.append(model.coef_[t], model.intercept_[t])
        assert_allclose(block(table, "estimate", t), estimate)
    if name == "separate":
        assert len(table["task"]) == 4 * T
    else:
        assert_allclose(block(table, "std_error", None), expected[0], rtol=1e-6)
        assert np.isnan(block(table, "pooling", None)).all()
    ends = stats.norm.interval(0.8, table["estimate"], table["std_error"])
    assert_allclose([table["lower"], table["upper"]], ends)


@pytest.mark.parametrize("name", KINDS)
def test_standard_errors_of_classifiers(name):
    _, kind, parameters, given = KINDS[name]
    X, codes, y, weight = simulate(40)
    y = y > np.median(y)
    rows = np.column_stack([codes, X])
    model = kind(0.7, task_column=0, **given).fit(rows, y, weight)
    p = model.predict_proba(rows)[:, 1]
    middle = weight @ X / weight.sum()
    alpha, shared, intercept = parameters
    posterior = DensePosterior(
        *(X, codes, weight * p * (1 - p), T, np.full((T, D), alpha), shared, intercept or 1e-9),
        middle=middle,
    )
    expected = np.sqrt(posterior.coefficient_variances())
    table = coef_table(model)
    for t in range(T):
        assert_allclose(block(table, "std_error", t), expected[t + 1], rtol=1e-3)
    if name != "separate":
        assert_allclose(block(table, "std_error", None), expected[0], rtol=1e-3)


GRAPH = [(0, 1), (1, 2, 0.5), (2, 3)]


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(
    "model",
    [
        PooledRegressor(0.7, alpha_intercept=2.0),
        SharedL2Regressor(1.5),
        MeanRegularizedRegressor([0.5, 2.0, 7.0, 0.0], alpha_shared=0.4),
        GraphRegularizedRegressor(3.0, alpha_shared=0.4),
        GraphRegularizedRegressor(3.0, task_graph=GRAPH, alpha_shared=0.4),
        GraphRegularizedClassifier(3.0, task_graph=GRAPH, alpha_shared=0.4),
        MeanRegularizedClassifier(2.0),
    ],
)
@pytest.mark.parametrize("d", [3, 50])
def test_mean_pooling(model, fit_intercept, d):
    X, codes, y, weight = simulate(10, d=d)
    y = y > np.median(y) if hasattr(model, "predict_proba") else y
    rows = np.column_stack([codes, X])
    model.set_params(fit_intercept=fit_intercept, task_column=0).fit(rows, y, weight)
    table = coef_table(model)
    means = [block(table, "pooling", t).mean() for t in range(T)]
    exact = not hasattr(model, "predict_proba")
    expected = pooling_factor(model, rows, y, weight)
    assert_allclose(means, expected, rtol=1e-8 if exact else 1e-3)


@pytest.mark.parametrize("covariance_type", ["diag", "full"])
def test_pooling_of_each_coefficient(covariance_type):
    # (H + S^-1)^-1 S^-1 of the coefficients at the mean, S their covariance in units of the noise
    X, codes, y, _ = simulate(n_tasks=12)
    rows = np.column_stack([codes, X])
    model = MeanRegularizedRegressor(
        "auto", covariance_type=covariance_type, alpha_intercept=INF, task_column=0
    ).fit(rows, y)
    S = np.linalg.inv(model.covariance_[:3, :3] / model.sigma2_)
    for t in (0, 7):
        Z = X[codes == t] - X.mean(axis=0)
        expected = np.diag(np.linalg.solve(Z.T @ Z + S, S))
        assert_allclose(block(coef_table(model), "pooling", t)[:3], expected, rtol=1e-5)


# Against lme4 -----------------------------------------------------------------------------------

LME4 = {
    "Reaction": (6.8245558, 1.5457889),
    "normexam": (0.04011127, 0.02011395),
    "log_radon": (0.05195641, 0.08388110),
}
PLAIN = {"alpha_shared": 0, "covariance_prior": 0, "task_column": 0}


def fitted(target, **params):
    data = MixedModel(target)
    X, fit_intercept = data.X[:, [0, 2]], True
    if params["covariance_type"] == "diag":  # independent at x = 0
        X, fit_intercept = data.X, False
    else:
        params["alpha_intercept"] = "auto"
    model = MeanRegularizedRegressor("auto", fit_intercept=fit_intercept, **PLAIN, **params)
    return model.fit(X, data.y)


@pytest.mark.parametrize("target", LME4)
def test_standard_errors_of_fixed_effects(target):
    table = coef_table(fitted(target, covariance_type="full"))
    slope, intercept = block(table, "std_error", None)
    assert_allclose([intercept, slope], LME4[target], rtol=2e-5)


def test_standard_errors_of_independent_coefficients():
    table = coef_table(fitted("Reaction", covariance_type="diag"))
    assert_allclose(block(table, "std_error", None), [6.8853815, 1.5595660], rtol=2e-5)


def test_conditional_standard_deviations():
    # lme4's condVar is given the fixed effects: it does not contain their uncertainty.
    model = fitted("Reaction", covariance_type="full")
    posterior, (Z, constant) = posterior_of(model), _forms(model)
    forms = np.column_stack([Z, constant])
    (covariance,), _ = posterior.conditional(np.flatnonzero(model.tasks_ == "308"))
    variances = model.sigma2_ * np.diag(forms @ covariance @ forms.T)
    assert_allclose(np.sqrt(variances), [2.304837, 12.07084], rtol=1e-5)
    # subject 308's coefficients contain it
    own = block(coef_table(model), "std_error", "308")
    assert (own > np.sqrt(variances)).all()


# Names and messages -----------------------------------------------------------------------------


def test_names_and_pipelines():
    pd = pytest.importorskip("pandas")
    X, codes, y, _ = simulate()
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame["group"] = np.array(["p", "q", "r", "s"])[codes]
    model = MeanRegularizedRegressor(3.0, task_column="group").fit(frame, y)
    table = coef_table(model)
    assert list(table.columns) == [
        *("task", "feature", "estimate", "std_error", "lower", "upper", "pooling")
    ]
    assert list(table["feature"][:4]) == ["a", "b", "c", "intercept"]
    assert table["task"].isna().sum() == 4
    assert list(table["task"].dropna().unique()) == ["p", "q", "r", "s"]
    pipe = make_task_pipeline(
        StandardScaler(), MeanRegularizedRegressor(3.0, task_column="group")
    ).fit(frame, y)
    assert list(coef_table(pipe)["feature"][:4]) == ["a", "b", "c", "intercept"]


def test_without_pandas(monkeypatch):
    X, codes, y, _ = simulate()
    model = MeanRegularizedRegressor(3.0, task_column=0).fit(np.column_stack([codes, X]), y)
    monkeypatch.setitem(sys.modules, "pandas", None)
    table = coef_table(model)
    assert isinstance(table, dict)
    assert table["task"][:5].tolist() == [None] * 4 + [0]


def test_messages():
    X, codes, y, _ = simulate()
    rows = np.column_stack([codes, X])
    model = MeanRegularizedRegressor(3.0, task_column=0).fit(rows, y)
    with pytest.raises(ValueError, match="between 0 and 1, got 95"):
        coef_table(model, interval=95)
    with pytest.raises(ValueError, match="its penalty is not quadratic"):
        coef_table(ADMMRegressor(task_column=0).fit(rows, y))
    three = MeanRegularizedClassifier(task_column=0).fit(rows, np.arange(len(y)) % 3)
    with pytest.raises(ValueError, match="more than two classes"):
        coef_table(three)
    model.set_params(solver="cg").fit(rows, y)
    with pytest.raises(ValueError, match="solver='direct'"):
        coef_table(model)


def test_a_warm_start_at_the_solution():
    # no step is made there, which would have computed the curvature
    X, codes, y, _ = simulate(40)
    rows = np.column_stack([codes, X])
    model = MeanRegularizedClassifier(task_column=0, warm_start=True).fit(rows, y > np.median(y))
    before = coef_table(model)["std_error"]
    assert len(model.fit(rows, y > np.median(y)).history_) == 1
    assert_allclose(coef_table(model)["std_error"], before, rtol=1e-3)
