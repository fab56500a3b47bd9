"""Predictions of every row by the fit without it."""

import numpy as np

from skmtl._threads import in_chunks

_WHOLE = 1e-10  # what a row leaves of its own prediction to others, at least
_STRIP = 2**22  # numbers at a time


class NothingLeftError(Exception):
    """A row is all there is to tell of its task, or of a coefficient."""


def left_out(path, systems, data, total):
    """Return the residuals of all rows in the fits without them, for each block (n, m, C).

    The fit is linear in y, and row i takes the share h_i of its own prediction: without it the
    residual is ``r_i / (1 - h_i)``. In the wide form a row is left out with all its targets,
    which the centre ties to each other. Where levels and features are measured stays what it is.

    Raises ``NothingLeftError`` where nothing is left to predict a row with.

    Parameters
    ----------
    path : SpectralPath
    systems : CenterSystems, C of them
    data : list of tuple
        For each block its features (n, d), counted from ``center``, targets (n, m), weights (n,).
    total : ndarray of shape (B,)
        Weight of each block.

    References
    ----------
    D. Allen (1974). The relationship between variable selection and data augmentation and a
    method for prediction. Technometrics 16. https://doi.org/10.1080/00401706.1974.10489157
    """
    W, level = path.solve(systems)
    m, d = path.n_targets, path.Q.shape[-1]

    def block(b):
        X, Y, weight = data[b]
        fitted = np.matmul(X, W[b].reshape(d, -1)).reshape(*Y.shape, -1) + level[b]
        residual = Y[:, :, None] - fitted
        A = (X - (1.0 - path.hold[b]) * path.delta[b]) @ path.Q[b]
        weight = weight[:, None]
        alone = weight * ((A**2) @ systems.inverse[b] + (1.0 - path.hold[b]) / total[b])
        shared = weight * _through_center(path, systems, b, A)
        rest = 1.0 - alone
        all_rest = rest - m * shared
        if min(rest.min(), all_rest.min()) < _WHOLE:
            raise NothingLeftError
        if m == 1:
            return residual / all_rest[:, None]
        tied = shared / (rest * all_rest)
        return residual / rest[:, None] + (tied * residual.sum(axis=1))[:, None]

    work = sum(len(X) for X, _, _ in data) * len(systems.cc) * (d + 1) ** 2
    found = in_chunks(lambda first, last: [block(b) for b in range(first, last)], len(data), work)
    return [residual for part in found for residual in part]


def _through_center(path, systems, b, A):
    """Return how far the centre takes a row's target back to its prediction, (n, C).

    A has the rows of block b in its eigenvectors. A row tells the centre ``E' [a, hold]`` with
    ``E' = [Q share, 0; -g inverse, 1]``, and ``[a, hold]' E S^-1 E' [a, hold]`` comes back: the
    squared norm of a linear map of the row.
    """
    d, cc = path.Q.shape[-1], systems.cc
    along, border = systems.told(path.Q[b])
    (C, r, _), hold = along.shape, path.hold[b]
    told = np.concatenate([-path.g[b, :, None] * systems.inverse[b], np.ones((1, C))]).T
    to_center = np.empty((C, r + 1, d + 1))
    to_center[:, :r] = -border * told[:, None]
    to_center[:, :r, :d] += along * systems.share[b].T[:, None]
    to_center[:, r] = told / np.sqrt(cc)[:, None]
    rows = np.column_stack([A, np.full(len(A), hold)])
    shared, step = np.empty((len(A), C)), max(1, _STRIP // to_center[..., 0].size)
    flat = to_center.reshape(-1, d + 1).T
    for first in range(0, len(A), step):
        strip = slice(first, first + step)
        moved = (rows[strip] @ flat).reshape(-1, C, r + 1)
        np.einsum("ick,ick->ic", moved, moved, out=shared[strip])
    return shared
