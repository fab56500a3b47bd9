"""Pointwise losses, functions of targets and raw predictions alone."""

from skmtl.losses._base import Loss
from skmtl.losses._logistic import LogisticLoss
from skmtl.losses._mixed import MixedLoss
from skmtl.losses._multinomial import MultinomialLoss
from skmtl.losses._poisson import PoissonLoss
from skmtl.losses._squared import SquaredLoss

__all__ = ["LogisticLoss", "Loss", "MixedLoss", "MultinomialLoss", "PoissonLoss", "SquaredLoss"]
