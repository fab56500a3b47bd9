"""The version of the package, kept in saved models."""

from skmtl._warn import warn

__version__ = "0.2.0"


class VersionedStateMixin:
    """Keep the version in the state of an estimator; warn if that of another version is loaded."""

    def __getstate__(self):
        return {**super().__getstate__(), "_skmtl_version": __version__}

    def __setstate__(self, state):
        saved = state.pop("_skmtl_version", "0.1.0")  # which did not keep it
        if saved != __version__:
            warn(
                f"This {type(self).__name__} was saved by skmtl {saved} and is loaded by "
                f"{__version__}: its predictions may fail or differ. Fit it again, or install "
                f"skmtl=={saved}."
            )
        super().__setstate__(state)
