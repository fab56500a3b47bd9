"""Classifiers of an indicator inside scikit-learn's tools."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import KFold, cross_val_predict, cross_val_score
from sklearn.multioutput import MultiOutputClassifier

from skmtl import MeanRegularizedClassifier, SharedL2Classifier
from skmtl.metrics import make_task_scorer, task_scores
from tests._problems import CLASSIFIERS


@pytest.fixture(scope="module")
def wide():
    """Is it a 3, is it round, is it dark: three questions about the same digits."""
    X, y = load_digits(return_X_y=True)
    rows = np.random.default_rng(2).permutation(len(y))[:300]
    X, y = X[rows][:, 10:30] / 16, y[rows]
    dark = X.sum(axis=1)
    answers = [y == 3, np.isin(y, [0, 6, 8, 9]), dark > np.median(dark)]
    return X, np.column_stack(answers).astype(int)


@pytest.mark.parametrize("scoring", ["roc_auc", "average_precision", "accuracy", "f1_macro"])
def test_multilabel_scorers_are_those_of_separate_models(wide, scoring):
    X, Y = wide
    separate = MultiOutputClassifier(LogisticRegression(C=0.5, tol=1e-11, max_iter=10000))
    found = cross_val_score(SharedL2Classifier(2.0), X, Y, cv=KFold(3), scoring=scoring)
    if scoring in ("roc_auc", "average_precision"):  # of scikit-learn's list of arrays
        metric = {"roc_auc": roc_auc_score, "average_precision": average_precision_score}[scoring]
        expected = []
        for train, test in KFold(3).split(X):
            p = separate.fit(X[train], Y[train]).predict_proba(X[test])
            expected.append(metric(Y[test], np.column_stack([part[:, 1] for part in p])))
    else:
        expected = cross_val_score(separate, X, Y, cv=KFold(3), scoring=scoring)
    assert_allclose(found, expected, rtol=1e-9)
    assert np.isfinite(
        cross_val_score(MeanRegularizedClassifier(5.0), X, Y, cv=3, scoring=scoring)
    ).all()


def test_wide_predictions_in_cross_validation(wide):
    X, Y = wide
    model = MeanRegularizedClassifier(5.0)
    p = cross_val_predict(model, X, Y, cv=KFold(3), method="predict_proba")
    assert p.shape == Y.shape
    z = cross_val_predict(model, X, Y, cv=KFold(3), method="decision_function")
    assert_allclose(p, 1 / (1 + np.exp(-z)), rtol=1e-12)
    assert_array_equal(cross_val_predict(model, X, Y, cv=KFold(3)), z > 0)
    for average, expected in [
        ("macro", np.mean([roc_auc_score(Y[:, t], p[:, t]) for t in range(3)])),
        ("worst", np.min([roc_auc_score(Y[:, t], p[:, t]) for t in range(3)])),
    ]:
        table = task_scores(Y, None, y_score=p, metrics="roc_auc")
        assert_allclose(table.loc[average, "roc_auc"], expected, rtol=1e-12)
    scorer = make_task_scorer("log_loss", average="macro")
    found = cross_val_score(model, X, Y, cv=KFold(3), scoring=scorer)
    expected = []
    for train, test in KFold(3).split(X):
        q = clone(model).fit(X[train], Y[train]).predict_proba(X[test])
        expected.append(np.mean(np.where(Y[test] == 1, np.log(q), np.log1p(-q))))
    assert_allclose(found, expected, rtol=1e-10)


def test_wide_classes_follow_multi_output_classifiers(wide):
    X, Y = wide
    reference = MultiOutputClassifier(LogisticRegression(max_iter=1000)).fit(X, Y)
    for estimator in CLASSIFIERS:
        model = estimator().fit(X, Y)
        assert_array_equal(model.classes_, reference.classes_)
        for method in ("predict_proba", "decision_function"):
            assert cross_val_predict(model, X, Y, method=method).shape == Y.shape
        assert model.score(X, Y) == np.mean((model.predict(X) == Y).all(axis=1))
        assert model.predict(X).dtype.kind == "i"
