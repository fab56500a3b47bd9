"""Callbacks of scikit-learn: what they receive from fits and searches, and that they stop them."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV

from skmtl import (
    ADMMClassifier,
    ADMMRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
)
from skmtl.model_selection import RegularizationPathCV, TaskKFold
from tests._problems import make_rows

callback = pytest.importorskip("sklearn.callback")

REGRESSORS = [
    MeanRegularizedRegressor(2.0),
    MeanRegularizedRegressor(2.0, solver="cg"),
    ADMMRegressor("l21", 2.0),
]
CLASSIFIERS = [
    MeanRegularizedClassifier(2.0, alpha_shared=0.1),
    ADMMClassifier("l21", 0.5),
]


class Follower:
    """Records its calls, and asks to stop after some steps."""

    max_propagation_depth = None

    def __init__(self, steps=np.inf):
        self.steps, self.calls, self.models = steps, [], []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.calls.append(("end", context.task_name))
        if context.task_name == "iteration":
            self.models.append(fitted_estimator)
        return len(self.models) >= self.steps


def classes():
    rows = make_rows(sizes=(20, 22, 25, 25))
    chance = np.random.default_rng(0).random(92) < expit(rows.X[:, 0])
    return rows.long, chance.astype(int)


def data_for(model):
    if hasattr(model, "predict_proba"):
        return classes()
    rows = make_rows()
    return rows.long, rows.y


@pytest.mark.parametrize("model", [*REGRESSORS, *CLASSIFIERS], ids=str)
def test_every_step_is_told(model):
    X, y = data_for(model)
    model = clone(model).set_params(task_column=0)
    plain = clone(model).fit(X, y)
    follower = Follower()
    model.set_callbacks(follower).fit(X, y)
    assert_allclose(model.coef_, plain.coef_, rtol=0, atol=0)
    steps = len(model.history_) - 1
    assert len(follower.models) == steps
    step = [("begin", "iteration"), ("end", "iteration")]
    assert follower.calls == ["setup", ("begin", "fit"), *steps * step, ("end", "fit"), "teardown"]
    objectives = [entry["objective"] for entry in model.history_[1:]]
    assert_allclose([m.objective_ for m in follower.models], objectives, rtol=1e-12)
    # each of them predicts
    last = follower.models[-1]
    assert_allclose(last.predict(X), model.predict(X), rtol=1e-6)
    again = pickle.loads(pickle.dumps(model.set_callbacks()))
    assert_allclose(again.predict(X), model.predict(X))


def test_models_on_the_way_are_what_the_scores_say():
    X, y = classes()
    monitor = callback.ScoringMonitor(scoring="neg_log_loss")
    model = MeanRegularizedClassifier(2.0, alpha_shared=0.1, task_column=0)
    model.set_callbacks(monitor).fit(X, y)
    rows = monitor.get_logs().data
    scores = [row["neg_log_loss"] for row in rows if row["task_name"] == "iteration"]
    assert len(scores) == len(model.history_) - 1
    assert_allclose(scores[-1], -log_loss(y, model.predict_proba(X)), rtol=1e-6)
    assert scores[0] < scores[-1] + 0.1
    assert scores[0] != scores[-1]


@pytest.mark.parametrize("model", CLASSIFIERS, ids=str)
def test_a_callback_stops_a_fit_without_a_warning(model):
    X, y = classes()
    follower = Follower(steps=1)
    model = clone(model).set_params(task_column=0).set_callbacks(follower).fit(X, y)
    assert len(follower.models) == len(model.history_) - 1 == 1
    assert model.optimality_ > model.tol
    assert model.predict(X).shape == y.shape


@pytest.mark.parametrize("task_weight", ["uncertainty", "minimax"])
def test_a_callback_stops_weights_that_follow_the_fit(task_weight):
    rows = make_rows()
    model = MeanRegularizedRegressor(2.0, task_column=0, task_weight=task_weight)
    follower = Follower()
    model.set_callbacks(follower).fit(rows.long, rows.y)
    assert len(follower.models) > 3
    stopping = Follower(steps=2)
    model.set_callbacks(stopping).fit(rows.long, rows.y)
    assert len(stopping.models) == 2


def test_searches_hand_callbacks_on():
    rows = make_rows()
    cv = TaskKFold(2, task_column=0)
    follower = Follower()
    model = MeanRegularizedRegressor(task_column=0, handle_unknown="shared")
    search = GridSearchCV(model, {"alpha": [1.0, 2.0]}, cv=cv)
    search.set_callbacks(follower).fit(rows.long, rows.y)
    assert len(follower.models) == 5  # one exact step for each of 2 x 2 fits and the last
    assert follower.calls[0] == "setup"
    assert follower.calls[-1] == "teardown"


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        (MeanRegularizedRegressor(), ["split", "split", "search"]),
        (MeanRegularizedClassifier(), 2 * [*3 * ["fit"], "split"] + ["search"]),
    ],
    ids=["moments", "fits"],
)
def test_progress_of_a_search(model, parts):
    X, y = data_for(model)
    follower = Follower()
    model = clone(model).set_params(task_column=0, handle_unknown="shared")
    search = RegularizationPathCV(model, [1.0, 2.0, 4.0], cv=TaskKFold(2, task_column=0))
    search.set_callbacks(follower).fit(X, y)
    ended = [calls[1] for calls in follower.calls if calls[0] == "end"]
    assert ended[: len(parts)] == parts
    assert ended[-2:] == ["fit", "fit"]  # the last fit, and the whole
    assert search.predict(X).shape == y.shape


def test_a_failed_fit_leaves_nothing_behind():
    rows = make_rows()
    follower = Follower()
    model = MeanRegularizedRegressor(2.0, task_column=0, solver="cg")
    model.set_callbacks(follower)
    with pytest.raises(ValueError, match="alpha=0"):
        model.set_params(alpha=0.0).fit(rows.long, rows.y)
    assert follower.calls[-1] == "teardown"
    assert not hasattr(model, "coef_")


def test_warnings_point_at_the_line_of_the_user():
    rows = make_rows()
    y = np.arange(len(rows.y)) % 2
    y[rows.codes == 1] = 1
    model = MeanRegularizedClassifier(2.0, task_column=0, handle_unknown="warn")
    with pytest.warns(UserWarning, match="Only one class") as seen:
        model.set_callbacks(Follower()).fit(rows.long, y)
    assert [record.filename for record in seen] == [__file__]
    with pytest.warns(UserWarning, match="got task 99") as seen:
        model.predict(np.insert(rows.X, 0, 99, axis=1))
    assert [record.filename for record in seen] == [__file__]
