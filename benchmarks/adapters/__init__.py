"""Adapters of the libraries: one module for each, loaded if the library can be imported."""

import importlib

# Library: the module of its adapter, and how to install its requirements.
LIBRARIES = {
    "skmtl": ("ours", "pip install skmtl"),
    "scikit-learn": ("scikit_learn", "pip install scikit-learn"),
    "skglm": ("skglm", "pip install skglm"),
    "himalaya": ("himalaya", "pip install himalaya"),
    "statsmodels": ("statsmodels", "pip install statsmodels pandas"),
    "adelie": (
        "adelie",
        "pip install --no-deps adelie && pip install tqdm ipython (adelie pins numpy < 2)",
    ),
    "ptlasso": (
        "ptlasso",
        "pip install --no-deps ptlasso adelie && pip install matplotlib tqdm ipython "
        "(adelie pins numpy < 2)",
    ),
    "scikit-lego": ("sklego", "pip install scikit-lego"),
}


def load(library):
    """Return the adapter of a library, or a str with the reason if it is not available."""
    module, install = LIBRARIES[library]
    try:
        return importlib.import_module(f"benchmarks.adapters.{module}")
    except ImportError as error:
        return f"cannot be imported ({error}); {install}"


def load_all(libraries=None):
    """Return the available adapters, and the reasons of the others, dicts by library."""
    found = {name: load(name) for name in libraries or LIBRARIES}
    reasons = {name: adapter for name, adapter in found.items() if isinstance(adapter, str)}
    return {name: adapter for name, adapter in found.items() if name not in reasons}, reasons
