"""scikit-learn's own checks, for arrays and for the long form, without and with the array API."""

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.sparse import hstack, issparse
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    parametrize_with_checks,
)
from sklearn.utils.validation import check_is_fitted, validate_data

from skmtl import (
    ADMMClassifier,
    ADMMRegressor,
    GraphRegularizedClassifier,
    GraphRegularizedRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    MixedOutcomeModel,
    PooledClassifier,
    PooledRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
)
from tests import _problems

ESTIMATORS = (*_problems.REGRESSORS, GraphRegularizedRegressor, ADMMRegressor)
CLASSIFIERS = (*_problems.CLASSIFIERS, GraphRegularizedClassifier, ADMMClassifier)
# Tasks made from what a check passes may well have one class.
one_class = pytest.mark.filterwarnings("ignore:Only one class was seen in task:UserWarning")


class _LongForm:
    """An estimator in the long form on whatever X a check passes: labels are made from x_1.

    The estimator itself sees X and the labels behind it; this class only counts columns.
    """

    columns = -1  # of labels

    def fit(self, X, y, sample_weight=None):
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float64)
        base = next(own for own in type(self).__mro__ if own.__module__.startswith("skmtl."))
        self.long_ = base(**self.get_params() | {"task_column": self.columns})
        self.long_.fit(self._with_labels(X), y, sample_weight)
        self.coef_, self.n_iter_ = self.long_.coef_, self.long_.n_iter_
        return self

    def predict(self, X):
        X = self._rows(X)
        return self.long_.predict(X)

    def _rows(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=False)
        labels = self._labels(X)
        if self.handle_unknown == "error":  # a model without a center: take any task
            labels[~np.isin(labels, self.long_.tasks_)] = self.long_.tasks_[0]
        return self._with_labels(X, labels)

    def _labels(self, X):
        return np.floor(2 * X.tocsr()[:, [0]].toarray()[:, 0] if issparse(X) else 2 * X[:, 0]) % 3

    def _with_labels(self, X, labels=None):
        labels = self._all_labels(self._labels(X) if labels is None else labels)
        return hstack([X, labels], format="csr") if issparse(X) else np.hstack([X, labels])

    def _all_labels(self, labels):
        return labels[:, None]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = False
        return tags


class _Nested:
    """Labels of two columns: the tasks 0 and 2 are in one group, 1 is alone in another."""

    columns = -2, -1

    def _all_labels(self, labels):
        return np.column_stack([labels % 2, labels])


class LongPooled(_LongForm, PooledRegressor):
    pass


class LongSeparate(_LongForm, SharedL2Regressor):
    pass


class LongMean(_LongForm, MeanRegularizedRegressor):
    pass


class LongNested(_Nested, LongMean):
    pass


class LongGraph(_LongForm, GraphRegularizedRegressor):
    pass


class LongADMM(_LongForm, ADMMRegressor):
    pass


class LongMixed(_LongForm, MixedOutcomeModel):
    @property
    def predict_proba(self):
        raise AttributeError("a dict, which no check knows")

    decision_function = predict_proba  # that of ``long_``

    def score(self, X, y, sample_weight=None):
        return self.long_.score(self._rows(X), y, sample_weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output, tags.target_tags.two_d_labels = True, False
        return tags


class _LongClassifier(_LongForm):
    """The same with classes and their probabilities."""

    def fit(self, X, y, sample_weight=None):
        super().fit(X, y, sample_weight)
        self.classes_ = self.long_.classes_
        return self

    def predict_proba(self, X):
        X = self._rows(X)
        return self.long_.predict_proba(X)

    def predict_log_proba(self, X):
        X = self._rows(X)
        return self.long_.predict_log_proba(X)

    def decision_function(self, X):
        X = self._rows(X)
        return self.long_.decision_function(X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = False
        return tags


class LongPooledClassifier(_LongClassifier, PooledClassifier):
    pass


class LongSeparateClassifier(_LongClassifier, SharedL2Classifier):
    pass


class LongMeanClassifier(_LongClassifier, MeanRegularizedClassifier):
    pass


class LongNestedClassifier(_Nested, LongMeanClassifier):
    pass


class LongGraphClassifier(_LongClassifier, GraphRegularizedClassifier):
    pass


class LongADMMClassifier(_LongClassifier, ADMMClassifier):
    pass


LONG = [
    LongPooled(handle_unknown="shared"),
    LongSeparate(),
    LongMean(handle_unknown="shared"),
    LongNested(handle_unknown="shared"),
    LongGraph(),
    LongADMM(),
    LongMixed(task_weight=None),
]
LONG_CLASSIFIERS = [
    LongPooledClassifier(handle_unknown="shared"),
    LongSeparateClassifier(),
    LongMeanClassifier(handle_unknown="shared"),
    LongNestedClassifier(handle_unknown="shared"),
    LongGraphClassifier(),
    LongADMMClassifier(),
]


@parametrize_with_checks([estimator() for estimator in ESTIMATORS])
def test_array_form(estimator, check):
    check(estimator)


@parametrize_with_checks([*LONG, LongPooled(0.5, alpha_intercept=2.0, handle_unknown="shared")])
def test_long_form(estimator, check):
    check(estimator)


@one_class
@parametrize_with_checks([estimator() for estimator in CLASSIFIERS])
def test_classifiers_in_array_form(estimator, check):
    check(estimator)


@one_class
@parametrize_with_checks(LONG_CLASSIFIERS[:4])
def test_classifiers_in_long_form(estimator, check):
    check(estimator)


@pytest.mark.slow
@one_class
@parametrize_with_checks(
    [
        *LONG_CLASSIFIERS[4:],
        LongPooledClassifier(0.5, alpha_intercept=2.0, handle_unknown="shared"),
    ]
)
def test_more_classifiers_in_long_form(estimator, check):
    check(estimator)


@one_class
@pytest.mark.parametrize(
    "estimator",
    [*(e() for e in (*ESTIMATORS, *CLASSIFIERS)), *LONG, *LONG_CLASSIFIERS],
    ids=repr,
)
def test_column_names(estimator):
    check_dataframe_column_names_consistency(type(estimator).__name__, estimator)


def tasks_of(estimator):
    return [(0, 0), (0, 2), (1, 1)] if isinstance(estimator, _Nested) else [0, 1, 2]


def test_long_form_makes_tasks_that_matter():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2)), rng.normal(size=60)
    for estimator in LONG:
        fitted = estimator.fit(X, y)
        assert list(fitted.long_.tasks_) == tasks_of(estimator)
    assert np.ptp(LONG[1].coef_, axis=0).min() > 0
    for estimator in LONG_CLASSIFIERS:
        fitted = estimator.fit(X, np.where(y > 0, "high", "low"))
        assert list(fitted.long_.tasks_) == tasks_of(estimator)
        assert list(fitted.classes_) == ["high", "low"]
    assert np.ptp(LONG_CLASSIFIERS[1].coef_, axis=0).min() > 0


@pytest.mark.slow
@pytest.mark.skipif("SCIPY_ARRAY_API" in os.environ, reason="this is the run inside")
def test_the_same_with_the_array_api():
    """The switch is read when scipy is imported: a process of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    command += ["-m", "slow or not slow"]
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stdout[-3000:]
    assert " passed" in result.stdout
