"""Symmetric systems that may be rank-deficient, independent of the scale of their columns."""

import numpy as np
from scipy import linalg

from skmtl._threads import in_chunks

_EPS = np.finfo(np.float64).eps
# Relative squared pivot below which the rank is computed by eigenvalues: after the first pivot that
# should be zero, rounding errors grow.
SUSPICIOUS = 1e-8
_FEW = 32  # columns of a matrix for which BLAS has no use of threads
_GRADED = 1e4  # ratio of scales above which rounding errors in a null space would grow


class SymmetricSolver:
    """Solve ``A x = b``, A positive semidefinite and b in its range, by Cholesky.

    If A is rank-deficient, x is the solution of smallest norm. The rank is that of A scaled to a
    unit diagonal, so that units do not matter; the norm is that of the unscaled x.

    Parameters
    ----------
    A : ndarray of shape (d, d)
    null_space : callable, optional
        Returns an orthonormal basis of the null space, where rounding errors in A hide it.

    Attributes
    ----------
    null : ndarray of shape (d, k)
        Orthonormal basis of the null space of A.
    """

    def __init__(self, A, null_space=None):
        self.null = np.empty((len(A), 0))
        self._scale = _unit_diagonal(A)
        unit = 1.0 / self._scale
        scaled = A * unit[:, None]
        scaled *= unit
        factor, smallest = _cholesky(scaled)
        if smallest <= (SUSPICIOUS if null_space is None else 1e-2):
            self.null = null_space_of(A) if null_space is None else null_space()
            if self.null.shape[1]:
                # Directions of the null space get unit curvature; b is orthogonal to them.
                direction, _ = np.linalg.qr(self._scale[:, None] * self.null)
                factor, smallest = _cholesky(scaled + direction @ direction.T)
                self._direction = direction
        self._factor = factor if smallest > 0 else _shifted_cholesky(scaled)

    def solve(self, b):
        """Return x of the shape of b, (d,) or (d, k)."""
        scale = self._scale if b.ndim == 1 else self._scale[:, None]
        b = b / scale
        if self.null.shape[1]:
            b = b - self._direction @ (self._direction.T @ b)
        x = cholesky_solve(self._factor, b) / scale
        if self.null.shape[1]:
            x = x - self.null @ (self.null.T @ x)
        return x

    def inverse_root(self):
        """Return R (d, d) with ``b' R'R b = b' x`` for the solution x of each b."""
        inside = np.eye(len(self._scale))
        if self.null.shape[1]:
            inside -= self._direction @ self._direction.T
        return linalg.solve_triangular(
            self._factor, inside / self._scale, lower=True, check_finite=False
        )


def row_space(X):
    """Return an orthonormal basis of the space that the rows of X span, (d, rank), rank >= 1.

    By singular vectors: QR would give parts of X columns of rounding errors only.
    """
    _, values, basis = linalg.svd(X, full_matrices=False)
    rank = np.count_nonzero(values > max(X.shape) * _EPS * values[0])
    return basis[: max(1, rank)].T


def row_spectrum(A):
    """Return the nonzero eigenvalues (r,) of AA' and their eigenvectors (m, r)."""
    return gram_spectrum(A @ A.T)


def gram_spectrum(gram):
    """Return the nonzero eigenvalues (r,) of a Gram matrix (m, m) and their eigenvectors (m, r)."""
    values, vectors = linalg.eigh(gram)
    keep = values > 8 * len(values) * _EPS * values[-1]
    return values[keep], vectors[:, keep]


def bordered(matrix, border, corner):
    """Return symmetric matrices with one more row and column; leading axes are allowed."""
    d = matrix.shape[-1]
    result = np.empty((*matrix.shape[:-2], d + 1, d + 1))
    result[..., :-1, :-1], result[..., -1, -1] = matrix, corner
    result[..., :-1, -1] = result[..., -1, :-1] = border
    return result


def outer(weight, left, right):
    """Return the products ``weight left right'`` for each of B entries, (B, d, k)."""
    return weight[:, None, None] * left[:, :, None] * right[:, None, :]


def stacked_eigh(A):
    """Return the eigenvalues (B, d), at least 0, and eigenvectors of a stack A (B, d, d)."""
    pieces = in_chunks(lambda f, t: np.linalg.eigh(A[f:t]), len(A), 20 * A.size * A.shape[-1])
    values, vectors = (np.concatenate(part) for part in zip(*pieces, strict=True))
    return np.maximum(values, 0.0), vectors


def _unit_diagonal(A):
    scale = np.sqrt(np.maximum(A.diagonal(), 0.0))
    return np.where(scale > 0, scale, 1.0)


def _cholesky(A):
    """Return the lower factor and its smallest squared pivot, 0 where there is none.

    By numpy: scipy has a BLAS of its own, whose threads contend with those of numpy. It has none
    for small matrices, and its function is several times as fast.
    """
    if 0 < len(A) <= _FEW:
        factor, failed = linalg.lapack.dpotrf(A, lower=1, clean=1)
        return (A, 0.0) if failed else (factor, float(factor.diagonal().min() ** 2))
    try:
        factor = np.linalg.cholesky(A)
    except np.linalg.LinAlgError:
        return A, 0.0
    return factor, float(factor.diagonal().min(initial=np.inf) ** 2)


def _shifted_cholesky(A):
    """Return the factor of A plus the smallest shift that makes it numerically definite.

    Only for A definite up to rounding; the caller corrects the shift by iterative refinement.
    """
    shift = len(A) * _EPS
    smallest = 0.0
    while smallest <= 0:
        factor, smallest = _cholesky(A + shift * np.eye(len(A)))
        shift *= 10
    return factor


def cholesky_of(A):
    """Return the lower factor of A, which has a unit diagonal and is definite up to rounding."""
    factor, smallest = _cholesky(A)
    return factor if smallest > 0 else _shifted_cholesky(A)


def cholesky_solve(factor, b):
    """Solve ``A x = b`` by the lower factor of A (d, d); b (d,) or (d, k), which may be empty."""
    # LAPACK refuses empty arrays; scipy's function takes longer than small systems.
    return linalg.lapack.dpotrs(factor, b, lower=1)[0] if b.size else np.zeros(b.shape)


def null_space_of(A):
    """Return an orthonormal basis of the null space of A, (d, k)."""
    scale = _unit_diagonal(A)
    scaled, tolerance = A / np.outer(scale, scale), 8 * len(A) * _EPS
    # A pivot after small ones may be their rounding errors: only eigenvalues tell the rank.
    if _cholesky(scaled)[1] > SUSPICIOUS:
        return np.empty((len(A), 0))
    values, vectors = np.linalg.eigh(scaled)
    null = vectors[:, values <= tolerance * max(values[-1], 1.0)]
    if null.shape[1] and scale.max() > _GRADED * scale.min():
        null = _echelon(null)
    return np.linalg.qr(null / scale[:, None])[0]


def _echelon(null):
    """Return a basis of a space, (d, k), in reduced echelon form, with zeros for rounding errors.

    What vectors of different coordinates have in common is then exactly zero.
    """
    d, k = null.shape
    _, order = linalg.qr(null.T, mode="r", pivoting=True)
    found = np.linalg.solve(null[order[:k]].T, null.T).T
    return np.where(np.abs(found) > 1e3 * d * _EPS, found, 0.0)
