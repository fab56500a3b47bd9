"""Algebra of groups in groups, against matrices of paths."""

import numpy as np
import pytest

from skmtl.penalties import Coefficients, MeanCoupling, NestedCoupling, Nesting

PARENTS = [np.array([0, 0, 1, 2, 2, 2, 3]), np.array([0, 0, 1, 1])]


def paths(nesting):
    """Return whether each node is on the way from a task to the center, (T, N)."""
    found = np.zeros((nesting.sizes[0], nesting.n_nodes))
    for task in range(len(found)):
        node = task
        found[task, node] = 1
        for level, parent in zip(nesting.levels[1:], nesting.parents, strict=True):
            node = parent[node]
            found[task, level.start + node] = 1
    return found


@pytest.mark.parametrize("parents", [PARENTS[:1], PARENTS])
def test_spread_and_gather_are_products_with_paths(parents):
    nesting, rng = Nesting(parents), np.random.default_rng(0)
    P = paths(nesting)
    nodes, tasks = rng.normal(size=(2, nesting.n_nodes)), rng.normal(size=(2, 7))
    np.testing.assert_allclose(nesting.spread(nodes), nodes @ P.T)
    np.testing.assert_allclose(nesting.gather(tasks), tasks @ P)


def test_labels_give_groups_by_their_outer_labels():
    tasks = np.empty(4, dtype=object)
    tasks[:] = [("a", "x", 0), ("a", "y", 0), ("b", "x", 0), ("b", "x", 1)]
    nesting, labels = Nesting.of_labels(tasks)
    assert [parent.tolist() for parent in nesting.parents] == [[0, 1, 2, 2], [0, 0, 1]]
    assert labels == [[("a", "x"), ("a", "y"), ("b", "x")], [("a",), ("b",)]]
    assert nesting.sizes == [4, 3, 2]


def test_part_of_the_tasks_keeps_their_groups():
    nesting, tasks = Nesting(PARENTS), np.array([1, 3, 6])
    part, nodes = nesting.take(tasks)
    np.testing.assert_array_equal(paths(part), paths(nesting)[tasks][:, nodes])


def test_coupling_within_a_group_has_the_inner_weights():
    coupling = NestedCoupling.of([1.0, 2.0, 3.0], 0.5, [4.0, 5.0, 6.0], False, Nesting(PARENTS))
    region = coupling.within(1)
    assert region.nesting.sizes == [7, 4]
    np.testing.assert_array_equal(region.alpha, [1.0] * 7 + [2.0] * 4)
    np.testing.assert_array_equal(region.alpha_intercept, [4.0, 5.0])
    store = coupling.within(2)
    assert type(store) is MeanCoupling
    np.testing.assert_array_equal(store.alpha, np.ones(7))
    assert store.alpha_intercept == 4.0


def test_flatten_sums_deviations():
    nesting, rng = Nesting(PARENTS), np.random.default_rng(1)
    coupling = NestedCoupling.of([1.0] * 3, 0.0, [1.0] * 3, False, nesting)
    V, q = rng.normal(size=(2, nesting.n_nodes, 3)), rng.normal(size=(2, nesting.n_nodes))
    w, c = rng.normal(size=(2, 3)), rng.normal(size=2)
    flat = coupling.flatten(Coefficients(V, q, w, c))
    np.testing.assert_allclose(flat.V, paths(nesting) @ V)
    np.testing.assert_allclose(flat.W, w[:, None] + paths(nesting) @ V)
    np.testing.assert_allclose(flat.intercept, c[:, None] + q @ paths(nesting).T)
