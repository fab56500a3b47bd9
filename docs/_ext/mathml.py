"""Formulas as MathML: set by the browser, without scripts and without a server."""

import re

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

# Names that latex2mathml writes without a space, and what gets the wrong space or size.
MENDED = (
    (r"<mi>(log|exp)</mi>(?=<m[isn])", r'<mi>\1</mi><mspace width="0.167em" />'),
    (r"<mi>&#x0007E;</mi>", "<mo>&#x0223C;</mo>"),  # \sim
    (r'<mo stretchy="true">&#x000AF;', '<mo stretchy="false">&#x000AF;'),  # \bar
)


def mathml(latex, display):
    """Return the MathML of a formula."""
    text = convert(latex, display=display)
    for wrong, right in MENDED:
        text = re.sub(wrong, right, text)
    return text


def visit_inline(self, node):
    """Write a formula within a line."""
    self.body.append(mathml(node.astext(), "inline"))
    raise SkipNode


def visit_display(self, node):
    """Write a formula on lines of its own."""
    self.body.append(f'<div class="math">{mathml(node.astext(), "block")}</div>\n')
    raise SkipNode


def setup(app):
    """Register the renderer, which ``html_math_renderer = "mathml"`` chooses."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
