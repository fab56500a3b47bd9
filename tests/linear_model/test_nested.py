"""Several columns of task labels, against dense least squares and Newton's method on indicators."""

from itertools import product

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_array

from skmtl import MeanRegularizedClassifier, MeanRegularizedRegressor

TWO, THREE = ["region", "store"], ["country", "region", "store"]
WEIGHTS = {"region": 0.5, "store": 2.0}


def table(columns, seed=0, n_features=2):
    """Return a frame with rows in random order, y and weights.

    Labels of stores repeat in different regions, a region has one store and one has a row.
    """
    rng, labels = np.random.default_rng(seed), []
    for region, stores in enumerate([3, 1, 4, 2, 1]):
        for store in range(stores):
            n_rows = 1 if region == 4 else rng.integers(3, 10)
            labels += [
                (f"c{region // 2}", f"r{region % 3 if region < 3 else region}", store)
            ] * n_rows
    frame = pd.DataFrame(labels, columns=THREE)
    for j in range(n_features):
        frame[f"x{j}"] = rng.normal(size=len(frame)) + j
    frame = frame.sample(frac=1, random_state=seed).reset_index(drop=True)
    slopes = rng.normal(size=10)[pd.factorize(frame["store"])[0]]
    y = slopes * frame["x0"].to_numpy() + rng.normal(size=len(frame))
    drop = [name for name in THREE if name not in columns]
    return frame.drop(columns=drop), y, rng.uniform(0.5, 2.0, size=len(frame))


def indicators(frame, columns, weights, intercepts, shared, sample_weight):
    """Return features and intercepts of all nodes side by side, and their penalty weights.

    ``weights`` are numbers or arrays (d,), by column.
    """
    X = frame.filter(regex="^x").to_numpy()
    X = np.column_stack([X - sample_weight @ X / sample_weight.sum(), np.ones(len(X))])
    d = X.shape[1] - 1
    parts, penalty = [X], [shared] * d + [0.0]
    for level, column in enumerate(columns):
        codes = frame.groupby(columns[: level + 1]).ngroup().to_numpy()
        for node in np.unique(codes):
            parts.append(X * (codes == node)[:, None])
            penalty += [*np.broadcast_to(weights[column], d), intercepts[column]]
    penalty = np.array(penalty)
    free = np.isfinite(penalty)
    return np.hstack(parts)[:, free], penalty[free]


def least_squares(Z, penalty, y, weight):
    root = np.sqrt(weight)
    A = np.vstack([root[:, None] * Z, np.diag(np.sqrt(penalty))])
    b = np.append(root * y, np.zeros(len(penalty)))
    return Z @ np.linalg.lstsq(A, b, rcond=1e-13)[0]


def newton(Z, penalty, Y, weight):
    """Return the linear predictions (n, K) of penalized multinomial regression."""
    n_classes = Y.shape[1]
    P = np.kron(np.eye(n_classes), np.diag(penalty))
    b = np.zeros((n_classes, Z.shape[1]))
    for _ in range(60):
        p = np.exp(Z @ b.T)
        p /= p.sum(axis=1, keepdims=True)
        g = ((weight[:, None] * (p - Y)).T @ Z + b * penalty).ravel()
        S = weight[:, None, None] * (p[:, :, None] * np.eye(n_classes) - p[:, :, None] * p[:, None])
        H = np.einsum("nkl,ni,nj->kilj", S, Z, Z).reshape(len(g), -1) + P
        b -= np.linalg.lstsq(H, g, rcond=1e-12)[0].reshape(b.shape)
    return Z @ b.T


@pytest.mark.parametrize("columns", [TWO, THREE])
@pytest.mark.parametrize("shared", [0.0, 0.3])
def test_fit_is_least_squares_on_indicators(columns, shared):
    frame, y, weight = table(columns)
    L = len(columns)
    for alpha in product([0.7, np.inf, 0.0], repeat=L):
        for own in ([0.5, 2.0, 1.0], [np.inf] * 3, [0.0] * 3, [1.0, np.inf, 0.3]):
            weights, intercepts = (
                dict(zip(columns, alpha, strict=False)),
                dict(zip(columns, own, strict=False)),
            )
            model = MeanRegularizedRegressor(
                weights, alpha_shared=shared, alpha_intercept=intercepts, task_column=columns
            ).fit(frame, y, weight)
            Z, penalty = indicators(frame, columns, weights, intercepts, shared, weight)
            expected = least_squares(Z, penalty, y, weight)
            np.testing.assert_allclose(model.predict(frame), expected, atol=1e-8)


@pytest.mark.parametrize("columns", [TWO, THREE])
@pytest.mark.filterwarnings("ignore:Only one class")
@pytest.mark.parametrize("n_classes", [2, 3])
def test_classifier_is_newton_on_indicators(columns, n_classes):
    frame, y, weight = table(columns)
    y = np.digitize(y, np.quantile(y, np.arange(1, n_classes) / n_classes))
    for alpha in ([0.7, 0.4, 1.0], [np.inf, 0.4, 1.0], [0.7, np.inf, 0.5]):
        weights = dict(zip(columns, alpha, strict=False))
        intercepts = dict(zip(columns, [0.5, 2.0, 1.0], strict=False))
        model = MeanRegularizedClassifier(
            weights, alpha_shared=0.1, alpha_intercept=intercepts, task_column=columns, tol=1e-10
        ).fit(frame, y, weight)
        Z, penalty = indicators(frame, columns, weights, intercepts, 0.1, weight)
        if n_classes == 2:  # two predictors of half the size have half the penalty
            z = newton(Z, 2 * penalty, np.eye(2)[y], weight)
        else:
            z = newton(Z, penalty, np.eye(n_classes)[y], weight)
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(model.predict_proba(frame), p, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Solution may be inaccurate:UserWarning", "ignore:Only one")
@pytest.mark.parametrize("columns", [TWO, THREE])
def test_cvxpy_finds_no_better_classifier(columns):
    cp = pytest.importorskip("cvxpy")
    frame, y, weight = table(columns, seed=3)
    y, alpha = (y > 0.3).astype(int), {"country": 0.8, **WEIGHTS}
    alpha = {column: alpha[column] for column in columns}
    model = MeanRegularizedClassifier(
        alpha, alpha_shared=0.3, alpha_intercept=0.7, task_column=columns
    ).fit(frame, y, weight)
    Z, penalty = indicators(frame, columns, alpha, dict.fromkeys(columns, 0.7), 0.3, weight)
    theta = cp.Variable(Z.shape[1])
    loss = weight @ cp.logistic(cp.multiply(1 - 2 * y, Z @ theta))
    objective = cp.Minimize(loss + 0.5 * cp.sum_squares(cp.multiply(np.sqrt(penalty), theta)))
    least = cp.Problem(objective).solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11)
    np.testing.assert_allclose(model.objective_, least, rtol=1e-8)
    np.testing.assert_allclose(model.decision_function(frame), Z @ theta.value, atol=1e-5)


def test_one_column_in_a_list_is_the_plain_model():
    frame, y, weight = table(["store"])
    kwargs = {"alpha": 2.0, "alpha_intercept": 0.5, "alpha_shared": 0.3}
    nested = MeanRegularizedRegressor(task_column=["store"], **kwargs).fit(frame, y, weight)
    plain = MeanRegularizedRegressor(task_column="store", **kwargs).fit(frame, y, weight)
    np.testing.assert_allclose(nested.coef_, plain.coef_, atol=1e-12)
    np.testing.assert_allclose(nested.intercept_, plain.intercept_, atol=1e-12)
    assert nested.tasks_.tolist() == plain.tasks_.tolist()


def test_regions_without_deviations_leave_the_plain_model_of_stores():
    frame, y, weight = table(TWO)
    nested = MeanRegularizedRegressor(
        {"region": np.inf, "store": 2.0},
        alpha_intercept={"region": np.inf, "store": 0.5},
        task_column=TWO,
    ).fit(frame, y, weight)
    single = frame.drop(columns=TWO).assign(task=frame.groupby(TWO).ngroup())
    plain = MeanRegularizedRegressor(2.0, alpha_intercept=0.5, task_column="task")
    plain.fit(single, y, weight)
    np.testing.assert_allclose(nested.coef_, plain.coef_, atol=1e-10)
    np.testing.assert_allclose(nested.group_coef_[0], nested.shared_coef_ + np.zeros((5, 2)))


@pytest.mark.parametrize("columns", [TWO, THREE])
@pytest.mark.filterwarnings("ignore:Only one class")
@pytest.mark.parametrize("Model", [MeanRegularizedRegressor, MeanRegularizedClassifier])
def test_conjugate_gradients_find_the_same(columns, Model):
    frame, y, weight = table(columns, n_features=4)
    y = y if Model is MeanRegularizedRegressor else y > np.median(y)
    kwargs = {"alpha": 0.7, "alpha_shared": 0.2, "task_column": columns, "tol": 1e-10}
    direct = Model(solver="direct", **kwargs).fit(frame, y, weight)
    cg = Model(solver="cg", max_iter=600, **kwargs).fit(frame, y, weight)
    np.testing.assert_allclose(cg.coef_, direct.coef_, atol=1e-6)


def test_containers_and_labels_give_the_same_model():
    frame, y, weight = table(TWO)
    model = MeanRegularizedRegressor(WEIGHTS, task_column=TWO)
    expected = model.fit(frame, y, weight).predict(frame)
    numbers = frame.assign(region=pd.factorize(frame["region"], sort=True)[0])
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(numbers["region"], unit="D")
    reversed_order = sorted(frame["region"].unique(), reverse=True)
    ordered = pd.Categorical(frame["region"], categories=reversed_order, ordered=True)
    frames = [
        pl.from_pandas(frame),
        pl.from_pandas(frame).with_columns(pl.col("region").cast(pl.Enum(reversed_order))),
        frame.assign(region=ordered),
        frame.assign(region=days),
        frame.assign(region=days.dt.date),
    ]
    for other in frames:
        fitted = MeanRegularizedRegressor(WEIGHTS, task_column=TWO).fit(other, y, weight)
        np.testing.assert_allclose(fitted.predict(other), expected, atol=1e-10)
    by_place = {0: WEIGHTS["region"], 1: WEIGHTS["store"]}
    for convert in (np.asarray, csr_array):
        X = convert(numbers.to_numpy(dtype=float))
        fitted = MeanRegularizedRegressor(by_place, task_column=[0, 1]).fit(X, y, weight)
        np.testing.assert_allclose(fitted.predict(X), expected, atol=1e-10)


def test_minimax_has_a_certificate_and_uncertainty_reproduces_itself():
    frame, y, weight = table(TWO)
    frame, y, weight = (part[(frame["region"] != "r4").to_numpy()] for part in (frame, y, weight))
    model = MeanRegularizedRegressor(
        2.0, alpha_shared=0.1, task_column=TWO, task_weight="minimax", tol=1e-8
    ).fit(frame, y, weight)
    assert model.minimax_gap_ <= 1e-6
    labels = list(zip(frame["region"], frame["store"], strict=False))
    codes = np.array([model.tasks_.tolist().index(label) for label in labels])
    squares = weight * (y - model.predict(frame)) ** 2
    losses = np.bincount(codes, squares) / np.bincount(codes, weight)
    share = model.task_weight_ * np.bincount(codes, weight) / weight.sum()
    assert share @ losses >= losses.max() * (1 - 1e-5)

    found = MeanRegularizedRegressor(2.0, task_column=TWO, task_weight="uncertainty")
    found.fit(frame, y, weight)
    level = found.task_weight_ * found.noise_variance_
    np.testing.assert_allclose(level, level.mean(), rtol=1e-5)
    given = dict(zip(found.tasks_.tolist(), found.task_weight_, strict=False))
    again = MeanRegularizedRegressor(2.0, task_column=TWO, task_weight=given).fit(frame, y, weight)
    np.testing.assert_allclose(again.coef_, found.coef_, atol=1e-5)


def test_unknown_stores_fall_back_to_the_region_and_the_center():
    frame, y, weight = table(TWO)
    model = MeanRegularizedRegressor(WEIGHTS, task_column=TWO).fit(frame, y, weight)
    new = frame.iloc[:2].assign(region=["r1", "elsewhere"], store=99)
    with pytest.raises(ValueError, match=r"\('elsewhere', 99\), \('r1', 99\)|\('r1', 99\)"):
        model.predict(new)
    model.set_params(handle_unknown="shared")
    X, place = new[["x0", "x1"]].to_numpy(), model.groups_[0].index(("r1",))
    region = X[0] @ model.group_coef_[0][place] + model.group_intercept_[0][place]
    center = X[1] @ model.shared_coef_ + model.shared_intercept_
    np.testing.assert_allclose(model.predict(new), [region, center], atol=1e-12)
    model.set_params(handle_unknown="warn")
    with pytest.warns(UserWarning, match=r"shared model for \('else.*group \('r1',\) for"):
        model.predict(new)


@pytest.mark.parametrize("n_stores", [5, 500])
@pytest.mark.parametrize("region", [0.0, 1.0])
@pytest.mark.filterwarnings("error")
def test_free_intercepts_of_stores_fitted_exactly_converge(n_stores, region):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x, labels = rng.normal(size=(12 * n_stores, 3)), np.arange(12 * n_stores) // 3
        frame = pd.DataFrame({"region": labels // 7, "store": labels % 7})
        frame.loc[0] = [-1, 0]  # a store with one row
        frame[["x0", "x1", "x2"]] = x
        y = x[:, 0] + 100 * rng.normal(size=labels[-1] + 1)[labels]
        intercepts = {"region": region, "store": 0.0}
        model = MeanRegularizedRegressor(1.0, alpha_intercept=intercepts, task_column=TWO)
        own = y - model.fit(frame, y).predict(frame)
        sums = np.bincount(frame.groupby(TWO).ngroup(), own)
        np.testing.assert_allclose(sums, 0.0, atol=1e-12 * np.abs(y).max())
        assert model.optimality_ < 1e-9


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("region", [0.0, 3.0])
def test_free_slopes_may_leave_nothing_for_the_intercepts_of_regions(region):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame({"region": rng.integers(0, 4, size=5), "store": np.arange(5)})
        frame[[f"x{j}" for j in range(8)]] = rng.normal(size=(5, 8))
        y = rng.normal(size=5)
        model = MeanRegularizedRegressor(
            {"region": 3.0, "store": 0.0},
            alpha_intercept={"region": region, "store": 3.0},
            task_column=TWO,
        ).fit(frame, y)
        np.testing.assert_allclose(model.predict(frame), y, atol=1e-8)


def test_a_list_of_columns_changed_in_place_is_refused():
    frame, y, weight = table(TWO)
    columns = list(TWO)
    model = MeanRegularizedRegressor(task_column=columns).fit(frame, y, weight)
    columns.reverse()
    with pytest.raises(ValueError, match="task_column was"):
        model.predict(frame)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"task_column": ["store", "store"]}, ValueError, "twice. Name each column"),
        ({"task_column": ["region", 0]}, ValueError, "twice. Name each column"),
        ({"task_column": []}, ValueError, r"task_column=\[\] is empty: name at least one"),
        ({"task_column": [["region"], "store"]}, TypeError, r"got \[\['region'\], 'store'\]"),
        ({"task_column": ["regoin", "store"]}, ValueError, "Did you mean 'region'"),
        ({"task_column": [0.0, 1.0]}, TypeError, "integer position"),
        ({"alpha": {"region": 1.0}}, ValueError, "'region', 'store': give each"),
        ({"alpha": {**WEIGHTS, "shop": 1.0}}, ValueError, "'shop'"),
        ({"alpha": {("r0", 0): 1.0}}, ValueError, "give each of them a number"),
        ({"alpha": {**WEIGHTS, "store": -1.0}}, ValueError, r"alpha\['store'\]"),
        ({"alpha_intercept": {"region": 1.0}}, ValueError, "alpha_intercept is a dict"),
        (
            {"alpha": [1.0, 2.0]},
            ValueError,
            "a dict with one for each of 'region', 'store', got",
        ),
        (
            {"alpha": np.ones(11)},
            ValueError,
            "a dict with one for each of 'region', 'store', got",
        ),
        ({"alpha": {**WEIGHTS, "store": "auto"}}, ValueError, "set alpha to 'auto', or give each"),
        ({"alpha": 0.0, "alpha_intercept": "auto"}, ValueError, "got 0. Set alpha to a positive"),
        ({"alpha_shared": -1.0}, ValueError, "alpha_shared must be"),
    ],
)
def test_bad_parameters_leave_the_last_fit(changes, error, message):
    frame, y, weight = table(TWO)
    model = MeanRegularizedRegressor(WEIGHTS, task_column=TWO).fit(frame, y, weight)
    before = model.coef_.copy()
    with pytest.raises(error, match=message):
        model.set_params(**changes).fit(frame, y, weight)
    np.testing.assert_array_equal(model.coef_, before)


def test_bad_data_leave_the_last_fit():
    frame, y, weight = table(TWO)
    model = MeanRegularizedRegressor(WEIGHTS, task_column=TWO).fit(frame, y, weight)
    before = model.coef_.copy()
    with pytest.raises(ValueError, match="'region' has missing labels"):
        model.fit(frame.assign(region=frame["region"].where(frame.index > 3)), y)
    with pytest.raises(ValueError, match=r"a row has one target\. For a column of y for each task"):
        model.fit(frame, np.column_stack([y, y]))
    with pytest.raises(ValueError, match="now missing:\n- region"):
        model.predict(frame.drop(columns="region"))
    with pytest.raises(ValueError, match="task_column='region' is not a column of X"):
        MeanRegularizedRegressor(task_column=TWO).fit(frame.drop(columns="region"), y)
    with pytest.raises(ValueError, match="by their groups or the shared model or adapt"):
        model.predict(frame.assign(store=77))
    np.testing.assert_array_equal(model.coef_, before)
