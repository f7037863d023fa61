"""The file that is written: the input's rows beside the predictions of all parts, with the input's row groups."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .job import Job
from .parts import kinds_of, read_parts, sync_folder, temporary_path

if TYPE_CHECKING:
    from typing import Any


def join(job: Job, row_group_rows: int | None = None) -> Counter[str]:
    """Write the file. It appears under its name once it is whole.

    Args:
        job: All of whose units are done.
        row_group_rows: Rows of a row group; None for those of the input.

    Returns:
        Rows without a prediction, by the kind of failure.
    """
    source = job.source
    schema = pa.schema([*source.schema, *source.predictions], metadata=source.schema.metadata)
    failures: Counter[str] = Counter()
    temporary = temporary_path(job.parts, "joined")
    tables = _joined(job, schema, failures)
    with temporary.open("wb") as file:
        with pq.ParquetWriter(file, schema, compression=source.compression) as writer:
            rest: list[Any] = []
            if not source.rows:  # some readers want a row group, if only one without rows
                writer.write_table(schema.empty_table())
            for rows in _row_groups(source.row_groups, row_group_rows):
                rest = _write_row_group(writer, schema, rows, rest, tables, job.parts)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(job.out)
    sync_folder(job.out.parent)
    return failures


def failures_in(job: Job) -> Counter[str]:
    """Count the rows of the output that failed, where another process wrote it.

    Args:
        job: Whose output is there.

    Returns:
        Rows without a prediction, by the kind of failure.
    """
    failures: Counter[str] = Counter()
    with pq.ParquetFile(job.out) as file:
        for batch in file.iter_batches(columns=[job.source.predictions.names[-1]]):
            failures.update(kinds_of(batch.column(0)))
    return failures


def rows_answered_by(job: Job, name: str) -> int:
    """Count the rows of the output that a model of a cascade answered.

    Args:
        job: Whose output is there, with a cascade.
        name: Of the model, as ``<target>_model`` has it.

    Returns:
        How many there are.
    """
    column = f"{job.model.target}_model"
    with pq.ParquetFile(job.out, read_dictionary=[column]) as file:
        batches = file.iter_batches(columns=[column])
        return sum(pc.sum(pc.equal(batch.column(0), name)).as_py() or 0 for batch in batches)


def _row_groups(of_input: Sequence[int], rows: int | None) -> Iterator[int]:
    """The rows of each row group of the output."""
    if rows is None:
        yield from (count for count in of_input if count)
        return
    total = sum(of_input)
    yield from (min(rows, total - start) for start in range(0, total, rows))


def _joined(job: Job, schema: Any, failures: Counter[str]) -> Iterator[Any]:
    """Rows of the input with their predictions, a slice at a time."""
    predictions = read_parts(job.parts, [unit.number for unit in job.units])
    rest: Any = None
    for row_group in range(len(job.source.row_groups)):
        for batch in job.source.batches(row_group):
            found, rows = [], len(batch)
            while rows:
                have = rest if rest is not None else next(predictions)
                found.append(have[:rows])
                rest = have[rows:] if rows < len(have) else None
                rows -= len(found[-1])
            if not found:
                continue
            beside = pa.Table.from_batches(found)
            failures.update(kinds_of(beside.column(beside.num_columns - 1)))
            cells = [*pa.Table.from_batches([batch]).columns, *beside.columns]
            yield pa.Table.from_arrays(cells, schema=schema)


def _write_row_group(
    writer: Any, schema: Any, rows: int, rest: list[Any], tables: Iterator[Any], folder: Path
) -> list[Any]:
    """Write one row group, and return what was read of the next.

    Parquet wants it column by column, and the rows come in slices. So they go to a file first, which pyarrow then sees
    as memory. The system takes its pages back as it likes, so a row group of any size takes little memory of ours.
    """
    spilled = temporary_path(folder, "row-group")
    try:
        with pa.OSFile(str(spilled), "wb") as file, pa.ipc.new_stream(file, schema) as stream:
            while rows:
                table = rest.pop() if rest else next(tables)
                stream.write_table(table[:rows])
                if rows < len(table):
                    rest = [table[rows:]]
                rows -= min(rows, len(table))
        with pa.memory_map(str(spilled)) as mapped:
            table = pa.ipc.open_stream(mapped).read_all()
            writer.write_table(table, row_group_size=len(table))
    finally:
        spilled.unlink(missing_ok=True)
    return rest
