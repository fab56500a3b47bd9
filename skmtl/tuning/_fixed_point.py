"""Acceleration of slowly convergent fixed-point iterations."""

import numpy as np

_DEPTH = 5  # differences remembered
_GROWTH = 2.0  # of the residual, above which an accelerated step is rejected
_FARTHEST = 3.0  # largest entry of the accelerated minus the plain step


class AndersonAcceleration:
    """Propose the points at which to evaluate a map g to solve ``g(x) = x``.

    The next point is the combination of the last images, with weights of sum 1 that minimize the
    norm of the combined residuals ``g(x) - x``. If the residual grows, the history is dropped and
    the next point is the image of the best one, a plain step: a convergent plain iteration stays
    convergent.

    References
    ----------
    H. Walker, P. Ni (2011). Anderson acceleration for fixed-point iterations. SIAM Journal on
    Numerical Analysis 49, 1715-1735. https://doi.org/10.1137/10078356X
    """

    def __init__(self):
        self._images, self._residuals = [], []
        self._best = np.inf, None  # norm of the residual, and the image

    def next(self, x, image):
        """Return the next point, given a point and its image, all (T,)."""
        residual = image - x
        size = np.linalg.norm(residual)
        if len(self._images) > 1 and size > _GROWTH * self._best[0]:
            image, self._images, self._residuals = self._best[1], [], []
            self._best = np.inf, None
            return image
        if size < self._best[0]:
            self._best = size, image
        self._images = [*self._images, image][-_DEPTH - 1 :]
        self._residuals = [*self._residuals, residual][-_DEPTH - 1 :]
        if len(self._images) == 1:
            return image
        falls = np.diff(self._residuals, axis=0)
        weight = np.linalg.lstsq(falls.T, residual, rcond=1e-10)[0]
        beyond = weight @ np.diff(self._images, axis=0)
        return image - beyond * min(1.0, _FARTHEST / max(np.abs(beyond).max(), 1e-300))
