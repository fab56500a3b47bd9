"""alpha="auto" against fine grids of the dense restricted likelihood, where rows are few."""

from itertools import product

import numpy as np
import pytest

from tests._problems import Rows
from tests.tuning._evidence import dense_likelihood, fit

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


def test_a_table_with_two_maxima():
    tasks = np.repeat([0, 1, 2], [3, 6, 4])
    x = np.array([2, -2, 2, -3, 0, -3, -3, 0, -3, 2, 3, 2, -3.0])
    y = np.array([1, -3, 1, 3, 4, -2, 2, 4, 2, 0, 1, 2, 1.0])
    model = fit(Rows(x[:, None], y, tasks), alpha="auto", alpha_intercept="auto")
    assert model.restricted_log_likelihood_ >= -26.374
