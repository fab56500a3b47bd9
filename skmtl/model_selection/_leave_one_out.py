"""Predictions of every row by the fit without it."""

import numpy as np

from skmtl._tasks import SMALL

_WHOLE = 1e-10  # what a row leaves of its own prediction to others, at least


def left_out(path, systems, data, total):
    """Return the residuals of all rows in the fits without them, for each block (n, m, C).

    The fit is linear in y, and row i takes the share h_i of its own prediction: without it the
    residual is ``r_i / (1 - h_i)``. In the wide form a row is left out with all its targets,
    which the centre ties to each other. Where levels and features are measured stays what it is.

    Parameters
    ----------
    path : SpectralPath
    systems : list of CenterSystem, C of them
    data : list of tuple
        For each block its features (n, d), counted from ``center``, targets (n, m), weights (n,).
    total : ndarray of shape (B,)
        Weight of each block.

    References
    ----------
    D. Allen (1974). The relationship between variable selection and data augmentation and a
    method for prediction. Technometrics 16. https://doi.org/10.1080/00401706.1974.10489157
    """
    W, level = (np.stack(part, axis=-1) for part in zip(*map(path.fit, systems), strict=True))
    inverse = np.stack([system.inverse for system in systems], axis=-1)
    forms = np.stack([_center_form(path, system) for system in systems])
    found, m = [], W.shape[1]
    for b, (X, Y, weight) in enumerate(data):
        residual = Y[:, :, None] - np.matmul(X, W[b]).swapaxes(0, 1) - level[b]
        A = (X - (1.0 - path.hold[b]) * path.delta[b]) @ path.Q[b]
        alone = (A**2) @ inverse[b] + (1.0 - path.hold[b]) / total[b]
        shared = _quadratic_forms(np.column_stack([A, np.full(len(A), path.hold[b])]), forms[:, b])
        rest = 1.0 - weight[:, None] * alone
        all_rest = rest - m * weight[:, None] * shared
        if min(rest.min(), all_rest.min()) < _WHOLE:
            raise ValueError(
                "Leave-one-out needs something to predict each row with when it is left out, and "
                "a row here is all there is to tell of its task or of a coefficient. Use cv=5, a "
                "larger alpha, or drop such tasks."
            )
        tied = weight[:, None] * shared / (rest * all_rest)
        found.append(residual / rest[:, None] + (tied * residual.sum(axis=1))[:, None])
    return found


def _center_form(path, system):
    """Return what the centre adds to the leverage of ``[a, hold]``, a form (B, d + 1, d + 1).

    That is ``E S^-1 E'`` in the eigenvectors of each block, where ``E' = [Q share, 0; -g inverse,
    1]`` takes a row to what it tells of the centre (w, c).
    """
    B, d = path.e.shape
    to_c = np.concatenate([-path.g * system.inverse, np.ones((B, 1))], axis=1)
    to_w = np.zeros((B, d, d + 1))
    to_w[:, :, :d] = path.Q * system.share[:, None]
    return system.form(to_w, to_c)


def _quadratic_forms(A, forms):
    """Return ``a' K a`` for the rows a of A (n, k) and the symmetric K (C, k, k), (n, C)."""
    k = A.shape[1]
    if k > SMALL:
        return np.stack([np.einsum("ij,ij->i", A @ K, A) for K in forms], axis=-1)
    first, second = np.triu_indices(k)
    packed = forms[:, first, second] * np.where(first == second, 1.0, 2.0)
    return (A[:, first] * A[:, second]) @ packed.T
