"""Models along graphs against the documented objective in all nodes, dense and at once."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from scipy.special import softmax

from skmtl import (
    GraphRegularizedClassifier,
    GraphRegularizedRegressor,
)
from tests import _problems
from tests._dense import GraphDense
from tests._problems import Rows, families, kinds, make_wide, melt, partial_rows, solvers

SIZES = {None: (9, 5, 14, 7, 6), 2: (20, 15, 30, 18, 9), 3: (20, 15, 30, 18, 12)}
CHAIN = [(0, 1), (1, 2), (2, 3), (3, 4)]
TREE = [(0, "A"), (1, "A", 2.0), (2, "B"), (3, "B", 0.5), (4, "B"), ("A", "root"), ("B", "root")]
TREE_NODES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, "A": 5, "B": 6, "root": 7}


def make_rows(K):
    return _problems.make_rows(K, SIZES[K])


def model(K, alpha=1.5, **params):
    kind = GraphRegularizedRegressor if K is None else GraphRegularizedClassifier
    return kind(alpha, **{"task_column": 0, "alpha_shared": 0.3, "max_iter": 10_000, **params})


def weights(n):
    return np.random.default_rng(1).uniform(0.2, 3.0, n)


def adjacency_of(edges, nodes):
    A = np.zeros((len(nodes), len(nodes)))
    for first, second, *weight in edges:
        s, t = nodes[first], nodes[second]
        A[s, t] = A[t, s] = weight[0] if weight else 1.0
    return A


WEIGHTED = [(0, 1, 0.4), (0, 2, 2.2), (1, 3, 1.7), (2, 3, 0.2), (2, 4), (3, 4, 2.5), (0, 4, 0.9)]
NODES = {t: t for t in range(5)}
GRAPHS = {
    "chain": adjacency_of(CHAIN, NODES),
    "random": adjacency_of(WEIGHTED, NODES),
    "disconnected": adjacency_of([(0, 1, 2), (2, 3, 0.5), (3, 4)], NODES),
    "isolated": adjacency_of([(0, 1, 2), (1, 2, 0.5), (2, 3)], NODES),
    "star": adjacency_of([(0, t) for t in range(1, 5)], NODES),
    "all": (np.ones((5, 5)) - np.eye(5)) / 5,
    "none": np.zeros((5, 5)),
}


def scores(fitted, X):
    """Predictions; log-odds against the mean of all classes."""
    if not hasattr(fitted, "classes_"):
        return fitted.predict(X)
    z = fitted.decision_function(X)
    return z if z.ndim == 1 else z - z.mean(axis=1, keepdims=True)


# The solution -----------------------------------------------------------------------------------


@families
@solvers
@pytest.mark.parametrize("graph", ["random", "disconnected", "isolated", "star"])
def test_solution_is_that_of_the_dense_problem(K, graph, solver):
    rows = make_rows(K)
    w = weights(len(rows.y))
    fitted = model(K, task_graph=GRAPHS[graph], solver=solver).fit(rows.long, rows.y, w)
    GraphDense(rows, GRAPHS[graph], weight=w).check(fitted, rtol=1e-6)


PENALTY_WEIGHTS = [{"alpha_intercept": 0.0}, {"alpha_intercept": 100.0}, {"fit_intercept": False}]
PENALTY_WEIGHTS += [{"alpha": 0.0}, {"alpha": 1e4, "alpha_intercept": 1e-3}, {"alpha": 1e-5}]


@families
@pytest.mark.parametrize("params", PENALTY_WEIGHTS, ids=str)
@pytest.mark.parametrize("graph", ["random", "isolated"])
def test_penalty_weights(K, graph, params):
    rows = make_rows(K)
    fitted = model(K, task_graph=GRAPHS[graph], **params).fit(rows.long, rows.y)
    GraphDense(rows, GRAPHS[graph], **params).check(fitted)


@solvers
@pytest.mark.parametrize("shared", [0.0, 0.3])
def test_classes_are_centered(solver, shared):
    """Adding the same to all classes of all tasks changes nothing: the smallest is the solution."""
    rows = make_rows(3)
    params = {"alpha_shared": shared, "solver": solver, "task_graph": GRAPHS["random"]}
    fitted = model(3, **params).fit(rows.long, rows.y)
    assert_allclose(fitted.coef_.sum(axis=1), 0, atol=1e-6)
    assert_allclose(fitted.intercept_.sum(axis=1), 0, atol=1e-6)


@pytest.mark.parametrize("shared", [0.0, 0.3])
@pytest.mark.parametrize("solver", ["direct", "cg"])
def test_fewer_rows_than_features_and_tasks_of_one_row(shared, solver):
    rows = _problems.make_rows(sizes=(1, 3, 1, 6, 4), d=20)
    fitted = model(None, task_graph=CHAIN, alpha_shared=shared, solver=solver)
    reference = GraphDense(rows, GRAPHS["chain"], alpha_shared=shared)
    fitted.fit(rows.long, rows.y)
    if shared > 0:
        reference.check(fitted)
    else:  # the solution is not unique, the minimum is
        assert_allclose(fitted.objective_, reference.value(reference.solve()), atol=1e-10)


@pytest.mark.parametrize("shared", [0.0, 0.3])
@pytest.mark.parametrize("alpha", [1e-6, 1.5, 1e6])
def test_tasks_of_few_rows_and_many_features(alpha, shared):
    # Their blocks are solved in the space of their rows, and links lead out of it.
    rows = _problems.make_rows(sizes=(30, 12, 25, 20, 33), d=70)
    fitted = model(None, alpha, task_graph=CHAIN, alpha_shared=shared).fit(rows.long, rows.y)
    reference = GraphDense(rows, GRAPHS["chain"], alpha, alpha_shared=shared)
    assert fitted.n_iter_ < 100
    assert_allclose(fitted.objective_, reference.value(reference.solve()), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("alpha_intercept", [0.0, 1.0])
def test_steps_stay_out_of_the_null_space_of_the_center(alpha_intercept):
    """A shift of the center against all deviations changes nothing: steps once grew without end."""
    for seed in range(20):
        rows = _problems.make_rows(sizes=(2, 3, 1, 4, 2), d=9, seed=seed)
        params = {"task_graph": CHAIN, "alpha_intercept": alpha_intercept}
        fitted = model(None, **params, max_iter=50).fit(rows.long, rows.y)
        reference = GraphDense(rows, GRAPHS["chain"], alpha_intercept=alpha_intercept)
        assert_allclose(fitted.objective_, reference.value(reference.solve()), rtol=1e-9)


@families
@pytest.mark.parametrize("alpha", [1e4, 1e6, 1e10])
@pytest.mark.parametrize("graph", ["chain", "all"])
def test_strong_links_pool_the_tasks(K, alpha, graph):
    """All at their defaults; the center of the pooled model is penalized once per task."""
    rows = make_rows(K)
    pooled = kinds(K)[2](np.inf, alpha_shared=1.5, alpha_intercept=np.inf, task_column=0, tol=1e-10)
    pooled.fit(rows.long, rows.y)
    fitted = model(K, alpha, task_graph=GRAPHS[graph], alpha_intercept=alpha, max_iter=1000)
    fitted.fit(rows.long, rows.y)
    assert_allclose(fitted.coef_, pooled.coef_, rtol=0, atol=100 / alpha + 1e-5)
    assert fitted.optimality_ <= fitted.tol


@families
def test_badly_scaled_columns(K):
    """Intercepts alone are linked: then units and offsets of the features mean nothing."""
    rows, scale = make_rows(K), np.array([1e-4, 1.0, 1e4])
    if K is not None:
        rows = _problems.make_rows(K, (60, 50, 80, 60, 70))
    scaled = Rows(rows.X * scale + 3 * scale, rows.y, rows.codes)
    fitted = model(K, 0.0, task_graph=CHAIN, alpha_shared=0.0, alpha_intercept=2.0)
    p = scores(fitted.fit(rows.long, rows.y), rows.long)
    moved = scores(fitted.fit(scaled.long, rows.y), scaled.long)
    assert_allclose(moved, p, rtol=0, atol=1e-6 * np.abs(p).max())
    if K is None:
        fitted = model(K, task_graph=CHAIN).fit(scaled.long, rows.y)
        GraphDense(scaled, GRAPHS["chain"]).check(fitted)


@families
@solvers
@pytest.mark.parametrize("params", [{"alpha_intercept": 0.0}, {"alpha": 40.0}], ids=str)
def test_a_constant_added_to_a_feature_changes_no_prediction(K, solver, params):
    rows = make_rows(K)
    fitted = model(K, task_graph=CHAIN, solver=solver, **params)
    p = scores(fitted.fit(rows.long, rows.y), rows.long)
    moved = Rows(rows.X + [1e3, 0.0, -20.0], rows.y, rows.codes)
    found = scores(fitted.fit(moved.long, rows.y), moved.long)
    assert_allclose(found, p, rtol=0, atol=1e-7 * np.abs(p).max())


# Weights, classes, the wide form ----------------------------------------------------------------


@families
def test_all_weights(K):
    rows, task_weight = make_rows(K), {0: 2.0, 1: 0.5, 2: 1.0, 3: 3.0, 4: 0.2}
    w = weights(len(rows.y))
    total = w * np.array([task_weight[t] for t in rows.codes.tolist()])
    params = {}
    if K is not None:
        by_class = {0: 3.0, 1: 0.5, 2: 1.0}
        params["class_weight"] = {k: by_class[k] for k in range(K)}
        total = total * np.array([by_class[k] for k in rows.y.tolist()])
    fitted = model(K, task_graph=TREE, task_weight=task_weight | {"A": 9.0}, **params)
    fitted.fit(rows.long, rows.y, w)
    GraphDense(rows, adjacency_of(TREE, TREE_NODES), weight=total).check(fitted, TREE_NODES)


@solvers
@pytest.mark.filterwarnings("ignore:Only one class was seen:UserWarning")
def test_only_classes_seen(solver):
    rows, w = partial_rows()
    A = GRAPHS["chain"][:4, :4]
    fitted = model(3, task_graph=A, task_classes="seen", solver=solver).fit(rows.long, rows.y, w)
    reference, seen = GraphDense(rows, A, weight=w), np.zeros((4, 3))
    seen[rows.codes, rows.y] = 1.0
    with np.errstate(divide="ignore"):
        reference.offset = np.log(seen)[rows.codes].T
    theta = reference.solve()
    assert_allclose(fitted.objective_, reference.value(theta), rtol=1e-10)
    p = softmax(theta @ reference.A.T + reference.offset, axis=0).T
    assert_allclose(fitted.predict_proba(rows.long), p, rtol=0, atol=1e-6)


@pytest.mark.parametrize("missing", [0.0, 0.3])
@solvers
def test_wide_is_long(missing, solver):
    X, Y = make_wide(missing=missing)
    A = GRAPHS["random"][:4, :4]
    task_weight = [1.0, 3.0, 0.5, 2.0]
    w = weights(len(X))
    params = {"task_graph": A, "task_weight": task_weight, "solver": solver}
    wide = model(None, task_column=None, **params).fit(X, Y, w)
    rows, melted = melt(X, Y, w)
    weight = melted * np.array(task_weight)[rows.codes]
    GraphDense(rows, A, weight=weight).check(wide, rtol=1e-6)
    tall = model(None, **params).fit(rows.long, rows.y, melted)
    assert_allclose(wide.coef_, tall.coef_, rtol=0, atol=1e-6)


# All pairs, and other ways to say the same ------------------------------------------------------


@families
@solvers
@pytest.mark.parametrize("shared", [0.0, 0.3])
def test_all_pairs_are_mean_regularized(K, solver, shared):
    rows = make_rows(K)
    w = weights(len(rows.y))
    fitted = [
        model(K, task_graph=graph, alpha_shared=shared, solver=solver).fit(rows.long, rows.y, w)
        for graph in (None, GRAPHS["all"], [(s, t, 0.2) for t in range(5) for s in range(t)])
    ]
    GraphDense(rows, GRAPHS["all"], alpha_shared=shared, weight=w).check(fitted[0], rtol=1e-6)
    if shared == 0:
        fitted.append(kinds(K)[2](1.5, alpha_shared=0.0, task_column=0).fit(rows.long, rows.y, w))
    p = scores(fitted[0], rows.long)
    for other in fitted[1:]:
        assert_allclose(scores(other, rows.long), p, rtol=0, atol=1e-6 * np.abs(p).max())
        assert_allclose(other.objective_, fitted[0].objective_, rtol=1e-10)


@pytest.mark.parametrize(
    "graph",
    [
        sparse.csr_matrix(GRAPHS["random"]),
        sparse.coo_array(GRAPHS["random"]),
        GRAPHS["random"] + 7 * np.eye(5),  # self-loops are nothing
        [(s, t, GRAPHS["random"][s, t]) for s in range(5) for t in range(s)],
        [(s, t, 0.5 * GRAPHS["random"][s, t]) for s in range(5) for t in range(5) if s != t],
        tuple((float(s), float(t), GRAPHS["random"][s, t]) for s in range(5) for t in range(s)),
    ],
    ids=["csr", "coo", "loops", "edges", "both ways", "floats"],
)
def test_one_graph_said_in_several_ways(graph):
    rows = make_rows(None)
    fitted = model(None, task_graph=graph).fit(rows.long, rows.y)
    GraphDense(rows, GRAPHS["random"]).check(fitted)


# Labels and latent tasks ------------------------------------------------------------------------

LABELS = {"ints": lambda t: t, "strings": lambda t: f"t{t}", "other order": lambda t: 10 - t}


@families
@pytest.mark.parametrize(
    ("labels", "solver"),
    [("ints", "direct"), ("strings", "direct"), ("other order", "cg")],
)
def test_parents_in_a_tree_are_unknowns(K, labels, solver):
    rows, name = make_rows(K), LABELS[labels]
    edges = [tuple(name(e) if e in range(5) else e for e in edge[:2]) + edge[2:] for edge in TREE]
    nodes = {name(node) if node in range(5) else node: place for node, place in TREE_NODES.items()}
    frame = pd.DataFrame(rows.X, columns=["a", "b", "c"])
    frame["task"] = [name(t) for t in rows.codes.tolist()]
    fitted = model(K, task_graph=edges, solver=solver, task_column="task").fit(frame, rows.y)
    assert set(fitted.tasks_.tolist()) == set(nodes)
    GraphDense(rows, adjacency_of(TREE, TREE_NODES)).check(fitted, nodes, rtol=1e-6)
    counts = dict(zip(fitted.tasks_.tolist(), fitted.task_counts_.tolist(), strict=True))
    assert [counts[node] for node in nodes] == [*np.bincount(rows.codes), 0, 0, 0]
    for node in nodes:
        place = fitted.tasks_.tolist().index(node)
        z = rows.X @ fitted.coef_[place].T + fitted.intercept_[place]
        assert_allclose(fitted._raw_prediction(frame.assign(task=node)), z, rtol=0, atol=1e-10)


@families
@pytest.mark.parametrize("how", ["task_weight", "sample_weight"])
def test_tasks_without_weight_are_latent(K, how):
    rows = make_rows(K)
    params, w = {"task_weight": {t: float(t != 1) for t in range(5)}}, None
    if how == "sample_weight":
        params, w = {}, (rows.codes != 1).astype(float)
    fitted = model(K, task_graph=CHAIN, **params).fit(rows.long, rows.y, w)
    assert fitted.tasks_.tolist() == [0, 1, 2, 3, 4]
    assert fitted.task_counts_[1] == 0
    GraphDense(rows, GRAPHS["chain"], weight=(rows.codes != 1) * 1.0).check(fitted)


# Errors -----------------------------------------------------------------------------------------

EDGES = [[(0, 1, weight)] for weight in (-1.0, np.nan, np.inf, "near", None)]
EDGES += [[(0, 1), edge] for edge in [(2, 2), (2,), (0, 1, 2, 3), [1, 2], (0, [1])]]
SHAPES = ["chain", {(0, 1)}, np.ones((4, 4)), np.ones(5), sparse.eye_array(3), [[0, 1], [1, 2]]]
A = GRAPHS["chain"]
WEIGHTS = [np.triu(A), -A, np.full((5, 5), np.nan), np.full((5, 5), np.inf)]
WRONG = [
    (g, r"edge of task_graph must be a tuple .* two different tasks.*got [(\[]") for g in EDGES
]
WRONG += [(g, r"task_graph must be None.*adjacency of shape \(5, 5\).*got ") for g in SHAPES]
WRONG += [(g, r"symmetric, with finite weights of at least 0.*\(A \+ A\.T\) / 2") for g in WEIGHTS]


@pytest.mark.parametrize(("graph", "message"), WRONG)
def test_graphs_that_are_none(graph, message):
    for rows, K in (make_rows(None), None), (make_rows(2), 2):
        with pytest.raises(ValueError, match=message):
            model(K, task_graph=graph).fit(rows.long, rows.y)


@pytest.mark.parametrize("name", ["alpha", "alpha_shared", "alpha_intercept"])
@pytest.mark.parametrize("value", [np.inf, -1.0, np.nan, "a", [1.0] * 5], ids=str)
def test_penalty_weights_that_are_none(name, value):
    rows = make_rows(None)
    with pytest.raises(ValueError, match=rf"{name} must be|alpha_shared must be finite"):
        model(None, **{name: value, "task_graph": CHAIN}).fit(rows.long, rows.y)
