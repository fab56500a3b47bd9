"""Models around a center: what their regressors and classifiers have in common."""

from __future__ import annotations

import copy
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from skmtl._threads import blas_threads_for
from skmtl.data import check_alpha, is_auto, merge_tasks, read_per_task, read_rows
from skmtl.linear_model._base import LinearMultiTaskModel
from skmtl.linear_model._parameters import check_unchanged
from skmtl.penalties import MeanCoupling
from skmtl.tuning import fit_given_center

_BY_TASK = ("coef_", "intercept_", "task_counts_", "task_weight_", "task_classes_")


def _joined(old, new, kept, order):
    """Return a ``Posterior`` with adapted tasks, or the reason why there is none, a str."""
    reasons = [part for part in (old, new) if isinstance(part, str)]
    return reasons[0] if reasons else old.with_adapted(new, kept, order)


class PooledModel(LinearMultiTaskModel):
    """One w for all tasks: deviations have an infinite penalty weight."""

    def _penalty(self, tasks):
        alpha, center = np.full(len(tasks), np.inf), check_alpha(self.alpha, "alpha")
        return MeanCoupling(alpha, center, *self._intercept_penalty(self.alpha_intercept))


class SharedL2Model(LinearMultiTaskModel):
    """Deviations from a center that is fixed at zero, and unpenalized intercepts."""

    _has_center = False

    def _penalty(self, tasks):
        alpha = read_per_task(self.alpha, "alpha", tasks)
        return MeanCoupling(alpha, np.inf, *self._intercept_penalty(0.0))


class MeanRegularizedModel(LinearMultiTaskModel):
    """Deviations from a center that is found with them; penalty weights may be "auto"."""

    _common = True
    _free_center = 0.0  # alpha_shared where it is None and alpha a number

    def _penalty_weights(self):
        auto, shared, intercept = is_auto(self.alpha), self.alpha_shared, self.alpha_intercept
        if shared is None:
            shared = "auto" if auto else self._free_center
        if intercept is None:
            intercept = "auto" if auto and self.fit_intercept else 1.0
        return {"alpha": self.alpha, "alpha_intercept": intercept, "alpha_shared": shared}

    def _penalty(self, tasks):
        weights = self._penalty_weights().items()
        weight = {name: 1.0 if is_auto(given) else given for name, given in weights}
        return MeanCoupling(
            read_per_task(weight["alpha"], "alpha", tasks),
            check_alpha(weight["alpha_shared"], "alpha_shared"),
            *self._intercept_penalty(weight["alpha_intercept"]),
        )

    def _set_solution_attributes(self, fit):
        super()._set_solution_attributes(fit)
        penalty = fit.problem.penalty
        alpha = penalty.alpha
        if isinstance(self.alpha, dict):  # after adapt the fit has some of the tasks only
            alpha = read_per_task(self.alpha, "alpha", self.tasks_)
        elif np.ndim(self.alpha) == 0:
            alpha = float(alpha[0])
        shared = self._penalty_weights()["alpha_shared"]  # in the problem, one per coordinate
        weights = {
            "alpha_": alpha,
            "alpha_shared_": shared if is_auto(shared) else float(shared),
            "alpha_intercept_": float(penalty.alpha_intercept),
        }
        estimated = {f"{name}_": value for name, value in fit.posed.estimated.items()}
        for name, value in (weights | estimated | dict(fit.posed.found)).items():
            if name in weights:
                setattr(self, name, value)

    def adapt(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the tasks of new rows with the center fixed; all other tasks are unchanged.

        New tasks are added; tasks of ``fit`` are fitted again from these rows alone.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            Features and the column of task labels, as in ``fit``. If ``alpha`` or
            ``task_weight`` differ by task, they must be dicts that contain these tasks.
        y : array-like of shape (n_samples,)
            Target. Classes must all be in ``classes_``; their weights are those of ``fit``.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row.

        Returns
        -------
        estimator
            A new fitted one; ``objective_``, ``optimality_``, ``n_iter_`` and ``history_`` refer
            to the new rows.
        """
        check_is_fitted(self)
        if self.task_column is None:
            raise ValueError(
                "adapt adds tasks by their labels, and this model was fitted without a "
                "task_column. Fit it in the long form, with task_column set."
            )
        spec = self._spec()
        check_unchanged(self)
        for name in ("alpha", "task_weight"):
            if np.ndim(getattr(self, name)) > 0:
                raise ValueError(
                    f"{name} is an array in the order of the tasks of fit and does not apply to "
                    "others. To adapt, set it to a number or to a dict with every label."
                )
        rows = read_rows(self, X, y, sample_weight, reset=False)
        center = self._reference.center
        w = np.atleast_2d(self.shared_coef_)
        c = np.reshape(self.shared_intercept_ + self.shared_coef_ @ center, len(w))
        with blas_threads_for(rows.work):
            fit = fit_given_center(spec, rows, self._reference, (w, c))
        self._warn(fit)
        new = copy.deepcopy(self)
        new._set_task_attributes(fit)
        new.tasks_, old, own = merge_tasks(self.tasks_, fit.rows.tasks, self.task_column)
        kept = ~np.isin(old, own)
        order = np.argsort(np.concatenate([old[kept], own]))
        for name in (*_BY_TASK, *fit.found):
            if hasattr(self, name):
                both = np.concatenate([getattr(self, name)[kept], getattr(new, name)])
                setattr(new, name, both[order])
        new._posterior = _joined(self._posterior, fit.posterior(), kept, order)
        new._set_solution_attributes(fit)
        for name in ("alpha_", "alpha_shared_", "alpha_intercept_"):
            if name != "alpha_" or not isinstance(self.alpha, dict):
                setattr(new, name, getattr(self, name))  # the center and variances are those of fit
        return new
