"""Linear multi-task models."""

from skmtl.linear_model._admm import ADMMClassifier, ADMMRegressor
from skmtl.linear_model._alpha_max import alpha_max, alpha_max_of
from skmtl.linear_model._base import (
    LinearMultiTaskModel,
    PredictionRows,
    fit_rows,
    fitted_problem,
    set_fit,
    spec_of,
)
from skmtl.linear_model._classifiers import (
    MeanRegularizedClassifier,
    PooledClassifier,
    SharedL2Classifier,
)
from skmtl.linear_model._graph import GraphRegularizedClassifier, GraphRegularizedRegressor
from skmtl.linear_model._mixed import (
    MixedOutcomeModel,
    outcome_losses,
    outcome_mean_losses,
    outcome_scores,
)
from skmtl.linear_model._observed import (
    is_complete,
    mean_of_defined,
    observed_accuracy,
    observed_r2,
    observed_targets,
    scored_targets,
)
from skmtl.linear_model._posterior import (
    coefficient_variances,
    coefficient_weights,
    group_variances,
    group_weights,
)
from skmtl.linear_model._regressors import (
    MeanRegularizedRegressor,
    PooledRegressor,
    SharedL2Regressor,
)

__all__ = [
    "ADMMClassifier",
    "ADMMRegressor",
    "GraphRegularizedClassifier",
    "GraphRegularizedRegressor",
    "LinearMultiTaskModel",
    "MeanRegularizedClassifier",
    "MeanRegularizedRegressor",
    "MixedOutcomeModel",
    "PooledClassifier",
    "PooledRegressor",
    "PredictionRows",
    "SharedL2Classifier",
    "SharedL2Regressor",
    "alpha_max",
    "alpha_max_of",
    "coefficient_variances",
    "coefficient_weights",
    "fit_rows",
    "fitted_problem",
    "group_variances",
    "group_weights",
    "is_complete",
    "mean_of_defined",
    "observed_accuracy",
    "observed_r2",
    "observed_targets",
    "outcome_losses",
    "outcome_mean_losses",
    "outcome_scores",
    "scored_targets",
    "set_fit",
    "spec_of",
]
