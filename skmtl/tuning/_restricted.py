"""Restricted likelihood of the random-coefficient model."""

from typing import NamedTuple

import numpy as np

from skmtl.tuning._marginal import MarginalModel

_FLOOR = 1e-30  # least share of the squares of y in sigma2
_ROUNDING = 1e-26  # share of the squares of y that is rounding error
_TINY = np.finfo(np.float64).tiny
_SHARED = np.logspace(-30, 8, 153)  # values of alpha_shared, relative to the data's curvature
_EPS = np.finfo(np.float64).eps
_TIE = 1e-8  # inf is chosen unless a finite alpha_shared is better by more
_NARROW = 1e-9  # accuracy of log alpha_shared


class RestrictedLikelihood:
    """Compute minus twice the restricted log-likelihood (REML), the noise variance profiled out.

    The model is ``y_i = x_i . (w + v_t) + c + q_t + e_i`` at centered features, with
    v_t ~ N(0, sigma2 / alpha_t I), q_t ~ N(0, sigma2 / alpha_intercept), e_i ~ N(0, sigma2),
    and w ~ N(0, sigma2 / alpha_shared I), or flat if that is 0; c is flat. If alpha_shared is to be
    estimated, it is the best for the other ratios. Weights count rows: N is their sum, and weight 2
    repeats a row. With ``sigma2 V`` the covariance of y and p the rank of the design X of the flat
    coefficients::

        -2 l_R = (N - p) (1 + log(2 pi sigma2)) + log|V| + log|X' V^-1 X|,
        sigma2 = (y - X beta)' V^-1 (y - X beta) / (N - p)

    where sigma2 is twice the minimum of the objective over N - p. The constant is that of lme4 and
    nlme: columns of X are not scaled, and those that depend on earlier ones are left out.

    Parameters
    ----------
    problem : Problem
        Of the squared loss and a ``MeanCoupling``.
    estimates_center : bool
        Whether alpha_shared is to be estimated.

    References
    ----------
    H. D. Patterson and R. Thompson (1971). Recovery of inter-block information when block sizes
    are unequal. Biometrika 58. https://doi.org/10.1093/biomet/58.3.545
    """

    def __init__(self, problem, *, estimates_center=False):
        self._estimates_center = estimates_center
        self._model = model = MarginalModel(problem.data, problem.penalty)
        data, loss, groups = model.data, problem.loss, model.groups
        penalty = problem.penalty
        self._alpha_shared, self._fixed_intercept = penalty.alpha_shared, penalty.fixed_intercept
        T, W = data.n_tasks, np.zeros((data.n_tasks, data.n_features))
        null = data.loss_sums(loss, W[None], np.zeros((1, T)))
        if null.squares.sum() <= 1e4 * _TINY and data.y.any():
            raise ValueError(
                f"The squares of y sum to {null.squares.sum():.1e}, and such numbers have few "
                "digits: values of y or the weights are too small for their squares. Scale them."
            )
        self._mean = -null.R[0] / data.totals
        covariance = -data.loss_sums(loss, W[None], self._mean[None]).G[0]
        self._responses, delta = [], np.empty_like(W)
        for stack, own in model.stacks:
            number = np.full(len(groups.alpha), -1)
            number[own] = np.arange(len(own))
            group = number[groups.of_task]
            tasks = np.argsort(group, kind="stable")[np.count_nonzero(group < 0) :]
            group = group[tasks]
            inverse = np.divide(
                1.0, np.sqrt(stack.l), out=np.zeros_like(stack.l), where=stack.l > 0
            )
            U = _of_tasks(stack.U * inverse[..., None], group)
            z = np.matmul(U, covariance[tasks, :, None])
            W[tasks], delta[tasks] = np.matmul(U.swapaxes(1, 2), z)[..., 0], stack.delta[group]
            first = np.searchsorted(group, np.arange(len(own)))
            self._responses.append(_Responses(group, first, z[..., 0], self._mean[tasks]))
        intercept = self._mean - np.einsum("tj,tj->t", W, delta)
        # what no thin row explains
        self._within = data.loss_sums(loss, W[None], intercept[None]).squares.sum()
        self._null = null.squares.sum()
        squares = data.square_norms
        self._curvature = squares.sum() / max(1, squares.shape[1]) or 1.0
        self._total = data.totals.sum()

    @property
    def model(self):
        """The marginal covariance."""
        return self._model

    def degrees_of_freedom(self, theta, phi):
        """Return N - p."""
        return self._total - self._model.flat(self._model.marginal(theta, phi)[0])

    def ratios(self, weights):
        """Return theta and phi of a dict of alpha, a number or (T,), and alpha_intercept."""
        alpha = weights["alpha"]
        alpha = self._model.groups.alpha if np.ndim(alpha) else np.float64(alpha)
        with np.errstate(divide="ignore", over="ignore"):
            return 1.0 / alpha, 1.0 / np.float64(weights["alpha_intercept"])

    def exact(self, theta, phi):
        """Return whether sigma2 is zero up to rounding errors, though degrees of freedom are left.

        If the center is to be estimated, without a penalty on it.
        """
        freedom = self.degrees_of_freedom(theta, phi)
        if self._estimates_center:
            state = self._state(theta, phi)
            squares, freedom = state.squares, freedom - np.count_nonzero(state.e)
        else:
            squares = freedom * self.evaluate(theta, phi)[1]
        return freedom >= 1 and squares <= _ROUNDING * self._null + 2 * _TINY

    def evaluate(self, theta, phi, *, gradient=False):
        """Return -2 l_R and sigma2, with ``gradient`` also the derivatives in theta and phi.

        ``theta`` is ``1 / alpha``, a number or one for each group, and ``phi`` is
        ``1 / alpha_intercept``.
        """
        model, state = self._model, self._state(theta, phi)
        alpha_shared = self._best_shared(state) if self._estimates_center else self._alpha_shared
        fixed = model.fixed(state.white, state.gram, phi, alpha_shared)
        beta = np.zeros(len(state.right))
        beta[fixed.columns] = np.linalg.solve(fixed.system, state.right[fixed.columns])
        squares, slopes = self._squares(state, beta, gradient=gradient)
        if np.isfinite(alpha_shared):
            squares += alpha_shared * (beta[:-1] @ beta[:-1])
        freedom = self._total - state.flat
        sigma2 = max(squares, _FLOOR * self._null + _TINY) / freedom
        value = freedom * (1 + np.log(2 * np.pi * sigma2)) + fixed.log_det
        if not gradient:
            return value, sigma2
        return value, sigma2, np.array(model.traces(fixed)) - slopes / sigma2

    def alpha_shared(self, theta, phi):
        """Return that of the problem, or the estimate for these ratios."""
        if not self._estimates_center:
            return self._alpha_shared
        return self._best_shared(self._state(theta, phi))

    def _squares(self, state, beta, *, gradient=False):
        """Return the squares of the residuals at beta, (w, c), and their slopes in the ratios."""
        squares, slope, by_phi = self._within, 0.0, 0.0
        spectra = [stack for stack, _ in self._model.stacks]
        parts = zip(spectra, state.white, self._responses, state.means, strict=True)
        for stack, white, responses, mean in parts:
            group, omega, share = responses.group, white.omega[:, 0], white.share[:, 0]
            root = np.sqrt(stack.l)
            r = responses.z - (root * (stack.U @ beta[:-1]))[group]
            rho = mean - (white.E[:, 0] @ beta)[group]
            mu = share[group] * rho
            squares += np.vdot(omega[group] * r, r) + mu @ rho
            if gradient:
                at_mean = (np.sqrt(stack.n)[group] * mu)[:, None] * stack.g[group]
                v = omega[group] * (root[group] * r + at_mean)
                square = (stack.n[group] * mu) @ mu
                slope += np.vdot(v, v) + (stack.n * stack.perp_square)[group] * mu @ mu
                by_phi += square
        return squares, np.array([slope, by_phi])

    def _state(self, theta, phi):
        """Return the ``_State`` at these ratios."""
        white, gram = self._model.marginal(theta, phi)
        spectra = [stack for stack, _ in self._model.stacks]
        given = [
            responses.given(stack, own)
            for stack, own, responses in zip(spectra, white, self._responses, strict=True)
        ]
        means, right = [mean for mean, _ in given], sum(part for _, part in given)
        state = _State(white, gram, means, right, self._model.flat(white))
        if not self._estimates_center:
            return state
        S, r, c = gram[:-1, :-1], right[:-1], gram[-1, -1]
        has_intercept = not self._fixed_intercept and c > 0
        if has_intercept:
            S, r = S - np.outer(gram[-1, :-1], gram[-1, :-1] / c), r - gram[-1, :-1] * right[-1] / c
        e, vectors = np.linalg.eigh(S)
        e = np.where(e > 8 * len(e) * _EPS * e.max(initial=0.0), e, 0.0)
        r = np.where(e > 0, vectors.T @ r, 0.0)
        beta = np.zeros(len(right))
        beta[:-1] = vectors @ np.divide(r, e, out=np.zeros_like(r), where=e > 0)
        if has_intercept:
            beta[-1] = (right[-1] - gram[-1, :-1] @ beta[:-1]) / c
        return state._replace(e=e, r=r**2, squares=self._squares(state, beta)[0])

    def _best_shared(self, state):
        """Return the alpha_shared in (0, inf] with the largest likelihood.

        In eigenvectors of the system of the center, c eliminated, minus twice the log-likelihood is
        ``freedom log Q + sum_j log(1 + e_j / alpha_shared)`` and a constant, where Q is the
        residual with a flat center plus ``sum_j r_j^2 / e_j alpha_shared / (e_j + alpha_shared)``.
        """
        kept, d = state.e > 0, len(state.e)
        if not kept.any():
            return np.inf
        e, freedom = state.e[kept], self._total - state.flat
        fit = state.r[kept] / e
        squares = max(state.squares, _FLOOR * self._null + _TINY)
        grid = np.log(self._curvature) + np.log(_SHARED)
        if len(e) < d:  # else the system of the center is singular
            grid = np.maximum(grid, np.log(1e3 * d * _EPS * e.max()))
        share = np.exp(grid)[:, None] / (e + np.exp(grid)[:, None])
        values = freedom * np.log(squares + share @ fit) - np.log(share).sum(axis=1)
        best = values.argmin()
        if freedom * np.log(squares + fit.sum()) <= values[best] + _TIE:
            return np.inf
        x = grid[best]
        if 0 < best < len(grid) - 1:
            x = _minimum(x, grid[best - 1], grid[best + 1], e, fit, squares, freedom)
        return float(np.exp(x))


class _State(NamedTuple):
    """What the likelihood depends on at some ratios.

    ``white``: ``Whitened`` of each stack; ``gram`` and ``right``: ``X' V^-1 X`` and ``X' V^-1 y``;
    ``means``: of the targets, given the thin rows; ``flat``: coefficients under a flat prior. If
    the center is to be estimated: ``e`` and ``r`` (d,), eigenvalues of its system and the squares
    of its right-hand side, and ``squares``, those of the residuals with a flat center.
    """

    white: list
    gram: np.ndarray
    means: list
    right: np.ndarray
    flat: int
    e: np.ndarray | None = None
    r: np.ndarray | None = None
    squares: float = 0.0


def _minimum(x, low, high, e, fit, squares, freedom):
    """Return the log alpha_shared in a bracket where the likelihood of ``_best_shared`` is flat.

    By Newton's method, and bisection where that leaves the bracket.
    """
    last = np.inf
    while abs(x - last) > _NARROW and high - low > _NARROW:
        share = np.exp(x) / (e + np.exp(x))
        change = share * (1.0 - share)  # derivative of share in x
        rest, gain = squares + share @ fit, change @ fit
        slope = freedom * gain / rest - (1.0 - share).sum()
        bend = (change * (1.0 - 2.0 * share)) @ fit / rest - (gain / rest) ** 2
        bend = freedom * bend + change.sum()
        low, high = (x, high) if slope < 0 else (low, x)
        last, x = x, x - slope / bend if bend > 0 else low
        x = x if low < x < high else 0.5 * (low + high)
    return x


class _Responses(NamedTuple):
    """Targets of the tasks of a ``Spectrum``, in the order of their groups.

    ``group`` (t,): group of each task; ``first`` (B,): first task of each group; ``z`` (t, r):
    targets of the thin rows; ``mean`` (t,): mean of the targets.
    """

    group: np.ndarray
    first: np.ndarray
    z: np.ndarray
    mean: np.ndarray

    def given(self, stack, white):
        """Return the targets of the mean rows given the thin rows, and ``X' V^-1 y``."""
        omega, ridge, share = white.omega[:, 0], white.ridge[:, 0], white.share[:, 0]
        root = np.sqrt(stack.l)
        conditional = np.einsum("tr,tr->t", (root * stack.g * ridge)[self.group], self.z)
        mean = np.sqrt(stack.n)[self.group] * (self.mean - conditional)
        right = white.E[:, 0].T @ (share * np.add.reduceat(mean, self.first))
        thin = root * omega * np.add.reduceat(self.z, self.first)
        right[:-1] += thin.ravel()[stack.rows] @ stack.thin
        return mean, right


def _of_tasks(array, group):
    """Return ``array[group]``, without a copy where all tasks are in one group, or each in its own.

    ``group`` is sorted and has every number up to the largest.
    """
    if len(array) == len(group):
        return array
    return (
        np.broadcast_to(array, (len(group), *array.shape[1:])) if len(array) == 1 else array[group]
    )
