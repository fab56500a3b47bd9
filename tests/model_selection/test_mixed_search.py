"""The search over alpha of tasks of different kinds, beside `GridSearchCV`."""

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import __version__ as sklearn_version
from sklearn.base import clone
from sklearn.metrics import accuracy_score, d2_tweedie_score, r2_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.utils.fixes import parse_version

from skmtl import ADMMClassifier, MeanRegularizedClassifier, MixedOutcomeModel, alpha_max
from skmtl.data import TaskMoments
from skmtl.metrics import make_task_scorer
from skmtl.model_selection import RegularizationPathCV, TaskKFold
from tests.linear_model.test_mixed import COUNTS, long_form, table, with_gaps

ALPHAS = [0.3, 30.0, 3.0, 300.0]
MODEL = MixedOutcomeModel(losses=COUNTS, tol=1e-8)


def beside_grid_search(model, X, y, cv, weight=None, scoring=None):
    """Return a search, after a comparison with ``GridSearchCV``."""
    given = {} if weight is None else {"sample_weight": weight}
    search = RegularizationPathCV(model, ALPHAS, cv=cv, scoring=scoring).fit(X, y, **given)
    grid = GridSearchCV(model, {"alpha": ALPHAS}, cv=cv, scoring=scoring, error_score="raise")
    grid.fit(X, y, **given)
    names = [name for name in grid.cv_results_ if name.endswith("test_score")]
    for name in names:
        assert_allclose(search.cv_results_[name], grid.cv_results_[name], atol=1e-5)
    assert search.best_params_ == grid.best_params_
    assert_allclose(search.best_estimator_.coef_, grid.best_estimator_.coef_, atol=1e-5)
    assert_allclose(search.score(X, y), grid.score(X, y), atol=1e-5)
    return search


@pytest.mark.parametrize("model", [MODEL, ADMMClassifier(), MeanRegularizedClassifier()])
def test_models_without_moments_are_named(model):
    X, y = table()
    rows = np.column_stack([np.arange(len(X)) % 2, X])
    folds = [TaskMoments.from_data(rows[k::2], y["score"][k::2], task_column=0) for k in (0, 1)]
    search = RegularizationPathCV(clone(model).set_params(task_column=0), ALPHAS)
    with pytest.raises(TypeError, match=rf"{type(model).__name__} has no moments.*Use fit,"):
        search.fit_moments(folds)


@pytest.mark.parametrize("penalty", ["l21", "mean_regularized", "trace_norm"])
def test_the_choice_is_that_of_grid_search(penalty):
    X, y = table()
    model = clone(MODEL).set_params(penalty=penalty)
    search = beside_grid_search(model, X, with_gaps(y), KFold(3))
    assert search.task_scores_.shape == (4, 3, 5)
    assert_allclose(
        np.nanmean(search.task_scores_, axis=2).T[0], search.cv_results_["split0_test_score"]
    )


@pytest.mark.skipif(parse_version(sklearn_version) < parse_version("1.7"), reason="GridSearchCV")
@pytest.mark.parametrize("weighting", [None, "balanced"])
def test_weights(weighting):
    X, y = table()
    weight = np.random.default_rng(2).uniform(0.5, 2.0, len(X))
    model = clone(MODEL).set_params(task_weight=weighting)
    beside_grid_search(model, X, y, KFold(3), weight)


def test_scores_of_tasks():
    X, y = table()
    search = RegularizationPathCV(MODEL, [3.0], cv=KFold(3)).fit(X, y)
    for s, (train, test) in enumerate(KFold(3).split(X)):
        found = clone(MODEL).set_params(alpha=3.0).fit(X[train], y.iloc[train]).predict(X[test])
        true = y.iloc[test]
        expected = [r2_score(true["score"], found["score"])]
        expected += [accuracy_score(true[t], found[t]) for t in ("ill", "kind", "smokes")]
        expected += [d2_tweedie_score(true["visits"], found["visits"], power=1)]
        assert_allclose(search.task_scores_[0, s], expected, atol=1e-6)


def test_long_form():
    X, y = table()
    frame, targets = long_form(X, with_gaps(y))
    model = clone(MODEL).set_params(task_column="task")
    cv = TaskKFold(3, task_column="task", shuffle=True, random_state=0)
    search = beside_grid_search(model, frame, targets, cv)
    assert np.isfinite(search.task_scores_).all()
    again = RegularizationPathCV(model, ALPHAS, cv=cv).fit(frame, targets.tolist())
    assert_array_equal(again.task_scores_, search.task_scores_)


def test_a_scorer_of_tasks():
    X, y = table()
    scoring = make_task_scorer("accuracy", average="worst")
    beside_grid_search(MODEL, X, y, KFold(3), scoring=scoring)
    with pytest.raises(ValueError, match="is for one kind"):
        RegularizationPathCV(MODEL, ALPHAS, scoring="r2").fit(X, y)


def test_frames_and_arrays():
    X, y = table()
    y = with_gaps(y)
    search = RegularizationPathCV(MODEL, ALPHAS).fit(X, y)
    rows = y.astype(object).where(y.notna(), None).to_numpy()
    given = [rows, rows.tolist(), pl.DataFrame({t: y[t].tolist() for t in y}, strict=False)]
    losses = {4: "poisson"}
    for Y, own in zip(given, (losses, losses, COUNTS), strict=True):
        model = clone(MODEL).set_params(losses=own)
        found = RegularizationPathCV(model, ALPHAS).fit(X, Y)
        assert_allclose(found.task_scores_, search.task_scores_, atol=1e-6)


@pytest.mark.parametrize("penalty", ["l21", "mean_regularized"])
def test_a_grid_from_the_data(penalty):
    X, y = table()
    model = clone(MODEL).set_params(penalty=penalty, tol=1e-5)
    search = RegularizationPathCV(model, 5, cv=3, one_standard_error=True).fit(X, y)
    if penalty == "l21":
        assert_allclose(search.alphas_.max(), alpha_max(model, X, y))
    other = RegularizationPathCV(model, 5, cv=3).fit(X, y.assign(score=1000.0 * y["score"]))
    assert_allclose(other.alphas_, search.alphas_, rtol=1e-5)  # units do not matter
    assert search.best_params_["alpha"] >= other.best_params_["alpha"] * (1 - 1e-6)
    predicted = search.predict(X)
    assert predicted["ill"].tolist() == search.best_estimator_.predict(X)["ill"].tolist()
