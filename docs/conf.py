"""Configuration of Sphinx: ``sphinx-build -W --keep-going docs build/docs``."""

import re
import sys
import tomllib
from pathlib import Path

from numpydoc.xref import DEFAULT_LINKS
from sphinx_gallery.sorting import FunctionSortKey

import skmtl

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
from inventories import write_inventories
from reference import PUBLIC, inherited, methods

project = "skmtl"
author = "the skmtl developers"
copyright = author  # noqa: A001
release = version = skmtl.__version__
URLS = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))[
    "project"
]["urls"]

extensions = [
    "linked_code",
    "mathml",
    "reference",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["examples", "_ext", "_inventories", "_templates"]
templates_path = ["_templates"]
default_role = "py:obj"
highlight_language = "none"

# Nothing is fetched from a server, by the build or by a page: formulas are MathML, and the
# inventories of other packages are written here.
html_math_renderer = "mathml"
intersphinx_mapping = write_inventories()

html_theme = "pydata_sphinx_theme"
html_title = "skmtl"
html_static_path = ["_static"]
html_css_files = ["skmtl.css", "flow.css"]
html_favicon = "_static/logo.svg"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "skmtl", "image_light": "_static/logo.svg", "image_dark": "_static/logo.svg"},
    "github_url": URLS["Source"],
    "use_edit_page_button": True,
    "navbar_align": "left",
    "navigation_depth": 3,
    "show_prev_next": True,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "navbar_end": ["version", "theme-switcher", "navbar-icon-links"],
    "secondary_sidebar_items": ["page-toc", "edit"],
}
# Pages of the gallery are written from scripts, and two pages from files of the root.
html_context = {
    "edit_page_provider_name": "GitHub",
    "edit_page_url_template": URLS["Source"]
    + "/edit/main/{{ {'changelog.md': 'CHANGELOG.md', 'contributing.md': 'CONTRIBUTING.md',"
    " 'auto_examples/index.rst': 'docs/examples/GALLERY_HEADER.rst'}.get(file_name)"
    " or 'docs/' + file_name.replace('auto_examples/', 'examples/').replace('.rst', '.py') }}",
}
html_sidebars = {page: [] for page in ("index", "changelog", "contributing")}

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"

# From first steps to special cases.
EXAMPLES = [
    f"plot_{name}.py"
    for name in (
        "radon", "sales", "districts", "missing_targets", "nested", "tuning", "intervals",
        "radon_action_level", "structures", "mixed_outcomes", "text_domains", "digits_few_shot",
        "beyond_linear", "out_of_core",
    )
]  # fmt: skip
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skmtl",),
    "reference_url": {"skmtl": None},
    "within_subsection_order": FunctionSortKey(EXAMPLES.index),
    "image_srcset": ["2x"],
    "thumbnail_size": (560, 392),
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "download_all_examples": False,
}

# The API ------------------------------------------------------------------------------------------

autosummary_context = {
    "skmtl_methods": {path: methods(path) for path in PUBLIC.values()},
    "skmtl_inherited": {path: inherited(path) for path in PUBLIC.values()},
}
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"  # except for these names; words such as "float" need no link
DEFAULT_LINKS.clear()
numpydoc_xref_aliases = {"DataFrame": "pandas.DataFrame", "Series": "pandas.Series"} | {
    name: path for name, path in PUBLIC.items() if name[0].isupper()
}
# Checks of the API pages; methods of building blocks are documented in their base class only.
numpydoc_validation_checks = {
    "GL05", "GL06", "GL07", "GL08", "GL09", "GL10", "SS01", "SS02", "SS03", "SS04", "SS05",
    "PR01", "PR02", "PR03", "PR04", "PR05", "PR06", "PR07", "PR08", "PR09", "PR10",
    "RT01", "RT03", "RT04", "RT05",
}  # fmt: skip
numpydoc_validation_exclude = {
    r"skmtl\.(losses|penalties|solvers)\.(?!TaskPenalty|Loss\.)\w+\.",
    r"skmtl\.penalties\.(Coefficients|GraphPenalty|Split|Term)$",
    r"skmtl\.solvers\.",
}
nitpicky = True


def links(app, page, source):
    """Replace links within the repository by links within the site."""
    # The empty line at the end of a block is for doctest.
    source[0] = re.sub(r"(?ms)^(```python\n.*?)\n+```$", r"\1\n```", source[0])
    source[0] = re.sub(
        r"\]\(((?:\.\./)*)(?:api\.md#(\w+)|examples/(plot_\w+)\.py|(README|CHANGELOG|CONTRIBUTING)\.md)",
        _within,
        source[0],
    )


def _within(link):
    up, name, example, file = link.groups()
    if name in PUBLIC:
        return f"]({up}generated/{PUBLIC[name]}.rst"
    if example:
        return f"]({up}auto_examples/{example}.rst"
    if file and up:
        page = "index" if file == "README" else file.lower()
        return f"]({up.removeprefix('../')}{page}.md"
    return link[0]


def setup(app):
    """Connect the event handler."""
    app.connect("source-read", links)
