"""Tests of mean differences of scores, by task and with correction for all tasks."""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri, stdtr

_SMALLEST = 1e-15  # p-value whose normal quantile is still accurate on the other side
MIN_ROWS = 5  # fewest differences for a standard error


class Difference(NamedTuple):
    """Mean of n differences, its standard error, and the p-value of mean >= 0."""

    mean: float
    error: float
    p_value: float


def mean_difference(differences, weight=None):
    """Return the (weighted) mean of n independent differences, its error and p-value.

    Differences of squared losses are skewed, which reduces the power of Student's t against a
    negative mean. The transformation of Hall (1992), cited in `sharing_report`, removes the
    skewness: ``t + a t^2 / 3 + a^2 t^3 / 27 + a / 6`` with ``a = skewness / sqrt(n)``, with n - 1
    degrees of freedom.
    """
    n = len(differences)
    weight = np.ones(n) if weight is None else weight
    share = weight / weight.sum() if n else weight
    mean = float(share @ differences) if n else np.nan
    if n < MIN_ROWS:
        return Difference(mean, np.nan, np.nan)
    squares = float((share**2) @ (differences - mean) ** 2)
    error = np.sqrt(squares * n / (n - 1))
    if error == 0:  # equal differences, e.g. of equal predictions
        return Difference(mean, 0.0, 1.0 if mean >= 0 else 0.0)
    spread = float(share @ (differences - mean) ** 2)
    a = float(share @ (differences - mean) ** 3) / spread**1.5 / np.sqrt(n)
    t = mean / error
    t += a * t**2 / 3 + a**2 * t**3 / 27 + a / 6
    return Difference(mean, error, float(stdtr(n - 1, t)))


def holm(p_values, level):
    """Return a mask of rejected hypotheses with familywise error rate ``level``; NaN never.

    References
    ----------
    S. Holm (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal
    of Statistics 6, 65-70. https://www.jstor.org/stable/4615733
    """
    rejected = np.zeros(len(p_values), dtype=bool)
    tested = np.flatnonzero(~np.isnan(p_values))
    tested = tested[np.argsort(p_values[tested], kind="stable")]
    passed = p_values[tested] <= level / np.arange(len(tested), 0, -1)
    rejected[tested] = np.logical_and.accumulate(passed)
    return rejected


def joint_p_value(p_values, differences, rows, common_rows):
    """Return the p-value of the hypothesis that no task has a negative mean difference.

    That of Stouffer's test, the sum of the normal quantiles of the tasks' p-values, which is
    sensitive to many small losses. Tasks with the p-value NaN do not count.

    Parameters
    ----------
    p_values : ndarray of shape (T,)
    differences : list of T arrays (m_t,)
    rows : list of T index arrays (m_t,), or of None
        Row of X of each difference. None: unknown.
    common_rows : bool
        Whether differences of different tasks on the same row depend on each other. Their sum then
        has the variance that the correlations imply, at least that of independent tasks; where the
        rows are unknown, that of equal ones.
    """
    tested = np.flatnonzero(~np.isnan(p_values))
    T = len(tested)
    if T == 0:
        return np.nan
    z = ndtri(np.clip(p_values[tested], _SMALLEST, 1.0 - _SMALLEST))
    variance = float(T)
    if common_rows and T > 1:
        variance = float(T**2)
        if all(rows[t] is not None for t in tested):
            sums = np.zeros(1 + max(int(rows[t].max()) for t in tested))
            for t in tested:
                centered = differences[t] - differences[t].mean()
                size = np.linalg.norm(centered)
                if size > 0:
                    np.add.at(sums, rows[t], centered / size)
            variance = max(float(sums @ sums), float(T))
    return float(ndtr(z.sum() / np.sqrt(variance)))
