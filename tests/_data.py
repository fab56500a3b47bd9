"""Real data that the package does not ship, and where they are."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat


def data_folder(name):
    """Return the folder of one data set; skip the test without it, but fail in CI."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SKMTL_DATA", default)) / name
    if not folder.is_dir():
        reason = f"no data in {folder}; set SKMTL_DATA to the folder that holds {name}/"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# file, group, x, alpha, sigma^2, tau^2, center, labels, first
MIXED_MODELS = {
    "Reaction": (
        *("sleepstudy.csv", "Subject", "Days", 9.463103025, 749.36165, 79.18773),
        *([251.4051, 10.467286], "308 309 310"),
        [[250.91352081, 238.96117351, 239.01414619], [20.37455561, -2.65608286, 0.82507019]],
    ),
    "log_radon": (
        *("../radon/radon.csv", "county", "floor", 5.200463726, 0.51500707, 0.09903099),
        *([1.4911647, -0.64368531], "AITKIN ANOKA BECKER"),
        [[1.219139842, 0.988226332, 1.498743754], [-0.602163483, -0.816043907, -0.632810500]],
    ),
    "normexam": (
        *("Exam.csv", "school", "standLRT", 10.47800919, 0.55363956, 0.05283824),
        *([-0.010294294, 0.55412175], "1 2 3"),
        [[0.335551078, 0.405342034, 0.443910187], [0.698167738, 0.755607802, 0.622403461]],
    ),
    "mAch": (
        *("Hsb82.csv", "school", "cses", 6.931174683, 36.645273, 5.287022),
        *([12.643565, 2.2003844], "1224 1288 1296"),
        [[10.09176530, 13.32255271, 8.26781439], [2.42324232, 2.84186589, 1.36886886]],
    ),
}


class MixedModel:
    """Data of one of the ``MIXED_MODELS``, and what R (nlme) found of them.

    X has the label of the group, a constant and one feature. ``alpha`` is sigma^2 / tau^2 and
    ``center`` (intercept, slope); ``first`` (2, 3) are the intercepts and slopes of the groups
    ``labels`` with the digits that R printed.
    """

    def __init__(self, target):
        name, group, x, self.alpha, self.sigma2, self.tau2, self.center, labels, self.first = (
            MIXED_MODELS[target]
        )
        self.target, self.labels = target, labels.split()
        self.folder = data_folder("mixed_models")
        if not (self.folder / name).is_file():
            data_folder("radon")
        table = read_csv(self.folder / name)
        self.X = np.array([[row[group], 1.0, float(row[x])] for row in table], dtype=object)
        self.y = [float(row[target]) for row in table]

    def coefficients(self, model):
        """Return intercepts and slopes of the first groups in a fitted model."""
        place = {label: t for t, label in enumerate(model.tasks_)}
        return model.coef_[[place[label] for label in self.labels]].T


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
