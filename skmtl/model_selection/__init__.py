"""Cross-validation that knows about tasks."""

from skmtl.model_selection._split import TaskKFold

__all__ = ["TaskKFold"]
