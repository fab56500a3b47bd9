"""What inspection says of tasks of different kinds."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmtl import MixedOutcomeModel
from skmtl.inspection import (
    CoefficientShrinkageDisplay,
    sharing_report,
    task_affinity,
    task_similarity,
)
from tests.linear_model.test_mixed import COUNTS, fitted, long_form, table

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


@pytest.mark.parametrize("compare", [sharing_report, task_affinity])
def test_comparisons_say_what_to_use_instead(compare):
    X, y = table()
    with pytest.raises(TypeError, match=r"tasks of different kinds.*task_scores"):
        compare(X, y, MixedOutcomeModel(losses=COUNTS))
