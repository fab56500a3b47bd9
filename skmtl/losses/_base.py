"""What a loss is."""

from abc import ABC, abstractmethod


class Loss(ABC):
    """A smooth convex function of the raw prediction z of one row, at the target y.

    All methods act elementwise on arrays of one shape. Weights are applied by the caller.

    Attributes
    ----------
    constant_curvature : float or None
        The second derivative in z where it is the same everywhere.
    curvature_bound : float
        An upper bound of the second derivative in z.
    """

    constant_curvature: float | None = None
    curvature_bound: float

    @abstractmethod
    def evaluate(self, y, z):
        """Return the loss and its first derivative in z, two new arrays."""
