"""Where penalty weights are searched."""

from typing import NamedTuple

import numpy as np

_MOST = 1e6  # multiple of the curvature of the loss beyond which the limit inf is equal


class WeightRange(NamedTuple):
    """Logarithms of penalty weights: center and bounds of their search.

    Attributes
    ----------
    names : list of str
    typical, lower, upper : ndarray of shape (k,)
    """

    names: list
    typical: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @classmethod
    def of(cls, names, data, *, curvature, least):
        """Return the range of those of the ``names`` whose part the data have.

        If all features are zero, there are no slopes that could differ.

        Parameters
        ----------
        names : tuple of str
        data : TaskData
        curvature : float
            Bound of the second derivative of the loss.
        least : float
            Smallest weight, as a multiple of the curvature of the data.
        """
        squares = data.square_norms.sum(axis=1) * curvature / max(1, data.n_features)
        size = {"alpha": squares, "alpha_intercept": data.totals * curvature}
        size["alpha_shared"] = squares.sum(keepdims=True)
        names = [name for name in names if size[name].any()]
        typical = np.array([log_median(size[name]) for name in names])
        upper = np.log([_MOST * size[name].sum() for name in names])
        upper += np.log([data.n_features if name != "alpha_intercept" else 1 for name in names])
        return cls(names, typical, typical + np.log(least), upper)

    @property
    def bounds(self):
        """``typical``, ``lower`` and ``upper``."""
        return self[1:]

    def weights(self, x):
        """Return the penalty weights of logarithms x, a dict."""
        with np.errstate(over="ignore"):
            return dict(zip(self.names, np.exp(x).tolist(), strict=True))

    def at_least(self, x):
        """Return the names of the weights at the lower end."""
        return [n for n, least in zip(self.names, x <= self.lower + 1e-6, strict=True) if least]


def log_median(size):
    """Return the logarithm of the median of what is positive, of about a thousand tasks (T,)."""
    size = size[size > 0]
    return float(np.log(np.median(size[:: max(1, len(size) // 1000)])))
