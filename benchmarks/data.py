"""Real data from the folder ``SKMTL_DATA``; missing files raise `AbsentError`."""

import csv
import os
from pathlib import Path

import numpy as np
from scipy.io import arff, loadmat

DEFAULT = Path(__file__).parents[2] / "shared" / "data"


class AbsentError(Exception):
    """A data file does not exist."""


def path(*parts):
    """Return the path of a file of the data folder."""
    found = Path(os.environ.get("SKMTL_DATA", DEFAULT)).joinpath(*parts)
    if not found.is_file():
        raise AbsentError(f"{found} does not exist: set SKMTL_DATA to the folder of the data")
    return found


def table(*parts):
    """Return a csv file as a dict of columns, arrays of str."""
    with path(*parts).open(newline="", encoding="utf-8") as file:
        names, *rows = csv.reader(file)
    return dict(zip(names, np.array(rows).T, strict=True))


def codes(labels):
    """Return labels as 0, ..., T - 1."""
    return np.unique(labels, return_inverse=True)[1].ravel()


def columns(found, names):
    """Return numeric columns of a table as an array (n, d)."""
    return np.column_stack([found[name].astype(float) for name in names])


def school():
    """Return X (n, 27) without the constant, schools and scores, in the order of the files."""
    found = loadmat(path("school", "school_b.mat"))
    starts = found["task_indexes"].ravel().astype(int) - 1
    n = found["x"].shape[1]
    tasks = np.searchsorted(starts, np.arange(n), side="right") - 1
    return found["x"][:-1].T.astype(float), tasks, found["y"].ravel().astype(float)


def school_split(k):
    """Return training and test rows of the k-th standard split, k from 1."""
    found = loadmat(path("school", f"school_{k}_indexes.mat"))
    return tuple(found[name].ravel().astype(int) - 1 for name in ("tr", "tst"))


def parkinsons(target):
    """Return age, sex, time and 16 measures of the voice; patients; a score of the disease."""
    found = table("parkinsons", "parkinsons_updrs.data")
    aside = ("subject#", "motor_UPDRS", "total_UPDRS")
    names = [name for name in found if name not in aside]
    return columns(found, names), codes(found["subject#"]), found[target].astype(float)


def exam():
    """Return intake score, sex and band of intake; schools; exam scores."""
    found = table("mixed_models", "Exam.csv")
    X = [found["standLRT"].astype(float), found["sex"] == "F"]
    X += [found["intake"] == band for band in ("bottom 25%", "top 25%")]
    return np.column_stack(X).astype(float), codes(found["school"]), found["normexam"].astype(float)


def exam_plain():
    """Return the intake score alone; schools; exam scores."""
    X, tasks, y = exam()
    return X[:, :1], tasks, y


def radon():
    """Return floor and uranium of the county; counties; log radon."""
    found = table("radon", "radon.csv")
    uranium = np.log(found["Uppm"].astype(float))
    X = np.column_stack([found["floor"].astype(float), uranium])
    return X, codes(found["county"]), found["log_radon"].astype(float)


def radon_plain():
    """Return the floor alone; counties; log radon."""
    X, tasks, y = radon()
    return X[:, :1], tasks, y


def sleepstudy():
    """Return the day; subjects; reaction times."""
    found = table("mixed_models", "sleepstudy.csv")
    X = found["Days"].astype(float)[:, None]
    return X, codes(found["Subject"]), found["Reaction"].astype(float)


def contraception():
    """Return age, its square, urban and living children; districts; use, 0 or 1."""
    found = table("mixed_models", "Contraception.csv")
    age = found["age"].astype(float)
    X = [age, age**2, found["urban"] == "Y"]
    X += [found["livch"] == number for number in ("1", "2", "3+")]
    y = (found["use"] == "Y").astype(int)
    return np.column_stack(X).astype(float), codes(found["district"]), y


def multi_output(name, n_targets, *, first=False):
    """Return X and Y (n, T) of an arff file whose last, or first, columns are the targets."""
    rows, meta = arff.loadarff(path("multioutput", f"{name}.arff"))
    values = np.column_stack([rows[column].astype(float) for column in meta.names()])
    if first:
        return values[:, n_targets:], values[:, :n_targets]
    return values[:, :-n_targets], values[:, -n_targets:]
