"""Types of public signatures; ``skmtl.data`` validates the values.

Modules with public signatures have ``from __future__ import annotations``, so that ``help`` and
editors show the names below instead of what they stand for.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Estimator: TypeAlias = Any  # scikit-learn has no types
Table: TypeAlias = Any  # a DataFrame, or a dict of arrays without pandas
Axes: TypeAlias = Any  # of matplotlib

TaskColumn: TypeAlias = str | int | Sequence[str | int] | None
PenaltyWeight: TypeAlias = float | Literal["auto"] | None
PenaltyWeights: TypeAlias = float | Literal["auto"] | ArrayLike | Mapping[Hashable, float]
PenaltyFactor: TypeAlias = ArrayLike | Mapping[Hashable, float] | None
TaskWeight: TypeAlias = (
    Literal["balanced", "uncertainty", "minimax"] | ArrayLike | Mapping[Hashable, float] | None
)
ClassWeight: TypeAlias = Literal["balanced"] | Mapping[Hashable, float] | None
TaskGraph: TypeAlias = ArrayLike | Sequence[tuple[Any, ...]] | None
CovarianceType: TypeAlias = Literal["spherical", "diag", "full"] | None
HandleUnknown: TypeAlias = Literal["error", "shared", "warn"]
Solver: TypeAlias = Literal["auto", "direct", "cg"]
ADMMSolver: TypeAlias = Literal["auto", "admm", "proximal"]
MixedSolver: TypeAlias = Literal["auto", "direct", "cg", "admm", "proximal"]
Loss: TypeAlias = Literal["squared", "logistic", "multinomial", "poisson"]
Losses: TypeAlias = Literal["infer"] | Mapping[Hashable, Loss]
TaskClasses: TypeAlias = Literal["union", "seen"]
Metric: TypeAlias = str | Callable[..., float]
Derivative: TypeAlias = tuple[Callable[[Array], Array], Array] | None
