"""Machine, versions and settings of a run."""

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path

from threadpoolctl import threadpool_info

import skmtl

PACKAGES = (
    "skmtl",
    "numpy",
    "scipy",
    "numba",
    "scikit-learn",
    "skglm",
    "himalaya",
    "statsmodels",
    "adelie",
    "ptlasso",
    "scikit-lego",
)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def commit():
    """Return the commit, with "-changed" if files other than results differ from it."""
    folder = Path(__file__).parent

    def git(*words):
        run = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True)
        return run.stdout.strip() if run.returncode == 0 else ""

    name = git("rev-parse", "--short=10", "HEAD") or "unknown"
    changed = git("status", "--porcelain", "--untracked-files=no", "--", "..", ":!results")
    return name + ("-changed" if changed else "")


def version(package):
    """Return the version of a package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def cpu():
    """Return the model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def load():
    """Return the load average of the last minute."""
    return round(os.getloadavg()[0], 2)


def describe(first_use, limits):
    """Return the environment of this run as a dict for json."""
    libraries = threadpool_info()
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "load_at_start": load(),
        "versions": {name: version(name) for name in PACKAGES} | {"skmtl": skmtl.__version__},
        "blas": sorted(
            {
                f"{found['internal_api']} {found['version']}, {found['num_threads']} threads"
                for found in libraries
            }
        ),
        "thread_settings": {name: os.environ[name] for name in THREADS if name in os.environ},
        "first_use_seconds": first_use,
        **limits,
    }


def write(path, first_use, limits):
    """Write the environment of this run; first-use seconds of other libraries are kept."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found = describe({**known.get("first_use_seconds", {}), **first_use}, limits)
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
