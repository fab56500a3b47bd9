"""Input validation, and the data layouts of the solvers.

All input checks and all products with X are in this folder. Users pass one of two forms (see
``docs/data.md``): long, where one column of X holds the task label of each row, and wide, where y
has one column per task on a shared X. Two layouts with one interface store them: ``LongData``
keeps rows grouped by task, ``WideData`` one X for all tasks. Both store X minus ``center``, the
overall weighted mean of the features (zeros without an intercept), in C order and float64;
predictions are ``x . w_t + intercept_t`` with this centered x. Tasks with the same rows share a
*block*; moments are computed per block.
"""

from skmtl.data._arrays import (
    NamedTargets,
    check_finite,
    check_in_memory,
    covariance_products,
    plain_target,
    read_X,
    row_predictions,
    take_rows,
)
from skmtl.data._basis import FIXED_SCALE, Basis, factor_basis
from skmtl.data._block_moments import BlockMoments, long_moments, wide_moments
from skmtl.data._classes import check_classes, class_mask_of, read_class_weights
from skmtl.data._entries import entries_of_tasks
from skmtl.data._frames import columns_of_fit, frame_like, is_frame, only_column, with_features
from skmtl.data._known_tasks import (
    encode_tasks,
    merge_tasks,
    other_types,
    unknown_tasks_message,
    warn_of_other_types,
)
from skmtl.data._labels import (
    LabeledFeatures,
    column_names,
    factorize,
    is_missing,
    label_key,
    read_task_labels,
    same_task_columns,
    split_task_column,
    task_columns,
    without_task_column,
)
from skmtl.data._layout import LossSums, Moments, TaskData, weighted_mean
from skmtl.data._long import SMALL, LongData
from skmtl.data._mixed import MixedData, mixed_data
from skmtl.data._parameters import (
    check_alpha,
    is_auto,
    named_weights,
    read_penalty_factor,
    read_per_column,
    read_per_task,
    read_task_weights,
)
from skmtl.data._rows import read_rows
from skmtl.data._target_columns import (
    check_columns,
    class_numbers,
    columns_of,
    labels_of,
    numbers_of,
)
from skmtl.data._task_moments import (
    TaskMoments,
    condensed_rows,
    gram_roots,
    join_moments,
    moments_of_rows,
    moments_of_tasks,
    plus_rows,
    replace_tasks,
    rows_of_moments,
    rows_of_parts,
)

__all__ = [
    "FIXED_SCALE",
    "SMALL",
    "Basis",
    "BlockMoments",
    "LabeledFeatures",
    "LongData",
    "LossSums",
    "MixedData",
    "Moments",
    "NamedTargets",
    "TaskData",
    "TaskMoments",
    "check_alpha",
    "check_classes",
    "check_columns",
    "check_finite",
    "check_in_memory",
    "class_mask_of",
    "class_numbers",
    "column_names",
    "columns_of",
    "columns_of_fit",
    "condensed_rows",
    "covariance_products",
    "encode_tasks",
    "entries_of_tasks",
    "factor_basis",
    "factorize",
    "frame_like",
    "gram_roots",
    "is_auto",
    "is_frame",
    "is_missing",
    "join_moments",
    "label_key",
    "labels_of",
    "long_moments",
    "merge_tasks",
    "mixed_data",
    "moments_of_rows",
    "moments_of_tasks",
    "named_weights",
    "numbers_of",
    "only_column",
    "other_types",
    "plain_target",
    "plus_rows",
    "read_X",
    "read_class_weights",
    "read_penalty_factor",
    "read_per_column",
    "read_per_task",
    "read_rows",
    "read_task_labels",
    "read_task_weights",
    "replace_tasks",
    "row_predictions",
    "rows_of_moments",
    "rows_of_parts",
    "same_task_columns",
    "split_task_column",
    "take_rows",
    "task_columns",
    "unknown_tasks_message",
    "warn_of_other_types",
    "weighted_mean",
    "wide_moments",
    "with_features",
    "without_task_column",
]
