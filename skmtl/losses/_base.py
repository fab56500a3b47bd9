"""What a loss is."""

from abc import ABC, abstractmethod


class Loss(ABC):
    """A smooth convex function of the raw predictions z of n rows, at their targets y.

    A row has one prediction, and all arrays have one shape; or it has K of them, and z and what
    is a derivative in z is (K, n), beside y and losses (n,). Weights are applied by the caller.

    Attributes
    ----------
    outputs : tuple
        Leading axis of z: () or (K,).
    constant_curvature : float or None
        The second derivative in z where it is the same everywhere.
    curvature_bound : float
        An upper bound of the second derivatives in each z.
    """

    outputs: tuple[int, ...] = ()
    constant_curvature: float | None = None
    curvature_bound: float

    @abstractmethod
    def evaluate(self, y, z):
        """Return the loss and its first derivative in z.

        Parameters
        ----------
        y : ndarray of shape (n,)
            Targets.
        z : ndarray of shape (n,) or (K, n)
            Raw predictions.

        Returns
        -------
        value : ndarray of shape (n,)
            Loss of each row, a new array.
        derivative : ndarray of the shape of z
            A new array.
        """

    @abstractmethod
    def curvature(self, derivative):
        """Return the second derivative in each z.

        Parameters
        ----------
        derivative : ndarray of shape (n,) or (K, n)
            The first, as ``evaluate`` gave it.

        Returns
        -------
        ndarray of its shape
            At least 0; of K predictions the diagonal.
        """

    @abstractmethod
    def curvature_product(self, y, derivative, z):
        """Return the second derivative times a direction.

        Parameters
        ----------
        y : ndarray of shape (n,)
            Targets.
        derivative : ndarray of shape (n,) or (K, n)
            The first, as ``evaluate`` gave it.
        z : ndarray of its shape
            The direction.

        Returns
        -------
        ndarray of its shape
            The product; of K predictions with what ties them.
        """
