"""Cross-validation for multi-task data."""

from skmtl.model_selection._path import RegularizationPathCV
from skmtl.model_selection._split import TaskKFold

# for skmtl.inspection
from skmtl.model_selection._split import TaskRows as TaskRows
from skmtl.model_selection._split import known_rows as known_rows
from skmtl.model_selection._split import make_splits as make_splits

__all__ = ["RegularizationPathCV", "TaskKFold"]
