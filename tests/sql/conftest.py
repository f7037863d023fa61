"""These tests need DuckDB 2 (run.sh makes an environment that has it); in any other they are not collected, which is said."""

from __future__ import annotations

import importlib.metadata
import importlib.util

import pytest

LEAST_DUCKDB = 2
NEEDED = ("sqlglot", "mindsdb_sql_parser", "prompt_toolkit")


def reason_not_to_collect() -> str:
    """What this environment lacks of the extra ``sql``, or nothing."""
    try:
        version = importlib.metadata.version("duckdb")
    except importlib.metadata.PackageNotFoundError:
        return "there is no DuckDB here"
    if int(version.partition(".")[0]) < LEAST_DUCKDB:
        return f"DuckDB {version} is here, which MindsDB wants, and not {LEAST_DUCKDB}"
    missing = [module for module in NEEDED if importlib.util.find_spec(module) is None]
    return f"there is no {missing[0]} here" if missing else ""


NOT_COLLECTED = reason_not_to_collect()
if NOT_COLLECTED:
    collect_ignore_glob = ["*"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out, also where all else passed."""
    if NOT_COLLECTED:
        terminalreporter.write_line(
            f"NOT TESTED: tests/sql, because {NOT_COLLECTED}; `make test-sql` runs them", red=True
        )
