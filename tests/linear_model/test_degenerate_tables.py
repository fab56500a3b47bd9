"""Tables without full rank, at limits of the penalty weights, against 260-digit arithmetic."""

import numpy as np
import pytest

from skmtl import MeanRegularizedRegressor

mpmath = pytest.importorskip("mpmath")
ALPHAS = [0.0, 1e-6, 1e-4, 0.5, 1e4, 1e8, np.inf]
DIGITS = 260


def make_table(rng):
    """Whole numbers: X (n, d), y and tasks; some rows of one task, or all, are degenerate."""
    T, d = (int(n) for n in rng.integers(1, [5, 4]))
    codes = np.repeat(np.arange(T), rng.integers(1, 6, T))
    X = rng.integers(-3, 4, (len(codes), d)).astype(float)
    own, kind = codes == rng.integers(T), rng.integers(8)
    if kind == 1:
        X[own] = X[own][0]
    elif kind == 2:
        X[:, -1] = 2 * X[:, 0]
    elif kind == 3:
        X[own, -1] = 2 * X[own, 0]
    elif kind == 4:
        X[:, 0] = 3.0
    elif kind == 5:
        X[own, 0] = -2.0
    elif kind == 6 and d > 2:  # two proportional features, and one that is constant there
        X[own, 1], X[own, 2] = 2 * X[own, 0], 1.0
    elif kind == 7:
        X[:, 0] = codes
    return X, rng.integers(-3, 4, len(codes)).astype(float), codes


def exact_predictions(X, y, codes, alpha, alpha_intercept, new, new_codes):
    """Predictions of the limit: weights of 0 and inf are 1e-30 and 1e30.

    The center of least norm is that of a weight of 1e-60, before that of free intercepts, 1e-90.
    """
    mpf, (n, d), T = mpmath.mpf, X.shape, int(codes.max()) + 1
    limits = {0.0: mpf(10) ** -30, np.inf: mpf(10) ** 30}
    a, b = (limits.get(x, mpf(x)) for x in (alpha, alpha_intercept))
    b = mpf(10) ** -90 if alpha_intercept == 0 else b
    mean = [sum(map(mpf, X[:, j])) / n for j in range(d)]

    def row(x, t):
        z = [mpf(value) - m for value, m in zip(x, mean, strict=True)]
        full = [*z, mpf(1)] + [mpf(0)] * (T * d + T)
        full[d + 1 + t * d : d + 1 + (t + 1) * d] = z
        full[d + 1 + T * d + t] = mpf(1)
        return mpmath.matrix(full)

    rows = [row(x, int(t)) for x, t in zip(X, codes, strict=True)]
    A = mpmath.diag([mpf(10) ** -60] * (d + 1) + [a] * (T * d) + [b] * T)
    right = mpmath.matrix(len(A), 1)
    for own, target in zip(rows, y, strict=True):
        A += own * own.T
        right += own * mpf(target)
    theta = mpmath.lu_solve(A, right)
    return np.array(
        [float((row(x, int(t)).T * theta)[0]) for x, t in zip(new, new_codes, strict=True)]
    )


def check(seed):
    rng = np.random.default_rng(seed)
    X, y, codes = make_table(rng)
    alpha, alpha_intercept = rng.choice(ALPHAS), rng.choice([0.0, 1.0, np.inf])
    new = np.vstack([X, rng.integers(-3, 4, (4, X.shape[1]))])
    new_codes = np.append(codes, rng.integers(0, codes.max() + 1, 4))
    with mpmath.workdps(DIGITS):
        expected = exact_predictions(X, y, codes, alpha, alpha_intercept, new, new_codes)
    model = MeanRegularizedRegressor(
        alpha, alpha_intercept=alpha_intercept, task_column=0, tol=1e-11
    )
    found = model.fit(np.c_[codes, X], y).predict(np.c_[new_codes, new])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6, err_msg=f"seed {seed}")


@pytest.mark.filterwarnings("ignore:The 'direct' solver")  # rounding errors may be above tol
def test_degenerate_tables():
    for seed in range(60):
        check(seed)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The 'direct' solver")
def test_many_degenerate_tables():
    for seed in range(60, 1000):
        check(seed)
