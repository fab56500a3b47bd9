"""Penalties as objects: structure of coefficients, parameters, what they refuse."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skmtl.penalties import (
    L1,
    L21,
    PENALTIES,
    Decomposed,
    Graph,
    NetworkLasso,
    Ridge,
    RobustMean,
    Sum,
    TaskL2,
    TemporalFused,
    TraceNorm,
)
from tests.penalties.test_penalties import ALL, penalties


def test_structures():
    W = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [2.0, 0.0]])
    tasks = np.array(["a", "b", "c", "d"])
    for penalty in (L1(), L21()):
        assert_array_equal(penalty.structure(W, tasks)["selected_features"], [True, False])
    assert_array_equal(TaskL2().structure(W, tasks)["active_tasks"], ["a", "b", "d"])
    assert_array_equal(TemporalFused().structure(W, tasks)["change_points"], ["c", "d"])
    found = RobustMean().structure(W, tasks)
    assert_array_equal(found["center"], [1.0, 0.0])
    assert_array_equal(found["outlier_tasks"], ["c", "d"])
    found = TraceNorm().structure(W, tasks)
    assert found["rank"] == 1
    assert_allclose(np.abs(found["subspace"]), [[1.0, 0.0]])
    assert_allclose(found["singular_values"], [np.sqrt(6.0)])
    found = NetworkLasso(1.0, [("a", "b"), ("c", "d")]).bind(tasks).structure(W, tasks)
    assert_array_equal(found["task_clusters"], [0, 0, 1, 2])
    assert_array_equal(found["cluster_coef"], W[1:])
    assert Ridge().structure(W, tasks) == {}


@penalties(ALL | {"dirty": Decomposed(L21(), L1()), "network": NetworkLasso(2.0, [(0, 1)])})
def test_penalties_are_estimators(penalty):
    for copy in (clone(penalty), pickle.loads(pickle.dumps(penalty)), eval(repr(penalty), NAMES)):
        assert type(copy) is type(penalty)
        assert repr(copy) == repr(penalty)
        assert copy.get_params(deep=False).keys() == penalty.get_params(deep=False).keys()
    name = "first__alpha" if hasattr(penalty, "first") else "alpha"
    name = name if name in penalty.get_params() else "first__first__alpha"
    assert clone(penalty).set_params(**{name: 7.5}).get_params()[name] == 7.5


NAMES = {kind.__name__: kind for kind in PENALTIES.values()} | {
    "Sum": type(L1() + L1()),
    "Decomposed": Decomposed,
    "inf": np.inf,
}


@pytest.mark.parametrize("alpha", [-1.0, np.nan, "1", None, True, [1.0]], ids=repr)
@pytest.mark.parametrize("kind", PENALTIES.values(), ids=PENALTIES)
def test_a_bad_alpha_is_refused(kind, alpha):
    with pytest.raises(
        ValueError, match=rf"^alpha of {kind.__name__} must be a number in \[0, inf"
    ):
        kind(alpha).bind(np.arange(3))


@pytest.mark.parametrize("kind", [NetworkLasso, Graph])
def test_a_bad_graph_is_refused(kind):
    tasks = np.arange(3)
    for graph in (np.ones((2, 2)), "graph", 3):
        with pytest.raises(ValueError, match="task_graph must be None, a list of edges"):
            kind(1.0, graph).bind(tasks)
    for bad in (np.triu(np.ones((3, 3))), -np.ones((3, 3)), np.full((3, 3), np.nan)):
        with pytest.raises(ValueError, match="task_graph must be symmetric"):
            kind(1.0, bad).bind(tasks)
    for edge in ((0, 0), (0, 1, -1.0), (0,), (0, 1, "x")):
        with pytest.raises(ValueError, match="An edge of task_graph must be a tuple"):
            kind(1.0, [edge]).bind(tasks)


def test_what_cannot_be_added_is_refused():
    with pytest.raises(TypeError, match="A decomposed penalty has no sum"):
        Decomposed(L1(), L21()) + L1()
    for bad in (L1() + Decomposed(L1(), L21()), Sum(L1(), 1.0), Decomposed(L1(), "l21")):
        with pytest.raises(TypeError, match=r"second of .* must be a penalty on W"):
            bad.bind(np.arange(2))
