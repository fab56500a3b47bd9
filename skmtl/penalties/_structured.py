"""A `TaskPenalty` on the coefficients, plus a ridge coupling of the centered intercepts."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from skmtl._optimize import floored, geometric_mean
from skmtl.penalties._base import Coefficients, Penalty, Split
from skmtl.penalties._coupled import coupling_of
from skmtl.penalties._task_penalty import Decomposed, Sum, TaskPenalty, members, with_ridges_inside
from skmtl.penalties._term import Term


@dataclass(frozen=True)
class StructuredPenalty(Penalty):
    """``alpha penalty(W) + alpha_intercept/2 sum_t q_t^2``, with w fixed at zero.

    Parameters
    ----------
    penalty : TaskPenalty, bound
        The penalty on the coefficients.
    alpha : float
        Weight that multiplies it, in [0, inf].
    alpha_intercept : float
        Penalty weight of the deviations of centered intercepts, in [0, inf].
    fixed_intercept : bool
        Whether the model has no intercepts.
    """

    penalty: TaskPenalty
    alpha: float
    alpha_intercept: float
    fixed_intercept: bool = False

    @property
    def written(self):
        """The terms of each part of the penalty as given by the user, a list of lists."""
        return [members(part, Sum) for part in members(self.penalty, Decomposed)]

    @cached_property
    def terms(self):
        """The `Term` list of each part: ridges are merged, the first term has the intercepts."""

        def term(i, j, penalty):
            alpha_intercept = self.alpha_intercept if i == j == 0 else 0.0
            return Term(penalty, self.alpha, not self.fixed_intercept, alpha_intercept, i == 0)

        parts = map(with_ridges_inside, self.written)
        return [[term(i, j, p) for j, p in enumerate(part)] for i, part in enumerate(parts)]

    def bare(self, split):
        """Return the ``Split`` projected to the null sets of norms: zeros, or the mean of tasks.

        None if a part has no term with a null set.
        """
        kinds = [{term.penalty.null_set for term in part} for part in self.terms]
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
            found = [term for term in terms if term.is_norm]
            if len(found) != 1:
                raise ValueError(
                    "alpha_max requires one norm in the penalty, or in each part of a decomposed "
                    f"one; got {len(found)} in {terms!r}. For a sum of several norms, the "
                    "alpha_max of one of them is an upper bound."
                )
            if len(terms) > 1 and found[0].null_set != "zero":
                raise ValueError(
                    f"alpha_max is not defined for a norm of differences plus others, {terms!r}: "
                    "the pooled solution depends on alpha. Use the alpha_max of the norm alone."
                )
            norms += found
        return norms

    def dual_norm(self, G):
        """Return the largest dual norm of G (..., T, d) over the parts."""
        return max(Term(norm, 1.0).dual_norm(G) for norm in self.norms())

    def hard(self):
        """Return the penalty with infinite weight."""
        return replace(self, alpha=np.inf)

    @property
    def coercive(self):
        """Whether each part has a norm or ridge that keeps its coefficients finite."""
        return self.alpha > 0 and all(
            any(term.null_set == "zero" or term.coercive for term in part) for part in self.written
        )

    def value(self, coefficients, split=None):
        """Return the penalty, a float."""
        value = 0.5 * float(self.curvature.q) * float(np.vdot(coefficients.q, coefficients.q))
        if 0 < self.alpha < np.inf:
            parts = (split or self.split(coefficients.W)).parts
            for terms, part in zip(self.terms, parts, strict=True):
                value += self.alpha * sum(term.value(part) for term in terms)
        return value

    def diagonal(self):
        """Return the curvature of the smooth part, inf where a part is fixed."""
        intercept = np.inf if self.fixed_intercept else 0.0
        return Coefficients(0.0, self.alpha_intercept, np.inf, intercept)

    def residuals(self, coefficients, gradient, curvature, split=None):
        """Return the gradient, with the residual of the KKT conditions in V; two of known duals.

        U is a subgradient of a term at P if ``P = prox(P + s U, s)``, for any s. If the two sides
        differ by e, it holds exactly at ``P - e`` with ``U + e / s``. The residual is the larger
        of the two errors as a gradient: ``e curvature`` and ``e / s``. The subgradient of the last
        term of a part is minus the gradient of the loss and of the other terms. A prox that couples
        tasks spreads errors of large gradients over tasks of small ones: the second residual has
        the given subgradient of that term instead, and what the sum of all lacks.
        """
        split = split or self.split(coefficients.W)
        metric = floored(curvature()[0])
        rest = self.residual(coefficients, gradient, curvature)
        known = all(duals[-1] is not None for duals in split.duals)
        return [
            rest._replace(V=self._largest(gradient.V, metric, split, given))
            for given in ([False, True] if known else [False])
        ]

    def _largest(self, G, metric, split, given):
        """Return the residual in V, with the ``given`` subgradients of last terms or without."""
        largest = np.zeros_like(G)
        for terms, part, duals in zip(self.terms, split.parts, split.duals, strict=True):
            rest = -G
            for number, (term, dual) in enumerate(zip(terms, duals, strict=True)):
                last = number == len(terms) - 1
                U = rest if last and not given else 0.0 * rest if dual is None else dual
                rest = rest - U
                step = 1.0 / geometric_mean(metric, term.prox_scaling)
                target = part + step * U
                e = np.abs(part - term.prox(target, step)[0])
                e[e <= term.penalty.accuracy * np.linalg.norm(target)] = 0.0
                largest = np.maximum(largest, np.maximum(e / step, e * metric))
            largest = np.maximum(largest, np.abs(rest))
        return largest

    def coupling(self, tasks):
        """Return the coupling that is equal to it, for Newton steps; None if there is none.

        ``tasks`` are the labels (T,).
        """
        return coupling_of(self, tasks)

    def coefficients(self, W, intercept):
        """Return ``Coefficients`` of W (..., T, d) and centered intercepts (..., T)."""
        c = intercept.mean(axis=-1) * (not self.fixed_intercept)
        q = (intercept - c[:, None]) * self.free.q
        return Coefficients(W, q, np.zeros((len(W), W.shape[-1])), c)

    def structure(self, split, tasks):
        """Return the structure of each part, a list of dicts."""
        return [
            _together(t.structure(S, tasks) for t, S in zip(terms, copies, strict=True))
            for terms, copies in zip(self.terms, split.copies, strict=True)
        ]

    def split(self, W):
        """Return a default ``Split`` of W: all in the first part, no duals."""
        copies = [[W if i == 0 else 0.0 * W for _ in part] for i, part in enumerate(self.terms)]
        return Split([part[0] for part in copies], copies, [[None] * len(part) for part in copies])

    def of_features(self, n_features, names):
        """Return the penalty of d features with these names, a list or None."""
        return replace(self, penalty=self.penalty._of_features(n_features, names))

    def with_features(self, features):
        """Return the penalty for some of the features, an index array."""
        return replace(self, penalty=self.penalty._with_features(features))

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
