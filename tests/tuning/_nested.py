"""Tasks in groups, drawn at random, and dense likelihoods of these."""

import numpy as np

from tests._dense import Objective

# Of each store its region, and of each region its country; those of classes are smaller
TWO = (np.repeat(np.arange(5), (3, 2, 4, 3, 5)),)
THREE = (np.repeat(np.arange(8), (2, 2, 1, 3, 2, 2, 3, 2)), np.array([0, 0, 1, 1, 2, 2, 3, 3]))
TWO_CLASSES = (np.repeat(np.arange(4), (3, 2, 1, 3)),)
THREE_CLASSES = (np.repeat(np.arange(6), (2, 1, 2, 2, 1, 2)), np.array([0, 0, 1, 1, 1, 2]))


def draw(parents, seed, *, d=2, rows=(4, 9), deviations=(0.3, 1.0)):
    """Return X (n, d), y and the labels of all columns (n, L), from the outside in."""
    X, z, labels, rng = _drawn(parents, seed, (), d, rows, deviations)
    return X, z + rng.normal(size=z.shape), labels


def draw_classes(parents, K, seed, *, d=2, rows=(4, 12), deviations=(0.3, 1.0)):
    """Return the same with classes y."""
    X, z, labels, rng = _drawn(parents, seed, (K,), d, rows, deviations)
    return X, (z + rng.gumbel(size=z.shape)).argmax(axis=1), labels


def _drawn(parents, seed, outputs, d, rows, deviations):
    """Return X, predictions (n, *outputs), the labels and the generator."""
    rng = np.random.default_rng(seed)
    n = rng.integers(*rows, size=len(parents[0]))
    levels = [np.repeat(np.arange(len(n)), n)]
    for parent in parents:
        levels.append(parent[levels[-1]])
    X, W = rng.normal(size=(n.sum(), d)) + 1, 0.0
    for codes in levels:
        deviation = rng.normal(size=(codes.max() + 1, *outputs, d + 1)) * rng.choice(deviations)
        W = W + deviation[codes]
    z = np.einsum("i...j,ij->i...", W[..., :-1], X) + W[..., -1]
    return X, z, np.column_stack(levels[::-1]), rng


def dense(X, y, labels, covariances, shared):
    """Return -2 l and the variance of the noise; covariances (in its units) from the outside in."""
    X = X - X.mean(axis=0)
    X1 = np.column_stack([X, np.ones(len(X))])
    V, flat = np.eye(len(y)), X1
    for codes, covariance in zip(labels.T, covariances, strict=True):
        V += (codes[:, None] == codes) * (X1 @ covariance @ X1.T)
    if shared > 0:
        V, flat = V + X @ X.T / shared, X1[:, -1:]
    right = np.linalg.solve(V, np.column_stack([flat, y]))
    information = flat.T @ right[:, :-1]
    beta = np.linalg.solve(information, flat.T @ right[:, -1])
    freedom = len(y) - flat.shape[1]
    sigma2 = (y - flat @ beta) @ (right[:, -1] - right[:, :-1] @ beta) / freedom
    log_det = np.linalg.slogdet(V)[1] + np.linalg.slogdet(information)[1]
    return freedom * (1 + np.log(2 * np.pi * sigma2)) + log_det, sigma2


class DenseEvidence:
    """Minus twice the log evidence of indicator columns of all nodes, by its definition.

    ``variances`` (L, d + 1), of slopes and intercepts, go from the outside in.
    """

    def __init__(self, X, y, labels, K, weight=None):
        weight = np.ones(len(y)) if weight is None else weight
        X1 = np.column_stack([X - np.average(X, axis=0, weights=weight), np.ones(len(X))])
        indicators = [np.ones((len(X), 1)), *(np.eye(codes.max() + 1)[codes] for codes in labels.T)]
        self.A = np.hstack([(E[:, :, None] * X1[:, None]).reshape(len(X), -1) for E in indicators])
        self.sizes = [E.shape[1] for E in indicators[1:]]
        self.given, self.d, self.K = (y, weight, K), X.shape[1], K

    def objective(self, variances, shared):
        with np.errstate(divide="ignore"):
            each = [np.tile(1 / own, n) for own, n in zip(variances, self.sizes, strict=True)]
        P = np.concatenate([np.full(self.d, shared), [0.0], *each])
        free = np.isfinite(P)
        y, weight, K = self.given
        return Objective(self.A[:, free], np.diag(P[free]), y, weight, K)

    def __call__(self, variances, shared):
        objective = self.objective(variances, shared)
        theta, P = objective.solve(), np.diag(objective.P)
        H, P = objective.hessian(theta), np.tile(P, len(theta))
        # What is flat in all classes is identified but for a common value: that of the last is 0.
        kept = np.ones((len(theta), len(objective.P)), dtype=bool)
        if self.K > 2:
            kept[-1] = np.diag(objective.P) > 0
        kept = kept.ravel()
        H, P = H[np.ix_(kept, kept)], P[kept]
        value = 2 * objective.value(theta) + np.linalg.slogdet(H)[1] - np.log(P[P > 0]).sum()
        return value - np.count_nonzero(P == 0) * np.log(2 * np.pi)
