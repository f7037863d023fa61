"""Stored answers as a Parquet file (extra parquet)."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError
from ..predict import INSTALL_HINT

if TYPE_CHECKING:
    import pyarrow as pa

    from ...inference.storage.upkeep import StoredAnswer, Upkeep

_GROUP_BYTES = 32 * 1024 * 1024
"""Bytes of answers in one row group, unless one answer has more. So much memory is used."""

_GROUP_ROWS = 100_000


def export_answers(store: Upkeep, path: Path) -> tuple[int, int]:
    """Write all answers of a store into a file, which only its owner may read. It is there once it is whole.

    Args:
        store: An open one.
        path: The file, which must not exist. Columns: ``key`` and ``owner`` (keyed hashes in hexadecimal),
            ``stored_at``, ``expires_at``, ``answer`` (JSON, NULL for media), ``content_type`` and ``media`` (NULL for
            JSON).

    Returns:
        How many answers were written, and how many were left out because they are not believed.

    Raises:
        InputError: pyarrow is not installed, the file exists, or its folder does not.
        OSError: It cannot be written.
    """
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise InputError(f"Parquet files need pyarrow, not installed here. Install with: {INSTALL_HINT}") from None
    if path.exists():
        raise InputError(f"{path} exists. Remove it, or name another file")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path.parent} is no folder, so {path.name} cannot be written there")
    part = path.with_name(f"{path.name}.part")
    written = left_out = 0
    try:
        part.unlink(missing_ok=True)  # of a run that was killed; others may be able to read it
        descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file, pq.ParquetWriter(file, _schema(), compression="zstd") as writer:
            group: list[StoredAnswer] = []
            size = 0
            for answer in store.answers():
                if answer is None:
                    left_out += 1
                    continue
                group.append(answer)
                size += len(answer.content)
                if size >= _GROUP_BYTES or len(group) >= _GROUP_ROWS:
                    writer.write_table(_table(group))
                    written, group, size = written + len(group), [], 0
            writer.write_table(_table(group))
            written += len(group)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    return written, left_out


def _schema() -> pa.Schema:
    import pyarrow as pa

    at = pa.timestamp("s", tz="UTC")
    return pa.schema(
        [
            ("key", pa.string()),
            ("owner", pa.string()),
            ("stored_at", at),
            ("expires_at", at),
            ("answer", pa.string()),
            ("content_type", pa.string()),
            ("media", pa.binary()),
        ]
    )


def _table(answers: list[StoredAnswer]) -> pa.Table:
    import pyarrow as pa

    rows = [
        {
            "key": answer.key.hex(),
            "owner": answer.times.owner.hex() if answer.times.owner is not None else None,
            "stored_at": datetime.fromtimestamp(answer.times.stored_at, timezone.utc),
            "expires_at": datetime.fromtimestamp(answer.times.expires_at, timezone.utc),
            "answer": answer.content.decode() if answer.content_type is None else None,
            "content_type": answer.content_type,
            "media": None if answer.content_type is None else answer.content,
        }
        for answer in answers
    ]
    return pa.Table.from_pylist(rows, _schema())
