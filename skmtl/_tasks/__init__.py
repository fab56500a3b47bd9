"""TaskData: the rows of all tasks, and every product with X.

Two layouts with one interface: ``LongData`` keeps rows grouped by task, ``WideData`` one X that
all tasks share. Both hold X minus ``center``, the overall weighted mean of the features (zeros
without an intercept), in C order and float64; predictions are ``x . w_t + level_t`` with this
centerd x. Tasks that have the same rows share a *block*, the unit of which moments are taken.
"""

from skmtl._tasks._base import LossSums, Moments, TaskData, weighted_mean
from skmtl._tasks._long import SMALL, LongData
from skmtl._tasks._wide import WideData

__all__ = ["SMALL", "LongData", "LossSums", "Moments", "TaskData", "WideData", "weighted_mean"]
