"""Imports run one way; files and functions stay small."""

import ast
from pathlib import Path

import pytest

import skmtl

ROOT = Path(skmtl.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))

# A part imports only parts that stand before it.
ORDER = [
    "_typing",
    "_warn",
    "_version",
    "_table",
    "_callbacks",
    "_doc_link",
    "_jobs",
    "_kernels",
    "_sparse_kernels",
    "_likelihood_kernels",
    "_lane_kernels",
    "_optimality_kernels",
    "_evidence_kernels",
    "_descent_kernels",
    "_prox_kernels",
    "_memory",
    "_threads",
    "_linalg",
    "_optimize",
    "datasets",
    "losses",
    "data",
    "penalties",
    "problem",
    "arrowhead",
    "solvers",
    "fitting",
    "tuning",
    "linear_model",
    "_metrics",
    "_scores",
    "_mixed_scores",
    "metrics",
    "model_selection",
    "inspection",
    "pipeline",
    "dask",
]


# Private names that belong to Python and scikit-learn.
FOREIGN = {"_replace", "_asdict", "_getframe", "_init_callback_context"}


def part_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path):
    """Yield the dotted name of everything a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_every_part_is_known():
    assert {part_of(path) for path in FILES} - {"__init__"} == set(ORDER)


@every_file
def test_imports_run_one_way(path):
    part = part_of(path)
    if part == "__init__":
        return
    own = {name.split(".")[1] for name in imports(path) if name.startswith("skmtl.")}
    assert own <= set(ORDER[: ORDER.index(part) + 1])
    outside = {name.split(".")[0] for name in imports(path)}
    assert "numba" not in outside or part == "_kernels"
    assert "narwhals" not in outside or part == "data"
    assert not {"pandas", "polars", "matplotlib"} & set(module_level(path))


@every_file
def test_parts_meet_at_their_doors(path):
    """A folder is imported as such: what its ``__init__`` does not name stays its own."""
    for name in imports(path):
        package, _, rest = name.partition(".")
        folder, _, inside = rest.partition(".")
        if package == "skmtl" and folder != part_of(path) and (ROOT / folder).is_dir():
            assert not (ROOT / folder / f"{inside.split('.')[0]}.py").is_file(), name


def module_level(path):
    """What is imported whenever the file is, and not inside a function."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


@every_file
def test_no_private_scikit_learn(path):
    private = [
        name
        for name in imports(path)
        if name.startswith("sklearn.") and any(p.startswith("_") for p in name.split("."))
    ]
    assert not private


@every_file
def test_sizes(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            first = node.body[0]
            start = first.end_lineno if ast.get_docstring(node) is not None else node.lineno - 1
            assert node.end_lineno - start <= 60, node.name


def test_imports_form_no_circle():
    """Neither those of modules nor those inside functions."""
    names = {".".join(("skmtl", *p.relative_to(ROOT).with_suffix("").parts)): p for p in FILES}
    graph = {}
    for name, path in names.items():
        found = {target.rpartition(".")[0] for target in imports(path)} | set(imports(path))
        graph[name.removesuffix(".__init__")] = {target for target in found if target in names}
    done = set()

    def visit(name, trail):
        assert name not in trail, " -> ".join([*trail, name])
        if name not in done:
            for target in sorted(graph[name]):
                visit(target, [*trail, name])
            done.add(name)

    for name in graph:
        visit(name, [])


def private_names(tree):
    """Yield the names that a file defines, as functions, classes, variables or attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def test_private_attributes_stay_in_their_folder():
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
    own = {}
    for path, tree in trees.items():
        own.setdefault(part_of(path), set()).update(private_names(tree))
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
                mine = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
                if not mine and not node.attr.startswith("__") and node.attr not in FOREIGN:
                    assert node.attr in own[part_of(path)], f"{path}:{node.lineno} {node.attr}"


@every_file
def test_classes_are_small(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            methods = [item for item in node.body if isinstance(item, ast.FunctionDef)]
            assert len(methods) <= 20, node.name
