"""Rows as a table, CSV, JSON and JSON lines: what a program reads back is what the statement gave."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from huggingface_api_handler.cli.sql.output import FORMATS, MAX_SHOWN_ROWS, write_result
from huggingface_api_handler.sql import Result


class Terminal(io.StringIO):
    """A text file that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((60, 24)))


def written(database: duckdb.DuckDBPyConnection, query: str, kind: str, out: io.StringIO | None = None) -> str:
    out = out or io.StringIO()
    database.execute(query)
    write_result(Result.of_open(database), kind, out)
    return out.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
def test_the_rows_are_counted(database: duckdb.DuckDBPyConnection, kind: str) -> None:
    database.execute("FROM range(3000)")
    assert write_result(Result.of_open(database), kind, io.StringIO()) == 3000


def test_csv_has_names_and_quotes_what_needs_it(database: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT 'a,b' AS t, NULL AS n, [1, 2] AS l, {'k': 'ü'} AS s, true AS b, DATE '2024-01-02' AS d, 0.1 AS f"
    rows = list(csv.reader(io.StringIO(written(database, query, "csv"))))
    assert rows == [
        ["t", "n", "l", "s", "b", "d", "f"],
        ["a,b", "", "[1, 2]", '{"k": "ü"}', "true", "2024-01-02", "0.1"],
    ]


def test_json_is_one_array_and_json_lines_are_objects(database: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT range AS a, 'ü' AS b FROM range(3)"
    expected = [{"a": number, "b": "ü"} for number in range(3)]
    assert json.loads(written(database, query, "json")) == expected
    assert [json.loads(line) for line in written(database, query, "jsonlines").splitlines()] == expected


def test_no_rows_are_still_json(database: duckdb.DuckDBPyConnection) -> None:
    assert json.loads(written(database, "FROM range(0)", "json")) == []
    assert written(database, "FROM range(0)", "jsonlines") == ""


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("""'{"k": [1]}'::JSON""", {"k": [1]}),
        ("'[1]'", "[1]"),
        ("170141183460469231731687303715884105727::HUGEINT", 170141183460469231731687303715884105727),
        ("'nan'::DOUBLE", None),
        ("[1.5, 'inf'::DOUBLE]", [1.5, None]),
        ("1.10::DECIMAL(4,2)", 1.1),
        ("TIMESTAMP '2024-01-02 03:04:05'", "2024-01-02T03:04:05"),
        ("'ab'::BLOB", "6162"),
        ("MAP {1: 'a'}", {"1": "a"}),
        ("'00000000-0000-0000-0000-000000000001'::UUID", "00000000-0000-0000-0000-000000000001"),
        ("{'a': {'b': NULL}}", {"a": {"b": None}}),
    ],
)
def test_json_of_every_type_can_be_read(database: duckdb.DuckDBPyConnection, expression: str, value: Any) -> None:
    assert json.loads(written(database, f"SELECT {expression} AS v", "json")) == [{"v": value}]


def test_json_keeps_columns_of_one_name_apart(database: duckdb.DuckDBPyConnection) -> None:
    assert json.loads(written(database, "SELECT 1 AS a, 2 AS a, 3 AS a_1", "json")) == [{"a": 1, "a_1": 2, "a_1_1": 3}]


def test_a_table_in_a_file_has_everything(database: duckdb.DuckDBPyConnection) -> None:
    text = written(database, "SELECT repeat('x', 500) AS long, range FROM range(100)", "table")
    assert text.count("x" * 500) == 100
    assert "more rows" not in text


def test_a_table_in_a_terminal_is_cut_and_says_so(database: duckdb.DuckDBPyConnection) -> None:
    text = written(database, "FROM range(100)", "table", Terminal())
    assert f"... and {100 - MAX_SHOWN_ROWS} more rows" in text
    assert len(text.splitlines()) == MAX_SHOWN_ROWS + 3


def test_a_table_of_as_many_rows_as_are_shown_says_nothing(database: duckdb.DuckDBPyConnection) -> None:
    assert "more" not in written(database, f"FROM range({MAX_SHOWN_ROWS})", "table", Terminal())


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("query", ["SELECT repeat('x', 500) AS a, repeat('y', 500) AS b FROM range(2)", "FROM t"])
def test_no_line_of_a_table_is_wider_than_the_terminal(database: duckdb.DuckDBPyConnection, query: str) -> None:
    columns = ", ".join(f"'value' AS column_number_{number}" for number in range(12))
    database.execute(f"CREATE TABLE t AS SELECT {columns} FROM range(2)")
    text = written(database, query, "table", Terminal())
    assert max(map(len, text.splitlines())) <= 60


@pytest.mark.usefixtures("narrow")
def test_a_table_with_too_many_columns_has_a_line_for_each(database: duckdb.DuckDBPyConnection) -> None:
    columns = ", ".join(f"{number} AS column_number_{number}" for number in range(20))
    lines = written(database, f"SELECT {columns} FROM range(2)", "table", Terminal()).splitlines()
    assert [line.split() for line in lines[:20]] == [[f"column_number_{n}", str(n)] for n in range(20)]
    assert lines[20] == "" and lines[21].split() == ["column_number_0", "0"]


def test_small_numbers_are_shown(database: duckdb.DuckDBPyConnection) -> None:
    text = written(database, "SELECT 0.00012::DOUBLE AS small, 0.5::DOUBLE AS half, 0::DOUBLE AS zero", "table")
    assert text.splitlines()[-1].split() == ["0.00012", "0.500", "0.000"]
