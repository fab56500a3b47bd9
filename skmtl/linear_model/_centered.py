"""Models around a center: what their regressors and classifiers have in common."""

from __future__ import annotations

import copy
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from skmtl._threads import blas_threads_for
from skmtl.data import (
    check_alpha,
    factorize,
    is_auto,
    merge_tasks,
    moments_of_rows,
    read_per_column,
    read_per_task,
    read_rows,
    replace_tasks,
    task_columns,
    warn_of_other_types,
)
from skmtl.linear_model._base import LinearMultiTaskModel
from skmtl.linear_model._coefficients import users_coefficients
from skmtl.linear_model._parameters import check_unchanged
from skmtl.penalties import MeanCoupling, NestedCoupling, Nesting
from skmtl.tuning import fit_given_center

_OF_GROUPS = ("groups_", "group_coef_", "group_intercept_")
_LISTED = 5  # models named in a warning
_BY_TASK = ("coef_", "intercept_", "task_counts_", "task_weight_", "task_classes_")


def _joined(old, others, *given):
    """Return a ``Posterior`` with adapted tasks, or the reason why there is none, a str."""
    reasons = [part for part in (old, *others) if isinstance(part, str)]
    return reasons[0] if reasons else old.with_adapted(others, *given)


def _nearest(label, known):
    """Return the label of the innermost known group that a task (a tuple) is in, () if none is."""
    inside = (label[:size] for size in range(len(label) - 1, 0, -1))
    return next((group for group in inside if group in known), ())


def _check_groups(labels, known, columns):
    """Raise if a label is in another group than in fit, where each label of its column is in one.

    ``labels`` and ``known`` are tuples of tasks, ``columns`` those of the labels from the outside.
    """
    for level, column in enumerate(columns[1:], 1):
        group = {}
        repeats = any(group.setdefault(own[level], own[:level]) != own[:level] for own in known)
        if repeats or len(set(group.values())) == 1:
            continue  # a label says nothing about the group
        for own in labels:
            if own[level] in group and group[own[level]] != own[:level]:
                raise ValueError(
                    f"adapt got {own[level]!r} of the column {column!r} in the group "
                    f"{own[:level]!r}. In fit it is in {group[own[level]]!r}, and each label of "
                    f"{column!r} is in one group. Correct these rows, or, if it is new, give it "
                    "another label."
                )


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
        columns = task_columns(self.task_column)
        if len(columns) > 1:
            columns = columns[::-1]
            return self._nested_penalty(weight, columns, Nesting.of_labels(tasks, columns)[0])
        return MeanCoupling(
            read_per_task(weight["alpha"], "alpha", tasks),
            check_alpha(weight["alpha_shared"], "alpha_shared"),
            *self._intercept_penalty(weight["alpha_intercept"]),
        )

    def _nested_penalty(self, weight, columns, nesting):
        """Return the coupling of tasks in groups; ``columns`` go from the inside out."""
        alpha, intercept = [
            read_per_column(weight[name], name, columns) for name in ("alpha", "alpha_intercept")
        ]
        fixed = not self.fit_intercept
        if fixed:
            intercept = np.full(len(columns), np.inf)
        shared = check_alpha(weight["alpha_shared"], "alpha_shared")
        return NestedCoupling.of(alpha, shared, intercept, fixed, nesting)

    def _set_task_attributes(self, fit):
        super()._set_task_attributes(fit)
        for name in _OF_GROUPS:
            self.__dict__.pop(name, None)
        penalty = fit.problem.penalty
        if penalty.nesting is None:
            return
        found = [
            users_coefficients(fit, own.W, own.intercept)
            for own in penalty.of_groups(fit.coefficients)
        ]
        self.group_coef_, self.group_intercept_ = map(list, zip(*found, strict=True))
        groups = Nesting.of_labels(fit.rows.tasks)[1][::-1]
        self.groups_ = groups[len(groups) - len(found) :]

    def _fall_back(self, labels, codes):
        if not hasattr(self, "groups_"):
            return super()._fall_back(labels, codes)
        place, first = {(): -1}, len(self.tasks_)
        for groups in self.groups_:
            place |= {group: first + number for number, group in enumerate(groups)}
            first += len(groups)
        found, own = factorize(labels[codes < 0], self.task_column)
        nearest = [_nearest(label, place) for label in found.tolist()]
        codes = codes.copy()
        codes[codes < 0] = np.array([place[group] for group in nearest])[own]
        models = {}
        for label, group in zip(found.tolist(), nearest, strict=True):
            models.setdefault(
                f"the model of group {group!r}" if group else "the shared model", label
            )
        listed_models = [f"{model} for {label!r}" for model, label in models.items()]
        rest = f" and others ({len(models) - _LISTED} more)" if len(models) > _LISTED else ""
        return codes, ", ".join(listed_models[:_LISTED]) + rest

    def _set_solution_attributes(self, fit):
        super()._set_solution_attributes(fit)
        penalty = fit.problem.penalty
        alpha = penalty.alpha
        if penalty.nesting is not None:
            self._set_weights_of_columns(fit)
            return
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

    def _set_weights_of_columns(self, fit):
        """Set the penalty weights used; those of the problem may be in other coordinates."""
        penalty, found = fit.problem.penalty, fit.posed.found
        nesting, alpha = penalty.nesting, penalty.level_alpha
        if alpha.ndim == 2 and not is_auto(self.alpha):
            alpha = read_per_column(self.alpha, "alpha", nesting.columns)
        shared = self._penalty_weights()["alpha_shared"]
        if is_auto(shared):
            shared = found.get("alpha_shared_", penalty.alpha_shared)
        self.alpha_ = found.get("alpha_", nesting.by_column(alpha))
        self.alpha_intercept_ = nesting.by_column(penalty.alpha_intercept)
        self.alpha_shared_ = float(shared)

    def adapt(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the tasks of new rows with the center fixed; all other tasks are unchanged.

        New tasks are added; tasks of ``fit`` are fitted again from these rows alone. With several
        task columns, groups of ``fit`` are fixed too, and new ones are fitted with their tasks.
        A model with ``moments_`` has those of these rows too, for a later ``partial_fit``.

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
            to the new rows; with several task columns the iterations are those of the group that
            took the most.

        Raises
        ------
        ValueError
            If a label is in another group than in fit, where each label of its column is in one.
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
        warn_of_other_types(rows.tasks, self.tasks_)
        if hasattr(self, "groups_"):
            columns = task_columns(self.task_column)
            _check_groups(rows.tasks.tolist(), self.tasks_.tolist(), columns)
        new, fits, places = copy.deepcopy(self), [], self._known_groups(rows.tasks)
        with blas_threads_for(rows.work):
            for group, tasks in places.items():
                own = rows if len(tasks) == len(rows.tasks) else rows.take(tasks)
                center = self._fixed_center(group)
                fits.append(fit_given_center(spec, own, self._reference, center, len(group)))
        for fit in fits:
            self._warn(fit)
        new._add(fits, rows.tasks, np.concatenate(list(places.values())))
        new._set_solution_attributes_of(fits, self)
        if hasattr(self, "moments_"):
            new.moments_ = replace_tasks(self.moments_, moments_of_rows(self, rows))
        return new

    def _known_groups(self, tasks):
        """Return the indices of tasks by the label of their innermost known group, () if none."""
        if not hasattr(self, "groups_"):
            return {(): np.arange(len(tasks))}
        known, found = {group for groups in self.groups_ for group in groups}, {}
        for number, label in enumerate(tasks.tolist()):
            found.setdefault(_nearest(label, known), []).append(number)
        return {group: np.array(members) for group, members in found.items()}

    def _fixed_center(self, group):
        """Return the coefficients and centered intercepts of a group, or with () of the center."""
        coef, intercept = self.shared_coef_, self.shared_intercept_
        if group:
            level = len(group) - 1
            place = self.groups_[level].index(group)
            coef, intercept = self.group_coef_[level][place], self.group_intercept_[level][place]
        w = np.atleast_2d(coef)
        return w, np.reshape(intercept + coef @ self._reference.center, len(w))

    def _add(self, fits, tasks, place):
        """Add the tasks of fits with a fixed center, and their groups, to the attributes.

        ``place`` has the index of each task of the fits, one after the other, in ``tasks``.
        """
        names, parts = (*_BY_TASK, *_OF_GROUPS, *fits[0].found), []
        before = {name: getattr(self, name) for name in names if hasattr(self, name)}
        for fit in fits:
            self._set_task_attributes(fit)
            parts.append({name: getattr(self, name) for name in before if hasattr(self, name)})
        self.tasks_, old, own = merge_tasks(self.tasks_, tasks, self.task_column)
        own = own[place]
        kept = ~np.isin(old, own)
        order = np.argsort(np.concatenate([old[kept], own]))
        for name in (*_BY_TASK, *fits[0].found):
            if name in before:
                both = [before[name][kept], *(part[name] for part in parts)]
                setattr(self, name, np.concatenate(both)[order])
        nested = self._add_groups(before, parts) if "groups_" in before else ()
        others = [fit.posterior() for fit in fits]
        self._posterior = _joined(self._posterior, others, kept, order, *nested)

    def _add_groups(self, before, parts):
        """Add the groups of fits, those of some inner columns, to the ones before.

        Return the nesting of all, and what number each had before, -1 where it is new: a list of
        (G,), from the inside out.
        """
        columns = task_columns(self.task_column)[::-1]
        nesting, groups = Nesting.of_labels(self.tasks_, columns)
        self.groups_, values, former = groups[::-1], [[], []], []
        for level, groups in enumerate(self.groups_):
            inward = level - len(self.groups_)  # an index from the inside
            having = [before, *(own for own in parts if len(own.get("groups_", ())) >= -inward)]
            labels = [group for own in having for group in own["groups_"][inward]]
            place = {group: n for n, group in enumerate(labels)}
            order = [place[group] for group in groups]
            for name, found in zip(_OF_GROUPS[1:], values, strict=True):
                found.append(np.concatenate([own[name][inward] for own in having])[order])
            number = {group: n for n, group in enumerate(before["groups_"][level])}
            former.insert(0, np.array([number.get(group, -1) for group in groups]))
        self.group_coef_, self.group_intercept_ = values
        return nesting, former

    def _set_solution_attributes_of(self, fits, before):
        """Set what describes the solution of fits with fixed centers; weights are as before."""
        longest = max(fits, key=lambda fit: fit.solution.n_iter)
        if hasattr(self, "groups_"):
            super()._set_solution_attributes(longest)
        else:
            self._set_solution_attributes(longest)
        self.objective_ = sum(fit.solution.objective for fit in fits)
        self.optimality_ = max(fit.solution.optimality for fit in fits)
        for name in ("alpha_", "alpha_shared_", "alpha_intercept_"):
            if name != "alpha_" or not isinstance(before.alpha, dict) or hasattr(self, "groups_"):
                setattr(self, name, getattr(before, name))  # the center and variances are of fit
