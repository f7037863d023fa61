"""A long table goes through a model without being in memory: a small run of ``bench.sql_memory``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.measure import RemoteService, running_service
from bench.sql_memory import cases, run_case, write_rows

MEMORY_LIMIT = "100MB"
MOST_BYTES = 230_000_000
"""Beyond the same statement without a model: 188 were measured with 200,000 rows, and 272 where all are asked at once."""


@pytest.fixture(scope="module")
def service() -> Iterator[RemoteService]:
    with running_service() as running:
        yield running


@pytest.mark.parametrize("name, rows", [("a Parquet file", 200_000), ("inside BEGIN ... ROLLBACK", 30_000)])
def test_a_long_table_takes_little_more_memory_than_without_a_model(
    service: RemoteService, tmp_path: Path, name: str, rows: int
) -> None:
    parquet = tmp_path / "rows.parquet"
    write_rows(parquet, rows)
    case = run_case(service, replace(cases(str(parquet))[name], memory_limit=MEMORY_LIMIT))
    assert case["wrong"] == 0
    assert rows <= case["inputs"] <= 1.01 * rows  # some are asked twice, to see whether lists are answered in order
    assert case["model_bytes"] - case["plain_bytes"] <= MOST_BYTES
