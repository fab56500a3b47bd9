"""Cross-validation for multi-task data."""

from skmtl.model_selection._path import RegularizationPathCV

# for skmtl.inspection
from skmtl.model_selection._scoring import as_given as as_given
from skmtl.model_selection._scoring import of_kinds as of_kinds
from skmtl.model_selection._split import TaskKFold

# for skmtl.inspection
from skmtl.model_selection._split import TaskRows as TaskRows
from skmtl.model_selection._split import known_rows as known_rows
from skmtl.model_selection._split import make_splits as make_splits

__all__ = ["RegularizationPathCV", "TaskKFold"]
