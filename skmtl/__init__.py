"""Regularized multi-task learning for scikit-learn."""

from importlib import import_module
from typing import TYPE_CHECKING

from skmtl._version import __version__
from skmtl.data import TaskMoments
from skmtl.linear_model import (
    ADMMClassifier,
    ADMMRegressor,
    GraphRegularizedClassifier,
    GraphRegularizedRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    MixedOutcomeModel,
    PooledClassifier,
    PooledRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
    alpha_max,
)

__all__ = [
    "ADMMClassifier",
    "ADMMRegressor",
    "GraphRegularizedClassifier",
    "GraphRegularizedRegressor",
    "MeanRegularizedClassifier",
    "MeanRegularizedRegressor",
    "MixedOutcomeModel",
    "PooledClassifier",
    "PooledRegressor",
    "SharedL2Classifier",
    "SharedL2Regressor",
    "TaskMoments",
    "__version__",
    "alpha_max",
]

_MODULES = ("dask", "datasets", "inspection", "metrics", "model_selection", "penalties", "pipeline")


if not TYPE_CHECKING:  # a checker would take any name for an attribute

    def __getattr__(name):
        if name in _MODULES:  # imported when used: a fit does not need them
            return import_module(f"skmtl.{name}")
        raise AttributeError(f"module 'skmtl' has no attribute {name!r}")


def __dir__():
    return sorted([*__all__, *_MODULES])
