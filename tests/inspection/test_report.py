"""Reports on sharing, against loops over folds and cross_validate."""

import builtins
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as skm
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import (
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    PooledRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
)
from skmtl.datasets import make_multitask_classification, make_multitask_regression
from skmtl.inspection import sharing_report, task_affinity, task_similarity
from skmtl.inspection._models import ALPHAS, INNER
from skmtl.inspection._significance import holm, joint_p_value, mean_difference
from skmtl.model_selection import TaskKFold
from skmtl.pipeline import make_task_pipeline

MODEL = MeanRegularizedRegressor(20.0, task_column=0)
FIXED = {
    "pooled": PooledRegressor(2.0, task_column=0),
    "separate": SharedL2Regressor(1.5, task_column=0),
}


@pytest.fixture(scope="module")
def data():
    return make_multitask_regression(4, 20, 3, imbalance=0.5, random_state=0)


def out_of_fold(model, X, y, splits, weight=None, method="predict"):
    """What cross_val_predict does, spelt out."""
    result = None
    for train, test in splits:
        own = None if weight is None else weight[train]
        values = getattr(clone(model).fit(X[train], y[train], own), method)(X[test])
        if result is None:
            result = np.empty((len(y), *values.shape[1:]))
        result[test] = values
    return result


def dealt(X, k=5):
    return list(TaskKFold(k, task_column=0, shuffle=True, random_state=0).split(X))


def test_scores_are_those_of_a_loop_over_folds(data):
    X, y = data
    report = sharing_report(X, y, MODEL, **FIXED)
    for name, model in {**FIXED, "shared": MODEL}.items():
        squares = (y - out_of_fold(model, X, y, dealt(X))) ** 2
        expected = [squares[X[:, 0] == t].mean() for t in range(4)]
        np.testing.assert_allclose(report[name], expected, rtol=1e-12)
    np.testing.assert_allclose(report["gain"], report["separate"] - report["shared"], rtol=1e-10)
    np.testing.assert_allclose(
        report["gain_over_pooled"], report["pooled"] - report["shared"], rtol=1e-10
    )
    assert report["n_rows"].tolist() == np.bincount(X[:, 0].astype(int)).tolist()
    assert report.index.tolist() == [0, 1, 2, 3]


def test_errors_are_those_of_paired_rows(data):
    X, y = data
    report = sharing_report(X, y, MODEL, **FIXED)
    losses = {
        name: (y - out_of_fold(model, X, y, dealt(X))) ** 2
        for name, model in {**FIXED, "shared": MODEL}.items()
    }
    for t in range(4):
        own = X[:, 0] == t
        for kind, column in (("separate", "gain_std"), ("pooled", "gain_over_pooled_std")):
            difference = (losses[kind] - losses["shared"])[own]
            error = difference.std(ddof=1) / np.sqrt(own.sum())
            np.testing.assert_allclose(report[column][t], error, rtol=1e-10)


def test_weights_weigh_fits_and_scores(data):
    X, y = data
    weight = np.random.default_rng(0).integers(0, 4, len(y)).astype(float)
    splits = dealt(X)
    report = sharing_report(X, y, MODEL, cv=splits, sample_weight=weight, **FIXED)
    for name, model in {**FIXED, "shared": MODEL}.items():
        squares = (y - out_of_fold(model, X, y, splits, weight)) ** 2
        for t in range(4):
            own = X[:, 0] == t
            expected = np.average(squares[own], weights=weight[own])
            np.testing.assert_allclose(report[name][t], expected, rtol=1e-10)
    assert report["n_rows"].sum() == np.count_nonzero(weight)


def test_compared_models_are_tuned_on_each_training_fold(data):
    X, y = data
    report = sharing_report(X, y, MODEL)
    for kind, base in (("pooled", PooledRegressor()), ("separate", SharedL2Regressor())):
        predicted = np.empty(len(y))
        for train, test in dealt(X):
            # the grid of RegularizationPathCV: of the mean curvature of a feature in a task
            squares = len(train) * X[train, 1:].var(axis=0).mean() / 4
            search = GridSearchCV(
                base.set_params(task_column=0),
                {"alpha": squares * np.geomspace(1e-4, 1e3, ALPHAS)},
                cv=TaskKFold(INNER, task_column=0),
                scoring="neg_mean_squared_error",
            )
            # of folds that differ by a row, all count alike, as in GridSearchCV
            predicted[test] = search.fit(X[train], y[train]).predict(X[test])
        squares = (y - predicted) ** 2
        expected = [squares[X[:, 0] == t].mean() for t in range(4)]
        np.testing.assert_allclose(report[kind], expected, rtol=1e-10)


def test_scores_are_those_of_cross_validate(data):
    X, y = data
    report = sharing_report(X, y, MODEL, **FIXED)
    tested = cross_validate(
        MODEL,
        X,
        y,
        cv=dealt(X),
        return_estimator=True,
        return_indices=True,
        scoring="neg_mean_squared_error",
    )
    rows = tested["indices"]["test"]
    squares = np.concatenate(
        [
            (y[test] - model.predict(X[test])) ** 2
            for model, test in zip(tested["estimator"], rows, strict=True)
        ]
    )
    sizes = [len(test) for test in rows]
    overall = -np.average(tested["test_score"], weights=sizes)
    np.testing.assert_allclose(np.average(report["shared"], weights=report["n_rows"]), overall)
    task = X[np.concatenate(rows), 0]
    expected = [squares[task == t].mean() for t in range(4)]
    np.testing.assert_allclose(report["shared"], expected, rtol=1e-12)


def test_folds_dealt_twice_average_the_losses_of_a_row(data):
    X, y = data
    dealings = [
        list(TaskKFold(3, task_column=0, shuffle=True, random_state=seed).split(X))
        for seed in (0, 1)
    ]
    report = sharing_report(X, y, MODEL, cv=dealings[0] + dealings[1], **FIXED)
    losses = {
        name: np.mean([(y - out_of_fold(model, X, y, own)) ** 2 for own in dealings], axis=0)
        for name, model in {**FIXED, "shared": MODEL}.items()
    }
    difference = losses["separate"] - losses["shared"]
    for t in range(4):
        own = X[:, 0] == t
        assert report["n_rows"][t] == own.sum()
        np.testing.assert_allclose(report["shared"][t], losses["shared"][own].mean(), rtol=1e-12)
        error = difference[own].std(ddof=1) / np.sqrt(own.sum())
        np.testing.assert_allclose(report["gain_std"][t], error, rtol=1e-10)


@pytest.mark.slow
def test_a_task_of_one_class_and_a_rare_class_are_no_hindrance():
    X, y = make_multitask_classification(4, 24, 3, random_state=0)
    y = y.copy()
    y[X[:, 0] == 1] = 0
    y[np.flatnonzero(X[:, 0] == 3)[0]] = 2  # the only row of its class
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the user's own model
        report = sharing_report(X, y, MeanRegularizedClassifier(5.0, task_column=0))
    assert np.isfinite(report[["pooled", "separate", "shared"]]).all(axis=None)


def test_classifier_is_scored_by_log_loss():
    X, y = make_multitask_classification(3, 40, 3, class_sep=1.0, random_state=0)
    model = MeanRegularizedClassifier(5.0, task_column=0)
    separate = SharedL2Classifier(1.0, task_column=0)
    report = sharing_report(X, y, model, separate=separate, pooled=model)
    for name, own in (("shared", model), ("separate", separate)):
        p = out_of_fold(own, X, y, dealt(X), method="predict_proba")
        expected = [skm.log_loss(y[X[:, 0] == t], p[X[:, 0] == t]) for t in range(3)]
        np.testing.assert_allclose(report[name], expected, rtol=1e-10)
    np.testing.assert_array_equal(report["gain_over_pooled"], 0)


def test_three_classes():
    X, y = make_multitask_classification(3, 60, 3, n_classes=3, random_state=0)
    names = np.array(["low", "mid", "top"])[y]
    model = MeanRegularizedClassifier(5.0, task_column=0)
    report = sharing_report(X, names, model, separate=model, pooled=model)
    p = out_of_fold(model, X, names, dealt(X), method="predict_proba")
    expected = [skm.log_loss(names[X[:, 0] == t], p[X[:, 0] == t]) for t in range(3)]
    np.testing.assert_allclose(report["shared"], expected, rtol=1e-10)
    report = sharing_report(X, names, model, separate=model, pooled=model, scoring="accuracy")
    right = names[p.argmax(axis=1) == y]
    assert 0 < len(right) < len(y)
    expected = [(p.argmax(axis=1) == y)[X[:, 0] == t].mean() for t in range(3)]
    np.testing.assert_allclose(report["shared"], expected)


def test_other_metrics_have_the_error_of_a_jackknife(data):
    X, y = data
    report = sharing_report(X, y, MODEL, scoring="r2", **FIXED)
    z = {
        name: out_of_fold(model, X, y, dealt(X))
        for name, model in {**FIXED, "shared": MODEL}.items()
    }
    for t in range(4):
        own = np.flatnonzero(X[:, 0] == t)
        n = len(own)
        assert n <= 50

        def gain(rows):
            return skm.r2_score(y[rows], z["shared"][rows]) - skm.r2_score(
                y[rows], z["separate"][rows]
            )

        without = np.array([gain(np.delete(own, i)) for i in range(n)])
        variance = (n - 1) / n * ((without - without.mean()) ** 2).sum()
        np.testing.assert_allclose(report["gain"][t], gain(own), rtol=1e-10)
        np.testing.assert_allclose(report["gain_std"][t], np.sqrt(variance), rtol=1e-8)


def test_wide_form():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    Y = X @ rng.normal(size=(3, 4)) + rng.normal(size=(40, 4))
    Y[rng.random(Y.shape) < 0.2] = np.nan
    model, separate = MeanRegularizedRegressor(5.0), SharedL2Regressor(1.0)
    frame = pd.DataFrame(Y, columns=list("abcd"))
    report = sharing_report(X, frame, model, separate=separate)
    splits = TaskKFold(5, shuffle=True, random_state=0).split(X, Y)
    squares = (Y - out_of_fold(model, X, Y, splits)) ** 2
    np.testing.assert_allclose(report["shared"], np.nanmean(squares, axis=0), rtol=1e-12)
    assert report.index.tolist() == list("abcd")
    assert report["n_rows"].tolist() == (~np.isnan(Y)).sum(axis=0).tolist()


def test_wide_classifier():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    Y = (X @ rng.normal(size=(3, 3)) + rng.logistic(size=(60, 3)) > 0).astype(int)
    model = MeanRegularizedClassifier(5.0)
    report = sharing_report(X, Y, model, separate=SharedL2Classifier(1.0))
    splits = KFold(5, shuffle=True, random_state=0).split(X)
    p = out_of_fold(model, X, Y, splits, method="predict_proba")
    expected = [skm.log_loss(Y[:, t], p[:, t]) for t in range(3)]
    np.testing.assert_allclose(report["shared"], expected, rtol=1e-10)


def test_pipelines_and_searches(data):
    X, y = data
    pipe = make_task_pipeline(StandardScaler(), MODEL)
    report = sharing_report(X, y, pipe, **FIXED)
    squares = np.empty(len(y))
    for train, test in dealt(X):
        squares[test] = (y[test] - clone(pipe).fit(X[train], y[train]).predict(X[test])) ** 2
    expected = [squares[X[:, 0] == t].mean() for t in range(4)]
    np.testing.assert_allclose(report["shared"], expected, rtol=1e-12)
    grid = {"meanregularizedregressor__alpha": [20.0]}
    search = GridSearchCV(pipe, grid, cv=TaskKFold(3, task_column=0))
    weight = np.full(len(y), 2.0)
    twice = sharing_report(X, y, search, sample_weight=weight, **FIXED)
    assert np.isfinite(twice["shared"]).all()
    tuned = sharing_report(X, y, search)  # the other models go through the scaler, too
    assert np.isfinite(tuned[["pooled", "separate"]]).all(axis=None)
    passing = make_pipeline("passthrough", MODEL)
    with pytest.raises(ValueError, match=r"Pass task_column="):
        sharing_report(X, y, passing, **FIXED)
    again = sharing_report(X, y, passing, task_column=0, **FIXED)
    plain = sharing_report(X, y, MODEL, **FIXED)
    pd.testing.assert_frame_equal(again, plain)


def test_frames_with_names(data):
    X, y = data
    frame = pd.DataFrame({"x": X[:, 1], "task": [f"t{k:.0f}" for k in X[:, 0]], "z": X[:, 2]})
    model = clone(MODEL).set_params(task_column="task")
    report = sharing_report(frame, pd.Series(y), model)
    assert report.index.tolist() == ["t0", "t1", "t2", "t3"]
    assert np.isfinite(report["gain_std"]).all()


def test_tasks_of_few_rows_are_not_judged(data):
    X, y = data
    X = np.vstack([X, np.column_stack([[7, 8, 8, 8], np.ones((4, 3))])])
    y = np.append(y, [0.0, 1.0, 2.0, 3.0])
    report = sharing_report(X, y, MODEL, **FIXED)
    assert report.loc[7, "n_rows"] == 0  # no training fold has it
    assert np.isnan(report.loc[7, ["shared", "gain", "gain_std", "p_value"]].astype(float)).all()
    assert np.isfinite(report.loc[8, "gain"])
    assert np.isnan(report.loc[8, "p_value"])
    assert not report.loc[[7, 8], "negative_transfer"].any()


def test_outliers_are_flagged_and_the_family_is_not():
    X, y = make_multitask_regression(8, 60, 4, random_state=3)
    far = X[:, 0] == 7
    y[far] += X[far, 1:] @ np.array([2.0, -2.0, 2.0, -2.0])
    report = sharing_report(X, y, MeanRegularizedRegressor(80.0, task_column=0))
    assert report["negative_transfer"].tolist() == [False] * 7 + [True]
    assert report.loc[7, "gain"] < 0
    y[far] -= X[far, 1:] @ np.array([2.0, -2.0, 2.0, -2.0])
    report = sharing_report(X, y, MeanRegularizedRegressor(80.0, task_column=0))
    assert not report["negative_transfer"].any()


def test_p_values_of_differences():
    normal = np.random.default_rng(0).normal(size=(4000, 20))
    p = np.array([mean_difference(row).p_value for row in normal])
    assert 0.04 < (p < 0.05).mean() < 0.06  # of independent differences, uniform
    assert mean_difference(np.zeros(9)).p_value == 1.0
    assert np.isnan(mean_difference(np.ones(4)).p_value)
    error = mean_difference(np.array([1.0, 2, 3, 4, 9])).error
    assert error == pytest.approx(np.std([1, 2, 3, 4, 9], ddof=1) / np.sqrt(5))


def test_holm():
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.005])  # the example of Holm's method, 4 hypotheses
    assert holm(p, 0.05).tolist() == [True, False, False, False, True]


@pytest.fixture
def no_pandas(monkeypatch):
    original = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "pandas":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)


def test_without_pandas(data, no_pandas):
    X, y = data
    report = sharing_report(X, y, MODEL, **FIXED)
    assert isinstance(report, dict)
    assert report["task"].tolist() == [0, 1, 2, 3]
    assert report["negative_transfer"].dtype == bool
    assert isinstance(task_similarity(clone(MODEL).fit(X, y)), np.ndarray)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"level": 2}, ValueError, r"level must be a number between 0 and 1, got 2"),
        ({"scoring": "rmse"}, ValueError, r"'rmse' is not a metric"),
        ({"estimator": Ridge()}, TypeError, r"multi-task estimator .* got Ridge"),
        ({"estimator": MeanRegularizedRegressor()}, ValueError, r"that is one task"),
        ({"sample_weight": np.ones(3)}, ValueError, r"sample_weight \(3,\)"),
        ({"cv": []}, ValueError, r"yields no folds"),
    ],
)
def test_errors(data, arguments, error, message):
    X, y = data
    with pytest.raises(error, match=message):
        sharing_report(X, y, **{"estimator": MODEL, **FIXED, **arguments})


def eight_that_lose(seed, wide):
    """Tasks that have nothing in common, with 8 rows each: sharing doubles their errors."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(8, 3))
    if wide:
        X = rng.normal(size=(8, 3))
        return X, X @ W.T + 0.7 * rng.normal(size=(8, 8))
    t = np.repeat(np.arange(8), 8)
    X = rng.normal(size=(64, 3))
    return np.column_stack([t, X]), np.einsum("ij,ij->i", X, W[t]) + 0.7 * rng.normal(size=64)


@pytest.mark.parametrize("wide", [False, True])
def test_the_joint_test_detects_what_tasks_do_not_show(wide):
    models = MeanRegularizedRegressor(20.0), SharedL2Regressor(0.5), PooledRegressor()
    column = None if wide else 0
    shared, separate, pooled = (clone(m).set_params(task_column=column) for m in models)
    joint, flags = [], []
    for seed in range(10):
        X, y = eight_that_lose(seed, wide)
        report = sharing_report(X, y, shared, separate=separate, pooled=pooled)
        assert report["joint_p_value"].nunique() == 1
        joint.append(report["joint_p_value"].iloc[0] < 0.05)
        flags.append(report["negative_transfer"].sum())
    assert sum(joint) >= 6
    assert np.mean(flags) < 1.5  # of eight
    assert any(found and not own for found, own in zip(joint, flags, strict=True))


@pytest.mark.parametrize("wide", [False, True])
def test_the_joint_test_has_its_level(wide):
    """Gains with mean zero; in the wide form of a row that is common to all tasks."""
    rng, rejected = np.random.default_rng(0), 0
    rows = [np.arange(30)] * 6
    for _ in range(1000):
        D = rng.normal(size=(6, 30)) + (2.0 * rng.normal(size=30) if wide else 0.0)
        p = np.array([mean_difference(d).p_value for d in D])
        rejected += joint_p_value(p, list(D), rows, wide) < 0.05
    assert 25 < rejected < 75


def test_joint_p_value_of_what_is_known():
    p, D = np.array([0.01, np.nan, 0.2]), [np.arange(5.0), np.arange(2.0), np.arange(5.0)[::-1]]
    rows = [np.arange(5), np.arange(2), np.arange(5)]
    z = stats.norm.ppf([0.01, 0.2])
    stouffer = stats.combine_pvalues([0.01, 0.2], "stouffer").pvalue
    assert joint_p_value(p, D, rows, False) == pytest.approx(stouffer)
    assert joint_p_value(p, D, rows, True) == pytest.approx(stouffer)  # not less, if opposite
    D[2] = D[0]
    assert joint_p_value(p, D, rows, True) == pytest.approx(stats.norm.cdf(z.mean()))
    assert joint_p_value(p, D, [None] * 3, True) == pytest.approx(stats.norm.cdf(z.mean()))
    assert joint_p_value(p[:1], D[:1], rows[:1], True) == pytest.approx(0.01)
    assert np.isnan(joint_p_value(p[1:2], D[1:2], rows[1:2], False))
    assert joint_p_value(np.zeros(3), D, rows, False) < 1e-10
    assert joint_p_value(np.ones(3), D, rows, False) > 1 - 1e-10


@pytest.mark.parametrize("kind", ["frame", "column", "objects"])
def test_targets_of_one_column_or_of_objects(data, kind):
    X, y = data
    make = {
        "frame": pd.DataFrame,
        "column": lambda y: y[:, None],
        "objects": lambda y: y.astype(object),
    }
    given = make[kind](y)
    pd.testing.assert_frame_equal(
        sharing_report(X, given, MODEL, **FIXED), sharing_report(X, y, MODEL, **FIXED)
    )
    pd.testing.assert_frame_equal(task_affinity(X, given, MODEL), task_affinity(X, y, MODEL))


@pytest.mark.parametrize("classifier", [False, True])
def test_weights_and_labels_that_are_missing_in_the_wide_form(classifier):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    Y = X @ rng.normal(size=(3, 3)) + rng.normal(size=(60, 3))
    model, separate = MeanRegularizedRegressor(5.0), SharedL2Regressor(1.0)
    if classifier:
        Y = (Y > 0).astype(float)
        model, separate = MeanRegularizedClassifier(5.0), SharedL2Classifier(1.0)
    Y[rng.random(Y.shape) < 0.2] = np.nan
    weight = rng.uniform(0.2, 2.0, Y.shape)
    report = sharing_report(X, Y, model, separate=separate, sample_weight=weight)
    splits = list(TaskKFold(5, shuffle=True, random_state=0).split(X, Y))
    z = out_of_fold(model, X, Y, splits, weight, "predict_proba" if classifier else "predict")
    losses = -np.log(np.where(Y == 1, z, 1 - z)) if classifier else (Y - z) ** 2
    losses = np.ma.masked_array(losses, np.isnan(Y))
    np.testing.assert_allclose(report["shared"], np.ma.average(losses, axis=0, weights=weight))
    affinity = task_affinity(X, Y, model, sample_weight=weight)
    assert np.isfinite(affinity.to_numpy()).all()
    hidden = np.where(np.isnan(Y), 0.0, Y), np.where(np.isnan(Y), 0.0, weight)
    same = sharing_report(X, hidden[0], model, separate=separate, sample_weight=hidden[1])
    np.testing.assert_allclose(same.to_numpy(float), report.to_numpy(float), rtol=1e-8)
