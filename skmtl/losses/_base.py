"""Interface of a loss."""

from abc import ABC, abstractmethod
from typing import Any


class Loss(ABC):
    """A smooth convex function of the raw predictions z of n rows, at their targets y.

    A row has K predictions: z and derivatives in z are (K, n), targets and losses (n,). Where K is
    1, targets may have any shape. Weights are applied by the caller.

    Attributes
    ----------
    n_outputs : int
        Predictions of a row, K.
    constant_curvature : float or None
        The second derivative in z if it is constant.
    curvature_bound : float or ndarray
        Upper bound of the second derivative in each z, a number or one for each row of the
        coefficients; where there is none, a typical value.
    bounded : bool
        Whether ``curvature_bound`` is a bound.
    separable : bool
        Whether each prediction has a loss of its own, so that the second derivative is diagonal.
    start : float or ndarray
        Intercepts to start from, where zeros are far from any solution.
    joint : list of ndarray of shape (K, t)
        Where rows of the coefficients are classes of a task: those of its K classes.
    kinds : tuple
        Tasks with losses of one kind, a slice or an index array for each kind.
    """

    n_outputs: int = 1
    constant_curvature: float | None = None
    curvature_bound: Any
    bounded: bool = True
    separable: bool = True
    start: Any = 0.0
    joint: Any = ()
    kinds: tuple = (slice(None),)

    @abstractmethod
    def evaluate(self, y, z):
        """Return the loss and its first derivative in z.

        Parameters
        ----------
        y : ndarray of shape (n,)
            Targets.
        z : ndarray of shape (K, n)
            Raw predictions.

        Returns
        -------
        value : ndarray of shape (n,)
            Loss of each row, a new array.
        derivative : ndarray of the shape of z
            A new array.
        """

    @abstractmethod
    def curvature(self, y, derivative):
        """Return the second derivative in each z.

        Parameters
        ----------
        y : ndarray of shape (n,)
            Targets.
        derivative : ndarray of shape (K, n)
            The first, as ``evaluate`` gave it.

        Returns
        -------
        ndarray of its shape
            At least 0; with K predictions, the diagonal.
        """

    @abstractmethod
    def curvature_product(self, y, derivative, z):
        """Return the second derivative times a direction.

        Parameters
        ----------
        y : ndarray of shape (n,)
            Targets.
        derivative : ndarray of shape (K, n)
            The first, as ``evaluate`` gave it.
        z : ndarray of its shape
            The direction.

        Returns
        -------
        ndarray of its shape
            The product; with K predictions, off-diagonal entries included.
        """
