"""Jobs over small files, at a service that counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from huggingface_api_handler.runners.parquet.job import Arguments, Job
from tests.conftest import Service

MakeJob = Callable[..., Job]


def write(path: Path, row_groups: Sequence[int]) -> Any:
    """A file whose rows are numbered, with metadata of its own."""
    rows = sum(row_groups)
    table = pa.table(
        {
            "id": pa.array(range(rows), pa.int32()),
            "text": pa.array([None if number % 7 == 3 else f"row {number}" for number in range(rows)]),
            "tags": pa.array([[str(number)] * (number % 3) for number in range(rows)], pa.list_(pa.string())),
            "kind": pa.array([f"kind {number % 2}" for number in range(rows)]).dictionary_encode(),
        }
    ).replace_schema_metadata({"who": "me"})
    with pq.ParquetWriter(path, table.schema) as writer:
        start = 0
        for count in row_groups:
            writer.write_table(table[start : start + count], row_group_size=max(1, count))
            start += count
    return table


@pytest.fixture
def make_job(tmp_path: Path, service: Service) -> MakeJob:
    def make(row_groups: Sequence[int] = (4, 3), **changes: Any) -> Job:
        source = tmp_path / "in.parquet"
        write(source, row_groups)
        using = {"task": "text-classification", "column": "text", "target": "mood", **changes.pop("using", {})}
        engine = {
            "endpoint": f"{service.url}/models",
            "cache_dir": str(tmp_path / "store"),
            **changes.pop("engine", {}),
        }
        out = changes.pop("out", tmp_path / "out.parquet")
        return Job.of(Arguments(str(source), str(out), using, engine, **changes))

    return make
