"""Numbers that others published or computed: BLUPs of R nlme, the School data."""

import csv

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.io import loadmat

from skmtl import MeanRegularizedRegressor, PooledRegressor, SharedL2Regressor
from tests._data import data_folder

# file, group, x, y, alpha = sigma^2 / tau^2, center (intercept, slope), and the first three
# coefficients (intercepts, slopes) with the digits that R printed.
BLUPS = {
    "Reaction": (
        *("sleepstudy.csv", "Subject", "Days", 9.463103025, [251.4051, 10.467286]),
        [[250.91352081, 238.96117351, 239.01414619], [20.37455561, -2.65608286, 0.82507019]],
    ),
    "log_radon": (
        *("../radon/radon.csv", "county", "floor", 5.200463726, [1.4911647, -0.64368531]),
        [[1.219139842, 0.988226332, 1.498743754], [-0.602163483, -0.816043907, -0.632810500]],
    ),
    "normexam": (
        *("Exam.csv", "school", "standLRT", 10.47800919, [-0.010294294, 0.55412175]),
        [[0.335551078, 0.405342034, 0.443910187], [0.698167738, 0.755607802, 0.622403461]],
    ),
    "mAch": (
        *("Hsb82.csv", "school", "cses", 6.931174683, [12.643565, 2.2003844]),
        [[10.09176530, 13.32255271, 8.26781439], [2.42324232, 2.84186589, 1.36886886]],
    ),
}


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("target", BLUPS)
def test_mean_regularized_ridge_is_the_random_coefficient_model(target):
    name, group, x, alpha, center, first = BLUPS[target]
    folder = data_folder("mixed_models")
    if not (folder / name).is_file():
        data_folder("radon")
    table = read_csv(folder / name)
    X = np.array([[row[group], 1.0, float(row[x])] for row in table], dtype=object)
    y = [float(row[target]) for row in table]
    model = MeanRegularizedRegressor(alpha, task_column=0, fit_intercept=False).fit(X, y)

    assert_allclose(model.shared_coef_, center, rtol=1e-7)
    place = {label: t for t, label in enumerate(model.tasks_)}
    head = {"Reaction": "308 309 310", "normexam": "1 2 3", "mAch": "1224 1288 1296"}
    labels = head.get(target, "AITKIN ANOKA BECKER").split()
    assert_allclose(model.coef_[[place[label] for label in labels]].T, first, atol=1e-6)
    if target == "mAch":  # of which no table of all groups is there
        return
    blup = read_csv(folder / f"blup_{target}.csv")
    assert {row["g"] for row in blup} == set(place)
    expected = [[float(row["a"]), float(row["b"])] for row in blup]
    assert_allclose(model.coef_[[place[row["g"]] for row in blup]], expected, atol=1e-6, rtol=0)


class School:
    """School as in the files: 27 columns and a constant, rows by task."""

    def __init__(self):
        self.folder = data_folder("school")
        content = loadmat(self.folder / "school_b.mat")
        starts = content["task_indexes"].ravel().astype(int) - 1
        self.y = content["y"].ravel().astype(float)
        self.task = np.searchsorted(starts, np.arange(len(self.y)), side="right") - 1
        self.X = np.column_stack([self.task, content["x"].T])

    def splits(self):
        """Training and test rows of the standard splits that are there, of ten."""
        for i in range(1, 11):
            path = self.folder / f"school_{i}_indexes.mat"
            if path.is_file():
                split = loadmat(path)
                yield i, split["tr"].ravel() - 1, split["tst"].ravel() - 1

    def first_rows(self, share):
        """Training rows: the first floor(share n_t) of each task."""
        starts = np.searchsorted(self.task, self.task)
        number = np.arange(len(self.y)) - starts
        return number < np.floor(share * np.bincount(self.task))[self.task]


@pytest.fixture(scope="module")
def school():
    return School()


@pytest.mark.parametrize(
    ("model", "mean", "spread", "first_five"),
    [
        (PooledRegressor(0.0), 34.2, 1.2, [33.2072, 35.4123, 35.0460, 34.1719, 33.9962]),
        (SharedL2Regressor(1.0), 35.1, 1.7, [35.9690, 37.6409, 35.8164, 33.5907, 34.2931]),
        (
            MeanRegularizedRegressor(100.0, alpha_intercept=0.0),
            *(38.1, 1.3, [38.4723, 39.5252, 38.6006, 37.3463, 37.7765]),
        ),
    ],
    ids=["pooled", "separate", "mean"],
)
def test_school_explained_variance(school, model, mean, spread, first_five):
    """The published figures are over ten splits; what each of the first five gives is pinned."""
    model.set_params(task_column=0)
    X, y, scores = school.X[:, :-1], school.y, {}
    for i, train, test in school.splits():
        residual = y[test] - model.fit(X[train], y[train]).predict(X[test])
        scores[i] = 100 * (1 - residual @ residual / np.sum((y[test] - y[test].mean()) ** 2))
    pinned = {i: score for i, score in scores.items() if i <= 5}
    assert_allclose(list(pinned.values()), [first_five[i - 1] for i in pinned], atol=1e-4)
    # The mean of k of n splits strays from that of all by spread sqrt(1/k - 1/n); 0.05 rounds.
    stray = spread * np.sqrt(1 / len(scores) - 1 / 10)
    assert abs(np.mean(list(scores.values())) - mean) <= 2 * stray + 0.05


@pytest.mark.parametrize(
    ("model", "share", "error"),
    [
        (MeanRegularizedRegressor(2 * 10.0), 0.9, 100.704),  # rho1 ||.||^2 is 2 rho1 / 2 ||.||^2
        (MeanRegularizedRegressor(2 * 10.0), 0.5, 113.790),
        (SharedL2Regressor(2.08), 0.5, 131.354),
    ],
    ids=["malsar-0.9", "malsar-0.5", "ridge-0.5"],
)
def test_school_error_of_malsar(school, model, share, error):
    train = school.first_rows(share)
    model.set_params(task_column=0, fit_intercept=False)
    model.fit(school.X[train], school.y[train])
    squares = (school.y[~train] - model.predict(school.X[~train])) ** 2
    tasks = school.task[~train]
    assert_allclose(np.mean(np.bincount(tasks, squares) / np.bincount(tasks)), error, atol=6e-4)
