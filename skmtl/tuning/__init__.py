"""Penalty weights and task weights estimated from the data."""

from skmtl.tuning._fit import (
    ADAPTED,
    ADAPTED_BY_TASK,
    ADAPTIVE,
    VARIANCES,
    fit,
    fit_given_center,
    pose_outcomes,
)

__all__ = [
    "ADAPTED",
    "ADAPTED_BY_TASK",
    "ADAPTIVE",
    "VARIANCES",
    "fit",
    "fit_given_center",
    "pose_outcomes",
]
