"""``alpha="auto"``: restricted likelihood against a dense covariance."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmtl import (
    MeanRegularizedRegressor,
)
from skmtl.datasets import load_radon
from tests._problems import Rows, make_wide, melt
from tests.tuning._evidence import (
    AUTO,
    ONE_VARIANCE,
    dense_likelihood,
    dense_maximum,
    fit,
    found,
    restricted_likelihood,
    simulate,
)

NLME = ONE_VARIANCE | {"alpha": "auto", "task_column": 0, "fit_intercept": False}

# Against R --------------------------------------------------------------------------------------


def test_ratios_of_variances_of_nlme(mixed_model):
    data = mixed_model
    model = MeanRegularizedRegressor(**NLME)
    model.fit(data.X, data.y)
    # nlme stopped at about 1e-6.
    assert_allclose(model.alpha_, data.alpha, rtol=2e-6)
    assert_allclose([model.sigma2_, model.tau2_], [data.sigma2, data.tau2], rtol=2e-6)
    assert_allclose(model.shared_coef_, data.center, rtol=1e-6)
    assert_allclose(data.coefficients(model), data.first, rtol=2e-6)


def test_radon_of_the_package():
    X, y = load_radon(return_X_y=True)
    X = np.column_stack([X[:, 0], np.ones(len(y)), X[:, 1]])
    model = MeanRegularizedRegressor(**NLME)
    model.fit(X, y)
    assert_allclose(model.alpha_, 5.200463726, rtol=1e-4)
    assert_allclose(model.coef_[0], [1.21913984157608, -0.602163482721055], atol=1e-4)


# Against the dense covariance -------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha_shared", [0.0, 0.5, np.inf])
def test_restricted_likelihood_of_both(weighted, alpha_shared):
    rows = simulate()
    weight = np.random.default_rng(1).uniform(0.3, 3, len(rows.y)) if weighted else None
    model = fit(rows, weight, alpha_shared=alpha_shared, **AUTO)

    def likelihood(alpha, alpha_intercept):
        return dense_likelihood(rows, alpha, alpha_intercept, weight, alpha_shared)[0]

    best, value = dense_maximum(likelihood, [1.0, 1.0])
    alphas = model.alpha_, model.alpha_intercept_
    assert_allclose(alphas, best, rtol=1e-6)
    assert_allclose(model.restricted_log_likelihood_, value, rtol=1e-10)
    here, sigma2 = dense_likelihood(rows, *alphas, weight, alpha_shared)
    assert_allclose(model.restricted_log_likelihood_, here, rtol=1e-11)
    assert_allclose(model.sigma2_, sigma2, rtol=1e-10)
    assert_allclose(model.tau2_, sigma2 / model.alpha_, rtol=1e-10)
    assert_allclose(model.tau2_intercept_, sigma2 / model.alpha_intercept_, rtol=1e-10)
    flat = 1 + rows.X.shape[1] * (alpha_shared == 0)
    total = len(rows.y) if weight is None else weight.sum()
    assert_allclose(2 * model.objective_ / (total - flat), sigma2, rtol=1e-10)


@pytest.mark.parametrize("alpha_intercept", [0.0, 2.0, np.inf])
@pytest.mark.parametrize("d", [3, 20])
def test_alpha_alone(alpha_intercept, d):
    """With 20 features tasks have fewer rows than features: thin rows come from the rows."""
    rows = simulate(T=25, d=d)
    model = fit(rows, alpha="auto", alpha_intercept=alpha_intercept)

    def likelihood(alpha):
        return dense_likelihood(rows, alpha, alpha_intercept)[0]

    best, value = dense_maximum(likelihood, [1.0])
    assert_allclose(model.alpha_, best[0], rtol=1e-6)
    assert_allclose(model.restricted_log_likelihood_, value, rtol=1e-10)
    assert model.alpha_intercept_ == alpha_intercept
    assert not hasattr(model, "tau2_intercept_")


@pytest.mark.parametrize("alpha", [3.0, np.inf])
def test_alpha_intercept_alone(alpha):
    rows = simulate()
    model = fit(rows, alpha=alpha, alpha_intercept="auto")
    best, value = dense_maximum(lambda a: dense_likelihood(rows, alpha, a)[0], [1.0])
    assert_allclose(model.alpha_intercept_, best[0], rtol=1e-6)
    assert_allclose(model.restricted_log_likelihood_, value, rtol=1e-10)
    assert not hasattr(model, "tau2_")


def test_alpha_intercept_beside_separate_slopes():
    """alpha = 0 gives each task slopes of its own as fixed effects."""
    rows = simulate(low=6)
    model = fit(rows, alpha=0.0, alpha_intercept="auto")
    T, (n, d) = 15, rows.X.shape
    Z, E = rows.X - rows.X.mean(axis=0), np.eye(15)[rows.codes]
    F = np.column_stack([np.ones(n), (E[:, :, None] * Z[:, None]).reshape(n, T * d)])

    def likelihood(alpha_intercept):
        # each task's slopes in its own orthonormal basis: unit determinant
        return restricted_likelihood(rows.y, np.eye(n) + (E @ E.T) / alpha_intercept, F)[0]

    best, value = dense_maximum(likelihood, [1.0])
    assert_allclose(model.alpha_intercept_, best[0], rtol=1e-6)
    assert_allclose(model.restricted_log_likelihood_, value, rtol=1e-10)


def test_alpha_by_task_beside_automatic_intercepts():
    rows = simulate(T=4, low=8, high=20)
    alpha = [0.5, 2.0, np.inf, 7.0]
    model = fit(rows, alpha=alpha, alpha_intercept="auto")
    Z = rows.X - rows.X.mean(axis=0)
    own = Z / np.sqrt(np.array(alpha))[rows.codes, None]
    F, same = np.column_stack([np.ones(len(Z)), Z]), rows.codes[:, None] == rows.codes

    def likelihood(alpha_intercept):
        V = np.eye(len(Z)) + same * (own @ own.T + 1 / alpha_intercept)
        return restricted_likelihood(rows.y, V, F)[0]

    best, value = dense_maximum(likelihood, [1.0])
    assert_allclose(model.alpha_intercept_, best[0], rtol=1e-6)
    assert_allclose(model.restricted_log_likelihood_, value, rtol=1e-10)
    assert_array_equal(model.alpha_, alpha)


def test_dependent_columns_are_left_out_as_in_lme4():
    rows = simulate()
    both = Rows(
        np.column_stack([rows.X, rows.X[:, 0] - rows.X[:, 1], np.ones(len(rows.y))]),
        *(rows.y, rows.codes),
    )
    model = fit(both, **AUTO)

    def likelihood(alpha, alpha_intercept):
        Z = both.X - both.X.mean(axis=0)
        V = np.eye(len(Z)) + (both.codes[:, None] == both.codes) * (
            Z @ Z.T / alpha + 1 / alpha_intercept
        )
        F = np.column_stack([np.ones(len(Z)), Z[:, :3]])
        return restricted_likelihood(both.y, V, F)[0]

    best, value = dense_maximum(likelihood, [1.0, 1.0])
    assert_allclose([model.alpha_, model.alpha_intercept_], best, rtol=1e-6)
    assert_allclose(model.restricted_log_likelihood_, value, rtol=1e-10)


# The same data in other forms -------------------------------------------------------------------


def test_the_fit_is_that_of_the_numbers():
    rows = simulate()
    model = fit(rows, **AUTO)
    same = fit(rows, alpha=model.alpha_, alpha_intercept=model.alpha_intercept_)
    assert_array_equal(model.coef_, same.coef_)
    assert_array_equal(model.intercept_, same.intercept_)
    assert model.objective_ == same.objective_


def test_units_of_the_target():
    rows = simulate()
    model, scaled = fit(rows, **AUTO), fit(Rows(rows.X, 100 * rows.y - 7, rows.codes), **AUTO)
    assert_allclose(found(scaled), found(model) * [1, 1, 1e4, 1e4, 1e4], rtol=1e-8)


def test_order_of_rows_and_names_of_tasks():
    rows, rng = simulate(), np.random.default_rng(5)
    order, names = rng.permutation(len(rows.y)), rng.permutation(15)
    other = Rows(rows.X[order], rows.y[order], names[rows.codes[order]])
    model, moved = fit(rows, **AUTO), fit(other, **AUTO)
    assert_allclose(found(moved), found(model), rtol=1e-8)
    assert_allclose(moved.coef_[names], model.coef_, atol=1e-8)


def repeated(rows, times):
    return Rows(*(np.repeat(part, times, axis=0) for part in (rows.X, rows.y, rows.codes)))


@pytest.mark.parametrize("alpha_shared", [0.0, 0.5])
def test_weights_count_rows(alpha_shared):
    """Weights 0 to 3 against the rows as often, and these against their dense covariance."""
    rows = simulate(low=4)
    times = np.random.default_rng(1).integers(0, 4, len(rows.y))
    many, params = repeated(rows, times), {"alpha_shared": alpha_shared, **AUTO}
    model, same = fit(rows, times, **params), fit(many, **params)
    assert_allclose(found(model), found(same), rtol=1e-8)
    assert_allclose(model.coef_, same.coef_, rtol=1e-7)
    likelihood, sigma2 = dense_likelihood(
        many, model.alpha_, model.alpha_intercept_, None, alpha_shared
    )
    assert_allclose(model.restricted_log_likelihood_, likelihood, rtol=1e-11)
    assert_allclose(model.sigma2_, sigma2, rtol=1e-10)


def test_task_weights_count_the_rows_of_tasks():
    rows, times = simulate(T=5, low=5), np.array([1, 3, 2, 1, 2])
    model = fit(rows, task_weight=times.astype(float), **AUTO)
    same = fit(repeated(rows, times[rows.codes]), **AUTO)
    assert_allclose(found(model), found(same), rtol=1e-8)
    assert_allclose(model.restricted_log_likelihood_, same.restricted_log_likelihood_, rtol=1e-11)
    dense = dense_likelihood(
        repeated(rows, times[rows.codes]), model.alpha_, model.alpha_intercept_
    )
    assert_allclose(model.restricted_log_likelihood_, dense[0], rtol=1e-11)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_weights_of_the_wide_form_count_rows(missing):
    X, Y = make_wide(20, 3, T=5, missing=missing)
    times, params = np.random.default_rng(2).integers(1, 4, len(X)), ONE_VARIANCE | AUTO
    weighted = MeanRegularizedRegressor(**params).fit(X, Y, times)
    same = MeanRegularizedRegressor(**params).fit(np.repeat(X, times, 0), np.repeat(Y, times, 0))
    assert_allclose(found(weighted), found(same), rtol=1e-7)


def test_task_weights_are_weights_of_rows():
    rows, a = simulate(T=4, low=8, high=20), np.array([2.0, 0.5, 1.0, 3.0])
    model = fit(rows, task_weight=dict(enumerate(a)), **AUTO)
    by_row = fit(rows, a[rows.codes], **AUTO)
    assert_allclose(found(model), found(by_row), rtol=1e-8)
    counts = np.bincount(rows.codes)
    balanced = fit(rows, task_weight="balanced", **AUTO)
    by_row = fit(rows, (len(rows.y) / (4 * counts))[rows.codes], **AUTO)
    assert_allclose(found(balanced), found(by_row), rtol=1e-8)


def test_a_task_of_weight_zero_is_absent():
    rows = simulate()
    kept = rows.codes != 14
    model = fit(rows, task_weight=[1.0] * 14 + [0.0], **AUTO)
    without = fit(Rows(rows.X[kept], rows.y[kept], rows.codes[kept]), **AUTO)
    assert_allclose(found(model), found(without), rtol=1e-10)


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("shape", [(20, 3), (6, 9)])
@pytest.mark.parametrize("task_weight", [None, [2.0, 0.5, 2.0, 3.0, 1.0]])
def test_wide_form(missing, shape, task_weight):
    X, Y = make_wide(*shape, T=5, missing=missing)
    weight = np.random.default_rng(2).uniform(0.5, 2, len(X))
    params = ONE_VARIANCE | {"alpha_shared": 0.1, "task_weight": task_weight, **AUTO}
    wide = MeanRegularizedRegressor(**params).fit(X, Y, weight)
    long = fit(*melt(X, Y, weight), **params)
    assert_allclose(found(wide), found(long), rtol=1e-6)
    assert_allclose(wide.restricted_log_likelihood_, long.restricted_log_likelihood_, rtol=1e-9)
    assert_allclose(wide.coef_, long.coef_, atol=1e-5)


def test_wide_form_with_more_features_than_rows_and_a_free_center():
    X, Y = make_wide(6, 9, T=5, missing=0.0)
    with pytest.warns(UserWarning, match="center unpenalized: 9 features fit 6 rows exactly. Set"):
        model = MeanRegularizedRegressor("auto", **ONE_VARIANCE).fit(X, Y)
    for penalized in (1.0, "auto"):  # no warning
        MeanRegularizedRegressor("auto", alpha_shared=penalized).fit(X, Y)
    Z = X - X.mean(axis=0)
    basis = np.linalg.svd(Z)[2][:5].T  # the constant depends on the basis: orthonormal
    F = np.tile(np.column_stack([np.ones(6), Z @ basis]), (5, 1))

    def likelihood(alpha):
        V = np.eye(30) + np.kron(np.eye(5), Z @ Z.T / alpha + 1.0)
        return restricted_likelihood(Y.T.ravel(), V, F)[0]

    best, value = dense_maximum(likelihood, [1.0])
    assert_allclose(model.alpha_, best[0], rtol=1e-5)
    assert_allclose(model.restricted_log_likelihood_, value, rtol=1e-10)
