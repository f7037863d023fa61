"""Tables in a terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

WIDEST = 140


def text_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, width: int = 60, most: int = 15) -> str:
    """A table for a terminal: cells of at most `width` characters, at most `most` rows, numbers right.

    A single row that is too wide for the terminals people have stands upright, a line for each column.
    """
    shown = rows[:most]
    cells = [[_cell(value, width) for value in row] for row in shown]
    given = [[row[i] for row in shown if row[i] is not None] for i in range(len(columns))]
    numbers = [bool(values) and all(map(_is_number, values)) for values in given]
    widths = [max(len(name), *(len(row[i]) for row in cells), 1) for i, name in enumerate(columns)]

    if len(rows) == 1 and sum(widths) + 3 * len(widths) > WIDEST:
        names = max(map(len, columns))
        pairs = zip(columns, cells[0], strict=True)
        return "\n".join(f"  {name.ljust(names)}   {value}" for name, value in pairs)

    def line(values: Sequence[str]) -> str:
        padded = [
            value.rjust(size) if number else value.ljust(size)
            for value, size, number in zip(values, widths, numbers, strict=True)
        ]
        return "  " + "   ".join(padded).rstrip()

    rule = "  " + "   ".join("-" * size for size in widths)
    left = len(rows) - len(shown)
    more = [f"  ... and {left} more row{'s' if left > 1 else ''}"] if left else []
    return "\n".join([line(list(columns)), rule, *map(line, cells), *more])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cell(value: Any, width: int) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, float):
        text = f"{value:,.3f}"
    elif _is_number(value):
        text = f"{value:,}" if abs(value) >= 10_000 else str(value)
    elif isinstance(value, (dict, list)):
        text = json.dumps(value, ensure_ascii=False)
    else:
        text = str(value)
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 3] + "..."
