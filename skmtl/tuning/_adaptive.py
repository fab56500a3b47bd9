"""Fits with given task weights, inverse noise variances or minimax weights."""

from skmtl.data import adaptive_weights
from skmtl.tuning._minimax import minimax_weights
from skmtl.tuning._noise import NoiseWeights

ADAPTED_BY_TASK = ("noise_variance_", "task_loss_")  # attributes, beside task_weight_
ADAPTED = (*ADAPTED_BY_TASK, "minimax_gap_")


def fit_adaptive(model, rows):
    """Return the ``Fit`` of a model, and a dict of the attributes estimated for the tasks."""
    kind = adaptive_weights(model.task_weight)
    if kind == "minimax":
        return minimax_weights(model, rows)
    if kind == "uncertainty":
        return NoiseWeights(model, model._fit_once).solve(rows)
    return model._fit_once(rows), {}


def fit_held(model, rows):
    """Return the same with the center fixed at that of the last fit."""
    kind = adaptive_weights(model.task_weight)
    if kind == "minimax":
        raise ValueError(
            "task_weight='minimax' weighs the tasks of a fit against each other and is not "
            "defined for others. To adapt, set task_weight to None (weight 1) or to a dict with "
            "every label."
        )
    if kind == "uncertainty":
        if not hasattr(model, "noise_variance_"):
            raise ValueError(
                "task_weight is 'uncertainty' now, but noise variances were not estimated in fit. "
                "Fit again."
            )
        return NoiseWeights(model, model._fit_held, model._noise).solve(rows)
    return model._fit_held(rows), {}
