"""The file that is read: what it says of itself, and its rows in slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from ...config.settings import ModelSettings
from ...errors import InputError
from ...inference.runtime.columns import column_types
from ...inference.runtime.frames import check_columns, open_frame
from ...redaction import preview
from .units import Unit

if TYPE_CHECKING:
    from typing import Any

    import pandas as pd

SLICE_ROWS = 4096
"""Rows that are read at once, so that a row group of any size takes little memory."""

_BUFFER_BYTES = 1 << 20
"""Read of a column at once. Without it, pyarrow reads whole columns of a row group."""


@dataclass(frozen=True)
class Source:
    """A Parquet file whose columns fit the model.

    Attributes:
        path: The file.
        schema: Its columns, with its metadata.
        row_groups: The rows of each row group.
        columns: The columns that the model reads.
        predictions: The schema of what the model gives.
        compression: The codec of most columns, in lower case.
        mark: The file's size and time of change, when it was opened.
    """

    path: Path
    schema: Any
    row_groups: Sequence[int]
    columns: Sequence[str]
    predictions: Any
    compression: str
    mark: tuple[int, int]

    @classmethod
    def open(cls, path: Path, model: ModelSettings) -> Source:
        """Look at what a file says of itself.

        Args:
            path: The file.
            model: Reads its columns.

        Returns:
            The file.

        Raises:
            InputError: It is no Parquet file that can be read, lacks a column, or has one of the prediction's already.
        """
        try:
            with _file_at(path) as file:
                metadata, schema = file.metadata, file.schema_arrow
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{path} cannot be read as Parquet: {error}") from None
        check_columns(schema.names, model)
        empty = open_frame(schema.empty_table(), model).frame
        taken = {name.lower() for name in schema.names}
        for name in column_types(model):
            if name.lower() in taken:
                raise InputError(f"{path} has a column {preview(name)} already. Choose another name: --target NAME")
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        codecs = Counter(
            group.column(number).compression for group in groups[:1] for number in range(group.num_columns)
        )
        (codec, _), *_ = codecs.most_common(1) or [("SNAPPY", 0)]
        return cls(
            path,
            schema,
            [group.num_rows for group in groups],
            list(empty.columns),
            _predictions(schema, model),
            "none" if codec == "UNCOMPRESSED" else codec.lower(),
            _mark(path),
        )

    def check_unchanged(self) -> None:
        """Refuse a file that was written to meanwhile: its rows are no longer those that were predicted.

        Raises:
            InputError: It was.
        """
        if _mark(self.path) != self.mark:
            raise InputError(f"{self.path} has changed since the job began. Begin anew with the changed file")

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(self.row_groups)

    def batches(self, row_group: int, columns: Sequence[str] | None = None) -> Iterator[Any]:
        """Read the rows of a row group, a slice at a time.

        Args:
            row_group: Its number.
            columns: Those that are wanted; None for all.

        Yields:
            Record batches of at most ``SLICE_ROWS``.
        """
        with _file_at(self.path) as file:
            yield from file.iter_batches(SLICE_ROWS, row_groups=[row_group], columns=columns, use_threads=False)


class UnitReader:
    """Reads one unit after another. Those of one row group are read on from where the last one ended.

    Args:
        source: The file.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._row_group = -1
        self._position = 0
        self._batches: Iterator[Any] = iter(())
        self._rest: Any = None

    def read(self, unit: Unit) -> Iterator[Any]:
        """Read a unit.

        Args:
            unit: Its rows.

        Yields:
            Tables of the columns that the model reads.
        """
        if unit.row_group != self._row_group or unit.start < self._position:
            self._row_group, self._position, self._rest = unit.row_group, 0, None
            self._batches = self._source.batches(unit.row_group, self._source.columns)
        remaining = unit.rows
        while remaining:
            batch = self._rest if self._rest is not None else next(self._batches)
            skipped = min(len(batch), max(0, unit.start - self._position))
            wanted = batch[skipped : skipped + remaining]
            self._position += skipped + len(wanted)
            self._rest = batch[skipped + len(wanted) :] if skipped + len(wanted) < len(batch) else None
            remaining -= len(wanted)
            if len(wanted):
                yield pa.Table.from_batches([wanted])


def _mark(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _file_at(path: Path) -> Any:
    return pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False)


def _predictions(schema: Any, model: ModelSettings) -> Any:
    nothing = open_frame(schema.empty_table(), model)
    return nothing.close(_no_rows(model)).schema


def _no_rows(model: ModelSettings) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({name: [] for name in column_types(model)})
