"""Maximization of a concave quadratic on the simplex."""

import numpy as np

_MAX_ITER = 60


def maximize_on_simplex(gradient, curvature, origin, floor):
    """Return x, at least ``floor`` and with the sum of the origin, that maximizes a quadratic.

    It is ``gradient . (x - origin) - 1/2 (x - origin)' curvature (x - origin)``, by a
    primal-dual interior point method (Mehrotra's predictor and corrector).

    Parameters
    ----------
    gradient, origin : ndarray of shape (T,)
    curvature : TaskMatrix
    floor : float

    References
    ----------
    S. Mehrotra (1992). On the implementation of a primal-dual interior point method. SIAM Journal
    on Optimization 2. https://doi.org/10.1137/0802028
    """
    T = len(origin)
    mass = origin.sum() - T * floor
    if T == 1 or mass <= 0:
        return origin
    # In units of the mass and of the gradient: min 1/2 z'Bz - c'z, z >= 0, sum z = 1.
    c = gradient + curvature @ (origin - floor)
    unit = max(np.abs(c - c.mean()).max(), 1e-300)
    B, c = curvature.times(mass / unit), (c - c.mean()) / unit
    z, s, y = np.full(T, 1.0 / T), np.ones(T), 0.0
    for _ in range(_MAX_ITER):
        dual = B @ z - c + y - s
        if z @ s <= 1e-14 and np.abs(dual).max() <= 1e-12:
            break
        system = _System(B, z, s)
        step = system.direction(dual, z * s)
        length = min(_reach(z, step[0]), _reach(s, step[1]))
        ahead = (z + length * step[0]) @ (s + length * step[1])
        center = (ahead / (z @ s)) ** 3 * (z @ s) / T
        step = system.direction(dual, z * s + step[0] * step[1] - center)
        length = 0.995 * min(_reach(z, step[0]), _reach(s, step[1]))
        z, s, y = (part + length * move for part, move in zip((z, s, y), step, strict=True))
    return floor + mass * z / z.sum()


class _System:
    """Solve Newton's equations of (z, s, y) at one point, factored once for both directions.

    s is eliminated, and y by the Schur complement of ``A = B + diag(s / z)`` for the sum of z.
    """

    def __init__(self, B, z, s):
        self._z, self._s = z, s
        self._solve = B.solver(s / z)
        self._of_ones = self._solve(np.ones(len(z)))

    def direction(self, dual, products):
        """Return the step of (z, s, y) for a dual residual and a reduction of ``z s``."""
        z, s, ones = self._z, self._s, self._of_ones
        dz = self._solve(-dual - products / z)
        dy = (dz.sum() - (1.0 - z.sum())) / ones.sum()
        dz -= dy * ones
        return dz, -(products + s * dz) / z, dy


def _reach(part, step):
    """Return the step length, at most 1, at which an entry of a part becomes zero."""
    down = step < 0
    return min(1.0, float(np.min(-part[down] / step[down], initial=1.0 / 0.995)))
