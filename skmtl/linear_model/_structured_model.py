"""Base of the regressor and the classifier with a penalty of choice."""

import numpy as np
from sklearn.utils import Bunch

from skmtl.data import check_alpha
from skmtl.linear_model._base import LinearMultiTaskModel
from skmtl.linear_model._shapes import to_users
from skmtl.penalties import PENALTIES, Decomposed, StructuredPenalty, TaskPenalty


class StructuredModel(LinearMultiTaskModel):
    """Base of models whose penalty is a parameter; they store its estimated structure."""

    _has_center = False
    _coercive_parameter = "alpha, or add a penalty such as Ridge(1e-3)"

    def _penalty(self, tasks):
        penalty = self.penalty
        if isinstance(penalty, str):
            if penalty not in PENALTIES:
                raise ValueError(
                    f"penalty must be one of {sorted(PENALTIES)} or an object such as "
                    f"L21(1.0), got {penalty!r}."
                )
            penalty = PENALTIES[penalty]()
        if not isinstance(penalty, TaskPenalty):
            raise ValueError(
                f"penalty must be one of {sorted(PENALTIES)} or an object of skmtl.penalties, got "
                f"{penalty!r}."
            )
        return StructuredPenalty(
            penalty.bind(tasks),
            check_alpha(self.alpha, "alpha"),
            check_alpha(self.alpha_intercept, "alpha_intercept") if self.fit_intercept else np.inf,
            fixed_intercept=not self.fit_intercept,
        )

    def _keep(self, solution, problem):
        super()._keep(solution, problem)
        split, penalty = solution.split, problem.penalty
        split = split or penalty.split(solution.coefficients.W)
        found = penalty.structure(split, self.tasks_)
        decomposed = isinstance(penalty.penalty, Decomposed)
        self.structure_ = [Bunch(**part) for part in found] if decomposed else Bunch(**found[0])
        if decomposed:
            self.parts_ = [to_users(part) for part in split.parts]
        elif hasattr(self, "parts_"):
            del self.parts_
