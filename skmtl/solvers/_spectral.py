"""Quadratic models of a loss, in the eigenvectors of every task's block or matrix-free."""

from functools import cached_property

import numpy as np

from skmtl import _kernels
from skmtl._linalg import row_spectrum, stacked_eigh
from skmtl._memory import memory_limit
from skmtl._optimize import conjugate_gradients
from skmtl._threads import in_chunks
from skmtl.arrowhead import Groups
from skmtl.problem import Problem, class_curvature

_DENSE = 256


class SpectralModel:
    """Model ``1/2 A'HA - <P, A>`` in augmented coefficients A (T, d + 1), the intercept last.

    Every block is factored once, ``M^-1/2 H M^-1/2 = Q diag(e) Q'``, with at most one more
    eigenvector than the task has rows; ``H + rho M`` is then solved for any rho by two products.
    Tasks with equal rows share a factor.

    Parameters
    ----------
    data : TaskData
        Features, and the curvatures as weights.
    metric : ndarray of shape (T, d + 1) or (T, d)
        The diagonal M; (T, d) without intercepts.
    """

    _n_outputs = 1

    def __init__(self, data, metric):
        self._root, self._parts = np.sqrt(metric), []
        self._intercepts = np.arange(data.n_features, metric.shape[1])
        groups = Groups.of(data, np.zeros(data.n_tasks))
        n_columns = metric.shape[1]
        rows = data.block_sizes[groups.block] + 1
        kind = np.where(rows < n_columns, 2 ** np.ceil(np.log2(rows)), n_columns)
        for size in np.unique(kind):
            part, tasks = groups.select(kind == size)
            members = part.members()
            first = tasks[[own[0] for own in members]]
            factor = _full if size >= n_columns else _thin
            Q, e = factor(data, part, self._root[first])
            place = [tasks[own] for own in members]
            if len(members) == len(tasks):
                tasks, place = first, None
            self._parts.append((tasks, place, Q, e))

    def _flat(self, A):
        """Return coefficients (K, T, d + 1) with a row for each task, (T, D)."""
        return np.ascontiguousarray(A.swapaxes(0, 1)).reshape(len(self._root), -1)

    def _shaped(self, A):
        """Undo ``_flat``."""
        return np.ascontiguousarray(A.reshape(len(A), self._n_outputs, -1).swapaxes(0, 1))

    def _apply(self, A, function, rest):
        """Return ``(Q f(e) Q' + rest (I - QQ')) A`` for A (T, D)."""
        out = np.empty_like(A)
        for tasks, place, Q, e in self._parts:
            factor = function(e)
            full = Q.shape[1] == Q.shape[2]
            if place is None:
                own = A[tasks]
                inside = np.matmul(own[:, None, :], Q)
                inside *= (factor if full else factor - rest)[:, None]
                result = np.matmul(inside, Q.swapaxes(1, 2))[:, 0]
                out[tasks] = result if full else result + rest * own
                continue
            for own, Q_b, f in zip(place, Q, factor if full else factor - rest, strict=True):
                own = slice(None) if len(own) == len(A) else own
                result = ((A[own] @ Q_b) * f) @ Q_b.T
                out[own] = result if full else result + rest * A[own]
        return out

    def solve(self, right, rho, start=None, accuracy=None):
        """Return ``(H + rho M)^-1 right``, exactly; ``start`` and ``accuracy`` are ignored."""
        scaled = self._flat(right) / self._root
        solution = self._apply(scaled, lambda e: 1.0 / (e + rho), 1.0 / rho)
        return self._shaped(solution / self._root)

    def product(self, A):
        """Return ``H A``."""
        return self._shaped(self._root * self._apply(self._root * self._flat(A), _same, 0.0))

    def preconditioner(self, blocks, rho, damping):
        """Return an approximate inverse of ``H + rho M sum (I - J)``, J with these blocks.

        ``blocks`` holds, for each part and term, those of the coefficients and of the intercepts.
        """
        H = self._blocks
        if H is None:
            return lambda r: np.array([self.solve(part, rho) for part in r])
        M, D = self._root**2, self._root.shape[1]
        features, intercepts = np.setdiff1d(np.arange(D), self._intercepts), self._intercepts
        n_parts = len(blocks)
        K = np.tile(H, (1, n_parts, n_parts))
        for j, part in enumerate(blocks):
            own = K[:, j * D : (j + 1) * D, j * D : (j + 1) * D]
            for J, intercept in part:
                if J.ndim == 2:
                    own[:, features, features] += rho * M[:, features] * (1.0 - J)
                else:
                    rest = rho * M[:, features, None] * (np.eye(len(features)) - J)
                    own[:, features[:, None], features] += rest
                if intercepts.size:
                    own[:, intercepts, intercepts] += rho * M[:, intercepts] * (1.0 - intercept)
        np.einsum("tii->ti", K)[:] += np.tile(rho * damping * M, (1, n_parts))
        solve = _solver(K)

        def condition(r):
            flat = np.concatenate([self._flat(part) for part in r], axis=1)
            return np.array([self._shaped(x) for x in np.split(solve(flat), n_parts, axis=1)])

        return condition

    @cached_property
    def _blocks(self):
        """H (T, D, D), or None if tasks share factors or D is large."""
        T, D = self._root.shape
        if any(place is not None for _, place, _, _ in self._parts) or D > _DENSE:
            return None
        H = np.empty((T, D, D))
        for tasks, _, Q, e in self._parts:
            H[tasks] = np.matmul(Q * e[:, None, :], Q.swapaxes(1, 2))
        return H * self._root[:, :, None] * self._root[:, None, :]


class JointModel(SpectralModel):
    """Model K predictions per row: A is (K, T, d + 1), and each block holds all classes.

    Parameters
    ----------
    data : LongData
    metric : ndarray of shape (T, d + 1) or (T, d), or with an axis of the K classes in front
    probabilities : ndarray of shape (K, n)
    """

    def __init__(self, data, metric, probabilities):
        (T, D), K = metric.shape[-2:], len(probabilities)
        self._n_outputs = K
        metric = np.broadcast_to(metric, (K, T, D))
        self._root = np.sqrt(metric.swapaxes(0, 1).reshape(T, K * D))
        self._intercepts = (D * np.arange(K)[:, None] + np.arange(data.n_features, D)).ravel()
        H = class_curvature(data, probabilities, intercept=data.n_features < D)
        self._parts = [(np.arange(T), None, *_eigen(H, self._root))]


def _same(e):
    return e


def _solver(K):
    """Return a function that solves with the blocks K (T, D, D), for each row of (T, D)."""
    scale = 1.0 / np.sqrt(np.einsum("tii->ti", K))
    K = K * scale[:, :, None] * scale[:, None, :]
    n_tasks, D, _ = K.shape
    U, zeros, failed = np.empty_like(K), np.zeros((n_tasks, D)), np.empty(n_tasks, dtype=bool)
    in_chunks(
        lambda first, last: _kernels.factor_blocks(
            K, zeros, zeros, np.full(n_tasks, 1e-12), 0.0, U, failed, first, last
        ),
        n_tasks,
        n_tasks * D**3 // 3,
    )
    U[failed] = np.eye(D)
    order = np.arange(n_tasks)

    def solve(r):
        r = scale * r
        in_chunks(
            lambda first, last: _kernels.solve_blocks(U, order, r, first, last), n_tasks, 4 * U.size
        )
        return scale * r

    return solve


def _full(data, groups, root):
    """Return the eigenvectors (B, D, D) and eigenvalues (B, D) of whole blocks."""
    A = _gram(data, groups.block, root.shape[1])
    A *= groups.scale[:, None, None]
    return _eigen(A, root)


def _gram(data, blocks, n_columns):
    """Return the Gram of each block, with a column of ones if D = d + 1, (B, D, D)."""
    return data.moments(blocks).gram(intercept=n_columns > data.n_features)


def _eigen(A, root):
    """Return the eigenvectors and eigenvalues of blocks A (B, D, D), scaled by 1 / root."""
    A /= root[:, :, None]
    A /= root[:, None, :]
    values, Q = stacked_eigh(A)
    return Q, values


def _thin(data, groups, root):
    """Return the eigenvectors (B, D, r), eigenvalues (B, r) of blocks of rank at most r."""
    parts = zip(groups.block, groups.scale, root, strict=True)
    blocks = [_few_rows(data, *part) for part in parts]
    rank = max(len(e) for _, e in blocks)
    Q = np.zeros((len(blocks), root.shape[1], rank))
    values = np.zeros((len(blocks), rank))
    for g, (vectors, e) in enumerate(blocks):
        Q[g, :, : len(e)], values[g, : len(e)] = vectors, e
    return Q, values


def _few_rows(data, block, scale, root):
    rows, mean, total = data.block_rows(block)
    A = np.zeros((len(rows) + 1, len(root)))
    A[:-1, : rows.shape[1]] = rows
    A[-1, : rows.shape[1]] = np.sqrt(total) * mean
    if len(root) > rows.shape[1]:
        A[-1, -1] = np.sqrt(total)
    A *= np.sqrt(scale) / root
    values, vectors = row_spectrum(A)
    return A.T @ (vectors / np.sqrt(values)), values


class MatrixFreeModel:
    """The same model by products of X and vectors, where blocks do not fit into memory.

    Parameters
    ----------
    problem : Problem
    derivative : ndarray or None
        That of the `LossSums` at which the curvature is evaluated.
    metric : ndarray of shape (T, d + 1) or (T, d)
    """

    _MAX_ITER = 1000

    def __init__(self, problem, derivative, metric):
        self._problem, self._derivative, self._root = problem, derivative, np.sqrt(metric)

    def preconditioner(self, blocks, rho, damping):
        """Return the scaled inverse of the metric, a function."""
        return lambda r: r / ((1.0 + rho) * self._root**2)

    def product(self, A):
        """Return ``H A``, A (..., T, d + 1)."""
        d = self._problem.data.n_features
        intercept = A[..., d] if A.shape[-1] > d else np.zeros(A.shape[:-1])
        G, R = self._problem.data.curvature_product(
            self._problem.loss, self._derivative, np.ascontiguousarray(A[..., :d]), intercept
        )
        return np.concatenate([G, R[..., None]], axis=-1) if A.shape[-1] > d else G

    def solve(self, right, rho, start, accuracy):
        """Return ``(H + rho M)^-1 right`` by CG from ``start``, to a relative accuracy."""
        x, _ = conjugate_gradients(
            lambda x: self.product(x / self._root) / self._root + rho * x,
            right / self._root,
            start=start * self._root,
            rtol=max(accuracy, 1e-15),
            maxiter=self._MAX_ITER,
        )
        return x / self._root


class PartsModel:
    """The models of parts of the data, each of some rows of the coefficients.

    Parameters
    ----------
    models : list of SpectralModel or MatrixFreeModel
    places : list of ndarray of shape (K, t)
        Rows of the coefficients of each part, as of ``MixedData``.
    """

    def __init__(self, models, places):
        self._pairs = list(zip(models, places, strict=True))

    def solve(self, right, rho, start, accuracy):
        """Return ``(H + rho M)^-1 right``, to a relative accuracy where a part needs it."""
        out = np.empty_like(right)
        for model, place in self._pairs:
            out[0, place] = model.solve(right[0, place], rho, start[0, place], accuracy)
        return out

    def product(self, A):
        """Return ``H A``."""
        out = np.empty_like(A)
        for model, place in self._pairs:
            out[0, place] = model.product(A[0, place])
        return out

    def preconditioner(self, blocks, rho, damping):
        """Return an approximate inverse of ``H + rho M sum (I - J)``, J with these blocks."""
        pairs = [
            (model.preconditioner(_of_rows(blocks, place), rho, damping), place)
            for model, place in self._pairs
        ]

        def condition(r):
            out = np.empty_like(r)
            for solve, place in pairs:
                out[:, 0, place] = solve(r[:, 0, place])
            return out

        return condition


def _of_rows(blocks, place):
    """Return what blocks have for tasks whose K rows of the coefficients are at a place (K, t)."""
    return [
        [(_side_by_side(J[place]), _side_by_side(q[place])) for J, q in part] for part in blocks
    ]


def _side_by_side(J):
    """Return blocks (K, t, d) or (K, t, d, d) as (t, Kd) or, block-diagonal, (t, Kd, Kd)."""
    K, t, d = J.shape[:3]
    if J.ndim == 3:
        return J.swapaxes(0, 1).reshape(t, K * d)
    whole = np.zeros((t, K, d, K, d))
    for k in range(K):
        whole[:, k, :, k] = J[k]
    return whole.reshape(t, K * d, K * d)


def quadratic_model(problem, derivative, metric):
    """Return the model of a problem's loss, in eigenvectors if they fit into memory.

    ``derivative`` is that of the `LossSums` at which the curvature is evaluated, or None.
    """
    data, loss, n_columns = problem.data, problem.loss, metric.shape[-1]
    if loss.separable:
        data = problem.curved(derivative)
        groups = Groups.of(data, np.zeros(data.n_tasks))
        rows = data.block_sizes[groups.block] + 1.0
        if 16 * n_columns * np.minimum(2 * rows, n_columns).sum() <= memory_limit():
            return SpectralModel(data, metric)
    elif loss.n_outputs > 1:
        size = loss.n_outputs * n_columns
        if size <= _DENSE and 48 * data.n_tasks * size**2 <= memory_limit():
            return JointModel(data, metric, loss.probabilities(data.y, derivative))
    else:
        models = []
        parts = zip(data.parts, loss.losses, derivative, loss.places, strict=True)
        for part, own, slope, place in parts:
            rows = metric[place] if own.n_outputs > 1 else metric[place[0]]
            models.append(quadratic_model(Problem(part, own, problem.penalty), slope, rows))
        return PartsModel(models, loss.places)
    return MatrixFreeModel(problem, derivative, metric)
