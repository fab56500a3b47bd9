"""Problems of the speed benchmark: data, penalty weights and an objective."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from benchmarks import data, objective
from benchmarks.problems import synthetic, wide, wide_sparse

KINDS = {
    "mean ridge": "Ridge regressions shrunk towards a shared center",
    "separate ridge": "A separate ridge regression for each task",
    "wide ridge": "Ridge regression of many targets",
    "l21": "Features selected for all targets together (L2,1)",
    "l1": "Lasso of each target (L1)",
    "l21 + ridge": "Features selected together, with a ridge",
    "mean logistic": "Classifiers shrunk towards a shared center",
    "separate logistic": "A separate classifier for each task",
    "mixed model": "Mixed model: random intercepts and slopes",
}
MANY_TARGETS = ("wide ridge", "l21", "l1", "l21 + ridge")  # one X for all targets
TASKS = {  # what the tasks of a data set are
    "School": "schools",
    "School above median": "schools",
    "Exam": "schools",
    "Parkinsons": "patients",
    "radon": "counties",
    "Contraception": "districts",
    "sleepstudy": "subjects",
    "atp1d": "flight prices",
}


@dataclass(frozen=True)
class LongForm:
    """Long-form data with tasks 0, ..., T - 1, and the penalty weights."""

    kind: str
    name: str
    X: np.ndarray
    tasks: np.ndarray
    y: np.ndarray
    alpha: float = 0.0
    alpha_shared: float = 0.0

    @property
    def n_tasks(self):
        return int(self.tasks.max()) + 1

    @property
    def shape(self):
        return (*self.X.shape, self.n_tasks)

    @cached_property
    def long(self):
        return np.column_stack([self.tasks, self.X])

    @cached_property
    def groups(self):
        order = np.argsort(self.tasks, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(self.tasks[order])) + 1)

    def objective(self, *solution):
        """Return the objective at the solution of a solver."""
        given = self.X, self.tasks, self.y
        if self.kind == "mixed model":
            return objective.restricted(*given, *solution)
        if self.kind.startswith("separate"):
            logistic = self.kind.endswith("logistic")
            value = objective.separate_logistic if logistic else objective.separate
            return value(*given, *solution, self.alpha)
        logistic = self.kind.endswith("logistic")
        value = objective.mean_regularized_logistic if logistic else objective.mean_regularized
        return value(*given, *solution, self.alpha, self.alpha_shared)


@dataclass(frozen=True)
class WideForm:
    """Wide-form data and the penalty weights; intercepts are unpenalized."""

    kind: str
    name: str
    X: np.ndarray
    Y: np.ndarray
    alpha: float
    alpha_ridge: float = 0.0

    @property
    def shape(self):
        return (*self.X.shape, self.Y.shape[1])

    def objective(self, W, b):
        """Return the objective at the solution of a solver."""
        given = self.X, self.Y, W, b, self.alpha
        if self.kind == "wide ridge":
            return objective.wide_ridge(*given)
        if self.kind == "l1":
            return objective.wide_l1(*given)
        return objective.wide_l21_ridge(*given, self.alpha_ridge)


@dataclass(frozen=True)
class Entry:
    """A problem, constructed by ``make()``, which may raise ``data.AbsentError``."""

    kind: str
    name: str
    quick: bool
    make: Callable

    @property
    def key(self):
        return f"{self.kind}: {self.name}"


def scaled(X):
    """Scale features to mean 0 and variance 1; constant ones are 0."""
    spread = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def with_constant(X):
    """Return a constant and the scaled features, for models without intercepts."""
    return np.column_stack([np.ones(len(X)), scaled(X)])


def real(kind, name, read, alpha, alpha_shared=1.0):
    X, tasks, y = read()
    if kind.startswith("mean"):
        X = with_constant(X)
    elif kind.startswith("separate"):
        X = scaled(X)
    if kind.endswith("logistic"):
        y = y > np.median(y) if len(np.unique(y)) > 2 else y == 1
    return LongForm(kind, name, X, tasks, y, alpha, alpha_shared)


def drawn(kind, name, size):
    found = synthetic(*size)
    y = found.y > 0 if kind.endswith("logistic") else found.y
    return LongForm(kind, name, found.X, found.tasks, y, 10.0, 1.0)


def drawn_wide(kind, name, size, share):
    """Return a norm with a share of alpha_max, or a ridge with alpha ``share``."""
    if kind == "wide ridge":
        return WideForm(kind, name, *wide(*size), share)
    return with_share(kind, name, *wide_sparse(*size), share)


def with_share(kind, name, X, Y, share):
    centered = X - X.mean(axis=0), Y - Y.mean(axis=0)
    order = np.inf if kind == "l1" else 2
    alpha = share * np.linalg.norm(centered[0].T @ centered[1], order, axis=1).max()
    ridge = 0.1 * alpha if kind == "l21 + ridge" else 0.0
    return WideForm(kind, name, X, Y, alpha, ridge)


def atp1d(kind, share):
    X, Y = data.multi_output("atp1d", 6)
    X, Y = scaled(X), scaled(Y)
    if kind == "wide ridge":
        return WideForm(kind, "atp1d", X, Y, 100.0)
    return with_share(kind, "atp1d", X, Y, share)


def size_name(n, d, n_tasks):
    return f"n={n:,} d={d:,} T={n_tasks:,}"


def entries():
    """Return all problems, in the order of the tables."""
    found = []

    def add(kind, name, make, *args, quick=False):
        found.append(Entry(kind, name, quick, partial(make, kind, name, *args)))

    def add_wide(kind, size, share, quick=False):
        name = size_name(*size)
        found.append(Entry(kind, name, quick, partial(drawn_wide, kind, name, size, share)))

    total = partial(data.parkinsons, "total_UPDRS")
    add("mean ridge", "School", real, data.school, 100.0)
    add("mean ridge", "Parkinsons", real, total, 10.0)
    add("mean ridge", "Exam", real, data.exam, 10.0)
    add("mean ridge", "radon", real, data.radon, 5.0, quick=True)
    large = (100_000, 30, 1_000)
    add("mean ridge", size_name(*large), drawn, large)
    add("separate ridge", "School", real, data.school, 100.0, quick=True)
    add("separate ridge", size_name(*large), drawn, large)
    add_wide("wide ridge", (2_000, 200, 2_000), 10.0)
    found.append(Entry("wide ridge", "atp1d", True, partial(atp1d, "wide ridge", 0.0)))
    for kind in ("l21", "l1"):
        for size in ((1_000, 200, 100), (500, 2_000, 50), (5_000, 500, 20)):
            add_wide(kind, size, 0.1)
        add_wide(kind, (300, 100, 20), 0.1, quick=True)
        found.append(Entry(kind, "atp1d", False, partial(atp1d, kind, 0.1)))
    for size in ((1_000, 200, 100), (500, 2_000, 50)):
        add_wide("l21 + ridge", size, 0.1)
    add_wide("l21 + ridge", (300, 100, 20), 0.1, quick=True)
    found.append(Entry("l21 + ridge", "atp1d", False, partial(atp1d, "l21 + ridge", 0.1)))
    add("mean logistic", "Contraception", real, data.contraception, 10.0, quick=True)
    add("mean logistic", "School above median", real, data.school, 10.0)
    add("mean logistic", size_name(*large), drawn, large)
    add("separate logistic", "School above median", real, data.school, 10.0, quick=True)
    add("separate logistic", size_name(*large), drawn, large)
    add("mixed model", "sleepstudy", real, data.sleepstudy, 0.0, quick=True)
    add("mixed model", "radon", real, data.radon_plain, 0.0)
    add("mixed model", "Exam", real, data.exam_plain, 0.0)
    add("mixed model", "School", real, data.school, 0.0)
    return found
