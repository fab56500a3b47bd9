"""Newton steps in the space of the coefficients."""

from functools import partial

import numpy as np

from skmtl import _kernels
from skmtl._memory import strips
from skmtl._optimize import conjugate_gradients
from skmtl._threads import in_chunks
from skmtl.penalties import Coefficients, sums_of_members

_LEAST = 1e-300  # penalty weight, against 0 / 0 where there are no data


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
        self._cold = None  # whether the start had no deviations, if the center is not penalized

    def set_up(self, derivative):
        """Store the curvature at these derivatives, those of `LossSums`."""
        self._derivative, self._slopes = derivative, None
        # One for all classes: what is the same in all of them is not identified.
        data = self._problem.curved(derivative)
        self._curvature = data.square_norms, data.totals[:, None]

    def _factor(self, point):
        """Factor the preconditioner."""
        (V, q), penalty = self._curvature, self._problem.penalty.diagonal()
        mean, data = V.sum(axis=1, keepdims=True) / max(1, V.shape[1]), self._problem.data
        if np.all(penalty.w > 0) or data.n_rows >= V.shape[1] or data.graded:
            mean = V
        elif self._cold is None:
            self._cold = not point.V.any()
        nesting = self._problem.penalty.nesting
        if nesting is not None:
            free = penalty.V, penalty.q[:, None]
            self._slopes = _Tree(mean, free[0], penalty.w, nesting)
            self._intercepts = _Tree(q, free[1], penalty.c, nesting)
            return
        if self._cold:
            V = mean
        coupled = self._problem.penalty.around_center
        coupled_slopes = coupled and self._cold is not False
        size = self._problem.data.n_features
        self._slopes = _Arrowhead(V, penalty.V, mean, penalty.w, coupled_slopes, size)
        self._intercepts = _Arrowhead(q, np.reshape(penalty.q, (-1, 1)), q, penalty.c, coupled, 1)

    def accuracy(self, rtol, evaluation):
        """Return the residual at which a step reduces the optimality by about ``rtol``."""
        return {"rtol": rtol}

    def step(self, point, G, R, **options):
        """Return the coefficients after a step, given the loss gradient at them.

        ``options`` are those of conjugate gradients.
        """
        if self._slopes is None:
            self._factor(point)
        right = self._pack(self._problem.task_gradient(point, G, R))
        right *= -1.0
        x, _ = conjugate_gradients(self._product, right, self._precondition, **options)
        target = self._unpack(x)
        for part, start in zip(target, point, strict=True):
            part += start
        return target

    def _pack(self, gradient):
        """Return one array with all parts of a gradient."""
        x = np.empty(sum(int(np.prod(shape)) for shape in self._shapes))
        (V, *others), (own, *rest) = self._unpack(x), gradient
        for tasks in strips(*V.shape[1:]):
            V[:, tasks] = own[:, tasks]
        for part, values in zip(others, rest, strict=True):
            part[...] = values
        return x

    def _unpack(self, x):
        """Return the ``Coefficients`` whose parts are views of x."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes])
        parts = zip(np.split(x, ends[:-1]), self._shapes, strict=True)
        return Coefficients(*(part.reshape(shape) for part, shape in parts))

    def _product(self, x):
        problem, parts = self._problem, self._unpack(x)
        flat = problem.penalty.flatten(parts)
        sums = problem.data.curvature_product(
            problem.loss, self._derivative, flat.W, flat.intercept
        )
        return self._pack(problem.task_gradient(parts, *sums))

    def _precondition(self, r):
        z = r.copy()
        V, q, w, c = self._unpack(z)
        self._slopes.solve(V, w)
        self._intercepts.solve(q[..., None], c[:, None])
        return z


class _Arrowhead:
    """Systems of deviations v and their center w, one for each feature.

    Of ``data_t (v_t + w) + penalty_t v_t`` for each task and ``sum_t data_t (v_t + w) + center w``;
    if not ``coupled``, of ``(data_t + penalty_t) v_t`` and ``(sum_t shared_t + center) w``. Arrays
    are (T, d) or, the same for all features, (T, 1); parts with an infinite penalty are zero.
    """

    def __init__(self, data, penalty, shared, center, coupled, n_features):
        self._data, self._coupled = data, coupled
        self._penalty = np.maximum(np.broadcast_to(np.ravel(penalty), len(data)), _LEAST)
        rest = np.broadcast_to(center, n_features).astype(float)
        for own, weight in zip(shared, self._penalty, strict=True):
            # the Schur complement, if the center is coupled to the tasks
            rest += own - own * (own / (own + weight)) if coupled else own
        self._rest = np.where(rest == 0, 1.0, rest)

    def solve(self, v, w):
        """Replace right-hand sides v (K, T, d) and w (K, d) by the solutions."""
        for own in zip(v, w, strict=True):
            kernel = partial(
                _kernels.solve_arrowheads,
                *own,
                self._data,
                self._penalty,
                self._rest,
                self._coupled,
            )
            in_chunks(kernel, w.shape[1], 20 * own[0].size)


class _Tree:
    """The same where the tasks deviate from groups; v are the deviations of all nodes.

    Parameters
    ----------
    data : ndarray of shape (T, d) or (T, 1)
    penalty : ndarray of shape (N, 1) or (N, d)
    center : float or ndarray of shape (d,)
    nesting : Nesting
    """

    def __init__(self, data, penalty, center, nesting):
        self._nesting, self._shares, self._inverses = nesting, [], []
        for number, level in enumerate(nesting.levels):
            total = data + penalty[level]
            # without data and a penalty, as around free nodes, nothing moves
            moves = (total > 0) & np.isfinite(total)
            inverse, share = np.zeros((2, *total.shape))
            self._inverses.append(np.divide(1.0, total, out=inverse, where=moves))
            self._shares.append(np.divide(data, total, out=share, where=moves))
            data = data * (1.0 - self._shares[-1])  # the Schur complement
            if number < len(nesting.parents):
                data = sums_of_members(data, nesting.parents[number], axis=0)
        rest = data.sum(axis=0) + center
        self._rest = np.where(rest == 0, 1.0, rest)

    def solve(self, v, w):
        """Replace right-hand sides v (K, N, d) and w (K, d) by the solutions."""
        levels, parents = self._nesting.levels, self._nesting.parents
        w -= self._nesting.eliminate(v, np.concatenate(self._shares))
        w /= self._rest
        total = np.broadcast_to(w[:, None], v[:, levels[-1]].shape)
        for number in range(len(levels) - 1, -1, -1):
            own = v[:, levels[number]]
            if number < len(parents):
                total = total[:, parents[number]]
            own *= self._inverses[number]
            own -= self._shares[number] * total
            total = total + own
