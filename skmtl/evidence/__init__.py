"""Strengths that the data tell: likelihoods with the coefficients of the tasks integrated out."""

from skmtl.evidence._laplace import LaplaceEvidence, central_differences
from skmtl.evidence._optimum import minimize
from skmtl.evidence._restricted import RestrictedLikelihood

__all__ = ["LaplaceEvidence", "RestrictedLikelihood", "central_differences", "minimize"]
