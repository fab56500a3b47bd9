import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score

from skmtl import MeanRegularizedRegressor
from skmtl.datasets import make_multitask_regression
from skmtl.model_selection import TaskKFold


def random_tasks(seed, sizes=(1, 2, 2, 3, 7, 19, 40)):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return np.column_stack([rng.normal(size=len(labels)), labels])


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("n_splits", [2, 3, 5, 10])
@pytest.mark.parametrize("seed", range(5))
def test_folds_are_a_balanced_partition_with_every_task_in_training(seed, n_splits, shuffle):
    X = random_tasks(seed)
    random_state = seed if shuffle else None
    cv = TaskKFold(n_splits, task_column=1, shuffle=shuffle, random_state=random_state)
    folds = list(cv.split(X))
    assert len(folds) == cv.get_n_splits() == n_splits
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(X)))
    sizes = [len(test) for _, test in folds]
    assert max(sizes) - min(sizes) <= 1
    tasks, counts = np.unique(X[:, 1], return_counts=True)
    for task in tasks:
        per_fold = [np.sum(X[test, 1] == task) for _, test in folds]
        assert max(per_fold) - min(per_fold) <= 1
    for train, test in folds:
        assert sorted([*train, *test]) == list(range(len(X)))
        assert set(tasks[counts > 1]) <= set(X[train, 1])


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
        cv = TaskKFold(3, task_column=1, shuffle=True, random_state=seed)
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
    text = "TaskKFold(n_splits=3, random_state=1, shuffle=True, task_column='school')"
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
