import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import (
    GridSearchCV,
    TimeSeriesSplit,
    cross_val_predict,
    cross_val_score,
)

from skmtl import MeanRegularizedRegressor
from skmtl.datasets import make_multitask_regression
from skmtl.model_selection import TaskKFold


def random_tasks(seed, sizes=(1, 2, 2, 3, 7, 19, 40)):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return np.column_stack([rng.normal(size=len(labels)), labels])


@pytest.mark.parametrize("min_train_rows", [0, 1, 3])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("n_splits", [2, 3, 5, 10])
@pytest.mark.parametrize("seed", range(3))
def test_folds_are_balanced_with_every_task_in_training(seed, n_splits, shuffle, min_train_rows):
    X = random_tasks(seed)
    random_state = seed if shuffle else None
    options = {"shuffle": shuffle, "random_state": random_state, "min_train_rows": min_train_rows}
    cv = TaskKFold(n_splits, task_column=1, **options)
    folds = list(cv.split(X))
    assert len(folds) == cv.get_n_splits() == n_splits
    sizes = np.bincount(X[:, 1].astype(int))
    kept = np.flatnonzero(sizes - np.ceil(sizes / n_splits) < min_train_rows)
    expected = np.flatnonzero(~np.isin(X[:, 1], kept)).tolist()
    assert sorted(np.concatenate([test for _, test in folds])) == expected
    sizes = [len(test) for _, test in folds]
    assert max(sizes) - min(sizes) <= 1
    tasks, counts = np.unique(X[:, 1], return_counts=True)
    for task in tasks:
        per_fold = [np.sum(X[test, 1] == task) for _, test in folds]
        assert max(per_fold) - min(per_fold) <= 1
    for train, test in folds:
        assert sorted([*train, *test]) == list(range(len(X)))
        left = np.array([np.sum(X[train, 1] == task) for task in tasks])
        assert (left >= np.minimum(min_train_rows, counts)).all()


def test_splits_are_reproducible():
    X = random_tasks(0)

    def tests(cv):
        return [test.tolist() for _, test in cv.split(X)]

    assert tests(TaskKFold(task_column=1)) == tests(TaskKFold(task_column=1))
    cv = TaskKFold(task_column=1, shuffle=True, random_state=3)
    assert tests(cv) == tests(cv)
    assert tests(cv) != tests(TaskKFold(task_column=1, shuffle=True, random_state=4))
    stream = TaskKFold(task_column=1, shuffle=True, random_state=np.random.RandomState(3))
    assert tests(stream) != tests(stream)


def test_small_tasks_change_folds_when_shuffled():
    X = random_tasks(0)
    (single,) = np.flatnonzero(X[:, 1] == 0)
    found = set()
    for seed in range(30):
        cv = TaskKFold(3, task_column=1, shuffle=True, random_state=seed, min_train_rows=0)
        found |= {k for k, (_, test) in enumerate(cv.split(X)) if single in test}
    assert found == {0, 1, 2}


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_dataframes_with_string_labels(kind):
    X = random_tasks(0)
    frame = kind({"x": X[:, 0], "school": [f"s{label:.0f}" for label in X[:, 1]]})
    for column in ("school", 1, -1):
        by_name = [test.tolist() for _, test in TaskKFold(task_column=column).split(frame)]
        assert by_name == [test.tolist() for _, test in TaskKFold(task_column=1).split(X)]


def test_as_cv_of_scikit_learn():
    X, y = make_multitask_regression(n_tasks=5, n_samples=8, n_features=2, random_state=0)
    cv = TaskKFold(4, task_column=0)
    model = MeanRegularizedRegressor(task_column=0)
    predicted = np.empty_like(y)
    for train, test in cv.split(X, y):
        predicted[test] = clone(model).fit(X[train], y[train]).predict(X[test])
    np.testing.assert_array_equal(cross_val_predict(model, X, y, cv=cv), predicted)
    search = GridSearchCV(model, {"alpha": [0.1, 10.0]}, cv=cv).fit(X, y)
    expected = [cross_val_score(model.set_params(alpha=a), X, y, cv=cv).mean() for a in (0.1, 10)]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], expected)


def test_repr_clone_pickle():
    cv = TaskKFold(3, task_column="school", shuffle=True, random_state=1)
    text = (
        "TaskKFold(min_train_rows=1, n_splits=3, ordered=False, random_state=1,\n"
        "     shuffle=True, stratify=False, task_column='school')"
    )
    search = GridSearchCV(Ridge(), {"alpha": [1]}, cv=cv)
    for copy in (cv, pickle.loads(pickle.dumps(cv)), clone(search).cv):
        assert repr(copy) == text


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_splits": 1}, ValueError, "at least 2, got 1"),
        ({"n_splits": 2.0}, ValueError, "integer"),
        ({"shuffle": 1}, TypeError, "True or False"),
        ({"random_state": 0}, ValueError, "set shuffle=True"),
        ({"stratify": "yes"}, TypeError, "stratify must be True or False"),
        ({"ordered": 1}, TypeError, "ordered must be True or False"),
        ({"ordered": True, "shuffle": True}, ValueError, "excludes shuffle=True"),
        ({"ordered": True, "stratify": True}, ValueError, "excludes .*stratify=True"),
        ({"min_train_rows": -1}, ValueError, "min_train_rows must be .* at least 0, got -1"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        TaskKFold(task_column=0, **arguments)


def test_wrong_data():
    X = random_tasks(0)
    with pytest.raises(ValueError, match="Cannot split 4 rows into n_splits=5 folds"):
        next(TaskKFold(task_column=1).split(X[:4]))
    with pytest.raises(ValueError, match="floats with a fraction"):
        next(TaskKFold(task_column=0).split(X))
    with pytest.raises(ValueError, match="out of range"):
        next(TaskKFold(task_column=2).split(X))
    with pytest.raises(ValueError, match=r"split 3 rows .* 3 more rows stay in training"):
        next(TaskKFold(task_column=0).split(np.array([[0, 0, 0, 1, 2, 3], np.ones(6)]).T))
    with pytest.raises(ValueError, match=r"stratify=True needs a y of shape \(n,\), got None"):
        next(TaskKFold(task_column=1, stratify=True).split(X))
    with pytest.raises(ValueError, match=r"task_column=None splits .* got shape \(74,\)\. Set"):
        next(TaskKFold().split(X, X[:, 0]))
    with pytest.raises(ValueError, match="requires the long form"):
        next(TaskKFold(ordered=True).split(X, X))
    with pytest.raises(ValueError, match=r"fold without test rows.* at most 2 rows"):
        list(
            TaskKFold(3, task_column=0, ordered=True).split(np.array([[0, 0, 1, 1], np.ones(4)]).T)
        )


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("kind", [np.asarray, pd.Series, pl.Series, list])
def test_classes_are_distributed_over_folds_within_tasks(kind, shuffle):
    X, rng = random_tasks(0), np.random.default_rng(1)
    y = rng.choice(["no", "yes", "maybe"], len(X), p=[0.6, 0.3, 0.1])
    cv = TaskKFold(4, task_column=1, stratify=True, shuffle=shuffle)
    folds = [test for _, test in cv.split(X, kind(y.tolist()))]
    sizes = [len(test) for test in folds]
    assert max(sizes) - min(sizes) <= 1
    for task in np.unique(X[:, 1]):
        for label in np.unique(y):
            counts = [np.sum((X[test, 1] == task) & (y[test] == label)) for test in folds]
            assert max(counts) - min(counts) <= 1
        counts = [np.sum(X[test, 1] == task) for test in folds]
        assert max(counts) - min(counts) <= 1


def test_training_rows_precede_test_rows_of_their_task():
    """For one task the folds are those of TimeSeriesSplit."""
    X = random_tasks(0)
    folds = list(TaskKFold(4, task_column=1, ordered=True).split(X))
    tasks, counts = np.unique(X[:, 1], return_counts=True)
    for train, test in folds:
        assert set(X[train, 1]) == set(tasks)
        for task in tasks:
            before, after = (rows[X[rows, 1] == task] for rows in (train, test))
            own = np.flatnonzero(X[:, 1] == task)
            assert [*before, *after] == own[: len(before) + len(after)].tolist()
    tested = np.concatenate([test for _, test in folds])
    assert len(set(tested)) == len(tested)
    assert set(X[tested, 1]) == set(tasks[counts > 1])
    alone = np.column_stack([np.zeros(20), np.arange(20)])
    ours = TaskKFold(4, task_column=0, ordered=True).split(alone)
    for one, other in zip(ours, TimeSeriesSplit(4).split(alone), strict=True):
        assert list(map(list, one)) == list(map(list, other))


@pytest.mark.parametrize("stratify", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_wide_form_keeps_what_each_column_needs(seed, stratify):
    rng = np.random.default_rng(seed)
    n, n_splits = 60, int(rng.integers(2, 7))
    Y = rng.integers(0, 2, (n, 6)).astype(float)
    Y[10:, 1] = np.nan
    Y[rng.random(n) < 0.9, 2] = np.nan
    Y[rng.permutation(n)[2:], 3] = np.nan
    Y[1:, 4] = np.nan
    shuffle = {"shuffle": True, "random_state": seed} if seed % 2 else {}
    cv = TaskKFold(n_splits, stratify=stratify, **shuffle)
    folds = list(cv.split(np.zeros((n, 1)), Y))
    for train, test in folds:
        assert (~np.isnan(Y[train])).any(axis=0).all()
        assert len(test)
        assert sorted([*train, *test]) == list(range(n))
    tested = np.concatenate([test for _, test in folds])
    assert len(set(tested)) == len(tested) >= n - 6
    per_fold = [np.count_nonzero(~np.isnan(Y[test, 1])) for _, test in folds]
    assert max(per_fold) - min(per_fold) <= 3


def test_single_rows_are_in_no_test_fold():
    X = random_tasks(0)
    tested = np.concatenate([test for _, test in TaskKFold(3, task_column=1).split(X)])
    assert sorted(tested) == np.flatnonzero(X[:, 1] != 0).tolist()


def test_folds_without_rows():
    X = np.array([[0, 0, 0, 1, 1, 1], np.ones(6)]).T
    with pytest.raises(ValueError, match=r"fold without training rows.* at most 3 rows"):
        list(TaskKFold(3, task_column=0, ordered=True, min_train_rows=0).split(X))
    y = np.array([[1, np.nan], [np.nan, 1], [1, 1], [np.nan, 1], [np.nan, np.nan]])
    with pytest.raises(ValueError, match=r"Test fold . of n_splits=4 would be empty: .* 2, 3 obs"):
        list(TaskKFold(4, min_train_rows=3).split(None, y))
