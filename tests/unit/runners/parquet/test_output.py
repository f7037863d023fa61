"""What comes out is what went in, row for row, with the predictions beside it, whatever the row groups."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huggingface_api_handler.runners.parquet import job as job_module
from huggingface_api_handler.runners.parquet import source as source_module
from huggingface_api_handler.runners.parquet.job import Arguments, Job
from huggingface_api_handler.runners.parquet.output import join
from huggingface_api_handler.runners.parquet.parts import PartWriter, done_units, part_path
from huggingface_api_handler.runners.parquet.source import UnitReader
from tests.unit.runners.parquet.conftest import MakeJob, write

pytestmark = pytest.mark.same_on_every_python


def predictions_of(texts: list[str | None], schema: Any, reasons: Mapping[str, str] | None = None) -> Any:
    """What a model would say of each text, and why some of them failed."""
    failed = [(reasons or {}).get(text or "") for text in texts]
    columns = {
        "mood": [None if reason or not text else text.upper() for text, reason in zip(texts, failed, strict=True)],
        "mood_confidence": [text and 0.5 for text in texts],
        "mood_explain": [None] * len(texts),
        "mood_error": failed,
    }
    return pa.table(columns, schema=schema)


def write_parts(job: Job, reasons: Mapping[str, str] | None = None) -> None:
    reader = UnitReader(job.source)
    for unit in job.units:
        writer = PartWriter(job.parts, unit.number, job.source.predictions)
        for table in reader.read(unit):
            writer.write(predictions_of(table["text"].to_pylist(), job.source.predictions, reasons))
        writer.finish()


@settings(max_examples=30, deadline=None)
@given(
    row_groups=st.lists(st.integers(0, 30), max_size=6),
    unit_rows=st.integers(1, 20),
    slice_rows=st.integers(1, 16),
    out_rows=st.none() | st.integers(1, 40),
)
def test_any_row_groups_give_the_same_rows_in_order(
    row_groups: list[int], unit_rows: int, slice_rows: int, out_rows: int | None
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(job_module, "STORED_UNIT_ROWS", unit_rows)
        patch.setattr(source_module, "SLICE_ROWS", slice_rows)
        patch.setattr("os.fsync", lambda descriptor: None)
        before = write(Path(folder) / "in.parquet", row_groups)
        using = {"task": "text-classification", "column": "text", "target": "mood"}
        engine = {"endpoint": "http://127.0.0.1:9/models", "cache_dir": folder}
        job = Job.of(Arguments(f"{folder}/in.parquet", f"{folder}/out.parquet", using, engine))
        job.open_parts()
        write_parts(job)
        assert not join(job, out_rows)
        after = pq.ParquetFile(job.out)
        table = after.read()
        assert table.select(before.column_names).equals(before.cast(table.select(before.column_names).schema))
        assert table["mood"].to_pylist() == [text and text.upper() for text in before["text"].to_pylist()]
        groups = [after.metadata.row_group(number).num_rows for number in range(after.num_row_groups)]
        rows = sum(row_groups)
        if not rows:
            assert groups == [0]
        elif out_rows is None:
            assert groups == [count for count in row_groups if count]
        else:
            assert groups == [min(out_rows, rows - start) for start in range(0, rows, out_rows)]


def test_types_metadata_and_codec_are_those_of_the_input(make_job: MakeJob) -> None:
    job = make_job([5, 4])
    path = Path(job.arguments.source)
    pq.write_table(pq.read_table(path), path, compression="zstd", row_group_size=5)
    job = Job.of(job.arguments)
    job.open_parts()
    write_parts(job)
    join(job)
    before, after = pq.ParquetFile(path), pq.ParquetFile(job.out)
    assert after.schema_arrow.metadata == before.schema_arrow.metadata == {b"who": b"me"}
    for field in before.schema_arrow:
        assert after.schema_arrow.field(field.name).equals(field, check_metadata=True)
    group = after.metadata.row_group(0)
    assert {group.column(number).compression for number in range(group.num_columns)} == {"ZSTD"}


def test_rows_that_failed_are_counted_by_kind(make_job: MakeJob) -> None:
    job = make_job([3])
    job.open_parts()
    reasons = ["temporary failure 500: no (after 5 attempts)", "rejected input: no", None]
    columns = {"mood": [None] * 3, "mood_confidence": [None] * 3, "mood_explain": [None] * 3, "mood_error": reasons}
    writer = PartWriter(job.parts, 0, job.source.predictions)
    writer.write(pa.table(columns, schema=job.source.predictions))
    writer.finish()
    assert dict(writer.failures) == {"temporary failure": 1, "rejected input": 1}
    assert join(job) == writer.failures


def test_a_part_is_there_once_it_is_whole(make_job: MakeJob) -> None:
    job = make_job([3])
    job.open_parts()
    writer = PartWriter(job.parts, 0, job.source.predictions)
    writer.write(predictions_of(["a", None, "b"], job.source.predictions))
    assert done_units(job.parts) == set()
    writer.finish()
    assert done_units(job.parts) == {0}
    other = PartWriter(job.parts, 1, job.source.predictions)
    other.discard()
    assert {path.name for path in job.parts.iterdir()} == {"claims", "job.json", part_path(job.parts, 0).name}


def test_units_of_a_row_group_are_read_on_and_back(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_module, "STORED_UNIT_ROWS", 3)
    monkeypatch.setattr(source_module, "SLICE_ROWS", 2)
    job = make_job([10, 4])
    reader = UnitReader(job.source)

    def numbers(unit: int) -> list[str]:
        return [text for table in reader.read(job.units[unit]) for text in table["text"].fill_null("-").to_pylist()]

    assert numbers(0) == ["row 0", "row 1", "row 2"]
    assert numbers(2) == ["row 6", "row 7", "row 8"], "another process took the second"
    assert numbers(1) == ["-", "row 4", "row 5"], "and was killed"
    assert numbers(5) == ["row 13"]
    assert numbers(3) == ["row 9"]
