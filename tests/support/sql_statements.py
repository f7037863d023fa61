"""Statements that both homes run, in SQL files with what is expected of each.

A statement that is tested begins with comments at the beginning of a line::

    -- @ limit-after-filter: LIMIT counts the rows that the filter left
    -- expect: rows in order
    -- MindsDB: other rows: it applies LIMIT before the filter
    SELECT ...;

``expect`` is ``rows`` (in any order), ``rows in order``, ``done``, or ``refused: WORDS`` of our message. The line of
MindsDB is missing where it gives the same, else ``other rows``, ``refused`` or ``not run``, each with why. A statement
without ``@`` prepares others and has to work in both homes. It ends with a line that ends with a semicolon.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "sql" / "statements"
EXPECTED = FOLDER / "expected"
EXAMPLES = ROOT / "examples"
EXAMPLE_URL = "http://127.0.0.1:8900"

_HEADER = re.compile(r"-- @ (?P<id>[\w-]+): (?P<title>.+)")
_EXPECT = re.compile(r"-- expect: (?P<kind>rows in order|rows|done|refused)(?:: (?P<words>.+))?$")
_MINDSDB = re.compile(r"-- MindsDB: (?P<kind>other rows|refused|not run): (?P<why>.+)$")

_NAMES_OF_PAGES = re.compile(
    r"\bhf_(?=(?:api_engine|sentiment_classifier|review_topic|entities|similarity|embeddings)\b)"
)
_DIFFERENCES_OF_EXAMPLES = {("05_describe", "1"): ("other rows", "it shows the columns of mindsdb.models beside them")}

Expect = Literal["rows", "rows in order", "done", "refused", "prepares"]


@dataclass(frozen=True)
class Statement:
    """A statement with what is expected of it.

    Attributes:
        file: The file's name, without ``.sql``.
        id: Its name within the file.
        title: What it shows.
        text: The SQL, without the semicolon.
        expect: What it gives; ``prepares`` for a statement that is not tested itself.
        words: What is in the message, where it is refused.
        mindsdb: ``same``, ``other rows``, ``refused`` or ``not run``.
        why: Why MindsDB gives something else.
    """

    file: str
    id: str
    title: str
    text: str
    expect: Expect
    words: str = ""
    mindsdb: str = "same"
    why: str = ""


@dataclass(frozen=True)
class Table:
    """A result: the names of its columns, and its rows with cells in one form for all homes."""

    columns: list[str]
    rows: list[list[Any]]


Run = Callable[[str], Table]
"""Runs a statement in a home."""


def files() -> list[Path]:
    """The files of statements, then the examples that need no key, each in its order."""
    own = sorted(FOLDER.glob("*.sql"))
    return [*own, *(file for file in sorted(EXAMPLES.glob("*.sql")) if file.stem != "00_engine_hugging_face")]


def needed_by(file: Path) -> list[Path]:
    """The files that are run before a file: that of the models, and for an example the earlier examples."""
    earlier = [each for each in files() if each.parent == file.parent and each < file]
    return earlier if file.parent == EXAMPLES else earlier[:1]


def statements_of(file: Path) -> list[Statement]:
    """The statements of a file, in order. In a file without ``@``, such as an example, all are tested."""
    found = list(_read(file))
    if any(statement.expect != "prepares" for statement in found):
        return found
    return [_of_example(statement) for statement in found]


def _of_example(statement: Statement) -> Statement:
    if re.match(r"SELECT|DESCRIBE", statement.text):
        is_ordered = re.search(r"\bORDER BY\b|\bDESCRIBE\b", statement.text)
        kind, why = _DIFFERENCES_OF_EXAMPLES.get((statement.file, statement.id), ("same", ""))
        expect: Expect = "rows in order" if is_ordered else "rows"
        return replace(statement, title="an example", expect=expect, mindsdb=kind, why=why)
    return statement


def _read(file: Path) -> Iterator[Statement]:
    comments: list[str] = []
    lines: list[str] = []
    number = 0
    for line in file.read_text(encoding="utf-8").splitlines():
        if not lines and (line.startswith("--") or not line.strip()):
            comments.append(line)
            continue
        lines.append(line)
        if line.rstrip().endswith(";"):
            number += 1
            yield _statement(file.stem, number, comments, "\n".join(lines).rstrip().removesuffix(";"))
            comments, lines = [], []
    if lines:
        raise ValueError(f"{file.name}: the last statement does not end with a semicolon")


def _statement(file: str, number: int, comments: Sequence[str], text: str) -> Statement:
    header = next(filter(None, map(_HEADER.match, comments)), None)
    expect = next(filter(None, map(_EXPECT.match, comments)), None)
    mindsdb = next(filter(None, map(_MINDSDB.match, comments)), None)
    other = [line for line in comments if re.match(r"-- (expect|MindsDB|@)", line)]
    if len(other) != sum(found is not None for found in (header, expect, mindsdb)):
        raise ValueError(f"{file} {number}: cannot read {other}")
    kind, why = (mindsdb["kind"], mindsdb["why"]) if mindsdb else ("same", "")
    if header is None:
        return Statement(file, str(number), "", text, "prepares", mindsdb=kind, why=why)
    if expect is None:
        raise ValueError(f"{file} {header['id']}: it does not say what is expected")
    return Statement(file, header["id"], header["title"], text, expect["kind"], expect["words"] or "", kind, why)  # type: ignore[arg-type]


def expected_of(file: str) -> dict[str, Any]:
    """What is stored of a file: by the statement's id ``columns`` and ``rows``, and ``mindsdb`` where that differs."""
    path = EXPECTED / f"{file}.json"
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return stored


def difference(statement: Statement, found: Table, expected: Any) -> str:
    """How a result is not the stored one.

    Args:
        statement: The statement.
        found: Its result.
        expected: The stored result, with ``columns`` and ``rows``.

    Returns:
        The difference in words; "" where there is none.
    """
    if found.columns != expected["columns"]:
        return f"columns {found.columns} instead of {expected['columns']}"
    ours, theirs = found.rows, expected["rows"]
    if statement.expect != "rows in order":
        ours, theirs = sorted(ours, key=repr), sorted(theirs, key=repr)
    if len(ours) != len(theirs):
        return f"{len(ours)} rows instead of {len(theirs)}: {ours[:5]} instead of {theirs[:5]}"
    unlike = [(one, other) for one, other in zip(ours, theirs, strict=True) if one != other]
    return f"{len(unlike)} rows differ, the first {unlike[0][0]} instead of {unlike[0][1]}" if unlike else ""


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], url: str) -> Table:
    """A result in the form that is compared: numbers are floats, JSON and vectors are values, ports are left out.

    Args:
        columns: Names.
        rows: Cells as a home gives them.
        url: Of the inference server, which differs from run to run.

    Returns:
        The table.
    """
    return Table(list(columns), [[_cell(cell, url) for cell in row] for row in rows])


def _cell(cell: Any, url: str) -> Any:
    if isinstance(cell, str):
        if cell[:1] in ("{", "["):
            try:
                return _cell(json.loads(cell), url)
            except ValueError:
                pass
        host = url.removeprefix("http://")
        return cell.replace(url, "http://server").replace(host, "server")
    if isinstance(cell, dict):
        return {key: _cell(value, url) for key, value in cell.items()}
    if isinstance(cell, (list, tuple)):
        return [_cell(value, url) for value in cell]
    if isinstance(cell, (date, datetime)):
        return cell.isoformat()
    if cell is None or cell != cell:  # NaN
        return None
    return float(f"{float(cell):.6g}")


Outcome = Table | Exception
"""What became of a statement."""


def outcomes(file: Path, run: Run, home: str) -> dict[str, Outcome]:
    """Run the statements of a file in order.

    Args:
        file: The file.
        run: Runs one; what it raises is a refusal.
        home: ``mindsdb`` leaves out what is not run there; else ``duckdb``.

    Returns:
        What became of each statement, by its id.

    Raises:
        AssertionError: A statement that prepares others was refused.
    """
    found: dict[str, Outcome] = {}
    # The pages and the examples make models of the same names, each its own.
    own = f"{file.stem[3:] if file.parent == FOLDER else 'example'}_hf_"
    for statement in statements_of(file):
        if home == "mindsdb" and statement.mindsdb == "not run":
            continue
        try:
            result = run(_NAMES_OF_PAGES.sub(own, statement.text))
            found[statement.id] = Table(result.columns, _with(result.rows, own))
        except Exception as error:  # each home and DuckDB have errors of their own
            found[statement.id] = error
            if statement.expect == "prepares":
                raise AssertionError(f"{file.name} {statement.id} was refused: {error}") from error
    return found


def _with(rows: list[list[Any]], own: str) -> list[list[Any]]:
    return [[cell.replace(own, "hf_") if isinstance(cell, str) else cell for cell in row] for row in rows]


def fault(statement: Statement, outcome: Outcome, expected: Any) -> str:
    """How an outcome in our home, or the same one in MindsDB, is not what the file says.

    Args:
        statement: The statement.
        outcome: What became of it.
        expected: Its stored result; None where there is none.

    Returns:
        The fault in words; "" where there is none.
    """
    if statement.expect == "refused":
        if not isinstance(outcome, Exception):
            return f"not refused: {str(outcome)[:300]}"
        return "" if statement.words in str(outcome) else f"{statement.words!r} is not in {outcome}"
    if isinstance(outcome, Exception):
        return f"refused: {type(outcome).__name__}: {outcome}"
    if statement.expect in ("done", "prepares"):
        return ""
    return difference(statement, outcome, expected) if expected else "no result is stored"


def fault_in_mindsdb(statement: Statement, outcome: Outcome, expected: Any) -> str:
    """The same for an outcome in MindsDB, whose differences the file names."""
    if statement.mindsdb == "refused":
        return "" if isinstance(outcome, Exception) else f"not refused: {str(outcome)[:300]}"
    if statement.mindsdb == "same":
        return fault(statement, outcome, expected)
    if isinstance(outcome, Exception):
        return f"refused: {outcome}"
    theirs = (expected or {}).get("mindsdb")
    if theirs is None:
        return "no result of MindsDB is stored"
    is_as_ours = statement.expect in ("rows", "rows in order") and not difference(statement, outcome, expected)
    return "the rows are ours" if is_as_ours else difference(statement, outcome, theirs)


def store(file: Path, key: str, outcome: Table, *, of_mindsdb: bool) -> None:
    """Keep a result as the expected one, and of the others what their statements still want."""
    expected = expected_of(file.stem)
    statements = {statement.id: statement for statement in statements_of(file)}
    is_ordered = statements[key].expect == "rows in order"
    rows = outcome.rows if is_ordered else sorted(outcome.rows, key=repr)  # so that a file changes where a result does
    result = {"columns": outcome.columns, "rows": rows}
    expected[key] = {**expected.get(key, {}), **({"mindsdb": result} if of_mindsdb else result)}
    for other in list(expected):
        statement = statements.get(other)
        if statement is None or statement.mindsdb != "other rows":
            expected[other].pop("mindsdb", None)
        if statement is None or not expected[other]:
            del expected[other]
    EXPECTED.mkdir(exist_ok=True)
    lines = (f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in sorted(expected.items()))
    (EXPECTED / f"{file.stem}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
