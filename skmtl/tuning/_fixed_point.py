"""Fixed points of maps whose plain iteration converges, but slowly."""

import numpy as np

_DEPTH = 5  # differences remembered
_GROWTH = 2.0  # of the residual, from which on an accelerated step counts as failed
_FARTHEST = 3.0  # entry of an accelerated step beyond the plain one


class AndersonAcceleration:
    """Points at which to evaluate a map g, so that ``g(x) = x`` is found in few evaluations.

    The next point is the combination of the images so far, with weights of sum 1, of which the
    same combination of the residuals ``g(x) - x`` is smallest. Where the residual has grown by it,
    the differences are forgotten and the plain step from the best point is taken: what the plain
    iteration finds is found.

    References
    ----------
    H. Walker, P. Ni (2011). Anderson acceleration for fixed-point iterations. SIAM Journal on
    Numerical Analysis 49, 1715-1735. https://doi.org/10.1137/10078356X
    """

    def __init__(self):
        self._images, self._residuals = [], []
        self._best = np.inf, None  # norm of the residual, and the image

    def next(self, x, image):
        """Return the next point, given one and its image, all (T,)."""
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
