"""adapt with several columns of labels: groups of fit are fixed, new ones are fitted."""

import pickle

import numpy as np
import pandas as pd
import pytest

from skmtl import MeanRegularizedClassifier, MeanRegularizedRegressor
from skmtl.data import merge_tasks
from skmtl.inspection import coef_table
from skmtl.linear_model import _centered
from tests.linear_model.test_nested import THREE, TWO, table

pytestmark = pytest.mark.filterwarnings("ignore:Only one class")

ALPHA = {"country": 0.3, "region": 0.7, "store": 2.0}
INTERCEPT = {"country": 0.5, "region": 1.0, "store": 3.0}


def new_rows(columns, seed=5):
    """Return rows of new stores in known regions, in new ones, and of a known store."""
    rng = np.random.default_rng(seed)
    labels = [("c0", "r1", 70), ("c0", "r0", 71), ("c0", "r0", 72), ("c0", "r0", 1)]
    labels += [("c0", "new", 0), ("c0", "new", 1), ("cx", "newer", 0), ("cx", "last", 0)]
    frame = pd.DataFrame([label for label in labels for _ in range(4)], columns=THREE)
    frame["x0"], frame["x1"] = rng.normal(size=(2, len(frame))) + 1
    frame = frame.sample(frac=1, random_state=1).reset_index(drop=True)
    frame = frame.drop(columns=[name for name in THREE if name not in columns])
    return frame, rng.normal(size=len(frame)), rng.uniform(0.5, 2.0, size=len(frame))


def kwargs(columns):
    weights = {
        name: {c: given[c] for c in columns}
        for name, given in (("alpha", ALPHA), ("alpha_intercept", INTERCEPT))
    }
    return weights | {"task_column": columns}


def known_part(model, frame, columns, center):
    """Return the prediction of the innermost known group of each row, and its depth."""
    X, base, depth = frame[["x0", "x1"]].to_numpy(), [], []
    for x, label in zip(X, frame[columns].itertuples(index=False, name=None), strict=True):
        k = max(k for k in range(len(columns)) if k == 0 or label[:k] in model.groups_[k - 1])
        if k:
            place = model.groups_[k - 1].index(label[:k])
            coef, intercept = model.group_coef_[k - 1][place], model.group_intercept_[k - 1][place]
        else:
            coef, intercept = model.shared_coef_, model.shared_intercept_
        base.append(coef @ x + intercept)
        depth.append(k)
    return np.array(base), np.array(depth)


def deviations(frame, columns, depth, center):
    """Return indicator columns of all nodes that are not known, and their penalty weights."""
    X = np.column_stack([frame[["x0", "x1"]].to_numpy() - center, np.ones(len(frame))])
    parts, penalty = [], []
    for level, column in enumerate(columns):
        codes = frame.groupby(columns[: level + 1]).ngroup().to_numpy()
        for node in np.unique(codes[depth <= level]):
            parts.append(X * ((codes == node) & (depth <= level))[:, None])
            penalty += [ALPHA[column]] * 2 + [INTERCEPT[column]]
    return np.hstack(parts), np.array(penalty)


@pytest.mark.parametrize("columns", [TWO, THREE])
def test_regression_is_least_squares_around_the_known_groups(columns):
    frame, y, weight = table(columns)
    model = MeanRegularizedRegressor(**kwargs(columns)).fit(frame, y, weight)
    center = weight @ frame[["x0", "x1"]].to_numpy() / weight.sum()
    new, z, u = new_rows(columns)
    adapted = model.adapt(new, z, u)
    base, depth = known_part(model, new, columns, center)
    Z, penalty = deviations(new, columns, depth, center)
    H = (Z.T * u) @ Z + np.diag(penalty)
    expected = base + Z @ np.linalg.solve(H, Z.T @ (u * (z - base)))
    np.testing.assert_allclose(adapted.predict(new), expected, atol=1e-8)
    labels = set(new[columns].itertuples(index=False, name=None))
    others = ~np.isin(
        frame.groupby(columns).ngroup(),
        [
            code
            for label, code in zip(
                frame[columns].itertuples(index=False, name=None),
                frame.groupby(columns).ngroup(),
                strict=True,
            )
            if label in labels
        ],
    )
    np.testing.assert_array_equal(adapted.predict(frame[others]), model.predict(frame[others]))


@pytest.mark.parametrize("columns", [TWO, THREE])
def test_classification_is_newton_around_the_known_groups(columns):
    frame, y, weight = table(columns)
    model = MeanRegularizedClassifier(alpha_shared=0.1, tol=1e-10, **kwargs(columns))
    model.fit(frame, y > np.median(y), weight)
    center = weight @ frame[["x0", "x1"]].to_numpy() / weight.sum()
    new, z, u = new_rows(columns)
    z = z > 0
    adapted = model.adapt(new, z, u)
    coef = model.shared_coef_
    assert coef.shape == (2,)
    base, depth = known_part(model, new, columns, center)
    Z, penalty = deviations(new, columns, depth, center)
    b = np.zeros(Z.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-base - Z @ b))
        H = (Z.T * (u * p * (1 - p))) @ Z + np.diag(penalty)
        b -= np.linalg.solve(H, Z.T @ (u * (p - z)) + penalty * b)
    np.testing.assert_allclose(adapted.decision_function(new), base + Z @ b, atol=1e-6)


@pytest.mark.parametrize("columns", [TWO, THREE])
def test_three_classes_keep_what_is_known(columns):
    frame, y, weight = table(columns)
    model = MeanRegularizedClassifier(alpha_shared=0.1, **kwargs(columns))
    model.fit(frame, np.digitize(y, [-0.5, 0.5]), weight)
    new, z, u = new_rows(columns)
    adapted = model.adapt(new, np.digitize(z, [-0.5, 0.5]), u)
    assert adapted.coef_.shape[0] == len(adapted.tasks_)
    for groups, coef in zip(adapted.groups_, adapted.group_coef_, strict=True):
        assert len(groups) == len(coef)
    for old, coef, groups, now in zip(
        model.groups_, model.group_coef_, adapted.groups_, adapted.group_coef_, strict=True
    ):
        np.testing.assert_array_equal(now[[groups.index(group) for group in old]], coef)


def covariances(frame, columns, weight, new, new_weight):
    """Return the covariance of coefficients and intercept of all nodes, in units of the noise.

    Those of fit have the posterior of its rows; nodes of the new rows have theirs given the known
    group, plus what that is uncertain by.
    """
    center = weight @ frame[["x0", "x1"]].to_numpy() / weight.sum()

    def rows(data):
        X = np.column_stack([data[["x0", "x1"]] - center, np.ones(len(data))])
        return X, list(data[columns].itertuples(index=False, name=None))

    def on(labels, nodes):
        each = [[label[: len(node)] == node for node in nodes] for label in labels]
        return np.array(each, dtype=float)

    def design(X, labels, nodes):
        return (on(labels, nodes)[:, :, None] * X[:, None]).reshape(len(X), -1)

    def ridge(nodes):
        column = [columns[len(node) - 1] for node in nodes if node]
        own = [[ALPHA[name], ALPHA[name], INTERCEPT[name]] for name in column]
        return np.diag(np.ravel([[0.0, 0.0, 0.0]] * (() in nodes) + own))

    def below(labels, known):
        sizes = range(len(known) + 1, len(columns) + 1)
        return sorted({label[:k] for label in labels for k in sizes})

    X, labels = rows(frame)
    nodes = [(), *below(labels, ())]
    Z = design(X, labels, nodes)
    C = np.linalg.inv((Z.T * weight) @ Z + ridge(nodes))
    paths = {node: np.kron(on([node], nodes), np.eye(3)) for node in nodes}
    found = {node: path @ C @ path.T for node, path in paths.items()}
    groups = {node for node in nodes if len(node) < len(columns)}
    X, labels = rows(new)
    nearest = [max((g for g in groups if label[: len(g)] == g), key=len) for label in labels]
    for known in set(nearest):
        own = np.array([group == known for group in nearest])
        members = [label for label, chosen in zip(labels, own, strict=True) if chosen]
        nodes, u = below(members, known), new_weight[own]
        Z = design(X[own], members, nodes)
        C = np.linalg.inv((Z.T * u) @ Z + ridge(nodes))
        for node in nodes:
            path = np.kron(on([node], nodes), np.eye(3))
            moved = np.eye(3) - path @ C @ (Z.T * u) @ X[own]
            found[node] = path @ C @ path.T + moved @ found[known] @ moved.T
    return found, center


@pytest.mark.parametrize("columns", [TWO, THREE])
@pytest.mark.parametrize("at_once", [True, False])
def test_standard_errors_are_those_of_the_posterior(columns, at_once):
    frame, y, weight = table(columns)
    model = MeanRegularizedRegressor(**kwargs(columns), handle_unknown="shared")
    model.fit(frame, y, weight)
    new, z, u = new_rows(columns)
    if at_once:
        adapted = model.adapt(new, z, u)
    else:  # whole tasks at a time, in two steps, of which none adds to a group of the other
        first = (new["region"] == "new").to_numpy()
        adapted = model.adapt(new[first], z[first], u[first]).adapt(
            new[~first], z[~first], u[~first]
        )
    expected, center = covariances(frame, columns, weight, new, u)
    np.testing.assert_allclose(adapted.sigma2_, model.sigma2_, rtol=1e-12)

    result = coef_table(adapted)
    at_zero = np.eye(3)
    at_zero[2, :2] = -center
    found = result["std_error"].to_numpy().reshape(-1, 3)
    labels = [tuple(label[pd.notna(label)]) for label in result[columns].to_numpy()[::3]]
    assert len(labels) == len(expected)
    for label, own in zip(labels, found, strict=True):
        variance = np.diag(at_zero @ expected[label] @ at_zero.T)
        np.testing.assert_allclose(own**2, model.sigma2_ * variance, rtol=1e-8, err_msg=label)

    unknown = [("c0", "r1", 999), ("c0", "new", 99), ("cx", "newer", 9), ("cy", "nowhere", 0)]
    extra = pd.DataFrame(unknown, columns=THREE)[columns].assign(x0=[1.0, 2, 3, 4], x1=-1.0)
    everything = pd.concat([frame, new, extra], ignore_index=True)
    X = np.column_stack([everything[["x0", "x1"]] - center, np.ones(len(everything))])
    variance = np.empty(len(X))
    for i, label in enumerate(everything[columns].itertuples(index=False, name=None)):
        size = max(k for k in range(len(label) + 1) if label[:k] in expected)
        prior = sum(
            X[i, :2] @ X[i, :2] / ALPHA[name] + 1 / INTERCEPT[name] for name in columns[size:]
        )
        variance[i] = X[i] @ expected[label[:size]] @ X[i] + prior
    std = adapted.predict(everything, return_std=True)[1]
    np.testing.assert_allclose(std**2, model.sigma2_ * (1 + variance), rtol=1e-8)
    again = pickle.loads(pickle.dumps(adapted)).predict(everything, return_std=True)[1]
    np.testing.assert_array_equal(again, std)


@pytest.mark.parametrize("kind", [MeanRegularizedRegressor, MeanRegularizedClassifier])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"alpha": np.inf},
        {"alpha_intercept": np.inf},
        {"penalty_factor": {"x0": np.inf}},
        {"penalty_factor": {"x1": 0.0}},
        {"fit_intercept": False},
        {"task_weight": "balanced"},
    ],
    ids=str,
)
def test_standard_errors_with_regions_alike_are_those_of_stores_alone(kind, parameters):
    frame, y, weight = table(TWO)
    new, z, u = new_rows(TWO)
    if kind is MeanRegularizedClassifier:
        y, z = y > np.median(y), z > 0
        if 0.0 in parameters.get("penalty_factor", {}).values():
            pytest.skip("the classes of a store are separable")
        parameters = parameters | {"tol": 1e-12}  # curvatures are those of the last step
    own = {"alpha": 2.0, "alpha_intercept": 3.0} | parameters
    single = kind(alpha_shared=0.3, task_column="task", handle_unknown="shared", **own)
    for name in ("alpha", "alpha_intercept"):
        own[name] = {"region": np.inf, "store": own[name]}
    nested = kind(alpha_shared=0.3, task_column=TWO, handle_unknown="shared", **own)

    def joint(data):
        labels = data["region"] + "-" + data["store"].astype(str)
        return data.drop(columns=TWO).assign(task=labels)

    nested = nested.fit(frame, y, weight).adapt(new, z, u)
    single = single.fit(joint(frame), y, weight).adapt(joint(new), z, u)
    found, expected = coef_table(nested), coef_table(single).set_index("task")
    found = found[found["level"] == "store"]
    found.index = [f"{region}-{store}" for region, store in found[TWO].to_numpy()]
    expected = expected[expected.index.isin(found.index)]
    assert sorted(found.index) == sorted(expected.index)
    for label in single.tasks_:
        for name in ("estimate", "std_error", "pooling"):
            own, other = (part.loc[[label], name].to_numpy() for part in (found, expected))
            np.testing.assert_allclose(own, other, rtol=1e-6, atol=1e-9)


def test_attributes_are_merged_in_order():
    frame, y, weight = table(TWO)
    model = MeanRegularizedRegressor(**kwargs(TWO), handle_unknown="shared").fit(frame, y, weight)
    new, z, u = new_rows(TWO)
    adapted = model.adapt(new, z, u)
    tasks = sorted({*model.tasks_.tolist(), *new[TWO].itertuples(index=False, name=None)})
    assert adapted.tasks_.tolist() == tasks
    assert adapted.groups_ == [sorted({task[:1] for task in tasks})]
    assert adapted.coef_.shape == (len(tasks), 2)
    assert adapted.alpha_ == model.alpha_
    place = adapted.groups_[0].index(("new",))
    unknown = new.iloc[:1].assign(region="new", store=99)
    expected = unknown[["x0", "x1"]].to_numpy()[0] @ adapted.group_coef_[0][place]
    expected += adapted.group_intercept_[0][place]
    np.testing.assert_allclose(adapted.predict(unknown), [expected])
    twice = model.adapt(new[:16], z[:16], u[:16]).adapt(new, z, u)
    assert twice.tasks_.tolist() == tasks


@pytest.mark.parametrize("columns", [TWO, THREE])
def test_all_groups_at_once_are_group_by_group(columns, monkeypatch):
    frame, y, _ = table(columns)
    model = MeanRegularizedRegressor(2.0, task_column=columns, handle_unknown="shared")
    model.fit(frame, y)
    new, target = new_rows(columns)[:2]
    expected = model
    for _, rows in new.groupby(columns[0]).indices.items():
        expected = expected.adapt(new.iloc[rows], target[rows])
    merged = []
    monkeypatch.setattr(
        _centered, "merge_tasks", lambda *args: merged.append(args) or merge_tasks(*args)
    )
    found = model.adapt(new, target)
    assert len(merged) == 1  # each takes as long as there are tasks
    assert found.tasks_.tolist() == expected.tasks_.tolist()
    assert found.groups_ == expected.groups_
    np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-10)
    for name in ("group_coef_", "group_intercept_"):
        for own, other in zip(getattr(found, name), getattr(expected, name), strict=True):
            np.testing.assert_allclose(own, other, atol=1e-10)


def test_standard_errors_of_a_store_in_a_region_that_was_adapted():
    frame, y, weight = table(TWO)
    model = MeanRegularizedRegressor(**kwargs(TWO), handle_unknown="shared").fit(frame, y, weight)
    center = weight @ frame[["x0", "x1"]].to_numpy() / weight.sum()
    new, z, u = new_rows(TWO)
    first = model.adapt(new, z, u)
    # The covariance of the region, of the standard deviations of a store of which nothing is known.
    points = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [-1, 0], [0, -1]]) + center
    unseen = pd.DataFrame(points, columns=["x0", "x1"]).assign(region="new", store=99)
    unseen = unseen[new.columns]
    X = np.column_stack([points - center, np.ones(6)])
    prior = np.diag([ALPHA["store"], ALPHA["store"], INTERCEPT["store"]])
    std = first.predict(unseen, return_std=True)[1]
    forms = std**2 / model.sigma2_ - 1 - np.einsum("ij,jk,ik->i", X, np.linalg.inv(prior), X)
    upper = np.triu_indices(3)
    products = (X[:, :, None] * X[:, None])[:, *upper] * np.where(upper[0] == upper[1], 1, 2)
    C = np.zeros((3, 3))
    C[upper] = np.linalg.solve(products, forms)
    C = C + np.triu(C, 1).T
    rows, w = unseen.iloc[:4], np.array([1.0, 2.0, 0.5, 1.0])
    second = first.adapt(rows, [0.3, 1.0, -1.0, 2.0], w)
    own = np.linalg.inv((X[:4].T * w) @ X[:4] + prior)
    moved = own @ prior
    expected = own + moved @ C @ moved.T
    std = second.predict(unseen, return_std=True)[1]
    variance = model.sigma2_ * (1 + np.einsum("ij,jk,ik->i", X, expected, X))
    np.testing.assert_allclose(std**2, variance, rtol=1e-8)
    for other in (frame, new):
        before, after = (own.predict(other, return_std=True)[1] for own in (first, second))
        np.testing.assert_allclose(after, before, rtol=1e-12)


def test_a_store_in_another_region_than_in_fit():
    frame, y, _ = table(TWO)
    own = frame.assign(store=frame["region"] + "-" + frame["store"].astype(str))  # no label twice
    model = MeanRegularizedRegressor(task_column=TWO).fit(own, y)
    rows = own[own["region"] == "r2"]
    wrong, before = rows.assign(region="r1"), model.coef_.copy()
    message = r"'r2-\d' of the column 'store' in the group \('r1',\)\. In fit it is in \('r2',\)"
    with pytest.raises(ValueError, match=message):
        model.adapt(wrong, y[rows.index])
    np.testing.assert_array_equal(model.coef_, before)
    assert ("r1", "r2-9") in model.adapt(wrong.assign(store="r2-9"), y[rows.index]).tasks_.tolist()
    # A label counts within its group where labels repeat, or where there is one group.
    repeated = MeanRegularizedRegressor(task_column=TWO).fit(frame, y)
    assert ("r1", 3) in repeated.adapt(frame.assign(region="r1", store=3), y).tasks_.tolist()
    single = MeanRegularizedRegressor(task_column=TWO).fit(own.assign(region="r0"), y)
    assert ("r1", "r2-0") in single.adapt(wrong, y[rows.index]).tasks_.tolist()
