"""The ways of ADMM that are taken where it is slow or memory is short: they solve the same."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmtl import ADMMClassifier, ADMMRegressor, alpha_max
from skmtl.datasets import make_multitask_classification, make_multitask_regression
from skmtl.penalties import (
    L1,
    L21,
    Decomposed,
    Graph,
    MeanRegularized,
    NetworkLasso,
    Ridge,
    RobustMean,
    TraceNorm,
)
from skmtl.solvers import _admm, _multipliers, _spectral

PENALTIES = {
    "l1": L1(),
    "l21": L21(),
    "task_l2": "task_l2",
    "trace_norm": TraceNorm(),
    "robust_mean": "robust_mean",
    "temporal_fused": "temporal_fused",
    "l1+trace_norm": L1(0.3) + TraceNorm(),
    "l21+ridge": L21() + Ridge(0.2),
    "robust_mean+graph": RobustMean() + Graph(0.1),
    "dirty": Decomposed(L21(), L1(0.8)),
    "mean_regularized+l1": MeanRegularized(2.0) + L1(0.5),
}
N_CLASSES = {"regression": 0, "two classes": 2, "three classes": 3}
penalties = pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
losses = pytest.mark.parametrize("n_classes", N_CLASSES.values(), ids=N_CLASSES)


def problem(n_classes, wide=False):
    """Return a model without a penalty yet, and data with features of several sizes."""
    if not n_classes:
        X, y = make_multitask_regression(4, 12, 5, random_state=3)
        X[:, 1:] *= [1.0, 3.0, 0.3, 1.0, 2.0]
        if wide:
            rows = X[:, 0] == 0
            return (
                ADMMRegressor(solver="admm"),
                X[rows, 1:],
                np.array([y[X[:, 0] == t] for t in range(4)]).T,
            )
        return ADMMRegressor(task_column=0, solver="admm"), X, y
    X, y = make_multitask_classification(4, 15, 5, n_classes=n_classes, random_state=3)
    return ADMMClassifier(task_column=0, solver="admm"), X, y


def assert_same_solution(monkeypatch, model, X, y, changes):
    """Compare a model fitted as it comes with one that has other constants inside."""
    expected = model.fit(X, y)
    coef, objective = expected.coef_.copy(), expected.objective_
    assert expected.optimality_ <= 1e-8
    for module, name, value in changes:
        monkeypatch.setattr(module, name, value)
    model.fit(X, y)
    assert model.optimality_ <= 1e-8
    assert_allclose(model.objective_, objective, rtol=1e-9)
    assert_allclose(unique(model.coef_), unique(coef), rtol=0, atol=1e-5 * np.abs(coef).max())


def unique(coef):
    """Return the coefficients without what is the same of all classes, which predicts nothing."""
    return coef - coef.mean(axis=1, keepdims=True) if coef.ndim == 3 else coef


@losses
@penalties
def test_newton_steps_solve_the_same(monkeypatch, penalty, n_classes):
    """From the first round on, with blocks as preconditioner."""
    model, X, y = problem(n_classes)
    steps, run = [], _multipliers.Multipliers.run
    changes = [
        (_admm, "_SLOW", -1.0),
        (_admm, "around_center", lambda *_: (None, 0)),
        (
            _multipliers.Multipliers,
            "run",
            lambda self, *given: steps.append(run(self, *given)) or steps[-1],
        ),
    ]
    assert_same_solution(monkeypatch, model.set_params(penalty=penalty, alpha=1.5), X, y, changes)
    assert steps


@losses
def test_newton_steps_without_the_patience_of_conjugate_gradients(monkeypatch, n_classes):
    """The whole system is factored where they do not get there."""
    model, X, y = problem(n_classes)
    solved, whole = [], _multipliers.Multipliers._solved
    changes = [
        (_admm, "_SLOW", -1.0),
        (_admm, "_ROUND", 5),
        (_multipliers, "_CG_ITER", 1),
        (
            _multipliers.Multipliers,
            "_solved",
            lambda self, *given: solved.append(1) or whole(self, *given),
        ),
    ]
    assert_same_solution(monkeypatch, model.set_params(penalty="l21", alpha=1.5), X, y, changes)
    assert solved


@pytest.mark.parametrize("slow", [-1.0, _admm._SLOW], ids=["newton", "admm"])
@losses
@pytest.mark.parametrize("penalty", ["l21", "trace_norm"])
def test_without_memory_for_blocks(monkeypatch, penalty, n_classes, slow):
    """X is multiplied by instead of being factored."""
    model, X, y = problem(n_classes)
    X[:, 1:] /= X[:, 1:].std(axis=0)  # without factors, units cost iterations
    made, free = [], _spectral.MatrixFreeModel
    changes = [
        (_spectral, "memory_limit", lambda: 0.0),
        (_spectral, "MatrixFreeModel", lambda *given: made.append(1) or free(*given)),
        (_admm, "_SLOW", slow),
    ]
    assert_same_solution(monkeypatch, model.set_params(penalty=penalty, alpha=1.5), X, y, changes)
    assert made


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_newton_steps_where_tasks_share_a_factor(monkeypatch, fit_intercept):
    model, X, y = problem(0, wide=True)
    model.set_params(penalty="l21", alpha=0.3 * alpha_max(model, X, y), fit_intercept=fit_intercept)
    assert_same_solution(monkeypatch, model, X, y, [(_admm, "_SLOW", -1.0)])


@pytest.mark.parametrize("seed", [0, 2, 3, 6])
def test_features_in_different_units(seed):
    """The rounding errors of the model of a quadratic loss do not limit the certificate."""
    rng, units = np.random.default_rng(seed), np.logspace(-3, 3, 5)
    task = np.repeat(np.arange(5), rng.integers(6, 200, 5))
    X = rng.standard_normal((len(task), 5)) @ rng.standard_normal((5, 5)) * units
    W = rng.standard_normal(5) + 0.5 * rng.standard_normal((5, 5))
    y = np.einsum("ij,ij->i", X / units, W[task]) + rng.standard_normal(len(task))
    model = ADMMRegressor(NetworkLasso(), alpha=1.0, task_column=0, tol=1e-8)
    assert model.fit(np.column_stack([task, X]), y).optimality_ <= 1e-8
