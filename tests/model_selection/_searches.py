"""RegularizationPathCV and GridSearchCV side by side."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV

RTOL = 1e-8


def grid_search(model, alphas, X, y, cv, param_grid=None, scoring=None, **fit):
    """GridSearchCV, of which weights go to the fits and the scores, whatever its version."""
    grid = {"alpha": alphas, **(param_grid or {})}
    search = GridSearchCV(model, grid, cv=cv, scoring=scoring, error_score="raise")
    if fit.get("sample_weight") is None:
        return search.fit(X, y, **fit)
    with config_context(enable_metadata_routing=True):
        model = clone(model).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        if scoring is not None:
            scoring = get_scorer(scoring).set_score_request(sample_weight=True)
        return search.set_params(estimator=model, scoring=scoring).fit(X, y, **fit)


def assert_same_search(ours, theirs, X, rtol=RTOL):
    """Check the whole table, the choice, and what is predicted with it."""
    a, b = ours.cv_results_, theirs.cv_results_
    assert set(a) == set(b)
    assert a["params"] == b["params"]
    size = np.abs(b["mean_test_score"]).max()
    for name, column in b.items():
        if name.startswith("param_"):
            assert_array_equal(a[name].data, column.data, err_msg=name)
            assert_array_equal(a[name].mask, column.mask, err_msg=name)
        elif name.endswith("_time"):
            assert a[name].shape == column.shape
            assert (a[name] >= 0).all()
        elif name != "params" and name != "rank_test_score":
            assert_allclose(a[name], column, rtol=rtol, atol=rtol * size, err_msg=name)
    assert_array_equal(a["rank_test_score"], b["rank_test_score"])
    assert a["rank_test_score"].dtype == b["rank_test_score"].dtype
    assert np.ptp(b["mean_test_score"]) > 1e-3 * size
    for name in ("best_params_", "best_index_", "n_splits_"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert_allclose(ours.best_score_, theirs.best_score_, rtol=rtol)
    expected = theirs.predict(X)
    assert_allclose(ours.predict(X), expected, rtol=0, atol=1e-8 * np.abs(expected).max())
