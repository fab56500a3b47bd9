"""Random problems with tasks of different kinds, and their objective a second time for cvxpy."""

import cvxpy as cp
import numpy as np
from scipy.sparse import csr_array

from skmtl.data import mixed_data
from skmtl.data._rows import Rows
from skmtl.fitting import choose_solver
from skmtl.losses import LogisticLoss, MultinomialLoss, PoissonLoss, SquaredLoss
from skmtl.problem import Problem

ALL = ("squared", "logistic", "poisson", "multinomial", "squared", "poisson")
COMBINATIONS = {
    "squared": ("squared",) * 3,
    "logistic": ("logistic",) * 3,
    "poisson": ("poisson",) * 3,
    "multinomial": ("multinomial",) * 2,
    "squared-logistic": ("squared", "logistic", "logistic"),
    "squared-poisson": ("poisson", "squared", "squared"),
    "logistic-multinomial": ("multinomial", "logistic"),
    "all": ALL,
}


class Table:
    """Rows of several tasks on one X, with everything that poses a problem.

    Targets are (n, T), NaN where nothing is observed; weights (n,), task weights (T,).
    """

    def __init__(self, kinds, n=40, d=4, seed=0, missing=0.3, weights=True, center=True):
        rng = np.random.default_rng(seed)
        self.kinds, T = kinds, len(kinds)
        self.X = rng.normal(size=(n, d)) * rng.choice([0.5, 1.0, 2.0], d) + rng.normal(size=d)
        self.weight = rng.uniform(0.5, 2.0, n) if weights else np.ones(n)
        self.task_weight = rng.uniform(0.5, 2.0, T) if weights else np.ones(T)
        common, columns = 0.5 * rng.normal(size=d), []
        for kind in kinds:
            z = (self.X - self.X.mean(0)) @ (common + 0.3 * rng.normal(size=d))
            columns.append(targets(kind, z, rng))
        self.Y = np.array(columns).T
        self.Y[rng.random(self.Y.shape) < missing] = np.nan
        self.center = None if center else np.zeros(d)

    def losses(self):
        """Return the loss of each task."""
        return [loss_of(kind, y) for kind, y in zip(self.kinds, self.Y.T, strict=True)]

    @property
    def counts(self):
        """Rows of the coefficients of each task."""
        return np.array([loss.n_outputs for loss in self.losses()])

    @property
    def places(self):
        """Rows of the coefficients of each task."""
        return np.split(np.arange(self.counts.sum()), np.cumsum(self.counts)[:-1])

    def rows(self, layout="wide", sparse=False):
        """Return the ``Rows`` in the wide or the long form."""
        X, Y, seen = self.X, self.Y, ~np.isnan(self.Y)
        tasks = np.arange(Y.shape[1])
        counts, totals = seen.sum(axis=0), self.weight @ seen
        if layout == "wide":
            X = csr_array(X) if sparse else X
            observed = None if seen.all() else seen
            return Rows(X, Y, self.weight, None, observed, tasks, counts, totals)
        row, codes = np.nonzero(seen)
        X = csr_array(X[row]) if sparse else X[row]
        return Rows(X, Y[row, codes], self.weight[row], codes, None, tasks, counts, totals)

    def problem(self, penalty, layout="wide", sparse=False):
        """Return the ``Problem``."""
        rows = self.rows(layout, sparse)
        data, loss = mixed_data(rows, self.losses(), self.task_weight, self.center)
        self.mean = data.center
        return Problem(data, loss, penalty)

    def cvxpy_loss(self, W, b):
        """Return the weighted loss at expressions W (R, d) and b (R,), with y log y left out."""
        total, X = 0.0, self.X - self.mean
        parts = zip(self.kinds, self.Y.T, self.places, self.task_weight, strict=True)
        for kind, y, place, scale in parts:
            seen = ~np.isnan(y)
            weight, y = scale * self.weight[seen], y[seen]
            z = [X[seen] @ W[r] + b[r] for r in place]
            if kind == "squared":
                own = 0.5 * cp.square(y - z[0])
            elif kind == "logistic":
                own = cp.logistic(cp.multiply(-y, z[0]))
            elif kind == "poisson":
                own = cp.exp(z[0]) - cp.multiply(y, z[0])
            else:
                Z = cp.vstack(z).T
                right = cp.sum(cp.multiply(np.eye(len(z))[y.astype(int)], Z), axis=1)
                own = cp.log_sum_exp(Z, axis=1) - right
            total = total + weight @ own
        return total


def targets(kind, z, rng):
    """Draw targets of a kind at raw predictions z."""
    if kind == "squared":
        return z + rng.normal(size=len(z))
    if kind == "logistic":
        return np.where(rng.random(len(z)) < 1 / (1 + np.exp(-z)), 1.0, -1.0)
    if kind == "poisson":
        return rng.poisson(np.exp(np.clip(z + 0.5, None, 5.0))).astype(float)
    return np.digitize(z + rng.normal(size=len(z)), [-0.7, 0.7]).astype(float)


def loss_of(kind, y):
    """Return the loss of a task with these targets, NaN where nothing is observed."""
    if kind == "poisson":
        return PoissonLoss(np.nanmean(y))
    kinds = {"squared": SquaredLoss, "logistic": LogisticLoss}
    return kinds[kind]() if kind in kinds else MultinomialLoss(3)


def solved(problem, solver="auto", tol=1e-8, max_iter=5000):
    """Return the solution, whose certificate the problem itself confirms."""
    found = choose_solver(problem, solver)(problem, max_iter, tol).solve(problem.start())
    at = problem.evaluate(found.coefficients, found.split)
    assert at.optimality <= tol, (at.optimality, found.n_iter)
    return found
