"""A `TaskPenalty` on the coefficients, plus a ridge coupling of the centered intercepts."""

from dataclasses import dataclass, replace

import numpy as np

from skmtl._optimize import floored, geometric_mean
from skmtl.penalties._base import Coefficients, Penalty, Split, Term
from skmtl.penalties._center import intercept_prox
from skmtl.penalties._stacking import by_task, stacked, stacked_step, stacked_structure, unstacked
from skmtl.penalties._task_penalty import Decomposed, Sum, TaskPenalty, members, with_ridges_inside

_HUGE = 1e30


@dataclass(frozen=True)
class StructuredPenalty(Penalty):
    """``strength penalty(W) + alpha_intercept/2 sum_t q_t^2``, with w fixed at zero.

    Parameters
    ----------
    penalty : TaskPenalty, bound
        The penalty on the coefficients.
    strength : float
        Weight that multiplies it, in [0, inf].
    alpha_intercept : float
        Penalty weight of the deviations of centered intercepts, in [0, inf].
    fixed_intercept : bool
        Whether the model has no intercepts.
    """

    penalty: TaskPenalty
    strength: float
    alpha_intercept: float
    fixed_intercept: bool = False

    @property
    def written(self):
        """The terms of each part of the penalty as given by the user, a list of lists."""
        return [members(part, Sum) for part in members(self.penalty, Decomposed)]

    @property
    def parts(self):
        """The terms of each part for solvers: ridges are merged into other terms."""
        return [with_ridges_inside(terms) for terms in self.written]

    def bare(self, split):
        """Return the ``Split`` projected to the null sets of norms: zeros, or the mean of tasks.

        None if a part has no term with a null set.
        """
        kinds = [{term.null_set for term in terms} for terms in self.parts]
        if not all(kind & {"zero", "pooled"} for kind in kinds):
            return None
        parts = [
            0.0 * P if "zero" in kind else np.zeros_like(P) + P.mean(axis=-2, keepdims=True)
            for kind, P in zip(kinds, split.parts, strict=True)
        ]
        return split.with_parts(parts)

    def norms(self):
        """Return the norm of each part, without ridges."""
        norms = []
        for terms in self.written:
            kinks = [term for term in terms if term.is_norm]
            if len(kinks) != 1:
                raise ValueError(
                    "alpha_max requires one norm in the penalty, or in each part of a decomposed "
                    f"one; got {len(kinks)} in {terms!r}. For a sum of several norms, the "
                    "alpha_max of one of them is an upper bound."
                )
            if len(terms) > 1 and kinks[0].null_set != "zero":
                raise ValueError(
                    f"alpha_max is not defined for a norm of differences plus others, {terms!r}: "
                    "the pooled solution depends on alpha. Use the alpha_max of the norm alone."
                )
            norms += kinks
        return norms

    def dual_norm(self, G):
        """Return the largest dual norm of G (..., T, d) over the parts."""
        return max(norm.dual_norm(stacked(norm, G)) for norm in self.norms())

    def hard(self):
        """Return the penalty with infinite weight."""
        return replace(self, strength=np.inf)

    @property
    def coercive(self):
        """Whether each part has a norm or ridge that keeps its coefficients finite."""
        return self.strength > 0 and all(
            any(term.null_set == "zero" or term.coercive for term in part) for part in self.written
        )

    def value(self, coefficients, split=None):
        """Return the penalty, a float."""
        alpha = self.curvature().q
        value = 0.5 * alpha * float((coefficients.q**2).sum())
        if 0 < self.strength < np.inf:
            parts = (split or self.split(coefficients.W)).parts
            for terms, part in zip(self.parts, parts, strict=True):
                value += self.strength * sum(t.value(stacked(t, part)) for t in terms)
        return value

    def gradient(self, coefficients):
        """Return the gradient of the smooth part, the coupling of the intercepts."""
        zeros = coefficients.times(0.0)
        return zeros._replace(q=self.curvature().q * coefficients.q)

    def curvature(self):
        """Return the curvature of the smooth part."""
        alpha = self.alpha_intercept
        return Coefficients(0.0, alpha if np.isfinite(alpha) else 0.0, 0.0, 0.0)

    def free(self):
        """Return 1.0 for free and 0.0 for fixed parts."""
        free = float(np.isfinite(self.alpha_intercept))
        return Coefficients(1.0, free, 0.0, float(not self.fixed_intercept))

    def residual(self, coefficients, gradient, units, split=None):
        """Return the gradient, with the residual of the KKT conditions in V.

        U is a subgradient of a term at P if ``P = prox(P + s U, s)``, for any s. If the two sides
        differ by e, it holds exactly at ``P - e`` with ``U + e / s``. The residual is the larger
        of the two errors as a gradient: ``e curvature`` and ``e / s``. The subgradient of the last
        term of a part is minus the gradient of the loss and of the other terms.
        """
        split = split or self.split(coefficients.W)
        curvature = floored(units.V**2)
        largest = np.zeros_like(gradient.V)
        for terms, part, duals in zip(self.parts, split.parts, split.duals, strict=True):
            rest = -gradient.V
            for number, (term, dual) in enumerate(zip(terms, [*duals[:-1], None], strict=True)):
                # without given duals, the last term of the part gets the whole gradient
                U = dual if dual is not None else rest if number == len(terms) - 1 else 0.0 * rest
                rest = rest - U
                step = 1.0 / geometric_mean(curvature, term.prox_scaling)
                target = part + step * U
                e = np.abs(part - self._prox(term, target, step)[0])
                e[e <= term.accuracy * np.linalg.norm(target)] = 0.0
                largest = np.maximum(largest, np.maximum(e / step, e * curvature))
        return super().residual(coefficients, gradient, units)._replace(V=largest)

    @property
    def terms(self):
        """The terms of each part; only those of the first part have intercepts."""
        return [
            [self._term(t, i, j) for j, t in enumerate(terms)] for i, terms in enumerate(self.parts)
        ]

    def _term(self, term, part, number):
        def intercept_after(intercept, step):
            if part > 0:
                return np.zeros_like(intercept)
            return (
                intercept_prox(intercept, step, self.alpha_intercept) if number == 0 else intercept
            )

        def prox(W, intercept, step, intercept_step, state):
            W, state = self._prox(term, W, step, state)
            return W, intercept_after(intercept, intercept_step), state

        def derivative(W, intercept, step, intercept_step, result):
            inner = term._derivative_at(
                stacked(term, result), stacked(term, W), self._step(term, W, step)
            )
            if inner is None:
                return None

            def product(D, q):
                D = unstacked(term, inner[0](stacked(term, D)), D.shape)
                return D, intercept_after(q, intercept_step)

            own = self.curvature().q if number == 0 else 0.0
            intercepts = (part == 0) / (1.0 + own * intercept_step)
            return product, by_task(term, inner[1], W.shape), intercepts

        return Term(prox, derivative, term.prox_scaling)

    def _prox(self, term, W, step, state=None):
        Z, state = term._prox_from(state, stacked(term, W), self._step(term, W, step))
        return unstacked(term, Z, W.shape), state

    def _step(self, term, W, step):
        """Return a step times ``strength``, stacked as the coefficients are."""
        strength = self.strength
        if np.isinf(strength) and step.size > 1:
            strength = _HUGE  # keeps the ratios of the steps, which matter in the limit
        if strength != 1:
            step = strength * step if strength > 0 else np.zeros_like(step)
        return stacked_step(term, step, W.shape)

    def coefficients(self, W, intercept):
        """Return ``Coefficients`` of W (..., T, d) and centered intercepts (..., T)."""
        c = intercept.mean(axis=-1) * (not self.fixed_intercept)
        q = (intercept - c[:, None]) * self.free().q
        return Coefficients(W, q, np.zeros((len(W), W.shape[-1])), c)

    def structure(self, split, tasks):
        """Return the structure of each part, a list of dicts."""
        return [
            _together(stacked_structure(t, S, tasks) for t, S in zip(terms, copies, strict=True))
            for terms, copies in zip(self.parts, split.copies, strict=True)
        ]

    def split(self, W):
        """Return a default ``Split`` of W: all in the first part, no duals."""
        copies = [[W if i == 0 else 0.0 * W for _ in part] for i, part in enumerate(self.parts)]
        return Split([part[0] for part in copies], copies, [[None] * len(part) for part in copies])

    def take(self, tasks):
        """Return the penalty for some of the tasks, an index array."""
        return replace(self, penalty=self.penalty.take(tasks))


def _together(found):
    """Return the union of dicts; masks of the same name are combined by and."""
    merged = {}
    for part in found:
        for name, value in part.items():
            both = name in merged and np.asarray(value).dtype == bool
            merged[name] = merged[name] & value if both else merged.get(name, value)
    return merged
