"""The API pages: public names, their methods and attributes, groups of the sidebar."""

import inspect
import re
from importlib import import_module

from docutils import nodes
from numpydoc.docscrape import NumpyDocString
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

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


def attributes(name):
    """Return the documented attributes of a class: name -> (heading, lines)."""
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


def setup(app):
    """Connect the event handlers."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", spell_out, priority=400)  # before numpydoc
    app.connect("missing-reference", resolve)
    app.add_transform(Captions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
