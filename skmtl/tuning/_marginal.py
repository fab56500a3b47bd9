"""Random coefficients integrated out: the marginal covariance of the rows of all tasks."""

from typing import NamedTuple

import numpy as np

from skmtl.arrowhead import Whitened, spectra

_EPS = np.finfo(np.float64).eps


class Fixed(NamedTuple):
    """Generalized least squares at some variance ratios.

    Attributes
    ----------
    white : list of Whitened
    columns : ndarray of int
        Fixed columns of (w, c): where they depend on each other, later ones are left out.
    system : ndarray
        ``X' V^-1 X`` of these, with the penalty on the center.
    log_det : float
        ``log|V| + log|X' V^-1 X|``.
    """

    white: list[Whitened]
    columns: np.ndarray
    system: np.ndarray
    log_det: float


class MarginalModel:
    """Covariance ``V = I + theta F F' + phi 1 1'`` of the weighted rows, in units of the noise.

    One factorization of each task (``Spectrum``) makes it cheap at every theta = 1 / alpha and
    phi = 1 / alpha_intercept. What has an infinite ratio is a fixed effect of its task; the limit
    is exact.

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
    stacks : list of (Spectrum, ndarray)
        Spectra of groups, and the numbers of these.

    References
    ----------
    D. Bates, M. Maechler, B. Bolker, S. Walker (2015). Fitting linear mixed-effects models using
    lme4. Journal of Statistical Software 67. https://doi.org/10.18637/jss.v067.i01
    """

    def __init__(self, data, penalty):
        self.data = data.rotated
        self.groups, self.stacks = spectra(self.data, penalty.alpha)
        theta = np.where(self.groups.alpha == 0, np.inf, 0.0)
        gram = self.marginal(theta, np.inf if penalty.alpha_intercept == 0 else 0.0)[1]
        self._columns = self._fixed_columns(gram, penalty)

    def marginal(self, theta, phi):
        """Return ``Whitened`` of each stack, a list, and ``X' V^-1 X``, (d + 1, d + 1).

        ``theta`` is a number or one for each group, ``phi`` a number, both in [0, inf].
        """
        theta = np.broadcast_to(np.asarray(theta, dtype=np.float64), self.groups.alpha.shape)
        white = [stack.whitened(theta[own, None], phi) for stack, own in self.stacks]
        return white, sum(s.gram(w)[0] for (s, _), w in zip(self.stacks, white, strict=True))

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

    def covariance_products(self, theta, phi):
        """Return ``tr(A_i A_j)`` summed over tasks, (3, 3), of the parts A_i of the covariance.

        These are the noise and what has a known ratio to it, ``I + theta F F' + phi 1 1'``, then
        ``F F'`` and ``1 1'``. With a phi of inf they are those of the rows about their own mean.
        Where the matrix is singular, variances are not identified: the same combination of parts
        vanishes in every task.
        """
        theta = np.broadcast_to(np.asarray(theta, dtype=np.float64), self.groups.alpha.shape)
        within, total = np.isinf(phi), np.zeros((3, 3))
        for stack, own in self.stacks:
            n, l = stack.n, stack.l  # noqa: E741
            ones = np.zeros_like(n) if within else n
            means = ones * (stack.delta**2).sum(axis=1)
            F = l.sum(axis=1) + means
            FF = (l**2 + 2 * ones[:, None] * l * stack.g**2).sum(axis=1) + means**2
            parts = [[n - within, F, ones], [F, FF, ones * means], [ones, ones * means, ones * n]]
            mix = np.zeros((3, 3, len(n)))
            mix[0] = np.broadcast_arrays(1.0, theta[own], 0.0 if within else phi)
            mix[1, 1] = mix[2, 2] = 1.0
            total += np.einsum("iat,abt,jbt,t->ij", mix, np.array(parts), mix, stack.count)
        return total

    def fixed(self, white, gram, phi, alpha_shared):
        """Return ``Fixed``, given ``marginal`` and phi.

        ``alpha_shared`` is that of the penalty or, if both are above 0, another one.
        """
        columns, log_det = self._columns, 0.0
        if np.isinf(alpha_shared):
            columns = columns[columns == len(gram) - 1]
        system = gram[np.ix_(columns, columns)]
        if 0 < alpha_shared < np.inf:
            slopes = columns < len(gram) - 1
            system[slopes, slopes] += alpha_shared
            log_det -= slopes.sum() * np.log(alpha_shared)
        log_det += 2 * np.log(np.diag(np.linalg.cholesky(system))).sum()
        for (stack, _), (omega, _, share, _) in zip(self.stacks, white, strict=True):
            # An infinite variance is that of a fixed effect: log|V| + log|X'V^-1 X| stays finite.
            free, intercept = omega[:, 0] == 0, share[:, 0] == 0
            spread = np.where(np.isinf(phi), 1.0, stack.perp_square)
            inverse = np.where(free, 1.0, omega[:, 0])
            thin = np.log(np.where(free, stack.l, 1.0 / inverse)).sum(axis=1)
            means = np.where(
                intercept, stack.n * spread, 1.0 / np.where(intercept, 1.0, share[:, 0])
            )
            log_det += stack.count @ (thin + np.log(means))
        return Fixed(white, columns, system, log_det)

    def flat(self, white):
        """Return the number of coefficients under a flat prior, p, those of the tasks included."""
        flat = self._n_flat
        for (stack, _), (omega, _, share, _) in zip(self.stacks, white, strict=True):
            flat += stack.count @ ((omega[:, 0] == 0).sum(axis=1) + (share[:, 0] == 0))
        return int(flat)

    def traces(self, fixed):
        """Return the derivatives of ``log_det`` in theta (the same for all groups) and phi."""
        size = len(fixed.white[0].E[0, 0])
        by_theta, by_phi, grams = 0.0, 0.0, np.zeros((2, size, size))
        for (stack, _), white in zip(self.stacks, fixed.white, strict=True):
            omega, share, count = white.omega[:, 0], white.share[:, 0], stack.count
            spread = ((stack.g * omega) ** 2).sum(axis=1) + stack.perp_square
            by_theta += count @ ((stack.l * omega).sum(axis=1) + stack.n * share * spread)
            by_phi += count @ (stack.n * share)
            # F' V^-1 X in the coordinates of U, and of what is orthogonal to U
            A = (np.sqrt(stack.n) * share)[:, None] * white.E[:, 0]
            weight = (np.sqrt(count)[:, None] * omega).ravel()[stack.rows]
            thin = (weight * stack.g.ravel()[stack.rows])[:, None] * A[stack.group]
            thin[:, :-1] += (weight * stack.l.ravel()[stack.rows])[:, None] * stack.thin
            grams[0] += thin.T @ thin + (A * (count * stack.perp_square)[:, None]).T @ A
            grams[1] += (A * count[:, None]).T @ A
        return [
            own
            - np.trace(np.linalg.solve(fixed.system, gram[np.ix_(fixed.columns, fixed.columns)]))
            for own, gram in zip((by_theta, by_phi), grams, strict=True)
        ]


def _independent(gram):
    """Return the columns that are not combinations of those before, as lme4 keeps them."""
    kept, rest = [], gram.copy()
    threshold = 8 * len(gram) * _EPS * np.diag(gram).max(initial=0.0)
    for j in range(len(gram)):
        if rest[j, j] > threshold:
            kept.append(j)
            rest = rest - np.outer(rest[j], rest[j] / rest[j, j])
    return kept
