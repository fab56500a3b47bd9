"""Evidence of the logistic model with random coefficients, by the Laplace approximation."""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from skmtl._evidence_kernels import class_variances
from skmtl._likelihood_kernels import prediction_variances
from skmtl._threads import in_chunks
from skmtl.data import Basis, LongData
from skmtl.fitting import in_basis
from skmtl.penalties import Coefficients, MeanCoupling
from skmtl.problem import Problem, class_curvature
from skmtl.solvers import runs_away
from skmtl.tuning._center import Center
from skmtl.tuning._compressed import CompressedRows
from skmtl.tuning._covariance import Axes, level_axes
from skmtl.tuning._nested_rows import rows_around
from skmtl.tuning._task_posterior import TaskPosterior

_STEP = 1e-3  # of central differences, in log alpha
_STRIP = 2**21  # numbers in the dense rows that are in memory at a time
_TOGETHER = 5  # consecutive tasks of a sample, where tasks are in groups


class LaplaceEvidence:
    """Compute minus twice the log evidence of variances, integrated over the coefficients.

    The deviations (v_t, q_t) ~ N(0, F F'), the center w ~ N(0, I / alpha_shared), flat if that is
    0, and a flat c are integrated out about their mode. With f the objective at the mode, ``H`` its
    Hessian and ``P`` that of the penalty, in all coordinates that are not flat, of which there are
    p::

        log evidence = -f + 1/2 log|P| - 1/2 log|H| + p/2 log(2 pi)

    The determinants are ``log|H| - log|P| = log|V| + log|X' V^-1 X|`` of the linear model whose
    weights are the curvatures at the mode (``CompressedRows``). Unpenalized intercepts of tasks
    with one class diverge at any penalty weight: they are left out. The coefficients of several
    classes are independent and have F in common. Where tasks are in groups, F is block-diagonal,
    with a block for the deviations of each level of nodes, that of the tasks first.

    Parameters
    ----------
    problem : Problem
        Of a loss of classes and a ``MeanCoupling``: v_t is multiplied by ``1 / sqrt(alpha_t)``, and
        with alpha_intercept = 0 the intercepts are flat. Of a ``NestedCoupling`` all alpha are 1.
    solve : callable
        ``solve(problem, start)`` returns the ``Solution``.
    start : Coefficients

    Attributes
    ----------
    shared : float
        alpha_shared, at first that of the problem; may be set.

    References
    ----------
    N. E. Breslow and D. G. Clayton (1993). Approximate inference in generalized linear mixed
    models. Journal of the American Statistical Association 88.
    https://doi.org/10.1080/01621459.1993.10594284
    """

    def __init__(self, problem, solve, start):
        self._problem, self._solve, self._start = problem, solve, start
        self.shared, self._last = problem.penalty.alpha_shared, None
        self._nesting = problem.penalty.nesting
        self._n_levels = problem.penalty.n_levels

    def objection(self, max_iter, tol):
        """Return why the evidence is improper at any penalty weight, or None.

        With a flat center there is no mode if one model of all tasks separates the classes.
        """
        data, penalty = self._problem.data, self._problem.penalty
        free_intercepts = self._flat_intercepts and not penalty.fixed_intercept
        if free_intercepts and data.class_mask is not None and np.isinf(data.class_mask).all():
            return (
                "every task has one class only, and alpha_intercept=0 leaves intercepts "
                "unpenalized. Set alpha_intercept to a positive number"
            )
        if penalty.alpha_shared > 0:
            return None
        weights = np.full(data.n_tasks, np.inf), 0.0, 0.0 if free_intercepts else np.inf
        pooled = MeanCoupling(*weights, penalty.fixed_intercept)
        problem = Problem(data, self._problem.loss, pooled)
        solution = self._solve(problem, problem.origin())
        slope = problem.evaluate(solution.coefficients).sums.derivative
        # The derivative is below 1/2 in size if a row is classified correctly.
        if (np.abs(slope) < 0.5).all() or runs_away(solution, pooled, max_iter, tol).any():
            return (
                "one model of all tasks separates the classes, and with alpha_shared=0 nothing "
                "keeps it finite. Set alpha_shared to a positive number, such as 1e-3"
            )
        return None

    @property
    def _flat_intercepts(self):
        return self._nesting is None and self._problem.penalty.alpha_intercept == 0

    @property
    def has_slopes(self):
        """Whether ``evaluate`` can return derivatives: not on Dask."""
        return hasattr(self._problem.data, "X")

    @property
    def has_samples(self):
        """Whether ``sample`` is defined."""
        data = self._problem.data
        return isinstance(data, LongData) and isinstance(data.X, np.ndarray)

    @property
    def n_tasks(self):
        """Number of tasks."""
        return self._problem.data.n_tasks

    n_blocks = n_tasks  # curvatures differ by task

    def alpha_shared(self, _F):
        """Return ``shared``, at any covariance."""
        return self.shared

    def sample(self, n_tasks):
        """Return the evidence of some tasks of the long form, evenly spaced, alone or together."""
        problem, size = self._problem, 1 if self._nesting is None else _TOGETHER
        first = np.linspace(0, problem.data.n_tasks - size, n_tasks // size).astype(np.intp)
        tasks = (first[:, None] + np.arange(size)).ravel()
        part = Problem(problem.data.take(tasks), problem.loss, problem.penalty.take(tasks))
        return LaplaceEvidence(part, self._solve, part.origin())

    def evaluate(self, F, *, slopes=None):
        """Return minus twice the log evidence at F (d + 1, d + 1), and 1, the noise variance.

        With ``slopes`` also the matrix G (d + 1, d + 1): a change dL of ``F F'`` changes the value
        by tr(G dL). Of L levels of nodes, both are (L (d + 1), L (d + 1)). If there are fewer rows
        than features, F may be in the coordinates of ``row_basis``.
        """
        point = self._point(F)
        if slopes and point.G is None:
            G, shared_slope = self._slopes(point)
            point = self._last = point._replace(G=G, shared_slope=shared_slope)
        return (point.value, 1.0, point.G.copy()) if slopes else (point.value, 1.0)

    def shared_slope(self, F):
        """Return the derivative in the logarithm of alpha_shared, zero if that is 0 or inf."""
        self.evaluate(F, slopes="all")
        return self._last.shared_slope

    def information(self, F):
        """Return expected second derivatives in the diagonal of the covariance, (d + 1, d + 1).

        Of a linear model with a known center and the curvatures as weights.
        """
        point = self._point(F)
        joint = point.rows.information(point.marginal)
        return joint[point.places[:, None, :, None], point.places[:, None]].sum(axis=(0, 1))

    def shared_information(self, F):
        """Return the same in the logarithm of alpha_shared."""
        if not 0 < self.shared < np.inf:
            return 0.0
        root = self._point(F).root[: -self._problem.loss.n_outputs]
        share = np.eye(len(root)) - self.shared * (root @ root.T)
        return (share**2).sum()

    def mean_gram(self, F):
        """Return the mean of ``X_t' V_t^-1 X_t`` over the tasks, (d + 1, d + 1)."""
        point = self._point(F)
        return point.of_a_class(point.marginal.gram) / self.n_tasks

    def _point(self, F):
        """Return the ``_Point`` at a covariance; the last one is kept."""
        last, problem = self._last, self._problem
        if last is not None and last.shared == self.shared and np.array_equal(last.F, F):
            return last
        loss, K, objective = problem.loss, problem.loss.n_outputs, self._find_mode(F)
        mode = problem.penalty.flatten(self._start)
        sums = problem.data.loss_sums(loss, mode.W, mode.intercept)
        size = len(F) // self._n_levels
        data = problem.data if size > problem.data.n_features else problem.data.rotated
        penalty = replace(problem.penalty, alpha_shared=self.shared)
        places, H = _places_of_classes(K, data.n_features), None
        kind = rows_around(penalty)
        if K == 1:
            rows = kind(data.curved(loss.curvature(data.y, sums.derivative)[0]), penalty)
        else:
            H = class_curvature(data, loss.probabilities(data.y, sums.derivative), intercept=True)
            order = np.argsort(places, axis=None)
            H = H[:, order[:, None], order]
            rows = kind.of_classes(data, H, penalty)
        places = np.hstack([places + level * places.size for level in range(self._n_levels)])
        joint = np.zeros((K * len(F), K * len(F)))
        for own in places:
            joint[np.ix_(own, own)] = F
        if K > 1:  # one alpha of all tasks
            joint[:-K] /= np.sqrt(penalty.alpha[0])
        marginal = rows.at(joint)
        center = Center(marginal.gram, penalty, K)
        _, root, log_det = center.solve(marginal, self.shared)
        value = 2 * objective + marginal.log_det + log_det
        value -= (rows.n_flat + center.n_flat) * np.log(2 * np.pi)
        if K == 1 and self._flat_intercepts and data.class_mask is not None:
            value -= np.log(rows.data.totals[np.isinf(data.class_mask[0])] / (2 * np.pi)).sum()
        found = F.copy(), self.shared, value, places, data, sums, rows, H, joint, marginal, root
        self._last = _Point(*found)
        return self._last

    def _find_mode(self, F):
        """Move ``_start`` to the mode; return the objective there.

        Where all slopes have one variance, that is a penalty weight. Else the problem is posed in
        the ``Axes`` of the covariance.
        """
        problem, shared, slopes = self._problem, self.shared, F.diagonal()[:-1]
        penalty, flat = problem.penalty, self._flat_intercepts
        if self._nesting is not None:
            return self._found_of_levels(F)
        diagonal = not np.count_nonzero(F - np.diag(np.diag(F)))
        if diagonal and (slopes == slopes.max(initial=0.0)).all():
            with np.errstate(divide="ignore", invalid="ignore"):
                alpha = penalty.alpha / (slopes.max() ** 2 if len(slopes) else 1.0)
                intercept = 0.0 if flat else 1.0 / F[-1, -1] ** 2
            weights = {"alpha": alpha, "alpha_intercept": intercept, "alpha_shared": shared}
            return self._found(replace(penalty, **weights))
        axes = Axes.of(F, problem.data.square_norms.sum(axis=0), shared)
        with np.errstate(divide="ignore"):
            weights = {
                "alpha_intercept": 0.0 if flat else float(1.0 / np.float64(axes.intercept)),
                "alpha_shared": shared if shared in (0, np.inf) else shared * axes.squares,
            }
        return self._found_in(axes, replace(penalty, **weights))

    def _found_of_levels(self, F):
        """Move ``_start`` to the mode of tasks in groups; see ``_find_mode``."""
        penalty, L = self._problem.penalty, self._n_levels
        slopes = F.diagonal().reshape(L, -1)[:, :-1]
        if (slopes == slopes.max(axis=1, keepdims=True, initial=0.0)).all():
            return self._found(penalty.with_weights(*_level_weights(F, L), self.shared))
        squares = self._problem.data.square_norms.sum(axis=0)
        axes, weights = level_axes(F, L, squares, self.shared)
        return self._found_in(axes, penalty.with_weights(**weights))

    def _found_in(self, axes, penalty):
        """Do what ``_found`` does, with a penalty on the coordinates of some ``Axes``."""
        problem, basis = self._problem, Basis(axes.B, axes.fixed)
        other = in_basis(problem, basis, shift=axes.shift).with_penalty(penalty)
        shift = np.zeros(len(axes.B)) if axes.shift is None else axes.shift
        V, q, w, c = self._start
        start = basis.from_users(Coefficients(V, q - V @ shift, w, c - w @ shift))
        solution = self._solve(other, other.penalty.project(start))
        V, q, w, c = basis.to_users(solution.coefficients)
        self._start = Coefficients(V, q + V @ shift, w, c + w @ shift)
        return solution.objective

    def _found(self, penalty):
        """Move ``_start`` to the mode with a penalty on these features; return the objective."""
        problem = self._problem.with_penalty(penalty)
        solution = self._solve(problem, penalty.project(self._start))
        self._start = solution.coefficients
        return solution.objective

    def _slopes(self, point):
        """Return the derivatives in the covariance and in the logarithm of alpha_shared.

        The curvatures move with the mode. With H_i the curvature of row i in its K predictions, and
        V_i the covariance of these, the determinant changes by ``(diag V_i - 2 V_i p_i)' H_i d
        eta_i``. For two classes that is the variance times the third derivative of the loss.
        """
        problem, root = self._problem, point.root
        posterior = self._posterior(point)
        G = posterior.determinant_slopes()
        data, loss, derivative = point.data, problem.loss, point.sums.derivative
        if loss.n_outputs == 1:
            moved = _variances(data, posterior.C) * loss.curvature_slope(data.y, derivative)
        else:
            p = loss.probabilities(data.y, derivative)
            moved = loss.curvature_product(
                data.y, derivative, _class_variances(data, posterior.C, p)
            )
        slopes, w, basis = point.sums.G, self._start.w, problem.data.row_basis
        if data.n_features < slopes.shape[-1]:
            slopes, w = slopes @ basis, w @ basis
        gradient = _by_task(slopes, point.sums.R)
        moved = _by_task(*data.weighted_adjoint(moved))
        center, of_mode = posterior.mode_slopes(moved, gradient)
        G = point.of_a_class(G + of_mode)
        if not 0 < self.shared < np.inf:
            return G, 0.0
        n_slopes = w.size
        of_center = (root[:n_slopes] ** 2).sum() + w.ravel() @ (w.ravel() - center[:n_slopes])
        return G, self.shared * of_center - n_slopes

    def _posterior(self, point):
        """Return the ``TaskPosterior`` or ``NestedPosterior`` at a ``_Point``."""
        if self._nesting is not None:
            return point.rows.posterior(point.marginal, point.root)
        penalty, H, data = self._problem.penalty, point.H, point.rows.data
        if H is None:
            H = data.task_moments(slice(None)).gram(intercept=True)
        D, K = H.shape[1], len(point.places)
        flat, scale = np.zeros((len(H), D), dtype=bool), np.ones(len(H))
        flat[:, -K:] = penalty.alpha_intercept == 0
        if K == 1:  # else F is scaled
            flat[:, :-1] = penalty.alpha[:, None] == 0
            scale = 1.0 / np.sqrt(np.where(penalty.alpha == 0, np.inf, penalty.alpha))
        return TaskPosterior.of(H, scale, point.joint, flat, point.root)


class _Point(NamedTuple):
    """The evidence at a covariance F and an alpha_shared, with the linear model at the mode.

    ``places`` (K, len(F)) are the columns of each class in the joint covariance, ``data`` is in the
    coordinates of F, and H (T, D, D) is the curvature of more than two classes. G and
    ``shared_slope`` are the derivatives, once computed; else G is None.
    """

    F: np.ndarray
    shared: float
    value: float
    places: np.ndarray
    data: Any
    sums: Any
    rows: CompressedRows
    H: np.ndarray | None
    joint: np.ndarray
    marginal: Any
    root: np.ndarray
    G: np.ndarray | None = None
    shared_slope: float = 0.0

    def of_a_class(self, joint):
        """Return the sum of the blocks of the classes, of the shape of F."""
        return sum(joint[np.ix_(own, own)] for own in self.places)


def _places_of_classes(K, d):
    """Return where slopes and intercept of each class are, (K, d + 1): the intercepts are last."""
    return np.column_stack([np.arange(K * d).reshape(K, d), K * d + np.arange(K)])


def _level_weights(F, n_levels):
    """Return the penalty weights of slopes and intercepts of each level, (L,) each."""
    variances = F.diagonal().reshape(n_levels, -1) ** 2
    with np.errstate(divide="ignore"):
        return 1.0 / variances[:, :-1].max(axis=1, initial=0.0), 1.0 / variances[:, -1]


def _by_task(slopes, intercepts):
    """Return slopes (K, T, d) and intercepts (K, T) as (T, K (d + 1))."""
    return np.column_stack([slopes.swapaxes(0, 1).reshape(slopes.shape[1], -1), intercepts.T])


def _dense_rows(data):
    """Yield slices of the rows and their features, an ndarray."""
    if isinstance(data.X, np.ndarray):
        yield slice(data.n_rows), data.X
        return
    step = max(1, _STRIP // data.n_features)
    for first in range(0, data.n_rows, step):
        rows = np.arange(first, min(first + step, data.n_rows))
        yield slice(first, first + len(rows)), data.X.dense(rows)


def _variances(data, C):
    """Return the variances of the predictions, in the shape of y; C (T, d + 1, d + 1)."""
    out = np.empty(data.y.shape)
    for rows, X in _dense_rows(data):
        if isinstance(data, LongData):
            kernel = partial(prediction_variances, X, data.codes[rows], C, out[rows])
            in_chunks(kernel, len(X), X.size * data.n_features)
        else:
            Z = np.column_stack([X, np.ones(len(X))])
            out[rows] = np.column_stack([np.einsum("ij,ij->i", Z @ one, Z) for one in C])
    return out


def _class_variances(data, C, p):
    """Return ``diag(V) - 2 V p`` of each row, (K, n), V the covariance of its K predictions."""
    out = np.empty((data.n_rows, len(p)))
    for rows, X in _dense_rows(data):
        kernel = partial(
            class_variances,
            X,
            data.codes[rows],
            C,
            np.ascontiguousarray(p.T[rows]),
            out[rows],
        )
        in_chunks(kernel, len(X), len(X) * C.shape[1] ** 2)
    return out.T


class EvidenceOfParameters:
    """The evidence in parameters x of a covariance and, last, the logarithm of alpha_shared.

    Parameters
    ----------
    criterion : DiagonalCovariance or FullCovariance
        Of a ``LaplaceEvidence``.
    shared : bool
        Whether alpha_shared is a parameter.
    """

    def __init__(self, criterion, *, shared):
        self._criterion, self._shared = criterion, shared
        self._evidence = criterion.likelihood

    def sample(self, n_tasks):
        """Return the criterion of some of the tasks."""
        return EvidenceOfParameters(self._criterion.sample(n_tasks), shared=self._shared)

    def factor(self, x):
        """Return the factor F (d + 1, d + 1) of the covariance, and set alpha_shared."""
        return self._criterion.factor(self._own(x))

    def __call__(self, x, gradient=False):
        """Return the value at x, with ``gradient`` also the derivatives, zero for inf.

        Where they are not known, they are central differences.
        """
        own = self._own(x)
        if not gradient:
            return self._criterion(own)
        if self._evidence.has_slopes:
            value, slope = self._criterion(own, gradient=True)
            if self._shared:
                slope = np.append(slope, self._evidence.shared_slope(self._criterion.factor(own)))
            return value, slope
        slope = np.zeros(len(x))
        for j in np.flatnonzero(np.isfinite(x)):
            step = _STEP * np.eye(len(x))[j]
            slope[j] = (self(x + step) - self(x - step)) / (2 * _STEP)
        return self(x), slope

    def curvatures(self, x):
        """Return the second derivatives of the evidence in each parameter, about."""
        own = self._criterion.curvatures(self._own(x))
        return np.append(own, np.diag(self.metric(x))[len(own) :])

    def metric(self, x):
        """Return about the second derivatives at x, those of a linear model."""
        own, k = self._own(x), len(x) - self._shared
        metric = np.zeros((len(x), len(x)))
        metric[:k, :k] = self._criterion.metric(own)
        if self._shared:
            metric[k, k] = self._evidence.shared_information(self._criterion.factor(own))
        return metric

    def _own(self, x):
        """Return the parameters of the covariance, after alpha_shared is set."""
        if not self._shared:
            return x
        with np.errstate(over="ignore"):
            self._evidence.shared = float(np.exp(x[-1]))
        return x[:-1]
