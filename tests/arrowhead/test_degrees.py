"""Degrees of freedom of tasks against dense hat matrices."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone

from skmtl import GraphRegularizedRegressor
from skmtl.arrowhead import degrees_of_freedom
from tests._dense import Dense, GraphDense
from tests._problems import (
    TASK_WEIGHT,
    make_rows,
    make_wide,
    melt,
    models,
    problem_of,
    task_weights,
)

CHAIN = [(0, 1, 2.0), (1, 2), (2, 3, 0.5)]


def dense_degrees(dense, codes):
    """Return sums by task of the diagonal of ``A (A'WA + P)^- A'W``, by singular values."""
    U, values, _ = np.linalg.svd(dense.system(), full_matrices=False)
    U = U[:, values > 1e-11 * values[0]]
    return np.bincount(codes, (U[: len(codes)] ** 2).sum(axis=1))


@pytest.mark.parametrize("d", [3, 40])
@pytest.mark.parametrize("sizes", [(9, 5, 14, 7), (1, 2, 5, 3)])
@pytest.mark.parametrize("model", models(None).values(), ids=models(None))
def test_degrees_of_freedom_are_those_of_the_dense_hat_matrix(model, sizes, d):
    rows = make_rows(sizes=sizes, d=d)
    s = np.random.default_rng(1).uniform(0.2, 3.0, len(rows.y))
    dense = Dense(model, rows, s * task_weights(rows.codes))
    model = clone(model).set_params(task_column=0, task_weight=TASK_WEIGHT)
    problem = problem_of(model, rows.long, rows.y, s)
    df = degrees_of_freedom(problem.data, problem.penalty)
    assert_allclose(df, dense_degrees(dense, rows.codes), rtol=0, atol=1e-8)


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("name", ["pooled", "separate", "mean", "mean-array", "mean-mixed"])
def test_degrees_of_freedom_in_the_wide_form(name, missing):
    X, Y = make_wide(missing=missing)
    model, a = models(None)[name], [2.0, 0.5, 1.0, 3.0]
    wide = problem_of(clone(model).set_params(task_weight=a), X, Y)
    rows, _ = melt(X, Y)
    long = problem_of(clone(model).set_params(task_weight=a, task_column=0), rows.long, rows.y)
    df = degrees_of_freedom(wide.data, wide.penalty)
    assert_allclose(df, degrees_of_freedom(long.data, long.penalty), rtol=0, atol=1e-10)


@pytest.mark.parametrize("alpha_shared", [0.0, 0.4])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("alpha_intercept", [0.0, 2.0])
def test_degrees_of_freedom_along_a_graph(fit_intercept, alpha_intercept, alpha_shared):
    rows = make_rows()
    params = {"alpha_shared": alpha_shared, "alpha_intercept": alpha_intercept}
    params["fit_intercept"] = fit_intercept
    model = GraphRegularizedRegressor(3.0, task_graph=CHAIN, task_column=0, **params)
    problem = problem_of(model, rows.long, rows.y)
    S = np.zeros((4, 4))
    for s, t, *weight in CHAIN:
        S[s, t] = S[t, s] = weight[0] if weight else 1.0
    expected = dense_degrees(GraphDense(rows, S, 3.0, **params), rows.codes)
    assert_allclose(degrees_of_freedom(problem.data, problem.penalty), expected, atol=1e-8)
