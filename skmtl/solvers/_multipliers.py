"""The method of multipliers, by semismooth Newton steps."""

import numpy as np

from skmtl._linalg import SymmetricSolver
from skmtl._optimize import Lagrangian, MethodOfMultipliers, conjugate_gradients

_CG_ITER = 300
_CG_RTOL = 1e-6
_WHOLE = 600  # largest system that is factored if conjugate gradients fail
_DAMPING = 0.01  # of a Newton step, as a share of the metric, far from the solution
_STEEPEST = 1e4  # rho over that of ADMM, at most


class Multipliers(MethodOfMultipliers):
    """Minimize the augmented Lagrangian of ``Copies`` over the coefficients jointly.

    Eliminating the copies leaves the Moreau envelope of each term, with second derivative
    ``rho M (I - J)``, J the derivative of the prox. Semismooth Newton steps, by conjugate gradients
    preconditioned with the tasks' blocks, are robust to ill conditioning. They are used where ADMM
    is slow, and near the solution, where few are needed.

    Parameters
    ----------
    copies : Copies
    model : SpectralModel or MatrixFreeModel
    linear : ndarray of shape (..., T, d + 1)
        The linear part of the model.

    References
    ----------
    X. Li, D. Sun, K.-C. Toh (2018). A highly efficient semismooth Newton augmented Lagrangian
    method for solving Lasso problems. SIAM Journal on Optimization 28.
    https://doi.org/10.1137/16M1097572
    """

    noise = 1e-12
    factor = 5.0

    def __init__(self, copies, model, linear):
        self._copies, self._model, self._linear = copies, model, linear
        self._mild, self._whole = copies.rho, False
        self.max_rho = _STEEPEST * copies.rho

    def run(self, accuracy, limit):
        """Iterate until both relative residuals are at most ``accuracy``; return the step count."""
        copies, self.accuracy = self._copies, accuracy
        copies.rho = copies.steep_rho or copies.rho
        _, count = self.minimize(np.array([part[0] for part in copies.Z]), limit)
        copies.steep_rho, copies.rho = copies.rho, self._mild
        return count

    @property
    def rho(self):
        """That of the copies."""
        return self._copies.rho

    @rho.setter
    def rho(self, rho):
        self._copies.rho = rho

    def evaluate(self, P):
        """Return the ``Lagrangian`` at parts P (n_parts, ..., T, d + 1)."""
        copies = self._copies
        loss = self._model.product(P.sum(axis=0)) - self._linear
        pairs = [
            [copies.prox(j, i, P[j], U) for i, U in enumerate(part)]
            for j, part in enumerate(copies.U)
        ]
        Z, U = ([[pair[k] for pair in part] for part in pairs] for k in (0, 1))
        gradient = np.array([loss + sum(part) for part in U])
        gap = copies.norm((p - z for p, part in zip(P, Z, strict=True) for z in part), 1)
        size = copies.norm((z for part in Z for z in part), 1) or 1.0
        scale = copies.dual_scale(U)
        rest = copies.norm(gradient, -1) / scale
        return Lagrangian(gradient, gap / size, rest, copies.rho * gap / scale, Z, U)

    def update(self, at):
        """Store copies, subgradients and residuals of a ``Lagrangian``."""
        copies = self._copies
        copies.Z, copies.U = at.copies, at.multipliers
        copies.primal, copies.dual = at.primal, at.dual

    def newton(self, P, at):
        """Return the Newton step, to a tenth of its relative residual; None without derivatives."""
        copies, share = self._copies, min(1.0, at.dual)
        M, damping = copies.rho * copies.metric, _DAMPING * share * self._mild / copies.rho
        parts = [
            [copies.derivative(j, i, P[j], U, at.copies[j][i]) for i, U in enumerate(part)]
            for j, part in enumerate(copies.U)
        ]
        if any(None in part for part in parts):
            return None

        def product(D):
            out = self._model.product(D.sum(axis=0)) + damping * M * D
            for j, part in enumerate(parts):
                for function, *_ in part:
                    out[j] += M * (D[j] - function(D[j]))
            return out

        if self._whole:
            return self._solved(product, at.gradient)
        blocks = [[blocks for _, *blocks in part] for part in parts]
        step, failed = conjugate_gradients(
            product,
            -at.gradient,
            self._model.preconditioner(blocks, copies.rho, damping),
            rtol=max(0.1 * share, _CG_RTOL),
            maxiter=_CG_ITER,
        )
        if failed and P.size <= _WHOLE:
            self._whole = True
            return self._solved(product, at.gradient)
        return step

    def _solved(self, product, gradient):
        """Return the solution by factoring the whole system, formed column by column."""
        units = np.eye(gradient.size).reshape(-1, *gradient.shape)
        A = np.array([product(unit).ravel() for unit in units])
        step = SymmetricSolver(0.5 * (A + A.T)).solve(-gradient.ravel())
        return step.reshape(gradient.shape)
