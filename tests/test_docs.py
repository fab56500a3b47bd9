"""The documentation: its examples are run, its links lead somewhere, its reference is complete."""

import doctest
import importlib
import inspect
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skmtl import ADMMRegressor, alpha_max
from skmtl.penalties import L21
from tests.penalties import test_penalties as generic

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *DOCS.glob("*.md"), *DOCS.glob("coming_from/*.md")])
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def without_code(text):
    """Return the text of a page without fenced blocks and code spans."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"(?ms)^(`{3,})\w*.*?^\1$", "", text))


def anchors(page):
    """Return what GitHub calls the headings of a page."""
    headings = re.findall(
        r"(?m)^#+ (.*)$", re.sub(r"(?ms)^```.*?^```$", "", page.read_text("utf-8"))
    )
    names = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return names | ({name for _, name in public_names()} if page.name == "api.md" else set())


# Pages ------------------------------------------------------------------------------------------


@pages
def test_blocks_of_python_are_run(page):
    """A block without prompts is not run; one without an empty line at its end swallows text."""
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```$", page.read_text("utf-8"))
    for block in blocks:
        examples = doctest.DocTestParser().get_examples(block)
        assert examples, f"no prompt in\n{block}"
        assert block.startswith(">>> "), f"what is before the first prompt is not run in\n{block}"
        assert not any("```" in example.want for example in examples), "an empty line is missing"
        assert block.endswith("\n\n") or not examples[-1].want, f"end with an empty line\n{block}"


@pages
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text("utf-8")))
    targets += re.findall(
        r"(?m)^(?:```|:::)\{(?:include|literalinclude|image)\} (\S+)$", page.read_text("utf-8")
    )
    for target in targets:
        path, _, anchor = target.partition("#")
        if path.startswith(("http://", "https://")):
            continue
        there = (page.parent / path) if path else page
        assert there.exists(), target
        assert ROOT in there.resolve().parents, f"{target} is not in the repository"
        assert not anchor or anchor in anchors(there), target


def test_numbers_of_the_first_page_are_those_of_the_pages_that_compute_them():
    """Each number of a card stands on the page that the card links to, or in what it includes."""
    cards = re.findall(
        r"(?ms)^:::\{grid-item-card\} ([^\n]*)\n:link: (\w+)\n(.*?)^:::$",
        (DOCS / "index.md").read_text("utf-8"),
    )
    assert len(cards) == 3
    for title, page, text in cards:
        there = (DOCS / f"{page}.md").read_text("utf-8")
        for included in re.findall(r"(?m)^```\{include\} (\S+)$", there):
            there += (DOCS / included).read_text("utf-8")
        numbers = re.findall(r"(?<!\w)\d[\d.,]*\d(?: ms)?", title + "\n" + text)
        assert numbers
        for number in numbers:
            assert re.search(rf"(?<![\d.,]){re.escape(number)}(?!\d)", there), number


def test_every_page_is_in_a_table_of_contents():
    listed = []
    for page in ("index.md", "guide.md", "api.md"):
        for block in re.findall(
            r"(?ms)^```\{toctree\}\n(.*?)^```$", (DOCS / page).read_text("utf-8")
        ):
            listed += [line for line in block.splitlines() if line and line[0] != ":"]
    pages = [name for name in listed if "/" not in name]
    assert len(set(pages)) == len(pages)
    assert {f"{name}.md" for name in pages} == {page.name for page in DOCS.glob("*.md")} - {
        "index.md"
    }


# Reference --------------------------------------------------------------------------------------


def public_names():
    for module in (
        "skmtl",
        "skmtl.dask",
        "skmtl.datasets",
        "skmtl.inspection",
        "skmtl.metrics",
        "skmtl.model_selection",
        "skmtl.penalties",
        "skmtl.pipeline",
    ):
        there = importlib.import_module(module)
        own = [
            name
            for name, item in vars(there).items()
            if not name.startswith("_") and getattr(item, "__module__", "") == module
        ]
        for name in getattr(there, "__all__", own):
            if name != "__version__":
                yield module, name


def test_the_reference_has_every_public_name_once():
    module, found = None, []
    text = "".join(
        (DOCS / page).read_text("utf-8") for page in ("api.md", "api_building_blocks.md")
    )
    for line in text.splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.split()[-1]
        name = re.match(r"   (\w+)$|\.\. py:data:: (\w+)$", line)
        if name:
            found.append((module, name[1] or name[2]))
    parts = [entry for entry in found if entry[0] in ("skmtl.losses", "skmtl.solvers")]
    assert all(hasattr(importlib.import_module(module), name) for module, name in parts)
    assert len(set(parts)) == len(parts)
    assert sorted(set(found) - set(parts)) == sorted(public_names())
    assert len(set(found)) == len(found)


def test_the_parameters_of_estimators_are_described():
    """Each with its default, as the signature has it."""
    for module, name in public_names():
        item = getattr(importlib.import_module(module), name)
        if not inspect.isclass(item) or not hasattr(item, "get_params"):
            continue
        text = inspect.getdoc(item)
        for parameter in inspect.signature(item).parameters.values():
            if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                continue
            entry = re.search(rf"(?m)^(?:\w+, )*{parameter.name}(?:, \w+)* : (.*)$", text)
            assert entry, f"{name}: {parameter.name}"
            default = re.search(r"default=(.*)$", entry[1])
            if parameter.default is parameter.empty:
                assert default is None, f"{name}: {parameter.name} has no default"
            else:
                said = eval(default[1], {"inf": np.inf})
                assert said == parameter.default, f"{name}: {parameter.name}"


def test_names_of_other_packages_exist():
    """Those whose links are written without network: a wrong one would lead nowhere."""
    inventories = runpy.run_path(str(DOCS / "_ext" / "inventories.py"))
    for name in inventories["NAMES"]:
        module, _, item = name.rpartition(".")
        assert hasattr(importlib.import_module(module), item), name


# The penalty of docs/extending.md: what is asked of those of the package ------------------------


def load():
    spec = importlib.util.spec_from_file_location("group_l21", DOCS / "extending" / "group_l21.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.GroupL21


GroupL21 = load()


def grouped(d, alpha=1.0):
    """Return the penalty with groups of different sizes, not in a row: 0, 1, 2, 0, 0, ..."""
    return GroupL21([j % 3 if j < 4 else 0 for j in range(d)], alpha)


@pytest.mark.parametrize("step", [1e-6, 0.5, 2.0, 50.0])
@generic.shapes
def test_own_prox_satisfies_its_inequality(shape, step):
    generic.test_prox_satisfies_its_inequality(grouped(shape[1], 0.7), shape, step)


@generic.shapes
def test_own_prox_has_its_limits(shape):
    generic.test_a_step_of_zero_changes_nothing(grouped(shape[1]), shape)
    for Z in generic.matrices(shape):
        assert not grouped(shape[1]).prox(Z, np.inf).any()
        assert_array_equal(grouped(shape[1], 0.0).prox(Z, np.inf), Z)


@generic.shapes
def test_own_value_is_its_formula(shape):
    for W in generic.matrices(shape):
        penalty = grouped(shape[1], 2.0)
        groups = np.array(penalty.groups)
        norms = [
            np.sqrt((groups == g).sum()) * np.sqrt((W[:, groups == g] ** 2).sum())
            for g in set(penalty.groups)
        ]
        assert_allclose(penalty.value(W), 2.0 * sum(norms), rtol=1e-13)
        alone = GroupL21(range(shape[1]), 2.0)
        assert_allclose(alone.value(W), L21(2.0).value(W), rtol=1e-13)
        assert_allclose(alone.prox(W, 0.3), L21(2.0).prox(W, 0.3), rtol=1e-13, atol=1e-15)


@generic.shapes
def test_own_prox_derivative_is_a_finite_difference(shape):
    T, d = shape
    penalty = grouped(d, 0.5)
    generic.test_prox_derivative_is_a_finite_difference(penalty, shape)
    Z = 2 * np.random.default_rng(1).normal(size=shape)
    product, blocks = penalty.prox_derivative(Z, 0.6)
    for t in range(T):
        for j in range(d):
            D = np.zeros(shape)
            D[t, j] = 1.0
            assert_allclose(product(D)[t], blocks[t, j], rtol=0, atol=1e-14)


def test_own_dual_norm_is_the_largest_product():
    cp = pytest.importorskip("cvxpy")
    penalty = grouped(5, 2.0)
    groups = np.array(penalty.groups)
    for G in generic.matrices((4, 5))[:2]:
        W = cp.Variable(G.shape)
        norm = sum(
            np.sqrt((groups == g).sum()) * cp.norm(W[:, np.flatnonzero(groups == g)], "fro")
            for g in set(penalty.groups)
        )
        largest = cp.Problem(cp.Maximize(cp.sum(cp.multiply(G, W))), [2.0 * norm <= 1])
        expected = largest.solve(solver="CLARABEL", **generic.TIGHT)
        assert_allclose(penalty.dual_norm(G), expected, rtol=1e-7)
    assert penalty.dual_norm(np.zeros((4, 5))) == 0


def test_own_penalty_fits():
    """Next to alpha_max nothing is left; L21 is the case of groups of one; groups stay whole."""
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(4), 30)
    X = rng.normal(size=(120, 6))
    W = rng.normal(size=(4, 6)) * [1, 1, 0, 0, 0, 0]
    y = (X * W[task]).sum(axis=1) + rng.normal(size=120)
    rows = np.column_stack([task, X])
    model = ADMMRegressor(GroupL21(list("aabbcc")), task_column=0)
    largest = alpha_max(model, rows, y)
    assert not clone(model).set_params(alpha=1.001 * largest).fit(rows, y).coef_.any()
    assert clone(model).set_params(alpha=0.999 * largest).fit(rows, y).coef_.any()
    found = clone(model).set_params(alpha=0.3 * largest).fit(rows, y)
    assert found.optimality_ <= 1e-8
    assert_array_equal(found.structure_.selected_groups, ["a"])
    assert_array_equal(found.coef_.any(axis=0), [True, True, False, False, False, False])
    alone = ADMMRegressor(GroupL21(range(6)), alpha=9.0, task_column=0).fit(rows, y)
    assert_allclose(
        alone.coef_, ADMMRegressor("l21", alpha=9.0, task_column=0).fit(rows, y).coef_, atol=1e-7
    )


def test_own_penalty_is_an_estimator_and_says_what_is_wrong():
    penalty = clone(GroupL21(["a", "b"], 3.0)).set_params(alpha=7.5)
    assert repr(penalty) == "GroupL21(alpha=7.5, groups=['a', 'b'])"
    with pytest.raises(ValueError, match="must have a label for each of 3 features"):
        penalty.value(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"^alpha of GroupL21 must be a number in \[0, inf"):
        GroupL21(["a"], -1.0).bind(np.arange(2))
