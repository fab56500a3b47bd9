"""The radon data, included in the package."""

from __future__ import annotations

import csv
from importlib.resources import files
from typing import Any

from skmtl.datasets._base import as_bunch


def load_radon(*, return_X_y: bool = False, as_frame: bool = False) -> Any:
    """Load the radon data: 919 houses in 85 counties of Minnesota, 1 to 116 per county.

    The task is the county; the target is the logarithm of the radon level; the features are
    the floor of the measurement (0 = basement) and the logarithm of the county's soil uranium.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return the tuple (data, target) instead of a Bunch.
    as_frame : bool, default=False
        Return pandas objects. Otherwise data is an array of objects.

    Returns
    -------
    Bunch
        With ``data`` of shape (919, 3), long form: county, floor, log_uranium; ``target`` of
        shape (919,); ``frame`` (both in a DataFrame, or None); ``feature_names``;
        ``target_name``; ``task_column``, to be passed to an estimator: "county" with
        ``as_frame``, else 0; and ``DESCR``, with the sources and the license.

    Examples
    --------
    >>> from skmtl.datasets import load_radon
    >>> radon = load_radon()
    >>> radon.data.shape, radon.feature_names, radon.task_column
    ((919, 3), ['county', 'floor', 'log_uranium'], 0)
    """
    folder = files("skmtl.datasets") / "data"
    with (folder / "radon.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = {"county": [row["county"] for row in rows]}
    for name in ("floor", "log_uranium", "log_radon"):
        columns[name] = [float(row[name]) for row in rows]
    text = (folder / "radon_SOURCE.txt").read_text(encoding="utf-8")
    return as_bunch(columns, return_X_y=return_X_y, as_frame=as_frame, DESCR=text)
