"""What a fitted model predicts: shapes and dtypes, probabilities, unknown tasks and classes."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from skmtl import MeanRegularizedClassifier, PooledRegressor
from tests._problems import (
    CLASSIFIERS,
    REGRESSORS,
    families,
    kinds,
    make_indicator,
    make_rows,
    make_wide,
    n_classes,
)

METHODS = ("predict_proba", "predict_log_proba", "decision_function")
NAMES = np.array(["no", "yes", "perhaps"])
ROWS = {K: make_rows(K, (20, 12, 25, 15)) for K in (None, 2, 3)}
N = 72
every_classifier = pytest.mark.parametrize("estimator", CLASSIFIERS)
every_estimator = pytest.mark.parametrize("estimator", [*REGRESSORS, *CLASSIFIERS])
every_kind = pytest.mark.parametrize("kind", [0, 1, 2], ids=["pooled", "separate", "mean"])


def frame(rows, labels=None):
    table = pd.DataFrame(rows.X, columns=["a", "b", "c"])
    table["task"] = [f"T{t}" for t in rows.codes] if labels is None else labels
    return table


# Shapes and dtypes ------------------------------------------------------------------------------


@every_kind
@families
@pytest.mark.parametrize("column", [None, 0], ids=["one task", "long"])
def test_shapes(kind, K, column):
    rows = ROWS[K]
    y = rows.y if K is None else NAMES[rows.y]
    data = rows.X if column is None else rows.long
    model = kinds(K)[kind](task_column=column).fit(data, y)
    T, own = 1 if column is None else 4, () if K in (None, 2) else (K,)
    assert model.predict(data).shape == (N,)
    assert model.coef_.shape == (T, *own, 3)
    assert model.intercept_.shape == (T, *own)
    if hasattr(model, "shared_coef_"):
        assert model.shared_coef_.shape == (*own, 3)
        assert np.shape(model.shared_intercept_) == own
    if K is None:
        assert model.predict(data).dtype == np.float64
        return
    assert_array_equal(model.classes_, np.sort(NAMES[:K]))
    assert model.predict(data).dtype == model.classes_.dtype
    assert model.predict_proba(data).shape == (N, K)
    assert model.predict_log_proba(data).shape == (N, K)
    assert model.decision_function(data).shape == (N, *own)
    assert model.task_classes_.shape == (T, K)
    assert model.task_classes_.dtype == bool
    for method in METHODS:
        assert getattr(model, method)(data[:1]).shape[1:] == getattr(model, method)(data).shape[1:]
        assert getattr(model, method)(data).dtype == np.float64


@every_kind
@pytest.mark.parametrize("K", [None, 2], ids=["squared", "logistic"])
def test_shapes_of_the_wide_form(kind, K):
    X, Y = make_wide(60, missing=0.0) if K is None else make_indicator()
    model = kinds(K)[kind]().fit(X, Y)
    assert model.predict(X).shape == (60, 4)
    assert model.coef_.shape == (4, 3)
    assert model.intercept_.shape == (4,)
    assert_array_equal(model.task_counts_, [60] * 4)
    if K is None:
        return
    assert model.predict(X).dtype.kind == "i"
    assert set(np.unique(model.predict(X))) == {0, 1}
    for method in METHODS:
        assert getattr(model, method)(X).shape == (60, 4)
    assert_array_equal(model.task_classes_, np.ones((4, 2), bool))
    assert_array_equal(np.array(model.classes_), [[0, 1]] * 4)


# Probabilities ----------------------------------------------------------------------------------


def softmax_by_hand(model, rows):
    """Probabilities (n, K) of the coefficients of each row's task."""
    z = np.einsum("nd,n...d->n...", rows.X, model.coef_[rows.codes]) + model.intercept_[rows.codes]
    if z.ndim == 1:
        z = np.column_stack([np.zeros(N), z])
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True), z


@every_classifier
@n_classes
def test_probabilities(estimator, K):
    rows = ROWS[K]
    X, model = rows.long, estimator(task_column=0).fit(rows.long, rows.y)
    p, z = softmax_by_hand(model, rows)
    assert_allclose(model.predict_proba(X), p, rtol=1e-12)
    assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=0, atol=5e-16)
    assert_allclose(model.predict_log_proba(X), np.log(p), rtol=1e-11)
    found = model.decision_function(X)
    assert_allclose(found, z[:, 1] if K == 2 else z, rtol=1e-10, atol=1e-12)
    assert_array_equal(model.predict(X), p.argmax(axis=1))
    assert_array_equal(model.score(X, rows.y), np.mean(p.argmax(1) == rows.y))


@every_classifier
@n_classes
def test_log_probabilities_where_probabilities_underflow(estimator, K):
    rows = ROWS[K]
    model = estimator(task_column=0).fit(rows.long, rows.y)
    far = rows.long
    far[:, 1:] *= 1e6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        p, log_p, z = (getattr(model, m)(far) for m in METHODS)
    assert (p == 0).any()
    assert np.isfinite(log_p).all()
    assert log_p.min() < -1e4
    z = np.column_stack([np.zeros(N), z]) if K == 2 else z
    assert_allclose(log_p, log_softmax(z, axis=1), rtol=1e-12, atol=1e-300)
    assert_array_equal(model.predict(far), z.argmax(axis=1))


def test_log_probabilities_of_the_wide_form():
    X, Y = make_indicator()
    model = MeanRegularizedClassifier().fit(X, Y)
    assert_allclose(model.predict_log_proba(X), np.log(model.predict_proba(X)), rtol=1e-9)
    assert_array_equal(model.predict(X), model.predict_proba(X) > 0.5)
    log_p = model.predict_log_proba(1e6 * X)
    assert np.isfinite(log_p).all()
    assert log_p.min() < -1e4


# Tasks and classes that fit has not seen --------------------------------------------------------


@pytest.mark.parametrize("kind", [0, 2], ids=["pooled", "mean"])
@families
def test_unknown_tasks(kind, K):
    rows = ROWS[K]
    y = rows.y if K is None else NAMES[rows.y]
    known = frame(rows)
    new = known.assign(task=["C7", "T1", "B5", "T0", "C7"] + ["T2"] * (N - 5))
    model = kinds(K)[kind](task_column="task").fit(known, y)
    methods = ("predict",) if K is None else ("predict", *METHODS)
    message = (
        r"predict got tasks 'B5', 'C7', not seen in fit \(4 tasks: 'T0', 'T1', 'T2', 'T3'\)\. "
        r"Use handle_unknown='shared'"
    )
    if kind == 2:
        message += r".*adapt\(\).*TaskKFold"
    for method in methods:
        with pytest.raises(ValueError, match=message):
            getattr(model, method)(new)
    with pytest.raises(ValueError, match=r"predict got task 'B5', not seen"):
        model.predict(new[1:4])
    z = rows.X @ model.shared_coef_.T + model.shared_intercept_
    method, unseen = "predict" if K is None else "predict_log_proba", [0, 2, 4]
    if K is not None:
        z = log_softmax(np.column_stack([np.zeros(N), z]) if K == 2 else z, axis=1)
    expected = getattr(model, method)(new.assign(task=new.task.where(new.task > "T", "T3")))
    expected[unseen] = z[unseen]
    model.set_params(handle_unknown="shared")
    assert_allclose(getattr(model, method)(new), expected, rtol=1e-10)
    refit = kinds(K)[kind](task_column="task", handle_unknown="shared").fit(known, y)
    assert_allclose(getattr(refit, method)(new), expected, rtol=1e-10)
    if K is not None:
        assert_allclose(model.predict_proba(new), np.exp(expected), rtol=1e-10)
        assert list(model.predict(new)) == [model.classes_[k] for k in expected.argmax(axis=1)]
    model.set_params(handle_unknown="warn")
    for name in methods:
        with pytest.warns(UserWarning, match=r"'B5', 'C7', not seen in fit.*shared model is used"):
            warned = getattr(model, name)(new)
        if name == method:
            assert_allclose(warned, expected, rtol=1e-10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(known)


@n_classes
def test_unknown_tasks_may_have_every_class_though_tasks_lack_some(K):
    rows = ROWS[K]
    X, y = rows.long, rows.y.copy()
    y[(rows.codes == 0) & (y == 1)] = 0
    params = {"task_column": 0, "task_classes": "seen", "handle_unknown": "shared"}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Only one class was seen in task 0: with task_classes")
        model = MeanRegularizedClassifier(**params).fit(X, y)
    p = model.predict_proba(X)
    assert_array_equal(p[rows.codes == 0, 1], 0)
    assert (p[rows.codes != 0] > 0).all()
    new = X.copy()
    new[:, 0] = 9
    z = rows.X @ model.shared_coef_.T + model.shared_intercept_
    z = np.column_stack([np.zeros(N), z]) if K == 2 else z
    assert_allclose(model.predict_log_proba(new), log_softmax(z, axis=1), rtol=1e-10)


def test_long_lists_of_labels_are_cut():
    rows = make_rows()
    model = PooledRegressor(task_column=0).fit(rows.long, rows.y)
    many = rows.long
    many[:, 0] = np.arange(100, 135)
    with pytest.raises(ValueError, match=r"100, 101, 102, 103, 104, \.\.\. \(30 more\), not seen"):
        model.predict(many)


def test_classes_that_fit_did_not_see():
    rows = ROWS[2]
    y, X = np.array(["no", "yes"])[rows.y], rows.long
    model = MeanRegularizedClassifier(task_column=0).fit(X, y)
    new, other = X[:4].copy(), ["no", "yes", "perhaps", "never"]
    new[:, 0] = 7
    message = r"y holds classes not seen in fit: 'never', 'perhaps' \(fitted classes: 'no', 'yes'\)"
    with pytest.raises(ValueError, match=message):
        model.adapt(new, other)
    assert_array_equal(model.adapt(new, ["no", "yes", "no", "no"]).classes_, ["no", "yes"])
    assert model.score(X[:3], ["perhaps"] * 3) == 0


# Checks of predict and warnings of fit ----------------------------------------------------------


@every_estimator
def test_predict_checks_its_columns(estimator):
    rows = ROWS[None if estimator in REGRESSORS else 3]
    with pytest.raises(NotFittedError, match=f"This {estimator.__name__} instance is not fitted"):
        estimator(task_column=0).predict(rows.long)
    model = estimator(task_column=0).fit(rows.long, rows.y)
    with pytest.raises(ValueError, match=r"X has 3 features.*is expecting 4 features"):
        model.predict(rows.long[:, :3])
    table = frame(rows)
    model = estimator(task_column="task").fit(table, rows.y)
    with pytest.raises(ValueError, match=r"feature names should match.*\n.*unseen at fit time"):
        model.predict(table.rename(columns={"b": "z"}))
    with pytest.raises(ValueError, match="must be in the same order"):
        model.predict(table[["task", "b", "a", "c"]])


@every_classifier
def test_parameters_that_cannot_change_after_fit(estimator):
    X, y = ROWS[3].long, ROWS[3].y
    model = estimator(task_column=0).fit(X, y)
    model.set_params(task_classes="seen")
    with pytest.raises(ValueError, match=r"task_classes was 'union' in fit and is 'seen' now"):
        model.predict_proba(X)
    model.set_params(task_classes="union", task_column=1)
    with pytest.raises(ValueError, match=r"task_column was 0 in fit and is 1 now\. Fit again"):
        model.predict(X)
    assert model.set_params(task_column=0).predict(X).shape == (N,)


@every_estimator
def test_convergence_warning(estimator):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 12)) * np.logspace(0, 3, 12)
    long, y = np.column_stack([np.arange(60) % 3, features]), features.sum(axis=1)
    if estimator in CLASSIFIERS:
        y = (y + 300 * rng.normal(size=60) > 0).astype(int)
    model = estimator(task_column=0, solver="cg", max_iter=2, tol=1e-10)
    message = (
        rf"The 'cg' solver of {estimator.__name__} stopped after 2 iterations at a relative KKT "
        r"residual of \d\.\de[-+]\d+, asked for tol=1\.0e-10\. "
        r"What to try: use solver='direct'.* increase max_iter"
    )
    with pytest.warns(ConvergenceWarning, match=message):
        model.fit(long, y)
    assert model.n_iter_ == 2
    assert model.optimality_ > model.tol
