"""Who does not ask in SQL does not wait for DuckDB and the parsers, where they are installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.imports import packages_imported_by

SQL = {"duckdb", "sqlglot", "mindsdb_sql_parser", "prompt_toolkit"}


@pytest.mark.parametrize(
    "module", ["huggingface_api_handler", "huggingface_api_handler.inference", "huggingface_api_handler.cli"]
)
def test_what_sql_needs_is_not_imported_before_it_is_used(module: str) -> None:
    assert packages_imported_by(module) & SQL == set()


def test_a_statement_without_a_model_imports_nothing_that_asks_one() -> None:
    script = "import sys; from huggingface_api_handler.sql import connect; con = connect(); "
    script += "con.sql('CREATE TABLE t AS SELECT 1 AS a'); con.sql('EXPLAIN FROM t'); con.sql('FROM t').fetchall(); "
    script += "print(sorted({name.partition('.')[0] for name in sys.modules} & {'pandas', 'aiohttp', 'pydantic', 'huggingface_hub'}))"
    out = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert out == "[]\n"
