"""Linear multi-task models."""

from skmtl.linear_model._regressors import (
    MeanRegularizedRegressor,
    PooledRegressor,
    SharedL2Regressor,
)

__all__ = ["MeanRegularizedRegressor", "PooledRegressor", "SharedL2Regressor"]
