"""Code that is the name of a class or function, such as ``numpy.ndarray``, becomes a link."""

from docutils import nodes
from inventories import NAMES, SHORT
from reference import PUBLIC
from sphinx.addnodes import pending_xref
from sphinx.transforms import SphinxTransform


class LinkedCode(SphinxTransform):
    """Link ``skmtl.alpha_max``, ``numpy.ndarray``, and short names of scikit-learn only."""

    default_priority = 600

    def apply(self):
        """Replace the code by a reference, which intersphinx resolves."""
        for node in list(self.document.findall(nodes.literal)):
            name = node.astext()
            short = None if name in PUBLIC else SHORT.get(name)
            target = name if name in NAMES or name in PUBLIC.values() else short
            if not target or isinstance(node.parent, nodes.title | nodes.reference | pending_xref):
                continue
            reference = pending_xref(
                "", refdomain="py", reftype="obj", reftarget=target, refdoc=self.env.docname
            )
            node.replace_self(reference)
            reference += node


def setup(app):
    """Register the transform."""
    app.add_transform(LinkedCode)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
