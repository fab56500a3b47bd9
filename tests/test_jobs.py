"""Independent fits: processes, progress, and one warning for each cause."""

import warnings

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from skmtl import ADMMRegressor, MeanRegularizedClassifier, MeanRegularizedRegressor
from skmtl._warn import recorded, warn, warn_once
from skmtl.datasets import make_multitask_classification, make_multitask_regression
from skmtl.inspection import sharing_report, task_affinity
from skmtl.model_selection import RegularizationPathCV
from skmtl.pipeline import make_task_pipeline

X, Y = make_multitask_regression(4, 30, 3, random_state=0)
HASTY = ADMMRegressor("l21", 1.0, task_column=0, solver="admm", max_iter=2)
HASTY_REPORT = {"estimator": HASTY, "separate": HASTY, "pooled": HASTY}


def issue(number, late):
    """Issue a warning of the first cause, and one of the second if ``late``."""
    warn(f"number {number}", RuntimeWarning)
    if late:
        warn("late")
    return number


def messages(call):
    """Return the warnings of a call, as (file, text)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [(w.filename, str(w.message)) for w in caught]


def test_one_warning_for_each_cause_with_the_number():
    def call():
        records = []
        for number in range(3):
            result, own = recorded(issue, number, number > 1)
            assert result == number
            records += own
        warn_once(records)

    found = messages(call)
    assert found == [
        (__file__, "number 0 (This is the first of 3 such warnings.)"),
        (__file__, "late"),
    ]
    nested = messages(lambda: warn_once(recorded(call)[1] + recorded(issue, 9, False)[1]))
    assert nested[0] == (__file__, "number 0 (This is the first of 4 such warnings.)")


def test_filters_of_the_user_apply():
    records = recorded(issue, 7, False)[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="number 7"):
            warn_once(records)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", RuntimeWarning)
        warn_once(records)


@pytest.mark.parametrize(
    ("call", "count"),
    [
        (lambda: RegularizationPathCV(HASTY, alphas=4, refit=False).fit(X, Y), 20),
        (lambda: sharing_report(X, Y, **HASTY_REPORT), 15),
        (lambda: task_affinity(X, Y, HASTY), 50),
    ],
    ids=["search", "report", "affinity"],
)
def test_a_fault_of_many_fits_is_one_warning(call, count):
    ((name, text),) = messages(call)
    assert name == __file__
    assert text.endswith(f"(This is the first of {count} such warnings.)")


def test_warnings_of_other_packages_count_too():
    A, b = make_multitask_classification(3, 40, 3, random_state=0)
    first = SelectFromModel(LogisticRegression(max_iter=1))
    model = make_task_pipeline(first, MeanRegularizedClassifier(task_column=0))
    with pytest.warns(ConvergenceWarning, match="first of 5 such warnings") as caught:
        sharing_report(A, b, model, pooled=MeanRegularizedClassifier(task_column=0), cv=5)
    assert len([w for w in caught if w.category is ConvergenceWarning]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("wide", [False, True])
def test_processes_return_the_same(wide):
    model = MeanRegularizedRegressor(5.0, task_column=None if wide else 0)
    A, b = (X[:, 1:], np.column_stack([Y, Y[::-1]])) if wide else (X, Y)
    for function in (sharing_report, task_affinity):
        one, two = (function(A, b, model, n_jobs=n) for n in (None, 2))
        pd.testing.assert_frame_equal(one, two)
    path = ADMMRegressor("l21", task_column=model.task_column)
    one, two = (RegularizationPathCV(path, 5, n_jobs=n).fit(A, b) for n in (None, 2))
    for name in ("mean_test_score", "std_test_score"):
        np.testing.assert_array_equal(one.cv_results_[name], two.cv_results_[name])
    np.testing.assert_array_equal(one.task_scores_, two.task_scores_)
    text = messages(lambda: sharing_report(X, Y, **HASTY_REPORT, n_jobs=2))
    assert [m.rpartition("(")[2] for _, m in text] == ["This is the first of 15 such warnings.)"]


@pytest.mark.parametrize(
    "call",
    [
        lambda **keywords: RegularizationPathCV(HASTY, [1.0], **keywords).fit(X, Y),
        lambda **keywords: sharing_report(X, Y, HASTY, **keywords),
        lambda **keywords: task_affinity(X, Y, HASTY, cv=KFold(2, shuffle=True), **keywords),
    ],
    ids=["search", "report", "affinity"],
)
@pytest.mark.filterwarnings("ignore")
def test_progress(call, capsys):
    call()
    assert not "".join(capsys.readouterr())
    call(verbose=1)
    some = "".join(capsys.readouterr())
    assert "elapsed" in some
    call(verbose=2)
    assert len("".join(capsys.readouterr()).splitlines()) > len(some.splitlines())


def test_threads_leave_the_filters_of_the_user():
    filters = list(warnings.filters)
    with parallel_config(backend="threading"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(3):
            RegularizationPathCV(HASTY, 3, cv=4, n_jobs=4).fit(X, Y)
    assert list(warnings.filters) == filters
    assert messages(lambda: warn("shown")) == [(__file__, "shown")]
