"""``covariance_type``: variances of lme4, dense likelihoods, gradients, invariance."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize

from skmtl import MeanRegularizedRegressor, TaskMoments
from skmtl.data import read_rows
from skmtl.fitting import pose
from skmtl.tuning._covariance import Axes, DiagonalCovariance, FullCovariance
from skmtl.tuning._restricted import RestrictedLikelihood
from tests._data import MixedModel
from tests._problems import Rows, make_wide, melt
from tests.tuning._evidence import restricted_likelihood, simulate

REML = {"alpha_shared": 0.0, "covariance_prior": 0.0}


def fit(rows, sample_weight=None, **params):
    model = MeanRegularizedRegressor("auto", task_column=0, **params)
    return model.fit(rows.long, rows.y, sample_weight)


def differing(T=25, n=8, seed=0, intercept=0.8):
    """Rows in which features differ in how much tasks differ in them."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(T), n)
    X = rng.normal(size=(T * n, 3)) + 0.5 * rng.normal(size=(T, 3))[codes]
    W, b = 1 + rng.normal(size=(T, 3)) * [1.2, 0.5, 0.8], intercept * rng.normal(size=T)
    b = b + 0.6 * W[:, 0]
    y = np.einsum("ij,ij->i", X, W[codes]) + b[codes] + rng.normal(size=T * n)
    return Rows(X, y, codes)


# Against R --------------------------------------------------------------------------------------

LME4 = {  # standard deviations of intercept and slope, correlation, sigma, criterion, fixed effects
    "Reaction": (
        [24.74044759, 5.92213327, 0.0655513, 25.59181590, 1743.628272, 251.405105, 10.467286],
        [25.05132964, 5.98817182, 0.0, 25.56528515, 1743.669293, 251.405105, 10.467286],
    ),
    "normexam": (
        [0.30351010, 0.12234023, 0.4939686, 0.74407083, 9327.600345, -0.01164932, 0.55653471],
        None,
    ),
    "log_radon": (
        [0.33708524, 0.32848394, -0.3707859, 0.71681692, 2094.427973, 1.49452227, -0.65480780],
        [0.31858174, 0.28056711, 0.0, 0.71847872, 2095.718438, 1.49190872, -0.64766387],
    ),
}


@pytest.mark.parametrize("name", LME4)
def test_correlated_slopes_of_lme4(name):
    data, (intercept, slope, rho, sigma, criterion, *center) = MixedModel(name), LME4[name][0]
    params = REML | {"alpha_intercept": "auto", "covariance_type": "full"}
    model = fit(Rows(data.X[:, 2:], data.y, data.X[:, 0]), **params)
    about_zero = np.array([[1.0, 0.0], [-data.X[:, 2].astype(float).mean(), 1.0]])
    C = about_zero @ model.covariance_ @ about_zero.T
    assert_allclose(np.sqrt(np.diag(C)), [slope, intercept], rtol=1e-5)
    assert_allclose(C[0, 1] / (slope * intercept), rho, rtol=1e-5)
    assert_allclose(np.sqrt(model.sigma2_), sigma, rtol=1e-6)
    assert_allclose(-2 * model.restricted_log_likelihood_, criterion, atol=1e-6)
    assert_allclose([model.shared_intercept_, *model.shared_coef_], center, rtol=2e-6)
    assert_allclose(model.tau2_, np.diag(model.covariance_)[:1])


@pytest.mark.parametrize("name", [name for name, both in LME4.items() if both[1]])
def test_independent_slopes_of_lme4(name):
    """lme4's intercepts are those at x = 0: the constant is a feature."""
    data, (intercept, slope, _, sigma, criterion, *center) = MixedModel(name), LME4[name][1]
    model = fit(Rows(data.X[:, 1:], data.y, data.X[:, 0]), **REML, fit_intercept=False)
    assert_allclose(np.sqrt(model.tau2_), [intercept, slope], rtol=1e-5)
    assert_allclose(np.sqrt(model.sigma2_), sigma, rtol=1e-6)
    assert_allclose(-2 * model.restricted_log_likelihood_, criterion, atol=1e-6)
    assert_allclose(model.shared_coef_, center, rtol=2e-6)


def test_deviations_of_a_subject_of_lme4():
    data = MixedModel("Reaction")
    params = REML | {"alpha_intercept": "auto", "covariance_type": "full"}
    model = fit(Rows(data.X[:, 2:], data.y, data.X[:, 0]), **params)
    own = list(map(str, model.tasks_)).index("308")
    deviations = (
        model.intercept_[own] - model.shared_intercept_,
        *(model.coef_[own] - model.shared_coef_),
    )
    assert_allclose(deviations, [2.258565, 9.198972], rtol=2e-6)


# Against the dense covariance -------------------------------------------------------------------


def dense(rows, covariance, alpha_shared, weight=None):
    """Return the restricted log-likelihood and sigma^2 at a covariance in units of the noise."""
    n = len(rows.y)
    weight = np.ones(n) if weight is None else weight
    Z = rows.X - np.average(rows.X, axis=0, weights=weight)
    D = np.column_stack([Z, np.ones(n)])
    same = rows.codes[:, None] == rows.codes
    V = np.diag(1 / weight) + same * (D @ covariance @ D.T)
    fixed = D
    if alpha_shared > 0:
        V, fixed = V + Z @ Z.T / alpha_shared, D[:, -1:]
    return restricted_likelihood(rows.y, V, fixed, weight.sum(), np.log(weight).sum())


@pytest.mark.parametrize("prior", [0.0, 2.0])
@pytest.mark.parametrize("alpha_shared", [0.0, 0.7, "auto"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["diag", "full"])
def test_maximum_of_the_dense_likelihood(kind, weighted, alpha_shared, prior):
    rows = differing()
    weight = np.random.default_rng(1).uniform(0.3, 3, len(rows.y)) if weighted else None
    model = fit(
        rows, weight, covariance_type=kind, covariance_prior=prior, alpha_shared=alpha_shared
    )
    lower = np.diag_indices(4) if kind == "diag" else np.tril_indices(4)

    def criterion(x):
        F = np.zeros((4, 4))
        F[lower] = x[: len(lower[0])]
        shared = np.exp(x[-1]) if alpha_shared == "auto" else alpha_shared
        C = F @ F.T
        tau = np.sqrt(np.linalg.eigvalsh(C[:3, :3]) if kind == "full" else np.diag(C)[:3])
        spread = np.log(tau) - np.log(tau).mean()
        return -2 * dense(rows, C, shared, weight)[0] + prior * (spread**2).sum()

    C = model.covariance_ / model.sigma2_
    x = np.linalg.cholesky(C)[lower]
    if alpha_shared == "auto":
        x = np.append(x, np.log(model.alpha_shared_))
    value, sigma2 = dense(rows, C, model.alpha_shared_, weight)
    assert_allclose(model.restricted_log_likelihood_, value, rtol=1e-10)
    assert_allclose(model.sigma2_, sigma2, rtol=1e-9)
    slopes = optimize.approx_fprime(x, criterion, 1e-6)
    assert np.abs(slopes).max() < 2e-3
    rng = np.random.default_rng(2)
    for size in (1e-2, 1e-1, 0.5):  # it is a maximum
        assert criterion(x + size * rng.normal(size=len(x))) > criterion(x)


@pytest.mark.parametrize("alpha_intercept", [0.0, 0.5, np.inf])
@pytest.mark.parametrize("kind", ["diag", "full"])
def test_known_variance_of_intercepts(kind, alpha_intercept):
    rows = differing()
    model = fit(rows, covariance_type=kind, alpha_intercept=alpha_intercept)
    assert model.alpha_intercept_ == alpha_intercept
    C = model.covariance_ / model.sigma2_
    C[3, 3] = 1 / max(alpha_intercept, 1e-7)
    assert not C[3, :3].any()
    expected = best_linear_prediction(rows, C, model.alpha_shared_)
    assert_allclose(model.predict(rows.long), expected, atol=1e-5)


def best_linear_prediction(rows, C, alpha_shared):
    Z = rows.X - rows.X.mean(axis=0)
    D, ones = np.column_stack([Z, np.ones(len(Z))]), np.ones(len(Z))
    between = (rows.codes[:, None] == rows.codes) * (D @ C @ D.T) + Z @ Z.T / alpha_shared
    V = np.eye(len(Z)) + between
    c = ones @ np.linalg.solve(V, rows.y) / (ones @ np.linalg.solve(V, ones))
    return c + between @ np.linalg.solve(V, rows.y - c)


@pytest.mark.parametrize("kind", ["diag", "full"])
def test_predictions_are_best_linear_unbiased(kind):
    rows = differing()
    model = fit(rows, covariance_type=kind)
    C = model.covariance_ / model.sigma2_
    expected = best_linear_prediction(rows, C, model.alpha_shared_)
    assert_allclose(model.predict(rows.long), expected, rtol=1e-8)
    assert model.optimality_ < 1e-8


@pytest.mark.parametrize("prior", [0.0, 3.0])
@pytest.mark.parametrize("alpha_shared", [0.0, 0.7, "auto"])
@pytest.mark.parametrize("kind", ["diag", "full"])
def test_derivatives_and_differences(kind, alpha_shared, prior):
    rows = differing(T=9)
    model = MeanRegularizedRegressor("auto", alpha_shared=alpha_shared, task_column=0)
    spec = model._spec()
    problem = pose(spec, read_rows(model, rows.long, rows.y, None, reset=True)).problem
    parts = problem.data, problem.loss, problem.penalty
    likelihood = RestrictedLikelihood(*parts, estimates_center=alpha_shared == "auto")
    if kind == "diag":
        criterion = DiagonalCovariance(likelihood, np.eye(4), np.zeros(4), prior)
    else:
        every, units = np.arange(4), np.array([0.5, 0.0, -0.3, 1.0])
        criterion = FullCovariance(likelihood, every, units, np.zeros(4), prior)
    x = np.random.default_rng(3).normal(size=4 if kind == "diag" else 10)
    value, slopes = criterion(x, gradient=True)
    assert value == pytest.approx(criterion(x), rel=1e-12)
    steps = 1e-5 * np.eye(len(x))
    differences = [(criterion(x + h) - criterion(x - h)) / 2e-5 for h in steps]
    assert_allclose(slopes, differences, rtol=1e-6, atol=1e-5)


# Limits -----------------------------------------------------------------------------------------


def test_a_variance_of_zero_is_zero_and_the_others_are_right():
    rows = differing(T=40)
    y = rows.y - np.einsum("ij,ij->i", rows.X[:, [1]], (slopes(rows) - 1)[rows.codes][:, [1]])
    model = fit(Rows(rows.X, y, rows.codes), **REML)
    assert model.tau2_[1] == 0
    assert np.ptp(model.coef_[:, 1]) == 0
    without = fit(Rows(rows.X, y, rows.codes), **REML, penalty_factor=[1.0, np.inf, 1.0])
    assert_allclose(model.covariance_, without.covariance_, rtol=1e-6, atol=1e-12)
    assert_allclose(model.coef_, without.coef_, rtol=1e-6)


def slopes(rows):
    """Return least-squares slopes of each task, (T, d)."""
    found = []
    for t in range(rows.codes.max() + 1):
        own = rows.codes == t
        D = np.column_stack([rows.X[own], np.ones(own.sum())])
        found.append(np.linalg.lstsq(D, rows.y[own], rcond=None)[0][:-1])
    return np.array(found)


def test_confounded_variances_are_named():
    rows = simulate(d=2)
    X = np.column_stack([rows.X, rows.X[:, 0]])
    with pytest.raises(
        ValueError, match="of feature 0, of coefficients of feature 2 cannot be told"
    ):
        fit(Rows(X, rows.y, rows.codes), **REML)
    fit(Rows(X, rows.y, rows.codes))  # the prior tells them apart


@pytest.mark.parametrize("kind", ["diag", "full"])
def test_a_number_has_no_covariance_to_estimate(kind):
    rows = simulate()
    model = MeanRegularizedRegressor(2.0, covariance_type=kind, task_column=0)
    with pytest.raises(ValueError, match=f"covariance_type='{kind}' is estimated, and alpha is a"):
        model.fit(rows.long, rows.y)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"covariance_type": "dense"}, "covariance_type must be None or one of"),
        ({"covariance_prior": -1.0}, "covariance_prior must be a number of at least 0"),
        ({"covariance_prior": np.inf}, "covariance_prior must be a number of at least 0"),
    ],
)
def test_invalid_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        fit(simulate(), **params)


# Invariance -------------------------------------------------------------------------------------


def test_full_is_invariant_to_linear_changes_of_the_features():
    rows, change = differing(), np.array([[2.0, 1.0, 0.0], [0.0, 0.5, -1.0], [1.0, 0.0, 3.0]])
    moved = Rows(rows.X @ change + [5.0, -3.0, 1.0], rows.y, rows.codes)
    params = REML | {"covariance_type": "full"}
    model, other = fit(rows, **params), fit(moved, **params)
    assert_allclose(other.predict(moved.long), model.predict(rows.long), atol=1e-6)


@pytest.mark.parametrize("units", [(100.0, 0.01, 3.0), (1e-8, 1.0, 1e3), (1.0, 1e8, 1.0)])
@pytest.mark.parametrize("kind", ["diag", "full"])
def test_covariances_are_invariant_to_units(kind, units):
    rows = differing()
    scaled = Rows(rows.X * np.array(units), rows.y, rows.codes)
    params = REML | {"covariance_type": kind}
    model, other = fit(rows, **params), fit(scaled, **params)
    assert_allclose(other.predict(scaled.long), model.predict(rows.long), atol=1e-6)


# Forms of data ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["diag", "full"])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_wide_form(missing, kind):
    X, Y = make_wide(30, 3, T=6, missing=missing)
    weight = np.random.default_rng(2).uniform(0.5, 2, len(X))
    wide = MeanRegularizedRegressor("auto", covariance_type=kind).fit(X, Y, weight)
    long = fit(*melt(X, Y, weight), covariance_type=kind)
    assert_allclose(wide.restricted_log_likelihood_, long.restricted_log_likelihood_, rtol=1e-9)
    assert_allclose(wide.coef_, long.coef_, atol=1e-5)


@pytest.mark.parametrize("kind", ["spherical", "diag", "full"])
def test_moments_and_adapt(kind):
    """A feature that is constant within tasks has rounding errors for moments."""
    rows = differing()
    X = np.column_stack([rows.X, np.random.default_rng(0).normal(size=25)[rows.codes]])
    rows = Rows(X, rows.y, rows.codes)
    model = fit(rows, covariance_type=kind)
    parts = np.array_split(np.random.default_rng(1).permutation(len(rows.y)), 3)
    moments = TaskMoments.from_batches(
        ((rows.long[part], rows.y[part]) for part in parts), task_column=0
    )
    other = MeanRegularizedRegressor("auto", covariance_type=kind, task_column=0)
    other.fit_moments(moments)
    assert_allclose(other.coef_, model.coef_, atol=1e-5)
    own = rows.codes < 2
    adapted = model.adapt(rows.long[own], rows.y[own])
    assert_allclose(adapted.coef_, model.coef_, rtol=1e-6)
    assert_allclose(adapted.predict(rows.long), model.predict(rows.long), rtol=1e-6)
    assert hasattr(model, "covariance_") == (kind != "spherical")
    names = [name for name in vars(model) if name.startswith(("alpha_", "tau2_", "covariance_"))]
    for name in (name for name in names if name.endswith("_")):
        assert_allclose(getattr(adapted, name), getattr(model, name))


def test_a_limit_is_tried_that_is_better_once_the_others_follow():
    """The likelihood is at least that of the model in which a slope is common to all tasks."""
    rng = np.random.default_rng(35)  # draws with two local maxima
    rng.integers(3, 14), rng.integers(1, 4), rng.choice([3, 6, 12])
    codes = np.repeat(np.arange(4), rng.integers(1, 13, 4))
    rng.random()
    X = rng.normal(size=(len(codes), 2))
    rng.choice(3, 2)
    W, b = 1 + 1.5 * rng.normal(size=(4, 2)), rng.normal(size=4)
    rng.choice(2)
    y = (X * W[codes]).sum(axis=1) + b[codes] + rng.normal(size=len(codes))
    rows = Rows(X, y, codes)
    model = fit(rows, covariance_type="diag", covariance_prior=0.0)
    nested = fit(rows, covariance_type="diag", covariance_prior=0.0, penalty_factor=[np.inf, 1.0])
    assert model.restricted_log_likelihood_ > nested.restricted_log_likelihood_ - 1e-6


def test_prior_of_slopes_without_variance():
    """Logarithms of variances that vanish together have no overflow in their derivatives."""
    codes = np.repeat(np.arange(8), [2, 2, 2, 3, 1, 2, 2, 1])
    X = np.array([5, 5, 6, 0, 1, 7, 2, 2, 2, 6, 6, 4, 0, 3, 6])[:, None] >> np.arange(3) & 1
    y = np.array([3, 0, 3, 2, 1, 1, 1, 2, 0, 3, 3, 3, 2, 2, 2.0])
    rows = Rows(X.astype(float), y, codes)
    model = fit(rows, covariance_type="full", alpha_shared=0.0, alpha_intercept=1.0)
    assert_allclose(model.covariance_[:3, :3], 0.0, atol=1e-10)


@pytest.mark.parametrize("task_weight", ["balanced", "uncertainty", "minimax"])
@pytest.mark.parametrize("kind", ["diag", "full"])
def test_task_weights(kind, task_weight):
    rows = differing(T=6, n=25)
    model = fit(rows, covariance_type=kind, task_weight=task_weight)
    again = fit(rows, covariance_type=kind, task_weight=model.task_weight_)
    if task_weight == "minimax":  # penalty weights are those of equal task weights
        again = fit(rows, covariance_type=kind)
        assert_allclose(model.alpha_, again.alpha_)
        return
    assert_allclose(model.predict(rows.long), again.predict(rows.long), atol=1e-4)


def test_more_features_than_rows():
    rng = np.random.default_rng(0)
    codes, X = np.repeat(np.arange(4), 6), rng.normal(size=(24, 30))
    y = X[:, :3].sum(axis=1) + rng.normal(size=24)
    rows = Rows(X, y, codes)
    assert np.ndim(fit(rows).tau2_) == 0  # one variance
    model = fit(rows, covariance_type="diag")
    C = model.covariance_ / model.sigma2_
    value, sigma2 = dense(rows, C, model.alpha_shared_)
    assert_allclose(model.restricted_log_likelihood_, value, rtol=1e-9)
    assert_allclose(model.sigma2_, sigma2, rtol=1e-8)
    with pytest.raises(ValueError, match="covariance of 30 coefficients, and there are 24 rows"):
        fit(rows, covariance_type="full")


@pytest.mark.parametrize("kind", ["diag", "full"])
def test_a_covariance_that_leaves_no_noise_is_one_variance(kind):
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(11), rng.integers(1, 4, 11))
    X = rng.normal(size=(len(codes), 3))
    y = np.einsum("ij,ij->i", X, 1 + rng.normal(size=(11, 3))[codes]) + rng.normal(size=len(codes))
    rows = Rows(X, y, codes)
    one = fit(rows, covariance_type="spherical")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = fit(rows, covariance_type=kind)
    assert model.sigma2_ > 0.1 * one.sigma2_
    if caught:
        assert "likelihood is largest without any noise" in str(caught[0].message)
        assert_allclose(model.predict(rows.long), one.predict(rows.long), rtol=1e-6)
        assert_allclose(model.tau2_, np.full(3, one.tau2_), rtol=1e-6)
    assert kind == "diag" or caught


@pytest.mark.parametrize("alpha_shared", [0.0, 1.0, np.inf])
def test_axes(alpha_shared):
    """Deviations in the axes have unit variances, and independent intercepts."""
    rng = np.random.default_rng(0)
    F = np.tril(rng.normal(size=(4, 4)))
    axes = Axes.of(F, np.array([1.0, 0.1, 4.0]), alpha_shared)
    B, C = axes.B, F @ F.T
    assert_allclose(B @ B.T, C[:3, :3], rtol=1e-12)
    if alpha_shared == 1.0:
        assert_allclose(B.T @ B, np.diag(axes.squares), atol=1e-12)
    assert_allclose(B @ B.T @ axes.shift, C[:3, 3], rtol=1e-12)
    assert_allclose(axes.intercept + axes.shift @ C[:3, :3] @ axes.shift, C[3, 3], rtol=1e-12)


def test_line_searches_of_a_covariance_do_not_overflow():
    """The first line search tries factors that overflow."""
    rng, (T, n, d) = np.random.default_rng(1), (60, 50, 10)
    W = rng.normal(size=d) + rng.multivariate_normal(
        np.zeros(d), 0.25 * (0.8 + 0.2 * np.eye(d)), size=T
    )
    codes, X = np.repeat(np.arange(T), n), rng.normal(size=(T * n, d))
    rows = Rows(X, np.einsum("ij,ij->i", X, W[codes]) + rng.normal(size=T * n), codes)
    C = fit(rows, covariance_type="full", covariance_prior=0).covariance_[:-1, :-1]
    assert_allclose(C, np.cov((W - W.mean(axis=0)).T), atol=0.1)


@pytest.mark.parametrize("kind", ["spherical", "diag", "full"])
def test_intercepts_without_penalty_are_fixed_effects(kind):
    rows = differing(intercept=3.0)
    model = fit(rows, covariance_type=kind, alpha_intercept=0.0)
    Z = rows.X - rows.X.mean(axis=0)
    C = model.tau2_ * np.eye(4) if kind == "spherical" else model.covariance_
    assert model.alpha_intercept_ == 0
    assert kind == "spherical" or C[-1, -1] == np.inf
    same = rows.codes[:, None] == rows.codes
    between = same * (Z @ C[:-1, :-1] @ Z.T) / model.sigma2_ + Z @ Z.T / model.alpha_shared_
    V, own = np.eye(len(Z)) + between, np.eye(rows.codes.max() + 1)[rows.codes]
    value, sigma2 = restricted_likelihood(rows.y, V, own)
    assert_allclose(model.restricted_log_likelihood_, value, rtol=1e-10)
    assert_allclose(model.sigma2_, sigma2, rtol=1e-9)
    solved = np.linalg.solve(V, own)
    c = own @ np.linalg.solve(own.T @ solved, solved.T @ rows.y)
    expected = c + between @ np.linalg.solve(V, rows.y - c)
    assert_allclose(model.predict(rows.long), expected, rtol=1e-7)


@pytest.mark.parametrize("kind", ["spherical", "diag", "full"])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_all_slopes_common(kind, fit_intercept):
    rows = differing()
    params = {"alpha_shared": 0.5, "fit_intercept": fit_intercept}
    model = fit(rows, covariance_type=kind, penalty_factor=np.full(3, np.inf), **params)
    again = MeanRegularizedRegressor(np.inf, alpha_intercept=model.alpha_intercept_, **params)
    again.set_params(task_column=0).fit(rows.long, rows.y)
    assert_allclose(model.predict(rows.long), again.predict(rows.long), rtol=1e-6)


@pytest.mark.parametrize("kind", ["spherical", "diag"])
def test_a_model_without_a_center_prints_nothing(kind, capfd):
    """LAPACK writes to the terminal if a matrix is empty."""
    model = fit(simulate(), covariance_type=kind, alpha_shared=np.inf, fit_intercept=False)
    assert np.isfinite(model.restricted_log_likelihood_)
    assert capfd.readouterr() == ("", "")
