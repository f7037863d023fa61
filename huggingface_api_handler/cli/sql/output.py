"""Results as a table, CSV, JSON or JSON lines."""

from __future__ import annotations

import csv
import datetime
import decimal
import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TextIO

from ...console import text_table

FORMATS = ("table", "csv", "json", "jsonlines")
"""What ``--format`` and ``.mode`` take."""

MAX_SHOWN_ROWS = 40
"""Rows of a table in a terminal: more would push the statement out of sight. Elsewhere all are written."""

_MAX_COUNTED_ROWS = 100_000
"""Rows that are not shown and still counted. To count more of them takes seconds."""

_WIDTH_ROWS = 1024
_CELL_CHARS = (60, 40, 30, 20, 12)
"""How long a cell may be, tried one after another until the table is no wider than the terminal."""

_MARGIN_CHARS = 2
_GAP_CHARS = 3


class Rows(Protocol):
    """What is read of a result."""

    columns: list[str]
    types: list[str]

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        """Give the next rows.

        Args:
            size: How many at most.

        Returns:
            As many, fewer at the end.
        """
        ...


def write_result(result: Rows, kind: str, out: TextIO) -> int:
    """Write all rows of a result.

    Args:
        result: The result, of which nothing was read yet.
        kind: One of ``FORMATS``.
        out: Where to.

    Returns:
        How many rows there were; of a table in a terminal no more than were counted.
    """
    writers: Mapping[str, Callable[[Rows, TextIO], int]] = {
        "table": _write_table,
        "csv": _write_csv,
        "json": _write_json,
        "jsonlines": _write_json_lines,
    }
    rows = writers[kind](result, out)
    out.flush()
    return rows


def _write_table(result: Rows, out: TextIO) -> int:
    if not out.isatty():
        rows = [row for chunk in _chunks(result) for row in chunk]
        out.write(text_table(result.columns, rows, max_cell_chars=_longest_cell(rows), max_rows=len(rows)) + "\n")
        return len(rows)
    rows = result.fetchmany(MAX_SHOWN_ROWS)
    hidden = 0
    if len(rows) == MAX_SHOWN_ROWS:
        for chunk in _chunks(result):
            hidden += len(chunk)
            if hidden >= _MAX_COUNTED_ROWS:
                break
    width = shutil.get_terminal_size().columns
    tables = (text_table(result.columns, rows, max_cell_chars=chars, max_rows=len(rows)) for chars in _CELL_CHARS)
    table = next((each for each in tables if _width(each) <= width), None)
    out.write(table if table is not None else _as_lists(result.columns, rows, width))
    out.write("\n")
    if hidden:
        count = f"{hidden:,}" if hidden < _MAX_COUNTED_ROWS else f"{hidden:,} or more"
        out.write(f"  ... and {count} more {'row' if hidden == 1 else 'rows'}\n")
    return len(rows) + hidden


def _longest_cell(rows: Sequence[Sequence[object]]) -> int:
    """Longer than any cell, as a table in a file is not cut."""
    return max((len(str(value)) for row in rows for value in row), default=1) * 2 + 4


def _width(table: str) -> int:
    return max(map(len, table.split("\n")))


def _as_lists(columns: Sequence[str], rows: Sequence[Sequence[object]], width: int) -> str:
    """Each row with a line for each column, where a table would be too wide."""
    names = max(map(len, columns))
    chars = max(width - _MARGIN_CHARS - names - _GAP_CHARS, min(_CELL_CHARS))
    lists = []
    for row in rows:
        pairs = list(zip(columns, row, strict=True))
        table = text_table(["", ""], pairs, max_cell_chars=chars, max_rows=len(pairs))
        lists.append("\n".join(table.split("\n")[2:]))  # without its head
    return "\n\n".join(lists)


def _write_csv(result: Rows, out: TextIO) -> int:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(result.columns)
    count = 0
    for chunk in _chunks(result):
        writer.writerows([_csv_cell(value) for value in row] for row in chunk)
        count += len(chunk)
    return count


def _csv_cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple, dict)):
        return _json_text(value)
    return _plain(value) if isinstance(value, (bytes, datetime.date, datetime.time)) else value


def _write_json(result: Rows, out: TextIO) -> int:
    count = 0
    out.write("[")
    for line in _json_objects(result):
        out.write(",\n" if count else "\n")
        out.write(line)
        count += 1
    out.write("\n]\n" if count else "]\n")
    return count


def _write_json_lines(result: Rows, out: TextIO) -> int:
    count = 0
    for line in _json_objects(result):
        out.write(f"{line}\n")
        count += 1
    return count


def _json_objects(result: Rows) -> Iterator[str]:
    names = _distinct(result.columns)
    is_json = [kind == "JSON" for kind in result.types]
    for chunk in _chunks(result):
        for row in chunk:
            values = zip(names, row, is_json, strict=True)
            yield _json_text({name: _parsed(value) if parse else value for name, value, parse in values})


def _parsed(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _json_text(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except (TypeError, ValueError):  # NaN, which JSON has not, or keys that are no texts
        return json.dumps(_without_nan(value), ensure_ascii=False, default=_plain)


def _without_nan(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _without_nan(item) for key, item in value.items()}
    return [_without_nan(item) for item in value] if isinstance(value, (list, tuple)) else value


def _plain(value: object) -> object:
    """What JSON has not, as it has it."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _distinct(columns: Sequence[str]) -> list[str]:
    """Names of which no two are alike: an object has each once."""
    names: list[str] = []
    for column in columns:
        name, number = column, 1
        while name in names:
            name, number = f"{column}_{number}", number + 1
        names.append(name)
    return names


def _chunks(result: Rows) -> Iterator[list[tuple[Any, ...]]]:
    while chunk := result.fetchmany(_WIDTH_ROWS):
        yield chunk
