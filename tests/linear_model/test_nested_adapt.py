"""adapt with several columns of labels: groups of fit are fixed, new ones are fitted."""

import numpy as np
import pandas as pd
import pytest

from skmtl import MeanRegularizedClassifier, MeanRegularizedRegressor
from skmtl.data import merge_tasks
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
    with pytest.raises(ValueError, match="several task columns"):
        adapted.predict(new, return_std=True)
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
