"""Configuration of Sphinx: ``sphinx-build -W --keep-going docs build/docs``."""

import inspect
import re
from importlib import import_module

import skmtl

project = "skmtl"
author = "the skmtl developers"
copyright = author  # noqa: A001
release = version = skmtl.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["examples", "_templates"]
templates_path = ["_templates"]
default_role = "py:obj"
highlight_language = "none"  # literal blocks are formulas

# Formulas are text and code; without mathjax and intersphinx nothing is fetched from a server.
html_theme = "pydata_sphinx_theme"
html_title = "skmtl"
html_static_path = ["_static"]
html_css_files = ["skmtl.css", "flow.css"]
html_favicon = "_static/logo.svg"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "skmtl", "image_light": "_static/logo.svg", "image_dark": "_static/logo.svg"},
    "navbar_align": "left",
    "navigation_depth": 2,
    "show_prev_next": True,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {page: [] for page in ("index", "changelog", "contributing")}

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skmtl",),
    "reference_url": {"skmtl": None},
    "within_subsection_order": "FileNameSortKey",
    "image_srcset": ["2x"],
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "download_all_examples": False,
}

# The API ------------------------------------------------------------------------------------------

MODULES = [
    import_module(name)
    for name in (
        "skmtl",
        "skmtl.dask",
        "skmtl.datasets",
        "skmtl.inspection",
        "skmtl.losses",
        "skmtl.metrics",
        "skmtl.model_selection",
        "skmtl.penalties",
        "skmtl.pipeline",
        "skmtl.solvers",
    )
]
PUBLIC = {
    name: f"{module.__name__}.{name}"
    for module in MODULES
    for name, item in vars(module).items()
    if not name.startswith("_")
    and (
        name in getattr(module, "__all__", ()) or getattr(item, "__module__", "") == module.__name__
    )
}


PARTS = ("skmtl.losses", "skmtl.penalties", "skmtl.solvers")


def methods(path):
    """Return the methods defined in skmtl; for the building blocks, those of the class itself."""
    module, name = path.rsplit(".", 1)
    item = getattr(import_module(module), name)
    names = [] if not inspect.isclass(item) else [n for n in dir(item) if not n.startswith("_")]
    if module in PARTS:
        names = [n for n in names if n in vars(item)]
    found = {n: getattr(item, n) for n in names}
    functions = {n: inspect.unwrap(getattr(f, "__func__", f)) for n, f in found.items()}
    return [n for n, f in functions.items() if inspect.isfunction(f) and _is_own(f)]


def _is_own(item):
    return item.__module__.startswith("skmtl")


autosummary_context = {"skmtl_methods": {path: methods(path) for path in PUBLIC.values()}}
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
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
nitpick_ignore_regex = [(r"py:.*", r"sklearn\..*")]


def attributes(name):
    """Return the documented attributes of a class: name -> (heading, lines)."""
    from numpydoc.docscrape import NumpyDocString

    found = {}
    module, _, kind = PUBLIC[name].rpartition(".")
    for names, unit, lines in NumpyDocString(inspect.getdoc(getattr(import_module(module), kind)))[
        "Attributes"
    ]:
        reference = re.match(r"As in `(\w+)`", lines[0])
        for attribute in names.split(", "):
            found[attribute] = (
                attributes(reference[1])[attribute]
                if reference
                else (f"{attribute} : {unit}", lines)
            )
    return found


def spell_out(app, what, name, obj, options, lines):
    """Replace "a_, b_: as in `Other`" by the entries of the other class."""
    for i in range(len(lines) - 2, -1, -1):
        reference = re.match(r" +As in `(\w+)`\.$", lines[i + 1])
        if what == "class" and reference and re.match(r"\w+_(, \w+_)*$", lines[i]):
            described = attributes(reference[1])
            entries = [described[attribute] for attribute in lines[i].split(", ")]
            lines[i : i + 2] = [
                line for head, text in entries for line in (head, *(f"    {t}" for t in text))
            ]


def resolve(app, env, node, contnode):
    """Resolve a reference to a public name without its module."""
    path = PUBLIC.get(node.get("reftarget", "").removeprefix("skmtl."))
    if path and node.get("refdomain") == "py" and node["reftarget"] != path:
        domain, source = env.get_domain("py"), node["refdoc"]
        return domain.resolve_xref(env, source, app.builder, "obj", path, node, contnode)
    return None


def links(app, page, source):
    """Replace links within the repository by links within the site."""
    # The empty line at the end of a block is for doctest.
    source[0] = re.sub(r"(?ms)^(```python\n.*?)\n+```$", r"\1\n```", source[0])
    for name in set(re.findall(r"\]\(api\.md#(\w+)\)", source[0])) & set(PUBLIC):
        source[0] = source[0].replace(f"](api.md#{name})", f"](generated/{PUBLIC[name]}.rst)")
    source[0] = re.sub(r"\]\(examples/(plot_\w+)\.py\)", r"](auto_examples/\1.rst)", source[0])
    source[0] = re.sub(
        r"\]\(\.\./(CHANGELOG|CONTRIBUTING)\.md", lambda m: f"]({m[1].lower()}.md", source[0]
    )
    source[0] = source[0].replace("](../README.md", "](index.md")


def setup(app):
    """Connect the event handlers."""
    app.connect("autodoc-process-docstring", spell_out, priority=400)  # before numpydoc
    app.connect("missing-reference", resolve)
    app.connect("source-read", links)
