"""A concave quadratic on the simplex."""

import numpy as np

_MAX_ITER = 60


def maximise_on_simplex(gradient, curvature, origin, floor):
    """Return x, at least ``floor`` and of the sum of the origin, where a quadratic is largest.

    That is ``gradient . (x - origin) - 1/2 (x - origin)' curvature (x - origin)``, by a
    primal-dual interior point method (Mehrotra's predictor and corrector).

    Parameters
    ----------
    gradient, origin : ndarray of shape (T,)
    curvature : ndarray of shape (T, T), symmetric and positive semidefinite
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
    B, c = mass * curvature, gradient + curvature @ (origin - floor)
    unit = max(np.abs(c - c.mean()).max(), 1e-300)
    B, c = B / unit, (c - c.mean()) / unit
    z, s, y = np.full(T, 1.0 / T), np.ones(T), 0.0
    for _ in range(_MAX_ITER):
        dual = B @ z - c + y - s
        if z @ s <= 1e-14 and np.abs(dual).max() <= 1e-12:
            break
        system = np.zeros((T + 1, T + 1))
        system[:T, :T] = B + np.diag(s / z)
        system[:T, T] = system[T, :T] = 1.0
        step = _direction(system, z, s, dual, z * s)
        length = min(_reach(z, step[0]), _reach(s, step[1]))
        ahead = (z + length * step[0]) @ (s + length * step[1])
        center = (ahead / (z @ s)) ** 3 * (z @ s) / T
        step = _direction(system, z, s, dual, z * s + step[0] * step[1] - center)
        length = 0.995 * min(_reach(z, step[0]), _reach(s, step[1]))
        z, s, y = (part + length * move for part, move in zip((z, s, y), step, strict=True))
    return floor + mass * z / z.sum()


def _direction(system, z, s, dual, products):
    """Return the Newton step of (z, s, y) that takes ``z s`` down by ``products``."""
    right = np.append(-dual - products / z, 1.0 - z.sum())
    solution = np.linalg.solve(system, right)
    dz = solution[:-1]
    return dz, -(products + s * dz) / z, solution[-1]


def _reach(part, step):
    """Return how far a step may go, at most 1, before a part is zero."""
    down = step < 0
    return min(1.0, float(np.min(-part[down] / step[down], initial=1.0 / 0.995)))
