"""Folds that are stratified by the classes of tasks of different kinds."""

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skmtl.model_selection import RegularizationPathCV, TaskKFold
from tests.linear_model.test_mixed import long_form, table, with_gaps
from tests.model_selection.test_mixed_search import MODEL

CLASSES = ["ill", "kind", "smokes"]
FORMS = {
    "frame": lambda y: y,
    "polars": lambda y: pl.DataFrame({t: y[t].tolist() for t in y}, strict=False),
    "objects": lambda y: y.astype(object).to_numpy(),
    "lists": lambda y: y.astype(object).to_numpy().tolist(),
}


def spread(y, folds):
    """Return the largest difference between numbers of rows of a class in folds."""
    numbers = [
        [int((y[task].iloc[test] == label).sum()) for test in folds]
        for task in CLASSES
        for label in y[task].dropna().unique()
    ]
    return max(max(own) - min(own) for own in numbers)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_wide_form(form, gaps, shuffle):
    X, y = table()
    y = with_gaps(y) if gaps else y
    y = y.assign(ill=y["ill"].where(np.arange(len(y)) % 10 != 0, "rare"))
    seed = {"shuffle": True, "random_state": 0} if shuffle else {}
    cv = TaskKFold(4, stratify=True, **seed)
    folds = [test for _, test in cv.split(X, FORMS[form](y))]
    assert sorted(np.concatenate(folds)) == list(range(len(X)))
    sizes = list(map(len, folds))
    assert max(sizes) - min(sizes) <= 6
    plain = [test for _, test in TaskKFold(4, **seed).split(X, FORMS[form](y))]
    assert spread(y, folds) < spread(y, plain)
    rare = [int((y["ill"].iloc[test] == "rare").sum()) for test in folds]  # placed first
    assert max(rare) - min(rare) <= 1
    # numbers do not matter
    other = y.assign(score=y["score"].where(y["score"].isna(), 3.0))
    again = [test for _, test in cv.split(X, FORMS[form](other))]
    assert list(map(list, again)) == list(map(list, folds))


def test_none_is_not_observed():
    X, y = table(12)
    y = y[["ill", "score"]].astype(object)
    y.iloc[1:, 0] = None
    for train, _ in TaskKFold(3).split(X, y):
        assert 0 in train  # the only row of the task


def test_booleans_beside_numbers():
    X, y = table()
    cv = TaskKFold(4, stratify=True)
    found = [list(test) for _, test in cv.split(X, y[["score", "smokes"]])]
    codes = np.column_stack([np.zeros(len(y)), 1 + y["smokes"]])
    assert found == [list(test) for _, test in cv.split(X, codes)]


@pytest.mark.parametrize("kind", [np.asarray, list])
@pytest.mark.parametrize("shuffle", [False, True])
def test_long_form(kind, shuffle):
    X, y = table()
    frame, targets = long_form(X, with_gaps(y))
    seed = {"shuffle": True, "random_state": 0} if shuffle else {}
    cv = TaskKFold(4, task_column="task", stratify=True, **seed)
    folds = [test for _, test in cv.split(frame, kind(targets))]
    task = frame["task"].to_numpy()
    for name in CLASSES:
        for label in set(targets[task == name]):
            counts = [np.sum((task[test] == name) & (targets[test] == label)) for test in folds]
            assert max(counts) - min(counts) <= 1
    # numbers are no classes: with shuffling their rows are in random order
    fold = np.empty(len(task), dtype=int)
    for k, test in enumerate(folds):
        fold[test] = k
    own = fold[task == "score"]
    periodic = (own[4:] == own[:-4]).all()
    assert periodic != shuffle


@pytest.mark.parametrize("long", [False, True])
def test_searches_have_the_same_folds(long):
    X, y = table()
    y, model, column = with_gaps(y), clone(MODEL), None
    if long:
        X, y = long_form(X, y)
        column = "task"
    model.set_params(task_column=column, tol=1e-6)
    cv = TaskKFold(3, task_column=column, stratify=True)
    one = RegularizationPathCV(model, [3.0], cv=cv).fit(X, y)
    other = GridSearchCV(model, {"alpha": [3.0]}, cv=cv).fit(X, y)
    for k in range(3):
        name = f"split{k}_test_score"
        np.testing.assert_allclose(one.cv_results_[name], other.cv_results_[name], atol=1e-5)
