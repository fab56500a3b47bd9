"""The features of data in other coordinates: some of them, a basis, the space of the rows."""

from abc import ABC
from functools import cached_property
from typing import Any

import numpy as np

from skmtl._linalg import row_space


class FeatureSpace(ABC):
    """What the layouts have in common about the coordinates of their features.

    Attributes
    ----------
    X : ndarray of shape (n, d) or CenteredRows
        The features minus ``center``.
    center : ndarray of shape (d,)
    """

    X: Any
    center: np.ndarray

    @cached_property
    def n_rows(self):
        """Number of rows n."""
        return self.X.shape[0]

    @cached_property
    def n_features(self):
        """Number of features d."""
        return self.X.shape[1]

    @property
    def largest(self):
        """Largest absolute value of each centered feature, (d,)."""
        return np.abs(self.X).max(axis=0)

    @cached_property
    def row_basis(self):
        """Orthonormal basis (d, r) of the row space of X where n < d, else None."""
        return row_space(self.X) if self.n_rows < self.n_features else None

    @property
    def rotated(self):
        """The same data in the coordinates of ``row_basis``; itself where that is None."""
        # Cached, the data would refer to themselves, and X be freed only by the garbage collector.
        return self if self.row_basis is None else self._in_row_space

    @cached_property
    def _in_row_space(self):
        return self._like(X=self.X @ self.row_basis, row_basis=None)

    @property
    def rotates(self):
        """Whether ``row_basis`` is not None."""
        return self.n_rows < self.n_features and vars(self).get("row_basis", self) is not None

    @property
    def n_dimensions(self):
        """Number of features of ``rotated``, at most."""
        return self.n_rows if self.rotates else self.n_features

    def without_rotation(self):
        """Return the same data with ``row_basis`` None, for penalties that depend on the basis."""
        return self._like(row_basis=None) if self.rotates else self

    @property
    def graded(self):
        """Whether some columns are so large that products of rows lose the others to rounding."""
        return vars(self).get("_graded", False)

    def as_graded(self):
        """Return the same data, ``graded`` and without rotation."""
        return self._like(row_basis=None, _graded=True)

    def in_basis(self, B, shift=None, *, overwrite=False):
        """Return the same data with features ``(X + shift) @ B``, or ``X * B`` for a vector B (d,).

        ``center`` is that of the original features, minus the shift. With ``overwrite``, X may be
        replaced in place, and these data must not be used again.
        """
        center = self.center if shift is None else self.center - shift
        other = self._like(**self._changed(B, shift, overwrite), center=center)
        if self.rotates:
            vars(other).pop("row_basis", None)  # that of the old features
        return other

    def _changed(self, B, shift, overwrite):
        """Return the parts that a basis changes, a dict."""
        if B.ndim == 2:
            return {"X": (self.X if shift is None else self.X + shift) @ B}
        return {"X": np.multiply(self.X, B, out=self.X if overwrite else None)}

    def with_features(self, features):
        """Return the same data with some of the features, an index array."""
        center = self.center[features]
        return self._like(X=self._columns(features), center=center, row_basis=None)

    def _columns(self, features):
        return np.ascontiguousarray(self.X[:, features])

    def _like(self, **parts):
        """Return a copy with other parts, without cached results but ``row_basis``."""
        cls = type(self)
        other = object.__new__(cls)
        kept = {k: v for k, v in vars(self).items() if k == "row_basis" or not hasattr(cls, k)}
        other.__dict__ = kept | parts
        return other
