"""The system of tasks around a center: what one elimination of the task blocks answers."""

from skmtl.arrowhead._blocks import DualBlocks, Groups, PrimalBlocks
from skmtl.arrowhead._degrees import (
    MOST_UNKNOWNS,
    degrees_objection,
    degrees_of_freedom,
    graph_degrees,
)
from skmtl.arrowhead._elimination import Elimination, block_kinds
from skmtl.arrowhead._inverse import Arrowhead

__all__ = [
    "MOST_UNKNOWNS",
    "Arrowhead",
    "DualBlocks",
    "Elimination",
    "Groups",
    "PrimalBlocks",
    "block_kinds",
    "degrees_objection",
    "degrees_of_freedom",
    "graph_degrees",
]
