"""Scores of tasks of different kinds, beside those of scikit-learn for each task."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    d2_tweedie_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
)
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MeanRegularizedRegressor, MixedOutcomeModel
from skmtl.metrics import make_task_scorer, task_scores
from tests.linear_model.test_mixed import COUNTS, fitted, long_form, table, with_gaps

NUMBERS, CLASSES = ["score", "visits"], ["ill", "kind", "smokes"]
WEIGHT = np.random.default_rng(3).uniform(0.5, 2.0, 120)


def by_task(y, predicted, weight):
    """Return the metrics of the default table, by task."""
    expected = pd.DataFrame(index=y.columns, columns=["r2", "d2_poisson", "accuracy"], dtype=float)
    for task in y:
        seen = y[task].notna().to_numpy()
        true, found = y[task][seen].tolist(), predicted[task][seen].tolist()
        w = {"sample_weight": weight[seen]}
        if task in CLASSES:
            expected.loc[task, "accuracy"] = accuracy_score(true, found, **w)
            continue
        expected.loc[task, "r2"] = r2_score(true, found, **w)
        if min(found) > 0:
            expected.loc[task, "d2_poisson"] = d2_tweedie_score(true, found, power=1, **w)
    return expected


@pytest.mark.parametrize("form", ["frame", "objects", "long"])
def test_each_task_has_the_metrics_that_suit_it(form):
    X, y = table()
    y = with_gaps(y)
    predicted = fitted(X, y).predict(X)
    expected = by_task(y, predicted, WEIGHT)
    if form == "frame":
        found = task_scores(y, predicted, sample_weight=WEIGHT)
    elif form == "objects":
        found = task_scores(y.to_numpy(), predicted.to_numpy(), sample_weight=WEIGHT)
        found.index = [*y.columns, *found.index[5:]]
    else:
        frame, targets = long_form(X, y)
        row, _ = np.nonzero(y.notna().to_numpy())
        own = [predicted.at[i, t] for i, t in zip(row, frame["task"], strict=True)]
        found = task_scores(targets, own, frame["task"], sample_weight=WEIGHT[row])
    assert_allclose(found.loc[y.columns, expected.columns].astype(float), expected)
    assert found["n_rows"].loc[y.columns].tolist() == y.notna().sum().tolist()
    for name in expected:
        assert_allclose(found.at["macro", name], expected[name].mean())
        assert_allclose(found.at["worst", name], expected[name].min())
    sizes = [WEIGHT[y[t].notna()].sum() for t in CLASSES]
    pooled = np.average(expected.loc[CLASSES, "accuracy"], weights=sizes)
    assert_allclose(found.loc[["micro", "weighted"], "accuracy"], pooled)
    assert np.isnan(found.at["micro", "r2"])


def test_named_metrics_are_for_the_tasks_that_they_suit():
    X, y = table()
    predicted = fitted(X, y).predict(X)
    names = ["mean_absolute_error", "balanced_accuracy", "score"]
    found = task_scores(y, predicted, metrics=names)
    for task in y:
        number = task in NUMBERS
        metric = mean_absolute_error if number else balanced_accuracy_score
        one, other = names[:2] if number else names[1::-1]
        assert_allclose(found.at[task, one], metric(y[task], predicted[task]))
        assert np.isnan(found.at[task, other])
    assert found["score"].notna()[:5].all()


def test_probabilities_are_a_dict():
    X, y = table()
    y = with_gaps(y)
    model = fitted(X, y)
    p = model.predict_proba(X)
    found = task_scores(y, model.predict(X), y_score=p)
    for task in CLASSES:
        seen = y[task].notna().to_numpy()
        true, own = y[task][seen].tolist(), p[task][seen]
        assert_allclose(found.at[task, "log_loss"], log_loss(true, own))
        extra = {"multi_class": "ovr"} if task == "kind" else {}
        own = own if task == "kind" else own[:, 1]
        assert_allclose(found.at[task, "roc_auc"], roc_auc_score(true, own, **extra))
    assert found.loc[NUMBERS, ["log_loss", "roc_auc"]].isna().all(axis=None)
    frame, targets = long_form(X, y)
    long = fitted(frame, targets, task_column="task")
    scores = task_scores(
        targets, None, frame["task"], y_score=long.predict_proba(frame), metrics="log_loss"
    )
    assert_allclose(scores.loc[CLASSES, "log_loss"], found.loc[CLASSES, "log_loss"], rtol=1e-4)


def test_the_scorer_knows_the_kinds_of_the_model():
    X, y = table()
    y = with_gaps(y)
    model = fitted(X, y)
    own = make_task_scorer("score")
    assert_allclose(own(model, X, y), model.score(X, y))
    assert_allclose(own(model, X, y, sample_weight=WEIGHT), model.score(X, y, WEIGHT))
    frame, targets = long_form(X, y)
    long = fitted(frame, targets, task_column="task")
    scorer = make_task_scorer("score", task_column="task")
    assert_allclose(scorer(long, frame, targets), long.score(frame, targets))
    p, kept = model.predict_proba(X), {t: y[t].notna().to_numpy() for t in CLASSES}
    expected = [log_loss(y[t][kept[t]].tolist(), p[t][kept[t]]) for t in CLASSES]
    assert_allclose(make_task_scorer("neg_log_loss")(model, X, y), -np.mean(expected))
    accuracy = task_scores(y, model.predict(X))["accuracy"]
    for average in ("macro", "micro", "weighted", "worst"):
        found = make_task_scorer("accuracy", average=average)(model, X, y)
        assert_allclose(found, accuracy[average])


@pytest.mark.parametrize("form", ["frame", "polars", "long"])
def test_explained_deviance_of_numbers_that_are_no_counts(form):
    X, y = table()
    y = y[["score", "ill"]].assign(score=y["score"] - y["score"].mean())
    predicted = fitted(X, y, losses="infer").predict(X)
    if form == "long":
        labels = np.repeat(list(y), len(y))
        parts = [pd.concat([part[t].astype(object) for t in y]) for part in (y, predicted)]
        found = task_scores(*(part.to_numpy() for part in parts), labels)
    elif form == "polars":
        found = task_scores(*(pl.DataFrame({t: p[t].tolist() for t in y}) for p in (y, predicted)))
    else:
        found = task_scores(y, predicted)
    assert_allclose(found.at["score", "r2"], r2_score(y["score"], predicted["score"]))
    assert_allclose(found.at["ill", "accuracy"], accuracy_score(y["ill"], predicted["ill"]))
    assert found["d2_poisson"].isna().all()


def test_explained_deviance_of_one_kind():
    y, z, tasks = [1, 3, 2, -1, 0, 2], [1.5, 2.5, 2.0, 1.0, 0.5, 1.0], list("aaabbb")
    found = task_scores(y, z, tasks, metrics="d2_poisson")["d2_poisson"]
    assert_allclose(found["a"], d2_tweedie_score(y[:3], z[:3], power=1))
    assert found[["b", "micro"]].isna().all()
    assert_allclose(found["macro"], found["a"])


def numbered():
    """Return X, y of numbers only, and a model: a number, three classes, two classes, a count."""
    X, y = table()
    kind = y["kind"].cat.codes.astype(int)
    y = y[["score", "visits"]].assign(kind=kind, smokes=1 + y["smokes"].astype(int))
    losses = COUNTS | {"kind": "multinomial", "smokes": "logistic"}
    return X, y[["score", "kind", "smokes", "visits"]], losses


def scores_of(y, predicted):
    expected = {t: accuracy_score(y[t], predicted[t]) for t in ("kind", "smokes")}
    return expected, {t: r2_score(y[t], predicted[t]) for t in ("score", "visits")}


@pytest.mark.parametrize("form", ["frame", "polars", "objects", "lists", "long"])
def test_classes_that_are_numbers(form):
    """Integers that are predicted as integers are classes where others are predicted as floats."""
    X, y, losses = numbered()
    predicted = fitted(X, y, losses=losses).predict(X)
    accuracy, r2 = scores_of(y, predicted)
    tasks, one, two = None, y, predicted
    if form == "polars":
        one, two = (pl.DataFrame({t: p[t].tolist() for t in y}) for p in (y, predicted))
    if form in ("objects", "lists", "long"):
        one, two = (p.astype(object).to_numpy() for p in (y, predicted))
    if form == "lists":
        one = one.tolist()
    if form == "long":
        tasks = np.repeat(list(y), len(y))
        one, two = (p.ravel(order="F") for p in (one, two))
    found = task_scores(one, two, tasks)
    if form in ("objects", "lists"):
        found.index = [*y, *found.index[4:]]
    for expected, name, other in ((accuracy, "accuracy", "r2"), (r2, "r2", "accuracy")):
        assert_allclose(found.loc[list(expected), name], list(expected.values()))
        assert found.loc[list(expected), other].isna().all()
        assert_allclose(found.at["macro", name], np.mean(list(expected.values())))


@pytest.mark.parametrize("form", ["frame", "array", "long"])
def test_tasks_with_probabilities_have_classes(form):
    X, y, losses = numbered()
    y = y.astype(float)
    model = fitted(X, y, losses=losses)
    predicted, p, tasks, names = model.predict(X), model.predict_proba(X), None, list(y)
    accuracy, r2 = scores_of(y, predicted)
    one, two = y, predicted
    if form == "array":
        one, two, names = y.to_numpy(), predicted.to_numpy(), [0, 1, 2, 3]
        p = {1: p["kind"], 2: p["smokes"]}
    if form == "long":
        one, two = (part.to_numpy().ravel(order="F") for part in (y, predicted))
        tasks = np.repeat(list(y), len(y))
        p = {t: np.tile(own, (4, 1)) for t, own in p.items()}
    found = task_scores(one, two, tasks, y_score=p)
    found = found.loc[names].set_axis(list(y))
    assert_allclose(found.loc[list(accuracy), "accuracy"], list(accuracy.values()))
    assert_allclose(found.loc[list(r2), "r2"], list(r2.values()))
    assert found.loc[list(accuracy), "r2"].isna().all()
    own = model.predict_proba(X)
    expected = [log_loss(y["kind"], own["kind"]), log_loss(y["smokes"], own["smokes"])]
    assert_allclose(found.loc[["kind", "smokes"], "log_loss"], expected)


@pytest.mark.parametrize("whole", [int, float])
def test_scorers_follow_the_kinds_of_the_model(whole):
    X, y, losses = numbered()
    y = y.astype({"kind": whole, "smokes": whole})
    model = fitted(X, y, losses=losses)
    accuracy = scores_of(y, model.predict(X))[0]
    assert_allclose(make_task_scorer("accuracy")(model, X, y), np.mean(list(accuracy.values())))
    assert_allclose(make_task_scorer("score")(model, X, y), model.score(X, y))
    search = GridSearchCV(make_pipeline(StandardScaler(), model), {}, cv=3).fit(X, y)
    assert_allclose(make_task_scorer("score")(search, X, y), search.best_estimator_.score(X, y))
    with pytest.raises(ValueError, match="Task 'score' is 'squared', and y has strings"):
        make_task_scorer("score")(model, X, y.assign(score="high"))


def test_searches_with_the_scorer():
    X, y = table()
    model = MixedOutcomeModel(losses=COUNTS, tol=1e-6)
    scoring = make_task_scorer("score")
    assert_allclose(cross_val_score(model, X, y, scoring=scoring), cross_val_score(model, X, y))
    grid = {"mixedoutcomemodel__alpha": [1.0, 10.0]}
    pipeline = make_pipeline(StandardScaler(), model)
    search = GridSearchCV(pipeline, grid, cv=3, scoring=scoring).fit(X, y)
    assert_allclose(scoring(search, X, y), search.best_estimator_.score(X, y))


def test_what_has_no_score():
    X, y = table()
    model = fitted(X, y)
    predicted = model.predict(X)
    with pytest.raises(ValueError, match="have their own classes"):
        task_scores(y, predicted, labels=["no", "yes"])
    with pytest.raises(ValueError, match="are a dict of task to array"):
        task_scores(y, predicted, y_score=np.zeros((120, 5)))
    with pytest.raises(ValueError, match="Pass y_score"):
        task_scores(y, predicted, metrics="log_loss")
    with pytest.raises(ValueError, match="Pass y_pred"):
        task_scores(y, None, y_score=model.predict_proba(X), metrics="accuracy")
    with pytest.raises(ValueError, match="y_pred has shape"):
        task_scores(y, predicted["ill"])
    with pytest.raises(ValueError, match="pass tasks"):
        task_scores([1.0, "a"], [2.0, "a"])
    with pytest.raises(ValueError, match=r"y_score\['kind'\] has 3 columns"):
        task_scores(y[y["kind"] != "a"], None, y_score={"kind": np.full((120, 3), 1 / 3)})
    with pytest.raises(ValueError, match="not a mean over rows"):
        make_task_scorer("score", average="micro")(model, X, y)
    one = MeanRegularizedRegressor().fit(X, y[NUMBERS])
    with pytest.raises(ValueError, match="where all tasks are of one kind"):
        make_task_scorer("score")(one, X, y[NUMBERS])
    other = y[[*y.columns[::-1]]]
    with pytest.raises(ValueError, match="in this order"):
        make_task_scorer("score")(model, X, other)
