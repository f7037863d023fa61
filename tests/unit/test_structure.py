"""How the package is cut: modules of a few screens, classes with one job, real types, one constant to a line."""

from __future__ import annotations

import ast
import doctest
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tools.check_names import LIST, OldName, old_names, retired, uses_in

pytestmark = pytest.mark.same_on_every_python

PACKAGE = Path(__file__).resolve().parents[2] / "huggingface_api_handler"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_MODULE_LINES = 400
MAX_ATTRIBUTES = 15
MAX_ANY_PER_1000_LINES = 8.0


@cache
def tree(module: Path) -> ast.Module:
    return ast.parse(module.read_text("utf-8"))


def name(module: Path) -> str:
    return str(module.relative_to(PACKAGE.parent))


def functions(module: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree(module)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def annotated_types(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.expr]:
    signature = function.args
    every = [*signature.posonlyargs, *signature.args, *signature.kwonlyargs, signature.vararg, signature.kwarg]
    yield from (argument.annotation for argument in every if argument is not None and argument.annotation is not None)
    if function.returns is not None:
        yield function.returns


def self_attributes(node: ast.ClassDef) -> set[str]:
    return {
        found.attr
        for found in ast.walk(node)
        if isinstance(found, ast.Attribute)
        and isinstance(found.ctx, ast.Store)
        and isinstance(found.value, ast.Name)
        and found.value.id == "self"
    }


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_a_module_fits_on_a_few_screens(module: Path) -> None:
    assert len(module.read_text("utf-8").splitlines()) <= MAX_MODULE_LINES


def test_a_class_has_few_attributes() -> None:
    over = {
        node.name
        for module in MODULES
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ClassDef) and len(self_attributes(node)) > MAX_ATTRIBUTES
    }
    assert over == set()


def test_signatures_have_real_types() -> None:
    found = {
        name(module): sum(
            isinstance(part, ast.Name) and part.id == "Any"
            for function in functions(module)
            for annotation in annotated_types(function)
            for part in ast.walk(annotation)
        )
        for module in MODULES
    }
    lines = sum(len(module.read_text("utf-8").splitlines()) for module in MODULES)
    assert sum(found.values()) / lines * 1000 <= MAX_ANY_PER_1000_LINES, {at: count for at, count in found.items() if count}  # fmt: skip


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_a_constant_has_a_line_of_its_own(module: Path) -> None:
    several = [
        node.lineno
        for node in tree(module).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)
    ]
    assert several == []


def test_the_name_of_a_number_means_one_thing() -> None:
    values: dict[str, set[float]] = {}
    for module in MODULES:
        for node in tree(module).body:
            if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
                continue
            if isinstance(node.value, ast.Constant) and isinstance(node.value.value, (int, float)):
                values.setdefault(node.targets[0].id.lstrip("_"), set()).add(node.value.value)
    assert {name: several for name, several in values.items() if len(several) > 1} == {}


@pytest.mark.parametrize("module", [each for each in MODULES if ">>>" in each.read_text("utf-8")], ids=name)
def test_the_examples_of_docstrings_run(module: Path) -> None:
    dotted = ".".join(module.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    result = doctest.testmod(importlib.import_module(dotted), optionflags=doctest.ELLIPSIS)
    assert result.attempted and not result.failed


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def keep(): ...", ["keep"]),
        ("class keep: ...", ["keep"]),
        ("def f(keep): ...", ["keep"]),
        ("keep = 1", ["keep"]),
        ("for keep in x: ...", ["keep"]),
        ("self.keep()", ["keep"]),
        ("import x as keep", ["keep"]),
        ("from x import y as keep", ["keep"]),
        ("try: ...\nexcept E as keep: ...", ["keep"]),
        ("match x:\n case [keep]: ...", ["keep"]),
        ("other.keep = 1", ["keep"]),
        ("response.keep()", []),  # somebody else's attribute
        ("text = 'keep'", []),
        ("text = 1", []),  # retired as a function only
        ("def text(): ...", ["text()"]),
    ],
)
def test_a_retired_name_is_found_wherever_it_is_defined(source: str, found: list[str]) -> None:
    names = [OldName("keep", "*", "store"), OldName("text()", "*", "read_text")]
    assert [use.name for use, _ in retired(uses_in("a/b.py", source), names)] == found


def test_a_name_may_be_retired_in_some_files_only_and_as_a_module() -> None:
    names = [OldName("keep", "a/*", "store")]
    assert [use.path for use, _ in retired(uses_in("a/keep.py", ""), names)] == ["a/keep.py"]
    assert not retired(uses_in("b/keep.py", ""), names)


def test_each_line_of_the_list_says_the_new_name() -> None:
    assert len(old_names(LIST.read_text("utf-8"))) > 400
    with pytest.raises(ValueError, match="keep"):
        old_names("keep")
