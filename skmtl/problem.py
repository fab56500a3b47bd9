"""Problem = TaskData + Loss + Penalty: objective, gradient and relative KKT residual."""

import math
from functools import cached_property, partial
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from skmtl import _optimality_kernels
from skmtl._memory import strips
from skmtl._optimize import task_mean
from skmtl._threads import in_chunks
from skmtl.data import LossSums
from skmtl.penalties import Coefficients, MeanCoupling, sums_of_members


class Evaluation(NamedTuple):
    """Objective, relative KKT residual and loss sums (None if not kept) at some coefficients."""

    objective: float
    optimality: float
    sums: LossSums | None


class Certificate:
    """How far coefficients are from optimal, in the units of data, loss and penalty.

    Attributes
    ----------
    data : TaskData
    loss : Loss
    penalty : Penalty
    """

    data: Any
    loss: Any
    penalty: Any
    _null: Any

    def residual_norms(self, sums):
        """Return the norm of the residuals (loss gradients) of each task, (T,), not too small."""
        squares = np.maximum(sums.squares, self._least_squares)
        if not self.penalty.quadratic:
            # A non-smooth penalty couples tasks: one that is fitted exactly gets the average scale.
            squares = np.maximum(squares, self._averages(squares))
        return np.sqrt(squares)

    @cached_property
    def _least_squares(self):
        """Squared norms of residuals, (T,): far below those of the null model is rounding."""
        return 1e-10 * self._averages(self._null.squares)

    def _averages(self, squares):
        """Return the mean of squares (T,) over the rows of all tasks of a kind, times weights."""
        totals, averages = self.data.totals, np.empty(len(squares))
        for own in self.loss.kinds:
            averages[own] = squares[own].sum() * (totals[own] / totals[own].sum())
        return averages

    def _optimality(self, gradient, sums):
        """Return the relative KKT residual: the largest entry of the scaled gradient.

        For a non-smooth penalty it is the residual of its optimality condition. Each entry is
        divided by the square root of its curvature (squared norm of the feature in the task plus
        penalty weight) times the norm of the task's residuals (loss gradients), so that units of
        features and target do not matter. The center's gradient and curvature are those after
        elimination of the deviations: the Schur complement ``data * penalty / (data + penalty)``.
        """
        residual = self.residual_norms(sums)
        of_q = np.sqrt(self._bounds * self._totals + self.penalty.curvature.q)
        overall = math.sqrt(residual @ residual)
        if self.penalty.nesting is not None:
            residual = np.sqrt(self.penalty.nesting.gather(residual**2))
        parts = [
            self._largest_slopes(gradient.V, residual).max(initial=0.0),
            largest_ratio(gradient.q, of_q * residual),
            self._largest_of_center(gradient.w, gradient.c, overall),
        ]
        return float(np.array(parts).max())  # unlike Python's, NaN if any of them is

    def _largest_of_center(self, w, c, norm):
        """Return the largest scaled entry of the gradient in the center, (K, d) and (K,)."""
        units, center = self._center_units, np.concatenate([w, c[:, None]], axis=1)
        # entries of the center without curvature are not identified: any value is optimal
        return largest_ratio(np.where(units > 0, center, 0.0), units * norm)

    def _optimality_around_center(self, coefficients, sums):
        """Return the same of a coupling to a center, in one pass over coefficients and sums."""
        residual, (V, q, w, _) = self.residual_norms(sums), coefficients
        (weights, (of_w, free)), norm = self._weights, math.sqrt(residual @ residual)
        (T, d), ratios = V.shape[1:], []
        if not V.strides[1]:  # one row for all tasks, of ``Coefficients.zeros``
            V = np.ascontiguousarray(V[:, :1])
        for *arrays, own_w in zip(sums.G, sums.R, V, q, w, strict=True):
            largest = []

            def part(first, last, arrays=arrays, largest=largest):
                center = np.zeros((2, d + 1))
                given = *arrays, *weights, residual, center
                largest.append(_optimality_kernels.around_center(*given, first, last))
                return center

            center = sum(in_chunks(part, T, 4 * T * d))
            given = np.array(largest).max(), center, own_w, of_w, free, norm
            ratios.append(_optimality_kernels.of_center(*given))
        return float(np.array(ratios).max())  # unlike Python's, NaN if any of them is

    @cached_property
    def _weights(self):
        """Arguments of ``around_center`` and ``of_center`` that are the same everywhere."""
        weight, free, d = self.penalty.curvature, self.penalty.free, self.data.n_features
        slopes, intercepts = (weight.V[:, 0], free.V[:, 0]), (float(weight.q), float(free.q))
        of_tasks = *slopes, *intercepts, self._squares, self._totals, self._bounds
        return of_tasks, (np.full(d, weight.w), np.array([free.w, free.c]))

    def _largest_slopes(self, V, residual):
        """Return the largest scaled entry of each task in the gradient V (K, T, d): (K T,)."""
        largest = np.empty(V.shape[:-1])
        bounds, weights = self._bounds, self.penalty.curvature.V
        for own in strips(*V.shape[1:]):
            squares = self._squares[own]
            if _of_each(weights):
                squares = squares + weights[own] / bounds[own, None]
            scale = squares, bounds[own], self._slope_weights[own], residual[own]
            for V_k, out in zip(V[:, own], largest[:, own], strict=True):
                write = partial(_optimality_kernels.largest_ratios, V_k, *scale, out)
                in_chunks(write, len(out), 10 * V_k.size)
        return largest.ravel()

    @cached_property
    def _slope_weights(self):
        """Penalty weights of the deviations at all nodes, zeros if each coefficient has its own."""
        if _of_each(self.penalty.curvature.V):
            return np.zeros(len(self._squares))
        weights = self.penalty.curvature.V.ravel()
        return weights if len(weights) > 1 else np.full(len(self._squares), weights)

    @cached_property
    def _bounds(self):
        """Bounds of the curvature of the loss in the predictions of each task or node, (N,)."""
        bounds, nesting = self.loss.curvature_bound, self.penalty.nesting
        bounds = np.full(self.data.n_tasks, bounds, dtype=float)
        if nesting is None:
            return bounds
        return np.append(bounds, np.full(nesting.n_nodes - len(bounds), bounds.max()))

    @cached_property
    def _squares(self):
        """Squared norms of features in each task, (T, d), or their Schur complements at nodes."""
        squares = self.data.square_norms
        if self.penalty.quadratic:
            return self._at_nodes(squares, self.penalty.curvature.V, self.penalty.free.V)
        # Features without data in a task: the penalty still couples them to other tasks.
        return np.where(squares > 0, squares, task_mean(squares))

    @cached_property
    def _totals(self):
        """Weights of the tasks, (T,), or their Schur complements at nodes."""
        totals, penalty, free = self.data.totals, self.penalty.curvature, self.penalty.free
        return self._at_nodes(totals, penalty.q, free.q)

    def _at_nodes(self, data, penalty, free):
        """Return the data's curvature at all nodes: Schur complements outside of the tasks."""
        nesting = self.penalty.nesting
        if nesting is None:
            return data
        bounds, parts = _like(self._bounds, data), [data]
        for level, parent in zip(nesting.levels, nesting.parents, strict=False):
            own = _following(bounds[level] * parts[-1], penalty[level], free[level]) / bounds[-1]
            parts.append(sums_of_members(own, parent, axis=0))
        return np.concatenate(parts)

    def _curvature(self, tasks=slice(None), *, slopes=True):
        """Return bounds of the curvature of the objective in V and q, (T, d) and (T,).

        Of a slice of the tasks; without ``slopes``, the first is None.
        """
        bounds, penalty = self._bounds[tasks], self.penalty.curvature
        of_q = bounds * self._totals[tasks] + _of(tasks, penalty.q)
        if not slopes:
            return None, of_q
        return bounds[:, None] * self._squares[tasks] + _of(tasks, penalty.V), of_q

    @cached_property
    def _center_units(self):
        """Square roots of the curvature of the center, (d + 1,), the intercept's last.

        They are 1 where the center is fixed.
        """
        penalty, free, bounds = self.penalty.curvature, self.penalty.free, self._bounds
        of_w, of_c, squares, nesting = 1.0, 1.0, self._squares, self.penalty.nesting
        first = 0 if nesting is None else nesting.levels[-1].start  # of the nodes at the center
        if free.w:
            of_w = penalty.w + sum(
                _following(
                    bounds[own, None] * squares[own], _of(own, penalty.V), _of(own, free.V)
                ).sum(axis=0)
                for own in strips(*squares.shape, first=first)
            )
        if free.c:
            own = slice(first, None)
            of_q, free_q = _of(own, penalty.q), _of(own, free.q)
            of_c = penalty.c + _following(bounds[own] * self._totals[own], of_q, free_q).sum()
        units = np.empty(squares.shape[1] + 1)
        units[:-1], units[-1] = of_w, of_c
        return np.sqrt(units)


class Problem(Certificate):
    """Minimize ``sum_i weight_i loss(y_i, z_i) + penalty(coefficients)``.

    Parameters
    ----------
    data : TaskData
    loss : Loss
    penalty : Penalty
    """

    def __init__(self, data, loss, penalty):
        self.data = data if penalty.isotropic else data.without_rotation()
        self.loss, self.penalty = loss, penalty
        self._null = None

    def origin(self):
        """Return ``Coefficients`` of zeros."""
        data, nesting = self.data, self.penalty.nesting
        n_nodes = data.n_tasks if nesting is None else nesting.n_nodes
        return Coefficients.zeros(n_nodes, data.n_features, self.loss.n_outputs)

    def start(self):
        """Return the ``Coefficients`` to start from: zeros, but where the loss has a start."""
        origin, T = self.origin(), self.data.n_tasks
        if not np.any(self.loss.start):
            return origin
        q, c = origin.q.copy(), np.mean(self.loss.start)
        q[:, :T] = self.loss.start - c
        return self.penalty.project(origin._replace(q=q, c=origin.c + c))

    def with_penalty(self, penalty):
        """Return the same problem with another penalty."""
        other = Problem(self.data, self.loss, penalty)
        other._null = self._null
        return other

    def evaluate(self, coefficients, split=None):
        """Return the ``Evaluation`` at some coefficients; one pass over the data.

        ``split`` holds the parts, copies and subgradients of a penalty with several terms or
        parts; it is verified.
        """
        point = self.penalty.flatten(coefficients)
        sums = self.data.loss_sums(self.loss, point.W, point.intercept)
        del point
        value = float(sums.value.sum())
        at_zero = self._null is None and not any(part.any() for part in coefficients)
        if at_zero:
            self._null = _small_parts(sums)
        if not (at_zero and self.penalty.quadratic):
            value += self.penalty.value(coefficients, split)
        self.null_sums()
        if self.penalty.around_center and not _of_each(self.penalty.curvature.V):
            return Evaluation(value, self._optimality_around_center(coefficients, sums), sums)
        return Evaluation(value, self.optimality(coefficients, sums, split), sums)

    def optimality(self, coefficients, sums, split=None):
        """Return the relative KKT residual, a float, given the ``LossSums`` at the coefficients."""
        gradient = self.task_gradient(coefficients, sums.G, sums.R)
        residuals = self.penalty.residuals(coefficients, gradient, self._curvature, split)
        return float(np.min([self._optimality(residual, sums) for residual in residuals]))

    def null_sums(self):
        """Return the ``LossSums`` where all coefficients are zero, G and derivatives None."""
        if self._null is None:
            origin = self.penalty.flatten(self.origin())
            self._null = _small_parts(self.data.loss_sums(self.loss, origin.V, origin.q))
        return self._null

    def gradient(self, coefficients, G, R):
        """Return the gradient in each part, given that of the loss in W and the intercepts."""
        gradient = self.task_gradient(coefficients, G, R)
        return gradient._replace(V=gradient.V[:, :])

    def task_gradient(self, coefficients, G, R):
        """Return the same; if possible, V is computed where ``V[:, tasks]`` is read, of a slice."""
        free, V, (of_V, of_q) = self.penalty.free, None, self.penalty.of_nodes(G, R)
        if isinstance(self.penalty, MeanCoupling):
            V = _TaskGradient(of_V, coefficients.V, self.penalty.curvature.V, free.V)
            coefficients = coefficients._replace(V=0.0)
        penalty = self.penalty.gradient(coefficients)
        if V is None:
            V = penalty.V  # an array of its own
            V += of_V
            if not free.V.all():
                V *= free.V
        w = G.sum(axis=1) + penalty.w if free.w else np.zeros_like(penalty.w)
        return Coefficients(V, free.q * (of_q + penalty.q), w, free.c * R.sum(axis=1))

    def slope(self, coefficients, G, R, point, start=None):
        """Return the inner product of the gradient at some coefficients and a step to a point.

        Of the smooth part of the objective; what is fixed counts too, without a penalty. The step
        is from ``start``, by default zero.
        """
        gradient = *self.penalty.of_nodes(G, R), G.sum(axis=1), R.sum(axis=1)
        loss = [np.vdot(own, to) for own, to in zip(gradient, point, strict=True)]
        value = self.penalty.product(coefficients, point)
        if start is not None:
            pairs = zip(loss, gradient, start, strict=True)
            loss = [whole - np.vdot(own, of) for whole, own, of in pairs]
            value -= self.penalty.product(coefficients, start)
        return float(sum(loss)) + value

    def curved(self, derivative, data=None):
        """Return the data with weights times curvatures, the mean of those of all classes.

        ``data`` replace those of the problem, as in other coordinates.
        """
        data = self.data if data is None else data
        if derivative is None:
            return data
        curvature = self.loss.curvature(data.y, derivative)
        return data.curved(curvature[0] if len(curvature) == 1 else curvature.mean(axis=0))

    def canonical(self, coefficients):
        """Return the same model with parts that are not identified in canonical form."""
        coefficients = balanced(coefficients, self.loss, self.penalty)
        return self.penalty.canonicalize(coefficients, self.data.present)


def balanced(point, loss, penalty):
    """Return the same model, classes that are rows of the coefficients with sums of zero.

    What is the same in all classes of a task changes no probability: it is zero where it has no
    penalty. ``point`` may also be a step.
    """
    if not loss.joint:
        return point
    V, q, weight = point.V.copy(), point.q.copy(), penalty.curvature
    free = (weight.V.ravel() == 0) & (penalty.free.V.ravel() == 1) & penalty.quadratic
    free = np.broadcast_to(free, V.shape[1])[:, None]
    for place in loss.joint:
        if np.all(weight.q == 0):
            q[0, place] -= q[0, place].mean(axis=0) + point.c
        V[0, place] -= free[place] * (V[0, place].mean(axis=0) + point.w)
    return point._replace(V=V, q=penalty.free.q * q)


class _TaskGradient:
    """The gradient in V, (K, T, d), of which parts of the tasks are computed when needed."""

    def __init__(self, G, V, weight, free):
        self.shape, self._arrays = G.shape, (G, V)
        self._weight, self._free = weight, free

    def __getitem__(self, key):
        """Return an array of the gradient of a slice of the tasks, for ``[:, tasks]``."""
        _, tasks = key
        G, V = (array[:, tasks] for array in self._arrays)
        gradient = self._weight[tasks] * V
        gradient += G
        if not self._free[tasks].all():
            gradient *= self._free[tasks]
        return gradient


def _small_parts(sums):
    """Return ``LossSums`` without those that are as large as the coefficients or the rows."""
    return sums._replace(G=None, derivative=None)


def _of_each(weights):
    """Return whether there is a penalty weight of each coefficient of a deviation."""
    return np.ndim(weights) == 2 and weights.shape[1] > 1


def _like(values, data):
    """Return values (T,), with an axis of features if data have one."""
    return values[:, None] if data.ndim == 2 else values


def _of(tasks, part):
    """Return what a part has for some tasks, a slice; a number is that of all."""
    return part[tasks] if part.ndim else part


def _following(data, penalty, free):
    """Return the data's curvature in the center, Schur complement where the deviations are free."""
    total = data + penalty
    follows = np.divide(data * penalty, total, out=np.zeros_like(total), where=total > 0)
    return np.where(free > 0, follows, data)


def class_curvature(data, probabilities, *, intercept):
    """Return the Hessian of the softmax loss in the coefficients of all classes, (T, K D, K D).

    The curvature ``diag(p) - pp'`` of a row is the sum over pairs of classes k < l of
    ``p_k p_l (e_k - e_l)(e_k - e_l)'``: one Gram per pair.

    Parameters
    ----------
    data : LongData
    probabilities : ndarray of shape (K, n)
    intercept : bool
        Whether there is a centered intercept behind the d coefficients of each class: D = d + 1.
    """
    K, D = len(probabilities), data.n_features + intercept
    H = np.zeros((data.n_tasks, K, D, K, D))
    for (k, p), (m, q) in combinations(enumerate(probabilities), 2):
        gram = data.curved(p * q).moments(np.arange(data.n_tasks)).gram(intercept=intercept)
        H[:, k, :, k] += gram
        H[:, m, :, m] += gram
        H[:, k, :, m] -= gram
        H[:, m, :, k] -= gram
    return H.reshape(data.n_tasks, K * D, K * D)


def largest_ratio(entries, unit):
    """Return the largest ``|entries_kj| / unit_j``, with 0 / 0 = 0; not finite if any is not."""
    sizes = np.abs(entries)
    with np.errstate(invalid="ignore"):
        ratios = np.where(sizes > 0, np.inf, sizes)
        return np.divide(sizes, unit, out=ratios, where=~(unit <= 0)).max(initial=0.0)
