"""Ridge coupling of the tasks along a graph."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.sparse.csgraph import connected_components

from skmtl.penalties._base import Coefficients, Penalty
from skmtl.penalties._graph import laplacian
from skmtl.penalties._mean import MeanCoupling


@dataclass(frozen=True)
class GraphCoupling(Penalty):
    """``alpha_link/2 sum_(s<t) A_st ||w_s - w_t||^2 + alpha_shared/2 sum_t ||w_t||^2``.

    Centered intercepts add ``alpha_intercept/2 sum_(s<t) A_st (c_s - c_t)^2``. Nodes without rows
    are eliminated by Schur complements. The center is only an origin, which keeps small differences
    accurate.

    Parameters
    ----------
    weights : ndarray of shape (N, N)
        Symmetric weights A of all nodes.
    observed : ndarray of shape (T,)
        The nodes that are tasks of the problem.
    labels : tuple of length N
        Labels of all nodes.
    alpha_link, alpha_shared, alpha_intercept : float, finite
        Penalty weights of the links, of all coefficients and of the links of intercepts.
    fixed_intercept : bool
        Whether the model has no intercepts.
    common : ndarray of shape (d,), optional
        For coordinates in which all tasks are equal the penalty weight of their slope, NaN for
        others.

    References
    ----------
    D. Sheldon (2008). Graphical multi-task learning. NIPS workshop on structured input and output.

    T. Evgeniou, C. Micchelli, M. Pontil (2005). Learning multiple tasks with kernel methods. JMLR
    6, 615-637.
    """

    weights: np.ndarray
    observed: np.ndarray
    labels: tuple
    alpha_link: float
    alpha_shared: float
    alpha_intercept: float
    fixed_intercept: bool = False
    common: np.ndarray | None = None

    quadratic = True
    fixed_center = False

    @property
    def isotropic(self):
        """Whether all coordinates of the features have the same penalty."""
        return self.common is None

    @property
    def _links(self):
        """The quadratic forms of coefficients and intercepts on all nodes, and their ridges."""
        L = laplacian(self.weights)
        return (
            (self.alpha_link * L + self.alpha_shared * np.eye(len(L)), self.alpha_shared),
            (self.alpha_intercept * L, 0.0),
        )

    @cached_property
    def _forms(self):
        """The quadratic forms K of coefficients and intercepts on the tasks, (T, T), and ``K 1``.

        ``K 1`` is computed without the cancellation of large link weights.
        """
        own, rest = np.ix_(self.observed, self.observed), np.ix_(self.observed, self._latent)
        forms = []
        for A, ridge in self._links:
            K = A[own] + A[rest] @ self._follow(A)
            ones = ridge - A[rest] @ (self._inverse(A) @ np.full(len(self._latent), ridge))
            forms.append((0.5 * (K + K.T), ones))
        return forms

    @cached_property
    def _bare_links(self):
        """The quadratic form of coefficients on the tasks without the ridge, (T, T)."""
        return replace(self, alpha_shared=0.0, common=None)._forms[0][0]

    @property
    def _latent(self):
        return np.setdiff1d(np.arange(len(self.weights)), self.observed)

    def _inverse(self, A):
        return np.linalg.pinv(A[np.ix_(self._latent, self._latent)], hermitian=True)

    def _follow(self, A):
        """Return the linear map from tasks to latent nodes, (N - T, T)."""
        return -self._inverse(A) @ A[np.ix_(self._latent, self.observed)]

    @property
    def latent_labels(self):
        """Labels of the nodes without rows, a list."""
        return [self.labels[node] for node in self._latent]

    def latent(self, W, intercept):
        """Return the coefficients and intercepts of the nodes without rows, given the tasks'."""
        of_W, of_intercept = (self._follow(A) for A, _ in self._links)
        found = of_W @ W
        if self.common is not None:
            found = np.where(np.isnan(self.common), found, W[:, :1])
        return found, intercept @ of_intercept.T

    def components(self):
        """Return the connected component of each task for coefficients and intercepts, two (T,).

        With a penalty weight of 0 each task is its own component.
        """
        return tuple(
            connected_components((self.weights > 0) & (alpha > 0), directed=False)[1][self.observed]
            for alpha in (self.alpha_link, self.alpha_intercept)
        )

    @property
    def coercive(self):
        """Whether the ridge is positive; links alone do not penalize a common shift."""
        return self.alpha_shared > 0

    def gradient(self, coefficients):
        """Return the gradient in each part; that of the center sums over tasks."""
        (K, ones), (k, _) = self._forms
        V, q, w, c = coefficients
        gradient, of_w = K @ V + ones[:, None] * w[:, None], ones @ V + ones.sum() * w
        if self.common is not None:
            # infinite links are those of very small features; the ridge is that of the mean
            fixed, T = ~np.isnan(self.common), V.shape[1]
            own = V[..., fixed]
            of_w[:, fixed] = self.common[fixed] * (w[:, fixed] + own.mean(axis=1))
            gradient[..., fixed] = self._bare_links @ own + of_w[:, None, fixed] / T
        return Coefficients(gradient, q @ k, of_w, np.zeros_like(c))

    def diagonal(self):
        """Return the diagonal of the second derivative, inf where a part is fixed."""
        (K, ones), (k, _) = self._forms
        of_V, of_w = np.diag(K)[:, None], ones.sum()
        if self.common is not None:
            of_w = np.where(np.isnan(self.common), of_w, self.common)
        if self.fixed_intercept:
            return Coefficients(of_V, np.inf, of_w, np.inf)
        return Coefficients(of_V, np.diag(k), of_w, 0.0)

    def residual(self, coefficients, gradient, curvature):
        """Return the gradient; for the center, the largest sum over a connected component.

        Large link weights make the units of single tasks large, but do not penalize a shift of a
        whole component. The sums are in the units that a problem uses for its center.
        """
        of_W, of_intercept = (
            (component == np.unique(component)[:, None]).astype(float)
            for component in self.components()
        )
        weight, (of_V, of_q) = self.curvature, curvature()
        w = _of_all(of_W, np.abs(of_W @ gradient.V), of_V, weight.V)
        q = np.abs(gradient.q @ of_intercept.T)[..., None]
        c = _of_all(of_intercept, q, of_q[:, None], weight.q[..., None])[..., 0]
        return gradient._replace(w=w, c=c)

    def in_basis(self, basis):
        """Return the coupling in a ``Basis``, in whose fixed coordinates the ridge has factor 1."""
        if not basis.fixed.any():
            return self
        if np.ptp(self.components()[0]) > 0:
            raise ValueError(
                "penalty_factor=inf makes slopes common to all tasks, and task_graph has several "
                "components, or alpha is 0. Connect them, or use a large number."
            )
        ridge = len(self.weights) * self.alpha_shared * basis.lengths**2
        return replace(self, common=np.where(basis.fixed, ridge, np.nan))

    def star(self):
        """Return a `MeanCoupling` with the same curvature for every task and for a common shift."""
        (K, ones), (k, _) = self._forms
        total, together = float(np.trace(K)), max(float(ones.sum()), 0.0)
        shared = total * together / (total - together) if total > together else 0.0
        if self.common is not None:
            shared = np.where(np.isnan(self.common), shared, self.common)
        intercept = np.inf if self.fixed_intercept else float(np.diag(k).mean())
        return MeanCoupling(np.diag(K), shared, intercept, self.fixed_intercept)

    def take(self, tasks):
        """Return the penalty for some of the tasks, an index array; others become latent."""
        return replace(self, observed=self.observed[tasks])


def _of_all(member, sums, square_units, weight):
    """Return the largest sum over a component (C, d), relative to its unit, in center units."""
    data = np.maximum(square_units - weight, 0.0)
    following = np.sqrt((data * weight / np.maximum(square_units, 1e-300)).sum(axis=0))
    unit = np.sqrt(member @ data)
    share = np.divide(sums, unit, out=np.zeros_like(sums), where=unit > 0)
    return share.max(axis=-2) * following
