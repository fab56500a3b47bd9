"""Penalty weights of 0 and inf in several task columns, against dense limits."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import linalg

from skmtl import MeanRegularizedClassifier, MeanRegularizedRegressor
from skmtl.inspection import effective_dof

LIMITS = [0.0, 1.0, np.inf]
COLUMNS = ["country", "region", "store"]


def table(n_columns, n_rows, d, seed=0):
    """Return a frame with labels drawn at random, features x0, ..., y, weights and the columns."""
    rng, columns = np.random.default_rng(seed), COLUMNS[-n_columns:]
    frame = pd.DataFrame({column: rng.integers(0, 3, n_rows) for column in columns})
    frame[[f"x{j}" for j in range(d)]] = rng.normal(size=(n_rows, d)) + 1.0
    y = rng.normal(size=n_rows) + frame[columns[0]]
    return frame, y.to_numpy(), rng.uniform(0.5, 2.0, size=n_rows), columns


class Dense:
    """Coefficients and centered intercepts of the center and all nodes, side by side.

    What is positive outside of a zero is infinite.
    """

    def __init__(self, frame, weight, columns, alpha, intercept, shared):
        X = frame.filter(regex="^x").to_numpy()
        self.d = X.shape[1]
        X = np.column_stack([X - weight @ X / weight.sum(), np.ones(len(X))])
        nodes, levels, parts = [()], [-1], [X]
        for level in range(len(columns)):
            codes = frame.groupby(columns[: level + 1]).ngroup().to_numpy()
            labels = frame[columns[: level + 1]].drop_duplicates().itertuples(index=False)
            nodes += sorted(map(tuple, labels))
            levels += [level] * (codes.max() + 1)
            parts += [X * (codes == node)[:, None] for node in range(codes.max() + 1)]
        self.nodes, self.level = nodes, np.repeat(levels, X.shape[1])
        self.is_intercept = np.tile(np.arange(self.d + 1) == self.d, len(levels))
        alpha, intercept = map(self._limits, (alpha, intercept))
        own = np.where(self.is_intercept, intercept[self.level], alpha[self.level])
        center = np.where(self.is_intercept, 0.0, shared)
        penalty = np.where(self.level < 0, center, own)
        self.free = np.isfinite(penalty)
        self.penalty, self.Z = penalty[self.free], np.hstack(parts)[:, self.free]
        self.zeros = [np.flatnonzero(part == 0)[::-1] for part in (alpha, intercept)]

    @staticmethod
    def _limits(weights):
        weights = np.array(weights)
        around = np.maximum.accumulate((weights == 0)[::-1])[::-1]
        return np.where(around & (weights > 0), np.inf, weights)

    def solve(self, y, weight):
        """Return predictions, and coefficients and centered intercepts of the nodes (N, d + 1).

        Of several solutions, the deviations of the innermost column with a zero are the smallest,
        then those of the next, and the center; then deviations of intercepts in the same order.
        """
        root, size = np.sqrt(weight), len(self.free)
        least_squares = np.vstack([root[:, None] * self.Z, np.diag(np.sqrt(self.penalty))])
        target = np.append(root * y, np.zeros(len(self.penalty)))
        orders = [[*self.zeros[0], -1], self.zeros[1]]
        stages = [(least_squares, target)]
        for order, kind in zip(orders, (~self.is_intercept, self.is_intercept), strict=True):
            for level in order:
                rows = np.eye(size)[(self.level == level) & kind][:, self.free]
                stages.append((rows, np.zeros(len(rows))))
        b, N = np.zeros(self.free.sum()), np.eye(self.free.sum())
        for A, right in stages:
            if N.shape[1] == 0:
                break
            U, values, Vt = linalg.svd(A @ N)
            rank = np.count_nonzero(values > 1e-9 * max(values.max(initial=0.0), 1e-3))
            b = b + N @ (Vt[:rank].T @ ((U[:, :rank].T @ (right - A @ b)) / values[:rank]))
            N = N @ Vt[rank:].T
        beta = np.zeros(size)
        beta[self.free] = b
        beta = beta.reshape(len(self.nodes), -1)
        on = [[node[: len(own)] == own for own in self.nodes] for node in self.nodes]
        return self.Z @ b, np.array(on, dtype=float) @ beta

    def variances(self, weight, tasks):
        """Return the variances of predictions, inf if open, and degrees of freedom of tasks."""
        gram = (self.Z.T * weight) @ self.Z
        values, U = linalg.eigh(gram + np.diag(self.penalty))
        open_ = U[:, values <= 1e-10 * values[-1]]
        U, values = U[:, values > 1e-10 * values[-1]], values[values > 1e-10 * values[-1]]
        variance = np.square(self.Z @ U / np.sqrt(values)).sum(axis=1)
        degrees = np.bincount(tasks, weight * variance)
        variance[np.abs(self.Z @ open_).max(axis=1, initial=0.0) > 1e-6] = np.inf
        return variance, degrees


def fitted(Model, frame, y, weight, columns, alpha, intercept, shared, **kwargs):
    alpha, intercept = (dict(zip(columns, part, strict=True)) for part in (alpha, intercept))
    kwargs |= {"alpha_shared": shared, "alpha_intercept": intercept, "task_column": columns}
    return Model(alpha, **kwargs).fit(frame, y, weight)


def combinations(n_columns, share):
    every = product(*[LIMITS] * (2 * n_columns), LIMITS)
    kept = np.random.default_rng(0).random(3 ** (2 * n_columns + 1)) < share
    return [
        (c[:n_columns], c[n_columns:-1], c[-1]) for c, use in zip(every, kept, strict=True) if use
    ]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("n_columns", "n_rows", "d", "share"),
    [
        (2, 30, 2, 0.2),
        (2, 12, 3, 0.3),
        (2, 6, 8, 0.4),
        (2, 5, 1, 0.3),
        (3, 12, 3, 0.02),
        (3, 6, 8, 0.02),
    ],
)
def test_zero_and_inf_are_dense_limits(n_columns, n_rows, d, share):
    frame, y, weight, columns = table(n_columns, n_rows, d)
    mean = weight @ frame.filter(regex="^x").to_numpy() / weight.sum()
    for weights in combinations(n_columns, share):
        model = fitted(MeanRegularizedRegressor, frame, y, weight, columns, *weights)
        predicted, expected = Dense(frame, weight, columns, *weights).solve(y, weight)
        np.testing.assert_allclose(model.predict(frame), predicted, atol=1e-8)
        coef = np.vstack([model.shared_coef_, *model.group_coef_, model.coef_])
        parts = [model.shared_intercept_], *model.group_intercept_, model.intercept_
        found = np.column_stack([coef, np.concatenate(parts) + coef @ mean])
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(found / scale, expected / scale, atol=1e-6, err_msg=weights)


@pytest.mark.filterwarnings("ignore:Standard deviations are inf")
@pytest.mark.parametrize("n_columns", [2, 3])
def test_variances_are_dense_limits(n_columns):
    frame, y, weight, columns = table(n_columns, 36, 2)
    frame.loc[0, columns[-1]] = 9  # a store with one row
    new = frame.iloc[:3].copy()
    for place in range(n_columns):  # a new store, and one in a new region
        new.loc[place, columns[place:]] = 99
    both, tasks = pd.concat([frame, new]), frame.groupby(columns).ngroup().to_numpy()
    no_weight, new_tasks = np.append(weight, np.zeros(3)), tasks.max() + 1 + np.arange(3)
    for weights in combinations(n_columns, 0.3 if n_columns == 2 else 0.02):
        dense = Dense(both, no_weight, columns, *weights)
        variance, degrees = dense.variances(no_weight, np.append(tasks, new_tasks))
        model = fitted(
            MeanRegularizedRegressor, frame, y, weight, columns, *weights, handle_unknown="shared"
        )
        known = effective_dof(model, frame, y, weight)
        np.testing.assert_allclose(known, degrees[: len(known)], atol=1e-7)
        if degrees.sum() > len(y) - 1e-6:
            continue
        std = model.predict(both, return_std=True)[1]
        found = std**2 / model.sigma2_ - 1
        np.testing.assert_allclose(found, variance, rtol=1e-6, atol=1e-7, err_msg=weights)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("alpha", [(0.5, 0.0), (0.0, 0.0), (np.inf, 0.0)])
def test_classifiers_of_free_stores_are_separate_models(n_classes, alpha):
    frame, y, weight, columns = table(2, 300, 1)
    y = np.digitize(
        y + np.random.default_rng(1).normal(scale=3.0, size=300), [0.0, 1.5][: n_classes - 1]
    )
    weights = alpha, (1.0, 0.0), 0.0
    model = fitted(MeanRegularizedClassifier, frame, y, weight, columns, *weights, tol=1e-10)
    single = frame.assign(task=frame.groupby(columns).ngroup()).drop(columns=columns)
    plain = MeanRegularizedClassifier(
        0.0, alpha_shared=0.0, alpha_intercept=0.0, task_column="task", tol=1e-10
    ).fit(single, y, weight)
    found, expected = model.predict_proba(frame), plain.predict_proba(single)
    np.testing.assert_allclose(found, expected, atol=1e-7)
    np.testing.assert_allclose(
        effective_dof(model, frame, y, weight), effective_dof(plain, single, y, weight), rtol=1e-5
    )
    if alpha[0] == 0:  # regions are means of their stores
        members = np.array([task[0] for task in model.tasks_.tolist()])
        coef = [model.coef_[members == region].mean(axis=0) for region in range(3)]
        np.testing.assert_allclose(model.group_coef_[0], coef, atol=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("intercept", [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0)])
def test_conjugate_gradients_with_free_intercepts(intercept):
    frame, y, weight, columns = table(2, 60, 2)
    weights = (1.0, 2.0), intercept, 0.5
    direct, cg = (
        fitted(
            MeanRegularizedRegressor, frame, y, weight, columns, *weights, solver=solver, tol=1e-9
        )
        for solver in ("direct", "cg")
    )
    np.testing.assert_allclose(cg.coef_, direct.coef_, atol=1e-7)
    np.testing.assert_allclose(cg.group_intercept_[0], direct.group_intercept_[0], atol=1e-7)
    with pytest.raises(ValueError, match="alpha=0 leaves coefficients unidentified"):
        MeanRegularizedRegressor(
            {"region": 0.0, "store": 1.0}, solver="cg", task_column=columns
        ).fit(frame, y)
