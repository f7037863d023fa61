"""``python -m tools.two_homes [--check]``: docs/two_homes.md, of the statements in tests/sql/statements."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.sql_statements import Statement, files, statements_of
from tools.generated import ROOT, run

PAGE = ROOT / "docs" / "two_homes.md"

HEAD = """# The same SQL in two homes

Made by `python -m tools.two_homes` from `tests/sql/statements`; not written by hand.

Statements with models run in MindsDB 26.1, and without a server in your own process on DuckDB. {count} statements are
tested in both, with one kind of inference server: every file of `examples`, and others. {same} give the same in both: the same rows in any order, and in this order where the statement has an
order. Numbers, vectors and JSON are compared by their values.

The others are below. Each line is a test: the statement runs in both homes, and gives in each what the line says.
Run `make integration` for MindsDB and `make test-sql` for DuckDB.
"""
_RESULTS = {"refused": "refuses it", "other rows": "gives something else", "not run": "has no such statement"}


def page() -> str:
    """Write the page.

    Returns:
        Its text in Markdown.
    """
    tested = [each for file in files() for each in statements_of(file) if each.expect != "prepares"]
    same = sum(statement.mindsdb == "same" for statement in tested)
    return HEAD.format(count=len(tested), same=same) + "".join(_section(file) for file in files())


def _section(file: Path) -> str:
    rows = [_row(statement) for statement in statements_of(file) if statement.mindsdb != "same"]
    if not rows:
        return ""
    title = file.read_text(encoding="utf-8").splitlines()[0].removeprefix("-- ").rstrip(".")
    return f"\n## {title}\n\n| what | statement | MindsDB | why |\n|---|---|---|---|\n" + "".join(rows)


def _row(statement: Statement) -> str:
    here = f"Here it is refused. MindsDB {_RESULTS[statement.mindsdb]}" if statement.expect == "refused" else ""
    text = " ".join(statement.text.split()).replace("|", "\\|")
    return f"| {statement.title} | `` {text} `` | {here or _RESULTS[statement.mindsdb]} | {statement.why} |\n"


if __name__ == "__main__":
    sys.exit(run("python -m tools.two_homes", "Write docs/two_homes.md.", {PAGE: page()}))
