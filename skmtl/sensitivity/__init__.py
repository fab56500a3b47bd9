"""How solutions answer to targets and to task weights: inverses of the Hessian, by blocks."""

from skmtl.sensitivity._degrees import (
    MOST_UNKNOWNS,
    degrees_objection,
    degrees_of_freedom,
    graph_degrees,
)
from skmtl.sensitivity._loss_response import LossResponse, response_objection
from skmtl.sensitivity._task_systems import Full, LowRank

__all__ = [
    "MOST_UNKNOWNS",
    "Full",
    "LossResponse",
    "LowRank",
    "degrees_objection",
    "degrees_of_freedom",
    "graph_degrees",
    "response_objection",
]
