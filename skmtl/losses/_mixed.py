"""Losses of tasks of different kinds."""

import numpy as np

from skmtl.losses._base import Loss


class MixedLoss(Loss):
    """One loss for each part of the data, for a ``MixedData`` with the same parts.

    Targets, predictions and derivatives are lists with an entry for each part. A loss of K
    predictions holds K rows of the coefficients for each of its tasks, so that these have no axis
    of classes.

    Parameters
    ----------
    losses : list of Loss
        That of the tasks of each part.
    places : list of ndarray of shape (K, t)
        Rows of the coefficients (R, d) of each part: one for each prediction and task.

    Attributes
    ----------
    curvature_bound, start : ndarray of shape (R,)
    """

    def __init__(self, losses, places):
        self.losses, self.places = losses, places
        self.constant_curvature = None
        if all(loss.constant_curvature == 1.0 for loss in losses):
            self.constant_curvature = 1.0
        self.bounded = all(loss.bounded for loss in losses)
        self.separable = all(loss.separable for loss in losses)
        self.joint = [
            place for loss, place in zip(losses, places, strict=True) if not loss.separable
        ]
        self.kinds = tuple(place.ravel() for place in places)
        self.curvature_bound, self.start = np.empty((2, sum(place.size for place in places)))
        for loss, place in zip(losses, places, strict=True):
            self.curvature_bound[place], self.start[place] = loss.curvature_bound, loss.start

    def evaluate(self, y, z):
        """Return the losses and their first derivatives in z, two lists."""
        pairs = [loss.evaluate(*own) for loss, *own in zip(self.losses, y, z, strict=True)]
        return tuple(map(list, zip(*pairs, strict=True)))

    def curvature(self, y, derivative):
        """Return the second derivatives, a list in a list: there is one row of predictions.

        That of a quadratic loss, which needs none, is None.
        """
        parts = zip(self.losses, y, derivative, strict=True)
        return [[None if g is None else loss.curvature(own, g) for loss, own, g in parts]]

    def curvature_product(self, y, derivative, z):
        """Return the second derivatives times z, a list."""
        parts = zip(self.losses, y, derivative, z, strict=True)
        return [loss.curvature_product(*own) for loss, *own in parts]
