"""Multi-task data sets and generators."""

from skmtl.datasets._radon import load_radon
from skmtl.datasets._samples_generator import (
    make_multitask_classification,
    make_multitask_regression,
)
from skmtl.datasets._school import fetch_school

__all__ = [
    "fetch_school",
    "load_radon",
    "make_multitask_classification",
    "make_multitask_regression",
]
