"""Penalty weights and task weights estimated from the data."""

from skmtl.tuning._adaptive import ADAPTED, ADAPTED_BY_TASK, fit_adaptive, fit_held
from skmtl.tuning._laplace import LaplaceEvidence, central_differences
from skmtl.tuning._optimum import minimize
from skmtl.tuning._restricted import RestrictedLikelihood

__all__ = [
    "ADAPTED",
    "ADAPTED_BY_TASK",
    "LaplaceEvidence",
    "RestrictedLikelihood",
    "central_differences",
    "fit_adaptive",
    "fit_held",
    "minimize",
]
