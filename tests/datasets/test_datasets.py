import http.server
import shutil
import threading
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.io import loadmat
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import OneHotEncoder

from skmtl import MeanRegularizedRegressor
from skmtl.datasets import (
    _school,
    fetch_school,
    load_radon,
    make_multitask_classification,
    make_multitask_regression,
)
from tests._data import data_folder

# ------------------------------------------------------------------------------------ radon


def test_radon_without_and_with_pandas():
    radon, frame = load_radon(), load_radon(as_frame=True)
    names = ["county", "floor", "log_uranium"]
    assert radon.feature_names == frame.feature_names == names
    assert (radon.task_column, frame.task_column) == (0, "county")
    assert radon.target_name == "log_radon"
    assert radon.frame is None
    assert radon.data.shape == (919, 3)
    assert radon.data.dtype == object
    assert list(frame.frame.columns) == [*names, "log_radon"]
    assert radon.data.tolist() == frame.data.to_numpy(dtype=object).tolist()
    np.testing.assert_array_equal(radon.target, frame.target)
    for arrays in (load_radon(return_X_y=True), load_radon(return_X_y=True, as_frame=True)):
        np.testing.assert_array_equal(arrays[1], radon.target)
    assert "Apache License" in radon.DESCR


def test_radon_has_the_known_facts():
    frame = load_radon(as_frame=True).frame
    sizes = frame["county"].value_counts()
    assert (len(sizes), sizes.min(), sizes.max()) == (85, 1, 116)
    assert (frame.groupby("county")["log_uranium"].nunique() == 1).all()
    # Gelman and Hill (2007), 12.3: log(activity) = 1.33 - 0.61 floor, all counties pooled, with
    # 0.1 for the activities of zero
    activity = np.exp(frame["log_radon"]) - 0.1
    np.testing.assert_allclose(activity, activity.round(1), atol=1e-9)
    model = LinearRegression().fit(frame[["floor"]], np.log(activity.round(1).clip(lower=0.1)))
    np.testing.assert_allclose([model.intercept_, *model.coef_], [1.33, -0.61], atol=0.005)


def test_radon_reproduces_the_mixed_model_of_nlme():
    """log_radon ~ floor with pdIdent(~floor) by county, REML: the center and every county."""
    frame = load_radon(as_frame=True).frame.drop(columns="log_uranium")
    frame.insert(1, "one", 1.0)
    model = MeanRegularizedRegressor(
        alpha=5.200463726, task_column="county", fit_intercept=False
    ).fit(frame.drop(columns="log_radon"), frame["log_radon"])
    np.testing.assert_allclose(model.shared_coef_, [1.4911647, -0.64368531], atol=1e-6)
    reference = pd.read_csv(data_folder("mixed_models") / "blup_log_radon.csv", index_col=0)
    expected = reference.loc[model.tasks_]
    np.testing.assert_allclose(model.coef_, expected, atol=1e-6)


# ----------------------------------------------------------------------------------- School


@pytest.fixture
def school(monkeypatch, tmp_path):
    monkeypatch.setenv("SKMTL_DATA", str(data_folder("school").parent))
    return partial(fetch_school, data_home=tmp_path, download_if_missing=False)


def test_school_is_the_file_in_long_form(school):
    bunch = school()
    content = loadmat(data_folder("school") / "school_b.mat")
    assert bunch.data.shape == (15362, 28)
    assert bunch.data.dtype == bunch.target.dtype == np.float64
    np.testing.assert_array_equal(bunch.data[:, 1:], content["x"][:27].T)
    np.testing.assert_array_equal(bunch.target, content["y"].ravel())
    starts = content["task_indexes"].ravel().astype(int) - 1
    np.testing.assert_array_equal(np.unique(bunch.data[:, 0]), np.arange(1, 140))
    np.testing.assert_array_equal(bunch.data[starts, 0], np.arange(1, 140))
    assert (np.diff(bunch.data[:, 0]) >= 0).all()
    assert len(bunch.splits) == 5
    for train, test in bunch.splits:
        assert (len(train), len(test)) == (11472, 3890)
        assert sorted([*train, *test]) == list(range(15362))
        assert set(bunch.data[train, 0]) == set(range(1, 140))
    X, y = school(return_X_y=True)
    np.testing.assert_array_equal(X, bunch.data)
    np.testing.assert_array_equal(y, bunch.target)


def test_school_columns_mean_what_they_are_called(school):
    frame = school(as_frame=True).frame
    assert school(as_frame=True).task_column == frame.columns[0] == "school"

    def group(prefix):
        return frame[[name for name in frame if name.startswith(prefix)]].sum(axis=1)

    for prefix in ("year_", "ethnic_"):
        assert (group(prefix) == 1).all()
    assert (frame["female"] + frame["male"] == 1).all()
    assert (group("vr_band_") == 0).sum() == 15
    assert (frame.loc[frame["school_female"] == 1, "female"] == 1).all()
    assert frame.loc[frame["school_male"] == 1, "male"].mean() > 0.999  # one girl
    assert 0.4 < frame.loc[frame["school_mixed"] == 1, "male"].mean() < 0.6
    scores = [frame.loc[frame[f"vr_band_{k}"] == 1, "exam_score"].mean() for k in (1, 2, 3)]
    assert scores == sorted(scores, reverse=True)  # band 1 is the best
    per_school = frame.groupby(["school", "year_1985", "year_1986"])[
        ["vr_band_1", "percent_vr_band_1"]
    ]
    assert per_school.mean().corr().iloc[0, 1] > 0.6
    assert 0.6 < frame["ethnic_eswi"].mean() < 0.7


def test_school_explained_variance_of_pooled_least_squares(school):
    """Known for the ten standard splits, of which we have five: 34.2 +- 1.2."""
    bunch = school()
    X, y = bunch.data[:, 1:], bunch.target
    scores = [
        LinearRegression().fit(X[train], y[train]).score(X[test], y[test])
        for train, test in bunch.splits
    ]
    assert np.mean(scores) == pytest.approx(0.342, abs=0.006)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def served(monkeypatch, tmp_path):
    """Serve a copy of the School files, and return its folder."""
    folder = tmp_path / "served"
    shutil.copytree(data_folder("school"), folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    monkeypatch.delenv("SKMTL_DATA", raising=False)
    handler = partial(_Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(_school, "_URL", f"http://127.0.0.1:{server.server_port}/")
        yield folder
        server.shutdown()


def test_school_is_downloaded_once(served, tmp_path):
    home = tmp_path / "home"
    bunch = fetch_school(data_home=home)
    assert bunch.data.shape == (15362, 28)
    assert sorted(p.name for p in (home / "school").iterdir()) == sorted(_school._SHA256)
    shutil.rmtree(served)
    again = fetch_school(data_home=home, download_if_missing=False)
    np.testing.assert_array_equal(again.data, bunch.data)


def test_school_download_checks_the_content(served, tmp_path):
    (served / "school_b.mat").write_bytes(b"something else")
    with pytest.raises(OSError, match="SHA256"):
        fetch_school(data_home=tmp_path)


def test_school_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("SKMTL_DATA", str(tmp_path / "nothing"))
    with pytest.raises(OSError, match=r"`download_if_missing` is False.*nothing"):
        fetch_school(data_home=tmp_path, download_if_missing=False)


# ------------------------------------------------------------------------------- generators


def test_regression_without_noise_is_the_model():
    X, y, coef, intercept = make_multitask_regression(
        n_tasks=4, n_samples=6, n_features=3, noise=0.0, return_coef=True, random_state=0
    )
    assert X.shape == (24, 4)
    assert coef.shape == (4, 3)
    assert intercept.shape == (4,)
    np.testing.assert_array_equal(np.unique(X[:, 0], return_counts=True), [range(4), [6] * 4])
    assert (np.diff(X[:, 0]) < 0).any()  # not sorted
    for row, target in zip(X, y, strict=True):
        task = int(row[0])
        assert target == pytest.approx(row[1:] @ coef[task] + intercept[task])


def test_noise_and_intercepts_have_their_scales():
    X, y, coef, intercept = make_multitask_regression(
        1000, 20, 300, noise=3.0, intercept_scale=2.0, return_coef=True, random_state=0
    )
    task = X[:, 0].astype(int)
    residual = y - np.sum(X[:, 1:] * coef[task], axis=1) - intercept[task]
    assert residual.std() == pytest.approx(3, rel=0.02)
    assert intercept.std() == pytest.approx(2, rel=0.05)
    assert np.sum(X[:, 1:] * coef[task], axis=1).var() == pytest.approx(1, rel=0.15)


@pytest.mark.parametrize("relatedness", [0.0, 0.3, 0.8, 1.0])
def test_relatedness_is_the_correlation_of_coefficients(relatedness):
    coef = make_multitask_regression(
        n_tasks=4,
        n_samples=1,
        n_features=20_000,
        relatedness=relatedness,
        n_outlier_tasks=1,
        return_coef=True,
        random_state=0,
    )[2]
    expected = np.full((4, 4), relatedness)
    expected[3] = expected[:, 3] = 0  # the outlier
    np.fill_diagonal(expected, 1)
    np.testing.assert_allclose(np.corrcoef(coef), expected, atol=0.03)
    np.testing.assert_allclose(np.sum(coef**2, axis=1), 1, rtol=0.05)


def test_the_alpha_given_is_the_best_on_average():
    d, relatedness, noise = 5, 0.7, 2.0
    best = noise**2 * d / (1 - relatedness)
    error = dict.fromkeys((best / 5, best, best * 5), 0.0)
    for seed in range(5):
        X, y, coef, _ = make_multitask_regression(
            200, 10, d, relatedness=relatedness, noise=noise, return_coef=True, random_state=seed
        )
        for alpha in error:
            model = MeanRegularizedRegressor(alpha, alpha_intercept=4.0, task_column=0).fit(X, y)
            error[alpha] += np.sum((model.coef_ - coef) ** 2)
    assert min(error, key=error.get) == best


def test_sizes_follow_the_law():
    X, _ = make_multitask_regression(5, 137, 1, imbalance=1.0, random_state=0)
    sizes = np.sort(np.unique(X[:, 0], return_counts=True)[1])[::-1]
    np.testing.assert_array_equal(sizes, [300, 150, 100, 75, 60])  # 5 * 137 * 60/137 = 300
    X, _ = make_multitask_regression(50, 10, 1, imbalance=3.0, random_state=0)
    assert np.unique(X[:, 0], return_counts=True)[1].min() == 1


def test_binary_labels_follow_the_logistic_model():
    X, y, coef, intercept = make_multitask_classification(
        n_tasks=3, n_samples=20_000, n_features=2, return_coef=True, random_state=0
    )
    assert coef.shape == (3, 2)
    assert intercept.shape == (3,)
    task = X[:, 0].astype(int)
    probability = 1 / (1 + np.exp(-np.sum(X[:, 1:] * coef[task], axis=1) - intercept[task]))
    bins = np.digitize(probability, np.linspace(0, 1, 11)[1:-1])
    for k in range(10):
        assert y[bins == k].mean() == pytest.approx(probability[bins == k].mean(), abs=0.03)


def test_many_classes_follow_the_softmax():
    X, y, coef, intercept = make_multitask_classification(
        n_tasks=2,
        n_samples=30_000,
        n_features=2,
        n_classes=4,
        class_sep=1.0,
        return_coef=True,
        random_state=0,
    )
    assert coef.shape == (2, 4, 2)
    assert intercept.shape == (2, 4)
    task = X[:, 0].astype(int)
    P = np.exp(np.einsum("nd,nkd->nk", X[:, 1:], coef[task]) + intercept[task])
    P /= P.sum(axis=1, keepdims=True)
    shown = OneHotEncoder(sparse_output=False).fit_transform(y[:, None])
    gap = shown - P  # has mean 0, also against any function of x and the task
    np.testing.assert_allclose(gap.mean(axis=0), 0, atol=0.01)
    np.testing.assert_allclose(X.T @ gap / len(X), 0, atol=0.02)


def test_class_sep_is_the_scale_of_the_scores():
    coef = make_multitask_classification(
        n_tasks=3, n_samples=1, n_features=10_000, class_sep=4.0, return_coef=True, random_state=0
    )[2]
    np.testing.assert_allclose(np.sum(coef**2, axis=1), 16, rtol=0.1)


@pytest.mark.parametrize("make", [make_multitask_regression, make_multitask_classification])
def test_generators_are_reproducible_and_check_their_parameters(make):
    for a, b in zip(make(random_state=3), make(random_state=3), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (make(random_state=3)[0][:, 1:] != make(random_state=4)[0][:, 1:]).any()
    for wrong in (
        {"relatedness": 1.1},
        {"imbalance": -1},
        {"n_outlier_tasks": 21},
        {"n_tasks": 0},
        {"n_samples": 0},
        {"n_features": 0},
        {"intercept_scale": -1.0},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            make(**wrong)
    with pytest.raises(TypeError, match="n_tasks"):
        make(n_tasks=2.5)
