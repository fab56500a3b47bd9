"""Inspection of fitted models: gains from sharing, degrees of freedom, task similarity."""

from skmtl.inspection._coef_table import coef_table
from skmtl.inspection._degrees import effective_dof, pooling_factor
from skmtl.inspection._display_path import RegularizationPathDisplay
from skmtl.inspection._display_report import SharingReportDisplay
from skmtl.inspection._display_shrinkage import CoefficientShrinkageDisplay
from skmtl.inspection._display_similarity import TaskSimilarityDisplay
from skmtl.inspection._report import sharing_report
from skmtl.inspection._similarity import task_affinity, task_similarity

__all__ = [
    "CoefficientShrinkageDisplay",
    "RegularizationPathDisplay",
    "SharingReportDisplay",
    "TaskSimilarityDisplay",
    "coef_table",
    "effective_dof",
    "pooling_factor",
    "sharing_report",
    "task_affinity",
    "task_similarity",
]
