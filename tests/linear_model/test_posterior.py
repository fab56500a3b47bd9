"""Standard deviations against the dense posterior of the objective, scikit-learn and lme4."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import BayesianRidge
from sklearn.model_selection import GroupKFold, KFold

from skmtl import (
    ADMMRegressor,
    GraphRegularizedRegressor,
    MeanRegularizedRegressor,
    PooledRegressor,
    SharedL2Regressor,
    TaskMoments,
)
from tests._data import MixedModel, School
from tests.linear_model._bayes import DensePosterior

T, D, INF = 4, 3, np.inf


def simulate(n_per_task=9, n_tasks=T, d=D, seed=0):
    """Return X without the task column, its codes, y and the weights of rows."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(n_tasks), n_per_task)
    n = len(codes)
    X = rng.normal(size=(n, d)) * np.linspace(0.5, 2, d) + np.arange(d)
    W = np.arange(1.0, d + 1) + rng.normal(size=(n_tasks, d)) * np.linspace(0.3, 1.5, d)
    y = (X * W[codes]).sum(axis=1) + rng.normal(size=n_tasks)[codes] + rng.normal(size=n)
    return X, codes, y, rng.uniform(0.5, 2.0, n)


ALPHAS = np.array([0.5, 2.0, 7.0, 1.0])
MODELS = {
    "pooled": (PooledRegressor(0.7), (INF, 0.7, INF)),
    "pooled, intercepts": (PooledRegressor(0.7, alpha_intercept=2.0), (INF, 0.7, 2.0)),
    "pooled, free intercepts": (PooledRegressor(0.7, alpha_intercept=0.0), (INF, 0.7, 0.0)),
    "separate": (SharedL2Regressor(1.5), (1.5, INF, 0.0)),
    "separate, by task": (SharedL2Regressor(ALPHAS), (ALPHAS, INF, 0.0)),
    "separate, flat": (SharedL2Regressor(0.0), (0.0, INF, 0.0)),
    "mean": (MeanRegularizedRegressor(3.0), (3.0, 0.0, 1.0)),
    "mean, shared": (
        MeanRegularizedRegressor(ALPHAS, alpha_shared=0.4, alpha_intercept=0.0),
        (ALPHAS, 0.4, 0.0),
    ),
    "mean, one intercept": (
        MeanRegularizedRegressor(3.0, alpha_shared=2.0, alpha_intercept=INF),
        (3.0, 2.0, INF),
    ),
    "mean, no intercept": (MeanRegularizedRegressor(3.0, fit_intercept=False), (3.0, 0.0, INF)),
}


def dense(parameters, X, codes, weight, *, ones=True, precision=None):
    alpha, shared, intercept = parameters
    n_tasks = codes.max() + 1
    alpha = np.broadcast_to(alpha, n_tasks)[:, None] * np.ones(X.shape[1])
    return DensePosterior(
        X, codes, weight, n_tasks, alpha, shared, intercept or 1e-9, precision, ones
    )


def noise_variance(y, predicted, weight, posterior):
    return weight @ (y - predicted) ** 2 / (weight.sum() - posterior.degrees)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_dense_posterior(name, weighted):
    model, parameters = MODELS[name]
    X, codes, y, weight = simulate()
    weight = weight if weighted else np.ones(len(y))
    model.set_params(task_column=0).fit(np.column_stack([codes, X]), y, weight)
    posterior = dense(parameters, X, codes, weight, ones=model.fit_intercept)
    sigma2 = noise_variance(y, model.predict(np.column_stack([codes, X])), weight, posterior)
    assert_allclose(model.sigma2_, sigma2, rtol=1e-6)
    new = np.random.default_rng(1).normal(size=(20, D)) * 2
    tasks = np.arange(20) % T
    predicted, std = model.predict(np.column_stack([tasks, new]), return_std=True)
    assert_allclose(predicted, model.predict(np.column_stack([tasks, new])))
    expected = np.sqrt(sigma2 * (1 + posterior.variances(new, tasks)))
    assert_allclose(std, expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["pooled", "pooled, intercepts", "mean", "mean, shared"])
def test_tasks_that_were_not_in_fit(name):
    model, (alpha, shared, intercept) = MODELS[name]
    X, codes, y, weight = simulate()
    model.set_params(task_column=0, handle_unknown="shared")
    model.fit(np.column_stack([codes, X]), y, weight)
    new = np.random.default_rng(1).normal(size=(20, D)) * 2
    rows = np.column_stack([np.full(20, 9), new])
    if intercept == 0:
        with pytest.warns(UserWarning, match="say nothing about them"):
            std = model.predict(rows, return_std=True)[1]
        assert np.isinf(std).all()
        return
    posterior = dense((alpha, shared, intercept), X, codes, weight)
    between = np.square(new - posterior.middle).sum(axis=1) * np.mean(1 / np.asarray(alpha))
    variance = posterior.variances(new, np.full(20, -1)) + between + 1 / intercept
    _, std = model.predict(rows, return_std=True)
    assert_allclose(std, np.sqrt(model.sigma2_ * (1 + variance)), rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("covariance_type", ["spherical", "diag", "full"])
def test_estimated_covariances(covariance_type, weighted):
    X, codes, y, weight = simulate(n_tasks=12)
    weight = weight if weighted else np.ones(len(y))
    rows = np.column_stack([codes, X])
    model = MeanRegularizedRegressor(
        "auto", covariance_type=covariance_type, task_column=0, handle_unknown="shared"
    )
    model.fit(rows, y, weight)
    if covariance_type == "spherical":
        covariance = np.diag([*np.full(D, model.tau2_), model.tau2_intercept_])
    else:
        covariance = model.covariance_
    covariance = covariance + 1e-9 * np.eye(4)  # may be singular
    precision = np.kron(np.eye(12), np.linalg.inv(covariance / model.sigma2_))
    parameters = 1.0, model.alpha_shared_, 1.0  # replaced
    posterior = dense(parameters, X, codes, weight, precision=precision)
    new = np.random.default_rng(1).normal(size=(24, D)) * 2
    tasks = np.arange(24) % 12
    std = model.predict(np.column_stack([tasks, new]), return_std=True)[1]
    variance = posterior.variances(new, tasks)
    assert_allclose(std, np.sqrt(model.sigma2_ * (1 + variance)), rtol=1e-5)
    std = model.predict(np.column_stack([np.full(24, 99), new]), return_std=True)[1]
    Z = np.column_stack([new - posterior.middle, np.ones(24)])
    variance = posterior.variances(new, np.full(24, -1))
    between = np.einsum("ij,ij->i", Z @ covariance, Z)
    assert_allclose(std, np.sqrt(model.sigma2_ * (1 + variance) + between), rtol=1e-5)


@pytest.mark.parametrize("covariance_type", ["diag", "full"])
def test_a_variance_that_is_zero(covariance_type):
    X, codes, y, _ = simulate(n_tasks=12)
    y = X @ [1.0, 2.0, 3.0] + (X[:, 2] - 2) * np.linspace(-1, 1, 12)[codes]
    y += np.random.default_rng(0).normal(size=len(y))
    rows = np.column_stack([codes, X])
    model = MeanRegularizedRegressor(
        "auto", covariance_type=covariance_type, covariance_prior=0, task_column=0
    )
    model.fit(rows, y)
    assert np.linalg.eigvalsh(model.covariance_)[0] < 1e-9 * model.sigma2_
    covariance = model.covariance_ + 1e-9 * np.eye(4)
    covariance[-1, -1] = 1e-9 + model.sigma2_ / model.alpha_intercept_
    precision = np.kron(np.eye(12), np.linalg.inv(covariance / model.sigma2_))
    parameters = 1.0, model.alpha_shared_, 1.0
    posterior = dense(parameters, X, codes, np.ones(len(y)), precision=precision)
    std = model.predict(rows, return_std=True)[1]
    expected = np.sqrt(model.sigma2_ * (1 + posterior.variances(X, codes)))
    assert_allclose(std, expected, rtol=1e-5)


def test_one_task_is_bayesian_ridge():
    X, _, y, _ = simulate(n_per_task=30, n_tasks=1)
    other = BayesianRidge(fit_intercept=False).fit(X, y)
    alpha, sigma2 = other.lambda_ / other.alpha_, 1 / other.alpha_
    model = SharedL2Regressor(alpha, fit_intercept=False).fit(X, y)
    std = model.predict(X, return_std=True)[1]
    assert_allclose(std / np.sqrt(model.sigma2_ / sigma2), other.predict(X, return_std=True)[1])
    # BayesianRidge has no variance of the intercept, which is that of a mean
    other.set_params(fit_intercept=True).fit(X, y)
    alpha, sigma2 = other.lambda_ / other.alpha_, 1 / other.alpha_
    model = SharedL2Regressor(alpha).fit(X, y)
    std = model.predict(X, return_std=True)[1]
    Z = X - X.mean(axis=0)  # which BayesianRidge.predict of old versions forgets
    expected = 1 + np.einsum("ij,jk,ik->i", Z, other.sigma_, Z) / sigma2 + 1 / len(y)
    assert_allclose(std**2 / model.sigma2_, expected)


def test_least_squares_is_that_of_statistics():
    X, _, y, _ = simulate(n_per_task=30, n_tasks=1)
    model = SharedL2Regressor(0.0).fit(X, y)
    A = np.column_stack([X, np.ones(len(y))])
    beta = np.linalg.lstsq(A, y, rcond=None)[0]
    sigma2 = ((y - A @ beta) ** 2).sum() / (len(y) - 4)
    assert_allclose(model.sigma2_, sigma2)
    leverage = np.einsum("ij,ij->i", A @ np.linalg.inv(A.T @ A), A)
    assert_allclose(model.predict(X, return_std=True)[1], np.sqrt(sigma2 * (1 + leverage)))


# Layouts ----------------------------------------------------------------------------------------

EACH = [
    PooledRegressor(0.7, alpha_intercept=2.0),
    SharedL2Regressor(1.5),
    MeanRegularizedRegressor(3.0, alpha_shared=0.4),
    GraphRegularizedRegressor(3.0, alpha_shared=0.4),
    GraphRegularizedRegressor(3.0, task_graph=[(0, 1), (1, 2, 0.5), (2, 3)], alpha_shared=0.4),
]
each_model = pytest.mark.parametrize("model", EACH, ids=lambda model: type(model).__name__)


def std_of(model, X, tasks):
    y, std = model.predict(np.column_stack([tasks, X]), return_std=True)
    assert_allclose(y, model.predict(np.column_stack([tasks, X])))
    return std


@each_model
@pytest.mark.parametrize("missing", [False, True])
def test_wide_is_long(model, missing):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(25, D)) + 1, rng.normal(size=(25, T)) + np.arange(T)
    observed = rng.random(Y.shape) < (0.7 if missing else 2.0)
    i, codes = np.nonzero(observed)
    model = model.set_params(task_column=0).fit(np.column_stack([codes, X[i]]), Y[i, codes])
    new = rng.normal(size=(6, D))
    expected = np.column_stack([std_of(model, new, np.full(6, t)) for t in range(T)])
    sigma2 = model.sigma2_
    model.set_params(task_column=None).fit(X, np.where(observed, Y, np.nan))
    # the mean of the features is that of all rows there
    assert_allclose(model.sigma2_, sigma2, rtol=1e-9)
    assert_allclose(model.predict(new, return_std=True)[1], expected, rtol=1e-9)


def dense_of_graph(A, alpha, shared, X, codes, weight, n_nodes):
    L = np.diag(A.sum(axis=1)) - A
    d = X.shape[1]
    slope = np.kron(alpha * L + shared * np.eye(n_nodes), np.diag(np.append(np.ones(d), 0.0)))
    precision = slope + np.kron(L, np.diag(np.append(np.zeros(d), 1.0)))
    posterior = DensePosterior(
        X, codes, weight, n_nodes, np.ones((n_nodes, d)), np.inf, 1.0, precision
    )
    posterior.free[d] = False  # no center
    gram = (posterior.design.T * weight) @ posterior.design
    own = slice(d + 1, None)
    posterior.covariance[:] = 0
    posterior.covariance[own, own] = np.linalg.inv(gram[own, own] + precision)
    posterior.degrees = np.trace(posterior.covariance @ gram)
    return posterior


def test_graph_with_a_latent_task():
    X, codes, y, weight = simulate()
    edges = [(0, 1), (1, "up", 0.5), (2, "up"), (3, "up")]
    A = np.zeros((5, 5))
    for s, t, w in [(0, 1, 1), (1, 4, 0.5), (2, 4, 1), (3, 4, 1)]:
        A[s, t] = A[t, s] = w
    posterior = dense_of_graph(A, 3.0, 0.4, X, codes, weight, 5)
    model = GraphRegularizedRegressor(3.0, task_graph=edges, alpha_shared=0.4, task_column=0)
    rows = np.column_stack([codes.astype(object), X])
    model.fit(rows, y, weight)
    sigma2 = noise_variance(y, model.predict(rows), weight, posterior)
    assert_allclose(model.sigma2_, sigma2, rtol=1e-9)
    new = np.random.default_rng(1).normal(size=(20, D))
    tasks = np.array([0, 1, 2, 3, "up"], dtype=object)[np.arange(20) % 5]
    std = model.predict(np.column_stack([tasks, new]), return_std=True)[1]
    variance = posterior.variances(new, np.arange(20) % 5)
    assert_allclose(std, np.sqrt(sigma2 * (1 + variance)), rtol=1e-9)


@each_model
@pytest.mark.parametrize("d", [6, 60, 80, 300])
def test_many_features(model, d):
    # Blocks of tasks by their rows, and with more features than rows in the space of these.
    n_per_task = 25 if d > 60 else 12
    X, codes, y, weight = simulate(n_per_task, d=d)
    model = model.set_params(task_column=0).fit(np.column_stack([codes, X]), y, weight)
    new, tasks = np.random.default_rng(1).normal(size=(8, d)), np.arange(8) % T
    if isinstance(model, GraphRegularizedRegressor):
        A = np.full((T, T), 1 / T)
        if model.task_graph is not None:
            A = np.zeros((T, T))
            A[[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]] = [1, 1, 0.5, 0.5, 1, 1]
        np.fill_diagonal(A, 0)
        posterior = dense_of_graph(A, 3.0, 0.4, X, codes, weight, T)
    else:
        parameters = {
            PooledRegressor: (INF, 0.7, 2.0),
            SharedL2Regressor: (1.5, INF, 0.0),
            MeanRegularizedRegressor: (3.0, 0.4, 1.0),
        }
        posterior = dense(parameters[type(model)], X, codes, weight)
    for Z, own in ((new, tasks), (X[::9], codes[::9])):
        std = std_of(model, Z, own)
        expected = model.sigma2_ * (1 + posterior.variances(Z, own))
        assert_allclose(std, np.sqrt(expected), rtol=1e-6)
    squares = noise_variance(y, model.predict(np.column_stack([codes, X])), weight, posterior)
    assert_allclose(model.sigma2_, squares, rtol=1e-5)


@pytest.mark.parametrize("n_per_task", [9, 4])
def test_moments_sparse_and_pickles(n_per_task):
    X, codes, y, weight = simulate(n_per_task, d=18)
    rows = np.column_stack([codes, X])
    model = MeanRegularizedRegressor(3.0, alpha_shared=0.4, task_column=0)
    new = np.column_stack([np.arange(T), np.random.default_rng(1).normal(size=(T, 18))])
    expected = model.fit(rows, y, weight).predict(new, return_std=True)
    size = len(pickle.dumps(model))
    assert size < 8000 + 8 * min(X.size, T * 19 * 18 // 2)
    restored = pickle.loads(pickle.dumps(model))
    assert_allclose(restored.predict(new, return_std=True), expected)
    moments = TaskMoments.from_data(rows, y, weight, task_column=0)
    model.fit_moments(moments)
    assert_allclose(model.predict(new, return_std=True), expected, rtol=1e-7)
    model = clone(model).partial_fit(rows[:10], y[:10], weight[:10])
    model.partial_fit(rows[10:], y[10:], weight[10:])
    assert_allclose(model.predict(new, return_std=True), expected, rtol=1e-7)
    if n_per_task == 9:
        model.fit(csr_array(rows), y, weight)
        assert_allclose(model.predict(csr_array(new), return_std=True), expected, rtol=1e-7)
    else:
        model.fit(csr_array(rows), y, weight)
        with pytest.raises(ValueError, match="X is sparse, and its tasks have fewer rows"):
            model.predict(csr_array(new), return_std=True)


def test_adapted_tasks():
    # Given the center: a task of its own around it, and what is uncertain about the center.
    X, codes, y, weight = simulate(14, n_tasks=5)
    rows, first = np.column_stack([codes, X]), codes < 4
    model = MeanRegularizedRegressor(3.0, alpha_shared=0.4, task_column=0)
    model.fit(rows[first], y[first], weight[first])
    new = np.random.default_rng(1).normal(size=(5, D))
    before = std_of(model, new, np.arange(5) % 4)
    adapted = model.adapt(rows[~first], y[~first], weight[~first])
    assert_allclose(adapted.sigma2_, model.sigma2_)
    assert_allclose(std_of(adapted, new, np.arange(5) % 4), before)
    posterior = dense((3.0, 0.4, 1.0), X[first], codes[first], weight[first])
    Z = np.column_stack([X[~first] - posterior.middle, np.ones(14)])
    prior = np.diag([3.0, 3.0, 3.0, 1.0])
    gram = (Z.T * weight[~first]) @ Z
    own = np.linalg.inv(gram + prior)
    U = np.column_stack([new - posterior.middle, np.ones(5)])
    center = posterior.covariance[:4, :4]
    covariance = own + own @ prior @ center @ prior @ own
    expected = 1 + np.einsum("ij,ij->i", U @ covariance, U)
    std = std_of(adapted, new, np.full(5, 4))
    assert_allclose(std, np.sqrt(model.sigma2_ * expected), rtol=1e-9)


# Limits and messages ----------------------------------------------------------------------------


def test_what_is_not_identified_is_infinite():
    X, codes, y, _ = simulate(n_tasks=4)
    X = np.column_stack([X, X[:, 0] + X[:, 1], np.full(len(y), 7.0), codes == 2])
    model = MeanRegularizedRegressor(3.0, task_column=0).fit(np.column_stack([codes, X]), y)
    assert np.isfinite(std_of(model, X, codes)).all()
    new = np.repeat(X[:1], 4, axis=0)
    new[1, 3] += 1e-3  # another combination of the features that depend on each other
    new[2, 4] += 1e-3  # a constant that changes
    new[3, 5] += 1
    std = std_of(model, new, np.zeros(4))
    assert_allclose(np.isinf(std), [False, True, True, False])
    model = SharedL2Regressor(0.0, task_column=0).fit(np.column_stack([codes, X]), y)
    assert np.isfinite(std_of(model, X, codes)).all()
    assert_allclose(np.isinf(std_of(model, new, np.zeros(4))), [False, True, True, True])


def test_separate_models_say_nothing_about_others():
    X, codes, y, _ = simulate()
    rows = np.column_stack([codes, X])
    model = MeanRegularizedRegressor(0.0, alpha_intercept=1.0, task_column=0)
    model.set_params(handle_unknown="shared").fit(rows, y)
    with pytest.warns(UserWarning, match="Standard deviations are inf for tasks that were not"):
        std = model.predict([[9, 0.0, 0.0, 0.0]], return_std=True)[1]
    assert std == np.inf


def test_noise_variances_of_tasks():
    X, codes, y, _ = simulate(20)
    rows = np.column_stack([codes, X])
    model = MeanRegularizedRegressor(
        3.0, task_weight="uncertainty", task_column=0, handle_unknown="shared"
    ).fit(rows, y)
    posterior = dense((3.0, 0.0, 1.0), X, codes, model.task_weight_[codes])
    assert_allclose(model.task_weight_ * model.noise_variance_, model.sigma2_, rtol=0.05)
    variance = model.noise_variance_[codes] + model.sigma2_ * posterior.variances(X, codes)
    assert_allclose(std_of(model, X, codes), np.sqrt(variance), rtol=1e-6)
    assert np.isfinite(std_of(model, X, np.full(len(y), 9))).all()


def test_messages():
    X, codes, y, _ = simulate()
    rows = np.column_stack([codes, X])
    model = MeanRegularizedRegressor(3.0, task_column=0)
    assert not hasattr(model, "sigma2_")
    with pytest.raises(NotFittedError):
        model.predict(rows, return_std=True)
    model.set_params(solver="cg").fit(rows, y)
    assert not hasattr(model, "sigma2_")
    with pytest.raises(ValueError, match=r"'cg' solver forms no matrices .* solver='direct'"):
        model.predict(rows, return_std=True)
    model = SharedL2Regressor(0.0, task_column=0).fit(rows[::3], y[::3])
    assert np.isnan(model.sigma2_)
    with pytest.raises(ValueError, match="no degrees of freedom for the noise"):
        model.predict(rows, return_std=True)
    with pytest.raises(TypeError):
        ADMMRegressor(task_column=0).fit(rows, y).predict(rows, return_std=True)
    assert not hasattr(ADMMRegressor(task_column=0).fit(rows, y), "sigma2_")


@pytest.mark.parametrize("n_tasks", [D, D + 2])
def test_slopes_that_are_common_along_a_graph_have_a_message(n_tasks):
    X, codes, y, _ = simulate(n_tasks=n_tasks)
    rows, graph = np.column_stack([codes, X]), np.ones((n_tasks, n_tasks))
    model = GraphRegularizedRegressor(2.0, task_column=0, task_graph=graph)
    model.set_params(penalty_factor=[1.0, INF, 1.0]).fit(rows, y)
    assert not hasattr(model, "sigma2_")
    with pytest.raises(ValueError, match=r"makes slopes common .* a large number"):
        model.predict(rows, return_std=True)


def test_another_fit_has_another_variance():
    X, codes, y, _ = simulate()
    rows = np.column_stack([codes, X])
    model = MeanRegularizedRegressor(3.0, task_column=0).fit(rows, y)
    sigma2 = model.sigma2_
    assert_allclose(model.fit(rows, 2 * y).sigma2_, 4 * sigma2)


@pytest.mark.parametrize("kind", [MeanRegularizedRegressor, SharedL2Regressor, PooledRegressor])
def test_penalty_factors(kind):
    X, codes, y, weight = simulate()
    factor = np.array([0.0, 2.0, INF])
    model = kind(3.0, penalty_factor=factor, task_column=0)
    model.fit(np.column_stack([codes, X]), y, weight)
    alpha, shared, intercept = {
        MeanRegularizedRegressor: (3.0, 0.0, 1.0),
        SharedL2Regressor: (3.0, INF, 0.0),
        PooledRegressor: (INF, 3.0, INF),
    }[kind]
    deviations = np.full((T, D), alpha)
    if np.isfinite(alpha):
        deviations = deviations * factor
    # the center has a weight for each feature
    own = np.full(D, shared) if np.isinf(shared) else np.array([0.0, 2 * shared, INF])
    if kind is MeanRegularizedRegressor:
        own = np.array([1e-9, 0.0, 0.0])  # the first center is not identified
    posterior = DensePosterior(X, codes, weight, T, deviations, own, intercept or 1e-9)
    sigma2 = noise_variance(y, model.predict(np.column_stack([codes, X])), weight, posterior)
    assert_allclose(model.sigma2_, sigma2, rtol=1e-6)
    expected = np.sqrt(sigma2 * (1 + posterior.variances(X, codes)))
    assert_allclose(std_of(model, X, codes), expected, rtol=1e-6)


# Coverage ---------------------------------------------------------------------------------------


def coverage(model, X, y):
    predicted, std = model.predict(X, return_std=True)
    return np.mean(np.abs(y - predicted) <= 1.96 * std)


def test_coverage_of_simulated_observations():
    known, new = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        W = 1 + rng.normal(size=(120, 4)) * [0.2, 0.5, 1.0, 0.0]
        intercepts = rng.normal(size=120)

        def draw(codes, rng=rng, W=W, intercepts=intercepts):
            X = rng.normal(size=(len(codes), 4)) + 0.5
            y = (X * W[codes]).sum(axis=1) + intercepts[codes] + 1.5 * rng.normal(size=len(codes))
            return np.column_stack([codes, X]), y

        model = MeanRegularizedRegressor("auto", task_column=0, handle_unknown="shared")
        model.fit(*draw(np.repeat(np.arange(60), rng.integers(5, 30, 60))))
        known.append(coverage(model, *draw(rng.integers(0, 60, 3000))))
        new.append(coverage(model, *draw(rng.integers(60, 120, 3000))))
    assert 0.93 < np.mean(known) < 0.97
    assert 0.93 < np.mean(new) < 0.97


@pytest.mark.parametrize("name", ["normexam", "log_radon", "School"])
def test_coverage_of_real_data(name):
    if name == "School":
        data = School()
        X, y = data.X[:, :-1].astype(float), data.y
        X[:, 1:] /= X[:, 1:].std(axis=0)
    else:
        data = MixedModel(name)
        groups = np.unique(data.X[:, 0].astype(str), return_inverse=True)[1]
        X, y = np.column_stack([groups, data.X[:, 2].astype(float)]), np.array(data.y)
    model = MeanRegularizedRegressor("auto", task_column=0, handle_unknown="shared")
    n_folds = 2 if name == "School" else 5
    known = KFold(n_folds, shuffle=True, random_state=0).split(X)
    for folds in (known, GroupKFold(n_folds).split(X, y, X[:, 0])):
        found = [
            (len(test), coverage(model.fit(X[train], y[train]), X[test], y[test]))
            for train, test in folds
        ]
        size, share = np.transpose(found)
        assert 0.93 < np.average(share, weights=size) < 0.97


@pytest.mark.parametrize("d", [3, 80])
def test_rows_of_one_task_and_of_all(d):
    """Compiled sums and BLAS; some tasks have directions without data and penalty."""
    X, codes, y, _ = simulate(7, 5, d)
    kept = (codes != 2) | (np.arange(len(codes)) % 7 < 2)
    X, codes, y = X[kept], codes[kept], y[kept]
    X[codes == 2] *= np.arange(d) > 0  # a column of zeros
    model = SharedL2Regressor(0.0 if d == 3 else 0.3)
    model.set_params(task_column=0).fit(np.column_stack([codes, X]), y)
    posterior, rng = model._posterior, np.random.default_rng(1)
    new, tasks = rng.normal(size=(60, d)), rng.integers(0, 5, 60)
    new[:20, 0] = 0.0
    variance = posterior.variances(new, tasks)
    expected = posterior.variances_of_all(new)[np.arange(60), tasks]
    assert_allclose(variance, expected, rtol=1e-12)
    assert np.isinf(variance).any() == (d == 3)
    assert np.isfinite(variance).any()
    assert posterior.variances(new[:0], tasks[:0]).shape == (0,)
