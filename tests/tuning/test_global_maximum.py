"""alpha="auto" against fine grids of the dense restricted likelihood, where rows are few."""

from itertools import product

import numpy as np
import pytest

from tests._problems import Rows
from tests.tuning._evidence import dense_evidence, dense_likelihood, fit, fit_classes

ALPHA = np.append(np.geomspace(1e-3, 1e5, 17), np.inf)


def few_rows(seed):
    """Whole numbers in two to five tasks, 8 to 25 rows."""
    rng = np.random.default_rng(seed)
    T, d = (int(n) for n in rng.integers([2, 1], [6, 3]))
    codes = np.sort(np.append(np.arange(T), rng.integers(0, T, rng.integers(6, 20))))
    X = rng.integers(-3, 4, (len(codes), d)).astype(float)
    return Rows(X, rng.integers(-3, 5, len(codes)).astype(float), codes)


def check(seed):
    rows = few_rows(seed)
    params, grid = [
        ({"alpha": "auto"}, product(ALPHA, [1.0])),
        ({"alpha": 2.0, "alpha_intercept": "auto"}, product([2.0], ALPHA)),
        ({"alpha": "auto", "alpha_intercept": "auto"}, product(ALPHA, ALPHA)),
    ][seed % 3]
    if len(rows.y) <= rows.X.shape[1] * (rows.codes.max() + 1):
        return  # may have nothing to estimate variances from
    found = fit(rows, **params).restricted_log_likelihood_
    best = max(dense_likelihood(rows, *point)[0] for point in grid)
    assert found >= best - 1e-6, seed


def test_the_maximum_is_the_global_one():
    for seed in range(24):
        check(seed)


@pytest.mark.slow
def test_the_maximum_is_the_global_one_in_many_tables():
    for seed in range(24, 300):
        check(seed)


def group_level(seed):
    """Tables in which one of one to three features is constant within tasks."""
    rng = np.random.default_rng(seed)
    T, n, d = (int(number) for number in rng.integers([4, 4, 1], [9, 10, 4]))
    codes = np.repeat(np.arange(T), n)
    X = rng.normal(size=(T * n, d))
    X[:, 0] = rng.normal(size=T)[codes] if seed % 2 else codes
    slopes = rng.choice([0.3, 1.0, 3.0]) * rng.normal(size=(T, d))
    y = X.sum(axis=1) + np.einsum("ij,ij->i", X, slopes[codes]) + rng.normal(size=T * n)
    return Rows(X, y + rng.choice([0, 1]) * rng.normal(size=T)[codes], codes)


@pytest.mark.parametrize(
    "seeds",
    [(66, 124, 161), pytest.param(range(100), marks=pytest.mark.slow)],
    ids=["some", "many"],
)
def test_features_that_are_constant_within_tasks(seeds):
    for seed in seeds:
        rows = group_level(seed)
        found = fit(rows, alpha="auto", alpha_intercept="auto").restricted_log_likelihood_
        best = max(dense_likelihood(rows, *point)[0] for point in product(ALPHA, ALPHA))
        assert found >= best - 1e-6, seed


def test_a_table_with_two_maxima():
    tasks = np.repeat([0, 1, 2], [3, 6, 4])
    x = np.array([2, -2, 2, -3, 0, -3, -3, 0, -3, 2, 3, 2, -3.0])
    y = np.array([1, -3, 1, 3, 4, -2, 2, 4, 2, 0, 1, 2, 1.0])
    model = fit(Rows(x[:, None], y, tasks), alpha="auto", alpha_intercept="auto")
    assert model.restricted_log_likelihood_ >= -26.374


def check_classes(seed):
    """The same for the Laplace evidence of two classes."""
    rng = np.random.default_rng(seed)
    T, d = (int(n) for n in rng.integers([2, 1], [6, 3]))
    codes = np.sort(np.append(np.repeat(np.arange(T), 2), rng.integers(0, T, rng.integers(8, 30))))
    X = rng.integers(-3, 4, (len(codes), d)).astype(float)
    rows, alphas = Rows(X, rng.integers(0, 2, len(codes)), codes), ALPHA[::2]
    fixed = {"alpha_shared": 0.1, "tol": 1e-10}
    params, grid = [
        ({"alpha": "auto", "alpha_intercept": 1.0}, product(alphas, [1.0])),
        ({"alpha": 2.0, "alpha_intercept": "auto"}, product([2.0], alphas)),
        ({"alpha": "auto", "alpha_intercept": "auto"}, product(alphas, alphas)),
    ][seed % 3]
    found = fit_classes(rows, **fixed, **params).log_evidence_
    for alpha, alpha_intercept in grid:
        model = fit_classes(rows, alpha=alpha, alpha_intercept=alpha_intercept, **fixed)
        model.alpha_, model.alpha_intercept_ = alpha, alpha_intercept
        assert found >= dense_evidence(model, rows) - 1e-6, seed


@pytest.mark.filterwarnings("ignore:Only one class was seen")
def test_the_evidence_of_classes_is_maximal():
    for seed in range(6):
        check_classes(seed)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Only one class was seen")
def test_the_evidence_of_classes_is_maximal_in_many_tables():
    for seed in range(6, 60):
        check_classes(seed)
