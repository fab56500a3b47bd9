"""A custom penalty: groups of features, selected for all tasks or for none."""

import numpy as np

from skmtl.penalties import TaskPenalty


class GroupL21(TaskPenalty):
    """``alpha sum_g sqrt(d_g) ||W_g||``: few groups of features, the same for all tasks.

    W_g (T, d_g) are the coefficients of a group: the indicator columns of one category, the lags of
    one series, the powers of one variable. A group is selected or dropped as a whole. With one
    feature per group this is `L21`. Structure: ``selected_features``, a mask (d,), and
    ``selected_groups``, their labels.

    Parameters
    ----------
    groups : array-like of shape (d,)
        Group label of each feature, without the task column.
    alpha : float, default=1.0
        Regularization strength, in [0, inf].

    References
    ----------
    M. Yuan and Y. Lin (2006). Model selection and estimation in regression with grouped variables.
    JRSS B 68. https://doi.org/10.1111/j.1467-9868.2005.00532.x

    Examples
    --------
    >>> import numpy as np
    >>> GroupL21(["a", "a", "b"]).prox(np.array([[3.0, 4.0, 0.5]])).round(3)
    array([[2.151, 2.869, 0.   ]])
    """

    prox_scaling = "matrix"  # no closed form with a different step for each feature
    class_axis = "tasks"  # the classes of a task select the same groups
    null_set = "zero"

    def __init__(self, groups, alpha=1.0):
        self.groups = groups
        self.alpha = alpha

    def value(self, W):
        """Return the penalty at W (T, d), a float."""
        norms, sizes, _ = self._norms(W)
        return self.weight * float(np.sqrt(sizes) @ norms)

    def prox(self, Z, step=1.0):
        """Return the W that minimizes ``1/2 ||W - Z||^2 + step value(W)``."""
        norms, sizes, group = self._norms(Z)
        return Z * self._share(norms, sizes, step)[group]

    def prox_derivative(self, Z, step=1.0):
        """Return the product with a derivative of ``prox``, and its blocks."""
        norms, sizes, group = self._norms(Z)
        share = self._share(norms, sizes, step)
        along = Z / np.where(norms > 0, norms, 1.0)[group]  # of length 1 in each group
        turn = np.where(share > 0, 1.0 - share, 0.0)
        same = group[:, None] == group

        def product(D):
            inside = np.bincount(group, (along * D).sum(axis=0), minlength=len(sizes))
            return share[group] * D + (turn * inside)[group] * along

        blocks = np.where(same, turn[group], 0.0) * along[:, :, None] * along[:, None, :]
        return product, blocks + np.diag(share[group])

    def dual_norm(self, G):
        """Return the largest ``||G_g|| / sqrt(d_g)``, over alpha."""
        norms, sizes, _ = self._norms(G)
        return float((norms / np.sqrt(sizes)).max()) / self.alpha if self.alpha > 0 else np.inf

    def structure(self, W, tasks):
        """Return the ``selected_features`` and the ``selected_groups``."""
        selected = W.any(axis=0)
        return {
            "selected_features": selected,
            "selected_groups": np.unique(np.asarray(self.groups)[selected]),
        }

    def _norms(self, W):
        """Return the norm and the size of each group, (G,), and the group of each feature, (d,)."""
        labels = np.asarray(self.groups)
        if labels.shape != W.shape[1:]:
            raise ValueError(
                f"groups of GroupL21 must have a label for each of {W.shape[1]} features, got an "
                f"array of shape {labels.shape}. The task column has none."
            )
        _, group, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        largest = np.abs(W).max() or 1.0  # squares neither overflow nor vanish
        return largest * np.sqrt(np.bincount(group, ((W / largest) ** 2).sum(axis=0))), sizes, group

    def _share(self, norms, sizes, step):
        """Return the factor that shrinks each group, (G,)."""
        # alpha = 0 is no penalty, even at a step of inf.
        pull = self.alpha * float(np.max(step)) if self.alpha > 0 else 0.0
        share = np.divide(
            pull * np.sqrt(sizes), norms, out=np.full(len(norms), np.inf), where=norms > 0
        )
        return np.maximum(1.0 - share, 0.0)
