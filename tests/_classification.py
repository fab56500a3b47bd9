"""Random classification problems, and the documented objective of classifiers a second time."""

import numpy as np
from scipy.special import expit, logsumexp, softmax

from skmtl import MeanRegularizedClassifier, PooledClassifier, SharedL2Classifier
from tests._problems import TASK_WEIGHT, Rows

TOL = 1e-8  # the default, at which a solution is accepted
ARRAY = [0.3, 40.0, 2.0, 7.0]
DICT = {0: 3.0, 1: 0.2, 2: 15.0, 3: 1.0, "absent": 9.0}
CLASSIFIERS = {
    "pooled": PooledClassifier(2.0),
    "pooled-free-levels": PooledClassifier(0.5, alpha_intercept=0.0),
    "pooled-random-intercepts": PooledClassifier(0.5, alpha_intercept=3.0),
    "pooled-constant": PooledClassifier(np.inf, alpha_intercept=2.0),
    "pooled-no-intercept": PooledClassifier(2.0, fit_intercept=False),
    "separate": SharedL2Classifier(1.5),
    "separate-array": SharedL2Classifier(ARRAY),
    "separate-mixed": SharedL2Classifier([np.inf, 1.0, 0.5, 2.0]),
    "separate-no-intercept": SharedL2Classifier(DICT, fit_intercept=False),
    "mean": MeanRegularizedClassifier(1.5),
    "mean-array": MeanRegularizedClassifier(ARRAY, alpha_shared=0.7, alpha_intercept=5.0),
    "mean-dict": MeanRegularizedClassifier(DICT, alpha_shared=2.0, alpha_intercept=0.0),
    "mean-mixed": MeanRegularizedClassifier([np.inf, 1.0, 0.3, 30.0], alpha_shared=0.1),
    "mean-one-level": MeanRegularizedClassifier(2.0, alpha_intercept=np.inf),
    "mean-pooled-slopes": MeanRegularizedClassifier(np.inf, alpha_intercept=2.0),
    "mean-no-center": MeanRegularizedClassifier(2.0, alpha_shared=np.inf),
    "mean-no-intercept": MeanRegularizedClassifier(ARRAY, fit_intercept=False),
}
BASIC = {
    "pooled": PooledClassifier(2.0, alpha_intercept=4.0),
    "separate": SharedL2Classifier(2.0),
    "mean": MeanRegularizedClassifier(2.0, alpha_shared=0.5),
}


def make_rows(K=2, sizes=(40, 25, 60, 30), d=3, seed=0):
    """Tasks with own coefficients and levels, each with all classes, 0 to K - 1."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    X = rng.normal(size=(len(codes), d)) * rng.uniform(0.5, 2, d) + rng.normal(size=d)
    X += 0.5 * rng.normal(size=(len(sizes), d))[codes]
    W = (rng.normal(size=(1, K, d)) + rng.normal(size=(len(sizes), K, d))) / np.sqrt(2 * d)
    level = 0.5 * rng.normal(size=(len(sizes), K))
    z = np.einsum("ij,ikj->ik", X - X.mean(axis=0), W[codes]) + level[codes]
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    for t in range(len(sizes)):
        own = np.flatnonzero(codes == t)
        if len(np.unique(y[own])) < K:
            y[own[:K]] = np.arange(K)
    return Rows(X, y, codes)


def weighted_rows(K=2, seed=0, **params):
    """Return rows, sample weights, and these times ``TASK_WEIGHT``."""
    rows = make_rows(K, seed=seed, **params)
    sample_weight = np.random.default_rng(1).uniform(0.2, 3.0, len(rows.y))
    a = np.array([TASK_WEIGHT[t] for t in rows.codes.tolist()])
    return rows, sample_weight, sample_weight * a


def partial_rows(seed=0):
    """Three classes, of which tasks 0 and 1 lack one each; with sample weights."""
    rows, weight, _ = weighted_rows(3, seed)
    kept = rows.y != np.array([0, 2, -1, -1])[rows.codes]
    return Rows(rows.X[kept], rows.y[kept], rows.codes[kept]), weight[kept]


def make_indicator(n=60, d=3, T=4, seed=0):
    """One X for all tasks and a complete indicator (n, T)."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + rng.normal(size=d)
    W = (rng.normal(size=(d, 1)) + rng.normal(size=(d, T))) / np.sqrt(d)
    return X, (X @ W + rng.logistic(size=(n, T)) > 0.3).astype(int)


def melt(X, Y, weight=None):
    """The long form of wide data: (rows, weight)."""
    n, T = Y.shape
    weight = np.ones(n) if weight is None else weight
    return Rows(np.tile(X, (T, 1)), Y.T.ravel(), np.repeat(np.arange(T), n)), np.tile(weight, T)


def strengths(model, T):
    """What the documentation says a model penalizes: alpha (T,), alpha_shared, alpha_intercept."""
    alpha = model.alpha
    if isinstance(alpha, dict):
        alpha = [alpha[t] for t in range(T)]
    alpha = np.broadcast_to(np.asarray(alpha, dtype=float), (T,))
    if isinstance(model, PooledClassifier):
        return np.full(T, np.inf), model.alpha, model.alpha_intercept
    if isinstance(model, SharedL2Classifier):
        return alpha, np.inf, 0.0
    return alpha, model.alpha_shared, model.alpha_intercept


class Reference:
    """The documented objective of a fitted model, from its attributes, in dense arrays.

    Its unknowns are W (T, K, d), levels (T, K), w (K, d) and c (K,), K = 1 for two classes. Tasks
    are numbered 0 to T - 1 in ``rows``; ``weight`` is the product of all weights.
    """

    def __init__(self, model, rows, weight=None):
        classes = np.asarray(model.classes_)
        classes = classes[0] if classes.ndim == 2 else classes  # the wide form
        self.T, self.d = rows.codes.max() + 1, rows.X.shape[1]
        self.K = 1 if len(classes) == 2 else len(classes)
        self.codes, self.y = rows.codes, np.searchsorted(classes, rows.y)
        self.weight = np.ones(len(self.y)) if weight is None else weight
        self.mean = np.average(rows.X, axis=0, weights=self.weight) * model.fit_intercept
        self.Z = rows.X - self.mean
        self.alpha, self.alpha_shared, self.alpha_intercept = strengths(model, self.T)
        self.fit_intercept = model.fit_intercept
        self.barred = np.zeros((self.T, self.K))
        if model.task_classes == "seen":
            seen = np.zeros((self.T, len(classes)), dtype=bool)
            seen[self.codes, self.y] = True
            if self.K == 1:
                self.barred[:, 0] = np.select([~seen[:, 0], ~seen[:, 1]], [np.inf, -np.inf], 0.0)
            else:
                self.barred[~seen] = -np.inf

    def parts(self, model):
        """Return W, levels, w and c of a fitted model, what is held in its place checked."""
        W = model.coef_.reshape(self.T, self.K, self.d)
        level = model.intercept_.reshape(self.T, self.K) + W @ self.mean
        w, c = np.zeros((self.K, self.d)), np.zeros(self.K)
        if hasattr(model, "shared_coef_"):
            w = model.shared_coef_.reshape(self.K, self.d)
            c = np.reshape(model.shared_intercept_, self.K) + w @ self.mean
        held = [W[np.isinf(self.alpha)] - w]
        held += [w] if np.isinf(self.alpha_shared) else []
        held += [level - c] if np.isinf(self.alpha_intercept) or not self.fit_intercept else []
        held += [] if self.fit_intercept else [model.intercept_]
        for part in held:
            np.testing.assert_allclose(part, 0, atol=1e-13 * max(1, np.abs(level).max()))
        return W, level, w, c

    def _predict(self, W, level):
        z = np.einsum("ij,ikj->ik", self.Z, W[self.codes])
        return z + (level + self.barred)[self.codes]

    def _penalties(self):
        """Strengths of W - w, levels - c and w, where they are not infinite."""
        parts = self.alpha[:, None, None], self.alpha_intercept, self.alpha_shared
        return [np.where(np.isinf(part), 0.0, part) for part in parts]

    def value(self, W, level, w, c):
        z = self._predict(W, level)
        if self.K == 1:
            loss = np.logaddexp(0.0, np.where(self.y == 1, -1.0, 1.0) * z[:, 0])
        else:
            loss = logsumexp(z, axis=1) - z[np.arange(len(z)), self.y]
        parts = zip(self._penalties(), (W - w, level - c, w), strict=True)
        return self.weight @ loss + 0.5 * sum(np.sum(a * part**2) for a, part in parts)

    def derivative(self, W, level):
        """Return the derivative of each row's loss in its predictions, (n, K)."""
        z = self._predict(W, level)
        if self.K == 1:
            sign = np.where(self.y == 1, 1.0, -1.0)[:, None]
            return -sign * expit(-sign * z)
        return softmax(z, axis=1) - np.eye(self.K)[self.y]

    def gradient(self, W, level, w, c):
        """Return the gradient in W - w, levels - c, w and c; zero where a part is held."""
        g = self.weight[:, None] * self.derivative(W, level)
        E = np.eye(self.T)[self.codes]
        G, R = np.einsum("it,ik,ij->tkj", E, g, self.Z), E.T @ g
        alpha, alpha_intercept, alpha_shared = self._penalties()
        free = np.isfinite(self.alpha)[:, None, None]
        levels = np.isfinite(self.alpha_intercept) and self.fit_intercept
        return (
            free * (G + alpha * (W - w)),
            levels * (R + alpha_intercept * (level - c)),
            np.isfinite(self.alpha_shared) * (G.sum(axis=0) + alpha_shared * w),
            self.fit_intercept * R.sum(axis=0),
        )

    def residual(self, *parts):
        """Return the largest entry of the gradient in its unit.

        That is the root of its curvature, at most 1/4 of the square norm plus the strength, times
        the norm of the derivatives. The tasks may follow the center: its unit adds theirs.
        """
        gradient = self.gradient(*parts)
        E = np.eye(self.T)[self.codes] * self.weight[:, None]
        squares = E.T @ (self.derivative(*parts[:2]) ** 2).sum(axis=1)
        alpha, alpha_intercept, alpha_shared = self._penalties()
        features, total = 0.25 * E.T @ self.Z**2, 0.25 * E.sum(axis=0)
        V = np.sqrt(squares[:, None] * (features + alpha[:, :, 0]))
        q = np.sqrt(squares * (total + alpha_intercept))
        w = np.sqrt(squares.sum() * (features.sum(axis=0) + alpha_shared))
        w = w + V[np.isfinite(self.alpha)].sum(axis=0)
        c = np.sqrt(squares.sum() * total.sum()) + q.sum() * np.isfinite(self.alpha_intercept)
        units = V[:, None], q[:, None], w, c
        return max(np.max(np.abs(g) / unit) for g, unit in zip(gradient, units, strict=True))


def assert_optimal(model, rows, weight=None):
    """Check objective, gradient and certificate of a fitted model against the reference."""
    reference = Reference(model, rows, weight)
    parts = reference.parts(model)
    np.testing.assert_allclose(model.objective_, reference.value(*parts), rtol=1e-12)
    # What the problem certifies, from another program; up to rounding of levels and sums.
    assert reference.residual(*parts) <= model.tol + 1e-12
    assert 0 <= model.optimality_ <= model.tol
    return reference
