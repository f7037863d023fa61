"""How the package is cut: modules of a few screens, classes with one job, real types, one constant to a line.

And what its docstrings say of a public function: each argument, the result, and what it raises.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import TypeAlias

import pytest
from huggingface_hub.inference._providers import PROVIDERS

from huggingface_api_handler.tasks import TASKS
from tools.check_names import LIST, OldName, old_names, retired, uses_in

pytestmark = pytest.mark.same_on_every_python

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

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


def functions(module: Path) -> Iterator[Function]:
    return (node for node in ast.walk(tree(module)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def arguments(function: Function) -> list[ast.arg]:
    signature = function.args
    every = [*signature.posonlyargs, *signature.args, *signature.kwonlyargs, signature.vararg, signature.kwarg]
    return [argument for argument in every if argument is not None]


def annotated_types(function: Function) -> Iterator[ast.expr]:
    yield from (argument.annotation for argument in arguments(function) if argument.annotation is not None)
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


def public_functions(node: ast.Module | ast.ClassDef) -> Iterator[Function]:
    """Those of a module and of its public classes, without functions inside functions."""
    for child in node.body:
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from public_functions(child)
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) and not child.name.startswith("_"):
            yield child


def numbers(module: ast.Module) -> Iterator[tuple[str, str]]:
    """The constants that are numbers, or made of numbers alone: their names and what they are set to."""
    for node in module.body:
        if isinstance(node, ast.Assign):
            target: ast.expr = node.targets[0]
        elif isinstance(node, ast.AnnAssign):
            target = node.target
        else:
            continue
        if isinstance(target, ast.Name) and node.value is not None and is_number(node.value):
            yield target.id, ast.unparse(node.value)


def is_number(value: ast.expr) -> bool:
    if isinstance(value, ast.BinOp):
        return is_number(value.left) and is_number(value.right)
    if isinstance(value, ast.UnaryOp):
        return is_number(value.operand)
    return isinstance(value, ast.Constant) and isinstance(value.value, (int, float))


def caught_by(node: ast.Try) -> set[str]:
    types = [handler.type for handler in node.handlers if handler.type is not None]
    return {ast.unparse(part) for each in types for part in ast.walk(each) if isinstance(part, ast.expr)}


def raised_by(node: ast.AST, caught: frozenset[str] = frozenset()) -> Iterator[str]:
    """What ``raise X(...)`` calls, without functions inside the function, and without what it catches itself."""
    for child in ast.iter_child_nodes(node):
        here = caught | caught_by(node) if isinstance(node, ast.Try) and child in node.body else caught
        if isinstance(child, ast.Raise) and isinstance(child.exc, ast.Call):
            yield from {ast.unparse(child.exc.func)} - here
        elif not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield from raised_by(child, here)


def sections(docstring: str) -> dict[str, set[str]]:
    """The headings, each with the names that it describes."""
    parts = re.split(r"^(Args|Returns|Yields|Raises):$", docstring, flags=re.MULTILINE)
    entry = re.compile(r"^ {4}\**([\w.]+): \S", re.MULTILINE)
    return {heading: set(entry.findall(text)) for heading, text in zip(parts[1::2], parts[2::2], strict=True)}


def missing_in_docstring(function: Function) -> Iterator[str]:
    docstring = ast.get_docstring(function) or ""
    found = sections(docstring)
    named = {each.arg for each in arguments(function) if not each.arg.startswith("_")} - {"self", "cls"}
    yield from sorted(named - found.get("Args", set()))

    is_property = any("property" in ast.unparse(decorator) for decorator in function.decorator_list)
    gives = function.returns is not None and ast.unparse(function.returns) not in ("None", "NoReturn")
    says_it_all = not named and "\n" not in docstring  # the one line says what it gives
    if gives and not is_property and not says_it_all and not found.keys() & {"Returns", "Yields"}:
        yield "Returns"

    for error in raised_by(function):
        first = error.rpartition(".")[2][0]
        if first.isupper() and error not in found.get("Raises", set()):
            yield f"Raises {error}"
        elif first.islower() and "Raises" not in found:  # of a function that makes the exception
            yield f"Raises, for {error}()"


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
        if isinstance(node, ast.Assign)
        and (
            (isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple))
            or sum(isinstance(target, ast.Name) for target in node.targets) > 1
        )
    ]
    assert several == []


def test_the_name_of_a_number_means_one_thing() -> None:
    values: dict[str, set[str]] = {}
    for module in MODULES:
        for constant, number in numbers(tree(module)):
            values.setdefault(constant.lstrip("_"), set()).add(number)
    assert {constant: several for constant, several in values.items() if len(several) > 1} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("A = 1", [("A", "1")]),
        ("A: Final = 1.5", [("A", "1.5")]),
        ("A = 16 * 2**20", [("A", "16 * 2 ** 20")]),
        ("A = -1", [("A", "-1")]),
        ("A = 'text'", []),
        ("A = B * 2", []),
        ("A: int", []),
    ],
)
def test_a_number_is_found_however_it_is_written(source: str, found: list[tuple[str, str]]) -> None:
    assert list(numbers(ast.parse(source))) == found


def names_told_apart(module: ast.Module, names: Collection[str]) -> Iterator[str]:
    """The texts of a module that are one of the names, docstrings excepted."""
    docstrings = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}
    for node in ast.walk(module):
        if not isinstance(node, ast.Constant) or id(node) in docstrings:
            continue
        if isinstance(node.value, str) and node.value in names:
            yield f"line {node.lineno}: {node.value}"


MAY_NAME_TASKS = ("inference/protocols", "tasks", "server", "demo")


@pytest.mark.parametrize(
    "module",
    [each for each in MODULES if not each.relative_to(PACKAGE).as_posix().startswith(MAY_NAME_TASKS)],
    ids=name,
)
def test_only_protocols_and_tasks_know_a_task_or_a_provider_by_its_name(module: Path) -> None:
    assert list(names_told_apart(tree(module), {*TASKS, *PROVIDERS, "auto"})) == []


def test_a_name_is_found_wherever_it_is_compared() -> None:
    source = """'translation'\nif task.name == "translation" or name in ("together",): f"translation"; x = {"fill-mask": 1}"""
    found = sorted(names_told_apart(ast.parse(source), {*TASKS, *PROVIDERS}))
    assert found == ["line 2: fill-mask", "line 2: together", "line 2: translation", "line 2: translation"]


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_docstrings_tell_arguments_results_and_exceptions(module: Path) -> None:
    assert [
        f"{function.name}, line {function.lineno}: {missing}"
        for function in public_functions(tree(module))
        for missing in missing_in_docstring(function)
    ] == []


ON_ENGINES = {f"distributed/{engine}.py" for engine in ("dask", "ray", "spark")}
"""Modules whose examples tests/distributed runs, where their engine is installed."""


@pytest.mark.parametrize(
    "module",
    [
        each
        for each in MODULES
        if ">>>" in each.read_text("utf-8") and each.relative_to(PACKAGE).as_posix() not in ON_ENGINES
    ],
    ids=name,
)
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
