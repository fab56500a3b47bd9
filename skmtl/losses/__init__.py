"""Pointwise losses: they know neither X nor tasks."""

from skmtl.losses._base import Loss
from skmtl.losses._squared import SquaredLoss

__all__ = ["Loss", "SquaredLoss"]
