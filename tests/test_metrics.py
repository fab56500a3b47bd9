import builtins
import pickle
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn import metrics as skm
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate
from sklearn.preprocessing import StandardScaler

from skmtl import MeanRegularizedClassifier, MeanRegularizedRegressor
from skmtl.datasets import make_multitask_classification, make_multitask_regression
from skmtl.metrics import make_task_scorer, task_scores
from skmtl.model_selection import TaskKFold
from skmtl.pipeline import make_task_pipeline

OVERALL = ["macro", "micro", "weighted", "worst"]


@pytest.fixture
def numbers():
    rng = np.random.default_rng(0)
    tasks = rng.permutation(np.repeat(["a", "b", "c"], [4, 10, 25]))
    y = rng.normal(size=39)
    return y, y + rng.normal(size=39), tasks, rng.uniform(0.5, 2.0, size=39)


@pytest.fixture
def labels():
    """Labels of three tasks, and the probability of "yes"."""
    rng = np.random.default_rng(1)
    tasks = rng.permutation(np.repeat([3, 5, 9], [10, 20, 30]))
    probability = rng.uniform(0.05, 0.95, size=60)
    y = np.where(rng.uniform(size=60) < probability, "yes", "no")
    return y, np.where(probability > 0.5, "yes", "no"), probability, tasks


def check_overall(table, worst):
    """Recompute the macro, weighted and worst rows from the rows of the tasks."""
    per_task = table.drop(index=OVERALL).drop(columns="n_rows")
    counts = table["n_rows"].drop(index=OVERALL)
    assert (table.loc[OVERALL, "n_rows"] == counts.sum()).all()
    for name, values in per_task.items():
        known = values.dropna()
        assert table.loc["macro", name] == pytest.approx(known.sum() / len(known))
        share = counts[known.index] / counts[known.index].sum()
        assert table.loc["weighted", name] == pytest.approx((known * share).sum())
        assert table.loc["worst", name] == getattr(known, worst[name])()


@pytest.mark.parametrize("weighted", [False, True])
def test_regression_table_against_scikit_learn_per_task(numbers, weighted):
    y, z, tasks, weight = numbers
    weight = weight if weighted else None
    functions = {
        "r2": skm.r2_score,
        "explained_variance": skm.explained_variance_score,
        "mean_squared_error": skm.mean_squared_error,
        "mean_absolute_error": skm.mean_absolute_error,
    }
    table = task_scores(y, z, tasks, sample_weight=weight)
    assert list(table.columns) == ["n_rows", *functions, "correlation"]
    assert list(table.index) == ["a", "b", "c", *OVERALL]
    assert list(table["n_rows"]) == [4, 10, 25, 39, 39, 39, 39]
    for name, function in functions.items():
        for task in "abc":
            m = tasks == task
            w = None if weight is None else weight[m]
            assert table.loc[task, name] == pytest.approx(function(y[m], z[m], sample_weight=w))
        assert table.loc["micro", name] == pytest.approx(function(y, z, sample_weight=weight))
    if not weighted:
        assert table.loc["b", "correlation"] == pytest.approx(
            np.corrcoef(y[tasks == "b"], z[tasks == "b"])[0, 1]
        )
        worst = dict.fromkeys(table.columns[1:], "min")
        worst |= {"mean_squared_error": "max", "mean_absolute_error": "max"}
        check_overall(table, worst)


def test_weights_equal_repetition(numbers):
    y, z, tasks, _ = numbers
    repeats = np.arange(39) % 3  # with zeros: those rows are absent
    weighted = task_scores(y, z, tasks, sample_weight=repeats)
    repeated = task_scores(*(np.repeat(a, repeats) for a in (y, z, tasks)))
    pd.testing.assert_frame_equal(weighted.drop(columns="n_rows"), repeated.drop(columns="n_rows"))
    assert weighted.loc["micro", "n_rows"] == np.sum(repeats > 0)


def test_label_table_against_scikit_learn_per_task(labels):
    y, z, probability, tasks = labels
    table = task_scores(y, z, tasks, y_score=probability)
    yes = y == "yes"
    functions = {
        "accuracy": lambda m: skm.accuracy_score(yes[m], z[m] == "yes"),
        "precision": lambda m: skm.precision_score(yes[m], z[m] == "yes"),
        "recall": lambda m: skm.recall_score(yes[m], z[m] == "yes"),
        "roc_auc": lambda m: skm.roc_auc_score(yes[m], probability[m]),
        "log_loss": lambda m: skm.log_loss(yes[m], probability[m]),
    }
    assert list(table.columns) == ["n_rows", *functions]
    for name, function in functions.items():
        for task in (3, 5, 9):
            assert table.loc[task, name] == pytest.approx(function(tasks == task))
        assert table.loc["micro", name] == pytest.approx(function(tasks > 0))
    check_overall(table, dict.fromkeys(functions, "min") | {"log_loss": "max"})
    both = np.column_stack([1 - probability, probability])
    pd.testing.assert_frame_equal(task_scores(y, z, tasks, y_score=both), table)
    only = task_scores(y, None, tasks, y_score=probability)
    pd.testing.assert_frame_equal(only, table[["n_rows", "roc_auc", "log_loss"]])


def test_three_classes_and_a_task_that_lacks_one():
    rng = np.random.default_rng(0)
    tasks = np.repeat([0, 1], 30)
    y = np.append(rng.integers(0, 3, 30), rng.integers(0, 2, 30))
    P = rng.dirichlet([1, 1, 1], size=60)
    z = P.argmax(axis=1)
    table = task_scores(y, z, tasks, y_score=P)
    first = slice(0, 30)
    for name, function in {"precision": skm.precision_score, "recall": skm.recall_score}.items():
        assert table.loc[0, name] == pytest.approx(function(y[first], z[first], average="macro"))
    auc = skm.roc_auc_score(y[first], P[first], multi_class="ovr")
    assert table.loc[0, "roc_auc"] == pytest.approx(auc)
    own = P[30:, 1] / P[30:, :2].sum(axis=1)  # of the two classes that it has
    assert table.loc[1, "roc_auc"] == pytest.approx(skm.roc_auc_score(y[30:], own))
    second = -np.log(P[np.arange(60), y])[30:].mean()
    assert table.loc[1, "log_loss"] == pytest.approx(second)


def test_undefined_scores_are_nan_and_left_out():
    y = [1.0, 2.0, 4.5, 7.0, 7.0, 3.0]
    z = [1.5, 2.0, 4.0, 7.0, 6.0, 3.0]
    table = task_scores(y, z, ["a", "a", "a", "constant", "constant", "single"])
    for name in ("r2", "explained_variance", "correlation"):
        assert table[name].isna().tolist() == [False, True, True, *[False] * 4]
        assert table.loc["macro", name] == table.loc["worst", name] == table.loc["a", name]
    assert table.loc["macro", "mean_squared_error"] == pytest.approx((0.5 / 3 + 0.5 + 0) / 3)
    table = task_scores([0, 0, 1], [0, 1, 0], ["a", "a", "b"], y_score=[0.1, 0.6, 0.4])
    assert table["roc_auc"].isna().tolist() == [True, True, True, False, True, True]
    assert np.isnan(table.loc["a", "recall"])
    assert table.loc["a", "precision"] == 0.0
    assert table.loc["b", "precision"] == 0.0  # nothing is predicted, as in scikit-learn
    assert table.loc["b", "log_loss"] == pytest.approx(-np.log(0.4))


def test_correlation_with_predictions_constant_up_to_rounding():
    y = np.arange(5.0)
    z = np.full(5, 0.1 + 0.2)
    z[::2] = 0.3
    assert np.isnan(task_scores(y, z, metrics="correlation").loc["micro", "correlation"])
    assert task_scores(y, y + 1e8, metrics="correlation").loc[0, "correlation"] == pytest.approx(1)


@pytest.mark.parametrize("frame", [False, True])
def test_wide_form_equals_long_form(frame):
    rng = np.random.default_rng(0)
    Y = rng.normal(size=(12, 3))
    Y[rng.uniform(size=Y.shape) < 0.2] = np.nan
    Z, weight = rng.normal(size=(12, 3)), rng.uniform(0.1, 1, size=12)
    rows, columns = np.nonzero(~np.isnan(Y))
    long = task_scores(Y[rows, columns], Z[rows, columns], columns, sample_weight=weight[rows])
    if frame:
        Y = pd.DataFrame(Y, columns=["jan", "feb", "mar"])
        long.index = pd.Index([*Y.columns, *OVERALL], name="task", dtype=object)
    pd.testing.assert_frame_equal(task_scores(Y, Z, sample_weight=weight), long)


def test_wide_form_of_probabilities():
    rng = np.random.default_rng(0)
    P, Y = rng.uniform(0.1, 0.9, size=(15, 2)), rng.integers(0, 2, size=(15, 2))
    expected = task_scores(Y.ravel(), None, np.tile([0, 1], 15), y_score=P.ravel())
    as_list = [np.column_stack([1 - p, p]) for p in P.T]
    for score in (P, as_list, np.stack(as_list, axis=1)):
        pd.testing.assert_frame_equal(task_scores(Y, None, y_score=score), expected)


def test_metrics_that_callers_bring(numbers):
    y, z, tasks, _ = numbers
    table = task_scores(y, z, tasks, metrics=skm.median_absolute_error)
    assert table.loc["worst", "median_absolute_error"] == table.iloc[:3, 1].max()
    pinball = partial(skm.mean_pinball_loss, alpha=0.9)
    metrics = {"q90": pinball, "mse": "mean_squared_error", "gap": lambda a, b: abs(a - b).max()}
    table = task_scores(y, z, tasks, metrics=metrics, greater_is_better={"gap": False})
    m = tasks == "b"
    assert table.loc["b", "q90"] == skm.mean_pinball_loss(y[m], z[m], alpha=0.9)
    check_overall(table, dict.fromkeys(metrics, "max"))
    brier = task_scores([0, 1, 1], [0.2, 0.7, 0.4], metrics=skm.brier_score_loss)
    assert brier.loc["micro", "brier_score_loss"] == pytest.approx((0.04 + 0.09 + 0.36) / 3)


def test_without_pandas(numbers, monkeypatch):
    y, z, tasks, _ = numbers
    table = task_scores(y, z, tasks)
    ordinary_import = builtins.__import__

    def without_pandas(name, *args, **kwargs):
        if name == "pandas":
            raise ImportError(name)
        return ordinary_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pandas)
    columns = task_scores(y, z, tasks)
    assert columns.pop("task").tolist() == table.index.tolist()
    for name, values in columns.items():
        np.testing.assert_array_equal(values, table[name])


@pytest.mark.parametrize(
    ("arguments", "keywords", "error", "message"),
    [
        (([1, 2], [1, 2]), {"metrics": "r3"}, ValueError, "'r3' is not a metric"),
        (([1, 2], [1, 2]), {"metrics": [3]}, TypeError, "must be a name or a function, got 3"),
        (([1, 2], [1, 2]), {"metrics": "roc_auc"}, ValueError, "Pass y_score"),
        (([1, 2], None), {"metrics": "r2"}, ValueError, "Pass y_pred"),
        (([1, 2], None), {}, ValueError, "Pass y_pred"),
        (([1, 2], [1, 2, 3]), {}, ValueError, "y_pred has shape .3,., which does not match"),
        ((np.eye(2), np.eye(2), [0, 1]), {}, ValueError, "one task per column"),
        (([1, 2], [1, 2], [0, 1, 2]), {}, ValueError, "inconsistent numbers of samples"),
        (([1, 2], [1, 2], ["a", None]), {}, ValueError, "missing labels"),
        (([1, 2], [1, 2]), {"sample_weight": [0, 0]}, ValueError, "no rows to score"),
        (([1, 2], [1, 2]), {"greater_is_better": {"mse": False}}, ValueError, "names .'mse'"),
        ((["a", "b"], ["a", "b"]), {"metrics": "r2"}, ValueError, "string"),
    ],
)
def test_wrong_use(arguments, keywords, error, message):
    with pytest.raises(error, match=message):
        task_scores(*arguments, **keywords)


# ----------------------------------------------------------------------------------- scorer


@pytest.mark.parametrize("average", OVERALL)
@pytest.mark.parametrize(
    ("metric", "name", "sign"),
    [
        ("r2", "r2", 1),
        ("mean_squared_error", "mean_squared_error", -1),
        ("neg_mean_squared_error", "mean_squared_error", -1),
        (skm.mean_absolute_error, "mean_absolute_error", -1),
    ],
)
def test_scorer_is_a_signed_entry_of_the_table(metric, name, sign, average):
    X, y = make_multitask_regression(n_tasks=6, n_samples=8, imbalance=1.0, random_state=0)
    X = pd.DataFrame(X, columns=["store", *(f"x{j}" for j in range(10))])
    bare = MeanRegularizedRegressor(task_column="store")
    for model in (bare, make_task_pipeline(StandardScaler(), bare)):
        model.fit(X, y)
        scorer = make_task_scorer(metric, task_column="store", average=average)
        table = task_scores(y, model.predict(X), X["store"])
        assert scorer(model, X, y) == sign * table.loc[average, name]


def test_scorer_in_model_selection_with_tasks_absent_from_folds():
    X, y = make_multitask_regression(n_tasks=8, n_samples=5, imbalance=1.5, random_state=1)
    assert np.unique(X[:, 0], return_counts=True)[1].min() == 1
    model = MeanRegularizedRegressor(task_column=0, handle_unknown="shared")
    scoring = {a: make_task_scorer("r2", task_column=0, average=a) for a in OVERALL}
    cv = TaskKFold(4, task_column=0)
    scores = cross_validate(model, X, y, cv=cv, scoring=scoring)
    for k, (train, test) in enumerate(cv.split(X)):
        z = clone(model).fit(X[train], y[train]).predict(X[test])
        per_task = []
        for task in np.unique(X[test, 0]):
            m = X[test, 0] == task
            if m.sum() > 1:
                per_task.append(skm.r2_score(y[test][m], z[m]))
        assert 0 < len(per_task) < 8
        assert scores["test_macro"][k] == pytest.approx(np.mean(per_task))
        assert scores["test_worst"][k] == pytest.approx(min(per_task))
        assert scores["test_micro"][k] == pytest.approx(skm.r2_score(y[test], z))
    search = GridSearchCV(model, {"alpha": [1.0, 10.0]}, scoring=scoring["macro"], cv=cv)
    assert search.fit(X, y).score(X, y) == scoring["macro"](search, X, y)


def test_scorer_in_the_wide_form():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 2))
    Y = X @ rng.normal(size=(2, 3)) + rng.normal(size=(30, 3))
    scores = cross_val_score(
        LinearRegression(), X, Y, scoring=make_task_scorer("r2", average="worst"), cv=KFold(3)
    )
    for score, (train, test) in zip(scores, KFold(3).split(X), strict=True):
        Z = LinearRegression().fit(X[train], Y[train]).predict(X[test])
        assert score == pytest.approx(min(skm.r2_score(Y[test], Z, multioutput="raw_values")))
    model = LinearRegression().fit(X, Y[:, 0])  # 1-D y: one task
    assert make_task_scorer("r2")(model, X, Y[:, 0]) == pytest.approx(model.score(X, Y[:, 0]))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_scorer_of_probabilities(n_classes):
    X, y = make_multitask_classification(
        n_tasks=3, n_samples=60, n_features=3, n_classes=n_classes, random_state=0
    )
    model = LogisticRegression().fit(X, y)
    P = model.predict_proba(X)
    groups = [X[:, 0] == task for task in range(3)]
    loss = np.mean([skm.log_loss(y[m], P[m]) for m in groups])
    scorer = make_task_scorer("neg_log_loss", task_column=0)
    assert scorer(model, X, y) == pytest.approx(-loss)
    P = P[:, 1] if n_classes == 2 else P
    auc = np.mean([skm.roc_auc_score(y[m], P[m], multi_class="ovr") for m in groups])
    assert make_task_scorer("roc_auc", task_column=0)(model, X, y) == pytest.approx(auc)
    if n_classes == 2:
        brier = make_task_scorer(
            skm.brier_score_loss, task_column=0, response_method="predict_proba"
        )
        losses = [skm.brier_score_loss(y[m], P[m]) for m in groups]
        assert brier(model, X, y) == pytest.approx(-np.mean(losses))


def test_scorer_of_a_fold_that_lacks_a_class():
    X, y = make_multitask_classification(n_tasks=2, n_samples=40, n_classes=3, random_state=0)
    model = LogisticRegression(max_iter=1000).fit(X, y)
    rest = y < 2
    expected = -np.log(model.predict_proba(X[rest])[np.arange(rest.sum()), y[rest]])
    scorer = make_task_scorer("log_loss", task_column=0, average="micro")
    assert scorer(model, X[rest], y[rest]) == pytest.approx(-expected.mean())


def test_scorer_of_a_multioutput_classifier():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    Y = (X @ rng.normal(size=(3, 2)) + rng.normal(size=(40, 2)) > 0).astype(int)
    model = RandomForestClassifier(n_estimators=5, max_depth=2, random_state=0).fit(X, Y)
    P = model.predict_proba(X)
    auc = [skm.roc_auc_score(Y[:, t], P[t][:, 1]) for t in range(2)]
    assert make_task_scorer("roc_auc")(model, X, Y) == pytest.approx(np.mean(auc))


@pytest.mark.parametrize("many", [False, True])
def test_scorer_takes_weights_by_metadata_routing(many):
    X, y = make_multitask_regression(n_tasks=3, n_samples=12, n_features=2, random_state=0)
    weight = np.random.default_rng(0).uniform(0.1, 3.0, size=len(y))
    cv = TaskKFold(3, task_column=0)
    with sklearn.config_context(enable_metadata_routing=True):
        model = LinearRegression().set_fit_request(sample_weight=False)
        scorer = make_task_scorer("r2", task_column=0).set_score_request(sample_weight=True)
        scores = cross_validate(
            model,
            X,
            y,
            cv=cv,
            scoring={"score": scorer} if many else scorer,
            params={"sample_weight": weight},
        )["test_score"]
    for score, (train, test) in zip(scores, cv.split(X), strict=True):
        z = LinearRegression().fit(X[train], y[train]).predict(X[test])
        table = task_scores(y[test], z, X[test, 0], sample_weight=weight[test])
        assert score == pytest.approx(table.loc["macro", "r2"])
        assert score != pytest.approx(task_scores(y[test], z, X[test, 0]).loc["macro", "r2"])


def test_scorer_pickle_clone_repr():
    scorer = make_task_scorer(skm.fbeta_score, task_column=0, beta=2.0, average="worst")
    X, y = make_multitask_classification(n_tasks=2, random_state=0)
    model = LogisticRegression().fit(X, y)
    search = clone(GridSearchCV(model, {"C": [1.0]}, scoring=scorer))
    for copy in (pickle.loads(pickle.dumps(scorer)), clone(scorer), search.scoring):
        assert copy(model, X, y) == scorer(model, X, y)
    text = repr(make_task_scorer("neg_log_loss", task_column="county"))
    assert text == "_TaskScorer(metric='log_loss', task_column='county')"


def test_direction_can_be_set():
    X, y = np.zeros((4, 1)), np.array([1.0, 2.0, 3.0, 6.0])
    model = LinearRegression().fit(X, y)

    def spread(y_true, y_pred):
        return np.ptp(y_true - y_pred)

    assert make_task_scorer(spread)(model, X, y) == pytest.approx(5)
    assert make_task_scorer(spread, greater_is_better=False)(model, X, y) == pytest.approx(-5)


def test_scorer_refuses_wrong_use():
    with pytest.raises(ValueError, match="average must be one of"):
        make_task_scorer("r2", average="mean")
    with pytest.raises(ValueError, match="'neg_r3' is not a metric"):
        make_task_scorer("neg_r3")
    X, y = make_multitask_regression(n_tasks=2, n_samples=5, n_features=2, random_state=0)
    model = MeanRegularizedRegressor(task_column=0)
    pipeline = make_task_pipeline(StandardScaler(), model)
    for wrapped in (model, pipeline, GridSearchCV(model, {"alpha": [1.0]})):
        with pytest.raises(ValueError, match="score all rows as one task"):
            make_task_scorer("r2")(wrapped.fit(X, y), X, y)
    with pytest.raises(AttributeError, match="no method predict_proba, which this metric needs"):
        make_task_scorer("log_loss", task_column=0)(model.fit(X, y), X, y)


@pytest.mark.parametrize("bad", [-1.0, np.nan])
def test_bad_sample_weight(bad):
    with pytest.raises(ValueError, match="sample_weight must be at least 0"):
        task_scores([1.5, 2.0], [1.5, 2.0], ["a", "b"], sample_weight=[1.0, bad])


SEEN = {"p": ["a", "b"], "q": ["c", "d"], "r": ["a", "b", "d"], "s": ["c"]}


def seen_classes(seed=0):
    """Tasks with different classes, and what a model that knows them would say."""
    rng = np.random.default_rng(seed)
    x, t = rng.normal(size=160), np.repeat(list(SEEN), 40)
    y = np.concatenate([rng.choice(own, 40) for own in SEEN.values()])
    X = pd.DataFrame({"t": t, "x": x, "z": rng.normal(size=160)})
    model = MeanRegularizedClassifier(task_column="t", task_classes="seen")
    with pytest.warns(UserWarning, match="Only one class was seen in task 's'"):
        model.fit(X, y)
    return X, y, t, model


def test_auc_is_over_the_classes_that_a_task_has():
    X, y, t, model = seen_classes()
    P, known = model.predict_proba(X), list(model.classes_)
    expected = []
    for task, own in SEEN.items():
        m, columns = t == task, [known.index(c) for c in own]
        if len(own) == 2:
            expected.append(skm.roc_auc_score(y[m] == own[1], P[m, columns[1]]))
        elif len(own) == 3:
            one = P[np.ix_(m, columns)]
            expected.append(skm.roc_auc_score(y[m], one, multi_class="ovr"))
    table = task_scores(y, None, X["t"], y_score=P, metrics="roc_auc")["roc_auc"]
    np.testing.assert_allclose(table.loc[["p", "q", "r"]], expected, rtol=1e-12)
    assert np.isnan(table["s"])
    score = make_task_scorer("roc_auc", task_column="t")(model, X, y)
    assert score == pytest.approx(np.mean(expected), abs=1e-12)
    decisions = make_task_scorer("roc_auc", task_column="t", response_method="decision_function")
    one = t == "q"  # over all tasks more than two classes would need probabilities
    assert decisions(model, X[one], y[one]) == pytest.approx(expected[1], abs=1e-12)


def test_average_precision_is_over_the_classes_that_a_task_has():
    X, y, t, model = seen_classes()
    P, known = model.predict_proba(X), list(model.classes_)
    table = task_scores(y, None, t, y_score=P, metrics="average_precision")["average_precision"]
    for task, own in SEEN.items():
        m = t == task
        one = [skm.average_precision_score(y[m] == c, P[m, known.index(c)]) for c in own]
        one = {1: np.nan, 2: one[-1], 3: np.mean(one)}[len(own)]
        assert table[task] == pytest.approx(one, nan_ok=True)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "average_precision", "brier"])
def test_a_class_absent_from_training_has_probability_zero(metric, n_classes):
    rng = np.random.default_rng(0)
    X = np.column_stack([np.repeat([0, 1], 40), rng.normal(size=(80, 2))])
    y = np.array(["a", "c", "d"][:n_classes])[rng.integers(0, n_classes, 80)]
    model = MeanRegularizedClassifier(task_column=0).fit(X, y)
    test = y.copy()
    test[::4] = "b"
    P = model.predict_proba(X)
    full = np.insert(P, 1, 0.0, axis=1)
    expected = task_scores(test, None, X[:, 0], y_score=full, metrics=metric).loc["macro", metric]
    score = make_task_scorer(metric, task_column=0)(model, X, test)
    assert abs(score) == pytest.approx(expected)
    assert np.isfinite(score)
    if n_classes == 3 and metric == "roc_auc":
        scorer = make_task_scorer(metric, task_column=0, response_method="decision_function")
        with pytest.raises(ValueError, match="classes 'b', which the model was not fitted to"):
            scorer(model, X, test)


def test_columns_of_scores_are_those_of_the_labels():
    with pytest.raises(ValueError, match=r"y_score has 3 columns for 2 classes: 0, 1\. Pass"):
        task_scores([0, 1, 0, 1], None, y_score=np.full((4, 3), 1 / 3), metrics="roc_auc")
    with pytest.raises(ValueError, match="y_score has one column for 3 classes"):
        task_scores([0, 1, 2, 1], None, y_score=np.full(4, 0.5), metrics="roc_auc")


NAMED = {
    "balanced_accuracy": lambda y, z, p: skm.balanced_accuracy_score(y, z),
    "f1": lambda y, z, p: skm.f1_score(y, z, pos_label="yes"),
    "jaccard": lambda y, z, p: skm.jaccard_score(y, z, pos_label="yes"),
    "f1_macro": lambda y, z, p: skm.f1_score(y, z, average="macro"),
    "matthews_corrcoef": lambda y, z, p: skm.matthews_corrcoef(y, z),
    "average_precision": lambda y, z, p: skm.average_precision_score(y == "yes", p),
    "brier_score": lambda y, z, p: skm.brier_score_loss(y == "yes", p),
    "brier": lambda y, z, p: skm.brier_score_loss(y == "yes", p),
    "neg_brier_score": lambda y, z, p: skm.brier_score_loss(y == "yes", p),
    "roc_auc_ovo": lambda y, z, p: skm.roc_auc_score(y == "yes", p),
    "d2_log_loss_score": lambda y, z, p: skm.d2_log_loss_score(y == "yes", p),
}
# Those that this version of scikit-learn has: 1.6 scores no classifiers by d2.
SKILLS = [
    name for name in ("d2_log_loss_score", "d2_brier_score") if name in skm.get_scorer_names()
]


@pytest.mark.parametrize("name", [name for name in NAMED if name in SKILLS or name[:2] != "d2"])
def test_names_of_scikit_learn(labels, name):
    y, z, p, tasks = labels
    table = task_scores(y, z, tasks, y_score=p, metrics=name)[name.removeprefix("neg_")]
    for task in (3, 5, 9):
        m = tasks == task
        assert table[task] == pytest.approx(NAMED[name](y[m], z[m], p[m]))
    assert table["micro"] == pytest.approx(NAMED[name](y, z, p))
    assert table["worst"] == (max if "brier" in name else min)(table[[3, 5, 9]])


def test_names_of_scikit_learn_for_numbers(numbers):
    y, z, tasks, _ = numbers
    for name in ("neg_root_mean_squared_error", "median_absolute_error", "neg_max_error"):
        function = getattr(skm, name.removeprefix("neg_"))
        table = task_scores(y, z, tasks, metrics=name)[name.removeprefix("neg_")]
        for task in "abc":
            assert table[task] == pytest.approx(function(y[tasks == task], z[tasks == task]))
        assert table["worst"] == table[list("abc")].max()


def test_all_names_of_scikit_learn_make_scorers():
    X, y = make_multitask_classification(n_tasks=3, n_samples=60, n_features=3, random_state=0)
    model = MeanRegularizedClassifier(task_column=0).fit(X, y)
    for name in skm.get_scorer_names():
        scorer = make_task_scorer(name, task_column=0)
        if not any(word in name for word in ("samples", "gamma", "poisson", "top_k")):
            assert np.isfinite(scorer(model, X, y)), name
    with pytest.raises(ValueError, match="Did you mean 'balanced_accuracy'"):
        make_task_scorer("balanced_acuracy")


def test_min_rows_leaves_small_tasks_out_of_averages_and_counts_them():
    y = np.array([1.0, 1.001, 3.0, 5.0, 4.0, 2.0, 7.0, 1.0])
    z, tasks = y + np.tile([0.5, -0.5], 4), ["a", "a", "b", "b", "b", "c", "c", "c"]
    full = task_scores(y, z, tasks, metrics="r2")["r2"]
    assert full["macro"] < -1e5
    with pytest.warns(UserWarning, match="1 of 3 tasks have fewer than min_rows=3 rows") as caught:
        table = task_scores(y, z, tasks, metrics=["r2", "mean_squared_error"], min_rows=3)["r2"]
    assert len(caught) == 1
    assert table["a"] == full["a"]
    assert table["macro"] == pytest.approx((full["b"] + full["c"]) / 2)
    assert table["worst"] == min(full["b"], full["c"])
    assert table["micro"] == full["micro"]
    X = np.column_stack([[0, 0, 1, 1, 1, 2, 2, 2], z])
    model = LinearRegression().fit(X, y)
    scorer = make_task_scorer("r2", task_column=0, min_rows=3)
    score = scorer(model, X, y)  # without a warning, which would come with each fit of a search
    assert score == pytest.approx(task_scores(y[2:], model.predict(X)[2:], X[2:, 0])["r2"]["macro"])
    with pytest.raises(ValueError, match="min_rows must be an integer of at least 1, got 0"):
        task_scores(y, z, tasks, min_rows=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1, 0], ["u", "v", "u"], [0, 1, 1]), "y_true holds numbers and y_pred strings"),
        ((["u", "v", "u"], [0, 1, 0], [0, 1, 1]), "y_true holds strings and y_pred numbers"),
        ((["n", "y", "n"], ["u", "v", "u"], ["y", "y", "n"]), "y_pred holds 'u', 'v', none of the"),
        (([0, 1, 0], [7, 8, 9], [0, 1, 1]), "y_pred holds 7, 8, 9, none of the labels of y_true"),
        (([0.5, 1, 0], [7, 8, 9], [0.3, 1, 1]), "tasks holds 0.3: task labels cannot be fractions"),
    ],
)
def test_swapped_arguments(arguments, message):
    with pytest.raises(ValueError, match=f"{message}.*order of arguments is y_true, y_pred, tasks"):
        task_scores(*arguments)


@pytest.mark.parametrize(
    "kind", [pd.DataFrame, pl.DataFrame, lambda y: y[:, None], lambda y: y.astype(object)]
)
def test_targets_of_one_column_or_of_objects(numbers, labels, kind):
    y, z, tasks, weight = numbers
    expected = task_scores(y, z, tasks, sample_weight=weight)
    for given in ((kind(y), z), (y, kind(z)), (kind(y), kind(z))):
        pd.testing.assert_frame_equal(task_scores(*given, tasks, sample_weight=weight), expected)
    alone = task_scores(kind(y), z).drop(columns="n_rows").to_numpy()
    np.testing.assert_allclose(alone, task_scores(y, z).drop(columns="n_rows").to_numpy())
    X = np.column_stack([np.unique(tasks, return_inverse=True)[1], z])
    model = LinearRegression().fit(X, y)
    for name in ("r2", "neg_mean_squared_error"):
        scorer = make_task_scorer(name, task_column=0)
        assert scorer(model, X, kind(y)) == scorer(model, X, y)
    y, z, p, tasks = labels
    for name in ("accuracy", "roc_auc", "f1"):
        found = task_scores(kind(y), z, tasks, y_score=kind(p), metrics=name)
        pd.testing.assert_frame_equal(found, task_scores(y, z, tasks, y_score=p, metrics=name))


def test_weights_of_targets():
    rng = np.random.default_rng(0)
    Y, Z, weight = rng.normal(size=(3, 30, 2))
    weight = np.maximum(weight, 0.0)
    table = task_scores(Y, Z, sample_weight=weight, metrics=["r2", "mean_squared_error"])
    long = task_scores(
        Y.T.ravel(),
        Z.T.ravel(),
        np.repeat([0, 1], 30),
        sample_weight=weight.T.ravel(),
        metrics=["r2", "mean_squared_error"],
    )
    pd.testing.assert_frame_equal(table, long)
    with pytest.raises(ValueError, match=r"sample_weight has shape \(2, 30\)"):
        task_scores(Y, Z, sample_weight=weight.T)


def test_names_of_negated_scores_are_those_of_the_values():
    table = task_scores([1.5, 2.0], [1.0, 2.0], metrics="neg_mean_squared_error")
    assert table.columns.tolist() == ["n_rows", "mean_squared_error"]
    with pytest.raises(ValueError, match="'neg_accuracy' is not a metric name"):
        task_scores([1, 2], [1, 2], metrics="neg_accuracy")


def test_min_rows_of_scorers(recwarn):
    with pytest.raises(ValueError, match="min_rows must be an integer of at least 1, got 0"):
        make_task_scorer("r2", min_rows=0)
    X, y = make_multitask_regression(3, 10, 2, random_state=0)
    model = MeanRegularizedRegressor(task_column=0).fit(X, y)
    make_task_scorer("r2", task_column=0, average="micro", min_rows=50)(model, X, y)
    assert not recwarn


@pytest.mark.parametrize("name", ["precision", "precision_macro", "precision_weighted", "f1_macro"])
def test_a_class_that_is_never_predicted_counts(name):
    y = np.repeat([0, 1, 2], [60, 30, 10])
    z = np.where(y == 2, 0, y)
    table = task_scores(y, z, np.zeros(100, int), metrics=name, labels=[0, 1, 2])
    function = skm.f1_score if name.startswith("f1") else skm.precision_score
    average = "weighted" if name.endswith("weighted") else "macro"
    assert table.loc[0, name] == pytest.approx(function(y, z, average=average, zero_division=0))


def test_columns_of_scores_in_another_order():
    rng = np.random.default_rng(0)
    y, P = rng.integers(0, 3, 60), rng.dirichlet(np.ones(3), 60)
    names = ["log_loss", "roc_auc", "brier_score"]
    expected = task_scores(y, None, y_score=P, labels=[0, 1, 2], metrics=names)
    found = task_scores(y, None, y_score=P[:, [2, 0, 1]], labels=[2, 0, 1], metrics=names)
    pd.testing.assert_frame_equal(found, expected)
    for labels in ([0, 0, 1], [1, 0]):
        with pytest.raises(ValueError, match="pass them once each, and two of them sorted"):
            task_scores(y > 1, None, y_score=P[:, 0], labels=labels, metrics="roc_auc")
    with pytest.raises(ValueError, match=r"y_pred has shape \(60,\)"):
        task_scores(np.column_stack([y, y]), y, metrics="r2")


@pytest.mark.parametrize("name", SKILLS)
def test_relative_skill_on_one_class_is_undefined(name):
    y, p = np.array([0, 1, 0, 1, 1, 1]), np.array([0.2, 0.7, 0.4, 0.6, 0.6, 0.8])
    table = task_scores(y, None, [0, 0, 0, 0, 1, 1], y_score=p, metrics=name)[name]
    assert np.isnan(table[1])
    assert table["macro"] == table[0]


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_columns_of_frames_are_those_of_the_targets(kind):
    rng = np.random.default_rng(0)
    names = ["a", "b"]
    values = dict(zip(names, rng.normal(size=(2, 30)), strict=True))
    Y, swapped = kind(values), kind({name: values[name] for name in ("b", "a")})
    Z = Y.to_numpy()
    expected = task_scores(Z, Z, metrics="r2")["r2"].to_numpy()
    for given in ((Y, Y), (Y, Z), (Z, Y), (Y, pd.DataFrame(Z)), (pd.DataFrame(Z), Y)):
        np.testing.assert_array_equal(task_scores(*given, metrics="r2")["r2"], expected)
    message = "has the columns 'b', 'a', and y_true has 'a', 'b'. Pass them in this order"
    with pytest.raises(ValueError, match=f"y_pred {message}, or pass y_pred as an array"):
        task_scores(Y, swapped, metrics="r2")
    with pytest.raises(ValueError, match="y_pred has the columns 'c', 'd', and y_true has 'a'"):
        task_scores(Y, kind({"c": Z[:, 0], "d": Z[:, 1]}))
    with pytest.raises(ValueError, match="y_pred has the columns 1, 0, and y_true has 0, 1"):
        task_scores(pd.DataFrame(Z), pd.DataFrame(Z)[[1, 0]])
    with pytest.raises(ValueError, match=f"sample_weight {message}"):
        task_scores(Y, Y, sample_weight=swapped)
    labels = kind({name: (values[name] > 0).astype(int) for name in names})
    with pytest.raises(ValueError, match=f"y_score {message}"):
        task_scores(labels, None, y_score=swapped, metrics="roc_auc")
    words = kind({"a": values["a"], "b": np.where(values["b"] > 0, "yes", "no")})
    predicted = kind({"b": words["b"], "a": words["a"]})
    with pytest.raises(ValueError, match=f"y_pred {message}"):  # tasks of different kinds
        task_scores(words, predicted)


def test_columns_of_a_frame_of_probabilities_are_the_classes():
    rng = np.random.default_rng(0)
    y, P = rng.choice(["no", "yes"], 40), rng.dirichlet(np.ones(2), 40)
    frame = pd.DataFrame(P, columns=["no", "yes"])
    expected = task_scores(y, None, y_score=P, metrics="log_loss")
    for given in (frame, frame.set_axis(["p0", "p1"], axis=1)):
        found = task_scores(y, None, y_score=given, metrics="log_loss")
        pd.testing.assert_frame_equal(found, expected)
    message = "y_score has the columns 'yes', 'no', and the classes are 'no', 'yes'"
    with pytest.raises(ValueError, match=message):
        task_scores(y, None, y_score=frame[["yes", "no"]], metrics="log_loss")
    with pytest.raises(ValueError, match=message):
        task_scores(y[:, None], None, y_score=frame[["yes", "no"]], metrics="log_loss")


def test_a_scorer_of_predictions_in_a_frame():
    class Swapped(LinearRegression):
        def predict(self, X):
            return pd.DataFrame(super().predict(X), columns=["a", "b"])[["b", "a"]]

    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(20, 3)), pd.DataFrame(rng.normal(size=(20, 2)), columns=["a", "b"])
    with pytest.raises(ValueError, match="y_pred has the columns 'b', 'a', and y_true has 'a'"):
        make_task_scorer("r2")(Swapped().fit(X, Y), X, Y)


@pytest.mark.parametrize("width", [2, 3])
def test_predictions_with_more_columns_than_the_targets(width, numbers, labels):
    y, z, tasks, _ = numbers
    several = np.column_stack([z] * width)
    message = f"y_pred has {width} columns for each column of y_true"
    for given in ((y, several), (y, several, tasks)):
        with pytest.raises(ValueError, match=message):
            task_scores(*given, metrics="r2")
    with pytest.raises(ValueError, match=message):
        task_scores(y, several)
    with pytest.raises(ValueError, match=message):
        task_scores(labels[0], np.column_stack([labels[1]] * width), metrics="accuracy")
    model = LinearRegression().fit(several, several)
    with pytest.raises(ValueError, match=message):
        make_task_scorer("r2")(model, several, y)


def test_scorer_of_probabilities_by_a_metric_of_numbers():
    X, y = make_multitask_classification(n_tasks=2, n_samples=40, random_state=0)
    model = LogisticRegression().fit(X, y)
    scorer = make_task_scorer("mean_squared_error", response_method="predict_proba")
    expected = skm.mean_squared_error(y, model.predict_proba(X)[:, 1])
    assert scorer(model, X, y) == pytest.approx(-expected)
    table = task_scores(y, model.predict_proba(X), metrics=skm.brier_score_loss)
    assert table.loc[0, "brier_score_loss"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("mae", "mean_absolute_error"),
        ("MSE", "mean_squared_error"),
        ("neg_rmse", "root_mean_squared_error"),
        ("auc", "roc_auc"),
    ],
)
def test_abbreviations_of_names(given, meant):
    message = f"'{given}' is not a metric name. Did you mean '{meant}'"
    with pytest.raises(ValueError, match=message):
        make_task_scorer(given)
