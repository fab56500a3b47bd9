"""Penalties on the coefficients of all tasks: they know neither X nor y."""

from skmtl.penalties._base import Coefficients, Penalty
from skmtl.penalties._mean import MeanCoupling

__all__ = ["Coefficients", "MeanCoupling", "Penalty"]
