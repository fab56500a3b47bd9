"""Random coefficients integrated out: the marginal covariance of the rows of all tasks."""

from typing import NamedTuple

import numpy as np

from skmtl._linalg import row_spectrum
from skmtl.arrowhead import Groups

_EPS = np.finfo(np.float64).eps


class Fixed(NamedTuple):
    """What is left of the rows at some variance ratios: generalized least squares.

    Attributes
    ----------
    theta, phi : ndarray of shape (B,) and float
        ``1 / alpha`` of each group and ``1 / alpha_intercept``.
    omega, pull : ndarray of shape (J,)
        ``1 / (1 + theta l)`` and ``theta / (1 + theta l)`` of each thin row.
    share : ndarray of shape (B,)
        Inverse variance of the mean row given the others.
    E : ndarray of shape (B, d + 1)
        Features and constant of the mean row, given the others.
    system : ndarray
        ``X' V^-1 X`` of the fixed columns, with the penalty on the center.
    log_det : float
        ``log|V| + log|X' V^-1 X|``.
    flat : int
        Coefficients under a flat prior, p.
    """

    theta: np.ndarray
    phi: float
    omega: np.ndarray
    pull: np.ndarray
    share: np.ndarray
    E: np.ndarray
    system: np.ndarray
    log_det: float
    flat: int


class MarginalModel:
    """``V = I + theta F F' + phi 1 1'`` of the weighted rows of each task, in units of the noise.

    One eigendecomposition per task makes it cheap at every theta. About its own mean, the
    weighted rows of a task are ``P diag(sqrt(l)) U'``; rotated by P' they are thin rows
    ``sqrt(l_j) u_j``, at most d, with covariance ``1 + theta l_j`` each, and beside them there is
    the mean row ``sqrt(n) (delta, 1)``. Given the thin rows it has the features ``sqrt(n) (alpha
    M^-1 delta, 1)``, M = H + alpha I, and the variance ``1 + n (delta' M^-1 delta + phi)``. What
    has an infinite ratio is a fixed effect of its task; the limit is exact.

    Tasks that share rows and weights (the wide form) form a group and share thin rows.

    Parameters
    ----------
    data : TaskData
    penalty : MeanCoupling
        Of which 0 and inf matter here, and that tasks of equal alpha may form a group.

    Attributes
    ----------
    data : TaskData
        The same; with fewer rows than features, in the space that they span.
    groups : Groups
    l, g : ndarray of shape (J,)
        Eigenvalues, and ``u_j . delta``.
    U : ndarray of shape (J, d)
        Eigenvectors.
    group : ndarray of shape (J,)
        The group of each thin row.
    n, perp_square : ndarray of shape (B,)
        Weight, and squared norm of the part of delta that no thin row sees.
    perp : ndarray of shape (B, d)
    columns : ndarray of int
        Fixed columns of (w, c): where they depend on each other, those behind are left out.

    References
    ----------
    D. Bates, M. Maechler, B. Bolker, S. Walker (2015). Fitting linear mixed-effects models using
    lme4. Journal of Statistical Software 67. https://doi.org/10.18637/jss.v067.i01
    """

    def __init__(self, data, penalty):
        data = data.rotated
        self.data, self.groups = data, Groups.of(data, penalty.alpha)
        self._alpha_shared = penalty.alpha_shared
        groups, scale = self.groups, self.groups.scale
        blocks, place = np.unique(groups.block, return_inverse=True)
        spectra, delta, total = _spectra(data, blocks)
        self.size = np.array([len(spectra[i][0]) for i in place])  # thin rows of each group
        self.start = np.cumsum(self.size) - self.size
        self.l = np.concatenate([a * spectra[i][0] for a, i in zip(scale, place, strict=True)])
        self.U = np.concatenate([spectra[i][1] for i in place])
        self.group = np.repeat(np.arange(len(place)), self.size)
        self.n, self.delta = scale * total[place], delta[place]
        self.g = np.einsum("jk,jk->j", self.U, self.delta[self.group])
        self.perp = self.delta - self.by_group(self.g[:, None] * self.U)
        square = (self.perp**2).sum(axis=1)
        seen = square <= (64 * data.n_features * _EPS) ** 2 * (self.delta**2).sum(axis=1)
        self.perp[seen], self.perp_square = 0.0, np.where(seen, 0.0, square)
        theta = np.where(groups.alpha == 0, np.inf, 0.0)
        weights = self._whiten(theta, np.inf if penalty.alpha_intercept == 0 else 0.0)
        self.columns = self._fixed_columns(self._gram(*weights), penalty)

    def by_group(self, values):
        """Return the sums over the thin rows of each group, of (J,) or (J, d)."""
        return segment_sums(values, self.start, self.size)

    def _whiten(self, theta, phi):
        """Return omega, pull, share and E, as in ``Fixed``."""
        each = theta[self.group]
        omega = 1.0 / (1.0 + each * self.l)
        with np.errstate(divide="ignore"):
            pull = 1.0 / (1.0 / each + self.l)
        beyond = np.multiply(
            theta, self.perp_square, out=np.zeros_like(theta), where=self.perp_square > 0
        )
        share = 1.0 / (1.0 + self.n * (self.by_group(self.g**2 * pull) + beyond + phi))
        E = np.empty((len(self.n), self.U.shape[1] + 1))
        E[:, :-1] = self.by_group((self.g * omega)[:, None] * self.U) + self.perp
        E[:, -1] = 1.0
        return omega, pull, share, np.sqrt(self.n)[:, None] * E

    def _gram(self, omega, pull, share, E):
        """Return ``X' V^-1 X``, (d + 1, d + 1)."""
        count = self.groups.size
        gram = (E * (count * share)[:, None]).T @ E
        rows = np.sqrt(count[self.group] * self.l * omega)[:, None] * self.U
        gram[:-1, :-1] += rows.T @ rows
        return gram

    def _fixed_columns(self, gram, penalty):
        d, columns = len(gram) - 1, []
        if not penalty.fixed_intercept and gram[-1, -1] > 0:
            columns.append(d)
            gram = gram - np.outer(gram[-1], gram[-1] / gram[-1, -1])
        self._n_flat = len(columns)
        if 0 < penalty.alpha_shared < np.inf:
            columns += range(d)
        elif penalty.alpha_shared == 0:
            columns += _independent(gram[:-1, :-1])
            self._n_flat = len(columns)
        return np.array(columns, dtype=np.intp)

    def fixed(self, theta, phi):
        """Return ``Fixed`` at theta, a number or (B,), and phi, both in [0, inf]."""
        theta = np.broadcast_to(np.asarray(theta, dtype=np.float64), self.n.shape)
        omega, pull, share, E = weights = self._whiten(theta, phi)
        gram = self._gram(*weights)
        system = gram[np.ix_(self.columns, self.columns)]
        shared = 0.0
        if 0 < self._alpha_shared < np.inf:
            slopes = self.columns < len(gram) - 1
            system[slopes, slopes] += self._alpha_shared
            shared = slopes.sum() * np.log(self._alpha_shared)
        factor = np.linalg.cholesky(system)
        count = self.groups.size
        # An infinite variance is that of a fixed effect: log|V| + log|X'V^-1 X| stays finite.
        free, intercept = np.isinf(theta)[self.group], share == 0
        spread = np.where(np.isinf(phi), 1.0, self.perp_square)
        log_det = (
            count[self.group] @ np.where(free, np.log(self.l), -np.log(np.where(free, 1, omega)))
            + count
            @ np.log(np.where(intercept, self.n * spread, 1.0 / np.where(intercept, 1.0, share)))
            + 2 * np.log(np.diag(factor)).sum()
            - shared
        )
        flat = self._n_flat + count[self.group] @ free + count @ intercept
        return Fixed(theta, phi, omega, pull, share, E, system, log_det, int(flat))

    def traces(self, fixed):
        """Return the derivatives of ``log_det`` in theta (the same for all groups) and phi."""
        count, share, E = self.groups.size, fixed.share, fixed.E
        spread = self.by_group((self.g * fixed.omega) ** 2) + self.perp_square
        by_theta = count[self.group] @ (self.l * fixed.omega) + count @ (self.n * share * spread)
        by_phi = count @ (self.n * share)
        # F' V^-1 X in the coordinates of U, and of what U does not see
        A = (np.sqrt(self.n) * share)[:, None] * E
        rows = self.g[:, None] * A[self.group]
        rows[:, :-1] += self.l[:, None] * self.U
        rows *= (np.sqrt(count)[self.group] * fixed.omega)[:, None]
        theta_gram = rows.T @ rows + (A * (count * self.perp_square)[:, None]).T @ A
        phi_gram = (A * count[:, None]).T @ A
        return by_theta - self._trace(fixed, theta_gram), by_phi - self._trace(fixed, phi_gram)

    def _trace(self, fixed, gram):
        return np.trace(np.linalg.solve(fixed.system, gram[np.ix_(self.columns, self.columns)]))


def segment_sums(values, start, size):
    """Return the sums over segments of an array, of which some may be empty."""
    sums = np.zeros((len(size), *values.shape[1:]))
    if len(values):
        sums[size > 0] = np.add.reduceat(values, start[size > 0], axis=0)
    return sums


def _spectra(data, blocks):
    """Return eigenvalues (r,) and eigenvectors (r, d) of each block, means and weights.

    Blocks with more rows than features go by their Grams, others by their rows: memory is of the
    order of the data.
    """
    spectra, many = [None] * len(blocks), data.block_sizes[blocks] > data.n_features
    delta, total = np.empty((len(blocks), data.n_features)), np.empty(len(blocks))
    if many.any():
        H, delta[many], total[many] = data.moments(blocks[many])
        values, vectors = np.linalg.eigh(H)
        kept = values > 8 * data.n_features * _EPS * values[:, -1:]
        for i, value, vector, keep in zip(np.flatnonzero(many), values, vectors, kept, strict=True):
            spectra[i] = value[keep], vector.T[keep]
    for i in np.flatnonzero(~many):
        rows, delta[i], total[i] = data.block_rows(blocks[i])
        values, vectors = row_spectrum(rows)
        keep = values > 0  # rows that are all zero
        U = vectors[:, keep].T @ rows / np.sqrt(values[keep])[:, None]
        spectra[i] = values[keep], U
    return spectra, delta, total


def _independent(gram):
    """Return the columns that are not combinations of those before, as lme4 keeps them."""
    kept, rest = [], gram.copy()
    threshold = 8 * len(gram) * _EPS * np.diag(gram).max(initial=0.0)
    for j in range(len(gram)):
        if rest[j, j] > threshold:
            kept.append(j)
            rest = rest - np.outer(rest[j], rest[j] / rest[j, j])
    return kept
