"""Copies of the coefficients, one per term of a penalty."""

import numpy as np

from skmtl.solvers._extrapolation import Extrapolation

_RELAXATION = 1.6
_CHECK = 5  # iterations between computations of the residuals
_COARSE = 1e-3  # accuracy above which nothing is extrapolated: models far from the loss
_LEAST = 1e-4  # smallest dual scale, as a share of the model's linear part
_STEEP = 3.0  # ratio of the residuals above which rho is changed


class Copies:
    """The copies Z of the coefficients and their subgradients U, a list for each part.

    Parameters
    ----------
    terms : list of list of Term
        Those of a `Penalty`.
    A : ndarray of shape (..., T, d + 1)
        The start.
    gradient : ndarray of the shape of A
        Gradient of the loss at the start, which the subgradients balance.
    has_intercept : bool
        Whether the last column is the intercept.
    """

    def __init__(self, terms, A, gradient, has_intercept):
        self._terms, self.rho = terms, 1.0
        zero = np.zeros_like(A)
        self.Z = [[A if i == 0 else zero for _ in part] for i, part in enumerate(terms)]
        self.U = [[gradient / -len(part) for _ in part] for part in terms]
        if has_intercept:  # penalized by the first term of the first part
            for i, part in enumerate(self.U):
                for j, U in enumerate(part):
                    U[..., -1] = 0.0 if i or j else -gradient[..., -1]
        self._states = [[None] * len(part) for part in terms]
        self.steep_rho = None
        self._rate = 1.0
        self._changes, self.primal, self.dual = 0, np.inf, np.inf
        shares = np.array([1.0 / len(part) for part in terms])
        self._effective, self._shares = 1.0 / shares.sum(), shares / shares.sum()

    def set_model(self, metric, linear):
        """Store the metric and the linear part of a model."""
        self.metric, self._root = metric, np.sqrt(metric)
        self._least_dual_scale = _LEAST * self.norm([linear], -1)
        self._steps = [[term.steps(metric) for term in part] for part in self._terms]

    def report(self):
        """Return the last residuals and rho, a dict."""
        named = {"primal_residual": self.primal, "dual_residual": self.dual, "rho": self.rho}
        return {name: float(value) for name, value in named.items()}

    def iterate(self, model, linear, accuracy, limit):
        """Iterate until both relative residuals are at most ``accuracy``; return the count."""
        total, next_change = sum(part[0] for part in self.Z), 10
        points, M = self._points(), self.rho * self.metric
        memory = Extrapolation(self._root, points)
        for iteration in range(1, limit + 1):
            look = iteration % _CHECK == 0 or iteration in (1, limit)
            B = [
                sum(2.0 * Z - V for Z, V in zip(Zs, Vs, strict=True)) / len(Zs)
                for Zs, Vs in zip(self.Z, points, strict=True)
            ]
            center, rho = sum(B[1:], B[0]), self._effective * self.rho
            goal = 0.01 * max(accuracy, min(self.primal, self.dual, 1.0))
            total = model.solve(linear + self._effective * M * center, rho, total, goal)
            P = [b + share * (total - center) for b, share in zip(B, self._shares, strict=True)]
            steps = [[_RELAXATION * (p - Z) for Z in Zs] for p, Zs in zip(P, self.Z, strict=True)]
            ahead = iteration % _CHECK == 1 and not look and accuracy <= _COARSE
            points = memory.next(points, steps, ahead)
            last, self.Z = self.Z, self._nearest(points)
            if not look:
                continue
            self.U = [
                [M * (V - Z) for V, Z in zip(Vs, Zs, strict=True)]
                for Vs, Zs in zip(points, self.Z, strict=True)
            ]
            self._look(P, last)
            now = max(self.primal, self.dual)
            if iteration <= max(limit // 2, 1):
                half = now
            if now <= accuracy:
                break
            if iteration >= next_change:
                next_change = 10 + int(1.3 * iteration)
                if self._balance():
                    points, M = self._points(), self.rho * self.metric
                    memory = Extrapolation(self._root, points)
        self._rate = (now / half) ** (2.0 / limit) if iteration == limit else 0.0
        return iteration

    def lacking(self, accuracy):
        """Estimate the iterations still needed for this accuracy from the last rate."""
        now = max(self.primal, self.dual)
        if now <= accuracy:
            return 0.0
        return np.log(now / accuracy) / max(-np.log(max(self._rate, 1e-3)), 1e-9)

    def _points(self):
        """Return the points of which the copies are the prox, lists as the copies."""
        M = self.rho * self.metric
        return [
            [Z + U / M for Z, U in zip(Zs, Us, strict=True)]
            for Zs, Us in zip(self.Z, self.U, strict=True)
        ]

    def _nearest(self, points):
        """Return the prox of each term at its point."""
        return [[self._prox(j, i, V) for i, V in enumerate(part)] for j, part in enumerate(points)]

    def prox(self, part, number, P, U):
        """Return the copy of term ``number`` of a part, the prox at P, and its subgradient."""
        M = self.rho * self.metric
        V = P + U / M
        Z = self._prox(part, number, V)
        return Z, M * (V - Z)

    def _prox(self, part, number, V):
        states = self._states[part]
        Z, states[number] = self._terms[part][number].augmented_prox(
            V, self._scaled_steps(part, number), states[number]
        )
        return Z

    def derivative(self, part, number, P, U, Z):
        """Return the derivative of ``prox`` in P, where it is Z; see `Term`."""
        V = P + U / (self.rho * self.metric)
        steps = self._scaled_steps(part, number)
        return self._terms[part][number].derivative(V, steps, Z)

    def _scaled_steps(self, part, number):
        return [step / self.rho for step in self._steps[part][number]]

    def dual_scale(self, U):
        """Return the norm of the subgradients, at least a share of that of the linear part."""
        return max(self.norm((u for part in U for u in part), -1), self._least_dual_scale) or 1.0

    def norm(self, arrays, sign):
        """Return the norm of some arrays, in M for ``sign`` 1 and in its inverse for -1."""
        root = self._root if sign > 0 else 1.0 / self._root
        return np.sqrt(sum(np.square(A * root).sum() for A in arrays))

    def _look(self, P, last):
        """Compute the relative residuals, in the norms of M and of its inverse."""
        Z, old = ([Z for part in Zs for Z in part] for Zs in (self.Z, last))
        own = [p for p, part in zip(P, self.Z, strict=True) for _ in part]
        gap = self.norm((p - z for p, z in zip(own, Z, strict=True)), 1)
        size = max(self.norm(own, 1), self.norm(Z, 1))
        change = self.rho * self.norm((z - o for z, o in zip(Z, old, strict=True)), 1)
        self.primal = gap / size if size else float(gap > 0)
        self.dual = change / self.dual_scale(self.U)

    def _balance(self):
        """Change rho by the ratio of the residuals, by factors that tend to 1; return whether."""
        ratio = np.sqrt(max(self.primal, 1e-16) / max(self.dual, 1e-16))
        self._changes += 1
        most = 1.0 + 1e4 / self._changes**2
        steep = not 1 / _STEEP < ratio**2 < _STEEP
        if steep:
            self.rho *= min(max(ratio, 1 / most), most)
        return steep
