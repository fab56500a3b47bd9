"""Links from the HTML representation of estimators to their pages in the documentation."""

import sys
from importlib import metadata
from itertools import takewhile


def documentation_url():
    """Return the address of the documentation that the installed package declares, or ""."""
    try:
        urls = metadata.metadata("skmtl").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:  # a source tree
        urls = []
    found = dict(url.split(", ", 1) for url in urls)
    return found.get("Documentation", "").rstrip("/")


class DocLinkMixin:
    """Set what scikit-learn makes the links of; there are none without an address."""

    @property
    def _doc_link_module(self):
        return "skmtl" if documentation_url() else None

    @property
    def _doc_link_template(self):
        return documentation_url() + "/generated/{module}.{name}.html"

    def _doc_link_url_param_generator(self):
        name, parts = type(self).__name__, type(self).__module__.split(".")
        public = ".".join(takewhile(lambda part: not part.startswith("_"), parts))
        return {"module": "skmtl" if hasattr(sys.modules["skmtl"], name) else public, "name": name}
