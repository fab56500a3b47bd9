"""RegularizationPathCV as an estimator: refit, parameters, messages, pipelines, routing."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmtl import (
    ADMMRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    SharedL2Regressor,
)
from skmtl.metrics import make_task_scorer
from skmtl.model_selection import RegularizationPathCV, TaskKFold
from skmtl.pipeline import make_task_pipeline
from tests.model_selection._searches import assert_same_search
from tests.model_selection.test_path_models import (
    ALPHAS,
    FOLDS,
    MEAN,
    ROWS,
    SHARED,
    data,
)


def test_refit_and_what_depends_on_it():
    model = MeanRegularizedRegressor(task_column=0)
    search = RegularizationPathCV(model, ALPHAS, cv=FOLDS, refit=False).fit(ROWS.long, ROWS.y)
    assert search.best_params_ == {"alpha": ALPHAS[search.best_index_]}
    for name in ("best_estimator_", "refit_time_", "n_features_in_", "predict"):
        assert not hasattr(search, name)
    with pytest.raises(AttributeError, match=r"RegularizationPathCV.*predict") as caught:
        search.predict(ROWS.long)
    assert "no predict with refit=False" in str(caught.value.__cause__)
    search.set_params(refit=True).fit(ROWS.long, ROWS.y)
    fresh = clone(model).set_params(**search.best_params_).fit(ROWS.long, ROWS.y)
    assert_array_equal(search.predict(ROWS.long), fresh.predict(ROWS.long))
    assert search.n_features_in_ == 4
    assert search.refit_time_ > 0
    assert not hasattr(search, "predict_proba")
    assert not hasattr(search, "classes_")
    with pytest.raises(NotFittedError):
        RegularizationPathCV(model).predict(ROWS.long)


def test_an_alpha_for_each_task_is_replaced():
    """The search sets alpha to a number; what the estimator had is not looked at."""
    own = MeanRegularizedRegressor({0: 3.0, 1: 0.2, 2: 15.0, 3: 1.0}, task_column=0)
    for cv in (None, FOLDS):
        search = RegularizationPathCV(own, ALPHAS, cv=cv).fit(ROWS.long, ROWS.y)
        plain = clone(search).set_params(estimator__alpha=1.0).fit(ROWS.long, ROWS.y)
        for key in ("mean_test_score", "std_test_score"):
            assert_array_equal(search.cv_results_[key], plain.cv_results_[key])
        assert search.best_params_ == plain.best_params_
    assert isinstance(own.alpha, dict)


def test_methods_of_a_classifier():
    X, y, _ = data("classes")
    model = MeanRegularizedClassifier(task_column=0, **SHARED)
    search = RegularizationPathCV(model, ALPHAS, cv=FOLDS, scoring="neg_log_loss").fit(X, y)
    best = clone(model).set_params(**search.best_params_).fit(X, y)
    for method in ("predict", "predict_proba", "decision_function"):
        assert_array_equal(getattr(search, method)(X), getattr(best, method)(X))
    assert list(search.classes_) == ["a", "b", "c"]
    assert is_classifier(search)
    assert is_regressor(RegularizationPathCV(MeanRegularizedRegressor()))
    assert_allclose(search.score(X, y), -log_loss(y, best.predict_proba(X)), rtol=1e-12)


def test_standard_deviations_and_new_tasks():
    model = MeanRegularizedRegressor(task_column=0)
    search = RegularizationPathCV(model, ALPHAS, cv=FOLDS).fit(ROWS.long, ROWS.y)
    best = clone(model).set_params(**search.best_params_).fit(ROWS.long, ROWS.y)
    new, target, weight = ROWS.long[:3].copy(), ROWS.y[:3] + 1.0, np.array([1.0, 2.0, 0.5])
    new[:, 0] = 99
    assert_array_equal(
        search.predict(ROWS.long, return_std=True), best.predict(ROWS.long, return_std=True)
    )
    for given in ((new, target), (new, target, weight)):
        adapted = search.adapt(*given)
        assert isinstance(adapted, MeanRegularizedRegressor)
        assert_array_equal(adapted.predict(new), best.adapt(*given).predict(new))
    assert 99 not in search.best_estimator_.tasks_
    with pytest.raises(NotFittedError):
        RegularizationPathCV(model).adapt(new, target)
    structured = RegularizationPathCV(ADMMRegressor("l21", task_column=0), [1.0], cv=FOLDS)
    assert not hasattr(structured, "adapt")
    with pytest.raises(TypeError, match="return_std"):
        structured.fit(ROWS.long, ROWS.y).predict(ROWS.long, return_std=True)
    search.set_params(refit=False)
    with pytest.raises(AttributeError, match=r"RegularizationPathCV.*adapt") as caught:
        search.adapt(new, target)
    assert "no adapt with refit=False" in str(caught.value.__cause__)


@pytest.mark.parametrize("cv", [None, FOLDS])
def test_scores_of_tasks_do_not_depend_on_the_scoring(cv):
    model = MeanRegularizedRegressor(task_column=0)
    scorings = [None, "neg_mean_absolute_error", make_task_scorer("correlation", task_column=0)]
    first, *others = [
        RegularizationPathCV(model, ALPHAS, cv=cv, scoring=scoring).fit(ROWS.long, ROWS.y)
        for scoring in scorings
    ]
    assert (first.task_scores_ < 0).all()
    for search in others:
        assert_array_equal(search.task_scores_, first.task_scores_)


WRONG = {
    "no alphas": ({"alphas": []}, ValueError, r"at least one number in \[0, inf\], got \[\]"),
    "negative": ({"alphas": [1.0, -2.0]}, ValueError, r"\[0, inf\], got \[1.0, -2.0\]"),
    "word": ({"alphas": "auto"}, ValueError, "got 'auto'"),
    "bool": ({"alphas": True}, ValueError, "got True"),
    "name": (
        {"param_grid": {"beta": [1.0]}},
        ValueError,
        r"'beta'.*MeanRegularizedRegressor are \['alpha', 'alpha_intercept', 'alpha_shared'\]",
    ),
    "no penalty weight": ({"param_grid": {"task_weight": [None]}}, ValueError, "use GridSearchCV"),
    "alpha twice": ({"param_grid": {"alpha": [1.0]}}, ValueError, "Pass its values as alphas"),
    "empty": ({"param_grid": {"alpha_shared": []}}, ValueError, "alpha_shared"),
    "out of range": ({"param_grid": {"alpha_shared": [-1.0]}}, ValueError, r"got -1\.0"),
    "pipeline": (
        {"estimator": make_pipeline(MEAN)},
        TypeError,
        r"^Make the search the last step of the pipeline: .* skmtl\.linear_model, got Pipeline\.$",
    ),
    "estimator": ({"estimator": 3}, TypeError, r"^RegularizationPathCV .* got int\.$"),
    "class": ({"estimator": type(MEAN)}, TypeError, r"got <class .*MeanRegularizedRegressor'>\.$"),
    "folds": ({"cv": 1}, ValueError, "n_splits must be an integer of at least 2, got 1"),
    "scoring": ({"scoring": "nothing"}, ValueError, "scoring"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_parameters(name):
    given, error, message = WRONG[name]
    given = {"estimator": MEAN, "alphas": ALPHAS, "cv": FOLDS} | given
    with pytest.raises(error, match=message):
        RegularizationPathCV(**given).fit(ROWS.long, ROWS.y)


@pytest.mark.parametrize("cv", [None, FOLDS])
def test_targets_of_objects_and_in_a_column(cv):
    search = RegularizationPathCV(MEAN, ALPHAS, cv=cv)
    expected = clone(search).fit(ROWS.long, ROWS.y)
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        column = clone(search).fit(ROWS.long, ROWS.y[:, None])
    for other in (column, clone(search).fit(ROWS.long, ROWS.y.astype(object))):
        for key in ("mean_test_score", "std_test_score"):
            assert_array_equal(other.cv_results_[key], expected.cv_results_[key])


def test_wrong_data():
    search = RegularizationPathCV(MEAN, ALPHAS)
    X, y = ROWS.long, ROWS.y
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        search.fit(X, y[:-1])
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(3,\)"):
        search.fit(X, y, sample_weight=np.ones(3))
    with pytest.raises(ValueError, match="Input y contains NaN"):
        search.fit(X, np.where(y > 3, np.nan, y))


def test_clone_repr_pickle_and_parameters():
    search = RegularizationPathCV(MEAN, [1.0, 5.0], param_grid={"alpha_shared": [0.0]}, cv=3)
    text = "RegularizationPathCV(alphas=[1.0, 5.0], cv=3, estimator=Mean"
    fitted = clone(search).fit(ROWS.long, ROWS.y)
    for copy in (search, clone(search), pickle.loads(pickle.dumps(fitted)), fitted):
        assert " ".join(repr(copy).split()).startswith(text)
    assert search.get_params()["estimator__alpha_intercept"] is None
    again = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(again.predict(ROWS.long), fitted.predict(ROWS.long))
    assert again.best_params_ == fitted.best_params_
    assert not hasattr(clone(fitted), "best_params_")
    assert MEAN.get_params() == MeanRegularizedRegressor(task_column=0).get_params()
    assert not hasattr(MEAN, "coef_")


def test_last_step_of_a_pipeline():
    """The scaler sees all rows, as in any pipeline around a search."""
    search = RegularizationPathCV(MEAN, ALPHAS, cv=FOLDS)
    pipeline = make_task_pipeline(StandardScaler(), search).fit(ROWS.long, ROWS.y)
    Z = np.column_stack([ROWS.codes, StandardScaler().fit_transform(ROWS.X)])
    alone = clone(search).fit(Z, ROWS.y)
    scores = pipeline[-1].cv_results_["mean_test_score"]
    assert_allclose(scores, alone.cv_results_["mean_test_score"], rtol=1e-10)
    assert_allclose(pipeline.predict(ROWS.long), alone.predict(Z), rtol=1e-10)
    assert pipeline.score(ROWS.long, ROWS.y) == pytest.approx(alone.score(Z, ROWS.y))
    weight = np.linspace(0.5, 2.0, len(ROWS.y))
    pipeline.fit(ROWS.long, ROWS.y, regularizationpathcv__sample_weight=weight)
    alone.fit(Z, ROWS.y, sample_weight=weight)
    assert_allclose(pipeline.predict(ROWS.long), alone.predict(Z), rtol=1e-10)


def test_nested_cross_validation():
    search = RegularizationPathCV(MEAN, ALPHAS)
    outer = TaskKFold(3, task_column=0, shuffle=True, random_state=0)
    X, y = ROWS.long, ROWS.y
    found = cross_val_score(search, X, y, cv=outer, scoring="r2", error_score="raise")
    predicted = cross_val_predict(search, X, y, cv=outer)
    for score, (train, test) in zip(found, outer.split(X), strict=True):
        inner = clone(search).fit(X[train], y[train])
        assert_allclose(predicted[test], inner.predict(X[test]), rtol=1e-12)
        squares = ((y[test] - predicted[test]) ** 2).mean()
        assert_allclose(score, 1 - squares / y[test].var(), rtol=1e-10)
    grid = GridSearchCV(search, {"estimator__alpha_intercept": [0.0, 5.0]}, cv=outer).fit(X, y)
    assert set(grid.best_estimator_.best_params_) == {"alpha"}


@pytest.mark.parametrize("output", ["default", "pandas"])
def test_frames_in_arrays_out(output):
    X = pd.DataFrame(ROWS.X, columns=["u", "v", "w"]).assign(task=ROWS.codes)
    with config_context(transform_output=output):
        search = RegularizationPathCV(SharedL2Regressor(task_column="task"), ALPHAS).fit(X, ROWS.y)
        assert type(search.predict(X)) is np.ndarray
    assert list(search.feature_names_in_) == ["u", "v", "w", "task"]
    assert not hasattr(search, "set_output")


def test_metadata_routing():
    """Weights reach the fits of the search by itself and in a pipeline."""
    weight, X, y = np.linspace(0.2, 3.0, len(ROWS.y)), ROWS.long, ROWS.y
    search = RegularizationPathCV(MEAN, ALPHAS, cv=FOLDS)
    expected = np.empty(len(y))
    for train, test in FOLDS.split(X):
        expected[test] = clone(search).fit(X[train], y[train], weight[train]).predict(X[test])
    with config_context(enable_metadata_routing=True):
        asks = clone(search).set_fit_request(sample_weight=True)
        for model in (asks, make_pipeline(asks)):
            params = {"sample_weight": weight}
            found = cross_val_predict(model, X, y, cv=FOLDS, params=params)
            assert_allclose(found, expected, rtol=1e-12)
        score = model.fit(X, y, sample_weight=weight).score(X, y)
    assert score == pytest.approx(clone(search).fit(X, y, weight).score(X, y), rel=1e-12)
    plain = cross_val_predict(search, X, y, cv=FOLDS)
    assert np.abs(plain - expected).max() > 1e-3


@parametrize_with_checks(
    [
        RegularizationPathCV(MeanRegularizedRegressor(alpha_shared=0.1), [1.0, 9.0]),
        RegularizationPathCV(SharedL2Regressor(), 3, cv=3),
    ]
)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


def test_a_scorer_that_wants_more_than_predictions():
    def shrinkage(model, X, y):
        return -np.square(model.coef_).sum()

    model = SharedL2Regressor(task_column=0)
    with pytest.raises(AttributeError, match=r"asks for coef_.*has predictions only.*set cv"):
        RegularizationPathCV(model, ALPHAS, scoring=shrinkage).fit(ROWS.long, ROWS.y)
    cv = TaskKFold(3, task_column=0)
    ours = RegularizationPathCV(model, ALPHAS, cv=cv, scoring=shrinkage)
    theirs = GridSearchCV(model, {"alpha": ALPHAS}, cv=cv, scoring=shrinkage)
    assert_same_search(ours.fit(ROWS.long, ROWS.y), theirs.fit(ROWS.long, ROWS.y), ROWS.long)
