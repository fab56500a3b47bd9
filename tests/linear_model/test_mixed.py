"""Tasks of different kinds in one model, beside the models of one kind and scikit-learn."""

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array, eye_array
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from sklearn.metrics import accuracy_score, d2_tweedie_score, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.utils import estimator_html_repr
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmtl import (
    ADMMClassifier,
    ADMMRegressor,
    GraphRegularizedRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    MixedOutcomeModel,
    alpha_max,
)
from skmtl.inspection import coef_table, effective_dof
from skmtl.penalties import L1, L21, Decomposed, Graph, MeanRegularized, Ridge

COUNTS = {"visits": "poisson"}
PENALTIES = ["l21", "mean_regularized", "ridge", "graph", "trace_norm"]


def table(n=120, d=5, seed=0):
    """Return X and a frame with a number, two classes, three classes, a boolean and a count."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + rng.normal(size=d)
    z = (X - X.mean(0)) @ np.array([1.0, -1.0, *np.zeros(d - 2)])
    return X, pd.DataFrame(
        {
            "score": 50.0 + 4.0 * z + 2.0 * rng.normal(size=n),
            "ill": np.where(z + rng.logistic(size=n) > 0, "yes", "no"),
            "kind": pd.Categorical(
                np.array(list("cab"))[np.digitize(z + rng.normal(size=n), [-0.7, 0.7])]
            ),
            "smokes": z + rng.logistic(size=n) > 0.3,
            "visits": rng.poisson(np.exp(0.5 * z)),
        }
    )


def with_gaps(y, share=0.3, seed=1):
    """Return a frame of object columns with missing entries."""
    gone = np.random.default_rng(seed).random(y.shape) < share
    return y.astype(object).mask(gone, None)


def long_form(X, y):
    """Return the rows of observed targets: X with a column of task names, and targets."""
    seen = y.notna().to_numpy()
    row, task = np.nonzero(seen)
    frame = pd.DataFrame(X[row], columns=[f"x{j}" for j in range(X.shape[1])])
    frame["task"] = np.array(y.columns, dtype=object)[task]
    return frame, np.array([y.iat[i, t] for i, t in zip(row, task, strict=True)], dtype=object)


def fitted(X, y, penalty="l21", alpha=3.0, **params):
    model = MixedOutcomeModel(penalty, alpha, **{"losses": COUNTS, "tol": 1e-10} | params)
    return model.fit(X, y)


# ---- equal to models of one kind


@pytest.mark.parametrize("alpha_intercept", [0.0, 0.7])
@pytest.mark.parametrize("penalty", ["l21", "trace_norm", Decomposed(L21(1.0), L1(0.7))])
def test_all_squared_is_the_regressor(penalty, alpha_intercept):
    X, y = table()
    Y = y[["score"]].assign(other=X[:, 0] + y["score"] / 10, visits=1.0 * y["visits"])
    Y.iloc[::4, 1] = np.nan
    params = {"alpha_intercept": alpha_intercept, "tol": 1e-11, "task_weight": [1.0, 2.0, 0.5]}
    expected = ADMMRegressor(penalty, 2.0, **params).fit(X, Y)
    model = MixedOutcomeModel(penalty, 2.0, **params).fit(X, Y)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-7, atol=1e-7)
    assert_allclose(model.intercept_, expected.intercept_, rtol=1e-7, atol=1e-7)
    assert_allclose(model.predict(X).to_numpy(), expected.predict(X), rtol=1e-7)
    assert_allclose(model.objective_, expected.objective_, rtol=1e-9)
    assert model.losses_ == dict.fromkeys(Y.columns, "squared")
    assert_allclose(model.score(X, Y), expected.score(X, Y), rtol=1e-9)


@pytest.mark.parametrize("shared", [0.0, 0.4])
def test_all_squared_is_the_mean_regularized_model(shared):
    X, y = table()
    Y = np.column_stack([y["score"], X[:, 0] - y["score"] / 10, y["visits"]])
    Y[::5, 2] = np.nan
    penalty = MeanRegularized(1.0, alpha_shared=shared / 3.0)
    model = MixedOutcomeModel(penalty, 3.0, task_weight=None).fit(X, Y)
    expected = MeanRegularizedRegressor(3.0, alpha_shared=shared, alpha_intercept=0.0).fit(X, Y)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-7, atol=1e-9)
    assert_allclose(model.predict(X), expected.predict(X), rtol=1e-7)


@pytest.mark.parametrize("graph", [None, [(0, 1), (1, 2, 0.5)]])
def test_graphs_are_those_of_the_graph_model(graph):
    X, y = table()
    Y = np.column_stack([y["score"], X[:, 0] - y["score"] / 10, y["visits"]])
    penalty = Graph(2.0, graph, alpha_shared=0.2) + Ridge(0.1)
    model = MixedOutcomeModel(penalty, task_weight=None).fit(X, Y)
    expected = GraphRegularizedRegressor(
        2.0, task_graph=graph, alpha_shared=0.3, alpha_intercept=0.0
    ).fit(X, Y)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("penalty", ["l21", "mean_regularized"])
def test_all_logistic_is_the_classifier(penalty):
    X, y = table()
    indicator = np.column_stack([y["ill"] == "yes", y["smokes"]]).astype(int)
    params = {"alpha_intercept": 0.0, "tol": 1e-11}
    kinds = {"mean_regularized": MeanRegularizedClassifier(2.0, alpha_shared=0.0, **params)}
    expected = kinds.get(penalty, ADMMClassifier("l21", 2.0, **params)).fit(X, indicator)
    model = MixedOutcomeModel(penalty, 2.0, tol=1e-11).fit(X, y[["ill", "smokes"]])
    assert_allclose(model.coef_, expected.coef_, rtol=1e-7, atol=1e-7)
    assert_allclose(model.intercept_, expected.intercept_, rtol=1e-7, atol=1e-7)
    p = model.predict_proba(X)
    assert_allclose(
        np.column_stack([p["ill"][:, 1], p["smokes"][:, 1]]), expected.predict_proba(X), rtol=1e-7
    )
    assert_array_equal(model.predict(X)["smokes"], expected.predict(X)[:, 1] == 1)


@pytest.mark.parametrize("solver", ["direct", "cg", "admm"])
def test_one_multinomial_task_is_logistic_regression(solver):
    X, y = table()
    model = MixedOutcomeModel("ridge", 2.0, tol=1e-13, solver=solver).fit(X, y[["kind"]])
    expected = LogisticRegression(C=0.5, tol=1e-14, solver="newton-cg", max_iter=10_000)
    expected.fit(X, y["kind"])
    assert_allclose(model.predict_proba(X)["kind"], expected.predict_proba(X), rtol=0, atol=1e-9)
    assert_allclose(model.coef_, expected.coef_, rtol=0, atol=1e-9)
    free = expected.intercept_ - expected.intercept_.mean()
    assert_allclose(model.intercept_ - model.intercept_.mean(), free, rtol=0, atol=1e-9)
    assert_array_equal(model.classes_["kind"], expected.classes_)
    assert model.coef_tasks_.tolist() == ["kind"] * 3


@pytest.mark.parametrize("solver", ["direct", "cg", "admm"])
def test_one_poisson_task_is_the_poisson_regressor(solver):
    X, y = table()
    model = MixedOutcomeModel("ridge", 3.0, losses=COUNTS, tol=1e-13, solver=solver)
    model.fit(X, y[["visits"]])
    expected = PoissonRegressor(alpha=3.0 / len(X), tol=1e-14, solver="newton-cholesky")
    expected.fit(X, y["visits"])
    assert_allclose(model.coef_[0], expected.coef_, rtol=0, atol=1e-9)
    assert_allclose(model.intercept_[0], expected.intercept_, rtol=0, atol=1e-9)
    assert_allclose(model.predict(X)["visits"], expected.predict(X), rtol=1e-9)
    assert_allclose(model.score(X, y[["visits"]]), expected.score(X, y["visits"]), rtol=1e-9)


@pytest.mark.parametrize("penalty", ["ridge", "mean_regularized", "graph"])
@pytest.mark.parametrize("extra", [0.0, 0.3])
def test_solvers_of_quadratic_penalties_agree(penalty, extra):
    """Newton steps on a coupling, and ADMM on the penalty as it is written."""
    X, y = table()
    if extra:
        kinds = {"ridge": Ridge(1.0), "graph": Graph(1.0, alpha_shared=extra)}
        penalty = kinds.get(penalty, MeanRegularized(1.0, extra)) + Ridge(extra)
    by_steps, by_splitting = (
        fitted(X, y, penalty, alpha_intercept=0.5, solver=solver, tol=1e-9)
        for solver in ("direct", "admm")
    )
    assert_allclose(by_steps.objective_, by_splitting.objective_, rtol=1e-9)
    assert_allclose(by_steps.coef_, by_splitting.coef_, rtol=1e-5, atol=1e-6)
    iterated = fitted(X, y, penalty, alpha_intercept=0.5, solver="cg", tol=1e-9)
    assert_allclose(by_steps.coef_, iterated.coef_, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("solver", ["direct", "cg", "admm"])
def test_limits_of_alpha(solver):
    X, y = table()
    pooled = fitted(X, y, "mean_regularized", np.inf, task_weight=None, solver=solver)
    assert_allclose(pooled.coef_, np.tile(pooled.coef_[0], (7, 1)), rtol=1e-12)
    assert_allclose(fitted(X, y, "ridge", np.inf, solver=solver).coef_, 0.0, atol=1e-25)
    if solver == "cg":
        return  # refuses alpha=0
    free = fitted(X, y, "mean_regularized", 0.0, solver=solver)
    alone = fitted(X, y[["kind"]], "ridge", 0.0, losses="infer", solver=solver)
    expected = alone.predict_proba(X)["kind"]
    assert_allclose(free.predict_proba(X)["kind"], expected, rtol=1e-5)


# ---- forms of the data


@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_long_form_is_the_wide_form(penalty):
    X, y = table()
    gaps = with_gaps(y)
    wide = fitted(X, gaps, penalty)
    frame, targets = long_form(X, gaps)
    long = fitted(frame, targets, penalty, task_column="task")
    order = np.concatenate([np.flatnonzero(wide.coef_tasks_ == task) for task in long.tasks_])
    assert_allclose(long.coef_, wide.coef_[order], rtol=1e-5, atol=1e-7)
    assert long.losses_ == wide.losses_
    whole = pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])])
    predicted, p = wide.predict(X), wide.predict_proba(X)
    for task in y:
        rows = whole.assign(task=task)
        own = long.predict(rows)
        if task in ("score", "visits"):
            assert_allclose(own.astype(float), predicted[task].to_numpy(dtype=float), rtol=1e-6)
        else:
            assert own.tolist() == predicted[task].tolist()
            assert_allclose(long.predict_proba(rows)[task], p[task], rtol=1e-5)
        scores = long.decision_function(rows)
        K = 3 if task == "kind" else 1
        assert np.isnan(scores[:, K:]).all()
        place = np.flatnonzero(wide.coef_tasks_ == task)
        assert_allclose(scores[:, :K], wide.decision_function(X)[:, place], rtol=1e-5, atol=1e-7)
    mixed = long.predict_proba(frame)
    assert_array_equal(np.isnan(mixed["ill"][:, 0]), frame["task"] != "ill")
    assert_allclose(long.score(frame, targets), wide.score(X, gaps), rtol=1e-9)


@pytest.mark.parametrize("penalty", ["l21", "mean_regularized"])
@pytest.mark.parametrize("gaps", [False, True])
def test_sparse_X_is_dense_X(penalty, gaps):
    X, y = table()
    X = np.where(np.abs(X) < 0.5, 0.0, X)
    y = with_gaps(y) if gaps else y
    dense, sparse = fitted(X, y, penalty), fitted(csr_array(X), y, penalty)
    assert_allclose(sparse.coef_, dense.coef_, rtol=1e-5, atol=1e-7)
    assert_allclose(sparse.noise_variance_, dense.noise_variance_, rtol=1e-6)
    pd.testing.assert_frame_equal(sparse.predict(csr_array(X)), dense.predict(X), rtol=1e-6)


def test_weights_are_repeated_rows_and_zero_is_not_observed():
    X, y = table(60)
    times = np.random.default_rng(3).integers(0, 3, len(X))
    model = MixedOutcomeModel(alpha=3.0, losses=COUNTS, task_weight=None, tol=1e-10)
    by_weight = clone(model).fit(X, y, sample_weight=times)
    rows = np.repeat(np.arange(len(X)), times)
    by_rows = clone(model).fit(X[rows], y.iloc[rows])
    assert_allclose(by_weight.coef_, by_rows.coef_, rtol=1e-6, atol=1e-8)
    assert_allclose(by_weight.score(X, y, times), by_rows.score(X[rows], y.iloc[rows]))
    seen = np.random.default_rng(4).random(y.shape) < 0.7
    masked = clone(model).fit(X, y, sample_weight=seen.astype(float))
    gaps = clone(model).fit(X, y.astype(object).where(seen, None))
    assert_allclose(masked.coef_, gaps.coef_, rtol=1e-6, atol=1e-8)


# ---- units of squared tasks


def test_noise_variances_of_simulated_data():
    rng = np.random.default_rng(0)
    n, noise = 400, np.array([0.5, 3.0, 40.0])
    X = rng.normal(size=(n, 8))
    Y = X @ rng.normal(size=(8, 3)) + noise * rng.normal(size=(n, 3))
    Y[::3, 1] = np.nan
    frame = pd.DataFrame(Y, columns=list("abc")).assign(d=X[:, 0] > rng.normal(size=n))
    model = MixedOutcomeModel().fit(X, frame)
    error = model.noise_variance_[:3] / noise**2 - 1
    counts = np.array([n, n - n // 3 - 1, n]) - 9
    assert (np.abs(error) < 2.5 * np.sqrt(2 / counts)).all()
    assert np.isnan(model.noise_variance_[3])
    # the restricted likelihood of one task, as another estimator has it
    one = MeanRegularizedRegressor(
        "auto", alpha_shared=np.inf, alpha_intercept=np.inf, covariance_type="spherical"
    ).fit(X, Y[:, [0]])
    assert_allclose(model.noise_variance_[0], one.sigma2_, rtol=1e-6)


@pytest.mark.parametrize("sparse", [False, True])
def test_noise_variances_with_fewer_rows_than_features(sparse):
    X, y = np.random.default_rng(0).normal(size=(120, 300)), table()[1]
    X[:, 40:] *= np.random.default_rng(1).random((120, 260)) < 0.1
    X = csr_array(X) if sparse else X
    model = fitted(X, y[["score", "ill"]], losses="infer", tol=1e-6)
    one = MeanRegularizedRegressor(
        "auto", alpha_shared=np.inf, alpha_intercept=np.inf, covariance_type="spherical"
    ).fit(X, y[["score"]].to_numpy())
    assert_allclose(model.noise_variance_[0], one.sigma2_, rtol=1e-6)


def test_too_many_rows_and_features_for_noise_variances():
    X, y = eye_array(5001, format="csr"), np.random.default_rng(0).normal(size=(5001, 1))
    with pytest.raises(ValueError, match=r"up to 5000, .* Set task_weight to None"):
        MixedOutcomeModel().fit(X, y)


@pytest.mark.parametrize("penalty", ["l21", "mean_regularized"])
def test_the_unit_of_a_target_does_not_matter(penalty):
    X, y = table()
    small, large = fitted(X, y, penalty), fitted(X, y.assign(score=1000 * y["score"]), penalty)
    assert_allclose(large.noise_variance_[0], 1e6 * small.noise_variance_[0], rtol=1e-6)
    first, second = small.decision_function(X), large.decision_function(X)
    assert_allclose(second[:, 0], 1000 * first[:, 0], rtol=1e-6)
    assert_allclose(second[:, 1:], first[:, 1:], rtol=1e-6, atol=1e-7)


def test_the_unit_is_that_of_dividing_by_the_noise():
    X, y = table()
    model = fitted(X, y)
    sigma = np.sqrt(model.noise_variance_[0])
    divided = fitted(X, y.assign(score=y["score"] / sigma), task_weight=None)
    assert_allclose(model.coef_[0], sigma * divided.coef_[0], rtol=1e-6, atol=1e-8)
    assert_allclose(model.coef_[1:], divided.coef_[1:], rtol=1e-6, atol=1e-8)
    assert_allclose(model.objective_, divided.objective_, rtol=1e-8)
    parts = fitted(X, y, Decomposed(L21(1.0), L1(0.5)))
    assert_allclose(sum(parts.parts_), parts.coef_, rtol=1e-7, atol=1e-9)


def test_targets_without_noise_have_the_unit_of_their_spread():
    X, y = table()
    with pytest.warns(UserWarning, match="finds no noise in task 'score'"):
        model = fitted(X, y.assign(score=X[:, 0] + 7.0))
    assert_allclose(model.noise_variance_[0], X[:, 0].var())


def test_noise_variances_need_a_residual_degree_of_freedom():
    """Of few rows the restricted likelihood may have its maximum near a variance of zero."""
    found = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(6, 4))
        Y = X @ rng.normal(size=(4, 2)) + 0.1 * rng.normal(size=(6, 2))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            model = MixedOutcomeModel(fit_intercept=False, tol=1e-4).fit(X[:4], Y[:4])
        spread = np.mean((Y[:4] - Y[:4].mean(axis=0)) ** 2, axis=0)
        replaced = np.isclose(model.noise_variance_, spread, rtol=1e-9)
        assert (model.noise_variance_ > 0.01 * spread).all()
        assert len(said) == replaced.any()
        assert all(str(t) in str(said[0].message) for t in np.flatnonzero(replaced))
        found += replaced.sum()
    assert 0 < found < 24


# ---- containers and predictions


def test_pandas_in_and_out():
    X, y = table()
    ordered = pd.CategoricalDtype(["c", "a", "b", "unused"], ordered=True)
    y["kind"] = y["kind"].astype(ordered)
    y["smokes"] = y["smokes"].astype("boolean")
    y["group"] = pd.Series(np.where(X[:, 0] > 0, 3, 7)).astype("Int64")
    y.loc[::5, ["ill", "kind", "smokes", "visits", "group", "score"]] = pd.NA
    model = fitted(X, y, losses=COUNTS | {"group": "logistic"})
    frame = pd.DataFrame(X, index=np.arange(len(X)) + 1000)
    predicted = model.predict(frame.to_numpy())
    assert predicted["kind"].dtype == ordered
    assert predicted["smokes"].dtype == "boolean"
    assert predicted["group"].dtype == "Int64"
    assert predicted["ill"].dtype == y["ill"].dtype
    assert predicted["score"].dtype == predicted["visits"].dtype == float
    assert set(predicted["group"]) <= {3, 7}
    assert (predicted["visits"] > 0).all()
    assert model.classes_["group"].tolist() == [3, 7]
    same = MixedOutcomeModel(alpha=3.0, losses=COUNTS | {"group": "logistic"}).fit(frame, y)
    assert same.predict(frame).index.tolist() == frame.index.tolist()


def test_columns_may_be_numbers():
    X, y = table()
    numbered = y.set_axis([10, 20, 30, 40, 5], axis=1)
    model = MixedOutcomeModel(alpha=3.0, losses={5: "poisson"}, tol=1e-10).fit(X, numbered)
    assert model.tasks_.tolist() == [10, 20, 30, 40, 5]
    expected = fitted(X, y).predict(X).set_axis(numbered.columns, axis=1)
    pd.testing.assert_frame_equal(model.predict(X), expected)


def test_polars_in_and_out():
    X, y = table()
    kinds = pl.Enum(["c", "a", "b"])
    Y = pl.DataFrame(
        {
            "score": y["score"].to_numpy(),
            "ill": y["ill"].tolist(),
            "kind": pl.Series(y["kind"].tolist(), dtype=kinds),
            "smokes": y["smokes"].tolist(),
            "visits": y["visits"].to_numpy(),
        }
    )
    gone = np.arange(len(X)) % 7 == 0
    Y = Y.with_columns(
        [pl.when(pl.Series(~gone)).then(pl.col(name)).alias(name) for name in ("ill", "visits")]
    )
    names = [f"x{j}" for j in range(X.shape[1])]
    frame = pl.DataFrame(X, schema=names)
    model = fitted(frame, Y)
    predicted = model.predict(frame)
    assert isinstance(predicted, pl.DataFrame)
    assert predicted.columns == Y.columns
    assert predicted.dtypes[1:4] == [pl.String, kinds, pl.Boolean]
    y.loc[gone, ["ill", "visits"]] = None
    expected = fitted(X, y)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-6, atol=1e-8)
    assert predicted["kind"].to_list() == expected.predict(X)["kind"].tolist()
    assert_allclose(model.score(frame, Y), expected.score(X, y))


def test_arrays_of_objects_in_and_out():
    X, y = table()
    Y = y.astype(object).to_numpy()
    losses = {4: "poisson"}
    model = MixedOutcomeModel(alpha=3.0, losses=losses, tol=1e-10).fit(X, Y)
    found, expected = model.predict(X), fitted(X, y).predict(X)
    assert found.dtype == object
    assert found[:, 2].tolist() == expected["kind"].tolist()
    assert {type(value) for value in found[:, 3]} == {bool}
    assert_allclose(found[:, 0].astype(float), expected["score"], rtol=1e-7)
    rows = [list(row) for row in Y]
    again = MixedOutcomeModel(alpha=3.0, losses=losses, tol=1e-10).fit(X, rows)
    assert_array_equal(again.coef_, model.coef_)


def test_the_score_is_the_mean_over_tasks():
    X, y = table()
    model, weight = fitted(X, y), np.random.default_rng(5).uniform(0.5, 2.0, len(X))
    predicted = model.predict(X)
    w = {"sample_weight": weight}
    scores = [accuracy_score(y[t], predicted[t], **w) for t in ("ill", "kind", "smokes")]
    scores.append(r2_score(y["score"], predicted["score"], **w))
    scores.append(d2_tweedie_score(y["visits"], predicted["visits"], power=1, **w))
    assert_allclose(model.score(X, y, weight), np.mean(scores))
    other = y[["ill", "score", "kind", "smokes", "visits"]]
    with pytest.raises(ValueError, match="in this order"):
        model.score(X, other)
    with pytest.raises(ValueError, match="y has 2 columns, and fit had 5"):
        model.score(X, y[["score", "ill"]])


def test_rows_of_the_coefficients_are_labeled_by_task_and_class():
    X, y = table()
    chain = [("score", "ill"), ("ill", ("kind", "a")), (("kind", "a"), "smokes", 2.0)]
    model = fitted(X, y)
    assert model.coef_.shape == (7, 5)
    assert model.coef_tasks_.tolist() == ["score", "ill", *3 * ["kind"], "smokes", "visits"]
    graph = Graph(50.0, chain, alpha_shared=0.1)
    linked, free = fitted(X, y, graph, 1.0), fitted(X, y, Ridge(0.1), 1.0)

    def apart(model):
        unit = np.sqrt(model.noise_variance_[0])
        scaled = model.coef_ / np.array([unit, *np.ones(6)])[:, None]
        return np.linalg.norm(scaled[[0, 1, 2]] - scaled[[1, 2, 5]], axis=1)

    assert (apart(linked) < 0.5 * apart(free)).all()


@pytest.mark.parametrize("penalty", ["l21", "l1", "trace_norm", "task_l2"])
@pytest.mark.parametrize("gaps", [False, True])
def test_alpha_max_is_where_all_rows_become_zero(penalty, gaps):
    X, y = table()
    y = with_gaps(y) if gaps else y
    largest = alpha_max(MixedOutcomeModel(penalty, losses=COUNTS), X, y)
    assert not fitted(X, y, penalty, 1.0001 * largest).coef_.any()
    assert fitted(X, y, penalty, 0.99 * largest).coef_.any()
    other = y.assign(score=1000 * y["score"])
    assert_allclose(alpha_max(MixedOutcomeModel(penalty, losses=COUNTS), X, other), largest, 1e-6)


def test_what_has_no_meaning_for_tasks_of_different_kinds():
    X, y = table()
    model = fitted(X, y, "mean_regularized")
    for other in (model, fitted(X, y)):
        with pytest.raises(
            ValueError, match=r"MixedOutcomeModel .* its tasks are of different kinds.*Regressor"
        ):
            coef_table(other)
    with pytest.raises(TypeError, match="no degrees of freedom of tasks of different kinds"):
        effective_dof(model, X, y)
    with pytest.raises(ValueError, match="one norm in the penalty, and this one is quadratic"):
        alpha_max(model, X, y)


# ---- a citizen of scikit-learn


def test_clone_pickle_and_html():
    X, y = table()
    model = fitted(X, y)
    again = pickle.loads(pickle.dumps(model))
    pd.testing.assert_frame_equal(again.predict(X), model.predict(X))
    assert clone(model).get_params()["losses"] == COUNTS
    assert "MixedOutcomeModel" in estimator_html_repr(model)


def test_warm_starts_take_fewer_iterations():
    X, y = table()
    for penalty in ("l21", "mean_regularized"):
        model = fitted(X, y, penalty, warm_start=True)
        cold = fitted(X, y, penalty, 2.9)
        first = model.n_iter_
        model.set_params(alpha=2.9).fit(X, y)
        assert model.n_iter_ < min(first, cold.n_iter_)
        assert_allclose(model.coef_, cold.coef_, rtol=1e-6, atol=1e-7)
        other = model.fit(X, y.drop(columns="ill"))
        assert_allclose(
            other.coef_, fitted(X, y.drop(columns="ill"), penalty, 2.9).coef_, rtol=1e-5, atol=1e-7
        )


def test_models_on_the_way_predict():
    pytest.importorskip("sklearn.callback")
    from tests.test_callbacks import Follower

    X, y = table()
    model, follower = MixedOutcomeModel(alpha=3.0, losses=COUNTS), Follower()
    model.set_callbacks(follower).fit(X, y)
    assert len(follower.models) == len(model.history_) - 1
    last = follower.models[-1]
    assert_allclose(last.predict(X)["score"], model.predict(X)["score"], rtol=1e-6)
    assert last.losses_ == model.losses_


def test_task_weights_are_weights_of_rows():
    frame, targets = long_form(*table())
    weights = {"score": 2.0, "ill": 0.5, "kind": 3.0, "smokes": 1.0, "visits": 0.7}
    by_task, by_row = (
        MixedOutcomeModel(
            alpha=3.0, losses=COUNTS, task_column="task", task_weight=weight, tol=1e-10
        )
        for weight in (weights, None)
    )
    by_task.fit(frame, targets)
    by_row.fit(frame, targets, sample_weight=frame["task"].map(weights))
    assert_allclose(by_task.coef_, by_row.coef_, rtol=1e-5, atol=1e-7)
    without = clone(by_task).set_params(task_weight=weights | {"kind": 0.0}).fit(frame, targets)
    kept = frame["task"] != "kind"
    alone = clone(by_task).fit(frame[kept], targets[kept])
    assert_allclose(without.coef_, alone.coef_, rtol=1e-6, atol=1e-8)
    assert without.tasks_.tolist() == alone.tasks_.tolist()
    few = frame.index % 7 != 0
    balanced = clone(by_task).set_params(task_weight="balanced").fit(frame[few], targets[few])
    assert_allclose(balanced.task_weight_ * balanced.task_counts_ * 5, few.sum())


def test_searches_and_cross_validated_predictions():
    X, y = table()
    model = MixedOutcomeModel(L21(1.0), losses=COUNTS, tol=1e-6)
    grid = {"alpha": [1.0, 10.0], "penalty__alpha": [1.0, 2.0]}
    search = GridSearchCV(model, grid, cv=3, error_score="raise").fit(X, with_gaps(y, 0.1))
    assert search.best_params_["alpha"] in grid["alpha"]
    tied = search.cv_results_["mean_test_score"]
    assert np.isfinite(tied).all()
    found = cross_val_predict(model, X, y, cv=3, method="predict")
    assert found.shape == y.shape
    first = clone(model).fit(X[40:], y.iloc[40:]).predict(X[:40])
    assert found[:40, 1].tolist() == first["ill"].tolist()
    frame, targets = long_form(X, y)
    own = clone(model).set_params(task_column="task")
    assert cross_val_predict(own, frame, targets, cv=5).shape == targets.shape


def column_of(y):
    y = np.asarray(y)
    return y[:, None] if y.ndim == 1 else y


class Single(MixedOutcomeModel):
    """One task, with the one-dimensional y that checks pass.

    All checks apply then, but for those of probabilities.
    """

    @property
    def predict_proba(self):
        raise AttributeError("a dict, which no check knows")

    def fit(self, X, y, sample_weight=None):
        return super().fit(X, y if y is None else column_of(y), sample_weight)

    def score(self, X, y, sample_weight=None):
        return super().score(X, column_of(y), sample_weight)


@parametrize_with_checks([Single(), Single("mean_regularized")])
def test_sklearn_checks(estimator, check):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="task_weight='uncertainty' finds no noise")
        check(estimator)


# ---- separable classes


@pytest.mark.parametrize("solver", ["direct", "admm"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_separable_classes_are_named(solver, n_classes):
    X, y = table()
    cuts = [0.0, 1.0][: n_classes - 1]
    y["kind"] = np.array(list("abc"))[np.digitize(X[:, 2], cuts)]
    said = {}
    for alpha in (0.0, 1e-2):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            model = fitted(X, y, "ridge", alpha, solver=solver, tol=1e-8)
        said[alpha] = [str(w.message) for w in found if "separate" in str(w.message)]
        assert np.isfinite(model.coef_).all()
    assert len(said[0.0]) == 1
    assert "separate classes of task 'kind', and no penalty" in said[0.0][0]
    assert said[1e-2] == []


def test_overlapping_classes_are_not_separable():
    X, y = table()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for solver in ("direct", "admm"):
            fitted(X, y, "ridge", 0.0, solver=solver, tol=1e-8)
            fitted(X, with_gaps(y), "mean_regularized", 0.03, solver=solver, tol=1e-4)


def test_warm_starts_with_penalties_of_other_kinds():
    X, y = table()
    model = MixedOutcomeModel(alpha=3.0, losses=COUNTS, warm_start=True, tol=1e-10)
    for penalty in ("l21", "mean_regularized", Decomposed(L21(1.0), L1(0.5)), "ridge", "l1"):
        found = model.set_params(penalty=penalty).fit(X, y)
        assert_allclose(found.coef_, fitted(X, y, penalty).coef_, rtol=1e-5, atol=1e-6)


# ---- bad input


def broken(**columns):
    X, y = table()
    return X, y.assign(**columns)


BAD = {
    "unknown task": (broken(), {"losses": {"income": "squared"}}, "losses names 'income', and the"),
    "unknown loss": (broken(), {"losses": {"score": "hinge"}}, "'hinge', which is no loss"),
    "not a dict": (broken(), {"losses": "logistic"}, "losses must be 'infer' or a dict"),
    "one class": (broken(ill="yes"), {}, "Task 'ill' has classes, and all .* are 'yes'"),
    "strings": (
        broken(),
        {"losses": {"ill": "squared"}},
        "Task 'ill' is 'squared', and y has strings, such as '(yes|no)'",
    ),
    "string counts": (broken(), {"losses": {"ill": "poisson"}}, "Convert them to numbers"),
    "many classes": (broken(), {"losses": {"kind": "logistic"}}, "3 classes: .*'multinomial'"),
    "fractions": (
        broken(),
        {"losses": {"score": "logistic"}},
        "Classes that are numbers are",
    ),
    "negative": (broken(visits=-1.0), {}, "negative target -1"),
    "infinite": (broken(visits=np.inf), {}, "which must be finite"),
    "infinite number": (broken(score=-np.inf), {}, "target -inf, which must be finite"),
    "no counts": (broken(visits=0), {}, "All counts of task 'visits' are 0"),
    "missing": (broken(score=np.nan), {}, "no observed label .* in column 'score'"),
    "none": (broken(ill=None), {}, "no observed label .* in column 'ill'"),
    "minimax": (broken(), {"task_weight": "minimax"}, "no common unit"),
    "weights": (broken(), {"task_weight": {"score": 1.0}}, "without the tasks 'ill'"),
    "shared": (broken(), {"handle_unknown": "shared"}, "no shared model to predict unknown"),
}


@pytest.mark.parametrize(("data", "params", "message"), BAD.values(), ids=BAD)
def test_bad_input_leaves_the_last_fit(data, params, message):
    X, y = table()
    model = fitted(X, y)
    before = model.predict(X)
    model.set_params(**params)
    with pytest.raises(ValueError, match=message):
        model.fit(*data)
    model.set_params(losses=COUNTS, task_weight="uncertainty", handle_unknown="error")
    pd.testing.assert_frame_equal(model.predict(X), before)


def test_strings_beside_numbers_in_one_task():
    X, y = table()
    mixed = y["ill"].astype(object)
    mixed[3] = 1.0
    with pytest.raises(ValueError, match=r"Task 'ill' mixes numbers \(1.0\) and strings"):
        fitted(X, y.assign(ill=mixed))
    with pytest.raises(ValueError, match=r"mixes booleans \(True\) and numbers"):
        fitted(X, y.assign(ill=[True, 2] * 60).astype({"ill": object}))
    with pytest.raises(ValueError, match=r"the target datetime.date"):
        fitted(X, y.assign(ill=[pd.Timestamp("2020-01-01").date()] * 120))


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("form", ["strings", "frame", "polars", "long"])
def test_numbers_that_became_strings(form, gaps):
    X, y = table()
    score = [np.nan if gaps and i % 9 == 0 else value for i, value in enumerate(y["score"])]
    Y, params = np.array(list(zip(score, y["ill"], strict=True))), {}
    assert Y.dtype.kind == "U"
    if form == "frame":
        Y = pd.DataFrame(Y)
    if form == "polars":
        Y = pl.DataFrame({str(t): Y[:, t].tolist() for t in range(2)})
    if form == "long":
        X, Y, params = np.tile(np.c_[X, X[:, 0] * 0], (2, 1)), Y.T.ravel(), {"task_column": -1}
        X[120:, -1] = 1
    task = "'0'" if form == "polars" else "0"
    message = (
        rf"classes of task {task} are strings of numbers, such as '[\dan.]+'\. .* dtype=object"
    )
    with pytest.raises(ValueError, match=message):
        MixedOutcomeModel(**params).fit(X, Y)


def test_classes_that_are_strings_of_numbers():
    X, y = table()
    grade = np.where(X[:, 0] > 0, "1", "2")
    assert fitted(X, y.assign(grade=grade)).classes_["grade"].tolist() == ["1", "2"]
    dose = np.where(X[:, 0] > 0, "0.5", "1.5")
    losses = COUNTS | {"dose": "logistic"}
    model = fitted(X, y.assign(dose=dose), losses=losses)
    assert model.classes_["dose"].tolist() == ["0.5", "1.5"]


@pytest.mark.parametrize("form", ["frame", "polars", "objects", "long"])
def test_scores_of_strings_in_a_task_of_numbers(form):
    X, y = table()
    strange = y.astype(object)
    strange.iat[3, 0] = "high"
    texts = y.assign(score=y["score"].astype(str))
    model = fitted(X, y)
    message = r"Task 'score' is 'squared', and y has strings, such as '[\d.]+'. Convert them to num"
    if form == "polars":
        Y = pl.DataFrame({t: texts[t].tolist() for t in y})
    else:
        Y = texts if form == "frame" else texts.to_numpy()
    if form == "long":
        frame, targets = long_form(X, texts)
        model = fitted(*long_form(X, y), task_column="task")
        with pytest.raises(ValueError, match=message):
            model.score(frame, targets)
        targets = long_form(X, strange)[1]
        with pytest.raises(ValueError, match=r"Task 'score' mixes numbers .* and strings .'high'"):
            model.score(frame, targets)
        return
    with pytest.raises(ValueError, match=message):
        model.score(X, Y)
    with pytest.raises(ValueError, match=r"Task 'score' mixes numbers .* and strings .'high'"):
        model.score(X, strange if form == "frame" else strange.to_numpy())
    with pytest.raises(ValueError, match="Task 'visits' is 'poisson', and y has the negative"):
        model.score(X, y.assign(visits=-1))
    with pytest.raises(ValueError, match=r"Task 'ill' has the classes 'no', 'yes', .* 1 \(int\)"):
        model.score(X, y.assign(ill=1))


def test_y_of_the_wrong_shape():
    X, y = table()
    for series in (y["score"], pl.Series(y["score"])):
        with pytest.raises(ValueError, match=r"y has 1 dimension, .* y.to_frame\(\)"):
            MixedOutcomeModel().fit(X, series)
    with pytest.raises(ValueError, match=r"y has 1 dimension, .* y.reshape\(-1, 1\)"):
        MixedOutcomeModel().fit(X, y["score"].to_numpy())
    with pytest.raises(ValueError, match="needs one target for each row"):
        MixedOutcomeModel(task_column=0).fit(X, y)
    with pytest.raises(TypeError, match=r"y is sparse, .* y.toarray\(\)"):
        MixedOutcomeModel().fit(X, csr_array(X))
    with pytest.raises(ValueError, match="several columns named 'score'"):
        MixedOutcomeModel().fit(X, y[["score", "score"]])


@pytest.mark.parametrize("container", [np.asarray, list, pd.Series, pl.Series])
def test_missing_targets_of_the_long_form(container):
    frame, targets = long_form(*table())
    gone = np.flatnonzero(frame["task"] == "ill")[[0, 3]]
    targets[gone] = [None, np.nan]
    if container is pl.Series:  # one type
        frame = frame.assign(task=frame["task"].replace({"kind": "ill"}))
        kept = frame["task"] == "ill"
        frame, targets = frame[kept], [None if t != t else t for t in targets[kept]]
    message = r"missing in 2 rows of task 'ill'\..* Drop these rows"
    model = MixedOutcomeModel(losses=COUNTS if len(frame) > 400 else "infer", task_column="task")
    with pytest.raises(ValueError, match=message):
        model.fit(frame, container(targets))
    if container is not pl.Series:
        targets[np.flatnonzero(frame["task"] == "score")[0]] = None
        message = r"missing in 3 rows of the tasks 'ill', 'score'\..* Drop these rows"
        with pytest.raises(ValueError, match=message):
            model.fit(frame, container(targets))


def test_unknown_tasks_have_no_kind():
    frame, targets = long_form(*table())
    model = fitted(frame, targets, task_column="task")
    with pytest.raises(ValueError, match="predict got task 'income', not seen in fit"):
        model.predict(frame.assign(task="income"))
