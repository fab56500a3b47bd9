"""Random coefficients of tasks in groups integrated out, from the tasks outwards."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import block_diag

from skmtl.data import gram_roots
from skmtl.penalties import sums_of_members
from skmtl.tuning._compressed import CompressedRows
from skmtl.tuning._nested_posterior import NestedPosterior


class NestedMarginal(NamedTuple):
    """Rows with independent noise at each level; see ``Marginal``.

    Attributes
    ----------
    rows : list of ndarray of shape (B, r, d + 2)
        Features, constant and, last, target of the nodes of each level but the tasks.
    grams : list of ndarray of shape (B, d + 2, d + 2)
        Gram matrices of these of all levels.
    gram, right, log_det
        As of ``Marginal``.
    covariances : list of ndarray of shape (d + 1, d + 1)
        Of the deviations of each level, in units of the noise.
    """

    rows: list
    grams: list
    gram: np.ndarray
    right: np.ndarray
    log_det: float
    covariances: list


class NestedRows:
    """What ``CompressedRows`` are for tasks in groups.

    Given the covariance of the deviations of the tasks, the rows of all tasks of a group are again
    rows with independent noise, which only the deviations of groups correlate: they are compressed
    to d + 2 by a root of their Gram matrix with the targets, and so on outwards. Covariances of all
    levels are one block-diagonal matrix, that of the tasks first.

    Parameters
    ----------
    data : TaskData
    penalty : NestedCoupling
    loss : SquaredLoss, optional
    null : LossSums, optional
        As of ``CompressedRows``.
    """

    def __init__(self, data, penalty, loss=None, null=None):
        self._begin(CompressedRows(data, penalty.inner, loss, null), penalty)
        self.total = self._inner.total
        if loss is not None:
            self.null, self.within = self._inner.null, self._inner.within

    @classmethod
    def of_classes(cls, data, H, penalty):
        """Return rows that have the curvature H (T, D, D); see the other class."""
        self = cls.__new__(cls)
        self._begin(CompressedRows.of_classes(data, H, penalty.inner), penalty)
        return self

    def _begin(self, inner, penalty):
        self._inner, self._parents = inner, penalty.nesting.parents
        self.data, self._size = inner.data, inner.R.shape[1]
        self.n_flat, self.n_blocks = inner.n_flat, inner.n_blocks

    def _blocks(self, F):
        """Return the blocks of a block-diagonal matrix, one for each level."""
        size, n_levels = self._size, len(self._parents) + 1
        each = [slice(level * size, (level + 1) * size) for level in range(n_levels)]
        return [F[own, own] for own in each]

    def at(self, F):
        """Return the ``NestedMarginal`` with the covariances ``F F'``."""
        first, *factors = self._blocks(F)
        marginal = self._inner.at(first)
        grams, rows, log_det = [self._inner.task_grams(marginal)], [], marginal.log_det
        for parent, factor in zip(self._parents, factors, strict=True):
            Z = gram_roots(sums_of_members(grams[-1], parent, axis=0)).swapaxes(1, 2)
            random = Z[..., :-1] @ factor
            K = np.eye(Z.shape[1]) + random @ random.swapaxes(1, 2)
            root = np.linalg.cholesky(K)
            log_det += 2 * np.log(np.einsum("gii->gi", root)).sum()
            rows.append(np.linalg.solve(root, Z))
            grams.append(rows[-1].swapaxes(1, 2) @ rows[-1])
        whole, covariances = grams[-1].sum(axis=0), [own @ own.T for own in self._blocks(F)]
        parts = whole[:-1, :-1], whole[:-1, -1], log_det, covariances
        return NestedMarginal(rows, grams, *parts)

    def residuals(self, marginal, beta):
        """Return what ``slopes`` needs, and the sum of squares; see the other class."""
        outermost = marginal.rows[-1]
        e = outermost[..., -1] - outermost[..., :-1] @ beta
        return beta, self.within + (e**2).sum()

    def posterior(self, marginal, root):
        """Return the ``NestedPosterior``, given a factor of the covariance of the center."""
        grams = [gram[:, :-1, :-1] for gram in marginal.grams]
        return NestedPosterior(grams, marginal.covariances, self._parents, root)

    def slopes(self, marginal, e, root, precision, *, diagonal):
        """Return G, block-diagonal: a change dL of the covariances changes -2 l by tr(G dL)."""
        posterior = self.posterior(marginal, root)
        each = posterior.responses([gram[:, :-1, -1] for gram in marginal.grams], e)
        squares = block_diag(*[own.T @ own for own in each])
        return posterior.determinant_slopes(diagonal=diagonal) - precision * squares

    def information(self, marginal):
        """Return the sums of ``S o S`` over the nodes of each level, block-diagonal."""
        return block_diag(*[(gram[:, :-1, :-1] ** 2).sum(axis=0) for gram in marginal.grams])

    def products(self):
        """Return ``tr(A_i A_j)`` of parts A_i of the covariance; see the other class."""
        F = np.zeros((self._size, self._size))
        S = self._inner.task_grams(self._inner.at(F))[:, :-1, :-1]
        norms, squares = np.einsum("tjj->j", S), [(S**2).sum(axis=0)]
        for parent in self._parents:
            S = sums_of_members(S, parent, axis=0)
            squares.append((S**2).sum(axis=0))
        levels, norms = range(len(squares)), np.tile(norms, len(squares))
        # pairs of rows of a node are pairs of its group, too: both levels have those of the inner
        joint = np.block([[squares[min(i, j)] for j in levels] for i in levels])
        return np.block([[self._inner.products()[0, 0], norms], [norms[:, None], joint]])


def rows_around(penalty):
    """Return the class of the compressed rows of tasks with a ``MeanCoupling``."""
    return CompressedRows if penalty.nesting is None else NestedRows
