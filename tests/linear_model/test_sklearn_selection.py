"""Feature selectors and ensembles of scikit-learn, in front of a model and around it."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
)
from sklearn.feature_selection import RFE, RFECV, SelectFromModel, SequentialFeatureSelector
from sklearn.linear_model import Lasso
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import (
    ADMMRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    PooledRegressor,
    SharedL2Regressor,
)
from skmtl.datasets import make_multitask_classification, make_multitask_regression
from skmtl.model_selection import TaskKFold
from skmtl.pipeline import make_task_pipeline

X, Y = make_multitask_regression(n_tasks=4, n_features=6, random_state=0)
SELECTORS = {
    "SelectFromModel": SelectFromModel(Lasso(0.5)),
    "RFE": RFE(Lasso(0.1), n_features_to_select=3),
    "RFECV": RFECV(Lasso(0.1), min_features_to_select=2),
    "SequentialFeatureSelector": SequentialFeatureSelector(Lasso(0.1), n_features_to_select=3),
}
selectors = pytest.mark.parametrize("selector", SELECTORS.values(), ids=SELECTORS)


def frame(array, position=0):
    """Return columns x1, x2, ... with labels "a", "b", ... as column "task" at a position."""
    columns = [(f"x{j}", array[:, j]) for j in range(1, array.shape[1])]
    columns.insert(position, ("task", np.array(list("abcd"))[array[:, 0].astype(int)]))
    return pd.DataFrame(dict(columns))


def importance(model):
    """Return a size for each column, the task column in front, which is never left out."""
    return np.r_[1e100, np.linalg.norm(model.coef_, axis=0)]


@selectors
@pytest.mark.parametrize("form", ["array", "pandas", "polars"])
def test_selectors_in_front_of_a_model(selector, form):
    Z, column = (X, 0) if form == "array" else (frame(X, 3), "task")
    Z = pl.from_pandas(Z) if form == "polars" else Z
    model = make_task_pipeline(clone(selector), MeanRegularizedRegressor(task_column=column))
    kept = clone(selector).fit(X[:, 1:], Y).get_support()
    by_hand = X[:, np.r_[True, kept]]
    expected = MeanRegularizedRegressor(task_column=0).fit(by_hand, Y).predict(by_hand)
    assert_allclose(model.fit(Z, Y).predict(Z), expected)


@pytest.mark.parametrize("column", [0, 6])
@pytest.mark.parametrize(
    "kind", [RFE, RFECV, lambda model: SequentialFeatureSelector(model, cv=3)], ids=str
)
def test_selectors_around_a_model_name_the_remedy(kind, column):
    Z = X if column == 0 else np.roll(X, -1, axis=1)
    with pytest.raises(ValueError, match=r"use make_task_pipeline\(selector, estimator\)"):
        kind(PooledRegressor(task_column=column)).fit(Z, Y)


@pytest.mark.parametrize("form", ["array", "frame"])
def test_a_model_selects_from_itself(form):
    Z, column = (X, 0) if form == "array" else (frame(X), "task")
    model = ADMMRegressor("l21", 60.0, task_column=column)
    selector = SelectFromModel(model, threshold=1e-8, importance_getter=importance).fit(Z, Y)
    selected = clone(model).fit(Z, Y).structure_.selected_features
    assert_array_equal(selector.get_support(), np.r_[True, selected])
    assert selector.transform(Z).shape == (len(Y), 1 + selected.sum())


def test_a_model_eliminates_its_features():
    model = PooledRegressor(task_column=0)
    selector = RFE(model, n_features_to_select=4, importance_getter=importance).fit(X, Y)
    smallest, kept = PooledRegressor(task_column=0), list(range(X.shape[1]))
    while len(kept) > 4:
        coef = smallest.fit(X[:, kept], Y).coef_[0]
        kept.pop(1 + np.argmin(np.abs(coef)))
    assert_array_equal(np.flatnonzero(selector.support_), kept)
    folds = TaskKFold(3, task_column=0)
    search = RFECV(model, importance_getter=importance, min_features_to_select=2, cv=folds)
    assert search.fit(X, Y).support_[0]


def test_names_are_kept_behind_a_selector_around_a_model():
    table = frame(X)
    selector = SelectFromModel(
        ADMMRegressor("l21", 60.0, task_column="task"),
        threshold=1e-8,
        importance_getter=importance,
    )
    model = SharedL2Regressor(task_column="task")
    with pytest.raises(ValueError, match=r'after set_output\(transform="pandas"\)'):
        make_pipeline(selector, model).fit(table, Y)
    selector.set_output(transform="pandas")
    pipeline = make_pipeline(selector, model).fit(table, Y)
    assert pipeline[-1].feature_names_in_[0] == "task"
    assert len(pipeline[-1].feature_names_in_) < X.shape[1]


@pytest.mark.parametrize(
    "ensemble",
    [BaggingRegressor, BaggingClassifier, AdaBoostRegressor, AdaBoostClassifier],
)
def test_ensembles_around_a_model(ensemble):
    classifier = "Classifier" in ensemble.__name__
    make = make_multitask_classification if classifier else make_multitask_regression
    kind = MeanRegularizedClassifier if classifier else MeanRegularizedRegressor
    numbers, y = make(n_tasks=4, n_features=6, random_state=0)
    table = frame(numbers).assign(task=numbers[:, 0].astype(int))
    options = {"n_estimators": 3, "random_state": 0}
    by_position = ensemble(kind(task_column=0), **options).fit(table, y)
    expected = ensemble(kind(task_column=0), **options).fit(numbers, y).predict(numbers)
    assert_allclose(by_position.predict(table), expected)
    with pytest.raises(ValueError, match=r"an array without column names.*bagging and boosting"):
        ensemble(kind(task_column="task"), **options).fit(table, y)
    if "Bagging" in ensemble.__name__:
        with pytest.raises(ValueError, match=r"ensemble that leaves out features"):
            ensemble(kind(task_column=0), max_features=0.4, **options).fit(numbers, y)


# Names of the task column -----------------------------------------------------------------------

COLUMNS = ["price", "size", "rooms", "age", "floor", "distance", "remainder__zip", "sqft"]


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize(
    ("columns", "asked", "meant"),
    [
        (COLUMNS, "zip", "'remainder__zip'"),  # behind the five that are listed
        ([*COLUMNS[:6], "zip"], "remainder__zip", "'zip'"),
        ([*COLUMNS, "a__zip"], "zip", "'remainder__zip' or 'a__zip'"),
        ([*COLUMNS[:6], "zip_code"], "zipcode", "'zip_code'"),
        ([*COLUMNS[:6], "County"], "county", "'County'"),
        ([*COLUMNS[:6], "county "], "county", "'county '"),
    ],
)
def test_a_name_that_is_not_found(kind, columns, asked, meant):
    table = kind({name: np.arange(6) % 3 for name in columns})
    message = rf"is not a column of X\. Did you mean {meant}\? X has the columns 'price', .* more"
    with pytest.raises(ValueError, match=message):
        MeanRegularizedRegressor(task_column=asked).fit(table, np.arange(6.0))
    with pytest.raises(ValueError, match=message):
        next(TaskKFold(2, task_column=asked).split(table))


def test_names_that_are_not_alike_are_not_suggested():
    table = pd.DataFrame({name: np.arange(6) % 3 for name in COLUMNS})
    with pytest.raises(ValueError, match=r"not a column of X\. X has the columns"):
        MeanRegularizedRegressor(task_column="county").fit(table, np.arange(6.0))
    numbered = pd.DataFrame(np.zeros((6, 3)))
    with pytest.raises(ValueError, match=r"not a column of X\. X has the columns 0, 1, 2"):
        MeanRegularizedRegressor(task_column="county").fit(numbered, np.arange(6.0))


def test_names_that_a_transformer_loses():
    table = frame(X).assign(task=X[:, 0])
    model = make_pipeline(StandardScaler(), MeanRegularizedRegressor(task_column="task"))
    with pytest.raises(ValueError, match=r'after set_output\(transform="pandas"\)'):
        cross_val_score(model, table, Y, error_score="raise")
