"""A long table goes through a model without being in memory: a small run of ``bench.sql_memory``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.measure import RemoteService, running_service
from bench.sql_memory import cases, run_case, write_rows

ROWS = 60_000
MEMORY_LIMIT = "100MB"
MOST_BYTES = 120_000_000
"""Beyond the same statement without a model. All rows in Python at once would take as much again."""


@pytest.fixture(scope="module")
def service() -> Iterator[RemoteService]:
    with running_service() as running:
        yield running


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    write_rows(path, ROWS)
    return path


@pytest.mark.parametrize("name", ["a Parquet file", "inside BEGIN ... ROLLBACK"])
def test_a_long_table_takes_little_more_memory_than_without_a_model(
    service: RemoteService, parquet: Path, name: str
) -> None:
    case = run_case(service, replace(cases(str(parquet))[name], memory_limit=MEMORY_LIMIT))
    assert case["wrong"] == 0
    assert ROWS <= case["inputs"] <= 1.01 * ROWS  # some are asked twice, to see whether lists are answered in order
    assert case["model_bytes"] - case["plain_bytes"] <= MOST_BYTES
