"""The statements of ``tests/sql/statements`` and of ``examples`` in MindsDB. Those of our own home are in tests/sql."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from huggingface_api_handler.demo.mindsdb_server import MindsDB
from huggingface_api_handler.demo.sql_script import created_model
from tests.conftest import Service
from tests.support import sql_statements
from tests.support.sql_service import running_service
from tests.support.sql_statements import (
    EXAMPLE_URL,
    EXAMPLES,
    FOLDER,
    Outcome,
    Statement,
    Table,
    files,
    needed_by,
    statements_of,
)

WRITES = os.environ.get("WRITE_STATEMENTS") == "1"
"""Whether results that differ from ours are stored as the expected ones, and not compared."""
TESTED = [
    (file, statement)
    for file in files()
    for statement in statements_of(file)
    if statement.expect != "prepares" and statement.mindsdb != "not run"
]

Outcomes = Callable[[Path], dict[str, Outcome]]


@pytest.fixture(scope="module")
def statement_service() -> Iterator[Service]:
    service = running_service()
    yield service
    service.close()


@pytest.fixture(scope="module")
def outcomes(mindsdb: MindsDB, statement_service: Service, upload_once: Callable[[Path], None]) -> Outcomes:
    """What became of the statements of a file, which runs once, after those that it needs."""
    for name, folder in (("small", FOLDER), ("orders", FOLDER), ("mails", FOLDER), ("reviews", EXAMPLES)):
        upload_once(folder / f"{name}.csv")
    found: dict[Path, dict[str, Outcome]] = {}
    url = statement_service.url

    def run(text: str) -> Table:
        result = mindsdb.sql(text.replace(EXAMPLE_URL, url))
        made = created_model(re.sub(r"^RETRAIN", "CREATE MODEL", text))
        if made is not None:
            mindsdb.wait_for_model(made[1])
        return sql_statements.table(result.columns, result.rows, url)

    def of(file: Path) -> dict[str, Outcome]:
        for each in (*needed_by(file), file):
            if each not in found:
                found[each] = sql_statements.outcomes(each, run, "mindsdb")
        return found[file]

    return of


@pytest.mark.parametrize(
    ("file", "statement"), TESTED, ids=[f"{file.stem} {statement.id}" for file, statement in TESTED]
)
def test_a_statement_gives_what_its_file_says(file: Path, statement: Statement, outcomes: Outcomes) -> None:
    outcome = outcomes(file)[statement.id]
    if WRITES and isinstance(outcome, Table) and statement.mindsdb == "other rows":
        sql_statements.store(file, statement.id, outcome, of_mindsdb=True)
    expected = sql_statements.expected_of(file.stem).get(statement.id)
    fault = sql_statements.fault_in_mindsdb(statement, outcome, expected)
    assert not fault, f"{statement.text}\n{fault}"
