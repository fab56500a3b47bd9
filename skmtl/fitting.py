"""What a fit is, without an estimator: a specification, the problem it poses, its solution."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from skmtl.arrowhead import Posterior
from skmtl.data import (
    Basis,
    class_mask_of,
    factor_basis,
    read_penalty_factor,
    read_task_weights,
)
from skmtl.losses import LogisticLoss, MultinomialLoss, SquaredLoss
from skmtl.penalties import Coefficients, GraphCoupling, MeanCoupling, Penalty
from skmtl.problem import Problem
from skmtl.solvers import SOLVERS, Solution


@dataclass(frozen=True)
class Spec:
    """Specification of a model: everything but the data.

    Attributes
    ----------
    name : str
        Class of the estimator, for messages.
    classifier : bool
        Whether the targets are classes.
    penalty : callable
        Takes the task labels and returns the ``Penalty`` of these tasks; the weights named
        in ``auto`` are 1.0 there.
    auto : tuple of str
        Penalty weights to estimate from the data: "alpha", "alpha_intercept", "alpha_shared".
    covariance_type, covariance_prior
        Parameters of the estimator, for alpha="auto".
    fit_intercept, task_weight, class_weight, task_classes, penalty_factor, solver, max_iter, tol
        Parameters of the estimator.
    common : bool
        Whether tasks have a common slope where ``penalty_factor`` is inf; else it is zero.
    weighting : "balanced", "uncertainty", "minimax" or None
        The name of the task weights; None where they are numbers.
    """

    name: str
    classifier: bool
    penalty: Callable[[Any], Penalty]
    auto: tuple[str, ...] = ()
    covariance_type: str | None = None
    covariance_prior: float = 0.0
    fit_intercept: bool = True
    task_weight: Any = None
    weighting: str | None = None
    class_weight: Any = None
    task_classes: str = "union"
    penalty_factor: Any = None
    common: bool = False
    solver: str = "auto"
    max_iter: int = 1000
    tol: float = 1e-8


class Reference(NamedTuple):
    """Quantities of a fit that define problems on other rows (``adapt``, inspection).

    Attributes
    ----------
    center : ndarray of shape (d,)
        Mean of the features.
    basis : Basis or None
        In which the features are posed.
    mean_total : float
        Mean weight of a task.
    classes, class_weight : ndarray of shape (K,) or None
    estimated : dict
        Penalty weights that were estimated.
    noise : Noise or None
        Noise variances common to all tasks.
    outcomes : Outcomes or None
        Of tasks of different kinds.
    """

    center: np.ndarray
    basis: Basis | None
    mean_total: float
    classes: np.ndarray | None
    class_weight: np.ndarray | None
    estimated: Mapping[str, Any]
    noise: Any
    outcomes: Any = None


class Posed(NamedTuple):
    """A problem with the rows that pose it.

    Attributes
    ----------
    rows : Rows
        With the targets that the loss takes and the task weights used.
    problem : Problem
    offset : float or ndarray of shape (R,)
        Number subtracted from the targets, or one for each row of the coefficients.
    estimated : dict
        Penalty weights that were estimated.
    found : dict
        Attributes of the estimator that were estimated with them.
    basis : Basis or None
        That of the problem's features, if not the users'.
    """

    rows: Any
    problem: Problem
    offset: Any
    estimated: Mapping[str, Any] = {}
    found: Mapping[str, Any] = {}
    basis: Basis | None = None

    def with_penalty(self, penalty):
        """Return the same with another penalty, as of a ``Spec``."""
        if self.basis is not None:
            penalty = penalty.in_basis(self.basis)
        return self._replace(problem=self.problem.with_penalty(penalty))

    def in_basis(self, basis, *, shift=None, overwrite=False):
        """Return the same in a ``Basis`` of its features, which is on top of one that it has.

        The penalty stays what it is, in the new coordinates; ``shift`` and ``overwrite`` are as of
        ``TaskData.in_basis``.
        """
        joined = basis if self.basis is None else self.basis.then(basis)
        problem = in_basis(self.problem, basis, shift=shift, overwrite=overwrite, joined=joined)
        return self._replace(problem=problem, basis=joined)

    def to_users(self, coefficients):
        """Return the coefficients of the users' features, given those of the problem."""
        return coefficients if self.basis is None else self.basis.to_users(coefficients)

    def from_users(self, coefficients):
        """Undo ``to_users``."""
        return coefficients if self.basis is None else self.basis.from_users(coefficients)


class Fit(NamedTuple):
    """A solution, with the problem that it solves.

    Attributes
    ----------
    posed : Posed
    solver : type
        Class of the solver.
    solution : Solution
    found : dict
        Attributes of the estimator beside the coefficients.
    noise : Noise or None
    elimination : Elimination or None
        That of the solver's last step.
    """

    posed: Posed
    solver: type
    solution: Solution
    found: Mapping[str, Any] = {}
    noise: Any = None
    elimination: Any = None

    @property
    def rows(self):
        """The rows of the problem."""
        return self.posed.rows

    @property
    def problem(self):
        """The problem."""
        return self.posed.problem

    @property
    def reference(self):
        """The ``Reference`` for problems on other rows."""
        posed, rows = self.posed, self.rows
        return Reference(
            self.problem.data.center,
            posed.basis,
            rows.totals.mean(),
            rows.classes,
            rows.class_weight,
            posed.estimated,
            self.noise,
            rows.outcomes,
        )

    @property
    def coefficients(self):
        """The solution as ``Coefficients`` of the users' features, centered as the problem's."""
        return self.posed.to_users(self.solution.coefficients)

    def moved_to(self, posed):
        """Return the coefficients of the same predictions in another problem of these tasks.

        Its features may be centered elsewhere and have another basis.
        """
        shift = posed.problem.data.center - self.problem.data.center
        if not shift.any() and posed.basis is self.posed.basis:
            return self.solution.coefficients
        V, q, w, c = self.coefficients
        moved = posed.from_users(Coefficients(V, q + V @ shift, w, c + w @ shift))
        return posed.problem.penalty.project(moved)

    def evaluation(self):
        """Return the ``Evaluation`` of the solution, by the problem and not by the solver."""
        return self.problem.evaluate(self.solution.coefficients, self.solution.split)

    def posterior(self):
        """Return the ``Posterior`` of the coefficients, or a str, the reason why there is none.

        The curvature of a loss that is not squared is that at the start of the last step.
        """
        problem, elimination = self.problem, self.elimination
        data, loss = problem.data, problem.loss
        if self.rows.outcomes is not None:
            return (
                "its tasks are of different kinds. Models of one kind with a quadratic penalty, "
                "such as MeanRegularizedRegressor, have them"
            )
        if not isinstance(problem.penalty, MeanCoupling | GraphCoupling):
            return "its penalty is not quadratic"
        if loss.n_outputs > 1:
            return "it has more than two classes (coef_ and intercept_ have those of each)"
        if not self.solver.needs_blocks:
            return (
                "the 'cg' solver forms no matrices of the tasks. Fit again with solver='direct', "
                "if these fit into memory"
            )
        by_rows = data.rotates or (elimination is not None and elimination.by_rows)
        if by_rows and not isinstance(data.X, np.ndarray):
            return "X is sparse, and its tasks have fewer rows than features"
        if loss.constant_curvature is None and (elimination is None or data.rotates):
            derivative = self.evaluation().sums.derivative
            data = problem.curved(derivative)
        factor, basis = np.ones(data.n_features), self.posed.basis
        if basis is not None:
            factor[basis.fixed], factor[basis.free] = np.inf, 0.0
        return Posterior.of(data, problem.penalty, factor, elimination)

    def null_losses(self):
        """Return the weighted loss of each task (T,) where all coefficients are zero."""
        return self.problem.null_sums().value


def in_basis(problem, basis, *, shift=None, overwrite=False, joined=None):
    """Return a problem in a ``Basis`` of its features, with the same penalty in new coordinates.

    ``joined`` is that of the users' features, by default ``basis``; ``shift`` and ``overwrite`` are
    as of ``TaskData.in_basis``.
    """
    data, joined = problem.data.in_basis(basis.B, shift, overwrite=overwrite), joined or basis
    if joined.grades(data):
        data = data.as_graded()
    elif joined.fixed.any():  # a rotation would lose their small columns to rounding
        data = data.without_rotation()
    return Problem(data, problem.loss, problem.penalty)


def pose(spec, rows, *, reference=None, task_weight=None, center=None):
    """Return the ``Posed`` problem of some rows.

    Parameters
    ----------
    spec : Spec
    rows : Rows
    reference : Reference, optional
        Fit that provides the feature mean and basis, the classes and the estimated penalty weights.
    task_weight : ndarray of shape (T,), optional
        Replaces the task weights of ``spec``.
    center : ndarray of shape (d,), optional
        Replaces the weighted mean of the features.
    """
    given = task_weight is not None
    if rows.outcomes is not None and reference is not None:
        rows = rows._replace(outcomes=rows.outcomes.as_in(reference.outcomes))
    weights = read_task_weights(task_weight if given else spec.task_weight, rows.tasks)
    penalty = penalty_of(spec, rows)
    if not weights.all():
        if rows.wide:
            raise ValueError(
                "task_weight is 0 for some tasks. In the wide form every column of y is "
                "predicted: drop these columns from y instead."
            )
        present = np.flatnonzero(weights)
        penalty = penalty.take(coefficients_of(rows, present))
        rows, weights = rows.take(present), weights[present]
    if spec.classifier:
        known = (None, None) if reference is None else (reference.classes, reference.class_weight)
        rows = rows.encode_targets(spec.name, spec.class_weight, *known)
    if not given and spec.weighting == "balanced":  # N / (T n_t)
        mean_total = rows.totals.mean() if reference is None else reference.mean_total
        weights = mean_total / rows.totals
    rows = rows._replace(task_weight=weights)
    offset = 0.0
    if rows.outcomes is not None:
        if spec.fit_intercept and penalty.inner.alpha_intercept == 0:  # else they are coupled
            offset = rows.outcomes.offsets
    elif spec.fit_intercept and not spec.classifier:
        offset = rows.mean_target
    if not spec.fit_intercept:
        center = np.zeros(rows.n_features)
    elif reference is not None:
        center = reference.center
    if rows.outcomes is None:
        excluded = spec.classifier and excludes_classes(spec.task_classes, penalty)
        mask = class_mask_of(rows.has_class) if excluded else None
        data, loss = rows.task_data(weights, offset, center, mask), loss_of(rows.classes)
    else:
        data, loss = rows.outcomes.posed(rows, weights, offset, center)
    posed = Posed(rows, Problem(data, loss, penalty), offset)
    basis = _basis_of(spec, posed) if reference is None else reference.basis
    if basis is not None:
        posed = posed.in_basis(basis, overwrite=True).with_penalty(penalty)
    if reference is None or not spec.auto:
        return posed
    if any(name not in reference.estimated for name in spec.auto):
        raise ValueError(f"{' and '.join(spec.auto)} became 'auto' after fit. Fit again.")
    return with_estimates(posed, reference.estimated)


def penalty_of(spec, rows):
    """Return the ``Penalty`` of a spec for some rows."""
    return spec.penalty(labels_of(rows)).of_features(rows.n_features, rows.names)


def labels_of(rows):
    """Return the labels of the rows of the coefficients: tasks, or tuples of task and class."""
    return rows.tasks if rows.outcomes is None else rows.outcomes.labels(rows.tasks)


def coefficients_of(rows, tasks):
    """Return the rows of the coefficients of some tasks, both index arrays."""
    if rows.outcomes is None:
        return tasks
    return np.concatenate([rows.outcomes.places[t] for t in tasks])


def _basis_of(spec, posed):
    """Return the ``Basis`` that ``penalty_factor`` needs, or None."""
    rows, problem = posed.rows, posed.problem
    factor = read_penalty_factor(spec.penalty_factor, rows.n_features, rows.names)
    if factor is None:
        return None
    if spec.auto and factor.all():
        # what has no variance between tasks is scaled when the others are known
        hard = np.isinf(factor)
        return Basis(1.0 / np.sqrt(np.where(hard, 1.0, factor)), hard)

    def curvature():
        return problem.loss.curvature_bound * problem.data.square_norms

    diagonal = problem.penalty.diagonal()
    weights = np.empty(0) if "alpha" in spec.auto else np.append(diagonal.V, diagonal.w)
    return factor_basis(factor, curvature, weights, common=spec.common)


def excludes_classes(task_classes, penalty):
    """Return whether the classes that a task does not have are excluded there."""
    return task_classes == "seen" or penalty.inner.alpha_intercept == 0


def loss_of(classes):
    """Return the loss of a regression (None), of two classes, or of more."""
    if classes is None:
        return SquaredLoss()
    return LogisticLoss() if len(classes) == 2 else MultinomialLoss(len(classes))


def with_estimates(posed, estimated, found=None):
    """Return a problem with estimated penalty weights.

    Parameters
    ----------
    posed : Posed
    estimated : dict
        Some of the penalty weights alpha and alpha_intercept, numbers, and alpha_shared, a number
        or (d,).
    found : dict, optional
        Attributes of the estimator that were estimated with them.
    """
    penalty = posed.problem.penalty.with_weights(**estimated)
    return posed.with_penalty(penalty)._replace(estimated=estimated, found=found or {})


def choose_solver(problem, name="auto"):
    """Return the solver of a name, a class, or the first that can solve the problem."""
    names, reasons = list(SOLVERS) if name == "auto" else [name], []
    names.sort(key=lambda name: not SOLVERS[name].is_preferred(problem))
    for name in names:
        reason = SOLVERS[name].objection(problem)
        if reason is None:
            return SOLVERS[name]
        reasons.append(f"solver={name!r}: {reason}")
    raise ValueError(f"No solver can take this problem. {'; '.join(reasons)}.")


def solve(spec, posed, *, start=None, watch=None):
    """Return the ``Fit`` of a problem.

    Parameters
    ----------
    spec : Spec
    posed : Posed
    start : callable, optional
        ``start(posed, solver)`` returns the coefficients at which the solver starts, and their
        ``Split`` or None. By default ``Problem.start()``.
    watch : callable, optional
        ``watch(posed, solver)`` is called before the solver runs.
    """
    solver = choose_solver(posed.problem, spec.solver)(posed.problem, spec.max_iter, spec.tol)
    if watch is not None:
        watch(posed, solver)
    at = (posed.problem.start(), None) if start is None else start(posed, solver)
    solution = solver.solve(*at)
    return Fit(posed, type(solver), solution, posed.found, elimination=solver.elimination)


def refit(spec, fit, start, tol):
    """Return the ``Fit`` of the rows of another fit with the penalty of a spec.

    Parameters
    ----------
    spec : Spec
        Of the model of ``fit`` with other penalty weights.
    fit : Fit
    start : Coefficients
    tol : float
        Replaces that of ``spec``.
    """
    penalty, split = penalty_of(spec, fit.rows), fit.solution.split
    if split and not split.fits(penalty.terms):
        split = None
    posed = fit.posed.with_penalty(penalty)
    start = posed.problem.penalty.project(start)
    return solve(replace(spec, tol=tol), posed, start=lambda *_: (start, split))
