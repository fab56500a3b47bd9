"""Newton steps in the center from which the tasks have a penalized distance."""

import numpy as np

from skmtl._linalg import SymmetricSolver, stacked_eigh
from skmtl._memory import memory_limit
from skmtl._optimize import stationary_share
from skmtl.penalties import Split

_LARGEST = 256  # blocks that are factored
_STEPS = 50
_ROOT_STEPS = 100
_ROUNDING = 1e-14  # of the norm of a subgradient
_ACCURACY = 1e-12  # of the gradient in the center, relative to the sum over the tasks
_ENOUGH = 1e-8  # the same where rounding errors are larger
_FLOOR = 1e-3  # share of the linear part whose rounding errors remain where all tasks are equal
_RANK = 1e-15  # smallest eigenvalue, relative to the largest, that is not a rounding error
_DAMPING = 1e-12  # of steps, as a share of the curvature of pooled tasks


def around_center(problem, at, limit):
    """Return coefficients with their ``Split``, or None, and the number of Newton steps.

    None where the problem is not that of `AroundCenter`, where iterations on copies are less work
    than eigenvectors of every task, or if the steps do not converge.
    """
    data, loss, terms = problem.data, problem.loss, problem.penalty.terms
    weights = terms[0][0].distance_weights() if sum(map(len, terms)) == 1 else None
    d, T, augmented = data.n_features, data.n_tasks, not problem.penalty.fixed_intercept
    squared = loss.constant_curvature is not None and loss.n_outputs == 1
    few = 0 < d <= _LARGEST and T * (d + 1) <= data.n_rows and len(data.block_sizes) == T
    fits = 48 * T * (d + 1) ** 2 <= memory_limit()
    if weights is None or not (squared and few and fits):
        return None, 0

    def joined(W, intercept):
        return np.column_stack([W[0], intercept[0]]) if augmented else W[0]

    sums = at.evaluation.sums
    A = joined(at.coefficients.W, at.coefficients.intercept)
    H = data.task_moments(slice(None)).gram(intercept=augmented)
    P = _products(H, A) - joined(sums.G, sums.R)
    A, U, count = AroundCenter(H, P, *weights, d).solve(limit)
    if A is None:
        return None, count
    W, intercept = A[None, :, :d].copy(), A[None, :, d] if augmented else np.zeros((1, T))
    point = problem.canonical(problem.penalty.coefficients(W, intercept))
    return (point, Split([W], [[W]], [[U[None, :, :d].copy()]])), count


class AroundCenter:
    """Minimize a squared loss, plus distances of the tasks from a center.

    In augmented coefficients A_t = (W_t, b_t), with a center (w, c)::

        sum_t 1/2 A_t'H_t A_t - P_t'A_t + alpha ||W_t - w|| + alpha_intercept/2 (b_t - c)^2

    Eliminating the intercepts leaves blocks S_t in (W_t, c). Given the center, tasks are
    independent: with the gradient -g at W_t = w, a task equals the center where ``||g|| <= alpha``.
    Else its distance is ``alpha r``, r the root of ``||(1 + r S)^-1 g|| = alpha``, by Newton's
    method in the eigenvectors of S. What is left is a convex function of the center with a
    continuous derivative, for Newton steps with a line search.

    Parameters
    ----------
    H : ndarray of shape (T, D, D)
        Second derivatives of the loss; D = d + 1 with intercepts, or d.
    P : ndarray of shape (T, D)
        Minus the derivatives where the coefficients are zero.
    alpha : float, in (0, inf)
    alpha_intercept : float, in [0, inf]
    n_features : int
        The number d.
    """

    def __init__(self, H, P, alpha, alpha_intercept, n_features):
        self._H, self._P, self._alpha, d = H, P, alpha, n_features
        total = np.einsum("tii->ti", H)[:, d:] + alpha_intercept
        usual = np.isfinite(total) & (total > 0)
        self._inverse = np.divide(1.0, total, out=np.zeros_like(total), where=usual)
        share = alpha_intercept * self._inverse if np.isfinite(alpha_intercept) else 1.0
        self._share = np.broadcast_to(share, total.shape)
        cross, self._linear, self._S = H[:, :d, d:], P.copy(), H.copy()
        self._linear[:, :d] -= _products(cross, self._inverse * P[:, d:])
        self._linear[:, d:] *= self._share
        self._S[:, :d, :d] -= (cross * self._inverse[:, None]) @ cross.swapaxes(1, 2)
        self._S[:, :d, d:] *= self._share[:, None]
        self._S[:, d:] *= self._share[:, :, None]
        self._sum = self._S.sum(axis=0)
        self._root = np.sqrt(self._sum.diagonal())
        self._root[self._root == 0] = 1.0
        self._e, self._V = stacked_eigh(self._S[:, :d, :d])
        # Gradients are in the range of S: rounding errors beside it exceed a very small alpha.
        kept = self._e > _RANK * self._e.max(axis=1, keepdims=True)
        self._V *= kept[:, None]
        self._turned = self._V.swapaxes(1, 2) @ self._S[:, :d]
        self._r = np.zeros((len(P), 1))

    def solve(self, limit):
        """Return coefficients A and their negative gradient, (T, D) both, and the number of steps.

        The coefficients are None if the steps do not converge, unless these are all that the limit
        allows. The first center is the solution of pooled tasks.
        """
        center = SymmetricSolver(self._sum).solve(self._linear.sum(axis=0))
        at, count = self._evaluate(center), 0
        while self._remainder(*at[:2]) > _ACCURACY and count < min(limit, _STEPS):
            (gradient, _, *tasks), ahead = at, None
            step = SymmetricSolver(self._curvature(*tasks)).solve(-gradient)

            def slope_at(share, start=center, step=step):
                nonlocal ahead
                ahead = self._evaluate(start + share * step)
                return float(ahead[0] @ step)

            share = stationary_share(slope_at, float(gradient @ step))
            if share == 0.0:
                break
            center, at, count = center + share * step, ahead, count + 1
        if count < limit and not self._remainder(*at[:2]) <= _ENOUGH:
            return None, None, count
        A = self._coefficients(center, *at[2:])
        return A, self._P - _products(self._H, A), count

    def _remainder(self, gradient, size):
        """Return the gradient in the center relative to the sizes of its terms, a float."""
        return np.abs(gradient / self._root).max() / ((size / self._root).max() or 1.0)

    def _evaluate(self, center):
        """Return the gradient in the center, the sum of its terms' sizes, r (T, 1), V'U (T, d)."""
        d = self._V.shape[1]
        rest = self._linear - self._S @ center
        g = _products(self._V.swapaxes(1, 2), rest[:, :d])
        r, k = self._roots(g)
        own = _products(self._S[:, :, :d], _products(self._V, r * k)) - rest
        size = np.abs(own).sum(axis=0) + _FLOOR * np.abs(self._linear).sum(axis=0)
        return own.sum(axis=0), size, r, k

    def _roots(self, g):
        """Return r and ``(1 + r e)^-1 g``, of norm alpha where it is more at r = 0."""
        e, unit = self._e, np.abs(g).max(axis=1, keepdims=True)
        unit = np.where(unit > 0, unit, 1.0)
        g, alpha = g / unit, self._alpha / unit  # so that no square overflows
        outside = np.linalg.norm(g, axis=1, keepdims=True) > alpha
        r = np.where(outside, self._r, 0.0)
        for _ in range(_ROOT_STEPS):
            share = 1.0 / (1.0 + r * e)
            k = share * g
            square = (k**2).sum(axis=1, keepdims=True)
            slope = (e * share * k**2).sum(axis=1, keepdims=True)
            excess = np.sqrt(square) / alpha - 1.0
            far = outside & (np.abs(excess) > _ROUNDING) & (slope > 0)
            if not far.any():
                break
            # The inverse norm is concave in r: steps do not go beyond the root, but for the first.
            step = excess * np.divide(square, slope, out=np.zeros_like(r), where=far)
            r = np.maximum(r + step, 0.0)
        self._r = r
        return r, unit * k

    def _curvature(self, r, k):
        """Return the second derivative in the center, (D, D)."""
        share = 1.0 / (1.0 + r * self._e)
        norm = np.linalg.norm(k, axis=1, keepdims=True)
        along = np.divide(k, norm, out=np.zeros_like(k), where=(norm > 0) & (r > 0))
        size = (self._e * share * along**2).sum(axis=1, keepdims=True)
        inverse = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
        across = np.sqrt(inverse) * _products(self._turned.swapaxes(1, 2), share * along)
        flat = np.sqrt(r * share)[:, :, None] * self._turned
        flat = flat.reshape(-1, flat.shape[-1])
        damping = np.diag(_DAMPING * self._root**2)
        return self._sum + damping - flat.T @ flat - across.T @ across

    def _coefficients(self, center, r, k):
        d = self._V.shape[1]
        W = center[:d] + _products(self._V, r * k)
        intercept = self._inverse * (self._P[:, d:] - _products(self._H[:, d:, :d], W))
        return np.concatenate([W, intercept + self._share * center[d:]], axis=1)


def _products(A, x):
    """Return the product of each matrix of a stack A (T, m, n) with its row of x (T, n)."""
    return np.matmul(A, x[:, :, None])[:, :, 0]
