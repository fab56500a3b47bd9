"""The objective read as a normal prior and likelihood: the dense posterior in users' features."""

import numpy as np


class DensePosterior:
    """Posterior of all coefficients, given what the penalty means for (w, c, v_1.., q_1..).

    Parameters
    ----------
    X, codes, weight : rows; weight (n,) is sample times task weight
    n_tasks : int
    deviations : ndarray of shape (n_tasks, d)
        Prior precisions of v_t; inf fixes them at zero.
    shared : float or ndarray of shape (d,)
        That of w.
    intercept : float
        That of q_t.
    precision : ndarray (m, m), optional
        Replaces the precision of (v_1, q_1, v_2, q_2, ...).
    ones : bool
        Whether there are intercepts.
    middle : ndarray of shape (d,), optional
        Replaces the weighted mean of the features.
    """

    def __init__(
        self,
        X,
        codes,
        weight,
        n_tasks,
        deviations,
        shared,
        intercept,
        precision=None,
        ones=True,
        middle=None,
    ):
        d = X.shape[1]
        self.middle = weight @ X / weight.sum() if ones else np.zeros(d)
        self.middle = self.middle if middle is None else middle
        self.n_tasks, self.d = n_tasks, d
        own = np.column_stack([deviations, np.full(n_tasks, intercept if ones else np.inf)])
        prior = np.diag(
            np.concatenate([np.broadcast_to(shared, d), [0.0 if ones else np.inf], own.ravel()])
        )
        self.free = np.isfinite(np.diag(prior))
        prior[~self.free] = 0.0
        if precision is not None:
            prior[d + 1 :, d + 1 :] = precision
        self.design = self.rows(X, codes)
        gram = (self.design.T * weight) @ self.design
        self.covariance = np.zeros_like(prior)
        free = np.ix_(self.free, self.free)
        self.covariance[free] = np.linalg.inv((gram + prior)[free])
        self.degrees = np.trace(self.covariance @ gram)

    def rows(self, X, codes):
        """Return the design of rows; code -1 is the center."""
        Z = np.column_stack([X - self.middle, np.ones(len(X))])
        size = self.d + 1
        design = np.zeros((len(X), size * (self.n_tasks + 1)))
        design[:, :size] = Z
        for i, t in enumerate(codes):
            if t >= 0:
                design[i, size * (t + 1) : size * (t + 2)] = Z[i]
        return design

    def variances(self, X, codes):
        """Return the variances of predictions, in units of the noise."""
        U = self.rows(X, codes)
        return np.einsum("ij,ij->i", U @ self.covariance, U)

    def coefficient_variances(self):
        """Return those of the center, then of each task, (n_tasks + 1, d + 1), intercepts at 0."""
        size, found = self.d + 1, []
        for t in range(-1, self.n_tasks):
            forms = np.zeros((size, len(self.covariance)))
            for block in {0, size * (t + 1)}:
                forms[:-1, block : block + self.d] = np.eye(self.d)
                forms[-1, block : block + self.d] = -self.middle
                forms[-1, block + self.d] = 1.0
            found.append(np.einsum("ij,ij->i", forms @ self.covariance, forms))
        return np.array(found)
