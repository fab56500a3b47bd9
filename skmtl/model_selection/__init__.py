"""Cross-validation for multi-task data."""

from skmtl.model_selection._path import RegularizationPathCV
from skmtl.model_selection._split import TaskKFold

__all__ = ["RegularizationPathCV", "TaskKFold"]
