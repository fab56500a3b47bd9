"""Newton steps where all tasks have the same rows, fewer than features."""

import numpy as np

from skmtl._linalg import SymmetricSolver
from skmtl.penalties import Coefficients


class RowSystem:
    """Solve a ridge of several targets of the same rows by one matrix of these rows.

    The deviations from a fixed center are ``V' = A' (AA' + alpha I)^-1 sqrt(s) r``. Here s (n,) are
    the weights of the rows, ``A = sqrt(s) (X - mean)`` (n, d), without intercepts ``sqrt(s) X``,
    and r (n, T) the residuals without deviations, minus their mean: a product of A', V has no part
    outside of the space of the rows, for any alpha.

    Parameters
    ----------
    problem : Problem
        Of a squared loss, to which this ``applies``.

    References
    ----------
    C. Saunders, A. Gammerman, V. Vovk (1998). Ridge regression learning algorithm in dual
    variables. ICML.
    """

    def __init__(self, problem):
        data, penalty = problem.data, problem.penalty
        weight, self._has_intercept = data.weight.ravel(), penalty.alpha_intercept == 0
        self._data, self._weight = data, weight / weight.sum()
        self._root, self._dual = np.sqrt(weight)[:, None], None
        if self._has_intercept:
            self._rows, self._mean, _ = data.block_rows(0)
        else:
            self._rows, self._mean = self._root * data.X, np.zeros(data.n_features)
        self._alpha = penalty.alpha[0] / data.scale[0]
        gram = self._rows @ self._rows.T
        gram.flat[:: len(gram) + 1] += self._alpha
        self._solver = SymmetricSolver(gram)

    @staticmethod
    def applies(problem):
        """Return whether tasks share all rows, with one alpha, and have nothing else in common."""
        data, penalty = problem.data, problem.penalty
        return (
            penalty.around_center
            and data.rotates
            and isinstance(data.X, np.ndarray)
            and problem.loss.constant_curvature is not None
            and data.block_sizes.tolist() == [data.n_rows]
            and (data.scale == data.scale[0]).all()
            and 0 < penalty.alpha.min() == penalty.alpha.max() < np.inf
            and penalty.fixed_center
            and penalty.alpha_intercept in ((0, np.inf) if penalty.fixed_intercept else (0,))
        )

    def step(self, point):
        """Return the coefficients after a step, the second and later ones of refinement."""
        data, (V, q, w, c), refines = self._data, point, self._dual is not None
        slopes = w + V[0] if refines else w
        residual = data.y.reshape(data.n_rows, -1) - (q[0] + c)
        if slopes.any():
            residual -= data.X @ slopes.T
        if self._has_intercept:
            level = self._weight @ residual
            q, residual = q + level, residual - level
        right = self._root * residual
        if refines:
            right -= self._alpha * self._dual
        change = self._solver.solve(right)
        step = (self._rows.T @ change).T
        self._dual = self._dual + change if refines else change
        if self._has_intercept:
            q = q - step @ self._mean
        return Coefficients(V + step if refines else step[None], q, w, c)
