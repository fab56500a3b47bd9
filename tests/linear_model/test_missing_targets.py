"""NaN and weights of single targets in the wide form: fits and scores of what was observed."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score

from skmtl import (
    ADMMClassifier,
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
from skmtl.model_selection import RegularizationPathCV, TaskKFold

REGRESSORS = [
    PooledRegressor(),
    SharedL2Regressor(),
    MeanRegularizedRegressor(),
    MeanRegularizedRegressor(solver="cg", tol=1e-12),
    MeanRegularizedRegressor("auto", alpha_intercept="auto"),
    MeanRegularizedRegressor(task_weight="balanced"),
    MeanRegularizedRegressor(task_weight="uncertainty"),
    MeanRegularizedRegressor(task_weight="minimax"),
    GraphRegularizedRegressor(),
    ADMMRegressor("l21"),
    ADMMRegressor("network_lasso"),
]
CLASSIFIERS = [
    PooledClassifier(),
    SharedL2Classifier(),
    MeanRegularizedClassifier(),
    MeanRegularizedClassifier(class_weight="balanced", task_weight="balanced"),
    MeanRegularizedClassifier("auto"),
    MeanRegularizedClassifier(task_weight="minimax"),
    MeanRegularizedClassifier(task_classes="seen"),
    GraphRegularizedClassifier(),
    ADMMClassifier("l21"),
]


def data(missing=0.2, classes=False):
    """X, Y with NaN, weights of targets, of which some are zero."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 4))
    Y = X @ rng.normal(size=(4, 3)) + rng.normal(size=(40, 3))
    Y = (Y > 0.2).astype(float) if classes else Y
    Y[rng.random(Y.shape) < missing] = np.nan
    weight = rng.uniform(0.2, 2.0, Y.shape)
    weight[rng.random(Y.shape) < 0.1] = 0.0
    weight[5] = 0.0
    return X, Y, weight


def long_form(X, Y, weight):
    rows, tasks = np.nonzero(~np.isnan(Y))
    weight = None if weight is None else weight[rows, tasks]
    return np.column_stack([tasks, X[rows]]), Y[rows, tasks], weight


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("model", REGRESSORS + CLASSIFIERS, ids=repr)
def test_the_wide_form_is_the_long_form_of_observed_targets(model, weighted, missing):
    X, Y, weight = data(missing, classes=model in CLASSIFIERS)
    weight = weight if weighted else None
    wide = model.fit(X, Y, weight)
    found = wide.coef_.copy(), wide.intercept_.copy(), wide.task_counts_.copy()
    rows, y, row_weight = long_form(X, Y, weight)
    long = model.set_params(task_column=0).fit(
        rows, y.astype(int) if model in CLASSIFIERS else y, row_weight
    )
    model.set_params(task_column=None)
    # the search for the evidence's maximum ends at a norm of the gradient of 1e-5
    close = 1e-6 if getattr(model, "alpha", None) == "auto" and model in CLASSIFIERS else 1e-8
    assert_allclose(found[0], long.coef_, atol=close)
    assert_allclose(found[1], long.intercept_, atol=close)
    assert found[2].tolist() == long.task_counts_.tolist()


def test_weights_of_targets_that_are_equal_in_rows():
    X, Y, weight = data()
    one = MeanRegularizedRegressor().fit(X, Y, weight[:, 0])
    all_of_them = MeanRegularizedRegressor().fit(X, Y, np.tile(weight[:, :1], 3))
    assert_allclose(one.coef_, all_of_them.coef_)
    assert_allclose(
        one.score(X, Y, weight[:, 0]), all_of_them.score(X, Y, np.tile(weight[:, :1], 3))
    )


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, "Float64", "object"])
@pytest.mark.parametrize("weighted", [None, "rows", "targets"])
def test_r2_is_the_mean_over_tasks_of_observed_rows(kind, weighted):
    X, Y, weight = data()
    Y[1:, 2] = np.nan  # a single target has no R^2
    weight = {None: None, "rows": weight[:, 0], "targets": weight}[weighted]
    model = MeanRegularizedRegressor().fit(X, Y)
    Z, expected = model.predict(X), []
    for t in range(2):
        own = ~np.isnan(Y[:, t])
        w = weight if weight is None or weight.ndim == 1 else weight[:, t]
        w = None if w is None else w[own]
        expected.append(r2_score(Y[own, t], Z[own, t], sample_weight=w))
    given = pd.DataFrame(Y).astype(kind) if isinstance(kind, str) else kind(Y)
    assert_allclose(model.score(X, given, weight), np.mean(expected))
    with pytest.warns(UndefinedMetricWarning, match="no column of y has two observed"):
        assert np.isnan(model.score(X[1:2], Y[1:2]))


def test_accuracy_is_of_rows_whose_observed_labels_are_right():
    X, Y, weight = data(0.4, classes=True)
    Y[3] = np.nan
    model = MeanRegularizedClassifier().fit(X, Y)
    right, seen = (model.predict(X) == Y) | np.isnan(Y), ~np.isnan(Y)
    there = seen.any(axis=1)
    assert_allclose(model.score(X, Y), right.all(axis=1)[there].mean())
    own = weight[:, 1]
    expected = np.average(right.all(axis=1)[there], weights=own[there])
    assert_allclose(model.score(X, Y, own), expected)
    assert_allclose(model.score(X, Y, np.tile(own[:, None], 3)), expected)
    with pytest.warns(UndefinedMetricWarning, match="no label is observed"):
        assert np.isnan(model.score(X[3:4], Y[3:4]))


@pytest.mark.parametrize("model", [MeanRegularizedRegressor(), MeanRegularizedClassifier()])
def test_cross_validation_and_grid_search(model):
    X, Y, _ = data(0.3, classes=isinstance(model, MeanRegularizedClassifier))
    scores = cross_val_score(model, X, Y, cv=TaskKFold(4), error_score="raise")
    assert np.isfinite(scores).all()
    grid = {"alpha": [0.1, 1.0, 10.0, 1e4]}
    cv = TaskKFold() if isinstance(model, MeanRegularizedClassifier) else None
    search = GridSearchCV(model, grid, cv=cv, error_score="raise").fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_["alpha"] < 1e4


def test_bad_weights_of_targets():
    X, Y, weight = data()
    with pytest.raises(ValueError, match=r"\(40, 2\), expected \(40,\).* or \(40, 3\), one per"):
        MeanRegularizedRegressor().fit(X, Y, weight[:, :2])
    weight[:, 1] = 0.0
    with pytest.raises(ValueError, match=r"no observed label \(of positive weight\) in column 1"):
        MeanRegularizedRegressor().fit(X, Y, weight)


@pytest.mark.parametrize("classifier", [False, True])
def test_one_column_with_missing_targets(classifier):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 2))
    y = X[:, 0] + rng.normal(size=30)
    y = (y > 0).astype(float) if classifier else y
    y[::3] = np.nan
    seen = ~np.isnan(y)
    model = MeanRegularizedClassifier(2.0) if classifier else MeanRegularizedRegressor(2.0)
    coef = model.fit(X, y[:, None]).coef_
    assert_allclose(coef, clone(model).fit(X[seen], y[seen]).coef_)


@pytest.mark.parametrize("classifier", [False, True])
def test_targets_and_weights_of_the_wrong_shape(classifier):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(30, 2)), rng.normal(size=(30, 3))
    Y = (Y > 0).astype(float) if classifier else Y
    Y[0, 0] = np.nan
    model = MeanRegularizedClassifier() if classifier else MeanRegularizedRegressor()
    model.fit(X, Y)
    for wrong in (Y[:, :2], Y[:, :1], Y[:-1], np.column_stack([Y, Y])):
        with pytest.raises(ValueError, match=r"and the predictions|inconsistent numbers"):
            model.score(X, wrong)
    for wrong in (np.ones(29), np.ones((30, 2)), np.ones((3, 30))):
        with pytest.raises(ValueError, match=r"sample_weight has shape .* expected"):
            model.score(X, Y, wrong)


def test_folds_without_missing_labels_are_scored_alike():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(60, 2)), (rng.normal(size=(60, 3)) > 0).astype(float)
    Y[0, 0] = np.nan
    folds = [(np.arange(20, 60), np.arange(20)), (np.arange(40), np.arange(40, 60))]
    model = MeanRegularizedClassifier()
    search = RegularizationPathCV(model, [1.0], cv=folds, scoring="neg_log_loss").fit(X, Y)
    train, test = folds[1]
    p = model.fit(X[train], Y[train]).predict_proba(X[test])
    expected = np.mean([-log_loss(Y[test, t], p[:, t]) for t in range(3)])
    assert_allclose(search.cv_results_["split1_test_score"], expected)
