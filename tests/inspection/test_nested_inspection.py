"""Inspection of models with several task columns, against dense references."""

import numpy as np
import pytest

from skmtl import (
    GraphRegularizedRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    PooledRegressor,
    SharedL2Regressor,
)
from skmtl.inspection import (
    CoefficientShrinkageDisplay,
    RegularizationPathDisplay,
    SharingReportDisplay,
    TaskSimilarityDisplay,
    coef_table,
    effective_dof,
    pooling_factor,
    sharing_report,
    task_affinity,
)
from skmtl.model_selection import RegularizationPathCV

pd = pytest.importorskip("pandas")

TWO, THREE = ["region", "store"], ["country", "region", "store"]
WEIGHTS = {"country": 0.3, "region": 0.7, "store": 2.0}
INTERCEPTS = {"country": 1.0, "region": 0.5, "store": 2.0}
SHARED = 0.3


def frame(n_outer=3, seed=0):
    """Return rows in any order, of groups of different size, with features x0, x1 and a target."""
    rng = np.random.default_rng(seed)
    labels = [
        (f"c{c}", f"r{r}", s)
        for c in range(n_outer)
        for r in range(1 + c % 3)
        for s in range(1 + (c + r) % 3)
        for _ in range(rng.integers(7, 12))
    ]
    data = pd.DataFrame(labels, columns=THREE)
    data["x0"], data["x1"] = rng.normal(size=(2, len(data))) + [[1.0], [3.0]]
    effect = rng.normal(size=(n_outer, 3))[data["country"].str[1].astype(int)]
    data["y"] = effect[:, 0] + effect[:, 1] * data["x0"] + effect[:, 2] + rng.normal(size=len(data))
    return data.sample(frac=1.0, random_state=seed).reset_index(drop=True)


def dense(data, columns, mean, weight=None):
    """Return labels of the nodes, rows of their indicators, and diagonals of the penalty.

    The blocks of coefficients and centered intercepts are those of the center, then of the groups
    of each column.
    """
    nodes, levels = [()], [None]
    for k, column in enumerate(columns, 1):
        own = sorted({tuple(row) for row in data[columns[:k]].itertuples(index=False)})
        nodes, levels = nodes + own, levels + [column] * len(own)
    X = np.column_stack([data[["x0", "x1"]] - mean, np.ones(len(data))])
    tasks = [tuple(row) for row in data[columns].itertuples(index=False)]
    on = np.array([[task[: len(node)] == node for node in nodes] for task in tasks], dtype=float)
    design = (on[:, :, None] * X[:, None]).reshape(len(data), -1)
    ridge = [
        [SHARED, SHARED, 0.0] if own is None else [WEIGHTS[own], WEIGHTS[own], INTERCEPTS[own]]
        for own in levels
    ]
    return nodes, levels, design, np.ravel(ridge)


def reference(nodes, levels, beta, covariance, mean):
    """Return the estimate and variance of every coefficient of every node, at x = 0: (N, 3)."""
    D = 3
    forms = np.eye(D)
    forms[2, :2] = -mean
    found = []
    for node in nodes:
        on = np.array([node[: len(other)] == other for other in nodes], dtype=float)
        Z = np.kron(on, forms)
        found.append((Z @ beta, np.einsum("ij,jk,ik->i", Z, covariance, Z)))
    return map(np.array, zip(*found, strict=True))


def pooling(nodes, levels, curvature, ridge):
    """Return the diagonal of ``(A + P)^-1 P`` of every node, A its curvature without those inside.

    It is the derivative of its coefficients in those of the node that it deviates from.
    """
    D = 3
    number = {node: k for k, node in enumerate(nodes)}
    found = np.full((len(nodes), D), np.nan)
    for node, k in number.items():
        if levels[k] is None:
            continue
        inside = [m for other, m in number.items() if other[: len(node)] == node]
        index = np.concatenate([np.arange(m * D, (m + 1) * D) for m in inside])
        # the node's own part first; its derivative in an offset that all its rows feel
        H = curvature[np.ix_(index, index)]
        M = H + np.diag(ridge[index])
        found[k] = 1.0 - np.diag(np.linalg.solve(M, H)[:D, :D])
    return found


def nested(model, columns):
    weights = {
        name: {column: own[column] for column in columns}
        for name, own in (("alpha", WEIGHTS), ("alpha_intercept", INTERCEPTS))
    }
    return model(task_column=columns, alpha_shared=SHARED, **weights)


@pytest.mark.parametrize("columns", [TWO, THREE])
def test_coef_table_has_all_levels(columns):
    data = frame()
    data = data if columns is THREE else data.drop(columns="country").assign(region=data["country"])
    w = np.random.default_rng(1).uniform(0.5, 2.0, len(data))
    X = data.drop(columns="y")
    model = nested(MeanRegularizedRegressor, columns).fit(X, data["y"], w)
    mean = np.average(data[["x0", "x1"]], axis=0, weights=w)
    nodes, levels, design, ridge = dense(data, columns, mean)
    H = (design.T * w) @ design
    covariance = np.linalg.inv(H + np.diag(ridge))
    beta = covariance @ (design.T @ (w * data["y"]))
    df = np.trace(covariance @ H)
    sigma2 = w @ (data["y"] - design @ beta) ** 2 / (w.sum() - df)
    estimate, variance = reference(nodes, levels, beta, covariance, mean)

    table = coef_table(model)
    assert (
        table["level"].tolist()
        == np.repeat(["center" if v is None else v for v in levels], 3).tolist()
    )
    assert table.columns.tolist()[: len(columns) + 2] == ["level", *columns, "feature"]
    for k, column in enumerate(columns):
        labels = [node[k] if k < len(node) else None for node in nodes]
        assert table[column].tolist() == [label for label in labels for _ in range(3)]
    assert table["feature"].tolist() == ["x0", "x1", "intercept"] * len(nodes)
    np.testing.assert_allclose(table["estimate"], estimate.ravel(), atol=1e-9)
    np.testing.assert_allclose(table["std_error"], np.sqrt(sigma2 * variance).ravel(), rtol=1e-8)
    expected = pooling(nodes, levels, H, ridge)
    np.testing.assert_allclose(table["pooling"], expected.ravel(), atol=1e-9)
    innermost = expected[[level == columns[-1] for level in levels]]
    np.testing.assert_allclose(pooling_factor(model, X, data["y"], w), innermost.mean(axis=1))
    own = [(X[columns].apply(tuple, axis=1) == task).to_numpy() for task in model.tasks_]
    degrees = [np.trace(covariance @ ((design[o].T * w[o]) @ design[o])) for o in own]
    np.testing.assert_allclose(effective_dof(model, X, data["y"], w), degrees, rtol=1e-8)


def test_stores_are_pooled_by_their_region_where_the_center_is_fixed():
    data = frame(4).drop(columns="region").rename(columns={"country": "region"})
    X, y = data.drop(columns="y"), data["y"]
    model = nested(MeanRegularizedRegressor, TWO).set_params(alpha_shared=np.inf).fit(X, y)
    nodes, levels, design, ridge = dense(data, TWO, data[["x0", "x1"]].mean().to_numpy())
    expected = pooling(nodes, levels, design.T @ design, ridge)
    expected[[level == "region" for level in levels], :2] = 0.0  # the center is no other region
    np.testing.assert_allclose(coef_table(model)["pooling"], expected.ravel(), atol=1e-9)
    innermost = expected[[level == "store" for level in levels]].mean(axis=1)
    np.testing.assert_allclose(pooling_factor(model, X, y), innermost)


def test_coef_table_of_a_classifier_is_that_of_its_curvature():
    data = frame(4).drop(columns="region").rename(columns={"country": "region"})
    X, y = data.drop(columns="y"), data["y"] > data["y"].median()
    model = nested(MeanRegularizedClassifier, TWO).set_params(tol=1e-12).fit(X, y)
    mean = data[["x0", "x1"]].mean().to_numpy()
    nodes, levels, design, ridge = dense(data, TWO, mean)
    p = model.predict_proba(X)[:, 1]
    H = (design.T * (p * (1.0 - p))) @ design
    covariance = np.linalg.inv(H + np.diag(ridge))
    _, variance = reference(nodes, levels, np.zeros(len(ridge)), covariance, mean)
    table = coef_table(model)
    np.testing.assert_allclose(table["std_error"], np.sqrt(variance).ravel(), rtol=1e-7)
    np.testing.assert_allclose(
        table["pooling"], pooling(nodes, levels, H, ridge).ravel(), atol=1e-7
    )
    region = table[(table["level"] == "region") & (table["feature"] == "x1")]
    np.testing.assert_array_equal(region["estimate"], model.group_coef_[0][:, 1])


def test_coef_table_can_be_joined_by_its_labels():
    data = frame(4).drop(columns="country").drop_duplicates(TWO)
    X, y = data.drop(columns="y"), data["y"]
    table = coef_table(MeanRegularizedRegressor(2.0, task_column=TWO).fit(X, y))
    own = table[table["level"] == "store"].merge(X[TWO].assign(n=1), on=TWO)
    assert own["n"].sum() == 3 * len(X)
    assert table[TWO].isna().sum().tolist() == [3, 3 + 3 * X["region"].nunique()]


def test_labels_of_coef_table_by_position_or_beside_other_columns():
    data = frame(4).drop(columns="country")
    expected = coef_table(
        MeanRegularizedRegressor(2.0, task_column=TWO).fit(data[[*TWO, "x0"]], data["y"])
    )
    renamed = data.rename(columns={"region": "level", "store": "estimate"})
    given = {
        ("task_0", "task_1"): (data[[*TWO, "x0"]].to_numpy(object), [0, 1]),
        ("task_level", "task_estimate"): (
            renamed[["level", "estimate", "x0"]],
            ["level", "estimate"],
        ),
    }
    for names, (X, columns) in given.items():
        table = coef_table(MeanRegularizedRegressor(2.0, task_column=columns).fit(X, data["y"]))
        assert table.columns.tolist()[1:3] == list(names)
        names = dict(zip(TWO, names, strict=True))
        own = expected.rename(columns=names).drop(columns=["level", "feature"])
        pd.testing.assert_frame_equal(table.drop(columns=["level", "feature"]), own)


@pytest.mark.parametrize("model", [PooledRegressor(), SharedL2Regressor()])
def test_coef_table_of_models_without_groups_has_the_same_labels(model):
    data = frame().drop(columns="country")
    table = coef_table(model.set_params(task_column=TWO).fit(data.drop(columns="y"), data["y"]))
    assert table.columns.tolist()[:3] == [*TWO, "feature"]
    own = table[table["store"].notna()]
    assert list(own[TWO].itertuples(index=False, name=None))[::3] == model.tasks_.tolist()
    assert len(table) - len(own) == (3 if isinstance(model, PooledRegressor) else 0)


@pytest.mark.parametrize("name", [lambda region: (region,), lambda region: f"all of {region}"])
def test_coef_table_has_latent_tasks_by_their_labels(name):
    data = frame().drop(columns="country")
    X, y = data.drop(columns="y"), data["y"]
    edges = [(task, name(task[0])) for task in {tuple(own) for own in X[TWO].to_numpy().tolist()}]
    model = GraphRegularizedRegressor(task_graph=edges, task_column=TWO).fit(X, y)
    table, latent = coef_table(model), sorted({parent for _, parent in edges})
    if "task" in table:  # labels that are no labels of the columns
        own = table["task"][[isinstance(label, str) for label in table["task"]]].tolist()
    else:
        own = [(region,) for region in table["region"][table["store"].isna()]]
    assert own == [label for label in latent for _ in range(3)]
    assert ("task" in table) == isinstance(latent[0], str)


def test_one_column_in_a_list_has_the_table_of_one_column():
    data = frame()
    X, y = data[["region", "x0", "x1"]], data["y"]
    tables = [
        coef_table(MeanRegularizedRegressor(2.0, task_column=column).fit(X, y))
        for column in ("region", ["region"])
    ]
    pd.testing.assert_frame_equal(*tables)


def test_groups_without_deviations_have_the_table_of_the_center():
    data = frame()
    X, y = data.drop(columns=["y", "country"]), data["y"]
    model = MeanRegularizedRegressor(
        alpha={"region": np.inf, "store": 2.0},
        alpha_intercept={"region": np.inf, "store": 1.0},
        task_column=TWO,
    )
    table = coef_table(model.fit(X, y)).set_index(["level", "feature"])
    center = table.loc["center"]
    for _, own in table.loc["region"].groupby("region"):
        for name in ("estimate", "std_error", "lower", "upper"):
            np.testing.assert_allclose(own[name], center[name], rtol=1e-9)
        np.testing.assert_array_equal(own["pooling"], 1.0)


def test_affinity_and_report_of_regions_of_one_store_are_those_of_one_column():
    data = frame(4, seed=3)
    data = data[(data["region"] == "r0") & (data["store"] == 0)].drop(columns="region")
    data = data.rename(columns={"country": "region"}).reset_index(drop=True)
    X, y = data.drop(columns="y"), data["y"]
    # Deviations of both levels add up to one of the variance 1 / 3 + 1 / 6 = 1 / 2.
    weights = {"region": 3.0, "store": 6.0}
    both = MeanRegularizedRegressor(alpha=weights, alpha_intercept=weights, task_column=TWO)
    one = MeanRegularizedRegressor(2.0, alpha_intercept=2.0, task_column="region")
    for compare in (sharing_report, task_affinity):
        found = compare(X, y, both, cv=3)
        expected = compare(X.drop(columns="store"), y, one, cv=3)
        assert found.index.tolist() == [(region, 0) for region in expected.index]
        np.testing.assert_allclose(found.to_numpy(float), expected.to_numpy(float), atol=1e-8)


@pytest.mark.parametrize("columns", [TWO, THREE])
def test_degrees_of_three_classes_are_those_of_the_dense_curvature(columns):
    data = frame(4, seed=2)
    data = data if columns is THREE else data.drop(columns="country").assign(region=data["country"])
    X, y = data.drop(columns="y"), np.arange(len(data)) % 3
    model = nested(MeanRegularizedClassifier, columns).fit(X, y)
    mean = data[["x0", "x1"]].mean().to_numpy()
    _nodes, _levels, design, ridge = dense(data, columns, mean)
    p = model.predict_proba(X)
    W = p[:, :, None] * (np.eye(3) - p[:, None])
    H = [np.kron(w, np.outer(z, z)) for w, z in zip(W, design, strict=True)]
    covariance = np.linalg.pinv(np.sum(H, axis=0) + np.diag(np.tile(ridge, 3)), rcond=1e-11)
    own = [(X[columns].apply(tuple, axis=1) == task).to_numpy() for task in model.tasks_]
    degrees = [np.sum(covariance * np.sum(np.array(H)[rows], axis=0)) for rows in own]
    np.testing.assert_allclose(effective_dof(model, X, y), degrees, rtol=1e-6)
    factor = []
    D = np.tile([WEIGHTS["store"], WEIGHTS["store"], INTERCEPTS["store"]], 3)
    Z = np.column_stack([data[["x0", "x1"]] - mean, np.ones(len(data))])
    block = np.array([np.kron(w, np.outer(z, z)) for w, z in zip(W, Z, strict=True)])
    for rows in own:
        M = block[rows].sum(axis=0) + np.diag(D)
        factor.append(np.trace(np.linalg.solve(M, np.diag(D))) / 9.0)
    np.testing.assert_allclose(pooling_factor(model, X, y), factor, rtol=1e-6)


def test_unpenalized_feature_of_three_classes_is_the_limit():
    data = frame(4).drop(columns="country")
    X, y = data.drop(columns="y"), np.arange(len(data)) % 3
    found = []
    for factor in (0.0, 1e-9):
        model = nested(MeanRegularizedClassifier, TWO)
        model.set_params(penalty_factor={"x0": factor}, alpha_shared=0.0, tol=1e-11).fit(X, y)
        found.append(effective_dof(model, X, y))
    np.testing.assert_allclose(*found, rtol=1e-6)


@pytest.mark.parametrize("classifier", [False, True])
def test_common_feature_has_one_coefficient_at_all_levels(classifier):
    data = frame(4).drop(columns="country")
    X, y = data.drop(columns="y"), data["y"]
    model = nested(MeanRegularizedClassifier if classifier else MeanRegularizedRegressor, TWO)
    model.set_params(penalty_factor={"x0": np.inf}).fit(X, y > y.median() if classifier else y)
    table = coef_table(model).set_index("feature").loc["x0"]
    for name in ("estimate", "std_error"):
        np.testing.assert_allclose(table[name], table[name].iloc[0], rtol=1e-9)
    np.testing.assert_array_equal(table["pooling"][table["level"] != "center"], 1.0)
    assert model.alpha_shared_ == SHARED


def test_displays_name_tasks_of_several_columns():
    pytest.importorskip("matplotlib").use("agg")
    data = frame(3).drop(columns="country")
    X, y = data.drop(columns="y"), data["y"]
    model = MeanRegularizedRegressor(2.0, task_column=TWO).fit(X, y)
    names = {f"{region} / {store}" for region, store in model.tasks_}
    shrinkage = CoefficientShrinkageDisplay.from_estimator(model, X, y, features="x0")
    labels = [label.get_text().rsplit(" (", 1)[0] for label in shrinkage.ax_.get_xticklabels()]
    assert sorted(labels) == sorted(names)
    similarity = TaskSimilarityDisplay.from_estimator(model)
    assert {label.get_text() for label in similarity.ax_.get_yticklabels()} == names
    report = SharingReportDisplay.from_estimator(model, X, y)
    assert {label.get_text() for label in report.ax_.get_yticklabels()} == names
    search = RegularizationPathCV(model, [1.0, {"region": 1.0, "store": 2.0}], cv=2).fit(X, y)
    with pytest.raises(ValueError, match="alpha has dicts in cv_results"):
        RegularizationPathDisplay.from_estimator(search)


@pytest.mark.parametrize("columns", [TWO, THREE])
def test_unpenalized_features_are_the_limit_of_small_penalty_factors(columns):
    data = frame(4, seed=2)
    data = data if columns is THREE else data.drop(columns="country").assign(region=data["country"])
    X, y = data.drop(columns="y"), data["y"]
    mean = data[["x0", "x1"]].mean().to_numpy()
    model = nested(MeanRegularizedRegressor, columns).set_params(penalty_factor={"x0": 0.0})
    table = coef_table(model.fit(X, y))
    nodes, levels, design, ridge = dense(data, columns, mean)
    ridge[::3] *= 1e-7
    H = design.T @ design
    covariance = np.linalg.inv(H + np.diag(ridge))
    beta = covariance @ (design.T @ y)
    estimate, variance = reference(nodes, levels, beta, covariance, mean)
    found = table[["estimate", "std_error", "pooling"]].to_numpy().reshape(len(nodes), 3, 3)
    np.testing.assert_allclose(found[..., 0], estimate, rtol=1e-4)
    np.testing.assert_allclose(found[..., 2], pooling(nodes, levels, H, ridge), atol=1e-6)
    outer = np.array([level != columns[-1] for level in levels])
    assert np.isinf(found[outer][:, [0, 2], 1]).all()
    expected = np.sqrt(model.sigma2_ * variance)
    np.testing.assert_allclose(found[outer][:, 1, 1], expected[outer][:, 1], rtol=1e-4)
    np.testing.assert_allclose(found[~outer][..., 1], expected[~outer], rtol=1e-4)
    # With the rows of a store, all that penalties compare are the levels.
    group = found[[level == columns[-2] for level in levels]][:, 0, 2]
    sizes = [sum(task[:-1] == own for task in model.tasks_) for own in model.groups_[-1]]
    if columns is TWO:
        share = WEIGHTS["region"] / (WEIGHTS["region"] + np.array(sizes) * WEIGHTS["store"])
        np.testing.assert_allclose(group, share, rtol=1e-6)
