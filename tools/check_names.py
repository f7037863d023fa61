"""``python -m tools.check_names``: no name of ``tools/old_names.txt`` is left as a definition, attribute or module.

A line of the list is ``old name  # new name``, or ``old name  path  # new name`` where the old name is retired only in
some files; the path is a glob, with ``*`` for any characters. ``name()`` is retired as the name of a function, and may
still be a variable. Lines that begin with ``#`` are headings.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "tools" / "old_names.txt"
FOLDERS = ("huggingface_api_handler", "tests", "bench", "tools", "training")


class OldName(NamedTuple):
    """A retired name, the files in which it is, and what it is called now."""

    name: str
    path: str
    new_name: str


class Use(NamedTuple):
    """Where a name is defined, or used as an attribute."""

    name: str
    path: str
    line: int


def old_names(text: str) -> list[OldName]:
    """The names of the list.

    Args:
        text: the list, a line for each name.

    Returns:
        The retired names, in the order of the list.

    Raises:
        ValueError: a line says no new name.
    """
    names = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        words, mark, new_name = line.partition("#")
        name, *path = words.split()
        if not mark or not new_name.strip() or len(path) > 1:
            raise ValueError(f"not of the form 'old name [path] # new name': {line}")
        names.append(OldName(name, path[0] if path else "*", new_name.strip()))
    return names


def uses_in(path: str, source: str) -> Iterator[Use]:
    """The names that a file defines: its own, those of functions, classes, arguments and variables, and attributes.

    Args:
        path: of the file, from the root of the repository.
        source: its text.
    """
    yield from (Use(part, path, 1) for part in (*Path(path).parts[:-1], Path(path).stem))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield Use(node.name, path, node.lineno)
            yield Use(f"{node.name}()", path, node.lineno)
        elif isinstance(node, ast.ClassDef):
            yield Use(node.name, path, node.lineno)
        elif isinstance(node, ast.arg):
            yield Use(node.arg, path, node.lineno)
        elif isinstance(node, ast.Attribute):
            if _is_ours(node):
                yield Use(node.attr, path, node.lineno)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield Use(node.id, path, node.lineno)
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name is not None:
            yield Use(node.name, path, node.lineno)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (Use(alias.asname, path, node.lineno) for alias in node.names if alias.asname is not None)


def _is_ours(node: ast.Attribute) -> bool:
    """Attributes that are set or private are ours; of others that are read, the ones of ``self`` and ``cls`` are."""
    is_private = node.attr.startswith("_") and not node.attr.startswith("__")
    is_set = isinstance(node.ctx, ast.Store)
    return is_set or is_private or (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))


def retired(uses: Iterator[Use], names: Sequence[OldName]) -> list[tuple[Use, OldName]]:
    """The uses of retired names.

    Args:
        uses: the names of one or more files.
        names: those that are retired.

    Returns:
        Each use with what it should be called.
    """
    by_name: Mapping[str, list[OldName]] = {
        name: [old for old in names if old.name == name] for name in {old.name for old in names}
    }
    return [
        (use, old)
        for use in uses
        for old in by_name.get(use.name, ())
        if old.path == "*" or fnmatchcase(use.path, old.path)
    ]


def main() -> int:
    """Print each use of a retired name. Returns 1 where there is one, else 0."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *(f"{folder}/*.py" for folder in FOLDERS)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    names = old_names(LIST.read_text("utf-8"))
    found = []
    for path in listed.stdout.split():
        if (ROOT / path).is_file():
            found += retired(uses_in(path, (ROOT / path).read_text("utf-8")), names)
    for use, old in found:
        print(f"{use.path}:{use.line}: {use.name} is called {old.new_name} now")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
