"""docs/mindsdb.md: each line of its tables of statements names a test that exists, and no test of these is left out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "mindsdb.md"
FOLDER = ROOT / "tests" / "integration"
HEADINGS = ("Description", "Requirements", "Setup", "Usage", "Limitations")
"""What MindsDB asks of a handler's README, and so of this page."""
WRITTEN_FOR_THE_PAGE = (
    "test_clients.py",
    "test_databases.py",
    "test_jobs_and_triggers.py",
    "test_mindsdb_faults.py",
    "test_model_statements.py",
    "test_query_forms.py",
)
_TEST = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
_LINES_AT_LEAST = 80


def lines() -> list[tuple[str, str]]:
    """The first and the last cell of each line of the tables whose last column is 'test'."""
    found: list[tuple[str, str]] = []
    has_tests = False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            has_tests = False
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[-1] == "test":
            has_tests = True
        elif has_tests and not cells[0].startswith("---"):
            found.append((cells[0], cells[-1]))
    return found


def names_in(file: str) -> set[str]:
    tree = ast.parse((FOLDER / file).read_text(encoding="utf-8"))
    return {each.name for each in tree.body if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")}


@pytest.mark.parametrize(("statement", "tests"), lines())
def test_each_line_names_tests_that_exist(statement: str, tests: str) -> None:
    named = _TEST.findall(tests)
    assert named and ", ".join(f"`{file}::{test}`" for file, test in named) == tests
    for file, test in named:
        assert test in names_in(file), statement


def test_no_test_written_for_the_page_is_left_out() -> None:
    assert len(lines()) >= _LINES_AT_LEAST
    named = set(_TEST.findall(PAGE.read_text(encoding="utf-8")))
    written = {(file, test) for file in WRITTEN_FOR_THE_PAGE for test in names_in(file)}
    assert written - named == set()


def test_the_page_has_the_headings_of_a_handlers_readme() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [heading for heading in HEADINGS if f"\n## {heading}\n" not in text] == []
