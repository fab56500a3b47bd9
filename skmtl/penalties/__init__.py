"""Penalties on the coefficients of all tasks.

Users choose a `TaskPenalty`. A ``Problem`` takes a `Penalty`: the coupling of an estimator, or the
`StructuredPenalty` that wraps a `TaskPenalty`.
"""

from skmtl.penalties._base import Coefficients, Penalty, Split
from skmtl.penalties._fused import TemporalFused
from skmtl.penalties._graph import GraphPenalty, read_graph
from skmtl.penalties._graph_coupling import GraphCoupling
from skmtl.penalties._low_rank import TraceNorm
from skmtl.penalties._mean import MeanCoupling
from skmtl.penalties._nested import NestedCoupling, Nesting, sums_of_members
from skmtl.penalties._network import NetworkLasso
from skmtl.penalties._quadratic import Graph, MeanRegularized, Ridge
from skmtl.penalties._robust import RobustMean
from skmtl.penalties._sparse import L1, L21, TaskL2
from skmtl.penalties._structured import StructuredPenalty
from skmtl.penalties._task_penalty import Decomposed, Sum, TaskPenalty
from skmtl.penalties._term import Term

PENALTIES = {
    "graph": Graph,
    "l1": L1,
    "l21": L21,
    "mean_regularized": MeanRegularized,
    "network_lasso": NetworkLasso,
    "ridge": Ridge,
    "robust_mean": RobustMean,
    "task_l2": TaskL2,
    "temporal_fused": TemporalFused,
    "trace_norm": TraceNorm,
}

__all__ = [
    "L1",
    "L21",
    "PENALTIES",
    "Coefficients",
    "Decomposed",
    "Graph",
    "GraphCoupling",
    "GraphPenalty",
    "MeanCoupling",
    "MeanRegularized",
    "NestedCoupling",
    "Nesting",
    "NetworkLasso",
    "Penalty",
    "Ridge",
    "RobustMean",
    "Split",
    "StructuredPenalty",
    "Sum",
    "TaskL2",
    "TaskPenalty",
    "TemporalFused",
    "Term",
    "TraceNorm",
    "read_graph",
    "sums_of_members",
]
