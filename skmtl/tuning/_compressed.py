"""Random coefficients integrated out: the marginal likelihood of the rows of all tasks."""

from copy import copy
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from skmtl import _likelihood_kernels
from skmtl._linalg import row_spectrum
from skmtl._threads import in_chunks
from skmtl.arrowhead import Groups
from skmtl.data import SMALL
from skmtl.tuning._packs import Packs, edges_of

_EPS = np.finfo(np.float64).eps
_TINY, _FEW_BLOCKS = 12, 500  # more features and fewer blocks: eigenvectors pay
_CHUNK = 2**21  # numbers in the Gram matrices that are in memory at a time


class Marginal(NamedTuple):
    """Rows with independent noise: those of ``CompressedRows`` times ``V^-1/2``.

    Attributes
    ----------
    A, a : ndarray, as ``R`` and ``z``
    gram, right : ndarray of shape (d + 1, d + 1) and (d + 1,)
        ``X' V^-1 X`` and ``X' V^-1 y``.
    log_det : float
        ``log|V|``.
    """

    A: np.ndarray
    a: np.ndarray
    gram: np.ndarray
    right: np.ndarray
    log_det: float


class CompressedRows:
    """Weighted rows of each task, rotated to at most d + 1, where rows have independent noise.

    About their own mean, the rows of a task are rotated to a Cholesky factor of their Gram matrix
    or, if tasks are few and features many, to its eigenvectors, so that one variance of all slopes
    leaves them independent. Beside them there is the mean row ``sqrt(n) (delta, 1)``. Tasks with
    equal features and penalty weights form a block.

    With ``F F'`` the covariance of (v_t, q_t) in units of the noise, they have the covariance
    ``V = I + R F F' R'``; where alpha is a number, v_t is multiplied by ``1 / sqrt(alpha_t)``. What
    is a fixed effect of its task has no rows: intercepts with alpha_intercept = 0, slopes with
    alpha = 0.

    Parameters
    ----------
    data : TaskData
    penalty : MeanCoupling
    loss : Loss, optional
        The squared loss; without it, there are no targets.
    null : LossSums, optional
        Of coefficients of zero, where they are known.

    Attributes
    ----------
    data : TaskData
    R, z : ndarray of shape (rows, d + 1) and (targets,)
        Features and the constant, which is zero but in mean rows, and targets, task by task. Both
        may have a last axis of lanes, see ``Packs``.
    log_det : float
        ``log|V| + log|X' V^-1 X|`` of the fixed effects of tasks.
    n_flat : int
        Number of these.
    total : float
        Number of rows N, the sum of the weights.
    within, null : float
        Squares of the targets that no row explains, and of all targets.

    References
    ----------
    D. Bates, M. Maechler, B. Bolker, S. Walker (2015). Fitting linear mixed-effects models using
    lme4. Journal of Statistical Software 67. https://doi.org/10.18637/jss.v067.i01
    """

    def __init__(self, data, penalty, loss=None, null=None):
        self.data, d = data, data.n_features
        self._groups = groups = Groups.of(data, penalty.alpha)
        self._of_task = groups.of_task
        # without targets these are curvatures, for one covariance
        self._orthogonal = loss is not None and d > _TINY and len(groups.block) < _FEW_BLOCKS
        self._flat = groups.alpha == 0
        self._has_mean = has_mean = penalty.alpha_intercept > 0
        order = np.argsort(groups.of_task, kind="stable")
        size = np.where(self._flat, 0, np.minimum(data.block_sizes[groups.block] - 1, d)) + has_mean
        self._packs = packs = Packs(size, groups.size.astype(np.intp), d + 1)
        scale = 1.0 / np.sqrt(np.where(self._flat, np.inf, groups.alpha))
        self._totals, self.total = packs.of_tasks(data.totals[order]), data.totals.sum()
        self._scale, self.log_det, self.n_flat = packs.of_blocks(scale), 0.0, 0
        moments = self._moments(loss, null)
        self.R, self.z, *views = packs.zeros(d + 1)
        W, mean = self._fill(moments[order], *views)
        if not has_mean:
            self.n_flat += data.n_tasks
            self.log_det += np.log(data.totals).sum()
        if loss is not None:
            W[order] = W.copy()
            intercept = moments[:, d] - np.einsum("tj,tj->t", W, mean[groups.of_task])
            unexplained = data.loss_sums(loss, W[None], intercept[None]).squares
            self._unexplained, self.within = packs.of_tasks(unexplained[order]), unexplained.sum()

    @classmethod
    def of_classes(cls, data, H, penalty):
        """Return rows that have the curvature H (T, D, D) of the softmax loss.

        Their columns are the slopes of all classes and then the intercepts. All alpha are equal.
        """
        self, T, size = cls.__new__(cls), data.n_tasks, H.shape[1]
        K = size // (data.n_features + 1)
        self.log_det, self.n_flat = 0.0, 0
        if penalty.alpha_intercept == 0:
            H = self._fix_intercepts(H, size - K)
        ones, columns = np.ones(T, dtype=np.intp), np.zeros((T, size + 1))
        self._packs, self._has_mean, self._orthogonal = Packs(size * ones, ones, size), True, False
        self._scale, self._of_task = self._packs.of_blocks(np.ones(T)), np.arange(T)
        R, self.z, *views = self._packs.zeros(size + 1)
        given = H, columns, np.ones(T), np.arange(T), 64 * size * _EPS, columns[0], columns
        self._compress(given, np.arange(T + 1), np.zeros((T, size)), *views)
        self.data, self.R = data, np.ascontiguousarray(R[:, :-1])
        return self

    def _fix_intercepts(self, H, d):
        """Return the curvature H (T, m, m) without the columns from d on, which are fixed."""
        values, vectors = np.linalg.eigh(H[:, d:, d:])
        kept = values > 64 * values.shape[1] * _EPS * values.max(axis=1, keepdims=True)
        self.log_det += np.log(values[kept]).sum()
        self.n_flat += np.count_nonzero(kept)
        root = np.where(kept, 1.0 / np.sqrt(np.where(kept, values, 1.0)), 0.0)[:, None] * vectors
        across = H[:, :d, d:] @ root
        rest = np.zeros_like(H)
        rest[:, :d, :d] = H[:, :d, :d] - across @ across.swapaxes(1, 2)
        return rest

    def _moments(self, loss, null):
        """Return covariances of features and target, and last the mean target, (T, d + 1)."""
        data, moments = self.data, np.zeros((self.data.n_tasks, self.data.n_features + 1))
        if loss is not None:
            W = np.zeros((1, data.n_tasks, data.n_features))
            null = null or data.loss_sums(loss, W, np.zeros(W.shape[:2]))
            self.null = null.squares.sum()
            mean = -null.R / data.totals
            moments[:, :-1], moments[:, -1] = -data.loss_sums(loss, W, mean).G[0], mean[0]
        return moments

    def _fill(self, moments, R, z):
        """Write the rows; return the coefficients of the targets (T, d) and the means (B, d)."""
        data, groups, d = self.data, self._groups, self.data.n_features
        few = (data.block_sizes[groups.block] <= d) & (d > SMALL)
        few |= self._orthogonal
        W, mean = np.zeros((data.n_tasks, d)), np.empty((len(groups.block), d))
        edges, packs = edges_of(groups.size.astype(np.intp)), self._packs
        if self._has_mean:
            R[packs.rows[packs.pack + 1] - 1, d, packs.lane] = 1.0
        square = data.square_norms.sum(axis=0) / self.total
        many, step = np.flatnonzero(~few & ~self._flat), max(1, _CHUNK // (d * d + 1))
        for own in (many[first : first + step] for first in range(0, len(many), step)):
            H, mean[own], total = data.moments(groups.block[own])
            if (groups.scale[own] != 1).any():
                H, total = H * groups.scale[own, None, None], total * groups.scale[own]
            given = H, mean[own], total, own, 64 * d * _EPS, square, moments
            self._compress(given, edges, W, R, z)
        for b in np.flatnonzero(few | self._flat):
            tasks, p, lane = slice(*edges[b : b + 2]), packs.pack[b], packs.lane[b]
            first, end = packs.rows[p : p + 2]
            l, U, mean[b], total = _spectrum(data, groups.block[b])  # noqa: E741
            l, total = groups.scale[b] * l, groups.scale[b] * total  # noqa: E741
            own = moments[tasks, :d] @ U.T / np.sqrt(l)
            W[tasks] = own / np.sqrt(l) @ U
            if self._flat[b]:
                thin, target = self._fix_slopes(b, l, U, mean[b], total), W[tasks] @ mean[b]
                mean_row, target = np.append(np.zeros(d), thin), thin * (moments[tasks, d] - target)
            else:
                R[first : first + len(l), :d, lane] = np.sqrt(l)[:, None] * U
                mean_row = np.sqrt(total) * np.append(mean[b], 1.0)
                target = np.sqrt(total) * moments[tasks, d]
            start, size = packs.targets[p], end - first
            of_tasks = z[start : start + len(own) * size, lane].reshape(len(own), size)
            if not self._flat[b]:
                of_tasks[:, : len(l)] = own
            if self._has_mean:
                R[end - 1, :, lane], of_tasks[:, -1] = mean_row, target
        return W, mean

    def _compress(self, given, tasks, W, R, z):
        H = given[0]
        part = partial(_likelihood_kernels.compress, *given, tasks, self._packs.places, R, z, W)
        in_chunks(part, len(H), H.size * H.shape[1])

    def _fix_slopes(self, b, l, U, mean, total):  # noqa: E741
        """Count the slopes of a block as fixed; return the constant of the mean row given them."""
        count = self._groups.size[b]
        self.n_flat += count * len(l)
        self.log_det += count * np.log(l).sum()
        g = U @ mean
        rest = mean - g @ U
        if not self._has_mean:
            return 0.0
        if np.linalg.norm(rest) > 64 * len(mean) * _EPS * np.linalg.norm(mean):
            # the slopes fit the mean too
            self.n_flat += count
            self.log_det += count * np.log(total * (rest @ rest))
            return 0.0
        variance = 1.0 + total * (g**2 / l).sum()
        self.log_det += count * np.log(variance)
        return np.sqrt(total / variance)

    @property
    def n_blocks(self):
        """Number of blocks."""
        return len(self._packs.pack)

    def sample(self, n_blocks):
        """Return the rows of some of the blocks, evenly spaced.

        ``null``, ``log_det`` and ``n_blocks`` stay those of all.
        """
        packs = self._packs
        n_packs = -(-n_blocks * len(packs) // self.n_blocks)
        chosen = np.linspace(0, len(packs) - 1, n_packs).astype(np.intp)
        arrays = (packs.rows, self.R), (packs.targets, self.z), (packs.tasks, self._totals)
        taken = packs.take(chosen, *arrays, (packs.tasks, self._unexplained))
        other = copy(self)
        other._packs, other.R, other.z, other._totals, other._unexplained = taken
        other._scale = self._scale[chosen]
        other.within, other.total = other._unexplained.sum(), other._totals.sum()
        counts = map(np.count_nonzero, (other._totals, self._totals))
        other.n_flat = self.n_flat * next(counts) / next(counts)
        return other

    def products(self):
        """Return ``tr(A_i A_j)`` summed over tasks, of parts A_i of the covariance of the rows.

        Shape (d + 2, d + 2): the noise, the slopes of each feature and the intercepts. Where the
        matrix is singular, variances are not identified: the same combination of parts vanishes in
        every task.
        """
        norms, squares = self._gram_squares(self.R, self._scale)
        noise = self.total - (0 if self._has_mean else self.data.n_tasks)
        found = np.empty((len(norms) + 1, len(norms) + 1))
        found[0, 0], found[1:, 1:] = noise, squares
        found[0, 1:] = found[1:, 0] = norms
        return found

    def information(self, marginal):
        """Return ``sum_t S_t o S_t`` (d + 1, d + 1), with ``S_t = X_t' V_t^-1 X_t``."""
        return self._gram_squares(marginal.A, np.ones_like(self._scale))[1]

    def _gram_squares(self, R, scale):
        """Return the sum over tasks of the diagonals of R'R, (d + 1,), and of its squares."""
        D, packs = R.shape[1], self._packs

        def part(first, last):
            norms, squares = np.zeros(D), np.zeros((D, D))
            given = R, packs.rows, packs.tasks, scale, norms, squares
            packs.kernels.gram_squares(*given, first, last)
            return norms, squares

        norms, squares = map(sum, zip(*in_chunks(part, len(packs), self._work), strict=True))
        return norms, squares

    def at(self, F):
        """Return the ``Marginal`` with the covariance ``F F'``, F (d + 1, m)."""
        D, packs, A, a = self.R.shape[1], self._packs, np.empty_like(self.R), np.empty_like(self.z)
        entries = F.diagonal()
        diagonal = F.shape[1] == D and np.count_nonzero(F) == np.count_nonzero(entries)
        orthogonal = self._orthogonal and diagonal and bool((entries[:-1] == entries[0]).all())
        given = self.R, packs.rows, self.z, packs.targets, packs.tasks, self._scale
        given += F, diagonal, orthogonal

        def part(first, last):
            S, right = np.zeros((D, D)), np.zeros(D)
            log_det = packs.kernels.whiten(*given, A, a, S, right, first, last)
            return S, right, log_det

        parts = in_chunks(part, len(packs), self._work)
        S, right, log_det = map(sum, zip(*parts, strict=True))
        return Marginal(A, a, S, right, log_det + self.log_det)

    def task_grams(self, marginal):
        """Return the Gram matrices ``[A, a]'[A, a]`` of all tasks, (T, d + 2, d + 2).

        No two tasks share a block.
        """
        packs, size = self._packs, self.R.shape[1] + 1
        found = np.empty((self.data.n_tasks, size, size))
        given = marginal.A, packs.rows, marginal.a, packs.targets, self._task_of_place, found
        in_chunks(partial(packs.kernels.task_grams, *given), len(packs), self._work)
        return found

    @cached_property
    def _task_of_place(self):
        """The task of each place in the packs, -1 where there is none."""
        number = 1.0 + np.argsort(self._of_task, kind="stable")
        return self._packs.of_blocks(number).astype(np.intp) - 1

    @property
    def _work(self):
        return self.R.size * self.R.shape[1]

    def residuals(self, marginal, beta):
        """Return ``a - A beta`` and the sum of squares, that of ``within`` included."""
        e, packs = np.empty_like(marginal.a), self._packs
        given = marginal.A, packs.rows, marginal.a, packs.targets, beta, e
        part = partial(packs.kernels.residual_squares, *given)
        parts = in_chunks(part, len(packs), self.R.size)
        return e, self.within + sum(parts)

    def slopes(self, marginal, e, root, precision, *, diagonal):
        """Return G (D, D): a change dL of the covariance changes -2 l by tr(G dL).

        ``root`` (D, p) is a factor of the covariance of the center, ``precision`` 1 / sigma2. With
        ``diagonal``, only the diagonal is computed.
        """
        D, packs = len(marginal.gram), self._packs
        given = marginal.A, packs.rows, e, packs.targets, packs.tasks, root, precision, diagonal

        def part(first, last):
            G = np.zeros((D, D))
            packs.kernels.covariance_slopes(*given, G, first, last)
            return G

        return marginal.gram + sum(in_chunks(part, len(packs), 3 * self._work))


def _spectrum(data, block):
    """Return nonzero eigenvalues (r,) and eigenvectors (r, d) of a block, its mean and weight."""
    rows, mean, total = data.block_rows(block)
    if len(rows) <= rows.shape[1]:
        values, vectors = row_spectrum(rows)
        kept = values > 0  # rows that are all zero
        return values[kept], vectors[:, kept].T @ rows / np.sqrt(values[kept])[:, None], mean, total
    values, vectors = np.linalg.eigh(rows.T @ rows)
    kept = values > 8 * len(values) * _EPS * values[-1]
    return values[kept], vectors[:, kept].T, mean, total
