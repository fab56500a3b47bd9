"""Random problems, and the documented objective written a second time: dense, all at once."""

from dataclasses import dataclass

import numpy as np
from sklearn.base import clone

from skmtl import MeanRegularizedRegressor, PooledRegressor, SharedL2Regressor
from skmtl.data import LongData
from skmtl.losses import SquaredLoss
from skmtl.penalties import MeanCoupling
from skmtl.problem import Problem

ESTIMATORS = (PooledRegressor, SharedL2Regressor, MeanRegularizedRegressor)


ARRAY = [0.3, 40.0, 2.0, 7.0]
DICT = {0: 3.0, 1: 0.2, 2: 15.0, 3: 1.0, "absent": 9.0}
MODELS = {
    "pooled": PooledRegressor(2.0),
    "pooled-least-squares": PooledRegressor(0.0),
    "pooled-within": PooledRegressor(0.5, alpha_intercept=0.0),
    "pooled-random-intercepts": PooledRegressor(0.5, alpha_intercept=3.0),
    "pooled-constant": PooledRegressor(np.inf, alpha_intercept=2.0),
    "pooled-no-intercept": PooledRegressor(2.0, fit_intercept=False),
    "separate": SharedL2Regressor(1.5),
    "separate-array": SharedL2Regressor(ARRAY),
    "separate-dict": SharedL2Regressor(DICT),
    "separate-mixed": SharedL2Regressor([np.inf, 1.0, 0.0, 2.0]),
    "separate-no-intercept": SharedL2Regressor(ARRAY, fit_intercept=False),
    "mean": MeanRegularizedRegressor(1.5),
    "mean-array": MeanRegularizedRegressor(ARRAY, alpha_shared=0.7, alpha_intercept=5.0),
    "mean-dict": MeanRegularizedRegressor(DICT, alpha_shared=2.0, alpha_intercept=0.0),
    "mean-mixed": MeanRegularizedRegressor([np.inf, 1.0, 0.0, 30.0], alpha_shared=0.1),
    "mean-one-level": MeanRegularizedRegressor(2.0, alpha_intercept=np.inf),
    "mean-pooled-slopes": MeanRegularizedRegressor(np.inf, alpha_intercept=2.0),
    "mean-no-center": MeanRegularizedRegressor(2.0, alpha_shared=np.inf),
    "mean-no-intercept": MeanRegularizedRegressor(ARRAY, fit_intercept=False),
}
TASK_WEIGHT = {0: 2.0, 1: 0.5, 2: 1.0, 3: 3.0}


@dataclass
class Rows:
    """Rows of tasks 0 to T - 1 in random order."""

    X: np.ndarray
    y: np.ndarray
    codes: np.ndarray

    @property
    def long(self):
        """The features behind the task labels."""
        return np.column_stack([self.codes, self.X])


def make_rows(sizes=(9, 5, 14, 7), d=3, seed=0):
    """Tasks with own coefficients and levels; features with means and scales of their own."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    X = rng.normal(size=(len(codes), d)) * rng.uniform(0.5, 2, d) + rng.normal(size=d)
    X += rng.normal(size=(len(sizes), d))[codes]
    W = rng.normal(size=d) + rng.normal(size=(len(sizes), d))
    level = 3 + 2 * rng.normal(size=len(sizes))
    y = np.einsum("ij,ij->i", X, W[codes]) + level[codes] + rng.normal(size=len(codes))
    return Rows(X, y, codes)


def weighted_rows(seed=0):
    rows = make_rows(seed=seed)
    sample_weight = np.random.default_rng(1).uniform(0.2, 3.0, len(rows.y))
    a = np.array([TASK_WEIGHT[t] for t in rows.codes.tolist()])
    return rows, sample_weight, sample_weight * a


def fit_long(model, rows, sample_weight=None, **params):
    return clone(model).set_params(task_column=0, **params).fit(rows.long, rows.y, sample_weight)


def make_problem(alpha=(1.0, 2.0, 0.5, 3.0), alpha_shared=0.4, alpha_intercept=2.0, **params):
    rows, _, weight = weighted_rows()
    data = LongData(rows.X, rows.y, weight, rows.codes, 4, rows.X.mean(axis=0))
    penalty = MeanCoupling(np.array(alpha), alpha_shared, alpha_intercept, **params)
    return Problem(data, SquaredLoss(), penalty)


def make_wide(n=20, d=3, T=4, missing=0.3, seed=0):
    """One X for all tasks and Y (n, T), a share of it missing."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + rng.normal(size=d)
    Y = X @ (rng.normal(size=(d, 1)) + rng.normal(size=(d, T))) + 5 + rng.normal(size=(n, T))
    Y[rng.random(Y.shape) < missing] = np.nan
    return X, Y


def melt(X, Y, weight=None):
    """The long form of wide data: (X with labels, y, weight)."""
    i, t = np.nonzero(~np.isnan(Y))
    weight = np.ones(len(X)) if weight is None else weight
    return np.column_stack([t, X[i]]), Y[i, t], weight[i]


def strengths(model, T):
    """What the documentation says a model penalizes: alpha (T,), alpha_shared, alpha_intercept."""
    alpha = model.alpha
    if isinstance(alpha, dict):
        alpha = [alpha[t] for t in range(T)]
    alpha = np.broadcast_to(np.asarray(alpha, dtype=float), (T,))
    if isinstance(model, PooledRegressor):
        return np.full(T, np.inf), model.alpha, model.alpha_intercept
    if isinstance(model, SharedL2Regressor):
        return alpha, np.inf, 0.0
    return alpha, model.alpha_shared, model.alpha_intercept


class Dense:
    """``1/2 sum_i weight_i (y - A theta)^2 + 1/2 theta' P theta``, theta = (w, c, V, q).

    Row i of A is ``[x, 1, x (x) e_t, e_t]`` at centered x: the objective of a fitted model in all
    its unknowns. Unknowns of infinite strength are left out.
    """

    def __init__(self, model, rows, weight=None):
        (n, d), T = rows.X.shape, rows.codes.max() + 1
        self.shape, self.y = (T, d), rows.y
        self.weight = np.ones(n) if weight is None else weight
        self.mean = np.zeros(d)
        alpha, alpha_shared, alpha_intercept = strengths(model, T)
        if model.fit_intercept:
            # About the first row, so that what is constant is centered to exact zeros.
            first = rows.X[0]
            self.mean = first + np.average(rows.X - first, axis=0, weights=self.weight)
        Z, E = rows.X - self.mean, np.eye(T)[rows.codes]
        own = (E[:, :, None] * Z[:, None, :]).reshape(n, T * d)
        self.A = np.hstack([Z, np.ones((n, 1)), own, E])
        free_level, level = (0.0, alpha_intercept) if model.fit_intercept else (np.inf, np.inf)
        self.P = np.concatenate(
            [np.full(d, alpha_shared), [free_level], np.repeat(alpha, d), np.full(T, level)]
        )
        self.free = np.isfinite(self.P)

    def solve(self):
        """Return theta by least squares, of minimum norm where it is open."""
        A, P = self.A[:, self.free], self.P[self.free]
        root = np.sqrt(self.weight)
        theta = np.zeros(len(self.P))
        system = np.vstack([root[:, None] * A, np.diag(np.sqrt(P))])
        target = np.concatenate([root * self.y, np.zeros(len(P))])
        theta[self.free] = np.linalg.lstsq(system, target, rcond=None)[0]
        return theta

    def theta(self, model):
        """Return the theta of a fitted model; without a center, deviations are from zero."""
        W, b = model.coef_, model.intercept_
        w = getattr(model, "shared_coef_", np.zeros(self.shape[1]))
        c = getattr(model, "shared_intercept_", 0.0) + self.mean @ w
        theta = np.concatenate([w, [c], (W - w).ravel(), b + W @ self.mean - c])
        held = ~self.free
        np.testing.assert_allclose(theta[held], 0, atol=1e-12 * np.abs(self.y).max())
        return np.where(self.free, theta, 0.0)

    def unpack(self, theta):
        """Return W, b and the center's w and b."""
        T, d = self.shape
        w, c, V, q = np.split(theta, [d, d + 1, d + 1 + T * d])
        W = w + V.reshape(T, d)
        return W, c + q - W @ self.mean, w, float(c[0] - w @ self.mean)

    def objective(self, theta):
        residual = self.y - self.A @ theta
        penalty = self.P[self.free] @ theta[self.free] ** 2
        return 0.5 * (self.weight @ residual**2 + penalty)

    def gradient(self, theta):
        loss = self.A.T @ (self.weight * (self.A @ theta - self.y))
        return (loss + np.where(self.free, self.P, 0.0) * theta)[self.free]

    def gradient_unit(self, theta):
        """Size of each entry of the gradient, of which rounding takes some 1e-16."""
        T, d = self.shape
        size = np.abs(theta[: d + 1])  # deviations are differences to numbers of this size
        size = np.concatenate([size, np.tile(size[:d], T), np.full(T, size[d])])
        loss = np.abs(self.A).T @ (self.weight * np.abs(self.y))
        return (loss + np.where(self.free, self.P, 0.0) * size)[self.free] + 1e-300


def assert_same_model(model, other, rtol=1e-10, order=None, center=True):
    """Check all coefficients, relative to the largest of their kind."""
    order = slice(None) if order is None else order
    names = ["coef_", "intercept_"]
    if center and hasattr(model, "shared_coef_"):
        names += ["shared_coef_", "shared_intercept_"]
    for name in names:
        a, b = getattr(model, name), getattr(other, name)
        a = a if name.startswith("shared") else a[order]
        np.testing.assert_allclose(
            a, b, rtol=0, atol=rtol * (1e-300 + np.abs(b).max()), err_msg=name
        )


def noisy(sizes=(20, 12, 25, 15)):
    """Rows of four tasks, and targets with noise of another size in each."""
    rows = make_rows(sizes)
    noise = np.random.default_rng(3).normal(size=len(rows.y))
    return rows, rows.y + noise * np.array([3, 0.2, 1, 2])[rows.codes]
