"""Linear multi-task models."""

from skmtl.linear_model._classifiers import (
    MeanRegularizedClassifier,
    PooledClassifier,
    SharedL2Classifier,
)
from skmtl.linear_model._regressors import (
    MeanRegularizedRegressor,
    PooledRegressor,
    SharedL2Regressor,
)

__all__ = [
    "MeanRegularizedClassifier",
    "MeanRegularizedRegressor",
    "PooledClassifier",
    "PooledRegressor",
    "SharedL2Classifier",
    "SharedL2Regressor",
]
