"""Models around a center: what their regressors and classifiers have in common."""

from functools import partial

import numpy as np

from skmtl.data import read_per_task
from skmtl.linear_model._base import LinearMultiTaskModel
from skmtl.linear_model._parameters import is_auto, mean_coupling


class CenteredModel(LinearMultiTaskModel):
    """Base of the models with a ``MeanCoupling``."""

    def _coupling(self, alpha, center, name, alpha_intercept):
        """Return the function from task labels to ``mean_coupling``, whose arguments these are."""
        weights = {"alpha": alpha, "center": center, "alpha_intercept": alpha_intercept}
        return partial(mean_coupling, name=name, fit_intercept=self.fit_intercept, **weights)


class PooledModel(CenteredModel):
    """One w for all tasks: deviations have an infinite penalty weight."""

    def _penalty(self):
        return self._coupling(np.inf, self.alpha, "alpha", self.alpha_intercept)


class SharedL2Model(CenteredModel):
    """Deviations from a center that is fixed at zero, and unpenalized intercepts."""

    _has_center = False

    def _penalty(self):
        return self._coupling(self.alpha, np.inf, "alpha_shared", 0.0)


class MeanRegularizedModel(CenteredModel):
    """Deviations from a center that is found with them; penalty weights may be "auto"."""

    def _penalty(self):
        weights = self.alpha, self.alpha_intercept
        alpha, alpha_intercept = (1.0 if is_auto(weight) else weight for weight in weights)
        return self._coupling(alpha, self.alpha_shared, "alpha_shared", alpha_intercept)

    def _auto(self):
        names = "alpha", "alpha_intercept"
        return tuple(name for name in names if is_auto(getattr(self, name)))

    def _set_solution_attributes(self, fit):
        super()._set_solution_attributes(fit)
        alpha = fit.problem.penalty.alpha
        if isinstance(self.alpha, dict):  # after adapt the fit has some of the tasks only
            alpha = read_per_task(self.alpha, "alpha", self.tasks_)
        elif np.ndim(self.alpha) == 0:
            alpha = float(alpha[0])
        self.alpha_, self.alpha_intercept_ = alpha, float(fit.problem.penalty.alpha_intercept)
