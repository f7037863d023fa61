"""These tests are left out where DuckDB is older than 2 or missing, as in an environment with MindsDB."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def _has_duckdb_2() -> bool:
    try:
        return int(version("duckdb").partition(".")[0]) >= 2
    except PackageNotFoundError:
        return False


if not _has_duckdb_2():
    collect_ignore_glob = ["*test_*.py"]
