"""Regularised multi-task learning for scikit-learn."""

from skmtl.linear_model import (
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    PooledClassifier,
    PooledRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
)

__version__ = "0.1.0.dev0"

__all__ = [
    "MeanRegularizedClassifier",
    "MeanRegularizedRegressor",
    "PooledClassifier",
    "PooledRegressor",
    "SharedL2Classifier",
    "SharedL2Regressor",
    "__version__",
]
