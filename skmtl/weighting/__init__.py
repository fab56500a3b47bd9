"""Task weights that follow the fit; models are asked to fit again with others."""

from skmtl.weighting._adaptive import ADAPTED, ADAPTED_BY_TASK, fit_adaptive, fit_held

__all__ = ["ADAPTED", "ADAPTED_BY_TASK", "fit_adaptive", "fit_held"]
