"""The statements of ``tests/sql/statements`` and of ``examples`` in the home on DuckDB. MindsDB's are in tests/integration."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from huggingface_api_handler.sql import Connection, connect
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
"""Whether results are stored as the expected ones, and not compared."""
TESTED = [(file, statement) for file in files() for statement in statements_of(file) if statement.expect != "prepares"]

Outcomes = Callable[[Path], dict[str, Outcome]]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    service = running_service()
    yield service
    service.close()


@pytest.fixture(scope="module")
def connection(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    patch = pytest.MonkeyPatch()
    patch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path_factory.mktemp("hf-home")))
    with connect() as connection:
        for name, file in (("small", FOLDER), ("orders", FOLDER), ("mails", FOLDER), ("reviews", EXAMPLES)):
            connection.duckdb.execute(f"CREATE TABLE {name} AS FROM read_csv('{file / name}.csv', nullstr = '')")
        yield connection
    patch.undo()


@pytest.fixture(scope="module")
def outcomes(connection: Connection, service: Service) -> Outcomes:
    """What became of the statements of a file, which runs once, after the file of the models."""
    found: dict[Path, dict[str, Outcome]] = {}

    def run(text: str) -> Table:
        result = connection.sql(text.replace(EXAMPLE_URL, service.url))
        return sql_statements.table(result.columns, result.fetchall(), service.url)

    def of(file: Path) -> dict[str, Outcome]:
        for each in (*needed_by(file), file):
            if each not in found:
                found[each] = sql_statements.outcomes(each, run, "duckdb")
        return found[file]

    return of


@pytest.mark.parametrize(
    ("file", "statement"), TESTED, ids=[f"{file.stem} {statement.id}" for file, statement in TESTED]
)
def test_a_statement_gives_what_its_file_says(file: Path, statement: Statement, outcomes: Outcomes) -> None:
    outcome = outcomes(file)[statement.id]
    if WRITES and isinstance(outcome, Table) and statement.expect in ("rows", "rows in order"):
        sql_statements.store(file, statement.id, outcome, of_mindsdb=False)
    expected = sql_statements.expected_of(file.stem).get(statement.id)
    fault = sql_statements.fault(statement, outcome, expected)
    assert not fault, f"{statement.text}\n{fault}"
