"""Saved models name the version that they need."""

import copy
import pickle

import pytest
from numpy.testing import assert_array_equal

import skmtl
from skmtl import MeanRegularizedRegressor
from skmtl.datasets import make_multitask_regression
from skmtl.model_selection import RegularizationPathCV

X, y = make_multitask_regression(3, 10, 2, random_state=0)
MODEL = MeanRegularizedRegressor(task_column=0)


@pytest.mark.parametrize("model", [MODEL, RegularizationPathCV(MODEL, 3)], ids=["model", "search"])
def test_a_model_of_another_version_is_a_warning(model, monkeypatch):
    model = copy.deepcopy(model).fit(X, y)
    saved = pickle.dumps(model)
    again = pickle.loads(saved)  # no warning
    assert_array_equal(again.predict(X), model.predict(X))
    assert sorted(vars(again)) == sorted(vars(model))
    monkeypatch.setattr("skmtl._version.__version__", "9.0")
    with pytest.warns(UserWarning, match=f"saved by skmtl {skmtl.__version__}") as record:
        pickle.loads(saved)
    assert any(f"This {type(model).__name__} was" in str(warning.message) for warning in record)


def test_the_first_version_did_not_keep_its_number():
    state = {k: v for k, v in MODEL.__getstate__().items() if k != "_skmtl_version"}
    with pytest.warns(UserWarning, match=r"saved by skmtl 0\.1\.0 and .*skmtl==0\.1\.0"):
        MeanRegularizedRegressor().__setstate__(state)
