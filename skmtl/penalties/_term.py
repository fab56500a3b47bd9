"""A `TaskPenalty` on the coefficients of K classes, with intercepts beside them."""

import numpy as np

from skmtl._optimize import geometric_mean
from skmtl.penalties._center import mean_prox

_HUGE = 1e30


class Term:
    """``alpha penalty(W)``, for coefficients W (K, T, d) of K classes.

    As the one matrix that a `TaskPenalty` takes they are stacked, as more tasks or more features.
    Solvers pass augmented coefficients (K, T, D), the intercepts last: D = d + 1, or d without.

    Parameters
    ----------
    penalty : TaskPenalty or Ridged
    alpha : float
        In [0, inf].
    augmented : bool
        Whether solvers pass intercepts.
    alpha_intercept : float
        Penalty weight of the deviations of the intercepts, in [0, inf]; 0 leaves them as they are.
    has_intercept : bool
        Whether the intercepts are in this term's part, else zero.
    """

    def __init__(self, penalty, alpha, augmented=False, alpha_intercept=0.0, has_intercept=True):
        self.penalty, self._alpha, self._augmented = penalty, alpha, augmented
        self._alpha_intercept, self._has_intercept = alpha_intercept, has_intercept
        self._more_tasks = penalty.class_axis == "tasks"

    @property
    def prox_scaling(self):
        """That of the penalty."""
        return self.penalty.prox_scaling

    def value(self, W):
        """Return the penalty at W, a float, without alpha."""
        return self.penalty.value(self._stacked(W))

    def dual_norm(self, G):
        """Return the dual norm of G (K, T, d)."""
        return self.penalty.dual_norm(self._stacked(G))

    def structure(self, W, tasks):
        """Return the structure of W; arrays (K d,) become (K, d), or masks (d,) of any class."""
        found, (K, _, d) = self.penalty.structure(self._stacked(W), tasks), W.shape
        if K > 1 and not self._more_tasks:
            for name, value in found.items():
                if np.shape(value)[-1:] == (K * d,):
                    value = value.reshape(*value.shape[:-1], K, d)
                    found[name] = value.any(axis=-2) if value.dtype == bool else value
        return found

    def shrinkage(self, n_features):
        """Return the ``Shrinkage`` to which the term is equal for one output, or None."""
        found = self.penalty._shrinkage(n_features)
        return found and found.times(self._alpha)

    def distance_weights(self):
        """Return the weights of the distances of tasks and of intercepts from a center, or None.

        The term is then that of one output, with weights as in ``AroundCenter``.
        """
        weight = self.penalty._distance_weight()
        if weight is None or not (0 < weight < np.inf and 0 < self._alpha < np.inf):
            return None
        return self._alpha * weight, self._alpha_intercept

    def prox(self, W, step, state=None):
        """Return the prox at W, and a state to start the next from.

        Steps are (1 or T, 1 or d), as ``prox_scaling`` allows; ``state`` is that of an earlier
        call, or None.
        """
        Z, state = self.penalty._prox_from(state, self._stacked(W), self._step(step, W.shape))
        return self._unstacked(Z, W.shape), state

    def steps(self, metric):
        """Return the steps of coefficients and of intercepts in a metric (T, D)."""
        own = metric[:, :-1] if self._augmented else metric
        intercepts = 1.0 / metric[:, own.shape[1] :]
        return 1.0 / geometric_mean(own, self.prox_scaling), intercepts

    def augmented_prox(self, V, steps, state):
        """Return the prox at augmented V, and a state as ``prox``."""
        W, state = self.prox(self._features(V), steps[0], state)
        return self._joined(W, V, steps[1]), state

    def derivative(self, V, steps, Z):
        """Return the derivative of ``augmented_prox`` at V, where it is Z, or None.

        These are a linear function of directions, its blocks for the coefficients of all classes of
        a task, (T, Kd) or (T, Kd, Kd), and its diagonal for the intercepts, (T, D - d).
        """
        (step, intercept_step), W = steps, self._features(V)
        found = self.penalty._derivative_at(
            self._stacked(self._features(Z)), self._stacked(W), self._step(step, W.shape)
        )
        if found is None:
            return None
        function, blocks = found

        def product(D):
            moved = function(self._stacked(self._features(D)))
            return self._joined(self._unstacked(moved, W.shape), D, intercept_step)

        alpha = self._alpha_intercept if np.isfinite(self._alpha_intercept) else 0.0
        diagonal = self._has_intercept / (1.0 + alpha * intercept_step)
        return product, self._by_task(blocks, W.shape), diagonal

    def _features(self, V):
        return V[..., :-1] if self._augmented else V

    def _joined(self, W, V, step):
        """Return W, with the prox of the intercepts of V."""
        if not self._augmented:
            return W
        intercepts = V[..., -1:] * self._has_intercept
        if self._alpha_intercept > 0:
            intercepts = mean_prox(intercepts, self._alpha_intercept * step, step, 0.0)
        return np.concatenate([W, intercepts], axis=-1)

    def _stacked(self, W):
        if self._more_tasks:
            return W.reshape(W.shape[0] * W.shape[1], W.shape[2])
        K, T, d = W.shape
        return np.ascontiguousarray(W.swapaxes(0, 1)).reshape(T, K * d)

    def _unstacked(self, W, shape):
        if self._more_tasks:
            return W.reshape(shape)
        return np.ascontiguousarray(W.reshape(shape[1], shape[0], shape[2]).swapaxes(0, 1))

    def _step(self, step, shape):
        """Return a step times alpha for coefficients of this shape when they are stacked."""
        alpha = self._alpha
        if np.isinf(alpha) and step.size > 1:
            alpha = _HUGE  # keeps the ratios of the steps, which matter in the limit
        if alpha != 1:
            step = alpha * step if alpha > 0 else np.zeros_like(step)
        axis = 0 if self._more_tasks else 1
        return np.concatenate([step] * shape[0], axis) if step.shape[axis] > 1 else step

    def _by_task(self, blocks, shape):
        """Return blocks of stacked coefficients with all classes of a task in one."""
        K, T, d = shape
        if K == 1 or not self._more_tasks:
            return blocks
        if blocks.ndim == 2:
            return blocks.reshape(shape).swapaxes(0, 1).reshape(T, -1)
        whole = np.zeros((T, K, d, K, d))
        for k in range(K):
            whole[:, k, :, k] = blocks[k * T : (k + 1) * T]
        return whole.reshape(T, K * d, K * d)
