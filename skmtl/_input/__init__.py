"""What users pass, read into arrays: every message about input lives in this folder.

Two layouts of data enter (see ``docs/data.md``): the long form, where one column of X holds each
row's task label, and the wide form, where y has one column per task on a shared X.
"""

from skmtl._input._arrays import read_target, read_X, take_rows
from skmtl._input._classes import class_weights, encode_classes, read_class_labels
from skmtl._input._labels import encode, factorize, merge, split_task_column, unknown_tasks
from skmtl._input._rows import read_rows
from skmtl._input._strengths import adaptive, balanced, per_task, strength, task_weights
from skmtl._input._text import listed

__all__ = [
    "adaptive",
    "balanced",
    "class_weights",
    "encode",
    "encode_classes",
    "factorize",
    "listed",
    "merge",
    "per_task",
    "read_X",
    "read_class_labels",
    "read_rows",
    "read_target",
    "split_task_column",
    "strength",
    "take_rows",
    "task_weights",
    "unknown_tasks",
]
