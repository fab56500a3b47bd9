"""A ridge and another penalty as one term."""

import numpy as np

from skmtl.penalties._quadratic import Ridge
from skmtl.penalties._task_penalty import times


class Ridged:
    """``term(W) + alpha/2 ||W||^2`` as one term, which saves a solver a copy of W.

    With ``c = 1 / (1 + alpha step)``, ``prox(Z, step) = term.prox(c Z, c step)``. The attribute
    ``prox_scaling``, as all others, is that of the term.

    Parameters
    ----------
    term : TaskPenalty
    alpha : float, in [0, inf]
    """

    def __init__(self, term, alpha):
        self._term, self._alpha = term, alpha

    def __getattr__(self, name):
        if name.startswith("_"):  # ``copy`` looks names up before ``_term`` is set
            raise AttributeError(name)
        return getattr(self._term, name)

    def value(self, W):
        """Return the penalty at W (T, d), a float."""
        return self._term.value(W) + Ridge(self._alpha).value(W)

    def prox(self, Z, step=1.0):
        """Return the W that minimizes ``1/2 ||W - Z||^2 + step value(W)``."""
        share, left = self._shared(step)
        return self._term.prox(share * Z, left)

    def prox_derivative(self, Z, step=1.0):
        """Return the product with a derivative of ``prox`` and its blocks, or None."""
        share, left = self._shared(step)
        inner = self._term.prox_derivative(share * Z, left)
        if inner is None:
            return None
        product, blocks = inner
        columns = share if blocks.ndim == 2 else np.atleast_2d(share)[:, None, :]
        return lambda D: product(share * D), blocks * columns

    def _shared(self, step):
        """Return c, and the step ``c step`` of the term."""
        damping = times(self._alpha, step)
        share = 1.0 / (1.0 + damping)
        # limit of ``c step``; an infinite ridge gives W = 0, whatever the step of the term
        last = 1.0 / self._alpha if np.isfinite(self._alpha) else 1.0
        with np.errstate(invalid="ignore"):
            return share, np.where(np.isinf(damping), last, share * step)


def with_ridges_inside(terms):
    """Return the terms of a sum with all ridges merged into the first other term."""
    others = [term for term in terms if not isinstance(term, Ridge)]
    alpha = sum(term.alpha for term in terms if isinstance(term, Ridge))
    if not others:
        return [Ridge(alpha)]
    return [Ridged(others[0], alpha), *others[1:]] if alpha > 0 else others
