"""The School data, downloaded on demand."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat
from sklearn.datasets import fetch_file, get_data_home

from skmtl.datasets._base import as_bunch

_URL = (
    "https://raw.githubusercontent.com/tjanez/PyMTL/"
    "97dfc15be3769240f2099d036ce2b55b30a56f5f/data/school/"
)
_SPLITS = {
    "school_1_indexes.mat": "030c9ca0a73d6264aa1eeac49aba1d760a1b5692cd3124667e74a7a2b7751bc5",
    "school_2_indexes.mat": "63d3a076a4cdd3de81825d3cf0c030b93bdc60e912eaed4763ee224efab163f8",
    "school_3_indexes.mat": "f7f68e3adb50db8094e230c2b83d548790379cd93ad98fadb35ff2999762dbe6",
    "school_4_indexes.mat": "02643928224056a61e25dec8d4841dba5195ed9affdc76fdc697854a2506d142",
    "school_5_indexes.mat": "6ed00a453d582dce4397f6f49120cff803c22f53cfb2dd63a3826c359c24bcdf",
}
_SHA256 = _SPLITS | {
    "school_b.mat": "973f1ca99d0d41a838ec6ae86001a48e7b69391eb74646b9e4fc54f62866a146",
}

# In the order of the rows of x in school_b.mat; the last row there is a constant. The order was
# checked against the data: single-sex schools, and the exam scores of the VR bands.
_FEATURES = (
    *("year_1985", "year_1986", "year_1987"),
    *("percent_free_meals", "percent_vr_band_1"),
    *("female", "male"),
    *("vr_band_3", "vr_band_1", "vr_band_2"),
    *("ethnic_eswi", "ethnic_african", "ethnic_arab", "ethnic_bangladeshi"),
    *("ethnic_caribbean", "ethnic_greek", "ethnic_indian", "ethnic_pakistani"),
    *("ethnic_se_asian", "ethnic_turkish", "ethnic_other"),
    *("school_mixed", "school_male", "school_female"),
    *("school_maintained", "school_church_of_england", "school_roman_catholic"),
)

_DESCR = """\
ILEA School data
----------------

Exam scores of 15362 students in 139 secondary schools of the Inner London Education Authority,
1985-1987; the school (1..139) is the task. 27 features, none of them scaled: the year, the
percentages of the school's students with free meals and in verbal reasoning (VR) band 1, the
student's sex, VR band (15 students have none) and ethnic group ("eswi": born in England,
Scotland, Wales or Ireland), and the school's sex and denomination. Everything but the
percentages is coded by 0/1 indicators, one per category.

``splits`` are the first five standard splits into 75% training and 25% test rows, as 0-based row
numbers that can be passed as ``cv=``.

H. Goldstein, Multilevel modeling of survey data, The Statistician 40(2), 1991, 235-244.
Data from the Center for Multilevel Modeling, Bristol; coding and splits by
A. Argyriou, T. Evgeniou and M. Pontil, Convex multi-task feature learning, Machine Learning 73,
2008, 243-272. DOI 10.1007/s10994-007-5040-8. Fetched from data/school
in https://github.com/tjanez/PyMTL (commit 97dfc15; GPL-3.0-or-later); not part of this package.
"""


def fetch_school(
    *,
    data_home: str | PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Any:
    """Load the School data: exam scores of 15362 students in 139 London schools.

    The files are searched in the folder ``school`` of scikit-learn's data home, then of the
    folder in the environment variable SKMTL_DATA, else downloaded (0.2 MB) to the former.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Data home. None: that of :func:`sklearn.datasets.get_data_home`.
    download_if_missing : bool, default=True
        If False, raise an OSError instead of downloading.
    return_X_y : bool, default=False
        Return the tuple (data, target) instead of a Bunch.
    as_frame : bool, default=False
        Return pandas objects instead of arrays of float64.

    Returns
    -------
    Bunch
        With ``data`` of shape (15362, 28), long form: the school (1 to 139), then the 27
        features of the files, without the constant; ``target`` of shape (15362,); ``frame``
        (both in a DataFrame, or None); ``feature_names``; ``target_name``; ``task_column``:
        "school" with ``as_frame``, else 0; ``splits``, five standard splits as a list of (train,
        test) row numbers, which can be passed as ``cv=``; and ``DESCR``, with the sources.

    Raises
    ------
    OSError
        If the files are missing and ``download_if_missing`` is False, or the download fails.

    Examples
    --------
    >>> from skmtl.datasets import fetch_school
    >>> X, y = fetch_school(return_X_y=True)  # doctest: +SKIP
    """
    folder = _find(Path(get_data_home(data_home)) / "school", download_if_missing)
    content = loadmat(folder / "school_b.mat")
    starts = content["task_indexes"].ravel().astype(int) - 1
    target = content["y"].ravel()
    school = np.searchsorted(starts, np.arange(len(target)), side="right")
    columns = {"school": school} | dict(zip(_FEATURES, content["x"].astype(int), strict=False))
    splits = []
    for name in _SPLITS:
        split = loadmat(folder / name)
        splits.append(tuple(split[part].ravel().astype(np.intp) - 1 for part in ("tr", "tst")))
    columns["exam_score"] = target
    more = {"splits": splits, "DESCR": _DESCR}
    return as_bunch(columns, return_X_y=return_X_y, as_frame=as_frame, **more)


def _find(home, download_if_missing):
    """Return the folder with all files, after a download if needed."""
    folders = [home]
    if "SKMTL_DATA" in os.environ:
        folders.append(Path(os.environ["SKMTL_DATA"]) / "school")
    for folder in folders:
        if all((folder / name).is_file() for name in _SHA256):
            return folder
    if not download_if_missing:
        raise OSError(
            "Data not found and `download_if_missing` is False. Looked for the School data in "
            f"{' and '.join(map(str, folders))}."
        )
    home.mkdir(exist_ok=True)
    for name, sha256 in _SHA256.items():
        fetch_file(_URL + name, folder=home, local_filename=name, sha256=sha256)
    return home
