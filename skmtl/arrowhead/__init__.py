"""The system of tasks around a center: what one elimination of the task blocks answers."""

from skmtl.arrowhead._blocks import DualBlocks, Groups, PrimalBlocks
from skmtl.arrowhead._degrees import (
    coupled_share,
    coupling_weights,
    degrees_objection,
    degrees_of_freedom,
    graph_degrees,
)
from skmtl.arrowhead._elimination import Elimination, block_kinds
from skmtl.arrowhead._posterior import Posterior
from skmtl.arrowhead._spectrum import Spectrum
from skmtl.arrowhead._system import ArrowheadSystem, NestedSystem

__all__ = [
    "ArrowheadSystem",
    "DualBlocks",
    "Elimination",
    "Groups",
    "NestedSystem",
    "Posterior",
    "PrimalBlocks",
    "Spectrum",
    "block_kinds",
    "coupled_share",
    "coupling_weights",
    "degrees_objection",
    "degrees_of_freedom",
    "graph_degrees",
]
