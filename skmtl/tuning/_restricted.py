"""Restricted likelihood of the random-coefficient model."""

import numpy as np

from skmtl.tuning._marginal import MarginalModel, segment_sums

_FLOOR = 1e-30  # least share of the squares of y in sigma2
_ROUNDING = 1e-26  # share of the squares of y that is rounding error
_TINY = np.finfo(np.float64).tiny


class RestrictedLikelihood:
    """Compute minus twice the restricted log-likelihood, with the noise variance profiled out.

    The model is ``y_i = x_i . (w + v_t) + c + q_t + e_i`` at centered features, with
    v_t ~ N(0, sigma2 / alpha_t I), q_t ~ N(0, sigma2 / alpha_intercept), e_i ~ N(0, sigma2),
    and w ~ N(0, sigma2 / alpha_shared I), or flat if that is 0; c is flat. Weights count rows: N is
    their sum, and weight 2 repeats a row. With ``sigma2 V`` the covariance of y and p the rank of
    the design X of the flat coefficients::

        -2 l_R = (N - p) (1 + log(2 pi sigma2)) + log|V| + log|X' V^-1 X|,
        sigma2 = (y - X beta)' V^-1 (y - X beta) / (N - p)

    where sigma2 is twice the minimum of the objective over N - p. The constant is that of lme4 and
    nlme: columns of X are not scaled, and those that depend on earlier ones are left out.

    Parameters
    ----------
    problem : Problem
        Of the squared loss and a ``MeanCoupling``.

    References
    ----------
    H. D. Patterson and R. Thompson (1971). Recovery of inter-block information when block sizes
    are unequal. Biometrika 58. https://doi.org/10.1093/biomet/58.3.545
    """

    def __init__(self, problem):
        self._model = model = MarginalModel(problem.data, problem.penalty)
        data, loss, groups = model.data, problem.loss, model.groups
        penalty = problem.penalty
        self._alpha_shared = 0.0 if penalty.fixed_center else penalty.alpha_shared
        T, W = data.n_tasks, np.zeros((data.n_tasks, data.n_features))
        null = data.loss_sums(loss, W[None], np.zeros((1, T)))
        if null.squares.sum() <= 1e4 * _TINY and data.y.any():
            raise ValueError(
                f"The squares of y sum to {null.squares.sum():.1e}, and such numbers have few "
                "digits: values of y or the weights are too small for their squares. Scale them."
            )
        self._mean = -null.R[0] / data.totals
        covariance = -data.loss_sums(loss, W[None], self._mean[None]).G[0]
        # Thin responses z = P'y of each task, in the order of groups.
        tasks, rows, z = [], [], []
        for g, members in enumerate(groups.members()):
            own = slice(model.start[g], model.start[g] + model.size[g])
            U, root = model.U[own], np.sqrt(model.l[own])
            Z = covariance[members] @ U.T / root
            W[members] = (Z / root) @ U
            tasks.append(members)
            rows.append(np.tile(np.arange(own.start, own.stop), len(members)))
            z.append(Z.ravel())
        self._order = np.concatenate(tasks)
        self._group = groups.of_task[self._order]
        self._row, self._z = np.concatenate(rows), np.concatenate(z)
        self._size = model.size[self._group]
        self._start = np.cumsum(self._size) - self._size
        self._task = np.repeat(np.arange(T), self._size)
        intercept = self._mean - np.einsum("tj,tj->t", W, model.delta[groups.of_task])
        self._within = data.loss_sums(
            loss, W[None], intercept[None]
        ).squares.sum()  # what no thin row explains
        self._mean = self._mean[self._order]
        self._null = null.squares.sum()
        self._total = data.totals.sum()

    @property
    def model(self):
        """The marginal covariance."""
        return self._model

    def degrees_of_freedom(self, theta, phi):
        """Return N - p."""
        return self._total - self._model.fixed(theta, phi).flat

    def ratios(self, weights):
        """Return theta and phi of a dict of alpha, a number or (T,), and alpha_intercept."""
        alpha = weights["alpha"]
        alpha = self._model.groups.alpha if np.ndim(alpha) else np.float64(alpha)
        with np.errstate(divide="ignore", over="ignore"):
            return 1.0 / alpha, 1.0 / np.float64(weights["alpha_intercept"])

    def exact(self, theta, phi):
        """Return whether sigma2 is zero up to rounding errors."""
        freedom, sigma2 = self.degrees_of_freedom(theta, phi), self.evaluate(theta, phi)[1]
        return sigma2 * freedom <= _ROUNDING * self._null + 2 * _TINY

    def evaluate(self, theta, phi, *, gradient=False):
        """Return -2 l_R and sigma2, with ``gradient`` also the derivatives in theta and phi.

        ``theta`` is ``1 / alpha``, a number or one for each group, and ``phi`` is
        ``1 / alpha_intercept``.
        """
        model, row, task, group = self._model, self._row, self._task, self._group
        fixed = model.fixed(theta, phi)
        root, n_root = np.sqrt(model.l), np.sqrt(model.n)
        # The mean row, conditional on the thin rows.
        conditional = segment_sums(
            (root * model.g * fixed.pull)[row] * self._z, self._start, self._size
        )
        mean = n_root[group] * (self._mean - conditional)
        right = fixed.E.T @ (fixed.share * np.bincount(group, mean, len(model.n)))
        right[:-1] += (root * fixed.omega * np.bincount(row, self._z, len(root))) @ model.U
        beta = np.zeros(len(right))
        beta[model.columns] = np.linalg.solve(fixed.system, right[model.columns])
        r = self._z - (root * (model.U @ beta[:-1]))[row]
        rho = mean - (fixed.E @ beta)[group]
        squares = (
            (fixed.omega[row] * r) @ r
            + (fixed.share[group] * rho) @ rho
            + self._within
            + self._alpha_shared * (beta[:-1] @ beta[:-1])
        )
        freedom = self._total - fixed.flat
        sigma2 = max(squares, _FLOOR * self._null + _TINY) / freedom
        value = freedom * (1 + np.log(2 * np.pi * sigma2)) + fixed.log_det
        if not gradient:
            return value, sigma2
        by_theta, by_phi = model.traces(fixed)
        mu = fixed.share[group] * rho
        pull = fixed.omega[row] * (root[row] * r + model.g[row] * (n_root[group] * mu)[task])
        beyond = (model.n * model.perp_square)[group] * mu
        by_theta -= (pull @ pull + beyond @ mu) / sigma2
        by_phi -= (model.n[group] * mu) @ mu / sigma2
        return value, sigma2, np.array([by_theta, by_phi])
