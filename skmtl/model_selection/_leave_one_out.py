"""Predictions of every row by the fit without it."""

from contextlib import nullcontext

import numpy as np

from skmtl._threads import one_blas_thread

_WHOLE = 1e-10  # what a row leaves of its own prediction to others, at least
_SMALL = 2**26  # multiplications of a block that are not worth a second thread
_STRIP = 2**22  # numbers at a time


class NothingLeftError(Exception):
    """A row is all there is to tell of its task, or of a coefficient."""


def left_out(path, systems, X, Y, weight, places, total, out):
    """Write the residuals of all rows in the fits without them to ``out``, (n, m, C).

    The fit is linear in y, and row i takes the share h_i of its own prediction: without it the
    residual is ``r_i / (1 - h_i)``. In the wide form a row is left out with all its targets,
    which the center ties to each other. Where levels and features are measured stays what it is.

    Raises ``NothingLeftError`` where nothing is left to predict a row with.

    Parameters
    ----------
    path : SpectralPath
    systems : CenterSystems, C of them
    X, Y, weight : ndarray of shape (n, d), (n, m) and (n,)
        Features, counted from ``center``, targets and weights.
    places : list of index arrays
        The rows of each block.
    total : ndarray of shape (B,)
        Weight of each block.
    out : ndarray of shape (n, m, C)

    References
    ----------
    D. Allen (1974). The relationship between variable selection and data augmentation and a
    method for prediction. Technometrics 16. https://doi.org/10.1080/00401706.1974.10489157
    """
    W, intercept = path.solve(systems)
    m, d = path.n_targets, path.Q.shape[-1]

    def block(b):
        own = places[b]
        fitted = X[own] @ W[b].reshape(d, -1)
        fitted = fitted.reshape(len(fitted), m, -1) + intercept[b]
        residual = Y[own, :, None] - fitted
        A = (X[own] - (1.0 - path.hold[b]) * path.delta[b]) @ path.Q[b]
        each = weight[own, None]
        alone = each * ((A**2) @ systems.inverse[b] + (1.0 - path.hold[b]) / total[b])
        shared = each * _through_center(path, systems, b, A)
        rest = 1.0 - alone
        all_rest = rest - m * shared
        if min(rest.min(), all_rest.min()) < _WHOLE:
            raise NothingLeftError
        if m == 1:
            out[own] = residual / all_rest[:, None]
            return
        tied = shared / (rest * all_rest)
        out[own] = residual / rest[:, None] + (tied * residual.sum(axis=1))[:, None]

    # Threads of ours gain nothing here: many small products, and the interpreter between them.
    small = len(X) * len(systems.cc) * (d + 1) ** 2 < _SMALL * len(places)
    with one_blas_thread() if small else nullcontext():
        for b in range(len(places)):
            block(b)


def _through_center(path, systems, b, A):
    """Return how far the center takes a row's target back to its prediction, (n, C).

    A has the rows of block b in its eigenvectors. A row tells the center ``E' [a, hold]`` with
    ``E' = [Q share, 0; -g inverse, 1]``, and ``[a, hold]' E S^-1 E' [a, hold]`` comes back: the
    squared norm of a linear map of the row.
    """
    d, cc = path.Q.shape[-1], systems.cc
    along, border = systems.told(path.Q[b])
    (C, r, _), hold = along.shape, path.hold[b]
    told = np.concatenate([-path.g[b, :, None] * systems.inverse[b], np.ones((1, C))]).T
    to_center = np.empty((C, r + 1, d + 1))
    np.matmul(border, -told[:, None], out=to_center[:, :r])
    along *= systems.share[b].T[:, None]
    to_center[:, :r, :d] += along
    np.divide(told, np.sqrt(cc)[:, None], out=to_center[:, r])
    rows = np.column_stack([A, np.full(len(A), hold)])
    shared, step = np.empty((len(A), C)), max(1, _STRIP // to_center[..., 0].size)
    flat = to_center.reshape(-1, d + 1).T
    for first in range(0, len(A), step):
        strip = slice(first, first + step)
        moved = (rows[strip] @ flat).reshape(-1, C, r + 1)
        np.einsum("ick,ick->ic", moved, moved, out=shared[strip])
    return shared
