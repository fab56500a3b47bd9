"""Public signatures have types, and a checker reads them as users do."""

import importlib
import inspect
import pydoc
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

from skmtl import MeanRegularizedRegressor

PUBLIC = ["", ".penalties", ".model_selection", ".metrics", ".inspection", ".pipeline", ".datasets"]
ROOT = Path(__file__).parent
# What a Problem asks of a penalty: not called by users.
INNER = {
    *("Coefficients", "GraphCoupling", "MeanCoupling", "NestedCoupling", "Nesting"),
    *("Penalty", "Split", "StructuredPenalty", "sums_of_members"),
}
INNER |= {"Term", "read_graph"}


def public_functions():
    """Yield the name and function of all that users call, methods of public classes among them."""
    for place in PUBLIC:
        module = importlib.import_module(f"skmtl{place}")
        for name in sorted(set(module.__all__) - INNER):
            found = getattr(module, name)
            if inspect.isfunction(found):
                yield name, found
            elif inspect.isclass(found):
                for owner in found.__mro__:
                    if owner.__module__.startswith("skmtl."):
                        for key, method in vars(owner).items():
                            method = getattr(method, "__func__", method)
                            if inspect.isfunction(method) and not key.startswith("_"):
                                yield f"{name}.{key}", inspect.unwrap(method)
                if "__init__" in vars(found):
                    yield f"{name}.__init__", found.__init__


FUNCTIONS = dict(public_functions())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_signatures_are_typed(name):
    signature = inspect.signature(FUNCTIONS[name])
    bare = [
        p.name
        for p in signature.parameters.values()
        if p.annotation is p.empty and p.name not in ("self", "cls")
    ]
    assert not bare
    assert signature.return_annotation is not signature.empty
    assert len(str(signature)) < 600  # names of types, not what they stand for
    assert get_type_hints(FUNCTIONS[name])  # which tools can still resolve


def test_help_is_short():
    page = pydoc.render_doc(MeanRegularizedRegressor, renderer=pydoc.plaintext)
    assert "alpha_intercept: 'PenaltyWeight' = None" in page
    assert "fit(self, X: 'ArrayLike', y: 'ArrayLike'" in page
    assert "_SupportsArray" not in page


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--strict", str(ROOT / "typed_use.py")], id="as users write"),
        pytest.param(["-p", "skmtl"], id="inside", marks=pytest.mark.slow),
    ],
)
def test_a_checker_is_content(arguments, tmp_path):
    api = pytest.importorskip("mypy.api", reason="mypy is not installed: pip install mypy")
    options = ["--ignore-missing-imports", "--follow-imports=silent", f"--cache-dir={tmp_path}"]
    output, errors, status = api.run([*options, *arguments])
    assert status == 0, output + errors


def test_import_of_the_package_is_enough():
    """Public modules are reachable, and nothing else is listed."""
    code = """
import sys, skmtl
assert "skmtl.inspection" not in sys.modules  # a fit does not wait for it
for name in ("datasets", "inspection", "metrics", "model_selection", "penalties", "pipeline"):
    assert getattr(skmtl, name).__name__ == f"skmtl.{name}"
    assert name in dir(skmtl)
assert not [name for name in dir(skmtl) if name.startswith("_") and name != "__version__"]
assert not hasattr(skmtl, "plotting")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
