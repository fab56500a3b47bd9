"""Matrix-free Newton steps by conjugate gradients."""

import numpy as np

from skmtl._optimize import conjugate_gradients
from skmtl.penalties import Coefficients
from skmtl.solvers._base import NewtonSolver


class ConjugateGradientSolver(NewtonSolver):
    """Solve for center and deviations jointly, by products of X and vectors.

    Memory is a few times that of the coefficients, (T + 1)(d + 1) numbers. The preconditioner is
    the diagonal, constant over the features of an unpenalized center: where that is not
    identified, the iterates then converge to the solution of smallest norm.
    """

    advice = "use solver='direct' if memory allows, increase max_iter, or scale the features"

    @classmethod
    def objection(cls, problem):
        """Return why this solver does not support the problem, or None."""
        reason = super().objection(problem)
        if reason is not None:
            return reason
        if (problem.penalty.star().alpha == 0).any():
            return "alpha=0 leaves coefficients unidentified, which requires solver='direct'"
        return None

    def setup(self, evaluation):
        """Prepare the operator and its preconditioner."""
        data, penalty, loss = self.problem.data, self.problem.penalty, self.problem.loss
        strength = penalty.curvature
        self._shapes = [part.shape for part in evaluation.gradient]
        self._free = self._pack(penalty.free)
        self._derivative = evaluation.sums.derivative
        if self._derivative is not None:
            curvature = loss.curvature(self._derivative)
            # One for all classes: what is the same in all of them, the data do not see.
            data = data.curved(curvature.mean(axis=0))
        curvature = data.square_norms
        center = curvature.sum(axis=0)
        if strength.w == 0:
            center[:] = center.sum() / max(1, center.size)
        diagonal = self._pack(strength) + self._pack(
            Coefficients(curvature, data.totals, center, data.totals.sum())
        )
        self._diagonal = np.where(diagonal == 0, 1.0, diagonal)

    def step(self, coefficients, evaluation):
        """Return the coefficients after a Newton step."""

        def count(_):
            self.n_iter += 1

        x, _ = conjugate_gradients(
            self._product,
            -self._pack(evaluation.gradient),
            lambda r: r / self._diagonal,
            rtol=self.rtol,
            maxiter=self.max_iter - self.n_iter,
            callback=count,
        )
        self.n_iter += not x.any()
        return coefficients.plus(self._unpack(x))

    def _pack(self, parts):
        return np.concatenate(
            [
                np.broadcast_to(part, shape).ravel()
                for part, shape in zip(parts, self._shapes, strict=True)
            ]
        )

    def _unpack(self, x):
        ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes])
        parts = zip(np.split(x, ends[:-1]), self._shapes, strict=True)
        V, q, w, c = (part.reshape(shape) for part, shape in parts)
        return Coefficients(V, q, w, c)

    def _product(self, x):
        parts = self._unpack(x)
        G, R = self.problem.data.curvature_product(
            self.problem.loss, self._derivative, parts.W, parts.intercept
        )
        gradient = self._pack(Coefficients(G, R, G.sum(axis=1), R.sum(axis=1)))
        return self._free * (gradient + self._pack(self.problem.penalty.gradient(parts)))
