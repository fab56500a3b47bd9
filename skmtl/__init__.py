"""Regularized multi-task learning for scikit-learn."""

from skmtl.linear_model import (
    ADMMClassifier,
    ADMMRegressor,
    GraphRegularizedClassifier,
    GraphRegularizedRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    PooledClassifier,
    PooledRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
    alpha_max,
)

__version__ = "0.1.0"

__all__ = [
    "ADMMClassifier",
    "ADMMRegressor",
    "GraphRegularizedClassifier",
    "GraphRegularizedRegressor",
    "MeanRegularizedClassifier",
    "MeanRegularizedRegressor",
    "PooledClassifier",
    "PooledRegressor",
    "SharedL2Classifier",
    "SharedL2Regressor",
    "__version__",
    "alpha_max",
]
