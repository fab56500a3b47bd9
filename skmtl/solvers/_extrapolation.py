"""Extrapolation of a fixed-point iteration from its last steps."""

from collections import deque

import numpy as np
from scipy import linalg

_MEMORY = 20  # steps
_ROOM = 2**21  # numbers stored, at most
_LEAST = 1e-10  # added to the Gram matrix of the differences, relative to its trace
_WORSE = 2.0  # growth of the step at which an extrapolation is undone


class Extrapolation:
    """Anderson acceleration: the combination of the last images whose step would be least.

    Points and steps are lists of lists of arrays of one shape.

    Parameters
    ----------
    root : ndarray
        The square root of a diagonal metric, by which steps are compared.
    points : list of list of ndarray
        The first point.

    References
    ----------
    H. Walker, P. Ni (2011). Anderson acceleration for fixed-point iterations. SIAM Journal on
    Numerical Analysis 49. https://doi.org/10.1137/10078356X
    """

    def __init__(self, root, points):
        self._root, self._shape = root, [len(part) for part in points]
        size = sum(part.size for whole in points for part in whole)
        most = min(_MEMORY, _ROOM // (2 * max(size, 1)))
        self._images, self._steps = (deque(maxlen=most + 1) for _ in range(2))
        self._plain, self._length = None, np.inf

    def next(self, points, steps, extrapolate):
        """Return the point to go on from.

        Parameters
        ----------
        points, steps : list of list of ndarray
            The last point, and the step of the iteration from there.
        extrapolate : bool
            Whether to extrapolate, else take the step. Where the step after an extrapolation is
            much longer than that before, go on from where the extrapolation was made.
        """
        steps = np.array([part for whole in steps for part in whole])
        image = np.array([part for whole in points for part in whole]) + steps
        scaled = (self._root * steps).ravel()
        length = np.sqrt(scaled @ scaled)
        plain, self._plain = self._plain, None
        if plain is not None and not length <= _WORSE * self._length:
            self._images.clear()
            self._steps.clear()
            return self._lists(plain)
        self._images.append(image)
        self._steps.append(scaled)
        self._length = length
        if extrapolate and len(self._steps) > 2:
            self._plain, image = image, self._combined()
        return self._lists(image)

    def _lists(self, image):
        arrays = iter(image)
        return [[next(arrays) for _ in range(count)] for count in self._shape]

    def _combined(self):
        """Return the last image, moved along the differences of images to the least step."""
        changes = np.diff(np.array(self._steps), axis=0)
        A = changes @ changes.T
        A[np.diag_indices(len(A))] += _LEAST * np.trace(A) or 1.0
        share = linalg.solve(A, changes @ self._steps[-1], assume_a="pos")
        # sum_k share_k (image_k+1 - image_k), without forming the differences
        weight = np.diff(share, prepend=0.0, append=0.0)
        return self._images[-1] + np.tensordot(weight, np.array(self._images), 1)
