"""The metric that coefficients are measured in: one curvature per task and feature."""

import numpy as np

# what a metric (T, d) is averaged over where the steps of a prox may differ by no more
_AXES = {"entry": (), "feature": (0,), "task": (1,), "matrix": (0, 1)}
_FLOOR = 1e-6  # least curvature of a task in a feature, as a share of that of all tasks


def geometric_mean(metric, prox_scaling):
    """Return the geometric mean of a metric (T, d) over the axes that ``prox_scaling`` excludes."""
    axes = _AXES[prox_scaling]
    return np.exp(np.log(metric).mean(axis=axes, keepdims=True)) if axes else metric


def common_axes(kinds):
    """Return what to average a metric over so that it differs by what all of these allow."""
    kinds = set(kinds) - {"entry"}
    return _AXES["matrix" if len(kinds) > 1 else kinds.pop() if kinds else "entry"]


def floored(curvature):
    """Return curvatures (T, d) without zeros: at least a small share of what others tell."""
    mean = curvature.mean(axis=0)
    return np.maximum(curvature, _FLOOR * np.where(mean > 0, mean, mean.mean() or 1.0))
