"""The method of multipliers, by semismooth Newton steps."""

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

from skmtl._linalg import SymmetricSolver
from skmtl._optimize import stationary_share

_CG_ITER = 300
_CG_RTOL = 1e-6
_WHOLE = 600  # largest system that is factored if conjugate gradients fail
_DAMPING = 0.01  # of a Newton step, as a share of the metric, far from the solution
_ROUNDING = 1e-12  # relative residual below which a Newton step is noise
_STEEPER = 5.0  # factor of rho
_STEEPEST = 1e4  # rho over that of ADMM, at most


class Multipliers:
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

    def __init__(self, copies, model, linear):
        self._copies, self._model, self._linear = copies, model, linear
        self._whole = False

    def run(self, accuracy, limit):
        """Iterate until both relative residuals are at most ``accuracy``; return the step count."""
        copies, mild = self._copies, self._copies.rho
        copies.rho, last_gap = copies.steep_rho or mild, np.inf
        P = np.array([part[0] for part in copies.Z])
        for count in range(1, limit + 1):  # noqa: B007
            gradient, Z, U, gap, size = self._evaluate(P)
            scale = copies.dual_scale(U)
            rest = copies.norm(gradient, -1) / scale
            enough = min(0.1 * copies.rho * gap / scale, 1e-2)
            if rest <= max(enough, 0.1 * accuracy, _ROUNDING):
                copies.Z, copies.U = Z, U
                copies.primal, copies.dual = gap / (size or 1.0), rest
                if max(copies.primal, copies.dual) <= accuracy:
                    break
                far = gap > 0.2 * last_gap and copies.primal > copies.dual
                if far and copies.rho < _STEEPEST * mild:
                    copies.rho *= _STEEPER
                last_gap = gap
                continue
            share = min(1.0, rest)
            direction = self._newton(P, gradient, share, _DAMPING * share * mild / copies.rho)
            length = stationary_share(
                lambda t, P=P, D=direction: float(np.vdot(self._evaluate(P + t * D)[0], D)),
                float(np.vdot(gradient, direction)),
            )
            if length == 0.0:
                break
            P = P + length * direction
        copies.steep_rho, copies.rho = copies.rho, mild
        return count

    def _evaluate(self, P):
        """Return gradient, copies, subgradients, norm of P minus copies, and norm of the copies."""
        copies = self._copies
        loss = self._model.product(P.sum(axis=0)) - self._linear
        pairs = [
            [copies.prox(j, i, P[j], U) for i, U in enumerate(part)]
            for j, part in enumerate(copies.U)
        ]
        Z = [[Z for Z, _ in part] for part in pairs]
        U = [[U for _, U in part] for part in pairs]
        gradient = np.array([loss + sum(part) for part in U])
        gap = copies.norm((p - z for p, part in zip(P, Z, strict=True) for z in part), 1)
        return gradient, Z, U, gap, copies.norm((z for part in Z for z in part), 1)

    def _newton(self, P, gradient, share, damping):
        """Return the Newton step, to the relative residual ``share / 10``."""
        copies = self._copies
        M = copies.rho * copies.metric
        parts = [
            [copies.derivative(j, i, P[j], U) for i, U in enumerate(part)]
            for j, part in enumerate(copies.U)
        ]

        def product(x):
            D = x.reshape(P.shape)
            out = self._model.product(D.sum(axis=0)) + damping * M * D
            for j, part in enumerate(parts):
                for function, _ in part:
                    out[j] += M * (D[j] - function(D[j]))
            return out.ravel()

        if self._whole:
            return self._solved(product, gradient)
        blocks = [[blocks for _, blocks in part] for part in parts]
        condition = self._model.preconditioner(blocks, copies.rho, damping)
        shape = P.size, P.size
        step, failed = cg(
            LinearOperator(shape, product, dtype=np.float64),
            -gradient.ravel(),
            rtol=max(0.1 * share, _CG_RTOL),
            maxiter=_CG_ITER,
            M=LinearOperator(shape, lambda r: condition(r.reshape(P.shape)).ravel()),
        )
        if failed and P.size <= _WHOLE:
            self._whole = True
            return self._solved(product, gradient)
        return step.reshape(P.shape)

    def _solved(self, product, gradient):
        """Return the solution by factoring the whole system, formed column by column."""
        A = np.array([product(unit) for unit in np.eye(gradient.size)])
        step = SymmetricSolver(0.5 * (A + A.T)).solve(-gradient.ravel())
        return step.reshape(gradient.shape)
