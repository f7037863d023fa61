"""Tables in a terminal."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TypeGuard

MAX_TABLE_CHARS = 140
"""Width of a table above which a single row is shown as a list. Terminals are seldom wider."""

_NEXT_UNIT = 1000
"""So many of a unit are one of the next."""

_MIN_GROUPED_NUMBER = 10_000
"""Integers from here on get separators of thousands. Smaller ones, such as years, are read without."""

_MIN_ROUNDED_NUMBER = 0.001
"""Smaller numbers have three digits that are not zero, since three decimals would show nothing of them."""


def text_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, max_cell_chars: int = 60, max_rows: int = 15
) -> str:
    """Lay out a table for a terminal. Columns of numbers are aligned right.

    Args:
        columns: The columns' names.
        rows: The cells of each row, as many as there are columns.
        max_cell_chars: Longer cells are cut.
        max_rows: More rows are only counted.

    Returns:
        The table's lines. A single row that is wider than ``MAX_TABLE_CHARS`` is a list instead, one line a column.

    >>> print(text_table(["text", "score"], [["good", 0.98], ["bad", None]]))
      text   score
      ----   -----
      good   0.980
      bad     NULL
    """
    shown_rows = rows[:max_rows]
    cells = [[_format_cell(value, max_cell_chars) for value in row] for row in shown_rows]
    values_by_column = [[row[i] for row in shown_rows if row[i] is not None] for i in range(len(columns))]
    is_numeric = [bool(values) and all(map(_is_number, values)) for values in values_by_column]
    widths = [max(len(name), *(len(row[i]) for row in cells), 1) for i, name in enumerate(columns)]

    if len(rows) == 1 and sum(widths) + 3 * len(widths) > MAX_TABLE_CHARS:
        name_width = max(map(len, columns))
        pairs = zip(columns, cells[0], strict=True)
        return "\n".join(f"  {name.ljust(name_width)}   {value}" for name, value in pairs)

    def line(texts: Sequence[str]) -> str:
        padded = [
            text.rjust(width) if numeric else text.ljust(width)
            for text, width, numeric in zip(texts, widths, is_numeric, strict=True)
        ]
        return "  " + "   ".join(padded).rstrip()

    rule = "  " + "   ".join("-" * width for width in widths)
    hidden = len(rows) - len(shown_rows)
    footer = [f"  ... and {hidden} more row{'s' if hidden > 1 else ''}"] if hidden else []
    return "\n".join([line(list(columns)), rule, *map(line, cells), *footer])


def in_bytes(size: float) -> str:
    """A size in words.

    Args:
        size: Bytes.

    Returns:
        Bytes, kB, MB, GB or TB, whichever reads best. One of them is 1,000 of the one before.

    >>> in_bytes(999), in_bytes(12_300_000)
    ('999 B', '12.3 MB')
    """
    units = ("B", "kB", "MB", "GB", "TB")
    power = 0
    while size >= _NEXT_UNIT and power < len(units) - 1:
        size, power = size / _NEXT_UNIT, power + 1
    return f"{size:.0f} {units[power]}" if power == 0 else f"{size:.1f} {units[power]}"


def in_time(at: float | None) -> str | None:
    """A time in words.

    Args:
        at: Seconds since 1970; None for none.

    Returns:
        Day and minute in UTC; None for none.

    >>> in_time(0)
    '1970-01-01 00:00 UTC'
    """
    return None if at is None else time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _format_cell(value: object, max_chars: int) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, float):
        text = f"{value:,.3f}" if not 0 < abs(value) < _MIN_ROUNDED_NUMBER else f"{value:.3g}"
    elif _is_number(value):
        text = f"{value:,}" if abs(value) >= _MIN_GROUPED_NUMBER else str(value)
    elif isinstance(value, (dict, list)):
        text = json.dumps(value, ensure_ascii=False, default=str)
    else:
        text = str(value)
    text = " ".join(text.split())
    return text if len(text) <= max_chars else text[: max_chars - 3] + "..."
