"""Metrics of the coefficients: one curvature per task and feature, (T, d)."""

import numpy as np

# axes over which a metric (T, d) is averaged, for each prox_scaling
_AXES = {"entry": (), "feature": (0,), "task": (1,), "matrix": (0, 1)}
_FLOOR = 1e-6  # least curvature of a task in a feature, relative to the mean of the tasks


def geometric_mean(metric, prox_scaling):
    """Return the geometric mean of a metric (T, d) over the axes that ``prox_scaling`` excludes."""
    axes = _AXES[prox_scaling]
    return np.exp(np.log(metric).mean(axis=axes, keepdims=True)) if axes else metric


def common_axes(kinds):
    """Return the axes to average a metric over so that all of these ``prox_scaling`` allow it."""
    kinds = set(kinds) - {"entry"}
    return _AXES["matrix" if len(kinds) > 1 else kinds.pop() if kinds else "entry"]


def floored(curvature):
    """Return curvatures (T, d) without zeros: at least a small share of the tasks' mean."""
    mean = curvature.mean(axis=0)
    return np.maximum(curvature, _FLOOR * np.where(mean > 0, mean, mean.mean() or 1.0))
