"""Every file, folder, module, function and command that the documents name exists.

Documents name things in backticks and in blocks of code. Of these, what has the form of a path, of a dotted name, of
``name()`` or of a command of this project is looked for. CHANGELOG.md is history, so nothing is looked for in it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "huggingface_api_handler"
CODE = PACKAGE, ROOT / "tools", ROOT / "bench", ROOT / "tests", ROOT / "training"
DOCUMENTS = sorted(
    path
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "examples/README.md",
        "training/README.md",
        "tests/fixtures/**/README.md",
    )
    for path in ROOT.glob(pattern)
    if path.name != "CHANGELOG.md"
)
ARCHITECTURE = ROOT / "docs" / "architecture.md"

# A path may be written from any of these folders on, and from the document's own.
FOLDERS = ROOT, PACKAGE, PACKAGE / "inference", PACKAGE / "tasks", ROOT / "tests", ROOT / "examples"
MODELS_FOLDER = PACKAGE / "server" / "models"
SUFFIXES = "csv|ipynb|json|jsonl|md|npz|py|sh|sql|svg|toml|tsv|txt|yml"

NOT_OURS = {"mindsdb/", "hf_home/", "python/"}
"""Folders inside ``storage.tar.gz``."""

FOREIGN = {
    "files",
    "information_schema",
    "mindsdb",
    "model",
    "out",
    "t",
    "m",
    "tool",
    "storage",
    "con",
    "result",
    "huggingface",
    "future",
    "ray",
    "spark",
    "AI",
    "FILE",
    "IN",
    "ML",
    "OUT",
    "error",
    "gen_ai",
    "http",
    "huggingface_api",
    "psycopg",
}
"""First words of dotted names that are SQL, a variable of an example, an argument of a command, another package's, an attribute
of a span, or a table of pyproject.toml."""

FOREIGN_NAMES = {"server.address", "server.port"}
"""Attributes of spans that begin as a folder of ours does."""

FOREIGN_CALLS = {"query_cancel", "materialize", "persist", "toPandas"}

_CODE_BLOCK = re.compile(r"^```.*?^```", re.M | re.S)
_BACKTICKS = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(rf"[\w./*-]+\.(?:{SUFFIXES})|[\w.-]+(?:/[\w.-]+)*/")
_DOTTED = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)(?:\(.*\))?")
_CALL = re.compile(r"([A-Za-z_]\w*)\(\)")
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
_PYTHON_M = re.compile(r"python3? -m ((?:tools|bench|tests|training|huggingface_api_handler)[\w.]*)(?: ([a-z]+)\b)?")
_IMPORT = re.compile(r"^from (huggingface_api_handler[\w.]*) import ([\w, ]+)$", re.M)
_MAKE = re.compile(r"(?:^|; |=\S+ )make ([a-z][a-z-]*)", re.M)
_MODULE_FILE = re.compile(r"(?:^|\s)([\w./-]+\.py)\b")


def names_in(document: Path) -> list[str]:
    """What stands in backticks outside blocks of code."""
    return _BACKTICKS.findall(_CODE_BLOCK.sub("", document.read_text("utf-8")))


def code_in(document: Path) -> str:
    """Blocks of code and what stands in backticks, a line each."""
    return "\n".join([*_CODE_BLOCK.findall(document.read_text("utf-8")), *names_in(document)])


def exists(path: str, document: Path) -> bool:
    return any(any(folder.glob(path.rstrip("/"))) for folder in (*FOLDERS, document.parent, MODELS_FOLDER))


@cache
def modules() -> dict[str, list[Path]]:
    """Modules and packages by each end of their dotted names: ``inference.runtime.executor``, ``executor``, ..."""
    found: dict[str, list[Path]] = {}
    for file in (file for folder in CODE for file in folder.rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        for start in range(len(parts)):
            found.setdefault(".".join(parts[start:]), []).append(file)
    return found


@cache
def definitions(file: Path) -> dict[str, ast.AST]:
    """What a module defines or imports at its top, and the members of its classes as ``Class.member``."""
    found: dict[str, ast.AST] = {}
    body = ast.parse(file.read_text("utf-8")).body
    for branch in (node.body for node in body if isinstance(node, ast.If)):  # imports for type checkers
        body = [*body, *branch]
    for node in body:
        found.update((name, node) for name in _bound(node))
        if isinstance(node, ast.ClassDef):
            found.update((f"{node.name}.{name}", member) for member in node.body for name in _bound(member))
    return found


def _bound(node: ast.AST) -> Iterator[str]:
    if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (alias.asname or alias.name for alias in node.names)


@cache
def package_definitions() -> frozenset[str]:
    """All that modules define at their top, and all members of classes, in the package and beside it."""
    return frozenset(name for folder in CODE for file in folder.rglob("*.py") for name in definitions(file))


def is_defined(dotted: str) -> bool:
    """Whether a dotted name is a module, a definition of one, a member of a class, or a definition's member."""
    if dotted in modules() or dotted in package_definitions():
        return True
    parts = dotted.split(".")
    return any(
        ".".join(parts[end:]) in definitions(file)
        for end in range(1, len(parts))
        for file in modules().get(".".join(parts[:end]), [])
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_paths_exist(document: Path) -> None:
    named = {name for name in names_in(document) if _PATH.fullmatch(name)}
    links = set(_LINK.findall(document.read_text("utf-8")))
    missing = {path for path in named - NOT_OURS if not exists(path, document)}
    assert not missing
    assert not {link for link in links if not (document.parent / link).exists()}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_dotted_names_and_functions_exist(document: Path) -> None:
    missing = set()
    for name in names_in(document):
        dotted, call = _DOTTED.fullmatch(name), _CALL.fullmatch(name)
        if dotted and not _PATH.fullmatch(name) and dotted[1].split(".")[0] not in FOREIGN:
            missing |= set() if is_defined(dotted[1]) or name in FOREIGN_NAMES else {name}
        if call and call[1] not in FOREIGN_CALLS:
            missing |= set() if call[1] in {each.split(".")[-1] for each in package_definitions()} else {name}
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_imports_work(document: Path) -> None:
    code = code_in(document)
    targets = set(re.findall(r"^([a-z][a-z -]*):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    targets = {target for line in targets for target in line.split()}
    assert {target for target in _MAKE.findall(code) if target not in targets} == set()
    main = (PACKAGE / "cli" / "main.py").read_text("utf-8")
    for module, command in _PYTHON_M.findall(code):
        assert module in modules()
        if module == "huggingface_api_handler" and command:
            assert f'"{command}"' in main
    for module, names in _IMPORT.findall(code):
        for name in names.split(","):
            assert is_defined(f"{module}.{name.strip()}")
    for file in _MODULE_FILE.findall("\n".join(line for line in code.splitlines() if line.startswith("python "))):
        assert exists(file, document)


def layout() -> dict[str, str]:
    """The paths in the tree of architecture.md, folders with a slash at their end, and what is said of them."""
    block = _CODE_BLOCK.findall(ARCHITECTURE.read_text("utf-8"))[0]
    found: dict[str, str] = {}
    folders: list[str] = []
    for line in block.splitlines()[2:-1]:
        indent, name, text = re.fullmatch(r"( +)(\S+) +(\S.*)", line).groups()  # type: ignore[union-attr]
        folders = folders[: len(indent) // 2 - 1]
        found["".join(folders) + name] = text
        if name.endswith("/"):
            folders.append(name)
    return found


def test_the_layout_is_the_packages() -> None:
    tree = layout()
    assert {path for path in tree if not (PACKAGE / path).exists()} == set()
    leaves = {path for path in tree if path.endswith("/") and not any(p.startswith(path) and p != path for p in tree)}
    modules_there = {str(file.relative_to(PACKAGE)) for file in PACKAGE.rglob("*.py")}
    inits = {path for path in modules_there if path.endswith("/__init__.py") and path.count("/") >= 1}
    unlisted = {path for path in modules_there - inits - tree.keys() if not path.startswith(tuple(leaves))}
    assert unlisted == set()
    folders = {f"{path.removesuffix('__init__.py')}" for path in inits}
    assert {folder for folder in folders - tree.keys() if not folder.startswith(tuple(leaves))} == set()


def test_what_the_layout_says_of_modules_names_what_they_define() -> None:
    for path, text in layout().items():
        if path.endswith(".py"):
            words = re.findall(r"\b(?:[A-Z][a-z]+){2,}\b|\b[a-z]+_[a-z_]+(?=:)", text)
            words = [word for word in words if word not in ("DataFrame",)]
            assert not [word for word in words if word not in definitions(PACKAGE / path)], path


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("executor.QueryExecutor", True),
        ("flow_control.limiter.Limiter.acquire", True),
        ("Limiter.acquire", True),
        ("inference.predict", True),
        ("inference.runtime", True),
        ("sender.Sender", False),
        ("limiter.Pacer", False),
        ("Limiter.hire", False),
    ],
)
def test_names_are_found_and_missed(name: str, found: bool) -> None:
    assert is_defined(name) is found


def test_each_kind_of_name_is_looked_for() -> None:
    names = names_in(ARCHITECTURE)
    assert sum(bool(_PATH.fullmatch(name)) for name in names) >= 2
    assert sum(bool(_DOTTED.fullmatch(name)) for name in names) >= 20
    assert "tests/recipes/task.patch" in _LINK.findall((ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    assert ("tools.write_reference", "") in _PYTHON_M.findall(code_in(ROOT / "CONTRIBUTING.md"))
