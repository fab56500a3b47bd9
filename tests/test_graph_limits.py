"""Models along graphs where alpha_shared=0 leaves coefficients open: the limit of a small one."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests import _classification, _problems
from tests._problems import Rows
from tests.test_graph import GRAPHS, Reference, kinds, make_rows, model

LINKED = {
    "both": {},
    "levels": {"alpha": 0.0, "alpha_intercept": 2.0},
    "coefficients": {"alpha_intercept": 0.0},
    "coefficients, no levels": {"fit_intercept": False},
    "neither": {"alpha": 0.0, "alpha_intercept": 0.0},
}
linked = pytest.mark.parametrize("params", LINKED.values(), ids=LINKED)


def limit_of(rows, graph, alpha=1.5, alpha_intercept=1.0, **params):
    reference = Reference(rows, GRAPHS[graph], alpha, 1e-7, alpha_intercept, **params)
    return reference.unpack(reference.solve())[0]


@linked
@pytest.mark.parametrize("graph", ["disconnected", "isolated", "none"])
@pytest.mark.parametrize("sizes", [(1, 3, 1, 6, 4), (1, 3, 1, 40, 4)], ids=str)
def test_without_alpha_shared_what_is_open_is_the_limit(graph, params, sizes):
    """Tasks that are not linked tell nothing of each other; what is open changes no objective."""
    rows = _problems.make_rows(sizes, d=20)
    fitted = model(None, task_graph=GRAPHS[graph], alpha_shared=0.0, **params)
    fitted.fit(rows.long, rows.y)
    W = limit_of(rows, graph, **params)
    assert_allclose(fitted.coef_, W, rtol=0, atol=1e-4 * np.abs(W).max())


@linked
@kinds
def test_features_that_say_nothing_have_the_limit(K, params):
    """A column twice, and one that is constant within tasks, which levels may stand in for."""
    rows = make_rows(K) if K is None else _classification.make_rows(K, (60, 50, 80, 60, 70))
    within = np.array([1.0, -2.0, 0.5, 3.0, 1.5])[rows.codes]
    rows = Rows(np.column_stack([rows.X, rows.X[:, 0], within]), rows.y, rows.codes)
    fitted = model(K, task_graph=GRAPHS["disconnected"], alpha_shared=0.0, **params)
    W = limit_of(rows, "disconnected", **params)
    assert_allclose(fitted.fit(rows.long, rows.y).coef_, W, rtol=0, atol=1e-4 * np.abs(W).max())
