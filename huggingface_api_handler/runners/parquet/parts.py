"""What a job leaves on the way: a part file for each unit that is done, and what each process used.

A part is written under another name, synced and renamed, so there is a whole part or none.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pyarrow as pa

from ...inference.failures import FailureKind
from ...inference.telemetry.usage import Usage, UsageValue

if TYPE_CHECKING:
    from typing import Any

_PART = ".arrow"
_USAGE = "usage-"
_OPTIONS = {"compression": "zstd"}

ENDS_QUERY = (FailureKind.FATAL, FailureKind.NOT_SENT)
"""Kinds of failure by which a row was not refused, but never had its turn. Its unit is not done."""


def part_path(folder: Path, unit: int) -> Path:
    """Where the part of a unit is, once it is done.

    Args:
        folder: Of the job's parts.
        unit: The number of the unit.

    Returns:
        The file.
    """
    return folder / f"{unit:06d}{_PART}"


def done_units(folder: Path) -> set[int]:
    """Find the units that are done.

    Args:
        folder: Of the job's parts.

    Returns:
        Their numbers.
    """
    return {int(entry.name.removesuffix(_PART)) for entry in os.scandir(folder) if entry.name.endswith(_PART)}


class PartWriter:
    """Writes the predictions of one unit.

    Args:
        folder: Of the job's parts.
        unit: The number of the unit.
        schema: Of the predictions.

    Attributes:
        rows: How many were written.
        failures: Rows without a prediction, by the kind of failure.
    """

    def __init__(self, folder: Path, unit: int, schema: Any) -> None:
        self.rows = 0
        self.failures: Counter[str] = Counter()
        self._path = part_path(folder, unit)
        self._temporary = temporary_path(folder, f"part-{unit}")
        self._file = self._temporary.open("wb")
        self._writer = pa.ipc.new_stream(self._file, schema, options=pa.ipc.IpcWriteOptions(**_OPTIONS))
        self._reasons = schema.names[-1]

    def write(self, predictions: Any) -> None:
        """Write some rows.

        Args:
            predictions: A table of them.
        """
        self._writer.write_table(predictions)
        self.rows += len(predictions)
        self.failures.update(kinds_of(predictions[self._reasons]))

    def finish(self) -> None:
        """Make it the part of the unit."""
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.replace(self._path)
        sync_folder(self._path.parent)

    def discard(self) -> None:
        """Leave no part."""
        self._writer.close()
        self._file.close()
        self._temporary.unlink(missing_ok=True)


def read_parts(folder: Path, units: Iterable[int]) -> Iterator[Any]:
    """Read the predictions of units.

    Args:
        folder: Of the job's parts.
        units: Their numbers.

    Yields:
        Batches of rows, in order.
    """
    for unit in units:
        with pa.OSFile(str(part_path(folder, unit))) as file:
            yield from pa.ipc.open_stream(file)


def kinds_of(reasons: Any) -> Counter[str]:
    """Count why rows have no prediction.

    Args:
        reasons: The column ``<target>_error``.

    Returns:
        Rows by the kind of failure.
    """
    counts: Counter[str] = Counter()
    if reasons.null_count < len(reasons):
        words = sorted((kind.value for kind in FailureKind), key=len, reverse=True)
        for reason in reasons.drop_null().to_pylist():
            counts[next((word for word in words if reason.startswith(word)), reason)] += 1
    return counts


def write_usage(folder: Path, name: str, record: dict[str, UsageValue]) -> None:
    """Keep what a process has used so far, so that a kill does not lose the count.

    Args:
        folder: Of the job's parts.
        name: Of the process, the same each time.
        record: As of ``Usage.to_record``.
    """
    temporary = temporary_path(folder, name)
    temporary.write_bytes(orjson.dumps(record, option=orjson.OPT_NON_STR_KEYS))
    temporary.replace(folder / f"{_USAGE}{name}.json")


def total_usage(folder: Path) -> Usage | None:
    """Add up what all processes used, also in earlier runs.

    Args:
        folder: Of the job's parts.

    Returns:
        The sum; None where nothing was used.
    """
    total: Usage | None = None
    for path in sorted(folder.glob(f"{_USAGE}*.json")):
        usage = Usage.from_record(orjson.loads(path.read_bytes()))
        if total is None:
            total = usage
        else:
            total.add(usage)
    return total


def temporary_path(folder: Path, name: str) -> Path:
    """A name that nobody else writes to.

    Args:
        folder: Of the job's parts.
        name: What it is for.

    Returns:
        A file that does not exist.
    """
    return folder / f"{name}.{os.getpid()}-{secrets.token_hex(4)}.tmp"


def sync_folder(folder: Path) -> None:
    """Have the names in a folder outlive a loss of power.

    Args:
        folder: In which a file was renamed.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
