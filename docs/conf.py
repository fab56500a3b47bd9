"""Configuration of Sphinx: ``sphinx-build -W --keep-going docs build/docs``."""

import inspect
import re
import sys
import tomllib
from importlib import import_module
from pathlib import Path

from docutils import nodes
from numpydoc.xref import DEFAULT_LINKS
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

import skmtl

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
from inventories import write_inventories

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


def inherited(path):
    """Return methods of an estimator that scikit-learn defines: signature and first sentence."""
    module, name = path.rsplit(".", 1)
    item, entries = getattr(import_module(module), name), []
    for method in dir(item) if hasattr(item, "get_params") and module not in PARTS else ():
        function = getattr(item, method)
        if method.startswith("_") or not callable(function) or _is_own(inspect.unwrap(function)):
            continue
        parameters = [
            parameter.replace(annotation=parameter.empty)
            for parameter in inspect.signature(function).parameters.values()
            if parameter.name != "self"
        ]
        text = re.sub(r":\w+:`(.*?) <.*?>`", r"\1", inspect.getdoc(function).splitlines()[0])
        signature = str(inspect.Signature(parameters)).replace("='$UNCHANGED$'", "")
        entries.append((method + signature, text))
    return entries


def _is_own(item):
    return item.__module__.startswith("skmtl")


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
skmtl_names = PUBLIC


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


class Captions(SphinxTransform):
    """Name the groups of the sidebar by the sections of the API pages."""

    default_priority = 700

    def apply(self):
        """Set the caption of the first toctree of each section."""
        if self.env.docname.startswith("api"):
            for section in self.document.findall(nodes.section):
                toctrees = [
                    tree for tree in section.findall(addnodes.toctree) if _section(tree) is section
                ]
                if toctrees and not isinstance(section.parent, nodes.document):
                    toctrees[0]["caption"] = toctrees[0]["rawcaption"] = section[0].astext()


def _section(node):
    while not isinstance(node, nodes.section):
        node = node.parent
    return node


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
    app.add_transform(Captions)
    app.connect("source-read", links)
