"""Where the real data are that the package does not ship."""

import os
from pathlib import Path

import pytest


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
