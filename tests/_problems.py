"""Random problems and models of three families: squared, logistic and multinomial loss."""

import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.linear_model import LogisticRegression

from skmtl import (
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    PooledClassifier,
    PooledRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
)
from skmtl.data import LongData, read_rows
from skmtl.fitting import pose
from skmtl.linear_model import spec_of
from skmtl.losses import SquaredLoss
from skmtl.penalties import MeanCoupling
from skmtl.problem import Problem

# A family is its number of classes.
FAMILIES = {"squared": None, "logistic": 2, "multinomial": 3}
CLASSES = {"logistic": 2, "multinomial": 3}
families = pytest.mark.parametrize("K", FAMILIES.values(), ids=FAMILIES)
n_classes = pytest.mark.parametrize("K", CLASSES.values(), ids=CLASSES)
solvers = pytest.mark.parametrize("solver", ["direct", "cg"])

REGRESSORS = (PooledRegressor, SharedL2Regressor, MeanRegularizedRegressor)
CLASSIFIERS = (PooledClassifier, SharedL2Classifier, MeanRegularizedClassifier)
ARRAY = [0.3, 40.0, 2.0, 7.0]
DICT = {0: 3.0, 1: 0.2, 2: 15.0, 3: 1.0, "absent": 9.0}
TASK_WEIGHT = {0: 2.0, 1: 0.5, 2: 1.0, 3: 3.0}


def kinds(K):
    """Return the estimators of a family: pooled, separate, mean-regularized."""
    return REGRESSORS if K is None else CLASSIFIERS


def with_numbers(K):
    """Return the same, the last with its default penalty weights as numbers, not None."""
    pooled, separate, mean = kinds(K)
    numbers = {"alpha_shared": 0.0 if K is None else 1e-3, "alpha_intercept": 1.0}
    return pooled, separate, lambda alpha, **params: mean(alpha, **numbers | params)


def models(K):
    """Return models of a family by name."""
    pooled, separate, mean = with_numbers(K)
    small = 0.0 if K is None else 0.3  # classes may be separable
    found = {
        "pooled": pooled(2.0),
        "pooled-within": pooled(0.5, alpha_intercept=0.0),
        "pooled-random-intercepts": pooled(0.5, alpha_intercept=3.0),
        "pooled-constant": pooled(np.inf, alpha_intercept=2.0),
        "pooled-no-intercept": pooled(2.0, fit_intercept=False),
        "separate": separate(1.5),
        "separate-array": separate(ARRAY),
        "separate-mixed": separate([np.inf, 1.0, small, 2.0]),
        "separate-dict-no-intercept": separate(DICT, fit_intercept=False),
        "mean": mean(1.5),
        "mean-array": mean(ARRAY, alpha_shared=0.7, alpha_intercept=5.0),
        "mean-dict": mean(DICT, alpha_shared=2.0, alpha_intercept=0.0),
        "mean-mixed": mean([np.inf, 1.0, small, 30.0], alpha_shared=0.1),
        "mean-one-intercept": mean(2.0, alpha_intercept=np.inf),
        "mean-pooled-slopes": mean(np.inf, alpha_intercept=2.0),
        "mean-no-center": mean(2.0, alpha_shared=np.inf),
        "mean-no-intercept": mean(ARRAY, fit_intercept=False),
    }
    if K is None:
        found["pooled-least-squares"] = pooled(0.0)
        found["separate-dict"] = separate(DICT)
    return found


def basic(K):
    """Return one model of each kind."""
    pooled, separate, mean = with_numbers(K)
    return {
        "pooled": pooled(2.0, alpha_intercept=4.0),
        "separate": separate(2.0),
        "mean": mean(2.0, alpha_shared=0.5),
    }


def slow_unless(table, kept):
    """Return parameters by name, of which those that are not kept are slow."""
    return [
        pytest.param(value, id=name, marks=() if name in kept else pytest.mark.slow)
        for name, value in table.items()
    ]


def parametrize_models(table, among=FAMILIES):
    """Parametrize K and model by ``table(K)`` of each family."""
    return pytest.mark.parametrize(
        ("K", "model"),
        [
            pytest.param(K, model, id=f"{family}-{name}")
            for family, K in among.items()
            for name, model in table(K).items()
        ],
    )


all_models = parametrize_models(models)
basic_models = parametrize_models(basic)
all_classifiers = parametrize_models(models, CLASSES)
basic_classifiers = parametrize_models(basic, CLASSES)


# Data -------------------------------------------------------------------------------------------


@dataclass
class Rows:
    """Rows of tasks 0 to T - 1 in random order."""

    X: np.ndarray
    y: np.ndarray
    codes: np.ndarray

    @property
    def long(self):
        """The features behind the task labels."""
        return np.column_stack([self.codes, self.X])

    def take(self, kept):
        return Rows(self.X[kept], self.y[kept], self.codes[kept])


def make_rows(K=None, sizes=None, d=3, seed=0):
    """Tasks with coefficients of their own, each with all of K classes, or a target.

    Features have means and scales of their own.
    """
    rng = np.random.default_rng(seed)
    if sizes is None:
        sizes = (9, 5, 14, 7) if K is None else (40, 25, 60, 30)
    T = len(sizes)
    codes = rng.permutation(np.repeat(np.arange(T), sizes))
    X = rng.normal(size=(len(codes), d)) * rng.uniform(0.5, 2, d) + rng.normal(size=d)
    X += (1.0 if K is None else 0.5) * rng.normal(size=(T, d))[codes]
    if K is None:
        W = rng.normal(size=d) + rng.normal(size=(T, d))
        intercept = 3 + 2 * rng.normal(size=T)
        z = np.einsum("ij,ij->i", X, W[codes]) + intercept[codes]
        return Rows(X, z + rng.normal(size=len(codes)), codes)
    W = (rng.normal(size=(1, K, d)) + rng.normal(size=(T, K, d))) / np.sqrt(2 * d)
    intercept = 0.5 * rng.normal(size=(T, K))
    z = np.einsum("ij,ikj->ik", X - X.mean(axis=0), W[codes]) + intercept[codes]
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    for t in range(T):
        own = np.flatnonzero(codes == t)
        if len(np.unique(y[own])) < K:
            y[own[:K]] = np.arange(K)
    return Rows(X, y, codes)


def draw_classes(sizes=(40, 25, 60), d=2, n_classes=2, seed=0):
    """Rows of tasks whose classes overlap: labels in front, and their class."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    X = rng.normal(size=(len(codes), d))
    W = rng.normal(size=(n_classes, d)) + 0.5 * rng.normal(size=(len(sizes), n_classes, d))
    z = np.einsum("nd,nkd->nk", X, W[codes]) + rng.gumbel(size=(len(codes), n_classes))
    return np.column_stack([codes, X]), z.argmax(axis=1)


def task_weights(codes):
    """Return the ``TASK_WEIGHT`` of each row."""
    return np.array(list(TASK_WEIGHT.values()))[codes]


def weighted_rows(K=None, seed=0, **params):
    """Return rows, sample weights, and these times ``TASK_WEIGHT``."""
    rows = make_rows(K, seed=seed, **params)
    sample_weight = np.random.default_rng(1).uniform(0.2, 3.0, len(rows.y))
    return rows, sample_weight, sample_weight * task_weights(rows.codes)


def partial_rows(seed=0):
    """Three classes, of which tasks 0 and 1 lack one each; with sample weights."""
    rows, weight, _ = weighted_rows(3, seed)
    kept = rows.y != np.array([0, 2, -1, -1])[rows.codes]
    return rows.take(kept), weight[kept]


def make_wide(n=20, d=3, T=4, missing=0.3, seed=0):
    """One X for all tasks and Y (n, T), a share of it missing."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + rng.normal(size=d)
    Y = X @ (rng.normal(size=(d, 1)) + rng.normal(size=(d, T))) + 5 + rng.normal(size=(n, T))
    Y[rng.random(Y.shape) < missing] = np.nan
    return X, Y


def make_indicator(n=60, d=3, T=4, seed=0):
    """One X for all tasks and a complete indicator (n, T)."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + rng.normal(size=d)
    W = (rng.normal(size=(d, 1)) + rng.normal(size=(d, T))) / np.sqrt(d)
    return X, (X @ W + rng.logistic(size=(n, T)) > 0.3).astype(int)


def melt(X, Y, weight=None):
    """Return the long form of wide data, row by row: (rows, weight)."""
    i, t = np.nonzero(~np.isnan(Y))
    weight = np.ones(len(X)) if weight is None else weight
    return Rows(X[i], Y[i, t], t), weight[i]


def noisy(sizes=(20, 12, 25, 15)):
    """Rows of four tasks, and targets with noise of another size in each."""
    rows = make_rows(sizes=sizes)
    noise = np.random.default_rng(3).normal(size=len(rows.y))
    return rows, rows.y + noise * np.array([3, 0.2, 1, 2])[rows.codes]


# Fits -------------------------------------------------------------------------------------------


def fit_long(model, rows, sample_weight=None, **params):
    return clone(model).set_params(task_column=0, **params).fit(rows.long, rows.y, sample_weight)


def messages_of(model, *data):
    """Return the warnings of a fit."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(*data)
    return [str(warning.message) for warning in caught]


def logistic_oracle(alpha, **params):
    """Return the ``LogisticRegression`` of one task, exact to rounding."""
    C = 1 / alpha if alpha else np.inf
    return LogisticRegression(C=C, solver="newton-cholesky", tol=1e-13, max_iter=10000, **params)


def respond(model, X):
    """Return predictions of a regressor, log-odds of a classifier."""
    return model.decision_function(X) if is_classifier(model) else model.predict(X)


def assert_same_model(model, other, rtol=1e-10, order=None, center=True):
    """Check all coefficients, relative to the largest of their kind."""
    order = slice(None) if order is None else order
    names = ["coef_", "intercept_"]
    if center and hasattr(model, "shared_coef_"):
        names += ["shared_coef_", "shared_intercept_"]
    for name in names:
        a, b = getattr(model, name), getattr(other, name)
        a = a if name.startswith("shared") else a[order]
        np.testing.assert_allclose(
            a, b, rtol=0, atol=rtol * (1e-300 + np.abs(b).max()), err_msg=name
        )


def problem_of(model, X, y, sample_weight=None):
    """Return the ``Problem`` that fit would pose."""
    return pose(spec_of(model), read_rows(model, X, y, sample_weight, reset=True)).problem


def make_problem(alpha=(1.0, 2.0, 0.5, 3.0), alpha_shared=0.4, alpha_intercept=2.0, **params):
    rows, _, weight = weighted_rows()
    data = LongData(rows.X, rows.y, weight, rows.codes, 4, rows.X.mean(axis=0))
    penalty = MeanCoupling(np.array(alpha), alpha_shared, alpha_intercept, **params)
    return Problem(data, SquaredLoss(), penalty)
