"""Classes that are ruled out in a task: not seen there, by choice or by free levels."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from skmtl import MeanRegularizedClassifier, SharedL2Classifier
from tests._problems import make_rows

SEEN = {
    "seen": MeanRegularizedClassifier(2.0, task_column=0, task_classes="seen"),
    "free levels": MeanRegularizedClassifier(2.0, task_column=0, alpha_intercept=0.0),
    "separate": SharedL2Classifier(2.0, task_column=0),
}
every_way = pytest.mark.parametrize("model", SEEN.values(), ids=SEEN)
n_classes = pytest.mark.parametrize("K", [2, 3])
pytestmark = pytest.mark.filterwarnings("ignore:Only one class was seen:UserWarning")


def rows_without(K):
    """Rows of which those of task 0 lack the last class."""
    rows = make_rows(K)
    y = np.where((rows.codes == 0) & (rows.y == K - 1), 0, rows.y)
    return rows.long, y, rows.codes == 0


@every_way
@n_classes
def test_far_from_the_rows_of_fit_too(model, K):
    X, y, lacking = rows_without(K)
    model.fit(X, y)
    far = X[lacking] * [1, 1e4, -1e4, 1e4]
    probability = model.predict_proba(far)[:, K - 1]
    assert probability.max() <= (0 if model.task_classes == "seen" else 3e-16)
    score = model.decision_function(far)
    if K == 2:
        assert_array_equal(score, -36.0)
    else:
        assert_allclose(score[:, :2].min(axis=1) - score[:, 2], 36.0)
    assert (model.predict(far) < K - 1).all()
    assert (model.predict_proba(X[~lacking])[:, K - 1] > 1e-10).all()


@every_way
@pytest.mark.parametrize("K", [3, 4])
def test_the_others_are_fitted_as_though_it_did_not_exist(model, K):
    X, y, lacking = rows_without(K)
    # Two classes left have w and -w, a penalty each: that of one log-odds 2 w of half the strength.
    strength = 1.0 if K == 3 else 2.0
    alone = LogisticRegression(C=1 / strength, solver="newton-cholesky", tol=1e-12)
    alone.fit(X[lacking, 1:], y[lacking])
    own = SharedL2Classifier(2.0, task_column=0, task_classes=model.task_classes).fit(X, y)
    found = own.predict_proba(X[lacking])[:, : K - 1]
    assert_allclose(found, alone.predict_proba(X[lacking, 1:]), rtol=1e-6)


@every_way
def test_scorers_and_calibration_get_finite_numbers(model):
    X, y, _ = rows_without(2)
    for scoring in ("roc_auc", "neg_log_loss", "average_precision"):
        assert np.isfinite(cross_val_score(model, X, y, scoring=scoring, error_score="raise")).all()
    for method in ("sigmoid", "isotonic"):
        calibrated = CalibratedClassifierCV(model, method=method, cv=3).fit(X, y)
        p = calibrated.predict_proba(X)
        assert np.isfinite(p).all()
        assert_allclose(p.sum(axis=1), 1)
