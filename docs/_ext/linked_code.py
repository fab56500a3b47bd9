"""Code that names a class or function of scikit-learn, numpy, scipy or pandas becomes a link."""

from docutils import nodes
from inventories import NAMES, SHORT
from sphinx.addnodes import pending_xref
from sphinx.transforms import SphinxTransform


class LinkedCode(SphinxTransform):
    """Link code such as ``GridSearchCV`` or ``numpy.ndarray``, but no name that is also ours."""

    default_priority = 600

    def apply(self):
        """Replace the code by a reference, which intersphinx resolves."""
        for node in list(self.document.findall(nodes.literal)):
            name = node.astext()
            target = name if name in NAMES else SHORT.get(name)
            linked = isinstance(node.parent, nodes.title | nodes.reference | pending_xref)
            if target is None or name in self.config.skmtl_names or linked:
                continue
            reference = pending_xref(
                "", refdomain="py", reftype="obj", reftarget=target, refdoc=self.env.docname
            )
            node.replace_self(reference)
            reference += node


def setup(app):
    """Register the transform."""
    app.add_config_value("skmtl_names", [], "env")
    app.add_transform(LinkedCode)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
