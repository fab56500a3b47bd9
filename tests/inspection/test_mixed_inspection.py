"""What inspection says of tasks of different kinds."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.metrics import log_loss, mean_poisson_deviance, mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MeanRegularizedRegressor, MixedOutcomeModel
from skmtl.data import class_numbers
from skmtl.inspection import (
    CoefficientShrinkageDisplay,
    sharing_report,
    task_affinity,
    task_similarity,
)
from skmtl.inspection._models import _KnownTaskFolds, tuned
from tests.linear_model.test_mixed import COUNTS, fitted, long_form, table, with_gaps

ROWS = ["score", "ill", *(("kind", label) for label in "abc"), "smokes", "visits"]


@pytest.mark.parametrize("metric", ["correlation", "cosine"])
def test_similarity_is_of_the_rows_of_the_coefficients(metric):
    X, y = table()
    model = fitted(X, y)
    found = task_similarity(model, metric)
    assert list(found.index) == ROWS
    W = model.coef_ - (model.coef_.mean(axis=1, keepdims=True) if metric == "correlation" else 0)
    unit = W / np.linalg.norm(W, axis=1, keepdims=True)
    assert_allclose(found, unit @ unit.T, atol=1e-12)
    predicted = task_similarity(model, X=X)
    assert_allclose(predicted, np.corrcoef(X @ model.coef_.T, rowvar=False), atol=1e-12)
    other = fitted(X, y.assign(score=1000 * y["score"]))  # units do not matter
    assert_allclose(task_similarity(other, metric), found, atol=1e-6)
    for params in ({"metric": "distance"}, {"centered": True}):
        with pytest.raises(ValueError, match="no common unit"):
            task_similarity(model, **params)


@pytest.mark.parametrize("long", [False, True])
def test_shrinkage_of_the_rows_of_the_coefficients(long):
    pytest.importorskip("matplotlib")
    X, y = table()
    params = {}
    if long:
        X, y = long_form(X, y)
        params = {"task_column": "task"}
    model = fitted(X, y, "mean_regularized", 30.0, **params)
    name = "x1"
    shown = CoefficientShrinkageDisplay.from_estimator(model, X, y, features=name)
    labels = [("kind", label) for label in "abc"]
    expected = sorted(map(str, ROWS)) if long else list(map(str, ROWS))
    assert sorted(map(str, shown.tasks)) == sorted(expected)
    assert set(labels) <= set(shown.tasks)
    assert_allclose(shown.shared[:, 0], model.coef_[:, 1])
    alone = MixedOutcomeModel("ridge", 1e-2, losses=COUNTS, **params).fit(X, y)
    assert_allclose(shown.own[:, 0], alone.coef_[:, 1], rtol=1e-6)
    assert shown.counts.tolist() == [120] * 7
    separate = MeanRegularizedRegressor()
    with pytest.raises(TypeError, match="Pass a MixedOutcomeModel as separate"):
        CoefficientShrinkageDisplay.from_estimator(model, X, y, separate=separate)


def test_comparisons_say_what_to_use_instead():
    X, y = table()
    model = MixedOutcomeModel(losses=COUNTS)
    with pytest.raises(TypeError, match=r"tasks of different kinds.*Use sharing_report"):
        task_affinity(X, y, model)
    with pytest.raises(ValueError, match=r"Leave scoring at None, or use task_scores"):
        sharing_report(X, y, model, scoring="r2")
    one, two = MeanRegularizedRegressor(), y[["score", "visits"]]
    with pytest.raises(TypeError, match="Pass a MixedOutcomeModel as pooled or separate"):
        sharing_report(X, two, model, separate=one)


def own_losses(model, X, y):
    """Return the mean loss of each task, by scikit-learn."""
    predicted, p, losses = model.predict(X), model.predict_proba(X), {}
    for task in y:
        seen = y[task].notna().to_numpy()
        true = y[task][seen].tolist()
        if task in p:
            labels = model.classes_[task].tolist()
            losses[task] = log_loss(true, p[task][seen], labels=labels)
        else:
            metric = mean_poisson_deviance if task == "visits" else mean_squared_error
            losses[task] = metric(true, predicted[task][seen].astype(float))
    return losses


@pytest.mark.parametrize("gaps", [False, True])
def test_report_compares_the_own_loss_of_each_task(gaps):
    X, y = table()
    y = with_gaps(y) if gaps else y
    model = MixedOutcomeModel(alpha=10.0, losses=COUNTS)
    apart = MixedOutcomeModel("ridge", alpha=1.0, losses=COUNTS)
    half = np.arange(120) % 2
    cv = [(np.flatnonzero(half == 0), np.flatnonzero(half == 1))]
    report = sharing_report(X, y, model, separate=apart, cv=cv)
    (train, test), columns = cv[0], {"shared": model, "separate": apart}
    for name, own in columns.items():
        fit = clone(own).fit(X[train], y.iloc[train])
        expected = own_losses(fit, X[test], y.iloc[test])
        assert list(report.index) == list(expected)
        assert_allclose(report[name], list(expected.values()), rtol=1e-7)
    assert report["n_rows"].tolist() == y.iloc[test].notna().sum().tolist()
    assert_allclose(report["gain"], report["separate"] - report["shared"])
    assert report[["pooled", "gain_over_pooled", "gain_over_pooled_std"]].isna().all(axis=None)
    assert report["p_value"].between(0, 1).all()
    both = sharing_report(X, y, model, separate=apart, pooled=apart, cv=cv)
    assert_allclose(both["pooled"], both["separate"])


def test_report_of_the_long_form_and_of_pipelines():
    X, y = table()
    y = with_gaps(y)
    frame, targets = long_form(X, y)
    row, _ = np.nonzero(y.notna().to_numpy())
    half = np.arange(120) % 2
    wide = [(np.flatnonzero(half == 0), np.flatnonzero(half == 1))]
    long = [(np.flatnonzero(half[row] == 0), np.flatnonzero(half[row] == 1))]
    params = {"alpha": 10.0, "losses": COUNTS, "tol": 1e-9, "task_weight": None}
    model = MixedOutcomeModel("mean_regularized", **params)
    given = {"separate": clone(model).set_params(penalty="ridge")}
    expected = sharing_report(
        X, y, make_pipeline(StandardScaler(with_std=False), model), cv=wide, **given
    )
    model = clone(model).set_params(task_column="task")
    given = {"separate": clone(model).set_params(penalty="ridge")}
    found = sharing_report(frame, targets, model, cv=long, **given).loc[expected.index]
    assert_allclose(found["n_rows"], expected["n_rows"])
    for name in ("separate", "shared", "gain", "gain_std"):
        assert_allclose(found[name], expected[name], atol=1e-6)


def test_separate_models_are_tuned():
    X, y = table()
    report = sharing_report(X, y, MixedOutcomeModel(alpha=10.0, losses=COUNTS, tol=1e-6), cv=2)
    assert np.isfinite(report[["separate", "shared", "p_value", "joint_p_value"]]).all(axis=None)
    assert report["negative_transfer"].dtype == bool
    again = sharing_report(
        X,
        y.assign(score=1000.0 * y["score"]),
        MixedOutcomeModel(alpha=10.0, losses=COUNTS, tol=1e-6),
        cv=2,
    )
    others = ["ill", "kind", "smokes", "visits"]
    assert_allclose(again.loc[others, "shared"], report.loc[others, "shared"], rtol=1e-4)


@pytest.mark.parametrize("long", [False, True])
def test_separate_models_are_chosen_by_the_losses_that_are_compared(long):
    X, y = table(90, 12)
    y["score"] += 15.0 * np.random.default_rng(1).normal(size=90)
    params = {"losses": COUNTS, "task_column": "task" if long else None, "tol": 1e-10}
    frame, targets = long_form(X, y) if long else (X, y)
    separate = tuned("separate", MixedOutcomeModel("l21", **params)).fit(frame, targets)
    x = frame.drop(columns="task").to_numpy() if long else X
    codes = class_numbers(targets, wide=not long)
    folds = list(_KnownTaskFolds(params["task_column"], False).split(frame, codes))
    step = np.sqrt(10.0)  # between alphas of the grid
    for task in ("score", "kind", "visits"):
        own = (frame["task"] == task).to_numpy() if long else np.ones(90, dtype=bool)
        true = pd.DataFrame({task: targets}) if long else y[[task]]
        kind, losses = {t: loss for t, loss in COUNTS.items() if t == task}, []
        for fold in folds:
            train, test = (part[own[part]] for part in fold)
            for factor in (1 / step, 1.0, step):
                alone = MixedOutcomeModel("ridge", factor * separate.alphas_[task], losses=kind)
                alone.fit(x[train], true.iloc[train])
                losses.append(own_losses(alone, x[test], true.iloc[test])[task])
        assert np.reshape(losses, (3, 3)).mean(axis=0).argmin() == 1
    model = separate.best_estimator_
    for task, alpha in separate.alphas_.items():
        expected = clone(model).set_params(alpha=alpha).fit(frame, targets)
        place = expected.coef_tasks_ == task
        assert_allclose(model.coef_[place], expected.coef_[place], atol=1e-7)
        assert_allclose(model.intercept_[place], expected.intercept_[place], atol=1e-6)
    assert len(set(separate.alphas_.values())) > 1
