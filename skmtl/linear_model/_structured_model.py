"""Models with any penalty of `skmtl.penalties`: regressor and classifier."""

from functools import partial

import numpy as np
from sklearn.utils import Bunch

from skmtl.data import check_alpha
from skmtl.linear_model._base import LinearMultiTaskModel
from skmtl.linear_model._shapes import to_users
from skmtl.penalties import PENALTIES, Decomposed, StructuredPenalty, TaskPenalty


class StructuredModel(LinearMultiTaskModel):
    """Base of the models whose penalty is a parameter."""

    _has_center = False
    _solvers = ("admm",)
    _coercive_parameter = "alpha, or add a penalty such as Ridge(1e-3)"

    def _penalty(self):
        names = "penalty", "alpha", "alpha_intercept", "fit_intercept"
        return partial(structured_penalty, **{name: getattr(self, name) for name in names})

    def _set_solution_attributes(self, fit):
        super()._set_solution_attributes(fit)
        solution, penalty = fit.solution, fit.problem.penalty
        split = solution.split or penalty.split(solution.coefficients.W)
        found = penalty.structure(split, self.tasks_)
        decomposed = isinstance(penalty.penalty, Decomposed)
        self.structure_ = [Bunch(**part) for part in found] if decomposed else Bunch(**found[0])
        if decomposed:
            self.parts_ = [to_users(part) for part in split.parts]
        elif hasattr(self, "parts_"):
            del self.parts_


def structured_penalty(tasks, *, penalty, alpha, alpha_intercept, fit_intercept):
    """Return the penalty, an object or a name, on tasks with these labels."""
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
        check_alpha(alpha, "alpha"),
        check_alpha(alpha_intercept, "alpha_intercept") if fit_intercept else np.inf,
        fixed_intercept=not fit_intercept,
    )
