"""The documented objectives written a second time: dense, in all unknowns at once."""

import numpy as np
from numpy.testing import assert_allclose
from scipy.special import expit, logsumexp, softmax
from sklearn.base import is_classifier

from skmtl import (
    MeanRegularizedClassifier,
    PooledClassifier,
    PooledRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
)


def row_losses(z, y, K):
    """Return value (n,), derivative (k, n) and curvature (k, k, n) of each row's loss.

    z is (k, n) with k = K for more than two classes and k = 1 else; K is None for a target.
    """
    if K is None:
        return 0.5 * (z[0] - y) ** 2, z - y, np.ones((1, *z.shape))
    if K == 2:
        sign = np.where(y == 1, 1.0, -1.0)
        value, slope = np.logaddexp(0.0, -sign * z[0]), -sign * expit(-sign * z)
        return value, slope, (np.abs(slope) * (1 - np.abs(slope)))[None]
    p, each = softmax(z, axis=0), np.eye(K)
    value = logsumexp(z, axis=0) - z[y, np.arange(len(y))]
    return value, p - each[:, y], each[:, :, None] * p - p * p[:, None]


class Objective:
    """``sum_i weight_i loss(y_i, A theta' + offset) + 1/2 sum_k theta_k' P theta_k``.

    theta is (k, p), of which A is (n, p), P (p, p) and the offset (k, n).
    """

    def __init__(self, A, P, y, weight, K, offset=0.0):
        self.A, self.P, self.y, self.weight, self.K = A, P, y, weight, K
        self.offset = offset

    @property
    def k(self):
        return self.K if self.K and self.K > 2 else 1

    def losses(self, theta):
        return row_losses(theta @ self.A.T + self.offset, self.y, self.K)

    def value(self, theta):
        return self.weight @ self.losses(theta)[0] + 0.5 * np.vdot(theta, theta @ self.P)

    def gradient(self, theta):
        return (self.weight * self.losses(theta)[1]) @ self.A + theta @ self.P

    def hessian(self, theta):
        """Return the second derivative in the raveled theta."""
        curvature = self.weight * self.losses(theta)[2]
        H = np.einsum("abi,ip,iq->apbq", curvature, self.A, self.A, optimize=True)
        H += np.einsum("ab,pq->apbq", np.eye(self.k), self.P)
        return H.reshape(theta.size, -1)

    def solve(self):
        """Return the theta of least norm that minimizes the objective."""
        if self.K is None:
            return self._least_squares()[None]
        theta = np.zeros((self.k, self.A.shape[1]))
        for _ in range(60):
            value, gradient = self.value(theta), self.gradient(theta)
            H = self.hessian(theta)
            step = np.linalg.lstsq(H, gradient.ravel(), rcond=1e-13)[0].reshape(theta.shape)
            while self.value(theta - step) > value * (1 + 1e-12):
                step *= 0.5
            theta = theta - step
            if np.abs(step).max() <= 1e-12 * np.abs(theta).max():
                break
        return theta

    def system(self):
        """Return rows whose squared product with theta is twice a quadratic objective at y = 0."""
        values, vectors = np.linalg.eigh(self.P)
        penalty = np.sqrt(values.clip(0.0))[:, None] * vectors.T
        return np.vstack([np.sqrt(self.weight)[:, None] * self.A, penalty])

    def _least_squares(self):
        root, system = np.sqrt(self.weight), self.system()
        target = root * (self.y - np.broadcast_to(self.offset, (1, len(self.y)))[0])
        target = np.concatenate([target, np.zeros(len(system) - len(target))])
        return np.linalg.lstsq(system, target, rcond=None)[0]


def penalty_weights(model, T):
    """Return alpha (T,), alpha_shared and alpha_intercept as documented for a model."""
    alpha = model.alpha
    if isinstance(alpha, dict):
        alpha = [alpha[t] for t in range(T)]
    alpha = np.broadcast_to(np.asarray(alpha, dtype=float), (T,))
    if isinstance(model, PooledRegressor | PooledClassifier):
        return np.full(T, np.inf), model.alpha, model.alpha_intercept
    if isinstance(model, SharedL2Regressor | SharedL2Classifier):
        return alpha, np.inf, 0.0
    intercept = 1.0 if model.alpha_intercept is None else model.alpha_intercept
    shared = model.alpha_shared
    if shared is None:
        shared = 1e-3 if isinstance(model, MeanRegularizedClassifier) else 0.0
    return alpha, shared, intercept


def center_of(X, weight):
    """Return the mean of X, about its first row so that constant columns become exact zeros."""
    return X[0] + np.average(X - X[0], axis=0, weights=weight)


class Dense(Objective):
    """The objective of a model with a center, theta_k = (w, c, V, q).

    Row i of A is ``[x, 1, x (x) e_t, e_t]`` at centered x, without the columns of an infinite
    penalty weight: ``full`` puts zeros there. Tasks are 0 to T - 1, classes those of the fitted
    model; ``weight`` is the product of all weights.
    """

    def __init__(self, model, rows, weight=None):
        (n, d), T = rows.X.shape, rows.codes.max() + 1
        weight = np.ones(n) if weight is None else weight
        self.T, self.d, self.codes, self.fit_intercept = T, d, rows.codes, model.fit_intercept
        y, K = rows.y, None
        if is_classifier(model):
            classes = np.asarray(model.classes_)
            classes = classes[0] if classes.ndim == 2 else classes  # the wide form
            K, y = len(classes), np.searchsorted(classes, y)
        self.mean = center_of(rows.X, weight) if model.fit_intercept else np.zeros(d)
        Z, E = rows.X - self.mean, np.eye(T)[rows.codes]
        own = (E[:, :, None] * Z[:, None, :]).reshape(n, T * d)
        A = np.hstack([Z, np.ones((n, 1)), own, E])
        self.alphas = penalty_weights(model, T)
        alpha, alpha_shared, alpha_intercept = self.alphas
        c, q = (0.0, alpha_intercept) if model.fit_intercept else (np.inf, np.inf)
        P = np.concatenate([np.full(d, alpha_shared), [c], np.repeat(alpha, d), np.full(T, q)])
        self.free = np.isfinite(P)
        super().__init__(A[:, self.free], np.diag(P[self.free]), y, weight, K)
        self.Z = Z
        if K is not None and model.task_classes == "seen":
            self.offset = self._class_mask()[:, rows.codes]

    def _class_mask(self):
        """Return (k, T): infinite where a task lacks a class."""
        seen = np.zeros((self.T, self.K), dtype=bool)
        seen[self.codes, self.y] = True
        if self.K == 2:
            return np.select([~seen[:, 0], ~seen[:, 1]], [np.inf, -np.inf], 0.0)[None]
        return np.where(seen, 0.0, -np.inf).T

    def full(self, theta):
        found = np.zeros((self.k, len(self.free)))
        found[:, self.free] = theta
        return found

    def theta(self, model):
        """Return the theta of a fitted model; without a center, deviations are from zero."""
        k, T, d = self.k, self.T, self.d
        W, b = model.coef_.reshape(T, k, d), model.intercept_.reshape(T, k)
        w = np.reshape(getattr(model, "shared_coef_", np.zeros((k, d))), (k, d))
        c = np.reshape(getattr(model, "shared_intercept_", np.zeros(k)), k) + w @ self.mean
        V, q = np.swapaxes(W - w, 0, 1), (b + W @ self.mean - c).T
        theta = np.hstack([w, c[:, None], V.reshape(k, -1), q])
        size = np.abs(self.y).max() if self.K is None else 0.1 * max(1, np.abs(q.T + c).max())
        assert_allclose(theta[:, ~self.free], 0, atol=1e-12 * size)
        if not self.fit_intercept:
            assert_allclose(b, 0, atol=1e-12 * size)
        return theta[:, self.free]

    def unpack(self, theta):
        """Return W, b and the center's w and b, in the shapes of a model."""
        T, d = self.T, self.d
        w, c, V, q = np.split(self.full(theta), [d, d + 1, d + 1 + T * d], axis=1)
        W = w + V.reshape(-1, T, d).swapaxes(0, 1)
        b, b_shared = (c + q).T - W @ self.mean, c[:, 0] - w @ self.mean
        if self.k == 1:
            return W[:, 0], b[:, 0], w[0], float(b_shared[0])
        return W, b, w, b_shared

    def rounding_unit(self, theta):
        """Return the size of each entry of the gradient, of which rounding is some 1e-16."""
        T, d = self.T, self.d
        size = np.abs(self.full(theta)[:, : d + 1])  # deviations are differences of such numbers
        size = np.hstack([size, np.tile(size[:, :d], T), np.repeat(size[:, d:], T, axis=1)])
        loss = (self.weight * np.abs(self.y)) @ np.abs(self.A)
        return loss + size[:, self.free] @ self.P + 1e-300

    def residual(self, theta):
        """Return the largest entry of the gradient in its unit.

        That is the root of its curvature, at most that of the loss times the square norm plus the
        penalty weight, times the norm of the derivatives. The tasks may follow the center: its unit
        adds theirs.
        """
        E = np.eye(self.T)[self.codes] * self.weight[:, None]
        squares = E.T @ (self.losses(theta)[1] ** 2).sum(axis=0)
        bound = 1.0 if self.K is None else 0.25
        alpha, alpha_shared, alpha_intercept = (
            np.where(np.isinf(part), 0.0, part) for part in self.alphas
        )
        features, total = bound * E.T @ self.Z**2, bound * E.sum(axis=0)
        V = np.sqrt(squares[:, None] * (features + alpha[:, None]))
        q = np.sqrt(squares * (total + alpha_intercept))
        w = np.sqrt(squares.sum() * (features.sum(axis=0) + alpha_shared))
        w = w + V[np.isfinite(self.alphas[0])].sum(axis=0)
        c = np.sqrt(squares.sum() * total.sum()) + q.sum() * np.isfinite(self.alphas[2])
        units = np.concatenate([w, [c], V.ravel(), q])[self.free]
        return np.max(np.abs(self.gradient(theta)) / units)


def assert_optimal(model, rows, weight=None):
    """Check objective, gradient and certificate of a fitted model; return the dense objective."""
    dense = Dense(model, rows, weight)
    theta = dense.theta(model)
    assert_allclose(model.objective_, dense.value(theta), rtol=1e-12)
    # What the problem certifies, from another program; up to rounding of intercepts and sums.
    assert dense.residual(theta) <= model.tol + 1e-12
    if dense.K is None:
        assert (np.abs(dense.gradient(theta)) <= 1e-12 * dense.rounding_unit(theta)).all()
    assert 0 <= model.optimality_ <= model.tol
    return dense


class GraphDense(Objective):
    """The objective of a model along a graph with adjacency S (N, N): theta_k is W, b by node."""

    def __init__(
        self,
        rows,
        S,
        alpha=1.5,
        alpha_shared=0.3,
        alpha_intercept=1.0,
        fit_intercept=True,
        weight=None,
    ):
        (n, d), N = rows.X.shape, len(S)
        weight = np.ones(n) if weight is None else weight
        self.shape = N, d, fit_intercept
        self.mean = np.average(rows.X, axis=0, weights=weight) * fit_intercept
        Z, slope = rows.X - self.mean, np.ones(d)
        if fit_intercept:
            Z, slope = np.column_stack([Z, np.ones(n)]), np.append(slope, 0.0)
        A = np.einsum("it,ij->itj", np.eye(N)[rows.codes], Z).reshape(n, -1)
        L = np.diag(S.sum(axis=0)) - S
        P = np.kron(alpha * L + alpha_shared * np.eye(N), np.diag(slope))
        P += np.kron(alpha_intercept * L, np.diag(1.0 - slope))
        K = None if rows.y.dtype.kind == "f" else rows.y.max() + 1
        super().__init__(A, P, rows.y, weight, K)

    def unpack(self, theta):
        """Return coef and intercept of all nodes, in the shapes of a model."""
        N, d, fit_intercept = self.shape
        parts = theta.reshape(len(theta), N, -1).swapaxes(0, 1)
        W = parts[..., :d]
        b = (parts[..., d] if fit_intercept else 0.0) - W @ self.mean
        return (W[:, 0], b[:, 0]) if len(theta) == 1 else (W, b)

    def check(self, fitted, nodes=None, rtol=1e-7):
        """Check a model's coefficients, intercepts and objective; nodes by label."""
        order = [nodes[label] for label in fitted.tasks_.tolist()] if nodes else slice(None)
        theta = self.solve()
        W, b = self.unpack(theta)
        found = fitted.intercept_
        if found.ndim == 2:  # the same in all classes changes nothing
            b, found = (part - part.mean(axis=1, keepdims=True) for part in (b, found))
        assert_allclose(fitted.coef_, W[order], rtol=0, atol=rtol * np.abs(W).max())
        assert_allclose(found, b[order], rtol=0, atol=rtol * np.abs(b).max())
        assert_allclose(fitted.objective_, self.value(theta), rtol=1e-10, atol=1e-12)
        assert 0 <= fitted.optimality_ <= fitted.tol
