"""Who does not ask in SQL does not wait for DuckDB and the parsers, where they are installed."""

from __future__ import annotations

import pytest

from tests.support.imports import packages_imported_by

SQL = {"duckdb", "sqlglot", "mindsdb_sql_parser", "prompt_toolkit"}


@pytest.mark.parametrize(
    "module", ["huggingface_api_handler", "huggingface_api_handler.inference", "huggingface_api_handler.cli"]
)
def test_what_sql_needs_is_not_imported_before_it_is_used(module: str) -> None:
    assert packages_imported_by(module) & SQL == set()
