"""Extrapolation of a fixed-point iteration from its last steps."""

from collections import deque

import numpy as np
from scipy import linalg

_MEMORY = 10  # steps
_ROOM = 2**22  # numbers stored, at most
_LEAST = 1e-10  # added to the Gram matrix of the differences, relative to its trace
_WORSE = 2.0  # growth of the step at which an extrapolation is undone


class Extrapolation:
    """Anderson acceleration: the combination of the last images whose step would be least.

    Parameters
    ----------
    size : int
        Of a point.

    References
    ----------
    H. Walker, P. Ni (2011). Anderson acceleration for fixed-point iterations. SIAM Journal on
    Numerical Analysis 49. https://doi.org/10.1137/10078356X
    """

    def __init__(self, size):
        self._most = min(_MEMORY, _ROOM // (2 * max(size, 1)))
        self.restart()

    def restart(self):
        """Forget all steps, as after a change of the iteration."""
        self._images, self._steps = (deque(maxlen=self._most + 1) for _ in range(2))
        self._plain, self._length = None, np.inf

    def next(self, image, step, extrapolate):
        """Return the point to go on from.

        Parameters
        ----------
        image, step : ndarray
            Image of the last point, and its difference from that point.
        extrapolate : bool
            Whether to extrapolate, else return the image; but where the step after an extrapolation
            is much longer than that before, return the image from which it was made.
        """
        length = linalg.norm(step)
        plain, self._plain = self._plain, None
        if plain is not None and not length <= _WORSE * self._length:
            self.restart()
            return plain
        self._images.append(image.ravel())
        self._steps.append(step.ravel())
        self._length = length
        if not extrapolate or len(self._steps) < 3:
            return image
        self._plain = image
        return self._combined().reshape(image.shape)

    def _combined(self):
        """Return the last image, moved along the differences of images to the least step."""
        changes = np.diff(np.array(self._steps), axis=0)
        A = changes @ changes.T
        A[np.diag_indices(len(A))] += _LEAST * np.trace(A) or 1.0
        share = linalg.solve(A, changes @ self._steps[-1], assume_a="pos")
        return self._images[-1] - share @ np.diff(np.array(self._images), axis=0)
