"""What can be said of differences of scores, task by task and of all tasks at once."""

from typing import NamedTuple

import numpy as np
from scipy.special import stdtr

MIN_ROWS = 5  # fewer differences do not tell their own spread


class Difference(NamedTuple):
    """A mean of n differences, its standard error, and p of the hypothesis mean >= 0."""

    mean: float
    error: float
    p_value: float


def mean_difference(differences, weight=None):
    """Return the (weighted) mean of n independent differences and how sure it is.

    Differences of squared losses are skewed where one model is far off, which hides a mean below
    zero from Student's t: its skewness is taken out by Hall's transformation, ``t + a t^2 / 3 +
    a^2 t^3 / 27 + a / 6`` with ``a = skewness / sqrt(n)``, before it is referred to n - 1 degrees
    of freedom.

    References
    ----------
    P. Hall (1992). On the removal of skewness by transformation. Journal of the Royal Statistical
    Society B 54, 221-228. https://doi.org/10.1111/j.2517-6161.1992.tb01876.x
    """
    n = len(differences)
    weight = np.ones(n) if weight is None else weight
    share = weight / weight.sum() if n else weight
    mean = float(share @ differences) if n else np.nan
    if n < MIN_ROWS:
        return Difference(mean, np.nan, np.nan)
    squares = float((share**2) @ (differences - mean) ** 2)
    error = np.sqrt(squares * n / (n - 1))
    if error == 0:  # the two models predict alike
        return Difference(mean, 0.0, 1.0 if mean >= 0 else 0.0)
    spread = float(share @ (differences - mean) ** 2)
    a = float(share @ (differences - mean) ** 3) / spread**1.5 / np.sqrt(n)
    t = mean / error
    t += a * t**2 / 3 + a**2 * t**3 / 27 + a / 6
    return Difference(mean, error, float(stdtr(n - 1, t)))


def holm(p_values, level):
    """Return which of these hypotheses are rejected, NaN never; any false one with P <= level.

    References
    ----------
    S. Holm (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal
    of Statistics 6, 65-70. https://www.jstor.org/stable/4615733
    """
    rejected = np.zeros(len(p_values), dtype=bool)
    tested = np.flatnonzero(~np.isnan(p_values))
    for rank, t in enumerate(tested[np.argsort(p_values[tested], kind="stable")]):
        if p_values[t] > level / (len(tested) - rank):
            break
        rejected[t] = True
    return rejected
