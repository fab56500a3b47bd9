"""Regularised multi-task learning for scikit-learn."""

from skmtl.linear_model import (
    MeanRegularizedRegressor,
    PooledRegressor,
    SharedL2Regressor,
)

__version__ = "0.1.0.dev0"

__all__ = [
    "MeanRegularizedRegressor",
    "PooledRegressor",
    "SharedL2Regressor",
    "__version__",
]
