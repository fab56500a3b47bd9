"""Newton steps in the space of the coefficients."""

import numpy as np

from skmtl._optimize import conjugate_gradients
from skmtl.penalties import Coefficients, MeanCoupling


class PrimalSystem:
    """Solve for center and deviations jointly.

    The preconditioner is the inverse for features that are uncorrelated: for each of them the
    deviations of the tasks are eliminated from the center. With fewer rows than features and a
    center that is not penalized, it is the same for all features: the center stays in the row
    space of X and converges to the one of smallest norm. A warm start may have deviations outside
    of that space, from which the center is then kept apart.

    Parameters
    ----------
    problem : Problem
        With a quadratic penalty.
    """

    def __init__(self, problem):
        self._problem = problem
        self._shapes = [part.shape for part in problem.origin()]
        self._around_center = isinstance(problem.penalty, MeanCoupling)
        self._cold = None  # whether the start had no deviations, if the center is not penalized

    def set_up(self, derivative):
        """Store the curvature at these derivatives, those of `LossSums`."""
        data, self._derivative, self._slopes = self._problem.data, derivative, None
        if derivative is not None:
            # One for all classes: what is the same in all of them is not identified.
            data = data.curved(self._problem.loss.curvature(derivative).mean(axis=0))
        self._curvature = data.square_norms, data.totals[:, None]

    def _factor(self, point):
        """Factor the preconditioner."""
        (V, q), penalty = self._curvature, self._problem.penalty.diagonal()
        mean, coupled = V.sum(axis=1, keepdims=True) / max(1, V.shape[1]), self._around_center
        if penalty.w > 0 or self._problem.data.n_rows >= V.shape[1]:
            mean = V
        elif self._cold is None:
            self._cold = not point.V.any()
        if self._cold:
            V = mean
        apart = not coupled or self._cold is False
        self._slopes = _Arrowhead(V, penalty.V, mean, penalty.w, not apart)
        q_penalty = np.reshape(penalty.q, (-1, 1))
        self._intercepts = _Arrowhead(q, q_penalty, q, penalty.c, coupled)

    def step(self, point, gradient, **options):
        """Return the coefficients after a Newton step; ``options`` of conjugate gradients."""
        if self._slopes is None:
            self._factor(point)
        x, _ = conjugate_gradients(
            self._product,
            -self._pack(gradient),
            self._precondition,
            **options,
        )
        return point.plus(self._unpack(x))

    def _pack(self, parts):
        return np.concatenate([part.ravel() for part in parts])

    def _unpack(self, x):
        ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes])
        parts = zip(np.split(x, ends[:-1]), self._shapes, strict=True)
        return Coefficients(*(part.reshape(shape) for part, shape in parts))

    def _product(self, x):
        problem, parts = self._problem, self._unpack(x)
        G, R = problem.data.curvature_product(
            problem.loss, self._derivative, parts.W, parts.intercept
        )
        return self._pack(problem.gradient(parts, G, R))

    def _precondition(self, r):
        V, q, w, c = self._unpack(r)
        V, w = self._slopes.solve(V, w)
        q, c = self._intercepts.solve(q[..., None], c[:, None])
        return self._pack((V, q, w, c))


class _Arrowhead:
    """Systems of deviations v and their center w, one for each feature.

    Of ``data_t (v_t + w) + penalty_t v_t`` for each task and ``sum_t data_t (v_t + w) + center w``;
    if not ``coupled``, of ``(data_t + penalty_t) v_t`` and ``(sum_t shared_t + center) w``. Arrays
    are (T, d) or (T, 1); parts with an infinite penalty are zero.
    """

    def __init__(self, data, penalty, shared, center, coupled):
        self._total = np.where(data + penalty == 0, 1.0, data + penalty)
        self._share = data / self._total if coupled else np.zeros((1, 1))
        rest = ((data - self._share * data) if coupled else shared).sum(axis=0) + center
        self._rest = np.where(rest == 0, 1.0, rest)

    def solve(self, v, w):
        """Return v (K, T, d) and w (K, d) for a right-hand side."""
        w = (w - (self._share * v).sum(axis=1)) / self._rest
        return v / self._total - self._share * w[:, None], w
