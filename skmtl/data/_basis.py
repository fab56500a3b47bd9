"""Coordinates of the features in which a problem is posed."""

import numpy as np

FIXED_SCALE = 1e-8  # of coordinates without deviations, relative to that of their rows
_UNEVEN = 1e3  # ratio of sizes above which columns count as much larger


class Basis:
    """Coordinates ``(x - center) @ B`` of the features, in which a penalty has its simple form.

    Coefficients W of the features have the coordinates ``W_b`` with ``W = W_b @ B.T``.

    Parameters
    ----------
    B : ndarray of shape (d,) or (d, d)
        A vector scales each feature. Columns may be zero: no prediction depends on them.
    fixed : bool ndarray of shape (d,), optional
        Coordinates in which the tasks do not deviate from the center, by default none. Their
        columns of B are so small that deviations are rounding errors; users get exact zeros.
    free : bool ndarray of shape (d,), optional
        Coordinates whose columns are so large that the penalty is negligible, by default none.
    """

    def __init__(self, B, fixed=None, free=None):
        self.B = np.asarray(B, dtype=np.float64)
        d = len(self.B)
        self.fixed = np.zeros(d, bool) if fixed is None else np.asarray(fixed, dtype=bool)
        self.free = np.zeros(d, bool) if free is None else np.asarray(free, dtype=bool)
        if self.B.shape not in ((d,), (d, d)) or self.fixed.shape != (d,):
            raise ValueError(
                "A basis of d features needs B of shape (d,) or (d, d) and fixed of shape (d,), "
                f"got {self.B.shape} and {self.fixed.shape}."
            )

    @property
    def regular(self):
        """Which coordinates are neither fixed nor free, (d,)."""
        return ~(self.fixed | self.free)

    def grades(self, data):
        """Return whether it made some features so large that products of rows lose the others.

        ``data`` are those in the basis.
        """
        if self.free.any():
            return True
        return _uneven(self.lengths[self.regular]) and _uneven(data.largest[self.regular])

    def then(self, other):
        """Return the basis ``B @ other.B``: a basis of the coordinates of this one."""
        B, fixed, free = other.B, self.fixed, self.free
        if B.ndim == 2:
            # new coordinates that have none but fixed, or free, ones of the old
            fixed, free = (~B[~old].any(axis=0) & B.any(axis=0) for old in (fixed, free))
            B = self.B[:, None] * B if self.B.ndim == 1 else self.B @ B
        else:
            B = self.B * B
        return Basis(B, fixed | other.fixed, free | other.free)

    def to_users(self, coefficients):
        """Return the coefficients of the features, given those in the basis."""
        V = coefficients.V
        if self.fixed.any():
            V = np.where(self.fixed, 0.0, V)
        return coefficients._replace(V=self._slopes(V), w=self._slopes(coefficients.w))

    def from_users(self, coefficients):
        """Undo ``to_users``, by least squares where B is singular."""
        V, w = self.coordinates(coefficients.V), self.coordinates(coefficients.w)
        return coefficients._replace(V=np.where(self.fixed, 0.0, V), w=w)

    @property
    def lengths(self):
        """Norms of the columns of B, (d,)."""
        return np.abs(self.B) if self.B.ndim == 1 else np.linalg.norm(self.B, axis=0)

    def _slopes(self, W):
        return W * self.B if self.B.ndim == 1 else W @ self.B.T

    def coordinates(self, W):
        """Return the coordinates of coefficients W (..., d) of the features; see ``from_users``."""
        # the lengths of columns may differ by many orders, which least squares would cut off
        length = self.lengths
        unit = self.B / np.where(length > 0, length, 1.0)
        if unit.ndim == 1:
            found = W * unit
        else:
            flat = W.reshape(-1, W.shape[-1]).T
            found = np.linalg.lstsq(unit, flat, rcond=None)[0].T.reshape(W.shape)
        return np.divide(found, length, out=np.zeros_like(found), where=length > 0)


def _uneven(sizes):
    """Return whether the largest is far above the median of those that are not zero."""
    sizes = sizes[sizes > 0]
    return len(sizes) > 1 and bool(sizes.max() > _UNEVEN * np.median(sizes))


# Curvature of the data that an unpenalized feature gets, relative to the penalty: of deviations and
# center it takes a share of 1e-10. More would hide from double precision what only the penalty
# determines, as where a task has fewer rows than there are such features.
_FREE = 1e10
# That of a fixed one, of which deviations take a share of 1e-20. The blocks of tasks are factored
# independently of the scale of columns, so that less would do as well; eigenvectors of blocks would
# lose such columns, or all others.
_FIXED = 1e-20
_SMALL = 1e-4  # data of a task, relative to the largest, below which it does not count


def factor_basis(factor, curvature, weights, *, common):
    """Return the ``Basis`` in which one penalty weight is that of each feature times a factor.

    Coordinates are features divided by the square root of the factor; limits replace 0 and inf.

    Parameters
    ----------
    factor : ndarray of shape (d,), in [0, inf]
    curvature : callable
        Returns the curvature of the loss in each coefficient, (T, d). Called where limits are
        needed.
    weights : ndarray
        The penalty weights. If none is positive and finite, the curvature replaces them.
    common : bool
        Whether the tasks have a common slope where the factor is inf; else it is zero.
    """
    free, hard = factor == 0, np.isinf(factor)
    fixed = hard if common else np.zeros_like(hard)
    B = 1.0 / np.sqrt(np.where(free, 1.0, factor))
    if (free | fixed).any():
        squares, weights = curvature(), weights[(weights > 0) & np.isfinite(weights)]
        most = squares.max(axis=0)
        typical = most.mean() or 1.0
        least = np.where(squares > 0, squares, np.inf).min(axis=0)
        most = np.where(most > 0, most, typical)
        least = np.clip(least, _SMALL * most, most)
        high = _FREE * (weights.max(initial=0.0) or typical)
        low = _FIXED * weights.min(initial=_SMALL * typical)
        B = np.where(free, np.sqrt(high / least), np.where(fixed, np.sqrt(low / most), B))
    return Basis(B, fixed, free)
