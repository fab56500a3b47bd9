"""What the displays draw: the numbers in the artists, not only that they run."""

import builtins
import warnings

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from skmtl import (
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    PooledRegressor,
    SharedL2Regressor,
)
from skmtl.datasets import make_multitask_classification, make_multitask_regression
from skmtl.inspection import (
    CoefficientShrinkageDisplay,
    RegularizationPathDisplay,
    SharingReportDisplay,
    TaskSimilarityDisplay,
    coef_table,
    sharing_report,
    task_affinity,
    task_similarity,
)
from skmtl.model_selection import RegularizationPathCV, TaskKFold
from skmtl.pipeline import make_task_pipeline

matplotlib = pytest.importorskip("matplotlib")
pd = pytest.importorskip("pandas")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def data():
    return make_multitask_regression(5, 24, 3, imbalance=0.5, random_state=0)


@pytest.fixture(scope="module")
def model(data):
    return MeanRegularizedRegressor(20.0, task_column=0).fit(*data)


def line(ax, label):
    return next(own for own in ax.get_lines() if own.get_label() == label)


def texts(labels):
    return [label.get_text() for label in labels]


def test_shrinkage_of_a_coefficient(data, model):
    X, y = data
    figure, ax = plt.subplots()
    display = CoefficientShrinkageDisplay.from_estimator(model, X, y, features=1, ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is figure
    order = np.argsort(model.task_counts_, kind="stable")
    assert display.order_.tolist() == order.tolist()
    own = [  # least squares
        LinearRegression().fit(X[X[:, 0] == t, 1:], y[X[:, 0] == t]).coef_[1] for t in order
    ]
    np.testing.assert_allclose(line(ax, "own estimate").get_ydata(), own, rtol=1e-4)
    shared = line(ax, "shared estimate").get_ydata()
    np.testing.assert_array_equal(shared, model.coef_[order, 1])
    assert line(ax, "center").get_ydata()[0] == model.shared_coef_[1]
    assert texts(ax.get_xticklabels())[0] == f"{order[0]} ({model.task_counts_[order[0]]})"


def test_shrinkage_of_intercepts_and_of_two_coefficients(data, model):
    X, y = data
    middle = X[:, 1:].mean(axis=0)
    ax = CoefficientShrinkageDisplay.from_estimator(model, X, y).ax_
    intercepts = (model.intercept_ + model.coef_ @ middle)[np.argsort(model.task_counts_)]
    np.testing.assert_allclose(line(ax, "shared estimate").get_ydata(), intercepts)
    both = CoefficientShrinkageDisplay.from_estimator(model, X, y, features=["intercept", 1])
    np.testing.assert_allclose(np.sort(both.shared[:, 0]), np.sort(intercepts))
    names = coef_table(model)["feature"].unique()
    for j, name in enumerate(names):  # "x0", "x1", ..., "intercept"
        named = CoefficientShrinkageDisplay.from_estimator(model, X, y, features=name)
        other = "intercept" if name == "intercept" else j
        same = CoefficientShrinkageDisplay.from_estimator(model, X, y, features=other)
        np.testing.assert_array_equal(named.shared, same.shared)
        assert (named.names, name in named.names[0]) == (same.names, True)
    frame = pd.DataFrame(X, columns=["shop", "price", "size", "rent"])
    pipe = make_task_pipeline(
        StandardScaler().set_output(transform="pandas"),
        MeanRegularizedRegressor(20.0, task_column="shop"),
    ).fit(frame, y)
    display = CoefficientShrinkageDisplay.from_estimator(pipe, frame, y, features=[2, 0])
    points = np.column_stack(line(display.ax_, "shared estimate").get_data())
    np.testing.assert_array_equal(points, pipe[-1].coef_[:, [2, 0]])
    model = MeanRegularizedRegressor(20.0, task_column="shop").fit(frame, y)
    display = CoefficientShrinkageDisplay.from_estimator(model, frame, y, features="size")
    assert display.ax_.get_ylabel() == "coefficient of size"
    with pytest.raises(ValueError, match="'weight' is not a feature"):
        CoefficientShrinkageDisplay.from_estimator(model, frame, y, features="weight")
    with pytest.raises(ValueError, match="no feature 3: the model has 3"):
        CoefficientShrinkageDisplay.from_estimator(model, frame, y, features=3)


def test_intervals_of_shrunken_coefficients(data, model):
    X, y = data
    make = CoefficientShrinkageDisplay.from_estimator
    table = coef_table(model, interval=0.8)
    display = make(model, X, y, features=1, interval=0.8)
    own = table[(table["feature"] == "x1") & table["task"].notna()]
    ends = own[["lower", "upper"]].to_numpy()[display.order_]
    *_, lines = display.ax_.collections
    np.testing.assert_allclose(np.array(lines.get_segments())[..., 1], ends)
    # the centered intercept is the prediction at the mean, without the noise
    display = make(model, X, y, interval=0.8)
    rows = np.column_stack([model.tasks_, np.tile(X[:, 1:].mean(axis=0), (5, 1))])
    std = np.sqrt(model.predict(rows, return_std=True)[1] ** 2 - model.sigma2_)
    np.testing.assert_allclose(display.reach[:, 0], 1.2815515655 * std)
    both = make(model, X, y, features=["intercept", 1], interval=0.8)
    along, up = both.ax_.collections
    np.testing.assert_allclose(both.reach[:, 0], display.reach[:, 0])
    np.testing.assert_allclose(np.ptp(along.get_segments(), axis=1)[:, 0], 2 * both.reach[:, 0])
    np.testing.assert_allclose(np.ptp(up.get_segments(), axis=1)[:, 1], 2 * both.reach[:, 1])
    with pytest.raises(ValueError, match="interval must be a number between 0 and 1"):
        make(model, X, y, interval=95)


def test_shrinkage_leaves_out_what_a_task_cannot_tell(data):
    X, y = data[0].copy(), data[1]
    X[X[:, 0] == 2, 1] = 1.0
    model = MeanRegularizedRegressor(20.0, task_column=0).fit(X, y)
    display = CoefficientShrinkageDisplay.from_estimator(model, X, y, features=0)
    assert np.flatnonzero(np.isnan(display.own[:, 0])).tolist() == [2]
    classes = make_multitask_classification(3, 60, 2, n_classes=3, random_state=0)
    model = MeanRegularizedClassifier(5.0, task_column=0).fit(*classes)
    with pytest.raises(ValueError, match="coefficients for 3 classes"):
        CoefficientShrinkageDisplay.from_estimator(model, *classes)


def test_similarity_is_ordered_and_symmetric_around_zero():
    first, second = np.ones((6, 6)), np.tile([0, 1], 3)
    matrix = np.where(second[:, None] == second, 0.9, -0.4) * first
    np.fill_diagonal(matrix, 1.0)
    display = TaskSimilarityDisplay(matrix, list("abcdef")).plot()
    groups = second[display.order_]
    assert np.count_nonzero(np.diff(groups)) == 1  # the two clusters side by side
    (image,) = display.ax_.get_images()
    assert image.get_clim() == (-1, 1)
    np.testing.assert_array_equal(image.get_array(), matrix[np.ix_(display.order_, display.order_)])
    names = ["abcdef"[t] for t in display.order_]
    assert texts(display.ax_.get_xticklabels()) == texts(display.ax_.get_yticklabels()) == names
    affinity = TaskSimilarityDisplay(-2.0 * matrix, kind="affinity").plot()
    assert affinity.ax_.get_images()[0].get_clim() == (-2, 2)
    with pytest.raises(ValueError, match="kind must be"):
        TaskSimilarityDisplay(matrix, kind="nearness")


def test_similarity_from_estimator(data, model):
    X, y = data
    display = TaskSimilarityDisplay.from_estimator(model, "cosine", X=X, centered=True)
    expected = task_similarity(model, "cosine", X=X, centered=True)
    np.testing.assert_array_equal(display.matrix, expected)
    label = display.figure_.axes[-1].get_ylabel()
    assert label == "cosine of deviations of predictions"
    distance = TaskSimilarityDisplay.from_estimator(model, "distance")
    assert distance.ax_.get_images()[0].get_clim()[0] == 0
    matrix = task_affinity(X, y, MeanRegularizedRegressor(20.0, task_column=0))
    assert TaskSimilarityDisplay(matrix, kind="affinity").plot().tasks == [0, 1, 2, 3, 4]


def test_similarity_where_some_of_it_is_undefined():
    matrix = np.full((4, 4), np.nan)
    display = TaskSimilarityDisplay(matrix).plot()
    assert sorted(display.order_) == [0, 1, 2, 3]
    matrix[:3, :3] = [[1, 0.9, 0.1], [0.9, 1, 0.1], [0.1, 0.1, 1]]
    order = TaskSimilarityDisplay(matrix).plot().order_.tolist()
    assert abs(order.index(0) - order.index(1)) == 1
    assert order.index(3) in (0, 3)  # of which nothing is known, at the edge


def test_many_tasks_do_not_crowd_the_axes():
    rng = np.random.default_rng(0)
    display = TaskSimilarityDisplay(np.corrcoef(rng.normal(size=(139, 5)))).plot()
    assert len(display.ax_.get_xticks()) <= 20
    gain = rng.normal(size=139)
    report = SharingReportDisplay(range(139), gain, np.ones(139), gain < -1).plot()
    assert len(report.ax_.get_xticks()) == 0
    (legend,) = texts(report.ax_.get_legend().get_texts())
    assert legend.startswith("sharing hurts:")
    assert legend.endswith(f"{(gain < -1).sum() - 11} more")
    W = rng.normal(size=(139, 1))
    shrunk = CoefficientShrinkageDisplay(range(139), range(139), W, W / 2, [0.0], ["w"]).plot()
    assert len(shrunk.ax_.get_xticks()) <= 9


def test_report_is_sorted_and_flags_stand_out():
    display = SharingReportDisplay(
        ["a", "b", "c", "d"],
        [0.3, -0.5, np.nan, 0.1],
        [0.1, 0.2, np.nan, np.nan],
        [False, True, False, False],
    ).plot()
    assert display.order_.tolist() == [1, 3, 0]
    assert texts(display.ax_.get_yticklabels()) == ["b", "d", "a"]
    hurts, others = [
        container.lines[0].get_data()
        for container in sorted(display.ax_.containers, key=lambda c: c.lines[0].get_xdata()[0])
    ]
    assert (list(hurts[0]), list(others[0])) == ([-0.5], [0.1, 0.3])
    assert list(line(display.ax_, "few rows").get_xdata()) == [0.1]
    assert "sharing hurts" in texts(display.ax_.get_legend().get_texts())


def test_report_from_estimator(data):
    X, y = data
    fixed = {
        "pooled": PooledRegressor(2.0, task_column=0),
        "separate": SharedL2Regressor(1.5, task_column=0),
    }
    model = MeanRegularizedRegressor(20.0, task_column=0)
    report = sharing_report(X, y, model, scoring="r2", **fixed)
    display = SharingReportDisplay.from_estimator(model, X, y, scoring="r2", **fixed)
    np.testing.assert_array_equal(display.gain, report["gain"])
    assert display.ax_.get_xlabel() == "gain from sharing ± 1 s.e. (r2)"
    ax = plt.subplots()[1]
    assert SharingReportDisplay.from_report(report, ax=ax).ax_ is ax
    X, y = make_multitask_classification(3, 40, 3, class_sep=1.0, random_state=0)
    model = MeanRegularizedClassifier(5.0, task_column=0)
    display = SharingReportDisplay.from_estimator(model, X, y, pooled=model, separate=model)
    assert display.unit == "log loss"


@pytest.mark.parametrize("cv", [4, None])
def test_path_marks_what_the_search_chooses(data, cv):
    X, y = data
    params = {"cv": cv, "alphas": 12}
    model = MeanRegularizedRegressor(task_column=0)
    search = RegularizationPathCV(model, one_standard_error=True, **params).fit(X, y)
    display = RegularizationPathDisplay.from_estimator(search)
    best = RegularizationPathCV(model, **params).fit(X, y)
    assert display.best_alpha_ == best.best_params_["alpha"]
    assert display.one_se_alpha_ == search.best_params_["alpha"]
    score = "neg mean squared error" if cv is None else "R²"
    assert display.ax_.get_ylabel() == f"mean test {score}"
    (own,) = display.lines
    results = search.cv_results_
    np.testing.assert_array_equal(own.mean, results["mean_test_score"])
    if cv is None:
        errors = results["std_test_score"] / np.sqrt(len(y))
    else:
        splits = np.array([results[f"split{k}_test_score"] for k in range(cv)])
        errors = splits.std(axis=0, ddof=1) / np.sqrt(cv)
    np.testing.assert_allclose(own.error, errors)
    (band,) = display.ax_.collections
    top = band.get_paths()[0].vertices[:, 1].max()
    np.testing.assert_allclose(top, (own.mean + own.error).max())
    assert display.ax_.get_xscale() == "log"


def test_path_of_a_grid_search_with_other_parameters(data):
    X, y = data
    grid = {"alpha": [0.0, 1.0, 10.0, np.inf], "alpha_intercept": [0.5, 5.0]}
    model = MeanRegularizedRegressor(task_column=0)
    folds = TaskKFold(3, task_column=0)
    search = GridSearchCV(model, grid, cv=folds, scoring="neg_mean_squared_error").fit(X, y)
    display = RegularizationPathDisplay.from_estimator(search)
    assert [own.label for own in display.lines] == ["alpha_intercept=0.5", "alpha_intercept=5"]
    assert [own.alpha.tolist() for own in display.lines] == [[1.0, 10.0]] * 2
    assert display.ax_.get_ylabel() == "mean test neg mean squared error"
    other = RegularizationPathDisplay.from_cv_results(
        search.cv_results_, parameter="alpha_intercept"
    )
    assert len(other.lines) == 4
    with pytest.raises(ValueError, match="does not name one parameter"):
        RegularizationPathDisplay.from_cv_results(search.cv_results_, parameter="beta")
    with pytest.raises(ValueError, match=r"Set metric to one of \['score'\]"):
        RegularizationPathDisplay.from_cv_results(search.cv_results_, metric="r2")


def test_path_of_parameters_that_end_alike():
    results = {
        "param_alpha": [1.0, 2.0, 1.0, 2.0],
        "param_penalty__alpha": [0.1, 0.1, 3.0, 3.0],
        "mean_test_score": np.array([0.5, 0.6, 0.7, 0.4]),
        "std_test_score": np.full(4, 0.01),
    }
    display = RegularizationPathDisplay.from_cv_results(results, parameter="alpha", n_splits=5)
    assert [own.label for own in display.lines] == ["alpha=0.1", "alpha=3"]
    assert [own.mean.tolist() for own in display.lines] == [[0.5, 0.6], [0.7, 0.4]]


def test_path_of_leave_one_out_needs_its_number_of_rows(data):
    search = RegularizationPathCV(MeanRegularizedRegressor(task_column=0), alphas=4).fit(*data)
    with pytest.raises(ValueError, match=r"Pass n_splits=search.n_splits_"):
        RegularizationPathDisplay.from_cv_results(search.cv_results_)


def test_without_matplotlib(monkeypatch):
    original = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match="Displays need matplotlib"):
        TaskSimilarityDisplay(np.eye(3)).plot()


def test_drawing_warns_of_nothing(data, model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        display = CoefficientShrinkageDisplay.from_estimator(model, *data)
        display.figure_.canvas.draw()
        TaskSimilarityDisplay.from_estimator(model).figure_.canvas.draw()
